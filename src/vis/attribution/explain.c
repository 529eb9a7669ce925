/* ph_explain: the table of methods, what they are given, and what their results become. */
#include "vis/attribution/attribution.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct ph_attribution_method *const ph_attribution_methods[] = {
    &ph_attribution_gradient, &ph_attribution_gradient_x_input, &ph_attribution_integrated_gradients,
    &ph_attribution_blur_integrated_gradients, &ph_attribution_guided_integrated_gradients,
    &ph_attribution_guided_backpropagation, &ph_attribution_deconvolution, &ph_attribution_deeplift,
    &ph_attribution_lrp_epsilon, &ph_attribution_lrp_gamma, &ph_attribution_lrp_z_plus, &ph_attribution_lrp_alpha_beta,
    &ph_attribution_lrp_z_box, &ph_attribution_lrp_epsilon_gamma_box, &ph_attribution_lrp_epsilon_plus_flat,
    &ph_attribution_occlusion, &ph_attribution_rise, &ph_attribution_grad_cam, &ph_attribution_grad_cam_plus_plus,
    &ph_attribution_hires_cam, &ph_attribution_xgrad_cam, &ph_attribution_layer_cam, &ph_attribution_score_cam,
    &ph_attribution_eigen_cam, &ph_attribution_guided_grad_cam, &ph_attribution_xrai, &ph_attribution_layer_gradient,
    &ph_attribution_layer_path, NULL};

ph_explain_options ph_explain_defaults(void) {
    return (ph_explain_options){.method = "grad-cam", .average = "none", .samples = 25, .noise = 0.15, .masks = 4000,
        .grid = 7, .keep = 0.5, .epsilon = 1e-6, .gamma = 0.25, .alpha = 2};
}

/* ---- Helpers of the methods -------------------------------------------------------------------------------------- */

ph_status ph_attribution_tensor(struct ph_attribution *a, int channels, int height, int width, ph_tensor **tensor) {
    PH_TRY(ph_tensor_create(a->context, 4, (int64_t[]){1, channels, height, width}, tensor));
    memset((*tensor)->data, 0, (size_t)channels * (size_t)height * (size_t)width * sizeof *(*tensor)->data);
    return PH_OK;
}

ph_status ph_attribution_layer_name(struct ph_attribution *a, const char *name) {
    ph_free(a->result->layer);
    return (a->result->layer = ph_strdup(name)) ? PH_OK : ph_fail_memory(a->context);
}

bool ph_attribution_progress(struct ph_attribution *a, int64_t done, int64_t total) {
    if (!a->options.progress) return true;
    int64_t all_done = a->pass * total + done, all = a->passes * total;
    double seconds = ph_seconds() - a->started;
    double left = all_done > 0 && seconds > 0.2 ? seconds * (double)(all - all_done) / (double)all_done : -1;
    return a->options.progress(a->options.user, all_done, all, left);
}

