/* The direct convolution loop; see direct.h. */
#include "cpu/kernels/direct.h"
#include "cpu/kernels/bands.h"

/* Registers: 32 of 16 lanes hold 2 x 14 sums, of one row or of two rows of 7; 16 of 8 lanes hold 2 x 6 or 4 x 3. */
#if PH_LANES == 16
enum { NARROW_GROUP = 2, NARROW_PIXELS = 7, NARROW_ROWS = 2, WIDE_PIXELS = 14, SINGLE_PIXELS = 14 };
#else
enum { NARROW_GROUP = 4, NARROW_PIXELS = 3, NARROW_ROWS = 1, WIDE_PIXELS = 6, SINGLE_PIXELS = 12 };
#endif

/* Blocks that share a tile share the loads of what they read: apart they may take this many products for 100 together. */
enum { APART_PERCENT = 90 };

/* The channels that blocks [block, end) of outputs read. */
struct reach { int64_t first, end; };

static struct reach reach_of(const struct direct_shape *shape, int64_t block, int64_t end) {
    const struct groups *groups = &shape->groups;
    if (!groups->out) return (struct reach){0, shape->in_channels};
    int64_t first = block * PH_LANES / groups->out, last = (end * PH_LANES - 1) / groups->out;
    return (struct reach){first * groups->in, PH_MIN(shape->in_channels, (last + 1) * groups->in)};
}

/* Weights of a tap in the tiles that make blocks [0, end) of outputs, GROUP of them each. */
static int64_t weights_before(const struct direct_shape *shape, int group, int64_t end) {
    if (!shape->groups.out) return end * shape->in_channels * PH_LANES;
    int64_t floats = 0;
    for (int64_t block = 0; block < end; block += group) {
        struct reach reach = reach_of(shape, block, PH_MIN(block + group, end));
        floats += PH_MIN((int64_t)group, end - block) * (reach.end - reach.first) * PH_LANES;
    }
    return floats;
}

static int dense_group(int64_t out_blocks, int64_t width) {
    if (out_blocks == 1) return 1;
    /* Narrow rows cannot fill a wide tile: use four blocks by half the pixels where that leaves no block over. */
    return width <= NARROW_PIXELS && out_blocks % NARROW_GROUP == 0 ? NARROW_GROUP : 2;
}

/* Blocks of output channels in a tile; the last one has what is left of them. Apart, blocks read less of other groups. */
static int group_of(const struct direct_shape *shape) {
    int group = dense_group(shape->out_blocks, shape->width);
    if (!shape->groups.out) return group;
    int64_t together = weights_before(shape, group, shape->out_blocks), apart = weights_before(shape, 1, shape->out_blocks);
    return APART_PERCENT * together > 100 * apart ? 1 : group;
}

size_t PH_KERNEL(ph_direct_packed_floats)(const struct direct_shape *shape) {
    return (size_t)(weights_before(shape, group_of(shape), shape->out_blocks) * shape->taps);
}

/* Those of tiles that make blocks [block, end). */
static float *tile_pack(float *packed, const struct direct_shape *shape, int64_t block, int64_t end, ph_direct_weight *weight,
                        const void *state) {
    struct reach reach = reach_of(shape, block, end);
    for (int64_t first = reach.first, next; first < reach.end; first = next) {
        next = PH_MIN(reach.end, (first / PH_LANES + 1) * PH_LANES);
        for (int tap = 0; tap < shape->taps; tap++)
            for (int64_t c = first; c < next; c++)
                for (int64_t o = block * PH_LANES; o < end * PH_LANES; o++) *packed++ = weight(state, o, c, tap);
    }
    return packed;
}

void PH_KERNEL(ph_direct_pack)(float *packed, const struct direct_shape *shape, ph_direct_weight *weight, const void *state) {
    int group = group_of(shape);
    for (int64_t block = 0; block < shape->out_blocks; block += group)
        packed = tile_pack(packed, shape, block, PH_MIN(block + group, shape->out_blocks), weight, state);
}

/* What becomes of a tile's sums: to the forward's a SUMMAND may be added, and they are STOREd or ACTIVATEd; the backward's may be
 * scaled, cut off and added to what is there. Strides and limits are read once: for all the compiler knows, a store might change
 * them. */
enum finish { STORE, ACTIVATE = 1, ADD = 2, GATE = 4, SCALE = 8, SUMMAND = 16 };

/* What is read beside the output, of which a tile is given the place: the summand or the gate. */
struct beside { int64_t plane, row; };

PH_INLINE struct beside beside_of(const struct direct *d, bool summand) {
    return summand ? (struct beside){d->summand.plane, d->summand.row} : (struct beside){d->gate.plane, d->gate.row};
}

