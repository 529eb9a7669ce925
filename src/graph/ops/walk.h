/* Steps through tensors that lie across each other: broadcasting, and its adjoint, reduction. */
#ifndef PH_WALK_H
#define PH_WALK_H

#include "graph/graph.h"

#define PH_WALK_TENSORS 4

/* The positions of a box in row order, run by run, with the offset of each of several tensors. Along an axis that
 * a tensor does not have, or has with size 1, it stays where it is. */
struct ph_walk {
    int rank, tensors;
    int64_t dims[PH_MAX_RANK], stride[PH_WALK_TENSORS][PH_MAX_RANK], index[PH_MAX_RANK];
    int64_t left;                    /* runs still to come, the present one included; 0 at the end */
    int64_t run;                     /* positions in a run: those of the last axis */
    int64_t offset[PH_WALK_TENSORS]; /* of the run's first position */
    int64_t step[PH_WALK_TENSORS];   /* from each position of the run to the next */
};

/* Every position of `shape`, to which each of the tensors broadcasts by NumPy's rule. Axes that can be walked as one
 * are merged. */
struct ph_walk ph_walk_begin(const struct ph_shape *shape, const struct ph_shape *const *tensors, int count);
void ph_walk_next(struct ph_walk *walk);

/* Splits the axes of a walk at its start: `outer` has those along which `tensor` moves, so it meets each of its
 * elements once, and `inner` those along which it stays. Returns the number of positions in `inner`. */
int64_t ph_walk_split(const struct ph_walk *walk, int tensor, struct ph_walk *outer, struct ph_walk *inner);
/* Puts `inner` to its start, as seen from position `index` of the run that `outer` is at. */
void ph_walk_enter(struct ph_walk *inner, const struct ph_walk *outer, int64_t index);

#endif
