/* What the builders of Caffe layers share: errors that name the layer, axes, constants from blobs, nodes. */
#include "model/caffe_layers/layers.h"
#include <stdio.h>

ph_status ph_caffe_fail(const struct ph_caffe_build *build, ph_status status, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ph_fail(build->graph->context, status, "layer '%s' (%s): %s", build->layer->name,
                   build->layer->parameter->type, text);
}

struct ph_shape ph_caffe_shape(const struct ph_caffe_build *build, int value) {
    return build->graph->values[value].shape;
}

ph_status ph_caffe_axis(const struct ph_caffe_build *build, const char *field, int64_t axis, int rank, int limit,
                        int *resolved) {
    if (axis < -rank || axis >= limit)
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "%s %lld, %d to %d expected", field, (long long)axis, -rank, limit - 1);
    *resolved = (int)(axis < 0 ? axis + rank : axis);
    return PH_OK;
}

int64_t ph_caffe_product(const struct ph_shape *shape, int from, int to) {
    int64_t result = 1;
    for (int i = from; i < to; i++) result *= shape->dims[i];
    return result;
}

struct ph_shape ph_caffe_operand_shape(const struct ph_shape *x, int axis, int axes) {
    struct ph_shape shape = {.rank = x->rank - axis};
    for (int i = 0; i < shape.rank; i++) shape.dims[i] = i < axes ? x->dims[axis + i] : 1;
    return shape;
}

ph_status ph_caffe_scalar(const struct ph_caffe_build *build, double number, int *value) {
    float data = (float)number;
    return ph_graph_add_constant_copy(build->graph, NULL, PH_FLOAT, PH_SHAPE(1), &data, value);
}

/* Without dimensions of 1, which old files put in front (1x1xNxK) and new ones leave out. */
static struct ph_shape squeeze(const struct ph_shape *shape) {
    struct ph_shape result = {0};
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[i] != 1) result.dims[result.rank++] = shape->dims[i];
    return result;
}

ph_status ph_caffe_constant(const struct ph_caffe_build *build, int index, const char *what, struct ph_shape expected,
                            int *value) {
    char has[128], needs[128], name[256];
    if (index >= build->layer->blob_count || !build->layer->blobs[index].data)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "the file has no %s for it", what);
    const struct ph_caffe_blob *found = &build->layer->blobs[index];
    struct ph_shape a = squeeze(&found->shape), b = squeeze(&expected);
    if (!ph_shape_equal(&a, &b))
        return ph_caffe_fail(build, PH_ERROR_SHAPE, "its %s have shape %s, %s expected", what,
                             ph_shape_text(&found->shape, has), ph_shape_text(&expected, needs));
    snprintf(name, sizeof name, "%.200s.%s", build->layer->name, what);
    return ph_graph_add_constant(build->graph, name, PH_FLOAT, expected, found->data, value);
}

ph_status ph_caffe_append(const struct ph_caffe_build *build, const struct ph_operation *operation,
                          const void *attributes, const int *inputs, int count, int *value) {
    return ph_graph_add_node(build->graph, operation, build->layer->name, attributes, inputs, count, NULL, 1, value);
}

ph_status ph_caffe_finish(const struct ph_caffe_build *build, const struct ph_operation *operation,
                          const void *attributes, const int *inputs, int count) {
    return ph_graph_add_node(build->graph, operation, build->layer->name, attributes, inputs, count, build->names, 1,
                             build->outputs);
}

ph_status ph_caffe_unary(const struct ph_caffe_build *build, const struct ph_operation *operation) {
    return ph_caffe_finish(build, operation, NULL, build->inputs, 1);
}
