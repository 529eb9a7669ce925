/* Every fast kernel against the operations' plain functions: small random networks run by the plain backend and by each
 * instruction set this processor has, or, with an argument, by the backend of that name, and with "fp16" behind it in 16 bits.
 * With the argument "tiles", those of AMX alone, by emulation where the processor has none. Buffers lie in one arena, whose
 * contents around every tensor are checked by the results of the neighbours; shapes are drawn so that tails, strides, pads
 * and groups of every kind occur. */
#include "exec/plan.h"
#include "emulated_tiles.h"
#include "graph/operations.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct ph_random_key key = {.seed = 1};

static int draw(int low, int high) {
    key.step++;
    return low + (int)(ph_random_uniform(key, 0) * (high - low + 1));
}

static bool halves; /* the second argument is fp16: every number that is fed or constant is one of 16 bits */

static void round_numbers(float *values, int64_t count) {
    for (int64_t i = 0; i < count && halves; i++) values[i] = ph_half_to_float(ph_float_to_half(values[i]));
}

static float *noise(int64_t count) {
    float *values = malloc((size_t)(count + 1) * sizeof *values);
    key.step++;
    ph_random_normal(key, values, (size_t)count);
    return values;
}

struct network {
    ph_context *context;
    struct ph_graph *graph;
    union { int input, inputs[PH_CASE_INPUTS]; }; /* fed, and their gradients wanted; the first is most tests' only one */
    int input_count, last;
    bool silent;  /* no gradient passes: forward alone */
    bool chooses; /* ReLUs and maxima of what was computed, not fed, decide about gradients */
    float *constants[64];
    int constant_count;
};

static int constant(struct network *net, struct ph_shape shape, double scale) {
    int64_t size = ph_shape_size(&shape);
    float *values = noise(size);
    for (int64_t i = 0; i < size; i++) values[i] *= (float)scale;
    round_numbers(values, size);
    int value;
    assert_int_equal(ph_graph_add_constant(net->graph, NULL, PH_FLOAT, shape, values, &value), PH_OK);
    net->constants[net->constant_count++] = values;
    return value;
}

static struct ph_shape shape_of(const struct network *net, int value) { return net->graph->values[value].shape; }

/* Of all that is fed: numbers lie one input behind the other. */
static int64_t fed_size(const struct network *net) {
    int64_t size = 0;
    for (int i = 0; i < net->input_count; i++) size += ph_shape_size(&net->graph->values[net->inputs[i]].shape);
    return size;
}

static int feed(struct network *net, struct ph_shape shape) {
    int *input = &net->inputs[net->input_count++];
    assert_int_equal(ph_graph_add_input(net->graph, "x", PH_FLOAT, shape, input), PH_OK);
    return *input;
}

static void network_start(struct network *net, ph_context *context, struct ph_shape shape) {
    *net = (struct network){.context = context};
    assert_int_equal(ph_graph_create(context, &net->graph), PH_OK);
    net->last = feed(net, shape);
}

static int node(struct network *net, const struct ph_operation *operation, const void *attributes, const int *inputs, int count) {
    int out = PH_ABSENT;
    ph_status status = ph_graph_add(net->graph, operation, NULL, attributes, inputs, count, &out);
    if (status) fail_msg("%s", ph_context_error(net->context));
    return out;
}

static int convolution(struct network *net, int input, int outputs, int kernel_y, int kernel_x, int stride, int dilation,
                       int groups, bool bias) {
    struct ph_shape in = shape_of(net, input);
    struct ph_convolution_attributes a = {.kernel = {1, kernel_y, kernel_x}, .stride = {1, stride, stride},
        .dilation = {1, dilation, dilation}, .pad_begin = {0, draw(0, kernel_y / 2), draw(0, kernel_x / 2)},
        .pad_end = {0, draw(0, kernel_y / 2), draw(0, kernel_x / 2)}, .groups = groups};
    int64_t fan = in.dims[1] / groups * kernel_y * kernel_x;
    int inputs[3] = {input, constant(net, PH_SHAPE(outputs, in.dims[1] / groups, kernel_y, kernel_x), 1 / sqrt((double)fan)),
        bias ? constant(net, PH_SHAPE(outputs), 0.5) : PH_ABSENT};
    return node(net, &ph_operation_convolution, &a, inputs, bias ? 3 : 2);
}

struct result { float *value, *gradient; };
static int checks; /* every other one with guard bands around each tensor, the rest with shared memory */

static const char *device_backend; /* the program's argument; NULL: the CPU's instruction sets */
static int done, refused;

/* How often a test draws: a device that is a processor, as in continuous integration, takes long over each. */
static int rounds(int count) { return device_backend ? (count + 9) / 10 : count; }

static enum ph_precision asked = PH_FP32; /* of the CPU */

/* What a device refuses by name is counted and gives no result; the CPU refuses nothing. */
static struct result run(struct network *net, const char *backend, const float *input, bool guards) {
    ph_plan_guard(guards);
    ph_items_force(checks / 2 % 2);
    bool device = device_backend && !strcmp(backend, device_backend), whole = !net->silent && checks / 4 % 2;
    assert_int_equal(ph_context_set_precision(net->context, halves && device ? "fp16" : ph_precision_names[asked]), PH_OK);
    struct ph_program_request request = {.taps = &net->last, .tap_count = 1, .loss = net->silent ? PH_ABSENT : net->last,
        .parameters = net->inputs, .parameter_count = net->silent ? 0 : net->input_count, .whole = whole,
        .backend = backend};
    struct ph_program *program;
    ph_status status = ph_program_create(net->graph, &request, &program);
    if (status == PH_ERROR_UNSUPPORTED && device_backend && strstr(ph_context_error(net->context), " there; --backend cpu")) {
        static char last[256];
        if (strcmp(last, ph_context_error(net->context))) printf("refused: %s\n", ph_context_error(net->context));
        snprintf(last, sizeof last, "%s", ph_context_error(net->context));
        refused++;
        return (struct result){0};
    }
    if (status) fail_msg("%s", ph_context_error(net->context));
    struct ph_shape out = shape_of(net, net->last);
    size_t in_size = net->silent ? 0 : (size_t)fed_size(net), out_size = (size_t)ph_shape_size(&out);
    struct result result = {malloc((out_size + 1) * sizeof(float)), malloc((in_size + 1) * sizeof(float))};
    /* Twice: what the first run leaves behind must not show in the second. */
    for (int i = 0; i < 2; i++) {
        const float *values = input;
        for (int k = 0; k < net->input_count; k++) {
            struct ph_shape shape = shape_of(net, net->inputs[k]);
            memcpy(ph_program_input(program, net->inputs[k]), values, (size_t)ph_shape_size(&shape) * sizeof *values);
            values += ph_shape_size(&shape);
        }
        assert_int_equal(whole ? ph_program_run(program) : ph_program_forward(program), PH_OK);
        if (!net->silent && !whole) assert_int_equal(ph_program_backward(program), PH_OK);
    }
    assert_true(!guards || ph_program_is_intact(program));
    ph_program_read(program, net->last, result.value);
    float *gradient = result.gradient;
    for (int k = 0; k < net->input_count && !net->silent; k++) {
        struct ph_shape shape = shape_of(net, net->inputs[k]);
        memcpy(gradient, ph_program_gradient(program, net->inputs[k]), (size_t)ph_shape_size(&shape) * sizeof *gradient);
        gradient += ph_shape_size(&shape);
    }
    ph_program_destroy(&program);
    return result;
}

/* Relative to b, or to elements of `least` where those are less. */
static double distance(const float *a, const float *b, int64_t count, double least) {
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    norm = fmax(norm, least * least * (double)count);
    return sqrt(difference / (norm > 0 ? norm : 1));
}

/* On `backend`, held to what the plain one makes. */
static void compare(struct network *net, const char *backend, const char *name, const char *what, double tolerance,
                    const struct result *plain, const float *input) {
    struct ph_shape in = shape_of(net, net->input), out = shape_of(net, net->last);
    struct result fast = run(net, backend, input, checks++ % 2);
    if (!fast.value) return;
    /* Where an operation is flat, as a sigmoid far from 0, its gradient is made of what the rounding of values near 1 leaves:
     * a thousandth of the gradient that comes in is as little as the tolerance can be relative to. */
    double value = distance(fast.value, plain->value, ph_shape_size(&out), 0);
    double gradient = net->silent ? 0 : distance(fast.gradient, plain->gradient, fed_size(net), 1e-3);
    char a[128], b[128];
    /* Half a unit in the last place of 16 bits each time that a number is put away, a few times one behind the other. That
     * share of choices falls otherwise, and each moves a whole gradient: a deviation of its root, of which two are borne. */
    double near = halves ? 4.0 / 2048 : tolerance;
    if (!(value < near && gradient < (halves && net->chooses ? 2 * sqrt(near) : near)))
        fail_msg("%s, %s: %s to %s: value off by %.2e, gradient by %.2e", name, what, ph_shape_text(&in, a),
                 ph_shape_text(&out, b), value, gradient);
    done++;
    free(fast.value);
    free(fast.gradient);
}

static void network_finish(struct network *net, float *input) {
    free(input);
    ph_graph_destroy(&net->graph);
    for (int i = 0; i < net->constant_count; i++) free(net->constants[i]);
}

/* Runs the network everywhere and compares; then frees it. */
static void check_with(struct network *net, const char *what, double tolerance, float *input) {
    round_numbers(input, fed_size(net));
    struct result plain = run(net, "plain", input, false);
    enum ph_instruction_set highest = ph_instruction_set_detect();
    if (device_backend) compare(net, device_backend, device_backend, what, tolerance, &plain, input);
    for (int level = 0; level <= (int)highest && !device_backend; level++) {
        assert_int_equal(ph_context_set_instruction_set(net->context, ph_instruction_set_names[level]), PH_OK);
        compare(net, "cpu", ph_instruction_set_names[level], what, tolerance, &plain, input);
    }
    free(plain.value);
    free(plain.gradient);
    network_finish(net, input);
}

static void check(struct network *net, const char *what, double tolerance) {
    check_with(net, what, tolerance, noise(fed_size(net)));
}

static int batch_norm(struct network *net, int input) {
    int64_t channels = shape_of(net, input).dims[1];
    int inputs[] = {input, constant(net, PH_SHAPE(channels), 1), constant(net, PH_SHAPE(channels), 0.5),
        constant(net, PH_SHAPE(channels), 0.5), constant(net, PH_SHAPE(channels), 0)};
    float *variance = net->constants[net->constant_count - 1];
    for (int64_t c = 0; c < channels; c++) variance[c] = 0.5f + (float)(c % 5);
    return node(net, &ph_operation_batch_norm, &(struct ph_norm_attributes){.epsilon = 1e-5}, inputs, 5);
}

static void test_convolutions(void **state) {
    for (int i = 0; i < rounds(150); i++) {
        struct network net;
        int groups = (const int[]){1, 1, 1, 1, 2, 3}[draw(0, 5)];
        int channels = groups * (const int[]){1, 3, 4, 8, 16, 20, 32, 48}[draw(0, 7)], outputs = groups * draw(1, 70);
        int kernel_y = draw(1, 5), kernel_x = draw(0, 3) ? kernel_y : draw(1, 7), stride = draw(1, 3), dilation = draw(0, 3) ? 1 : 2;
        network_start(&net, *state, PH_SHAPE(draw(1, 3), channels, draw(10, 34), draw(13, 34)));
        net.last = convolution(&net, net.input, outputs, kernel_y, kernel_x, stride, dilation, groups, draw(0, 1));
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        net.last = convolution(&net, net.last, draw(1, 40), 1, 1, 1, 1, 1, true);
        char what[128];
        snprintf(what, sizeof what, "convolution %dx%d stride %d dilation %d groups %d", kernel_y, kernel_x, stride, dilation, groups);
        check(&net, what, 1e-5);
    }
}

/* The units that multiply bfloat16 factors: tiles in plain C everywhere, the others where the processor has them. */
static const enum ph_instruction_set bfloat16_units[] = {PH_PORTABLE, PH_AVX512_BF16, PH_AMX};

static void print_plan(struct network *net, const char *backend, struct ph_text *text) {
    struct ph_program_request request = {.taps = &net->last, .tap_count = 1, .loss = net->last, .parameters = &net->input,
        .parameter_count = 1, .backend = backend};
    struct ph_program *program;
    assert_int_equal(ph_program_create(net->graph, &request, &program), PH_OK);
    assert_int_equal(ph_program_print(program, false, text), PH_OK);
    ph_program_destroy(&program);
}

