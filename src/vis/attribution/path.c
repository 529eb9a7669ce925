/* Attribution by integrating the gradient along a path to the picture: straight from a baseline (integrated gradients),
 * from a blurred picture to the sharp one (blur), and by the coordinates that matter least first (guided). */
#include "vis/attribution/attribution.h"
#include <math.h>
#include <string.h>

/* Roots of the Legendre polynomial by Newton's method from Tricomi's estimate, weights 2 / ((1 - x^2) P'(x)^2). */
void ph_gauss_legendre(int count, double *nodes, double *weights) {
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < (count + 1) / 2; i++) {
        double x = cos(pi * (i + 0.75) / (count + 0.5)), slope = 1;
        for (int iteration = 0; iteration < 100; iteration++) {
            double before = 1, value = x;
            for (int k = 2; k <= count; k++) {
                double next = ((2 * k - 1) * x * value - (k - 1) * before) / k;
                before = value;
                value = next;
            }
            slope = count * (x * value - before) / (x * x - 1);
            double change = value / slope;
            x -= change;
            if (fabs(change) < 1e-15) break;
        }
        double weight = 1 / ((1 - x * x) * slope * slope);
        nodes[i] = 0.5 * (1 - x);
        nodes[count - 1 - i] = 0.5 * (1 + x);
        weights[i] = weights[count - 1 - i] = weight;
    }
}

/* ---- Straight ---------------------------------------------------------------------------------------------------- */

struct straight {
    struct ph_attribution *attribution;
    const float *input;
    double *nodes, *weights, *sums;
    int steps;
    bool stopped;
};

static void straight_fill(void *user, int index, float *input) {
    const struct straight *path = user;
    const float *baseline = path->attribution->baseline;
    float share = (float)path->nodes[index];
    for (size_t i = 0; i < path->attribution->subject->size; i++)
        input[i] = baseline[i] + share * (path->input[i] - baseline[i]);
}

static bool straight_visit(void *user, int index, float value, const float *gradient) {
    struct straight *path = user;
    (void)value;
    for (size_t i = 0; i < path->attribution->subject->size; i++) path->sums[i] += path->weights[index] * gradient[i];
    return ph_attribution_progress(path->attribution, index + 1, path->steps);
}

static ph_status straight_integrate(struct straight *path, int steps, ph_tensor *tensor) {
    struct ph_attribution *a = path->attribution;
    path->nodes = ph_alloc_array((size_t)steps, sizeof *path->nodes);
    path->weights = ph_alloc_array((size_t)steps, sizeof *path->weights);
    path->sums = ph_alloc_array(a->subject->size, sizeof *path->sums);
    path->steps = steps;
    ph_status status = path->nodes && path->weights && path->sums ? PH_OK : ph_fail_memory(a->context);
    if (!status) {
        ph_gauss_legendre(steps, path->nodes, path->weights);
        status = ph_subject_run(a->subject, steps, true, straight_fill, straight_visit, path);
    }
    for (size_t i = 0; i < a->subject->size && !status; i++)
        tensor->data[i] = (float)(path->sums[i] * ((double)path->input[i] - a->baseline[i]));
    ph_free(path->nodes);
    ph_free(path->weights);
    ph_free(path->sums);
    return status;
}

static double tensor_sum(const struct ph_attribution *a, const ph_tensor *tensor) {
    double sum = 0;
    for (size_t i = 0; i < a->subject->size; i++) sum += tensor->data[i];
    return sum;
}

static ph_status integrated_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    enum { MOST_STEPS = 1 << 14 };
    struct straight path = {.attribution = a, .input = input};
    float start, end;
    PH_TRY(ph_attribution_tensor(a, a->channels, a->height, a->width, tensor));
    PH_TRY(ph_subject_evaluate(a->subject, a->baseline, &start, NULL));
    PH_TRY(ph_subject_evaluate(a->subject, input, &end, NULL));
    a->result->baseline_value = start;
    for (int steps = a->options.steps;; steps *= 2) {
        PH_TRY(straight_integrate(&path, steps, *tensor));
        a->result->steps = steps;
        double gap = fabs(tensor_sum(a, *tensor) - ((double)end - start)), scale = fabs((double)end - start);
        if (!(a->options.tolerance > 0) || gap <= a->options.tolerance * scale) break;
        if (steps > MOST_STEPS / 2)
            return ph_fail(a->context, PH_ERROR_NUMERIC,
                           "integrated gradients: the completeness gap is still %.3g of the difference after %d steps",
                           gap / scale, steps);
        ph_log(a->context, "%d steps: gap %.3g %% of the difference; twice as many", steps, 100 * gap / scale);
    }
    return PH_OK;
}

