/* ONNX's own tests: a model of one or a few nodes, its inputs and the outputs expected, as files.
 *
 * They come from Debian's libonnx-testdata (opset up to 17) and from tests/model/data/onnx (other opsets; made by
 * make_onnx_cases.py). What the operation table claims must work; the rest is left out, counted by reason. Inputs that
 * are not floating point are bound as constants (they are the starts of a Slice, the shape of a Reshape). The others
 * are bound in two ways: once all of them are fed, which makes weights live operands, and once only the first, the rest
 * being constant as in a network. At least one binding must be possible and each must be right on every backend. */
#include "exec/program.h"
#include "graph/operations.h"
#include "model/model.h"
#include "model/onnx_ml.h"
#include "onnx.pb-c.h"
#include <dirent.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define DEBIAN_FOLDER "/usr/share/libonnx-testdata/data"
#define OWN_FOLDER "tests/model/data/onnx"
#define FIRST_OPSET 6 /* that the loader reads */
#define MAX_TENSORS 32
#define NOT_A_TENSOR "sequence, optional or map"

struct tensor {
    enum ph_type type;
    bool half; /* stored with 11 bits of precision */
    struct ph_shape shape;
    double *values;
};

struct tally {
    int found, passed, failed, reason_count;
    struct { char text[80]; int count; } reasons[200];
};

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* Enumerators of TensorProto.DataType that are dealt with here. */
enum { ONNX_FLOAT = 1, ONNX_INT32 = 6, ONNX_INT64 = 7, ONNX_BOOL = 9, ONNX_FLOAT16 = 10, ONNX_DOUBLE = 11 };

static const char *element_type_name(int type) {
    static const char *const names[] = {"undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64",
        "string", "bool", "float16", "double", "uint32", "uint64", "complex64", "complex128", "bfloat16"};
    return type >= 0 && type < PH_COUNT(names) ? names[type] : "unknown";
}

static bool element_type_is_run(int type) {
    return type == ONNX_FLOAT || type == ONNX_FLOAT16 || type == ONNX_DOUBLE || type == ONNX_INT32 ||
           type == ONNX_INT64 || type == ONNX_BOOL;
}

static double element(const PhOnnx__TensorProto *proto, int64_t i) {
    size_t at = (size_t)i;
    const uint8_t *raw = proto->raw_data.data;
    union { float f; double d; int32_t i32; int64_t i64; uint16_t h; uint8_t b; } item = {0};
    size_t size = proto->data_type == ONNX_DOUBLE || proto->data_type == ONNX_INT64 ? 8
                  : proto->data_type == ONNX_FLOAT16 ? 2 : proto->data_type == ONNX_BOOL ? 1 : 4;
    if (proto->raw_data.len) {
        assert_true((at + 1) * size <= proto->raw_data.len);
        memcpy(&item, raw + at * size, size);
    }
    bool is_raw = proto->raw_data.len > 0;
    switch (proto->data_type) {
    case ONNX_FLOAT: return is_raw ? item.f : proto->float_data[at];
    case ONNX_DOUBLE: return is_raw ? item.d : proto->double_data[at];
    case ONNX_INT64: return (double)(is_raw ? item.i64 : proto->int64_data[at]);
    case ONNX_FLOAT16: return ph_half_to_float(is_raw ? item.h : (uint16_t)proto->int32_data[at]);
    case ONNX_BOOL: return is_raw ? item.b : proto->int32_data[at];
    default: return is_raw ? item.i32 : proto->int32_data[at];
    }
}

