/* A plan with its memory, and the functions that run it. */
#include "exec/profile.h"
#include "exec/state.h"
#include "graph/passes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int *mapped(const int *map, const int *values, int count) {
    int *result = ph_alloc_array((size_t)count + 1, sizeof *result);
    for (int i = 0; i < count && result; i++) result[i] = map[values[i]];
    return result;
}

static ph_status build(const struct ph_graph *graph, const struct ph_program_request *request,
                       const struct ph_backend *backend, struct ph_program *program) {
    ph_context *context = graph->context;
    int keep_count = request->tap_count + request->parameter_count + 1;
    int *keep = ph_alloc_array((size_t)keep_count, sizeof *keep), *taps = NULL, *parameters = NULL;
    program->map = ph_alloc_array((size_t)graph->value_count + 1, sizeof *program->map);
    ph_status status = keep && program->map ? PH_OK : ph_fail_memory(context);
    if (!status) {
        for (int i = 0; i < request->tap_count; i++) keep[i] = request->taps[i];
        for (int i = 0; i < request->parameter_count; i++) keep[request->tap_count + i] = request->parameters[i];
        keep[keep_count - 1] = request->loss;
        status = ph_graph_extract(graph, keep, keep_count, backend->rewrites, &program->graph, program->map);
    }
    if (!status) {
        taps = mapped(program->map, request->taps, request->tap_count);
        parameters = mapped(program->map, request->parameters, request->parameter_count);
        if (!taps || !parameters) status = ph_fail_memory(context);
    }
    if (!status) {
        program->loss = request->loss == PH_ABSENT ? PH_ABSENT : program->map[request->loss];
        /* Folded taps are read from where they stand. */
        int computed = 0;
        for (int i = 0; i < request->tap_count; i++)
            if (!program->graph->values[taps[i]].data) taps[computed++] = taps[i];
        status = ph_plan_create(program->graph, backend, taps, computed, program->loss, parameters, request->parameter_count,
                                request->whole, &program->plan);
    }
    if (!status) {
        size_t floats = program->plan.arena_floats + program->plan.scratch_floats + 16;
        program->arena = floats > SIZE_MAX / sizeof(float) ? NULL : ph_alloc_aligned(floats * sizeof(float));
        if (program->arena) {
            /* Not the scratch: steps count on nothing there, and what no step touches takes no memory. */
            memset(program->arena, 0, program->plan.arena_floats * sizeof(float));
            status = ph_plan_bind(program->graph, &program->plan, program->arena);
        } else {
            status = ph_fail(context, PH_ERROR_MEMORY, "memory ran out: the program needs %.0f MB for its tensors",
                             (double)floats * sizeof(float) / 1e6);
        }
    }
    ph_free(keep);
    ph_free(taps);
    ph_free(parameters);
    return status;
}

static float *storage_data(const struct ph_program *program, int storage, struct ph_operand *operand) {
    size_t offset;
    const struct ph_storage *record = &program->plan.storages[storage];
    const struct ph_storage *root = &program->plan.storages[ph_storage_root(&program->plan, storage, &offset)];
    float *data = root->external ? (float *)root->external : program->arena + root->offset;
    if (operand) *operand = (struct ph_operand){.data = data + offset, .shape = &record->shape, .layout = record->layout};
    return data + offset;
}

/* The gradient of a sum is ones; nothing overwrites them. */
static ph_status seed(struct ph_program *program) {
    struct ph_operand to;
    storage_data(program, program->plan.gradient[program->loss], &to);
    size_t size = (size_t)ph_shape_size(to.shape);
    float *ones = ph_alloc_array(size, sizeof *ones);
    if (!ones) return ph_fail_memory(program->context);
    for (size_t i = 0; i < size; i++) ones[i] = 1;
    struct ph_operand from = {.data = ones, .shape = to.shape, .layout = ph_layout_make(PH_LAYOUT_PLAIN, to.shape, 1, 0)};
    ph_layout_convert(program->context, &from, &to, false);
    ph_free(ones);
    return PH_OK;
}

static bool tap_exists(const struct ph_program *program, int value) {
    return program->map[value] != PH_ABSENT && program->plan.tap[program->map[value]] != PH_ABSENT;
}

/* Where the objective or a goal depends on nothing that moves, there is no loop to speak of. */
static bool can_loop(const struct ph_program *program, const struct ph_loop *loop) {
    int parameter = program->map[loop->parameter];
    bool can = program->engine->loop_start && parameter != PH_ABSENT && program->plan.gradient[parameter] != PH_ABSENT &&
               tap_exists(program, loop->value);
    for (int i = 0; i < loop->error_count && can; i++) can = tap_exists(program, loop->errors[i]);
    return can;
}

