/* The ONNX loader: a file's messages are parsed once, its weights converted once; every graph built from it borrows them.
 *
 * A file is untrusted. protobuf-c unpacks it with a budget that grows with the file's size; every tensor's contents are
 * held to its shape before anything is made from them; external files must lie in the model's own folder. Nodes are
 * sorted by what they need, so the order in the file does not matter. A node that cannot be computed costs what depends
 * on it, nothing else.
 *
 * Format: https://github.com/onnx/onnx/blob/main/docs/IR.md, .../Operators.md, .../ExternalData.md. */
#include "graph/operations.h"
#include "model/model.h"
#include "model/onnx_ml.h"
#include "model/protobuf.h"
#include "onnx.pb-c.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* raw_data is little-endian whatever the host, and is used in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the ONNX loader is written for little-endian hosts");

/* What may be allocated for converted weights. Real files need at most eight times their size (a list of booleans); only a
 * hostile one needs more. */
#define BUDGET_BASE ((size_t)64 << 20)
#define BUDGET_WEIGHTS 8

/* Opset 6 differs from 7 in how two shapes are broadcast, which is handled here, and in attributes of training. */
enum { OPSET_FIRST = 6, OPSET_LAST = 21, OPSET_NUMPY_BROADCAST = 7 };

/* A constant of the file. `problem` says why it cannot be used when `data` is NULL. */
struct tensor {
    enum ph_type type;
    struct ph_shape shape;
    const void *data;
    const char *problem;
};

/* A tensor by its name. */
struct symbol {
    const char *name;
    int producer;                /* node, -1 for inputs and constants */
    const struct tensor *tensor; /* NULL when not a constant */
    bool defined;
};

struct node {
    const PhOnnx__NodeProto *message;
    const char *name;
    const struct ph_operation *operation; /* NULL when no operation reads nodes of this type */
    const struct ph_importer *importer;
    int *inputs, *outputs;                /* symbols; PH_ABSENT where the name is empty */
    int input_count, output_count;
    const struct tensor *tensors;         /* one for each attribute, where that is a tensor */
};

struct external_file {
    struct external_file *next;
    const char *location;
    struct ph_file file;
};

