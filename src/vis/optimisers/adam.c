/* Adam and NAdam, in PyTorch's form: epsilon is added to the corrected root. */
#include "vis/optimiser.h"
#include <math.h>

#define EPSILON 1e-8f

/* Both keep the same means, the square's corrected for its start. */
static struct ph_update means_of(const struct ph_optimiser_state *state) {
    return (struct ph_update){.keep_mean = (float)state->beta1, .take_mean = (float)(1 - state->beta1),
        .keep_square = (float)state->beta2, .take_square = (float)(1 - state->beta2),
        .root = (float)(1 / sqrt(1 - pow(state->beta2, (double)state->steps))), .epsilon = EPSILON};
}

/* ---- adam: Kingma and Ba 2014, algorithm 1 ----------------------------------------------------------------------- */

static struct ph_update adam_update(struct ph_optimiser_state *state) {
    struct ph_update update = means_of(state);
    update.ahead = (float)(state->rate / (1 - pow(state->beta1, (double)state->steps)));
    return update;
}

const struct ph_optimiser ph_optimiser_adam = {
    .name = "adam",
    .help = "steps of about the learning rate along the running mean of the gradient (Kingma and Ba 2014; beta1, beta2)",
    .mean = true, .square = true, .update = adam_update,
};

/* ---- nadam: Dozat 2016, "Incorporating Nesterov momentum into Adam", as in PyTorch and Keras --------------------- */

#define DECAY 0.004 /* of the momentum's warm-up */

static double momentum(const struct ph_optimiser_state *state, double t) {
    return state->beta1 * (1 - 0.5 * pow(0.96, t * DECAY));
}

static struct ph_update nadam_update(struct ph_optimiser_state *state) {
    struct ph_update update = means_of(state);
    double t = (double)state->steps, now = momentum(state, t), next = momentum(state, t + 1);
    state->product = (state->steps == 1 ? 1 : state->product) * now;
    update.ahead = (float)(state->rate * next / (1 - state->product * next));
    update.here = (float)(state->rate * (1 - now) / (1 - state->product));
    return update;
}

const struct ph_optimiser ph_optimiser_nadam = {
    .name = "nadam",
    .help = "adam that looks one step ahead (Dozat 2016): what MACO and Horama use (beta1, beta2)",
    .mean = true, .square = true, .update = nadam_update,
};
