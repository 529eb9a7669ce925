/* The small vocabulary the kernels are written in, of one width for each instruction set. Every file in this folder is
 * compiled once per level with PH_LEVEL and PH_LANES set and that level's own compiler flags; PH_KERNEL(name) gives what
 * it defines a name of its own. Contraction to fused multiply-add is on in these files only. */
#ifndef PH_VECTOR_H
#define PH_VECTOR_H

#include "exec/backend.h"
#include <string.h>

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
/* The larger; `b` where either is not a number, so that maximum(limit, x) passes a NaN of x on. */
PH_INLINE vector maximum(vector a, vector b) { return where(a > b, a, b); }
PH_INLINE vector minimum(vector a, vector b) { return where(a < b, a, b); }

#endif
