/* Copies between strided tensors, and the operations that are nothing else: concatenation, slices, transposition. */
#include "vulkan/kernels/kernels.h"

/* Axes that both tensors go through as one become one: an element's place costs a division for each. */
static struct ph_copy copy_merged(const struct ph_copy *copy) {
    struct ph_copy merged = *copy;
    merged.rank = 0;
    for (int i = 0; i < copy->rank; i++) {
        int last = merged.rank - 1;
        if (copy->dims[i] == 1) continue;
        bool joins = last >= 0 && merged.from_stride[last] == copy->from_stride[i] * copy->dims[i] &&
                     merged.to_stride[last] == copy->to_stride[i] * copy->dims[i];
        int at = joins ? last : merged.rank++;
        merged.dims[at] = copy->dims[i] * (joins ? merged.dims[at] : 1);
        merged.from_stride[at] = copy->from_stride[i];
        merged.to_stride[at] = copy->to_stride[i];
    }
    return merged;
}

ph_status ph_copy_record(struct ph_recorder *recorder, const struct ph_copy *whole) {
    const struct ph_copy merged = copy_merged(whole), *copy = &merged;
    struct ph_words words = {0};
    int64_t count = 1;
    for (int i = 0; i < copy->rank; i++) count *= copy->dims[i];
    ph_words_int(&words, count);
    ph_words_int(&words, copy->from);
    ph_words_int(&words, copy->to);
    ph_words_int(&words, copy->add);
    ph_words_float(&words, copy->scale);
    ph_words_float(&words, copy->constant);
    ph_words_axes(&words, copy->dims, copy->rank, PH_COPY_RANK, 1);
    ph_words_axes(&words, copy->from_stride, copy->rank, PH_COPY_RANK, 0);
    ph_words_axes(&words, copy->to_stride, copy->rank, PH_COPY_RANK, 0);
    return ph_dispatch_flat(recorder, PH_SHADER_copy, PH_CONSTANTS(copy->rank), &words, count, copy->waits);
}

struct ph_copy ph_copy_flat(uint32_t from, uint32_t to, int64_t count) {
    return (struct ph_copy){.rank = 1, .dims = {count}, .from_stride = {1}, .to_stride = {1}, .from = from, .to = to, .scale = 1};
}

ph_status ph_vulkan_copy(struct ph_recorder *recorder, const struct ph_operand *from, const struct ph_operand *to, bool add) {
    struct ph_copy copy = ph_copy_flat(from ? ph_recorder_place(recorder, from->data) : PH_NOWHERE,
                                 ph_recorder_place(recorder, to->data), ph_shape_size(to->shape));
    copy.add = add;
    return ph_copy_record(recorder, &copy);
}

ph_status ph_fill(struct ph_recorder *recorder, const struct ph_operand *to, double value) {
    struct ph_copy copy = ph_copy_flat(PH_NOWHERE, ph_recorder_place(recorder, to->data), ph_shape_size(to->shape));
    copy.constant = value;
    return ph_copy_record(recorder, &copy);
}

static void strides_of(const struct ph_shape *shape, int64_t stride[PH_MAX_RANK]) {
    int64_t next = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = next;
        next *= shape->dims[i];
    }
}

/* A box of two tensors of the same rank: `small` begins at `start` of `large`, `step` apart. Copies from one to the other. */
static ph_status box_copy(struct ph_recorder *recorder, const struct ph_operand *large, const struct ph_operand *small,
                          const int64_t *start, const int64_t *step, bool into_small, bool add, bool waits) {
    int64_t large_stride[PH_MAX_RANK], small_stride[PH_MAX_RANK];
    strides_of(large->shape, large_stride);
    strides_of(small->shape, small_stride);
    uint32_t large_place = ph_recorder_place(recorder, large->data), small_place = ph_recorder_place(recorder, small->data);
    struct ph_copy copy = {.rank = small->shape->rank, .scale = 1, .add = add, .waits = waits};
    for (int i = 0; i < copy.rank; i++) {
        large_place += (uint32_t)(start[i] * large_stride[i]);
        copy.dims[i] = small->shape->dims[i];
        int64_t along = large_stride[i] * (step ? step[i] : 1);
        copy.from_stride[i] = into_small ? along : small_stride[i];
        copy.to_stride[i] = into_small ? small_stride[i] : along;
    }
    copy.from = into_small ? large_place : small_place;
    copy.to = into_small ? small_place : large_place;
    return ph_copy_record(recorder, &copy);
}

static ph_status concat_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    int64_t start[PH_MAX_RANK] = {0}, axis = ((const struct ph_axis_attributes *)call->node->attributes)->axis;
    for (int i = 0; i < call->node->input_count; i++) {
        PH_TRY(box_copy(recorder, &call->outputs[0], &call->inputs[i], start, NULL, false, false, false));
        start[axis] += call->inputs[i].shape->dims[axis];
    }
    return PH_OK;
}

