/* The table of Caffe's layer types: how each becomes nodes of a graph. Rules are those of Caffe's src/caffe/layers, and
 * of the SSD and DeepLab branches for their own types.
 */
#include "model/caffe_layers/layers.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

/* ---- What the builders share ------------------------------------------------------------------------------------- */

/* Element-wise layers are short chains: an operation on the value so far and, where `operation` is binary, a number. */
struct step { const struct ph_operation *operation; const void *attributes; bool binary; double number; };

static ph_status chain(const struct ph_caffe_build *build, const struct step *steps, int count) {
    int inputs[2] = {build->inputs[0]};
    if (!count) build->outputs[0] = inputs[0];
    for (int i = 0; i < count; i++) {
        if (steps[i].binary) PH_TRY(ph_caffe_scalar(build, steps[i].number, &inputs[1]));
        int used = 1 + steps[i].binary;
        if (i == count - 1) return ph_caffe_finish(build, steps[i].operation, steps[i].attributes, inputs, used);
        PH_TRY(ph_caffe_append(build, steps[i].operation, steps[i].attributes, inputs, used, &inputs[0]));
    }
    return PH_OK;
}

/* Appends x * scale + shift to a chain, without what changes nothing. */
static void add_affine(struct step *steps, int *count, double scale, double shift) {
    if (scale != 1) steps[(*count)++] = (struct step){&ph_operation_mul, NULL, true, scale};
    if (shift != 0) steps[(*count)++] = (struct step){&ph_operation_add, NULL, true, shift};
}

/* ---- Normalisation ----------------------------------------------------------------------------------------------- */

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

/* ---- Element-wise ------------------------------------------------------------------------------------------------ */

ph_status ph_caffe_build_relu(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(ReLU, relu, RE_LUPARAMETER);
    struct ph_activation_attributes attributes = {.alpha = p->negative_slope};
    return ph_caffe_finish(build, p->negative_slope == 0 ? &ph_operation_relu : &ph_operation_leaky_relu, &attributes,
                           build->inputs, 1);
}

ph_status ph_caffe_build_relu6(struct ph_caffe_build *build) {
    struct ph_activation_attributes attributes = {.low = 0, .high = 6};
    return ph_caffe_finish(build, &ph_operation_clip, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_clip(struct ph_caffe_build *build) {
    const PhCaffe__ClipParameter *p = build->layer->parameter->clip_param;
    if (!p || !p->has_min || !p->has_max) return ph_caffe_fail(build, PH_ERROR_FORMAT, "clip_param needs min and max");
    struct ph_activation_attributes attributes = {.low = p->min, .high = p->max};
    return ph_caffe_finish(build, &ph_operation_clip, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_prelu(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(PReLU, prelu, PRE_LUPARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (x.rank < 2) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, at least 2 expected", x.rank);
    int inputs[2] = {build->inputs[0]};
    struct ph_shape slope = p->channel_shared ? PH_SHAPE(1) : ph_caffe_operand_shape(&x, 1, 1);
    PH_TRY(ph_caffe_constant(build, 0, "slope", slope, &inputs[1]));
    return ph_caffe_finish(build, &ph_operation_prelu, NULL, inputs, 2);
}

ph_status ph_caffe_build_elu(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(ELU, elu, ELUPARAMETER);
    struct ph_activation_attributes attributes = {.alpha = p->alpha};
    return ph_caffe_finish(build, &ph_operation_elu, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_sigmoid(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_sigmoid); }
ph_status ph_caffe_build_tanh(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_tanh); }
ph_status ph_caffe_build_absolute(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_abs); }
ph_status ph_caffe_build_bnll(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_softplus); }

/* x * sigmoid(beta x) */
ph_status ph_caffe_build_swish(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Swish, swish, SWISH_PARAMETER);
    if (p->beta == 1) return ph_caffe_unary(build, &ph_operation_silu);
    int factors[2] = {build->inputs[0]}, gate[2] = {build->inputs[0]};
    PH_TRY(ph_caffe_scalar(build, p->beta, &gate[1]));
    PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, gate, 2, &gate[0]));
    PH_TRY(ph_caffe_append(build, &ph_operation_sigmoid, NULL, gate, 1, &factors[1]));
    return ph_caffe_finish(build, &ph_operation_mul, NULL, factors, 2);
}

