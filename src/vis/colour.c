/* Colour: from optimised planes to a picture, and linear maps of channels. */
#include "vis/vis.h"
#include <math.h>

/* Square root of the covariance of the colours of natural pictures (lucid, optvis/param/color.py): along its columns,
 * mostly brightness, then blue against orange, then green against magenta, the colours of pictures are uncorrelated. */
static const double colour_correlation[3][3] = {{0.26, 0.09, 0.02}, {0.27, 0.00, -0.05}, {0.27, -0.09, 0.03}};

void ph_colour_matrix(float weights[9]) {
    double largest = 0;
    for (int c = 0; c < 3; c++) {
        double sum = 0;
        for (int r = 0; r < 3; r++) sum += colour_correlation[r][c] * colour_correlation[r][c];
        largest = fmax(largest, sqrt(sum));
    }
    for (int i = 0; i < 9; i++) weights[i] = (float)(colour_correlation[i / 3][i % 3] / largest);
}

ph_status ph_colour_mix(struct ph_graph *graph, int x, const float *weights, const float *bias, int *out) {
    int64_t channels = graph->values[x].shape.dims[1];
    struct ph_convolution_attributes attributes = {
        .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
    int inputs[3] = {x, PH_ABSENT, PH_ABSENT};
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SHAPE(channels, channels, 1, 1), weights, &inputs[1]));
    if (bias) PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SHAPE(channels), bias, &inputs[2]));
    return ph_graph_add(graph, &ph_operation_convolution, NULL, &attributes, inputs, bias ? 3 : 2, out);
}

static ph_status add_number(struct ph_graph *graph, int x, float number, int *out) {
    int constant;
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &number, &constant));
    return ph_graph_add(graph, &ph_operation_add, NULL, NULL, (int[]){x, constant}, 2, out);
}

bool ph_colour_is_bounded(const ph_recipe *recipe) {
    return recipe->squash == PH_SQUASH_CLIP && !recipe->decorrelate &&
           ph_parameterisations[recipe->parameterisation] == &ph_parameterisation_pixel;
}

/* Into the range of a picture: the sigmoid, or a shift and clip. Pixels that are bounded already are not clipped, for at
 * the bounds themselves a clip has no gradient, and they would stay there. */
static ph_status squash_build(struct ph_graph *graph, const ph_recipe *recipe, int planes, int *out) {
    struct ph_activation_attributes range = {.low = 0, .high = 1};
    if (recipe->squash == PH_SQUASH_SIGMOID)
        return ph_graph_add(graph, &ph_operation_sigmoid, NULL, NULL, &planes, 1, out);
    PH_TRY(add_number(graph, planes, 0.5f, out));
    if (ph_colour_is_bounded(recipe)) return PH_OK;
    planes = *out;
    return ph_graph_add(graph, &ph_operation_clip, NULL, &range, &planes, 1, out);
}

ph_status ph_colour_build(struct ph_graph *graph, const ph_recipe *recipe, int planes, int *picture) {
    if (recipe->decorrelate && graph->values[planes].shape.dims[1] == 3) {
        float weights[9];
        ph_colour_matrix(weights);
        PH_TRY(ph_colour_mix(graph, planes, weights, NULL, &planes));
    }
    return squash_build(graph, recipe, planes, picture);
}

/* ---- The way back ------------------------------------------------------------------------------------------------ */

/* A byte's whole range is within this of 0 and 1, where the sigmoid would need infinity. */
#define LEAST (0.5 / 255)

static double unsquashed(const ph_recipe *recipe, double value) {
    if (recipe->squash == PH_SQUASH_CLIP) return value - 0.5;
    value = fmin(fmax(value, LEAST), 1 - LEAST);
    return log(value / (1 - value));
}

/* The inverse of a 3x3 matrix, by cofactors. */
static void invert(const float m[9], double inverse[9]) {
    double determinant = 0;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            int r1 = (r + 1) % 3, r2 = (r + 2) % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3;
            inverse[3 * c + r] = (double)m[3 * r1 + c1] * m[3 * r2 + c2] - (double)m[3 * r1 + c2] * m[3 * r2 + c1];
            if (r == 0) determinant += m[c] * inverse[3 * c];
        }
    for (int i = 0; i < 9; i++) inverse[i] /= determinant;
}

void ph_colour_invert(const ph_recipe *recipe, int channels, size_t plane, const float *picture, float *planes) {
    float matrix[9];
    double inverse[9], values[PH_MAX_CHANNELS];
    ph_colour_matrix(matrix);
    invert(matrix, inverse);
    for (size_t i = 0; i < plane; i++) {
        for (int c = 0; c < channels; c++) values[c] = unsquashed(recipe, (double)picture[(size_t)c * plane + i]);
        for (int c = 0; c < channels; c++) {
            double value = values[c];
            if (recipe->decorrelate && channels == 3)
                value = inverse[3 * c] * values[0] + inverse[3 * c + 1] * values[1] + inverse[3 * c + 2] * values[2];
            planes[(size_t)c * plane + i] = (float)value;
        }
    }
}
