/* Caffe layers that put elements together otherwise, and compute nothing. */
#include "model/caffe_layers/layers.h"

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
