/* A render: one picture for each objective, in batches of objectives that are alike. This file is the call and what is checked
 * before it begins; what a batch goes through has files of its own in render/, see batch.h. */
#include "vis/render/batch.h"
#include <math.h>
#include <string.h>

/* ---- Before any work is done ------------------------------------------------------------------------------------- */

/* Parses every objective before any work is done, so that a mistake in the last is not found after an hour. Each stands
 * in the list once for each of its pictures; the first one owns what it holds. */
static ph_status objectives_parse(ph_context *context, const char *const *texts, int count, int pictures,
                                  struct ph_objective *objectives) {
    for (int i = 0; i < count; i++) {
        struct ph_objective *own = &objectives[i * pictures];
        PH_TRY(ph_objective_parse(context, texts[i], own));
        PH_TRY(ph_objective_check_single(context, own));
        for (int j = 1; j < pictures; j++) own[j] = own[0];
    }
    return PH_OK;
}

static void objectives_finish(int count, int pictures, struct ph_objective *objectives) {
    for (int i = 0; i < count && objectives; i++) ph_objective_finish(&objectives[i * pictures]);
    ph_free(objectives);
}

/* Builds the graph of every objective once, for the same reason. */
static ph_status objectives_check(struct ph_render *render, int count) {
    for (int first = 0, run; first < count; first += run) {
        struct ph_scene scene;
        const struct ph_view *view = &render->view;
        if (!isnan(render->recipe->tolerance) && isnan(render->recipe->target) &&
            !ph_objective_goals(&render->objectives[first]))
            return ph_fail(render->model->context, PH_ERROR_ARGUMENT,
                           "tolerance: objective '%s' has nothing that can be reached, such as match, or reach, in its sum, "
                           "and there is no 'target'", render->objectives[first].text);
        run = ph_alike_count(render, first, count, PH_MAX_BATCH);
        PH_TRY(ph_render_choose_view(render, first));
        PH_TRY(ph_scene_evaluate(render, first, run, &scene));
        ph_scene_finish(&scene);
        if (view->fitted_width != view->width || view->fitted_height != view->height)
            ph_log(render->model->context, "objective '%s': the network sees the picture of %dx%d scaled to %dx%d",
                   render->objectives[first].text, view->width, view->height, view->fitted_width, view->fitted_height);
    }
    return PH_OK;
}

/* All pictures of an objective are one batch. */
static ph_status pictures_check(const struct ph_render *render) {
    const ph_recipe *recipe = render->recipe;
    ph_context *context = render->model->context;
    if (recipe->item > recipe->pictures)
        return ph_fail(context, PH_ERROR_ARGUMENT, "item: there are %lld pictures of each objective, and no number %lld",
                       (long long)recipe->pictures, (long long)recipe->item);
    if (recipe->pictures * recipe->views > PH_MAX_BATCH)
        return ph_fail(context, PH_ERROR_ARGUMENT, "%lld pictures with %lld views each are more than %d at once",
                       (long long)recipe->pictures, (long long)recipe->views, PH_MAX_BATCH);
    if (recipe->pictures > 1 && ph_optimisers[recipe->optimiser]->minimise)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "the optimiser %s is for one picture at a time, not for several",
                       ph_optimisers[recipe->optimiser]->name);
    return PH_OK;
}

/* With the backend "auto", by the first objective's steps, before any smaller program makes the choice. What keeps its graph
 * from being built will be found again. */
static ph_status backend_choose(const struct ph_render *render) {
    struct ph_scene scene;
    if (strcmp(render->model->context->backend, "auto")) return PH_OK;
    ph_status status = ph_scene_optimise(render, 0, (int)render->recipe->pictures, false, NULL, &scene);
    if (status) return status == PH_ERROR_MEMORY ? status : PH_OK;
    struct ph_program_request request = {.taps = &scene.value, .tap_count = 1, .loss = scene.loss,
        .runs = render->recipe->steps};
    status = ph_program_choose_backend(scene.graph, &request);
    ph_scene_finish(&scene);
    return status;
}

/* What needs the sizes of the picture, which the first objective's view has. */
static ph_status render_prepare(struct ph_render *render, struct ph_start *start) {
    const ph_recipe *recipe = render->recipe;
    PH_TRY(ph_render_choose_view(render, 0));
    PH_TRY(ph_canvas_check(render));
    PH_TRY(pictures_check(render));
    if (recipe->attempts > 1 && recipe->snapshots.values[0] > 0)
        return ph_fail(render->model->context, PH_ERROR_ARGUMENT,
                       "snapshots and attempts do not go together: which attempt is given is known at the end");
    PH_TRY(backend_choose(render));
    PH_TRY(ph_start_load(render, start));
    render->start = start;
    return PH_OK;
}

/* ---- The call ---------------------------------------------------------------------------------------------------- */

