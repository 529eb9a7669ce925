/* Every parameterisation of the table, at odd and oblong sizes: its gradient against differences taken in double, the way
 * back from planes where there is one, starts that depend on the seed alone; and colour's way back. */
#include "exec/double_program.h"
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static ph_context *context;

static const struct ph_view views[] = {
    {3, 8, 8, 8, 8, 8, 8}, {3, 9, 7, 9, 7, 9, 7}, {1, 6, 11, 6, 11, 6, 11}, {5, 16, 5, 16, 5, 16, 5}};

enum { ITEMS = 2 };

static ph_recipe *recipe_for(int parameterisation, const char *more) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_recipe_set(recipe, "parameterisation", ph_parameterisations[parameterisation]->name), PH_OK);
    if (ph_recipe_parse(recipe, more)) fail_msg("%s", ph_context_error(context));
    return recipe;
}

/* The loss is a sum of the planes with uneven weights. */
struct scene { struct ph_graph *graph; int parameters, planes, loss; size_t count, plane_count; };

static struct scene scene_build(const ph_recipe *recipe, const struct ph_view *view, int64_t items) {
    const struct ph_parameterisation *parameterisation = ph_parameterisations[recipe->parameterisation];
    struct ph_shape shape = parameterisation->shape(items, recipe, view);
    struct ph_shape planes = PH_SHAPE(items, view->channels, view->height, view->width);
    struct scene scene = {.count = (size_t)ph_shape_size(&shape), .plane_count = (size_t)ph_shape_size(&planes)};
    struct ph_reduce_attributes all = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_create(context, &scene.graph), PH_OK);
    assert_int_equal(ph_graph_add_input(scene.graph, NULL, PH_FLOAT, shape, &scene.parameters), PH_OK);
    if (parameterisation->build(scene.graph, recipe, view, scene.parameters, &scene.planes))
        fail_msg("%s: %s", parameterisation->name, ph_context_error(context));
    assert_true(ph_shape_equal(&scene.graph->values[scene.planes].shape, &planes));
    float *weights = malloc(scene.plane_count * sizeof *weights);
    for (size_t i = 0; i < scene.plane_count; i++) weights[i] = (float)cos(0.3 + 1.7 * (double)i);
    int inputs[2] = {scene.planes, PH_ABSENT};
    assert_int_equal(ph_graph_add_constant_copy(scene.graph, NULL, PH_FLOAT, planes, weights, &inputs[1]), PH_OK);
    assert_int_equal(ph_graph_add(scene.graph, &ph_operation_mul, NULL, NULL, inputs, 2, &inputs[0]), PH_OK);
    assert_int_equal(ph_graph_add(scene.graph, &ph_operation_reduce_sum, NULL, &all, inputs, 1, &scene.loss), PH_OK);
    free(weights);
    return scene;
}

static double loss_of(struct ph_double_program *exact, const struct scene *scene) {
    ph_double_program_forward(exact);
    const double *losses = ph_double_program_values(exact, scene->loss);
    return losses[0] + losses[1];
}

/* A fourth-order difference of the loss with respect to one parameter. */
static double difference(struct ph_double_program *exact, const struct scene *scene, size_t index) {
    const double step = 1e-4;
    double *x = ph_double_program_values(exact, scene->parameters) + index, at = *x, sum = 0;
    static const struct { int steps; double weight; } points[] = {{-2, 1}, {-1, -8}, {1, 8}, {2, -1}};
    for (int i = 0; i < PH_COUNT(points); i++) {
        *x = at + points[i].steps * step;
        sum += points[i].weight * loss_of(exact, scene);
    }
    *x = at;
    return sum / (12 * step);
}

