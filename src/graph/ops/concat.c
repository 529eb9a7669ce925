/* Operations that join tensors along an axis, and cut them.
 * Definitions: https://onnx.ai/onnx/operators/ */
#include "graph/operations.h"

/* Product of dims [begin, end). */
static int64_t dims_product(const struct ph_shape *shape, int64_t begin, int64_t end) {
    int64_t product = 1;
    for (int64_t i = begin; i < end; i++) product *= shape->dims[i];
    return product;
}

/* ---- concat ------------------------------------------------------------------------------------------------------ */

static ph_status concat_infer(struct ph_inference *inference) {
    const struct ph_axis_attributes *attributes = inference->attributes;
    struct ph_shape shape = inference->inputs[0]->shape;
    if (attributes->axis < 0 || attributes->axis >= shape.rank)
        return ph_infer_fail(inference, "axis %lld does not exist", (long long)attributes->axis);
    for (int i = 1; i < inference->input_count; i++) {
        if (!inference->inputs[i]) return ph_infer_fail(inference, "input %d is missing", i);
        const struct ph_shape *other = &inference->inputs[i]->shape;
        if (other->rank != shape.rank) return ph_infer_fail(inference, "ranks differ");
        for (int j = 0; j < shape.rank; j++)
            if (j != attributes->axis && other->dims[j] != shape.dims[j])
                return ph_infer_fail(inference, "sizes differ outside axis %lld", (long long)attributes->axis);
        shape.dims[attributes->axis] += other->dims[attributes->axis];
        if (!ph_shape_valid(&shape)) return ph_infer_fail(inference, "the result is too large");
    }
    inference->shapes[0] = shape;
    return PH_OK;
}

static void concat_forward(const struct ph_call *call) {
    int64_t axis = ((const struct ph_axis_attributes *)call->attributes)->axis;
    const struct ph_shape *shape = &call->output_shapes[0];
    int64_t outer = dims_product(shape, 0, axis), row = dims_product(shape, axis, shape->rank), at = 0;
    for (int k = 0; k < call->input_count; k++) {
        const real *x = call->inputs[k];
        real *y = call->outputs[0];
        int64_t part = dims_product(call->input_shapes[k], axis, shape->rank);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < part; j++) y[i * row + at + j] = x[i * part + j];
        at += part;
    }
}

static void concat_backward(const struct ph_call *call) {
    int64_t axis = ((const struct ph_axis_attributes *)call->attributes)->axis;
    const struct ph_shape *shape = &call->output_shapes[0];
    const real *dy = call->output_gradients[0];
    if (!dy) return;
    int64_t outer = dims_product(shape, 0, axis), row = dims_product(shape, axis, shape->rank), at = 0;
    for (int k = 0; k < call->input_count; k++) {
        real *dx = call->input_gradients[k];
        int64_t part = dims_product(call->input_shapes[k], axis, shape->rank);
        for (int64_t i = 0; i < outer && dx; i++)
            for (int64_t j = 0; j < part; j++) dx[i * part + j] += dy[i * row + at + j];
        at += part;
    }
}

static ph_status concat_read(struct ph_import *import) {
    struct ph_axis_attributes attributes;
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_axis(import, "axis", 1, x->shape.rank, &attributes.axis));
    return ph_import_append(import, &attributes, -1);
}

static const struct ph_case concat_cases[] = {
    {"channels of three", &(const struct ph_axis_attributes){1},
     .inputs = {{PH_SHAPE(2, 3, 2, 2), -1, 1}, {PH_SHAPE(2, 1, 2, 2), -1, 1}, {PH_SHAPE(2, 4, 2, 2), -1, 1}}},
    {"last axis, one constant", &(const struct ph_axis_attributes){2},
     .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}, {PH_SHAPE(2, 3, 1), -1, 1, .constant = true}}},
    {"one input", &(const struct ph_axis_attributes){0}, .inputs = {{PH_SHAPE(3, 2), -1, 1}}},
    {"an empty part", &(const struct ph_axis_attributes){0},
     .inputs = {{PH_SHAPE(3, 2), -1, 1}, {PH_SHAPE(0, 2), -1, 1}}},
    {NULL}};

PH_OPERATION(concat) = {
    .name = "concat",
    .help = "joins tensors along one axis",
    .attributes_size = sizeof(struct ph_axis_attributes),
    .minimum_inputs = 1, .maximum_inputs = -1,
    .differentiable = UINT32_C(1) << 31,
    .infer = concat_infer, .forward = concat_forward, .backward = concat_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Concat", concat_read}, {NULL}},
    .cases = concat_cases,
};

/* ---- split ------------------------------------------------------------------------------------------------------- */

