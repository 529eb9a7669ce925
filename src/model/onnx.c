/* The ONNX loader: a file's messages are parsed once, without its weights, which are read and converted once, when first needed
 * (onnx_tensor.h); every graph built from it borrows them.
 *
 * A file is untrusted. protobuf-c unpacks it with a budget that grows with the file's size. Nodes are
 * sorted by what they need, so the order in the file does not matter. A node that cannot be computed costs what depends
 * on it, nothing else.
 *
 * Format: https://github.com/onnx/onnx/blob/main/docs/IR.md, .../Operators.md, .../ExternalData.md. */
#include "graph/operations.h"
#include "model/model.h"
#include "model/onnx_ml.h"
#include "model/onnx_tensor.h"
#include "model/protobuf.h"
#include <string.h>

/* Opset 6 differs from 7 in how two shapes are broadcast, which is handled here, and in attributes of training. */
enum { OPSET_FIRST = 6, OPSET_LAST = 21, OPSET_NUMPY_BROADCAST = 7 };

/* A tensor by its name. */
struct symbol {
    const char *name;
    int producer;                /* node, -1 for inputs and constants */
    const struct ph_onnx_tensor *tensor; /* NULL when not a constant */
    bool defined;
};

struct node {
    const PhOnnx__NodeProto *message;
    const char *name;
    const struct ph_operation *operation; /* NULL when no operation reads nodes of this type */
    const struct ph_importer *importer;
    int *inputs, *outputs;                /* symbols; PH_ABSENT where the name is empty */
    int input_count, output_count;
    const struct ph_onnx_tensor *tensors; /* one for each attribute, where that is a tensor */
};

struct onnx {
    ph_context *context;
    PhOnnx__ModelProto *message;
    struct ph_pool pool;
    struct ph_onnx_weights weights;
    int opset;
    struct symbol *symbols;
    int symbol_count, symbol_capacity;
    int *table;                        /* open-addressed hash table of symbols, -1 where free */
    int table_size;
    struct node *nodes;
    int *order;                        /* nodes in order of computation */
    int *inputs, *outputs;             /* symbols */
    struct ph_model_input *input_facts;
    int node_count, input_count, output_count;
    int widest;                        /* most inputs or outputs of a node */
    int64_t parameters;
};

/* ---- Symbols ------------------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const char *name) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

static int *table_slot(struct onnx *onnx, const char *name) {
    for (uint32_t i = hash_of(name);; i++) {
        int *slot = &onnx->table[i & (uint32_t)(onnx->table_size - 1)];
        if (*slot < 0 || !strcmp(onnx->symbols[*slot].name, name)) return slot;
    }
}

static bool table_grow(struct onnx *onnx) {
    int size = onnx->table_size ? 2 * onnx->table_size : 256;
    int *table = ph_realloc_array(onnx->table, (size_t)size, sizeof *table);
    if (!table) return false;
    onnx->table = table;
    onnx->table_size = size;
    for (int i = 0; i < size; i++) table[i] = -1;
    for (int i = 0; i < onnx->symbol_count; i++) *table_slot(onnx, onnx->symbols[i].name) = i;
    return true;
}

/* The symbol of that name, made if need be; PH_ABSENT for the empty name. */
static ph_status symbol_of(struct onnx *onnx, const char *name, int *symbol) {
    *symbol = PH_ABSENT;
    if (!name[0]) return PH_OK;
    if (2 * (onnx->symbol_count + 1) > onnx->table_size && !table_grow(onnx)) return ph_fail_memory(onnx->context);
    int *slot = table_slot(onnx, name);
    if (*slot < 0) {
        if (!ph_grow(&onnx->symbols, onnx->symbol_count, &onnx->symbol_capacity, sizeof *onnx->symbols))
            return ph_fail_memory(onnx->context);
        *slot = onnx->symbol_count++;
        onnx->symbols[*slot] = (struct symbol){.name = name, .producer = -1};
    }
    *symbol = *slot;
    return PH_OK;
}

static ph_status symbol_define(struct onnx *onnx, const char *name, const char *what, int *symbol) {
    PH_TRY(symbol_of(onnx, name, symbol));
    if (*symbol == PH_ABSENT) return ph_fail(onnx->context, PH_ERROR_FORMAT, "%s has no name", what);
    if (onnx->symbols[*symbol].defined)
        return ph_fail(onnx->context, PH_ERROR_FORMAT, "two tensors are named '%s'; names must be unique", name);
    onnx->symbols[*symbol].defined = true;
    return PH_OK;
}

