/* A program: the part of a graph that leads from fed values to wanted ones, in order, with every buffer an offset into
 * one arena and every step bound to a kernel of one backend. Running it allocates nothing.
 */
#ifndef PH_PROGRAM_H
#define PH_PROGRAM_H

#include "exec/loop.h"

struct ph_program;

struct ph_program_request {
    const int *taps;        /* values that can be read after a run */
    int tap_count;
    int loss;               /* value of shape [N] whose sum is differentiated; PH_ABSENT: forward only */
    const int *parameters;  /* inputs whose gradient is wanted */
    int parameter_count;
    const char *backend;    /* NULL: the context's; "plain" runs the operations' own plain functions */
    bool whole;             /* it is run by ph_program_run alone */
    int64_t runs;           /* of which there will be about so many, for the choice of a backend; 0: one */
    const struct ph_loop *loop; /* steps that the device is to make by itself, if it can; NULL: none */
};

/* The program keeps no pointer to the graph's nodes; constants borrowed by the graph must outlive the program. Values in
 * the request are indices in `graph`, and stay the names by which the program's functions know them. */
ph_status ph_program_create(const struct ph_graph *graph, const struct ph_program_request *request,
                            struct ph_program **program);
/* Has the context's backend, where it is still "auto", chosen by what this program would compute, before any is made: the
 * first program makes the choice for all. */
ph_status ph_program_choose_backend(const struct ph_graph *graph, const struct ph_program_request *request);
void ph_program_destroy(struct ph_program **program);

/* Where a fed value is written before a run: row-major float, NULL where nothing wanted depends on it. Kernels may want it in
 * another layout, and a device in its own memory: each run begins with such a copy. Contents survive runs. */
float *ph_program_input(struct ph_program *program, int value);

ph_status ph_program_forward(struct ph_program *program);
/* Gradient of the loss's sum; after ph_program_forward. */
ph_status ph_program_backward(struct ph_program *program);
/* Both. A program that knows of no other use may take its steps in another order: with a batch, one item through the network
 * and back before the next. Results are the same. */
ph_status ph_program_run(struct ph_program *program);

/* Copies a tap, row-major, into out[product of its shape]. */
void ph_program_read(struct ph_program *program, int value, float *out);
/* Gradient of a parameter, row-major; valid until the next run. */
const float *ph_program_gradient(struct ph_program *program, int parameter);

/* ---- Steps that the backend's device makes by itself -------------------------------------------------------------- */

/* Whether it does those of the request's loop; else the caller makes its steps with forward and backward. */
bool ph_program_loops(const struct ph_program *program);
/* From the parameter's input, the moments and the items as they are. Again only after a fetch that nothing followed. */
ph_status ph_program_loop_start(struct ph_program *program);
/* Feeds steps first, first + 1, ... and has the device begin with them: *steps, or fewer, which *steps then says. With `look`
 * their collection brings the parameter, as it is after the last of them. At most PH_LOOP_SUBMISSIONS are uncollected. */
ph_status ph_program_loop_submit(struct ph_program *program, int64_t first, int *steps, bool look);
/* Waits for the oldest submission that is not collected. reports[steps][items]. */
ph_status ph_program_loop_collect(struct ph_program *program, struct ph_loop_report *reports);
/* Brings the parameter to its input, the moments and the items to the caller's, as they are after all that was submitted,
 * collected or not. */
ph_status ph_program_loop_fetch(struct ph_program *program);

/* Bytes of the arena (activations and gradients) and of packed constants. */
size_t ph_program_arena_bytes(const struct ph_program *program);
size_t ph_program_constant_bytes(const struct ph_program *program);

/* One line per step: direction, operation, kernel, output shape, GFLOP, bytes, arena offset; with `time`, the program is
 * run a few times and each step's median milliseconds and GFLOP/s are added, and where the backend measures it, the share of
 * its peak of multiply-adds; a kernel that needs fewer than the direct sum can be above 100 %. */
ph_status ph_program_print(struct ph_program *program, bool time, struct ph_text *text);

#endif