/* (shift + scale x)^power */
ph_status ph_caffe_build_power(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Power, power, POWER_PARAMETER);
    struct step steps[3];
    int count = 0;
    add_affine(steps, &count, p->scale, p->shift);
    if (p->power != 1) steps[count++] = (struct step){&ph_operation_pow, NULL, true, p->power};
    return chain(build, steps, count);
}

/* Natural logarithm of the base that Exp and Log use; -1 stands for e. */
static ph_status log_base(const struct ph_caffe_build *build, double base, double *logarithm) {
    if (base != -1 && !(base > 0)) return ph_caffe_fail(build, PH_ERROR_FORMAT, "base %g, a positive one or -1 expected", base);
    *logarithm = base == -1 ? 1 : log(base);
    return PH_OK;
}

/* base^(shift + scale x) */
ph_status ph_caffe_build_exp(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Exp, exp, EXP_PARAMETER);
    struct step steps[3];
    int count = 0;
    double logarithm;
    PH_TRY(log_base(build, p->base_, &logarithm));
    add_affine(steps, &count, p->scale * logarithm, p->shift * logarithm);
    steps[count++] = (struct step){&ph_operation_exp, NULL, false, 0};
    return chain(build, steps, count);
}

/* log_base(shift + scale x) */
ph_status ph_caffe_build_log(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Log, log, LOG_PARAMETER);
    struct step steps[4];
    int count = 0;
    double logarithm;
    PH_TRY(log_base(build, p->base_, &logarithm));
    if (logarithm == 0) return ph_caffe_fail(build, PH_ERROR_FORMAT, "there is no logarithm to base 1");
    add_affine(steps, &count, p->scale, p->shift);
    steps[count++] = (struct step){&ph_operation_log, NULL, false, 0};
    add_affine(steps, &count, 1 / logarithm, 0);
    return chain(build, steps, count);
}

ph_status ph_caffe_build_eltwise(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Eltwise, eltwise, ELTWISE_PARAMETER);
    struct ph_shape first = ph_caffe_shape(build, build->inputs[0]);
    const struct ph_operation *operation = &ph_operation_add;
    if (p->operation == PH_CAFFE__ELTWISE_PARAMETER__ELTWISE_OP__PROD) operation = &ph_operation_mul;
    else if (p->operation == PH_CAFFE__ELTWISE_PARAMETER__ELTWISE_OP__MAX) operation = &ph_operation_max;
    else if (p->operation != PH_CAFFE__ELTWISE_PARAMETER__ELTWISE_OP__SUM)
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "operation %d; PROD, SUM and MAX are supported", (int)p->operation);
    if (p->n_coeff && (operation != &ph_operation_add || p->n_coeff != (size_t)build->input_count))
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "%zu coefficients for %d bottoms; one for each, and only for SUM",
                             p->n_coeff, build->input_count);
    int result = PH_ABSENT;
    for (int i = 0; i < build->input_count; i++) {
        struct ph_shape shape = ph_caffe_shape(build, build->inputs[i]);
        char a[128], b[128];
        if (!ph_shape_equal(&shape, &first))
            return ph_caffe_fail(build, PH_ERROR_SHAPE, "its bottoms have shapes %s and %s", ph_shape_text(&first, a),
                                 ph_shape_text(&shape, b));
        int term[2] = {build->inputs[i]}, pair[2] = {result};
        if (p->n_coeff && p->coeff[i] != 1) {
            PH_TRY(ph_caffe_scalar(build, p->coeff[i], &term[1]));
            PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, term, 2, &term[0]));
        }
        pair[1] = term[0];
        if (i == 0) result = term[0];
        else if (i == build->input_count - 1) return ph_caffe_finish(build, operation, NULL, pair, 2);
        else PH_TRY(ph_caffe_append(build, operation, NULL, pair, 2, &result));
    }
    build->outputs[0] = result; /* a single bottom */
    return PH_OK;
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

