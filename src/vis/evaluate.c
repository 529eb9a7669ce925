/* Running a network on a given input: a layer's values, the classes it sees. */
#include "vis/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

ph_status ph_run_start(const ph_model *model, const struct ph_shape *shape, struct ph_run *run) {
    *run = (struct ph_run){.context = model->context};
    PH_TRY(ph_graph_create(model->context, &run->graph));
    PH_TRY(ph_graph_add_input(run->graph, NULL, PH_FLOAT, *shape, &run->input));
    return ph_model_build(model, run->graph, run->input);
}

void ph_run_finish(struct ph_run *run) {
    ph_program_destroy(&run->program);
    ph_graph_destroy(&run->graph);
}

ph_status ph_run_forward(struct ph_run *run, const struct ph_program_request *request, const float *data) {
    PH_TRY(ph_program_create(run->graph, request, &run->program));
    float *input = ph_program_input(run->program, run->input);
    if (input) memcpy(input, data, (size_t)ph_shape_size(&run->graph->values[run->input].shape) * sizeof *data);
    return ph_program_forward(run->program);
}

static ph_status tensor_read(struct ph_run *run, int value, ph_tensor **tensor) {
    const struct ph_shape *shape = &run->graph->values[value].shape;
    PH_TRY(ph_tensor_create(run->context, shape->rank, shape->dims, tensor));
    ph_program_read(run->program, value, (*tensor)->data);
    return PH_OK;
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

ph_status ph_run_shape(const ph_model *model, const ph_tensor *input, struct ph_shape *shape) {
    if (!input || !input->data) return ph_fail(model->context, PH_ERROR_ARGUMENT, "no input tensor");
    shape->rank = input->rank;
    if (input->rank >= 0 && input->rank <= PH_MAX_RANK)
        memcpy(shape->dims, input->dims, (size_t)input->rank * sizeof *shape->dims);
    if (!ph_shape_valid(shape) || input->rank < 1)
        return ph_fail(model->context, PH_ERROR_SHAPE, "the input tensor's shape is not valid");
    const struct ph_shape *own = &model->default_input;
    char here[128], there[128];
    if (own->rank && input->rank != own->rank)
        return ph_fail(model->context, PH_ERROR_SHAPE, "the input's shape is %s, the network takes %s",
                       ph_shape_text(shape, here), ph_shape_text(own, there));
    if (!ph_shape_size(shape)) return ph_fail(model->context, PH_ERROR_SHAPE, "the input tensor holds no values");
    return PH_OK;
}

ph_status ph_picture_prepare(const ph_model *model, const ph_picture *picture, const char *fit, ph_tensor **tensor) {
    const struct ph_shape *input = &model->default_input;
    const ph_preprocessing *preprocessing = &model->preprocessing;
    ph_picture *converted = NULL, *fitted = NULL;
    if (!picture) return ph_fail(model->context, PH_ERROR_ARGUMENT, "no picture");
    if (input->rank != 4 || input->dims[1] != preprocessing->channels)
        return ph_fail(model->context, PH_ERROR_UNSUPPORTED, "the network's input is not a picture of %d channels",
                       preprocessing->channels);
    ph_status status = ph_picture_convert(picture, preprocessing->channels, &converted);
    if (!status)
        status = ph_picture_fit(converted, fit ? fit : "crop", (int)input->dims[2], (int)input->dims[3], &fitted);
    if (!status)
        status = ph_tensor_create(model->context, 4, (int64_t[]){1, fitted->channels, fitted->height, fitted->width},
                                  tensor);
    if (!status) {
        float weights[PH_COUNT(preprocessing->mean) * PH_COUNT(preprocessing->mean)];
        float bias[PH_COUNT(preprocessing->mean)];
        int channels = preprocessing->channels;
        size_t plane = (size_t)fitted->height * (size_t)fitted->width;
        ph_preprocessing_matrix(preprocessing, weights, bias);
        for (int c = 0; c < channels; c++)
            for (size_t i = 0; i < plane; i++) {
                float sum = bias[c];
                for (int d = 0; d < channels; d++)
                    sum += weights[c * channels + d] * fitted->pixels[(size_t)d * plane + i];
                (*tensor)->data[(size_t)c * plane + i] = sum;
            }
    }
    ph_picture_destroy(&converted);
    ph_picture_destroy(&fitted);
    return status;
}

/* ---- Activations ------------------------------------------------------------------------------------------------- */

static ph_status activations_run(const ph_model *model, const ph_tensor *input, const char *layer, struct ph_run *run,
                                 ph_tensor **tensor) {
    struct ph_shape shape;
    int value;
    PH_TRY(ph_run_shape(model, input, &shape));
    PH_TRY(ph_run_start(model, &shape, run));
    PH_TRY(ph_model_find_layer(model, run->graph, layer, &value));
    struct ph_program_request request = {.taps = &value, .tap_count = 1, .loss = PH_ABSENT};
    PH_TRY(ph_run_forward(run, &request, input->data));
    return tensor_read(run, value, tensor);
}

ph_status ph_activations_tensor(ph_model *model, const ph_tensor *input, const char *layer, ph_tensor **tensor) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!layer || !tensor)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "activations need a layer and room for a tensor");
    struct ph_run run = {0};
    *tensor = NULL;
    ph_status status = activations_run(model, input, layer, &run, tensor);
    ph_run_finish(&run);
    return status;
}

