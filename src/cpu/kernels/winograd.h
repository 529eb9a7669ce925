/* Winograd's way as other kernels call it: a convolution of stride 1 of blocked tensors with a filter of 3x3, 4x4 or 5x5, or
 * of one row or column of 3, 5 or 7. See winograd.c. */
#ifndef PH_WINOGRAD_H
#define PH_WINOGRAD_H

#include "cpu/kernels/direct.h"

struct winograd {
    /* What is asked for. */
    int64_t items, in_channels, in_height, in_width, out_channels, out_height, out_width, pad[2];
    int64_t kernel[2];
    int64_t side[2];                /* of a tile's inputs: 6 and 6, or, with a filter of 3x3, 4 and 4; 1 across a row or column,
                                       along it 6 with 3 elements, 9 with 5 or 7 */
    /* What ph_winograd_plan makes of it. */
    int64_t out[2];                 /* of a tile's outputs */
    int64_t points;                 /* products of a tile and channel pair */
    int64_t rows, columns, tiles;   /* tiles of an item; of all items */
    int64_t in_blocks, out_blocks, groups;
    int64_t parts, splits;          /* tasks: parts of the tiles, by parts of the groups */
    int64_t most;                   /* tiles of the largest part */
    bool shared;                    /* transformed inputs: by all tasks of a part */
};

struct winograd_operands {
    const struct ph_operand *in, *out; /* their layouts and data alone */
    const struct ph_operand *mask;     /* backward through a ReLU: its output, where the gradient passes; NULL: everywhere */
    struct rectifier rectifier;        /* without a mask of the result, else the mask's */
    bool accumulate;
    struct gate gate;
    struct summand summand;            /* forward alone: added behind the bias */
};

struct winograd PH_KERNEL(ph_winograd_plan)(struct winograd asked, int threads);
/* The bias (NULL: zero) and the filters, tap by tap in row order. */
size_t PH_KERNEL(ph_winograd_packed_floats)(const struct winograd *s);
void PH_KERNEL(ph_winograd_pack)(const ph_context *context, const struct winograd *s, const float *bias, ph_direct_weight *weight,
                                 const void *state, float *packed);
size_t PH_KERNEL(ph_winograd_scratch)(const struct winograd *s, int threads); /* floats */
void PH_KERNEL(ph_winograd_run)(const ph_context *context, const struct winograd *s, const struct winograd_operands *operands,
                                const float *packed, float *scratch);

#endif