/* The same bytes by one thread and by several. */
static void threads_check(struct network *net, int threads, const float *input) {
    struct result results[2];
    struct ph_shape out = shape_of(net, net->last);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ph_context_set_threads(net->context, i ? threads : 1), PH_OK);
        results[i] = run(net, "cpu", input, false);
    }
    assert_memory_equal(results[0].value, results[1].value, (size_t)ph_shape_size(&out) * sizeof(float));
    assert_memory_equal(results[0].gradient, results[1].gradient, (size_t)fed_size(net) * sizeof(float));
    for (int i = 0; i < 2; i++) {
        free(results[i].value);
        free(results[i].gradient);
    }
    assert_int_equal(ph_context_set_threads(net->context, 0), PH_OK);
}

/* That the kernels of this precision are run, both ways, and make the same bytes by one thread and by three. */
static void check_bfloat16(struct network *net, enum ph_instruction_set unit, enum ph_precision precision, const char *what,
                           double tolerance, const struct result *plain, const float *input) {
    ph_context *context = net->context;
    struct ph_text plan = {0};
    char name[64], forward[32], backward[32];
    context->instruction_set = unit;
    asked = precision;
    snprintf(name, sizeof name, "%s %s", ph_instruction_set_names[unit], ph_precision_names[precision]);
    compare(net, "cpu", name, what, tolerance, plain, input);
    print_plan(net, "cpu", &plan);
    bool ran[2] = {false};
    for (const char *line = plan.data; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (sscanf(line, "%31s convolution %31s", forward, backward) == 2 && !strcmp(backward, ph_precision_names[precision]))
            ran[!strcmp(forward, "backward")] = true;
    if (!ran[0] || !ran[1]) fail_msg("%s: %s: not run both ways:\n%s", name, what, plan.data);
    ph_text_finish(&plan);
    threads_check(net, 3, input);
    asked = PH_FP32;
}

/* A rounded factor is off by 2^-9 of itself, a split one by 2^-18 and its product with what is left out by 2^-18 more; a ReLU
 * stands only where it does not hang on that: behind biases that outweigh the sums. Two convolutions, one behind the other, and
 * two that read the same value, so that gradients are added up. */
static void bfloat16_network(struct network *net, ph_context *context, int rows, int columns, char what[128]) {
    int channels = (const int[]){16, 17, 32, 48, 33, 70}[draw(0, 5)], outputs = draw(16, 60);
    int kernel_y = draw(1, 5), kernel_x = draw(0, 3) ? kernel_y : draw(1, 5);
    int stride = draw(1, 3), dilation = draw(0, 3) ? 1 : 2;
    network_start(net, context, PH_SHAPE(draw(1, 2), channels, draw(9, rows), draw(9, columns)));
    net->last = convolution(net, net->input, outputs, kernel_y, kernel_x, stride, dilation, 1, true);
    float *bias = net->constants[net->constant_count - 1];
    for (int c = 0; c < outputs; c++) bias[c] = c % 2 ? 30 : -30;
    bool relu = draw(0, 1);
    if (!relu) memset(bias, 0, (size_t)outputs * sizeof *bias);
    if (relu) net->last = node(net, &ph_operation_relu, NULL, &net->last, 1);
    int made = net->last, last = draw(16, 40);
    int pair[2] = {convolution(net, made, last, 1, 1, 1, 1, 1, false), convolution(net, made, last, 1, 1, 1, 1, 1, true)};
    net->last = node(net, &ph_operation_add, NULL, pair, 2);
    snprintf(what, 128, "convolution %dx%d stride %d dilation %d%s", kernel_y, kernel_x, stride, dilation, relu ? ", ReLU" : "");
}

static void test_bfloat16(void **state) {
    for (int i = 0; i < rounds(20) && !device_backend; i++) {
        struct network net;
        char what[128];
        bfloat16_network(&net, *state, 20, 44, what);
        float *input = noise(fed_size(&net));
        struct result plain = run(&net, "plain", input, false);
        for (int u = 0; u < PH_COUNT(bfloat16_units); u++)
            for (enum ph_precision p = PH_BF16X3; p <= PH_BF16; p++)
                if (bfloat16_units[u] <= ph_instruction_set_detect())
                    check_bfloat16(&net, bfloat16_units[u], p, what, p == PH_BF16 ? 0x1p-7 : 0x1p-15, &plain, input);
        assert_int_equal(ph_context_set_instruction_set(net.context, "auto"), PH_OK);
        free(plain.value);
        free(plain.gradient);
        network_finish(&net, input);
    }
}

/* The machine code of AMX, held to the plain functions as the other units are, and to its twin, tiles in plain C: these
 * differ in the order of sums alone, and where that turns the rounding of what the next layer reads. */
static void test_tiles(void **state) {
    bool present = ph_instruction_set_detect() == PH_AMX;
    assert_true(present || emulated_tiles_start()); /* again: cmocka has put handlers of its own in its place */
    for (int i = 0; i < 12; i++) {
        struct network net;
        char what[128];
        bfloat16_network(&net, *state, 14, i % 4 ? 20 : 70, what);
        float *input = noise(fed_size(&net));
        struct result plain = run(&net, "plain", input, false);
        for (enum ph_precision p = PH_BF16X3; p <= PH_BF16; p++) {
            net.context->instruction_set = PH_PORTABLE;
            asked = p;
            struct result twin = run(&net, "cpu", input, false);
            check_bfloat16(&net, PH_AMX, p, what, p == PH_BF16 ? 0x1p-7 : 0x1p-15, &plain, input);
            check_bfloat16(&net, PH_AMX, p, what, p == PH_BF16 ? 0x1p-11 : 0x1p-19, &twin, input);
            struct emulated_tiles_report report = emulated_tiles_report();
            if (report.fault) fail_msg("%s: %s", what, report.fault);
            assert_int_equal(report.open, 0);
            assert_true(present || report.multiplied > 0);
            free(twin.value);
            free(twin.gradient);
        }
        assert_int_equal(ph_context_set_instruction_set(net.context, "auto"), PH_OK);
        free(plain.value);
        free(plain.gradient);
        network_finish(&net, input);
    }
}

/* Convolutions that matrix hardware takes, where the device has some or its twin is asked for: every tail of the tiles,
 * groups, strides, one axis and two, sums long enough to be split; gradients of any size. */
static void test_matrices(void **state) {
    const char *wish = getenv("PHOSPHENE_VULKAN_MATRICES");
    bool twin = halves && wish && !strcmp(wish, "twin");
    for (int i = 0; i < rounds(120); i++) {
        struct network net;
        int groups = draw(0, 3) ? 1 : 2, channels = 16 * draw(1, 2), outputs = groups * draw(16, 90), kernel = draw(1, 3);
        bool row = draw(0, 4) == 0;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(7, 20), draw(7, 20)));
        int size = draw(0, 2); /* of gradients: as they come; more than 16 bits hold; less, and brought back at the input */
        int scaled[2] = {net.input, constant(&net, PH_SHAPE(1), 0)};
        net.constants[net.constant_count - 1][0] = size == 2 ? 0x1p8f : 1;
        net.last = node(&net, &ph_operation_mul, NULL, scaled, 2);
        net.last = convolution(&net, net.last, channels * groups, 1, 1, 1, 1, 1, true);
        if (row) {
            struct ph_shape made = shape_of(&net, net.last);
            struct ph_shape_attributes flat = {PH_SHAPE(made.dims[0], made.dims[1], made.dims[2] * made.dims[3])};
            net.last = node(&net, &ph_operation_reshape, &flat, &net.last, 1);
            struct ph_convolution_attributes a = {.kernel = {1, 1, kernel}, .stride = {1, 1, draw(1, 2)}, .dilation = {1, 1, 1},
                .groups = groups};
            int inputs[2] = {net.last, constant(&net, PH_SHAPE(outputs, channels, kernel), 0.2)};
            net.last = node(&net, &ph_operation_convolution, &a, inputs, 2);
        } else {
            net.last = convolution(&net, net.last, outputs, kernel, kernel, draw(1, 2), draw(1, 2), groups, draw(0, 1));
        }
        struct ph_text plan = {0};
        if (twin) print_plan(&net, device_backend, &plan);
        if (twin && (!strstr(plan.data, "matrices") || !strstr(strstr(plan.data, "backward"), "matrices")))
            fail_msg("no matrices both ways:\n%s", plan.data);
        ph_text_finish(&plan);
        int weighted[2] = {net.last, constant(&net, shape_of(&net, net.last), 1)};
        scaled[0] = node(&net, &ph_operation_mul, NULL, weighted, 2);
        scaled[1] = constant(&net, PH_SHAPE(1), 0);
        net.constants[net.constant_count - 1][0] = (const float[]){1, 0x1p15f, 0x1p-24f}[size];
        net.last = node(&net, &ph_operation_mul, NULL, scaled, 2);
        check(&net, row ? "matrices, rows" : "matrices", 1e-5);
    }
}

/* Squeeze and excitation: channels by a factor each that depends on all positions. */
static void test_channel_scale(void **state) {
    for (int i = 0; i < rounds(20); i++) {
        struct network net;
        int channels = draw(2, 50);
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(4, 20), draw(4, 20)));
        net.last = convolution(&net, net.input, channels, 3, 3, 1, 1, 1, true);
        int factor = node(&net, &ph_operation_global_average_pool, NULL, &net.last, 1);
        factor = convolution(&net, factor, channels, 1, 1, 1, 1, 1, true);
        factor = node(&net, draw(0, 1) ? &ph_operation_sigmoid : &ph_operation_tanh, NULL, &factor, 1);
        bool left = draw(0, 1);
        int pair[2] = {left ? factor : net.last, left ? net.last : factor};
        net.last = node(&net, &ph_operation_mul, NULL, pair, 2);
        net.last = convolution(&net, net.last, 5, 1, 1, 1, 1, 1, true);
        check(&net, "channel scale", 1e-5);
    }
}

/* Each channel by itself; with batch normalisation and a ReLU, or one with a ceiling, that a pass merges. */
static void test_depthwise(void **state) {
    for (int i = 0; i < rounds(100); i++) {
        struct network net;
        int channels = draw(2, 50), kernel = (const int[]){1, 3, 3, 5, 7, 2}[draw(0, 5)];
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(16, 30), draw(16, 30)));
        net.last = convolution(&net, net.input, channels, 3, 3, 1, 1, 1, true);
        net.last = convolution(&net, net.last, channels, kernel, kernel, draw(1, 3), draw(0, 3) ? 1 : 2, channels, draw(0, 1));
        if (draw(0, 1)) net.last = batch_norm(&net, net.last);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_tanh, NULL, &net.last, 1);
        if (draw(0, 1)) net.last = batch_norm(&net, net.last);
        if (draw(0, 2)) {
            struct ph_activation_attributes clip = {.low = 0, .high = 0.5};
            bool ceiling = draw(0, 1);
            net.chooses = true;
            net.last = node(&net, ceiling ? &ph_operation_clip : &ph_operation_relu, ceiling ? &clip : NULL, &net.last, 1);
        }
        net.last = convolution(&net, net.last, draw(1, 40), 1, 1, 1, 1, 1, true);
        check(&net, "depthwise", 1e-5);
    }
}

