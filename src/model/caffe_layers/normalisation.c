/* Caffe layers that normalise, and those that scale and shift. */
#include "model/caffe_layers/layers.h"
#include <string.h>

ph_status ph_caffe_build_lrn(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(LRN, lrn, LRNPARAMETER);
    if (p->local_size % 2 == 0)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "local_size %u, an odd number expected", (unsigned)p->local_size);
    bool within = p->norm_region == PH_CAFFE__LRNPARAMETER__NORM_REGION__WITHIN_CHANNEL;
    struct ph_response_norm_attributes attributes = {.size = p->local_size, .alpha = p->alpha, .beta = p->beta,
        .bias = within ? 1 : p->k, .within_channel = within}; /* within a channel Caffe ignores k */
    return ph_caffe_finish(build, &ph_operation_local_response_norm, &attributes, build->inputs, 1);
}

/* A constant of `count` equal numbers. */
static ph_status filled(const struct ph_caffe_build *build, int64_t count, float number, int *value) {
    float *data = ph_alloc_array((size_t)count, sizeof *data);
    if (!data) return ph_fail_memory(build->graph->context);
    for (int64_t i = 0; i < count; i++) data[i] = number;
    ph_status status = ph_graph_add_constant_copy(build->graph, NULL, PH_FLOAT, PH_SHAPE(count), data, value);
    ph_free(data);
    return status;
}

/* A stored statistic divided by the third blob, the weight of the moving average (0 means 0). */
static ph_status statistic(const struct ph_caffe_build *build, int index, const char *what, int64_t channels,
                           int *value) {
    int stored, factor;
    PH_TRY(ph_caffe_constant(build, index, what, PH_SHAPE(channels), &stored));
    PH_TRY(ph_caffe_constant(build, 2, "moving average factor", PH_SHAPE(1), &factor));
    double weight = build->layer->blobs[2].data[0];
    if (weight == 1) {
        *value = stored;
        return PH_OK;
    }
    int inputs[2] = {stored};
    PH_TRY(ph_caffe_scalar(build, weight == 0 ? 0 : 1 / weight, &inputs[1]));
    return ph_caffe_append(build, &ph_operation_mul, NULL, inputs, 2, value); /* of constants: computed at once */
}

ph_status ph_caffe_build_batch_norm(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(BatchNorm, batch_norm, BATCH_NORM_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (x.rank < 2) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, at least 2 expected", x.rank);
    int inputs[5] = {build->inputs[0]};
    PH_TRY(statistic(build, 0, "mean", x.dims[1], &inputs[3])); /* first: bounds the number of channels */
    PH_TRY(statistic(build, 1, "variance", x.dims[1], &inputs[4]));
    PH_TRY(filled(build, x.dims[1], 1, &inputs[1]));
    PH_TRY(filled(build, x.dims[1], 0, &inputs[2]));
    struct ph_norm_attributes attributes = {.epsilon = p->eps};
    return ph_caffe_finish(build, &ph_operation_batch_norm, &attributes, inputs, 5);
}

/* Shape of the operand: a second bottom's own axes, or num_axes of the first (-1: all from `axis` on). */
static ph_status operand_resolve(const struct ph_caffe_build *build, int64_t axis_field, int64_t num_axes,
                                 struct ph_shape *shape) {
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    int axis;
    PH_TRY(ph_caffe_axis(build, "axis", axis_field, x.rank, x.rank + 1, &axis));
    int64_t axes = num_axes < 0 ? x.rank - axis : num_axes;
    if (build->input_count > 1) axes = ph_caffe_shape(build, build->inputs[1]).rank;
    if (axes > x.rank - axis)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "%lld axes from axis %d on, the bottom has %d", (long long)axes, axis,
                             x.rank);
    *shape = ph_caffe_operand_shape(&x, axis, (int)axes);
    return PH_OK;
}

/* The operand itself: the second bottom, or blob `index`. */
static ph_status operand(const struct ph_caffe_build *build, int index, const char *what, struct ph_shape shape,
                         int *value) {
    if (build->input_count < 2) return ph_caffe_constant(build, index, what, shape, value);
    struct ph_shape other = ph_caffe_shape(build, build->inputs[1]);
    char has[128], needs[128];
    bool equal = other.rank <= shape.rank && !memcmp(other.dims, shape.dims, (size_t)other.rank * sizeof other.dims[0]);
    if (!equal)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "its second bottom has shape %s, which does not fit %s",
                             ph_shape_text(&other, has), ph_shape_text(&shape, needs));
    struct ph_shape_attributes attributes = {shape};
    return ph_caffe_append(build, &ph_operation_reshape, &attributes, &build->inputs[1], 1, value);
}

/* Whether a constant consists of one number. */
static bool is_filled(const struct ph_caffe_build *build, int value, float number) {
    const struct ph_value *record = &build->graph->values[value];
    for (int64_t i = 0; record->data && i < ph_shape_size(&record->shape); i++)
        if (((const float *)record->data)[i] != number) return false;
    return record->data != NULL;
}

/* One factor and shift for each channel: a batch norm of mean 0 and variance 1, or with those of the BatchNorm layer
 * that mostly stands in front, so that both are one node, which folds into the convolution before them like any other.
 * The BatchNorm's own node then stays behind for whoever taps it. inputs[1] and [2] are factor and shift. */
