/* phase: the magnitudes of the spectrum are those of natural pictures and stay, the phases are optimised (Fel et al. 2023,
 * "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", arXiv:2306.06805).
 * Without a prior that is learnt, the picture cannot leave the spectrum of natural ones.
 *
 *     p' = s (p - mean p) / (deviation p + e),   x = irfft2(r cos p' + i r sin p'),   t = (x - mean x) / (deviation x + e)
 *
 * s is 1 as in the paper; for a start from a picture it is the deviation that uniform phases have, pi / sqrt(3), so that
 * those of the picture stay what they are. */
#include "vis/vis.h"
#include "vis/parameterisations/natural.h"
#include <math.h>

#define EPSILON 1e-5f
#define UNIFORM_DEVIATION 1.8137993642f

static struct ph_shape phase_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    (void)recipe;
    return PH_SHAPE(items, view->channels, view->height, view->width / 2 + 1);
}

/* Log-log interpolation in the table of one plane at frequency f. */
static double magnitude(const float *table, double f) {
    const double low = log(NATURAL_LOWEST), high = log(NATURAL_HIGHEST);
    double at = (log(fmax(f, NATURAL_LOWEST)) - low) / (high - low) * (NATURAL_BINS - 1);
    int bin = PH_MIN((int)at, NATURAL_BINS - 2);
    double share = at - bin;
    return exp(log(table[bin]) * (1 - share) + log(table[bin + 1]) * share);
}

/* Times H W, so that planes are of about the deviation that they will have, which keeps the standardising well behaved.
 * The table's planes are those of decorrelated colour, whose second and third are weaker; where colours are not
 * decorrelated, and for single planes, all are like the first. */
static ph_status magnitudes_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view, int *out) {
    struct ph_shape shape = PH_SHAPE(1, view->channels, view->height, view->width / 2 + 1);
    float *values = ph_alloc_array((size_t)ph_shape_size(&shape), sizeof *values), *at = values;
    if (!values) return ph_fail_memory(graph->context);
    double slowest = 1.0 / PH_MAX(view->width, view->height), area = (double)view->height * view->width;
    bool coloured = recipe->decorrelate && view->channels >= 3;
    for (int c = 0; c < view->channels; c++)
        for (int v = 0; v < view->height; v++)
            for (int k = 0; k <= view->width / 2; k++) {
                double f = fmax(ph_frequency(v, k, view->height, view->width), slowest);
                *at++ = f > recipe->band_limit ? 0 : (float)(area * magnitude(natural[coloured && c < 3 ? c : 0], f));
            }
    ph_status status = ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, shape, values, out);
    ph_free(values);
    return status;
}

static ph_status number_build(struct ph_graph *graph, float number, int *out) {
    return ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &number, out);
}

/* (x - mean) / (deviation + e) of each item. */
static ph_status standardise(struct ph_graph *graph, int x, int *out) {
    struct ph_reduce_attributes all = {.axes = {1, 2, 3}, .axis_count = 3, .keep_dims = true};
    int mean, square, epsilon;
    PH_TRY(ph_graph_add(graph, &ph_operation_reduce_mean, NULL, &all, &x, 1, &mean));
    PH_TRY(ph_graph_add(graph, &ph_operation_sub, NULL, NULL, (int[]){x, mean}, 2, &x));
    PH_TRY(ph_graph_add(graph, &ph_operation_mul, NULL, NULL, (int[]){x, x}, 2, &square));
    PH_TRY(ph_graph_add(graph, &ph_operation_reduce_mean, NULL, &all, &square, 1, &square));
    PH_TRY(ph_graph_add(graph, &ph_operation_sqrt, NULL, NULL, &square, 1, &square));
    PH_TRY(number_build(graph, EPSILON, &epsilon));
    PH_TRY(ph_graph_add(graph, &ph_operation_add, NULL, NULL, (int[]){square, epsilon}, 2, &square));
    return ph_graph_add(graph, &ph_operation_div, NULL, NULL, (int[]){x, square}, 2, out);
}

static ph_status phase_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view,
                             int parameters, int *out) {
    const struct ph_operation *const parts[2] = {&ph_operation_cos, &ph_operation_sin};
    int phase, magnitudes, halves[2];
    PH_TRY(standardise(graph, parameters, &phase));
    if (recipe->init) {
        int deviation;
        PH_TRY(number_build(graph, UNIFORM_DEVIATION, &deviation));
        PH_TRY(ph_graph_add(graph, &ph_operation_mul, NULL, NULL, (int[]){phase, deviation}, 2, &phase));
    }
    PH_TRY(magnitudes_build(graph, recipe, view, &magnitudes));
    for (int i = 0; i < 2; i++) {
        struct ph_shape_attributes pair = {graph->values[phase].shape};
        pair.shape.dims[pair.shape.rank++] = 1;
        PH_TRY(ph_graph_add(graph, parts[i], NULL, NULL, &phase, 1, &halves[i]));
        PH_TRY(ph_graph_add(graph, &ph_operation_mul, NULL, NULL, (int[]){halves[i], magnitudes}, 2, &halves[i]));
        PH_TRY(ph_graph_add(graph, &ph_operation_reshape, NULL, &pair, &halves[i], 1, &halves[i]));
    }
    struct ph_axis_attributes last = {4};
    int spectrum, planes;
    PH_TRY(ph_graph_add(graph, &ph_operation_concat, NULL, &last, halves, 2, &spectrum));
    PH_TRY(ph_irfft2_build(graph, view->width, spectrum, &planes));
    return standardise(graph, planes, out);
}

/* The picture's phases under natural magnitudes. */
static ph_status phase_invert(ph_context *context, const ph_recipe *recipe, const struct ph_view *view,
                              const float *planes, float *values) {
    struct ph_shape shape = phase_shape(1, recipe, view);
    size_t count = (size_t)ph_shape_size(&shape);
    float *spectrum = ph_alloc_array(count, 2 * sizeof *spectrum);
    ph_status status = spectrum ? ph_spectrum_of_planes(context, view, planes, spectrum) : ph_fail_memory(context);
    for (size_t i = 0; i < count && !status; i++) values[i] = atan2f(spectrum[2 * i + 1], spectrum[2 * i]);
    ph_free(spectrum);
    return status;
}

static void phase_start(const ph_recipe *recipe, const struct ph_view *view, float *values) {
    struct ph_shape shape = phase_shape(1, recipe, view);
    ph_random_normal(ph_start_key(recipe), values, (size_t)ph_shape_size(&shape));
}

const struct ph_parameterisation ph_parameterisation_phase = {
    .name = "phase",
    .help = "the phases of a spectrum whose magnitudes are those of natural pictures (MACO, Fel et al. 2023)",
    .shape = phase_shape, .build = phase_build, .invert = phase_invert, .start = phase_start,
};
