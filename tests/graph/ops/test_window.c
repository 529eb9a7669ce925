/* Sliding windows: how many positions there are, which pads an ONNX node means, which of equal maxima wins, and that
 * what cannot be done is refused with a text that says so. */
#include "graph/ops/window.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static ph_context *context;

static int setup(void **state) {
    (void)state;
    context = ph_context_create();
    return context ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    ph_context_destroy(&context);
    return 0;
}

/* Positions along one axis; expected values are torch.nn.functional.max_pool1d's. */
static void test_count(void **state) {
    (void)state;
    static const struct { int64_t input, kernel, stride, dilation, begin, end; bool ceil; int64_t expected; } rows[] = {
        {112, 3, 2, 1, 0, 0, false, 55}, {112, 3, 2, 1, 0, 0, true, 56}, {7, 7, 1, 1, 0, 0, false, 1},
        {6, 7, 1, 1, 0, 0, false, 0},    {2, 3, 2, 1, 0, 0, true, 1},    {5, 3, 1, 2, 0, 0, false, 1},
        {5, 2, 2, 1, 0, 0, true, 3},     {5, 1, 3, 1, 0, 0, true, 2}, /* a third would start at 6, behind the input */
        {3, 2, 3, 1, 1, 1, true, 2},     {2, 2, 3, 1, 1, 1, true, 1}, /* a second would start in the trailing pad */
    };
    for (int i = 0; i < PH_COUNT(rows); i++) {
        struct ph_window window = {.kernel = {1, 1, rows[i].kernel}, .stride = {1, 1, rows[i].stride},
            .dilation = {1, 1, rows[i].dilation}, .pad_begin = {0, 0, rows[i].begin}, .pad_end = {0, 0, rows[i].end}};
        assert_null(ph_window_problem(&window, 1));
        assert_int_equal(ph_window_count(&window, 2, rows[i].input, rows[i].ceil), rows[i].expected);
    }
}

/* A node's attributes as text, "name=1,2;name=WORD;..." */
struct attribute_list { const char *text; int64_t values[8]; };

static const char *find(const struct attribute_list *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list->text; at; at = strchr(at, ';'), at = at ? at + 1 : NULL)
        if (!strncmp(at, name, length) && at[length] == '=') return at + length + 1;
    return NULL;
}

static bool get_ints(const void *source, const char *name, const int64_t **values, int *count) {
    struct attribute_list *list = (struct attribute_list *)source;
    const char *at = find(list, name);
    if (!at) return false;
    for (*count = 0;; at++) {
        char *end;
        list->values[(*count)++] = strtoll(at, &end, 10);
        at = end;
        if (*at != ',') break;
    }
    *values = list->values;
    return true;
}

static bool get_int(const void *source, const char *name, int64_t *value) {
    const int64_t *values;
    int count;
    if (!get_ints(source, name, &values, &count)) return false;
    *value = values[0];
    return true;
}

static bool get_float(const void *source, const char *name, double *value) {
    int64_t integer;
    if (!get_int(source, name, &integer)) return false;
    *value = (double)integer;
    return true;
}

static bool get_string(const void *source, const char *name, const char **text, size_t *length) {
    *text = find(source, name);
    if (*text) *length = strcspn(*text, ";");
    return *text != NULL;
}

static const struct ph_attribute_reader reader = {
    .get_int = get_int, .get_float = get_float, .get_string = get_string, .get_ints = get_ints};

/* Imports a node of one picture and, unless their rank is 0, weights; `second` names a second output. */
static ph_status import_node(struct ph_graph *graph, const struct ph_operation *operation, const char *attributes,
                             struct ph_shape x, struct ph_shape weights, const char *second, int *output) {
    int inputs[2] = {0}, outputs[2] = {PH_ABSENT, PH_ABSENT};
    assert_int_equal(ph_graph_add_input(graph, "x", PH_FLOAT, x, &inputs[0]), PH_OK);
    if (weights.rank) assert_int_equal(ph_graph_add_input(graph, "weights", PH_FLOAT, weights, &inputs[1]), PH_OK);
    const char *names[2] = {"y", second};
    struct attribute_list list = {.text = attributes};
    struct ph_import import = {.graph = graph, .operation = operation, .type = operation->importers->name,
        .name = "node", .version = 13, .input_count = weights.rank ? 2 : 1, .inputs = inputs,
        .output_count = second ? 2 : 1, .output_names = names, .outputs = outputs, .reader = &reader, .source = &list};
    ph_status status = operation->importers->read(&import);
    *output = outputs[0];
    return status;
}

/* What SAME, VALID, ceil_mode, output_shape and output_padding come to. Expected: the rules in the text of ONNX's
 * operators (opset 13), worked out by hand. */
