/* Products of matrices, and convolutions that are such, in every precision. */
#include "emulated_tiles.h"
#include "networks.h"

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
    snprintf(what, 128, "convolution %dx%d stride %d dilation %d%s", kernel_y, kernel_x, stride, dilation,
             relu ? ", ReLU" : "");
}

void test_bfloat16(void **state) {
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
void test_tiles(void **state) {
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
void test_matrices(void **state) {
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

/* Stacks with axes of their own or in common, every tail of the tiles; fully connected layers of few rows and many. */
void test_products_of_any_shape(void **state) {
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
            int other = constant(&net, left ? b : a, 1 / sqrt((double)k));
            int operands[2] = {left ? net.input : other, left ? other : net.input};
            net.last = node(&net, &ph_operation_matmul, NULL, operands, 2);
        }
        check(&net, "product", 1e-5);
    }
}

/* Either operand fed, the other constant, alone and shared by the stack; and both the same. */
void test_matrix_products(void **state) {
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

/* Outputs of a fully connected layer that nobody reads are left out, and the others are the same bytes. */
void test_picked_outputs(void **state) {
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
            net.last = node(&net, &ph_operation_gemm, &(struct ph_gemm_attributes){0.5, 2, false, true}, inputs,
                            2 + (biased > 0));
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
