/* See onnx_tensor.h.
 *
 * Format: https://github.com/onnx/onnx/blob/main/docs/IR.md, .../ExternalData.md. */
#include "model/onnx_tensor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* raw_data is little-endian whatever the host, and is read into place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the ONNX loader is written for little-endian hosts");

/* What may be taken for values. Real files need at most eight times their size (a list of booleans); only a hostile one needs
 * more. */
#define BUDGET_BASE ((size_t)64 << 20)
#define BUDGET_WEIGHTS 8

/* Bytes of values that are left in the file, at least: a few pages, of which each tensor takes whole ones. */
#define LEAST_LEFT ((size_t)1 << 14)

const struct ph_protobuf_part ph_onnx_raw_data = {&ph_onnx__tensor_proto__descriptor, 9};

/* A file beside the model. */
struct ph_onnx_file {
    struct ph_onnx_file *next;
    const char *location;
    struct ph_file file;
};

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

/* Where a tensor's values lie: `count` of them, `stride` bytes apart, little-endian; in memory at `data`, or in `file`. */
struct ph_onnx_source {
    struct ph_contents contents;
    struct ph_onnx_source *next;
    struct ph_onnx_weights *weights;
    const char *name;
    const uint8_t *data;
    const struct ph_file *file;
    uint64_t offset;
    size_t count, stride;
    int element;
    void *values; /* read and converted */
    bool read;
};

static ph_status tensor_fail(const struct ph_onnx_weights *weights, const PhOnnx__TensorProto *message, const char *text) {
    return ph_fail(weights->context, PH_ERROR_FORMAT, "tensor '%s': %s", ph_onnx_text(message->name), text);
}

static const char *external_entry(const PhOnnx__TensorProto *message, const char *key) {
    for (size_t i = 0; i < message->n_external_data; i++)
        if (!strcmp(ph_onnx_text(message->external_data[i]->key), key)) return message->external_data[i]->value;
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

/* The file `location` names, relative to the model's folder, opened once. */
static ph_status external_open(struct ph_onnx_weights *weights, const char *location, const struct ph_file **file) {
    for (struct ph_onnx_file *known = weights->files; known; known = known->next)
        if (!strcmp(known->location, location)) {
            *file = &known->file;
            return PH_OK;
        }
    ph_context *context = weights->context;
    if (!weights->path)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "weights in another file ('%s'), but the model has no folder", location);
    if (!location_is_inside(location))
        return ph_fail(context, PH_ERROR_FORMAT, "weights in '%s': not a path inside the model's folder", location);

    struct ph_onnx_file *record = ph_pool_alloc(&weights->pool, sizeof *record);
    int folder_length = (int)(ph_base_name(weights->path) - weights->path);
    char *wanted = ph_sprintf("%.*s%s%s", folder_length, weights->path, folder_length ? "" : "./", location);
    char *folder = ph_sprintf("%.*s.", folder_length, weights->path);
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
    status = ph_file_open_parts(context, true_path, false, &record->file);
    if (status) goto done;
    record->location = location;
    record->next = weights->files;
    weights->files = record;
    weights->limit += BUDGET_WEIGHTS * record->file.size;
    *file = &record->file;
done:
    free(true_folder);
    free(true_path);
    ph_free(folder);
    ph_free(wanted);
    return status;
}

/* More values than any shape has where the bytes are not those of whole ones. */
static void file_source(const struct ph_file *file, uint64_t offset, uint64_t length, const struct element_kind *kind,
                        struct ph_onnx_source *source) {
    size_t bytes = (size_t)kind->bytes;
    source->file = file;
    source->offset = offset;
    source->stride = bytes;
    source->count = length % bytes ? SIZE_MAX : (size_t)length / bytes;
}