static void test_import(void **state) {
    (void)state;
    const struct ph_operation *conv = &ph_operation_convolution, *transpose = &ph_operation_convolution_transpose;
    const struct ph_operation *pool = &ph_operation_max_pool;
    const struct ph_shape filter = PH_SHAPE(2, 2, 3, 3), none = PH_SCALAR;
    const struct {
        const struct ph_operation *operation;
        const char *attributes;
        struct ph_shape x, weights, y;
        int64_t begin[2], end[2]; /* of height and width */
    } rows[] = {
        {conv, "", PH_SHAPE(1, 2, 6, 5), filter, PH_SHAPE(1, 2, 4, 3), {0, 0}, {0, 0}},
        {conv, "pads=1,0,2,3", PH_SHAPE(1, 2, 6, 5), filter, PH_SHAPE(1, 2, 7, 6), {1, 0}, {2, 3}},
        {conv, "auto_pad=VALID;strides=2,1", PH_SHAPE(1, 2, 6, 5), filter, PH_SHAPE(1, 2, 2, 3), {0, 0}, {0, 0}},
        {conv, "auto_pad=SAME_UPPER;strides=2,2", PH_SHAPE(1, 2, 6, 5), filter, PH_SHAPE(1, 2, 3, 3), {0, 1}, {1, 1}},
        {conv, "auto_pad=SAME_LOWER;strides=2,2", PH_SHAPE(1, 2, 6, 5), filter, PH_SHAPE(1, 2, 3, 3), {1, 1}, {0, 1}},
        {conv, "auto_pad=SAME_UPPER;dilations=2,3", PH_SHAPE(1, 2, 6, 7), filter, PH_SHAPE(1, 2, 6, 7), {2, 3}, {2, 3}},
        {conv, "auto_pad=SAME_UPPER;strides=4,4", PH_SHAPE(1, 2, 8, 9), filter, PH_SHAPE(1, 2, 2, 3), {0, 1}, {0, 1}},
        {pool, "kernel_shape=3,3;strides=2,2", PH_SHAPE(1, 2, 8, 7), none, PH_SHAPE(1, 2, 3, 3), {0, 0}, {0, 0}},
        {pool, "kernel_shape=3,3;strides=2,2;ceil_mode=1", PH_SHAPE(1, 2, 8, 7), none,
         PH_SHAPE(1, 2, 4, 3), {0, 0}, {0, 0}},
        {pool, "kernel_shape=2,2;auto_pad=SAME_LOWER", PH_SHAPE(1, 2, 4, 5), none,
         PH_SHAPE(1, 2, 4, 5), {1, 1}, {0, 0}},
        {pool, "kernel_shape=3,3;strides=2,2;auto_pad=VALID;ceil_mode=1", PH_SHAPE(1, 2, 8, 7), none,
         PH_SHAPE(1, 2, 3, 3), {0, 0}, {0, 0}},
        {transpose, "strides=2,2;pads=1,1,1,1;output_padding=1,0", PH_SHAPE(1, 2, 4, 3), filter, PH_SHAPE(1, 2, 8, 5),
         {1, 1}, {1, 1}},
        {transpose, "strides=2,2;auto_pad=SAME_UPPER", PH_SHAPE(1, 2, 4, 3), filter,
         PH_SHAPE(1, 2, 8, 6), {0, 0}, {1, 1}},
        {transpose, "strides=2,2;auto_pad=SAME_LOWER", PH_SHAPE(1, 2, 4, 3), filter,
         PH_SHAPE(1, 2, 8, 6), {1, 1}, {0, 0}},
        {transpose, "strides=2,2;output_shape=8,7", PH_SHAPE(1, 2, 4, 3), filter, PH_SHAPE(1, 2, 8, 7), {1, 0}, {0, 0}},
        {transpose, "strides=3,2;output_shape=10,8", PH_SHAPE(1, 2, 3, 3), filter,
         PH_SHAPE(1, 2, 10, 8), {0, 0}, {0, 0}},
    };
    for (int i = 0; i < PH_COUNT(rows); i++) {
        struct ph_graph *graph;
        int y;
        assert_int_equal(ph_graph_create(context, &graph), PH_OK);
        if (import_node(graph, rows[i].operation, rows[i].attributes, rows[i].x, rows[i].weights, NULL, &y))
            fail_msg("%s: %s", rows[i].attributes, ph_context_error(context));
        char found[128], expected[128];
        assert_string_equal(ph_shape_text(&graph->values[y].shape, found), ph_shape_text(&rows[i].y, expected));
        struct ph_window window;
        if (rows[i].operation == pool)
            PH_WINDOW_COPY(&window, (const struct ph_pool_attributes *)graph->nodes[0].attributes);
        else
            PH_WINDOW_COPY(&window, (const struct ph_convolution_attributes *)graph->nodes[0].attributes);
        assert_memory_equal(window.pad_begin + 1, rows[i].begin, sizeof rows[i].begin);
        assert_memory_equal(window.pad_end + 1, rows[i].end, sizeof rows[i].end);
        ph_graph_destroy(&graph);
    }
}

