/* Steps of an optimiser on the device. What steps are fed lies in a ring on the host; several steps are submitted together,
 * each as three recorded command buffers: its slot of the ring comes in, all of the program with Adam behind it runs, and
 * the step's numbers go out to the slot. Parameters and moments stay on the device until they are asked for. */
#include "vulkan/engine.h"
#include <string.h>

#define RING_BYTES ((size_t)256 << 20) /* where a step is fed much, fewer go together */

enum { SCALARS = 2 };

struct loop {
    struct ph_loop told;
    int steps;             /* slots of the ring */
    size_t items, count;   /* count: parameters of all items */
    size_t fed, slot;      /* floats that a step is fed, with its scalars, and of a slot, with its report */
    uint32_t parameter, gradient, moments, scalars, report;
    struct ph_buffer ring;
    VkCommandBuffer feed[PH_LOOP_STEPS], step, collect[PH_LOOP_STEPS];
};

size_t ph_vulkan_loop_floats(const struct ph_plan *plan, const struct ph_graph *graph) {
    size_t most = 0;
    for (int v = 0; v < graph->value_count; v++)
        if (graph->values[v].node == PH_ABSENT && plan->gradient[v] != PH_ABSENT)
            most = PH_MAX(most, (size_t)ph_shape_size(&graph->values[v].shape));
    return most ? 2 * most + SCALARS + 2 * PH_MAX_BATCH : 0;
}

void ph_vulkan_loop_finish(struct ph_recorder *recorder) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    struct loop *loop = recorder->loop;
    if (!loop) return;
    for (int i = 0; i < PH_LOOP_STEPS; i++) {
        VkCommandBuffer both[] = {loop->feed[i], loop->collect[i]};
        for (int k = 0; k < 2; k++)
            if (both[k]) vulkan->FreeCommandBuffers(vulkan->device, vulkan->commands, 1, &both[k]);
    }
    if (loop->step) vulkan->FreeCommandBuffers(vulkan->device, vulkan->commands, 1, &loop->step);
    ph_buffer_finish(vulkan, &loop->ring);
    ph_free(loop);
    recorder->loop = NULL;
}

static bool is_parameter(const struct loop *loop, const struct ph_transfer *fed) { return fed->place == loop->parameter; }

/* One slot comes in: what the step is fed, one behind the other, then its scalars. */
static ph_status feed_record(struct ph_recorder *recorder, struct loop *loop, int slot) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    size_t at = (size_t)slot * loop->slot;
    VkCommandBuffer *commands = &loop->feed[slot];
    PH_TRY(ph_commands_begin(recorder, commands));
    for (int i = 0; i <= recorder->transfer_counts[PH_FED]; i++) {
        bool last = i == recorder->transfer_counts[PH_FED];
        const struct ph_transfer *fed = &recorder->transfers[PH_FED][i];
        size_t floats = last ? SCALARS : fed->floats;
        if (!last && is_parameter(loop, fed)) continue;
        const VkBufferCopy copy = {.srcOffset = at * sizeof(float),
            .dstOffset = (last ? loop->scalars : fed->place) * sizeof(float), .size = floats * sizeof(float)};
        vulkan->CmdCopyBuffer(*commands, loop->ring.buffer, recorder->memory.buffer, 1, &copy);
        at += floats;
    }
    ph_barrier_put(recorder, *commands, PH_TRANSFER, PH_COMPUTE | PH_TRANSFER);
    return ph_commands_end(recorder, *commands);
}

static ph_status collect_record(struct ph_recorder *recorder, struct loop *loop, int slot) {
    VkCommandBuffer *commands = &loop->collect[slot];
    PH_TRY(ph_commands_begin(recorder, commands));
    const VkBufferCopy copy = {.srcOffset = loop->report * sizeof(float),
        .dstOffset = ((size_t)slot * loop->slot + loop->fed) * sizeof(float), .size = 2 * loop->items * sizeof(float)};
    ph_barrier_put(recorder, *commands, PH_COMPUTE, PH_TRANSFER);
    recorder->vulkan->CmdCopyBuffer(*commands, recorder->memory.buffer, loop->ring.buffer, 1, &copy);
    ph_barrier_put(recorder, *commands, PH_COMPUTE | PH_TRANSFER, VK_PIPELINE_STAGE_HOST_BIT | PH_COMPUTE | PH_TRANSFER);
    return ph_commands_end(recorder, *commands);
}

/* The whole program, the step's numbers, and Adam. */
static ph_status step_record(struct ph_recorder *recorder, struct loop *loop, uint32_t value) {
    const struct ph_loop *told = &loop->told;
    struct ph_words measure = {0}, adam = {0};
    int first = recorder->dispatch_count;
    ph_words_int(&measure, (int64_t)loop->items);
    ph_words_int(&measure, (int64_t)(loop->count / loop->items));
    ph_words_int(&measure, value);
    ph_words_int(&measure, loop->gradient);
    ph_words_int(&measure, loop->report);
    ph_words_int(&adam, (int64_t)loop->count);
    ph_words_int(&adam, (int64_t)(loop->count / loop->items));
    ph_words_int(&adam, loop->parameter);
    ph_words_int(&adam, loop->gradient);
    ph_words_int(&adam, loop->moments);
    ph_words_int(&adam, loop->moments + (int64_t)loop->count);
    ph_words_int(&adam, loop->scalars);
    ph_words_int(&adam, loop->report);
    ph_words_float(&adam, told->beta1);
    ph_words_float(&adam, 1 - told->beta1);
    ph_words_float(&adam, told->beta2);
    ph_words_float(&adam, 1 - told->beta2);
    ph_words_float(&adam, told->epsilon);
    const int32_t none[PH_SHADER_CONSTANTS] = {0};
    recorder->step = recorder->plan->step_count;
    PH_TRY(ph_recorder_dispatch(recorder, PH_SHADER_measure, none, &measure, (int64_t)loop->items, 1, 1, true));
    PH_TRY(ph_recorder_dispatch(recorder, PH_SHADER_adam, none, &adam, (int64_t)(loop->count + 63) / 64, 1, 1, true));
    PH_TRY(ph_commands_begin(recorder, &loop->step));
    PH_TRY(ph_steps_put(recorder, loop->step, 0, recorder->plan->step_count, false));
    for (int i = first; i < recorder->dispatch_count; i++) ph_dispatch_put(recorder, loop->step, &recorder->dispatches[i]);
    return ph_commands_end(recorder, loop->step);
}

