/* What each step of a plan is: a kernel with storages for its operands, constants as the kernel wants them and the scratch that
 * it needs, or a copy from one storage to another. */
#include "exec/plan/planner.h"

/* The nodes that the step of a leading one stands for. */
static ph_status joined_list(struct ph_planner *p, int lead, struct ph_step *step) {
    const struct ph_graph *graph = p->graph;
    step->output_count = 0;
    step->joined = ph_pool_alloc(&p->plan->pool, PH_MOST_JOINED * sizeof *step->joined);
    for (int n = lead; n < graph->node_count && step->joined; n++)
        if (p->lead[n] == lead) step->joined[step->output_count++] = &graph->nodes[n];
    return step->joined ? PH_OK : ph_fail_memory(p->context);
}

ph_status ph_step_make(struct ph_planner *p, int n, const struct ph_kernel *kernel, bool backward, struct ph_step *step) {
    const struct ph_node *node = &p->graph->nodes[n];
    *step = (struct ph_step){.kind = PH_STEP_KERNEL, .backward = backward, .kernel = kernel, .node = n,
        .key = p->keys[2 * n + backward], .from = PH_ABSENT, .to = PH_ABSENT, .gate = PH_ABSENT,
        .saved = p->saved[n], .made = PH_ABSENT, .summand = PH_ABSENT, .output_count = node->output_count};
    if (p->lead[n] != PH_ABSENT) PH_TRY(joined_list(p, n, step));
    size_t in = (size_t)node->input_count, out = (size_t)step->output_count;
    int *lists = ph_pool_alloc(&p->plan->pool, 2 * (in + out) * sizeof *lists);
    bool *accumulate = ph_pool_alloc(&p->plan->pool, in + 1);
    if (!lists || !accumulate) return ph_fail_memory(p->context);
    for (size_t i = 0; i < 2 * (in + out); i++) lists[i] = PH_ABSENT;
    step->inputs = lists;
    step->input_gradients = lists + in;
    step->outputs = lists + 2 * in;
    step->output_gradients = lists + 2 * in + out;
    step->accumulate = accumulate;
    return PH_OK;
}

int ph_step_output(const struct ph_planner *p, const struct ph_step *step, int i) {
    return step->joined ? step->joined[i]->outputs[0] : p->graph->nodes[step->node].outputs[i];
}

ph_status ph_step_pack(struct ph_planner *p, struct ph_step *step) {
    const struct ph_kernel *kernel = step->kernel;
    struct ph_kernel_query query = ph_query_make(p, &p->graph->nodes[step->node], step->backward);
    query.joined = step->joined;
    query.joined_count = step->joined ? step->output_count : 0;
    if (kernel->scratch) {
        struct ph_kernel_query item = query;
        item.graph = &p->item;
        p->plan->scratch_floats = PH_MAX(p->plan->scratch_floats, kernel->scratch(&query));
        if (kernel->by_item) p->plan->scratch_floats = PH_MAX(p->plan->scratch_floats, kernel->scratch(&item));
        item.threads = 1;
        if (kernel->by_item) p->plan->item_scratch_floats = PH_MAX(p->plan->item_scratch_floats, kernel->scratch(&item));
    }
    if (!kernel->packed_bytes) return PH_OK;
    size_t bytes = kernel->packed_bytes(&query);
    if (!bytes) return PH_OK;
    step->packed = ph_pool_alloc(&p->plan->pool, PH_MAX(bytes, (size_t)8192)); /* large blocks are 64-byte aligned */
    if (!step->packed) return ph_fail_memory(p->context);
    p->plan->constant_bytes += bytes;
    kernel->pack(&query, step->packed);
    return PH_OK;
}

ph_status ph_step_add(struct ph_planner *p, struct ph_step step) {
    struct ph_plan *plan = p->plan;
    if (!ph_grow(&plan->steps, plan->step_count, &plan->step_capacity, sizeof *plan->steps)) return ph_fail_memory(p->context);
    int at = plan->step_count++;
    plan->steps[at] = step;
    if (step.kind != PH_STEP_KERNEL) {
        ph_storage_touch(p, step.from, at);
        ph_storage_touch(p, step.to, at);
        return PH_OK;
    }
    const struct ph_node *node = &p->graph->nodes[step.node];
    for (int i = 0; i < node->input_count; i++) {
        ph_storage_touch(p, step.inputs[i], at);
        ph_storage_touch(p, step.input_gradients[i], at);
    }
    for (int i = 0; i < step.output_count; i++) {
        ph_storage_touch(p, step.outputs[i], at);
        ph_storage_touch(p, step.output_gradients[i], at);
    }
    ph_storage_touch(p, step.saved, at);
    ph_storage_touch(p, step.summand, at);
    return PH_OK;
}

ph_status ph_conversion_add(struct ph_planner *p, bool backward, int n, int from, int to, bool add) {
    return ph_step_add(p, (struct ph_step){.kind = add ? PH_STEP_ADD : PH_STEP_CONVERT, .backward = backward, .node = n,
                                           .from = from, .to = to});
}
