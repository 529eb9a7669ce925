/* Walking back through a network. */
#include "vis/attribution/walk.h"
#include "graph/passes.h"
#include <string.h>

const struct ph_walk_weights ph_walk_plain = {1, 1, 1, 1, false};

bool ph_operation_among(const struct ph_operation *operation, const struct ph_operation *const *list) {
    for (; *list; list++)
        if (operation == *list) return true;
    return false;
}

int64_t ph_walk_size(const struct ph_walk *walk, int value) { return ph_shape_size(&walk->graph->values[value].shape); }

static bool is_computed(const struct ph_walk *walk, int value) {
    return value != PH_ABSENT && !walk->graph->values[value].data && walk->graph->values[value].type == PH_FLOAT;
}

int ph_walk_computed(const struct ph_walk *walk, const struct ph_node *node, int *first) {
    int count = 0;
    for (int i = 0; i < node->input_count; i++)
        if (is_computed(walk, node->inputs[i]) && count++ == 0) *first = i;
    return count;
}

/* ---- The graph --------------------------------------------------------------------------------------------------- */

/* Keeps every value but a convolution's that only a batch-norm reads: so those are folded, and nothing else. */
static int values_keep(const struct ph_graph *graph, int input, int value, int *keep, int *uses) {
    int count = 0;
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].input_count; i++)
            if (graph->nodes[n].inputs[i] != PH_ABSENT) uses[graph->nodes[n].inputs[i]]++;
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        int first = node->input_count ? node->inputs[0] : PH_ABSENT;
        if (node->operation == &ph_operation_batch_norm && first != PH_ABSENT && uses[first] == 1 && first != value &&
            graph->values[first].node != PH_ABSENT &&
            graph->nodes[graph->values[first].node].operation == &ph_operation_convolution)
            uses[first] = 0;
    }
    keep[count++] = input;
    keep[count++] = value;
    for (int v = 0; v < graph->value_count; v++)
        if (graph->values[v].node != PH_ABSENT && (uses[v] || v == value)) keep[count++] = v;
    return count;
}

static ph_status graph_make(struct ph_subject *subject, struct ph_walk *walk) {
    int ends[2];
    PH_TRY(ph_graph_create(walk->context, &walk->whole));
    PH_TRY(ph_subject_build(subject, 1, walk->whole, &ends[0], &ends[1], NULL));
    int *map = ph_alloc_array((size_t)walk->whole->value_count + 1, sizeof *map);
    if (!map) return ph_fail_memory(walk->context);
    ph_status status = ph_graph_extract(walk->whole, ends, 2, PH_REWRITE_ACTIVATIONS, &walk->part, map);
    int input = map[ends[0]], value = map[ends[1]];
    ph_free(map);
    if (status) return status;
    size_t values = (size_t)walk->part->value_count + 3;
    int *keep = ph_alloc_array(values, sizeof *keep), *uses = ph_alloc_array(values, sizeof *uses);
    map = ph_alloc_array(values, sizeof *map);
    if (keep && uses && map) {
        int count = values_keep(walk->part, input, value, keep, uses);
        status = ph_graph_extract(walk->part, keep, count, PH_REWRITE_FUSE, &walk->graph, map);
        walk->input = map[input];
        walk->value = map[value];
    } else {
        status = ph_fail_memory(walk->context);
    }
    ph_free(keep);
    ph_free(uses);
    ph_free(map);
    return status;
}

