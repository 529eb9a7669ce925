/* Reductions over a set of axes: sums, norms, extremes and the places of extremes.
 *
 * Definitions: https://onnx.ai/onnx/operators/. Sums are accumulated in double, in row order. Among equal extremes the
 * first in row order is the one, in place and in gradient. */
#include "graph/operations.h"
#include "graph/ops/walk.h"
#include <math.h>

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* The input's shape with size 1 along the reduced axes. */
static struct ph_shape kept_shape(const struct ph_shape *x, const struct ph_reduce_attributes *attributes) {
    struct ph_shape kept = *x;
    for (int i = 0; i < attributes->axis_count; i++) kept.dims[attributes->axes[i]] = 1;
    for (int i = 0; i < x->rank && attributes->axis_count == 0; i++) kept.dims[i] = 1;
    return kept;
}

static ph_status reduce_infer(struct ph_inference *inference) {
    const struct ph_reduce_attributes *attributes = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape;
    bool reduced[PH_MAX_RANK] = {false};
    if (attributes->axis_count < 0 || attributes->axis_count > x->rank)
        return ph_infer_fail(inference, "%d axes to reduce", attributes->axis_count);
    for (int i = 0; i < attributes->axis_count; i++) {
        int64_t axis = attributes->axes[i];
        if (axis < 0 || axis >= x->rank) return ph_infer_fail(inference, "axis %lld does not exist", (long long)axis);
        if (reduced[axis]) return ph_infer_fail(inference, "axis %lld is named twice", (long long)axis);
        reduced[axis] = true;
    }
    struct ph_shape kept = kept_shape(x, attributes), dropped = {0};
    for (int i = 0; i < x->rank; i++)
        if (attributes->axis_count && !reduced[i]) dropped.dims[dropped.rank++] = x->dims[i];
    inference->shapes[0] = attributes->keep_dims ? kept : dropped;
    return PH_OK;
}

/* The place of an extreme: along one axis, or in the whole tensor. */
static ph_status place_infer(struct ph_inference *inference) {
    PH_TRY(reduce_infer(inference));
    const struct ph_shape kept = kept_shape(&inference->inputs[0]->shape, inference->attributes);
    if (ph_shape_size(&inference->inputs[0]->shape) == 0 && ph_shape_size(&kept) > 0)
        return ph_infer_fail(inference, "nothing has no extreme");
    inference->types[0] = PH_INT64;
    return PH_OK;
}

/* `outer` meets each element of the result once, `inner` the elements it is made of; offset 0 is that in the input,
 * offset 1 that in the result. Returns how many elements make one. */
static int64_t reduce_walks(const struct ph_call *call, struct ph_walk *outer, struct ph_walk *inner) {
    struct ph_shape kept = kept_shape(call->input_shapes[0], call->attributes);
    const struct ph_shape *shapes[] = {call->input_shapes[0], &kept};
    struct ph_walk walk = ph_walk_begin(shapes[0], shapes, 2);
    ph_walk_split(&walk, 1, outer, inner);
    ph_walk_enter(inner, outer);
    return inner->left;
}

static double reduce_flops(const struct ph_call *call) { return (double)ph_shape_size(call->input_shapes[0]); }

/* ---- Sums: result = finish(step(step(start, x0), x1) ...) -------------------------------------------------------- */

typedef double step_function(double sum, double x);
typedef double finish_function(double sum, double count);
typedef double derivative_function(double x, double y, double count);

static void sum_forward(const struct ph_call *call, double start, step_function *step, finish_function *finish) {
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    struct ph_walk outer, inner;
    int64_t count = reduce_walks(call, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer)) {
        double sum = start;
        for (ph_walk_enter(&inner, &outer); inner.left; ph_walk_next(&inner)) sum = step(sum, x[inner.offset[0]]);
        y[outer.offset[1]] = (real)finish(sum, (double)count);
    }
}

/* Without PH_READS_INPUTS and PH_READS_OUTPUTS in `reads`, x and y are 0 to the derivative. */
static void sum_backward(const struct ph_call *call, unsigned reads, derivative_function *derivative) {
    const real *x = reads & PH_READS_INPUTS ? call->inputs[0] : NULL;
    const real *y = reads & PH_READS_OUTPUTS ? call->outputs[0] : NULL;
    const real *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    struct ph_walk outer, inner;
    int64_t count = reduce_walks(call, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer))
        for (ph_walk_enter(&inner, &outer); inner.left; ph_walk_next(&inner)) {
            int64_t to = inner.offset[0], from = inner.offset[1];
            x_gradient[to] += (real)(y_gradient[from] * derivative(x ? x[to] : 0, y ? y[from] : 0, (double)count));
        }
}

