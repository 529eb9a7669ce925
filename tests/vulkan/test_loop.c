/* Steps that a device makes by itself, held to the host's: every optimiser with every normalisation, and whatever else can be
 * asked for between two gradients, in a batch one of whose items stops being finite. Skipped where there is no device. */
#include "vis/vis.h"
#include "exec/backend.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { ITEMS = 3, CHANNELS = 3, HEIGHT = 9, WIDTH = 11, SIZE = CHANNELS * HEIGHT * WIDTH, COUNT = ITEMS * SIZE };
enum { STEPS = 12, LOOK_AT = 7, BAD_ITEM = 1, BAD_STEP = 5 };

static const struct ph_view view = {CHANNELS, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH};
static ph_context *context;

/* The objective of an item: the mean of tanh(weight x) factor; the factors [N] are fed. */
struct scene { struct ph_graph *graph; int x, factor, value, loss; };

static void add(struct scene *s, const struct ph_operation *operation, const void *attributes, int a, int b, int *out) {
    assert_int_equal(ph_graph_add(s->graph, operation, NULL, attributes, (int[]){a, b}, b == PH_ABSENT ? 1 : 2, out), PH_OK);
}

static void scene_make(struct scene *s) {
    static float weights[SIZE];
    int w, v;
    ph_random_normal((struct ph_random_key){.seed = 3}, weights, SIZE);
    assert_int_equal(ph_graph_create(context, &s->graph), PH_OK);
    assert_int_equal(ph_graph_add_input(s->graph, NULL, PH_FLOAT, PH_SHAPE(ITEMS, CHANNELS, HEIGHT, WIDTH), &s->x), PH_OK);
    assert_int_equal(ph_graph_add_input(s->graph, NULL, PH_FLOAT, PH_SHAPE(ITEMS, 1, 1, 1), &s->factor), PH_OK);
    assert_int_equal(ph_graph_add_constant(s->graph, NULL, PH_FLOAT, PH_SHAPE(1, CHANNELS, HEIGHT, WIDTH), weights, &w), PH_OK);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    add(s, &ph_operation_mul, NULL, s->x, w, &v);
    add(s, &ph_operation_tanh, NULL, v, PH_ABSENT, &v);
    add(s, &ph_operation_mul, NULL, v, s->factor, &v);
    add(s, &ph_operation_reduce_mean, &mean, v, PH_ABSENT, &s->value);
    add(s, &ph_operation_neg, NULL, s->value, PH_ABSENT, &s->loss);
}

/* One run of steps, on either side. */
struct run {
    const ph_recipe *recipe;
    struct scene scene;
    struct ph_program *program;
    struct ph_refiner refiner;
    struct ph_optimiser_state optimiser;
    struct ph_loop_item moving[ITEMS];
    float start[COUNT], looked[COUNT], x[COUNT]; /* after no, LOOK_AT and all steps */
    bool stays_finite;
    struct ph_loop_report reports[STEPS][ITEMS];
};

/* Gradients of rather different sizes, by item and step. */
static void factors_feed(struct run *run, int64_t step) {
    float *factors = ph_program_input(run->program, run->scene.factor);
    for (int n = 0; n < ITEMS; n++) factors[n] = (float)(pow(10, n) * (1 + 0.1 * (double)step));
    if (step >= BAD_STEP && !run->stays_finite) factors[BAD_ITEM] = INFINITY;
}

static double rate_at(const struct run *run, int64_t step) {
    return run->recipe->learning_rate * ph_schedule_factor(&run->recipe->schedule, run->recipe->warm_up, step, STEPS);
}

static void feed(void *user, int64_t step, struct ph_loop_step *told) {
    struct run *run = user;
    factors_feed(run, step);
    told->update = ph_optimiser_next(&run->optimiser, rate_at(run, step));
    ph_refiner_tell_step(&run->refiner, step, told);
}

static void run_start(struct run *run, const ph_recipe *recipe, const struct scene *scene, bool device, int64_t common) {
    /* What items have in common, one that is not finite takes from all. */
    *run = (struct run){.recipe = recipe, .scene = *scene, .stays_finite = common > 0};
    assert_int_equal(ph_optimiser_start(context, ph_optimisers[recipe->optimiser], ITEMS, SIZE, &run->optimiser), PH_OK);
    run->optimiser.beta1 = recipe->beta1;
    run->optimiser.beta2 = recipe->beta2;
    run->optimiser.momentum = recipe->momentum;
    run->optimiser.smoothing = recipe->smoothing;
    if (ph_refiner_start(context, recipe, &view, ITEMS, SIZE, &run->refiner)) fail_msg("%s", ph_context_error(context));
    run->refiner.common = (size_t)common;
    if (common && !run->refiner.gradient) run->refiner.gradient = ph_alloc_array(COUNT, sizeof(float));
    struct ph_loop loop = {.parameter = scene->x, .value = scene->value, .mean = run->optimiser.optimiser->mean,
        .square = run->optimiser.optimiser->square, .moments = run->optimiser.moments, .items = run->moving,
        .target = recipe->target, .stop_value = recipe->stop_value, .plateau = recipe->plateau, .feed = feed, .user = run};
    ph_refiner_tell(&run->refiner, &loop);
    struct ph_program_request request = {.taps = &scene->value, .tap_count = 1, .loss = scene->loss, .parameters = &scene->x,
        .parameter_count = 1, .backend = "vulkan", .loop = device ? &loop : NULL};
    if (ph_program_create(scene->graph, &request, &run->program)) fail_msg("%s", ph_context_error(context));
    assert_int_equal(ph_program_loops(run->program), device);
    float *x = ph_program_input(run->program, scene->x);
    ph_random_normal((struct ph_random_key){.seed = 5}, x, COUNT);
    for (int i = 0; i < COUNT; i++) x[i] = i % SIZE < common ? x[i % SIZE] : 0.3f * x[i];
    memcpy(run->start, x, sizeof run->start);
}