/* ---- Parsing ------------------------------------------------------------------------------------------------------- */

static ph_status version_check(struct onnx *onnx) {
    const PhOnnx__ModelProto *model = onnx->message;
    int64_t opset = 0;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = ph_onnx_text(model->opset_import[i]->domain);
        if (!domain[0] || !strcmp(domain, "ai.onnx")) opset = model->opset_import[i]->version;
    }
    if (!model->ir_version || !model->graph)
        return ph_fail(onnx->context, PH_ERROR_FORMAT, "not an ONNX model: no %s in it", model->graph ? "version" : "graph");
    if (opset < OPSET_FIRST || opset > INT32_MAX)
        return ph_fail(onnx->context, PH_ERROR_UNSUPPORTED, "ONNX opset %lld; %d to %d can be read (onnx.version_converter "
                       "brings a model to another opset)", (long long)opset, OPSET_FIRST, OPSET_LAST);
    if (opset > OPSET_LAST)
        ph_log(onnx->context, "ONNX opset %lld is newer than %d, the last one known: read as if it were %d", (long long)opset,
               OPSET_LAST, OPSET_LAST);
    onnx->opset = (int)opset;
    return PH_OK;
}

static ph_status initialisers_read(struct onnx *onnx) {
    const PhOnnx__GraphProto *graph = onnx->message->graph;
    struct ph_onnx_tensor *tensors = ph_pool_alloc(&onnx->pool, graph->n_initializer * sizeof *tensors);
    if (!tensors) return ph_fail_memory(onnx->context);
    int symbol;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        PH_TRY(symbol_define(onnx, ph_onnx_text(graph->initializer[i]->name), "an initialiser", &symbol));
        PH_TRY(ph_onnx_tensor_read(&onnx->weights, graph->initializer[i], &tensors[i]));
        onnx->symbols[symbol].tensor = &tensors[i];
    }
    static const struct ph_onnx_tensor sparse = {.problem = "a sparse tensor; only dense ones are supported"};
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        const PhOnnx__TensorProto *values = graph->sparse_initializer[i]->values;
        PH_TRY(symbol_define(onnx, ph_onnx_text(values ? values->name : NULL), "a sparse initialiser", &symbol));
        onnx->symbols[symbol].tensor = &sparse;
    }
    return PH_OK;
}

/* Inputs that bear an initialiser's name only give it a default; what is left is fed from outside. */
static ph_status inputs_read(struct onnx *onnx) {
    const PhOnnx__GraphProto *graph = onnx->message->graph;
    onnx->inputs = ph_alloc_array(graph->n_input, sizeof *onnx->inputs);
    onnx->input_facts = ph_alloc_array(graph->n_input, sizeof *onnx->input_facts);
    if (!onnx->inputs || !onnx->input_facts) return ph_fail_memory(onnx->context);
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = ph_onnx_text(graph->input[i]->name);
        int symbol;
        PH_TRY(symbol_of(onnx, name, &symbol));
        if (symbol != PH_ABSENT && onnx->symbols[symbol].tensor) continue;
        PH_TRY(symbol_define(onnx, name, "an input", &symbol));
        const PhOnnx__TypeProto *type = graph->input[i]->type;
        if (!type || !type->tensor_type)
            return ph_fail(onnx->context, PH_ERROR_UNSUPPORTED, "input '%s' is not a tensor", name);
        struct ph_model_input facts = {.name = name, .shape = {.rank = 0}};
        const PhOnnx__TensorShapeProto *shape = type->tensor_type->shape;
        if (shape && shape->n_dim > PH_MAX_RANK)
            return ph_fail(onnx->context, PH_ERROR_UNSUPPORTED, "input '%s' has %zu dimensions; at most %d are supported", name,
                           shape->n_dim, PH_MAX_RANK);
        facts.shape.rank = shape ? (int)shape->n_dim : 0;
        for (int j = 0; j < facts.shape.rank; j++) {
            const PhOnnx__DimensionProto *dim = shape->dim[j];
            /* Some exporters write 0 or -1 for a free size. */
            facts.shape.dims[j] = dim->has_dim_value && dim->dim_value > 0 ? dim->dim_value : -1;
        }
        onnx->inputs[onnx->input_count] = symbol;
        onnx->input_facts[onnx->input_count++] = facts;
    }
    if (!onnx->input_count)
        return ph_fail(onnx->context, PH_ERROR_UNSUPPORTED, "the network has no input: every tensor in it is constant");
    return PH_OK;
}

