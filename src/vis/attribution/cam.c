/* Class activation maps: a layer's channels weighed by what the objective owes them, kept where the sum is positive.
 * All take the layer's values A[k] and their gradient g[k] at each position; they differ in the weighing. */
#include "vis/attribution/attribution.h"
#include <math.h>
#include <string.h>

struct cam {
    struct ph_subject_layer *layer;
    float *activations, *gradient; /* [channels][positions] */
    int channels, height, width, positions;
};

static void cam_finish(struct cam *cam) {
    ph_free(cam->activations);
    ph_free(cam->gradient);
}

static ph_status cam_start(struct ph_attribution *a, const float *input, struct cam *cam) {
    *cam = (struct cam){0};
    PH_TRY(ph_subject_layer_take(a->subject, a->options.layer, true, &cam->layer));
    const struct ph_shape *shape = &cam->layer->shape;
    cam->channels = (int)shape->dims[1];
    cam->height = (int)shape->dims[2];
    cam->width = (int)shape->dims[3];
    cam->positions = cam->height * cam->width;
    cam->activations = ph_alloc_array(cam->layer->size, sizeof *cam->activations);
    cam->gradient = ph_alloc_array(cam->layer->size, sizeof *cam->gradient);
    ph_status status = cam->activations && cam->gradient ? PH_OK : ph_fail_memory(a->context);
    if (!status) status = ph_subject_layer_run(cam->layer, input, NULL, NULL, cam->activations, cam->gradient);
    if (!status) status = ph_attribution_layer_name(a, cam->layer->name);
    if (status) cam_finish(cam);
    return status;
}

/* ---- Weighing by the gradient ------------------------------------------------------------------------------------ */

/* Adds what channel values A and gradient g [n] bring to the map. */
typedef void weighing(const float *A, const float *g, int n, double *map);

static void weigh_whole(const float *A, double weight, int n, double *map) {
    for (int i = 0; i < n; i++) map[i] += weight * A[i];
}

static void weigh_mean(const float *A, const float *g, int n, double *map) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += g[i];
    weigh_whole(A, sum / n, n, map);
}

/* Equations 9 to 13 for a score that enters through an exponential. */
static void weigh_plus_plus(const float *A, const float *g, int n, double *map) {
    double activation = 0, weight = 0;
    for (int i = 0; i < n; i++) activation += A[i];
    for (int i = 0; i < n; i++) {
        double square = (double)g[i] * g[i];
        if (g[i] > 0) weight += g[i] * square / (2 * square + activation * square * g[i] + 1e-6);
    }
    weigh_whole(A, weight, n, map);
}

static void weigh_axiom(const float *A, const float *g, int n, double *map) {
    double activation = 0, product = 0;
    for (int i = 0; i < n; i++) {
        activation += A[i];
        product += (double)g[i] * A[i];
    }
    weigh_whole(A, product / (activation + 1e-7), n, map);
}

static void weigh_each(const float *A, const float *g, int n, double *map) {
    for (int i = 0; i < n; i++) map[i] += (double)g[i] * A[i];
}

static void weigh_each_positive(const float *A, const float *g, int n, double *map) {
    for (int i = 0; i < n; i++) map[i] += fmax(g[i], 0) * A[i];
}

static ph_status weighted_run(struct ph_attribution *a, const float *input, weighing *weigh, ph_tensor **tensor) {
    struct cam cam;
    PH_TRY(cam_start(a, input, &cam));
    double *map = ph_alloc_array((size_t)cam.positions, sizeof *map);
    ph_status status = map ? ph_attribution_tensor(a, 1, cam.height, cam.width, tensor) : ph_fail_memory(a->context);
    for (int k = 0; k < cam.channels && !status; k++) {
        size_t at = (size_t)k * (size_t)cam.positions;
        weigh(cam.activations + at, cam.gradient + at, cam.positions, map);
    }
    for (int i = 0; i < cam.positions && !status; i++) (*tensor)->data[i] = (float)fmax(map[i], 0);
    ph_free(map);
    cam_finish(&cam);
    return status;
}

