/* The table of an objective's terms, row by row: every sample is built for several pictures with several views each on
 * the embedded network, its gradient held to differences in double, and the fast program to the double one. What each
 * term is meant to be is checked by formulas written out a second time. */
#include "exec/double_program.h"
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { PICTURES = 3, VIEWS = 2, ITEMS = PICTURES * VIEWS, HEIGHT = 24, WIDTH = 20, PLANE = HEIGHT * WIDTH };
enum { CHANNELS = 64, ROWS = 6, COLUMNS = 5, POSITIONS = ROWS * COLUMNS }; /* of conv2 */

static ph_context *context;
static ph_model *model;
static ph_recipe *recipe;
static ph_picture *start_picture;
static const struct ph_view view = {3, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH};

/* ---- One objective, built ------------------------------------------------------------------------------------------ */

struct built {
    struct ph_objective objectives[ITEMS];
    struct ph_graph *graph;
    struct ph_references references;
    int picture, layer, value, channels;
};

/* texts[i % count] for picture i. */
static ph_status build_all(const char *const *texts, int count, int channels, struct built *b) {
    int colours, network;
    *b = (struct built){.channels = channels};
    for (int n = 0; n < ITEMS; n++) PH_TRY(ph_objective_parse(context, texts[n / VIEWS % count], &b->objectives[n]));
    PH_TRY(ph_graph_create(context, &b->graph));
    PH_TRY(ph_graph_add_input(b->graph, NULL, PH_FLOAT, PH_SHAPE(ITEMS, channels, HEIGHT, WIDTH), &b->picture));
    struct ph_slice_attributes slice = {.step = {1, 1, 1, 1}, .size = {ITEMS, 3, HEIGHT, WIDTH}};
    PH_TRY(ph_graph_add(b->graph, &ph_operation_slice, NULL, &slice, &b->picture, 1, &colours));
    PH_TRY(ph_preprocessing_build(model, b->graph, colours, &network));
    PH_TRY(ph_model_build(model, b->graph, network));
    PH_TRY(ph_networks_build(model, &b->objectives[0], b->graph, colours));
    PH_TRY(ph_model_find_layer(model, b->graph, "conv2", &b->layer));
    struct ph_objective_scope scope = {.model = model, .graph = b->graph, .picture = b->picture,
        .objectives = b->objectives, .count = ITEMS, .references = &b->references, .views = VIEWS,
        .joining = model, .pictures = PICTURES, .start = start_picture, .recipe = recipe, .view = &view};
    return ph_objective_build(&scope, &b->value);
}

static void built_finish(struct built *b) {
    ph_graph_destroy(&b->graph);
    ph_references_finish(&b->references);
    for (int n = 0; n < ITEMS; n++) ph_objective_finish(&b->objectives[n]);
}

static void build(const char *text, struct built *b) {
    if (build_all(&text, 1, strstr(text, "opacity") ? 4 : 3, b))
        fail_msg("%s: %s", text, ph_context_error(context));
    assert_true(ph_shape_equal(&b->graph->values[b->value].shape, &PH_SHAPE(ITEMS)));
}

/* Pictures with some colour everywhere and no two pixels alike. */
static void pictures_draw(int channels, double *pixels) {
    float *noise = malloc((size_t)(ITEMS * channels * PLANE) * sizeof *noise);
    ph_random_normal((struct ph_random_key){.seed = 11}, noise, (size_t)(ITEMS * channels * PLANE));
    for (int i = 0; i < ITEMS * channels * PLANE; i++)
        pixels[i] = 0.5 + 0.3 * sin(0.7 * i + i / PLANE) + 0.05 * (double)noise[i];
    free(noise);
}

struct exact { struct ph_double_program *program; double *pixels, *values, *layer; size_t size; };

static void exact_start(const struct built *b, struct exact *e) {
    int taps[] = {b->value, b->layer};
    struct ph_program_request request = {.taps = taps, .tap_count = 2, .loss = b->value, .parameters = &b->picture,
        .parameter_count = 1};
    if (ph_double_program_create(b->graph, &request, &e->program)) fail_msg("%s", ph_context_error(context));
    e->pixels = ph_double_program_values(e->program, b->picture);
    e->values = ph_double_program_values(e->program, b->value);
    e->layer = ph_double_program_values(e->program, b->layer);
    e->size = (size_t)(ITEMS * b->channels * PLANE);
    pictures_draw(b->channels, e->pixels);
    ph_double_program_forward(e->program);
}

static double total(const struct exact *e) {
    double sum = 0;
    ph_double_program_forward(e->program);
    for (int n = 0; n < ITEMS; n++) sum += e->values[n];
    return sum;
}

/* ---- The table ------------------------------------------------------------------------------------------------------ */

