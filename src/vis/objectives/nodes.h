/* What builders of terms have in common: short doors to graph nodes, arguments as graph values, files as constants. */
#ifndef PH_OBJECTIVES_NODES_H
#define PH_OBJECTIVES_NODES_H

#include "vis/objective.h"

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

ph_status ph_term_binary(struct ph_graph *graph, const struct ph_operation *operation, int a, int b, int *out);
ph_status ph_term_unary(struct ph_graph *graph, const struct ph_operation *operation, int x, int *out);
/* x and a number. */
ph_status ph_term_number(struct ph_graph *graph, const struct ph_operation *operation, int x, double number, int *out);
/* Over the axes [first, last); they are dropped, or kept with size 1. */
ph_status ph_term_reduce(struct ph_graph *graph, const struct ph_operation *operation, int x, int first, int last,
                         bool keep, int *out);
/* Over everything but the batch axis: [N,...] to [N]. */
ph_status ph_term_items_reduce(struct ph_graph *graph, const struct ph_operation *operation, int x, int *out);
ph_status ph_term_items_mean(struct ph_graph *graph, int x, int *out);
ph_status ph_term_reshape(struct ph_graph *graph, int x, struct ph_shape shape, int *out);
/* x to a constant power above 0; x is not negative. */
ph_status ph_term_power(struct ph_graph *graph, int x, double power, int *out);
/* Elements [start, start + size) along one axis. */
ph_status ph_term_slice(struct ph_graph *graph, int x, int axis, int64_t start, int64_t size, int *out);
/* A number for each item, shaped to multiply a value of this rank: [N,1,...]. */
ph_status ph_term_item_numbers(const struct ph_objective_scope *scope, const float *numbers, int rank, int *out);

/* ---- Layers -------------------------------------------------------------------------------------------------------- */

/* The layer, which must have one entry for each batch item. */
ph_status ph_term_layer_find(const struct ph_objective_scope *scope, const char *name, int *value);
/* Argument `index`, a layer, all of it or the region that is named. */
ph_status ph_term_layer_argument(const struct ph_objective_scope *scope, const struct ph_term *term, int index,
                                 int *value);
/* The same as [N,C,P], P being its positions: 1 for layers without. */
ph_status ph_term_layer_flat(const struct ph_objective_scope *scope, const struct ph_term *term, int index, int *value);
/* The channel and the region of a value [N,C,H,W] that an argument names; the value itself when it names none. */
ph_status ph_term_region(const struct ph_objective_scope *scope, const struct ph_argument *layer, int value, int *out);

/* ---- Other arguments ------------------------------------------------------------------------------------------------ */

/* The goal of terms that are minus a distance. */
bool ph_term_goal_zero(const struct ph_term *term, double *value);
double ph_term_number_argument(const struct ph_term *term, int index);
/* Argument `index`, an expression, for every item. */
ph_status ph_term_expression(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int index,
                             int *out);
/* How many pictures the objective has; fails when it is one. */
ph_status ph_term_pictures(const struct ph_objective_scope *scope, const struct ph_term *term, int *pictures);
/* Which of them entry `n` is of, from 0. */
int ph_term_picture_of(const struct ph_objective_scope *scope, int n);

/* ---- reference.c: files ------------------------------------------------------------------------------------------- */

/* An array; stays valid as long as scope->references. */
ph_status ph_term_array(const struct ph_objective_scope *scope, const char *path, const ph_tensor **tensor);
/* What a layer makes of a picture: seen as the picture in work is, or as the network's own input. */
enum ph_reference_size { PH_REFERENCE_AS_SEEN, PH_REFERENCE_OWN_INPUT };
ph_status ph_term_activations(const struct ph_objective_scope *scope, const char *path, const char *layer,
                              enum ph_reference_size size, const ph_tensor **tensor);
/* What argument `file` of each item holds for the layer of argument `layer`, as a constant shaped like the layer's (the
 * region's) value, [1,...] when all items name the same file and [N,...] else. A picture or, where `arrays` are allowed,
 * an .npy file. */
ph_status ph_term_target(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int layer, int file,
                         bool arrays, int *target);
/* Argument `mask` of each item, not negative, likewise; of an array's axes the channels may be missing. PH_ABSENT when it is
 * not given. */
ph_status ph_term_mask(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int layer, int mask,
                       int *out);
/* Argument `vector` of each item for the layer of argument `layer` with `channels` channels; vectors[N * channels]. */
ph_status ph_term_vectors(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int layer,
                          int vector, int64_t channels, float *vectors);

#endif
