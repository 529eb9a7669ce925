/* Programs as a whole: rewriting passes change no result and spare what is asked for, taps, liveness, refusals, memory that
 * runs out at every place it can. */
#include "exec/plan.h"
#include "graph/operations.h"
#include "graph/passes.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* x -> convolution -> batch-norm -> relu -> identity -> convolution -> mean over everything but the batch. */
struct sample {
    struct ph_graph *graph;
    int x, convolution, norm, relu, same, loss;
    float weights[24 * 16 * 9], vectors[5][24], last[4 * 24];
};

static void sample_make(struct sample *s, ph_context *context) {
    struct ph_random_key key = {.seed = 3};
    ph_random_normal(key, s->weights, PH_COUNT(s->weights));
    for (int i = 0; i < 5; i++) {
        key.step++;
        ph_random_normal(key, s->vectors[i], 24);
    }
    for (int i = 0; i < 24; i++) s->vectors[4][i] = 0.5f + fabsf(s->vectors[4][i]); /* variances */
    key.step++;
    ph_random_normal(key, s->last, PH_COUNT(s->last));
    assert_int_equal(ph_graph_create(context, &s->graph), PH_OK);
    struct ph_graph *g = s->graph;
    int v[8];
    assert_int_equal(ph_graph_add_input(g, "x", PH_FLOAT, PH_SHAPE(2, 16, 13, 14), &s->x), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, "w", PH_FLOAT, PH_SHAPE(24, 16, 3, 3), s->weights, &v[0]), PH_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(24), s->vectors[i], &v[1 + i]), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, "w2", PH_FLOAT, PH_SHAPE(4, 24, 1, 1), s->last, &v[6]), PH_OK);
    struct ph_convolution_attributes a = {.kernel = {1, 3, 3}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .groups = 1};
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, "convolution", &a, (int[]){s->x, v[0], v[1]}, 3, &s->convolution), PH_OK);
    struct ph_norm_attributes norm = {.epsilon = 1e-3};
    assert_int_equal(ph_graph_add(g, &ph_operation_batch_norm, "norm", &norm, (int[]){s->convolution, v[2], v[3], v[4], v[5]}, 5, &s->norm), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_relu, "relu", NULL, &s->norm, 1, &s->relu), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_identity, "same", NULL, &s->relu, 1, &s->same), PH_OK);
    struct ph_convolution_attributes b = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
    int out;
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, "last", &b, (int[]){s->same, v[6]}, 2, &out), PH_OK);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(g, &ph_operation_reduce_mean, "loss", &mean, &out, 1, &s->loss), PH_OK);
}

static ph_status run(const struct sample *s, const char *backend, const int *taps, int tap_count, float **read, float *gradient) {
    struct ph_program_request request = {.taps = taps, .tap_count = tap_count, .loss = s->loss, .parameters = &s->x,
        .parameter_count = 1, .backend = backend};
    struct ph_program *program;
    PH_TRY(ph_program_create(s->graph, &request, &program));
    size_t size = 2 * 16 * 13 * 14;
    ph_random_normal((struct ph_random_key){.seed = 4}, ph_program_input(program, s->x), size);
    ph_program_forward(program);
    ph_program_backward(program);
    for (int i = 0; i < tap_count; i++) ph_program_read(program, taps[i], read[i]);
    memcpy(gradient, ph_program_gradient(program, s->x), size * sizeof(float));
    ph_program_destroy(&program);
    return PH_OK;
}

static double distance(const float *a, const float *b, size_t count) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) difference += pow((double)a[i] - b[i], 2), norm += pow(b[i], 2);
    return sqrt(difference / norm);
}

static void test_rewriting(void **state) {
    static struct sample s;
    static float read[2][5][2 * 24 * 13 * 14], gradients[2][2 * 16 * 13 * 14];
    sample_make(&s, *state);
    /* Every set of values asked for: what is read must not have been fused away, and the rest must not change. */
    const int all[] = {s.convolution, s.norm, s.relu, s.same, s.loss};
    for (int set = 0; set < 32; set++) {
        int taps[5], count = 0;
        float *plain[5], *fast[5];
        for (int i = 0; i < 5; i++)
            if (set >> i & 1) plain[count] = read[0][i], fast[count] = read[1][i], taps[count++] = all[i];
        assert_int_equal(run(&s, "plain", taps, count, plain, gradients[0]), PH_OK);
        assert_int_equal(run(&s, "cpu", taps, count, fast, gradients[1]), PH_OK);
        assert_true(distance(gradients[1], gradients[0], PH_COUNT(gradients[0])) < 1e-5);
        for (int i = 0; i < count; i++)
            assert_true(distance(fast[i], plain[i], taps[i] == s.loss ? 2 : PH_COUNT(read[0][0])) < 1e-5);
    }
    ph_graph_destroy(&s.graph);
}

/* x -> first, relu -> inner -> sum with relu's output -> relu -> two convolutions -> their sum -> mean. */
struct residual { struct sample sample; int inner, sum, positive, left, right, last; };

static int residual_convolution(struct ph_graph *g, const char *name, int from, int side, const float *weights) {
    int w, out, channels = (int)g->values[from].shape.dims[1];
    struct ph_convolution_attributes a = {.kernel = {1, side, side}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, side / 2, side / 2}, .pad_end = {0, side / 2, side / 2}, .groups = 1};
    assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(24, channels, side, side), weights, &w), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, name, &a, (int[]){from, w}, 2, &out), PH_OK);
    return out;
}

