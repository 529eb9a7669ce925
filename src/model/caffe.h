/* What the parts of the Caffe loader share.
 *
 *   caffe.c          the format's entry: which files belong together, building a graph layer by layer
 *   caffe_network.c  messages to a resolved network: old forms upgraded, phases, values and their names, weights
 *   caffe_layers.c   layer types by name; caffe_layers/: their table, and for each kind of layer how it becomes nodes
 *   caffe_text.c     protobuf's text form, by the same descriptors as the binary form
 *   caffe.proto      the messages
 */
#ifndef PH_CAFFE_H
#define PH_CAFFE_H

#include "caffe.pb-c.h"
#include "model/model.h"
#include "model/protobuf.h"

/* ---- caffe_text.c ------------------------------------------------------------------------------------------------ */

/* Reads `size` bytes of text as a message of this kind, to be freed by ph_protobuf_free. Unknown fields are skipped.
 * Errors give path and line. */
ph_status ph_caffe_text_parse(ph_context *context, const char *path, const char *text, size_t size,
                              const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **message);

/* ---- caffe_layers.c ---------------------------------------------------------------------------------------------- */

struct ph_caffe_blob {
    struct ph_shape shape; /* as written; rank 1 where the file gives no shape */
    const float *data;
};

/* One layer on its way into a graph. */
struct ph_caffe_build {
    struct ph_graph *graph;
    const struct ph_caffe_layer *layer;
    const int *inputs;         /* graph values, one for each bottom */
    int input_count;
    const char *const *names;  /* for each top */
    int *outputs;              /* for each top: to be filled, preset to PH_ABSENT */
    int output_count;
    int64_t batch, file_batch; /* of the graph; as written in the file, -1 where it says nothing */
};

struct ph_caffe_type {
    const char *name;
    enum ph_caffe_role {
        PH_CAFFE_COMPUTE,
        PH_CAFFE_INPUT, /* its tops are fed from outside */
        PH_CAFFE_PASS,  /* its tops are its bottom: nothing is computed outside training */
        PH_CAFFE_LOSS,  /* training only; with a `build`, what it stands for outside training */
        PH_CAFFE_SINK,  /* nothing comes out of it */
    } role;
    int minimum_bottoms, maximum_bottoms; /* maximum -1: any number */
    ph_status (*build)(struct ph_caffe_build *build);
};

/* By name, ignoring case and underscores, so that V1's INNER_PRODUCT finds InnerProduct; NULL when not in the table. */
const struct ph_caffe_type *ph_caffe_type_find(const char *name);

/* ---- caffe_network.c --------------------------------------------------------------------------------------------- */

/* A top as one layer leaves it: layers that work in place make several values of one top. */
struct ph_caffe_value {
    const char *top;     /* name of the blob */
    const char *name;    /* in the graph */
    int layer;           /* index of the layer that makes it; -1 for an input of the net */
    int consumers;       /* layers outside auxiliary branches that read it */
    int losses; /* readers that only training has: losses, but for the one that is kept, and what leads to them */
};

struct ph_caffe_layer {
    const struct ph_caffe_type *type; /* NULL: not in the table */
    const PhCaffe__LayerParameter *parameter;
    const char *name;                 /* never NULL */
    const char *alias;                /* the same where it refers to the first top too, else NULL */
    const struct ph_caffe_blob *blobs;
    int blob_count;
    const int *bottoms, *tops;        /* indices of values */
    int bottom_count, top_count;
    bool dropped;                     /* not computed: inputs, losses, accuracies */
    bool auxiliary;                   /* leads to auxiliary losses only: may fail without a word, is no output */
};

struct ph_caffe_input {
    int value;
    struct ph_model_input info;
    int64_t file_batch;
};

struct ph_caffe {
    ph_context *context;
    const char *path, *weights_path;  /* for errors: of the file that defines the network; that holds the blobs */
    PhCaffe__NetParameter *definition;
    PhCaffe__NetParameter *weights;   /* of the second file, or NULL */
    struct ph_pool pool;
    struct ph_caffe_layer *layers;
    int layer_count;
    struct ph_caffe_value *values;
    int value_count, value_capacity;
    struct ph_caffe_input *inputs;
    int input_count;
    const char **outputs;
    int output_count;
    int64_t parameter_count;
};

/* Turns the messages in `caffe` into its other parts. */
ph_status ph_caffe_resolve(struct ph_caffe *caffe);

/* ---- caffe.c ----------------------------------------------------------------------------------------------------- */

/* The network in `definition` (text) with the blobs in `weights` (binary). Either may be NULL: a binary file alone is
 * both, a text alone has no blobs. `path` names the definition in errors, weights_path the weights. */
ph_status ph_caffe_create(ph_context *context, const char *path, const struct ph_file *definition,
                          const char *weights_path, const struct ph_file *weights, struct ph_caffe **caffe);
void ph_caffe_destroy(struct ph_caffe **caffe);

#endif
