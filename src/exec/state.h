/* What a program consists of, for those who make it (program.c), run it (run.c) and print it (print.c). */
#ifndef PH_STATE_H
#define PH_STATE_H

#include "exec/plan.h"

struct ph_program {
    ph_context *context;
    struct ph_graph *graph; /* the part that is run, its own */
    struct ph_plan plan;
    float *arena;
    const struct ph_backend *backend;
    const struct ph_engine *engine; /* the backend's; NULL: steps run on the host */
    void *state;            /* the engine's */
    bool loops;             /* the engine makes the steps of the request's loop */
    int *map;               /* value of the caller's graph -> value of `graph` */
    int loss;
};

#endif