static void fast_check(const char *text, const struct built *b, const struct exact *e, const double *gradient) {
    struct ph_program_request request = {.taps = &b->value, .tap_count = 1, .loss = b->value,
        .parameters = &b->picture, .parameter_count = 1};
    struct ph_program *program;
    float values[ITEMS];
    double size = 0, off = 0;
    assert_int_equal(ph_program_create(b->graph, &request, &program), PH_OK);
    float *fed = ph_program_input(program, b->picture);
    for (size_t i = 0; i < e->size; i++) fed[i] = (float)e->pixels[i];
    assert_int_equal(ph_program_forward(program), PH_OK);
    assert_int_equal(ph_program_backward(program), PH_OK);
    ph_program_read(program, b->value, values);
    for (int n = 0; n < ITEMS; n++)
        if (!(fabs((double)values[n] - e->values[n]) <= 1e-4 * fabs(e->values[n]) + 1e-6))
            fail_msg("%s: item %d is %g, not %g", text, n, (double)values[n], e->values[n]);
    const float *fast = ph_program_gradient(program, b->picture);
    for (size_t i = 0; i < e->size; i++) {
        size += gradient[i] * gradient[i];
        off += ((double)fast[i] - gradient[i]) * ((double)fast[i] - gradient[i]);
    }
    if (!(size > 0) || !(off <= 1e-6 * size)) fail_msg("%s: gradient %g off by %g", text, sqrt(size), sqrt(off));
    ph_program_destroy(&program);
}

static void sample_check(const char *text) {
    struct built b;
    struct exact e;
    const double h = 1e-6;
    build(text, &b);
    exact_start(&b, &e);
    double *gradient = malloc(e.size * sizeof *gradient), slope = 0;
    float *direction = malloc(e.size * sizeof *direction);
    ph_double_program_backward(e.program);
    memcpy(gradient, ph_double_program_gradient(e.program, b.picture), e.size * sizeof *gradient);
    fast_check(text, &b, &e, gradient);
    ph_random_normal((struct ph_random_key){.seed = 5}, direction, e.size);
    for (size_t i = 0; i < e.size; i++) slope += gradient[i] * (double)direction[i];
    for (size_t i = 0; i < e.size; i++) e.pixels[i] += h * (double)direction[i];
    double high = total(&e);
    for (size_t i = 0; i < e.size; i++) e.pixels[i] -= 2 * h * (double)direction[i];
    double measured = (high - total(&e)) / (2 * h);
    if (!(fabs(measured - slope) <= 1e-4 * fabs(slope) + 1e-7))
        fail_msg("%s: the slope is %.9g, the gradient says %.9g", text, measured, slope);
    free(gradient);
    free(direction);
    ph_double_program_destroy(&e.program);
    built_finish(&b);
}

static void gradients_are_slopes(void **state) {
    (void)state;
    for (int i = 0; ph_term_types[i]; i++) {
        const struct ph_term_type *type = ph_term_types[i];
        assert_non_null(type->samples);
        for (int j = 0; type->samples[j]; j++) sample_check(type->samples[j]);
    }
}

static void rows_are_complete(void **state) {
    (void)state;
    for (int i = 0; ph_term_types[i]; i++) {
        const struct ph_term_type *type = ph_term_types[i];
        size_t length = strlen(type->name);
        assert_true(strlen(type->help) > 10 && strlen(type->help) < 125);
        if (type->function) assert_true(!strncmp(type->form, type->name, length) && type->form[length] == '(');
        for (int j = 0; type->parameters[j].name && type->function; j++)
            if (type->parameters[j].optional) assert_non_null(strstr(type->form, type->parameters[j].name));
        for (int j = 0; j < i; j++)
            if (!ph_term_types[j]->keyword) assert_string_not_equal(type->name, ph_term_types[j]->name);
    }
}

/* ---- What they are -------------------------------------------------------------------------------------------------- */

/* Value of one objective for entry n, and conv2 of all entries; out[ITEMS], layer[ITEMS * CHANNELS * POSITIONS]. */
static void values_of(const char *text, double *out, double *layer) {
    struct built b;
    struct exact e;
    build(text, &b);
    exact_start(&b, &e);
    memcpy(out, e.values, ITEMS * sizeof *out);
    if (layer) memcpy(layer, e.layer, sizeof(double) * ITEMS * CHANNELS * POSITIONS);
    ph_double_program_destroy(&e.program);
    built_finish(&b);
}

static double layer_values[ITEMS * CHANNELS * POSITIONS];

static double at(int n, int c, int p) { return layer_values[(n * CHANNELS + c) * POSITIONS + p]; }

static void directions_are_as_defined(void **state) {
    (void)state;
    double dots[ITEMS], angled[ITEMS], cosines[ITEMS], one[ITEMS];
    values_of("direction(conv2, [3: 1, 7: -0.5, 20: 2])", dots, layer_values);
    values_of("direction(conv2, [3: 1, 7: -0.5, 20: 2], power=2)", angled, NULL);
    values_of("cosine(conv2, [3: 1, 7: -0.5, 20: 2])", cosines, NULL);
    values_of("direction(conv2@2,1, [3: 1, 7: -0.5, 20: 2])", one, NULL);
    for (int n = 0; n < ITEMS; n++) {
        double dot_mean = 0, angled_mean = 0, cosine_mean = 0, norm = sqrt(1 + 0.25 + 4) + 1e-4;
        for (int p = 0; p < POSITIONS; p++) {
            double dot = at(n, 3, p) - 0.5 * at(n, 7, p) + 2 * at(n, 20, p), squares = 0;
            for (int c = 0; c < CHANNELS; c++) squares += at(n, c, p) * at(n, c, p);
            double cosine = dot / ((sqrt(squares) + 1e-4) * norm);
            dot_mean += dot / POSITIONS;
            cosine_mean += cosine / POSITIONS;
            angled_mean += dot * fmax(0.1, cosine) * fmax(0.1, cosine) / POSITIONS;
            if (p == 1 * COLUMNS + 2) assert_float_equal(one[n], dot, 1e-6);
        }
        assert_float_equal(dots[n], dot_mean, 1e-6);
        assert_float_equal(cosines[n], cosine_mean, 1e-6);
        assert_float_equal(angled[n], angled_mean, 1e-6);
    }
}

