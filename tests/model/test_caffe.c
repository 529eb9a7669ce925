/* The Caffe loader: values of small networks in every form of file (tests/model/make_caffe_variants.py), what it says
 * about inputs and outputs, errors, hostile files, and a real network against its ONNX twin. */
#include "exec/program.h"
#include "graph/operation.h"
#include "graph/passes.h"
#include "model/exercise_caffe.h"
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FOLDER "tests/model/data/caffe/"
#define TAPS 96

static int setup(void **state) { return (*state = ph_context_create()) ? 0 : -1; }

static int teardown(void **state) {
    ph_context *context = *state;
    ph_context_destroy(&context);
    return 0;
}

/* ---- A network and its graph ------------------------------------------------------------------------------------- */

struct network {
    const struct ph_model_format *format;
    struct ph_file file;
    void *parsed;
    struct ph_graph *graph;
    int input;
    const char *unsupported;
};

static void network_load(ph_context *context, const struct ph_model_format *format, const char *path,
                         struct network *network) {
    *network = (struct network){.format = format};
    ph_status status = ph_file_open(context, path, &network->file);
    if (!status) status = format->parse(context, path, &network->file, &network->parsed);
    if (status) fail_msg("%s: %s", path, ph_context_error(context));
}

static void network_build(ph_context *context, struct network *network, struct ph_shape shape) {
    ph_graph_destroy(&network->graph);
    assert_int_equal(ph_graph_create(context, &network->graph), PH_OK);
    assert_int_equal(network->format->input_count(network->parsed), 1);
    const char *name = network->format->input(network->parsed, 0).name;
    assert_int_equal(ph_graph_add_input(network->graph, name, PH_FLOAT, shape, &network->input), PH_OK);
    if (network->format->build(network->parsed, network->graph, &network->input, 1, &network->unsupported))
        fail_msg("%s", ph_context_error(context));
}

static void network_unload(struct network *network) {
    ph_graph_destroy(&network->graph);
    network->format->destroy(network->parsed);
    ph_file_close(&network->file);
}

/* Relative distance in L2. */
static double distance(const float *found, const float *expected, int64_t count) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)found[i] - expected[i]) * ((double)found[i] - expected[i]);
        size += (double)expected[i] * expected[i];
    }
    return sqrt(difference / (size > 0 ? size : 1));
}

static const float *values_of(const struct network *network, struct ph_program *program, int value, float *buffer) {
    const struct ph_value *record = &network->graph->values[value];
    if (record->data) return record->data;
    ph_program_read(program, value, buffer);
    return buffer;
}

static struct ph_program *network_run(ph_context *context, const struct network *network, const int *taps, int count,
                                      const char *backend, const float *picture) {
    struct ph_program_request request = {.taps = taps, .tap_count = count, .loss = PH_ABSENT, .backend = backend};
    struct ph_program *program = NULL;
    if (ph_program_create(network->graph, &request, &program)) fail_msg("%s", ph_context_error(context));
    int64_t size = ph_shape_size(&network->graph->values[network->input].shape);
    memcpy(ph_program_input(program, network->input), picture, (size_t)size * sizeof *picture);
    assert_int_equal(ph_program_forward(program), PH_OK);
    return program;
}

/* ---- Variants ---------------------------------------------------------------------------------------------------- */

/* "name[2,3,4]" */
static void parse_tap(char *text, const char **name, struct ph_shape *shape) {
    char *at = strchr(text, '[');
    assert_non_null(at);
    *name = text;
    *shape = PH_SCALAR;
    *at++ = 0;
    while (*at != ']') {
        shape->dims[shape->rank++] = strtoll(at, &at, 10);
        if (*at == ',') at++;
    }
}

