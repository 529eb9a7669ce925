/* Where values are made, and read: in storages of their own or in slices of a concatenation's, constants outside the arena, and
 * where a kernel wants another layout than a value was made in, in a second storage that a conversion fills. */
#include "exec/plan/planner.h"

ph_status ph_home_make(struct ph_planner *p, int value) {
    int *home = &p->plan->home[value];
    if (*home != PH_ABSENT) return PH_OK;
    if (p->slice_of[value] != PH_ABSENT) {
        const struct ph_node *concat = &p->graph->nodes[p->slice_of[value]];
        PH_TRY(ph_home_make(p, concat->outputs[0]));
        int i = 0;
        while (concat->inputs[i] != value) i++;
        *home = ph_slice_make(p, p->plan->home[concat->outputs[0]], concat, i);
    } else {
        *home = ph_storage_make(p, &p->graph->values[value].shape, ph_value_kind(p, value), p->forward_halo[value]);
    }
    return *home == PH_ABSENT ? ph_fail_memory(p->context) : PH_OK;
}

/* A constant as floats, in a storage outside the arena. */
static ph_status constant_storage(struct ph_planner *p, int value, int *storage) {
    if (p->plain_constant[value] == PH_ABSENT) {
        const struct ph_value *record = &p->graph->values[value];
        const float *data = record->data;
        if (record->type != PH_FLOAT) {
            int64_t size = ph_shape_size(&record->shape);
            float *copy = ph_pool_alloc(&p->plan->pool, (size_t)size * sizeof *copy);
            if (!copy) return ph_fail_memory(p->context);
            for (int64_t i = 0; i < size; i++) copy[i] = (float)((const int64_t *)record->data)[i];
            data = copy;
        }
        struct ph_storage made = {.shape = record->shape, .parent = PH_ABSENT, .external = data};
        made.layout = ph_layout_make(PH_LAYOUT_PLAIN, &record->shape, p->block, 0);
        p->plain_constant[value] = ph_storage_add(p, made);
        if (p->plain_constant[value] == PH_ABSENT) return ph_fail_memory(p->context);
    }
    *storage = p->plain_constant[value];
    return PH_OK;
}

ph_status ph_value_in(struct ph_planner *p, int value, enum ph_layout_kind kind, bool backward, int n, int *storage) {
    const struct ph_value *record = &p->graph->values[value];
    if (record->data) return constant_storage(p, value, storage);
    int home = p->plan->home[value];
    if (record->shape.rank != 4) kind = PH_LAYOUT_PLAIN;
    if (ph_storage_kind(p, home) == kind) {
        *storage = home;
        return PH_OK;
    }
    if (p->other[value] == PH_ABSENT) {
        p->other[value] = ph_storage_make(p, &record->shape, kind, p->forward_halo[value]);
        if (p->other[value] == PH_ABSENT) return ph_fail_memory(p->context);
        PH_TRY(ph_conversion_add(p, backward, n, home, p->other[value], false));
    }
    *storage = p->other[value];
    return PH_OK;
}
