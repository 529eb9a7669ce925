/* 3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", arXiv:1509.09308): tiles of 4x4 outputs from 6x6 inputs, 36 products a tile and channel
 * pair instead of 144.
 *
 * A stretch of tiles at a time goes through three loops: transform the inputs, multiply at each of the 36 points (the direct
 * convolution's loop with one tap, the points its batch), transform back. Filters are transformed in double and rounded
 * once. The rule that picks this kernel looks at one item's size, so that bytes do not depend on the batch. */
#include "cpu/kernels/blocked.h"
#include "cpu/kernels/direct.h"

enum { POINTS = 36, SIDE = 6, OUT = 4 };

/* Backward is forward with the gradient as input, filters turned and transposed, and padding 2 - pad. */
struct shape {
    int64_t items, in_channels, in_height, in_width, out_channels, out_height, out_width, pad[2];
    int64_t rows, columns, tiles; /* tiles of an item; of all items */
    int64_t stretch;              /* tiles that go through the loops together */
};

static struct shape shape_of(const struct ph_convolution_attributes *a, const int64_t *in, const int64_t *out, bool backward) {
    struct shape s = {.items = in[0], .in_channels = in[1], .in_height = in[2], .in_width = in[3], .out_channels = out[1],
        .out_height = out[2], .out_width = out[3], .pad = {a->pad_begin[1], a->pad_begin[2]}};
    if (backward)
        s = (struct shape){.items = in[0], .in_channels = out[1], .in_height = out[2], .in_width = out[3],
            .out_channels = in[1], .out_height = in[2], .out_width = in[3], .pad = {2 - a->pad_begin[1], 2 - a->pad_begin[2]}};
    s.rows = (s.out_height + OUT - 1) / OUT;
    s.columns = (s.out_width + OUT - 1) / OUT;
    s.tiles = s.items * s.rows * s.columns;
    /* What a stretch keeps should stay in the second-level caches, but not be small beside the filters it has to read. */
    int64_t channels = (blocks_of(s.in_channels) + blocks_of(s.out_channels)) * PH_LANES;
    int64_t filters = POINTS * s.in_channels * s.out_channels * (int64_t)sizeof(float);
    int64_t bytes = PH_MAX((int64_t)3 << 19, 2 * filters), per_tile = POINTS * channels * (int64_t)sizeof(float);
    int64_t wanted = PH_MAX(bytes / per_tile, (int64_t)28), stretches = (s.tiles + wanted - 1) / wanted;
    s.stretch = (s.tiles + stretches - 1) / stretches;
    return s;
}

static struct shape shape_of_query(const struct ph_kernel_query *query) {
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    return shape_of(node->attributes, values[node->inputs[0]].shape.dims, values[node->outputs[0]].shape.dims, query->backward);
}

static struct shape shape_of_call(const struct ph_kernel_call *call) {
    return shape_of(call->node->attributes, call->plain.input_shapes[0]->dims, call->plain.output_shapes[0].dims,
                    call->output_gradients[0].data);
}

static bool accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    for (int i = 1; i < PH_SPATIAL; i++)
        if (a->kernel[i] != 3 || a->stride[i] != 1 || a->dilation[i] != 1 || a->pad_begin[i] > 2) return false;
    struct shape s = shape_of_query(query);
    return a->groups == 1 && s.in_channels >= PH_LANES && s.out_channels >= PH_LANES && s.out_height >= 12 && s.out_width >= 12;
}

/* ---- Filters ----------------------------------------------------------------------------------------------------- */

struct filters { const struct ph_kernel_query *query; int point; };

static float filter_at(const void *state, int64_t out, int64_t in, int tap) {
    static const double g[SIDE][3] = {{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
        {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}};
    (void)tap;
    const struct filters *f = state;
    const struct ph_value *weights = &f->query->graph->values[f->query->node->inputs[1]];
    bool backward = f->query->backward;
    int64_t rows = weights->shape.dims[0], columns = weights->shape.dims[1];
    int64_t row = backward ? in : out, column = backward ? out : in;
    if (row >= rows || column >= columns) return 0;
    const float *w = (const float *)weights->data + (row * columns + column) * 9;
    double sum = 0;
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++)
            sum += g[f->point / SIDE][y] * g[f->point % SIDE][x] * w[backward ? 8 - (3 * y + x) : 3 * y + x];
    return (float)sum;
}

