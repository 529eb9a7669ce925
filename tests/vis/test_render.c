/* Renders of the embedded network: the objective goes where it should, the same recipe gives the same bytes whatever
 * the threads and the neighbours, and what goes wrong is said. */
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static ph_context *context;
static ph_model *model;

static ph_recipe *recipe_of(const char *text) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    if (ph_recipe_parse(recipe, text)) fail_msg("%s", ph_context_error(context));
    return recipe;
}

static ph_picture *render(const char *recipe_text, const char *objective) {
    ph_recipe *recipe = recipe_of(recipe_text);
    ph_picture *picture;
    if (ph_render(model, recipe, &objective, 1, NULL, &picture)) fail_msg("%s", ph_context_error(context));
    ph_recipe_destroy(&recipe);
    return picture;
}

static float value_of(const char *recipe_text, const char *objective) {
    ph_picture *picture = render(recipe_text, objective);
    float value = ph_picture_value(picture);
    ph_picture_destroy(&picture);
    return value;
}

static void assert_same(const ph_picture *a, const ph_picture *b) {
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_memory_equal(a->pixels, b->pixels, (size_t)(a->channels * a->height * a->width) * sizeof(float));
    assert_string_equal(a->recipe, b->recipe);
    assert_true(a->value == b->value);
}

/* ---- Where the objective goes ------------------------------------------------------------------------------------ */

static void objectives_rise(void **state) {
    (void)state;
    static const char *const objectives[] = {"conv2:7", "conv4a:11", "conv3b:5@4,4", "conv3a", "class:monarch",
                                             "class:monarch - 2*tv()"};
    for (int i = 0; i < PH_COUNT(objectives); i++) {
        float start = value_of("size=48\nsteps=0", objectives[i]), end = value_of("size=48\nsteps=40", objectives[i]);
        if (!(end > start + 0.5f * fabsf(start)) || !(end > start))
            fail_msg("%s: %g, then %g", objectives[i], start, end);
    }
}

static void a_minus_minimises(void **state) {
    (void)state;
    float start = value_of("size=48\nsteps=0", "class:monarch");
    ph_picture *picture = render("size=48\nsteps=32", "-class:monarch");
    assert_true(-ph_picture_value(picture) < start - 3);
    ph_picture_destroy(&picture);
}

static void a_target_is_met(void **state) {
    (void)state;
    static const double targets[] = {5, -4};
    for (int i = 0; i < PH_COUNT(targets); i++) {
        char text[128];
        snprintf(text, sizeof text, "size=48\nsteps=200\nlearning-rate=0.02\ntransforms=none\ntarget=%g", targets[i]);
        assert_float_equal(value_of(text, "class:tabby"), targets[i], 0.5);
    }
}

/* A unit that is silent on the start picture gets no gradient until it is woken. */
static void silent_units_wake(void **state) {
    (void)state;
    float sleeping = value_of("size=48\nsteps=24\nredirect-steps=0\nspread=0", "conv5b:20@1,1");
    float woken = value_of("size=48\nsteps=24\nspread=0", "conv5b:20@1,1");
    assert_true(value_of("size=48\nsteps=0\nspread=0", "conv5b:20@1,1") == 0);
    assert_true(sleeping == 0);
    assert_true(woken > 0);
    assert_true(value_of("size=48\nsteps=24\nspread=0\nbackward=guided", "conv5b:20@1,1") > 0);
}