#define WEIGHTED(identifier, title, how, text, paper) \
    static ph_status identifier##_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) { \
        return weighted_run(a, input, how, tensor); \
    } \
    const struct ph_attribution_method ph_attribution_##identifier = { \
        .name = title, .help = text, .source = paper, .options = "layer", .run = identifier##_run}

WEIGHTED(grad_cam, "grad-cam", weigh_mean, "channels of a layer, each weighted by its mean gradient",
    "Selvaraju et al. 2017, arXiv 1610.02391");
WEIGHTED(grad_cam_plus_plus, "grad-cam++", weigh_plus_plus,
         "the same, weights from positive gradients at each position", "Chattopadhay et al. 2018, arXiv 1710.11063");
WEIGHTED(hires_cam, "hires-cam", weigh_each, "channels times gradients, position by position",
    "Draelos, Carin 2020, arXiv 2011.08891");
WEIGHTED(xgrad_cam, "xgrad-cam", weigh_axiom, "weights are gradients averaged by activation",
    "Fu et al. 2020, arXiv 2008.02312");
WEIGHTED(layer_cam, "layer-cam", weigh_each_positive, "channels times positive gradients; serves early layers too",
    "Jiang et al. 2021, doi 10.1109/TIP.2021.3089943");

/* ---- Score-CAM --------------------------------------------------------------------------------------------------- */

struct scoring {
    struct ph_attribution *attribution;
    const struct cam *cam;
    const float *input;
    double *scores; /* [channels] */
};

/* The input seen through channel `index`, enlarged and scaled to [0,1]. */
static void scoring_fill(void *user, int index, float *input) {
    const struct scoring *scoring = user;
    const struct ph_attribution *a = scoring->attribution;
    const struct cam *cam = scoring->cam;
    size_t plane = (size_t)a->height * (size_t)a->width;
    float *mask = ph_alloc_array(plane, sizeof *mask), least = INFINITY, most = -INFINITY;
    bool made = mask && !ph_planes_resize(a->context, cam->activations + (size_t)index * (size_t)cam->positions, 1,
                                          cam->height, cam->width, a->height, a->width, mask);
    for (size_t i = 0; made && i < plane; i++) {
        least = fminf(least, mask[i]);
        most = fmaxf(most, mask[i]);
    }
    for (int c = 0; c < a->channels; c++)
        for (size_t i = 0; i < plane; i++) {
            size_t at = (size_t)c * plane + i;
            float seen = made && most > least ? (mask[i] - least) / (most - least) : 0;
            input[at] = a->baseline[at] + seen * (scoring->input[at] - a->baseline[at]);
        }
    ph_free(mask);
}

static bool scoring_visit(void *user, int index, float value, const float *gradient) {
    struct scoring *scoring = user;
    (void)gradient;
    scoring->scores[index] = value;
    return ph_attribution_progress(scoring->attribution, index + 1, scoring->cam->channels);
}

static ph_status score_cam_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    struct cam cam;
    PH_TRY(cam_start(a, input, &cam));
    struct scoring scoring = {a, &cam, input, ph_alloc_array((size_t)cam.channels, sizeof *scoring.scores)};
    double *map = ph_alloc_array((size_t)cam.positions, sizeof *map), largest = -INFINITY, sum = 0;
    ph_status status = scoring.scores && map ? PH_OK : ph_fail_memory(a->context);
    if (!status) status = ph_subject_run(a->subject, cam.channels, false, scoring_fill, scoring_visit, &scoring);
    if (!status) status = ph_attribution_tensor(a, 1, cam.height, cam.width, tensor);
    /* Softmax over the channels; the baseline's score would cancel. */
    for (int k = 0; k < cam.channels && !status; k++) largest = fmax(largest, scoring.scores[k]);
    for (int k = 0; k < cam.channels && !status; k++) sum += scoring.scores[k] = exp(scoring.scores[k] - largest);
    for (int k = 0; k < cam.channels && !status; k++)
        weigh_whole(cam.activations + (size_t)k * (size_t)cam.positions, scoring.scores[k] / sum, cam.positions, map);
    for (int i = 0; i < cam.positions && !status; i++) (*tensor)->data[i] = (float)fmax(map[i], 0);
    a->result->steps = cam.channels;
    ph_free(scoring.scores);
    ph_free(map);
    cam_finish(&cam);
    return status;
}

