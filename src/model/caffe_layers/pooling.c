/* Caffe's pooling. */
#include "model/caffe_layers/layers.h"

/* Windows start at multiples of the stride from -pad on; their number is rounded up (PoolingLayer::Reshape), and with
 * padding the last must start inside the picture or the padding before it. */
static int64_t pooled_size(int64_t size, int64_t kernel, int64_t stride, int64_t pad, bool floor, bool clip) {
    int64_t room = size + 2 * pad - kernel, count = room / stride; /* towards zero: up for negative room */
    if (room % stride > 0 && !floor) count++;
    if (room % stride < 0 && floor) count--;
    count++;
    return clip && (count - 1) * stride >= size + pad ? count - 1 : count;
}

/* One value for both axes, or _h and _w. */
static ph_status pooling_pair(const struct ph_caffe_build *build, const char *field, bool has, uint32_t both,
                              bool has_h, uint32_t h, bool has_w, uint32_t w, int64_t initial, int64_t *out) {
    if (has && (has_h || has_w))
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "%s_h and %s_w exclude a common one", field, field);
    out[1] = has ? both : has_h ? h : initial;
    out[2] = has ? both : has_w ? w : initial;
    return PH_OK;
}

ph_status ph_caffe_build_pooling(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Pooling, pooling, POOLING_PARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    bool average = p->pool == PH_CAFFE__POOLING_PARAMETER__POOL_METHOD__AVE;
    if (!average && p->pool != PH_CAFFE__POOLING_PARAMETER__POOL_METHOD__MAX)
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "pooling method %d; MAX and AVE are supported", (int)p->pool);
    if (x.rank != 4) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, 4 expected", x.rank);
    if (p->global_pooling)
        return ph_caffe_unary(build, average ? &ph_operation_global_average_pool : &ph_operation_global_max_pool);
    struct ph_pool_attributes a = {.kernel = {1}, .stride = {1}, .dilation = {1, 1, 1}, .output = {1},
                                   .divisor = PH_DIVIDE_PADDED};
    PH_TRY(pooling_pair(build, "kernel", p->has_kernel_size, p->kernel_size, p->has_kernel_h, p->kernel_h,
                        p->has_kernel_w, p->kernel_w, 0, a.kernel));
    PH_TRY(pooling_pair(build, "stride", p->has_stride, p->stride, p->has_stride_h, p->stride_h, p->has_stride_w,
                        p->stride_w, 1, a.stride));
    PH_TRY(
        pooling_pair(build, "pad", p->has_pad, p->pad, p->has_pad_h, p->pad_h, p->has_pad_w, p->pad_w, 0, a.pad_begin));
    for (int i = 1; i < PH_SPATIAL; i++) {
        if (a.kernel[i] < 1 || a.stride[i] < 1 || a.pad_begin[i] >= a.kernel[i])
            return ph_caffe_fail(build, PH_ERROR_FORMAT,
                                 "kernel size %lld, stride %lld, pad %lld: the first two must be at least 1, the "
                                 "pad smaller than the kernel",
                                 (long long)a.kernel[i], (long long)a.stride[i], (long long)a.pad_begin[i]);
        a.pad_end[i] = a.pad_begin[i];
        a.output[i] = pooled_size(x.dims[i + 1], a.kernel[i], a.stride[i], a.pad_begin[i],
                                  p->round_mode == PH_CAFFE__POOLING_PARAMETER__ROUND_MODE__FLOOR,
                                  a.pad_begin[1] || a.pad_begin[2]);
    }
    return ph_caffe_finish(build, average ? &ph_operation_average_pool : &ph_operation_max_pool, &a, build->inputs, 1);
}
