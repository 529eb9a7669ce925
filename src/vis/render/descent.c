/* Steps of an optimiser that runs itself, as L-BFGS does: it asks for values and gradients, in stretches under one view. */
#include "vis/render/batch.h"

#define LBFGS_STRETCH 10      /* steps of an optimiser that runs itself under one view */

static ph_status descent_evaluate(void *user, double *loss, const float **gradient) {
    struct ph_batch *b = user;
    float value;
    PH_TRY(ph_batch_evaluate(b, gradient, &b->alive));
    ph_program_read(b->program, b->scene.loss, &value);
    *loss = value;
    return PH_OK;
}

/* A batch at rest ends the stretch as if it were stopped; the caller knows the difference by b->alive. */
static ph_status descent_stepped(void *user) {
    struct ph_batch *b = user;
    b->step++;
    PH_TRY(ph_batch_stepped(b));
    return b->alive ? PH_OK : PH_ERROR_CANCELLED;
}

static void descent_restart(void *user) { ph_batch_draw(user); }

ph_status ph_descent_run(struct ph_batch *b, int64_t end) {
    struct ph_descent descent = {.context = b->context, .count = b->item_size,
        .parameters = ph_program_input(b->program, b->scene.parameters), .steps = end - b->step,
        .stretch = LBFGS_STRETCH, .restart = descent_restart, .evaluate = descent_evaluate, .stepped = descent_stepped,
        .user = b};
    ph_status status = b->optimiser.optimiser->minimise(&descent);
    return status == PH_ERROR_CANCELLED && !b->alive ? PH_OK : status;
}
