/* Cutting the graph to what is needed, down to channels, recognising activations and pools of what is normalised, folding
 * batch-norm and what normalises the picture, fusing ReLU, nesting concatenations. */
#include "graph/passes.h"
#include "graph/fold.h"
#include "graph/narrow.h"
#include "graph/normed_pool.h"
#include "graph/operations.h"
#include "graph/recognise.h"
#include <math.h>
#include <string.h>

/* A convolution not yet emitted, because what follows may still be merged into it. */
struct pending {
    const struct ph_node *convolution; /* or a batch-norm on its own, which is a 1x1 convolution of each channel by itself */
    struct ph_convolution_attributes attributes;
    struct ph_shape shape; /* of the folded weights */
    const float *weights, *bias; /* folded ones in the new graph's pool; NULL: the node's own */
    const float *border;   /* of the input's channels; NULL: zeros */
    int input;             /* old value that it reads */
};

struct extraction {
    const struct ph_graph *old;
    struct ph_graph view; /* `old` with what was recognised */
    struct ph_graph *graph;
    int *map;
    bool *live;       /* [old nodes] */
    bool *kept;       /* [old values] */
    int *uses;        /* [old values] by live nodes */
    int *consumer;    /* [old values] last live node that uses it */
    struct pending *pending; /* [old values] */
    struct ph_channels *channels; /* [old values] those that are left */
    struct ph_fold *folds;        /* [old nodes] */
};

static void mark_live(struct extraction *e, const int *keep, int keep_count) {
    const struct ph_graph *old = e->old;
    for (int i = 0; i < keep_count; i++) {
        if (keep[i] == PH_ABSENT) continue;
        e->kept[keep[i]] = true;
        if (old->values[keep[i]].node != PH_ABSENT) e->live[old->values[keep[i]].node] = true;
    }
    for (int n = old->node_count - 1; n >= 0; n--) {
        if (!e->live[n]) continue;
        const struct ph_node *node = &old->nodes[n];
        for (int i = 0; i < node->input_count; i++) {
            int input = node->inputs[i];
            if (input == PH_ABSENT) continue;
            e->uses[input]++;
            e->consumer[input] = n;
            if (old->values[input].node != PH_ABSENT) e->live[old->values[input].node] = true;
        }
    }
}

/* From here on the graph to extract from is one in which several nodes that make up one operation are a single one. */
static ph_status recognise(struct extraction *e, const int *keep, int keep_count, unsigned rewrites) {
    size_t nodes = (size_t)e->old->node_count, values = (size_t)e->old->value_count;
    e->view = *e->old;
    e->view.nodes = ph_alloc_array(nodes + 1, sizeof *e->view.nodes);
    if (!e->view.nodes) return ph_fail_memory(e->graph->context);
    if (nodes) memcpy(e->view.nodes, e->old->nodes, nodes * sizeof *e->view.nodes);
    e->old = &e->view;
    if (rewrites & PH_REWRITE_ACTIVATIONS)
        PH_TRY(ph_activations_recognise(&e->view, e->live, e->kept, e->uses, &e->graph->pool));
    if (rewrites & PH_REWRITE_NORMED_POOLS)
        PH_TRY(ph_normed_pools_find(&e->view, e->live, e->kept, e->uses, &e->graph->pool));
    memset(e->live, 0, nodes * sizeof *e->live);
    memset(e->uses, 0, values * sizeof *e->uses);
    mark_live(e, keep, keep_count);
    return PH_OK;
}

/* Reads the constants that the new graph takes over, so that none of its own is still to be read. */
static ph_status constants_load(const struct extraction *e) {
    for (int v = 0; v < e->old->value_count; v++)
        if (e->uses[v] || e->kept[v]) PH_TRY(ph_value_load(&e->old->values[v]));
    return PH_OK;
}

