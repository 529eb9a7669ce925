/* L-BFGS by liblbfgs: Liu and Nocedal 1989. It evaluates the loss as often as its line search needs, and works in double;
 * the loop it belongs to sees one step for each finished line search. */
#include "vis/optimiser.h"
#include <lbfgs.h>
#include <limits.h>

struct run { const struct ph_descent *descent; ph_status status; int64_t left; };

static lbfgsfloatval_t evaluate(void *instance, const lbfgsfloatval_t *x, lbfgsfloatval_t *g, int n,
                                lbfgsfloatval_t step) {
    struct run *run = instance;
    const struct ph_descent *descent = run->descent;
    const float *gradient;
    double loss = 0;
    (void)step;
    /* The library rounds n up to what its vectors hold; after a failure the next report ends the run. */
    for (int i = 0; i < n; i++) g[i] = 0;
    if (run->status) return 0;
    for (size_t i = 0; i < descent->count; i++) descent->parameters[i] = (float)x[i];
    run->status = descent->evaluate(descent->user, &loss, &gradient);
    for (size_t i = 0; i < descent->count && !run->status; i++) g[i] = (double)gradient[i];
    return loss;
}

static int report(void *instance, const lbfgsfloatval_t *x, const lbfgsfloatval_t *g, lbfgsfloatval_t loss,
                  lbfgsfloatval_t x_norm, lbfgsfloatval_t g_norm, lbfgsfloatval_t step, int n, int iteration,
                  int evaluations) {
    struct run *run = instance;
    (void)g, (void)loss, (void)x_norm, (void)g_norm, (void)step, (void)n, (void)iteration, (void)evaluations;
    if (run->status) return 1;
    for (size_t i = 0; i < run->descent->count; i++) run->descent->parameters[i] = (float)x[i];
    run->left--;
    run->status = run->descent->stepped(run->descent->user);
    return run->status != PH_OK;
}

/* A search starts afresh from where the last one ended when the view changes or its line search fails. */
static ph_status minimise(const struct ph_descent *descent) {
    struct run run = {.descent = descent, .left = descent->steps};
    if (descent->count > INT_MAX - 16)
        return ph_fail(descent->context, PH_ERROR_UNSUPPORTED, "lbfgs: the picture has too many parameters");
    int n = (int)descent->count;
    lbfgsfloatval_t *x = lbfgs_malloc(n);
    if (!x) return ph_fail_memory(descent->context);
    for (int i = 0; i < n; i++) x[i] = (double)descent->parameters[i];
    while (run.left && !run.status) {
        lbfgs_parameter_t parameter;
        lbfgs_parameter_init(&parameter);
        parameter.epsilon = 0; /* the loop has its own ways of stopping */
        parameter.max_iterations = (int)PH_MIN(run.left, descent->stretch);
        int64_t before = run.left;
        if (descent->restart) descent->restart(descent->user);
        int code = lbfgs(n, x, NULL, evaluate, report, &run, &parameter);
        if (code == LBFGSERR_OUTOFMEMORY) run.status = ph_fail_memory(descent->context);
        /* No step even along the plain gradient: this is a minimum as far as floats can tell. */
        if (before == run.left && !run.status) run.left--, run.status = descent->stepped(descent->user);
    }
    /* A line search that was broken off leaves its last trial behind. */
    for (int i = 0; i < n; i++) descent->parameters[i] = (float)x[i];
    lbfgs_free(x);
    return run.status;
}

const struct ph_optimiser ph_optimiser_lbfgs = {
    .name = "lbfgs",
    .help = "quasi-Newton with a line search (Liu and Nocedal 1989); finds its own rate, best without transforms",
    .minimise = minimise,
};
