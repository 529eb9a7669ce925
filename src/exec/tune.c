/* Measuring kernels for a profile. Programs are built that differ in nothing but the kernels of the keys that have no choice
 * yet, and run in turn: so each kernel is timed with the threads, the neighbours and the caches that it will have. */
#include "exec/plan.h"
#include "exec/profile.h"
#include <string.h>

enum { ROUNDS = 24 };

static void times_keep(struct ph_profile *profile, const struct ph_plan *plan, const double *seconds) {
    for (int i = 0; i < profile->trial_count; i++) {
        struct ph_trial *trial = &profile->trials[i];
        double sum = 0, *least = &trial->candidates[PH_MIN(profile->turn, trial->count - 1)].seconds;
        if (profile->turn >= trial->count) continue;
        /* Nodes with the same key share the choice. */
        for (int s = 0; s < plan->step_count; s++)
            if (plan->steps[s].key && !strcmp(plan->steps[s].key, trial->key)) sum += seconds[s];
        if (*least < 0 || sum < *least) *least = sum;
    }
}

struct measure {
    struct ph_profile *profile;
    struct ph_program *const *programs;
    int count;
    double *seconds; /* of the steps of one */
};

static void measure_run(void *argument) {
    const struct measure *m = argument;
    for (int round = 0; round <= ROUNDS; round++)
        for (int i = 0; i < m->count; i++) {
            const struct ph_plan *plan = ph_program_plan(m->programs[i]);
            m->profile->turn = i;
            memset(m->seconds, 0, (size_t)plan->step_count * sizeof *m->seconds);
            ph_program_time(m->programs[i], m->seconds);
            if (round) times_keep(m->profile, plan, m->seconds); /* the first one warms up */
        }
}

/* Candidates in trials: as many programs as the longest list has. */
static int turns_of(const struct ph_profile *profile) {
    int turns = 0;
    for (int i = 0; i < profile->trial_count; i++) turns = PH_MAX(turns, profile->trials[i].count);
    return turns;
}

ph_status ph_tune(const struct ph_graph *graph, const struct ph_program_request *request, const struct ph_backend *backend,
                  struct ph_program **program) {
    struct ph_profile *profile = graph->context->profile;
    struct ph_program *programs[PH_MOST_CANDIDATES] = {*program};
    int turns = turns_of(profile), steps = 0;
    if (!turns) return PH_OK;
    ph_status status = PH_OK;
    for (int i = 1; i < turns && !status; i++) {
        profile->turn = i;
        status = ph_program_build(graph, request, backend, &programs[i]);
    }
    for (int i = 0; i < turns && !status; i++) steps = PH_MAX(steps, ph_program_plan(programs[i])->step_count);
    struct measure measure = {profile, programs, turns, ph_alloc_array((size_t)steps + 1, sizeof *measure.seconds)};
    if (!status && !measure.seconds) status = ph_fail_memory(graph->context);
    if (!status) ph_parallel_region(graph->context, measure_run, &measure);
    ph_free(measure.seconds);
    for (int i = 0; i < turns; i++) ph_program_destroy(&programs[i]);
    *program = NULL;
    if (status) ph_profile_forget(profile);
    else status = ph_profile_settle(profile);
    return status ? status : ph_program_build(graph, request, backend, program);
}