const struct ph_attribution_method ph_attribution_integrated_gradients = {
    .name = "integrated-gradients",
    .help = "gradients summed on the way from a baseline; the sum is the difference in value",
    .source = "Sundararajan, Taly, Yan 2017, arXiv 1703.01365; Gauss-Legendre points as in Captum",
    .options = "baseline steps tolerance", .is_signed = true, .baseline = "black", .steps = 50, .run = integrated_run,
};

/* ---- From blurred to sharp --------------------------------------------------------------------------------------- */

/* The paper's scale space: the blurred picture as a function of the deviation, integrated from the largest to 0. The
 * slope along the path is taken as the difference of neighbouring pictures, so the sum of all steps telescopes. */
enum { BLUR_LARGEST = 50 };

struct blurring {
    struct ph_attribution *attribution;
    const float *input;
    float *levels; /* [steps + 1][C,H,W], most blurred first */
    double *sums;
    int steps;
};

static void blurring_fill(void *user, int index, float *input) {
    const struct blurring *path = user;
    size_t size = path->attribution->subject->size;
    const float *from = path->levels + (size_t)index * size, *to = from + size;
    for (size_t i = 0; i < size; i++) input[i] = 0.5f * (from[i] + to[i]);
}

static bool blurring_visit(void *user, int index, float value, const float *gradient) {
    struct blurring *path = user;
    size_t size = path->attribution->subject->size;
    const float *from = path->levels + (size_t)index * size, *to = from + size;
    (void)value;
    for (size_t i = 0; i < size; i++) path->sums[i] += (double)gradient[i] * ((double)to[i] - from[i]);
    return ph_attribution_progress(path->attribution, index + 1, path->steps);
}

static void level_make(void *argument, int64_t index) {
    const struct blurring *path = argument;
    const struct ph_attribution *a = path->attribution;
    float *level = path->levels + (size_t)index * a->subject->size;
    float *scratch = ph_alloc_array((size_t)a->height * (size_t)a->width, sizeof *scratch);
    memcpy(level, path->input, a->subject->size * sizeof *level);
    if (scratch)
        ph_planes_blur(level, a->channels, a->height, a->width,
                       (double)BLUR_LARGEST * (path->steps - (double)index) / path->steps, scratch);
    ph_free(scratch);
}

static ph_status blur_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    int steps = a->options.steps;
    size_t size = a->subject->size;
    struct blurring path = {.attribution = a, .input = input, .steps = steps};
    PH_TRY(ph_attribution_tensor(a, a->channels, a->height, a->width, tensor));
    path.levels = ph_alloc_array(size, ((size_t)steps + 1) * sizeof *path.levels);
    path.sums = ph_alloc_array(size, sizeof *path.sums);
    ph_status status = path.levels && path.sums ? PH_OK : ph_fail_memory(a->context);
    if (!status) {
        ph_parallel_for(a->context, steps + 1, level_make, &path);
        status = ph_subject_run(a->subject, steps, true, blurring_fill, blurring_visit, &path);
    }
    if (!status) status = ph_subject_evaluate(a->subject, path.levels, &a->result->baseline_value, NULL);
    for (size_t i = 0; i < size && !status; i++) (*tensor)->data[i] = (float)path.sums[i];
    a->result->steps = steps;
    ph_free(path.levels);
    ph_free(path.sums);
    return status;
}

const struct ph_attribution_method ph_attribution_blur_integrated_gradients = {
    .name = "blur-integrated-gradients", .help = "gradients summed while a blurred picture (deviation 50) gets sharp",
    .source = "Xu, Venugopalan, Sundararajan 2020, arXiv 2004.03383", .options = "steps", .is_signed = true,
    .steps = 100, .of_many_runs = true, .run = blur_run,
};

/* ---- Guided ------------------------------------------------------------------------------------------------------ */

/* The path goes where the gradient is small first. In each step the distance still to go is brought down to its share
 * of the whole by moving the quarter of all coordinates that have the least gradient among those not yet as far as they
 * may go; none may be off the straight path by more than two hundredths (constants and quantile as in the authors' code,
 * PAIR saliency, guided_ig.py). */
static const double guided_fraction = 0.25, guided_lag = 0.02;

struct guided {
    struct ph_attribution *a;
    const float *input;
    float *at, *gradient, *magnitude;
    double *sums;
};

/* The number of rank `rank`, from 0, by Hoare's selection; changes the order. */
static float ranked_find(float *values, size_t count, size_t rank) {
    size_t low = 0, high = count - 1;
    while (low < high) {
        float pivot = values[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;; i++, j--) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i >= j) break;
            float kept = values[i];
            values[i] = values[j];
            values[j] = kept;
        }
        if (rank <= j) high = j;
        else low = j + 1;
    }
    return values[rank];
}

