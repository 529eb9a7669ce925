/* Going back through a network one operation at a time, with a rule of its own for each: what layer-wise relevance
 * propagation and DeepLift have in common. Where the engine's programs differentiate a whole graph
 * by one rule, a walk stops at every operation and lets the method decide; the products it needs run as small programs,
 * so at the kernels' rate. */
#ifndef PH_WALK_H
#define PH_WALK_H

#include "vis/attribution/subject.h"

/* The network for one input, batch-norm folded into convolutions. Values are indices in `graph`. */
struct ph_walk {
    ph_context *context;
    struct ph_graph *whole, *part, *graph; /* as built; what the objective needs; folded */
    struct ph_program *program;
    int input, value;
    float **activations; /* [values] NULL for constants */
    float **relevances;  /* [values] NULL where nothing has arrived */
};

ph_status ph_walk_start(struct ph_subject *subject, struct ph_walk *walk);
void ph_walk_finish(struct ph_walk *walk);

/* Computes every activation. */
ph_status ph_walk_forward(struct ph_walk *walk, const float *input);

/* What a node passes from its outputs to its inputs. */
typedef ph_status ph_walk_rule(struct ph_walk *walk, const struct ph_node *node, void *user);
/* Starts with `seed` at the objective and applies the rule to every node that relevance reaches, last first; out
 * [size of the input]. */
ph_status ph_walk_back(struct ph_walk *walk, float seed, ph_walk_rule *rule, void *user, float *out);

/* Adds count = size(value) numbers to what has arrived at `value`; constants take nothing. */
ph_status ph_walk_add(struct ph_walk *walk, int value, const float *relevance);

/* Weights as an operation sees them: each multiplied by one of two factors according to its sign, or set to 1. Biases
 * likewise. */
struct ph_walk_weights { double positive, negative, bias_positive, bias_negative; bool ones; };
extern const struct ph_walk_weights ph_walk_plain;

/* One node by itself, with other weights or inputs. */
struct ph_walk_call {
    struct ph_graph *graph;
    struct ph_program *program;
    const struct ph_node *node;
    int *inputs, *seeds, *outputs; /* values in `graph`; inputs PH_ABSENT for constants */
};
ph_status ph_walk_call_start(struct ph_walk *walk, const struct ph_node *node, const struct ph_walk_weights *weights,
                             struct ph_walk_call *call);
void ph_walk_call_finish(struct ph_walk_call *call);
/* inputs[i] NULL: the walk's activations. output: of output 0, may be NULL. */
ph_status ph_walk_call_forward(struct ph_walk *walk, struct ph_walk_call *call, const float *const *inputs,
                               float *output);
/* seeds[k]: what multiplies output k, NULL: nothing. After ph_walk_call_forward. */
ph_status ph_walk_call_backward(struct ph_walk *walk, struct ph_walk_call *call, const float *const *seeds);
/* Then: the product with respect to input i, NULL where there is none. */
const float *ph_walk_call_gradient(const struct ph_walk_call *call, int i);

/* The ordinary rule: what a gradient does. */
ph_status ph_walk_gradient(struct ph_walk *walk, const struct ph_node *node);
/* Hands output 0's relevance to the first computed input of the same shape, as it is. */
ph_status ph_walk_pass(struct ph_walk *walk, const struct ph_node *node);

/* Whether `operation` is in the NULL-terminated list. */
bool ph_operation_among(const struct ph_operation *operation, const struct ph_operation *const *list);

int64_t ph_walk_size(const struct ph_walk *walk, int value);
/* How many inputs are computed floats, and the first of them. */
int ph_walk_computed(const struct ph_walk *walk, const struct ph_node *node, int *first);

#endif
