/* Parallel loops over OpenMP. */
#include "base/base.h"
#include <time.h>
#if defined __SSE__
#include <xmmintrin.h>
#endif

/* Denormals cost a hundred cycles each and come in masses from a network fed grey: flush them to zero (FTZ) and read them
 * as zero (DAZ) while a loop runs. */
static unsigned mode_enter(void) {
#if defined __SSE__
    unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | 0x8040);
    return saved;
#else
    return 0;
#endif
}

static void mode_leave(unsigned saved) {
#if defined __SSE__
    _mm_setcsr(saved);
#else
    (void)saved;
#endif
}

void ph_parallel_for(const ph_context *context, int64_t count, void (*body)(void *argument, int64_t index), void *argument) {
    int threads = (int)PH_MIN((int64_t)context->threads, count);
    if (threads <= 1) {
        unsigned saved = mode_enter();
        for (int64_t i = 0; i < count; i++) body(argument, i);
        mode_leave(saved);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        unsigned saved = mode_enter();
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < count; i++) body(argument, i);
        mode_leave(saved);
    }
}

double ph_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