/* inv(S) v by a program that knows nothing of Cholesky: Gauss's elimination. */
static void whitening_is_the_inverse(void **state) {
    (void)state;
    ph_tensor *s, *v;
    double a[CHANNELS][CHANNELS + 1], white[ITEMS];
    assert_int_equal(ph_tensor_load(context, "covariance.npy", &s), PH_OK);
    assert_int_equal(ph_tensor_load(context, "vector.npy", &v), PH_OK);
    for (int i = 0; i < CHANNELS; i++) {
        for (int j = 0; j < CHANNELS; j++) a[i][j] = (double)s->data[i * CHANNELS + j];
        a[i][CHANNELS] = (double)v->data[i];
    }
    for (int k = 0; k < CHANNELS; k++)
        for (int i = 0; i < CHANNELS; i++) {
            double factor = i == k ? 0 : a[i][k] / a[k][k];
            for (int j = k; j <= CHANNELS && i != k; j++) a[i][j] -= factor * a[k][j];
        }
    values_of("direction(conv2, vector.npy, whiten=covariance.npy)", white, layer_values);
    for (int n = 0; n < ITEMS; n++) {
        double sum = 0;
        for (int c = 0; c < CHANNELS; c++)
            for (int p = 0; p < POSITIONS; p++) sum += a[c][CHANNELS] / a[c][c] * at(n, c, p) / POSITIONS;
        assert_float_equal(white[n], sum, 1e-5 * fabs(sum));
    }
    ph_tensor_destroy(&s);
    ph_tensor_destroy(&v);
}

static double gram(int n, int c, int d) {
    double sum = 0;
    for (int p = 0; p < POSITIONS; p++) sum += at(n, c, p) * at(n, d, p);
    return sum;
}

static void diversity_and_alignment_are_as_defined(void **state) {
    (void)state;
    static double grams[ITEMS][CHANNELS * CHANNELS];
    double diversity[ITEMS], alignment[ITEMS];
    values_of("diversity(conv2)", diversity, layer_values);
    values_of("align(conv2, decay=3)", alignment, NULL);
    for (int n = 0; n < ITEMS; n++) {
        double norm = 0;
        for (int i = 0; i < CHANNELS * CHANNELS; i++) {
            grams[n][i] = gram(n, i / CHANNELS, i % CHANNELS);
            norm += grams[n][i] * grams[n][i];
        }
        for (int i = 0; i < CHANNELS * CHANNELS; i++) grams[n][i] /= sqrt(norm);
    }
    for (int n = 0; n < ITEMS; n++) {
        double like = 0, apart = 0;
        for (int other = n % VIEWS; other < ITEMS; other += VIEWS) { /* the same view of the other pictures */
            int distance = abs(other - n) / VIEWS;
            if (!distance) continue;
            for (int i = 0; i < CHANNELS * CHANNELS; i++) like += grams[n][i] * grams[other][i];
            for (int i = 0; i < CHANNELS * POSITIONS; i++) {
                double off = layer_values[n * CHANNELS * POSITIONS + i] - layer_values[other * CHANNELS * POSITIONS + i];
                apart += off * off / (CHANNELS * POSITIONS) / pow(3, distance);
            }
        }
        assert_float_equal(diversity[n], like, 1e-6);
        assert_float_equal(alignment[n], -apart / 2, 1e-6);
    }
}

static void pictures_have_objectives_of_their_own(void **state) {
    (void)state;
    double one[ITEMS], two[ITEMS], mixed[ITEMS], chosen[ITEMS], product[ITEMS], reached[ITEMS], others[ITEMS];
    values_of("conv2:3", one, layer_values);
    values_of("conv2:9", two, NULL);
    values_of("interpolate(conv2:3, conv2:9)", mixed, NULL);
    values_of("item(2, conv2:3) + 1", chosen, NULL);
    values_of("2*conv2:3 * (conv2:9 - 3)", product, NULL);
    values_of("reach(conv2:3, 2)", reached, NULL);
    values_of("others(conv2:3)", others, NULL);
    for (int n = 0; n < ITEMS; n++) {
        double share = n / VIEWS / 2.0, sum = 0;
        for (int i = 0; i < CHANNELS * POSITIONS; i++)
            if (i / POSITIONS != 3) sum += fmax(0, layer_values[n * CHANNELS * POSITIONS + i]);
        assert_float_equal(mixed[n], (1 - share) * one[n] + share * two[n], 1e-6);
        assert_float_equal(chosen[n], 1 + (n / VIEWS == 1) * one[n], 1e-6);
        assert_float_equal(product[n], 2 * one[n] * (two[n] - 3), 1e-5);
        assert_float_equal(reached[n], -(one[n] - 2) * (one[n] - 2), 1e-6);
        assert_float_equal(others[n], sum / ((CHANNELS - 1) * POSITIONS), 1e-6);
    }
}

