/* Which kernel makes each node in each direction: the first of the backend's ordered list that accepts it, or the one that a
 * profile names (profile.h). */
#include "exec/plan/planner.h"

struct ph_kernel_query ph_query_make(const struct ph_planner *p, const struct ph_node *node, bool backward) {
    struct ph_kernel_query query = {.graph = p->graph, .node = node, .backward = backward, .block = p->block,
        .threads = p->context->threads};
    if (backward)
        for (int i = 0; i < PH_MIN(node->input_count, 32); i++)
            if (node->inputs[i] != PH_ABSENT && p->needs[node->inputs[i]]) query.wanted |= 1u << i;
    const char *key = p->keys[2 * (node - p->graph->nodes) + backward];
    if (key) query.details = ph_profile_details(p->profile, key);
    return query;
}

static ph_status kernel_choose(const struct ph_planner *p, int n, bool backward, const struct ph_kernel **chosen) {
    const struct ph_node *node = &p->graph->nodes[n];
    struct ph_kernel_query query = ph_query_make(p, node, backward);
    query.blocked_input = node->input_count && node->inputs[0] != PH_ABSENT &&
        ph_value_kind(p, node->inputs[0]) == PH_LAYOUT_BLOCKED;
    for (int i = 0; p->kernels[i] && !*chosen; i++) {
        const struct ph_kernel *kernel = p->kernels[i];
        if (kernel->backward == backward && (!kernel->operation || kernel->operation == node->operation) &&
            (!kernel->accepts || kernel->accepts(&query)) &&
            (!backward || !kernel->saved || (p->forward[n] && p->forward[n]->saved == kernel->saved)))
            *chosen = kernel;
    }
    struct ph_text key = {0};
    if (!p->profile || !*chosen || !ph_profile_key(p->level, &query, &key)) {
        ph_text_finish(&key);
        return PH_OK;
    }
    const char *kept = key.failed ? NULL : ph_pool_strdup(&p->plan->pool, key.data);
    ph_text_finish(&key);
    if (!kept) return ph_fail_memory(p->context);
    p->keys[2 * n + backward] = kept;
    return ph_profile_choose(p->profile, kept, &query, p->kernels, chosen);
}

ph_status ph_kernels_choose(struct ph_planner *p) {
    const struct ph_graph *graph = p->graph;
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        if (node->operation->is_view || ph_is_channel_concat(p, node)) continue;
        PH_TRY(kernel_choose(p, n, false, &p->forward[n]));
        bool wanted = false;
        for (int i = 0; i < node->output_count; i++) wanted |= p->needs[node->outputs[i]];
        if (wanted) PH_TRY(kernel_choose(p, n, true, &p->backward[n]));
        if (!p->forward[n] || (wanted && !p->backward[n]))
            return ph_fail(p->context, PH_ERROR_UNSUPPORTED,
                           "backend %s: node '%s': %s has no %s there; --backend cpu does without", p->backend, node->name,
                           node->operation->name, p->forward[n] ? "backward" : "kernel");
    }
    return PH_OK;
}

unsigned ph_backward_reads(const struct ph_planner *p, int n) {
    const struct ph_kernel *kernel = p->backward[n];
    if (!kernel) return 0;
    struct ph_kernel_query query = ph_query_make(p, &p->graph->nodes[n], true);
    return kernel->reads ? kernel->reads(&query) : p->graph->nodes[n].operation->backward_reads;
}