static void run_finish(struct run *run) {
    ph_program_destroy(&run->program);
    ph_refiner_finish(&run->refiner);
    ph_optimiser_finish(&run->optimiser);
}

static void keep(struct run *run, float *to) {
    memcpy(to, ph_program_input(run->program, run->scene.x), COUNT * sizeof *to);
}

/* As the render loop makes them on the host. */
static void host_steps(struct run *run) {
    for (int step = 0; step < STEPS; step++) {
        float *x = ph_program_input(run->program, run->scene.x), values[ITEMS];
        if (step == LOOK_AT) keep(run, run->looked);
        factors_feed(run, step);
        assert_int_equal(ph_program_forward(run->program), PH_OK);
        assert_int_equal(ph_program_backward(run->program), PH_OK);
        ph_program_read(run->program, run->scene.value, values);
        const float *gradient = ph_program_gradient(run->program, run->scene.x);
        for (int n = 0; n < ITEMS; n++) {
            float size = ph_gradient_size(context, gradient + n * SIZE, SIZE);
            enum ph_loop_state state = ph_watch_judge(&run->moving[n], run->recipe, step, values[n], size);
            run->reports[step][n] = (struct ph_loop_report){values[n], size, (int32_t)state};
            run->optimiser.resting[n] = state != PH_LOOP_MOVES;
        }
        const float *prepared = ph_refiner_gradient(&run->refiner, step, gradient);
        ph_optimiser_step(&run->optimiser, rate_at(run, step), x, prepared);
        ph_refiner_parameters(&run->refiner, step, run->optimiser.resting, x, gradient);
    }
    keep(run, run->x);
}

/* Two submissions in flight, the first of which brings the parameters. */
static void device_steps(struct run *run) {
    static const int lengths[] = {LOOK_AT, 1, STEPS - LOOK_AT - 1};
    int64_t submitted = 0, collected = 0;
    assert_int_equal(ph_program_loop_start(run->program), PH_OK);
    for (int i = 0; i <= PH_COUNT(lengths); i++) {
        int steps = i < PH_COUNT(lengths) ? lengths[i] : 0;
        if (steps) {
            if (ph_program_loop_submit(run->program, submitted, &steps, i == 0)) fail_msg("%s", ph_context_error(context));
            assert_int_equal(steps, lengths[i]);
            submitted += steps;
        }
        if (!i) continue;
        if (ph_program_loop_collect(run->program, run->reports[collected])) fail_msg("%s", ph_context_error(context));
        if (i == 1) keep(run, run->looked);
        collected += lengths[i - 1];
    }
    assert_int_equal(ph_program_loop_fetch(run->program), PH_OK);
    keep(run, run->x);
}

/* The largest distance of an item's elements, beside how far they have moved; NAN where something is not finite. */
static double distance(const float *a, const float *b, const float *start, int item) {
    double worst = 0, moved = 1e-30;
    for (int i = item * SIZE; i < (item + 1) * SIZE; i++) {
        double off = fabs((double)a[i] - b[i]), far = fabs((double)b[i] - start[i]);
        if (!(off <= worst)) worst = off;
        if (!(far <= moved)) moved = far;
    }
    return worst / moved;
}

#define CLOSE 2e-5

static void compare(const char *what, const struct run *device, const struct run *host) {
    for (int n = 0; n < ITEMS; n++) {
        double early = distance(device->looked, host->looked, host->start, n), late = distance(device->x, host->x, host->start, n);
        if (!(early < CLOSE) || !(late < CLOSE))
            fail_msg("%s: item %d is off by %g of its way after %d steps, by %g in the end", what, n, early, LOOK_AT, late);
        for (int step = 0; step < STEPS; step++) {
            const struct ph_loop_report *a = &device->reports[step][n], *b = &host->reports[step][n];
            if (a->state != b->state) fail_msg("%s: step %d, item %d: state %d, not %d", what, step, n, a->state, b->state);
            if (!isfinite(b->value)) continue;
            if (!(fabsf(a->value - b->value) <= 1e-4f * fabsf(b->value) + 1e-6f) ||
                !(fabsf(a->gradient - b->gradient) <= 1e-3f * b->gradient))
                fail_msg("%s: step %d, item %d: value %g and gradient %g, not %g and %g", what, step, n, (double)a->value,
                         (double)a->gradient, (double)b->value, (double)b->gradient);
        }
    }
    /* The bad item stays where it was. */
    if (host->reports[BAD_STEP][BAD_ITEM].state != PH_LOOP_MOVES)
        assert_memory_equal(device->x + BAD_ITEM * SIZE, device->looked + BAD_ITEM * SIZE, SIZE * sizeof(float));
}

