/* The graphs of a render: the picture's side, the network and the objective put together. */
#include "vis/vis.h"
#include <math.h>

struct ph_shape ph_render_parameters(const struct ph_render *render, int64_t items) {
    struct ph_view view = ph_canvas_view(render);
    return ph_parameterisations[render->recipe->parameterisation]->shape(items, render->recipe, &view);
}

static ph_status binary(struct ph_graph *graph, const struct ph_operation *operation, int a, int b, int *out) {
    return ph_graph_add(graph, operation, NULL, NULL, (int[]){a, b}, 2, out);
}

/* [N,...] to [N K,...], each item K times. */
static ph_status items_repeat(struct ph_graph *graph, int x, int64_t times, int *out) {
    const struct ph_shape shape = graph->values[x].shape;
    struct ph_shape_attributes apart = {{shape.rank + 1, {shape.dims[0], 1}}}, repeated, together = {shape};
    *out = x;
    if (times == 1) return PH_OK;
    for (int i = 1; i < shape.rank; i++) apart.shape.dims[i + 1] = shape.dims[i];
    repeated = apart;
    repeated.shape.dims[1] = times;
    together.shape.dims[0] *= times;
    PH_TRY(ph_graph_add(graph, &ph_operation_reshape, NULL, &apart, &x, 1, &x));
    PH_TRY(ph_graph_add(graph, &ph_operation_expand, NULL, &repeated, &x, 1, &x));
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &together, &x, 1, out);
}

/* [N K] to [N]: the mean over the views of each picture. */
static ph_status views_mean(struct ph_graph *graph, int x, int64_t items, int64_t views, int *out) {
    struct ph_shape_attributes apart = {PH_SHAPE(items, views)};
    struct ph_reduce_attributes mean = {.axes = {1}, .axis_count = 1};
    *out = x;
    if (views == 1) return PH_OK;
    PH_TRY(ph_graph_add(graph, &ph_operation_reshape, NULL, &apart, &x, 1, &x));
    return ph_graph_add(graph, &ph_operation_reduce_mean, NULL, &mean, &x, 1, out);
}

/* The network's view of `seen`, with what is random about it. */
static ph_status view_build(const struct ph_render *render, const struct ph_scene *scene, int seen, int *input) {
    const ph_recipe *recipe = render->recipe;
    struct ph_view view = render->view;
    /* Boxes are cut from the picture itself. */
    if (recipe->transforms == PH_TRANSFORMS_CROPS && scene->matrices != PH_ABSENT)
        view.fitted_height = view.height, view.fitted_width = view.width;
    if (scene->fills != PH_ABSENT) PH_TRY(binary(scene->graph, &ph_operation_sub, seen, scene->fills, &seen));
    int border = recipe->border == PH_BORDER_RANDOM && scene->fills == PH_ABSENT ? PH_BORDER_CONSTANT
                                                                                 : (int)recipe->border;
    PH_TRY(ph_view_build(scene->graph, &view, border, seen, scene->matrices, input));
    if (scene->fills != PH_ABSENT) PH_TRY(binary(scene->graph, &ph_operation_add, *input, scene->fills, input));
    if (scene->noise != PH_ABSENT) PH_TRY(binary(scene->graph, &ph_operation_add, *input, scene->noise, input));
    return PH_OK;
}

/* With a target there is one goal: that value of the whole. */
static ph_status target_error(const struct ph_recipe *recipe, struct ph_scene *scene) {
    float target = (float)recipe->target;
    int constant;
    scene->error_count = 1;
    PH_TRY(ph_graph_add_constant_copy(scene->graph, NULL, PH_FLOAT, PH_SCALAR, &target, &constant));
    PH_TRY(binary(scene->graph, &ph_operation_sub, scene->value, constant, &scene->errors[0]));
    return ph_graph_add(scene->graph, &ph_operation_abs, NULL, NULL, &scene->errors[0], 1, &scene->errors[0]);
}

