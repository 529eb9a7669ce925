/* Objectives: the table of terms, and the nodes each appends. A term's value has one number for each batch item. */
#include "vis/vis.h"
#include <string.h>

static ph_status binary(struct ph_graph *graph, const struct ph_operation *operation, int a, int b, int *out) {
    return ph_graph_add(graph, operation, NULL, NULL, (int[]){a, b}, 2, out);
}

/* Mean over everything but the batch axis: [N,...] to [N]. */
static ph_status mean_of_items(struct ph_graph *graph, int x, int *out) {
    struct ph_reduce_attributes attributes = {0};
    for (int i = 1; i < graph->values[x].shape.rank; i++) attributes.axes[attributes.axis_count++] = i;
    if (!attributes.axis_count) { /* already one number for each */
        *out = x;
        return PH_OK;
    }
    return ph_graph_add(graph, &ph_operation_reduce_mean, NULL, &attributes, &x, 1, out);
}

/* The layer, which must have one entry for each batch item. */
static ph_status layer_find(const struct ph_objective_scope *scope, const char *name, int *value) {
    PH_TRY(ph_model_find_layer(scope->model, scope->graph, name, value));
    const struct ph_value *record = &scope->graph->values[*value];
    char text[128];
    if (record->data || record->shape.rank < 1 || record->shape.dims[0] != scope->count ||
        !ph_shape_size(&record->shape))
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' %s has no entry for each of %d pictures",
                       name, ph_shape_text(&record->shape, text), scope->count);
    return PH_OK;
}

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

/* Mean over the positions of units[n] of item n, or the value at one position. */
static ph_status pick(const struct ph_objective_scope *scope, const struct ph_term *const *terms, const char *layer,
                      int value, int64_t *units, bool position, int *out) {
    const struct ph_shape *shape = &scope->graph->values[value].shape;
    struct ph_pick_attributes attributes = {.position = position};
    char text[128];
    if (shape->rank < 2 || (position && shape->rank != 4))
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' %s has no %s", layer,
                       ph_shape_text(shape, text), position ? "columns and rows" : "channels");
    for (int n = 0; n < scope->count; n++) {
        if (units[n] >= shape->dims[1]) return no_such(scope, layer, "channel", units[n], shape->dims[1]);
        if (!position) continue;
        if (terms[n]->column >= shape->dims[3])
            return no_such(scope, layer, "column", terms[n]->column, shape->dims[3]);
        if (terms[n]->row >= shape->dims[2]) return no_such(scope, layer, "row", terms[n]->row, shape->dims[2]);
        attributes.columns[n] = (int32_t)terms[n]->column;
        attributes.rows[n] = (int32_t)terms[n]->row;
    }
    value = narrow(scope->graph, value, units, scope->count);
    for (int n = 0; n < scope->count; n++) attributes.channels[n] = (int32_t)units[n];
    PH_TRY(ph_graph_add(scope->graph, &ph_operation_pick, NULL, &attributes, &value, 1, &value));
    return mean_of_items(scope->graph, value, out);
}

/* ---- Units ------------------------------------------------------------------------------------------------------- */

static ph_status unit_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    int64_t units[PH_MAX_BATCH];
    for (int n = 0; n < scope->count; n++) units[n] = terms[n]->unit;
    PH_TRY(layer_find(scope, terms[0]->name, &value));
    return pick(scope, terms, terms[0]->name, value, units, terms[0]->type == &ph_term_neuron, out);
}

const struct ph_term_type ph_term_channel = {
    .name = "channel", .form = "LAYER:CHANNEL", .build = unit_build,
    .help = "mean of one channel over all positions; also one unit of a layer without positions",
};

const struct ph_term_type ph_term_neuron = {
    .name = "neuron", .form = "LAYER:CHANNEL@COLUMN,ROW", .build = unit_build,
    .help = "one channel at one position, counted from the top left",
};

/* ---- Layers ------------------------------------------------------------------------------------------------------ */

static ph_status layer_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(layer_find(scope, terms[0]->name, &value));
    PH_TRY(binary(scope->graph, &ph_operation_mul, value, value, &value));
    return mean_of_items(scope->graph, value, out);
}