static ph_status walk_make(struct ph_subject *subject, struct ph_walk *walk) {
    PH_TRY(graph_make(subject, walk));
    const struct ph_graph *graph = walk->graph;
    size_t values = (size_t)graph->value_count + 1;
    walk->activations = ph_alloc_array(values, sizeof *walk->activations);
    walk->relevances = ph_alloc_array(values, sizeof *walk->relevances);
    int *taps = ph_alloc_array(values, sizeof *taps), count = 0;
    ph_status status = walk->activations && walk->relevances && taps ? PH_OK : ph_fail_memory(walk->context);
    for (int v = 0; v < graph->value_count && !status; v++) {
        if (graph->values[v].data) continue;
        taps[count++] = v;
        walk->activations[v] = ph_alloc_array((size_t)ph_walk_size(walk, v), sizeof **walk->activations);
        if (!walk->activations[v]) status = ph_fail_memory(walk->context);
    }
    struct ph_program_request request = {.taps = taps, .tap_count = count, .loss = PH_ABSENT};
    if (!status) status = ph_program_create(graph, &request, &walk->program);
    ph_free(taps);
    return status;
}

ph_status ph_walk_start(struct ph_subject *subject, struct ph_walk *walk) {
    *walk = (struct ph_walk){.context = subject->context};
    ph_status status = walk_make(subject, walk);
    if (status) ph_walk_finish(walk);
    return status;
}

static void relevances_clear(struct ph_walk *walk) {
    for (int v = 0; walk->relevances && v < walk->graph->value_count; v++) {
        ph_free(walk->relevances[v]);
        walk->relevances[v] = NULL;
    }
}

void ph_walk_finish(struct ph_walk *walk) {
    relevances_clear(walk);
    for (int v = 0; walk->activations && v < walk->graph->value_count; v++) ph_free(walk->activations[v]);
    ph_free(walk->activations);
    ph_free(walk->relevances);
    ph_program_destroy(&walk->program);
    ph_graph_destroy(&walk->graph);
    ph_graph_destroy(&walk->part);
    ph_graph_destroy(&walk->whole);
}

ph_status ph_walk_forward(struct ph_walk *walk, const float *input) {
    memcpy(ph_program_input(walk->program, walk->input), input,
           (size_t)ph_walk_size(walk, walk->input) * sizeof *input);
    PH_TRY(ph_program_forward(walk->program));
    for (int v = 0; v < walk->graph->value_count; v++)
        if (walk->activations[v]) ph_program_read(walk->program, v, walk->activations[v]);
    return PH_OK;
}

ph_status ph_walk_add(struct ph_walk *walk, int value, const float *relevance) {
    if (!is_computed(walk, value)) return PH_OK;
    int64_t size = ph_walk_size(walk, value);
    float **sum = &walk->relevances[value];
    if (!*sum && !(*sum = ph_alloc_array((size_t)size, sizeof **sum))) return ph_fail_memory(walk->context);
    for (int64_t i = 0; i < size; i++) (*sum)[i] += relevance[i];
    return PH_OK;
}

ph_status ph_walk_back(struct ph_walk *walk, float seed, ph_walk_rule *rule, void *user, float *out) {
    ph_status status = ph_walk_add(walk, walk->value, &seed);
    for (int n = walk->graph->node_count - 1; n >= 0 && !status; n--) {
        const struct ph_node *node = &walk->graph->nodes[n];
        bool reached = false;
        for (int k = 0; k < node->output_count; k++) reached = reached || walk->relevances[node->outputs[k]];
        if (reached) status = rule(walk, node, user);
    }
    const float *arrived = walk->relevances[walk->input];
    if (!status && !arrived)
        status = ph_fail(walk->context, PH_ERROR_ARGUMENT, "nothing leads from the objective back to the picture");
    if (!status) memcpy(out, arrived, (size_t)ph_walk_size(walk, walk->input) * sizeof *out);
    relevances_clear(walk);
    return status;
}

/* ---- One node by itself ------------------------------------------------------------------------------------------ */

