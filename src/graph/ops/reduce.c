/* Reductions over a set of axes: sums, norms, extremes and the places of extremes.
 *
 * Definitions: https://onnx.ai/onnx/operators/. Sums are accumulated in double, in row order. Among equal extremes the
 * first in row order is the one, in place and in gradient. */
#include "graph/ops/elementwise.h"
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

/* Deals with one element of the result, that at elements->offset[1]; the walk goes through the `count` elements of the
 * input it is made of, offset 0 being theirs. */
typedef void one_result(const struct ph_call *call, const struct ph_walk *elements, int64_t count);

PH_INLINE void each_result(const struct ph_call *call, one_result *deal) {
    struct ph_shape kept = kept_shape(call->input_shapes[0], call->attributes);
    const struct ph_shape *shapes[] = {call->input_shapes[0], &kept};
    struct ph_walk walk = ph_walk_begin(shapes[0], shapes, 2), outer, inner;
    int64_t count = ph_walk_split(&walk, 1, &outer, &inner);
    for (; outer.left; ph_walk_next(&outer))
        for (int64_t i = 0; i < outer.run; i++) {
            ph_walk_enter(&inner, &outer, i);
            deal(call, &inner, count);
        }
}

static double reduce_flops(const struct ph_call *call) { return (double)ph_shape_size(call->input_shapes[0]); }

/* ---- Sums: result = finish(step(step(start, x0), x1) ...) -------------------------------------------------------- */

typedef double step_function(double sum, double x);
typedef double derivative_function(double x, double y, int64_t count);

PH_INLINE double accumulate(const void *x, const struct ph_walk *elements, double sum, step_function *step) {
    for (struct ph_walk walk = *elements; walk.left; ph_walk_next(&walk))
        for (int64_t i = 0; i < walk.run; i++) sum = step(sum, ph_element(x, &walk, 0, i));
    return sum;
}

/* Of x and y, what `reads` does not name is 0 to the derivative. */
PH_INLINE void distribute(const struct ph_call *call, const struct ph_walk *elements, int64_t count, unsigned reads,
                          derivative_function *derivative) {
    double y_gradient = ((const real *)call->output_gradients[0])[elements->offset[1]];
    double y = reads & PH_READS_OUTPUTS ? ((const real *)call->outputs[0])[elements->offset[1]] : 0;
    for (struct ph_walk walk = *elements; walk.left; ph_walk_next(&walk)) {
        real *x_gradient = (real *)call->input_gradients[0] + walk.offset[0];
        for (int64_t i = 0; i < walk.run; i++) {
            double x = reads & PH_READS_INPUTS ? ph_element(call->inputs[0], &walk, 0, i) : 0;
            x_gradient[i * walk.step[0]] += (real)(y_gradient * derivative(x, y, count));
        }
    }
}

#define SUM_FORWARD(name, start, step, finish) \
    static double name##_step(double sum, double x) { return step; } \
    static void name##_result(const struct ph_call *call, const struct ph_walk *elements, int64_t count) { \
        double sum = accumulate(call->inputs[0], elements, start, name##_step); \
        (void)count; \
        ((real *)call->outputs[0])[elements->offset[1]] = (real)(finish); \
    } \
    static void name##_forward(const struct ph_call *call) { each_result(call, name##_result); }

#define SUM_BACKWARD(name, reads, derivative) \
    static double name##_derivative(double x, double y, int64_t count) { \
        (void)x, (void)y, (void)count; \
        return derivative; \
    } \
    static void name##_shares(const struct ph_call *call, const struct ph_walk *elements, int64_t count) { \
        distribute(call, elements, count, reads, name##_derivative); \
    } \
    static void name##_backward(const struct ph_call *call) { each_result(call, name##_shares); }

#define READS_BOTH (PH_READS_INPUTS | PH_READS_OUTPUTS)

SUM_FORWARD(reduce_sum, 0, sum + x, sum)
SUM_BACKWARD(reduce_sum, PH_READS_NOTHING, 1)

SUM_FORWARD(reduce_mean, 0, sum + x, sum / (double)count)
SUM_BACKWARD(reduce_mean, PH_READS_NOTHING, 1 / (double)count)

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

static double step_product_but_zeros(double sum, double x) { return x == 0 ? sum : sum * x; }
static double step_count_zeros(double sum, double x) { return sum + (x == 0); }