static ph_status engine_create(const struct ph_program_request *request, struct ph_program *program) {
    const struct ph_engine *engine = program->engine;
    program->loops = request->loop && can_loop(program, request->loop);
    if (!program->loops) return engine->create(program->graph, &program->plan, NULL, program->arena, &program->state);
    struct ph_loop own = *request->loop;
    int *errors = mapped(program->map, own.errors, own.error_count);
    if (!errors) return ph_fail_memory(program->context);
    own.parameter = program->map[own.parameter];
    own.value = program->map[own.value];
    own.errors = errors;
    ph_status status = engine->create(program->graph, &program->plan, &own, program->arena, &program->state);
    ph_free(errors);
    return status;
}

ph_status ph_program_build(const struct ph_graph *graph, const struct ph_program_request *request,
                           const struct ph_backend *backend, struct ph_program **program) {
    struct ph_program *made = ph_alloc(sizeof *made);
    if (!made) return ph_fail_memory(graph->context);
    made->context = graph->context;
    made->backend = backend;
    made->engine = backend->engine;
    ph_status status = build(graph, request, backend, made);
    if (!status && made->loss != PH_ABSENT) status = seed(made);
    if (!status && made->engine) status = engine_create(request, made);
    if (status) ph_program_destroy(&made);
    *program = made;
    return status;
}

static ph_status program_make(const struct ph_graph *graph, const struct ph_program_request *request,
                              const struct ph_backend *backend, struct ph_program **program) {
    struct ph_profile *profile = backend->tunes ? graph->context->profile : NULL;
    ph_status status = ph_program_build(graph, request, backend, program);
    if (!profile) return status;
    if (!status) return ph_tune(graph, request, backend, program);
    ph_profile_forget(profile);
    return status;
}

ph_status ph_program_create(const struct ph_graph *graph, const struct ph_program_request *request,
                            struct ph_program **program) {
    ph_context *context = graph->context;
    const struct ph_backend *backend;
    *program = NULL;
    if (request->backend) {
        PH_TRY(ph_backend_find(context, request->backend, &backend));
        if (backend->open) PH_TRY(backend->open(context));
    } else {
        PH_TRY(ph_program_choose_backend(graph, request));
        PH_TRY(ph_backend_resolve(context, NULL, &backend));
    }
    ph_status status = request->backend ? PH_OK : ph_backend_check(context, backend);
    if (!status) status = program_make(graph, request, backend, program);
    bool other = !request->backend && context->backend_optional && backend != ph_backends[0];
    if (!other || (status != PH_ERROR_UNSUPPORTED && status != PH_ERROR_MEMORY)) return status;
    bool other_precision = !ph_backend_has_precision(context, ph_backends[0], context->precision);
    ph_log(context, "%s: the CPU goes on%s", ph_context_error(context), other_precision ? " in fp32" : "");
    if (other_precision) context->precision = PH_FP32;
    snprintf(context->backend, sizeof context->backend, "%s", ph_backends[0]->name);
    return program_make(graph, request, ph_backends[0], program);
}

void ph_program_destroy(struct ph_program **program) {
    if (!program || !*program) return;
    if ((*program)->state) (*program)->engine->destroy((*program)->state);
    ph_plan_finish(&(*program)->plan);
    ph_graph_destroy(&(*program)->graph);
    ph_free_aligned((*program)->arena);
    ph_free((*program)->map);
    ph_free(*program);
    *program = NULL;
}

float *ph_program_input(struct ph_program *program, int value) {
    int own = program->map[value];
    return own == PH_ABSENT ? NULL : storage_data(program, program->plan.home[own], NULL);
}

const struct ph_plan *ph_program_plan(const struct ph_program *program) { return &program->plan; }

void ph_program_read(struct ph_program *program, int value, float *out) {
    int own = program->map[value];
    const struct ph_value *record = &program->graph->values[own];
    int64_t size = ph_shape_size(&record->shape);
    if (record->data) {
        for (int64_t i = 0; i < size; i++)
            out[i] = record->type == PH_FLOAT ? ((const float *)record->data)[i] : (float)((const int64_t *)record->data)[i];
        return;
    }
    struct ph_operand from;
    storage_data(program, program->plan.tap[own], &from);
    struct ph_operand to = {.data = out, .shape = &record->shape,
        .layout = ph_layout_make(PH_LAYOUT_PLAIN, &record->shape, 1, 0)};
    ph_layout_convert(program->context, &from, &to, false);
}

