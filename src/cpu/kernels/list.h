/* One line for each kernel. Order matters: the first that accepts a node takes it. What stands behind one that takes all it does is
 * for profiles, which choose by name. */
#ifndef PH_CPU_LIST_H
#define PH_CPU_LIST_H

#include "cpu/fft.h"
#include "cpu/kernels/vector.h"

#define PH_CPU_KERNELS(X) \
    X(ph_channel_matrix_forward) X(ph_channel_matrix_backward) \
    X(ph_phases_forward) X(ph_phases_backward) X(ph_convolution_forward_planar) X(ph_convolution_backward_planar) \
    X(ph_depthwise_forward) X(ph_depthwise_backward) \
    X(ph_grouped_forward) X(ph_grouped_backward) \
    X(ph_winograd_forward) X(ph_winograd_backward) X(ph_winograd_forward_2x2) X(ph_winograd_backward_2x2) \
    X(ph_winograd_forward_line) X(ph_winograd_backward_line) \
    X(ph_convolution_forward) X(ph_convolution_backward) \
    X(ph_winograd_forward_small) X(ph_winograd_backward_small) \
    X(ph_max_pool_forward) X(ph_max_pool_backward) \
    X(ph_softened_max_pool_forward) X(ph_softened_max_pool_backward) \
    X(ph_average_pool_forward) X(ph_average_pool_backward) \
    X(ph_global_average_forward) X(ph_global_average_backward) \
    X(ph_response_norm_forward) X(ph_response_norm_backward) \
    X(ph_normed_max_pool_forward) X(ph_normed_max_pool_backward) \
    X(ph_redirected_relu_forward) X(ph_redirected_relu_backward) \
    X(ph_redirected_clip_forward) X(ph_redirected_clip_backward) \
    X(ph_ruled_clip_forward) X(ph_ruled_clip_backward) \
    X(ph_channel_scale_forward) X(ph_channel_scale_backward) \
    X(ph_broadcast_add_forward) X(ph_broadcast_add_backward) X(ph_broadcast_sub_forward) X(ph_broadcast_sub_backward) \
    X(ph_broadcast_mul_forward) X(ph_broadcast_mul_backward) X(ph_broadcast_div_forward) X(ph_broadcast_div_backward) \
    X(ph_elementwise_forward_blocked) X(ph_elementwise_backward_blocked) X(ph_elementwise_forward) X(ph_elementwise_backward) \
    X(ph_fourier_forward) X(ph_fourier_backward) X(ph_dft_forward) X(ph_dft_backward) X(ph_warp_forward) X(ph_warp_backward) \
    X(ph_gemm_forward) X(ph_gemm_backward) X(ph_matmul_forward) X(ph_matmul_backward) \
    X(ph_slice_forward) X(ph_slice_backward) X(ph_transpose_forward) X(ph_transpose_backward) \
    X(ph_gather_forward) X(ph_gather_backward) X(ph_pad_forward) X(ph_pad_backward) \
    X(ph_depth_to_space_forward) X(ph_depth_to_space_backward) \
    X(ph_layer_norm_forward) X(ph_layer_norm_backward) X(ph_softmax_forward) X(ph_softmax_backward)

/* Rows of a list of kernels, and what stands behind all of them. */
#define PH_KERNEL_ENTRY(name) &PH_KERNEL(name),
#define PH_KERNELS_LAST &ph_fft_forward, &ph_fft_backward, &ph_fft_measured_forward, &ph_fft_measured_backward, \
    &ph_kernel_plain_forward, &ph_kernel_plain_backward, NULL

#define PH_DECLARE_KERNEL(name) extern const struct ph_kernel PH_KERNEL(name);
PH_CPU_KERNELS(PH_DECLARE_KERNEL)
#undef PH_DECLARE_KERNEL

extern const struct ph_kernel *const PH_KERNEL(ph_cpu_kernels)[];

/* GFLOP/s of fused multiply-adds on all threads, measured in some milliseconds; 0 where memory ran out. */
double PH_KERNEL(ph_peak_measure)(const ph_context *context);

#endif
