/* What a position of a pool's window covers. */
#ifndef PH_OPS_POOL_H
#define PH_OPS_POOL_H

#include "graph/ops/window.h"

/* Smallest integer not below a / b, for b > 0. */
static inline int64_t divide_up(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

/* Elements of one channel. */
struct box {
    int64_t first[PH_SPATIAL], count[PH_SPATIAL], step[PH_SPATIAL];
    int64_t padded; /* how many it would cover if the padding were elements */
};

static inline struct box box_of(const struct ph_pool_attributes *a, const int64_t in[PH_SPATIAL], int64_t output) {
    struct box box = {.padded = 1};
    for (int i = PH_SPATIAL - 1; i >= 0; i--) {
        int64_t start = output % a->output[i] * a->stride[i] - a->pad_begin[i], dilation = a->dilation[i];
        output /= a->output[i];
        int64_t begin = PH_MAX(divide_up(-start, dilation), 0);
        int64_t end = PH_MIN(divide_up(in[i] - start, dilation), a->kernel[i]);
        box.first[i] = start + begin * dilation;
        box.count[i] = PH_MAX(end - begin, 0);
        box.step[i] = dilation;
        box.padded *= PH_MIN(divide_up(in[i] + a->pad_end[i] - start, dilation), a->kernel[i]);
    }
    return box;
}

/* Offset in the channel of element `index` of a box, in row order. */
static inline int64_t box_element(const struct box *box, const int64_t in[PH_SPATIAL], int64_t index) {
    int64_t row = index / box->count[2];
    int64_t z = box->first[0] + row / box->count[1] * box->step[0];
    int64_t y = box->first[1] + row % box->count[1] * box->step[1];
    int64_t x = box->first[2] + index % box->count[2] * box->step[2];
    return (z * in[1] + y) * in[2] + x;
}

#endif
