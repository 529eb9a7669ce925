/* Adversarial pictures: as PyTorch makes them by the same steps written out (make_adversarial.py), within their balls on 8
 * bits too, and what cannot be asked for. */
#include "image/image.h"
#include "model/model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { SIDE = 16, COUNT = 3 * SIDE * SIDE, STEPS = 10 };

static ph_context *context;
static ph_model *model;
static ph_picture *picture;

static ph_attack *attack_of(const char *method, const char *toward, double radius, int steps) {
    ph_attack_options options = {.method = method, .fit = "none", .toward = toward, .radius = radius, .steps = steps};
    ph_attack *attack;
    if (ph_attack_create(model, picture, &options, &attack)) fail_msg("%s", ph_context_error(context));
    return attack;
}

static void steps_are_those_of_pytorch(void **state) {
    (void)state;
    static const struct { const char *method; double radius; int steps; } cases[] = {
        {"fgsm", 8.0 / 255, 1}, {"pgd-linf", 8.0 / 255, STEPS}, {"pgd-l2", 1.5, STEPS}};
    ph_tensor *wanted;
    assert_int_equal(ph_tensor_load(context, "tests/solve/data/adversarial.npy", &wanted), PH_OK);
    assert_int_equal(wanted->dims[0], 6);
    for (int i = 0; i < 6; i++) {
        ph_attack *attack = attack_of(cases[i % 3].method, i < 3 ? NULL : "0", cases[i % 3].radius, cases[i % 3].steps);
        for (int j = 0; j < COUNT; j++) assert_float_equal(attack->exact->data[j], wanted->data[i * COUNT + j], 1e-4);
        ph_attack_destroy(&attack);
    }
    ph_tensor_destroy(&wanted);
}

/* Norms are those of what is written, and what is written stays in the ball. */
static void changes_are_as_said(void **state) {
    (void)state;
    static const struct { const char *method; double radius; bool largest; } cases[] = {
        {"fgsm", 3.0 / 255, true}, {"pgd-linf", 5.0 / 255, true}, {"pgd-l2", 0.3, false}, {"pgd-l2", 1, false}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_attack *attack = attack_of(cases[i].method, NULL, cases[i].radius, 0);
        double squares = 0, largest = 0;
        int64_t changed = 0;
        for (int j = 0; j < COUNT; j++) {
            double level = 255 * (double)attack->picture->pixels[j], off;
            assert_float_equal(level, nearbyint(level), 1e-4);
            off = fabs((double)attack->picture->pixels[j] - (double)picture->pixels[j]);
            squares += off * off, largest = fmax(largest, off), changed += off > 1e-6;
        }
        assert_float_equal(attack->rounded.norm, sqrt(squares), 1e-6);
        assert_float_equal(attack->rounded.largest, largest, 1e-6);
        assert_int_equal(attack->rounded.changed, changed);
        assert_true((cases[i].largest ? largest : sqrt(squares)) <= cases[i].radius + 1e-6);
        ph_attack_destroy(&attack);
    }
}

/* The smallest change works, for every class, and no half of it that projected gradients find does. */
static void the_smallest_is_small(void **state) {
    (void)state;
    for (int class = 0; class < 5; class++) {
        char name[8];
        snprintf(name, sizeof name, "%d", class);
        ph_attack *attack = attack_of("smallest", name, 1, 200);
        assert_true(attack->succeeded);
        assert_int_equal(attack->after[0].index, class);
        double norm = attack->rounded.norm;
        if (attack->before[0].index == class) {
            assert_true(norm == 0);
        } else {
            ph_attack *half = attack_of("pgd-l2", name, norm / 2, 100);
            assert_false(half->succeeded);
            ph_attack_destroy(&half);
        }
        ph_attack_destroy(&attack);
    }
}

static void mistakes_are_said(void **state) {
    (void)state;
    static const struct { ph_attack_options options; const char *said; } cases[] = {
        {{.method = "pdg", .radius = NAN}, "smallest"}, {{.method = "fgsm", .radius = -1}, "radius"},
        {{.method = "fgsm", .radius = NAN, .steps = 3}, "one step"}, {{.method = "fgsm", .radius = INFINITY}, "radius"},
        {{.method = "fgsm", .radius = NAN, .toward = "wolf"}, "wolf"},
        {{.method = "fgsm", .radius = NAN, .toward = "5"}, "5"}, {{.method = "fgsm", .radius = NAN, .fit = "x"}, "x"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_attack *attack;
        assert_true(ph_attack_create(model, picture, &cases[i].options, &attack) != PH_OK);
        assert_null(attack);
        if (!strstr(ph_context_error(context), cases[i].said)) fail_msg("%d: %s", i, ph_context_error(context));
    }
}

static void failing_memory_is_an_error(void **state) {
    (void)state;
    bool worked = false;
    for (long after = 0; after < 100000 && !worked; after = after * 5 / 4 + 1) {
        ph_attack *attack;
        ph_alloc_fail_after(after);
        ph_status status = ph_attack_create(model, picture, NULL, &attack);
        ph_alloc_fail_after(-1);
        ph_attack_destroy(&attack);
        worked = !status;
        if (status) assert_int_equal(status, PH_ERROR_MEMORY);
    }
    assert_true(worked);
}

static int start(void **state) {
    (void)state;
    if (ph_model_load(context, "tests/solve/data/classifier.onnx", &model) ||
        ph_model_set_preprocessing_text(model, "unit", NULL, NULL, NULL, NULL) ||
        ph_picture_create(context, 3, SIDE, SIDE, &picture))
        return 1;
    for (int i = 0; i < COUNT; i++) picture->pixels[i] = (float)((37 * i * i + 11 * i) % 256) / 255;
    return 0;
}

static int finish(void **state) {
    (void)state;
    ph_picture_destroy(&picture);
    ph_model_destroy(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_those_of_pytorch), cmocka_unit_test(changes_are_as_said),
        cmocka_unit_test(the_smallest_is_small), cmocka_unit_test(mistakes_are_said),
        cmocka_unit_test(failing_memory_is_an_error),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, start, finish);
    ph_context_destroy(&context);
    return failed;
}
