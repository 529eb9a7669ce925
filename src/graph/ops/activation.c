/* Activation functions, element by element: value and derivative of each in a form that neither overflows nor cancels.
 *
 * Definitions: https://onnx.ai/onnx/operators/. At a kink the derivative is that of the flat side: a rectifier at
 * exactly 0 passes nothing.
 *
 * The redirected forms are those of lucid (misc/redirected_relu_grad.py): a unit that is silent on the start picture
 * has no gradient, so where an item of the batch would get none at all, it goes to the inactive elements that it would
 * move towards activity. */
#include "graph/ops/elementwise.h"
#include <math.h>
#include <string.h>

/* ---- Functions --------------------------------------------------------------------------------------------------- */

#define SQRT_HALF 0.70710678118654752440
#define INVERSE_SQRT_2PI 0.39894228040143267794

static double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

static double clamp(double x, double low, double high) {
    if (x < low) x = low;
    return x > high ? high : x;
}

/* tanh(log(1 + e)) = n / (n + 2) with e = exp(x) and n = e (e + 2), which neither cancels nor, up to exp(300), overflows;
 * there it has long been 1. */
static double mish(double x) {
    double e = exp(x < 300 ? x : 300), n = e * (e + 2);
    return x * (n / (n + 2));
}

static double mish_slope(double x) {
    double e = exp(x < 300 ? x : 300), n = e * (e + 2);
    return n / (n + 2) + x * (4 * e * (e + 1) / (n + 2) / (n + 2));
}