/* The moments, from the host's or to them. */
static ph_status moments_copy(struct ph_recorder *recorder, bool read) {
    struct loop *loop = recorder->loop;
    struct ph_buffer by = {0};
    ph_status status = ph_buffer_make(recorder, 2 * loop->count, true, &by);
    if (!status) status = ph_memory_copy(recorder, loop->moments, loop->told.moments, 2 * loop->count, read, &by);
    ph_buffer_finish(recorder->vulkan, &by);
    return status;
}

static ph_status parameters_copy(struct ph_recorder *recorder, float *arena, bool read) {
    struct loop *loop = recorder->loop;
    struct ph_buffer by = {0};
    ph_status status = ph_buffer_make(recorder, loop->count, true, &by);
    if (!status) status = ph_memory_copy(recorder, loop->parameter, arena + loop->parameter, loop->count, read, &by);
    ph_buffer_finish(recorder->vulkan, &by);
    return status;
}

ph_status ph_vulkan_loop_start(void *state, const struct ph_graph *graph, const struct ph_loop *told, float *arena) {
    struct ph_recorder *recorder = state;
    const struct ph_plan *plan = recorder->plan;
    const struct ph_shape *shape = &graph->values[told->parameter].shape;
    struct loop *loop = ph_alloc(sizeof *loop);
    if (!loop) return ph_fail_memory(recorder->context);
    recorder->loop = loop;
    loop->told = *told;
    loop->items = (size_t)graph->values[told->value].shape.dims[0];
    loop->count = (size_t)ph_shape_size(shape);
    loop->parameter = (uint32_t)ph_storage_place(plan, plan->home[told->parameter]);
    loop->gradient = (uint32_t)ph_storage_place(plan, plan->gradient[told->parameter]);
    loop->moments = recorder->loop_place;
    loop->scalars = loop->moments + 2 * (uint32_t)loop->count;
    loop->report = loop->scalars + SCALARS;
    loop->fed = SCALARS;
    for (int i = 0; i < recorder->transfer_counts[PH_FED]; i++)
        if (!is_parameter(loop, &recorder->transfers[PH_FED][i])) loop->fed += recorder->transfers[PH_FED][i].floats;
    loop->slot = loop->fed + 2 * loop->items;
    loop->steps = (int)PH_MAX(PH_MIN(RING_BYTES / (loop->slot * sizeof(float)), (size_t)PH_LOOP_STEPS), (size_t)1);
    PH_TRY(ph_buffer_make(recorder, loop->slot * (size_t)loop->steps, true, &loop->ring));
    for (int i = 0; i < loop->steps; i++) {
        PH_TRY(feed_record(recorder, loop, i));
        PH_TRY(collect_record(recorder, loop, i));
    }
    PH_TRY(step_record(recorder, loop, (uint32_t)ph_storage_place(plan, plan->tap[told->value])));
    PH_TRY(parameters_copy(recorder, arena, false));
    return moments_copy(recorder, false);
}

ph_status ph_vulkan_loop_run(void *state, int64_t first, int *steps, const float *scalars, float *arena,
                             struct ph_loop_report *reports) {
    struct ph_recorder *recorder = state;
    struct loop *loop = recorder->loop;
    VkCommandBuffer commands[3 * PH_LOOP_STEPS];
    *steps = PH_MIN(*steps, loop->steps);
    for (int s = 0; s < *steps; s++) {
        float *slot = loop->ring.mapped + (size_t)s * loop->slot;
        loop->told.feed(loop->told.user, first + s);
        for (int i = 0; i < recorder->transfer_counts[PH_FED]; i++) {
            const struct ph_transfer *fed = &recorder->transfers[PH_FED][i];
            if (is_parameter(loop, fed)) continue;
            memcpy(slot, arena + fed->place, fed->floats * sizeof *slot);
            slot += fed->floats;
        }
        memcpy(slot, scalars + SCALARS * s, SCALARS * sizeof *slot);
        commands[3 * s] = loop->feed[s];
        commands[3 * s + 1] = loop->step;
        commands[3 * s + 2] = loop->collect[s];
    }
    PH_TRY(ph_submit(recorder, commands, 3 * (uint32_t)*steps));
    for (int s = 0; s < *steps; s++) {
        const float *slot = loop->ring.mapped + (size_t)s * loop->slot + loop->fed;
        for (size_t n = 0; n < loop->items; n++)
            reports[(size_t)s * loop->items + n] = (struct ph_loop_report){slot[2 * n], slot[2 * n + 1]};
    }
    return PH_OK;
}

ph_status ph_vulkan_loop_fetch(void *state, float *arena) {
    struct ph_recorder *recorder = state;
    PH_TRY(parameters_copy(recorder, arena, true));
    return moments_copy(recorder, true);
}
