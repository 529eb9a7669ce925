/* The plan: what runs in which order with which kernel, and where every tensor lies in the arena. */
#ifndef PH_PLAN_H
#define PH_PLAN_H

#include "exec/backend.h"
#include "exec/program.h"

/* One stretch of memory that holds a tensor in one layout. */
struct ph_storage {
    struct ph_shape shape;
    struct ph_layout layout;
    int parent;            /* PH_ABSENT, or the storage this one is a part of */
    size_t parent_offset;  /* floats from the parent's start */
    const float *external; /* a constant's contents; not in the arena */
    int first, last;       /* steps that touch it, parts included; kept at the root */
    bool exclusive;        /* shares its memory with nothing, zeroed once: halos, spare lanes, values fed from outside */
    size_t offset;         /* floats into the arena, roots only */
    bool of_lane;          /* of an item alone while it goes through a stretch: each lane has its own; kept at the root */
    bool half;             /* elements of 16 bits; kept at the root, and only where the backend's engine says so */
};

enum ph_step_kind { PH_STEP_KERNEL, PH_STEP_CONVERT, PH_STEP_ADD, PH_STEP_ZERO };

struct ph_step {
    enum ph_step_kind kind;
    bool backward;
    const struct ph_kernel *kernel;
    int node;
    const char *key;       /* by which a profile chooses the kernel; NULL: there is no profile, or nothing to choose */
    int from, to;          /* storages of a conversion, an addition or a zeroing */
    const struct ph_node **joined; /* [output_count] nodes that it stands for, each with one output; NULL: `node` alone */
    int output_count;
    int *inputs, *outputs, *output_gradients, *input_gradients; /* storages, PH_ABSENT where there is none */
    bool *accumulate;
    int saved;             /* storage of what the node's forward kernel leaves for its backward one; PH_ABSENT: nothing */
    int gate;              /* storage of the value whose ReLU the gradient of input 0 is cut off at; PH_ABSENT: none */
    float gate_ceiling;
    int made;              /* value that a forward convolution makes in place of its output: the sum of that and of what lies
                            * in storage `summand`, or the ReLU of the sum; PH_ABSENT: its output */
    int summand;
    const float *scale;    /* of the normalisation in front of the node, whose input's gradient the step writes; NULL: none */
    void *packed;
    struct ph_operand from_operand, to_operand;
    struct ph_kernel_call call; /* ready to run once memory is placed */
    struct ph_step *item_steps; /* [items] the same for one item each, in a stretch that is run item by item (plan/items.c) */
    int64_t items;              /* at the first step of such a stretch: of the batch; else 0 */
    int items_end;              /* the step behind the stretch */
    double milliseconds;        /* filled in by profiling */
};

struct ph_plan {
    struct ph_pool pool;
    struct ph_storage *storages;
    int storage_count, storage_capacity;
    struct ph_step *steps;
    int step_count, step_capacity, forward_count;
    int *home;             /* [values] storage a value is made in, PH_ABSENT where not stored */
    int *gradient;         /* [values] storage of its gradient */
    int *tap;              /* [values] plain storage that still holds it after the run, for taps */
    int lanes;             /* items that go through a stretch side by side, each on a thread of its own; 1: none do */
    size_t arena_floats, lane_floats; /* all of it, and what ends it, once for each lane */
    size_t scratch_floats, item_scratch_floats; /* of steps that all threads share, and of an item's on one thread */
    size_t constant_bytes;
};

/* `graph` must outlive the plan. parameters and taps are its value indices. */
ph_status ph_plan_create(const struct ph_graph *graph, const struct ph_backend *backend, const int *taps, int tap_count,
                         int loss, const int *parameters, int parameter_count, bool whole, struct ph_plan *plan);
/* Places every storage and fills in the calls' pointers. `arena` holds arena_floats + scratch_floats. */
ph_status ph_plan_bind(const struct ph_graph *graph, struct ph_plan *plan, float *arena);
void ph_plan_finish(struct ph_plan *plan);

/* Test hook: while on, every tensor of a new plan has memory of its own with zeros before and behind it. Whether they are
 * still there in a program that has run. */
enum { PH_GUARD = 64 }; /* floats on either side */
void ph_plan_guard(bool on);
/* Test hook: while on, with PH_FP16 every tensor is of 16 bits that can be, wherever in the graph it stands. */
void ph_plan_halve(bool on);
bool ph_program_is_intact(const struct ph_program *program);

/* plan/gates.c: has the step that has written the gradient of `value` last cut it off where the value's ReLU does, if its kernel
 * can and nobody reads what is cut off but those who would do so themselves. Whether it has. */
bool ph_gate_put(const struct ph_graph *graph, struct ph_plan *plan, int value);
/* Test hook: while off, it never has. */
void ph_plan_gates(bool on);

/* Test hook: while off, no convolution makes the sum behind it. */
void ph_plan_sums(bool on);
/* Test hook: while off, every node has steps of its own. */
void ph_plan_joins(bool on);

/* For tune.c. A program made without looking at whether its kernels are to be measured; its plan; one run of all steps, with
 * the seconds of each added to [steps]: inside a parallel region, of steps that run on the host. */
ph_status ph_program_build(const struct ph_graph *graph, const struct ph_program_request *request,
                           const struct ph_backend *backend, struct ph_program **program);
const struct ph_plan *ph_program_plan(const struct ph_program *program);
void ph_program_time(const struct ph_program *program, double *seconds);

/* plan/items.c: marks stretches of steps that are run item by item, before memory is placed, and puts the steps in an order that
 * allows them; with `whole`, across forward and backward. Makes the steps of each item afterwards. */
ph_status ph_items_find(const struct ph_graph *graph, struct ph_plan *plan, bool whole);
ph_status ph_items_bind(const struct ph_graph *graph, struct ph_plan *plan);
/* How many of a stretch's items go through it on a thread of their own, item n in lane n % lanes; the others follow, one by
 * one, each on all threads. */
int64_t ph_items_alone(const struct ph_plan *plan, int64_t items);
/* Test hook: while on, stretches begin at tensors of any size. */
void ph_items_force(bool on);

/* Floats of memory that a storage takes. */
size_t ph_storage_floats(const struct ph_storage *storage);
int ph_storage_root(const struct ph_plan *plan, int storage, size_t *offset);

#endif
