/* Optimisers against their definitions in double, schedules, what is done to gradients, and the step regularisers. */
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static ph_context *context;

static ph_recipe *recipe_of(const char *text) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    if (ph_recipe_parse(recipe, text)) fail_msg("%s", ph_context_error(context));
    return recipe;
}

/* ---- Optimisers -------------------------------------------------------------------------------------------------- */

#define RATE 0.05
#define BETA1 0.85 /* not the defaults, so that they must be heeded */
#define BETA2 0.98
#define MOMENTUM 0.8
#define SMOOTHING 0.95

static double gradient_at(int i, int step) { return (float)sin(i + 0.7 * step * step); }

/* Position after `steps` steps along gradient_at(i, 1...). */
static double adam(int i, int steps) {
    double y = 0, m = 0, v = 0;
    for (int step = 1; step <= steps; step++) {
        double g = gradient_at(i, step);
        m = BETA1 * m + (1 - BETA1) * g;
        v = BETA2 * v + (1 - BETA2) * g * g;
        y -= RATE * (m / (1 - pow(BETA1, step))) / (sqrt(v / (1 - pow(BETA2, step))) + 1e-8);
    }
    return y;
}

static double nadam(int i, int steps) {
    double y = 0, m = 0, v = 0, product = 1;
    for (int step = 1; step <= steps; step++) {
        double g = gradient_at(i, step), now = BETA1 * (1 - 0.5 * pow(0.96, step * 0.004));
        double next = BETA1 * (1 - 0.5 * pow(0.96, (step + 1) * 0.004));
        product *= now;
        m = BETA1 * m + (1 - BETA1) * g;
        v = BETA2 * v + (1 - BETA2) * g * g;
        double mean = next * m / (1 - product * next) + (1 - now) * g / (1 - product);
        y -= RATE * mean / (sqrt(v / (1 - pow(BETA2, step))) + 1e-8);
    }
    return y;
}

static double sgd(int i, int steps) {
    double y = 0, velocity = 0;
    for (int step = 1; step <= steps; step++) {
        velocity = MOMENTUM * velocity + gradient_at(i, step);
        y -= RATE * velocity;
    }
    return y;
}

static double rmsprop(int i, int steps) {
    double y = 0, v = 0;
    for (int step = 1; step <= steps; step++) {
        double g = gradient_at(i, step);
        v = SMOOTHING * v + (1 - SMOOTHING) * g * g;
        y -= RATE * g / (sqrt(v) + 1e-8);
    }
    return y;
}

/* Two items of more elements than one parallel task has, one of which rests half of the way. */
static void steps_follow_their_definition(void **state) {
    (void)state;
    enum { COUNT = 20000, STEPS = 20 };
    static const struct { const struct ph_optimiser *optimiser; double (*expected)(int i, int steps); } cases[] = {
        {&ph_optimiser_adam, adam}, {&ph_optimiser_nadam, nadam}, {&ph_optimiser_sgd, sgd},
        {&ph_optimiser_normalised, sgd}, {&ph_optimiser_rmsprop, rmsprop}};
    float *gradient = calloc(2 * COUNT, sizeof *gradient);
    for (int c = 0; c < PH_COUNT(cases); c++) {
        float *x = calloc(2 * COUNT, sizeof *x);
        struct ph_optimiser_state optimiser;
        assert_int_equal(ph_optimiser_start(context, cases[c].optimiser, 2, COUNT, &optimiser), PH_OK);
        optimiser.beta1 = BETA1;
        optimiser.beta2 = BETA2;
        optimiser.momentum = MOMENTUM;
        optimiser.smoothing = SMOOTHING;
        for (int step = 1; step <= STEPS; step++) {
            optimiser.resting[1] = step > STEPS / 2;
            for (int i = 0; i < 2 * COUNT; i++) gradient[i] = (float)gradient_at(i % COUNT, step);
            ph_optimiser_step(&optimiser, RATE, x, gradient);
        }
        for (int i = 0; i < COUNT; i += 37) {
            double moved = cases[c].expected(i, STEPS), rested = cases[c].expected(i, STEPS / 2);
            if (fabs(x[i] - moved) > 3e-5 || fabs(x[COUNT + i] - rested) > 3e-5)
                fail_msg("%s, element %d: %g and %g, %g and %g expected", cases[c].optimiser->name, i, (double)x[i],
                         (double)x[COUNT + i], moved, rested);
        }
        ph_optimiser_finish(&optimiser);
        free(x);
    }
    free(gradient);
}

