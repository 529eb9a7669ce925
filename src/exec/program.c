/* A plan with its memory: how it is made, what goes in and comes out. run.c runs it. */
#include "exec/profile.h"
#include "exec/state.h"
#include "graph/passes.h"
#include <stdio.h>
#include <string.h>

static int *mapped(const int *map, const int *values, int count) {
    int *result = ph_alloc_array((size_t)count + 1, sizeof *result);
    for (int i = 0; i < count && result; i++) result[i] = map[values[i]];
    return result;
}

/* The part of the caller's graph that leads to what is asked for, as the backend likes it. */
static ph_status graph_take(const struct ph_graph *graph, const struct ph_program_request *request,
                            struct ph_program *program) {
    int count = request->tap_count + request->parameter_count + 1;
    int *keep = ph_alloc_array((size_t)count, sizeof *keep);
    program->map = ph_alloc_array((size_t)graph->value_count + 1, sizeof *program->map);
    ph_status status = keep && program->map ? PH_OK : ph_fail_memory(program->context);
    if (!status) {
        for (int i = 0; i < request->tap_count; i++) keep[i] = request->taps[i];
        for (int i = 0; i < request->parameter_count; i++) keep[request->tap_count + i] = request->parameters[i];
        keep[count - 1] = request->loss;
        status = ph_graph_extract(graph, keep, count, program->backend->rewrites, &program->graph, program->map);
    }
    ph_free(keep);
    return status;
}

static ph_status plan_make(const struct ph_program_request *request, struct ph_program *program) {
    int *taps = mapped(program->map, request->taps, request->tap_count), computed = 0;
    int *parameters = mapped(program->map, request->parameters, request->parameter_count);
    ph_status status = taps && parameters ? PH_OK : ph_fail_memory(program->context);
    if (!status) {
        program->loss = request->loss == PH_ABSENT ? PH_ABSENT : program->map[request->loss];
        /* Folded taps are read from where they stand. */
        for (int i = 0; i < request->tap_count; i++)
            if (!program->graph->values[taps[i]].data) taps[computed++] = taps[i];
        status = ph_plan_create(program->graph, program->backend, taps, computed, program->loss, parameters,
                                request->parameter_count, request->whole, &program->plan);
    }
    ph_free(taps);
    ph_free(parameters);
    return status;
}

static ph_status arena_make(struct ph_program *program) {
    size_t floats = program->plan.arena_floats + program->plan.scratch_floats + 16;
    program->arena = floats > SIZE_MAX / sizeof(float) ? NULL : ph_alloc_aligned(floats * sizeof(float));
    if (!program->arena)
        return ph_fail(program->context, PH_ERROR_MEMORY, "memory ran out: the program needs %.0f MB for its tensors",
                       (double)floats * sizeof(float) / 1e6);
    /* Not the scratch: steps count on nothing there, and what no step touches takes no memory. */
    memset(program->arena, 0, program->plan.arena_floats * sizeof(float));
    return ph_plan_bind(program->graph, &program->plan, program->arena);
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
    struct ph_operand from = {.data = ones, .shape = to.shape,
        .layout = ph_layout_make(PH_LAYOUT_PLAIN, to.shape, 1, 0)};
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
    ph_status status = graph_take(graph, request, made);
    if (!status) status = plan_make(request, made);
    if (!status) status = arena_make(made);
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
