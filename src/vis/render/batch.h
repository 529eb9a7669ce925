/* A batch of pictures in the making: what the files beside this one share, in the order in which a call of ph_render (render.c)
 * comes to them. Everything is allocated before the loop; a step is a draw of the view, a run of the program, and a step of the
 * optimiser. */
#ifndef PH_BATCH_H
#define PH_BATCH_H

#include "vis/vis.h"

struct ph_batch {
    const struct ph_render *render;
    const ph_render_callbacks *callbacks;
    ph_context *context;
    int first, count, total;   /* objectives in work, and of the whole call */
    int64_t step;              /* made so far */
    size_t item_size;          /* parameters of one item */
    float *parameters;         /* between programs, and for pictures on the way */
    float *values;             /* [count] objective on the transformed picture */
    struct ph_watch items[PH_MAX_BATCH];
    struct ph_loop_item moving[PH_MAX_BATCH]; /* what becomes of the items */
    struct ph_optimiser_state optimiser;
    struct ph_refiner refiner;
    float *best, *best_values; /* of the plain pictures looked at, with keep-best */
    float *looked;             /* [count] values of a look */
    float *errors;             /* [goals * count], with a tolerance */
    bool alive;                /* some item still moves */
    double *balances;          /* [count * regularisers], those of the render; NULL: weights are as written */
    int regularisers;
    bool balanced;
    int attempt;
    int64_t looked_at;         /* step whose goals the host has looked at after a device held its steps; -1 */
    struct ph_developer developer;
    struct ph_scene scene;
    struct ph_program *program;
    double mark_time, rate;    /* of the progress report */
    int64_t mark_step;
};

/* ---- alike.c: how many objectives one program serves ------------------------------------------------------------- */

/* How many objectives from `first` on one program can serve. */
int ph_alike_count(const struct ph_render *render, int first, int total, int limit);
/* How many it is to serve, by the recipe or by the memory they take. */
ph_status ph_batch_size(const struct ph_render *render, int first, int total, int *count);

/* ---- attempts.c: the best of several renders --------------------------------------------------------------------- */

/* As many renders as attempts were asked for, under seeds that follow each other; a picture is named finished when it is
 * known to be the best. */
ph_status ph_attempts_run(struct ph_batch *b, struct ph_render *render, ph_picture **pictures, bool *failed);

/* ---- batch.c: a batch from its start to its pictures ------------------------------------------------------------- */

ph_status ph_batch_start(struct ph_batch *b);
void ph_batch_finish(struct ph_batch *b);
/* pictures [count]; *failed: numbers of an item were not finite, and the context says which. */
ph_status ph_batch_run(struct ph_batch *b, ph_picture **pictures, bool *failed);

/* ---- program.c: the program that makes the steps, and what goes in and out --------------------------------------- */

/* For the scene; it begins with the batch's parameters. */
ph_status ph_batch_program_create(struct ph_batch *b);
/* The scene with it. */
void ph_batch_program_finish(struct ph_batch *b);
/* The random choices of step b->step. */
void ph_batch_draw(struct ph_batch *b);
/* Copies the batch's parameters to the program, and back. */
void ph_batch_feed(struct ph_batch *b);
void ph_batch_keep(struct ph_batch *b);

/* ---- balance.c: what regularisers weigh -------------------------------------------------------------------------- */

/* What was best or still before is so no more. */
ph_status ph_batch_balance(struct ph_batch *b);

/* ---- steps.c: steps that the host makes -------------------------------------------------------------------------- */

double ph_batch_rate(const ph_recipe *recipe, int64_t step);
/* Forward, backward, and a look at what came out; *alive tells whether any item still moves. */
ph_status ph_batch_evaluate(struct ph_batch *b, const float **gradient, bool *alive);
ph_status ph_batch_step(struct ph_batch *b, bool *alive);

/* ---- descent.c: steps of an optimiser that runs itself; flights.c: steps that a device makes --------------------- */

ph_status ph_descent_run(struct ph_batch *b, int64_t end);
/* A call that is stopped ends with the steps that were in flight. */
ph_status ph_flights_run(struct ph_batch *b, int64_t end);

/* ---- goals.c: items that rest when their goals are reached ------------------------------------------------------- */

bool ph_goals_due(const struct ph_batch *b, int64_t step);
/* Items whose goals are all near as the network sees them now. */
ph_status ph_goals_look(struct ph_batch *b);
/* Items near [count] their goals rest where those are reached on 8 bits too. */
ph_status ph_tolerance_look(struct ph_batch *b, const bool *near);

/* ---- best.c: the best so far ------------------------------------------------------------------------------------- */

bool ph_value_better(const ph_recipe *recipe, float value, float than);
/* Looks at the plain pictures of b->parameters and keeps those that are better than any before. */
ph_status ph_best_look(struct ph_batch *b);

/* ---- report.c: what the caller hears on the way ------------------------------------------------------------------ */

/* Place of a picture among those that are given; PH_ABSENT where another of its objective's is wanted. */
int ph_picture_place(const struct ph_render *render, int picture);
/* PH_ERROR_CANCELLED, with its text. */
ph_status ph_batch_stopped(struct ph_batch *b);
/* After each step: pictures on the way, the best so far, and the report. */
ph_status ph_batch_stepped(struct ph_batch *b);

#endif
