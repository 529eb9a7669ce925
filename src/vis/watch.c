/* What goes wrong in a render, and when a picture is done: numbers that are not finite, a gradient that vanishes or
 * explodes, an objective that does not move, a plateau, a value reached. A grey picture never comes without a word. */
#include "vis/vis.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define VANISHED_STEPS 8     /* without any gradient to speak of before a warning */
#define VANISHED_SIZE 1e-9f  /* optimisers that divide by the gradient's size add 1e-8 to it */
#define EXPLODED_GROWTH 1e6f /* of the gradient's first size */
#define STILL_STEPS 32       /* with an objective that has not moved before a warning */
#define STILL_WINDOW 16      /* steps at either end over which it is averaged: single values jump with the view */
#define FLAT_DEVIATION 0.015 /* of a picture's values, white being 1; random starts have 0.003 and more */

enum { PARTS = 32 };

struct sizes { const float *gradient; size_t count; int32_t largest[PARTS]; };

/* Without their signs floats are ordered as their bits are, infinity and NAN last, so the loop needs no branch. */
static void part_size(void *argument, int64_t index) {
    struct sizes *sizes = argument;
    size_t part = (sizes->count + PARTS - 1) / PARTS, begin = (size_t)index * part;
    int32_t largest = 0, bits;
    for (size_t i = begin; i < PH_MIN(begin + part, sizes->count); i++) {
        memcpy(&bits, &sizes->gradient[i], sizeof bits);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    sizes->largest[index] = largest;
}

float ph_gradient_size(const ph_context *context, const float *gradient, size_t count) {
    struct sizes sizes = {.gradient = gradient, .count = count};
    float size;
    ph_parallel_for(context, PARTS, part_size, &sizes);
    for (int i = 1; i < PARTS; i++) sizes.largest[0] = PH_MAX(sizes.largest[0], sizes.largest[i]);
    memcpy(&size, &sizes.largest[0], sizeof size);
    return size;
}

/* ---- Which layer ------------------------------------------------------------------------------------------------- */

enum trouble { NOT_FINITE, ALL_ZERO };

static bool has_trouble(enum trouble trouble, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (trouble == NOT_FINITE && !(fabsf(values[i]) <= FLT_MAX)) return true;
        if (trouble == ALL_ZERO && values[i] != 0) return false;
    }
    return trouble == ALL_ZERO;
}

/* Copies what the scene was fed into another program of the same graph. */
static void inputs_copy(const struct ph_graph *graph, struct ph_program *from, struct ph_program *to) {
    for (int v = 0; v < graph->value_count; v++) {
        if (graph->values[v].data || graph->values[v].node != PH_ABSENT) continue;
        const float *source = ph_program_input(from, v);
        float *target = ph_program_input(to, v);
        if (source && target) memcpy(target, source, (size_t)ph_shape_size(&graph->values[v].shape) * sizeof *target);
    }
}

/* The first layer of the network whose values for `item` are in trouble. The program that ran keeps only what its
 * backward pass needs, so another one runs that keeps every layer: slow, but once. Without memory there is no answer. */
static void layer_find(const struct ph_scene *scene, struct ph_program *program, int item, enum trouble trouble,
                       char *name, size_t size) {
    const struct ph_graph *graph = scene->graph;
    int items = (int)graph->values[scene->matrices].shape.dims[0], count = 0; /* with all their views */
    int views = items / (int)graph->values[scene->value].shape.dims[0];
    int *taps = ph_alloc_array((size_t)graph->node_count + 1, sizeof *taps);
    struct ph_program *all = NULL;
    float *values = NULL;
    size_t most = 0;
    if (!taps) return;
    for (int n = scene->network; n < scene->network_end; n++) {
        int value = graph->nodes[n].outputs[0];
        const struct ph_value *record = &graph->values[value];
        if (record->type != PH_FLOAT || record->data) continue;
        if (record->shape.rank < 2 || record->shape.dims[0] != items) continue;
        most = PH_MAX(most, (size_t)ph_shape_size(&record->shape));
        taps[count++] = value;
    }
    char kept[sizeof graph->context->error]; /* what fails here is no failure of the render */
    memcpy(kept, graph->context->error, sizeof kept);
    struct ph_program_request request = {.taps = taps, .tap_count = count, .loss = PH_ABSENT};
    if (count && !ph_program_create(graph, &request, &all)) values = ph_alloc_array(most, sizeof *values);
    if (values) {
        inputs_copy(graph, program, all);
        bool ran = !ph_program_forward(all);
        for (int i = 0; i < count && ran; i++) {
            size_t elements = (size_t)ph_shape_size(&graph->values[taps[i]].shape) / (size_t)(items / views);
            ph_program_read(all, taps[i], values);
            if (!has_trouble(trouble, values + (size_t)item * elements, elements)) continue;
            snprintf(name, size, "%s", graph->values[taps[i]].name);
            break;
        }
    }
    memcpy(graph->context->error, kept, sizeof kept);
    ph_program_destroy(&all);
    ph_free(values);
    ph_free(taps);
}

/* ---- One step ---------------------------------------------------------------------------------------------------- */

static void warn(struct ph_watch *watch, const struct ph_render *render, int objective, const char *what) {
    watch->warned = true;
    ph_log(render->model->context, "objective '%s': %s", render->objectives[objective].text, what);
}

