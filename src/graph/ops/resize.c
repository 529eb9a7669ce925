/* resize: samples a tensor at other points, by the nearest element, linearly or cubically (Keys 1981), axis by axis.
 *
 * An axis maps output position i to a coordinate x in the input and gives the elements around x weights k((j - x) s),
 * where k is the filter and s = min(scale, 1) widens it when antialiasing shrinks and is 1 otherwise. Elements beyond
 * the edge are the edge's, or left out and the weights divided by the sum of the rest (exclude_outside). An output
 * element is the sum over the product of its axes' elements. Backward hands the gradient out by the same weights.
 * Definition: https://onnx.ai/onnx/operators/onnx__Resize.html */
#include "graph/operations.h"
#include "graph/ops/border.h"
#include <math.h>
#include <string.h>

/* The elements that make one output position of an axis: indices first .. first + count - 1, to be clamped. */
struct taps {
    int64_t first, count, size; /* size: of the input's axis */
    double x, stretch, factor;  /* weight of index j: factor * k((j - x) * stretch) */
    enum ph_resize_mode mode;
    double cubic_a;
    bool exclude_outside;
};

static bool axis_is_kept(const struct ph_resize_attributes *attributes, int axis, int64_t size) {
    return attributes->output.dims[axis] == size && attributes->scale[axis] == 1 &&
           (attributes->coordinates != PH_TF_CROP_AND_RESIZE ||
            (attributes->roi_begin[axis] == 0 && attributes->roi_end[axis] == 1));
}

/* Where output position i of an axis of `size` input elements lies in the input. The resized length is scale * size,
 * which need not be the whole number of elements that the output has. */
static double coordinate(const struct ph_resize_attributes *attributes, int axis, int64_t size, int64_t i) {
    double scale = attributes->scale[axis], length = scale * (double)size, last = (double)(size - 1);
    double half_pixel = ((double)i + 0.5) / scale - 0.5;
    double begin = attributes->roi_begin[axis], end = attributes->roi_end[axis];
    switch (attributes->coordinates) {
    case PH_PYTORCH_HALF_PIXEL: return length > 1 ? half_pixel : 0;
    case PH_ALIGN_CORNERS: return length == 1 ? 0 : (double)i * last / (length - 1);
    case PH_ASYMMETRIC: return (double)i / scale;
    case PH_TF_HALF_PIXEL_FOR_NN: return ((double)i + 0.5) / scale;
    case PH_TF_CROP_AND_RESIZE:
        return length > 1 ? begin * last + (double)i * (end - begin) * last / (length - 1) : 0.5 * (begin + end) * last;
    case PH_HALF_PIXEL_SYMMETRIC:
        return half_pixel + 0.5 * (double)size * (1 - (double)attributes->output.dims[axis] / length);
    case PH_HALF_PIXEL: break;
    }
    return half_pixel;
}

static double nearest(enum ph_resize_nearest rounding, double x) {
    switch (rounding) {
    case PH_ROUND_PREFER_FLOOR: return ceil(x - 0.5);
    case PH_ROUND_PREFER_CEIL: return floor(x + 0.5);
    case PH_FLOOR: return floor(x);
    case PH_CEIL: break;
    }
    return ceil(x);
}

