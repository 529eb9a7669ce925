/* Terms about several pictures of one objective, which are optimised as one batch (the option 'pictures'). */
#include "vis/objectives/nodes.h"
#include <math.h>

/* [P V, ...] as [P, V, the product of the rest]. */
static ph_status pictures_apart(const struct ph_objective_scope *scope, int value, int pictures, int *out) {
    const struct ph_shape *shape = &scope->graph->values[value].shape;
    int64_t views = shape->dims[0] / pictures;
    return ph_term_reshape(scope->graph, value, PH_SHAPE(pictures, views, ph_shape_size(shape) / shape->dims[0]), out);
}

/* Olah et al. 2017, appendix; lucid, optvis/objectives.py. What lucid's sums over the pictures of a batch add up to is
 * here the sum over the pictures' values, so that its weights serve. */
static ph_status diversity_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_graph *graph = scope->graph;
    struct ph_transpose_attributes turned = {{0, 2, 1}};
    int pictures, value, other, norm, all;
    PH_TRY(ph_term_pictures(scope, terms[0], &pictures));
    PH_TRY(ph_term_layer_flat(scope, terms[0], 0, &value));
    PH_TRY(ph_graph_add(graph, &ph_operation_transpose, NULL, &turned, &value, 1, &other));
    PH_TRY(ph_term_binary(graph, &ph_operation_matmul, value, other, &value));
    PH_TRY(pictures_apart(scope, value, pictures, &value));
    PH_TRY(ph_term_reduce(graph, &ph_operation_reduce_l2, value, 2, 3, true, &norm));
    PH_TRY(ph_term_number(graph, &ph_operation_add, norm, 1e-12, &norm)); /* a silent layer is like no other */
    PH_TRY(ph_term_binary(graph, &ph_operation_div, value, norm, &value));
    PH_TRY(ph_term_reduce(graph, &ph_operation_reduce_sum, value, 0, 1, true, &all));
    PH_TRY(ph_term_binary(graph, &ph_operation_sub, all, value, &all));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, all, value, &value));
    PH_TRY(ph_term_reduce(graph, &ph_operation_reduce_sum, value, 2, 3, false, &value));
    return ph_term_reshape(graph, value, PH_SHAPE(scope->count), out);
}

const struct ph_term_type ph_term_diversity = {
    .name = "diversity", .form = "diversity(LAYER)", .function = true, .build = diversity_build,
    .help = "how alike a layer's Gram matrix is to that of the objective's other pictures: subtracted, they differ",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}},
    .samples = (const char *const[]){"conv1:2 - 10*diversity(conv2)", "diversity(conv2@0-2,1-3)", NULL},
};

/* Distances on which pictures are held together (lucid, optvis/objectives.py, alignment). */
#define ALIGN_REACH 4

static ph_status align_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_graph *graph = scope->graph;
    double decay = ph_term_number_argument(terms[0], 1);
    int pictures, value, sum = PH_ABSENT;
    PH_TRY(ph_term_pictures(scope, terms[0], &pictures));
    PH_TRY(ph_term_layer_argument(scope, terms[0], 0, &value));
    PH_TRY(pictures_apart(scope, value, pictures, &value));
    int64_t views = graph->values[value].shape.dims[1];
    for (int distance = 1; distance <= PH_MIN(ALIGN_REACH, pictures - 1); distance++) {
        struct ph_pad_attributes behind = {.mode = PH_PAD_CONSTANT}, before = behind;
        int near, far, difference, ends[2];
        behind.end[0] = before.begin[0] = distance;
        PH_TRY(ph_term_slice(graph, value, 0, 0, pictures - distance, &near));
        PH_TRY(ph_term_slice(graph, value, 0, distance, pictures - distance, &far));
        PH_TRY(ph_term_binary(graph, &ph_operation_sub, near, far, &difference));
        PH_TRY(ph_term_binary(graph, &ph_operation_mul, difference, difference, &difference));
        PH_TRY(ph_term_reduce(graph, &ph_operation_reduce_mean, difference, 2, 3, false, &difference));
        PH_TRY(ph_term_number(graph, &ph_operation_mul, difference, -0.5 / pow(decay, distance), &difference));
        /* Each of two has half. */
        PH_TRY(ph_graph_add(graph, &ph_operation_pad, NULL, &behind, &difference, 1, &ends[0]));
        PH_TRY(ph_graph_add(graph, &ph_operation_pad, NULL, &before, &difference, 1, &ends[1]));
        PH_TRY(ph_term_binary(graph, &ph_operation_add, ends[0], ends[1], &difference));
        if (sum == PH_ABSENT) sum = difference;
        else PH_TRY(ph_term_binary(graph, &ph_operation_add, sum, difference, &sum));
    }
    return ph_term_reshape(graph, sum, PH_SHAPE(pictures * views), out);
}