const struct ph_attribution_method ph_attribution_score_cam = {
    .name = "score-cam", .help = "channels weighted by the value of the picture seen through each; no gradient",
    .source = "Wang et al. 2020, arXiv 1910.01279", .options = "layer baseline", .baseline = "mean",
    .of_many_runs = true, .run = score_cam_run,
};

/* ---- Eigen-CAM --------------------------------------------------------------------------------------------------- */

/* The positions' first principal component: the leading eigenvector of their covariance times its deviation, by power
 * iteration. Its sign, which the decomposition leaves open, is that of the mean activation. */
static ph_status principal_component(const struct cam *cam, ph_context *context, float *map) {
    enum { ITERATIONS = 500 };
    size_t n = (size_t)cam->positions;
    double *centred = ph_alloc_array((size_t)cam->channels * n, sizeof *centred);
    double *product = ph_alloc_array(n, n * sizeof *product), *at = ph_alloc_array(3 * n, sizeof *at), size = 0;
    if (!centred || !product || !at) {
        ph_free(centred);
        ph_free(product);
        ph_free(at);
        return ph_fail_memory(context);
    }
    double *next = at + n, *total = next + n, agreement = 0;
    for (int k = 0; k < cam->channels; k++) {
        const float *channel = cam->activations + (size_t)k * n;
        double mean = 0;
        for (size_t i = 0; i < n; i++) mean += channel[i] / (double)n;
        for (size_t i = 0; i < n; i++) {
            centred[(size_t)k * n + i] = channel[i] - mean;
            total[i] += channel[i] - mean;
        }
    }
    for (int k = 0; k < cam->channels; k++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                product[i * n + j] += centred[(size_t)k * n + i] * centred[(size_t)k * n + j];
    for (size_t i = 0; i < n; i++) at[i] = total[i] + 1e-6 * (double)(i + 1);
    for (int iteration = 0; iteration < ITERATIONS; iteration++) {
        memset(next, 0, n * sizeof *next);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) next[i] += product[i * n + j] * at[j];
        size = 0;
        for (size_t i = 0; i < n; i++) size += next[i] * next[i];
        size = sqrt(size);
        for (size_t i = 0; i < n && size > 0; i++) at[i] = next[i] / size;
    }
    for (size_t i = 0; i < n; i++) agreement += at[i] * total[i];
    /* The eigenvalue is the square of the singular value. */
    double scale = (agreement < 0 ? -1 : 1) * sqrt(size);
    for (size_t i = 0; i < n; i++) map[i] = (float)fmax(scale * at[i], 0);
    ph_free(centred);
    ph_free(product);
    ph_free(at);
    return PH_OK;
}

static ph_status eigen_cam_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    enum { MOST_POSITIONS = 4096 };
    struct cam cam;
    PH_TRY(cam_start(a, input, &cam));
    ph_status status = PH_OK;
    if (cam.positions > MOST_POSITIONS)
        status = ph_fail(a->context, PH_ERROR_UNSUPPORTED,
                         "eigen-cam: layer '%s' has %d x %d positions, and at most %d can be decomposed",
                         cam.layer->name, cam.width, cam.height, MOST_POSITIONS);
    if (!status) status = ph_attribution_tensor(a, 1, cam.height, cam.width, tensor);
    if (!status) status = principal_component(&cam, a->context, (*tensor)->data);
    cam_finish(&cam);
    return status;
}

const struct ph_attribution_method ph_attribution_eigen_cam = {
    .name = "eigen-cam", .help = "first principal component of a layer's positions; does not look at the objective",
    .source = "Muhammad, Yeasin 2020, arXiv 2008.00299", .options = "layer", .run = eigen_cam_run,
};
