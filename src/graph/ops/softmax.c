/* Softmax and its kin over a run of axes, which count as one: before opset 13 ONNX flattens all from `axis` on.
 *
 * The largest element is taken out before the exponentials, so that nothing overflows and their sum is at least 1. */
#include "graph/operations.h"
#include <math.h>

/* The rows of a tensor, outer * stride of them: `count` elements each, `stride` apart. */
struct rows { int64_t outer, count, stride; };

static struct rows rows_of(const struct ph_call *call) {
    const struct ph_softmax_attributes *attributes = call->attributes;
    const struct ph_shape *shape = &call->output_shapes[0];
    struct rows rows = {1, 1, 1};
    for (int i = 0; i < shape->rank; i++)
        *(i < attributes->axis ? &rows.outer : i < attributes->end_axis ? &rows.count : &rows.stride) *= shape->dims[i];
    return rows;
}

/* Where row `index` begins. */
static int64_t row_begin(const struct rows *rows, int64_t index) {
    return index / rows->stride * rows->count * rows->stride + index % rows->stride;
}

static ph_status softmax_infer(struct ph_inference *inference) {
    const struct ph_softmax_attributes *attributes = inference->attributes;
    int rank = inference->inputs[0]->shape.rank;
    if (attributes->axis < 0 || attributes->axis > attributes->end_axis || attributes->end_axis > rank)
        return ph_infer_fail(inference, "axes %lld to %lld do not exist", (long long)attributes->axis,
                             (long long)attributes->end_axis - 1);
    return ph_infer_same(inference);
}

/* Maximum, subtraction, exponential, sum, and one more. */
static double softmax_flops(const struct ph_call *call) { return 5.0 * (double)ph_shape_size(&call->output_shapes[0]); }

/* Place of the largest element of a row, the first of equals. */
static int64_t row_largest(const struct rows *rows, const real *x) {
    int64_t best = 0;
    for (int64_t i = 1; i < rows->count; i++)
        if (x[i * rows->stride] > x[best * rows->stride]) best = i;
    return best;
}

static double row_exponentials(const struct rows *rows, const real *x, double largest) {
    double sum = 0;
    for (int64_t i = 0; i < rows->count; i++) sum += exp(x[i * rows->stride] - largest);
    return sum;
}

