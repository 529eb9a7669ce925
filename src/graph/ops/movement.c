/* Operations that only move elements: each output element is one input element, or a constant.
 *
 * Each has one input of data and one output, and is written as a *source*: a function from an output element's coordinates to
 * the offset of the input element it copies. Forward and backward follow from it.
 * Definitions: https://onnx.ai/onnx/operators/ */
#include "graph/operations.h"
#include "graph/ops/border.h"
#include "graph/picks.h"
#include <string.h>

/* Attributes beyond this can only be errors: no tensor is longer (ph_shape_valid), and sums of them cannot overflow. */
#define EXTENT_LIMIT ((int64_t)1 << 40)
#define NO_SOURCE ((int64_t)-1)

/* Offset in input 0, or NO_SOURCE, of what the output element at `index` copies. */
typedef int64_t source_function(const struct ph_call *call, const int64_t *index);

/* To the next element in row order. */
static void index_advance(const struct ph_shape *shape, int64_t *index) {
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (++index[i] < shape->dims[i]) return;
        index[i] = 0;
    }
}

static int64_t index_offset(const struct ph_shape *shape, const int64_t *index) {
    int64_t offset = 0;
    for (int i = 0; i < shape->rank; i++) offset = offset * shape->dims[i] + index[i];
    return offset;
}

static void source_forward(const struct ph_call *call, source_function *source, double fill) {
    const struct ph_shape *shape = &call->output_shapes[0];
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    int64_t index[PH_MAX_RANK] = {0}, size = ph_shape_size(shape);
    for (int64_t i = 0; i < size; i++, index_advance(shape, index)) {
        int64_t from = source(call, index);
        y[i] = from == NO_SOURCE ? (real)fill : x[from];
    }
}

static void source_backward(const struct ph_call *call, source_function *source) {
    const struct ph_shape *shape = &call->output_shapes[0];
    const real *dy = call->output_gradients[0];
    real *dx = call->input_gradients[0];
    if (!dx || !dy) return;
    int64_t index[PH_MAX_RANK] = {0}, size = ph_shape_size(shape);
    for (int64_t i = 0; i < size; i++, index_advance(shape, index)) {
        int64_t from = source(call, index);
        if (from != NO_SOURCE) dx[from] += dy[i];
    }
}

/* ---- slice ------------------------------------------------------------------------------------------------------- */

static ph_status slice_infer(struct ph_inference *inference) {
    const struct ph_slice_attributes *attributes = inference->attributes;
    struct ph_shape shape = inference->inputs[0]->shape;
    for (int i = 0; i < shape.rank; i++) {
        int64_t start = attributes->start[i], step = attributes->step[i], size = attributes->size[i], last;
        if (size < 0 || step == 0) return ph_infer_fail(inference, "axis %d: a step of 0 or a negative size", i);
        if (size > 0 && (start < 0 || start >= shape.dims[i] || __builtin_mul_overflow(size - 1, step, &last) ||
                         __builtin_add_overflow(start, last, &last) || last < 0 || last >= shape.dims[i]))
            return ph_infer_fail(inference, "axis %d: the slice leaves the tensor", i);
        shape.dims[i] = size;
    }
    inference->shapes[0] = shape;
    return PH_OK;
}

static int64_t slice_source(const struct ph_call *call, const int64_t *index) {
    const struct ph_slice_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t from[PH_MAX_RANK];
    for (int i = 0; i < shape->rank; i++) from[i] = attributes->start[i] + index[i] * attributes->step[i];
    return index_offset(shape, from);
}

static void slice_forward(const struct ph_call *call) { source_forward(call, slice_source, 0); }

static void slice_backward(const struct ph_call *call) { source_backward(call, slice_source); }

/* NumPy's rule for start:end:step on an axis of `dim`: negative bounds count from the end, then both are clamped. */
static void slice_resolve(struct ph_slice_attributes *attributes, int64_t axis, int64_t dim, int64_t start, int64_t end,
                          int64_t step) {
    step = PH_MAX(-EXTENT_LIMIT, PH_MIN(step, EXTENT_LIMIT)); /* the same slice, and its negative exists */
    if (start < 0) start += dim;
    if (end < 0) end += dim;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    start = PH_MAX(step > 0 ? low : 0, PH_MIN(start, high));
    end = PH_MAX(low, PH_MIN(end, high));
    int64_t length = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
    attributes->start[axis] = start;
    attributes->step[axis] = step;
    attributes->size[axis] = length > 0 ? (length - 1) / stride + 1 : 0;
}

