/* Searches whose answers are known: the optimum to 1e-4, all minima of a function that has four, bounds, constraints, whole
 * numbers, values to be reached; and what cannot be asked for. */
#include "base/base.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define NEAR 1e-4

static ph_context *context;

struct subject {
    ph_model *model;
    ph_problem *problem;
    ph_solve_options options;
    ph_solutions *solutions;
};

static struct subject subject_of(const char *name) {
    char path[256];
    struct subject s = {.options = ph_solve_defaults()};
    snprintf(path, sizeof path, "tests/solve/data/%s.onnx", name);
    if (ph_model_load(context, path, &s.model) || ph_problem_create(s.model, &s.problem))
        fail_msg("%s", ph_context_error(context));
    return s;
}

static ph_status solve(struct subject *s, const char *objective) {
    ph_solutions_destroy(&s->solutions);
    return ph_solve(s->problem, objective, &s->options, &s->solutions);
}

static const ph_solution *solved(struct subject *s, const char *objective) {
    if (solve(s, objective)) fail_msg("%s", ph_context_error(context));
    return &s->solutions->list[0];
}

static void subject_finish(struct subject *s) {
    ph_solutions_destroy(&s->solutions);
    ph_problem_destroy(&s->problem);
    ph_model_destroy(&s->model);
}

static void assert_point(const ph_solution *solution, int count, const double *wanted) {
    for (int i = 0; i < count; i++)
        if (!(fabs(solution->variables[i] - wanted[i]) < NEAR))
            fail_msg("variable %d is %.8f, not %.8f", i, solution->variables[i], wanted[i]);
}

/* ---- Known optima ------------------------------------------------------------------------------------------------ */

static void every_method_finds_a_minimum(void **state) {
    (void)state;
    for (int i = 0; ph_catalogue("methods", i); i++) {
        struct subject s = subject_of("quadratic");
        s.options.method = ph_catalogue("methods", i)->name;
        s.options.minimise = true;
        const ph_solution *best = solved(&s, "y:0");
        assert_point(best, 2, (double[]){1, -2});
        assert_float_equal(best->value, 3, 1e-7);
        subject_finish(&s);
    }
}

static void a_curved_valley(void **state) {
    (void)state;
    struct subject s = subject_of("rosenbrock");
    s.options.minimise = true;
    ph_problem_bound(s.problem, 0, 2, -5, 5);
    assert_point(solved(&s, "y:0"), 2, (double[]){1, 1});
    s.options.precision = "float";
    assert_true(solved(&s, "y:0")->value < 1e-4);
    subject_finish(&s);
}

static void all_four_minima(void **state) {
    (void)state;
    static const double minima[4][2] = {{3, 2}, {-2.805118, 3.131313}, {-3.779310, -3.283186}, {3.584428, -1.848126}};
    struct subject s = subject_of("himmelblau");
    s.options.minimise = true;
    s.options.top = 4;
    ph_problem_bound(s.problem, 0, 2, -6, 6);
    solved(&s, "y:0");
    assert_int_equal(s.solutions->count, 4);
    for (int m = 0; m < 4; m++) {
        bool found = false;
        for (int i = 0; i < 4; i++)
            found |= fabs(s.solutions->list[i].variables[0] - minima[m][0]) < NEAR &&
                     fabs(s.solutions->list[i].variables[1] - minima[m][1]) < NEAR;
        if (!found) fail_msg("the minimum at %g, %g is missing", minima[m][0], minima[m][1]);
    }
    for (int i = 0; i < 4; i++) assert_true(s.solutions->list[i].value < 1e-8);
    subject_finish(&s);
}

static void extremes_at_the_bounds(void **state) {
    (void)state;
    struct subject s = subject_of("monotone");
    ph_problem_bound(s.problem, 0, 5, -1, 2);
    assert_point(solved(&s, "y:0"), 5, (double[]){2, 2, 2, 2, 2});
    s.options.minimise = true;
    assert_point(solved(&s, "y:0"), 5, (double[]){-1, -1, -1, -1, -1});
    subject_finish(&s);
}

static void a_value_is_reached(void **state) {
    (void)state;
    struct subject s = subject_of("monotone");
    ph_problem_bound(s.problem, 0, 5, -3, 3);
    s.options.target = 2.5;
    assert_float_equal(solved(&s, "y:0")->value, 2.5, NEAR);
    subject_finish(&s);
}