PH_INLINE void tile_finish(const struct direct *d, const vector *sum, float *out, const float *at,
                           const float *scale, const int GROUP, const int ROWS, const int PIXELS, const int64_t out_pixel,
                           const int how) {
    const int64_t out_plane = d->out_plane, out_row = d->out_row;
    const struct beside beside = beside_of(d, how & SUMMAND);
    const struct rectifier rectifier = how & GATE ? d->gate.rectifier : d->rectifier;
    const vector ceiling = splat(rectifier.ceiling);
#pragma GCC unroll 4
    for (int g = 0; g < GROUP; g++) {
        vector factor = how & SCALE ? load(scale + g * PH_LANES) : (vector){0};
#pragma GCC unroll 14
        for (int p = 0; p < ROWS * PIXELS; p++) {
            float *to = out + g * out_plane + p / PIXELS * out_row + p % PIXELS * out_pixel;
            const float *by = at + g * beside.plane + p / PIXELS * beside.row + p % PIXELS * out_pixel;
            vector result = sum[g * ROWS * PIXELS + p];
            if (how & SCALE) result *= factor;
            if (how & ADD && !(how & SCALE)) result += load(to);
            if (how & SUMMAND) result += load(by);
            if (how & ACTIVATE) result = minimum(ceiling, maximum((vector){0}, result));
            if (how & GATE) {
                vector passed = load(by);
                result = where((passed > (vector){0}) & (passed < ceiling), result, (vector){0});
            }
            if (how & ADD && how & SCALE) result += load(to);
            store(to, result);
        }
    }
}

/* What the finish will read, and where it will write if that is far away, fetched while the sums are made. */
PH_INLINE void finish_fetch(const struct direct *d, const float *out, const float *at, const int GROUP, const int ROWS,
                            const int PIXELS, const int64_t out_pixel) {
    const struct beside beside = beside_of(d, d->summand.data);
    if (!at && !d->accumulate && !d->far) return;
#pragma GCC unroll 4
    for (int g = 0; g < GROUP; g++) {
#pragma GCC unroll 14
        for (int p = 0; p < ROWS * PIXELS; p++) {
            if (at) __builtin_prefetch(at + g * beside.plane + p / PIXELS * beside.row + p % PIXELS * out_pixel);
            if (d->accumulate || d->far)
                __builtin_prefetch(out + g * d->out_plane + p / PIXELS * d->out_row + p % PIXELS * out_pixel, 1);
        }
    }
}

/* The next block of input channels. */
PH_INLINE void block_fetch(const float *in, int64_t row, const int64_t pixel, const int ROWS, const int PIXELS) {
#pragma GCC unroll 14
    for (int p = 0; p < ROWS * PIXELS; p++) __builtin_prefetch(in + p / PIXELS * row + p % PIXELS * pixel);
}

enum { PREFETCH = 4096 / sizeof(float) }; /* weights come in one stream */

/* One tile: GROUP blocks by PIXELS pixels of ROWS rows. The strides are constants in the common case of blocked input and
 * stride 1, so that every address is one register and a displacement. */
