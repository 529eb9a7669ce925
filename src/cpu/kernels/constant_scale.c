/* The product with a constant that repeats along the first axes, as a spectrum's weights do for every picture and channel. */
#include "cpu/kernels/blocked.h"

enum { STRETCH = 8192, LEAST = 64 };

/* Elements of the constant, where it has the output's last axes and none before them; 0 otherwise. */
static int64_t period_of(const struct ph_shape *constant, const struct ph_shape *out) {
    int64_t size = 1;
    bool same = true;
    for (int i = 1; i <= constant->rank; i++) {
        int64_t length = constant->dims[constant->rank - i];
        if (i > out->rank) same = false;
        if (same && length == out->dims[out->rank - i]) size *= length;
        else if (length == 1) same = false;
        else return 0;
    }
    return size;
}

static bool scale_accepts(const struct ph_kernel_query *query) {
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    if (query->blocked_input || query->wanted & ~1u) return false;
    const struct ph_value *picture = &values[node->inputs[0]], *constant = &values[node->inputs[1]];
    const struct ph_shape *out = &values[node->outputs[0]].shape;
    return !picture->data && constant->data && ph_shape_equal(&picture->shape, out) && ph_shape_size(out) > 0 &&
           period_of(&constant->shape, out) >= LEAST;
}

struct scale {
    const float *in, *constant;
    float *out;
    int64_t period, stretches;
    bool accumulate;
};

static void scale_stretch(void *argument, int64_t index) {
    const struct scale *s = argument;
    int64_t first = index % s->stretches * STRETCH, count = PH_MIN((int64_t)STRETCH, s->period - first);
    int64_t at = index / s->stretches * s->period + first;
    const float *restrict in = s->in + at, *restrict constant = s->constant + first;
    float *restrict out = s->out + at;
    if (s->accumulate)
        for (int64_t i = 0; i < count; i++) out[i] += in[i] * constant[i];
    else
        for (int64_t i = 0; i < count; i++) out[i] = in[i] * constant[i];
}

static void scale_run(const struct ph_kernel_call *call) {
    const struct ph_shape *out = &call->plain.output_shapes[0];
    struct scale s = {.constant = call->inputs[1].data, .period = period_of(call->plain.input_shapes[1], out)};
    s.stretches = (s.period + STRETCH - 1) / STRETCH;
    bool backward = call->output_gradients[0].data;
    s.in = backward ? call->output_gradients[0].data : call->inputs[0].data;
    s.out = backward ? call->input_gradients[0].data : call->outputs[0].data;
    s.accumulate = backward && call->accumulate[0];
    ph_parallel_for(call->context, ph_shape_size(out) / s.period * s.stretches, scale_stretch, &s);
}

static unsigned reads_nothing(const struct ph_kernel_query *query) { return (void)query, 0; }

const struct ph_kernel PH_KERNEL(ph_constant_scale_forward) = {.name = "constant-scale", .operation = &ph_operation_mul,
    .by_item = true, .accepts = scale_accepts, .run = scale_run};
const struct ph_kernel PH_KERNEL(ph_constant_scale_backward) = {.name = "constant-scale", .operation = &ph_operation_mul,
    .by_item = true, .backward = true, .accepts = scale_accepts, .run = scale_run, .reads = reads_nothing};
