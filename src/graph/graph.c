/* Values, nodes, names; shape inference and constant folding as nodes are added. */
#include "graph/operation.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

int64_t ph_shape_size(const struct ph_shape *shape) {
    int64_t size = 1;
    for (int i = 0; i < shape->rank; i++) size *= shape->dims[i];
    return size;
}

bool ph_shape_equal(const struct ph_shape *a, const struct ph_shape *b) {
    return a->rank == b->rank && !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]);
}

bool ph_shape_valid(const struct ph_shape *shape) {
    if (shape->rank < 0 || shape->rank > PH_MAX_RANK) return false;
    const int64_t limit = (int64_t)1 << 40;
    int64_t size = 1; /* of the non-zero dims, so that an empty tensor cannot hide an overflow */
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) return false;
        if (shape->dims[i] > 0 && __builtin_mul_overflow(size, shape->dims[i], &size)) return false;
        if (size > limit) return false;
    }
    return true;
}

bool ph_shape_broadcast(const struct ph_shape *a, const struct ph_shape *b, struct ph_shape *out) {
    struct ph_shape result = {.rank = PH_MAX(a->rank, b->rank)};
    for (int i = 0; i < result.rank; i++) {
        int ia = i - (result.rank - a->rank), ib = i - (result.rank - b->rank);
        int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
        if (da != db && da != 1 && db != 1) return false;
        result.dims[i] = da == 1 ? db : da;
    }
    *out = result;
    return true;
}

const char *ph_shape_text(const struct ph_shape *shape, char *buffer) {
    int at = sprintf(buffer, "[");
    for (int i = 0; i < shape->rank && at < 100; i++) {
        if (shape->dims[i] < 0) at += sprintf(buffer + at, i ? ",?" : "?");
        else at += sprintf(buffer + at, i ? ",%lld" : "%lld", (long long)shape->dims[i]);
    }
    sprintf(buffer + at, "]");
    return buffer;
}

/* ---- Names: open addressing over indices of values; aliases have entries of their own -------------------------------- */


static uint32_t name_hash(uint32_t hash, const char *name) {
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 16777619u; /* FNV-1a */
    return hash;
}

/* The slot of the name that is `prefix` and `rest` behind each other. */
static struct ph_graph_name *name_slot(struct ph_graph_name *names, int size, const char *prefix, const char *rest) {
    size_t length = strlen(prefix);
    for (uint32_t i = name_hash(name_hash(2166136261u, prefix), rest);; i++) {
        struct ph_graph_name *slot = &names[i & (uint32_t)(size - 1)];
        if (!slot->name || (!strncmp(slot->name, prefix, length) && !strcmp(slot->name + length, rest))) return slot;
    }
}

static const char *prefix_of(const struct ph_graph *graph) { return graph->prefix ? graph->prefix : ""; }

int ph_graph_find(const struct ph_graph *graph, const char *name) {
    if (!graph->names) return PH_ABSENT;
    const struct ph_graph_name *slot = name_slot(graph->names, graph->name_capacity, prefix_of(graph), name);
    return slot->name ? slot->value : PH_ABSENT;
}

/* A pooled name with the graph's prefix. */
static const char *name_pool(struct ph_graph *graph, const char *name) {
    const char *prefix = prefix_of(graph);
    size_t length = strlen(prefix), rest = strlen(name) + 1;
    char *copy = ph_pool_alloc(&graph->pool, length + rest);
    if (!copy) return NULL;
    memcpy(copy, prefix, length);
    memcpy(copy + length, name, rest);
    return copy;
}

/* `name` must be pooled and free. */
static ph_status name_insert(struct ph_graph *graph, const char *name, int value) {
    if (2 * (graph->name_count + 1) > graph->name_capacity) {
        int capacity = graph->name_capacity ? 2 * graph->name_capacity : 256;
        struct ph_graph_name *names = ph_alloc_array((size_t)capacity, sizeof *names);
        if (!names) return ph_fail_memory(graph->context);
        for (int i = 0; i < graph->name_capacity; i++)
            if (graph->names[i].name) *name_slot(names, capacity, "", graph->names[i].name) = graph->names[i];
        ph_free(graph->names);
        graph->names = names;
        graph->name_capacity = capacity;
    }
    *name_slot(graph->names, graph->name_capacity, "", name) = (struct ph_graph_name){name, value};
    graph->name_count++;
    return PH_OK;
}

ph_status ph_graph_add_alias(struct ph_graph *graph, const char *name, int value) {
    if (!name[0] || ph_graph_find(graph, name) != PH_ABSENT) return PH_OK;
    const char *copy = name_pool(graph, name);
    return copy ? name_insert(graph, copy, value) : ph_fail_memory(graph->context);
}