/* A constant input as the call wants it: biases are what a convolution or gemm has third. */
static ph_status constant_make(struct ph_graph *graph, const struct ph_value *record, bool bias,
                               const struct ph_walk_weights *weights, int *value) {
    PH_TRY(ph_value_load(record));
    double positive = bias ? weights->bias_positive : weights->positive;
    double negative = bias ? weights->bias_negative : weights->negative;
    if (record->type != PH_FLOAT || (!weights->ones && positive == 1 && negative == 1))
        return ph_graph_add_constant(graph, NULL, record->type, record->shape, record->data, value);
    int64_t size = ph_shape_size(&record->shape);
    const float *from = record->data;
    float *to = ph_pool_alloc(&graph->pool, (size_t)size * sizeof *to);
    if (!to) return ph_fail_memory(graph->context);
    for (int64_t i = 0; i < size; i++)
        to[i] = weights->ones && !bias ? 1 : (float)((from[i] > 0 ? positive : negative) * from[i]);
    return ph_graph_add_constant(graph, NULL, PH_FLOAT, record->shape, to, value);
}

static ph_status call_make(struct ph_walk *walk, const struct ph_walk_weights *weights, struct ph_walk_call *call) {
    const struct ph_node *node = call->node;
    const struct ph_operation *operation = node->operation;
    bool weighted = operation == &ph_operation_convolution || operation == &ph_operation_convolution_transpose ||
                    operation == &ph_operation_gemm || operation == &ph_operation_matmul;
    int parameter_count = 0, loss = PH_ABSENT;
    size_t inputs = (size_t)node->input_count + 1, outputs = (size_t)node->output_count + 1;
    PH_TRY(ph_graph_create(walk->context, &call->graph));
    call->inputs = ph_pool_alloc(&call->graph->pool, inputs * sizeof *call->inputs);
    call->outputs = ph_pool_alloc(&call->graph->pool, outputs * sizeof *call->outputs);
    call->seeds = ph_pool_alloc(&call->graph->pool, outputs * sizeof *call->seeds);
    int *fed = ph_pool_alloc(&call->graph->pool, inputs * sizeof *fed);
    int *parameters = ph_pool_alloc(&call->graph->pool, inputs * sizeof *parameters);
    if (!call->inputs || !call->outputs || !call->seeds || !fed || !parameters)
        return ph_fail_memory(walk->context);
    for (int i = 0; i < node->input_count; i++) {
        int value = node->inputs[i];
        const struct ph_value *record = value == PH_ABSENT ? NULL : &walk->graph->values[value];
        call->inputs[i] = fed[i] = PH_ABSENT;
        if (!record) continue;
        if (record->data) {
            PH_TRY(constant_make(call->graph, record, i == 2, weighted ? weights : &ph_walk_plain, &fed[i]));
            continue;
        }
        PH_TRY(ph_graph_add_input(call->graph, NULL, record->type, record->shape, &fed[i]));
        call->inputs[i] = fed[i];
        if (record->type == PH_FLOAT && (operation->differentiable >> (i < 31 ? i : 31) & 1 ||
                                         operation->differentiable >> 31 & 1))
            parameters[parameter_count++] = fed[i];
    }
    PH_TRY(ph_graph_add_node(call->graph, operation, NULL, node->attributes, fed, node->input_count, NULL,
                             node->output_count, call->outputs));
    /* The sum of all outputs' products with their seeds, each product a number of its own: sums of them differ in
     * shape. */
    for (int k = 0; k < node->output_count; k++) {
        const struct ph_value *record = &call->graph->values[call->outputs[k]];
        call->seeds[k] = PH_ABSENT;
        if (record->type != PH_FLOAT) continue;
        int product;
        PH_TRY(ph_graph_add_input(call->graph, NULL, PH_FLOAT, record->shape, &call->seeds[k]));
        PH_TRY(ph_graph_add(call->graph, &ph_operation_mul, NULL, NULL, (int[]){call->outputs[k], call->seeds[k]}, 2,
                            &product));
        if (node->output_count > 1)
            PH_TRY(ph_graph_add(call->graph, &ph_operation_reduce_sum, NULL, &(struct ph_reduce_attributes){0},
                                &product, 1, &product));
        if (loss == PH_ABSENT) loss = product;
        else PH_TRY(ph_graph_add(call->graph, &ph_operation_add, NULL, NULL, (int[]){loss, product}, 2, &loss));
    }
    struct ph_program_request request = {.taps = call->outputs, .tap_count = 1, .parameters = parameters,
        .parameter_count = operation->backward ? parameter_count : 0,
        .loss = operation->backward && parameter_count ? loss : PH_ABSENT};
    return ph_program_create(call->graph, &request, &call->program);
}

