/* What kernels that pool blocked tensors share (pool.c). */
#ifndef PH_CPU_POOL_H
#define PH_CPU_POOL_H

#include "cpu/kernels/bands.h"

struct pool {
    const struct ph_kernel_call *call;
    const struct ph_pool_attributes *a;
    struct gate gate;
    struct bands bands; /* of what is written */
};

enum { PH_MOST_ELEMENTS = 256 }; /* of a window whose largest one is known by a byte */

/* Where the window of output position o begins along an axis; in the padding where it is negative. */
PH_INLINE int64_t start_of(const struct ph_pool_attributes *a, int axis, int64_t o) {
    return o * a->stride[axis] - a->pad_begin[axis];
}

/* Backward a band takes part in all windows that reach into it, but writes its own rows alone: those of windows [first, end). */
struct reach { int64_t first, end; };
struct reach PH_KERNEL(ph_pool_reach)(const struct pool *pool, const struct band *band);

/* Max-pooling: rows [first, end) of the output, and of the input's gradient from the windows of `reach`. */
void PH_KERNEL(ph_max_pool_forward_band)(const struct pool *pool, const struct band *band);
void PH_KERNEL(ph_max_pool_backward_band)(const struct pool *pool, const struct band *band, struct reach reach);
/* What forward leaves for backward. */
size_t PH_KERNEL(ph_max_pool_saved)(const struct ph_kernel_query *query);

#endif
