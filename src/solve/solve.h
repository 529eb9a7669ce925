/* Solving: which inputs of a network make an objective of its outputs as large, small or close to a value as asked?
 *
 *     problem.c - evaluator.c - local.c - search.c
 *     what is asked  value and    one start   many starts, whole numbers, distinct solutions
 *                    gradient
 *
 * Variables are the elements of all inputs of the network, in the file's order, each input row-major. */
#ifndef PH_SOLVE_H
#define PH_SOLVE_H

#include "model/model.h"

/* sum of coefficients[i] * x[variables[i]] compared with `right`. */
struct ph_linear {
    enum ph_relation relation;
    int count;
    int64_t *variables;
    double *coefficients, right;
};

struct ph_problem {
    ph_model *model;
    struct ph_pool pool;
    int input_count;
    struct ph_problem_input *inputs;
    int64_t variable_count;
    double *start, *low, *high; /* [variable_count]; a fixed variable has low == high == start */
    bool *fixed, *whole;
    struct ph_linear *linears;
    int linear_count, linear_capacity;
    enum ph_norm norm;          /* of the ball around the start values */
    double radius;              /* INFINITY: none */
};

/* ---- evaluator.c: value and gradient in double ------------------------------------------------------------------- */

struct ph_evaluator {
    const struct ph_problem *problem;
    struct ph_graph *graph;
    int *inputs;  /* graph values */
    int loss;     /* graph value, [1] */
    struct ph_double_program *exact; /* one of the two */
    struct ph_program *fast;
    double sign;    /* what is minimised is sign * value, or (value - target)^2 */
    double target;  /* NAN: none */
    int64_t count;  /* evaluations made */
};

/* The network with an input for each of the problem's. Both are the caller's, also after a failure. */
ph_status ph_problem_build(const struct ph_problem *problem, struct ph_graph **graph, int **inputs);
ph_status ph_evaluator_start(const struct ph_problem *problem, const char *objective, const ph_solve_options *options,
                             struct ph_evaluator *evaluator);
void ph_evaluator_finish(struct ph_evaluator *evaluator);
/* The objective at x [variable_count]; its gradient with respect to every variable unless that is NULL. */
ph_status ph_evaluator_value(struct ph_evaluator *evaluator, const double *x, double *value, double *gradient);
/* What is minimised, from the value; gradient [variable_count], if any, is turned into that of the loss. */
double ph_evaluator_loss(const struct ph_evaluator *evaluator, double value, double *gradient);

/* ---- constraint.c ------------------------------------------------------------------------------------------------ */

/* How far x is from keeping every bound, linear constraint and ball: the largest excess, 0 when all are kept. */
double ph_problem_excess(const struct ph_problem *problem, const double *x);
/* The nearest point that keeps the bounds and at most one of: a linear constraint, a ball of norm 2. */
void ph_problem_project(const struct ph_problem *problem, double *x);

/* ---- local.c, nlopt.c: from one start to the nearest optimum ----------------------------------------------------- */

struct ph_local_search {
    struct ph_evaluator *evaluator;
    const double *low, *high; /* [variable_count]; equal where a variable does not move */
    int64_t evaluations;      /* at most this many */
};

struct ph_method {
    const char *name, *help;
    int64_t most_variables;
    bool (*accepts)(const struct ph_problem *problem);
    const char *limits; /* what it accepts, for a person */
    /* Moves x [variable_count]. */
    ph_status (*run)(const struct ph_local_search *search, double *x);
};
extern const struct ph_method *const ph_methods[]; /* NULL-terminated; the first that fits is the default */
extern const struct ph_method ph_method_slsqp, ph_method_lbfgs; /* nlopt.c */

/* The method of that name, or the first that fits for "auto"; fails when it cannot do what the problem asks for. */
ph_status ph_method_choose(const struct ph_problem *problem, const char *name, const struct ph_method **method);
bool ph_problem_has_ball(const struct ph_problem *problem); /* of norm 2: the other is bounds */

/* ---- attack.c: adversarial pictures ------------------------------------------------------------------------------ */

/* The table of methods; NULL behind the last. */
const char *ph_attack_name(int index);
const char *ph_attack_help(int index);

#endif
