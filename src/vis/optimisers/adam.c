/* Adam and NAdam. */
#include "vis/optimiser.h"
#include <math.h>

/* ---- adam: Kingma and Ba 2014, algorithm 1, in PyTorch's form (epsilon is added to the corrected root) ----------- */

void ph_adam_scalars(const struct ph_optimiser_state *state, float *rate, float *root) {
    double t = (double)state->steps;
    *rate = (float)(state->rate / (1 - pow(state->beta1, t)));
    *root = (float)(1 / sqrt(1 - pow(state->beta2, t)));
}

static void adam_step(const struct ph_optimiser_state *state, float *parameters, const float *gradient, size_t begin,
                      size_t end) {
    float *restrict x = parameters, *restrict m = state->moments, *restrict v = state->moments + state->count;
    const float *restrict g = gradient;
    float rate, root;
    ph_adam_scalars(state, &rate, &root);
    const float b1 = (float)state->beta1, c1 = (float)(1 - state->beta1);
    const float b2 = (float)state->beta2, c2 = (float)(1 - state->beta2);
    const float epsilon = (float)PH_ADAM_EPSILON;
    for (size_t i = begin; i < end; i++) {
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * (g[i] * g[i]);
        x[i] -= rate * m[i] / (sqrtf(v[i]) * root + epsilon);
    }
}

const struct ph_optimiser ph_optimiser_adam = {
    .name = "adam",
    .help = "steps of about the learning rate along the running mean of the gradient (Kingma and Ba 2014; beta1, beta2)",
    .moments = 2, .step = adam_step,
};

/* ---- nadam: Dozat 2016, "Incorporating Nesterov momentum into Adam", as in PyTorch and Keras --------------------- */

#define DECAY 0.004 /* of the momentum's warm-up */

static double momentum(const struct ph_optimiser_state *state, double t) {
    return state->beta1 * (1 - 0.5 * pow(0.96, t * DECAY));
}

static void nadam_begin(struct ph_optimiser_state *state) {
    state->product = (state->steps == 1 ? 1 : state->product) * momentum(state, (double)state->steps);
}

static void nadam_step(const struct ph_optimiser_state *state, float *parameters, const float *gradient, size_t begin,
                       size_t end) {
    float *restrict x = parameters, *restrict m = state->moments, *restrict v = state->moments + state->count;
    const float *restrict g = gradient;
    double t = (double)state->steps, now = momentum(state, t), next = momentum(state, t + 1);
    const float ahead = (float)(state->rate * next / (1 - state->product * next));
    const float here = (float)(state->rate * (1 - now) / (1 - state->product));
    const float root = (float)(1 / sqrt(1 - pow(state->beta2, t)));
    const float b1 = (float)state->beta1, c1 = (float)(1 - state->beta1);
    const float b2 = (float)state->beta2, c2 = (float)(1 - state->beta2);
    const float epsilon = (float)PH_ADAM_EPSILON;
    for (size_t i = begin; i < end; i++) {
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * (g[i] * g[i]);
        x[i] -= (ahead * m[i] + here * g[i]) / (sqrtf(v[i]) * root + epsilon);
    }
}

const struct ph_optimiser ph_optimiser_nadam = {
    .name = "nadam",
    .help = "adam that looks one step ahead (Dozat 2016): what MACO and Horama use (beta1, beta2)",
    .moments = 2, .begin = nadam_begin, .step = nadam_step,
};
