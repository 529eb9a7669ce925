/* A max-pool behind local response normalisation. */
#ifndef PH_NORMED_POOL_H
#define PH_NORMED_POOL_H

#include "graph/operation.h"

/* Makes one operation of each such pair, in the pool's place; the normalisation then has no reader left. The graph's nodes are
 * changed in place, what is new of them lies in `pool`. A normalised value is left alone that is `kept` or has other readers
 * [values]: `uses` says by how many inputs of live nodes [nodes] each is read. */
ph_status ph_normed_pools_find(struct ph_graph *graph, const bool *live, const bool *kept, const int *uses,
                               struct ph_pool *pool);

#endif
