/* Renders on a Vulkan device: near the CPU's picture, the same bytes again, and told apart by their profile. Skipped where
 * there is no device. */
#include "exec/backend.h"
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static ph_picture *render(const char *backend) {
    ph_context *context = ph_context_create();
    ph_model *model;
    ph_recipe *recipe;
    ph_picture *picture;
    const char *objective = "conv2:5";
    assert_int_equal(ph_context_set_backend(context, backend, 0), PH_OK);
    assert_int_equal(ph_model_load(context, NULL, &model), PH_OK);
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_recipe_parse(recipe, "size=64\nsteps=8"), PH_OK);
    if (ph_render(model, recipe, &objective, 1, NULL, &picture)) fail_msg("%s", ph_context_error(context));
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    return picture;
}

static void near_the_cpu_and_the_same_again(void **state) {
    (void)state;
    ph_picture *cpu = render("cpu"), *device = render("vulkan"), *again = render("vulkan");
    size_t count = (size_t)(cpu->channels * cpu->height * cpu->width);
    double squares = 0;
    for (size_t i = 0; i < count; i++) squares += pow((double)device->pixels[i] - cpu->pixels[i], 2);
    double decibels = 10 * log10((double)count / fmax(squares, 1e-20)); /* of a white of 1 */
    print_message("%.1f dB from the CPU's picture\n", decibels);
    assert_true(decibels > 45);
    assert_memory_equal(device->pixels, again->pixels, count * sizeof(float));
    assert_string_equal(device->recipe, again->recipe);
    assert_non_null(strstr(device->recipe, "#profile=vulkan/"));
    assert_non_null(strstr(cpu->recipe, "#profile=cpu/"));
    ph_picture_destroy(&cpu);
    ph_picture_destroy(&device);
    ph_picture_destroy(&again);
}

static void a_device_that_is_not_there_is_named(void **state) {
    (void)state;
    const struct ph_backend *backend;
    ph_context *context = ph_context_create();
    assert_int_equal(ph_context_set_backend(context, "vulkan", 15), PH_OK);
    assert_int_equal(ph_backend_resolve(context, &backend), PH_ERROR_NOT_FOUND);
    assert_non_null(strstr(ph_context_error(context), "there is no device 15"));
    assert_int_equal(ph_context_set_backend(context, "cuda", 0), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_set_backend(context, "vulkan", -1), PH_ERROR_ARGUMENT);
    ph_context_destroy(&context);
}

int main(void) {
    enum { SKIPPED = 77 };
    const struct ph_backend *backend;
    ph_context *context = ph_context_create();
    bool there = !ph_context_set_backend(context, "vulkan", 0) && !ph_backend_resolve(context, &backend);
    if (!there) printf("skipped: %s\n", ph_context_error(context));
    ph_context_destroy(&context);
    if (!there) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(near_the_cpu_and_the_same_again),
        cmocka_unit_test(a_device_that_is_not_there_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
