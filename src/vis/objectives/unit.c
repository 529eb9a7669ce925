/* Terms about single units: channels, neurons, classes; and about all others of a layer. */
#include "vis/objectives/nodes.h"
#include <math.h>

static ph_status no_such(const struct ph_objective_scope *scope, const char *layer, const char *what, int64_t wanted,
                         int64_t count) {
    return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND, "layer '%s' has %lld %ss, 0 to %lld; there is no %s %lld",
                   layer, (long long)count, what, (long long)count - 1, what, (long long)wanted);
}

/* Where every unit comes from the same part of a concatenation along the channels, the part alone is enough, and
 * nothing of the others is computed. */
static int narrow(const struct ph_graph *graph, int value, int64_t *units, int count) {
    for (;;) {
        int made_by = graph->values[value].node, part = 0;
        const struct ph_node *node = made_by == PH_ABSENT ? NULL : &graph->nodes[made_by];
        if (!node || node->operation != &ph_operation_concat) return value;
        if (((const struct ph_axis_attributes *)node->attributes)->axis != 1) return value;
        int64_t begin = 0, size = graph->values[node->inputs[0]].shape.dims[1];
        while (units[0] >= begin + size) begin += size, size = graph->values[node->inputs[++part]].shape.dims[1];
        for (int n = 0; n < count; n++)
            if (units[n] < begin || units[n] >= begin + size) return value;
        for (int n = 0; n < count; n++) units[n] -= begin;
        value = node->inputs[part];
    }
}

/* ---- Which units --------------------------------------------------------------------------------------------------- */

static bool is_class(const struct ph_term *term) {
    return term->type == &ph_term_class || term->type == &ph_term_probability;
}

/* The layer of classes, before the softmax or after it. */
static ph_status class_layer(const struct ph_objective_scope *scope, bool probability, const char **layer, int *value) {
    const ph_model *model = scope->model;
    *layer = probability && model->probabilities ? model->probabilities : model->logits;
    if (!*layer)
        return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND,
                       "the network has no known layer of classes%s: name the layer and unit instead",
                       probability ? "" : " before a softmax");
    PH_TRY(ph_term_layer_find(scope, *layer, value));
    if (!probability || model->probabilities) return PH_OK;
    struct ph_softmax_attributes attributes = {.axis = 1, .end_axis = scope->graph->values[*value].shape.rank};
    return ph_graph_add(scope->graph, &ph_operation_softmax, NULL, &attributes, value, 1, value);
}

/* The layer that the terms are about, alike but for their units, and each one's unit in it. */
static ph_status units_find(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                            const char **layer, int *value, int64_t *units) {
    bool classes = is_class(terms[0]);
    char text[128];
    *layer = terms[0]->name;
    if (classes) PH_TRY(class_layer(scope, terms[0]->type == &ph_term_probability, layer, value));
    else PH_TRY(ph_term_layer_find(scope, *layer, value));
    const struct ph_shape *shape = &scope->graph->values[*value].shape;
    if (shape->rank < 2)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' %s has no channels", *layer,
                       ph_shape_text(shape, text));
    for (int n = 0; n < scope->count; n++) {
        int index = 0;
        if (classes) PH_TRY(ph_model_find_class(scope->model, terms[n]->name, &index));
        units[n] = classes ? index : terms[n]->unit;
        if (units[n] >= shape->dims[1]) return no_such(scope, *layer, "channel", units[n], shape->dims[1]);
    }
    return PH_OK;
}

/* Mean over the positions of a unit of each item, or the value at one position. */
static ph_status unit_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_pick_attributes attributes = {.position = terms[0]->type == &ph_term_neuron};
    int64_t units[PH_MAX_BATCH];
    const char *layer;
    char text[128];
    int value;
    PH_TRY(units_find(scope, terms, &layer, &value, units));
    const struct ph_shape *shape = &scope->graph->values[value].shape;
    if (attributes.position && shape->rank != 4)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' %s has no columns and rows", layer,
                       ph_shape_text(shape, text));
    for (int n = 0; n < scope->count && attributes.position; n++) {
        if (terms[n]->column >= shape->dims[3])
            return no_such(scope, layer, "column", terms[n]->column, shape->dims[3]);
        if (terms[n]->row >= shape->dims[2]) return no_such(scope, layer, "row", terms[n]->row, shape->dims[2]);
        attributes.columns[n] = (int32_t)terms[n]->column;
        attributes.rows[n] = (int32_t)terms[n]->row;
    }
    value = narrow(scope->graph, value, units, scope->count);
    for (int n = 0; n < scope->count; n++) attributes.channels[n] = (int32_t)units[n];
    PH_TRY(ph_graph_add(scope->graph, &ph_operation_pick, NULL, &attributes, &value, 1, &value));
    return ph_term_items_mean(scope->graph, value, out);
}

