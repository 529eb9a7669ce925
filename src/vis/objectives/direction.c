/* Terms about directions in the space of a layer's channels, at each position: lucid's and lucent's direction, and with
 * them their channel_weight, neuron_weight and localgroup_weight.
 *
 * Whitened directions: Activation Atlas (Carter et al. 2019), where a direction v is taken as inv(S) v, S being the second
 * moments of the layer's activations. */
#include "vis/objectives/nodes.h"
#include <math.h>
#include <string.h>

#define NORM_FLOOR 1e-4  /* lucid, optvis/objectives_util.py, _dot_cossim: added to norms ... */
#define LEAST_COSINE 0.1 /* ... and no cosine counts less */

/* ---- Whitening ------------------------------------------------------------------------------------------------------ */

/* In place, the lower triangle of L with a = L transpose(L); false when a is not positive definite. */
static bool cholesky(double *a, int64_t size) {
    for (int64_t i = 0; i < size; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = a[i * size + j];
            for (int64_t k = 0; k < j; k++) sum -= a[i * size + k] * a[j * size + k];
            if (i == j && !(sum > 0)) return false;
            a[i * size + j] = i == j ? sqrt(sum) : sum / a[j * size + j];
        }
    return true;
}

/* Replaces x by the solution y of L transpose(L) y = x. */
static void solve(const double *lower, int64_t size, double *x) {
    for (int64_t i = 0; i < size; i++) {
        for (int64_t k = 0; k < i; k++) x[i] -= lower[i * size + k] * x[k];
        x[i] /= lower[i * size + i];
    }
    for (int64_t i = size; i-- > 0;) {
        for (int64_t k = i + 1; k < size; k++) x[i] -= lower[k * size + i] * x[k];
        x[i] /= lower[i * size + i];
    }
}

/* The covariance's factor in `lower`. */
static ph_status covariance_factor(const struct ph_objective_scope *scope, const char *path, double ridge,
                                   int64_t channels, double *lower) {
    const ph_tensor *covariance;
    double trace = 0;
    PH_TRY(ph_term_array(scope, path, &covariance));
    if (covariance->rank != 2 || covariance->dims[0] != channels || covariance->dims[1] != channels)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE,
                       "%s: a covariance of the layer's channels is a matrix of %lldx%lld", path, (long long)channels,
                       (long long)channels);
    for (int64_t i = 0; i < channels * channels; i++) lower[i] = covariance->data[i];
    for (int64_t i = 0; i < channels; i++) trace += lower[i * channels + i];
    for (int64_t i = 0; i < channels; i++) lower[i * channels + i] += ridge * trace / (double)channels;
    if (cholesky(lower, channels)) return PH_OK;
    return ph_fail(scope->graph->context, PH_ERROR_NUMERIC,
                   "%s: the covariance is not positive definite; try a larger ridge than %g", path, ridge);
}

static ph_status whiten(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int64_t channels,
                        float *vectors) {
    double *lower = ph_alloc_array((size_t)channels * (size_t)(channels + 1), sizeof *lower);
    if (!lower) return ph_fail_memory(scope->graph->context);
    double *x = lower + channels * channels, ridge = ph_term_number_argument(terms[0], 4);
    const char *factored = NULL;
    ph_status status = PH_OK;
    for (int n = 0; n < scope->count && !status; n++, vectors += channels) {
        const char *path = terms[n]->arguments[3].name;
        if (!factored || strcmp(factored, path)) status = covariance_factor(scope, path, ridge, channels, lower);
        factored = path;
        for (int64_t c = 0; c < channels; c++) x[c] = vectors[c];
        if (!status) solve(lower, channels, x);
        for (int64_t c = 0; c < channels; c++) vectors[c] = (float)x[c];
    }
    ph_free(lower);
    return status;
}

/* ---- Directions ------------------------------------------------------------------------------------------------------ */

struct direction {
    int layer;    /* [N,C,P] */
    int vector;   /* [N,C,1] */
    int norms;    /* [N,1,1], of the vectors */
    int64_t channels;
};