static double filter(const struct taps *taps, double x) {
    double a = taps->cubic_a;
    x = fabs(x);
    if (taps->mode == PH_RESIZE_NEAREST) return 1;
    if (taps->mode == PH_RESIZE_LINEAR) return x < 1 ? 1 - x : 0;
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double tap_weight(const struct taps *taps, int64_t j) {
    if (taps->exclude_outside && (j < 0 || j >= taps->size)) return 0;
    return taps->factor * filter(taps, ((double)j - taps->x) * taps->stretch);
}

/* False when the position lies outside the input and takes the extrapolation value. */
static bool taps_find(const struct ph_resize_attributes *attributes, int axis, int64_t size, int64_t i,
                      struct taps *taps) {
    if (axis_is_kept(attributes, axis, size)) {
        *taps = (struct taps){.first = i, .count = 1, .size = size, .factor = 1, .mode = PH_RESIZE_NEAREST};
        return true;
    }
    double x = coordinate(attributes, axis, size, i);
    if (attributes->coordinates == PH_TF_CROP_AND_RESIZE && !(x >= 0 && x <= (double)(size - 1))) return false;
    /* Nothing but the edge lies further out than this; it keeps the indices in range whatever the scale. */
    x = fmin(fmax(x, -2 * (double)size - 4), 3 * (double)size + 4);
    *taps = (struct taps){.size = size, .x = x, .stretch = 1, .factor = 1, .mode = attributes->mode,
        .cubic_a = attributes->cubic_a, .exclude_outside = attributes->exclude_outside};
    if (attributes->mode == PH_RESIZE_NEAREST) {
        taps->first = ph_border_clamp((int64_t)nearest(attributes->nearest, x), size);
        taps->count = 1;
        return true;
    }
    if (attributes->antialias && attributes->scale[axis] < 1) taps->stretch = attributes->scale[axis];
    double reach = (attributes->mode == PH_RESIZE_LINEAR ? 1 : 2) / taps->stretch;
    taps->first = (int64_t)floor(x - reach) + 1;
    taps->count = (int64_t)ceil(x + reach) - taps->first;
    if (taps->stretch < 1 || taps->exclude_outside) {
        double sum = 0;
        for (int64_t j = 0; j < taps->count; j++) sum += tap_weight(taps, taps->first + j);
        if (sum != 0) taps->factor = 1 / sum;
    }
    return true;
}

/* Sum over the elements of axes `axis` and up of weight times x, which starts at the elements already chosen. */
static double taps_sum(const struct taps *taps, const struct ph_shape *shape, int axis, const real *x, int64_t offset) {
    if (axis == shape->rank) return x[offset];
    double sum = 0;
    for (int64_t j = taps[axis].first; j < taps[axis].first + taps[axis].count; j++) {
        int64_t at = offset * shape->dims[axis] + ph_border_clamp(j, shape->dims[axis]);
        double weight = tap_weight(&taps[axis], j);
        if (weight != 0) sum += weight * taps_sum(taps, shape, axis + 1, x, at);
    }
    return sum;
}

/* The transpose of taps_sum. */
static void taps_add(const struct taps *taps, const struct ph_shape *shape, int axis, real *dx, int64_t offset,
                     double dy) {
    if (axis == shape->rank) {
        dx[offset] += (real)dy;
        return;
    }
    for (int64_t j = taps[axis].first; j < taps[axis].first + taps[axis].count; j++) {
        int64_t at = offset * shape->dims[axis] + ph_border_clamp(j, shape->dims[axis]);
        double weight = tap_weight(&taps[axis], j);
        if (weight != 0) taps_add(taps, shape, axis + 1, dx, at, weight * dy);
    }
}

/* Calls itself for each axis, so that the taps of outer axes are found once for all that lies within. `offset` counts
 * output elements; `inside` is false once an axis left the input. */
static void forward_axis(const struct ph_call *call, struct taps *taps, int axis, int64_t offset, bool inside) {
    const struct ph_resize_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    if (axis == shape->rank) {
        ((real *)call->outputs[0])[offset] =
            (real)(inside ? taps_sum(taps, shape, 0, call->inputs[0], 0) : attributes->extrapolation);
        return;
    }
    for (int64_t i = 0; i < attributes->output.dims[axis]; i++) {
        bool found = taps_find(attributes, axis, shape->dims[axis], i, &taps[axis]);
        forward_axis(call, taps, axis + 1, offset * attributes->output.dims[axis] + i, inside && found);
    }
}

static void backward_axis(const struct ph_call *call, struct taps *taps, int axis, int64_t offset) {
    const struct ph_resize_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    if (axis == shape->rank) {
        taps_add(taps, shape, 0, call->input_gradients[0], 0, ((const real *)call->output_gradients[0])[offset]);
        return;
    }
    for (int64_t i = 0; i < attributes->output.dims[axis]; i++)
        if (taps_find(attributes, axis, shape->dims[axis], i, &taps[axis]))
            backward_axis(call, taps, axis + 1, offset * attributes->output.dims[axis] + i);
}

static void resize_forward(const struct ph_call *call) {
    struct taps taps[PH_MAX_RANK] = {0};
    forward_axis(call, taps, 0, 0, true);
}

static void resize_backward(const struct ph_call *call) {
    struct taps taps[PH_MAX_RANK] = {0};
    if (call->input_gradients[0] && call->output_gradients[0]) backward_axis(call, taps, 0, 0);
}

/* A multiply-add for each element under the filter. */
static double resize_flops(const struct ph_call *call) {
    const struct ph_resize_attributes *attributes = call->attributes;
    double taps = 1;
    if (attributes->mode == PH_RESIZE_NEAREST) return 0;
    for (int i = 0; i < attributes->output.rank; i++) {
        if (axis_is_kept(attributes, i, call->input_shapes[0]->dims[i])) continue;
        taps *= attributes->mode == PH_RESIZE_LINEAR ? 2 : 4;
        if (attributes->antialias && attributes->scale[i] < 1) taps /= attributes->scale[i];
    }
    return 2 * taps * (double)ph_shape_size(&call->output_shapes[0]);
}

static ph_status resize_infer(struct ph_inference *inference) {
    const struct ph_resize_attributes *attributes = inference->attributes;
    const struct ph_shape *shape = &inference->inputs[0]->shape;
    if (attributes->output.rank != shape->rank || !ph_shape_valid(&attributes->output))
        return ph_infer_fail(inference, "%d output sizes, all positive, expected", shape->rank);
    for (int i = 0; i < shape->rank; i++) {
        double scale = attributes->scale[i];
        if (!(scale > 1e-9 && scale < 1e9)) return ph_infer_fail(inference, "axis %d: scale %g", i, scale);
        if (shape->dims[i] == 0 && attributes->output.dims[i] > 0)
            return ph_infer_fail(inference, "axis %d is empty: there is nothing to sample", i);
    }
    inference->shapes[0] = attributes->output;
    return PH_OK;
}

/* ---- Resize and Upsample ----------------------------------------------------------------------------------------- */

/* Index of `text` in a list of `count` names. */
static ph_status name_read(const struct ph_import *import, const char *attribute, const char *initial,
                           const char *const *names, int count, int *index) {
    char text[32];
    ph_import_string(import, attribute, initial, text, sizeof text);
    for (*index = 0; *index < count; ++*index)
        if (!strcmp(names[*index], text)) return PH_OK;
    return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "%s '%s' is not supported", attribute, text);
}

