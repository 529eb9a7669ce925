/* Who needs what: of which values a gradient is wanted, and how many nodes read a value, which of them last. */
#include "exec/plan/planner.h"

bool ph_passes_gradient(const struct ph_operation *operation, int input) {
    if (!operation->backward && !operation->is_view) return false;
    return operation->differentiable & 1u << 31 || (input < 31 && operation->differentiable & 1u << input);
}

ph_status ph_needs_mark(struct ph_planner *p, const int *parameters, int parameter_count) {
    const struct ph_graph *graph = p->graph;
    if (p->loss == PH_ABSENT) return PH_OK;
    bool *reaches = ph_alloc_array((size_t)graph->value_count, sizeof *reaches);
    if (!reaches) return ph_fail_memory(p->context);
    for (int i = 0; i < parameter_count; i++) p->needs[parameters[i]] = true;
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        bool any = false;
        for (int i = 0; i < node->input_count; i++)
            if (node->inputs[i] != PH_ABSENT && p->needs[node->inputs[i]] && ph_passes_gradient(node->operation, i)) any = true;
        for (int i = 0; i < node->output_count && any; i++) p->needs[node->outputs[i]] = true;
    }
    reaches[p->loss] = true;
    for (int n = graph->node_count - 1; n >= 0; n--) {
        const struct ph_node *node = &graph->nodes[n];
        bool any = false;
        for (int i = 0; i < node->output_count; i++) any |= reaches[node->outputs[i]];
        for (int i = 0; i < node->input_count && any; i++)
            if (node->inputs[i] != PH_ABSENT && ph_passes_gradient(node->operation, i)) reaches[node->inputs[i]] = true;
    }
    for (int v = 0; v < graph->value_count; v++) p->needs[v] = p->needs[v] && reaches[v];
    ph_free(reaches);
    if (!p->needs[p->loss])
        return ph_fail(p->context, PH_ERROR_UNSUPPORTED,
                       "'%s' does not depend on what is optimised, or no gradient flows to it", graph->values[p->loss].name);
    return PH_OK;
}

void ph_readers_count(struct ph_planner *p) {
    for (int n = 0; n < p->graph->node_count; n++) {
        const struct ph_node *node = &p->graph->nodes[n];
        for (int i = 0; i < node->input_count; i++)
            if (node->inputs[i] != PH_ABSENT) p->last_use[node->inputs[i]] = n, p->readers[node->inputs[i]]++;
    }
}