static void test_first_layers(void **state) {
    static const struct { int kernel, stride, size, channels, outputs; } shapes[] = {{7, 2, 64, 3, 20}, {3, 1, 64, 3, 20}, {3, 2, 57, 3, 20},
        {11, 4, 91, 1, 20}, {11, 4, 95, 3, 40}, {5, 2, 64, 3, 20}, {1, 1, 30, 3, 20}, {5, 3, 44, 3, 20}, {8, 2, 41, 2, 17}, {7, 3, 50, 4, 33}};
    for (int i = 0; i < 2 * PH_COUNT(shapes); i++) {
        int kernel = shapes[i / 2].kernel, stride = shapes[i / 2].stride, channels = shapes[i / 2].channels, outputs = shapes[i / 2].outputs;
        struct network net;
        network_start(&net, *state, PH_SHAPE(i / 2 % 2 + 1, channels, shapes[i / 2].size, shapes[i / 2].size + 3 * (i / 2)));
        if (i % 2) {
            /* As networks have them: pads of half the filter on all sides. */
            struct ph_convolution_attributes a = {.kernel = {1, kernel, kernel}, .stride = {1, stride, stride}, .dilation = {1, 1, 1},
                .pad_begin = {0, kernel / 2, kernel / 2}, .pad_end = {0, kernel / 2, kernel / 2}, .groups = 1};
            int inputs[] = {net.input, constant(&net, PH_SHAPE(outputs, channels, kernel, kernel), 1 / sqrt((double)channels * kernel * kernel)),
                constant(&net, PH_SHAPE(outputs), 0.5)};
            net.last = node(&net, &ph_operation_convolution, &a, inputs, 3);
        } else {
            net.last = convolution(&net, net.input, outputs, kernel, kernel, stride, 1, 1, true);
        }
        net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        net.last = convolution(&net, net.last, 5, 1, 1, 1, 1, 1, true);
        check(&net, "first layer", 1e-5);
    }
}

static int pool(struct network *net, int input, const struct ph_operation *operation) {
    struct ph_shape in = shape_of(net, input);
    int kernel = draw(1, 3), stride = draw(1, 3);
    struct ph_pool_attributes a = {.kernel = {1, kernel, 3}, .stride = {1, stride, 2}, .dilation = {1, 1, draw(1, 2)},
        .pad_begin = {0, draw(0, kernel / 2), 1}, .pad_end = {0, draw(0, kernel / 2), draw(0, 1)}, .output = {1, 1, 1},
        .divisor = draw(0, 1) ? PH_DIVIDE_VALID : PH_DIVIDE_PADDED};
    for (int i = 1; i < PH_SPATIAL; i++) {
        int64_t room = in.dims[i + 1] + a.pad_begin[i] + a.pad_end[i] - (a.kernel[i] - 1) * a.dilation[i] - 1;
        a.output[i] = room / a.stride[i] + 1;
    }
    return node(net, operation, &a, &input, 1);
}

static int norm(struct network *net, int input) {
    struct ph_response_norm_attributes a = {.size = draw(1, 7), .alpha = 0.5, .beta = draw(0, 1) ? 0.75 : 0.6, .bias = 1.5};
    return node(net, &ph_operation_local_response_norm, &a, &input, 1);
}

/* Convolution, something blocked, then branches that are concatenated: the shapes of inception and fire modules. */
static void test_networks(void **state) {
    for (int i = 0; i < rounds(80); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 3), 3, draw(12, 30), draw(12, 30)));
        net.chooses = true;
        net.last = convolution(&net, net.input, draw(1, 50), 3, 3, draw(1, 2), 1, 1, true);
        net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        switch (draw(0, 3)) {
        case 0: net.last = pool(&net, net.last, &ph_operation_max_pool); break;
        case 1: net.last = pool(&net, net.last, &ph_operation_average_pool); break;
        case 2: net.last = norm(&net, net.last); break;
        default: net.last = node(&net, &ph_operation_tanh, NULL, &net.last, 1); break;
        }
        int branches[4], count = draw(1, 4), same = net.last;
        for (int b = 0; b < count; b++) {
            branches[b] = convolution(&net, same, draw(0, 2) ? 16 * draw(1, 3) : draw(1, 40), 1, 1, 1, 1, 1, draw(0, 1));
            if (draw(0, 1)) branches[b] = node(&net, &ph_operation_relu, NULL, &branches[b], 1);
            if (draw(0, 4) == 0) branches[b] = same;
        }
        if (count > 1) net.last = node(&net, &ph_operation_concat, &(struct ph_axis_attributes){1}, branches, count);
        else net.last = branches[0];
        if (draw(0, 1)) {
            /* A residual: one value used twice. */
            int pair[2] = {convolution(&net, net.last, (int)shape_of(&net, net.last).dims[1], 1, 1, 1, 1, 1, false), net.last};
            net.last = node(&net, &ph_operation_add, NULL, pair, 2);
        }
        if (draw(0, 1)) net.last = convolution(&net, net.last, draw(1, 20), 1, 1, 1, 1, 1, false);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_global_average_pool, NULL, &net.last, 1);
        if (draw(0, 1)) {
            struct ph_shape shape = shape_of(&net, net.last);
            int64_t length = ph_shape_size(&shape) / shape.dims[0], outputs = draw(1, 30);
            struct ph_shape_attributes flat = {PH_SHAPE(shape.dims[0], length)};
            net.last = node(&net, &ph_operation_reshape, &flat, &net.last, 1);
            bool transpose = draw(0, 1);
            int inputs[] = {net.last, constant(&net, transpose ? PH_SHAPE(outputs, length) : PH_SHAPE(length, outputs), 0.1),
                constant(&net, PH_SHAPE(outputs), 1)};
            net.last = node(&net, &ph_operation_gemm, &(struct ph_gemm_attributes){1, 1, false, transpose}, inputs, 3);
        }
        char what[64];
        snprintf(what, sizeof what, "network %d", i);
        check(&net, what, 2e-5);
    }
}

/* With a bias, of the size of what it reads. */
static int sized_convolution(struct network *net, int from, int outputs, int rows, int columns, int groups) {
    int channels = (int)shape_of(net, from).dims[1];
    struct ph_convolution_attributes a = {.kernel = {1, rows, columns}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, rows / 2, columns / 2}, .pad_end = {0, rows / 2, columns / 2}, .groups = groups};
    double scale = 1 / sqrt((double)channels / groups * rows * columns);
    int inputs[3] = {from, constant(net, PH_SHAPE(outputs, channels / groups, rows, columns), scale),
        constant(net, PH_SHAPE(outputs), 0.3)};
    return node(net, &ph_operation_convolution, &a, inputs, 3);
}

static int same_convolution(struct network *net, int from, int outputs, int side, int groups) {
    return sized_convolution(net, from, outputs, side, side, groups);
}

static int line_convolution(struct network *net, int from, int outputs, int length, bool across) {
    return sized_convolution(net, from, outputs, across ? 1 : length, across ? length : 1, 1);
}

/* Maps that threads share out by rows, whose windows reach across. */
static void test_large_maps(void **state) {
    static const struct ph_operation *const pools[] = {&ph_operation_max_pool, &ph_operation_average_pool};
    for (int i = 0; i < rounds(80); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 3), draw(1, 40), draw(24, 40), draw(24, 40)));
        net.chooses = true;
        ph_context_set_threads(net.context, draw(1, 5));
        net.last = convolution(&net, net.input, 16 * draw(1, 3), 1, 1, 1, 1, 1, true);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        struct ph_shape in = shape_of(&net, net.last);
        struct ph_pool_attributes a = {.output = {1}, .divisor = draw(0, 1) ? PH_DIVIDE_VALID : PH_DIVIDE_PADDED,
            .kernel = {1, draw(1, 9), draw(1, 5)}, .stride = {1, draw(1, 3), draw(1, 3)},
            .dilation = {1, draw(1, 2), draw(1, 2)}};
        for (int k = 1; k < PH_SPATIAL; k++) {
            a.pad_begin[k] = draw(0, (int)a.kernel[k] / 2);
            a.pad_end[k] = draw(0, (int)a.kernel[k] / 2);
            int64_t covered = (a.kernel[k] - 1) * a.dilation[k] + 1;
            a.output[k] = (in.dims[k + 1] + a.pad_begin[k] + a.pad_end[k] - covered) / a.stride[k] + 1;
        }
        a.pad_begin[0] = 0;
        int pooled = node(&net, pools[draw(0, 1)], &a, &net.last, 1);
        /* A second reader: the pool's gradient is added to another, and may be the one that is cut off. */
        int branches[2] = {draw(0, 1) ? node(&net, pools[draw(0, 1)], &a, &net.last, 1) : pooled, pooled};
        net.last = node(&net, &ph_operation_add, NULL, branches, 2);
        net.last = convolution(&net, net.last, draw(1, 40), 1, 1, 1, 1, 1, true);
        char what[64];
        snprintf(what, sizeof what, "pool %dx%d of a large map", (int)a.kernel[1], (int)a.kernel[2]);
        check(&net, what, 1e-5);
        ph_context_set_threads(*state, 0);
    }
}

/* Small maps with many channels, whose tiles and groups of channels threads share out in more than one way: with the same bytes
 * by one thread. */
static void test_few_tiles(void **state) {
    for (int i = 0; i < rounds(20); i++) {
        struct network net;
        int threads = draw(2, 7), side = draw(0, 2) ? 3 : 5;
        network_start(&net, *state, PH_SHAPE(1, draw(16, 50), draw(12, 30), draw(12, 24)));
        net.last = same_convolution(&net, net.input, draw(16, 240), side, 1);
        struct ph_shape in = shape_of(&net, net.input);
        float *input = noise(ph_shape_size(&in));
        round_numbers(input, ph_shape_size(&in));
        threads_check(&net, threads, input);
        ph_context_set_threads(*state, threads);
        check_with(&net, "few tiles", 1e-5, input);
        ph_context_set_threads(*state, 0);
    }
}

/* One layer that reads `from` and keeps its size, at times with a ReLU behind it: of every kind whose backward may cut off
 * a gradient in passing. */
static int layer(struct network *net, int from) {
    int channels = (int)shape_of(net, from).dims[1], kind = draw(0, 7);
    if (kind == 7) {
        /* Before a convolution, as in DenseNet. */
        from = batch_norm(net, from);
        if (draw(0, 3)) from = node(net, &ph_operation_relu, NULL, &from, 1);
        kind = 3;
    }
    static const struct ph_operation *const pools[] = {&ph_operation_max_pool, &ph_operation_average_pool};
    if (kind == 5) return norm(net, from);
    if (kind == 6) {
        struct ph_pool_attributes a = {.kernel = {1, 3, 3}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .pad_begin = {0, 1, 1},
            .pad_end = {0, 1, 1}, .output = {1}, .divisor = PH_DIVIDE_PADDED};
        struct ph_shape shape = shape_of(net, from);
        for (int k = 2; k < 4; k++) a.output[k - 1] = shape.dims[k];
        return node(net, pools[draw(0, 1)], &a, &from, 1);
    }
    int side = kind < 2 ? 3 : kind == 2 ? 5 : kind == 3 ? 1 : 3, groups = kind == 4 ? channels : 1;
    int outputs = kind == 4 ? channels : 16 * draw(1, 3);
    int made = same_convolution(net, from, outputs, side, groups);
    if (draw(0, 5) == 0) return made;
    if (draw(0, 3)) return node(net, &ph_operation_relu, NULL, &made, 1);
    return node(net, &ph_operation_clip, &(struct ph_activation_attributes){.low = 0, .high = draw(1, 2)}, &made, 1);
}

/* Values that come out of ReLUs and are read by one or more: the last of them to write the gradient may cut it off, but not
 * what others read too. Beside what each ReLU makes of it by itself, with the same choices of ReLUs and maxima. */
static void test_cut_off_gradients(void **state) {
    for (int i = 0; i < (device_backend ? 0 : 60); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 3), draw(0, 1) ? 3 : 16, draw(12, 20), draw(12, 20)));
        net.chooses = true;
        net.last = convolution(&net, net.input, 16 * draw(1, 2), 1, 1, draw(1, 2), 1, 1, true);
        net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        for (int deep = draw(1, 3); deep > 0; deep--) {
            int branches[3], count = draw(1, 3);
            for (int b = 0; b < count; b++) {
                branches[b] = layer(&net, net.last);
                if (draw(0, 1)) branches[b] = layer(&net, branches[b]);
            }
            int way = count == 1 ? 2 : draw(0, 1);
            if (way == 1) net.last = node(&net, &ph_operation_concat, &(struct ph_axis_attributes){1}, branches, count);
            else net.last = branches[0];
            if (draw(0, 1)) {
                /* A residual with the ReLU behind the sum. */
                int pair[2] = {convolution(&net, layer(&net, net.last), (int)shape_of(&net, net.last).dims[1], 1, 1, 1, 1, 1, false),
                               net.last};
                struct ph_shape sizes[2] = {shape_of(&net, pair[0]), shape_of(&net, pair[1])};
                if (ph_shape_equal(&sizes[0], &sizes[1])) {
                    if (draw(0, 1)) pair[0] = node(&net, &ph_operation_relu, NULL, &pair[0], 1);
                    net.last = node(&net, &ph_operation_add, NULL, pair, 2);
                    if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
                }
            }
        }
        struct ph_shape in = shape_of(&net, net.input);
        float *input = noise(ph_shape_size(&in));
        for (int level = 0; level <= (int)ph_instruction_set_detect(); level++) {
            struct result results[2];
            assert_int_equal(ph_context_set_instruction_set(net.context, ph_instruction_set_names[level]), PH_OK);
            for (int cut = 0; cut < 2; cut++) {
                ph_plan_gates(cut);
                results[cut] = run(&net, "cpu", input, checks++ % 2);
            }
            double off = distance(results[1].gradient, results[0].gradient, ph_shape_size(&in), 0);
            if (!(off < 1e-5)) fail_msg("%s, network %d: gradient off by %.2e", ph_instruction_set_names[level], i, off);
            for (int cut = 0; cut < 2; cut++) free(results[cut].value), free(results[cut].gradient);
        }
        network_finish(&net, input);
    }
}

