/* Objectives: what the text of one comes down to, the table of its terms, and what their builders stand on.
 *
 * Every expression is a number plus a sum of weighted terms; a term may have expressions among its arguments, as products
 * have. Each term is a row of a table: its name, its parameters, one line of help, sample texts that a generic test
 * differentiates, and a builder of graph nodes. The rows are in objectives/, a family to a file. */
#ifndef PH_OBJECTIVE_H
#define PH_OBJECTIVE_H

#include "graph/operations.h"
#include "image/image.h"
#include "model/model.h"

struct ph_recipe;
struct ph_view;
struct ph_term;
struct ph_objective_scope;

/* ---- What the parser makes of a text ------------------------------------------------------------------------------ */

#define PH_MAX_PARAMETERS 5

enum ph_argument_kind {
    PH_ARGUMENT_LAYER,      /* conv4b, conv4b@3,4 or conv4b@2-5,0-3 */
    PH_ARGUMENT_NUMBER,
    PH_ARGUMENT_WORD,       /* one of a list */
    PH_ARGUMENT_FILE,       /* photo.jpg, target.npy */
    PH_ARGUMENT_VECTOR,     /* [0.5, -1, 2], [11: 0.5, 30: -1], vector.npy, photo.jpg or photo.jpg@3,4 */
    PH_ARGUMENT_SHARES,     /* tabby=0.7, king penguin=0.3: all arguments that are left */
    PH_ARGUMENT_EXPRESSION,
    PH_ARGUMENT_NETWORK,    /* the name of one that was joined */
};

struct ph_parameter {
    const char *name;
    enum ph_argument_kind kind;
    bool optional;
    bool channel;               /* PH_ARGUMENT_LAYER: one channel of it may be named, conv4b:11 */
    double initial, low, high;  /* PH_ARGUMENT_NUMBER */
    const char *const *words;   /* PH_ARGUMENT_WORD: NULL-terminated, the first is the default */
};

/* A number plus weighted terms. */
struct ph_sum {
    double constant;
    struct ph_term *first, *last;
};

/* Positions from the first to the last, both included. */
struct ph_region { bool given; int64_t columns[2], rows[2]; };

struct ph_argument {
    bool given;
    int begin;                  /* where it stands in the text */
    const char *name;           /* of a layer, file or network; NULL where a list is given */
    struct ph_region region;
    bool one_channel;
    int64_t channel;            /* the only one that counts, with one_channel */
    double number;
    int word;
    int list_count;
    bool sparse;                /* a list of channels and weights, not of weights alone */
    const int64_t *channels;    /* [list_count] */
    const float *weights;       /* [list_count] */
    const char *const *classes; /* [list_count], of shares: names or numbers */
    struct ph_sum expression;
};

struct ph_term {
    const struct ph_term_type *type;
    struct ph_term *next;
    double weight;
    const char *name;        /* of references: layer, or class as written; NULL for functions */
    int64_t unit;            /* channel */
    int64_t column, row;     /* of a neuron */
    int begin, end;          /* where it stands in the text */
    int units_begin, units_end; /* where a list of units or positions stands in the text; equal when there is one */
    struct ph_argument arguments[PH_MAX_PARAMETERS]; /* in the order of the type's parameters */
};

struct ph_objective {
    struct ph_pool pool;
    const char *text;
    struct ph_sum sum;
    const double *balances;  /* factors of the sum's regularisers, in their order; NULL: 1 */
};

ph_status ph_objective_parse(ph_context *context, const char *text, struct ph_objective *objective);
void ph_objective_finish(struct ph_objective *objective);
/* Whether one program can serve both, with other units, vectors or files for each item. */
bool ph_objective_alike(const struct ph_objective *a, const struct ph_objective *b);
/* Fails when a term names several units. */
ph_status ph_objective_check_single(ph_context *context, const struct ph_objective *objective);
/* Whether a term, or one inside another, is about the network joined under this name. */
bool ph_objective_names_network(const struct ph_objective *objective, const char *network);
/* Of the sum, not of terms inside others: those that 'auto-weight' balances. */
int ph_objective_regularisers(const struct ph_objective *objective);

