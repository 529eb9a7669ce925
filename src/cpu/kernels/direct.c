/* The direct convolution loop; see direct.h. */
#include "cpu/kernels/direct.h"
#include "cpu/kernels/bands.h"

/* Registers: 32 of 16 lanes hold 2 x 14 or 4 x 7 sums; 16 of 8 lanes hold 2 x 6 or 4 x 3. */
#if PH_LANES == 16
enum { NARROW_GROUP = 4, NARROW_PIXELS = 7, WIDE_PIXELS = 14, SINGLE_PIXELS = 14 };
#else
enum { NARROW_GROUP = 4, NARROW_PIXELS = 3, WIDE_PIXELS = 6, SINGLE_PIXELS = 12 };
#endif

/* Blocks of output channels in a group. */
static int group_of(int64_t out_blocks, int64_t width) {
    if (out_blocks == 1) return 1;
    /* Narrow rows cannot fill a wide tile: use four blocks by half the pixels where that leaves no block over. */
    return width <= NARROW_PIXELS && out_blocks % NARROW_GROUP == 0 ? NARROW_GROUP : 2;
}

size_t PH_KERNEL(ph_direct_packed_floats)(int64_t in_channels, int64_t taps, int64_t out_blocks, int64_t width) {
    int group = group_of(out_blocks, width);
    return (size_t)((out_blocks + group - 1) / group * in_channels * taps * group * PH_LANES);
}

void PH_KERNEL(ph_direct_pack)(float *packed, int64_t in_channels, int taps, int64_t out_blocks, int64_t width,
                               ph_direct_weight *weight, const void *state) {
    int group = group_of(out_blocks, width);
    for (int64_t g = 0; g < (out_blocks + group - 1) / group; g++)
        for (int64_t block = 0; block < blocks_of(in_channels); block++)
            for (int tap = 0; tap < taps; tap++)
                for (int64_t c = block * PH_LANES; c < PH_MIN((block + 1) * PH_LANES, in_channels); c++)
                    for (int64_t o = g * group * PH_LANES; o < (g + 1) * group * PH_LANES; o++)
                        *packed++ = weight(state, o, c, tap);
}

/* What becomes of a tile's sums: to the forward's a SUMMAND may be added, and they are STOREd or ACTIVATEd; the backward's may be
 * scaled, cut off and added to what is there. Strides and limits are read once: for all the compiler knows, a store might change
 * them. */
enum finish { STORE, ACTIVATE = 1, ADD = 2, GATE = 4, SCALE = 8, SUMMAND = 16, BACKWARD = ADD | GATE | SCALE };

/* What is read beside the output, of which a tile is given the place: the summand or the gate. */
struct beside { int64_t plane, row, pixel; };

PH_INLINE struct beside beside_of(const struct direct *d, bool summand) {
    return summand ? (struct beside){d->summand.plane, d->summand.row, PH_LANES} :
                     (struct beside){d->gate.plane, d->gate.row, d->gate_pixel};
}

PH_INLINE void tile_finish(const struct direct *d, const vector *sum, const float *bias, float *out, const float *at,
                           const float *scale, int blocks, const int GROUP, const int PIXELS, const int how) {
    const int64_t out_plane = d->out_plane, out_pixel = d->out_pixel;
    const struct beside beside = beside_of(d, how & SUMMAND);
    const struct rectifier rectifier = how & GATE ? d->gate.rectifier : d->rectifier;
    const vector ceiling = splat(rectifier.ceiling);
#pragma GCC unroll 4
    for (int g = 0; g < GROUP; g++) {
        if (g >= blocks) break;
        vector shift = bias ? load(bias + g * PH_LANES) : (vector){0}, factor = how & SCALE ? load(scale + g * PH_LANES) : shift;
#pragma GCC unroll 14
        for (int p = 0; p < PIXELS; p++) {
            float *to = out + g * out_plane + p * out_pixel;
            vector result = sum[g * PIXELS + p];
            if (how & SCALE) result *= factor;
            if (how & ADD && !(how & SCALE)) result += load(to);
            if (!(how & BACKWARD)) result += shift;
            if (how & SUMMAND) result += load(at + g * beside.plane + p * beside.pixel);
            if (how & ACTIVATE) result = minimum(ceiling, maximum((vector){0}, result));
            if (how & GATE) {
                vector passed = load(at + g * beside.plane + p * beside.pixel);
                result = where((passed > (vector){0}) & (passed < ceiling), result, (vector){0});
            }
            if (how & ADD && how & SCALE) result += load(to);
            store(to, result);
        }
    }
}

/* What the finish will read, fetched while the sums are made. */
PH_INLINE void finish_fetch(const struct direct *d, const float *out, const float *at, int blocks, const int GROUP,
                            const int PIXELS) {
    const struct beside beside = beside_of(d, d->summand.data);
#pragma GCC unroll 4
    for (int g = 0; g < GROUP; g++) {
        if (g >= blocks) break;
#pragma GCC unroll 14
        for (int p = 0; p < PIXELS; p++) {
            if (at) __builtin_prefetch(at + g * beside.plane + p * beside.pixel);
            if (d->accumulate) __builtin_prefetch(out + g * d->out_plane + p * d->out_pixel);
        }
    }
}

