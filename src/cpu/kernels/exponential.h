/* The exponential by the vector: x / ln 2 = n + r with |r| <= 1/2, 2^n by its exponent bits and 2^r by a polynomial of the 5th
 * degree whose largest relative error is the least, 1.1e-7, and which is 1 at 0. */
#ifndef PH_CPU_EXPONENTIAL_H
#define PH_CPU_EXPONENTIAL_H

#include "cpu/kernels/lanes.h"

/* A NaN passes. */
PH_INLINE vector limited(vector x, float low, float high) { return minimum(splat(high), maximum(splat(low), x)); }

PH_INLINE vector exponential(vector x) {
    /* Beyond these the result would be denormal or infinite. Adding 1.5 * 2^23 rounds to whole numbers, and leaves them in the
     * lowest bits. */
    vector t = limited(x * 1.44269504f, -126.0f, 127.0f), rounded = t + 12582912.0f, r = t - (rounded - 12582912.0f);
    vector sum = splat(0.00132646586f);
    sum = sum * r + 0.00967156608f;
    sum = sum * r + 0.0555073433f;
    sum = sum * r + 0.240222409f;
    sum = sum * r + 0.693147004f;
    sum = sum * r + 1.0f;
    vector_int power = ((vector_int)rounded << 23) + (127 << 23);
    return sum * (vector)power;
}

#endif
