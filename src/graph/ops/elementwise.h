/* Loops shared by the operations that work element by element: each of those is a line that gives its value and its
 * derivatives, as expressions in double; the result is rounded once. */
#ifndef PH_ELEMENTWISE_H
#define PH_ELEMENTWISE_H

#include "graph/operations.h"
#include "graph/ops/walk.h"

/* The third answer to what a backward reads: derivatives that are constant. */
enum { PH_READS_NOTHING = 0 };

/* ---- One operand ------------------------------------------------------------------------------------------------- */

typedef double ph_unary_value(double x, const struct ph_activation_attributes *a);
/* dy/dx; of x and y, what the operation's backward_reads does not name is 0. */
typedef double ph_unary_derivative(double x, double y, const struct ph_activation_attributes *a);

static inline void ph_unary_forward(const struct ph_call *call, ph_unary_value *value) {
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++) y[i] = (real)value(x[i], call->attributes);
}

static inline void ph_unary_backward(const struct ph_call *call, unsigned reads, ph_unary_derivative *derivative) {
    const real *x = reads & PH_READS_INPUTS ? call->inputs[0] : NULL;
    const real *y = reads & PH_READS_OUTPUTS ? call->outputs[0] : NULL;
    const real *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++)
        x_gradient[i] += (real)(y_gradient[i] * derivative(x ? x[i] : 0, y ? y[i] : 0, call->attributes));
}

/* NAME_forward from an expression in x and the attributes a. */
#define PH_UNARY_FORWARD(name, value) \
    static double name##_value(double x, const struct ph_activation_attributes *a) { \
        (void)a; \
        return value; \
    } \
    static void name##_forward(const struct ph_call *call) { ph_unary_forward(call, name##_value); }

/* NAME_backward, which reads INPUTS (the derivative is an expression in x), OUTPUTS (in y) or NOTHING. */
#define PH_UNARY_BACKWARD(name, what, derivative) \
    static double name##_derivative(double x, double y, const struct ph_activation_attributes *a) { \
        (void)x, (void)y, (void)a; \
        return derivative; \
    } \
    static void name##_backward(const struct ph_call *call) { \
        ph_unary_backward(call, PH_READS_##what, name##_derivative); \
    }

/* ---- Two operands, broadcast to each other ----------------------------------------------------------------------- */

/* `integer`: the result is of type PH_INT64. */
typedef double ph_binary_value(double a, double b, bool integer);
/* Of the result by one of the operands; both are 0 when the operation's backward_reads does not name them. */
typedef double ph_binary_derivative(double a, double b);

static inline void ph_binary_forward(const struct ph_call *call, ph_binary_value *value) {
    const real *a = call->inputs[0], *b = call->inputs[1];
    real *y = call->outputs[0];
    bool integer = call->output_types[0] == PH_INT64;
    struct ph_walk walk = ph_walk_begin(&call->output_shapes[0], call->input_shapes, 2);
    for (int64_t i = 0; walk.left; i++, ph_walk_next(&walk))
        y[i] = (real)value(a[walk.offset[0]], b[walk.offset[1]], integer);
}

/* An operand's element that met several of the other's gets the sum of what comes back from each. */
static inline void ph_binary_backward_operand(const struct ph_call *call, int operand, unsigned reads,
                                              ph_binary_derivative *derivative) {
    const real *a = reads & PH_READS_INPUTS ? call->inputs[0] : NULL, *b = a ? call->inputs[1] : NULL;
    const real *y_gradient = call->output_gradients[0];
    real *gradient = call->input_gradients[operand];
    if (!gradient) return;
    const struct ph_shape *shapes[] = {call->input_shapes[0], call->input_shapes[1], &call->output_shapes[0]};
    struct ph_walk walk = ph_walk_begin(shapes[2], shapes, 3), outer, inner;
    ph_walk_split(&walk, operand, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer)) {
        double sum = 0;
        for (ph_walk_enter(&inner, &outer); inner.left; ph_walk_next(&inner))
            sum += y_gradient[inner.offset[2]] * derivative(a ? a[inner.offset[0]] : 0, b ? b[inner.offset[1]] : 0);
        gradient[outer.offset[operand]] += (real)sum;
    }
}

/* NAME_forward from an expression in a and b. */
#define PH_BINARY_FORWARD(name, value) \
    static double name##_value(double a, double b, bool integer) { \
        (void)integer; \
        return value; \
    } \
    static void name##_forward(const struct ph_call *call) { ph_binary_forward(call, name##_value); }

/* NAME_backward from the derivatives by a and by b, which reads INPUTS or NOTHING. */
#define PH_BINARY_BACKWARD(name, what, derivative_a, derivative_b) \
    static double name##_derivative_a(double a, double b) { \
        (void)a, (void)b; \
        return derivative_a; \
    } \
    static double name##_derivative_b(double a, double b) { \
        (void)a, (void)b; \
        return derivative_b; \
    } \
    static void name##_backward(const struct ph_call *call) { \
        ph_binary_backward_operand(call, 0, PH_READS_##what, name##_derivative_a); \
        ph_binary_backward_operand(call, 1, PH_READS_##what, name##_derivative_b); \
    }

#endif
