/* Functions of one element that are not activations: elementary mathematics, rounding, logic.
 *
 * Definitions: https://onnx.ai/onnx/operators/. Each is a line: name, ONNX type, help, the range of its test cases,
 * what its derivative is written in (INPUTS: x, OUTPUTS: y), value, derivative. */
#include "graph/ops/elementwise.h"
#include <math.h>

#define TWO_OVER_SQRT_PI 1.12837916709551257390

static double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

static ph_status truth_infer(struct ph_inference *inference) {
    inference->types[0] = PH_BOOL;
    return ph_infer_same(inference);
}

#define DESCRIPTOR(function, type, sum, low, high, shape_rule, ...) \
    static const struct ph_case function##_cases[] = { \
        {"picture", .inputs = {{PH_SHAPE(2, 3, 2, 4), low, high}}}, \
        {"row", .inputs = {{PH_SHAPE(10), low, high}}}, \
        {NULL}}; \
    PH_OPERATION(function) = { \
        .name = #function, .help = sum, .minimum_inputs = 1, .maximum_inputs = 1, \
        .infer = shape_rule, .forward = function##_forward, \
        .importers = (const struct ph_importer[]){{type, NULL}, {NULL}}, .cases = function##_cases, __VA_ARGS__}

#define SMOOTH(function, type, sum, low, high, reads, value, derivative) \
    PH_UNARY_FORWARD(function, value) \
    PH_UNARY_BACKWARD(function, reads, derivative) \
    DESCRIPTOR(function, type, sum, low, high, ph_infer_same, .differentiable = 1, .backward_reads = PH_READS_##reads, \
               .backward = function##_backward)

/* Constant in pieces: no gradient flows through. */
#define STEP(function, type, sum, value) \
    PH_UNARY_FORWARD(function, value) \
    DESCRIPTOR(function, type, sum, -3.3, 3.3, ph_infer_same)

#define TRUTH(function, type, sum, value) \
    PH_UNARY_FORWARD(function, value) \
    DESCRIPTOR(function, type, sum, -3, 3, truth_infer)

SMOOTH(erf, "Erf", "error function", -3, 3, INPUTS, erf(x), TWO_OVER_SQRT_PI * exp(-x * x));
SMOOTH(exp, "Exp", "e to the power of x", -3, 3, OUTPUTS, exp(x), y);
SMOOTH(log, "Log", "natural logarithm", 0.1, 4, INPUTS, log(x), 1 / x);
SMOOTH(sqrt, "Sqrt", "square root", 0.1, 4, OUTPUTS, sqrt(x), 0.5 / y);
SMOOTH(abs, "Abs", "absolute value", -3, 3, INPUTS, fabs(x), sign(x));
SMOOTH(neg, "Neg", "-x", -3, 3, NOTHING, -x, -1);
SMOOTH(reciprocal, "Reciprocal", "1 / x", 0.2, 3, OUTPUTS, 1 / x, -y * y);
SMOOTH(sin, "Sin", "sine", -4, 4, INPUTS, sin(x), cos(x));
SMOOTH(cos, "Cos", "cosine", -4, 4, INPUTS, cos(x), -sin(x));
SMOOTH(tan, "Tan", "tangent", -1.4, 1.4, OUTPUTS, tan(x), 1 + y * y);
SMOOTH(asin, "Asin", "inverse sine", -0.95, 0.95, INPUTS, asin(x), 1 / sqrt((1 - x) * (1 + x)));
SMOOTH(acos, "Acos", "inverse cosine", -0.95, 0.95, INPUTS, acos(x), -1 / sqrt((1 - x) * (1 + x)));
SMOOTH(atan, "Atan", "inverse tangent", -4, 4, INPUTS, atan(x), 1 / (1 + x * x));
SMOOTH(sinh, "Sinh", "hyperbolic sine", -3, 3, INPUTS, sinh(x), cosh(x));
SMOOTH(cosh, "Cosh", "hyperbolic cosine", -3, 3, INPUTS, cosh(x), sinh(x));
SMOOTH(asinh, "Asinh", "inverse hyperbolic sine", -4, 4, INPUTS, asinh(x), 1 / sqrt(x * x + 1));
SMOOTH(acosh, "Acosh", "inverse hyperbolic cosine", 1.1, 4, INPUTS, acosh(x), 1 / sqrt((x - 1) * (x + 1)));
SMOOTH(atanh, "Atanh", "inverse hyperbolic tangent", -0.95, 0.95, INPUTS, atanh(x), 1 / ((1 - x) * (1 + x)));

STEP(floor, "Floor", "largest integer not above x", floor(x));
STEP(ceil, "Ceil", "smallest integer not below x", ceil(x));
STEP(round, "Round", "nearest integer, halves to the even one", rint(x));
STEP(sign, "Sign", "-1, 0 or 1", sign(x));

TRUTH(not, "Not", "whether x is 0", x == 0);
TRUTH(isnan, "IsNaN", "whether x is not a number", isnan(x));