struct onnx {
    ph_context *context;
    const char *path; /* NULL for bytes in memory */
    PhOnnx__ModelProto *message;
    struct ph_pool pool;
    size_t converted, converted_limit; /* bytes */
    struct external_file *external;
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

static const char *text_of(const char *text) { return text ? text : ""; }

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

/* ---- Tensors ------------------------------------------------------------------------------------------------------- */

/* TensorProto.DataType and where its values are when they are not raw bytes. */
enum list { LIST_NONE, LIST_FLOAT, LIST_INT32, LIST_INT64, LIST_DOUBLE, LIST_UINT64 };
enum element {
    FLOAT = 1, UINT8, INT8, UINT16, INT16, INT32, INT64, STRING, BOOL, FLOAT16, DOUBLE, UINT32, UINT64, COMPLEX64,
    COMPLEX128, BFLOAT16, FLOAT8E4M3FN, FLOAT8E4M3FNUZ, FLOAT8E5M2, FLOAT8E5M2FNUZ, UINT4, INT4, FLOAT4E2M1
};
static const struct element_kind {
    const char *name;
    int bytes; /* of a value in raw data; 0: not read */
    enum ph_type type;
    enum list list;
} element_kinds[] = {
    [FLOAT] = {"float", 4, PH_FLOAT, LIST_FLOAT},       [UINT8] = {"uint8", 1, PH_INT64, LIST_INT32},
    [INT8] = {"int8", 1, PH_INT64, LIST_INT32},         [UINT16] = {"uint16", 2, PH_INT64, LIST_INT32},
    [INT16] = {"int16", 2, PH_INT64, LIST_INT32},       [INT32] = {"int32", 4, PH_INT64, LIST_INT32},
    [INT64] = {"int64", 8, PH_INT64, LIST_INT64},       [STRING] = {"string", 0, PH_FLOAT, LIST_NONE},
    [BOOL] = {"bool", 1, PH_BOOL, LIST_INT32},          [FLOAT16] = {"float16", 2, PH_FLOAT, LIST_INT32},
    [DOUBLE] = {"double", 8, PH_FLOAT, LIST_DOUBLE},    [UINT32] = {"uint32", 4, PH_INT64, LIST_UINT64},
    [UINT64] = {"uint64", 8, PH_INT64, LIST_UINT64},    [COMPLEX64] = {"complex64", 0, PH_FLOAT, LIST_NONE},
    [COMPLEX128] = {"complex128", 0, PH_FLOAT, LIST_NONE}, [BFLOAT16] = {"bfloat16", 2, PH_FLOAT, LIST_INT32},
    [FLOAT8E4M3FN] = {"float8e4m3fn"}, [FLOAT8E4M3FNUZ] = {"float8e4m3fnuz"}, [FLOAT8E5M2] = {"float8e5m2"},
    [FLOAT8E5M2FNUZ] = {"float8e5m2fnuz"}, [UINT4] = {"uint4"}, [INT4] = {"int4"}, [FLOAT4E2M1] = {"float4e2m1"},
};

/* Where a tensor's values lie: `count` of them, `stride` bytes apart, little-endian. */
struct source { const uint8_t *data; size_t count, stride; };

static ph_status tensor_fail(const struct onnx *onnx, const PhOnnx__TensorProto *message, const char *text) {
    return ph_fail(onnx->context, PH_ERROR_FORMAT, "tensor '%s': %s", text_of(message->name), text);
}

static const char *external_entry(const PhOnnx__TensorProto *message, const char *key) {
    for (size_t i = 0; i < message->n_external_data; i++)
        if (!strcmp(text_of(message->external_data[i]->key), key)) return message->external_data[i]->value;
    return NULL;
}

/* No absolute path and no step upwards; what links do is found out by resolving the whole. */
static bool location_is_inside(const char *location) {
    if (!location[0] || location[0] == '/' || strchr(location, '\\')) return false;
    for (const char *part = location; part; part = strchr(part, '/'), part = part ? part + 1 : NULL) {
        size_t length = strcspn(part, "/");
        if (length == 2 && part[0] == '.' && part[1] == '.') return false;
    }
    return true;
}

/* The file `location` names, relative to the model's folder, mapped once and kept. */
static ph_status external_open(struct onnx *onnx, const char *location, const struct ph_file **file) {
    for (struct external_file *known = onnx->external; known; known = known->next)
        if (!strcmp(known->location, location)) {
            *file = &known->file;
            return PH_OK;
        }
    ph_context *context = onnx->context;
    if (!onnx->path)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "weights in another file ('%s'), but the model has no folder", location);
    if (!location_is_inside(location))
        return ph_fail(context, PH_ERROR_FORMAT, "weights in '%s': not a path inside the model's folder", location);

    struct external_file *record = ph_pool_alloc(&onnx->pool, sizeof *record);
    int folder_length = (int)(ph_base_name(onnx->path) - onnx->path);
    char *wanted = ph_sprintf("%.*s%s%s", folder_length, onnx->path, folder_length ? "" : "./", location);
    char *folder = ph_sprintf("%.*s.", folder_length, onnx->path);
    char *true_folder = NULL, *true_path = NULL;
    ph_status status = PH_OK;
    if (!record || !wanted || !folder) {
        status = ph_fail_memory(context);
        goto done;
    }
    true_folder = realpath(folder, NULL);
    true_path = realpath(wanted, NULL);
    if (!true_folder || !true_path) {
        status = ph_fail(context, PH_ERROR_FILE, "weights in '%s': %s", wanted, strerror(errno));
        goto done;
    }
    size_t length = strlen(true_folder);
    if (strncmp(true_path, true_folder, length) || (true_path[length] != '/' && strcmp(true_folder, "/"))) {
        status = ph_fail(context, PH_ERROR_FORMAT, "weights in '%s': the link leaves the model's folder", wanted);
        goto done;
    }
    status = ph_file_open(context, true_path, &record->file);
    if (status) goto done;
    record->location = location;
    record->next = onnx->external;
    onnx->external = record;
    onnx->converted_limit += BUDGET_WEIGHTS * record->file.size;
    *file = &record->file;
done:
    free(true_folder);
    free(true_path);
    ph_free(folder);
    ph_free(wanted);
    return status;
}

