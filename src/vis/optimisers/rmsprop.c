/* RMSprop: Tieleman and Hinton 2012 (Coursera, lecture 6.5), in PyTorch's form. */
#include "vis/optimiser.h"

static struct ph_update rmsprop_update(struct ph_optimiser_state *state) {
    return (struct ph_update){.keep_square = (float)state->smoothing, .take_square = (float)(1 - state->smoothing),
        .here = (float)state->rate, .root = 1, .epsilon = 1e-8f};
}

const struct ph_optimiser ph_optimiser_rmsprop = {
    .name = "rmsprop",
    .help = "the gradient over the root of its running mean square, which keeps the share 'smoothing' (keras-vis)",
    .square = true, .update = rmsprop_update,
};
