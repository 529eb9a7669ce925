/* Convolution of blocked tensors by products of bfloat16 factors, summed as float: the direct loop (direct.h), with the input
 * made into pairs first. Compiled once for each unit that multiplies such pairs, PH_UNIT: AMX tiles, the dot product of
 * AVX512_BF16, and tiles in plain C for tests.
 *
 * bf16 rounds the factors, to the nearest and ties to even. bf16x3 splits each, x = high + low, both bfloat16, and sums
 * high high + high low + low high; what is left out is some 2^-16 of a product. (The method of the "3xTF32" of NVIDIA's
 * CUTLASS, example 27; error of such splits: Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For
 * Higher-Precision Computations", arXiv:1904.06376.)
 *
 * Inputs: 32 channels of a pixel are 16 words, word k holding channel k below and channel 16 + k above, so that two blocks
 * of channels are merged without moving lanes. They lie [item][32 channels][row][column][16 words], all upper halves before all
 * lower ones, with as much halo as the taps reach: a tap is an offset. Weights: [32 outputs][32 channels][tap][half]
 * [16 outputs][word][output].
 *
 * Pixels of a tile are in one row, or in a stretch that runs on through the halo into the next row where that takes fewer
 * tiles; what falls on the halo is computed and dropped. The order of the sums depends on neither. */
#include "cpu/kernels/bands.h"
#include "cpu/kernels/direct.h"
#if defined __AVX512BF16__
#include <immintrin.h>
#endif

enum { PAIRS = 16, CHANNELS = 2 * PAIRS, GROUP_OUTPUTS = 32 };
enum { TILE_WORDS = PAIRS * PAIRS, HALF_WEIGHTS = 2 * TILE_WORDS }; /* words: the size of a float */
enum { PIXEL_BLOCKS = PAIRS / PH_LANES, GROUP_BLOCKS = GROUP_OUTPUTS / PH_LANES };

/* Part of a sum. A step is one block of channels by one tap. */
struct part {
    const float *in, *weights; /* of the first step's block; of the first step */
    int tap, steps;            /* tap: the first step's */
    bool first;                /* of the parts; the others add to what is there */
};

#if defined __AVX512BF16__ && !defined __AMX_BF16__
#include "cpu/kernels/bfloat16_dot.h"
#else
#include "cpu/kernels/bfloat16_tiles.h"
#endif

typedef uint32_t vector_bits __attribute__((vector_size(PH_LANES * 4)));

/* Words of the nearest bfloat16 of each lane of two vectors, the first one's below; a NaN stays one. */
#if defined __AVX512BF16__
PH_INLINE vector pairs(vector first, vector second) {
    static const uint16_t merged[2 * PH_LANES] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512bh halves = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    return (vector)_mm512_permutexvar_epi16(_mm512_loadu_si512(merged), (__m512i)halves);
}
#else
/* In its upper half. */
PH_INLINE vector_bits nearest(vector x) {
    vector_bits bits = (vector_bits)x, nan = (vector_bits)(x != x);
    vector_bits rounded = bits + 0x7fff + (bits >> 16 & 1);
    return ((nan & (bits | 0x400000)) | (~nan & rounded)) & 0xffff0000;
}
PH_INLINE vector pairs(vector first, vector second) { return (vector)(nearest(first) >> 16 | nearest(second)); }
#endif

