/* What the files beside this one know together while they make a plan, and what each finds out or adds, in the order in which
 * ph_plan_create (plan.c) asks them: first what is true of nodes and values, then steps and the storages that they touch, last
 * where in memory those lie. */
#ifndef PH_PLANNER_H
#define PH_PLANNER_H

#include "exec/plan.h"
#include "exec/profile.h"

/* What is known of a node in respect of sums that convolutions make (sums.c). */
struct ph_sum {
    int convolution; /* of a sum: the one that makes it, in a step of the sum's place; PH_ABSENT: none */
    int made;        /* value that the step makes: the sum, or the ReLU of it */
    bool within;     /* of a convolution, a ReLU: that step does its part too */
};

struct ph_planner {
    struct ph_pool pool;                   /* of the lists below */
    const struct ph_graph *graph;
    struct ph_graph item;                  /* the same with the shapes of a batch of one, to ask kernels about */
    struct ph_plan *plan;
    ph_context *context;
    const struct ph_kernel *const *kernels;
    const char *backend;
    struct ph_profile *profile;            /* NULL: the order of the list decides alone */
    char level[300];                       /* ph_backend_level */
    const char **keys;                     /* [2 nodes], forward and backward: what the profile knows a node by */
    int block;
    int loss;
    bool halves;                           /* tensors may be of 16 bits */
    bool *needs;                           /* [values] a gradient is wanted: leads from a parameter to the loss */
    const struct ph_kernel **forward, **backward; /* [nodes]; NULL: nothing to run */
    int *forward_halo, *backward_halo;     /* [values] zeros wanted around value and gradient */
    int *last_use;                         /* [values] last node that reads it; PH_ABSENT: none */
    int *readers;                          /* [values] nodes' inputs that it is */
    bool *kept;                            /* [values] read from outside, or its gradient is */
    struct ph_sum *sums;                   /* [nodes] */
    int *lead;                             /* [nodes] the first of those that one step stands for, itself among them; PH_ABSENT:
                                            * it has steps of its own */
    int *slice_of;                         /* [values] concatenation node whose output this value is made inside of */
    int *other;                            /* [values] storage of the value in its other layout */
    int *saved;                            /* [nodes] storage of what the forward kernel leaves for the backward one */
    bool *written;                         /* [storages at the time of backward] gradient has been written; grown */
    int written_capacity;
    int *plain_constant;                   /* [values] storage of a constant as floats */
};

/* ---- needs.c: who needs what ------------------------------------------------------------------------------------- */

/* Whether the operation hands a gradient on to this input of its. */
bool ph_passes_gradient(const struct ph_operation *operation, int input);
/* needs[v]: v depends on a parameter, and the loss depends on v, through operations that pass a gradient. */
ph_status ph_needs_mark(struct ph_planner *p, const int *parameters, int parameter_count);
/* readers and last_use. */
void ph_readers_count(struct ph_planner *p);

/* ---- kernels.c: which kernel makes each node, forward and backward ----------------------------------------------- */

struct ph_kernel_query ph_query_make(const struct ph_planner *p, const struct ph_node *node, bool backward);
ph_status ph_kernels_choose(struct ph_planner *p);
/* Stored tensors that the backward of the node reads, PH_READS_...; 0 where there is none. */
unsigned ph_backward_reads(const struct ph_planner *p, int n);

/* ---- layouts.c: in which layout each value and gradient lies, with which halo ------------------------------------ */

/* Whether the node joins channels so that its inputs can be made in their places in its output. */
bool ph_is_channel_concat(const struct ph_planner *p, const struct ph_node *node);
/* Layout in which the value is made: that of its producer's kernel. */
enum ph_layout_kind ph_value_kind(const struct ph_planner *p, int value);
/* Layout in which a gradient lives: what the backward kernel of the value's producer reads. */
enum ph_layout_kind ph_gradient_kind(const struct ph_planner *p, int value);
/* A sum whose inputs' gradients are its own: blocked, so that they may share one memory. */
bool ph_is_blocked_sum(const struct ph_planner *p, const struct ph_node *node);
/* A ReLU by itself, blocked, whose input nobody else reads: where the output's gradient comes cut off already, it is the
 * input's too. */
bool ph_is_blocked_relu(const struct ph_planner *p, int n);
/* Which values are made inside of a concatenation of theirs; later concatenations own earlier ones. */
void ph_slices_find(struct ph_planner *p);
/* As wide as the kernels that read a tensor want, and those that share memory with it. */
void ph_halos_find(struct ph_planner *p);

/* ---- joins.c: steps that stand for several nodes ----------------------------------------------------------------- */

/* The step stands in the first one's place, forward, where their input has been made, and backward, where all that reads any of
 * their outputs is done. */