/* One network of the picture's own size, and one that sees it scaled and otherwise prepared. */
static void joined_networks_see_the_same_picture(void **state) {
    (void)state;
    double own[ITEMS], same[ITEMS], twin[ITEMS], sum[ITEMS];
    values_of("conv2:3", own, layer_values);
    values_of("in(same, conv2:3)", same, NULL);
    values_of("in(twin, conv2:3)", twin, NULL);
    values_of("conv2:3 + 2*in(same, conv2:3) - in(twin, conv2:3)", sum, NULL);
    for (int n = 0; n < ITEMS; n++) {
        assert_true(own[n] == same[n]);
        assert_true(fabs(own[n] - twin[n]) > 1e-3 * fabs(own[n]));
        assert_float_equal(sum[n], 3 * own[n] - twin[n], 1e-6);
    }
    double product[ITEMS], nested[ITEMS], others[ITEMS];
    values_of("in(same, conv2:3 * conv2:9)", product, NULL);
    values_of("in(twin, in(same, conv2:3)) * conv2:9", nested, NULL);
    values_of("in(same, others(conv2:3))", others, NULL);
    for (int n = 0; n < ITEMS; n++) assert_float_equal(product[n], nested[n], 1e-6);
    values_of("others(conv2:3)", own, NULL);
    for (int n = 0; n < ITEMS; n++) assert_true(own[n] == others[n]);
}

static void joining_is_checked(void **state) {
    (void)state;
    static const char *const names[] = {"", "a b", "a:b", "twin", "x234567890123456789012345678901234567890123456789012345678901234"};
    ph_model *other;
    assert_int_equal(ph_model_load(context, NULL, &other), PH_OK);
    for (int i = 0; i < PH_COUNT(names); i++) {
        assert_int_equal(ph_model_join(model, names[i], &other), PH_ERROR_ARGUMENT);
        assert_non_null(strstr(ph_context_error(context), "network '"));
        assert_non_null(other);
    }
    other->default_input.dims[1] = 1;
    assert_int_equal(ph_model_join(model, "grey", &other), PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(context), "network 'grey'"));
    assert_int_equal(ph_model_join(model, "none", &(ph_model *){NULL}), PH_ERROR_ARGUMENT);
    ph_model_destroy(&other);
    assert_null(ph_model_joined(model, "grey"));
    assert_non_null(ph_model_joined(model, "twin"));
}

static void likeness_is_as_defined(void **state) {
    (void)state;
    ph_tensor *target;
    double l2[ITEMS], l1[ITEMS], cosine[ITEMS], dot[ITEMS];
    assert_int_equal(ph_tensor_load(context, "target.npy", &target), PH_OK);
    values_of("match(conv2, target.npy)", l2, layer_values);
    values_of("match(conv2, target.npy, by=l1)", l1, NULL);
    values_of("match(conv2, target.npy, by=cosine)", cosine, NULL);
    values_of("match(conv2, target.npy, by=dot)", dot, NULL);
    for (int n = 0; n < ITEMS; n++) {
        double off = 0, off2 = 0, size = 0, size2 = 0, own2 = 0, both = 0;
        for (int i = 0; i < CHANNELS * POSITIONS; i++) {
            double a = layer_values[n * CHANNELS * POSITIONS + i], t = (double)target->data[i];
            off += fabs(a - t), off2 += (a - t) * (a - t), size += fabs(t), size2 += t * t, own2 += a * a, both += a * t;
        }
        assert_float_equal(l2[n], -off2 / size2, 1e-5);
        assert_float_equal(l1[n], -off / size, 1e-5);
        assert_float_equal(cosine[n], both / sqrt(own2 * size2), 1e-5);
        assert_float_equal(dot[n], both / POSITIONS, 1e-5 * fabs(both));
    }
    ph_tensor_destroy(&target);
}

