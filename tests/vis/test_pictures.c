/* Several pictures of one objective, and regularisers that are balanced on the way. */
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 4 };

static ph_context *context;
static ph_model *model; /* the embedded network */
static char logged[4096];

static void keep_log(void *user, const char *text) {
    (void)user;
    size_t length = strlen(logged);
    snprintf(logged + length, sizeof logged - length, "%s\n", text);
}

static ph_recipe *recipe_make(const char *options) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    if (ph_recipe_parse(recipe, "size=48\nsteps=12\nredirect-steps=4\n") || ph_recipe_parse(recipe, options))
        fail_msg("%s", ph_context_error(context));
    return recipe;
}

static ph_status render(const char *options, const char *const *objectives, int count,
                        const ph_render_callbacks *callbacks, ph_picture **pictures) {
    ph_recipe *recipe = recipe_make(options);
    ph_status status = ph_render(model, recipe, objectives, count, callbacks, pictures);
    ph_recipe_destroy(&recipe);
    return status;
}

static void pictures_destroy(ph_picture **pictures, int count) {
    for (int i = 0; i < count; i++) ph_picture_destroy(&pictures[i]);
}

static bool same_bytes(const ph_picture *a, const ph_picture *b) {
    size_t size = (size_t)ph_picture_width(a) * (size_t)ph_picture_height(a) * 3;
    return !memcmp(ph_picture_pixels(a), ph_picture_pixels(b), size * sizeof(float));
}

/* ---- Pictures ------------------------------------------------------------------------------------------------------- */

static void each_starts_elsewhere(void **state) {
    (void)state;
    static const char *const objectives[] = {"conv2:3", "conv2:5"};
    ph_picture *pictures[2 * MOST], *alone[1];
    char item[16];
    assert_int_equal(render("pictures=3\n", objectives, 2, NULL, pictures), PH_OK);
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < i; j++) assert_false(same_bytes(pictures[i], pictures[j]));
        assert_true(ph_recipe_lookup(ph_picture_recipe(pictures[i]), "item", item, sizeof item));
        assert_int_equal(atoi(item), i % 3 + 1);
        assert_true(ph_recipe_lookup(ph_picture_recipe(pictures[i]), "#objective", item, sizeof item));
        assert_string_equal(item, objectives[i / 3]);
    }
    /* Without anything that ties them together, the first is the only one that there would be otherwise. */
    assert_int_equal(render("", objectives, 1, NULL, alone), PH_OK);
    assert_true(same_bytes(alone[0], pictures[0]));
    pictures_destroy(alone, 1);
    pictures_destroy(pictures, 6);
}

/* A picture's recipe makes that picture again, with its company. */
static void a_recipe_gives_its_own_picture(void **state) {
    (void)state;
    static const char *const objective[] = {"conv2:3 - 0.2*diversity(conv2)"};
    ph_picture *pictures[MOST], *again[1];
    assert_int_equal(render("pictures=3\nviews=2\n", objective, 1, NULL, pictures), PH_OK);
    for (int i = 0; i < 3; i++) {
        ph_recipe *recipe = recipe_make(ph_picture_recipe(pictures[i]));
        assert_int_equal(ph_render(model, recipe, objective, 1, NULL, again), PH_OK);
        assert_true(same_bytes(pictures[i], again[0]));
        assert_string_equal(ph_picture_recipe(pictures[i]), ph_picture_recipe(again[0]));
        assert_true(ph_picture_value(pictures[i]) == ph_picture_value(again[0]));
        pictures_destroy(again, 1);
        ph_recipe_destroy(&recipe);
    }
    pictures_destroy(pictures, 3);
}

static void diversity_makes_them_differ(void **state) {
    (void)state;
    static const char *const plain[] = {"conv3a:7"}, *const diverse[] = {"conv3a:7 - 0.5*diversity(conv3a)"};
    ph_picture *a[MOST], *b[MOST];
    double distance[2] = {0};
    assert_int_equal(render("pictures=3\nsteps=40\n", plain, 1, NULL, a), PH_OK);
    assert_int_equal(render("pictures=3\nsteps=40\n", diverse, 1, NULL, b), PH_OK);
    for (int set = 0; set < 2; set++) {
        ph_picture **pictures = set ? b : a;
        ph_tensor *layers[3];
        double grams[3][96], norms[3] = {0};
        for (int i = 0; i < 3; i++) {
            assert_int_equal(ph_activations(model, pictures[i], "none", "conv3a", &layers[i]), PH_OK);
            int64_t plane = layers[i]->dims[2] * layers[i]->dims[3];
            for (int c = 0; c < 96; c++) { /* the Gram matrix's diagonal is enough to tell */
                grams[i][c] = 0;
                for (int64_t p = 0; p < plane; p++)
                    grams[i][c] += (double)layers[i]->data[c * plane + p] * (double)layers[i]->data[c * plane + p];
                norms[i] += grams[i][c] * grams[i][c];
            }
            ph_tensor_destroy(&layers[i]);
        }
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < i; j++)
                for (int c = 0; c < 96; c++) distance[set] += grams[i][c] * grams[j][c] / sqrt(norms[i] * norms[j]);
    }
    if (!(distance[1] < 0.8 * distance[0])) fail_msg("likeness %g, with diversity %g", distance[0], distance[1]);
    pictures_destroy(a, 3);
    pictures_destroy(b, 3);
}

