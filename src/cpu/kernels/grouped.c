/* Convolutions whose groups are narrower than a vector, so that several are in a block. The direct loop multiplies each channel
 * of a block into all its outputs, most of them of other groups. Here a pixel's channels are moved in their vector first, so
 * that the lanes of each group's outputs all hold its first channel, then its second: there are as many products as a group
 * has channels.
 *
 *     out[x][o] = sum over rows of taps, channels j of a group, columns k of moved(in[x * stride + k], j)[o] * w[row][j][k][o]
 *
 * What was moved serves all the columns that reach it, so columns are to lie side by side. A tile of pixels of a row stays in
 * registers through the whole sum, which begins with the bias and always runs in this order. */
#include "cpu/kernels/bands.h"
#include "cpu/kernels/direct.h"
#include "cpu/kernels/geometry.h"

/* Registers: a tile's sums, a row of weights, where lanes come from, and what was moved. */
#if PH_LANES == 16
enum { PIXELS = 14 };
#else
enum { PIXELS = 10 };
#endif
enum { MOST_COLUMNS = 3, MOST_STRIDE = 2 };

/* What a block of outputs reads: one block of channels, whose lanes hold the first channel of each output's group. */
struct source { int64_t plane; vector_int lanes; };

static struct source source_of(const struct groups *groups, int64_t block) {
    struct source source = {.plane = block * PH_LANES / groups->out * groups->in / PH_LANES};
    for (int i = 0; i < PH_LANES; i++)
        source.lanes[i] = (int32_t)((block * PH_LANES + i) / groups->out * groups->in % PH_LANES);
    return source;
}

/* ---- Weights: [block][row of taps][channel of a group][column][lanes] ------------------------------------------------- */

static size_t packed_floats(const struct direct_shape *shape) {
    return (size_t)(shape->out_blocks * shape->taps * shape->groups.in * PH_LANES);
}

static void pack_weights(float *packed, const struct direct_shape *shape, ph_direct_weight *weight, const void *state) {
    const struct groups *groups = &shape->groups;
    for (int64_t block = 0; block < shape->out_blocks; block++)
        for (int row = 0; row < shape->taps; row += shape->tap_columns)
            for (int64_t j = 0; j < groups->in; j++)
                for (int column = 0; column < shape->tap_columns; column++)
                    for (int64_t o = block * PH_LANES; o < (block + 1) * PH_LANES; o++)
                        *packed++ = weight(state, o, o / groups->out * groups->in + j, row + column);
}

/* ---- Sums ------------------------------------------------------------------------------------------------------------ */

/* Of taps that stand in memory from right to left, the last of a row is the one furthest left. */
static int leftmost(const struct direct *d) {
    return d->tap_columns > 1 && d->taps[1] < d->taps[0] ? d->tap_columns - 1 : 0;
}

PH_INLINE void sums_make(const struct direct *d, const float *in, const float *weights, vector bias, vector_int lanes,
                         vector *sums, const int COLUMNS, const int STRIDE, const int COUNT) {
    const int left = leftmost(d);
    vector sum[PIXELS];
#pragma GCC unroll 14
    for (int p = 0; p < COUNT; p++) sum[p] = bias;
    for (int tap = 0; tap < d->tap_count; tap += COLUMNS) {
        const float *from = in + d->taps[tap + left];
        vector_int moved = lanes;
        for (int64_t j = 0; j < d->groups.in; j++, weights += COLUMNS * PH_LANES, moved += 1) {
            vector w[MOST_COLUMNS];
#pragma GCC unroll 3
            for (int k = 0; k < COLUMNS; k++) w[k] = load(weights + (left ? left - k : k) * PH_LANES);
#pragma GCC unroll 30
            for (int q = 0; q < (COUNT - 1) * STRIDE + COLUMNS; q++) {
                vector x = permute(load(from + q * PH_LANES), moved);
#pragma GCC unroll 3
                for (int k = 0; k < COLUMNS; k++)
                    if (q >= k && (q - k) % STRIDE == 0 && (q - k) / STRIDE < COUNT) sum[(q - k) / STRIDE] += w[k] * x;
            }
        }
    }
#pragma GCC unroll 14
    for (int p = 0; p < COUNT; p++) sums[p] = sum[p];
}

