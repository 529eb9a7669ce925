/* Sliding windows: sizes, padding rules, and their ONNX attributes (ONNX operators Conv, ConvTranspose, MaxPool,
 * AveragePool). */
#include "graph/ops/window.h"
#include <string.h>

/* With shapes of at most 2^40 elements, products of a size and one of these stay within 62 bits. */
#define WINDOW_LIMIT ((int64_t)1 << 22)

void ph_spatial_dims(const struct ph_shape *shape, int64_t dims[PH_SPATIAL]) {
    for (int i = 0; i < PH_SPATIAL; i++) {
        int axis = shape->rank - PH_SPATIAL + i;
        dims[i] = axis >= 2 ? shape->dims[axis] : 1;
    }
}

int64_t ph_channel_size(const struct ph_shape *shape) {
    int64_t size = 1;
    for (int i = 2; i < shape->rank; i++) size *= shape->dims[i];
    return size;
}

const char *ph_window_problem(const struct ph_window *window, int spatial) {
    for (int i = 0; i < PH_SPATIAL; i++) {
        int64_t kernel = window->kernel[i], stride = window->stride[i], dilation = window->dilation[i];
        int64_t begin = window->pad_begin[i], end = window->pad_end[i];
        if (i < PH_SPATIAL - spatial && (kernel != 1 || stride != 1 || dilation != 1 || begin != 0 || end != 0))
            return "the window has more axes than the input";
        if (kernel < 1 || kernel > WINDOW_LIMIT) return "kernel sizes must be 1 to 4194304";
        if (stride < 1 || stride > WINDOW_LIMIT) return "strides must be 1 to 4194304";
        if (dilation < 1 || dilation > WINDOW_LIMIT) return "dilations must be 1 to 4194304";
        if (begin < 0 || begin > WINDOW_LIMIT || end < 0 || end > WINDOW_LIMIT) return "pads must be 0 to 4194304";
    }
    return NULL;
}

int64_t ph_window_extent(const struct ph_window *window, int axis) {
    return (window->kernel[axis] - 1) * window->dilation[axis] + 1;
}

int64_t ph_window_count(const struct ph_window *window, int axis, int64_t input, bool ceil) {
    int64_t stride = window->stride[axis], begin = window->pad_begin[axis];
    int64_t room = input + begin + window->pad_end[axis] - ph_window_extent(window, axis) + (ceil ? stride - 1 : 0);
    if (room < 0) return 0;
    int64_t count = room / stride + 1;
    if (ceil && (count - 1) * stride >= input + begin) count--;
    return count;
}

/* Right-aligns one list attribute, when it is there; pads have a second half, which goes to `second`. */
static ph_status import_list(const struct ph_import *import, const char *name, int spatial, int64_t *first,
                             int64_t *second) {
    int64_t list[2 * PH_SPATIAL];
    int count, expected = second ? 2 * spatial : spatial;
    PH_TRY(ph_import_ints(import, name, list, PH_COUNT(list), &count));
    if (count < 0) return PH_OK;
    if (count != expected)
        return ph_import_fail(import, PH_ERROR_FORMAT, "attribute '%s' has %d entries, %d expected for %d spatial axes",
                              name, count, expected, spatial);
    memcpy(first + PH_SPATIAL - spatial, list, (size_t)spatial * sizeof *list);
    if (second) memcpy(second + PH_SPATIAL - spatial, list + spatial, (size_t)spatial * sizeof *list);
    return PH_OK;
}

ph_status ph_import_window(const struct ph_import *import, const struct ph_shape *shape, const int64_t *kernel,
                           struct ph_window *window, enum ph_auto_pad *auto_pad) {
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    int spatial = shape->rank - 2;
    char text[128];
    if (spatial < 1 || spatial > PH_SPATIAL)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "input shape %s; 1 to %d spatial axes are supported",
                              ph_shape_text(shape, text), PH_SPATIAL);
    *window = (struct ph_window){.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
    if (kernel) {
        memcpy(window->kernel + PH_SPATIAL - spatial, kernel, (size_t)spatial * sizeof *kernel);
    } else {
        const int64_t *values;
        int count;
        if (!import->reader->get_ints(import->source, "kernel_shape", &values, &count))
            return ph_import_fail(import, PH_ERROR_FORMAT, "attribute 'kernel_shape' is missing");
    }
    PH_TRY(import_list(import, "kernel_shape", spatial, window->kernel, NULL));
    PH_TRY(import_list(import, "strides", spatial, window->stride, NULL));
    PH_TRY(import_list(import, "dilations", spatial, window->dilation, NULL));

    char mode[32];
    ph_import_string(import, "auto_pad", "NOTSET", mode, sizeof mode);
    int index = 0;
    while (index < PH_COUNT(names) && strcmp(mode, names[index])) index++;
    if (index == PH_COUNT(names) && mode[0])
        return ph_import_fail(import, PH_ERROR_FORMAT,
                              "auto_pad '%s' is not known; valid are NOTSET, VALID, SAME_UPPER and SAME_LOWER", mode);
    *auto_pad = mode[0] ? (enum ph_auto_pad)index : PH_AUTO_PAD_NONE;
    if (*auto_pad == PH_AUTO_PAD_NONE) PH_TRY(import_list(import, "pads", spatial, window->pad_begin, window->pad_end));

    const char *problem = ph_window_problem(window, spatial);
    return problem ? ph_import_fail(import, PH_ERROR_UNSUPPORTED, "%s", problem) : PH_OK;
}

void ph_window_pad(struct ph_window *window, int axis, int64_t total, bool upper) {
    window->pad_begin[axis] = upper ? total / 2 : total - total / 2;
    window->pad_end[axis] = total - window->pad_begin[axis];
}

void ph_window_pad_same(struct ph_window *window, enum ph_auto_pad auto_pad, const int64_t dims[PH_SPATIAL]) {
    if (auto_pad != PH_AUTO_PAD_SAME_UPPER && auto_pad != PH_AUTO_PAD_SAME_LOWER) return;
    for (int i = 0; i < PH_SPATIAL; i++) {
        int64_t stride = window->stride[i], count = (dims[i] + stride - 1) / stride;
        int64_t total = (count - 1) * stride + ph_window_extent(window, i) - dims[i];
        ph_window_pad(window, i, PH_MAX(total, 0), auto_pad == PH_AUTO_PAD_SAME_UPPER);
    }
}