/* Returns the largest difference found. */
static double check_variant(ph_context *context, char *line) {
    char *rest, path[256], values_path[256];
    const char *file = strtok_r(line, " ", &rest), *values_file = strtok_r(NULL, " ", &rest), *names[TAPS];
    struct ph_shape shapes[TAPS];
    struct ph_file values;
    struct network network;
    int count = 0, taps[TAPS];
    for (char *word; (word = strtok_r(NULL, " ", &rest)); count++) {
        assert_true(count < TAPS);
        parse_tap(word, &names[count], &shapes[count]);
    }
    snprintf(path, sizeof path, FOLDER "%s", file);
    snprintf(values_path, sizeof values_path, FOLDER "%s", values_file);
    assert_int_equal(ph_file_open(context, values_path, &values), PH_OK);
    network_load(context, &ph_model_format_caffe, path, &network);
    network_build(context, &network, shapes[0]);
    if (network.unsupported && strcmp(file, "foreign.caffemodel")) fail_msg("%s: %s", file, network.unsupported);
    int64_t total = 0;
    for (int i = 0; i < count; i++) {
        taps[i] = ph_graph_find(network.graph, names[i]);
        if (taps[i] == PH_ABSENT) fail_msg("%s: no value '%s'", file, names[i]);
        char found[128], expected[128];
        if (!ph_shape_equal(&network.graph->values[taps[i]].shape, &shapes[i]))
            fail_msg("%s: '%s' has shape %s, %s expected", file, names[i],
                     ph_shape_text(&network.graph->values[taps[i]].shape, found), ph_shape_text(&shapes[i], expected));
        total += ph_shape_size(&shapes[i]);
    }
    assert_int_equal((size_t)total * sizeof(float), values.size);
    const float *expected = (const float *)values.data;
    static const char *const backends[] = {"plain", NULL};
    float *buffer = ph_alloc_array((size_t)total, sizeof *buffer);
    double worst = 0;
    assert_non_null(buffer);
    for (int b = 0; b < PH_COUNT(backends); b++) {
        struct ph_program *program = network_run(context, &network, taps + 1, count - 1, backends[b], expected);
        int64_t at = ph_shape_size(&shapes[0]);
        for (int i = 1; i < count; at += ph_shape_size(&shapes[i++])) {
            double error = distance(values_of(&network, program, taps[i], buffer), expected + at,
                                    ph_shape_size(&shapes[i]));
            if (!(error < 1e-5))
                fail_msg("%s: '%s' differs by %g (%s)", file, names[i], error, backends[b] ? backends[b] : "cpu");
            worst = fmax(worst, error);
        }
        ph_program_destroy(&program);
    }
    ph_free(buffer);
    network_unload(&network);
    ph_file_close(&values);
    return worst;
}

static void test_variants(void **state) {
    FILE *list = fopen(FOLDER "variants.txt", "r");
    char line[4096];
    int count = 0;
    double worst = 0;
    assert_non_null(list);
    for (; fgets(line, sizeof line, list); count++) {
        line[strcspn(line, "\n")] = 0;
        worst = fmax(worst, check_variant(*state, line));
    }
    fclose(list);
    assert_true(count >= 15);
    print_message("%d networks, largest relative difference %g\n", count, worst);
}

static bool has_value(const struct network *network, const char *name) {
    return ph_graph_find(network->graph, name) != PH_ABSENT;
}

/* Neither the part behind a foreign layer nor what other sizes make impossible hinders the rest. */
static void test_partial(void **state) {
    struct network network;
    network_load(*state, &ph_model_format_caffe, FOLDER "foreign.caffemodel", &network);
    network_build(*state, &network, PH_SHAPE(3, 2, 6, 9));
    assert_non_null(network.unsupported);
    assert_non_null(strstr(network.unsupported, "'st' (SpatialTransformer)"));
    assert_true(has_value(&network, "conv") && has_value(&network, "beside"));
    assert_false(has_value(&network, "st") || has_value(&network, "behind"));
    network_unload(&network);

    network_load(*state, &ph_model_format_caffe, FOLDER "current.caffemodel", &network);
    network_build(*state, &network, PH_SHAPE(1, 3, 30, 20));
    assert_non_null(network.unsupported);
    assert_non_null(strstr(network.unsupported, "'fc'"));
    assert_true(has_value(&network, "conv2"));
    assert_false(has_value(&network, "prob"));
    network_unload(&network);

    /* The auxiliary classifier of a training file is a layer like others, but may be missing. */
    network_load(*state, &ph_model_format_caffe, FOLDER "training.caffemodel", &network);
    network_build(*state, &network, PH_SHAPE(1, 3, 20, 20));
    assert_null(network.unsupported);
    assert_true(has_value(&network, "loss") && has_value(&network, "aux_pool"));
    assert_false(has_value(&network, "aux_fc"));
    network_unload(&network);
}

