/* Every operation's descriptor and attribute struct, by the file in src/graph/ops that holds it. Builders write
 *
 *     struct ph_reduce_attributes attributes = {.axes = {2, 3}, .axis_count = 2};
 *     ph_graph_add(graph, &ph_operation_reduce_mean, "mean", &attributes, &value, 1, &out);
 *
 * Spatial attributes are right-aligned in arrays of three, [depth, height, width]; a 2-D convolution uses the last two
 * and has 1 (kernel, stride, dilation) or 0 (pads) in the first. */
#ifndef PH_OPERATIONS_H
#define PH_OPERATIONS_H

#include "graph/operation.h"

#define PH_SPATIAL 3

/* One line for each operation: the table in operation.c, the declarations below and the double twins come from it. */
#define PH_OPERATION_LIST(X) \
    /* convolution.c */ X(convolution) X(convolution_transpose) \
    /* matrix.c */ X(gemm) X(matmul) \
    /* pool.c */ X(max_pool) X(softened_max_pool) X(average_pool) X(global_average_pool) X(global_max_pool) \
    /* response_norm.c */ X(local_response_norm) \
    /* normed_pool.c */ X(normed_max_pool) \
    /* norm.c */ X(batch_norm) X(instance_norm) X(group_norm) X(layer_norm) \
    /* activation.c */ X(relu) X(redirected_relu) X(leaky_relu) X(prelu) X(clip) X(redirected_clip) X(ruled_clip) \
        X(sigmoid) X(hard_sigmoid) X(hard_swish) X(silu) X(mish) X(tanh) X(elu) X(selu) X(celu) X(gelu) X(softplus) X(softsign) \
        X(thresholded_relu) X(shrink) \
    /* unary.c */ X(erf) X(exp) X(log) X(sqrt) X(abs) X(neg) X(reciprocal) X(sin) X(cos) X(tan) X(asin) X(acos) \
        X(atan) X(sinh) X(cosh) X(asinh) X(acosh) X(atanh) X(floor) X(ceil) X(round) X(sign) X(not) X(isnan) \
    /* binary.c */ X(add) X(sub) X(mul) X(div) X(pow) X(mod) X(fmod) X(min) X(max) X(sum) X(mean) X(equal) X(greater) \
        X(less) X(greater_or_equal) X(less_or_equal) X(and) X(or) X(xor) X(where) \
    /* reduce.c */ X(reduce_mean) X(reduce_sum) X(reduce_max) X(reduce_min) X(reduce_l1) X(reduce_l2) \
        X(reduce_sum_square) X(reduce_log_sum) X(reduce_log_sum_exp) X(reduce_prod) X(argmax) X(argmin) \
    /* softmax.c */ X(softmax) X(log_softmax) X(hardmax) \
    /* concat.c */ X(concat) X(split) \
    /* movement.c */ X(slice) X(pad) X(transpose) X(expand) X(tile) X(depth_to_space) X(gather) \
    /* reshape.c */ X(reshape) X(identity) \
    /* resize.c */ X(resize) \
    /* constant.c */ X(cast) X(range) \
    /* image.c */ X(irfft2) X(affine_warp) X(pick)

#define PH_DECLARE_OPERATION(name) extern const struct ph_operation ph_operation_##name, ph_operation_##name##_double;
PH_OPERATION_LIST(PH_DECLARE_OPERATION)
#undef PH_DECLARE_OPERATION

/* ---- convolution.c: inputs x [N,C,(D,)(H,)W], weights [M,C/groups,...], optional bias [M]; of a convolution with one group
 * also, optional, border [C]: what x is padded by instead of zeros; no gradient goes to it. ONNX Conv, ConvTranspose ------ */
