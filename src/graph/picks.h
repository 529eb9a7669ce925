/* Readers of ONNX's indexing nodes by constant indices. Each becomes a gather of a matrix's rows, so that gradients, kernels
 * and folding are those of gather. */
#ifndef PH_PICKS_H
#define PH_PICKS_H

#include "graph/operation.h"

ph_status ph_gather_nd_read(struct ph_import *import);
ph_status ph_gather_elements_read(struct ph_import *import);
ph_status ph_scatter_nd_read(struct ph_import *import);
ph_status ph_scatter_elements_read(struct ph_import *import);

/* result[i] = rows[i] of `value` seen as a matrix [row_count, ...], in the shape `result`. */
ph_status ph_rows_gather(struct ph_graph *graph, int value, int64_t row_count, const int64_t *rows, int64_t count,
                         struct ph_shape result, int *out);

#endif