static void interpolation_runs_from_one_to_the_other(void **state) {
    (void)state;
    static const char *const objective[] = {"interpolate(conv3a:7, conv3a:40) + 0.01*align(conv2)"};
    ph_picture *pictures[MOST];
    double values[2][3];
    assert_int_equal(render("pictures=3\nsteps=32\n", objective, 1, NULL, pictures), PH_OK);
    for (int i = 0; i < 3; i++)
        for (int unit = 0; unit < 2; unit++) {
            ph_tensor *gradient;
            float value;
            assert_int_equal(ph_gradient(model, pictures[i], "none", unit ? "conv3a:40" : "conv3a:7", &value, &gradient), PH_OK);
            values[unit][i] = (double)value;
            ph_tensor_destroy(&gradient);
        }
    if (!(values[0][0] > 2 * values[0][2] && values[1][2] > 2 * values[1][0]))
        fail_msg("%g to %g, %g to %g", values[0][0], values[0][2], values[1][0], values[1][2]);
    pictures_destroy(pictures, 3);
}

struct calls { int finished, snapshots, first, count; };

static bool on_progress(void *user, const ph_progress *progress) {
    struct calls *calls = user;
    calls->first = progress->first;
    calls->count = progress->count;
    return isfinite(progress->values[0]);
}

static void on_snapshot(void *user, int item, int step, const ph_picture *picture) {
    struct calls *calls = user;
    assert_non_null(picture);
    assert_int_equal(step, 6);
    calls->snapshots += 1 << 4 * item;
}

static void on_finished(void *user, int item, const ph_picture *picture) {
    struct calls *calls = user;
    assert_non_null(picture);
    calls->finished += 1 << 4 * item;
}

