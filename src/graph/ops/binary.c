/* Functions of two or more tensors, element by element, broadcast to each other by NumPy's rule: arithmetic,
 * comparison, logic, selection.
 *
 * Definitions: https://onnx.ai/onnx/operators/. Integers are computed in floating point like everything else; their
 * type decides how quotients and powers round. Among equal operands of min and max the first takes the gradient. */
#include "graph/ops/elementwise.h"
#include <math.h>
#include <string.h>

/* ---- Shape rules ------------------------------------------------------------------------------------------------- */

static ph_status broadcast_infer(struct ph_inference *inference) {
    struct ph_shape shape = PH_SCALAR;
    for (int i = 0; i < inference->input_count; i++) {
        if (!inference->inputs[i]) return ph_infer_fail(inference, "input %d is missing", i);
        if (!ph_shape_broadcast(&shape, &inference->inputs[i]->shape, &shape))
            return ph_infer_fail(inference, "the shapes do not broadcast to each other");
    }
    inference->shapes[0] = shape;
    return PH_OK;
}

static ph_status truth_infer(struct ph_inference *inference) {
    inference->types[0] = PH_BOOL;
    return broadcast_infer(inference);
}

/* ---- Two operands ------------------------------------------------------------------------------------------------ */

/* Python's remainder: it has the divisor's sign. */
static double modulo(double a, double b) {
    double rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

PH_BINARY_FORWARD(add, a + b)
PH_BINARY_BACKWARD(add, NOTHING, 1, 1)

PH_BINARY_FORWARD(sub, a - b)
PH_BINARY_BACKWARD(sub, NOTHING, 1, -1)

PH_BINARY_FORWARD(mul, a * b)
PH_BINARY_BACKWARD(mul, INPUTS, b, a)

PH_BINARY_FORWARD(div, integer ? trunc(a / b) : a / b)
PH_BINARY_BACKWARD(div, INPUTS, 1 / b, -a / (b * b))

/* Powers of 0 and of negative numbers have a gradient by the base alone. */
PH_BINARY_FORWARD(pow, integer ? trunc(pow(a, b)) : pow(a, b))
PH_BINARY_BACKWARD(pow, INPUTS, b == 0 ? 0 : b * pow(a, b - 1), a > 0 ? log(a) * pow(a, b) : 0)

PH_BINARY_FORWARD(mod, modulo(a, b))
PH_BINARY_BACKWARD(mod, INPUTS, 1, -floor(a / b))

PH_BINARY_FORWARD(fmod, fmod(a, b))
PH_BINARY_BACKWARD(fmod, INPUTS, 1, -trunc(a / b))

/* A NaN on either side stays one. */
PH_BINARY_FORWARD(min, a <= b || isnan(a) ? a : b)
PH_BINARY_BACKWARD(min, INPUTS, a <= b, b < a)

PH_BINARY_FORWARD(max, a >= b || isnan(a) ? a : b)
PH_BINARY_BACKWARD(max, INPUTS, a >= b, b > a)

PH_BINARY_FORWARD(equal, a == b)
PH_BINARY_FORWARD(greater, a > b)
PH_BINARY_FORWARD(less, a < b)
PH_BINARY_FORWARD(greater_or_equal, a >= b)
PH_BINARY_FORWARD(less_or_equal, a <= b)
PH_BINARY_FORWARD(and, a != 0 && b != 0)
PH_BINARY_FORWARD(or, a != 0 || b != 0)
PH_BINARY_FORWARD(xor, (a != 0) != (b != 0))

/* ---- Any number of operands -------------------------------------------------------------------------------------- */

static void sum_forward(const struct ph_call *call) {
    memset(call->outputs[0], 0, (size_t)ph_shape_size(&call->output_shapes[0]) * sizeof(real));
    for (int k = 0; k < call->input_count; k++) {
        struct ph_walk walk = ph_broadcast_begin(call, k, 1);
        for (; walk.left; ph_walk_next(&walk)) {
            real *y = (real *)call->outputs[0] + walk.offset[0];
            for (int64_t i = 0; i < walk.run; i++) y[i] += (real)ph_element(call->inputs[k], &walk, 1, i);
        }
    }
}

static void mean_forward(const struct ph_call *call) {
    sum_forward(call);
    real *y = call->outputs[0];
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++) y[i] /= (real)call->input_count;
}

static double sum_share(const struct ph_call *call, const struct ph_walk *walk, int64_t i) {
    return ph_element(call->output_gradients[0], walk, 0, i);
}

static double mean_share(const struct ph_call *call, const struct ph_walk *walk, int64_t i) {
    return ph_element(call->output_gradients[0], walk, 0, i) / call->input_count;
}

static void sum_backward(const struct ph_call *call) {
    for (int k = 0; k < call->input_count; k++) ph_broadcast_backward(call, k, 1, k, sum_share);
}

