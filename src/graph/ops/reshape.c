/* Operations that change a tensor's shape or name and no element of it, and the model file's nodes that give constants:
 * sizes, filled tensors, literals. Definitions: https://onnx.ai/onnx/operators/ */
#include "graph/operations.h"
#include <string.h>

static void copy_forward(const struct ph_call *call) {
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++) y[i] = x[i];
}

static void copy_backward(const struct ph_call *call) {
    const real *dy = call->output_gradients[0];
    real *dx = call->input_gradients[0];
    if (!dx || !dy) return;
    int64_t size = ph_shape_size(&call->output_shapes[0]);
    for (int64_t i = 0; i < size; i++) dx[i] += dy[i];
}

/* ---- reshape ----------------------------------------------------------------------------------------------------- */

static ph_status reshape_infer(struct ph_inference *inference) {
    const struct ph_shape_attributes *attributes = inference->attributes;
    char text[128];
    if (!ph_shape_valid(&attributes->shape) ||
        ph_shape_size(&attributes->shape) != ph_shape_size(&inference->inputs[0]->shape))
        return ph_infer_fail(inference, "%s holds another number of elements", ph_shape_text(&attributes->shape, text));
    inference->shapes[0] = attributes->shape;
    return PH_OK;
}

static ph_status reshape_append(struct ph_import *import, struct ph_shape shape) {
    return ph_import_append(import, &(struct ph_shape_attributes){shape}, 1);
}

/* 0 keeps the input's size (unless allowzero), -1 takes what is left. A network exported for one batch size has it
 * written into such shapes: where data of this graph's batch is reshaped, it stands for that. */
static ph_status reshape_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    struct ph_shape shape = {0};
    PH_TRY(ph_import_ints_input(import, 1, "shape", shape.dims, PH_MAX_RANK, &shape.rank));
    if (shape.rank < 0) return ph_import_fail(import, PH_ERROR_FORMAT, "the new shape is missing");
    bool keep_zero = ph_import_int(import, "allowzero", 0);
    if (!x->data && shape.rank > 0 && x->shape.rank > 0 && import->file_batch > 0 &&
        shape.dims[0] == import->file_batch && x->shape.dims[0] == import->batch)
        shape.dims[0] = import->batch;

    int free_axis = -1;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dims[i] == 0 && !keep_zero) {
            if (i >= x->shape.rank)
                return ph_import_fail(import, PH_ERROR_SHAPE, "its input has no axis %d to copy", i);
            shape.dims[i] = x->shape.dims[i];
        } else if (shape.dims[i] == -1) {
            if (free_axis >= 0) return ph_import_fail(import, PH_ERROR_FORMAT, "more than one size is -1");
            free_axis = i;
        }
    }
    if (free_axis >= 0) {
        shape.dims[free_axis] = 1;
        int64_t known = ph_shape_valid(&shape) ? ph_shape_size(&shape) : 0, size = ph_shape_size(&x->shape);
        if (known == 0 || size % known)
            return ph_import_fail(import, PH_ERROR_SHAPE, "%lld elements cannot be divided by the sizes given",
                                  (long long)size);
        shape.dims[free_axis] = size / known;
    }
    return reshape_append(import, shape);
}

static ph_status flatten_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    int64_t axis = ph_import_int(import, "axis", 1), rank = x->shape.rank;
    if (axis < -rank || axis > rank)
        return ph_import_fail(import, PH_ERROR_SHAPE, "axis %lld of %lld", (long long)axis, (long long)rank);
    if (axis < 0) axis += rank;
    struct ph_shape shape = {2, {1, 1}};
    for (int i = 0; i < rank; i++) shape.dims[i >= axis] *= x->shape.dims[i];
    return reshape_append(import, shape);
}

/* Axes of a tensor of `rank`, each given once, as bits. */
static ph_status axes_collect(const struct ph_import *import, int64_t *axes, int count, int rank, unsigned *set) {
    PH_TRY(ph_import_resolve_axes(import, axes, count, rank));
    *set = 0;
    for (int i = 0; i < count; i++) {
        if (*set >> axes[i] & 1) return ph_import_fail(import, PH_ERROR_FORMAT, "axis %lld twice", (long long)axes[i]);
        *set |= 1u << axes[i];
    }
    return PH_OK;
}

