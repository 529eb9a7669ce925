/* The CPU backend: which kernels there are for an instruction set, fastest first. */
#include "exec/backend.h"

static const struct ph_kernel *const *cpu_kernels(const ph_context *context, int *block) {
    static const struct ph_kernel *const kernels[] = {&ph_kernel_plain_forward, &ph_kernel_plain_backward, NULL};
    (void)context;
    *block = 16;
    return kernels;
}

extern const struct ph_backend ph_backend_cpu;
const struct ph_backend ph_backend_cpu = {
    .name = "cpu", .help = "blocked, vectorised, threaded kernels", .kernels = cpu_kernels, .rewrites = true};
