/* The Vulkan library, found at run time, and one device of it: Khronos, "Vulkan 1.1 specification". */
#include "vulkan/device.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shaders.h" /* made by the build of shaders/ */

static const struct { const uint32_t *code; size_t bytes; } shaders[][4] = { /* [shader][halves + 2 far] */
#define SHADER_ENTRY(name) {{ph_shader_##name, sizeof ph_shader_##name}, \
                            {ph_shader_##name##_halves, sizeof ph_shader_##name##_halves}, \
                            {ph_shader_##name##_far, sizeof ph_shader_##name##_far}, \
                            {ph_shader_##name##_far_halves, sizeof ph_shader_##name##_far_halves}},
    PH_VULKAN_SHADERS(SHADER_ENTRY)
#undef SHADER_ENTRY
};

#define VALIDATION "VK_LAYER_KHRONOS_validation"

static long makes_left = -1;
static int closing_messages;
static size_t most_bound = SIZE_MAX;

void ph_vulkan_fail_after(long n) { makes_left = n; }
bool ph_vulkan_fails(void) { return makes_left == 0 || (makes_left > 0 && --makes_left == 0); }
void ph_vulkan_bind_at_most(size_t bytes) { most_bound = bytes; }
size_t ph_vulkan_most_bound(const struct ph_vulkan *vulkan) {
    return PH_MIN(most_bound, (size_t)vulkan->properties.limits.maxStorageBufferRange);
}
int ph_vulkan_closing_messages(void) { return closing_messages; }

static bool validates(void) {
    const char *wish = getenv("PHOSPHENE_VULKAN_VALIDATION");
    return wish && *wish && strcmp(wish, "0") != 0;
}

static const char *result_text(VkResult result) {
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "memory ran out";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "the device's memory ran out; a smaller picture or batch needs less";
    case VK_ERROR_DEVICE_LOST: return "the device was lost; --backend cpu does without";
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "there is no driver that does Vulkan 1.1";
    case VK_ERROR_INITIALIZATION_FAILED: return "the driver could not be started";
    case VK_TIMEOUT: return "the device does not answer; --backend cpu does without";
    default: return "the driver failed";
    }
}

ph_status ph_vulkan_check(ph_context *context, struct ph_vulkan *vulkan, VkResult result, const char *what) {
    if (result < 0 || result == VK_TIMEOUT)
        return ph_fail(context, result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY
                                    ? PH_ERROR_MEMORY : PH_ERROR_UNSUPPORTED,
                       "backend vulkan: %s: %s (VkResult %d)", what, result_text(result), (int)result);
    if (vulkan->messages)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: %s: %d messages of the validation layer, the first: %s",
                       what, vulkan->messages, vulkan->message);
    return PH_OK;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL message_take(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                   VkDebugUtilsMessageTypeFlagsEXT types,
                                                   const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    struct ph_vulkan *vulkan = user;
    (void)severity, (void)types;
    if (!vulkan->messages++) snprintf(vulkan->message, sizeof vulkan->message, "%s", data->pMessage);
    return VK_FALSE;
}

static bool layer_exists(const struct ph_vulkan *vulkan) {
    VkLayerProperties layers[64];
    uint32_t count = PH_COUNT(layers);
    if (vulkan->EnumerateInstanceLayerProperties(&count, layers) < 0) return false;
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(layers[i].layerName, VALIDATION)) return true;
    return false;
}

/* Library and instance; on failure what was made so far is left for vulkan_close. */
static ph_status instance_open(ph_context *context, struct ph_vulkan *vulkan) {
    vulkan->library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!vulkan->library)
        return ph_fail(context, PH_ERROR_UNSUPPORTED,
                       "backend vulkan: this machine has no Vulkan library (libvulkan.so.1); --backend cpu does without");
    *(void **)&vulkan->GetInstanceProcAddr = dlsym(vulkan->library, "vkGetInstanceProcAddr");
    if (!vulkan->GetInstanceProcAddr)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: libvulkan.so.1 is not a Vulkan library");
#define LOAD(name) \
    vulkan->name = (PFN_vk##name)vulkan->GetInstanceProcAddr(vulkan->instance, "vk" #name); \
    if (!vulkan->name) \
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: the Vulkan library has no vk" #name);
    PH_VULKAN_GLOBAL(LOAD)
    bool validation = validates();
    if (validation && !layer_exists(vulkan))
        return ph_fail(context, PH_ERROR_UNSUPPORTED,
                       "backend vulkan: PHOSPHENE_VULKAN_VALIDATION is set, but there is no layer " VALIDATION);
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "phosphene",
        .apiVersion = VK_API_VERSION_1_1};
    const VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = message_take, .pUserData = vulkan};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = validation ? &messenger : NULL, .pApplicationInfo = &application,
        .enabledLayerCount = validation, .ppEnabledLayerNames = (const char *const[]){VALIDATION},
        .enabledExtensionCount = validation,
        .ppEnabledExtensionNames = (const char *const[]){VK_EXT_DEBUG_UTILS_EXTENSION_NAME}};
    PH_TRY(ph_vulkan_check(context, vulkan, PH_VULKAN_MAKE(CreateInstance, &info, NULL, &vulkan->instance), "the instance"));
    PH_VULKAN_INSTANCE(LOAD)
    if (validation) {
        LOAD(CreateDebugUtilsMessengerEXT)
        LOAD(DestroyDebugUtilsMessengerEXT)
        PH_TRY(ph_vulkan_check(context, vulkan, vulkan->CreateDebugUtilsMessengerEXT(vulkan->instance, &messenger, NULL,
                                                                                     &vulkan->messenger), "validation"));
    }
    return PH_OK;