/* What may stand beside another in a sum of as many channels: mostly convolutions, at times one number for every pixel. */
static int summand(struct network *net, int from, bool narrow) {
    int channels = (int)shape_of(net, from).dims[1], made;
    switch (draw(narrow ? 0 : 1, 7)) {
    case 0: return node(net, &ph_operation_global_average_pool, NULL, &from, 1);
    case 1: return from;
    case 2: return node(net, &ph_operation_tanh, NULL, &from, 1);
    case 3:
        made = same_convolution(net, from, channels, 3, 1);
        return net->chooses ? node(net, &ph_operation_relu, NULL, &made, 1) : made;
    case 4: return same_convolution(net, from, channels, 3, draw(0, 1) ? channels : channels % 2 ? 1 : 2);
    default: return same_convolution(net, from, channels, 2 * draw(0, 2) + 1, 1);
    }
}

/* The sum, at times with a ReLU behind it, at times with others that read the sum, its operand or the ReLU. */
static int sum_of(struct network *net, int from) {
    int pair[2], first = draw(0, 1), channels = (int)shape_of(net, from).dims[1];
    pair[first] = summand(net, from, false);
    pair[1 - first] = draw(0, 9) ? summand(net, from, true) : pair[first];
    int sum = node(net, &ph_operation_add, NULL, pair, 2), last = sum;
    if (net->chooses && draw(0, 3)) last = node(net, &ph_operation_relu, NULL, &sum, 1);
    switch (draw(0, 5)) {
    case 0: return node(net, &ph_operation_mul, NULL, (int[]){last, sum}, 2);
    case 1: return node(net, &ph_operation_add, NULL, (int[]){last, pair[draw(0, 1)]}, 2);
    case 2:
        last = node(net, &ph_operation_concat, &(struct ph_axis_attributes){1}, (int[]){last, from}, 2);
        return same_convolution(net, last, channels, 1, 1);
    default: return last;
    }
}

/* Sums that a convolution may make in place of its output, and others that look like them: the same bytes either way. Beside the
 * plain functions without ReLUs, whose choices may hang on rounding, or forward alone. */
static void test_sums(void **state) {
    for (int i = 0; i < rounds(50); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 3), draw(0, 1) ? 3 : 16, draw(12, 20), draw(12, 20)));
        net.chooses = draw(0, 2);
        net.last = convolution(&net, net.input, draw(0, 2) ? 16 * draw(1, 3) : draw(2, 40), 1, 1, draw(1, 2), 1, 1, true);
        if (net.chooses && draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        for (int deep = draw(1, 3); deep > 0; deep--) net.last = sum_of(&net, net.last);
        struct ph_shape in = shape_of(&net, net.input), out = shape_of(&net, net.last);
        float *input = noise(ph_shape_size(&in));
        for (int level = 0; level <= (int)ph_instruction_set_detect() && !device_backend; level++, checks++) {
            struct result results[2];
            assert_int_equal(ph_context_set_instruction_set(net.context, ph_instruction_set_names[level]), PH_OK);
            for (int made = 0; made < 2; made++) {
                ph_plan_sums(made);
                results[made] = run(&net, "cpu", input, checks % 2);
            }
            assert_memory_equal(results[0].value, results[1].value, (size_t)ph_shape_size(&out) * sizeof(float));
            assert_memory_equal(results[0].gradient, results[1].gradient, (size_t)ph_shape_size(&in) * sizeof(float));
            for (int made = 0; made < 2; made++) free(results[made].value), free(results[made].gradient);
        }
        char what[64];
        snprintf(what, sizeof what, "sums, network %d", i);
        net.silent = net.chooses;
        check_with(&net, what, 2e-5, input);
    }
}

/* Windows over one axis and over three, with strides, dilations and pads of their own along each. */
static void test_rows_and_volumes(void **state) {
    for (int i = 0; i < rounds(160); i++) {
        struct network net;
        int groups = draw(0, 3) ? 1 : 2, channels = groups * draw(1, 5), outputs = draw(1, 36), spatial = i % 2 ? 3 : 1;
        bool transposed = draw(0, 2) == 0;
        struct ph_shape shape = {.rank = 2 + spatial, .dims = {draw(1, 2), channels}}, kernel = shape;
        struct ph_convolution_attributes a = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = groups};
        struct ph_pool_attributes p = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .output = {1, 1, 1},
            .divisor = draw(0, 1) ? PH_DIVIDE_VALID : PH_DIVIDE_PADDED};
        kernel.dims[0] = transposed ? channels : groups * outputs;
        kernel.dims[1] = transposed ? outputs : channels / groups;
        for (int k = 2; k < shape.rank; k++) {
            int axis = PH_SPATIAL - shape.rank + k;
            shape.dims[k] = draw(6, spatial == 3 ? 10 : 90);
            kernel.dims[k] = a.kernel[axis] = draw(1, 3);
            a.stride[axis] = draw(1, 2);
            a.dilation[axis] = draw(1, 2);
            a.pad_begin[axis] = draw(0, (int)a.kernel[axis] / 2);
            a.pad_end[axis] = draw(0, (int)a.kernel[axis] / 2);
            p.kernel[axis] = draw(1, 2);
            p.stride[axis] = draw(1, 2);
            p.pad_begin[axis] = draw(0, (int)p.kernel[axis] - 1);
        }
        network_start(&net, *state, shape);
        net.chooses = true;
        int inputs[3] = {net.input, constant(&net, kernel, 0.3), constant(&net, PH_SHAPE(groups * outputs), 0.5)};
        net.last = node(&net, transposed ? &ph_operation_convolution_transpose : &ph_operation_convolution, &a, inputs, draw(2, 3));
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        struct ph_shape made = shape_of(&net, net.last);
        for (int k = 2; k < made.rank; k++) {
            int axis = PH_SPATIAL - made.rank + k;
            p.output[axis] = (made.dims[k] + p.pad_begin[axis] - p.kernel[axis]) / p.stride[axis] + 1;
        }
        net.last = node(&net, draw(0, 1) ? &ph_operation_max_pool : &ph_operation_average_pool, &p, &net.last, 1);
        char what[64];
        snprintf(what, sizeof what, "%d axes%s, groups %d", spatial, transposed ? ", transposed" : "", groups);
        check(&net, what, 1e-5);
    }
}

/* A concatenation that is the loss itself, of a value that others read before it: what they add to its gradient must not
 * stay in the ones that the next run begins with. */
static void test_concatenation_as_loss(void **state) {
    for (int i = 0; i < rounds(10); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 3), 3, draw(12, 30), draw(12, 30)));
        net.last = convolution(&net, net.input, 16 * draw(1, 3), 3, 3, draw(1, 2), 1, 1, true);
        net.last = pool(&net, net.last, &ph_operation_average_pool);
        int branches[3] = {net.last, net.last, net.last}, own = draw(0, 2);
        for (int b = 0; b < 3; b++)
            if (b != own) branches[b] = convolution(&net, net.last, 16 * draw(1, 3), 1, 1, 1, 1, 1, true);
        net.last = node(&net, &ph_operation_concat, &(struct ph_axis_attributes){1}, branches, 3);
        check(&net, "concatenation as the loss", 2e-5);
    }
}

/* The gradient of a random input, once the network has been checked with it. */
static float *checked_gradient(struct network *net, const char *what, double tolerance) {
    float *input = noise(fed_size(net));
    round_numbers(input, fed_size(net));
    struct result result = run(net, device_backend ? device_backend : "cpu", input, false);
    free(result.value);
    check_with(net, what, tolerance, input);
    return result.gradient;
}

/* A convolution of which each item picks a channel, behind what treats every channel by itself. The same draw with
 * all items picking what the first one does: the first one's bytes stay. */
static void test_picked_channels(void **state) {
    for (int i = 0; i < rounds(60); i++) {
        struct ph_random_key start = key;
        float *first[2] = {NULL};
        size_t bytes = 0;
        for (int alone = 0; alone < 2; alone++) {
            struct network net;
            key = start;
            int channels = (const int[]){3, 4, 20, 32}[draw(0, 3)], outputs = draw(2, 70), kernel = (const int[]){1, 3, 5, 2}[draw(0, 3)];
            int items = 2, stride = draw(1, 2);
            if (i % 6 == 0) items = 24, channels = 20, outputs = 64, kernel = 3, stride = 1; /* what Winograd's rule takes */
            network_start(&net, *state, PH_SHAPE(items, channels, draw(10, 30), draw(12, 30)));
            net.chooses = true;
            net.last = convolution(&net, net.input, outputs, kernel, kernel, stride, 1, 1, draw(0, 1));
            int made = net.last;
            if (draw(0, 1)) net.last = batch_norm(&net, net.last);
            if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
            int follower = draw(0, 4);
            if (follower == 0) net.last = pool(&net, net.last, &ph_operation_max_pool);
            if (follower == 1) net.last = node(&net, &ph_operation_global_average_pool, NULL, &net.last, 1);
            if (follower == 2) net.last = batch_norm(&net, net.last);
            if (follower == 3) net.last = norm(&net, net.last);
            struct ph_pick_attributes pick = {.channels = {draw(0, outputs - 1)}};
            for (int n = 1; n < items; n++) {
                int32_t channel = draw(0, outputs - 1);
                pick.channels[n] = alone ? pick.channels[0] : channel;
            }
            int another = draw(0, 3), from = another == 1 ? made : net.last;
            net.last = node(&net, &ph_operation_pick, &pick, &net.last, 1);
            if (another < 2) {
                pick.channels[0] = draw(0, outputs - 1);
                int other = node(&net, &ph_operation_pick, &pick, &from, 1);
                int means[2] = {node(&net, &ph_operation_global_average_pool, NULL, &net.last, 1),
                    node(&net, &ph_operation_global_average_pool, NULL, &other, 1)};
                net.last = node(&net, &ph_operation_add, NULL, means, 2);
            }
            struct ph_shape in = shape_of(&net, net.input);
            bytes = (size_t)(ph_shape_size(&in) / items) * sizeof(float);
            first[alone] = checked_gradient(&net, "picked channels", 2e-5);
        }
        assert_memory_equal(first[0], first[1], bytes);
        free(first[0]);
        free(first[1]);
    }
}

/* A silent item beside a live one, and both silent: bias far below what the input can reach, or not. */
static void test_redirected(void **state) {
    for (int i = 0; i < 24; i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(2, 3, 9, 11));
        int outputs = draw(3, 40);
        net.last = convolution(&net, net.input, outputs, 3, 3, 1, 1, 1, false);
        int shift = constant(&net, PH_SHAPE(2, outputs, 1, 1), 0), sum[2] = {net.last, shift};
        float *silent = net.constants[net.constant_count - 1];
        for (int c = 0; c < outputs; c++) silent[c] = i % 3 ? -1e3f : 0, silent[outputs + c] = i % 3 == 2 ? -1e3f : 0;
        net.last = node(&net, &ph_operation_add, NULL, sum, 2);
        struct ph_activation_attributes clip = {.low = 0, .high = 6};
        struct ph_activation_attributes ruled = {.low = 0, .high = i % 2 ? HUGE_VAL : 6, .rule = (enum ph_backward_rule)(i % 3)};
        net.last = i >= 12 ? node(&net, &ph_operation_ruled_clip, &ruled, &net.last, 1)
                   : i % 2 ? node(&net, &ph_operation_redirected_relu, NULL, &net.last, 1)
                           : node(&net, &ph_operation_redirected_clip, &clip, &net.last, 1);
        net.last = convolution(&net, net.last, 5, 1, 1, 1, 1, 1, false);
        check(&net, "redirected", 1e-5);
    }
}

