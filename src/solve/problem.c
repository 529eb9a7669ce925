/* What a search is about: the variables, their bounds and constraints. */
#include "solve/solve.h"
#include <math.h>
#include <string.h>

/* ---- Making ------------------------------------------------------------------------------------------------------ */

/* The shape in which the file wants the input, without free sizes. */
static struct ph_shape input_shape(const ph_model *model, int index) {
    struct ph_shape shape = model->format->input(model->parsed, index).shape;
    if (index == model->input) {
        const struct ph_shape *fed = &model->default_input;
        shape = *fed;
        if (model->channels_last) shape = PH_SHAPE(fed->dims[0], fed->dims[2], fed->dims[3], fed->dims[1]);
    }
    for (int i = 0; i < shape.rank; i++) shape.dims[i] = shape.dims[i] < 0 ? 1 : shape.dims[i];
    return shape;
}

static ph_status problem_fill(ph_problem *problem) {
    const ph_model *model = problem->model;
    ph_context *context = model->context;
    problem->input_count = model->format->input_count(model->parsed);
    problem->inputs = ph_pool_alloc(&problem->pool, (size_t)problem->input_count * sizeof *problem->inputs);
    if (!problem->inputs) return ph_fail_memory(context);
    for (int i = 0; i < problem->input_count; i++) {
        struct ph_problem_input *input = &problem->inputs[i];
        struct ph_shape shape = input_shape(model, i);
        if (!ph_shape_valid(&shape) || ph_shape_size(&shape) > INT32_MAX - problem->variable_count)
            return ph_fail(context, PH_ERROR_UNSUPPORTED, "the inputs have more than %d elements", INT32_MAX);
        *input = (struct ph_problem_input){.name = model->format->input(model->parsed, i).name,
                                           .rank = shape.rank,
                                           .first = problem->variable_count,
                                           .count = ph_shape_size(&shape)};
        memcpy(input->dims, shape.dims, sizeof input->dims);
        problem->variable_count += input->count;
    }
    size_t count = (size_t)problem->variable_count;
    problem->start = ph_pool_alloc(&problem->pool, count * sizeof *problem->start);
    problem->low = ph_pool_alloc(&problem->pool, count * sizeof *problem->low);
    problem->high = ph_pool_alloc(&problem->pool, count * sizeof *problem->high);
    problem->fixed = ph_pool_alloc(&problem->pool, count * sizeof *problem->fixed);
    problem->whole = ph_pool_alloc(&problem->pool, count * sizeof *problem->whole);
    if (!problem->start || !problem->low || !problem->high || !problem->fixed || !problem->whole)
        return ph_fail_memory(context);
    for (size_t i = 0; i < count; i++) problem->low[i] = -INFINITY, problem->high[i] = INFINITY;
    return PH_OK;
}

ph_status ph_problem_create(ph_model *model, ph_problem **problem) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!problem)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "ph_problem_create: no place given for the problem");
    *problem = ph_alloc(sizeof **problem);
    if (!*problem) return ph_fail_memory(model->context);
    **problem = (ph_problem){.model = model, .radius = INFINITY};
    ph_status status = problem_fill(*problem);
    if (status) ph_problem_destroy(problem);
    return status;
}

void ph_problem_destroy(ph_problem **problem) {
    if (!problem || !*problem) return;
    for (int i = 0; i < (*problem)->linear_count; i++) {
        ph_free((*problem)->linears[i].variables);
        ph_free((*problem)->linears[i].coefficients);
    }
    ph_free((*problem)->linears);
    ph_pool_finish(&(*problem)->pool);
    ph_free(*problem);
    *problem = NULL;
}

int ph_problem_input_count(const ph_problem *problem) { return problem ? problem->input_count : 0; }

ph_problem_input ph_problem_describe_input(const ph_problem *problem, int index) {
    if (!problem || index < 0 || index >= problem->input_count) return (ph_problem_input){0};
    return problem->inputs[index];
}

