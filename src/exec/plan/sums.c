/* Sums that convolutions make. A convolution makes the sum behind it, and the ReLU behind that, where its kernel can and
 * nothing else reads what it leaves out. */
#include "exec/plan/planner.h"

static bool sums = true;

void ph_plan_sums(bool on) { sums = on; }

/* The node that reads the value, if it is the only reader and would not miss it in its backward; else PH_ABSENT. */
static int sole_reader(const struct ph_planner *p, int value) {
    int n = p->last_use[value];
    return p->readers[value] == 1 && !p->kept[value] && !(ph_backward_reads(p, n) & PH_READS_INPUTS) ? n : PH_ABSENT;
}

/* The convolution that makes the value and can make its sum with another in place of it; PH_ABSENT: there is none. */
static int adder_of(const struct ph_planner *p, int value) {
    int n = p->graph->values[value].node;
    if (n == PH_ABSENT || !p->forward[n] || !p->forward[n]->adds || p->lead[n] != PH_ABSENT ||
        sole_reader(p, value) == PH_ABSENT)
        return PH_ABSENT;
    bool rectified = ((const struct ph_convolution_attributes *)p->graph->nodes[n].attributes)->relu;
    return rectified || ph_backward_reads(p, n) & PH_READS_OUTPUTS ? PH_ABSENT : n;
}

/* Both operands made blocked, one value each, of the sum's own shape. */
static bool is_plain_sum(const struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    const struct ph_value *values = p->graph->values;
    if (node->operation != &ph_operation_add || p->forward[n]->output != PH_LAYOUT_BLOCKED ||
        ph_backward_reads(p, n) & PH_READS_OUTPUTS)
        return false;
    for (int i = 0; i < 2; i++)
        if (values[node->inputs[i]].data || ph_value_kind(p, node->inputs[i]) != PH_LAYOUT_BLOCKED ||
            !ph_shape_equal(&values[node->inputs[i]].shape, &values[node->outputs[0]].shape))
            return false;
    return node->inputs[0] != node->inputs[1];
}

void ph_sums_find(struct ph_planner *p) {
    for (int n = 0; n < p->graph->node_count; n++) {
        const struct ph_node *node = &p->graph->nodes[n];
        if (!sums || !is_plain_sum(p, n)) continue;
        int adder = PH_MAX(adder_of(p, node->inputs[0]), adder_of(p, node->inputs[1]));
        if (adder == PH_ABSENT) continue;
        p->sums[n] = (struct ph_sum){.convolution = adder, .made = node->outputs[0]};
        p->sums[adder].within = true;
        int reader = sole_reader(p, node->outputs[0]);
        if (reader == PH_ABSENT || p->graph->nodes[reader].operation != &ph_operation_relu ||
            p->forward[reader]->output != PH_LAYOUT_BLOCKED)
            continue;
        p->sums[n].made = p->graph->nodes[reader].outputs[0];
        p->sums[reader].within = true;
    }
}
