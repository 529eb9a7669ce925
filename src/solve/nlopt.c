/* Local search by NLopt: SLSQP (Kraft 1994) with every constraint; L-BFGS with bounds (Nocedal 1980), Luksan's code. */
#include "solve/solve.h"
#include <math.h>
#include <string.h>
#include <nlopt.h>

/* NLopt sees the variables that move, each with a finite range scaled to 1. */
struct search {
    const struct ph_local_search *local;
    nlopt_opt optimiser;
    unsigned count;
    int64_t *variables;   /* [count] */
    double *low, *scale;  /* [count]: x = low + scale * u */
    double *x, *gradient; /* of all variables */
    ph_status status;
};

struct constraint {
    struct search *search;
    const struct ph_linear *linear;
};

static void spread(struct search *s, const double *u) {
    for (unsigned i = 0; i < s->count; i++) s->x[s->variables[i]] = s->low[i] + s->scale[i] * u[i];
}

static double objective(unsigned count, const double *u, double *slope, void *data) {
    struct search *s = data;
    double value;
    spread(s, u);
    if (!s->status) s->status = ph_evaluator_value(s->local->evaluator, s->x, &value, slope ? s->gradient : NULL);
    if (s->status) {
        nlopt_force_stop(s->optimiser);
        return HUGE_VAL;
    }
    double loss = ph_evaluator_loss(s->local->evaluator, value, slope ? s->gradient : NULL);
    for (unsigned i = 0; i < count && slope; i++) slope[i] = s->gradient[s->variables[i]] * s->scale[i];
    if (!isfinite(loss)) nlopt_force_stop(s->optimiser);
    return loss;
}

/* At most 0 where an inequality is kept. */
static double linear_value(unsigned count, const double *u, double *slope, void *data) {
    const struct constraint *c = data;
    struct search *s = c->search;
    double sign = c->linear->relation == PH_AT_LEAST ? -1 : 1, sum = -c->linear->right;
    spread(s, u);
    for (int i = 0; i < c->linear->count; i++) sum += c->linear->coefficients[i] * s->x[c->linear->variables[i]];
    for (unsigned i = 0; i < count && slope; i++) {
        slope[i] = 0;
        for (int j = 0; j < c->linear->count; j++)
            if (c->linear->variables[j] == s->variables[i]) slope[i] += sign * c->linear->coefficients[j] * s->scale[i];
    }
    return sign * sum;
}

static double ball_value(unsigned count, const double *u, double *slope, void *data) {
    struct search *s = data;
    const struct ph_problem *problem = s->local->evaluator->problem;
    double sum = -problem->radius * problem->radius;
    spread(s, u);
    for (unsigned i = 0; i < count; i++) {
        double difference = s->x[s->variables[i]] - problem->start[s->variables[i]];
        sum += difference * difference;
        if (slope) slope[i] = 2 * difference * s->scale[i];
    }
    return sum;
}

static bool constraints_add(struct search *s, struct constraint *constraints) {
    const struct ph_problem *problem = s->local->evaluator->problem;
    const double tolerance = 1e-10;
    nlopt_result result = NLOPT_SUCCESS;
    for (int i = 0; i < problem->linear_count && result > 0; i++) {
        constraints[i] = (struct constraint){s, &problem->linears[i]};
        result = problem->linears[i].relation == PH_EQUAL
                     ? nlopt_add_equality_constraint(s->optimiser, linear_value, &constraints[i], tolerance)
                     : nlopt_add_inequality_constraint(s->optimiser, linear_value, &constraints[i], tolerance);
    }
    if (ph_problem_has_ball(problem) && result > 0)
        result = nlopt_add_inequality_constraint(s->optimiser, ball_value, s, tolerance);
    return result > 0;
}