const struct ph_term_type ph_term_align = {
    .name = "align", .form = "align(LAYER, decay=2)", .function = true, .build = align_build,
    .help = "minus the mean squared difference of a layer from that of the next four pictures, each counted less: 'decay'",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER},
                   {.name = "decay", .kind = PH_ARGUMENT_NUMBER, .optional = true, .initial = 2, .low = 1, .high = 1e6}},
    .samples = (const char *const[]){"align(conv1)", "conv1:2 + 0.5*align(conv2, decay=3)", NULL},
};

/* lucid, optvis/objectives.py, channel_interpolate: there for two channels. */
static ph_status interpolate_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                                   int *out) {
    float first[PH_MAX_BATCH], last[PH_MAX_BATCH];
    int pictures, values[2], shares[2];
    PH_TRY(ph_term_pictures(scope, terms[0], &pictures));
    for (int n = 0; n < scope->count; n++) {
        last[n] = (float)ph_term_picture_of(scope, n) / (float)(pictures - 1);
        first[n] = 1 - last[n];
    }
    PH_TRY(ph_term_item_numbers(scope, first, 1, &shares[0]));
    PH_TRY(ph_term_item_numbers(scope, last, 1, &shares[1]));
    for (int i = 0; i < 2; i++) {
        PH_TRY(ph_term_expression(scope, terms, i, &values[i]));
        PH_TRY(ph_term_binary(scope->graph, &ph_operation_mul, values[i], shares[i], &values[i]));
    }
    return ph_term_binary(scope->graph, &ph_operation_add, values[0], values[1], out);
}

const struct ph_term_type ph_term_interpolate = {
    .name = "interpolate", .form = "interpolate(FIRST, LAST)", .function = true, .build = interpolate_build,
    .help = "from one objective for the first picture to another for the last, in equal steps",
    .parameters = {{.name = "FIRST", .kind = PH_ARGUMENT_EXPRESSION}, {.name = "LAST", .kind = PH_ARGUMENT_EXPRESSION}},
    .samples = (const char *const[]){"interpolate(conv2:1, conv2:2 - conv1:3)", NULL},
};

/* The argument batch= of lucid's objectives. */
static ph_status item_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    float chosen[PH_MAX_BATCH];
    int pictures, value, mask, wanted = (int)ph_term_number_argument(terms[0], 0);
    PH_TRY(ph_term_pictures(scope, terms[0], &pictures));
    if (wanted > pictures)
        return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND, "there is no picture %d, but 1 to %d", wanted,
                       pictures);
    for (int n = 0; n < scope->count; n++) chosen[n] = ph_term_picture_of(scope, n) == wanted - 1;
    PH_TRY(ph_term_item_numbers(scope, chosen, 1, &mask));
    PH_TRY(ph_term_expression(scope, terms, 1, &value));
    return ph_term_binary(scope->graph, &ph_operation_mul, value, mask, out);
}

const struct ph_term_type ph_term_item = {
    .name = "item", .form = "item(N, OBJECTIVE)", .function = true, .build = item_build,
    .help = "an objective of picture N alone, from 1; 0 for the others",
    .parameters = {{.name = "N", .kind = PH_ARGUMENT_NUMBER, .low = 1, .high = PH_MAX_BATCH},
                   {.name = "OBJECTIVE", .kind = PH_ARGUMENT_EXPRESSION}},
    .samples = (const char *const[]){"item(1, conv2:1) + item(3, conv2:2)", NULL},
};