const struct ph_term_type ph_term_channel = {
    .name = "channel", .form = "LAYER:CHANNEL", .build = unit_build,
    .help = "mean of one channel over all positions; also one unit of a layer without positions",
    .samples = (const char *const[]){"conv2:3", "2*conv1:4 - 0.5*(conv1:5 + 1)", NULL},
};

const struct ph_term_type ph_term_neuron = {
    .name = "neuron", .form = "LAYER:CHANNEL@COLUMN,ROW", .build = unit_build,
    .help = "one channel at one position, counted from the top left",
    .samples = (const char *const[]){"conv2_pre_relu:3@2,1", NULL},
};

const struct ph_term_type ph_term_class = {
    .name = "class", .form = "class:NAME or class:N", .build = unit_build,
    .help = "score of a class before the softmax",
    .samples = (const char *const[]){"class:goldfish", NULL},
};

const struct ph_term_type ph_term_probability = {
    .name = "probability", .form = "probability:NAME or probability:N", .build = unit_build,
    .help = "share of a class after the softmax",
    .samples = (const char *const[]){"probability:7", NULL},
};

/* ---- Shares of several classes ------------------------------------------------------------------------------------- */

/* What the shares of one item leave to all classes that are not named. */
static double rest_of(const struct ph_argument *shares) {
    double rest = 1;
    for (int i = 0; i < shares->list_count; i++) rest -= (double)shares->weights[i];
    return rest > 1e-6 ? rest : 0;
}

/* One item's shares, and the same with a number in the place of 0 where a class is named. */
static ph_status shares_fill(const struct ph_objective_scope *scope, const struct ph_argument *shares, int64_t classes,
                             float *share, float *hidden) {
    for (int i = 0; i < shares->list_count; i++) {
        int index = 0;
        PH_TRY(ph_model_find_class(scope->model, shares->classes[i], &index));
        if (index >= classes) return no_such(scope, scope->model->logits, "channel", index, classes);
        if (share[index] != 0)
            return ph_fail(scope->graph->context, PH_ERROR_ARGUMENT, "class '%s' is named twice", shares->classes[i]);
        share[index] = shares->weights[i];
        hidden[index] = -1e4f; /* its exponential is 0 */
    }
    return PH_OK;
}

/* log of the share that the classes with 0 in `hidden` have together, times `rest`. */
static ph_status rest_build(const struct ph_objective_scope *scope, int logs, int hidden, const float *rest, int *out) {
    int factors;
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_add, logs, hidden, out));
    PH_TRY(ph_term_items_reduce(scope->graph, &ph_operation_reduce_log_sum_exp, *out, out));
    PH_TRY(ph_term_item_numbers(scope, rest, 1, &factors));
    return ph_term_binary(scope->graph, &ph_operation_mul, *out, factors, out);
}

/* From the logarithms of all shares to minus the cross-entropy, plus the entropy of what is asked for. */
static ph_status entropy_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int logs,
                               float *share, float *hidden, int *out) {
    struct ph_graph *graph = scope->graph;
    struct ph_shape shape = graph->values[logs].shape;
    int64_t classes = shape.dims[1];
    float rest[PH_MAX_BATCH], entropy[PH_MAX_BATCH];
    bool left = false;
    int shares, mask, other;
    for (int n = 0; n < scope->count; n++) {
        const struct ph_argument *argument = &terms[n]->arguments[1];
        PH_TRY(shares_fill(scope, argument, classes, share + n * classes, hidden + n * classes));
        rest[n] = (float)rest_of(argument);
        left |= rest[n] > 0;
        double sum = rest[n] > 0 ? -(double)rest[n] * log((double)rest[n]) : 0;
        for (int i = 0; i < argument->list_count; i++)
            sum -= (double)argument->weights[i] * log((double)argument->weights[i]);
        entropy[n] = (float)sum;
    }
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, shape, share, &shares));
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, shape, hidden, &mask));
    PH_TRY(ph_term_item_numbers(scope, entropy, 1, &other));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, logs, shares, &shares));
    PH_TRY(ph_term_items_reduce(graph, &ph_operation_reduce_sum, shares, out));
    PH_TRY(ph_term_binary(graph, &ph_operation_add, *out, other, out));
    if (!left) return PH_OK;
    PH_TRY(rest_build(scope, logs, mask, rest, &other));
    return ph_term_binary(graph, &ph_operation_add, *out, other, out);
}