static void residual_make(struct residual *r, ph_context *context) {
    static float weights[24 * 24 * 9];
    int first, relu;
    ph_random_normal((struct ph_random_key){.seed = 7}, weights, PH_COUNT(weights));
    for (int i = 0; i < PH_COUNT(weights); i++) weights[i] *= 0.1f;
    assert_int_equal(ph_graph_create(context, &r->sample.graph), PH_OK);
    struct ph_graph *g = r->sample.graph;
    assert_int_equal(ph_graph_add_input(g, "x", PH_FLOAT, PH_SHAPE(2, 16, 13, 14), &r->sample.x), PH_OK);
    first = residual_convolution(g, "first", r->sample.x, 1, weights);
    assert_int_equal(ph_graph_add(g, &ph_operation_relu, "relu", NULL, &first, 1, &relu), PH_OK);
    r->inner = residual_convolution(g, "inner", relu, 3, weights);
    assert_int_equal(ph_graph_add(g, &ph_operation_add, "sum", NULL, (int[]){relu, r->inner}, 2, &r->sum), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_relu, "positive", NULL, &r->sum, 1, &r->positive), PH_OK);
    r->left = residual_convolution(g, "left", r->positive, 1, weights + 100);
    r->right = residual_convolution(g, "right", r->positive, 3, weights);
    assert_int_equal(ph_graph_add(g, &ph_operation_add, "last", NULL, (int[]){r->left, r->right}, 2, &r->last), PH_OK);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(g, &ph_operation_reduce_mean, "loss", &mean, &r->last, 1, &r->sample.loss), PH_OK);
}

/* Whether the plan has a convolution that makes the value of this name in place of its output. */
static bool makes(const char *plan, const char *value) {
    for (const char *line = strstr(plan, "convolution+add"); line; line = strstr(line + 1, "convolution+add")) {
        char kernel[32], name[64];
        if (sscanf(line, "%*s %31s %63s", kernel, name) == 2 && !strcmp(name, value)) return true;
    }
    return false;
}

/* Sums are made by convolutions but where that would leave out what is asked for. */
static void test_residual(void **state) {
    static struct residual r;
    static float read[2][6][2 * 24 * 13 * 14], gradients[2][2 * 16 * 13 * 14];
    residual_make(&r, *state);
    const int all[] = {r.inner, r.sum, r.positive, r.left, r.right, r.last};
    enum { INNER = 1, SUM = 2, LEFT = 8, RIGHT = 16 };
    for (int set = 0; set < 64; set++) {
        int taps[6], count = 0;
        float *plain[6], *fast[6];
        for (int i = 0; i < 6; i++)
            if (set >> i & 1) plain[count] = read[0][i], fast[count] = read[1][i], taps[count++] = all[i];
        assert_int_equal(run(&r.sample, "plain", taps, count, plain, gradients[0]), PH_OK);
        assert_int_equal(run(&r.sample, "cpu", taps, count, fast, gradients[1]), PH_OK);
        assert_true(distance(gradients[1], gradients[0], PH_COUNT(gradients[0])) < 1e-5);
        for (int i = 0; i < count; i++) assert_true(distance(fast[i], plain[i], PH_COUNT(read[0][0])) < 1e-5);
        struct ph_program_request request = {.taps = taps, .tap_count = count, .loss = r.sample.loss,
            .parameters = &r.sample.x, .parameter_count = 1, .backend = "cpu"};
        struct ph_program *program;
        struct ph_text plan = {0};
        assert_int_equal(ph_program_create(r.sample.graph, &request, &program), PH_OK);
        assert_int_equal(ph_program_print(program, false, &plan), PH_OK);
        assert_int_equal(makes(plan.data, "positive"), !(set & (INNER | SUM)));
        assert_int_equal(makes(plan.data, "sum"), !(set & INNER) && set & SUM);
        assert_int_equal(makes(plan.data, "last"), (set & (LEFT | RIGHT)) != (LEFT | RIGHT));
        ph_text_finish(&plan);
        ph_program_destroy(&program);
    }
    ph_graph_destroy(&r.sample.graph);
}

enum { BRANCHES = 3 };

/* x -> first, ReLU -> convolutions, all but the last with a ReLU -> the mean of those in the set `goals`. */
static void branches_make(struct sample *s, ph_context *context, unsigned goals, int branches[BRANCHES]) {
    static float weights[24 * 24 + 10 * BRANCHES];
    int same, joined[BRANCHES], count = 0;
    ph_random_normal((struct ph_random_key){.seed = 9}, weights, PH_COUNT(weights));
    assert_int_equal(ph_graph_create(context, &s->graph), PH_OK);
    assert_int_equal(ph_graph_add_input(s->graph, "x", PH_FLOAT, PH_SHAPE(2, 16, 13, 14), &s->x), PH_OK);
    int first = residual_convolution(s->graph, "first", s->x, 1, weights);
    assert_int_equal(ph_graph_add(s->graph, &ph_operation_relu, "same", NULL, &first, 1, &same), PH_OK);
    for (int b = 0; b < BRANCHES; b++) {
        branches[b] = residual_convolution(s->graph, NULL, same, 1, weights + 10 * b);
        if (b + 1 < BRANCHES)
            assert_int_equal(ph_graph_add(s->graph, &ph_operation_relu, NULL, NULL, &branches[b], 1, &branches[b]), PH_OK);
        if (goals >> b & 1) joined[count++] = branches[b];
    }
    int whole;
    struct ph_axis_attributes channels = {1};
    assert_int_equal(ph_graph_add(s->graph, &ph_operation_concat, NULL, &channels, joined, count, &whole), PH_OK);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(s->graph, &ph_operation_reduce_mean, "loss", &mean, &whole, 1, &s->loss), PH_OK);
}

