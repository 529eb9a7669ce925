/* Running what is being explained. */
#include "vis/attribution/attribution.h"
#include "graph/splice.h"
#include <math.h>
#include <string.h>

void ph_subject_start(const ph_model *model, const struct ph_objective *objective, const struct ph_shape *shape,
                      struct ph_subject *subject) {
    *subject = (struct ph_subject){.model = model, .context = model->context, .objective = objective, .shape = *shape,
        .size = (size_t)ph_shape_size(shape)};
}

static void layer_finish(struct ph_subject_layer **layer);

static void run_finish(struct ph_subject_run *run) {
    ph_program_destroy(&run->program);
    ph_graph_destroy(&run->graph);
}

void ph_subject_finish(struct ph_subject *subject) {
    run_finish(&subject->one);
    run_finish(&subject->batch);
    run_finish(&subject->one_gradient);
    run_finish(&subject->batch_gradient);
    run_finish(&subject->guided);
    run_finish(&subject->deconvolution);
    layer_finish(&subject->layer);
    for (int i = 0; i < PH_SERIES_COUNT; i++) {
        ph_free(subject->kept[i].input);
        ph_free(subject->kept[i].values);
    }
}

/* ---- Layers with weights ----------------------------------------------------------------------------------------- */

/* Marks what leads to `value`. */
static void ancestors_mark(const struct ph_graph *graph, int value, bool *marked) {
    marked[value] = true;
    for (int v = value; v >= 0; v--) {
        if (!marked[v] || graph->values[v].node == PH_ABSENT) continue;
        const struct ph_node *node = &graph->nodes[graph->values[v].node];
        for (int i = 0; i < node->input_count; i++)
            if (node->inputs[i] != PH_ABSENT) marked[node->inputs[i]] = true;
    }
}

/* Input 1 of a convolution or matrix product when it is constant, else PH_ABSENT. */
static int weights_of(const struct ph_graph *graph, const struct ph_node *node) {
    bool weighs = node->operation == &ph_operation_convolution ||
                  node->operation == &ph_operation_convolution_transpose || node->operation == &ph_operation_gemm ||
                  node->operation == &ph_operation_matmul;
    int value = weighs && node->input_count > 1 ? node->inputs[1] : PH_ABSENT;
    return value != PH_ABSENT && graph->values[value].data && graph->values[value].type == PH_FLOAT ? value : PH_ABSENT;
}

/* Nodes with weights that lead to `value`, last first; nodes[graph->node_count]. */
static ph_status weighted_list(const struct ph_graph *graph, int value, int *nodes, int *count) {
    bool *marked = ph_alloc_array((size_t)graph->value_count, sizeof *marked);
    if (!marked) return ph_fail_memory(graph->context);
    ancestors_mark(graph, value, marked);
    *count = 0;
    for (int n = graph->node_count - 1; n >= 0; n--)
        if (marked[graph->nodes[n].outputs[0]] && weights_of(graph, &graph->nodes[n]) != PH_ABSENT)
            nodes[(*count)++] = n;
    ph_free(marked);
    return PH_OK;
}

/* Normal numbers of the weights' own mean and deviation in their place. */
static ph_status weights_forget(struct ph_graph *graph, int value, int layer) {
    struct ph_value *record = &graph->values[value];
    size_t size = (size_t)ph_shape_size(&record->shape);
    PH_TRY(ph_value_load(record));
    const float *from = record->data;
    float *to = ph_pool_alloc(&graph->pool, size * sizeof *to);
    double sum = 0, squares = 0;
    if (!to) return ph_fail_memory(graph->context);
    for (size_t i = 0; i < size; i++) {
        sum += from[i];
        squares += (double)from[i] * from[i];
    }
    double mean = sum / (double)size, deviation = sqrt(fmax(squares / (double)size - mean * mean, 0));
    ph_random_normal((struct ph_random_key){.step = (uint32_t)layer, .use = PH_USE_WEIGHTS}, to, size);
    for (size_t i = 0; i < size; i++) to[i] = (float)(mean + deviation * to[i]);
    record->data = to;
    record->contents = NULL;
    return PH_OK;
}

