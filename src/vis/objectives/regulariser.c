/* Terms about the picture itself, as it is before any random transform: regularisers, which are subtracted with a weight.
 * Values are means over pixels and channels, so that weights serve for pictures of any size. */
#include "vis/objectives/nodes.h"
#include "vis/vis.h"
#include <math.h>

#define GREY 0.5

/* The picture's colours. */
static ph_status colours_find(const struct ph_objective_scope *scope, const struct ph_term *term, int *picture) {
    *picture = scope->picture;
    if (*picture == PH_ABSENT)
        return ph_fail(scope->graph->context, PH_ERROR_UNSUPPORTED,
                       "%s is about a picture, and here there is only the network's input", term->type->form);
    int64_t channels = PH_MIN(scope->graph->values[*picture].shape.dims[1], scope->model->preprocessing.channels);
    return ph_term_slice(scope->graph, *picture, 1, 0, channels, picture);
}

/* Less grey. */
static ph_status contrast_find(const struct ph_objective_scope *scope, const struct ph_term *term, int *out) {
    PH_TRY(colours_find(scope, term, out));
    return ph_term_number(scope->graph, &ph_operation_sub, *out, GREY, out);
}

/* ---- Variation ------------------------------------------------------------------------------------------------------ */

/* x[i + 1] - x[i] along one axis; of an axis with one element, 0. */
static ph_status step_along(struct ph_graph *graph, int x, int axis, int *out) {
    int64_t size = graph->values[x].shape.dims[axis];
    int near, far;
    PH_TRY(ph_term_slice(graph, x, axis, size > 1, PH_MAX(size - 1, 1), &far));
    PH_TRY(ph_term_slice(graph, x, axis, 0, PH_MAX(size - 1, 1), &near));
    return ph_term_binary(graph, &ph_operation_sub, far, near, out);
}

/* lucid's total_variation. */
static ph_status tv_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int picture, means[2];
    PH_TRY(colours_find(scope, terms[0], &picture));
    for (int i = 0; i < 2; i++) {
        PH_TRY(step_along(scope->graph, picture, 2 + i, &means[i]));
        PH_TRY(ph_term_unary(scope->graph, &ph_operation_abs, means[i], &means[i]));
        PH_TRY(ph_term_items_mean(scope->graph, means[i], &means[i]));
    }
    return ph_term_binary(scope->graph, &ph_operation_add, means[0], means[1], out);
}

const struct ph_term_type ph_term_tv = {
    .name = "tv", .form = "tv()", .function = true, .regulariser = true, .build = tv_build,
    .help = "total variation: mean step from a pixel to the one below plus that to the one on its right",
    .samples = (const char *const[]){"tv()", "conv2:3 - 0.25*tv()", NULL},
};

/* Steps below a thousandth count as none, where a power below 2 has no gradient that could be followed. */
#define FLAT 1e-6

/* The step from each pixel to the next, squared; none behind the last, as if the border went on. */
static ph_status squared_step(struct ph_graph *graph, int x, int axis, int *out) {
    struct ph_pad_attributes border = {.mode = PH_PAD_CONSTANT};
    PH_TRY(step_along(graph, x, axis, out));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, *out, *out, out));
    border.end[axis] = graph->values[x].shape.dims[axis] - graph->values[*out].shape.dims[axis];
    return ph_graph_add(graph, &ph_operation_pad, NULL, &border, out, 1, out);
}

/* Mahendran & Vedaldi 2014, section 3. */
static ph_status tv_beta_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_graph *graph = scope->graph;
    double beta = ph_term_number_argument(terms[0], 0);
    int picture, down, right;
    PH_TRY(colours_find(scope, terms[0], &picture));
    PH_TRY(squared_step(graph, picture, 2, &down));
    PH_TRY(squared_step(graph, picture, 3, &right));
    PH_TRY(ph_term_binary(graph, &ph_operation_add, down, right, &down));
    if (beta != 2) {
        PH_TRY(ph_term_number(graph, &ph_operation_add, down, FLAT, &down));
        PH_TRY(ph_term_power(graph, down, beta / 2, &down));
    }
    return ph_term_items_mean(graph, down, out);
}

