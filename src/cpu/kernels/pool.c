/* Pooling of blocked tensors. Where there will be a backward, max-pooling leaves for it which element of each window was the
 * largest, the first in row order as in the plain function, lane by lane: a byte of each, so that the input is needed no more. */
#include "cpu/kernels/pool.h"
#include <math.h>

/* Window elements of output position o along an axis that lie inside [0, size): first and last + 1. */
PH_INLINE void window(const struct ph_pool_attributes *a, int axis, int64_t o, int64_t size, int64_t *first, int64_t *last) {
    int64_t start = o * a->stride[axis] - a->pad_begin[axis], dilation = a->dilation[axis];
    *first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    *last = PH_MIN(a->kernel[axis], start >= size ? 0 : (size - 1 - start) / dilation + 1);
}

/* By bands of rows of large maps; what looks at a whole map, by whole blocks. */
static struct bands bands_of(const struct ph_kernel_call *call, const struct ph_operand *written, bool whole) {
    const int64_t *dims = written->shape->dims, *in = call->plain.input_shapes[0]->dims; /* no smaller than the output */
    bool by_rows = !whole && is_large_map(in[2], in[3]);
    int threads = ph_parallel_threads(call->context);
    return bands_make(dims[0], dims[1], dims[2], by_rows ? threads : 1, by_rows, threads);
}

/* Element (y, x) of a window is number y kernel[2] + x: [items][blocks][rows][columns of the output][lanes]. */

/* Row y of a block; NULL: nobody wants them. */
static unsigned char *choices_of(const struct ph_kernel_call *call, int64_t n, int64_t block, int64_t y) {
    const int64_t *dims = call->plain.output_shapes[0].dims;
    if (!call->saved.data) return NULL;
    return (unsigned char *)(call->saved.data + n * call->saved.shape->dims[1]) + (block * dims[2] + y) * dims[3] * PH_LANES;
}

/* Of kernel elements [y0, y1) by [x0, x1), `across` to a row; `in` is where element (0, 0) is. The first of the largest goes to
 * `choice`, if that is wanted. */
PH_INLINE vector largest(const float *in, int64_t row, int64_t pixel, const int64_t y0, const int64_t y1, const int64_t x0,
                         const int64_t x1, int64_t across, unsigned char *choice) {
    vector best = splat(-HUGE_VALF);
    vector_int element = (vector_int){0} + (int)(y0 * across + x0);
    for (int64_t ky = y0; ky < y1; ky++)
        for (int64_t kx = x0; kx < x1; kx++) {
            vector value = load(in + ky * row + kx * pixel);
            vector larger = maximum(value, best);
            if (choice) element = if_equal(larger, best, element, (vector_int){0} + (int)(ky * across + kx));
            best = larger;
        }
    if (choice) narrow(choice, element);
    return best;
}

/* Windows of three adjacent columns and rows, the pooling of most networks: those of a row that lie inside it. */
struct run {
    int64_t first, end; /* output positions; none where they are equal */
    int64_t left;       /* column of the first one's left element */
    int64_t stride;     /* one or two columns, so that a window shares some with the next */
};

PH_INLINE struct run run_of(const struct ph_pool_attributes *a, int64_t width) {
    int64_t stride = a->stride[2], pad = a->pad_begin[2], first = (pad + stride - 1) / stride;
    if (a->kernel[1] != 3 || a->kernel[2] != 3 || a->dilation[1] != 1 || a->dilation[2] != 1 || stride > 2 || width < 3)
        return (struct run){0};
    int64_t end = PH_MIN(a->output[2], (width - 3 + pad) / stride + 1);
    return (struct run){first, PH_MAX(first, end), first * stride - pad, stride};
}

/* The largest of a column of three, and the number of the first element that it is in a window that begins there. */
struct column { vector largest; vector_int element; };

PH_INLINE struct column column_of(const float *const row[3], int64_t at, const vector_int element[3], const bool choosing) {
    vector top = load(row[0] + at), middle = load(row[1] + at), bottom = load(row[2] + at);
    struct column column = {.largest = maximum(bottom, maximum(middle, top))};
    if (choosing)
        column.element = if_equal(top, column.largest, element[0],
                                  if_equal(middle, column.largest, element[1], element[2]));
    return column;
}

