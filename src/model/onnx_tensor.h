/* The contents of ONNX tensors: inside the model's file or in files beside it.
 *
 * Large ones in raw bytes, which weights are, stay there until a graph needs them, and are then read and converted into memory
 * of their own: a picture of an early layer needs a small part of a network. The file is untrusted: every tensor's contents are
 * held to its shape and to the file's size before anything is made from them; other files must lie in the model's own folder. */
#ifndef PH_ONNX_TENSOR_H
#define PH_ONNX_TENSOR_H

#include "graph/graph.h"
#include "model/protobuf.h"
#include "onnx.pb-c.h"

/* A constant of the file. `problem` says why it cannot be used when `data` is NULL. */
struct ph_onnx_tensor {
    enum ph_type type;
    struct ph_shape shape;
    const void *data;
    struct ph_contents *contents; /* as of a graph's value */
    const char *problem;
};

/* Where the tensors of one model come from, and their memory. */
struct ph_onnx_weights {
    ph_context *context;
    const char *path;           /* NULL for bytes in memory */
    const struct ph_file *file; /* borrowed */
    struct ph_pool pool;
    size_t taken, limit;        /* bytes */
    struct ph_onnx_file *files; /* beside the model */
    struct ph_onnx_source *sources; /* of contents that are read when they are needed */
};

/* What stays in the file when its messages are unpacked. */
extern const struct ph_protobuf_part ph_onnx_raw_data;

static inline const char *ph_onnx_text(const char *text) { return text ? text : ""; }

/* To be finished also where it fails. */
ph_status ph_onnx_weights_start(ph_context *context, const char *path, const struct ph_file *file,
                                struct ph_onnx_weights *weights);
void ph_onnx_weights_finish(struct ph_onnx_weights *weights);

/* Fills in a zeroed *tensor, which lives as long as the message and the weights. */
ph_status ph_onnx_tensor_read(struct ph_onnx_weights *weights, const PhOnnx__TensorProto *message,
                              struct ph_onnx_tensor *tensor);

#endif