static double silu_slope(double x) {
    double s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

/* Half of gelu's tanh approximation is a sigmoid of twice this. Hendrycks and Gimpel, arXiv:1606.08415. */
static double gelu_argument(double x) { return 4 * INVERSE_SQRT_2PI * (x + 0.044715 * x * x * x); }
static double gelu_argument_slope(double x) { return 4 * INVERSE_SQRT_2PI * (1 + 3 * 0.044715 * x * x); }

static double gelu(double x, bool approximate) {
    return x * (approximate ? sigmoid(gelu_argument(x)) : 0.5 * erfc(-x * SQRT_HALF));
}

static double gelu_slope(double x, bool approximate) {
    if (!approximate) return 0.5 * erfc(-x * SQRT_HALF) + x * INVERSE_SQRT_2PI * exp(-0.5 * x * x);
    double s = sigmoid(gelu_argument(x));
    return s + x * s * (1 - s) * gelu_argument_slope(x);
}

/* `x <= 0 ? 0 : x`, not the other way round: a NaN stays one. */
PH_UNARY_FORWARD(relu, x <= 0 ? 0 : x)
PH_UNARY_BACKWARD(relu, OUTPUTS, y > 0)

PH_UNARY_FORWARD(leaky_relu, x < 0 ? a->alpha * x : x)
PH_UNARY_BACKWARD(leaky_relu, INPUTS, x > 0 ? 1 : a->alpha)

PH_UNARY_FORWARD(clip, clamp(x, a->low, a->high))
PH_UNARY_BACKWARD(clip, INPUTS, x > a->low && x < a->high)

PH_UNARY_FORWARD(sigmoid, sigmoid(x))
PH_UNARY_BACKWARD(sigmoid, OUTPUTS, y * (1 - y))

PH_UNARY_FORWARD(hard_sigmoid, clamp(a->alpha * x + a->beta, 0, 1))
PH_UNARY_BACKWARD(hard_sigmoid, OUTPUTS, y > 0 && y < 1 ? a->alpha : 0)

PH_UNARY_FORWARD(hard_swish, x * clamp(x / 6 + 0.5, 0, 1))
PH_UNARY_BACKWARD(hard_swish, INPUTS, x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5)

PH_UNARY_FORWARD(silu, x * sigmoid(x))
PH_UNARY_BACKWARD(silu, INPUTS, silu_slope(x))

PH_UNARY_FORWARD(mish, mish(x))
PH_UNARY_BACKWARD(mish, INPUTS, mish_slope(x))

PH_UNARY_FORWARD(tanh, tanh(x))
PH_UNARY_BACKWARD(tanh, INPUTS, 1 / (cosh(x) * cosh(x)))

PH_UNARY_FORWARD(elu, x > 0 ? x : a->alpha * expm1(x))
PH_UNARY_BACKWARD(elu, INPUTS, x > 0 ? 1 : a->alpha * exp(x))

PH_UNARY_FORWARD(selu, a->beta * (x > 0 ? x : a->alpha * expm1(x)))
PH_UNARY_BACKWARD(selu, INPUTS, a->beta * (x > 0 ? 1 : a->alpha * exp(x)))

PH_UNARY_FORWARD(celu, x > 0 ? x : a->alpha * expm1(x / a->alpha))
PH_UNARY_BACKWARD(celu, INPUTS, x > 0 ? 1 : exp(x / a->alpha))

PH_UNARY_FORWARD(gelu, gelu(x, a->tanh))
PH_UNARY_BACKWARD(gelu, INPUTS, gelu_slope(x, a->tanh))

PH_UNARY_FORWARD(softplus, softplus(x))
PH_UNARY_BACKWARD(softplus, INPUTS, sigmoid(x))

PH_UNARY_FORWARD(softsign, x / (1 + fabs(x)))
PH_UNARY_BACKWARD(softsign, INPUTS, 1 / ((1 + fabs(x)) * (1 + fabs(x))))

PH_UNARY_FORWARD(thresholded_relu, x <= a->alpha ? 0 : x)
PH_UNARY_BACKWARD(thresholded_relu, INPUTS, x > a->alpha)

PH_UNARY_FORWARD(shrink, x < -a->alpha ? x + a->beta : x > a->alpha ? x - a->beta : 0)
PH_UNARY_BACKWARD(shrink, INPUTS, x < -a->alpha || x > a->alpha)

/* ---- Redirected forms -------------------------------------------------------------------------------------------- */

static void redirected_backward(const struct ph_call *call, double low, double high) {
    const struct ph_shape *shape = call->input_shapes[0];
    const real *x = call->inputs[0], *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    int64_t items = shape->rank ? shape->dims[0] : 1, size = items ? ph_shape_size(shape) / items : 0;
    for (int64_t n = 0; n < items; n++, x += size, y_gradient += size, x_gradient += size) {
        bool alive = false;
        for (int64_t i = 0; i < size && !alive; i++) alive = x[i] > low && x[i] < high && y_gradient[i] != 0;
        for (int64_t i = 0; i < size; i++) {
            /* The loss falls against its gradient: a negative one asks the element to rise. */
            bool wakes = (x[i] < low && y_gradient[i] < 0) || (x[i] > high && y_gradient[i] > 0);
            if (alive ? x[i] > low && x[i] < high : wakes) x_gradient[i] += y_gradient[i];
        }
    }
}

static void redirected_relu_backward(const struct ph_call *call) { redirected_backward(call, 0, HUGE_VAL); }

static void redirected_clip_backward(const struct ph_call *call) {
    const struct ph_activation_attributes *a = call->attributes;
    redirected_backward(call, a->low, a->high);
}

/* ---- Other rules of propagation ----------------------------------------------------------------------------------
 * Guided backpropagation (Springenberg, Dosovitskiy, Brox, Riedmiller 2014, arXiv:1412.6806) and the deconvolutional
 * network (Zeiler, Fergus 2013, arXiv:1311.2901) keep of a gradient only what raises: here, where the loss falls. */

static void ruled_clip_backward(const struct ph_call *call) {
    const struct ph_activation_attributes *a = call->attributes;
    const real *x = call->inputs[0], *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    for (int64_t i = 0; i < ph_shape_size(call->input_shapes[0]); i++) {
        bool active = x[i] > a->low && x[i] < a->high, raises = y_gradient[i] < 0;
        bool passes = a->rule == PH_RULE_PLAIN ? active : raises && (active || a->rule == PH_RULE_DECONVOLUTION);
        if (passes) x_gradient[i] += y_gradient[i];
    }
}

/* ---- prelu ------------------------------------------------------------------------------------------------------- */

PH_BINARY_FORWARD(prelu, a < 0 ? a * b : a)
PH_BINARY_BACKWARD(prelu, INPUTS, a > 0 ? 1 : b, a < 0 ? a : 0)

static ph_status prelu_infer(struct ph_inference *inference) {
    const struct ph_shape *x = &inference->inputs[0]->shape;
    struct ph_shape both;
    if (!ph_shape_broadcast(x, &inference->inputs[1]->shape, &both) || !ph_shape_equal(x, &both))
        return ph_infer_fail(inference, "the slope must broadcast to the shape of the input");
    inference->shapes[0] = *x;
    return PH_OK;
}

/* ---- ONNX -------------------------------------------------------------------------------------------------------- */

static ph_status alpha_read(struct ph_import *import, double alpha, double beta, const char *beta_name) {
    struct ph_activation_attributes attributes = {.alpha = ph_import_float(import, "alpha", alpha)};
    if (beta_name) attributes.beta = ph_import_float(import, beta_name, beta);
    return ph_import_append(import, &attributes, 1);
}

static ph_status leaky_relu_read(struct ph_import *import) { return alpha_read(import, 0.01, 0, NULL); }
static ph_status elu_read(struct ph_import *import) { return alpha_read(import, 1, 0, NULL); }
static ph_status celu_read(struct ph_import *import) { return alpha_read(import, 1, 0, NULL); }
static ph_status thresholded_relu_read(struct ph_import *import) { return alpha_read(import, 1, 0, NULL); }
static ph_status hard_sigmoid_read(struct ph_import *import) { return alpha_read(import, 0.2, 0.5, "beta"); }
static ph_status selu_read(struct ph_import *import) {
    return alpha_read(import, 1.67326319217681884765625, 1.05070102214813232421875, "gamma");
}

static ph_status shrink_read(struct ph_import *import) {
    struct ph_activation_attributes attributes = {
        .alpha = ph_import_float(import, "lambd", 0.5), .beta = ph_import_float(import, "bias", 0)};
    return ph_import_append(import, &attributes, 1);
}

static ph_status gelu_read(struct ph_import *import) {
    char approximate[8];
    ph_import_string(import, "approximate", "none", approximate, sizeof approximate);
    struct ph_activation_attributes attributes = {.tanh = !strcmp(approximate, "tanh")};
    if (!attributes.tanh && strcmp(approximate, "none"))
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "approximate '%s'; none or tanh expected", approximate);
    return ph_import_append(import, &attributes, 1);
}