/* One of an operation's own cases, one of its results the last; the inputs of bit set `fed` from outside, the others constant. */
static void operation_check(ph_context *context, const struct ph_operation *operation, const struct ph_case *c, unsigned fed,
                            int result) {
    struct network net = {.context = context, .silent = !operation->differentiable};
    int inputs[PH_CASE_INPUTS], outputs[PH_MAX_OUTPUTS], count = 0;
    float *values = malloc(sizeof *values);
    assert_int_equal(ph_graph_create(context, &net.graph), PH_OK);
    for (; count < PH_CASE_INPUTS && (c->inputs[count].low != c->inputs[count].high || c->inputs[count].values); count++) {
        const struct ph_case_input *input = &c->inputs[count];
        int64_t size = ph_shape_size(&input->shape), before = fed_size(&net);
        bool feeds = fed >> count & 1;
        inputs[count] = feeds ? feed(&net, input->shape) : constant(&net, input->shape, 0);
        if (feeds) values = realloc(values, (size_t)(before + size + 1) * sizeof *values);
        float *numbers = feeds ? values + before : net.constants[net.constant_count - 1];
        for (int64_t i = 0; i < size; i++) {
            key.step++;
            numbers[i] = input->values ? (float)input->values[i]
                                       : (float)(input->low + ph_random_uniform(key, 0) * (input->high - input->low));
        }
        if (!feeds) round_numbers(numbers, size);
    }
    ph_status status = ph_graph_add_node(net.graph, operation, NULL, c->attributes, inputs, count, NULL,
                                         PH_MAX(c->output_count, 1), outputs);
    if (status) fail_msg("%s", ph_context_error(context));
    net.last = outputs[result];
    if (!net.silent) {
        /* A gradient that differs from element to element: that of the sum of a softmax would be 0. */
        int weighted[2] = {net.last, constant(&net, shape_of(&net, net.last), 1)};
        net.last = node(&net, &ph_operation_mul, NULL, weighted, 2);
    }
    check_with(&net, operation->name, 1e-4, values);
}

/* Inputs of a case that can be fed: those that have a gradient, or, where no gradient passes, all. */
static unsigned case_inputs(const struct ph_operation *operation, const struct ph_case *c) {
    unsigned mask = 0;
    for (int k = 0; k < PH_CASE_INPUTS && c->inputs[k].low != c->inputs[k].high; k++)
        if (!c->inputs[k].constant && !c->inputs[k].values && ph_shape_size(&c->inputs[k].shape) &&
            (!operation->differentiable || operation->differentiable & (1u << 31 | 1u << k)))
            mask |= 1u << k;
    return mask;
}

/* Every operation's own cases: one input after the other fed and the rest constant, then all of them; each result in turn. */
static void test_operation_cases(void **state) {
    int cases = 0;
    for (int o = 0; ph_operations[o]; o++) {
        const struct ph_operation *operation = ph_operations[o];
        if (device_backend && operation == &ph_operation_normed_max_pool) continue; /* made by a pass of the CPU's alone */
        for (const struct ph_case *c = operation->cases; c && c->label; c++) {
            unsigned all = case_inputs(operation, c);
            for (int result = 0; result < PH_MAX(c->output_count, 1); result++) {
                for (int k = 0; k < PH_CASE_INPUTS && operation->differentiable; k++) {
                    if (!(all >> k & 1) || all == 1u << k) continue;
                    operation_check(*state, operation, c, 1u << k, result);
                    cases++;
                }
                if (!all) continue;
                operation_check(*state, operation, c, all, result);
                cases++;
            }
        }
    }
    printf("%d cases of operations\n", cases);
    assert_true(cases > 600);
}

/* Either operand fed, the other constant, alone and shared by the stack; and both the same. */
/* Stacks with axes of their own or in common, every tail of the tiles; fully connected layers of few rows and many. */
static void test_products_of_any_shape(void **state) {
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        int m = draw(1, 110), k = draw(1, 300), n = draw(1, 150), items = draw(1, 3), kind = draw(0, 3);
        bool left = draw(0, 1);
        struct ph_shape a = PH_SHAPE(items, 2, m, k), b = PH_SHAPE(items, 2, k, n);
        if (kind == 1 && left) b = PH_SHAPE(k, n);
        if (kind == 2) b = PH_SHAPE(items, 1, k, n);
        if (kind == 2) a = PH_SHAPE(items, 1, m, k);
        if (kind == 3) {
            network_start(&net, *state, PH_SHAPE(m, k));
            bool transpose = draw(0, 1);
            int inputs[] = {net.input, constant(&net, transpose ? PH_SHAPE(n, k) : PH_SHAPE(k, n), 1 / sqrt((double)k)),
                constant(&net, draw(0, 1) ? PH_SHAPE(n) : PH_SHAPE(m, 1), 1)};
            net.last = node(&net, &ph_operation_gemm, &(struct ph_gemm_attributes){0.5, 2, false, transpose}, inputs, 3);
        } else {
            network_start(&net, *state, left ? a : b);
            int other = constant(&net, left ? b : a, 1 / sqrt((double)k)), operands[2] = {left ? net.input : other, left ? other : net.input};
            net.last = node(&net, &ph_operation_matmul, NULL, operands, 2);
        }
        check(&net, "product", 1e-5);
    }
}

static void test_matrix_products(void **state) {
    static const struct { int64_t items, shared; } cases[] = {{1, 1}, {3, 3}, {3, 1}};
    for (int i = 0; i < PH_COUNT(cases); i++)
        for (int left = 0; left < 2; left++) {
            struct network net;
            struct ph_shape fed = left ? PH_SHAPE(cases[i].items, 5, 21) : PH_SHAPE(cases[i].items, 21, 517);
            network_start(&net, *state, fed);
            int other = left ? constant(&net, PH_SHAPE(cases[i].shared, 21, 517), 1)
                             : constant(&net, PH_SHAPE(cases[i].items, 5, 21), 1);
            int operands[2] = {left ? net.input : other, left ? other : net.input};
            net.last = node(&net, &ph_operation_matmul, NULL, operands, 2);
            check(&net, "matrix products", 1e-5);
        }
}

/* Operands that lie across each other along every other axis of eight, so that no two axes are as one. */
static void test_many_axes(void **state) {
    static const struct ph_operation *const operations[] = {&ph_operation_mul, &ph_operation_sub, &ph_operation_mean,
        &ph_operation_where, &ph_operation_matmul, &ph_operation_concat, &ph_operation_transpose, &ph_operation_reduce_l2,
        &ph_operation_reduce_mean};
    const struct ph_shape whole = PH_SHAPE(2, 3, 2, 3, 2, 2, 3, 2), odd = PH_SHAPE(1, 3, 1, 3, 1, 2, 1, 2);
    const struct ph_shape even = PH_SHAPE(2, 1, 2, 1, 2, 1, 3, 1), left = PH_SHAPE(2, 1, 3, 1, 2, 1, 4, 3);
    const struct ph_shape right = PH_SHAPE(1, 2, 1, 3, 1, 2, 3, 5);
    for (int i = 0; i < PH_COUNT(operations); i++)
        for (int both = 0; both < 2; both++) {
            struct network net;
            const struct ph_operation *operation = operations[i];
            bool reduces = operation == &ph_operation_reduce_l2 || operation == &ph_operation_reduce_mean;
            bool alone = reduces || operation == &ph_operation_transpose, concat = operation == &ph_operation_concat;
            network_start(&net, *state, operation == &ph_operation_matmul ? left : alone || concat ? whole : odd);
            struct ph_shape second = operation == &ph_operation_matmul ? right : concat ? whole : even;
            int inputs[3] = {net.input}, count = 1;
            if (!alone) inputs[count++] = both ? feed(&net, second) : constant(&net, second, 1);
            const void *attributes = NULL;
            struct ph_axis_attributes axis = {3};
            struct ph_transpose_attributes order = {{6, 1, 4, 3, 2, 5, 0, 7}};
            struct ph_reduce_attributes reduce = {.axes = {1, 3, 5, 7}, .axis_count = 4, .keep_dims = both};
            if (concat) attributes = &axis;
            if (operation == &ph_operation_transpose) attributes = &order;
            if (reduces) attributes = &reduce;
            if (operation == &ph_operation_where) {
                memmove(inputs + 1, inputs, 2 * sizeof *inputs);
                inputs[0] = constant(&net, odd, 1);
                count = 3;
                float *condition = net.constants[net.constant_count - 1];
                for (int64_t k = 0; k < ph_shape_size(&odd); k++) condition[k] = condition[k] > 0;
            }
            net.last = node(&net, operation, attributes, inputs, count);
            int weighted[2] = {net.last, constant(&net, shape_of(&net, net.last), 1)};
            net.last = node(&net, &ph_operation_mul, NULL, weighted, 2);
            check(&net, operation->name, 1e-5);
        }
}

static void test_fourier(void **state) {
    static const int sizes[][2] = {{8, 8}, {7, 9}, {16, 15}, {1, 6}, {5, 1}, {32, 48}, {29, 31}, {58, 62}, {37, 10}, {9, 41}, {224, 210},
        {33, 64}, {1, 1}, {50, 2}, {96, 147}, {3, 1000}, {1024, 8}, {1080, 4}};
    for (int i = 0; i < PH_COUNT(sizes); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(2, 3, sizes[i][0], sizes[i][1] / 2 + 1, 2));
        net.last = node(&net, &ph_operation_irfft2, &(struct ph_irfft2_attributes){sizes[i][1]}, &net.input, 1);
        int square[2] = {net.last, net.last};
        net.last = node(&net, &ph_operation_mul, NULL, square, 2);
        check(&net, "inverse Fourier transform", 1e-5);
    }
}

/* Rows too short for a tile, of any number of blocks of channels, and as many as leave one over. */
static void test_narrow_maps(void **state) {
    for (int i = 0; i < rounds(60); i++) {
        struct network net;
        int kernel = draw(0, 1) ? 1 : draw(2, 3), stride = draw(0, 2) ? 1 : 2, outputs = draw(1, 130);
        network_start(&net, *state, PH_SHAPE(draw(1, 3), draw(1, 40), kernel + draw(0, 9), kernel + draw(0, 8)));
        net.last = convolution(&net, net.input, outputs, 1, 1, 1, 1, 1, true);
        net.last = convolution(&net, net.last, draw(1, 130), kernel, kernel, stride, 1, 1, draw(0, 1));
        /* Sums of half-precision factors may lie on the other side of a ReLU's limit. */
        if (draw(0, 1) && !halves) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        char what[64];
        snprintf(what, sizeof what, "convolution %dx%d of a narrow map", kernel, kernel);
        check(&net, what, 1e-5);
    }
}

/* Strides that leave positions no kernel element reaches: alone, as the first and as the last of two readers, behind a ReLU that
 * cuts the gradient off or behind none. */
static void test_skipped_positions(void **state) {
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        int kernel = draw(1, 2), stride = kernel + draw(1, 2), outputs = draw(1, 40);
        network_start(&net, *state, PH_SHAPE(draw(1, 2), draw(1, 20), draw(3, 17), draw(3, 17)));
        int made = convolution(&net, net.input, draw(1, 70), 1, 1, 1, 1, 1, true);
        if (draw(0, 1)) made = node(&net, &ph_operation_relu, NULL, &made, 1);
        net.last = convolution(&net, made, outputs, 1, 1, stride, 1, 1, false);
        if (draw(0, 2)) {
            int pair[2] = {net.last, convolution(&net, made, outputs, 1, 1, stride, 1, 1, true)};
            net.last = node(&net, &ph_operation_add, NULL, pair, 2);
        } else {
            net.last = convolution(&net, made, outputs, kernel, kernel, stride, 1, 1, false);
        }
        check(&net, "convolution that skips positions", 1e-5);
    }
}

