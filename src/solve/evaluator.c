/* An objective over a network's inputs as a function: value and gradient, in double where the network is
 * small enough for that, else by a program in float. */
#include "exec/double_program.h"
#include "solve/solve.h"
#include "vis/vis.h"
#include <math.h>
#include <string.h>

/* Forward operations above which the plain functions, in double, take too long: about a tenth of a second. */
#define DOUBLE_FLOPS 5e7

ph_status ph_problem_build(const struct ph_problem *problem, struct ph_graph **graph, int **inputs) {
    const ph_model *model = problem->model;
    PH_TRY(ph_graph_create(model->context, graph));
    *inputs = ph_alloc_array((size_t)problem->input_count, sizeof **inputs);
    if (!*inputs) return ph_fail_memory(model->context);
    for (int i = 0; i < problem->input_count; i++) {
        struct ph_shape shape = {.rank = problem->inputs[i].rank};
        memcpy(shape.dims, problem->inputs[i].dims, sizeof shape.dims);
        PH_TRY(ph_graph_add_input(*graph, problem->inputs[i].name, PH_FLOAT, shape, &(*inputs)[i]));
    }
    const char *unsupported;
    return model->format->build(model->parsed, *graph, *inputs, problem->input_count, &unsupported);
}

static ph_status graph_make(struct ph_evaluator *e, const char *text) {
    const ph_model *model = e->problem->model;
    PH_TRY(ph_problem_build(e->problem, &e->graph, &e->inputs));
    struct ph_objective objective;
    PH_TRY(ph_objective_parse(model->context, text, &objective));
    ph_status status = ph_objective_check_single(model->context, &objective);
    struct ph_objective_scope scope = {
        .model = model, .graph = e->graph, .picture = PH_ABSENT, .objectives = &objective, .count = 1};
    if (!status) status = ph_objective_build(&scope, &e->loss);
    ph_objective_finish(&objective);
    return status;
}

static double forward_flops(ph_model *model) {
    const ph_layer_info *layers;
    int count;
    double sum = 0;
    if (ph_model_layers(model, 0, 0, &layers, &count)) return INFINITY;
    for (int i = 0; i < count; i++) sum += layers[i].flops;
    return sum;
}

ph_status ph_evaluator_start(const struct ph_problem *problem, const char *objective, const ph_solve_options *options,
                             struct ph_evaluator *e) {
    *e = (struct ph_evaluator){
        .problem = problem, .loss = PH_ABSENT, .target = options->target, .sign = options->minimise ? 1 : -1};
    ph_context *context = problem->model->context;
    const char *precision = options->precision ? options->precision : "auto";
    bool automatic = !strcmp(precision, "auto"), exact = !strcmp(precision, "double");
    if (!automatic && !exact && strcmp(precision, "float"))
        return ph_fail(context, PH_ERROR_ARGUMENT, "precision '%s': auto, double or float", precision);
    PH_TRY(graph_make(e, objective));
    if (automatic) exact = forward_flops(problem->model) <= DOUBLE_FLOPS;
    struct ph_program_request request = {.taps = &e->loss,
                                         .tap_count = 1,
                                         .loss = e->loss,
                                         .parameters = e->inputs,
                                         .parameter_count = problem->input_count,
                                         .runs = options->evaluations};
    return exact ? ph_double_program_create(e->graph, &request, &e->exact)
                 : ph_program_create(e->graph, &request, &e->fast);
}

void ph_evaluator_finish(struct ph_evaluator *e) {
    ph_double_program_destroy(&e->exact);
    ph_program_destroy(&e->fast);
    ph_graph_destroy(&e->graph);
    ph_free(e->inputs);
}

static ph_status value_exact(struct ph_evaluator *e, const double *x, double *value, double *gradient) {
    for (int i = 0; i < e->problem->input_count; i++) {
        const struct ph_problem_input *input = &e->problem->inputs[i];
        memcpy(ph_double_program_values(e->exact, e->inputs[i]), x + input->first, (size_t)input->count * sizeof *x);
    }
    ph_double_program_forward(e->exact);
    *value = ph_double_program_values(e->exact, e->loss)[0];
    if (!gradient) return PH_OK;
    ph_double_program_backward(e->exact);
    for (int i = 0; i < e->problem->input_count; i++) {
        const struct ph_problem_input *input = &e->problem->inputs[i];
        memcpy(gradient + input->first, ph_double_program_gradient(e->exact, e->inputs[i]),
               (size_t)input->count * sizeof *gradient);
    }
    return PH_OK;
}

static ph_status value_fast(struct ph_evaluator *e, const double *x, double *value, double *gradient) {
    for (int i = 0; i < e->problem->input_count; i++) {
        const struct ph_problem_input *input = &e->problem->inputs[i];
        float *fed = ph_program_input(e->fast, e->inputs[i]);
        for (int64_t j = 0; j < input->count && fed; j++) fed[j] = (float)x[input->first + j];
    }
    PH_TRY(ph_program_forward(e->fast));
    float reached;
    ph_program_read(e->fast, e->loss, &reached);
    *value = reached;
    if (!gradient) return PH_OK;
    PH_TRY(ph_program_backward(e->fast));
    for (int i = 0; i < e->problem->input_count; i++) {
        const struct ph_problem_input *input = &e->problem->inputs[i];
        const float *slopes = ph_program_gradient(e->fast, e->inputs[i]);
        for (int64_t j = 0; j < input->count; j++) gradient[input->first + j] = slopes ? slopes[j] : 0;
    }
    return PH_OK;
}

ph_status ph_evaluator_value(struct ph_evaluator *e, const double *x, double *value, double *gradient) {
    e->count++;
    return e->exact ? value_exact(e, x, value, gradient) : value_fast(e, x, value, gradient);
}

double ph_evaluator_loss(const struct ph_evaluator *e, double value, double *gradient) {
    bool reach = !isnan(e->target);
    double distance = value - e->target, factor = reach ? 2 * distance : e->sign;
    for (int64_t i = 0; i < e->problem->variable_count && gradient; i++) gradient[i] *= factor;
    return reach ? distance * distance : e->sign * value;
}
