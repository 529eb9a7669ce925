/* Convolutions of stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", arXiv:1509.09308): F(4x4, 3x3), whose tiles of 4x4 outputs take 36 products a channel pair instead of 144,
 * F(2x2, 5x5), 36 instead of 100, and, for the phases of first layers (phases.c), F(3x3, 4x4): all of 6x6 inputs, which are
 * transformed alike. Small maps have few of these tiles, and wait for 36 filters of each channel pair to come from memory:
 * there F(2x2, 3x3) has 16 filters, 4x4 inputs to a tile, and takes 16 products instead of 36.
 *
 * A filter of one row or column has tiles of one: F(4, 3) takes 6 products instead of 12, F(3, 7) 9 instead of 21 and F(5, 5) 9
 * instead of 25. In one dimension that many points lose no more digits than 6x6 do in two.
 *
 * A task takes some tiles through all of it while they stay in its processor's own caches: transform the inputs, and for
 * two blocks of output channels at a time multiply at each point (the direct convolution's loop with one tap) and transform
 * back. Where tiles are few, tasks split the output channels; each transforms the inputs for itself, or, with many
 * tasks, they share what is transformed. Filters are transformed in double and rounded once. Sums never depend on how the work
 * is split. The rule that picks this kernel looks at one item's size, so that bytes do not depend on the batch. */
#include "cpu/kernels/winograd.h"
#include "cpu/kernels/winograd_points.h"

enum { MAX_POINTS = LARGE * LARGE, GROUP = 2, MAX_KERNEL = 5 * 5 };
/* Tiles of a task: rows of the register tile, or, of small ones, those of 8x8 outputs; more of them where the filters come from
 * memory each time, or where a tile has the points of one dimension alone. */
#if PH_LANES == 16
enum { FEW_LARGE = 14 };
#else
enum { FEW_LARGE = 12 };
#endif
enum { FEW_SMALL = 16, MANY = 4 };
/* Outputs a side: of any layer; of those that take small tiles, since with fewer the direct sums have less to read and little
 * more to multiply; of those that take large ones, with a filter of 3x3 and of 5x5. */
enum { SMALLEST = 4, LEAST_SMALL = 6, LEAST_3 = 11, LEAST_5 = 7 };
/* Of those with a filter of one row or column: tiles that a filter is read for; how many channels' products the transform of a
 * tile takes, of its inputs those with as many outputs, of its outputs those with as many inputs; and what the direct sums take
 * for 100 of both. */
enum { LEAST_LINE_TILES = 14, LINE_TRANSFORM = 16, LEAST_LINE_GAIN = 110 };
static const int64_t CACHED_FILTERS = 12 << 20; /* bytes that may stay in the last-level cache */

/* Of one dimension. */
static bool is_line(const struct winograd *s) { return s->side[0] == 1 || s->side[1] == 1; }

/* Tasks for all threads where there are too few tiles. A thread that has all tiles and some groups of output channels reads the
 * filters of those alone; one that has some tiles and all groups transforms no input that another transforms too. An input takes
 * about a quarter of a group's products: where doing it again is more than an eighth of them, tasks share inputs, and are more,
 * so that a thread which is late finds little left to wait for. */
static void few_tiles(struct winograd *s, int threads) {
    bool uneven = s->groups < 2 * threads && s->groups % threads;
    if (uneven) s->parts = PH_MAX(s->parts, PH_MIN(threads, s->tiles / (FEW_LARGE / 2)));
    s->splits = PH_MIN(s->groups, (threads + s->parts - 1) / s->parts);
    s->shared = 2 * (s->splits - 1) > s->groups;
    if (s->shared) s->splits = PH_MIN(s->groups, (2 * threads + s->parts - 1) / s->parts);
}

