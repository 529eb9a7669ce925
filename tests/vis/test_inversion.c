/* Inversion where the answer is known: a linear network's output, matched under a quadratic regulariser, has one best
 * picture, and it is the solution of a small system of linear equations. */
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIXELS = 48, OUTPUTS = 5 }; /* of linear.onnx: [1,3,4,4] to [1,5] */

static ph_context *context;
static ph_model *model;
static double weights[OUTPUTS][PIXELS];

static int set_up(void **state) {
    (void)state;
    context = ph_context_create();
    if (!context || ph_model_load(context, "tests/vis/data/linear.onnx", &model) ||
        ph_model_set_preprocessing_text(model, "unit", NULL, NULL, NULL, NULL))
        return -1;
    ph_tensor *input, *row;
    float value;
    char unit[32];
    int64_t dims[] = {1, 3, 4, 4};
    if (ph_tensor_create(context, 4, dims, &input)) return -1;
    for (int i = 0; i < OUTPUTS; i++) {
        snprintf(unit, sizeof unit, "scores:%d", i);
        if (ph_gradient_tensor(model, input, unit, &value, &row)) return -1;
        for (int j = 0; j < PIXELS; j++) weights[i][j] = row->data[j];
        ph_tensor_destroy(&row);
    }
    ph_tensor_destroy(&input);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    return 0;
}

/* Gauss without pivoting, for a positive definite matrix. */
static void system_solve(double matrix[OUTPUTS][OUTPUTS], double *right) {
    for (int k = 0; k < OUTPUTS; k++)
        for (int i = k + 1; i < OUTPUTS; i++) {
            double factor = matrix[i][k] / matrix[k][k];
            for (int j = k; j < OUTPUTS; j++) matrix[i][j] -= factor * matrix[k][j];
            right[i] -= factor * right[k];
        }
    for (int k = OUTPUTS - 1; k >= 0; k--) {
        for (int j = k + 1; j < OUTPUTS; j++) right[k] -= matrix[k][j] * right[j];
        right[k] /= matrix[k][k];
    }
}

/* The least of |W x - target|^2 / |target|^2 + weight * mean((x - 1/2)^2). With y = x - 1/2, d = target - W/2 and
 * m = weight |target|^2 / PIXELS it is y = W' (W W' + m)^-1 d. */
static void inversion_solve(const double *target, double weight, double *x) {
    double matrix[OUTPUTS][OUTPUTS] = {{0}}, difference[OUTPUTS], norm = 0;
    for (int i = 0; i < OUTPUTS; i++) {
        norm += target[i] * target[i];
        difference[i] = target[i];
        for (int j = 0; j < PIXELS; j++) difference[i] -= 0.5 * weights[i][j];
    }
    for (int i = 0; i < OUTPUTS; i++) {
        for (int k = 0; k < OUTPUTS; k++)
            for (int j = 0; j < PIXELS; j++) matrix[i][k] += weights[i][j] * weights[k][j];
        matrix[i][i] += weight * norm / PIXELS;
    }
    system_solve(matrix, difference);
    for (int j = 0; j < PIXELS; j++) {
        x[j] = 0.5;
        for (int i = 0; i < OUTPUTS; i++) x[j] += weights[i][j] * difference[i];
    }
}

static void a_linear_representation_has_a_closed_form(void **state) {
    (void)state;
    static const struct { const char *recipe; double near; } methods[] = {
        {"preset=inversion\nparameterisation=pixel\nsteps=2000", 1e-4},
        {"preset=mahendran\nnormalise=none\nlearning-rate=0.5\nschedule=0.5:0.1\nsteps=4000", 1e-4},
#ifdef PH_HAVE_LBFGS
        /* Its line search compares losses, which as floats do not tell nearer pictures apart. */
        {"preset=inversion-lbfgs\nparameterisation=pixel\nsteps=200", 1e-3},
#endif
    };
    static const double regularisers[] = {0.5, 2, 20};
    char path[] = "/tmp/phosphene-inversion-XXXXXX", file[64], objective[160];
    assert_non_null(mkdtemp(path));
    snprintf(file, sizeof file, "%s/target.npy", path);
    double target[OUTPUTS] = {0};
    ph_tensor *tensor;
    assert_int_equal(ph_tensor_create(context, 1, (int64_t[]){OUTPUTS}, &tensor), PH_OK);
    for (int i = 0; i < OUTPUTS; i++) {
        for (int j = 0; j < PIXELS; j++) target[i] += weights[i][j] * (0.5 + 0.2 * sin(1 + j));
        target[i] = tensor->data[i] = (float)target[i];
    }
    assert_int_equal(ph_tensor_save(context, tensor, file, false), PH_OK);
    for (int m = 0; m < PH_COUNT(methods); m++)
        for (int r = 0; r < PH_COUNT(regularisers); r++) {
            ph_recipe *recipe;
            ph_picture *picture;
            double wanted[PIXELS], worst = 0;
            const char *objectives[] = {objective};
            snprintf(objective, sizeof objective, "match(scores, '%s') - %g*l2()", file, regularisers[r]);
            assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
            assert_int_equal(ph_recipe_parse(recipe, methods[m].recipe), PH_OK);
            if (ph_render(model, recipe, objectives, 1, NULL, &picture)) fail_msg("%s", ph_context_error(context));
            inversion_solve(target, regularisers[r], wanted);
            for (int j = 0; j < PIXELS; j++) worst = fmax(worst, fabs(picture->pixels[j] - wanted[j]));
            if (!(worst < methods[m].near))
                fail_msg("%s, weight %g: off by %g", methods[m].recipe, regularisers[r], worst);
            ph_picture_destroy(&picture);
            ph_recipe_destroy(&recipe);
        }
    ph_tensor_destroy(&tensor);
    unlink(file);
    rmdir(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_linear_representation_has_a_closed_form)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