/* Words of what those leave, rounded likewise; of infinities nothing. */
PH_INLINE vector pairs_left(vector first, vector second, vector high) {
    vector_bits words = (vector_bits)high;
    vector a = first - (vector)(words << 16), b = second - (vector)(words & 0xffff0000);
    return pairs(where(a == a, a, (vector){0}), where(b == b, b, (vector){0}));
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

static int64_t channel_blocks(int64_t channels) { return (channels + CHANNELS - 1) / CHANNELS; }
static int64_t groups_of(int64_t out_blocks) { return (out_blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS; }

static size_t packed_floats(int64_t in_channels, int64_t taps, int64_t out_blocks, const bool split) {
    return (size_t)(groups_of(out_blocks) * channel_blocks(in_channels) * taps * (split ? 2 : 1) * HALF_WEIGHTS);
}

/* One word for each of 16 outputs: their factors for two channels. */
static void word_pack(float *packed, const float *first, const float *second, const bool split) {
    for (int i = 0; i < PAIRS; i += PH_LANES) {
        vector a = load(first + i), b = load(second + i), high = pairs(a, b);
        store(packed + i, high);
        if (split) store(packed + HALF_WEIGHTS + i, pairs_left(a, b, high));
    }
}

static void pack(float *packed, int64_t in_channels, int taps, int64_t out_blocks, ph_direct_weight *weight, const void *state,
                 const bool split) {
    for (int64_t group = 0; group < groups_of(out_blocks); group++)
        for (int64_t block = 0; block < channel_blocks(in_channels); block++)
            for (int tap = 0; tap < taps; tap++, packed += (split ? 2 : 1) * HALF_WEIGHTS)
                for (int word = 0; word < HALF_WEIGHTS; word += PAIRS) {
                    float factors[2][PAIRS];
                    int64_t in = block * CHANNELS + word % TILE_WORDS / PAIRS;
                    for (int i = 0; i < PAIRS; i++) {
                        int64_t out = group * GROUP_OUTPUTS + word / TILE_WORDS * PAIRS + i;
                        bool outside = out >= out_blocks * PH_LANES;
                        factors[0][i] = outside || in >= in_channels ? 0 : weight(state, out, in, tap);
                        factors[1][i] = outside || in + PAIRS >= in_channels ? 0 : weight(state, out, in + PAIRS, tap);
                    }
                    word_pack(packed + word, factors[0], factors[1], split);
                }
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

struct halves {
    const struct ph_operand *operands; /* one's blocks of channels behind the other's */
    int count, halo;
    int64_t blocks, rows, columns; /* blocks of 32 channels; with the halo */
    float *high, *low;             /* low: NULL where the factors are rounded */
};

static struct halves halves_of(const struct ph_shape *shape, int64_t channels, int halo) {
    return (struct halves){.halo = halo, .blocks = channel_blocks(channels), .rows = shape->dims[2] + 2 * halo,
        .columns = shape->dims[3] + 2 * halo};
}

static int64_t half_floats(const struct halves *h, int64_t items) { return items * h->blocks * h->rows * h->columns * PAIRS; }

/* A row of a block of channels with its halo; NULL: there are no more blocks. */
static const float *block_row(const struct halves *h, int64_t item, int64_t block, int64_t row) {
    const struct ph_operand *operand = h->operands, *end = operand + h->count;
    for (; operand < end && block >= blocks_of(operand->shape->dims[1]); operand++) block -= blocks_of(operand->shape->dims[1]);
    if (operand == end) return NULL;
    return block_origin(operand, item, block) + (row - h->halo) * operand->layout.row - (int64_t)h->halo * PH_LANES;
}

/* One row of 32 channels, halo and all. Of a large map a thread makes rows, of a small one blocks, as it has made the values. */
static void halves_row(void *argument, int64_t index) {
    const struct halves *h = argument;
    int64_t item = index / h->rows / h->blocks, at = index % (h->rows * h->blocks), columns = h->columns;
    bool by_rows = is_large_map(h->rows, h->columns);
    int64_t row = by_rows ? at / h->blocks : at % h->rows, block = by_rows ? at % h->blocks : at / h->rows;
    for (int part = 0; part < PIXEL_BLOCKS; part++) {
        int64_t first = block * 2 * PIXEL_BLOCKS + part;
        const float *from[2] = {block_row(h, item, first, row), block_row(h, item, first + PIXEL_BLOCKS, row)};
        int64_t to = ((item * h->blocks + block) * h->rows + row) * columns * PAIRS + part * PH_LANES;
        float *high = h->high + to, *low = h->low ? h->low + to : NULL;
        for (int64_t x = 0; x < columns; x++, high += PAIRS) {
            vector a = from[0] ? load(from[0] + x * PH_LANES) : (vector){0};
            vector b = from[1] ? load(from[1] + x * PH_LANES) : (vector){0};
            vector words = pairs(a, b);
            store(high, words);
            if (low) store(low + x * PAIRS, pairs_left(a, b, words));
        }
    }
}

static struct direct_input input_read(const struct ph_kernel_call *call, const struct ph_operand *operands, int count, int halo,
                                      const bool split) {
    int64_t items = operands->shape->dims[0], blocks = 0;
    for (int i = 0; i < count; i++) blocks += blocks_of(operands[i].shape->dims[1]);
    struct halves h = halves_of(operands->shape, blocks * PH_LANES, halo);
    int64_t size = half_floats(&h, items), row = h.columns * PAIRS;
    h.operands = operands;
    h.count = count;
    h.high = call->scratch;
    h.low = split ? h.high + size : NULL;
    ph_parallel_for(call->context, items * h.blocks * h.rows, halves_row, &h);
    int64_t plane = h.rows * row;
    return (struct direct_input){h.high + halo * (row + PAIRS), h.blocks * plane, plane, row, PAIRS, split ? size : 0, NULL};
}

/* The last stretch of pixels reads on behind the last row. */
static size_t scratch(const struct ph_kernel_query *query, const bool split) {
    const struct ph_node *node = query->node;
    const struct ph_convolution_attributes *a = node->attributes;
    const struct ph_shape *shape = &query->graph->values[query->backward ? node->outputs[0] : node->inputs[0]].shape;
    struct halves h = halves_of(shape, PH_KERNEL(ph_convolution_summed)(query), PH_KERNEL(ph_convolution_halo)(query));
    return (size_t)((split ? 2 : 1) * half_floats(&h, shape->dims[0]) + STRETCH * a->stride[2] * PAIRS);
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

struct job {
    const struct direct *d;
    struct shares shares;    /* of the tiles of a group of an item */
    int64_t pitch;           /* pixels from one row to the next of a stretch that runs on; 0: every row by itself */
    int64_t tiles, columns;  /* of a group of an item; of a row */
    int steps, part_steps;   /* of a sum, none where no tap reaches; of its parts */
    int parts;
};

static int step_floats(const struct direct *d) { return (d->in_low ? 2 : 1) * HALF_WEIGHTS; }

static struct job job_of(const struct direct *d, int threads) {
    struct job job = {.d = d, .columns = (d->width + STRETCH - 1) / STRETCH, .steps = d->in_blocks * d->tap_count};
    job.tiles = d->height * job.columns;
    int64_t pitch = d->in_row / d->in_pixel, on = ((d->height - 1) * pitch + d->width + STRETCH - 1) / STRETCH;
    if (d->in_row % d->in_pixel == 0 && pitch >= d->width && on < job.tiles) job.pitch = pitch, job.tiles = on;
    bool large = is_large_map(d->height, d->width);
    job.shares = shares_make(d->items, groups_of(d->out_blocks), job.tiles, job.tiles, large, threads);
    bool cuts = SPAN > 1 && d->tap_count > 1 && job.shares.parts < job.tiles; /* and so tiles to use a part again for */
    int most = cuts ? PART_FLOATS / step_floats(d) : job.steps;
    job.parts = job.steps ? (job.steps + most - 1) / most : 1;
    job.part_steps = (job.steps + job.parts - 1) / job.parts;
    return job;
}

struct stretch { int64_t x, y, pixels; };

static struct stretch stretch_of(const struct job *job, int64_t tile) {
    const struct direct *d = job->d;
    if (job->pitch) {
        int64_t start = tile * STRETCH, all = (d->height - 1) * job->pitch + d->width;
        return (struct stretch){start % job->pitch, start / job->pitch, PH_MIN((int64_t)STRETCH, all - start)};
    }
    int64_t x = tile % job->columns * STRETCH;
    return (struct stretch){x, tile / job->columns, PH_MIN((int64_t)STRETCH, d->width - x)};
}

/* What a pixel's sums of one block become: with the bias, and what is added, within limits, cut off. From one pixel to the next,
 * what is written, added and looked at lies these steps apart. */
struct finish {
    vector bias, floor, ceiling;
    int64_t step, added_step, passed_step;
};

PH_INLINE void row_finish(const struct direct *d, const struct finish *f, const float *sums, float *out, const float *added,
                          const float *passed, int64_t count, const bool adds, const bool cuts) {
    for (int64_t p = 0; p < count; p++, sums += GROUP_OUTPUTS, out += f->step) {
        vector sum = load(sums) + f->bias;
        if (adds) sum += load(added + p * f->added_step);
        sum = minimum(f->ceiling, maximum(f->floor, sum));
        store(out, cuts ? gated(&d->gate, passed + p * f->passed_step, sum) : sum);
    }
}

/* One block of the pixels of a tile from (x, y) on, `width` of each row inside. */
PH_INLINE void block_finish(const struct direct *d, const float *sums, int64_t block, int64_t item, int64_t x, int64_t y,
                            int64_t pitch, int64_t pixels, const bool adds, const bool cuts) {
    bool on = d->rectifier.on;
    struct finish f = {d->bias ? load(d->bias + block * PH_LANES) : (vector){0}, splat(on ? 0 : -HUGE_VALF),
                       splat(on ? d->rectifier.ceiling : HUGE_VALF), d->out_pixel,
                       d->accumulate ? d->out_pixel : PH_LANES, d->out_pixel};
    for (int64_t p = 0, next; p < pixels; p = next, x = 0, y++) {
        next = pitch ? PH_MIN(p + pitch - x, pixels) : pixels;
        float *out = d->out + item * d->out_item + block * d->out_plane + y * d->out_row + x * d->out_pixel;
        const float *added = out, *passed = NULL;
        if (adds && !d->accumulate)
            added = d->summand.data + item * d->summand.item + block * d->summand.plane + y * d->summand.row + x * PH_LANES;
        if (cuts)
            passed = d->gate.data + item * d->gate.item + block * d->gate.plane + y * d->gate.row + x * d->out_pixel;
        row_finish(d, &f, sums + p * GROUP_OUTPUTS, out, added, passed, PH_MIN(next - p, d->width - x), adds, cuts);
    }
}

static void tile_finish(const struct direct *d, const float *sums, int64_t group, int64_t item, int64_t x, int64_t y,
                        int64_t pitch, int64_t pixels) {
    bool adds = d->accumulate || d->summand.data, cuts = d->gate.data;
    int64_t first = group * GROUP_BLOCKS, last = PH_MIN(first + GROUP_BLOCKS, (int64_t)d->out_blocks);
    for (int64_t block = first; block < last; block++, sums += PH_LANES) {
#define BLOCK_FINISH(adds, cuts) block_finish(d, sums, block, item, x, y, pitch, pixels, adds, cuts)
        if (adds && cuts) BLOCK_FINISH(true, true);
        else if (adds) BLOCK_FINISH(true, false);
        else if (cuts) BLOCK_FINISH(false, true);
        else BLOCK_FINISH(false, false);
#undef BLOCK_FINISH
    }
}

/* Stretches whose second half falls outside are made by half; so are groups of 16 outputs or less. */
static void tile_make(const struct direct *d, const struct part *part, float *sums, int64_t pixels, bool narrow) {
    bool half = pixels <= HALF_STRETCH, split = d->in_low;
#define SUMS_MAKE(pixels, columns) \
    (split ? sums_make(d, part, sums, pixels, columns, true) : sums_make(d, part, sums, pixels, columns, false))
    if (half && narrow) SUMS_MAKE(HALF_STRETCH, 1);
    else if (half) SUMS_MAKE(HALF_STRETCH, 2);
    else if (narrow) SUMS_MAKE(STRETCH, 1);
    else SUMS_MAKE(STRETCH, 2);
#undef SUMS_MAKE
}

/* Tiles [first, last), SPAN at most. */
static void span_run(const struct job *job, int64_t item, int64_t group, int64_t first, int64_t last) {
    const struct direct *d = job->d;
    const float *weights = d->weights + group * job->steps * step_floats(d);
    bool narrow = (d->out_blocks - group * GROUP_BLOCKS) * PH_LANES <= PAIRS;
    float sums[SPAN][STRETCH * GROUP_OUTPUTS] __attribute__((aligned(64)));
    for (int i = 0; i < job->parts; i++) {
        int step = i * job->part_steps, block = i ? step / d->tap_count : 0;
        for (int64_t tile = first; tile < last; tile++) {
            struct stretch s = stretch_of(job, tile);
            struct part part = {d->in + item * d->in_item + s.y * d->in_row + s.x * d->in_pixel + block * d->in_plane,
                                weights + (int64_t)step * step_floats(d), step - block * d->tap_count,
                                PH_MIN(job->part_steps, job->steps - step), !i};
            tile_make(d, &part, sums[tile - first], s.pixels, narrow);
        }
    }
    for (int64_t tile = first; tile < last; tile++) {
        struct stretch s = stretch_of(job, tile);
        tile_finish(d, sums[tile - first], group, item, s.x, s.y, job->pitch, s.pixels);
    }
}

static void run_share(void *argument, int64_t index) {
    const struct job *job = argument;
    struct share share = share_of(&job->shares, index);
    int64_t span = job->parts > 1 ? SPAN : 1; /* in one part, a tile's sums are still near when it is finished */
    unit_begin();
    for (int64_t first = share.first; first < share.end; first += span)
        span_run(job, share.item, share.group, first, PH_MIN(first + span, share.end));
    unit_end();
}

static void sums_run(const ph_context *context, const struct direct *d) {
    if (d->height <= 0 || d->width <= 0) return;
    struct job job = job_of(d, ph_parallel_threads(context));
    ph_parallel_for(context, shares_tasks(&job.shares), run_share, &job);
}

/* ---- Kernels ----------------------------------------------------------------------------------------------------- */

/* Half a pair of factors at least: first layers are left to the kernels that fill their lanes otherwise. */
static bool accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    int64_t inputs = query->graph->values[query->node->inputs[0]].shape.dims[1];
    return a->groups == 1 && PH_MIN(inputs, whole_outputs(query)) >= PAIRS;
}

#define UNIT(name) PH_JOIN(name, PH_UNIT)

#define KERNELS(kind, split)                                                                                                   \
    static size_t kind##_packed_floats(const struct direct_shape *shape) {                                                     \
        return packed_floats(shape->in_channels, shape->taps, shape->out_blocks, split);                                       \
    }                                                                                                                          \
    static void kind##_pack_weights(float *packed, const struct direct_shape *shape, ph_direct_weight *weight,                 \
                                    const void *state) {                                                                       \
        pack(packed, shape->in_channels, shape->taps, shape->out_blocks, weight, state, split);                                \
    }                                                                                                                          \
    static struct direct_input kind##_read(const struct ph_kernel_call *call, const struct ph_operand *operands, int count,    \
                                           int halo) {                                                                         \
        return input_read(call, operands, count, halo, split);                                                                 \
    }                                                                                                                          \
    static const struct direct_way kind = {CHANNELS, kind##_packed_floats, kind##_pack_weights, kind##_read, sums_run};        \
    static size_t kind##_packed_bytes(const struct ph_kernel_query *query) {                                                   \
        return PH_KERNEL(ph_convolution_packed_bytes)(query, &kind);                                                           \
    }                                                                                                                          \
    static void kind##_pack(const struct ph_kernel_query *query, void *packed) {                                               \
        PH_KERNEL(ph_convolution_pack)(query, &kind, packed);                                                                  \
    }                                                                                                                          \
    static size_t kind##_scratch(const struct ph_kernel_query *query) { return scratch(query, split); }                        \
    static void kind##_run(const struct ph_kernel_call *call) { PH_KERNEL(ph_convolution_run)(call, &kind); }                  \
    static const struct ph_kernel kind##_forward = {.name = #kind, .operation = &ph_operation_convolution, .adds = true,       \
        .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,                          \
        .joins = PH_KERNEL(ph_convolution_joins), .halo = PH_KERNEL(ph_convolution_halo),                                      \
        .packed_bytes = kind##_packed_bytes, .pack = kind##_pack, .scratch = kind##_scratch, .run = kind##_run};               \
    static const struct ph_kernel kind##_backward = {.name = #kind, .operation = &ph_operation_convolution, .backward = true,  \
        .by_item = true, .gates = true, .gated = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED,                \
        .accepts = accepts,                                                                                                    \
        .joins = PH_KERNEL(ph_convolution_joins), .halo = PH_KERNEL(ph_convolution_halo),                                      \
        .packed_bytes = kind##_packed_bytes, .pack = kind##_pack, .scratch = kind##_scratch, .run = kind##_run,                \
        .reads = PH_KERNEL(ph_convolution_reads)};

KERNELS(bf16x3, true)
KERNELS(bf16, false)

/* Tiles multiply so much faster than float that they win everywhere. AVX512_BF16 is twice as fast at most, and Winograd's way
 * leaves out more products than that; bf16x3 takes longer than float by it, and is for pictures like those that tiles make. */
#if defined __AVX512BF16__ && !defined __AMX_BF16__
#define BEFORE_BF16 PH_KERNEL_ENTRY(ph_winograd_forward) PH_KERNEL_ENTRY(ph_winograd_backward)
#else
#define BEFORE_BF16
#endif
extern const struct ph_kernel *const UNIT(ph_cpu_kernels_bf16x3)[], *const UNIT(ph_cpu_kernels_bf16)[];
const struct ph_kernel *const UNIT(ph_cpu_kernels_bf16x3)[] = {&bf16x3_forward, &bf16x3_backward,
    PH_CPU_KERNELS(PH_KERNEL_ENTRY) PH_KERNELS_LAST};
const struct ph_kernel *const UNIT(ph_cpu_kernels_bf16)[] = {BEFORE_BF16 &bf16_forward, &bf16_backward,
    PH_CPU_KERNELS(PH_KERNEL_ENTRY) PH_KERNELS_LAST};
