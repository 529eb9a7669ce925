/* Convolution (cross-correlation, as every framework has it) and transposed convolution, grouped, 1-D to 3-D.
 *
 * Both are the same bilinear relation between a wide tensor (a convolution's input) and a narrow one (its output):
 * narrow position p and kernel tap k meet wide position p * stride - pad_begin + k * dilation, and the weights are
 * always [narrow channels, wide channels / groups, kernel]. Forward and backward of both operations are its three maps:
 *
 *     narrow += W wide        convolution forward, transposed convolution's input gradient
 *     wide   += W^T narrow    convolution's input gradient, transposed convolution forward
 *     W      += narrow wide   the weight gradient of both
 *
 * Each is written as a gather, so that every result is one sum in double. */
#include "graph/ops/window.h"
#include <string.h>

struct geometry {
    const struct ph_convolution_attributes *window;
    int64_t batch, groups;
    int64_t wide_channels, narrow_channels; /* of one group */
    int64_t wide[PH_SPATIAL], narrow[PH_SPATIAL];
    const real *border;                     /* [wide channels] what lies around the wide tensor; NULL: zeros */
};

static struct geometry geometry_of(const struct ph_convolution_attributes *window, const struct ph_shape *wide,
                                   const struct ph_shape *narrow) {
    struct geometry g = {.window = window, .batch = wide->dims[0], .groups = window->groups,
        .wide_channels = wide->dims[1] / window->groups, .narrow_channels = narrow->dims[1] / window->groups};
    ph_spatial_dims(wide, g.wide);
    ph_spatial_dims(narrow, g.narrow);
    return g;
}

static int64_t offset(const int64_t dims[PH_SPATIAL], int64_t z, int64_t y, int64_t x) {
    return (z * dims[1] + y) * dims[2] + x;
}

/* Wide position under a tap, negative when outside. */
static inline int64_t wide_position(const struct geometry *g, int axis, int64_t narrow, int64_t tap) {
    const struct ph_convolution_attributes *w = g->window;
    int64_t position = narrow * w->stride[axis] - w->pad_begin[axis] + tap * w->dilation[axis];
    return position < g->wide[axis] ? position : -1;
}

/* Narrow position whose tap lies on a wide one, negative when there is none. */
static inline int64_t narrow_position(const struct geometry *g, int axis, int64_t wide, int64_t tap) {
    const struct ph_convolution_attributes *w = g->window;
    int64_t position = wide + w->pad_begin[axis] - tap * w->dilation[axis];
    if (position < 0 || position % w->stride[axis]) return -1;
    position /= w->stride[axis];
    return position < g->narrow[axis] ? position : -1;
}

/* Whether a tap falls beside the wide tensor, where there is nothing. */
static inline bool is_missed(const struct geometry *g, int64_t position) { return position < 0 && !g->border; }

/* What a tap falls on in a channel's plane: one of its elements or, where a position is negative, what lies around it. */
static inline double wide_value(const struct geometry *g, const real *plane, int64_t channel, int64_t z, int64_t y, int64_t x) {
    if (z >= 0 && y >= 0 && x >= 0) return plane[offset(g->wide, z, y, x)];
    return g->border ? g->border[channel] : 0;
}

/* Sum over a group's wide channels and all taps; `wide` is at the group's first channel, `weights` at a filter. */
static double narrow_element(const struct geometry *g, const real *wide, const real *weights, int64_t z, int64_t y,
                             int64_t x) {
    const int64_t *kernel = g->window->kernel;
    double sum = 0;
    for (int64_t c = 0; c < g->wide_channels; c++, wide += ph_spatial_size(g->wide), weights += ph_spatial_size(kernel))
        for (int64_t kz = 0; kz < kernel[0]; kz++) {
            int64_t wz = wide_position(g, 0, z, kz);
            if (is_missed(g, wz)) continue;
            for (int64_t ky = 0; ky < kernel[1]; ky++) {
                int64_t wy = wide_position(g, 1, y, ky);
                if (is_missed(g, wy)) continue;
                for (int64_t kx = 0; kx < kernel[2]; kx++) {
                    int64_t wx = wide_position(g, 2, x, kx);
                    if (is_missed(g, wx)) continue;
                    sum += wide_value(g, wide, c, wz, wy, wx) * weights[offset(kernel, kz, ky, kx)];
                }
            }
        }
    return sum;
}

