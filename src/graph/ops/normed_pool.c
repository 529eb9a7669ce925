/* Local response normalisation across channels and the max-pooling behind it as one operation, so that what lies between them
 * need not be stored. A pass makes it (graph/normed_pool.h); files do not have it. */
#include "graph/ops/pool.h"
#include "graph/ops/response_norm.h"
#include <math.h>

static ph_status normed_max_pool_infer(struct ph_inference *inference) {
    const struct ph_normed_pool_attributes *a = inference->attributes;
    struct ph_inference part = *inference;
    if (inference->inputs[0]->shape.rank != 4 || a->norm.within_channel)
        return ph_infer_fail(inference, "an input [N,C,H,W] and a window across channels expected");
    part.attributes = &a->norm;
    PH_TRY(ph_operation_local_response_norm.infer(&part));
    part.attributes = &a->pool;
    return ph_operation_max_pool.infer(&part);
}

/* One window of one channel: the place of the largest normalised element, the first of equals, and itself. */
struct choice { int64_t y, x; real value; bool found; };

static struct choice choose(const struct response_norm *l, const struct ph_pool_attributes *a, const real *x, int64_t n,
                            int64_t c, int64_t output) {
    int64_t in[PH_SPATIAL] = {1, l->height, l->width};
    struct box box = box_of(a, in, output);
    struct choice choice = {.value = (real)-INFINITY}; /* when dilation lets it miss the picture */
    for (int64_t i = 0; i < ph_spatial_size(box.count); i++) {
        int64_t element = box_element(&box, in, i), row = element / l->width, column = element % l->width;
        double factor = pow(strength(l, x, n, c, row, column), -l->attributes->beta);
        real value = (real)(x[offset(l, n, c, row, column)] * factor);
        if (!choice.found || value > choice.value) choice = (struct choice){row, column, value, true};
    }
    return choice;
}

static void normed_max_pool_forward(const struct ph_call *call) {
    const struct ph_normed_pool_attributes *a = call->attributes;
    struct response_norm l = response_norm_of(&a->norm, call->input_shapes[0]);
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    for (int64_t n = 0; n < l.batch; n++)
        for (int64_t c = 0; c < l.channels; c++)
            for (int64_t i = 0; i < ph_spatial_size(a->pool.output); i++) *y++ = choose(&l, &a->pool, x, n, c, i).value;
}

/* Adds to the gradients of all that the element (n, c, y, column) is normalised by, itself among them:
 * dx_c = g s^-beta, dx_i = -2 beta alpha / n * x_i x_c s^(-beta-1) g over the window of c. */
static void spread(const struct response_norm *l, const real *x, real *gradient, int64_t n, int64_t c, int64_t y,
                   int64_t column, double g) {
    struct range r = range_of(l, c, y, column, l->before, l->after);
    double beta = l->attributes->beta, s = strength(l, x, n, c, y, column);
    int64_t centre = offset(l, n, c, y, column);
    for (int64_t i = r.c0; i <= r.c1; i++) {
        int64_t at = offset(l, n, i, y, column);
        double slope = -2 * beta * l->scale * x[at] * x[centre] * pow(s, -beta - 1) + (i == c ? pow(s, -beta) : 0);
        gradient[at] = (real)(gradient[at] + g * slope);
    }
}

static void normed_max_pool_backward(const struct ph_call *call) {
    const struct ph_normed_pool_attributes *a = call->attributes;
    struct response_norm l = response_norm_of(&a->norm, call->input_shapes[0]);
    const real *x = call->inputs[0], *g = call->output_gradients[0];
    for (int64_t n = 0; n < l.batch; n++)
        for (int64_t c = 0; c < l.channels; c++)
            for (int64_t i = 0; i < ph_spatial_size(a->pool.output); i++, g++) {
                struct choice choice = choose(&l, &a->pool, x, n, c, i);
                if (choice.found) spread(&l, x, call->input_gradients[0], n, c, choice.y, choice.x, *g);
            }
}

/* What the two take one after the other. */
static double normed_max_pool_flops(const struct ph_call *call) {
    const struct ph_normed_pool_attributes *a = call->attributes;
    struct ph_call norm = *call, pool = *call;
    norm.attributes = &a->norm;
    norm.output_shapes = call->input_shapes[0];
    pool.attributes = &a->pool;
    return ph_operation_local_response_norm.flops(&norm) + ph_operation_max_pool.flops(&pool);
}

#define ATTRIBUTES(size_, ...) \
    &(const struct ph_normed_pool_attributes){{.size = size_, .alpha = 0.5, .beta = 0.75, .bias = 1}, \
        {.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .dilation = {1, 1, 1}, .output = {1, 1, 1}, __VA_ARGS__}}

static const struct ph_case normed_max_pool_cases[] = {
    {"five channels, 3x3, stride 2", ATTRIBUTES(5, .output = {1, 2, 3}), .inputs = {{PH_SHAPE(2, 7, 5, 7), -2, 2}}},
    {"even size leans forward, ceil", ATTRIBUTES(4, .output = {1, 2, 2}), .inputs = {{PH_SHAPE(1, 6, 4, 4), -2, 2}}},
    {"2x3, stride 1, padded", ATTRIBUTES(3, .kernel = {1, 2, 3}, .stride = {1, 1, 1}, .pad_begin = {0, 1, 1},
                                         .pad_end = {0, 0, 1}, .output = {1, 4, 3}),
     .inputs = {{PH_SHAPE(1, 4, 4, 3), -2, 2}}},
    {"dilation 2", ATTRIBUTES(2, .kernel = {1, 2, 2}, .dilation = {1, 2, 2}, .output = {1, 2, 2}),
     .inputs = {{PH_SHAPE(1, 3, 5, 6), -2, 2}}},
    {0}};

PH_OPERATION(normed_max_pool) = {
    .name = "normed_max_pool",
    .help = "max_pool of local_response_norm across channels, made of the two by a pass",
    .attributes_size = sizeof(struct ph_normed_pool_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 0x1, .backward_reads = PH_READS_INPUTS,
    .infer = normed_max_pool_infer, .forward = normed_max_pool_forward, .backward = normed_max_pool_backward,
    .flops = normed_max_pool_flops,
    .cases = normed_max_pool_cases,
};
