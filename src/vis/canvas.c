/* From parameters to the picture: parameterisation, colour, mask, opacity; and how a picture that lets the ground through
 * is laid over one. */
#include "vis/vis.h"

struct ph_view ph_canvas_view(const struct ph_render *render) {
    struct ph_view view = render->view;
    if (render->recipe->grey) view.channels = 1;
    if (render->recipe->alpha) view.channels++;
    return view;
}

int ph_canvas_channels(const struct ph_render *render) {
    return render->view.channels + render->recipe->alpha;
}

ph_status ph_canvas_check(const struct ph_render *render) {
    const ph_recipe *recipe = render->recipe;
    ph_context *context = render->model->context;
    if (recipe->alpha && render->view.channels != 3)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "alpha is for networks of 3 channels, not %d",
                       render->view.channels);
    if (recipe->alpha && recipe->mask)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "alpha and mask do not go together");
    if (recipe->print_size.width && !ph_parameterisations[recipe->parameterisation]->any_size)
        return ph_fail(context, PH_ERROR_UNSUPPORTED,
                       "print-size: pictures by the parameterisation %s have the size they were optimised at; cppn "
                       "has any", ph_parameterisations[recipe->parameterisation]->name);
    return PH_OK;
}

static ph_status binary(struct ph_graph *graph, const struct ph_operation *operation, int a, int b, int *out) {
    return ph_graph_add(graph, operation, NULL, NULL, (int[]){a, b}, 2, out);
}

/* Channels [begin, begin + count). */
static ph_status channels_slice(struct ph_graph *graph, int x, int64_t begin, int64_t count, int *out) {
    const struct ph_shape *shape = &graph->values[x].shape;
    struct ph_slice_attributes attributes = {.start = {0, begin, 0, 0}, .step = {1, 1, 1, 1},
        .size = {shape->dims[0], count, shape->dims[2], shape->dims[3]}};
    return ph_graph_add(graph, &ph_operation_slice, NULL, &attributes, &x, 1, out);
}

/* One grey plane for all channels of the network. */
static ph_status channels_repeat(struct ph_graph *graph, int x, int64_t channels, int *out) {
    struct ph_tile_attributes attributes = {.repeats = {1, channels, 1, 1}};
    if (graph->values[x].shape.dims[1] == channels) {
        *out = x;
        return PH_OK;
    }
    return ph_graph_add(graph, &ph_operation_tile, NULL, &attributes, &x, 1, out);
}

static ph_status picture_constant(struct ph_graph *graph, const ph_picture *picture, int *out) {
    return ph_graph_add_constant_copy(graph, NULL, PH_FLOAT,
                                      PH_SHAPE(1, picture->channels, picture->height, picture->width), picture->pixels,
                                      out);
}

/* ground + mask (picture - ground), which is the picture where the mask is white and the ground where it is black. */
static ph_status blend(struct ph_graph *graph, int picture, int mask, int ground, int *out) {
    PH_TRY(binary(graph, &ph_operation_sub, picture, ground, &picture));
    PH_TRY(binary(graph, &ph_operation_mul, picture, mask, &picture));
    return binary(graph, &ph_operation_add, picture, ground, out);
}

static ph_status grey_constant(struct ph_graph *graph, int *out) {
    const float grey = 0.5f;
    return ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &grey, out);
}

/* Outside the mask lies the picture that the render starts from, or grey. */
static ph_status mask_build(struct ph_graph *graph, const struct ph_start *start, int picture, int *out) {
    int ground, mask;
    if (start->picture) PH_TRY(picture_constant(graph, start->picture, &ground));
    else PH_TRY(grey_constant(graph, &ground));
    PH_TRY(picture_constant(graph, start->mask, &mask));
    return blend(graph, picture, mask, ground, out);
}

ph_status ph_canvas_build(const struct ph_render *render, struct ph_graph *graph, int parameters, int *picture) {
    const ph_recipe *recipe = render->recipe;
    struct ph_view view = ph_canvas_view(render);
    int planes, opacity = PH_ABSENT;
    PH_TRY(ph_parameterisations[recipe->parameterisation]->build(graph, recipe, &view, parameters, &planes));
    if (recipe->alpha) {
        struct ph_axis_attributes channels = {1};
        PH_TRY(channels_slice(graph, planes, view.channels - 1, 1, &opacity));
        PH_TRY(channels_slice(graph, planes, 0, view.channels - 1, &planes));
        PH_TRY(ph_graph_add(graph, &ph_operation_sigmoid, NULL, NULL, &opacity, 1, &opacity));
        PH_TRY(ph_colour_build(graph, recipe, planes, &planes));
        PH_TRY(channels_repeat(graph, planes, render->view.channels, &planes));
        return ph_graph_add(graph, &ph_operation_concat, NULL, &channels, (int[]){planes, opacity}, 2, picture);
    }
    PH_TRY(ph_colour_build(graph, recipe, planes, picture));
    if (render->start && render->start->mask) PH_TRY(mask_build(graph, render->start, *picture, picture));
    return channels_repeat(graph, *picture, render->view.channels, picture);
}

/* ---- Grounds ----------------------------------------------------------------------------------------------------- */

/* lucid's image_sample: a random picture by a spectrum of this deviation and decay (optvis/param/random.py, and
 * collapse_alpha_random in optvis/transform.py). */
#define GROUND_DEVIATION 0.2f
#define GROUND_DECAY 1.5

struct ph_shape ph_ground_shape(const struct ph_view *view) {
    return ph_parameterisation_fourier.shape(1, NULL, view);
}

void ph_ground_draw(const ph_recipe *recipe, uint32_t step, float *spectrum, size_t count) {
    struct ph_random_key key = {.seed = (uint64_t)recipe->seed, .step = step, .use = PH_USE_GROUND};
    ph_random_normal(key, spectrum, count);
    for (size_t i = 0; i < count; i++) spectrum[i] *= GROUND_DEVIATION;
}

ph_status ph_ground_build(const struct ph_render *render, struct ph_graph *graph, int spectrum, int *ground) {
    ph_recipe recipe = {.decay = GROUND_DECAY, .band_limit = 1, .decorrelate = true, .squash = PH_SQUASH_SIGMOID};
    int planes;
    PH_TRY(ph_parameterisation_fourier.build(graph, &recipe, &render->view, spectrum, &planes));
    return ph_colour_build(graph, &recipe, planes, ground);
}

ph_status ph_canvas_lay(struct ph_graph *graph, int picture, int ground, int *seen) {
    int64_t colours = graph->values[picture].shape.dims[1] - 1;
    int opacity;
    if (ground == PH_ABSENT) PH_TRY(grey_constant(graph, &ground));
    PH_TRY(channels_slice(graph, picture, colours, 1, &opacity));
    PH_TRY(channels_slice(graph, picture, 0, colours, &picture));
    return blend(graph, picture, opacity, ground, seen);
}
