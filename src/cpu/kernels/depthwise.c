/* Convolutions of each channel by itself, in both directions: a block's lanes are sixteen or eight of them at once. Batch
 * normalisation that no convolution could take up comes here as a 1x1 one.
 *
 * Backward, input pixels of one phase (their position modulo the stride) are reached by the same few kernel elements, as in
 * convolution.c. */
#include "cpu/kernels/blocked.h"

enum { PIXELS = 8 }; /* of a row, summed side by side */

struct depthwise {
    const struct ph_convolution_attributes *a;
    const struct ph_operand *in, *out; /* what is read, what is written */
    const float *packed;               /* [blocks][1 + taps][lanes]: bias, then the taps in row order */
    int64_t blocks, taps;
    struct rectifier rectifier;
    bool accumulate;
    struct gate gate;
};

static bool accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    const struct ph_value *values = query->graph->values;
    int64_t channels = values[query->node->inputs[0]].shape.dims[1];
    return channels > 1 && a->groups == channels && values[query->node->outputs[0]].shape.dims[1] == channels;
}

static int64_t taps_of(const struct ph_convolution_attributes *a) { return a->kernel[1] * a->kernel[2]; }

static size_t packed_bytes(const struct ph_kernel_query *query) {
    int64_t channels = query->graph->values[query->node->inputs[0]].shape.dims[1];
    return (size_t)(blocks_of(channels) * (1 + taps_of(query->node->attributes)) * PH_LANES) * sizeof(float);
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    const struct ph_node *node = query->node;
    const struct ph_value *values = query->graph->values;
    const float *weights = values[node->inputs[1]].data;
    const float *bias = node->input_count > 2 && node->inputs[2] != PH_ABSENT ? values[node->inputs[2]].data : NULL;
    int64_t channels = values[node->inputs[0]].shape.dims[1], taps = taps_of(node->attributes);
    float *to = packed;
    memset(to, 0, packed_bytes(query));
    for (int64_t c = 0; c < channels; c++) {
        float *block = to + c / PH_LANES * (1 + taps) * PH_LANES + c % PH_LANES;
        if (bias) block[0] = bias[c];
        for (int64_t t = 0; t < taps; t++) block[(1 + t) * PH_LANES] = weights[c * taps + t];
    }
}

/* Kernel elements that reach an output position, and where in what is read: the same for all positions of a phase. */
struct reach { int count; int64_t element[PH_MAX_TAPS], from[PH_MAX_TAPS]; };

/* `count` pixels from `to` on, `step` floats apart; tap (i, j) of rows and columns reads at from + rows.from[i] *
 * row stride + columns.from[j] * lanes, pixels `pixel` floats apart. */
PH_INLINE void stretch(const struct depthwise *d, const float *weights, const struct reach *rows, const struct reach *columns,
                       const float *from, int64_t pixel, float *to, int64_t step, const float *gate, vector bias,
                       const int count) {
    vector sum[PIXELS];
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) sum[p] = bias;
    for (int i = 0; i < rows->count; i++)
        for (int j = 0; j < columns->count; j++) {
            vector weight = load(weights + (rows->element[i] * d->a->kernel[2] + columns->element[j]) * PH_LANES);
            const float *at = from + rows->from[i] * d->in->layout.row + columns->from[j] * PH_LANES;
#pragma GCC unroll 8
            for (int p = 0; p < count; p++) sum[p] += weight * load(at + p * pixel);
        }
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) {
        if (d->accumulate) sum[p] += load(to + p * step);
        if (gate) sum[p] = gated(&d->gate, gate + p * step, sum[p]);
        store(to + p * step, rectify(d->rectifier, sum[p]));
    }
}

static void pixels(const struct depthwise *d, const float *weights, const struct reach *rows, const struct reach *columns,
                   const float *from, int64_t pixel, float *to, int64_t step, const float *gate, vector bias, int64_t count) {
    int64_t x = 0;
    for (; x + PIXELS <= count; x += PIXELS)
        stretch(d, weights, rows, columns, from + x * pixel, pixel, to + x * step, step, gate ? gate + x * step : NULL, bias, PIXELS);
    for (; x < count; x++)
        stretch(d, weights, rows, columns, from + x * pixel, pixel, to + x * step, step, gate ? gate + x * step : NULL, bias, 1);
}

static struct depthwise depthwise_make(const struct ph_kernel_call *call, const struct ph_operand *in, const struct ph_operand *out) {
    const struct ph_convolution_attributes *a = call->node->attributes;
    return (struct depthwise){.a = a, .in = in, .out = out, .packed = call->packed, .blocks = blocks_of(out->shape->dims[1]),
        .taps = taps_of(a)};
}

/* The block of row task `index`, and its row. */
static int64_t row_of_task(const struct depthwise *d, int64_t index, int64_t *n, int64_t *block) {
    int64_t height = d->out->shape->dims[2];
    *block = index / height % d->blocks;
    *n = index / height / d->blocks;
    return index % height;
}

static int64_t row_tasks(const struct depthwise *d) { return d->out->shape->dims[0] * d->blocks * d->out->shape->dims[2]; }

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static void reach_all(const struct ph_convolution_attributes *a, int axis, struct reach *reach) {
    reach->count = (int)a->kernel[axis];
    for (int k = 0; k < reach->count; k++) {
        reach->element[k] = k;
        reach->from[k] = k * a->dilation[axis] - a->pad_begin[axis];
    }
}

