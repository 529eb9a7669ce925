/* What a backend is: an ordered list of kernels. The planner (plan.c) asks them, fastest first, which takes a node in a
 * direction, and gives every tensor a place in the layout the chosen kernels want. */
#ifndef PH_BACKEND_H
#define PH_BACKEND_H

#include "exec/choice.h"
#include "graph/operations.h"

/* How a tensor lies in memory. Plain: row-major. Blocked: [N,C,H,W] as [N][C/block][H+2 halo][W+2 halo][block]; the halo
 * and the lanes behind the last channel hold zeros. Blocked tensors have rank 4. */
enum ph_layout_kind { PH_LAYOUT_PLAIN, PH_LAYOUT_BLOCKED };
struct ph_layout {
    enum ph_layout_kind kind;
    int block, halo;
    int64_t row, plane, item; /* strides in floats: of a row, of a block of channels, of a batch item */
};

struct ph_operand {
    float *data;                   /* NULL: absent, not stored, or no gradient wanted */
    const struct ph_shape *shape;
    struct ph_layout layout;
};

enum { PH_MOST_JOINED = 8 };

/* What a kernel is asked about, before any memory exists. */
struct ph_kernel_query {
    const struct ph_graph *graph;
    const struct ph_node *node;
    bool backward;
    int block;              /* lanes of a blocked layout */
    bool blocked_input;     /* input 0 is made in the blocked layout */
    unsigned wanted;        /* backward: bit i set where the gradient of input i is wanted */
    int threads;
    const char *details;    /* what a profile keeps beside the kernel's name; NULL: nothing */
    /* Of a kernel that joins: the nodes that one step stands for, `node` the first of them; at most PH_MOST_JOINED. 0: it
     * alone. */
    const struct ph_node *const *joined;
    int joined_count;
};

struct ph_kernel_call {
    const ph_context *context;
    const struct ph_node *node;
    const struct ph_node *const *joined; /* as in the query: output i and its gradient are of joined[i]; NULL: of `node` */
    const void *packed;            /* what pack() made of the constants */
    float *scratch;                /* scratch() floats */
    struct ph_operand *inputs, *outputs;
    struct ph_operand *output_gradients, *input_gradients;
    struct ph_operand saved;       /* of the forward kernel for the backward one, plain, [items, saved()]; data NULL: not wanted */
    const bool *accumulate;        /* [inputs] backward: add to the gradient instead of writing it */
    /* Backward, of a kernel that gates: input 0 itself, blocked; its gradient is to be 0 where that is not between 0 and the
     * ceiling, what was there before included. Data NULL: nowhere. */
    struct ph_operand gate;
    float gate_ceiling;
    /* Backward, of a kernel that scales: by what the gradient of input 0 is multiplied, [channels rounded up to blocks]; then the
     * gate cuts off the product alone, and not what it is added to. NULL: 1. */
    const float *scale;
    /* Forward, of a kernel that adds: what is added to the output, blocked and of its shape, and whether a ReLU comes behind
     * that. Data NULL: nothing. */
    struct ph_operand summand;
    bool rectified;
    struct ph_call plain;          /* the same for the operation's plain functions; all operands plain */
};

struct ph_plan;
struct ph_recorder; /* an engine's list of commands in the making */

struct ph_kernel {
    const char *name;                     /* "direct", printed with the plan */
    const struct ph_operation *operation; /* NULL: any */
    bool backward;
    bool by_item;                         /* items of the batch may be run one after the other, each as a batch of one */
    bool adds;                            /* forward of a convolution: adds to what it writes, see ph_kernel_call */
    bool gates;                           /* backward: cuts off what it writes, see ph_kernel_call */
    bool gates_by_output;                 /* gates what it does not add to anything by its own output: the call's gate says that
                                           * and how, but its data may have been overwritten */
    bool scales;                          /* backward: multiplies what it writes channel by channel, see ph_kernel_call */
    bool gated;                           /* backward of an operation with a ReLU: does not need its output where the gradient
                                           * comes cut off already, and then is not given it */
    enum ph_layout_kind input, output;    /* layouts of inputs and outputs, and of their gradients alike; not of constants */
    bool (*accepts)(const struct ph_kernel_query *query);     /* NULL: always */
    /* Whether the step of the node can stand for another node too, of the same input and with one output, that the kernel
     * accepts; gradients of all the outputs then lie with the same halo. NULL: never. */
    bool (*joins)(const struct ph_kernel_query *query, const struct ph_node *other);
    /* Zeros wanted around the operand it reads (forward: input 0; backward: gradient of output 0). NULL: none. */
    int (*halo)(const struct ph_kernel_query *query);
    /* Bytes of packed constants and the packing itself, once, when the program is planned. NULL: none. */
    size_t (*packed_bytes)(const struct ph_kernel_query *query);
    void (*pack)(const struct ph_kernel_query *query, void *packed);
    size_t (*scratch)(const struct ph_kernel_query *query);   /* floats; NULL: none */
    /* Floats for each item that a forward kernel leaves for a backward kernel that says the same. NULL: none. */
    size_t (*saved)(const struct ph_kernel_query *query);
    /* Undoes what pack() took beyond its bytes. NULL: nothing. */
    void (*unpack)(void *packed);
    /* Of kernels that are for profiles alone: what a measurement of their own finds for the node, one line of printable ASCII
     * that accepts() and pack() get as the query's details. A new string; NULL: nothing was found. */
    char *(*tune)(const struct ph_kernel_query *query);
    void (*run)(const struct ph_kernel_call *call);
    /* Backward: which stored tensors it reads (PH_READS_...). NULL: what the operation declares. */
    unsigned (*reads)(const struct ph_kernel_query *query);
    /* Instead of run, where the backend has an engine: appends the step's commands. The call's pointers stand for places in
     * the engine's memory and must not be followed. */
    ph_status (*record)(const struct ph_kernel_call *call, struct ph_recorder *recorder);
};