ph_status ph_caffe_build_concat(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Concat, concat, CONCAT_PARAMETER);
    int rank = ph_caffe_shape(build, build->inputs[0]).rank, axis;
    PH_TRY(ph_caffe_axis(build, "axis", p->has_concat_dim ? (int64_t)p->concat_dim : p->axis, rank, rank, &axis));
    struct ph_axis_attributes attributes = {axis};
    if (build->input_count > 1)
        return ph_caffe_finish(build, &ph_operation_concat, &attributes, build->inputs, build->input_count);
    build->outputs[0] = build->inputs[0];
    return PH_OK;
}

ph_status ph_caffe_build_slice(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Slice, slice, SLICE_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    int axis, parts = build->output_count;
    PH_TRY(ph_caffe_axis(build, "axis", p->has_slice_dim ? (int64_t)p->slice_dim : p->axis, x.rank, x.rank, &axis));
    if (parts > PH_MAX_OUTPUTS)
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "%d tops, at most %d are supported", parts, PH_MAX_OUTPUTS);
    if (p->n_slice_point && p->n_slice_point != (size_t)parts - 1)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "%zu slice points for %d tops", p->n_slice_point, parts);
    if (!p->n_slice_point && x.dims[axis] % parts)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "%lld elements of axis %d for %d equal tops", (long long)x.dims[axis], axis,
                             parts);
    if (parts == 1) {
        build->outputs[0] = build->inputs[0];
        return PH_OK;
    }
    struct ph_split_attributes attributes = {.axis = axis};
    for (int64_t i = 0, from = 0; i < parts; i++) {
        int64_t to = i == parts - 1     ? x.dims[axis]
                     : p->n_slice_point ? p->slice_point[i]
                                        : x.dims[axis] / parts * (i + 1);
        if (to <= from || to > x.dims[axis])
            return ph_caffe_fail(build, PH_ERROR_SHAPE, "slice points must rise and lie inside the %lld elements of axis %d",
                                 (long long)x.dims[axis], axis);
        attributes.sizes[i] = to - from;
        from = to;
    }
    return ph_graph_add_node(build->graph, &ph_operation_split, build->layer->name, &attributes, build->inputs, 1,
                             build->names, parts, build->outputs);
}

static ph_status reshape_to(struct ph_caffe_build *build, struct ph_shape shape) {
    struct ph_shape_attributes attributes = {shape};
    return ph_caffe_finish(build, &ph_operation_reshape, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_flatten(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Flatten, flatten, FLATTEN_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]), shape = {0};
    int from, to;
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, x.rank, x.rank, &from));
    PH_TRY(ph_caffe_axis(build, "end_axis", p->end_axis, x.rank, x.rank, &to));
    if (to < from) return ph_caffe_fail(build, PH_ERROR_FORMAT, "end_axis %d lies before axis %d", to, from);
    for (int i = 0; i < from; i++) shape.dims[shape.rank++] = x.dims[i];
    shape.dims[shape.rank++] = ph_caffe_product(&x, from, to + 1);
    for (int i = to + 1; i < x.rank; i++) shape.dims[shape.rank++] = x.dims[i];
    return reshape_to(build, shape);
}