static ph_status external_source(struct onnx *onnx, const PhOnnx__TensorProto *message, const struct element_kind *kind,
                                 size_t size, struct source *source) {
    const char *location = external_entry(message, "location");
    const char *offset_text = external_entry(message, "offset"), *length_text = external_entry(message, "length");
    int64_t offset = 0, length = (int64_t)(size * (size_t)kind->bytes);
    const struct ph_file *file;
    if (!location) return tensor_fail(onnx, message, "external data without a location");
    if (offset_text && (!ph_parse_int(offset_text, &offset) || offset < 0))
        return tensor_fail(onnx, message, "the offset of its external data is not a number");
    if (length_text && (!ph_parse_int(length_text, &length) || length < 0))
        return tensor_fail(onnx, message, "the length of its external data is not a number");
    ph_status status = external_open(onnx, location, &file);
    if (status) {
        ph_fail_prefix(onnx->context, "tensor '%s'", text_of(message->name));
        return status;
    }
    if ((uint64_t)offset > file->size || (uint64_t)length > file->size - (uint64_t)offset)
        return ph_fail(onnx->context, PH_ERROR_FORMAT, "tensor '%s': bytes %lld to %lld of '%s', which has %zu",
                       text_of(message->name), (long long)offset, (long long)offset + (long long)length, location, file->size);
    *source = (struct source){file->data + offset, (size_t)length / (size_t)kind->bytes, (size_t)kind->bytes};
    if ((size_t)length % (size_t)kind->bytes) source->count = SIZE_MAX;
    return PH_OK;
}

static struct source list_source(const PhOnnx__TensorProto *message, enum list list) {
    switch (list) {
    case LIST_FLOAT: return (struct source){(const uint8_t *)message->float_data, message->n_float_data, 4};
    case LIST_INT32: return (struct source){(const uint8_t *)message->int32_data, message->n_int32_data, 4};
    case LIST_INT64: return (struct source){(const uint8_t *)message->int64_data, message->n_int64_data, 8};
    case LIST_DOUBLE: return (struct source){(const uint8_t *)message->double_data, message->n_double_data, 8};
    case LIST_UINT64: return (struct source){(const uint8_t *)message->uint64_data, message->n_uint64_data, 8};
    case LIST_NONE: break;
    }
    return (struct source){0};
}

static uint64_t load_bits(const uint8_t *data, size_t bytes) {
    uint64_t bits = 0;
    memcpy(&bits, data, bytes);
    return bits;
}

static float float_of(int element, uint64_t bits) {
    uint32_t low = (uint32_t)bits;
    float value;
    double wide;
    switch (element) {
    case FLOAT16: return ph_half_to_float((uint16_t)bits);
    case BFLOAT16: return ph_bfloat16_to_float((uint16_t)bits);
    case DOUBLE: memcpy(&wide, &bits, sizeof wide); return (float)wide;
    default: memcpy(&value, &low, sizeof value); return value;
    }
}

static int64_t integer_of(int element, uint64_t bits) {
    switch (element) {
    case INT8: return (int8_t)bits;
    case INT16: return (int16_t)bits;
    case INT32: return (int32_t)bits;
    case BOOL: return (uint8_t)bits != 0;
    case UINT64: return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    default: return (int64_t)bits;
    }
}

