/* A program on a Vulkan device as its parts see it: engine.c builds and runs it, loop.c makes steps with it. */
#ifndef PH_VULKAN_ENGINE_H
#define PH_VULKAN_ENGINE_H

#include "graph/operations.h"
#include "vulkan/device.h"

struct ph_dispatch { VkPipeline pipeline; struct ph_words words; uint32_t groups[3]; int step; bool waits; };
/* `count` elements of the host's; `copy`, owned, stands for them on the device, or NULL: they do themselves. */
struct ph_constant { const float *data; size_t count, floats; uint32_t place; bool half; void *copy; };
struct ph_transfer { size_t place, staged, floats; };
struct ph_buffer { VkBuffer buffer; VkDeviceMemory memory; float *mapped; };

enum { PH_FED, PH_READ_FORWARD, PH_READ_BACKWARD, PH_TRANSFERS };

/* Both the list in the making and what is replayed. */
struct ph_recorder {
    ph_context *context;
    struct ph_vulkan *vulkan;
    const struct ph_plan *plan;
    const float *arena;       /* pointers into it stand for places */
    size_t arena_floats, floats;
    bool halves;              /* tensors of 16 bits are among them */
    bool far;                 /* the memory is larger than a device binds, and reached by its address */
    struct ph_constant *constants;
    int constant_count, constant_capacity;
    struct ph_dispatch *dispatches;
    int dispatch_count, dispatch_capacity, step;
    struct ph_transfer *transfers[PH_TRANSFERS];
    int transfer_counts[PH_TRANSFERS], transfer_capacities[PH_TRANSFERS];
    size_t staged;
    struct ph_buffer memory, staging, where; /* where: far, the memory's address */
    VkDescriptorPool pool;
    VkDescriptorSet set;
    VkCommandBuffer commands[3]; /* forward, backward, both with times */
    VkQueryPool queries;
    VkFence fence;
    struct loop *loop;           /* NULL: the host makes the steps */
};

#define PH_COMPUTE VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT
#define PH_TRANSFER VK_PIPELINE_STAGE_TRANSFER_BIT

/* ---- record.c: the list of dispatches, constants and transfers that a plan becomes ------------------------------- */

/* A storage's constant gets a place in the memory. */
ph_status ph_recorder_constant(struct ph_recorder *recorder, const struct ph_storage *storage);
/* The dispatches of all steps, from the start. */
ph_status ph_steps_record(struct ph_recorder *recorder);
/* One storage of a step after the other, and whether it is written; false behind the last. */
bool ph_step_storage(const struct ph_step *step, int index, int *storage, bool *writes);
/* Where a storage of the arena lies, in floats. */
size_t ph_storage_place(const struct ph_plan *plan, int storage);
/* What is fed before a run and read after it. */
ph_status ph_transfers_list(struct ph_recorder *recorder, const struct ph_graph *graph);

/* ---- memory.c ---------------------------------------------------------------------------------------------------- */

/* Memory of the device's, or of the host's and mapped. Failing, leaves what it made to ph_buffer_finish. */
ph_status ph_buffer_make(struct ph_recorder *recorder, size_t floats, bool host, struct ph_buffer *buffer);
void ph_buffer_finish(struct ph_vulkan *vulkan, struct ph_buffer *buffer);
/* What shaders run on: a memory, bound, and a fence. */
ph_status ph_memory_make(struct ph_recorder *recorder);
/* Brings what the arena begins with, and the constants. */
ph_status ph_memory_fill(struct ph_recorder *recorder);
/* Between a place of the memory and the host, by way of a buffer of the host's. */
ph_status ph_memory_copy(struct ph_recorder *recorder, size_t place, float *data, size_t floats, bool read,
                         const struct ph_buffer *by);

/* ---- commands.c -------------------------------------------------------------------------------------------------- */

ph_status ph_commands_begin(struct ph_recorder *recorder, VkCommandBuffer *commands);
ph_status ph_commands_end(struct ph_recorder *recorder, VkCommandBuffer commands);
void ph_commands_free(struct ph_recorder *recorder, VkCommandBuffer *commands);
void ph_barrier_put(const struct ph_recorder *recorder, VkCommandBuffer commands, VkPipelineStageFlags from,
                    VkPipelineStageFlags to);
void ph_dispatch_put(const struct ph_recorder *recorder, VkCommandBuffer commands, const struct ph_dispatch *dispatch);
/* Records steps [first, last) of the plan; with `times`, a timestamp behind each. */
ph_status ph_steps_put(struct ph_recorder *recorder, VkCommandBuffer commands, int first, int last, bool times);
/* Replayed commands of a direction. */
ph_status ph_direction_record(struct ph_recorder *recorder, bool backward);
/* Replayed commands of both, with times. */
ph_status ph_times_record(struct ph_recorder *recorder);
/* Timestamps, once. */
ph_status ph_queries_make(struct ph_recorder *recorder, uint32_t count);
ph_status ph_fence_make(struct ph_recorder *recorder, VkFence *fence);
/* Has the device run command buffers, one after the other, behind what it was given before; the fence tells when they are
 * done. */
ph_status ph_submit_start(struct ph_recorder *recorder, const VkCommandBuffer *commands, uint32_t count, VkFence fence);
ph_status ph_submit_wait(struct ph_recorder *recorder, VkFence fence);
/* Both. */
ph_status ph_submit(struct ph_recorder *recorder, const VkCommandBuffer *commands, uint32_t count);

/* ---- engine.c ---------------------------------------------------------------------------------------------------- */

/* A memory of so many floats that dispatches can be put to, without a program. */
ph_status ph_recorder_make(ph_context *context, struct ph_vulkan *vulkan, size_t floats, struct ph_recorder **recorder);
void ph_recorder_destroy(struct ph_recorder *recorder);

/* ---- loop.c ------------------------------------------------------------------------------------------------------ */

/* In the order of a program's making: what the steps of `told` are and which memory they need, their dispatches behind those
 * of the program's own steps, and, when there is memory, their commands. */
ph_status ph_vulkan_loop_create(struct ph_recorder *recorder, const struct ph_graph *graph, const struct ph_loop *told);
ph_status ph_vulkan_loop_record(struct ph_recorder *recorder);
ph_status ph_vulkan_loop_finish_recording(struct ph_recorder *recorder);
void ph_vulkan_loop_destroy(struct ph_recorder *recorder);

/* Of struct ph_engine. */
ph_status ph_vulkan_loop_start(void *state, const float *arena);
ph_status ph_vulkan_loop_submit(void *state, int64_t first, int *steps, bool look, const float *arena);
ph_status ph_vulkan_loop_collect(void *state, struct ph_loop_report *reports, float *arena);
ph_status ph_vulkan_loop_fetch(void *state, float *arena);

#endif
