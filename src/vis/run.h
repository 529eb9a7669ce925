/* A network and the program that runs it on one tensor. */
#ifndef PH_RUN_H
#define PH_RUN_H

#include "vis/vis.h"

struct ph_run {
    ph_context *context;
    struct ph_graph *graph;
    struct ph_program *program;
    int input;
};

/* The shape of a tensor from outside, once it is known to fit the network's input. */
ph_status ph_run_shape(const ph_model *model, const ph_tensor *input, struct ph_shape *shape);
/* The network's graph on such an input; finished in any case. */
ph_status ph_run_start(const ph_model *model, const struct ph_shape *shape, struct ph_run *run);
ph_status ph_run_forward(struct ph_run *run, const struct ph_program_request *request, const float *data);
void ph_run_finish(struct ph_run *run);

#endif
