/* From a graph to a straight line of steps.
 *
 * Every node gets a kernel for each direction, first come of the backend's ordered list, or the one that a profile names
 * (profile.h). A kernel wants its operands plain or blocked; where a tensor lies in the other layout, a conversion is put in
 * front. A gradient lives in the layout that the kernel which reads it (its producer's backward) wants; the first to write it
 * overwrites, later ones add.
 * A convolution makes the sum behind it, and the ReLU behind that, where its kernel can and nothing else reads what it leaves
 * out. Convolutions of one input are one step, where their kernels can join them.
 * Views share memory with what they view; inputs of a concatenation are made in place in its slices. Memory is placed
 * last, by the spans of steps that touch it. */
#include "exec/plan/planner.h"
#include <string.h>

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static int *absent_list(size_t count) {
    int *list = ph_alloc_array(count, sizeof *list);
    for (size_t i = 0; i < count && list; i++) list[i] = PH_ABSENT;
    return list;
}

static ph_status plan_steps(struct ph_planner *p, const int *taps, int tap_count, const int *parameters, int parameter_count,
                            bool whole) {
    const struct ph_graph *graph = p->graph;
    struct ph_plan *plan = p->plan;
    PH_TRY(ph_needs_mark(p, parameters, parameter_count));
    for (int i = 0; i < tap_count; i++) p->kept[taps[i]] = true;
    for (int i = 0; i < parameter_count; i++) p->kept[parameters[i]] = true;
    if (p->loss != PH_ABSENT) p->kept[p->loss] = true;
    ph_readers_count(p);
    PH_TRY(ph_kernels_choose(p));
    ph_slices_find(p);
    ph_joins_find(p);
    ph_halos_find(p);
    ph_sums_find(p);
    for (int v = 0; v < graph->value_count; v++) {
        if (graph->values[v].node != PH_ABSENT || graph->values[v].data) continue;
        PH_TRY(ph_home_make(p, v));
        ph_storage_keep(p, plan->home[v]);
    }
    for (int n = 0; n < graph->node_count; n++) PH_TRY(ph_forward_add(p, n));
    for (int i = 0; i < tap_count; i++)
        PH_TRY(ph_value_in(p, taps[i], PH_LAYOUT_PLAIN, false, graph->values[taps[i]].node, &plan->tap[taps[i]]));
    plan->forward_count = plan->step_count;
    if (p->loss != PH_ABSENT) {
        bool before;
        PH_TRY(ph_gradient_make(p, p->loss));
        PH_TRY(ph_gradient_write(p, p->loss, &before));
        ph_storage_keep(p, plan->gradient[p->loss]); /* holds ones, written once */
        for (int n = graph->node_count - 1; n >= 0; n--) PH_TRY(ph_backward_add(p, n));
    }
    /* Taps and gradients of parameters are read after the run. */
    for (int i = 0; i < tap_count; i++) ph_storage_touch(p, plan->tap[taps[i]], plan->step_count);
    for (int i = 0; i < parameter_count; i++)
        if (plan->gradient[parameters[i]] != PH_ABSENT) ph_storage_touch(p, plan->gradient[parameters[i]], plan->step_count);
    PH_TRY(ph_items_find(graph, plan, whole));
    if (p->halves) PH_TRY(ph_halves_mark(p));
    return ph_arena_place(p);
}

/* A view of the graph in which every tensor has one item. */
static ph_status item_make(struct ph_planner *p) {
    p->item = *p->graph;
    p->item.values = ph_alloc_array((size_t)p->graph->value_count + 1, sizeof *p->item.values);
    if (!p->item.values) return ph_fail_memory(p->context);
    for (int v = 0; v < p->graph->value_count; v++) {
        p->item.values[v] = p->graph->values[v];
        if (!p->item.values[v].data && p->item.values[v].shape.rank > 1) p->item.values[v].shape.dims[0] = 1;
    }
    return PH_OK;
}

ph_status ph_plan_create(const struct ph_graph *graph, const struct ph_backend *backend, const int *taps, int tap_count,
                         int loss, const int *parameters, int parameter_count, bool whole, struct ph_plan *plan) {
    *plan = (struct ph_plan){0};
    size_t values = (size_t)graph->value_count + 1, nodes = (size_t)graph->node_count + 1;
    struct ph_planner p = {.graph = graph, .plan = plan, .context = graph->context, .backend = backend->name,
        .loss = loss, .halves = graph->context->precision == PH_FP16 && backend->precisions &&
            backend->precisions(graph->context) >> PH_FP16 & 1,
        .needs = ph_alloc_array(values, sizeof *p.needs), .forward = ph_alloc_array(nodes, sizeof *p.forward),
        .backward = ph_alloc_array(nodes, sizeof *p.backward), .keys = ph_alloc_array(2 * nodes, sizeof *p.keys),
        .profile = backend->tunes ? graph->context->profile : NULL,
        .forward_halo = ph_alloc_array(values, sizeof *p.forward_halo),
        .backward_halo = ph_alloc_array(values, sizeof *p.backward_halo),
        .readers = ph_alloc_array(values, sizeof *p.readers), .kept = ph_alloc_array(values, sizeof *p.kept),
        .sums = ph_alloc_array(nodes, sizeof *p.sums), .lead = absent_list(nodes), .last_use = absent_list(values),
        .slice_of = absent_list(values), .other = absent_list(values), .saved = absent_list(nodes),
        .plain_constant = absent_list(values)};
    p.kernels = backend->kernels(graph->context, &p.block);
    ph_backend_level(backend, graph->context, p.level, sizeof p.level);
    plan->home = absent_list(values);
    plan->gradient = absent_list(values);
    plan->tap = absent_list(values);
    ph_status status = PH_OK;
    if (!p.needs || !p.forward || !p.backward || !p.keys || !p.forward_halo || !p.backward_halo || !p.readers || !p.kept ||
        !p.sums || !p.lead || !p.last_use || !p.slice_of || !p.other || !p.saved || !p.plain_constant || !plan->home ||
        !plan->gradient || !plan->tap)
        status = ph_fail_memory(graph->context);
    for (int n = 0; n < graph->node_count && p.sums; n++) p.sums[n].convolution = PH_ABSENT;
    if (!status) status = item_make(&p);
    if (!status) status = plan_steps(&p, taps, tap_count, parameters, parameter_count, whole);
    ph_free(p.item.values);
    ph_free(p.needs);
    ph_free(p.forward);
    ph_free(p.backward);
    ph_free(p.keys);
    ph_free(p.forward_halo);
    ph_free(p.backward_halo);
    ph_free(p.readers);
    ph_free(p.kept);
    ph_free(p.sums);
    ph_free(p.lead);
    ph_free(p.last_use);
    ph_free(p.slice_of);
    ph_free(p.other);
    ph_free(p.saved);
    ph_free(p.plain_constant);
    ph_free(p.written);
    if (status) ph_plan_finish(plan);
    return status;
}

void ph_plan_finish(struct ph_plan *plan) {
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].packed && plan->steps[i].kernel->unpack) plan->steps[i].kernel->unpack(plan->steps[i].packed);
    ph_pool_finish(&plan->pool);
    ph_free(plan->storages);
    ph_free(plan->steps);
    ph_free(plan->home);
    ph_free(plan->gradient);
    ph_free(plan->tap);
    *plan = (struct ph_plan){0};
}
