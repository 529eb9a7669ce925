/* Sums of bfloat16 products by AVX512_BF16, whose dot product adds two of them to each of sixteen sums. */
enum { STRETCH = 14, HALF_STRETCH = 7 };
enum { SPAN = 1, PART_FLOATS = 0 }; /* sums are made in one go: few loads of weights for many products */

static void unit_begin(void) {}
static void unit_end(void) {}

PH_INLINE __m512bh pairs_load(const float *from) { return (__m512bh)_mm512_loadu_si512(from); }

PH_INLINE __m512bh pair_splat(const float *from) {
    int32_t pair;
    memcpy(&pair, from, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* sums[pixel][column][16] of `pixels` inputs in_pixel apart. */
PH_INLINE void sums_make(const struct direct *d, const struct part *part, float *sums, const int pixels, const int columns,
                         const bool split) {
    __m512 sum[2 * STRETCH];
    const float *in = part->in, *weights = part->weights;
#pragma GCC unroll 28
    for (int i = 0; i < columns * pixels; i++) sum[i] = _mm512_setzero_ps();
    for (int step = 0, tap = part->tap; step < part->steps; step++, weights += (split ? 2 : 1) * HALF_WEIGHTS) {
        for (int k = 0; k < PAIRS; k++) {
            const float *from = in + d->taps[tap] + k, *w = weights + k * PAIRS;
            __m512bh high[2], low[2];
#pragma GCC unroll 2
            for (int c = 0; c < columns; c++) {
                high[c] = pairs_load(w + c * TILE_WORDS);
                if (split) low[c] = pairs_load(w + c * TILE_WORDS + HALF_WEIGHTS);
            }
#pragma GCC unroll 14
            for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
                for (int c = 0; c < columns; c++) {
                    __m512 *to = &sum[p * columns + c];
                    if (split) {
                        *to = _mm512_dpbf16_ps(*to, low[c], pair_splat(from + p * d->in_pixel));
                        *to = _mm512_dpbf16_ps(*to, high[c], pair_splat(from + p * d->in_pixel + d->in_low));
                    }
                    *to = _mm512_dpbf16_ps(*to, high[c], pair_splat(from + p * d->in_pixel));
                }
        }
        if (++tap == d->tap_count) tap = 0, in += d->in_plane;
    }
#pragma GCC unroll 28
    for (int i = 0; i < columns * pixels; i++)
        _mm512_storeu_ps(sums + i / columns * GROUP_OUTPUTS + i % columns * PAIRS, sum[i]);
}