/* One of several that read `from`: mostly 1x1, at times what no step can join with that. */
static int branch(struct network *net, int from, int stride, bool plain) {
    int outputs = draw(0, 2) ? 16 * draw(1, 3) : draw(16, 50), kind = plain ? 9 : draw(0, 9), made;
    if (kind == 2 && shape_of(net, from).dims[1] % 2) kind = 4;
    if (kind == 0) made = convolution(net, from, outputs, 1, 1, stride + 1, 1, 1, true);
    else if (kind == 1) made = convolution(net, from, outputs, 3, 3, stride, 1, 1, true);
    else if (kind == 2) made = convolution(net, from, 2 * draw(1, 20), 1, 1, stride, 1, 2, true);
    else made = convolution(net, from, kind == 3 ? draw(1, 15) : outputs, 1, 1, stride, 1, 1, draw(0, 1));
    struct ph_activation_attributes clip = {.low = 0, .high = 0.5};
    switch (draw(0, 3)) {
    case 0: break;
    case 1: made = node(net, &ph_operation_clip, &clip, &made, 1); break;
    default: made = node(net, &ph_operation_relu, NULL, &made, 1);
    }
    if (draw(0, 2) == 0) made = same_convolution(net, made, 16 * draw(1, 2), 3, 1);
    return made;
}

/* Whether one step stands for two convolutions and more, both ways. */
static bool is_joined(struct network *net) {
    struct ph_text plan = {0};
    bool joined[2] = {false};
    char direction[32], operation[32], more[8];
    print_plan(net, "cpu", &plan);
    for (const char *line = plan.data; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (sscanf(line, "%31s %31s %*s %*s %7s", direction, operation, more) == 3 && more[0] == '+' &&
            !strcmp(operation, "convolution"))
            joined[!strcmp(direction, "backward")] = true;
    ph_text_finish(&plan);
    return joined[0] && joined[1];
}

/* With a step for each node, with steps that stand for several, and so by one thread and by three: the same values, gradients
 * that differ by the rounding of their sums alone, by any number of threads in nothing. */
static void joined_check(struct network *net, const char *unit, enum ph_precision precision, const float *input) {
    enum { APART, JOINED, ONE, THREE, WAYS };
    struct result results[WAYS];
    struct ph_shape in = shape_of(net, net->input), out = shape_of(net, net->last);
    size_t values = (size_t)ph_shape_size(&out) * sizeof(float), gradients = (size_t)ph_shape_size(&in) * sizeof(float);
    asked = precision;
    assert_int_equal(ph_context_set_precision(net->context, ph_precision_names[asked]), PH_OK);
    for (int way = 0; way < WAYS; way++) {
        ph_plan_joins(way != APART);
        assert_int_equal(ph_context_set_threads(net->context, way == ONE ? 1 : way == THREE ? 3 : 0), PH_OK);
        if (way <= JOINED) assert_int_equal(is_joined(net), way == JOINED);
        results[way] = run(net, "cpu", input, checks++ % 2);
        assert_memory_equal(results[way].value, results[0].value, values);
    }
    assert_memory_equal(results[ONE].gradient, results[JOINED].gradient, gradients);
    assert_memory_equal(results[THREE].gradient, results[JOINED].gradient, gradients);
    double off = distance(results[JOINED].gradient, results[APART].gradient, ph_shape_size(&in), 0);
    /* Where a gradient is rounded to 8 bits, one in many thousands falls to the other side. */
    if (!(off < (precision == PH_BF16 ? 1e-4 : 1e-5)))
        fail_msg("%s, %s: gradient off by %.2e", unit, ph_precision_names[precision], off);
    for (int way = 0; way < WAYS; way++) free(results[way].value), free(results[way].gradient);
    assert_int_equal(ph_context_set_threads(net->context, 0), PH_OK);
    asked = PH_FP32;
    assert_int_equal(ph_context_set_precision(net->context, ph_precision_names[asked]), PH_OK);
}

/* Convolutions of one input, at times more than one step can stand for, their outputs joined, in other layers, or in a sum. */
static void test_joined(void **state) {
    for (int i = 0; i < (device_backend ? 0 : 10); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 16 * draw(1, 2), draw(5, 12), draw(5, 16)));
        if (draw(0, 3)) net.last = same_convolution(&net, net.last, draw(16, 50), 2 * draw(0, 1) + 1, 1);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        int same = net.last, stride = draw(1, 2), count = draw(0, 4) ? draw(2, 4) : 10, branches[12], made = 0;
        for (int b = 0; b < count; b++) {
            int next = branch(&net, same, stride, b < 2);
            struct ph_shape shape = shape_of(&net, next), first = shape_of(&net, made ? branches[0] : next);
            if (shape.dims[2] == first.dims[2] && shape.dims[3] == first.dims[3]) branches[made++] = next;
        }
        if (draw(0, 2) == 0) {
            int pair[2];
            for (int b = 0; b < 2; b++) pair[b] = convolution(&net, same, 24, 1, 1, stride, 1, 1, true);
            if (draw(0, 1)) pair[0] = node(&net, &ph_operation_relu, NULL, &pair[0], 1);
            if (draw(0, 1)) pair[1] = same_convolution(&net, pair[1], 24, 1, 1);
            branches[made++] = node(&net, &ph_operation_add, NULL, pair, 2);
        }
        net.last = node(&net, &ph_operation_concat, &(struct ph_axis_attributes){1}, branches, made);
        net.last = convolution(&net, net.last, draw(1, 40), 1, 1, 1, 1, 1, true);
        struct ph_shape in = shape_of(&net, net.input);
        float *input = noise(ph_shape_size(&in));
        for (int level = 0; level <= (int)ph_instruction_set_detect(); level++) {
            net.context->instruction_set = (enum ph_instruction_set)level;
            joined_check(&net, ph_instruction_set_names[level], PH_FP32, input);
            for (int u = 0; u < PH_COUNT(bfloat16_units); u++)
                for (enum ph_precision p = PH_BF16X3; p <= PH_BF16 && (int)bfloat16_units[u] == level; p++)
                    joined_check(&net, ph_instruction_set_names[level], p, input);
        }
        assert_int_equal(ph_context_set_instruction_set(net.context, "auto"), PH_OK);
        net.chooses = net.silent = true;
        check_with(&net, "joined convolutions", 2e-5, input);
    }
}

/* Windows of all sizes that reach into the blocks beside, and one that reaches further; rows longer than the stretches that they
 * are made in; gradients that are cut off, and that are added to another. */
static void test_response_norms(void **state) {
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(1, 6), draw(1, 80)));
        net.chooses = true;
        net.last = convolution(&net, net.input, draw(1, 70), 1, 1, 1, 1, 1, true);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        struct ph_response_norm_attributes a = {.size = draw(0, 2) ? draw(1, 17) : i % 20 ? 5 : 40, .alpha = (const double[]){0.01, 1, 30}[draw(0, 2)],
            .beta = (const double[]){0.75, 0.75, 0.5, 0.6}[draw(0, 3)], .bias = (const double[]){1, 2, 1e-3}[draw(0, 2)]};
        int branches[2] = {node(&net, &ph_operation_local_response_norm, &a, &net.last, 1), net.last};
        if (draw(0, 1)) net.last = node(&net, &ph_operation_add, NULL, branches, 2);
        else net.last = branches[0];
        net.last = convolution(&net, net.last, draw(1, 20), 1, 1, 1, 1, 1, true);
        char what[64];
        snprintf(what, sizeof what, "response normalisation over %d", (int)a.size);
        check(&net, what, 1e-5);
    }
}

/* Maxima of three by three, which threads find row by row: of few whole numbers, so that equals are frequent, or behind a ReLU;
 * windows that reach across all edges and skip rows; gradients that are cut off, and that are added to another. */
static void test_maxima_of_three(void **state) {
    for (int i = 0; i < rounds(60); i++) {
        struct network net;
        bool whole = draw(0, 1) || halves; /* of what was made with 16 bits, others may be the largest */
        bool large = i % 3 == 0; /* shared out among threads by rows */
        network_start(&net, *state, PH_SHAPE(draw(1, 2), draw(1, 40), draw(2, large ? 40 : 12), draw(2, large ? 40 : 20)));
        ph_context_set_threads(net.context, large ? i % 5 + 1 : 0);
        net.chooses = true;
        if (!whole) net.last = convolution(&net, net.input, draw(1, 40), 1, 1, 1, 1, 1, true);
        if (!whole) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        struct ph_shape in = shape_of(&net, net.last);
        struct ph_pool_attributes a = {.output = {1}, .kernel = {1, 3, 3}, .stride = {1, draw(1, 4), draw(1, 2)},
                                       .dilation = {1, 1, 1}};
        for (int k = 1; k < PH_SPATIAL; k++) {
            a.pad_begin[k] = draw(1, 2);
            a.pad_end[k] = draw(0, 2);
            if (draw(0, 1)) a.pad_begin[k] = 0;
            int64_t room = in.dims[k + 1] + a.pad_begin[k], last = (room + a.pad_end[k] - 3) / a.stride[k] + draw(0, 1);
            a.output[k] = PH_MAX(PH_MIN((room - 1) / a.stride[k], last), 0) + 1; /* one window of a map that is smaller */
        }
        int branches[2] = {node(&net, &ph_operation_max_pool, &a, &net.last, 1), 0};
        a.stride[1] = a.stride[1] == 1 ? 2 : 1;
        a.output[1] = draw(1, (int)((in.dims[2] + a.pad_begin[1] - 1) / a.stride[1] + 1));
        branches[1] = draw(0, 1) ? branches[0] : node(&net, &ph_operation_max_pool, &a, &net.last, 1);
        for (int b = 0; b < 2; b++) {
            int weighted[2] = {branches[b], constant(&net, shape_of(&net, branches[b]), 1)};
            branches[b] = node(&net, &ph_operation_mul, NULL, weighted, 2);
            branches[b] = node(&net, &ph_operation_global_average_pool, NULL, &branches[b], 1);
        }
        net.last = node(&net, &ph_operation_concat, &(struct ph_axis_attributes){1}, branches, 2);
        net.last = convolution(&net, net.last, draw(1, 20), 1, 1, 1, 1, 1, true);
        float *input = noise(fed_size(&net));
        for (int64_t k = 0; k < fed_size(&net) && whole; k++) input[k] = roundf(input[k]);
        char what[64];
        snprintf(what, sizeof what, "maxima of three by three, stride %d", (int)a.stride[2]);
        check_with(&net, what, 1e-5, input);
        ph_context_set_threads(*state, 0);
    }
}

/* Turned, grown and shrunk, shifted by whole pixels; pictures wider than a tile of the adjoint last. */
static void test_warps(void **state) {
    static const int channels[] = {1, 2, 3, 4, 5, 7};
    static const double turns[] = {0.05, 0.3, 1.6, 3.1};
    if (halves) return; /* 16 bits would make another map of the matrix */
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        int items = draw(1, 2), height = draw(1, 70), width = i % 12 ? draw(1, 90) : draw(1000, 1100);
        struct ph_warp_attributes a = {draw(1, 60), draw(1, 300), (enum ph_warp_border)(i % 3), 0.25};
        network_start(&net, *state, PH_SHAPE(items, channels[draw(0, 5)], height, width));
        int matrices = constant(&net, PH_SHAPE(items, 2, 3), 1);
        float *m = net.constants[net.constant_count - 1];
        for (int n = 0; n < items; n++, m += 6) {
            double scale = draw(4, 12) / 8.0, turn = turns[i % PH_COUNT(turns)] * draw(-8, 8) / 8;
            if (i % 5 == 0) scale = 1, turn = 0;
            m[0] = m[4] = (float)(scale * cos(turn));
            m[1] = (float)(-scale * sin(turn)), m[3] = -m[1];
            m[2] = (float)(draw(-8 * width, 8 * width) / (i % 5 ? 16.0 : 8.0)), m[5] = (float)(draw(-8 * height, 8 * height) / 16.0);
            if (i % 10 == 0) m[2] = rintf(m[2]), m[5] = rintf(m[5]);
        }
        int inputs[2] = {net.input, matrices};
        net.last = node(&net, &ph_operation_affine_warp, &a, inputs, 2);
        int square[2] = {net.last, net.last};
        net.last = node(&net, &ph_operation_mul, NULL, square, 2);
        check(&net, "warp", 1e-5);
    }
}

/* A slice with steps either way, a permutation, a border that may crop, picked indices, evenly and not, or blocks of channels
 * laid out as pixels. */
