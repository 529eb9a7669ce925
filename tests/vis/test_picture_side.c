/* What stands in front of the network: parameterisations and colour against numpy, the map of the transforms against
 * points moved by hand, and the view. */
#include "vis/vis.h"
#include "reference.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static ph_context *context;
static const char *const backends[] = {"plain", "cpu"};

static ph_recipe *recipe_of(const char *text) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    if (ph_recipe_parse(recipe, text)) fail_msg("%s", ph_context_error(context));
    return recipe;
}

/* Runs the graph for one value; `input` may be read as the shape of `value` says. */
static float *run(struct ph_graph *graph, const char *backend, int fed, const float *data, int value) {
    struct ph_program *program;
    struct ph_program_request request = {.taps = &value, .tap_count = 1, .loss = PH_ABSENT, .backend = backend};
    if (ph_program_create(graph, &request, &program)) fail_msg("%s", ph_context_error(context));
    memcpy(ph_program_input(program, fed), data, (size_t)ph_shape_size(&graph->values[fed].shape) * sizeof *data);
    assert_int_equal(ph_program_forward(program), PH_OK);
    float *out = malloc((size_t)ph_shape_size(&graph->values[value].shape) * sizeof *out);
    ph_program_read(program, value, out);
    ph_program_destroy(&program);
    return out;
}

/* ---- Parameterisation and colour --------------------------------------------------------------------------------- */

static void fourier_pictures_are_those_of_numpy(void **state) {
    (void)state;
    for (int r = 0; r < PH_COUNT(references); r++) {
        const struct reference *reference = &references[r];
        struct ph_view view = {.channels = 3, .height = reference->height, .width = reference->width};
        ph_recipe *recipe = recipe_of("");
        recipe->decay = reference->decay;
        const struct ph_parameterisation *fourier = ph_parameterisations[recipe->parameterisation];
        assert_string_equal(fourier->name, "fourier");
        struct ph_graph *graph;
        int parameters, planes, picture;
        struct ph_shape shape = fourier->shape(1, recipe, &view);
        assert_int_equal(ph_graph_create(context, &graph), PH_OK);
        assert_int_equal(ph_graph_add_input(graph, NULL, PH_FLOAT, shape, &parameters), PH_OK);
        assert_int_equal(fourier->build(graph, recipe, &view, parameters, &planes), PH_OK);
        assert_int_equal(ph_colour_build(graph, recipe, planes, &picture), PH_OK);
        int64_t count = ph_shape_size(&shape);
        float *spectrum = malloc((size_t)count * sizeof *spectrum);
        for (int64_t i = 0; i < count; i++) spectrum[i] = (float)sin(1 + 3.0 * (double)i);
        for (int b = 0; b < PH_COUNT(backends); b++) {
            float *pixels = run(graph, backends[b], parameters, spectrum, picture);
            for (int s = 0; s < PH_COUNT(reference->samples); s++)
                assert_float_equal(pixels[reference->samples[s].index], reference->samples[s].value, 1e-5);
            free(pixels);
        }
        free(spectrum);
        ph_graph_destroy(&graph);
        ph_recipe_destroy(&recipe);
    }
}

static void spectrum_ends_at_the_band_limit(void **state) {
    (void)state;
    enum { SIZE = 16 };
    float scale[SIZE * (SIZE / 2 + 1)], free_scale[SIZE * (SIZE / 2 + 1)];
    ph_fourier_scale(SIZE, SIZE, 1, 0.25, scale);
    ph_fourier_scale(SIZE, SIZE, 1, NAN, free_scale);
    for (int v = 0; v < SIZE; v++)
        for (int k = 0; k <= SIZE / 2; k++) {
            double f = hypot(PH_MIN(v, SIZE - v), k) / SIZE;
            int at = v * (SIZE / 2 + 1) + k;
            assert_true(free_scale[at] > 0);
            if (f > 0.25) assert_true(scale[at] == 0);
            else assert_true(scale[at] == free_scale[at]);
        }
    /* The mean is moved as the slowest wave is, and a decay of 0 makes all alike. */
    assert_true(free_scale[0] == free_scale[1]);
    ph_fourier_scale(SIZE, SIZE, 0, NAN, free_scale);
    for (int i = 0; i < PH_COUNT(free_scale); i++) assert_float_equal(free_scale[i], SIZE, 1e-5);
}

