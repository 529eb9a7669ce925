/* The CPU backend: the kernels of the highest instruction set the context allows. */
#include "exec/backend.h"
#include <stdio.h>

extern const struct ph_kernel *const ph_cpu_kernels_portable[], *const ph_cpu_kernels_avx2[], *const ph_cpu_kernels_avx512[];

static const struct ph_kernel *const *cpu_kernels(const ph_context *context, int *block) {
#if defined __x86_64__
    switch (context->instruction_set) {
    case PH_AVX512: *block = 16; return ph_cpu_kernels_avx512;
    case PH_AVX2: *block = 8; return ph_cpu_kernels_avx2;
    case PH_PORTABLE: break;
    }
#endif
    (void)context;
    *block = 8;
    return ph_cpu_kernels_portable;
}

static void cpu_profile(const ph_context *context, char *text, size_t size) {
    snprintf(text, size, "cpu/%s", ph_instruction_set_names[context->instruction_set]);
}

extern const struct ph_backend ph_backend_cpu;
const struct ph_backend ph_backend_cpu = {
    .name = "cpu", .help = "blocked, vectorised, threaded kernels", .kernels = cpu_kernels, .rewrites = true,
    .profile = cpu_profile};