static void test_refusals(void **state) {
    (void)state;
    const struct ph_shape picture = PH_SHAPE(1, 2, 6, 6), filter = PH_SHAPE(2, 2, 3, 3), none = PH_SCALAR;
    const struct {
        const struct ph_operation *operation;
        const char *attributes;
        struct ph_shape x, weights;
        const char *second, *text; /* text that the error must hold */
    } rows[] = {
        {&ph_operation_convolution, "strides=0,1", picture, filter, NULL, "strides must be 1 to"},
        {&ph_operation_convolution, "pads=-1,0,0,0", picture, filter, NULL, "pads must be 0 to"},
        {&ph_operation_convolution, "pads=1,1", picture, filter, NULL, "4 expected for 2 spatial axes"},
        {&ph_operation_convolution, "auto_pad=SAME", picture, filter, NULL, "valid are NOTSET"},
        {&ph_operation_convolution, "dilations=4,4", picture, filter, NULL, "larger than the padded input"},
        {&ph_operation_convolution, "kernel_shape=3,2", picture, filter, NULL, "not the declared one"},
        {&ph_operation_convolution, "group=2", picture, filter, NULL, "2 groups do not fit weights for 2"},
        {&ph_operation_convolution, "", PH_SHAPE(1, 3, 6, 6), filter, NULL, "input shapes [1,3,6,6] [2,2,3,3]"},
        {&ph_operation_convolution, "", PH_SHAPE(2, 6), filter, NULL, "same rank"},
        {&ph_operation_convolution_transpose, "output_shape=3", picture, filter, NULL, "must have 2 entries"},
        {&ph_operation_convolution_transpose, "pads=9,9,9,9", picture, filter, NULL, "leave nothing"},
        {&ph_operation_max_pool, "", picture, none, NULL, "'kernel_shape' is missing"},
        {&ph_operation_max_pool, "kernel_shape=2,2;pads=2,2,2,2", picture, none, NULL, "smaller than the window"},
        {&ph_operation_max_pool, "kernel_shape=2,2", picture, none, "indices", "output 1 ('indices') is used"},
        {&ph_operation_max_pool, "kernel_shape=2", PH_SHAPE(1, 2), none, NULL, "1 to 3 spatial axes"},
        {&ph_operation_average_pool, "kernel_shape=7,7", picture, none, NULL, "larger than the padded input"},
    };
    for (int i = 0; i < PH_COUNT(rows); i++) {
        struct ph_graph *graph;
        int y;
        assert_int_equal(ph_graph_create(context, &graph), PH_OK);
        assert_int_not_equal(import_node(graph, rows[i].operation, rows[i].attributes, rows[i].x, rows[i].weights,
                                         rows[i].second, &y), PH_OK);
        if (!strstr(ph_context_error(context), rows[i].text) || !strstr(ph_context_error(context), "node 'node'"))
            fail_msg("'%s' should name the node and say '%s'", ph_context_error(context), rows[i].text);
        ph_graph_destroy(&graph);
    }
}

/* Behind a ReLU most maxima are equal zeros: the first in row order takes the gradient. */
static void test_equal_maxima(void **state) {
    (void)state;
    const struct ph_pool_attributes attributes = {.kernel = {1, 2, 2}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, 1, 0}, .output = {1, 3, 2}};
    const struct ph_shape shape = PH_SHAPE(1, 1, 3, 3), pooled = PH_SHAPE(1, 1, 3, 2), one = PH_SHAPE(1, 1, 1, 1);
    const float x[9] = {0, 0, 0, 0, 0, 1, 0, 0, 1}, g[6] = {1, 2, 4, 8, 16, 32};
    const float expected[9] = {1 + 4, 2, 0, 16, 0, 8 + 32, 0, 0, 0}, expected_global[9] = {[5] = 1};
    float gradient[9] = {0};
    const struct ph_shape *const shapes[] = {&shape};
    const void *inputs[] = {x}, *output_gradients[] = {g};
    void *outputs[] = {NULL}, *gradients[] = {gradient};
    struct ph_call call = {.attributes = &attributes, .input_count = 1, .output_count = 1, .input_shapes = shapes,
        .output_shapes = &pooled, .inputs = inputs, .outputs = outputs, .output_gradients = output_gradients,
        .input_gradients = gradients};
    ph_operation_max_pool.backward(&call);
    assert_memory_equal(gradient, expected, sizeof expected);
    memset(gradient, 0, sizeof gradient);
    call.output_shapes = &one;
    ph_operation_global_max_pool.backward(&call);
    assert_memory_equal(gradient, expected_global, sizeof expected_global);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count), cmocka_unit_test(test_import), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_equal_maxima),
    };
    return cmocka_run_group_tests_name("windows", tests, setup, teardown);
}