/* Float and int64 values are used where they lie when they are packed and aligned; all others are converted. */
static ph_status tensor_contents(struct onnx *onnx, const PhOnnx__TensorProto *message, int element, struct source source,
                                 struct tensor *tensor) {
    static const int64_t nothing; /* an empty tensor's contents: a constant's data is never NULL */
    size_t wide = tensor->type == PH_FLOAT ? sizeof(float) : sizeof(int64_t);
    if (!source.count) {
        tensor->data = &nothing;
        return PH_OK;
    }
    if ((element == FLOAT || element == INT64) && (uintptr_t)source.data % wide == 0) {
        tensor->data = source.data;
        return PH_OK;
    }
    if (source.count > (onnx->converted_limit - onnx->converted) / wide)
        return tensor_fail(onnx, message, "converting the weights takes far more memory than the file's size warrants");
    onnx->converted += source.count * wide;
    void *data = ph_pool_alloc(&onnx->pool, source.count * wide);
    if (!data) return ph_fail_memory(onnx->context);
    size_t bytes = (size_t)element_kinds[element].bytes;
    for (size_t i = 0; i < source.count; i++) {
        uint64_t bits = load_bits(source.data + i * source.stride, bytes);
        if (tensor->type == PH_FLOAT) ((float *)data)[i] = float_of(element, bits);
        else ((int64_t *)data)[i] = integer_of(element, bits);
    }
    tensor->data = data;
    return PH_OK;
}

static ph_status tensor_read(struct onnx *onnx, const PhOnnx__TensorProto *message, struct tensor *tensor) {
    int element = message->data_type;
    bool known = element > 0 && element < PH_COUNT(element_kinds);
    if (message->n_dims > PH_MAX_RANK || !known || !element_kinds[element].bytes) {
        tensor->problem = message->n_dims > PH_MAX_RANK
            ? ph_pool_sprintf(&onnx->pool, "%zu dimensions; at most %d are supported", message->n_dims, PH_MAX_RANK)
            : ph_pool_sprintf(&onnx->pool, "values of type %s (%d); float, double, float16, bfloat16, bool and integers of 8 to "
                              "64 bits are supported", known ? element_kinds[element].name : "unknown", element);
        return tensor->problem ? PH_OK : ph_fail_memory(onnx->context);
    }
    const struct element_kind *kind = &element_kinds[element];
    tensor->type = kind->type;
    tensor->shape.rank = (int)message->n_dims;
    for (size_t i = 0; i < message->n_dims; i++) tensor->shape.dims[i] = message->dims[i];
    char text[128];
    if (!ph_shape_valid(&tensor->shape))
        return ph_fail(onnx->context, PH_ERROR_FORMAT, "tensor '%s': shape %s is negative or too large",
                       text_of(message->name), ph_shape_text(&tensor->shape, text));

    size_t size = (size_t)ph_shape_size(&tensor->shape);
    struct source source;
    if (message->data_location == 1) {
        PH_TRY(external_source(onnx, message, kind, size, &source));
    } else if (message->has_raw_data) {
        size_t length = message->raw_data.len, bytes = (size_t)kind->bytes;
        source = (struct source){message->raw_data.data, length % bytes ? SIZE_MAX : length / bytes, bytes};
    } else {
        source = list_source(message, kind->list);
    }
    if (source.count != size)
        return ph_fail(onnx->context, PH_ERROR_FORMAT, "tensor '%s': shape %s of %s needs %zu values, the file holds another "
                       "number", text_of(message->name), ph_shape_text(&tensor->shape, text), kind->name, size);
    return tensor_contents(onnx, message, element, source, tensor);
}

/* ---- Parsing ------------------------------------------------------------------------------------------------------- */

