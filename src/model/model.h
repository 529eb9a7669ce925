/* A network file in memory: its parsed form, labels and preprocessing; instantiated as a graph for a batch and a picture
 * size. Formats are entries of a table: a loader reads the bytes and can append its nodes to a graph. */
#ifndef PH_MODEL_H
#define PH_MODEL_H

#include "graph/graph.h"

/* What a loader reports about the network's main input. */
struct ph_model_input { const char *name; struct ph_shape shape; /* dims -1 where free */ };

struct ph_model_format {
    const char *name;             /* "ONNX" */
    const char *help;
    const char *extensions;       /* ".onnx" ; several separated by spaces */
    /* Reads `path` (already mapped; bytes stay valid as long as the model). *parsed is the loader's own state. */
    ph_status (*parse)(ph_context *context, const char *path, const struct ph_file *file, void **parsed);
    void (*destroy)(void *parsed);
    int (*input_count)(const void *parsed);
    struct ph_model_input (*input)(const void *parsed, int index);
    /* Appends the network behind `inputs` (graph values, one for each of its inputs) to `graph`. Tensor names become value
     * names. Stops in front of the first node it cannot understand: then *unsupported (in the graph's pool) says which
     * operation and node, and the graph holds everything that lies before. `outputs` of the file are reported by name. */
    ph_status (*build)(const void *parsed, struct ph_graph *graph, const int *inputs, int input_count,
                       const char **unsupported);
    int (*output_count)(const void *parsed);
    const char *(*output)(const void *parsed, int index);
    int64_t (*parameter_count)(const void *parsed);
};

extern const struct ph_model_format *const ph_model_formats[]; /* NULL-terminated */
extern const struct ph_model_format ph_model_format_onnx, ph_model_format_caffe;

struct ph_model {
    ph_context *context;
    const struct ph_model_format *format;
    void *parsed;
    struct ph_file file;
    char *path;               /* as given; NULL for the embedded one */
    char sha256[65];
    ph_preprocessing preprocessing;
    char **labels;            /* NULL where unknown */
    int label_count;
    struct ph_pool pool;      /* strings handed out by the public functions */
    /* Found out once after loading, by building the graph at the default size. */
    struct ph_shape default_input; /* [1,C,H,W] with free sizes filled in */
    bool size_is_free;
    char *logits, *probabilities, *unsupported;
    int64_t parameters;
    ph_layer_info *layers;
};

/* `shape` is the input's, complete; adds the input unless `input` names a value to read from. *output: nothing beyond
 * what ph_graph_find gives. A layer that is not there because the file has an unsupported operation before it: the error
 * says so. */
ph_status ph_model_build(const struct ph_model *model, struct ph_graph *graph, int input);

/* Fails, listing the nearest names, when the graph (built from this model) has no such layer. */
ph_status ph_model_find_layer(const struct ph_model *model, const struct ph_graph *graph, const char *name, int *value);

/* Class by name (whole name, or one of its comma-separated synonyms, case-insensitive) or decimal index. */
ph_status ph_model_find_class(const struct ph_model *model, const char *text, int *index);

#endif