/* One channel, a position, a region, and masks over all channels: weights of the sums. */
static void parts_and_masks_are_as_defined(void **state) {
    (void)state;
    ph_tensor *target, *map, *vector;
    double channel[ITEMS], position[ITEMS], region[ITEMS], masked[4][ITEMS];
    assert_int_equal(ph_tensor_load(context, "target.npy", &target), PH_OK);
    assert_int_equal(ph_tensor_load(context, "map.npy", &map), PH_OK);
    assert_int_equal(ph_tensor_load(context, "vector.npy", &vector), PH_OK);
    values_of("match(conv2:7, map.npy)", channel, layer_values);
    values_of("match(conv2@3,2, vector.npy)", position, NULL);
    values_of("match(conv2@1-2,3, target.npy, by=l1)", region, NULL);
    values_of("match(conv2, target.npy, mask=map.npy)", masked[0], NULL);
    values_of("match(conv2, target.npy, by=l1, mask=map.npy)", masked[1], NULL);
    values_of("match(conv2, target.npy, by=cosine, mask=map.npy)", masked[2], NULL);
    values_of("match(conv2, target.npy, by=dot, mask=map.npy)", masked[3], NULL);
    for (int n = 0; n < ITEMS; n++) {
        double sums[6] = {0}, off = 0, off2 = 0, size = 0, size2 = 0, own2 = 0, both = 0;
        for (int p = 0; p < POSITIONS; p++) {
            double t = (double)map->data[p], d = at(n, 7, p) - t;
            sums[0] += d * d, sums[1] += t * t;
        }
        for (int c = 0; c < CHANNELS; c++) {
            double t = (double)vector->data[c], d = at(n, c, 2 * COLUMNS + 3) - t;
            sums[2] += d * d, sums[3] += t * t;
            for (int p = 3 * COLUMNS + 1; p <= 3 * COLUMNS + 2; p++) {
                t = (double)target->data[c * POSITIONS + p];
                sums[4] += fabs(at(n, c, p) - t), sums[5] += fabs(t);
            }
            for (int p = 0; p < POSITIONS; p++) {
                double m = (double)map->data[p], a = at(n, c, p);
                t = (double)target->data[c * POSITIONS + p];
                off += m * fabs(a - t), off2 += m * (a - t) * (a - t), size += m * fabs(t), size2 += m * t * t;
                own2 += m * a * a, both += m * a * t;
            }
        }
        assert_float_equal(channel[n], -sums[0] / sums[1], 1e-5 * sums[0] / sums[1]);
        assert_float_equal(position[n], -sums[2] / sums[3], 1e-5 * sums[2] / sums[3]);
        assert_float_equal(region[n], -sums[4] / sums[5], 1e-5 * sums[4] / sums[5]);
        assert_float_equal(masked[0][n], -off2 / size2, 1e-5);
        assert_float_equal(masked[1][n], -off / size, 1e-5);
        assert_float_equal(masked[2][n], both / sqrt(own2 * size2), 1e-5);
        assert_float_equal(masked[3][n], both / POSITIONS, 1e-5 * fabs(both));
    }
    ph_tensor_destroy(&target);
    ph_tensor_destroy(&map);
    ph_tensor_destroy(&vector);
}

/* The Kullback-Leibler divergence, from the shares that the network has; of all not named the sum counts. */
static void shares_are_held_to_probabilities(void **state) {
    (void)state;
    double first[ITEMS], second[ITEMS], whole[ITEMS], part[ITEMS];
    values_of("probability:goldfish", first, NULL);
    values_of("probability:7", second, NULL);
    values_of("match(probabilities, goldfish=0.7, 7=0.3)", whole, NULL);
    values_of("match(probabilities, goldfish=0.5, 7 = .2)", part, NULL);
    for (int n = 0; n < ITEMS; n++) {
        double rest = 1 - first[n] - second[n];
        double all = 0.7 * log(0.7 / first[n]) + 0.3 * log(0.3 / second[n]);
        double some = 0.5 * log(0.5 / first[n]) + 0.2 * log(0.2 / second[n]) + 0.3 * log(0.3 / rest);
        assert_float_equal(whole[n], -all, 1e-5 * fabs(all));
        assert_float_equal(part[n], -some, 1e-5 * fabs(some));
    }
}

/* What a layer makes of a picture in a file is what it makes of the same picture as input. */
static void a_picture_is_like_itself(void **state) {
    (void)state;
    static const char *const texts[] = {
        "match(conv3a, picture.png)", "match(conv3a, picture.png, by=l1)", "content(conv1, picture.png)",
        "style(conv2, picture.png)", "style(conv1, picture.png, by=l2)", "1 - match(conv2, picture.png, by=cosine)"};
    ph_picture *picture;
    assert_int_equal(ph_picture_load(context, "picture.png", &picture), PH_OK);
    for (int i = 0; i < PH_COUNT(texts); i++) {
        struct built b;
        struct exact e;
        build(texts[i], &b);
        exact_start(&b, &e);
        for (int n = 0; n < ITEMS; n++) assert_true(fabs(e.values[n]) > 0.01);
        for (size_t j = 0; j < e.size; j++) e.pixels[j] = (double)picture->pixels[j % (3 * PLANE)];
        ph_double_program_forward(e.program);
        for (int n = 0; n < ITEMS; n++) assert_float_equal(e.values[n], 0, 1e-5);
        ph_double_program_destroy(&e.program);
        built_finish(&b);
    }
    ph_picture_destroy(&picture);
}