static ph_status weights_forget_last(const struct ph_subject *subject, struct ph_graph *graph, int value) {
    int *nodes = ph_alloc_array((size_t)graph->node_count, sizeof *nodes), count = 0;
    if (!nodes) return ph_fail_memory(graph->context);
    ph_status status = weighted_list(graph, value, nodes, &count);
    for (int i = 0; i < PH_MIN(count, subject->forgotten) && !status; i++)
        status = weights_forget(graph, weights_of(graph, &graph->nodes[nodes[i]]), i);
    ph_free(nodes);
    return status;
}

static ph_status names_list(const struct ph_graph *graph, int value, struct ph_pool *pool, const char ***names,
                            int *count) {
    int *nodes = ph_alloc_array((size_t)graph->node_count, sizeof *nodes);
    if (!nodes) return ph_fail_memory(graph->context);
    ph_status status = weighted_list(graph, value, nodes, count);
    *names = status ? NULL : ph_pool_alloc(pool, ((size_t)*count + 1) * sizeof **names);
    if (!status && !*names) status = ph_fail_memory(graph->context);
    for (int i = 0; !status && i < *count; i++) {
        (*names)[i] = ph_pool_strdup(pool, graph->values[graph->nodes[nodes[i]].outputs[0]].name);
        if (!(*names)[i]) status = ph_fail_memory(graph->context);
    }
    ph_free(nodes);
    return status;
}

ph_status ph_subject_weights(const struct ph_subject *subject, struct ph_pool *pool, const char ***names, int *count) {
    struct ph_graph *graph;
    int input, value;
    PH_TRY(ph_graph_create(subject->context, &graph));
    ph_status status = ph_subject_build(subject, 1, graph, &input, &value, NULL);
    if (!status) status = names_list(graph, value, pool, names, count);
    ph_graph_destroy(&graph);
    return status;
}

/* ---- The whole network ------------------------------------------------------------------------------------------- */

ph_status ph_subject_build(const struct ph_subject *subject, int count, struct ph_graph *graph, int *input, int *value,
                           int *objective_first) {
    struct ph_objective objectives[PH_SUBJECT_BATCH];
    struct ph_shape shape = subject->shape;
    shape.dims[0] = count;
    for (int i = 0; i < count; i++) objectives[i] = *subject->objective;
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, shape, input));
    PH_TRY(ph_model_build(subject->model, graph, *input));
    if (objective_first) *objective_first = graph->value_count;
    struct ph_objective_scope scope = {.model = subject->model, .graph = graph, .picture = PH_ABSENT,
        .objectives = objectives, .count = count};
    PH_TRY(ph_objective_build(&scope, value));
    return subject->forgotten ? weights_forget_last(subject, graph, *value) : PH_OK;
}

/* Of the graph that the run has. */
static ph_status run_plan(const struct ph_subject *subject, bool gradients, struct ph_subject_run *run) {
    struct ph_program_request request = {.taps = &run->value,
                                         .tap_count = 1,
                                         .loss = gradients ? run->value : PH_ABSENT,
                                         .parameters = &run->input,
                                         .parameter_count = gradients};
    ph_status status = ph_program_create(run->graph, &request, &run->program);
    if (!status && !ph_program_input(run->program, run->input))
        status = ph_fail(subject->context, PH_ERROR_ARGUMENT, "objective '%s' does not depend on the picture",
                         subject->objective->text);
    return status;
}

static ph_status run_make(const struct ph_subject *subject, int count, bool gradients, struct ph_subject_run *run) {
    if (run->program) return PH_OK;
    ph_status status = ph_graph_create(subject->context, &run->graph);
    if (!status) status = ph_subject_build(subject, count, run->graph, &run->input, &run->value, NULL);
    return status ? status : run_plan(subject, gradients, run);
}

