/* Recipes: every option of the table is read, refused and printed; texts make the same recipe again. */
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static ph_context *context;

static ph_recipe *recipe_make(void) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    return recipe;
}

static void set(ph_recipe *recipe, const char *name, const char *value) {
    if (ph_recipe_set(recipe, name, value)) fail_msg("%s", ph_context_error(context));
}

static void defaults_are_canonical_and_documented(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_make();
    const ph_option_info *option;
    int count = 0;
    for (; (option = ph_recipe_option(count)); count++) {
        assert_string_equal(ph_recipe_get(recipe, option->name), option->initial);
        assert_true(strlen(option->help) > 10 && option->group[0]);
        for (int i = 0; i < count; i++) assert_string_not_equal(ph_recipe_option(i)->name, option->name);
        set(recipe, option->name, option->initial);
    }
    assert_true(count > 15);
    assert_null(ph_recipe_option(-1));
    char *text;
    assert_int_equal(ph_recipe_text(recipe, &text), PH_OK);
    assert_string_equal(text, "");
    ph_string_destroy(&text);
    ph_recipe_destroy(&recipe);
}

static void values_are_read_and_printed(void **state) {
    (void)state;
    static const struct { const char *name, *value, *printed; } cases[] = {
        {"size", "300", "300"}, {"size", "300x200", "300x200"}, {"size", "64x64", "64"}, {"size", "auto", "auto"},
        {"input-size", "224", "224"}, {"seed", "007", "7"}, {"seed", "9007199254740992", "9007199254740992"},
        {"target", "-1.50", "-1.5"}, {"target", "none", "none"}, {"learning-rate", "5e-2", "0.05"},
        {"learning-rate", "0.1", "0.1"}, {"learning-rate", "0.333333333333", "0.333333333333"},
        {"decorrelate", "false", "false"}, {"parameterisation", "pixel", "pixel"}, {"border", "wrap", "wrap"},
        {"scale", "0.9,1,1.10", "0.9,1,1.1"}, {"scale", "0.2", "0.2"}, {"rotate", "-5,", "-5,"}, {"rotate", "0", "0"},
        {"snapshots", "1,16,256", "1,16,256"}, {"snapshots", "4", "4"}, {"snapshots", "7,", "7,"},
        {"band-limit", "0.25", "0.25"}, {"batch", "64", "64"}, {"transforms", "none", "none"}};
    ph_recipe *recipe = recipe_make();
    for (int i = 0; i < PH_COUNT(cases); i++) {
        set(recipe, cases[i].name, cases[i].value);
        assert_string_equal(ph_recipe_get(recipe, cases[i].name), cases[i].printed);
    }
    ph_recipe_destroy(&recipe);
}

static void bad_values_are_refused_with_what_would_be_valid(void **state) {
    (void)state;
    static const struct { const char *name, *value, *said; } cases[] = {
        {"size", "0", "8 to 16384"}, {"size", "3x", "WIDTHxHEIGHT"}, {"size", "99999999999999999999", "16384"},
        {"size", "64x64x64", "WIDTHxHEIGHT"}, {"size", "", "auto"}, {"seed", "-1", "from 0"}, {"seed", "1.5", "whole"},
        {"seed", "99999999999999999999", "whole"}, {"steps", "ten", "whole number"}, {"learning-rate", "nan", "number"},
        {"learning-rate", "inf", "number"}, {"learning-rate", "-1", "from 0"}, {"target", "1e300", "none"},
        {"decorrelate", "yes", "true or false"}, {"parameterisation", "pixels", "fourier, pixel"},
        {"border", "gray", "grey, reflect, wrap or random"}, {"scale", "", "number"}, {"scale", ",", "number"},
        {"scale", "1,,2", "number"}, {"scale", "9", "8"}, {"snapshots", "1,0", "whole"}, {"snapshots", "1.5", "whole"},
        {"batch", "65", "64"}, {"optimiser", "sgdm", "adam, nadam"}, {"preset", "lucids", "lucid"}};
    ph_recipe *recipe = recipe_make();
    for (int i = 0; i < PH_COUNT(cases); i++) {
        assert_int_equal(ph_recipe_set(recipe, cases[i].name, cases[i].value), PH_ERROR_ARGUMENT);
        if (!strstr(ph_context_error(context), cases[i].said) || !strstr(ph_context_error(context), cases[i].name))
            fail_msg("%s=%s: %s", cases[i].name, cases[i].value, ph_context_error(context));
    }
    char many[PH_MAX_NUMBERS * 2 + 4] = "";
    for (int i = 0; i <= PH_MAX_NUMBERS; i++) strcat(many, "1,");
    assert_int_equal(ph_recipe_set(recipe, "scale", many), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_recipe_set(recipe, "stpes", "3"), PH_ERROR_NOT_FOUND);
    assert_non_null(strstr(ph_context_error(context), "steps"));
    /* What was refused changed nothing. */
    char *text;
    assert_int_equal(ph_recipe_text(recipe, &text), PH_OK);
    assert_string_equal(text, "");
    ph_string_destroy(&text);
    ph_recipe_destroy(&recipe);
}

