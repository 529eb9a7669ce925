/* Loading networks: what is found out about them, their weights in every form, labels, preprocessing and its sidecar. */
#include "exec/program.h"
#include "graph/operations.h"
#include "model/model.h"
#include "wire.h"
#include <setjmp.h>
#include <math.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];
static ph_context *context;
static char last_log[1024];

static void keep_log(void *user, const char *text) {
    (void)user;
    snprintf(last_log, sizeof last_log, "%s", text);
}

static int setup(void **state) {
    (void)state;
    context = ph_context_create();
    ph_context_set_log(context, keep_log, NULL);
    snprintf(folder, sizeof folder, "/tmp/phosphene-test-XXXXXX");
    return !context || !mkdtemp(folder);
}

static int teardown(void **state) {
    (void)state;
    ph_context_destroy(&context);
    return rmdir(folder);
}

/* A path in the test's folder, valid until the fourth call from here. */
static const char *path_of(const char *name) {
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text) { wire_write(path_of(name), text, strlen(text)); }

static ph_model *load_path(const char *path) {
    ph_model *model;
    last_log[0] = 0;
    if (ph_model_load(context, path, &model)) fail_msg("%s", ph_context_error(context));
    return model;
}

static ph_model *load_wire(struct wire wire) {
    wire_write(path_of("net.onnx"), wire.data, wire.size);
    ph_model *model = load_path(path_of("net.onnx"));
    unlink(path_of("net.onnx"));
    return model;
}

static void expect_error(ph_status status, ph_status wanted, const char *words) {
    assert_int_equal(status, wanted);
    if (!strstr(ph_context_error(context), words)) fail_msg("'%s' is not in: %s", words, ph_context_error(context));
}

/* ---- The embedded network --------------------------------------------------------------------------------------------- */

static void test_embedded(void **state) {
    (void)state;
    ph_model *model = load_path(NULL);
    ph_model_info info = ph_model_describe(model);
    assert_string_equal(info.path, "embedded");
    assert_string_equal(info.format, "ONNX");
    assert_string_equal(info.sha256, "e22742fb8a1dcff68f1bd2c8a398b19d6b95614e264cddd2d101e47c5a4ccd90");
    assert_string_equal(info.input_name, "image");
    assert_int_equal(info.rank, 4);
    assert_int_equal(info.dims[0], -1);
    assert_int_equal(info.dims[1], 3);
    assert_int_equal(info.dims[2], -1);
    assert_int_equal(info.height, 64);
    assert_int_equal(info.width, 64);
    assert_true(info.size_is_free);
    assert_in_range(info.parameters, 2270000, 2280000);
    assert_string_equal(info.logits, "logits");
    assert_string_equal(info.probabilities, "prob");
    assert_null(info.unsupported);
    assert_int_equal(ph_model_class_count(model), 100);
    assert_string_equal(ph_model_class_name(model, 0), "goldfish, Carassius auratus");
    assert_null(ph_model_class_name(model, 100));
    assert_null(ph_model_class_name(model, -1));
    assert_string_equal(ph_model_preprocessing(model).preset, "unit");
    assert_string_equal(ph_model_preprocessing(model).guessed, "");
    assert_string_equal(last_log, "");
    expect_error(ph_model_save_preprocessing(model, true), PH_ERROR_ARGUMENT, "embedded");
    ph_model_destroy(&model);
    assert_null(model);
    ph_model_destroy(&model);
}

static void test_layers(void **state) {
    (void)state;
    ph_model *model = load_path(NULL);
    const ph_layer_info *layers;
    int count;
    int64_t parameters = 0;
    assert_int_equal(ph_model_layers(model, 128, 96, &layers, &count), PH_OK);
    bool found = false;
    for (int i = 0; i < count; i++) {
        parameters += layers[i].parameters;
        if (strcmp(layers[i].name, "conv1_pre_relu")) continue;
        found = true;
        assert_string_equal(layers[i].operation, "convolution");
        assert_int_equal(layers[i].rank, 4);
        assert_int_equal(layers[i].dims[1], 32);
        assert_int_equal(layers[i].dims[2], 64);
        assert_int_equal(layers[i].dims[3], 48);
        assert_int_equal(layers[i].parameters, 32 * 3 * 5 * 5 + 32);
        /* A multiply-add is 2; the bias may count as well. */
        assert_true(fabs(layers[i].flops / (2.0 * 32 * 64 * 48 * 75) - 1) < 0.02);
    }
    assert_true(found);
    assert_int_equal(parameters, ph_model_describe(model).parameters);
    expect_error(ph_model_layers(model, -1, 0, &layers, &count), PH_ERROR_ARGUMENT, "-1");
    ph_model_destroy(&model);
}

