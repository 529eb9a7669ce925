/* A graph run in double by the operations' plain functions: slow and exact. For small networks whose optimum is wanted
 * to more digits than float has, and as what the fast programs can be held to. */
#ifndef PH_DOUBLE_PROGRAM_H
#define PH_DOUBLE_PROGRAM_H

#include "exec/program.h"

struct ph_double_program;

/* The request is that of a program; its backend is not looked at. The graph must outlive what is made. */
ph_status ph_double_program_create(const struct ph_graph *graph, const struct ph_program_request *request,
                                   struct ph_double_program **program);
void ph_double_program_destroy(struct ph_double_program **program);

/* Row-major contents of a fed value, to be written before a run, or of a tap, to be read after one. */
double *ph_double_program_values(struct ph_double_program *program, int value);

void ph_double_program_forward(struct ph_double_program *program);
/* Gradient of the loss's sum; after ph_double_program_forward. */
void ph_double_program_backward(struct ph_double_program *program);
/* Gradient of a parameter, row-major; zero where the loss does not depend on it. */
const double *ph_double_program_gradient(const struct ph_double_program *program, int parameter);

#endif
