/* Caffe layers that go over all elements of axes: softmax, the largest, sums. */
#include "model/caffe_layers/layers.h"

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
