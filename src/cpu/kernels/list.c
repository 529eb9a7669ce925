/* The kernels of one instruction set, fastest first; the plain functions take what is left. */
#include "cpu/kernels/list.h"

const struct ph_kernel *const PH_KERNEL(ph_cpu_kernels)[] = {PH_CPU_KERNELS(PH_KERNEL_ENTRY) PH_KERNELS_LAST};