#ifdef PH_HAVE_LBFGS
/* A stretched quadratic bowl with its bottom at 1, 2, 3, ... */
enum { BOWL = 13 };
struct bowl { float x[BOWL], gradient[BOWL]; int steps, restarts, stop_at; };

static ph_status bowl_evaluate(void *user, double *loss, const float **gradient) {
    struct bowl *bowl = user;
    for (int i = 0; i < BOWL; i++) {
        double off = bowl->x[i] - (i + 1.0);
        *loss += (i + 1) * off * off;
        bowl->gradient[i] = (float)(2 * (i + 1) * off);
    }
    *gradient = bowl->gradient;
    return PH_OK;
}

static ph_status bowl_stepped(void *user) {
    struct bowl *bowl = user;
    return ++bowl->steps == bowl->stop_at ? PH_ERROR_CANCELLED : PH_OK;
}

static void bowl_restart(void *user) { ((struct bowl *)user)->restarts++; }

static void lbfgs_finds_the_bottom(void **state) {
    (void)state;
    struct bowl bowl = {0};
    struct ph_descent descent = {.context = context, .count = BOWL, .parameters = bowl.x, .steps = 40, .stretch = 10,
        .restart = bowl_restart, .evaluate = bowl_evaluate, .stepped = bowl_stepped, .user = &bowl};
    assert_int_equal(ph_optimiser_lbfgs.minimise(&descent), PH_OK);
    assert_int_equal(bowl.steps, 40);
    assert_true(bowl.restarts >= 4);
    for (int i = 0; i < BOWL; i++) assert_float_equal(bowl.x[i], i + 1, 1e-3);
    bowl = (struct bowl){.stop_at = 3};
    assert_int_equal(ph_optimiser_lbfgs.minimise(&descent), PH_ERROR_CANCELLED);
    assert_int_equal(bowl.steps, 3);
}
#endif

/* ---- Schedules --------------------------------------------------------------------------------------------------- */

static void schedules_go_as_they_say(void **state) {
    (void)state;
    static const struct { const char *text; int64_t warm_up, step; double factor; } cases[] = {
        {"constant", 0, 0, 1}, {"constant", 0, 99, 1}, {"constant", 10, 0, 0.1}, {"constant", 10, 9, 1},
        {"linear", 0, 0, 1}, {"linear", 0, 75, 0.25}, {"cosine", 0, 0, 1}, {"cosine", 0, 50, 0.5},
        {"cosine", 20, 19, 1}, {"cosine", 20, 60, 0.5}, {"0.5:0.1,0.75:0.01", 0, 49, 1}, {"0.5:0.1,0.75:0.01", 0, 50, 0.1},
        {"0.5:0.1,0.75:0.01", 0, 75, 0.01}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct ph_schedule schedule;
        struct ph_text text = {0};
        assert_true(ph_schedule_read(cases[i].text, &schedule));
        assert_float_equal(ph_schedule_factor(&schedule, cases[i].warm_up, cases[i].step, 100), cases[i].factor, 1e-9);
        ph_schedule_print(&schedule, &text);
        assert_string_equal(text.data, cases[i].text);
        ph_text_finish(&text);
    }
    static const char *const wrong[] = {"", "sine", "0.5", "0.5:", ":1", "0:1", "1:1", "0.5:-1", "0.5:1,0.5:2", "0.5:1,,"};
    for (int i = 0; i < PH_COUNT(wrong); i++) {
        struct ph_schedule schedule;
        if (ph_schedule_read(wrong[i], &schedule)) fail_msg("'%s' was taken", wrong[i]);
    }
}

/* ---- Gradients --------------------------------------------------------------------------------------------------- */

static double root_mean_square(const float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * x[i];
    return sqrt(sum / (double)count);
}

