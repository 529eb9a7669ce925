/* A program on a Vulkan device: one buffer that holds the arena and the constants, and command buffers that are recorded
 * once and replayed: forward and backward. Each begins with what the host feeds and ends with what it reads. */
#include "vulkan/engine.h"
#include <math.h>
#include <string.h>

void ph_recorder_destroy(struct ph_recorder *recorder) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    vulkan->DeviceWaitIdle(vulkan->device);
    ph_vulkan_loop_destroy(recorder);
    for (int i = 0; i < PH_COUNT(recorder->commands); i++) ph_commands_free(recorder, &recorder->commands[i]);
    vulkan->DestroyFence(vulkan->device, recorder->fence, NULL);
    vulkan->DestroyQueryPool(vulkan->device, recorder->queries, NULL);
    vulkan->DestroyDescriptorPool(vulkan->device, recorder->pool, NULL);
    ph_buffer_finish(vulkan, &recorder->memory);
    ph_buffer_finish(vulkan, &recorder->staging);
    ph_buffer_finish(vulkan, &recorder->where);
    for (int i = 0; i < recorder->constant_count; i++) ph_free(recorder->constants[i].copy);
    for (int kind = 0; kind < PH_TRANSFERS; kind++) ph_free(recorder->transfers[kind]);
    ph_free(recorder->constants);
    ph_free(recorder->dispatches);
    ph_free(recorder);
}

ph_status ph_recorder_make(ph_context *context, struct ph_vulkan *vulkan, size_t floats, struct ph_recorder **recorder) {
    struct ph_recorder *made = ph_alloc(sizeof *made);
    if (!made) return ph_fail_memory(context);
    made->context = context;
    made->vulkan = vulkan;
    made->floats = floats;
    ph_status status = ph_memory_make(made);
    if (status) ph_recorder_destroy(made);
    else *recorder = made;
    return status;
}

static ph_status engine_build(struct ph_recorder *recorder, const struct ph_graph *graph, const struct ph_loop *loop) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const struct ph_plan *plan = recorder->plan;
    for (int i = 0; i < plan->storage_count; i++) recorder->halves |= plan->storages[i].half;
    if (recorder->halves && !vulkan->halves)
        return ph_fail(recorder->context, PH_ERROR_UNSUPPORTED,
                       "backend vulkan: %s stores no 16-bit numbers; --precision fp32 does without",
                       vulkan->properties.deviceName);
    for (int i = 0; i < plan->storage_count; i++)
        if (plan->storages[i].external) PH_TRY(ph_recorder_constant(recorder, &plan->storages[i]));
    if (loop) PH_TRY(ph_vulkan_loop_create(recorder, graph, loop));
    size_t most_bound = ph_vulkan_most_bound(vulkan);
    recorder->far = vulkan->addresses && recorder->floats * sizeof(float) > most_bound;
    PH_TRY(ph_steps_record(recorder));
    if (vulkan->addresses && !recorder->far && recorder->floats * sizeof(float) > most_bound) {
        recorder->far = true; /* with the tables of its steps, which are there already */
        PH_TRY(ph_steps_record(recorder));
    }
    PH_TRY(ph_transfers_list(recorder, graph));
    double bytes = (double)recorder->floats * sizeof(float), most = recorder->far ? HUGE_VAL : (double)most_bound;
    /* Places are of 32 bits, or 31 with a mark. */
    size_t most_floats = recorder->halves ? INT32_MAX / 2 : INT32_MAX;
    if (bytes > most || recorder->floats > most_floats)
        return ph_fail(recorder->context, PH_ERROR_MEMORY,
                       "backend vulkan: the program needs a buffer of %.0f MB, %s has at most %.0f MB in one; a smaller "
                       "picture or batch needs less, and --backend cpu does without", bytes / 1e6,
                       vulkan->properties.deviceName, PH_MIN(most, 4.0 * (double)most_floats) / 1e6);
    PH_TRY(ph_memory_make(recorder));
    PH_TRY(ph_buffer_make(recorder, PH_MAX(recorder->staged, (size_t)1), true, &recorder->staging));
    PH_TRY(ph_memory_fill(recorder));
    PH_TRY(ph_direction_record(recorder, false));
    PH_TRY(ph_direction_record(recorder, true));
    return loop ? ph_vulkan_loop_finish_recording(recorder) : PH_OK;
}