struct ph_convolution_attributes {
    int64_t kernel[PH_SPATIAL], stride[PH_SPATIAL], dilation[PH_SPATIAL];
    int64_t pad_begin[PH_SPATIAL], pad_end[PH_SPATIAL]; /* resolved: auto_pad is gone; may be negative never */
    int64_t groups;
    int64_t output_padding[PH_SPATIAL];                 /* convolution_transpose only (weights [C,M/groups,...]) */
    bool relu;                                          /* fused by a pass: max(0, result); 2-D convolution only */
    double ceiling;                                     /* of the fused relu: min(ceiling, result); 0: none */
    int64_t whole_outputs;                              /* output channels before a pass left out what nobody reads; 0: all
                                                         * are there. Kernels are chosen by it, not by what a batch reads */
};

/* ---- matrix.c: gemm y = alpha op(A) op(B) + beta C (C broadcast, optional); matmul is NumPy's ------------------------ */
struct ph_gemm_attributes { double alpha, beta; bool transpose_a, transpose_b; };

/* ---- pool.c: softened_max_pool has the backward of an average over the elements inside the picture ----------------- */
struct ph_pool_attributes {
    int64_t kernel[PH_SPATIAL], stride[PH_SPATIAL], dilation[PH_SPATIAL];
    int64_t pad_begin[PH_SPATIAL], pad_end[PH_SPATIAL];
    int64_t output[PH_SPATIAL]; /* resolved output size, so that ONNX's and Caffe's ceil rules need no flag here */
    enum ph_pool_divisor {      /* average_pool: what a window's sum is divided by */
        PH_DIVIDE_VALID,        /* the elements inside the picture */
        PH_DIVIDE_PADDED,       /* the elements inside picture and padding (ONNX count_include_pad, Caffe) */
    } divisor;
};

/* ---- response_norm.c: y = x / (bias + alpha/n * sum of squares)^beta, n = size across channels, size^2 within ---------- */
struct ph_response_norm_attributes { int64_t size; double alpha, beta, bias; bool within_channel; };

/* ---- normed_pool.c: max_pool of local_response_norm, across channels of [N,C,H,W] ------------------------------------- */
struct ph_normed_pool_attributes { struct ph_response_norm_attributes norm; struct ph_pool_attributes pool; };

/* ---- norm.c: batch_norm inputs x, scale, bias, mean, variance [C]; instance_norm x, scale, bias [C]; group_norm x, scale,
 * bias [C]; layer_norm x, scale, optional bias, over axes from `axis` on ------------------------------------------------- */
struct ph_norm_attributes { double epsilon; int64_t groups; int64_t axis; };

/* ---- activation.c ------------------------------------------------------------------------------------------------------
 * redirected_relu, redirected_clip: same forward; where the plain rule would pass no gradient at all for a whole batch
 * item, it goes to the inactive elements it would move towards activity (lucid, redirected_relu_grad). The gradient of
 * the program's loss is maximised or minimised by the caller; the loss here is always MINIMISED.
 * ruled_clip: forward of clip; its backward passes what the rule says. */
enum ph_backward_rule {
    PH_RULE_PLAIN,
    PH_RULE_GUIDED,        /* where the element is active and the loss asks it to rise */
    PH_RULE_DECONVOLUTION, /* where the loss asks it to rise, active or not */
};
struct ph_activation_attributes {
    double alpha;     /* leaky_relu, elu, selu, celu, hard_sigmoid; the threshold of thresholded_relu and shrink */
    double beta;      /* selu's gamma, hard_sigmoid's offset, shrink's bias */
    double low, high; /* clip; -HUGE_VAL and HUGE_VAL where open */
    bool tanh;        /* gelu: the tanh approximation */
    enum ph_backward_rule rule; /* ruled_clip */
};

/* ---- reduce.c: axes non-negative after the importer; axis_count 0 means all ------------------------------------------- */
struct ph_reduce_attributes {
    int64_t axes[PH_MAX_RANK];
    int axis_count;
    bool keep_dims;
    bool last_index; /* argmax, argmin: the last of equals */
};

/* ---- softmax.c: over [axis, end_axis), non-negative; before opset 13 ONNX flattens, so end_axis may be the rank -------- */
struct ph_softmax_attributes { int64_t axis, end_axis; };

