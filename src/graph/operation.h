/* One operation = one descriptor: attributes, shape rule, plain forward and backward, flop count, names in ONNX, test
 * cases. The table in operation.c is the only list; loaders, planner, printer, tests and `phosphene list` iterate it.
 *
 * An operation file (src/graph/ops) is compiled twice, with `real` as float and as double: PH_OPERATION(name) defines
 * the descriptor under a name of its own each time. The float one is what graphs refer to; its double twin is reached by
 * ph_operation_double and is what finite differences hold to account. The plain functions are the specification: the
 * simplest loops, no threads, written for reading.
 */
#ifndef PH_OPERATION_H
#define PH_OPERATION_H

#include "graph/graph.h"

#ifdef PH_DOUBLE
typedef double real;
#define PH_OPERATION(name) const struct ph_operation ph_operation_##name##_double
#else
typedef float real;
#define PH_OPERATION(name) const struct ph_operation ph_operation_##name
#endif

#define PH_MAX_OUTPUTS 64

/* What a shape rule sees and fills in. Inputs may be NULL where optional. */
struct ph_inference {
    ph_context *context;
    const void *attributes;
    int input_count, output_count;
    const struct ph_value *const *inputs;
    struct ph_shape *shapes; /* [output_count], to be set */
    enum ph_type *types;     /* [output_count], preset to the first input's type */
};

/* One call of a plain forward or backward. Pointers are to `real`; rows are contiguous. */
struct ph_call {
    const void *attributes;
    int input_count, output_count;
    const struct ph_shape *const *input_shapes;  /* NULL where the input is absent */
    const enum ph_type *input_types;
    const struct ph_shape *output_shapes;        /* [output_count] */
    const enum ph_type *output_types;
    const void *const *inputs;                   /* NULL where absent */
    void *const *outputs;                        /* forward: written; backward: read, where backward_reads says so */
    const void *const *output_gradients;         /* backward: NULL where an output has no gradient (is not used) */
    void *const *input_gradients;                /* backward: ADDED to; NULL where no gradient is wanted */
};

/* Which stored tensors the backward needs; what is not named may have been overwritten. */
enum { PH_READS_INPUTS = 1, PH_READS_OUTPUTS = 2 };

/* An input of a test case. Values are a seeded shuffle of an even grid over (low, high), so no two are equal and, with an
 * even number of them around 0, none sits on a kink. */
struct ph_case_input {
    struct ph_shape shape;
    double low, high;
    const double *values; /* instead of random ones, when not NULL */
    bool constant;        /* not differentiated, and constant in the graph */
};

#define PH_CASE_INPUTS 6
struct ph_case {
    const char *label;      /* what the case is about: "stride 2, asymmetric pads" */
    const void *attributes;
    int output_count;       /* 0 means 1 */
    struct ph_case_input inputs[PH_CASE_INPUTS]; /* ends at the first with low == high and no values */
};

/* Reads one node of a model file and appends what it means. ph_import_append is the usual body. */
struct ph_import;
struct ph_importer {
    const char *name;                       /* "Conv"; NULL ends the list */
    ph_status (*read)(struct ph_import *import); /* NULL: ph_import_append without attributes */
};

struct ph_operation {
    const char *name;          /* "convolution" */
    const char *help;          /* one line for `phosphene list operations` */
    size_t attributes_size;    /* of its attribute struct; 0 when it has none */
    int minimum_inputs, maximum_inputs; /* maximum -1: any number */
    uint32_t differentiable;   /* bit i: a gradient with respect to input i exists; bit 31: to all inputs */
    unsigned backward_reads;   /* PH_READS_... */
    bool is_view;              /* output 0 is input 0's data under another shape; no computation */
    ph_status (*infer)(struct ph_inference *inference);
    void (*forward)(const struct ph_call *call);
    void (*backward)(const struct ph_call *call); /* NULL: no gradient flows through */
    double (*flops)(const struct ph_call *call);  /* forward, from shapes and attributes alone; NULL: one per output element */
    const struct ph_importer *importers;          /* NULL: not found in ONNX files */
    const struct ph_case *cases;                  /* ends with a NULL label */
};

/* NULL-terminated. Declarations of the descriptors themselves are in graph/operations.h. */
extern const struct ph_operation *const ph_operations[];
const struct ph_operation *ph_operation_find(const char *name);
/* The same operation compiled for double. */
const struct ph_operation *ph_operation_double(const struct ph_operation *operation);

