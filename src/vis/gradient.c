/* What a gradient goes through before a step: blur, bands made equal, normalisation. Sums are taken in order and in
 * double, so a result depends on the gradient alone. */
#include "vis/vis.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- Gaussian blur ----------------------------------------------------------------------------------------------- */

/* Position `i` of `n`, reflected about the border's edge as often as it takes (scipy.ndimage's "reflect"). */
static int reflected(int i, int n) {
    int period = 2 * n, at = i % period;
    if (at < 0) at += period;
    return at < n ? at : period - 1 - at;
}

/* A row in pieces, each copied with what lies around it. Element by element the taps are added in the same order, from the
 * middle out, as in columns_blur. */
static void row_blur(const float *from, float *to, int n, const float *weights, int taps) {
    enum { PIECE = 256 };
    float around[PIECE + 2 * PH_BLUR_TAPS];
    for (int first = 0; first < n; first += PIECE) {
        int count = PH_MIN(PIECE, n - first);
        for (int i = 0; i < count + 2 * taps; i++) around[i] = from[reflected(first - taps + i, n)];
        const float *middle = around + taps;
        for (int i = 0; i < count; i++) to[first + i] = weights[0] * middle[i];
        for (int t = 1; t <= taps; t++)
            for (int i = 0; i < count; i++) to[first + i] += weights[t] * (middle[i - t] + middle[i + t]);
    }
}

/* All columns at once, row by row. */
static void columns_blur(const float *from, float *to, int height, int width, const float *weights, int taps) {
    for (int y = 0; y < height; y++) {
        const float *row = from + (size_t)y * (size_t)width;
        float *sums = to + (size_t)y * (size_t)width;
        for (int x = 0; x < width; x++) sums[x] = weights[0] * row[x];
        for (int t = 1; t <= taps; t++) {
            const float *above = from + (size_t)reflected(y - t, height) * (size_t)width;
            const float *below = from + (size_t)reflected(y + t, height) * (size_t)width;
            for (int x = 0; x < width; x++) sums[x] += weights[t] * (above[x] + below[x]);
        }
    }
}

void ph_planes_blur(float *data, int planes, int height, int width, double deviation, float *scratch) {
    float weights[PH_BLUR_TAPS + 1];
    int taps = ph_blur_taps(deviation);
    if (!(deviation > 0)) return;
    ph_blur_weights(deviation, weights);
    for (int p = 0; p < planes; p++, data += (size_t)height * (size_t)width) {
        for (int y = 0; y < height; y++)
            row_blur(data + (size_t)y * (size_t)width, scratch + (size_t)y * (size_t)width, width, weights, taps);
        columns_blur(scratch, data, height, width, weights, taps);
    }
}

/* ---- Size -------------------------------------------------------------------------------------------------------- */

void ph_gradient_normalise(enum ph_normalisation normalisation, float *gradient, size_t count) {
    double absolute = 0, squares = 0;
    if (normalisation == PH_NORMALISE_NONE) return;
    for (size_t i = 0; i < count; i++) {
        absolute += fabs((double)gradient[i]);
        squares += (double)gradient[i] * gradient[i];
    }
    double size = normalisation == PH_NORMALISE_MEAN ? absolute / (double)count
                  : normalisation == PH_NORMALISE_RMS ? sqrt(squares / (double)count)
                  : normalisation == PH_NORMALISE_L2  ? sqrt(squares)
                  : normalisation == PH_NORMALISE_SHARE ? 1 / (double)count
                                                        : squares;
    if (!(size > 0) || !(size <= DBL_MAX)) return;
    for (size_t i = 0; i < count; i++) gradient[i] = (float)(gradient[i] / size);
}

/* Differences of Gaussians whose deviations double; what is left is the last band. The idea is that of the Laplacian
 * pyramid gradient of TensorFlow's DeepDream tutorial (lap_normalize), without its decimation. */
void ph_gradient_normalise_bands(float *gradient, int planes, int height, int width, int bands, float *scratch) {
    size_t count = (size_t)planes * (size_t)height * (size_t)width;
    float *coarse = scratch, *band = scratch + count, *line = scratch + 2 * count;
    double deviation = 1;
    memcpy(coarse, gradient, count * sizeof *coarse);
    memset(gradient, 0, count * sizeof *gradient);
    /* `coarse` holds what is not in a band yet. */
    for (int b = 0; b < bands; b++, deviation *= 2) {
        memcpy(band, coarse, count * sizeof *band);
        if (b < bands - 1) {
            ph_planes_blur(coarse, planes, height, width, deviation, line);
            for (size_t i = 0; i < count; i++) band[i] -= coarse[i];
        }
        ph_gradient_normalise(PH_NORMALISE_RMS, band, count);
        for (size_t i = 0; i < count; i++) gradient[i] += band[i];
    }
}