ph_status ph_planes_resize(ph_context *context, const float *from, int planes, int height, int width, int new_height,
                           int new_width, float *to) {
    for (int p = 0; p < planes; p++) {
        /* Only read from. */
        struct ph_picture plane = {.context = context, .channels = 1, .height = height, .width = width,
            .pixels = (float *)from + (size_t)p * (size_t)height * (size_t)width};
        struct ph_picture *resized;
        size_t size = (size_t)new_height * (size_t)new_width;
        PH_TRY(ph_picture_resize(&plane, new_height, new_width, &resized));
        memcpy(to + (size_t)p * size, resized->pixels, size * sizeof *to);
        ph_picture_destroy(&resized);
    }
    return PH_OK;
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static const char *method_name(void *user, int index) {
    (void)user;
    return ph_attribution_methods[index]->name;
}

const struct ph_attribution_method *ph_attribution_method_find(const char *name) {
    for (int i = 0; name && ph_attribution_methods[i]; i++)
        if (!strcmp(ph_attribution_methods[i]->name, name)) return ph_attribution_methods[i];
    return NULL;
}

static ph_status method_find(ph_context *context, const char *name, const struct ph_attribution_method **method) {
    struct ph_text names = {0}, nearest = {0};
    int count = 0;
    if ((*method = ph_attribution_method_find(name))) return PH_OK;
    for (; ph_attribution_methods[count]; count++)
        ph_text_append(&names, "%s%s", count ? ", " : "", ph_attribution_methods[count]->name);
    if (name) ph_suggest(&nearest, name, count, method_name, NULL);
    ph_status status = ph_fail(context, PH_ERROR_NOT_FOUND, "method '%s': there is none of that name%s; there are %s",
                               name ? name : "", nearest.data ? nearest.data : "", names.data ? names.data : "");
    ph_text_finish(&nearest);
    ph_text_finish(&names);
    return status;
}

static const char *const averages[] = {"none", "smooth", "square", "variance"};
enum { AVERAGE_NONE, AVERAGE_SMOOTH, AVERAGE_SQUARE, AVERAGE_VARIANCE };

static int word_index(const char *const *words, int count, const char *word) {
    for (int i = 0; word && i < count; i++)
        if (!strcmp(words[i], word)) return i;
    return -1;
}

static ph_status options_check(ph_context *context, const ph_explain_options *o) {
    const struct { const char *name; double value, low, high; } ranges[] = {
        {"samples", o->samples, 1, 100000}, {"noise", o->noise, 0, 100}, {"steps", o->steps, 0, 100000},
        {"tolerance", o->tolerance, 0, 1}, {"patch", o->patch, 0, 65536}, {"stride", o->stride, 0, 65536},
        {"masks", o->masks, 1, 10000000}, {"grid", o->grid, 1, 64}, {"keep", o->keep, 1e-3, 1},
        {"epsilon", o->epsilon, 1e-30, 1e30}, {"gamma", o->gamma, 0, 1e6}, {"alpha", o->alpha, 1, 1e6}};
    for (int i = 0; i < PH_COUNT(ranges); i++)
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return ph_fail(context, PH_ERROR_ARGUMENT, "%s: %g is not within %g to %g", ranges[i].name, ranges[i].value,
                           ranges[i].low, ranges[i].high);
    if (word_index(averages, PH_COUNT(averages), o->average) < 0)
        return ph_fail(context, PH_ERROR_ARGUMENT, "average: '%s' is none of none, smooth, square, variance",
                       o->average ? o->average : "");
    return PH_OK;
}

/* ---- The baseline ------------------------------------------------------------------------------------------------ */

static ph_status blur_picture(struct ph_picture *picture) {
    enum { PART = 20 }; /* of the shorter side */
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    float *scratch = ph_alloc_array(plane, sizeof *scratch);
    if (!scratch) return ph_fail_memory(picture->context);
    ph_planes_blur(picture->pixels, picture->channels, picture->height, picture->width,
                   PH_MIN(picture->height, picture->width) / (double)PART, scratch);
    ph_free(scratch);
    return PH_OK;
}

/* Changes a copy of the picture to the baseline of that name. */
static ph_status baseline_draw(const char *name, uint64_t seed, struct ph_picture *picture) {
    static const char *const names[] = {"black", "mean", "blur", "noise"};
    int kind = word_index(names, PH_COUNT(names), name);
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    if (kind < 0)
        return ph_fail(picture->context, PH_ERROR_ARGUMENT, "baseline: '%s' is none of black, mean, blur, noise", name);
    if (kind == 2) return blur_picture(picture);
    for (int c = 0; c < picture->channels; c++) {
        float *pixels = picture->pixels + (size_t)c * plane;
        struct ph_random_key key = {.seed = seed, .step = (uint32_t)c, .use = PH_USE_BASELINE};
        double mean = 0;
        for (size_t i = 0; i < plane && kind == 1; i++) mean += pixels[i] / (double)plane;
        for (size_t i = 0; i < plane; i++) pixels[i] = kind == 3 ? (float)ph_random_uniform(key, i) : (float)mean;
    }
    return PH_OK;
}

static ph_status baseline_picture(const struct ph_attribution *a, ph_picture **picture) {
    const ph_picture *seen = a->result->picture, *given = a->options.baseline_picture;
    if (!given) {
        PH_TRY(ph_picture_fit(seen, "none", seen->height, seen->width, picture));
        return baseline_draw(a->options.baseline ? a->options.baseline : a->method->baseline, a->options.seed,
                             *picture);
    }
    ph_picture *converted = NULL;
    PH_TRY(ph_picture_convert(given, seen->channels, &converted));
    const char *fit = a->options.fit && !strcmp(a->options.fit, "none") ? "stretch" : a->options.fit;
    ph_status status = ph_picture_fit(converted, fit, seen->height, seen->width, picture);
    ph_picture_destroy(&converted);
    return status;
}

static ph_status baseline_make(struct ph_attribution *a) {
    ph_picture *picture = NULL;
    ph_tensor *tensor = NULL;
    ph_status status = baseline_picture(a, &picture);
    if (!status) status = ph_picture_prepare(a->model, picture, "none", &tensor);
    if (!status && !(a->baseline = ph_alloc_array(a->subject->size, sizeof *a->baseline)))
        status = ph_fail_memory(a->context);
    if (!status) memcpy(a->baseline, tensor->data, a->subject->size * sizeof *a->baseline);
    ph_picture_destroy(&picture);
    ph_tensor_destroy(&tensor);
    return status;
}

/* ---- Averages over noisy copies: SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825), SquareGrad (Hooker et al. 2019,
 * arXiv 1806.10758), VarGrad (Adebayo et al. 2018, arXiv 1810.03292) ----------------------------------------------- */

static ph_status averaged_run(struct ph_attribution *a, const float *input, int average, ph_tensor **tensor) {
    double *sums = NULL, *squares = NULL;
    size_t size = a->subject->size, count = 0;
    float *noisy = ph_alloc_array(size, sizeof *noisy);
    ph_status status = noisy ? PH_OK : ph_fail_memory(a->context);
    a->passes = a->options.samples;
    for (a->pass = 0; a->pass < a->passes && !status; a->pass++) {
        struct ph_random_key key = {.seed = a->options.seed, .step = (uint32_t)a->pass, .use = PH_USE_NOISY_COPY};
        float deviation = (float)(a->options.noise * ((double)a->high - a->low));
        ph_random_normal(key, noisy, size);
        for (size_t i = 0; i < size; i++) noisy[i] = input[i] + deviation * noisy[i];
        ph_tensor_destroy(tensor);
        status = a->method->run(a, noisy, tensor);
        if (!status && !sums) {
            count = (size_t)((*tensor)->dims[1] * (*tensor)->dims[2] * (*tensor)->dims[3]);
            sums = ph_alloc_array(count, sizeof *sums);
            squares = ph_alloc_array(count, sizeof *squares);
            if (!sums || !squares) status = ph_fail_memory(a->context);
        }
        for (size_t i = 0; i < count && !status; i++) {
            double value = (*tensor)->data[i];
            sums[i] += value;
            squares[i] += value * value;
        }
        if (!status && !ph_attribution_progress(a, 1, 1)) status = ph_fail(a->context, PH_ERROR_CANCELLED, "stopped");
    }
    for (size_t i = 0; i < count && !status; i++) {
        double mean = sums[i] / a->passes, square = squares[i] / a->passes;
        (*tensor)->data[i] = (float)(average == AVERAGE_SMOOTH   ? mean
                                     : average == AVERAGE_SQUARE ? square
                                                                 : fmax(square - mean * mean, 0));
    }
    ph_free(noisy);
    ph_free(sums);
    ph_free(squares);
    return status;
}

/* ---- From the attribution to the map ----------------------------------------------------------------------------- */

static void channels_reduce(const ph_tensor *tensor, bool absolute, float *out) {
    size_t plane = (size_t)(tensor->dims[2] * tensor->dims[3]);
    for (size_t i = 0; i < plane; i++) {
        double sum = 0, largest = 0;
        for (int64_t c = 0; c < tensor->dims[1]; c++) {
            double value = tensor->data[(size_t)c * plane + i];
            sum += value;
            largest = fmax(largest, fabs(value));
        }
        out[i] = (float)(absolute ? largest : sum);
    }
}

static ph_status map_make(const struct ph_attribution *a) {
    const ph_tensor *tensor = a->result->attribution;
    int height = (int)tensor->dims[2], width = (int)tensor->dims[3];
    if (a->method->of_units && height * width == 1) return PH_OK;
    PH_TRY(ph_tensor_create(a->context, 2, (int64_t[]){a->height, a->width}, &a->result->map));
    float *small = ph_alloc_array((size_t)height * (size_t)width, sizeof *small);
    if (!small) return ph_fail_memory(a->context);
    channels_reduce(tensor, a->method->sum == PH_SUM_ABSOLUTE, small);
    ph_status status = PH_OK;
    if (height == a->height && width == a->width)
        memcpy(a->result->map->data, small, (size_t)height * (size_t)width * sizeof *small);
    else status = ph_planes_resize(a->context, small, 1, height, width, a->height, a->width, a->result->map->data);
    ph_free(small);
    return status;
}

static int share_compare(const void *a, const void *b) {
    const ph_unit_share *x = a, *y = b;
    double p = fabs(x->share), q = fabs(y->share);
    if (p != q) return p < q ? 1 : -1;
    return (x->unit > y->unit) - (x->unit < y->unit);
}

static ph_status units_rank(const struct ph_attribution *a) {
    const ph_tensor *tensor = a->result->attribution;
    int count = (int)tensor->dims[1];
    size_t plane = (size_t)(tensor->dims[2] * tensor->dims[3]);
    ph_unit_share *units = ph_alloc_array((size_t)count, sizeof *units);
    if (!units) return ph_fail_memory(a->context);
    for (int k = 0; k < count; k++) {
        units[k].unit = k;
        for (size_t i = 0; i < plane; i++) units[k].share += tensor->data[(size_t)k * plane + i];
    }
    qsort(units, (size_t)count, sizeof *units, share_compare);
    a->result->units = units;
    a->result->unit_count = count;
    return PH_OK;
}

static ph_status result_complete(struct ph_attribution *a, int average) {
    ph_explanation *result = a->result;
    const ph_tensor *tensor = result->attribution;
    int64_t count = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(tensor->data[i]))
            return ph_fail(a->context, PH_ERROR_NUMERIC, "%s: the map holds values that are not finite",
                           a->method->name);
        result->sum += tensor->data[i];
    }
    if (average) result->steps = a->passes;
    else if (!isnan(result->baseline_value))
        result->gap = fabs(result->sum - ((double)result->value - result->baseline_value));
    else if (a->method->conserves) result->gap = fabs(result->sum + result->absorbed - result->value);
    result->is_signed = a->method->is_signed && average <= AVERAGE_SMOOTH;
    PH_TRY(map_make(a));
    return a->method->of_units ? units_rank(a) : PH_OK;
}