static void texts_make_the_same_recipe(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_make(), *again = recipe_make();
    set(recipe, "size", "96x64");
    set(recipe, "rotate", "-3,0,3");
    set(recipe, "learning-rate", "0.0123456789");
    set(recipe, "decorrelate", "false");
    set(recipe, "batch", "3");
    set(recipe, "snapshots", "2");
    char *text, *text_again;
    assert_int_equal(ph_recipe_text(recipe, &text), PH_OK);
    /* In the table's order; what does not shape the picture is left out. */
    assert_string_equal(text, "size=96x64\ndecorrelate=false\nrotate=-3,0,3\nlearning-rate=0.0123456789\n");
    assert_int_equal(ph_recipe_parse(again, text), PH_OK);
    assert_int_equal(ph_recipe_text(again, &text_again), PH_OK);
    assert_string_equal(text, text_again);
    assert_true(again->learning_rate == 0.0123456789 && again->size.width == 96 && again->rotate.count == 3);
    ph_string_destroy(&text);
    ph_string_destroy(&text_again);
    ph_recipe_destroy(&recipe);
    ph_recipe_destroy(&again);
}

static void texts_are_read_leniently_and_refused_precisely(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_make();
    assert_int_equal(ph_recipe_parse(recipe, "#objective=a:1=b\r\n\r\nsteps=12\r\n#value=3\nseed=5"), PH_OK);
    assert_true(recipe->steps == 12 && recipe->seed == 5);
    assert_int_equal(ph_recipe_parse(recipe, "steps 12"), PH_ERROR_FORMAT);
    assert_int_equal(ph_recipe_parse(recipe, "steps=\n"), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_recipe_parse(recipe, "=5\n"), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_recipe_parse(recipe, NULL), PH_ERROR_ARGUMENT);
    char value[16];
    const char *text = "#objective=a:1=b\r\nsteps=12\n#long=0123456789012345678901234567890\n#empty=\nword\n";
    assert_true(ph_recipe_lookup(text, "#objective", value, sizeof value));
    assert_string_equal(value, "a:1=b");
    assert_true(ph_recipe_lookup(text, "steps", value, sizeof value));
    assert_string_equal(value, "12");
    assert_true(ph_recipe_lookup(text, "#long", value, sizeof value));
    assert_string_equal(value, "012345678901234");
    assert_true(ph_recipe_lookup(text, "#empty", value, sizeof value));
    assert_string_equal(value, "");
    assert_false(ph_recipe_lookup(text, "word", value, sizeof value));
    assert_false(ph_recipe_lookup(text, "#object", value, sizeof value));
    ph_recipe_destroy(&recipe);
}

static void presets_set_the_method_and_nothing_else(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_make();
    set(recipe, "seed", "9");
    set(recipe, "size", "64");
    for (int i = 0; ph_preset_name(i); i++) set(recipe, "preset", ph_preset_name(i)); /* each can be applied */
    set(recipe, "preset", "article");
    assert_true(recipe->jitter == 16 && recipe->steps == 2560 && recipe->scale.count == 5 &&
                recipe->rotate.count == 11);
    set(recipe, "jitter", "3");
    assert_true(recipe->jitter == 3);
    set(recipe, "preset", "lucid");
    char *text;
    assert_int_equal(ph_recipe_text(recipe, &text), PH_OK);
    assert_string_equal(text, "size=64\nseed=9\n");
    ph_string_destroy(&text);
    ph_recipe_destroy(&recipe);
}

static void snapshots_fall_due(void **state) {
    (void)state;
    static const struct { const char *value; int steps[4], count; } cases[] = {
        {"4", {3, 5, 8, 10}, 4}, {"1", {10}, 1}, {"0", {0}, 0}, {"2,9,30", {2, 9}, 2}, {"7,", {7}, 1}};
    ph_recipe *recipe = recipe_make();
    set(recipe, "steps", "10");
    for (int c = 0; c < PH_COUNT(cases); c++) {
        int found = 0;
        set(recipe, "snapshots", cases[c].value);
        for (int step = 0; step <= 10; step++)
            if (ph_recipe_snapshot_due(recipe, step)) {
                assert_true(found < cases[c].count);
                assert_int_equal(step, cases[c].steps[found++]);
            }
        assert_int_equal(found, cases[c].count);
    }
    ph_recipe_destroy(&recipe);
}

/* A count beyond the steps gives each step once. */
static void more_snapshots_than_steps(void **state) {
    (void)state;
    ph_recipe *recipe = recipe_make();
    set(recipe, "steps", "3");
    set(recipe, "snapshots", "100");
    int found = 0;
    for (int step = 0; step <= 3; step++) found += ph_recipe_snapshot_due(recipe, step);
    assert_int_equal(found, 3);
    ph_recipe_destroy(&recipe);
}

static void failing_memory_leaves_a_recipe_whole(void **state) {
    (void)state;
    for (int after = 0; after < 200; after++) {
        ph_recipe *recipe = NULL;
        ph_alloc_fail_after(after);
        ph_status status = ph_recipe_create(context, &recipe);
        if (!status) status = ph_recipe_set(recipe, "preset", "article");
        ph_alloc_fail_after(-1);
        ph_recipe_destroy(&recipe);
        if (!status) return;
        assert_int_equal(status, PH_ERROR_MEMORY);
    }
    fail_msg("200 allocations are not enough");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_canonical_and_documented),
        cmocka_unit_test(values_are_read_and_printed),
        cmocka_unit_test(bad_values_are_refused_with_what_would_be_valid),
        cmocka_unit_test(texts_make_the_same_recipe),
        cmocka_unit_test(texts_are_read_leniently_and_refused_precisely),
        cmocka_unit_test(presets_set_the_method_and_nothing_else),
        cmocka_unit_test(snapshots_fall_due),
        cmocka_unit_test(more_snapshots_than_steps),
        cmocka_unit_test(failing_memory_leaves_a_recipe_whole),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    return failed;
}
