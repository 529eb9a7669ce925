/* The affine warp. Forward, a task is a row of the output; backward, a tile of the picture, so that nobody else adds to it.
 * Along a row of the output the samples with all four corners inside are one stretch, since both their bounds are linear in the
 * column; there nothing needs asking. A shift by whole pixels copies.
 *
 * There the channels of a pixel lie side by side, up to four of them: what reads or adds to a corner does it for all channels
 * at once, and for the corner right of it too. Forward the whole picture is laid out so first. Backward a task lays out the
 * gradient as it goes, and sums up in a tile of its own, with a margin of one pixel, so that no sample near it has to ask which
 * of its corners belong there. */
#include "cpu/kernels/blocked.h"
#include "graph/ops/border.h"
#include <math.h>

enum { QUAD = 4, CHUNK = 256 };     /* channels side by side; columns located at once */
enum { ROWS = 16, COLUMNS = 1024 }; /* of a tile at most */

typedef float quad __attribute__((vector_size(QUAD * 4)));
typedef float quad_unaligned __attribute__((vector_size(QUAD * 4), aligned(4), may_alias));
typedef float neighbours __attribute__((vector_size(2 * QUAD * 4))); /* a pixel and the one right of it */
typedef float neighbours_unaligned __attribute__((vector_size(2 * QUAD * 4), aligned(4), may_alias));

struct warp {
    const struct ph_kernel_call *call;
    const struct ph_warp_attributes *a;
    int64_t items, channels, in_height, in_width;
};

/* Where the samples of one output row lie: x = slope[0] j + start[0], y = slope[1] j + start[1]. */
struct line { double slope[2], start[2]; };

/* Columns [first, last) of an output row. */
struct stretch { int64_t first, last; };

/* Corners above left of samples: rows [low, high), columns [left, right), of which the first is the first of a memory with
 * `pitch` pixels from row to row. */
struct window { int64_t low, high, left, right, pitch; };

/* A chunk of a stretch inside the picture: where the corner above left lies in a window's memory, and how far right of it and
 * below it the sample. */
struct samples { int32_t offset[CHUNK]; float right[CHUNK], down[CHUNK]; };

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

/* Of the corner above left, held within the window: two ways to the same coordinate may differ in its last digit. Not negative
 * where it matters, so that truncation is floor. */
PH_INLINE int32_t corner(double x, double first, double last) {
    double above = x > first ? x : first;
    return (int32_t)(above < last ? above : last);
}

