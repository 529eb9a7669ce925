/* Loops shared by the operations that work element by element: each of those is a line that gives its value and its
 * derivatives, as expressions in double; the result is rounded once. */
#ifndef PH_ELEMENTWISE_H
#define PH_ELEMENTWISE_H

#include "graph/operations.h"
#include "graph/ops/walk.h"

/* The loops below take functions that are known where they are called, and are compiled for each. */
#define PH_INLINE static inline __attribute__((always_inline))

/* The third answer to what a backward reads: derivatives that are constant. */
enum { PH_READS_NOTHING = 0 };

/* ---- One operand ------------------------------------------------------------------------------------------------- */

typedef double ph_unary_value(double x, const struct ph_activation_attributes *a);
/* dy/dx; of x and y, what the operation's backward_reads does not name is 0. */
typedef double ph_unary_derivative(double x, double y, const struct ph_activation_attributes *a);

PH_INLINE void ph_unary_forward(const struct ph_call *call, ph_unary_value *value) {
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++) y[i] = (real)value(x[i], call->attributes);
}

PH_INLINE void ph_unary_backward(const struct ph_call *call, unsigned reads, ph_unary_derivative *derivative) {
    const real *x = call->inputs[0], *y = call->outputs[0], *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++)
        x_gradient[i] += (real)(y_gradient[i] * derivative(reads & PH_READS_INPUTS ? x[i] : 0,
                                                           reads & PH_READS_OUTPUTS ? y[i] : 0, call->attributes));
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

/* ---- Operands broadcast to each other ---------------------------------------------------------------------------- */

/* A walk over the result: tensor 0 is the result, then come `count` inputs from `first` on. */
PH_INLINE struct ph_walk ph_broadcast_begin(const struct ph_call *call, int first, int count) {
    const struct ph_shape *shapes[PH_WALK_TENSORS] = {&call->output_shapes[0]};
    for (int k = 0; k < count; k++) shapes[1 + k] = call->input_shapes[first + k];
    return ph_walk_begin(shapes[0], shapes, 1 + count);
}

/* The element of a walk's tensor at position `i` of the present run. */
PH_INLINE double ph_element(const void *data, const struct ph_walk *walk, int tensor, int64_t i) {
    return ((const real *)data)[walk->offset[tensor] + i * walk->step[tensor]];
}

/* What comes back to an operand from position `i` of a run. */
typedef double ph_share(const struct ph_call *call, const struct ph_walk *walk, int64_t i);

/* The gradient of input `operand`: an element that takes part in several of the result gets the sum of their shares. */
PH_INLINE void ph_broadcast_backward(const struct ph_call *call, int first, int count, int operand, ph_share *share) {
    if (!call->input_gradients[operand]) return;
    struct ph_walk walk = ph_broadcast_begin(call, first, count), outer, inner;
    bool sums = ph_walk_split(&walk, 1 + operand - first, &outer, &inner) != 1;
    for (; outer.left; ph_walk_next(&outer)) {
        real *gradient = (real *)call->input_gradients[operand] + outer.offset[1 + operand - first];
        for (int64_t i = 0; i < outer.run && !sums; i++) gradient[i] += (real)share(call, &outer, i);
        for (int64_t i = 0; i < outer.run && sums; i++) {
            double sum = 0;
            for (ph_walk_enter(&inner, &outer, i); inner.left; ph_walk_next(&inner))
                for (int64_t j = 0; j < inner.run; j++) sum += share(call, &inner, j);
            gradient[i] += (real)sum;
        }
    }
}

/* ---- Two operands ------------------------------------------------------------------------------------------------ */

/* `integer`: the result is of type PH_INT64. */
typedef double ph_binary_value(double a, double b, bool integer);

PH_INLINE void ph_binary_forward(const struct ph_call *call, ph_binary_value *value) {
    bool integer = call->output_types[0] == PH_INT64;
    struct ph_walk walk = ph_broadcast_begin(call, 0, 2);
    for (; walk.left; ph_walk_next(&walk)) {
        real *y = (real *)call->outputs[0] + walk.offset[0];
        for (int64_t i = 0; i < walk.run; i++) {
            double a = ph_element(call->inputs[0], &walk, 1, i), b = ph_element(call->inputs[1], &walk, 2, i);
            y[i] = (real)value(a, b, integer);
        }
    }
}

/* NAME_forward from an expression in a and b. */
#define PH_BINARY_FORWARD(name, value) \
    static double name##_value(double a, double b, bool integer) { \
        (void)integer; \
        return value; \
    } \
    static void name##_forward(const struct ph_call *call) { ph_binary_forward(call, name##_value); }

/* NAME_share_SIDE from the derivative by that operand. */
#define PH_BINARY_SHARE(name, side, what, derivative) \
    static double name##_share_##side(const struct ph_call *call, const struct ph_walk *walk, int64_t i) { \
        double a = PH_READS_##what ? ph_element(call->inputs[0], walk, 1, i) : 0; \
        double b = PH_READS_##what ? ph_element(call->inputs[1], walk, 2, i) : 0; \
        (void)a, (void)b; \
        return ph_element(call->output_gradients[0], walk, 0, i) * (derivative); \
    }

/* NAME_backward from the derivatives by a and by b, which reads INPUTS or NOTHING. */
#define PH_BINARY_BACKWARD(name, what, derivative_a, derivative_b) \
    PH_BINARY_SHARE(name, a, what, derivative_a) \
    PH_BINARY_SHARE(name, b, what, derivative_b) \
    static void name##_backward(const struct ph_call *call) { \
        ph_broadcast_backward(call, 0, 2, 0, name##_share_a); \
        ph_broadcast_backward(call, 0, 2, 1, name##_share_b); \
    }

#endif
