/* The search as a whole: many starts, whole numbers, and which of what they reach are distinct solutions. */
#include "solve/solve.h"
#include <math.h>
#include <string.h>

#define FEASIBLE 1e-6 /* excess up to which a point counts as keeping the constraints */

struct search {
    const struct ph_problem *problem;
    const ph_solve_options *options;
    const struct ph_method *method;
    struct ph_evaluator evaluator;
    double *low, *high; /* bounds, fixed variables and the ball of norm infinity in one */
    double *x, *trial, *work_low, *work_high;
    ph_solutions *found;
    int capacity;
};

ph_solve_options ph_solve_defaults(void) {
    return (ph_solve_options){.target = NAN,
                              .method = "auto",
                              .precision = "auto",
                              .restarts = 16,
                              .evaluations = 2000,
                              .top = 1,
                              .distinct = 1e-3,
                              .spread = 1};
}

static ph_status check_options(ph_context *context, const ph_solve_options *o) {
    if (o->restarts < 1 || o->evaluations < 1 || o->top < 1)
        return ph_fail(context, PH_ERROR_ARGUMENT, "restarts, evaluations and top: at least 1 each");
    if (!(o->distinct >= 0) || !(o->spread >= 0) || isinf(o->target) || !isfinite(o->spread))
        return ph_fail(context, PH_ERROR_ARGUMENT, "distinct and spread: 0 or more; the target: a finite number");
    return PH_OK;
}

/* Every restriction that concerns one variable alone. */
static ph_status bounds_make(struct search *s) {
    const struct ph_problem *problem = s->problem;
    bool box = isfinite(problem->radius) && problem->norm == PH_NORM_INFINITY;
    bool any = false;
    for (int64_t i = 0; i < problem->variable_count; i++) {
        double start = problem->start[i];
        s->low[i] = problem->fixed[i] ? start : box ? fmax(problem->low[i], start - problem->radius) : problem->low[i];
        s->high[i] = problem->fixed[i] ? start
                     : box             ? fmin(problem->high[i], start + problem->radius)
                                       : problem->high[i];
        if (s->low[i] > s->high[i])
            return ph_fail(problem->model->context, PH_ERROR_ARGUMENT,
                           "variable %lld: its bounds and the ball around %g have nothing in common", (long long)i,
                           start);
        any |= s->low[i] < s->high[i];
    }
    return any ? PH_OK
               : ph_fail(problem->model->context, PH_ERROR_ARGUMENT, "every variable is fixed: nothing to search");
}

/* ---- Starts ------------------------------------------------------------------------------------------------------ */

/* Element `index` of coordinate `axis` of the additive sequence that is evenly spread in `dimensions` of them: multiples of
 * powers of the root of x^(d+1) = x + 1 (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences"). */
static double evenly_spread(int64_t index, int64_t axis, int64_t dimensions) {
    double root = 1.5;
    for (int i = 0; i < 64; i++) root = pow(1 + root, 1 / ((double)dimensions + 1));
    double position = 0.5 + pow(root, -(double)(axis + 1)) * (double)index;
    return position - floor(position);
}

static double normal_quantile(const struct ph_random_key key, uint64_t index) {
    double radius = sqrt(-2 * log(1 - ph_random_uniform(key, 2 * index)));
    return radius * cos(2 * M_PI * ph_random_uniform(key, 2 * index + 1));
}

/* The first start is the start values; the others fill the bounds, or lie about the start values where there are none. In
 * many dimensions an even spread is no better than chance. */
static void start_make(const struct search *s, int start, double *x) {
    enum { EVEN_DIMENSIONS = 16 };
    const struct ph_problem *problem = s->problem;
    const struct ph_random_key key = {.seed = s->options->seed, .step = (uint32_t)start};
    int64_t moving = 0, axis = 0;
    for (int64_t i = 0; i < problem->variable_count; i++) moving += s->low[i] < s->high[i];
    for (int64_t i = 0; i < problem->variable_count; i++) {
        double low = s->low[i], high = s->high[i];
        x[i] = fmin(fmax(problem->start[i], low), high);
        if (low >= high || start == 0) continue;
        if (isfinite(low) && isfinite(high)) {
            double share = moving <= EVEN_DIMENSIONS ? evenly_spread((int64_t)s->options->seed + start, axis, moving)
                                                     : ph_random_uniform(key, (uint64_t)i);
            x[i] = low + share * (high - low);
        } else {
            x[i] = fmin(fmax(x[i] + s->options->spread * normal_quantile(key, (uint64_t)i), low), high);
        }
        axis++;
    }
    if (ph_problem_has_ball(problem)) ph_problem_project(problem, x);
}

