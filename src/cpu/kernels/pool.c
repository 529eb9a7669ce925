/* Pooling of blocked tensors. The backward of max-pooling finds the first element in row order that equals the maximum,
 * as the plain function does, lane by lane. */
#include "cpu/kernels/bands.h"
#include <math.h>

struct pool {
    const struct ph_kernel_call *call;
    const struct ph_pool_attributes *a;
    struct gate gate;
    struct bands bands; /* of what is written */
};

/* Window elements of output position o along an axis that lie inside [0, size): first and last + 1. */
PH_INLINE void window(const struct ph_pool_attributes *a, int axis, int64_t o, int64_t size, int64_t *first, int64_t *last) {
    int64_t start = o * a->stride[axis] - a->pad_begin[axis], dilation = a->dilation[axis];
    *first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    *last = PH_MIN(a->kernel[axis], start >= size ? 0 : (size - 1 - start) / dilation + 1);
}

PH_INLINE int64_t start_of(const struct ph_pool_attributes *a, int axis, int64_t o) {
    return o * a->stride[axis] - a->pad_begin[axis];
}

/* By bands of rows of large maps; what looks at a whole map, by whole blocks. */
static struct bands bands_of(const struct ph_kernel_call *call, const struct ph_operand *written, bool whole) {
    const int64_t *dims = written->shape->dims, *in = call->plain.input_shapes[0]->dims; /* no smaller than the output */
    bool by_rows = !whole && is_large_map(in[2], in[3]);
    int threads = ph_parallel_threads(call->context);
    return bands_make(dims[0], dims[1], dims[2], by_rows ? threads : 1, by_rows, threads);
}

/* Of kernel elements [y0, y1) by [x0, x1); `in` is where element (0, 0) is. */
PH_INLINE vector largest(const float *in, int64_t row, int64_t pixel, const int64_t y0, const int64_t y1, const int64_t x0,
                         const int64_t x1) {
    vector best = splat(-HUGE_VALF);
    for (int64_t ky = y0; ky < y1; ky++)
        for (int64_t kx = x0; kx < x1; kx++) best = maximum(load(in + ky * row + kx * pixel), best);
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

PH_INLINE vector highest(const float *const row[3], int64_t at) {
    return maximum(load(row[2] + at), maximum(load(row[1] + at), load(row[0] + at)));
}

/* Of `count` windows side by side, from rows at the first one's left column: the largest of each column, which the next window
 * may share, then of the columns. */
PH_INLINE void largest_of_three(const float *const row[3], float *to, int64_t count, const int stride) {
    vector column[3];
    for (int c = 0; c < 3 - stride; c++) column[c] = highest(row, c * PH_LANES);
    for (int64_t x = 0; x < count * PH_LANES; x += PH_LANES) {
        for (int c = 3 - stride; c < 3; c++) column[c] = highest(row, stride * x + c * PH_LANES);
        store(to + x, maximum(column[2], maximum(column[1], column[0])));
        for (int c = 0; c < 3 - stride; c++) column[c] = column[c + stride];
    }
}

/* `line` is where the windows' rows begin, of which [y0, y1) are inside. A row outside counts as one inside, which changes no
 * maximum. */
static void forward_run_of_three(const struct run *run, const float *line, int64_t row, int64_t y0, int64_t y1, float *to) {
    const float *rows[3];
    for (int64_t k = 0; k < 3; k++) rows[k] = line + run->left * PH_LANES + PH_MAX(y0, PH_MIN(k, y1 - 1)) * row;
    to += run->first * PH_LANES;
    if (run->stride == 1) largest_of_three(rows, to, run->end - run->first, 1);
    else largest_of_three(rows, to, run->end - run->first, 2);
}

static void max_pool_forward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_operand *in = &pool->call->inputs[0], *out = &pool->call->outputs[0];
    const struct band band = band_of(&pool->bands, index);
    const float *from = block_origin(in, band.n, band.block);
    float *to = block_origin(out, band.n, band.block) + band.first * out->layout.row;
    int64_t row = a->dilation[1] * in->layout.row, pixel = a->dilation[2] * PH_LANES, width = in->shape->dims[3];
    const struct run run = run_of(a, width);
    for (int64_t y = band.first; y < band.end; y++, to += out->layout.row) {
        const float *line = from + start_of(a, 1, y) * in->layout.row;
        int64_t y0, y1, x = 0;
        window(a, 1, y, in->shape->dims[2], &y0, &y1);
        bool runs = run.first < run.end && y0 < y1;
        if (runs) forward_run_of_three(&run, line, row, y0, y1, to);
        for (; x < out->shape->dims[3]; x++) {
            if (runs && x == run.first) x = run.end - 1;
            else {
                int64_t x0, x1;
                window(a, 2, x, width, &x0, &x1);
                store(to + x * PH_LANES, largest(line + start_of(a, 2, x) * PH_LANES, row, pixel, y0, y1, x0, x1));
            }
        }
    }
}

