/* Local response normalisation across channels of blocked tensors, pixel by pixel: the channels of a pixel are gathered
 * side by side, so that a window over channels is a few shifted loads. */
#include "cpu/kernels/blocked.h"
#include <math.h>

enum { MAX_CHANNELS = 2048, MAX_SIZE = 64, ROW = MAX_CHANNELS + 2 * MAX_SIZE };

struct response {
    const struct ph_kernel_call *call;
    float scale, bias, beta;
    int before, after, blocks;
    struct gate gate;
};

static struct response response_of(const struct ph_kernel_call *call) {
    const struct ph_response_norm_attributes *a = call->node->attributes;
    return (struct response){.call = call, .scale = (float)(a->alpha / (double)a->size), .bias = (float)a->bias,
        .beta = (float)a->beta, .before = (int)((a->size - 1) / 2), .after = (int)(a->size / 2),
        .blocks = (int)blocks_of(call->plain.input_shapes[0]->dims[1]), .gate = gate_of(call)};
}

PH_INLINE vector square_root(vector x) {
    for (int i = 0; i < PH_LANES; i++) x[i] = sqrtf(x[i]);
    return x;
}

/* s^-beta; 0.75 (every published network's) and 0.5 by square roots. */
PH_INLINE vector power(vector s, float beta) {
    vector inverse_root = splat(1) / square_root(s);
    if (beta == 0.5f) return inverse_root;
    if (beta == 0.75f) return inverse_root * square_root(inverse_root);
    for (int i = 0; i < PH_LANES; i++) s[i] = powf(s[i], -beta);
    return s;
}

/* Sums of row[c - before .. c + after]; `row` has zeros around the channels. */
PH_INLINE vector window_sum(const float *row, int before, int after) {
    vector sum = {0};
    for (int d = -before; d <= after; d++) sum += load(row + d);
    return sum;
}

static void clear_edges(float *row, int channels) {
    memset(row, 0, MAX_SIZE * sizeof *row);
    memset(row + MAX_SIZE + channels, 0, MAX_SIZE * sizeof *row);
}

static void forward_row(void *argument, int64_t index) {
    const struct response *r = argument;
    const struct ph_operand *in = &r->call->inputs[0], *out = &r->call->outputs[0];
    int64_t height = in->shape->dims[2], n = index / height, y = index % height;
    float squares[ROW];
    clear_edges(squares, r->blocks * PH_LANES);
    for (int64_t x = 0; x < in->shape->dims[3]; x++) {
        const float *from = block_origin(in, n, 0) + y * in->layout.row + x * PH_LANES;
        float *to = block_origin(out, n, 0) + y * out->layout.row + x * PH_LANES;
        for (int b = 0; b < r->blocks; b++) {
            vector v = load(from + b * in->layout.plane);
            store(squares + MAX_SIZE + b * PH_LANES, v * v);
        }
        for (int b = 0; b < r->blocks; b++) {
            vector s = splat(r->bias) + splat(r->scale) * window_sum(squares + MAX_SIZE + b * PH_LANES, r->before, r->after);
            store(to + b * out->layout.plane, load(from + b * in->layout.plane) * power(s, r->beta));
        }
    }
}

/* dx_i = g_i s_i^-beta - 2 beta scale x_i * sum of g_j x_j s_j^(-beta-1) over the j whose window holds i. */
static void backward_row(void *argument, int64_t index) {
    const struct response *r = argument;
    const struct ph_operand *in = &r->call->inputs[0], *gradient = &r->call->output_gradients[0];
    const struct ph_operand *result = &r->call->input_gradients[0];
    int64_t height = in->shape->dims[2], n = index / height, y = index % height;
    float squares[ROW], shares[ROW], direct[ROW];
    clear_edges(squares, r->blocks * PH_LANES);
    clear_edges(shares, r->blocks * PH_LANES);
    for (int64_t x = 0; x < in->shape->dims[3]; x++) {
        const float *from = block_origin(in, n, 0) + y * in->layout.row + x * PH_LANES;
        const float *g = block_origin(gradient, n, 0) + y * gradient->layout.row + x * PH_LANES;
        float *to = block_origin(result, n, 0) + y * result->layout.row + x * PH_LANES;
        const float *gate = r->gate.data ? r->gate.data + n * r->gate.item + y * r->gate.row + x * PH_LANES : NULL;
        for (int b = 0; b < r->blocks; b++) {
            vector v = load(from + b * in->layout.plane);
            store(squares + MAX_SIZE + b * PH_LANES, v * v);
        }
        for (int b = 0; b < r->blocks; b++) {
            vector s = splat(r->bias) + splat(r->scale) * window_sum(squares + MAX_SIZE + b * PH_LANES, r->before, r->after);
            vector passed = load(g + b * gradient->layout.plane) * power(s, r->beta);
            store(direct + b * PH_LANES, passed);
            store(shares + MAX_SIZE + b * PH_LANES, passed * load(from + b * in->layout.plane) / s);
        }
        for (int b = 0; b < r->blocks; b++) {
            vector sum = window_sum(shares + MAX_SIZE + b * PH_LANES, r->after, r->before);
            vector value = load(direct + b * PH_LANES) -
                           splat(2 * r->beta * r->scale) * load(from + b * in->layout.plane) * sum;
            float *target = to + b * result->layout.plane;
            if (r->call->accumulate[0]) value += load(target);
            store(target, gate ? gated(&r->gate, gate + b * r->gate.plane, value) : value);
        }
    }
}

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_response_norm_attributes *a = query->node->attributes;
    return first_is_blockable(query) && !a->within_channel && a->size <= MAX_SIZE && a->bias > 0 &&
           query->graph->values[query->node->inputs[0]].shape.dims[1] <= MAX_CHANNELS - PH_LANES;
}

static unsigned reads(const struct ph_kernel_query *query) { return (void)query, PH_READS_INPUTS; }

static void forward_run(const struct ph_kernel_call *call) {
    struct response r = response_of(call);
    const int64_t *dims = call->outputs[0].shape->dims;
    ph_parallel_for(call->context, dims[0] * dims[2], forward_row, &r);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct response r = response_of(call);
    const int64_t *dims = call->input_gradients[0].shape->dims;
    ph_parallel_for(call->context, dims[0] * dims[2], backward_row, &r);
}

const struct ph_kernel PH_KERNEL(ph_response_norm_forward) = {.name = "blocked", .operation = &ph_operation_local_response_norm,
    .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_response_norm_backward) = {.name = "blocked", .operation = &ph_operation_local_response_norm,
    .by_item = true, .backward = true, .gates = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,
    .run = backward_run, .reads = reads};