/* Of `count` windows side by side, from rows at the first one's left column: the largest of each column, which the next window
 * may share, then of the columns. element[k] is the number of a row's first element. */
PH_INLINE void largest_of_three(const float *const row[3], const vector_int element[3], float *to, unsigned char *choices,
                                int64_t count, const int stride, const bool choosing) {
    struct column column[3];
    for (int c = 0; c < 3 - stride; c++) column[c] = column_of(row, c * PH_LANES, element, choosing);
    for (int64_t x = 0; x < count * PH_LANES; x += PH_LANES) {
        for (int c = 3 - stride; c < 3; c++) column[c] = column_of(row, stride * x + c * PH_LANES, element, choosing);
        vector best = maximum(column[2].largest, maximum(column[1].largest, column[0].largest));
        store(to + x, best);
        if (choosing) {
            vector_int first = (vector_int){0} + (PH_MOST_ELEMENTS - 1);
            for (int c = 0; c < 3; c++) first = lesser(first, if_equal(column[c].largest, best, column[c].element + c, first));
            narrow(choices + x, first);
        }
        for (int c = 0; c < 3 - stride; c++) column[c] = column[c + stride];
    }
}

/* `line` is where the windows' rows begin, of which [y0, y1) are inside. A row outside counts as the nearest one inside, which
 * changes no maximum. */
static void forward_run_of_three(const struct run *run, const float *line, int64_t row, int64_t y0, int64_t y1, float *to,
                                 unsigned char *choices) {
    const float *rows[3];
    vector_int element[3];
    for (int64_t k = 0; k < 3; k++) {
        int64_t inside = PH_MAX(y0, PH_MIN(k, y1 - 1));
        rows[k] = line + run->left * PH_LANES + inside * row;
        element[k] = (vector_int){0} + (int)(3 * inside);
    }
    to += run->first * PH_LANES;
    int64_t count = run->end - run->first;
    if (choices) {
        choices += run->first * PH_LANES;
        if (run->stride == 1) largest_of_three(rows, element, to, choices, count, 1, true);
        else largest_of_three(rows, element, to, choices, count, 2, true);
    } else if (run->stride == 1) largest_of_three(rows, element, to, NULL, count, 1, false);
    else largest_of_three(rows, element, to, NULL, count, 2, false);
}

void PH_KERNEL(ph_max_pool_forward_band)(const struct pool *pool, const struct band *band) {
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_operand *in = &pool->call->inputs[0], *out = &pool->call->outputs[0];
    const float *from = block_origin(in, band->n, band->block);
    float *to = block_origin(out, band->n, band->block) + band->first * out->layout.row;
    int64_t row = a->dilation[1] * in->layout.row, pixel = a->dilation[2] * PH_LANES, width = in->shape->dims[3];
    const struct run run = run_of(a, width);
    for (int64_t y = band->first; y < band->end; y++, to += out->layout.row) {
        unsigned char *choices = choices_of(pool->call, band->n, band->block, y);
        const float *line = from + start_of(a, 1, y) * in->layout.row;
        int64_t y0, y1, x = 0;
        window(a, 1, y, in->shape->dims[2], &y0, &y1);
        bool runs = run.first < run.end && y0 < y1;
        if (runs) forward_run_of_three(&run, line, row, y0, y1, to, choices);
        for (; x < out->shape->dims[3]; x++) {
            if (runs && x == run.first) x = run.end - 1;
            else {
                int64_t x0, x1;
                window(a, 2, x, width, &x0, &x1);
                store(to + x * PH_LANES, largest(line + start_of(a, 2, x) * PH_LANES, row, pixel, y0, y1, x0, x1, a->kernel[2],
                                                 choices ? choices + x * PH_LANES : NULL));
            }
        }
    }
}

static void max_pool_forward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct band band = band_of(&pool->bands, index);
    PH_KERNEL(ph_max_pool_forward_band)(pool, &band);
}

