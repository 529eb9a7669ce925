/* In which layout each value and each gradient lies: plain or blocked, as the kernels want that make them, with a halo as wide
 * as those want that read them, and one for all that may share memory. */
#include "exec/plan/planner.h"

bool ph_is_channel_concat(const struct ph_planner *p, const struct ph_node *node) {
    if (node->operation != &ph_operation_concat || p->graph->values[node->outputs[0]].shape.rank != 4 || p->block == 1)
        return false;
    if (((const struct ph_axis_attributes *)node->attributes)->axis != 1) return false;
    for (int i = 0; i + 1 < node->input_count; i++)
        if (p->graph->values[node->inputs[i]].shape.dims[1] % p->block) return false;
    for (int i = 0; i < node->input_count; i++)
        if (p->graph->values[node->inputs[i]].data) return false;
    return true;
}

enum ph_layout_kind ph_value_kind(const struct ph_planner *p, int value) {
    int n = p->graph->values[value].node;
    if (n == PH_ABSENT || p->graph->values[value].shape.rank != 4) return PH_LAYOUT_PLAIN;
    if (p->slice_of[value] != PH_ABSENT || ph_is_channel_concat(p, &p->graph->nodes[n])) return PH_LAYOUT_BLOCKED;
    return p->forward[n] ? p->forward[n]->output : PH_LAYOUT_PLAIN;
}

enum ph_layout_kind ph_gradient_kind(const struct ph_planner *p, int value) {
    int n = p->graph->values[value].node;
    if (n == PH_ABSENT || p->graph->values[value].shape.rank != 4) return PH_LAYOUT_PLAIN;
    if (ph_is_channel_concat(p, &p->graph->nodes[n])) return PH_LAYOUT_BLOCKED;
    return p->backward[n] ? p->backward[n]->output : PH_LAYOUT_PLAIN;
}

bool ph_is_blocked_sum(const struct ph_planner *p, const struct ph_node *node) {
    if (node->operation != &ph_operation_add || p->block == 1 || node->inputs[0] == node->inputs[1]) return false;
    const struct ph_value *values = p->graph->values;
    for (int i = 0; i < 2; i++)
        if (values[node->inputs[i]].data || !ph_shape_equal(&values[node->inputs[i]].shape, &values[node->outputs[0]].shape) ||
            ph_gradient_kind(p, node->inputs[i]) != PH_LAYOUT_BLOCKED)
            return false;
    return ph_gradient_kind(p, node->outputs[0]) == PH_LAYOUT_BLOCKED;
}

bool ph_is_blocked_relu(const struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    return node->operation == &ph_operation_relu && p->block > 1 && p->readers[node->inputs[0]] == 1 &&
           ph_gradient_kind(p, node->inputs[0]) == PH_LAYOUT_BLOCKED &&
           ph_gradient_kind(p, node->outputs[0]) == PH_LAYOUT_BLOCKED;
}

void ph_slices_find(struct ph_planner *p) {
    const struct ph_graph *graph = p->graph;
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        if (!ph_is_channel_concat(p, node)) continue;
        for (int i = 0; i < node->input_count; i++) {
            int input = node->inputs[i], producer = graph->values[input].node;
            bool made_blocked = producer != PH_ABSENT && (ph_is_channel_concat(p, &graph->nodes[producer]) ||
                (p->forward[producer] && p->forward[producer]->output == PH_LAYOUT_BLOCKED));
            bool repeated = false;
            for (int j = 0; j < node->input_count; j++) repeated |= j != i && node->inputs[j] == input;
            if (made_blocked && !repeated && p->slice_of[input] == PH_ABSENT) p->slice_of[input] = n;
        }
    }
}

/* Raises both to the larger; whether either changed. */
static bool halos_level(int *a, int *b) {
    bool differ = *a != *b;
    *a = *b = PH_MAX(*a, *b);
    return differ;
}

/* One halo, the largest, for a concatenation and what is made inside it, and for gradients that may share one memory, of a
 * sum, of a ReLU, or that one step reads. Whether any changed: concatenations of concatenations take several rounds. */
static bool halos_spread(struct ph_planner *p) {
    bool changed = false;
    for (int n = p->graph->node_count - 1; n >= 0; n--) {
        const struct ph_node *node = &p->graph->nodes[n];
        if (ph_node_is_led(p, n)) {
            int led = node->outputs[0], leading = p->graph->nodes[p->lead[n]].outputs[0];
            changed |= halos_level(&p->backward_halo[led], &p->backward_halo[leading]);
        }
        bool concat = ph_is_channel_concat(p, node), sum = ph_is_blocked_sum(p, node) || ph_is_blocked_relu(p, n);
        for (int direction = 0; direction < 2; direction++) {
            int *halo = direction ? p->backward_halo : p->forward_halo, largest = halo[node->outputs[0]];
            if (!concat && !(sum && direction)) continue;
            for (int i = 0; i < node->input_count; i++)
                if (sum || p->slice_of[node->inputs[i]] == n) largest = PH_MAX(largest, halo[node->inputs[i]]);
            changed |= halo[node->outputs[0]] != largest;
            halo[node->outputs[0]] = largest;
            for (int i = 0; i < node->input_count; i++)
                if (sum || p->slice_of[node->inputs[i]] == n) {
                    changed |= halo[node->inputs[i]] != largest;
                    halo[node->inputs[i]] = largest;
                }
        }
    }
    return changed;
}

void ph_halos_find(struct ph_planner *p) {
    for (int n = 0; n < p->graph->node_count; n++) {
        const struct ph_node *node = &p->graph->nodes[n];
        for (int backward = 0; backward < 2; backward++) {
            const struct ph_kernel *kernel = backward ? p->backward[n] : p->forward[n];
            if (!kernel || !kernel->halo) continue;
            struct ph_kernel_query query = ph_query_make(p, node, backward);
            int *halo = backward ? &p->backward_halo[node->outputs[0]] : &p->forward_halo[node->inputs[0]];
            *halo = PH_MAX(*halo, kernel->halo(&query));
        }
    }
    while (halos_spread(p)) {}
}
