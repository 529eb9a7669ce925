/* Reader of ONNX's Einsum: sums, transpositions and matrix products. */
#ifndef PH_EINSUM_H
#define PH_EINSUM_H

#include "graph/operation.h"

ph_status ph_einsum_read(struct ph_import *import);

#endif
