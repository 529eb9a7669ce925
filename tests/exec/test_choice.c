/* What a job is measured as, and which of several made-up devices gets it. */
#include "exec/choice.h"
#include "graph/operations.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* A processor, a GPU that is far faster once it runs, a slow one that starts at once, and one that is not to be chosen. */
static const struct ph_rates devices[] = {{.gflops = 400, .launch = 1e-5}, {.gflops = 2000, .launch = 1e-5, .start = 0.5},
    {.gflops = 100, .launch = 1e-6}, {.gflops = 0}};
enum { PROCESSOR, FAST, NIMBLE, NEVER, DEVICES };

static void the_job_decides(void **state) {
    (void)state;
    static const struct { struct ph_job job; int chosen; } cases[] = {
        {{.flops = 4e9, .operations = 100, .runs = 512}, FAST},       /* 5.6 s, 2 s, 20 s */
        {{.flops = 4e9, .operations = 100, .runs = 1}, PROCESSOR},    /* 11 ms, 0.5 s, 40 ms */
        {{.flops = 1e6, .operations = 100, .runs = 512}, NIMBLE},     /* 0.51 s, 1 s, 56 ms */
        {{.flops = 0, .operations = 0, .runs = 1}, PROCESSOR}};       /* nothing: the first of those that need no time */
    for (int i = 0; i < PH_COUNT(cases); i++)
        assert_int_equal(ph_job_choose(&cases[i].job, devices, DEVICES), cases[i].chosen);
    assert_int_equal(ph_job_choose(&cases[0].job, devices, 1), PROCESSOR);
    assert_float_equal(ph_job_seconds(&cases[0].job, &devices[FAST]), 0.5 + 512 * (0.002 + 0.001), 1e-4);
    assert_true(isinf(ph_job_seconds(&cases[0].job, &devices[NEVER])));
}

/* A convolution to what is wanted, behind it one that nobody wants; of one item, whatever the batch. */
static void a_job_is_what_is_wanted_of_an_item(void **state) {
    static float weights[8 * 4 * 9], more[8 * 8];
    struct ph_job job[3];
    for (int i = 0; i < 3; i++) {
        int batch = i == 2 ? 5 : 1, x, w, v, after, loss;
        struct ph_graph *graph;
        assert_int_equal(ph_graph_create(*state, &graph), PH_OK);
        assert_int_equal(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(batch, 4, 10, 10), &x), PH_OK);
        assert_int_equal(ph_graph_add_constant(graph, NULL, PH_FLOAT, PH_SHAPE(8, 4, 3, 3), weights, &w), PH_OK);
        struct ph_convolution_attributes a = {.kernel = {1, 3, 3}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
        assert_int_equal(ph_graph_add(graph, &ph_operation_convolution, NULL, &a, (int[]){x, w}, 2, &v), PH_OK);
        assert_int_equal(ph_graph_add_constant(graph, NULL, PH_FLOAT, PH_SHAPE(8, 8, 1, 1), more, &w), PH_OK);
        struct ph_convolution_attributes b = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
        assert_int_equal(ph_graph_add(graph, &ph_operation_convolution, NULL, &b, (int[]){v, w}, 2, &after), PH_OK);
        struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
        assert_int_equal(ph_graph_add(graph, &ph_operation_reduce_mean, NULL, &mean, &v, 1, &loss), PH_OK);
        struct ph_program_request request = {.taps = i ? &loss : &v, .tap_count = 1, .loss = i ? loss : PH_ABSENT, .runs = 7 * i};
        assert_int_equal(ph_job_measure(graph, &request, &job[i]), PH_OK);
        ph_graph_destroy(&graph);
    }
    const double convolution = 2.0 * 8 * 8 * 8 * 4 * 9;
    assert_float_equal(job[0].flops, convolution, 0.5);
    assert_int_equal(job[0].operations, 1);
    assert_int_equal(job[0].runs, 1);
    assert_true(job[1].flops > 2 * convolution && job[1].flops < 2.1 * convolution);
    assert_int_equal(job[1].operations, 4);
    assert_int_equal(job[1].runs, 7);
    assert_float_equal(job[2].flops, job[1].flops, 0.5);
}

static int start(void **state) {
    *state = ph_context_create();
    return *state == NULL;
}

static int finish(void **state) {
    ph_context *context = *state;
    ph_context_destroy(&context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_job_decides), cmocka_unit_test(a_job_is_what_is_wanted_of_an_item)};
    return cmocka_run_group_tests(tests, start, finish);
}