/* Axes [axis, axis + num_axes) are replaced by the given ones: 0 copies, -1 is what remains. */
ph_status ph_caffe_build_reshape(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Reshape, reshape, RESHAPE_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]), shape = {0};
    size_t given = p->shape ? p->shape->n_dim : 0;
    int from, inferred = -1;
    /* A negative axis counts from behind the last one. */
    PH_TRY(ph_caffe_axis(build, "axis", p->axis < 0 ? (int64_t)p->axis + x.rank + 1 : p->axis, 0, x.rank + 1, &from));
    if (p->num_axes < -1 || p->num_axes > x.rank - from)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "num_axes %d, -1 to %d expected", (int)p->num_axes, x.rank - from);
    int to = p->num_axes < 0 ? x.rank : from + p->num_axes;
    if ((int64_t)given + x.rank - (to - from) > PH_MAX_RANK)
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "the result has more than %d axes", PH_MAX_RANK);
    for (int i = 0; i < from; i++) shape.dims[shape.rank++] = x.dims[i];
    for (size_t i = 0; i < given; i++) {
        int64_t dim = p->shape->dim[i];
        if (dim == 0 && from + (int)i >= to)
            return ph_caffe_fail(build, PH_ERROR_SHAPE, "dim 0 copies an axis that is not there");
        if (dim < -1 || (dim == -1 && inferred >= 0))
            return ph_caffe_fail(build, PH_ERROR_FORMAT, "dims must be positive, 0, or once -1");
        if (dim == -1) inferred = shape.rank;
        if (dim == 0) dim = x.dims[from + (int)i];
        /* The batch written in the file is not that of the graph. */
        if (shape.rank == 0 && dim == build->file_batch && x.dims[0] == build->batch) dim = build->batch;
        shape.dims[shape.rank++] = dim == -1 ? 1 : dim;
    }
    for (int i = to; i < x.rank; i++) shape.dims[shape.rank++] = x.dims[i];
    char has[128], needs[128];
    int64_t total = ph_shape_size(&x), known = ph_shape_valid(&shape) ? ph_shape_size(&shape) : 0;
    if (!known || total % known || (inferred < 0 && total != known))
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "%s cannot become %s", ph_shape_text(&x, has),
                             ph_shape_text(&shape, needs));
    if (inferred >= 0) shape.dims[inferred] = total / known;
    return reshape_to(build, shape);
}

/* SSD's: axes that are not named follow in their old order. */
ph_status ph_caffe_build_permute(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Permute, permute, PERMUTE_PARAMETER);
    int rank = ph_caffe_shape(build, build->inputs[0]).rank, count = 0;
    struct ph_transpose_attributes attributes = {0};
    bool used[PH_MAX_RANK] = {false};
    for (size_t i = 0; i < p->n_order; i++) {
        if (p->order[i] >= (uint32_t)rank || used[p->order[i]])
            return ph_caffe_fail(build, PH_ERROR_FORMAT, "order names axis %u twice or beyond the last, %d",
                                 (unsigned)p->order[i], rank - 1);
        used[p->order[i]] = true;
        attributes.order[count++] = p->order[i];
    }
    for (int i = 0; i < rank; i++)
        if (!used[i]) attributes.order[count++] = i;
    return ph_caffe_finish(build, &ph_operation_transpose, &attributes, build->inputs, 1);
}

/* The first bottom from `axis` on, cut to the sizes of the second. */
ph_status ph_caffe_build_crop(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Crop, crop, CROP_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]), reference = ph_caffe_shape(build, build->inputs[1]);
    int axis;
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, x.rank, x.rank, &axis));
    if (reference.rank != x.rank || (p->n_offset > 1 && p->n_offset != (size_t)(x.rank - axis)))
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "bottoms of %d and %d axes, %zu offsets for the %d cropped ones", x.rank,
                             reference.rank, p->n_offset, x.rank - axis);
    struct ph_slice_attributes attributes;
    for (int i = 0; i < x.rank; i++) {
        attributes.step[i] = 1;
        attributes.start[i] = i < axis || !p->n_offset ? 0 : p->offset[p->n_offset > 1 ? i - axis : 0];
        attributes.size[i] = i < axis ? x.dims[i] : reference.dims[i];
    }
    return ph_caffe_finish(build, &ph_operation_slice, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_tile(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Tile, tile, TILE_PARAMETER);
    int rank = ph_caffe_shape(build, build->inputs[0]).rank, axis;
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, rank, rank, &axis));
    if (p->tiles < 1) return ph_caffe_fail(build, PH_ERROR_FORMAT, "tiles %d, at least 1 expected", (int)p->tiles);
    struct ph_tile_attributes attributes;
    for (int i = 0; i < PH_MAX_RANK; i++) attributes.repeats[i] = i == axis ? p->tiles : 1;
    return ph_caffe_finish(build, &ph_operation_tile, &attributes, build->inputs, 1);
}

