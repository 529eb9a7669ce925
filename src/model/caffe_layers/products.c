/* Caffe layers that are products with weights: convolutions, their transposes, inner products. */
#include "model/caffe_layers/layers.h"
#include <string.h>

/* One value for all spatial axes, one for each, or _h and _w for two. */
static ph_status spatial_list(const struct ph_caffe_build *build, const char *field, const uint32_t *list, size_t count,
                              bool has_h, uint32_t h, bool has_w, uint32_t w, int spatial, int64_t initial,
                              int64_t *out) {
    for (int i = 0; i < PH_SPATIAL - spatial; i++) out[i] = !strcmp(field, "pad") ? 0 : 1;
    int64_t *used = out + PH_SPATIAL - spatial;
    if (has_h || has_w) {
        if (count || spatial != 2)
            return ph_caffe_fail(build, PH_ERROR_FORMAT, "%s_h and %s_w exclude a common one and need two spatial axes", field,
                                 field);
        used[0] = h;
        used[1] = w;
    } else if (count > 1 && count != (size_t)spatial) {
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "%zu values of %s for %d spatial axes", count, field, spatial);
    } else {
        for (int i = 0; i < spatial; i++) used[i] = !count ? initial : list[count > 1 ? i : 0];
    }
    return PH_OK;
}

static ph_status convolution_attributes(const struct ph_caffe_build *build, const PhCaffe__ConvolutionParameter *p,
                                        int spatial, struct ph_convolution_attributes *a) {
    PH_TRY(spatial_list(build, "kernel", p->kernel_size, p->n_kernel_size, p->has_kernel_h, p->kernel_h,
                        p->has_kernel_w, p->kernel_w, spatial, 0, a->kernel));
    PH_TRY(spatial_list(build, "stride", p->stride, p->n_stride, p->has_stride_h, p->stride_h, p->has_stride_w,
                        p->stride_w, spatial, 1, a->stride));
    PH_TRY(spatial_list(build, "pad", p->pad, p->n_pad, p->has_pad_h, p->pad_h, p->has_pad_w, p->pad_w, spatial, 0,
                        a->pad_begin));
    PH_TRY(spatial_list(build, "dilation", p->dilation, p->n_dilation, false, 0, false, 0, spatial, 1, a->dilation));
    memcpy(a->pad_end, a->pad_begin, sizeof a->pad_end);
    for (int i = 0; i < PH_SPATIAL; i++)
        if (a->kernel[i] < 1 || a->stride[i] < 1 || a->dilation[i] < 1)
            return ph_caffe_fail(build, PH_ERROR_FORMAT, "kernel size, stride and dilation must be at least 1");
    a->groups = p->group;
    return PH_OK;
}

/* Convolution and Deconvolution; each bottom has its top, all share the weights. */
static ph_status build_filter(struct ph_caffe_build *build, const struct ph_operation *operation, bool transposed) {
    PH_CAFFE_PARAMETERS(Convolution, convolution, CONVOLUTION_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    int axis, spatial = x.rank - 2, inputs[3], bias = p->bias_term;
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, x.rank, x.rank, &axis));
    if (axis != 1 || spatial < 1 || spatial > PH_SPATIAL)
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED,
                             "axis %d of a bottom of %d axes; axis 1 with 1 to %d behind it is supported", axis, x.rank,
                             PH_SPATIAL);
    int64_t channels = x.dims[1], outputs = p->num_output, groups = p->group;
    if (groups < 1 || outputs < 1 || channels % groups || outputs % groups)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "%lld channels to %lld in %lld groups", (long long)channels,
                             (long long)outputs, (long long)groups);
    struct ph_convolution_attributes attributes = {0};
    PH_TRY(convolution_attributes(build, p, spatial, &attributes));
    struct ph_shape weights = {.rank = x.rank, .dims = {outputs, channels / groups}};
    if (transposed) weights.dims[0] = channels, weights.dims[1] = outputs / groups;
    for (int i = 0; i < spatial; i++) weights.dims[2 + i] = attributes.kernel[PH_SPATIAL - spatial + i];
    PH_TRY(ph_caffe_constant(build, 0, "weights", weights, &inputs[1]));
    if (bias) PH_TRY(ph_caffe_constant(build, 1, "bias", PH_SHAPE(outputs), &inputs[2]));
    if (build->output_count != build->input_count)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "%d bottoms and %d tops", build->input_count, build->output_count);
    for (int i = 0; i < build->input_count; i++) {
        inputs[0] = build->inputs[i];
        PH_TRY(ph_graph_add_node(build->graph, operation, build->layer->name, &attributes, inputs, 2 + bias,
                                 &build->names[i], 1, &build->outputs[i]));
    }
    return PH_OK;
}

ph_status ph_caffe_build_convolution(struct ph_caffe_build *build) {
    return build_filter(build, &ph_operation_convolution, false);
}

ph_status ph_caffe_build_deconvolution(struct ph_caffe_build *build) {
    return build_filter(build, &ph_operation_convolution_transpose, true);
}

/* y = W x + b over everything from `axis` on; the axes before it stay. */
ph_status ph_caffe_build_inner_product(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(InnerProduct, inner_product, INNER_PRODUCT_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    int axis, inputs[3] = {build->inputs[0]}, bias = p->bias_term;
    PH_TRY(ph_caffe_axis(build, "axis", p->axis, x.rank, x.rank, &axis));
    int64_t rows = ph_caffe_product(&x, 0, axis), columns = ph_caffe_product(&x, axis, x.rank), outputs = p->num_output;
    struct ph_shape weights = p->transpose ? PH_SHAPE(columns, outputs) : PH_SHAPE(outputs, columns);
    PH_TRY(ph_caffe_constant(build, 0, "weights", weights, &inputs[1]));
    if (bias) PH_TRY(ph_caffe_constant(build, 1, "bias", PH_SHAPE(outputs), &inputs[2]));
    if (x.rank != 2 || axis != 1) {
        struct ph_shape_attributes flat = {PH_SHAPE(rows, columns)};
        PH_TRY(ph_caffe_append(build, &ph_operation_reshape, &flat, inputs, 1, &inputs[0]));
    }
    struct ph_gemm_attributes attributes = {.alpha = 1, .beta = 1, .transpose_b = !p->transpose};
    if (axis == 1) return ph_caffe_finish(build, &ph_operation_gemm, &attributes, inputs, 2 + bias);
    int y;
    PH_TRY(ph_caffe_append(build, &ph_operation_gemm, &attributes, inputs, 2 + bias, &y));
    struct ph_shape_attributes shape = {x};
    shape.shape.dims[axis] = outputs;
    shape.shape.rank = axis + 1;
    return ph_caffe_finish(build, &ph_operation_reshape, &shape, &y, 1);
}
