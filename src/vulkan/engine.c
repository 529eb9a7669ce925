/* A program on a Vulkan device: one buffer that holds the arena and the constants, and command buffers that are recorded
 * once and replayed: forward and backward. Each begins with what the host feeds and ends with what it reads. */
#include "vulkan/engine.h"
#include <math.h>
#include <string.h>

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

void ph_barrier_put(const struct ph_recorder *recorder, VkCommandBuffer commands, VkPipelineStageFlags from,
                        VkPipelineStageFlags to) {
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT};
    recorder->vulkan->CmdPipelineBarrier(commands, from, to, 0, 1, &barrier, 0, NULL, 0, NULL);
}

static void transfers_put(const struct ph_recorder *recorder, VkCommandBuffer commands, int kind) {
    for (int i = 0; i < recorder->transfer_counts[kind]; i++) {
        const struct ph_transfer *transfer = &recorder->transfers[kind][i];
        bool feeds = kind == PH_FED;
        const VkBufferCopy copy = {.srcOffset = (feeds ? transfer->staged : transfer->place) * sizeof(float),
            .dstOffset = (feeds ? transfer->place : transfer->staged) * sizeof(float),
            .size = transfer->floats * sizeof(float)};
        recorder->vulkan->CmdCopyBuffer(commands, feeds ? recorder->staging.buffer : recorder->memory.buffer,
                                        feeds ? recorder->memory.buffer : recorder->staging.buffer, 1, &copy);
    }
}

ph_status ph_commands_begin(struct ph_recorder *recorder, VkCommandBuffer *commands) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = vulkan->commands, .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = 1};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    VkResult result = PH_VULKAN_MAKE(AllocateCommandBuffers, vulkan->device, &info, commands);
    if (!result) result = vulkan->BeginCommandBuffer(*commands, &begin);
    return ph_vulkan_check(recorder->context, vulkan, result, "commands");
}

/* Storages that the steps since the last barrier touch, by their roots. */
struct touched { int *roots; bool *written; int count; };

static bool overlap(const struct ph_plan *plan, int a, int b) {
    const struct ph_storage *one = &plan->storages[a], *other = &plan->storages[b];
    return one->offset < other->offset + ph_storage_floats(other) && other->offset < one->offset + ph_storage_floats(one);
}

/* Whether storage `storage`, to be read or written, meets what was written or read since the last barrier. */
static bool meets(const struct ph_plan *plan, const struct touched *touched, int storage, bool writes) {
    if (storage == PH_ABSENT) return false;
    int root = ph_storage_root(plan, storage, NULL);
    if (plan->storages[root].external) return false;
    for (int i = 0; i < touched->count; i++)
        if ((writes || touched->written[i]) && overlap(plan, root, touched->roots[i])) return true;
    return false;
}

static void touch(const struct ph_plan *plan, struct touched *touched, int storage, bool writes) {
    if (storage == PH_ABSENT) return;
    int root = ph_storage_root(plan, storage, NULL);
    if (plan->storages[root].external) return;
    touched->roots[touched->count] = root;
    touched->written[touched->count++] = writes;
}

static bool step_waits(const struct ph_plan *plan, const struct ph_step *step, const struct touched *touched) {
    int storage;
    bool writes;
    if (step->kind == PH_STEP_KERNEL && step->kernel->scratch) return true; /* memory that steps share */
    for (int i = 0; ph_step_storage(step, i, &storage, &writes); i++)
        if (meets(plan, touched, storage, writes)) return true;
    return false;
}

static ph_status touched_start(struct ph_recorder *recorder, struct touched *touched) {
    size_t count = 2;
    for (int s = 0; s < recorder->plan->step_count; s++) {
        int storage;
        bool writes;
        for (int i = 0; ph_step_storage(&recorder->plan->steps[s], i, &storage, &writes); i++) count++;
    }
    *touched = (struct touched){ph_alloc_array(count, sizeof(int)), ph_alloc_array(count, sizeof(bool)), 0};
    return touched->roots && touched->written ? PH_OK : ph_fail_memory(recorder->context);
}

static void touched_finish(struct touched *touched) {
    ph_free(touched->roots);
    ph_free(touched->written);
}

void ph_dispatch_put(const struct ph_recorder *recorder, VkCommandBuffer commands, const struct ph_dispatch *dispatch) {
    const struct ph_vulkan *vulkan = recorder->vulkan;
    if (dispatch->waits) ph_barrier_put(recorder, commands, PH_COMPUTE, PH_COMPUTE);
    vulkan->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->pipeline);
    vulkan->CmdPushConstants(commands, vulkan->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof dispatch->words.word,
                             dispatch->words.word);
    vulkan->CmdDispatch(commands, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
}

