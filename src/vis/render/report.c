/* What the caller of a render hears on the way: progress, pictures in the making. */
#include "vis/render/batch.h"

int ph_picture_place(const struct ph_render *render, int picture) {
    int pictures = (int)render->recipe->pictures, item = (int)render->recipe->item;
    if (!item) return picture;
    return picture % pictures == item - 1 ? picture / pictures : PH_ABSENT;
}

ph_status ph_batch_stopped(struct ph_batch *b) {
    const ph_recipe *recipe = b->render->recipe;
    int64_t each = ph_recipe_last_step(recipe);
    return ph_fail(b->context, PH_ERROR_CANCELLED, "stopped after step %lld of %lld",
                   (long long)(each * b->attempt + b->step), (long long)(each * recipe->attempts));
}

static ph_status report(struct ph_batch *b) {
    const struct ph_render *render = b->render;
    double now = ph_seconds(), elapsed = now - b->mark_time;
    if (elapsed > 2 || (b->rate == 0 && elapsed > 0.25)) {
        b->rate = (double)(b->step - b->mark_step) / elapsed;
        b->mark_time = now;
        b->mark_step = b->step;
    }
    if (!b->callbacks || !b->callbacks->progress) return PH_OK;
    int64_t each = ph_recipe_last_step(render->recipe);
    int64_t steps = each * render->recipe->attempts, step = each * b->attempt + b->step;
    const ph_recipe *recipe = render->recipe;
    bool chosen = recipe->item && recipe->pictures > 1; /* one of the batch, which is all of one objective's pictures */
    double batches_left = (double)(b->total - b->first - b->count) / b->count;
    struct ph_progress progress = {.step = (int)step, .steps = (int)steps,
        .first = chosen ? b->first / (int)recipe->pictures : b->first, .count = chosen ? 1 : b->count,
        .values = chosen ? b->values + recipe->item - 1 : b->values, .steps_per_second = b->rate,
        .seconds_left = b->rate > 0 ? ((double)(steps - step) + batches_left * (double)steps) / b->rate : -1};
    if (b->callbacks->progress(b->callbacks->user, &progress)) return PH_OK;
    return ph_batch_stopped(b);
}

static ph_status snapshot(struct ph_batch *b) {
    if (!b->callbacks || !b->callbacks->snapshot || !ph_recipe_snapshot_due(b->render->recipe, b->step)) return PH_OK;
    ph_picture *pictures[PH_MAX_BATCH];
    ph_batch_keep(b);
    PH_TRY(ph_developer_run(&b->developer, b->parameters, b->step, false, pictures));
    for (int n = 0; n < b->count; n++) {
        int given = ph_picture_place(b->render, b->first + n);
        if (!b->items[n].failed && given != PH_ABSENT)
            b->callbacks->snapshot(b->callbacks->user, given, (int)b->step, pictures[n]);
        ph_picture_destroy(&pictures[n]);
    }
    return PH_OK;
}

ph_status ph_batch_stepped(struct ph_batch *b) {
    const ph_recipe *recipe = b->render->recipe;
    PH_TRY(snapshot(b));
    if (recipe->keep_best && b->step % recipe->keep_best == 0) {
        ph_batch_keep(b);
        PH_TRY(ph_best_look(b));
    }
    return report(b);
}