/* Steps of this direction that stand for several convolutions. */
static int joined_steps(const char *plan, const char *direction) {
    int count = 0;
    for (const char *line = plan; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char operation[32], more[8];
        bool joined = sscanf(line, "%*s %31s %*s %*s %7s", operation, more) == 2 && more[0] == '+';
        count += joined && !strncmp(line, direction, strlen(direction)) && !strcmp(operation, "convolution");
    }
    return count;
}

/* One step stands for the branches that the loss depends on, another for those that are only looked at; those that nobody asks
 * for are not made. */
static void test_branches(void **state) {
    static float read[2][BRANCHES][2 * 24 * 13 * 14], gradients[2][2 * 16 * 13 * 14];
    for (unsigned goals = 1; goals < 1 << BRANCHES; goals++)
        for (unsigned looks = 0; looks < 1 << BRANCHES; looks++) {
            struct sample s;
            int branches[BRANCHES], taps[BRANCHES], count = 0;
            float *plain[BRANCHES], *fast[BRANCHES];
            branches_make(&s, *state, goals, branches);
            for (int i = 0; i < BRANCHES; i++)
                if (looks >> i & 1) plain[count] = read[0][i], fast[count] = read[1][i], taps[count++] = branches[i];
            assert_int_equal(run(&s, "plain", taps, count, plain, gradients[0]), PH_OK);
            assert_int_equal(run(&s, "cpu", taps, count, fast, gradients[1]), PH_OK);
            assert_true(distance(gradients[1], gradients[0], PH_COUNT(gradients[0])) < 1e-5);
            for (int i = 0; i < count; i++) assert_true(distance(fast[i], plain[i], PH_COUNT(read[0][0])) < 1e-5);
            struct ph_program_request request = {.taps = taps, .tap_count = count, .loss = s.loss, .parameters = &s.x,
                .parameter_count = 1, .backend = "cpu"};
            struct ph_program *program;
            struct ph_text plan = {0};
            assert_int_equal(ph_program_create(s.graph, &request, &program), PH_OK);
            assert_int_equal(ph_program_print(program, false, &plan), PH_OK);
            bool several = __builtin_popcount(goals) > 1;
            assert_int_equal(joined_steps(plan.data, "backward"), several);
            assert_int_equal(joined_steps(plan.data, "forward"), several + (__builtin_popcount(looks & ~goals) > 1));
            ph_text_finish(&plan);
            ph_program_destroy(&program);
            ph_graph_destroy(&s.graph);
        }
}

static void test_passes(void **state) {
    static struct sample s;
    sample_make(&s, *state);
    int *map = calloc((size_t)s.graph->value_count, sizeof *map);
    struct ph_graph *graph;
    assert_int_equal(ph_graph_extract(s.graph, &s.loss, 1, PH_REWRITE_FUSE, &graph, map), PH_OK);
    assert_int_equal(graph->node_count, 3); /* convolution with norm and relu, the second one, the mean */
    assert_true(((const struct ph_convolution_attributes *)graph->nodes[0].attributes)->relu);
    assert_string_equal(graph->values[graph->nodes[0].outputs[0]].name, "relu");
    ph_graph_destroy(&graph);
    assert_int_equal(ph_graph_extract(s.graph, &s.norm, 1, 0, &graph, map), PH_OK);
    assert_int_equal(graph->node_count, 2); /* nothing behind what is kept */
    ph_graph_destroy(&graph);
    free(map);
    ph_graph_destroy(&s.graph);
}

/* A picture shifted, scaled, put in BGR order and normalised, then a first convolution with batch-norm and ReLU. */
struct first {
    struct ph_graph *graph;
    int x, before, loss, relu;
    float weights[20 * 3 * 49], bias[20], numbers[8][20], matrix[9];
};

struct first_shape { int kernel, stride, pad_begin, pad_end, height, width; };

