/* Which channels of each value are read at all. An objective that picks one channel of a layer leaves the others to nobody:
 * the convolution or the fully connected layer behind it need not make them. */
#ifndef PH_NARROW_H
#define PH_NARROW_H

#include "graph/operation.h"

/* Channels of a value that are left, ascending; NULL: all of them. */
struct ph_channels { int32_t count; const int32_t *list; };

/* channels[graph->value_count], with lists in `pool`. `live` [nodes]: which will be there; `kept` [values]: which are read
 * from outside, whole; `uses` [values]: by how many inputs of live nodes. A value is narrowed only where a convolution or a fully
 * connected layer (gemm with transposed weights) with constant weights makes it, or operations on each channel by itself make it
 * from one, and nothing reads it but such operations and picks. */
ph_status ph_channels_find(const struct ph_graph *graph, const bool *live, const bool *kept, const int *uses,
                           struct ph_pool *pool, struct ph_channels *channels);

/* The place of channel `channel` among those that are left, one of which it is. */
int32_t ph_channels_place(const struct ph_channels *channels, int32_t channel);

/* The rows of a tensor [channels, ...] that belong to the channels left: a copy in `pool`, NULL when memory ran out. */
float *ph_channels_rows(const struct ph_channels *channels, const float *from, int64_t row, struct ph_pool *pool);

#endif
