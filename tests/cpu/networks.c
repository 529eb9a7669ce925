/* Networks of tests: made of random numbers, run, and compared. */
#include "networks.h"

struct ph_random_key key = {.seed = 1};

int draw(int low, int high) {
    key.step++;
    return low + (int)(ph_random_uniform(key, 0) * (high - low + 1));
}

bool halves;

void round_numbers(float *values, int64_t count) {
    for (int64_t i = 0; i < count && halves; i++) values[i] = ph_half_to_float(ph_float_to_half(values[i]));
}

float *noise(int64_t count) {
    float *values = malloc((size_t)(count + 1) * sizeof *values);
    key.step++;
    ph_random_normal(key, values, (size_t)count);
    return values;
}

int constant(struct network *net, struct ph_shape shape, double scale) {
    int64_t size = ph_shape_size(&shape);
    float *values = noise(size);
    for (int64_t i = 0; i < size; i++) values[i] *= (float)scale;
    round_numbers(values, size);
    int value;
    assert_int_equal(ph_graph_add_constant(net->graph, NULL, PH_FLOAT, shape, values, &value), PH_OK);
    net->constants[net->constant_count++] = values;
    return value;
}

struct ph_shape shape_of(const struct network *net, int value) { return net->graph->values[value].shape; }

int64_t fed_size(const struct network *net) {
    int64_t size = 0;
    for (int i = 0; i < net->input_count; i++) size += ph_shape_size(&net->graph->values[net->inputs[i]].shape);
    return size;
}

int feed(struct network *net, struct ph_shape shape) {
    int *input = &net->inputs[net->input_count++];
    assert_int_equal(ph_graph_add_input(net->graph, "x", PH_FLOAT, shape, input), PH_OK);
    return *input;
}

void network_start(struct network *net, ph_context *context, struct ph_shape shape) {
    *net = (struct network){.context = context};
    assert_int_equal(ph_graph_create(context, &net->graph), PH_OK);
    net->last = feed(net, shape);
}

int node(struct network *net, const struct ph_operation *operation, const void *attributes, const int *inputs, int count) {
    int out = PH_ABSENT;
    ph_status status = ph_graph_add(net->graph, operation, NULL, attributes, inputs, count, &out);
    if (status) fail_msg("%s", ph_context_error(net->context));
    return out;
}

int convolution(struct network *net, int input, int outputs, int kernel_y, int kernel_x, int stride, int dilation,
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

int checks;

const char *device_backend;

int done, refused;

int rounds(int count) { return device_backend ? (count + 9) / 10 : count; }

enum ph_precision asked = PH_FP32;

struct result run(struct network *net, const char *backend, const float *input, bool guards) {
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

double distance(const float *a, const float *b, int64_t count, double least) {
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    norm = fmax(norm, least * least * (double)count);
    return sqrt(difference / (norm > 0 ? norm : 1));
}

void compare(struct network *net, const char *backend, const char *name, const char *what, double tolerance,
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

void network_finish(struct network *net, float *input) {
    free(input);
    ph_graph_destroy(&net->graph);
    for (int i = 0; i < net->constant_count; i++) free(net->constants[i]);
}

void check_with(struct network *net, const char *what, double tolerance, float *input) {
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

void check(struct network *net, const char *what, double tolerance) {
    check_with(net, what, tolerance, noise(fed_size(net)));
}

int batch_norm(struct network *net, int input) {
    int64_t channels = shape_of(net, input).dims[1];
    int inputs[] = {input, constant(net, PH_SHAPE(channels), 1), constant(net, PH_SHAPE(channels), 0.5),
        constant(net, PH_SHAPE(channels), 0.5), constant(net, PH_SHAPE(channels), 0)};
    float *variance = net->constants[net->constant_count - 1];
    for (int64_t c = 0; c < channels; c++) variance[c] = 0.5f + (float)(c % 5);
    return node(net, &ph_operation_batch_norm, &(struct ph_norm_attributes){.epsilon = 1e-5}, inputs, 5);
}

const enum ph_instruction_set bfloat16_units[] = {PH_PORTABLE, PH_AVX512_BF16, PH_AMX};

void print_plan(struct network *net, const char *backend, struct ph_text *text) {
    struct ph_program_request request = {.taps = &net->last, .tap_count = 1, .loss = net->last, .parameters = &net->input,
        .parameter_count = 1, .backend = backend};
    struct ph_program *program;
    assert_int_equal(ph_program_create(net->graph, &request, &program), PH_OK);
    assert_int_equal(ph_program_print(program, false, text), PH_OK);
    ph_program_destroy(&program);
}

void threads_check(struct network *net, int threads, const float *input) {
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

int sized_convolution(struct network *net, int from, int outputs, int rows, int columns, int groups) {
    int channels = (int)shape_of(net, from).dims[1];
    struct ph_convolution_attributes a = {.kernel = {1, rows, columns}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, rows / 2, columns / 2}, .pad_end = {0, rows / 2, columns / 2}, .groups = groups};
    double scale = 1 / sqrt((double)channels / groups * rows * columns);
    int inputs[3] = {from, constant(net, PH_SHAPE(outputs, channels / groups, rows, columns), scale),
        constant(net, PH_SHAPE(outputs), 0.3)};
    return node(net, &ph_operation_convolution, &a, inputs, 3);
}

int same_convolution(struct network *net, int from, int outputs, int side, int groups) {
    return sized_convolution(net, from, outputs, side, side, groups);
}

float *checked_gradient(struct network *net, const char *what, double tolerance) {
    float *input = noise(fed_size(net));
    round_numbers(input, fed_size(net));
    struct result result = run(net, device_backend ? device_backend : "cpu", input, false);
    free(result.value);
    check_with(net, what, tolerance, input);
    return result.gradient;
}
