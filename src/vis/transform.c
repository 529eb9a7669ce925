/* Random transforms: jitter, scale, rotate and jitter again become one affine map for each step and view, so that the
 * picture is sampled once.
 *
 * lucid (optvis/transform.py, standard_transforms) pads with grey, crops at random by `jitter`, resizes, rotates about
 * the centre, crops by `jitter-end`, and takes the middle of what is left. Cropping at random is a random shift, and
 * padding with what lies beyond the border anyway changes nothing, so what remains is, about the centre, with q in the
 * picture and u in the view:
 *
 *     u = R k (q - s1) - s2        and so        q = R^-1 (u + s2) / k + s1
 *
 * Shifts are whole pixels: where nothing is scaled or turned, pixels are read as they are.
 *
 * MACO instead looks at random boxes of the picture, which get smaller over the steps (Fel et al. 2023; xplique,
 * features_visualizations/maco.py): sides about their mean with deviation 0.05, centres about the picture's with 0.15.
 * A box that would reach over the border is moved inside. */
#include "vis/vis.h"
#include <math.h>

#define REFERENCE_SIZE 224.0 /* pixels of the view that lucid's shifts are meant for */

/* Draws of one view: each has an index of its own, so that switching one transform off leaves the others alone. */
enum draw { DRAW_JITTER_X, DRAW_JITTER_Y, DRAW_SCALE, DRAW_ROTATE, DRAW_END_X, DRAW_END_Y, DRAW_MIRROR, DRAW_FILL, DRAWS };

struct draws { struct ph_random_key key; int view; };

static double draw_uniform(const struct draws *draws, enum draw draw) {
    return ph_random_uniform(draws->key, (uint64_t)(draws->view * DRAWS + (int)draw));
}

static int draw_below(const struct draws *draws, enum draw draw, int count) {
    return (int)(draw_uniform(draws, draw) * count);
}

/* A whole shift out of range + 1 possible ones, in the middle of them 0. */
static int draw_shift(const struct draws *draws, enum draw draw, double pixels, double size) {
    int range = (int)floor(pixels * size / REFERENCE_SIZE + 0.5);
    return draw_below(draws, draw, range + 1) - range / 2;
}

/* lucid: 1 + (i - 5) / 50 for i = 0..10. */
static double draw_scale(const struct draws *draws, const struct ph_numbers *scale) {
    enum { STEPS = 11 };
    if (scale->list) return scale->values[draw_below(draws, DRAW_SCALE, scale->count)];
    return 1 + scale->values[0] * (draw_below(draws, DRAW_SCALE, STEPS) - STEPS / 2) / (STEPS / 2);
}

/* lucid: -10..10 degrees, and five times 0 besides. */
static double draw_degrees(const struct draws *draws, const struct ph_numbers *rotate) {
    enum { STEPS = 21, STILL = 5 };
    if (rotate->list) return rotate->values[draw_below(draws, DRAW_ROTATE, rotate->count)];
    int i = draw_below(draws, DRAW_ROTATE, STEPS + STILL);
    return i < STEPS ? rotate->values[0] * (i - STEPS / 2) / (STEPS / 2) : 0;
}

static void draw_box(const ph_recipe *recipe, const struct ph_view *view, uint32_t step, int index, float matrix[6]) {
    enum { SIDE, CENTRE_X, CENTRE_Y, DEVIATES };
    struct ph_random_key key = {.seed = (uint64_t)recipe->seed, .step = step, .use = PH_USE_BOX};
    float deviates[DEVIATES * PH_MAX_BATCH];
    ph_random_normal(key, deviates, (size_t)(DEVIATES * (index + 1)));
    const float *own = deviates + DEVIATES * index;
    double mean = ph_recipe_over_steps(recipe, &recipe->crop_size, step);
    double side = fmin(fmax(mean + 0.05 * own[SIDE], 0.05), 1);
    /* Picture pixels for one of the view; the largest box of the input's shape that the picture holds has side 1. */
    double ratio = side * fmin((double)view->width / view->input_width, (double)view->height / view->input_height);
    double width = ratio * view->input_width, height = ratio * view->input_height;
    double x = fmin(fmax((0.5 + 0.15 * own[CENTRE_X]) * view->width, width / 2), view->width - width / 2);
    double y = fmin(fmax((0.5 + 0.15 * own[CENTRE_Y]) * view->height, height / 2), view->height - height / 2);
    float box[6] = {(float)ratio, 0, (float)(x - width / 2 + ratio / 2 - 0.5),
                    0, (float)ratio, (float)(y - height / 2 + ratio / 2 - 0.5)};
    for (int i = 0; i < 6; i++) matrix[i] = box[i];
}