static void importer_find(const PhOnnx__NodeProto *message, struct node *node) {
    const char *domain = ph_onnx_text(message->domain);
    if (!strcmp(domain, "ai.onnx.ml"))
        for (const struct ph_importer *importer = ph_onnx_ml_importers; importer->name; importer++)
            if (!strcmp(importer->name, ph_onnx_text(message->op_type))) {
                node->operation = &ph_operation_identity; /* for messages: what it means is several */
                node->importer = importer;
            }
    if (domain[0] && strcmp(domain, "ai.onnx")) return;
    for (int i = 0; ph_operations[i]; i++)
        for (const struct ph_importer *importer = ph_operations[i]->importers; importer && importer->name; importer++)
            if (!strcmp(importer->name, ph_onnx_text(message->op_type))) {
                node->operation = ph_operations[i];
                node->importer = importer;
                return;
            }
}

static ph_status names_resolve(struct onnx *onnx, char *const *names, size_t count, int **symbols, int *kept) {
    while (count && !names[count - 1][0]) count--;
    if (count > INT16_MAX) return ph_fail(onnx->context, PH_ERROR_UNSUPPORTED, "a node with %zu operands", count);
    *symbols = ph_pool_alloc(&onnx->pool, count * sizeof **symbols);
    if (!*symbols) return ph_fail_memory(onnx->context);
    for (size_t i = 0; i < count; i++) PH_TRY(symbol_of(onnx, names[i], &(*symbols)[i]));
    *kept = (int)count;
    onnx->widest = PH_MAX(onnx->widest, (int)count);
    return PH_OK;
}

static ph_status node_read(struct onnx *onnx, const PhOnnx__NodeProto *message, int index) {
    struct node *node = &onnx->nodes[index];
    node->message = message;
    node->name = ph_onnx_text(message->name);
    if (!node->name[0]) node->name = message->n_output ? message->output[0] : ph_onnx_text(message->op_type);
    importer_find(message, node);
    PH_TRY(names_resolve(onnx, message->input, message->n_input, &node->inputs, &node->input_count));
    PH_TRY(names_resolve(onnx, message->output, message->n_output, &node->outputs, &node->output_count));
    for (int i = 0; i < node->output_count; i++) {
        int symbol = node->outputs[i];
        if (symbol == PH_ABSENT) continue;
        PH_TRY(symbol_define(onnx, onnx->symbols[symbol].name, "an output", &symbol));
        onnx->symbols[symbol].producer = index;
    }
    struct ph_onnx_tensor *tensors = ph_pool_alloc(&onnx->pool, message->n_attribute * sizeof *tensors);
    if (!tensors) return ph_fail_memory(onnx->context);
    node->tensors = tensors;
    for (size_t i = 0; i < message->n_attribute; i++)
        if (message->attribute[i]->t) {
            ph_status status = ph_onnx_tensor_read(&onnx->weights, message->attribute[i]->t, &tensors[i]);
            if (status) {
                ph_fail_prefix(onnx->context, "node '%s'", node->name);
                return status;
            }
        }
    return PH_OK;
}

static ph_status nodes_read(struct onnx *onnx) {
    const PhOnnx__GraphProto *graph = onnx->message->graph;
    if (graph->n_node > INT32_MAX / 2) return ph_fail_memory(onnx->context);
    onnx->nodes = ph_alloc_array(graph->n_node, sizeof *onnx->nodes);
    if (!onnx->nodes) return ph_fail_memory(onnx->context);
    onnx->node_count = (int)graph->n_node;
    for (int i = 0; i < onnx->node_count; i++) PH_TRY(node_read(onnx, graph->node[i], i));
    onnx->outputs = ph_alloc_array(graph->n_output, sizeof *onnx->outputs);
    if (!onnx->outputs) return ph_fail_memory(onnx->context);
    for (size_t i = 0; i < graph->n_output; i++) {
        int symbol;
        PH_TRY(symbol_of(onnx, ph_onnx_text(graph->output[i]->name), &symbol));
        if (symbol != PH_ABSENT) onnx->outputs[onnx->output_count++] = symbol;
    }
    return PH_OK;
}

