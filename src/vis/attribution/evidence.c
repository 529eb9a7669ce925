/* How well a map tells what the network goes by. Every measure that hides pixels runs the network on batches of changed
 * inputs; the definitions are in docs/explain.md. */
#include "vis/attribution/attribution.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CURVE_STEPS = 32,
    CELLS = 9,
    SUBSETS = 200,
    NOISY_INPUTS = 50,
    SLIGHT_CHANGES = 5,
    NEAR_BOX = 15,
    RUNS = 2 * (CURVE_STEPS + 1) + SUBSETS + NOISY_INPUTS + SLIGHT_CHANGES
};
static const double subset_share = 0.2, noise_share = 0.03, slight_share = 0.02;

/* One explanation and what is needed to measure it. */
struct evidence {
    ph_model *model;
    ph_context *context;
    const ph_explanation *explanation;
    const ph_explain_options *options;
    struct ph_subject *score, *share; /* the objective; a class's share, else the objective again */
    int done;                       /* inputs run so far, of RUNS */
    double started;
    const float *input;             /* [C,H,W] */
    float *mean, *blurred, *black;  /* likewise: what stands in for hidden pixels */
    int channels, height, width;
    size_t plane, size;
    int *order;                     /* [H*W] pixels, highest map first */
    float *seen;                    /* [H*W] in [0,1]: what the map marks */
    float range;                    /* of the input */
    ph_evidence *result;
};

/* `done` inputs were run; false when the caller wants to stop. */
static bool evidence_progress(const struct evidence *e, int done) {
    const ph_explain_options *o = e->options;
    double seconds = ph_seconds() - e->started;
    double left = done > 0 && seconds > 0.2 ? seconds * (RUNS - done) / done : -1;
    return !o->progress || o->progress(o->user, done, RUNS, left);
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

struct ranked { double value; size_t index; };

static int ranked_compare(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void ranks_make(const double *values, size_t count, struct ranked *sorted, double *ranks) {
    for (size_t i = 0; i < count; i++) sorted[i] = (struct ranked){values[i], i};
    qsort(sorted, count, sizeof *sorted, ranked_compare);
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && sorted[end].value == sorted[first].value;) end++;
        for (size_t i = first; i < end; i++) ranks[sorted[i].index] = 0.5 * (double)(first + end - 1);
    }
}

