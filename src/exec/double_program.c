/* Running a graph in double: nodes in the graph's own order, every value with a buffer of its own. */
#include "exec/double_program.h"
#include "graph/operation.h"
#include <string.h>

/* What a value needs, and has once the program is made. */
struct tensor {
    bool wanted;      /* leads to a tap or to the loss */
    bool live;        /* depends on a parameter */
    double *values;   /* NULL when not wanted */
    double *gradient; /* NULL when not live */
};

/* A node that is wanted, with what its plain functions are called with. */
struct step {
    const struct ph_operation *operation; /* compiled for double */
    struct ph_call call;
    bool live;
};

struct ph_double_program {
    const struct ph_graph *graph;
    struct ph_pool pool;
    struct tensor *tensors; /* one for each value of the graph */
    struct step *steps;
    int step_count;
    int loss;
};

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static bool has_gradient(const struct ph_operation *operation, int input) {
    if (operation->is_view) return input == 0;
    return operation->backward &&
           (operation->differentiable >> 31 || (input < 31 && operation->differentiable >> input & 1));
}

static void mark_wanted(struct ph_double_program *p, const struct ph_program_request *request) {
    for (int i = 0; i < request->tap_count; i++) p->tensors[request->taps[i]].wanted = true;
    for (int i = 0; i < request->parameter_count; i++) p->tensors[request->parameters[i]].wanted = true;
    if (request->loss != PH_ABSENT) p->tensors[request->loss].wanted = true;
    for (int n = p->graph->node_count - 1; n >= 0; n--) {
        const struct ph_node *node = &p->graph->nodes[n];
        bool wanted = false;
        for (int i = 0; i < node->output_count; i++) wanted |= p->tensors[node->outputs[i]].wanted;
        for (int i = 0; i < node->output_count && wanted; i++) p->tensors[node->outputs[i]].wanted = true;
        for (int i = 0; i < node->input_count && wanted; i++)
            if (node->inputs[i] != PH_ABSENT) p->tensors[node->inputs[i]].wanted = true;
        p->step_count += wanted;
    }
}

static void mark_live(struct ph_double_program *p, const struct ph_program_request *request) {
    for (int i = 0; i < request->parameter_count; i++) p->tensors[request->parameters[i]].live = true;
    for (int n = 0; n < p->graph->node_count; n++) {
        const struct ph_node *node = &p->graph->nodes[n];
        bool live = false;
        for (int i = 0; i < node->input_count; i++)
            live |=
                node->inputs[i] != PH_ABSENT && p->tensors[node->inputs[i]].live && has_gradient(node->operation, i);
        for (int i = 0; i < node->output_count; i++) p->tensors[node->outputs[i]].live = live;
    }
}

static ph_status buffers_make(struct ph_double_program *p) {
    for (int v = 0; v < p->graph->value_count; v++) {
        const struct ph_value *value = &p->graph->values[v];
        struct tensor *tensor = &p->tensors[v];
        if (!tensor->wanted) continue;
        size_t bytes = (size_t)ph_shape_size(&value->shape) * sizeof(double);
        tensor->values = ph_pool_alloc(&p->pool, bytes);
        if (tensor->live) tensor->gradient = ph_pool_alloc(&p->pool, bytes);
        if (!tensor->values || (tensor->live && !tensor->gradient)) return ph_fail_memory(p->graph->context);
        PH_TRY(ph_value_load(value));
        if (value->data) ph_constant_to_double(value, tensor->values);
    }
    return PH_OK;
}