static ph_status split_infer(struct ph_inference *inference) {
    const struct ph_split_attributes *attributes = inference->attributes;
    const struct ph_shape *shape = &inference->inputs[0]->shape;
    int64_t axis = attributes->axis;
    if (axis < 0 || axis >= shape->rank) return ph_infer_fail(inference, "axis %lld does not exist", (long long)axis);
    int64_t sum = 0;
    for (int i = 0; i < inference->output_count; i++) {
        if (attributes->sizes[i] < 0 || attributes->sizes[i] > shape->dims[axis] - sum)
            return ph_infer_fail(inference, "parts do not fit axis %lld", (long long)axis);
        sum += attributes->sizes[i];
        inference->shapes[i] = *shape;
        inference->shapes[i].dims[axis] = attributes->sizes[i];
        inference->types[i] = inference->inputs[0]->type;
    }
    if (sum != shape->dims[axis])
        return ph_infer_fail(inference, "parts cover %lld elements of axis %lld", (long long)sum, (long long)axis);
    return PH_OK;
}

static void split_forward(const struct ph_call *call) {
    int64_t axis = ((const struct ph_split_attributes *)call->attributes)->axis;
    const struct ph_shape *shape = call->input_shapes[0];
    const real *x = call->inputs[0];
    int64_t outer = dims_product(shape, 0, axis), row = dims_product(shape, axis, shape->rank), at = 0;
    for (int k = 0; k < call->output_count; k++) {
        real *y = call->outputs[k];
        int64_t part = dims_product(&call->output_shapes[k], axis, shape->rank);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < part; j++) y[i * part + j] = x[i * row + at + j];
        at += part;
    }
}

static void split_backward(const struct ph_call *call) {
    int64_t axis = ((const struct ph_split_attributes *)call->attributes)->axis;
    const struct ph_shape *shape = call->input_shapes[0];
    real *dx = call->input_gradients[0];
    if (!dx) return;
    int64_t outer = dims_product(shape, 0, axis), row = dims_product(shape, axis, shape->rank), at = 0;
    for (int k = 0; k < call->output_count; k++) {
        const real *dy = call->output_gradients[k];
        int64_t part = dims_product(&call->output_shapes[k], axis, shape->rank);
        for (int64_t i = 0; i < outer && dy; i++)
            for (int64_t j = 0; j < part; j++) dx[i * row + at + j] += dy[i * part + j];
        at += part;
    }
}

static ph_status split_read(struct ph_import *import) {
    struct ph_split_attributes attributes = {0};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_axis(import, "axis", 0, x->shape.rank, &attributes.axis));
    int count;
    PH_TRY(ph_import_ints_input(import, 1, "split", attributes.sizes, PH_MAX_OUTPUTS, &count));
    if (count < 0) { /* equal parts; since opset 18 the last one may be smaller */
        int64_t parts = ph_import_int(import, "num_outputs", import->output_count);
        int64_t size = x->shape.dims[attributes.axis];
        if (parts != import->output_count || parts > PH_MAX_OUTPUTS)
            return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "%lld parts for %d outputs, at most %d possible",
                                  (long long)parts, import->output_count, PH_MAX_OUTPUTS);
        if (import->version < 18 && size % parts)
            return ph_import_fail(import, PH_ERROR_SHAPE, "axis of %lld is not divisible into %lld equal parts",
                                  (long long)size, (long long)parts);
        int64_t part = (size + parts - 1) / parts;
        for (int64_t i = 0; i < parts; i++) {
            attributes.sizes[i] = PH_MIN(part, size);
            size -= attributes.sizes[i];
        }
    } else if (count != import->output_count) {
        return ph_import_fail(import, PH_ERROR_SHAPE, "%d sizes for %d outputs", count, import->output_count);
    }
    return ph_import_append(import, &attributes, 1);
}

static const struct ph_case split_cases[] = {
    {"three unequal parts of the channels", &(const struct ph_split_attributes){1, {2, 1, 3}}, 3,
     .inputs = {{PH_SHAPE(2, 6, 3), -1, 1}}},
    {"two halves of the last axis", &(const struct ph_split_attributes){2, {2, 2}}, 2,
     .inputs = {{PH_SHAPE(3, 2, 4), -1, 1}}},
    {"one part", &(const struct ph_split_attributes){0, {3}}, 1, .inputs = {{PH_SHAPE(3, 2), -1, 1}}},
    {NULL}};

PH_OPERATION(split) = {
    .name = "split",
    .help = "cuts a tensor into parts along one axis",
    .attributes_size = sizeof(struct ph_split_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = split_infer, .forward = split_forward, .backward = split_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Split", split_read}, {NULL}},
    .cases = split_cases,
};