/* ---- Variables --------------------------------------------------------------------------------------------------- */

static ph_status check_range(const ph_problem *problem, int64_t first, int64_t count) {
    if (!problem) return PH_ERROR_ARGUMENT;
    if (first >= 0 && count >= 0 && first <= problem->variable_count && count <= problem->variable_count - first)
        return PH_OK;
    return ph_fail(problem->model->context, PH_ERROR_ARGUMENT, "variables %lld to %lld: there are %lld",
                   (long long)first, (long long)(first + count - 1), (long long)problem->variable_count);
}

ph_status ph_problem_set_start(ph_problem *problem, int64_t first, int64_t count, const double *values) {
    PH_TRY(check_range(problem, first, count));
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return ph_fail(problem->model->context, PH_ERROR_ARGUMENT, "start value %lld is not finite", (long long)i);
    memcpy(problem->start + first, values, (size_t)count * sizeof *values);
    return PH_OK;
}

ph_status ph_problem_fix(ph_problem *problem, int64_t first, int64_t count, bool fixed) {
    PH_TRY(check_range(problem, first, count));
    memset(problem->fixed + first, fixed, (size_t)count);
    return PH_OK;
}

ph_status ph_problem_bound(ph_problem *problem, int64_t first, int64_t count, double low, double high) {
    PH_TRY(check_range(problem, first, count));
    if (!(low <= high) || low == INFINITY || high == -INFINITY)
        return ph_fail(problem->model->context, PH_ERROR_ARGUMENT, "bounds %g to %g exclude everything", low, high);
    for (int64_t i = first; i < first + count; i++) problem->low[i] = low, problem->high[i] = high;
    return PH_OK;
}

ph_status ph_problem_make_whole(ph_problem *problem, int64_t first, int64_t count) {
    PH_TRY(check_range(problem, first, count));
    memset(problem->whole + first, true, (size_t)count);
    return PH_OK;
}

/* ---- Constraints ------------------------------------------------------------------------------------------------- */

ph_status ph_problem_add_linear(ph_problem *problem, int count, const int64_t *variables, const double *coefficients,
                                enum ph_relation relation, double right) {
    if (!problem) return PH_ERROR_ARGUMENT;
    ph_context *context = problem->model->context;
    if (count < 1 || !variables || !coefficients || !isfinite(right))
        return ph_fail(context, PH_ERROR_ARGUMENT, "a linear constraint needs variables and finite numbers");
    for (int i = 0; i < count; i++) {
        PH_TRY(check_range(problem, variables[i], 1));
        if (!isfinite(coefficients[i]))
            return ph_fail(context, PH_ERROR_ARGUMENT, "a linear constraint's coefficient is not finite");
    }
    if (!ph_grow(&problem->linears, problem->linear_count, &problem->linear_capacity, sizeof *problem->linears))
        return ph_fail_memory(context);
    struct ph_linear *linear = &problem->linears[problem->linear_count++];
    *linear = (struct ph_linear){.relation = relation,
                                 .count = count,
                                 .right = right,
                                 .variables = ph_alloc_array((size_t)count, sizeof *variables),
                                 .coefficients = ph_alloc_array((size_t)count, sizeof *coefficients)};
    if (!linear->variables || !linear->coefficients) {
        linear->count = 0;
        return ph_fail_memory(context);
    }
    memcpy(linear->variables, variables, (size_t)count * sizeof *variables);
    memcpy(linear->coefficients, coefficients, (size_t)count * sizeof *coefficients);
    return PH_OK;
}

ph_status ph_problem_set_ball(ph_problem *problem, enum ph_norm norm, double radius) {
    if (!problem) return PH_ERROR_ARGUMENT;
    if (!(radius >= 0))
        return ph_fail(problem->model->context, PH_ERROR_ARGUMENT, "radius %g: 0 or more is expected", radius);
    problem->norm = norm;
    problem->radius = radius;
    return PH_OK;
}
