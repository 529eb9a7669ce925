/* The peak of fused multiply-adds, as the kernels could reach it: chains of independent ones in registers, on all threads. */
#include "cpu/kernels/list.h"

enum { CHAINS = 16, ROUNDS = 100000, TASKS = 4, RUNS = 5 };

/* What comes out is of no use, but it must be kept. */
static void chains_run(void *argument, int64_t index) {
    vector sums[CHAINS], factor = splat(0.999f), step = splat(1e-3f);
    for (int i = 0; i < CHAINS; i++) sums[i] = step * splat((float)(index + i));
    for (int round = 0; round < ROUNDS; round++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * factor + step;
    vector total = {0};
    for (int i = 0; i < CHAINS; i++) total += sums[i];
    store((float *)argument + index * PH_LANES, total);
}

double PH_KERNEL(ph_peak_measure)(const ph_context *context) {
    int64_t tasks = (int64_t)context->threads * TASKS;
    float *kept = ph_alloc_array((size_t)tasks, PH_LANES * sizeof *kept);
    double best = 0;
    for (int run = 0; run < RUNS && kept; run++) {
        double start = ph_seconds();
        ph_parallel_for(context, tasks, chains_run, kept);
        best = PH_MAX(best, 2.0 * PH_LANES * CHAINS * ROUNDS * (double)tasks / (ph_seconds() - start) / 1e9);
    }
    ph_free(kept);
    return best;
}