#undef LOAD
}

enum { MOST_DEVICES = 16 };

static ph_status devices_list(ph_context *context, struct ph_vulkan *vulkan, VkPhysicalDevice devices[MOST_DEVICES],
                              uint32_t *count) {
    *count = MOST_DEVICES;
    return ph_vulkan_check(context, vulkan, vulkan->EnumeratePhysicalDevices(vulkan->instance, count, devices), "devices");
}

/* A family of queues that computes; -1: none. */
static int family_choose(struct ph_vulkan *vulkan, VkPhysicalDevice device, uint32_t *timestamp_bits) {
    VkQueueFamilyProperties families[32];
    uint32_t count = PH_COUNT(families);
    vulkan->GetPhysicalDeviceQueueFamilyProperties(device, &count, families);
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            *timestamp_bits = families[i].timestampValidBits;
            return (int)i;
        }
    return -1;
}

static bool extension_exists(const struct ph_vulkan *vulkan, VkPhysicalDevice device, const char *name) {
    enum { MOST = 512 };
    uint32_t count = MOST;
    VkExtensionProperties *extensions = ph_alloc_array(MOST, sizeof *extensions);
    bool found = false;
    if (!extensions || vulkan->EnumerateDeviceExtensionProperties(device, NULL, &count, extensions) < 0) count = 0;
    for (uint32_t i = 0; i < count; i++) found |= !strcmp(extensions[i].extensionName, name);
    ph_free(extensions);
    return found;
}

/* Whether a feature of an extension is there: `flag` lies in the struct `feature` that asks for it. */
static bool feature_exists(const struct ph_vulkan *vulkan, VkPhysicalDevice device, const char *extension, void *feature,
                           const VkBool32 *flag) {
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = feature};
    if (!extension_exists(vulkan, device, extension)) return false;
    vulkan->GetPhysicalDeviceFeatures2(device, &features);
    return *flag;
}

/* Whether shaders can reach a buffer by its address. */
static bool addresses_exist(const struct ph_vulkan *vulkan) {
    VkPhysicalDeviceBufferDeviceAddressFeatures addresses = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
    return feature_exists(vulkan, vulkan->physical, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME, &addresses,
                          &addresses.bufferDeviceAddress);
}

static bool halves_exist(const struct ph_vulkan *vulkan, VkPhysicalDevice device) {
    VkPhysicalDevice16BitStorageFeatures halves = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &halves};
    vulkan->GetPhysicalDeviceFeatures2(device, &features);
    return halves.storageBuffer16BitAccess;
}

/* Whether shaders compute with numbers of 16 bits. */
static bool small_floats_exist(const struct ph_vulkan *vulkan, VkPhysicalDevice device) {
    VkPhysicalDeviceShaderFloat16Int8Features floats = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
    return feature_exists(vulkan, device, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, &floats, &floats.shaderFloat16);
}

