/* fourier: the spectrum of the picture, scaled. */
#include "vis/vis.h"
#include <math.h>

/* Frequency of row v of n, in cycles per pixel, as numpy.fft.fftfreq orders them; only its size matters here. */
static double frequency(int v, int n) { return (double)PH_MIN(v, n - v) / n; }

/* sqrt(W H) / max(f, 1 / max(W, H))^decay (lucid, optvis/param/spatial.py, rfft2d_freqs and fft_image): at decay 1 all
 * octaves have equal power, as in natural pictures, and the mean is moved as easily as the slowest wave. */
void ph_fourier_scale(int height, int width, double decay, double band_limit, float *scale) {
    double slowest = 1.0 / PH_MAX(width, height), root = sqrt((double)width * height);
    for (int v = 0; v < height; v++)
        for (int k = 0; k <= width / 2; k++) {
            double f = hypot(frequency(v, height), frequency(k, width));
            *scale++ = f > band_limit ? 0 : (float)(root / pow(fmax(f, slowest), decay)); /* a limit of NAN is none */
        }
}

static struct ph_shape fourier_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    (void)recipe;
    return PH_SHAPE(items, view->channels, view->height, view->width / 2 + 1, 2);
}

/* lucid divides the planes by 4, which keeps a start of deviation 0.01 near grey; here the factor is in the scale. */
#define LUCID_DIVISOR 4

static ph_status fourier_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view,
                               int parameters, int *out) {
    struct ph_shape shape = PH_SHAPE(1, 1, view->height, view->width / 2 + 1, 2);
    size_t count = (size_t)ph_shape_size(&shape) / 2;
    float *scale = ph_alloc_array(count, 3 * sizeof *scale);
    if (!scale) return ph_fail_memory(graph->context);
    float *pairs = scale + count;
    ph_fourier_scale(view->height, view->width, recipe->decay, recipe->band_limit, scale);
    for (size_t i = 0; i < count; i++) pairs[2 * i] = pairs[2 * i + 1] = scale[i] / LUCID_DIVISOR;
    int inputs[2] = {parameters, PH_ABSENT};
    ph_status status = ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, shape, pairs, &inputs[1]);
    ph_free(scale);
    int spectrum;
    if (!status) status = ph_graph_add(graph, &ph_operation_mul, NULL, NULL, inputs, 2, &spectrum);
    if (status) return status;
    struct ph_irfft2_attributes attributes = {.width = view->width};
    return ph_graph_add(graph, &ph_operation_irfft2, NULL, &attributes, &spectrum, 1, out);
}

const struct ph_parameterisation ph_parameterisation_fourier = {
    .name = "fourier",
    .help = "the picture's spectrum, scaled so that all octaves move alike: smooth, detailed pictures",
    .shape = fourier_shape, .build = fourier_build,
};
