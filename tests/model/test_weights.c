/* Weights that stay in their file until a graph needs them: inside the model's file and beside it, in every way that a file can
 * change meanwhile. */
#include "exec/program.h"
#include "graph/passes.h"
#include "model/model.h"
#include "wire.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* A convolution's weights, more than are read at once. */
enum { OUTPUTS = 97, COUNT = OUTPUTS * 3 * 5 * 5 };

static char folder[64], path[128], beside[128];
static ph_context *context;
static float weights[COUNT];

static int setup(void **state) {
    (void)state;
    context = ph_context_create();
    snprintf(folder, sizeof folder, "/tmp/phosphene-test-XXXXXX");
    if (!context || !mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/net.onnx", folder);
    snprintf(beside, sizeof beside, "%s/net.bin", folder);
    for (int i = 0; i < COUNT; i++) weights[i] = (float)(i % 251 - 125) / 64;
    return 0;
}

static int files_remove(void **state) {
    (void)state;
    unlink(path);
    unlink(beside);
    return 0;
}

static int teardown(void **state) {
    ph_context_destroy(&context);
    files_remove(state);
    return rmdir(folder);
}

/* ---- Networks ------------------------------------------------------------------------------------------------------ */

#define DIMS WIRE_DIMS(OUTPUTS, 3, 5, 5)

/* One convolution with the weights `tensor`, named w. */
static struct wire network(const struct wire *tensor) {
    struct wire graph = {.size = 0};
    struct wire conv = wire_node("Conv", "conv", "picture w", "conv");
    wire_attribute_ints(&conv, "kernel_shape", WIRE_INTS(5, 5));
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, 8, 8));
    wire_value(&graph, WIRE_OUTPUT, "conv", WIRE_DIMS(1, OUTPUTS, 4, 4));
    wire_node_add(&graph, conv);
    wire_initialiser_add(&graph, *tensor);
    return wire_model(&graph, 13);
}

static struct wire raw_tensor(void) { return wire_tensor_raw("w", WIRE_FLOAT, DIMS, weights, sizeof weights); }

static ph_model *load(const struct wire *tensor) {
    struct wire model = network(tensor);
    ph_model *loaded;
    wire_write(path, model.data, model.size);
    if (ph_model_load(context, path, &loaded)) fail_msg("%s", ph_context_error(context));
    return loaded;
}

/* Weights from byte 3 of another file on, which is no place for floats. */
static ph_model *load_beside(void) {
    struct wire tensor = wire_tensor("w", WIRE_FLOAT, DIMS);
    uint8_t *bytes = calloc(1, sizeof weights + 3);
    assert_non_null(bytes);
    memcpy(bytes + 3, weights, sizeof weights);
    wire_write(beside, bytes, sizeof weights + 3);
    free(bytes);
    wire_entry(&tensor, 13, "location", "net.bin");
    wire_entry(&tensor, 13, "offset", "3");
    wire_int(&tensor, 14, 1);
    return load(&tensor);
}

static struct ph_graph *graph_of(const ph_model *model) {
    struct ph_graph *graph;
    int input;
    assert_int_equal(ph_graph_create(context, &graph), PH_OK);
    assert_int_equal(ph_graph_add_input(graph, "in", PH_FLOAT, model->default_input, &input), PH_OK);
    assert_int_equal(ph_model_build(model, graph, input), PH_OK);
    return graph;
}

/* Makes a program of the whole network. */
static ph_status program_make(const ph_model *model) {
    struct ph_graph *graph = graph_of(model);
    struct ph_program *program;
    int layer = ph_graph_find(graph, "conv");
    struct ph_program_request request = {.taps = &layer, .tap_count = 1, .loss = PH_ABSENT};
    ph_status status = ph_program_create(graph, &request, &program);
    ph_program_destroy(&program);
    ph_graph_destroy(&graph);
    return status;
}

static void expect_refusal(const ph_model *model, const char *words, const char *file) {
    assert_int_equal(program_make(model), PH_ERROR_FILE);
    const char *error = ph_context_error(context);
    if (!strstr(error, words) || !strstr(error, file) || !strstr(error, "tensor 'w'")) fail_msg("%s", error);
}