/* Whether the device multiplies 16 x 16 fragments of fp16 and adds them up in fp32, as matrix.comp does it: by groups of 32. */
static bool matrices_exist(const struct ph_vulkan *vulkan, VkPhysicalDevice device) {
    VkPhysicalDeviceCooperativeMatrixFeaturesNV matrices = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV};
    VkPhysicalDeviceVulkanMemoryModelFeatures model = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};
    VkPhysicalDeviceSubgroupProperties groups = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &groups};
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesNV list = (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesNV)
        vulkan->GetInstanceProcAddr(vulkan->instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesNV");
    if (!list || !small_floats_exist(vulkan, device) ||
        !feature_exists(vulkan, device, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME, &matrices, &matrices.cooperativeMatrix) ||
        !feature_exists(vulkan, device, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME, &model, &model.vulkanMemoryModel))
        return false;
    vulkan->GetPhysicalDeviceProperties2(device, &properties);
    VkCooperativeMatrixPropertiesNV shapes[64];
    uint32_t count = PH_COUNT(shapes);
    for (uint32_t i = 0; i < count; i++)
        shapes[i] = (VkCooperativeMatrixPropertiesNV){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV};
    if (groups.subgroupSize != 32 || list(device, &count, shapes) < 0) return false;
    for (uint32_t i = 0; i < count; i++) {
        const VkCooperativeMatrixPropertiesNV *s = &shapes[i];
        if (s->MSize == 16 && s->NSize == 16 && s->KSize == 16 && s->scope == VK_SCOPE_SUBGROUP_NV &&
            s->AType == VK_COMPONENT_TYPE_FLOAT16_NV && s->BType == VK_COMPONENT_TYPE_FLOAT16_NV &&
            s->CType == VK_COMPONENT_TYPE_FLOAT32_NV && s->DType == VK_COMPONENT_TYPE_FLOAT32_NV)
            return true;
    }
    return false;
}

static ph_status matrices_choose(ph_context *context, struct ph_vulkan *vulkan) {
    const char *wish = getenv("PHOSPHENE_VULKAN_MATRICES");
    bool twin = wish && !strcmp(wish, "twin"), off = wish && !strcmp(wish, "off");
    if (wish && *wish && !twin && !off)
        return ph_fail(context, PH_ERROR_ARGUMENT,
                       "backend vulkan: PHOSPHENE_VULKAN_MATRICES is '%s': off or twin expected", wish);
    if (twin && !small_floats_exist(vulkan, vulkan->physical))
        return ph_fail(context, PH_ERROR_UNSUPPORTED,
                       "backend vulkan: PHOSPHENE_VULKAN_MATRICES is 'twin', but %s does not compute with 16 bits",
                       vulkan->properties.deviceName);
    if (twin) vulkan->matrices = PH_MATRICES_TWIN;
    else if (!off && matrices_exist(vulkan, vulkan->physical)) vulkan->matrices = PH_MATRICES_HARDWARE;
    return PH_OK;
}

