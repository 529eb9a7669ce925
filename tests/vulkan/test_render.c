/* Renders on a Vulkan device: near the CPU's pictures, the same bytes again however the steps are made, and told apart by
 * their profile. Skipped where there is no device. */
#include "exec/backend.h"
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define START "size=64\nsteps=8\n"

struct seen { int snapshots, reports, stop_at; char log[1024]; };

static bool progress_take(void *user, const ph_progress *progress) {
    struct seen *seen = user;
    assert_true(progress->step > seen->reports);
    seen->reports = progress->step;
    return !seen->stop_at || progress->step < seen->stop_at;
}

/* What is said of an item that comes to rest, without the value, whose last digits are the device's own. */
static void log_take(void *user, const char *text) {
    struct seen *seen = user;
    size_t length = strlen(seen->log);
    const char *value = strrchr(text, ':');
    if (!strstr(text, "after step") || !value) return;
    snprintf(seen->log + length, sizeof seen->log - length, "%.*s\n", (int)(value - text), text);
}

static void snapshot_take(void *user, int item, int step, const ph_picture *picture) {
    struct seen *seen = user;
    assert_int_equal(item, 0);
    assert_int_equal(step, ++seen->snapshots * 3);
    assert_non_null(picture);
}

/* Pictures of `count` objectives, with what is seen on the way. */
static ph_status render_many(const char *backend, const char *options, const char *const *objectives, int count,
                        struct seen *seen, ph_picture **pictures) {
    ph_context *context = ph_context_create();
    ph_model *model;
    ph_recipe *recipe;
    ph_render_callbacks callbacks = {.progress = progress_take, .snapshot = snapshot_take, .user = seen};
    size_t length = strcspn(backend, "/"); /* "vulkan/fp16" */
    char name[16];
    snprintf(name, sizeof name, "%.*s", (int)length, backend);
    assert_int_equal(ph_context_set_backend(context, name, 0), PH_OK);
    assert_int_equal(ph_context_set_precision(context, backend[length] ? backend + length + 1 : NULL), PH_OK);
    assert_int_equal(ph_model_load(context, NULL, &model), PH_OK);
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_recipe_parse(recipe, options), PH_OK);
    if (seen) ph_context_set_log(context, log_take, seen);
    ph_status status = ph_render(model, recipe, objectives, count, seen ? &callbacks : NULL, pictures);
    if (status && status != PH_ERROR_CANCELLED) fail_msg("%s: %s", options, ph_context_error(context));
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    return status;
}

static ph_picture *render(const char *backend, const char *options) {
    ph_picture *picture;
    render_many(backend, options, (const char *const[]){"conv2:5"}, 1, NULL, &picture);
    return picture;
}

static size_t element_count(const ph_picture *picture) {
    return (size_t)(picture->channels * picture->height * picture->width);
}

/* Peak signal to noise, of a white of 1. */
static double decibels(const ph_picture *a, const ph_picture *b) {
    double squares = 0;
    assert_int_equal(element_count(a), element_count(b));
    for (size_t i = 0; i < element_count(a); i++) squares += pow((double)a->pixels[i] - b->pixels[i], 2);
    return 10 * log10((double)element_count(a) / fmax(squares, 1e-20));
}

static void assert_same(const ph_picture *a, const ph_picture *b) {
    assert_int_equal(element_count(a), element_count(b));
    assert_memory_equal(a->pixels, b->pixels, element_count(a) * sizeof(float));
}

static void near_the_cpu_and_the_same_again(void **state) {
    (void)state;
    ph_picture *cpu = render("cpu", START), *device = render("vulkan", START), *again = render("vulkan", START);
    print_message("%.1f dB from the CPU's picture after 8 steps\n", decibels(device, cpu));
    assert_true(decibels(device, cpu) > 45);
    assert_same(device, again);
    assert_string_equal(device->recipe, again->recipe);
    assert_non_null(strstr(device->recipe, "#profile=vulkan/"));
    assert_non_null(strstr(cpu->recipe, "#profile=cpu/"));
    ph_picture_destroy(&cpu);
    ph_picture_destroy(&device);
    ph_picture_destroy(&again);
}