/* Everything behind the picture. */
static ph_status behind_picture(const struct ph_render *render, int first, int count, int64_t views,
                                struct ph_scene *scene) {
    struct ph_objective objectives[PH_MAX_BATCH];
    int regularisers = ph_objective_regularisers(&render->objectives[first]);
    int input, seen = scene->picture, ground = PH_ABSENT, picture, value;
    if (scene->ground != PH_ABSENT) PH_TRY(ph_ground_build(render, scene->graph, scene->ground, &ground));
    if (render->recipe->alpha) PH_TRY(ph_canvas_lay(scene->graph, seen, ground, &seen));
    PH_TRY(items_repeat(scene->graph, seen, views, &seen));
    PH_TRY(items_repeat(scene->graph, scene->picture, views, &picture));
    PH_TRY(view_build(render, scene, seen, &seen));
    PH_TRY(ph_preprocessing_build(render->model, scene->graph, seen, &input));
    scene->network = scene->graph->node_count;
    PH_TRY(ph_model_build(render->model, scene->graph, input));
    PH_TRY(ph_networks_build(render->model, &render->objectives[first], scene->graph, seen));
    scene->network_end = scene->graph->node_count;
    ph_pooling_swap(scene->graph, render->recipe, scene->network);
    for (int64_t i = 0; i < count * views; i++) {
        objectives[i] = render->objectives[first + i / views];
        if (render->balances) objectives[i].balances = render->balances + i / views * regularisers;
    }
    struct ph_objective_scope scope = {.model = render->model, .graph = scene->graph, .picture = picture,
        .objectives = objectives, .count = (int)(count * views), .joining = render->model, .references = render->references,
        .views = (int)views, .pictures = (int)render->recipe->pictures,
        .start = render->start ? render->start->picture : NULL, .recipe = render->recipe, .view = &render->view};
    scene->parts = ph_pool_alloc(&scene->graph->pool, ((size_t)regularisers + 1) * sizeof *scene->parts);
    scene->error_count = ph_objective_goals(&render->objectives[first]);
    scope.errors = scene->errors =
        ph_pool_alloc(&scene->graph->pool, ((size_t)scene->error_count + 1) * sizeof *scene->errors);
    if (!scene->parts || !scene->errors) return ph_fail_memory(render->model->context);
    PH_TRY(ph_objective_build_parts(&scope, scene->parts, &value));
    for (int i = 0; i < scene->error_count; i++)
        PH_TRY(views_mean(scene->graph, scene->errors[i], count, views, &scene->errors[i]));
    PH_TRY(views_mean(scene->graph, value, count, views, &scene->value));
    return isnan(render->recipe->target) ? PH_OK : target_error(render->recipe, scene);
}

/* The loss is minimised: the objective's negative, or the square of its distance from a target. */
static ph_status loss_build(const ph_recipe *recipe, struct ph_scene *scene) {
    if (isnan(recipe->target))
        return ph_graph_add(scene->graph, &ph_operation_neg, NULL, NULL, &scene->value, 1, &scene->loss);
    float target = (float)recipe->target;
    int inputs[2] = {scene->value, PH_ABSENT}, off;
    PH_TRY(ph_graph_add_constant_copy(scene->graph, NULL, PH_FLOAT, PH_SCALAR, &target, &inputs[1]));
    PH_TRY(ph_graph_add(scene->graph, &ph_operation_sub, NULL, NULL, inputs, 2, &off));
    return ph_graph_add(scene->graph, &ph_operation_mul, NULL, NULL, (int[]){off, off}, 2, &scene->loss);
}

static struct ph_scene scene_empty(void) {
    return (struct ph_scene){.parameters = PH_ABSENT, .matrices = PH_ABSENT, .fills = PH_ABSENT, .noise = PH_ABSENT,
        .ground = PH_ABSENT, .loss = PH_ABSENT};
}

static ph_status inputs_add(const struct ph_render *render, int count, struct ph_scene *scene) {
    const ph_recipe *recipe = render->recipe;
    const struct ph_view *view = &render->view;
    struct ph_graph *graph = scene->graph;
    int64_t seen = count * recipe->views;
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, ph_render_parameters(render, count), &scene->parameters));
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(seen, 2, 3), &scene->matrices));
    if (recipe->border == PH_BORDER_RANDOM)
        PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(seen, 1, 1, 1), &scene->fills));
    if (recipe->noise > 0)
        PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT,
                                  PH_SHAPE(seen, view->channels, view->input_height, view->input_width), &scene->noise));
    if (recipe->alpha) PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, ph_ground_shape(view), &scene->ground));
    return PH_OK;
}