/* The derivative is the product of the others, which a single zero leaves to itself alone. */
static void reduce_prod_shares(const struct ph_call *call, const struct ph_walk *elements, int64_t count) {
    (void)count;
    double y_gradient = ((const real *)call->output_gradients[0])[elements->offset[1]];
    double product = accumulate(call->inputs[0], elements, 1, step_product_but_zeros);
    double zeros = accumulate(call->inputs[0], elements, 0, step_count_zeros);
    for (struct ph_walk walk = *elements; walk.left && zeros < 2; ph_walk_next(&walk)) {
        real *x_gradient = (real *)call->input_gradients[0] + walk.offset[0];
        for (int64_t i = 0; i < walk.run; i++) {
            double x = ph_element(call->inputs[0], &walk, 0, i);
            double others = x == 0 ? product : zeros > 0 ? 0 : product / x;
            x_gradient[i * walk.step[0]] += (real)(y_gradient * others);
        }
    }
}

static void reduce_prod_backward(const struct ph_call *call) { each_result(call, reduce_prod_shares); }

/* ---- Extremes ---------------------------------------------------------------------------------------------------- */

struct extreme {
    int64_t offset; /* in the input; -1: the extreme of nothing */
    int64_t place;  /* among the elements that make one result */
};

/* The largest element (of sign * x), the first or the last of equals. A NaN in the first place wins. */
static struct extreme extreme_find(const void *x, const struct ph_walk *elements, int sign, bool last) {
    struct extreme best = {-1, -1};
    int64_t place = 0;
    double most = 0;
    for (struct ph_walk walk = *elements; walk.left; ph_walk_next(&walk))
        for (int64_t i = 0; i < walk.run; i++, place++) {
            double now = sign * ph_element(x, &walk, 0, i);
            if (best.offset >= 0 && !(now > most || (last && now == most))) continue;
            best = (struct extreme){walk.offset[0] + i * walk.step[0], place};
            most = now;
        }
    return best;
}

static double extreme_value(const void *x, struct extreme extreme, int sign) {
    return extreme.offset < 0 ? -sign * INFINITY : (double)((const real *)x)[extreme.offset];
}

#define EXTREME(name, sign) \
    static void name##_result(const struct ph_call *call, const struct ph_walk *elements, int64_t count) { \
        struct extreme best = extreme_find(call->inputs[0], elements, sign, false); \
        (void)count; \
        ((real *)call->outputs[0])[elements->offset[1]] = (real)extreme_value(call->inputs[0], best, sign); \
    } \
    static void name##_share(const struct ph_call *call, const struct ph_walk *elements, int64_t count) { \
        struct extreme best = extreme_find(call->inputs[0], elements, sign, false); \
        if (count == 0) return; \
        ((real *)call->input_gradients[0])[best.offset] += \
            ((const real *)call->output_gradients[0])[elements->offset[1]]; \
    } \
    static void name##_forward(const struct ph_call *call) { each_result(call, name##_result); } \
    static void name##_backward(const struct ph_call *call) { each_result(call, name##_share); }

#define EXTREME_PLACE(name, sign) \
    static void name##_result(const struct ph_call *call, const struct ph_walk *elements, int64_t count) { \
        const struct ph_reduce_attributes *attributes = call->attributes; \
        struct extreme best = extreme_find(call->inputs[0], elements, sign, attributes->last_index); \
        (void)count; \
        ((real *)call->outputs[0])[elements->offset[1]] = (real)best.place; \
    } \
    static void name##_forward(const struct ph_call *call) { each_result(call, name##_result); }

EXTREME(reduce_max, 1)
EXTREME(reduce_min, -1)
EXTREME_PLACE(argmax, 1)
EXTREME_PLACE(argmin, -1)

/* ---- Logarithm of a sum of exponentials -------------------------------------------------------------------------- */

/* The largest element is taken out, so that nothing overflows. */
static void reduce_log_sum_exp_result(const struct ph_call *call, const struct ph_walk *elements, int64_t count) {
    double largest = extreme_value(call->inputs[0], extreme_find(call->inputs[0], elements, 1, false), 1), sum = 0;
    (void)count;
    for (struct ph_walk walk = *elements; walk.left; ph_walk_next(&walk))
        for (int64_t i = 0; i < walk.run; i++) sum += exp(ph_element(call->inputs[0], &walk, 0, i) - largest);
    ((real *)call->outputs[0])[elements->offset[1]] = (real)(isinf(largest) ? largest : largest + log(sum));
}

static void reduce_log_sum_exp_forward(const struct ph_call *call) { each_result(call, reduce_log_sum_exp_result); }
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

REDUCTION(reduce_sum, "ReduceSum", "sum over axes", PH_READS_NOTHING, sums_cases);
REDUCTION(reduce_mean, "ReduceMean", "mean over axes", PH_READS_NOTHING, sums_cases);
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