/* Shape rule of operations whose single output is like input 0. */
ph_status ph_infer_same(struct ph_inference *inference);
/* Fails with the operation's input shapes in the text. */
ph_status ph_infer_fail(struct ph_inference *inference, const char *format, ...) PH_PRINTF(2, 3);

/* Flop count of operations that only move elements: 0. */
double ph_flops_none(const struct ph_call *call);

/* ---- Reading nodes of model files --------------------------------------------------------------------------------- */

/* Attribute access of the format at hand; each returns false when the attribute is not there. */
struct ph_attribute_reader {
    bool (*get_int)(const void *source, const char *name, int64_t *value);
    bool (*get_float)(const void *source, const char *name, double *value);
    bool (*get_string)(const void *source, const char *name, const char **text, size_t *length); /* not terminated */
    bool (*get_ints)(const void *source, const char *name, const int64_t **values, int *count);
    bool (*get_floats)(const void *source, const char *name, const float **values, int *count);
    /* Adds the tensor as a constant to the graph. */
    bool (*get_tensor)(const void *source, const char *name, struct ph_graph *graph, int *value, ph_status *status);
};

struct ph_import {
    struct ph_graph *graph;
    const struct ph_operation *operation;
    const char *type;              /* "Conv" */
    const char *name;              /* of the node; never NULL */
    int version;                   /* opset of the file */
    int input_count;               /* trailing absent inputs already dropped */
    const int *inputs;             /* value indices or PH_ABSENT */
    int output_count;
    const char *const *output_names; /* "" for an output nobody wants */
    int *outputs;                  /* to be filled; PH_ABSENT is allowed for "" */
    const struct ph_attribute_reader *reader;
    const void *source;
    int64_t batch;                 /* batch the graph is being built for */
    int64_t file_batch;            /* batch written in the file, or -1 when free */
};

int64_t ph_import_int(const struct ph_import *import, const char *name, int64_t initial);
double ph_import_float(const struct ph_import *import, const char *name, double initial);
/* Copies into text[size] (cut), the initial value when absent. */
const char *ph_import_string(const struct ph_import *import, const char *name, const char *initial, char *text, size_t size);
/* Number of integers in the attribute copied to out[capacity]; -1 when absent; an error when there are more. */
ph_status ph_import_ints(const struct ph_import *import, const char *name, int64_t *out, int capacity, int *count);
/* The same from input `index` when the version has it there and else from the attribute; *count -1 when neither. */
ph_status ph_import_ints_input(const struct ph_import *import, int index, const char *name, int64_t *out, int capacity,
                               int *count);
/* Numbers from input `index`; *count -1 when it is left out. `what` names it in errors. */
ph_status ph_import_floats_input(const struct ph_import *import, int index, const char *what, double *out, int capacity,
                                 int *count);
/* Input `index`, PH_ABSENT when left out; and its value record, NULL when absent. */
int ph_import_input(const struct ph_import *import, int index);
const struct ph_value *ph_import_value(const struct ph_import *import, int index);
/* Makes `count` axes of a tensor of `rank` non-negative; an error when one lies outside [-rank, rank). */
ph_status ph_import_resolve_axes(const struct ph_import *import, int64_t *axes, int count, int rank);
/* The attribute `name` as one such axis. */
ph_status ph_import_axis(const struct ph_import *import, const char *name, int64_t initial, int rank, int64_t *axis);
/* The record of an input that must be there. */
ph_status ph_import_require(const struct ph_import *import, int index, const struct ph_value **value);
/* Appends import->operation with these attributes, the node's first `inputs` inputs (all when negative) and its outputs. */
ph_status ph_import_append(struct ph_import *import, const void *attributes, int inputs);
/* The same for operations that compute only the first of a node's outputs: an error when another is wanted. */
ph_status ph_import_append_first(struct ph_import *import, const void *attributes, int inputs);
/* Makes a value that is in the graph already the node's only output, under the node's name. */
ph_status ph_import_append_value(struct ph_import *import, int value);
/* Error text prefixed with node and type. */
ph_status ph_import_fail(const struct ph_import *import, ph_status status, const char *format, ...) PH_PRINTF(3, 4);

#endif
