/* Layer-wise relevance propagation (Bach et al. 2015, doi 10.1371/journal.pone.0130140): the value of the objective is
 * handed back from outputs to inputs in proportion to what each input gave. The rules differ in what "gave" means:
 *
 *     R[i] = x[i] * sum over j of w[i,j] * R[j] / z[j]     z[j] = sum over i of x[i] w[i,j] + b[j], kept away from 0
 *
 * epsilon takes x and w as they are; the others take parts of them by sign. Conventions are Zennit's (Anders et al.
 * 2021, arXiv 2106.13200): rectifiers, local response normalisation, softmax and constants added or multiplied hand
 * relevance on as it is; max pooling gives it to the winner; sums, average pooling and means share it by the epsilon
 * rule; batch-norm is folded into the convolution before it, and elsewhere hands on. Relevance is lost to biases and
 * epsilon alone. */
#include "vis/attribution/attribution.h"
#include "vis/attribution/walk.h"
#include <math.h>
#include <string.h>

/* Which input a part of a rule sees. */
enum seen { SEEN, SEEN_POSITIVE, SEEN_NEGATIVE, SEEN_ONES, SEEN_LOW, SEEN_HIGH };

/* A rule is one or two sums z, each of parts; `factor` multiplies a part in its sum, `share` a sum's relevance. */
struct part { enum seen seen; struct ph_walk_weights weights; double factor; int sum; };
enum { MOST_PARTS = 4 };
struct rule {
    const char *name;
    int part_count;
    struct part parts[MOST_PARTS];
    double shares[2];
    bool by_sign; /* the first sum serves outputs above 0, the second those below */
};

struct lrp {
    double epsilon;
    struct rule first, convolution, dense; /* for the first layer with weights, other convolutions, other layers */
    const struct ph_node *first_node;
    float *low, *high;                     /* its input for a black and a white picture */
    double absorbed;
};

static double stabilised(double z, double epsilon) { return z + (z < 0 ? -epsilon : epsilon); }

/* What output `i` of a node with weights has from its bias. */
static double bias_at(const struct ph_walk *walk, const struct ph_node *node, int64_t i) {
    int value = node->input_count > 2 ? node->inputs[2] : PH_ABSENT;
    if (value == PH_ABSENT || !walk->graph->values[value].data) return 0;
    const struct ph_value *bias = &walk->graph->values[value];
    const struct ph_shape *shape = &walk->graph->values[node->outputs[0]].shape;
    int64_t size = ph_shape_size(&bias->shape), inner = 1;
    if (node->operation == &ph_operation_gemm)
        return size
                   ? ((const struct ph_gemm_attributes *)node->attributes)->beta * ((const float *)bias->data)[i % size]
                   : 0;
    for (int d = 2; d < shape->rank; d++) inner *= shape->dims[d];
    return size ? ((const float *)bias->data)[i / inner % size] : 0;
}

/* ---- One rule at one node ---------------------------------------------------------------------------------------- */

struct part_run { struct ph_walk_call call; float *input, *z; };

static void part_input(const struct lrp *lrp, enum seen seen, const float *x, int64_t size, float *input) {
    for (int64_t i = 0; i < size; i++) switch (seen) {
        case SEEN: input[i] = x[i]; break;
        case SEEN_POSITIVE: input[i] = x[i] > 0 ? x[i] : 0; break;
        case SEEN_NEGATIVE: input[i] = x[i] < 0 ? x[i] : 0; break;
        case SEEN_ONES: input[i] = 1; break;
        case SEEN_LOW: input[i] = lrp->low[i]; break;
        case SEEN_HIGH: input[i] = lrp->high[i]; break;
        }
}