const struct ph_term_type ph_term_tv_beta = {
    .name = "tv_beta", .form = "tv_beta(beta=2)", .function = true, .regulariser = true, .build = tv_beta_build,
    .help = "total variation of any direction: mean length of the step to the pixels below and right, to the power 'beta'",
    .parameters = {{.name = "beta", .kind = PH_ARGUMENT_NUMBER, .optional = true, .initial = 2, .low = 0.5, .high = 16}},
    .samples = (const char *const[]){"tv_beta()", "tv_beta(1)", "tv_beta(beta=1.3)", NULL},
};

/* ---- Norms ---------------------------------------------------------------------------------------------------------- */

static ph_status l1_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(contrast_find(scope, terms[0], &value));
    PH_TRY(ph_term_unary(scope->graph, &ph_operation_abs, value, &value));
    return ph_term_items_mean(scope->graph, value, out);
}

const struct ph_term_type ph_term_l1 = {
    .name = "l1", .form = "l1()", .function = true, .regulariser = true, .build = l1_build,
    .help = "mean distance of the picture's values from grey",
    .samples = (const char *const[]){"l1()", NULL},
};

static ph_status l2_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(contrast_find(scope, terms[0], &value));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_mul, value, value, &value));
    return ph_term_items_mean(scope->graph, value, out);
}

const struct ph_term_type ph_term_l2 = {
    .name = "l2", .form = "l2()", .function = true, .regulariser = true, .build = l2_build,
    .help = "mean squared distance of the picture's values from grey",
    .samples = (const char *const[]){"l2()", NULL},
};

/* Mean of |x - grey|^power. */
static ph_status powers_mean(const struct ph_objective_scope *scope, const struct ph_term *term, double power,
                             int *out) {
    PH_TRY(contrast_find(scope, term, out));
    PH_TRY(ph_term_unary(scope->graph, &ph_operation_abs, *out, out));
    PH_TRY(ph_term_power(scope->graph, *out, power, out));
    return ph_term_items_mean(scope->graph, *out, out);
}

/* keras-vis's LPNorm, Xplique's l_p. */
static ph_status lp_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    double power = ph_term_number_argument(terms[0], 0);
    int value;
    PH_TRY(powers_mean(scope, terms[0], power, &value));
    PH_TRY(ph_term_number(scope->graph, &ph_operation_add, value, 1e-12, &value)); /* a root of 0 has no gradient */
    return ph_term_number(scope->graph, &ph_operation_pow, value, 1 / power, out);
}

const struct ph_term_type ph_term_lp = {
    .name = "lp", .form = "lp(POWER)", .function = true, .regulariser = true, .build = lp_build,
    .help = "power mean of the distances of the picture's values from grey",
    .parameters = {{.name = "POWER", .kind = PH_ARGUMENT_NUMBER, .low = 1, .high = 32}},
    .samples = (const char *const[]){"lp(1)", "lp(2.5)", "lp(6)", NULL},
};

/* Mahendran & Vedaldi 2014, section 3, where alpha is 6. */
static ph_status alpha_norm_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms,
                                  int *out) {
    return powers_mean(scope, terms[0], ph_term_number_argument(terms[0], 0), out);
}

const struct ph_term_type ph_term_alpha_norm = {
    .name = "alpha_norm", .form = "alpha_norm(alpha=6)", .function = true, .regulariser = true,
    .build = alpha_norm_build,
    .help = "mean of the distances of the picture's values from grey, to the power 'alpha': against glaring pixels",
    .parameters = {{.name = "alpha", .kind = PH_ARGUMENT_NUMBER, .optional = true, .initial = 6, .low = 1, .high = 32}},
    .samples = (const char *const[]){"alpha_norm()", "alpha_norm(2.5)", NULL},
};