static void every_way_of_making_a_picture_works(void **state) {
    (void)state;
    static const struct { const char *recipe; int width, height; } cases[] = {
        {"size=48x40\nsteps=6", 48, 40}, {"size=47x33\nsteps=6", 47, 33},
        {"size=80\ninput-size=48\nsteps=6", 80, 80}, {"size=32x64\ninput-size=64x48\nsteps=6", 32, 64},
        {"size=48\nsteps=6\nparameterisation=pixel", 48, 48}, {"size=48\nsteps=6\ndecorrelate=false", 48, 48},
        {"size=48\nsteps=6\nborder=reflect", 48, 48}, {"size=48\nsteps=6\nborder=wrap", 48, 48},
        {"size=48\nsteps=6\npreset=raw\nsteps=6", 48, 48}, {"size=48\nsteps=6\nscale=1.1,0.8\nrotate=90,", 48, 48},
        {"size=48\nsteps=20\nband-limit=0.1\ndecay=1.5", 48, 48}, {"size=48\nsteps=0", 48, 48},
        {"size=47x33\nsteps=6\nparameterisation=laplacian", 47, 33}, {"size=33x47\nsteps=6\nparameterisation=shared", 33, 47},
        {"size=47x33\nsteps=6\nparameterisation=phase\nlearning-rate=1", 47, 33},
        {"size=33x20\nsteps=6\nparameterisation=cppn\nprint-size=70x90", 70, 90},
        {"size=47x33\nsteps=6\ntransforms=crops\nviews=3\nnoise=0.05", 47, 33}, {"size=48\nsteps=6\nmirror=true", 48, 48},
        {"size=47x33\nsteps=6\nborder=random\nviews=2", 47, 33}, {"size=48\nsteps=6\ngrey=true", 48, 48},
        {"size=48\nsteps=20\nbackward=guided", 48, 48}, {"size=48\nsteps=20\nbackward=deconvolution", 48, 48},
        {"size=48\nsteps=6\npooling=average", 48, 48}, {"size=48\nsteps=6\npooling=softened", 48, 48},
        {"size=48\nsteps=6\nsquash=clip", 48, 48}, {"size=48\nsteps=6\noptimiser=lbfgs", 48, 48}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_picture *picture = render(cases[i].recipe, "conv3a:11");
        double sum = 0;
        assert_int_equal(ph_picture_width(picture), cases[i].width);
        assert_int_equal(ph_picture_height(picture), cases[i].height);
        for (int p = 0; p < 3 * cases[i].width * cases[i].height; p++) {
            assert_true(picture->pixels[p] >= 0 && picture->pixels[p] <= 1);
            sum += fabs(picture->pixels[p] - 0.5);
        }
        assert_true(sum > 0 && isfinite(ph_picture_value(picture)));
        ph_picture_destroy(&picture);
    }
}

/* GoogLeNet's classifier fixes the size of its input, its layers before do not: one call serves both. */
static void fixed_layers_see_the_picture_scaled(void **state) {
    (void)state;
    const char *extras = getenv("PHOSPHENE_EXTRAS");
    char path[1024];
    snprintf(path, sizeof path, "%s/weights/bvlc_googlenet.onnx", extras ? extras : "../shared");
    if (!ph_file_exists(path)) {
        print_message("skipped: there is no %s\n", path);
        skip();
    }
    static const char *const objectives[] = {"class:1", "conv1/7x7_s2:9"};
    ph_model *googlenet;
    ph_picture *pictures[2];
    assert_int_equal(ph_model_load(context, path, &googlenet), PH_OK);
    ph_recipe *recipe = recipe_of("size=240x120\nsteps=1\nredirect-steps=0");
    if (ph_render(googlenet, recipe, objectives, 2, NULL, pictures)) fail_msg("%s", ph_context_error(context));
    for (int p = 0; p < 2; p++) {
        assert_int_equal(ph_picture_width(pictures[p]), 240);
        assert_int_equal(ph_picture_height(pictures[p]), 120);
        ph_picture_destroy(&pictures[p]);
    }
    struct ph_objective parsed[2];
    struct ph_render call = {.model = googlenet, .recipe = recipe, .objectives = parsed};
    for (int i = 0; i < 2; i++) assert_int_equal(ph_objective_parse(context, objectives[i], &parsed[i]), PH_OK);
    assert_int_equal(ph_render_choose_view(&call, 0), PH_OK);
    assert_true(call.view.input_width == 224 && call.view.fitted_width == 224 && call.view.fitted_height == 112);
    assert_int_equal(ph_render_choose_view(&call, 1), PH_OK);
    assert_true(call.view.input_width == 240 && call.view.input_height == 120 && call.view.fitted_height == 120);
    for (int i = 0; i < 2; i++) ph_objective_finish(&parsed[i]);
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&googlenet);
}

/* ---- The same bytes ---------------------------------------------------------------------------------------------- */

#define SHORT "size=48\nsteps=20\n" /* the steps that wake units, and some after them */

static void same_for_all_threads(const char *recipe_text) {
    static const int threads[] = {1, 2, 3, 7, 1};
    ph_picture *first = NULL;
    for (int i = 0; i < PH_COUNT(threads); i++) {
        assert_int_equal(ph_context_set_threads(context, threads[i]), PH_OK);
        ph_picture *picture = render(recipe_text, "conv4b:9");
        if (first) assert_same(first, picture);
        else first = picture;
        if (first != picture) ph_picture_destroy(&picture);
    }
    ph_picture_destroy(&first);
    assert_int_equal(ph_context_set_threads(context, 0), PH_OK);
}

static void threads_and_repeats_give_the_same_bytes(void **state) {
    (void)state;
    same_for_all_threads(SHORT);
}

