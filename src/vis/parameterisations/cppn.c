/* cppn: a small network from coordinates to colour, whose weights are optimised (Stanley 2007, "Compositional pattern
 * producing networks"; lucid, optvis/param/cppn.py; Mordvintsev et al. 2018, "Differentiable Image Parameterizations").
 * The picture is a function of position, so it can be printed at any size.
 *
 * HIDDEN layers of WIDTH sums each, with the activation [atan(x) / 0.67, atan(x)^2 / 0.6] that lucid scaled to unit
 * variance, and a last layer that starts at zero: grey. */
#include "vis/vis.h"
#include <math.h>

#define HIDDEN 8
#define WIDTH 24

static int64_t layer_inputs(int layer) { return layer ? 2 * WIDTH : 2; }
static int64_t layer_outputs(int layer, const struct ph_view *view) { return layer < HIDDEN ? WIDTH : view->channels; }

/* Of weights and biases. */
static int64_t layer_size(int layer, const struct ph_view *view) {
    return layer_outputs(layer, view) * (layer_inputs(layer) + 1);
}

static struct ph_shape cppn_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    int64_t size = 0;
    (void)recipe;
    for (int layer = 0; layer <= HIDDEN; layer++) size += layer_size(layer, view);
    return PH_SHAPE(items, size);
}

/* Columns then rows of every pixel, [1,2,H*W]: the longer side spans -sqrt(3) to sqrt(3). */
static ph_status coordinates_build(struct ph_graph *graph, const struct ph_view *view, int *out) {
    int64_t area = (int64_t)view->height * view->width;
    float *values = ph_alloc_array((size_t)area, 2 * sizeof *values);
    if (!values) return ph_fail_memory(graph->context);
    double step = 2 * sqrt(3) / PH_MAX(PH_MAX(view->height, view->width) - 1, 1);
    for (int64_t i = 0; i < area; i++) {
        values[i] = (float)(((double)(i % view->width) - (view->width - 1) / 2.0) * step);
        values[area + i] = (float)(((double)(i / view->width) - (view->height - 1) / 2.0) * step);
    }
    ph_status status = ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SHAPE(1, 2, area), values, out);
    ph_free(values);
    return status;
}

static ph_status part_build(struct ph_graph *graph, int parameters, int64_t *start, int64_t rows, int64_t columns,
                            int *out) {
    int64_t items = graph->values[parameters].shape.dims[0];
    struct ph_slice_attributes slice = {.start = {0, *start}, .step = {1, 1}, .size = {items, rows * columns}};
    struct ph_shape_attributes shape = {PH_SHAPE(items, rows, columns)};
    *start += rows * columns;
    PH_TRY(ph_graph_add(graph, &ph_operation_slice, NULL, &slice, &parameters, 1, out));
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &shape, out, 1, out);
}

static ph_status divide(struct ph_graph *graph, int x, float by, int *out) {
    int constant;
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &by, &constant));
    return ph_graph_add(graph, &ph_operation_div, NULL, NULL, (int[]){x, constant}, 2, out);
}

static ph_status activation_build(struct ph_graph *graph, int x, int *out) {
    struct ph_axis_attributes channels = {1};
    int parts[2];
    PH_TRY(ph_graph_add(graph, &ph_operation_atan, NULL, NULL, &x, 1, &x));
    PH_TRY(ph_graph_add(graph, &ph_operation_mul, NULL, NULL, (int[]){x, x}, 2, &parts[1]));
    PH_TRY(divide(graph, x, 0.67f, &parts[0]));
    PH_TRY(divide(graph, parts[1], 0.6f, &parts[1]));
    return ph_graph_add(graph, &ph_operation_concat, NULL, &channels, parts, 2, out);
}

static ph_status cppn_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view,
                            int parameters, int *out) {
    int64_t items = graph->values[parameters].shape.dims[0], start = 0;
    struct ph_shape_attributes picture = {PH_SHAPE(items, view->channels, view->height, view->width)};
    int x, weights, bias;
    (void)recipe;
    PH_TRY(coordinates_build(graph, view, &x));
    for (int layer = 0; layer <= HIDDEN; layer++) {
        int64_t rows = layer_outputs(layer, view);
        PH_TRY(part_build(graph, parameters, &start, rows, layer_inputs(layer), &weights));
        PH_TRY(part_build(graph, parameters, &start, rows, 1, &bias));
        PH_TRY(ph_graph_add(graph, &ph_operation_matmul, NULL, NULL, (int[]){weights, x}, 2, &x));
        PH_TRY(ph_graph_add(graph, &ph_operation_add, NULL, NULL, (int[]){x, bias}, 2, &x));
        if (layer < HIDDEN) PH_TRY(activation_build(graph, x, &x));
    }
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &picture, &x, 1, out);
}

/* Weights of variance 1 / inputs, biases and the last layer 0. */
static void cppn_start(const ph_recipe *recipe, const struct ph_view *view, float *values) {
    struct ph_shape shape = cppn_shape(1, recipe, view);
    ph_random_normal(ph_start_key(recipe), values, (size_t)ph_shape_size(&shape));
    for (int layer = 0; layer <= HIDDEN; layer++) {
        int64_t size = layer_size(layer, view), weights = layer_outputs(layer, view) * layer_inputs(layer);
        float deviation = layer < HIDDEN ? (float)sqrt(1.0 / (double)layer_inputs(layer)) : 0;
        for (int64_t i = 0; i < size; i++) values[i] *= i < weights ? deviation : 0;
        values += size;
    }
}

const struct ph_parameterisation ph_parameterisation_cppn = {
    .name = "cppn",
    .help = "a small network from coordinates to colour: clear shapes, which can be printed at any size (print-size)",
    .shape = cppn_shape, .build = cppn_build, .start = cppn_start, .any_size = true,
};
