/* What the Vulkan backend's kernels share: words of push constants, copies and reductions, of which others are made. All
 * tensors are plain. */
#ifndef PH_VULKAN_KERNELS_H
#define PH_VULKAN_KERNELS_H

#include "graph/operations.h"
#include "graph/ops/walk.h"
#include "graph/ops/window.h"
#include "vulkan/device.h"

/* One line for each kernel, asked in this order. */
#define PH_VULKAN_KERNELS(X) \
    /* elementwise.c */ X(unary) X(unary_backward) X(redirected_backward) X(binary) X(binary_backward) X(sum) \
        X(sum_backward) X(where) X(where_backward) \
    /* reduce.c */ X(reduce) X(reduce_backward) X(softmax) X(softmax_backward) \
    /* matrix.c */ X(matrix_split) X(matrix_split_backward) X(matrix) X(matrix_backward) \
        X(convolution_split) X(convolution_split_backward) X(convolution_thin) X(convolution_thin_backward) X(convolution) \
        X(convolution_backward) X(gemm) X(gemm_backward) X(matmul) X(matmul_backward) \
    /* window.c */ X(pool) X(pool_backward) X(response_norm) X(response_norm_backward) \
    /* norm.c */ X(batch_norm) X(batch_norm_backward) X(row_norm) X(row_norm_backward) \
    /* copy.c */ X(concat) X(concat_backward) X(slice) X(slice_backward) X(split) X(split_backward) X(transpose) \
        X(transpose_backward) X(pick) X(pick_backward) \
    /* table.c */ X(gather) X(gather_backward) X(resize) X(resize_backward) \
    /* image.c */ X(warp) X(warp_backward) X(irfft) X(irfft_backward)

#define PH_VULKAN_KERNEL(name) const struct ph_kernel ph_vulkan_kernel_##name
#define PH_VULKAN_DECLARE(name) extern PH_VULKAN_KERNEL(name);
PH_VULKAN_KERNELS(PH_VULKAN_DECLARE)
#undef PH_VULKAN_DECLARE

/* Specialisation constants; those left out are 0. */
#define PH_CONSTANTS(...) ((const int32_t[PH_SHADER_CONSTANTS]){__VA_ARGS__})

static inline int64_t ph_divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static inline const struct ph_value *ph_query_value(const struct ph_kernel_query *query, int value) {
    return &query->graph->values[value];
}

static inline const struct ph_shape *ph_query_input(const struct ph_kernel_query *query, int index) {
    return &ph_query_value(query, query->node->inputs[index])->shape;
}

static inline const struct ph_shape *ph_query_output(const struct ph_kernel_query *query) {
    return &ph_query_value(query, query->node->outputs[0])->shape;
}

/* Whether its channels have a depth besides height and width. */
static inline bool ph_has_depth(const struct ph_shape *shape) { return shape->rank == 2 + PH_SPATIAL; }

/* Whether one of a list that ends with NULL; its index, or -1. */
int ph_operation_index(const struct ph_operation *const *operations, const struct ph_operation *operation);

/* Appends the place of a tensor, or PH_NOWHERE. */
void ph_words_place(struct ph_words *words, const struct ph_recorder *recorder, const float *data);
/* Appends what most shaders end their places with: the result, or backward its gradient; the gradient of the first input,
 * or PH_NOWHERE; and whether to add to that. */
void ph_words_result(struct ph_words *words, const struct ph_recorder *recorder, const struct ph_kernel_call *call,
                     bool backward);
/* Appends depth, height and width of a tensor's channels, 1 where it does not have them; and numbers for those axes. */
void ph_words_spatial(struct ph_words *words, const struct ph_shape *shape);
void ph_words_window(struct ph_words *words, const int64_t values[PH_SPATIAL]);
/* Appends `slots` words that are right-aligned in them, `spare` before. */
void ph_words_axes(struct ph_words *words, const int64_t *values, int rank, int slots, int64_t spare);

/* One invocation for each of `count`. */
ph_status ph_dispatch_flat(struct ph_recorder *recorder, enum ph_shader shader, const int32_t *constants,
                           const struct ph_words *words, int64_t count, bool waits);
/* One workgroup for each of `count`. */
ph_status ph_dispatch_groups(struct ph_recorder *recorder, enum ph_shader shader, const int32_t *constants,
                             const struct ph_words *words, int64_t count, bool waits);

/* Axes of a walk that a shader has no room for are gone through here, a dispatch for each of their positions. `rest` gets
 * the last `room` axes. Returns the number of positions; -1: too many for a list of commands. */
int64_t ph_walk_peel(const struct ph_walk *walk, int room, struct ph_walk *rest);
/* Adds to `offset` where each tensor is at such a position. */
void ph_walk_position(const struct ph_walk *walk, int room, int64_t position, int64_t offset[PH_WALK_TENSORS]);
/* A place so many elements further; PH_NOWHERE stays where it is. */
uint32_t ph_place_after(uint32_t place, int64_t elements);

/* ---- copy.c: from one strided tensor to another ------------------------------------------------------------------ */

enum { PH_COPY_RANK = PH_MAX_RANK };

struct ph_copy {
    int rank;
    int64_t dims[PH_COPY_RANK], from_stride[PH_COPY_RANK], to_stride[PH_COPY_RANK];
    uint32_t from, to;      /* from PH_NOWHERE: the constant alone */
    double scale, constant;
    bool add, waits;        /* waits: for an earlier dispatch of the same step */
};

ph_status ph_copy_record(struct ph_recorder *recorder, const struct ph_copy *copy);
struct ph_copy ph_copy_flat(uint32_t from, uint32_t to, int64_t count);
ph_status ph_fill(struct ph_recorder *recorder, const struct ph_operand *to, double value);

/* ---- reduce.c ---------------------------------------------------------------------------------------------------- */

enum { PH_REDUCE_RANK = PH_MAX_RANK / 2 }; /* axes that are kept and axes that are not alternate, else they are one */

/* Sums a tensor over what it is broadcast along: tensor 0 of the walk at `from`, tensor 1 at `to`. */
ph_status ph_sum_record(struct ph_recorder *recorder, const struct ph_walk *walk, uint32_t from, uint32_t to, double scale,
                        bool add, bool waits);

#endif