/* ---- One start --------------------------------------------------------------------------------------------------- */

static ph_status run_method(struct search *s, const double *low, const double *high, double *x) {
    struct ph_local_search local = {&s->evaluator, low, high, s->options->evaluations};
    return s->method->run(&local, x);
}

/* Loss of a point, INFINITY where it breaks a constraint. */
static ph_status loss_of(struct search *s, const double *x, double *value, double *loss) {
    PH_TRY(ph_evaluator_value(&s->evaluator, x, value, NULL));
    *loss = ph_problem_excess(s->problem, x) > FEASIBLE || !isfinite(*value)
                ? INFINITY
                : ph_evaluator_loss(&s->evaluator, *value, NULL);
    return PH_OK;
}

/* The whole variables of x, fixed where they are, and the best of the others. */
static ph_status complete(struct search *s, double *x) {
    bool others = false;
    for (int64_t i = 0; i < s->problem->variable_count; i++) {
        bool pinned = s->problem->whole[i] || s->low[i] >= s->high[i];
        s->work_low[i] = pinned ? x[i] : s->low[i];
        s->work_high[i] = pinned ? x[i] : s->high[i];
        others |= !pinned;
    }
    return others ? run_method(s, s->work_low, s->work_high, x) : PH_OK;
}

static ph_status improve_whole(struct search *s, double *x) {
    size_t bytes = (size_t)s->problem->variable_count * sizeof *x;
    double value, least, loss;
    bool any = false, moved = true;
    for (int64_t i = 0; i < s->problem->variable_count; i++) {
        if (!s->problem->whole[i] || s->low[i] >= s->high[i]) continue;
        x[i] = fmin(fmax(nearbyint(x[i]), ceil(s->low[i])), floor(s->high[i]));
        any = true;
    }
    if (!any) return PH_OK;
    PH_TRY(complete(s, x));
    PH_TRY(loss_of(s, x, &value, &least));
    for (int round = 0; moved && round < 100; round++) {
        moved = false;
        for (int64_t i = 0; i < s->problem->variable_count; i++)
            for (int step = -1; step <= 1 && s->problem->whole[i]; step += 2) {
                if (x[i] + step < s->low[i] || x[i] + step > s->high[i]) continue;
                memcpy(s->trial, x, bytes);
                s->trial[i] += step;
                PH_TRY(complete(s, s->trial));
                PH_TRY(loss_of(s, s->trial, &value, &loss));
                if (!(loss < least)) continue;
                least = loss;
                memcpy(x, s->trial, bytes);
                moved = true;
            }
    }
    return PH_OK;
}

/* ---- Solutions --------------------------------------------------------------------------------------------------- */

static bool same(const struct search *s, const double *a, const double *b) {
    for (int64_t i = 0; i < s->problem->variable_count; i++) {
        double range = s->high[i] - s->low[i];
        if (fabs(a[i] - b[i]) > s->options->distinct * (isfinite(range) ? range : fmax(1, fabs(a[i])))) return false;
    }
    return true;
}

static double solution_loss(const struct search *s, const ph_solution *solution) {
    return ph_evaluator_loss(&s->evaluator, solution->value, NULL);
}

/* Keeps x in its place among what was found; of points that are the same, the better. */
static ph_status solution_add(struct search *s, const double *x, double value) {
    ph_solutions *found = s->found;
    size_t bytes = (size_t)s->problem->variable_count * sizeof *x;
    for (int i = 0; i < found->count; i++) {
        ph_solution *known = &found->list[i];
        if (!same(s, x, known->variables)) continue;
        known->reached++;
        if (ph_evaluator_loss(&s->evaluator, value, NULL) < solution_loss(s, known)) {
            known->value = value;
            known->excess = ph_problem_excess(s->problem, x);
            memcpy(known->variables, x, bytes);
        }
        return PH_OK;
    }
    if (!ph_grow(&found->list, found->count, &s->capacity, sizeof *found->list))
        return ph_fail_memory(s->problem->model->context);
    ph_solution *solution = &found->list[found->count];
    *solution = (ph_solution){.value = value,
                              .excess = ph_problem_excess(s->problem, x),
                              .reached = 1,
                              .variables = ph_alloc_array((size_t)s->problem->variable_count, sizeof *x)};
    if (!solution->variables) return ph_fail_memory(s->problem->model->context);
    memcpy(solution->variables, x, bytes);
    found->count++;
    return PH_OK;
}