static void regularisers_are_as_defined(void **state) {
    (void)state;
    double tv2[ITEMS], tv1[ITEMS], lp[ITEMS], alpha[ITEMS], blur[ITEMS], distance[ITEMS], border[ITEMS];
    static double x[ITEMS * 3 * PLANE];
    values_of("tv_beta()", tv2, NULL);
    values_of("tv_beta(1)", tv1, NULL);
    values_of("lp(3)", lp, NULL);
    values_of("alpha_norm()", alpha, NULL);
    values_of("blur()", blur, NULL);
    values_of("distance()", distance, NULL);
    values_of("boundary(width=20, colour=0.25)", border, NULL);
    pictures_draw(3, x);
    for (int n = 0; n < ITEMS; n++) {
        double sums[6] = {0};
        for (int i = 0; i < 3 * PLANE; i++) {
            const double *at_pixel = x + n * 3 * PLANE + i, off = *at_pixel - 0.5;
            int row = i % PLANE / WIDTH, column = i % WIDTH;
            double down = row + 1 < HEIGHT ? at_pixel[WIDTH] - *at_pixel : 0;
            double right = column + 1 < WIDTH ? at_pixel[1] - *at_pixel : 0;
            double start = (double)start_picture->pixels[i], around = 0, count = 0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++) {
                    if (row + dy < 0 || row + dy >= HEIGHT || column + dx < 0 || column + dx >= WIDTH) continue;
                    around += at_pixel[dy * WIDTH + dx] - 0.5;
                    count++;
                }
            sums[0] += down * down + right * right;
            sums[1] += sqrt(down * down + right * right + 1e-6);
            sums[2] += pow(fabs(off), 3);
            sums[3] += pow(off, 6);
            sums[4] += 0.5 * off * (off - 0.1 * off - 0.9 * around / count);
            sums[5] += (*at_pixel - start) * (*at_pixel - start);
        }
        for (int i = 0; i < 6; i++) sums[i] /= 3 * PLANE;
        assert_float_equal(tv2[n], sums[0], 1e-6);
        assert_float_equal(tv1[n], sums[1], 1e-6);
        assert_float_equal(lp[n], cbrt(sums[2]), 1e-6);
        assert_float_equal(alpha[n], sums[3], 1e-8);
        assert_float_equal(blur[n], sums[4], 1e-6);
        assert_float_equal(distance[n], sqrt(sums[5]), 1e-6);
        assert_true(border[n] > 0);
    }
}

/* A border of 2 pixels of 20 (20 of 224): what lies inside it does not count, what lies in it does. */
static void boundary_is_about_the_border(void **state) {
    (void)state;
    struct built b;
    struct exact e;
    build("boundary(width=20, colour=0.25)", &b);
    exact_start(&b, &e);
    for (size_t i = 0; i < e.size; i++) e.pixels[i] = 0.25;
    e.pixels[12 * WIDTH + 10] = 0.9; /* five blurs reach five pixels, and the border is seven away */
    ph_double_program_forward(e.program);
    assert_float_equal(e.values[0], 0, 1e-12);
    for (size_t i = 0; i < e.size; i++) e.pixels[i] = 0.75;
    ph_double_program_forward(e.program);
    assert_float_equal(e.values[0], 0.8 * 0.25, 1e-6);
    ph_double_program_destroy(&e.program);
    built_finish(&b);
}

/* ---- Each item its own --------------------------------------------------------------------------------------------- */

static void items_have_vectors_of_their_own(void **state) {
    (void)state;
    static const char *const texts[] = {"cosine(conv2, [3: 1])", "cosine(conv2, vector.npy)",
                                        "cosine(conv2, picture.png@1,1)"};
    struct built b;
    struct exact e;
    double alone[PH_COUNT(texts)][ITEMS];
    for (int i = 0; i < PH_COUNT(texts); i++) values_of(texts[i], alone[i], NULL);
    assert_int_equal(build_all(texts, PH_COUNT(texts), 3, &b), PH_OK);
    assert_true(ph_objective_alike(&b.objectives[0], &b.objectives[VIEWS]));
    exact_start(&b, &e);
    for (int n = 0; n < ITEMS; n++) assert_float_equal(e.values[n], alone[n / VIEWS][n], 1e-12);
    ph_double_program_destroy(&e.program);
    built_finish(&b);
}

static void parts_add_up_and_are_balanced(void **state) {
    (void)state;
    struct built b;
    int parts[3], sum, balanced;
    double balances[ITEMS][2];
    build("conv2:3 - 0.5*tv() + 2*conv2:4 - l2() * 3 - conv2:2 * l1()", &b);
    assert_int_equal(ph_objective_regularisers(&b.objectives[0]), 2);
    for (int n = 0; n < ITEMS; n++) {
        balances[n][0] = 1 + n, balances[n][1] = 0.5;
        b.objectives[n].balances = balances[n];
    }
    struct ph_objective_scope scope = {.model = model, .graph = b.graph, .picture = b.picture,
        .objectives = b.objectives, .count = ITEMS};
    assert_int_equal(ph_objective_build_parts(&scope, parts, &balanced), PH_OK);
    sum = parts[0];
    int taps[] = {sum, parts[1], parts[2], b.value, balanced};
    struct ph_program_request request = {.taps = taps, .tap_count = 5, .loss = PH_ABSENT};
    struct ph_double_program *program;
    assert_int_equal(ph_double_program_create(b.graph, &request, &program), PH_OK);
    pictures_draw(3, ph_double_program_values(program, b.picture));
    ph_double_program_forward(program);
    double tv[ITEMS], l2[ITEMS];
    values_of("tv()", tv, NULL);
    values_of("l2()", l2, NULL);
    for (int n = 0; n < ITEMS; n++) {
        double goal = ph_double_program_values(program, sum)[n];
        assert_float_equal(ph_double_program_values(program, parts[1])[n], -0.5 * tv[n] * (1 + n), 1e-6);
        assert_float_equal(ph_double_program_values(program, parts[2])[n], -3 * l2[n] * 0.5, 1e-6);
        assert_float_equal(ph_double_program_values(program, b.value)[n], goal - 0.5 * tv[n] - 3 * l2[n], 1e-6);
        assert_float_equal(ph_double_program_values(program, balanced)[n],
                           goal - 0.5 * tv[n] * (1 + n) - 1.5 * l2[n], 1e-6);
    }
    ph_double_program_destroy(&program);
    built_finish(&b);
}

