/* The list of what the device can do, and what all kernels are made of. */
#include "vulkan/kernels/kernels.h"

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