/* The axes are an attribute before opset 13 and an input after; without them every axis of size 1 goes. */
static ph_status squeeze_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    int64_t axes[PH_MAX_RANK];
    int count;
    unsigned set;
    PH_TRY(ph_import_ints_input(import, 1, "axes", axes, PH_MAX_RANK, &count));
    PH_TRY(axes_collect(import, axes, count, x->shape.rank, &set));
    struct ph_shape shape = {0};
    for (int i = 0; i < x->shape.rank; i++) {
        int64_t size = x->shape.dims[i];
        if (count < 0 ? size != 1 : !(set >> i & 1)) shape.dims[shape.rank++] = size;
        else if (size != 1)
            return ph_import_fail(import, PH_ERROR_SHAPE, "axis %d has size %lld, not 1", i, (long long)size);
    }
    return reshape_append(import, shape);
}

static ph_status unsqueeze_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    int64_t axes[PH_MAX_RANK];
    int count;
    unsigned set;
    PH_TRY(ph_import_ints_input(import, 1, "axes", axes, PH_MAX_RANK, &count));
    if (count < 0) return ph_import_fail(import, PH_ERROR_FORMAT, "the axes are missing");
    struct ph_shape shape = {.rank = x->shape.rank + count};
    if (shape.rank > PH_MAX_RANK)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "%d axes, at most %d possible", shape.rank, PH_MAX_RANK);
    PH_TRY(axes_collect(import, axes, count, shape.rank, &set));
    for (int i = 0, from = 0; i < shape.rank; i++) shape.dims[i] = set >> i & 1 ? 1 : x->shape.dims[from++];
    return reshape_append(import, shape);
}

static const struct ph_case reshape_cases[] = {
    {"flatten", &(const struct ph_shape_attributes){{2, {2, 12}}}, .inputs = {{PH_SHAPE(2, 3, 2, 2), -1, 1}}},
    {"split an axis", &(const struct ph_shape_attributes){{4, {2, 2, 3, 4}}}, .inputs = {{PH_SHAPE(2, 6, 4), -1, 1}}},
    {"scalar", &(const struct ph_shape_attributes){{0, {0}}}, .inputs = {{PH_SHAPE(1, 1), -1, 1}}},
    {NULL}};

PH_OPERATION(reshape) = {
    .name = "reshape",
    .help = "the same elements in the same order under another shape",
    .attributes_size = sizeof(struct ph_shape_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1, .is_view = true,
    .infer = reshape_infer, .forward = copy_forward, .backward = copy_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){
        {"Reshape", reshape_read}, {"Flatten", flatten_read}, {"Squeeze", squeeze_read}, {"Unsqueeze", unsqueeze_read},
        {NULL}},
    .cases = reshape_cases,
};

/* ---- identity ---------------------------------------------------------------------------------------------------- */

/* The importers below make their outputs themselves; for a node without any there is nothing to do. */

/* Makes the node's only output a constant; data as for ph_graph_add_constant_copy. */
static ph_status constant_append(struct ph_import *import, enum ph_type type, struct ph_shape shape, const void *data) {
    return ph_graph_add_constant_copy(import->graph, import->output_names[0], type, shape, data, &import->outputs[0]);
}

/* Makes an output of the node a constant of `shape` that is `value`, a scalar constant, everywhere: the repetition of a
 * constant is folded. */
static ph_status constant_fill(struct ph_import *import, int value, struct ph_shape shape, int output) {
    struct ph_shape_attributes attributes = {shape};
    return ph_graph_add(import->graph, &ph_operation_expand, import->output_names[output], &attributes, &value, 1,
                        &import->outputs[output]);
}

static ph_status identity_read(struct ph_import *import) { return ph_import_append(import, NULL, 1); }

/* At inference it is the identity, and its mask, if wanted, is all true. */
static ph_status dropout_read(struct ph_import *import) {
    if (import->output_count < 1) return PH_OK;
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    struct ph_shape shape = x->shape;
    int64_t training = 0;
    int count, mask;
    PH_TRY(ph_import_ints_input(import, 2, "training_mode", &training, 1, &count));
    if (training) return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "training mode; only inference is supported");
    PH_TRY(ph_graph_add_node(import->graph, import->operation, import->name, NULL, import->inputs, 1,
                             import->output_names, 1, import->outputs));
    if (import->output_count < 2) return PH_OK;
    if (!import->output_names[1][0]) {
        import->outputs[1] = PH_ABSENT;
        return PH_OK;
    }
    PH_TRY(ph_graph_add_constant_copy(import->graph, NULL, PH_BOOL, PH_SCALAR, &(int64_t){1}, &mask));
    return constant_fill(import, mask, shape, 1);
}

