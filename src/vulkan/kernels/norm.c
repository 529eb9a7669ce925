/* Normalisations: by stored statistics, and of rows by their own. */
#include "vulkan/kernels/kernels.h"

/* Rows of runs of elements: those of a run share a scale and a bias, which repeat after a period of rows. */
struct rows { int64_t count, runs, run, period; };

/* Gradients by the scales and biases; means and spreads as the shader has them. */
static ph_status sums_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, const struct rows *rows, bool by_row,
                          uint32_t means, uint32_t spreads) {
    bool biased = call->node->input_count > 2;
    struct ph_words words = {0};
    ph_words_int(&words, rows->period * rows->runs);
    ph_words_int(&words, rows->count);
    ph_words_int(&words, rows->runs);
    ph_words_int(&words, rows->run);
    ph_words_int(&words, rows->period);
    ph_words_place(&words, recorder, call->inputs[0].data);
    ph_words_place(&words, recorder, call->output_gradients[0].data);
    ph_words_int(&words, means);
    ph_words_int(&words, spreads);
    ph_words_place(&words, recorder, call->input_gradients[1].data);
    ph_words_place(&words, recorder, biased ? call->input_gradients[2].data : NULL);
    ph_words_int(&words, call->accumulate[1] + (biased ? 2 * call->accumulate[2] : 0));
    ph_words_float(&words, ((const struct ph_norm_attributes *)call->node->attributes)->epsilon);
    return ph_dispatch_groups(recorder, PH_SHADER_norm_sums, PH_CONSTANTS(by_row), &words, rows->period * rows->runs, true);
}

static bool sums_wanted(const struct ph_kernel_call *call) {
    return call->input_gradients[1].data || (call->node->input_count > 2 && call->input_gradients[2].data);
}

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
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t channels = shape->rank > 1 ? shape->dims[1] : 1;
    struct rows rows = {shape->dims[0] * channels, 1, ph_channel_size(shape), channels};
    if (call->input_gradients[0].data) PH_TRY(batch_norm_put(call, recorder, true));
    return sums_wanted(call) ? sums_put(call, recorder, &rows, false, ph_recorder_place(recorder, call->inputs[3].data),
                                        ph_recorder_place(recorder, call->inputs[4].data))
                             : PH_OK;
}

static bool row_norm_accepts(const struct ph_kernel_query *query) {
    static const struct ph_operation *const norms[] = {
        &ph_operation_instance_norm, &ph_operation_group_norm, &ph_operation_layer_norm, NULL};
    return ph_operation_index(norms, query->node->operation) >= 0;
}

static struct rows rows_of(const struct ph_node *node, const struct ph_shape *shape) {
    const struct ph_norm_attributes *a = node->attributes;
    struct rows rows = {1, 1, 1, 1};
    if (node->operation == &ph_operation_layer_norm) {
        for (int i = 0; i < shape->rank; i++) *(i < a->axis ? &rows.count : &rows.runs) *= shape->dims[i];
        return rows;
    }
    rows.period = node->operation == &ph_operation_group_norm ? a->groups : shape->dims[1];
    rows.count = shape->dims[0] * rows.period;
    rows.runs = shape->dims[1] / rows.period;
    rows.run = ph_channel_size(shape);
    return rows;
}

enum { FORWARD, BACKWARD, STATISTICS }; /* in the order of the shader's forms; the last to the scratch */

static ph_status row_norm_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, int form) {
    struct rows rows = rows_of(call->node, call->plain.input_shapes[0]);
    struct ph_words words = {0};
    ph_words_int(&words, rows.count);
    ph_words_int(&words, rows.runs * rows.run);
    ph_words_int(&words, rows.run);
    ph_words_int(&words, rows.period);
    ph_words_place(&words, recorder, call->inputs[0].data);
    ph_words_place(&words, recorder, call->inputs[1].data);
    ph_words_place(&words, recorder, call->node->input_count > 2 ? call->inputs[2].data : NULL);
    if (form != STATISTICS) {
        ph_words_result(&words, recorder, call, form == BACKWARD);
    } else {
        ph_words_place(&words, recorder, call->scratch);
        ph_words_place(&words, recorder, NULL);
        ph_words_int(&words, 0);
    }
    ph_words_float(&words, ((const struct ph_norm_attributes *)call->node->attributes)->epsilon);
    return ph_dispatch_groups(recorder, PH_SHADER_row_norm, PH_CONSTANTS(form), &words, rows.count, false);
}

/* Statistics of the rows, where gradients of the parameters are made of them. */
static size_t row_norm_scratch(const struct ph_kernel_query *query) {
    return query->wanted > 1 ? 2 * (size_t)rows_of(query->node, ph_query_input(query, 0)).count : 0;
}

static ph_status row_norm_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return row_norm_put(call, recorder, FORWARD);
}

static ph_status row_norm_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    struct rows rows = rows_of(call->node, call->plain.input_shapes[0]);
    if (call->input_gradients[0].data) PH_TRY(row_norm_put(call, recorder, BACKWARD));
    if (!sums_wanted(call)) return PH_OK;
    PH_TRY(row_norm_put(call, recorder, STATISTICS));
    uint32_t means = ph_recorder_place(recorder, call->scratch);
    return sums_put(call, recorder, &rows, true, means, means + (uint32_t)rows.count);
}

PH_VULKAN_KERNEL(batch_norm) = {.name = "channels", .operation = &ph_operation_batch_norm,
                                .record = batch_norm_record};
PH_VULKAN_KERNEL(batch_norm_backward) = {.name = "channels", .operation = &ph_operation_batch_norm, .backward = true,
                                         .record = batch_norm_backward_record};
PH_VULKAN_KERNEL(row_norm) = {.name = "rows", .accepts = row_norm_accepts, .record = row_norm_record};
PH_VULKAN_KERNEL(row_norm_backward) = {.name = "rows", .backward = true, .accepts = row_norm_accepts,
                                       .scratch = row_norm_scratch, .record = row_norm_backward_record};