/* A rule keeps of the gradient what a loss, which is to fall, asks to rise: so the loss is the negative value. */
static ph_status ruled_make(const struct ph_subject *subject, enum ph_backward_rule rule, struct ph_subject_run *run) {
    const ph_recipe recipe = {.backward = rule};
    if (run->program) return PH_OK;
    ph_status status = ph_graph_create(subject->context, &run->graph);
    if (!status) status = ph_subject_build(subject, 1, run->graph, &run->input, &run->value, NULL);
    if (!status) status = ph_backward_rule(run->graph, &recipe, 0, false);
    if (!status)
        status = ph_graph_add(run->graph, &ph_operation_neg, NULL, NULL, (int[]){run->value}, 1, &run->value);
    return status ? status : run_plan(subject, true, run);
}

/* A run that could not be made whole is none. */
static ph_status run_ready(ph_status status, struct ph_subject_run *run) {
    if (status) run_finish(run);
    return status;
}

struct filling { ph_subject_fill *fill; void *user; float *inputs; size_t size; int first; };

static void fill_one(void *argument, int64_t index) {
    const struct filling *filling = argument;
    filling->fill(filling->user, filling->first + (int)index, filling->inputs + (size_t)index * filling->size);
}

ph_status ph_subject_run(struct ph_subject *subject, int count, bool gradients, ph_subject_fill *fill,
                         ph_subject_visit *visit, void *user) {
    for (int first = 0; first < count; first += PH_SUBJECT_BATCH) {
        int filled = PH_MIN(count - first, PH_SUBJECT_BATCH), size = filled > 1 ? PH_SUBJECT_BATCH : 1;
        struct ph_subject_run *run = size > 1 ? gradients ? &subject->batch_gradient : &subject->batch
                                     : gradients ? &subject->one_gradient : &subject->one;
        float values[PH_SUBJECT_BATCH];
        PH_TRY(run_ready(run_make(subject, size, gradients, run), run));
        struct filling filling = {fill, user, ph_program_input(run->program, run->input), subject->size, first};
        ph_parallel_for(subject->context, filled, fill_one, &filling);
        PH_TRY(ph_program_forward(run->program));
        ph_program_read(run->program, run->value, values);
        if (gradients) PH_TRY(ph_program_backward(run->program));
        const float *gradient = gradients ? ph_program_gradient(run->program, run->input) : NULL;
        for (int i = 0; i < filled; i++)
            if (!visit(user, first + i, values[i], gradient ? gradient + (size_t)i * subject->size : NULL))
                return ph_fail(subject->context, PH_ERROR_CANCELLED, "stopped");
    }
    return PH_OK;
}

struct evaluation { const float *input; float *value, *gradient; size_t size; };

static void evaluation_fill(void *user, int index, float *input) {
    const struct evaluation *evaluation = user;
    (void)index;
    memcpy(input, evaluation->input, evaluation->size * sizeof *input);
}

static bool evaluation_visit(void *user, int index, float value, const float *gradient) {
    const struct evaluation *evaluation = user;
    (void)index;
    if (evaluation->value) *evaluation->value = value;
    if (gradient) memcpy(evaluation->gradient, gradient, evaluation->size * sizeof *gradient);
    return true;
}

ph_status ph_subject_evaluate(struct ph_subject *subject, const float *input, float *value, float *gradient) {
    struct evaluation evaluation = {input, value, gradient, subject->size};
    return ph_subject_run(subject, 1, gradient != NULL, evaluation_fill, evaluation_visit, &evaluation);
}

ph_status ph_subject_evaluate_ruled(struct ph_subject *subject, enum ph_backward_rule rule, const float *input,
                                    float *gradient) {
    struct ph_subject_run *run = rule == PH_RULE_GUIDED ? &subject->guided : &subject->deconvolution;
    PH_TRY(run_ready(ruled_make(subject, rule, run), run));
    memcpy(ph_program_input(run->program, run->input), input, subject->size * sizeof *input);
    PH_TRY(ph_program_forward(run->program));
    PH_TRY(ph_program_backward(run->program));
    const float *negative = ph_program_gradient(run->program, run->input);
    for (size_t i = 0; i < subject->size; i++) gradient[i] = -negative[i];
    return PH_OK;
}