static ph_status slice_read(struct ph_import *import) {
    struct ph_slice_attributes attributes = {0};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    int64_t starts[PH_MAX_RANK], ends[PH_MAX_RANK], axes[PH_MAX_RANK], steps[PH_MAX_RANK];
    int count, end_count, axis_count, step_count;
    PH_TRY(ph_import_ints_input(import, 1, "starts", starts, PH_MAX_RANK, &count));
    PH_TRY(ph_import_ints_input(import, 2, "ends", ends, PH_MAX_RANK, &end_count));
    PH_TRY(ph_import_ints_input(import, 3, "axes", axes, PH_MAX_RANK, &axis_count));
    PH_TRY(ph_import_ints_input(import, 4, "steps", steps, PH_MAX_RANK, &step_count));
    for (int i = 0; i < count; i++) {
        if (axis_count < 0) axes[i] = i;
        if (step_count < 0) steps[i] = 1;
    }
    if (count < 0 || end_count != count || (axis_count >= 0 && axis_count != count) ||
        (step_count >= 0 && step_count != count))
        return ph_import_fail(import, PH_ERROR_FORMAT, "starts, ends, axes and steps differ in length");
    PH_TRY(ph_import_resolve_axes(import, axes, count, x->shape.rank));
    for (int i = 0; i < x->shape.rank; i++) slice_resolve(&attributes, i, x->shape.dims[i], 0, x->shape.dims[i], 1);
    for (int i = 0; i < count; i++) {
        if (!steps[i]) return ph_import_fail(import, PH_ERROR_FORMAT, "a step is 0");
        slice_resolve(&attributes, axes[i], x->shape.dims[axes[i]], starts[i], ends[i], steps[i]);
    }
    return ph_import_append(import, &attributes, 1);
}

static const struct ph_case slice_cases[] = {
    {"crop", &(const struct ph_slice_attributes){{0, 1, 2}, {1, 1, 1}, {2, 2, 3}},
     .inputs = {{PH_SHAPE(2, 3, 6), -1, 1}}},
    {"step 2", &(const struct ph_slice_attributes){{0, 1}, {1, 2}, {2, 3}}, .inputs = {{PH_SHAPE(2, 7), -1, 1}}},
    {"reversed", &(const struct ph_slice_attributes){{1, 6}, {-1, -2}, {2, 4}}, .inputs = {{PH_SHAPE(2, 7), -1, 1}}},
    {"empty", &(const struct ph_slice_attributes){{0, 0}, {1, 1}, {2, 0}}, .inputs = {{PH_SHAPE(2, 7), -1, 1}}},
    {NULL}};