PH_INLINE void tile(const struct direct *d, const float *in, const float *weights, const float *bias, float *out,
                    const float *at, const float *scale, const int GROUP, const int ROWS, const int PIXELS, const int64_t pixel,
                    const int64_t channel_step, const int64_t out_pixel) {
    const int64_t row = d->in_row;
    vector sum[4 * 14];
#pragma GCC unroll 56
    for (int i = 0; i < GROUP * ROWS * PIXELS; i++) sum[i] = bias ? load(bias + i / (ROWS * PIXELS) * PH_LANES) : (vector){0};
    int64_t step;
    for (int block = 0; block < d->in_blocks; block++, in += step) {
        bool last = block == d->in_blocks - 1;
        int begin = block ? 0 : d->first_channel, channels = (last ? d->last_block_channels : d->in_block_channels) - begin;
        step = d->in_steps ? d->in_steps[block] : d->in_plane;
        if (last) finish_fetch(d, out, at, GROUP, ROWS, PIXELS, out_pixel);
        else block_fetch(in + step, row, pixel, ROWS, PIXELS);
        for (int tap = 0; tap < d->tap_count; tap++) {
            const float *from = in + d->taps[tap] + begin * channel_step;
            for (int c = 0; c < channels; c++, from += channel_step, weights += GROUP * PH_LANES) {
                vector w[4];
#pragma GCC unroll 4
                for (int g = 0; g < GROUP; g++) {
                    w[g] = load(weights + g * PH_LANES);
                    __builtin_prefetch(weights + g * PH_LANES + PREFETCH);
                }
#pragma GCC unroll 14
                for (int p = 0; p < ROWS * PIXELS; p++) {
                    vector x = splat(from[p / PIXELS * row + p % PIXELS * pixel]);
#pragma GCC unroll 4
                    for (int g = 0; g < GROUP; g++) sum[g * ROWS * PIXELS + p] += w[g] * x;
                }
            }
        }
    }
    int beside = !at ? 0 : d->summand.data ? SUMMAND : GATE;
    int how = beside | (d->accumulate ? ADD : 0) | (scale ? SCALE : 0) | (d->rectifier.on ? ACTIVATE : 0);
#define FINISH(how) tile_finish(d, sum, out, at, scale, GROUP, ROWS, PIXELS, out_pixel, how)
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

#define TILE(GROUP, ROWS, PIXELS)                                                                                        \
    static __attribute__((noinline)) void tile_##GROUP##_##ROWS##_##PIXELS(const struct direct *d, const float *in,      \
        const float *weights, const float *bias, float *out, const float *at, const float *scale) {                    \
        if (d->out_pixel != PH_LANES) /* a phase of a strided backward */                                                \
            tile(d, in, weights, bias, out, at, scale, GROUP, ROWS, PIXELS, PH_LANES, 1, d->out_pixel);                  \
        else if (d->in_pixel == PH_LANES && d->in_channel == 1)                                                          \
            tile(d, in, weights, bias, out, at, scale, GROUP, ROWS, PIXELS, PH_LANES, 1, PH_LANES);                      \
        else                                                                                                             \
            tile(d, in, weights, bias, out, at, scale, GROUP, ROWS, PIXELS, d->in_pixel, d->in_channel, PH_LANES);       \
    }
#define TILES_3(G, R) TILE(G, R, 1) TILE(G, R, 2) TILE(G, R, 3)
#define TILES_6(G, R) TILES_3(G, R) TILE(G, R, 4) TILE(G, R, 5) TILE(G, R, 6)
#define TILES_7(G, R) TILES_6(G, R) TILE(G, R, 7)
#define TILES_12(G, R) TILES_7(G, R) TILE(G, R, 8) TILE(G, R, 9) TILE(G, R, 10) TILE(G, R, 11) TILE(G, R, 12)
#define TILES_14(G, R) TILES_12(G, R) TILE(G, R, 13) TILE(G, R, 14)

typedef void tile_function(const struct direct *d, const float *in, const float *weights, const float *bias, float *out,
                           const float *at, const float *scale);
#define NAMES_3(G, R) tile_##G##_##R##_1, tile_##G##_##R##_2, tile_##G##_##R##_3
#define NAMES_6(G, R) NAMES_3(G, R), tile_##G##_##R##_4, tile_##G##_##R##_5, tile_##G##_##R##_6
#define NAMES_7(G, R) NAMES_6(G, R), tile_##G##_##R##_7
#define NAMES_9(G, R) NAMES_7(G, R), tile_##G##_##R##_8, tile_##G##_##R##_9
#define NAMES_12(G, R) NAMES_9(G, R), tile_##G##_##R##_10, tile_##G##_##R##_11, tile_##G##_##R##_12
#define NAMES_14(G, R) NAMES_12(G, R), tile_##G##_##R##_13, tile_##G##_##R##_14

/* Of 1, 2, ... pixels. */
#if PH_LANES == 16
TILES_14(1, 1)
TILES_14(2, 1)
TILES_7(1, 2)
TILES_7(2, 2)
static tile_function *const tiles_1[] = {NAMES_14(1, 1)}, *const tiles_2[] = {NAMES_14(2, 1)};
static tile_function *const tall_1[] = {NAMES_7(1, 2)}, *const tall_2[] = {NAMES_7(2, 2)};
#else
TILES_12(1, 1)
TILES_6(2, 1)
TILES_3(4, 1)
static tile_function *const tiles_1[] = {NAMES_12(1, 1)}, *const tiles_2[] = {NAMES_6(2, 1)}, *const tiles_4[] = {NAMES_3(4, 1)};
#endif

/* How groups of so many blocks are made. */
struct form {
    tile_function *const *tiles;    /* of 1, 2, ... pixels */
    tile_function *const *tall;     /* of as many pixels of NARROW_ROWS rows; NULL: there are none */
    int columns;                    /* tiles of a row, as even as can be */
};

static struct form form_of(int blocks, int width) {
    int most = blocks == 1 ? SINGLE_PIXELS : blocks == 2 ? WIDE_PIXELS : NARROW_PIXELS, columns = (width + most - 1) / most;
#if PH_LANES == 16
    bool narrow = width <= NARROW_PIXELS;
    if (blocks == 1) return (struct form){tiles_1, narrow ? tall_1 : NULL, columns};
    return (struct form){tiles_2, narrow ? tall_2 : NULL, columns};
#else
    return (struct form){blocks == 1 ? tiles_1 : blocks == 2 ? tiles_2 : tiles_4, NULL, columns};
#endif
}

