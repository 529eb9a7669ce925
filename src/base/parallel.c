/* Parallel loops.
 *
 * OpenMP provides the threads: one parallel region spans a whole piece of work (ph_parallel_region), in which the calling
 * thread goes its way and the others serve the loops it meets. OpenMP's own loops end in a barrier of all threads, and on a
 * machine that is busy with something else each barrier can wait a scheduler's time slice for a thread that has nothing
 * to do. Here the caller waits only for threads that have claimed part of the loop, and does the rest itself; idle threads
 * spin briefly, then sleep. */
#include "base/base.h"
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined __SSE__
#include <xmmintrin.h>
#endif
#if defined _OPENMP
#include <omp.h>
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

static void pause_briefly(void) {
#if defined __SSE__
    _mm_pause();
#endif
}

/* The loop at hand. `state` holds the number of threads inside it, whether it may be entered, and a generation that tells
 * it from the one before; everything else is written only while it is closed and empty. */
enum { INSIDE = 0xffff, OPEN = 0x10000, GENERATION = 0x20000 };
enum { MOST_RANGES = 64 };

struct range { _Alignas(64) _Atomic int64_t next; int64_t end; };

struct team {
    _Alignas(64) _Atomic uint64_t state;
    struct range ranges[MOST_RANGES]; /* of the loop's indices: what each thread claims first */
    int range_count;
    void (*body)(void *argument, int64_t index);
    void *argument;
    _Alignas(64) _Atomic uint32_t bell; /* rung for sleepers */
    _Atomic int sleepers;
    _Atomic int processor;          /* the caller's, lately */
    _Atomic bool finished;
};

static _Thread_local struct team *current; /* the team whose loops this thread starts */
static _Thread_local bool inside_loop;     /* loops started inside a loop run alone */
static _Thread_local int number;           /* of this thread in its loop */

static int thread_number(void) {
#if defined _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static int64_t share(int64_t count, int part, int parts) {
    return count / parts * part + count % parts * part / parts;
}

/* A thread begins with its own share of the indices, the same part of every loop: what it has made in one it finds in its own
 * caches in the next, where processors do not share theirs, and it claims from a line of its own. Then it helps the others. */
static void claim(struct team *team, int thread) {
    inside_loop = true;
    number = thread;
    for (int k = 0; k < team->range_count; k++) {
        struct range *range = &team->ranges[(thread + k) % team->range_count];
        for (int64_t i; (i = atomic_fetch_add_explicit(&range->next, 1, memory_order_relaxed)) < range->end;)
            team->body(team->argument, i);
    }
    number = 0;
    inside_loop = false;
}

/* Longer than the gaps between the loops of a program, shorter than what a neighbour would notice. */
static const double SPIN_SECONDS = 50e-6;

static void serve(struct team *team, int thread) {
    uint64_t seen = 0; /* generation served last */
    double idle_since = ph_seconds();
    for (int spins = 0; !atomic_load_explicit(&team->finished, memory_order_acquire); spins++) {
        uint64_t state = atomic_load_explicit(&team->state, memory_order_acquire);
        if (state & OPEN && state / GENERATION != seen) {
            if (!atomic_compare_exchange_weak_explicit(&team->state, &state, state + 1, memory_order_acquire,
                                                       memory_order_relaxed))
                continue;
            seen = state / GENERATION;
            claim(team, thread);
            atomic_fetch_sub_explicit(&team->state, 1, memory_order_release);
            idle_since = ph_seconds();
            continue;
        }
        pause_briefly();
        if (spins % 64) continue;
        /* Woken onto the caller's own processor, as happens when the others are busy, spinning would only keep it from
         * the work that is waited for. */
        bool in_the_way = sched_getcpu() == atomic_load_explicit(&team->processor, memory_order_relaxed);
        if (!in_the_way && ph_seconds() - idle_since < SPIN_SECONDS) continue;
        uint32_t bell = atomic_load(&team->bell);
        atomic_fetch_add(&team->sleepers, 1);
        state = atomic_load(&team->state);
        if (!(state & OPEN && state / GENERATION != seen) && !atomic_load(&team->finished))
            syscall(SYS_futex, &team->bell, FUTEX_WAIT_PRIVATE, bell, NULL, NULL, 0);
        atomic_fetch_sub(&team->sleepers, 1);
        idle_since = ph_seconds();
    }
}

static void ring(struct team *team) {
    if (!atomic_load(&team->sleepers)) return;
    atomic_fetch_add(&team->bell, 1);
    syscall(SYS_futex, &team->bell, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void team_loop(struct team *team, int64_t count, void (*body)(void *argument, int64_t index), void *argument) {
    atomic_store_explicit(&team->processor, sched_getcpu(), memory_order_relaxed);
    team->body = body;
    team->argument = argument;
    for (int r = 0; r < team->range_count; r++) {
        atomic_store_explicit(&team->ranges[r].next, share(count, r, team->range_count), memory_order_relaxed);
        team->ranges[r].end = share(count, r + 1, team->range_count);
    }
    uint64_t generation = atomic_load(&team->state) / GENERATION + 1;
    atomic_store(&team->state, generation * GENERATION | OPEN);
    ring(team);
    claim(team, 0);
    atomic_fetch_and(&team->state, ~(uint64_t)OPEN);
    /* Whoever is still inside is at work on a claimed part, or has lost its processor: let it have this one. */
    for (int spins = 0; atomic_load_explicit(&team->state, memory_order_acquire) & INSIDE; spins++) {
        if (spins < 2000) pause_briefly();
        else sched_yield();
    }
}

void ph_parallel_region(const ph_context *context, void (*body)(void *argument), void *argument) {
    if (context->threads == 1 || current || inside_loop) {
        unsigned saved = mode_enter();
        body(argument);
        mode_leave(saved);
        return;
    }
    struct team team = {.processor = sched_getcpu(), .range_count = PH_MIN(context->threads, MOST_RANGES)};
#pragma omp parallel num_threads(context->threads)
    {
        unsigned saved = mode_enter();
#pragma omp master
        {
            current = &team;
            body(argument);
            current = NULL;
            atomic_store(&team.finished, true);
            ring(&team);
        }
        if (!current && !atomic_load(&team.finished)) serve(&team, thread_number());
        mode_leave(saved);
    }
}

struct loop { int64_t count; void (*body)(void *argument, int64_t index); void *argument; };

static void loop_alone(void *argument) {
    const struct loop *loop = argument;
    int outer = number;
    number = 0;
    if (current && !inside_loop) team_loop(current, loop->count, loop->body, loop->argument);
    else for (int64_t i = 0; i < loop->count; i++) loop->body(loop->argument, i);
    number = outer;
}

void ph_parallel_for(const ph_context *context, int64_t count, void (*body)(void *argument, int64_t index), void *argument) {
    struct loop loop = {count, body, argument};
    if (current || inside_loop || count <= 1) loop_alone(&loop);
    else ph_parallel_region(context, loop_alone, &loop);
}

int ph_parallel_thread(void) { return number; }

int ph_parallel_threads(const ph_context *context) { return inside_loop ? 1 : context->threads; }

double ph_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