typedef void sums_function(const struct direct *d, const float *in, const float *weights, vector bias, vector_int lanes,
                           vector *sums);

#define SUMS(COLUMNS, STRIDE, COUNT)                                                                                          \
    static __attribute__((noinline)) void sums_##COLUMNS##_##STRIDE##_##COUNT(const struct direct *d, const float *in,        \
        const float *weights, vector bias, vector_int lanes, vector *sums) {                                                  \
        sums_make(d, in, weights, bias, lanes, sums, COLUMNS, STRIDE, COUNT);                                                  \
    }
#define NAME(COLUMNS, STRIDE, COUNT) sums_##COLUMNS##_##STRIDE##_##COUNT,
#define EACH_5(X, C, S) X(C, S, 1) X(C, S, 2) X(C, S, 3) X(C, S, 4) X(C, S, 5)
#define EACH_10(X, C, S) EACH_5(X, C, S) X(C, S, 6) X(C, S, 7) X(C, S, 8) X(C, S, 9) X(C, S, 10)
#if PH_LANES == 16
#define EACH(X, C, S) EACH_10(X, C, S) X(C, S, 11) X(C, S, 12) X(C, S, 13) X(C, S, 14)
#else
#define EACH(X, C, S) EACH_10(X, C, S)
#endif
EACH(SUMS, 1, 1)
EACH(SUMS, 2, 1)
EACH(SUMS, 3, 1)
EACH(SUMS, 1, 2)
EACH(SUMS, 2, 2)
EACH(SUMS, 3, 2)
/* Of 1, 2, ... pixels. */
static sums_function *const functions[MOST_STRIDE][MOST_COLUMNS][PIXELS] = {
    {{EACH(NAME, 1, 1)}, {EACH(NAME, 2, 1)}, {EACH(NAME, 3, 1)}}, {{EACH(NAME, 1, 2)}, {EACH(NAME, 2, 2)}, {EACH(NAME, 3, 2)}}};

/* What becomes of a tile's sums. `added`: what is there already, or a summand; `passed`: values that cut off. NULL: neither. */
static void tile_finish(const struct direct *d, const vector *sums, float *out, const float *added, int64_t added_step,
                        const float *passed, int count) {
    const int64_t step = d->out_pixel;
    for (int p = 0; p < count; p++) {
        vector result = sums[p];
        if (added) result += load(added + p * added_step);
        result = rectify(d->rectifier, result);
        store(out + p * step, passed ? gated(&d->gate, passed + p * step, result) : result);
    }
}

/* What the finish will read, and where it will write, which is far away: fetched while the sums are made. */
PH_INLINE void finish_fetch(const float *out, const float *added, int64_t added_step, const float *passed, int64_t step,
                            int count) {
    for (int p = 0; p < count; p++) {
        __builtin_prefetch(out + p * step, 1);
        if (added && added != out) __builtin_prefetch(added + p * added_step);
        if (passed) __builtin_prefetch(passed + p * step);
    }
}

struct job { const struct direct *d; struct shares shares; };

