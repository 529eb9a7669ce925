/* A device whose memory runs out, at each thing it is asked to make in turn: the error says so, and nothing is left behind,
 * as the validation layer sees it. And a memory larger than one buffer may be. Skipped where there is no device. */
#include "exec/backend.h"
#include "vis/vis.h"
#include "vulkan/device.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static ph_status render(ph_context *context, const char *precision, ph_picture **picture) {
    ph_model *model = NULL;
    ph_recipe *recipe = NULL;
    assert_int_equal(ph_context_set_backend(context, "vulkan", 0), PH_OK);
    assert_int_equal(ph_context_set_precision(context, precision), PH_OK);
    assert_int_equal(ph_model_load(context, NULL, &model), PH_OK);
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_recipe_parse(recipe, "size=16\nsteps=1\n"), PH_OK);
    ph_status status = ph_render(model, recipe, (const char *const[]){"conv1:5"}, 1, NULL, picture);
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    return status;
}

static void every_failure_is_said_and_leaves_nothing(void **state) {
    (void)state;
    int failures = 0;
    for (long n = 1;; n += 1 + n / 8) {
        ph_context *context = ph_context_create();
        ph_picture *picture = NULL;
        ph_vulkan_fail_after(n);
        ph_status status = render(context, "fp32", &picture);
        ph_vulkan_fail_after(-1);
        bool done = !status;
        if (!done) {
            assert_int_equal(status, PH_ERROR_MEMORY);
            assert_null(picture);
            if (!strstr(ph_context_error(context), "the device's memory ran out"))
                fail_msg("failure %ld: %s", n, ph_context_error(context));
        }
        ph_picture_destroy(&picture);
        ph_context_destroy(&context);
        assert_int_equal(ph_vulkan_closing_messages(), 0);
        if (done) break;
        failures++;
    }
    printf("%d failures\n", failures);
    assert_true(failures > 20);
}

struct heard { int count; char text[1024]; };

static void hear(void *user, const char *text) {
    struct heard *heard = user;
    if (strstr(text, "the CPU goes on") && ++heard->count == 1) snprintf(heard->text, sizeof heard->text, "%s", text);
}

/* A program that the device has no room for is the CPU's, with one line that says why. */
static void the_cpu_goes_on_where_it_may(void **state) {
    (void)state;
    struct heard heard = {0};
    const struct ph_backend *backend;
    ph_context *context = ph_context_create();
    ph_picture *picture = NULL;
    ph_context_set_log(context, hear, &heard);
    assert_int_equal(ph_context_set_backend(context, "vulkan", 0), PH_OK);
    assert_int_equal(ph_backend_resolve(context, NULL, &backend), PH_OK);
    ph_model *model;
    ph_recipe *recipe;
    assert_int_equal(ph_model_load(context, NULL, &model), PH_OK);
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_recipe_parse(recipe, "size=16\nsteps=1\n"), PH_OK);
    context->backend_optional = true; /* as "auto" leaves it where the device is faster */
    ph_vulkan_fail_after(1);
    ph_status status = ph_render(model, recipe, (const char *const[]){"conv1:5"}, 1, NULL, &picture);
    ph_vulkan_fail_after(-1);
    assert_int_equal(status, PH_OK);
    assert_int_equal(heard.count, 1);
    assert_non_null(strstr(heard.text, "memory ran out"));
    assert_non_null(strstr(picture->recipe, "#profile=cpu/"));
    ph_picture_destroy(&picture);
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    assert_int_equal(ph_vulkan_closing_messages(), 0);
}

/* A memory that is larger than a device binds is reached by its address, with the same bytes. */
static void far_memory_makes_the_same_bytes(void **state) {
    (void)state;
    struct ph_vulkan *vulkan;
    ph_context *context = ph_context_create();
    assert_int_equal(ph_vulkan_open(context, &vulkan), PH_OK);
    if (!vulkan->addresses) {
        ph_context_destroy(&context);
        skip();
    }
    for (int precision = PH_FP32; precision <= PH_FP16; precision++) {
        ph_picture *pictures[2];
        for (int far = 0; far < 2; far++) {
            ph_vulkan_bind_at_most(far ? 1000 : SIZE_MAX);
            if (render(context, ph_precision_names[precision], &pictures[far]))
                fail_msg("%s", ph_context_error(context));
        }
        ph_vulkan_bind_at_most(SIZE_MAX);
        size_t count = (size_t)(pictures[0]->channels * pictures[0]->height * pictures[0]->width);
        assert_memory_equal(pictures[0]->pixels, pictures[1]->pixels, count * sizeof(float));
        ph_picture_destroy(&pictures[0]);
        ph_picture_destroy(&pictures[1]);
    }
    ph_context_destroy(&context);
    assert_int_equal(ph_vulkan_closing_messages(), 0);
}

/* The peak of the device is one of a machine, or is not known; with no memory it is not known, and nothing is left behind. */
static void the_peak_is_measured(void **state) {
    (void)state;
    struct ph_vulkan *vulkan;
    ph_context *context = ph_context_create();
    assert_int_equal(ph_vulkan_open(context, &vulkan), PH_OK);
    double peak = ph_vulkan_peak(context);
    print_message("%.1f GFLOP/s\n", peak);
    if (vulkan->timestamp_bits) assert_true(peak > 0.1 && peak < 1e6);
    else assert_true(peak == 0);
    for (long n = 1; n < 8; n++) {
        ph_vulkan_fail_after(n);
        assert_true(ph_vulkan_peak(context) == 0);
        ph_vulkan_fail_after(-1);
    }
    assert_int_equal(vulkan->messages, 0);
    ph_context_destroy(&context);
    assert_int_equal(ph_vulkan_closing_messages(), 0);
}

int main(void) {
    enum { SKIPPED = 77 };
    const struct ph_backend *backend;
    ph_context *context = ph_context_create();
    bool there = !ph_context_set_backend(context, "vulkan", 0) && !ph_backend_resolve(context, NULL, &backend);
    if (!there) printf("skipped: %s\n", ph_context_error(context));
    ph_context_destroy(&context);
    if (!there) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_failure_is_said_and_leaves_nothing),
        cmocka_unit_test(the_cpu_goes_on_where_it_may), cmocka_unit_test(far_memory_makes_the_same_bytes),
        cmocka_unit_test(the_peak_is_measured)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
