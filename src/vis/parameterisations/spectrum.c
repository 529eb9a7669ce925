/* What the spectral parameterisations share: frequencies, scales, and the way from planes back to a spectrum. */
#include "vis/vis.h"
#include <math.h>
#include <string.h>

double ph_frequency(int v, int k, int height, int width) {
    return hypot((double)PH_MIN(v, height - v) / height, (double)PH_MIN(k, width - k) / width);
}

/* sqrt(W H) / max(f, 1 / max(W, H))^decay (lucid, optvis/param/spatial.py, rfft2d_freqs and fft_image): at decay 1 all
 * octaves have equal power, as in natural pictures, and the mean is moved as easily as the slowest wave. */
void ph_fourier_scale(int height, int width, double decay, double band_limit, float *scale) {
    double slowest = 1.0 / PH_MAX(width, height), root = sqrt((double)width * height);
    for (int v = 0; v < height; v++)
        for (int k = 0; k <= width / 2; k++) {
            double f = ph_frequency(v, k, height, width);
            *scale++ = f > band_limit ? 0 : (float)(root / pow(fmax(f, slowest), decay)); /* a limit of NAN is none */
        }
}

ph_status ph_irfft2_build(struct ph_graph *graph, int width, int spectrum, int *out) {
    struct ph_irfft2_attributes attributes = {.width = width};
    return ph_graph_add(graph, &ph_operation_irfft2, NULL, &attributes, &spectrum, 1, out);
}

/* The sum of planes * target, whose gradient with respect to the spectrum is the inverse transform's adjoint of the
 * target. */
static ph_status product_build(struct ph_graph *graph, const struct ph_view *view, int *spectrum, int *target,
                               int *sum) {
    int planes;
    struct ph_reduce_attributes all = {.axes = {1, 2, 3}, .axis_count = 3};
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(1, view->channels, view->height, view->width / 2 + 1, 2),
                              spectrum));
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(1, view->channels, view->height, view->width), target));
    PH_TRY(ph_irfft2_build(graph, view->width, *spectrum, &planes));
    PH_TRY(ph_graph_add(graph, &ph_operation_mul, NULL, NULL, (int[]){planes, *target}, 2, &planes));
    return ph_graph_add(graph, &ph_operation_reduce_sum, NULL, &all, &planes, 1, sum);
}

/* The adjoint of irfft2 is the real transform over H W, with the columns that stand for their mirror images too counted
 * twice: undoing both gives the transform. */
static void adjoint_undo(const struct ph_view *view, const float *gradient, float *spectrum) {
    int columns = view->width / 2 + 1;
    double area = (double)view->height * view->width;
    for (int64_t row = 0; row < (int64_t)view->channels * view->height; row++)
        for (int k = 0; k < columns; k++) {
            double factor = k == 0 || 2 * k == view->width ? area : area / 2;
            for (int part = 0; part < 2; part++, gradient++) *spectrum++ = (float)(*gradient * factor);
        }
}

ph_status ph_spectrum_of_planes(ph_context *context, const struct ph_view *view, const float *planes, float *spectrum) {
    struct ph_graph *graph = NULL;
    struct ph_program *program = NULL;
    int fed = -1, target = -1, sum = -1;
    ph_status status = ph_graph_create(context, &graph);
    if (!status) status = product_build(graph, view, &fed, &target, &sum);
    struct ph_program_request request = {.loss = sum, .parameters = &fed, .parameter_count = 1};
    if (!status) status = ph_program_create(graph, &request, &program);
    if (!status) {
        size_t count = (size_t)view->channels * (size_t)view->height * (size_t)view->width;
        memcpy(ph_program_input(program, target), planes, count * sizeof *planes);
        status = ph_program_forward(program);
    }
    if (!status) status = ph_program_backward(program);
    if (!status) adjoint_undo(view, ph_program_gradient(program, fed), spectrum);
    ph_program_destroy(&program);
    ph_graph_destroy(&graph);
    return status;
}