/* Parameterisations, optimisers and what is done around a step, by the device; lbfgs steps on the host. Which pixels toolbox-4
 * makes grey hangs on their ranks, and grey pixels are ties for the next step's pools: at 40 pixels two of the CPU's instruction
 * sets are 49 dB apart after four steps, so it is held to one. */
static void every_kind_is_near_the_cpu(void **state) {
    static const char *const kinds[] = {"parameterisation=pixel", "parameterisation=laplacian", "parameterisation=phase",
        "parameterisation=cppn\nnoise=0.1", "optimiser=lbfgs\ntransforms=none", "preset=toolbox-4\nsteps=1", "border=reflect",
        "border=wrap", "transforms=none\nkeep-best=2"};
    (void)state;
    for (int i = 0; i < PH_COUNT(kinds); i++) {
        char options[128];
        snprintf(options, sizeof options, "size=48\nsteps=4\n%s", kinds[i]);
        ph_picture *cpu = render("cpu", options), *device = render("vulkan", options);
        print_message("%.1f dB with %s\n", decibels(device, cpu), kinds[i]);
        assert_true(decibels(device, cpu) > 45);
        ph_picture_destroy(&cpu);
        ph_picture_destroy(&device);
    }
}

/* Looks on the way break the device's steps into other runs; a look for a plateau that is never reached changes nothing. */
static void looks_change_nothing(void **state) {
    const char *const objective[] = {"conv2:5"};
    struct seen seen = {0};
    ph_picture *plain = render("vulkan", START), *looked, *watched = render("vulkan", START "plateau=1000");
    (void)state;
    render_many("vulkan", START "snapshots=3,6", objective, 1, &seen, &looked);
    assert_int_equal(seen.snapshots, 2);
    assert_int_equal(seen.reports, 8);
    assert_same(plain, looked);
    assert_same(plain, watched);
    ph_picture_destroy(&plain);
    ph_picture_destroy(&looked);
    ph_picture_destroy(&watched);
}

/* Items rest at the same steps as on the CPU, whoever finds it: the device, or the host while the device waits. */
static void items_rest_as_on_the_cpu(void **state) {
    static const char *const cases[] = {"target=0.1\ntolerance=0.01", "stop-value=0.1", "plateau=3\nlearning-rate=1e-7"};
    const char *const objectives[] = {"conv2:5", "conv2:6"};
    (void)state;
    for (int i = 0; i < PH_COUNT(cases); i++) {
        char options[128];
        struct seen seen[2] = {{0}};
        ph_picture *cpu[2], *device[2];
        snprintf(options, sizeof options, "preset=match\nsize=32\nsteps=32\n%s", cases[i]);
        render_many("cpu", options, objectives, 2, &seen[0], cpu);
        render_many("vulkan", options, objectives, 2, &seen[1], device);
        print_message("%s", seen[0].log);
        assert_non_null(strstr(seen[0].log, "'conv2:5'"));
        assert_non_null(strstr(seen[0].log, "'conv2:6'"));
        assert_string_equal(seen[1].log, seen[0].log);
        for (int n = 0; n < 2; n++) {
            assert_true(decibels(cpu[n], device[n]) > 45);
            ph_picture_destroy(&cpu[n]);
            ph_picture_destroy(&device[n]);
        }
    }
}

/* A render that is stopped has made the steps that its recipe says, those in flight too. */
static void a_stopped_render_comes_again(void **state) {
    const char *const objective[] = {"conv2:5"};
    struct seen seen = {.stop_at = 20};
    ph_picture *stopped;
    (void)state;
    assert_int_equal(render_many("vulkan", "size=16\nsteps=1000", objective, 1, &seen, &stopped), PH_ERROR_CANCELLED);
    assert_true(seen.reports < 1000);
    ph_picture *again = render("vulkan", stopped->recipe);
    assert_same(stopped, again);
    ph_picture_destroy(&stopped);
    ph_picture_destroy(&again);
}

