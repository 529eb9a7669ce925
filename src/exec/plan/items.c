/* Stretches of steps that a batch goes through item by item. Where the tensors of a whole batch are larger than the caches,
 * each step would fetch from memory what the one before has just put there; taken alone, an item's stay near. Kernels that
 * say so treat items one by one anyway, so that results are the same.
 *
 * Where every forward is followed by a backward, one stretch may hold both: an item goes through the network and back before
 * the next begins. What is in the way stands aside: steps that need nothing of the stretch, such as those that make the
 * gradient of a layer's mean, come before it, and those that need something of it and that nothing in it needs, such as the
 * mean itself, behind it.
 *
 * Where there are as many items as threads, each thread takes an item of its own through the stretch, in a lane with memory of
 * its own: it waits for nobody on the way, and reads from its own caches alone. */
#include "exec/plan.h"
#include "graph/operations.h"
#include <string.h>

/* Bytes that a step reads and writes from which on a stretch may begin or end with it. Where all are smaller, a whole layer
 * keeps all threads busy and its weights are fetched once for all items. */
static size_t large_step = 2 << 20;

void ph_items_force(bool on) { large_step = on ? 0 : 2 << 20; }

/* ---- What a step touches ----------------------------------------------------------------------------------------- */

/* Calls `meet` with every storage of the step. Kernels may cut off the gradient that they read where it stands. */
static void step_walk(const struct ph_graph *graph, const struct ph_step *step, void *argument,
                      void (*meet)(void *argument, int storage, bool writes)) {
    if (step->kind != PH_STEP_KERNEL) {
        meet(argument, step->from, false);
        meet(argument, step->to, true);
        return;
    }
    const struct ph_node *node = &graph->nodes[step->node];
    for (int i = 0; i < node->input_count; i++) {
        meet(argument, step->inputs[i], false);
        meet(argument, step->input_gradients[i], true);
    }
    for (int i = 0; i < step->output_count; i++) {
        meet(argument, step->outputs[i], !step->backward);
        meet(argument, step->output_gradients[i], true);
    }
    meet(argument, step->saved, !step->backward);
    meet(argument, step->gate, false);
    meet(argument, step->summand, false);
}

/* Items of the tensor; 0 where it is no tensor of a batch. */
static int64_t items_of(const struct ph_storage *storage) { return storage->shape.rank > 1 ? storage->shape.dims[0] : 0; }

struct measure { const struct ph_plan *plan; int64_t items; size_t bytes; bool fits; };

static void measure_meet(void *argument, int index, bool writes) {
    struct measure *measure = argument;
    const struct ph_storage *storage = index == PH_ABSENT ? NULL : &measure->plan->storages[index];
    (void)writes;
    if (!storage || storage->external) return;
    int64_t items = items_of(storage);
    if (items < 2 || (measure->items && items != measure->items)) measure->fits = false;
    measure->items = items;
    measure->bytes += ph_layout_size(&storage->layout, &storage->shape) * sizeof(float);
}

/* Constants stay whole when a step is cut to an item: filters and biases do for every item, others may have items too. */
static bool has_constant_items(const struct ph_graph *graph, const struct ph_node *node, int64_t items) {
    for (int i = 0; i < node->input_count && node->operation != &ph_operation_convolution; i++) {
        if (node->inputs[i] == PH_ABSENT) continue;
        const struct ph_value *input = &graph->values[node->inputs[i]];
        if (input->data && input->shape.rank > 1 && input->shape.dims[0] == items) return true;
    }
    return false;
}

/* Items that the step can be run for one by one, 0 where it cannot; and whether it is large enough to begin or end a
 * stretch. */
static int64_t items_of_step(const struct ph_graph *graph, const struct ph_plan *plan, const struct ph_step *step,
                             bool *large) {
    struct measure measure = {.plan = plan, .fits = true};
    step_walk(graph, step, &measure, measure_meet);
    *large = measure.bytes >= large_step;
    if (!measure.fits) return 0;
    if (step->kind != PH_STEP_KERNEL) return measure.items;
    return step->kernel->by_item && !has_constant_items(graph, &graph->nodes[step->node], measure.items) ? measure.items : 0;
}

