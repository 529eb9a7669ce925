/* The graphs of a render: the picture's side, the network and the objective put together. */
#include "vis/vis.h"
#include <math.h>

struct ph_shape ph_render_parameters(const struct ph_render *render, int64_t items) {
    return ph_parameterisations[render->recipe->parameterisation]->shape(items, render->recipe, &render->view);
}

/* Everything behind the picture. */
static ph_status behind_picture(const struct ph_render *render, int first, int count, struct ph_scene *scene) {
    int input;
    PH_TRY(ph_view_build(scene->graph, &render->view, (enum ph_warp_border)render->recipe->border, scene->picture,
                         scene->matrices, &input));
    PH_TRY(ph_preprocessing_build(render->model, scene->graph, input, &input));
    PH_TRY(ph_model_build(render->model, scene->graph, input));
    struct ph_objective_scope scope = {.model = render->model, .graph = scene->graph, .picture = scene->picture,
        .objectives = render->objectives + first, .count = count};
    return ph_objective_build(&scope, &scene->value);
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

/* Whether there was one. */
static bool redirect(struct ph_graph *graph) {
    bool any = false;
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_operation **operation = &graph->nodes[n].operation;
        if (*operation == &ph_operation_relu) *operation = &ph_operation_redirected_relu;
        else if (*operation == &ph_operation_clip) *operation = &ph_operation_redirected_clip;
        else continue;
        any = true;
    }
    return any;
}

static ph_status optimise_build(const struct ph_render *render, int first, int count, struct ph_scene *scene) {
    const ph_recipe *recipe = render->recipe;
    int planes;
    PH_TRY(ph_graph_create(render->model->context, &scene->graph));
    PH_TRY(ph_graph_add_input(scene->graph, NULL, PH_FLOAT, ph_render_parameters(render, count), &scene->parameters));
    PH_TRY(ph_graph_add_input(scene->graph, NULL, PH_FLOAT, PH_SHAPE(count, 2, 3), &scene->matrices));
    PH_TRY(ph_parameterisations[recipe->parameterisation]->build(scene->graph, recipe, &render->view, scene->parameters,
                                                                 &planes));
    PH_TRY(ph_colour_build(scene->graph, recipe->decorrelate, planes, &scene->picture));
    PH_TRY(behind_picture(render, first, count, scene));
    return loss_build(recipe, scene);
}

ph_status ph_scene_optimise(const struct ph_render *render, int first, int count, bool wakes, bool *redirected,
                            struct ph_scene *scene) {
    *scene = (struct ph_scene){0};
    ph_status status = optimise_build(render, first, count, scene);
    if (status) ph_scene_finish(scene);
    else if (wakes) *redirected = redirect(scene->graph);
    return status;
}

static ph_status evaluate_build(const struct ph_render *render, int first, int count, struct ph_scene *scene) {
    const struct ph_view *view = &render->view;
    PH_TRY(ph_graph_create(render->model->context, &scene->graph));
    PH_TRY(ph_graph_add_input(scene->graph, NULL, PH_FLOAT, PH_SHAPE(count, view->channels, view->height, view->width),
                              &scene->picture));
    return behind_picture(render, first, count, scene);
}

ph_status ph_scene_evaluate(const struct ph_render *render, int first, int count, struct ph_scene *scene) {
    *scene = (struct ph_scene){.parameters = PH_ABSENT, .matrices = PH_ABSENT, .loss = PH_ABSENT};
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
    ph_status status = ph_scene_evaluate(render, first, 1, &scene);
    if (!status) ph_scene_finish(&scene);
    if (!status || status == PH_ERROR_MEMORY) return status;
    /* Whatever else is wrong will be found again at the network's own size. */
    return ph_view_resolve(model, render->recipe, true, &render->view);
}

void ph_scene_finish(struct ph_scene *scene) { ph_graph_destroy(&scene->graph); }