static ph_status external_source(struct ph_onnx_weights *weights, const PhOnnx__TensorProto *message,
                                 const struct element_kind *kind, size_t size, struct ph_onnx_source *source) {
    const char *location = external_entry(message, "location");
    const char *offset_text = external_entry(message, "offset"), *length_text = external_entry(message, "length");
    int64_t offset = 0, length = (int64_t)(size * (size_t)kind->bytes);
    const struct ph_file *file;
    if (!location) return tensor_fail(weights, message, "external data without a location");
    if (offset_text && (!ph_parse_int(offset_text, &offset) || offset < 0))
        return tensor_fail(weights, message, "the offset of its external data is not a number");
    if (length_text && (!ph_parse_int(length_text, &length) || length < 0))
        return tensor_fail(weights, message, "the length of its external data is not a number");
    ph_status status = external_open(weights, location, &file);
    if (status) {
        ph_fail_prefix(weights->context, "tensor '%s'", ph_onnx_text(message->name));
        return status;
    }
    if ((uint64_t)offset > file->size || (uint64_t)length > file->size - (uint64_t)offset)
        return ph_fail(weights->context, PH_ERROR_FORMAT, "tensor '%s': bytes %lld to %lld of '%s', which has %zu",
                       ph_onnx_text(message->name), (long long)offset, (long long)offset + (long long)length, location, file->size);
    file_source(file, (uint64_t)offset, (uint64_t)length, kind, source);
    return PH_OK;
}

static void list_source(const PhOnnx__TensorProto *message, enum list list, struct ph_onnx_source *source) {
    switch (list) {
    case LIST_FLOAT: source->data = (const uint8_t *)message->float_data, source->count = message->n_float_data; break;
    case LIST_INT32: source->data = (const uint8_t *)message->int32_data, source->count = message->n_int32_data; break;
    case LIST_INT64: source->data = (const uint8_t *)message->int64_data, source->count = message->n_int64_data; break;
    case LIST_DOUBLE: source->data = (const uint8_t *)message->double_data, source->count = message->n_double_data; break;
    case LIST_UINT64: source->data = (const uint8_t *)message->uint64_data, source->count = message->n_uint64_data; break;
    case LIST_NONE: break;
    }
    source->stride = list == LIST_FLOAT || list == LIST_INT32 ? 4 : 8;
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

static void convert(const struct ph_onnx_source *source, const uint8_t *from, size_t first, size_t count) {
    size_t bytes = (size_t)element_kinds[source->element].bytes;
    bool is_float = element_kinds[source->element].type == PH_FLOAT;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = load_bits(from + i * source->stride, bytes);
        if (is_float) ((float *)source->values)[first + i] = float_of(source->element, bits);
        else ((int64_t *)source->values)[first + i] = integer_of(source->element, bits);
    }
}

/* As they are, or converted part by part. */
static ph_status values_read(const struct ph_onnx_source *source) {
    enum { PART = 1 << 12 };
    ph_context *context = source->weights->context;
    uint8_t part[PART];
    if (source->data) convert(source, source->data, 0, source->count);
    else if (source->element == FLOAT || source->element == INT64)
        return ph_file_read(context, source->file, source->offset, source->count * source->stride, source->values);
    for (size_t i = 0, count; i < source->count && !source->data; i += count) {
        count = PH_MIN(source->count - i, PART / source->stride);
        PH_TRY(ph_file_read(context, source->file, source->offset + i * source->stride, count * source->stride, part));
        convert(source, part, i, count);
    }
    return PH_OK;
}

static size_t values_bytes(const struct ph_onnx_source *source) {
    return source->count * (element_kinds[source->element].type == PH_FLOAT ? sizeof(float) : sizeof(int64_t));
}

static ph_status source_load(struct ph_contents *contents) {
    struct ph_onnx_source *source = (struct ph_onnx_source *)contents;
    if (source->read) return PH_OK;
    if (!ph_commit(source->values, values_bytes(source))) return ph_fail_memory(source->weights->context);
    ph_status status = values_read(source);
    source->read = !status;
    if (status && status != PH_ERROR_MEMORY) ph_fail_prefix(source->weights->context, "tensor '%s'", source->name);
    return status;
}

/* Memory for the values now, and the values when they are needed. */
static ph_status source_keep(const struct ph_onnx_source *source, struct ph_onnx_tensor *tensor) {
    struct ph_onnx_weights *weights = source->weights;
    struct ph_onnx_source *kept = ph_pool_copy(&weights->pool, source, sizeof *source);
    if (!kept || !(kept->values = ph_reserve(values_bytes(source)))) return ph_fail_memory(weights->context);
    kept->contents.load = source_load;
    kept->next = weights->sources;
    weights->sources = kept;
    tensor->data = kept->values;
    tensor->contents = &kept->contents;
    return PH_OK;
}