struct winograd PH_KERNEL(ph_winograd_plan)(struct winograd s, int threads) {
    for (int i = 0; i < 2; i++) s.out[i] = s.side[i] + 1 - s.kernel[i];
    s.points = s.side[0] * s.side[1];
    s.rows = (s.out_height + s.out[0] - 1) / s.out[0];
    s.columns = (s.out_width + s.out[1] - 1) / s.out[1];
    s.tiles = s.items * s.rows * s.columns;
    s.in_blocks = blocks_of(s.in_channels);
    s.out_blocks = blocks_of(s.out_channels);
    s.groups = (s.out_blocks + GROUP - 1) / GROUP;
    bool cached = s.points * s.in_channels * s.out_channels * (int64_t)sizeof(float) <= CACHED_FILTERS;
    int64_t few = is_line(&s) ? FEW_LARGE * MANY : s.side[0] == LARGE ? FEW_LARGE : FEW_SMALL;
    int64_t wanted = few * (cached ? 1 : MANY), all = threads * wanted;
    s.parts = PH_MAX((s.tiles + wanted / 2) / wanted, (int64_t)1);
    s.splits = 1;
    if (s.tiles >= all) s.parts = (s.tiles + all / 2) / all * threads; /* as many for each thread */
    else few_tiles(&s, threads);
    s.most = (s.tiles + s.parts - 1) / s.parts;
    return s;
}

/* Of a tile's inputs along an axis: three elements make no long lines. */
static int64_t side_of(int64_t kernel, int64_t side) { return kernel == 1 ? 1 : kernel == 3 && side == LONG ? LARGE : side; }

/* Backward is forward with the gradient as input, filters turned and transposed, and padding kernel - 1 - pad. */
static struct winograd shape_of(const struct ph_convolution_attributes *a, const int64_t *in, const int64_t *out, bool backward,
                                int threads, int side) {
    struct winograd s = {.items = in[0], .in_channels = in[1], .in_height = in[2], .in_width = in[3], .out_channels = out[1],
        .out_height = out[2], .out_width = out[3]};
    if (backward)
        s = (struct winograd){.items = in[0], .in_channels = out[1], .in_height = out[2], .in_width = out[3],
            .out_channels = in[1], .out_height = in[2], .out_width = in[3]};
    for (int i = 0; i < 2; i++) {
        int64_t kernel = a->kernel[i + 1], pad = a->pad_begin[i + 1];
        s.kernel[i] = kernel;
        s.pad[i] = backward ? kernel - 1 - pad : pad;
        s.side[i] = side_of(kernel, side);
    }
    return PH_KERNEL(ph_winograd_plan)(s, threads);
}

static struct winograd shape_of_query(const struct ph_kernel_query *query, int side) {
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    return shape_of(node->attributes, values[node->inputs[0]].shape.dims, values[node->outputs[0]].shape.dims, query->backward,
                    query->threads, side);
}

static struct winograd shape_of_call(const struct ph_kernel_call *call, int side) {
    return shape_of(call->node->attributes, call->plain.input_shapes[0]->dims, call->plain.output_shapes[0].dims,
                    call->output_gradients[0].data, ph_parallel_threads(call->context), side);
}

/* Of stride 1, in one group, with channels that fill the lanes. */
static bool is_taken(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    for (int i = 1; i < PH_SPATIAL; i++)
        if (a->stride[i] != 1 || a->dilation[i] != 1 || a->pad_begin[i] >= a->kernel[i]) return false;
    int64_t inputs = query->graph->values[query->node->inputs[0]].shape.dims[1];
    return a->groups == 1 && PH_MIN(inputs, whole_outputs(query)) >= PH_LANES;
}

/* With a filter of 3x3 or 5x5 and outputs of `least` pixels a side on. */
static bool takes(const struct ph_kernel_query *query, int64_t least_3, int64_t least_5) {
    if (!is_taken(query)) return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    int64_t kernel = a->kernel[1], least = kernel == 3 ? least_3 : least_5;
    if (a->kernel[2] != kernel || (kernel != 3 && kernel != 5)) return false;
    struct winograd s = shape_of_query(query, LARGE);
    return s.out_height >= least && s.out_width >= least;
}