/* A convolution with BatchNorm and Scale behind it is one step, whichever of them is tapped. */
static void test_folding(void **state) {
    static const char *const taps[] = {"conv/conv", "conv/bn", "conv/scale"};
    struct network network;
    network_load(*state, &ph_model_format_caffe, FOLDER "in_place.caffemodel", &network);
    network_build(*state, &network, PH_SHAPE(1, 2, 7, 6));
    int *map = ph_alloc_array((size_t)network.graph->value_count, sizeof *map);
    assert_non_null(map);
    for (int i = 0; i < PH_COUNT(taps); i++) {
        struct ph_graph *extract;
        int tap = ph_graph_find(network.graph, taps[i]);
        assert_int_equal(ph_graph_extract(network.graph, &tap, 1, PH_REWRITE_FUSE, &extract, map), PH_OK);
        assert_int_equal(extract->node_count, 1);
        ph_graph_destroy(&extract);
    }
    ph_free(map);
    network_unload(&network);
}

static void test_training_file(void **state) {
    const char *const files[] = {FOLDER "training.caffemodel", FOLDER "snapshot.caffemodel"};
    for (int i = 0; i < PH_COUNT(files); i++) {
        struct network network;
        network_load(*state, &ph_model_format_caffe, files[i], &network);
        struct ph_model_input input = network.format->input(network.parsed, 0);
        assert_string_equal(input.name, "data");
        assert_true(ph_shape_equal(&input.shape, &PH_SHAPE(-1, 3, 8, 8)));
        assert_int_equal(input.mean_count, 3);
        assert_true(input.mean[0] == 104 && input.mean[2] == 123 && input.scale == 0.5);
        assert_int_equal(network.format->output_count(network.parsed), 1);
        assert_string_equal(network.format->output(network.parsed, 0), "loss");
        assert_int_equal(network.format->parameter_count(network.parsed), 4 * 27 + 4 + 3 * 16 + 3 + 3 * 4 + 3);
        network_unload(&network);
    }
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static struct ph_file text_file(const char *text) {
    return (struct ph_file){.data = (const uint8_t *)text, .size = strlen(text)};
}

static struct ph_caffe *text_create(ph_context *context, const char *text) {
    struct ph_file file = text_file(text);
    struct ph_caffe *caffe = NULL;
    if (ph_caffe_create(context, "net.prototxt", &file, "net.caffemodel", NULL, &caffe))
        fail_msg("%s", ph_context_error(context));
    return caffe;
}

#define RELU(bottom) " layer { name: 'r' type: 'ReLU' bottom: '" bottom "' top: 'r' }"

static void test_inputs(void **state) {
    static const struct { const char *text, *name; struct ph_shape shape;
    } cases[] = {
        {"input: 'x' input_dim: 1 input_dim: 3 input_dim: 5 input_dim: 6" RELU("x"), "x", PH_SHAPE(-1, 3, 5, 6)},
        {"input: 'x' input_shape { dim: 4 dim: 7 }" RELU("x"), "x", PH_SHAPE(-1, 7)},
        {"input: 'x'" RELU("x"), "x", PH_SHAPE(-1, -1, -1, -1)},
        {"layer { type: 'Input' top: 'x' input_param { shape { dim: [ 2, 1, 5, -1 ] } } }" RELU("x"), "x",
         PH_SHAPE(-1, 1, 5, -1)},
        {"layer { type: 'Input' top: 'w' top: 'x' input_param { shape { dim: [1, 2] } shape { dim: [1, 3] } } }" RELU(
             "x"),
         "x", PH_SHAPE(-1, 3)},
        {"layer { type: 'Data' top: 'x' top: 'l' transform_param { crop_size: 9 mean_value: [1, 2, 3] } }" RELU("x"),
         "x", PH_SHAPE(-1, 3, 9, 9)},
        {"layers { type: DATA top: 'x' data_param { crop_size: 9 scale: 0.5 } } layers { type: RELU bottom: 'x' top: "
         "'y' }",
         "x", PH_SHAPE(-1, -1, 9, 9)},
        {"layer { type: 'ImageData' top: 'x' image_data_param { new_height: 4 new_width: 6 is_color: false } }" RELU(
             "x"),
         "x", PH_SHAPE(-1, 1, 4, 6)},
        {"layer { type: 'MemoryData' top: 'x' memory_data_param { batch_size: 1 channels: 2 height: 3 width: 4 } "
         "}" RELU("x"),
         "x", PH_SHAPE(-1, 2, 3, 4)},
        {"layer { type: 'DummyData' top: 'x' top: 'y' dummy_data_param { num: 1 channels: 2 channels: 3 height: 4 "
         "width: 5 } }" RELU("y"),
         "y", PH_SHAPE(-1, 3, 4, 5)},
        {"layer { type: 'DummyData' top: 'x' dummy_data_param { shape { dim: 1 dim: 2 } } }" RELU("x"), "x",
         PH_SHAPE(-1, 2)},
        {"layer { type: 'HDF5Data' top: 'x' top: 'y' hdf5_data_param { source: 'f' } }" RELU("x"), "x",
         PH_SHAPE(-1, -1, -1, -1)},
        {"layer { type: 'Python' top: 'x' python_param { module: 'm' layer: 'l' } }" RELU("x"), "x",
         PH_SHAPE(-1, -1, -1, -1)},
        /* In place on the input: its own value keeps a name of its own. */
        {"input: 'x' layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'x' }", "x/input", PH_SHAPE(-1, -1, -1, -1)},
    };
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct ph_caffe *caffe = text_create(*state, cases[i].text);
        assert_int_equal(caffe->input_count, 1);
        assert_string_equal(caffe->inputs[0].info.name, cases[i].name);
        char found[128], expected[128];
        assert_string_equal(ph_shape_text(&caffe->inputs[0].info.shape, found),
                            ph_shape_text(&cases[i].shape, expected));
        ph_caffe_destroy(&caffe);
    }
}