/* Whole methods: every preset, and every optimiser and parameterisation of the tables. */
static void every_method_gives_the_same_bytes(void **state) {
    (void)state;
    char text[256];
    for (int i = 0; ph_preset_name(i); i++) {
        snprintf(text, sizeof text, "preset=%s\nsize=40x33\nsteps=3\n", ph_preset_name(i));
        same_for_all_threads(text);
    }
    for (int i = 0; ph_optimisers[i]; i++) {
        snprintf(text, sizeof text, "optimiser=%s\nsize=40\nsteps=3\n", ph_optimisers[i]->name);
        same_for_all_threads(text);
    }
    for (int i = 0; ph_parameterisations[i]; i++) {
        snprintf(text, sizeof text, "parameterisation=%s\nsize=40x33\nsteps=3\n", ph_parameterisations[i]->name);
        same_for_all_threads(text);
    }
}

static void neighbours_do_not_matter(void **state) {
    (void)state;
    static const char *const objectives[] = {"conv4b:1", "conv4b:2", "conv4b:9", "conv4b:30", "conv4b:31", "conv4a:9",
                                             "class:tabby", "class:monarch"};
    static const char *const batches[] = {"batch=0\n" SHORT, "batch=2\n" SHORT, "batch=1\n" SHORT, "batch=5\n" SHORT};
    ph_picture *alone = render(SHORT, "conv4b:9"), *class_alone = render(SHORT, "class:monarch");
    for (int i = 0; i < PH_COUNT(batches); i++) {
        ph_recipe *recipe = recipe_of(batches[i]);
        ph_picture *pictures[PH_COUNT(objectives)];
        if (ph_render(model, recipe, objectives, PH_COUNT(objectives), NULL, pictures))
            fail_msg("%s", ph_context_error(context));
        assert_same(pictures[2], alone);
        assert_same(pictures[7], class_alone);
        for (int p = 0; p < PH_COUNT(objectives); p++) ph_picture_destroy(&pictures[p]);
        ph_recipe_destroy(&recipe);
    }
    ph_picture_destroy(&alone);
    ph_picture_destroy(&class_alone);
}

/* One item's rest, best, attempt or coarse structure is not its neighbour's. */
static void neighbours_do_not_matter_to_methods(void **state) {
    (void)state;
    static const char *const objectives[] = {"conv4b:1", "conv4b:9"};
    static const char *const recipes[] = {SHORT "stop-value=1", SHORT "plateau=3", SHORT "keep-best=3",
                                          SHORT "attempts=2", SHORT "views=3\nnoise=0.1",
                                          SHORT "parameterisation=shared",
                                          "size=40\nsteps=12\npreset=toolbox-4\nsteps=12",
                                          "size=40\nsteps=12\nnormalise=mean\noptimiser=sgd"};
    for (int i = 0; i < PH_COUNT(recipes); i++) {
        ph_recipe *recipe = recipe_of(recipes[i]);
        ph_picture *pictures[2], *alone = render(recipes[i], objectives[1]);
        if (ph_render(model, recipe, objectives, 2, NULL, pictures)) fail_msg("%s", ph_context_error(context));
        assert_same(pictures[1], alone);
        for (int p = 0; p < 2; p++) ph_picture_destroy(&pictures[p]);
        ph_picture_destroy(&alone);
        ph_recipe_destroy(&recipe);
    }
}

static void seeds_matter(void **state) {
    (void)state;
    ph_picture *a = render(SHORT, "conv4b:9"), *b = render(SHORT "seed=1", "conv4b:9");
    assert_memory_not_equal(a->pixels, b->pixels, 3 * 48 * 48 * sizeof(float));
    ph_picture_destroy(&a);
    ph_picture_destroy(&b);
}

static void a_picture_carries_what_makes_it_again(void **state) {
    (void)state;
    ph_picture *first = render(SHORT "seed=3\nrotate=5\nlearning-rate=0.0301\nborder=wrap", "conv4a:3 - 0.5*tv()");
    char objective[64], fact[128];
    assert_true(ph_recipe_lookup(ph_picture_recipe(first), "#objective", objective, sizeof objective));
    assert_string_equal(objective, "conv4a:3 - 0.5*tv()");
    static const char *const facts[] = {"#phosphene", "#model", "#model-sha256", "#input", "#profile", "#value"};
    for (int i = 0; i < PH_COUNT(facts); i++)
        assert_true(ph_recipe_lookup(ph_picture_recipe(first), facts[i], fact, sizeof fact));
    assert_true(strtof(fact, NULL) == ph_picture_value(first));
    ph_picture *again = render(ph_picture_recipe(first), objective);
    assert_same(first, again);
    ph_picture_destroy(&first);
    ph_picture_destroy(&again);
}