struct direct_job {
    const struct direct *d;
    int group;
    struct form full, last;          /* of groups of `group` blocks; of the last one */
    int64_t groups;
    struct shares shares;            /* of the rows */
    struct direct_shape shape;
};

static struct direct_job job_of(const struct direct *d) {
    int64_t in_channels = (int64_t)(d->in_blocks - 1) * d->in_block_channels + d->last_block_channels;
    struct direct_job job = {.d = d, .shape = {in_channels, d->out_blocks, d->width, d->tap_count, d->tap_columns, d->groups}};
    job.group = group_of(&job.shape);
    job.groups = (d->out_blocks + job.group - 1) / job.group;
    job.full = form_of(job.group, d->width);
    job.last = form_of(d->out_blocks - (int)(job.groups - 1) * job.group, d->width);
    return job;
}

/* The channels that some blocks of outputs read are all that `d` reads. */
static void reach_set(struct direct *d, const struct direct_shape *shape, int64_t block, int64_t end) {
    struct reach reach = reach_of(shape, block, end);
    int64_t first = reach.first / d->in_block_channels, last = (reach.end - 1) / d->in_block_channels;
    d->in += first * d->in_plane;
    d->first_channel = (int)(reach.first - first * d->in_block_channels);
    d->last_block_channels = (int)(reach.end - last * d->in_block_channels);
    d->in_blocks = (int)(last - first + 1);
}

/* Rows [first, last) of one group of one batch item. */
static void rows_run(const struct direct_job *job, int64_t n, int64_t g, int first, int last) {
    struct direct own = *job->d;
    const struct direct *d = &own;
    if (own.in_steps) own.in_steps += n * own.in_blocks;
    int64_t first_block = g * job->group, end_block = PH_MIN(first_block + job->group, (int64_t)d->out_blocks);
    if (d->groups.out) reach_set(&own, &job->shape, first_block, end_block);
    const struct form form = g == job->groups - 1 ? job->last : job->full;
    const float *weights = d->weights + n * d->weights_item;
    weights += weights_before(&job->shape, job->group, first_block) * d->tap_count;
    const float *bias = d->bias ? d->bias + first_block * PH_LANES : NULL;
    const float *in = d->in + n * d->in_item;
    float *out = d->out + n * d->out_item + first_block * d->out_plane;
    const struct beside beside = beside_of(d, d->summand.data);
    const float *at = d->gate.data ? d->gate.data + n * d->gate.item : NULL;
    if (d->summand.data) at = d->summand.data + n * d->summand.item;
    if (at) at += first_block * beside.plane;
    const float *scale = d->scale ? d->scale + first_block * PH_LANES : NULL;
    for (int y = first, rows; y < last; y += rows) {
        tile_function *const *tiles = form.tall && y + NARROW_ROWS <= last ? form.tall : form.tiles;
        rows = tiles == form.tall ? NARROW_ROWS : 1;
        int x = 0, over = d->width % form.columns;
        for (int column = 0; column < form.columns; column++) {
            int pixels = d->width / form.columns + (column < over);
            tiles[pixels - 1](d, in + y * d->in_row + x * d->in_pixel, weights, bias, out + y * d->out_row + x * d->out_pixel,
                              at ? at + y * beside.row + x * d->out_pixel : NULL, scale);
            x += pixels;
        }
    }
}

static void run_share(void *argument, int64_t index) {
    const struct direct_job *job = argument;
    struct share share = share_of(&job->shares, index);
    rows_run(job, share.item, share.group, (int)share.first, (int)share.end);
}

void PH_KERNEL(ph_direct_run)(const ph_context *context, const struct direct *d) {
    if (d->height <= 0 || d->width <= 0) return;
    struct direct_job job = job_of(d);
    int64_t most = d->width <= NARROW_PIXELS ? (d->height + NARROW_ROWS - 1) / NARROW_ROWS : d->height;
    job.shares = shares_make(d->items, job.groups, d->height, most, is_large_map(d->height, d->width), ph_parallel_threads(context));
    ph_parallel_for(context, shares_tasks(&job.shares), run_share, &job);
}

void PH_KERNEL(ph_direct_run_alone)(const struct direct *d) {
    struct direct_job job = job_of(d);
    for (int64_t g = 0; g < job.groups; g++)
        for (int64_t n = 0; n < d->items; n++) rows_run(&job, n, g, 0, d->height);
}