static void first_make(struct first *f, ph_context *context, struct first_shape shape, uint32_t seed) {
    struct ph_random_key key = {.seed = seed};
    ph_random_normal(key, f->weights, PH_COUNT(f->weights));
    key.step++;
    ph_random_normal(key, f->bias, PH_COUNT(f->bias));
    for (int i = 0; i < 8; i++) {
        key.step++;
        ph_random_normal(key, f->numbers[i], 20);
    }
    for (int i = 3; i < 8; i += 4) /* variances */
        for (int c = 0; c < 20; c++) f->numbers[i][c] = 0.5f + fabsf(f->numbers[i][c]);
    memcpy(f->matrix, (const float[]){0, 0, 3, 0, -2, 0, 1.5f, 0, 0}, sizeof f->matrix);
    assert_int_equal(ph_graph_create(context, &f->graph), PH_OK);
    struct ph_graph *g = f->graph;
    int scalar, shift, matrix, norm[4], weights, bias, behind[4], v;
    static const float two = 2;
    assert_int_equal(ph_graph_add_input(g, "x", PH_FLOAT, PH_SHAPE(2, 3, shape.height, shape.width), &f->x), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SCALAR, &two, &scalar), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(1, 3, 1, 1), f->numbers[4], &shift), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(3, 3, 1, 1), f->matrix, &matrix), PH_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(3), f->numbers[i], &norm[i]), PH_OK);
        assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(20), f->numbers[4 + i], &behind[i]), PH_OK);
    }
    struct ph_shape filters = PH_SHAPE(20, 3, shape.kernel, shape.kernel);
    assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, filters, f->weights, &weights), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(20), f->bias, &bias), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_sub, NULL, NULL, (int[]){f->x, shift}, 2, &v), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_div, NULL, NULL, (int[]){v, scalar}, 2, &v), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_sub, NULL, NULL, (int[]){scalar, v}, 2, &f->before), PH_OK);
    struct ph_convolution_attributes one = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
    assert_int_equal(ph_graph_add(g, &ph_operation_mul, NULL, NULL, (int[]){f->before, shift}, 2, &v), PH_OK);
    struct ph_norm_attributes epsilon = {.epsilon = 1e-3};
    int before[] = {v, norm[0], norm[1], norm[2], norm[3]};
    assert_int_equal(ph_graph_add(g, &ph_operation_batch_norm, NULL, &epsilon, before, 5, &v), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, NULL, &one, (int[]){v, matrix, norm[1]}, 3, &v), PH_OK);
    struct ph_convolution_attributes a = {.kernel = {1, shape.kernel, shape.kernel}, .stride = {1, shape.stride, shape.stride},
        .dilation = {1, 1, 1}, .pad_begin = {0, shape.pad_begin, shape.pad_begin},
        .pad_end = {0, shape.pad_end, shape.pad_end}, .groups = 1};
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, NULL, &a, (int[]){v, weights, bias}, 3, &v), PH_OK);
    int normed[] = {v, behind[0], behind[1], behind[2], behind[3]};
    assert_int_equal(ph_graph_add(g, &ph_operation_batch_norm, NULL, &epsilon, normed, 5, &v), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_relu, NULL, NULL, &v, 1, &f->relu), PH_OK);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(g, &ph_operation_reduce_mean, "loss", &mean, &f->relu, 1, &f->loss), PH_OK);
}

/* The first layer and the picture's gradient by a backend. */
static void first_run(const struct first *f, const char *backend, float **value, float **gradient, size_t *value_size,
                      size_t *size) {
    struct ph_program_request request = {.taps = &f->relu, .tap_count = 1, .loss = f->loss, .parameters = &f->x,
        .parameter_count = 1, .backend = backend};
    struct ph_program *program;
    *value_size = (size_t)ph_shape_size(&f->graph->values[f->relu].shape);
    *size = (size_t)ph_shape_size(&f->graph->values[f->x].shape);
    *value = malloc(*value_size * sizeof **value);
    *gradient = malloc(*size * sizeof **gradient);
    assert_int_equal(ph_program_create(f->graph, &request, &program), PH_OK);
    ph_random_normal((struct ph_random_key){.seed = 4}, ph_program_input(program, f->x), *size);
    assert_int_equal(ph_program_forward(program), PH_OK);
    assert_int_equal(ph_program_backward(program), PH_OK);
    ph_program_read(program, f->relu, *value);
    memcpy(*gradient, ph_program_gradient(program, f->x), *size * sizeof **gradient);
    ph_program_destroy(&program);
}