/* ---- Stopping ---------------------------------------------------------------------------------------------------- */

static void a_reached_value_ends_the_way(void **state) {
    (void)state;
    float all = value_of("size=48\nsteps=60\ntransforms=none", "class:monarch");
    ph_picture *picture = render("size=48\nsteps=60\ntransforms=none\nstop-value=8", "class:monarch");
    assert_true(all > 15);
    assert_true(ph_picture_value(picture) > 7.5f && ph_picture_value(picture) < 12);
    char steps[16];
    assert_true(ph_recipe_lookup(ph_picture_recipe(picture), "steps", steps, sizeof steps));
    assert_string_equal(steps, "60"); /* what makes it again */
    ph_picture_destroy(&picture);
    assert_float_equal(value_of("size=48\nsteps=200\ntransforms=none\ntarget=5\nstop-value=0.1", "class:monarch"), 5, 0.2);
    /* A learning rate of nothing gains nothing. */
    struct ph_recipe *still = recipe_of("size=48\nsteps=1000000\nlearning-rate=0\nredirect-steps=0\nplateau=5");
    const char *objective = "conv3a:5";
    assert_int_equal(ph_render(model, still, &objective, 1, NULL, &picture), PH_OK);
    ph_picture_destroy(&picture);
    ph_recipe_destroy(&still);
}

/* A rate that overshoots: what is given is not the last. */
static void the_best_is_kept(void **state) {
    (void)state;
    static const char wild[] = "size=48\nsteps=24\nlearning-rate=2\nschedule=0.5:50\n";
    char text[128];
    float last = value_of(wild, "class:monarch");
    snprintf(text, sizeof text, "%skeep-best=1", wild);
    float best = value_of(text, "class:monarch");
    assert_true(best > last);
    float most = value_of("size=48\nsteps=0", "class:monarch");
    for (int until = 1; until <= 24; until++) {
        snprintf(text, sizeof text, "%suntil=%d", wild, until);
        most = fmaxf(most, value_of(text, "class:monarch"));
    }
    assert_true(best == most);
}

static void the_best_attempt_is_given(void **state) {
    (void)state;
    char text[64];
    float best = -INFINITY;
    for (int seed = 4; seed < 7; seed++) {
        snprintf(text, sizeof text, SHORT "seed=%d", seed);
        best = fmaxf(best, value_of(text, "conv4b:9"));
    }
    ph_picture *picture = render(SHORT "seed=4\nattempts=3", "conv4b:9");
    assert_true(ph_picture_value(picture) == best);
    ph_picture_destroy(&picture);
    ph_recipe *recipe = recipe_of(SHORT "attempts=2\nsnapshots=2");
    const char *objective = "conv4b:9";
    assert_int_equal(ph_render(model, recipe, &objective, 1, NULL, &picture), PH_ERROR_ARGUMENT);
    ph_recipe_destroy(&recipe);
}

/* ---- Given pictures ---------------------------------------------------------------------------------------------- */

#define GIVEN "/test-render-given.png"
#define MASK "/test-render-mask.png"

static const char *file_of(const char *name, char *path, size_t size) {
    const char *folder = getenv("TMPDIR");
    snprintf(path, size, "%s%s", folder ? folder : "/tmp", name);
    return path;
}

/* A picture of soft colours, and one that is white on its right half. */
static void given_write(const char *path, bool mask) {
    ph_picture *picture;
    assert_int_equal(ph_picture_create(context, 3, 40, 60, &picture), PH_OK);
    for (int i = 0; i < 3 * 40 * 60; i++)
        picture->pixels[i] = mask ? (float)(i % 60 >= 30) : (float)(0.5 + 0.3 * sin(0.1 * (i % 60) + i / 2400 + 0.2 * (i / 60 % 40)));
    if (ph_picture_save(picture, path, true)) fail_msg("%s", ph_context_error(context));
    ph_picture_destroy(&picture);
}