/* Of the sum, likewise: the next term behind `term`, from the first when that is NULL, whose value has an end that can be
 * reached; *goal is that end. NULL: there is no further one. */
const struct ph_term *ph_objective_goal_next(const struct ph_objective *objective, const struct ph_term *term,
                                             double *goal);
int ph_objective_goals(const struct ph_objective *objective);

/* ---- The table ---------------------------------------------------------------------------------------------------- */

struct ph_term_type {
    const char *name;   /* what functions are called by */
    const char *form;   /* as in "LAYER:CHANNEL" */
    const char *help;
    bool function;      /* is written with parentheses */
    bool regulariser;   /* about the picture alone, to be subtracted */
    const char *keyword; /* of functions: the first argument by which it is told from another of its name */
    /* The value at which a term has reached what it is after; false where there is none. NULL: there never is. */
    bool (*goal)(const struct ph_term *term, double *value);
    struct ph_parameter parameters[PH_MAX_PARAMETERS + 1]; /* of functions; ends at the first without a name */
    /* Appends the values [N] of one term for each item; the terms differ in what ph_objective_alike lets differ. */
    ph_status (*build)(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out);
    const char *const *samples; /* NULL-terminated, for the embedded network; files are those the test makes */
};

extern const struct ph_term_type
    /* unit.c */ ph_term_channel, ph_term_neuron, ph_term_class, ph_term_probability, ph_term_shares, ph_term_others,
    /* layer.c */ ph_term_layer, ph_term_mean,
    /* direction.c */ ph_term_direction, ph_term_cosine,
    /* likeness.c */ ph_term_match, ph_term_content, ph_term_style, ph_term_caricature, ph_term_guide,
    /* batch.c */ ph_term_diversity, ph_term_align, ph_term_interpolate, ph_term_item,
    /* algebra.c */ ph_term_product, ph_term_reach,
    /* network.c */ ph_term_in,
    /* regulariser.c */ ph_term_tv, ph_term_tv_beta, ph_term_l1, ph_term_l2, ph_term_lp, ph_term_alpha_norm,
    ph_term_boundary, ph_term_blur, ph_term_distance, ph_term_opacity;
extern const struct ph_term_type *const ph_term_types[]; /* NULL-terminated */

/* ---- Building ----------------------------------------------------------------------------------------------------- */

/* Arrays and activations read from files, once for all graphs of a call; zeroed: empty. */
struct ph_references { struct ph_reference *first; };
void ph_references_finish(struct ph_references *references);

struct ph_objective_scope {
    const ph_model *model;
    struct ph_graph *graph;
    int picture;                    /* [N,C,H,W] in [0,1], PH_ABSENT where there is none */
    const struct ph_objective *objectives;
    int count;                      /* N */
    struct ph_references *references;
    /* What follows may be left out. */
    const ph_model *joining;        /* whose joined networks ph_networks_build put into the graph; NULL: none are there */
    int views;                      /* entries side by side that are of one picture; 0: 1 */
    int pictures;                   /* that one objective has, all of them in the scope; 0: 1 */
    const ph_picture *start;        /* that the render starts from */
    const struct ph_recipe *recipe; /* how pictures in files are seen ... */
    const struct ph_view *view;     /* ... and at which size; NULL: as the network's own input */
    int *errors;                    /* receives how far each term with a goal is from it, [N] */
    const struct ph_term **culprit; /* ph_objective_build's own: the innermost term that failed */
};

/* Appends the joined networks that `objective` names, each behind `seen`: what the model itself sees, [N,C,H,W] in [0,1]. */
ph_status ph_networks_build(const ph_model *model, const struct ph_objective *objective, struct ph_graph *graph, int seen);
/* Appends the values [N] of `count` objectives that are alike, one for each batch item. */
ph_status ph_objective_build(const struct ph_objective_scope *scope, int *value);
/* The same, and the parts that add up to it: parts[0] the sum without its regularisers, PH_ABSENT when it has no other
 * terms, and each of them, weighted. */
ph_status ph_objective_build_parts(const struct ph_objective_scope *scope, int *parts, int *value);

#endif
