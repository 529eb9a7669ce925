/* Graph to graph: the part that leads to the values asked for, optionally rewritten for speed. */
#ifndef PH_PASSES_H
#define PH_PASSES_H

#include "graph/operation.h"

/* Makes a new graph of the ancestors of `keep`, in the same order and under the same names. Constants stay borrowed from
 * where the old graph has them, so that must outlive the new one. With `rewrite`, identities and
 * concatenations of one value are dropped, a batch-norm that directly follows a convolution is folded into it, and a ReLU
 * that does is fused into it; values in `keep` are never fused away, and channels that nobody reads are left out (narrow.h).
 * map[old->value_count] receives each old value's index in the new graph, or PH_ABSENT. */
ph_status ph_graph_extract(const struct ph_graph *old, const int *keep, int keep_count, bool rewrite,
                           struct ph_graph **graph, int *map);

#endif