/* W x + b = (1, 2, 3): three constraints leave one point, whatever the objective. */
static void linear_equations_are_kept(void **state) {
    (void)state;
#ifndef PH_HAVE_NLOPT
    skip(); /* several at once are its work alone */
#endif
    struct subject s = subject_of("linear");
    ph_problem_add_linear(s.problem, 2, (int64_t[]){0, 1}, (double[]){2, 1}, PH_EQUAL, 0);
    ph_problem_add_linear(s.problem, 2, (int64_t[]){1, 2}, (double[]){3, 1}, PH_EQUAL, 3);
    ph_problem_add_linear(s.problem, 2, (int64_t[]){0, 2}, (double[]){1, 4}, PH_EQUAL, 2.5);
    assert_point(solved(&s, "y:0"), 3, (double[]){-0.38, 0.76, 0.72});
    assert_true(s.solutions->list[0].excess < 1e-8);
    subject_finish(&s);
}

/* ---- Restrictions ------------------------------------------------------------------------------------------------ */

static void fixed_inputs_stay(void **state) {
    (void)state;
    struct subject s = subject_of("two_inputs");
    const double b[3] = {1, 2, -3};
    s.options.minimise = true;
    ph_problem_input input = ph_problem_describe_input(s.problem, 1);
    assert_string_equal(input.name, "b");
    assert_int_equal(input.first, 3);
    ph_problem_set_start(s.problem, input.first, input.count, b);
    ph_problem_fix(s.problem, input.first, input.count, true);
    /* (a - b)^2 + a is least at b - 1/2 */
    assert_point(solved(&s, "y:0"), 6, (double[]){0.5, 1.5, -3.5, 1, 2, -3});
    subject_finish(&s);
}

static void whole_numbers(void **state) {
    (void)state;
    struct subject s = subject_of("two_inputs");
    const double b[3] = {1.2, 2.9, -3.3};
    s.options.minimise = true;
    ph_problem_set_start(s.problem, 3, 3, b);
    ph_problem_fix(s.problem, 3, 3, true);
    ph_problem_make_whole(s.problem, 0, 2);
    ph_problem_bound(s.problem, 0, 3, -10, 10);
    assert_point(solved(&s, "y:0"), 3, (double[]){1, 2, -3.8});
    subject_finish(&s);
}

static void constraints_are_kept(void **state) {
    (void)state;
    for (int i = 0; ph_catalogue("methods", i); i++) {
        const char *method = ph_catalogue("methods", i)->name;
        if (!strcmp(method, "lbfgs")) continue;
        /* Least of the quadratic on x0 + x1 = 0: with x = (t, -t) and d = (t - 1, 2 - t) it is 3 (t - 1)^2 + 2 (t - 1)(2 - t)
         * + 2 (2 - t)^2, whose derivative 6 t - 8 + ... vanishes at t = 4/3. */
        struct subject s = subject_of("quadratic");
        s.options.minimise = true;
        s.options.method = method;
        ph_problem_add_linear(s.problem, 2, (int64_t[]){0, 1}, (double[]){1, 1}, PH_EQUAL, 0);
        const ph_solution *best = solved(&s, "y:0");
        double t = best->variables[0];
        assert_true(best->excess < 1e-6);
        assert_float_equal(6 * (t - 1) + 2 * (2 - t) - 2 * (t - 1) - 4 * (2 - t), 0, 1e-3);
        subject_finish(&s);

        /* A ball of radius 1 around the origin: the best lies on its edge. */
        s = subject_of("quadratic");
        s.options.minimise = true;
        s.options.method = method;
        ph_problem_set_ball(s.problem, PH_NORM_2, 1);
        best = solved(&s, "y:0");
        assert_float_equal(hypot(best->variables[0], best->variables[1]), 1, 1e-5);
        subject_finish(&s);
    }
    struct subject s = subject_of("monotone");
    ph_problem_set_ball(s.problem, PH_NORM_INFINITY, 0.25);
    assert_point(solved(&s, "y:0"), 5, (double[]){0.25, 0.25, 0.25, 0.25, 0.25});
    subject_finish(&s);
}

