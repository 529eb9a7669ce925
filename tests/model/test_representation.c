/* HOG and dense SIFT: values as make_representation.py works them out pixel by pixel, gradients by differences, names. */
#include "base/base.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static ph_context *context;

static int set_up(void **state) {
    (void)state;
    context = ph_context_create();
    return !context;
}

static int tear_down(void **state) {
    (void)state;
    ph_context_destroy(&context);
    return 0;
}

static ph_tensor *tensor_of(const char *name) {
    char path[128];
    ph_tensor *tensor = NULL;
    snprintf(path, sizeof path, "tests/model/data/representation-%s.npy", name);
    if (ph_tensor_load(context, path, &tensor)) fail_msg("%s", ph_context_error(context));
    return tensor;
}

static ph_model *model_of(const char *name) {
    ph_model *model = NULL;
    if (ph_model_load_representation(context, name, &model)) fail_msg("%s", ph_context_error(context));
    return model;
}

static size_t size_of(const ph_tensor *tensor) {
    size_t size = 1;
    for (int i = 0; i < tensor->rank; i++) size *= (size_t)tensor->dims[i];
    return size;
}

static void values_are_those_of_votes(void **state) {
    (void)state;
    /* The arc cosine of a float near 1 knows an angle to 3e-4. */
    static const struct { const char *name, *layer; double tolerance; } cases[] = {
        {"hog", "hog", 1e-6}, {"hogb", "hog", 1e-4}, {"dsift", "sift", 1e-4}};
    ph_tensor *picture = tensor_of("picture");
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_tensor *wanted = tensor_of(cases[i].name), *found;
        ph_model *model = model_of(cases[i].name);
        if (ph_activations_tensor(model, picture, cases[i].layer, &found)) fail_msg("%s", ph_context_error(context));
        assert_int_equal(found->rank, wanted->rank);
        assert_memory_equal(found->dims, wanted->dims, (size_t)found->rank * sizeof *found->dims);
        double difference = 0, norm = 0;
        for (size_t k = 0; k < size_of(wanted); k++) {
            difference += pow((double)found->data[k] - wanted->data[k], 2);
            norm += pow(wanted->data[k], 2);
        }
        double error = sqrt(difference / norm);
        if (!(error < cases[i].tolerance)) fail_msg("%s: off by %g", cases[i].name, error);
        ph_tensor_destroy(&found);
        ph_tensor_destroy(&wanted);
        ph_model_destroy(&model);
    }
    ph_tensor_destroy(&picture);
}

static double value_of(ph_model *model, const ph_tensor *picture, const char *objective) {
    ph_tensor *gradient;
    float value;
    assert_int_equal(ph_gradient_tensor(model, picture, objective, &value, &gradient), PH_OK);
    ph_tensor_destroy(&gradient);
    return value;
}

/* Along the gradient of one number of the descriptor the number rises as fast as the gradient is long. */
static void gradients_are_those_of_differences(void **state) {
    (void)state;
    static const struct { const char *name, *objective; } cases[] = {
        {"hog", "hog:4@2,1"}, {"hog", "hog:20@3,2"}, {"hogb", "hog:4@2,1"}, {"hogb", "hog:20@3,2"},
        {"dsift", "sift:33@1,0"}, {"dsift", "sift:70@0,1"}};
    const double step = 0.02; /* grey levels */
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_tensor *picture = tensor_of("picture"), *gradient;
        ph_model *model = model_of(cases[i].name);
        float value;
        assert_int_equal(ph_gradient_tensor(model, picture, cases[i].objective, &value, &gradient), PH_OK);
        double length = 0, rise = 0;
        for (size_t k = 0; k < size_of(picture); k++) length += pow(gradient->data[k], 2);
        length = sqrt(length);
        assert_true(length > 1e-6);
        for (int side = 1; side >= -1; side -= 2) {
            ph_tensor *moved = tensor_of("picture");
            for (size_t k = 0; k < size_of(picture); k++)
                moved->data[k] += (float)(side * step * gradient->data[k] / length);
            rise += side * value_of(model, moved, cases[i].objective);
            ph_tensor_destroy(&moved);
        }
        double found = rise / (2 * step);
        if (!(fabs(found - length) < 0.02 * length))
            fail_msg("%s, %s: rises by %g a grey level, its gradient says %g", cases[i].name, cases[i].objective, found, length);
        ph_tensor_destroy(&gradient);
        ph_tensor_destroy(&picture);
        ph_model_destroy(&model);
    }
}

static void names_are_listed(void **state) {
    (void)state;
    ph_model *model = NULL;
    const ph_catalogue_entry *entry;
    int count = 0;
    assert_int_equal(ph_model_load_representation(context, "surf", &model), PH_ERROR_NOT_FOUND);
    assert_null(model);
    assert_non_null(strstr(ph_context_error(context), "hog, hogb, dsift"));
    for (; (entry = ph_catalogue("representations", count)); count++) {
        model = model_of(entry->name);
        ph_model_info info = ph_model_describe(model);
        assert_string_equal(info.path, entry->name);
        assert_int_equal(info.channels, 1);
        assert_true(info.size_is_free);
        assert_int_equal(ph_model_save_preprocessing(model, true), PH_ERROR_ARGUMENT);
        ph_model_destroy(&model);
    }
    assert_int_equal(count, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_those_of_votes),
        cmocka_unit_test(gradients_are_those_of_differences), cmocka_unit_test(names_are_listed)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