const float *ph_program_gradient(struct ph_program *program, int parameter) {
    int own = program->map[parameter];
    int storage = own == PH_ABSENT ? PH_ABSENT : program->plan.gradient[own];
    return storage == PH_ABSENT ? NULL : storage_data(program, storage, NULL);
}

bool ph_program_is_intact(const struct ph_program *program) {
    if (program->engine && program->engine->read(program->state, program->arena)) return false;
    for (int i = 0; i < program->plan.storage_count; i++) {
        const struct ph_storage *storage = &program->plan.storages[i];
        if (storage->parent != PH_ABSENT || storage->external || storage->last < 0) continue;
        for (int lane = 0; lane < (storage->of_lane ? program->plan.lanes : 1); lane++) {
            const float *start = program->arena + storage->offset + (size_t)lane * program->plan.lane_floats;
            const float *before = start - PH_GUARD, *behind = start + ph_storage_floats(storage);
            for (int j = 0; j < PH_GUARD; j++)
                if (before[j] != 0 || behind[j] != 0) return false;
        }
    }
    return true;
}

size_t ph_program_arena_bytes(const struct ph_program *program) {
    return (program->plan.arena_floats + program->plan.scratch_floats) * sizeof(float);
}

size_t ph_program_constant_bytes(const struct ph_program *program) { return program->plan.constant_bytes; }

/* ---- Printing ---------------------------------------------------------------------------------------------------- */

static double call_flops(const struct ph_operation *operation, const struct ph_call *call) {
    return operation->flops ? operation->flops(call) : (double)ph_shape_size(&call->output_shapes[0]);
}

/* Of all nodes that it stands for. */
static double step_flops(const struct ph_graph *graph, const struct ph_step *step) {
    if (step->kind != PH_STEP_KERNEL) return 0;
    struct ph_call call = step->call.plain;
    if (!step->joined) return call_flops(step->call.node->operation, &call);
    double sum = 0;
    for (int i = 0; i < step->output_count; i++, call.output_shapes++) {
        const struct ph_node *node = step->joined[i];
        const struct ph_shape *shapes[] = {call.input_shapes[0], &graph->values[node->inputs[1]].shape};
        struct ph_call own = call;
        own.attributes = node->attributes;
        own.input_shapes = shapes;
        sum += call_flops(node->operation, &own);
    }
    return sum;
}

/* What the step makes, more values than one by the first of them and how many more. */
static const char *step_value(const struct ph_graph *graph, const struct ph_step *step, char *text, size_t size) {
    const struct ph_node *node = &graph->nodes[PH_MAX(step->node, 0)];
    bool sum = step->kind == PH_STEP_KERNEL && step->made != PH_ABSENT;
    const char *name = graph->values[sum ? step->made : node->outputs[0]].name;
    if (!step->joined) return name;
    char more[16];
    int used = snprintf(more, sizeof more, " +%d", step->output_count - 1);
    snprintf(text, size, "%.*s%s", (int)size - used - 1, name, more);
    return text;
}

static int compare_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { RUNS = 9 };
/* Runs all steps RUNS times and once before; times [RUNS][step]. */
struct profile { const struct ph_program *program; double *times; };

static void profile_run(void *argument) {
    const struct profile *profile = argument;
    int steps = profile->program->plan.step_count;
    for (int run = -1; run < RUNS; run++)
        ph_program_time(profile->program, run < 0 ? NULL : profile->times + (int64_t)run * steps);
}

static ph_status profile_engine(const struct ph_program *program, double *times) {
    size_t steps = (size_t)program->plan.step_count;
    double *milliseconds = ph_alloc_array(steps + 1, sizeof *milliseconds);
    ph_status status = milliseconds ? PH_OK : ph_fail_memory(program->context);
    if (!status) status = program->engine->run(program->state, false, program->arena); /* brings what is fed */
    for (int run = -1; run < RUNS && !status; run++) {
        status = program->engine->time(program->state, milliseconds);
        for (size_t i = 0; i < steps && run >= 0; i++) times[(size_t)run * steps + i] = 1e-3 * milliseconds[i];
    }
    ph_free(milliseconds);
    return status;
}