static void narrow_add(const struct geometry *g, real *narrow, const real *wide, const real *weights) {
    int64_t filter = g->wide_channels * ph_spatial_size(g->window->kernel);
    for (int64_t n = 0; n < g->batch; n++)
        for (int64_t group = 0; group < g->groups; group++) {
            const real *source = wide + (n * g->groups + group) * g->wide_channels * ph_spatial_size(g->wide);
            for (int64_t m = 0; m < g->narrow_channels; m++)
                for (int64_t z = 0; z < g->narrow[0]; z++)
                    for (int64_t y = 0; y < g->narrow[1]; y++)
                        for (int64_t x = 0; x < g->narrow[2]; x++, narrow++)
                            *narrow = (real)(*narrow + narrow_element(g, source,
                                weights + (group * g->narrow_channels + m) * filter, z, y, x));
        }
}

/* Values of a narrow tensor, counted only where `gate` (NULL: everywhere) is between 0 and the ceiling (0: none). */
struct gated { const real *values, *gate; double ceiling; };

static inline double gated_value(struct gated tensor, int64_t index) {
    bool closed = tensor.gate && (!(tensor.gate[index] > 0) || (tensor.ceiling && tensor.gate[index] >= (real)tensor.ceiling));
    return closed ? 0 : tensor.values[index];
}

/* Sum over a group's narrow channels, from index `first` of `narrow`, and all taps; `weights` is at the group's first
 * filter and the wide element's channel. */
static double wide_element(const struct geometry *g, struct gated narrow, int64_t first, const real *weights, int64_t z,
                           int64_t y, int64_t x) {
    const int64_t *kernel = g->window->kernel;
    double sum = 0;
    for (int64_t m = 0; m < g->narrow_channels;
         m++, first += ph_spatial_size(g->narrow), weights += g->wide_channels * ph_spatial_size(kernel))
        for (int64_t kz = 0; kz < kernel[0]; kz++) {
            int64_t nz = narrow_position(g, 0, z, kz);
            if (nz < 0) continue;
            for (int64_t ky = 0; ky < kernel[1]; ky++) {
                int64_t ny = narrow_position(g, 1, y, ky);
                if (ny < 0) continue;
                for (int64_t kx = 0; kx < kernel[2]; kx++) {
                    int64_t nx = narrow_position(g, 2, x, kx);
                    if (nx < 0) continue;
                    sum += gated_value(narrow, first + offset(g->narrow, nz, ny, nx)) *
                           weights[offset(kernel, kz, ky, kx)];
                }
            }
        }
    return sum;
}

static void wide_add(const struct geometry *g, real *wide, struct gated narrow, const real *weights) {
    int64_t kernel = ph_spatial_size(g->window->kernel);
    for (int64_t n = 0; n < g->batch; n++)
        for (int64_t group = 0; group < g->groups; group++) {
            int64_t first = (n * g->groups + group) * g->narrow_channels * ph_spatial_size(g->narrow);
            for (int64_t c = 0; c < g->wide_channels; c++)
                for (int64_t z = 0; z < g->wide[0]; z++)
                    for (int64_t y = 0; y < g->wide[1]; y++)
                        for (int64_t x = 0; x < g->wide[2]; x++, wide++)
                            *wide = (real)(*wide + wide_element(g, narrow, first,
                                weights + (group * g->narrow_channels * g->wide_channels + c) * kernel, z, y, x));
        }
}

