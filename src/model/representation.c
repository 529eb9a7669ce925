/* Hand-made representations of pictures as networks: HOG in the UoCTTI variant (Dalal, Triggs 2005; Felzenszwalb et al.
 * 2010) and dense SIFT (Lowe 2004), written in convolutions and the like so that they can be inverted as networks are:
 * Mahendran and Vedaldi, arXiv:1412.0035, section 4 and figure 2. Constants as in the authors' networks
 * (aravindhm/deep-goggle, experiments/networks), whose HOG is VLFeat's.
 *
 * The input is a grey picture [N,1,H,W] of 0 to 255 less 128. */
#include "graph/operations.h"
#include "model/model.h"
#include <math.h>
#include <string.h>

struct representation {
    const char *name, *help;
    int orientations;  /* directions in a full turn */
    bool shared;       /* a direction is shared by the two orientations beside it, else the nearest has it */
    int cell;          /* pixels */
    int pad;           /* zeros around the picture, for its derivatives */
    int cell_pad;      /* zeros around the directions, for the cells */
    int least_side;    /* of a picture: two cells, or a stack of them */
    ph_status (*describe)(const struct representation *representation, struct ph_graph *graph, int cells, int *out);
};

enum { MOST_ORIENTATIONS = 18, MOST_CELL = 8, STACK = 4 };

#define LARGEST 0.2 /* of a normalised descriptor */

static const double pi = 3.14159265358979323846;

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

static ph_status unary(struct ph_graph *graph, const struct ph_operation *operation, const char *name, int x, int *out) {
    return ph_graph_add(graph, operation, name, NULL, &x, 1, out);
}

static ph_status binary(struct ph_graph *graph, const struct ph_operation *operation, const char *name, int a, int b,
                        int *out) {
    return ph_graph_add(graph, operation, name, NULL, (int[]){a, b}, 2, out);
}

static ph_status with_number(struct ph_graph *graph, const struct ph_operation *operation, int x, double number, int *out) {
    float rounded = (float)number;
    int constant;
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &rounded, &constant));
    return binary(graph, operation, NULL, x, constant, out);
}

static ph_status clip(struct ph_graph *graph, const char *name, int x, double low, double high, int *out) {
    struct ph_activation_attributes attributes = {.low = low, .high = high};
    return ph_graph_add(graph, &ph_operation_clip, name, &attributes, &x, 1, out);
}

/* Of squares over all channels: [N,1,H,W]. */
static ph_status energy(struct ph_graph *graph, int x, int *out) {
    struct ph_reduce_attributes attributes = {.axes = {1}, .axis_count = 1, .keep_dims = true};
    return ph_graph_add(graph, &ph_operation_reduce_sum_square, NULL, &attributes, &x, 1, out);
}

/* A square kernel with fixed weights [outputs][inputs / groups][side][side]. */
static ph_status convolve(struct ph_graph *graph, const char *name, int x, const float *weights, int outputs, int groups,
                          int side, int stride, int pad, int *out) {
    int64_t channels = graph->values[x].shape.dims[1];
    struct ph_convolution_attributes attributes = {.kernel = {1, side, side}, .stride = {1, stride, stride},
        .dilation = {1, 1, 1}, .pad_begin = {0, pad, pad}, .pad_end = {0, pad, pad}, .groups = groups};
    int constant;
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SHAPE(outputs, channels / groups, side, side), weights,
                                      &constant));
    return ph_graph_add(graph, &ph_operation_convolution, name, &attributes, (int[]){x, constant}, 2, out);
}

/* ---- From the picture to cells ------------------------------------------------------------------------------------- */

/* Derivatives along each direction, by central differences. */
static ph_status derivatives(const struct representation *r, struct ph_graph *graph, int picture, int *out) {
    float weights[MOST_ORIENTATIONS][9] = {{0}};
    for (int i = 0; i < r->orientations; i++) {
        double angle = 2 * pi * i / r->orientations;
        weights[i][5] = (float)(0.5 * cos(angle)), weights[i][3] = -weights[i][5];
        weights[i][7] = (float)(0.5 * sin(angle)), weights[i][1] = -weights[i][7];
    }
    return convolve(graph, "derivatives", picture, weights[0], r->orientations, 1, 3, 1, r->pad, out);
}

/* Length of each gradient, given to the orientation nearest to it, or to the two beside it by how near they are. The
 * squares of all derivatives sum to half their number times that of the length. */