/* A pooled name nobody has yet: the wanted one, or with a suffix, or made from `stem`. */
static const char *name_unique(struct ph_graph *graph, const char *wanted, const char *stem) {
    if (wanted && wanted[0]) {
        if (ph_graph_find(graph, wanted) == PH_ABSENT) return name_pool(graph, wanted);
        stem = wanted;
    }
    char candidate[512];
    for (;;) {
        snprintf(candidate, sizeof candidate, "%.480s#%d", stem, ++graph->generated);
        if (ph_graph_find(graph, candidate) == PH_ABSENT) return name_pool(graph, candidate);
    }
}

/* ---- Graph ------------------------------------------------------------------------------------------------------- */

ph_status ph_graph_create(ph_context *context, struct ph_graph **graph) {
    *graph = ph_alloc(sizeof **graph);
    if (!*graph) return ph_fail_memory(context);
    (*graph)->context = context;
    return PH_OK;
}

void ph_graph_destroy(struct ph_graph **graph) {
    if (!graph || !*graph) return;
    ph_pool_finish(&(*graph)->pool);
    ph_free((*graph)->values);
    ph_free((*graph)->nodes);
    ph_free((*graph)->names);
    ph_free(*graph);
    *graph = NULL;
}

static ph_status value_add(struct ph_graph *graph, const char *name, const char *stem, enum ph_type type,
                           const struct ph_shape *shape, const void *data, struct ph_contents *contents, int node,
                           int *value) {
    char text[128];
    if (!ph_shape_valid(shape))
        return ph_fail(graph->context, PH_ERROR_SHAPE, "%s: shape %s is negative or too large", name ? name : stem,
                       ph_shape_text(shape, text));
    const char *unique = name_unique(graph, name, stem);
    if (!unique || !ph_grow(&graph->values, graph->value_count, &graph->value_capacity, sizeof *graph->values))
        return ph_fail_memory(graph->context);
    *value = graph->value_count;
    PH_TRY(name_insert(graph, unique, *value));
    graph->values[graph->value_count++] =
        (struct ph_value){.name = unique, .type = type, .shape = *shape, .data = data, .contents = contents,
                           .node = node};
    return PH_OK;
}

ph_status ph_graph_add_input(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape, int *value) {
    return value_add(graph, name, "input", type, &shape, NULL, NULL, PH_ABSENT, value);
}

ph_status ph_graph_add_constant(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape,
                                const void *data, int *value) {
    return ph_graph_add_contents(graph, name, type, shape, data, NULL, value);
}

ph_status ph_graph_add_contents(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape,
                                const void *data, struct ph_contents *contents, int *value) {
    return value_add(graph, name, "constant", type, &shape, data, contents, PH_ABSENT, value);
}

static size_t element_size(enum ph_type type) { return type == PH_FLOAT ? sizeof(float) : sizeof(int64_t); }

ph_status ph_graph_add_constant_copy(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape,
                                     const void *data, int *value) {
    if (!ph_shape_valid(&shape)) return ph_graph_add_constant(graph, name, type, shape, NULL, value); /* reports it */
    const void *copy = ph_pool_copy(&graph->pool, data, (size_t)ph_shape_size(&shape) * element_size(type));
    if (!copy) return ph_fail_memory(graph->context);
    return ph_graph_add_constant(graph, name, type, shape, copy, value);
}

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

enum { FOLD_LIMIT = 1 << 27 };

static double integer_to_real(int64_t value) { return (double)value; }

static int64_t real_to_integer(double value) {
    if (isnan(value)) return 0;
    if (value >= 0x1p63) return INT64_MAX;
    if (value < -0x1p63) return INT64_MIN;
    return (int64_t)value;
}

ph_status ph_value_load(const struct ph_value *value) {
    return value->contents ? value->contents->load(value->contents) : PH_OK;
}

void ph_constant_to_double(const struct ph_value *value, double *out) {
    int64_t size = ph_shape_size(&value->shape);
    for (int64_t i = 0; i < size; i++)
        out[i] = value->type == PH_FLOAT ? ((const float *)value->data)[i] : integer_to_real(((const int64_t *)value->data)[i]);
}

