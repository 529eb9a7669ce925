/* What builders of terms have in common: graph nodes, and arguments as graph values. */
#include "vis/objectives/nodes.h"
#include "vis/vis.h"
#include <math.h>

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

ph_status ph_term_binary(struct ph_graph *graph, const struct ph_operation *operation, int a, int b, int *out) {
    return ph_graph_add(graph, operation, NULL, NULL, (int[]){a, b}, 2, out);
}

ph_status ph_term_unary(struct ph_graph *graph, const struct ph_operation *operation, int x, int *out) {
    return ph_graph_add(graph, operation, NULL, NULL, &x, 1, out);
}

ph_status ph_term_number(struct ph_graph *graph, const struct ph_operation *operation, int x, double number, int *out) {
    float rounded = (float)number;
    int constant;
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &rounded, &constant));
    return ph_term_binary(graph, operation, x, constant, out);
}

ph_status ph_term_reduce(struct ph_graph *graph, const struct ph_operation *operation, int x, int first, int last,
                         bool keep, int *out) {
    struct ph_reduce_attributes attributes = {.keep_dims = keep};
    for (int i = first; i < last; i++) attributes.axes[attributes.axis_count++] = i;
    *out = x;
    if (!attributes.axis_count) return PH_OK; /* no axes would mean all of them */
    return ph_graph_add(graph, operation, NULL, &attributes, &x, 1, out);
}

ph_status ph_term_items_reduce(struct ph_graph *graph, const struct ph_operation *operation, int x, int *out) {
    return ph_term_reduce(graph, operation, x, 1, graph->values[x].shape.rank, false, out);
}

ph_status ph_term_items_mean(struct ph_graph *graph, int x, int *out) {
    return ph_term_items_reduce(graph, &ph_operation_reduce_mean, x, out);
}

ph_status ph_term_reshape(struct ph_graph *graph, int x, struct ph_shape shape, int *out) {
    struct ph_shape_attributes attributes = {shape};
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &attributes, &x, 1, out);
}

/* Multiplications and roots where they do: a general power takes many times as long. */
ph_status ph_term_power(struct ph_graph *graph, int x, double power, int *out) {
    if (power == 0.5) return ph_term_unary(graph, &ph_operation_sqrt, x, out);
    if (power != floor(power) || power > 8 || power < 1) return ph_term_number(graph, &ph_operation_pow, x, power, out);
    *out = PH_ABSENT;
    for (int rest = (int)power; rest; rest /= 2) {
        if (rest % 2 && *out != PH_ABSENT) PH_TRY(ph_term_binary(graph, &ph_operation_mul, *out, x, out));
        else if (rest % 2) *out = x;
        if (rest > 1) PH_TRY(ph_term_binary(graph, &ph_operation_mul, x, x, &x));
    }
    return PH_OK;
}

ph_status ph_term_slice(struct ph_graph *graph, int x, int axis, int64_t start, int64_t size, int *out) {
    const struct ph_shape *shape = &graph->values[x].shape;
    struct ph_slice_attributes attributes = {0};
    *out = x;
    if (start == 0 && size == shape->dims[axis]) return PH_OK;
    for (int i = 0; i < shape->rank; i++) attributes.step[i] = 1, attributes.size[i] = shape->dims[i];
    attributes.start[axis] = start;
    attributes.size[axis] = size;
    return ph_graph_add(graph, &ph_operation_slice, NULL, &attributes, &x, 1, out);
}

ph_status ph_term_item_numbers(const struct ph_objective_scope *scope, const float *numbers, int rank, int *out) {
    struct ph_shape shape = {.rank = rank, .dims = {scope->count}};
    for (int i = 1; i < rank; i++) shape.dims[i] = 1;
    return ph_graph_add_constant_copy(scope->graph, NULL, PH_FLOAT, shape, numbers, out);
}

/* ---- Layers -------------------------------------------------------------------------------------------------------- */

