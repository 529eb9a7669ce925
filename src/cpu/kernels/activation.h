/* Activations whose functions are worth vectors: those with an exponential in them, and hard_swish. */
#ifndef PH_CPU_ACTIVATION_H
#define PH_CPU_ACTIVATION_H

#include "cpu/kernels/vector.h"

struct ph_vector_activation {
    const struct ph_operation *operation;
    /* y[count] of x[count]. */
    void (*forward)(const struct ph_activation_attributes *a, const float *x, float *y, int64_t count);
    /* x_gradient[count] becomes, or with `accumulate` is added to by, g[count] times the slope, which is known from x, or from y
     * where the operation's backward reads outputs. */
    void (*backward)(const struct ph_activation_attributes *a, const float *known, const float *g, float *x_gradient,
                     bool accumulate, int64_t count);
};

/* NULL: none. */
const struct ph_vector_activation *PH_KERNEL(ph_activation_find)(const struct ph_operation *operation);

#endif
