/* The program that makes a batch's steps, and what goes in and out of it. */
#include "vis/render/batch.h"
#include <string.h>

static void loop_feed(void *user, int64_t step, struct ph_loop_step *told) {
    struct ph_batch *b = user;
    ph_scene_draw(b->render, &b->scene, b->program, (uint32_t)step);
    told->update = ph_optimiser_next(&b->optimiser, ph_batch_rate(b->render->recipe, step));
    told->looks = ph_goals_due(b, step) && step != b->looked_at;
    ph_refiner_tell_step(&b->refiner, step, told);
}

/* What a device that makes the steps is told about them. */
static struct ph_loop loop_tell(struct ph_batch *b) {
    const ph_recipe *recipe = b->render->recipe;
    struct ph_loop loop = {.parameter = b->scene.parameters, .value = b->scene.value, .mean = b->optimiser.optimiser->mean,
        .square = b->optimiser.optimiser->square, .moments = b->optimiser.moments, .items = b->moving,
        .target = recipe->target, .stop_value = recipe->stop_value, .plateau = recipe->plateau, .errors = b->scene.errors,
        .error_count = b->errors ? b->scene.error_count : 0, .tolerance = recipe->tolerance, .feed = loop_feed, .user = b};
    ph_refiner_tell(&b->refiner, &loop);
    return loop;
}

ph_status ph_batch_program_create(struct ph_batch *b) {
    const struct ph_loop loop = loop_tell(b);
    int *taps = ph_alloc_array((size_t)loop.error_count + 2, sizeof *taps);
    if (!taps) return ph_fail_memory(b->context);
    taps[0] = b->scene.value;
    taps[1] = b->scene.loss;
    for (int i = 0; i < loop.error_count; i++) taps[i + 2] = b->scene.errors[i];
    struct ph_program_request request = {.taps = taps, .tap_count = loop.error_count + 2, .loss = b->scene.loss,
        .parameters = &b->scene.parameters, .parameter_count = 1, .whole = true, .runs = b->render->recipe->steps,
        .loop = b->optimiser.optimiser->minimise ? NULL : &loop};
    ph_status status = ph_program_create(b->scene.graph, &request, &b->program);
    ph_free(taps);
    PH_TRY(status);
    ph_batch_feed(b);
    return PH_OK;
}

void ph_batch_program_finish(struct ph_batch *b) {
    ph_program_destroy(&b->program);
    ph_scene_finish(&b->scene);
}

void ph_batch_draw(struct ph_batch *b) { ph_scene_draw(b->render, &b->scene, b->program, (uint32_t)b->step); }

void ph_batch_feed(struct ph_batch *b) {
    memcpy(ph_program_input(b->program, b->scene.parameters), b->parameters,
           (size_t)b->count * b->item_size * sizeof(float));
}

void ph_batch_keep(struct ph_batch *b) {
    memcpy(b->parameters, ph_program_input(b->program, b->scene.parameters),
           (size_t)b->count * b->item_size * sizeof(float));
}
