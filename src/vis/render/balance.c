/* What regularisers weigh when they are balanced by the sizes of gradients. */
#include "vis/render/batch.h"
#include <float.h>
#include <math.h>

/* Sizes of the gradient of one part of the objectives, the sum of its absolute values, for each item. */
static ph_status part_measure(struct ph_batch *b, int part, double *sizes) {
    struct ph_program_request request = {
        .taps = &part, .tap_count = 1, .loss = part, .parameters = &b->scene.parameters, .parameter_count = 1};
    PH_TRY(ph_program_create(b->scene.graph, &request, &b->program));
    ph_batch_feed(b);
    ph_batch_draw(b);
    ph_status status = ph_program_forward(b->program);
    if (!status) status = ph_program_backward(b->program);
    const float *gradient = status ? NULL : ph_program_gradient(b->program, b->scene.parameters);
    for (int n = 0; n < b->count && gradient; n++)
        for (size_t i = 0; i < b->item_size; i++) sizes[n] += fabs((double)gradient[(size_t)n * b->item_size + i]);
    ph_program_destroy(&b->program);
    return status;
}

/* Regulariser `index` of each item counts as much as its weight says, the objective without regularisers counting 1. */
static void part_balance(struct ph_batch *b, int index, double weight, const char *name, const double *goal,
                         const double *sizes) {
    for (int n = 0; n < b->count; n++) {
        double *balance = &b->balances[n * b->regularisers + index];
        *balance = sizes[n] > 0 ? fabs(weight) * goal[n] / sizes[n] : 0;
        ph_log(b->context, "objective '%s': after step %lld the weight of %s is %.4g",
               b->render->objectives[b->first + n].text, (long long)b->step, name, weight * *balance);
    }
}

/* Faccent's auto-weight (Hamblin et al. 2024), which measures before the first step, and so cannot for a regulariser that
 * is 0 at the start. */
static ph_status regularisers_balance(struct ph_batch *b) {
    const struct ph_objective *objective = &b->render->objectives[b->first];
    double goal[PH_MAX_BATCH] = {0};
    bool redirect = b->step < b->render->recipe->redirect_steps, redirected;
    int index = 0;
    for (int i = 0; i < b->count * b->regularisers; i++) b->balances[i] = 1;
    PH_TRY(ph_scene_optimise(b->render, b->first, b->count, redirect, &redirected, &b->scene));
    if (b->scene.parts[0] == PH_ABSENT)
        return ph_fail(b->context, PH_ERROR_ARGUMENT,
                       "objective '%s' has regularisers alone, which auto-weight can balance with nothing",
                       objective->text);
    PH_TRY(part_measure(b, b->scene.parts[0], goal));
    for (const struct ph_term *term = objective->sum.first; term; term = term->next) {
        double sizes[PH_MAX_BATCH] = {0};
        if (!term->type->regulariser) continue;
        PH_TRY(part_measure(b, b->scene.parts[index + 1], sizes));
        part_balance(b, index++, term->weight, term->type->form, goal, sizes);
    }
    return PH_OK;
}

ph_status ph_batch_balance(struct ph_batch *b) {
    ph_status status = regularisers_balance(b);
    ph_batch_program_finish(b);
    ph_developer_rebalance(&b->developer);
    for (int n = 0; n < b->count; n++) {
        b->moving[n].best = -FLT_MAX;
        if (b->best_values) b->best_values[n] = NAN;
    }
    b->balanced = true;
    return status;
}