/* ---- concat.c ---------------------------------------------------------------------------------------------------------- */
struct ph_axis_attributes { int64_t axis; };                         /* concat, gather */
struct ph_split_attributes { int64_t axis; int64_t sizes[PH_MAX_OUTPUTS]; };

/* ---- movement.c -------------------------------------------------------------------------------------------------------- */
struct ph_slice_attributes { int64_t start[PH_MAX_RANK], step[PH_MAX_RANK], size[PH_MAX_RANK]; }; /* every axis, resolved */
struct ph_pad_attributes {
    int64_t begin[PH_MAX_RANK], end[PH_MAX_RANK]; /* may be negative: crops */
    enum ph_pad_mode { PH_PAD_CONSTANT, PH_PAD_REFLECT, PH_PAD_EDGE, PH_PAD_WRAP } mode;
    double value;
};
struct ph_transpose_attributes { int64_t order[PH_MAX_RANK]; };
struct ph_shape_attributes { struct ph_shape shape; };               /* expand, reshape (resolved: no 0, no -1) */
struct ph_tile_attributes { int64_t repeats[PH_MAX_RANK]; };
struct ph_depth_to_space_attributes { int64_t block; bool column_row_depth; /* CRD */ };

/* ---- resize.c: separable; one scale and coordinate rule per axis -------------------------------------------------------- */
struct ph_resize_attributes {
    struct ph_shape output;
    double scale[PH_MAX_RANK];        /* output / input, as the file gives it */
    double roi_begin[PH_MAX_RANK], roi_end[PH_MAX_RANK]; /* tf_crop_and_resize */
    enum ph_resize_mode { PH_RESIZE_NEAREST, PH_RESIZE_LINEAR, PH_RESIZE_CUBIC } mode;
    enum ph_resize_coordinates {
        PH_HALF_PIXEL, PH_PYTORCH_HALF_PIXEL, PH_ALIGN_CORNERS, PH_ASYMMETRIC, PH_TF_HALF_PIXEL_FOR_NN,
        PH_TF_CROP_AND_RESIZE, PH_HALF_PIXEL_SYMMETRIC
    } coordinates;
    enum ph_resize_nearest { PH_ROUND_PREFER_FLOOR, PH_ROUND_PREFER_CEIL, PH_FLOOR, PH_CEIL } nearest;
    double cubic_a;                   /* -0.75 */
    double extrapolation;             /* tf_crop_and_resize */
    bool exclude_outside, antialias;
};

/* ---- constant.c: cast to a tag; to PH_INT64 truncates, to PH_BOOL compares with 0 --------------------------------------- */
struct ph_cast_attributes { enum ph_type type; };

/* ---- image.c ------------------------------------------------------------------------------------------------------------
 * irfft2: input [N,C,H,K,2] (real, imaginary), K = width/2+1; output [N,C,H,width]; carries 1/(H*width). Imaginary parts
 *         of the zero column and, for even widths, the last one are ignored as far as the real result ignores them.
 * affine_warp: inputs x [N,C,H,W], matrices [N,2,3]; output [N,C,height,width]. Output pixel (i, j) samples
 *         (x, y) = matrix * (j, i, 1) bilinearly, in pixel-centre coordinates (0 is the centre of the first pixel).
 * pick: x [N,C,...] -> [N,1,...]: channel channels[n] of item n, or with `position` one element -> [N,1,1,1]. */
struct ph_irfft2_attributes { int64_t width; };
struct ph_warp_attributes {
    int64_t height, width;
    enum ph_warp_border { PH_BORDER_CONSTANT, PH_BORDER_REFLECT, PH_BORDER_WRAP } border;
    double fill; /* PH_BORDER_CONSTANT */
};
#define PH_MAX_BATCH 64
struct ph_pick_attributes {
    int32_t channels[PH_MAX_BATCH]; /* [N] */
    bool position;                  /* one element instead of the whole map */
    int32_t rows[PH_MAX_BATCH], columns[PH_MAX_BATCH];
};

#endif