/* With a filter of one row or column, where the products that are left out take longer than the transforms. */
static bool line_accepts(const struct ph_kernel_query *query) {
    if (!is_taken(query)) return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    int64_t length = PH_MAX(a->kernel[1], a->kernel[2]);
    if (PH_MIN(a->kernel[1], a->kernel[2]) != 1 || (length != 3 && length != 5 && length != 7)) return false;
    struct winograd s = shape_of_query(query, LONG);
    int64_t inputs = query->graph->values[query->node->inputs[0]].shape.dims[1], outputs = whole_outputs(query);
    int64_t tiles = s.rows * s.columns, direct = s.out_height * s.out_width * length * inputs * outputs;
    int64_t tiled = tiles * s.points * (inputs * outputs + LINE_TRANSFORM * (inputs + outputs));
    return tiles >= LEAST_LINE_TILES && 100 * direct >= LEAST_LINE_GAIN * tiled;
}

static bool accepts(const struct ph_kernel_query *query) { return takes(query, LEAST_3, LEAST_5); }

static bool small_map_accepts(const struct ph_kernel_query *query) {
    return takes(query, LEAST_SMALL, INT64_MAX) && !accepts(query);
}

/* Of fewer pixels, where it depends on the machine's caches whether larger filters are worth fewer products. */
static bool small_accepts(const struct ph_kernel_query *query) { return takes(query, SMALLEST, SMALLEST) && !accepts(query); }

/* ---- Filters: bias, then [group][point][in channel][blocks of the group][lane] ------------------------------------- */

static size_t bias_floats(const struct winograd *s) { return (size_t)s->out_blocks * PH_LANES; }

size_t PH_KERNEL(ph_winograd_packed_floats)(const struct winograd *s) {
    return bias_floats(s) + (size_t)(s->points * s->in_channels) * bias_floats(s);
}

static size_t packed_bytes(const struct ph_kernel_query *query, int side) {
    struct winograd s = shape_of_query(query, side);
    return PH_KERNEL(ph_winograd_packed_floats)(&s) * sizeof(float);
}

struct filters { const struct winograd *s; ph_direct_weight *weight; const void *state; float *packed; };

static void pack_group(void *argument, int64_t group) {
    const struct filters *f = argument;
    const struct winograd *s = f->s;
    int64_t first = group * GROUP * PH_LANES, lanes = PH_MIN((int64_t)GROUP * PH_LANES, s->out_blocks * PH_LANES - first);
    int64_t rows = s->kernel[0], width = s->kernel[1];
    float *to = f->packed + first * s->points * s->in_channels;
    for (int64_t c = 0; c < s->in_channels; c++)
        for (int64_t o = 0; o < lanes && first + o < s->out_channels; o++) {
            double w[MAX_KERNEL], columns[MAX_POINTS], points[MAX_POINTS];
            for (int tap = 0; tap < rows * width; tap++) w[tap] = f->weight(f->state, first + o, c, tap);
            for (int64_t x = 0; x < width; x++) filter_1d(w + x, rows, width, columns + x, width, s->side[0]);
            for (int64_t y = 0; y < s->side[0]; y++)
                filter_1d(columns + y * width, width, 1, points + y * s->side[1], 1, s->side[1]);
            for (int64_t p = 0; p < s->points; p++) to[(p * s->in_channels + c) * lanes + o] = (float)points[p];
        }
}

void PH_KERNEL(ph_winograd_pack)(const ph_context *context, const struct winograd *s, const float *bias, ph_direct_weight *weight,
                                 const void *state, float *packed) {
    memset(packed, 0, PH_KERNEL(ph_winograd_packed_floats)(s) * sizeof *packed);
    if (bias) memcpy(packed, bias, (size_t)s->out_channels * sizeof *bias);
    struct filters f = {s, weight, state, packed + bias_floats(s)};
    ph_parallel_for(context, s->groups, pack_group, &f);
}

struct layer_weights { const float *weights; int64_t inputs, size; bool backward; /* inputs: of the layer */ };

static float layer_weight(const void *state, int64_t out, int64_t in, int tap) {
    const struct layer_weights *w = state;
    const float *filter = w->weights + (w->backward ? in * w->inputs + out : out * w->inputs + in) * w->size;
    return filter[w->backward ? w->size - 1 - tap : tap];
}

static void pack(const struct ph_kernel_query *query, void *packed, int side) {
    const struct ph_node *node = query->node;
    const struct ph_value *values = query->graph->values;
    struct winograd s = shape_of_query(query, side);
    bool biased = !query->backward && node->input_count > 2 && node->inputs[2] != PH_ABSENT;
    struct layer_weights weights = {values[node->inputs[1]].data, values[node->inputs[0]].shape.dims[1],
                                    s.kernel[0] * s.kernel[1], query->backward};
    PH_KERNEL(ph_winograd_pack)(query->graph->context, &s, biased ? values[node->inputs[2]].data : NULL, layer_weight, &weights, packed);
}