/* ---- The call ---------------------------------------------------------------------------------------------------- */

/* Brings the picture to what the network sees: the result's picture, and the prepared input. */
static ph_status input_make(struct ph_attribution *a, const ph_picture *picture, ph_tensor **input) {
    const ph_model *model = a->model;
    ph_picture *converted = NULL;
    if (model->default_input.rank != 4 || model->default_input.dims[1] != model->preprocessing.channels)
        return ph_fail(a->context, PH_ERROR_UNSUPPORTED, "the network's input is not a picture of %d channels",
                       model->preprocessing.channels);
    PH_TRY(ph_picture_convert(picture, model->preprocessing.channels, &converted));
    ph_status status = ph_picture_fit(converted, a->options.fit, (int)model->default_input.dims[2],
                                      (int)model->default_input.dims[3], &a->result->picture);
    ph_picture_destroy(&converted);
    if (!status) status = ph_picture_prepare(model, a->result->picture, "none", input);
    if (status) return status;
    a->channels = a->result->picture->channels;
    a->height = a->result->picture->height;
    a->width = a->result->picture->width;
    a->low = INFINITY;
    a->high = -INFINITY;
    for (size_t i = 0; i < (size_t)a->channels * (size_t)a->height * (size_t)a->width; i++) {
        a->low = fminf(a->low, (*input)->data[i]);
        a->high = fmaxf(a->high, (*input)->data[i]);
    }
    return PH_OK;
}

