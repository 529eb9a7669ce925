/* The affine warp. Forward, a task is a row of the output; backward, a band of rows of the picture, so that nobody else adds
 * to them. Both take all channels at once, which share their coordinates. Along a row of the output the samples with all
 * four corners inside are one stretch, since both their bounds are linear in the column; there nothing needs asking. A shift
 * by whole pixels copies. */
#include "cpu/kernels/blocked.h"
#include "graph/ops/border.h"
#include <math.h>

enum { CHUNK = 256, BAND = 16, GROUP = 3 }; /* columns located at once; rows of a backward task; channels in one loop */

struct warp {
    const struct ph_kernel_call *call;
    const struct ph_warp_attributes *a;
    int64_t items, channels, in_height, in_width;
};

/* Where the samples of one output row lie: x = slope[0] j + start[0], y = slope[1] j + start[1]. */
struct line { double slope[2], start[2]; };

/* Columns [first, last) of an output row. */
struct stretch { int64_t first, last; };

/* A chunk of a stretch inside the picture. */
struct samples {
    int32_t offset[CHUNK];                /* of the corner above left */
    float weight[4][CHUNK];               /* of the corners: above left, above right, below left, below right */
};

static struct line line_of(const float *matrix, int64_t row) {
    double m[6];
    for (int i = 0; i < 6; i++) m[i] = matrix[i];
    return (struct line){{m[0], m[3]}, {m[1] * (double)row + m[2], m[4] * (double)row + m[5]}};
}

/* Held within integers, NaN too; comparisons, since fmin would be a call. */
PH_INLINE double within(double x) {
    double above = x > -0x1p30 ? x : -0x1p30;
    return above < 0x1p30 ? above : 0x1p30;
}

PH_INLINE double coordinate(const struct line *line, int axis, int64_t j) {
    return within(line->slope[axis] * (double)j + line->start[axis]);
}

/* Of the columns in `of`, those whose coordinate, which only rises or only falls along them, is in [low, high). */
static struct stretch cut(const struct line *line, int axis, double low, double high, struct stretch of) {
    if (of.first >= of.last) return of;
    double slope = line->slope[axis], at[2] = {coordinate(line, axis, of.first), coordinate(line, axis, of.last - 1)};
    if ((at[0] < low && at[1] < low) || (at[0] >= high && at[1] >= high)) return (struct stretch){of.first, of.first};
    if (fabs(slope) > 1e-6) { /* to within a column, for the loops below to put right */
        double a = (low - line->start[axis]) / slope, b = (high - line->start[axis]) / slope;
        double least = floor(a < b ? a : b) - 1, most = ceil(a < b ? b : a) + 2;
        if (least > (double)of.first) of.first = (int64_t)(least < (double)of.last ? least : (double)of.last);
        if (most < (double)of.last) of.last = (int64_t)(most > (double)of.first ? most : (double)of.first);
    }
    for (; of.first < of.last; of.first++) {
        at[0] = coordinate(line, axis, of.first);
        if (at[0] >= low && at[0] < high) break;
    }
    for (; of.last > of.first; of.last--) {
        at[1] = coordinate(line, axis, of.last - 1);
        if (at[1] >= low && at[1] < high) break;
    }
    return of;
}

/* Those with all four corners inside. */
static struct stretch inside(const struct warp *w, const struct line *line, struct stretch of) {
    of = cut(line, 1, 0, (double)(w->in_height - 1), of);
    return cut(line, 0, 0, (double)(w->in_width - 1), of);
}

PH_INLINE int32_t corner(double x, int32_t last) {
    int32_t at = (int32_t)x; /* not negative here: truncation is floor */
    return at < last ? at : last;
}

static void locate(const struct warp *w, const struct line *line, int64_t first, int64_t count, struct samples *s) {
    double x_slope = line->slope[0], y_slope = line->slope[1], x_start = line->start[0], y_start = line->start[1];
    int32_t width = (int32_t)w->in_width, last_left = width - 2, last_top = (int32_t)w->in_height - 2;
    for (int32_t i = 0; i < (int32_t)count; i++) {
        double j = (double)((int32_t)first + i), x = x_slope * j + x_start, y = y_slope * j + y_start;
        int32_t left = corner(x, last_left), top = corner(y, last_top);
        float right = (float)(x - left), down = (float)(y - top);
        s->weight[0][i] = (1 - right) * (1 - down);
        s->weight[1][i] = right * (1 - down);
        s->weight[2][i] = (1 - right) * down;
        s->weight[3][i] = right * down;
        s->offset[i] = top * width + left;
    }
}

