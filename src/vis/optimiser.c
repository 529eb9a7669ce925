/* Optimisers: how a gradient becomes a step. They see plain arrays, element by element, so a picture does not depend on
 * what else is in its batch. */
#include "vis/vis.h"
#include <math.h>

/* ---- adam: Kingma and Ba 2014, algorithm 1, in PyTorch's form (epsilon is added to the corrected root) ----------- */

#define ADAM_BETA1 0.9
#define ADAM_BETA2 0.999
#define ADAM_EPSILON 1e-8

static void adam_step(const struct ph_optimiser_state *state, float *parameters, const float *gradient, size_t begin,
                      size_t end) {
    float *restrict x = parameters, *restrict m = state->moments, *restrict v = state->moments + state->count;
    const float *restrict g = gradient;
    double t = (double)state->steps;
    const float rate = (float)(state->learning_rate / (1 - pow(ADAM_BETA1, t)));
    const float root = (float)(1 / sqrt(1 - pow(ADAM_BETA2, t)));
    const float b1 = (float)ADAM_BETA1, c1 = (float)(1 - ADAM_BETA1);
    const float b2 = (float)ADAM_BETA2, c2 = (float)(1 - ADAM_BETA2);
    const float epsilon = (float)ADAM_EPSILON;
    for (size_t i = begin; i < end; i++) {
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * (g[i] * g[i]);
        x[i] -= rate * m[i] / (sqrtf(v[i]) * root + epsilon);
    }
}

static const struct ph_optimiser adam = {
    .name = "adam",
    .help = "steps of about the learning rate along the running mean of the gradient (Kingma and Ba 2014)",
    .moments = 2, .step = adam_step,
};

/* ---- The table --------------------------------------------------------------------------------------------------- */

const struct ph_optimiser *const ph_optimisers[] = {&adam, NULL};

ph_status ph_optimiser_start(ph_context *context, const struct ph_optimiser *optimiser, double learning_rate,
                             size_t count, struct ph_optimiser_state *state) {
    *state = (struct ph_optimiser_state){.context = context, .optimiser = optimiser, .learning_rate = learning_rate,
        .count = count, .moments = ph_alloc_array(count, (size_t)optimiser->moments * sizeof *state->moments)};
    return state->moments ? PH_OK : ph_fail_memory(context);
}

#define CHUNK 16384 /* elements of one parallel task */

struct task { const struct ph_optimiser_state *state; float *parameters; const float *gradient; };

static void task_run(void *argument, int64_t index) {
    const struct task *task = argument;
    size_t begin = (size_t)index * CHUNK;
    task->state->optimiser->step(task->state, task->parameters, task->gradient, begin,
                                 PH_MIN(begin + CHUNK, task->state->count));
}

void ph_optimiser_step(struct ph_optimiser_state *state, float *parameters, const float *gradient) {
    state->steps++;
    struct task task = {state, parameters, gradient};
    ph_parallel_for(state->context, (int64_t)((state->count + CHUNK - 1) / CHUNK), task_run, &task);
}

void ph_optimiser_finish(struct ph_optimiser_state *state) {
    ph_free(state->moments);
    *state = (struct ph_optimiser_state){0};
}
