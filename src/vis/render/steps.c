/* Steps that the host makes: a draw of the view, forward, backward, and a step of the optimiser. */
#include "vis/render/batch.h"

double ph_batch_rate(const ph_recipe *recipe, int64_t step) {
    return recipe->learning_rate * ph_schedule_factor(&recipe->schedule, recipe->warm_up, step, recipe->steps);
}

ph_status ph_batch_evaluate(struct ph_batch *b, const float **gradient, bool *alive) {
    PH_TRY(ph_program_run(b->program));
    ph_program_read(b->program, b->scene.value, b->values);
    *gradient = ph_program_gradient(b->program, b->scene.parameters);
    bool intact = false;
    *alive = false;
    for (int n = 0; n < b->count; n++) {
        float size = ph_gradient_size(b->context, *gradient + (size_t)n * b->item_size, b->item_size);
        const struct ph_loop_report report = {b->values[n], size,
            ph_watch_judge(&b->moving[n], b->render->recipe, b->step, b->values[n], size)};
        ph_watch_step(&b->items[n], b->render, b->first + n, n, &b->scene, b->program, b->step, &report);
    }
    PH_TRY(ph_goals_look(b));
    for (int n = 0; n < b->count; n++) {
        const struct ph_watch *item = &b->items[n];
        b->optimiser.resting[n] = item->rests;
        intact |= !item->failed;
        *alive |= !item->failed && !item->rests;
    }
    return intact ? PH_OK : PH_ERROR_NUMERIC;
}

ph_status ph_batch_step(struct ph_batch *b, bool *alive) {
    const ph_recipe *recipe = b->render->recipe;
    float *parameters = ph_program_input(b->program, b->scene.parameters);
    const float *gradient;
    ph_batch_draw(b);
    PH_TRY(ph_batch_evaluate(b, &gradient, alive));
    if (!*alive) return PH_OK;
    double rate = ph_batch_rate(recipe, b->step);
    const float *prepared = ph_refiner_gradient(&b->refiner, b->step, gradient);
    ph_optimiser_step(&b->optimiser, rate, parameters, prepared);
    ph_refiner_parameters(&b->refiner, b->step, b->optimiser.resting, parameters, gradient);
    b->step++;
    return PH_OK;
}
