/* Bounds, linear constraints and balls: how far a point is from keeping them, and the nearest that does. */
#include "solve/solve.h"
#include <math.h>

/* left side - right side */
static double linear_excess(const struct ph_linear *linear, const double *x) {
    double sum = -linear->right;
    for (int i = 0; i < linear->count; i++) sum += linear->coefficients[i] * x[linear->variables[i]];
    return linear->relation == PH_AT_MOST ? fmax(sum, 0) : linear->relation == PH_AT_LEAST ? fmin(sum, 0) : sum;
}

static double distance_from_start(const struct ph_problem *problem, const double *x) {
    double sum = 0, largest = 0;
    for (int64_t i = 0; i < problem->variable_count; i++) {
        double difference = fabs(x[i] - problem->start[i]);
        sum += difference * difference;
        largest = fmax(largest, difference);
    }
    return problem->norm == PH_NORM_2 ? sqrt(sum) : largest;
}

double ph_problem_excess(const struct ph_problem *problem, const double *x) {
    double worst = 0;
    for (int64_t i = 0; i < problem->variable_count; i++)
        if (!problem->fixed[i]) worst = fmax(worst, fmax(problem->low[i] - x[i], x[i] - problem->high[i]));
    for (int i = 0; i < problem->linear_count; i++) worst = fmax(worst, fabs(linear_excess(&problem->linears[i], x)));
    if (isfinite(problem->radius)) worst = fmax(worst, distance_from_start(problem, x) - problem->radius);
    return worst;
}

bool ph_problem_has_ball(const struct ph_problem *problem) {
    return isfinite(problem->radius) && problem->norm == PH_NORM_2;
}

static void into_bounds(const struct ph_problem *problem, double *x) {
    bool box = isfinite(problem->radius) && problem->norm == PH_NORM_INFINITY;
    for (int64_t i = 0; i < problem->variable_count; i++) {
        if (problem->fixed[i]) {
            x[i] = problem->start[i];
            continue;
        }
        if (box) x[i] = fmin(fmax(x[i], problem->start[i] - problem->radius), problem->start[i] + problem->radius);
        x[i] = fmin(fmax(x[i], problem->low[i]), problem->high[i]);
    }
}

static void onto_linear(const struct ph_problem *problem, const struct ph_linear *linear, double *x) {
    double excess = linear_excess(linear, x), norm = 0;
    for (int i = 0; i < linear->count; i++)
        if (!problem->fixed[linear->variables[i]]) norm += linear->coefficients[i] * linear->coefficients[i];
    for (int i = 0; i < linear->count && norm > 0; i++)
        if (!problem->fixed[linear->variables[i]]) x[linear->variables[i]] -= excess * linear->coefficients[i] / norm;
}

static void into_ball(const struct ph_problem *problem, double *x) {
    double distance = distance_from_start(problem, x);
    if (distance <= problem->radius) return;
    double share = problem->radius / distance;
    for (int64_t i = 0; i < problem->variable_count; i++) x[i] = problem->start[i] + share * (x[i] - problem->start[i]);
}

/* Alternating projections meet in the intersection of convex sets (von Neumann; Bregman 1965): a point that keeps both,
 * near to the nearest one. */
void ph_problem_project(const struct ph_problem *problem, double *x) {
    enum { ROUNDS = 64 };
    bool ball = ph_problem_has_ball(problem);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < problem->linear_count; i++) onto_linear(problem, &problem->linears[i], x);
        if (ball) into_ball(problem, x);
        into_bounds(problem, x);
        if (!(ball || problem->linear_count) || ph_problem_excess(problem, x) < 1e-12) return;
    }
}