static int moved(struct network *net, int from) {
    struct ph_shape in = shape_of(net, from);
    struct ph_slice_attributes slice = {{0}, {0}, {0}};
    struct ph_pad_attributes pad = {.mode = PH_PAD_CONSTANT, .value = 0.5};
    struct ph_transpose_attributes order;
    int kind = draw(0, in.rank == 4 && in.dims[1] % 4 == 0 ? 4 : 3), axis = draw(0, in.rank - 1);
    for (int i = 0; i < in.rank; i++) {
        int size = (int)in.dims[i], most = draw(0, 1) ? size : draw(1, size);
        slice.step[i] = most > 1 ? draw(1, (size - 1) / (most - 1)) : 1;
        slice.size[i] = most;
        slice.start[i] = draw(0, size - 1 - (most - 1) * (int)slice.step[i]);
        if (draw(0, 2) == 0) slice.start[i] += (most - 1) * slice.step[i], slice.step[i] = -slice.step[i];
        pad.begin[i] = draw(0, 1) ? draw(-(size - 1) / 2, 3) : 0;
        pad.end[i] = draw(0, 1) ? draw(-(size - 1) / 2, 3) : 0;
        int other = draw(0, i);
        order.order[i] = i;
        order.order[i] = order.order[other], order.order[other] = i;
    }
    if (kind == 0) return node(net, &ph_operation_slice, &slice, &from, 1);
    if (kind == 1) return node(net, &ph_operation_transpose, &order, &from, 1);
    if (kind == 2) return node(net, &ph_operation_pad, &pad, &from, 1);
    if (kind == 4) return node(net, &ph_operation_depth_to_space, &(struct ph_depth_to_space_attributes){2, draw(0, 1)}, &from, 1);
    int size = (int)in.dims[axis], count = draw(0, 3) ? draw(1, size) : 0, first = draw(0, size - PH_MAX(count, 1));
    int inputs[2] = {from, constant(net, count ? PH_SHAPE(count) : PH_SCALAR, 0)};
    bool even = draw(0, 1);
    for (int k = 0; k < PH_MAX(count, 1); k++)
        net->constants[net->constant_count - 1][k] = (float)((even ? first + k : draw(0, size - 1)) - (draw(0, 1) ? size : 0));
    return node(net, &ph_operation_gather, &(struct ph_axis_attributes){axis}, inputs, 2);
}

/* What only moves, several times of one value, so that gradients are written and added; short axes and long ones. */
static void test_movement(void **state) {
    for (int i = 0; i < rounds(80); i++) {
        struct network net;
        struct ph_shape shape = {.rank = draw(1, 5)};
        for (int k = 0; k < shape.rank; k++) shape.dims[k] = draw(1, (const int[]){70, 70, 40, 20, 9}[shape.rank - 1]);
        if (i % 8 == 0) shape = PH_SHAPE(draw(1, 2), draw(1, 30), draw(400, 700));
        network_start(&net, *state, shape);
        int parts[3], count = draw(1, 3);
        for (int k = 0; k < count; k++) {
            parts[k] = moved(&net, net.input);
            if (draw(0, 2) == 0) parts[k] = moved(&net, parts[k]);
            struct ph_shape part = shape_of(&net, parts[k]);
            struct ph_shape_attributes flat = {PH_SHAPE(ph_shape_size(&part))};
            parts[k] = node(&net, &ph_operation_reshape, &flat, &parts[k], 1);
        }
        net.last = node(&net, &ph_operation_concat, &(struct ph_axis_attributes){0}, parts, count);
        int weighted[2] = {net.last, constant(&net, shape_of(&net, net.last), 1)};
        net.last = node(&net, &ph_operation_mul, NULL, weighted, 2);
        float *input = noise(fed_size(&net));
        if (i % 4 == 0 && !device_backend) threads_check(&net, 3, input);
        check_with(&net, "movement", 1e-6, input);
    }
}

/* Of a shape with few axes, the result and what it was made of added up, each weighted, so that gradients are added too. */
static void added_check(struct network *net, int from, const char *what, double tolerance, bool threads) {
    int weighted[2] = {net->last, constant(net, shape_of(net, net->last), 1)};
    int sum[2] = {node(net, &ph_operation_mul, NULL, weighted, 2), from};
    net->last = node(net, &ph_operation_add, NULL, sum, 2);
    float *input = noise(fed_size(net));
    if (threads && !device_backend) threads_check(net, 3, input);
    check_with(net, what, tolerance, input);
}

static struct ph_shape any_shape(int longest) {
    struct ph_shape shape = {.rank = draw(1, 4)};
    for (int k = 0; k < shape.rank; k++) shape.dims[k] = draw(1, draw(0, 1) ? longest >> (shape.rank - 1) : 6);
    return shape;
}

static void test_layer_norms(void **state) {
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        struct ph_shape shape = any_shape(200), row = {0};
        shape.dims[shape.rank - 1] = draw(0, 3) ? draw(8, 150) : draw(300, 700); /* of two numbers that are near, all would hang on rounding */
        network_start(&net, *state, shape);
        struct ph_norm_attributes a = {.epsilon = 1e-2, .axis = draw(0, shape.rank - 1)};
        for (int k = (int)a.axis; k < shape.rank; k++) row.dims[row.rank++] = shape.dims[k];
        int inputs[3] = {net.input, constant(&net, row, 1), draw(0, 2) ? constant(&net, row, 1) : PH_ABSENT};
        net.last = node(&net, &ph_operation_layer_norm, &a, inputs, inputs[2] == PH_ABSENT ? 2 : 3);
        added_check(&net, net.input, "layer normalisation", 1e-5, i % 8 == 0);
    }
}

static void test_softmaxes(void **state) {
    for (int i = 0; i < rounds(60); i++) {
        struct network net;
        struct ph_shape shape = any_shape(300);
        network_start(&net, *state, shape);
        struct ph_softmax_attributes a = {.axis = draw(0, shape.rank - 1)};
        a.end_axis = draw(0, 1) ? a.axis + 1 : draw((int)a.axis + 1, shape.rank);
        int scaled[2] = {net.input, constant(&net, PH_SCALAR, 0)};
        net.constants[net.constant_count - 1][0] = i % 3 || halves ? 1 : 20; /* times the rounding of 16 bits */
        net.last = node(&net, &ph_operation_mul, NULL, scaled, 2);
        net.last = node(&net, &ph_operation_softmax, &a, &net.last, 1);
        added_check(&net, net.input, "softmax", 1e-5, i % 8 == 0);
    }
}

/* Constants that repeat along any axes, on either side; what is divided by lies away from 0. */
static void test_broadcasts(void **state) {
    static const struct ph_operation *const operations[] = {&ph_operation_add, &ph_operation_sub, &ph_operation_mul,
        &ph_operation_div};
    for (int i = 0; i < rounds(100); i++) {
        struct network net;
        struct ph_shape shape = i % 10 ? any_shape(300) : PH_SHAPE(draw(1, 3), draw(8000, 17000));
        const struct ph_operation *operation = operations[i % 4];
        bool left = draw(0, 1);
        network_start(&net, *state, shape);
        int x = net.input;
        if (operation == &ph_operation_div && left) {
            int apart[2] = {node(&net, &ph_operation_abs, NULL, &x, 1), constant(&net, PH_SCALAR, 0)};
            net.constants[net.constant_count - 1][0] = 0.5;
            x = node(&net, &ph_operation_add, NULL, apart, 2);
        }
        struct ph_shape own = {.rank = draw(0, shape.rank)};
        int first = draw(0, own.rank), end = draw(first, own.rank);
        for (int k = 0; k < own.rank; k++) {
            bool repeats = i % 5 == 0 ? draw(0, 1) : k < first || k >= end;
            own.dims[k] = repeats ? 1 : shape.dims[shape.rank - own.rank + k];
        }
        int other = constant(&net, own, 1), operands[2] = {left ? other : x, left ? x : other};
        float *numbers = net.constants[net.constant_count - 1];
        for (int64_t k = 0; k < ph_shape_size(&own) && operation == &ph_operation_div; k++)
            numbers[k] = fabsf(numbers[k]) + 0.5f;
        round_numbers(numbers, ph_shape_size(&own));
        net.last = node(&net, operation, NULL, operands, 2);
        added_check(&net, x, operation->name, 1e-6, i % 8 == 0);
    }
}

/* Maps whose 3x3 layers go by Winograd's small tiles, both ways, with whatever else such a step makes: pads of every kind, ReLUs,
 * residual sums, gradients that are added to others; with the same bytes by one thread and by several. */
static void test_small_maps(void **state) {
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        int channels = draw(16, 70);
        network_start(&net, *state, PH_SHAPE(draw(1, 3), draw(16, 40), draw(8, 10), draw(8, 13)));
        net.chooses = true;
        net.last = convolution(&net, net.input, channels, 3, 3, 1, 1, 1, draw(0, 1));
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        if (draw(0, 1)) {
            int pair[2] = {same_convolution(&net, net.last, channels, 3, 1), net.last};
            net.last = node(&net, &ph_operation_add, NULL, pair, 2);
            if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        }
        float *input = noise(fed_size(&net));
        round_numbers(input, fed_size(&net));
        struct ph_text plan = {0};
        assert_int_equal(ph_context_set_instruction_set(net.context, "auto"), PH_OK);
        print_plan(&net, "cpu", &plan);
        const char *first = strstr(plan.data, "winograd-2x2"), *backward = strstr(plan.data, "backward");
        if (!first || first > backward || !strstr(backward, "winograd-2x2")) fail_msg("no small tiles both ways:\n%s", plan.data);
        ph_free(plan.data);
        threads_check(&net, 3, input);
        check_with(&net, "small map", 1e-5, input);
    }
}

/* Groups of any number of channels, read and made: they begin and end within blocks, fill them, or are several in one. Read twice,
 * added to something else, and cut off. By any number of threads the same bytes. */
static void test_groups(void **state) {
    static const int widths[] = {1, 2, 2, 4, 4, 8, 8, 3, 5, 6, 12, 16, 20, 24, 40, 32, 9};
    for (int i = 0; i < rounds(60); i++) {
        struct network net;
        int in = widths[draw(0, PH_COUNT(widths) - 1)], out = draw(0, 3) ? in : widths[draw(0, PH_COUNT(widths) - 1)];
        int groups = draw(2, 120 / PH_MAX(in, out)), side = (const int[]){3, 3, 3, 1, 2, 5}[draw(0, 5)], stride = draw(1, 3) % 3 + 1;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(8, 18), draw(8, 36)));
        net.last = convolution(&net, net.input, groups * in, 1, 1, 1, 1, 1, true);
        net.chooses = draw(0, 1);
        if (net.chooses) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        int read = net.last, dilation = draw(0, 4) ? 1 : 2;
        if (draw(0, 2)) net.last = convolution(&net, read, groups * out, side, draw(0, 3) ? side : 3, stride, dilation, groups, draw(0, 3));
        else net.last = same_convolution(&net, read, groups * out, 3, groups);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1), net.chooses = true;
        struct ph_shape from = shape_of(&net, read), made = shape_of(&net, net.last);
        if (made.dims[1] == from.dims[1] && made.dims[2] == from.dims[2] && made.dims[3] == from.dims[3]) {
            int pair[2] = {net.last, read};
            net.last = node(&net, &ph_operation_add, NULL, pair, 2);
        }
        net.last = convolution(&net, net.last, draw(1, 40), 1, 1, 1, 1, 1, true);
        float *input = noise(fed_size(&net));
        if (!device_backend) threads_check(&net, 3, input);
        char what[96];
        snprintf(what, sizeof what, "%d groups, %d to %d channels, side %d, stride %d, dilation %d", groups, in, out, side, stride, dilation);
        check_with(&net, what, 1e-5, input);
    }
}

/* Activations on maps of all sizes, with rows that adjoin and rows that do not, for one reader and for two, behind them a gate for
 * each channel. */
