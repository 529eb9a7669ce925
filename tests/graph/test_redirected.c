/* The redirected activations: an item of the batch that the plain rule would leave without any gradient gets it where
 * that wakes something; an item which has some is left to the plain rule. The loss falls against its gradient, so a
 * negative gradient asks an element to rise. */
#include "graph/operations.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { ITEMS = 2, SIZE = 4 };

static void check(const struct ph_operation *operation, const void *attributes, const float x[ITEMS][SIZE],
                  const float y_gradient[ITEMS][SIZE], const float expected[ITEMS][SIZE]) {
    const struct ph_shape shape = PH_SHAPE(ITEMS, SIZE, 1, 1), *shapes = &shape;
    float x_gradient[ITEMS][SIZE];
    for (int n = 0; n < ITEMS; n++)
        for (int i = 0; i < SIZE; i++) x_gradient[n][i] = 10;
    const enum ph_type type = PH_FLOAT;
    const void *inputs = x, *output_gradients = y_gradient;
    void *outputs = NULL, *input_gradients = x_gradient;
    operation->backward(&(struct ph_call){.attributes = attributes, .input_count = 1, .output_count = 1,
        .input_shapes = &shapes, .input_types = &type, .output_shapes = &shape, .output_types = &type, .inputs = &inputs,
        .outputs = &outputs, .output_gradients = &output_gradients, .input_gradients = &input_gradients});
    for (int n = 0; n < ITEMS; n++)
        for (int i = 0; i < SIZE; i++)
            if (x_gradient[n][i] != 10 + expected[n][i])
                fail_msg("%s: item %d, element %d: %g added, %g expected", operation->name, n, i, x_gradient[n][i] - 10,
                         expected[n][i]);
}

/* Item 0 is silent; item 1 has one active element with a gradient. */
static void test_relu_wakes_the_silent_item_only(void **state) {
    (void)state;
    check(&ph_operation_redirected_relu, NULL, (const float[ITEMS][SIZE]){{-1, -2, 0, -3}, {-1, -2, 0, 3}},
          (const float[ITEMS][SIZE]){{-5, 4, -3, 0}, {-5, 4, -3, 2}},
          (const float[ITEMS][SIZE]){{-5, 0, 0, 0}, {0, 0, 0, 2}});
}

/* What counts is the gradient that passes, not the activity: an active element nobody asks for does not help. */
static void test_relu_wakes_an_active_item_without_gradient(void **state) {
    (void)state;
    check(&ph_operation_redirected_relu, NULL, (const float[ITEMS][SIZE]){{-1, 2, 3, -4}, {1, 2, 3, 4}},
          (const float[ITEMS][SIZE]){{-5, 0, 0, -6}, {0, 0, 0, 0}},
          (const float[ITEMS][SIZE]){{-5, 0, 0, -6}, {0, 0, 0, 0}});
}

/* From below the range upwards and from above it downwards; nothing at the bounds themselves. */
static void test_clip_wakes_from_both_sides(void **state) {
    (void)state;
    const struct ph_activation_attributes relu6 = {.low = 0, .high = 6};
    check(&ph_operation_redirected_clip, &relu6, (const float[ITEMS][SIZE]){{-1, 7, 0, 6}, {-1, 7, 8, -2}},
          (const float[ITEMS][SIZE]){{-5, 4, -3, 2}, {5, -4, 3, -2}},
          (const float[ITEMS][SIZE]){{-5, 4, 0, 0}, {0, 0, 3, -2}});
    check(&ph_operation_redirected_clip, &relu6, (const float[ITEMS][SIZE]){{-1, 7, 3, -1}, {5, 1, 2, 3}},
          (const float[ITEMS][SIZE]){{-5, 4, -3, 2}, {5, -4, 3, -2}},
          (const float[ITEMS][SIZE]){{0, 0, -3, 0}, {5, -4, 3, -2}});
}

static void test_ruled_clip_passes_by_its_rule(void **state) {
    (void)state;
    static const float x[ITEMS][SIZE] = {{-1, 2, 3, 7}, {-1, 2, 3, 7}}, g[ITEMS][SIZE] = {{-5, 4, -3, -2}, {1, 1, 1, 1}};
    static const struct { enum ph_backward_rule rule; float expected[ITEMS][SIZE]; } cases[] = {
        {PH_RULE_PLAIN, {{0, 4, -3, 0}, {0, 1, 1, 0}}},
        {PH_RULE_GUIDED, {{0, 0, -3, 0}, {0, 0, 0, 0}}},
        {PH_RULE_DECONVOLUTION, {{-5, 0, -3, -2}, {0, 0, 0, 0}}}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        const struct ph_activation_attributes relu6 = {.low = 0, .high = 6, .rule = cases[i].rule};
        check(&ph_operation_ruled_clip, &relu6, x, g, cases[i].expected);
    }
}

/* The gradient goes to all elements of a window alike. */
static void test_softened_pool_spreads(void **state) {
    (void)state;
    const struct ph_pool_attributes pool = {.kernel = {1, 2, 1}, .stride = {1, 2, 1}, .dilation = {1, 1, 1},
        .output = {1, 2, 1}};
    const struct ph_shape in = PH_SHAPE(1, 1, 4, 1), out = PH_SHAPE(1, 1, 2, 1), *shapes = &in;
    const enum ph_type type = PH_FLOAT;
    static const float y_gradient[2] = {4, -6}, expected[4] = {2, 2, -3, -3};
    float x_gradient[4] = {0};
    const void *output_gradients = y_gradient;
    void *input_gradients = x_gradient;
    ph_operation_softened_max_pool.backward(&(struct ph_call){.attributes = &pool, .input_count = 1, .output_count = 1,
        .input_shapes = &shapes, .input_types = &type, .output_shapes = &out, .output_types = &type,
        .output_gradients = &output_gradients, .input_gradients = &input_gradients});
    for (int i = 0; i < 4; i++) assert_true(x_gradient[i] == expected[i]);
}

/* Activity, and a silent item's lack of it, is the plain functions': the forward is the same code. */
static void test_forward_is_the_plain_one(void **state) {
    (void)state;
    assert_ptr_equal(ph_operation_redirected_relu.forward, ph_operation_relu.forward);
    assert_ptr_equal(ph_operation_redirected_clip.forward, ph_operation_clip.forward);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relu_wakes_the_silent_item_only),
        cmocka_unit_test(test_relu_wakes_an_active_item_without_gradient),
        cmocka_unit_test(test_clip_wakes_from_both_sides),
        cmocka_unit_test(test_ruled_clip_passes_by_its_rule),
        cmocka_unit_test(test_softened_pool_spreads),
        cmocka_unit_test(test_forward_is_the_plain_one),
    };
    return cmocka_run_group_tests_name("redirected", tests, NULL, NULL);
}
