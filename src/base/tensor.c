/* Tensors and NumPy's .npy files (NEP 1, "A Simple File Format for NumPy Arrays", versions 1.0 to 3.0). */
#include "base/base.h"
#include <stdio.h>
#include <string.h>

ph_status ph_tensor_create(ph_context *context, int rank, const int64_t *dims, ph_tensor **tensor) {
    *tensor = NULL;
    if (rank < 0 || rank > PH_MAX_RANK)
        return ph_fail(context, PH_ERROR_ARGUMENT, "tensor: rank %d is not between 0 and %d", rank, PH_MAX_RANK);
    size_t size = 1;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(size, (size_t)dims[i], &size) || size > (size_t)1 << 40)
            return ph_fail(context, PH_ERROR_SHAPE, "tensor: dimension %d is %lld: negative, or too much in all", i,
                           (long long)dims[i]);
    ph_tensor *made = ph_alloc(sizeof *made);
    if (!made || !(made->data = ph_alloc_array(size, sizeof *made->data))) {
        ph_free(made);
        return ph_fail_memory(context);
    }
    made->rank = rank;
    for (int i = 0; i < rank; i++) made->dims[i] = dims[i];
    *tensor = made;
    return PH_OK;
}

void ph_tensor_destroy(ph_tensor **tensor) {
    if (!tensor || !*tensor) return;
    ph_free((*tensor)->data);
    ph_free(*tensor);
    *tensor = NULL;
}

static size_t tensor_size(const ph_tensor *tensor) {
    size_t size = 1;
    for (int i = 0; i < tensor->rank; i++) size *= (size_t)tensor->dims[i];
    return size;
}

/* ---- The header: a Python dictionary literal of three known keys ------------------------------------------------- */

struct header { char kind; int bytes; bool swap, fortran; int rank; int64_t dims[PH_MAX_RANK]; };

static void skip_space(const char **at) {
    while (**at == ' ' || **at == '\n') ++*at;
}

static bool accept(const char **at, const char *word) {
    skip_space(at);
    size_t length = strlen(word);
    if (strncmp(*at, word, length)) return false;
    *at += length;
    return true;
}

/* '<f4': byte order, kind, bytes. */
static bool parse_type(const char **at, struct header *header) {
    skip_space(at);
    const char *text = *at;
    if (text[0] != '\'' || !text[1] || !text[2] || !text[3] || text[4] != '\'') return false;
    if (!strchr("<>|=", text[1]) || !strchr("fiub", text[2]) || !strchr("1248", text[3])) return false;
    header->kind = text[2];
    header->bytes = text[3] - '0';
    header->swap = text[1] == '>' && header->bytes > 1;
    if ((header->kind == 'f' && header->bytes == 1) || (header->kind == 'b' && header->bytes != 1)) return false;
    *at += 5;
    return true;
}

static bool parse_shape(const char **at, struct header *header) {
    if (!accept(at, "(")) return false;
    for (header->rank = 0; !accept(at, ")");) {
        skip_space(at);
        int64_t dim = 0;
        const char *start = *at;
        for (; **at >= '0' && **at <= '9'; ++*at)
            if (__builtin_mul_overflow(dim, 10, &dim) || __builtin_add_overflow(dim, **at - '0', &dim)) return false;
        if (*at == start || header->rank == PH_MAX_RANK) return false;
        header->dims[header->rank++] = dim;
        if (!accept(at, ",")) {
            if (!accept(at, ")")) return false;
            break;
        }
    }
    return true;
}