/* Scales or sizes from input `index`, one for each of `count` axes; *found false when the input is absent or empty. */
static ph_status numbers_read(const struct ph_import *import, int index, const char *what, int count, double *out,
                              bool *found) {
    int length;
    PH_TRY(ph_import_floats_input(import, index, what, out, 2 * PH_MAX_RANK, &length));
    *found = length > 0;
    if (*found && length != count)
        return ph_import_fail(import, PH_ERROR_SHAPE, "%s has %d entries, %d expected", what, length, count);
    return PH_OK;
}

/* Output size and scale of the given axes; the others are kept. */
static ph_status apply_scales(const struct ph_import *import, const struct ph_shape *shape, const int64_t *axes,
                              int count, const double *scales, struct ph_resize_attributes *attributes) {
    for (int i = 0; i < count; i++) {
        /* In float, as the file's type says: 0.7f * 10 is 7, where the exact product is a little less. */
        float length = (float)scales[i] * (float)shape->dims[axes[i]];
        if (!(length >= 0 && length < 0x1p40f))
            return ph_import_fail(import, PH_ERROR_SHAPE, "axis %lld: scale %g", (long long)axes[i], scales[i]);
        attributes->scale[axes[i]] = scales[i];
        attributes->output.dims[axes[i]] = (int64_t)length;
    }
    return PH_OK;
}

