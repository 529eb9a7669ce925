/* The steps that go forward. Views share memory with what they view, inputs of a concatenation are made in its slices, and
 * what another node's step makes has none of its own. */
#include "exec/plan/planner.h"

static ph_status saved_make(struct ph_planner *p, int n) {
    const struct ph_kernel *kernel = p->backward[n];
    if (!kernel || !kernel->saved) return PH_OK;
    const struct ph_node *node = &p->graph->nodes[n];
    struct ph_kernel_query query = ph_query_make(p, node, true);
    int64_t items = p->graph->values[node->outputs[0]].shape.dims[0];
    p->saved[n] = ph_storage_make(p, &PH_SHAPE(items, (int64_t)kernel->saved(&query)), PH_LAYOUT_PLAIN, 0);
    return p->saved[n] == PH_ABSENT ? ph_fail_memory(p->context) : PH_OK;
}

/* The step that makes the node's outputs, those of all that it leads, or with a sum what that says. */
static ph_status forward_step(struct ph_planner *p, int n, const struct ph_sum *sum) {
    const struct ph_node *node = &p->graph->nodes[n];
    struct ph_step step;
    PH_TRY(saved_make(p, n));
    PH_TRY(ph_step_make(p, n, p->forward[n], false, &step));
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] != PH_ABSENT)
            PH_TRY(ph_value_in(p, node->inputs[i], p->forward[n]->input, false, n, &step.inputs[i]));
    for (int i = 0; i < step.output_count; i++) {
        int made = sum ? sum->made : ph_step_output(p, &step, i);
        PH_TRY(ph_home_make(p, made));
        step.outputs[i] = p->plan->home[made];
    }
    if (sum) {
        int at = p->last_use[node->outputs[0]];
        const int *operands = p->graph->nodes[at].inputs;
        step.made = sum->made;
        step.summand = p->plan->home[operands[operands[0] == node->outputs[0]]];
    }
    PH_TRY(ph_step_pack(p, &step));
    return ph_step_add(p, step);
}

static ph_status view_forward(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    int in, *home = &p->plan->home[node->outputs[0]];
    PH_TRY(ph_value_in(p, node->inputs[0], PH_LAYOUT_PLAIN, false, n, &in));
    *home = ph_storage_alias(p, in, &p->graph->values[node->outputs[0]].shape, 0, false);
    return *home == PH_ABSENT ? ph_fail_memory(p->context) : PH_OK;
}

static ph_status concat_forward(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    PH_TRY(ph_home_make(p, node->outputs[0]));
    for (int i = 0; i < node->input_count; i++) {
        if (p->slice_of[node->inputs[i]] == n) continue;
        int slice = ph_slice_make(p, p->plan->home[node->outputs[0]], node, i);
        if (slice == PH_ABSENT) return ph_fail_memory(p->context);
        PH_TRY(ph_conversion_add(p, false, n, p->plan->home[node->inputs[i]], slice, false));
    }
    return PH_OK;
}

ph_status ph_forward_add(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    const struct ph_sum *sum = &p->sums[n];
    if (sum->within || ph_node_is_led(p, n)) return PH_OK;
    if (sum->convolution != PH_ABSENT) return forward_step(p, sum->convolution, sum);
    if (node->operation->is_view) return view_forward(p, n);
    if (ph_is_channel_concat(p, node)) return concat_forward(p, n);
    return forward_step(p, n, NULL);
}
