/* The CPU backend: the kernels of the highest instruction set the context allows, in the precision it asks for. */
#include "exec/backend.h"
#include "graph/passes.h"
#include <stdio.h>
#include <string.h>

typedef const struct ph_kernel *const kernel_list[];
extern kernel_list ph_cpu_kernels_portable, ph_cpu_kernels_avx2, ph_cpu_kernels_avx512;
/* The same with convolutions by bfloat16 products, of tiles in plain C, of AVX512_BF16, of AMX. */
extern kernel_list ph_cpu_kernels_bf16x3_portable, ph_cpu_kernels_bf16_portable, ph_cpu_kernels_bf16x3_dot,
    ph_cpu_kernels_bf16_dot, ph_cpu_kernels_bf16x3_amx, ph_cpu_kernels_bf16_amx;

static enum ph_precision precision(const ph_context *context) {
    enum ph_precision asked = context->precision;
    if (asked == PH_FP32 || asked == PH_BF16X3 || asked == PH_BF16) return asked;
    return context->instruction_set >= PH_AMX ? PH_BF16X3 : PH_FP32;
}

/* Tiles in plain C are for tests alone, which ask for no check. */
static unsigned precisions(const ph_context *context) {
    return context->instruction_set >= PH_AVX512_BF16 ? 1u << PH_BF16X3 | 1u << PH_BF16 : 0;
}

static const struct ph_kernel *const *cpu_kernels(const ph_context *context, int *block) {
    enum ph_precision made = precision(context);
    bool split = made == PH_BF16X3;
#if defined __x86_64__
    if (context->instruction_set >= PH_AVX512) *block = 16;
    else *block = 8;
    if (made == PH_FP32) {
        if (context->instruction_set >= PH_AVX512) return ph_cpu_kernels_avx512;
        if (context->instruction_set == PH_AVX2) return ph_cpu_kernels_avx2;
    } else {
        if (context->instruction_set == PH_AMX) return split ? ph_cpu_kernels_bf16x3_amx : ph_cpu_kernels_bf16_amx;
        if (context->instruction_set == PH_AVX512_BF16) return split ? ph_cpu_kernels_bf16x3_dot : ph_cpu_kernels_bf16_dot;
    }
#endif
    *block = 8;
    if (made == PH_FP32) return ph_cpu_kernels_portable;
    return split ? ph_cpu_kernels_bf16x3_portable : ph_cpu_kernels_bf16_portable;
}

double ph_peak_measure_portable(const ph_context *), ph_peak_measure_avx2(const ph_context *),
    ph_peak_measure_avx512(const ph_context *);

static double cpu_peak(const ph_context *context) {
#if defined __x86_64__
    if (context->instruction_set >= PH_AVX512) return ph_peak_measure_avx512(context);
    if (context->instruction_set == PH_AVX2) return ph_peak_measure_avx2(context);
#endif
    return ph_peak_measure_portable(context);
}

/* On GoogLeNet's step two cores of AMD Zen 4 reach half of it with each set; a small operation takes what those of a network
 * of 0.01 GFLOP do there. The number of threads does not count: a picture may not depend on it. */
static struct ph_rates cpu_rates(const ph_context *context) {
    enum ph_instruction_set level = context->instruction_set;
    return (struct ph_rates){.gflops = level >= PH_AVX512 ? 400 : level == PH_AVX2 ? 320 : 90, .launch = 10e-6};
}

/* "cpu/avx512", or "cpu/amx": the levels above avx512 differ only where there are bfloat16 products. What was not asked for by
 * name is named here: "cpu/amx/bf16x3". */
static void cpu_profile(const ph_context *context, char *text, size_t size) {
    enum ph_precision made = precision(context);
    enum ph_instruction_set level = context->instruction_set;
    if (made <= PH_FP16) level = PH_MIN(level, PH_AVX512);
    snprintf(text, size, "cpu/%s", ph_instruction_set_names[level]);
    size_t used = strlen(text);
    if (context->precision != made && made != PH_FP32) snprintf(text + used, size - used, "/%s", ph_precision_names[made]);
}

extern const struct ph_backend ph_backend_cpu;
const struct ph_backend ph_backend_cpu = {
    .name = "cpu", .help = "blocked, vectorised, threaded kernels", .kernels = cpu_kernels,
    .rewrites = PH_REWRITE_FUSE | PH_REWRITE_NORMALISATION | PH_REWRITE_ACTIVATIONS | PH_REWRITE_NORMED_POOLS,
    .tunes = true, .precisions = precisions, .rates = cpu_rates, .profile = cpu_profile, .peak = cpu_peak};