static int64_t border_index(const struct warp *w, int64_t i, int64_t size) {
    if (i >= 0 && i < size) return i;
    if (w->a->border == PH_BORDER_REFLECT) return ph_border_reflect(i, size);
    return w->a->border == PH_BORDER_WRAP ? ph_border_wrap(i, size) : -1;
}

/* The corners and weights of a sample near or beyond the border; rows and columns are -1 outside. */
struct corners { int64_t row[2], column[2]; float weight[4]; };

static void corners_find(const struct warp *w, const struct line *line, int64_t j, struct corners *corners) {
    double x = coordinate(line, 0, j), y = coordinate(line, 1, j), left = floor(x), top = floor(y);
    for (int i = 0; i < 2; i++) {
        corners->row[i] = border_index(w, (int64_t)top + i, w->in_height);
        corners->column[i] = border_index(w, (int64_t)left + i, w->in_width);
    }
    for (int i = 0; i < 4; i++)
        corners->weight[i] = (float)((i / 2 ? y - top : 1 - (y - top)) * (i % 2 ? x - left : 1 - (x - left)));
}

/* ---- Shifts by whole pixels -------------------------------------------------------------------------------------- */

static bool is_shift(const float *m, int64_t *right, int64_t *down) {
    if (m[0] != 1 || m[1] != 0 || m[3] != 0 || m[4] != 1 || !(fabsf(m[2]) < 0x1p24f) || !(fabsf(m[5]) < 0x1p24f)) return false;
    *right = (int64_t)m[2];
    *down = (int64_t)m[5];
    return (float)*right == m[2] && (float)*down == m[5];
}

/* The columns from j on that follow each other in the picture too: how many, and the first one's place, -1 outside. */
static int64_t run_find(const struct warp *w, int64_t j, int64_t shift, int64_t *column) {
    int64_t left = w->a->width - j, at = j + shift;
    *column = border_index(w, at, w->in_width);
    if (*column < 0) return at < 0 && -at < left ? -at : left;
    if (w->a->border == PH_BORDER_REFLECT && *column != at) return 1;
    return PH_MIN(left, w->in_width - *column);
}

static void shift_row(const struct warp *w, const float *in, int64_t shift, float *out) {
    for (int64_t j = 0, column, count; j < w->a->width; j += count) {
        count = in ? run_find(w, j, shift, &column) : w->a->width;
        if (in && column >= 0) memcpy(out + j, in + column, (size_t)count * sizeof *out);
        else
            for (int64_t i = j; i < j + count; i++) out[i] = (float)w->a->fill;
    }
}

static void shift_row_back(const struct warp *w, const float *gradient, int64_t shift, float *to) {
    for (int64_t j = 0, column, count; j < w->a->width; j += count) {
        count = run_find(w, j, shift, &column);
        for (int64_t i = 0; i < count && column >= 0; i++) to[column + i] += gradient[j + i];
    }
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

PH_INLINE void gather(const struct samples *s, int64_t count, int64_t channels, const float *in, int64_t width,
                      int64_t in_plane, float *out, int64_t out_plane) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t c = 0; c < channels; c++) {
            const float *at = in + c * in_plane + s->offset[i];
            out[c * out_plane + i] = (at[0] * s->weight[0][i] + at[1] * s->weight[1][i]) +
                                     (at[width] * s->weight[2][i] + at[width + 1] * s->weight[3][i]);
        }
}

static void forward_inside(const struct warp *w, const struct line *line, struct stretch of, const float *in, float *out) {
    int64_t width = w->in_width, in_plane = w->in_height * width, out_plane = w->a->height * w->a->width;
    struct samples s;
    for (int64_t first = of.first, count; first < of.last; first += count) {
        count = PH_MIN(CHUNK, of.last - first);
        locate(w, line, first, count, &s);
        int64_t c = 0;
        for (; c + GROUP <= w->channels; c += GROUP)
            gather(&s, count, GROUP, in + c * in_plane, width, in_plane, out + c * out_plane + first, out_plane);
        for (; c < w->channels; c++)
            gather(&s, count, 1, in + c * in_plane, width, in_plane, out + c * out_plane + first, out_plane);
    }
}