/* ---- Transforms --------------------------------------------------------------------------------------------------- */

struct job {
    struct winograd s;
    struct winograd_operands o;
    const float *bias, *filters;
    float *transformed;            /* [part][point][in block][tile of the part][lane]; of a thread's part where not shared */
    float *products;               /* of a thread: [point][block of the group][tile of the part][lane] */
};

/* From one point's to the next: an odd number of vectors, so that a tile's points fall into different places of a cache. */
static int64_t point_floats(const struct winograd *s, int64_t tiles) { return (s->in_blocks * tiles | 1) * PH_LANES; }
static int64_t transformed_floats(const struct winograd *s, int64_t tiles) {
    return s->points * (s->in_blocks * tiles + 1) * PH_LANES;
}
static int64_t products_floats(const struct winograd *s) { return s->points * GROUP * s->most * PH_LANES; }
static int64_t part_first(const struct winograd *s, int64_t part) { return s->tiles * part / s->parts; }

static int64_t all_transformed_floats(const struct winograd *s, int threads) {
    return (s->shared ? s->parts : threads) * transformed_floats(s, s->most);
}

size_t PH_KERNEL(ph_winograd_scratch)(const struct winograd *s, int threads) {
    return (size_t)(all_transformed_floats(s, threads) + threads * products_floats(s));
}

static size_t scratch(const struct ph_kernel_query *query, int side) {
    struct winograd s = shape_of_query(query, side);
    return PH_KERNEL(ph_winograd_scratch)(&s, query->threads);
}

/* A tile's pixels to its points, `step` floats apart. Columns from x0 to x1 lie inside, outside are zeros. `passed`: as the mask reads
 * them, NULL without one. */
PH_INLINE void transform_input(const float *const *rows, const float *const *passed, int64_t x0, int64_t x1,
                               struct rectifier rectifier, float *to, int64_t step, const int height, const int width) {
    vector points[MAX_POINTS];
#pragma GCC unroll 9
    for (int x = 0; x < width; x++) {
        vector column[MAX_SIDE], r[MAX_SIDE];
        if (x < x0 || x >= x1) {
#pragma GCC unroll 9
            for (int y = 0; y < height; y++) points[y * width + x] = (vector){0};
            continue;
        }
#pragma GCC unroll 9
        for (int y = 0; y < height; y++) {
            column[y] = load(rows[y] + x * PH_LANES);
            if (passed) column[y] = rectified_gradient(rectifier, load(passed[y] + x * PH_LANES), column[y]);
        }
        input_1d(column, r, height);
#pragma GCC unroll 9
        for (int y = 0; y < height; y++) points[y * width + x] = r[y];
    }
#pragma GCC unroll 9
    for (int y = 0; y < height; y++) {
        vector r[MAX_SIDE];
        input_1d(points + y * width, r, width);
#pragma GCC unroll 9
        for (int x = 0; x < width; x++) store(to + (y * width + x) * step, r[x]);
    }
}

/* Where a tile's outputs begin. */
struct place { int64_t n, y, x; };

PH_INLINE struct place place_of(const struct winograd *s, int64_t tile) {
    int64_t at = tile % (s->rows * s->columns);
    return (struct place){tile / (s->rows * s->columns), at / s->columns * s->out[0],
                          at % s->columns * s->out[1]};
}

/* Where the rows of a tile's inputs begin in a block of channels, of which `height` rows from `top` on lie inside. */
PH_INLINE void rows_find(const struct ph_operand *operand, struct place place, int64_t block, int64_t top, int64_t left,
                         int64_t height, const float **rows, const int count) {
    static const float outside[MAX_SIDE * PH_LANES];
    const float *origin = block_origin(operand, place.n, block) + left * PH_LANES;
    for (int64_t y = 0; y < count; y++)
        rows[y] = top + y < 0 || top + y >= height ? outside : origin + (top + y) * operand->layout.row;
}

