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

/* Forward by bands of rows of large maps; where windows of two bands would write, by whole blocks. */
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
#pragma GCC unroll 3
    for (int64_t ky = y0; ky < y1; ky++)
#pragma GCC unroll 3
        for (int64_t kx = x0; kx < x1; kx++) best = maximum(load(in + ky * row + kx * pixel), best);
    return best;
}

static void max_pool_forward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_operand *in = &pool->call->inputs[0], *out = &pool->call->outputs[0];
    const struct band band = band_of(&pool->bands, index);
    const float *from = block_origin(in, band.n, band.block);
    float *to = block_origin(out, band.n, band.block);
    int64_t height = in->shape->dims[2], width = in->shape->dims[3];
    int64_t row = a->dilation[1] * in->layout.row, pixel = a->dilation[2] * PH_LANES;
    for (int64_t y = band.first; y < band.end; y++) {
        int64_t y0, y1;
        window(a, 1, y, height, &y0, &y1);
        for (int64_t x = 0; x < out->shape->dims[3]; x++) {
            int64_t x0, x1;
            window(a, 2, x, width, &x0, &x1);
            const float *at = from + start_of(a, 1, y) * in->layout.row + start_of(a, 2, x) * PH_LANES;
            bool full = y1 - y0 == 3 && x1 - x0 == 3; /* three by three: the pooling of most networks */
            store(to + y * out->layout.row + x * PH_LANES,
                  full ? largest(at + y0 * row + x0 * pixel, row, pixel, 0, 3, 0, 3) : largest(at, row, pixel, y0, y1, x0, x1));
        }
    }
}

/* Clears rows [first, end) of a block of channels; returns the first row behind what is clear. */
static int64_t clear_rows(const struct ph_operand *operand, float *block, int64_t first, int64_t end) {
    for (; first < end; first++)
        memset(block + first * operand->layout.row, 0, (size_t)operand->shape->dims[3] * PH_LANES * sizeof *block);
    return first;
}

/* The share of one window goes to its first element, in row order, that equals the maximum. Kernel elements [y0, y1) by
 * [x0, x1) are inside; `in` and `result` are where element (0, 0) is, and steps are between elements. */
PH_INLINE void max_pool_deal(const float *in, int64_t in_row, float *result, int64_t result_row, int64_t pixel, vector maximal,
                             vector share, const int64_t y0, const int64_t y1, const int64_t x0, const int64_t x1) {
    vector_int left = ~(vector_int){0};
#pragma GCC unroll 3
    for (int64_t ky = y0; ky < y1; ky++)
#pragma GCC unroll 3
        for (int64_t kx = x0; kx < x1; kx++) {
            vector_int here = (load(in + ky * in_row + kx * pixel) == maximal) & left;
            float *target = result + ky * result_row + kx * pixel;
            store(target, load(target) + where(here, share, (vector){0}));
            left &= ~here;
        }
}

static void max_pool_backward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_kernel_call *call = pool->call;
    const struct ph_operand *in = &call->inputs[0], *out = &call->outputs[0];
    const struct ph_operand *gradient = &call->output_gradients[0], *result = &call->input_gradients[0];
    const struct gate *gate = &pool->gate;
    const float *from = block_of_task(in, index), *best = block_of_task(out, index), *g = block_of_task(gradient, index);
    float *to = block_of_task(result, index);
    int64_t height = in->shape->dims[2], width = in->shape->dims[3], cleared = call->accumulate[0] ? height : 0;
    int64_t in_row = a->dilation[1] * in->layout.row, result_row = a->dilation[1] * result->layout.row;
    int64_t pixel = a->dilation[2] * PH_LANES;
    for (int64_t y = 0; y < out->shape->dims[2]; y++) {
        int64_t y0, y1, top = start_of(a, 1, y);
        window(a, 1, y, height, &y0, &y1);
        /* Rows are cleared just before they are needed, while they are in the nearest cache. */
        cleared = clear_rows(result, to, cleared, top + (y1 - 1) * a->dilation[1] + 1);
        for (int64_t x = 0; x < out->shape->dims[3]; x++) {
            int64_t x0, x1, left = start_of(a, 2, x);
            window(a, 2, x, width, &x0, &x1);
            vector maximal = load(best + y * out->layout.row + x * PH_LANES);
            vector share = load(g + y * gradient->layout.row + x * PH_LANES);
            /* What goes to an element goes to one that equals the maximum. */
            if (gate->data) share = rectified_gradient(gate->rectifier, maximal, share);
            const float *in_window = from + top * in->layout.row + left * PH_LANES;
            float *result_window = to + top * result->layout.row + left * PH_LANES;
            if (y1 - y0 == 3 && x1 - x0 == 3)
                max_pool_deal(in_window + y0 * in_row + x0 * pixel, in_row, result_window + y0 * result_row + x0 * pixel, result_row,
                              pixel, maximal, share, 0, 3, 0, 3);
            else
                max_pool_deal(in_window, in_row, result_window, result_row, pixel, maximal, share, y0, y1, x0, x1);
        }
    }
    clear_rows(result, to, cleared, height);
    if (!gate->data || !call->accumulate[0]) return;
    const float *passed = gate->data + index / blocks_of(in->shape->dims[1]) * gate->item + index % blocks_of(in->shape->dims[1]) * gate->plane;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width * PH_LANES; x += PH_LANES)
            store(to + y * result->layout.row + x, gated(gate, passed + y * gate->row + x, load(to + y * result->layout.row + x)));
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
    const float *g = block_of_task(gradient, index);
    float *to = block_of_task(result, index);
    int64_t cleared = pool->call->accumulate[0] ? result->shape->dims[2] : 0;
    for (int64_t y = 0; y < gradient->shape->dims[2]; y++) {
        int64_t y0, y1;
        window(a, 1, y, result->shape->dims[2], &y0, &y1);
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
    clear_rows(result, to, cleared, result->shape->dims[2]);
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
POOL_KERNEL(max_pool_backward, max_pool_backward, max_pool, true, input_gradients, true, reads_both, true)
POOL_KERNEL(softened_max_pool_forward, max_pool_forward, softened_max_pool, false, outputs, false, NULL, false)
POOL_KERNEL(softened_max_pool_backward, average_pool_backward, softened_max_pool, true, input_gradients, true, reads_nothing, false)
POOL_KERNEL(average_pool_forward, average_pool_forward, average_pool, false, outputs, false, NULL, false)
POOL_KERNEL(average_pool_backward, average_pool_backward, average_pool, true, input_gradients, true, reads_nothing, false)
POOL_KERNEL(global_average_forward, global_average_forward, global_average_pool, false, outputs, true, NULL, false)
POOL_KERNEL(global_average_backward, global_average_backward, global_average_pool, true, input_gradients, true, reads_nothing, false)