PH_OPERATION(slice) = {
    .name = "slice",
    .help = "every step-th element between two bounds on each axis; negative steps reverse",
    .attributes_size = sizeof(struct ph_slice_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = slice_infer, .forward = slice_forward, .backward = slice_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Slice", slice_read}, {NULL}},
    .cases = slice_cases,
};

/* ---- pad --------------------------------------------------------------------------------------------------------- */

static ph_status pad_infer(struct ph_inference *inference) {
    const struct ph_pad_attributes *attributes = inference->attributes;
    struct ph_shape shape = inference->inputs[0]->shape;
    for (int i = 0; i < shape.rank; i++) {
        int64_t begin = attributes->begin[i], end = attributes->end[i], dim = shape.dims[i];
        if (begin < -EXTENT_LIMIT || begin > EXTENT_LIMIT || end < -EXTENT_LIMIT || end > EXTENT_LIMIT)
            return ph_infer_fail(inference, "axis %d: padding by %lld and %lld", i, (long long)begin, (long long)end);
        shape.dims[i] = begin + dim + end;
        if (shape.dims[i] < 0) return ph_infer_fail(inference, "axis %d: more is cropped than there is", i);
        if (attributes->mode != PH_PAD_CONSTANT && dim == 0 && shape.dims[i] > 0)
            return ph_infer_fail(inference, "axis %d is empty: there is nothing to repeat", i);
    }
    inference->shapes[0] = shape;
    return PH_OK;
}

static int64_t pad_source(const struct ph_call *call, const int64_t *index) {
    const struct ph_pad_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t from[PH_MAX_RANK];
    for (int i = 0; i < shape->rank; i++) {
        int64_t at = index[i] - attributes->begin[i], dim = shape->dims[i];
        switch (attributes->mode) {
        case PH_PAD_CONSTANT:
            if (at < 0 || at >= dim) return NO_SOURCE;
            break;
        case PH_PAD_REFLECT: at = ph_border_reflect(at, dim); break;
        case PH_PAD_EDGE: at = ph_border_clamp(at, dim); break;
        case PH_PAD_WRAP: at = ph_border_wrap(at, dim); break;
        }
        from[i] = at;
    }
    return index_offset(shape, from);
}

static void pad_forward(const struct ph_call *call) {
    source_forward(call, pad_source, ((const struct ph_pad_attributes *)call->attributes)->value);
}

static void pad_backward(const struct ph_call *call) { source_backward(call, pad_source); }

/* Pads, then the value, are attributes before opset 11 and inputs after; 18 adds the list of axes they are for. */
static ph_status pad_read(struct ph_import *import) {
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"}; /* in the order of enum ph_pad_mode */
    struct ph_pad_attributes attributes = {0};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    char mode[16];
    ph_import_string(import, "mode", "constant", mode, sizeof mode);
    int known = 0;
    while (known < PH_COUNT(modes) && strcmp(modes[known], mode)) known++;
    if (known == PH_COUNT(modes))
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "mode '%s'; constant, reflect, edge or wrap expected",
                              mode);
    attributes.mode = (enum ph_pad_mode)known;

    int64_t pads[2 * PH_MAX_RANK], axes[PH_MAX_RANK];
    int count, axis_count, rank = x->shape.rank;
    PH_TRY(ph_import_ints_input(import, 1, "pads", pads, PH_COUNT(pads), &count));
    PH_TRY(ph_import_ints_input(import, 3, "axes", axes, PH_COUNT(axes), &axis_count));
    if (axis_count < 0)
        for (axis_count = 0; axis_count < rank; axis_count++) axes[axis_count] = axis_count;
    if (count != 2 * axis_count)
        return ph_import_fail(import, PH_ERROR_FORMAT, "%d pads for %d axes, two for each expected", PH_MAX(count, 0),
                              axis_count);
    PH_TRY(ph_import_resolve_axes(import, axes, axis_count, rank));
    for (int i = 0; i < axis_count; i++) {
        attributes.begin[axes[i]] = pads[i];
        attributes.end[axes[i]] = pads[axis_count + i];
    }

    attributes.value = ph_import_float(import, "value", 0);
    PH_TRY(ph_import_floats_input(import, 2, "the padding value", &attributes.value, 1, &count));
    return ph_import_append(import, &attributes, 1);
}

static const struct ph_case pad_cases[] = {
    {"constant", &(const struct ph_pad_attributes){{0, 0, 1, 2}, {0, 1, 0, 1}, PH_PAD_CONSTANT, 0.5},
     .inputs = {{PH_SHAPE(2, 2, 3, 3), -1, 1}}},
    {"reflect", &(const struct ph_pad_attributes){{0, 2, 1}, {0, 1, 2}, PH_PAD_REFLECT},
     .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}}},
    {"reflect wider than the tensor", &(const struct ph_pad_attributes){{5}, {7}, PH_PAD_REFLECT},
     .inputs = {{PH_SHAPE(3), -1, 1}}},
    {"edge", &(const struct ph_pad_attributes){{0, 2, 1}, {0, 1, 3}, PH_PAD_EDGE},
     .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}}},
    {"wrap", &(const struct ph_pad_attributes){{0, 2, 1}, {0, 1, 6}, PH_PAD_WRAP},
     .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}}},
    {"crop", &(const struct ph_pad_attributes){{-1, 1}, {0, -2}, PH_PAD_CONSTANT, 2},
     .inputs = {{PH_SHAPE(3, 4), -1, 1}}},
    {NULL}};