/* The value in the new graph: constants and inputs come over when first needed. */
static ph_status import_value(struct extraction *e, int value, int *out) {
    if (value == PH_ABSENT) {
        *out = PH_ABSENT;
        return PH_OK;
    }
    if (e->map[value] == PH_ABSENT) {
        const struct ph_value *record = &e->old->values[value];
        if (record->data)
            PH_TRY(ph_graph_add_constant(e->graph, record->name, record->type, record->shape, record->data, &e->map[value]));
        else
            PH_TRY(ph_graph_add_input(e->graph, record->name, record->type, record->shape, &e->map[value]));
    }
    *out = e->map[value];
    return PH_OK;
}

static ph_status emit(struct extraction *e, const struct ph_node *node, const struct ph_operation *operation,
                      const void *attributes, const int *inputs, int input_count) {
    int mapped[PH_MAX_OUTPUTS] = {0}, *in = mapped, out[PH_MAX_OUTPUTS];
    if (input_count > PH_COUNT(mapped) && !(in = ph_alloc_array((size_t)input_count, sizeof *in)))
        return ph_fail_memory(e->graph->context);
    ph_status status = PH_OK;
    for (int i = 0; i < input_count && !status; i++) status = import_value(e, inputs[i], &in[i]);
    const char *names[PH_MAX_OUTPUTS] = {0};
    for (int i = 0; i < node->output_count; i++) names[i] = e->old->values[node->outputs[i]].name;
    if (!status)
        status = ph_graph_add_node(e->graph, operation, node->name, attributes, in, input_count, names, node->output_count, out);
    for (int i = 0; i < node->output_count && !status; i++) e->map[node->outputs[i]] = out[i];
    if (in != mapped) ph_free(in);
    return status;
}

/* Its weights and bias: folded ones, else the node's own. */
static void weights_open(const struct extraction *e, struct pending *pending) {
    const struct ph_value *values = e->old->values;
    const struct ph_node *node = pending->convolution;
    if (pending->weights) return;
    pending->shape = values[node->inputs[1]].shape;
    pending->weights = values[node->inputs[1]].data;
    pending->bias = node->input_count > 2 && node->inputs[2] != PH_ABSENT ? values[node->inputs[2]].data : NULL;
}

/* Leaves out the output channels that nobody reads. */
static ph_status narrow(struct extraction *e, struct pending *pending, const struct ph_channels *channels) {
    struct ph_pool *pool = &e->graph->pool;
    weights_open(e, pending);
    pending->attributes.whole_outputs = pending->shape.dims[0];
    pending->weights = ph_channels_rows(channels, pending->weights, ph_shape_size(&pending->shape) / pending->shape.dims[0], pool);
    if (pending->bias && !(pending->bias = ph_channels_rows(channels, pending->bias, 1, pool))) pending->weights = NULL;
    pending->shape.dims[0] = channels->count;
    return pending->weights ? PH_OK : ph_fail_memory(e->graph->context);
}

/* Emits the pending convolution so that its result is the output of `node`, the last one merged into it. */
static ph_status emit_convolution(struct extraction *e, const struct pending *whole, const struct ph_node *node) {
    struct pending pending = *whole;
    const struct ph_node *convolution = pending.convolution;
    const struct ph_channels *channels = &e->channels[node->outputs[0]];
    if (channels->list) PH_TRY(narrow(e, &pending, channels));
    if (!pending.weights)
        return emit(e, node, convolution->operation, &pending.attributes, convolution->inputs, convolution->input_count);
    const struct ph_shape *shape = &pending.shape;
    int inputs[4] = {PH_ABSENT, PH_ABSENT, PH_ABSENT, PH_ABSENT}, out;
    PH_TRY(import_value(e, pending.input, &inputs[0]));
    PH_TRY(ph_graph_add_constant(e->graph, "folded weights", PH_FLOAT, *shape, pending.weights, &inputs[1]));
    if (pending.bias)
        PH_TRY(ph_graph_add_constant(e->graph, "folded bias", PH_FLOAT, PH_SHAPE(shape->dims[0]), pending.bias, &inputs[2]));
    if (pending.border)
        PH_TRY(ph_graph_add_constant(e->graph, "border", PH_FLOAT, PH_SHAPE(shape->dims[1]), pending.border, &inputs[3]));
    PH_TRY(ph_graph_add(e->graph, &ph_operation_convolution, e->old->values[node->outputs[0]].name, &pending.attributes, inputs,
                        pending.border ? 4 : pending.bias ? 3 : 2, &out));
    e->map[node->outputs[0]] = out;
    return PH_OK;
}

