/* Type conversion, and ranges of numbers: the last pieces of a network file's shape arithmetic. */
#include "graph/operations.h"
#include <math.h>

/* ---- cast -------------------------------------------------------------------------------------------------------- */

static ph_status cast_infer(struct ph_inference *inference) {
    inference->types[0] = ((const struct ph_cast_attributes *)inference->attributes)->type;
    return ph_infer_same(inference);
}

static void cast_forward(const struct ph_call *call) {
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    enum ph_type type = call->output_types[0];
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++)
        y[i] = (real)(type == PH_BOOL ? x[i] != 0 : type == PH_INT64 ? trunc(x[i]) : x[i]);
}

/* A conversion to the type a value already has is a view. */
static ph_status cast_append(struct ph_import *import, enum ph_type type) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    struct ph_import as = *import;
    if (x->type == type) as.operation = &ph_operation_identity;
    return ph_import_append(&as, &(struct ph_cast_attributes){type}, 1);
}

/* TensorProto.DataType of onnx.proto. All floating-point types are computed as one, and all integer types. */
static ph_status cast_read(struct ph_import *import) {
    enum {
        ONNX_FLOAT = 1, ONNX_UINT8, ONNX_INT8, ONNX_UINT16, ONNX_INT16, ONNX_INT32, ONNX_INT64, ONNX_STRING, ONNX_BOOL,
        ONNX_FLOAT16, ONNX_DOUBLE, ONNX_UINT32, ONNX_UINT64, ONNX_COMPLEX64, ONNX_COMPLEX128, ONNX_BFLOAT16
    };
    int64_t to = ph_import_int(import, "to", 0);
    switch (to) {
    case ONNX_FLOAT: case ONNX_FLOAT16: case ONNX_DOUBLE: case ONNX_BFLOAT16:
        return cast_append(import, PH_FLOAT);
    case ONNX_UINT8: case ONNX_INT8: case ONNX_UINT16: case ONNX_INT16: case ONNX_INT32: case ONNX_INT64:
    case ONNX_UINT32: case ONNX_UINT64:
        return cast_append(import, PH_INT64);
    case ONNX_BOOL:
        return cast_append(import, PH_BOOL);
    }
    return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "data type %lld; a real, integer or boolean one expected",
                          (long long)to);
}

static ph_status cast_like_read(struct ph_import *import) {
    const struct ph_value *like;
    PH_TRY(ph_import_require(import, 1, &like));
    return cast_append(import, like->type);
}

#define TO(kind) &(const struct ph_cast_attributes){kind}

static const struct ph_case cast_cases[] = {
    {"to integers", TO(PH_INT64), .inputs = {{PH_SHAPE(2, 3, 4), -3.3, 3.3}}},
    {"to truth values", TO(PH_BOOL), .inputs = {{PH_SHAPE(5), .values = (const double[]){0, -0.5, 1, 0, 2}}}},
    {"to numbers", TO(PH_FLOAT), .inputs = {{PH_SHAPE(2, 3), -1, 1}}},
    {NULL}};

PH_OPERATION(cast) = {
    .name = "cast",
    .help = "conversion to an integer (towards 0), truth or floating-point type",
    .attributes_size = sizeof(struct ph_cast_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .infer = cast_infer, .forward = cast_forward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Cast", cast_read}, {"CastLike", cast_like_read}, {NULL}},
    .cases = cast_cases,
};

/* ---- range ------------------------------------------------------------------------------------------------------- */

static ph_status range_infer(struct ph_inference *inference) {
    double numbers[3]; /* start, limit, step */
    for (int i = 0; i < 3; i++) {
        const struct ph_value *value = inference->inputs[i];
        if (!value->data)
            return ph_infer_fail(inference, "start, limit and step must be constant, and '%s' is not", value->name);
        if (ph_shape_size(&value->shape) != 1) return ph_infer_fail(inference, "start, limit and step must be scalars");
        numbers[i] = value->type == PH_FLOAT ? *(const float *)value->data : (double)*(const int64_t *)value->data;
    }
    double count = ceil((numbers[1] - numbers[0]) / numbers[2]);
    if (!(fabs(count) < 0x1p40))
        return ph_infer_fail(inference, "no range from %g to %g in steps of %g", numbers[0], numbers[1], numbers[2]);
    inference->shapes[0] = PH_SHAPE(PH_MAX((int64_t)count, 0));
    return PH_OK;
}

static void range_forward(const struct ph_call *call) {
    double start = *(const real *)call->inputs[0], step = *(const real *)call->inputs[2];
    real *y = call->outputs[0];
    for (int64_t i = 0; i < call->output_shapes[0].dims[0]; i++) y[i] = (real)(start + (double)i * step);
}

#define NUMBER(value) {PH_SCALAR, .values = (const double[]){value}, .constant = true}

static const struct ph_case range_cases[] = {
    {"rising", .inputs = {NUMBER(1), NUMBER(8), NUMBER(3)}},
    {"falling by fractions", .inputs = {NUMBER(2), NUMBER(-1), NUMBER(-0.75)}},
    {"empty", .inputs = {NUMBER(0), NUMBER(-3), NUMBER(1)}},
    {NULL}};

PH_OPERATION(range) = {
    .name = "range",
    .help = "numbers from a start to a limit (not reached) by a constant step",
    .minimum_inputs = 3, .maximum_inputs = 3,
    .infer = range_infer, .forward = range_forward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Range", NULL}, {NULL}},
    .cases = range_cases,
};