static ph_status apply_sizes(const struct ph_import *import, const struct ph_shape *shape, const int64_t *axes,
                             int count, const double *sizes, struct ph_resize_attributes *attributes) {
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    enum { STRETCH, NOT_LARGER, NOT_SMALLER };
    int policy;
    double common = 0;
    PH_TRY(name_read(import, "keep_aspect_ratio_policy", "stretch", policies, PH_COUNT(policies), &policy));
    for (int i = 0; i < count; i++) {
        int64_t axis = axes[i], dim = shape->dims[axis];
        double size = sizes[i];
        if (axis == 0 && import->file_batch > 0 && size == (double)import->file_batch && dim == import->batch)
            size = (double)dim; /* the batch a file was exported with stands for the batch of this graph */
        if (!(size >= 0 && size < 0x1p40) || dim == 0)
            return ph_import_fail(import, PH_ERROR_SHAPE, "axis %lld: from size %lld to %g", (long long)axis,
                                  (long long)dim, size);
        double scale = size / (double)dim;
        attributes->output.dims[axis] = (int64_t)size;
        attributes->scale[axis] = scale;
        if (i == 0 || (policy == NOT_LARGER ? scale < common : scale > common)) common = scale;
    }
    for (int i = 0; i < count && policy != STRETCH; i++) {
        attributes->scale[axes[i]] = common;
        attributes->output.dims[axes[i]] = (int64_t)floor(common * (double)shape->dims[axes[i]] + 0.5);
    }
    return PH_OK;
}

/* Before opset 11 there are scales alone, coordinates are i / scale, and the nearest element is the one below when
 * enlarging, above when shrinking. Opset 11 adds region, sizes and all the modes, 18 axes, antialias and the policy. */
