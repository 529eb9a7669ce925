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

ph_status ph_colour_build(struct ph_graph *graph, bool decorrelate, int planes, int *picture) {
    if (decorrelate && graph->values[planes].shape.dims[1] == 3) {
        float weights[9];
        ph_colour_matrix(weights);
        PH_TRY(ph_colour_mix(graph, planes, weights, NULL, &planes));
    }
    return ph_graph_add(graph, &ph_operation_sigmoid, NULL, NULL, &planes, 1, picture);
}