static ph_status part_forward(struct ph_walk *walk, const struct lrp *lrp, const struct ph_node *node, int index,
                              const struct part *part, struct part_run *run) {
    int64_t size = ph_walk_size(walk, node->inputs[index]);
    const float *inputs[PH_MAX_OUTPUTS] = {0};
    run->input = ph_alloc_array((size_t)size, sizeof *run->input);
    run->z = ph_alloc_array((size_t)ph_walk_size(walk, node->outputs[0]), sizeof *run->z);
    if (!run->input || !run->z) return ph_fail_memory(walk->context);
    part_input(lrp, part->seen, walk->activations[node->inputs[index]], size, run->input);
    inputs[index] = run->input;
    PH_TRY(ph_walk_call_start(walk, node, &part->weights, &run->call));
    return ph_walk_call_forward(walk, &run->call, inputs, run->z);
}

/* The relevance of output `i` over the sum that serves it: what each of the sum's parts hands back. */
static double quotient(const struct lrp *lrp, const struct rule *rule, const struct part_run *runs, int sum, int64_t i,
                       double value, double relevance) {
    double z = 0;
    if (rule->by_sign && (sum == 0 ? value <= 0 : value >= 0)) return 0;
    for (int p = 0; p < rule->part_count; p++)
        if (rule->parts[p].sum == sum) z += rule->parts[p].factor * runs[p].z[i];
    return rule->shares[sum] * relevance / stabilised(z, lrp->epsilon);
}

static ph_status parts_back(struct ph_walk *walk, struct lrp *lrp, const struct rule *rule, const struct ph_node *node,
                            int index, struct part_run *runs, float *seed, float *relevance) {
    const float *arrived = walk->relevances[node->outputs[0]], *value = walk->activations[node->outputs[0]];
    int64_t outputs = ph_walk_size(walk, node->outputs[0]), inputs = ph_walk_size(walk, node->inputs[index]);
    for (int p = 0; p < rule->part_count; p++) {
        const struct part *part = &rule->parts[p];
        for (int64_t i = 0; i < outputs; i++)
            seed[i] = (float)(part->factor * quotient(lrp, rule, runs, part->sum, i, value[i], arrived[i]));
        PH_TRY(ph_walk_call_backward(walk, &runs[p].call, &(const float *){seed}));
        const float *product = ph_walk_call_gradient(&runs[p].call, index);
        for (int64_t i = 0; product && i < inputs; i++) relevance[i] += runs[p].input[i] * product[i];
    }
    if (rule->part_count > 1 || rule->parts[0].seen != SEEN) return PH_OK;
    for (int64_t i = 0; i < outputs; i++) {
        double z = runs[0].z[i], kept = stabilised(z, lrp->epsilon);
        lrp->absorbed += arrived[i] * (kept - z + bias_at(walk, node, i)) / kept;
    }
    return PH_OK;
}

/* Input `index` of a node that is linear in it. */
static ph_status rule_apply(struct ph_walk *walk, struct lrp *lrp, const struct rule *rule, const struct ph_node *node,
                            int index) {
    struct part_run runs[MOST_PARTS] = {{.input = NULL}};
    float *seed = ph_alloc_array((size_t)ph_walk_size(walk, node->outputs[0]), sizeof *seed);
    float *relevance = ph_alloc_array((size_t)ph_walk_size(walk, node->inputs[index]), sizeof *relevance);
    ph_status status = seed && relevance ? PH_OK : ph_fail_memory(walk->context);
    for (int p = 0; p < rule->part_count && !status; p++)
        status = part_forward(walk, lrp, node, index, &rule->parts[p], &runs[p]);
    if (!status) status = parts_back(walk, lrp, rule, node, index, runs, seed, relevance);
    if (!status) status = ph_walk_add(walk, node->inputs[index], relevance);
    for (int p = 0; p < rule->part_count; p++) {
        ph_walk_call_finish(&runs[p].call);
        ph_free(runs[p].input);
        ph_free(runs[p].z);
    }
    ph_free(seed);
    ph_free(relevance);
    return status;
}