static void callbacks_name_what_is_given(void **state) {
    (void)state;
    static const char *const objectives[] = {"conv2:3", "conv2:5"};
    struct calls all = {0}, one = {0};
    ph_render_callbacks callbacks = {on_progress, on_snapshot, on_finished, &all};
    ph_picture *pictures[MOST];
    assert_int_equal(render("pictures=2\nsnapshots=6,\n", objectives, 2, &callbacks, pictures), PH_OK);
    pictures_destroy(pictures, 4);
    callbacks.user = &one;
    assert_int_equal(render("pictures=2\nitem=2\nsnapshots=6,\n", objectives, 2, &callbacks, pictures), PH_OK);
    pictures_destroy(pictures, 2);
    assert_int_equal(all.finished, 0x1111);
    assert_int_equal(all.snapshots, 0x1111);
    assert_int_equal(all.first, 2);
    assert_int_equal(all.count, 2);
    assert_int_equal(one.finished, 0x11);
    assert_int_equal(one.snapshots, 0x11);
    assert_int_equal(one.first, 1);
    assert_int_equal(one.count, 1);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    static const struct { const char *options, *objective, *said; } cases[] = {
        {"pictures=2\nitem=3\n", "conv2:3", "number 3"}, {"pictures=33\nviews=2\n", "conv2:3", "at once"},
        {"pictures=2\noptimiser=lbfgs\n", "conv2:3", "lbfgs"}, {"", "conv2:3 - diversity(conv2)", "pictures"},
        {"pictures=2\n", "item(3, conv2:3)", "1 to 2"}, {"auto-weight=2\n", "-tv() - l2()", "alone"},
        {"", "conv2:3 - distance()", "init"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_picture *pictures[2 * PH_MAX_BATCH] = {0};
        if (!strcmp(cases[i].options, "pictures=2\noptimiser=lbfgs\n")) {
            bool there = false;
            for (int j = 0; ph_optimisers[j]; j++) there |= !strcmp(ph_optimisers[j]->name, "lbfgs");
            if (!there) continue;
        }
        assert_true(render(cases[i].options, &cases[i].objective, 1, NULL, pictures) != PH_OK);
        if (!strstr(ph_context_error(context), cases[i].said))
            fail_msg("%s %s: %s", cases[i].options, cases[i].objective, ph_context_error(context));
        assert_null(pictures[0]);
    }
}

/* ---- Grey pictures --------------------------------------------------------------------------------------------------- */

/* A regulariser that leaves nothing of a picture does not do so without a word. */
static void grey_pictures_come_with_a_word(void **state) {
    (void)state;
    static const char *const grey[] = {"conv3a:7 - 100*l2()"}, *const good[] = {"conv3a:7"};
    const char *said = "the picture is nearly of one colour";
    ph_picture *picture;
    logged[0] = 0;
    assert_int_equal(render("steps=48\n", grey, 1, NULL, &picture), PH_OK);
    ph_picture_destroy(&picture);
    assert_non_null(strstr(logged, said));
    logged[0] = 0;
    assert_int_equal(render("steps=48\n", good, 1, NULL, &picture), PH_OK);
    ph_picture_destroy(&picture);
    assert_null(strstr(logged, said));
}

/* ---- Balance -------------------------------------------------------------------------------------------------------- */

/* The measured weight makes up for the written form: a regulariser in units a thousand times as small counts the same. */
static void balance_is_free_of_units(void **state) {
    (void)state;
    static const char *const a[] = {"conv3a:7 - 0.3*tv()"}, *const b[] = {"1000*conv3a:7 - 0.3*tv()"};
    const char *method = "auto-weight=6\noptimiser=sgd\nnormalise=l2\nlearning-rate=1\n"; /* free of units too */
    ph_picture *pictures[3];
    logged[0] = 0;
    assert_int_equal(render(method, a, 1, NULL, &pictures[0]), PH_OK);
    assert_non_null(strstr(logged, "after step 6 the weight of tv() is -"));
    assert_int_equal(render(method, b, 1, NULL, &pictures[1]), PH_OK);
    double off = 0, size = 0;
    for (int i = 0; i < 3 * 48 * 48; i++) {
        double x = (double)ph_picture_pixels(pictures[0])[i], y = (double)ph_picture_pixels(pictures[1])[i];
        off += (x - y) * (x - y), size += (x - 0.5) * (x - 0.5);
    }
    if (!(off < 1e-4 * size)) fail_msg("off by %g of %g", off, size);
    /* And it does something. */
    static const char *const free_of_it[] = {"conv3a:7"};
    assert_int_equal(render(method, free_of_it, 1, NULL, &pictures[2]), PH_OK);
    assert_false(same_bytes(pictures[0], pictures[2]));
    pictures_destroy(pictures, 3);
}

/* Before the balance regularisers do not count; each item of a batch has its own weight, whatever is beside it. */
static void balance_begins_when_told_and_is_each_items_own(void **state) {
    (void)state;
    static const char *const with[] = {"conv3a:7 - 0.3*tv() - 0.1*l2()", "conv3a:9 - 0.3*tv() - 0.1*l2()"};
    static const char *const without[] = {"conv3a:7"};
    ph_picture *early, *plain, *both[2], *alone;
    assert_int_equal(render("auto-weight=12\n", with, 1, NULL, &early), PH_OK);
    assert_int_equal(render("", without, 1, NULL, &plain), PH_OK);
    assert_true(same_bytes(early, plain));
    assert_int_equal(render("auto-weight=3\nbatch=2\n", with, 2, NULL, both), PH_OK);
    assert_int_equal(render("auto-weight=3\n", with + 1, 1, NULL, &alone), PH_OK);
    assert_true(same_bytes(both[1], alone));
    assert_true(ph_picture_value(both[1]) == ph_picture_value(alone));
    assert_false(same_bytes(both[0], early));
    pictures_destroy(both, 2);
    ph_picture_destroy(&early);
    ph_picture_destroy(&plain);
    ph_picture_destroy(&alone);
}

static void balance_goes_with_bests_and_attempts(void **state) {
    (void)state;
    static const char *const objective[] = {"conv3a:7 - 0.3*tv()"};
    ph_picture *pictures[MOST];
    assert_int_equal(render("auto-weight=5\nkeep-best=3\nattempts=2\npictures=2\nplateau=3\n", objective, 1, NULL,
                            pictures), PH_OK);
    for (int i = 0; i < 2; i++) assert_true(isfinite(ph_picture_value(pictures[i])));
    pictures_destroy(pictures, 2);
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
        cmocka_unit_test(each_starts_elsewhere),
        cmocka_unit_test(a_recipe_gives_its_own_picture),
        cmocka_unit_test(diversity_makes_them_differ),
        cmocka_unit_test(interpolation_runs_from_one_to_the_other),
        cmocka_unit_test(callbacks_name_what_is_given),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(grey_pictures_come_with_a_word),
        cmocka_unit_test(balance_is_free_of_units),
        cmocka_unit_test(balance_begins_when_told_and_is_each_items_own),
        cmocka_unit_test(balance_goes_with_bests_and_attempts),
    };
    context = ph_context_create();
    ph_context_set_log(context, keep_log, NULL);
    int failed = cmocka_run_group_tests(tests, start, finish);
    ph_context_destroy(&context);
    return failed;
}
