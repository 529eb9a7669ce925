/* Where storages lie in the arena: by the spans of steps that touch them, so that what is never needed at one time shares
 * memory. */
#include "exec/plan/planner.h"

static bool guarded;

void ph_plan_guard(bool on) { guarded = on; }

static bool same_zeros(const struct ph_storage *a, const struct ph_storage *b) {
    return ph_shape_equal(&a->shape, &b->shape) && a->layout.kind == b->layout.kind && a->layout.halo == b->layout.halo &&
           a->half == b->half;
}

/* Tensors that count on zeros around them and in spare lanes have memory that nothing else writes to, but for others with their
 * zeros at the same places, one after the other: each becomes a part of the last such one that is over before it begins. */
static void zeros_share(struct ph_plan *plan) {
    for (int step = 0; step < plan->step_count; step++)
        for (int i = 0; i < plan->storage_count; i++) {
            struct ph_storage *storage = &plan->storages[i];
            if (!storage->exclusive || storage->parent != PH_ABSENT || storage->external || storage->first != step) continue;
            int best = PH_ABSENT;
            for (int k = 0; k < plan->storage_count; k++) {
                const struct ph_storage *other = &plan->storages[k];
                if (other->exclusive && other->parent == PH_ABSENT && !other->external && other->first < step &&
                    other->last < step && other->last >= 0 && other->of_lane == storage->of_lane &&
                    same_zeros(other, storage) &&
                    (best == PH_ABSENT || other->last > plan->storages[best].last))
                    best = k;
            }
            if (best == PH_ABSENT) continue;
            storage->parent = best;
            plan->storages[best].last = storage->last;
        }
}

/* First fit by decreasing size among the storages whose spans of steps overlap: of those that lanes have, or of the others. */
static ph_status storages_place(const struct ph_planner *p, bool of_lanes, size_t *floats) {
    struct ph_plan *plan = p->plan;
    int *order = ph_alloc_array((size_t)plan->storage_count + 1, sizeof *order), count = 0;
    int *placed = ph_alloc_array((size_t)plan->storage_count + 1, sizeof *placed), placed_count = 0;
    if (!order || !placed) {
        ph_free(order);
        ph_free(placed);
        return ph_fail_memory(p->context);
    }
    for (int i = 0; i < plan->storage_count; i++) {
        struct ph_storage *storage = &plan->storages[i];
        if (storage->parent != PH_ABSENT || storage->external || storage->last < 0 || storage->of_lane != of_lanes) continue;
        if (storage->exclusive || guarded) storage->first = 0, storage->last = INT32_MAX;
        size_t size = ph_storage_floats(storage);
        int at = count++;
        for (; at > 0; at--) {
            const struct ph_storage *before = &plan->storages[order[at - 1]];
            if (ph_storage_floats(before) >= size) break;
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    for (int k = 0; k < count; k++) {
        struct ph_storage *storage = &plan->storages[order[k]];
        size_t size = ((ph_storage_floats(storage) + 15) & ~(size_t)15) + (guarded ? PH_GUARD : 0);
        size_t offset = guarded ? PH_GUARD : 0;
        /* `placed` is sorted by offset: walk the gaps. */
        for (int j = 0; j < placed_count; j++) {
            const struct ph_storage *other = &plan->storages[placed[j]];
            if (other->last < storage->first || storage->last < other->first) continue;
            size_t other_size = ((ph_storage_floats(other) + 15) & ~(size_t)15) + (guarded ? PH_GUARD : 0);
            if (other->offset >= offset + size) break;
            offset = PH_MAX(offset, other->offset + other_size);
        }
        storage->offset = offset;
        int at = placed_count++;
        for (; at > 0 && plan->storages[placed[at - 1]].offset > offset; at--) placed[at] = placed[at - 1];
        placed[at] = order[k];
        *floats = PH_MAX(*floats, offset + size);
    }
    ph_free(order);
    ph_free(placed);
    return PH_OK;
}

ph_status ph_arena_place(const struct ph_planner *p) {
    struct ph_plan *plan = p->plan;
    if (!guarded) zeros_share(plan);
    PH_TRY(storages_place(p, false, &plan->arena_floats));
    PH_TRY(storages_place(p, true, &plan->lane_floats));
    for (int i = 0; i < plan->storage_count; i++)
        if (plan->storages[i].of_lane) plan->storages[i].offset += plan->arena_floats;
    plan->arena_floats += (size_t)plan->lanes * plan->lane_floats;
    if (plan->lanes > 1) {
        plan->item_scratch_floats = (plan->item_scratch_floats + 15) & ~(size_t)15;
        plan->scratch_floats = PH_MAX(plan->scratch_floats, (size_t)plan->lanes * plan->item_scratch_floats);
    }
    return PH_OK;
}
