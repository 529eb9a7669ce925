/* Readers of nodes of ONNX's domain ai.onnx.ml. */
#ifndef PH_ONNX_ML_H
#define PH_ONNX_ML_H

#include "graph/operation.h"

/* By name; the last has none. */
extern const struct ph_importer ph_onnx_ml_importers[];

#endif