static ph_status concat_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    int64_t start[PH_MAX_RANK] = {0}, axis = ((const struct ph_axis_attributes *)call->node->attributes)->axis;
    for (int i = 0; i < call->node->input_count; i++) {
        /* An input may be there twice. */
        if (call->input_gradients[i].data)
            PH_TRY(box_copy(recorder, &call->output_gradients[0], &call->input_gradients[i], start, NULL, true,
                            call->accumulate[i], call->accumulate[i]));
        start[axis] += call->inputs[i].shape->dims[axis];
    }
    return PH_OK;
}

static ph_status slice_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_slice_attributes *a = call->node->attributes;
    return box_copy(recorder, &call->inputs[0], &call->outputs[0], a->start, a->step, true, false, false);
}

static ph_status slice_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_slice_attributes *a = call->node->attributes;
    if (!call->accumulate[0]) PH_TRY(ph_fill(recorder, &call->input_gradients[0], 0));
    return box_copy(recorder, &call->input_gradients[0], &call->output_gradients[0], a->start, a->step, false, true, true);
}

static ph_status split_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_split_attributes *a = call->node->attributes;
    int64_t start[PH_MAX_RANK] = {0};
    for (int i = 0; i < call->node->output_count; i++) {
        PH_TRY(box_copy(recorder, &call->inputs[0], &call->outputs[i], start, NULL, true, false, false));
        start[a->axis] += call->outputs[i].shape->dims[a->axis];
    }
    return PH_OK;
}

static ph_status split_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_split_attributes *a = call->node->attributes;
    int64_t start[PH_MAX_RANK] = {0};
    if (!call->accumulate[0]) PH_TRY(ph_fill(recorder, &call->input_gradients[0], 0));
    for (int i = 0; i < call->node->output_count; i++) {
        if (call->output_gradients[i].data)
            PH_TRY(box_copy(recorder, &call->input_gradients[0], &call->output_gradients[i], start, NULL, false, true, true));
        start[a->axis] += call->plain.output_shapes[i].dims[a->axis];
    }
    return PH_OK;
}

static ph_status transpose_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_transpose_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0], *out = &call->plain.output_shapes[0];
    int64_t in_stride[PH_MAX_RANK], out_stride[PH_MAX_RANK];
    strides_of(in, in_stride);
    strides_of(out, out_stride);
    struct ph_copy copy = {.rank = out->rank, .scale = 1, .add = backward && call->accumulate[0]};
    for (int i = 0; i < out->rank; i++) {
        copy.dims[i] = out->dims[i];
        copy.from_stride[i] = backward ? out_stride[i] : in_stride[a->order[i]];
        copy.to_stride[i] = backward ? in_stride[a->order[i]] : out_stride[i];
    }
    copy.from = ph_recorder_place(recorder, backward ? call->output_gradients[0].data : call->inputs[0].data);
    copy.to = ph_recorder_place(recorder, backward ? call->input_gradients[0].data : call->outputs[0].data);
    return ph_copy_record(recorder, &copy);
}

static ph_status transpose_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return transpose_put(call, recorder, false);
}

static ph_status transpose_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return transpose_put(call, recorder, true);
}

/* From item n of x its channel, or one element of that; or the other way. */
static ph_status pick_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_pick_attributes *a = call->node->attributes;
    const struct ph_shape *x = call->plain.input_shapes[0];
    int64_t items = x->dims[0], channels = x->dims[1], plane = items && channels ? ph_shape_size(x) / items / channels : 0;
    int64_t size = a->position ? 1 : plane;
    uint32_t large = ph_recorder_place(recorder, backward ? call->input_gradients[0].data : call->inputs[0].data);
    uint32_t small = ph_recorder_place(recorder, backward ? call->output_gradients[0].data : call->outputs[0].data);
    for (int64_t n = 0; n < items; n++) {
        int64_t element = (n * channels + a->channels[n]) * plane;
        if (a->position) element += a->rows[n] * x->dims[3] + a->columns[n];
        uint32_t there = large + (uint32_t)element, here = small + (uint32_t)(n * size);
        struct ph_copy copy = ph_copy_flat(backward ? here : there, backward ? there : here, size);
        copy.add = backward;
        copy.waits = backward && n == 0;
        PH_TRY(ph_copy_record(recorder, &copy));
    }
    return PH_OK;
}

static ph_status pick_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return pick_put(call, recorder, false);
}

static ph_status pick_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    if (!call->accumulate[0]) PH_TRY(ph_fill(recorder, &call->input_gradients[0], 0));
    return pick_put(call, recorder, true);
}

/* ---- The kernels ------------------------------------------------------------------------------------------------- */

#define COPY_KERNEL(label) \
    PH_VULKAN_KERNEL(label) = {.name = "copy", .operation = &ph_operation_##label, .record = label##_record}; \
    PH_VULKAN_KERNEL(label##_backward) = {.name = "copy", .operation = &ph_operation_##label, .backward = true, \
                                          .record = label##_backward_record}

COPY_KERNEL(concat);
COPY_KERNEL(slice);
COPY_KERNEL(split);
COPY_KERNEL(transpose);
COPY_KERNEL(pick);