PH_OPERATION(pad) = {
    .name = "pad",
    .help = "adds a border to each axis: a constant, the reflection, the edge or the other side; negative widths crop",
    .attributes_size = sizeof(struct ph_pad_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = pad_infer, .forward = pad_forward, .backward = pad_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Pad", pad_read}, {NULL}},
    .cases = pad_cases,
};

/* ---- transpose --------------------------------------------------------------------------------------------------- */

static ph_status transpose_infer(struct ph_inference *inference) {
    const struct ph_transpose_attributes *attributes = inference->attributes;
    const struct ph_shape *shape = &inference->inputs[0]->shape;
    inference->shapes[0].rank = shape->rank;
    unsigned seen = 0;
    for (int i = 0; i < shape->rank; i++) {
        int64_t axis = attributes->order[i];
        if (axis < 0 || axis >= shape->rank || seen >> axis & 1)
            return ph_infer_fail(inference, "the order of axes is not a permutation");
        seen |= 1u << axis;
        inference->shapes[0].dims[i] = shape->dims[axis];
    }
    return PH_OK;
}

static int64_t transpose_source(const struct ph_call *call, const int64_t *index) {
    const struct ph_transpose_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t from[PH_MAX_RANK];
    for (int i = 0; i < shape->rank; i++) from[attributes->order[i]] = index[i];
    return index_offset(shape, from);
}

static void transpose_forward(const struct ph_call *call) { source_forward(call, transpose_source, 0); }

static void transpose_backward(const struct ph_call *call) { source_backward(call, transpose_source); }

static ph_status transpose_read(struct ph_import *import) {
    struct ph_transpose_attributes attributes;
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    int count, rank = x->shape.rank;
    PH_TRY(ph_import_ints(import, "perm", attributes.order, PH_MAX_RANK, &count));
    if (count < 0)
        for (count = 0; count < rank; count++) attributes.order[count] = rank - 1 - count;
    if (count != rank) return ph_import_fail(import, PH_ERROR_FORMAT, "perm has %d entries, %d expected", count, rank);
    return ph_import_append(import, &attributes, 1);
}

static const struct ph_case transpose_cases[] = {
    {"matrix", &(const struct ph_transpose_attributes){{1, 0}}, .inputs = {{PH_SHAPE(3, 5), -1, 1}}},
    {"channels last", &(const struct ph_transpose_attributes){{0, 2, 3, 1}}, .inputs = {{PH_SHAPE(2, 3, 4, 5), -1, 1}}},
    {"rotation of five axes", &(const struct ph_transpose_attributes){{4, 0, 1, 2, 3}},
     .inputs = {{PH_SHAPE(2, 1, 3, 2, 2), -1, 1}}},
    {NULL}};

PH_OPERATION(transpose) = {
    .name = "transpose",
    .help = "permutes the axes",
    .attributes_size = sizeof(struct ph_transpose_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = transpose_infer, .forward = transpose_forward, .backward = transpose_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Transpose", transpose_read}, {NULL}},
    .cases = transpose_cases,
};

/* ---- expand ------------------------------------------------------------------------------------------------------ */

static ph_status expand_infer(struct ph_inference *inference) {
    const struct ph_shape_attributes *attributes = inference->attributes;
    struct ph_shape shape;
    char text[128];
    if (!ph_shape_valid(&attributes->shape) ||
        !ph_shape_broadcast(&inference->inputs[0]->shape, &attributes->shape, &shape) ||
        !ph_shape_equal(&shape, &attributes->shape))
        return ph_infer_fail(inference, "cannot be repeated to %s", ph_shape_text(&attributes->shape, text));
    inference->shapes[0] = shape;
    return PH_OK;
}

static int64_t expand_source(const struct ph_call *call, const int64_t *index) {
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t from[PH_MAX_RANK];
    int added = call->output_shapes[0].rank - shape->rank;
    for (int i = 0; i < shape->rank; i++) from[i] = shape->dims[i] == 1 ? 0 : index[added + i];
    return index_offset(shape, from);
}

static void expand_forward(const struct ph_call *call) { source_forward(call, expand_source, 0); }

static void expand_backward(const struct ph_call *call) { source_backward(call, expand_source); }

static ph_status expand_read(struct ph_import *import) {
    struct ph_shape_attributes attributes = {0};
    const struct ph_value *x;
    struct ph_shape target = {0};
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_ints_input(import, 1, "shape", target.dims, PH_MAX_RANK, &target.rank));
    if (target.rank < 0) return ph_import_fail(import, PH_ERROR_FORMAT, "its shape is missing");
    for (int i = 0; i < target.rank; i++)
        if (target.dims[i] == -1) target.dims[i] = 1; /* PyTorch's "leave it alone" */
    if (!ph_shape_broadcast(&x->shape, &target, &attributes.shape)) {
        char from[128], to[128];
        return ph_import_fail(import, PH_ERROR_SHAPE, "shape %s does not broadcast with %s",
                              ph_shape_text(&x->shape, from), ph_shape_text(&target, to));
    }
    return ph_import_append(import, &attributes, 1);
}

static const struct ph_case expand_cases[] = {
    {"inner and outer axes", &(const struct ph_shape_attributes){{4, {3, 2, 4, 2}}},
     .inputs = {{PH_SHAPE(3, 1, 4, 1), -1, 1}}},
    {"new axes", &(const struct ph_shape_attributes){{3, {2, 3, 4}}}, .inputs = {{PH_SHAPE(3, 1), -1, 1}}},
    {"scalar", &(const struct ph_shape_attributes){{2, {2, 3}}}, .inputs = {{PH_SCALAR, -1, 1}}},
    {NULL}};

PH_OPERATION(expand) = {
    .name = "expand",
    .help = "repeats a tensor along axes of size 1 or new leading axes",
    .attributes_size = sizeof(struct ph_shape_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = expand_infer, .forward = expand_forward, .backward = expand_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Expand", expand_read}, {NULL}},
    .cases = expand_cases,
};

/* ---- tile -------------------------------------------------------------------------------------------------------- */

static ph_status tile_infer(struct ph_inference *inference) {
    const struct ph_tile_attributes *attributes = inference->attributes;
    struct ph_shape shape = inference->inputs[0]->shape;
    for (int i = 0; i < shape.rank; i++)
        if (attributes->repeats[i] < 0 || __builtin_mul_overflow(shape.dims[i], attributes->repeats[i], &shape.dims[i]))
            return ph_infer_fail(inference, "axis %d: repeated %lld times", i, (long long)attributes->repeats[i]);
    inference->shapes[0] = shape;
    return PH_OK;
}

static int64_t tile_source(const struct ph_call *call, const int64_t *index) {
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t from[PH_MAX_RANK];
    for (int i = 0; i < shape->rank; i++) from[i] = index[i] % shape->dims[i];
    return index_offset(shape, from);
}

static void tile_forward(const struct ph_call *call) { source_forward(call, tile_source, 0); }

static void tile_backward(const struct ph_call *call) { source_backward(call, tile_source); }

static ph_status tile_read(struct ph_import *import) {
    struct ph_tile_attributes attributes = {0};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    int count;
    PH_TRY(ph_import_ints_input(import, 1, "repeats", attributes.repeats, PH_MAX_RANK, &count));
    if (count != x->shape.rank)
        return ph_import_fail(import, PH_ERROR_SHAPE, "%d repeats for %d axes", PH_MAX(count, 0), x->shape.rank);
    return ph_import_append(import, &attributes, 1);
}

static const struct ph_case tile_cases[] = {
    {"two axes", &(const struct ph_tile_attributes){{1, 2, 3}}, .inputs = {{PH_SHAPE(2, 3, 2), -1, 1}}},
    {"a row", &(const struct ph_tile_attributes){{4}}, .inputs = {{PH_SHAPE(3), -1, 1}}},
    {NULL}};

PH_OPERATION(tile) = {
    .name = "tile",
    .help = "repeats the whole tensor a number of times along each axis",
    .attributes_size = sizeof(struct ph_tile_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = tile_infer, .forward = tile_forward, .backward = tile_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){{"Tile", tile_read}, {NULL}},
    .cases = tile_cases,
};

/* ---- depth_to_space ---------------------------------------------------------------------------------------------- */

static ph_status depth_to_space_infer(struct ph_inference *inference) {
    const struct ph_depth_to_space_attributes *attributes = inference->attributes;
    const struct ph_shape *shape = &inference->inputs[0]->shape;
    int64_t block = attributes->block;
    if (shape->rank != 4) return ph_infer_fail(inference, "[N,C,H,W] expected");
    if (block < 1 || block > 1 << 15 || shape->dims[1] % (block * block))
        return ph_infer_fail(inference, "channels are not divisible by the block size %lld squared", (long long)block);
    inference->shapes[0] =
        PH_SHAPE(shape->dims[0], shape->dims[1] / (block * block), shape->dims[2] * block, shape->dims[3] * block);
    return PH_OK;
}

static int64_t depth_to_space_source(const struct ph_call *call, const int64_t *index) {
    const struct ph_depth_to_space_attributes *attributes = call->attributes;
    int64_t block = attributes->block, channels = call->output_shapes[0].dims[1];
    int64_t within = index[2] % block * block + index[3] % block;
    int64_t channel = attributes->column_row_depth ? index[1] * block * block + within : within * channels + index[1];
    return index_offset(call->input_shapes[0], (int64_t[]){index[0], channel, index[2] / block, index[3] / block});
}

static void depth_to_space_forward(const struct ph_call *call) { source_forward(call, depth_to_space_source, 0); }

static void depth_to_space_backward(const struct ph_call *call) { source_backward(call, depth_to_space_source); }

static ph_status depth_to_space_read(struct ph_import *import) {
    struct ph_depth_to_space_attributes attributes = {.block = ph_import_int(import, "blocksize", 0)};
    char mode[8];
    ph_import_string(import, "mode", "DCR", mode, sizeof mode);
    attributes.column_row_depth = !strcmp(mode, "CRD");
    if (!attributes.column_row_depth && strcmp(mode, "DCR"))
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "mode '%s'; DCR or CRD expected", mode);
    return ph_import_append(import, &attributes, 1);
}

/* The inverse (of DCR) is a view, a transpose and a view: block rows and columns become leading channels. */
static ph_status space_to_depth_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    int64_t block = ph_import_int(import, "blocksize", 0);
    if (x->shape.rank != 4 || block < 1 || x->shape.dims[2] % block || x->shape.dims[3] % block)
        return ph_import_fail(import, PH_ERROR_SHAPE, "[N,C,H,W] expected, H and W divisible by the block size %lld",
                              (long long)block);
    const int64_t *dims = x->shape.dims;
    struct ph_shape_attributes cut = {PH_SHAPE(dims[0], dims[1], dims[2] / block, block, dims[3] / block, block)};
    struct ph_shape_attributes join = {PH_SHAPE(dims[0], 0, dims[2] / block, dims[3] / block)};
    if (__builtin_mul_overflow(dims[1], block, &join.shape.dims[1]) ||
        __builtin_mul_overflow(join.shape.dims[1], block, &join.shape.dims[1]))
        return ph_import_fail(import, PH_ERROR_SHAPE, "block size %lld", (long long)block);
    struct ph_transpose_attributes order = {{0, 3, 5, 1, 2, 4}};
    int value = import->inputs[0];
    PH_TRY(ph_graph_add(import->graph, &ph_operation_reshape, NULL, &cut, &value, 1, &value));
    PH_TRY(ph_graph_add(import->graph, &ph_operation_transpose, NULL, &order, &value, 1, &value));
    return ph_graph_add_node(import->graph, &ph_operation_reshape, import->name, &join, &value, 1, import->output_names,
                             import->output_count, import->outputs);
}

