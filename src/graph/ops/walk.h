/* Steps through tensors that lie across each other: broadcasting, and its adjoint, reduction. */
#ifndef PH_WALK_H
#define PH_WALK_H

#include "graph/graph.h"

#define PH_WALK_TENSORS 4

/* A box of positions in row order, with the offset each of several tensors has there. Along an axis a tensor does not
 * have, or has with size 1, its stride is 0. */
struct ph_walk {
    int rank, tensors;
    int64_t dims[PH_MAX_RANK], stride[PH_WALK_TENSORS][PH_MAX_RANK];
    int64_t index[PH_MAX_RANK], offset[PH_WALK_TENSORS];
    int64_t left; /* positions still to come, the present one included; 0 at the end */
};

/* Every position of `shape`, to which each of the tensors broadcasts by NumPy's rule. */
struct ph_walk ph_walk_begin(const struct ph_shape *shape, const struct ph_shape *const *tensors, int count);
void ph_walk_next(struct ph_walk *walk);

/* Splits the axes of a walk at its start: `outer` has those along which `tensor` moves, so it meets each of its
 * elements once, and `inner` those along which it stays. */
void ph_walk_split(const struct ph_walk *walk, int tensor, struct ph_walk *outer, struct ph_walk *inner);
/* Puts `inner` back to its start, as seen from where `outer` is. */
void ph_walk_enter(struct ph_walk *inner, const struct ph_walk *outer);

#endif