static size_t point_floats(const struct shape *s) {
    return PH_KERNEL(ph_direct_packed_floats)(s->in_channels, 1, blocks_of(s->out_channels), s->stretch);
}

static size_t bias_floats(const struct shape *s) { return (size_t)blocks_of(s->out_channels) * PH_LANES; }

static size_t packed_bytes(const struct ph_kernel_query *query) {
    struct shape s = shape_of_query(query);
    return (bias_floats(&s) + POINTS * point_floats(&s)) * sizeof(float);
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    struct shape s = shape_of_query(query);
    float *to = packed;
    memset(to, 0, bias_floats(&s) * sizeof *to);
    const struct ph_node *node = query->node;
    if (!query->backward && node->input_count > 2 && node->inputs[2] != PH_ABSENT)
        memcpy(to, query->graph->values[node->inputs[2]].data, (size_t)s.out_channels * sizeof *to);
    to += bias_floats(&s);
    for (int point = 0; point < POINTS; point++, to += point_floats(&s))
        PH_KERNEL(ph_direct_pack)(to, s.in_channels, 1, blocks_of(s.out_channels), s.stretch, filter_at,
                                  &(struct filters){query, point});
}

static size_t scratch(const struct ph_kernel_query *query) {
    struct shape s = shape_of_query(query);
    return (size_t)(POINTS * (blocks_of(s.in_channels) + blocks_of(s.out_channels)) * s.stretch * PH_LANES);
}

/* ---- Transforms -------------------------------------------------------------------------------------------------- */

struct job {
    struct shape s;
    const struct ph_operand *in, *out;
    float *transformed, *products; /* [point][channel block][tile of the stretch][lane] */
    const float *bias;
    int64_t first, count;          /* tiles of this stretch */
    struct rectifier rectifier;
    bool accumulate;
};

PH_INLINE void input_1d(const vector d[SIDE], vector r[SIDE]) {
    r[0] = 4 * d[0] - 5 * d[2] + d[4];
    r[1] = (d[4] - 4 * d[2]) + (d[3] - 4 * d[1]);
    r[2] = (d[4] - 4 * d[2]) - (d[3] - 4 * d[1]);
    r[3] = (d[4] - d[2]) + 2 * (d[3] - d[1]);
    r[4] = (d[4] - d[2]) - 2 * (d[3] - d[1]);
    r[5] = 4 * d[1] - 5 * d[3] + d[5];
}

PH_INLINE void output_1d(const vector m[SIDE], vector r[OUT]) {
    vector sum12 = m[1] + m[2], difference12 = m[1] - m[2], sum34 = m[3] + m[4], difference34 = m[3] - m[4];
    r[0] = m[0] + sum12 + sum34;
    r[1] = difference12 + 2 * difference34;
    r[2] = sum12 + 4 * sum34;
    r[3] = difference12 + 8 * difference34 + m[5];
}

static void transform_input(void *argument, int64_t index) {
    const struct job *job = argument;
    const struct shape *s = &job->s;
    int64_t blocks = blocks_of(s->in_channels), t = index / blocks, block = index % blocks, tile = job->first + t;
    int64_t n = tile / (s->rows * s->columns), at = tile % (s->rows * s->columns);
    int64_t top = at / s->columns * OUT - s->pad[0], left = at % s->columns * OUT - s->pad[1];
    int64_t y0 = PH_MAX(-top, (int64_t)0), y1 = PH_MIN(s->in_height - top, (int64_t)SIDE);
    int64_t x0 = PH_MAX(-left, (int64_t)0), x1 = PH_MIN(s->in_width - left, (int64_t)SIDE);
    const float *in = block_origin(job->in, n, block) + top * job->in->layout.row + left * PH_LANES;
    vector d[SIDE][SIDE] = {{{0}}}, rows[SIDE][SIDE], r[SIDE];
    for (int64_t y = y0; y < y1; y++)
        for (int64_t x = x0; x < x1; x++) d[y][x] = load(in + y * job->in->layout.row + x * PH_LANES);
    for (int x = 0; x < SIDE; x++) {
        vector column[SIDE];
        for (int y = 0; y < SIDE; y++) column[y] = d[y][x];
        input_1d(column, r);
        for (int y = 0; y < SIDE; y++) rows[y][x] = r[y];
    }
    float *to = job->transformed + (block * s->stretch + t) * PH_LANES;
    for (int y = 0; y < SIDE; y++) {
        input_1d(rows[y], r);
        for (int x = 0; x < SIDE; x++) store(to + (y * SIDE + x) * blocks * s->stretch * PH_LANES, r[x]);
    }
}