static void mean_backward(const struct ph_call *call) {
    for (int k = 0; k < call->input_count; k++) ph_broadcast_backward(call, k, 1, k, mean_share);
}

static double operands_flops(const struct ph_call *call) {
    return (double)ph_shape_size(&call->output_shapes[0]) * call->input_count;
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

static ph_status where_infer(struct ph_inference *inference) {
    inference->types[0] = inference->inputs[1]->type;
    return broadcast_infer(inference);
}

static void where_forward(const struct ph_call *call) {
    struct ph_walk walk = ph_broadcast_begin(call, 0, 3);
    for (; walk.left; ph_walk_next(&walk)) {
        real *y = (real *)call->outputs[0] + walk.offset[0];
        for (int64_t i = 0; i < walk.run; i++) {
            int taken = ph_element(call->inputs[0], &walk, 1, i) != 0 ? 1 : 2;
            y[i] = (real)ph_element(call->inputs[taken], &walk, 1 + taken, i);
        }
    }
}

static double where_share_a(const struct ph_call *call, const struct ph_walk *walk, int64_t i) {
    return ph_element(call->inputs[0], walk, 1, i) != 0 ? ph_element(call->output_gradients[0], walk, 0, i) : 0;
}

static double where_share_b(const struct ph_call *call, const struct ph_walk *walk, int64_t i) {
    return ph_element(call->inputs[0], walk, 1, i) != 0 ? 0 : ph_element(call->output_gradients[0], walk, 0, i);
}

static void where_backward(const struct ph_call *call) {
    ph_broadcast_backward(call, 0, 3, 1, where_share_a);
    ph_broadcast_backward(call, 0, 3, 2, where_share_b);
}

/* ---- ONNX -------------------------------------------------------------------------------------------------------- */

/* Min and Max of any number of operands, two at a time from the left; of one, it itself. */
static ph_status chain_read(struct ph_import *import) {
    if (import->input_count < 2) return ph_import_append_value(import, ph_import_input(import, 0));
    struct ph_import last = *import;
    int operands[] = {import->inputs[0], PH_ABSENT};
    for (int i = 1; i < import->input_count - 1; i++) {
        operands[1] = import->inputs[i];
        PH_TRY(ph_graph_add(import->graph, import->operation, NULL, NULL, operands, 2, &operands[0]));
    }
    operands[1] = import->inputs[import->input_count - 1];
    last.inputs = operands;
    last.input_count = 2;
    return ph_import_append(&last, NULL, 2);
}

static ph_status mod_read(struct ph_import *import) {
    struct ph_import as = *import;
    if (ph_import_int(import, "fmod", 0)) as.operation = &ph_operation_fmod;
    return ph_import_append(&as, NULL, 2);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

/* Broadcasting either way and both; the last arguments are further cases. */
#define CASES(function, a_low, a_high, b_low, b_high, ...) \
    static const struct ph_case function##_cases[] = { \
        {"same shape", .inputs = {{PH_SHAPE(2, 3, 4), a_low, a_high}, {PH_SHAPE(2, 3, 4), b_low, b_high}}}, \
        {"b for each channel", .inputs = {{PH_SHAPE(2, 3, 2, 4), a_low, a_high}, {PH_SHAPE(3, 1, 1), b_low, b_high}}}, \
        {"a for each row", .inputs = {{PH_SHAPE(3, 1), a_low, a_high}, {PH_SHAPE(2, 3, 4), b_low, b_high}}}, \
        {"both broadcast", .inputs = {{PH_SHAPE(2, 1, 4), a_low, a_high}, {PH_SHAPE(3, 1), b_low, b_high}}}, \
        {"scalar b", .inputs = {{PH_SHAPE(2, 5), a_low, a_high}, {PH_SCALAR, b_low, b_high}}}, \
        __VA_ARGS__ {NULL}};

#define DESCRIPTOR(function, type, reader, sum, shape_rule, ...) \
    PH_OPERATION(function) = { \
        .name = #function, .help = sum, .minimum_inputs = 2, .maximum_inputs = 2, \
        .infer = shape_rule, .forward = function##_forward, \
        .importers = (const struct ph_importer[]){{type, reader}, {NULL}}, .cases = function##_cases, __VA_ARGS__}

#define ARITHMETIC(function, type, reader, sum, reads) \
    DESCRIPTOR(function, type, reader, sum, broadcast_infer, .differentiable = 3, .backward_reads = PH_READS_##reads, \
               .backward = function##_backward)

CASES(add, -1, 1, -1, 1)
CASES(sub, -1, 1, -1, 1)
CASES(mul, -1, 1, -1, 1)
CASES(div, -1, 1, 0.5, 2)
CASES(pow, 0.3, 2.5, -2, 2,
      {"whole powers of negative numbers", .inputs = {{PH_SHAPE(3, 4), -2, 2},
       {PH_SHAPE(4), .values = (const double[]){2, 0, 3, 1}, .constant = true}}},)
#define NEGATIVE_DIVIDEND {"negative a", .inputs = {{PH_SHAPE(2, 5), -4.6, -4}, {PH_SHAPE(5), 1.6, 1.9}}},
CASES(mod, 4, 4.6, 1.6, 1.9, NEGATIVE_DIVIDEND)
CASES(fmod, 4, 4.6, 1.6, 1.9, NEGATIVE_DIVIDEND)
CASES(min, -2, 2, -1.7, 1.9)
CASES(max, -2, 2, -1.7, 1.9)

ARITHMETIC(add, "Add", NULL, "a + b", NOTHING);
ARITHMETIC(sub, "Sub", NULL, "a - b", NOTHING);
ARITHMETIC(mul, "Mul", NULL, "a b", INPUTS);
ARITHMETIC(div, "Div", NULL, "a / b; integers round towards 0", INPUTS);
ARITHMETIC(pow, "Pow", NULL, "a to the power of b", INPUTS);
ARITHMETIC(mod, "Mod", mod_read, "remainder of a / b with the sign of b", INPUTS);
ARITHMETIC(fmod, NULL, NULL, "remainder of a / b with the sign of a", INPUTS);
ARITHMETIC(min, "Min", chain_read, "the smaller of a and b", INPUTS);
ARITHMETIC(max, "Max", chain_read, "the larger of a and b", INPUTS);

/* The last case has equal pairs, and zeros for the logical ones. */
#define TRUTH(function, type, sum) \
    CASES(function, -2, 2, -1.7, 1.9, \
          {"some equal, some 0", .inputs = {{PH_SHAPE(6), .values = (const double[]){1, 0, 0, -2, 3, 0}}, \
                                            {PH_SHAPE(6), .values = (const double[]){1, 0, 2, 0, -3, 0}}}},) \
    DESCRIPTOR(function, type, NULL, sum, truth_infer)

TRUTH(equal, "Equal", "whether a = b");
TRUTH(greater, "Greater", "whether a > b");
TRUTH(less, "Less", "whether a < b");
TRUTH(greater_or_equal, "GreaterOrEqual", "whether a >= b");
TRUTH(less_or_equal, "LessOrEqual", "whether a <= b");
TRUTH(and, "And", "whether a and b");
TRUTH(or, "Or", "whether a or b");
TRUTH(xor, "Xor", "whether just one of a and b");

static const struct ph_case sum_cases[] = {
    {"three of the same shape",
     .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}, {PH_SHAPE(2, 3, 4), -1, 1}, {PH_SHAPE(2, 3, 4), -1, 1}}},
    {"broadcast", .inputs = {{PH_SHAPE(3, 1), -1, 1}, {PH_SHAPE(2, 1, 4), -1, 1}, {PH_SCALAR, -1, 2}}},
    {"one", .inputs = {{PH_SHAPE(2, 3), -1, 1}}},
    {NULL}};

#define ANY_NUMBER(function, type, text) \
    PH_OPERATION(function) = { \
        .name = #function, .help = text, .minimum_inputs = 1, .maximum_inputs = -1, .differentiable = 1u << 31, \
        .infer = broadcast_infer, .forward = function##_forward, .backward = function##_backward, \
        .flops = operands_flops, \
        .importers = (const struct ph_importer[]){{type, NULL}, {NULL}}, .cases = sum_cases}

ANY_NUMBER(sum, "Sum", "sum of any number of tensors");
ANY_NUMBER(mean, "Mean", "mean of any number of tensors");

#define CONDITION(...) .values = (const double[]){__VA_ARGS__}, .constant = true
static const struct ph_case where_cases[] = {
    {"same shape",
     .inputs = {{PH_SHAPE(2, 3), CONDITION(1, 0, 0, 1, 1, 0)}, {PH_SHAPE(2, 3), -1, 1}, {PH_SHAPE(2, 3), -1, 1}}},
    {"condition broadcasts",
     .inputs = {{PH_SHAPE(3, 1), CONDITION(0, 1, 0)}, {PH_SHAPE(2, 3, 4), -1, 1}, {PH_SHAPE(4), -1, 1}}},
    {"operands broadcast",
     .inputs = {{PH_SHAPE(2, 3), CONDITION(1, 0, 0, 1, 1, 0)}, {PH_SHAPE(2, 1), -1, 1}, {PH_SCALAR, -1, 2}}},
    {NULL}};

PH_OPERATION(where) = {
    .name = "where",
    .help = "a where the condition holds, else b",
    .minimum_inputs = 3, .maximum_inputs = 3,
    .differentiable = 6, .backward_reads = PH_READS_INPUTS,
    .infer = where_infer, .forward = where_forward, .backward = where_backward,
    .importers = (const struct ph_importer[]){{"Where", NULL}, {NULL}},
    .cases = where_cases,
};
