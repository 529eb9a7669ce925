/* The gradient of an objective with respect to a network's input. Apart from evaluate.c, for objectives themselves ask for a
 * layer's values. */
#include "vis/run.h"
#include <string.h>

static ph_status gradient_run(const ph_model *model, const ph_tensor *input, const struct ph_objective *objective,
                              struct ph_run *run, float *value, ph_tensor **tensor) {
    struct ph_shape shape;
    int loss;
    PH_TRY(ph_objective_check_single(model->context, objective));
    PH_TRY(ph_run_shape(model, input, &shape));
    if (shape.dims[0] != 1)
        return ph_fail(model->context, PH_ERROR_SHAPE, "the gradient is of one input at a time, not of %lld",
                       (long long)shape.dims[0]);
    PH_TRY(ph_run_start(model, &shape, run));
    struct ph_objective_scope scope = {
        .model = model, .graph = run->graph, .picture = PH_ABSENT, .objectives = objective, .count = 1};
    PH_TRY(ph_objective_build(&scope, &loss));
    struct ph_program_request request = {.taps = &loss, .tap_count = 1, .loss = loss, .parameters = &run->input,
        .parameter_count = 1};
    PH_TRY(ph_run_forward(run, &request, input->data));
    PH_TRY(ph_program_backward(run->program));
    float reached;
    ph_program_read(run->program, loss, &reached);
    if (value) *value = reached;
    PH_TRY(ph_tensor_create(model->context, shape.rank, shape.dims, tensor));
    memcpy((*tensor)->data, ph_program_gradient(run->program, run->input),
           (size_t)ph_shape_size(&shape) * sizeof(float));
    return PH_OK;
}

ph_status ph_gradient_tensor(ph_model *model, const ph_tensor *input, const char *objective, float *value,
                             ph_tensor **tensor) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!tensor) return ph_fail(model->context, PH_ERROR_ARGUMENT, "a gradient needs room for a tensor");
    struct ph_run run = {0};
    struct ph_objective parsed;
    *tensor = NULL;
    PH_TRY(ph_objective_parse(model->context, objective, &parsed));
    ph_status status = gradient_run(model, input, &parsed, &run, value, tensor);
    ph_run_finish(&run);
    ph_objective_finish(&parsed);
    return status;
}

ph_status ph_gradient(ph_model *model, const ph_picture *picture, const char *fit, const char *objective, float *value,
                      ph_tensor **tensor) {
    if (!model) return PH_ERROR_ARGUMENT;
    ph_tensor *input = NULL;
    ph_status status = ph_picture_prepare(model, picture, fit, &input);
    if (!status) status = ph_gradient_tensor(model, input, objective, value, tensor);
    ph_tensor_destroy(&input);
    return status;
}