PH_INLINE void inputs_of_size(const struct job *job, int64_t block, int64_t first, int64_t count, float *to, int64_t step,
                              const int height, const int width) {
    const struct winograd *s = &job->s;
    const struct ph_operand *in = job->o.in, *mask = job->o.mask;
    for (int64_t tile = first; tile < first + count; tile++, to += PH_LANES) {
        struct place place = place_of(s, tile);
        int64_t top = place.y - s->pad[0], left = place.x - s->pad[1], end = s->in_width - left;
        const float *rows[MAX_SIDE], *passed[MAX_SIDE];
        rows_find(in, place, block, top, left, s->in_height, rows, height);
        if (mask) rows_find(mask, place, block, top, left, s->in_height, passed, height);
        if (mask) transform_input(rows, passed, -left, end, job->o.rectifier, to, step, height, width);
        else if (left >= 0 && end >= width) transform_input(rows, NULL, 0, width, job->o.rectifier, to, step, height, width);
        else transform_input(rows, NULL, -left, end, job->o.rectifier, to, step, height, width);
    }
}

static void transform_inputs(const struct job *job, int64_t block, int64_t first, int64_t count, float *to, int64_t step) {
    const int64_t *side = job->s.side;
#define INPUTS(height, width) inputs_of_size(job, block, first, count, to, step, height, width)
    if (side[0] == 1 && side[1] == LONG) INPUTS(1, LONG);
    else if (side[0] == 1) INPUTS(1, LARGE);
    else if (side[1] == 1 && side[0] == LONG) INPUTS(LONG, 1);
    else if (side[1] == 1) INPUTS(LARGE, 1);
    else if (side[0] == LARGE) INPUTS(LARGE, LARGE);
    else INPUTS(SMALL, SMALL);
#undef INPUTS
}

/* The points, `step` floats apart, to the tile's pixels that lie inside. Tiles have side_y x side_x inputs and out_y x out_x
 * outputs. */
PH_INLINE void transform_output(const struct job *job, const float *from, int64_t step, vector bias, float *to, int64_t row,
                                const float *gate, const float *summand, int64_t height, int64_t width, const int side_y,
                                const int side_x, const int out_y, const int out_x) {
    vector rows[MAX_OUT][MAX_SIDE];
#pragma GCC unroll 9
    for (int x = 0; x < side_x; x++) {
        vector column[MAX_SIDE], r[MAX_OUT];
#pragma GCC unroll 9
        for (int y = 0; y < side_y; y++) column[y] = load(from + (y * side_x + x) * step);
        output_1d(column, r, side_y, out_y);
#pragma GCC unroll 5
        for (int y = 0; y < out_y; y++) rows[y][x] = r[y];
    }
#pragma GCC unroll 5
    for (int y = 0; y < out_y; y++) {
        vector r[MAX_OUT];
        if (y >= height) break;
        output_1d(rows[y], r, side_x, out_x);
#pragma GCC unroll 5
        for (int x = 0; x < out_x; x++) {
            if (x >= width) break;
            float *pixel = to + y * row + x * PH_LANES;
            vector sum = r[x] + bias;
            if (job->o.accumulate) sum += load(pixel);
            if (summand) sum += load(summand + y * job->o.summand.row + x * PH_LANES);
            if (gate) sum = gated(&job->o.gate, gate + y * job->o.gate.row + x * PH_LANES, sum);
            store(pixel, job->o.mask ? sum : rectify(job->o.rectifier, sum));
        }
    }
}

