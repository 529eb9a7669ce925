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

#include "cpu/kernels/blocked.h"


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
    int64_t weights_item;       /* from one batch item's weights to the next; 0: all have the same */
    const float *bias;          /* [out_blocks * lanes], NULL: zero */
    struct rectifier rectifier;
    bool accumulate;            /* backward alone: without bias and rectifier */
};

/* Floats of packed weights for rows of this width, and the packing: weight(state, out channel, in channel, tap), asked for
 * the spare lanes of the last blocks of output channels too. */
typedef float ph_direct_weight(const void *state, int64_t out, int64_t in, int tap);
size_t PH_KERNEL(ph_direct_packed_floats)(int64_t in_channels, int64_t taps, int64_t out_blocks, int64_t width);
void PH_KERNEL(ph_direct_pack)(float *packed, int64_t in_channels, int taps, int64_t out_blocks, int64_t width,
                               ph_direct_weight *weight, const void *state);
void PH_KERNEL(ph_direct_run)(const ph_context *context, const struct direct *direct);
/* The same on the calling thread, as part of a task. */
void PH_KERNEL(ph_direct_run_alone)(const struct direct *direct);

#endif