/* Computes a node of constants with the double twin of its operation; data[] receives pooled contents for each output. */
static ph_status fold(struct ph_graph *graph, const struct ph_operation *operation, const struct ph_inference *inference,
                      const void **data) {
    const struct ph_operation *twin = ph_operation_double(operation);
    int inputs = inference->input_count, outputs = inference->output_count;
    ph_status status = PH_OK;
    double **in = ph_alloc_array((size_t)inputs + 1, sizeof *in), **out = ph_alloc_array((size_t)outputs, sizeof *out);
    const struct ph_shape **shapes = ph_alloc_array((size_t)inputs + 1, sizeof *shapes);
    enum ph_type *types = ph_alloc_array((size_t)inputs + 1, sizeof *types);
    if (!in || !out || !shapes || !types) status = ph_fail_memory(graph->context);
    for (int i = 0; i < inputs && !status; i++) {
        const struct ph_value *value = inference->inputs[i];
        if (!value) continue;
        shapes[i] = &value->shape;
        types[i] = value->type;
        in[i] = ph_alloc_array((size_t)ph_shape_size(&value->shape), sizeof **in);
        status = in[i] ? ph_value_load(value) : ph_fail_memory(graph->context);
        if (!status) ph_constant_to_double(value, in[i]);
    }
    for (int i = 0; i < outputs && !status; i++) {
        out[i] = ph_alloc_array((size_t)ph_shape_size(&inference->shapes[i]), sizeof **out);
        if (!out[i]) status = ph_fail_memory(graph->context);
    }
    if (!status)
        twin->forward(&(struct ph_call){.attributes = inference->attributes, .input_count = inputs, .output_count = outputs,
            .input_shapes = shapes, .input_types = types, .output_shapes = inference->shapes, .output_types = inference->types,
            .inputs = (const void *const *)in, .outputs = (void *const *)out});
    for (int i = 0; i < outputs && !status; i++) {
        int64_t size = ph_shape_size(&inference->shapes[i]);
        void *numbers = ph_pool_alloc(&graph->pool, (size_t)size * element_size(inference->types[i]));
        if (!numbers) status = ph_fail_memory(graph->context);
        for (int64_t j = 0; j < size && numbers; j++) {
            if (inference->types[i] == PH_FLOAT) ((float *)numbers)[j] = (float)out[i][j];
            else ((int64_t *)numbers)[j] = real_to_integer(out[i][j]);
        }
        data[i] = numbers;
    }
    for (int i = 0; i < inputs && in; i++) ph_free(in[i]);
    for (int i = 0; i < outputs && out; i++) ph_free(out[i]);
    ph_free(in);
    ph_free(out);
    ph_free(shapes);
    ph_free(types);
    return status;
}

/* The part of ph_graph_add_node between checking and freeing its scratch arrays. */
static ph_status node_add(struct ph_graph *graph, const struct ph_operation *operation, const char *name,
                          const void *attributes, const int *inputs, int input_count, const char *const *output_names,
                          struct ph_inference *inference, int *outputs) {
    int output_count = inference->output_count;
    PH_TRY(operation->infer(inference));
    char text[128];
    for (int i = 0; i < output_count; i++)
        if (!ph_shape_valid(&inference->shapes[i]))
            return ph_fail(graph->context, PH_ERROR_SHAPE, "output shape %s is negative or too large",
                           ph_shape_text(&inference->shapes[i], text));

    bool constant = true;
    for (int i = 0; i < input_count; i++)
        if (inference->inputs[i] && !inference->inputs[i]->data) constant = false;
    const void *data[PH_MAX_OUTPUTS] = {0};
    struct ph_contents *contents = NULL;
    int node = PH_ABSENT;
    if (constant && operation->is_view) {
        data[0] = inference->inputs[0]->data;
        contents = inference->inputs[0]->contents;
    } else if (constant) {
        /* A few bytes of file can ask for any amount of constants (Expand, Tile). */
        for (int i = 0; i < output_count; i++)
            if ((graph->folded += ph_shape_size(&inference->shapes[i])) > FOLD_LIMIT)
                return ph_fail(graph->context, PH_ERROR_UNSUPPORTED, "a constant of shape %s is too large: at most %d elements "
                               "of constants are computed", ph_shape_text(&inference->shapes[i], text), FOLD_LIMIT);
        PH_TRY(fold(graph, operation, inference, data));
    } else {
        struct ph_node record = {.operation = operation, .input_count = input_count, .output_count = output_count};
        record.name = ph_pool_strdup(&graph->pool, name && name[0] ? name : operation->name);
        if (operation->attributes_size)
            record.attributes = ph_pool_copy(&graph->pool, attributes, operation->attributes_size);
        record.inputs = ph_pool_copy(&graph->pool, inputs, (size_t)input_count * sizeof *inputs);
        record.outputs = ph_pool_alloc(&graph->pool, (size_t)output_count * sizeof *outputs);
        if (!record.name || !record.inputs || !record.outputs || (operation->attributes_size && !record.attributes) ||
            !ph_grow(&graph->nodes, graph->node_count, &graph->node_capacity, sizeof *graph->nodes))
            return ph_fail_memory(graph->context);
        node = graph->node_count;
        graph->nodes[graph->node_count++] = record;
    }
    const char *stem = name && name[0] ? name : operation->name;
    for (int i = 0; i < output_count; i++)
        PH_TRY(value_add(graph, output_names ? output_names[i] : NULL, stem, inference->types[i], &inference->shapes[i],
                         data[i], contents, node, &outputs[i]));
    if (node != PH_ABSENT) memcpy((int *)graph->nodes[node].outputs, outputs, (size_t)output_count * sizeof *outputs);
    return PH_OK;
}