static void gradients_are_normalised(void **state) {
    (void)state;
    static const float gradient[4] = {3, -4, 0, 1};
    static const double divisors[] = {[PH_NORMALISE_NONE] = 1, [PH_NORMALISE_MEAN] = 2,
        [PH_NORMALISE_RMS] = 2.549509757, [PH_NORMALISE_L2] = 5.099019514, [PH_NORMALISE_PROGRESS] = 26,
        [PH_NORMALISE_SHARE] = 0.25};
    for (int n = 0; n < PH_COUNT(divisors); n++) {
        float x[4], zeros[4] = {0};
        memcpy(x, gradient, sizeof x);
        ph_gradient_normalise((enum ph_normalisation)n, x, 4);
        ph_gradient_normalise((enum ph_normalisation)n, zeros, 4);
        for (int i = 0; i < 4; i++) {
            assert_float_equal(x[i], gradient[i] / divisors[n], 1e-6);
            assert_true(zeros[i] == 0);
        }
    }
}

/* Constants stay, sums too, a point becomes a bell of the deviation asked for, and axes are alike. */
static void blur_is_gaussian(void **state) {
    (void)state;
    enum { HEIGHT = 41, WIDTH = 37 };
    static float x[2 * HEIGHT * WIDTH], scratch[HEIGHT * WIDTH];
    for (int i = 0; i < HEIGHT * WIDTH; i++) x[i] = 0.25f;
    x[HEIGHT * WIDTH + 20 * WIDTH + 18] = 1;
    ph_planes_blur(x, 2, HEIGHT, WIDTH, 2.5, scratch);
    double sum = 0, across = 0, down = 0;
    for (int i = 0; i < HEIGHT * WIDTH; i++) {
        double value = x[HEIGHT * WIDTH + i];
        assert_float_equal(x[i], 0.25, 1e-6);
        sum += value;
        across += value * (i % WIDTH - 18) * (i % WIDTH - 18);
        down += value * (i / WIDTH - 20) * (i / WIDTH - 20);
    }
    assert_float_equal(sum, 1, 1e-5);
    assert_float_equal(sqrt(across), 2.5, 0.02);
    assert_float_equal(sqrt(down), 2.5, 0.02);
    /* Wider than the picture: all becomes its mean. */
    for (int i = 0; i < 6; i++) x[i] = (float)i;
    ph_planes_blur(x, 1, 2, 3, 50, scratch);
    for (int i = 0; i < 6; i++) assert_float_equal(x[i], 2.5, 1e-2);
}

/* One band is the whole; several are as loud as each other whatever their share was. */
static void bands_are_made_equal(void **state) {
    (void)state;
    enum { SIDE = 32, COUNT = SIDE * SIDE };
    static float x[COUNT], fine[COUNT], scratch[3 * COUNT];
    for (int i = 0; i < COUNT; i++) {
        fine[i] = (i / SIDE + i % SIDE) % 2 ? 1 : -1;
        x[i] = (float)(10 * sin(i % SIDE * (3.14159265 / 16)) + 0.1 * fine[i]);
    }
    ph_gradient_normalise_bands(x, 1, SIDE, SIDE, 3, scratch);
    double correlation = 0;
    for (int i = 0; i < COUNT; i++) correlation += (double)x[i] * fine[i] / COUNT;
    assert_float_equal(correlation / root_mean_square(x, COUNT), 0.1486, 1e-3); /* 0.014 before */
    for (int i = 0; i < COUNT; i++) x[i] = (float)sin(1 + 0.7 * i) * 3;
    float before = x[5] / (float)root_mean_square(x, COUNT);
    ph_gradient_normalise_bands(x, 1, SIDE, SIDE, 1, scratch);
    assert_float_equal(root_mean_square(x, COUNT), 1, 1e-5);
    assert_float_equal(x[5], before, 1e-5);
}

/* ---- Step regularisers ------------------------------------------------------------------------------------------- */

static const struct ph_view view = {3, 2, 2, 2, 2, 2, 2};

static void refine(const char *text, int64_t step, float *x, const float *gradient) {
    ph_recipe *recipe = recipe_of(text);
    struct ph_refiner refiner;
    const bool resting[1] = {false};
    if (ph_refiner_start(context, recipe, &view, 1, 12, &refiner)) fail_msg("%s", ph_context_error(context));
    ph_refiner_parameters(&refiner, step, resting, x, gradient);
    ph_refiner_finish(&refiner);
    ph_recipe_destroy(&recipe);
}

