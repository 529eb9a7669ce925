/* How many objectives one program serves: those that are alike, as far as memory goes. */
#include "vis/render/batch.h"

#define AUTOMATIC_BATCH 8
#define AUTOMATIC_BYTES (1e9) /* of activations and gradients in one batch */

/* Bytes that one item takes in a program, roughly: every value computed, and its gradient. */
static double item_bytes(const struct ph_graph *graph) {
    double floats = 0;
    for (int v = 0; v < graph->value_count; v++)
        if (!graph->values[v].data) floats += (double)ph_shape_size(&graph->values[v].shape);
    return 2 * sizeof(float) * floats;
}

int ph_alike_count(const struct ph_render *render, int first, int total, int limit) {
    const struct ph_objective *objectives = render->objectives;
    int run = 1;
    if (render->recipe->pictures > 1) return (int)render->recipe->pictures;
    /* What neighbours have in common would depend on who they are, which no recipe says. */
    if (ph_parameterisations[render->recipe->parameterisation]->common) return run;
    if (ph_model_is_apart(render->model)) return run;
    while (run < limit && first + run < total && ph_objective_alike(&objectives[first], &objectives[first + run]))
        run++;
    return run;
}

ph_status ph_batch_size(const struct ph_render *render, int first, int total, int *count) {
    int64_t limit = render->recipe->batch ? render->recipe->batch : AUTOMATIC_BATCH;
    if (ph_optimisers[render->recipe->optimiser]->minimise) limit = 1; /* each finds its own step */
    limit = PH_MIN(limit, PH_MAX_BATCH / render->recipe->views);
    *count = ph_alike_count(render, first, total, (int)limit);
    if (render->recipe->batch || *count == 1 || render->recipe->pictures > 1) return PH_OK;
    struct ph_scene scene;
    PH_TRY(ph_scene_evaluate(render, first, 1, &scene));
    double bytes = item_bytes(scene.graph) * (double)render->recipe->views;
    ph_scene_finish(&scene);
    while (*count > 1 && *count * bytes > AUTOMATIC_BYTES) --*count;
    return PH_OK;
}