static void gradients_are_differences(void **state) {
    (void)state;
    for (int p = 0; ph_parameterisations[p]; p++)
        for (int v = 0; v < PH_COUNT(views); v++) {
            ph_recipe *recipe = recipe_for(p, "levels=3");
            struct scene scene = scene_build(recipe, &views[v], ITEMS);
            struct ph_double_program *exact;
            struct ph_program *program;
            struct ph_program_request request = {.taps = &scene.loss, .tap_count = 1, .loss = scene.loss,
                .parameters = &scene.parameters, .parameter_count = 1};
            assert_int_equal(ph_program_create(scene.graph, &request, &program), PH_OK);
            assert_int_equal(ph_double_program_create(scene.graph, &request, &exact), PH_OK);
            for (size_t i = 0; i < scene.count; i++) {
                float value = (float)(0.3 * sin(0.5 + 2.3 * (double)i));
                ph_program_input(program, scene.parameters)[i] = value;
                ph_double_program_values(exact, scene.parameters)[i] = value;
            }
            assert_int_equal(ph_program_forward(program), PH_OK);
            assert_int_equal(ph_program_backward(program), PH_OK);
            ph_double_program_forward(exact);
            ph_double_program_backward(exact);
            const float *gradient = ph_program_gradient(program, scene.parameters);
            const double *exact_gradient = ph_double_program_gradient(exact, scene.parameters);
            double largest = 0;
            for (size_t i = 0; i < scene.count; i++) largest = fmax(largest, fabs((double)gradient[i]));
            assert_true(largest > 0);
            for (size_t i = 0; i < scene.count; i += 1 + scene.count / 97) {
                double expected = difference(exact, &scene, i);
                if (!(fabs(exact_gradient[i] - expected) <= 1e-8 * largest) ||
                    !(fabs(gradient[i] - expected) <= 1e-5 * largest))
                    fail_msg("%s, %dx%d, parameter %zu: %g, in float %g, %g expected", ph_parameterisations[p]->name,
                             views[v].width, views[v].height, i, exact_gradient[i], (double)gradient[i], expected);
            }
            ph_program_destroy(&program);
            ph_double_program_destroy(&exact);
            ph_graph_destroy(&scene.graph);
            ph_recipe_destroy(&recipe);
        }
}

static float *planes_of(const struct scene *scene, const float *parameters) {
    struct ph_program *program;
    struct ph_program_request request = {.taps = &scene->planes, .tap_count = 1, .loss = PH_ABSENT};
    assert_int_equal(ph_program_create(scene->graph, &request, &program), PH_OK);
    memcpy(ph_program_input(program, scene->parameters), parameters, scene->count * sizeof *parameters);
    assert_int_equal(ph_program_forward(program), PH_OK);
    float *planes = malloc(scene->plane_count * sizeof *planes);
    ph_program_read(program, scene->planes, planes);
    ph_program_destroy(&program);
    return planes;
}

/* From planes to parameters and back. Phases keep no magnitude, so what they give is only alike. */
static void planes_come_back(void **state) {
    (void)state;
    for (int p = 0; ph_parameterisations[p]; p++)
        for (int v = 0; v < PH_COUNT(views) && ph_parameterisations[p]->invert; v++) {
            bool alike = ph_parameterisations[p] == &ph_parameterisation_phase;
            ph_recipe *recipe = recipe_for(p, "levels=3\ninit=some.png");
            struct scene scene = scene_build(recipe, &views[v], 1);
            float *planes = malloc(scene.plane_count * sizeof *planes), *values = calloc(scene.count, sizeof *values);
            for (size_t i = 0; i < scene.plane_count; i++) planes[i] = (float)sin(1 + 0.4 * (double)i + 0.01 * (double)(i * i));
            if (ph_parameterisations[p]->invert(context, recipe, &views[v], planes, values))
                fail_msg("%s", ph_context_error(context));
            float *again = planes_of(&scene, values);
            double product = 0, a = 0, b = 0;
            for (size_t i = 0; i < scene.plane_count; i++) {
                if (!alike) assert_float_equal(again[i], planes[i], 2e-5);
                product += (double)again[i] * planes[i];
                a += (double)again[i] * again[i];
                b += (double)planes[i] * planes[i];
            }
            if (!(product > 0.4 * sqrt(a * b))) fail_msg("%s: correlation %g", ph_parameterisations[p]->name, product / sqrt(a * b));
            free(again);
            free(planes);
            free(values);
            ph_graph_destroy(&scene.graph);
            ph_recipe_destroy(&recipe);
        }
}