/* Depth first, each node behind what it needs and else in the file's order, so a sorted file keeps its order. */
static ph_status nodes_sort(struct onnx *onnx) {
    enum { UNSEEN, OPEN, DONE };
    struct visit { int node, next; } *stack = ph_alloc_array((size_t)onnx->node_count, sizeof *stack);
    uint8_t *state = ph_alloc_array((size_t)onnx->node_count, sizeof *state);
    onnx->order = ph_alloc_array((size_t)onnx->node_count, sizeof *onnx->order);
    ph_status status = stack && state && onnx->order ? PH_OK : ph_fail_memory(onnx->context);
    int done = 0;
    for (int root = 0; root < onnx->node_count && !status; root++) {
        if (state[root] != UNSEEN) continue;
        int depth = 0;
        stack[depth++] = (struct visit){root, 0};
        state[root] = OPEN;
        while (depth && !status) {
            struct visit *top = &stack[depth - 1];
            const struct node *node = &onnx->nodes[top->node];
            if (top->next == node->input_count) {
                state[top->node] = DONE;
                onnx->order[done++] = top->node;
                depth--;
                continue;
            }
            int input = node->inputs[top->next++];
            if (input == PH_ABSENT) continue;
            const struct symbol *symbol = &onnx->symbols[input];
            if (!symbol->defined)
                status = ph_fail(onnx->context, PH_ERROR_FORMAT, "node '%s' (%s) needs '%s', which nothing in the file makes",
                                 node->name, ph_onnx_text(node->message->op_type), symbol->name);
            else if (symbol->producer >= 0 && state[symbol->producer] == OPEN)
                status = ph_fail(onnx->context, PH_ERROR_FORMAT, "node '%s' (%s) depends on its own output: the graph has a cycle",
                                 node->name, ph_onnx_text(node->message->op_type));
            else if (symbol->producer >= 0 && state[symbol->producer] == UNSEEN) {
                state[symbol->producer] = OPEN;
                stack[depth++] = (struct visit){symbol->producer, 0};
            }
        }
    }
    ph_free(stack);
    ph_free(state);
    return status;
}

/* Every floating-point constant that a node uses counts, once. */
static ph_status parameters_count(struct onnx *onnx) {
    bool *counted = ph_alloc_array((size_t)onnx->symbol_count, sizeof *counted);
    if (!counted) return ph_fail_memory(onnx->context);
    for (int i = 0; i < onnx->node_count; i++)
        for (int j = 0; j < onnx->nodes[i].input_count; j++) {
            int symbol = onnx->nodes[i].inputs[j];
            const struct ph_onnx_tensor *tensor = symbol == PH_ABSENT ? NULL : onnx->symbols[symbol].tensor;
            if (!tensor || counted[symbol] || !tensor->data || tensor->type != PH_FLOAT) continue;
            counted[symbol] = true;
            onnx->parameters += ph_shape_size(&tensor->shape);
        }
    ph_free(counted);
    return PH_OK;
}

static void onnx_destroy(void *parsed) {
    struct onnx *onnx = parsed;
    if (!onnx) return;
    ph_protobuf_free((ProtobufCMessage *)onnx->message);
    ph_onnx_weights_finish(&onnx->weights);
    ph_free(onnx->symbols);
    ph_free(onnx->table);
    ph_free(onnx->nodes);
    ph_free(onnx->order);
    ph_free(onnx->inputs);
    ph_free(onnx->outputs);
    ph_free(onnx->input_facts);
    ph_pool_finish(&onnx->pool);
    ph_free(onnx);
}

static ph_status onnx_parse(ph_context *context, const char *path, const struct ph_file *file, void **parsed) {
    struct onnx *onnx = ph_alloc(sizeof *onnx);
    if (!onnx) return ph_fail_memory(context);
    onnx->context = context;
    ph_status status = ph_onnx_weights_start(context, path, file, &onnx->weights);
    if (!status) {
        ProtobufCMessage *message;
        status = ph_protobuf_unpack(context, &ph_onnx__model_proto__descriptor, "an ONNX file", file, &ph_onnx_raw_data,
                                    &message);
        onnx->message = (PhOnnx__ModelProto *)message;
    }
    if (!status) status = version_check(onnx);
    if (!status) status = initialisers_read(onnx);
    if (!status) status = inputs_read(onnx);
    if (!status) status = nodes_read(onnx);
    if (!status) status = nodes_sort(onnx);
    if (!status) status = parameters_count(onnx);
    if (status) {
        if (path && status != PH_ERROR_MEMORY) ph_fail_prefix(context, "%s", path);
        onnx_destroy(onnx);
        onnx = NULL;
    }
    *parsed = onnx;
    return status;
}