static void renders_start_from_pictures(void **state) {
    (void)state;
    static const char *const ways[] = {"", "parameterisation=pixel", "parameterisation=laplacian", "parameterisation=shared",
                                       "squash=clip", "decorrelate=false"};
    char path[512], mask[512], text[1200];
    ph_picture *given;
    given_write(file_of(GIVEN, path, sizeof path), false);
    given_write(file_of(MASK, mask, sizeof mask), true);
    assert_int_equal(ph_picture_load(context, path, &given), PH_OK);
    for (int i = 0; i < PH_COUNT(ways); i++) {
        snprintf(text, sizeof text, "size=60x40\nsteps=0\ninit=%s\n%s", path, ways[i]);
        ph_picture *picture = render(text, "conv3a:5");
        for (int p = 0; p < 3 * 40 * 60; p++) assert_float_equal(picture->pixels[p], given->pixels[p], 1e-4);
        ph_picture_destroy(&picture);
    }
    snprintf(text, sizeof text, "size=60x40\nsteps=20\ninit=%s\nmask=%s", path, mask);
    ph_picture *picture = render(text, "conv3a:5");
    double changed = 0;
    for (int p = 0; p < 3 * 40 * 60; p++) {
        double difference = fabs((double)picture->pixels[p] - given->pixels[p]);
        if (p % 60 < 30) assert_float_equal(difference, 0, 1e-6);
        else changed += difference;
    }
    assert_true(changed > 10);
    ph_picture *again = render(ph_picture_recipe(picture), "conv3a:5");
    assert_same(picture, again);
    ph_picture_destroy(&again);
    ph_picture_destroy(&picture);
    ph_picture_destroy(&given);
    remove(path);
    remove(mask);
}

static void opacity_is_a_channel(void **state) {
    (void)state;
    ph_picture *picture = render("size=40x33\nsteps=12\nalpha=true", "conv3a:5");
    assert_int_equal(picture->channels, 4);
    assert_true(isfinite(ph_picture_value(picture)));
    ph_picture_destroy(&picture);
}

static void contradictions_are_said(void **state) {
    (void)state;
    static const struct { const char *recipe, *said; } cases[] = {
        {"print-size=64", "cppn"}, {"alpha=true\nmask=x.png", "alpha and mask"}, {"init=nowhere.png", "nowhere.png"},
        {"blur=1", "parameterisation=pixel"}, {"optimiser=lbfgs\nnormalise=mean", "lbfgs"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_recipe *recipe = recipe_of(cases[i].recipe);
        const char *objective = "conv3a:5";
        ph_picture *picture;
        assert_true(ph_render(model, recipe, &objective, 1, NULL, &picture) != PH_OK);
        assert_non_null(strstr(ph_context_error(context), cases[i].said));
        assert_null(picture);
        ph_recipe_destroy(&recipe);
    }
}

/* ---- Callbacks --------------------------------------------------------------------------------------------------- */

struct watch {
    int calls, last, stop_at, snapshots, finished;
    ph_picture *kept;  /* of the snapshot after step 7 */
    bool starve;       /* no memory between the first step and the last */
};

static bool watch_progress(void *user, const ph_progress *progress) {
    struct watch *watch = user;
    assert_int_equal(progress->step, watch->last + 1);
    assert_in_range(progress->first, 0, 2);
    for (int i = 0; i < progress->count; i++) assert_true(isfinite(progress->values[i]));
    watch->last = progress->step == progress->steps ? 0 : progress->step;
    watch->calls++;
    if (watch->starve) ph_alloc_fail_after(progress->step == progress->steps ? -1 : 0);
    return progress->step != watch->stop_at;
}

static void watch_snapshot(void *user, int item, int step, const ph_picture *picture) {
    struct watch *watch = user;
    watch->snapshots++;
    if (step != 7 || item != 0) return;
    assert_int_equal(ph_picture_create(context, 3, picture->height, picture->width, &watch->kept), PH_OK);
    memcpy(watch->kept->pixels, picture->pixels, (size_t)(3 * picture->height * picture->width) * sizeof(float));
    ph_free(watch->kept->recipe);
    watch->kept->recipe = ph_strdup(picture->recipe);
    watch->kept->value = picture->value;
}

static void watch_finished(void *user, int item, const ph_picture *picture) {
    struct watch *watch = user;
    assert_int_equal(item, watch->finished++);
    assert_true(isfinite(ph_picture_value(picture)));
}

static const char *const two[] = {"conv3a:5", "conv3a:6"};

static ph_status render_two(const char *recipe_text, struct watch *watch, ph_picture **pictures) {
    ph_recipe *recipe = recipe_of(recipe_text);
    ph_render_callbacks callbacks = {watch_progress, watch_snapshot, watch_finished, watch};
    ph_status status = ph_render(model, recipe, two, 2, &callbacks, pictures);
    ph_recipe_destroy(&recipe);
    return status;
}

static void progress_and_snapshots_come_in_order(void **state) {
    (void)state;
    static const struct { const char *recipe; int calls; } cases[] = {
        {"size=48\nsteps=20\nsnapshots=7,20", 20}, {"size=48\nsteps=20\nsnapshots=7,20\nbatch=1", 40}};
    ph_picture *shorter = render("size=48\nsteps=7", two[0]);
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct watch watch = {0};
        ph_picture *pictures[2];
        assert_int_equal(render_two(cases[i].recipe, &watch, pictures), PH_OK);
        assert_int_equal(watch.calls, cases[i].calls);
        assert_int_equal(watch.snapshots, 4);
        assert_int_equal(watch.finished, 2);
        assert_same(watch.kept, shorter); /* a snapshot is what a render of so many steps gives, its recipe too */
        for (int p = 0; p < 2; p++) ph_picture_destroy(&pictures[p]);
        ph_picture_destroy(&watch.kept);
    }
    ph_picture_destroy(&shorter);
}