enum { PREFETCH = 4096 / sizeof(float) }; /* weights come in one stream */

/* One tile: GROUP blocks (all of them stored only when `blocks` says so) by PIXELS pixels. The strides are constants in
 * the common case of blocked input and stride 1, so that every address is one register and a displacement. */
PH_INLINE void tile(const struct direct *d, const float *in, const float *weights, const float *bias, float *out,
                    const float *at, const float *scale, int blocks, const int GROUP, const int PIXELS, const int64_t pixel,
                    const int64_t channel_step) {
    vector sum[4 * 14];
#pragma GCC unroll 56
    for (int i = 0; i < GROUP * PIXELS; i++) sum[i] = (vector){0};
    if (d->accumulate || at) finish_fetch(d, out, at, blocks, GROUP, PIXELS);
    for (int block = 0; block < d->in_blocks; block++, in += d->in_plane) {
        int channels = block == d->in_blocks - 1 ? d->last_block_channels : d->in_block_channels;
#pragma GCC unroll 14
        for (int p = 0; p < PIXELS; p++) __builtin_prefetch(in + d->in_plane + p * pixel);
        for (int tap = 0; tap < d->tap_count; tap++) {
            const float *from = in + d->taps[tap];
            for (int c = 0; c < channels; c++, from += channel_step, weights += GROUP * PH_LANES) {
                vector w[4];
#pragma GCC unroll 4
                for (int g = 0; g < GROUP; g++) {
                    w[g] = load(weights + g * PH_LANES);
                    __builtin_prefetch(weights + g * PH_LANES + PREFETCH);
                }
#pragma GCC unroll 14
                for (int p = 0; p < PIXELS; p++) {
                    vector x = splat(from[p * pixel]);
#pragma GCC unroll 4
                    for (int g = 0; g < GROUP; g++) sum[g * PIXELS + p] += w[g] * x;
                }
            }
        }
    }
    int beside = !at ? 0 : d->summand.data ? SUMMAND : GATE;
    int how = beside | (d->accumulate ? ADD : 0) | (scale ? SCALE : 0) | (d->rectifier.on ? ACTIVATE : 0);
#define FINISH(how) tile_finish(d, sum, bias, out, at, scale, blocks, GROUP, PIXELS, how)
    switch (how) {
    case STORE: FINISH(STORE); break;
    case ACTIVATE: FINISH(ACTIVATE); break;
    case SUMMAND: FINISH(SUMMAND); break;
    case SUMMAND | ACTIVATE: FINISH(SUMMAND | ACTIVATE); break;
    case ADD: FINISH(ADD); break;
    case GATE: FINISH(GATE); break;
    case ADD | GATE: FINISH(ADD | GATE); break;
    case SCALE: FINISH(SCALE); break;
    case SCALE | ADD: FINISH(SCALE | ADD); break;
    case SCALE | GATE: FINISH(SCALE | GATE); break;
    default: FINISH(SCALE | GATE | ADD); break;
    }
#undef FINISH
}

#define TILE(GROUP, PIXELS)                                                                                              \
    static __attribute__((noinline)) void tile_##GROUP##_##PIXELS(const struct direct *d, const float *in,               \
        const float *weights, const float *bias, float *out, const float *at, const float *scale, int blocks) {          \
        if (d->in_pixel == PH_LANES && d->in_channel == 1)                                                               \
            tile(d, in, weights, bias, out, at, scale, blocks, GROUP, PIXELS, PH_LANES, 1);                              \
        else                                                                                                             \
            tile(d, in, weights, bias, out, at, scale, blocks, GROUP, PIXELS, d->in_pixel, d->in_channel);               \
    }
#define TILES_3(GROUP) TILE(GROUP, 1) TILE(GROUP, 2) TILE(GROUP, 3)
#define TILES_7(GROUP) TILES_3(GROUP) TILE(GROUP, 4) TILE(GROUP, 5) TILE(GROUP, 6) TILE(GROUP, 7)
#define TILES_12(GROUP) TILES_7(GROUP) TILE(GROUP, 8) TILE(GROUP, 9) TILE(GROUP, 10) TILE(GROUP, 11) TILE(GROUP, 12)
#define TILES_14(GROUP) TILES_12(GROUP) TILE(GROUP, 13) TILE(GROUP, 14)

typedef void tile_function(const struct direct *d, const float *in, const float *weights, const float *bias, float *out,
                           const float *at, const float *scale, int blocks);
#define NAMES_3(GROUP) tile_##GROUP##_1, tile_##GROUP##_2, tile_##GROUP##_3
#define NAMES_6(GROUP) NAMES_3(GROUP), tile_##GROUP##_4, tile_##GROUP##_5, tile_##GROUP##_6
#define NAMES_7(GROUP) NAMES_6(GROUP), tile_##GROUP##_7
#define NAMES_12(GROUP) NAMES_7(GROUP), tile_##GROUP##_8, tile_##GROUP##_9, tile_##GROUP##_10, tile_##GROUP##_11, tile_##GROUP##_12
#define NAMES_14(GROUP) NAMES_12(GROUP), tile_##GROUP##_13, tile_##GROUP##_14