/* A fully connected layer without the outputs that nobody reads. */
static ph_status emit_narrow_gemm(struct extraction *e, const struct ph_node *node, const struct ph_channels *channels) {
    int inputs[3] = {PH_ABSENT, PH_ABSENT, PH_ABSENT};
    PH_TRY(import_value(e, node->inputs[0], &inputs[0]));
    for (int i = 1; i < node->input_count; i++) {
        if (node->inputs[i] == PH_ABSENT) continue;
        const struct ph_value *whole = &e->old->values[node->inputs[i]];
        int64_t row = i == 1 ? whole->shape.dims[1] : 1;
        const float *rows = ph_channels_rows(channels, whole->data, row, &e->graph->pool);
        if (!rows) return ph_fail_memory(e->graph->context);
        struct ph_shape shape = i == 1 ? PH_SHAPE(channels->count, row) : PH_SHAPE(channels->count);
        PH_TRY(ph_graph_add_constant(e->graph, whole->name, PH_FLOAT, shape, rows, &inputs[i]));
    }
    return ph_graph_add(e->graph, node->operation, e->old->values[node->outputs[0]].name, node->attributes, inputs,
                        node->input_count, &e->map[node->outputs[0]]);
}

/* Channels are known by their places among those that are left. */
static ph_status emit_pick(struct extraction *e, const struct ph_node *node) {
    struct ph_pick_attributes attributes = *(const struct ph_pick_attributes *)node->attributes;
    const struct ph_channels *channels = &e->channels[node->inputs[0]];
    for (int64_t n = 0; channels->list && n < e->old->values[node->inputs[0]].shape.dims[0]; n++)
        attributes.channels[n] = ph_channels_place(channels, attributes.channels[n]);
    return emit(e, node, node->operation, &attributes, node->inputs, node->input_count);
}

static bool constant_input(const struct extraction *e, const struct ph_node *node, int index) {
    return index < node->input_count && node->inputs[index] != PH_ABSENT && e->old->values[node->inputs[index]].data;
}

/* A ReLU, or a clip that is one with a ceiling. */
static bool is_rectifier(const struct ph_node *node) {
    const struct ph_activation_attributes *a = node->attributes;
    return node->operation == &ph_operation_relu ||
           (node->operation == &ph_operation_clip && a->low == 0 && a->high > 0 && isfinite(a->high));
}

static bool is_constant_norm(const struct extraction *e, const struct ph_node *node) {
    return node->operation == &ph_operation_batch_norm && !constant_input(e, node, 0) && constant_input(e, node, 1) &&
           constant_input(e, node, 2) && constant_input(e, node, 3) && constant_input(e, node, 4);
}

/* Whether the one node that uses `value` can be merged into the convolution that makes it. */
static bool merges(const struct extraction *e, int value, const struct pending *pending) {
    if (e->kept[value] || e->uses[value] != 1 || pending->attributes.relu) return false;
    const struct ph_node *next = &e->old->nodes[e->consumer[value]];
    if (is_rectifier(next)) return e->old->values[value].shape.rank == 4;
    return is_constant_norm(e, next) && next->inputs[0] == value;
}