static void neighbours_change_nothing(void **state) {
    const char *const objectives[] = {"conv2:5", "conv2:6"};
    ph_picture *alone = render("vulkan", START), *pictures[2];
    (void)state;
    render_many("vulkan", START, objectives, 2, NULL, pictures);
    assert_same(alone, pictures[0]);
    assert_true(decibels(pictures[0], pictures[1]) < 45);
    ph_picture_destroy(&alone);
    ph_picture_destroy(&pictures[0]);
    ph_picture_destroy(&pictures[1]);
}

static double value_of(const ph_picture *picture) {
    const char *line = strstr(picture->recipe, "#value=");
    double value;
    assert_non_null(line);
    assert_int_equal(sscanf(line, "#value=%lf", &value), 1);
    return value;
}

/* 256 steps in 16 bits reach what they reach in 32, to 3 %. */
static void sixteen_bits_reach_as_much(void **state) {
    (void)state;
    const char *const options = "size=32\nsteps=256\n";
    ph_picture *single = render("vulkan", options), *half = render("vulkan/fp16", options);
    print_message("objective %g in fp32, %g in fp16\n", value_of(single), value_of(half));
    assert_true(fabs(value_of(half) / value_of(single) - 1) < 0.03);
    assert_non_null(strstr(half->recipe, "/fp16\n"));
    assert_true(decibels(single, half) < 100); /* they are not the same */
    ph_picture_destroy(&single);
    ph_picture_destroy(&half);
}

static void fp16_is_refused_where_there_is_none(void **state) {
    (void)state;
    ph_context *context = ph_context_create();
    ph_model *model;
    ph_recipe *recipe;
    ph_picture *picture;
    assert_int_equal(ph_context_set_precision(context, "fp8"), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_set_precision(context, "fp16"), PH_OK);
    assert_int_equal(ph_model_load(context, NULL, &model), PH_OK);
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_render(model, recipe, (const char *const[]){"conv2:5"}, 1, NULL, &picture), PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(context), "there is no fp16 on cpu/"));
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
}

static void a_device_that_is_not_there_is_named(void **state) {
    (void)state;
    const struct ph_backend *backend;
    ph_context *context = ph_context_create();
    assert_int_equal(ph_context_set_backend(context, "vulkan", 15), PH_OK);
    assert_int_equal(ph_backend_resolve(context, NULL, &backend), PH_ERROR_NOT_FOUND);
    assert_non_null(strstr(ph_context_error(context), "there is no device 15"));
    assert_int_equal(ph_context_set_backend(context, "cuda", 0), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_set_backend(context, "vulkan", -1), PH_ERROR_ARGUMENT);
    ph_context_destroy(&context);
}

int main(void) {
    enum { SKIPPED = 77 };
    const struct ph_backend *backend;
    ph_context *context = ph_context_create();
    bool there = !ph_context_set_backend(context, "vulkan", 0) && !ph_backend_resolve(context, NULL, &backend);
    if (!there) printf("skipped: %s\n", ph_context_error(context));
    ph_context_destroy(&context);
    if (!there) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(near_the_cpu_and_the_same_again),
        cmocka_unit_test(every_kind_is_near_the_cpu), cmocka_unit_test(looks_change_nothing),
        cmocka_unit_test(items_rest_as_on_the_cpu), cmocka_unit_test(a_stopped_render_comes_again),
        cmocka_unit_test(neighbours_change_nothing),
        cmocka_unit_test(sixteen_bits_reach_as_much), cmocka_unit_test(fp16_is_refused_where_there_is_none),
        cmocka_unit_test(a_device_that_is_not_there_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