static double row_sum(const struct rows *rows, const real *a) {
    double sum = 0;
    for (int64_t i = 0; i < rows->count; i++) sum += a[i * rows->stride];
    return sum;
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

static void softmax_forward(const struct ph_call *call) {
    struct rows rows = rows_of(call);
    for (int64_t r = 0; r < rows.outer * rows.stride && rows.count; r++) {
        const real *x = (const real *)call->inputs[0] + row_begin(&rows, r);
        real *y = (real *)call->outputs[0] + row_begin(&rows, r);
        double largest = x[row_largest(&rows, x) * rows.stride], sum = row_exponentials(&rows, x, largest);
        for (int64_t i = 0; i < rows.count; i++) y[i * rows.stride] = (real)(exp(x[i * rows.stride] - largest) / sum);
    }
}

/* y (dy - sum of y dy). Gradients are counted from that of the largest element: where it is almost 1, the others and what is
 * left of its own are small differences, which the rounding of y would drown. */
static void softmax_backward(const struct ph_call *call) {
    struct rows rows = rows_of(call);
    for (int64_t r = 0; r < rows.outer * rows.stride && rows.count; r++) {
        const real *y = (const real *)call->outputs[0] + row_begin(&rows, r);
        const real *y_gradient = (const real *)call->output_gradients[0] + row_begin(&rows, r);
        real *x_gradient = (real *)call->input_gradients[0] + row_begin(&rows, r);
        double ground = y_gradient[row_largest(&rows, y) * rows.stride], mean = 0;
        for (int64_t i = 0; i < rows.count; i++) mean += y[i * rows.stride] * (y_gradient[i * rows.stride] - ground);
        for (int64_t i = 0; i < rows.count; i++)
            x_gradient[i * rows.stride] += (real)(y[i * rows.stride] * (y_gradient[i * rows.stride] - ground - mean));
    }
}

/* ---- log_softmax ------------------------------------------------------------------------------------------------- */

static void log_softmax_forward(const struct ph_call *call) {
    struct rows rows = rows_of(call);
    for (int64_t r = 0; r < rows.outer * rows.stride && rows.count; r++) {
        const real *x = (const real *)call->inputs[0] + row_begin(&rows, r);
        real *y = (real *)call->outputs[0] + row_begin(&rows, r);
        double largest = x[row_largest(&rows, x) * rows.stride], sum = row_exponentials(&rows, x, largest);
        for (int64_t i = 0; i < rows.count; i++) y[i * rows.stride] = (real)(x[i * rows.stride] - largest - log(sum));
    }
}

static void log_softmax_backward(const struct ph_call *call) {
    struct rows rows = rows_of(call);
    for (int64_t r = 0; r < rows.outer * rows.stride; r++) {
        const real *y = (const real *)call->outputs[0] + row_begin(&rows, r);
        const real *y_gradient = (const real *)call->output_gradients[0] + row_begin(&rows, r);
        real *x_gradient = (real *)call->input_gradients[0] + row_begin(&rows, r);
        double sum = row_sum(&rows, y_gradient);
        for (int64_t i = 0; i < rows.count; i++)
            x_gradient[i * rows.stride] += (real)(y_gradient[i * rows.stride] - exp(y[i * rows.stride]) * sum);
    }
}

/* ---- hardmax ----------------------------------------------------------------------------------------------------- */

static void hardmax_forward(const struct ph_call *call) {
    struct rows rows = rows_of(call);
    for (int64_t r = 0; r < rows.outer * rows.stride && rows.count; r++) {
        const real *x = (const real *)call->inputs[0] + row_begin(&rows, r);
        real *y = (real *)call->outputs[0] + row_begin(&rows, r);
        int64_t largest = row_largest(&rows, x);
        for (int64_t i = 0; i < rows.count; i++) y[i * rows.stride] = i == largest;
    }
}

/* ---- ONNX and descriptors ---------------------------------------------------------------------------------------- */

static ph_status softmax_read(struct ph_import *import) {
    struct ph_softmax_attributes attributes;
    const struct ph_value *x;
    bool flattens = import->version < 13;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_axis(import, "axis", flattens ? 1 : -1, x->shape.rank, &attributes.axis));
    attributes.end_axis = flattens ? x->shape.rank : attributes.axis + 1;
    return ph_import_append(import, &attributes, 1);
}

#define AXES(begin, end) &(const struct ph_softmax_attributes){begin, end}

static const struct ph_case softmax_cases[] = {
    {"channels", AXES(1, 2), .inputs = {{PH_SHAPE(2, 3, 2, 2), -2, 2}}},
    {"all but the batch", AXES(1, 4), .inputs = {{PH_SHAPE(2, 3, 1, 2), -2, 2}}},
    {"last axis, far apart", AXES(1, 2), .inputs = {{PH_SHAPE(3, 5), -30, 30}}},
    {"large", AXES(0, 1), .inputs = {{PH_SHAPE(4), 999, 1001}}},
    {NULL}};

#define DESCRIPTOR(function, type, text, ...) \
    PH_OPERATION(function) = { \
        .name = #function, .help = text, .attributes_size = sizeof(struct ph_softmax_attributes), \
        .minimum_inputs = 1, .maximum_inputs = 1, \
        .infer = softmax_infer, .forward = function##_forward, .flops = softmax_flops, \
        .importers = (const struct ph_importer[]){{type, softmax_read}, {NULL}}, .cases = softmax_cases, __VA_ARGS__}

#define SMOOTH(function, type, text) \
    DESCRIPTOR(function, type, text, .differentiable = 1, .backward_reads = PH_READS_OUTPUTS, \
               .backward = function##_backward)

SMOOTH(softmax, "Softmax", "exponentials that sum to 1 along axes");
SMOOTH(log_softmax, "LogSoftmax", "logarithm of softmax");
DESCRIPTOR(hardmax, "Hardmax", "1 at the largest element along axes, 0 elsewhere");
