/* DeepLift's rescale rule (Shrikumar et al. 2017, arXiv 1704.02685): what the picture's difference from a baseline
 * contributed to the difference in value. A multiplier goes back through the network: linear operations take their
 * gradient, an elementwise function its change of output over its change of input, max pooling the shares of both
 * winners (as in SHAP and Captum). Every other operation takes its gradient averaged on the straight line between its
 * two inputs, which keeps the sum. */
#include "vis/attribution/attribution.h"
#include "vis/attribution/walk.h"
#include <math.h>
#include <string.h>

struct deeplift { float **reference; }; /* [values] activations at the baseline */

static const struct ph_operation *const elementwise[] = {
    &ph_operation_relu, &ph_operation_leaky_relu, &ph_operation_clip, &ph_operation_sigmoid, &ph_operation_hard_sigmoid,
    &ph_operation_hard_swish, &ph_operation_silu, &ph_operation_mish, &ph_operation_tanh, &ph_operation_elu,
    &ph_operation_selu, &ph_operation_celu, &ph_operation_gelu, &ph_operation_softplus, &ph_operation_softsign,
    &ph_operation_exp, &ph_operation_log, &ph_operation_sqrt, &ph_operation_abs, &ph_operation_thresholded_relu,
    &ph_operation_shrink, NULL};

/* Those that are linear in all their computed inputs together. */
static const struct ph_operation *const linear[] = {
    &ph_operation_average_pool, &ph_operation_global_average_pool, &ph_operation_batch_norm, &ph_operation_add,
    &ph_operation_sub, &ph_operation_sum, &ph_operation_mean, &ph_operation_neg, &ph_operation_reduce_mean,
    &ph_operation_reduce_sum, &ph_operation_concat, &ph_operation_split, &ph_operation_slice, &ph_operation_pad,
    &ph_operation_transpose, &ph_operation_expand, &ph_operation_tile, &ph_operation_depth_to_space,
    &ph_operation_gather, &ph_operation_reshape, &ph_operation_identity, &ph_operation_resize, &ph_operation_pick,
    NULL};

/* Those that are linear in the one computed input that they have. */
static const struct ph_operation *const linear_in_one[] = {
    &ph_operation_convolution, &ph_operation_convolution_transpose, &ph_operation_gemm, &ph_operation_matmul,
    &ph_operation_mul, NULL};

/* Below this the quotient of differences is noise. */
static const float least_difference = 1e-6f;

static ph_status elementwise_back(struct ph_walk *walk, const struct deeplift *deeplift, const struct ph_node *node) {
    int in = node->inputs[0], out = node->outputs[0];
    const float *x = walk->activations[in], *y = walk->activations[out];
    const float *x0 = deeplift->reference[in], *y0 = deeplift->reference[out];
    const float *multiplier = walk->relevances[out];
    int64_t size = ph_walk_size(walk, out);
    struct ph_walk_call call;
    float *result = ph_alloc_array((size_t)size, sizeof *result);
    if (!result) return ph_fail_memory(walk->context);
    ph_status status = ph_walk_call_start(walk, node, &ph_walk_plain, &call);
    if (!status) status = ph_walk_call_forward(walk, &call, NULL, NULL);
    if (!status) status = ph_walk_call_backward(walk, &call, &multiplier);
    const float *gradient = status ? NULL : ph_walk_call_gradient(&call, 0);
    for (int64_t i = 0; i < size && gradient; i++)
        result[i] =
            fabsf(x[i] - x0[i]) < least_difference ? gradient[i] : multiplier[i] * (y[i] - y0[i]) / (x[i] - x0[i]);
    if (!status) status = ph_walk_add(walk, in, result);
    ph_walk_call_finish(&call);
    ph_free(result);
    return status;
}