/* Runs a plan's steps elsewhere than on the host, in a memory of its own. The arena of the program is then the place where
 * values fed from outside are taken from and taps and gradients of parameters are brought to. */
struct ph_engine {
    /* `arena` holds what the memory begins with. `loop`, with values of `graph`: steps to be made ready for; NULL: none, as
     * always where there is no loop_start. It is copied; its errors are read at once. */
    ph_status (*create)(const struct ph_graph *graph, const struct ph_plan *plan, const struct ph_loop *loop, const float *arena,
                        void **state);
    void (*destroy)(void *state);
    /* The forward steps, or the backward ones; what they are to bring is in `arena` afterwards. */
    ph_status (*run)(void *state, bool backward, float *arena);
    int (*dispatches)(const void *state); /* that its steps are made of */
    /* One run of all steps, with the milliseconds of each. */
    ph_status (*time)(void *state, double *milliseconds);
    /* Test hook: all of the memory that stands for the arena. */
    ph_status (*read)(void *state, float *arena);
    /* Steps of an optimiser (program.h). NULL: it makes none. */
    ph_status (*loop_start)(void *state, const float *arena);
    ph_status (*loop_submit)(void *state, int64_t first, int *steps, bool look, const float *arena);
    ph_status (*loop_collect)(void *state, struct ph_loop_report *reports, float *arena);
    ph_status (*loop_fetch)(void *state, float *arena);
};

struct ph_backend {
    const char *name, *help;
    /* Ordered list for this context (instruction set), ending with NULL. */
    const struct ph_kernel *const *(*kernels)(const ph_context *context, int *block);
    /* Bit set of enum ph_precision besides PH_FP32, which every one has; NULL: none. */
    unsigned (*precisions)(const ph_context *context);
    unsigned rewrites; /* graph passes that are run first, PH_REWRITE_... (passes.h) */
    bool tunes;    /* a profile may choose among its kernels, which run on the host */
    const struct ph_engine *engine; /* NULL: the steps run on the host */
    /* Devices the backend can run on, for a catalogue; false behind the last. NULL: it needs none. */
    bool (*device)(int index, char *name, size_t name_size, char *help, size_t help_size);
    ph_status (*open)(ph_context *context);      /* the context's device, once; NULL: it needs none */
    /* What is assumed of what was opened, for the choice between backends. NULL: it is never chosen. */
    struct ph_rates (*rates)(const ph_context *context);
    /* What decides about the bytes of a picture: "cpu/avx2". NULL: the name alone. */
    void (*profile)(const ph_context *context, char *text, size_t size);
    /* GFLOP/s of fused multiply-adds in float, measured; 0: not known. NULL: nothing measures it. */
    double (*peak)(const ph_context *context);
};

/* The context's choice: "auto" becomes, for this job and for good, the name of a backend. job NULL where it is not "auto". */
ph_status ph_backend_resolve(ph_context *context, const struct ph_job *job, const struct ph_backend **backend);
ph_status ph_backend_find(ph_context *context, const char *name, const struct ph_backend **backend);
bool ph_backend_has_precision(const ph_context *context, const struct ph_backend *backend, enum ph_precision precision);
/* Whether the backend that the context chose has the precision and the profile that were asked for; one that is named for a
 * single program computes as it can. */
ph_status ph_backend_check(ph_context *context, const struct ph_backend *backend);
/* Of the backend whose programs the context runs. */
void ph_backend_profile(const ph_context *context, char *text, size_t size);
/* The same of a backend that was named for a program. */
void ph_backend_level(const struct ph_backend *backend, const ph_context *context, char *text, size_t size);

extern const struct ph_backend *const ph_backends[]; /* NULL-terminated; the first is the default */
extern const struct ph_backend ph_backend_plain;

/* The operation's own plain functions: every list ends with these two. */
extern const struct ph_kernel ph_kernel_plain_forward, ph_kernel_plain_backward;

/* Strides of a tensor of this shape in a layout of this kind. */
struct ph_layout ph_layout_make(enum ph_layout_kind kind, const struct ph_shape *shape, int block, int halo);
/* Floats a tensor takes. */
size_t ph_layout_size(const struct ph_layout *layout, const struct ph_shape *shape);
/* Copies (or adds) a tensor from one layout to another; the halo of the target is not touched, its spare lanes stay zero. */
void ph_layout_convert(const ph_context *context, const struct ph_operand *from, const struct ph_operand *to, bool add);

#endif
