/* Small random networks, and how backends and instruction sets are held to the operations' plain functions by them: what the
 * families of kernels' tests (kernels_*.c) share. */
#ifndef NETWORKS_H
#define NETWORKS_H

#include "exec/plan.h"
#include "graph/operations.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Every test, in the order in which they draw: new ones come last, so that the draws of the others stay what they are. */
#define KERNEL_TESTS(X) \
    X(convolutions) X(channel_scale) X(depthwise) X(first_layers) X(networks) X(cut_off_gradients) \
    X(rows_and_volumes) X(concatenation_as_loss) X(picked_channels) X(redirected) X(operation_cases) \
    X(matrix_products) X(products_of_any_shape) X(many_axes) X(fourier) X(bfloat16) X(matrices) X(sums) \
    X(large_maps) X(few_tiles) X(narrow_maps) X(skipped_positions) X(joined) X(response_norms) X(maxima_of_three) \
    X(warps) X(movement) X(layer_norms) X(softmaxes) X(broadcasts) X(small_maps) X(groups) X(gated_maps) \
    X(picked_outputs) X(normed_pools) X(lines) X(large_views)

#define DECLARE_TEST(name) void test_##name(void **state);
KERNEL_TESTS(DECLARE_TEST)
/* By itself, with the argument "tiles". */
void test_tiles(void **state);

extern struct ph_random_key key; /* of the next draw */
extern bool halves; /* the second argument is fp16: every number that is fed or constant is one of 16 bits */
extern int checks; /* every other one with guard bands around each tensor, the rest with shared memory */
extern const char *device_backend; /* the program's argument; NULL: the CPU's instruction sets */
extern int done, refused; /* networks held to the plain ones; with an operation that the device refuses */
extern enum ph_precision asked; /* of the CPU */
/* The units that multiply bfloat16 factors: tiles in plain C everywhere, the others where the processor has them. */
extern const enum ph_instruction_set bfloat16_units[3];

struct network {
    ph_context *context;
    struct ph_graph *graph;
    union { int input, inputs[PH_CASE_INPUTS]; }; /* fed, and their gradients wanted; the first is most tests' only one */
    int input_count, last;
    bool silent;  /* no gradient passes: forward alone */
    bool chooses; /* ReLUs and maxima of what was computed, not fed, decide about gradients */
    float *constants[64];
    int constant_count;
};

struct result { float *value, *gradient; };

/* From low to high, both included. */
int draw(int low, int high);
/* To 16 bits, where all numbers are of those. */
void round_numbers(float *values, int64_t count);
/* Normal numbers, to be freed. */
float *noise(int64_t count);
/* Normal numbers times `scale`. */
int constant(struct network *net, struct ph_shape shape, double scale);
struct ph_shape shape_of(const struct network *net, int value);
/* Of all that is fed: numbers lie one input behind the other. */
int64_t fed_size(const struct network *net);
/* One more input. */
int feed(struct network *net, struct ph_shape shape);
void network_start(struct network *net, ph_context *context, struct ph_shape shape);
int node(struct network *net, const struct ph_operation *operation, const void *attributes, const int *inputs, int count);
/* With pads of any width up to half the kernel. */
int convolution(struct network *net, int input, int outputs, int kernel_y, int kernel_x, int stride, int dilation,
                int groups, bool bias);
/* How often a test draws: a device that is a processor, as in continuous integration, takes long over each. */
int rounds(int count);
/* What a device refuses by name is counted and gives no result; the CPU refuses nothing. */
struct result run(struct network *net, const char *backend, const float *input, bool guards);
/* Relative to b, or to elements of `least` where those are less. */
double distance(const float *a, const float *b, int64_t count, double least);
/* On `backend`, held to what the plain one makes. */
void compare(struct network *net, const char *backend, const char *name, const char *what, double tolerance,
             const struct result *plain, const float *input);
/* Frees the input too. */
void network_finish(struct network *net, float *input);
/* Runs the network everywhere and compares; then frees it. */
void check_with(struct network *net, const char *what, double tolerance, float *input);
/* With normal numbers. */
void check(struct network *net, const char *what, double tolerance);
int batch_norm(struct network *net, int input);
void print_plan(struct network *net, const char *backend, struct ph_text *text);
/* The same bytes by one thread and by several. */
void threads_check(struct network *net, int threads, const float *input);
/* With a bias, of the size of what it reads. */
int sized_convolution(struct network *net, int from, int outputs, int rows, int columns, int groups);
int same_convolution(struct network *net, int from, int outputs, int side, int groups);
/* The gradient of a random input, once the network has been checked with it. */
float *checked_gradient(struct network *net, const char *what, double tolerance);

#endif