static void test_find_layer(void **state) {
    (void)state;
    ph_model *model = load_path(NULL);
    struct ph_graph *graph;
    int input, value;
    assert_int_equal(ph_graph_create(context, &graph), PH_OK);
    assert_int_equal(ph_graph_add_input(graph, "picture", PH_FLOAT, PH_SHAPE(2, 3, 40, 48), &input), PH_OK);
    assert_int_equal(ph_model_build(model, graph, input), PH_OK);
    assert_int_equal(ph_model_find_layer(model, graph, "conv4b", &value), PH_OK);
    assert_int_equal(graph->values[value].shape.dims[0], 2);
    assert_int_equal(ph_model_find_layer(model, graph, "image", &value), PH_OK);
    assert_int_equal(value, input);
    expect_error(ph_model_find_layer(model, graph, "conv4c", &value), PH_ERROR_NOT_FOUND, "did you mean conv4");
    ph_graph_destroy(&graph);
    ph_model_destroy(&model);
}

static void expect_class(const ph_model *model, const char *text, int wanted) {
    int index = -1;
    if (ph_model_find_class(model, text, &index)) fail_msg("%s: %s", text, ph_context_error(context));
    assert_int_equal(index, wanted);
}

static void test_find_class(void **state) {
    (void)state;
    ph_model *model = load_path(NULL);
    int index;
    expect_class(model, "goldfish", 0);
    expect_class(model, "Carassius AURATUS", 0);
    expect_class(model, "goldfish, carassius auratus", 0);
    expect_class(model, "99", 99);
    expect_error(ph_model_find_class(model, "goldfsh", &index), PH_ERROR_NOT_FOUND, "did you mean goldfish");
    expect_error(ph_model_find_class(model, "100", &index), PH_ERROR_NOT_FOUND, "0 to 99");
    expect_error(ph_model_find_class(model, "-1", &index), PH_ERROR_NOT_FOUND, "0 to 99");
    expect_error(ph_model_find_class(model, "", &index), PH_ERROR_NOT_FOUND, "no class ''");
    ph_model_destroy(&model);

    model = load_wire(wire_small_network());
    expect_class(model, "2", 2);
    expect_error(ph_model_find_class(model, "cat", &index), PH_ERROR_NOT_FOUND, "no class names are known");
    /* A whole name goes before a synonym, and a name before a number; two equal matches are not decided here. */
    write_text("names.txt", "crane, bird\ncrane\r\n  0  \n\n\n");
    assert_int_equal(ph_model_load_labels(model, path_of("names.txt")), PH_OK);
    expect_class(model, "Crane", 1);
    expect_class(model, "bird", 0);
    expect_class(model, "0", 2);
    expect_class(model, "1", 1);
    write_text("names.txt", "n00000001 crane\nn00000002 crane\nheron");
    assert_int_equal(ph_model_load_labels(model, path_of("names.txt")), PH_OK);
    assert_string_equal(ph_model_class_name(model, 1), "crane");
    expect_error(ph_model_find_class(model, "crane", &index), PH_ERROR_NOT_FOUND, "more than one class: 0 (crane) and 1 (crane)");
    write_text("names.txt", "one\ntwo\n");
    expect_error(ph_model_load_labels(model, path_of("names.txt")), PH_ERROR_FORMAT, "2 class names, the network has 3 classes");
    assert_string_equal(ph_model_class_name(model, 2), "heron");
    write_text("names.txt", "\n\n");
    expect_error(ph_model_load_labels(model, path_of("names.txt")), PH_ERROR_FORMAT, "no class names");
    expect_error(ph_model_load_labels(model, path_of("nothing.txt")), PH_ERROR_FILE, "nothing.txt");
    unlink(path_of("names.txt"));
    ph_model_destroy(&model);
}

