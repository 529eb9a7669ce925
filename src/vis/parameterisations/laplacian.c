/* laplacian: fields of falling size, scaled up and added (lucid, optvis/param/spatial.py, laplacian_pyramid). Each pixel
 * of a coarse field moves a patch of the picture, so coarse structure is as easily had as fine.
 *
 * shared: the spectrum of each picture, and coarse fields that all pictures of an objective have in common (lucid,
 * optvis/param/lowres.py, lowres_tensor; Captum's SharedImage): they then differ in what is asked of each. Every picture
 * holds its copy of the common fields; they start alike and move alike. */
#include "vis/vis.h"
#include <math.h>
#include <string.h>

/* ---- A sum of fields --------------------------------------------------------------------------------------------- */

/* Field `level` has 1/2^level of the picture's sides, rounded up. */
static struct ph_shape field_shape(int64_t items, const struct ph_view *view, int level) {
    int64_t step = (int64_t)1 << level;
    return PH_SHAPE(items, view->channels, (view->height + step - 1) / step, (view->width + step - 1) / step);
}

static int64_t fields_size(const struct ph_view *view, int first, int last) {
    int64_t size = 0;
    for (int level = first; level <= last; level++) {
        struct ph_shape shape = field_shape(1, view, level);
        size += ph_shape_size(&shape);
    }
    return size;
}

/* Elements [start, start + size) of each item's row. */
static ph_status part_build(struct ph_graph *graph, int parameters, int64_t start, struct ph_shape shape, int *out) {
    int64_t items = shape.dims[0];
    struct ph_slice_attributes slice = {
        .start = {0, start}, .step = {1, 1}, .size = {items, ph_shape_size(&shape) / items}};
    struct ph_shape_attributes attributes = {shape};
    PH_TRY(ph_graph_add(graph, &ph_operation_slice, NULL, &slice, &parameters, 1, out));
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &attributes, out, 1, out);
}

static ph_status enlarge(struct ph_graph *graph, const struct ph_view *view, int field, int *out) {
    const struct ph_shape shape = graph->values[field].shape;
    struct ph_resize_attributes attributes = {.output = shape, .scale = {1, 1}, .mode = PH_RESIZE_LINEAR,
        .coordinates = PH_HALF_PIXEL};
    attributes.output.dims[2] = view->height;
    attributes.output.dims[3] = view->width;
    attributes.scale[2] = (double)view->height / (double)shape.dims[2];
    attributes.scale[3] = (double)view->width / (double)shape.dims[3];
    return ph_graph_add(graph, &ph_operation_resize, NULL, &attributes, &field, 1, out);
}

/* Adds the fields of levels [first, last] to *sum, PH_ABSENT at first. */
static ph_status fields_build(struct ph_graph *graph, const struct ph_view *view, int parameters, int first, int last,
                              int *sum) {
    int64_t items = graph->values[parameters].shape.dims[0], start = 0;
    for (int level = first; level <= last; level++) {
        struct ph_shape shape = field_shape(items, view, level);
        int field;
        PH_TRY(part_build(graph, parameters, start, shape, &field));
        start += ph_shape_size(&shape) / items;
        if (level) PH_TRY(enlarge(graph, view, field, &field));
        if (*sum == PH_ABSENT) *sum = field;
        else PH_TRY(ph_graph_add(graph, &ph_operation_add, NULL, NULL, (int[]){*sum, field}, 2, sum));
    }
    return PH_OK;
}

/* ---- laplacian --------------------------------------------------------------------------------------------------- */

static int last_level(const ph_recipe *recipe) { return (int)recipe->levels - 1; }

static struct ph_shape laplacian_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    return PH_SHAPE(items, fields_size(view, 0, last_level(recipe)));
}

static ph_status laplacian_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view,
                                 int parameters, int *out) {
    *out = PH_ABSENT;
    return fields_build(graph, view, parameters, 0, last_level(recipe), out);
}

/* All of it in the finest field, which comes first. */
static ph_status laplacian_invert(ph_context *context, const ph_recipe *recipe, const struct ph_view *view,
                                  const float *planes, float *values) {
    size_t finest = (size_t)fields_size(view, 0, 0), all = (size_t)fields_size(view, 0, last_level(recipe));
    (void)context;
    memset(values, 0, all * sizeof *values);
    memcpy(values, planes, finest * sizeof *values);
    return PH_OK;
}

const struct ph_parameterisation ph_parameterisation_laplacian = {
    .name = "laplacian",
    .help = "'levels' fields, each half as large as the one before, scaled up and added (levels, spread)",
    .shape = laplacian_shape, .build = laplacian_build, .invert = laplacian_invert,
};

/* ---- shared ------------------------------------------------------------------------------------------------------ */

static int64_t common_size(const ph_recipe *recipe, const struct ph_view *view) {
    return fields_size(view, 1, last_level(recipe));
}

static struct ph_shape own_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    return ph_parameterisation_fourier.shape(items, recipe, view);
}

static struct ph_shape shared_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    struct ph_shape own = own_shape(1, recipe, view);
    return PH_SHAPE(items, common_size(recipe, view) + ph_shape_size(&own));
}

static ph_status shared_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view,
                              int parameters, int *out) {
    int64_t items = graph->values[parameters].shape.dims[0];
    int own;
    PH_TRY(part_build(graph, parameters, common_size(recipe, view), own_shape(items, recipe, view), &own));
    PH_TRY(ph_parameterisation_fourier.build(graph, recipe, view, own, out));
    return fields_build(graph, view, parameters, 1, last_level(recipe), out);
}

static ph_status shared_invert(ph_context *context, const ph_recipe *recipe, const struct ph_view *view,
                               const float *planes, float *values) {
    size_t common = (size_t)common_size(recipe, view);
    memset(values, 0, common * sizeof *values);
    return ph_parameterisation_fourier.invert(context, recipe, view, planes, values + common);
}

const struct ph_parameterisation ph_parameterisation_shared = {
    .name = "shared",
    .help = "fourier, and coarse fields that all 'pictures' of an objective have in common: what differs is what is asked of "
            "each (levels, decay, spread)",
    .shape = shared_shape, .common = common_size, .build = shared_build, .invert = shared_invert,
};
