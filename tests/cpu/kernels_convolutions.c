/* Convolutions' kernels: of every shape of kernel, map and group. */
#include "networks.h"

void test_convolutions(void **state) {
    for (int i = 0; i < rounds(150); i++) {
        struct network net;
        int groups = (const int[]){1, 1, 1, 1, 2, 3}[draw(0, 5)];
        int channels = groups * (const int[]){1, 3, 4, 8, 16, 20, 32, 48}[draw(0, 7)], outputs = groups * draw(1, 70);
        int kernel_y = draw(1, 5), kernel_x = draw(0, 3) ? kernel_y : draw(1, 7);
        int stride = draw(1, 3), dilation = draw(0, 3) ? 1 : 2;
        network_start(&net, *state, PH_SHAPE(draw(1, 3), channels, draw(10, 34), draw(13, 34)));
        net.last = convolution(&net, net.input, outputs, kernel_y, kernel_x, stride, dilation, groups, draw(0, 1));
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        net.last = convolution(&net, net.last, draw(1, 40), 1, 1, 1, 1, 1, true);
        char what[128];
        snprintf(what, sizeof what, "convolution %dx%d stride %d dilation %d groups %d", kernel_y, kernel_x, stride, dilation,
                 groups);
        check(&net, what, 1e-5);
    }
}

/* Squeeze and excitation: channels by a factor each that depends on all positions. */
void test_channel_scale(void **state) {
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
void test_depthwise(void **state) {
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

void test_first_layers(void **state) {
    static const struct { int kernel, stride, size, channels, outputs; } shapes[] = {{7, 2, 64, 3, 20}, {3, 1, 64, 3, 20},
        {3, 2, 57, 3, 20}, {11, 4, 91, 1, 20}, {11, 4, 95, 3, 40}, {5, 2, 64, 3, 20}, {1, 1, 30, 3, 20}, {5, 3, 44, 3, 20},
        {8, 2, 41, 2, 17}, {7, 3, 50, 4, 33}};
    for (int i = 0; i < 2 * PH_COUNT(shapes); i++) {
        int kernel = shapes[i / 2].kernel, stride = shapes[i / 2].stride;
        int channels = shapes[i / 2].channels, outputs = shapes[i / 2].outputs;
        struct network net;
        network_start(&net, *state, PH_SHAPE(i / 2 % 2 + 1, channels, shapes[i / 2].size, shapes[i / 2].size + 3 * (i / 2)));
        if (i % 2) {
            /* As networks have them: pads of half the filter on all sides. */
            struct ph_convolution_attributes a = {.kernel = {1, kernel, kernel}, .stride = {1, stride, stride},
                .dilation = {1, 1, 1}, .pad_begin = {0, kernel / 2, kernel / 2}, .pad_end = {0, kernel / 2, kernel / 2},
                .groups = 1};
            double scale = 1 / sqrt((double)channels * kernel * kernel);
            int inputs[] = {net.input, constant(&net, PH_SHAPE(outputs, channels, kernel, kernel), scale),
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

static int line_convolution(struct network *net, int from, int outputs, int length, bool across) {
    return sized_convolution(net, from, outputs, across ? 1 : length, across ? length : 1, 1);
}

/* Maps that threads share out by rows, whose windows reach across. */
void test_large_maps(void **state) {
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
void test_few_tiles(void **state) {
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

/* Windows over one axis and over three, with strides, dilations and pads of their own along each. */
void test_rows_and_volumes(void **state) {
    for (int i = 0; i < rounds(160); i++) {
        struct network net;
        int groups = draw(0, 3) ? 1 : 2, channels = groups * draw(1, 5), outputs = draw(1, 36), spatial = i % 2 ? 3 : 1;
        bool transposed = draw(0, 2) == 0;
        struct ph_shape shape = {.rank = 2 + spatial, .dims = {draw(1, 2), channels}}, kernel = shape;
        struct ph_convolution_attributes a = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
            .groups = groups};
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
        net.last = node(&net, transposed ? &ph_operation_convolution_transpose : &ph_operation_convolution, &a, inputs,
                        draw(2, 3));
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

/* Rows too short for a tile, of any number of blocks of channels, and as many as leave one over. */
void test_narrow_maps(void **state) {
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

/* Strides that leave positions no kernel element reaches: alone, as the first and as the last of two readers, behind a ReLU
 * that cuts the gradient off or behind none. */
void test_skipped_positions(void **state) {
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

/* Maps whose 3x3 layers go by Winograd's small tiles, both ways, with whatever else such a step makes: pads of every kind,
 * ReLUs, residual sums, gradients that are added to others; with the same bytes by one thread and by several. */
void test_small_maps(void **state) {
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
        if (!first || first > backward || !strstr(backward, "winograd-2x2"))
            fail_msg("no small tiles both ways:\n%s", plan.data);
        ph_free(plan.data);
        threads_check(&net, 3, input);
        check_with(&net, "small map", 1e-5, input);
    }
}

/* Groups of any number of channels, read and made: they begin and end within blocks, fill them, or are several in one. Read
 * twice, added to something else, and cut off. By any number of threads the same bytes. */
void test_groups(void **state) {
    static const int widths[] = {1, 2, 2, 4, 4, 8, 8, 3, 5, 6, 12, 16, 20, 24, 40, 32, 9};
    for (int i = 0; i < rounds(60); i++) {
        struct network net;
        int in = widths[draw(0, PH_COUNT(widths) - 1)], out = draw(0, 3) ? in : widths[draw(0, PH_COUNT(widths) - 1)];
        int groups = draw(2, 120 / PH_MAX(in, out)), side = (const int[]){3, 3, 3, 1, 2, 5}[draw(0, 5)];
        int stride = draw(1, 3) % 3 + 1;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(8, 18), draw(8, 36)));
        net.last = convolution(&net, net.input, groups * in, 1, 1, 1, 1, 1, true);
        net.chooses = draw(0, 1);
        if (net.chooses) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        int read = net.last, dilation = draw(0, 4) ? 1 : 2;
        if (draw(0, 2))
            net.last = convolution(&net, read, groups * out, side, draw(0, 3) ? side : 3, stride, dilation, groups, draw(0, 3));
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
        snprintf(what, sizeof what, "%d groups, %d to %d channels, side %d, stride %d, dilation %d", groups, in, out, side,
                 stride, dilation);
        check_with(&net, what, 1e-5, input);
    }
}

/* The last convolution's weights become 32nds, its bias lies a share of a step behind multiples of the step that its sums are
 * made of: so that none comes near 0, where rounding would choose for a ReLU. */
static void keep_from_zero(struct network *net, int made, double step, double share) {
    const struct ph_graph *graph = net->graph;
    const int *inputs = graph->nodes[graph->values[made].node].inputs;
    struct ph_shape weights = shape_of(net, inputs[1]), bias = shape_of(net, inputs[2]);
    float *numbers[] = {net->constants[net->constant_count - 2], net->constants[net->constant_count - 1]};
    for (int64_t i = 0; i < ph_shape_size(&weights); i++) numbers[0][i] = roundf(numbers[0][i] * 32) / 32;
    for (int64_t i = 0; i < ph_shape_size(&bias); i++) numbers[1][i] = (float)((round(numbers[1][i] / step) + share) * step);
}

/* Rows and columns that go by Winograd's way in one dimension, both ways: with pads of every kind, ReLUs, residual sums,
 * branches that are joined and add to one gradient; with the same bytes by one thread and by several. */
void test_lines(void **state) {
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