/* Any one of these attributes holds the value. */
static ph_status constant_read(struct ph_import *import) {
    if (import->output_count < 1) return PH_OK;
    const struct ph_attribute_reader *reader = import->reader;
    ph_status status = PH_OK;
    int64_t integer;
    double number;
    const int64_t *integers;
    const float *numbers;
    int count;
    if (reader->get_tensor(import->source, "value", import->graph, &import->outputs[0], &status))
        return status ? status : ph_graph_add_alias(import->graph, import->output_names[0], import->outputs[0]);
    if (reader->get_float(import->source, "value_float", &number))
        return constant_append(import, PH_FLOAT, PH_SCALAR, &(float){(float)number});
    if (reader->get_int(import->source, "value_int", &integer))
        return constant_append(import, PH_INT64, PH_SCALAR, &integer);
    if (reader->get_floats(import->source, "value_floats", &numbers, &count))
        return constant_append(import, PH_FLOAT, PH_SHAPE(count), numbers);
    if (reader->get_ints(import->source, "value_ints", &integers, &count))
        return constant_append(import, PH_INT64, PH_SHAPE(count), integers);
    return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "a tensor, float(s) or integer(s) as value expected");
}

static ph_status constant_of_shape_read(struct ph_import *import) {
    if (import->output_count < 1) return PH_OK;
    struct ph_shape shape = {0};
    int value = PH_ABSENT, count;
    ph_status status = PH_OK;
    PH_TRY(ph_import_ints_input(import, 0, "shape", shape.dims, PH_MAX_RANK, &count));
    if (count < 0) return ph_import_fail(import, PH_ERROR_FORMAT, "the shape is missing");
    shape.rank = count;
    if (!import->reader->get_tensor(import->source, "value", import->graph, &value, &status))
        status = ph_graph_add_constant_copy(import->graph, NULL, PH_FLOAT, PH_SCALAR, &(float){0}, &value);
    PH_TRY(status);
    const struct ph_shape *found = &import->graph->values[value].shape;
    if (ph_shape_size(found) != 1) return ph_import_fail(import, PH_ERROR_FORMAT, "its value is not a single element");
    struct ph_shape_attributes scalar = {PH_SCALAR};
    PH_TRY(ph_graph_add(import->graph, &ph_operation_reshape, NULL, &scalar, &value, 1, &value));
    return constant_fill(import, value, shape, 0);
}

/* From opset 15 on a part of the shape can be asked for, by Python's rule for slices. */
static ph_status shape_read(struct ph_import *import) {
    if (import->output_count < 1) return PH_OK;
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    struct ph_shape shape = x->shape;
    int64_t rank = shape.rank, start = ph_import_int(import, "start", 0), end = ph_import_int(import, "end", rank);
    if (start < 0) start += rank;
    if (end < 0) end += rank;
    start = PH_MAX(0, PH_MIN(start, rank));
    end = PH_MAX(start, PH_MIN(end, rank));
    return constant_append(import, PH_INT64, PH_SHAPE(end - start), shape.dims + start);
}

static ph_status size_read(struct ph_import *import) {
    if (import->output_count < 1) return PH_OK;
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    return constant_append(import, PH_INT64, PH_SCALAR, &(int64_t){ph_shape_size(&x->shape)});
}

static const struct ph_case identity_cases[] = {
    {"picture", NULL, .inputs = {{PH_SHAPE(2, 3, 2, 2), -1, 1}}},
    {"scalar", NULL, .inputs = {{PH_SCALAR, -1, 1}}},
    {NULL}};

PH_OPERATION(identity) = {
    .name = "identity",
    .help = "its input",
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1, .is_view = true,
    .infer = ph_infer_same, .forward = copy_forward, .backward = copy_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){
        {"Identity", identity_read}, {"Dropout", dropout_read}, {"Constant", constant_read},
        {"ConstantOfShape", constant_of_shape_read}, {"Shape", shape_read}, {"Size", size_read}, {NULL}},
    .cases = identity_cases,
};
