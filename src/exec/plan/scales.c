/* Normalisations that the backward step behind them makes: a kernel that knows how multiplies the gradient that it writes
 * channel by channel, which spares a pass over it. */
#include "exec/plan/planner.h"
#include <string.h>

/* A convolution that multiplies each channel by a number, as batch normalisation that no other could take up, for one
 * reader. */
static bool is_scale(const struct ph_planner *p, int n) {
    const struct ph_node *node = &p->graph->nodes[n];
    if (node->operation != &ph_operation_convolution || !p->graph->values[node->inputs[1]].data) return false;
    const struct ph_convolution_attributes *a = node->attributes;
    const struct ph_shape *in = &p->graph->values[node->inputs[0]].shape, *out = &p->graph->values[node->outputs[0]].shape;
    for (int i = 0; i < PH_SPATIAL; i++)
        if (a->kernel[i] != 1 || a->stride[i] != 1) return false;
    return a->groups == in->dims[1] && ph_shape_equal(in, out) && p->readers[node->outputs[0]] == 1;
}

ph_status ph_scale_absorb(struct ph_planner *p, int n, bool *absorbed) {
    struct ph_plan *plan = p->plan;
    const struct ph_graph *graph = p->graph;
    const struct ph_node *node = &graph->nodes[n];
    if (!is_scale(p, n) || !ph_has_gradient(p, node->outputs[0])) return PH_OK;
    int input = node->inputs[0], output = node->outputs[0], gradient = plan->gradient[output];
    bool rectified = ((const struct ph_convolution_attributes *)node->attributes)->relu, before;
    struct ph_step *step = &plan->steps[plan->step_count - 1];
    if (!p->backward[n] || ph_gradient_kind(p, input) != PH_LAYOUT_BLOCKED || output == p->loss || !p->needs[input] ||
        plan->step_count == plan->forward_count || step->kind != PH_STEP_KERNEL || !step->kernel->scales ||
        graph->nodes[step->node].inputs[0] != output || step->input_gradients[0] != gradient || step->accumulate[0] ||
        plan->storages[gradient].parent != PH_ABSENT || (rectified && !ph_gate_put(graph, plan, output)))
        return PH_OK;
    int64_t channels = graph->values[input].shape.dims[1], lanes = (channels + p->block - 1) / p->block * p->block;
    float *scale = ph_pool_alloc(&plan->pool, (size_t)lanes * sizeof *scale);
    if (!scale) return ph_fail_memory(p->context);
    memset(scale, 0, (size_t)lanes * sizeof *scale);
    memcpy(scale, graph->values[node->inputs[1]].data, (size_t)channels * sizeof *scale);
    PH_TRY(ph_gradient_make(p, input));
    PH_TRY(ph_gradient_write(p, input, &before));
    step = &plan->steps[plan->step_count - 1];
    step->scale = scale;
    step->accumulate[0] = before;
    step->input_gradients[0] = plan->gradient[input];
    ph_storage_touch(p, plan->gradient[input], plan->step_count - 1);
    plan->storages[gradient].first = INT32_MAX; /* needed no more */
    plan->storages[gradient].last = -1;
    *absorbed = true;
    return PH_OK;
}
