/* The list of what the device can do, and what all kernels are made of. */
#include "vulkan/kernels/kernels.h"
#include <string.h>

int ph_operation_index(const struct ph_operation *const *operations, const struct ph_operation *operation) {
    for (int i = 0; operations[i]; i++)
        if (operations[i] == operation) return i;
    return -1;
}

void ph_words_place(struct ph_words *words, const struct ph_recorder *recorder, const float *data) {
    ph_words_int(words, ph_recorder_place(recorder, data));
}

void ph_words_result(struct ph_words *words, const struct ph_recorder *recorder, const struct ph_kernel_call *call,
                     bool backward) {
    ph_words_place(words, recorder, backward ? call->output_gradients[0].data : call->outputs[0].data);
    ph_words_place(words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(words, backward && call->accumulate[0]);
}

void ph_words_window(struct ph_words *words, const int64_t values[PH_SPATIAL]) {
    for (int i = 0; i < PH_SPATIAL; i++) ph_words_int(words, values[i]);
}

void ph_words_spatial(struct ph_words *words, const struct ph_shape *shape) {
    int64_t dims[PH_SPATIAL];
    ph_spatial_dims(shape, dims);
    ph_words_window(words, dims);
}

void ph_words_axes(struct ph_words *words, const int64_t *values, int rank, int slots, int64_t spare) {
    for (int i = 0; i < slots; i++) ph_words_int(words, i < slots - rank ? spare : values[i - (slots - rank)]);
}

int64_t ph_walk_peel(const struct ph_walk *walk, int room, struct ph_walk *rest) {
    enum { MOST = 1 << 16 };
    int peeled = PH_MAX(walk->rank - room, 0);
    int64_t count = 1;
    *rest = *walk;
    rest->rank -= peeled;
    memmove(rest->dims, walk->dims + peeled, (size_t)rest->rank * sizeof *rest->dims);
    for (int t = 0; t < walk->tensors; t++)
        memmove(rest->stride[t], walk->stride[t] + peeled, (size_t)rest->rank * sizeof *rest->dims);
    for (int i = 0; i < peeled; i++)
        if (__builtin_mul_overflow(count, walk->dims[i], &count) || count > MOST) return -1;
    return count;
}

void ph_walk_position(const struct ph_walk *walk, int room, int64_t position, int64_t offset[PH_WALK_TENSORS]) {
    for (int i = walk->rank - room - 1; i >= 0; i--) {
        for (int t = 0; t < walk->tensors; t++) offset[t] += position % walk->dims[i] * walk->stride[t][i];
        position /= walk->dims[i];
    }
}

uint32_t ph_place_after(uint32_t place, int64_t elements) {
    return place == PH_NOWHERE ? PH_NOWHERE : place + (uint32_t)elements;
}

ph_status ph_dispatch_flat(struct ph_recorder *recorder, enum ph_shader shader, const int32_t *constants,
                           const struct ph_words *words, int64_t count, bool waits) {
    return ph_recorder_dispatch(recorder, shader, constants, words, ph_divide_up(count, 64), 1, 1, waits);
}

ph_status ph_dispatch_groups(struct ph_recorder *recorder, enum ph_shader shader, const int32_t *constants,
                             const struct ph_words *words, int64_t count, bool waits) {
    return ph_recorder_dispatch(recorder, shader, constants, words, count, 1, 1, waits);
}

const struct ph_kernel *const ph_vulkan_kernels[] = {
#define KERNEL_ENTRY(name) &ph_vulkan_kernel_##name,
    PH_VULKAN_KERNELS(KERNEL_ENTRY)
#undef KERNEL_ENTRY
    NULL};