static void test_labels_beside_the_model(void **state) {
    (void)state;
    struct wire wire = wire_small_network();
    wire_write(path_of("net.onnx"), wire.data, wire.size);
    write_text("net.labels.txt", "\xef\xbb\xbf" "red\ngreen\nblue\n");
    ph_model *model = load_path(path_of("net.onnx"));
    assert_string_equal(ph_model_class_name(model, 0), "red");
    assert_string_equal(ph_model_class_name(model, 2), "blue");
    ph_model_destroy(&model);
    write_text("net.labels.txt", "red\n");
    model = load_path(path_of("net.onnx"));
    assert_null(ph_model_class_name(model, 0));
    assert_non_null(strstr(last_log, "labels not used"));
    ph_model_destroy(&model);
    unlink(path_of("net.labels.txt"));
    unlink(path_of("net.onnx"));
}

/* ---- Graphs of files --------------------------------------------------------------------------------------------------- */

/* `values` becomes the contents of the constant `name` in a graph of the model, as doubles. */
static int constant_read(const ph_model *model, const char *name, double *values, int capacity) {
    struct ph_graph *graph;
    int input, count;
    assert_int_equal(ph_graph_create(context, &graph), PH_OK);
    assert_int_equal(ph_graph_add_input(graph, "in", PH_FLOAT, model->default_input, &input), PH_OK);
    assert_int_equal(ph_model_build(model, graph, input), PH_OK);
    int value = ph_graph_find(graph, name);
    assert_int_not_equal(value, PH_ABSENT);
    assert_int_equal(ph_graph_constant_floats(graph, value, name, values, capacity, &count), PH_OK);
    ph_graph_destroy(&graph);
    return count;
}

/* A network that only adds the constant `w` (cast to float) to its input. */
static struct wire add_network(struct wire tensor, bool listed_as_input) {
    struct wire graph = {.size = 0}, cast = wire_node("Cast", "cast", "w", "cast");
    wire_attribute_int(&cast, "to", WIRE_FLOAT);
    if (listed_as_input) wire_value(&graph, WIRE_INPUT, "w", WIRE_DIMS(3));
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, 2, 3));
    wire_value(&graph, WIRE_OUTPUT, "out", WIRE_DIMS(1, 3, 2, 3));
    wire_initialiser_add(&graph, tensor);
    wire_node_add(&graph, cast);
    wire_node_add(&graph, wire_node("Add", "add", "picture cast", "out"));
    return wire_model(&graph, 13);
}

static void expect_values(struct wire tensor, const double wanted[3]) {
    for (int listed = 0; listed < 2; listed++) {
        ph_model *model = load_wire(add_network(tensor, listed));
        double values[3];
        assert_string_equal(ph_model_describe(model).input_name, "picture");
        assert_int_equal(constant_read(model, "w", values, 3), 3);
        for (int i = 0; i < 3; i++) assert_true(values[i] == wanted[i]);
        ph_model_destroy(&model);
    }
}

#define RAW(type, ctype, ...) \
    wire_tensor_raw("w", type, WIRE_DIMS(3), (const ctype[]){__VA_ARGS__}, sizeof(ctype[3]))

static void test_weights_of_every_type(void **state) {
    (void)state;
    expect_values(RAW(1, float, 1.5f, -2, 3e30f), (const double[]){1.5, -2, 3e30f});
    expect_values(RAW(2, uint8_t, 0, 7, 255), (const double[]){0, 7, 255});
    expect_values(RAW(3, int8_t, -128, 7, 127), (const double[]){-128, 7, 127});
    expect_values(RAW(4, uint16_t, 0, 7, 65535), (const double[]){0, 7, 65535});
    expect_values(RAW(5, int16_t, -32768, 7, 1), (const double[]){-32768, 7, 1});
    expect_values(RAW(6, int32_t, INT32_MIN, 7, 1), (const double[]){INT32_MIN, 7, 1});
    expect_values(RAW(7, int64_t, -(1LL << 40), 7, 1), (const double[]){-1099511627776., 7, 1});
    expect_values(RAW(9, uint8_t, 0, 1, 7), (const double[]){0, 1, 1});
    expect_values(RAW(10, uint16_t, 0x3c00, 0xc100, 0x0001), (const double[]){1, -2.5, 0x1p-24});
    expect_values(RAW(11, double, 0.5, -1e-3, 2), (const double[]){0.5, -1e-3f, 2});
    expect_values(RAW(12, uint32_t, 0, 7, UINT32_MAX), (const double[]){0, 7, UINT32_MAX});
    expect_values(RAW(13, uint64_t, 0, 7, UINT64_MAX), (const double[]){0, 7, 0x1p63});
    expect_values(RAW(16, uint16_t, 0x3f80, 0xc020, 0x4000), (const double[]){1, -2.5, 2});
}