/* y = scale (conv + bias - mean) / sqrt(variance + epsilon) + shift, in double, rounded once. */
static ph_status fold_batch_norm(struct extraction *e, struct pending *pending, const struct ph_node *norm) {
    const struct ph_value *values = e->old->values;
    const struct ph_norm_attributes *attributes = norm->attributes;
    const float *scale = values[norm->inputs[1]].data, *shift = values[norm->inputs[2]].data;
    const float *mean = values[norm->inputs[3]].data, *variance = values[norm->inputs[4]].data;
    if (pending->convolution == norm) pending->shape = PH_SHAPE(values[norm->inputs[0]].shape.dims[1], 1, 1, 1);
    else weights_open(e, pending);
    const float *weights = pending->weights, *bias = pending->bias;
    int64_t channels = pending->shape.dims[0], per_channel = channels ? ph_shape_size(&pending->shape) / channels : 0;
    float *new_weights = ph_pool_alloc(&e->graph->pool, (size_t)(channels * per_channel) * sizeof *new_weights);
    float *new_bias = ph_pool_alloc(&e->graph->pool, (size_t)channels * sizeof *new_bias);
    if (!new_weights || !new_bias) return ph_fail_memory(e->graph->context);
    for (int64_t c = 0; c < channels; c++) {
        double factor = scale[c] / sqrt((double)variance[c] + attributes->epsilon);
        for (int64_t i = 0; i < per_channel; i++)
            new_weights[c * per_channel + i] = (float)(factor * (weights ? weights[c * per_channel + i] : 1));
        new_bias[c] = (float)(factor * ((bias ? bias[c] : 0.0) - mean[c]) + shift[c]);
    }
    pending->weights = new_weights;
    pending->bias = new_bias;
    return PH_OK;
}

/* The longest earlier concatenation along the same axis whose inputs are the first ones of this; NULL if there is none. */
static const struct ph_node *prefix_of(const struct extraction *e, const struct ph_node *node) {
    const struct ph_axis_attributes *a = node->attributes;
    const struct ph_node *longest = NULL;
    for (const struct ph_node *other = e->old->nodes; other < node; other++) {
        if (other->operation != node->operation || other->input_count >= node->input_count || other->input_count < 2) continue;
        if (((const struct ph_axis_attributes *)other->attributes)->axis != a->axis || e->map[other->outputs[0]] == PH_ABSENT)
            continue;
        if (memcmp(other->inputs, node->inputs, (size_t)other->input_count * sizeof *other->inputs)) continue;
        if (!longest || other->input_count > longest->input_count) longest = other;
    }
    return longest;
}

/* DenseNet joins all earlier layers anew for each: joined to what was joined before, each lies in memory once. */
static ph_status emit_concat(struct extraction *e, const struct ph_node *node) {
    const struct ph_node *prefix = prefix_of(e, node);
    int rest = prefix ? node->input_count - prefix->input_count : 0;
    if (!prefix || rest >= PH_MAX_OUTPUTS) return emit(e, node, node->operation, node->attributes, node->inputs, node->input_count);
    int inputs[PH_MAX_OUTPUTS] = {prefix->outputs[0]};
    memcpy(inputs + 1, node->inputs + prefix->input_count, (size_t)rest * sizeof *inputs);
    return emit(e, node, node->operation, node->attributes, inputs, 1 + rest);
}