/* Fills in *tensor, or says why the test is left out. The values are in `pool`. */
static const char *tensor_read(ph_context *context, struct ph_pool *pool, const char *path, struct tensor *tensor) {
    struct ph_file file;
    assert_int_equal(ph_file_open(context, path, &file), PH_OK);
    PhOnnx__TensorProto *proto = ph_onnx__tensor_proto__unpack(NULL, file.size, file.data);
    const char *reason = NULL;
    if (!proto || proto->n_dims > PH_MAX_RANK) {
        reason = NOT_A_TENSOR;
    } else if (!element_type_is_run(proto->data_type)) {
        reason = ph_pool_sprintf(pool, "element type %s", element_type_name(proto->data_type));
    } else {
        *tensor = (struct tensor){.shape.rank = (int)proto->n_dims, .half = proto->data_type == ONNX_FLOAT16};
        tensor->type = proto->data_type == ONNX_BOOL ? PH_BOOL
                       : proto->data_type == ONNX_INT32 || proto->data_type == ONNX_INT64 ? PH_INT64 : PH_FLOAT;
        for (int i = 0; i < tensor->shape.rank; i++) tensor->shape.dims[i] = proto->dims[i];
        int64_t size = ph_shape_size(&tensor->shape);
        tensor->values = ph_pool_alloc(pool, (size_t)(size + 1) * sizeof *tensor->values);
        assert_non_null(tensor->values);
        for (int64_t i = 0; i < size; i++) {
            tensor->values[i] = element(proto, i);
            if (tensor->type == PH_FLOAT && isfinite(tensor->values[i]) && fabs(tensor->values[i]) > FLT_MAX)
                reason = "element type double, values beyond the range of float";
        }
    }
    if (proto) ph_onnx__tensor_proto__free_unpacked(proto, NULL);
    ph_file_close(&file);
    return reason;
}

/* ---- What is left out -------------------------------------------------------------------------------------------- */

static bool operation_is_claimed(const char *type) {
    for (const struct ph_importer *importer = ph_onnx_ml_importers; importer->name; importer++)
        if (!strcmp(importer->name, type)) return true;
    for (int i = 0; ph_operations[i]; i++)
        for (const struct ph_importer *importer = ph_operations[i]->importers; importer && importer->name; importer++)
            if (!strcmp(importer->name, type)) return true;
    return false;
}

static bool all_tensors(PhOnnx__ValueInfoProto *const *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!values[i]->type || !values[i]->type->tensor_type) return false;
    return true;
}

