/* Terms that compare a layer with what it makes of a given picture, or with an array. Distances are relative: 0 is the
 * same, -1 as far from the target as a layer of zeros. */
#include "vis/objectives/nodes.h"

#define SMALL 1e-12 /* keeps quotients of nothing finite */

enum { LAYER, FILE_NAME, MASK = 3 }; /* their parameters begin with the first two; the last is match's own */

static const char *const measures[] = {"l2", "l1", "cosine", "dot", NULL};
enum measure { BY_L2, BY_L1, BY_COSINE, BY_DOT };

static const char *const gram_measures[] = {"l1", "l2", NULL};

static enum measure gram_measure(const struct ph_term *term) {
    return term->arguments[2].word ? BY_L2 : BY_L1;
}

/* The layer's (region's) value and what each item's file has for it. */
static ph_status pair_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, bool arrays,
                            int *value, int *target) {
    PH_TRY(ph_term_layer_argument(scope, terms[0], LAYER, value));
    return ph_term_target(scope, terms, LAYER, FILE_NAME, arrays, target);
}

/* -|a - t| / |t| or -|a - t|^2 / |t|^2, sums of each item. */
static ph_status nearness_build(struct ph_graph *graph, enum measure measure, int value, int target, int *out) {
    const struct ph_operation *sum = measure == BY_L1 ? &ph_operation_reduce_l1 : &ph_operation_reduce_sum_square;
    int size;
    PH_TRY(ph_term_binary(graph, &ph_operation_sub, value, target, &value));
    PH_TRY(ph_term_items_reduce(graph, sum, value, &value));
    PH_TRY(ph_term_items_reduce(graph, sum, target, &size));
    PH_TRY(ph_term_number(graph, &ph_operation_add, size, SMALL, &size));
    PH_TRY(ph_term_binary(graph, &ph_operation_div, value, size, &value));
    return ph_term_unary(graph, &ph_operation_neg, value, out);
}

/* Of all of an item's values at once. */
static ph_status dot_build(struct ph_graph *graph, int value, int target, int *out) {
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, value, target, &value));
    return ph_term_items_reduce(graph, &ph_operation_reduce_sum, value, out);
}

static ph_status cosine_build(struct ph_graph *graph, int value, int target, int dot, int *out) {
    int norms[2];
    PH_TRY(ph_term_items_reduce(graph, &ph_operation_reduce_l2, value, &norms[0]));
    PH_TRY(ph_term_items_reduce(graph, &ph_operation_reduce_l2, target, &norms[1]));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, norms[0], norms[1], &norms[0]));
    PH_TRY(ph_term_number(graph, &ph_operation_add, norms[0], SMALL, &norms[0]));
    return ph_term_binary(graph, &ph_operation_div, dot, norms[0], out);
}

/* A sum over channels and positions as a mean over positions. */
static ph_status per_position(struct ph_graph *graph, int sum, const struct ph_shape *of, int *out) {
    double positions = (double)(ph_shape_size(of) / (of->dims[0] * of->dims[1]));
    return ph_term_number(graph, &ph_operation_div, sum, positions, out);
}

/* ---- The layer as it is -------------------------------------------------------------------------------------------- */

/* Sums over elements become weighted sums: both sides get the weights, or their roots where products are added up. */
static ph_status mask_build(struct ph_graph *graph, enum measure measure, int mask, int *value, int *target) {
    if (measure != BY_L1) PH_TRY(ph_term_unary(graph, &ph_operation_sqrt, mask, &mask));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, *value, mask, value));
    return ph_term_binary(graph, &ph_operation_mul, *target, mask, target);
}

/* Mahendran & Vedaldi 2014 invert a layer by l2; the inner product is theirs too (deep-goggle). */
static ph_status match_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_graph *graph = scope->graph;
    enum measure measure = (enum measure)terms[0]->arguments[2].word;
    int value, target, mask, dot;
    PH_TRY(pair_build(scope, terms, true, &value, &target));
    PH_TRY(ph_term_mask(scope, terms, LAYER, MASK, &mask));
    if (mask != PH_ABSENT) PH_TRY(mask_build(graph, measure, mask, &value, &target));
    if (measure == BY_L1 || measure == BY_L2) return nearness_build(graph, measure, value, target, out);
    PH_TRY(dot_build(graph, value, target, &dot));
    if (measure == BY_COSINE) return cosine_build(graph, value, target, dot, out);
    return per_position(graph, dot, &graph->values[value].shape, out);
}

static bool match_goal(const struct ph_term *term, double *value) {
    enum measure measure = (enum measure)term->arguments[2].word;
    *value = measure == BY_COSINE;
    return measure != BY_DOT; /* which has no bound */
}

const struct ph_term_type ph_term_match = {
    .name = "match", .form = "match(LAYER[:CHANNEL][@REGION], PICTURE|ARRAY.npy, by=l2|l1|cosine|dot, mask=FILE)",
    .function = true, .build = match_build, .goal = match_goal,
    .help = "nearness of a layer to its values for a picture, or to an array: 0 is the same; or cosine, or dot product",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER, .channel = true},
                   {.name = "FILE", .kind = PH_ARGUMENT_FILE},
                   {.name = "by", .kind = PH_ARGUMENT_WORD, .optional = true, .words = measures},
                   {.name = "mask", .kind = PH_ARGUMENT_FILE, .optional = true}},
    .samples = (const char *const[]){
        "match(conv2, picture.png)", "match(conv2, target.npy, by=l1)", "match(logits, picture.png, by=cosine)",
        "match(conv2@1-2,0-1, picture.png, by=dot)", "match(conv2:5, picture.png)",
        "match(conv2@2,1, vector.npy)", "match(conv2, target.npy, by=cosine, mask=picture.png)", NULL},
};