#define SUM_FORWARD(name, start, step, finish) \
    static double name##_step(double sum, double x) { return step; } \
    static double name##_finish(double sum, double count) { \
        (void)count; \
        return finish; \
    } \
    static void name##_forward(const struct ph_call *call) { sum_forward(call, start, name##_step, name##_finish); }

#define SUM_BACKWARD(name, reads, derivative) \
    static double name##_derivative(double x, double y, double count) { \
        (void)x, (void)y, (void)count; \
        return derivative; \
    } \
    static void name##_backward(const struct ph_call *call) { sum_backward(call, reads, name##_derivative); }

#define READS_NOTHING 0
#define READS_BOTH (PH_READS_INPUTS | PH_READS_OUTPUTS)

SUM_FORWARD(reduce_sum, 0, sum + x, sum)
SUM_BACKWARD(reduce_sum, READS_NOTHING, 1)

SUM_FORWARD(reduce_mean, 0, sum + x, sum / count)
SUM_BACKWARD(reduce_mean, READS_NOTHING, 1 / count)

SUM_FORWARD(reduce_l1, 0, sum + fabs(x), sum)
SUM_BACKWARD(reduce_l1, PH_READS_INPUTS, x > 0 ? 1 : x < 0 ? -1 : 0)

/* The norm of nothing but zeros has no gradient. */
SUM_FORWARD(reduce_l2, 0, sum + x * x, sqrt(sum))
SUM_BACKWARD(reduce_l2, READS_BOTH, y > 0 ? x / y : 0)

SUM_FORWARD(reduce_sum_square, 0, sum + x * x, sum)
SUM_BACKWARD(reduce_sum_square, PH_READS_INPUTS, 2 * x)

SUM_FORWARD(reduce_log_sum, 0, sum + x, log(sum))
SUM_BACKWARD(reduce_log_sum, PH_READS_OUTPUTS, exp(-y))

/* ---- Product ----------------------------------------------------------------------------------------------------- */

SUM_FORWARD(reduce_prod, 1, sum * x, sum)

/* The derivative is the product of the others, which a single zero leaves to itself alone. */
static void reduce_prod_backward(const struct ph_call *call) {
    const real *x = call->inputs[0], *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    struct ph_walk outer, inner;
    reduce_walks(call, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer)) {
        double product = 1;
        int64_t zeros = 0;
        for (ph_walk_enter(&inner, &outer); inner.left; ph_walk_next(&inner)) {
            if (x[inner.offset[0]] == 0) zeros++;
            else product *= x[inner.offset[0]];
        }
        for (ph_walk_enter(&inner, &outer); inner.left && zeros < 2; ph_walk_next(&inner)) {
            double element = x[inner.offset[0]];
            double others = element == 0 ? product : zeros ? 0 : product / element;
            x_gradient[inner.offset[0]] += (real)(y_gradient[outer.offset[1]] * others);
        }
    }
}

/* ---- Extremes ---------------------------------------------------------------------------------------------------- */

struct extreme { int64_t offset, place; }; /* in the input; among the elements that make one result. -1: of nothing */

/* The largest element (of sign * x), the first or the last of equals. A NaN in the first place wins. */
static struct extreme extreme_find(struct ph_walk *inner, const struct ph_walk *outer, const real *x, int sign,
                                   bool last) {
    struct extreme best = {-1, -1};
    int64_t place = 0;
    for (ph_walk_enter(inner, outer); inner->left; ph_walk_next(inner), place++) {
        double now = sign * x[inner->offset[0]], before = best.offset < 0 ? 0 : sign * x[best.offset];
        if (best.offset < 0 || now > before || (last && now == before))
            best = (struct extreme){inner->offset[0], place};
    }
    return best;
}

static void extreme_forward(const struct ph_call *call, int sign) {
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    struct ph_walk outer, inner;
    reduce_walks(call, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer)) {
        struct extreme best = extreme_find(&inner, &outer, x, sign, false);
        y[outer.offset[1]] = best.offset < 0 ? (real)(-sign * INFINITY) : x[best.offset];
    }
}