/* The device with what is used of it. */
static ph_status device_make(ph_context *context, struct ph_vulkan *vulkan) {
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = vulkan->family, .queueCount = 1, .pQueuePriorities = &priority};
    VkPhysicalDevice16BitStorageFeatures halves = {.storageBuffer16BitAccess = vulkan->halves,
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDeviceBufferDeviceAddressFeatures addresses = {.bufferDeviceAddress = VK_TRUE,
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
    VkPhysicalDeviceShaderFloat16Int8Features floats = {.shaderFloat16 = VK_TRUE,
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
    VkPhysicalDeviceCooperativeMatrixFeaturesNV matrices = {.cooperativeMatrix = VK_TRUE,
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV};
    VkPhysicalDeviceVulkanMemoryModelFeatures model = {.vulkanMemoryModel = VK_TRUE,
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};
    bool hardware = vulkan->matrices == PH_MATRICES_HARDWARE;
    const struct { bool used; const char *extension; void *feature; } parts[] = {
        {vulkan->addresses, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME, &addresses},
        {vulkan->matrices != PH_MATRICES_NONE, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, &floats},
        {hardware, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME, &matrices},
        {hardware, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME, &model}};
    const char *names[PH_COUNT(parts)];
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pNext = &halves,
        .pQueueCreateInfos = &queue, .ppEnabledExtensionNames = names};
    for (int i = 0; i < PH_COUNT(parts); i++) {
        if (!parts[i].used) continue;
        names[info.enabledExtensionCount++] = parts[i].extension;
        ((VkBaseOutStructure *)parts[i].feature)->pNext = (VkBaseOutStructure *)info.pNext;
        info.pNext = parts[i].feature;
    }
    return ph_vulkan_check(context, vulkan, PH_VULKAN_MAKE(CreateDevice, vulkan->physical, &info, NULL, &vulkan->device),
                           "the device");
}

static ph_status device_open(ph_context *context, struct ph_vulkan *vulkan) {
    VkPhysicalDevice devices[MOST_DEVICES];
    uint32_t count;
    PH_TRY(devices_list(context, vulkan, devices, &count));
    if (!count)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: there is a Vulkan library but no driver with a device");
    if ((uint32_t)context->device_index >= count)
        return ph_fail(context, PH_ERROR_NOT_FOUND, "backend vulkan: there is no device %d; there are 0 to %u",
                       context->device_index, count - 1);
    vulkan->physical = devices[context->device_index];
    vulkan->GetPhysicalDeviceProperties(vulkan->physical, &vulkan->properties);
    vulkan->GetPhysicalDeviceMemoryProperties(vulkan->physical, &vulkan->memory);
    int family = family_choose(vulkan, vulkan->physical, &vulkan->timestamp_bits);
    if (family < 0 || vulkan->properties.apiVersion < VK_API_VERSION_1_1)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: device %d, %s, cannot compute with Vulkan 1.1",
                       context->device_index, vulkan->properties.deviceName);
    vulkan->family = (uint32_t)family;
    vulkan->halves = halves_exist(vulkan, vulkan->physical);
    vulkan->addresses = addresses_exist(vulkan);
    PH_TRY(matrices_choose(context, vulkan));
    PH_TRY(device_make(context, vulkan));
#define LOAD(name) \
    vulkan->name = (PFN_vk##name)vulkan->GetDeviceProcAddr(vulkan->device, "vk" #name); \
    if (!vulkan->name) \
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: the driver has no vk" #name);
    PH_VULKAN_DEVICE(LOAD)
    if (vulkan->addresses) {
        LOAD(GetBufferDeviceAddressKHR)
    }
#undef LOAD
    vulkan->GetDeviceQueue(vulkan->device, vulkan->family, 0, &vulkan->queue);
    return PH_OK;
}

/* All pipelines have one layout: the memory, and the push constants. */
static ph_status layouts_make(ph_context *context, struct ph_vulkan *vulkan) {
    const VkDescriptorSetLayoutBinding binding = {.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 1,
        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = 1, .pBindings = &binding};
    VkResult result = PH_VULKAN_MAKE(CreateDescriptorSetLayout, vulkan->device, &set, NULL, &vulkan->set_layout);
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = PH_SHADER_WORDS * 4};
    const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1,
        .pSetLayouts = &vulkan->set_layout, .pushConstantRangeCount = 1, .pPushConstantRanges = &range};
    if (!result) result = PH_VULKAN_MAKE(CreatePipelineLayout, vulkan->device, &layout, NULL, &vulkan->pipeline_layout);
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .queueFamilyIndex = vulkan->family};
    if (!result) result = PH_VULKAN_MAKE(CreateCommandPool, vulkan->device, &pool, NULL, &vulkan->commands);
    return ph_vulkan_check(context, vulkan, result, "layouts");
}

static void vulkan_close(void *device) {
    struct ph_vulkan *vulkan = device;
    if (vulkan->CreateFence) { /* all of the device's functions are there */
        vulkan->DeviceWaitIdle(vulkan->device);
        for (int i = 0; i < vulkan->pipeline_count; i++)
            vulkan->DestroyPipeline(vulkan->device, vulkan->pipelines[i].pipeline, NULL);
        vulkan->DestroyCommandPool(vulkan->device, vulkan->commands, NULL);
        vulkan->DestroyPipelineLayout(vulkan->device, vulkan->pipeline_layout, NULL);
        vulkan->DestroyDescriptorSetLayout(vulkan->device, vulkan->set_layout, NULL);
    }
    if (vulkan->DestroyDevice) vulkan->DestroyDevice(vulkan->device, NULL);
    closing_messages += vulkan->messages;
    if (vulkan->messenger) vulkan->DestroyDebugUtilsMessengerEXT(vulkan->instance, vulkan->messenger, NULL);
    if (vulkan->DestroyInstance) vulkan->DestroyInstance(vulkan->instance, NULL);
    if (vulkan->library) dlclose(vulkan->library);
    ph_free(vulkan->pipelines);
    ph_free(vulkan);
}