const struct ph_term_type ph_term_layer = {
    .name = "layer", .form = "LAYER", .build = layer_build,
    .help = "mean square of a whole layer: what deep dreams raise",
};

static ph_status mean_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(layer_find(scope, terms[0]->name, &value));
    return mean_of_items(scope->graph, value, out);
}

static const struct ph_term_type mean = {
    .name = "mean", .form = "mean(LAYER)", .syntax = PH_TERM_LAYER_FUNCTION, .build = mean_build,
    .help = "mean of a whole layer",
};

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

static ph_status class_pick(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                            const char *layer, int value, int *out) {
    int64_t units[PH_MAX_BATCH];
    for (int n = 0; n < scope->count; n++) {
        int index;
        PH_TRY(ph_model_find_class(scope->model, terms[n]->name, &index));
        units[n] = index;
    }
    return pick(scope, terms, layer, value, units, false, out);
}

static ph_status class_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    const char *layer = scope->model->logits;
    if (!layer)
        return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND,
                       "the network has no known layer of classes before a softmax: name the layer and unit instead");
    PH_TRY(layer_find(scope, layer, &value));
    return class_pick(scope, terms, layer, value, out);
}

const struct ph_term_type ph_term_class = {
    .name = "class", .form = "class:NAME or class:N", .build = class_build,
    .help = "score of a class before the softmax",
};

static ph_status probability_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                                   int *out) {
    int value;
    const char *layer = scope->model->probabilities ? scope->model->probabilities : scope->model->logits;
    if (!layer)
        return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND,
                       "the network has no known layer of classes: name the layer and unit instead");
    PH_TRY(layer_find(scope, layer, &value));
    if (!scope->model->probabilities) {
        struct ph_softmax_attributes attributes = {.axis = 1, .end_axis = scope->graph->values[value].shape.rank};
        PH_TRY(ph_graph_add(scope->graph, &ph_operation_softmax, NULL, &attributes, &value, 1, &value));
    }
    return class_pick(scope, terms, layer, value, out);
}

const struct ph_term_type ph_term_probability = {
    .name = "probability", .form = "probability:NAME or probability:N", .build = probability_build,
    .help = "share of a class after the softmax",
};

/* ---- The picture itself: regularisers, to be subtracted ---------------------------------------------------------- */

static ph_status picture_find(const struct ph_objective_scope *scope, const struct ph_term *term, int *picture) {
    *picture = scope->picture;
    if (*picture != PH_ABSENT) return PH_OK;
    return ph_fail(scope->graph->context, PH_ERROR_UNSUPPORTED,
                   "%s is about a picture, and here there is only the network's input", term->type->form);
}

/* Mean of |x[i + 1] - x[i]| along one axis; 0 where it has one element. */
static ph_status variation_along(struct ph_graph *graph, int x, int axis, int *out) {
    struct ph_shape shape = graph->values[x].shape;
    struct ph_slice_attributes near = {0}, far;
    int ends[2], difference;
    for (int i = 0; i < shape.rank; i++) near.step[i] = 1, near.size[i] = shape.dims[i];
    if (shape.dims[axis] > 1) near.size[axis]--;
    far = near;
    far.start[axis] = shape.dims[axis] > 1;
    PH_TRY(ph_graph_add(graph, &ph_operation_slice, NULL, &far, &x, 1, &ends[0]));
    PH_TRY(ph_graph_add(graph, &ph_operation_slice, NULL, &near, &x, 1, &ends[1]));
    PH_TRY(binary(graph, &ph_operation_sub, ends[0], ends[1], &difference));
    PH_TRY(ph_graph_add(graph, &ph_operation_abs, NULL, NULL, &difference, 1, &difference));
    return mean_of_items(graph, difference, out);
}

static ph_status tv_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int picture, down, right;
    PH_TRY(picture_find(scope, terms[0], &picture));
    PH_TRY(variation_along(scope->graph, picture, 2, &down));
    PH_TRY(variation_along(scope->graph, picture, 3, &right));
    return binary(scope->graph, &ph_operation_add, down, right, out);
}

