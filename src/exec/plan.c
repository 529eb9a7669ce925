/* From a graph to a straight line of steps.
 *
 * Every node gets a kernel for each direction. A kernel wants its operands plain or blocked; where a tensor lies in the other
 * layout, a conversion is put in front. The first to write a gradient overwrites, later ones add. Where kernels can, one step
 * does what several nodes say. Memory is placed last, by the spans of steps that touch it. This file is the order in which all
 * that is decided; each decision has a file of its own in plan/, see planner.h. */
#include "exec/plan/planner.h"

/* A view of the graph in which every tensor has one item. */
static bool item_make(struct ph_planner *p) {
    p->item = *p->graph;
    p->item.values = ph_pool_copy(&p->pool, p->graph->values, (size_t)p->graph->value_count * sizeof *p->item.values);
    for (int v = 0; v < p->graph->value_count && p->item.values; v++)
        if (!p->item.values[v].data && p->item.values[v].shape.rank > 1) p->item.values[v].shape.dims[0] = 1;
    return p->item.values;
}

static int *absent_list(struct ph_pool *pool, size_t count) {
    int *list = ph_pool_alloc(pool, count * sizeof *list);
    for (size_t i = 0; i < count && list; i++) list[i] = PH_ABSENT;
    return list;
}

/* The lists of what is to be found out; false when memory ran out. */
static bool lists_make(struct ph_planner *p) {
    struct ph_pool *pool = &p->pool;
    size_t values = (size_t)p->graph->value_count, nodes = (size_t)p->graph->node_count;
    p->keys = ph_pool_alloc(pool, 2 * nodes * sizeof *p->keys);
    p->needs = ph_pool_alloc(pool, values * sizeof *p->needs);
    p->forward = ph_pool_alloc(pool, nodes * sizeof *p->forward);
    p->backward = ph_pool_alloc(pool, nodes * sizeof *p->backward);
    p->forward_halo = ph_pool_alloc(pool, values * sizeof *p->forward_halo);
    p->backward_halo = ph_pool_alloc(pool, values * sizeof *p->backward_halo);
    p->last_use = absent_list(pool, values);
    p->readers = ph_pool_alloc(pool, values * sizeof *p->readers);
    p->kept = ph_pool_alloc(pool, values * sizeof *p->kept);
    p->sums = ph_pool_alloc(pool, nodes * sizeof *p->sums);
    for (size_t n = 0; n < nodes && p->sums; n++) p->sums[n].convolution = PH_ABSENT;
    p->lead = absent_list(pool, nodes);
    p->slice_of = absent_list(pool, values);
    p->other = absent_list(pool, values);
    p->saved = absent_list(pool, nodes);
    p->plain_constant = absent_list(pool, values);
    return p->keys && p->needs && p->forward && p->backward && p->forward_halo && p->backward_halo && p->last_use &&
           p->readers && p->kept && p->sums && p->lead && p->slice_of && p->other && p->saved && p->plain_constant;
}

static bool plan_lists_make(const struct ph_graph *graph, struct ph_plan *plan) {
    plan->home = absent_list(&plan->pool, (size_t)graph->value_count);
    plan->gradient = absent_list(&plan->pool, (size_t)graph->value_count);
    plan->tap = absent_list(&plan->pool, (size_t)graph->value_count);
    return plan->home && plan->gradient && plan->tap;
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

ph_status ph_plan_create(const struct ph_graph *graph, const struct ph_backend *backend, const int *taps, int tap_count,
                         int loss, const int *parameters, int parameter_count, bool whole, struct ph_plan *plan) {
    *plan = (struct ph_plan){0};
    struct ph_planner p = {.graph = graph, .plan = plan, .context = graph->context, .backend = backend->name, .loss = loss,
        .halves = graph->context->precision == PH_FP16 && backend->precisions &&
            backend->precisions(graph->context) >> PH_FP16 & 1,
        .profile = backend->tunes ? graph->context->profile : NULL};
    p.kernels = backend->kernels(graph->context, &p.block);
    ph_backend_level(backend, graph->context, p.level, sizeof p.level);
    ph_status status = PH_OK;
    if (!plan_lists_make(graph, plan) || !lists_make(&p) || !item_make(&p)) status = ph_fail_memory(graph->context);
    if (!status) status = plan_steps(&p, taps, tap_count, parameters, parameter_count, whole);
    ph_free(p.written);
    ph_pool_finish(&p.pool);
    if (status) ph_plan_finish(plan);
    return status;
}

void ph_plan_finish(struct ph_plan *plan) {
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].packed && plan->steps[i].kernel->unpack) plan->steps[i].kernel->unpack(plan->steps[i].packed);
    ph_pool_finish(&plan->pool);
    ph_free(plan->storages);
    ph_free(plan->steps);
    *plan = (struct ph_plan){0};
}
