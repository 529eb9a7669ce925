/* Fourier transforms of one dimension, as many at once as a vector has lanes: element n of all of them is one pair of vectors,
 * so that nothing is shuffled. Stockham's form with mixed radices: each stage goes from one array to another and leaves the
 * elements in order (Van Loan 1992, "Computational Frameworks for the Fast Fourier Transform", section 1.7). */
#ifndef PH_FOURIER_H
#define PH_FOURIER_H

#include "cpu/kernels/vector.h"
#include <math.h>

enum { PH_FOURIER_STAGES = 10, PH_FOURIER_MOST = 1024 }; /* the most elements of a transform: two arrays fit on the stack */

struct pair { vector re, im; };

/* How many elements, and the radix of each stage. */
struct fourier { int64_t size; int stages, radix[PH_FOURIER_STAGES]; };

/* False where `size` has a prime factor above 7, or is too large. */
PH_INLINE bool fourier_split(int64_t size, struct fourier *f) {
    static const int radices[] = {7, 5, 3, 8, 4, 2};
    *f = (struct fourier){.size = size};
    if (size < 1 || size > PH_FOURIER_MOST) return false;
    for (int i = 0; i < PH_COUNT(radices); i++)
        for (; size % radices[i] == 0; size /= radices[i]) f->radix[f->stages++] = radices[i];
    return size == 1;
}

/* exp(-i angle) with angle = 2 pi a b / n. */
static inline void fourier_turn(int64_t a, int64_t b, int64_t n, float *to) {
    double angle = 8 * atan(1.0) * (double)(a * b % n) / (double)n;
    to[0] = (float)cos(angle);
    to[1] = (float)-sin(angle);
}

/* Floats of the factors between the stages, and the factors: there are none behind the last stage. */
static inline int64_t fourier_factors(const struct fourier *f, float *factors) {
    int64_t count = 0, rest = f->size;
    for (int i = 0; i + 1 < f->stages; rest /= f->radix[i++])
        for (int64_t p = 0; p < rest / f->radix[i]; p++)
            for (int k = 1; k < f->radix[i]; k++, count += 2)
                if (factors) fourier_turn(p, k, rest, factors + count);
    return count;
}

/* ---- Transforms of a stage's radix, with exp(-i ...) -------------------------------------------------------------- */

PH_INLINE struct pair pair_add(struct pair a, struct pair b) { return (struct pair){a.re + b.re, a.im + b.im}; }
PH_INLINE struct pair pair_subtract(struct pair a, struct pair b) { return (struct pair){a.re - b.re, a.im - b.im}; }
PH_INLINE struct pair pair_quarter(struct pair a) { return (struct pair){a.im, -a.re}; } /* times -i */

PH_INLINE struct pair pair_turn(struct pair a, const float *factor) {
    return (struct pair){a.re * factor[0] - a.im * factor[1], a.im * factor[0] + a.re * factor[1]};
}

PH_INLINE void transform_2(struct pair *a) {
    struct pair sum = pair_add(a[0], a[1]);
    a[1] = pair_subtract(a[0], a[1]);
    a[0] = sum;
}

PH_INLINE void transform_4(struct pair *a) {
    struct pair even[] = {a[0], a[2]}, odd[] = {a[1], a[3]};
    transform_2(even);
    transform_2(odd);
    odd[1] = pair_quarter(odd[1]);
    for (int k = 0; k < 2; k++) a[k] = pair_add(even[k], odd[k]), a[k + 2] = pair_subtract(even[k], odd[k]);
}

PH_INLINE void transform_8(struct pair *a) {
    const float half = 0.70710678118654752f;
    struct pair even[] = {a[0], a[2], a[4], a[6]}, odd[] = {a[1], a[3], a[5], a[7]};
    transform_4(even);
    transform_4(odd);
    odd[1] = (struct pair){(odd[1].re + odd[1].im) * half, (odd[1].im - odd[1].re) * half};
    odd[2] = pair_quarter(odd[2]);
    odd[3] = (struct pair){(odd[3].im - odd[3].re) * half, (odd[3].re + odd[3].im) * -half};
    for (int k = 0; k < 4; k++) a[k] = pair_add(even[k], odd[k]), a[k + 4] = pair_subtract(even[k], odd[k]);
}

