/* Graph to graph: the part that leads to the values asked for, optionally rewritten for speed. */
#ifndef PH_PASSES_H
#define PH_PASSES_H

#include "graph/operation.h"

enum ph_rewrites {
    /* Identities and concatenations of one value are dropped, a batch-norm that directly follows a convolution is folded into
     * it, a ReLU that does is fused into it, and channels that nobody reads are left out (narrow.h). */
    PH_REWRITE_FUSE = 1,
    /* What only scales, shifts or reorders the channels of a picture goes into the convolution that reads it (fold.h): one pass
     * less, for backends of full floats. The picture that is convolved then is not centred, and its weights differ by what
     * it is scaled with, which costs 16 bits several times their error. With PH_REWRITE_FUSE alone. */
    PH_REWRITE_NORMALISATION = 2,
    /* Activations that are written as several operations become one (recognise.h). */
    PH_REWRITE_ACTIVATIONS = 4,
    /* A max-pool and the local response normalisation in front of it become one (normed_pool.h). */
    PH_REWRITE_NORMED_POOLS = 8,
};

/* Makes a new graph of the ancestors of `keep`, in the same order and under the same names. Constants stay borrowed from
 * where the old graph has them, so that must outlive the new one; those that had not been read are. Values in `keep` are never
 * rewritten away.
 * map[old->value_count] receives each old value's index in the new graph, or PH_ABSENT. */
ph_status ph_graph_extract(const struct ph_graph *old, const int *keep, int keep_count, unsigned rewrites,
                           struct ph_graph **graph, int *map);

#endif