/* Which layer reads what in the test phase; the outputs tell. */
static void test_phases(void **state) {
    static const struct { const char *rule, *output; } cases[] = {
        {"", "y"},
        {"include { phase: TEST }", "y"},
        {"include { phase: TRAIN }", "x_relu"},
        {"exclude { phase: TEST }", "x_relu"},
        {"exclude { phase: TRAIN }", "y"},
        {"include { phase: TRAIN } include { stage: 'deploy' }", "y"},
        {"include { stage: 'deploy' stage: 'other' }", "x_relu"},
        {"include { not_stage: 'deploy' }", "x_relu"},
        {"exclude { not_stage: 'other' }", "x_relu"},
        {"include { min_level: 2 max_level: 4 }", "y"},
        {"include { min_level: 4 }", "x_relu"},
        {"include { max_level: 2 }", "x_relu"},
    };
    for (int i = 0; i < PH_COUNT(cases); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "state { level: 3 stage: 'deploy' } input: 'x' layer { name: 'a' type: 'ReLU' bottom: 'x' "
                 "top: 'x_relu' } layer { name: 'b' type: 'TanH' bottom: 'x_relu' top: 'y' %s }",
                 cases[i].rule);
        struct ph_caffe *caffe = text_create(*state, text);
        assert_int_equal(caffe->output_count, 1);
        assert_string_equal(caffe->outputs[0], cases[i].output);
        ph_caffe_destroy(&caffe);
    }
}

