/* Where a ReLU's gradient is cut off. A node that ends in a ReLU lets its output's gradient pass where the output lies
 * between the limits. Doing so on its own costs a pass over gradient and output; instead the step that writes the gradient
 * last does it with what it has in registers, where its kernel knows how. Cutting off twice is cutting off once, so a
 * concatenation's gradient is cut off as a whole where all that is joined comes out of such nodes. */
#include "exec/plan.h"
#include <math.h>

/* Whether the value comes out of nodes that keep it between 0 and one ceiling: its own, or those of all that is joined in
 * it. *ceiling begins as -1. */
static bool is_rectified(const struct ph_graph *graph, int value, float *ceiling) {
    int n = graph->values[value].node;
    if (n == PH_ABSENT) return false;
    const struct ph_node *node = &graph->nodes[n];
    float limit = HUGE_VALF;
    if (node->operation == &ph_operation_concat) {
        for (int i = 0; i < node->input_count; i++)
            if (!is_rectified(graph, node->inputs[i], ceiling)) return false;
        return true;
    }
    if (node->operation == &ph_operation_convolution) {
        const struct ph_convolution_attributes *a = node->attributes;
        if (!a->relu) return false;
        if (a->ceiling != 0) limit = (float)a->ceiling;
    } else if (node->operation != &ph_operation_relu) {
        return false;
    }
    bool first = *ceiling < 0;
    if (first) *ceiling = limit;
    return *ceiling == limit;
}

static bool contains(const struct ph_graph *graph, int whole, int value) {
    if (whole == value) return true;
    int n = graph->values[whole].node;
    if (n == PH_ABSENT || graph->nodes[n].operation != &ph_operation_concat) return false;
    for (int i = 0; i < graph->nodes[n].input_count; i++)
        if (contains(graph, graph->nodes[n].inputs[i], value)) return true;
    return false;
}

/* Whether two storages have memory in common; of slices of a blocked tensor, whether they have channels. */
static bool overlap(const struct ph_plan *plan, int a, int b) {
    if (a == PH_ABSENT || b == PH_ABSENT) return false;
    size_t first[2];
    if (ph_storage_root(plan, a, &first[0]) != ph_storage_root(plan, b, &first[1])) return false;
    int64_t end[2];
    for (int i = 0; i < 2; i++) {
        const struct ph_storage *storage = &plan->storages[i ? b : a];
        const struct ph_layout *layout = &storage->layout;
        if (layout->kind != PH_LAYOUT_BLOCKED) return true;
        end[i] = (int64_t)first[i] + (storage->shape.dims[1] + layout->block - 1) / layout->block * layout->plane;
    }
    return (int64_t)first[0] < end[1] && (int64_t)first[1] < end[0];
}

static bool touches(const struct ph_graph *graph, const struct ph_plan *plan, const struct ph_step *step, int storage) {
    if (step->kind != PH_STEP_KERNEL) return overlap(plan, step->from, storage) || overlap(plan, step->to, storage);
    const struct ph_node *node = &graph->nodes[step->node];
    bool any = false;
    for (int i = 0; i < node->input_count; i++) any |= overlap(plan, step->input_gradients[i], storage);
    for (int i = 0; i < step->output_count; i++) any |= overlap(plan, step->output_gradients[i], storage);
    return any;
}

static bool gates = true;

void ph_plan_gates(bool on) { gates = on; }

bool ph_gate_put(const struct ph_graph *graph, struct ph_plan *plan, int value) {
    int gradient = plan->gradient[value], at = plan->step_count - 1;
    while (at >= plan->forward_count && !touches(graph, plan, &plan->steps[at], gradient)) at--;
    if (!gates || at < plan->forward_count) return false;
    struct ph_step *step = &plan->steps[at];
    if (step->kind != PH_STEP_KERNEL || !step->kernel->gates || step->scale) return false;
    /* It must be the writing of this value's gradient, or of a whole that the value is joined in: where memory is shared
     * with the gradient of another value, others read it that are not to be cut off. */
    int whole = graph->nodes[step->node].inputs[0], written = step->input_gradients[0];
    float ceiling = -1;
    if (whole == PH_ABSENT || written == PH_ABSENT || written != plan->gradient[whole] || !contains(graph, whole, value) ||
        !is_rectified(graph, whole, &ceiling) || plan->storages[plan->home[whole]].layout.kind != PH_LAYOUT_BLOCKED)
        return false;
    step->gate = plan->home[whole];
    step->gate_ceiling = ceiling;
    if (step->kernel->gates_by_output && !step->accumulate[0]) return true;
    struct ph_storage *root = &plan->storages[ph_storage_root(plan, step->gate, NULL)];
    root->last = PH_MAX(root->last, at);
    return true;
}
