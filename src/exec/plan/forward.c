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

ph_status ph_forward_add(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    const struct ph_sum *sum = &p->sums[n];
    if (sum->within || ph_node_is_led(p, n)) return PH_OK;
    if (sum->convolution != PH_ABSENT) return forward_step(p, sum->convolution, sum);
    if (node->operation->is_view) {
        int in;
        PH_TRY(ph_value_in(p, node->inputs[0], PH_LAYOUT_PLAIN, false, n, &in));
        p->plan->home[node->outputs[0]] = ph_storage_alias(p, in, &p->graph->values[node->outputs[0]].shape, 0, false);
        return p->plan->home[node->outputs[0]] == PH_ABSENT ? ph_fail_memory(p->context) : PH_OK;
    }
    if (ph_is_channel_concat(p, node)) {
        PH_TRY(ph_home_make(p, node->outputs[0]));
        int64_t channel = 0;
        int outer = p->plan->home[node->outputs[0]];
        for (int i = 0; i < node->input_count; i++) {
            const struct ph_shape *shape = &p->graph->values[node->inputs[i]].shape;
            if (p->slice_of[node->inputs[i]] != n) {
                size_t offset = (size_t)(channel / p->block * p->plan->storages[outer].layout.plane);
                int slice = ph_storage_alias(p, outer, shape, offset, true);
                if (slice == PH_ABSENT) return ph_fail_memory(p->context);
                PH_TRY(ph_conversion_add(p, false, n, p->plan->home[node->inputs[i]], slice, false));
            }
            channel += shape->dims[1];
        }
        return PH_OK;
    }
    return forward_step(p, n, NULL);
}
