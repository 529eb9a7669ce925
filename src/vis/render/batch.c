/* A batch from its start to its pictures: objectives that are alike, one item for each, go through one program together. */
#include "vis/render/batch.h"
#include <math.h>
#include <string.h>

/* From the given picture, or at random. Of several pictures of one objective the others start elsewhere, or near the given
 * one, but for what all of a batch have in common. */
static void item_start(const struct ph_batch *b, int n, float *values) {
    const struct ph_start *start = b->render->start;
    const struct ph_parameterisation *parameterisation = ph_parameterisations[b->render->recipe->parameterisation];
    struct ph_view view = ph_canvas_view(b->render);
    bool given = start && start->parameters, other = n > 0 && b->render->recipe->pictures > 1;
    ph_recipe recipe = *b->render->recipe;
    recipe.item = other ? n + 1 : 0;
    size_t common = other && parameterisation->common ? (size_t)parameterisation->common(&recipe, &view) : 0;
    if (!given || (other && !parameterisation->start))
        ph_parameterisation_start(&recipe, &view, values, b->item_size);
    if (given && other && !parameterisation->start)
        for (size_t i = 0; i < b->item_size; i++) values[i] += start->parameters[i];
    else if (given) memcpy(values, start->parameters, b->item_size * sizeof *values);
    memcpy(values, b->parameters, common * sizeof *values);
}

ph_status ph_batch_start(struct ph_batch *b) {
    const ph_recipe *recipe = b->render->recipe;
    struct ph_shape shape = ph_render_parameters(b->render, 1);
    if (!ph_shape_valid(&shape)) return ph_fail(b->context, PH_ERROR_SHAPE, "the picture is too large");
    b->item_size = (size_t)ph_shape_size(&shape);
    size_t size = b->item_size * (size_t)b->count;
    b->parameters = ph_alloc_array(size, sizeof *b->parameters);
    b->values = ph_alloc_array((size_t)b->count, sizeof *b->values);
    if (!b->parameters || !b->values) return ph_fail_memory(b->context);
    if (recipe->keep_best) {
        b->best = ph_alloc_array(size, sizeof *b->best);
        b->best_values = ph_alloc_array(2 * (size_t)b->count, sizeof *b->best_values);
        if (!b->best || !b->best_values) return ph_fail_memory(b->context);
        b->looked = b->best_values + b->count;
    }
    if (!isnan(recipe->tolerance)) {
        size_t goals = isnan(recipe->target) ? (size_t)ph_objective_goals(&b->render->objectives[b->first]) : 1;
        b->errors = ph_alloc_array(goals * (size_t)b->count, sizeof *b->errors);
        if (!b->errors) return ph_fail_memory(b->context);
    }
    b->alive = true;
    b->looked_at = -1;
    for (int n = 0; n < b->count; n++) {
        item_start(b, n, b->parameters + (size_t)n * b->item_size);
        b->items[n].silent_since = -1;
        if (recipe->keep_best) b->best_values[n] = NAN;
    }
    const struct ph_optimiser *optimiser = ph_optimisers[recipe->optimiser];
    PH_TRY(ph_optimiser_start(b->context, optimiser, b->count, b->item_size, &b->optimiser));
    b->optimiser.beta1 = recipe->beta1;
    b->optimiser.beta2 = recipe->beta2;
    b->optimiser.momentum = recipe->momentum;
    b->optimiser.smoothing = recipe->smoothing;
    struct ph_view view = ph_canvas_view(b->render);
    PH_TRY(ph_refiner_start(b->context, recipe, &view, b->count, b->item_size, &b->refiner));
    PH_TRY(ph_developer_start(b->render, b->first, b->count, &b->developer));
    return recipe->keep_best ? ph_best_look(b) : PH_OK; /* the first look makes what later ones need */
}

void ph_batch_finish(struct ph_batch *b) {
    ph_batch_program_finish(b);
    ph_developer_finish(&b->developer);
    ph_optimiser_finish(&b->optimiser);
    ph_refiner_finish(&b->refiner);
    ph_free(b->best);
    ph_free(b->best_values);
    ph_free(b->errors);
    ph_free(b->parameters);
    ph_free(b->values);
}