/* Sum over the batch and all narrow positions for one tap; channels are counted over all groups. */
static double weight_element(const struct geometry *g, const real *wide, struct gated narrow, int64_t narrow_channel,
                             int64_t wide_channel, int64_t kz, int64_t ky, int64_t kx) {
    double sum = 0;
    for (int64_t n = 0; n < g->batch; n++) {
        const real *plane = wide + (n * g->groups * g->wide_channels + wide_channel) * ph_spatial_size(g->wide);
        int64_t first = (n * g->groups * g->narrow_channels + narrow_channel) * ph_spatial_size(g->narrow);
        for (int64_t z = 0; z < g->narrow[0]; z++) {
            int64_t wz = wide_position(g, 0, z, kz);
            if (is_missed(g, wz)) continue;
            for (int64_t y = 0; y < g->narrow[1]; y++) {
                int64_t wy = wide_position(g, 1, y, ky);
                if (is_missed(g, wy)) continue;
                for (int64_t x = 0; x < g->narrow[2]; x++) {
                    int64_t wx = wide_position(g, 2, x, kx);
                    if (is_missed(g, wx)) continue;
                    sum += gated_value(narrow, first + offset(g->narrow, z, y, x)) *
                           wide_value(g, plane, wide_channel, wz, wy, wx);
                }
            }
        }
    }
    return sum;
}

static void weights_add(const struct geometry *g, real *weights, const real *wide, struct gated narrow) {
    const int64_t *kernel = g->window->kernel;
    for (int64_t m = 0; m < g->groups * g->narrow_channels; m++)
        for (int64_t c = 0; c < g->wide_channels; c++)
            for (int64_t kz = 0; kz < kernel[0]; kz++)
                for (int64_t ky = 0; ky < kernel[1]; ky++)
                    for (int64_t kx = 0; kx < kernel[2]; kx++, weights++)
                        *weights = (real)(*weights + weight_element(g, wide, narrow, m,
                            m / g->narrow_channels * g->wide_channels + c, kz, ky, kx));
}

/* Fills [N,M,...] with its channels' bias, zero without one. */
static void bias_fill(real *output, const struct ph_shape *shape, const real *bias) {
    int64_t size = ph_channel_size(shape);
    for (int64_t n = 0; n < shape->dims[0]; n++)
        for (int64_t m = 0; m < shape->dims[1]; m++)
            for (int64_t i = 0; i < size; i++) *output++ = bias ? bias[m] : 0;
}

static void bias_add(real *bias, const struct ph_shape *shape, struct gated gradient) {
    int64_t size = ph_channel_size(shape);
    for (int64_t m = 0; m < shape->dims[1]; m++) {
        double sum = 0;
        for (int64_t n = 0; n < shape->dims[0]; n++)
            for (int64_t i = 0; i < size; i++) sum += gated_value(gradient, (n * shape->dims[1] + m) * size + i);
        bias[m] = (real)(bias[m] + sum);
    }
}

static const void *optional_input(const struct ph_call *call, int index) {
    return index < call->input_count ? call->inputs[index] : NULL;
}

static void *optional_gradient(const struct ph_call *call, int index) {
    return index < call->input_count ? call->input_gradients[index] : NULL;
}

/* ---- Shape rules ------------------------------------------------------------------------------------------------- */

/* What both operations ask of their inputs; `channels` are the output's. */
static ph_status infer_check(struct ph_inference *inference, int64_t channels) {
    const struct ph_convolution_attributes *a = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape, *weights = &inference->inputs[1]->shape;
    int spatial = x->rank - 2;
    if (spatial < 1 || spatial > PH_SPATIAL)
        return ph_infer_fail(inference, "the input must be [N,C,W], [N,C,H,W] or [N,C,D,H,W]");
    if (weights->rank != x->rank) return ph_infer_fail(inference, "weights of rank %d expected", x->rank);
    struct ph_window window;
    PH_WINDOW_COPY(&window, a);
    const char *problem = ph_window_problem(&window, spatial);
    if (problem) return ph_infer_fail(inference, "%s", problem);
    for (int i = 0; i < spatial; i++)
        if (a->kernel[PH_SPATIAL - spatial + i] != weights->dims[2 + i])
            return ph_infer_fail(inference, "the weights' kernel is not the declared one");
    if (a->groups < 1 || weights->dims[0] < 1 || weights->dims[0] % a->groups)
        return ph_infer_fail(inference, "%lld groups do not divide the weights' first axis", (long long)a->groups);
    if (inference->input_count > 2 && inference->inputs[2]) {
        const struct ph_shape *bias = &inference->inputs[2]->shape;
        if (bias->rank != 1 || bias->dims[0] != channels)
            return ph_infer_fail(inference, "a bias of shape [%lld] expected", (long long)channels);
    }
    return PH_OK;
}

