/* How the network sees a picture: scaled to fit its input, through a transform, and preprocessed. */
#include "vis/vis.h"
#include <math.h>

/* The embedded network sees classes at the 64 pixels it was trained at, but has room for its details at twice that. */
#define EMBEDDED_PICTURE_SIZE 128

ph_status ph_view_resolve(const ph_model *model, const ph_recipe *recipe, bool own_input, struct ph_view *view) {
    const struct ph_shape *input = &model->default_input;
    if (input->rank != 4)
        return ph_fail(model->context, PH_ERROR_UNSUPPORTED,
                       "the network's input is not a picture [N,C,H,W]: it has rank %d", input->rank);
    if (model->preprocessing.channels != input->dims[1])
        return ph_fail(model->context, PH_ERROR_ARGUMENT,
                       "the preprocessing is for %d channels, the network's input has %lld",
                       model->preprocessing.channels, (long long)input->dims[1]);
    *view = (struct ph_view){.channels = model->preprocessing.channels,
        .height = (int)recipe->size.height, .width = (int)recipe->size.width,
        .input_height = (int)recipe->input_size.height, .input_width = (int)recipe->input_size.width};
    if (view->channels < 1 || view->channels > PH_MAX_CHANNELS)
        return ph_fail(model->context, PH_ERROR_UNSUPPORTED,
                       "pictures have 1 to %d channels, the network's input has %d", PH_MAX_CHANNELS, view->channels);
    if (!view->width) {
        view->height = model->path ? (int)input->dims[2] : EMBEDDED_PICTURE_SIZE;
        view->width = model->path ? (int)input->dims[3] : EMBEDDED_PICTURE_SIZE;
    }
    if (!view->input_width) {
        /* Boxes are brought to the size that the network was made for, however large the picture is. */
        bool as_picture = model->size_is_free && !own_input && recipe->transforms != PH_TRANSFORMS_CROPS;
        view->input_height = as_picture ? view->height : (int)input->dims[2];
        view->input_width = as_picture ? view->width : (int)input->dims[3];
    }
    ph_view_fit(view);
    return PH_OK;
}

void ph_view_fit(struct ph_view *view) {
    double fit = fmin((double)view->input_width / view->width, (double)view->input_height / view->height);
    view->fitted_width = PH_MAX(1, (int)floor(view->width * fit + 0.5));
    view->fitted_height = PH_MAX(1, (int)floor(view->height * fit + 0.5));
}

static ph_status fit_build(struct ph_graph *graph, const struct ph_view *view, int picture, int *out) {
    struct ph_resize_attributes attributes = {.output = graph->values[picture].shape, .scale = {1, 1},
        .mode = PH_RESIZE_LINEAR, .coordinates = PH_HALF_PIXEL, .antialias = true};
    attributes.output.dims[2] = view->fitted_height;
    attributes.output.dims[3] = view->fitted_width;
    attributes.scale[2] = (double)view->fitted_height / view->height;
    attributes.scale[3] = (double)view->fitted_width / view->width;
    return ph_graph_add(graph, &ph_operation_resize, NULL, &attributes, &picture, 1, out);
}

/* The picture as it lies in the view, for every item. */
static ph_status still_matrices(struct ph_graph *graph, const struct ph_view *view, int64_t items, int *matrices) {
    float rows[PH_MAX_BATCH][6];
    for (int64_t n = 0; n < items; n++) {
        float still[6] = {1, 0, (float)-((view->input_width - view->fitted_width) / 2),
                          0, 1, (float)-((view->input_height - view->fitted_height) / 2)};
        for (int i = 0; i < 6; i++) rows[n][i] = still[i];
    }
    return ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SHAPE(items, 2, 3), rows, matrices);
}

ph_status ph_view_build(struct ph_graph *graph, const struct ph_view *view, int border, int picture, int matrices,
                        int *out) {
    if (view->fitted_height != view->height || view->fitted_width != view->width)
        PH_TRY(fit_build(graph, view, picture, &picture));
    bool fills = view->fitted_height == view->input_height && view->fitted_width == view->input_width;
    *out = picture;
    if (matrices == PH_ABSENT && fills) return PH_OK;
    if (matrices == PH_ABSENT) PH_TRY(still_matrices(graph, view, graph->values[picture].shape.dims[0], &matrices));
    bool random = border == PH_BORDER_RANDOM; /* the caller takes the fill off before and adds it after */
    struct ph_warp_attributes attributes = {.height = view->input_height, .width = view->input_width,
        .border = random ? PH_BORDER_CONSTANT : border, .fill = random ? 0 : 0.5};
    int inputs[2] = {picture, matrices};
    return ph_graph_add(graph, &ph_operation_affine_warp, NULL, &attributes, inputs, 2, out);
}

void ph_preprocessing_matrix(const ph_preprocessing *preprocessing, float *weights, float *bias) {
    int channels = preprocessing->channels;
    for (int c = 0; c < channels; c++) {
        for (int d = 0; d < channels; d++) weights[c * channels + d] = 0;
        int source = preprocessing->bgr ? channels - 1 - c : c;
        weights[c * channels + source] = preprocessing->scale / preprocessing->deviation[c];
        bias[c] = -preprocessing->mean[c] / preprocessing->deviation[c];
    }
}

ph_status ph_preprocessing_build(const ph_model *model, struct ph_graph *graph, int picture, int *out) {
    float weights[PH_COUNT(model->preprocessing.mean) * PH_COUNT(model->preprocessing.mean)];
    float bias[PH_COUNT(model->preprocessing.mean)];
    ph_preprocessing_matrix(&model->preprocessing, weights, bias);
    return ph_colour_mix(graph, picture, weights, bias, out);
}
