/* Every operation by its own cases, and those beside convolutions and products by drawn ones. */
#include "networks.h"

/* One of an operation's own cases, one of its results the last; the inputs of bit set `fed` from outside, the others
 * constant. */
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
void test_operation_cases(void **state) {
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

/* Operands that lie across each other along every other axis of eight, so that no two axes are as one. */
void test_many_axes(void **state) {
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

void test_fourier(void **state) {
    static const int sizes[][2] = {{8, 8}, {7, 9}, {16, 15}, {1, 6}, {5, 1}, {32, 48}, {29, 31}, {58, 62}, {37, 10}, {9, 41},
        {224, 210}, {33, 64}, {1, 1}, {50, 2}, {96, 147}, {3, 1000}, {1024, 8}, {1080, 4}};
    for (int i = 0; i < PH_COUNT(sizes); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(2, 3, sizes[i][0], sizes[i][1] / 2 + 1, 2));
        net.last = node(&net, &ph_operation_irfft2, &(struct ph_irfft2_attributes){sizes[i][1]}, &net.input, 1);
        int square[2] = {net.last, net.last};
        net.last = node(&net, &ph_operation_mul, NULL, square, 2);
        check(&net, "inverse Fourier transform", 1e-5);
    }
}

/* Windows of all sizes that reach into the blocks beside, and one that reaches further; rows longer than the stretches that
 * they are made in; gradients that are cut off, and that are added to another. */
void test_response_norms(void **state) {
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        network_start(&net, *state, PH_SHAPE(draw(1, 2), 3, draw(1, 6), draw(1, 80)));
        net.chooses = true;
        net.last = convolution(&net, net.input, draw(1, 70), 1, 1, 1, 1, 1, true);
        if (draw(0, 1)) net.last = node(&net, &ph_operation_relu, NULL, &net.last, 1);
        struct ph_response_norm_attributes a = {.size = draw(0, 2) ? draw(1, 17) : i % 20 ? 5 : 40,
            .alpha = (const double[]){0.01, 1, 30}[draw(0, 2)],
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
void test_maxima_of_three(void **state) {
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
        if (large && !device_backend) threads_check(&net, 2 + i % 4, input); /* bands end at other rows, sums do not change */
        if (large) ph_context_set_threads(net.context, i % 5 + 1);
        check_with(&net, what, 1e-5, input);
        ph_context_set_threads(*state, 0);
    }
}

/* Turned, grown and shrunk, shifted by whole pixels; pictures wider than a tile of the adjoint last. */
void test_warps(void **state) {
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
            m[2] = (float)(draw(-8 * width, 8 * width) / (i % 5 ? 16.0 : 8.0));
            m[5] = (float)(draw(-8 * height, 8 * height) / 16.0);
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
    if (kind == 4)
        return node(net, &ph_operation_depth_to_space, &(struct ph_depth_to_space_attributes){2, draw(0, 1)}, &from, 1);
    int size = (int)in.dims[axis], count = draw(0, 3) ? draw(1, size) : 0, first = draw(0, size - PH_MAX(count, 1));
    int inputs[2] = {from, constant(net, count ? PH_SHAPE(count) : PH_SCALAR, 0)};
    bool even = draw(0, 1);
    for (int k = 0; k < PH_MAX(count, 1); k++)
        net->constants[net->constant_count - 1][k] = (float)((even ? first + k : draw(0, size - 1)) - (draw(0, 1) ? size : 0));
    return node(net, &ph_operation_gather, &(struct ph_axis_attributes){axis}, inputs, 2);
}

/* What only moves, several times of one value, so that gradients are written and added; short axes and long ones. */
void test_movement(void **state) {
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

void test_layer_norms(void **state) {
    for (int i = 0; i < rounds(40); i++) {
        struct network net;
        struct ph_shape shape = any_shape(200), row = {0};
        /* Of two numbers that are near, all would hang on rounding. */
        shape.dims[shape.rank - 1] = draw(0, 3) ? draw(8, 150) : draw(300, 700);
        network_start(&net, *state, shape);
        struct ph_norm_attributes a = {.epsilon = 1e-2, .axis = draw(0, shape.rank - 1)};
        for (int k = (int)a.axis; k < shape.rank; k++) row.dims[row.rank++] = shape.dims[k];
        int inputs[3] = {net.input, constant(&net, row, 1), draw(0, 2) ? constant(&net, row, 1) : PH_ABSENT};
        net.last = node(&net, &ph_operation_layer_norm, &a, inputs, inputs[2] == PH_ABSENT ? 2 : 3);
        added_check(&net, net.input, "layer normalisation", 1e-5, i % 8 == 0);
    }
}

void test_softmaxes(void **state) {
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
void test_broadcasts(void **state) {
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

/* A pool of what is normalised, which a pass makes one operation of; the gradient of the ReLU in front may be added to by
 * another reader, the pool may be shared out by rows. */
void test_normed_pools(void **state) {
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
        float *input = noise(fed_size(&net));
        if (large && !device_backend) threads_check(&net, 2 + i % 4, input);
        if (large) ph_context_set_threads(net.context, i % 5 + 1);
        check_with(&net, what, 1e-5, input);
        ph_context_set_threads(*state, 0);
    }
}
