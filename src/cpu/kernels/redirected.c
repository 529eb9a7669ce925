/* Rectifiers of blocked tensors whose gradient is not the plain one: redirected ReLU and clip, and ruled clip. Whether the
 * plain rule passes anything is a question to a whole batch item, so the backward goes over it twice: one loop asks, the next
 * writes. */
#include "cpu/kernels/blocked.h"
#include <math.h>
#include <stdatomic.h>

struct redirected {
    const struct ph_kernel_call *call;
    float low, high;
    int64_t blocks;
    _Atomic bool alive[PH_MAX_BATCH]; /* set by any task that finds a passing element: the order does not matter */
};

static void redirected_start(const struct ph_kernel_call *call, struct redirected *r) {
    const struct ph_activation_attributes *a = call->node->attributes;
    bool relu = call->node->operation == &ph_operation_redirected_relu;
    *r = (struct redirected){.call = call, .low = relu ? 0 : (float)a->low, .high = relu ? HUGE_VALF : (float)a->high,
        .blocks = blocks_of(call->plain.input_shapes[0]->dims[1])};
}

static void forward_block(void *argument, int64_t index) {
    const struct redirected *r = argument;
    const struct ph_operand *in = &r->call->inputs[0], *out = &r->call->outputs[0];
    const float *from = block_of_task(in, index);
    float *to = block_of_task(out, index);
    for (int64_t y = 0; y < in->shape->dims[2]; y++)
        for (int64_t x = 0; x < in->shape->dims[3] * PH_LANES; x += PH_LANES) {
            vector value = maximum(splat(r->low), load(from + y * in->layout.row + x));
            store(to + y * out->layout.row + x, where(value > splat(r->high), splat(r->high), value));
        }
}

static bool any(vector_int mask) {
    vector_int nothing = {0};
    return memcmp(&mask, &nothing, sizeof mask) != 0;
}

static void ask_block(void *argument, int64_t index) {
    struct redirected *r = argument;
    int64_t n = index / r->blocks;
    const struct ph_operand *in = &r->call->inputs[0], *gradient = &r->call->output_gradients[0];
    const float *from = block_of_task(in, index), *g = block_of_task(gradient, index);
    for (int64_t y = 0; y < in->shape->dims[2]; y++) {
        if (atomic_load_explicit(&r->alive[n], memory_order_relaxed)) return;
        vector_int passes = {0};
        for (int64_t x = 0; x < in->shape->dims[3] * PH_LANES; x += PH_LANES) {
            vector value = load(from + y * in->layout.row + x);
            passes |= (value > splat(r->low)) & (value < splat(r->high)) &
                      (load(g + y * gradient->layout.row + x) != (vector){0});
        }
        if (any(passes)) atomic_store_explicit(&r->alive[n], true, memory_order_relaxed);
    }
}

/* Which elements pass the gradient that comes, `share`. */
typedef vector_int passes_function(const struct redirected *r, bool alive, vector value, vector share);

PH_INLINE void block_pass(const struct redirected *r, int64_t index, passes_function *passes) {
    bool alive = atomic_load_explicit(&r->alive[index / r->blocks], memory_order_relaxed);
    const struct ph_operand *in = &r->call->inputs[0], *gradient = &r->call->output_gradients[0];
    const struct ph_operand *result = &r->call->input_gradients[0];
    const float *from = block_of_task(in, index), *g = block_of_task(gradient, index);
    float *to = block_of_task(result, index);
    for (int64_t y = 0; y < in->shape->dims[2]; y++)
        for (int64_t x = 0; x < in->shape->dims[3] * PH_LANES; x += PH_LANES) {
            vector value = load(from + y * in->layout.row + x), share = load(g + y * gradient->layout.row + x);
            share = where(passes(r, alive, value, share), share, (vector){0});
            float *target = to + y * result->layout.row + x;
            store(target, r->call->accumulate[0] ? load(target) + share : share);
        }
}

PH_INLINE vector_int redirected_passes(const struct redirected *r, bool alive, vector value, vector share) {
    return alive ? (value > splat(r->low)) & (value < splat(r->high))
                 : ((value < splat(r->low)) & (share < (vector){0})) | ((value > splat(r->high)) & (share > (vector){0}));
}

static void backward_block(void *argument, int64_t index) { block_pass(argument, index, redirected_passes); }

PH_INLINE vector_int ruled_passes(const struct redirected *r, bool alive, vector value, vector share) {
    enum ph_backward_rule rule = ((const struct ph_activation_attributes *)r->call->node->attributes)->rule;
    vector_int active = (value > splat(r->low)) & (value < splat(r->high)), raises = share < (vector){0};
    (void)alive;
    return rule == PH_RULE_PLAIN ? active : rule == PH_RULE_GUIDED ? active & raises : raises;
}

static void ruled_block(void *argument, int64_t index) { block_pass(argument, index, ruled_passes); }

static bool accepts(const struct ph_kernel_query *query) {
    if (!first_is_blockable(query)) return false;
    const struct ph_shape *shape = &query->graph->values[query->node->inputs[0]].shape;
    const struct ph_activation_attributes *a = query->node->attributes;
    /* The spare lanes stay zero only if zero does. */
    bool keeps_zero = query->node->operation == &ph_operation_redirected_relu || (a->low <= 0 && a->high >= 0) ||
                      shape->dims[1] % PH_LANES == 0;
    return keeps_zero && shape->dims[0] <= PH_MAX_BATCH;
}

static int64_t tasks_of(const struct redirected *r) { return r->call->plain.input_shapes[0]->dims[0] * r->blocks; }

static void forward_run(const struct ph_kernel_call *call) {
    struct redirected r;
    redirected_start(call, &r);
    ph_parallel_for(call->context, tasks_of(&r), forward_block, &r);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct redirected r;
    redirected_start(call, &r);
    ph_parallel_for(call->context, tasks_of(&r), ask_block, &r);
    ph_parallel_for(call->context, tasks_of(&r), backward_block, &r);
}

static void ruled_run(const struct ph_kernel_call *call) {
    struct redirected r;
    redirected_start(call, &r);
    ph_parallel_for(call->context, tasks_of(&r), ruled_block, &r);
}

#define REDIRECTED_KERNELS(op, backward_function)                                                                        \
    const struct ph_kernel PH_KERNEL(ph_##op##_forward) = {.name = "blocked", .operation = &ph_operation_##op,           \
        .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,                    \
        .run = forward_run};                                                                                             \
    const struct ph_kernel PH_KERNEL(ph_##op##_backward) = {.name = "blocked", .operation = &ph_operation_##op,          \
        .by_item = true, .backward = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,  \
        .run = backward_function};
REDIRECTED_KERNELS(redirected_relu, backward_run)
REDIRECTED_KERNELS(redirected_clip, backward_run)
REDIRECTED_KERNELS(ruled_clip, ruled_run)