/* Backward a band takes part in all windows that reach into it, but writes its own rows alone: those of windows [first, end). */
struct reach { int64_t first, end; };

static struct reach reach_of(const struct pool *pool, const struct band *band) {
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

/* The share of one window goes to its first element, in row order, that equals the maximum. Kernel elements [y0, y1) by
 * [x0, x1) are inside, of which those of rows [own, end) are written; `in` and `result` are where element (0, 0) is, and steps
 * are between elements. */
PH_INLINE void max_pool_deal(const float *in, int64_t in_row, float *result, int64_t result_row, int64_t pixel, vector maximal,
                             vector share, const int64_t y0, const int64_t x0, const int64_t x1, const int64_t own,
                             const int64_t end) {
    vector_int left = ~(vector_int){0};
    for (int64_t ky = y0; ky < end; ky++)
        for (int64_t kx = x0; kx < x1; kx++) {
            vector_int here = (load(in + ky * in_row + kx * pixel) == maximal) & left;
            float *target = result + ky * result_row + kx * pixel;
            if (ky >= own) store(target, load(target) + where(here, share, (vector){0}));
            left &= ~here;
        }
}

/* The same for `count` windows of three by three side by side, `row` and `target` at the first one's left column, with the
 * gradients of columns that the next window may share kept in registers. What rows of `target` hold is added to, except of a
 * row that is fresh: of that only what the first window would share with one before it. The next row of windows begins so many
 * floats on: what it is the first to touch is fetched. */
PH_INLINE void deal_to_three(const float *const row[3], float *const target[3], const bool fresh[3], const float *best,
                             const float *gradient, const struct gate *gate, int64_t count, const int stride, int64_t next_in,
                             int64_t next_target) {
    static const float zeros[3 * PH_LANES];
    vector sum[3][3];
    for (int k = 0; k < 3; k++)
        for (int c = 0; c < 3 - stride; c++) sum[k][c] = load(target[k] + c * PH_LANES);
    for (int64_t x = 0; x < count * PH_LANES; x += PH_LANES) {
        vector maximal = load(best + x), share = load(gradient + x);
        if (gate->data) share = rectified_gradient(gate->rectifier, maximal, share);
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++) {
            const float *in = row[k] + stride * x, *before = fresh[k] ? zeros : target[k] + stride * x;
            float *to = target[k] + stride * x;
            for (int c = 0; c < stride && k >= 3 - stride; c++) {
                __builtin_prefetch(in + next_in + c * PH_LANES);
                __builtin_prefetch(to + next_target + c * PH_LANES, 1);
            }
#pragma GCC unroll 3
            for (int c = 0; c < 3; c++) {
                vector_int here = load(in + c * PH_LANES) == maximal;
                if (c >= 3 - stride) sum[k][c] = load(before + c * PH_LANES);
                sum[k][c] += where(here, share, (vector){0});
                share = where(here, (vector){0}, share);
            }
#pragma GCC unroll 3
            for (int c = 0; c < 3; c++)
                if (c < stride) store(to + c * PH_LANES, sum[k][c]);
                else sum[k][c - stride] = sum[k][c];
        }
    }
    for (int k = 0; k < 3; k++)
        for (int c = 0; c < 3 - stride; c++) store(target[k] + (stride * count + c) * PH_LANES, sum[k][c]);
}

