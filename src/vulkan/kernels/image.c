/* The picture side: the affine warp, and the transform from a spectrum to a picture. */
#include "vulkan/kernels/kernels.h"
#include <math.h>
#include <string.h>

static ph_status warp_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_warp_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t count = ph_shape_size(backward ? shape : &call->plain.output_shapes[0]);
    int border = a->border == PH_BORDER_CONSTANT ? 0 : a->border == PH_BORDER_REFLECT ? 1 : 2;
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_place(&words, recorder, backward ? NULL : call->inputs[0].data);
    ph_words_place(&words, recorder, call->inputs[1].data);
    ph_words_result(&words, recorder, call, backward);
    for (int i = 1; i < 4; i++) ph_words_int(&words, shape->dims[i]);
    ph_words_int(&words, a->height);
    ph_words_int(&words, a->width);
    ph_words_float(&words, a->fill);
    return ph_dispatch_flat(recorder, PH_SHADER_warp, PH_CONSTANTS(backward, border), &words, count, false);
}

static ph_status warp_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return warp_put(call, recorder, false);
}

static ph_status warp_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return warp_put(call, recorder, true);
}

static size_t fourier_scratch(const struct ph_kernel_query *query) { return (size_t)ph_shape_size(ph_query_input(query, 0)); }

/* cos and sin of every multiple of a full turn's n-th part. */
static ph_status turns_make(const struct ph_kernel_call *call, struct ph_recorder *recorder, int64_t n, uint32_t *place) {
    const double pi = 3.14159265358979323846;
    float *turns = ph_alloc_array((size_t)n, 2 * sizeof *turns);
    if (!turns) return ph_fail_memory((ph_context *)call->context);
    for (int64_t i = 0; i < n; i++) {
        turns[2 * i] = (float)cos(2 * pi * (double)i / (double)n);
        turns[2 * i + 1] = (float)sin(2 * pi * (double)i / (double)n);
    }
    ph_status status = ph_recorder_table(recorder, turns, 2 * (size_t)n, place);
    ph_free(turns);
    return status;
}

/* One axis, in the order of the shader's block; strides in numbers, complex ones counted once. */
struct transform {
    uint32_t source, target, turns;
    bool add;
    int64_t planes, lines, read, written, length, read_stride, written_stride, line_read, line_written, plane_read,
        plane_written;
    double scale;
    int sign;
    int32_t constants[PH_SHADER_CONSTANTS];
};

static ph_status transform_put(struct ph_recorder *recorder, const struct transform *t, bool waits) {
    const int64_t sizes[] = {t->lines, t->read, t->written, t->length, t->read_stride, t->written_stride, t->line_read,
        t->line_written, t->plane_read, t->plane_written};
    int64_t count = t->planes * t->lines * t->written;
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_int(&words, t->source);
    ph_words_int(&words, t->target);
    ph_words_int(&words, t->turns);
    ph_words_int(&words, t->add);
    for (int i = 0; i < PH_COUNT(sizes); i++) ph_words_int(&words, sizes[i]);
    ph_words_float(&words, t->scale);
    ph_words_int(&words, t->sign);
    return ph_dispatch_flat(recorder, PH_SHADER_irfft, t->constants, &words, count, waits);
}

/* Forward down the columns, then along the rows; backward the other way. */
static ph_status fourier_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t planes = shape->dims[0] * shape->dims[1], height = shape->dims[2], columns = shape->dims[3];
    int64_t width = call->plain.output_shapes[0].dims[3];
    uint32_t down, along, between = ph_recorder_place(recorder, call->scratch);
    PH_TRY(turns_make(call, recorder, height, &down));
    PH_TRY(turns_make(call, recorder, width, &along));
    struct transform vertical = {.turns = down, .planes = planes, .lines = columns, .read = height, .written = height,
        .length = height, .read_stride = columns, .written_stride = columns, .line_read = 1, .line_written = 1,
        .plane_read = height * columns, .plane_written = height * columns, .scale = 1, .sign = backward ? -1 : 1};
    struct transform horizontal = {.turns = along, .planes = planes, .lines = height, .length = width, .read_stride = 1,
        .written_stride = 1, .scale = 1 / ((double)height * (double)width), .sign = backward ? -1 : 1};
    if (!backward) {
        vertical.source = ph_recorder_place(recorder, call->inputs[0].data);
        vertical.target = horizontal.source = between;
        horizontal.target = ph_recorder_place(recorder, call->outputs[0].data);
        horizontal.read = horizontal.line_read = columns;
        horizontal.written = horizontal.line_written = width;
        horizontal.plane_read = height * columns;
        horizontal.plane_written = height * width;
        memcpy(horizontal.constants, PH_CONSTANTS(0, 1, 1), sizeof horizontal.constants);
        PH_TRY(transform_put(recorder, &vertical, false));
        return transform_put(recorder, &horizontal, true);
    }
    horizontal.source = ph_recorder_place(recorder, call->output_gradients[0].data);
    horizontal.target = vertical.source = between;
    horizontal.read = horizontal.line_read = width;
    horizontal.written = horizontal.line_written = columns;
    horizontal.plane_read = height * width;
    horizontal.plane_written = height * columns;
    memcpy(horizontal.constants, PH_CONSTANTS(1, 0, 2), sizeof horizontal.constants);
    vertical.target = ph_recorder_place(recorder, call->input_gradients[0].data);
    vertical.add = call->accumulate[0];
    PH_TRY(transform_put(recorder, &horizontal, false));
    return transform_put(recorder, &vertical, true);
}

static ph_status fourier_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return fourier_put(call, recorder, false);
}

static ph_status fourier_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return fourier_put(call, recorder, true);
}

PH_VULKAN_KERNEL(warp) = {.name = "sample", .operation = &ph_operation_affine_warp, .record = warp_record};
PH_VULKAN_KERNEL(warp_backward) = {.name = "gather", .operation = &ph_operation_affine_warp, .backward = true,
                                   .record = warp_backward_record};
PH_VULKAN_KERNEL(irfft) = {.name = "sums", .operation = &ph_operation_irfft2, .scratch = fourier_scratch,
                           .record = fourier_record};
PH_VULKAN_KERNEL(irfft_backward) = {.name = "sums", .operation = &ph_operation_irfft2, .backward = true,
                                    .scratch = fourier_scratch, .record = fourier_backward_record};
