/* The affine warp, a row at a time. Along a row the samples inside the picture are one stretch, since both their bounds are
 * linear in the column; there the four corners are read without asking. Forward, a task is a row of all channels, which
 * share their coordinates. Backward, a task is a channel, so that nobody else adds to it. */
#include "cpu/kernels/blocked.h"
#include "graph/ops/border.h"
#include <math.h>

enum { MAX_WIDTH = 8192 };

struct warp {
    const struct ph_kernel_call *call;
    const struct ph_warp_attributes *a;
    int64_t channels, in_height, in_width;
};

/* Samples of one output row. */
struct samples {
    double x[MAX_WIDTH], y[MAX_WIDTH];
    int32_t offset[MAX_WIDTH];       /* of the corner above left */
    float right[MAX_WIDTH], down[MAX_WIDTH]; /* its distance to the sample */
    int64_t first, last;             /* the stretch with all four corners inside */
};

/* Held within integers, NaN too; comparisons, since fmin would be a call. */
PH_INLINE double within(double x) {
    double above = x > -0x1p30 ? x : -0x1p30;
    return above < 0x1p30 ? above : 0x1p30;
}

static void locate(const struct warp *w, const float *matrix, int64_t row, struct samples *s) {
    double m[6];
    for (int i = 0; i < 6; i++) m[i] = matrix[i];
    double x_start = m[1] * (double)row + m[2], y_start = m[4] * (double)row + m[5];
    double x_end = (double)(w->in_width - 1), y_end = (double)(w->in_height - 1);
    for (int64_t j = 0; j < w->a->width; j++) {
        s->x[j] = within(m[0] * (double)j + x_start);
        s->y[j] = within(m[3] * (double)j + y_start);
    }
    int64_t first = 0, last = w->a->width;
    while (first < last && !(s->x[first] >= 0 && s->x[first] < x_end && s->y[first] >= 0 && s->y[first] < y_end)) first++;
    while (last > first && !(s->x[last - 1] >= 0 && s->x[last - 1] < x_end && s->y[last - 1] >= 0 && s->y[last - 1] < y_end)) last--;
    s->first = first;
    s->last = last;
    for (int64_t j = first; j < last; j++) {
        int32_t left = (int32_t)s->x[j], top = (int32_t)s->y[j]; /* not negative here: truncation is floor */
        s->right[j] = (float)(s->x[j] - left);
        s->down[j] = (float)(s->y[j] - top);
        s->offset[j] = top * (int32_t)w->in_width + left;
    }
}

/* Position of a corner, -1 outside. */
static int64_t border(const struct warp *w, int64_t row, int64_t column) {
    if (w->a->border == PH_BORDER_REFLECT)
        return ph_border_reflect(row, w->in_height) * w->in_width + ph_border_reflect(column, w->in_width);
    if (w->a->border == PH_BORDER_WRAP)
        return ph_border_wrap(row, w->in_height) * w->in_width + ph_border_wrap(column, w->in_width);
    return row >= 0 && row < w->in_height && column >= 0 && column < w->in_width ? row * w->in_width + column : -1;
}

/* The corners and weights of a sample near or beyond the border. */
static void corners(const struct warp *w, const struct samples *s, int64_t j, int64_t offset[4], float weight[4]) {
    double left = floor(s->x[j]), top = floor(s->y[j]);
    for (int i = 0; i < 4; i++) {
        offset[i] = border(w, (int64_t)top + i / 2, (int64_t)left + i % 2);
        weight[i] = (float)((i / 2 ? s->y[j] - top : 1 - (s->y[j] - top)) * (i % 2 ? s->x[j] - left : 1 - (s->x[j] - left)));
    }
}

static void forward_row(void *argument, int64_t index) {
    const struct warp *w = argument;
    const struct ph_warp_attributes *a = w->a;
    int64_t n = index / a->height, row = index % a->height, width = w->in_width;
    struct samples s;
    locate(w, w->call->inputs[1].data + n * 6, row, &s);
    for (int64_t c = 0; c < w->channels; c++) {
        const float *in = w->call->inputs[0].data + (n * w->channels + c) * w->in_height * width;
        float *out = w->call->outputs[0].data + ((n * w->channels + c) * a->height + row) * a->width;
        for (int64_t j = s.first; j < s.last; j++) {
            const float *at = in + s.offset[j];
            float above = at[0] * (1 - s.right[j]) + at[1] * s.right[j];
            float below = at[width] * (1 - s.right[j]) + at[width + 1] * s.right[j];
            out[j] = above * (1 - s.down[j]) + below * s.down[j];
        }
        for (int side = 0; side < 2; side++)
            for (int64_t j = side ? s.last : 0; j < (side ? a->width : s.first); j++) {
                int64_t offset[4];
                float weight[4], sum = 0;
                corners(w, &s, j, offset, weight);
                for (int i = 0; i < 4; i++) sum += weight[i] * (offset[i] < 0 ? (float)a->fill : in[offset[i]]);
                out[j] = sum;
            }
    }
}

static void backward_plane(void *argument, int64_t index) {
    const struct warp *w = argument;
    const struct ph_warp_attributes *a = w->a;
    int64_t n = index / w->channels, width = w->in_width;
    float *to = w->call->input_gradients[0].data + index * w->in_height * width;
    if (!w->call->accumulate[0]) memset(to, 0, (size_t)(w->in_height * width) * sizeof *to);
    struct samples s;
    for (int64_t row = 0; row < a->height; row++) {
        const float *g = w->call->output_gradients[0].data + (index * a->height + row) * a->width;
        locate(w, w->call->inputs[1].data + n * 6, row, &s);
        for (int64_t j = 0; j < a->width; j++) {
            if (j >= s.first && j < s.last) {
                float *at = to + s.offset[j], above = g[j] * (1 - s.down[j]), below = g[j] * s.down[j];
                at[0] += above * (1 - s.right[j]);
                at[1] += above * s.right[j];
                at[width] += below * (1 - s.right[j]);
                at[width + 1] += below * s.right[j];
                continue;
            }
            int64_t offset[4];
            float weight[4];
            corners(w, &s, j, offset, weight);
            for (int i = 0; i < 4; i++)
                if (offset[i] >= 0) to[offset[i]] += weight[i] * g[j];
        }
    }
}

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_warp_attributes *a = query->node->attributes;
    const struct ph_shape *in = &query->graph->values[query->node->inputs[0]].shape;
    return !(query->wanted & ~1u) && a->width <= MAX_WIDTH && in->dims[2] * in->dims[3] < INT32_MAX;
}

static struct warp warp_of(const struct ph_kernel_call *call) {
    const int64_t *in = call->plain.input_shapes[0]->dims;
    return (struct warp){.call = call, .a = call->node->attributes, .channels = in[1], .in_height = in[2], .in_width = in[3]};
}

static void forward_run(const struct ph_kernel_call *call) {
    struct warp w = warp_of(call);
    ph_parallel_for(call->context, call->plain.input_shapes[0]->dims[0] * w.a->height, forward_row, &w);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct warp w = warp_of(call);
    ph_parallel_for(call->context, call->plain.input_shapes[0]->dims[0] * w.channels, backward_plane, &w);
}

const struct ph_kernel PH_KERNEL(ph_warp_forward) = {.name = "rows", .operation = &ph_operation_affine_warp, .accepts = accepts,
    .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_warp_backward) = {.name = "channels", .operation = &ph_operation_affine_warp,
    .backward = true, .accepts = accepts, .run = backward_run};