/* The same in the message's typed lists, packed as exporters do and one field for each value as old ones did. */
static void test_weights_in_lists(void **state) {
    (void)state;
    struct wire list = wire_tensor("w", 1, WIRE_DIMS(3));
    wire_bytes(&list, 4, (const float[]){1.5f, -2, 4}, 12);
    expect_values(list, (const double[]){1.5, -2, 4});

    list = wire_tensor("w", 1, WIRE_DIMS(3));
    wire_float(&list, 4, 1.5f);
    wire_float(&list, 4, -2);
    wire_float(&list, 4, 4);
    expect_values(list, (const double[]){1.5, -2, 4});

    list = wire_tensor("w", 10, WIRE_DIMS(3));
    wire_int(&list, 5, 0x3c00);
    wire_int(&list, 5, 0xc100);
    wire_int(&list, 5, 0);
    expect_values(list, (const double[]){1, -2.5, 0});

    list = wire_tensor("w", 3, WIRE_DIMS(3));
    for (int i = 0; i < 3; i++) wire_int(&list, 5, i - 2);
    expect_values(list, (const double[]){-2, -1, 0});

    list = wire_tensor("w", 7, WIRE_DIMS(3));
    for (int i = 0; i < 3; i++) wire_int(&list, 7, i - 2);
    expect_values(list, (const double[]){-2, -1, 0});

    list = wire_tensor("w", 11, WIRE_DIMS(3));
    wire_bytes(&list, 10, (const double[]){0.5, 2, 4}, 24);
    expect_values(list, (const double[]){0.5, 2, 4});

    list = wire_tensor("w", 12, WIRE_DIMS(3));
    for (int i = 0; i < 3; i++) wire_int(&list, 11, 7 * i);
    expect_values(list, (const double[]){0, 7, 14});
}

static void test_external_weights(void **state) {
    (void)state;
    struct wire tensor = wire_tensor("w", 1, WIRE_DIMS(3));
    wire_entry(&tensor, 13, "location", "net.bin");
    wire_entry(&tensor, 13, "offset", "3");
    wire_int(&tensor, 14, 1);
    uint8_t bytes[15] = {0};
    memcpy(bytes + 3, (const float[]){1, -2, 0.25f}, 12);
    wire_write(path_of("net.bin"), bytes, sizeof bytes); /* not aligned */
    expect_values(tensor, (const double[]){1, -2, 0.25});
    unlink(path_of("net.bin"));
}

/* An operation that is not in the table costs what depends on it, and nothing else. */
static void test_unsupported_operation(void **state) {
    (void)state;
    struct wire graph = {.size = 0};
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, 8, 8));
    wire_value(&graph, WIRE_OUTPUT, "last", WIRE_DIMS(1, 3, 8, 8));
    wire_node_add(&graph, wire_node("Relu", "first", "picture", "first"));
    wire_node_add(&graph, wire_node("Conjure", "magic", "first", "second"));
    wire_node_add(&graph, wire_node("Relu", "third", "second", "last"));
    wire_node_add(&graph, wire_node("Abs", "side", "first", "side"));
    ph_model *model = load_wire(wire_model(&graph, 13));
    assert_string_equal(ph_model_describe(model).unsupported, "node 'magic': operation Conjure is not supported");
    assert_non_null(strstr(last_log, "only a part of the network can be computed, 2 layers: node 'magic'"));
    const ph_layer_info *layers;
    int count, input, value;
    assert_int_equal(ph_model_layers(model, 0, 0, &layers, &count), PH_OK);
    assert_int_equal(count, 2);
    assert_string_equal(layers[0].name, "first");
    assert_string_equal(layers[1].name, "side");
    struct ph_graph *built;
    assert_int_equal(ph_graph_create(context, &built), PH_OK);
    assert_int_equal(ph_graph_add_input(built, "in", PH_FLOAT, model->default_input, &input), PH_OK);
    assert_int_equal(ph_model_build(model, built, input), PH_OK);
    expect_error(ph_model_find_layer(model, built, "last", &value), PH_ERROR_NOT_FOUND,
                 "operation Conjure is not supported); 2 layers can still be used: first, side");
    ph_graph_destroy(&built);
    ph_model_destroy(&model);
}

