/* Channels nobody reads; see narrow.h. */
#include "graph/narrow.h"
#include "graph/operations.h"
#include <string.h>

/* Operations on each channel by itself that need no word about how many there are. */
static const struct ph_operation *const by_channel[] = {&ph_operation_relu, &ph_operation_clip, &ph_operation_sigmoid,
    &ph_operation_tanh, &ph_operation_silu, &ph_operation_hard_swish, &ph_operation_gelu, &ph_operation_mish,
    &ph_operation_max_pool, &ph_operation_average_pool, &ph_operation_global_average_pool,
    &ph_operation_identity, NULL};

struct readers {
    const struct ph_graph *graph;
    const bool *live, *kept; /* [nodes], [values] */
    const int *uses;         /* [values] */
    bool **read;  /* [values][channels]; NULL: no pick has read any yet */
    bool *whole;  /* [values] all channels are read */
};

static bool is_constant(const struct ph_graph *graph, const struct ph_node *node, int input) {
    return node->inputs[input] == PH_ABSENT || graph->values[node->inputs[input]].data;
}

static bool has_constant_weights(const struct ph_graph *graph, const struct ph_node *node) {
    for (int i = 1; i < node->input_count; i++)
        if (!is_constant(graph, node, i)) return false;
    return !is_constant(graph, node, 0);
}

/* A convolution whose channels may be left out. */
static bool is_narrow_convolution(const struct ph_graph *graph, const struct ph_node *node) {
    return node->operation == &ph_operation_convolution && has_constant_weights(graph, node) &&
           ((const struct ph_convolution_attributes *)node->attributes)->groups == 1;
}

/* A fully connected layer whose outputs may be: weights and biases of each lie side by side. */
static bool is_narrow_gemm(const struct ph_graph *graph, const struct ph_node *node) {
    if (node->operation != &ph_operation_gemm || !has_constant_weights(graph, node)) return false;
    const struct ph_gemm_attributes *a = node->attributes;
    bool biased = node->input_count > 2 && node->inputs[2] != PH_ABSENT;
    int64_t outputs = graph->values[node->outputs[0]].shape.dims[1];
    return a->transpose_b && !a->transpose_a && (!biased || ph_shape_size(&graph->values[node->inputs[2]].shape) == outputs);
}

static bool can_narrow(const struct ph_graph *graph, const struct ph_node *node) {
    return is_narrow_convolution(graph, node) || is_narrow_gemm(graph, node);
}

static bool is_by_channel(const struct readers *r, const struct ph_node *node) {
    for (int i = 0; by_channel[i]; i++)
        if (node->operation == by_channel[i]) return true;
    int input = node->input_count ? node->inputs[0] : PH_ABSENT;
    if (node->operation != &ph_operation_batch_norm || input == PH_ABSENT) return false;
    /* It goes into the convolution before it, whose channels are left out together with its own. */
    int maker = r->graph->values[input].node;
    for (int i = 1; i < node->input_count; i++)
        if (!is_constant(r->graph, node, i)) return false;
    return maker != PH_ABSENT && is_narrow_convolution(r->graph, &r->graph->nodes[maker]) && r->uses[input] == 1 && !r->kept[input];
}

/* The channels that a node reads of its first input. */
static ph_status node_reads(struct readers *r, const struct ph_node *node) {
    const struct ph_graph *graph = r->graph;
    int input = node->inputs[0], output = node->outputs[0];
    int64_t count = graph->values[input].shape.dims[1];
    bool pick = node->operation == &ph_operation_pick;
    if (!pick && r->whole[output]) r->whole[input] = true;
    if (r->whole[input] || (!pick && !r->read[output])) return PH_OK;
    if (!r->read[input]) {
        r->read[input] = ph_alloc_array((size_t)count + 1, sizeof(bool));
        if (!r->read[input]) return ph_fail_memory(graph->context);
    }
    const struct ph_pick_attributes *a = node->attributes;
    for (int64_t n = 0; pick && n < graph->values[input].shape.dims[0]; n++) r->read[input][a->channels[n]] = true;
    for (int64_t c = 0; !pick && c < count; c++) r->read[input][c] |= r->read[output][c];
    return PH_OK;
}