/* ---- Finding stretches ------------------------------------------------------------------------------------------- */

enum { BEFORE, WITHIN, BEHIND, PLACES };

/* Where steps stand to the stretch that is looked for, and which storages those that stand there read and write. */
struct search {
    const struct ph_graph *graph;
    struct ph_plan *plan;
    unsigned char *place;            /* [steps] */
    unsigned char *touched[PLACES];  /* [storages], of roots: 1 read, 2 written */
    int at;                          /* place whose touches are looked for or noted */
    bool needs;
};

static void needs_meet(void *argument, int storage, bool writes) {
    struct search *search = argument;
    if (storage == PH_ABSENT) return;
    unsigned char touched = search->touched[search->at][ph_storage_root(search->plan, storage, NULL)];
    search->needs |= writes ? touched != 0 : (touched & 2) != 0;
}

static void note_meet(void *argument, int storage, bool writes) {
    struct search *search = argument;
    if (storage != PH_ABSENT) search->touched[search->at][ph_storage_root(search->plan, storage, NULL)] |= writes ? 2 : 1;
}

/* Whether the step must come behind those that stand at `place`. */
static bool needs(struct search *search, const struct ph_step *step, int place) {
    search->at = place;
    search->needs = false;
    step_walk(search->graph, step, search, needs_meet);
    return search->needs;
}

/* Places the steps first to end; the number within. The first must be one that can be. */
static int places_find(struct search *search, int first, int end, int64_t items) {
    struct ph_plan *plan = search->plan;
    int last = first, count = 0;
    for (int i = 0; i < PLACES; i++) memset(search->touched[i], 0, (size_t)plan->storage_count);
    for (int i = first; i < end; i++) {
        bool large, fits = items_of_step(search->graph, plan, &plan->steps[i], &large) == items;
        bool behind = needs(search, &plan->steps[i], BEHIND) || (!fits && needs(search, &plan->steps[i], WITHIN));
        search->place[i] = search->at = behind ? BEHIND : fits ? WITHIN : BEFORE;
        step_walk(search->graph, &plan->steps[i], search, note_meet);
        if (search->place[i] == WITHIN && large) last = i;
    }
    for (int i = first; i < end; i++) {
        if (i > last && search->place[i] == WITHIN) search->place[i] = BEHIND;
        count += search->place[i] == WITHIN;
    }
    return count;
}

/* Puts the steps in the order of their places; where those within begin. */
static ph_status steps_order(const struct search *search, int first, int end, int *begin) {
    struct ph_plan *plan = search->plan;
    struct ph_step *steps = ph_alloc_array((size_t)(end - first) + 1, sizeof *steps);
    if (!steps) return ph_fail_memory(search->graph->context);
    int count = 0;
    for (int place = 0; place < PLACES; place++) {
        if (place == WITHIN) *begin = first + count;
        for (int i = first; i < end; i++)
            if (search->place[i] == place) steps[count++] = plan->steps[i];
    }
    memcpy(plan->steps + first, steps, (size_t)count * sizeof *steps);
    ph_free(steps);
    return PH_OK;
}

/* Makes one of the steps first to end, or none; *next is where to look for another. */
static ph_status stretch_make(struct search *search, int first, int end, int *next) {
    struct ph_plan *plan = search->plan;
    bool large;
    int64_t items = items_of_step(search->graph, plan, &plan->steps[first], &large);
    *next = first + 1;
    if (!items || !large || plan->steps[first].kind != PH_STEP_KERNEL) return PH_OK;
    int count = places_find(search, first, end, items), begin;
    if (count < 2) return PH_OK;
    PH_TRY(steps_order(search, first, end, &begin));
    plan->steps[begin].items = items;
    *next = plan->steps[begin].items_end = begin + count;
    return PH_OK;
}