static ph_status engine_create(const struct ph_graph *graph, const struct ph_plan *plan, const struct ph_loop *loop,
                               const float *arena, void **state) {
    struct ph_vulkan *vulkan;
    PH_TRY(ph_vulkan_open(graph->context, &vulkan));
    struct ph_recorder *recorder = ph_alloc(sizeof *recorder);
    if (!recorder) return ph_fail_memory(graph->context);
    recorder->context = graph->context;
    recorder->vulkan = vulkan;
    recorder->plan = plan;
    recorder->arena = arena;
    recorder->arena_floats = plan->arena_floats + plan->scratch_floats + 16;
    recorder->floats = (recorder->arena_floats + 15) & ~(size_t)15;
    ph_status status = engine_build(recorder, graph, loop);
    if (status) ph_recorder_destroy(recorder);
    else *state = recorder;
    return status;
}

static void engine_destroy(void *state) { ph_recorder_destroy(state); }

static ph_status engine_run(void *state, bool backward, float *arena) {
    struct ph_recorder *recorder = state;
    for (int i = 0; i < recorder->transfer_counts[PH_FED] && !backward; i++) {
        const struct ph_transfer *transfer = &recorder->transfers[PH_FED][i];
        memcpy(recorder->staging.mapped + transfer->staged, arena + transfer->place, transfer->floats * sizeof *arena);
    }
    PH_TRY(ph_submit(recorder, &recorder->commands[backward], 1));
    int kind = backward ? PH_READ_BACKWARD : PH_READ_FORWARD;
    for (int i = 0; i < recorder->transfer_counts[kind]; i++) {
        const struct ph_transfer *transfer = &recorder->transfers[kind][i];
        memcpy(arena + transfer->place, recorder->staging.mapped + transfer->staged, transfer->floats * sizeof *arena);
    }
    return PH_OK;
}

static int engine_dispatches(const void *state) { return ((const struct ph_recorder *)state)->dispatch_count; }

static ph_status engine_time(void *state, double *milliseconds) {
    struct ph_recorder *recorder = state;
    struct ph_vulkan *vulkan = recorder->vulkan;
    size_t count = (size_t)recorder->plan->step_count;
    if (!recorder->queries) PH_TRY(ph_times_record(recorder));
    uint64_t *ticks = ph_alloc_array(count + 1, sizeof *ticks);
    if (!ticks) return ph_fail_memory(recorder->context);
    ph_status status = ph_submit(recorder, &recorder->commands[2], 1);
    if (!status)
        status = ph_vulkan_check(recorder->context, vulkan,
            vulkan->GetQueryPoolResults(vulkan->device, recorder->queries, 0, (uint32_t)count + 1, (count + 1) * sizeof *ticks,
                                        ticks, sizeof *ticks, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT), "times");
    for (size_t i = 0; i < count && !status; i++)
        milliseconds[i] = 1e-6 * vulkan->properties.limits.timestampPeriod * (double)(ticks[i + 1] - ticks[i]);
    ph_free(ticks);
    return status;
}

static ph_status engine_read(void *state, float *arena) {
    struct ph_recorder *recorder = state;
    struct ph_buffer by = {0};
    ph_status status = ph_buffer_make(recorder, recorder->arena_floats, true, &by);
    if (!status) status = ph_memory_copy(recorder, 0, arena, recorder->arena_floats, true, &by);
    ph_buffer_finish(recorder->vulkan, &by);
    return status;
}

const struct ph_engine ph_vulkan_engine = {.create = engine_create, .destroy = engine_destroy, .run = engine_run,
    .dispatches = engine_dispatches, .time = engine_time, .read = engine_read, .loop_start = ph_vulkan_loop_start,
    .loop_submit = ph_vulkan_loop_submit, .loop_collect = ph_vulkan_loop_collect, .loop_fetch = ph_vulkan_loop_fetch};
