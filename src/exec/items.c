/* Stretches of steps that a batch goes through item by item. Where the tensors of a whole batch are larger than the caches,
 * each step would fetch from memory what the one before has just put there; taken alone, an item's stay near. Kernels that
 * say so treat items one by one anyway, so that results are the same. */
#include "exec/plan.h"

/* Bytes that a step reads and writes from which on a batch is taken apart. Below, a whole layer keeps all threads busy and
 * its weights are fetched once for all items. */
static size_t large_step = 2 << 20;

void ph_items_force(bool on) { large_step = on ? 0 : 2 << 20; }

static size_t storage_bytes(const struct ph_plan *plan, int storage) {
    if (storage == PH_ABSENT || plan->storages[storage].external) return 0;
    return ph_layout_size(&plan->storages[storage].layout, &plan->storages[storage].shape) * sizeof(float);
}

/* Items of the tensor; 0 where it is no tensor of a batch. */
static int64_t items_of(const struct ph_plan *plan, int storage) {
    return plan->storages[storage].shape.rank > 1 ? plan->storages[storage].shape.dims[0] : 0;
}

struct walk { const struct ph_plan *plan; int64_t items; size_t bytes; bool fits; };

static void meet(struct walk *walk, int storage) {
    if (storage == PH_ABSENT || walk->plan->storages[storage].external) return;
    int64_t items = items_of(walk->plan, storage);
    if (items < 2 || (walk->items && items != walk->items)) walk->fits = false;
    walk->items = items;
    walk->bytes += storage_bytes(walk->plan, storage);
}

/* Items that the step can be run for one by one, 0 where it cannot; and whether it is large enough to begin or end a
 * stretch. */
static int64_t items_of_step(const struct ph_graph *graph, const struct ph_plan *plan, int index, bool *large) {
    const struct ph_step *step = &plan->steps[index];
    struct walk walk = {.plan = plan, .fits = true};
    *large = false;
    if (step->kind != PH_STEP_KERNEL || !step->kernel->by_item) return 0;
    const struct ph_node *node = &graph->nodes[step->node];
    for (int i = 0; i < node->input_count; i++) meet(&walk, step->inputs[i]), meet(&walk, step->input_gradients[i]);
    for (int i = 0; i < node->output_count; i++) meet(&walk, step->outputs[i]), meet(&walk, step->output_gradients[i]);
    meet(&walk, step->gate);
    *large = walk.bytes >= large_step;
    return walk.fits ? walk.items : 0;
}

/* What lives inside a stretch alone is dead before the next item's turn: all items have one memory. What lives beyond it
 * lives through all of it, for another item's turn may come before its first step or behind its last. */
static void storages_adapt(struct ph_plan *plan, int first, int end) {
    for (int i = 0; i < plan->storage_count; i++) {
        struct ph_storage *storage = &plan->storages[i], *root = &plan->storages[ph_storage_root(plan, i, NULL)];
        if (root->external || root->last < first || root->first >= end) continue;
        if (root->first >= first && root->last < end) storage->shape.dims[0] = 1;
        else if (storage == root) {
            storage->first = PH_MIN(storage->first, first);
            storage->last = PH_MAX(storage->last, end - 1);
        }
    }
}

void ph_items_find(const struct ph_graph *graph, struct ph_plan *plan) {
    for (int i = 0; i < plan->step_count;) {
        int first = i, behind = ++i; /* of the stretch, from its first large step to its last */
        bool large;
        int64_t items = items_of_step(graph, plan, first, &large);
        if (!items || !large) continue;
        for (; i < plan->step_count && plan->steps[i].backward == plan->steps[first].backward &&
               items_of_step(graph, plan, i, &large) == items; i++)
            if (large) behind = i + 1;
        if (behind == first + 1) continue;
        plan->steps[first].items = items;
        plan->steps[first].items_end = behind;
        storages_adapt(plan, first, behind);
    }
}

