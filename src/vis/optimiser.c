/* The table of optimisers, and the parallel walk over the elements. */
#include "vis/optimiser.h"

const struct ph_optimiser *const ph_optimisers[] = {
    &ph_optimiser_adam, &ph_optimiser_nadam, &ph_optimiser_sgd, &ph_optimiser_normalised, &ph_optimiser_rmsprop,
#ifdef PH_HAVE_LBFGS
    &ph_optimiser_lbfgs,
#endif
    NULL};

ph_status ph_optimiser_start(ph_context *context, const struct ph_optimiser *optimiser, int items, size_t item_size,
                             struct ph_optimiser_state *state) {
    size_t count = (size_t)items * item_size;
    *state = (struct ph_optimiser_state){.context = context, .optimiser = optimiser, .items = items,
        .item_size = item_size, .count = count,
        .moments = ph_alloc_array(count, (size_t)optimiser->moments * sizeof *state->moments)};
    return state->moments ? PH_OK : ph_fail_memory(context);
}

#define CHUNK 16384 /* elements of one parallel task */

struct task { const struct ph_optimiser_state *state; float *parameters; const float *gradient; size_t chunks; };

static void task_run(void *argument, int64_t index) {
    const struct task *task = argument;
    const struct ph_optimiser_state *state = task->state;
    size_t item = (size_t)index / task->chunks, at = (size_t)index % task->chunks * CHUNK;
    if (state->resting[item]) return;
    size_t begin = item * state->item_size;
    state->optimiser->step(state, task->parameters, task->gradient, begin + at,
                           begin + PH_MIN(at + CHUNK, state->item_size));
}

void ph_optimiser_step(struct ph_optimiser_state *state, double rate, float *parameters, const float *gradient) {
    state->steps++;
    state->rate = rate;
    if (state->optimiser->begin) state->optimiser->begin(state);
    struct task task = {state, parameters, gradient, (state->item_size + CHUNK - 1) / CHUNK};
    ph_parallel_for(state->context, (int64_t)((size_t)state->items * task.chunks), task_run, &task);
}

void ph_optimiser_finish(struct ph_optimiser_state *state) {
    ph_free(state->moments);
    *state = (struct ph_optimiser_state){0};
}
