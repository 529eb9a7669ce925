/* Winograd's transforms along one axis. A filter and a tile's inputs are polynomials that are evaluated at points, one of them
 * infinity, and multiplied there; what comes out is the tile's outputs. Tiles have as many inputs as there are points:
 *
 *     4    0, 1, -1
 *     6    0, 1, -1, 2, -2
 *     9    1, -1, 1/4, -1/4, 5/8, -5/8, 9/4, -9/4
 *
 * and infinity. The last are those among pairs of eighths with which F(3, 7) loses fewest digits: 0.7 times what F(4x4, 3x3)
 * loses. An axis on which a filter has but one element is left as it is: 1 input, no points.
 *
 * Of equal inputs all points but 1 are 0, exactly: so outputs of a flat stretch are equal, and a maximum among them is the
 * first. */
#ifndef PH_WINOGRAD_POINTS_H
#define PH_WINOGRAD_POINTS_H

#include "cpu/kernels/vector.h"

/* Inputs of a tile; outputs. */
enum { SMALL = 4, LARGE = 6, LONG = 9, MAX_SIDE = LONG, MAX_OUT = 5 };

/* Of the nine: magnitudes of the pairs behind 1, and their squares. All that is made of them is exact. */
#define P 0.25f
#define Q 0.625f
#define R 2.25f
#define PP (P * P)
#define QQ (Q * Q)
#define RR (R * R)

/* The polynomial with coefficients w[0], w[stride], ... at the points, each divided by its Lagrange factor, the product of the
 * point's distances from the others. */
PH_INLINE void filter_1d(const double *w, int64_t count, int64_t stride, double *to, int64_t to_stride, int64_t side) {
#define FACTOR(p, a, b, c) (2.0 * (p) * ((p) * (p) - (a)) * ((p) * (p) - (b)) * ((p) * (p) - (c)))
    static const double small_points[] = {0, 1, -1}, small_factors[] = {-1, 2, 2};
    static const double large_points[] = {0, 1, -1, 2, -2}, large_factors[] = {4, -6, -6, 24, 24};
    static const double long_points[] = {1, -1, P, -P, Q, -Q, R, -R};
    static const double long_factors[] = {FACTOR(1.0, PP, QQ, RR), FACTOR(-1.0, PP, QQ, RR), FACTOR(P, 1, QQ, RR),
        FACTOR(-P, 1, QQ, RR), FACTOR(Q, 1, PP, RR), FACTOR(-Q, 1, PP, RR), FACTOR(R, 1, PP, QQ), FACTOR(-R, 1, PP, QQ)};
#undef FACTOR
    const double *points = side == LONG ? long_points : side == LARGE ? large_points : small_points;
    const double *factors = side == LONG ? long_factors : side == LARGE ? large_factors : small_factors;
    for (int64_t p = 0; p < side - 1; p++) {
        double value = 0;
        for (int64_t i = count; i-- > 0;) value = value * points[p] + w[i * stride];
        to[p * to_stride] = value / factors[p];
    }
    to[(side - 1) * to_stride] = w[(count - 1) * stride];
}

/* What (x^2 - PP) (x^2 - QQ) (x^2 - RR) makes of every other input. */
PH_INLINE vector long_cubic(vector d0, vector d2, vector d4, vector d6) {
    return ((d6 - (PP + QQ + RR) * d4) + (PP * QQ + PP * RR + QQ * RR) * d2) - PP * QQ * RR * d0;
}

/* (x^2 - a) (x^2 - b) of every other one. */
PH_INLINE vector long_quadratic(vector d0, vector d2, vector d4, const float a, const float b) {
    return (d4 - (a + b) * d2) + a * b * d0;
}

PH_INLINE void long_pair(vector even, vector odd, vector *r) {
    r[0] = odd + even;
    r[1] = odd - even;
}

PH_INLINE void long_input(const vector *d, vector *r) {
    vector e[LONG - 2]; /* by x^2 - 1: of equal inputs nothing is left */
#pragma GCC unroll 7
    for (int i = 0; i < LONG - 2; i++) e[i] = d[i + 2] - d[i];
    long_pair(long_cubic(d[0], d[2], d[4], d[6]), long_cubic(d[1], d[3], d[5], d[7]), r);
    long_pair(P * long_quadratic(e[0], e[2], e[4], QQ, RR), long_quadratic(e[1], e[3], e[5], QQ, RR), r + 2);
    long_pair(Q * long_quadratic(e[0], e[2], e[4], PP, RR), long_quadratic(e[1], e[3], e[5], PP, RR), r + 4);
    long_pair(R * long_quadratic(e[0], e[2], e[4], PP, QQ), long_quadratic(e[1], e[3], e[5], PP, QQ), r + 6);
    r[8] = long_cubic(e[0], e[2], e[4], e[6]);
}

PH_INLINE void input_1d(const vector *d, vector *r, const int side) {
    if (side == 1) {
        r[0] = d[0];
        return;
    }
    if (side == LONG) {
        long_input(d, r);
        return;
    }
    if (side == SMALL) {
        r[0] = d[2] - d[0];
        r[1] = d[2] + d[1];
        r[2] = d[2] - d[1];
        r[3] = d[3] - d[1];
        return;
    }
    r[0] = 4 * (d[0] - d[2]) + (d[4] - d[2]);
    r[1] = (d[4] - 4 * d[2]) + (d[3] - 4 * d[1]);
    r[2] = (d[4] - 4 * d[2]) - (d[3] - 4 * d[1]);
    r[3] = (d[4] - d[2]) + 2 * (d[3] - d[1]);
    r[4] = (d[4] - d[2]) - 2 * (d[3] - d[1]);
    r[5] = 4 * (d[1] - d[3]) + (d[5] - d[3]);
}

PH_INLINE void long_output(const vector *m, vector *r, const int out) {
    vector sum[4], difference[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sum[i] = m[2 * i] + m[2 * i + 1], difference[i] = m[2 * i] - m[2 * i + 1];
    r[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    r[1] = (difference[0] + P * difference[1]) + (Q * difference[2] + R * difference[3]);
    r[2] = (sum[0] + PP * sum[1]) + (QQ * sum[2] + RR * sum[3]);
    if (out == 5) {
        r[3] = (difference[0] + P * PP * difference[1]) + (Q * QQ * difference[2] + R * RR * difference[3]);
        r[4] = (sum[0] + PP * PP * sum[1]) + (QQ * QQ * sum[2] + RR * RR * sum[3]);
    }
    r[out - 1] += m[8];
}

PH_INLINE void output_1d(const vector *m, vector *r, const int side, const int out) {
    if (side == 1) {
        r[0] = m[0];
        return;
    }
    if (side == LONG) {
        long_output(m, r, out);
        return;
    }
    vector sum12 = m[1] + m[2], difference12 = m[1] - m[2];
    if (side == SMALL) {
        r[0] = m[0] + sum12;
        r[1] = difference12 + m[3];
        return;
    }
    vector sum34 = m[3] + m[4], difference34 = m[3] - m[4];
    r[0] = m[0] + sum12 + sum34;
    r[1] = difference12 + 2 * difference34;
    if (out == 2) {
        r[1] += m[5];
        return;
    }
    r[2] = sum12 + 4 * sum34;
    if (out == 3) {
        r[2] += m[5];
        return;
    }
    r[3] = difference12 + 8 * difference34 + m[5];
}

#undef P
#undef Q
#undef R
#undef PP
#undef QQ
#undef RR

#endif
