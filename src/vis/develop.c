/* From parameters to finished pictures: the plain picture, the objective's value on it as its file will hold it, and
 * the recipe that makes it again. */
#include "vis/vis.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ph_status printer_create(struct ph_developer *d) {
    const struct ph_render *render = &d->render;
    PH_TRY(ph_graph_create(render->model->context, &d->graph));
    PH_TRY(ph_graph_add_input(d->graph, NULL, PH_FLOAT, ph_render_parameters(render, d->count), &d->parameters));
    PH_TRY(ph_canvas_build(render, d->graph, d->parameters, &d->picture));
    struct ph_program_request request = {.taps = &d->picture, .tap_count = 1, .loss = PH_ABSENT};
    return ph_program_create(d->graph, &request, &d->printer);
}

static ph_status evaluator_create(struct ph_developer *d) {
    PH_TRY(ph_scene_evaluate(&d->render, d->first, d->count, &d->evaluation));
    int goals = d->evaluation.error_count;
    if (goals && !d->errors) {
        d->errors = ph_alloc_array((size_t)goals * 2, (size_t)d->count * sizeof *d->errors);
        if (!d->errors) return ph_fail_memory(d->render.model->context);
        d->unrounded = d->errors + goals * d->count;
    }
    int *taps = ph_alloc_array((size_t)goals + 1, sizeof *taps);
    if (!taps) return ph_fail_memory(d->render.model->context);
    taps[0] = d->evaluation.value;
    for (int i = 0; i < goals; i++) taps[i + 1] = d->evaluation.errors[i];
    struct ph_program_request request = {.taps = taps, .tap_count = goals + 1, .loss = PH_ABSENT};
    ph_status status = ph_program_create(d->evaluation.graph, &request, &d->evaluator);
    ph_free(taps);
    return status;
}

static size_t item_size(const struct ph_developer *d) {
    const struct ph_view *view = &d->render.view;
    return (size_t)ph_canvas_channels(&d->render) * (size_t)view->height * (size_t)view->width;
}

ph_status ph_developer_start(const struct ph_render *render, int first, int count, struct ph_developer *developer) {
    *developer = (struct ph_developer){.render = *render, .first = first, .count = count};
    if (render->recipe->print_size.width) {
        struct ph_view *view = &developer->render.view;
        view->height = (int)render->recipe->print_size.height;
        view->width = (int)render->recipe->print_size.width;
        ph_view_fit(view);
    }
    ph_status status = ph_recipe_clone(render->recipe, &developer->recipe);
    if (!status) {
        developer->pixels = ph_alloc_array((size_t)count * sizeof *developer->pixels, item_size(developer));
        developer->values = ph_alloc_array((size_t)count, sizeof *developer->values);
        bool stretches = render->recipe->stretch > 0;
        if (stretches) developer->sorted = ph_alloc_array(item_size(developer), sizeof *developer->sorted);
        if (!developer->pixels || !developer->values || (stretches && !developer->sorted)) status = ph_fail_memory(render->model->context);
    }
    if (!status) status = printer_create(developer);
    if (status) ph_developer_finish(developer);
    return status;
}

void ph_developer_finish(struct ph_developer *developer) {
    ph_program_destroy(&developer->printer);
    ph_program_destroy(&developer->evaluator);
    ph_scene_finish(&developer->evaluation);
    ph_graph_destroy(&developer->graph);
    ph_recipe_destroy(&developer->recipe);
    ph_free(developer->pixels);
    ph_free(developer->values);
    ph_free(developer->errors);
    ph_free(developer->sorted);
    *developer = (struct ph_developer){0};
}

void ph_developer_rebalance(struct ph_developer *developer) {
    ph_program_destroy(&developer->evaluator);
    ph_scene_finish(&developer->evaluation);
}