/* Where the padding reaches and elsewhere, the largest distance is small beside the largest value. */
static void first_compare(const struct first *f, const float *a, const float *b) {
    const int64_t *dims = f->graph->values[f->relu].shape.dims;
    double largest = 0, border = 0, middle = 0;
    for (int64_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++) {
        int64_t y = i / dims[3] % dims[2], x = i % dims[3];
        bool inside = y > 2 && y < dims[2] - 3 && x > 2 && x < dims[3] - 3;
        double *off = inside ? &middle : &border;
        *off = fmax(*off, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    assert_true(border < 1e-5 * largest);
    assert_true(middle < 1e-5 * largest);
}

static void test_first_convolution(void **state) {
    enum { ALL = PH_REWRITE_FUSE | PH_REWRITE_NORMALISATION };
    static const struct first_shape shapes[] = {{7, 2, 3, 3, 33, 40}, {7, 2, 3, 2, 40, 37}, {3, 1, 1, 1, 20, 21},
        {3, 2, 0, 1, 30, 29}, {3, 2, 0, 0, 31, 30}, {5, 3, 2, 2, 50, 47}, {7, 4, 2, 3, 61, 64}, {5, 2, 2, 2, 9, 11}};
    ph_context *context = *state;
    for (int i = 0; i < PH_COUNT(shapes); i++) {
        static struct first f;
        first_make(&f, context, shapes[i], 10 + (uint32_t)i);
        int *map = calloc((size_t)f.graph->value_count, sizeof *map), both[] = {f.loss, f.before};
        struct ph_graph *graph;
        assert_int_equal(ph_graph_extract(f.graph, &f.loss, 1, ALL, &graph, map), PH_OK);
        assert_int_equal(graph->node_count, 2); /* the convolution and the mean */
        assert_int_equal(graph->nodes[0].inputs[0], map[f.x]);
        assert_int_equal(graph->nodes[0].input_count, shapes[i].pad_begin || shapes[i].pad_end ? 4 : 3);
        ph_graph_destroy(&graph);
        /* What is asked for stays, and all before it. */
        assert_int_equal(ph_graph_extract(f.graph, both, 2, ALL, &graph, map), PH_OK);
        assert_int_equal(graph->node_count, 5);
        ph_graph_destroy(&graph);
        free(map);
        float *values[2], *gradients[2];
        size_t value_size, size;
        first_run(&f, "plain", &values[0], &gradients[0], &value_size, &size);
        for (int level = 0; level <= (int)ph_instruction_set_detect(); level++) {
            assert_int_equal(ph_context_set_instruction_set(context, ph_instruction_set_names[level]), PH_OK);
            first_run(&f, "cpu", &values[1], &gradients[1], &value_size, &size);
            first_compare(&f, values[1], values[0]);
            assert_true(distance(gradients[1], gradients[0], size) < 1e-5);
            free(values[1]);
            free(gradients[1]);
        }
        assert_int_equal(ph_context_set_instruction_set(context, "auto"), PH_OK);
        free(values[0]);
        free(gradients[0]);
        ph_graph_destroy(&f.graph);
    }
}

/* ---- Activations that are written as several operations ------------------------------------------------------------- */

/* What stands between two convolutions: `first` and `second` are numbers, the forms those of exporters. */
enum spelling { X_SIGMOID, SIGMOID_X, X_RAMP, CLIP_BEHIND, CLIP_DIVIDED, CLIP_BEFORE, ERF_BEHIND, ERF_BEFORE, X_SOFTPLUS,
                TANH_POWER, TANH_PRODUCTS, TANH_FACTORED, SPELLINGS, STEEP_SIGMOID = SPELLINGS, OTHER_RAMP, LOW_CEILING, X_TANH,
                OTHER_X, SQUARE, SHIFTED, RULED_CLIP, OTHER_CUBE, OTHER_CUBED, ALL_SPELLINGS };

static int put(struct ph_graph *g, const struct ph_operation *operation, const struct ph_activation_attributes *a, int x, int y) {
    int out;
    assert_int_equal(ph_graph_add(g, operation, NULL, a, (int[]){x, y}, y == PH_ABSENT ? 1 : 2, &out), PH_OK);
    return out;
}

static int number(struct ph_graph *g, float value) {
    int out;
    assert_int_equal(ph_graph_add_constant_copy(g, NULL, PH_FLOAT, PH_SCALAR, &value, &out), PH_OK);
    return out;
}

#define UNARY(name, x) put(g, &ph_operation_##name, NULL, x, PH_ABSENT)
#define WITH(name, x, ...) put(g, &ph_operation_##name, &(struct ph_activation_attributes){__VA_ARGS__}, x, PH_ABSENT)
#define BINARY(name, x, y) put(g, &ph_operation_##name, NULL, x, y)

/* *heart: the value in the middle of it. */
static int spell(struct ph_graph *g, enum spelling spelling, int x, int other, int *heart) {
    switch (spelling) {
    case X_SIGMOID: *heart = UNARY(sigmoid, x); return BINARY(mul, x, *heart);
    case SIGMOID_X: *heart = UNARY(sigmoid, x); return BINARY(mul, *heart, x);
    case X_RAMP: *heart = WITH(hard_sigmoid, x, .alpha = 1.0f / 6, .beta = 0.5); return BINARY(mul, x, *heart);
    case CLIP_BEHIND:
        *heart = WITH(clip, BINARY(add, x, number(g, 3)), .low = 0, .high = 6);
        return BINARY(div, BINARY(mul, x, *heart), number(g, 6));
    case CLIP_DIVIDED:
        *heart = WITH(clip, BINARY(add, number(g, 3), x), .low = 0, .high = 6);
        return BINARY(mul, x, BINARY(div, *heart, number(g, 6)));
    case CLIP_BEFORE:
        *heart = WITH(clip, BINARY(sub, x, number(g, -3)), .low = 0, .high = 6);
        return BINARY(mul, BINARY(mul, x, number(g, 1.0f / 6)), *heart);
    case ERF_BEHIND:
        *heart = UNARY(erf, BINARY(div, x, number(g, 1.41421354f)));
        return BINARY(mul, BINARY(mul, x, BINARY(add, *heart, number(g, 1))), number(g, 0.5f));
    case ERF_BEFORE:
        *heart = UNARY(erf, BINARY(mul, number(g, 0.707106769f), x));
        return BINARY(mul, BINARY(mul, number(g, 0.5f), x), BINARY(add, number(g, 1), *heart));
    case X_SOFTPLUS: *heart = UNARY(tanh, UNARY(softplus, x)); return BINARY(mul, x, *heart);
    case TANH_POWER: {
        int cube = BINARY(mul, BINARY(pow, x, number(g, 3)), number(g, 0.044715f));
        *heart = UNARY(tanh, BINARY(mul, BINARY(add, x, cube), number(g, 0.797884583f)));
        return BINARY(mul, BINARY(mul, number(g, 0.5f), x), BINARY(add, number(g, 1), *heart));
    }
    case TANH_PRODUCTS: {
        int cube = BINARY(mul, x, BINARY(mul, BINARY(mul, x, number(g, 0.044715f)), x));
        *heart = UNARY(tanh, BINARY(mul, number(g, 0.797884583f), BINARY(add, cube, x)));
        return BINARY(mul, BINARY(mul, x, BINARY(add, *heart, number(g, 1))), number(g, 0.5f));
    }
    case TANH_FACTORED: {
        int rest = BINARY(add, number(g, 1), BINARY(mul, BINARY(mul, number(g, 0.044715f), x), x));
        *heart = UNARY(tanh, BINARY(mul, BINARY(mul, x, number(g, 0.797884583f)), rest));
        return BINARY(mul, BINARY(mul, x, number(g, 0.5f)), BINARY(add, *heart, number(g, 1)));
    }
    /* Like them, and others. */
    case OTHER_CUBE: {
        int cube = BINARY(mul, BINARY(pow, x, number(g, 3)), number(g, 0.05f));
        *heart = UNARY(tanh, BINARY(mul, BINARY(add, x, cube), number(g, 0.797884583f)));
        return BINARY(mul, BINARY(mul, number(g, 0.5f), x), BINARY(add, number(g, 1), *heart));
    }
    case OTHER_CUBED: {
        int cube = BINARY(mul, BINARY(pow, other, number(g, 3)), number(g, 0.044715f));
        *heart = UNARY(tanh, BINARY(mul, BINARY(add, x, cube), number(g, 0.797884583f)));
        return BINARY(mul, BINARY(mul, number(g, 0.5f), x), BINARY(add, number(g, 1), *heart));
    }
    case STEEP_SIGMOID: *heart = UNARY(sigmoid, BINARY(mul, x, number(g, 1.702f))); return BINARY(mul, x, *heart);
    case OTHER_RAMP: *heart = WITH(hard_sigmoid, x, .alpha = 0.2, .beta = 0.5); return BINARY(mul, x, *heart);
    case LOW_CEILING:
        *heart = WITH(clip, BINARY(add, x, number(g, 3)), .low = 0, .high = 5);
        return BINARY(div, BINARY(mul, x, *heart), number(g, 6));
    case X_TANH: *heart = UNARY(tanh, x); return BINARY(mul, x, *heart);
    case OTHER_X: *heart = UNARY(sigmoid, x); return BINARY(mul, other, *heart);
    case SQUARE: *heart = UNARY(sigmoid, x); return BINARY(mul, *heart, *heart);
    case SHIFTED: *heart = UNARY(sigmoid, x); return BINARY(mul, BINARY(add, x, number(g, 1)), *heart);
    case RULED_CLIP:
        *heart = WITH(redirected_clip, BINARY(add, x, number(g, 3)), .low = 0, .high = 6);
        return BINARY(div, BINARY(mul, x, *heart), number(g, 6));
    default: fail(); return PH_ABSENT;
    }
}

/* Convolution, one of these, convolution, mean. */
static int spelled_make(struct sample *s, ph_context *context, enum spelling spelling, int *heart) {
    sample_make(s, context);
    int v[2], out;
    struct ph_convolution_attributes a = {.kernel = {1, 3, 3}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .groups = 1}, one = a;
    for (int i = 0; i < PH_COUNT(s->weights); i++) s->weights[i] *= 0.2f;
    one.kernel[1] = one.kernel[2] = 1;
    one.pad_begin[1] = one.pad_begin[2] = one.pad_end[1] = one.pad_end[2] = 0;
    assert_int_equal(ph_graph_add_constant(s->graph, NULL, PH_FLOAT, PH_SHAPE(24, 16, 1, 1), s->weights, &v[0]), PH_OK);
    assert_int_equal(ph_graph_add(s->graph, &ph_operation_convolution, NULL, &one, (int[]){s->x, v[0]}, 2, &v[1]), PH_OK);
    int made = spell(s->graph, spelling, s->convolution, v[1], heart);
    assert_int_equal(ph_graph_add_constant(s->graph, NULL, PH_FLOAT, PH_SHAPE(4, 24, 3, 3), s->weights, &v[0]), PH_OK);
    assert_int_equal(ph_graph_add(s->graph, &ph_operation_convolution, NULL, &a, (int[]){made, v[0]}, 2, &out), PH_OK);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(s->graph, &ph_operation_reduce_mean, "spelled", &mean, &out, 1, &s->loss), PH_OK);
    return made;
}

/* The operation that makes the value in the part of the graph that leads to `keep`; *nodes: how many are left there. */
static const struct ph_operation *made_by(const struct sample *s, int value, const int *keep, int keep_count, int *nodes) {
    int *map = calloc((size_t)s->graph->value_count, sizeof *map);
    struct ph_graph *graph;
    assert_int_equal(ph_graph_extract(s->graph, keep, keep_count, PH_REWRITE_FUSE | PH_REWRITE_ACTIVATIONS, &graph, map), PH_OK);
    assert_string_equal(graph->values[map[value]].name, s->graph->values[value].name);
    const struct ph_operation *operation = graph->nodes[graph->values[map[value]].node].operation;
    *nodes = graph->node_count;
    ph_graph_destroy(&graph);
    free(map);
    return operation;
}

static void test_spelled_activations(void **state) {
    static const struct ph_operation *const wanted[SPELLINGS] = {&ph_operation_silu, &ph_operation_silu, &ph_operation_hard_swish,
        &ph_operation_hard_swish, &ph_operation_hard_swish, &ph_operation_hard_swish, &ph_operation_gelu, &ph_operation_gelu,
        &ph_operation_mish, &ph_operation_gelu, &ph_operation_gelu, &ph_operation_gelu};
    static float values[2][2 * 24 * 13 * 14], hearts[2][2 * 24 * 13 * 14], gradients[2][2 * 16 * 13 * 14];
    for (int spelling = 0; spelling < ALL_SPELLINGS; spelling++) {
        static struct sample s;
        int heart, nodes, made = spelled_make(&s, *state, spelling, &heart), taps[] = {made, heart};
        const struct ph_operation *spelled = s.graph->nodes[s.graph->values[made].node].operation;
        const struct ph_operation *whole = made_by(&s, made, &s.loss, 1, &nodes);
        assert_ptr_equal(whole, spelling < SPELLINGS ? wanted[spelling] : spelled);
        if (spelling < SPELLINGS) assert_int_equal(nodes, 4);
        /* With a part of it asked for, it stays as it is. */
        assert_ptr_equal(made_by(&s, made, (int[]){s.loss, heart}, 2, &nodes), spelled);
        for (int count = 1; count <= 2; count++) {
            assert_int_equal(run(&s, "plain", taps, count, (float *[]){values[0], hearts[0]}, gradients[0]), PH_OK);
            for (int level = 0; level <= (int)ph_instruction_set_detect(); level++) {
                assert_int_equal(ph_context_set_instruction_set(*state, ph_instruction_set_names[level]), PH_OK);
                assert_int_equal(run(&s, "cpu", taps, count, (float *[]){values[1], hearts[1]}, gradients[1]), PH_OK);
                assert_true(distance(values[1], values[0], PH_COUNT(values[0])) < 1e-5);
                if (count == 2) assert_true(distance(hearts[1], hearts[0], PH_COUNT(hearts[0])) < 1e-5);
                assert_true(distance(gradients[1], gradients[0], PH_COUNT(gradients[0])) < 1e-5);
            }
            assert_int_equal(ph_context_set_instruction_set(*state, "auto"), PH_OK);
        }
        ph_graph_destroy(&s.graph);
    }
}

/* A max-pool and the normalisation in front of it are one operation where nobody else wants what lies between. */
static void test_normed_pools(void **state) {
    enum { ALONE, KEPT, READ_TWICE, WITHIN_CHANNELS, WAYS };
    for (int way = 0; way < WAYS; way++) {
        static struct sample s;
        sample_make(&s, *state);
        int normed, other, pooled;
        struct ph_response_norm_attributes norm = {.size = 5, .alpha = 1, .beta = 0.75, .bias = 1,
                                                   .within_channel = way == WITHIN_CHANNELS};
        struct ph_pool_attributes pool = {.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .dilation = {1, 1, 1}, .output = {1, 6, 6}};
        assert_int_equal(ph_graph_add(s.graph, &ph_operation_local_response_norm, "normed", &norm, &s.x, 1, &normed), PH_OK);
        assert_int_equal(ph_graph_add(s.graph, &ph_operation_max_pool, "pooled", &pool, &normed, 1, &pooled), PH_OK);
        assert_int_equal(ph_graph_add(s.graph, &ph_operation_exp, "other", NULL, &normed, 1, &other), PH_OK);
        int *map = calloc((size_t)s.graph->value_count, sizeof *map), keep[] = {pooled, way == KEPT ? normed : other};
        struct ph_graph *graph;
        int keeps = way == KEPT || way == READ_TWICE ? 2 : 1;
        assert_int_equal(ph_graph_extract(s.graph, keep, keeps, PH_REWRITE_NORMED_POOLS, &graph, map), PH_OK);
        const struct ph_node *maker = &graph->nodes[graph->values[map[pooled]].node];
        assert_ptr_equal(maker->operation, way == ALONE ? &ph_operation_normed_max_pool : &ph_operation_max_pool);
        assert_string_equal(graph->values[map[pooled]].name, "pooled");
        assert_int_equal(graph->node_count, way == ALONE ? 1 : way == READ_TWICE ? 3 : 2);
        ph_graph_destroy(&graph);
        free(map);
        ph_graph_destroy(&s.graph);
    }
}

static void test_refusals(void **state) {
    static struct sample s;
    sample_make(&s, *state);
    float gradient[2 * 16 * 13 * 14];
    assert_int_equal(run(&s, "abacus", NULL, 0, NULL, gradient), PH_ERROR_NOT_FOUND);
    assert_non_null(strstr(ph_context_error(*state), "cpu"));
    int other, blocked;
    struct ph_program *program;
    assert_int_equal(ph_graph_add_input(s.graph, "other", PH_FLOAT, PH_SHAPE(3), &other), PH_OK);
    struct ph_program_request request = {.loss = s.loss, .parameters = &other, .parameter_count = 1};
    assert_int_equal(ph_program_create(s.graph, &request, &program), PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(*state), "loss"));
    /* No gradient passes a step function. */
    assert_int_equal(ph_graph_add(s.graph, &ph_operation_floor, "steps", NULL, &s.loss, 1, &blocked), PH_OK);
    request = (struct ph_program_request){.loss = blocked, .parameters = &s.x, .parameter_count = 1};
    assert_int_equal(ph_program_create(s.graph, &request, &program), PH_ERROR_UNSUPPORTED);
    assert_null(program);
    ph_graph_destroy(&s.graph);
}