static ph_status version_check(struct onnx *onnx) {
    const PhOnnx__ModelProto *model = onnx->message;
    int64_t opset = 0;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = text_of(model->opset_import[i]->domain);
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
    struct tensor *tensors = ph_pool_alloc(&onnx->pool, graph->n_initializer * sizeof *tensors);
    if (!tensors) return ph_fail_memory(onnx->context);
    int symbol;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        PH_TRY(symbol_define(onnx, text_of(graph->initializer[i]->name), "an initialiser", &symbol));
        PH_TRY(tensor_read(onnx, graph->initializer[i], &tensors[i]));
        onnx->symbols[symbol].tensor = &tensors[i];
    }
    static const struct tensor sparse = {.problem = "a sparse tensor; only dense ones are supported"};
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        const PhOnnx__TensorProto *values = graph->sparse_initializer[i]->values;
        PH_TRY(symbol_define(onnx, text_of(values ? values->name : NULL), "a sparse initialiser", &symbol));
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
        const char *name = text_of(graph->input[i]->name);
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
    const char *domain = text_of(message->domain);
    if (!strcmp(domain, "ai.onnx.ml"))
        for (const struct ph_importer *importer = ph_onnx_ml_importers; importer->name; importer++)
            if (!strcmp(importer->name, text_of(message->op_type))) {
                node->operation = &ph_operation_identity; /* for messages: what it means is several */
                node->importer = importer;
            }
    if (domain[0] && strcmp(domain, "ai.onnx")) return;
    for (int i = 0; ph_operations[i]; i++)
        for (const struct ph_importer *importer = ph_operations[i]->importers; importer && importer->name; importer++)
            if (!strcmp(importer->name, text_of(message->op_type))) {
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
    node->name = text_of(message->name);
    if (!node->name[0]) node->name = message->n_output ? message->output[0] : text_of(message->op_type);
    importer_find(message, node);
    PH_TRY(names_resolve(onnx, message->input, message->n_input, &node->inputs, &node->input_count));
    PH_TRY(names_resolve(onnx, message->output, message->n_output, &node->outputs, &node->output_count));
    for (int i = 0; i < node->output_count; i++) {
        int symbol = node->outputs[i];
        if (symbol == PH_ABSENT) continue;
        PH_TRY(symbol_define(onnx, onnx->symbols[symbol].name, "an output", &symbol));
        onnx->symbols[symbol].producer = index;
    }
    struct tensor *tensors = ph_pool_alloc(&onnx->pool, message->n_attribute * sizeof *tensors);
    if (!tensors) return ph_fail_memory(onnx->context);
    node->tensors = tensors;
    for (size_t i = 0; i < message->n_attribute; i++)
        if (message->attribute[i]->t) {
            ph_status status = tensor_read(onnx, message->attribute[i]->t, &tensors[i]);
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
        PH_TRY(symbol_of(onnx, text_of(graph->output[i]->name), &symbol));
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
                                 node->name, text_of(node->message->op_type), symbol->name);
            else if (symbol->producer >= 0 && state[symbol->producer] == OPEN)
                status = ph_fail(onnx->context, PH_ERROR_FORMAT, "node '%s' (%s) depends on its own output: the graph has a cycle",
                                 node->name, text_of(node->message->op_type));
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
            const struct tensor *tensor = symbol == PH_ABSENT ? NULL : onnx->symbols[symbol].tensor;
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
    for (struct external_file *file = onnx->external; file; file = file->next) ph_file_close(&file->file);
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
    ph_status status = PH_OK;
    onnx->context = context;
    onnx->converted_limit = BUDGET_BASE + BUDGET_WEIGHTS * file->size;
    if (path && !(onnx->path = ph_pool_strdup(&onnx->pool, path))) status = ph_fail_memory(context);
    if (!status) {
        ProtobufCMessage *message;
        status = ph_protobuf_unpack(context, &ph_onnx__model_proto__descriptor, "an ONNX file", file->data, file->size,
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
        if (!strcmp(text_of(attribute->name), name))
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

static ph_status tensor_add(struct ph_graph *graph, const char *name, const struct tensor *tensor, int *value) {
    if (!tensor->data)
        return ph_fail(graph->context, PH_ERROR_UNSUPPORTED, "'%s' holds %s", name ? name : "a constant", tensor->problem);
    return ph_graph_add_constant(graph, name, tensor->type, tensor->shape, tensor->data, value);
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
                ph_fail_prefix(onnx->context, "node '%s' (%s)", node->name, text_of(node->message->op_type));
                return status;
            }
        }
        build->inputs[i] = build->values[symbol];
    }
    return PH_OK;
}

static ph_status node_build(const struct onnx *onnx, struct ph_graph *graph, const struct node *node, struct build *build) {
    const char *type = text_of(node->message->op_type), *domain = text_of(node->message->domain);
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
    if (!strcmp(key, PH_FACT_PRODUCER)) return text_of(model->producer_name);
    if (!strcmp(key, PH_FACT_DESCRIPTION))
        return text_of(model->doc_string)[0] ? model->doc_string : text_of(model->graph->doc_string);
    for (size_t i = 0; i < model->n_metadata_props; i++)
        if (!strcmp(text_of(model->metadata_props[i]->key), key)) return text_of(model->metadata_props[i]->value);
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