/* Of one row of windows: where they and their maxima are, and how far rows of the result are clear. */
struct dealing {
    const struct pool *pool;
    const float *line, *best, *gradient; /* of the row of windows, whose first elements are at `line` */
    float *target;
    int64_t top, cleared; /* rows of the result; of the window, and the first that is not clear */
};

/* The windows inside, all rows of which are inside too. */
static void deal_run_of_three(const struct run *run, const struct dealing *d) {
    const struct ph_kernel_call *call = d->pool->call;
    int64_t in_row = call->inputs[0].layout.row, result_row = call->input_gradients[0].layout.row;
    int64_t count = run->end - run->first, shared = 3 - run->stride, right = run->left + count * run->stride + shared;
    int64_t next_in = d->pool->a->stride[1] * in_row, next = d->pool->a->stride[1] * result_row;
    const float *rows[3];
    float *targets[3];
    bool fresh[3];
    for (int k = 0; k < 3; k++) {
        float *target = d->target + k * result_row;
        rows[k] = d->line + k * in_row + run->left * PH_LANES;
        targets[k] = target + run->left * PH_LANES;
        fresh[k] = d->top + k >= d->cleared;
        if (!fresh[k]) continue;
        memset(target, 0, (size_t)((run->left + shared) * PH_LANES) * sizeof *target);
        memset(target + right * PH_LANES, 0, (size_t)((call->inputs[0].shape->dims[3] - right) * PH_LANES) * sizeof *target);
    }
    const float *best = d->best + run->first * PH_LANES, *gradient = d->gradient + run->first * PH_LANES;
    if (run->stride == 1) deal_to_three(rows, targets, fresh, best, gradient, &d->pool->gate, count, 1, next_in, next);
    else deal_to_three(rows, targets, fresh, best, gradient, &d->pool->gate, count, 2, next_in, next);
}

/* All others, and those of rows and kernels that are no run. Kernel rows from y0 on are inside, of which [own, end) are written. */
static void deal_rest(const struct run *run, const struct dealing *d, int64_t y0, int64_t own, int64_t end) {
    const struct ph_kernel_call *call = d->pool->call;
    const struct ph_pool_attributes *a = d->pool->a;
    int64_t in_row = a->dilation[1] * call->inputs[0].layout.row, pixel = a->dilation[2] * PH_LANES;
    int64_t result_row = a->dilation[1] * call->input_gradients[0].layout.row;
    for (int64_t x = run->first ? 0 : run->end; x < a->output[2]; x = x + 1 == run->first ? run->end : x + 1) {
        int64_t x0, x1, left = start_of(a, 2, x) * PH_LANES;
        window(a, 2, x, call->inputs[0].shape->dims[3], &x0, &x1);
        vector maximal = load(d->best + x * PH_LANES), share = load(d->gradient + x * PH_LANES);
        /* What goes to an element goes to one that equals the maximum. */
        if (d->pool->gate.data) share = rectified_gradient(d->pool->gate.rectifier, maximal, share);
        max_pool_deal(d->line + left, in_row, d->target + left, result_row, pixel, maximal, share, y0, x0, x1, own, end);
    }
}