static void transform_outputs(const struct job *job, int64_t block, int64_t first, int64_t count, const float *from,
                              int64_t step) {
    const struct winograd *s = &job->s;
    int64_t row = job->o.out->layout.row;
    const struct gate *gate = &job->o.gate;
    const struct summand *summand = &job->o.summand;
    vector bias = load(job->bias + block * PH_LANES);
    for (int64_t tile = first; tile < first + count; tile++, from += PH_LANES) {
        struct place place = place_of(s, tile);
        int64_t height = PH_MIN(s->out[0], s->out_height - place.y), width = PH_MIN(s->out[1], s->out_width - place.x);
        float *to = block_origin(job->o.out, place.n, block) + place.y * row + place.x * PH_LANES;
        const float *passed = gate->data ? gate->data + place.n * gate->item + block * gate->plane + place.y * gate->row +
                                               place.x * PH_LANES : NULL;
        const float *added = summand->data ? summand->data + place.n * summand->item + block * summand->plane +
                                                 place.y * summand->row + place.x * PH_LANES : NULL;
#define TRANSFORM(y, x, out_y, out_x) \
    transform_output(job, from, step, bias, to, row, passed, added, height, width, y, x, out_y, out_x)
        if (s->side[0] == SMALL) TRANSFORM(SMALL, SMALL, 2, 2);
        else if (s->side[0] == 1 && s->side[1] == LARGE) TRANSFORM(1, LARGE, 1, 4);
        else if (s->side[1] == 1 && s->side[0] == LARGE) TRANSFORM(LARGE, 1, 4, 1);
        else if (s->side[0] == 1 && s->out[1] == 3) TRANSFORM(1, LONG, 1, 3);
        else if (s->side[0] == 1) TRANSFORM(1, LONG, 1, 5);
        else if (s->side[1] == 1 && s->out[0] == 3) TRANSFORM(LONG, 1, 3, 1);
        else if (s->side[1] == 1) TRANSFORM(LONG, 1, 5, 1);
        else if (s->out[0] == 4) TRANSFORM(LARGE, LARGE, 4, 4);
        else if (s->out[0] == 3) TRANSFORM(LARGE, LARGE, 3, 3);
        else TRANSFORM(LARGE, LARGE, 2, 2);
#undef TRANSFORM
    }
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

/* Transformed inputs that tasks share: a few tiles of one block of channels. */
enum { CHUNK = 4 };

static void share_inputs(void *argument, int64_t index) {
    const struct job *job = argument;
    const struct winograd *s = &job->s;
    int64_t chunks = (s->most + CHUNK - 1) / CHUNK, chunk = index % chunks, block = index / chunks % s->in_blocks;
    int64_t part = index / chunks / s->in_blocks, first = part_first(s, part), count = part_first(s, part + 1) - first;
    int64_t begin = chunk * CHUNK, end = PH_MIN(begin + CHUNK, count);
    if (begin >= end) return;
    transform_inputs(job, block, first + begin, end - begin,
                     job->transformed + part * transformed_floats(s, s->most) + (block * count + begin) * PH_LANES,
                     point_floats(s, count));
}

static void run_task(void *argument, int64_t index) {
    const struct job *job = argument;
    const struct winograd *s = &job->s;
    int64_t part = index % s->parts, split = index / s->parts;
    int64_t first = part_first(s, part), count = part_first(s, part + 1) - first, plane = count * PH_LANES;
    int thread = ph_parallel_thread();
    float *transformed = job->transformed + (s->shared ? part : thread) * transformed_floats(s, s->most);
    float *products = job->products + thread * products_floats(s);
    for (int64_t block = 0; block < s->in_blocks && !s->shared; block++)
        transform_inputs(job, block, first, count, transformed + block * plane, point_floats(s, count));
    static const int64_t tap = 0;
    for (int64_t group = s->groups * split / s->splits; group < s->groups * (split + 1) / s->splits; group++) {
        int64_t blocks = PH_MIN((int64_t)GROUP, s->out_blocks - group * GROUP);
        PH_KERNEL(ph_direct_run_alone)(&(struct direct){.in = transformed, .in_item = point_floats(s, count), .in_plane = plane,
            .in_pixel = PH_LANES, .in_channel = 1, .in_blocks = (int)s->in_blocks, .in_block_channels = PH_LANES,
            .last_block_channels = (int)(s->in_channels - (s->in_blocks - 1) * PH_LANES), .taps = &tap, .tap_count = 1,
            .out = products, .out_item = blocks * plane, .out_plane = plane, .out_pixel = PH_LANES, .out_blocks = (int)blocks,
            .height = 1, .width = (int)count, .items = s->points,
            .weights = job->filters + group * GROUP * PH_LANES * s->points * s->in_channels,
            .weights_item = s->in_channels * blocks * PH_LANES});
        for (int64_t b = 0; b < blocks; b++)
            transform_outputs(job, group * GROUP + b, first, count, products + b * plane, blocks * plane);
    }
}

void PH_KERNEL(ph_winograd_run)(const ph_context *context, const struct winograd *s, const struct winograd_operands *operands,
                                const float *packed, float *scratch) {
    struct job job = {.s = *s, .o = *operands, .bias = packed, .filters = packed + bias_floats(s), .transformed = scratch};
    job.products = job.transformed + all_transformed_floats(s, ph_parallel_threads(context));
    if (s->shared)
        ph_parallel_for(context, s->parts * s->in_blocks * ((s->most + CHUNK - 1) / CHUNK), share_inputs, &job);
    ph_parallel_for(context, s->parts * s->splits, run_task, &job);
}

static void run(const struct ph_kernel_call *call, int side) {
    bool backward = call->output_gradients[0].data;
    struct winograd s = shape_of_call(call, side);
    struct winograd_operands operands = {.in = backward ? &call->output_gradients[0] : &call->inputs[0],
        .out = backward ? &call->input_gradients[0] : &call->outputs[0], .accumulate = backward && call->accumulate[0],
        .gate = gate_of(call), .summand = summand_of(call)};
    if (!backward || call->outputs[0].data) operands.rectifier = last_rectifier(call, 0);
    if (backward && operands.rectifier.on) operands.mask = &call->outputs[0];
    PH_KERNEL(ph_winograd_run)(call->context, &s, &operands, call->packed, call->scratch);
}

/* The kernels' functions for tiles of one size. */
#define OF_SIDE(SIDE)                                                                                                     \
    static size_t packed_bytes_##SIDE(const struct ph_kernel_query *query) { return packed_bytes(query, SIDE); }          \
    static void pack_##SIDE(const struct ph_kernel_query *query, void *packed) { pack(query, packed, SIDE); }             \
    static size_t scratch_##SIDE(const struct ph_kernel_query *query) { return scratch(query, SIDE); }                    \
    static void run_##SIDE(const struct ph_kernel_call *call) { run(call, SIDE); }
OF_SIDE(LARGE)
OF_SIDE(SMALL)
OF_SIDE(LONG)

#define WINOGRAD(SIDE) .operation = &ph_operation_convolution, .by_item = true, .input = PH_LAYOUT_BLOCKED, \
    .output = PH_LAYOUT_BLOCKED, .packed_bytes = packed_bytes_##SIDE, .pack = pack_##SIDE, .scratch = scratch_##SIDE, \
    .run = run_##SIDE
#define FORWARD(SIDE) WINOGRAD(SIDE), .adds = true
#define BACKWARD(SIDE) WINOGRAD(SIDE), .backward = true, .gates = true, .gated = true, .reads = PH_KERNEL(ph_convolution_reads)

const struct ph_kernel PH_KERNEL(ph_winograd_forward) = {.name = "winograd", .accepts = accepts, FORWARD(LARGE)};
const struct ph_kernel PH_KERNEL(ph_winograd_backward) = {.name = "winograd", .accepts = accepts, BACKWARD(LARGE)};
const struct ph_kernel PH_KERNEL(ph_winograd_forward_2x2) = {.name = "winograd-2x2", .accepts = small_map_accepts,
    FORWARD(SMALL)};
const struct ph_kernel PH_KERNEL(ph_winograd_backward_2x2) = {.name = "winograd-2x2", .accepts = small_map_accepts,
    BACKWARD(SMALL)};
const struct ph_kernel PH_KERNEL(ph_winograd_forward_line) = {.name = "winograd-line", .accepts = line_accepts,
    FORWARD(LONG)};
const struct ph_kernel PH_KERNEL(ph_winograd_backward_line) = {.name = "winograd-line", .accepts = line_accepts,
    BACKWARD(LONG)};
/* Behind a kernel that takes the same: for profiles alone. */
const struct ph_kernel PH_KERNEL(ph_winograd_forward_small) = {.name = "winograd-small", .accepts = small_accepts,
    FORWARD(LARGE)};
const struct ph_kernel PH_KERNEL(ph_winograd_backward_small) = {.name = "winograd-small", .accepts = small_accepts,
    BACKWARD(LARGE)};
