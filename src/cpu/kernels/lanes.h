/* Vectors of fewer elements than there are lanes, and squares of as many vectors as lanes. */
#ifndef PH_CPU_LANES_H
#define PH_CPU_LANES_H

#include "cpu/kernels/vector.h"

#if PH_LANES == 16
PH_INLINE __mmask16 first_lanes(int64_t count) { return (__mmask16)(count > 0 ? (1u << count) - 1 : 0); }
#endif

/* The first `count` lanes, zeros behind them; all or none of them where it is out of range. */
PH_INLINE vector load_some(const float *from, int64_t count) {
    if (count >= PH_LANES) return load(from);
#if PH_LANES == 16
    return (vector)_mm512_maskz_loadu_ps(first_lanes(count), from);
#else
    vector value = {0};
    for (int64_t i = 0; i < count; i++) value[i] = from[i];
    return value;
#endif
}
PH_INLINE void store_some(float *to, vector value, int64_t count) {
    if (count >= PH_LANES) {
        store(to, value);
        return;
    }
#if PH_LANES == 16
    _mm512_mask_storeu_ps(to, first_lanes(count), (__m512)value);
#else
    for (int64_t i = 0; i < count; i++) to[i] = value[i];
#endif
}
/* Written, or added to what is there. */
PH_INLINE void put_some(float *to, vector value, bool accumulate, int64_t count) {
    store_some(to, accumulate ? load_some(to, count) + value : value, count);
}

/* Lanes of two vectors in turn: of their first halves, of their second. */
#if PH_LANES == 16
#define PH_LANES_FIRST_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define PH_LANES_SECOND_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#else
#define PH_LANES_FIRST_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define PH_LANES_SECOND_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#endif
/* Turns a square over: each round interleaves the lanes of vectors half of the square apart. */
PH_INLINE void lanes_turn(vector *square) {
#pragma GCC unroll 4
    for (int width = 1; width < PH_LANES; width *= 2) {
        vector next[PH_LANES];
#pragma GCC unroll 8
        for (int i = 0; i < PH_LANES / 2; i++) {
            next[2 * i] = __builtin_shufflevector(square[i], square[i + PH_LANES / 2], PH_LANES_FIRST_HALVES);
            next[2 * i + 1] = __builtin_shufflevector(square[i], square[i + PH_LANES / 2], PH_LANES_SECOND_HALVES);
        }
#pragma GCC unroll 16
        for (int i = 0; i < PH_LANES; i++) square[i] = next[i];
    }
}

#endif