struct reach PH_KERNEL(ph_pool_reach)(const struct pool *pool, const struct band *band) {
    const struct ph_pool_attributes *a = pool->a;
    int64_t outputs = pool->call->output_gradients[0].shape->dims[2], stride = a->stride[1], pad = a->pad_begin[1];
    int64_t behind = band->first + pad - (a->kernel[1] - 1) * a->dilation[1];
    return (struct reach){behind > 0 ? (behind + stride - 1) / stride : 0, PH_MIN(outputs, (band->end - 1 + pad) / stride + 1)};
}

/* Of kernel rows [y0, y1), the first of which is at row `top`, those inside the band. */
PH_INLINE void keep_inside(const struct ph_pool_attributes *a, const struct band *band, int64_t top, int64_t *y0, int64_t *y1) {
    int64_t dilation = a->dilation[1];
    if (top < band->first) *y0 = PH_MAX(*y0, (band->first - top + dilation - 1) / dilation);
    *y1 = PH_MIN(*y1, (band->end - 1 - top) / dilation + 1);
}

/* Clears rows [first, end) of a block of channels; returns the first row behind what is clear. */
static int64_t clear_rows(const struct ph_operand *operand, float *block, int64_t first, int64_t end) {
    for (; first < end; first++)
        memset(block + first * operand->layout.row, 0, (size_t)operand->shape->dims[3] * PH_LANES * sizeof *block);
    return first;
}

/* The share of one window goes to the element chosen. Of kernel elements, `across` to a row, those of rows [y0, y1) and columns
 * [x0, x1) are written; `result` is where element (0, 0) is, and steps are between elements. */
PH_INLINE void max_pool_deal(vector_int choice, int64_t across, float *result, int64_t row, int64_t pixel, vector share,
                             const int64_t y0, const int64_t y1, const int64_t x0, const int64_t x1) {
    for (int64_t ky = y0; ky < y1; ky++)
        for (int64_t kx = x0; kx < x1; kx++) {
            float *target = result + ky * row + kx * pixel;
            store(target, load(target) + where(choice == (int)(ky * across + kx), share, (vector){0}));
        }
}

/* Of one row of windows: their choices, maxima and gradients, and how far rows of the result are clear. */
struct dealing {
    const struct pool *pool;
    const unsigned char *choices;
    const float *best, *gradient;
    float *target;         /* where the windows' first elements are */
    int64_t top, cleared;  /* rows of the result; of the window, and the first that is not clear */
};

/* What the window in column x has to give, which goes to an element that equals the maximum. */
PH_INLINE vector share_of_window(const struct dealing *d, const struct gate *gate, int64_t x) {
    vector share = load(d->gradient + x * PH_LANES);
    return gate->data ? rectified_gradient(gate->rectifier, load(d->best + x * PH_LANES), share) : share;
}

/* The same for a run of windows of three by three side by side, `target` at the first one's left column, with the gradients of
 * columns that the next window may share kept in registers. What rows of `target` hold is added to, except of a row that is
 * fresh: of that only what the first window would share with one before it. The next row of windows begins so many floats on:
 * what it is the first to touch is fetched. */
PH_INLINE void deal_to_three(const struct dealing *d, const struct run *run, float *const target[3], const bool fresh[3],
                             const int stride, int64_t next) {
    static const float zeros[3 * PH_LANES];
    const struct gate gate = d->pool->gate;
    vector sum[3][3];
    for (int k = 0; k < 3; k++)
        for (int c = 0; c < 3 - stride; c++) sum[k][c] = load(target[k] + c * PH_LANES);
    for (int64_t window = run->first, x = 0; window < run->end; window++, x += stride * PH_LANES) {
        vector share = share_of_window(d, &gate, window);
        vector_int choice = widen(d->choices + window * PH_LANES);
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++) {
            const float *before = fresh[k] ? zeros : target[k] + x;
            float *to = target[k] + x;
            for (int c = 0; c < stride && k >= 3 - stride; c++) __builtin_prefetch(to + next + c * PH_LANES, 1);
#pragma GCC unroll 3
            for (int c = 0; c < 3; c++) {
                if (c >= 3 - stride) sum[k][c] = load(before + c * PH_LANES);
                sum[k][c] += where(choice == 3 * k + c, share, (vector){0});
            }
#pragma GCC unroll 3
            for (int c = 0; c < 3; c++)
                if (c < stride) store(to + c * PH_LANES, sum[k][c]);
                else sum[k][c - stride] = sum[k][c];
        }
    }
    int64_t behind = stride * (run->end - run->first) * PH_LANES;
    for (int k = 0; k < 3; k++)
        for (int c = 0; c < 3 - stride; c++) store(target[k] + behind + c * PH_LANES, sum[k][c]);
}