#if PH_LANES == 16
TILES_14(1)
TILES_14(2)
TILES_7(4)
static tile_function *const tiles_1[] = {NAMES_14(1)}, *const tiles_2[] = {NAMES_14(2)}, *const tiles_4[] = {NAMES_7(4)};
#else
TILES_12(1)
TILES_3(2)
TILE(2, 4) TILE(2, 5) TILE(2, 6)
TILES_3(4)
static tile_function *const tiles_1[] = {NAMES_12(1)}, *const tiles_2[] = {NAMES_6(2)}, *const tiles_4[] = {NAMES_3(4)};
#endif

struct direct_job {
    const struct direct *d;
    int group;
    int64_t groups, chunks, rows;    /* rows of a chunk */
    int64_t stretches;               /* parts of all items' chunks, one behind the other */
    int64_t weights;                 /* floats of a group's packed weights */
    tile_function *const *tiles;     /* of 1, 2, ... pixels */
    int columns;                     /* tiles of a row, as even as can be */
};

static struct direct_job job_of(const struct direct *d) {
    struct direct_job job = {.d = d, .group = group_of(d->out_blocks, d->width)};
    int most = job.group == 1 ? SINGLE_PIXELS : job.group == 2 ? WIDE_PIXELS : NARROW_PIXELS;
    job.tiles = job.group == 1 ? tiles_1 : job.group == 2 ? tiles_2 : tiles_4;
    job.columns = (d->width + most - 1) / most;
    job.groups = (d->out_blocks + job.group - 1) / job.group;
    job.weights = ((int64_t)(d->in_blocks - 1) * d->in_block_channels + d->last_block_channels) * d->tap_count * job.group * PH_LANES;
    return job;
}

/* Rows [first, last) of one group of one batch item. */
static void rows_run(const struct direct_job *job, int64_t n, int64_t g, int first, int last) {
    const struct direct *d = job->d;
    int first_block = (int)g * job->group, blocks = PH_MIN(job->group, d->out_blocks - first_block);
    const float *weights = d->weights + n * d->weights_item + g * job->weights;
    const float *bias = d->bias ? d->bias + first_block * PH_LANES : NULL;
    const float *in = d->in + n * d->in_item;
    float *out = d->out + n * d->out_item + first_block * d->out_plane;
    const struct beside beside = beside_of(d, d->summand.data);
    const float *at = d->gate.data ? d->gate.data + n * d->gate.item : NULL;
    if (d->summand.data) at = d->summand.data + n * d->summand.item;
    if (at) at += first_block * beside.plane;
    const float *scale = d->scale ? d->scale + first_block * PH_LANES : NULL;
    for (int y = first; y < last; y++)
        for (int column = 0; column < job->columns; column++) {
            int x = (int)((int64_t)d->width * column / job->columns), end = (int)((int64_t)d->width * (column + 1) / job->columns);
            job->tiles[end - x - 1](d, in + y * d->in_row + x * d->in_pixel, weights, bias,
                                    out + y * d->out_row + x * d->out_pixel,
                                    at ? at + y * beside.row + x * beside.pixel : NULL, scale, blocks);
        }
}

static void direct_chunk(void *argument, int64_t index) {
    const struct direct_job *job = argument;
    /* In a stretch consecutive tasks share weights: chunk fastest, then item, then group. */
    int64_t stretch = job->d->items * job->chunks / job->stretches, whole = stretch * job->groups;
    int64_t at = index / whole * stretch + index % stretch, g = index % whole / stretch, chunk = at % job->chunks;
    rows_run(job, at / job->chunks, g, (int)(chunk * job->rows), (int)PH_MIN((chunk + 1) * job->rows, (int64_t)job->d->height));
}

void PH_KERNEL(ph_direct_run)(const ph_context *context, const struct direct *d) {
    if (d->height <= 0 || d->width <= 0) return;
    struct direct_job job = job_of(d);
    /* Enough tasks that a thread which is late finds little left to wait for. */
    int64_t threads = ph_parallel_threads(context), wanted = 8 * threads, whole = job.groups * d->items;
    job.chunks = PH_MAX((int64_t)1, PH_MIN((int64_t)d->height, (wanted + whole - 1) / whole));
    bool by_rows = is_large_map(d->height, d->width);
    if (by_rows && d->items % threads) job.chunks = PH_MIN((int64_t)d->height, (job.chunks + threads - 1) / threads * threads);
    job.rows = (d->height + job.chunks - 1) / job.chunks;
    job.chunks = (d->height + job.rows - 1) / job.rows;
    job.stretches = by_rows && d->items * job.chunks % threads == 0 ? threads : 1;
    ph_parallel_for(context, whole * job.chunks, direct_chunk, &job);
}

void PH_KERNEL(ph_direct_run_alone)(const struct direct *d) {
    struct direct_job job = job_of(d);
    for (int64_t g = 0; g < job.groups; g++)
        for (int64_t n = 0; n < d->items; n++) rows_run(&job, n, g, 0, d->height);
}
