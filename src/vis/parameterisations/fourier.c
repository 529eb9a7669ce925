/* fourier: the spectrum of the picture, scaled. */
#include "vis/vis.h"

static struct ph_shape fourier_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    (void)recipe;
    return PH_SHAPE(items, view->channels, view->height, view->width / 2 + 1, 2);
}

/* lucid divides the planes by 4, which keeps a start of deviation 0.01 near grey; here the factor is in the scale. */
#define LUCID_DIVISOR 4

/* [H * K] factors; NULL when memory ran out. */
static float *scale_make(const ph_recipe *recipe, const struct ph_view *view, size_t *count) {
    *count = (size_t)view->height * (size_t)(view->width / 2 + 1);
    float *scale = ph_alloc_array(*count, sizeof *scale);
    if (!scale) return NULL;
    ph_fourier_scale(view->height, view->width, recipe->decay, recipe->band_limit, scale);
    for (size_t i = 0; i < *count; i++) scale[i] /= LUCID_DIVISOR;
    return scale;
}

static ph_status fourier_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view,
                               int parameters, int *out) {
    struct ph_shape shape = PH_SHAPE(1, 1, view->height, view->width / 2 + 1, 2);
    size_t count;
    float *scale = scale_make(recipe, view, &count), *pairs = ph_alloc_array((size_t)ph_shape_size(&shape), sizeof *pairs);
    for (size_t i = 0; i < count && scale && pairs; i++) pairs[2 * i] = pairs[2 * i + 1] = scale[i];
    int inputs[2] = {parameters, PH_ABSENT}, spectrum;
    ph_status status = scale && pairs ? PH_OK : ph_fail_memory(graph->context);
    if (!status) status = ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, shape, pairs, &inputs[1]);
    ph_free(scale);
    ph_free(pairs);
    if (!status) status = ph_graph_add(graph, &ph_operation_mul, NULL, NULL, inputs, 2, &spectrum);
    return status ? status : ph_irfft2_build(graph, view->width, spectrum, out);
}

/* Frequencies beyond the band limit stay 0. */
static ph_status fourier_invert(ph_context *context, const ph_recipe *recipe, const struct ph_view *view,
                                const float *planes, float *values) {
    size_t count;
    float *scale = scale_make(recipe, view, &count);
    ph_status status = scale ? ph_spectrum_of_planes(context, view, planes, values) : ph_fail_memory(context);
    for (size_t i = 0; i < 2 * count * (size_t)view->channels && !status; i++) {
        float factor = scale[i / 2 % count];
        values[i] = factor > 0 ? values[i] / factor : 0;
    }
    ph_free(scale);
    return status;
}

const struct ph_parameterisation ph_parameterisation_fourier = {
    .name = "fourier",
    .help = "the picture's spectrum, scaled so that all octaves move alike: smooth, detailed pictures (decay, band-limit, "
            "spread)",
    .shape = fourier_shape, .build = fourier_build, .invert = fourier_invert,
};