/* The operand's part for one item, with a shape of its own. */
static struct ph_operand part(const struct ph_operand *whole, int64_t n, struct ph_shape *shape) {
    struct ph_operand operand = *whole;
    *shape = *whole->shape;
    shape->dims[0] = 1;
    operand.shape = shape;
    if (whole->shape->dims[0] > 1)
        operand.data += n * (whole->layout.kind == PH_LAYOUT_BLOCKED ? whole->layout.item : ph_shape_size(shape));
    return operand;
}

/* Copies of `count` operands cut down to item n; constants stay whole. */
static ph_status parts_make(struct ph_plan *plan, const int *storages, struct ph_operand **operands, int count, int64_t n) {
    struct ph_operand *parts = ph_pool_alloc(&plan->pool, ((size_t)count + 1) * sizeof *parts);
    struct ph_shape *shapes = ph_pool_alloc(&plan->pool, ((size_t)count + 1) * sizeof *shapes);
    if (!parts || !shapes) return PH_ERROR_MEMORY;
    for (int i = 0; i < count; i++) {
        parts[i] = (*operands)[i];
        if (storages[i] != PH_ABSENT && !plan->storages[storages[i]].external)
            parts[i] = part(&(*operands)[i], n, &shapes[i]);
    }
    *operands = parts;
    return PH_OK;
}

static ph_status call_make(const struct ph_graph *graph, struct ph_plan *plan, const struct ph_step *step, int64_t n,
                           struct ph_kernel_call *call) {
    const struct ph_node *node = &graph->nodes[step->node];
    int in = node->input_count, out = node->output_count;
    *call = step->call;
    PH_TRY(parts_make(plan, step->inputs, &call->inputs, in, n));
    PH_TRY(parts_make(plan, step->outputs, &call->outputs, out, n));
    PH_TRY(parts_make(plan, step->input_gradients, &call->input_gradients, in, n));
    PH_TRY(parts_make(plan, step->output_gradients, &call->output_gradients, out, n));
    struct ph_operand *gate = &call->gate;
    PH_TRY(parts_make(plan, &step->gate, &gate, 1, n));
    call->gate = *gate;
    /* Kernels ask the plain call for sizes alone, of the tensors that are not stored too. */
    const struct ph_shape **inputs = ph_pool_alloc(&plan->pool, ((size_t)in + 1) * sizeof *inputs);
    struct ph_shape *shapes = ph_pool_alloc(&plan->pool, ((size_t)(in + out) + 1) * sizeof *shapes);
    if (!inputs || !shapes) return PH_ERROR_MEMORY;
    for (int i = 0; i < in; i++) {
        inputs[i] = step->call.plain.input_shapes[i];
        if (!inputs[i] || graph->values[node->inputs[i]].data) continue;
        shapes[i] = *inputs[i];
        shapes[i].dims[0] = 1;
        inputs[i] = &shapes[i];
    }
    for (int i = 0; i < out; i++) {
        shapes[in + i] = step->call.plain.output_shapes[i];
        shapes[in + i].dims[0] = 1;
    }
    call->plain.input_shapes = inputs;
    call->plain.output_shapes = shapes + in;
    return PH_OK;
}

ph_status ph_items_bind(const struct ph_graph *graph, struct ph_plan *plan) {
    for (int i = 0; i < plan->step_count; i++) {
        int64_t items = plan->steps[i].items;
        for (int s = i; items && s < plan->steps[i].items_end; s++) {
            struct ph_kernel_call *calls = ph_pool_alloc(&plan->pool, (size_t)items * sizeof *calls);
            ph_status status = calls ? PH_OK : PH_ERROR_MEMORY;
            for (int64_t n = 0; n < items && !status; n++) status = call_make(graph, plan, &plan->steps[s], n, &calls[n]);
            if (status) return ph_fail_memory(graph->context);
            plan->steps[s].item_calls = calls;
        }
    }
    return PH_OK;
}