static void transform_output(void *argument, int64_t index) {
    const struct job *job = argument;
    const struct shape *s = &job->s;
    int64_t blocks = blocks_of(s->out_channels), t = index / blocks, block = index % blocks, tile = job->first + t;
    int64_t n = tile / (s->rows * s->columns), at = tile % (s->rows * s->columns);
    int64_t top = at / s->columns * OUT, left = at % s->columns * OUT;
    const float *from = job->products + (block * s->stretch + t) * PH_LANES;
    vector rows[OUT][SIDE], column[SIDE], r[OUT], bias = load(job->bias + block * PH_LANES);
    for (int x = 0; x < SIDE; x++) {
        for (int y = 0; y < SIDE; y++) column[y] = load(from + (y * SIDE + x) * blocks * s->stretch * PH_LANES);
        output_1d(column, r);
        for (int y = 0; y < OUT; y++) rows[y][x] = r[y];
    }
    float *out = block_origin(job->out, n, block) + top * job->out->layout.row + left * PH_LANES;
    for (int64_t y = 0; y < PH_MIN((int64_t)OUT, s->out_height - top); y++) {
        output_1d(rows[y], r);
        for (int64_t x = 0; x < PH_MIN((int64_t)OUT, s->out_width - left); x++) {
            float *pixel = out + y * job->out->layout.row + x * PH_LANES;
            vector sum = r[x] + bias;
            if (job->accumulate) sum += load(pixel);
            store(pixel, rectify(job->rectifier, sum));
        }
    }
}

static void run(const struct ph_kernel_call *call) {
    bool backward = call->output_gradients[0].data;
    struct job job = {.s = shape_of_call(call), .in = backward ? &call->output_gradients[0] : &call->inputs[0],
        .out = backward ? &call->input_gradients[0] : &call->outputs[0], .transformed = call->scratch, .bias = call->packed,
        .rectifier = backward ? (struct rectifier){0} : rectifier_of(call->node->attributes),
        .accumulate = backward && call->accumulate[0]};
    const struct shape *s = &job.s;
    if (backward) PH_KERNEL(ph_convolution_mask)(call);
    int64_t in_blocks = blocks_of(s->in_channels), out_blocks = blocks_of(s->out_channels), plane = s->stretch * PH_LANES;
    job.products = job.transformed + POINTS * in_blocks * plane;
    static const int64_t tap = 0;
    for (job.first = 0; job.first < s->tiles; job.first += s->stretch) {
        job.count = PH_MIN(s->stretch, s->tiles - job.first);
        ph_parallel_for(call->context, job.count * in_blocks, transform_input, &job);
        PH_KERNEL(ph_direct_run)(call->context, &(struct direct){.in = job.transformed, .in_item = in_blocks * plane,
            .in_plane = plane, .in_pixel = PH_LANES, .in_channel = 1, .in_blocks = (int)in_blocks, .in_block_channels = PH_LANES,
            .last_block_channels = (int)(s->in_channels - (in_blocks - 1) * PH_LANES), .taps = &tap, .tap_count = 1,
            .out = job.products, .out_item = out_blocks * plane, .out_plane = plane, .out_pixel = PH_LANES,
            .out_blocks = (int)out_blocks, .height = 1, .width = (int)job.count, .packed_width = (int)s->stretch, .items = POINTS,
            .weights = (const float *)call->packed + bias_floats(s), .weights_item = (int64_t)point_floats(s)});
        ph_parallel_for(call->context, job.count * out_blocks, transform_output, &job);
    }
}

const struct ph_kernel PH_KERNEL(ph_winograd_forward) = {.name = "winograd", .operation = &ph_operation_convolution,
    .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .packed_bytes = packed_bytes, .pack = pack,
    .scratch = scratch, .run = run};
const struct ph_kernel PH_KERNEL(ph_winograd_backward) = {.name = "winograd", .operation = &ph_operation_convolution,
    .backward = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,
    .packed_bytes = packed_bytes, .pack = pack, .scratch = scratch, .run = run, .reads = PH_KERNEL(ph_convolution_reads)};