/* The deviation that lucid's start has at 64 pixels, by the sum over its spectrum: 0.0173 before colour. */
static void start_has_the_expected_spread(void **state) {
    (void)state;
    struct ph_view view = {.channels = 3, .height = 64, .width = 64};
    ph_recipe *recipe = recipe_of("");
    const struct ph_parameterisation *fourier = ph_parameterisations[recipe->parameterisation];
    struct ph_shape shape = fourier->shape(1, recipe, &view);
    int64_t count = ph_shape_size(&shape);
    float *spectrum = malloc((size_t)count * sizeof *spectrum);
    double sum = 0;
    const int seeds = 16;
    for (int seed = 0; seed < seeds; seed++) {
        struct ph_graph *graph;
        int parameters, planes;
        recipe->seed = seed;
        ph_parameterisation_start(recipe, &view, spectrum, (size_t)count);
        assert_int_equal(ph_graph_create(context, &graph), PH_OK);
        assert_int_equal(ph_graph_add_input(graph, NULL, PH_FLOAT, shape, &parameters), PH_OK);
        assert_int_equal(fourier->build(graph, recipe, &view, parameters, &planes), PH_OK);
        float *pixels = run(graph, "cpu", parameters, spectrum, planes);
        for (int i = 0; i < 3 * 64 * 64; i++) sum += (double)pixels[i] * pixels[i];
        free(pixels);
        ph_graph_destroy(&graph);
    }
    assert_float_equal(sqrt(sum / (seeds * 3 * 64 * 64)), 0.0173, 0.0017);
    free(spectrum);
    ph_recipe_destroy(&recipe);
}

static void colour_matrix_is_lucids(void **state) {
    (void)state;
    static const double expected[9] = {0.56282854, 0.19482528, 0.04329450, 0.58447580, 0, -0.10823626,
                                       0.58447580, -0.19482528, 0.06494176};
    float weights[9];
    ph_colour_matrix(weights);
    for (int i = 0; i < 9; i++) assert_float_equal(weights[i], expected[i], 1e-7);
}

/* ---- Preprocessing ----------------------------------------------------------------------------------------------- */

static void preprocessing_orders_scales_and_shifts(void **state) {
    (void)state;
    ph_preprocessing caffe = {
        .scale = 255, .channels = 3, .mean = {104, 117, 123}, .deviation = {1, 1, 2}, .bgr = true};
    float weights[9], bias[3];
    ph_preprocessing_matrix(&caffe, weights, bias);
    static const float picture[3] = {0.2f, 0.4f, 0.6f}; /* red, green, blue */
    static const double expected[3] = {0.6 * 255 - 104, 0.4 * 255 - 117, (0.2 * 255 - 123) / 2};
    for (int c = 0; c < 3; c++) {
        float sum = bias[c];
        for (int d = 0; d < 3; d++) sum += weights[3 * c + d] * picture[d];
        assert_float_equal(sum, expected[c], 1e-4);
    }
}

/* ---- Transforms -------------------------------------------------------------------------------------------------- */

static struct ph_view view_of(int size) {
    return (struct ph_view){3, size, size, size, size, size, size};
}

static void no_transform_is_the_identity(void **state) {
    (void)state;
    static const float identity[6] = {1, 0, 0, 0, 1, 0};
    static const char *const recipes[] = {"transforms=none", "jitter=0\nscale=0\nrotate=0\njitter-end=0"};
    for (int r = 0; r < PH_COUNT(recipes); r++)
        for (int size = 63; size < 66; size++) {
            ph_recipe *recipe = recipe_of(recipes[r]);
            struct ph_view view = view_of(size);
            float matrix[6];
            ph_transform_draw(recipe, &view, 5, 0, matrix);
            for (int i = 0; i < 6; i++) assert_true(matrix[i] == identity[i]);
            ph_recipe_destroy(&recipe);
        }
}

/* Jitter alone moves by whole pixels, in every direction, no further than it may; and is scaled with the picture. */
static void jitter_is_whole_and_bounded(void **state) {
    (void)state;
    static const struct { int size; const char *recipe; int reach; } cases[] = {
        {224, "scale=0\nrotate=0\njitter-end=0", 4}, {224, "scale=0\nrotate=0", 6}, {112, "scale=0\nrotate=0", 3},
        {224, "scale=0\nrotate=0\njitter=0", 2}};
    for (int c = 0; c < PH_COUNT(cases); c++) {
        ph_recipe *recipe = recipe_of(cases[c].recipe);
        struct ph_view view = view_of(cases[c].size);
        int low = 0, high = 0;
        for (uint32_t step = 0; step < 2000; step++) {
            float matrix[6];
            ph_transform_draw(recipe, &view, step, 0, matrix);
            assert_true(matrix[0] == 1 && matrix[1] == 0 && matrix[3] == 0 && matrix[4] == 1);
            for (int i = 2; i < 6; i += 3) {
                assert_true(matrix[i] == floorf(matrix[i]));
                low = PH_MIN(low, (int)matrix[i]);
                high = PH_MAX(high, (int)matrix[i]);
            }
        }
        assert_int_equal(low, -cases[c].reach);
        assert_int_equal(high, cases[c].reach);
        ph_recipe_destroy(&recipe);
    }
}

