/* What convolutions and pools share: a window that slides over up to three spatial axes. */
#ifndef PH_WINDOW_H
#define PH_WINDOW_H

#include "graph/operations.h"

/* Right-aligned, [depth, height, width], as in the attribute structs that start with the same five arrays. */
struct ph_window {
    int64_t kernel[PH_SPATIAL], stride[PH_SPATIAL], dilation[PH_SPATIAL];
    int64_t pad_begin[PH_SPATIAL], pad_end[PH_SPATIAL];
};

/* Copies the five arrays between a window and an attribute struct, either way. */
#define PH_WINDOW_COPY(to, from)                                              \
    do {                                                                      \
        memcpy((to)->kernel, (from)->kernel, sizeof (to)->kernel);             \
        memcpy((to)->stride, (from)->stride, sizeof (to)->stride);             \
        memcpy((to)->dilation, (from)->dilation, sizeof (to)->dilation);       \
        memcpy((to)->pad_begin, (from)->pad_begin, sizeof (to)->pad_begin);    \
        memcpy((to)->pad_end, (from)->pad_end, sizeof (to)->pad_end);          \
    } while (0)

/* Spatial sizes of [N,C,(D,)(H,)W], 1 for the axes it does not have; and their product. */
void ph_spatial_dims(const struct ph_shape *shape, int64_t dims[PH_SPATIAL]);
static inline int64_t ph_spatial_size(const int64_t dims[PH_SPATIAL]) { return dims[0] * dims[1] * dims[2]; }

/* Elements in one channel of [N,C,...], with any number of axes. */
int64_t ph_channel_size(const struct ph_shape *shape);

/* What is wrong with a window over `spatial` axes, NULL when nothing is. Windows without a problem are small enough
 * that sizes made from them and a valid shape cannot overflow. */
const char *ph_window_problem(const struct ph_window *window, int spatial);

/* Inputs the dilated kernel covers along an axis. */
int64_t ph_window_extent(const struct ph_window *window, int axis);

/* Positions of the window along an axis of `input` elements, 0 when it does not fit. With `ceil` a last window may hang
 * over the end, but one that would start in the trailing padding or beyond is dropped (PyTorch; ONNX says so since
 * opset 22). */
int64_t ph_window_count(const struct ph_window *window, int axis, int64_t input, bool ceil);

enum ph_auto_pad { PH_AUTO_PAD_NONE, PH_AUTO_PAD_VALID, PH_AUTO_PAD_SAME_UPPER, PH_AUTO_PAD_SAME_LOWER };

/* Reads ONNX's kernel_shape, strides, dilations, pads and auto_pad for an input of that shape; `kernel` (the weights',
 * rank - 2 numbers) stands in for a missing kernel_shape and may be NULL. With an auto_pad the pads are left 0. */
ph_status ph_import_window(const struct ph_import *import, const struct ph_shape *shape, const int64_t *kernel,
                           struct ph_window *window, enum ph_auto_pad *auto_pad);

/* Spreads `total` padding: its odd element goes to the end with `upper`, else to the beginning. */
void ph_window_pad(struct ph_window *window, int axis, int64_t total, bool upper);

/* Pads so that the output has ceil(input / stride) positions, when auto_pad asks for it. */
void ph_window_pad_same(struct ph_window *window, enum ph_auto_pad auto_pad, const int64_t dims[PH_SPATIAL]);

#endif