static void locate(const struct window *window, const struct line *line, int64_t first, int64_t count, struct samples *s) {
    double x_slope = line->slope[0], y_slope = line->slope[1], x_start = line->start[0], y_start = line->start[1];
    double left = (double)window->left, right = (double)(window->right - 1);
    double low = (double)window->low, high = (double)(window->high - 1);
    int32_t pitch = (int32_t)window->pitch, origin = (int32_t)(window->low * window->pitch + window->left);
    for (int32_t i = 0; i < (int32_t)count; i++) {
        double j = (double)((int32_t)first + i), x = x_slope * j + x_start, y = y_slope * j + y_start;
        int32_t column = corner(x, left, right), row = corner(y, low, high);
        s->right[i] = (float)(x - column);
        s->down[i] = (float)(y - row);
        s->offset[i] = row * pitch + column - origin;
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

/* ---- Channels side by side --------------------------------------------------------------------------------------- */

/* Four quads, turned over. */
PH_INLINE void square_turn(quad *square) {
    quad a = __builtin_shufflevector(square[0], square[1], 0, 4, 1, 5);
    quad b = __builtin_shufflevector(square[2], square[3], 0, 4, 1, 5);
    quad c = __builtin_shufflevector(square[0], square[1], 2, 6, 3, 7);
    quad d = __builtin_shufflevector(square[2], square[3], 2, 6, 3, 7);
    square[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    square[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    square[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    square[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

PH_INLINE quad quad_load(const float *from, int64_t count) {
    quad x = {0};
    if (count >= QUAD) return *(const quad_unaligned *)from;
    memcpy(&x, from, (size_t)count * sizeof *from);
    return x;
}

PH_INLINE void quad_store(float *to, quad x, int64_t count) {
    if (count >= QUAD) *(quad_unaligned *)to = x;
    else memcpy(to, &x, (size_t)count * sizeof *to);
}

PH_INLINE void join(const float *planes, int64_t plane, const int channels, int64_t count, quad *to) {
    for (int64_t i = 0; i < count; i += QUAD) {
        quad square[QUAD];
#pragma GCC unroll 4
        for (int c = 0; c < QUAD; c++) square[c] = c < channels ? quad_load(planes + c * plane + i, count - i) : (quad){0};
        square_turn(square);
#pragma GCC unroll 4
        for (int k = 0; k < QUAD; k++) to[i + k] = square[k];
    }
}

PH_INLINE void part(const quad *from, int64_t plane, const int channels, int64_t count, bool accumulate, float *planes) {
    for (int64_t i = 0; i < count; i += QUAD) {
        quad square[QUAD];
#pragma GCC unroll 4
        for (int k = 0; k < QUAD; k++) square[k] = from[i + k];
        square_turn(square);
#pragma GCC unroll 4
        for (int c = 0; c < channels; c++) {
            float *to = planes + c * plane + i;
            quad_store(to, accumulate ? square[c] + quad_load(to, count - i) : square[c], count - i);
        }
    }
}

/* `count` pixels of up to four planes, with zeros in place of those that are missing; writes whole quads of pixels. */
static void quads_join(const float *planes, int64_t plane, int64_t channels, int64_t count, quad *to) {
    switch (channels) {
    case 1: join(planes, plane, 1, count, to); break;
    case 2: join(planes, plane, 2, count, to); break;
    case 3: join(planes, plane, 3, count, to); break;
    default: join(planes, plane, 4, count, to);
    }
}

/* The other way; reads whole quads of pixels. */
static void quads_part(const quad *from, int64_t plane, int64_t channels, int64_t count, bool accumulate, float *planes) {
    switch (channels) {
    case 1: part(from, plane, 1, count, accumulate, planes); break;
    case 2: part(from, plane, 2, count, accumulate, planes); break;
    case 3: part(from, plane, 3, count, accumulate, planes); break;
    default: part(from, plane, 4, count, accumulate, planes);
    }
}

PH_INLINE int64_t whole_quads(int64_t count) { return (count + QUAD - 1) / QUAD * QUAD; }

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

/* Up to four channels from `channel` on, and those of the whole picture side by side. */
struct pass { const struct warp *w; int64_t channel, channels; };

static quad *picture_of(const struct warp *w, int64_t n) {
    return (quad *)w->call->scratch + n * w->in_height * whole_quads(w->in_width);
}

static void picture_row(void *argument, int64_t index) {
    const struct pass *pass = argument;
    const struct warp *w = pass->w;
    int64_t n = index / w->in_height, row = index % w->in_height, plane = w->in_height * w->in_width, right, down;
    if (is_shift(w->call->inputs[1].data + n * 6, &right, &down)) return;
    quads_join(w->call->inputs[0].data + (n * w->channels + pass->channel) * plane + row * w->in_width, plane, pass->channels,
               w->in_width, picture_of(w, n) + row * whole_quads(w->in_width));
}

PH_INLINE quad sample(const struct samples *s, int64_t i, const quad *picture, int64_t pitch) {
    const quad *at = picture + s->offset[i];
    neighbours above = *(const neighbours_unaligned *)at, below = *(const neighbours_unaligned *)(at + pitch);
    neighbours both = above * (1 - s->down[i]) + below * s->down[i];
    quad left = __builtin_shufflevector(both, both, 0, 1, 2, 3), right = __builtin_shufflevector(both, both, 4, 5, 6, 7);
    return left * (1 - s->right[i]) + right * s->right[i];
}

/* Located samples, whole quads of them. */
PH_INLINE void gather(const struct samples *s, int64_t count, const int channels, const quad *picture, int64_t pitch,
                      float *out, int64_t plane) {
    for (int64_t i = 0; i < count; i += QUAD) {
        quad square[QUAD];
#pragma GCC unroll 4
        for (int k = 0; k < QUAD; k++) square[k] = sample(s, i + k, picture, pitch);
        square_turn(square);
#pragma GCC unroll 4
        for (int c = 0; c < channels; c++) quad_store(out + c * plane + i, square[c], count - i);
    }
}

static void forward_inside(const struct pass *pass, const struct line *line, struct stretch of, const quad *picture,
                           float *out) {
    const struct warp *w = pass->w;
    int64_t pitch = whole_quads(w->in_width), plane = w->a->height * w->a->width;
    struct window whole = {0, w->in_height - 1, 0, w->in_width - 1, pitch};
    struct samples s;
    for (int64_t first = of.first, count; first < of.last; first += count) {
        count = PH_MIN(CHUNK, of.last - first);
        locate(&whole, line, first, whole_quads(count), &s);
        switch (pass->channels) {
        case 1: gather(&s, count, 1, picture, pitch, out + first, plane); break;
        case 2: gather(&s, count, 2, picture, pitch, out + first, plane); break;
        case 3: gather(&s, count, 3, picture, pitch, out + first, plane); break;
        default: gather(&s, count, 4, picture, pitch, out + first, plane);
        }
    }
}

static void forward_border(const struct pass *pass, const struct line *line, struct stretch of, const quad *picture,
                           float *out) {
    const struct warp *w = pass->w;
    quad fill = (quad){0} + (float)w->a->fill;
    for (int64_t j = of.first; j < of.last; j++) {
        struct corners corners;
        quad sum = {0};
        corners_find(w, line, j, &corners);
        for (int i = 0; i < 4; i++) {
            int64_t row = corners.row[i / 2], column = corners.column[i % 2];
            sum += corners.weight[i] * (row < 0 || column < 0 ? fill : picture[row * whole_quads(w->in_width) + column]);
        }
        for (int64_t c = 0; c < pass->channels; c++) out[c * w->a->height * w->a->width + j] = sum[c];
    }
}

static void forward_row(void *argument, int64_t index) {
    const struct pass *pass = argument;
    const struct warp *w = pass->w;
    const struct ph_warp_attributes *a = w->a;
    int64_t n = index / a->height, row = index % a->height, plane = w->in_height * w->in_width, right, down;
    int64_t first = n * w->channels + pass->channel;
    const float *matrix = w->call->inputs[1].data + n * 6, *in = w->call->inputs[0].data + first * plane;
    float *out = w->call->outputs[0].data + (first * a->height + row) * a->width;
    if (is_shift(matrix, &right, &down)) {
        int64_t from = border_index(w, row + down, w->in_height);
        for (int64_t c = 0; c < pass->channels; c++)
            shift_row(w, from < 0 ? NULL : in + c * plane + from * w->in_width, right, out + c * a->height * a->width);
        return;
    }
    const quad *picture = picture_of(w, n);
    struct line line = line_of(matrix, row);
    struct stretch all = {0, a->width}, middle = inside(w, &line, all);
    forward_inside(pass, &line, middle, picture, out);
    forward_border(pass, &line, (struct stretch){all.first, middle.first}, picture, out);
    forward_border(pass, &line, (struct stretch){middle.last, all.last}, picture, out);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Rows [low, high) and columns [left, right) of the picture's gradient; their sums have a margin of one pixel around them. */
struct tile { int64_t low, high, left, right, pitch; quad *sums; };

/* Every third sample, then those behind them, and then the others: what one adds to is mostly a neighbour of what the next one
 * would, and adding to what was just written in part would wait for it. */
static void scatter(const struct samples *s, int64_t count, const quad *gradients, quad *sums, int64_t pitch) {
    enum { APART = 3 };
    const neighbours left = {1, 1, 1, 1}, away = {-1, -1, -1, -1, 1, 1, 1, 1};
    for (int64_t phase = 0; phase < APART; phase++)
        for (int64_t i = phase; i < count; i += APART) {
            quad g = gradients[i];
            neighbours both = __builtin_shufflevector(g, g, 0, 1, 2, 3, 0, 1, 2, 3) * (left + away * s->right[i]);
            neighbours below = both * s->down[i];
            neighbours_unaligned *at = (neighbours_unaligned *)(sums + s->offset[i]);
            neighbours_unaligned *under = (neighbours_unaligned *)(sums + s->offset[i] + pitch);
            *at += both - below;
            *under += below;
        }
}

static void backward_inside(const struct pass *pass, const struct line *line, struct stretch of, const struct tile *tile,
                            const float *gradient) {
    const struct warp *w = pass->w;
    struct window near = {tile->low - 1, tile->high, tile->left - 1, tile->right, tile->pitch};
    struct samples s;
    quad gradients[CHUNK];
    for (int64_t first = of.first, count; first < of.last; first += count) {
        count = PH_MIN(CHUNK, of.last - first);
        locate(&near, line, first, count, &s);
        quads_join(gradient + first, w->a->height * w->a->width, pass->channels, count, gradients);
        scatter(&s, count, gradients, tile->sums, tile->pitch);
    }
}

static void backward_border(const struct pass *pass, const struct line *line, struct stretch of, const struct tile *tile,
                            const float *gradient) {
    const struct warp *w = pass->w;
    for (int64_t j = of.first; j < of.last; j++) {
        struct corners corners;
        quad g = {0};
        corners_find(w, line, j, &corners);
        for (int64_t c = 0; c < pass->channels; c++) g[c] = gradient[c * w->a->height * w->a->width + j];
        for (int i = 0; i < 4; i++) {
            int64_t row = corners.row[i / 2], column = corners.column[i % 2];
            if (row < tile->low || row >= tile->high || column < tile->left || column >= tile->right) continue;
            tile->sums[(row - tile->low + 1) * tile->pitch + column - tile->left + 1] += corners.weight[i] * g;
        }
    }
}

/* Of the samples in `of` those with a corner in the tile, if all of their corners are inside the picture. */
static struct stretch near(const struct line *line, const struct tile *tile, struct stretch of) {
    of = cut(line, 1, (double)(tile->low - 1), (double)tile->high, of);
    return cut(line, 0, (double)(tile->left - 1), (double)tile->right, of);
}

/* Where nothing beyond the border counts, only samples near the tile do. */
static bool is_local(const struct pass *pass) { return pass->w->a->border == PH_BORDER_CONSTANT; }

static void backward_line(const struct pass *pass, const struct line *line, const struct tile *tile, const float *gradient) {
    struct stretch all = {0, pass->w->a->width};
    if (is_local(pass)) all = near(line, tile, all);
    struct stretch middle = inside(pass->w, line, all);
    backward_inside(pass, line, is_local(pass) ? middle : near(line, tile, middle), tile, gradient);
    backward_border(pass, line, (struct stretch){all.first, middle.first}, tile, gradient);
    backward_border(pass, line, (struct stretch){middle.last, all.last}, tile, gradient);
}

/* The rows of the output, or a few more, that may have samples near the tile: the highest sample of each lies on a line too. */
static struct stretch rows_near(const struct pass *pass, const float *matrix, const struct tile *tile) {
    struct stretch all = {0, pass->w->a->height};
    if (!is_local(pass)) return all;
    double across = (double)matrix[3] * (double)(pass->w->a->width - 1), rise = across < 0 ? across : 0;
    struct line highest = {.slope = {0, matrix[4]}, .start = {0, matrix[5] + rise}};
    return cut(&highest, 1, (double)(tile->low - 2) - fabs(across), (double)(tile->high + 1), all);
}

/* `to`: of the picture's gradient the first plane of the pass. */
static void tile_turned(const struct pass *pass, const float *matrix, const struct tile *tile, const float *gradient,
                        float *to) {
    const struct warp *w = pass->w;
    memset(tile->sums, 0, (size_t)((tile->high - tile->low + 2) * tile->pitch + QUAD) * sizeof *tile->sums);
    struct stretch rows = rows_near(pass, matrix, tile);
    for (int64_t row = rows.first; row < rows.last; row++) {
        struct line line = line_of(matrix, row);
        backward_line(pass, &line, tile, gradient + row * w->a->width);
    }
    for (int64_t row = tile->low; row < tile->high; row++)
        quads_part(tile->sums + (row - tile->low + 1) * tile->pitch + 1, w->in_height * w->in_width, pass->channels,
                   tile->right - tile->left, w->call->accumulate[0], to + row * w->in_width + tile->left);
}

/* All columns of the tile's rows. */
static void rows_shifted(const struct pass *pass, int64_t right, int64_t down, const struct tile *tile, const float *gradient,
                         float *to) {
    const struct warp *w = pass->w;
    int64_t out_plane = w->a->height * w->a->width, plane = w->in_height * w->in_width;
    size_t bytes = (size_t)((tile->high - tile->low) * w->in_width) * sizeof *to;
    for (int64_t c = 0; c < pass->channels && !w->call->accumulate[0]; c++)
        memset(to + c * plane + tile->low * w->in_width, 0, bytes);
    for (int64_t row = 0; row < w->a->height; row++) {
        int64_t at = border_index(w, row + down, w->in_height);
        for (int64_t c = 0; c < pass->channels && at >= tile->low && at < tile->high; c++)
            shift_row_back(w, gradient + c * out_plane + row * w->a->width, right, to + c * plane + at * w->in_width);
    }
}

static int64_t bands_of(const struct warp *w) { return (w->in_height + ROWS - 1) / ROWS; }
static int64_t tiles_across(const struct warp *w) { return (w->in_width + COLUMNS - 1) / COLUMNS; }

static void backward_tile(void *argument, int64_t index) {
    const struct pass *pass = argument;
    const struct warp *w = pass->w;
    int64_t across = tiles_across(w), bands = bands_of(w), n = index / across / bands, right, down;
    quad sums[(ROWS + 2) * (COLUMNS + 2) + QUAD];
    struct tile tile = {.low = index / across % bands * ROWS, .left = index % across * COLUMNS, .sums = sums};
    tile.high = PH_MIN(tile.low + ROWS, w->in_height);
    tile.right = PH_MIN(tile.left + COLUMNS, w->in_width);
    tile.pitch = tile.right - tile.left + 2;
    int64_t first = n * w->channels + pass->channel;
    const float *matrix = w->call->inputs[1].data + n * 6;
    const float *gradient = w->call->output_gradients[0].data + first * w->a->height * w->a->width;
    float *to = w->call->input_gradients[0].data + first * w->in_height * w->in_width;
    if (!is_shift(matrix, &right, &down)) tile_turned(pass, matrix, &tile, gradient, to);
    else if (tile.left == 0) rows_shifted(pass, right, down, &tile, gradient, to);
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

/* The picture with its channels side by side, four of them at a time. */
static size_t scratch(const struct ph_kernel_query *query) {
    const int64_t *dims = query->graph->values[query->node->inputs[0]].shape.dims;
    return (size_t)(dims[0] * dims[2] * whole_quads(dims[3]) * QUAD);
}

static void forward_run(const struct ph_kernel_call *call) {
    struct warp w = warp_of(call);
    for (int64_t c = 0; c < w.channels; c += QUAD) {
        struct pass pass = {&w, c, PH_MIN((int64_t)QUAD, w.channels - c)};
        ph_parallel_for(call->context, w.items * w.in_height, picture_row, &pass);
        ph_parallel_for(call->context, w.items * w.a->height, forward_row, &pass);
    }
}

static void backward_run(const struct ph_kernel_call *call) {
    struct warp w = warp_of(call);
    for (int64_t c = 0; c < w.channels; c += QUAD) {
        struct pass pass = {&w, c, PH_MIN((int64_t)QUAD, w.channels - c)};
        ph_parallel_for(call->context, w.items * bands_of(&w) * tiles_across(&w), backward_tile, &pass);
    }
}

const struct ph_kernel PH_KERNEL(ph_warp_forward) = {.name = "rows", .operation = &ph_operation_affine_warp,
    .by_item = true, .accepts = accepts, .scratch = scratch, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_warp_backward) = {.name = "tiles", .operation = &ph_operation_affine_warp,
    .by_item = true, .backward = true, .accepts = accepts, .run = backward_run};
