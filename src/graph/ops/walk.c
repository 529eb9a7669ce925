/* Positions of a box with the offsets of several tensors. */
#include "graph/ops/walk.h"
#include <string.h>

/* To the start, from these offsets. */
static void restart(struct ph_walk *walk, const int64_t offset[PH_WALK_TENSORS]) {
    memset(walk->index, 0, sizeof walk->index);
    memcpy(walk->offset, offset, sizeof walk->offset);
    int last = walk->rank - 1;
    walk->run = last < 0 ? 1 : walk->dims[last];
    walk->left = walk->run > 0;
    for (int i = 0; i < last; i++) walk->left *= walk->dims[i];
    for (int t = 0; t < walk->tensors; t++) walk->step[t] = last < 0 ? 0 : walk->stride[t][last];
}

/* Appends an axis; to the last one where every tensor goes on through it as if they were one. */
static void axis_append(struct ph_walk *walk, int64_t size, const int64_t stride[PH_WALK_TENSORS]) {
    bool merges = walk->rank > 0;
    for (int t = 0; t < walk->tensors && merges; t++) merges = walk->stride[t][walk->rank - 1] == stride[t] * size;
    if (!merges) walk->dims[walk->rank++] = 1;
    walk->dims[walk->rank - 1] *= size;
    for (int t = 0; t < walk->tensors; t++) walk->stride[t][walk->rank - 1] = stride[t];
}

struct ph_walk ph_walk_begin(const struct ph_shape *shape, const struct ph_shape *const *tensors, int count) {
    int64_t stride[PH_MAX_RANK][PH_WALK_TENSORS] = {0};
    for (int t = 0; t < count; t++) {
        int64_t next = 1;
        int added = shape->rank - tensors[t]->rank;
        for (int i = tensors[t]->rank - 1; i >= 0; i--) {
            int64_t size = tensors[t]->dims[i];
            stride[added + i][t] = size == 1 ? 0 : next;
            next *= size;
        }
    }
    struct ph_walk walk = {.tensors = count};
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[i] != 1) axis_append(&walk, shape->dims[i], stride[i]);
    restart(&walk, walk.offset);
    return walk;
}

void ph_walk_next(struct ph_walk *walk) {
    walk->left--;
    for (int i = walk->rank - 2; i >= 0; i--) {
        for (int t = 0; t < walk->tensors; t++) walk->offset[t] += walk->stride[t][i];
        if (++walk->index[i] < walk->dims[i]) return;
        for (int t = 0; t < walk->tensors; t++) walk->offset[t] -= walk->dims[i] * walk->stride[t][i];
        walk->index[i] = 0;
    }
}

int64_t ph_walk_split(const struct ph_walk *walk, int tensor, struct ph_walk *outer, struct ph_walk *inner) {
    *outer = *inner = (struct ph_walk){.tensors = walk->tensors};
    int64_t positions = 1;
    for (int i = 0; i < walk->rank; i++) {
        int64_t stride[PH_WALK_TENSORS];
        for (int t = 0; t < walk->tensors; t++) stride[t] = walk->stride[t][i];
        axis_append(stride[tensor] ? outer : inner, walk->dims[i], stride);
        if (!stride[tensor]) positions *= walk->dims[i];
    }
    restart(outer, walk->offset);
    restart(inner, walk->offset);
    return positions;
}

void ph_walk_enter(struct ph_walk *inner, const struct ph_walk *outer, int64_t index) {
    int64_t offset[PH_WALK_TENSORS];
    for (int t = 0; t < PH_WALK_TENSORS; t++) offset[t] = outer->offset[t] + index * outer->step[t];
    restart(inner, offset);
}