/* Gatys et al. 2015. */
static ph_status content_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value, target;
    PH_TRY(pair_build(scope, terms, false, &value, &target));
    return nearness_build(scope->graph, BY_L2, value, target, out);
}

const struct ph_term_type ph_term_content = {
    .name = "content", .form = "content(LAYER, PICTURE)", .function = true, .build = content_build, .goal = ph_term_goal_zero,
    .help = "nearness of a layer to its values for a picture: match by l2, the other half of a style transfer",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}, {.name = "PICTURE", .kind = PH_ARGUMENT_FILE}},
    .samples = (const char *const[]){"content(conv2, picture.png)", NULL},
};

/* ---- Style --------------------------------------------------------------------------------------------------------- */

/* Products of channels, mean over positions: [n,C,C]. */
static ph_status gram_build(struct ph_graph *graph, int value, int *gram) {
    const struct ph_shape shape = graph->values[value].shape;
    struct ph_transpose_attributes turned = {{0, 2, 1}};
    int64_t positions = ph_shape_size(&shape) / (shape.dims[0] * shape.dims[1]);
    int other;
    PH_TRY(ph_term_reshape(graph, value, PH_SHAPE(shape.dims[0], shape.dims[1], positions), &value));
    PH_TRY(ph_graph_add(graph, &ph_operation_transpose, NULL, &turned, &value, 1, &other));
    PH_TRY(ph_term_binary(graph, &ph_operation_matmul, value, other, gram));
    return ph_term_number(graph, &ph_operation_div, *gram, (double)positions, gram);
}

/* Gatys et al. 2015 by l2; lucid, optvis/style.py, by l1. */
static ph_status style_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value, target;
    PH_TRY(pair_build(scope, terms, false, &value, &target));
    PH_TRY(gram_build(scope->graph, value, &value));
    PH_TRY(gram_build(scope->graph, target, &target));
    return nearness_build(scope->graph, gram_measure(terms[0]), value, target, out);
}

const struct ph_term_type ph_term_style = {
    .name = "style", .form = "style(LAYER, PICTURE, by=l1|l2)", .function = true, .build = style_build,
    .goal = ph_term_goal_zero,
    .help = "nearness of a layer's Gram matrix to that of a picture: its textures, wherever they lie",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}, {.name = "PICTURE", .kind = PH_ARGUMENT_FILE},
                   {.name = "by", .kind = PH_ARGUMENT_WORD, .optional = true, .words = gram_measures}},
    .samples = (const char *const[]){"style(conv2, picture.png)", "style(conv1, picture.png, by=l2)", NULL},
};

/* ---- Likeness without a bound -------------------------------------------------------------------------------------- */

/* lucid, recipes/caricature.py and objective dot_compare: what a layer sees of a picture, exaggerated. */
static ph_status caricature_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                                  int *out) {
    struct ph_graph *graph = scope->graph;
    double power = ph_term_number_argument(terms[0], 2);
    int value, target, dot, cosine;
    PH_TRY(pair_build(scope, terms, false, &value, &target));
    PH_TRY(dot_build(graph, value, target, &dot));
    PH_TRY(cosine_build(graph, value, target, dot, &cosine));
    PH_TRY(per_position(graph, dot, &graph->values[value].shape, out));
    if (power == 0) return PH_OK;
    PH_TRY(ph_term_number(graph, &ph_operation_max, cosine, 0.1, &cosine));
    PH_TRY(ph_term_power(graph, cosine, power, &cosine));
    return ph_term_binary(graph, &ph_operation_mul, *out, cosine, out);
}

const struct ph_term_type ph_term_caricature = {
    .name = "caricature", .form = "caricature(LAYER, PICTURE, power=1)", .function = true, .build = caricature_build,
    .help = "dot product of a layer with its values for a picture, times their cosine to the 'power'",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}, {.name = "PICTURE", .kind = PH_ARGUMENT_FILE},
                   {.name = "power", .kind = PH_ARGUMENT_NUMBER, .optional = true, .initial = 1, .high = 100}},
    .samples = (const char *const[]){"caricature(conv2, picture.png)", "caricature(conv1, picture.png, power=0)",
                                     "caricature(conv2, picture.png, 2)", NULL},
};

/* google/deepdream, dream.ipynb, objective_guide. */
static ph_status guide_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_graph *graph = scope->graph;
    struct ph_transpose_attributes turned = {{0, 2, 1}};
    int value, target;
    PH_TRY(ph_term_layer_flat(scope, terms[0], LAYER, &value));
    PH_TRY(ph_term_target(scope, terms, LAYER, FILE_NAME, false, &target));
    const struct ph_shape shape = graph->values[target].shape;
    int64_t positions = ph_shape_size(&shape) / (shape.dims[0] * shape.dims[1]);
    PH_TRY(ph_term_reshape(graph, target, PH_SHAPE(shape.dims[0], shape.dims[1], positions), &target));
    PH_TRY(ph_graph_add(graph, &ph_operation_transpose, NULL, &turned, &value, 1, &value));
    PH_TRY(ph_term_binary(graph, &ph_operation_matmul, value, target, &value));
    PH_TRY(ph_term_reduce(graph, &ph_operation_reduce_max, value, 2, 3, false, &value));
    return ph_term_items_mean(graph, value, out);
}

const struct ph_term_type ph_term_guide = {
    .name = "guide", .form = "guide(LAYER, PICTURE)", .function = true, .build = guide_build,
    .help = "mean over positions of the largest dot product with any position of a picture: a dream guided by it",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}, {.name = "PICTURE", .kind = PH_ARGUMENT_FILE}},
    .samples = (const char *const[]){"guide(conv2, picture.png)", NULL},
};