static void starts_depend_on_the_seed_alone(void **state) {
    (void)state;
    for (int p = 0; ph_parameterisations[p]; p++) {
        ph_recipe *recipe = recipe_for(p, ""), *other = recipe_for(p, "seed=1");
        struct ph_shape shape = ph_parameterisations[p]->shape(1, recipe, &views[1]);
        size_t count = (size_t)ph_shape_size(&shape);
        float *a = calloc(count, sizeof *a), *b = calloc(count, sizeof *b), *c = calloc(count, sizeof *c);
        ph_parameterisation_start(recipe, &views[1], a, count);
        ph_parameterisation_start(recipe, &views[1], b, count);
        ph_parameterisation_start(other, &views[1], c, count);
        assert_memory_equal(a, b, count * sizeof *a);
        assert_memory_not_equal(a, c, count * sizeof *a);
        free(a);
        free(b);
        free(c);
        ph_recipe_destroy(&recipe);
        ph_recipe_destroy(&other);
    }
}

/* The magnitudes that phases get: a spectrum that falls as natural ones do, and a picture of mean 0 and deviation 1. */
static void phases_make_standard_pictures(void **state) {
    (void)state;
    const struct ph_view view = {3, 32, 24, 32, 24, 32, 24};
    for (int p = 0; ph_parameterisations[p]; p++) {
        if (ph_parameterisations[p] != &ph_parameterisation_phase) continue;
        ph_recipe *recipe = recipe_for(p, "");
        struct scene scene = scene_build(recipe, &view, 1);
        float *values = malloc(scene.count * sizeof *values), spectrum[3 * 32 * 13 * 2];
        ph_parameterisation_start(recipe, &view, values, scene.count);
        float *planes = planes_of(&scene, values);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < scene.plane_count; i++) sum += planes[i], squares += (double)planes[i] * planes[i];
        assert_float_equal(sum / (double)scene.plane_count, 0, 1e-5);
        assert_float_equal(squares / (double)scene.plane_count, 1, 1e-3);
        assert_int_equal(ph_spectrum_of_planes(context, &view, planes, spectrum), PH_OK);
        double low = hypot(spectrum[2 * (13 + 1)], spectrum[2 * (13 + 1) + 1]);
        double high = hypot(spectrum[2 * (8 * 13 + 6)], spectrum[2 * (8 * 13 + 6) + 1]);
        assert_true(low > 10 * high);
        free(planes);
        free(values);
        ph_graph_destroy(&scene.graph);
        ph_recipe_destroy(&recipe);
    }
}

static void colours_come_back(void **state) {
    (void)state;
    enum { PLANE = 20 };
    static const char *const recipes[] = {"", "decorrelate=false", "squash=clip", "squash=clip\ndecorrelate=false"};
    for (int r = 0; r < PH_COUNT(recipes); r++)
        for (int channels = 1; channels <= 3; channels += 2) {
            ph_recipe *recipe = recipe_for(0, recipes[r]);
            float picture[3 * PLANE], planes[3 * PLANE], again[3 * PLANE];
            for (int i = 0; i < channels * PLANE; i++) picture[i] = (float)(0.5 + 0.45 * sin(1 + 2.1 * i));
            ph_colour_invert(recipe, channels, PLANE, picture, planes);
            struct ph_graph *graph;
            struct ph_program *program;
            int fed, out;
            assert_int_equal(ph_graph_create(context, &graph), PH_OK);
            assert_int_equal(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(1, channels, 4, 5), &fed), PH_OK);
            assert_int_equal(ph_colour_build(graph, recipe, fed, &out), PH_OK);
            struct ph_program_request request = {.taps = &out, .tap_count = 1, .loss = PH_ABSENT};
            assert_int_equal(ph_program_create(graph, &request, &program), PH_OK);
            memcpy(ph_program_input(program, fed), planes, (size_t)channels * PLANE * sizeof *planes);
            assert_int_equal(ph_program_forward(program), PH_OK);
            ph_program_read(program, out, again);
            for (int i = 0; i < channels * PLANE; i++) assert_float_equal(again[i], picture[i], 2e-6);
            ph_program_destroy(&program);
            ph_graph_destroy(&graph);
            ph_recipe_destroy(&recipe);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_differences), cmocka_unit_test(planes_come_back),
        cmocka_unit_test(starts_depend_on_the_seed_alone), cmocka_unit_test(phases_make_standard_pictures),
        cmocka_unit_test(colours_come_back),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    return failed;
}
