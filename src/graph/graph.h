/* The one graph from parameters to loss: values (tensors) and the nodes (operations) that make them.
 *
 * A graph is append-only and always in order of computation: a node can only use values that exist. Shapes are worked
 * out, and constants folded, when a node is added, so a graph never holds an unknown size: a network file is turned into
 * a new graph for each batch and picture size. The graph owns everything in it but the contents of borrowed constants
 * (a model's weights), which must outlive it.
 */
#ifndef PH_GRAPH_H
#define PH_GRAPH_H

#include "base/base.h"

struct ph_shape { int rank; int64_t dims[PH_MAX_RANK]; };

enum ph_type { PH_FLOAT, PH_INT64, PH_BOOL };

#define PH_ABSENT (-1) /* an optional input that is left out */

/* A constant's contents that are read when they are first needed: then `load` fills the memory that the value's data points
 * to, once. An error leaves it unfilled. */
struct ph_contents { ph_status (*load)(struct ph_contents *contents); };

struct ph_value {
    const char *name;      /* unique in its graph, never NULL */
    enum ph_type type;     /* programs compute every type in floating point; the tag is for casts, division and output */
    struct ph_shape shape;
    const void *data;      /* a constant's contents, float[] for PH_FLOAT, else int64_t[]; NULL when fed or computed */
    struct ph_contents *contents; /* NULL: what is at `data` is there; else nothing may look at it before ph_value_load */
    int node;              /* index of the node that makes it; PH_ABSENT for inputs and constants */
};

struct ph_node {
    const struct ph_operation *operation;
    const char *name;
    const void *attributes; /* operation->attributes_size bytes */
    int input_count;
    const int *inputs;      /* value indices or PH_ABSENT */
    int output_count;
    const int *outputs;
};

struct ph_graph {
    ph_context *context;
    struct ph_pool pool;
    struct ph_value *values;
    int value_count, value_capacity;
    struct ph_node *nodes;
    int node_count, node_capacity;
    struct ph_graph_name *names; /* open-addressed hash table, capacity a power of two; aliases have entries too */
    int name_count, name_capacity;
    const char *prefix;     /* stands before every name that is added or looked for; NULL: none. Set while a second network
                             * is appended, whose names may be those of the first */
    int generated;          /* names made up so far */
    int64_t folded;         /* elements of constants computed so far */
};

struct ph_graph_name { const char *name; int value; };

ph_status ph_graph_create(ph_context *context, struct ph_graph **graph);
void ph_graph_destroy(struct ph_graph **graph);

/* A value fed from outside: the network's input, the parameters of a picture, per-step random numbers. */
ph_status ph_graph_add_input(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape, int *value);
/* `data` is borrowed and must outlive the graph; _copy copies it. float[] for PH_FLOAT, int64_t[] for the others. */
ph_status ph_graph_add_constant(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape,
                                const void *data, int *value);
ph_status ph_graph_add_constant_copy(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape,
                                     const void *data, int *value);

/* As ph_graph_add_constant, where `data` points to the memory that `contents` will fill; both are borrowed. NULL: it is filled. */
ph_status ph_graph_add_contents(struct ph_graph *graph, const char *name, enum ph_type type, struct ph_shape shape,
                                const void *data, struct ph_contents *contents, int *value);

/* Appends a node; attributes (operation->attributes_size bytes) are copied. output_names may be NULL, or hold NULL or ""
 * for values that get a generated name; a name already taken gets a suffix. When every input is a constant the node is
 * computed at once and its outputs are constants. `outputs` receives output_count value indices.
 * Errors name the node, the operation and the shapes. */
ph_status ph_graph_add_node(struct ph_graph *graph, const struct ph_operation *operation, const char *name,
                            const void *attributes, const int *inputs, int input_count,
                            const char *const *output_names, int output_count, int *outputs);

/* The short door for builders: one output, generated or given name. */
ph_status ph_graph_add(struct ph_graph *graph, const struct ph_operation *operation, const char *output_name,
                       const void *attributes, const int *inputs, int input_count, int *output);

/* Index of the value of that name, PH_ABSENT if there is none. */
int ph_graph_find(const struct ph_graph *graph, const char *name);

/* Lets `name` refer to `value` too, when it is not taken (a dropout's output is its input). */
ph_status ph_graph_add_alias(struct ph_graph *graph, const char *name, int value);

/* Contents of a constant as integers; error naming `what` when the value is not constant. *count = product(dims). */
ph_status ph_graph_constant_ints(const struct ph_graph *graph, int value, const char *what, int64_t *out, int capacity,
                                 int *count);
ph_status ph_graph_constant_floats(const struct ph_graph *graph, int value, const char *what, double *out, int capacity,
                                   int *count);

/* Makes sure that a constant's contents are there; whoever looks at `data` calls it first, but for graphs that
 * ph_graph_extract made, whose constants are there. Of another value: nothing to do. */
ph_status ph_value_load(const struct ph_value *value);

/* Contents of a constant that are there, out[product of its dims]. */
void ph_constant_to_double(const struct ph_value *value, double *out);

int64_t ph_shape_size(const struct ph_shape *shape);              /* product of dims; 1 for rank 0 */
bool ph_shape_equal(const struct ph_shape *a, const struct ph_shape *b);
/* Checked product: false when a dim is negative or the number of elements exceeds 2^40. */
bool ph_shape_valid(const struct ph_shape *shape);
/* NumPy's rule; false when the shapes do not fit. */
bool ph_shape_broadcast(const struct ph_shape *a, const struct ph_shape *b, struct ph_shape *out);
/* "[1,64,56,56]" into a buffer of at least 128 bytes; returns it. */
const char *ph_shape_text(const struct ph_shape *shape, char *buffer);
#define PH_SHAPE(...) ((struct ph_shape){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}})
#define PH_SCALAR ((struct ph_shape){0, {0}})

#endif
