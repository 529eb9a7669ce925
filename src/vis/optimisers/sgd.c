/* Steps along the gradient: with momentum, and normalised. */
#include "vis/optimiser.h"

/* PyTorch's form, in which the learning rate is outside the velocity: a lower rate takes effect at once, so that no
 * velocity of earlier, larger steps has to be forgotten. */
static struct ph_update sgd_update(struct ph_optimiser_state *state) {
    return (struct ph_update){.keep_mean = (float)state->momentum, .take_mean = 1, .ahead = (float)state->rate};
}

const struct ph_optimiser ph_optimiser_sgd = {
    .name = "sgd",
    .help = "steps of the learning rate times the gradient, with 'momentum' and after 'normalise' (Polyak 1964)",
    .mean = true, .update = sgd_update,
};

/* google/deepdream, dream.ipynb: x += step g / mean |g|. */
const struct ph_optimiser ph_optimiser_normalised = {
    .name = "normalised",
    .help = "sgd on the gradient divided by its mean size, so that pixels move by about the learning rate: DeepDream's "
            "(momentum)",
    .mean = true, .update = sgd_update, .normalisation = PH_NORMALISE_MEAN,
};