static const struct ph_term_type tv = {
    .name = "tv", .form = "tv()", .syntax = PH_TERM_FUNCTION, .build = tv_build,
    .help = "total variation: mean step from a pixel to the one below plus that to the one on its right",
};

/* The picture's distance from grey, per pixel and channel. */
static ph_status contrast(const struct ph_objective_scope *scope, const struct ph_term *term, int *out) {
    const float grey = 0.5f;
    int picture, constant;
    PH_TRY(picture_find(scope, term, &picture));
    PH_TRY(ph_graph_add_constant_copy(scope->graph, NULL, PH_FLOAT, PH_SCALAR, &grey, &constant));
    return binary(scope->graph, &ph_operation_sub, picture, constant, out);
}

static ph_status l1_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(contrast(scope, terms[0], &value));
    PH_TRY(ph_graph_add(scope->graph, &ph_operation_abs, NULL, NULL, &value, 1, &value));
    return mean_of_items(scope->graph, value, out);
}

static const struct ph_term_type l1 = {
    .name = "l1", .form = "l1()", .syntax = PH_TERM_FUNCTION, .build = l1_build,
    .help = "mean distance of the picture's values from grey",
};

static ph_status l2_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(contrast(scope, terms[0], &value));
    PH_TRY(binary(scope->graph, &ph_operation_mul, value, value, &value));
    return mean_of_items(scope->graph, value, out);
}

static const struct ph_term_type l2 = {
    .name = "l2", .form = "l2()", .syntax = PH_TERM_FUNCTION, .build = l2_build,
    .help = "mean squared distance of the picture's values from grey",
};

/* ---- The table --------------------------------------------------------------------------------------------------- */

const struct ph_term_type *const ph_term_types[] = {
    &ph_term_channel, &ph_term_neuron, &ph_term_layer, &ph_term_class, &ph_term_probability,
    &mean, &tv, &l1, &l2,
    NULL};

/* ---- The sum ----------------------------------------------------------------------------------------------------- */

static bool same_layer(const struct ph_term *a, const struct ph_term *b) {
    if (a->type == &ph_term_class || a->type == &ph_term_probability) return true;
    return !a->name == !b->name && (!a->name || !strcmp(a->name, b->name));
}

bool ph_objective_alike(const struct ph_objective *a, const struct ph_objective *b) {
    if (a->term_count != b->term_count || a->constant != b->constant) return false;
    for (int i = 0; i < a->term_count; i++)
        if (a->terms[i].type != b->terms[i].type || a->terms[i].weight != b->terms[i].weight ||
            !same_layer(&a->terms[i], &b->terms[i]))
            return false;
    return true;
}

static ph_status add_constant(struct ph_graph *graph, const struct ph_operation *operation, int value, double number,
                              int *out) {
    float rounded = (float)number;
    int constant;
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &rounded, &constant));
    return binary(graph, operation, value, constant, out);
}

/* Appends term `index` of every objective, weighted, to the sum so far. */
static ph_status term_build(const struct ph_objective_scope *scope, int index, int *sum) {
    const struct ph_term *terms[PH_MAX_BATCH];
    int value;
    for (int n = 0; n < scope->count; n++) terms[n] = &scope->objectives[n].terms[index];
    PH_TRY(terms[0]->type->build(scope, terms, &value));
    if (terms[0]->weight != 1) PH_TRY(add_constant(scope->graph, &ph_operation_mul, value, terms[0]->weight, &value));
    if (*sum != PH_ABSENT) PH_TRY(binary(scope->graph, &ph_operation_add, *sum, value, &value));
    *sum = value;
    return PH_OK;
}

ph_status ph_objective_build(const struct ph_objective_scope *scope, int *value) {
    const struct ph_objective *first = &scope->objectives[0];
    int sum = PH_ABSENT;
    for (int i = 0; i < first->term_count; i++) {
        ph_status status = term_build(scope, i, &sum);
        if (status) {
            ph_fail_prefix(scope->graph->context, "objective '%s', character %d", first->text,
                           first->terms[i].begin + 1);
            return status;
        }
    }
    if (first->constant != 0) PH_TRY(add_constant(scope->graph, &ph_operation_add, sum, first->constant, &sum));
    *value = sum;
    return PH_OK;
}
