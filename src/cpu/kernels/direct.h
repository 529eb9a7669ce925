/* Direct convolution of blocked tensors, the loop all convolutions here come down to: forward, backward by transposed
 * weights, strided backward phase by phase.
 *
 *     out[y][x][o] = sum over input blocks, taps, channels of in[y * step_y + tap.y][x * step_x + tap.x][c] * w
 *
 * A tile of GROUP blocks of output channels by some pixels of one row, or of two where rows are short, stays in registers
 * through the whole sum, which begins with the bias. Weights are packed [tile's blocks][input block][tap][channel][GROUP][lanes].
 * Where channels come in groups, a tile reads from the first channel of its first output's group to the last of its last one's:
 * groups may begin and end within blocks, and what a tile reads of others has weights of zero.
 * Sums of an output element always run in this order, whatever the tile or thread, so results depend on neither. */
#ifndef PH_DIRECT_H
#define PH_DIRECT_H

#include "cpu/kernels/blocked.h"

/* Channels of a group, read and made: an output reads those of its own group. 0: all are one. */
struct groups { int64_t in, out; };

struct direct {
    const float *in;            /* first tap's base: pixel (0, 0), channel 0 */
    int64_t in_item, in_plane;  /* floats from one batch item, channel block, to the next */
    const int64_t *in_steps;    /* [items][in_blocks] instead of in_plane, where blocks lie here and there; NULL: they do not */
    int64_t in_row, in_pixel;   /* floats from one output row's, output pixel's, input to the next */
    int64_t in_channel;         /* from one channel to the next inside a block: 1 when blocked */
    int64_t in_low;             /* from the input's upper halves to its lower ones, 0: it is not split; bfloat16.c alone */
    int in_blocks, in_block_channels, last_block_channels; /* channels in a block; in the last one */
    int first_channel;          /* in the first block */
    struct groups groups;
    const int64_t *taps;        /* [tap_count] offsets in floats */
    int tap_count, tap_columns; /* tap_columns: of them stand side by side, a dilation apart, in either direction */
    float *out;
    int64_t out_item, out_plane, out_row, out_pixel;
    int out_blocks, height, width;
    int64_t items;
    const float *weights;
    int64_t weights_item;       /* from one batch item's weights to the next; 0: all have the same */
    const float *bias;          /* [out_blocks * lanes], NULL: zero */
    struct rectifier rectifier;
    struct summand summand;     /* forward alone: at the first pixel, added behind the bias */
    bool far;                   /* `out` is in no near cache: its lines are fetched to be written */
    bool accumulate;            /* backward alone: without bias and rectifier */
    struct gate gate;           /* backward alone: at the first pixel, rows as they are written, pixels as far apart */
    const float *scale;         /* backward alone: [out_blocks * lanes], NULL: 1; then what is there before is not cut off */
};

/* What weights are packed for: rows of `width` pixels. */
struct direct_shape { int64_t in_channels, out_blocks, width; int taps, tap_columns; struct groups groups; };

/* Floats of packed weights, and the packing: weight(state, out channel, in channel, tap), asked for the spare lanes of the last
 * block of output channels too, and for channels of other groups. */
typedef float ph_direct_weight(const void *state, int64_t out, int64_t in, int tap);
size_t PH_KERNEL(ph_direct_packed_floats)(const struct direct_shape *shape);
void PH_KERNEL(ph_direct_pack)(float *packed, const struct direct_shape *shape, ph_direct_weight *weight, const void *state);
void PH_KERNEL(ph_direct_run)(const ph_context *context, const struct direct *direct);
/* The same on the calling thread, as part of a task. */
void PH_KERNEL(ph_direct_run_alone)(const struct direct *direct);

/* ---- The same loop with other factors ------------------------------------------------------------------------------------ */

/* What the loop reads: the operands themselves, or what they have been made into. Strides in floats. */
struct direct_input { const float *zero; int64_t item, plane, row, pixel, low; const int64_t *steps; };

/* How factors are held and multiplied. */
struct direct_way {
    int in_channels;  /* of a block of what the loop reads */
    size_t (*packed_floats)(const struct direct_shape *shape);
    void (*pack)(float *packed, const struct direct_shape *shape, ph_direct_weight *weight, const void *state);
    /* One operand's blocks of channels behind the other's, with `halo` zeros, or what is around a slice, on each side. Several
     * have one halo in memory. */
    struct direct_input (*read)(const struct ph_kernel_call *call, const struct ph_operand *operands, int count, int halo);
    void (*run)(const ph_context *context, const struct direct *direct);
};

/* Reads the operands as they are. */
struct direct_input PH_KERNEL(ph_direct_read)(const struct ph_kernel_call *call, const struct ph_operand *operands, int count,
                                              int halo);

/* Blocked convolution, of the direction that the query and the call are of, in some way; of 1x1 convolutions that are joined,
 * all of them (convolution.c). */
bool PH_KERNEL(ph_convolution_joins)(const struct ph_kernel_query *query, const struct ph_node *other);
/* Channels of the operand that is summed over; joined ones are counted in whole blocks but for the last. */
int64_t PH_KERNEL(ph_convolution_summed)(const struct ph_kernel_query *query);
int PH_KERNEL(ph_convolution_halo)(const struct ph_kernel_query *query);
size_t PH_KERNEL(ph_convolution_packed_bytes)(const struct ph_kernel_query *query, const struct direct_way *way);
void PH_KERNEL(ph_convolution_pack)(const struct ph_kernel_query *query, const struct direct_way *way, void *packed);
void PH_KERNEL(ph_convolution_run)(const struct ph_kernel_call *call, const struct direct_way *way);

#endif
