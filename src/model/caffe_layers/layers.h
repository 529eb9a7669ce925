/* The table of Caffe's layer types, and what the builders beside this file share. Rules are those of Caffe's
 * src/caffe/layers, and of the SSD and DeepLab branches for their own types. */
#ifndef PH_CAFFE_LAYERS_H
#define PH_CAFFE_LAYERS_H

#include "graph/operations.h"
#include "model/caffe.h"

/* A line for each: name, role (enum ph_caffe_role), fewest and most bottoms (-1: any number), and of those that make nodes the
 * builder, ph_caffe_build_... */
#define PH_CAFFE_LAYER_LIST(BUILT, BARE) \
    BUILT(AbsVal, COMPUTE, 1, 1, absolute) \
    BARE(Accuracy, SINK, 0, -1) \
    BARE(AnnotatedData, INPUT, 0, 0) \
    BUILT(ArgMax, COMPUTE, 1, 1, argmax) \
    BUILT(BatchNorm, COMPUTE, 1, 1, batch_norm) \
    BUILT(Bias, COMPUTE, 1, 2, bias) \
    BUILT(BNLL, COMPUTE, 1, 1, bnll) \
    BUILT(Clip, COMPUTE, 1, 1, clip) \
    BUILT(Concat, COMPUTE, 1, -1, concat) \
    BARE(ContrastiveLoss, LOSS, 0, -1) \
    BUILT(Convolution, COMPUTE, 1, -1, convolution) \
    BUILT(Crop, COMPUTE, 2, 2, crop) \
    BARE(Data, INPUT, 0, 0) \
    BUILT(Deconvolution, COMPUTE, 1, -1, deconvolution) \
    BUILT(DepthwiseConvolution, COMPUTE, 1, -1, convolution) \
    BUILT(Dropout, PASS, 1, 1, pass) \
    BARE(DummyData, INPUT, 0, 0) \
    BUILT(Eltwise, COMPUTE, 1, -1, eltwise) \
    BUILT(ELU, COMPUTE, 1, 1, elu) \
    BARE(EuclideanLoss, LOSS, 0, -1) \
    BUILT(Exp, COMPUTE, 1, 1, exp) \
    BUILT(Flatten, COMPUTE, 1, 1, flatten) \
    BARE(HDF5Data, INPUT, 0, 0) \
    BARE(HDF5Output, SINK, 0, -1) \
    BARE(HingeLoss, LOSS, 0, -1) \
    BARE(ImageData, INPUT, 0, 0) \
    BARE(InfogainLoss, LOSS, 0, -1) \
    BUILT(InnerProduct, COMPUTE, 1, 1, inner_product) \
    BARE(Input, INPUT, 0, 0) \
    BUILT(Interp, COMPUTE, 1, 1, interp) \
    BUILT(Log, COMPUTE, 1, 1, log) \
    BUILT(LRN, COMPUTE, 1, 1, lrn) \
    BARE(MemoryData, INPUT, 0, 0) \
    BARE(MultinomialLogisticLoss, LOSS, 0, -1) \
    BUILT(MVN, COMPUTE, 1, 1, mvn) \
    BUILT(Normalize, COMPUTE, 1, 1, normalize) \
    BUILT(Parameter, COMPUTE, 0, 0, parameter) \
    BUILT(Permute, COMPUTE, 1, 1, permute) \
    BUILT(Pooling, COMPUTE, 1, 1, pooling) \
    BUILT(Power, COMPUTE, 1, 1, power) \
    BUILT(PReLU, COMPUTE, 1, 1, prelu) \
    BUILT(Reduction, COMPUTE, 1, 1, reduction) \
    BUILT(ReLU, COMPUTE, 1, 1, relu) \
    BUILT(ReLU6, COMPUTE, 1, 1, relu6) \
    BUILT(Reshape, COMPUTE, 1, 1, reshape) \
    BUILT(Scale, COMPUTE, 1, 2, scale) \
    BUILT(ShuffleChannel, COMPUTE, 1, 1, shuffle_channel) \
    BUILT(Sigmoid, COMPUTE, 1, 1, sigmoid) \
    BARE(SigmoidCrossEntropyLoss, LOSS, 0, -1) \
    BARE(Silence, SINK, 0, -1) \
    BUILT(Slice, COMPUTE, 1, 1, slice) \
    BUILT(Softmax, COMPUTE, 1, 1, softmax) \
    BUILT(SoftmaxLoss, LOSS, 1, -1, softmax) /* V1's name of the next */ \
    BUILT(SoftmaxWithLoss, LOSS, 1, -1, softmax) \
    BUILT(Split, PASS, 1, 1, pass) \
    BUILT(Swish, COMPUTE, 1, 1, swish) \
    BUILT(TanH, COMPUTE, 1, 1, tanh) \
    BUILT(Tile, COMPUTE, 1, 1, tile) \
    BUILT(Upsample, COMPUTE, 1, 1, upsample) \
    BARE(WindowData, INPUT, 0, 0)

#define PH_CAFFE_DECLARE(name, role, fewest, most, build) ph_status ph_caffe_build_##build(struct ph_caffe_build *build);
#define PH_CAFFE_DECLARE_NOTHING(name, role, fewest, most)
PH_CAFFE_LAYER_LIST(PH_CAFFE_DECLARE, PH_CAFFE_DECLARE_NOTHING)

/* Declares `p`: a layer's parameters, or their defaults where the file leaves them out. */
#define PH_CAFFE_PARAMETERS(name, field, macro) \
    const PhCaffe__##name##Parameter *p = build->layer->parameter->field##_param; \
    const PhCaffe__##name##Parameter defaults = PH_CAFFE__##macro##__INIT; \
    if (!p) p = &defaults

/* ---- build.c ----------------------------------------------------------------------------------------------------- */

/* The layer's name and type come before the text. */
ph_status ph_caffe_fail(const struct ph_caffe_build *build, ph_status status, const char *format, ...) PH_PRINTF(3, 4);
/* Of a graph's value. */
struct ph_shape ph_caffe_shape(const struct ph_caffe_build *build, int value);
/* Blob::CanonicalAxisIndex; `limit` is the rank, or the rank plus one where an end may be meant. */
ph_status ph_caffe_axis(const struct ph_caffe_build *build, const char *field, int64_t axis, int rank, int limit,
                        int *resolved);
/* Elements of axes [from, to). */
int64_t ph_caffe_product(const struct ph_shape *shape, int from, int to);
/* Shape of an operand that covers axes [axis, axis + axes) of x, to broadcast with x. */
struct ph_shape ph_caffe_operand_shape(const struct ph_shape *x, int axis, int axes);

ph_status ph_caffe_scalar(const struct ph_caffe_build *build, double number, int *value);
/* Blob `index` of the layer as a constant of shape `expected`, called LAYER.what. */
ph_status ph_caffe_constant(const struct ph_caffe_build *build, int index, const char *what, struct ph_shape expected,
                            int *value);

/* A node of one output, an intermediate value of the layer. */
ph_status ph_caffe_append(const struct ph_caffe_build *build, const struct ph_operation *operation, const void *attributes,
                          const int *inputs, int count, int *value);
/* The node that makes top 0. */
ph_status ph_caffe_finish(const struct ph_caffe_build *build, const struct ph_operation *operation, const void *attributes,
                          const int *inputs, int count);
/* The same of bottom 0. */
ph_status ph_caffe_unary(const struct ph_caffe_build *build, const struct ph_operation *operation);

#endif
