/* Normalisations: by stored statistics, and of rows by their own. */
#include "vulkan/kernels/kernels.h"

/* Scales and shifts are constants of a network. */
static bool norm_accepts(const struct ph_kernel_query *query) { return !query->backward || query->wanted == 1; }

static ph_status batch_norm_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_norm_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t count = ph_shape_size(shape), channels = shape->rank > 1 ? shape->dims[1] : 1;
    if (!count) return PH_OK;
    struct ph_words words = {0};
    ph_words_int(&words, count);
    for (int i = 0; i < 5; i++) ph_words_place(&words, recorder, call->inputs[i].data);
    ph_words_result(&words, recorder, call, backward);
    ph_words_int(&words, channels);
    ph_words_int(&words, count / shape->dims[0] / channels);
    ph_words_float(&words, a->epsilon);
    return ph_dispatch_flat(recorder, PH_SHADER_batch_norm, PH_CONSTANTS(backward), &words, count, false);
}

static ph_status batch_norm_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return batch_norm_put(call, recorder, false);
}

static ph_status batch_norm_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return batch_norm_put(call, recorder, true);
}

static bool row_norm_accepts(const struct ph_kernel_query *query) {
    static const struct ph_operation *const norms[] = {
        &ph_operation_instance_norm, &ph_operation_group_norm, &ph_operation_layer_norm, NULL};
    return ph_operation_index(norms, query->node->operation) >= 0 && norm_accepts(query);
}

static ph_status row_norm_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_norm_attributes *a = call->node->attributes;
    const struct ph_operation *operation = call->node->operation;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t count = ph_shape_size(shape), rows = 1, runs = 1, period = 1;
    if (!count) return PH_OK;
    if (operation == &ph_operation_layer_norm) {
        for (int i = 0; i < a->axis; i++) rows *= shape->dims[i];
        runs = count / rows;
    } else {
        period = operation == &ph_operation_group_norm ? a->groups : shape->dims[1];
        rows = shape->dims[0] * period;
        runs = shape->dims[1] / period;
    }
    struct ph_words words = {0};
    ph_words_int(&words, rows);
    ph_words_int(&words, count / rows);
    ph_words_int(&words, count / rows / runs);
    ph_words_int(&words, period);
    ph_words_place(&words, recorder, call->inputs[0].data);
    ph_words_place(&words, recorder, call->inputs[1].data);
    ph_words_place(&words, recorder, call->node->input_count > 2 ? call->inputs[2].data : NULL);
    ph_words_result(&words, recorder, call, backward);
    ph_words_float(&words, a->epsilon);
    return ph_dispatch_groups(recorder, PH_SHADER_row_norm, PH_CONSTANTS(backward), &words, rows, false);
}

static ph_status row_norm_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return row_norm_put(call, recorder, false);
}

static ph_status row_norm_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return row_norm_put(call, recorder, true);
}

PH_VULKAN_KERNEL(batch_norm) = {.name = "channels", .operation = &ph_operation_batch_norm, .accepts = norm_accepts,
                                .record = batch_norm_record};
PH_VULKAN_KERNEL(batch_norm_backward) = {.name = "channels", .operation = &ph_operation_batch_norm, .backward = true,
                                         .accepts = norm_accepts, .record = batch_norm_backward_record};
PH_VULKAN_KERNEL(row_norm) = {.name = "rows", .accepts = row_norm_accepts, .record = row_norm_record};
PH_VULKAN_KERNEL(row_norm_backward) = {.name = "rows", .backward = true, .accepts = row_norm_accepts,
                                       .record = row_norm_backward_record};
