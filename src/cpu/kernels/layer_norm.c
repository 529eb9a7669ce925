/* Layer normalisation, row by row, for any scale and bias that want no gradient of their own. */
#include "cpu/kernels/lanes.h"
#include "cpu/kernels/list.h"
#include <math.h>

enum { TASK = 8192, ABREAST = 4 };

struct job {
    const float *x, *scale, *bias, *y_gradient; /* bias NULL: none; y_gradient NULL: forward */
    float *out;
    int64_t rows, length, rows_of_task;
    double epsilon;
    bool accumulate;
};

static float lanes_sum(vector value) {
    float sum = 0;
    for (int lane = 0; lane < PH_LANES; lane++) sum += value[lane];
    return sum;
}

/* (x - mean) * inverse is normalised. */
struct moments { float mean, inverse; };

static float mean_of(const float *x, int64_t length) {
    vector sums[ABREAST] = {{0}};
    int64_t i = 0;
    for (; i + ABREAST * PH_LANES <= length; i += ABREAST * PH_LANES)
        for (int k = 0; k < ABREAST; k++) sums[k] += load(x + i + k * PH_LANES);
    for (; i < length; i += PH_LANES) sums[0] += load_some(x + i, length - i);
    return lanes_sum((sums[0] + sums[1]) + (sums[2] + sums[3])) / (float)length;
}

static struct moments moments_of(const float *x, int64_t length, double epsilon) {
    float mean = mean_of(x, length), rest = 0;
    vector sums[ABREAST] = {{0}};
    int64_t i = 0;
    for (; i + ABREAST * PH_LANES <= length; i += ABREAST * PH_LANES)
        for (int k = 0; k < ABREAST; k++) {
            vector off = load(x + i + k * PH_LANES) - mean;
            sums[k] += off * off;
        }
    for (; i + PH_LANES <= length; i += PH_LANES) {
        vector off = load(x + i) - mean;
        sums[0] += off * off;
    }
    for (; i < length; i++) rest += (x[i] - mean) * (x[i] - mean);
    float sum = lanes_sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
    return (struct moments){mean, (float)(1 / sqrt((double)sum / (double)length + epsilon))};
}

static void row_forward(const struct job *j, const float *x, float *y) {
    struct moments m = moments_of(x, j->length, j->epsilon);
    for (int64_t i = 0; i < j->length; i += PH_LANES) {
        int64_t left = j->length - i;
        vector value = (load_some(x + i, left) - m.mean) * m.inverse * load_some(j->scale + i, left);
        store_some(y + i, j->bias ? value + load_some(j->bias + i, left) : value, left);
    }
}

/* With h the normalised x and d = g * scale:  dx = (d - mean(d) - h mean(d h)) * inverse. */
static void row_backward(const struct job *j, const float *x, const float *g, float *gradient) {
    struct moments m = moments_of(x, j->length, j->epsilon);
    vector d_sums = {0}, dh_sums = {0};
    for (int64_t i = 0; i < j->length; i += PH_LANES) {
        int64_t left = j->length - i;
        vector d = load_some(g + i, left) * load_some(j->scale + i, left);
        d_sums += d;
        dh_sums += d * ((load_some(x + i, left) - m.mean) * m.inverse);
    }
    float d_mean = lanes_sum(d_sums) / (float)j->length, dh_mean = lanes_sum(dh_sums) / (float)j->length;
    for (int64_t i = 0; i < j->length; i += PH_LANES) {
        int64_t left = j->length - i;
        vector d = load_some(g + i, left) * load_some(j->scale + i, left), h = (load_some(x + i, left) - m.mean) * m.inverse;
        vector value = (d - d_mean - h * dh_mean) * m.inverse;
        store_some(gradient + i, j->accumulate ? load_some(gradient + i, left) + value : value, left);
    }
}

static void task_run(void *argument, int64_t index) {
    const struct job *j = argument;
    int64_t end = PH_MIN((index + 1) * j->rows_of_task, j->rows);
    for (int64_t r = index * j->rows_of_task; r < end; r++) {
        int64_t at = r * j->length;
        if (j->y_gradient) row_backward(j, j->x + at, j->y_gradient + at, j->out + at);
        else row_forward(j, j->x + at, j->out + at);
    }
}

static bool accepts(const struct ph_kernel_query *query) {
    return !(query->wanted & ~1u) && ph_shape_size(&query->graph->values[query->node->outputs[0]].shape) > 0;
}

static void run(const struct ph_kernel_call *call) {
    const struct ph_norm_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    bool backward = call->output_gradients[0].data;
    struct job job = {.x = call->inputs[0].data, .scale = call->inputs[1].data, .y_gradient = call->output_gradients[0].data,
        .out = backward ? call->input_gradients[0].data : call->outputs[0].data, .epsilon = a->epsilon,
        .bias = call->node->input_count > 2 ? call->inputs[2].data : NULL, .accumulate = backward && call->accumulate[0],
        .rows = 1, .length = 1};
    for (int i = 0; i < shape->rank; i++) *(i < a->axis ? &job.rows : &job.length) *= shape->dims[i];
    job.rows_of_task = PH_MAX((int64_t)1, TASK / job.length);
    ph_parallel_for(call->context, (job.rows + job.rows_of_task - 1) / job.rows_of_task, task_run, &job);
}

const struct ph_kernel PH_KERNEL(ph_layer_norm_forward) = {.name = "rows", .operation = &ph_operation_layer_norm,
    .accepts = accepts, .run = run};
const struct ph_kernel PH_KERNEL(ph_layer_norm_backward) = {.name = "rows", .operation = &ph_operation_layer_norm,
    .backward = true, .accepts = accepts, .run = run};
