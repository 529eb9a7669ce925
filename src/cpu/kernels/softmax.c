/* Softmax by the vector: along rows that are contiguous, or of as many adjacent rows as there are lanes at once. */
#include "cpu/kernels/exponential.h"
#include "cpu/kernels/list.h"
#include <math.h>

enum { TASK = 8192 };

/* Element i of row (o, s) lies at (o count + i) stride + s. */
struct rows { int64_t outer, count, stride; };

static struct rows rows_of(const struct ph_softmax_attributes *a, const struct ph_shape *shape) {
    struct rows rows = {1, 1, 1};
    for (int i = 0; i < shape->rank; i++)
        *(i < a->axis ? &rows.outer : i < a->end_axis ? &rows.count : &rows.stride) *= shape->dims[i];
    return rows;
}

/* A task has some rows of stride 1, or adjacent ones of others. */
struct job { struct rows rows; const float *x, *y_gradient; float *y, *x_gradient; bool accumulate; int64_t rows_of_task; };

static vector_int lanes_before(int64_t count) {
    vector_int lane;
    for (int i = 0; i < PH_LANES; i++) lane[i] = i < count ? -1 : 0;
    return lane;
}

/* ---- Forward ------------------------------------------------------------------------------------------------------------------- */

static float largest_of(const float *x, int64_t count) {
    vector largest = splat(-HUGE_VALF);
    int64_t i = 0;
    for (; i + PH_LANES <= count; i += PH_LANES) largest = maximum(largest, load(x + i));
    if (i < count) largest = maximum(largest, where(lanes_before(count - i), load_some(x + i, count - i), largest));
    float best = largest[0];
    for (int lane = 1; lane < PH_LANES; lane++) best = largest[lane] > best || largest[lane] != largest[lane] ? largest[lane] : best;
    return best;
}

static void row_forward(const float *x, float *y, int64_t count) {
    vector largest = splat(largest_of(x, count)), sums = {0};
    int64_t i = 0;
    for (; i + PH_LANES <= count; i += PH_LANES) {
        vector e = exponential(load(x + i) - largest);
        store(y + i, e);
        sums += e;
    }
    if (i < count) {
        vector e = exponential(load_some(x + i, count - i) - largest);
        store_some(y + i, e, count - i);
        sums += where(lanes_before(count - i), e, (vector){0});
    }
    float sum = 0;
    for (int lane = 0; lane < PH_LANES; lane++) sum += sums[lane];
    for (i = 0; i < count; i++) y[i] *= 1 / sum;
}

static void columns_forward(const float *x, float *y, int64_t count, int64_t stride, int64_t width) {
    vector largest = splat(-HUGE_VALF), sum = {0};
    for (int64_t i = 0; i < count; i++) largest = maximum(largest, load_some(x + i * stride, width));
    for (int64_t i = 0; i < count; i++) {
        vector e = exponential(load_some(x + i * stride, width) - largest);
        store_some(y + i * stride, e, width);
        sum += e;
    }
    vector factor = 1.0f / sum;
    for (int64_t i = 0; i < count; i++) store_some(y + i * stride, load_some(y + i * stride, width) * factor, width);
}

/* ---- Backward: y (dy - sum of y dy), with gradients counted from that of the largest element, as the plain function says --------- */

/* The gradient where y is largest, lane by lane. */
struct summit { vector y, gradient; };

static struct summit summit_raise(struct summit summit, vector y, vector gradient) {
    vector_int higher = y > summit.y;
    return (struct summit){where(higher, y, summit.y), where(higher, gradient, summit.gradient)};
}

static void row_backward(const float *y, const float *g, float *x_gradient, bool accumulate, int64_t count) {
    struct summit summit = {splat(-1), {0}};
    for (int64_t i = 0; i < count; i += PH_LANES)
        summit = summit_raise(summit, load_some(y + i, count - i), load_some(g + i, count - i));
    int best = 0;
    for (int lane = 1; lane < PH_LANES; lane++) best = summit.y[lane] > summit.y[best] ? lane : best;
    vector ground = splat(summit.gradient[best]), sums = {0};
    for (int64_t i = 0; i < count; i += PH_LANES) sums += load_some(y + i, count - i) * (load_some(g + i, count - i) - ground);
    float mean = 0;
    for (int lane = 0; lane < PH_LANES; lane++) mean += sums[lane];
    for (int64_t i = 0; i < count; i += PH_LANES)
        put_some(x_gradient + i, load_some(y + i, count - i) * (load_some(g + i, count - i) - ground - mean), accumulate, count - i);
}

static void columns_backward(const float *y, const float *g, float *x_gradient, bool accumulate, int64_t count, int64_t stride,
                             int64_t width) {
    struct summit summit = {splat(-1), {0}};
    vector mean = {0};
    for (int64_t i = 0; i < count; i++)
        summit = summit_raise(summit, load_some(y + i * stride, width), load_some(g + i * stride, width));
    for (int64_t i = 0; i < count; i++)
        mean += load_some(y + i * stride, width) * (load_some(g + i * stride, width) - summit.gradient);
    for (int64_t i = 0; i < count; i++)
        put_some(x_gradient + i * stride,
                 load_some(y + i * stride, width) * (load_some(g + i * stride, width) - summit.gradient - mean), accumulate, width);
}

/* ---- Kernels ------------------------------------------------------------------------------------------------------------------- */

static void task_run(void *argument, int64_t index) {
    const struct job *j = argument;
    int64_t count = j->rows.count, stride = j->rows.stride;
    if (stride == 1) {
        for (int64_t r = index * j->rows_of_task; r < PH_MIN((index + 1) * j->rows_of_task, j->rows.outer); r++) {
            if (j->x_gradient) row_backward(j->y + r * count, j->y_gradient + r * count, j->x_gradient + r * count, j->accumulate, count);
            else row_forward(j->x + r * count, j->y + r * count, count);
        }
        return;
    }
    int64_t groups = (stride + PH_LANES - 1) / PH_LANES, first = index % groups * PH_LANES, width = stride - first;
    int64_t at = index / groups * count * stride + first;
    if (j->x_gradient) columns_backward(j->y + at, j->y_gradient + at, j->x_gradient + at, j->accumulate, count, stride, width);
    else columns_forward(j->x + at, j->y + at, count, stride, width);
}

static bool accepts(const struct ph_kernel_query *query) {
    return ph_shape_size(&query->graph->values[query->node->outputs[0]].shape) > 0;
}

static void run(const struct ph_kernel_call *call) {
    bool backward = call->output_gradients[0].data;
    struct job job = {.rows = rows_of(call->node->attributes, &call->plain.output_shapes[0]), .x = call->inputs[0].data,
        .y = call->outputs[0].data, .y_gradient = call->output_gradients[0].data,
        .x_gradient = backward ? call->input_gradients[0].data : NULL, .accumulate = backward && call->accumulate[0]};
    job.rows_of_task = PH_MAX((int64_t)1, TASK / job.rows.count);
    int64_t groups = (job.rows.stride + PH_LANES - 1) / PH_LANES;
    int64_t tasks = job.rows.stride == 1 ? (job.rows.outer + job.rows_of_task - 1) / job.rows_of_task : job.rows.outer * groups;
    ph_parallel_for(call->context, tasks, task_run, &job);
}

const struct ph_kernel PH_KERNEL(ph_softmax_forward) = {.name = "rows", .operation = &ph_operation_softmax, .accepts = accepts,
    .run = run};
const struct ph_kernel PH_KERNEL(ph_softmax_backward) = {.name = "rows", .operation = &ph_operation_softmax, .backward = true,
    .accepts = accepts, .run = run};