/* A bound of Clip that is constant goes into *bound; *computed otherwise. */
static ph_status clip_bound(struct ph_import *import, int index, const char *name, double *bound, bool *computed) {
    const struct ph_value *value = ph_import_value(import, index);
    int count;
    if (!value) return PH_OK;
    if (!value->data) {
        *computed = true;
        return PH_OK;
    }
    ph_status status = ph_graph_constant_floats(import->graph, import->inputs[index], name, bound, 1, &count);
    if (!status && count != 1) status = ph_fail(import->graph->context, PH_ERROR_SHAPE, "%s is empty", name);
    if (status) ph_fail_prefix(import->graph->context, "node '%s' (%s)", import->name, import->type);
    return status;
}

/* Bounds that the network computes: min(max(x, low), high). */
static ph_status clip_computed(struct ph_import *import) {
    struct ph_import high = *import;
    int inputs[] = {import->inputs[0], ph_import_input(import, 1)};
    if (inputs[1] != PH_ABSENT && ph_import_input(import, 2) != PH_ABSENT)
        PH_TRY(ph_graph_add(import->graph, &ph_operation_max, NULL, NULL, inputs, 2, &inputs[0]));
    bool low_only = ph_import_input(import, 2) == PH_ABSENT;
    if (!low_only) inputs[1] = import->inputs[2];
    high.operation = low_only ? &ph_operation_max : &ph_operation_min;
    high.inputs = inputs;
    high.input_count = 2;
    return ph_import_append(&high, NULL, 2);
}

/* The bounds are attributes before opset 11 and inputs after it. */
static ph_status clip_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    struct ph_activation_attributes attributes = {
        .low = ph_import_float(import, "min", -HUGE_VAL), .high = ph_import_float(import, "max", HUGE_VAL)};
    bool computed = false;
    PH_TRY(clip_bound(import, 1, "min", &attributes.low, &computed));
    PH_TRY(clip_bound(import, 2, "max", &attributes.high, &computed));
    return computed ? clip_computed(import) : ph_import_append(import, &attributes, 1);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

/* Grids with an even number of points around 0, so that none lies on a kink there. */
#define PICTURE(low, high) .inputs = {{PH_SHAPE(2, 3, 2, 4), low, high}}
#define ROW(low, high) .inputs = {{PH_SHAPE(10), low, high}}
#define ATTRIBUTES(...) &(const struct ph_activation_attributes){__VA_ARGS__}

#define ACTIVATION_WITH(function, sum, type, reader, size, reads, list) \
    PH_OPERATION(function) = { \
        .name = #function, .help = sum, .attributes_size = size, .minimum_inputs = 1, .maximum_inputs = 1, \
        .differentiable = 1, .backward_reads = PH_READS_##reads, \
        .infer = ph_infer_same, .forward = function##_forward, .backward = function##_backward, \
        .importers = (const struct ph_importer[]){{type, reader}, {NULL}}, .cases = list}

