/* Networks that take one item at a time. A file exported for one picture may have that written all over it, in shapes that mix
 * the batch with heads or windows: transformers do. For a batch such a network is appended once for each item, on a slice of the
 * input, and each of its layers is joined from those of the items. */
#include "graph/operations.h"
#include "model/model.h"
#include <string.h>

/* ---- Whether ------------------------------------------------------------------------------------------------------- */

/* Whether everything that has one row for one item has two for two. */
static bool follows_batch(const struct ph_graph *one, const struct ph_graph *two) {
    for (int n = 0; n < one->node_count; n++)
        for (int i = 0; i < one->nodes[n].output_count; i++) {
            const struct ph_value *value = &one->values[one->nodes[n].outputs[i]];
            int other = ph_graph_find(two, value->name);
            if (other == PH_ABSENT) return false;
            const struct ph_shape *rows = &two->values[other].shape;
            if (!value->data && value->shape.rank && value->shape.dims[0] == 1 && (!rows->rank || rows->dims[0] != 2)) return false;
        }
    return true;
}

ph_status ph_model_find_apart(struct ph_model *model, const struct ph_graph *one) {
    struct ph_model_input input = model->format->input(model->parsed, model->input);
    if (input.shape.rank < 2 || input.shape.dims[0] != 1) return PH_OK;
    struct ph_shape shape = model->default_input;
    struct ph_graph *two;
    int fed;
    shape.dims[0] = 2;
    PH_TRY(ph_graph_create(model->context, &two));
    ph_status status = ph_graph_add_input(two, input.name, PH_FLOAT, shape, &fed);
    if (!status) status = ph_model_build(model, two, fed);
    if (!status) model->apart = !follows_batch(one, two);
    ph_graph_destroy(&two);
    return status;
}

bool ph_model_is_apart(const struct ph_model *model) {
    bool apart = model->apart;
    for (int i = 0; i < model->joined_count; i++) apart |= model->joined[i].model->apart;
    return apart;
}

/* ---- Building ------------------------------------------------------------------------------------------------------ */

/* A name by which something of the first item is known, without the item's prefix. */
struct known { const char *name; int value; };

static ph_status item_input(struct ph_graph *graph, int value, int64_t item, int *out) {
    const struct ph_shape *shape = &graph->values[value].shape;
    struct ph_slice_attributes attributes = {0};
    for (int i = 0; i < shape->rank; i++) {
        attributes.step[i] = 1;
        attributes.size[i] = shape->dims[i];
    }
    attributes.start[0] = item;
    attributes.size[0] = 1;
    return ph_graph_add(graph, &ph_operation_slice, NULL, &attributes, &value, 1, out);
}

/* The network for one item; *start is the first value that it made. */
static ph_status item_append(const struct ph_model *model, struct ph_graph *graph, const int *inputs, int input_count, int64_t batch,
                             int64_t item, const char *prefix, int *start, const char **unsupported) {
    const char *outer = graph->prefix;
    int *own = ph_alloc_array((size_t)input_count, sizeof *own);
    ph_status status = own ? PH_OK : ph_fail_memory(graph->context);
    graph->prefix = prefix;
    for (int i = 0; i < input_count && !status; i++) {
        const struct ph_shape *shape = &graph->values[inputs[i]].shape;
        own[i] = inputs[i];
        if (shape->rank && shape->dims[0] == batch) status = item_input(graph, inputs[i], item, &own[i]);
    }
    *start = graph->value_count;
    if (!status) status = model->format->build(model->parsed, graph, own, input_count, unsupported);
    graph->prefix = outer;
    ph_free(own);
    return status;
}

/* The names that begin with `prefix`, of values from `start` on. */
static ph_status names_collect(const struct ph_graph *graph, const char *prefix, int start, struct known **names, int *count) {
    size_t length = strlen(prefix);
    *count = 0;
    *names = ph_alloc_array((size_t)graph->name_count, sizeof **names);
    if (!*names) return ph_fail_memory(graph->context);
    for (int i = 0; i < graph->name_capacity; i++) {
        const struct ph_graph_name *entry = &graph->names[i];
        if (entry->name && entry->value >= start && !strncmp(entry->name, prefix, length))
            (*names)[(*count)++] = (struct known){entry->name + length, entry->value};
    }
    return PH_OK;
}

/* What has one row for one item; the rest has no place in a batch. Constants are the same for all. */
static ph_status layer_join(struct ph_graph *graph, const struct known *known, const int *starts, int64_t batch) {
    const struct ph_value *first = &graph->values[known->value];
    int rows[PH_MAX_BATCH], joined;
    if (first->data) return ph_graph_add_alias(graph, known->name, known->value);
    if (!first->shape.rank || first->shape.dims[0] != 1) return PH_OK;
    for (int64_t n = 0; n < batch; n++) rows[n] = known->value - starts[0] + starts[n];
    return ph_graph_add(graph, &ph_operation_concat, known->name, &(struct ph_axis_attributes){0}, rows, (int)batch, &joined);
}

ph_status ph_model_build_apart(const struct ph_model *model, struct ph_graph *graph, const int *inputs, int input_count,
                               int64_t batch, const char **unsupported) {
    int starts[PH_MAX_BATCH], count;
    if (batch > PH_MAX_BATCH)
        return ph_fail(graph->context, PH_ERROR_UNSUPPORTED, "a batch of %lld; at most %d pictures at once", (long long)batch,
                       PH_MAX_BATCH);
    const char *first = NULL, *outer = graph->prefix ? graph->prefix : "";
    for (int64_t n = 0; n < batch; n++) {
        const char *prefix = ph_pool_sprintf(&graph->pool, "%sitem %lld:", outer, (long long)n);
        if (!prefix) return ph_fail_memory(graph->context);
        if (!n) first = prefix;
        PH_TRY(item_append(model, graph, inputs, input_count, batch, n, prefix, &starts[n], unsupported));
    }
    struct known *names;
    ph_status status = names_collect(graph, first, starts[0], &names, &count);
    for (int i = 0; i < count && !status; i++) status = layer_join(graph, &names[i], starts, batch);
    ph_free(names);
    return status;
}