/* Median time of each step over a few whole runs, so that caches are as they are in the loop. */
static ph_status profile_steps(struct ph_program *program) {
    struct ph_plan *plan = &program->plan;
    double *times = ph_alloc_array((size_t)plan->step_count + 1, RUNS * sizeof *times);
    if (!times) return ph_fail_memory(program->context);
    struct profile profile = {program, times};
    ph_status status = PH_OK;
    if (program->engine) status = profile_engine(program, times);
    else ph_parallel_region(program->context, profile_run, &profile);
    for (int i = 0; i < plan->step_count; i++) {
        double of_step[RUNS];
        for (int run = 0; run < RUNS; run++) of_step[run] = times[run * plan->step_count + i];
        qsort(of_step, RUNS, sizeof *of_step, compare_double);
        plan->steps[i].milliseconds = 1e3 * of_step[RUNS / 2];
    }
    ph_free(times);
    return status;
}

ph_status ph_program_print(struct ph_program *program, bool time, struct ph_text *text) {
    static const char *const kinds[] = {"", "convert", "add", "zero"};
    struct ph_plan *plan = &program->plan;
    if (time) PH_TRY(profile_steps(program));
    double peak = time && program->backend->peak ? program->backend->peak(program->context) : 0;
    ph_text_append(text, "%-8s %-22s %-16s %-34s %-20s %9s %9s %10s%s\n", "", "operation", "kernel", "value", "shape",
                   "GFLOP", "KB", "offset", peak > 0 ? "       ms  GFLOP/s  % of peak" : time ? "       ms  GFLOP/s" : "");
    double total_flops = 0, total_time = 0;
    for (int i = 0; i < plan->step_count; i++) {
        const struct ph_step *step = &plan->steps[i];
        const struct ph_node *node = &program->graph->nodes[PH_MAX(step->node, 0)];
        bool sum = step->kind == PH_STEP_KERNEL && step->made != PH_ABSENT;
        int storage = step->to;
        if (step->kind == PH_STEP_KERNEL) {
            storage = step->outputs[0];
            for (int k = 0; k < node->input_count && step->backward; k++)
                if (step->input_gradients[k] != PH_ABSENT) {
                    storage = step->input_gradients[k];
                    break;
                }
        }
        size_t offset = 0;
        char shape[128] = "", value[35];
        const struct ph_storage *record = storage == PH_ABSENT ? NULL : &plan->storages[storage];
        if (record) {
            ph_shape_text(&record->shape, shape);
            offset += plan->storages[ph_storage_root(plan, storage, &offset)].offset;
        }
        double flops = step_flops(program->graph, step);
        total_flops += flops;
        total_time += step->milliseconds;
        ph_text_append(text, "%-8s %-22s %-16s %-34.34s %-20s %9.4f %9.0f %10zu", step->backward ? "backward" : "forward",
                       step->kind != PH_STEP_KERNEL ? kinds[step->kind] : sum ? "convolution+add" : node->operation->name,
                       step->kind == PH_STEP_KERNEL ? step->kernel->name : "-",
                       step_value(program->graph, step, value, sizeof value), shape, flops / 1e9,
                       record ? (double)ph_storage_floats(record) * sizeof(float) / 1024 : 0.0, offset);
        double rate = flops / 1e6 / PH_MAX(step->milliseconds, 1e-6);
        if (time) ph_text_append(text, " %8.3f %8.1f", step->milliseconds, rate);
        if (peak > 0) ph_text_append(text, " %10.1f", 100 * rate / peak);
        const struct ph_profile *profile = program->context->profile;
        const struct ph_choice *choice = profile && step->key ? ph_profile_find(profile, step->key) : NULL;
        if (choice) ph_text_append(text, "  %s", choice->times ? choice->times : "not measured");
        ph_text_append(text, "\n");
    }
    ph_text_append(text, "%d steps", plan->step_count);
    if (program->engine) ph_text_append(text, " in %d dispatches", program->engine->dispatches(program->state));
    ph_text_append(text, ", %.3f GFLOP, arena %.1f MB, packed constants %.1f MB", total_flops / 1e9,
                   (double)ph_program_arena_bytes(program) / 1e6, (double)plan->constant_bytes / 1e6);
    if (time) ph_text_append(text, ", %.2f ms, %.1f GFLOP/s", total_time, total_flops / 1e6 / total_time);
    if (peak > 0) ph_text_append(text, " of %.1f at peak", peak);
    ph_text_append(text, "\n");
    return text->failed ? ph_fail_memory(program->context) : PH_OK;
}