static void forward_border(const struct warp *w, const struct line *line, struct stretch of, const float *in, float *out) {
    int64_t in_plane = w->in_height * w->in_width, out_plane = w->a->height * w->a->width;
    for (int64_t j = of.first; j < of.last; j++) {
        struct corners corners;
        corners_find(w, line, j, &corners);
        for (int64_t c = 0; c < w->channels; c++) {
            float sum = 0;
            for (int i = 0; i < 4; i++) {
                int64_t row = corners.row[i / 2], column = corners.column[i % 2];
                sum += corners.weight[i] * (row < 0 || column < 0 ? (float)w->a->fill : in[c * in_plane + row * w->in_width + column]);
            }
            out[c * out_plane + j] = sum;
        }
    }
}

static void forward_row(void *argument, int64_t index) {
    const struct warp *w = argument;
    const struct ph_warp_attributes *a = w->a;
    int64_t n = index / a->height, row = index % a->height, plane = w->in_height * w->in_width, right, down;
    const float *matrix = w->call->inputs[1].data + n * 6, *in = w->call->inputs[0].data + n * w->channels * plane;
    float *out = w->call->outputs[0].data + (n * w->channels * a->height + row) * a->width;
    if (is_shift(matrix, &right, &down)) {
        int64_t from = border_index(w, row + down, w->in_height);
        for (int64_t c = 0; c < w->channels; c++)
            shift_row(w, from < 0 ? NULL : in + c * plane + from * w->in_width, right, out + c * a->height * a->width);
        return;
    }
    struct line line = line_of(matrix, row);
    struct stretch all = {0, a->width}, middle = inside(w, &line, all);
    forward_inside(w, &line, middle, in, out);
    forward_border(w, &line, (struct stretch){all.first, middle.first}, in, out);
    forward_border(w, &line, (struct stretch){middle.last, all.last}, in, out);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Rows [low, high) of the picture's gradient. */
struct band { int64_t low, high; float *to; };

/* The left corners first and then the right ones, since a sample's right ones are mostly the next one's left ones: adding to
 * what was just written would wait for it each time. */
PH_INLINE void scatter(const struct samples *s, int64_t count, int64_t channels, bool upper, bool lower, float *to,
                       int64_t width, int64_t in_plane, const float *gradient, int64_t out_plane) {
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < count; i++)
            for (int64_t c = 0; c < channels; c++) {
                float *at = to + c * in_plane + s->offset[i] + side, g = gradient[c * out_plane + i];
                if (upper) at[0] += s->weight[side][i] * g;
                if (lower) at[width] += s->weight[2 + side][i] * g;
            }
}

/* Samples whose upper corners, or lower ones, or both belong to the band. */
static void backward_inside(const struct warp *w, const struct line *line, struct stretch of, bool upper, bool lower,
                            float *to, const float *gradient) {
    int64_t width = w->in_width, in_plane = w->in_height * width, out_plane = w->a->height * w->a->width;
    struct samples s;
    for (int64_t first = of.first, count; first < of.last; first += count) {
        count = PH_MIN(CHUNK, of.last - first);
        locate(w, line, first, count, &s);
        const float *g = gradient + first;
        int64_t c = 0;
        for (; c + GROUP <= w->channels && upper && lower; c += GROUP)
            scatter(&s, count, GROUP, true, true, to + c * in_plane, width, in_plane, g + c * out_plane, out_plane);
        for (; c < w->channels; c++)
            scatter(&s, count, 1, upper, lower, to + c * in_plane, width, in_plane, g + c * out_plane, out_plane);
    }
}