/* The windows inside, all rows of which are written. */
static void deal_run_of_three(const struct run *run, const struct dealing *d) {
    const struct ph_operand *result = &d->pool->call->input_gradients[0];
    int64_t row = result->layout.row, next = d->pool->a->stride[1] * row, shared = 3 - run->stride;
    int64_t right = run->left + (run->end - run->first) * run->stride + shared;
    float *targets[3];
    bool fresh[3];
    for (int k = 0; k < 3; k++) {
        float *target = d->target + k * row;
        targets[k] = target + run->left * PH_LANES;
        fresh[k] = d->top + k >= d->cleared;
        if (!fresh[k]) continue;
        memset(target, 0, (size_t)((run->left + shared) * PH_LANES) * sizeof *target);
        memset(target + right * PH_LANES, 0, (size_t)((result->shape->dims[3] - right) * PH_LANES) * sizeof *target);
    }
    if (run->stride == 1) deal_to_three(d, run, targets, fresh, 1, next);
    else deal_to_three(d, run, targets, fresh, 2, next);
}

/* Windows [first, end) of the row one by one, of which kernel rows [y0, y1) are written. */
static void deal_windows(const struct dealing *d, int64_t first, int64_t end, int64_t y0, int64_t y1) {
    const struct ph_operand *result = &d->pool->call->input_gradients[0];
    const struct ph_pool_attributes *a = d->pool->a;
    int64_t pixel = a->dilation[2] * PH_LANES, row = a->dilation[1] * result->layout.row;
    for (int64_t x = first; x < end; x++) {
        int64_t x0, x1;
        window(a, 2, x, result->shape->dims[3], &x0, &x1);
        max_pool_deal(widen(d->choices + x * PH_LANES), a->kernel[2], d->target + start_of(a, 2, x) * PH_LANES, row, pixel,
                      share_of_window(d, &d->pool->gate, x), y0, y1, x0, x1);
    }
}

void PH_KERNEL(ph_max_pool_backward_band)(const struct pool *pool, const struct band *band, struct reach reach) {
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_kernel_call *call = pool->call;
    const struct ph_operand *out = &call->outputs[0], *gradient = &call->output_gradients[0], *result = &call->input_gradients[0];
    const struct gate *gate = &pool->gate;
    float *to = block_origin(result, band->n, band->block);
    int64_t height = result->shape->dims[2], width = result->shape->dims[3], choices_row = gradient->shape->dims[3] * PH_LANES;
    struct dealing d = {.pool = pool, .choices = choices_of(call, band->n, band->block, reach.first),
        .best = block_origin(out, band->n, band->block) + reach.first * out->layout.row,
        .gradient = block_origin(gradient, band->n, band->block) + reach.first * gradient->layout.row,
        .cleared = call->accumulate[0] ? band->end : band->first};
    const struct run run = run_of(a, width);
    for (int64_t y = reach.first; y < reach.end; y++) {
        int64_t y0, y1;
        d.top = start_of(a, 1, y);
        d.target = to + d.top * result->layout.row;
        window(a, 1, y, height, &y0, &y1);
        keep_inside(a, band, d.top, &y0, &y1);
        bool runs = run.first < run.end && y1 - y0 == 3;
        /* Rows are cleared just before they are needed, while they are in the nearest cache. */
        d.cleared = clear_rows(result, to, d.cleared, runs ? d.top : d.top + (y1 - 1) * a->dilation[1] + 1);
        /* Those inside come first also where a band cuts their rows: sums do not depend on where that is. */
        if (runs) {
            deal_run_of_three(&run, &d);
            d.cleared = PH_MAX(d.cleared, d.top + 3);
        } else {
            deal_windows(&d, run.first, run.end, y0, y1);
        }
        deal_windows(&d, 0, run.first, y0, y1);
        deal_windows(&d, run.end, a->output[2], y0, y1);
        d.choices += choices_row;
        d.best += out->layout.row;
        d.gradient += gradient->layout.row;
    }
    clear_rows(result, to, d.cleared, band->end);
    if (!gate->data || !call->accumulate[0]) return;
    const float *passed = gate->data + band->n * gate->item + band->block * gate->plane + band->first * gate->row;
    to += band->first * result->layout.row;
    for (int64_t y = band->first; y < band->end; y++, to += result->layout.row, passed += gate->row)
        for (int64_t x = 0; x < width * PH_LANES; x += PH_LANES) store(to + x, gated(gate, passed + x, load(to + x)));
}