/* A dense layer fixes the size, what lies before it does not. */
static void test_size_is_free_before_a_dense_layer(void **state) {
    (void)state;
    struct wire graph = {.size = 0}, flatten = wire_node("Flatten", "flat", "conv", "flat");
    static const float weights[64 * 2];
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 1, 8, 8));
    wire_value(&graph, WIRE_OUTPUT, "dense", WIRE_DIMS(1, 2));
    wire_initialiser_add(&graph, wire_tensor_raw("k", 1, WIRE_DIMS(1, 1, 1, 1), weights, 4));
    wire_initialiser_add(&graph, wire_tensor_raw("w", 1, WIRE_DIMS(64, 2), weights, sizeof weights));
    wire_node_add(&graph, wire_node("Conv", "conv", "picture k", "conv"));
    wire_node_add(&graph, flatten);
    wire_node_add(&graph, wire_node("Gemm", "dense", "flat w", "dense"));
    ph_model *model = load_wire(wire_model(&graph, 13));
    ph_model_info info = ph_model_describe(model);
    assert_true(info.size_is_free);
    assert_null(info.unsupported);
    assert_int_equal(info.channels, 1);
    assert_string_equal(info.logits, "dense");
    assert_null(info.probabilities);
    assert_int_equal(ph_model_class_count(model), 2);
    assert_string_equal(ph_model_preprocessing(model).preset, "unit");
    int input, value;
    struct ph_graph *built;
    assert_int_equal(ph_graph_create(context, &built), PH_OK);
    assert_int_equal(ph_graph_add_input(built, "in", PH_FLOAT, PH_SHAPE(1, 1, 9, 9), &input), PH_OK);
    assert_int_equal(ph_model_build(model, built, input), PH_OK);
    assert_int_equal(ph_model_find_layer(model, built, "conv", &value), PH_OK);
    expect_error(ph_model_find_layer(model, built, "dense", &value), PH_ERROR_SHAPE, "the network's own input is [1,1,8,8]");
    ph_graph_destroy(&built);
    ph_model_destroy(&model);
}

/* Files for [N,H,W,C] are fed [N,C,H,W] like all others. */
static void test_channels_last(void **state) {
    (void)state;
    struct wire graph = {.size = 0}, transpose = wire_node("Transpose", "to_channels_first", "picture", "x");
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(-1, 6, 5, 3));
    wire_attribute_ints(&transpose, "perm", WIRE_INTS(0, 3, 1, 2));
    wire_node_add(&graph, transpose);
    wire_node_add(&graph, wire_node("Relu", "relu", "x", "out"));
    struct wire wire = wire_model(&graph, 13);
    wire_text(&wire, WIRE_PRODUCER, "tf2onnx");
    ph_model *model = load_wire(wire);
    ph_model_info info = ph_model_describe(model);
    assert_int_equal(info.channels, 3);
    assert_int_equal(info.height, 6);
    assert_int_equal(info.width, 5);
    assert_string_equal(ph_model_preprocessing(model).preset, "tf");
    int input, value;
    struct ph_graph *built;
    assert_int_equal(ph_graph_create(context, &built), PH_OK);
    assert_int_equal(ph_graph_add_input(built, "in", PH_FLOAT, PH_SHAPE(1, 3, 6, 5), &input), PH_OK);
    assert_int_equal(ph_model_build(model, built, input), PH_OK);
    assert_int_equal(ph_model_find_layer(model, built, "out", &value), PH_OK);
    assert_true(ph_shape_equal(&built->values[value].shape, &PH_SHAPE(1, 3, 6, 5)));
    ph_graph_destroy(&built);
    ph_model_destroy(&model);
}

/* Before opset 7 an axis says where the second operand begins. */
static void test_legacy_broadcast(void **state) {
    (void)state;
    struct wire graph = {.size = 0}, add = wire_node("Add", "add", "picture w", "out");
    wire_attribute_int(&add, "axis", 1);
    wire_attribute_int(&add, "broadcast", 1);
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, 2, 3));
    wire_initialiser_add(&graph, RAW(1, float, 10, 20, 30));
    wire_node_add(&graph, add);
    ph_model *model = load_wire(wire_model(&graph, 6));
    struct ph_graph *built;
    struct ph_program *program;
    int input, value;
    float values[18];
    assert_int_equal(ph_graph_create(context, &built), PH_OK);
    assert_int_equal(ph_graph_add_input(built, "in", PH_FLOAT, model->default_input, &input), PH_OK);
    assert_int_equal(ph_model_build(model, built, input), PH_OK);
    assert_int_equal(ph_model_find_layer(model, built, "out", &value), PH_OK);
    struct ph_program_request request = {.taps = &value, .tap_count = 1, .loss = PH_ABSENT, .backend = "plain"};
    assert_int_equal(ph_program_create(built, &request, &program), PH_OK);
    memset(ph_program_input(program, input), 0, sizeof values);
    assert_int_equal(ph_program_forward(program), PH_OK);
    ph_program_read(program, value, values);
    for (int i = 0; i < 18; i++) assert_true(values[i] == (float)(10 * (1 + i / 6)));
    ph_program_destroy(&program);
    ph_graph_destroy(&built);
    ph_model_destroy(&model);
}