/* ---- Memory of stretches ----------------------------------------------------------------------------------------- */

struct touch { struct ph_plan *plan; int step; };

static void touch_meet(void *argument, int storage, bool writes) {
    struct touch *touch = argument;
    (void)writes;
    if (storage == PH_ABSENT) return;
    struct ph_storage *root = &touch->plan->storages[ph_storage_root(touch->plan, storage, NULL)];
    root->first = PH_MIN(root->first, touch->step);
    root->last = PH_MAX(root->last, touch->step);
}

/* The spans of steps that touch each storage, now that their order is another. What is kept throughout, or read after the
 * run, stays so. */
static void spans_renew(const struct ph_graph *graph, struct ph_plan *plan) {
    for (int i = 0; i < plan->storage_count; i++) {
        struct ph_storage *storage = &plan->storages[i];
        if (storage->last < plan->step_count) storage->last = -1;
        if (storage->last < INT32_MAX) storage->first = INT32_MAX;
    }
    for (int s = 0; s < plan->step_count; s++) step_walk(graph, &plan->steps[s], &(struct touch){plan, s}, touch_meet);
}

/* What lives inside a stretch alone is dead before the next item's turn: all items of a lane have one memory. What lives
 * beyond it lives through all of it, for another item's turn may come before its first step or behind its last. */
static void storages_adapt(struct ph_plan *plan, int first, int end) {
    for (int i = 0; i < plan->storage_count; i++) {
        struct ph_storage *storage = &plan->storages[i], *root = &plan->storages[ph_storage_root(plan, i, NULL)];
        if (root->external || root->last < first || root->first >= end) continue;
        if (root->first >= first && root->last < end) {
            storage->shape.dims[0] = 1;
            if (storage == root) storage->of_lane = plan->lanes > 1;
        } else if (storage == root) {
            storage->first = PH_MIN(storage->first, first);
            storage->last = PH_MAX(storage->last, end - 1);
        }
    }
}

/* Bytes of one item that a step of a lane may touch. With more, lanes push each other's tensors out of the last cache, and all
 * threads on one item are faster: measured with VGG-16, 26 MB; with 16 MB it makes no difference. */
static const size_t MOST_LANE_BYTES = 16 << 20;

/* Threads, if each can have an item. */
static int lanes_of(const struct ph_graph *graph, const struct ph_plan *plan) {
    int threads = graph->context->threads, lanes = 1;
    for (int i = 0; i < plan->step_count; i++) {
        int64_t items = plan->steps[i].items;
        if (items >= threads) lanes = threads;
        for (int s = i; items && s < plan->steps[i].items_end; s++) {
            struct measure measure = {.plan = plan};
            step_walk(graph, &plan->steps[s], &measure, measure_meet);
            if (measure.bytes / (size_t)items > MOST_LANE_BYTES) return 1;
        }
    }
    return lanes;
}

static ph_status stretches_find(struct search *search, bool whole) {
    struct ph_plan *plan = search->plan;
    for (int i = 0; i < plan->step_count;)
        PH_TRY(stretch_make(search, i, !whole && i < plan->forward_count ? plan->forward_count : plan->step_count, &i));
    return PH_OK;
}

ph_status ph_items_find(const struct ph_graph *graph, struct ph_plan *plan, bool whole) {
    struct search search = {.graph = graph, .plan = plan};
    size_t steps = (size_t)plan->step_count + 1, storages = (size_t)plan->storage_count + 1;
    search.place = ph_alloc_array(steps + PLACES * storages, sizeof *search.place);
    if (!search.place) return ph_fail_memory(graph->context);
    for (int i = 0; i < PLACES; i++) search.touched[i] = search.place + steps + (size_t)i * storages;
    ph_status status = stretches_find(&search, whole);
    ph_free(search.place);
    if (status) return status;
    spans_renew(graph, plan);
    plan->lanes = lanes_of(graph, plan);
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].items) storages_adapt(plan, i, plan->steps[i].items_end);
    return PH_OK;
}

