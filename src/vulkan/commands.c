/* Commands: what is recorded once and replayed, and how the device is given it. */
#include "vulkan/engine.h"

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

ph_status ph_commands_end(struct ph_recorder *recorder, VkCommandBuffer commands) {
    return ph_vulkan_check(recorder->context, recorder->vulkan, recorder->vulkan->EndCommandBuffer(commands), "recording");
}

void ph_commands_free(struct ph_recorder *recorder, VkCommandBuffer *commands) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    if (*commands) vulkan->FreeCommandBuffers(vulkan->device, vulkan->commands, 1, commands);
    *commands = VK_NULL_HANDLE;
}

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