static ph_status infer_border(struct ph_inference *inference) {
    const struct ph_convolution_attributes *a = inference->attributes;
    const struct ph_shape *border = &inference->inputs[3]->shape;
    int64_t channels = inference->inputs[0]->shape.dims[1];
    if (a->groups != 1) return ph_infer_fail(inference, "a border goes with one group alone");
    if (border->rank != 1 || border->dims[0] != channels)
        return ph_infer_fail(inference, "a border of shape [%lld] expected", (long long)channels);
    return PH_OK;
}

static ph_status convolution_infer(struct ph_inference *inference) {
    const struct ph_convolution_attributes *a = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape, *weights = &inference->inputs[1]->shape;
    PH_TRY(infer_check(inference, weights->dims[0]));
    if (x->dims[1] % a->groups || x->dims[1] / a->groups != weights->dims[1])
        return ph_infer_fail(inference, "%lld input channels in %lld groups do not fit weights for %lld per group",
                             (long long)x->dims[1], (long long)a->groups, (long long)weights->dims[1]);
    if (inference->input_count > 3 && inference->inputs[3]) PH_TRY(infer_border(inference));
    struct ph_window window;
    PH_WINDOW_COPY(&window, a);
    struct ph_shape *y = &inference->shapes[0];
    *y = *x;
    y->dims[1] = weights->dims[0];
    for (int i = 2; i < x->rank; i++) {
        y->dims[i] = ph_window_count(&window, PH_SPATIAL - x->rank + i, x->dims[i], false);
        if (y->dims[i] < 1) return ph_infer_fail(inference, "the kernel is larger than the padded input");
    }
    return PH_OK;
}

static ph_status convolution_transpose_infer(struct ph_inference *inference) {
    const struct ph_convolution_attributes *a = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape, *weights = &inference->inputs[1]->shape;
    int64_t channels = 0;
    if (weights->rank >= 2 && __builtin_mul_overflow(weights->dims[1], a->groups, &channels))
        return ph_infer_fail(inference, "%lld groups are too many", (long long)a->groups);
    PH_TRY(infer_check(inference, channels));
    if (x->dims[1] != weights->dims[0])
        return ph_infer_fail(inference, "%lld input channels do not fit weights for %lld", (long long)x->dims[1],
                             (long long)weights->dims[0]);
    struct ph_window window;
    PH_WINDOW_COPY(&window, a);
    struct ph_shape *y = &inference->shapes[0];
    *y = *x;
    y->dims[1] = channels;
    for (int i = 2; i < x->rank; i++) {
        int axis = PH_SPATIAL - x->rank + i;
        if (a->output_padding[axis] < 0 || a->output_padding[axis] > (int64_t)1 << 40)
            return ph_infer_fail(inference, "output padding must not be negative");
        y->dims[i] = (x->dims[i] - 1) * a->stride[axis] + ph_window_extent(&window, axis) + a->output_padding[axis] -
                     a->pad_begin[axis] - a->pad_end[axis];
        if (y->dims[i] < 1) return ph_infer_fail(inference, "the pads leave nothing of the output");
    }
    return PH_OK;
}

/* ---- Convolution ------------------------------------------------------------------------------------------------- */

static void convolution_forward(const struct ph_call *call) {
    const struct ph_convolution_attributes *a = call->attributes;
    const struct ph_shape *shape = &call->output_shapes[0];
    struct geometry g = geometry_of(a, call->input_shapes[0], shape);
    g.border = optional_input(call, 3);
    real *y = call->outputs[0];
    bias_fill(y, shape, optional_input(call, 2));
    narrow_add(&g, y, call->inputs[0], call->inputs[1]);
    if (!a->relu) return;
    for (int64_t i = 0; i < ph_shape_size(shape); i++) {
        if (y[i] < 0) y[i] = 0;
        if (a->ceiling && y[i] > (real)a->ceiling) y[i] = (real)a->ceiling;
    }
}