/* The epsilon rule for any operation that is linear in its computed inputs together: sums, means, average pooling. */
static ph_status shared(struct ph_walk *walk, struct lrp *lrp, const struct ph_node *node, double share) {
    struct ph_walk_call call;
    int64_t outputs = ph_walk_size(walk, node->outputs[0]);
    const float *arrived = walk->relevances[node->outputs[0]], *z = walk->activations[node->outputs[0]];
    float *seed = ph_alloc_array((size_t)outputs, sizeof *seed);
    if (!seed) return ph_fail_memory(walk->context);
    for (int64_t i = 0; i < outputs; i++) {
        double kept = stabilised(z[i], lrp->epsilon);
        seed[i] = (float)(share * arrived[i] / kept);
        lrp->absorbed += arrived[i] * (kept - z[i]) / kept;
    }
    ph_status status = ph_walk_call_start(walk, node, &ph_walk_plain, &call);
    if (!status) status = ph_walk_call_forward(walk, &call, NULL, NULL);
    if (!status) status = ph_walk_call_backward(walk, &call, &(const float *){seed});
    for (int i = 0; i < node->input_count && !status; i++) {
        const float *product = ph_walk_call_gradient(&call, i),
                    *x = product ? walk->activations[node->inputs[i]] : NULL;
        int64_t inputs = product ? ph_walk_size(walk, node->inputs[i]) : 0;
        float *relevance = ph_alloc_array((size_t)inputs, sizeof *relevance);
        if (!relevance) status = ph_fail_memory(walk->context);
        for (int64_t j = 0; j < inputs && !status; j++) relevance[j] = x[j] * product[j];
        if (product && !status) status = ph_walk_add(walk, node->inputs[i], relevance);
        ph_free(relevance);
    }
    ph_walk_call_finish(&call);
    ph_free(seed);
    return status;
}

/* ---- Which rule where -------------------------------------------------------------------------------------------- */

static const struct ph_operation *const weighted[] = {
    &ph_operation_convolution, &ph_operation_convolution_transpose, &ph_operation_gemm, &ph_operation_matmul, NULL};
/* Elements change places, or one is picked out. */
static const struct ph_operation *const moving[] = {
    &ph_operation_max_pool, &ph_operation_global_max_pool, &ph_operation_reduce_max, &ph_operation_reduce_min,
    &ph_operation_max, &ph_operation_min, &ph_operation_concat, &ph_operation_split, &ph_operation_slice,
    &ph_operation_pad, &ph_operation_transpose, &ph_operation_depth_to_space, &ph_operation_gather,
    &ph_operation_reshape, &ph_operation_pick, NULL};
static const struct ph_operation *const products[] = {&ph_operation_mul, &ph_operation_matmul, NULL};

static const struct rule *rule_choose(const struct lrp *lrp, const struct ph_node *node) {
    if (node == lrp->first_node) return &lrp->first;
    bool convolution =
        node->operation == &ph_operation_convolution || node->operation == &ph_operation_convolution_transpose;
    return convolution ? &lrp->convolution : &lrp->dense;
}

static ph_status lrp_rule(struct ph_walk *walk, const struct ph_node *node, void *user) {
    struct lrp *lrp = user;
    int index = 0, computed = ph_walk_computed(walk, node, &index);
    if (!computed) return PH_OK;
    if (computed == 1 && ph_operation_among(node->operation, weighted))
        return rule_apply(walk, lrp, rule_choose(lrp, node), node, index);
    if (ph_operation_among(node->operation, moving)) return ph_walk_gradient(walk, node);
    /* Of a product of two computed tensors each gets half. */
    if (computed == 2 && ph_operation_among(node->operation, products)) return shared(walk, lrp, node, 0.5);
    bool same = ph_shape_equal(&walk->graph->values[node->inputs[index]].shape,
                               &walk->graph->values[node->outputs[0]].shape);
    return computed == 1 && same ? ph_walk_pass(walk, node) : shared(walk, lrp, node, 1);
}