/* A fixed turn and zoom: the centre stays, and a point moves as by hand. */
static void turn_and_zoom_are_about_the_centre(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_of("jitter=0\njitter-end=0\nscale=1.25,\nrotate=30,");
    struct ph_view view = view_of(101);
    float m[6];
    ph_transform_draw(recipe, &view, 0, 0, m);
    assert_float_equal(m[0] * 50 + m[1] * 50 + m[2], 50, 1e-4);
    assert_float_equal(m[3] * 50 + m[4] * 50 + m[5], 50, 1e-4);
    /* What lies 25 pixels right of the view's centre lay 20 pixels from the picture's, turned back by 30 degrees. */
    const double angle = 30 * 3.14159265358979323846 / 180;
    assert_float_equal(m[0] * 75 + m[1] * 50 + m[2], 50 + 20 * cos(angle), 1e-4);
    assert_float_equal(m[3] * 75 + m[4] * 50 + m[5], 50 + 20 * sin(angle), 1e-4);
    ph_recipe_destroy(&recipe);
}

static void draws_have_lucids_choices(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_of("jitter=0\njitter-end=0");
    struct ph_view view = view_of(224);
    int scales[11] = {0}, turns[21] = {0};
    const int steps = 26 * 11 * 20;
    for (int step = 0; step < steps; step++) {
        float m[6];
        ph_transform_draw(recipe, &view, (uint32_t)step, 0, m);
        double scale = 1 / hypot(m[0], m[3]), degrees = atan2(m[3], m[0]) * 180 / 3.14159265358979323846;
        int s = (int)lround((scale - 0.9) * 50), t = (int)lround(degrees + 10);
        assert_in_range(s, 0, 10);
        assert_in_range(t, 0, 20);
        assert_float_equal(scale, 0.9 + 0.02 * s, 1e-5);
        assert_float_equal(degrees, t - 10, 1e-3);
        scales[s]++;
        turns[t]++;
    }
    for (int i = 0; i < 11; i++) assert_in_range(scales[i], steps / 11 * 8 / 10, steps / 11 * 12 / 10);
    for (int i = 0; i < 21; i++) {
        int expected = steps / 26 * (i == 10 ? 6 : 1);
        assert_in_range(turns[i], expected * 7 / 10, expected * 13 / 10);
    }
    ph_recipe_destroy(&recipe);
}

static void draws_depend_on_seed_and_step_alone(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_of(""), *other = recipe_of("seed=1");
    struct ph_view view = view_of(224);
    float first[6], again[6], elsewhere[6], later[6];
    ph_transform_draw(recipe, &view, 3, 0, first);
    ph_transform_draw(recipe, &view, 4, 0, later);
    ph_transform_draw(other, &view, 3, 0, elsewhere);
    ph_transform_draw(recipe, &view, 3, 0, again);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, later, sizeof first);
    assert_memory_not_equal(first, elsewhere, sizeof first);
    ph_recipe_destroy(&recipe);
    ph_recipe_destroy(&other);
}

/* A picture smaller than the input lies in its middle, grey around it; a larger one is scaled to fit. */
static void view_fits_the_picture_into_the_input(void **state) {
    (void)state;
    struct ph_view view = {.channels = 1, .height = 2, .width = 4, .input_height = 6, .input_width = 6,
        .fitted_height = 3, .fitted_width = 6};
    struct ph_graph *graph;
    int picture, out;
    assert_int_equal(ph_graph_create(context, &graph), PH_OK);
    assert_int_equal(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(1, 1, 2, 4), &picture), PH_OK);
    if (ph_view_build(graph, &view, PH_BORDER_CONSTANT, picture, PH_ABSENT, &out))
        fail_msg("%s", ph_context_error(context));
    static const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    float *seen = run(graph, "cpu", picture, ones, out);
    for (int i = 0; i < 36; i++) assert_float_equal(seen[i], i / 6 >= 1 && i / 6 < 4 ? 1 : 0.5, 1e-6);
    free(seen);
    ph_graph_destroy(&graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fourier_pictures_are_those_of_numpy),
        cmocka_unit_test(spectrum_ends_at_the_band_limit),
        cmocka_unit_test(start_has_the_expected_spread),
        cmocka_unit_test(colour_matrix_is_lucids),
        cmocka_unit_test(preprocessing_orders_scales_and_shifts),
        cmocka_unit_test(no_transform_is_the_identity),
        cmocka_unit_test(jitter_is_whole_and_bounded),
        cmocka_unit_test(turn_and_zoom_are_about_the_centre),
        cmocka_unit_test(draws_have_lucids_choices),
        cmocka_unit_test(draws_depend_on_seed_and_step_alone),
        cmocka_unit_test(view_fits_the_picture_into_the_input),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    return failed;
}