/* ---- Blur ----------------------------------------------------------------------------------------------------------- */

/* lucid's kernel: 1 in the middle and 0.5 around, over its sum, as a share of the pixel and one of its neighbourhood;
 * beyond the border there is nothing that would darken it. */
static ph_status blur_build(struct ph_graph *graph, int x, int *out) {
    const struct ph_shape *shape = &graph->values[x].shape;
    struct ph_pool_attributes square = {.kernel = {1, 3, 3}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .output = {1, shape->dims[2], shape->dims[3]},
        .divisor = PH_DIVIDE_VALID};
    int own;
    PH_TRY(ph_graph_add(graph, &ph_operation_average_pool, NULL, &square, &x, 1, out));
    PH_TRY(ph_term_number(graph, &ph_operation_mul, *out, 0.9, out));
    PH_TRY(ph_term_number(graph, &ph_operation_mul, x, 0.1, &own));
    return ph_term_binary(graph, &ph_operation_add, *out, own, out);
}

/* lucid's blur_input_each_step, half the square of x - K x with K x held fixed, whose gradient is x - K x. That of
 * x (x - K x) / 2 is the same, for K is symmetric, without anything being held. */
static ph_status smoothness_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int picture, blurred;
    PH_TRY(contrast_find(scope, terms[0], &picture));
    PH_TRY(blur_build(scope->graph, picture, &blurred));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_sub, picture, blurred, &blurred));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_mul, picture, blurred, &blurred));
    PH_TRY(ph_term_items_mean(scope->graph, blurred, out));
    return ph_term_number(scope->graph, &ph_operation_mul, *out, 0.5, out);
}

const struct ph_term_type ph_term_blur = {
    .name = "blur", .form = "blur()", .function = true, .regulariser = true, .build = smoothness_build,
    .help = "what a small blur takes away: its gradient is a step of blurring",
    .samples = (const char *const[]){"blur()", NULL},
};

/* A width that is meant for a picture of 224 pixels. */
static int64_t border_width(const struct ph_shape *shape, double width) {
    int64_t side = PH_MIN(shape->dims[2], shape->dims[3]);
    int64_t scaled = (int64_t)floor(width * (double)side / 224 + 0.5);
    return PH_MAX(PH_MIN(scaled, (side + 1) / 2), 1);
}

/* 1 along the border, scaled so that a mean over the picture is one over it. */
static ph_status ring_build(const struct ph_objective_scope *scope, int picture, double width, int *out) {
    const struct ph_shape *shape = &scope->graph->values[picture].shape;
    int64_t height = shape->dims[2], columns = shape->dims[3], thick = border_width(shape, width), inside = 0;
    float *ring = ph_alloc_array((size_t)height * sizeof *ring, (size_t)columns);
    if (!ring) return ph_fail_memory(scope->graph->context);
    for (int64_t i = 0; i < height * columns; i++) {
        int64_t y = i / columns, x = i % columns;
        ring[i] = y < thick || x < thick || y >= height - thick || x >= columns - thick;
        inside += ring[i] > 0;
    }
    for (int64_t i = 0; i < height * columns; i++) ring[i] *= (float)(height * columns) / (float)inside;
    ph_status status =
        ph_graph_add_constant_copy(scope->graph, NULL, PH_FLOAT, PH_SHAPE(1, 1, height, columns), ring, out);
    ph_free(ring);
    return status;
}

