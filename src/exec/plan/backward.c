/* The steps that go backward. */
#include "exec/plan/planner.h"

/* Whatever no consumer has written must not be read: a concatenation with some unused part, a loss tap. */
static ph_status concat_backward(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    if (!ph_has_gradient(p, node->outputs[0])) return PH_OK;
    for (int i = 0; i < node->input_count; i++) {
        int input = node->inputs[i];
        if (!p->needs[input]) continue;
        bool before;
        PH_TRY(ph_gradient_make(p, input));
        PH_TRY(ph_gradient_write(p, input, &before));
        if (ph_gradient_slice(p, input) == n) continue;
        int slice = ph_slice_make(p, p->plan->gradient[node->outputs[0]], node, i);
        if (slice == PH_ABSENT) return ph_fail_memory(p->context);
        PH_TRY(ph_conversion_add(p, true, n, slice, p->plan->gradient[input], before));
    }
    return PH_OK;
}

static ph_status view_backward(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    int input = node->inputs[0], output = node->outputs[0];
    if (!ph_has_gradient(p, output) || !p->needs[input]) return PH_OK;
    bool before;
    PH_TRY(ph_gradient_make(p, input));
    PH_TRY(ph_gradient_write(p, input, &before));
    /* The output's gradient, seen in the input's shape. */
    int alias = ph_storage_alias(p, p->plan->gradient[output], &p->graph->values[input].shape, 0, false);
    if (alias == PH_ABSENT) return ph_fail_memory(p->context);
    return ph_conversion_add(p, true, n, alias, p->plan->gradient[input], before);
}

/* Where the step finds the operands, the outputs and their gradients that it reads. */
static ph_status step_reads(struct ph_planner *p, struct ph_step *step) {
    const struct ph_graph *graph = p->graph;
    int n = step->node;
    const struct ph_node *node = &graph->nodes[n];
    const struct ph_kernel *kernel = step->kernel;
    unsigned reads = ph_backward_reads(p, n);
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] != PH_ABSENT && (reads & PH_READS_INPUTS || graph->values[node->inputs[i]].data))
            PH_TRY(ph_value_in(p, node->inputs[i], kernel->input, true, n, &step->inputs[i]));
    for (int i = 0; i < step->output_count; i++) {
        int output = ph_step_output(p, step, i);
        if (ph_has_gradient(p, output)) step->output_gradients[i] = p->plan->gradient[output];
        if (!(ph_backward_reads(p, graph->values[output].node) & PH_READS_OUTPUTS)) continue;
        if (kernel->gated && ph_gate_put(graph, p->plan, output)) continue;
        PH_TRY(ph_value_in(p, output, kernel->output, true, n, &step->outputs[i]));
    }
    return PH_OK;
}

/* Gradients that live in the other layout are written aside and brought over afterwards. */
struct after { struct { int from, to; bool add; } list[PH_MAX_OUTPUTS]; int count; };

/* Where the step puts the gradient of input i, and whether it adds. */
static ph_status step_writes(struct ph_planner *p, struct ph_step *step, int i, struct after *after) {
    const struct ph_node *node = &p->graph->nodes[step->node];
    int input = node->inputs[i];
    const struct ph_shape *shape = &p->graph->values[input].shape;
    enum ph_layout_kind kind = shape->rank == 4 ? step->kernel->input : PH_LAYOUT_PLAIN;
    bool before, repeated = false;
    PH_TRY(ph_gradient_make(p, input));
    PH_TRY(ph_gradient_write(p, input, &before));
    int target = p->plan->gradient[input];
    for (int j = 0; j < node->input_count; j++) repeated |= j != i && node->inputs[j] == input;
    if (ph_storage_kind(p, target) != kind) {
        if (after->count == PH_COUNT(after->list))
            return ph_fail(p->context, PH_ERROR_UNSUPPORTED, "node '%s' has too many inputs", node->name);
        int aside = ph_storage_make(p, shape, kind, 0);
        if (aside == PH_ABSENT) return ph_fail_memory(p->context);
        after->list[after->count].from = aside;
        after->list[after->count].to = target;
        after->list[after->count++].add = before;
        target = aside;
        before = false;
    } else if (repeated && !before) {
        /* The same value twice: both shares are added to zeros. */
        PH_TRY(ph_step_add(p, (struct ph_step){.kind = PH_STEP_ZERO, .backward = true, .node = step->node, .from = PH_ABSENT,
                                               .to = target}));
        before = true;
    }
    step->input_gradients[i] = target;
    step->accumulate[i] = before;
    return PH_OK;
}

static ph_status backward_step(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    struct ph_step step;
    PH_TRY(ph_step_make(p, n, p->backward[n], true, &step));
    PH_TRY(step_reads(p, &step));
    struct after after = {.count = 0};
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] != PH_ABSENT && p->needs[node->inputs[i]] && ph_passes_gradient(node->operation, i))
            PH_TRY(step_writes(p, &step, i, &after));
    PH_TRY(ph_step_pack(p, &step));
    PH_TRY(ph_step_add(p, step));
    for (int i = 0; i < after.count; i++)
        PH_TRY(ph_conversion_add(p, true, n, after.list[i].from, after.list[i].to, after.list[i].add));
    return PH_OK;
}

ph_status ph_backward_add(struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    if (ph_node_is_led(p, n)) return PH_OK;
    if (node->operation->is_view) return view_backward(p, n);
    if (ph_is_channel_concat(p, node)) return concat_backward(p, n);
    if (ph_is_blocked_sum(p, node)) return ph_sum_gradients_share(p, n);
    if (ph_relu_gradients_share(p, n)) return PH_OK;
    bool absorbed = false, any = false;
    PH_TRY(ph_scale_absorb(p, n, &absorbed));
    if (absorbed) return PH_OK;
    for (int i = 0; i < node->output_count; i++) any |= ph_has_gradient(p, node->outputs[i]);
    return any && p->backward[n] ? backward_step(p, n) : PH_OK;
}