/* Lists of float and int64 values are used where they lie; all others have memory of their own. */
static ph_status tensor_contents(struct ph_onnx_source *source, const PhOnnx__TensorProto *message,
                                 struct ph_onnx_tensor *tensor) {
    static const int64_t nothing; /* an empty tensor's contents: a constant's data is never NULL */
    struct ph_onnx_weights *weights = source->weights;
    size_t wide = tensor->type == PH_FLOAT ? sizeof(float) : sizeof(int64_t);
    tensor->data = source->count ? (const void *)source->data : &nothing;
    if (!source->count || (source->data && (source->element == FLOAT || source->element == INT64))) return PH_OK;
    if (source->count > (weights->limit - weights->taken) / wide)
        return tensor_fail(weights, message, "its values take far more memory than the file's size warrants");
    weights->taken += values_bytes(source);
    /* Shapes and other small things are asked for at once. */
    if (source->file && tensor->type == PH_FLOAT && values_bytes(source) >= LEAST_LEFT) return source_keep(source, tensor);
    source->values = ph_pool_alloc(&weights->pool, values_bytes(source));
    if (!source->values) return ph_fail_memory(weights->context);
    tensor->data = source->values;
    return values_read(source);
}

static ph_status source_find(struct ph_onnx_source *source, const PhOnnx__TensorProto *message, size_t size) {
    struct ph_onnx_weights *weights = source->weights;
    const struct element_kind *kind = &element_kinds[source->element];
    if (message->data_location == 1) return external_source(weights, message, kind, size, source);
    if (message->has_raw_data) {
        struct ph_protobuf_place place = ph_protobuf_place(&message->raw_data, weights->file);
        file_source(weights->file, place.offset, place.size, kind, source);
    } else {
        list_source(message, kind->list, source);
    }
    return PH_OK;
}

ph_status ph_onnx_tensor_read(struct ph_onnx_weights *weights, const PhOnnx__TensorProto *message,
                              struct ph_onnx_tensor *tensor) {
    int element = message->data_type;
    bool known = element > 0 && element < PH_COUNT(element_kinds);
    if (message->n_dims > PH_MAX_RANK || !known || !element_kinds[element].bytes) {
        tensor->problem = message->n_dims > PH_MAX_RANK
            ? ph_pool_sprintf(&weights->pool, "%zu dimensions; at most %d are supported", message->n_dims, PH_MAX_RANK)
            : ph_pool_sprintf(&weights->pool, "values of type %s (%d); float, double, float16, bfloat16, bool and integers of 8 to "
                              "64 bits are supported", known ? element_kinds[element].name : "unknown", element);
        return tensor->problem ? PH_OK : ph_fail_memory(weights->context);
    }
    const struct element_kind *kind = &element_kinds[element];
    tensor->type = kind->type;
    tensor->shape.rank = (int)message->n_dims;
    for (size_t i = 0; i < message->n_dims; i++) tensor->shape.dims[i] = message->dims[i];
    char text[128];
    if (!ph_shape_valid(&tensor->shape))
        return ph_fail(weights->context, PH_ERROR_FORMAT, "tensor '%s': shape %s is negative or too large",
                       ph_onnx_text(message->name), ph_shape_text(&tensor->shape, text));

    size_t size = (size_t)ph_shape_size(&tensor->shape);
    struct ph_onnx_source source = {.weights = weights, .name = ph_onnx_text(message->name), .element = element};
    PH_TRY(source_find(&source, message, size));
    if (source.count != size)
        return ph_fail(weights->context, PH_ERROR_FORMAT, "tensor '%s': shape %s of %s needs %zu values, the file holds another "
                       "number", ph_onnx_text(message->name), ph_shape_text(&tensor->shape, text), kind->name, size);
    return tensor_contents(&source, message, tensor);
}

/* ---- The whole ----------------------------------------------------------------------------------------------------- */

ph_status ph_onnx_weights_start(ph_context *context, const char *path, const struct ph_file *file,
                                struct ph_onnx_weights *weights) {
    *weights = (struct ph_onnx_weights){.context = context, .file = file, .limit = BUDGET_BASE + BUDGET_WEIGHTS * file->size};
    if (path && !(weights->path = ph_pool_strdup(&weights->pool, path))) return ph_fail_memory(context);
    return PH_OK;
}

void ph_onnx_weights_finish(struct ph_onnx_weights *weights) {
    for (struct ph_onnx_file *file = weights->files; file; file = file->next) ph_file_close(&file->file);
    for (struct ph_onnx_source *source = weights->sources; source; source = source->next)
        ph_release(source->values, values_bytes(source));
    ph_pool_finish(&weights->pool);
}