static const struct ph_case depth_to_space_cases[] = {
    {"depth, column, row", &(const struct ph_depth_to_space_attributes){2, false},
     .inputs = {{PH_SHAPE(2, 8, 2, 3), -1, 1}}},
    {"column, row, depth", &(const struct ph_depth_to_space_attributes){2, true},
     .inputs = {{PH_SHAPE(2, 8, 2, 3), -1, 1}}},
    {"blocks of 3", &(const struct ph_depth_to_space_attributes){3, true}, .inputs = {{PH_SHAPE(1, 9, 2, 1), -1, 1}}},
    {NULL}};

PH_OPERATION(depth_to_space) = {
    .name = "depth_to_space",
    .help = "turns groups of channels into blocks of pixels (pixel shuffle)",
    .attributes_size = sizeof(struct ph_depth_to_space_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = depth_to_space_infer, .forward = depth_to_space_forward, .backward = depth_to_space_backward,
    .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){
        {"DepthToSpace", depth_to_space_read}, {"SpaceToDepth", space_to_depth_read}, {NULL}},
    .cases = depth_to_space_cases,
};

/* ---- gather ------------------------------------------------------------------------------------------------------ */

static ph_status gather_infer(struct ph_inference *inference) {
    const struct ph_axis_attributes *attributes = inference->attributes;
    const struct ph_shape *shape = &inference->inputs[0]->shape;
    const struct ph_value *indices = inference->inputs[1];
    int64_t axis = attributes->axis;
    if (axis < 0 || axis >= shape->rank) return ph_infer_fail(inference, "axis %lld does not exist", (long long)axis);
    if (!indices->data) return ph_infer_fail(inference, "indices must be constant, and '%s' is not", indices->name);
    int64_t count = ph_shape_size(&indices->shape), dim = shape->dims[axis];
    for (int64_t i = 0; i < count; i++) {
        double index = indices->type == PH_FLOAT ? (double)((const float *)indices->data)[i]
                                                 : (double)((const int64_t *)indices->data)[i];
        if (!(index >= -(double)dim && index < (double)dim))
            return ph_infer_fail(inference, "index %g lies outside axis %lld of size %lld", index, (long long)axis,
                                 (long long)dim);
    }
    /* The axis gives way to the axes of the indices. */
    struct ph_shape result = {.rank = shape->rank - 1 + indices->shape.rank};
    if (result.rank > PH_MAX_RANK)
        return ph_infer_fail(inference, "the result would have %d axes, at most %d possible", result.rank,
                             PH_MAX_RANK);
    for (int i = 0; i < axis; i++) result.dims[i] = shape->dims[i];
    for (int i = 0; i < indices->shape.rank; i++) result.dims[axis + i] = indices->shape.dims[i];
    for (int i = (int)axis + 1; i < shape->rank; i++) result.dims[indices->shape.rank + i - 1] = shape->dims[i];
    inference->shapes[0] = result;
    return PH_OK;
}

