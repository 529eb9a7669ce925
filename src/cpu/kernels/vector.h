/* The small vocabulary the kernels are written in, of one width for each instruction set. Every file in this folder is
 * compiled once per level with PH_LEVEL and PH_LANES set and that level's own compiler flags; PH_KERNEL(name) gives what
 * it defines a name of its own. Contraction to fused multiply-add is on in these files only. */
#ifndef PH_VECTOR_H
#define PH_VECTOR_H

#include "exec/backend.h"
#include <string.h>
#if defined __AVX__
#include <immintrin.h>
#endif

#define PH_JOIN_(a, b) a##_##b
#define PH_JOIN(a, b) PH_JOIN_(a, b)
#define PH_KERNEL(name) PH_JOIN(name, PH_LEVEL)
#define PH_INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(PH_LANES * 4)));
typedef int32_t vector_int __attribute__((vector_size(PH_LANES * 4)));
typedef float vector_unaligned __attribute__((vector_size(PH_LANES * 4), aligned(4), may_alias));

PH_INLINE vector load(const float *from) { return *(const vector_unaligned *)from; }
PH_INLINE void store(float *to, vector value) { *(vector_unaligned *)to = value; }
PH_INLINE vector splat(float value) { return value - (vector){0}; }
/* where(mask, a, b): a where the mask's lanes are -1, b where they are 0. */
PH_INLINE vector where(vector_int mask, vector a, vector b) { return (vector)((mask & (vector_int)a) | (~mask & (vector_int)b)); }
/* The larger; `b` where either is not a number, so that maximum(limit, x) passes a NaN of x on. One instruction where there is
 * one, which the compiler does not make of a choice by lanes. */
#if PH_LANES == 16
PH_INLINE vector maximum(vector a, vector b) { return (vector)_mm512_max_ps((__m512)a, (__m512)b); }
PH_INLINE vector minimum(vector a, vector b) { return (vector)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined __AVX__
PH_INLINE vector maximum(vector a, vector b) { return (vector)_mm256_max_ps((__m256)a, (__m256)b); }
PH_INLINE vector minimum(vector a, vector b) { return (vector)_mm256_min_ps((__m256)a, (__m256)b); }
#else
PH_INLINE vector maximum(vector a, vector b) { return where(a > b, a, b); }
PH_INLINE vector minimum(vector a, vector b) { return where(a < b, a, b); }
#endif

/* Choices of whole numbers; the smaller. One instruction each where there is one, as above. */
#if PH_LANES == 16
PH_INLINE vector_int if_equal(vector a, vector b, vector_int then, vector_int otherwise) {
    return (vector_int)_mm512_mask_blend_epi32(_mm512_cmpeq_ps_mask((__m512)a, (__m512)b), (__m512i)otherwise, (__m512i)then);
}
PH_INLINE vector_int lesser(vector_int a, vector_int b) { return (vector_int)_mm512_min_epi32((__m512i)a, (__m512i)b); }
#else
PH_INLINE vector_int choose(vector_int mask, vector_int a, vector_int b) { return (mask & a) | (~mask & b); }
PH_INLINE vector_int if_equal(vector a, vector b, vector_int then, vector_int otherwise) { return choose(a == b, then, otherwise); }
PH_INLINE vector_int lesser(vector_int a, vector_int b) { return choose(a < b, a, b); }
#endif

/* Lanes of numbers from 0 to 255 from a byte each, and into one. The compiler would do it lane by lane. */
PH_INLINE vector_int widen(const unsigned char *from) {
#if PH_LANES == 16
    return (vector_int)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
#elif defined __AVX2__
    return (vector_int)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
#else
    vector_int lanes;
    for (int i = 0; i < PH_LANES; i++) lanes[i] = from[i];
    return lanes;
#endif
}
PH_INLINE void narrow(unsigned char *to, vector_int lanes) {
#if PH_LANES == 16
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8((__m512i)lanes));
#elif defined __AVX2__
    __m256i words = _mm256_packus_epi32((__m256i)lanes, (__m256i)lanes);
    __m128i halves = _mm_unpacklo_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm_packus_epi16(halves, halves));
#else
    for (int i = 0; i < PH_LANES; i++) to[i] = (unsigned char)lanes[i];
#endif
}

/* Lane i of the result is lane lanes[i] of x. */
#if PH_LANES == 16
PH_INLINE vector permute(vector x, vector_int lanes) { return (vector)_mm512_permutexvar_ps((__m512i)lanes, (__m512)x); }
#elif defined __AVX2__
PH_INLINE vector permute(vector x, vector_int lanes) { return (vector)_mm256_permutevar8x32_ps((__m256)x, (__m256i)lanes); }
#else
PH_INLINE vector permute(vector x, vector_int lanes) {
    vector result;
    for (int i = 0; i < PH_LANES; i++) result[i] = x[lanes[i]];
    return result;
}
#endif

/* fold(a, b, width): lanes of a in stretches of 2 width, each stretch's halves added up; then the same of b. */
#if PH_LANES == 16
#define PH_LANES_LOW_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define PH_LANES_HIGH_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define PH_LANES_LOW_4 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define PH_LANES_HIGH_4 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#define PH_LANES_LOW_2 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29
#define PH_LANES_HIGH_2 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31
#define PH_LANES_LOW_1 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define PH_LANES_HIGH_1 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#else
#define PH_LANES_LOW_4 0, 1, 2, 3, 8, 9, 10, 11
#define PH_LANES_HIGH_4 4, 5, 6, 7, 12, 13, 14, 15
#define PH_LANES_LOW_2 0, 1, 4, 5, 8, 9, 12, 13
#define PH_LANES_HIGH_2 2, 3, 6, 7, 10, 11, 14, 15
#define PH_LANES_LOW_1 0, 2, 4, 6, 8, 10, 12, 14
#define PH_LANES_HIGH_1 1, 3, 5, 7, 9, 11, 13, 15
#endif
PH_INLINE vector fold(vector a, vector b, const int width) {
#if PH_LANES == 16
    if (width == 8)
        return __builtin_shufflevector(a, b, PH_LANES_LOW_8) + __builtin_shufflevector(a, b, PH_LANES_HIGH_8);
#endif
    if (width == 4)
        return __builtin_shufflevector(a, b, PH_LANES_LOW_4) + __builtin_shufflevector(a, b, PH_LANES_HIGH_4);
    if (width == 2)
        return __builtin_shufflevector(a, b, PH_LANES_LOW_2) + __builtin_shufflevector(a, b, PH_LANES_HIGH_2);
    return __builtin_shufflevector(a, b, PH_LANES_LOW_1) + __builtin_shufflevector(a, b, PH_LANES_HIGH_1);
}

/* Lane i of the result is the sum of the lanes of values[i], for `count` of them, a power of two up to PH_LANES; what is
 * behind is of no use. Each is summed in the same order, whatever its place. Overwrites `values`. */
PH_INLINE vector lane_sums(vector *values, const int count) {
    int width = PH_LANES / 2;
#pragma GCC unroll 4
    for (int left = count; left > 1; left /= 2, width /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < left / 2; i++) values[i] = fold(values[2 * i], values[2 * i + 1], width);
#pragma GCC unroll 4
    for (; width >= 1; width /= 2) values[0] = fold(values[0], values[0], width);
    return values[0];
}

#endif