/* Where steps depend on how many were meant, a snapshot's recipe says which of them was the last. */
static void snapshots_of_a_course_come_again(void **state) {
    (void)state;
    struct watch watch = {0};
    ph_picture *pictures[2];
    assert_int_equal(render_two("size=48\nsteps=20\nsnapshots=7,20\nschedule=cosine", &watch, pictures), PH_OK);
    ph_picture *again = render(watch.kept->recipe, two[0]);
    assert_same(watch.kept, again);
    ph_picture_destroy(&again);
    ph_picture_destroy(&watch.kept);
    for (int p = 0; p < 2; p++) ph_picture_destroy(&pictures[p]);
}

static void a_stopped_render_gives_what_it_has(void **state) {
    (void)state;
    struct watch watch = {.stop_at = 18};
    ph_picture *pictures[2];
    assert_int_equal(render_two("size=48\nsteps=100", &watch, pictures), PH_ERROR_CANCELLED);
    assert_int_equal(watch.calls, 18);
    assert_int_equal(watch.finished, 0);
    for (int p = 0; p < 2; p++) {
        char stopped[32];
        assert_non_null(pictures[p]);
        assert_true(ph_recipe_lookup(ph_picture_recipe(pictures[p]), "#stopped", stopped, sizeof stopped));
        ph_picture_destroy(&pictures[p]);
    }
    /* In batches of one, what was not begun stays away. */
    watch = (struct watch){.stop_at = 3};
    assert_int_equal(render_two("size=48\nsteps=100\nbatch=1", &watch, pictures), PH_ERROR_CANCELLED);
    assert_non_null(pictures[0]);
    assert_null(pictures[1]);
    ph_picture_destroy(&pictures[0]);
}

static void the_loop_allocates_nothing(void **state) {
    (void)state;
    static const char *const recipes[] = {"size=48\nsteps=5\nredirect-steps=0", "size=48\nsteps=5",
                                          "size=48\nsteps=5\nkeep-best=2\nnoise=0.1\nborder=random\nviews=2\nplateau=4",
                                          "preset=toolbox-4\nsize=48\nsteps=5"};
    for (int i = 0; i < PH_COUNT(recipes); i++) {
        struct watch watch = {.starve = true};
        ph_picture *pictures[2];
        if (render_two(recipes[i], &watch, pictures)) fail_msg("%s", ph_context_error(context));
        assert_int_equal(watch.calls, 5);
        for (int p = 0; p < 2; p++) ph_picture_destroy(&pictures[p]);
    }
}

/* ---- What goes wrong --------------------------------------------------------------------------------------------- */

static char logged[1024];

static void keep_log(void *user, const char *text) {
    (void)user;
    snprintf(logged, sizeof logged, "%s", text);
}

static void a_lasting_silence_is_said(void **state) {
    (void)state;
    logged[0] = 0;
    ph_context_set_log(context, keep_log, NULL);
    ph_picture *picture = render("size=48\nsteps=30", "0*conv3a:5");
    assert_non_null(strstr(logged, "0*conv3a:5"));
    assert_non_null(strstr(logged, "silent"));
    ph_picture_destroy(&picture);
    logged[0] = 0;
    picture = render("size=48\nsteps=30", "conv3a:5");
    assert_string_equal(logged, "");
    ph_picture_destroy(&picture);
    ph_context_set_log(context, NULL, NULL);
}

