/* The network and the objective that are being explained, as functions of the prepared input: values and gradients of
 * many inputs in batches, and what passes through one inner layer. Everything else in this folder is arithmetic on
 * these. */
#ifndef PH_SUBJECT_H
#define PH_SUBJECT_H

#include "vis/vis.h"

enum { PH_SUBJECT_BATCH = 16 };

/* Inputs that a measure makes of one input, whose values do not depend on what is measured. */
enum ph_subject_series { PH_SERIES_SUBSETS, PH_SERIES_NOISY, PH_SERIES_COUNT };

/* Programs are made when first needed and kept. */
struct ph_subject {
    const ph_model *model;
    ph_context *context;
    const struct ph_objective *objective;
    struct ph_shape shape; /* of one input, [1,C,H,W] */
    size_t size;           /* its elements */
    int forgotten;         /* how many layers' weights are drawn anew, counted from the output */
    struct ph_subject_run { struct ph_graph *graph; struct ph_program *program; int input, value; }
        one, batch, one_gradient, batch_gradient, guided, deconvolution;
    struct ph_subject_layer *layer; /* the last one that was asked for */
    struct ph_subject_kept { float *input; double *values; } kept[PH_SERIES_COUNT]; /* of the last input */
};

void ph_subject_start(const ph_model *model, const struct ph_objective *objective, const struct ph_shape *shape,
                      struct ph_subject *subject);
void ph_subject_finish(struct ph_subject *subject);

/* Writes input `index` [C,H,W]; called from several threads at once. */
typedef void ph_subject_fill(void *user, int index, float *input);
/* Takes input `index`'s value and gradient [C,H,W] (NULL where none was asked for), in order of index. False stops. */
typedef bool ph_subject_visit(void *user, int index, float value, const float *gradient);

/* Runs inputs 0 to count - 1. PH_ERROR_CANCELLED when a visit said so. */
ph_status ph_subject_run(struct ph_subject *subject, int count, bool gradients, ph_subject_fill *fill,
                         ph_subject_visit *visit, void *user);
/* One input: its value, and its gradient unless NULL. */
ph_status ph_subject_evaluate(struct ph_subject *subject, const float *input, float *value, float *gradient);
/* The gradient of one input with another rule at rectifiers: PH_RULE_GUIDED or PH_RULE_DECONVOLUTION. */
ph_status ph_subject_evaluate_ruled(struct ph_subject *subject, enum ph_backward_rule rule, const float *input,
                                    float *gradient);
/* Values of the `count` inputs of a series that `fill` makes of `input`, which are not run again for the same input;
 * the subject's own. `progress` is told how many are done and stops the runs when false; may be NULL. */
ph_status ph_subject_values(struct ph_subject *subject, enum ph_subject_series series, const float *input, int count,
                            ph_subject_fill *fill, bool (*progress)(void *user, int done), void *user,
                            const double **values);

/* Appends network and objective for `count` inputs to an empty graph. `objective_first` receives the number of values
 * before those of the objective itself. */
ph_status ph_subject_build(const struct ph_subject *subject, int count, struct ph_graph *graph, int *input, int *value,
                           int *objective_first);

/* The layers with weights that the objective depends on, from the output down: names in `pool`, *count of them. */
ph_status ph_subject_weights(const struct ph_subject *subject, struct ph_pool *pool, const char ***names, int *count);

/* ---- An inner layer ---------------------------------------------------------------------------------------------- */

/* The network with a tensor added to one layer, 0 unless set: its gradient is the layer's. */
struct ph_subject_layer {
    ph_context *context;
    char *asked, *name; /* as it was asked for, and what it is */
    bool spatial;
    struct ph_graph *graph, *spliced;
    struct ph_program *program;
    int input, layer, delta, value;
    struct ph_shape shape; /* of the layer, [1,K,h,w] or [1,K] */
    size_t size;
};

/* `name` NULL: the last layer with channels and positions that the objective depends on. With `spatial` a layer without
 * positions is an error. The layer is the subject's, and good until the next call. */
ph_status ph_subject_layer_take(struct ph_subject *subject, const char *name, bool spatial,
                                struct ph_subject_layer **layer);
/* The layer's values and their gradient, each [size], may be NULL. `delta` [size] is added to the values; NULL:
 * nothing. */
ph_status ph_subject_layer_run(struct ph_subject_layer *layer, const float *input, const float *delta, float *value,
                               float *activations, float *gradient);

#endif