ph_status ph_vulkan_open(ph_context *context, struct ph_vulkan **vulkan) {
    if (!context->device) {
        struct ph_vulkan *made = ph_alloc(sizeof *made);
        if (!made) return ph_fail_memory(context);
        ph_status status = instance_open(context, made);
        if (!status) status = device_open(context, made);
        if (!status) status = layouts_make(context, made);
        if (status) {
            vulkan_close(made);
            return status;
        }
        context->device = made;
        context->device_close = vulkan_close;
    }
    *vulkan = context->device;
    return PH_OK;
}

bool ph_vulkan_describe(int index, char *name, size_t name_size, char *help, size_t help_size) {
    static const char *const kinds[] = {"other", "integrated GPU", "discrete GPU", "virtual GPU", "processor"};
    ph_context *context = ph_context_create();
    struct ph_vulkan *vulkan = context ? ph_alloc(sizeof *vulkan) : NULL;
    VkPhysicalDevice devices[MOST_DEVICES];
    uint32_t count = 0, bits;
    bool found = vulkan && !instance_open(context, vulkan) && !devices_list(context, vulkan, devices, &count) &&
                 (uint32_t)index < count;
    if (found) {
        VkPhysicalDeviceProperties properties;
        VkPhysicalDeviceMemoryProperties memory;
        vulkan->GetPhysicalDeviceProperties(devices[index], &properties);
        vulkan->GetPhysicalDeviceMemoryProperties(devices[index], &memory);
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
            if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
                bytes = PH_MAX(bytes, memory.memoryHeaps[i].size);
        bool computes = family_choose(vulkan, devices[index], &bits) >= 0;
        snprintf(name, name_size, "vulkan %d", index);
        snprintf(help, help_size, "%s, %s, %.1f GB, Vulkan %u.%u%s%s%s%s", properties.deviceName,
                 kinds[properties.deviceType < PH_COUNT(kinds) ? properties.deviceType : 0], (double)bytes / 1e9,
                 VK_API_VERSION_MAJOR(properties.apiVersion), VK_API_VERSION_MINOR(properties.apiVersion),
                 computes ? "" : ", does not compute", halves_exist(vulkan, devices[index]) ? ", fp16 storage" : "",
                 matrices_exist(vulkan, devices[index]) ? ", fp16 matrices" : "",
                 computes && bits ? ", timestamps" : "");
    }
    if (vulkan) vulkan_close(vulkan);
    ph_context_destroy(&context);
    return found;
}

ph_status ph_vulkan_pipeline_get(ph_context *context, struct ph_vulkan *vulkan, enum ph_shader shader, int variant,
                                 const int32_t constants[PH_SHADER_CONSTANTS], VkPipeline *pipeline) {
    for (int i = 0; i < vulkan->pipeline_count; i++) {
        const struct ph_vulkan_pipeline *known = &vulkan->pipelines[i];
        if (known->shader == shader && known->variant == variant &&
            !memcmp(known->constants, constants, sizeof known->constants)) {
            *pipeline = known->pipeline;
            return PH_OK;
        }
    }
    if (!ph_grow(&vulkan->pipelines, vulkan->pipeline_count, &vulkan->pipeline_capacity, sizeof *vulkan->pipelines))
        return ph_fail_memory(context);
    struct ph_vulkan_pipeline made = {.shader = shader, .variant = variant};
    memcpy(made.constants, constants, sizeof made.constants);
    const VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = shaders[shader][variant].bytes, .pCode = shaders[shader][variant].code};
    VkShaderModule module;
    VkResult result = PH_VULKAN_MAKE(CreateShaderModule, vulkan->device, &code, NULL, &module);
    if (!result) {
        VkSpecializationMapEntry entries[PH_SHADER_CONSTANTS];
        for (uint32_t i = 0; i < PH_SHADER_CONSTANTS; i++) entries[i] = (VkSpecializationMapEntry){i, 4 * i, 4};
        const VkSpecializationInfo special = {.mapEntryCount = PH_SHADER_CONSTANTS, .pMapEntries = entries,
            .dataSize = sizeof made.constants, .pData = made.constants};
        const VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
            .layout = vulkan->pipeline_layout,
            .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                      .module = module, .pName = "main", .pSpecializationInfo = &special}};
        result = PH_VULKAN_MAKE(CreateComputePipelines, vulkan->device, VK_NULL_HANDLE, 1, &info, NULL, &made.pipeline);
        vulkan->DestroyShaderModule(vulkan->device, module, NULL);
    }
    PH_TRY(ph_vulkan_check(context, vulkan, result, "a pipeline"));
    vulkan->pipelines[vulkan->pipeline_count++] = made;
    *pipeline = made.pipeline;
    return PH_OK;
}
