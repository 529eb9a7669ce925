/* Tensors of 16 bits: what a network hands from layer to layer, for backends that compute so. */
#include "exec/plan/planner.h"

static bool halved;

void ph_plan_halve(bool on) { halved = on; }

enum { LEAST_WEIGHTS = 256 }; /* fewer are no layer's: a colour transform's, a blur's */

/* A product with weights, and which of its operands those are; PH_ABSENT: it is none. */
static int weights_of(const struct ph_graph *graph, const struct ph_node *node) {
    static const struct ph_operation *const products[] = {&ph_operation_convolution, &ph_operation_convolution_transpose,
        &ph_operation_gemm, &ph_operation_matmul};
    for (int i = 0; i < PH_COUNT(products); i++)
        for (int k = 0; k < 2 && node->operation == products[i]; k++)
            if (graph->values[node->inputs[k]].data && ph_shape_size(&graph->values[node->inputs[k]].shape) >= LEAST_WEIGHTS)
                return k;
    return PH_ABSENT;
}

/* What a network hands from layer to layer: it lies behind one product with weights, and before another or made by it. The
 * picture's own side, objectives, gradients and what is read stay as they are: sums of squares and differences of pixels
 * need more than 11 bits. reach [values]: how each stands to products with weights. */
static void halves_find(const struct ph_planner *p, unsigned char *reach, bool *half) {
    const struct ph_graph *graph = p->graph;
    enum { BEHIND = 1, BEFORE = 2, MADE = 4 };
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        int weights = weights_of(graph, node);
        for (int i = 0; i < node->output_count; i++) reach[node->outputs[i]] = weights == PH_ABSENT ? 0 : BEHIND | MADE;
        for (int k = 0; k < node->input_count; k++)
            for (int i = 0; i < node->output_count && node->inputs[k] != PH_ABSENT; i++)
                reach[node->outputs[i]] |= reach[node->inputs[k]] & BEHIND;
        if (weights != PH_ABSENT) half[node->inputs[weights]] = true;
    }
    for (int n = graph->node_count - 1; n >= 0; n--) {
        const struct ph_node *node = &graph->nodes[n];
        unsigned before = weights_of(graph, node) == PH_ABSENT ? 0 : BEFORE;
        for (int i = 0; i < node->output_count; i++) before |= reach[node->outputs[i]] & BEFORE;
        for (int k = 0; k < node->input_count; k++)
            if (node->inputs[k] != PH_ABSENT) reach[node->inputs[k]] |= before;
    }
    for (int v = 0; v < graph->value_count; v++) {
        const struct ph_value *value = &graph->values[v];
        if (value->node != PH_ABSENT) half[v] = reach[v] & BEHIND && reach[v] & (BEFORE | MADE);
        half[v] = (half[v] || (halved && (value->node != PH_ABSENT || value->data))) && value->type == PH_FLOAT &&
                  v != p->loss && p->plan->tap[v] == PH_ABSENT;
    }
}

ph_status ph_halves_mark(struct ph_planner *p) {
    struct ph_plan *plan = p->plan;
    bool *half = ph_alloc_array((size_t)p->graph->value_count + 1, sizeof *half);
    unsigned char *reach = ph_alloc_array((size_t)p->graph->value_count + 1, sizeof *reach);
    ph_status status = half && reach ? PH_OK : ph_fail_memory(p->context);
    if (!status) halves_find(p, reach, half);
    for (int turn = 0; turn < 2 && !status; turn++)
        for (int v = 0; v < p->graph->value_count; v++) {
            int storage = plan->home[v] == PH_ABSENT ? p->plain_constant[v] : plan->home[v];
            if (storage != PH_ABSENT && half[v] == (turn == 0))
                plan->storages[ph_storage_root(plan, storage, NULL)].half = turn == 0;
        }
    ph_free(half);
    ph_free(reach);
    return status;
}
