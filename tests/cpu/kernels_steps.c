/* What several nodes become together: steps that join, add, cut off, scale and share memory. */
#include "networks.h"

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
void test_networks(void **state) {
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
void test_cut_off_gradients(void **state) {
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
                int channels = (int)shape_of(&net, net.last).dims[1];
                int pair[2] = {convolution(&net, layer(&net, net.last), channels, 1, 1, 1, 1, 1, false), net.last};
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

/* Sums that a convolution may make in place of its output, and others that look like them: the same bytes either way. Beside
 * the plain functions without ReLUs, whose choices may hang on rounding, or forward alone. */
void test_sums(void **state) {
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

/* A concatenation that is the loss itself, of a value that others read before it: what they add to its gradient must not
 * stay in the ones that the next run begins with. */
void test_concatenation_as_loss(void **state) {
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

/* A convolution of which each item picks a channel, behind what treats every channel by itself. The same draw with
 * all items picking what the first one does: the first one's bytes stay. */
void test_picked_channels(void **state) {
    for (int i = 0; i < rounds(60); i++) {
        struct ph_random_key start = key;
        float *first[2] = {NULL};
        size_t bytes = 0;
        for (int alone = 0; alone < 2; alone++) {
            struct network net;
            key = start;
            int channels = (const int[]){3, 4, 20, 32}[draw(0, 3)], outputs = draw(2, 70);
            int kernel = (const int[]){1, 3, 5, 2}[draw(0, 3)];
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
void test_redirected(void **state) {
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
        struct ph_activation_attributes ruled = {.low = 0, .high = i % 2 ? HUGE_VAL : 6,
            .rule = (enum ph_backward_rule)(i % 3)};
        net.last = i >= 12 ? node(&net, &ph_operation_ruled_clip, &ruled, &net.last, 1)
                   : i % 2 ? node(&net, &ph_operation_redirected_relu, NULL, &net.last, 1)
                           : node(&net, &ph_operation_redirected_clip, &clip, &net.last, 1);
        net.last = convolution(&net, net.last, 5, 1, 1, 1, 1, 1, false);
        check(&net, "redirected", 1e-5);
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
void test_joined(void **state) {
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

/* Activations on maps of all sizes, with rows that adjoin and rows that do not, for one reader and for two, behind them a gate
 * for each channel. */
void test_gated_maps(void **state) {
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

/* A value seen in other shapes by several readers: their gradients are written, then added to, in stretches that threads share
 * out, with a last one of any length. */
void test_large_views(void **state) {
    for (int i = 0; i < rounds(6); i++) {
        struct network net;
        int64_t length = draw(8000, 30000);
        network_start(&net, *state, PH_SHAPE(2, length));
        net.last = node(&net, &ph_operation_tanh, NULL, &net.input, 1);
        int seen[2], whole = net.last;
        for (int k = 0; k < 2; k++) {
            struct ph_shape_attributes shape = {k ? PH_SHAPE(1, length, 2) : PH_SHAPE(2 * length)};
            seen[k] = node(&net, &ph_operation_reshape, &shape, &whole, 1);
            int weighted[2] = {seen[k], constant(&net, shape.shape, 1)};
            seen[k] = node(&net, &ph_operation_mul, NULL, weighted, 2);
            struct ph_reduce_attributes first = {.axes = {0}, .axis_count = 1};
            struct ph_shape_attributes flat = {PH_SHAPE(k ? 2 * length : 1)};
            seen[k] = node(&net, &ph_operation_reduce_mean, &first, &seen[k], 1);
            seen[k] = node(&net, &ph_operation_reshape, &flat, &seen[k], 1);
        }
        net.last = node(&net, &ph_operation_add, NULL, seen, 2);
        float *input = noise(fed_size(&net));
        if (i % 3 == 0 && !device_backend) threads_check(&net, 3, input);
        check_with(&net, "large views", 1e-5, input);
    }
}
