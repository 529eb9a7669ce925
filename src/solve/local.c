/* Methods of local search, and one that needs no library: Adam with projection onto the constraints. */
#include "solve/solve.h"
#include <math.h>
#include <string.h>

/* ---- Adam -------------------------------------------------------------------------------------------------------- */

static bool adam_accepts(const struct ph_problem *problem) {
    return problem->linear_count + ph_problem_has_ball(problem) <= 1;
}

/* What a step is a share of: a variable's range, or 1 where it has none. */
static double range_of(const struct ph_local_search *search, int64_t i) {
    double range = search->high[i] - search->low[i];
    return isfinite(range) ? range : 1;
}

/* Kingma and Ba, arXiv:1412.6980, with steps that shrink along a cosine to nothing (Loshchilov and Hutter,
 * arXiv:1608.03983). A scale of its own for each variable would turn the step away from the gradient, and then a
 * projection does not lead to the constrained optimum: where a constraint ties variables together, they share one. */
static void adam_step(const struct ph_local_search *search, int64_t step, const double *gradient, double *moments,
                      double *x) {
    const double first = 0.9, second = 0.999, rate = 0.05;
    const struct ph_problem *problem = search->evaluator->problem;
    int64_t count = problem->variable_count, moving = 0;
    bool tied = problem->linear_count || ph_problem_has_ball(problem);
    double anneal = 0.5 * (1 + cos(M_PI * (double)step / (double)search->evaluations));
    double first_bias = 1 - pow(first, (double)step + 1), second_bias = 1 - pow(second, (double)step + 1);
    double *mean = moments, *square = moments + count, shared_square = 0, shared_range = INFINITY;
    for (int64_t i = 0; i < count; i++) {
        if (search->low[i] >= search->high[i]) continue;
        mean[i] = first * mean[i] + (1 - first) * gradient[i];
        square[i] = second * square[i] + (1 - second) * gradient[i] * gradient[i];
        shared_square += square[i];
        shared_range = fmin(shared_range, range_of(search, i));
        moving++;
    }
    for (int64_t i = 0; i < count; i++) {
        if (search->low[i] >= search->high[i]) continue;
        double scale = sqrt((tied ? shared_square / (double)moving : square[i]) / second_bias) + 1e-300;
        x[i] -= rate * anneal * (tied ? shared_range : range_of(search, i)) * mean[i] / first_bias / scale;
        x[i] = fmin(fmax(x[i], search->low[i]), search->high[i]);
    }
    if (tied) ph_problem_project(problem, x);
}

static ph_status adam_run(const struct ph_local_search *search, double *x) {
    const struct ph_problem *problem = search->evaluator->problem;
    size_t count = (size_t)problem->variable_count;
    double *block = ph_alloc_array(count, 4 * sizeof *block);
    if (!block) return ph_fail_memory(problem->model->context);
    double *moments = block, *gradient = block + 2 * count, *best = block + 3 * count, least = INFINITY;
    ph_status status = PH_OK;
    memcpy(best, x, count * sizeof *x);
    for (int64_t step = 0; step < search->evaluations && !status; step++) {
        double value;
        status = ph_evaluator_value(search->evaluator, x, &value, gradient);
        double loss = ph_evaluator_loss(search->evaluator, value, gradient);
        if (status || !isfinite(loss)) break;
        if (loss < least) least = loss, memcpy(best, x, count * sizeof *x);
        adam_step(search, step, gradient, moments, x);
    }
    memcpy(x, best, count * sizeof *x);
    ph_free(block);
    return status;
}

static const struct ph_method adam = {
    .name = "adam",
    .help = "Adam with projection onto the constraints; any number of variables",
    .most_variables = INT64_MAX,
    .accepts = adam_accepts,
    .run = adam_run,
    .limits = "bounds, and besides them one linear constraint or a ball of norm 2",
};

/* ---- The table --------------------------------------------------------------------------------------------------- */

const struct ph_method *const ph_methods[] = {
#ifdef PH_HAVE_NLOPT
    &ph_method_slsqp, &ph_method_lbfgs,
#endif
    &adam, NULL};

static ph_status method_find(const struct ph_problem *problem, const char *name, const struct ph_method **method) {
    struct ph_text names = {0};
    for (int i = 0; ph_methods[i]; i++) {
        if (!strcmp(ph_methods[i]->name, name)) *method = ph_methods[i];
        ph_text_append(&names, ", %s", ph_methods[i]->name);
    }
    ph_status status = PH_OK;
    if (!*method)
        status = ph_fail(problem->model->context, PH_ERROR_NOT_FOUND, "method '%s': auto%s", name, names.data);
    ph_text_finish(&names);
    return status;
}

ph_status ph_method_choose(const struct ph_problem *problem, const char *name, const struct ph_method **method) {
    ph_context *context = problem->model->context;
    int64_t moving = 0;
    *method = NULL;
    for (int64_t i = 0; i < problem->variable_count; i++) moving += !problem->fixed[i];
    if (name && strcmp(name, "auto")) {
        PH_TRY(method_find(problem, name, method));
        if (moving > (*method)->most_variables)
            return ph_fail(context, PH_ERROR_UNSUPPORTED, "method %s is for at most %lld variables, not %lld", name,
                           (long long)(*method)->most_variables, (long long)moving);
        if (!(*method)->accepts(problem))
            return ph_fail(context, PH_ERROR_UNSUPPORTED, "method %s keeps %s, not all the constraints given", name,
                           (*method)->limits);
        return PH_OK;
    }
    for (int i = 0; ph_methods[i] && !*method; i++)
        if (moving <= ph_methods[i]->most_variables && ph_methods[i]->accepts(problem)) *method = ph_methods[i];
    if (*method) return PH_OK;
    struct ph_text limits = {0};
    for (int i = 0; ph_methods[i]; i++)
        ph_text_append(&limits, "%s%s: %s", i ? "; " : "", ph_methods[i]->name, ph_methods[i]->limits);
    ph_status status = limits.failed ? ph_fail_memory(context)
                                     : ph_fail(context, PH_ERROR_UNSUPPORTED,
                                               "no method keeps all these constraints over %lld variables (%s)",
                                               (long long)moving, limits.data);
    ph_text_finish(&limits);
    return status;
}