struct series { ph_subject_fill *fill; bool (*progress)(void *user, int done); void *user; double *values; };

static void series_fill(void *user, int index, float *input) {
    const struct series *series = user;
    series->fill(series->user, index, input);
}

static bool series_visit(void *user, int index, float value, const float *gradient) {
    const struct series *series = user;
    (void)gradient;
    series->values[index] = value;
    return !series->progress || series->progress(series->user, index + 1);
}

ph_status ph_subject_values(struct ph_subject *subject, enum ph_subject_series kind, const float *input, int count,
                            ph_subject_fill *fill, bool (*progress)(void *user, int done), void *user,
                            const double **values) {
    struct ph_subject_kept *kept = &subject->kept[kind];
    bool same = kept->input && !memcmp(kept->input, input, subject->size * sizeof *input);
    struct series series = {fill, progress, user, same ? NULL : ph_alloc_array((size_t)count, sizeof *series.values)};
    float *copy = same ? NULL : ph_alloc_array(subject->size, sizeof *copy);
    ph_status status = same || (series.values && copy) ? PH_OK : ph_fail_memory(subject->context);
    if (!same && !status) status = ph_subject_run(subject, count, false, series_fill, series_visit, &series);
    if (!same && !status) {
        ph_free(kept->input);
        ph_free(kept->values);
        *kept = (struct ph_subject_kept){memcpy(copy, input, subject->size * sizeof *copy), series.values};
    } else {
        ph_free(copy);
        ph_free(series.values);
    }
    *values = kept->values;
    return status;
}

/* ---- An inner layer ---------------------------------------------------------------------------------------------- */

static bool is_spatial(const struct ph_value *value) {
    const struct ph_shape *shape = &value->shape;
    return !value->data && shape->rank == 4 && shape->dims[0] == 1 && shape->dims[1] > 1 &&
           shape->dims[2] * shape->dims[3] > 1;
}

static ph_status layer_check(const struct ph_subject *subject, const struct ph_graph *graph, int value, int layer) {
    bool *marked = ph_alloc_array((size_t)graph->value_count, sizeof *marked);
    if (!marked) return ph_fail_memory(graph->context);
    ancestors_mark(graph, value, marked);
    bool leads = marked[layer];
    ph_free(marked);
    return leads ? PH_OK : ph_fail(graph->context, PH_ERROR_ARGUMENT, "objective '%s' does not depend on layer '%s'",
                                   subject->objective->text, graph->values[layer].name);
}

/* The last layer before `end` that the objective depends on and that has channels and positions. */
static ph_status layer_choose(const struct ph_graph *graph, int value, int end, int *layer) {
    bool *marked = ph_alloc_array((size_t)graph->value_count, sizeof *marked);
    if (!marked) return ph_fail_memory(graph->context);
    ancestors_mark(graph, value, marked);
    *layer = PH_ABSENT;
    for (int v = 0; v < end; v++)
        if (marked[v] && graph->values[v].node != PH_ABSENT && is_spatial(&graph->values[v])) *layer = v;
    ph_free(marked);
    if (*layer != PH_ABSENT) return PH_OK;
    return ph_fail(graph->context, PH_ERROR_UNSUPPORTED,
                   "no layer in front of the objective has channels and positions [1,K,H,W] to weigh");
}