ph_status ph_graph_add_node(struct ph_graph *graph, const struct ph_operation *operation, const char *name,
                            const void *attributes, const int *inputs, int input_count,
                            const char *const *output_names, int output_count, int *outputs) {
    ph_context *context = graph->context;
    const char *label = name && name[0] ? name : output_names && output_names[0] && output_names[0][0] ? output_names[0] : "?";
    if (!operation->infer)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "node '%s': operation %s cannot be computed", label, operation->name);
    if (input_count < operation->minimum_inputs ||
        (operation->maximum_inputs >= 0 && input_count > operation->maximum_inputs))
        return ph_fail(context, PH_ERROR_SHAPE, "node '%s' (%s): %d inputs, %d to %d expected", label, operation->name,
                       input_count, operation->minimum_inputs, operation->maximum_inputs);
    if (output_count < 1 || output_count > PH_MAX_OUTPUTS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "node '%s' (%s): %d outputs, 1 to %d expected", label, operation->name,
                       output_count, PH_MAX_OUTPUTS);

    const struct ph_value **values = ph_alloc_array((size_t)input_count + 1, sizeof *values);
    if (!values) return ph_fail_memory(context);
    struct ph_shape shapes[PH_MAX_OUTPUTS] = {0};
    enum ph_type types[PH_MAX_OUTPUTS];
    ph_status status = PH_OK;
    for (int i = 0; i < input_count && !status; i++) {
        if (inputs[i] != PH_ABSENT) values[i] = &graph->values[inputs[i]];
        else if (i < operation->minimum_inputs)
            status = ph_fail(context, PH_ERROR_SHAPE, "node '%s' (%s): input %d is missing", label, operation->name, i);
    }
    for (int i = 0; i < output_count; i++) types[i] = input_count && values[0] ? values[0]->type : PH_FLOAT;
    struct ph_inference inference = {.context = context, .attributes = attributes, .input_count = input_count,
        .output_count = output_count, .inputs = values, .shapes = shapes, .types = types};
    if (!status) {
        status = node_add(graph, operation, name, attributes, inputs, input_count, output_names, &inference, outputs);
        if (status && status != PH_ERROR_MEMORY) ph_fail_prefix(context, "node '%s' (%s)", label, operation->name);
    }
    ph_free(values);
    return status;
}

ph_status ph_graph_add(struct ph_graph *graph, const struct ph_operation *operation, const char *output_name,
                       const void *attributes, const int *inputs, int input_count, int *output) {
    return ph_graph_add_node(graph, operation, output_name, attributes, inputs, input_count, &output_name, 1, output);
}

/* ---- Constants --------------------------------------------------------------------------------------------------- */

static ph_status constant_check(const struct ph_graph *graph, int value, const char *what, int capacity, int *count) {
    const struct ph_value *record = &graph->values[value];
    if (!record->data)
        return ph_fail(graph->context, PH_ERROR_UNSUPPORTED, "%s is computed by the network ('%s'); it must be constant", what,
                       record->name);
    int64_t size = ph_shape_size(&record->shape);
    if (size > capacity)
        return ph_fail(graph->context, PH_ERROR_SHAPE, "%s has %lld entries, at most %d expected", what, (long long)size, capacity);
    *count = (int)size;
    return ph_value_load(record);
}

ph_status ph_graph_constant_ints(const struct ph_graph *graph, int value, const char *what, int64_t *out, int capacity,
                                 int *count) {
    PH_TRY(constant_check(graph, value, what, capacity, count));
    const struct ph_value *record = &graph->values[value];
    for (int i = 0; i < *count; i++)
        out[i] = record->type == PH_FLOAT ? real_to_integer(((const float *)record->data)[i]) : ((const int64_t *)record->data)[i];
    return PH_OK;
}

ph_status ph_graph_constant_floats(const struct ph_graph *graph, int value, const char *what, double *out, int capacity,
                                   int *count) {
    PH_TRY(constant_check(graph, value, what, capacity, count));
    const struct ph_value *record = &graph->values[value];
    for (int i = 0; i < *count; i++)
        out[i] = record->type == PH_FLOAT ? ((const float *)record->data)[i] : integer_to_real(((const int64_t *)record->data)[i]);
    return PH_OK;
}