static double distance_left(const struct guided *path) {
    double sum = 0;
    for (size_t i = 0; i < path->a->subject->size; i++) sum += fabs((double)path->input[i] - path->at[i]);
    return sum;
}

static void guided_move(struct guided *path, size_t i, float to) {
    path->sums[i] += (double)path->gradient[i] * ((double)to - path->at[i]);
    path->at[i] = to;
}

/* One step: `share` of the path should be done after it. */
static void guided_step(struct guided *path, double share, double whole) {
    size_t size = path->a->subject->size;
    const float *start = path->a->baseline;
    double least = PH_MAX(share - guided_lag, 0.0), most = PH_MIN(share + guided_lag, 1.0);
    for (size_t i = 0; i < size; i++) { /* those that lag are brought along */
        double done = path->input[i] == start[i] ? 1
                      : ((double)path->at[i] - start[i]) / ((double)path->input[i] - start[i]);
        if (done < least) guided_move(path, i, (float)(start[i] + least * ((double)path->input[i] - start[i])));
    }
    for (double wanted = whole * (1 - share);;) {
        double left = distance_left(path);
        if (left <= wanted * (1 + 1e-9)) return;
        size_t remaining = 0;
        double reach = 0;
        for (size_t i = 0; i < size; i++) {
            float end = (float)(start[i] + most * ((double)path->input[i] - start[i]));
            if (fabs((double)end - start[i]) > fabs((double)path->at[i] - start[i]))
                path->magnitude[remaining++] = fabsf(path->gradient[i]);
        }
        if (!remaining) return;
        size_t rank = (size_t)(guided_fraction * (double)(size - 1));
        float threshold = rank < remaining ? ranked_find(path->magnitude, remaining, rank) : INFINITY;
        for (size_t i = 0; i < size; i++) {
            float end = (float)(start[i] + most * ((double)path->input[i] - start[i]));
            if (fabsf(path->gradient[i]) <= threshold)
                reach += PH_MAX(fabs((double)end - start[i]) - fabs((double)path->at[i] - start[i]), 0.0);
        }
        double part = reach > 0 ? PH_MIN(1.0, (left - wanted) / reach) : 1;
        for (size_t i = 0; i < size; i++) {
            float end = (float)(start[i] + most * ((double)path->input[i] - start[i]));
            bool behind = fabs((double)end - start[i]) > fabs((double)path->at[i] - start[i]);
            if (!behind || fabsf(path->gradient[i]) > threshold) continue;
            guided_move(path, i, part >= 1 ? end : (float)(path->at[i] + part * ((double)end - path->at[i])));
        }
        if (part < 1) return;
    }
}

static ph_status guided_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    size_t size = a->subject->size;
    struct guided path = {.a = a, .input = input,
        .at = ph_alloc_array(size, sizeof *path.at), .gradient = ph_alloc_array(size, sizeof *path.gradient),
        .magnitude = ph_alloc_array(size, sizeof *path.magnitude), .sums = ph_alloc_array(size, sizeof *path.sums)};
    ph_status status = path.at && path.gradient && path.magnitude && path.sums ? PH_OK : ph_fail_memory(a->context);
    if (!status) status = ph_attribution_tensor(a, a->channels, a->height, a->width, tensor);
    if (!status) status = ph_subject_evaluate(a->subject, a->baseline, &a->result->baseline_value, NULL);
    if (!status) memcpy(path.at, a->baseline, size * sizeof *path.at);
    double whole = status ? 0 : distance_left(&path);
    for (int step = 0; step < a->options.steps && !status; step++) {
        status = ph_subject_evaluate(a->subject, path.at, NULL, path.gradient);
        if (status) break;
        guided_step(&path, (step + 1.0) / a->options.steps, whole);
        if (!ph_attribution_progress(a, step + 1, a->options.steps))
            status = ph_fail(a->context, PH_ERROR_CANCELLED, "stopped");
    }
    for (size_t i = 0; i < size && !status; i++) (*tensor)->data[i] = (float)path.sums[i];
    a->result->steps = a->options.steps;
    ph_free(path.at);
    ph_free(path.gradient);
    ph_free(path.magnitude);
    ph_free(path.sums);
    return status;
}

const struct ph_attribution_method ph_attribution_guided_integrated_gradients = {
    .name = "guided-integrated-gradients",
    .help = "integrated gradients on a path that leaves steep slopes for last",
    .source = "Kapishnikov et al. 2021, arXiv 2106.09788", .options = "baseline steps", .is_signed = true,
    .baseline = "black", .steps = 200, .of_many_runs = true, .run = guided_run,
};