static void extreme_backward(const struct ph_call *call, int sign) {
    const real *x = call->inputs[0], *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    struct ph_walk outer, inner;
    reduce_walks(call, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer)) {
        struct extreme best = extreme_find(&inner, &outer, x, sign, false);
        if (best.offset >= 0) x_gradient[best.offset] += y_gradient[outer.offset[1]];
    }
}

static void place_forward(const struct ph_call *call, int sign) {
    const struct ph_reduce_attributes *attributes = call->attributes;
    real *y = call->outputs[0];
    struct ph_walk outer, inner;
    reduce_walks(call, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer))
        y[outer.offset[1]] = (real)extreme_find(&inner, &outer, call->inputs[0], sign, attributes->last_index).place;
}

static void reduce_max_forward(const struct ph_call *call) { extreme_forward(call, 1); }
static void reduce_max_backward(const struct ph_call *call) { extreme_backward(call, 1); }
static void reduce_min_forward(const struct ph_call *call) { extreme_forward(call, -1); }
static void reduce_min_backward(const struct ph_call *call) { extreme_backward(call, -1); }
static void argmax_forward(const struct ph_call *call) { place_forward(call, 1); }
static void argmin_forward(const struct ph_call *call) { place_forward(call, -1); }

/* ---- Logarithm of a sum of exponentials -------------------------------------------------------------------------- */

/* The largest element is taken out, so that nothing overflows. */
static void reduce_log_sum_exp_forward(const struct ph_call *call) {
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    struct ph_walk outer, inner;
    reduce_walks(call, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer)) {
        struct extreme best = extreme_find(&inner, &outer, x, 1, false);
        double largest = best.offset < 0 ? -INFINITY : x[best.offset], sum = 0;
        for (ph_walk_enter(&inner, &outer); inner.left; ph_walk_next(&inner)) sum += exp(x[inner.offset[0]] - largest);
        y[outer.offset[1]] = (real)(isinf(largest) ? largest : largest + log(sum));
    }
}

SUM_BACKWARD(reduce_log_sum_exp, READS_BOTH, exp(x - y))

/* ---- ONNX -------------------------------------------------------------------------------------------------------- */

/* Over no axis at all: over one of size 1 added behind the others, since a norm of one element is not the element. */
static ph_status reduce_nothing(struct ph_import *import, const struct ph_value *x) {
    struct ph_shape_attributes longer = {x->shape};
    struct ph_reduce_attributes attributes = {.axes = {x->shape.rank}, .axis_count = 1};
    if (x->shape.rank == PH_MAX_RANK)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "no axes of a tensor of rank %d", PH_MAX_RANK);
    longer.shape.dims[longer.shape.rank++] = 1;
    struct ph_import rest = *import;
    int value = import->inputs[0];
    PH_TRY(ph_graph_add(import->graph, &ph_operation_reshape, NULL, &longer, &value, 1, &value));
    rest.inputs = &value;
    return ph_import_append(&rest, &attributes, 1);
}

/* The axes are an attribute before opset 18 (ReduceSum: 13) and an input after it. */
static ph_status reduce_read(struct ph_import *import) {
    struct ph_reduce_attributes attributes = {.keep_dims = ph_import_int(import, "keepdims", 1)};
    const struct ph_value *x;
    int count;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_ints_input(import, 1, "axes", attributes.axes, PH_MAX_RANK, &count));
    if (count <= 0 && ph_import_int(import, "noop_with_empty_axes", 0)) return reduce_nothing(import, x);
    attributes.axis_count = PH_MAX(count, 0);
    PH_TRY(ph_import_resolve_axes(import, attributes.axes, attributes.axis_count, x->shape.rank));
    return ph_import_append(import, &attributes, 1);
}

static ph_status place_read(struct ph_import *import) {
    struct ph_reduce_attributes attributes = {.axis_count = 1, .keep_dims = ph_import_int(import, "keepdims", 1),
                                              .last_index = ph_import_int(import, "select_last_index", 0)};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_axis(import, "axis", 0, x->shape.rank, &attributes.axes[0]));
    return ph_import_append(import, &attributes, 1);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