/* Left and right change places in the view. */
static void mirror(const struct ph_view *view, float matrix[6]) {
    for (int row = 0; row < 6; row += 3) {
        matrix[row + 2] += matrix[row] * (float)(view->input_width - 1);
        matrix[row] = -matrix[row];
    }
}

static struct draws draws_of(const ph_recipe *recipe, uint32_t step, int index) {
    return (struct draws){{.seed = (uint64_t)recipe->seed, .step = step, .use = PH_USE_TRANSFORM}, index};
}

void ph_transform_draw(const ph_recipe *recipe, const struct ph_view *view, uint32_t step, int index,
                       float matrix[6]) {
    struct draws draws = draws_of(recipe, step, index);
    /* Of the fitted picture's first pixel in the view, and of its centre in itself. */
    int left = (view->input_width - view->fitted_width) / 2, top = (view->input_height - view->fitted_height) / 2;
    double centre_x = (view->fitted_width - 1) / 2.0, centre_y = (view->fitted_height - 1) / 2.0;
    double cosine = 1, sine = 0, start_x = 0, start_y = 0, end_x = 0, end_y = 0;
    if (recipe->transforms == PH_TRANSFORMS_STANDARD) {
        double size = PH_MIN(view->fitted_width, view->fitted_height);
        double scale = fmax(draw_scale(&draws, &recipe->scale), 0.01);
        double angle = draw_degrees(&draws, &recipe->rotate) * (3.14159265358979323846 / 180);
        start_x = draw_shift(&draws, DRAW_JITTER_X, recipe->jitter, size);
        start_y = draw_shift(&draws, DRAW_JITTER_Y, recipe->jitter, size);
        end_x = draw_shift(&draws, DRAW_END_X, recipe->jitter_end, size);
        end_y = draw_shift(&draws, DRAW_END_Y, recipe->jitter_end, size);
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
    if (recipe->transforms == PH_TRANSFORMS_CROPS) draw_box(recipe, view, step, index, matrix);
    if (recipe->transforms != PH_TRANSFORMS_NONE && recipe->mirror && draw_below(&draws, DRAW_MIRROR, 2))
        mirror(view, matrix);
}

float ph_transform_draw_fill(const ph_recipe *recipe, uint32_t step, int index) {
    struct draws draws = draws_of(recipe, step, index);
    return (float)draw_uniform(&draws, DRAW_FILL);
}

/* xplique adds normal noise and uniform noise of half its size to both sides. */
void ph_transform_draw_noise(const ph_recipe *recipe, uint32_t step, int index, float *noise, size_t count) {
    struct ph_random_key key = {.seed = (uint64_t)recipe->seed, .step = step, .use = PH_USE_NOISE + (uint32_t)index};
    ph_random_normal(key, noise, count);
    for (size_t i = 0; i < count; i += 4) {
        uint32_t bits[4];
        ph_random_bits((struct ph_random_key){key.seed, key.step, key.use + PH_MAX_BATCH}, i / 4, bits);
        for (size_t j = 0; j < 4 && i + j < count; j++)
            noise[i + j] = (float)recipe->noise * (noise[i + j] + (float)(bits[j] * 0x1p-32) - 0.5f);
    }
}