/* A rate of nothing, and one that drives all pixels to black and white at once. */
static void what_goes_nowhere_is_said(void **state) {
    (void)state;
    static const struct { const char *recipe, *objective, *said; } cases[] = {
        {"size=48\nsteps=60\nlearning-rate=0\ntransforms=none", "class:monarch", "nothing moves it"},
        {"size=48\nsteps=60\nlearning-rate=0", "class:monarch", "nothing moves it"},
        {"size=48\nsteps=30", "1e-12*class:monarch", "gradient has vanished"},
        {"size=48\nsteps=30", "1e-12*class:monarch", "a factor before"},
        {"size=48\nsteps=20\nparameterisation=pixel\nsquash=clip\ntransforms=none\ndecorrelate=false\nspread=0.001",
         "1e9*alpha_norm()", "gradient explodes"},
        {"size=48\nsteps=30\noptimiser=sgd\nlearning-rate=1e9\nredirect-steps=0", "class:monarch", "gradient"},
        {"size=48\nsteps=30\nspread=0\nredirect-steps=0", "conv5b:20@1,1", "is silent"}};
    ph_context_set_log(context, keep_log, NULL);
    for (int i = 0; i < PH_COUNT(cases); i++) {
        logged[0] = 0;
        ph_picture *picture = render(cases[i].recipe, cases[i].objective);
        if (!strstr(logged, cases[i].said)) fail_msg("%s: '%s'", cases[i].recipe, logged);
        assert_non_null(strstr(logged, cases[i].objective));
        assert_non_null(strstr(logged, "step"));
        ph_picture_destroy(&picture);
    }
    ph_context_set_log(context, NULL, NULL);
}

static void numbers_that_overflow_are_an_error(void **state) {
    (void)state;
    ph_preprocessing proper = ph_model_preprocessing(model), wrong = proper;
    wrong.scale = 1e38f;
    assert_int_equal(ph_model_set_preprocessing(model, &wrong), PH_OK);
    ph_recipe *recipe = recipe_of("size=48\nsteps=5");
    ph_picture *pictures[2];
    assert_int_equal(ph_render(model, recipe, two, 2, NULL, pictures), PH_ERROR_NUMERIC);
    assert_non_null(strstr(ph_context_error(context), "conv3a:5"));
    assert_non_null(strstr(ph_context_error(context), "step 1"));
    assert_non_null(strstr(ph_context_error(context), "first in layer"));
    assert_null(pictures[0]);
    assert_null(pictures[1]);
    ph_recipe_destroy(&recipe);
    assert_int_equal(ph_model_set_preprocessing(model, &proper), PH_OK);
}

static void mistakes_are_found_before_work_begins(void **state) {
    (void)state;
    static const struct { const char *objective; ph_status status; const char *said; } cases[] = {
        {"conv3:5", PH_ERROR_NOT_FOUND, "conv3a"}, {"conv3a:5 +", PH_ERROR_ARGUMENT, "character 11"},
        {"conv3a:0-3", PH_ERROR_ARGUMENT, "several"}, {"conv3a:999", PH_ERROR_NOT_FOUND, "0 to 95"}};
    ph_recipe *recipe = recipe_of("size=48\nsteps=5");
    for (int i = 0; i < PH_COUNT(cases); i++) {
        const char *objectives[] = {"conv3a:1", cases[i].objective};
        struct watch watch = {0};
        ph_render_callbacks callbacks = {watch_progress, watch_snapshot, watch_finished, &watch};
        ph_picture *pictures[2];
        assert_int_equal(ph_render(model, recipe, objectives, 2, &callbacks, pictures), cases[i].status);
        if (!strstr(ph_context_error(context), cases[i].said)) fail_msg("%s", ph_context_error(context));
        assert_int_equal(watch.calls, 0);
    }
    assert_int_equal(ph_render(NULL, recipe, two, 2, NULL, NULL), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_render(model, recipe, two, 0, NULL, NULL), PH_ERROR_ARGUMENT);
    ph_recipe_destroy(&recipe);
}

static void failing_memory_leaves_nothing_behind(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_of("size=32\nsteps=2\nredirect-steps=1\nsnapshots=1,\nkeep-best=1\nnormalise=mean");
    for (long after = 0;; after += 1 + after / 8) {
        struct watch watch = {0};
        ph_render_callbacks callbacks = {watch_progress, watch_snapshot, watch_finished, &watch};
        ph_picture *pictures[2];
        ph_alloc_fail_after(after);
        ph_status status = ph_render(model, recipe, two, 2, &callbacks, pictures);
        ph_alloc_fail_after(-1);
        for (int p = 0; p < 2; p++) ph_picture_destroy(&pictures[p]);
        if (!status) break;
        assert_int_equal(status, PH_ERROR_MEMORY);
    }
    ph_recipe_destroy(&recipe);
}

/* ---- The plan, the classes, the catalogues ----------------------------------------------------------------------- */

