/* Random transforms: jitter, scale, rotate and jitter again become one affine map for each step and item, so that the
 * picture is sampled once.
 *
 * lucid (optvis/transform.py, standard_transforms) pads with grey, crops at random by `jitter`, resizes, rotates about
 * the centre, crops by `jitter-end`, and takes the middle of what is left. Cropping at random is a random shift, and
 * padding with what lies beyond the border anyway changes nothing, so what remains is, about the centre, with q in the
 * picture and u in the view:
 *
 *     u = R k (q - s1) - s2        and so        q = R^-1 (u + s2) / k + s1
 *
 * Shifts are whole pixels: where nothing is scaled or turned, pixels are read as they are. */
#include "vis/vis.h"
#include <math.h>

#define REFERENCE_SIZE 224.0 /* pixels of the view that lucid's shifts are meant for */

/* Draws of one step: each has an index of its own, so that switching one transform off leaves the others alone. */
enum draw { DRAW_JITTER_X, DRAW_JITTER_Y, DRAW_SCALE, DRAW_ROTATE, DRAW_END_X, DRAW_END_Y };

static int draw_below(struct ph_random_key key, enum draw draw, int count) {
    return (int)(ph_random_uniform(key, draw) * count);
}

/* A whole shift out of range + 1 possible ones, in the middle of them 0. */
static int draw_shift(struct ph_random_key key, enum draw draw, double pixels, double size) {
    int range = (int)floor(pixels * size / REFERENCE_SIZE + 0.5);
    return draw_below(key, draw, range + 1) - range / 2;
}

/* lucid: 1 + (i - 5) / 50 for i = 0..10. */
static double draw_scale(struct ph_random_key key, const struct ph_numbers *scale) {
    enum { STEPS = 11 };
    if (scale->list) return scale->values[draw_below(key, DRAW_SCALE, scale->count)];
    return 1 + scale->values[0] * (draw_below(key, DRAW_SCALE, STEPS) - STEPS / 2) / (STEPS / 2);
}

/* lucid: -10..10 degrees, and five times 0 besides. */
static double draw_degrees(struct ph_random_key key, const struct ph_numbers *rotate) {
    enum { STEPS = 21, STILL = 5 };
    if (rotate->list) return rotate->values[draw_below(key, DRAW_ROTATE, rotate->count)];
    int i = draw_below(key, DRAW_ROTATE, STEPS + STILL);
    return i < STEPS ? rotate->values[0] * (i - STEPS / 2) / (STEPS / 2) : 0;
}

void ph_transform_draw(const ph_recipe *recipe, const struct ph_view *view, uint32_t step, float matrix[6]) {
    struct ph_random_key key = {.seed = (uint64_t)recipe->seed, .step = step, .use = PH_USE_TRANSFORM};
    /* Of the fitted picture's first pixel in the view, and of its centre in itself. */
    int left = (view->input_width - view->fitted_width) / 2, top = (view->input_height - view->fitted_height) / 2;
    double centre_x = (view->fitted_width - 1) / 2.0, centre_y = (view->fitted_height - 1) / 2.0;
    double cosine = 1, sine = 0, start_x = 0, start_y = 0, end_x = 0, end_y = 0;
    if (recipe->transforms == 0) {
        double size = PH_MIN(view->fitted_width, view->fitted_height);
        double scale = fmax(draw_scale(key, &recipe->scale), 0.01);
        double angle = draw_degrees(key, &recipe->rotate) * (3.14159265358979323846 / 180);
        start_x = draw_shift(key, DRAW_JITTER_X, recipe->jitter, size);
        start_y = draw_shift(key, DRAW_JITTER_Y, recipe->jitter, size);
        end_x = draw_shift(key, DRAW_END_X, recipe->jitter_end, size);
        end_y = draw_shift(key, DRAW_END_Y, recipe->jitter_end, size);
        cosine = cos(angle) / scale;
        sine = sin(angle) / scale;
    }
    double x = end_x - centre_x - left, y = end_y - centre_y - top; /* u + s2 at the view's first pixel */
    matrix[0] = (float)cosine;
    matrix[1] = (float)-sine;
    matrix[2] = (float)(cosine * x - sine * y + start_x + centre_x);
    matrix[3] = (float)sine;
    matrix[4] = (float)cosine;
    matrix[5] = (float)(sine * x + cosine * y + start_y + centre_y);
}