/* ---- Attributes ---------------------------------------------------------------------------------------------------- */

/* AttributeProto.AttributeType; 0 in old files, which are read by what they hold. */
enum { ATTRIBUTE_UNKNOWN, ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_STRING, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_FLOATS,
       ATTRIBUTE_INTS };

static const PhOnnx__AttributeProto *attribute_find(const struct node *node, const char *name, int type) {
    for (size_t i = 0; i < node->message->n_attribute; i++) {
        const PhOnnx__AttributeProto *attribute = node->message->attribute[i];
        if (!strcmp(ph_onnx_text(attribute->name), name))
            return attribute->type == type || attribute->type == ATTRIBUTE_UNKNOWN ? attribute : NULL;
    }
    return NULL;
}

static bool get_int(const void *source, const char *name, int64_t *value) {
    const PhOnnx__AttributeProto *attribute = attribute_find(source, name, ATTRIBUTE_INT);
    if (!attribute || !(attribute->has_i || attribute->type)) return false;
    *value = attribute->i;
    return true;
}

static bool get_float(const void *source, const char *name, double *value) {
    const PhOnnx__AttributeProto *attribute = attribute_find(source, name, ATTRIBUTE_FLOAT);
    if (!attribute || !(attribute->has_f || attribute->type)) return false;
    *value = attribute->f;
    return true;
}

static bool get_string(const void *source, const char *name, const char **text, size_t *length) {
    const PhOnnx__AttributeProto *attribute = attribute_find(source, name, ATTRIBUTE_STRING);
    if (!attribute || !(attribute->has_s || attribute->type)) return false;
    *text = attribute->s.len ? (const char *)attribute->s.data : "";
    *length = attribute->s.len;
    return true;
}

static bool get_ints(const void *source, const char *name, const int64_t **values, int *count) {
    const PhOnnx__AttributeProto *attribute = attribute_find(source, name, ATTRIBUTE_INTS);
    if (!attribute || !(attribute->n_ints || attribute->type) || attribute->n_ints > INT32_MAX) return false;
    *values = attribute->ints;
    *count = (int)attribute->n_ints;
    return true;
}

static bool get_floats(const void *source, const char *name, const float **values, int *count) {
    const PhOnnx__AttributeProto *attribute = attribute_find(source, name, ATTRIBUTE_FLOATS);
    if (!attribute || !(attribute->n_floats || attribute->type) || attribute->n_floats > INT32_MAX) return false;
    *values = attribute->floats;
    *count = (int)attribute->n_floats;
    return true;
}

static ph_status tensor_add(struct ph_graph *graph, const char *name, const struct ph_onnx_tensor *tensor, int *value) {
    if (!tensor->data)
        return ph_fail(graph->context, PH_ERROR_UNSUPPORTED, "'%s' holds %s", name ? name : "a constant", tensor->problem);
    return ph_graph_add_contents(graph, name, tensor->type, tensor->shape, tensor->data, tensor->contents, value);
}

static bool get_tensor(const void *source, const char *name, struct ph_graph *graph, int *value, ph_status *status) {
    const struct node *node = source;
    const PhOnnx__AttributeProto *attribute = attribute_find(node, name, ATTRIBUTE_TENSOR);
    if (!attribute || !attribute->t) return false;
    size_t index = 0;
    while (node->message->attribute[index] != attribute) index++;
    *status = tensor_add(graph, NULL, &node->tensors[index], value);
    return true;
}

static const struct ph_attribute_reader reader = {get_int, get_float, get_string, get_ints, get_floats, get_tensor};

/* ---- Building ------------------------------------------------------------------------------------------------------ */