static ph_status read_backwards(struct readers *r) {
    const struct ph_graph *graph = r->graph;
    for (int n = graph->node_count - 1; n >= 0; n--) {
        const struct ph_node *node = &graph->nodes[n];
        if (!r->live[n]) continue;
        bool follows = node->input_count > 0 && node->inputs[0] != PH_ABSENT && graph->values[node->inputs[0]].shape.rank > 1 &&
                       (node->operation == &ph_operation_pick || is_by_channel(r, node));
        if (follows) PH_TRY(node_reads(r, node));
        for (int i = follows; i < node->input_count; i++)
            if (node->inputs[i] != PH_ABSENT) r->whole[node->inputs[i]] = true;
    }
    return PH_OK;
}

/* The list of what is read of such a layer's output; narrowed no further than to fewer than all. */
static ph_status list_make(const struct readers *r, int value, struct ph_pool *pool, struct ph_channels *channels) {
    int64_t count = r->graph->values[value].shape.dims[1];
    int32_t *list = ph_pool_alloc(pool, ((size_t)count + 1) * sizeof *list), left = 0;
    if (!list) return ph_fail_memory(r->graph->context);
    for (int64_t c = 0; c < count; c++)
        if (r->read[value][c]) list[left++] = (int32_t)c;
    if (left > 0 && left < count) *channels = (struct ph_channels){left, list};
    return PH_OK;
}

/* Lists are for what such a layer makes alone, its followers take them over; whoever reads other channels of a value made
 * before has been counted with them. */
static ph_status lists_make(const struct readers *r, struct ph_pool *pool, struct ph_channels *channels) {
    const struct ph_graph *graph = r->graph;
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        if (!r->live[n] || !node->input_count || !node->output_count) continue;
        int output = node->outputs[0];
        if (can_narrow(graph, node)) {
            if (!r->whole[output] && r->read[output]) PH_TRY(list_make(r, output, pool, &channels[output]));
        } else if (is_by_channel(r, node) && node->inputs[0] != PH_ABSENT) {
            channels[output] = channels[node->inputs[0]];
        }
    }
    return PH_OK;
}

ph_status ph_channels_find(const struct ph_graph *graph, const bool *live, const bool *kept, const int *uses,
                           struct ph_pool *pool, struct ph_channels *channels) {
    size_t values = (size_t)graph->value_count + 1;
    struct readers r = {.graph = graph, .live = live, .kept = kept, .uses = uses,
        .read = ph_alloc_array(values, sizeof *r.read), .whole = ph_alloc_array(values, sizeof *r.whole)};
    memset(channels, 0, values * sizeof *channels);
    ph_status status = r.read && r.whole ? PH_OK : ph_fail_memory(graph->context);
    for (int v = 0; v < graph->value_count && !status; v++) r.whole[v] = kept[v];
    if (!status) status = read_backwards(&r);
    if (!status) status = lists_make(&r, pool, channels);
    for (int v = 0; v < graph->value_count && r.read; v++) ph_free(r.read[v]);
    ph_free(r.read);
    ph_free(r.whole);
    return status;
}

int32_t ph_channels_place(const struct ph_channels *channels, int32_t channel) {
    int32_t place = 0;
    while (channels->list[place] != channel) place++;
    return place;
}

float *ph_channels_rows(const struct ph_channels *channels, const float *from, int64_t row, struct ph_pool *pool) {
    float *rows = ph_pool_alloc(pool, (size_t)(channels->count * row + 1) * sizeof *rows);
    for (int32_t i = 0; i < channels->count && rows; i++)
        memcpy(rows + i * row, from + channels->list[i] * row, (size_t)row * sizeof *rows);
    return rows;
}