/* Steps up to `end` with one program; fewer when every item has come to rest. */
static ph_status stretch_run(struct ph_batch *b, int64_t end) {
    ph_status status = ph_batch_program_create(b);
    b->mark_time = ph_seconds();
    b->mark_step = b->step;
    if (!status && b->optimiser.optimiser->minimise) status = ph_descent_run(b, end);
    else if (!status && ph_program_loops(b->program)) status = ph_flights_run(b, end);
    else
        while (!status && b->step < end && b->alive) {
            status = ph_batch_step(b, &b->alive);
            if (!status && b->alive) status = ph_batch_stepped(b);
        }
    if (b->program) ph_batch_keep(b);
    return status;
}

/* The first steps have a program of their own, whose activations wake silent units, as have those before regularisers are
 * balanced; only one is in memory at a time. */
static ph_status steps_run(struct ph_batch *b) {
    const ph_recipe *recipe = b->render->recipe;
    int64_t steps = ph_recipe_last_step(recipe), before = -1, waking = recipe->redirect_steps;
    ph_status status = PH_OK;
    while (!status && b->alive && b->step < steps && b->step > before) {
        bool waits = b->balances && !b->balanced, redirected = true, redirect = b->step < waking;
        before = b->step;
        if (waits && b->step == recipe->auto_weight) {
            status = ph_batch_balance(b);
            waits = false;
        }
        if (!status) status = ph_scene_optimise(b->render, b->first, b->count, redirect, &redirected, &b->scene);
        if (!redirected) waking = 0;
        int64_t end = b->step < waking ? PH_MIN(waking, steps) : steps;
        if (waits) end = PH_MIN(end, recipe->auto_weight);
        if (!status) status = stretch_run(b, end);
        ph_batch_program_finish(b);
    }
    return status;
}

/* Pictures of the items that did not fail, also when the call was stopped: then as they are now, or as they were best. */
static ph_status batch_develop(struct ph_batch *b, bool stopped, ph_picture **pictures) {
    const float *parameters = b->parameters;
    if (b->best) {
        PH_TRY(ph_best_look(b));
        parameters = b->best;
    }
    int64_t step = stopped ? b->step : ph_recipe_last_step(b->render->recipe);
    PH_TRY(ph_developer_run(&b->developer, parameters, step, stopped, pictures));
    for (int n = 0; n < b->count; n++) {
        if (b->items[n].failed) ph_picture_destroy(&pictures[n]);
        else if (!stopped && b->step > 0) ph_watch_picture(&b->items[n], b->render, b->first + n, pictures[n]);
    }
    return PH_OK;
}

/* The text for the first item whose numbers were not finite: its picture is missing, the others are as they should. */
static bool batch_failed(const struct ph_batch *b) {
    for (int n = 0; n < b->count; n++) {
        const struct ph_watch *item = &b->items[n];
        if (!item->failed) continue;
        ph_fail(b->context, PH_ERROR_NUMERIC,
                "objective '%s': its %s is not finite at step %lld%s%s%s; try a smaller learning rate or other "
                "preprocessing",
                b->render->objectives[b->first + n].text, item->value_failed ? "value" : "gradient",
                (long long)item->failed_at, *item->culprit ? " (first in layer '" : "", item->culprit,
                *item->culprit ? "')" : "");
        return true;
    }
    return false;
}

ph_status ph_batch_run(struct ph_batch *b, ph_picture **pictures, bool *failed) {
    ph_status status = ph_batch_start(b);
    if (!status) status = steps_run(b);
    bool stopped = status == PH_ERROR_CANCELLED;
    if (!status || stopped) {
        ph_status developed = batch_develop(b, stopped, pictures);
        if (developed) status = developed;
    }
    *failed = (!status || status == PH_ERROR_NUMERIC) && batch_failed(b);
    ph_batch_finish(b);
    return status;
}