static bool step_make(struct ph_double_program *p, const struct ph_node *node, struct step *step) {
    size_t in = (size_t)node->input_count, out = (size_t)node->output_count;
    const struct ph_shape **input_shapes = ph_pool_alloc(&p->pool, in * sizeof *input_shapes);
    struct ph_shape *output_shapes = ph_pool_alloc(&p->pool, out * sizeof *output_shapes);
    enum ph_type *input_types = ph_pool_alloc(&p->pool, in * sizeof *input_types);
    enum ph_type *output_types = ph_pool_alloc(&p->pool, out * sizeof *output_types);
    const void **inputs = ph_pool_alloc(&p->pool, in * sizeof *inputs);
    const void **output_gradients = ph_pool_alloc(&p->pool, out * sizeof *output_gradients);
    void **outputs = ph_pool_alloc(&p->pool, out * sizeof *outputs);
    void **input_gradients = ph_pool_alloc(&p->pool, in * sizeof *input_gradients);
    if (!input_shapes || !output_shapes || !input_types || !output_types || !inputs || !output_gradients || !outputs ||
        !input_gradients)
        return false;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == PH_ABSENT) continue;
        input_shapes[i] = &p->graph->values[node->inputs[i]].shape;
        input_types[i] = p->graph->values[node->inputs[i]].type;
        inputs[i] = p->tensors[node->inputs[i]].values;
        if (has_gradient(node->operation, i)) input_gradients[i] = p->tensors[node->inputs[i]].gradient;
    }
    for (int i = 0; i < node->output_count; i++) {
        output_shapes[i] = p->graph->values[node->outputs[i]].shape;
        output_types[i] = p->graph->values[node->outputs[i]].type;
        outputs[i] = p->tensors[node->outputs[i]].values;
        output_gradients[i] = p->tensors[node->outputs[i]].gradient;
    }
    *step = (struct step){.operation = ph_operation_double(node->operation),
                          .live = p->tensors[node->outputs[0]].live,
                          .call = {.attributes = node->attributes,
                                   .input_count = node->input_count,
                                   .output_count = node->output_count,
                                   .input_shapes = input_shapes,
                                   .input_types = input_types,
                                   .output_shapes = output_shapes,
                                   .output_types = output_types,
                                   .inputs = inputs,
                                   .outputs = outputs,
                                   .output_gradients = output_gradients,
                                   .input_gradients = input_gradients}};
    return true;
}

static ph_status make(struct ph_double_program *p, const struct ph_program_request *request) {
    p->tensors = ph_pool_alloc(&p->pool, (size_t)p->graph->value_count * sizeof *p->tensors);
    if (!p->tensors) return ph_fail_memory(p->graph->context);
    mark_wanted(p, request);
    mark_live(p, request);
    p->steps = ph_pool_alloc(&p->pool, (size_t)p->step_count * sizeof *p->steps);
    if (!p->steps) return ph_fail_memory(p->graph->context);
    PH_TRY(buffers_make(p));
    struct step *step = p->steps;
    for (int n = 0; n < p->graph->node_count; n++) {
        const struct ph_node *node = &p->graph->nodes[n];
        if (p->tensors[node->outputs[0]].wanted && !step_make(p, node, step++)) return ph_fail_memory(p->graph->context);
    }
    return PH_OK;
}

ph_status ph_double_program_create(const struct ph_graph *graph, const struct ph_program_request *request,
                                   struct ph_double_program **program) {
    *program = ph_alloc(sizeof **program);
    if (!*program) return ph_fail_memory(graph->context);
    **program = (struct ph_double_program){.graph = graph, .loss = request->loss};
    ph_status status = make(*program, request);
    if (status) ph_double_program_destroy(program);
    return status;
}

void ph_double_program_destroy(struct ph_double_program **program) {
    if (!program || !*program) return;
    ph_pool_finish(&(*program)->pool);
    ph_free(*program);
    *program = NULL;
}

double *ph_double_program_values(struct ph_double_program *program, int value) {
    return program->tensors[value].values;
}

const double *ph_double_program_gradient(const struct ph_double_program *program, int parameter) {
    return program->tensors[parameter].gradient;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

void ph_double_program_forward(struct ph_double_program *program) {
    for (int i = 0; i < program->step_count; i++) {
        const struct step *step = &program->steps[i];
        if (step->operation->is_view)
            memcpy(step->call.outputs[0], step->call.inputs[0],
                   (size_t)ph_shape_size(&step->call.output_shapes[0]) * sizeof(double));
        else
            step->operation->forward(&step->call);
    }
}

static void view_backward(const struct ph_call *call) {
    const double *from = call->output_gradients[0];
    double *to = call->input_gradients[0];
    for (int64_t i = 0; i < ph_shape_size(&call->output_shapes[0]); i++) to[i] += from[i];
}

void ph_double_program_backward(struct ph_double_program *program) {
    for (int v = 0; v < program->graph->value_count; v++) {
        double *gradient = program->tensors[v].gradient;
        int64_t size = ph_shape_size(&program->graph->values[v].shape);
        for (int64_t i = 0; i < size && gradient; i++) gradient[i] = v == program->loss;
    }
    for (int i = program->step_count - 1; i >= 0; i--) {
        const struct step *step = &program->steps[i];
        if (!step->live) continue;
        if (step->operation->is_view)
            view_backward(&step->call);
        else
            step->operation->backward(&step->call);
    }
}