/* The n-th allocation fails, for every n until all succeed: an error each time, and nothing kept (leaks are the sanitizer's
 * to see). */
static void test_memory(void **state) {
    static struct sample s;
    static float gradient[2 * 16 * 13 * 14];
    sample_make(&s, *state);
    long n = 0;
    for (ph_status status = PH_ERROR_MEMORY; status; n++) {
        ph_alloc_fail_after(n);
        status = run(&s, "cpu", NULL, 0, NULL, gradient);
        ph_alloc_fail_after(-1);
        assert_true(status == PH_OK || status == PH_ERROR_MEMORY);
    }
    assert_true(n > 20);
    ph_graph_destroy(&s.graph);
}

/* A small network of a batch: convolutions with halos and without, a concatenation, pooling, the mean. */
static void batch_make(ph_context *context, int batch, const float *weights, struct ph_graph **graph, int *x, int *loss) {
    struct ph_graph *g;
    int filters[2], v, side, joined;
    assert_int_equal(ph_graph_create(context, &g), PH_OK);
    assert_int_equal(ph_graph_add_input(g, "x", PH_FLOAT, PH_SHAPE(batch, 16, 13, 14), x), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, "w", PH_FLOAT, PH_SHAPE(32, 16, 3, 3), weights, &filters[0]), PH_OK);
    assert_int_equal(ph_graph_add_constant(g, "v", PH_FLOAT, PH_SHAPE(48, 48, 1, 1), weights, &filters[1]), PH_OK);
    struct ph_convolution_attributes a = {.kernel = {1, 3, 3}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .groups = 1};
    struct ph_convolution_attributes one = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, NULL, &a, (int[]){*x, filters[0]}, 2, &v), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_tanh, NULL, NULL, &v, 1, &v), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_relu, NULL, NULL, x, 1, &side), PH_OK);
    struct ph_axis_attributes axis = {.axis = 1};
    assert_int_equal(ph_graph_add(g, &ph_operation_concat, NULL, &axis, (int[]){v, side}, 2, &joined), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, NULL, &one, (int[]){joined, filters[1]}, 2, &v), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_tanh, NULL, NULL, &v, 1, &v), PH_OK);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(g, &ph_operation_reduce_mean, NULL, &mean, &v, 1, loss), PH_OK);
    *graph = g;
}

