/* Local response normalisation (Krizhevsky et al. 2012, section 3.3), across channels or within each:
 *
 *     y_i = x_i s_i^-beta,   s_i = bias + alpha / n * sum of x_j^2 over the window of i
 *
 * The window spans `size` channels, leaning forward by one when that is even (ONNX LRN), or size x size pixels (Caffe's
 * WITHIN_CHANNEL, odd sizes); n is the number of its elements, those outside the tensor included. */
#include "graph/ops/response_norm.h"
#include <math.h>

static ph_status local_response_norm_infer(struct ph_inference *inference) {
    const struct ph_response_norm_attributes *a = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape;
    if (x->rank < 2 || (a->within_channel && x->rank != 4))
        return ph_infer_fail(inference, "%s expected", a->within_channel ? "an input [N,C,H,W]" : "an input [N,C,...]");
    if (a->size < 1 || a->size > 1 << 20 || (a->within_channel && a->size % 2 == 0))
        return ph_infer_fail(inference, "size %lld: positive, and odd within channels, expected", (long long)a->size);
    return ph_infer_same(inference);
}

static void local_response_norm_forward(const struct ph_call *call) {
    struct response_norm l = response_norm_of(call->attributes, call->input_shapes[0]);
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    for (int64_t n = 0; n < l.batch; n++)
        for (int64_t c = 0; c < l.channels; c++)
            for (int64_t i = 0; i < l.height; i++)
                for (int64_t j = 0; j < l.width; j++) {
                    int64_t at = offset(&l, n, c, i, j);
                    y[at] = (real)(x[at] * pow(strength(&l, x, n, c, i, j), -l.attributes->beta));
                }
}

/* dx_i = g_i s_i^-beta - 2 beta alpha / n * x_i * sum of g_j x_j s_j^(-beta-1) over the j whose window holds i. */
static double gradient_element(const struct response_norm *l, const real *x, const real *g, int64_t n, int64_t c, int64_t y,
                               int64_t column) {
    struct range r = range_of(l, c, y, column, l->after, l->before);
    double beta = l->attributes->beta, sum = 0;
    for (int64_t i = r.c0; i <= r.c1; i++)
        for (int64_t j = r.y0; j <= r.y1; j++)
            for (int64_t k = r.x0; k <= r.x1; k++) {
                int64_t at = offset(l, n, i, j, k);
                sum += (double)g[at] * x[at] * pow(strength(l, x, n, i, j, k), -beta - 1);
            }
    int64_t at = offset(l, n, c, y, column);
    return g[at] * pow(strength(l, x, n, c, y, column), -beta) - 2 * beta * l->scale * x[at] * sum;
}

static void local_response_norm_backward(const struct ph_call *call) {
    struct response_norm l = response_norm_of(call->attributes, call->input_shapes[0]);
    const real *x = call->inputs[0], *g = call->output_gradients[0];
    real *gradient = call->input_gradients[0];
    for (int64_t n = 0; n < l.batch; n++)
        for (int64_t c = 0; c < l.channels; c++)
            for (int64_t i = 0; i < l.height; i++)
                for (int64_t j = 0; j < l.width; j++, gradient++)
                    *gradient = (real)(*gradient + gradient_element(&l, x, g, n, c, i, j));
}

/* Squares, their sum over the window, a power taken as ten operations, a product. */
static double local_response_norm_flops(const struct ph_call *call) {
    const struct ph_response_norm_attributes *a = call->attributes;
    double window = (double)a->size * (a->within_channel ? (double)a->size : 1);
    return (double)ph_shape_size(&call->output_shapes[0]) * (2 * window + 12);
}

static ph_status local_response_norm_read(struct ph_import *import) {
    struct ph_response_norm_attributes attributes = {
        .size = ph_import_int(import, "size", 0), .alpha = ph_import_float(import, "alpha", 0.0001),
        .beta = ph_import_float(import, "beta", 0.75), .bias = ph_import_float(import, "bias", 1)};
    return ph_import_append(import, &attributes, 1);
}

#define ATTRIBUTES(...) \
    &(const struct ph_response_norm_attributes){.alpha = 0.5, .beta = 0.75, .bias = 1, __VA_ARGS__}

static const struct ph_case local_response_norm_cases[] = {
    {"five channels", ATTRIBUTES(.size = 5), .inputs = {{PH_SHAPE(2, 8, 2, 3), -2, 2}}},
    {"even size leans forward", ATTRIBUTES(.size = 4, .bias = 2), .inputs = {{PH_SHAPE(1, 7, 2, 2), -2, 2}}},
    {"window wider than the channels", ATTRIBUTES(.size = 9, .beta = 0.5), .inputs = {{PH_SHAPE(1, 4, 2, 3), -2, 2}}},
    {"size 1", ATTRIBUTES(.size = 1), .inputs = {{PH_SHAPE(1, 3, 4, 2), -2, 2}}},
    {"1-D", ATTRIBUTES(.size = 3), .inputs = {{PH_SHAPE(2, 5, 6), -2, 2}}},
    {"3-D", ATTRIBUTES(.size = 2), .inputs = {{PH_SHAPE(1, 4, 2, 3, 2), -2, 2}}},
    {"no spatial axes", ATTRIBUTES(.size = 3), .inputs = {{PH_SHAPE(2, 6), -2, 2}}},
    {"within channels, 3x3", ATTRIBUTES(.size = 3, .within_channel = true), .inputs = {{PH_SHAPE(1, 2, 4, 5), -2, 2}}},
    {"within channels, 5x5", ATTRIBUTES(.size = 5, .within_channel = true, .bias = 2),
     .inputs = {{PH_SHAPE(2, 1, 3, 6), -2, 2}}},
    {0}};

PH_OPERATION(local_response_norm) = {
    .name = "local_response_norm",
    .help = "x / (bias + alpha / n * sum of squares over n neighbours)^beta, across channels or within each",
    .attributes_size = sizeof(struct ph_response_norm_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 0x1, .backward_reads = PH_READS_INPUTS,
    .infer = local_response_norm_infer, .forward = local_response_norm_forward,
    .backward = local_response_norm_backward, .flops = local_response_norm_flops,
    .importers = (const struct ph_importer[]){{"LRN", local_response_norm_read}, {0}},
    .cases = local_response_norm_cases,
};