static void max_pool_backward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_kernel_call *call = pool->call;
    const struct ph_operand *in = &call->inputs[0], *out = &call->outputs[0];
    const struct ph_operand *gradient = &call->output_gradients[0], *result = &call->input_gradients[0];
    const struct gate *gate = &pool->gate;
    const struct band band = band_of(&pool->bands, index);
    const struct reach reach = reach_of(pool, &band);
    const float *from = block_origin(in, band.n, band.block);
    float *to = block_origin(result, band.n, band.block);
    int64_t height = in->shape->dims[2], width = in->shape->dims[3];
    struct dealing d = {.pool = pool, .best = block_origin(out, band.n, band.block) + reach.first * out->layout.row,
        .gradient = block_origin(gradient, band.n, band.block) + reach.first * gradient->layout.row,
        .cleared = call->accumulate[0] ? band.end : band.first};
    const struct run run = run_of(a, width), none = {0};
    for (int64_t y = reach.first; y < reach.end; y++, d.best += out->layout.row, d.gradient += gradient->layout.row) {
        int64_t y0, y1, own, end;
        window(a, 1, y, height, &y0, &y1);
        own = y0, end = y1;
        d.top = start_of(a, 1, y);
        keep_inside(a, &band, d.top, &own, &end);
        d.line = from + d.top * in->layout.row;
        d.target = to + d.top * result->layout.row;
        bool runs = run.first < run.end && end - own == 3;
        /* Rows are cleared just before they are needed, while they are in the nearest cache. */
        d.cleared = clear_rows(result, to, d.cleared, runs ? d.top : d.top + (end - 1) * a->dilation[1] + 1);
        if (runs) {
            deal_run_of_three(&run, &d);
            d.cleared = PH_MAX(d.cleared, d.top + 3);
        }
        deal_rest(runs ? &run : &none, &d, y0, own, end);
    }
    clear_rows(result, to, d.cleared, band.end);
    if (!gate->data || !call->accumulate[0]) return;
    const float *passed = gate->data + band.n * gate->item + band.block * gate->plane + band.first * gate->row;
    to += band.first * result->layout.row;
    for (int64_t y = band.first; y < band.end; y++, to += result->layout.row, passed += gate->row)
        for (int64_t x = 0; x < width * PH_LANES; x += PH_LANES) store(to + x, gated(gate, passed + x, load(to + x)));
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
    const struct reach reach = reach_of(pool, &band);
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
    int64_t height = result->shape->dims[2], width = result->shape->dims[3];
    vector share = load(block_of_task(&pool->call->output_gradients[0], index)) / splat((float)(height * width));
    float *to = block_of_task(result, index);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            float *target = to + y * result->layout.row + x * PH_LANES;
            store(target, pool->call->accumulate[0] ? load(target) + share : share);
        }
}

static unsigned reads_both(const struct ph_kernel_query *query) { return (void)query, PH_READS_INPUTS | PH_READS_OUTPUTS; }
static unsigned reads_nothing(const struct ph_kernel_query *query) { return (void)query, 0; }

#define POOL_KERNEL(kernel, block, op, direction, operand, whole, kernel_reads, kernel_gates)                            \
    static void kernel##_run(const struct ph_kernel_call *call) {                                                        \
        struct pool pool = {call, call->node->attributes, gate_of(call), bands_of(call, &call->operand[0], whole)};      \
        ph_parallel_for(call->context, bands_tasks(&pool.bands), block##_block, &pool);                                  \
    }                                                                                                                    \
    const struct ph_kernel PH_KERNEL(ph_##kernel) = {.name = "blocked", .operation = &ph_operation_##op,                 \
        .backward = direction, .by_item = true, .gates = kernel_gates, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED,               \
        .accepts = first_is_blockable, .run = kernel##_run, .reads = kernel_reads};

POOL_KERNEL(max_pool_forward, max_pool_forward, max_pool, false, outputs, false, NULL, false)
POOL_KERNEL(max_pool_backward, max_pool_backward, max_pool, true, input_gradients, false, reads_both, true)
POOL_KERNEL(softened_max_pool_forward, max_pool_forward, softened_max_pool, false, outputs, false, NULL, false)
POOL_KERNEL(softened_max_pool_backward, average_pool_backward, softened_max_pool, true, input_gradients, false, reads_nothing, false)
POOL_KERNEL(average_pool_forward, average_pool_forward, average_pool, false, outputs, false, NULL, false)
POOL_KERNEL(average_pool_backward, average_pool_backward, average_pool, true, input_gradients, false, reads_nothing, false)
POOL_KERNEL(global_average_forward, global_average_forward, global_average_pool, false, outputs, true, NULL, false)
POOL_KERNEL(global_average_backward, global_average_backward, global_average_pool, true, input_gradients, true, reads_nothing, false)
