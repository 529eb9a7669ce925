/* The memory of a program on the device: buffers, what they begin with, and how shaders reach them. */
#include "vulkan/engine.h"
#include <string.h>

void ph_buffer_finish(struct ph_vulkan *vulkan, struct ph_buffer *buffer) {
    vulkan->DestroyBuffer(vulkan->device, buffer->buffer, NULL);
    vulkan->FreeMemory(vulkan->device, buffer->memory, NULL);
    *buffer = (struct ph_buffer){0};
}

/* The first of the kind that is wanted; UINT32_MAX: none. The host reads what is not in its cache very slowly. */
static uint32_t memory_type(const struct ph_vulkan *vulkan, const VkMemoryRequirements *needs, VkMemoryPropertyFlags wanted) {
    for (uint32_t i = 0; i < vulkan->memory.memoryTypeCount; i++)
        if (needs->memoryTypeBits & 1u << i && (vulkan->memory.memoryTypes[i].propertyFlags & wanted) == wanted) return i;
    return UINT32_MAX;
}

ph_status ph_buffer_make(struct ph_recorder *recorder, size_t floats, bool host, struct ph_buffer *buffer) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    bool addressed = recorder->far && !host;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = floats * sizeof(float),
        .usage = (addressed ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0) | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
            VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkResult result = PH_VULKAN_MAKE(CreateBuffer, vulkan->device, &info, NULL, &buffer->buffer);
    PH_TRY(ph_vulkan_check(recorder->context, vulkan, result, "a buffer"));
    VkMemoryRequirements needs;
    vulkan->GetBufferMemoryRequirements(vulkan->device, buffer->buffer, &needs);
    VkMemoryPropertyFlags wanted = host ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT
                                        : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    uint32_t type = host ? memory_type(vulkan, &needs, wanted | VK_MEMORY_PROPERTY_HOST_CACHED_BIT) : UINT32_MAX;
    if (type == UINT32_MAX) type = memory_type(vulkan, &needs, wanted);
    if (type == UINT32_MAX)
        return ph_fail(recorder->context, PH_ERROR_UNSUPPORTED, "backend vulkan: the device has no memory for buffers");
    VkDeviceSize heap = vulkan->memory.memoryHeaps[vulkan->memory.memoryTypes[type].heapIndex].size;
    if (needs.size > heap)
        return ph_fail(recorder->context, PH_ERROR_MEMORY,
                       "backend vulkan: the program needs %.0f MB, the device has %.0f MB; a smaller picture or batch needs "
                       "less, and --backend cpu does without", (double)needs.size / 1e6, (double)heap / 1e6);
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = addressed ? &flags : NULL, .allocationSize = needs.size, .memoryTypeIndex = type};
    result = PH_VULKAN_MAKE(AllocateMemory, vulkan->device, &allocate, NULL, &buffer->memory);
    if (!result) result = vulkan->BindBufferMemory(vulkan->device, buffer->buffer, buffer->memory, 0);
    if (!result && host)
        result = vulkan->MapMemory(vulkan->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, (void **)&buffer->mapped);
    return ph_vulkan_check(recorder->context, vulkan, result, "memory of the device");
}

/* What the shaders are bound to when they reach the memory by its address. */
static ph_status where_make(struct ph_recorder *recorder) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    PH_TRY(ph_buffer_make(recorder, sizeof(VkDeviceAddress) / sizeof(float), true, &recorder->where));
    const VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
        .buffer = recorder->memory.buffer};
    VkDeviceAddress address = vulkan->GetBufferDeviceAddressKHR(vulkan->device, &info);
    memcpy(recorder->where.mapped, &address, sizeof address);
    return PH_OK;
}

static ph_status set_make(struct ph_recorder *recorder) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1};
    const VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1,
        .poolSizeCount = 1, .pPoolSizes = &size};
    VkResult result = PH_VULKAN_MAKE(CreateDescriptorPool, vulkan->device, &pool, NULL, &recorder->pool);
    const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = recorder->pool, .descriptorSetCount = 1, .pSetLayouts = &vulkan->set_layout};
    if (!result) result = PH_VULKAN_MAKE(AllocateDescriptorSets, vulkan->device, &info, &recorder->set);
    const VkDescriptorBufferInfo whole = {.range = VK_WHOLE_SIZE,
        .buffer = recorder->far ? recorder->where.buffer : recorder->memory.buffer};
    const VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = recorder->set,
        .descriptorCount = 1, .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = &whole};
    if (!result) vulkan->UpdateDescriptorSets(vulkan->device, 1, &write, 0, NULL);
    return ph_vulkan_check(recorder->context, vulkan, result, "descriptors");
}

ph_status ph_memory_make(struct ph_recorder *recorder) {
    PH_TRY(ph_buffer_make(recorder, PH_MAX(recorder->floats, (size_t)1), false, &recorder->memory));
    if (recorder->far) PH_TRY(where_make(recorder));
    PH_TRY(set_make(recorder));
    return ph_fence_make(recorder, &recorder->fence);
}

ph_status ph_memory_copy(struct ph_recorder *recorder, size_t place, float *data, size_t floats, bool read,
                             const struct ph_buffer *by) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    if (!read) memcpy(by->mapped, data, floats * sizeof *data);
    ph_status status = ph_commands_begin(recorder, &commands);
    if (!status) {
        const VkBufferCopy copy = {.srcOffset = read ? place * sizeof(float) : 0,
            .dstOffset = read ? 0 : place * sizeof(float), .size = floats * sizeof(float)};
        vulkan->CmdCopyBuffer(commands, read ? recorder->memory.buffer : by->buffer,
                              read ? by->buffer : recorder->memory.buffer, 1, &copy);
        ph_barrier_put(recorder, commands, PH_TRANSFER, VK_PIPELINE_STAGE_HOST_BIT | PH_COMPUTE | PH_TRANSFER);
        status = ph_commands_end(recorder, commands);
    }
    if (!status) status = ph_submit(recorder, &commands, 1);
    if (!status && read) memcpy(data, by->mapped, floats * sizeof *data);
    ph_commands_free(recorder, &commands);
    return status;
}

ph_status ph_memory_fill(struct ph_recorder *recorder) {
    enum { MOST = 1 << 22 };
    struct ph_buffer by = {0};
    ph_status status = ph_buffer_make(recorder, PH_MIN(recorder->floats, (size_t)MOST), true, &by);
    for (int i = -1; i < recorder->constant_count && !status; i++) {
        const struct ph_constant *constant = &recorder->constants[PH_MAX(i, 0)];
        const float *data = i < 0 ? recorder->arena : constant->copy ? constant->copy : constant->data;
        size_t place = i < 0 ? 0 : constant->place, floats = i < 0 ? recorder->arena_floats : constant->floats;
        for (size_t at = 0; at < floats && !status; at += MOST)
            status = ph_memory_copy(recorder, place + at, (float *)data + at, PH_MIN(floats - at, (size_t)MOST), false, &by);
    }
    ph_buffer_finish(recorder->vulkan, &by);
    return status;
}