/* Channels [g, n] are read as [n, g] (ShuffleNet). */
ph_status ph_caffe_build_shuffle_channel(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(ShuffleChannel, shuffle_channel, SHUFFLE_CHANNEL_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (x.rank < 2 || !p->group || x.dims[1] % p->group)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "channels cannot be divided into %u groups", (unsigned)p->group);
    struct ph_shape_attributes grouped = {PH_SHAPE(x.dims[0], p->group, x.dims[1] / p->group, ph_caffe_product(&x, 2, x.rank))};
    struct ph_transpose_attributes swapped = {{0, 2, 1, 3}};
    struct ph_shape_attributes flat = {x};
    int value;
    PH_TRY(ph_caffe_append(build, &ph_operation_reshape, &grouped, build->inputs, 1, &value));
    PH_TRY(ph_caffe_append(build, &ph_operation_transpose, &swapped, &value, 1, &value));
    return ph_caffe_finish(build, &ph_operation_reshape, &flat, &value, 1);
}

/* ---- Sizes of pictures ------------------------------------------------------------------------------------------- */

static ph_status resize_to(struct ph_caffe_build *build, int64_t height, int64_t width, enum ph_resize_mode mode,
                           enum ph_resize_coordinates coordinates) {
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (height < 1 || width < 1)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "the result would be %lld by %lld", (long long)height, (long long)width);
    struct ph_resize_attributes attributes = {
        .output = x, .mode = mode, .coordinates = coordinates, .nearest = PH_FLOOR, .cubic_a = -0.75};
    attributes.output.dims[2] = height;
    attributes.output.dims[3] = width;
    for (int i = 0; i < x.rank; i++) attributes.scale[i] = (double)attributes.output.dims[i] / (double)x.dims[i];
    return ph_caffe_finish(build, &ph_operation_resize, &attributes, build->inputs, 1);
}

/* DeepLab's bilinear resize, corners on corners. */
ph_status ph_caffe_build_interp(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Interp, interp, INTERP_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (x.rank != 4) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, 4 expected", x.rank);
    if (p->pad_beg || p->pad_end) return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "pad_beg and pad_end are not supported");
    if (p->zoom_factor < 1 || p->shrink_factor < 1)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "zoom_factor and shrink_factor must be at least 1");
    int64_t size[2] = {p->height, p->width};
    for (int i = 0; i < 2 && !(p->has_height && p->has_width); i++) {
        size[i] = (x.dims[2 + i] - 1) / p->shrink_factor + 1;
        size[i] += (size[i] - 1) * (p->zoom_factor - 1);
    }
    return resize_to(build, size[0], size[1], PH_RESIZE_LINEAR, PH_ALIGN_CORNERS);
}

/* Nearest neighbour, as in the branches for YOLO. SegNet's unpooling of the same name has a second bottom. */
ph_status ph_caffe_build_upsample(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Upsample, upsample, UPSAMPLE_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (x.rank != 4) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, 4 expected", x.rank);
    return resize_to(build, x.dims[2] * p->scale, x.dims[3] * p->scale, PH_RESIZE_NEAREST, PH_ASYMMETRIC);
}

/* ---- Reductions -------------------------------------------------------------------------------------------------- */

ph_status ph_caffe_build_softmax(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Softmax, softmax, SOFTMAX_PARAMETER);
    int rank = ph_caffe_shape(build, build->inputs[0]).rank, axis;
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, rank, rank, &axis));
    struct ph_softmax_attributes attributes = {axis, axis + 1};
    return ph_caffe_finish(build, &ph_operation_softmax, &attributes, build->inputs, 1);
}

/* Of equals Caffe takes the last: it sorts pairs (value, index) downwards. */
ph_status ph_caffe_build_argmax(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(ArgMax, argmax, ARG_MAX_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (p->top_k != 1) return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "top_k %u, 1 is supported", (unsigned)p->top_k);
    if (x.rank < 2) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, at least 2 expected", x.rank);
    struct ph_reduce_attributes attributes = {.axis_count = 1, .keep_dims = true, .last_index = true};
    if (p->has_axis) {
        int axis;
        PH_TRY(ph_caffe_axis(build, "axis", p->axis, x.rank, x.rank, &axis));
        attributes.axes[0] = axis;
        return ph_caffe_finish(build, p->out_max_val ? &ph_operation_reduce_max : &ph_operation_argmax, &attributes,
                               build->inputs, 1);
    }
    if (p->out_max_val)
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "pairs of index and value are not supported; an axis is needed");
    int value;
    struct ph_shape_attributes flat = {PH_SHAPE(x.dims[0], 1, ph_caffe_product(&x, 1, x.rank))};
    attributes.axes[0] = 2;
    PH_TRY(ph_caffe_append(build, &ph_operation_reshape, &flat, build->inputs, 1, &value));
    return ph_caffe_finish(build, &ph_operation_argmax, &attributes, &value, 1);
}

