/* Reductions over a set of axes, and softmax with its kin. */
#include "vulkan/kernels/kernels.h"
#include <string.h>

/* ---- Sums over what a tensor is broadcast along ------------------------------------------------------------------ */

/* Tensors x and y of a walk over x, whose other places are as the shader's block says. */
struct reduction {
    int32_t constants[PH_SHADER_CONSTANTS];
    uint32_t x, y, dy, dx;
    double scale;
    bool add, waits;
};

static ph_status reduction_put(struct ph_recorder *recorder, const struct ph_walk *walk, const struct reduction *r) {
    struct ph_walk outer, inner;
    int64_t reduced = ph_walk_split(walk, 1, &outer, &inner), count = 1;
    for (int i = 0; i < outer.rank; i++) count *= outer.dims[i];
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_int(&words, r->x);
    ph_words_int(&words, r->y);
    ph_words_int(&words, r->dy);
    ph_words_int(&words, r->dx);
    ph_words_int(&words, r->add);
    ph_words_float(&words, r->scale);
    ph_words_axes(&words, outer.dims, outer.rank, PH_REDUCE_RANK, 1);
    ph_words_axes(&words, outer.stride[0], outer.rank, PH_REDUCE_RANK, 0);
    ph_words_axes(&words, outer.stride[1], outer.rank, PH_REDUCE_RANK, 0);
    ph_words_int(&words, reduced);
    ph_words_axes(&words, inner.dims, inner.rank, PH_REDUCE_RANK, 1);
    ph_words_axes(&words, inner.stride[0], inner.rank, PH_REDUCE_RANK, 0);
    return ph_dispatch_groups(recorder, PH_SHADER_reduce, r->constants, &words, count, r->waits);
}

ph_status ph_sum_record(struct ph_recorder *recorder, const struct ph_walk *walk, uint32_t from, uint32_t to, double scale,
                        bool add, bool waits) {
    struct reduction sum = {.x = from, .y = to, .dy = PH_NOWHERE, .dx = PH_NOWHERE, .scale = scale, .add = add,
                            .waits = waits};
    return reduction_put(recorder, walk, &sum);
}

/* ---- Reductions -------------------------------------------------------------------------------------------------- */

/* In the order of the shader's functions. */
static const struct ph_operation *const reductions[] = {
    &ph_operation_reduce_sum, &ph_operation_reduce_l1, &ph_operation_reduce_l2, &ph_operation_reduce_sum_square,
    &ph_operation_reduce_log_sum, &ph_operation_reduce_log_sum_exp, &ph_operation_reduce_prod, &ph_operation_reduce_max,
    &ph_operation_reduce_min, &ph_operation_argmax, &ph_operation_argmin, NULL};

static bool is_mean(const struct ph_operation *operation) {
    return operation == &ph_operation_reduce_mean || operation == &ph_operation_global_average_pool;
}

/* A mean is a scaled sum. */
static int reduction_index(const struct ph_operation *operation) {
    if (is_mean(operation)) operation = &ph_operation_reduce_sum;
    if (operation == &ph_operation_global_max_pool) operation = &ph_operation_reduce_max;
    return ph_operation_index(reductions, operation);
}

/* The result's shape with the axes that are gone as 1. */
static struct ph_shape kept_shape(const struct ph_node *node, const struct ph_shape *x) {
    struct ph_shape shape = *x;
    if (node->operation == &ph_operation_global_average_pool || node->operation == &ph_operation_global_max_pool) {
        for (int i = 2; i < shape.rank; i++) shape.dims[i] = 1;
        return shape;
    }
    const struct ph_reduce_attributes *a = node->attributes;
    for (int i = 0; i < (a->axis_count ? a->axis_count : shape.rank); i++) shape.dims[a->axis_count ? a->axes[i] : i] = 1;
    return shape;
}

static struct ph_walk reduce_walk(const struct ph_node *node, const struct ph_shape *x) {
    struct ph_shape y = kept_shape(node, x);
    return ph_walk_begin(x, (const struct ph_shape *const[]){x, &y}, 2);
}

static bool reduce_accepts(const struct ph_kernel_query *query) {
    return reduction_index(query->node->operation) >= 0 && ph_shape_size(ph_query_input(query, 0));
}