static void test_losses(void **state) {
    static const struct { const char *layers, *output; } cases[] = {
        {"layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'a' bottom: 'label' top: 'loss' }", "loss"},
        {"layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'a' bottom: 'label' }", "l"},
        {"layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'a' bottom: 'label' top: 'loss' top: 'p' }", "p"},
        {"layer { name: 's' type: 'Softmax' bottom: 'a' top: 's' }"
         "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'a' bottom: 'label' top: 'loss' }", "s"},
        {"layer { name: 'l' type: 'EuclideanLoss' bottom: 'a' bottom: 'label' top: 'loss' }", "a"},
        {"layer { name: 'l' type: 'ForeignLoss' bottom: 'a' bottom: 'label' top: 'loss' }", "a"},
        {"layer { name: 'l' type: 'Accuracy' bottom: 'a' bottom: 'label' top: 'accuracy' }", "a"},
        {"layer { name: 'l' type: 'Silence' bottom: 'a' bottom: 'label' }", "a"},
        /* The last loss that has probabilities is the one that counts. */
        {"layer { name: 'b' type: 'ReLU' bottom: 'a' top: 'b' }"
         "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'a' bottom: 'label' top: 'loss' }"
         "layer { name: 'm' type: 'SmoothL1Loss' bottom: 'b' bottom: 'label' top: 'box' }", "loss"},
    };
    for (int i = 0; i < PH_COUNT(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "layer { name: 'd' type: 'Data' top: 'x' top: 'label' } layer { name: 'a' type: 'TanH' "
                 "bottom: 'x' top: 'a' } %s",
                 cases[i].layers);
        struct ph_caffe *caffe = text_create(*state, text);
        assert_int_equal(caffe->input_count, 1);
        assert_string_equal(caffe->inputs[0].info.name, "x");
        assert_int_equal(caffe->output_count, 1);
        assert_string_equal(caffe->outputs[0], cases[i].output);
        assert_int_equal(exercise_build(*state, caffe, 4), PH_OK);
        ph_caffe_destroy(&caffe);
    }
}

/* Every way of writing the same thing. */
static void test_text_forms(void **state) {
    static const char *const forms[] = {
        "layer{name:'c'type:'Power'bottom:'x'top:'y'power_param{power:2,scale:-1.5e0;shift:.5}}",
        "layer < name: \"c\" type: 'Po' # comment }\n \"wer\" bottom: ['x'] top: 'y' power_param < power: 2.0f scale: "
        "-1.5 "
        "shift: 5e-1 > >",
        "layer: { name: '\\143' type: 'P\\x6fwer' bottom: 'x', top: \"y\"; power_param: { power: 2 scale: - 1.5 shift: "
        ".5 } }",
        "layer: [ { name: 'c' type: 'Power' bottom: [ 'x' ] top: [ 'y' ] unknown: [ 1, -2.5, 'a' 'b' ] other { a < b: "
        "[ { } ] > }"
        " power_param { power: 2 scale: -1.5 shift: 0.5 engine: CAFFE } } ]",
    };
    for (int i = 0; i < PH_COUNT(forms); i++) {
        ProtobufCMessage *message;
        if (ph_caffe_text_parse(*state, "net.prototxt", forms[i], strlen(forms[i]),
                                &ph_caffe__net_parameter__descriptor, &message))
            fail_msg("form %d: %s", i, ph_context_error(*state));
        const PhCaffe__NetParameter *net = (const PhCaffe__NetParameter *)message;
        assert_int_equal(net->n_layer, 1);
        const PhCaffe__LayerParameter *layer = net->layer[0];
        assert_string_equal(layer->name, "c");
        assert_string_equal(layer->type, "Power");
        assert_int_equal(layer->n_bottom, 1);
        assert_string_equal(layer->bottom[0], "x");
        assert_string_equal(layer->top[0], "y");
        const PhCaffe__PowerParameter *power = layer->power_param;
        assert_true(power->power == 2 && power->scale == -1.5 && power->shift == 0.5);
        ph_protobuf_free(message);
    }
}

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

#define CONVOLUTION(parameters) \
    "input: 'x' input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n" \
    "layer { name: 'c' type: 'Convolution' bottom: 'x' top: 'c' convolution_param { " parameters " } }"