static void time_all(void *argument) {
    struct ph_program *program = argument;
    double seconds[64] = {0};
    assert_true(ph_program_plan(program)->step_count <= 64);
    ph_program_time(program, seconds);
    for (int s = 0; s < ph_program_plan(program)->step_count; s++) assert_true(seconds[s] > 0);
}

/* Batch items do not see each other: an item's gradient is the same bytes alone, whatever its place, where one item goes
 * through the network and back before the next, and where each thread takes one. */
static void test_batch(void **state) {
    enum { SIZE = 16 * 13 * 14, MOST = 5, THREADS = 3 };
    static float values[MOST * SIZE], first[MOST * SIZE], weights[48 * 48 * 3];
    ph_random_normal((struct ph_random_key){.seed = 5}, values, PH_COUNT(values));
    ph_random_normal((struct ph_random_key){.seed = 6}, weights, PH_COUNT(weights));
    for (int i = 0; i < 2 * MOST * THREADS; i++) {
        int batch = MOST - i % MOST, threads = i / MOST % THREADS + 1;
        bool forced = i >= MOST * THREADS;
        size_t bytes = (size_t)batch * SIZE * sizeof(float);
        struct ph_graph *graph;
        struct ph_program *program;
        int x, loss, stretches = 0;
        assert_int_equal(ph_context_set_threads(*state, threads), PH_OK);
        batch_make(*state, batch, weights, &graph, &x, &loss);
        struct ph_program_request request = {.loss = loss, .parameters = &x, .parameter_count = 1, .whole = forced};
        ph_items_force(forced);
        ph_plan_guard(forced);
        assert_int_equal(ph_program_create(graph, &request, &program), PH_OK);
        ph_items_force(false);
        ph_plan_guard(false);
        const struct ph_plan *plan = ph_program_plan(program);
        for (int s = 0; s < plan->step_count; s++) {
            const struct ph_step *step = &plan->steps[s];
            if (step->items && !step->backward && plan->steps[step->items_end - 1].backward) stretches++;
        }
        assert_int_equal(stretches, forced && batch > 1); /* forward and backward in one */
        assert_int_equal(plan->lanes, stretches && batch >= threads ? threads : 1);
        memcpy(ph_program_input(program, x), values, bytes);
        for (int run = 0; run < 3; run++) {
            if (run == 1) ph_parallel_region(*state, time_all, program);
            else assert_int_equal(ph_program_run(program), PH_OK);
            if (i == 0 && run == 0) memcpy(first, ph_program_gradient(program, x), bytes);
            assert_memory_equal(ph_program_gradient(program, x), first, bytes);
        }
        if (forced) assert_true(ph_program_is_intact(program));
        ph_program_destroy(&program);
        ph_graph_destroy(&graph);
    }
    assert_int_equal(ph_context_set_threads(*state, 0), PH_OK);
}

int main(void) {
    ph_context *context = ph_context_create();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_rewriting, context), cmocka_unit_test_prestate(test_residual, context),
        cmocka_unit_test_prestate(test_branches, context),
        cmocka_unit_test_prestate(test_passes, context), cmocka_unit_test_prestate(test_first_convolution, context),
        cmocka_unit_test_prestate(test_spelled_activations, context), cmocka_unit_test_prestate(test_normed_pools, context),
        cmocka_unit_test_prestate(test_refusals, context),
        cmocka_unit_test_prestate(test_memory, context),
        cmocka_unit_test_prestate(test_batch, context)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    return failures;
}
