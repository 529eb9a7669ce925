/* Direct convolution of blocked tensors, the loop all convolutions here come down to: forward, backward by transposed
 * weights, strided backward phase by phase.
 *
 *     out[y][x][o] = sum over input blocks, taps, channels of in[y * step_y + tap.y][x * step_x + tap.x][c] * w
 *
 * A tile of GROUP blocks of output channels by some pixels of one row stays in registers through the whole sum. Weights
 * are packed [output group][input block][tap][channel][GROUP][lanes]. Sums of an output element always run in this
 * order, whatever the tile or thread, so results depend on neither. */
#ifndef PH_DIRECT_H
#define PH_DIRECT_H

#include "cpu/kernels/vector.h"

enum { PH_MAX_TAPS = 1024 };

struct direct {
    const float *in;            /* first tap's base: pixel (0, 0), channel 0 */
    int64_t in_item, in_plane;  /* floats from one batch item, channel block, to the next */
    int64_t in_row, in_pixel;   /* floats from one output row's, output pixel's, input to the next */
    int64_t in_channel;         /* from one channel to the next inside a block: 1 when blocked */
    int in_blocks, in_block_channels, last_block_channels; /* channels in a block; in the last one */
    const int64_t *taps;        /* [tap_count] offsets in floats */
    int tap_count;
    float *out;
    int64_t out_item, out_plane, out_row, out_pixel;
    int out_blocks, height, width;
    int64_t items;
    const float *weights;
    const float *bias;          /* [out_blocks * lanes], NULL: zero */
    bool relu, accumulate;
};

/* Blocks of output channels a group has, and floats of its packed weights. */
int PH_KERNEL(ph_direct_group)(int out_blocks, int width);
void PH_KERNEL(ph_direct_run)(const ph_context *context, const struct direct *direct);

#endif
