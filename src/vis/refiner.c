/* Around the optimiser's step: the gradient is prepared before it, and the step regularisers of the Deep Visualization
 * Toolbox change the parameters after it (Yosinski, Clune, Nguyen, Fuchs, Lipson 2015, "Understanding Neural Networks
 * Through Deep Visualization", section 3: decay, blur, clipping of pixels with small norm or small contribution).
 *
 * Parameters are about 0 = grey, so what the toolbox says of a picture less its mean holds for them. */
#include "vis/vis.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Pixels become grey ------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* As numpy.percentile, linear between the two nearest. */
static float percentile(const float *values, size_t count, double percent, float *sorted) {
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, ascending);
    double at = percent / 100 * (double)(count - 1);
    size_t low = (size_t)at, high = PH_MIN(low + 1, count - 1);
    return (float)(sorted[low] + (at - (double)low) * ((double)sorted[high] - sorted[low]));
}

/* Pixels whose `weights` lie below the percentile. */
static void pixels_clear(float *x, int channels, size_t plane, const float *weights, double percent, float *sorted) {
    float least = percentile(weights, plane, percent, sorted);
    for (size_t i = 0; i < plane; i++)
        for (int c = 0; c < channels && weights[i] < least; c++) x[(size_t)c * plane + i] = 0;
}

static void norms(const float *x, int channels, size_t plane, float *out) {
    for (size_t i = 0; i < plane; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++) sum += (double)x[(size_t)c * plane + i] * x[(size_t)c * plane + i];
        out[i] = (float)sqrt(sum);
    }
}

/* What setting the pixel to grey would change, to first order. */
static void contributions(const float *x, const float *gradient, int channels, size_t plane, float *out) {
    for (size_t i = 0; i < plane; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++) sum += (double)x[(size_t)c * plane + i] * gradient[(size_t)c * plane + i];
        out[i] = (float)fabs(sum);
    }
}

/* ---- The refiner ------------------------------------------------------------------------------------------------- */

struct task { struct ph_refiner *refiner; int64_t step; const bool *resting; float *parameters; const float *gradient; };

static float *scratch_of(const struct ph_refiner *refiner, int64_t item) {
    return refiner->scratch + (size_t)item * refiner->item_size * 3;
}

static bool blurs(const struct ph_numbers *blur) { return blur->values[0] > 0 || blur->values[blur->count - 1] > 0; }

static bool on_pixels(const ph_recipe *recipe) {
    return blurs(&recipe->gradient_blur) || recipe->gradient_bands || blurs(&recipe->blur) || recipe->clip_norm > 0 ||
           recipe->clip_contribution > 0;
}

ph_status ph_refiner_start(ph_context *context, const ph_recipe *recipe, const struct ph_view *view, int items,
                           size_t item_size, struct ph_refiner *refiner) {
    const struct ph_optimiser *optimiser = ph_optimisers[recipe->optimiser];
    *refiner = (struct ph_refiner){.context = context, .recipe = recipe, .view = *view, .items = items,
        .item_size = item_size, .normalisation = (enum ph_normalisation)recipe->normalise};
    bool is_pixel = ph_parameterisations[recipe->parameterisation] == &ph_parameterisation_pixel;
    refiner->bounded = ph_colour_is_bounded(recipe);
    if (!refiner->normalisation) refiner->normalisation = optimiser->normalisation;
    bool pixels = on_pixels(recipe);
    if (pixels && !is_pixel)
        return ph_fail(context, PH_ERROR_ARGUMENT,
                       "gradient-blur, gradient-bands, blur, clip-norm and clip-contribution are about pixels: they "
                       "need parameterisation=pixel");
    if (optimiser->minimise && (pixels || recipe->pixel_decay > 0 || refiner->bounded || refiner->normalisation))
        return ph_fail(context, PH_ERROR_ARGUMENT,
                       "optimiser %s finds its steps by itself: no normalise, gradient-blur, gradient-bands, squash=clip "
                       "or step regularisers with it", optimiser->name);
    const struct ph_parameterisation *parameterisation = ph_parameterisations[recipe->parameterisation];
    if (parameterisation->common) refiner->common = (size_t)parameterisation->common(recipe, view);
    size_t count = (size_t)items * item_size;
    bool prepares = refiner->common || refiner->normalisation || blurs(&recipe->gradient_blur) || recipe->gradient_bands;
    if (prepares) refiner->gradient = ph_alloc_array(count, sizeof(float));
    if (pixels) refiner->scratch = ph_alloc_array(count, 3 * sizeof(float));
    if ((prepares && !refiner->gradient) || (pixels && !refiner->scratch)) {
        ph_refiner_finish(refiner);
        return ph_fail_memory(context);
    }
    return PH_OK;
}

void ph_refiner_finish(struct ph_refiner *refiner) {
    ph_free(refiner->gradient);
    ph_free(refiner->scratch);
    *refiner = (struct ph_refiner){0};
}

static void gradient_task(void *argument, int64_t item) {
    const struct task *task = argument;
    const struct ph_refiner *r = task->refiner;
    const ph_recipe *recipe = r->recipe;
    const struct ph_view *view = &r->view;
    float *gradient = r->gradient + (size_t)item * r->item_size;
    memcpy(gradient, task->gradient + (size_t)item * r->item_size, r->item_size * sizeof *gradient);
    if (blurs(&recipe->gradient_blur))
        ph_planes_blur(gradient, view->channels, view->height, view->width,
                       ph_recipe_over_steps(recipe, &recipe->gradient_blur, task->step), scratch_of(r, item));
    if (recipe->gradient_bands)
        ph_gradient_normalise_bands(gradient, view->channels, view->height, view->width, (int)recipe->gradient_bands,
                                    scratch_of(r, item));
    ph_gradient_normalise(r->normalisation, gradient, r->item_size);
    if (r->normalisation != PH_NORMALISE_PROGRESS || !(recipe->rate_limit < HUGE_VAL)) return;
    /* The share of the gradient that a step goes is the learning rate over its square; not more than the limit. */
    double squares = 0;
    for (size_t i = 0; i < r->item_size; i++) squares += (double)gradient[i] * gradient[i];
    double most = recipe->rate_limit / (recipe->learning_rate * squares); /* |g / g^2|^2 = 1 / g^2 */
    for (size_t i = 0; i < r->item_size && most < 1; i++) gradient[i] = (float)(gradient[i] * most);
}