/* Elements j and radix - j have the same cosines, and sines of the other sign; so have results k and radix - k. */
PH_INLINE void transform_odd(struct pair *a, const int radix, const float *cosines, const float *sines) {
    struct pair sum[4], difference[4], first = a[0];
#pragma GCC unroll 3
    for (int j = 1; j <= radix / 2; j++) {
        sum[j] = pair_add(a[j], a[radix - j]);
        difference[j] = pair_subtract(a[j], a[radix - j]);
        a[0] = pair_add(a[0], sum[j]);
    }
#pragma GCC unroll 3
    for (int k = 1; k <= radix / 2; k++) {
        struct pair with_cosines = first, with_sines = {{0}};
#pragma GCC unroll 3
        for (int j = 1; j <= radix / 2; j++) {
            int turn = j * k % radix;
            float sine = turn > radix / 2 ? -sines[radix - turn] : sines[turn];
            float cosine = cosines[turn > radix / 2 ? radix - turn : turn];
            with_cosines = (struct pair){with_cosines.re + sum[j].re * cosine, with_cosines.im + sum[j].im * cosine};
            with_sines = (struct pair){with_sines.re + difference[j].re * sine, with_sines.im + difference[j].im * sine};
        }
        with_sines = pair_quarter(with_sines);
        a[k] = pair_add(with_cosines, with_sines);
        a[radix - k] = pair_subtract(with_cosines, with_sines);
    }
}

PH_INLINE void transform_of(struct pair *a, const int radix) {
    static const float cosines_3[] = {1, -0.5f}, sines_3[] = {0, 0.86602540378443865f};
    static const float cosines_5[] = {1, 0.30901699437494742f, -0.80901699437494742f};
    static const float sines_5[] = {0, 0.95105651629515357f, 0.58778525229247313f};
    static const float cosines_7[] = {1, 0.62348980185873353f, -0.22252093395631440f, -0.90096886790241913f};
    static const float sines_7[] = {0, 0.78183148246802981f, 0.97492791218182361f, 0.43388373911755812f};
    switch (radix) {
    case 2: transform_2(a); break;
    case 3: transform_odd(a, 3, cosines_3, sines_3); break;
    case 4: transform_4(a); break;
    case 5: transform_odd(a, 5, cosines_5, sines_5); break;
    case 7: transform_odd(a, 7, cosines_7, sines_7); break;
    default: transform_8(a);
    }
}

/* ---- Stages ------------------------------------------------------------------------------------------------------ */

/* Of transforms of `radix * rest` elements each, `apart` of them one within the other. */
PH_INLINE void stage_run(const int radix, int64_t rest, int64_t apart, const float *factors, const struct pair *from,
                         struct pair *to) {
    for (int64_t p = 0; p < rest; p++, factors += 2 * (radix - 1))
        for (int64_t q = 0; q < apart; q++) {
            struct pair a[8];
#pragma GCC unroll 8
            for (int j = 0; j < radix; j++) a[j] = from[q + apart * (p + rest * j)];
            transform_of(a, radix);
            to[q + apart * radix * p] = a[0];
#pragma GCC unroll 8
            for (int k = 1; k < radix; k++)
                to[q + apart * (radix * p + k)] = rest > 1 ? pair_turn(a[k], factors + 2 * (k - 1)) : a[k];
        }
}

/* Transforms what lies in from[size], by exp(-i ...), and returns where the result lies: there or in other[size], which are both
 * overwritten. For exp(+i ...) let re and im change places before and after. */
static inline struct pair *fourier_run(const struct fourier *f, const float *factors, struct pair *from, struct pair *other) {
    for (int64_t i = 0, rest = f->size, apart = 1; i < f->stages; i++) {
        int radix = f->radix[i];
        rest /= radix;
        switch (radix) {
        case 2: stage_run(2, rest, apart, factors, from, other); break;
        case 3: stage_run(3, rest, apart, factors, from, other); break;
        case 4: stage_run(4, rest, apart, factors, from, other); break;
        case 5: stage_run(5, rest, apart, factors, from, other); break;
        case 7: stage_run(7, rest, apart, factors, from, other); break;
        default: stage_run(8, rest, apart, factors, from, other);
        }
        factors += 2 * (radix - 1) * rest;
        apart *= radix;
        struct pair *last = from;
        from = other;
        other = last;
    }
    return from;
}

#endif