/* With a barrier only where a step needs, or overwrites, what another since the last has touched. */
ph_status ph_steps_put(struct ph_recorder *recorder, VkCommandBuffer commands, int first, int last, bool times) {
    const struct ph_vulkan *vulkan = recorder->vulkan;
    const struct ph_plan *plan = recorder->plan;
    struct touched touched;
    ph_status status = touched_start(recorder, &touched);
    vulkan->CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, vulkan->pipeline_layout, 0, 1, &recorder->set, 0,
                                  NULL);
    int at = 0;
    while (at < recorder->dispatch_count && recorder->dispatches[at].step < first) at++;
    for (int s = first; s < last && !status; s++) {
        const struct ph_step *step = &plan->steps[s];
        int storage;
        bool writes;
        if (times || step_waits(plan, step, &touched)) {
            ph_barrier_put(recorder, commands, PH_COMPUTE, PH_COMPUTE);
            touched.count = 0;
        }
        for (int i = 0; ph_step_storage(step, i, &storage, &writes); i++) touch(plan, &touched, storage, writes);
        for (; at < recorder->dispatch_count && recorder->dispatches[at].step == s; at++)
            ph_dispatch_put(recorder, commands, &recorder->dispatches[at]);
        if (times)
            vulkan->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, recorder->queries, (uint32_t)s + 1);
    }
    touched_finish(&touched);
    return status;
}

ph_status ph_commands_end(struct ph_recorder *recorder, VkCommandBuffer commands) {
    return ph_vulkan_check(recorder->context, recorder->vulkan, recorder->vulkan->EndCommandBuffer(commands), "recording");
}

ph_status ph_direction_record(struct ph_recorder *recorder, bool backward) {
    const struct ph_plan *plan = recorder->plan;
    VkCommandBuffer *commands = &recorder->commands[backward];
    PH_TRY(ph_commands_begin(recorder, commands));
    if (!backward) {
        transfers_put(recorder, *commands, PH_FED);
        ph_barrier_put(recorder, *commands, PH_TRANSFER, PH_COMPUTE | PH_TRANSFER);
    } else {
        ph_barrier_put(recorder, *commands, PH_COMPUTE | PH_TRANSFER, PH_COMPUTE);
    }
    PH_TRY(ph_steps_put(recorder, *commands, backward ? plan->forward_count : 0,
                        backward ? plan->step_count : plan->forward_count, false));
    ph_barrier_put(recorder, *commands, PH_COMPUTE, PH_TRANSFER);
    transfers_put(recorder, *commands, backward ? PH_READ_BACKWARD : PH_READ_FORWARD);
    ph_barrier_put(recorder, *commands, PH_TRANSFER, VK_PIPELINE_STAGE_HOST_BIT | PH_COMPUTE | PH_TRANSFER);
    return ph_commands_end(recorder, *commands);
}

void ph_commands_free(struct ph_recorder *recorder, VkCommandBuffer *commands) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    if (*commands) vulkan->FreeCommandBuffers(vulkan->device, vulkan->commands, 1, commands);
    *commands = VK_NULL_HANDLE;
}

ph_status ph_fence_make(struct ph_recorder *recorder, VkFence *fence) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    return ph_vulkan_check(recorder->context, vulkan, PH_VULKAN_MAKE(CreateFence, vulkan->device, &info, NULL, fence),
                           "a fence");
}

ph_status ph_submit_start(struct ph_recorder *recorder, const VkCommandBuffer *commands, uint32_t count, VkFence fence) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = count,
        .pCommandBuffers = commands};
    VkResult result = vulkan->ResetFences(vulkan->device, 1, &fence);
    if (!result) result = vulkan->QueueSubmit(vulkan->queue, 1, &info, fence);
    return ph_vulkan_check(recorder->context, vulkan, result, "running the program");
}

ph_status ph_submit_wait(struct ph_recorder *recorder, VkFence fence) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const uint64_t patience = 120000000000; /* ns */
    return ph_vulkan_check(recorder->context, vulkan, vulkan->WaitForFences(vulkan->device, 1, &fence, VK_TRUE, patience),
                           "running the program");
}

ph_status ph_submit(struct ph_recorder *recorder, const VkCommandBuffer *commands, uint32_t count) {
    PH_TRY(ph_submit_start(recorder, commands, count, recorder->fence));
    return ph_submit_wait(recorder, recorder->fence);
}

/* ---- The engine -------------------------------------------------------------------------------------------------- */

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
                       "backend vulkan: %s stores no 16-bit numbers; --precision fp32 does without", vulkan->properties.deviceName);
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

ph_status ph_queries_make(struct ph_recorder *recorder, uint32_t count) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
        .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = count};
    return ph_vulkan_check(recorder->context, vulkan,
                           PH_VULKAN_MAKE(CreateQueryPool, vulkan->device, &info, NULL, &recorder->queries), "times");
}

ph_status ph_times_record(struct ph_recorder *recorder) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    uint32_t count = (uint32_t)recorder->plan->step_count + 1;
    if (!vulkan->timestamp_bits)
        return ph_fail(recorder->context, PH_ERROR_UNSUPPORTED, "backend vulkan: %s keeps no times",
                       vulkan->properties.deviceName);
    PH_TRY(ph_queries_make(recorder, count));
    VkCommandBuffer *commands = &recorder->commands[2];
    PH_TRY(ph_commands_begin(recorder, commands));
    vulkan->CmdResetQueryPool(*commands, recorder->queries, 0, count);
    vulkan->CmdWriteTimestamp(*commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, recorder->queries, 0);
    PH_TRY(ph_steps_put(recorder, *commands, 0, recorder->plan->step_count, true));
    ph_barrier_put(recorder, *commands, PH_COMPUTE, PH_COMPUTE | PH_TRANSFER);
    return ph_commands_end(recorder, *commands);
}

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
