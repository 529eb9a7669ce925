/* Positions of a box with the offsets of several tensors. */
#include "graph/ops/walk.h"
#include <string.h>

static int64_t positions(const struct ph_walk *walk) {
    int64_t count = 1;
    for (int i = 0; i < walk->rank; i++) count *= walk->dims[i];
    return count;
}

struct ph_walk ph_walk_begin(const struct ph_shape *shape, const struct ph_shape *const *tensors, int count) {
    struct ph_walk walk = {.rank = shape->rank, .tensors = count};
    for (int i = 0; i < shape->rank; i++) walk.dims[i] = shape->dims[i];
    for (int t = 0; t < count; t++) {
        int64_t stride = 1;
        int added = shape->rank - tensors[t]->rank;
        for (int i = tensors[t]->rank - 1; i >= 0; i--) {
            int64_t size = tensors[t]->dims[i];
            walk.stride[t][added + i] = size == 1 ? 0 : stride;
            stride *= size;
        }
    }
    walk.left = positions(&walk);
    return walk;
}

void ph_walk_next(struct ph_walk *walk) {
    walk->left--;
    for (int i = walk->rank - 1; i >= 0; i--) {
        for (int t = 0; t < walk->tensors; t++) walk->offset[t] += walk->stride[t][i];
        if (++walk->index[i] < walk->dims[i]) return;
        for (int t = 0; t < walk->tensors; t++) walk->offset[t] -= walk->dims[i] * walk->stride[t][i];
        walk->index[i] = 0;
    }
}

void ph_walk_split(const struct ph_walk *walk, int tensor, struct ph_walk *outer, struct ph_walk *inner) {
    *outer = *inner = (struct ph_walk){.tensors = walk->tensors};
    for (int i = 0; i < walk->rank; i++) {
        struct ph_walk *side = walk->stride[tensor][i] ? outer : inner;
        side->dims[side->rank] = walk->dims[i];
        for (int t = 0; t < walk->tensors; t++) side->stride[t][side->rank] = walk->stride[t][i];
        side->rank++;
    }
    outer->left = positions(outer);
}

void ph_walk_enter(struct ph_walk *inner, const struct ph_walk *outer) {
    memset(inner->index, 0, sizeof inner->index);
    memcpy(inner->offset, outer->offset, sizeof inner->offset);
    inner->left = positions(inner);
}