static void forward_row(void *argument, int64_t index) {
    const struct depthwise *d = argument;
    int64_t n, block, y = row_of_task(d, index, &n, &block);
    const float *packed = d->packed + block * (1 + d->taps) * PH_LANES;
    struct reach rows, columns;
    reach_all(d->a, 1, &rows);
    reach_all(d->a, 2, &columns);
    pixels(d, packed + PH_LANES, &rows, &columns, block_origin(d->in, n, block) + y * d->a->stride[1] * d->in->layout.row,
           d->a->stride[2] * PH_LANES, block_origin(d->out, n, block) + y * d->out->layout.row, PH_LANES, NULL,
           load(packed), d->out->shape->dims[3]);
}

static int forward_halo(const struct ph_kernel_query *query) {
    const struct ph_convolution_attributes *a = query->node->attributes;
    const struct ph_value *values = query->graph->values;
    const int64_t *in = values[query->node->inputs[0]].shape.dims, *out = values[query->node->outputs[0]].shape.dims;
    int64_t halo = 0;
    for (int axis = 1; axis < 3; axis++) {
        int64_t last = (out[axis + 1] - 1) * a->stride[axis] + (a->kernel[axis] - 1) * a->dilation[axis] - a->pad_begin[axis];
        halo = PH_MAX(halo, PH_MAX(a->pad_begin[axis], last - (in[axis + 1] - 1)));
    }
    return (int)halo;
}

static void forward_run(const struct ph_kernel_call *call) {
    struct depthwise d = depthwise_make(call, &call->inputs[0], &call->outputs[0]);
    d.rectifier = rectifier_of(d.a);
    ph_parallel_for(call->context, row_tasks(&d), forward_row, &d);
}

const struct ph_kernel PH_KERNEL(ph_depthwise_forward) = {.name = "depthwise", .operation = &ph_operation_convolution,
    .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .halo = forward_halo,
    .packed_bytes = packed_bytes, .pack = pack, .run = forward_run};

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Kernel element k of input position x = stride j + phase comes from output j + (phase + pad - k dilation) / stride. */
static void reach_phase(const struct ph_convolution_attributes *a, int axis, int64_t phase, struct reach *reach) {
    reach->count = 0;
    for (int64_t k = 0; k < a->kernel[axis]; k++) {
        int64_t at = phase + a->pad_begin[axis] - k * a->dilation[axis];
        if (at % a->stride[axis]) continue;
        reach->element[reach->count] = k;
        reach->from[reach->count++] = at / a->stride[axis];
    }
}

static void backward_row(void *argument, int64_t index) {
    const struct depthwise *d = argument;
    int64_t n, block, y = row_of_task(d, index, &n, &block), stride = d->a->stride[2], width = d->out->shape->dims[3];
    const float *weights = d->packed + block * (1 + d->taps) * PH_LANES + PH_LANES;
    const float *from = block_origin(d->in, n, block) + y / d->a->stride[1] * d->in->layout.row;
    float *to = block_origin(d->out, n, block) + y * d->out->layout.row;
    const float *gate = d->gate.data ? d->gate.data + n * d->gate.item + block * d->gate.plane + y * d->gate.row : NULL;
    struct reach rows, columns;
    reach_phase(d->a, 1, y % d->a->stride[1], &rows);
    for (int64_t phase = 0; phase < PH_MIN(stride, width); phase++) {
        reach_phase(d->a, 2, phase, &columns);
        pixels(d, weights, &rows, &columns, from, PH_LANES, to + phase * PH_LANES, stride * PH_LANES,
               gate ? gate + phase * PH_LANES : NULL, (vector){0}, (width - phase + stride - 1) / stride);
    }
}

static int backward_halo(const struct ph_kernel_query *query) {
    const struct ph_convolution_attributes *a = query->node->attributes;
    const struct ph_value *values = query->graph->values;
    const int64_t *in = values[query->node->inputs[0]].shape.dims, *out = values[query->node->outputs[0]].shape.dims;
    int64_t halo = 0;
    for (int axis = 1; axis < 3; axis++)
        for (int64_t phase = 0; phase < PH_MIN(a->stride[axis], in[axis + 1]); phase++) {
            struct reach reach;
            reach_phase(a, axis, phase, &reach);
            int64_t last = (in[axis + 1] - 1 - phase) / a->stride[axis];
            for (int t = 0; t < reach.count; t++)
                halo = PH_MAX(halo, PH_MAX(-reach.from[t], last + reach.from[t] - (out[axis + 1] - 1)));
        }
    return (int)halo;
}

static void backward_run(const struct ph_kernel_call *call) {
    struct depthwise d = depthwise_make(call, &call->output_gradients[0], &call->input_gradients[0]);
    d.accumulate = call->accumulate[0];
    d.gate = gate_of(call);
    PH_KERNEL(ph_convolution_mask)(call);
    ph_parallel_for(call->context, row_tasks(&d), backward_row, &d);
}

const struct ph_kernel PH_KERNEL(ph_depthwise_backward) = {.name = "depthwise", .operation = &ph_operation_convolution,
    .by_item = true, .backward = true, .gates = true, .gated = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED,
    .accepts = accepts, .halo = backward_halo,
    .packed_bytes = packed_bytes, .pack = pack, .run = backward_run, .reads = PH_KERNEL(ph_convolution_reads)};
