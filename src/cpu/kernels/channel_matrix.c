/* The matrix over the channels of a plain picture: colour, normalisation. A 1x1 convolution of at most four channels. */
#include "cpu/kernels/blocked.h"

enum { MAX_CHANNELS = 4, STRETCH = 4096 };

static bool matrix_accepts(const struct ph_kernel_query *query) {
    const struct ph_convolution_attributes *a = query->node->attributes;
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    const struct ph_shape *in = &values[node->inputs[0]].shape;
    if (in->rank != 4 || !values[node->inputs[1]].data || query->wanted & ~1u || a->groups != 1 || a->relu) return false;
    if (node->input_count > 2 && node->inputs[2] != PH_ABSENT && !values[node->inputs[2]].data) return false;
    if (in->dims[1] > MAX_CHANNELS || whole_outputs(query) > MAX_CHANNELS) return false;
    for (int i = 1; i < PH_SPATIAL; i++)
        if (a->kernel[i] != 1 || a->stride[i] != 1 || a->pad_begin[i] || a->pad_end[i]) return false;
    return true;
}

/* y[m] = bias[m] + sum over c of matrix[m][c] x[c], along one stretch of pixels. */
struct matrix {
    const struct ph_context *context;
    const float *in;
    float *out;
    int64_t in_channels, out_channels, plane, stretches;
    float weights[MAX_CHANNELS][MAX_CHANNELS], bias[MAX_CHANNELS];
    bool accumulate;
};

/* With the number of channels known the compiler goes along pixels, many at once. */
PH_INLINE void stretch_mix(const struct matrix *m, const float *in, float *out, int64_t count, int64_t channels) {
    for (int64_t o = 0; o < m->out_channels; o++, out += m->plane)
        for (int64_t i = 0; i < count; i++) {
            float sum = m->accumulate ? out[i] + m->bias[o] : m->bias[o];
            for (int64_t c = 0; c < channels; c++) sum += m->weights[o][c] * in[c * m->plane + i];
            out[i] = sum;
        }
}

static void matrix_stretch(void *argument, int64_t index) {
    const struct matrix *m = argument;
    int64_t n = index / m->stretches, first = index % m->stretches * STRETCH, count = PH_MIN((int64_t)STRETCH, m->plane - first);
    const float *in = m->in + n * m->in_channels * m->plane + first;
    float *out = m->out + n * m->out_channels * m->plane + first;
    switch (m->in_channels) {
    case 1: stretch_mix(m, in, out, count, 1); break;
    case 2: stretch_mix(m, in, out, count, 2); break;
    case 3: stretch_mix(m, in, out, count, 3); break;
    default: stretch_mix(m, in, out, count, MAX_CHANNELS);
    }
}

static void matrix_run(struct matrix *m, int64_t items) {
    m->stretches = (m->plane + STRETCH - 1) / STRETCH;
    ph_parallel_for(m->context, items * m->stretches, matrix_stretch, m);
}

static struct matrix matrix_of(const struct ph_kernel_call *call) {
    const int64_t *in = call->plain.input_shapes[0]->dims;
    return (struct matrix){.context = call->context, .plane = in[2] * in[3]};
}

static void matrix_forward(const struct ph_kernel_call *call) {
    struct matrix m = matrix_of(call);
    const int64_t *in = call->plain.input_shapes[0]->dims, *out = call->plain.output_shapes[0].dims;
    m.in = call->inputs[0].data, m.out = call->outputs[0].data;
    m.in_channels = in[1], m.out_channels = out[1];
    bool bias = call->plain.input_count > 2 && call->inputs[2].data;
    for (int64_t o = 0; o < out[1]; o++) {
        if (bias) m.bias[o] = call->inputs[2].data[o];
        for (int64_t c = 0; c < in[1]; c++) m.weights[o][c] = call->inputs[1].data[o * in[1] + c];
    }
    matrix_run(&m, in[0]);
}

static void matrix_backward(const struct ph_kernel_call *call) {
    struct matrix m = matrix_of(call);
    const int64_t *in = call->plain.input_shapes[0]->dims, *out = call->plain.output_shapes[0].dims;
    m.in = call->output_gradients[0].data, m.out = call->input_gradients[0].data;
    m.in_channels = out[1], m.out_channels = in[1], m.accumulate = call->accumulate[0];
    for (int64_t o = 0; o < in[1]; o++)
        for (int64_t c = 0; c < out[1]; c++) m.weights[o][c] = call->inputs[1].data[c * in[1] + o];
    matrix_run(&m, in[0]);
}

static unsigned reads_nothing(const struct ph_kernel_query *query) { return (void)query, 0; }

const struct ph_kernel PH_KERNEL(ph_channel_matrix_forward) = {.name = "channel-matrix", .operation = &ph_operation_convolution,
    .by_item = true, .accepts = matrix_accepts, .run = matrix_forward};
const struct ph_kernel PH_KERNEL(ph_channel_matrix_backward) = {.name = "channel-matrix", .operation = &ph_operation_convolution,
    .by_item = true, .backward = true, .accepts = matrix_accepts, .run = matrix_backward, .reads = reads_nothing};
