/* Steps that a backend's device makes by itself: all that the render loop does from one gradient to the next, told as data,
 * so that the host only feeds each step's view and reads its numbers. src/vis/optimiser.c, refiner.c and watch.c are the
 * specification of what is told here. */
#ifndef PH_LOOP_H
#define PH_LOOP_H

#include "graph/operations.h"

enum {
    PH_LOOP_STEPS = 8,       /* most in one submission */
    PH_LOOP_SUBMISSIONS = 2  /* most in flight: while the device works on one, the host feeds the next */
};

/* What a gradient is divided by before anything else is done with it. */
enum ph_normalisation {
    PH_NORMALISE_NONE,
    PH_NORMALISE_MEAN,
    PH_NORMALISE_RMS,
    PH_NORMALISE_L2,
    PH_NORMALISE_PROGRESS,
    PH_NORMALISE_SHARE
};

/* One step of any optimiser that is a closed rule, element by element, g being the gradient and x what moves:
 *
 *     m = keep_mean m + take_mean g         v = keep_square v + take_square g^2
 *     x -= (ahead m + here g) / (root sqrt(v) + epsilon)
 *
 * One that keeps no mean has no term with m; one that keeps no mean square divides by nothing. */
struct ph_update { float keep_mean, take_mean, keep_square, take_square, ahead, here, root, epsilon; };

/* What becomes of an item at a step. Only one that moves is changed by it and later ones. */
enum ph_loop_state {
    PH_LOOP_MOVES,
    PH_LOOP_FAILED,  /* its value or gradient is not finite */
    PH_LOOP_REACHED, /* its value has reached what was to be */
    PH_LOOP_FLAT,    /* nothing is gained any more */
    PH_LOOP_RESTS,   /* the caller said so */
    PH_LOOP_HELD     /* it is near its goals: neither this step was made, of any item, nor those behind it, which say so of all
                      * items: the host is to look first */
};

/* What is remembered of an item from step to step: its state, the running mean of its value, the best of that, and the step
 * of the best. */
struct ph_loop_item { int32_t state; float smooth, best; int32_t best_at; };

/* Of one item in one step: the objective, the largest element of the gradient, and an enum ph_loop_state. */
struct ph_loop_report { float value, gradient; int32_t state; };

enum { PH_LOOP_BLUR_GRADIENT, PH_LOOP_BLUR, PH_LOOP_BLURS };

/* What differs from step to step. Weights of a blur are those of distances 0 to taps, which is at most what the loop
 * declares; with 0 taps and the weight 1 nothing is blurred. */
struct ph_loop_step {
    struct ph_update update;
    int taps[PH_LOOP_BLURS];
    float *weights[PH_LOOP_BLURS]; /* to be written; NULL where the loop has no such blur */
    bool looks;                    /* with goals: whether one that is near holds the steps */
};

struct ph_loop {
    int parameter, value;   /* values of the graph: what moves, [items, ...], and the objective of each item, [items], a tap */
    bool mean, square;      /* what the optimiser keeps */
    float *moments;         /* [mean + square][size of the parameter], the caller's: read at a start, written by a fetch */
    struct ph_loop_item *items; /* [items] likewise */

    /* The gradient before the optimiser. */
    enum ph_normalisation normalisation;
    double least_square;    /* progress: a gradient's square counts as no less; 0: none */
    int64_t common;         /* of an item's parameters the first that many move along the sum of all items' gradients */

    /* The parameters after it. */
    double decay;           /* share by which they shrink */
    bool bounded;           /* kept in [-1/2, 1/2] */

    /* About planes of pixels, [items, channels, height, width]: unused where channels is 0. */
    int channels, height, width;
    int taps[PH_LOOP_BLURS]; /* most, of the blur of the gradient and of that of the parameters; PH_ABSENT: no such blur */
    int bands;               /* of an octave each, that the gradient is split into; 0: it is not */
    double clip_norm, clip_contribution; /* percent of the pixels that become 0 */

    /* When an item rests. */
    double target, stop_value; /* NAN: none */
    int64_t plateau;        /* steps without gain; 0: any number */
    const int *errors;      /* [error_count] values of the graph, [items] each, taps */
    int error_count;
    double tolerance;       /* an item is near when none of its errors is larger */

    /* Writes what step `step` is fed into the program's inputs, and what else is told of it. Steps are asked for in order. */
    void (*feed)(void *user, int64_t step, struct ph_loop_step *told);
    void *user;
};

/* A Gaussian blur cut off at four deviations: how many elements it reaches on each side, PH_BLUR_TAPS at most, and the
 * weights of distances 0 to those, which with both sides sum to 1; weights[taps + 1]. Deviation 0: nothing is blurred. */
enum { PH_BLUR_TAPS = 1024 };
int ph_blur_taps(double deviation);
void ph_blur_weights(double deviation, float *weights);

#endif