static ph_status shares_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_graph *graph = scope->graph;
    const char *layer;
    char text[128];
    int logs;
    PH_TRY(class_layer(scope, false, &layer, &logs));
    const struct ph_shape *shape = &graph->values[logs].shape;
    struct ph_softmax_attributes attributes = {.axis = 1, .end_axis = shape->rank};
    if (shape->rank < 2 || ph_shape_size(shape) != shape->dims[0] * shape->dims[1])
        return ph_fail(graph->context, PH_ERROR_SHAPE, "layer '%s' %s has classes at several positions", layer,
                       ph_shape_text(shape, text));
    size_t size = (size_t)ph_shape_size(shape);
    float *share = ph_alloc_array(2 * size, sizeof *share);
    if (!share) return ph_fail_memory(graph->context);
    ph_status status = ph_graph_add(graph, &ph_operation_log_softmax, NULL, &attributes, &logs, 1, &logs);
    if (!status) status = entropy_build(scope, terms, logs, share, share + size, out);
    ph_free(share);
    return status;
}

const struct ph_term_type ph_term_shares = {
    .name = "match", .form = "match(probabilities, CLASS=SHARE, ...)", .function = true, .keyword = "probabilities",
    .build = shares_build, .goal = ph_term_goal_zero,
    .help = "nearness of the classes' probabilities to shares, by cross-entropy; others have what is left to 1",
    .parameters = {{.name = "probabilities", .kind = PH_ARGUMENT_LAYER},
                   {.name = "CLASS=SHARE", .kind = PH_ARGUMENT_SHARES}},
    .samples = (const char *const[]){"match(probabilities, goldfish=0.7, 7=0.3)", "match(probabilities, tabby=0.6)", NULL},
};

/* ---- All others ---------------------------------------------------------------------------------------------------- */

/* Asked for in tensorflow/lucid#136: a unit's picture without what excites its neighbours as well. */
static ph_status others_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    const struct ph_term *units_of[PH_MAX_BATCH];
    int64_t units[PH_MAX_BATCH];
    const char *layer;
    int value, mask;
    for (int n = 0; n < scope->count; n++) {
        const struct ph_sum *sum = &terms[n]->arguments[0].expression;
        units_of[n] = sum->first;
        bool unit = sum->first && sum->first == sum->last && sum->constant == 0 && sum->first->weight == 1 &&
                    (is_class(sum->first) || sum->first->type == &ph_term_channel);
        if (!unit)
            return ph_fail(scope->graph->context, PH_ERROR_ARGUMENT,
                           "others is about one unit: others(LAYER:CHANNEL) or others(class:CLASS)");
    }
    PH_TRY(units_find(scope, units_of, &layer, &value, units));
    struct ph_shape shape = scope->graph->values[value].shape;
    int64_t channels = shape.dims[1];
    if (channels < 2)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' has one channel, and no others", layer);
    float *share = ph_alloc_array((size_t)scope->count * sizeof *share, (size_t)channels);
    if (!share) return ph_fail_memory(scope->graph->context);
    for (int n = 0; n < scope->count; n++)
        for (int64_t c = 0; c < channels; c++)
            share[n * channels + c] = c == units[n] ? 0 : (float)channels / (float)(channels - 1);
    for (int i = 2; i < shape.rank; i++) shape.dims[i] = 1;
    ph_status status = ph_graph_add_constant_copy(scope->graph, NULL, PH_FLOAT, shape, share, &mask);
    ph_free(share);
    PH_TRY(status);
    /* Below zero a channel is silent enough. */
    PH_TRY(ph_term_number(scope->graph, &ph_operation_max, value, 0, &value));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_mul, value, mask, &value));
    return ph_term_items_mean(scope->graph, value, out);
}

const struct ph_term_type ph_term_others = {
    .name = "others", .form = "others(LAYER:CHANNEL)", .function = true, .build = others_build,
    .help = "mean of what the layer's other channels are above zero: subtracted, it suppresses them",
    .parameters = {{.name = "UNIT", .kind = PH_ARGUMENT_EXPRESSION}},
    .samples = (const char *const[]){"conv2:3 - 2*others(conv2:3)", "others(class:tabby)", NULL},
};
