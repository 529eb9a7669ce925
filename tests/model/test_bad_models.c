/* Hostile and damaged ONNX files: a clear error or a valid network, never a crash, never memory out of proportion. */
#include "base/base.h"
#include "wire.h"
#include <setjmp.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

/* Everything here fits easily; a file of a few kilobytes that makes the loader ask for more is a failure to allocate. The
 * sanitizers' shadow memory does not fit, so the limit is left off under them. */
#define MEMORY_LIMIT ((rlim_t)3 << 30)

/* Under AddressSanitizer an allocation larger than it serves fails as malloc's would, instead of ending the program. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static char folder[64];
static char path[128];

static int setup(void **state) {
    (void)state;
#if !defined __SANITIZE_ADDRESS__
    struct rlimit limit = {MEMORY_LIMIT, MEMORY_LIMIT};
    if (setrlimit(RLIMIT_AS, &limit)) return 1;
#endif
    snprintf(folder, sizeof folder, "/tmp/phosphene-test-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* Loads the bytes as a file and, if that works, asks for everything. A failure must say something. */
static ph_status load(const void *data, size_t size, char *error, size_t error_size) {
    wire_write(path, data, size);
    ph_context *context = ph_context_create();
    ph_model *model;
    ph_status status = ph_model_load(context, path, &model);
    if (error) snprintf(error, error_size, "%s", ph_context_error(context));
    if (status) {
        assert_null(model);
        assert_true(strlen(ph_context_error(context)) > 0);
        if (status != PH_ERROR_MEMORY) assert_non_null(strstr(ph_context_error(context), "model.onnx"));
    } else {
        const ph_layer_info *layers;
        int count;
        ph_model_info info = ph_model_describe(model);
        assert_non_null(info.input_name);
        if (!ph_model_layers(model, 0, 0, &layers, &count)) assert_true(count > 0);
        ph_model_layers(model, 33, 17, &layers, &count);
    }
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    return status;
}

/* Expects failure with these words in the text. */
static void refuse(struct wire model, ph_status wanted, const char *words) {
    char error[4096];
    ph_status status = load(model.data, model.size, error, sizeof error);
    if (!strstr(error, words)) fail_msg("'%s' is not in: %s", words, error);
    assert_int_equal(status, wanted);
}

static void test_the_small_network_is_good(void **state) {
    (void)state;
    struct wire model = wire_small_network();
    assert_int_equal(load(model.data, model.size, NULL, 0), PH_OK);
}

static void test_truncations(void **state) {
    (void)state;
    struct wire model = wire_small_network();
    int accepted = 0;
    for (size_t size = 1; size < model.size; size++) accepted += load(model.data, size, NULL, 0) == PH_OK;
    /* Only what follows the graph may be missing: two fields. */
    assert_int_equal(accepted, 2);
}

static void test_bit_flips(void **state) {
    (void)state;
    const struct ph_random_key key = {.seed = 1};
    struct wire good = wire_small_network();
    for (uint64_t round = 0; round < 1500; round++) {
        struct wire bad = good;
        int flips = 1 + (int)(round % 4);
        for (int i = 0; i < flips; i++) {
            uint32_t bits[4];
            ph_random_bits(key, round * 4 + (uint64_t)i, bits);
            bad.data[bits[0] % bad.size] ^= (uint8_t)(1u << (bits[1] & 7));
        }
        load(bad.data, bad.size, NULL, 0);
    }
}

static void test_random_bytes(void **state) {
    (void)state;
    const struct ph_random_key key = {.seed = 2};
    for (uint64_t round = 0; round < 300; round++) {
        uint32_t bits[64][4];
        for (int i = 0; i < 64; i++) ph_random_bits(key, round * 64 + (uint64_t)i, bits[i]);
        load(bits, 1 + round * 3, NULL, 0);
    }
}

/* A graph with picture, one node and its output. */
static struct wire one_node(struct wire node, const char *output) {
    struct wire graph = {.size = 0};
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, 8, 8));
    wire_value(&graph, WIRE_OUTPUT, output, WIRE_DIMS(1, 3, 8, 8));
    wire_node_add(&graph, node);
    return graph;
}