/* What all items have in common moves along the sum of their gradients: they start alike, and so they stay. */
static void common_share(struct ph_refiner *r) {
    for (size_t i = 0; i < r->common; i++) {
        double sum = 0;
        for (int n = 0; n < r->items; n++) sum += r->gradient[(size_t)n * r->item_size + i];
        for (int n = 0; n < r->items; n++) r->gradient[(size_t)n * r->item_size + i] = (float)sum;
    }
}

const float *ph_refiner_gradient(struct ph_refiner *refiner, int64_t step, const float *gradient) {
    if (!refiner->gradient) return gradient;
    struct task task = {.refiner = refiner, .step = step, .gradient = gradient};
    ph_parallel_for(refiner->context, refiner->items, gradient_task, &task);
    common_share(refiner);
    return refiner->gradient;
}

static void parameters_task(void *argument, int64_t item) {
    const struct task *task = argument;
    const struct ph_refiner *r = task->refiner;
    const ph_recipe *recipe = r->recipe;
    const struct ph_view *view = &r->view;
    float *x = task->parameters + (size_t)item * r->item_size;
    const float *gradient = task->gradient + (size_t)item * r->item_size;
    if (task->resting[item]) return;
    if (recipe->pixel_decay > 0)
        for (size_t i = 0; i < r->item_size; i++) x[i] *= (float)(1 - recipe->pixel_decay);
    if (r->bounded)
        for (size_t i = 0; i < r->item_size; i++) { /* by comparisons: fminf would be a call */
            float below = x[i] < 0.5f ? x[i] : 0.5f;
            x[i] = below > -0.5f ? below : -0.5f;
        }
    if (!r->scratch) return;
    int channels = view->channels;
    size_t plane = (size_t)view->height * (size_t)view->width;
    float *weights = scratch_of(r, item), *sorted = weights + plane;
    if (blurs(&recipe->blur) && task->step % recipe->blur_every == 0)
        ph_planes_blur(x, channels, view->height, view->width, ph_recipe_over_steps(recipe, &recipe->blur, task->step),
                       weights);
    if (recipe->clip_norm > 0) {
        norms(x, channels, plane, weights);
        pixels_clear(x, channels, plane, weights, recipe->clip_norm, sorted);
    }
    if (recipe->clip_contribution > 0) {
        contributions(x, gradient, channels, plane, weights);
        pixels_clear(x, channels, plane, weights, recipe->clip_contribution, sorted);
    }
}

static bool moves_parameters(const struct ph_refiner *refiner) {
    return refiner->scratch || refiner->bounded || refiner->recipe->pixel_decay > 0;
}

static int most_taps(const struct ph_numbers *blur) {
    return blurs(blur) ? ph_blur_taps(fmax(blur->values[0], blur->values[blur->count - 1])) : PH_ABSENT;
}

void ph_refiner_tell(const struct ph_refiner *refiner, struct ph_loop *loop) {
    const ph_recipe *recipe = refiner->recipe;
    loop->normalisation = refiner->normalisation;
    if (refiner->normalisation == PH_NORMALISE_PROGRESS && recipe->rate_limit < HUGE_VAL)
        loop->least_square = recipe->learning_rate / recipe->rate_limit; /* |g / g^2|^2 = 1 / g^2 */
    loop->common = (int64_t)refiner->common;
    loop->decay = recipe->pixel_decay;
    loop->bounded = refiner->bounded;
    if (!refiner->scratch) return;
    loop->channels = refiner->view.channels;
    loop->height = refiner->view.height;
    loop->width = refiner->view.width;
    loop->taps[PH_LOOP_BLUR_GRADIENT] = most_taps(&recipe->gradient_blur);
    loop->taps[PH_LOOP_BLUR] = most_taps(&recipe->blur);
    loop->bands = (int)recipe->gradient_bands;
    loop->clip_norm = recipe->clip_norm;
    loop->clip_contribution = recipe->clip_contribution;
}

void ph_refiner_tell_step(const struct ph_refiner *refiner, int64_t step, struct ph_loop_step *told) {
    const ph_recipe *recipe = refiner->recipe;
    const struct ph_numbers *numbers[] = {[PH_LOOP_BLUR_GRADIENT] = &recipe->gradient_blur, [PH_LOOP_BLUR] = &recipe->blur};
    for (int i = 0; i < PH_LOOP_BLURS; i++) {
        bool due = i != PH_LOOP_BLUR || step % recipe->blur_every == 0;
        double deviation = due ? ph_recipe_over_steps(recipe, numbers[i], step) : 0;
        told->taps[i] = ph_blur_taps(deviation);
        if (told->weights[i]) ph_blur_weights(deviation, told->weights[i]);
    }
}

void ph_refiner_parameters(struct ph_refiner *refiner, int64_t step, const bool *resting, float *parameters,
                           const float *gradient) {
    if (!moves_parameters(refiner)) return;
    struct task task = {refiner, step, resting, parameters, gradient};
    ph_parallel_for(refiner->context, refiner->items, parameters_task, &task);
}
