/* Sizes of a convolution in two dimensions, its weights, and the phases of its backward. */
#ifndef PH_CPU_GEOMETRY_H
#define PH_CPU_GEOMETRY_H

#include "cpu/kernels/blocked.h"

struct geometry {
    int64_t items, channels, height, width, outputs, out_height, out_width;
    int64_t kernel[2], stride[2], dilation[2], pad[2];
    int64_t groups;
    struct rectifier rectifier;
    const float *weights, *bias;
};

PH_INLINE struct geometry geometry_make(const struct ph_convolution_attributes *a, const int64_t *in, const int64_t *out) {
    struct geometry g = {.items = in[0], .channels = in[1], .height = in[2], .width = in[3], .outputs = out[1],
        .out_height = out[2], .out_width = out[3], .groups = a->groups, .rectifier = rectifier_of(a)};
    for (int i = 0; i < 2; i++) {
        g.kernel[i] = a->kernel[i + 1];
        g.stride[i] = a->stride[i + 1];
        g.dilation[i] = a->dilation[i + 1];
        g.pad[i] = a->pad_begin[i + 1];
    }
    return g;
}

PH_INLINE struct geometry geometry_of_node(const struct ph_kernel_query *query, const struct ph_node *node) {
    const struct ph_value *values = query->graph->values;
    struct geometry g = geometry_make(node->attributes, values[node->inputs[0]].shape.dims, values[node->outputs[0]].shape.dims);
    g.weights = values[node->inputs[1]].data;
    if (node->input_count > 2 && node->inputs[2] != PH_ABSENT) g.bias = values[node->inputs[2]].data;
    return g;
}

PH_INLINE struct geometry geometry_of(const struct ph_kernel_query *query) { return geometry_of_node(query, query->node); }

/* Of output i. */
PH_INLINE struct geometry geometry_of_output(const struct ph_kernel_call *call, int i) {
    return geometry_make(node_of_output(call, i)->attributes, call->plain.input_shapes[0]->dims,
                         call->plain.output_shapes[i].dims);
}

PH_INLINE struct geometry geometry_of_call(const struct ph_kernel_call *call) { return geometry_of_output(call, 0); }

PH_INLINE float weight_at(const struct geometry *g, int64_t output, int64_t channel, int64_t y, int64_t x) {
    int64_t per_group_in = g->channels / g->groups, per_group_out = g->outputs / g->groups;
    if (output >= g->outputs || channel >= g->channels || output / per_group_out != channel / per_group_in) return 0;
    return g->weights[((output * per_group_in + channel % per_group_in) * g->kernel[0] + y) * g->kernel[1] + x];
}

/* ---- Backward: input positions x = stride j + q of phase q (convolution.c) ----------------------------------------------- */

/* Taps of phase q along one axis: kernel elements and the steps in the gradient they reach. */
PH_INLINE int phase_taps(const struct geometry *g, int axis, int64_t q, int64_t *kernel, int64_t *step) {
    int count = 0;
    for (int64_t k = 0; k < g->kernel[axis]; k++) {
        int64_t at = q + g->pad[axis] - k * g->dilation[axis];
        if (at % g->stride[axis]) continue;
        kernel[count] = k;
        step[count++] = at / g->stride[axis];
    }
    return count;
}

/* Input positions of phase q. */
PH_INLINE int64_t phase_size(const struct geometry *g, int axis, int64_t q) {
    int64_t size = axis ? g->width : g->height;
    return size > q ? (size - q + g->stride[axis] - 1) / g->stride[axis] : 0;
}

/* Zeros the phases reach around the gradient. */
PH_INLINE int backward_halo_of(const struct geometry *g) {
    int64_t halo = 0, out[2] = {g->out_height, g->out_width}, kernel[PH_MAX_TAPS], step[PH_MAX_TAPS];
    for (int axis = 0; axis < 2; axis++)
        for (int64_t q = 0; q < g->stride[axis]; q++) {
            int count = phase_taps(g, axis, q, kernel, step);
            for (int t = 0; t < count; t++)
                halo = PH_MAX(halo, PH_MAX(-step[t], phase_size(g, axis, q) - 1 + step[t] - (out[axis] - 1)));
        }
    return (int)halo;
}

#endif