static ph_status rewrite_node(struct extraction *e, const struct ph_node *node) {
    int first = node->input_count ? node->inputs[0] : PH_ABSENT;
    bool joins_one = node->operation == &ph_operation_concat && node->input_count == 1;
    if (node->operation == &ph_operation_identity || joins_one) return import_value(e, first, &e->map[node->outputs[0]]);
    if (node->operation == &ph_operation_concat) return emit_concat(e, node);
    if (node->operation == &ph_operation_pick) return emit_pick(e, node);
    if (node->operation == &ph_operation_gemm && e->channels[node->outputs[0]].list)
        return emit_narrow_gemm(e, node, &e->channels[node->outputs[0]]);

    struct pending pending = {0};
    if (node->operation == &ph_operation_convolution && !constant_input(e, node, 0) && constant_input(e, node, 1) &&
        node->input_count < 4 && (node->input_count < 3 || node->inputs[2] == PH_ABSENT || constant_input(e, node, 2))) {
        pending.convolution = node;
        pending.attributes = *(const struct ph_convolution_attributes *)node->attributes;
        pending.input = first;
        const struct ph_fold *fold = &e->folds[node - e->old->nodes];
        if (fold->weights) {
            pending.shape = e->old->values[node->inputs[1]].shape;
            pending.weights = fold->weights;
            pending.bias = fold->bias;
            pending.border = fold->border;
            pending.input = fold->input;
        }
    } else if (first != PH_ABSENT && e->pending[first].convolution) {
        pending = e->pending[first];
        if (is_rectifier(node)) {
            pending.attributes.relu = true;
            pending.attributes.ceiling = node->operation == &ph_operation_clip
                                             ? ((const struct ph_activation_attributes *)node->attributes)->high : 0;
        } else {
            PH_TRY(fold_batch_norm(e, &pending, node));
        }
    } else if (is_constant_norm(e, node) && e->old->values[first].shape.rank == 4) {
        pending.convolution = node;
        pending.input = first;
        pending.attributes = (struct ph_convolution_attributes){.kernel = {1, 1, 1}, .stride = {1, 1, 1},
            .dilation = {1, 1, 1}, .groups = e->old->values[first].shape.dims[1]};
        PH_TRY(fold_batch_norm(e, &pending, node));
    } else {
        return emit(e, node, node->operation, node->attributes, node->inputs, node->input_count);
    }
    int output = node->outputs[0];
    if (merges(e, output, &pending)) {
        e->pending[output] = pending;
        return PH_OK;
    }
    return emit_convolution(e, &pending, node);
}

ph_status ph_graph_extract(const struct ph_graph *old, const int *keep, int keep_count, unsigned rewrites,
                           struct ph_graph **graph, int *map) {
    for (int i = 0; i < old->value_count; i++) map[i] = PH_ABSENT;
    PH_TRY(ph_graph_create(old->context, graph));
    size_t nodes = (size_t)old->node_count + 1, values = (size_t)old->value_count + 1;
    struct extraction e = {.old = old, .graph = *graph, .map = map,
        .live = ph_alloc_array(nodes, sizeof *e.live), .kept = ph_alloc_array(values, sizeof *e.kept),
        .uses = ph_alloc_array(values, sizeof *e.uses), .consumer = ph_alloc_array(values, sizeof *e.consumer),
        .pending = ph_alloc_array(values, sizeof *e.pending), .channels = ph_alloc_array(values, sizeof *e.channels),
        .folds = ph_alloc_array(nodes, sizeof *e.folds)};
    bool fuses = rewrites & PH_REWRITE_FUSE;
    ph_status status = PH_OK;
    if (!e.live || !e.kept || !e.uses || !e.consumer || !e.pending || !e.channels || !e.folds)
        status = ph_fail_memory(old->context);
    if (!status) mark_live(&e, keep, keep_count);
    if (!status && rewrites & (PH_REWRITE_ACTIVATIONS | PH_REWRITE_NORMED_POOLS))
        status = recognise(&e, keep, keep_count, rewrites);
    if (!status) status = constants_load(&e);
    if (!status && fuses) status = ph_channels_find(e.old, e.live, e.kept, e.uses, &e.graph->pool, e.channels);
    /* Last, for channels are read by nodes that then are live no more. */
    if (!status && rewrites & PH_REWRITE_NORMALISATION)
        status = ph_folds_find(e.old, e.live, e.kept, e.uses, &e.graph->pool, e.folds);
    for (int n = 0; n < old->node_count && !status; n++) {
        if (!e.live[n]) continue;
        const struct ph_node *node = &e.old->nodes[n];
        status = fuses ? rewrite_node(&e, node)
                       : emit(&e, node, node->operation, node->attributes, node->inputs, node->input_count);
    }
    for (int i = 0; i < keep_count && !status; i++) {
        int value; /* kept inputs and constants that no node uses */
        status = import_value(&e, keep[i], &value);
    }
    ph_free(e.live);
    ph_free(e.kept);
    ph_free(e.uses);
    ph_free(e.consumer);
    ph_free(e.pending);
    ph_free(e.channels);
    ph_free(e.folds);
    ph_free(e.view.nodes);
    if (status) ph_graph_destroy(graph);
    return status;
}
