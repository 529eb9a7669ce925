/* Which backend a job is for, with "auto": the one that is estimated to be done first. From what is to be computed and from
 * what kind of device there is, never from a clock, so that the same job is given to the same backend every time. */
#ifndef PH_CHOICE_H
#define PH_CHOICE_H

#include "exec/program.h"

/* One item of the batch, of whose size and neighbours no picture may depend. */
struct ph_job {
    double flops;   /* of a run, forward and, with a loss, backward */
    int operations; /* that it is made of */
    int64_t runs;
};

/* What is assumed of devices of a kind. */
struct ph_rates {
    double gflops;  /* sustained, as convolutions of a network reach them; 0: not to be chosen */
    double launch;  /* seconds that an operation takes however small it is */
    double start;   /* seconds before the first run that the processor does not need */
};

/* What a program for this request would compute, its `runs` times. */
ph_status ph_job_measure(const struct ph_graph *graph, const struct ph_program_request *request, struct ph_job *job);
/* HUGE_VAL where the rates are 0. */
double ph_job_seconds(const struct ph_job *job, const struct ph_rates *rates);
/* Index of the first that takes least. */
int ph_job_choose(const struct ph_job *job, const struct ph_rates *rates, int count);

#endif
