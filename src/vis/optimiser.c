/* The table of optimisers, and their step on the host: the rule that shaders/update.comp is held to. */
#include "vis/optimiser.h"
#include <math.h>

const struct ph_optimiser *const ph_optimisers[] = {
    &ph_optimiser_adam, &ph_optimiser_nadam, &ph_optimiser_sgd, &ph_optimiser_normalised, &ph_optimiser_rmsprop,
#ifdef PH_HAVE_LBFGS
    &ph_optimiser_lbfgs,
#endif
    NULL};

ph_status ph_optimiser_start(ph_context *context, const struct ph_optimiser *optimiser, int items, size_t item_size,
                             struct ph_optimiser_state *state) {
    size_t count = (size_t)items * item_size, arrays = (size_t)optimiser->mean + optimiser->square;
    *state = (struct ph_optimiser_state){.context = context, .optimiser = optimiser, .items = items,
        .item_size = item_size, .count = count, .moments = ph_alloc_array(count, arrays * sizeof *state->moments)};
    return state->moments ? PH_OK : ph_fail_memory(context);
}

#define CHUNK 16384 /* elements of one parallel task */

struct task {
    const struct ph_optimiser_state *state;
    struct ph_update update;
    float *parameters;
    const float *gradient;
    size_t chunks;
};

/* Constants of the call: the compiler makes a loop for each optimiser's kind. */
static inline void update_run(const struct task *task, size_t begin, size_t end, bool mean, bool square) {
    const struct ph_update u = task->update;
    float *restrict x = task->parameters, *restrict m = task->state->moments;
    float *restrict v = task->state->moments + (mean ? task->state->count : 0);
    const float *restrict g = task->gradient;
    for (size_t i = begin; i < end; i++) {
        float along = u.here * g[i];
        if (mean) {
            m[i] = u.keep_mean * m[i] + u.take_mean * g[i];
            along = u.ahead * m[i] + along;
        }
        if (square) {
            v[i] = u.keep_square * v[i] + u.take_square * (g[i] * g[i]);
            along /= sqrtf(v[i]) * u.root + u.epsilon;
        }
        x[i] -= along;
    }
}

static void task_run(void *argument, int64_t index) {
    const struct task *task = argument;
    const struct ph_optimiser_state *state = task->state;
    size_t item = (size_t)index / task->chunks, at = (size_t)index % task->chunks * CHUNK;
    if (state->resting[item]) return;
    size_t begin = item * state->item_size + at, end = item * state->item_size + PH_MIN(at + CHUNK, state->item_size);
    if (state->optimiser->mean && state->optimiser->square) update_run(task, begin, end, true, true);
    else if (state->optimiser->mean) update_run(task, begin, end, true, false);
    else update_run(task, begin, end, false, true);
}

struct ph_update ph_optimiser_next(struct ph_optimiser_state *state, double rate) {
    state->steps++;
    state->rate = rate;
    return state->optimiser->update(state);
}

void ph_optimiser_step(struct ph_optimiser_state *state, double rate, float *parameters, const float *gradient) {
    struct task task = {state, ph_optimiser_next(state, rate), parameters, gradient,
        (state->item_size + CHUNK - 1) / CHUNK};
    ph_parallel_for(state->context, (int64_t)((size_t)state->items * task.chunks), task_run, &task);
}

void ph_optimiser_finish(struct ph_optimiser_state *state) {
    ph_free(state->moments);
    *state = (struct ph_optimiser_state){0};
}