/* ---- The rest ---------------------------------------------------------------------------------------------------- */

static void the_same_every_time(void **state) {
    (void)state;
    double first[2];
    for (int threads = 1; threads <= 3; threads++) {
        ph_context_set_threads(context, threads);
        struct subject s = subject_of("rosenbrock");
        s.options.minimise = true;
        const ph_solution *best = solved(&s, "y:0");
        if (threads == 1) memcpy(first, best->variables, sizeof first);
        assert_memory_equal(first, best->variables, sizeof first);
        subject_finish(&s);
    }
    ph_context_set_threads(context, 0);
}

static bool stop_after_two(void *user, int done, int starts, double best) {
    (void)starts;
    *(int *)user = done;
    assert_true(isfinite(best));
    return done < 2;
}

static void a_stopped_search_gives_what_it_has(void **state) {
    (void)state;
    struct subject s = subject_of("himmelblau");
    int done = 0;
    s.options.minimise = true;
    s.options.progress = stop_after_two;
    s.options.user = &done;
    assert_int_equal(solve(&s, "y:0"), PH_ERROR_CANCELLED);
    assert_int_equal(done, 2);
    assert_int_equal(s.solutions->starts, 2);
    assert_int_equal(s.solutions->count, 1);
    subject_finish(&s);
}

static void mistakes_are_named(void **state) {
    (void)state;
    struct subject s = subject_of("himmelblau");
    assert_int_equal(ph_problem_bound(s.problem, 0, 2, 3, 1), PH_ERROR_ARGUMENT);
    assert_non_null(strstr(ph_context_error(context), "exclude everything"));
    assert_int_equal(ph_problem_bound(s.problem, 1, 2, 0, 1), PH_ERROR_ARGUMENT);
    assert_non_null(strstr(ph_context_error(context), "there are 2"));
    assert_int_equal(ph_problem_set_start(s.problem, 0, 1, (double[]){NAN}), PH_ERROR_ARGUMENT);
    assert_int_equal(solve(&s, "nothing:0"), PH_ERROR_NOT_FOUND);
    s.options.method = "newton";
    assert_int_equal(solve(&s, "y:0"), PH_ERROR_NOT_FOUND);
    assert_non_null(strstr(ph_context_error(context), "adam"));
    s.options.method = "adam";
    ph_problem_add_linear(s.problem, 1, (int64_t[]){0}, (double[]){1}, PH_AT_MOST, 1);
    ph_problem_set_ball(s.problem, PH_NORM_2, 1);
    assert_int_equal(solve(&s, "y:0"), PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(context), "one linear constraint or a ball"));
    subject_finish(&s);
    s = subject_of("himmelblau");
    ph_problem_fix(s.problem, 0, 2, true);
    assert_int_equal(solve(&s, "y:0"), PH_ERROR_ARGUMENT);
    assert_null(s.solutions);
    subject_finish(&s);
}

static void failing_memory_leaves_nothing_behind(void **state) {
    (void)state;
    struct subject s = subject_of("two_inputs");
    s.options.minimise = true;
    s.options.restarts = 3;
    s.options.top = 3;
    for (long after = 0;; after++) {
        ph_alloc_fail_after(after);
        ph_status status = solve(&s, "y:0");
        ph_alloc_fail_after(-1);
        if (!status) break;
        assert_int_equal(status, PH_ERROR_MEMORY);
        assert_null(s.solutions);
    }
    subject_finish(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_method_finds_a_minimum),
                                       cmocka_unit_test(a_curved_valley),
                                       cmocka_unit_test(all_four_minima),
                                       cmocka_unit_test(extremes_at_the_bounds),
                                       cmocka_unit_test(a_value_is_reached),
                                       cmocka_unit_test(linear_equations_are_kept),
                                       cmocka_unit_test(fixed_inputs_stay),
                                       cmocka_unit_test(whole_numbers),
                                       cmocka_unit_test(constraints_are_kept),
                                       cmocka_unit_test(the_same_every_time),
                                       cmocka_unit_test(a_stopped_search_gives_what_it_has),
                                       cmocka_unit_test(mistakes_are_named),
                                       cmocka_unit_test(failing_memory_leaves_nothing_behind)};
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    return failed;
}