static ph_status resize_read(struct ph_import *import) {
    static const char *const modes[] = {"nearest", "linear", "cubic"}; /* these in the order of their enums */
    static const char *const coordinates[] = {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
        "tf_half_pixel_for_nn", "tf_crop_and_resize", "half_pixel_symmetric"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    struct ph_resize_attributes attributes = {.output = x->shape};
    int rank = x->shape.rank, count, mode, coordinate_mode, rounding;
    bool found;
    double numbers[2 * PH_MAX_RANK];
    int64_t axes[PH_MAX_RANK];
    for (int i = 0; i < rank; i++) attributes.scale[i] = attributes.roi_end[i] = 1;

    char name[32]; /* Upsample's old name of linear is bilinear */
    bool bilinear = !strcmp(ph_import_string(import, "mode", "nearest", name, sizeof name), "bilinear");
    if (bilinear) mode = PH_RESIZE_LINEAR;
    else PH_TRY(name_read(import, "mode", "nearest", modes, PH_COUNT(modes), &mode));
    bool simple = import->version < 11 || !strcmp(import->type, "Upsample");
    PH_TRY(name_read(import, "coordinate_transformation_mode", simple ? "asymmetric" : "half_pixel", coordinates,
                     PH_COUNT(coordinates), &coordinate_mode));
    PH_TRY(name_read(import, "nearest_mode", "round_prefer_floor", roundings, PH_COUNT(roundings), &rounding));
    attributes.mode = (enum ph_resize_mode)mode;
    attributes.coordinates = (enum ph_resize_coordinates)coordinate_mode;
    attributes.nearest = (enum ph_resize_nearest)rounding;
    attributes.cubic_a = ph_import_float(import, "cubic_coeff_a", -0.75);
    attributes.extrapolation = ph_import_float(import, "extrapolation_value", 0);
    attributes.exclude_outside = ph_import_int(import, "exclude_outside", 0);
    attributes.antialias = ph_import_int(import, "antialias", 0);

    PH_TRY(ph_import_ints(import, "axes", axes, PH_MAX_RANK, &count));
    if (count < 0)
        for (count = 0; count < rank; count++) axes[count] = count;
    PH_TRY(ph_import_resolve_axes(import, axes, count, rank));

    if (simple) {
        const float *scales;
        int length;
        if (import->reader->get_floats(import->source, "scales", &scales, &length)) {
            if (length != count)
                return ph_import_fail(import, PH_ERROR_SHAPE, "scales has %d entries, %d expected", length, count);
            for (int i = 0; i < count; i++) numbers[i] = scales[i];
        } else {
            PH_TRY(numbers_read(import, 1, "scales", count, numbers, &found));
            if (!found) return ph_import_fail(import, PH_ERROR_FORMAT, "scales are missing");
        }
        PH_TRY(apply_scales(import, &x->shape, axes, count, numbers, &attributes));
        attributes.nearest = PH_FLOOR;
        for (int i = 0; i < count; i++)
            if (numbers[i] < 1) attributes.nearest = PH_CEIL;
        return ph_import_append(import, &attributes, 1);
    }

    if (attributes.coordinates == PH_TF_CROP_AND_RESIZE) {
        PH_TRY(numbers_read(import, 1, "roi", 2 * count, numbers, &found));
        if (!found) return ph_import_fail(import, PH_ERROR_FORMAT, "its region (roi) is missing");
        for (int i = 0; i < count; i++) {
            attributes.roi_begin[axes[i]] = numbers[i];
            attributes.roi_end[axes[i]] = numbers[count + i];
        }
    }
    PH_TRY(numbers_read(import, 2, "scales", count, numbers, &found));
    if (found) {
        PH_TRY(apply_scales(import, &x->shape, axes, count, numbers, &attributes));
    } else {
        PH_TRY(numbers_read(import, 3, "sizes", count, numbers, &found));
        if (!found) return ph_import_fail(import, PH_ERROR_FORMAT, "neither scales nor sizes are given");
        PH_TRY(apply_sizes(import, &x->shape, axes, count, numbers, &attributes));
    }
    return ph_import_append(import, &attributes, 1);
}

static const struct ph_case resize_cases[] = {
    {"nearest, doubled", &(const struct ph_resize_attributes){{4, {1, 2, 6, 8}}, {1, 1, 2, 2},
     .coordinates = PH_ASYMMETRIC, .nearest = PH_FLOOR}, .inputs = {{PH_SHAPE(1, 2, 3, 4), -1, 1}}},
    {"nearest, shrunk", &(const struct ph_resize_attributes){{3, {2, 2, 3}}, {1, 0.6, 0.6}},
     .inputs = {{PH_SHAPE(2, 4, 5), -1, 1}}},
    {"linear, half pixel", &(const struct ph_resize_attributes){{4, {1, 2, 7, 9}}, {1, 1, 7 / 3.0, 9 / 4.0},
     .mode = PH_RESIZE_LINEAR}, .inputs = {{PH_SHAPE(1, 2, 3, 4), -1, 1}}},
    {"linear, aligned corners", &(const struct ph_resize_attributes){{3, {2, 5, 3}}, {1, 5 / 3.0, 3 / 4.0},
     .mode = PH_RESIZE_LINEAR, .coordinates = PH_ALIGN_CORNERS}, .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}}},
    {"linear, antialiased", &(const struct ph_resize_attributes){{2, {3, 4}}, {3 / 7.0, 4 / 10.0},
     .mode = PH_RESIZE_LINEAR, .antialias = true}, .inputs = {{PH_SHAPE(7, 10), -1, 1}}},
    {"linear, symmetric, three axes", &(const struct ph_resize_attributes){{3, {4, 3, 5}}, {2.3, 1.2, 1.9},
     .mode = PH_RESIZE_LINEAR, .coordinates = PH_HALF_PIXEL_SYMMETRIC}, .inputs = {{PH_SHAPE(2, 3, 3), -1, 1}}},
    {"cubic", &(const struct ph_resize_attributes){{3, {2, 7, 5}}, {1, 7 / 4.0, 5 / 6.0}, .mode = PH_RESIZE_CUBIC,
     .cubic_a = -0.75}, .inputs = {{PH_SHAPE(2, 4, 6), -1, 1}}},
    {"cubic, outside excluded, antialiased", &(const struct ph_resize_attributes){{2, {3, 9}}, {3 / 8.0, 9 / 5.0},
     .mode = PH_RESIZE_CUBIC, .cubic_a = -0.5, .exclude_outside = true, .antialias = true},
     .inputs = {{PH_SHAPE(8, 5), -1, 1}}},
    {"crop and resize", &(const struct ph_resize_attributes){{2, {3, 4}}, {3 / 4.0, 4 / 5.0}, {0.4, 0.6}, {0.6, 1.2},
     .mode = PH_RESIZE_LINEAR, .coordinates = PH_TF_CROP_AND_RESIZE, .extrapolation = 2},
     .inputs = {{PH_SHAPE(4, 5), -1, 1}}},
    {NULL}};

PH_OPERATION(resize) = {
    .name = "resize",
    .help = "samples at other points: nearest, linear or cubic, on any axes",
    .attributes_size = sizeof(struct ph_resize_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = resize_infer, .forward = resize_forward, .backward = resize_backward, .flops = resize_flops,
    .importers = (const struct ph_importer[]){{"Resize", resize_read}, {"Upsample", resize_read}, {NULL}},
    .cases = resize_cases,
};