static void first_find(const struct ph_walk *walk, struct lrp *lrp) {
    int index;
    for (int n = 0; n < walk->graph->node_count && !lrp->first_node; n++)
        if (ph_operation_among(walk->graph->nodes[n].operation, weighted) &&
            ph_walk_computed(walk, &walk->graph->nodes[n], &index) == 1)
            lrp->first_node = &walk->graph->nodes[n];
}

/* The first layer's input for a picture of one colour. */
static ph_status extreme_run(const struct ph_attribution *a, struct ph_walk *walk, const struct lrp *lrp,
                             const float *colour, float **out) {
    size_t plane = (size_t)a->height * (size_t)a->width;
    int index = 0;
    float *input = ph_alloc_array(a->subject->size, sizeof *input);
    if (!input) return ph_fail_memory(a->context);
    for (size_t i = 0; i < a->subject->size; i++) input[i] = colour[i / plane];
    ph_status status = ph_walk_forward(walk, input);
    ph_free(input);
    if (status) return status;
    ph_walk_computed(walk, lrp->first_node, &index);
    size_t size = (size_t)ph_walk_size(walk, lrp->first_node->inputs[index]);
    if (!(*out = ph_alloc_array(size, sizeof **out))) return ph_fail_memory(a->context);
    memcpy(*out, walk->activations[lrp->first_node->inputs[index]], size * sizeof **out);
    return PH_OK;
}

static ph_status bounds_find(const struct ph_attribution *a, struct ph_walk *walk, struct lrp *lrp) {
    int index = 0;
    PH_TRY(extreme_run(a, walk, lrp, a->black, &lrp->low));
    PH_TRY(extreme_run(a, walk, lrp, a->white, &lrp->high));
    ph_walk_computed(walk, lrp->first_node, &index);
    int64_t size = ph_walk_size(walk, lrp->first_node->inputs[index]);
    for (int64_t i = 0; i < size; i++) {
        float low = fminf(lrp->low[i], lrp->high[i]);
        lrp->high[i] = fmaxf(lrp->low[i], lrp->high[i]);
        lrp->low[i] = low;
    }
    return PH_OK;
}

static ph_status lrp_run(struct ph_attribution *a, const float *input, struct lrp *lrp, ph_tensor **tensor) {
    struct ph_walk walk;
    float value = 0;
    lrp->epsilon = a->options.epsilon;
    PH_TRY(ph_attribution_tensor(a, a->channels, a->height, a->width, tensor));
    PH_TRY(ph_walk_start(a->subject, &walk));
    first_find(&walk, lrp);
    ph_status status = PH_OK;
    if (lrp->first_node && lrp->first.part_count == 3) status = bounds_find(a, &walk, lrp);
    if (!status) status = ph_walk_forward(&walk, input);
    if (!status) {
        value = walk.activations[walk.value][0];
        status = ph_walk_back(&walk, value, lrp_rule, lrp, (*tensor)->data);
    }
    a->result->absorbed = lrp->absorbed;
    ph_walk_finish(&walk);
    ph_free(lrp->low);
    ph_free(lrp->high);
    return status;
}

/* ---- The rules --------------------------------------------------------------------------------------------------- */

static const struct rule epsilon = {.part_count = 1, .parts = {{SEEN, {1, 1, 1, 1, false}, 1, 0}}, .shares = {1}};
static const struct rule z_plus = {.part_count = 2, .shares = {1},
    .parts = {{SEEN_POSITIVE, {1, 0, 1, 0, false}, 1, 0}, {SEEN_NEGATIVE, {0, 1, 0, 0, false}, 1, 0}}};
static const struct rule flat = {.part_count = 1, .parts = {{SEEN_ONES, {1, 1, 0, 0, true}, 1, 0}}, .shares = {1}};
static const struct rule z_box = {.part_count = 3, .shares = {1},
    .parts = {{SEEN, {1, 1, 0, 0, false}, 1, 0}, {SEEN_LOW, {1, 0, 0, 0, false}, -1, 0},
              {SEEN_HIGH, {0, 1, 0, 0, false}, -1, 0}}};