/* The text of the error says where and what. */
static void test_errors(void **state) {
    static const struct { const char *text, *error;
    } cases[] = {
        {"", "no layers"},
        {"layer {\n  name: 'a'\n  type 'ReLU'\n}",
         "net.prototxt: line 3: ':' or '{' expected behind 'type', ''ReLU'' found"},
        {"layer {\n name: 'a'\n", "line 1: '{' is not closed"},
        {"layer {\n name: 'a\n }", "line 2: a string is not closed"},
        {"layer {\n name: 'a\\q' }", "line 2: a string has an unknown escape"},
        {"layer {\n name: 'a\\000' }", "line 2: a string contains a zero byte"},
        {"layer {\n name: 7 }", "line 2: a quoted string expected, '7' found"},
        {"\n\ninput_dim: many",
         "line 3: input_dim: a whole number from -2147483648 to 2147483647 expected, 'many' found"},
        {"input_dim: 99999999999", "line 1: input_dim: a whole number"},
        {"layer { convolution_param { num_output: -1 } }", "line 1: num_output: a whole number from 0 to 4294967295"},
        {"layer { pooling_param {\n pool: AVERAGE } }", "line 2: pool: 'AVERAGE' is none of MAX, AVE, STOCHASTIC"},
        {"layer { power_param {\n power: two } }", "line 2: power: a number expected, 'two' found"},
        {"layer { convolution_param { bias_term: 2 } }", "line 1: bias_term: true or false expected, '2' found"},
        {"layer { name: 'a'\nname: 'b' }", "line 2: name is given twice"},
        {"layer: 5", "line 1: layer: '{' expected, '5' found"},
        {"layer { unknown: { a: [ 1, 2 } } }", "line 1: ']' expected, '}' found"},
        {"}", "line 1: a field name expected, '}' found"},
        {"\x01", "line 1: a field name expected, '?' found"},
        {"layers { layer { name: 'conv1' type: 'conv' } }", "layer 'conv1' is in Caffe's V0 form"},
        {"layers { type: RELU } layer { type: 'ReLU' }", "of the current form (layer) and of the old one"},
        {"layer { name: 'a' type: 'ReLU' bottom: 'b' top: 'a' }",
         "layer 'a' (ReLU): no layer before it makes its bottom 'b'"},
        {"input: 'x' layer { name: 'a' type: 'ReLU' bottom: 'a' top: 'a' }",
         "layer 'a' (ReLU): no layer before it makes"},
        {"layer { name: 'p' type: 'Parameter' top: 'p' }", "no input"},
        {CONVOLUTION("num_output: 4 kernel_size: 3"),
         "net.prototxt: layer 'c' (Convolution): the file has no weights for it"},
        {CONVOLUTION("num_output: 4"), "layer 'c' (Convolution): kernel size, stride and dilation must be at least 1"},
        {CONVOLUTION("num_output: 4 kernel_size: 3 group: 2"), "layer 'c' (Convolution): 3 channels to 4 in 2 groups"},
        {CONVOLUTION("num_output: 4 kernel_h: 3 kernel_size: 3"), "kernel_h and kernel_w exclude a common one"},
        {CONVOLUTION("num_output: 4 kernel_size: [1, 2, 3]"), "3 values of kernel for 2 spatial axes"},
    };
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct ph_file file = text_file(cases[i].text);
        assert_int_not_equal(exercise_caffe(*state, &file, NULL), PH_OK);
        if (!strstr(ph_context_error(*state), cases[i].error))
            fail_msg("case %d: '%s' does not say '%s'", i, ph_context_error(*state), cases[i].error);
    }
}

static char *read_text(ph_context *context, const char *path) {
    struct ph_file file;
    assert_int_equal(ph_file_open(context, path, &file), PH_OK);
    char *text = ph_strndup((const char *)file.data, file.size);
    assert_non_null(text);
    ph_file_close(&file);
    return text;
}