static ph_status vectors_add(const struct ph_objective_scope *scope, const struct ph_term *const *terms, bool whitened,
                             struct direction *d) {
    int64_t channels = d->channels;
    float *vectors = ph_alloc_array((size_t)scope->count * sizeof *vectors, (size_t)channels), norms[PH_MAX_BATCH];
    if (!vectors) return ph_fail_memory(scope->graph->context);
    ph_status status = ph_term_vectors(scope, terms, 0, 1, channels, vectors);
    if (!status && whitened) status = whiten(scope, terms, channels, vectors);
    for (int n = 0; n < scope->count && !status; n++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++) sum += (double)vectors[n * channels + c] * vectors[n * channels + c];
        norms[n] = (float)(sqrt(sum) + NORM_FLOOR);
    }
    if (!status)
        status = ph_graph_add_constant_copy(scope->graph, NULL, PH_FLOAT, PH_SHAPE(scope->count, channels, 1), vectors,
                                            &d->vector);
    if (!status) status = ph_term_item_numbers(scope, norms, 3, &d->norms);
    ph_free(vectors);
    return status;
}

static ph_status direction_start(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                                 bool whitened, struct direction *d) {
    PH_TRY(ph_term_layer_flat(scope, terms[0], 0, &d->layer));
    d->channels = scope->graph->values[d->layer].shape.dims[1];
    return vectors_add(scope, terms, whitened, d);
}

/* <a, v> at each position: [N,1,P]. */
static ph_status dot_build(struct ph_graph *graph, const struct direction *d, int *dot) {
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, d->layer, d->vector, dot));
    return ph_term_reduce(graph, &ph_operation_reduce_sum, *dot, 1, 2, true, dot);
}

static ph_status cosine_of(struct ph_graph *graph, const struct direction *d, int dot, int *cosine) {
    int norm;
    PH_TRY(ph_term_reduce(graph, &ph_operation_reduce_l2, d->layer, 1, 2, true, &norm));
    PH_TRY(ph_term_number(graph, &ph_operation_add, norm, NORM_FLOOR, &norm));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, norm, d->norms, &norm));
    return ph_term_binary(graph, &ph_operation_div, dot, norm, cosine);
}

static ph_status direction_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                                 int *out) {
    struct ph_graph *graph = scope->graph;
    double power = ph_term_number_argument(terms[0], 2);
    struct direction d;
    int dot, cosine;
    PH_TRY(direction_start(scope, terms, terms[0]->arguments[3].given, &d));
    PH_TRY(dot_build(graph, &d, &dot));
    if (power > 0) {
        PH_TRY(cosine_of(graph, &d, dot, &cosine));
        PH_TRY(ph_term_number(graph, &ph_operation_max, cosine, LEAST_COSINE, &cosine));
        PH_TRY(ph_term_power(graph, cosine, power, &cosine));
        PH_TRY(ph_term_binary(graph, &ph_operation_mul, dot, cosine, &dot));
    }
    return ph_term_items_mean(graph, dot, out);
}

const struct ph_term_type ph_term_direction = {
    .name = "direction", .form = "direction(LAYER[@REGION], VECTOR, power=0, whiten=COVARIANCE.npy, ridge=0)",
    .function = true, .build = direction_build,
    .help = "mean over positions of the channels' dot product with a vector, times their cosine to the 'power'",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}, {.name = "VECTOR", .kind = PH_ARGUMENT_VECTOR},
                   {.name = "power", .kind = PH_ARGUMENT_NUMBER, .optional = true, .low = 0, .high = 100},
                   {.name = "whiten", .kind = PH_ARGUMENT_FILE, .optional = true},
                   {.name = "ridge", .kind = PH_ARGUMENT_NUMBER, .optional = true, .low = 0, .high = 1e6}},
    .samples = (const char *const[]){
        "direction(conv2, [3: 1, 7: -0.5])", "direction(conv2@2,1, [3: 1, 5: 1], power=2)",
        "direction(conv2@0-1,1-3, vector.npy, power=1.5)", "direction(logits, picture.png)",
        "direction(conv2, picture.png@1,2, 1)", "direction(conv2, picture.png, whiten=covariance.npy, ridge=0.01)",
        NULL},
};

static ph_status cosine_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct direction d;
    int dot, cosine;
    PH_TRY(direction_start(scope, terms, false, &d));
    PH_TRY(dot_build(scope->graph, &d, &dot));
    PH_TRY(cosine_of(scope->graph, &d, dot, &cosine));
    return ph_term_items_mean(scope->graph, cosine, out);
}

const struct ph_term_type ph_term_cosine = {
    .name = "cosine", .form = "cosine(LAYER[@REGION], VECTOR)", .function = true, .build = cosine_build,
    .help = "mean over positions of the cosine between the channels and a vector: lucent's direction",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}, {.name = "VECTOR", .kind = PH_ARGUMENT_VECTOR}},
    .samples = (const char *const[]){"cosine(conv2, vector.npy)", "cosine(conv2@1,1, [0: 1, 1: 1])", NULL},
};