/* Without attributes, and with: then the test cases follow. */
#define ACTIVATION(function, sum, type, reads) ACTIVATION_WITH(function, sum, type, NULL, 0, reads, plain_cases)
#define ACTIVATION_ATTRIBUTES(function, sum, type, reader, reads, ...) \
    static const struct ph_case function##_cases[] = {__VA_ARGS__, {NULL}}; \
    ACTIVATION_WITH(function, sum, type, reader, sizeof(struct ph_activation_attributes), reads, function##_cases)

static const struct ph_case plain_cases[] = {
    {"picture", NULL, PICTURE(-3, 3)}, {"row, far from 0", NULL, ROW(-40, 40)}, {NULL}};

ACTIVATION(relu, "max(0, x)", "Relu", OUTPUTS);
ACTIVATION(sigmoid, "1 / (1 + exp(-x))", "Sigmoid", OUTPUTS);
ACTIVATION(hard_swish, "x clip(x / 6 + 1/2, 0, 1)", "HardSwish", INPUTS);
ACTIVATION(silu, "x sigmoid(x)", NULL, INPUTS);
ACTIVATION(mish, "x tanh(softplus(x))", "Mish", INPUTS);
ACTIVATION(tanh, "hyperbolic tangent", "Tanh", INPUTS);
ACTIVATION(softplus, "log(1 + exp(x))", "Softplus", INPUTS);
ACTIVATION(softsign, "x / (1 + |x|)", "Softsign", INPUTS);

ACTIVATION_ATTRIBUTES(leaky_relu, "x, or alpha x where negative", "LeakyRelu", leaky_relu_read, INPUTS,
    {"slope 0.1", ATTRIBUTES(.alpha = 0.1), PICTURE(-3, 3)}, {"falling", ATTRIBUTES(.alpha = -0.5), ROW(-1, 1)});
ACTIVATION_ATTRIBUTES(elu, "x, or alpha (exp(x) - 1) where negative", "Elu", elu_read, INPUTS,
    {"alpha 1", ATTRIBUTES(.alpha = 1), PICTURE(-3, 3)},
    {"alpha 0.3, far from 0", ATTRIBUTES(.alpha = 0.3), ROW(-40, 40)});
ACTIVATION_ATTRIBUTES(selu, "elu scaled by gamma", "Selu", selu_read, INPUTS,
    {"usual", ATTRIBUTES(.alpha = 1.67326319, .beta = 1.05070102), PICTURE(-3, 3)},
    {"other", ATTRIBUTES(.alpha = 0.5, .beta = 2), ROW(-10, 10)});
ACTIVATION_ATTRIBUTES(celu, "x, or alpha (exp(x / alpha) - 1) where negative", "Celu", celu_read, INPUTS,
    {"alpha 1", ATTRIBUTES(.alpha = 1), PICTURE(-3, 3)}, {"alpha 2", ATTRIBUTES(.alpha = 2), ROW(-10, 10)});
ACTIVATION_ATTRIBUTES(gelu, "x times the normal distribution function of x, or its tanh approximation", "Gelu",
    gelu_read, INPUTS, {"erf", ATTRIBUTES(.tanh = false), PICTURE(-3, 3)},
    {"tanh", ATTRIBUTES(.tanh = true), PICTURE(-3, 3)},
    {"erf, far from 0", ATTRIBUTES(.tanh = false), ROW(-40, 40)},
    {"tanh, far from 0", ATTRIBUTES(.tanh = true), ROW(-40, 40)});
ACTIVATION_ATTRIBUTES(hard_sigmoid, "clip(alpha x + beta, 0, 1)", "HardSigmoid", hard_sigmoid_read, OUTPUTS,
    {"usual", ATTRIBUTES(.alpha = 0.2, .beta = 0.5), PICTURE(-5, 5)},
    {"PyTorch's", ATTRIBUTES(.alpha = 1.0 / 6, .beta = 0.5), ROW(-4, 4)});
ACTIVATION_ATTRIBUTES(clip, "x kept within [low, high]", "Clip", clip_read, INPUTS,
    {"relu6", ATTRIBUTES(.low = 0, .high = 6), PICTURE(-10, 10)},
    {"no upper bound", ATTRIBUTES(.low = -0.5, .high = HUGE_VAL), ROW(-1.2, 1.2)},
    {"no lower bound", ATTRIBUTES(.low = -HUGE_VAL, .high = 0.5), ROW(-1.2, 1.2)});
ACTIVATION_ATTRIBUTES(thresholded_relu, "x where above alpha, else 0", "ThresholdedRelu", thresholded_relu_read, INPUTS,
    {"alpha 1", ATTRIBUTES(.alpha = 1), PICTURE(-3, 3)}, {"alpha 2", ATTRIBUTES(.alpha = 2), ROW(-3, 5)});
ACTIVATION_ATTRIBUTES(shrink, "x moved by beta towards 0 where |x| > alpha, else 0", "Shrink", shrink_read, INPUTS,
    {"hard", ATTRIBUTES(.alpha = 1), PICTURE(-3, 3)}, {"soft", ATTRIBUTES(.alpha = 1.4, .beta = 1.4), ROW(-3, 3)});

/* In every item something passes, so that the plain rule holds. */
static const struct ph_case redirected_relu_cases[] = {
    {"two items", NULL, PICTURE(-3, 3)}, {"one item", NULL, .inputs = {{PH_SHAPE(1, 10), -1, 1}}}, {NULL}};

PH_OPERATION(redirected_relu) = {
    .name = "redirected_relu",
    .help = "relu whose gradient wakes the silent units of an item that would get none",
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1, .backward_reads = PH_READS_INPUTS,
    .infer = ph_infer_same, .forward = relu_forward, .backward = redirected_relu_backward,
    .cases = redirected_relu_cases,
};

static const struct ph_case redirected_clip_cases[] = {
    {"relu6, two items", ATTRIBUTES(.low = 0, .high = 6), PICTURE(-10, 10)},
    {"one item", ATTRIBUTES(.low = -0.5, .high = 0.5), .inputs = {{PH_SHAPE(1, 10), -1.2, 1.2}}},
    {NULL}};

PH_OPERATION(redirected_clip) = {
    .name = "redirected_clip",
    .help = "clip whose gradient wakes the silent or saturated units of an item that would get none",
    .attributes_size = sizeof(struct ph_activation_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1, .backward_reads = PH_READS_INPUTS,
    .infer = ph_infer_same, .forward = clip_forward, .backward = redirected_clip_backward,
    .cases = redirected_clip_cases,
};

static const struct ph_case ruled_clip_cases[] = {
    {"plain rule, relu", ATTRIBUTES(.low = 0, .high = HUGE_VAL), PICTURE(-3, 3)},
    {"plain rule, relu6", ATTRIBUTES(.low = 0, .high = 6), PICTURE(-10, 10)},
    {NULL}};

PH_OPERATION(ruled_clip) = {
    .name = "ruled_clip",
    .help = "clip or relu whose gradient passes by the rule of guided backpropagation or of deconvolution",
    .attributes_size = sizeof(struct ph_activation_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1, .backward_reads = PH_READS_INPUTS,
    .infer = ph_infer_same, .forward = clip_forward, .backward = ruled_clip_backward,
    .cases = ruled_clip_cases,
};

/* Before opset 7 the slope is [C], one for each channel whatever the rank of x. */
static ph_status prelu_read(struct ph_import *import) {
    const struct ph_value *x, *slope;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_require(import, 1, &slope));
    if (import->version >= 7 || slope->shape.rank != 1 || x->shape.rank < 3) return ph_import_append(import, NULL, 2);
    struct ph_shape_attributes attributes = {slope->shape};
    while (attributes.shape.rank < x->shape.rank - 1) attributes.shape.dims[attributes.shape.rank++] = 1;
    int inputs[] = {import->inputs[0], PH_ABSENT};
    PH_TRY(ph_graph_add(import->graph, &ph_operation_reshape, NULL, &attributes, &import->inputs[1], 1, &inputs[1]));
    return ph_graph_add_node(import->graph, import->operation, import->name, NULL, inputs, 2, import->output_names,
                             import->output_count, import->outputs);
}

static const struct ph_case prelu_cases[] = {
    {"slope for each channel", .inputs = {{PH_SHAPE(2, 3, 2, 4), -2, 2}, {PH_SHAPE(3, 1, 1), -0.5, 1}}},
    {"slope for each element", .inputs = {{PH_SHAPE(2, 4), -2, 2}, {PH_SHAPE(2, 4), 0, 1}}},
    {"one slope", .inputs = {{PH_SHAPE(2, 5), -2, 2}, {PH_SCALAR, 0, 0.5}}},
    {NULL}};

PH_OPERATION(prelu) = {
    .name = "prelu",
    .help = "x, or slope times x where negative; the slope broadcasts to x",
    .minimum_inputs = 2, .maximum_inputs = 2,
    .differentiable = 3, .backward_reads = PH_READS_INPUTS,
    .infer = prelu_infer, .forward = prelu_forward, .backward = prelu_backward,
    .importers = (const struct ph_importer[]){{"PRelu", prelu_read}, {NULL}},
    .cases = prelu_cases,
};