static void convolution_backward(const struct ph_call *call) {
    const struct ph_convolution_attributes *a = call->attributes;
    struct geometry g = geometry_of(a, call->input_shapes[0], &call->output_shapes[0]);
    g.border = optional_input(call, 3);
    struct gated gradient = {call->output_gradients[0], a->relu ? call->outputs[0] : NULL, a->ceiling};
    if (call->input_gradients[0]) wide_add(&g, call->input_gradients[0], gradient, call->inputs[1]);
    if (call->input_gradients[1]) weights_add(&g, call->input_gradients[1], call->inputs[0], gradient);
    real *bias_gradient = optional_gradient(call, 2);
    if (bias_gradient) bias_add(bias_gradient, &call->output_shapes[0], gradient);
}

/* Two for each element of the narrow tensor and each weight of its channel's filter. */
static double flops_of(const struct ph_shape *narrow, const struct ph_shape *weights) {
    return 2.0 * (double)ph_shape_size(narrow) * (double)ph_shape_size(weights) / (double)weights->dims[0];
}

static double convolution_flops(const struct ph_call *call) {
    return flops_of(&call->output_shapes[0], call->input_shapes[1]);
}

static ph_status convolution_read(struct ph_import *import) {
    const struct ph_value *x = ph_import_value(import, 0), *weights = ph_import_value(import, 1);
    if (!x || !weights || weights->shape.rank != x->shape.rank)
        return ph_import_fail(import, PH_ERROR_FORMAT, "an input and weights of the same rank are needed");
    if (import->input_count > 3)
        return ph_import_fail(import, PH_ERROR_FORMAT, "%d inputs, at most 3 expected", import->input_count);
    struct ph_window window;
    enum ph_auto_pad auto_pad;
    PH_TRY(ph_import_window(import, &x->shape, weights->shape.dims + 2, &window, &auto_pad));
    int64_t dims[PH_SPATIAL];
    ph_spatial_dims(&x->shape, dims);
    ph_window_pad_same(&window, auto_pad, dims);
    struct ph_convolution_attributes attributes = {.groups = ph_import_int(import, "group", 1)};
    PH_WINDOW_COPY(&attributes, &window);
    return ph_import_append(import, &attributes, -1);
}

/* ---- Transposed convolution -------------------------------------------------------------------------------------- */

static void convolution_transpose_forward(const struct ph_call *call) {
    struct geometry g = geometry_of(call->attributes, &call->output_shapes[0], call->input_shapes[0]);
    bias_fill(call->outputs[0], &call->output_shapes[0], optional_input(call, 2));
    wide_add(&g, call->outputs[0], (struct gated){call->inputs[0], NULL, 0}, call->inputs[1]);
}

static void convolution_transpose_backward(const struct ph_call *call) {
    struct geometry g = geometry_of(call->attributes, &call->output_shapes[0], call->input_shapes[0]);
    const real *gradient = call->output_gradients[0];
    if (call->input_gradients[0]) narrow_add(&g, call->input_gradients[0], gradient, call->inputs[1]);
    if (call->input_gradients[1])
        weights_add(&g, call->input_gradients[1], gradient, (struct gated){call->inputs[0], NULL, 0});
    real *bias_gradient = optional_gradient(call, 2);
    if (bias_gradient) bias_add(bias_gradient, &call->output_shapes[0], (struct gated){gradient, NULL, 0});
}

static double convolution_transpose_flops(const struct ph_call *call) {
    return flops_of(call->input_shapes[0], call->input_shapes[1]);
}

/* ONNX ConvTranspose: output_shape, or auto_pad's input * stride, is reached by padding; what even no padding reaches
 * is appended at the end, where only the bias shows. */