/* ---- Mistakes ------------------------------------------------------------------------------------------------------- */

static void mistakes_are_placed_and_explained(void **state) {
    (void)state;
    static const struct { const char *text; int at; const char *said; } cases[] = {
        {"direction(conv2, [1, 2])", 1, "64 channels"}, {"direction(conv2, [64: 1])", 1, "0 to 63"},
        {"conv1:1 + direction(conv2, missing.npy)", 11, "missing.npy"},
        {"direction(conv2, target.npy)", 1, "64 channels"}, {"direction(conv9, [1: 1])", 1, "conv"},
        {"direction(conv2@5,0, [1: 1])", 1, "columns 0 to 4"}, {"direction(logits@0,0, [1: 1])", 1, "columns and rows"},
        {"direction(conv2, picture.png@40,0)", 1, "columns 0 to"}, {"direction(conv2, missing.jpg)", 1, "missing.jpg"},
        {"direction(conv2, vector.npy, whiten=vector.npy)", 1, "64x64"},
        {"direction(conv2, vector.npy, whiten=singular.npy)", 1, "ridge"},
        {"match(conv2, vector.npy)", 1, "[1,64,6,5]"}, {"match(conv2, missing.png)", 1, "missing.png"},
        {"match(conv2:3, nan.npy)", 1, "nan.npy: value 4, counted from 0, is nan"},
        {"match(conv2@1,1, map.npy)", 1, "[1,64,1,1]"}, {"match(conv2:64, map.npy)", 1, "no channel 64"},
        {"match(conv2, target.npy, mask=negative.npy)", 1, "not negative"},
        {"match(conv2, target.npy, mask=zero.npy)", 1, "0 everywhere"},
        {"match(conv2, target.npy, mask=vector.npy)", 1, "[64]"}, {"match(logits, picture.png, mask=picture.png)", 1, "mask"},
        {"match(probabilities, axolotl=0.5)", 1, "axolotl"}, {"match(probabilities, 7=0.5, 7=0.2)", 1, "twice"},
        {"content(conv2, target.npy)", 1, "target.npy"}, {"conv1:1 * caricature(conv2, missing.png)", 11, "missing.png"},
        {"others(conv2)", 1, "LAYER:CHANNEL"}, {"others(conv2:3 + 1)", 1, "LAYER:CHANNEL"},
        {"others(conv2:64)", 1, "0 to 63"}, {"item(4, conv2:1)", 1, "1 to 3"}, {"1 - opacity()", 5, "alpha"},
        {"reach(conv2:1 + conv9:2, 1)", 17, "conv"}, {"conv1:1 + in(tw, conv2:1)", 11, "joined are: twin, same"},
        {"in(twin, conv2:1 + conv9:2)", 20, "network 'twin': no layer"}, {"in(twin, class:unicorn)", 10, "unicorn"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct built b;
        char place[32];
        snprintf(place, sizeof place, "character %d:", cases[i].at);
        assert_true(build_all(&cases[i].text, 1, 3, &b) != PH_OK);
        const char *said = ph_context_error(context);
        if (!strstr(said, place) || !strstr(said, cases[i].said)) fail_msg("%s: %s", cases[i].text, said);
        built_finish(&b);
    }
}

/* Without several pictures, a start picture or any picture at all. */
static void what_is_missing_is_said(void **state) {
    (void)state;
    static const struct { const char *text, *said; } cases[] = {
        {"diversity(conv2)", "pictures"}, {"align(conv2)", "pictures"}, {"item(1, conv2:1)", "pictures"},
        {"interpolate(conv2:1, conv2:2)", "pictures"}, {"distance()", "picture"}, {"tv_beta()", "picture"},
        {"opacity()", "alpha"}, {"in(twin, conv2:1)", "for rendering"}};
    ph_tensor *input, *gradient = NULL;
    assert_int_equal(ph_tensor_create(context, 4, (int64_t[]){1, 3, 32, 32}, &input), PH_OK);
    for (int i = 0; i < PH_COUNT(cases); i++) {
        assert_true(ph_gradient_tensor(model, input, cases[i].text, NULL, &gradient) != PH_OK);
        if (!strstr(ph_context_error(context), cases[i].said))
            fail_msg("%s: %s", cases[i].text, ph_context_error(context));
    }
    ph_tensor_destroy(&input);
}

static void failing_memory_is_an_error(void **state) {
    (void)state;
    static const char *const texts[] = {"style(conv1, picture.png)", "direction(conv1, picture.png, 1)",
                                        "match(conv2, target.npy) - tv_beta(1)", "in(twin, style(conv1, picture.png))"};
    for (int i = 0; i < PH_COUNT(texts); i++) {
        bool worked = false;
        for (long after = 0; after < 100000 && !worked; after = after * 5 / 4 + 1) {
            struct built b;
            ph_alloc_fail_after(after);
            ph_status status = build_all(&texts[i], 1, 3, &b);
            ph_alloc_fail_after(-1);
            built_finish(&b);
            worked = !status;
            if (status) assert_int_equal(status, PH_ERROR_MEMORY);
        }
        assert_true(worked);
    }
}

/* ---- Files ---------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/phosphene-terms-XXXXXX";
static const char *const files[] = {"vector.npy", "covariance.npy", "singular.npy", "target.npy", "map.npy", "nan.npy",
                                     "negative.npy", "zero.npy", "picture.png"};

static void array_write(const char *name, int rank, const int64_t *dims, float (*value)(int64_t i)) {
    ph_tensor *tensor;
    int64_t size = 1;
    assert_int_equal(ph_tensor_create(context, rank, dims, &tensor), PH_OK);
    for (int i = 0; i < rank; i++) size *= dims[i];
    for (int64_t i = 0; i < size; i++) tensor->data[i] = value(i);
    assert_int_equal(ph_tensor_save(context, tensor, name, true), PH_OK);
    ph_tensor_destroy(&tensor);
}

static float wave(int64_t i) { return (float)(0.3 + 0.5 * sin(1.7 * (double)i)); }
static float positive(int64_t i) { return (float)fabs(sin(0.3 * (double)i * (double)i)); }
static float not_a_number(int64_t i) { return i == 4 ? NAN : 1; }
static float zero(int64_t i) { return (float)(0 * i); }
/* exp(-|i - j|), with a heavier diagonal: positive definite. */
static float decaying(int64_t i) {
    int64_t row = i / CHANNELS, column = i % CHANNELS;
    return (float)(exp(-fabs((double)(row - column))) + (row == column ? 0.1 + 0.01 * (double)row : 0));
}
static float singular(int64_t i) { return wave(i / CHANNELS) * wave(i % CHANNELS); } /* of rank 1 */

static void picture_make(int height, int width, double step, ph_picture **picture) {
    assert_int_equal(ph_picture_create(context, 3, height, width, picture), PH_OK);
    for (int i = 0; i < 3 * height * width; i++) (*picture)->pixels[i] = (float)(0.5 + 0.45 * sin(step * i));
}

static int start(void **state) {
    ph_picture *picture;
    (void)state;
    if (!mkdtemp(folder) || chdir(folder)) return 1;
    array_write("vector.npy", 1, (int64_t[]){CHANNELS}, wave);
    array_write("target.npy", 3, (int64_t[]){CHANNELS, ROWS, COLUMNS}, positive);
    array_write("map.npy", 2, (int64_t[]){ROWS, COLUMNS}, positive);
    array_write("nan.npy", 2, (int64_t[]){ROWS, COLUMNS}, not_a_number);
    array_write("negative.npy", 2, (int64_t[]){ROWS, COLUMNS}, wave);
    array_write("zero.npy", 2, (int64_t[]){ROWS, COLUMNS}, zero);
    array_write("covariance.npy", 2, (int64_t[]){CHANNELS, CHANNELS}, decaying);
    array_write("singular.npy", 2, (int64_t[]){CHANNELS, CHANNELS}, singular);
    picture_make(HEIGHT, WIDTH, 0.37, &picture);
    if (ph_picture_save(picture, "picture.png", true)) return 1;
    ph_picture_destroy(&picture);
    picture_make(HEIGHT, WIDTH, 0.11, &start_picture);
    ph_model *twin, *same;
    if (ph_model_load(context, NULL, &model) || ph_model_load(context, NULL, &twin) || ph_model_load(context, NULL, &same) ||
        ph_recipe_create(context, &recipe) || ph_model_set_preprocessing_text(twin, "torch", NULL, NULL, NULL, NULL))
        return -1;
    same->default_input.dims[2] = HEIGHT;
    same->default_input.dims[3] = WIDTH;
    return ph_model_join(model, "twin", &twin) || ph_model_join(model, "same", &same);
}

static int finish(void **state) {
    (void)state;
    for (int i = 0; i < PH_COUNT(files); i++) unlink(files[i]);
    if (chdir("/")) return 1;
    rmdir(folder);
    ph_picture_destroy(&start_picture);
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(directions_are_as_defined),
        cmocka_unit_test(whitening_is_the_inverse),
        cmocka_unit_test(diversity_and_alignment_are_as_defined),
        cmocka_unit_test(pictures_have_objectives_of_their_own),
        cmocka_unit_test(joined_networks_see_the_same_picture),
        cmocka_unit_test(joining_is_checked),
        cmocka_unit_test(likeness_is_as_defined),
        cmocka_unit_test(parts_and_masks_are_as_defined),
        cmocka_unit_test(shares_are_held_to_probabilities),
        cmocka_unit_test(a_picture_is_like_itself),
        cmocka_unit_test(regularisers_are_as_defined),
        cmocka_unit_test(boundary_is_about_the_border),
        cmocka_unit_test(items_have_vectors_of_their_own),
        cmocka_unit_test(parts_add_up_and_are_balanced),
        cmocka_unit_test(mistakes_are_placed_and_explained),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(failing_memory_is_an_error),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, start, finish);
    ph_context_destroy(&context);
    return failed;
}
