/* Convolutions of each channel by itself, in both directions: a block's lanes are sixteen or eight of them at once. Batch
 * normalisation that no convolution could take up comes here as a 1x1 one.
 *
 * Backward, input pixels of one phase (their position modulo the stride) are reached by the same few kernel elements, as in
 * convolution.c. */
#include "cpu/kernels/bands.h"

enum { PIXELS = 8 }; /* of a row, summed side by side */
enum { BAND = 4096 };  /* products of vectors in a task, about: enough to be worth the claim */

struct depthwise {
    const struct ph_convolution_attributes *a;
    const struct ph_operand *in, *out; /* what is read, what is written */
    const float *packed;               /* [blocks][1 + taps][lanes]: bias, then the taps in row order */
    int64_t taps;
    struct bands bands;
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

/* `count` pixels from `to` on, `step` floats apart; tap (i, j) of rows and columns reads at from + rows->from[i] *
 * row stride + columns->from[j] * lanes, pixels `pixel` floats apart. `across`: the columns' count. */
PH_INLINE void stretch(const struct depthwise *d, const float *weights, const struct reach *rows, const struct reach *columns,
                       const float *from, int64_t pixel, float *to, int64_t step, const float *gate, vector bias,
                       const int across, const int count) {
    vector sum[PIXELS];
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) sum[p] = bias;
    for (int i = 0; i < rows->count; i++) {
        const float *row = from + rows->from[i] * d->in->layout.row;
        const float *elements = weights + rows->element[i] * d->a->kernel[2] * PH_LANES;
#pragma GCC unroll 5
        for (int j = 0; j < across; j++) {
            vector weight = load(elements + columns->element[j] * PH_LANES);
            const float *at = row + columns->from[j] * PH_LANES;
#pragma GCC unroll 8
            for (int p = 0; p < count; p++) sum[p] += weight * load(at + p * pixel);
        }
    }
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) {
        if (d->accumulate) sum[p] += load(to + p * step);
        if (gate) sum[p] = gated(&d->gate, gate + p * step, sum[p]);
        store(to + p * step, rectify(d->rectifier, sum[p]));
    }
}

/* A row's pixels, in stretches of 8, 4, 2 and 1. */
PH_INLINE void row_of(const struct depthwise *d, const float *weights, const struct reach *rows, const struct reach *columns,
                      const float *from, int64_t pixel, float *to, int64_t step, const float *gate, vector bias, int64_t count,
                      const int across) {
#define STRETCH(size)                                                                                                        \
    stretch(d, weights, rows, columns, from + x * pixel, pixel, to + x * step, step, gate ? gate + x * step : NULL, bias, \
            across, size)
    int64_t x = 0;
    for (; x + PIXELS <= count; x += PIXELS) STRETCH(PIXELS);
    if (count & 4) STRETCH(4), x += 4;
    if (count & 2) STRETCH(2), x += 2;
    if (count & 1) STRETCH(1);
#undef STRETCH
}

static void pixels(const struct depthwise *d, const float *weights, const struct reach *rows, const struct reach *columns,
                   const float *from, int64_t pixel, float *to, int64_t step, const float *gate, vector bias, int64_t count) {
#define ROW(across) row_of(d, weights, rows, columns, from, pixel, to, step, gate, bias, count, across)
    switch (columns->count) {
    case 1: ROW(1); break;
    case 2: ROW(2); break;
    case 3: ROW(3); break;
    case 5: ROW(5); break;
    default: ROW(columns->count); break;
    }
#undef ROW
}

static struct depthwise depthwise_make(const struct ph_kernel_call *call, const struct ph_operand *in, const struct ph_operand *out) {
    const struct ph_convolution_attributes *a = call->node->attributes;
    return (struct depthwise){.a = a, .in = in, .out = out, .packed = call->packed, .taps = taps_of(a)};
}

static void bands_run(const struct ph_kernel_call *call, struct depthwise *d, void (*body)(void *d, int64_t index)) {
    const int64_t *dims = d->out->shape->dims, *in = d->in->shape->dims, rows = PH_MAX((int64_t)1, BAND / (dims[3] * d->taps));
    /* A single tap is bound by memory, and goes through whole planes faster. */
    bool by_rows = d->taps > 1 && (is_large_map(dims[2], dims[3]) || is_large_map(in[2], in[3]));
    d->bands = bands_make(dims[0], dims[1], dims[2], (dims[2] + rows - 1) / rows, by_rows, ph_parallel_threads(call->context));
    ph_parallel_for(call->context, bands_tasks(&d->bands), body, d);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static void reach_all(const struct ph_convolution_attributes *a, int axis, struct reach *reach) {
    reach->count = (int)a->kernel[axis];
    for (int k = 0; k < reach->count; k++) {
        reach->element[k] = k;
        reach->from[k] = k * a->dilation[axis] - a->pad_begin[axis];
    }
}

static void forward_band(void *argument, int64_t index) {
    const struct depthwise *d = argument;
    struct band band = band_of(&d->bands, index);
    const float *packed = d->packed + band.block * (1 + d->taps) * PH_LANES;
    const float *from = block_origin(d->in, band.n, band.block);
    float *to = block_origin(d->out, band.n, band.block);
    struct reach rows, columns;
    reach_all(d->a, 1, &rows);
    reach_all(d->a, 2, &columns);
    for (int64_t y = band.first; y < band.end; y++)
        pixels(d, packed + PH_LANES, &rows, &columns, from + y * d->a->stride[1] * d->in->layout.row, d->a->stride[2] * PH_LANES,
               to + y * d->out->layout.row, PH_LANES, NULL, load(packed), d->out->shape->dims[3]);
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
    bands_run(call, &d, forward_band);
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

static void backward_band(void *argument, int64_t index) {
    const struct depthwise *d = argument;
    struct band band = band_of(&d->bands, index);
    int64_t stride = d->a->stride[2], width = d->out->shape->dims[3];
    const float *weights = d->packed + band.block * (1 + d->taps) * PH_LANES + PH_LANES;
    const float *from = block_origin(d->in, band.n, band.block);
    float *to = block_origin(d->out, band.n, band.block);
    const float *gate = d->gate.data ? d->gate.data + band.n * d->gate.item + band.block * d->gate.plane : NULL;
    struct reach rows, columns;
    for (int64_t y = band.first; y < band.end; y++) {
        reach_phase(d->a, 1, y % d->a->stride[1], &rows);
        for (int64_t phase = 0; phase < PH_MIN(stride, width); phase++) {
            reach_phase(d->a, 2, phase, &columns);
            pixels(d, weights, &rows, &columns, from + y / d->a->stride[1] * d->in->layout.row, PH_LANES,
                   to + y * d->out->layout.row + phase * PH_LANES, stride * PH_LANES,
                   gate ? gate + y * d->gate.row + phase * PH_LANES : NULL, (vector){0}, (width - phase + stride - 1) / stride);
        }
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
    bands_run(call, &d, backward_band);
}

const struct ph_kernel PH_KERNEL(ph_depthwise_backward) = {.name = "depthwise", .operation = &ph_operation_convolution,
    .by_item = true, .backward = true, .gates = true, .gated = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED,
    .accepts = accepts, .halo = backward_halo,
    .packed_bytes = packed_bytes, .pack = pack, .run = backward_run, .reads = PH_KERNEL(ph_convolution_reads)};