static ph_status convolution_transpose_read(struct ph_import *import) {
    const struct ph_value *x = ph_import_value(import, 0), *weights = ph_import_value(import, 1);
    if (!x || !weights || weights->shape.rank != x->shape.rank)
        return ph_import_fail(import, PH_ERROR_FORMAT, "an input and weights of the same rank are needed");
    struct ph_window window;
    enum ph_auto_pad auto_pad;
    PH_TRY(ph_import_window(import, &x->shape, weights->shape.dims + 2, &window, &auto_pad));
    struct ph_convolution_attributes attributes = {.groups = ph_import_int(import, "group", 1)};

    int spatial = x->shape.rank - 2, first = PH_SPATIAL - spatial, padding_count, wanted_count;
    int64_t padding[PH_SPATIAL] = {0}, wanted[PH_SPATIAL];
    PH_TRY(ph_import_ints(import, "output_padding", padding, PH_SPATIAL, &padding_count));
    PH_TRY(ph_import_ints(import, "output_shape", wanted, PH_SPATIAL, &wanted_count));
    if ((padding_count >= 0 && padding_count != spatial) || (wanted_count >= 0 && wanted_count != spatial))
        return ph_import_fail(import, PH_ERROR_FORMAT, "output_padding and output_shape must have %d entries", spatial);
    bool upper = auto_pad == PH_AUTO_PAD_SAME_UPPER, same = upper || auto_pad == PH_AUTO_PAD_SAME_LOWER;
    for (int i = 0; i < spatial; i++) {
        int axis = first + i;
        int64_t input = x->shape.dims[2 + i], limit = (int64_t)1 << 40;
        if (padding[i] < 0 || padding[i] > limit || (wanted_count > 0 && (wanted[i] < 1 || wanted[i] > limit)))
            return ph_import_fail(import, PH_ERROR_FORMAT, "output_padding or output_shape is negative or too large");
        attributes.output_padding[axis] = padding[i];
        if (wanted_count < 0 && !same) continue;
        int64_t target = wanted_count < 0 ? input * window.stride[axis] : wanted[i];
        int64_t total = (input - 1) * window.stride[axis] + ph_window_extent(&window, axis) + padding[i] - target;
        ph_window_pad(&window, axis, PH_MAX(total, 0), upper);
        if (total < 0) attributes.output_padding[axis] -= total;
    }
    PH_WINDOW_COPY(&attributes, &window);
    return ph_import_append(import, &attributes, -1);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

#define ATTRIBUTES(...) \
    &(const struct ph_convolution_attributes){ \
        .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1, __VA_ARGS__}

static const struct ph_case convolution_cases[] = {
    {"1x1", ATTRIBUTES(),
     .inputs = {{PH_SHAPE(2, 3, 3, 4), -1, 1}, {PH_SHAPE(4, 3, 1, 1), -1, 1}, {PH_SHAPE(4), -1, 1}}},
    {"3x3, pad 1, no bias", ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}),
     .inputs = {{PH_SHAPE(2, 2, 5, 4), -1, 1}, {PH_SHAPE(3, 2, 3, 3), -1, 1}}},
    {"3x3, pad 1, fused relu",
     ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .relu = true),
     .inputs = {{PH_SHAPE(2, 2, 5, 4), -1, 1}, {PH_SHAPE(3, 2, 3, 3), -1, 1}, {PH_SHAPE(3), -0.5, 0.5}}},
    {"3x3, pad 1, fused relu with a ceiling",
     ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .relu = true, .ceiling = 0.75),
     .inputs = {{PH_SHAPE(2, 2, 5, 4), -1, 1}, {PH_SHAPE(3, 2, 3, 3), -1, 1}, {PH_SHAPE(3), -0.5, 0.5}}},
    {"7x7, stride 2, pad 3",
     ATTRIBUTES(.kernel = {1, 7, 7}, .stride = {1, 2, 2}, .pad_begin = {0, 3, 3}, .pad_end = {0, 3, 3}),
     .inputs = {{PH_SHAPE(1, 2, 9, 8), -1, 1}, {PH_SHAPE(2, 2, 7, 7), -1, 1}, {PH_SHAPE(2), -1, 1}}},
    {"3x2, strides 2 and 3, asymmetric pads",
     ATTRIBUTES(.kernel = {1, 3, 2}, .stride = {1, 2, 3}, .pad_begin = {0, 0, 2}, .pad_end = {0, 1, 0}),
     .inputs = {{PH_SHAPE(2, 3, 7, 6), -1, 1}, {PH_SHAPE(2, 3, 3, 2), -1, 1}, {PH_SHAPE(2), -1, 1}}},
    {"dilations 2 and 3",
     ATTRIBUTES(.kernel = {1, 3, 2}, .dilation = {1, 2, 3}, .pad_begin = {0, 2, 1}, .pad_end = {0, 2, 1}),
     .inputs = {{PH_SHAPE(1, 2, 6, 7), -1, 1}, {PH_SHAPE(3, 2, 3, 2), -1, 1}, {PH_SHAPE(3), -1, 1}}},
    {"stride 2, dilation 2, two groups",
     ATTRIBUTES(.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .dilation = {1, 2, 2}, .pad_begin = {0, 2, 2},
                .pad_end = {0, 2, 2}, .groups = 2),
     .inputs = {{PH_SHAPE(2, 4, 6, 7), -1, 1}, {PH_SHAPE(6, 2, 3, 3), -1, 1}, {PH_SHAPE(6), -1, 1}}},
    {"depthwise", ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .groups = 4),
     .inputs = {{PH_SHAPE(2, 4, 5, 5), -1, 1}, {PH_SHAPE(4, 1, 3, 3), -1, 1}, {PH_SHAPE(4), -1, 1}}},
    {"depthwise, multiplier 2, stride 2",
     ATTRIBUTES(.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .groups = 3),
     .inputs = {{PH_SHAPE(1, 3, 6, 5), -1, 1}, {PH_SHAPE(6, 1, 3, 3), -1, 1}, {PH_SHAPE(6), -1, 1}}},
    {"kernel 1, stride 2", ATTRIBUTES(.stride = {1, 2, 2}),
     .inputs = {{PH_SHAPE(1, 4, 5, 6), -1, 1}, {PH_SHAPE(3, 4, 1, 1), -1, 1}, {PH_SHAPE(3), -1, 1}}},
    {"pads wider than the kernel", ATTRIBUTES(.kernel = {1, 2, 2}, .pad_begin = {0, 3, 0}, .pad_end = {0, 0, 3}),
     .inputs = {{PH_SHAPE(1, 2, 3, 2), -1, 1}, {PH_SHAPE(2, 2, 2, 2), -1, 1}, {PH_SHAPE(2), -1, 1}}},
    {"5x3, stride 2, asymmetric pads, border",
     ATTRIBUTES(.kernel = {1, 5, 3}, .stride = {1, 2, 2}, .pad_begin = {0, 2, 1}, .pad_end = {0, 1, 2}),
     .inputs = {{PH_SHAPE(2, 3, 7, 6), -1, 1}, {PH_SHAPE(2, 3, 5, 3), -1, 1}, {PH_SHAPE(2), -1, 1}, {PH_SHAPE(3), 0.5, 1}}},
    {"3x3, pad 1, fused relu, border",
     ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .relu = true),
     .inputs = {{PH_SHAPE(1, 2, 5, 4), -1, 1}, {PH_SHAPE(3, 2, 3, 3), -1, 1}, {PH_SHAPE(3), -0.5, 0.5}, {PH_SHAPE(2), 0.5, 1}}},
    {"1-D, kernel 5, stride 2",
     ATTRIBUTES(.kernel = {1, 1, 5}, .stride = {1, 1, 2}, .pad_begin = {0, 0, 2}, .pad_end = {0, 0, 1}),
     .inputs = {{PH_SHAPE(2, 3, 12), -1, 1}, {PH_SHAPE(4, 3, 5), -1, 1}, {PH_SHAPE(4), -1, 1}}},
    {"3-D, border",
     ATTRIBUTES(.kernel = {2, 3, 2}, .stride = {1, 2, 1}, .pad_begin = {1, 1, 0}, .pad_end = {0, 1, 1}),
     .inputs = {{PH_SHAPE(1, 2, 3, 4, 4), -1, 1}, {PH_SHAPE(3, 2, 2, 3, 2), -1, 1}, {PH_SHAPE(3), -1, 1},
                {PH_SHAPE(2), 0.5, 1}}},
    {"3-D, two groups",
     ATTRIBUTES(.kernel = {2, 3, 2}, .stride = {1, 2, 1}, .pad_begin = {1, 1, 0}, .pad_end = {0, 1, 1}, .groups = 2),
     .inputs = {{PH_SHAPE(1, 2, 3, 4, 4), -1, 1}, {PH_SHAPE(4, 1, 2, 3, 2), -1, 1}, {PH_SHAPE(4), -1, 1}}},
    {0}};