static ph_status objectives_run(struct ph_render *render, int total, const ph_render_callbacks *callbacks,
                                ph_picture **pictures) {
    bool failed = false;
    char message[sizeof render->model->context->error];
    for (int first = 0, count; first < total; first += count) {
        bool now = false;
        PH_TRY(ph_render_choose_view(render, first));
        PH_TRY(ph_batch_size(render, first, total, &count));
        struct ph_batch batch = {.render = render, .callbacks = callbacks, .context = render->model->context,
            .first = first, .count = count, .total = total};
        ph_status status = ph_attempts_run(&batch, render, pictures, &now);
        if (now && !failed) memcpy(message, render->model->context->error, sizeof message);
        failed |= now;
        if (status && status != PH_ERROR_NUMERIC) return status;
    }
    return failed ? ph_fail(render->model->context, PH_ERROR_NUMERIC, "%s", message) : PH_OK;
}

struct call {
    struct ph_render *render;
    int count;
    const ph_render_callbacks *callbacks;
    ph_picture **pictures;
    ph_status status;
};

static void call_run(void *argument) {
    struct call *call = argument;
    call->status = objectives_run(call->render, call->count, call->callbacks, call->pictures);
}

/* Of all pictures that were made those that are given; the others were their company. */
static void pictures_choose(const struct ph_render *render, int total, ph_picture **made, ph_picture **pictures) {
    for (int i = 0; i < total; i++) {
        int given = ph_picture_place(render, i);
        if (given == PH_ABSENT) ph_picture_destroy(&made[i]);
        else pictures[given] = made[i];
    }
}

static ph_status objectives_render(struct ph_render *render, int total, const ph_render_callbacks *callbacks,
                                   ph_picture **pictures) {
    struct ph_start start = {0};
    ph_picture **made = ph_alloc_array((size_t)total, sizeof *made);
    struct call call = {render, total, callbacks, made, PH_OK};
    ph_status status = made ? render_prepare(render, &start) : ph_fail_memory(render->model->context);
    if (!status) status = objectives_check(render, total);
    /* One start of threads for the whole call. */
    if (!status) {
        ph_parallel_region(render->model->context, call_run, &call);
        status = call.status;
    }
    if (made) pictures_choose(render, total, made, pictures);
    ph_start_finish(&start);
    ph_free(made);
    return status;
}

ph_status ph_render(ph_model *model, const ph_recipe *recipe, const char *const *objectives, int count,
                    const ph_render_callbacks *callbacks, ph_picture **pictures) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!recipe || !objectives || !pictures || count < 1)
        return ph_fail(model->context, PH_ERROR_ARGUMENT,
                       "a render needs a recipe, objectives and room for their pictures");
    int each = (int)recipe->pictures;
    memset(pictures, 0, (size_t)count * (recipe->item ? 1 : (size_t)each) * sizeof *pictures);
    if (count > INT32_MAX / each)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "%d objectives with %d pictures each are too many", count, each);
    struct ph_objective *parsed = ph_alloc_array((size_t)count * (size_t)each, sizeof *parsed);
    if (!parsed) return ph_fail_memory(model->context);
    struct ph_references references = {0};
    struct ph_render render = {.model = model, .recipe = recipe, .objectives = parsed, .references = &references};
    ph_status status = objectives_parse(model->context, objectives, count, each, parsed);
    if (!status) status = objectives_render(&render, count * each, callbacks, pictures);
    ph_references_finish(&references);
    objectives_finish(count, each, parsed);
    return status;
}

/* ---- The plan ---------------------------------------------------------------------------------------------------- */

ph_status ph_plan_text(ph_model *model, const ph_recipe *recipe, const char *objective, bool time, char **text) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!recipe || !text)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "a plan needs a recipe and room for its text");
    int each = (int)recipe->pictures;
    struct ph_objective *parsed = ph_alloc_array((size_t)each, sizeof *parsed);
    if (!parsed) return ph_fail_memory(model->context);
    struct ph_references references = {0};
    struct ph_render render = {.model = model, .recipe = recipe, .objectives = parsed, .references = &references};
    struct ph_batch batch = {.render = &render, .context = model->context, .count = each};
    struct ph_text out = {0};
    struct ph_start start = {0};
    ph_status status = objectives_parse(model->context, &objective, 1, each, parsed);
    if (!status) status = render_prepare(&render, &start);
    if (!status) status = ph_batch_start(&batch);
    if (!status) status = ph_scene_optimise(&render, 0, each, false, NULL, &batch.scene);
    if (!status) status = ph_batch_program_create(&batch);
    if (!status) {
        ph_batch_draw(&batch);
        status = ph_program_print(batch.program, time, &out);
    }
    ph_batch_finish(&batch);
    ph_start_finish(&start);
    ph_references_finish(&references);
    objectives_finish(1, each, parsed);
    if (status) ph_text_finish(&out);
    *text = out.data;
    return status;
}