static bool parse_header(const char *at, struct header *header) {
    bool descr = false, order = false, shape = false;
    if (!accept(&at, "{")) return false;
    while (!accept(&at, "}")) {
        if (accept(&at, "'descr':")) descr = parse_type(&at, header);
        else if (accept(&at, "'fortran_order':")) {
            order = true;
            if (accept(&at, "True")) header->fortran = true;
            else if (!accept(&at, "False")) return false;
        } else if (accept(&at, "'shape':")) shape = parse_shape(&at, header);
        else return false;
        accept(&at, ",");
    }
    return descr && order && shape;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static float element(const struct header *header, const uint8_t *from) {
    uint8_t bytes[8] = {0};
    for (int i = 0; i < header->bytes; i++) bytes[i] = from[header->swap ? header->bytes - 1 - i : i];
    uint64_t bits = 0;
    for (int i = 0; i < header->bytes; i++) bits |= (uint64_t)bytes[i] << 8 * i;
    if (header->kind == 'f' && header->bytes == 2) return ph_half_to_float((uint16_t)bits);
    if (header->kind == 'f' && header->bytes == 4) {
        float value;
        memcpy(&value, bytes, sizeof value);
        return value;
    }
    if (header->kind == 'f') {
        double value;
        memcpy(&value, bytes, sizeof value);
        return (float)value;
    }
    if (header->kind != 'i') return (float)bits;
    int unused = 64 - 8 * header->bytes;
    return (float)((int64_t)(bits << unused) >> unused);
}

static void read_elements(const struct header *header, const uint8_t *data, ph_tensor *tensor) {
    size_t size = tensor_size(tensor);
    for (size_t i = 0; i < size; i++) {
        size_t at = i;
        if (header->fortran) {
            /* Position of C-order element i when the first axis runs fastest. */
            size_t rest = i, stride = size;
            at = 0;
            for (int axis = tensor->rank - 1; axis >= 0; axis--) {
                stride /= (size_t)tensor->dims[axis];
                at += rest % (size_t)tensor->dims[axis] * stride;
                rest /= (size_t)tensor->dims[axis];
            }
        }
        tensor->data[i] = element(header, data + at * (size_t)header->bytes);
    }
}

ph_status ph_tensor_decode(ph_context *context, const char *path, const uint8_t *data, size_t size, ph_tensor **tensor) {
    *tensor = NULL;
    if (size < 12 || memcmp(data, "\x93NUMPY", 6) || data[6] < 1 || data[6] > 3)
        return ph_fail(context, PH_ERROR_FORMAT, "%s: not a NumPy array (.npy, version 1 to 3)", path);
    size_t start = data[6] == 1 ? 10 : 12;
    size_t length = data[6] == 1
                        ? (size_t)data[8] | (size_t)data[9] << 8
                        : (size_t)data[8] | (size_t)data[9] << 8 | (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (length > size - start)
        return ph_fail(context, PH_ERROR_FORMAT, "%s: the file ends inside its header", path);
    char *text = ph_strndup((const char *)data + start, length);
    if (!text) return ph_fail_memory(context);
    struct header header = {0};
    bool parsed = parse_header(text, &header);
    ph_free(text);
    if (!parsed)
        return ph_fail(context, PH_ERROR_UNSUPPORTED,
                       "%s: an array of numbers of at most %d axes is expected (float16, float32, "
                       "float64, integers or bool)",
                       path, PH_MAX_RANK);
    /* A size beyond the file is refused before it is reserved. */
    size_t elements = 1, present = (size - start - length) / (size_t)header.bytes;
    for (int i = 0; i < header.rank; i++)
        if (__builtin_mul_overflow(elements, (size_t)header.dims[i], &elements)) elements = SIZE_MAX, i = header.rank;
    if (elements > present)
        return ph_fail(context, PH_ERROR_FORMAT, "%s: the file holds %zu of the elements its shape asks for", path,
                       present);
    PH_TRY(ph_tensor_create(context, header.rank, header.dims, tensor));
    read_elements(&header, data + start + length, *tensor);
    return PH_OK;
}

ph_status ph_tensor_load(ph_context *context, const char *path, ph_tensor **tensor) {
    struct ph_file file;
    *tensor = NULL;
    PH_TRY(ph_file_open(context, path, &file));
    ph_status status = ph_tensor_decode(context, path, file.data, file.size, tensor);
    ph_file_close(&file);
    return status;
}

ph_status ph_tensor_encode(ph_context *context, const ph_tensor *tensor, uint8_t **bytes, size_t *size) {
    struct ph_text header = {0};
    ph_text_append(&header, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < tensor->rank; i++) ph_text_append(&header, i ? ", %lld" : "%lld", (long long)tensor->dims[i]);
    ph_text_append(&header, "%s), }", tensor->rank == 1 ? "," : "");
    /* The data starts at a multiple of 64 bytes; the header ends with a line end. */
    int padding = (int)(63 - (10 + header.length) % 64);
    ph_text_append(&header, "%*s\n", padding, "");
    size_t elements = tensor_size(tensor);
    *size = 10 + header.length + elements * sizeof(float);
    *bytes = header.failed ? NULL : ph_alloc(*size);
    if (*bytes) {
        memcpy(*bytes, "\x93NUMPY\x01\x00", 8);
        (*bytes)[8] = (uint8_t)header.length;
        (*bytes)[9] = (uint8_t)(header.length >> 8);
        memcpy(*bytes + 10, header.data, header.length);
        memcpy(*bytes + 10 + header.length, tensor->data, elements * sizeof(float));
    }
    ph_text_finish(&header);
    return *bytes ? PH_OK : ph_fail_memory(context);
}

ph_status ph_tensor_save(ph_context *context, const ph_tensor *tensor, const char *path, bool overwrite) {
    uint8_t *bytes;
    size_t size;
    PH_TRY(ph_tensor_encode(context, tensor, &bytes, &size));
    ph_status status = ph_file_write(context, path, bytes, size, overwrite);
    ph_free(bytes);
    return status;
}