static void backward_border(const struct warp *w, const struct line *line, struct stretch of, const struct band *band,
                            const float *gradient) {
    int64_t in_plane = w->in_height * w->in_width, out_plane = w->a->height * w->a->width;
    for (int64_t j = of.first; j < of.last; j++) {
        struct corners corners;
        corners_find(w, line, j, &corners);
        for (int i = 0; i < 4; i++) {
            int64_t row = corners.row[i / 2], column = corners.column[i % 2];
            if (row < band->low || row >= band->high || column < 0) continue; /* low is at least 0 */
            for (int64_t c = 0; c < w->channels; c++)
                band->to[c * in_plane + row * w->in_width + column] += corners.weight[i] * gradient[c * out_plane + j];
        }
    }
}

static void backward_line(const struct warp *w, const float *matrix, int64_t row, const struct band *band,
                          const float *gradient) {
    struct line line = line_of(matrix, row);
    struct stretch all = {0, w->a->width};
    double low = (double)band->low, high = (double)band->high;
    /* Where nothing beyond the border counts, only samples next to the band do. */
    if (w->a->border == PH_BORDER_CONSTANT) all = cut(&line, 1, low - 1, high, all);
    struct stretch middle = inside(w, &line, all);
    backward_inside(w, &line, cut(&line, 1, low - 1, low, middle), false, true, band->to, gradient);
    backward_inside(w, &line, cut(&line, 1, low, high - 1, middle), true, true, band->to, gradient);
    backward_inside(w, &line, cut(&line, 1, high - 1, high, middle), true, false, band->to, gradient);
    backward_border(w, &line, (struct stretch){all.first, middle.first}, band, gradient);
    backward_border(w, &line, (struct stretch){middle.last, all.last}, band, gradient);
}

static int64_t bands_of(const struct warp *w) { return (w->in_height + BAND - 1) / BAND; }

static void backward_band(void *argument, int64_t index) {
    const struct warp *w = argument;
    const struct ph_warp_attributes *a = w->a;
    int64_t n = index / bands_of(w), plane = w->in_height * w->in_width, right, down;
    const float *matrix = w->call->inputs[1].data + n * 6;
    const float *gradient = w->call->output_gradients[0].data + n * w->channels * a->height * a->width;
    struct band band = {.low = index % bands_of(w) * BAND, .to = w->call->input_gradients[0].data + n * w->channels * plane};
    band.high = PH_MIN(band.low + BAND, w->in_height);
    size_t bytes = (size_t)((band.high - band.low) * w->in_width) * sizeof(float);
    for (int64_t c = 0; c < w->channels && !w->call->accumulate[0]; c++)
        memset(band.to + c * plane + band.low * w->in_width, 0, bytes);
    bool shifts = is_shift(matrix, &right, &down);
    for (int64_t row = 0; row < a->height; row++, gradient += a->width) {
        if (!shifts) {
            backward_line(w, matrix, row, &band, gradient);
            continue;
        }
        int64_t to = border_index(w, row + down, w->in_height);
        for (int64_t c = 0; c < w->channels && to >= band.low && to < band.high; c++)
            shift_row_back(w, gradient + c * a->height * a->width, right, band.to + c * plane + to * w->in_width);
    }
}

/* ---- Kernels ----------------------------------------------------------------------------------------------------- */

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_warp_attributes *a = query->node->attributes;
    const struct ph_shape *in = &query->graph->values[query->node->inputs[0]].shape;
    return !(query->wanted & ~1u) && a->width < INT32_MAX && in->dims[2] * in->dims[3] < INT32_MAX;
}

static struct warp warp_of(const struct ph_kernel_call *call) {
    const int64_t *in = call->plain.input_shapes[0]->dims;
    return (struct warp){.call = call, .a = call->node->attributes, .items = in[0], .channels = in[1], .in_height = in[2],
        .in_width = in[3]};
}

static void forward_run(const struct ph_kernel_call *call) {
    struct warp w = warp_of(call);
    ph_parallel_for(call->context, w.items * w.a->height, forward_row, &w);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct warp w = warp_of(call);
    ph_parallel_for(call->context, w.items * bands_of(&w), backward_band, &w);
}

const struct ph_kernel PH_KERNEL(ph_warp_forward) = {.name = "rows", .operation = &ph_operation_affine_warp,
    .by_item = true, .accepts = accepts, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_warp_backward) = {.name = "bands", .operation = &ph_operation_affine_warp,
    .by_item = true, .backward = true, .accepts = accepts, .run = backward_run};