ph_status ph_walk_call_start(struct ph_walk *walk, const struct ph_node *node, const struct ph_walk_weights *weights,
                             struct ph_walk_call *call) {
    *call = (struct ph_walk_call){.node = node};
    ph_status status = call_make(walk, weights, call);
    if (status) ph_walk_call_finish(call);
    return status;
}

void ph_walk_call_finish(struct ph_walk_call *call) {
    ph_program_destroy(&call->program);
    ph_graph_destroy(&call->graph);
}

ph_status ph_walk_call_forward(struct ph_walk *walk, struct ph_walk_call *call, const float *const *inputs,
                               float *output) {
    for (int i = 0; i < call->node->input_count; i++) {
        float *to = call->inputs[i] == PH_ABSENT ? NULL : ph_program_input(call->program, call->inputs[i]);
        if (!to) continue;
        int value = call->node->inputs[i];
        memcpy(to, inputs && inputs[i] ? inputs[i] : walk->activations[value],
               (size_t)ph_walk_size(walk, value) * sizeof *to);
    }
    PH_TRY(ph_program_forward(call->program));
    if (output) ph_program_read(call->program, call->outputs[0], output);
    return PH_OK;
}

ph_status ph_walk_call_backward(struct ph_walk *walk, struct ph_walk_call *call, const float *const *seeds) {
    for (int k = 0; k < call->node->output_count; k++) {
        float *to = call->seeds[k] == PH_ABSENT ? NULL : ph_program_input(call->program, call->seeds[k]);
        if (!to) continue;
        size_t bytes = (size_t)ph_walk_size(walk, call->node->outputs[k]) * sizeof *to;
        if (seeds[k]) memcpy(to, seeds[k], bytes);
        else memset(to, 0, bytes);
    }
    /* Forward again: a program may hold a seed in a layout of its own, made while running forward. */
    PH_TRY(ph_program_forward(call->program));
    return ph_program_backward(call->program);
}

const float *ph_walk_call_gradient(const struct ph_walk_call *call, int i) {
    return call->inputs[i] == PH_ABSENT ? NULL : ph_program_gradient(call->program, call->inputs[i]);
}

ph_status ph_walk_gradient(struct ph_walk *walk, const struct ph_node *node) {
    struct ph_walk_call call;
    const float *seeds[PH_MAX_OUTPUTS] = {0};
    for (int k = 0; k < node->output_count; k++) seeds[k] = walk->relevances[node->outputs[k]];
    PH_TRY(ph_walk_call_start(walk, node, &ph_walk_plain, &call));
    ph_status status = ph_walk_call_forward(walk, &call, NULL, NULL);
    if (!status) status = ph_walk_call_backward(walk, &call, seeds);
    for (int i = 0; i < node->input_count && !status; i++) {
        const float *gradient = ph_walk_call_gradient(&call, i);
        if (gradient) status = ph_walk_add(walk, node->inputs[i], gradient);
    }
    ph_walk_call_finish(&call);
    return status;
}

ph_status ph_walk_pass(struct ph_walk *walk, const struct ph_node *node) {
    for (int i = 0; i < node->input_count; i++)
        if (is_computed(walk, node->inputs[i]) &&
            ph_shape_equal(&walk->graph->values[node->inputs[i]].shape, &walk->graph->values[node->outputs[0]].shape))
            return walk->relevances[node->outputs[0]]
                       ? ph_walk_add(walk, node->inputs[i], walk->relevances[node->outputs[0]])
                       : PH_OK;
    return ph_walk_gradient(walk, node);
}