static void test_structure(void **state) {
    (void)state;
    struct wire graph = one_node(wire_node("Relu", "relu", "picture", "out"), "out");
    refuse(wire_model(&graph, 5), PH_ERROR_UNSUPPORTED, "opset 5; 6 to 21 can be read");
    assert_int_equal(load(wire_model(&graph, 99).data, wire_model(&graph, 99).size, NULL, 0), PH_OK);

    struct wire cycle = graph;
    wire_node_add(&cycle, wire_node("Add", "first", "out two", "one"));
    wire_node_add(&cycle, wire_node("Relu", "second", "one", "two"));
    refuse(wire_model(&cycle, 13), PH_ERROR_FORMAT, "cycle");

    struct wire self = graph;
    wire_node_add(&self, wire_node("Relu", "ouroboros", "tail", "tail"));
    refuse(wire_model(&self, 13), PH_ERROR_FORMAT, "'ouroboros' (Relu) depends on its own output");

    struct wire twice = graph;
    wire_node_add(&twice, wire_node("Relu", "again", "picture", "out"));
    refuse(wire_model(&twice, 13), PH_ERROR_FORMAT, "two tensors are named 'out'");

    struct wire dangling = graph;
    wire_node_add(&dangling, wire_node("Add", "sum", "out nowhere", "sum"));
    refuse(wire_model(&dangling, 13), PH_ERROR_FORMAT, "'sum' (Add) needs 'nowhere'");

    struct wire constant = {.size = 0};
    wire_value(&constant, WIRE_OUTPUT, "out", WIRE_DIMS(1));
    refuse(wire_model(&constant, 13), PH_ERROR_UNSUPPORTED, "no input");

    struct wire unknown = one_node(wire_node("Conjure", "magic", "picture", "out"), "out");
    refuse(wire_model(&unknown, 13), PH_ERROR_UNSUPPORTED, "node 'magic': operation Conjure is not supported");

    struct wire mute = graph;
    wire_node_add(&mute, wire_node("Split", "mute", "picture", ""));
    assert_int_equal(load(wire_model(&mute, 13).data, wire_model(&mute, 13).size, NULL, 0), PH_OK);

    struct wire empty = {.size = 0};
    wire_int(&empty, 1, 8);
    refuse(empty, PH_ERROR_FORMAT, "no graph");

    struct wire pointer = {.size = 0};
    const char text[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    wire_raw(&pointer, text, sizeof text - 1);
    refuse(pointer, PH_ERROR_FORMAT, "git lfs pull");
}

/* An Add of the picture and one initialiser. */
static struct wire with_tensor(struct wire tensor) {
    struct wire graph = one_node(wire_node("Add", "add", "picture w", "out"), "out");
    wire_initialiser_add(&graph, tensor);
    return wire_model(&graph, 13);
}

static void test_tensors(void **state) {
    (void)state;
    const float three[3] = {1, 2, 3};
    const int64_t large = (int64_t)1 << 62;
    refuse(with_tensor(wire_tensor("w", WIRE_FLOAT, WIRE_DIMS(large, large))), PH_ERROR_FORMAT, "too large");
    refuse(with_tensor(wire_tensor("w", WIRE_FLOAT, WIRE_DIMS((int64_t)1 << 36))), PH_ERROR_FORMAT, "tensor 'w'");
    refuse(with_tensor(wire_tensor("w", WIRE_FLOAT, WIRE_DIMS(-3))), PH_ERROR_FORMAT, "[?]");
    refuse(with_tensor(wire_tensor_raw("w", WIRE_FLOAT, WIRE_DIMS(4), three, sizeof three)), PH_ERROR_FORMAT, "needs 4 values");
    refuse(with_tensor(wire_tensor_raw("w", WIRE_FLOAT, WIRE_DIMS(3), three, 11)), PH_ERROR_FORMAT, "needs 3 values");
    /* Nine axes, int4 and strings are understood, and not supported. */
    refuse(with_tensor(wire_tensor_raw("w", WIRE_FLOAT, WIRE_DIMS(1, 1, 1, 1, 1, 1, 1, 1, 3), three, sizeof three)),
           PH_ERROR_UNSUPPORTED, "9 dimensions");
    refuse(with_tensor(wire_tensor_raw("w", 22, WIRE_DIMS(6), three, 3)), PH_ERROR_UNSUPPORTED, "int4");
    refuse(with_tensor(wire_tensor("w", 8, WIRE_DIMS(1))), PH_ERROR_UNSUPPORTED, "string");
    refuse(with_tensor(wire_tensor("w", 77, WIRE_DIMS(1))), PH_ERROR_UNSUPPORTED, "unknown (77)");

    struct wire graph = one_node(wire_node("Add", "add", "picture w", "out"), "out"), sparse = {.size = 0};
    struct wire values = wire_tensor_raw("w", WIRE_FLOAT, WIRE_DIMS(3), three, sizeof three);
    wire_message(&sparse, 1, &values);
    wire_message(&graph, WIRE_SPARSE, &sparse);
    refuse(wire_model(&graph, 13), PH_ERROR_UNSUPPORTED, "sparse");
}

static struct wire tensor_elsewhere(const char *location, const char *offset, const char *length) {
    struct wire tensor = wire_tensor("w", WIRE_FLOAT, WIRE_DIMS(3, 1, 1));
    if (location) wire_entry(&tensor, 13, "location", location);
    if (offset) wire_entry(&tensor, 13, "offset", offset);
    if (length) wire_entry(&tensor, 13, "length", length);
    wire_int(&tensor, 14, 1);
    return with_tensor(tensor);
}

static void test_external_data(void **state) {
    (void)state;
    char inside[160], link[160], outside[] = "/tmp/phosphene-outside-XXXXXX";
    const float values[4] = {1, 2, 3, 4};
    int descriptor = mkstemp(outside);
    assert_true(descriptor >= 0);
    close(descriptor);
    wire_write(outside, values, sizeof values);
    snprintf(inside, sizeof inside, "%s/weights.bin", folder);
    snprintf(link, sizeof link, "%s/link.bin", folder);
    wire_write(inside, values, sizeof values);
    assert_int_equal(symlink(outside, link), 0);

    struct wire good = tensor_elsewhere("weights.bin", "4", "12");
    assert_int_equal(load(good.data, good.size, NULL, 0), PH_OK);
    good = tensor_elsewhere("./weights.bin", NULL, NULL);
    assert_int_equal(load(good.data, good.size, NULL, 0), PH_OK);

    char climbing[128];
    snprintf(climbing, sizeof climbing, "../%s", outside + strlen("/tmp/"));
    refuse(tensor_elsewhere(climbing, NULL, NULL), PH_ERROR_FORMAT, "not a path inside the model's folder");
    snprintf(climbing, sizeof climbing, "a/../../%s", outside + strlen("/tmp/"));
    refuse(tensor_elsewhere(climbing, NULL, NULL), PH_ERROR_FORMAT, "not a path inside the model's folder");
    refuse(tensor_elsewhere(outside, NULL, NULL), PH_ERROR_FORMAT, "not a path inside the model's folder");
    refuse(tensor_elsewhere("", NULL, NULL), PH_ERROR_FORMAT, "not a path inside the model's folder");
    refuse(tensor_elsewhere("link.bin", NULL, NULL), PH_ERROR_FORMAT, "leaves the model's folder");
    refuse(tensor_elsewhere("missing.bin", NULL, NULL), PH_ERROR_FILE, "missing.bin");
    refuse(tensor_elsewhere(NULL, NULL, NULL), PH_ERROR_FORMAT, "without a location");
    refuse(tensor_elsewhere("weights.bin", "8", NULL), PH_ERROR_FORMAT, "bytes 8 to 20");
    refuse(tensor_elsewhere("weights.bin", "99999999999", "12"), PH_ERROR_FORMAT, "which has 16");
    refuse(tensor_elsewhere("weights.bin", "-4", "12"), PH_ERROR_FORMAT, "offset");
    refuse(tensor_elsewhere("weights.bin", "4 ", "12"), PH_ERROR_FORMAT, "offset");
    refuse(tensor_elsewhere("weights.bin", "0", "16"), PH_ERROR_FORMAT, "needs 3 values");
    refuse(tensor_elsewhere("weights.bin", "0", "9223372036854775807"), PH_ERROR_FORMAT, "which has 16");
    unlink(link);
    unlink(inside);
    unlink(outside);
}

/* Nodes whose outputs would be enormous: refused by shape or size, not by exhausting memory. */
static void test_enormous_results(void **state) {
    (void)state;
    const int64_t sizes[4] = {1, 1 << 13, 1 << 13, 1 << 10};
    struct wire shape = wire_tensor_raw("shape", WIRE_INT64, WIRE_DIMS(4), sizes, sizeof sizes);
    struct wire constant = one_node(wire_node("ConstantOfShape", "bomb", "shape", "w"), "out");
    wire_initialiser_add(&constant, shape);
    wire_node_add(&constant, wire_node("Add", "add", "picture w", "out"));
    refuse(wire_model(&constant, 13), PH_ERROR_UNSUPPORTED, "a constant of shape [1,8192,8192,1024] is too large");

    struct wire graph = {.size = 0};
    wire_value(&graph, WIRE_INPUT, "picture", WIRE_DIMS(1, 3, (int64_t)1 << 40, (int64_t)1 << 40));
    wire_node_add(&graph, wire_node("Relu", "relu", "picture", "out"));
    refuse(wire_model(&graph, 13), PH_ERROR_UNSUPPORTED, "too large");

    struct wire pool = wire_node("MaxPool", "pool", "picture", "out");
    wire_attribute_ints(&pool, "kernel_shape", WIRE_INTS(INT64_MAX, INT64_MAX));
    wire_attribute_ints(&pool, "strides", WIRE_INTS(0, -1));
    wire_attribute_ints(&pool, "pads", WIRE_INTS(INT64_MAX, INT64_MAX, INT64_MAX, -5));
    graph = one_node(pool, "out");
    refuse(wire_model(&graph, 13), PH_ERROR_UNSUPPORTED, "'pool'");
}

/* Fields of two bytes that become structures of a hundred: a small factor is granted, a large one refused. */
static void test_many_empty_messages(void **state) {
    (void)state;
    struct wire graph = {.size = 0};
    for (int i = 0; i < 2000; i++) wire_bytes(&graph, WIRE_NODE, "", 0);
    struct wire model = wire_model(&graph, 13);
    refuse(model, PH_ERROR_UNSUPPORTED, "no input");

    enum { FIELDS = 2000000 };
    struct wire head = {.size = 0};
    wire_int(&head, 1, 8);
    wire_varint(&head, WIRE_GRAPH << 3 | 2);
    wire_varint(&head, 2 * FIELDS);
    uint8_t *bytes = ph_alloc(head.size + 2 * FIELDS);
    assert_non_null(bytes);
    memcpy(bytes, head.data, head.size);
    for (size_t i = 0; i < FIELDS; i++) bytes[head.size + 2 * i] = WIRE_NODE << 3 | 2;
    char error[4096];
    assert_int_equal(load(bytes, head.size + 2 * FIELDS, error, sizeof error), PH_ERROR_FORMAT);
    assert_non_null(strstr(error, "more memory than the file's size warrants"));
    ph_free(bytes);
}

static void test_missing_file(void **state) {
    (void)state;
    ph_context *context = ph_context_create();
    ph_model *model;
    assert_int_equal(ph_model_load(context, "/nowhere/model.onnx", &model), PH_ERROR_FILE);
    assert_string_equal(ph_context_error(context), "/nowhere/model.onnx: No such file or directory");
    assert_int_equal(ph_model_load(context, folder, &model), PH_ERROR_FILE);
    assert_int_equal(ph_model_load(context, NULL, NULL), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_model_load(NULL, NULL, &model), PH_ERROR_ARGUMENT);
    ph_context_destroy(&context);
}

static void test_failing_allocations(void **state) {
    (void)state;
    struct wire network = wire_small_network();
    wire_write(path, network.data, network.size);
    ph_context *context = ph_context_create();
    ph_model *model;
    long failures = 0;
    for (;; failures++) {
        ph_alloc_fail_after(failures);
        ph_status status = ph_model_load(context, path, &model);
        ph_alloc_fail_after(-1);
        if (!status) break;
        assert_int_equal(status, PH_ERROR_MEMORY);
        assert_null(model);
        assert_true(failures < 100000);
    }
    assert_true(failures > 50);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_small_network_is_good), cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_bit_flips), cmocka_unit_test(test_random_bytes), cmocka_unit_test(test_structure),
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_external_data), cmocka_unit_test(test_enormous_results),
        cmocka_unit_test(test_many_empty_messages), cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_failing_allocations)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
