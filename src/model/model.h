/* A network file in memory: its parsed form, labels and preprocessing; instantiated as a graph for a batch and a picture
 * size. Formats are entries of a table: a loader reads the bytes and can append its nodes to a graph. */
#ifndef PH_MODEL_H
#define PH_MODEL_H

#include "graph/graph.h"

/* What a loader reports about the network's main input. */
struct ph_model_input {
    const char *name;
    struct ph_shape shape; /* dims -1 where free */
    /* What the file says about preparing pictures, as Caffe's data layers do: input = (picture * 255 - mean) * scale, mean
     * one for all or one for each channel. mean_count 0: no mean; scale 0: the file says nothing. */
    const float *mean;
    int mean_count;
    double scale;
};

struct ph_model_format {
    const char *name;             /* "ONNX" */
    const char *help;
    const char *extensions;       /* ".onnx" ; several separated by spaces */
    /* Reads `file`, of that path, which stays open as long as the model. *parsed is the loader's own state. */
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
    /* What the file says about itself: PH_FACT_... or a key of its metadata; "" when it says nothing. May be NULL. */
    const char *(*fact)(const void *parsed, const char *key);
};

#define PH_FACT_PRODUCER "producer"       /* the program that wrote the file */
#define PH_FACT_DESCRIPTION "description" /* free text */

extern const struct ph_model_format *const ph_model_formats[]; /* NULL-terminated */
extern const struct ph_model_format ph_model_format_onnx, ph_model_format_caffe;

/* ---- representation.c -------------------------------------------------------------------------------------------- */

/* Of what ph_representation_find gives; not in the table, for no file is in it. */
extern const struct ph_model_format ph_model_format_representation;
/* What the format calls parsed; NULL: there is none of this name. */
const void *ph_representation_find(const char *name);
/* Name of row `index`, NULL behind the last. */
const char *ph_representation_row(int index, const char **help);

#define PH_MAX_JOINED 7

/* Another network that objectives of a model may speak of. */
struct ph_joined { char *name, *prefix; ph_model *model; };

struct ph_model {
    ph_context *context;
    const struct ph_model_format *format;
    void *parsed;
    struct ph_file file;
    char *path;               /* as given; NULL for the embedded one */
    char sha256[65];
    ph_preprocessing preprocessing;
    char **labels;            /* one block; NULL where unknown */
    int label_count;
    struct ph_pool pool;      /* what was found out once after loading */
    struct ph_pool layer_pool; /* what ph_model_layers handed out last */
    /* Found out once after loading, by building the graph at the default size. */
    int input;                /* index of the file's input that takes the picture */
    bool channels_last;       /* the file wants [N,H,W,C]; phosphene feeds [N,C,H,W] */
    struct ph_shape default_input; /* [1,C,H,W] with free sizes filled in */
    bool size_is_free;
    bool apart;               /* a batch is built item by item */
    const char *logits, *probabilities, *unsupported;
    int class_count;          /* 0 when unknown */
    const char **layer_names; /* layers at the default size */
    int layer_name_count;
    int64_t parameters;
    struct ph_joined joined[PH_MAX_JOINED]; /* owned */
    int joined_count;
};

/* Appends the network to `graph`, reading `input`: a value [N,C,H,W] that holds prepared pictures. Other inputs of the
 * network become inputs of the graph, to be left at zero. What cannot be computed at this size is not there;
 * ph_model_find_layer says so. */
ph_status ph_model_build(const struct ph_model *model, struct ph_graph *graph, int input);

/* A graph of the network alone, for pictures of this size; *unsupported as of a format's build. */
ph_status ph_model_build_alone(const ph_model *model, int height, int width, struct ph_graph **graph, int *input,
                               const char **unsupported);

/* ---- apart.c ----------------------------------------------------------------------------------------------------- */

/* Sets model->apart where a network exported for one item cannot be built for two as it is; `one` is its graph for one. */
ph_status ph_model_find_apart(struct ph_model *model, const struct ph_graph *one);
/* Whether it or a joined network is such: there is nothing to gain by a batch, and what folds into a network's first layer for
 * one item does not for several, so that bytes would differ. */
bool ph_model_is_apart(const struct ph_model *model);
/* What a format's build does, for each of `batch` items (2 to PH_MAX_BATCH); layers are there that have one row for an item. */
ph_status ph_model_build_apart(const struct ph_model *model, struct ph_graph *graph, const int *inputs, int input_count,
                               int64_t batch, const char **unsupported);

/* ---- examine.c: what is found out once after loading ------------------------------------------------------------- */

/* From a graph at the default size; `known`: the preprocessing was read from a sidecar. */
ph_status ph_model_examine(ph_model *model, bool known);
/* Other sizes work when a graph for one still has a layer that looks at neighbourhoods. */
ph_status ph_model_examine_sizes(ph_model *model);
void ph_model_examine_log(const ph_model *model);

/* ---- layers.c ---------------------------------------------------------------------------------------------------- */

/* Fails, listing the nearest names, when the graph (built from this model) has no such layer. */
ph_status ph_model_find_layer(const struct ph_model *model, const struct ph_graph *graph, const char *name, int *value);

/* ---- joined.c ---------------------------------------------------------------------------------------------------- */

void ph_joined_finish(struct ph_joined *joined);
/* Fails, listing those there are, when no network of that name was joined. */
ph_status ph_model_find_joined(const struct ph_model *model, const char *name, const struct ph_joined **joined);

/* ---- labels.c ---------------------------------------------------------------------------------------------------- */

/* Class by name (whole name, or one of its comma-separated synonyms, case-insensitive) or decimal index. */
ph_status ph_model_find_class(const struct ph_model *model, const char *text, int *index);

/* Reads labels out of text, one per line; `source` names it in errors. */
ph_status ph_labels_parse(struct ph_model *model, const char *source, const char *text, size_t size);
/* Those lying beside the model, if any; what does not fit is logged and left. */
ph_status ph_labels_find(struct ph_model *model);

/* ---- preprocessing.c --------------------------------------------------------------------------------------------- */

struct ph_preset {
    const char *name, *help;
    float scale;
    float mean[3], deviation[3]; /* in the network's channel order; their average for networks with other channels */
    bool bgr;
};
extern const struct ph_preset ph_presets[]; /* ends with a NULL name */

/* What a sidecar says beside preprocessing. */
struct ph_sidecar { int height, width; /* 0: nothing */ char *labels; /* path; NULL: nothing */ };

/* Reads MODEL.phosphene into *preprocessing and *sidecar (labels to be freed). *found is false when there is none. */
ph_status ph_sidecar_read(const struct ph_model *model, bool *found, ph_preprocessing *preprocessing,
                          struct ph_sidecar *sidecar);
/* The best guess from the file and from how its graph begins. */
ph_preprocessing ph_preprocessing_guess(const struct ph_model *model, const struct ph_graph *graph, int input);

/* MODEL without its extension, and `suffix` behind it; NULL when memory ran out. */
char *ph_model_beside(const struct ph_model *model, const char *suffix);

/* ---- embedded.c: the default network and its class names -------------------------------------------------------------- */

extern const uint8_t ph_embedded_model[], ph_embedded_model_end[], ph_embedded_labels[], ph_embedded_labels_end[];
enum { PH_EMBEDDED_SIZE = 64 }; /* pixels; it was trained at this size */

#endif