static ph_status scale_channels(const struct ph_caffe_build *build, int inputs[5]) {
    int made_by = build->graph->values[inputs[0]].node;
    const struct ph_node *norm = made_by == PH_ABSENT ? NULL : &build->graph->nodes[made_by];
    if (norm && norm->operation == &ph_operation_batch_norm && is_filled(build, norm->inputs[1], 1) &&
        is_filled(build, norm->inputs[2], 0)) {
        inputs[0] = norm->inputs[0];
        inputs[3] = norm->inputs[3];
        inputs[4] = norm->inputs[4];
        return ph_caffe_finish(build, &ph_operation_batch_norm, norm->attributes, inputs, 5);
    }
    int64_t channels = ph_caffe_shape(build, inputs[0]).dims[1];
    PH_TRY(filled(build, channels, 0, &inputs[3]));
    PH_TRY(filled(build, channels, 1, &inputs[4]));
    struct ph_norm_attributes attributes = {0};
    return ph_caffe_finish(build, &ph_operation_batch_norm, &attributes, inputs, 5);
}

ph_status ph_caffe_build_scale(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Scale, scale, SCALE_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]), shape;
    int axis, inputs[5] = {build->inputs[0]};
    PH_TRY(operand_resolve(build, p->axis, p->num_axes, &shape));
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, x.rank, x.rank + 1, &axis));
    if (build->input_count == 1 && axis == 1 && p->num_axes == 1 && x.rank >= 2) {
        PH_TRY(ph_caffe_constant(build, 0, "scale", PH_SHAPE(x.dims[1]), &inputs[1]));
        if (p->bias_term) PH_TRY(ph_caffe_constant(build, 1, "bias", PH_SHAPE(x.dims[1]), &inputs[2]));
        else PH_TRY(filled(build, x.dims[1], 0, &inputs[2]));
        return scale_channels(build, inputs);
    }
    PH_TRY(operand(build, 0, "scale", shape, &inputs[1]));
    if (!p->bias_term) return ph_caffe_finish(build, &ph_operation_mul, NULL, inputs, 2);
    PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, inputs, 2, &inputs[0]));
    PH_TRY(ph_caffe_constant(build, build->input_count > 1 ? 0 : 1, "bias", shape, &inputs[1]));
    return ph_caffe_finish(build, &ph_operation_add, NULL, inputs, 2);
}

ph_status ph_caffe_build_bias(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Bias, bias, BIAS_PARAMETER);
    struct ph_shape shape;
    int inputs[2] = {build->inputs[0]};
    PH_TRY(operand_resolve(build, p->axis, p->num_axes, &shape));
    PH_TRY(operand(build, 0, "bias", shape, &inputs[1]));
    return ph_caffe_finish(build, &ph_operation_add, NULL, inputs, 2);
}

/* (x - mean) / (deviation + eps) over each channel, or each whole item. */
ph_status ph_caffe_build_mvn(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(MVN, mvn, MVNPARAMETER);
    int rank = ph_caffe_shape(build, build->inputs[0]).rank, first = p->across_channels ? 1 : 2;
    if (rank <= first)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, at least %d expected", rank, first + 1);
    struct ph_reduce_attributes axes = {.axis_count = rank - first, .keep_dims = true};
    for (int i = first; i < rank; i++) axes.axes[i - first] = i;
    int centred[2] = {build->inputs[0]}, square[2], deviation[2];
    PH_TRY(ph_caffe_append(build, &ph_operation_reduce_mean, &axes, &centred[0], 1, &centred[1]));
    if (!p->normalize_variance) return ph_caffe_finish(build, &ph_operation_sub, NULL, centred, 2);
    PH_TRY(ph_caffe_append(build, &ph_operation_sub, NULL, centred, 2, &centred[0]));
    square[0] = square[1] = centred[0];
    PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, square, 2, &square[0]));
    PH_TRY(ph_caffe_append(build, &ph_operation_reduce_mean, &axes, square, 1, &deviation[0]));
    PH_TRY(ph_caffe_append(build, &ph_operation_sqrt, NULL, deviation, 1, &deviation[0]));
    PH_TRY(ph_caffe_scalar(build, p->eps, &deviation[1]));
    PH_TRY(ph_caffe_append(build, &ph_operation_add, NULL, deviation, 2, &centred[1]));
    return ph_caffe_finish(build, &ph_operation_div, NULL, centred, 2);
}

/* SSD's: x / sqrt(eps + sum of squares) * scale, the sum over channels, or with across_spatial over the whole item. */
ph_status ph_caffe_build_normalize(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Normalize, norm, NORMALIZE_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (x.rank < 2) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, at least 2 expected", x.rank);
    struct ph_reduce_attributes axes = {.axis_count = p->across_spatial ? x.rank - 1 : 1, .keep_dims = true};
    for (int i = 0; i < axes.axis_count; i++) axes.axes[i] = i + 1;
    int square[2] = {build->inputs[0], build->inputs[0]}, ratio[2] = {build->inputs[0]};
    PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, square, 2, &square[0]));
    PH_TRY(ph_caffe_append(build, &ph_operation_reduce_sum, &axes, square, 1, &square[0]));
    PH_TRY(ph_caffe_scalar(build, p->eps, &square[1]));
    PH_TRY(ph_caffe_append(build, &ph_operation_add, NULL, square, 2, &square[0]));
    PH_TRY(ph_caffe_append(build, &ph_operation_sqrt, NULL, square, 1, &ratio[1]));
    PH_TRY(ph_caffe_append(build, &ph_operation_div, NULL, ratio, 2, &ratio[0]));
    PH_TRY(ph_caffe_constant(build, 0, "scale", p->channel_shared ? PH_SHAPE(1) : ph_caffe_operand_shape(&x, 1, 1), &ratio[1]));
    return ph_caffe_finish(build, &ph_operation_mul, NULL, ratio, 2);
}
