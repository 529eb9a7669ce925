/* Pools and local response normalisation: what looks at a window of elements. */
#include "vulkan/kernels/kernels.h"

static bool pool_accepts(const struct ph_kernel_query *query) {
    static const struct ph_operation *const pools[] = {
        &ph_operation_max_pool, &ph_operation_average_pool, &ph_operation_softened_max_pool, NULL};
    return ph_operation_index(pools, query->node->operation) >= 0;
}

static ph_status pool_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_pool_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0], *out = &call->plain.output_shapes[0];
    const struct ph_operation *operation = call->node->operation;
    bool maximum = operation == &ph_operation_max_pool || (operation == &ph_operation_softened_max_pool && !backward);
    bool padded = operation == &ph_operation_average_pool && a->divisor == PH_DIVIDE_PADDED;
    int64_t count = ph_shape_size(backward ? in : out);
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_place(&words, recorder, call->inputs[0].data);
    ph_words_result(&words, recorder, call, backward);
    ph_words_spatial(&words, in);
    ph_words_spatial(&words, out);
    const int64_t *const windows[] = {a->kernel, a->stride, a->dilation, a->pad_begin, a->pad_end};
    for (int i = 0; i < PH_COUNT(windows); i++) ph_words_window(&words, windows[i]);
    return ph_dispatch_flat(recorder, PH_SHADER_pool, PH_CONSTANTS(maximum, backward, padded, ph_has_depth(in)), &words, count,
                            false);
}

static ph_status pool_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return pool_put(call, recorder, false);
}

static ph_status pool_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return pool_put(call, recorder, true);
}

static ph_status response_norm_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_response_norm_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t count = ph_shape_size(shape), width = shape->rank > 2 ? shape->dims[shape->rank - 1] : 1;
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_place(&words, recorder, call->inputs[0].data);
    ph_words_result(&words, recorder, call, backward);
    ph_words_int(&words, shape->dims[1]);
    ph_words_int(&words, ph_channel_size(shape) / PH_MAX(width, 1));
    ph_words_int(&words, width);
    ph_words_int(&words, (a->size - 1) / 2);
    ph_words_int(&words, a->size / 2);
    ph_words_float(&words, a->alpha / (double)(a->within_channel ? a->size * a->size : a->size));
    ph_words_float(&words, a->beta);
    ph_words_float(&words, a->bias);
    return ph_dispatch_flat(recorder, PH_SHADER_response_norm, PH_CONSTANTS(backward, a->within_channel), &words, count, false);
}

static ph_status response_norm_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return response_norm_put(call, recorder, false);
}

static ph_status response_norm_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return response_norm_put(call, recorder, true);
}

PH_VULKAN_KERNEL(pool) = {.name = "window", .accepts = pool_accepts, .record = pool_record};
PH_VULKAN_KERNEL(pool_backward) = {.name = "gather", .backward = true, .accepts = pool_accepts,
                                   .record = pool_backward_record};
PH_VULKAN_KERNEL(response_norm) = {.name = "window", .operation = &ph_operation_local_response_norm,
                                   .record = response_norm_record};
PH_VULKAN_KERNEL(response_norm_backward) = {.name = "gather", .operation = &ph_operation_local_response_norm,
    .backward = true, .record = response_norm_backward_record};