/* A definition and weights that do not belong together: layer and shapes are named. */
static void test_mismatches(void **state) {
    static const struct { const char *old, *new, *error;
    } cases[] = {
        {"num_output: 6", "num_output: 9",
         "layer 'conv1' (Convolution): its weights have shape [6,3,3,3], [9,3,3,3] expected"},
        {"num_output: 5", "num_output: 7", "layer 'fc' (InnerProduct): its weights have shape [5,24], [7,24] expected"},
        {"kernel_w: 1", "kernel_w: 2",
         "layer 'conv2' (Convolution): its weights have shape [4,3,2,1], [4,3,2,2] expected"},
        {"name: \"conv1\"", "name: \"convX\"", "layer 'convX' (Convolution): the file has no weights for it"},
        {"dim: 13 dim: 11", "dim: 23 dim: 11", "layer 'fc' (InnerProduct): its weights have shape [5,24], [5,"},
    };
    struct ph_file weights;
    assert_int_equal(ph_file_open(*state, FOLDER "text.caffemodel", &weights), PH_OK);
    char *text = read_text(*state, FOLDER "text.prototxt");
    for (int i = 0; i < PH_COUNT(cases); i++) {
        const char *found = strstr(text, cases[i].old);
        assert_non_null(found);
        char *changed = ph_sprintf("%.*s%s%s", (int)(found - text), text, cases[i].new, found + strlen(cases[i].old));
        assert_non_null(changed);
        struct ph_file definition = text_file(changed);
        assert_int_not_equal(exercise_caffe(*state, &definition, &weights), PH_OK);
        if (!strstr(ph_context_error(*state), cases[i].error))
            fail_msg("case %d: '%s' does not say '%s'", i, ph_context_error(*state), cases[i].error);
        ph_free(changed);
    }
    ph_free(text);
    ph_file_close(&weights);
}

static void test_files(void **state) {
    struct ph_file file;
    void *parsed;
    assert_int_equal(ph_file_open(*state, FOLDER "v0.caffemodel", &file), PH_OK);
    assert_int_equal(ph_model_format_caffe.parse(*state, FOLDER "v0.caffemodel", &file, &parsed), PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(*state), "upgrade_net_proto_binary"));
    ph_file_close(&file);

    file = text_file("layer { }");
    assert_int_equal(ph_model_format_caffe.parse(*state, FOLDER "absent.prototxt", &file, &parsed), PH_ERROR_FILE);
    assert_non_null(strstr(ph_context_error(*state), "absent.caffemodel"));
    file = text_file("\x89HDF\r\n");
    assert_int_equal(ph_model_format_caffe.parse(*state, FOLDER "absent.caffemodel", &file, &parsed),
                     PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(*state), "HDF5"));
}

/* ---- Hostile files ----------------------------------------------------------------------------------------------- */

/* A copy of exactly this size, so that a sanitizer sees the first byte read behind it. */
static void exercise_bytes(ph_context *context, const uint8_t *data, size_t size, bool is_text) {
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    struct ph_file file = {.data = copy, .size = size};
    ph_context_set_log(context, NULL, NULL);
    context->error[0] = 0;
    ph_status status = exercise_caffe(context, is_text ? &file : NULL, is_text ? NULL : &file);
    if (status) assert_true(context->error[0]);
    free(copy);
}

static const char *const hostile[] = {"v1.caffemodel",     "in_place.caffemodel", "snapshot.caffemodel",
                                      "shapes.caffemodel", "training.prototxt",   "filters.prototxt"};

static void test_truncations(void **state) {
    for (int i = 0; i < PH_COUNT(hostile); i++) {
        char path[256];
        struct ph_file file;
        snprintf(path, sizeof path, FOLDER "%s", hostile[i]);
        assert_int_equal(ph_file_open(*state, path, &file), PH_OK);
        for (size_t size = 0; size < file.size; size++)
            exercise_bytes(*state, file.data, size, strstr(path, ".prototxt"));
        ph_file_close(&file);
    }
}

static void test_bit_flips(void **state) {
    for (int i = 0; i < PH_COUNT(hostile); i++) {
        char path[256];
        struct ph_file file;
        snprintf(path, sizeof path, FOLDER "%s", hostile[i]);
        assert_int_equal(ph_file_open(*state, path, &file), PH_OK);
        uint8_t *copy = malloc(file.size);
        assert_non_null(copy);
        memcpy(copy, file.data, file.size);
        for (size_t bit = 0; bit < 8 * file.size; bit++) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            exercise_bytes(*state, copy, file.size, strstr(path, ".prototxt"));
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free(copy);
        ph_file_close(&file);
    }
}

/* The n-th allocation fails, for every n until none does: an error each time, and a sanitizer sees any leak. */
static void test_memory(void **state) {
    struct ph_file weights, definition;
    assert_int_equal(ph_file_open(*state, FOLDER "text_v1.caffemodel", &weights), PH_OK);
    assert_int_equal(ph_file_open(*state, FOLDER "text_v1.prototxt", &definition), PH_OK);
    long n = 0;
    ph_status status;
    do {
        ph_alloc_fail_after(n++);
        status = exercise_caffe(*state, &definition, &weights);
        ph_alloc_fail_after(-1);
    } while (status && n < 100000);
    assert_int_equal(status, PH_OK);
    print_message("%ld allocations\n", n);
    assert_true(n > 100);
    ph_file_close(&weights);
    ph_file_close(&definition);
}