/* One row of a block of an item. */
static void row_make(const struct direct *d, const struct source *source, const float *weights, int64_t n, int64_t block,
                     int64_t y) {
    int tiles = (d->width + PIXELS - 1) / PIXELS;
    sums_function *const *sized = functions[d->in_pixel / PH_LANES - 1][PH_MAX(d->tap_columns, 1) - 1];
    const float *in = d->in + n * d->in_item + source->plane * d->in_plane + y * d->in_row;
    const vector bias = d->bias ? load(d->bias + block * PH_LANES) : (vector){0};
    float *out = d->out + n * d->out_item + block * d->out_plane + y * d->out_row;
    const float *added = d->accumulate ? out : NULL, *passed = NULL;
    const int64_t added_step = d->accumulate ? d->out_pixel : PH_LANES;
    if (d->summand.data) added = d->summand.data + n * d->summand.item + block * d->summand.plane + y * d->summand.row;
    if (d->gate.data) passed = d->gate.data + n * d->gate.item + block * d->gate.plane + y * d->gate.row;
    for (int tile = 0, count; tile < tiles; tile++, in += count * d->in_pixel, out += count * d->out_pixel) {
        vector sums[PIXELS];
        count = d->width / tiles + (tile < d->width % tiles);
        finish_fetch(out, added, added_step, passed, d->out_pixel, count);
        sized[count - 1](d, in, weights, bias, source->lanes, sums);
        tile_finish(d, sums, out, added, added_step, passed, count);
        if (added) added += count * added_step;
        if (passed) passed += count * d->out_pixel;
    }
}

static void run_share(void *argument, int64_t index) {
    const struct job *job = argument;
    const struct direct *d = job->d;
    struct share share = share_of(&job->shares, index);
    struct source source = source_of(&d->groups, share.group);
    const float *weights = d->weights + share.group * d->tap_count * d->groups.in * PH_LANES;
    for (int64_t y = share.first; y < share.end; y++) row_make(d, &source, weights, share.item, share.group, y);
}

static void sums_run(const ph_context *context, const struct direct *d) {
    if (d->height <= 0 || d->width <= 0) return;
    struct job job = {d, shares_make(d->items, d->out_blocks, d->height, d->height, is_large_map(d->height, d->width),
                                     ph_parallel_threads(context))};
    ph_parallel_for(context, shares_tasks(&job.shares), run_share, &job);
}

/* ---- Kernels --------------------------------------------------------------------------------------------------------- */

static const struct direct_way way = {PH_LANES, packed_floats, pack_weights, PH_KERNEL(ph_direct_read), sums_run};

/* Groups fill a vector, and read no more channels than they make, so that a block's are in one other. */
static bool accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    struct geometry g = geometry_of(query);
    int64_t channels = g.channels / g.groups, outputs = g.outputs / g.groups;
    int64_t in = query->backward ? outputs : channels, out = query->backward ? channels : outputs;
    if (g.kernel[1] > MOST_COLUMNS || (g.kernel[1] > 1 && g.dilation[1] > 1)) return false;
    if (!query->backward && g.stride[1] > MOST_STRIDE) return false;
    return g.groups > 1 && out > 1 && out < PH_LANES && PH_LANES % out == 0 && out % in == 0;
}

static size_t packed_bytes(const struct ph_kernel_query *query) { return PH_KERNEL(ph_convolution_packed_bytes)(query, &way); }
static void pack(const struct ph_kernel_query *query, void *packed) { PH_KERNEL(ph_convolution_pack)(query, &way, packed); }
static void run(const struct ph_kernel_call *call) { PH_KERNEL(ph_convolution_run)(call, &way); }

const struct ph_kernel PH_KERNEL(ph_grouped_forward) = {.name = "grouped", .operation = &ph_operation_convolution,
    .by_item = true, .adds = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,
    .halo = PH_KERNEL(ph_convolution_halo), .packed_bytes = packed_bytes, .pack = pack, .run = run};

const struct ph_kernel PH_KERNEL(ph_grouped_backward) = {.name = "grouped", .operation = &ph_operation_convolution,
    .by_item = true, .backward = true, .gates = true, .gated = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED,
    .accepts = accepts, .halo = PH_KERNEL(ph_convolution_halo), .packed_bytes = packed_bytes, .pack = pack, .run = run,
    .reads = PH_KERNEL(ph_convolution_reads)};