ph_status ph_activations(ph_model *model, const ph_picture *picture, const char *fit, const char *layer,
                         ph_tensor **tensor) {
    if (!model) return PH_ERROR_ARGUMENT;
    ph_tensor *input = NULL;
    ph_status status = ph_picture_prepare(model, picture, fit, &input);
    if (!status) status = ph_activations_tensor(model, input, layer, tensor);
    ph_tensor_destroy(&input);
    return status;
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

static int score_compare(const void *a, const void *b) {
    const ph_class_score *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

/* In double, with the largest logit taken out, so that nothing overflows. */
static void softmax(ph_class_score *scores, int count) {
    double largest = -HUGE_VAL, sum = 0;
    for (int i = 0; i < count; i++) largest = fmax(largest, scores[i].logit);
    for (int i = 0; i < count; i++) sum += exp(scores[i].logit - largest);
    for (int i = 0; i < count; i++) scores[i].probability = (float)(exp(scores[i].logit - largest) / sum);
}

/* All classes, unsorted: logits and, where the network has a softmax, its probabilities. */
static ph_status scores_read(struct ph_run *run, int logits, int probabilities, ph_class_score **scores, int *count) {
    ph_tensor *tensor;
    PH_TRY(tensor_read(run, logits, &tensor));
    *count = (int)ph_shape_size(&run->graph->values[logits].shape);
    *scores = ph_alloc_array((size_t)*count, sizeof **scores);
    if (!*scores) {
        ph_tensor_destroy(&tensor);
        return ph_fail_memory(run->context);
    }
    for (int i = 0; i < *count; i++) (*scores)[i] = (ph_class_score){.index = i, .logit = tensor->data[i]};
    ph_tensor_destroy(&tensor);
    if (probabilities == PH_ABSENT) {
        softmax(*scores, *count);
        return PH_OK;
    }
    PH_TRY(tensor_read(run, probabilities, &tensor));
    for (int i = 0; i < *count; i++) (*scores)[i].probability = tensor->data[i];
    ph_tensor_destroy(&tensor);
    return PH_OK;
}

static ph_status classify_run(const ph_model *model, const ph_tensor *input, struct ph_run *run, ph_class_score **scores,
                              int *count) {
    struct ph_shape shape;
    int taps[2] = {PH_ABSENT, PH_ABSENT};
    if (!model->logits)
        return ph_fail(model->context, PH_ERROR_UNSUPPORTED, "the network has no known layer of classes");
    PH_TRY(ph_run_shape(model, input, &shape));
    PH_TRY(ph_run_start(model, &shape, run));
    PH_TRY(ph_model_find_layer(model, run->graph, model->logits, &taps[0]));
    if (model->probabilities) PH_TRY(ph_model_find_layer(model, run->graph, model->probabilities, &taps[1]));
    int64_t classes = ph_shape_size(&run->graph->values[taps[0]].shape);
    if (classes > INT32_MAX || (taps[1] != PH_ABSENT && ph_shape_size(&run->graph->values[taps[1]].shape) != classes))
        return ph_fail(model->context, PH_ERROR_SHAPE, "layers '%s' and '%s' are not of the same classes",
                       model->logits, model->probabilities ? model->probabilities : "");
    struct ph_program_request request = {.taps = taps, .tap_count = taps[1] == PH_ABSENT ? 1 : 2, .loss = PH_ABSENT};
    PH_TRY(ph_run_forward(run, &request, input->data));
    return scores_read(run, taps[0], taps[1], scores, count);
}

ph_status ph_classify(ph_model *model, const ph_picture *picture, const char *fit, ph_class_score *scores, int count,
                      int *found) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!scores || count < 1)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "classes need room for at least one score");
    struct ph_run run = {0};
    ph_tensor *input = NULL;
    ph_class_score *all = NULL;
    int total = 0;
    ph_status status = ph_picture_prepare(model, picture, fit, &input);
    if (!status) status = classify_run(model, input, &run, &all, &total);
    if (!status) {
        qsort(all, (size_t)total, sizeof *all, score_compare);
        memcpy(scores, all, (size_t)PH_MIN(count, total) * sizeof *all);
        if (found) *found = PH_MIN(count, total);
    }
    ph_free(all);
    ph_tensor_destroy(&input);
    ph_run_finish(&run);
    return status;
}