static void max_pool_backward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct band band = band_of(&pool->bands, index);
    PH_KERNEL(ph_max_pool_backward_band)(pool, &band, PH_KERNEL(ph_pool_reach)(pool, &band));
}

/* Elements a window's sum is divided by. */
PH_INLINE float divisor(const struct ph_pool_attributes *a, const struct ph_shape *in, int64_t y, int64_t x) {
    int64_t count = 1, position[PH_SPATIAL] = {0, y, x};
    for (int axis = 1; axis < PH_SPATIAL; axis++) {
        int64_t size = in->dims[axis + 1], first, last;
        if (a->divisor == PH_DIVIDE_VALID) {
            window(a, axis, position[axis], size, &first, &last);
            count *= PH_MAX(last - first, (int64_t)0);
        } else {
            int64_t start = start_of(a, axis, position[axis]), end = size + a->pad_end[axis];
            count *= PH_MIN(a->kernel[axis], (end - start + a->dilation[axis] - 1) / a->dilation[axis]);
        }
    }
    return (float)PH_MAX(count, (int64_t)1);
}

static void average_pool_forward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_operand *in = &pool->call->inputs[0], *out = &pool->call->outputs[0];
    const struct band band = band_of(&pool->bands, index);
    const float *from = block_origin(in, band.n, band.block);
    float *to = block_origin(out, band.n, band.block);
    for (int64_t y = band.first; y < band.end; y++) {
        int64_t y0, y1;
        window(a, 1, y, in->shape->dims[2], &y0, &y1);
        for (int64_t x = 0; x < out->shape->dims[3]; x++) {
            int64_t x0, x1;
            window(a, 2, x, in->shape->dims[3], &x0, &x1);
            vector sum = {0};
            for (int64_t ky = y0; ky < y1; ky++)
                for (int64_t kx = x0; kx < x1; kx++)
                    sum += load(from + (start_of(a, 1, y) + ky * a->dilation[1]) * in->layout.row +
                                (start_of(a, 2, x) + kx * a->dilation[2]) * PH_LANES);
            store(to + y * out->layout.row + x * PH_LANES, sum / splat(divisor(a, in->shape, y, x)));
        }
    }
}

static void average_pool_backward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_operand *gradient = &pool->call->output_gradients[0], *result = &pool->call->input_gradients[0];
    const struct band band = band_of(&pool->bands, index);
    const struct reach reach = PH_KERNEL(ph_pool_reach)(pool, &band);
    const float *g = block_origin(gradient, band.n, band.block);
    float *to = block_origin(result, band.n, band.block);
    int64_t cleared = pool->call->accumulate[0] ? band.end : band.first;
    for (int64_t y = reach.first; y < reach.end; y++) {
        int64_t y0, y1;
        window(a, 1, y, result->shape->dims[2], &y0, &y1);
        keep_inside(a, &band, start_of(a, 1, y), &y0, &y1);
        cleared = clear_rows(result, to, cleared, start_of(a, 1, y) + (y1 - 1) * a->dilation[1] + 1);
        for (int64_t x = 0; x < gradient->shape->dims[3]; x++) {
            int64_t x0, x1;
            window(a, 2, x, result->shape->dims[3], &x0, &x1);
            vector share = load(g + y * gradient->layout.row + x * PH_LANES) / splat(divisor(a, result->shape, y, x));
            for (int64_t ky = y0; ky < y1; ky++)
                for (int64_t kx = x0; kx < x1; kx++) {
                    float *target = to + (start_of(a, 1, y) + ky * a->dilation[1]) * result->layout.row +
                                    (start_of(a, 2, x) + kx * a->dilation[2]) * PH_LANES;
                    store(target, load(target) + share);
                }
        }
    }
    clear_rows(result, to, cleared, band.end);
}