/* The same in the part of a graph that a program is made of, for which they are read. */
static void expect_weights(const ph_model *model, const float *wanted) {
    struct ph_graph *graph = graph_of(model), *part;
    int layer = ph_graph_find(graph, "conv"), *map = calloc((size_t)graph->value_count, sizeof *map);
    assert_non_null(map);
    assert_non_null(graph->values[ph_graph_find(graph, "w")].contents); /* not read with the model */
    if (ph_graph_extract(graph, &layer, 1, 0, &part, map)) fail_msg("%s", ph_context_error(context));
    const struct ph_value *value = &part->values[ph_graph_find(part, "w")];
    assert_null(value->contents);
    assert_memory_equal(value->data, wanted, sizeof weights);
    free(map);
    ph_graph_destroy(&part);
    ph_graph_destroy(&graph);
}

/* ---- As they are written ------------------------------------------------------------------------------------------- */

static void test_raw(void **state) {
    (void)state;
    struct wire tensor = raw_tensor();
    ph_model *model = load(&tensor);
    expect_weights(model, weights);
    assert_int_equal(program_make(model), PH_OK);
    ph_model_destroy(&model);
}

static void test_halves(void **state) {
    (void)state;
    static uint16_t halves[COUNT];
    for (int i = 0; i < COUNT; i++) halves[i] = ph_float_to_half(weights[i]);
    struct wire tensor = wire_tensor_raw("w", 10, DIMS, halves, sizeof halves);
    ph_model *model = load(&tensor);
    expect_weights(model, weights); /* each is a half */
    ph_model_destroy(&model);
}

static void test_beside(void **state) {
    (void)state;
    ph_model *model = load_beside();
    expect_weights(model, weights);
    ph_model_destroy(&model);
}

/* A field given twice holds what comes last; its key and its length may be longer than they need be. */
static void test_odd_fields(void **state) {
    (void)state;
    struct wire tensor = wire_tensor("w", WIRE_FLOAT, DIMS);
    wire_bytes(&tensor, WIRE_RAW, "not these", 9);
    wire_raw(&tensor, "\xca\x80\x00", 3);
    wire_raw(&tensor, (const uint8_t[]){0x80 | (sizeof weights & 127), 0x80 | (sizeof weights >> 7 & 127),
             0x80 | (sizeof weights >> 14 & 127), 0x80, 0}, 5);
    wire_raw(&tensor, weights, sizeof weights);
    ph_model *model = load(&tensor);
    expect_weights(model, weights);
    ph_model_destroy(&model);
}

/* What looks like a place in the file is bytes like any others. */
static void test_forged_place(void **state) {
    (void)state;
    const uint64_t place[2] = {0, 16};
    struct wire tensor = wire_tensor_raw("w", WIRE_FLOAT, WIRE_DIMS(4), place, sizeof place), model = network(&tensor);
    struct ph_file file = {.data = model.data, .size = model.size};
    void *parsed;
    assert_int_equal(ph_model_format_onnx.parse(context, NULL, &file, &parsed), PH_OK);
    struct ph_graph *graph;
    const char *unsupported;
    int input;
    assert_int_equal(ph_graph_create(context, &graph), PH_OK);
    assert_int_equal(ph_graph_add_input(graph, "in", PH_FLOAT, PH_SHAPE(1, 3, 8, 8), &input), PH_OK);
    assert_int_equal(ph_model_format_onnx.build(parsed, graph, &input, 1, &unsupported), PH_OK);
    const struct ph_value *value = &graph->values[ph_graph_find(graph, "w")];
    assert_int_equal(ph_value_load(value), PH_OK);
    assert_memory_equal(value->data, place, sizeof place);
    ph_graph_destroy(&graph);
    ph_model_format_onnx.destroy(parsed);
}

/* ---- Files that change meanwhile ----------------------------------------------------------------------------------- */

static void test_removed(void **state) {
    (void)state;
    struct wire tensor = raw_tensor();
    ph_model *model = load(&tensor);
    unlink(path);
    assert_int_equal(program_make(model), PH_OK); /* it is held open */
    expect_weights(model, weights);
    ph_model_destroy(&model);
    model = load_beside();
    unlink(beside);
    expect_refusal(model, "No such file", "net.bin");
    ph_model_destroy(&model);
}

static void test_cut_short(void **state) {
    (void)state;
    struct wire tensor = raw_tensor();
    ph_model *model = load(&tensor);
    assert_int_equal(truncate(path, 100), 0);
    expect_refusal(model, "was changed", "net.onnx");
    ph_model_destroy(&model);
    model = load_beside();
    assert_int_equal(truncate(beside, 100), 0);
    expect_refusal(model, "was changed", "net.bin");
    ph_model_destroy(&model);
}

