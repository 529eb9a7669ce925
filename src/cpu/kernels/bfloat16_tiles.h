/* Sums of bfloat16 products by tiles: 16 pixels x 32 channels times 32 channels x 16 outputs, two by two. The tiles are those
 * of AMX (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS) or, where the compiler is not told
 * of them, arrays that are treated alike, so that the walk over them is tested on every processor. */

enum { STRETCH = 32, HALF_STRETCH = 16 };
/* Every tile of pixels goes through all weights of a group. Where filters have several taps, and so read the same pixels again,
 * some tiles in turn go through a part of the weights, which stays in the nearest cache beside the pixels, before the next part;
 * their sums wait in memory, exactly. By count, 48 KiB of 12 ways: 3x3 filters of 96 to 512 channels fetch 60 % fewer bytes from
 * the second cache, for 14 % more moves of tiles; parts of 36 or 12 KiB save less, and a single tap next to nothing. */
enum { SPAN = 8, PART_FLOATS = 24 * 1024 / sizeof(float) };
enum { TILES = 8 };
/* Their numbers, which instructions want as numerals: sums [pixels][outputs], and the factors. */
#define SUMS_00 0
#define SUMS_01 1
#define SUMS_10 2
#define SUMS_11 3
#define PIXELS_0 4
#define PIXELS_1 5
#define WEIGHTS_0 6
#define WEIGHTS_1 7

#if defined __AMX_BF16__
#include <immintrin.h>

/* Tiles are registers; their numbers are part of the instructions. */
struct tiles { char none; };

static void unit_begin(void) {
    /* Palette 1; of each tile its bytes in a row and its rows. */
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&shape);
}
static void unit_end(void) { _tile_release(); }

#define tile_clear(tiles, t) _tile_zero(t)
#define tile_load(tiles, t, from, row) _tile_loadd(t, from, (row) * sizeof(float))
#define tile_multiply(tiles, sums, a, b) _tile_dpbf16ps(sums, a, b)
#define tile_store(tiles, t, to, row) _tile_stored(t, to, (row) * sizeof(float))
#else
struct tiles { uint32_t words[TILES][PAIRS][PAIRS]; };

static void unit_begin(void) {}
static void unit_end(void) {}

PH_INLINE void tile_clear(struct tiles *tiles, int t) { memset(tiles->words[t], 0, sizeof tiles->words[t]); }

PH_INLINE void tile_load(struct tiles *tiles, int t, const float *from, int64_t row) {
    for (int r = 0; r < PAIRS; r++) memcpy(tiles->words[t][r], from + r * row, sizeof tiles->words[t][r]);
}

PH_INLINE void tile_store(const struct tiles *tiles, int t, float *to, int64_t row) {
    for (int r = 0; r < PAIRS; r++) memcpy(to + r * row, tiles->words[t][r], sizeof tiles->words[t][r]);
}

PH_INLINE float word_float(uint32_t word) {
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

PH_INLINE void tile_multiply(struct tiles *tiles, int sums, int a, int b) {
    for (int r = 0; r < PAIRS; r++)
        for (int k = 0; k < PAIRS; k++) {
            uint32_t pair = tiles->words[a][r][k];
            float first = word_float(pair << 16), second = word_float(pair & 0xffff0000);
            for (int c = 0; c < PAIRS; c++) {
                uint32_t with = tiles->words[b][k][c];
                float sum = word_float(tiles->words[sums][r][c]);
                sum += first * word_float(with << 16) + second * word_float(with & 0xffff0000);
                memcpy(&tiles->words[sums][r][c], &sum, sizeof sum);
            }
        }
}
#endif

/* Every tile of pixels with every tile of weights that are loaded. */
#define TILES_MULTIPLY(tiles, pixels, columns)                                                 \
    do {                                                                                       \
        tile_multiply(tiles, SUMS_00, PIXELS_0, WEIGHTS_0);                                    \
        if (columns > 1) tile_multiply(tiles, SUMS_01, PIXELS_0, WEIGHTS_1);                   \
        if (pixels > PAIRS) tile_multiply(tiles, SUMS_10, PIXELS_1, WEIGHTS_0);                \
        if (pixels > PAIRS && columns > 1) tile_multiply(tiles, SUMS_11, PIXELS_1, WEIGHTS_1); \
    } while (0)
#define PIXELS_LOAD(tiles, pixels, from, pixel)                                          \
    do {                                                                                 \
        tile_load(tiles, PIXELS_0, from, pixel);                                         \
        if (pixels > PAIRS) tile_load(tiles, PIXELS_1, (from) + PAIRS * (pixel), pixel); \
    } while (0)
#define WEIGHTS_LOAD(tiles, columns, from)                                        \
    do {                                                                          \
        tile_load(tiles, WEIGHTS_0, from, PAIRS);                                 \
        if (columns > 1) tile_load(tiles, WEIGHTS_1, (from) + TILE_WORDS, PAIRS); \
    } while (0)

/* Every tile of sums, to or from memory. */
#define SUMS_MOVE(move, tiles, pixels, columns, sums)                                                             \
    do {                                                                                                          \
        move(tiles, SUMS_00, sums, GROUP_OUTPUTS);                                                                \
        if (columns > 1) move(tiles, SUMS_01, (sums) + PAIRS, GROUP_OUTPUTS);                                     \
        if (pixels > PAIRS) move(tiles, SUMS_10, (sums) + PAIRS * GROUP_OUTPUTS, GROUP_OUTPUTS);                  \
        if (pixels > PAIRS && columns > 1) move(tiles, SUMS_11, (sums) + PAIRS * GROUP_OUTPUTS + PAIRS, GROUP_OUTPUTS); \
    } while (0)

/* sums[pixel][column][16] of `pixels` inputs in_pixel apart. */
PH_INLINE void sums_make(const struct direct *d, const struct part *part, float *sums, const int pixels, const int columns,
                         const bool split) {
    struct tiles tiles __attribute__((unused));
    const float *in = part->in, *weights = part->weights;
    if (part->first) {
        tile_clear(&tiles, SUMS_00);
        tile_clear(&tiles, SUMS_01);
        tile_clear(&tiles, SUMS_10);
        tile_clear(&tiles, SUMS_11);
    } else {
        SUMS_MOVE(tile_load, &tiles, pixels, columns, sums);
    }
    for (int step = 0, tap = part->tap; step < part->steps; step++, weights += (split ? 2 : 1) * HALF_WEIGHTS) {
        const float *from = in + d->taps[tap];
        PIXELS_LOAD(&tiles, pixels, from, d->in_pixel);
        if (split) {
            WEIGHTS_LOAD(&tiles, columns, weights + HALF_WEIGHTS);
            TILES_MULTIPLY(&tiles, pixels, columns);
        }
        WEIGHTS_LOAD(&tiles, columns, weights);
        TILES_MULTIPLY(&tiles, pixels, columns);
        if (split) {
            PIXELS_LOAD(&tiles, pixels, from + d->in_low, d->in_pixel);
            TILES_MULTIPLY(&tiles, pixels, columns);
        }
        if (++tap == d->tap_count) tap = 0, in += d->in_plane;
    }
    SUMS_MOVE(tile_store, &tiles, pixels, columns, sums);
}