static void both(const char *what, const ph_recipe *recipe, const struct scene *scene, int64_t common,
                 enum ph_loop_state bad_item_ends) {
    static struct run host, device;
    run_start(&host, recipe, scene, false, common);
    run_start(&device, recipe, scene, true, common);
    host_steps(&host);
    device_steps(&device);
    compare(what, &device, &host);
    assert_int_equal(host.reports[STEPS - 1][BAD_ITEM].state, bad_item_ends);
    run_finish(&host);
    run_finish(&device);
}

static ph_recipe *recipe_of(const char *text) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    if (ph_recipe_parse(recipe, text)) fail_msg("%s", ph_context_error(context));
    return recipe;
}

#define START "parameterisation=pixel\nmomentum=0.8\nlearning-rate=0.02\nwarm-up=3\nschedule=linear\n"

static void every_optimiser_with_every_normalisation(void **state) {
    (void)state;
    struct scene scene;
    ph_recipe *recipe = recipe_of(START);
    scene_make(&scene);
    int cases = 0;
    for (int o = 0; ph_optimisers[o]; o++)
        for (int n = PH_NORMALISE_NONE; n <= PH_NORMALISE_SHARE && !ph_optimisers[o]->minimise; n++, cases++) {
            char what[64];
            snprintf(what, sizeof what, "%s, normalisation %d", ph_optimisers[o]->name, n);
            recipe->optimiser = o;
            recipe->normalise = n;
            both(what, recipe, &scene, 0, PH_LOOP_FAILED);
        }
    print_message("%d cases\n", cases);
    assert_true(cases >= 30);
    ph_recipe_destroy(&recipe);
    ph_graph_destroy(&scene.graph);
}

static void everything_between_two_gradients(void **state) {
    (void)state;
    static const struct { const char *options; int64_t common; enum ph_loop_state bad_item_ends; } cases[] = {{"pixel-decay=0.05", 0, PH_LOOP_FAILED},
        {"squash=clip\ndecorrelate=false\nlearning-rate=0.2", 0, PH_LOOP_FAILED}, {"gradient-blur=2,0.5", 0, PH_LOOP_FAILED}, {"gradient-blur=0.1,30", 0, PH_LOOP_FAILED},
        {"gradient-bands=1", 0, PH_LOOP_FAILED}, {"gradient-bands=4", 0, PH_LOOP_FAILED}, {"gradient-bands=3\ngradient-blur=1\nnormalise=l2", 0, PH_LOOP_FAILED},
        {"blur=0.5,1.5\nblur-every=3", 0, PH_LOOP_FAILED}, {"clip-norm=30", 0, PH_LOOP_FAILED}, {"clip-contribution=20", 0, PH_LOOP_FAILED},
        {"clip-norm=100\npixel-decay=0.01", 0, PH_LOOP_FAILED},
        {"blur=1\nclip-norm=15\nclip-contribution=10\npixel-decay=0.02\noptimiser=sgd\nnormalise=rms", 0, PH_LOOP_FAILED},
        {"normalise=progress\noptimiser=sgd\nrate-limit=1e-4", 0, PH_LOOP_FAILED}, {"normalise=progress\noptimiser=sgd\nrate-limit=0", 0, PH_LOOP_FAILED},
        {"schedule=constant", 100, PH_LOOP_MOVES}, {"schedule=cosine\nnormalise=mean\noptimiser=nadam", 100, PH_LOOP_MOVES},
        {"plateau=2\noptimiser=sgd\nlearning-rate=1e-6", 0, PH_LOOP_FLAT}, {"stop-value=0.04", 0, PH_LOOP_REACHED}, {"target=0.1\nstop-value=0.05", 0, PH_LOOP_REACHED}};
    struct scene scene;
    scene_make(&scene);
    for (int i = 0; i < PH_COUNT(cases); i++) {
        ph_recipe *recipe = recipe_of(START);
        if (ph_recipe_parse(recipe, cases[i].options)) fail_msg("%s", ph_context_error(context));
        both(cases[i].options, recipe, &scene, cases[i].common, cases[i].bad_item_ends);
        ph_recipe_destroy(&recipe);
    }
    ph_graph_destroy(&scene.graph);
}

int main(void) {
    enum { SKIPPED = 77 };
    const struct ph_backend *backend;
    context = ph_context_create();
    bool there = !ph_context_set_backend(context, "vulkan", 0) && !ph_backend_resolve(context, NULL, &backend);
    if (!there) printf("skipped: %s\n", ph_context_error(context));
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_optimiser_with_every_normalisation),
        cmocka_unit_test(everything_between_two_gradients)};
    int failed = there ? cmocka_run_group_tests(tests, NULL, NULL) : SKIPPED;
    ph_context_destroy(&context);
    return failed;
}