/* Before opset 7 the second operand of a binary operation could say at which axis of the first it starts. */
static ph_status broadcast_legacy(const struct onnx *onnx, struct ph_graph *graph, const struct node *node, int *inputs) {
    int64_t axis, broadcast = 0;
    if (onnx->opset >= OPSET_NUMPY_BROADCAST || node->input_count != 2 || inputs[0] == PH_ABSENT || inputs[1] == PH_ABSENT ||
        !get_int(node, "broadcast", &broadcast) || !broadcast || !get_int(node, "axis", &axis))
        return PH_OK;
    const struct ph_shape *first = &graph->values[inputs[0]].shape;
    struct ph_shape_attributes attributes = {graph->values[inputs[1]].shape};
    if (axis < 0) axis += first->rank;
    int missing = first->rank - (int)PH_MAX(0, PH_MIN(axis, first->rank)) - attributes.shape.rank;
    for (; missing > 0; missing--) attributes.shape.dims[attributes.shape.rank++] = 1;
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &attributes, &inputs[1], 1, &inputs[1]);
}

/* Scratch of one build. */
struct build {
    int *values;         /* [symbols] graph value, PH_ABSENT while there is none */
    int *inputs, *outputs;
    const char **output_names;
    int64_t batch, file_batch;
};

/* Inputs that no value stands for yet are constants to be added, or depend on a node that could not be computed: *ready
 * is false then. */
static ph_status node_inputs(const struct onnx *onnx, struct ph_graph *graph, const struct node *node, struct build *build,
                             bool *ready) {
    *ready = true;
    for (int i = 0; i < node->input_count; i++) {
        int symbol = node->inputs[i];
        build->inputs[i] = PH_ABSENT;
        if (symbol == PH_ABSENT) continue;
        if (build->values[symbol] == PH_ABSENT && onnx->symbols[symbol].producer >= 0) {
            *ready = false;
            return PH_OK;
        }
        if (build->values[symbol] == PH_ABSENT) {
            ph_status status = tensor_add(graph, onnx->symbols[symbol].name, onnx->symbols[symbol].tensor, &build->values[symbol]);
            if (status) {
                ph_fail_prefix(onnx->context, "node '%s' (%s)", node->name, ph_onnx_text(node->message->op_type));
                return status;
            }
        }
        build->inputs[i] = build->values[symbol];
    }
    return PH_OK;
}

static ph_status node_build(const struct onnx *onnx, struct ph_graph *graph, const struct node *node, struct build *build) {
    const char *type = ph_onnx_text(node->message->op_type), *domain = ph_onnx_text(node->message->domain);
    if (!node->importer)
        return ph_fail(onnx->context, PH_ERROR_UNSUPPORTED, "node '%s': operation %s%s%s is not supported", node->name, type,
                       domain[0] ? " of domain " : "", domain);
    PH_TRY(broadcast_legacy(onnx, graph, node, build->inputs));
    for (int i = 0; i < node->output_count; i++) {
        build->outputs[i] = PH_ABSENT;
        build->output_names[i] = node->outputs[i] == PH_ABSENT ? "" : onnx->symbols[node->outputs[i]].name;
    }
    struct ph_import import = {.graph = graph, .operation = node->operation, .type = type, .name = node->name,
        .version = PH_MIN(onnx->opset, OPSET_LAST), .input_count = node->input_count, .inputs = build->inputs,
        .output_count = node->output_count, .output_names = build->output_names, .outputs = build->outputs,
        .reader = &reader, .source = node, .batch = build->batch, .file_batch = build->file_batch};
    PH_TRY(node->importer->read ? node->importer->read(&import) : ph_import_append(&import, NULL, -1));
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] == PH_ABSENT) continue;
        if (build->outputs[i] == PH_ABSENT)
            return ph_import_fail(&import, PH_ERROR_UNSUPPORTED, "its output '%s' is not computed", build->output_names[i]);
        build->values[node->outputs[i]] = build->outputs[i];
    }
    return PH_OK;
}