static const struct ph_case convolution_transpose_cases[] = {
    {"2x2, stride 2", ATTRIBUTES(.kernel = {1, 2, 2}, .stride = {1, 2, 2}),
     .inputs = {{PH_SHAPE(2, 3, 3, 4), -1, 1}, {PH_SHAPE(3, 2, 2, 2), -1, 1}, {PH_SHAPE(2), -1, 1}}},
    {"4x4, stride 2, pad 1, no bias",
     ATTRIBUTES(.kernel = {1, 4, 4}, .stride = {1, 2, 2}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}),
     .inputs = {{PH_SHAPE(1, 2, 4, 3), -1, 1}, {PH_SHAPE(2, 3, 4, 4), -1, 1}}},
    {"3x3, stride 2, output padding 1",
     ATTRIBUTES(.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1},
                .output_padding = {0, 1, 1}),
     .inputs = {{PH_SHAPE(1, 2, 3, 4), -1, 1}, {PH_SHAPE(2, 2, 3, 3), -1, 1}, {PH_SHAPE(2), -1, 1}}},
    {"asymmetric pads, strides 1 and 3, gaps between taps",
     ATTRIBUTES(.kernel = {1, 3, 2}, .stride = {1, 1, 3}, .pad_begin = {0, 0, 1}, .pad_end = {0, 2, 0}),
     .inputs = {{PH_SHAPE(2, 2, 4, 3), -1, 1}, {PH_SHAPE(2, 3, 3, 2), -1, 1}, {PH_SHAPE(3), -1, 1}}},
    {"dilation 2, two groups", ATTRIBUTES(.kernel = {1, 3, 3}, .dilation = {1, 2, 2}, .groups = 2),
     .inputs = {{PH_SHAPE(1, 4, 3, 4), -1, 1}, {PH_SHAPE(4, 3, 3, 3), -1, 1}, {PH_SHAPE(6), -1, 1}}},
    {"depthwise, stride 2",
     ATTRIBUTES(.kernel = {1, 4, 4}, .stride = {1, 2, 2}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1},
                                       .groups = 3),
     .inputs = {{PH_SHAPE(1, 3, 3, 4), -1, 1}, {PH_SHAPE(3, 1, 4, 4), -1, 1}, {PH_SHAPE(3), -1, 1}}},
    {"1-D", ATTRIBUTES(.kernel = {1, 1, 4}, .stride = {1, 1, 3}, .pad_begin = {0, 0, 1}),
     .inputs = {{PH_SHAPE(2, 2, 6), -1, 1}, {PH_SHAPE(2, 3, 4), -1, 1}, {PH_SHAPE(3), -1, 1}}},
    {"3-D", ATTRIBUTES(.kernel = {2, 3, 2}, .stride = {2, 1, 2}, .pad_begin = {0, 1, 0}, .pad_end = {1, 1, 0}),
     .inputs = {{PH_SHAPE(1, 2, 2, 3, 3), -1, 1}, {PH_SHAPE(2, 2, 2, 3, 2), -1, 1}, {PH_SHAPE(2), -1, 1}}},
    {0}};