/* Best first; few enough for insertion. */
static void solutions_sort(struct search *s) {
    ph_solutions *found = s->found;
    for (int i = 1; i < found->count; i++)
        for (int j = i; j > 0 && solution_loss(s, &found->list[j]) < solution_loss(s, &found->list[j - 1]); j--) {
            ph_solution moved = found->list[j];
            found->list[j] = found->list[j - 1];
            found->list[j - 1] = moved;
        }
    for (; found->count > s->options->top; found->count--) ph_free(found->list[found->count - 1].variables);
}

static double best_value(const struct search *s) {
    const ph_solution *best = NULL;
    for (int i = 0; i < s->found->count; i++)
        if (!best || solution_loss(s, &s->found->list[i]) < solution_loss(s, best)) best = &s->found->list[i];
    return best ? best->value : NAN;
}

static ph_status search_run(struct search *s) {
    const ph_solve_options *o = s->options;
    for (int start = 0; start < o->restarts; start++) {
        double value, loss;
        start_make(s, start, s->x);
        PH_TRY(run_method(s, s->low, s->high, s->x));
        PH_TRY(improve_whole(s, s->x));
        PH_TRY(loss_of(s, s->x, &value, &loss));
        s->found->starts++;
        if (isinf(loss))
            s->found->failed++;
        else
            PH_TRY(solution_add(s, s->x, value));
        if (o->progress && !o->progress(o->user, start + 1, o->restarts, best_value(s)))
            return ph_fail(s->problem->model->context, PH_ERROR_CANCELLED, "stopped after %d of %d starts", start + 1,
                           o->restarts);
    }
    return PH_OK;
}

static ph_status search_start(struct search *s, const char *objective, struct ph_pool *pool) {
    ph_context *context = s->problem->model->context;
    size_t bytes = (size_t)s->problem->variable_count * sizeof(double);
    double **arrays[] = {&s->low, &s->high, &s->x, &s->trial, &s->work_low, &s->work_high};
    for (int i = 0; i < PH_COUNT(arrays); i++)
        if (!(*arrays[i] = ph_pool_alloc(pool, bytes))) return ph_fail_memory(context);
    PH_TRY(check_options(context, s->options));
    PH_TRY(ph_method_choose(s->problem, s->options->method, &s->method));
    PH_TRY(bounds_make(s));
    PH_TRY(ph_evaluator_start(s->problem, objective, s->options, &s->evaluator));
    s->found->method = s->method->name;
    s->found->precision = s->evaluator.exact ? "double" : "float";
    return PH_OK;
}

ph_status ph_solve(ph_problem *problem, const char *objective, const ph_solve_options *options,
                   ph_solutions **solutions) {
    if (!problem) return PH_ERROR_ARGUMENT;
    ph_context *context = problem->model->context;
    if (!objective || !solutions)
        return ph_fail(context, PH_ERROR_ARGUMENT, "ph_solve: no objective, or no place for solutions");
    ph_solve_options defaults = ph_solve_defaults();
    struct search s = {
        .problem = problem, .options = options ? options : &defaults, .found = ph_alloc(sizeof *s.found)};
    struct ph_pool pool = {0};
    *solutions = s.found;
    if (!s.found) return ph_fail_memory(context);
    ph_status status = search_start(&s, objective, &pool);
    if (!status) status = search_run(&s);
    if (!status || status == PH_ERROR_CANCELLED) {
        solutions_sort(&s);
        s.found->evaluations = s.evaluator.count;
    } else {
        ph_solutions_destroy(solutions);
    }
    if (!status && !s.found->count)
        status = ph_fail(context, PH_ERROR_NUMERIC,
                         "none of %d starts led to a finite value that keeps the constraints", s.found->starts);
    ph_evaluator_finish(&s.evaluator);
    ph_pool_finish(&pool);
    return status;
}

void ph_solutions_destroy(ph_solutions **solutions) {
    if (!solutions || !*solutions) return;
    for (int i = 0; i < (*solutions)->count; i++) ph_free((*solutions)->list[i].variables);
    ph_free((*solutions)->list);
    ph_free(*solutions);
    *solutions = NULL;
}