/* Andéol et al. 2021: for inputs of either sign. */
static struct rule gamma_rule(double gamma) {
    double more = 1 + gamma;
    return (struct rule){.part_count = 4, .shares = {1, 1}, .by_sign = true,
        .parts = {{SEEN_POSITIVE, {more, 1, more, 1, false}, 1, 0}, {SEEN_NEGATIVE, {1, more, 0, 0, false}, 1, 0},
                  {SEEN_POSITIVE, {1, more, 1, more, false}, 1, 1}, {SEEN_NEGATIVE, {more, 1, 0, 0, false}, 1, 1}}};
}

static struct rule alpha_beta_rule(double alpha) {
    return (struct rule){.part_count = 4, .shares = {alpha, 1 - alpha},
        .parts = {{SEEN_POSITIVE, {1, 0, 1, 0, false}, 1, 0}, {SEEN_NEGATIVE, {0, 1, 0, 0, false}, 1, 0},
                  {SEEN_POSITIVE, {0, 1, 0, 1, false}, 1, 1}, {SEEN_NEGATIVE, {1, 0, 0, 0, false}, 1, 1}}};
}

#define LRP(identifier, title, text, paper, reads, all_told, at_first, at_convolution, at_dense) \
    static ph_status identifier##_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) { \
        struct lrp lrp = {.first = at_first, .convolution = at_convolution, .dense = at_dense}; \
        return lrp_run(a, input, &lrp, tensor); \
    } \
    const struct ph_attribution_method ph_attribution_##identifier = { \
        .name = title, .help = text, .source = paper, .options = reads, .is_signed = true, \
        .conserves = all_told, .run = identifier##_run}

LRP(lrp_epsilon, "lrp-epsilon", "relevance in proportion to each input's part of the sum",
    "Bach et al. 2015, doi 10.1371/journal.pone.0130140", "epsilon", true, epsilon, epsilon, epsilon);
LRP(lrp_gamma, "lrp-gamma", "the same, positive parts counted 1 + gamma times", "Montavon et al. 2019, LNCS 11700",
    "gamma epsilon", false, gamma_rule(a->options.gamma), gamma_rule(a->options.gamma), gamma_rule(a->options.gamma));
LRP(lrp_z_plus, "lrp-z-plus", "positive parts only", "Montavon et al. 2017, arXiv 1512.02479", "epsilon", false, z_plus,
    z_plus, z_plus);
LRP(lrp_alpha_beta, "lrp-alpha-beta", "alpha times the positive parts less alpha - 1 times the negative ones",
    "Bach et al. 2015, doi 10.1371/journal.pone.0130140", "alpha epsilon", false, alpha_beta_rule(a->options.alpha),
    alpha_beta_rule(a->options.alpha), alpha_beta_rule(a->options.alpha));
LRP(lrp_z_box, "lrp-z-box", "positive parts; at the first layer counted from black and white",
    "Montavon et al. 2017, arXiv 1512.02479", "epsilon", false, z_box, z_plus, z_plus);
LRP(lrp_epsilon_gamma_box, "lrp-epsilon-gamma-box",
    "z-box at the first layer, gamma at convolutions, epsilon at dense layers",
    "Anders et al. 2021, arXiv 2106.13200 (EpsilonGammaBox)", "gamma epsilon", false, z_box,
    gamma_rule(a->options.gamma), epsilon);
LRP(lrp_epsilon_plus_flat, "lrp-epsilon-plus-flat",
    "flat at the first layer, z-plus at convolutions, epsilon at dense layers",
    "Anders et al. 2021, arXiv 2106.13200 (EpsilonPlusFlat)", "epsilon", false, flat, z_plus, epsilon);