static void test_written_anew(void **state) {
    (void)state;
    struct wire tensor = raw_tensor();
    ph_model *model = load(&tensor);
    /* Of the same size; only the time tells. */
    assert_int_equal(utimensat(AT_FDCWD, path, (const struct timespec[]){{.tv_sec = 1}, {.tv_sec = 1}}, 0), 0);
    expect_refusal(model, "was changed", "net.onnx");
    ph_model_destroy(&model);
}

/* Once they are read it does not matter. */
static void test_read_once(void **state) {
    (void)state;
    struct wire tensor = raw_tensor();
    ph_model *model = load(&tensor);
    assert_int_equal(program_make(model), PH_OK);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(program_make(model), PH_OK);
    expect_weights(model, weights);
    ph_model_destroy(&model);
}

/* ---- Memory -------------------------------------------------------------------------------------------------------- */

/* Most that was resident since the last call, in bytes; 0 where the system does not say. */
static size_t peak_memory(void) {
    unsigned long kilobytes = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status) && sscanf(line, "VmHWM: %lu", &kilobytes) != 1);
    if (status) fclose(status);
    FILE *reset = fopen("/proc/self/clear_refs", "w");
    if (!reset || fputs("5", reset) < 0 || fclose(reset)) return 0;
    return (size_t)kilobytes << 10;
}

/* A message in a field of `outer` whose last `more` bytes are not written. */
static void wire_message_open(struct wire *outer, int field, const struct wire *message, size_t more) {
    wire_varint(outer, (uint64_t)field << 3 | 2);
    wire_varint(outer, message->size + more);
    wire_raw(outer, message->data, message->size);
}

/* A file whose last bytes are the weights of a dense layer that nothing asks for. */
static struct wire large_network(size_t bytes) {
    struct wire graph = {.size = 0}, model = {.size = 0}, version = {.size = 0};
    struct wire tensor = wire_tensor("w", WIRE_FLOAT, WIRE_DIMS((int64_t)(bytes / sizeof(float)) / 192, 192));
    wire_varint(&tensor, WIRE_RAW << 3 | 2);
    wire_varint(&tensor, bytes);
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, 8, 8));
    struct wire gemm = wire_node("Gemm", "gemm", "flat w", "gemm");
    wire_attribute_int(&gemm, "transB", 1);
    wire_node_add(&graph, wire_node("Relu", "conv", "picture", "conv"));
    wire_node_add(&graph, wire_node("Flatten", "flat", "conv", "flat"));
    wire_node_add(&graph, gemm);
    wire_message_open(&graph, WIRE_INITIALISER, &tensor, bytes);
    wire_int(&model, 1, 8);
    wire_int(&version, 2, 13);
    wire_message(&model, 8, &version);
    wire_message_open(&model, WIRE_GRAPH, &graph, bytes);
    return model;
}

static void test_only_what_is_needed_is_in_memory(void **state) {
    (void)state;
    const size_t bytes = (size_t)192 * sizeof(float) << 17; /* 100 MB */
    struct wire start = large_network(bytes);
    wire_write(path, start.data, start.size);
    assert_int_equal(truncate(path, (off_t)(start.size + bytes)), 0);
    ph_model *model;
    size_t before = peak_memory();
    before = peak_memory();
    if (!before) skip();
    if (ph_model_load(context, path, &model)) fail_msg("%s", ph_context_error(context));
    assert_int_equal(model->layer_name_count, 3); /* with the dense layer */
    assert_int_equal(program_make(model), PH_OK);
    size_t grown = peak_memory() - before;
    if (grown > bytes / 8) fail_msg("%zu bytes more", grown);
    ph_model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_raw, files_remove),
        cmocka_unit_test_teardown(test_halves, files_remove),
        cmocka_unit_test_teardown(test_beside, files_remove),
        cmocka_unit_test_teardown(test_odd_fields, files_remove),
        cmocka_unit_test_teardown(test_forged_place, files_remove),
        cmocka_unit_test_teardown(test_removed, files_remove),
        cmocka_unit_test_teardown(test_cut_short, files_remove),
        cmocka_unit_test_teardown(test_written_anew, files_remove),
        cmocka_unit_test_teardown(test_read_once, files_remove),
        cmocka_unit_test_teardown(test_only_what_is_needed_is_in_memory, files_remove),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
