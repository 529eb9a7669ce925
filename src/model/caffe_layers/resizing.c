/* Caffe layers that resize pictures. */
#include "model/caffe_layers/layers.h"

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
