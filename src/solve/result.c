/* Solutions as arrays: the inputs they consist of, and what the network makes of them. */
#include "solve/solve.h"
#include "vis/vis.h"
#include <string.h>

/* K of what has this shape, side by side along the first axis. */
static ph_status stack_create(ph_context *context, int count, struct ph_shape shape, ph_tensor **tensor) {
    if (!shape.rank) shape = PH_SHAPE(1);
    shape.dims[0] *= count;
    return ph_tensor_create(context, shape.rank, shape.dims, tensor);
}

static ph_status inputs_add(const ph_problem *problem, const ph_solutions *solutions, ph_tensors *tensors) {
    ph_context *context = problem->model->context;
    for (int i = 0; i < problem->input_count; i++) {
        const struct ph_problem_input *input = &problem->inputs[i];
        struct ph_shape shape = {.rank = input->rank};
        ph_tensor *tensor;
        memcpy(shape.dims, input->dims, sizeof shape.dims);
        PH_TRY(stack_create(context, solutions->count, shape, &tensor));
        for (int k = 0; k < solutions->count; k++)
            for (int64_t j = 0; j < input->count; j++)
                tensor->data[k * input->count + j] = (float)solutions->list[k].variables[input->first + j];
        PH_TRY(ph_tensors_add(context, tensors, input->name, tensor));
    }
    return PH_OK;
}

struct run {
    struct ph_graph *graph;
    struct ph_program *program;
    int *inputs, *outputs;  /* graph values */
    ph_tensor **stacks;     /* one for each output */
    int output_count;
};

/* Outputs that are numbers; places of classes, say, are not. */
static ph_status outputs_find(const ph_model *model, struct run *run) {
    int count = model->format->output_count(model->parsed);
    run->outputs = ph_alloc_array((size_t)count, sizeof *run->outputs);
    run->stacks = ph_alloc_array((size_t)count, sizeof *run->stacks);
    if (!run->outputs || !run->stacks) return ph_fail_memory(model->context);
    for (int i = 0; i < count; i++) {
        int value = ph_graph_find(run->graph, model->format->output(model->parsed, i));
        if (value == PH_ABSENT || run->graph->values[value].type != PH_FLOAT) continue;
        run->outputs[run->output_count++] = value;
    }
    struct ph_program_request request = {.taps = run->outputs, .tap_count = run->output_count, .loss = PH_ABSENT};
    return run->output_count ? ph_program_create(run->graph, &request, &run->program) : PH_OK;
}

static ph_status solution_run(const ph_problem *problem, const ph_solutions *solutions, int k, struct run *run) {
    for (int i = 0; i < problem->input_count; i++) {
        const struct ph_problem_input *input = &problem->inputs[i];
        float *fed = ph_program_input(run->program, run->inputs[i]);
        for (int64_t j = 0; j < input->count && fed; j++)
            fed[j] = (float)solutions->list[k].variables[input->first + j];
    }
    PH_TRY(ph_program_forward(run->program));
    for (int i = 0; i < run->output_count; i++) {
        size_t size = (size_t)ph_shape_size(&run->graph->values[run->outputs[i]].shape);
        ph_program_read(run->program, run->outputs[i], run->stacks[i]->data + (size_t)k * size);
    }
    return PH_OK;
}

static ph_status outputs_add(const ph_problem *problem, const ph_solutions *solutions, struct run *run,
                             ph_tensors *tensors) {
    ph_context *context = problem->model->context;
    PH_TRY(ph_problem_build(problem, &run->graph, &run->inputs));
    PH_TRY(outputs_find(problem->model, run));
    for (int i = 0; i < run->output_count; i++)
        PH_TRY(stack_create(context, solutions->count, run->graph->values[run->outputs[i]].shape, &run->stacks[i]));
    for (int k = 0; k < solutions->count && run->program; k++) PH_TRY(solution_run(problem, solutions, k, run));
    for (int i = 0; i < run->output_count; i++) {
        ph_tensor *stack = run->stacks[i];
        run->stacks[i] = NULL;
        PH_TRY(ph_tensors_add(context, tensors, run->graph->values[run->outputs[i]].name, stack));
    }
    return PH_OK;
}

static void run_finish(struct run *run) {
    for (int i = 0; i < run->output_count; i++) ph_tensor_destroy(&run->stacks[i]);
    ph_program_destroy(&run->program);
    ph_graph_destroy(&run->graph);
    ph_free(run->inputs);
    ph_free(run->outputs);
    ph_free(run->stacks);
}

static ph_status objective_add(ph_context *context, const ph_solutions *solutions, ph_tensors *tensors) {
    ph_tensor *tensor;
    PH_TRY(stack_create(context, solutions->count, PH_SHAPE(1), &tensor));
    for (int k = 0; k < solutions->count; k++) tensor->data[k] = (float)solutions->list[k].value;
    return ph_tensors_add(context, tensors, "objective", tensor);
}

ph_status ph_solutions_tensors(const ph_problem *problem, const ph_solutions *solutions, ph_tensors **tensors) {
    if (!problem) return PH_ERROR_ARGUMENT;
    ph_context *context = problem->model->context;
    if (!solutions || !tensors)
        return ph_fail(context, PH_ERROR_ARGUMENT, "ph_solutions_tensors: no solutions, or no place for the tensors");
    struct run run = {0};
    ph_status status = ph_tensors_create(context, tensors);
    if (!status) status = inputs_add(problem, solutions, *tensors);
    if (!status) status = outputs_add(problem, solutions, &run, *tensors);
    if (!status) status = objective_add(context, solutions, *tensors);
    run_finish(&run);
    if (status) ph_tensors_destroy(tensors);
    return status;
}
