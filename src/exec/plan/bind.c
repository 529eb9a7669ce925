/* Makes a plan ready to run in one arena: every step's call with the addresses of its operands. */
#include "exec/plan.h"

static struct ph_operand operand_of(const struct ph_plan *plan, int storage, float *arena) {
    if (storage == PH_ABSENT) return (struct ph_operand){0};
    const struct ph_storage *record = &plan->storages[storage];
    size_t offset;
    const struct ph_storage *root = &plan->storages[ph_storage_root(plan, storage, &offset)];
    float *data = root->external ? (float *)root->external : arena + root->offset;
    return (struct ph_operand){.data = data + offset, .shape = &record->shape, .layout = record->layout};
}

static struct ph_operand *operands_of(struct ph_plan *plan, const int *storages, int count, float *arena) {
    struct ph_operand *operands = ph_pool_alloc(&plan->pool, (size_t)count * sizeof *operands);
    for (int i = 0; i < count && operands; i++) operands[i] = operand_of(plan, storages[i], arena);
    return operands;
}

static void **pointers_of(struct ph_plan *plan, const struct ph_operand *operands, int count) {
    void **pointers = ph_pool_alloc(&plan->pool, (size_t)count * sizeof *pointers);
    for (int i = 0; i < count && pointers; i++) pointers[i] = operands[i].data;
    return pointers;
}

/* The call for the operation's plain functions: what the kernel's says, and shapes and types of the node's values. */
static bool plain_bind(const struct ph_graph *graph, struct ph_plan *plan, const struct ph_step *step,
                       struct ph_kernel_call *call) {
    const struct ph_node *node = &graph->nodes[step->node];
    int in = node->input_count, out = step->output_count;
    const struct ph_shape **shapes = ph_pool_alloc(&plan->pool, (size_t)in * sizeof *shapes);
    enum ph_type *types = ph_pool_alloc(&plan->pool, (size_t)(in + out) * sizeof *types);
    struct ph_shape *output_shapes = ph_pool_alloc(&plan->pool, (size_t)out * sizeof *output_shapes);
    if (!shapes || !types || !output_shapes) return false;
    for (int i = 0; i < in; i++) {
        if (node->inputs[i] == PH_ABSENT) continue;
        shapes[i] = &graph->values[node->inputs[i]].shape;
        types[i] = graph->values[node->inputs[i]].type;
        if (!call->inputs[i].shape) call->inputs[i].shape = shapes[i];
    }
    for (int i = 0; i < out; i++) {
        int output = step->joined ? step->joined[i]->outputs[0] : node->outputs[i];
        output_shapes[i] = graph->values[output].shape;
        types[in + i] = graph->values[output].type;
    }
    call->plain = (struct ph_call){.attributes = node->attributes, .input_count = in, .output_count = out,
        .input_shapes = shapes, .input_types = types, .output_shapes = output_shapes, .output_types = types + in,
        .inputs = (const void *const *)pointers_of(plan, call->inputs, in),
        .outputs = pointers_of(plan, call->outputs, out),
        .output_gradients = (const void *const *)pointers_of(plan, call->output_gradients, out),
        .input_gradients = pointers_of(plan, call->input_gradients, in)};
    return call->plain.inputs && call->plain.outputs && call->plain.output_gradients && call->plain.input_gradients;
}

static bool call_bind(const struct ph_graph *graph, struct ph_plan *plan, struct ph_step *step, float *arena) {
    const struct ph_node *node = &graph->nodes[step->node];
    int in = node->input_count, out = step->output_count;
    struct ph_kernel_call *call = &step->call;
    *call = (struct ph_kernel_call){.context = graph->context, .node = node, .joined = step->joined, .packed = step->packed,
        .scratch = arena + plan->arena_floats, .accumulate = step->accumulate,
        .inputs = operands_of(plan, step->inputs, in, arena), .outputs = operands_of(plan, step->outputs, out, arena),
        .input_gradients = operands_of(plan, step->input_gradients, in, arena),
        .output_gradients = operands_of(plan, step->output_gradients, out, arena),
        .saved = operand_of(plan, step->saved, arena),
        .gate = operand_of(plan, step->gate, arena), .gate_ceiling = step->gate_ceiling, .scale = step->scale,
        .summand = operand_of(plan, step->summand, arena),
        .rectified = step->made != PH_ABSENT &&
            graph->nodes[graph->values[step->made].node].operation == &ph_operation_relu};
    return call->inputs && call->outputs && call->input_gradients && call->output_gradients &&
           plain_bind(graph, plan, step, call);
}

ph_status ph_plan_bind(const struct ph_graph *graph, struct ph_plan *plan, float *arena) {
    for (int s = 0; s < plan->step_count; s++) {
        struct ph_step *step = &plan->steps[s];
        if (step->kind == PH_STEP_KERNEL) {
            if (!call_bind(graph, plan, step, arena)) return ph_fail_memory(graph->context);
        } else {
            step->from_operand = operand_of(plan, step->from, arena);
            step->to_operand = operand_of(plan, step->to, arena);
        }
    }
    return ph_items_bind(graph, plan);
}
