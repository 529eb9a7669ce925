/* Pictures that a render starts from: the one given by 'init', and the mask outside of which it stays. */
#include "vis/vis.h"
#include <math.h>
#include <string.h>

ph_status ph_picture_load_covering(ph_context *context, const char *path, int channels, int height, int width,
                                   ph_picture **out) {
    ph_picture *read = NULL, *converted = NULL;
    *out = NULL;
    ph_status status = ph_picture_load(context, path, &read);
    if (!status) status = ph_picture_convert(read, channels, &converted);
    if (!status) status = ph_picture_cover(converted, height, width, out);
    ph_picture_destroy(&read);
    ph_picture_destroy(&converted);
    return status;
}

/* The parameters whose picture this is. */
static ph_status parameters_find(const struct ph_render *render, const ph_picture *picture, float **values) {
    const ph_recipe *recipe = render->recipe;
    const struct ph_parameterisation *parameterisation = ph_parameterisations[recipe->parameterisation];
    ph_context *context = render->model->context;
    struct ph_view view = ph_canvas_view(render);
    struct ph_shape shape = ph_render_parameters(render, 1);
    size_t plane = (size_t)view.height * (size_t)view.width;
    if (!parameterisation->invert)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "init: the parameterisation %s cannot start from a picture",
                       parameterisation->name);
    float *planes = ph_alloc_array((size_t)view.channels * plane, sizeof *planes);
    *values = ph_alloc_array((size_t)ph_shape_size(&shape), sizeof **values);
    ph_status status = planes && *values ? PH_OK : ph_fail_memory(context);
    /* Planes beyond the colours, which are opacity, start at 0: half. */
    if (!status) ph_colour_invert(recipe, picture->channels, plane, picture->pixels, planes);
    if (!status) status = parameterisation->invert(context, recipe, &view, planes, *values);
    ph_free(planes);
    return status;
}

ph_status ph_start_load(const struct ph_render *render, struct ph_start *start) {
    const ph_recipe *recipe = render->recipe;
    const struct ph_view *view = &render->view;
    ph_context *context = render->model->context;
    *start = (struct ph_start){0};
    ph_status status = PH_OK;
    if ((recipe->init || recipe->mask) && view->channels != 1 && view->channels != 3)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "init and mask are for networks of 1 or 3 channels, not %d",
                       view->channels);
    if (recipe->init) {
        int channels = recipe->grey ? 1 : view->channels;
        status = ph_picture_load_covering(context, recipe->init, channels, view->height, view->width, &start->picture);
        if (!status) status = parameters_find(render, start->picture, &start->parameters);
    }
    if (recipe->mask && !status)
        status = ph_picture_load_covering(context, recipe->mask, 1, view->height, view->width, &start->mask);
    if (status) ph_start_finish(start);
    return status;
}

void ph_start_finish(struct ph_start *start) {
    ph_picture_destroy(&start->picture);
    ph_picture_destroy(&start->mask);
    ph_free(start->parameters);
    *start = (struct ph_start){0};
}