#define AXES(count, ...) &(const struct ph_reduce_attributes){.axis_count = count, .axes = __VA_ARGS__}
#define AXES_KEPT(count, ...) \
    &(const struct ph_reduce_attributes){.axis_count = count, .axes = __VA_ARGS__, .keep_dims = true}

#define CASES(function, low, high, ...) \
    static const struct ph_case function##_cases[] = { \
        {"positions of a picture, kept", AXES_KEPT(2, {2, 3}), .inputs = {{PH_SHAPE(2, 3, 2, 4), low, high}}}, \
        {"first axis", AXES(1, {0}), .inputs = {{PH_SHAPE(3, 4), low, high}}}, \
        {"two apart, unordered", AXES(2, {3, 1}), .inputs = {{PH_SHAPE(2, 3, 2, 4), low, high}}}, \
        {"everything", AXES(0, {0}), .inputs = {{PH_SHAPE(2, 3, 2), low, high}}}, \
        __VA_ARGS__ {NULL}}

CASES(sums, -1, 1);
CASES(logarithms, 0.2, 2);
CASES(products, -2, 2,
      {"one zero", AXES(1, {0}), .inputs = {{PH_SHAPE(4), .values = (const double[]){2, 0, -3, 0.5}}}},);

#define REDUCTION(function, type, text, reads, list) \
    PH_OPERATION(function) = { \
        .name = #function, .help = text, .attributes_size = sizeof(struct ph_reduce_attributes), \
        .minimum_inputs = 1, .maximum_inputs = 1, .differentiable = 1, .backward_reads = reads, \
        .infer = reduce_infer, .forward = function##_forward, .backward = function##_backward, .flops = reduce_flops, \
        .importers = (const struct ph_importer[]){{type, reduce_read}, {NULL}}, .cases = list}

REDUCTION(reduce_sum, "ReduceSum", "sum over axes", READS_NOTHING, sums_cases);
REDUCTION(reduce_mean, "ReduceMean", "mean over axes", READS_NOTHING, sums_cases);
REDUCTION(reduce_max, "ReduceMax", "largest element along axes", PH_READS_INPUTS, sums_cases);
REDUCTION(reduce_min, "ReduceMin", "smallest element along axes", PH_READS_INPUTS, sums_cases);
REDUCTION(reduce_l1, "ReduceL1", "sum of absolute values over axes", PH_READS_INPUTS, sums_cases);
REDUCTION(reduce_l2, "ReduceL2", "root of the sum of squares over axes", READS_BOTH, sums_cases);
REDUCTION(reduce_sum_square, "ReduceSumSquare", "sum of squares over axes", PH_READS_INPUTS, sums_cases);
REDUCTION(reduce_log_sum, "ReduceLogSum", "logarithm of the sum over axes", PH_READS_OUTPUTS, logarithms_cases);
REDUCTION(reduce_log_sum_exp, "ReduceLogSumExp", "logarithm of the sum of exponentials over axes", READS_BOTH,
          sums_cases);
REDUCTION(reduce_prod, "ReduceProd", "product over axes", PH_READS_INPUTS, products_cases);

#define WITH_EQUALS (const double[]){1, 2, 2, 0, 3, 3, 0, 0}
#define LAST &(const struct ph_reduce_attributes){.axis_count = 1, .axes = {1}, .last_index = true}
static const struct ph_case place_cases[] = {
    {"channels, kept", AXES_KEPT(1, {1}), .inputs = {{PH_SHAPE(2, 3, 2, 2), -1, 1}}},
    {"last axis", AXES(1, {2}), .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}}},
    {"the first of equals", AXES(1, {1}), .inputs = {{PH_SHAPE(2, 4), .values = WITH_EQUALS}}},
    {"the last of equals", LAST, .inputs = {{PH_SHAPE(2, 4), .values = WITH_EQUALS}}},
    {NULL}};

#define PLACE(function, type, text) \
    PH_OPERATION(function) = { \
        .name = #function, .help = text, .attributes_size = sizeof(struct ph_reduce_attributes), \
        .minimum_inputs = 1, .maximum_inputs = 1, \
        .infer = place_infer, .forward = function##_forward, .flops = reduce_flops, \
        .importers = (const struct ph_importer[]){{type, place_read}, {NULL}}, .cases = place_cases}

PLACE(argmax, "ArgMax", "index of the largest element along an axis");
PLACE(argmin, "ArgMin", "index of the smallest element along an axis");