/* Why the model is none of ours, or NULL. */
static const char *model_left_out(const PhOnnx__ModelProto *model, struct ph_pool *pool) {
    const PhOnnx__GraphProto *graph = model->graph;
    if (!all_tensors(graph->input, graph->n_input) || !all_tensors(graph->output, graph->n_output)) return NOT_A_TENSOR;
    for (size_t i = 0; i < graph->n_node; i++) {
        const PhOnnx__NodeProto *node = graph->node[i];
        if (!operation_is_claimed(node->op_type)) return ph_pool_sprintf(pool, "operation %s", node->op_type);
        for (size_t j = 0; j < node->n_attribute; j++)
            if (!strcmp(node->attribute[j]->name, "training_mode") && node->attribute[j]->i) return "training mode";
        for (size_t j = 0; j < node->n_attribute && !strncmp(node->op_type, "Scatter", 7); j++)
            if (!strcmp(node->attribute[j]->name, "reduction")) return "scatters that add or multiply";
        bool has_statistics = !strcmp(node->op_type, "LayerNormalization") || !strcmp(node->op_type, "MaxPool");
        if (has_statistics && node->n_output > 1) return ph_pool_sprintf(pool, "further outputs of %s", node->op_type);
    }
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (!(model->opset_import[i]->domain && model->opset_import[i]->domain[0]) &&
            model->opset_import[i]->version < FIRST_OPSET)
            return ph_pool_sprintf(pool, "opset %d", (int)model->opset_import[i]->version);
    return graph->n_input ? NULL : "no input";
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

struct test {
    const struct ph_model_format *format;
    void *parsed;
    bool rounded; /* the expected values of the window functions were computed with 3.1415 for pi */
    int input_count, output_count;
    struct tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
};

static bool value_matches(const struct test *test, const struct tensor *expected, int64_t i, double found) {
    double wanted = expected->values[i];
    if (isnan(wanted) || isnan(found)) return isnan(wanted) && isnan(found);
    if (isinf(wanted) || expected->type != PH_FLOAT) return wanted == found;
    return fabs(found - wanted) <= 1e-6 + (expected->half || test->rounded ? 1e-3 : 1e-4) * fabs(wanted);
}

/* *fault stays empty when the value is as expected. */
static void output_check(const struct ph_graph *graph, int value, struct ph_program *program, const struct test *test,
                         const struct tensor *expected, struct ph_text *fault) {
    const struct ph_value *record = &graph->values[value];
    char found_text[128], wanted_text[128];
    if (!ph_shape_equal(&record->shape, &expected->shape)) {
        ph_text_append(fault, "%s has shape %s, not %s", record->name, ph_shape_text(&record->shape, found_text),
                       ph_shape_text(&expected->shape, wanted_text));
        return;
    }
    if (record->type != expected->type) {
        ph_text_append(fault, "%s is of type %d, not %d", record->name, record->type, expected->type);
        return;
    }
    int64_t size = ph_shape_size(&record->shape);
    float *floats = ph_alloc_array((size_t)size + 1, sizeof *floats);
    assert_non_null(floats);
    if (!record->data) ph_program_read(program, value, floats);
    for (int64_t i = 0; i < size; i++) {
        double found = !record->data ? floats[i] : record->type == PH_FLOAT ? ((const float *)record->data)[i]
                                                                           : (double)((const int64_t *)record->data)[i];
        if (value_matches(test, expected, i, found)) continue;
        ph_text_append(fault, "%s[%lld] is %.9g, not %.9g", record->name, (long long)i, found, expected->values[i]);
        break;
    }
    ph_free(floats);
}

static void program_check(const struct ph_graph *graph, const struct test *test, const int *inputs, const int *outputs,
                          const char *backend, struct ph_text *fault) {
    int taps[MAX_TENSORS], tap_count = 0;
    for (int i = 0; i < test->output_count; i++)
        if (!graph->values[outputs[i]].data) taps[tap_count++] = outputs[i];
    struct ph_program_request request = {.taps = taps, .tap_count = tap_count, .loss = PH_ABSENT, .backend = backend};
    struct ph_program *program = NULL;
    if (tap_count && ph_program_create(graph, &request, &program)) {
        ph_text_append(fault, "%s", ph_context_error(graph->context));
        return;
    }
    for (int i = 0; i < test->input_count && program; i++) {
        const struct tensor *tensor = &test->inputs[i];
        float *data = graph->values[inputs[i]].data ? NULL : ph_program_input(program, inputs[i]);
        for (int64_t j = 0; data && j < ph_shape_size(&tensor->shape); j++) data[j] = (float)tensor->values[j];
    }
    if (program && ph_program_forward(program)) ph_text_append(fault, "%s", ph_context_error(graph->context));
    for (int i = 0; i < test->output_count && !fault->length; i++)
        output_check(graph, outputs[i], program, test, &test->outputs[i], fault);
    ph_program_destroy(&program);
}

/* True when the model can be built with its first `fed` floating-point inputs fed and all others constant; *fault is
 * what is wrong with it then, and else why it cannot be built. */
static bool binding_check(ph_context *context, const struct test *test, int fed, struct ph_text *fault) {
    struct ph_graph *graph = NULL;
    int inputs[MAX_TENSORS], outputs[MAX_TENSORS];
    assert_int_equal(ph_graph_create(context, &graph), PH_OK);
    for (int i = 0; i < test->input_count; i++) {
        const struct tensor *tensor = &test->inputs[i];
        const char *name = test->format->input(test->parsed, i).name;
        if (tensor->type == PH_FLOAT && fed-- > 0) {
            assert_int_equal(ph_graph_add_input(graph, name, PH_FLOAT, tensor->shape, &inputs[i]), PH_OK);
            continue;
        }
        int64_t size = ph_shape_size(&tensor->shape);
        void *data = ph_pool_alloc(&graph->pool, (size_t)(size + 1) * sizeof(int64_t));
        assert_non_null(data);
        for (int64_t j = 0; j < size; j++) {
            if (tensor->type == PH_FLOAT) ((float *)data)[j] = (float)tensor->values[j];
            else ((int64_t *)data)[j] = (int64_t)tensor->values[j];
        }
        assert_int_equal(ph_graph_add_constant(graph, name, tensor->type, tensor->shape, data, &inputs[i]), PH_OK);
    }
    const char *unsupported = NULL;
    bool built = false;
    if (test->format->build(test->parsed, graph, inputs, test->input_count, &unsupported)) {
        ph_text_append(fault, "%s", ph_context_error(context));
    } else if (unsupported) {
        ph_text_append(fault, "%s", unsupported);
    } else {
        built = true;
        for (int i = 0; i < test->output_count; i++) {
            outputs[i] = ph_graph_find(graph, test->format->output(test->parsed, i));
            if (outputs[i] == PH_ABSENT && !fault->length) ph_text_append(fault, "there is no output %d", i);
        }
        if (!fault->length) program_check(graph, test, inputs, outputs, "plain", fault);
        if (!fault->length) program_check(graph, test, inputs, outputs, NULL, fault);
    }
    ph_graph_destroy(&graph);
    return built;
}

/* Empty fault: passed. With nothing fed at all (the arguments of a Range) only the folding of constants is tested. */
static void test_run(ph_context *context, const struct test *test, struct ph_text *fault) {
    int floats = 0;
    for (int i = 0; i < test->input_count; i++) floats += test->inputs[i].type == PH_FLOAT;
    const int bindings[] = {floats, 1, 0};
    bool built = false;
    for (int i = 0; i < PH_COUNT(bindings); i++) {
        if (i > 0 && (bindings[i] >= floats || (bindings[i] == 0 && built))) continue;
        ph_text_finish(fault);
        if (!binding_check(context, test, bindings[i], fault)) continue;
        built = true;
        if (fault->length) return;
    }
    if (built) ph_text_finish(fault);
}

/* A Dropout whose third input is true. */
static bool is_training(const PhOnnx__GraphProto *graph, const struct test *test) {
    for (size_t i = 0; i < graph->n_node; i++) {
        const PhOnnx__NodeProto *node = graph->node[i];
        for (int j = 0; j < test->input_count; j++)
            if (!strcmp(node->op_type, "Dropout") && node->n_input > 2 &&
                !strcmp(node->input[2], test->format->input(test->parsed, j).name) && test->inputs[j].values[0])
                return true;
    }
    return false;
}

/* Reads the tensors and runs the test; reason for being left out, or NULL. */
static const char *parsed_run(ph_context *context, struct ph_pool *pool, const char *folder,
                              const PhOnnx__GraphProto *graph, struct test *test, struct ph_text *fault) {
    const char *reason = NULL;
    test->input_count = test->format->input_count(test->parsed);
    test->output_count = test->format->output_count(test->parsed);
    assert_true(test->input_count <= MAX_TENSORS && test->output_count <= MAX_TENSORS);
    assert_int_equal(test->output_count, graph->n_output);
    for (int i = 0; i < test->output_count && !reason; i++)
        reason = tensor_read(context, pool, ph_pool_sprintf(pool, "%s/test_data_set_0/output_%d.pb", folder, i),
                             &test->outputs[i]);
    for (int i = 0; i < test->input_count && !reason; i++)
        reason = tensor_read(context, pool, ph_pool_sprintf(pool, "%s/test_data_set_0/input_%d.pb", folder, i),
                             &test->inputs[i]);
    if (!reason && is_training(graph, test)) reason = "training mode";
    if (!reason) test_run(context, test, fault);
    return reason;
}

static const char *case_run(ph_context *context, struct ph_pool *pool, const char *folder, struct ph_text *fault) {
    const char *path = ph_pool_sprintf(pool, "%s/model.onnx", folder), *reason = NOT_A_TENSOR;
    struct test test = {.format = &ph_model_format_onnx, .rounded = strstr(folder, "window_") != NULL};
    struct ph_file file;
    assert_int_equal(ph_file_open(context, path, &file), PH_OK);
    PhOnnx__ModelProto *model = ph_onnx__model_proto__unpack(NULL, file.size, file.data);
    if (model && model->graph) reason = model_left_out(model, pool);
    if (!reason && test.format->parse(context, path, &file, &test.parsed))
        ph_text_append(fault, "%s", ph_context_error(context));
    else if (!reason)
        reason = parsed_run(context, pool, folder, model->graph, &test, fault);
    if (test.parsed) test.format->destroy(test.parsed);
    if (model) ph_onnx__model_proto__free_unpacked(model, NULL);
    ph_file_close(&file);
    return reason;
}

static void reason_count(struct tally *tally, const char *text) {
    int i = 0;
    while (i < tally->reason_count && strcmp(tally->reasons[i].text, text)) i++;
    assert_true(i < PH_COUNT(tally->reasons));
    if (i == tally->reason_count) {
        snprintf(tally->reasons[i].text, sizeof tally->reasons[i].text, "%s", text);
        tally->reason_count++;
    }
    tally->reasons[i].count++;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void folder_run(const char *folder, struct tally *tally) {
    struct ph_pool pool = {0};
    char *names[2000];
    int count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.') {
            assert_true(count < PH_COUNT(names));
            names[count++] = ph_pool_strdup(&pool, entry->d_name);
        }
    closedir(directory);
    qsort(names, (size_t)count, sizeof *names, compare_names);

    ph_context *context = ph_context_create();
    for (int i = 0; i < count; i++) {
        struct ph_text fault = {0};
        const char *reason = case_run(context, &pool, ph_pool_sprintf(&pool, "%s/%s", folder, names[i]), &fault);
        tally->found++;
        if (reason) {
            reason_count(tally, reason);
        } else if (fault.length) {
            tally->failed++;
            print_message("failed: %s: %s\n", names[i], fault.data);
        } else {
            tally->passed++;
        }
        ph_text_finish(&fault);
    }
    ph_context_destroy(&context);
    ph_pool_finish(&pool);
    int run = tally->passed + tally->failed;
    print_message("%s: %d found, %d run, %d passed, %d failed, %d left out\n", folder, tally->found, run, tally->passed,
                  tally->failed, tally->found - run);
    for (int i = 0; i < tally->reason_count; i++)
        print_message("    left out: %3d  %s\n", tally->reasons[i].count, tally->reasons[i].text);
}

static void debian_run(const char *set, int least) {
    char folder[200];
    struct stat information;
    snprintf(folder, sizeof folder, DEBIAN_FOLDER "/%s", set);
    if (stat(folder, &information)) {
        print_message("skipped: %s is not there (Debian package libonnx-testdata)\n", folder);
        skip();
    }
    struct tally tally = {0};
    folder_run(folder, &tally);
    assert_int_equal(tally.failed, 0);
    assert_true(tally.passed >= least);
}

static void test_node(void **state) {
    (void)state;
    debian_run("node", 330);
}

static void test_pytorch_converted(void **state) {
    (void)state;
    debian_run("pytorch-converted", 1);
}

static void test_pytorch_operator(void **state) {
    (void)state;
    debian_run("pytorch-operator", 1);
}

static void test_other_opsets(void **state) {
    (void)state;
    struct tally tally = {0};
    folder_run(OWN_FOLDER, &tally);
    assert_int_equal(tally.passed, tally.found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node),
        cmocka_unit_test(test_pytorch_converted),
        cmocka_unit_test(test_pytorch_operator),
        cmocka_unit_test(test_other_opsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
