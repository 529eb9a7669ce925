/* Several renders of a batch under seeds that follow each other, and the best picture of each item. */
#include "vis/render/batch.h"

/* Puts the pictures of an attempt in the places of those that are not as good. */
static void attempt_compare(const struct ph_batch *b, const ph_recipe *recipe, int64_t *seeds, ph_picture **best,
                            ph_picture **pictures) {
    for (int n = 0; n < b->count; n++) {
        if (pictures[n] && (!best[n] || ph_value_better(recipe, pictures[n]->value, best[n]->value))) {
            ph_picture_destroy(&best[n]);
            best[n] = pictures[n];
            seeds[n] = recipe->seed;
        } else ph_picture_destroy(&pictures[n]);
    }
}

/* Regularisers that are to be balanced do not count at first. */
static ph_status balances_start(struct ph_batch *b, struct ph_render *render) {
    b->regularisers = ph_objective_regularisers(&render->objectives[b->first]);
    if (!render->recipe->auto_weight || !b->regularisers) return PH_OK;
    b->balances = ph_alloc_array((size_t)b->count * (size_t)b->regularisers, sizeof *b->balances);
    render->balances = b->balances;
    return b->balances ? PH_OK : ph_fail_memory(b->context);
}

ph_status ph_attempts_run(struct ph_batch *b, struct ph_render *render, ph_picture **pictures, bool *failed) {
    const ph_recipe *given = render->recipe;
    ph_recipe recipe = *given; /* it borrows the texts, which name the seed that was given */
    int64_t seeds[PH_MAX_BATCH];
    ph_status status = balances_start(b, render);
    *failed = false;
    render->recipe = &recipe;
    for (int64_t i = 0; i < given->attempts && !status; i++, recipe.seed++) {
        ph_picture *made[PH_MAX_BATCH] = {0};
        struct ph_batch attempt = *b;
        for (int j = 0; j < b->count * b->regularisers && b->balances; j++) b->balances[j] = 0;
        bool now = false;
        attempt.attempt = (int)i;
        status = ph_batch_run(&attempt, made, &now);
        *failed |= now;
        if (status == PH_ERROR_NUMERIC && i + 1 < given->attempts) status = PH_OK;
        attempt_compare(b, &recipe, seeds, pictures + b->first, made);
    }
    render->recipe = given;
    render->balances = NULL;
    ph_free(b->balances);
    for (int n = 0; n < b->count && !status; n++) {
        ph_picture *picture = pictures[b->first + n];
        if (picture && given->attempts > 1)
            ph_log(b->context, "objective '%s': the best of %lld attempts has seed %lld",
                   render->objectives[b->first + n].text, (long long)given->attempts, (long long)seeds[n]);
        if (picture && b->callbacks && b->callbacks->finished && ph_picture_place(render, b->first + n) != PH_ABSENT)
            b->callbacks->finished(b->callbacks->user, ph_picture_place(render, b->first + n), picture);
    }
    return status;
}