/* Over `axis` and all behind it. */
ph_status ph_caffe_build_reduction(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Reduction, reduction, REDUCTION_PARAMETER);
    int rank = ph_caffe_shape(build, build->inputs[0]).rank, axis, inputs[2] = {build->inputs[0], build->inputs[0]};
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, rank, rank, &axis));
    struct ph_reduce_attributes attributes = {.axis_count = rank - axis};
    for (int i = axis; i < rank; i++) attributes.axes[i - axis] = i;
    const struct ph_operation *reduce = &ph_operation_reduce_sum;
    switch (p->operation) {
    case PH_CAFFE__REDUCTION_PARAMETER__REDUCTION_OP__SUM: break;
    case PH_CAFFE__REDUCTION_PARAMETER__REDUCTION_OP__MEAN: reduce = &ph_operation_reduce_mean; break;
    case PH_CAFFE__REDUCTION_PARAMETER__REDUCTION_OP__ASUM:
        PH_TRY(ph_caffe_append(build, &ph_operation_abs, NULL, inputs, 1, &inputs[0]));
        break;
    case PH_CAFFE__REDUCTION_PARAMETER__REDUCTION_OP__SUMSQ:
        PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, inputs, 2, &inputs[0]));
        break;
    default:
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "operation %d; SUM, ASUM, SUMSQ and MEAN are supported",
                             (int)p->operation);
    }
    if (p->coeff == 1) return ph_caffe_finish(build, reduce, &attributes, inputs, 1);
    PH_TRY(ph_caffe_append(build, reduce, &attributes, inputs, 1, &inputs[0]));
    PH_TRY(ph_caffe_scalar(build, p->coeff, &inputs[1]));
    /* A scalar times [1] would be [1]. */
    struct ph_shape_attributes shape = {ph_caffe_shape(build, inputs[0])};
    int scaled;
    PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, inputs, 2, &scaled));
    return ph_caffe_finish(build, &ph_operation_reshape, &shape, &scaled, 1);
}

/* ---- The rest ---------------------------------------------------------------------------------------------------- */

ph_status ph_caffe_build_pass(struct ph_caffe_build *build) {
    for (int i = 0; i < build->output_count; i++) build->outputs[i] = build->inputs[0];
    return PH_OK;
}

/* A learned blob that is nobody's weight. */
ph_status ph_caffe_build_parameter(struct ph_caffe_build *build) {
    if (!build->layer->blob_count || !build->layer->blobs[0].data)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "the file has no values for it");
    const struct ph_caffe_blob *found = &build->layer->blobs[0];
    return ph_graph_add_constant(build->graph, build->names[0], PH_FLOAT, found->shape, found->data,
                                 &build->outputs[0]);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

#define BUILT(name, role, fewest, most, build) {#name, PH_CAFFE_##role, fewest, most, ph_caffe_build_##build},
#define BARE(name, role, fewest, most) {#name, PH_CAFFE_##role, fewest, most, NULL},
static const struct ph_caffe_type types[] = {PH_CAFFE_LAYER_LIST(BUILT, BARE)};

static bool equal_loosely(const char *a, const char *b) {
    for (;; a++, b++) {
        while (*a == '_') a++;
        while (*b == '_') b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (!*a) return true;
    }
}

const struct ph_caffe_type *ph_caffe_type_find(const char *name) {
    for (int i = 0; i < PH_COUNT(types); i++)
        if (equal_loosely(types[i].name, name)) return &types[i];
    return NULL;
}