/* Adds to sum what `seed` gives at the winners for `input`. */
static ph_status winners_add(struct ph_walk *walk, const struct ph_node *node, const float *input, const float *seed,
                             float *sum) {
    struct ph_walk_call call;
    const float *inputs[PH_MAX_OUTPUTS] = {input};
    PH_TRY(ph_walk_call_start(walk, node, &ph_walk_plain, &call));
    ph_status status = ph_walk_call_forward(walk, &call, inputs, NULL);
    if (!status) status = ph_walk_call_backward(walk, &call, &seed);
    const float *gradient = status ? NULL : ph_walk_call_gradient(&call, 0);
    int64_t size = ph_walk_size(walk, node->inputs[0]);
    for (int64_t i = 0; i < size && gradient; i++) sum[i] += gradient[i];
    ph_walk_call_finish(&call);
    return status;
}

static ph_status pool_back(struct ph_walk *walk, const struct deeplift *deeplift, const struct ph_node *node) {
    int in = node->inputs[0], out = node->outputs[0];
    const float *x = walk->activations[in], *y = walk->activations[out], *multiplier = walk->relevances[out];
    const float *x0 = deeplift->reference[in], *y0 = deeplift->reference[out];
    int64_t inputs = ph_walk_size(walk, in), outputs = ph_walk_size(walk, out);
    float *sum = ph_alloc_array((size_t)inputs, sizeof *sum), *seed = ph_alloc_array((size_t)outputs, sizeof *seed);
    ph_status status = sum && seed ? PH_OK : ph_fail_memory(walk->context);
    for (int64_t i = 0; i < outputs && !status; i++) seed[i] = multiplier[i] * (fmaxf(y[i], y0[i]) - y0[i]);
    if (!status) status = winners_add(walk, node, x, seed, sum);
    for (int64_t i = 0; i < outputs && !status; i++) seed[i] = multiplier[i] * (y[i] - fmaxf(y[i], y0[i]));
    if (!status) status = winners_add(walk, node, x0, seed, sum);
    for (int64_t i = 0; i < inputs && !status; i++)
        sum[i] = fabsf(x[i] - x0[i]) < least_difference ? 0 : sum[i] / (x[i] - x0[i]);
    if (!status) status = ph_walk_add(walk, in, sum);
    ph_free(sum);
    ph_free(seed);
    return status;
}

/* Sets line[i] to inputs `share` of the way from the baseline's to the picture's. */
static void line_set(const struct ph_walk *walk, const struct deeplift *deeplift, const struct ph_node *node,
                     double share, float **line) {
    for (int i = 0; i < node->input_count; i++) {
        if (!line[i]) continue;
        const float *x = walk->activations[node->inputs[i]], *x0 = deeplift->reference[node->inputs[i]];
        int64_t size = ph_walk_size(walk, node->inputs[i]);
        for (int64_t j = 0; j < size; j++) line[i][j] = (float)(x0[j] + share * ((double)x[j] - x0[j]));
    }
}

static ph_status average_back(struct ph_walk *walk, const struct deeplift *deeplift, const struct ph_node *node) {
    enum { POINTS = 5 };
    double nodes[POINTS], weights[POINTS];
    struct ph_walk_call call = {0};
    const float *seeds[PH_MAX_OUTPUTS] = {0};
    float **line = ph_alloc_array((size_t)node->input_count, sizeof *line);
    ph_status status = line ? PH_OK : ph_fail_memory(walk->context);
    for (int i = 0; i < node->input_count && !status; i++) {
        int value = node->inputs[i];
        if (value == PH_ABSENT || !walk->activations[value]) continue;
        line[i] = ph_alloc_array((size_t)ph_walk_size(walk, value), sizeof **line);
        if (!line[i]) status = ph_fail_memory(walk->context);
    }
    for (int k = 0; k < node->output_count; k++) seeds[k] = walk->relevances[node->outputs[k]];
    ph_gauss_legendre(POINTS, nodes, weights);
    if (!status) status = ph_walk_call_start(walk, node, &ph_walk_plain, &call);
    for (int point = 0; point < POINTS && !status; point++) {
        line_set(walk, deeplift, node, nodes[point], line);
        status = ph_walk_call_forward(walk, &call, (const float *const *)line, NULL);
        if (!status) status = ph_walk_call_backward(walk, &call, seeds);
        for (int i = 0; i < node->input_count && !status; i++) {
            const float *gradient = ph_walk_call_gradient(&call, i);
            int64_t size = gradient ? ph_walk_size(walk, node->inputs[i]) : 0;
            if (!gradient) continue;
            for (int64_t j = 0; j < size; j++) line[i][j] = (float)(weights[point] * gradient[j]);
            status = ph_walk_add(walk, node->inputs[i], line[i]);
        }
    }
    ph_walk_call_finish(&call);
    for (int i = 0; line && i < node->input_count; i++) ph_free(line[i]);
    ph_free(line);
    return status;
}

