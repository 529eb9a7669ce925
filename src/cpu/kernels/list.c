/* The kernels of one instruction set, fastest first; the plain functions take what is left. */
#include "cpu/kernels/list.h"
#include "cpu/fft.h"

const struct ph_kernel *const PH_KERNEL(ph_cpu_kernels)[] = {
#define KERNEL_ENTRY(name) &PH_KERNEL(name),
    PH_CPU_KERNELS(KERNEL_ENTRY)
    &ph_fft_forward, &ph_fft_backward, &ph_kernel_plain_forward, &ph_kernel_plain_backward, NULL};