static double correlation_of(const double *a, const double *b, size_t count) {
    double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < count; i++) {
        mean_a += a[i] / (double)count;
        mean_b += b[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        aa += (a[i] - mean_a) * (a[i] - mean_a);
        bb += (b[i] - mean_b) * (b[i] - mean_b);
        ab += (a[i] - mean_a) * (b[i] - mean_b);
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

ph_status ph_rank_correlation(ph_context *context, const double *a, const double *b, size_t count,
                              double *correlation) {
    struct ranked *sorted = ph_alloc_array(count, sizeof *sorted);
    double *ranks = ph_alloc_array(count, 2 * sizeof *ranks);
    if (sorted && ranks) {
        ranks_make(a, count, sorted, ranks);
        ranks_make(b, count, sorted, ranks + count);
        *correlation = correlation_of(ranks, ranks + count, count);
    }
    bool made = sorted && ranks;
    ph_free(sorted);
    ph_free(ranks);
    return made ? PH_OK : ph_fail_memory(context);
}

/* ---- Deletion and insertion: Petsiuk, Das, Saenko 2018, arXiv 1806.07421 ----------------------------------------- */

struct curve { const struct evidence *e; const float *from, *to; double *values; };

/* The first pixels in the map's order are `to`, the others `from`. */
static void curve_fill(void *user, int index, float *input) {
    const struct curve *curve = user;
    const struct evidence *e = curve->e;
    size_t changed = e->plane * (size_t)index / CURVE_STEPS;
    memcpy(input, curve->from, e->size * sizeof *input);
    for (size_t i = 0; i < changed; i++)
        for (int c = 0; c < e->channels; c++) {
            size_t at = (size_t)c * e->plane + (size_t)e->order[i];
            input[at] = curve->to[at];
        }
}

static bool curve_visit(void *user, int index, float value, const float *gradient) {
    const struct curve *curve = user;
    (void)gradient;
    curve->values[index] = value;
    return evidence_progress(curve->e, curve->e->done + index + 1);
}

static ph_status curve_run(struct evidence *e, const float *from, const float *to, double *values, double *area) {
    struct curve curve = {e, from, to, values};
    PH_TRY(ph_subject_run(e->share, CURVE_STEPS + 1, false, curve_fill, curve_visit, &curve));
    e->done += CURVE_STEPS + 1;
    *area = 0;
    for (int i = 0; i < CURVE_STEPS; i++) *area += 0.5 * (values[i] + values[i + 1]) / CURVE_STEPS;
    return PH_OK;
}

/* ---- Mu-fidelity: Bhatt, Weller, Moura 2020, arXiv 2005.00631 ---------------------------------------------------- */

/* The cell of a pixel, and whether subset `index` hides it: the cells with the smallest random numbers. */
static void subset_choose(int index, bool hidden[CELLS * CELLS]) {
    struct ranked draws[CELLS * CELLS];
    struct ph_random_key key = {.step = (uint32_t)index, .use = PH_USE_METRIC};
    for (size_t i = 0; i < CELLS * CELLS; i++) draws[i] = (struct ranked){ph_random_uniform(key, i), i};
    qsort(draws, CELLS * CELLS, sizeof *draws, ranked_compare);
    memset(hidden, 0, CELLS * CELLS * sizeof *hidden);
    for (int i = 0; i < (int)(subset_share * CELLS * CELLS + 0.5); i++) hidden[draws[i].index] = true;
}

static int cell_of(const struct evidence *e, size_t pixel) {
    int y = (int)(pixel / (size_t)e->width), x = (int)(pixel % (size_t)e->width);
    return y * CELLS / e->height * CELLS + x * CELLS / e->width;
}

static void fidelity_fill(void *user, int index, float *input) {
    const struct evidence *e = user;
    bool hidden[CELLS * CELLS];
    subset_choose(index, hidden);
    for (size_t pixel = 0; pixel < e->plane; pixel++) {
        bool is_hidden = hidden[cell_of(e, pixel)];
        for (size_t i = pixel; i < e->size; i += e->plane) input[i] = is_hidden ? e->mean[i] : e->input[i];
    }
}

static bool series_progress(void *user, int done) {
    const struct evidence *e = user;
    return evidence_progress(e, e->done + done);
}

static ph_status fidelity_measure(struct evidence *e) {
    double falls[SUBSETS], sums[SUBSETS] = {0}, cells[CELLS * CELLS] = {0};
    const double *values;
    float value;
    PH_TRY(ph_subject_evaluate(e->score, e->input, &value, NULL));
    PH_TRY(ph_subject_values(e->score, PH_SERIES_SUBSETS, e->input, SUBSETS, fidelity_fill, series_progress, e,
                             &values));
    e->done += SUBSETS;
    for (size_t i = 0; i < e->plane; i++) cells[cell_of(e, i)] += e->explanation->map->data[i];
    for (int i = 0; i < SUBSETS; i++) {
        bool hidden[CELLS * CELLS];
        subset_choose(i, hidden);
        falls[i] = value - values[i];
        for (int c = 0; c < CELLS * CELLS; c++) sums[i] += hidden[c] ? cells[c] : 0;
    }
    return ph_rank_correlation(e->context, falls, sums, SUBSETS, &e->result->mu_fidelity);
}

/* ---- Average drop, increase, gain: Chattopadhay et al. 2018, arXiv 1710.11063; Zhang et al. 2023, 2303.03278 ----- */

static ph_status drop_measure(struct evidence *e) {
    float *masked = ph_alloc_array(e->size, sizeof *masked), before, after;
    if (!masked) return ph_fail_memory(e->context);
    for (size_t i = 0; i < e->size; i++)
        masked[i] = e->black[i] + e->seen[i % e->plane] * (e->input[i] - e->black[i]);
    ph_status status = ph_subject_evaluate(e->share, e->input, &before, NULL);
    if (!status) status = ph_subject_evaluate(e->share, masked, &after, NULL);
    ph_free(masked);
    if (status) return status;
    bool shares = e->share != e->score || !strncmp(e->explanation->objective, "probability:", 12);
    e->result->average_drop = before > 0 ? fmax(0, (double)before - after) / before : NAN;
    e->result->average_gain = shares && before < 1 ? fmax(0, (double)after - before) / (1 - (double)before) : NAN;
    e->result->increase = after > before;
    return PH_OK;
}

/* ---- Infidelity: Yeh et al. 2019, arXiv 1901.09392, with its best scale for the map ------------------------------ */

static void noise_draw(const struct evidence *e, int index, float *noise) {
    struct ph_random_key key = {.seed = 1, .step = (uint32_t)index, .use = PH_USE_METRIC};
    ph_random_normal(key, noise, e->size);
    for (size_t i = 0; i < e->size; i++) noise[i] *= (float)noise_share * e->range;
}

static void noisy_fill(void *user, int index, float *input) {
    const struct evidence *e = user;
    noise_draw(e, index, input);
    for (size_t i = 0; i < e->size; i++) input[i] = e->input[i] - input[i];
}

/* What the map predicts for each noisy input; NAN when memory ran out. */
struct prediction { const struct evidence *e; double products[NOISY_INPUTS]; };

static void prediction_make(void *argument, int64_t index) {
    struct prediction *prediction = argument;
    const struct evidence *e = prediction->e;
    const ph_tensor *attribution = e->explanation->attribution;
    bool each_channel = attribution->rank == 4 && attribution->dims[1] == e->channels &&
                        attribution->dims[2] == e->height && attribution->dims[3] == e->width;
    const float *map = each_channel ? attribution->data : e->explanation->map->data;
    float *noise = ph_alloc_array(e->size, sizeof *noise);
    double product = noise ? 0 : NAN;
    if (noise) noise_draw(e, (int)index, noise);
    for (size_t i = 0, at = 0; i < e->size && noise; i++, at++) {
        if (at == e->plane && !each_channel) at = 0;
        product += (double)noise[i] * map[at];
    }
    prediction->products[index] = product;
    ph_free(noise);
}

static ph_status infidelity_measure(struct evidence *e) {
    struct prediction prediction = {.e = e};
    const double *values, *products = prediction.products;
    double pp = 0, pf = 0, ff = 0;
    float value;
    PH_TRY(ph_subject_evaluate(e->score, e->input, &value, NULL));
    PH_TRY(ph_subject_values(e->score, PH_SERIES_NOISY, e->input, NOISY_INPUTS, noisy_fill, series_progress, e,
                             &values));
    e->done += NOISY_INPUTS;
    ph_parallel_for(e->context, NOISY_INPUTS, prediction_make, &prediction);
    for (int i = 0; i < NOISY_INPUTS; i++) {
        if (isnan(products[i])) return ph_fail_memory(e->context);
        double fall = value - values[i];
        pp += products[i] * products[i];
        pf += products[i] * fall;
        ff += fall * fall;
    }
    e->result->infidelity = ff > 0 ? 1 - (pp > 0 ? pf * pf / (pp * ff) : 0) : NAN;
    return PH_OK;
}

/* ---- Largest sensitivity: Yeh et al. 2019 ------------------------------------------------------------------------ */

/* However far the explanation is, the measure is where it was. */
static bool sensitivity_progress(void *user, int64_t done, int64_t total, double seconds_left) {
    const struct evidence *e = user;
    (void)done, (void)total, (void)seconds_left;
    return evidence_progress(e, e->done);
}

static ph_status sensitivity_measure(struct evidence *e) {
    const ph_tensor *map = e->explanation->map;
    const ph_picture *seen = e->explanation->picture;
    ph_explain_options again = *e->options;
    double size = 0, largest = 0;
    again.fit = "none";
    again.against = NULL; /* the objective's text has it */
    again.progress = sensitivity_progress;
    again.user = e;
    e->result->sensitivity = NAN;
    if (ph_attribution_method_find(e->explanation->method)->of_many_runs) return PH_OK;
    for (size_t i = 0; i < e->plane; i++) size += (double)map->data[i] * map->data[i];
    for (int k = 0; k < SLIGHT_CHANGES; k++) {
        ph_picture *changed = NULL;
        ph_explanation *other = NULL;
        struct ph_random_key key = {.seed = 2, .step = (uint32_t)k, .use = PH_USE_METRIC};
        double difference = 0;
        PH_TRY(ph_picture_fit(seen, "none", seen->height, seen->width, &changed));
        for (size_t i = 0; i < e->size; i++)
            changed->pixels[i] += (float)(slight_share * (2 * ph_random_uniform(key, i) - 1));
        ph_status status = ph_explain(e->model, changed, e->explanation->objective, &again, &other);
        ph_picture_destroy(&changed);
        if (status) return status;
        for (size_t i = 0; i < e->plane; i++) {
            double d = (double)other->map->data[i] - map->data[i];
            difference += d * d;
        }
        largest = fmax(largest, difference);
        ph_explanation_destroy(&other);
        if (!evidence_progress(e, ++e->done)) return ph_fail(e->context, PH_ERROR_CANCELLED, "stopped");
    }
    if (size > 0) e->result->sensitivity = sqrt(largest / size);
    return PH_OK;
}

/* ---- Of the map alone -------------------------------------------------------------------------------------------- */

static int double_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Gini index of the magnitudes (Chalasani et al. 2020, arXiv 1810.06583). */
static ph_status sparseness_measure(struct evidence *e) {
    double *sorted = ph_alloc_array(e->plane, sizeof *sorted), sum = 0, weighted = 0;
    if (!sorted) return ph_fail_memory(e->context);
    for (size_t i = 0; i < e->plane; i++) sorted[i] = fabs((double)e->explanation->map->data[i]);
    qsort(sorted, e->plane, sizeof *sorted, double_compare);
    for (size_t i = 0; i < e->plane; i++) {
        sum += sorted[i];
        weighted += sorted[i] * ((double)(e->plane - i) - 0.5);
    }
    e->result->sparseness = sum > 0 ? 1 - 2 * weighted / (sum * (double)e->plane) : 0;
    ph_free(sorted);
    return PH_OK;
}

/* Where each pixel that the network saw lies in the picture as given: a picture of coordinates goes the same way. */
static ph_status coordinates_make(const struct evidence *e, const ph_picture *picture, const char *fit,
                                  ph_picture **out) {
    ph_picture *ramp;
    PH_TRY(ph_picture_create(e->context, 3, picture->height, picture->width, &ramp));
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    for (size_t i = 0; i < plane; i++) {
        ramp->pixels[i] = (float)(i % (size_t)picture->width) + 0.5f;
        ramp->pixels[plane + i] = (float)(i / (size_t)picture->width) + 0.5f;
        ramp->pixels[2 * plane + i] = 0;
    }
    ph_status status = ph_picture_fit(ramp, fit, e->height, e->width, out);
    ph_picture_destroy(&ramp);
    return status;
}

/* Pointing game: Zhang et al. 2016, arXiv 1608.00507. */
static ph_status box_measure(struct evidence *e, const ph_picture *picture, const char *fit, const ph_box *box) {
    ph_picture *at = NULL;
    double inside = 0, all = 0;
    PH_TRY(coordinates_make(e, picture, fit, &at));
    for (size_t i = 0; i < e->plane; i++) {
        double value = fmax(e->explanation->map->data[i], 0), x = at->pixels[i], y = at->pixels[e->plane + i];
        all += value;
        if (x >= box->left && x <= box->right && y >= box->top && y <= box->bottom) inside += value;
    }
    /* The tolerance is in pixels that the network saw. */
    size_t highest = (size_t)e->order[0], last = e->plane - 1;
    double per_pixel = e->width > 1 ? fabs((double)at->pixels[last] - at->pixels[0]) / (e->width - 1) : 1;
    double near = NEAR_BOX * per_pixel, x = at->pixels[highest], y = at->pixels[e->plane + highest];
    e->result->has_box = true;
    e->result->hit = x >= box->left - near && x <= box->right + near && y >= box->top - near && y <= box->bottom + near;
    e->result->in_box = all > 0 ? inside / all : 0;
    ph_picture_destroy(&at);
    return PH_OK;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static ph_status stand_ins_make(struct evidence *e) {
    size_t scratch_size = e->plane;
    float *scratch = ph_alloc_array(scratch_size, sizeof *scratch), colours[PH_MAX_CHANNELS];
    float weights[PH_MAX_CHANNELS * PH_MAX_CHANNELS];
    e->mean = ph_alloc_array(e->size, sizeof *e->mean);
    e->blurred = ph_alloc_array(e->size, sizeof *e->blurred);
    e->black = ph_alloc_array(e->size, sizeof *e->black);
    if (!scratch || !e->mean || !e->blurred || !e->black) {
        ph_free(scratch);
        return ph_fail_memory(e->context);
    }
    ph_preprocessing_matrix(&e->model->preprocessing, weights, colours);
    for (int c = 0; c < e->channels; c++) {
        double mean = 0;
        size_t first = (size_t)c * e->plane;
        for (size_t i = 0; i < e->plane; i++) mean += e->input[first + i] / (double)e->plane;
        for (size_t i = 0; i < e->plane; i++) {
            e->mean[first + i] = (float)mean;
            e->black[first + i] = colours[c];
        }
    }
    memcpy(e->blurred, e->input, e->size * sizeof *e->blurred);
    ph_planes_blur(e->blurred, e->channels, e->height, e->width, PH_MIN(e->height, e->width) / 20.0, scratch);
    ph_free(scratch);
    return PH_OK;
}

static ph_status map_prepare(struct evidence *e) {
    const float *map = e->explanation->map->data;
    struct ranked *sorted = ph_alloc_array(e->plane, sizeof *sorted);
    float low = e->explanation->is_signed ? 0 : INFINITY, high = -INFINITY, least = INFINITY, most = -INFINITY;
    e->order = ph_alloc_array(e->plane, sizeof *e->order);
    e->seen = ph_alloc_array(e->plane, sizeof *e->seen);
    if (!sorted || !e->order || !e->seen) {
        ph_free(sorted);
        return ph_fail_memory(e->context);
    }
    for (size_t i = 0; i < e->plane; i++) {
        sorted[i] = (struct ranked){-(double)map[i], i};
        if (!e->explanation->is_signed) low = fminf(low, map[i]);
        high = fmaxf(high, map[i]);
    }
    for (size_t i = 0; i < e->plane; i++)
        e->seen[i] = high > low ? fmaxf(map[i] - low, 0) / (high - low) : 0;
    qsort(sorted, e->plane, sizeof *sorted, ranked_compare);
    for (size_t i = 0; i < e->plane; i++) e->order[i] = (int)sorted[i].index;
    for (size_t i = 0; i < e->size; i++) {
        least = fminf(least, e->input[i]);
        most = fmaxf(most, e->input[i]);
    }
    e->range = most - least;
    ph_free(sorted);
    return PH_OK;
}

static ph_status all_measure(struct evidence *e, const ph_picture *picture, const ph_box *box) {
    ph_evidence *result = e->result;
    PH_TRY(stand_ins_make(e));
    PH_TRY(map_prepare(e));
    result->curve_points = CURVE_STEPS + 1;
    PH_TRY(curve_run(e, e->input, e->mean, result->deletion_curve, &result->deletion));
    PH_TRY(curve_run(e, e->blurred, e->input, result->insertion_curve, &result->insertion));
    PH_TRY(fidelity_measure(e));
    PH_TRY(drop_measure(e));
    PH_TRY(infidelity_measure(e));
    PH_TRY(sensitivity_measure(e));
    PH_TRY(sparseness_measure(e));
    return box ? box_measure(e, picture, e->options->fit, box) : PH_OK;
}

static ph_status measure(struct evidence *e, const ph_picture *picture, const ph_box *box, const char *share,
                         ph_explain_store *store) {
    ph_tensor *input = NULL;
    struct ph_shape shape = PH_SHAPE(1, e->channels, e->height, e->width);
    PH_TRY(ph_store_subject(store, e->explanation->objective, &shape, 0, &e->score));
    PH_TRY(ph_store_subject(store, share, &shape, 0, &e->share));
    PH_TRY(ph_picture_prepare(e->model, e->explanation->picture, "none", &input));
    e->input = input->data;
    ph_status status = all_measure(e, picture, box);
    ph_free(e->mean);
    ph_free(e->blurred);
    ph_free(e->black);
    ph_free(e->order);
    ph_free(e->seen);
    ph_tensor_destroy(&input);
    return status;
}

struct call {
    struct evidence *e;
    const ph_picture *picture;
    const ph_box *box;
    const char *share;
    ph_explain_store *store;
    ph_status status;
};

static void call_run(void *argument) {
    struct call *call = argument;
    call->status = measure(call->e, call->picture, call->box, call->share, call->store);
}

/* "class:N" is measured by its share. */
static char *share_text(const char *objective) {
    bool is_class = !strncmp(objective, "class:", 6) && objective[6] &&
                    strspn(objective + 6, "0123456789") == strlen(objective + 6);
    return is_class ? ph_sprintf("probability:%s", objective + 6) : ph_strdup(objective);
}

ph_status ph_explanation_measure(ph_model *model, const ph_picture *picture, const ph_explain_options *options,
                                 const ph_explanation *explanation, const ph_box *box, ph_evidence *evidence) {
    if (!model) return PH_ERROR_ARGUMENT;
    ph_context *context = model->context;
    if (!picture || !explanation || !evidence)
        return ph_fail(context, PH_ERROR_ARGUMENT,
                       "evidence needs a picture, its explanation and room for the numbers");
    if (!explanation->map)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s of layer '%s' draws no map that could be measured",
                       explanation->method, explanation->layer);
    *evidence = (ph_evidence){0};
    struct ph_explain_store passing = {.model = model};
    ph_explain_options again = options ? *options : ph_explain_defaults();
    if (!again.store) again.store = &passing;
    if (again.store->model != model) return ph_fail(context, PH_ERROR_ARGUMENT, "store: it is of another model");
    struct evidence e = {.model = model, .context = context, .explanation = explanation, .options = &again,
        .result = evidence, .channels = explanation->picture->channels, .height = explanation->picture->height,
        .width = explanation->picture->width, .started = ph_seconds()};
    e.plane = (size_t)e.height * (size_t)e.width;
    e.size = e.plane * (size_t)e.channels;
    char *share = share_text(explanation->objective);
    struct call call = {&e, picture, box, share, again.store, PH_OK};
    if (share) ph_parallel_region(context, call_run, &call);
    else call.status = ph_fail_memory(context);
    ph_free(share);
    ph_store_finish(&passing);
    evidence->seconds = ph_seconds() - e.started;
    return call.status;
}