static ph_status colours_make(struct ph_attribution *a, float *black, float *white) {
    float weights[PH_MAX_CHANNELS * PH_MAX_CHANNELS];
    ph_preprocessing_matrix(&a->model->preprocessing, weights, black);
    for (int c = 0; c < a->channels; c++) {
        white[c] = black[c];
        for (int d = 0; d < a->channels; d++) white[c] += weights[c * a->channels + d];
    }
    a->black = black;
    a->white = white;
    return PH_OK;
}

/* The text of what is explained; without an objective it is the top class. */
static ph_status objective_choose(struct ph_attribution *a, const char *objective) {
    char *text = objective ? ph_strdup(objective) : NULL;
    if (!objective) {
        int index;
        PH_TRY(ph_store_classify(a->options.store, a->result->picture, &index));
        text = ph_sprintf("%s:%d", a->method->on_probability ? "probability" : "class", index);
    }
    if (text && a->options.against) {
        char *both = ph_sprintf("(%s) - (%s)", text, a->options.against);
        ph_free(text);
        text = both;
    }
    a->result->objective = text;
    return text ? PH_OK : ph_fail_memory(a->context);
}

static ph_status explain(struct ph_attribution *a, int forgotten, const ph_tensor *input) {
    float black[PH_MAX_CHANNELS], white[PH_MAX_CHANNELS];
    int average = word_index(averages, PH_COUNT(averages), a->options.average);
    PH_TRY(ph_store_subject(a->options.store, a->result->objective, &PH_SHAPE(1, a->channels, a->height, a->width),
                            forgotten, &a->subject));
    PH_TRY(ph_objective_check_single(a->context, a->subject->objective));
    PH_TRY(colours_make(a, black, white));
    if (a->method->baseline) PH_TRY(baseline_make(a));
    if (!a->options.steps) a->options.steps = a->method->steps;
    PH_TRY(ph_subject_evaluate(a->subject, input->data, &a->result->value, NULL));
    if (average) PH_TRY(averaged_run(a, input->data, average, &a->result->attribution));
    else PH_TRY(a->method->run(a, input->data, &a->result->attribution));
    return result_complete(a, average);
}