static ph_status orientations(const struct representation *r, struct ph_graph *graph, int derivatives, int *out) {
    /* So flat a place, less than a thousandth of a grey level, has no direction; and an arc cosine has no slope at 1. */
    const double least = 1e-6, below_one = 0.9999998;
    int length, share;
    PH_TRY(energy(graph, derivatives, &length));
    PH_TRY(with_number(graph, &ph_operation_mul, length, 2.0 / r->orientations, &length));
    PH_TRY(with_number(graph, &ph_operation_add, length, least, &length));
    PH_TRY(unary(graph, &ph_operation_sqrt, "length", length, &length));
    if (r->shared) {
        PH_TRY(binary(graph, &ph_operation_div, NULL, derivatives, length, &share));
        PH_TRY(with_number(graph, &ph_operation_mul, share, below_one, &share));
        PH_TRY(clip(graph, NULL, share, -below_one, below_one, &share));
        PH_TRY(unary(graph, &ph_operation_acos, NULL, share, &share));
        PH_TRY(with_number(graph, &ph_operation_mul, share, -r->orientations / (2 * pi), &share));
        PH_TRY(with_number(graph, &ph_operation_add, share, 1, &share));
        PH_TRY(unary(graph, &ph_operation_relu, NULL, share, &share));
    } else {
        struct ph_softmax_attributes channels = {1, 2};
        PH_TRY(ph_graph_add(graph, &ph_operation_hardmax, NULL, &channels, &derivatives, 1, &share));
    }
    return binary(graph, &ph_operation_mul, "orientations", share, length, out);
}

/* Every pixel is shared by the four cells around it, by how near their middles are. */
static ph_status cells(const struct representation *r, struct ph_graph *graph, int orientations, int *out) {
    enum { MOST_SIDE = 2 * MOST_CELL };
    float weights[MOST_ORIENTATIONS * MOST_SIDE * MOST_SIDE], *at = weights;
    int side = 2 * r->cell;
    for (int o = 0; o < r->orientations; o++)
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++) {
                double near_y = 1 - fabs(y + 0.5 - r->cell) / r->cell, near_x = 1 - fabs(x + 0.5 - r->cell) / r->cell;
                *at++ = (float)(near_y * near_x);
            }
    return convolve(graph, "cells", orientations, weights, r->orientations, r->orientations, side, r->cell, r->cell_pad, out);
}

/* ---- HOG: each cell as normalised by the four blocks of 2 x 2 cells around it ------------------------------------- */

/* Sums of opposite directions: [N,O,H,W] to [N,O/2,H,W]. */
static ph_status undirected(const struct representation *r, struct ph_graph *graph, int cells, int *out) {
    float weights[MOST_ORIENTATIONS / 2][MOST_ORIENTATIONS] = {{0}}, packed[MOST_ORIENTATIONS * MOST_ORIENTATIONS / 2];
    int half = r->orientations / 2;
    for (int o = 0; o < half; o++) weights[o][o] = weights[o][o + half] = 1;
    for (int o = 0; o < half; o++) memcpy(packed + o * r->orientations, weights[o], (size_t)r->orientations * sizeof *packed);
    return convolve(graph, "undirected", cells, packed, half, 1, 1, 1, 0, out);
}

/* One over the length of each block, and 0 around them, where a cell at the border has no block: [N,1,H+1,W+1]. */
static ph_status block_factors(struct ph_graph *graph, int undirected, int *out) {
    static const float ones[4] = {1, 1, 1, 1};
    const double least = 1e-12;
    struct ph_pad_attributes around = {.begin = {0, 0, 1, 1}, .end = {0, 0, 1, 1}, .mode = PH_PAD_CONSTANT};
    int value;
    PH_TRY(energy(graph, undirected, &value));
    PH_TRY(convolve(graph, NULL, value, ones, 1, 1, 2, 1, 0, &value));
    PH_TRY(with_number(graph, &ph_operation_max, value, least, &value));
    PH_TRY(unary(graph, &ph_operation_sqrt, "blocks", value, &value));
    PH_TRY(unary(graph, &ph_operation_reciprocal, NULL, value, &value));
    return ph_graph_add(graph, &ph_operation_pad, NULL, &around, &value, 1, out);
}

static ph_status hog(const struct representation *r, struct ph_graph *graph, int cells, int *out) {
    int both[2] = {cells}, features, factors, sums[4];
    struct ph_axis_attributes channels = {1};
    PH_TRY(undirected(r, graph, cells, &both[1]));
    PH_TRY(block_factors(graph, both[1], &factors));
    PH_TRY(ph_graph_add(graph, &ph_operation_concat, NULL, &channels, both, 2, &features));
    const struct ph_shape *shape = &graph->values[features].shape;
    struct ph_slice_attributes corner = {.step = {1, 1, 1, 1}, .size = {shape->dims[0], 1, shape->dims[2], shape->dims[3]}};
    for (int i = 0; i < 4; i++) {
        corner.start[2] = i / 2, corner.start[3] = i % 2;
        PH_TRY(ph_graph_add(graph, &ph_operation_slice, NULL, &corner, &factors, 1, &sums[i]));
        PH_TRY(binary(graph, &ph_operation_mul, NULL, features, sums[i], &sums[i]));
        PH_TRY(clip(graph, NULL, sums[i], -HUGE_VAL, LARGEST, &sums[i]));
    }
    PH_TRY(ph_graph_add(graph, &ph_operation_sum, NULL, NULL, sums, 4, out));
    float half = 0.5F;
    int constant;
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_FLOAT, PH_SCALAR, &half, &constant));
    return binary(graph, &ph_operation_mul, "hog", *out, constant, out);
}