/* d->values of the pictures in d->pixels, and the errors of their goals. */
static ph_status evaluate(struct ph_developer *d, bool rounded, float *errors) {
    float *input = ph_program_input(d->evaluator, d->evaluation.picture);
    for (size_t i = 0; i < (size_t)d->count * item_size(d) && input; i++)
        input[i] = rounded ? (float)ph_pixel_to_byte(d->pixels[i]) / 255 : d->pixels[i];
    PH_TRY(ph_program_forward(d->evaluator));
    ph_program_read(d->evaluator, d->evaluation.value, d->values);
    for (int i = 0; i < d->evaluation.error_count; i++)
        ph_program_read(d->evaluator, d->evaluation.errors[i], errors + i * d->count);
    return PH_OK;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Spreads the colours about grey until `percent` of them just fit; opacity stays. */
static void stretch(float *pixels, size_t count, double percent, float *sorted) {
    for (size_t i = 0; i < count; i++) sorted[i] = fabsf(pixels[i] - 0.5f);
    qsort(sorted, count, sizeof *sorted, ascending);
    float reach = sorted[(size_t)(percent / 100 * (double)(count - 1))];
    for (size_t i = 0; i < count && reach > 0; i++)
        pixels[i] = fminf(fmaxf(0.5f + (pixels[i] - 0.5f) * (0.5f / reach), 0), 1);
}

/* Fills d->pixels, and d->values and d->errors of them as their files will hold them, so that the value printed for a file
 * is that of the file. */
static ph_status print(struct ph_developer *d, const float *parameters) {
    struct ph_shape shape = ph_render_parameters(&d->render, d->count);
    memcpy(ph_program_input(d->printer, d->parameters), parameters, (size_t)ph_shape_size(&shape) * sizeof *parameters);
    PH_TRY(ph_program_forward(d->printer));
    ph_program_read(d->printer, d->picture, d->pixels);
    const struct ph_view *view = &d->render.view;
    size_t colours = (size_t)view->channels * (size_t)view->height * (size_t)view->width;
    for (int n = 0; n < d->count && d->sorted; n++)
        stretch(d->pixels + (size_t)n * item_size(d), colours, d->render.recipe->stretch, d->sorted);
    if (!d->evaluator) PH_TRY(evaluator_create(d));
    return evaluate(d, true, d->errors);
}

ph_status ph_developer_values(struct ph_developer *developer, const float *parameters, float *values) {
    PH_TRY(print(developer, parameters));
    memcpy(values, developer->values, (size_t)developer->count * sizeof *values);
    return PH_OK;
}

ph_status ph_developer_errors(struct ph_developer *developer, const float *parameters, float *errors) {
    PH_TRY(print(developer, parameters));
    memcpy(errors, developer->errors,
           (size_t)developer->evaluation.error_count * (size_t)developer->count * sizeof *errors);
    return PH_OK;
}

/* How far every goal is missed, the term's text last. */
static void append_errors(const struct ph_developer *d, int item, struct ph_text *text) {
    const struct ph_objective *objective = &d->render.objectives[d->first + item];
    const struct ph_term *term = NULL;
    double goal, target = d->render.recipe->target;
    for (int i = 0; i < d->evaluation.error_count; i++) {
        ph_text_append(text, "#error-%d=%.9g %.9g ", i + 1, (double)d->errors[i * d->count + item],
                       (double)d->unrounded[i * d->count + item]);
        if (isnan(target)) term = ph_objective_goal_next(objective, term, &goal);
        if (term) ph_recipe_line_append(text, objective->text + term->begin, (size_t)(term->end - term->begin));
        else ph_recipe_line_append(text, objective->text, strlen(objective->text));
    }
}

static ph_status recipe_write(const struct ph_developer *d, int item, float value, bool stopped, char **recipe) {
    const ph_model *model = d->render.model;
    const struct ph_objective *objective = &d->render.objectives[d->first + item];
    struct ph_text text = {0};
    ph_recipe_print(d->recipe, &text);
    ph_recipe_facts_append(model, objective->text, &text);
    ph_recipe_networks_append(model, objective, &text);
    ph_text_append(&text, "#value=%.9g\n", (double)value);
    append_errors(d, item, &text);
    if (stopped) ph_text_append(&text, "#stopped=before step %lld\n", (long long)d->render.recipe->steps);
    if (text.failed) {
        ph_text_finish(&text);
        return ph_fail_memory(model->context);
    }
    *recipe = text.data;
    return PH_OK;
}

static ph_status picture_make(struct ph_developer *d, int item, ph_picture **picture) {
    const struct ph_view *view = &d->render.view;
    int channels = ph_canvas_channels(&d->render);
    PH_TRY(ph_picture_create(d->render.model->context, channels, view->height, view->width, picture));
    (*picture)->separate = view->channels != 1 && view->channels != 3;
    memcpy((*picture)->pixels, d->pixels + (size_t)item * item_size(d), item_size(d) * sizeof(float));
    return PH_OK;
}

/* Of the pictures in d->pixels; d->values stay those of the files. */
static ph_status unrounded_measure(struct ph_developer *d) {
    if (!d->evaluation.error_count) return PH_OK;
    PH_TRY(evaluate(d, false, d->unrounded));
    return evaluate(d, true, d->errors);
}

ph_status ph_developer_run(struct ph_developer *developer, const float *parameters, int64_t step, bool stopped,
                           ph_picture **pictures) {
    struct ph_developer *d = developer;
    char steps[32];
    for (int n = 0; n < d->count; n++) pictures[n] = NULL;
    snprintf(steps, sizeof steps, "%lld", (long long)step);
    /* What the last step is, or, where the way there depends on it, which of the steps meant was made last. */
    bool course = ph_recipe_has_course(d->recipe) && step != ph_recipe_last_step(d->recipe);
    ph_status status = PH_OK;
    if (course) status = ph_recipe_set(d->recipe, "until", steps);
    else if (!ph_recipe_has_course(d->recipe)) status = ph_recipe_set(d->recipe, "steps", steps);
    if (!status) status = print(d, parameters);
    if (!status) status = unrounded_measure(d);
    for (int n = 0; n < d->count && !status; n++) status = picture_make(d, n, &pictures[n]);
    for (int n = 0; n < d->count && !status; n++) {
        char *recipe;
        pictures[n]->value = d->values[n];
        if (d->recipe->pictures > 1) {
            char item[32];
            snprintf(item, sizeof item, "%d", n + 1);
            status = ph_recipe_set(d->recipe, "item", item);
            if (status) break;
        }
        status = recipe_write(d, n, pictures[n]->value, stopped, &recipe);
        if (status) break;
        ph_free(pictures[n]->recipe);
        pictures[n]->recipe = recipe;
    }
    for (int n = 0; n < d->count && status; n++) ph_picture_destroy(&pictures[n]);
    return status;
}

bool ph_picture_error(const ph_picture *picture, int index, ph_term_error *error) {
    char key[32], line[sizeof error->term + 64], *end, *rest;
    if (!picture || !error || index < 0 || index == INT_MAX) return false;
    snprintf(key, sizeof key, "#error-%d", index + 1);
    if (!ph_recipe_lookup(picture->recipe, key, line, sizeof line)) return false;
    error->error = strtod(line, &end);
    error->unrounded = strtod(end, &rest);
    snprintf(error->term, sizeof error->term, "%s", *rest == ' ' ? rest + 1 : rest);
    return end != line && rest != end;
}