static struct reduction reduction_of(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_operation *operation = call->node->operation;
    bool places = operation == &ph_operation_argmax || operation == &ph_operation_argmin;
    double reduced = (double)ph_shape_size(call->plain.input_shapes[0]) / (double)ph_shape_size(&call->plain.output_shapes[0]);
    return (struct reduction){
        .constants = {reduction_index(operation), backward,
                      places && ((const struct ph_reduce_attributes *)call->node->attributes)->last_index},
        .scale = is_mean(operation) ? 1 / reduced : 1,
        .x = ph_recorder_place(recorder, call->inputs[0].data), .y = ph_recorder_place(recorder, call->outputs[0].data),
        .dy = backward ? ph_recorder_place(recorder, call->output_gradients[0].data) : PH_NOWHERE,
        .dx = backward ? ph_recorder_place(recorder, call->input_gradients[0].data) : PH_NOWHERE,
        .add = backward && call->accumulate[0]};
}

static ph_status reduce_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    struct ph_walk walk = reduce_walk(call->node, call->plain.input_shapes[0]);
    struct reduction r = reduction_of(call, recorder, false);
    return reduction_put(recorder, &walk, &r);
}

/* Of sums and means every element gets the same: a copy does that. */
static ph_status reduce_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    struct ph_walk walk = reduce_walk(call->node, call->plain.input_shapes[0]);
    struct reduction r = reduction_of(call, recorder, true);
    if (r.constants[0] != 0) return reduction_put(recorder, &walk, &r);
    struct ph_copy copy = {.rank = walk.rank, .scale = r.scale, .from = r.dy, .to = r.dx, .add = r.add};
    memcpy(copy.dims, walk.dims, sizeof copy.dims);
    memcpy(copy.from_stride, walk.stride[1], sizeof copy.from_stride);
    memcpy(copy.to_stride, walk.stride[0], sizeof copy.to_stride);
    return ph_copy_record(recorder, &copy);
}

/* ---- Softmax ----------------------------------------------------------------------------------------------------- */

/* In the order of the shader's forms. */
static const struct ph_operation *const softmaxes[] = {
    &ph_operation_softmax, &ph_operation_log_softmax, &ph_operation_hardmax, NULL};

static bool softmax_accepts(const struct ph_kernel_query *query) {
    return ph_operation_index(softmaxes, query->node->operation) >= 0;
}

static ph_status softmax_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_softmax_attributes *a = call->node->attributes;
    const struct ph_shape *shape = &call->plain.output_shapes[0];
    int64_t outer = 1, count = 1, stride = 1;
    for (int i = 0; i < shape->rank; i++) *(i < a->axis ? &outer : i < a->end_axis ? &count : &stride) *= shape->dims[i];
    struct ph_words words = {0};
    if (!count) return PH_OK;
    ph_words_int(&words, outer * stride);
    ph_words_place(&words, recorder, backward ? call->output_gradients[0].data : call->inputs[0].data);
    ph_words_place(&words, recorder, call->outputs[0].data);
    ph_words_place(&words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_int(&words, count);
    ph_words_int(&words, stride);
    const int32_t constants[PH_SHADER_CONSTANTS] = {backward, ph_operation_index(softmaxes, call->node->operation)};
    return ph_dispatch_groups(recorder, PH_SHADER_softmax, constants, &words, outer * stride, false);
}

static ph_status softmax_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return softmax_put(call, recorder, false);
}

static ph_status softmax_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return softmax_put(call, recorder, true);
}

/* ---- The kernels ------------------------------------------------------------------------------------------------- */

PH_VULKAN_KERNEL(reduce) = {.name = "reduce", .accepts = reduce_accepts, .record = reduce_record};
PH_VULKAN_KERNEL(reduce_backward) = {.name = "spread", .backward = true, .accepts = reduce_accepts,
                                     .record = reduce_backward_record};
PH_VULKAN_KERNEL(softmax) = {.name = "rows", .accepts = softmax_accepts, .record = softmax_record};
PH_VULKAN_KERNEL(softmax_backward) = {.name = "rows", .backward = true, .accepts = softmax_accepts,
                                      .record = softmax_backward_record};
