/* Activations and input gradients of real networks against values that PyTorch computed in double precision; the stored
 * samples and the script that made them are in tests/model/reference. */
#include "exec/program.h"
#include "extras.h"
#include "graph/operations.h"
#include "model/model.h"
#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

/* Relative L2. Both sides' sums are exact to float rounding, about 1e-6 after a few dozen layers; a gradient can also
 * differ where a rounding moves a maximum or crosses a ReLU's kink. */
#define ACTIVATION_TOLERANCE 1e-4
#define GRADIENT_TOLERANCE 1e-3

enum { SAMPLES = 256 };
static const uint64_t stride = 2654435761, start = 12345;

struct reference {
    char kind[16], layer[128];
    int channel, row, column;
    long long size;
    double norm, samples[SAMPLES];
};

static bool reference_next(FILE *file, struct reference *reference) {
    int read = fscanf(file, "%15s %127s %d %d %d %lld %lf", reference->kind, reference->layer, &reference->channel,
                      &reference->row, &reference->column, &reference->size, &reference->norm);
    if (read == EOF) return false;
    assert_int_equal(read, 7);
    for (int i = 0; i < SAMPLES; i++) assert_int_equal(fscanf(file, "%lf", &reference->samples[i]), 1);
    return true;
}

/* The formula of synthetic_input in make_reference.py. */
static void input_fill(float *input, const struct ph_shape *shape) {
    for (int c = 0; c < shape->dims[1]; c++)
        for (int y = 0; y < shape->dims[2]; y++)
            for (int x = 0; x < shape->dims[3]; x++)
                *input++ = (float)(60 * sin(0.11 * x + 0.7 * c) + 40 * cos(0.07 * y - 0.4 * c) +
                                   30 * sin(0.19 * (x + y) + 1.3 * c));
}

/* The samples' relative error, or the norm's where that is larger. */
static double difference(const struct reference *reference, const float *values) {
    double norm = 0, error = 0, size = 0;
    for (long long i = 0; i < reference->size; i++) norm += (double)values[i] * values[i];
    for (int i = 0; i < SAMPLES; i++) {
        double wanted = reference->samples[i];
        double got = values[((uint64_t)i * stride + start) % (uint64_t)reference->size];
        error += (got - wanted) * (got - wanted);
        size += wanted * wanted;
    }
    assert_true(size > 0);
    double sampled = sqrt(error / size), whole = fabs(sqrt(norm) - reference->norm) / reference->norm;
    return isnan(sampled) || isnan(whole) ? HUGE_VAL : fmax(sampled, whole);
}

/* The objective of a gradient: the mean of a channel's map, or one of its elements. */
static int objective_add(struct ph_graph *graph, int layer, const struct reference *reference) {
    struct ph_pick_attributes pick = {.channels = {reference->channel}, .position = reference->row >= 0,
        .rows = {reference->row}, .columns = {reference->column}};
    int picked, loss;
    assert_int_equal(ph_graph_add(graph, &ph_operation_pick, NULL, &pick, &layer, 1, &picked), PH_OK);
    struct ph_reduce_attributes mean = {0};
    for (int i = 1; i < graph->values[picked].shape.rank; i++) mean.axes[mean.axis_count++] = i;
    assert_int_equal(ph_graph_add(graph, &ph_operation_reduce_mean, NULL, &mean, &picked, 1, &loss), PH_OK);
    return loss;
}

static double reference_check(const struct ph_model *model, const struct reference *reference) {
    ph_context *context = model->context;
    struct ph_graph *graph;
    struct ph_program *program;
    int input, layer;
    bool gradient = !strcmp(reference->kind, "gradient");
    assert_int_equal(ph_graph_create(context, &graph), PH_OK);
    assert_int_equal(ph_graph_add_input(graph, "picture", PH_FLOAT, model->default_input, &input), PH_OK);
    assert_int_equal(ph_model_build(model, graph, input), PH_OK);
    assert_int_equal(ph_model_find_layer(model, graph, reference->layer, &layer), PH_OK);
    int loss = gradient ? objective_add(graph, layer, reference) : PH_ABSENT;
    int measured = gradient ? input : layer;
    assert_int_equal(ph_shape_size(&graph->values[measured].shape), reference->size);
    struct ph_program_request request = {.taps = gradient ? NULL : &layer, .tap_count = !gradient, .loss = loss,
        .parameters = gradient ? &input : NULL, .parameter_count = gradient};
    if (ph_program_create(graph, &request, &program)) fail_msg("%s", ph_context_error(context));
    input_fill(ph_program_input(program, input), &model->default_input);
    assert_int_equal(ph_program_forward(program), PH_OK);
    float *values = ph_alloc_array((size_t)reference->size, sizeof *values);
    assert_non_null(values);
    if (gradient) {
        assert_int_equal(ph_program_backward(program), PH_OK);
        memcpy(values, ph_program_gradient(program, input), (size_t)reference->size * sizeof *values);
    } else {
        ph_program_read(program, layer, values);
    }
    double error = difference(reference, values);
    ph_free(values);
    ph_program_destroy(&program);
    ph_graph_destroy(&graph);
    return error;
}

static void network_check(const char *extra, const char *stored) {
    const char *path = extras_path(extra);
    if (!path) skip();
    ph_context *context = ph_context_create();
    ph_model *model;
    if (ph_model_load(context, path, &model)) fail_msg("%s", ph_context_error(context));
    FILE *file = fopen(stored, "r");
    assert_non_null(file);
    struct reference reference;
    int activations = 0, gradients = 0;
    while (reference_next(file, &reference)) {
        bool gradient = !strcmp(reference.kind, "gradient");
        double error = reference_check(model, &reference);
        printf("%s %s %s: relative difference %.2e\n", extra, reference.kind, reference.layer, error);
        assert_true(error < (gradient ? GRADIENT_TOLERANCE : ACTIVATION_TOLERANCE));
        *(gradient ? &gradients : &activations) += 1;
    }
    assert_true(activations >= 6 && gradients >= 3);
    fclose(file);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
}

static void test_googlenet(void **state) {
    (void)state;
    network_check("weights/bvlc_googlenet.onnx", "tests/model/reference/googlenet.txt");
}

static void test_squeezenet(void **state) {
    (void)state;
    network_check("weights/squeezenet_v1.1.onnx", "tests/model/reference/squeezenet.txt");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_googlenet), cmocka_unit_test(test_squeezenet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