PH_OPERATION(convolution) = {
    .name = "convolution",
    .help = "convolution, 1-D to 3-D: groups, stride, dilation, padding on each side by zeros or a border, optional bias",
    .attributes_size = sizeof(struct ph_convolution_attributes),
    .minimum_inputs = 2, .maximum_inputs = 4,
    .differentiable = 0x7, .backward_reads = PH_READS_INPUTS | PH_READS_OUTPUTS,
    .infer = convolution_infer, .forward = convolution_forward, .backward = convolution_backward,
    .flops = convolution_flops,
    .importers = (const struct ph_importer[]){{"Conv", convolution_read}, {0}},
    .cases = convolution_cases,
};

PH_OPERATION(convolution_transpose) = {
    .name = "convolution_transpose",
    .help = "transposed convolution, 1-D to 3-D: groups, stride, dilation, padding, output padding, optional bias",
    .attributes_size = sizeof(struct ph_convolution_attributes),
    .minimum_inputs = 2, .maximum_inputs = 3,
    .differentiable = 0x7, .backward_reads = PH_READS_INPUTS,
    .infer = convolution_transpose_infer, .forward = convolution_transpose_forward,
    .backward = convolution_transpose_backward, .flops = convolution_transpose_flops,
    .importers = (const struct ph_importer[]){{"ConvTranspose", convolution_transpose_read}, {0}},
    .cases = convolution_transpose_cases,
};
