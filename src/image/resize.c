/* Resampling with a triangle filter whose support grows with the reduction, so that shrinking is antialiased: what
 * Pillow's BILINEAR does, without its rounding to 8 bits between the passes. */
#include "image/image.h"
#include <math.h>
#include <string.h>

struct axis_weights { int *first, *count; float *weights; int most; };

static void weights_finish(struct axis_weights *w) {
    ph_free(w->first);
    ph_free(w->count);
    ph_free(w->weights);
}

static bool weights_make(struct axis_weights *w, int in, int out) {
    double scale = (double)in / out, support = PH_MAX(scale, 1.0);
    w->most = (int)ceil(2 * support) + 2;
    w->first = ph_alloc_array((size_t)out, sizeof *w->first);
    w->count = ph_alloc_array((size_t)out, sizeof *w->count);
    w->weights = ph_alloc_array((size_t)out, (size_t)w->most * sizeof *w->weights);
    if (!w->first || !w->count || !w->weights) return false;
    for (int i = 0; i < out; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int first = PH_MAX(0, (int)(centre - support + 0.5)), last = PH_MIN(in, (int)(centre + support + 0.5));
        float *row = w->weights + (size_t)i * (size_t)w->most;
        w->first[i] = first;
        w->count[i] = last - first;
        for (int j = first; j < last; j++) {
            double weight = PH_MAX(0.0, 1 - fabs((j + 0.5 - centre) / support));
            row[j - first] = (float)weight;
            sum += weight;
        }
        for (int j = 0; j < w->count[i]; j++) row[j] = (float)(row[j] / sum);
    }
    return true;
}

static void resize_rows(const struct axis_weights *w, const float *in, int rows, int in_width, float *out,
                        int out_width) {
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < out_width; x++) {
            const float *weights = w->weights + (size_t)x * (size_t)w->most,
                        *from = in + (size_t)y * (size_t)in_width + w->first[x];
            double sum = 0;
            for (int i = 0; i < w->count[x]; i++) sum += (double)weights[i] * from[i];
            out[(size_t)y * (size_t)out_width + (size_t)x] = (float)sum;
        }
}

static void resize_columns(const struct axis_weights *w, const float *in, int width, float *out, int out_height) {
    for (int y = 0; y < out_height; y++) {
        float *to = out + (size_t)y * (size_t)width;
        memset(to, 0, (size_t)width * sizeof *to);
        for (int i = 0; i < w->count[y]; i++) {
            float weight = w->weights[(size_t)y * (size_t)w->most + (size_t)i];
            const float *from = in + (size_t)(w->first[y] + i) * (size_t)width;
            for (int x = 0; x < width; x++) to[x] += weight * from[x];
        }
    }
}

ph_status ph_picture_resize(const struct ph_picture *picture, int height, int width, struct ph_picture **out) {
    ph_context *context = picture->context;
    PH_TRY(ph_picture_create(context, picture->channels, height, width, out));
    struct axis_weights across = {0}, down = {0};
    float *rows = ph_alloc_array((size_t)picture->height * (size_t)width, sizeof *rows);
    ph_status status = PH_OK;
    if (!rows || !weights_make(&across, picture->width, width) || !weights_make(&down, picture->height, height))
        status = ph_fail_memory(context);
    for (int c = 0; c < picture->channels && !status; c++) {
        const float *in = picture->pixels + (size_t)c * (size_t)picture->height * (size_t)picture->width;
        resize_rows(&across, in, picture->height, picture->width, rows, width);
        resize_columns(&down, rows, width, (*out)->pixels + (size_t)c * (size_t)height * (size_t)width, height);
    }
    ph_free(rows);
    weights_finish(&across);
    weights_finish(&down);
    if (status) ph_picture_destroy(out);
    return status;
}