static int64_t gather_source(const struct ph_call *call, const int64_t *index) {
    int64_t axis = ((const struct ph_axis_attributes *)call->attributes)->axis;
    const struct ph_shape *shape = call->input_shapes[0], *indices = call->input_shapes[1];
    int64_t from[PH_MAX_RANK];
    for (int i = 0; i < axis; i++) from[i] = index[i];
    for (int i = (int)axis + 1; i < shape->rank; i++) from[i] = index[i + indices->rank - 1];
    int64_t at = (int64_t)((const real *)call->inputs[1])[index_offset(indices, index + axis)];
    from[axis] = at < 0 ? at + shape->dims[axis] : at;
    return index_offset(shape, from);
}

static void gather_forward(const struct ph_call *call) { source_forward(call, gather_source, 0); }

static void gather_backward(const struct ph_call *call) { source_backward(call, gather_source); }

static ph_status gather_read(struct ph_import *import) {
    struct ph_axis_attributes attributes;
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_axis(import, "axis", 0, x->shape.rank, &attributes.axis));
    return ph_import_append(import, &attributes, 2);
}

static const struct ph_case gather_cases[] = {
    {"channels, one twice, one from the end", &(const struct ph_axis_attributes){1},
     .inputs = {{PH_SHAPE(2, 4, 3), -1, 1}, {PH_SHAPE(3), .values = (const double[]){2, -1, 2}, .constant = true}}},
    {"a matrix of indices", &(const struct ph_axis_attributes){0},
     .inputs = {{PH_SHAPE(3, 2), -1, 1}, {PH_SHAPE(2, 2), .values = (const double[]){0, 2, 1, 1}, .constant = true}}},
    {"a scalar index drops the first axis", &(const struct ph_axis_attributes){0},
     .inputs = {{PH_SHAPE(3, 2), -1, 1}, {PH_SCALAR, .values = (const double[]){-1}, .constant = true}}},
    {"a scalar index drops the last axis", &(const struct ph_axis_attributes){2},
     .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}, {PH_SCALAR, .values = (const double[]){3}, .constant = true}}},
    {NULL}};

PH_OPERATION(gather) = {
    .name = "gather",
    .help = "picks slices of one axis by constant indices",
    .attributes_size = sizeof(struct ph_axis_attributes),
    .minimum_inputs = 2, .maximum_inputs = 2,
    .differentiable = 1, .backward_reads = PH_READS_INPUTS,
    .infer = gather_infer, .forward = gather_forward, .backward = gather_backward, .flops = ph_flops_none,
    .importers = (const struct ph_importer[]){
        {"Gather", gather_read}, {"GatherND", ph_gather_nd_read}, {"GatherElements", ph_gather_elements_read},
        {"ScatterND", ph_scatter_nd_read}, {"ScatterElements", ph_scatter_elements_read}, {"Scatter", ph_scatter_elements_read},
        {NULL}},
    .cases = gather_cases,
};