/* Four pixels of three channels with norms 1, 2, 3, 4 and contributions 4, 3, 2, 1. */
static void small_pixels_are_cleared(void **state) {
    (void)state;
    static const float gradient[12] = {4, -1.5f, 2.f / 3, -0.25f};
    static const struct { const char *text; bool kept[4]; } cases[] = {
        {"clip-norm=50", {false, false, true, true}}, {"clip-norm=20", {false, true, true, true}},
        {"clip-contribution=50", {true, true, false, false}}, {"clip-contribution=90", {true, false, false, false}},
        {"clip-norm=0", {true, true, true, true}}};
    for (int c = 0; c < PH_COUNT(cases); c++) {
        float x[12] = {1, 2, 3, 4};
        char text[64] = "parameterisation=pixel\n";
        refine(strcat(text, cases[c].text), 0, x, gradient);
        for (int i = 0; i < 4; i++) assert_true(x[i] == (cases[c].kept[i] ? i + 1 : 0));
    }
}

static void decay_blur_and_bounds_are_applied(void **state) {
    (void)state;
    static const float gradient[12] = {0};
    float x[12] = {1, 1, 1, 1, 2, -2};
    refine("pixel-decay=0.25", 0, x, gradient);
    assert_true(x[0] == 0.75f && x[4] == 1.5f && x[5] == -1.5f);
    float y[12] = {1};
    refine("parameterisation=pixel\nblur=1\nblur-every=4", 3, y, gradient);
    assert_true(y[0] == 1 && y[1] == 0);
    refine("parameterisation=pixel\nblur=1\nblur-every=4", 4, y, gradient);
    assert_true(y[0] < 0.6f && y[1] > 0.1f && y[4] == 0);
    float z[12] = {2, -3, 0.25f};
    refine("parameterisation=pixel\nsquash=clip\ndecorrelate=false", 0, z, gradient);
    assert_true(z[0] == 0.5f && z[1] == -0.5f && z[2] == 0.25f);
}

static void progress_raises_by_the_rate(void **state) {
    (void)state;
    static const struct { const char *limit; double factor; } cases[] = {{"none", 1.0 / 26}, {"0.01", 0.01 / 0.5}};
    static const float gradient[12] = {3, -4, 0, 1};
    for (int c = 0; c < PH_COUNT(cases); c++) {
        ph_recipe *recipe = recipe_of("normalise=progress\nlearning-rate=0.5");
        struct ph_refiner refiner;
        assert_int_equal(ph_recipe_set(recipe, "rate-limit", cases[c].limit), PH_OK);
        assert_int_equal(ph_refiner_start(context, recipe, &view, 1, 12, &refiner), PH_OK);
        const float *prepared = ph_refiner_gradient(&refiner, 0, gradient);
        for (int i = 0; i < 12; i++) assert_float_equal(prepared[i], gradient[i] * cases[c].factor, 1e-6);
        ph_refiner_finish(&refiner);
        ph_recipe_destroy(&recipe);
    }
}

static void what_needs_pixels_says_so(void **state) {
    (void)state;
    static const char *const recipes[] = {"clip-norm=10", "blur=1", "gradient-bands=2", "gradient-blur=1,2"};
    for (int i = 0; i < PH_COUNT(recipes); i++) {
        ph_recipe *recipe = recipe_of(recipes[i]);
        struct ph_refiner refiner;
        assert_int_equal(ph_refiner_start(context, recipe, &view, 1, 12, &refiner), PH_ERROR_ARGUMENT);
        assert_non_null(strstr(ph_context_error(context), "parameterisation=pixel"));
        ph_recipe_destroy(&recipe);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_their_definition),
#ifdef PH_HAVE_LBFGS
        cmocka_unit_test(lbfgs_finds_the_bottom),
#endif
        cmocka_unit_test(schedules_go_as_they_say), cmocka_unit_test(gradients_are_normalised),
        cmocka_unit_test(blur_is_gaussian), cmocka_unit_test(bands_are_made_equal),
        cmocka_unit_test(small_pixels_are_cleared), cmocka_unit_test(decay_blur_and_bounds_are_applied),
        cmocka_unit_test(progress_raises_by_the_rate), cmocka_unit_test(what_needs_pixels_says_so),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    return failed;
}
