/* pixel: the picture itself. */
#include "vis/vis.h"
#include <string.h>

static struct ph_shape pixel_shape(int64_t items, const ph_recipe *recipe, const struct ph_view *view) {
    (void)recipe;
    return PH_SHAPE(items, view->channels, view->height, view->width);
}

static ph_status pixel_build(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view,
                             int parameters, int *out) {
    (void)graph, (void)recipe, (void)view;
    *out = parameters;
    return PH_OK;
}

static ph_status pixel_invert(ph_context *context, const ph_recipe *recipe, const struct ph_view *view,
                              const float *planes, float *values) {
    (void)context, (void)recipe;
    memcpy(values, planes, (size_t)view->channels * (size_t)view->height * (size_t)view->width * sizeof *values);
    return PH_OK;
}

const struct ph_parameterisation ph_parameterisation_pixel = {
    .name = "pixel",
    .help = "the pixels themselves: each frequency as the gradient has it, which is mostly noise (spread)",
    .shape = pixel_shape, .build = pixel_build, .invert = pixel_invert,
};