static void check_gradient(struct ph_watch *watch, const struct ph_render *render, int objective, int item,
                           const struct ph_scene *scene, struct ph_program *program, int64_t step, float size) {
    char text[512];
    if (watch->first_size == 0) watch->first_size = size;
    if (size > VANISHED_SIZE) watch->silent_since = -1;
    else if (watch->silent_since < 0) watch->silent_since = step;
    if (watch->warned) return;
    if (watch->silent_since >= 0 && step >= render->recipe->redirect_steps &&
        step - watch->silent_since + 1 >= VANISHED_STEPS) {
        char layer[128] = "";
        if (size == 0) layer_find(scene, program, item, ALL_ZERO, layer, sizeof layer);
        snprintf(text, sizeof text, "the %s since step %lld%s%s%s; try %s",
                 size > 0 ? "gradient has vanished: it is below 1e-9" : "unit is silent, its gradient is zero",
                 (long long)watch->silent_since + 1, *layer ? " (layer '" : "", layer, *layer ? "' is all zero)" : "",
                 size > 0 ? "a smaller learning rate, another seed, or a factor before an objective of small numbers"
                          : "another seed, more redirect-steps, a smaller learning rate, or the layer before its activation");
        warn(watch, render, objective, text);
    } else if (size > EXPLODED_GROWTH * watch->first_size) {
        snprintf(text, sizeof text,
                 "the gradient explodes: at step %lld it is %.3g times as large as at first; try a smaller learning "
                 "rate, 'normalise', or the optimiser adam",
                 (long long)step + 1, (double)(size / watch->first_size));
        warn(watch, render, objective, text);
    }
}

/* An objective that is moved by no step although there is a gradient: its means over the first and the last steps of the
 * start differ by less than the error that they have, or by less than a thousandth. */
static void check_start(struct ph_watch *watch, const struct ph_render *render, int objective, int64_t step,
                        double value) {
    char text[512];
    double *sums[] = {watch->early, watch->late}, error = 0;
    int64_t last = render->recipe->redirect_steps + STILL_STEPS;
    if (step > last) return;
    for (int i = 0; i < 2; i++)
        if (i ? step > last - STILL_WINDOW : step < STILL_WINDOW) sums[i][0] += value, sums[i][1] += value * value;
    if (step != last || watch->warned || watch->rests) return;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) sums[i][j] /= STILL_WINDOW;
        error += fmax(0, sums[i][1] - sums[i][0] * sums[i][0]) / STILL_WINDOW;
    }
    if (fabs(sums[1][0] - sums[0][0]) > fmax(sqrt(error), 1e-3 * fabs(sums[0][0]))) return;
    snprintf(text, sizeof text,
             "it is about %g at first and %g after step %lld: nothing moves it; try a larger learning rate or spread, or "
             "another seed",
             sums[0][0], sums[1][0], (long long)step);
    warn(watch, render, objective, text);
}

static bool reached(const ph_recipe *recipe, float value) {
    if (isnan(recipe->stop_value)) return false;
    return isnan(recipe->target) ? value >= recipe->stop_value : fabs(value - recipe->target) <= recipe->stop_value;
}

/* A plateau is one of the running mean, for single values jump with the view: with every tenth of what a step brings. */
enum ph_loop_state ph_watch_judge(struct ph_loop_item *item, const ph_recipe *recipe, int64_t step, float value, float size) {
    float good = isnan(recipe->target) ? value : -fabsf(value - (float)recipe->target);
    if (item->state != PH_LOOP_MOVES) return item->state;
    if (!(fabsf(value) <= FLT_MAX) || !(size <= FLT_MAX)) return item->state = PH_LOOP_FAILED;
    item->smooth = step ? item->smooth + 0.1f * (good - item->smooth) : good;
    if (!step || item->smooth > item->best + 1e-3f * fabsf(item->best)) {
        item->best = item->smooth;
        item->best_at = (int32_t)step;
    }
    if (reached(recipe, value)) item->state = PH_LOOP_REACHED;
    else if (recipe->plateau && step - item->best_at >= recipe->plateau) item->state = PH_LOOP_FLAT;
    return item->state;
}

void ph_watch_step(struct ph_watch *watch, const struct ph_render *render, int objective, int item,
                   const struct ph_scene *scene, struct ph_program *program, int64_t step,
                   const struct ph_loop_report *report) {
    if (watch->failed || watch->rests) return;
    if (report->state == PH_LOOP_FAILED) {
        watch->failed = true;
        watch->value_failed = !(fabsf(report->value) <= FLT_MAX);
        watch->failed_at = step + 1;
        layer_find(scene, program, item, NOT_FINITE, watch->culprit, sizeof watch->culprit);
        return;
    }
    if (report->value != (float)render->recipe->target)
        check_gradient(watch, render, objective, item, scene, program, step, report->gradient);
    check_start(watch, render, objective, step, report->value);
    if (report->state == PH_LOOP_MOVES) return;
    watch->rests = true;
    ph_log(render->model->context, "objective '%s': %s after step %lld: %g", render->objectives[objective].text,
           report->state == PH_LOOP_REACHED ? "the value is reached" : "nothing is gained any more", (long long)step,
           (double)report->value);
}

void ph_watch_picture(struct ph_watch *watch, const struct ph_render *render, int objective, const ph_picture *picture) {
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    double worst = 0; /* deviation of the channel that has most */
    char text[256];
    if (watch->warned || watch->rests) return;
    for (int c = 0; c < picture->channels; c++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < plane; i++) {
            double value = (double)picture->pixels[(size_t)c * plane + i];
            sum += value;
            squares += value * value;
        }
        worst = fmax(worst, sqrt(fmax(0, squares / (double)plane - sum / (double)plane * (sum / (double)plane))));
    }
    if (worst >= FLAT_DEVIATION) return;
    snprintf(text, sizeof text,
             "the picture is nearly of one colour, its values deviate by %.2g; try smaller weights of regularisers, a "
             "smaller or larger learning rate, or more steps", worst);
    warn(watch, render, objective, text);
}