static ph_status explain_picture(struct ph_attribution *a, const ph_picture *picture, const char *text, int forgotten) {
    ph_tensor *input = NULL;
    PH_TRY(method_find(a->context, a->options.method, &a->method));
    PH_TRY(options_check(a->context, &a->options));
    a->result->method = a->method->name;
    ph_status status = input_make(a, picture, &input);
    if (!status) status = objective_choose(a, text);
    if (!status) status = explain(a, forgotten, input);
    ph_free(a->baseline);
    ph_tensor_destroy(&input);
    return status;
}

struct call { struct ph_attribution *a; const ph_picture *picture; const char *text; int forgotten; ph_status status; };

static void call_run(void *argument) {
    struct call *call = argument;
    call->status = explain_picture(call->a, call->picture, call->text, call->forgotten);
}

ph_status ph_explain_forgotten(ph_model *model, const ph_picture *picture, const char *objective,
                               const ph_explain_options *options, int forgotten, ph_explanation **explanation) {
    if (!model) return PH_ERROR_ARGUMENT;
    ph_context *context = model->context;
    if (!picture || !explanation)
        return ph_fail(context, PH_ERROR_ARGUMENT, "an explanation needs a picture and room for the result");
    struct ph_attribution a = {.model = model, .context = context, .started = ph_seconds(), .passes = 1,
        .options = options ? *options : ph_explain_defaults()};
    struct ph_explain_store passing = {.model = model};
    *explanation = NULL;
    /* A network that forgot something is not asked for again soon. */
    if (!a.options.store || forgotten) a.options.store = &passing;
    if (a.options.store->model != model)
        return ph_fail(context, PH_ERROR_ARGUMENT, "store: it is of another model");
    if (!(a.result = ph_alloc(sizeof *a.result))) return ph_fail_memory(context);
    a.result->baseline_value = NAN;
    a.result->gap = NAN;
    /* One start of threads for the hundreds of small programs that a walk runs. */
    struct call call = {&a, picture, objective, forgotten, PH_OK};
    ph_parallel_region(context, call_run, &call);
    ph_store_finish(&passing);
    a.result->seconds = ph_seconds() - a.started;
    if (call.status) ph_explanation_destroy(&a.result);
    *explanation = a.result;
    return call.status;
}

ph_status ph_explain(ph_model *model, const ph_picture *picture, const char *objective,
                     const ph_explain_options *options, ph_explanation **explanation) {
    return ph_explain_forgotten(model, picture, objective, options, 0, explanation);
}

void ph_explanation_destroy(ph_explanation **explanation) {
    if (!explanation || !*explanation) return;
    ph_explanation *e = *explanation;
    ph_free(e->objective);
    ph_free(e->layer);
    ph_tensor_destroy(&e->attribution);
    ph_tensor_destroy(&e->map);
    ph_picture_destroy(&e->picture);
    ph_free(e->units);
    ph_free(e);
    *explanation = NULL;
}
