/* The processor's peak of fused multiply-adds in float, as the kernels could reach it: GFLOP/s of one core and of all, as one
 * line of JSON. Chains of independent multiply-adds in registers, the best of several runs. x86-64 only. */
#include <omp.h>
#include <stdio.h>
#include <time.h>

enum { CHAINS = 16, ROUNDS = 2000000, RUNS = 5 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define CHAIN_FUNCTION(name, bytes, flags)                                                                               \
    typedef float name##_vector __attribute__((vector_size(bytes)));                                                     \
    __attribute__((target(flags), noinline)) static float name(float start) {                                            \
        name##_vector sums[CHAINS], factor = {0}, step = {0};                                                            \
        factor += 0.999f, step += 1e-3f;                                                                                 \
        for (int i = 0; i < CHAINS; i++) sums[i] = step * (start + (float)i);                                            \
        for (int round = 0; round < ROUNDS; round++) {                                                                   \
            _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * factor + step;                 \
        }                                                                                                                \
        float total = 0;                                                                                                 \
        for (int i = 0; i < CHAINS; i++) total += sums[i][0];                                                            \
        return total;                                                                                                    \
    }

CHAIN_FUNCTION(avx512, 64, "avx512f,fma")
CHAIN_FUNCTION(avx2, 32, "avx2,fma")

static volatile float sink;

static double gflops(float (*chain)(float), int lanes, int threads) {
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        double start = now();
#pragma omp parallel num_threads(threads)
        sink = chain((float)run);
        double rate = 2.0 * lanes * CHAINS * (double)ROUNDS * threads / (now() - start) / 1e9;
        if (rate > best) best = rate;
    }
    return best;
}

int main(void) {
    int threads = omp_get_num_procs();
    printf("{\"threads\": %d, \"avx2\": [%.1f, %.1f]", threads, gflops(avx2, 8, 1), gflops(avx2, 8, threads));
    if (__builtin_cpu_supports("avx512f")) printf(", \"avx512\": [%.1f, %.1f]", gflops(avx512, 16, 1), gflops(avx512, 16, threads));
    printf("}\n");
    return 0;
}