static ph_status deeplift_rule(struct ph_walk *walk, const struct ph_node *node, void *user) {
    const struct deeplift *deeplift = user;
    int index = 0, computed = ph_walk_computed(walk, node, &index);
    if (!computed) return PH_OK;
    if (ph_operation_among(node->operation, elementwise)) return elementwise_back(walk, deeplift, node);
    if (node->operation == &ph_operation_max_pool || node->operation == &ph_operation_global_max_pool)
        return pool_back(walk, deeplift, node);
    bool is_linear = ph_operation_among(node->operation, linear) ||
                     (computed == 1 && ph_operation_among(node->operation, linear_in_one)) ||
                     (computed == 1 && index == 0 && node->operation == &ph_operation_div);
    return is_linear ? ph_walk_gradient(walk, node) : average_back(walk, deeplift, node);
}

/* Keeps the activations of the baseline. */
static ph_status reference_take(struct ph_walk *walk, struct deeplift *deeplift) {
    deeplift->reference = ph_alloc_array((size_t)walk->graph->value_count, sizeof *deeplift->reference);
    if (!deeplift->reference) return ph_fail_memory(walk->context);
    for (int v = 0; v < walk->graph->value_count; v++) {
        if (!walk->activations[v]) continue;
        size_t size = (size_t)ph_walk_size(walk, v);
        deeplift->reference[v] = ph_alloc_array(size, sizeof **deeplift->reference);
        if (!deeplift->reference[v]) return ph_fail_memory(walk->context);
        memcpy(deeplift->reference[v], walk->activations[v], size * sizeof **deeplift->reference);
    }
    return PH_OK;
}

static ph_status deeplift_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    struct ph_walk walk;
    struct deeplift deeplift = {0};
    PH_TRY(ph_attribution_tensor(a, a->channels, a->height, a->width, tensor));
    PH_TRY(ph_walk_start(a->subject, &walk));
    ph_status status = ph_walk_forward(&walk, a->baseline);
    if (!status) status = reference_take(&walk, &deeplift);
    if (!status) {
        a->result->baseline_value = walk.activations[walk.value][0];
        status = ph_walk_forward(&walk, input);
    }
    if (!status) status = ph_walk_back(&walk, 1, deeplift_rule, &deeplift, (*tensor)->data);
    for (size_t i = 0; i < a->subject->size && !status; i++) (*tensor)->data[i] *= input[i] - a->baseline[i];
    for (int v = 0; deeplift.reference && v < walk.graph->value_count; v++) ph_free(deeplift.reference[v]);
    ph_free(deeplift.reference);
    ph_walk_finish(&walk);
    return status;
}

const struct ph_attribution_method ph_attribution_deeplift = {
    .name = "deeplift", .help = "the difference from a baseline, shared out by the rescale rule",
    .source = "Shrikumar et al. 2017, arXiv 1704.02685", .options = "baseline", .is_signed = true, .baseline = "black",
    .run = deeplift_run,
};