/* ---- Steps of one item ------------------------------------------------------------------------------------------- */

int64_t ph_items_alone(const struct ph_plan *plan, int64_t items) { return plan->lanes > 1 ? items - items % plan->lanes : 0; }

/* The operand's part for one item, with a shape of its own. */
static struct ph_operand part(const struct ph_plan *plan, int storage, const struct ph_operand *whole, int64_t n,
                              struct ph_shape *shape) {
    struct ph_operand operand = *whole;
    *shape = *whole->shape;
    shape->dims[0] = 1;
    operand.shape = shape;
    if (whole->shape->dims[0] > 1)
        operand.data += n * (whole->layout.kind == PH_LAYOUT_BLOCKED ? whole->layout.item : ph_shape_size(shape));
    if (plan->storages[ph_storage_root(plan, storage, NULL)].of_lane)
        operand.data += n % plan->lanes * (int64_t)plan->lane_floats;
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
            parts[i] = part(plan, storages[i], &(*operands)[i], n, &shapes[i]);
    }
    *operands = parts;
    return PH_OK;
}

static ph_status call_make(const struct ph_graph *graph, struct ph_plan *plan, const struct ph_step *step, int64_t n,
                           bool alone, struct ph_kernel_call *call) {
    const struct ph_node *node = &graph->nodes[step->node];
    int in = node->input_count, out = step->output_count;
    *call = step->call;
    if (alone) call->scratch += n % plan->lanes * (int64_t)plan->item_scratch_floats;
    PH_TRY(parts_make(plan, step->inputs, &call->inputs, in, n));
    PH_TRY(parts_make(plan, step->outputs, &call->outputs, out, n));
    PH_TRY(parts_make(plan, step->input_gradients, &call->input_gradients, in, n));
    PH_TRY(parts_make(plan, step->output_gradients, &call->output_gradients, out, n));
    struct ph_operand *saved = &call->saved, *gate = &call->gate, *summand = &call->summand;
    PH_TRY(parts_make(plan, &step->saved, &saved, 1, n));
    PH_TRY(parts_make(plan, &step->gate, &gate, 1, n));
    PH_TRY(parts_make(plan, &step->summand, &summand, 1, n));
    call->saved = *saved;
    call->gate = *gate;
    call->summand = *summand;
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

/* The step as it is for item n. */
static ph_status step_cut(const struct ph_graph *graph, struct ph_plan *plan, const struct ph_step *whole, int64_t n,
                          bool alone, struct ph_step *step) {
    *step = *whole;
    if (step->kind == PH_STEP_KERNEL) return call_make(graph, plan, whole, n, alone, &step->call);
    struct ph_operand *from = &step->from_operand, *to = &step->to_operand;
    PH_TRY(parts_make(plan, &step->from, &from, 1, n));
    PH_TRY(parts_make(plan, &step->to, &to, 1, n));
    step->from_operand = *from;
    step->to_operand = *to;
    return PH_OK;
}

ph_status ph_items_bind(const struct ph_graph *graph, struct ph_plan *plan) {
    for (int i = 0; i < plan->step_count; i++) {
        int64_t items = plan->steps[i].items;
        for (int s = i; items && s < plan->steps[i].items_end; s++) {
            struct ph_step *steps = ph_pool_alloc(&plan->pool, (size_t)items * sizeof *steps);
            ph_status status = steps ? PH_OK : PH_ERROR_MEMORY;
            for (int64_t n = 0; n < items && !status; n++) 
                status = step_cut(graph, plan, &plan->steps[s], n, n < ph_items_alone(plan, items), &steps[n]);
            if (status) return ph_fail_memory(graph->context);
            plan->steps[s].item_steps = steps;
        }
    }
    return PH_OK;
}