/* Relu networks that differ in what they say about themselves. */
static struct wire plain_network(const char *input, const char *producer, const char *description) {
    struct wire graph = {.size = 0};
    wire_value(&graph, WIRE_INPUT, input, WIRE_DIMS(1, 3, 8, 8));
    wire_node_add(&graph, wire_node("Relu", "relu", input, "out"));
    wire_text(&graph, 10, description);
    struct wire model = wire_model(&graph, 13);
    wire_text(&model, WIRE_PRODUCER, producer);
    return model;
}

/* Values of the layer `out` of 16 numbers, for `batch` of the pictures. */
static void run_pictures(const ph_model *model, int batch, const float *pictures, float *values) {
    struct ph_graph *built;
    struct ph_program *program;
    int input, value;
    assert_int_equal(ph_graph_create(context, &built), PH_OK);
    assert_int_equal(ph_graph_add_input(built, "in", PH_FLOAT, PH_SHAPE(batch, 4, 2, 2), &input), PH_OK);
    assert_int_equal(ph_model_build(model, built, input), PH_OK);
    assert_int_equal(ph_model_find_layer(model, built, "out", &value), PH_OK);
    assert_true(ph_shape_equal(&built->values[value].shape, &PH_SHAPE(batch, 16)));
    struct ph_program_request request = {.taps = &value, .tap_count = 1, .loss = PH_ABSENT, .backend = "plain"};
    assert_int_equal(ph_program_create(built, &request, &program), PH_OK);
    memcpy(ph_program_input(program, input), pictures, (size_t)batch * 16 * sizeof *pictures);
    assert_int_equal(ph_program_forward(program), PH_OK);
    ph_program_read(program, value, values);
    ph_program_destroy(&program);
    ph_graph_destroy(&built);
}

/* A network exported for one picture with that in its shapes, in another place than the first. */
static void test_batch_of_a_network_for_one(void **state) {
    (void)state;
    struct wire graph = {.size = 0}, turn = wire_node("Transpose", "turn", "picture", "turned");
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 4, 2, 2));
    wire_value(&graph, WIRE_OUTPUT, "out", WIRE_DIMS(1, 16));
    wire_initialiser_add(&graph, wire_tensor_raw("s", WIRE_INT64, WIRE_DIMS(2), WIRE_INTS(4, 4), 16));
    wire_initialiser_add(&graph, wire_tensor_raw("t", WIRE_INT64, WIRE_DIMS(2), WIRE_INTS(1, 16), 16));
    wire_attribute_ints(&turn, "perm", WIRE_INTS(1, 0, 2, 3));
    wire_node_add(&graph, turn);
    wire_node_add(&graph, wire_node("Reshape", "heads", "turned s", "heads"));
    wire_node_add(&graph, wire_node("Softmax", "soft", "heads", "soft"));
    wire_node_add(&graph, wire_node("Reshape", "last", "soft t", "out"));
    ph_model *model = load_wire(wire_model(&graph, 13));
    float pictures[48], together[48], alone[16];
    for (int i = 0; i < 48; i++) pictures[i] = sinf((float)(i * i));
    assert_true(ph_model_is_apart(model));
    run_pictures(model, 3, pictures, together);
    for (int n = 0; n < 3; n++) {
        run_pictures(model, 1, pictures + 16 * n, alone);
        assert_memory_equal(alone, together + 16 * n, sizeof alone);
    }
    ph_model_destroy(&model);
    model = load_wire(plain_network("x", "", ""));
    assert_false(ph_model_is_apart(model));
    ph_model_destroy(&model);
}

/* ---- Preprocessing ----------------------------------------------------------------------------------------------------- */

