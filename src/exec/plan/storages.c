/* The stretches of memory that a plan counts with: what tensor each holds, in which layout, as a part of which other, and from
 * which step to which it is touched. Where they lie in the arena is decided when all of that is known (arena.c). */
#include "exec/plan/planner.h"

int ph_storage_add(struct ph_planner *p, struct ph_storage storage) {
    struct ph_plan *plan = p->plan;
    if (!ph_grow(&plan->storages, plan->storage_count, &plan->storage_capacity, sizeof *plan->storages)) return PH_ABSENT;
    storage.first = INT32_MAX;
    storage.last = -1;
    plan->storages[plan->storage_count] = storage;
    return plan->storage_count++;
}

int ph_storage_make(struct ph_planner *p, const struct ph_shape *shape, enum ph_layout_kind kind, int halo) {
    struct ph_storage storage = {.shape = *shape, .parent = PH_ABSENT};
    storage.layout = ph_layout_make(kind, shape, p->block, kind == PH_LAYOUT_BLOCKED ? halo : 0);
    storage.exclusive = kind == PH_LAYOUT_BLOCKED && (halo > 0 || shape->dims[1] % p->block);
    return ph_storage_add(p, storage);
}

int ph_storage_alias(struct ph_planner *p, int parent, const struct ph_shape *shape, size_t offset, bool blocked) {
    struct ph_storage storage = {.shape = *shape, .parent = parent, .parent_offset = offset};
    if (blocked) {
        const struct ph_layout *outer = &p->plan->storages[parent].layout;
        storage.layout = ph_layout_make(PH_LAYOUT_BLOCKED, shape, p->block, outer->halo);
        storage.layout.item = outer->item;
    } else {
        storage.layout = ph_layout_make(PH_LAYOUT_PLAIN, shape, p->block, 0);
    }
    return ph_storage_add(p, storage);
}

int ph_slice_make(struct ph_planner *p, int whole, const struct ph_node *concat, int i) {
    const struct ph_value *values = p->graph->values;
    int64_t channel = 0;
    for (int k = 0; k < i; k++) channel += values[concat->inputs[k]].shape.dims[1];
    size_t offset = (size_t)(channel / p->block * p->plan->storages[whole].layout.plane);
    return ph_storage_alias(p, whole, &values[concat->inputs[i]].shape, offset, true);
}

int ph_storage_root(const struct ph_plan *plan, int storage, size_t *offset) {
    size_t sum = 0;
    while (plan->storages[storage].parent != PH_ABSENT) {
        sum += plan->storages[storage].parent_offset;
        storage = plan->storages[storage].parent;
    }
    if (offset) *offset = sum;
    return storage;
}

void ph_storage_touch(struct ph_planner *p, int storage, int step) {
    if (storage == PH_ABSENT) return;
    struct ph_storage *root = &p->plan->storages[ph_storage_root(p->plan, storage, NULL)];
    root->first = PH_MIN(root->first, step);
    root->last = PH_MAX(root->last, step);
}

void ph_storage_keep(struct ph_planner *p, int storage) {
    p->plan->storages[storage].exclusive = true;
    ph_storage_touch(p, storage, 0);
    ph_storage_touch(p, storage, INT32_MAX);
}

enum ph_layout_kind ph_storage_kind(const struct ph_planner *p, int storage) { return p->plan->storages[storage].layout.kind; }

size_t ph_storage_floats(const struct ph_storage *storage) {
    size_t size = ph_layout_size(&storage->layout, &storage->shape);
    return storage->half ? (size + 1) / 2 : size;
}
