/* What lies beyond the edge of a row of n >= 1 elements: the index inside it that stands for index i. */
#ifndef PH_BORDER_H
#define PH_BORDER_H

#include <stdint.h>

static inline int64_t ph_border_wrap(int64_t i, int64_t n) {
    i %= n;
    return i < 0 ? i + n : i;
}

/* Mirrored about the centres of the first and last element, which are not repeated: period 2(n - 1). */
static inline int64_t ph_border_reflect(int64_t i, int64_t n) {
    if (n == 1) return 0;
    i = ph_border_wrap(i, 2 * (n - 1));
    return i < n ? i : 2 * (n - 1) - i;
}

static inline int64_t ph_border_clamp(int64_t i, int64_t n) { return i < 0 ? 0 : i < n ? i : n - 1; }

#endif