static void a_plan_has_a_line_for_each_step(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_of("size=48");
    char *text;
    assert_int_equal(ph_plan_text(model, recipe, "conv3a:5", false, &text), PH_OK);
    static const char *const said[] = {"irfft2", "affine_warp", "conv3a", "forward", "backward", "arena"};
    for (int i = 0; i < PH_COUNT(said); i++) assert_non_null(strstr(text, said[i]));
    assert_null(strstr(text, "conv4a")); /* nothing behind the last tap */
    ph_string_destroy(&text);
    assert_null(text);
    assert_int_equal(ph_plan_text(model, recipe, "conv3:5", false, &text), PH_ERROR_NOT_FOUND);
    assert_null(text);
    ph_recipe_destroy(&recipe);
}

/* What was rendered for a class is classified as that class, and probabilities are those of the scores. */
static void rendered_classes_are_recognised(void **state) {
    (void)state;
    enum { ALL = 100 };
    static const char *const names[] = {"monarch", "king penguin", "school bus"};
    for (int i = 0; i < PH_COUNT(names); i++) {
        char objective[64];
        snprintf(objective, sizeof objective, "class:%s", names[i]);
        ph_picture *picture = render("size=64\nsteps=48", objective);
        ph_class_score scores[ALL + 5];
        int found = 0;
        assert_int_equal(ph_classify(model, picture, "stretch", scores, ALL + 5, &found), PH_OK);
        assert_int_equal(found, ALL);
        double sum = 0, exponentials = 0;
        for (int s = 0; s < ALL; s++) {
            sum += scores[s].probability;
            exponentials += exp((double)scores[s].logit - scores[0].logit);
            if (s) assert_true(scores[s].logit <= scores[s - 1].logit);
        }
        assert_float_equal(sum, 1, 1e-4);
        assert_float_equal(scores[0].probability, 1 / exponentials, 1e-4);
        int index;
        assert_int_equal(ph_model_find_class(model, names[i], &index), PH_OK);
        assert_int_equal(scores[0].index, index);
        assert_float_equal(scores[0].logit, ph_picture_value(picture), 0.05 * fabs(ph_picture_value(picture)));
        ph_picture_destroy(&picture);
    }
}

static void catalogues_are_complete(void **state) {
    (void)state;
    int kinds = 0;
    for (; ph_catalogue_kind(kinds); kinds++) {
        const char *kind = ph_catalogue_kind(kinds);
        const ph_catalogue_entry *entry;
        int count = 0;
        for (; (entry = ph_catalogue(kind, count)); count++) assert_true(entry->name[0] && entry->help[0]);
        if (!count) fail_msg("%s has no entries", kind);
        assert_null(ph_catalogue(kind, -1));
    }
    assert_true(kinds >= 9);
    assert_null(ph_catalogue("nothing", 0));
    assert_null(ph_catalogue_kind(-1));
}

static int start(void **state) {
    (void)state;
    return ph_model_load(context, NULL, &model) != PH_OK;
}

static int finish(void **state) {
    (void)state;
    ph_model_destroy(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objectives_rise),
        cmocka_unit_test(a_minus_minimises),
        cmocka_unit_test(a_target_is_met),
        cmocka_unit_test(silent_units_wake),
        cmocka_unit_test(every_way_of_making_a_picture_works),
        cmocka_unit_test(fixed_layers_see_the_picture_scaled),
        cmocka_unit_test(threads_and_repeats_give_the_same_bytes),
        cmocka_unit_test(neighbours_do_not_matter),
        cmocka_unit_test(every_method_gives_the_same_bytes),
        cmocka_unit_test(neighbours_do_not_matter_to_methods),
        cmocka_unit_test(a_reached_value_ends_the_way),
        cmocka_unit_test(the_best_is_kept),
        cmocka_unit_test(the_best_attempt_is_given),
        cmocka_unit_test(renders_start_from_pictures),
        cmocka_unit_test(opacity_is_a_channel),
        cmocka_unit_test(contradictions_are_said),
        cmocka_unit_test(snapshots_of_a_course_come_again),
        cmocka_unit_test(seeds_matter),
        cmocka_unit_test(a_picture_carries_what_makes_it_again),
        cmocka_unit_test(progress_and_snapshots_come_in_order),
        cmocka_unit_test(a_stopped_render_gives_what_it_has),
        cmocka_unit_test(the_loop_allocates_nothing),
        cmocka_unit_test(a_lasting_silence_is_said),
        cmocka_unit_test(what_goes_nowhere_is_said),
        cmocka_unit_test(numbers_that_overflow_are_an_error),
        cmocka_unit_test(mistakes_are_found_before_work_begins),
        cmocka_unit_test(failing_memory_leaves_nothing_behind),
        cmocka_unit_test(a_plan_has_a_line_for_each_step),
        cmocka_unit_test(rendered_classes_are_recognised),
        cmocka_unit_test(catalogues_are_complete),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, start, finish);
    ph_context_destroy(&context);
    return failed;
}