static ph_status onnx_build(const void *parsed, struct ph_graph *graph, const int *inputs, int input_count,
                            const char **unsupported) {
    const struct onnx *onnx = parsed;
    ph_context *context = onnx->context;
    *unsupported = NULL;
    if (input_count != onnx->input_count)
        return ph_fail(context, PH_ERROR_ARGUMENT, "the network has %d inputs, %d given", onnx->input_count, input_count);
    struct build build = {
        .values = ph_alloc_array((size_t)onnx->symbol_count, sizeof *build.values),
        .inputs = ph_alloc_array((size_t)onnx->widest, sizeof *build.inputs),
        .outputs = ph_alloc_array((size_t)onnx->widest, sizeof *build.outputs),
        .output_names = ph_alloc_array((size_t)onnx->widest, sizeof *build.output_names),
        .file_batch = onnx->input_facts[0].shape.rank ? onnx->input_facts[0].shape.dims[0] : -1};
    ph_status status = PH_OK;
    if (!build.values || !build.inputs || !build.outputs || !build.output_names) {
        status = ph_fail_memory(context);
        goto done;
    }
    const struct ph_shape *fed = &graph->values[inputs[0]].shape;
    build.batch = fed->rank ? fed->dims[0] : 1;
    for (int i = 0; i < onnx->symbol_count; i++) build.values[i] = PH_ABSENT;
    for (int i = 0; i < input_count && !status; i++) {
        build.values[onnx->inputs[i]] = inputs[i];
        status = ph_graph_add_alias(graph, onnx->symbols[onnx->inputs[i]].name, inputs[i]);
    }
    for (int i = 0; i < onnx->node_count && !status; i++) {
        const struct node *node = &onnx->nodes[onnx->order[i]];
        bool ready;
        if (!node->output_count) continue; /* nobody can ask for what it computes, and importers count on an output */
        status = node_inputs(onnx, graph, node, &build, &ready);
        if (!status && !ready) continue;
        if (!status) status = node_build(onnx, graph, node, &build);
        if (!status || status == PH_ERROR_MEMORY) continue;
        /* Only what depends on this node is lost; the first reason is the one to report. */
        status = PH_OK;
        if (!*unsupported && !(*unsupported = ph_pool_strdup(&graph->pool, ph_context_error(context))))
            status = ph_fail_memory(context);
    }
    /* An output may be a constant that no node uses. */
    for (int i = 0; i < onnx->output_count && !status; i++) {
        const struct symbol *symbol = &onnx->symbols[onnx->outputs[i]];
        if (build.values[onnx->outputs[i]] == PH_ABSENT && symbol->tensor && symbol->tensor->data)
            status = tensor_add(graph, symbol->name, symbol->tensor, &build.values[onnx->outputs[i]]);
    }
done:
    ph_free(build.values);
    ph_free(build.inputs);
    ph_free(build.outputs);
    ph_free(build.output_names);
    return status;
}

/* ---- Facts --------------------------------------------------------------------------------------------------------- */

static int onnx_input_count(const void *parsed) { return ((const struct onnx *)parsed)->input_count; }

static struct ph_model_input onnx_input(const void *parsed, int index) {
    return ((const struct onnx *)parsed)->input_facts[index];
}

static int onnx_output_count(const void *parsed) { return ((const struct onnx *)parsed)->output_count; }

static const char *onnx_output(const void *parsed, int index) {
    const struct onnx *onnx = parsed;
    return onnx->symbols[onnx->outputs[index]].name;
}

static int64_t onnx_parameter_count(const void *parsed) { return ((const struct onnx *)parsed)->parameters; }

static const char *onnx_fact(const void *parsed, const char *key) {
    const PhOnnx__ModelProto *model = ((const struct onnx *)parsed)->message;
    if (!strcmp(key, PH_FACT_PRODUCER)) return ph_onnx_text(model->producer_name);
    if (!strcmp(key, PH_FACT_DESCRIPTION))
        return ph_onnx_text(model->doc_string)[0] ? model->doc_string : ph_onnx_text(model->graph->doc_string);
    for (size_t i = 0; i < model->n_metadata_props; i++)
        if (!strcmp(ph_onnx_text(model->metadata_props[i]->key), key)) return ph_onnx_text(model->metadata_props[i]->value);
    return "";
}

const struct ph_model_format ph_model_format_onnx = {
    .name = "ONNX",
    .help = "opset 7 to 21, weights inside or in files beside it",
    .extensions = ".onnx",
    .parse = onnx_parse,
    .destroy = onnx_destroy,
    .input_count = onnx_input_count,
    .input = onnx_input,
    .build = onnx_build,
    .output_count = onnx_output_count,
    .output = onnx_output,
    .parameter_count = onnx_parameter_count,
    .fact = onnx_fact,
};