static ph_status optimise_build(const struct ph_render *render, int first, int count, bool wakes, struct ph_scene *scene) {

    PH_TRY(ph_graph_create(render->model->context, &scene->graph));
    PH_TRY(inputs_add(render, count, scene));
    PH_TRY(ph_canvas_build(render, scene->graph, scene->parameters, &scene->picture));
    PH_TRY(behind_picture(render, first, count, render->recipe->views, scene));
    PH_TRY(ph_backward_rule(scene->graph, render->recipe, scene->network, wakes));
    return loss_build(render->recipe, scene);
}

ph_status ph_scene_optimise(const struct ph_render *render, int first, int count, bool wakes, bool *redirected,
                            struct ph_scene *scene) {
    *scene = scene_empty();
    ph_status status = optimise_build(render, first, count, wakes, scene);
    if (status) ph_scene_finish(scene);
    else if (wakes) *redirected = ph_redirect(scene->graph, scene->network);
    return status;
}

/* ---- What is random at a step ------------------------------------------------------------------------------------ */

struct noise_task { const ph_recipe *recipe; uint32_t step; float *noise; size_t size; };

/* Where a value is fed; NULL where the scene has none of its kind or, as for an objective about the picture alone, the
 * program does not hold it. */
static float *fed(struct ph_program *program, int value) {
    return value == PH_ABSENT ? NULL : ph_program_input(program, value);
}

/* Pictures of a batch share their draws, so that none depends on its place. */
static void noise_draw(void *argument, int64_t index) {
    const struct noise_task *task = argument;
    ph_transform_draw_noise(task->recipe, task->step, (int)(index % task->recipe->views),
                            task->noise + (size_t)index * task->size, task->size);
}

void ph_scene_draw(const struct ph_render *render, const struct ph_scene *scene, struct ph_program *program,
                   uint32_t step) {
    const ph_recipe *recipe = render->recipe;
    const struct ph_value *values = scene->graph->values;
    int views = (int)recipe->views, seen = (int)values[scene->matrices].shape.dims[0];
    float *matrices = fed(program, scene->matrices), *fills = fed(program, scene->fills);
    float *noise = fed(program, scene->noise), *ground = fed(program, scene->ground);
    for (int i = 0; i < seen && matrices; i++) ph_transform_draw(recipe, &render->view, step, i % views, matrices + 6 * i);
    for (int i = 0; i < seen && fills; i++) fills[i] = ph_transform_draw_fill(recipe, step, i % views);
    if (noise) {
        size_t size = (size_t)ph_shape_size(&values[scene->noise].shape) / (size_t)seen;
        struct noise_task task = {recipe, step, noise, size};
        ph_parallel_for(render->model->context, seen, noise_draw, &task);
    }
    if (ground) ph_ground_draw(recipe, step, ground, (size_t)ph_shape_size(&values[scene->ground].shape));
}

/* ---- Evaluation -------------------------------------------------------------------------------------------------- */

static ph_status evaluate_build(const struct ph_render *render, int first, int count, struct ph_scene *scene) {
    const struct ph_view *view = &render->view;
    PH_TRY(ph_graph_create(render->model->context, &scene->graph));
    PH_TRY(ph_graph_add_input(scene->graph, NULL, PH_FLOAT,
                              PH_SHAPE(count, ph_canvas_channels(render), view->height, view->width), &scene->picture));
    return behind_picture(render, first, count, 1, scene);
}

ph_status ph_scene_evaluate(const struct ph_render *render, int first, int count, struct ph_scene *scene) {
    *scene = scene_empty();
    ph_status status = evaluate_build(render, first, count, scene);
    if (status) ph_scene_finish(scene);
    return status;
}

ph_status ph_render_choose_view(struct ph_render *render, int first) {
    const ph_model *model = render->model;
    PH_TRY(ph_view_resolve(model, render->recipe, false, &render->view));
    bool own = render->view.input_height == model->default_input.dims[2] &&
               render->view.input_width == model->default_input.dims[3];
    if (own || render->recipe->input_size.width) return PH_OK;
    struct ph_scene scene;
    ph_status status = ph_scene_evaluate(render, first, (int)render->recipe->pictures, &scene);
    if (!status) ph_scene_finish(&scene);
    if (!status || status == PH_ERROR_MEMORY) return status;
    /* Whatever else is wrong will be found again at the network's own size. */
    return ph_view_resolve(model, render->recipe, true, &render->view);
}

void ph_scene_finish(struct ph_scene *scene) { ph_graph_destroy(&scene->graph); }