ph_status ph_term_layer_find(const struct ph_objective_scope *scope, const char *name, int *value) {
    PH_TRY(ph_model_find_layer(scope->model, scope->graph, name, value));
    const struct ph_value *record = &scope->graph->values[*value];
    char text[128];
    if (record->data || record->shape.rank < 1 || record->shape.dims[0] != scope->count ||
        !ph_shape_size(&record->shape))
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' %s has no entry for each of %d pictures",
                       name, ph_shape_text(&record->shape, text), scope->count);
    return PH_OK;
}

static ph_status region_check(const struct ph_objective_scope *scope, const struct ph_argument *layer,
                              const struct ph_shape *shape) {
    const struct ph_region *region = &layer->region;
    char text[128];
    if (shape->rank != 4)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' %s has no columns and rows", layer->name,
                       ph_shape_text(shape, text));
    if (region->columns[1] < shape->dims[3] && region->rows[1] < shape->dims[2]) return PH_OK;
    return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND,
                   "layer '%s' has columns 0 to %lld and rows 0 to %lld; there is no position %lld,%lld", layer->name,
                   (long long)shape->dims[3] - 1, (long long)shape->dims[2] - 1, (long long)region->columns[1],
                   (long long)region->rows[1]);
}

/* The one channel that an argument names. */
static ph_status channel_slice(const struct ph_objective_scope *scope, const struct ph_argument *layer, int *value) {
    const struct ph_shape *shape = &scope->graph->values[*value].shape;
    int64_t channels = shape->rank < 2 ? 0 : shape->dims[1];
    if (layer->channel < channels) return ph_term_slice(scope->graph, *value, 1, layer->channel, 1, value);
    return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND,
                   "layer '%s' has %lld channels, counted from 0; there is no channel %lld", layer->name,
                   (long long)channels, (long long)layer->channel);
}

ph_status ph_term_region(const struct ph_objective_scope *scope, const struct ph_argument *layer, int value, int *out) {
    const struct ph_region *region = &layer->region;
    if (layer->one_channel) PH_TRY(channel_slice(scope, layer, &value));
    *out = value;
    if (!region->given) return PH_OK;
    PH_TRY(region_check(scope, layer, &scope->graph->values[value].shape));
    PH_TRY(ph_term_slice(scope->graph, value, 2, region->rows[0], region->rows[1] - region->rows[0] + 1, &value));
    return ph_term_slice(scope->graph, value, 3, region->columns[0], region->columns[1] - region->columns[0] + 1, out);
}

ph_status ph_term_layer_argument(const struct ph_objective_scope *scope, const struct ph_term *term, int index,
                                 int *value) {
    PH_TRY(ph_term_layer_find(scope, term->arguments[index].name, value));
    return ph_term_region(scope, &term->arguments[index], *value, value);
}

ph_status ph_term_layer_flat(const struct ph_objective_scope *scope, const struct ph_term *term, int index,
                             int *value) {
    PH_TRY(ph_term_layer_argument(scope, term, index, value));
    const struct ph_shape *shape = &scope->graph->values[*value].shape;
    char text[128];
    if (shape->rank < 2)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' %s has no channels",
                       term->arguments[index].name, ph_shape_text(shape, text));
    int64_t positions = ph_shape_size(shape) / (shape->dims[0] * shape->dims[1]);
    return ph_term_reshape(scope->graph, *value, PH_SHAPE(shape->dims[0], shape->dims[1], positions), value);
}

/* ---- Other arguments ------------------------------------------------------------------------------------------------ */

bool ph_term_goal_zero(const struct ph_term *term, double *value) {
    (void)term;
    *value = 0;
    return true;
}

double ph_term_number_argument(const struct ph_term *term, int index) {
    const struct ph_argument *argument = &term->arguments[index];
    return argument->given ? argument->number : term->type->parameters[index].initial;
}

ph_status ph_term_pictures(const struct ph_objective_scope *scope, const struct ph_term *term, int *pictures) {
    *pictures = PH_MAX(scope->pictures, 1);
    if (*pictures > 1) return PH_OK;
    return ph_fail(scope->graph->context, PH_ERROR_ARGUMENT,
                   "%s is about several pictures of one objective: ask for them with the option 'pictures', 2 or more",
                   term->type->name);
}

int ph_term_picture_of(const struct ph_objective_scope *scope, int n) { return n / PH_MAX(scope->views, 1); }
