/* Optimisers: how a gradient becomes a step. Most are the coefficients of one rule (struct ph_update), element by element, so
 * a picture does not depend on what else is in its batch; one that needs more evaluations for a step runs the loop itself. */
#ifndef PH_OPTIMISER_H
#define PH_OPTIMISER_H

#include "exec/loop.h"

struct ph_optimiser_state {
    const ph_context *context;
    const struct ph_optimiser *optimiser;
    double rate;            /* of this step */
    double beta1, beta2;    /* adam, nadam */
    double momentum;        /* sgd */
    double smoothing;       /* rmsprop */
    double product;         /* nadam: of its momenta so far */
    int64_t steps;          /* made so far */
    int items;
    size_t item_size, count; /* parameters of one item, of all */
    bool resting[PH_MAX_BATCH]; /* items that stay as they are */
    float *moments;         /* [mean + square][count], zero at the start */
};

/* What an optimiser that runs the loop itself is given: one item. */
struct ph_descent {
    ph_context *context;
    size_t count;
    float *parameters;
    int64_t steps;          /* at most */
    int64_t stretch;        /* steps between restarts */
    void (*restart)(void *user);
    /* The loss and its gradient at the parameters. */
    ph_status (*evaluate)(void *user, double *loss, const float **gradient);
    ph_status (*stepped)(void *user); /* after each step; a failure ends the run */
    void *user;
};

struct ph_optimiser {
    const char *name, *help;
    bool mean, square;      /* what it keeps of the gradients */
    enum ph_normalisation normalisation; /* when the recipe asks for none */
    /* The step's coefficients; state->steps, counted from 1, and state->rate are the step's already. */
    struct ph_update (*update)(struct ph_optimiser_state *state);
    ph_status (*minimise)(const struct ph_descent *descent); /* instead of update */
};
extern const struct ph_optimiser ph_optimiser_adam, ph_optimiser_nadam, ph_optimiser_sgd, ph_optimiser_normalised,
    ph_optimiser_rmsprop, ph_optimiser_lbfgs;
extern const struct ph_optimiser *const ph_optimisers[]; /* NULL-terminated */

ph_status ph_optimiser_start(ph_context *context, const struct ph_optimiser *optimiser, int items, size_t item_size,
                             struct ph_optimiser_state *state);
/* Goes on to the next step, and says what it is; the step itself is made elsewhere. */
struct ph_update ph_optimiser_next(struct ph_optimiser_state *state, double rate);
void ph_optimiser_step(struct ph_optimiser_state *state, double rate, float *parameters, const float *gradient);
void ph_optimiser_finish(struct ph_optimiser_state *state);

/* ---- schedule.c: the learning rate over the steps ---------------------------------------------------------------- */

#define PH_SCHEDULE_ENTRIES 16

/* "constant", "linear", "cosine", or "0.5:0.1,0.75:0.01": from that share of the steps on, times that factor. */
struct ph_schedule {
    enum ph_schedule_form { PH_SCHEDULE_CONSTANT, PH_SCHEDULE_LINEAR, PH_SCHEDULE_COSINE, PH_SCHEDULE_TABLE } form;
    int count;
    double from[PH_SCHEDULE_ENTRIES], factor[PH_SCHEDULE_ENTRIES];
};

bool ph_schedule_read(const char *text, struct ph_schedule *schedule);
void ph_schedule_print(const struct ph_schedule *schedule, struct ph_text *text);
/* The share of the learning rate that step `step` (from 0) of `steps` has, after `warm_up` rising ones. */
double ph_schedule_factor(const struct ph_schedule *schedule, int64_t warm_up, int64_t step, int64_t steps);

#endif