static bool prepare(struct search *s, const double *x, struct ph_pool *pool, double **u, double **low, double **high) {
    const struct ph_local_search *local = s->local;
    size_t all = (size_t)local->evaluator->problem->variable_count, moving = 0;
    for (size_t i = 0; i < all; i++) moving += local->low[i] < local->high[i];
    s->variables = ph_pool_alloc(pool, moving * sizeof *s->variables);
    s->low = ph_pool_alloc(pool, moving * sizeof *s->low);
    s->scale = ph_pool_alloc(pool, moving * sizeof *s->scale);
    s->x = ph_pool_copy(pool, x, all * sizeof *x);
    s->gradient = ph_pool_alloc(pool, all * sizeof *s->gradient);
    *u = ph_pool_alloc(pool, moving * sizeof **u);
    *low = ph_pool_alloc(pool, moving * sizeof **low);
    *high = ph_pool_alloc(pool, moving * sizeof **high);
    if (!s->variables || !s->low || !s->scale || !s->x || !s->gradient || !*u || !*low || !*high) return false;
    for (size_t i = 0; i < all; i++) {
        if (local->low[i] >= local->high[i]) continue;
        double range = local->high[i] - local->low[i];
        unsigned k = s->count++;
        s->variables[k] = (int64_t)i;
        s->low[k] = isfinite(range) ? local->low[i] : 0;
        s->scale[k] = isfinite(range) ? range : 1;
        (*low)[k] = (local->low[i] - s->low[k]) / s->scale[k];
        (*high)[k] = (local->high[i] - s->low[k]) / s->scale[k];
        (*u)[k] = fmin(fmax((x[i] - s->low[k]) / s->scale[k], (*low)[k]), (*high)[k]);
    }
    return true;
}

static ph_status run(const struct ph_local_search *local, nlopt_algorithm algorithm, double *x) {
    const struct ph_problem *problem = local->evaluator->problem;
    ph_context *context = problem->model->context;
    struct search s = {.local = local};
    struct ph_pool pool = {0};
    double *u, *low, *high, reached;
    ph_status status = PH_OK;
    struct constraint *constraints = ph_pool_alloc(&pool, (size_t)problem->linear_count * sizeof *constraints);
    if (!constraints || !prepare(&s, x, &pool, &u, &low, &high)) status = ph_fail_memory(context);
    if (!status && s.count) {
        s.optimiser = nlopt_create(algorithm, s.count);
        if (!s.optimiser || nlopt_set_min_objective(s.optimiser, objective, &s) < 0 ||
            nlopt_set_lower_bounds(s.optimiser, low) < 0 || nlopt_set_upper_bounds(s.optimiser, high) < 0 ||
            nlopt_set_maxeval(s.optimiser, (int)PH_MIN(local->evaluations, INT32_MAX)) < 0 ||
            nlopt_set_xtol_rel(s.optimiser, 1e-14) < 0 || !constraints_add(&s, constraints))
            status = ph_fail_memory(context);
        /* Its verdict is not asked: rounding errors, a limit or a forced stop all leave the best point met. */
        if (!status) nlopt_optimize(s.optimiser, u, &reached);
        if (!status) status = s.status;
        spread(&s, u);
        memcpy(x, s.x, (size_t)problem->variable_count * sizeof *x);
        nlopt_destroy(s.optimiser);
    }
    ph_pool_finish(&pool);
    return status;
}

static bool accepts_all(const struct ph_problem *problem) {
    (void)problem;
    return true;
}

static bool accepts_bounds(const struct ph_problem *problem) {
    return !problem->linear_count && !ph_problem_has_ball(problem);
}

static ph_status slsqp_run(const struct ph_local_search *local, double *x) { return run(local, NLOPT_LD_SLSQP, x); }
static ph_status lbfgs_run(const struct ph_local_search *local, double *x) { return run(local, NLOPT_LD_LBFGS, x); }

const struct ph_method ph_method_slsqp = {
    .name = "slsqp",
    .help = "sequential quadratic programming, with every kind of constraint; up to 400 variables",
    .most_variables = 400,
    .accepts = accepts_all,
    .run = slsqp_run,
    .limits = "all constraints, over up to 400 variables",
};

const struct ph_method ph_method_lbfgs = {
    .name = "lbfgs",
    .help = "limited-memory quasi-Newton within bounds; any number of variables",
    .most_variables = INT32_MAX,
    .accepts = accepts_bounds,
    .run = lbfgs_run,
    .limits = "bounds",
};