/* ---- A real network ---------------------------------------------------------------------------------------------- */

/* SqueezeNet from Caffe's files and from ONNX: the same values everywhere. */
static void test_squeezenet(void **state) {
    const char *extras = getenv("PHOSPHENE_EXTRAS");
    char paths[3][512];
    static const char *const extensions[] = {"onnx", "caffemodel", "prototxt"};
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s/weights/squeezenet_v1.1.%s", extras ? extras : "../shared",
                 extensions[i]);
    for (int i = 0; i < 3; i++)
        if (!ph_file_exists(paths[i])) {
            print_message("skipped: %s is not there (set PHOSPHENE_EXTRAS)\n", paths[i]);
            skip();
        }
    enum { SIZE = 227, COUNT = 3 * SIZE * SIZE };
    float *picture = ph_alloc_array(COUNT, sizeof *picture), *expected = NULL, *found = NULL;
    assert_non_null(picture);
    ph_random_normal((struct ph_random_key){.seed = 1}, picture, COUNT);
    for (int i = 0; i < COUNT; i++) picture[i] *= 50;
    struct network onnx;
    network_load(*state, &ph_model_format_onnx, paths[0], &onnx);
    network_build(*state, &onnx, PH_SHAPE(1, 3, SIZE, SIZE));
    for (int i = 1; i < 3; i++) {
        struct network caffe;
        network_load(*state, &ph_model_format_caffe, paths[i], &caffe);
        network_build(*state, &caffe, PH_SHAPE(1, 3, SIZE, SIZE));
        assert_null(caffe.unsupported);
        assert_int_equal(caffe.format->parameter_count(caffe.parsed), onnx.format->parameter_count(onnx.parsed));
        int taps[2][TAPS], count = 0;
        for (int v = 0; v < onnx.graph->value_count && count < TAPS; v++) {
            const struct ph_value *value = &onnx.graph->values[v];
            if (value->node == PH_ABSENT) continue;
            /* In the ONNX file a convolution's name means its values before the ReLU, in Caffe's behind it. */
            bool convolution = !strcmp(onnx.graph->nodes[value->node].operation->name, "convolution");
            char name[256];
            snprintf(name, sizeof name, convolution ? "%s/%s" : "%s", value->name, value->name);
            taps[0][count] = v;
            taps[1][count] = ph_graph_find(caffe.graph, name);
            if (taps[1][count++] == PH_ABSENT) fail_msg("no value '%s'", name);
        }
        assert_true(count >= 60);
        struct ph_program *programs[2] = {network_run(*state, &onnx, taps[0], count, NULL, picture),
                                          network_run(*state, &caffe, taps[1], count, NULL, picture)};
        double worst = 0;
        for (int t = 0; t < count; t++) {
            const struct ph_shape *shape = &onnx.graph->values[taps[0][t]].shape;
            assert_true(ph_shape_equal(shape, &caffe.graph->values[taps[1][t]].shape));
            int64_t size = ph_shape_size(shape);
            expected = ph_realloc_array(expected, (size_t)size, sizeof *expected);
            found = ph_realloc_array(found, (size_t)size, sizeof *found);
            assert_true(expected && found);
            ph_program_read(programs[0], taps[0][t], expected);
            ph_program_read(programs[1], taps[1][t], found);
            worst = fmax(worst, distance(found, expected, size));
        }
        print_message("%s: %d layers, largest relative difference %g\n", ph_base_name(paths[i]), count, worst);
        assert_true(worst < 1e-5);
        ph_program_destroy(&programs[0]);
        ph_program_destroy(&programs[1]);
        network_unload(&caffe);
    }
    network_unload(&onnx);
    ph_free(picture);
    ph_free(expected);
    ph_free(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_variants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_training_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inputs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_phases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_losses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mismatches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bit_flips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_squeezenet, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
