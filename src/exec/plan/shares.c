/* Gradients that take over the memory of others: those of a sum's inputs its own, that of a ReLU's input its output's. */
#include "exec/plan/planner.h"

/* The node in whose turn the backward of the one that makes the value comes; PH_ABSENT: none makes it. */
static int turn_of(const struct ph_planner *p, int value) {
    int n = p->graph->values[value].node;
    return n != PH_ABSENT && ph_node_is_led(p, n) ? p->lead[n] : n;
}

/* Whether the backward of the node that makes `value` only reads the value's gradient, and is over before that of `other` is
 * read, or has been added to by any other node but `sum`. */
static bool reads_in_peace(const struct ph_planner *p, int value, int other, int sum) {
    int maker = turn_of(p, value);
    if (maker == PH_ABSENT || p->last_use[value] != sum || turn_of(p, other) >= maker) return false;
    const struct ph_node *node = &p->graph->nodes[p->graph->values[value].node];
    if (node->operation != &ph_operation_convolution || ((const struct ph_convolution_attributes *)node->attributes)->relu)
        return false;
    for (int n = 0; n < sum; n++)
        for (int i = 0; i < p->graph->nodes[n].input_count; i++) {
            int input = p->graph->nodes[n].inputs[i];
            if (input == value || (input == other && n >= maker)) return false;
        }
    return true;
}

ph_status ph_sum_gradients_share(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    if (!ph_has_gradient(p, node->outputs[0])) return PH_OK;
    int whole = p->plan->gradient[node->outputs[0]], order[2] = {node->inputs[0], node->inputs[1]};
    /* The input whose turn comes first is the one that may be read in peace. */
    if (turn_of(p, order[0]) < turn_of(p, order[1])) order[0] = node->inputs[1], order[1] = node->inputs[0];
    bool taken = false; /* by the other input, which will be added to */
    for (int i = 1; i >= 0; i--) {
        int input = order[i], *gradient = &p->plan->gradient[input];
        if (!p->needs[input]) continue;
        bool fresh = *gradient == PH_ABSENT && ph_gradient_slice(p, input) == PH_ABSENT && node->outputs[0] != p->loss;
        if (fresh && (!taken || reads_in_peace(p, input, order[1], n))) {
            *gradient = ph_storage_alias(p, whole, &p->graph->values[input].shape, 0, true);
            if (*gradient == PH_ABSENT) return ph_fail_memory(p->context);
            taken = true;
            continue;
        }
        bool before;
        PH_TRY(ph_gradient_make(p, input));
        PH_TRY(ph_gradient_write(p, input, &before));
        PH_TRY(ph_conversion_add(p, true, n, whole, *gradient, before));
    }
    return PH_OK;
}

bool ph_relu_gradients_share(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    int input = node->inputs[0], output = node->outputs[0];
    if (!ph_is_blocked_relu(p, n) || !ph_has_gradient(p, output) || output == p->loss || !p->needs[input] ||
        p->plan->gradient[input] != PH_ABSENT || ph_gradient_slice(p, input) != PH_ABSENT ||
        !ph_gate_put(p->graph, p->plan, output))
        return false;
    p->plan->gradient[input] = ph_storage_alias(p, p->plan->gradient[output], &p->graph->values[input].shape, 0, true);
    return p->plan->gradient[input] != PH_ABSENT;
}