static ph_status layer_build(struct ph_subject *subject, const char *name, bool spatial,
                             struct ph_subject_layer *layer) {
    int objective_first, map[3];
    char text[128];
    PH_TRY(ph_graph_create(subject->context, &layer->graph));
    PH_TRY(ph_subject_build(subject, 1, layer->graph, &layer->input, &layer->value, &objective_first));
    if (name) PH_TRY(ph_model_find_layer(subject->model, layer->graph, name, &layer->layer));
    else PH_TRY(layer_choose(layer->graph, layer->value, objective_first, &layer->layer));
    const struct ph_value *record = &layer->graph->values[layer->layer];
    if (record->data || record->type != PH_FLOAT || record->node == PH_ABSENT)
        return ph_fail(subject->context, PH_ERROR_SHAPE, "layer '%s' is not computed from the picture", record->name);
    if (spatial && !is_spatial(record))
        return ph_fail(
            subject->context, PH_ERROR_SHAPE,
            "layer '%s' %s has no positions to draw a map of: a layer [1,K,H,W] with H or W above 1 is needed "
            "(phosphene inspect lists them)",
            record->name, ph_shape_text(&record->shape, text));
    PH_TRY(layer_check(subject, layer->graph, layer->value, layer->layer));
    layer->shape = record->shape;
    layer->size = (size_t)ph_shape_size(&record->shape);
    if (!(layer->name = ph_strdup(record->name))) return ph_fail_memory(subject->context);
    const int keep[] = {layer->input, layer->layer, layer->value};
    PH_TRY(ph_graph_splice(layer->graph, layer->layer, keep, map, PH_COUNT(keep), &layer->spliced, &layer->delta));
    layer->input = map[0];
    layer->layer = map[1];
    layer->value = map[2];
    struct ph_program_request request = {.taps = (int[]){layer->layer, layer->value}, .tap_count = 2,
        .loss = layer->value, .parameters = &layer->delta, .parameter_count = 1};
    return ph_program_create(layer->spliced, &request, &layer->program);
}

static void layer_finish(struct ph_subject_layer **layer) {
    if (!*layer) return;
    ph_program_destroy(&(*layer)->program);
    ph_graph_destroy(&(*layer)->spliced);
    ph_graph_destroy(&(*layer)->graph);
    ph_free((*layer)->name);
    ph_free((*layer)->asked);
    ph_free(*layer);
    *layer = NULL;
}

static bool layer_is(const struct ph_subject_layer *layer, const char *name, bool spatial) {
    return layer && layer->spatial == spatial &&
           (name && layer->asked ? !strcmp(name, layer->asked) : !name && !layer->asked);
}

ph_status ph_subject_layer_take(struct ph_subject *subject, const char *name, bool spatial,
                                struct ph_subject_layer **layer) {
    *layer = subject->layer;
    if (layer_is(*layer, name, spatial)) return PH_OK;
    layer_finish(&subject->layer);
    if (!(subject->layer = ph_alloc(sizeof *subject->layer))) return ph_fail_memory(subject->context);
    *subject->layer = (struct ph_subject_layer){.context = subject->context, .spatial = spatial};
    if (name && !(subject->layer->asked = ph_strdup(name))) {
        layer_finish(&subject->layer);
        return ph_fail_memory(subject->context);
    }
    ph_status status = layer_build(subject, name, spatial, subject->layer);
    if (status) layer_finish(&subject->layer);
    *layer = subject->layer;
    return status;
}

ph_status ph_subject_layer_run(struct ph_subject_layer *layer, const float *input, const float *delta, float *value,
                               float *activations, float *gradient) {
    float *fed = ph_program_input(layer->program, layer->input),
          *added = ph_program_input(layer->program, layer->delta);
    memcpy(fed, input, (size_t)ph_shape_size(&layer->spliced->values[layer->input].shape) * sizeof *fed);
    if (delta) memcpy(added, delta, layer->size * sizeof *added);
    else memset(added, 0, layer->size * sizeof *added);
    PH_TRY(ph_program_forward(layer->program));
    if (value) ph_program_read(layer->program, layer->value, value);
    if (activations) ph_program_read(layer->program, layer->layer, activations);
    if (!gradient) return PH_OK;
    PH_TRY(ph_program_backward(layer->program));
    memcpy(gradient, ph_program_gradient(layer->program, layer->delta), layer->size * sizeof *gradient);
    return PH_OK;
}