void ph_joins_find(struct ph_planner *p);
/* Whether the step of another node stands for this one. */
bool ph_node_is_led(const struct ph_planner *p, int n);

/* ---- sums.c: sums that convolutions make ------------------------------------------------------------------------- */

/* The step stands in the sum's place, where the other operand has been made. Of two convolutions the later one makes the sum:
 * what the earlier reads need not be kept until then. */
void ph_sums_find(struct ph_planner *p);

/* ---- storages.c: stretches of memory that hold tensors, and which steps touch them ------------------------------- */

/* These four return the storage's index, PH_ABSENT without memory. */
int ph_storage_add(struct ph_planner *p, struct ph_storage storage);
int ph_storage_make(struct ph_planner *p, const struct ph_shape *shape, enum ph_layout_kind kind, int halo);
/* The parent's memory, from `offset` floats on, under another shape. */
int ph_storage_alias(struct ph_planner *p, int parent, const struct ph_shape *shape, size_t offset, bool blocked);
/* The part of a concatenation's storage, `whole`, that its input i has. */
int ph_slice_make(struct ph_planner *p, int whole, const struct ph_node *concat, int i);
enum ph_layout_kind ph_storage_kind(const struct ph_planner *p, int storage);
/* PH_ABSENT: nothing happens. */
void ph_storage_touch(struct ph_planner *p, int storage, int step);
/* Fed from outside: shares its memory with nothing and lives through every step. */
void ph_storage_keep(struct ph_planner *p, int storage);

/* ---- steps.c: what each step is ---------------------------------------------------------------------------------- */

/* A kernel step with all operand lists absent. */
ph_status ph_step_make(struct ph_planner *p, int n, const struct ph_kernel *kernel, bool backward, struct ph_step *step);
/* The value that is output i of the step. */
int ph_step_output(const struct ph_planner *p, const struct ph_step *step, int i);
/* What the step's kernel makes of constants, and the scratch that it needs. */
ph_status ph_step_pack(struct ph_planner *p, struct ph_step *step);
/* Puts it behind the others. */
ph_status ph_step_add(struct ph_planner *p, struct ph_step step);
/* A step that writes, or adds, to storage `to` what lies in `from`. */
ph_status ph_conversion_add(struct ph_planner *p, bool backward, int n, int from, int to, bool add);

/* ---- values.c: where values are made, and read in either layout -------------------------------------------------- */

/* Storage of a value that is made: its own, or its slice of a concatenation's. */
ph_status ph_home_make(struct ph_planner *p, int value);
/* Storage of the value in the layout a kernel wants; converts it, for node n, when it is not there yet. */
ph_status ph_value_in(struct ph_planner *p, int value, enum ph_layout_kind kind, bool backward, int n, int *storage);

/* ---- forward.c --------------------------------------------------------------------------------------------------- */

ph_status ph_forward_add(struct ph_planner *p, int n);

/* ---- gradients.c: where gradients live, and who writes to them first --------------------------------------------- */

/* The concatenation inside whose gradient this value's gradient can live: others that write to it come later and add. The
 * loss's gradient is ones that every run begins with, to which nothing may be added. PH_ABSENT: none. */
int ph_gradient_slice(const struct ph_planner *p, int value);
ph_status ph_gradient_make(struct ph_planner *p, int value);
/* Whether it had been written `before`; it has been now. */
ph_status ph_gradient_write(struct ph_planner *p, int value, bool *before);
/* False for PH_ABSENT. */
bool ph_has_gradient(const struct ph_planner *p, int value);

/* ---- shares.c: gradients that take over the memory of others ----------------------------------------------------- */

/* The gradient of a sum is that of either input. One that nothing has been written to takes over its memory; both do where
 * the first is read before the second is added to: so a residual connection costs nothing. */
ph_status ph_sum_gradients_share(struct ph_planner *p, int n);
/* Whether the gradient of a ReLU's input has become that of its output. */
bool ph_relu_gradients_share(struct ph_planner *p, int n);

/* ---- scales.c: normalisations that the step behind them makes, backward ------------------------------------------ */

/* Whether the last step, which makes the gradient of the scale's output, has come to make that of its input instead. */
ph_status ph_scale_absorb(struct ph_planner *p, int n, bool *absorbed);

/* ---- backward.c -------------------------------------------------------------------------------------------------- */

ph_status ph_backward_add(struct ph_planner *p, int n);

/* ---- halves.c: tensors of 16 bits -------------------------------------------------------------------------------- */

/* A storage is of 16 bits if every value in it is. */
ph_status ph_halves_mark(struct ph_planner *p);

/* ---- arena.c: where storages lie in memory ----------------------------------------------------------------------- */

/* Lanes may be at different steps, and share nothing. */
ph_status ph_arena_place(const struct ph_planner *p);

#endif
