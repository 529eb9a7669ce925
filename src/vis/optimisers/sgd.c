/* Steps along the gradient: with momentum, and normalised. */
#include "vis/optimiser.h"

/* PyTorch's form, in which the learning rate is outside the velocity: a lower rate takes effect at once, so that no
 * velocity of earlier, larger steps has to be forgotten. */
static void sgd_step(const struct ph_optimiser_state *state, float *parameters, const float *gradient, size_t begin,
                     size_t end) {
    float *restrict x = parameters, *restrict velocity = state->moments;
    const float *restrict g = gradient;
    const float momentum = (float)state->momentum, rate = (float)state->rate;
    for (size_t i = begin; i < end; i++) {
        velocity[i] = momentum * velocity[i] + g[i];
        x[i] -= rate * velocity[i];
    }
}

const struct ph_optimiser ph_optimiser_sgd = {
    .name = "sgd",
    .help = "steps of the learning rate times the gradient, with 'momentum' and after 'normalise' (Polyak 1964)",
    .moments = 1, .step = sgd_step,
};

/* google/deepdream, dream.ipynb: x += step g / mean |g|. */
const struct ph_optimiser ph_optimiser_normalised = {
    .name = "normalised",
    .help = "sgd on the gradient divided by its mean size, so that pixels move by about the learning rate: DeepDream's "
            "(momentum)",
    .moments = 1, .step = sgd_step, .normalisation = PH_NORMALISE_MEAN,
};