static void expect_guess(struct wire wire, const char *preset, float scale, const char *reason) {
    ph_model *model = load_wire(wire);
    ph_preprocessing values = ph_model_preprocessing(model);
    assert_string_equal(values.preset, preset);
    assert_true(values.scale == scale);
    if (!strstr(values.guessed, reason)) fail_msg("'%s' is not in: %s", reason, values.guessed);
    assert_non_null(strstr(last_log, reason));
    ph_model_destroy(&model);
}

/* A network that starts with picture - mean, then times a factor. */
static struct wire normalising_network(float mean, float factor) {
    struct wire graph = {.size = 0};
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, 8, 8));
    wire_initialiser_add(&graph, wire_tensor_raw("mean", 1, WIRE_DIMS(1), &mean, sizeof mean));
    wire_initialiser_add(&graph, wire_tensor_raw("factor", 1, WIRE_DIMS(1), &factor, sizeof factor));
    wire_node_add(&graph, wire_node("Sub", "sub", "picture mean", "centred"));
    wire_node_add(&graph, wire_node("Mul", "mul", "centred factor", "scaled"));
    wire_node_add(&graph, wire_node("Relu", "relu", "scaled", "out"));
    return wire_model(&graph, 13);
}

static void test_guesses(void **state) {
    (void)state;
    expect_guess(plain_network("x", "pytorch", ""), "torch", 1, "written by pytorch");
    expect_guess(plain_network("x", "tf2onnx", ""), "tf", 255, "written by tf2onnx");
    expect_guess(plain_network("x", "keras2onnx", ""), "tf", 255, "written by keras2onnx");
    expect_guess(plain_network("x", "onnx-caffe2", ""), "caffe", 255, "written by onnx-caffe2");
    expect_guess(plain_network("x", "", "input BGR 0..255"), "caffe", 255, "description says BGR");
    expect_guess(plain_network("input.1", "", ""), "torch", 1, "named as PyTorch");
    expect_guess(plain_network("x", "", ""), "torch", 1, "nothing in the file says");
    expect_guess(normalising_network(0.45f, 4), "unit", 1, "from 0 to 1");
    expect_guess(normalising_network(120, 1), "custom", 255, "from 0 to 255");
    expect_guess(normalising_network(0, 1 / 255.f), "custom", 255, "from 0 to 255");

    struct wire metadata = plain_network("x", "pytorch", "");
    wire_entry(&metadata, WIRE_METADATA, "Image.BitmapPixelFormat", "Bgr8");
    wire_entry(&metadata, WIRE_METADATA, "Image.NominalPixelRange", "NominalRange_0_255");
    expect_guess(metadata, "custom", 255, "metadata");
    ph_model *model = load_wire(metadata);
    assert_true(ph_model_preprocessing(model).bgr);
    ph_model_destroy(&model);
}

static void test_preprocessing_by_words(void **state) {
    (void)state;
    ph_model *model = load_wire(plain_network("x", "pytorch", ""));
    assert_int_equal(ph_model_set_preprocessing_text(model, "caffe", NULL, NULL, NULL, NULL), PH_OK);
    ph_preprocessing values = ph_model_preprocessing(model);
    assert_string_equal(values.preset, "caffe");
    assert_true(values.scale == 255 && values.mean[1] == 117 && values.deviation[2] == 1 && values.bgr);
    assert_string_equal(values.guessed, "");
    assert_int_equal(ph_model_set_preprocessing_text(model, NULL, "1, 2,3", "127.5", "2", "rgb"), PH_OK);
    values = ph_model_preprocessing(model);
    assert_string_equal(values.preset, "custom");
    assert_true(values.scale == 127.5f && values.mean[2] == 3 && values.deviation[1] == 2 && !values.bgr);

    expect_error(ph_model_set_preprocessing_text(model, "coffee", NULL, NULL, NULL, NULL), PH_ERROR_ARGUMENT, "'coffee'");
    expect_error(ph_model_set_preprocessing_text(model, NULL, "1,2", NULL, NULL, NULL), PH_ERROR_ARGUMENT, "1 or 3 expected");
    expect_error(ph_model_set_preprocessing_text(model, NULL, "1,2,3,4", NULL, NULL, NULL), PH_ERROR_ARGUMENT, "more than 3");
    expect_error(ph_model_set_preprocessing_text(model, NULL, "1,,3", NULL, NULL, NULL), PH_ERROR_ARGUMENT, "'' is not a number");
    expect_error(ph_model_set_preprocessing_text(model, NULL, NULL, "0", NULL, NULL), PH_ERROR_ARGUMENT, "scale");
    expect_error(ph_model_set_preprocessing_text(model, NULL, NULL, "nan", NULL, NULL), PH_ERROR_ARGUMENT, "scale");
    expect_error(ph_model_set_preprocessing_text(model, NULL, NULL, NULL, "1,0,1", NULL), PH_ERROR_ARGUMENT, "deviation");
    expect_error(ph_model_set_preprocessing_text(model, NULL, NULL, NULL, NULL, "grb"), PH_ERROR_ARGUMENT, "rgb or bgr");
    assert_true(ph_model_preprocessing(model).scale == 127.5f);

    values.channels = 2;
    expect_error(ph_model_set_preprocessing(model, &values), PH_ERROR_ARGUMENT, "2 channels, the network has 3");
    values.channels = 3;
    values.deviation[0] = 0;
    expect_error(ph_model_set_preprocessing(model, &values), PH_ERROR_ARGUMENT, "deviation");
    ph_model_destroy(&model);
}

