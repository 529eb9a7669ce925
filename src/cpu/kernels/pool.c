/* Pooling of blocked tensors. The backward of max-pooling finds the first element in row order that equals the maximum,
 * as the plain function does, lane by lane. */
#include "cpu/kernels/blocked.h"
#include <math.h>

struct pool {
    const struct ph_kernel_call *call;
    const struct ph_pool_attributes *a;
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

static int64_t tasks_of(const struct ph_operand *operand) { return operand->shape->dims[0] * blocks_of(operand->shape->dims[1]); }

static void max_pool_forward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_operand *in = &pool->call->inputs[0], *out = &pool->call->outputs[0];
    const float *from = block_of_task(in, index);
    float *to = block_of_task(out, index);
    int64_t height = in->shape->dims[2], width = in->shape->dims[3];
    for (int64_t y = 0; y < out->shape->dims[2]; y++) {
        int64_t y0, y1;
        window(a, 1, y, height, &y0, &y1);
        for (int64_t x = 0; x < out->shape->dims[3]; x++) {
            int64_t x0, x1;
            window(a, 2, x, width, &x0, &x1);
            vector best = splat(-HUGE_VALF);
            for (int64_t ky = y0; ky < y1; ky++) {
                const float *row = from + (start_of(a, 1, y) + ky * a->dilation[1]) * in->layout.row + start_of(a, 2, x) * PH_LANES;
                for (int64_t kx = x0; kx < x1; kx++) best = maximum(load(row + kx * a->dilation[2] * PH_LANES), best);
            }
            store(to + y * out->layout.row + x * PH_LANES, best);
        }
    }
}

static void clear_block(const struct ph_operand *operand, float *block) {
    for (int64_t y = 0; y < operand->shape->dims[2]; y++)
        memset(block + y * operand->layout.row, 0, (size_t)operand->shape->dims[3] * PH_LANES * sizeof *block);
}

static void max_pool_backward_block(void *argument, int64_t index) {
    const struct pool *pool = argument;
    const struct ph_pool_attributes *a = pool->a;
    const struct ph_kernel_call *call = pool->call;
    const struct ph_operand *in = &call->inputs[0], *out = &call->outputs[0];
    const struct ph_operand *gradient = &call->output_gradients[0], *result = &call->input_gradients[0];
    const float *from = block_of_task(in, index), *best = block_of_task(out, index), *g = block_of_task(gradient, index);
    float *to = block_of_task(result, index);
    int64_t height = in->shape->dims[2], width = in->shape->dims[3];
    if (!call->accumulate[0]) clear_block(result, to);
    for (int64_t y = 0; y < out->shape->dims[2]; y++) {
        int64_t y0, y1;
        window(a, 1, y, height, &y0, &y1);
        for (int64_t x = 0; x < out->shape->dims[3]; x++) {
            int64_t x0, x1;
            window(a, 2, x, width, &x0, &x1);
            vector maximal = load(best + y * out->layout.row + x * PH_LANES);
            vector share = load(g + y * gradient->layout.row + x * PH_LANES);
            vector_int left = ~(vector_int){0};
            for (int64_t ky = y0; ky < y1; ky++) {
                int64_t iy = start_of(a, 1, y) + ky * a->dilation[1];
                for (int64_t kx = x0; kx < x1; kx++) {
                    int64_t ix = start_of(a, 2, x) + kx * a->dilation[2];
                    vector_int here = (load(from + iy * in->layout.row + ix * PH_LANES) == maximal) & left;
                    float *target = to + iy * result->layout.row + ix * PH_LANES;
                    store(target, load(target) + where(here, share, (vector){0}));
                    left &= ~here;
                }
            }
        }
    }
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
    const float *from = block_of_task(in, index);
    float *to = block_of_task(out, index);
    for (int64_t y = 0; y < out->shape->dims[2]; y++) {
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
    if (!pool->call->accumulate[0]) clear_block(result, to);
    for (int64_t y = 0; y < gradient->shape->dims[2]; y++) {
        int64_t y0, y1;
        window(a, 1, y, result->shape->dims[2], &y0, &y1);
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

#define POOL_KERNEL(kernel, block, op, direction, operand, kernel_reads)                                                 \
    static void kernel##_run(const struct ph_kernel_call *call) {                                                        \
        struct pool pool = {call, call->node->attributes};                                                               \
        ph_parallel_for(call->context, tasks_of(&call->operand[0]), block##_block, &pool);                               \
    }                                                                                                                    \
    const struct ph_kernel PH_KERNEL(ph_##kernel) = {.name = "blocked", .operation = &ph_operation_##op,                 \
        .backward = direction, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = first_is_blockable,   \
        .run = kernel##_run, .reads = kernel_reads};

POOL_KERNEL(max_pool_forward, max_pool_forward, max_pool, false, outputs, NULL)
POOL_KERNEL(max_pool_backward, max_pool_backward, max_pool, true, input_gradients, reads_both)
POOL_KERNEL(softened_max_pool_forward, max_pool_forward, softened_max_pool, false, outputs, NULL)
POOL_KERNEL(softened_max_pool_backward, average_pool_backward, softened_max_pool, true, input_gradients, reads_nothing)
POOL_KERNEL(average_pool_forward, average_pool_forward, average_pool, false, outputs, NULL)
POOL_KERNEL(average_pool_backward, average_pool_backward, average_pool, true, input_gradients, reads_nothing)
POOL_KERNEL(global_average_forward, global_average_forward, global_average_pool, false, outputs, NULL)
POOL_KERNEL(global_average_backward, global_average_backward, global_average_pool, true, input_gradients, reads_nothing)