/* ---- SIFT: 4 x 4 cells, normalised as one ------------------------------------------------------------------------- */

static ph_status sift(const struct representation *r, struct ph_graph *graph, int cells, int *out) {
    enum { OUTPUTS = STACK * STACK * MOST_ORIENTATIONS, STEP = 3 };
    const double deviation = 1.5, least = 1e-6; /* of the window, in cells; of the squared length */
    int orientations = r->orientations, length;
    float *weights = ph_alloc_array((size_t)OUTPUTS * MOST_ORIENTATIONS * STACK * STACK, sizeof *weights);
    if (!weights) return ph_fail_memory(graph->context);
    for (int t = 0; t < STACK * STACK * orientations; t++) {
        int place = t / orientations, o = t % orientations;
        double y = place / STACK - 1.5, x = place % STACK - 1.5;
        weights[(t * orientations + o) * STACK * STACK + place] = (float)exp(-0.5 * (y * y + x * x) / (deviation * deviation));
    }
    ph_status status = convolve(graph, "stacks", cells, weights, STACK * STACK * orientations, 1, STACK, STEP, 0, out);
    ph_free(weights);
    PH_TRY(status);
    PH_TRY(energy(graph, *out, &length));
    PH_TRY(with_number(graph, &ph_operation_add, length, least, &length));
    PH_TRY(unary(graph, &ph_operation_sqrt, "lengths", length, &length));
    PH_TRY(binary(graph, &ph_operation_div, NULL, *out, length, out));
    return clip(graph, "sift", *out, -HUGE_VAL, LARGEST, out);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

static const struct representation representations[] = {
    {"hog", "histograms of oriented gradients, UoCTTI: 9 orientations with and without sign, cells of 8 pixels", 18, false, 8,
     1, 4, 16, hog},
    {"hogb", "the same, each gradient shared by the two orientations beside it", 18, true, 8, 1, 4, 16, hog},
    {"dsift", "dense SIFT: 8 orientations, 4 x 4 cells of 5 pixels, a descriptor every 15", 8, true, 5, 0, 0, 27, sift},
};

const char *ph_representation_row(int index, const char **help) {
    if (index < 0 || index >= PH_COUNT(representations)) return NULL;
    *help = representations[index].help;
    return representations[index].name;
}

const void *ph_representation_find(const char *name) {
    for (int i = 0; i < PH_COUNT(representations); i++)
        if (!strcmp(representations[i].name, name)) return &representations[i];
    return NULL;
}

/* ---- As a format of networks --------------------------------------------------------------------------------------- */

static void destroy(void *parsed) { (void)parsed; }

static int one(const void *parsed) {
    (void)parsed;
    return 1;
}

static struct ph_model_input input(const void *parsed, int index) {
    (void)parsed, (void)index;
    return (struct ph_model_input){.name = "picture", .shape = PH_SHAPE(-1, 1, -1, -1)};
}

static const char *output(const void *parsed, int index) {
    (void)index;
    return ((const struct representation *)parsed)->describe == hog ? "hog" : "sift";
}

static int64_t no_parameters(const void *parsed) {
    (void)parsed;
    return 0;
}

static ph_status build(const void *parsed, struct ph_graph *graph, const int *inputs, int input_count,
                       const char **unsupported) {
    const struct representation *r = parsed;
    const struct ph_shape *picture = &graph->values[inputs[0]].shape;
    int value;
    (void)input_count;
    *unsupported = NULL;
    if (PH_MIN(picture->dims[2], picture->dims[3]) < r->least_side)
        return ph_fail(graph->context, PH_ERROR_ARGUMENT, "%s needs pictures of at least %d pixels a side, not %lld x %lld",
                       r->name, r->least_side, (long long)picture->dims[3], (long long)picture->dims[2]);
    PH_TRY(derivatives(r, graph, inputs[0], &value));
    PH_TRY(orientations(r, graph, value, &value));
    PH_TRY(cells(r, graph, value, &value));
    return r->describe(r, graph, value, &value);
}

const struct ph_model_format ph_model_format_representation = {
    .name = "representation", .help = "built in", .extensions = "", .destroy = destroy, .input_count = one, .input = input,
    .build = build, .output_count = one, .output = output, .parameter_count = no_parameters};