static void test_sidecar(void **state) {
    (void)state;
    struct wire wire = plain_network("x", "pytorch", "");
    wire_write(path_of("net.onnx"), wire.data, wire.size);
    ph_model *model = load_path(path_of("net.onnx")), *again;
    assert_int_equal(ph_model_set_preprocessing_text(model, NULL, "0.1,104,-1e-7", "255", "0.3", "bgr"), PH_OK);
    assert_int_equal(ph_model_save_preprocessing(model, false), PH_OK);
    expect_error(ph_model_save_preprocessing(model, false), PH_ERROR_FILE, "net.phosphene: exists already");
    assert_int_equal(ph_model_save_preprocessing(model, true), PH_OK);
    again = load_path(path_of("net.onnx"));
    assert_string_equal(last_log, "");
    ph_preprocessing saved = ph_model_preprocessing(model), read = ph_model_preprocessing(again);
    assert_memory_equal(&saved, &read, sizeof saved);
    ph_model_destroy(&again);
    ph_model_destroy(&model);

    write_text("names.txt", "a\nb\n");
    write_text("net.phosphene", "# comment\r\npreset=tf\r\n\nsize=12x10\nlabels=names.txt");
    model = load_path(path_of("net.onnx"));
    assert_string_equal(ph_model_preprocessing(model).preset, "tf");
    assert_int_equal(ph_model_describe(model).width, 12);
    assert_int_equal(ph_model_describe(model).height, 10);
    assert_string_equal(ph_model_class_name(model, 1), "b");
    ph_model_destroy(&model);

    static const struct { const char *text, *error; } bad[] = {
        {"preset=unit\nmeen=1\n", "net.phosphene: line 2: 'meen' is not"}, {"preset", "line 1: 'preset' is not key=value"},
        {"scale=1\n\nscale=2\n", "line 3: 'scale' was set in line 1"}, {"mean=1,2\n", "1 or 3 expected"},
        {"preset=mauve\n", "'mauve'"}, {"size=0x5\n", "WIDTHxHEIGHT"}, {"size=7\n", "WIDTHxHEIGHT"},
        {"labels=../names.txt\n", "beside the model"}, {"labels=gone.txt\n", "gone.txt"}, {"scale=1e999\n", "'1e999'"}};
    for (int i = 0; i < PH_COUNT(bad); i++) {
        write_text("net.phosphene", bad[i].text);
        ph_status status = ph_model_load(context, path_of("net.onnx"), &model);
        assert_int_not_equal(status, PH_OK);
        assert_null(model);
        if (!strstr(ph_context_error(context), bad[i].error)) fail_msg("'%s' is not in: %s", bad[i].error, ph_context_error(context));
    }
    unlink(path_of("net.phosphene"));
    unlink(path_of("names.txt"));
    unlink(path_of("net.onnx"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedded), cmocka_unit_test(test_layers), cmocka_unit_test(test_find_layer),
        cmocka_unit_test(test_find_class), cmocka_unit_test(test_labels_beside_the_model),
        cmocka_unit_test(test_weights_of_every_type), cmocka_unit_test(test_weights_in_lists),
        cmocka_unit_test(test_external_weights), cmocka_unit_test(test_unsupported_operation),
        cmocka_unit_test(test_size_is_free_before_a_dense_layer), cmocka_unit_test(test_channels_last),
        cmocka_unit_test(test_legacy_broadcast), cmocka_unit_test(test_batch_of_a_network_for_one), cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_preprocessing_by_words), cmocka_unit_test(test_sidecar)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
