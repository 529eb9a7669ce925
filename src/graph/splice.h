/* Opening a graph at one value. */
#ifndef PH_SPLICE_H
#define PH_SPLICE_H

#include "graph/graph.h"

/* Makes a copy of the graph in which everything behind `value` reads value + delta, delta being a new input of its
 * shape. Constants stay borrowed from the old graph, which must outlive the new one. map[i] receives the index of
 * keep[i] there; `value` itself maps to what is computed, before the addition. */
ph_status ph_graph_splice(const struct ph_graph *old, int value, const int *keep, int *map, int keep_count,
                          struct ph_graph **graph, int *delta);

#endif
