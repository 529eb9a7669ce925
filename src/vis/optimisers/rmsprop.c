/* RMSprop: Tieleman and Hinton 2012 (Coursera, lecture 6.5), in PyTorch's form. */
#include "vis/optimiser.h"
#include <math.h>

#define EPSILON 1e-8f

static void rmsprop_step(const struct ph_optimiser_state *state, float *parameters, const float *gradient, size_t begin,
                         size_t end) {
    float *restrict x = parameters, *restrict v = state->moments;
    const float *restrict g = gradient;
    const float keep = (float)state->smoothing, take = (float)(1 - state->smoothing), rate = (float)state->rate;
    for (size_t i = begin; i < end; i++) {
        v[i] = keep * v[i] + take * (g[i] * g[i]);
        x[i] -= rate * g[i] / (sqrtf(v[i]) + EPSILON);
    }
}

const struct ph_optimiser ph_optimiser_rmsprop = {
    .name = "rmsprop",
    .help = "the gradient over the root of its running mean square, which keeps the share 'smoothing' (keras-vis)",
    .moments = 1, .step = rmsprop_step,
};
