/* Where gradients live, and who writes to them first: the first overwrites, later ones add. A gradient lives in the layout that
 * the kernel which reads it (its producer's backward) wants. */
#include "exec/plan/planner.h"
#include <string.h>

int ph_gradient_slice(const struct ph_planner *p, int value) {
    int n = p->slice_of[value];
    if (n == PH_ABSENT || p->last_use[value] != n || ph_gradient_kind(p, value) != PH_LAYOUT_BLOCKED) return PH_ABSENT;
    int whole = p->graph->nodes[n].outputs[0];
    return value != p->loss && whole != p->loss && p->needs[whole] ? n : PH_ABSENT;
}

ph_status ph_gradient_make(struct ph_planner *p, int value) {
    int *gradient = &p->plan->gradient[value];
    if (*gradient != PH_ABSENT) return PH_OK;
    int n = ph_gradient_slice(p, value);
    if (n != PH_ABSENT) {
        const struct ph_node *concat = &p->graph->nodes[n];
        PH_TRY(ph_gradient_make(p, concat->outputs[0]));
        int i = 0;
        while (concat->inputs[i] != value) i++;
        *gradient = ph_slice_make(p, p->plan->gradient[concat->outputs[0]], concat, i);
    } else {
        *gradient = ph_storage_make(p, &p->graph->values[value].shape, ph_gradient_kind(p, value), p->backward_halo[value]);
    }
    return *gradient == PH_ABSENT ? ph_fail_memory(p->context) : PH_OK;
}

ph_status ph_gradient_write(struct ph_planner *p, int value, bool *before) {
    int root = ph_storage_root(p->plan, p->plan->gradient[value], NULL);
    /* A slice is written on its own, not with its whole: keep the mark at the value's storage then. */
    int at = ph_gradient_slice(p, value) != PH_ABSENT ? p->plan->gradient[value] : root;
    int capacity = p->written_capacity;
    if (!ph_grow(&p->written, at, &p->written_capacity, sizeof *p->written)) return ph_fail_memory(p->context);
    memset(p->written + capacity, 0, (size_t)(p->written_capacity - capacity) * sizeof *p->written);
    *before = p->written[at];
    p->written[at] = true;
    return PH_OK;
}

bool ph_has_gradient(const struct ph_planner *p, int value) {
    return value != PH_ABSENT && p->needs[value] && p->plan->gradient[value] != PH_ABSENT;
}