static void test_gated_maps(void **state) {
    static const struct ph_activation_attributes ramp = {.alpha = 1.0 / 6, .beta = 0.5}, exact = {.tanh = false};
    static const struct ph_operation *const whole[] = {&ph_operation_silu, &ph_operation_mish, &ph_operation_gelu};
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        int channels = draw(2, 40), kind = draw(0, 4), kernel = draw(0, 1) ? 3 : 1;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(5, 34), draw(5, 34)));
        net.chooses = kind == 1;
        int x = convolution(&net, net.input, channels, 3, 3, 1, 1, 1, true), pair[2] = {x, PH_ABSENT};
        if (kind == 0) pair[1] = node(&net, &ph_operation_sigmoid, NULL, &x, 1);
        if (kind == 1) pair[1] = node(&net, &ph_operation_hard_sigmoid, &ramp, &x, 1);
        net.last = kind < 2 ? node(&net, &ph_operation_mul, NULL, pair, 2)
                            : node(&net, whole[kind - 2], kind == 4 ? &exact : NULL, &x, 1);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_add, NULL, (int[]){net.last, x}, 2);
        int factor = node(&net, &ph_operation_global_average_pool, NULL, &net.last, 1);
        factor = convolution(&net, factor, channels, 1, 1, 1, 1, 1, true);
        factor = node(&net, &ph_operation_sigmoid, NULL, &factor, 1);
        bool gated = draw(0, 3);
        if (gated) net.last = node(&net, &ph_operation_mul, NULL, (int[]){factor, net.last}, 2);
        net.last = convolution(&net, net.last, 5, kernel, kernel, 1, 1, 1, true);
        float *input = noise(fed_size(&net));
        if (i % 8 == 0) threads_check(&net, 3, input);
        check_with(&net, "gated maps", 2e-5, input);
    }
}

/* Outputs of a fully connected layer that nobody reads are left out, and the others are the same bytes. */
static void test_picked_outputs(void **state) {
    for (int i = 0; i < rounds(30); i++) {
        struct ph_random_key start = key;
        float *first[2] = {NULL};
        size_t bytes = 0;
        for (int alone = 0; alone < 2; alone++) {
            struct network net;
            key = start;
            int items = draw(2, 4), inner = draw(1, 200), outputs = draw(2, 70), biased = draw(0, 2);
            network_start(&net, *state, PH_SHAPE(items, inner));
            int inputs[] = {net.input, constant(&net, PH_SHAPE(outputs, inner), 1 / sqrt((double)inner)),
                constant(&net, biased == 1 ? PH_SHAPE(1, outputs) : PH_SHAPE(outputs), 1)};
            net.last = node(&net, &ph_operation_gemm, &(struct ph_gemm_attributes){0.5, 2, false, true}, inputs, 2 + (biased > 0));
            if (draw(0, 1)) net.last = node(&net, &ph_operation_silu, NULL, &net.last, 1);
            struct ph_pick_attributes pick = {.channels = {draw(0, outputs - 1)}};
            for (int n = 1; n < items; n++) {
                int32_t channel = draw(0, outputs - 1);
                pick.channels[n] = alone ? pick.channels[0] : channel;
            }
            net.last = node(&net, &ph_operation_pick, &pick, &net.last, 1);
            bytes = (size_t)inner * sizeof(float);
            first[alone] = checked_gradient(&net, "picked outputs", 1e-5);
        }
        assert_memory_equal(first[0], first[1], bytes);
        free(first[0]);
        free(first[1]);
    }
}

/* The last convolution's weights become 32nds, its bias lies a share of a step behind multiples of the step that its sums are made
 * of: so that none comes near 0, where rounding would choose for a ReLU. */
static void keep_from_zero(struct network *net, int made, double step, double share) {
    const struct ph_graph *graph = net->graph;
    const int *inputs = graph->nodes[graph->values[made].node].inputs;
    struct ph_shape weights = shape_of(net, inputs[1]), bias = shape_of(net, inputs[2]);
    float *numbers[] = {net->constants[net->constant_count - 2], net->constants[net->constant_count - 1]};
    for (int64_t i = 0; i < ph_shape_size(&weights); i++) numbers[0][i] = roundf(numbers[0][i] * 32) / 32;
    for (int64_t i = 0; i < ph_shape_size(&bias); i++) numbers[1][i] = (float)((round(numbers[1][i] / step) + share) * step);
}

/* Rows and columns that go by Winograd's way in one dimension, both ways: with pads of every kind, ReLUs, residual sums, branches
 * that are joined and add to one gradient; with the same bytes by one thread and by several. */
static void test_lines(void **state) {
    const double step = 1.0 / 32, next_step = step * step / 2;
    for (int i = 0; i < rounds(15); i++) {
        struct network net;
        int length = (const int[]){3, 5, 7}[i % 3], across = draw(0, 1);
        network_start(&net, *state, PH_SHAPE(draw(1, 2), draw(96, 112), draw(15, 18), draw(15, 18)));
        net.chooses = true;
        net.last = convolution(&net, net.input, draw(96, 112), across ? 1 : length, across ? length : 1, 1, 1, 1, true);
        keep_from_zero(&net, net.last, step, 0.5);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        int pair[2] = {net.last, net.last}, channels = draw(0, 1) ? (int)shape_of(&net, net.last).dims[1] : 0;
        for (int k = 0; k < 2; k++)
            if (draw(0, 2)) {
                pair[k] = line_convolution(&net, net.last, channels ? channels : 96 + 16 * k, length, across ^ !k);
                keep_from_zero(&net, pair[k], next_step, k ? 0.25 : 0.5);
            }
        if (channels && pair[0] != pair[1]) net.last = node(&net, &ph_operation_add, NULL, pair, 2);
        else net.last = node(&net, &ph_operation_concat, &(struct ph_axis_attributes){1}, pair, 2);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        float *input = noise(fed_size(&net));
        for (int64_t k = 0; k < fed_size(&net); k++) input[k] = roundf(input[k]);
        struct ph_text plan = {0};
        assert_int_equal(ph_context_set_instruction_set(net.context, "auto"), PH_OK);
        print_plan(&net, "cpu", &plan);
        const char *first = strstr(plan.data, "winograd-line"), *backward = strstr(plan.data, "backward");
        if (!first || first > backward || !strstr(backward, "winograd-line")) fail_msg("no lines both ways:\n%s", plan.data);
        ph_free(plan.data);
        threads_check(&net, 3, input);
        check_with(&net, "lines", 1e-5, input);
    }
}

/* Whether the device can be had; without one the program is skipped. */
static bool device_open(ph_context *context) {
    const struct ph_backend *backend;
    if (!ph_context_set_backend(context, device_backend, 0) && !ph_backend_resolve(context, NULL, &backend)) return true;
    printf("skipped: %s\n", ph_context_error(context));
    return false;
}

enum { SKIPPED = 77 };

/* "tiles": the kernels of AMX, on it or emulated. */
static int run_tiles(ph_context *context) {
    const struct CMUnitTest tests[] = {{.name = "test_tiles", .test_func = test_tiles, .initial_state = context}};
    bool present = ph_instruction_set_detect() == PH_AMX;
    if (!present && !emulated_tiles_start()) {
        printf("skipped: no AMX, and no x86-64 Linux with AVX512_BF16 to emulate it on\n");
        return SKIPPED;
    }
    printf("AMX: %s\n", present ? "the processor's" : "emulated");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A pool of what is normalised, which a pass makes one operation of; the gradient of the ReLU in front may be added to by another
 * reader, the pool may be shared out by rows. */
static void test_normed_pools(void **state) {
    for (int i = 0; i < rounds(30); i++) {
        struct network net;
        bool large = i % 3 == 0;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(1, large ? 60 : 9), draw(1, large ? 40 : 12)));
        ph_context_set_threads(net.context, large ? i % 5 + 1 : 0);
        net.chooses = true;
        net.last = convolution(&net, net.input, draw(1, 70), 1, 1, 1, 1, 1, true);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        struct ph_shape in = shape_of(&net, net.last);
        struct ph_response_norm_attributes norm = {.size = draw(0, 1) ? 5 : draw(1, 16), .alpha = draw(0, 1) ? 0.01 : 1,
            .beta = draw(0, 2) ? 0.75 : 0.6, .bias = draw(1, 2)};
        struct ph_pool_attributes a = {.output = {1}, .kernel = {1, 3, 3}, .stride = {1, 2, 2}, .dilation = {1, 1, 1}};
        for (int k = 1; k < PH_SPATIAL; k++) {
            if (draw(0, 2) == 0) a.kernel[k] = draw(1, 4), a.stride[k] = draw(1, 3), a.dilation[k] = draw(1, 2);
            a.pad_begin[k] = draw(0, (int)(a.kernel[k] - 1));
            int64_t reach = (a.kernel[k] - 1) * a.dilation[k] + 1, room = in.dims[k + 1] + a.pad_begin[k];
            a.output[k] = PH_MAX(room - reach + draw(0, 1), 0) / a.stride[k] + 1;
            a.output[k] = PH_MIN(a.output[k], (room - 1) / a.stride[k] + 1);
        }
        int normed = node(&net, &ph_operation_local_response_norm, &norm, &net.last, 1);
        int branches[2] = {node(&net, &ph_operation_max_pool, &a, &normed, 1), net.last};
        for (int b = 0; b < 2; b++) {
            int weighted[2] = {branches[b], constant(&net, shape_of(&net, branches[b]), 1)};
            branches[b] = node(&net, &ph_operation_mul, NULL, weighted, 2);
            branches[b] = node(&net, &ph_operation_global_average_pool, NULL, &branches[b], 1);
        }
        net.last = draw(0, 1) ? branches[0] : node(&net, &ph_operation_concat, &(struct ph_axis_attributes){1}, branches, 2);
        net.last = convolution(&net, net.last, draw(1, 20), 1, 1, 1, 1, 1, true);
        char what[64];
        snprintf(what, sizeof what, "pool of %d channels' normalisation", (int)norm.size);
        check(&net, what, 1e-5);
        ph_context_set_threads(*state, 0);
    }
}

int main(int argument_count, char **arguments) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_convolutions), cmocka_unit_test(test_channel_scale),
        cmocka_unit_test(test_depthwise), cmocka_unit_test(test_first_layers), cmocka_unit_test(test_networks), cmocka_unit_test(test_cut_off_gradients),
        cmocka_unit_test(test_rows_and_volumes), cmocka_unit_test(test_concatenation_as_loss), cmocka_unit_test(test_picked_channels),
        cmocka_unit_test(test_redirected), cmocka_unit_test(test_operation_cases), cmocka_unit_test(test_matrix_products),
        cmocka_unit_test(test_products_of_any_shape), cmocka_unit_test(test_many_axes), cmocka_unit_test(test_fourier), cmocka_unit_test(test_bfloat16), cmocka_unit_test(test_matrices),
        cmocka_unit_test(test_sums), cmocka_unit_test(test_large_maps), cmocka_unit_test(test_few_tiles),
        cmocka_unit_test(test_narrow_maps), cmocka_unit_test(test_skipped_positions), cmocka_unit_test(test_joined),
        cmocka_unit_test(test_response_norms), cmocka_unit_test(test_maxima_of_three), cmocka_unit_test(test_warps),
        cmocka_unit_test(test_movement), cmocka_unit_test(test_layer_norms), cmocka_unit_test(test_softmaxes),
        cmocka_unit_test(test_broadcasts),
        cmocka_unit_test(test_small_maps), cmocka_unit_test(test_groups), cmocka_unit_test(test_gated_maps),
        cmocka_unit_test(test_picked_outputs), cmocka_unit_test(test_normed_pools), cmocka_unit_test(test_lines)};
    ph_context *context = ph_context_create();
    if (argument_count > 1 && !strcmp(arguments[1], "tiles")) {
        int failed = run_tiles(context);
        ph_context_destroy(&context);
        return failed;
    }
    device_backend = argument_count > 1 ? arguments[1] : NULL;
    halves = argument_count > 2 && !strcmp(arguments[2], "fp16");
    ph_plan_halve(halves);
    if (device_backend && !device_open(context)) {
        ph_context_destroy(&context);
        return SKIPPED;
    }
    for (int level = ph_instruction_set_detect() + 1; level < PH_COUNT(ph_instruction_set_names); level++)
        printf("this processor has no %s: its kernels are compiled but not run\n", ph_instruction_set_names[level]);
    struct CMUnitTest with_context[PH_COUNT(tests)];
    for (int i = 0; i < PH_COUNT(tests); i++) {
        with_context[i] = tests[i];
        with_context[i].initial_state = context;
    }
    int failures = cmocka_run_group_tests(with_context, NULL, NULL);
    if (device_backend) {
        printf("%s: %d networks and operations held to the plain ones, %d with an operation it refuses\n", device_backend,
               done, refused);
        failures += done < 700 || refused > 0;
    }
    ph_context_destroy(&context);
    return failures;
}