/* lucid's penalize_boundary_complexity. */
static ph_status boundary_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    struct ph_graph *graph = scope->graph;
    int picture, blurred, away, ring;
    PH_TRY(colours_find(scope, terms[0], &picture));
    PH_TRY(ring_build(scope, picture, ph_term_number_argument(terms[0], 0), &ring));
    blurred = picture;
    for (int i = 0; i < 5; i++) PH_TRY(blur_build(graph, blurred, &blurred));
    PH_TRY(ph_term_binary(graph, &ph_operation_sub, blurred, picture, &blurred));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, blurred, blurred, &blurred));
    PH_TRY(ph_term_number(graph, &ph_operation_sub, picture, ph_term_number_argument(terms[0], 1), &away));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, away, away, &away));
    PH_TRY(ph_term_number(graph, &ph_operation_mul, away, 0.8, &away));
    PH_TRY(ph_term_binary(graph, &ph_operation_add, blurred, away, &away));
    PH_TRY(ph_term_binary(graph, &ph_operation_mul, away, ring, &away));
    return ph_term_items_mean(graph, away, out);
}

const struct ph_term_type ph_term_boundary = {
    .name = "boundary", .form = "boundary(width=20, colour=0.5)", .function = true, .regulariser = true,
    .build = boundary_build,
    .help = "detail, and distance from a grey, in a border of 'width' pixels of 224",
    .parameters = {{.name = "width", .kind = PH_ARGUMENT_NUMBER, .optional = true, .initial = 20, .low = 1, .high = 112},
                   {.name = "colour", .kind = PH_ARGUMENT_NUMBER, .optional = true, .initial = GREY, .high = 1}},
    .samples = (const char *const[]){"boundary()", "boundary(40, colour=0.25)", NULL},
};

/* ---- The start picture, opacity ------------------------------------------------------------------------------------- */

/* lucid's input_diff. */
static ph_status distance_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    const ph_picture *start = scope->start;
    int picture, constant;
    PH_TRY(colours_find(scope, terms[0], &picture));
    if (!start)
        return ph_fail(scope->graph->context, PH_ERROR_ARGUMENT,
                       "distance is that from the picture a render starts from, and there is none: give one with the "
                       "option 'init'");
    const struct ph_shape *shape = &scope->graph->values[picture].shape;
    if (shape->dims[2] != start->height || shape->dims[3] != start->width)
        return ph_fail(scope->graph->context, PH_ERROR_UNSUPPORTED,
                       "distance: the picture is of another size than the one it starts from");
    PH_TRY(ph_graph_add_constant_copy(scope->graph, NULL, PH_FLOAT,
                                      PH_SHAPE(1, start->channels, start->height, start->width), start->pixels,
                                      &constant));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_sub, picture, constant, &picture));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_mul, picture, picture, &picture));
    PH_TRY(ph_term_items_mean(scope->graph, picture, &picture));
    PH_TRY(ph_term_number(scope->graph, &ph_operation_add, picture, 1e-12, &picture)); /* a root of 0 has no gradient */
    return ph_term_unary(scope->graph, &ph_operation_sqrt, picture, out);
}

const struct ph_term_type ph_term_distance = {
    .name = "distance", .form = "distance()", .function = true, .regulariser = true, .build = distance_build,
    .help = "root mean square distance from the picture that 'init' names",
    .samples = (const char *const[]){"distance()", NULL},
};

/* The alpha channel of lucid's transparency recipe. */
static ph_status opacity_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int64_t colours = scope->model->preprocessing.channels;
    int picture = scope->picture;
    if (picture == PH_ABSENT || scope->graph->values[picture].shape.dims[1] != colours + 1)
        return ph_fail(scope->graph->context, PH_ERROR_ARGUMENT,
                       "%s is about a picture with opacity: give the option 'alpha'", terms[0]->type->name);
    PH_TRY(ph_term_slice(scope->graph, picture, 1, colours, 1, &picture));
    return ph_term_items_mean(scope->graph, picture, out);
}

const struct ph_term_type ph_term_opacity = {
    .name = "opacity", .form = "opacity()", .function = true, .regulariser = true, .build = opacity_build,
    .help = "mean opacity of the picture, with 'alpha'; use as in class:goldfish * (1 - opacity())",
    .samples = (const char *const[]){"opacity()", "conv2:3 * (1 - opacity())", NULL},
};
