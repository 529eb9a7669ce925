/* Small ONNX files written field by field in protobuf's wire format, so that a test can also write what no exporter would.
 * Field numbers are those of src/model/onnx.proto. */
#ifndef PH_WIRE_H
#define PH_WIRE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wire { uint8_t data[1 << 16]; size_t size; };

static inline void wire_raw(struct wire *wire, const void *data, size_t size) {
    if (size > sizeof wire->data - wire->size) abort();
    memcpy(wire->data + wire->size, data, size);
    wire->size += size;
}

static inline void wire_varint(struct wire *wire, uint64_t value) {
    do {
        uint8_t byte = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
        wire_raw(wire, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void wire_int(struct wire *wire, int field, int64_t value) {
    wire_varint(wire, (uint64_t)field << 3);
    wire_varint(wire, (uint64_t)value);
}

static inline void wire_float(struct wire *wire, int field, float value) {
    wire_varint(wire, (uint64_t)field << 3 | 5);
    wire_raw(wire, &value, sizeof value);
}

static inline void wire_bytes(struct wire *wire, int field, const void *data, size_t size) {
    wire_varint(wire, (uint64_t)field << 3 | 2);
    wire_varint(wire, size);
    wire_raw(wire, data, size);
}

static inline void wire_text(struct wire *wire, int field, const char *text) { wire_bytes(wire, field, text, strlen(text)); }

static inline void wire_message(struct wire *wire, int field, const struct wire *message) {
    wire_bytes(wire, field, message->data, message->size);
}

/* StringStringEntryProto, in a list of them. */
static inline void wire_entry(struct wire *wire, int field, const char *key, const char *value) {
    struct wire entry = {.size = 0};
    wire_text(&entry, 1, key);
    wire_text(&entry, 2, value);
    wire_message(wire, field, &entry);
}

/* A TensorProto without contents. dims end at 0. */
static inline struct wire wire_tensor(const char *name, int type, const int64_t *dims) {
    struct wire tensor = {.size = 0};
    for (; *dims; dims++) wire_int(&tensor, 1, *dims);
    wire_int(&tensor, 2, type);
    wire_text(&tensor, 8, name);
    return tensor;
}

#define WIRE_DIMS(...) ((const int64_t[]){__VA_ARGS__, 0})
enum { WIRE_RAW = 9, WIRE_FLOAT = 1, WIRE_INT64 = 7 };

static inline struct wire wire_tensor_raw(const char *name, int type, const int64_t *dims, const void *data, size_t size) {
    struct wire tensor = wire_tensor(name, type, dims);
    wire_bytes(&tensor, WIRE_RAW, data, size);
    return tensor;
}

/* Names separated by spaces. */
static inline void wire_names(struct wire *wire, int field, const char *names) {
    while (*names) {
        size_t length = strcspn(names, " ");
        wire_bytes(wire, field, names, length);
        names += length;
        names += *names == ' ';
    }
}

/* A NodeProto; attributes are appended by wire_attribute_... */
static inline struct wire wire_node(const char *type, const char *name, const char *inputs, const char *outputs) {
    struct wire node = {.size = 0};
    wire_names(&node, 1, inputs);
    wire_names(&node, 2, outputs);
    wire_text(&node, 3, name);
    wire_text(&node, 4, type);
    return node;
}

static inline void wire_attribute_int(struct wire *node, const char *name, int64_t value) {
    struct wire attribute = {.size = 0};
    wire_text(&attribute, 1, name);
    wire_int(&attribute, 3, value);
    wire_int(&attribute, 20, 2);
    wire_message(node, 5, &attribute);
}

/* Values end at INT64_MIN. */
static inline void wire_attribute_ints(struct wire *node, const char *name, const int64_t *values) {
    struct wire attribute = {.size = 0};
    wire_text(&attribute, 1, name);
    for (; *values != INT64_MIN; values++) wire_int(&attribute, 8, *values);
    wire_int(&attribute, 20, 7);
    wire_message(node, 5, &attribute);
}
#define WIRE_INTS(...) ((const int64_t[]){__VA_ARGS__, INT64_MIN})

static inline void wire_attribute_tensor(struct wire *node, const char *name, const struct wire *tensor) {
    struct wire attribute = {.size = 0};
    wire_text(&attribute, 1, name);
    wire_message(&attribute, 5, tensor);
    wire_int(&attribute, 20, 4);
    wire_message(node, 5, &attribute);
}

/* Parts of a GraphProto. A dim below 0 is symbolic. */
enum { WIRE_NODE = 1, WIRE_INITIALISER = 5, WIRE_INPUT = 11, WIRE_OUTPUT = 12, WIRE_SPARSE = 15 };

static inline void wire_value(struct wire *graph, int field, const char *name, const int64_t *dims) {
    struct wire shape = {.size = 0}, tensor = {.size = 0}, type = {.size = 0}, value = {.size = 0};
    for (; *dims; dims++) {
        struct wire dim = {.size = 0};
        if (*dims < 0) wire_text(&dim, 2, "N");
        else wire_int(&dim, 1, *dims);
        wire_message(&shape, 1, &dim);
    }
    wire_int(&tensor, 1, WIRE_FLOAT);
    wire_message(&tensor, 2, &shape);
    wire_message(&type, 1, &tensor);
    wire_text(&value, 1, name);
    wire_message(&value, 2, &type);
    wire_message(graph, field, &value);
}

static inline void wire_node_add(struct wire *graph, struct wire node) { wire_message(graph, WIRE_NODE, &node); }
static inline void wire_initialiser_add(struct wire *graph, struct wire tensor) {
    wire_message(graph, WIRE_INITIALISER, &tensor);
}

enum { WIRE_PRODUCER = 2, WIRE_GRAPH = 7, WIRE_METADATA = 14 };

static inline struct wire wire_model(const struct wire *graph, int opset) {
    struct wire model = {.size = 0}, version = {.size = 0};
    wire_int(&model, 1, 8);
    wire_text(&version, 1, "");
    wire_int(&version, 2, opset);
    wire_message(&model, 8, &version);
    wire_message(&model, WIRE_GRAPH, graph);
    return model;
}

/* A classifier of 8x8 pictures with three classes that uses most of the format: initialisers raw and listed, a Constant
 * node, attributes of each kind, nodes out of order, metadata. */
static inline struct wire wire_small_network(void) {
    struct wire graph = {.size = 0};
    float kernel[4 * 3 * 3 * 3], bias[4] = {0.5f, -0.5f, 0, 1}, dense[4 * 3];
    for (int i = 0; i < 4 * 3 * 9; i++) kernel[i] = (float)(i % 7 - 3) / 8;
    for (int i = 0; i < 12; i++) dense[i] = (float)(i % 5 - 2) / 4;
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(-1, 3, 8, 8));
    wire_value(&graph, WIRE_OUTPUT, "scores", WIRE_DIMS(-1, 3));
    wire_initialiser_add(&graph, wire_tensor_raw("conv.weight", WIRE_FLOAT, WIRE_DIMS(4, 3, 3, 3), kernel, sizeof kernel));
    struct wire listed = wire_tensor("conv.bias", WIRE_FLOAT, WIRE_DIMS(4));
    wire_bytes(&listed, 4, bias, sizeof bias);
    wire_initialiser_add(&graph, listed);
    struct wire shape = wire_tensor("shape", WIRE_INT64, WIRE_DIMS(2)), constant = wire_node("Constant", "shape", "", "shape");
    wire_bytes(&shape, 7, "\x01\x04", 2);
    wire_attribute_tensor(&constant, "value", &shape);
    struct wire softmax = wire_node("Softmax", "softmax", "logits", "scores"), conv = wire_node("Conv", "conv",
        "picture conv.weight conv.bias", "conv"), gemm = wire_node("Gemm", "gemm", "flat dense.weight", "logits");
    wire_attribute_int(&softmax, "axis", 1);
    wire_attribute_ints(&conv, "kernel_shape", WIRE_INTS(3, 3));
    wire_attribute_ints(&conv, "pads", WIRE_INTS(1, 1, 1, 1));
    wire_attribute_int(&gemm, "transB", 0);
    wire_node_add(&graph, softmax);
    wire_node_add(&graph, wire_node("Reshape", "flatten", "pool shape", "flat"));
    wire_node_add(&graph, constant);
    wire_node_add(&graph, conv);
    wire_node_add(&graph, wire_node("Relu", "", "conv", "relu"));
    wire_node_add(&graph, wire_node("GlobalAveragePool", "pool", "relu", "pool"));
    wire_node_add(&graph, gemm);
    wire_initialiser_add(&graph, wire_tensor_raw("dense.weight", WIRE_FLOAT, WIRE_DIMS(4, 3), dense, sizeof dense));
    struct wire model = wire_model(&graph, 13);
    wire_text(&model, WIRE_PRODUCER, "pytorch");
    wire_entry(&model, WIRE_METADATA, "note", "made for a test");
    return model;
}

/* Writes `data` to a file; aborts when that fails, for then no test makes sense. */
static inline void wire_write(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) abort();
}

#endif