static void global_average_forward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_operand *in = &pool->call->inputs[0];
    const float *from = block_of_task(in, index);
    int64_t height = in->shape->dims[2], width = in->shape->dims[3];
    vector sum = {0};
    for (int64_t y = 0; y < height; y++) {
        vector row = {0};
        for (int64_t x = 0; x < width; x++) row += load(from + y * in->layout.row + x * PH_LANES);
        sum += row;
    }
    store(block_of_task(&pool->call->outputs[0], index), sum / splat((float)(height * width)));
}

static void global_average_backward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_operand *result = &pool->call->input_gradients[0];
    const struct band band = band_of(&pool->bands, index);
    int64_t height = result->shape->dims[2], width = result->shape->dims[3];
    vector share = load(block_origin(&pool->call->output_gradients[0], band.n, band.block)) / splat((float)(height * width));
    float *to = block_origin(result, band.n, band.block);
    for (int64_t y = band.first; y < band.end; y++)
        for (int64_t x = 0; x < width; x++) {
            float *target = to + y * result->layout.row + x * PH_LANES;
            store(target, pool->call->accumulate[0] ? load(target) + share : share);
        }
}

static unsigned reads_outputs(const struct ph_kernel_query *query) { return (void)query, PH_READS_OUTPUTS; }
static unsigned reads_nothing(const struct ph_kernel_query *query) { return (void)query, 0; }

static bool max_pool_accepts(const struct ph_kernel_query *query) {
    const struct ph_pool_attributes *a = query->node->attributes;
    return first_is_blockable(query) && a->kernel[1] * a->kernel[2] <= PH_MOST_ELEMENTS;
}

size_t PH_KERNEL(ph_max_pool_saved)(const struct ph_kernel_query *query) {
    const int64_t *dims = query->graph->values[query->node->outputs[0]].shape.dims;
    return (size_t)(blocks_of(dims[1]) * dims[2] * dims[3] * PH_LANES) / sizeof(float);
}

#define POOL_KERNEL(kernel, block, op, operand, whole, ...)                                                              \
    static void kernel##_run(const struct ph_kernel_call *call) {                                                        \
        struct pool pool = {call, call->node->attributes, gate_of(call), bands_of(call, &call->operand[0], whole)};      \
        ph_parallel_for(call->context, bands_tasks(&pool.bands), block##_block, &pool);                                  \
    }                                                                                                                    \
    const struct ph_kernel PH_KERNEL(ph_##kernel) = {.name = "blocked", .operation = &ph_operation_##op, .by_item = true,\
        .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .run = kernel##_run, __VA_ARGS__};

#define FORWARD .accepts = first_is_blockable
#define BACKWARD .backward = true, .accepts = first_is_blockable, .reads = reads_nothing

POOL_KERNEL(max_pool_forward, max_pool_forward, max_pool, outputs, false, .accepts = max_pool_accepts,
            .saved = PH_KERNEL(ph_max_pool_saved))
POOL_KERNEL(max_pool_backward, max_pool_backward, max_pool, input_gradients, false, .backward = true, .gates = true,
            .gates_by_output = true, .accepts = max_pool_accepts, .saved = PH_KERNEL(ph_max_pool_saved), .reads = reads_outputs)
POOL_KERNEL(softened_max_pool_forward, max_pool_forward, softened_max_pool, outputs, false, FORWARD)
POOL_KERNEL(softened_max_pool_backward, average_pool_backward, softened_max_pool, input_gradients, false, BACKWARD)
POOL_KERNEL(average_pool_forward, average_pool_forward, average_pool, outputs, false, FORWARD)
POOL_KERNEL(average_pool_backward, average_pool_backward, average_pool, input_gradients, false, BACKWARD)
POOL_KERNEL(global_average_forward, global_average_forward, global_average_pool, outputs, true, FORWARD)
POOL_KERNEL(global_average_backward, global_average_backward, global_average_pool, input_gradients, false, BACKWARD)
