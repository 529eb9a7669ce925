/* What the parts of the Vulkan backend share: the device (device.c), the commands of a program (engine.c), and the
 * kernels, which turn a step of the plan into dispatches of shaders (kernels/). */
#ifndef PH_VULKAN_DEVICE_H
#define PH_VULKAN_DEVICE_H

#define VK_NO_PROTOTYPES
#include "exec/plan.h"
#include <vulkan/vulkan.h>

/* ---- device.c ---------------------------------------------------------------------------------------------------- */

#define PH_VULKAN_GLOBAL(X) X(EnumerateInstanceLayerProperties) X(CreateInstance)
#define PH_VULKAN_INSTANCE(X) \
    X(DestroyInstance) X(EnumeratePhysicalDevices) X(GetPhysicalDeviceProperties) X(GetPhysicalDeviceProperties2) \
    X(GetPhysicalDeviceFeatures2) \
    X(GetPhysicalDeviceMemoryProperties) X(GetPhysicalDeviceQueueFamilyProperties) X(EnumerateDeviceExtensionProperties) \
    X(CreateDevice) X(GetDeviceProcAddr)
#define PH_VULKAN_DEVICE(X) \
    X(DestroyDevice) X(GetDeviceQueue) X(CreateBuffer) X(DestroyBuffer) X(GetBufferMemoryRequirements) X(AllocateMemory) \
    X(FreeMemory) X(BindBufferMemory) X(MapMemory) X(CreateShaderModule) X(DestroyShaderModule) \
    X(CreateDescriptorSetLayout) X(DestroyDescriptorSetLayout) X(CreatePipelineLayout) X(DestroyPipelineLayout) \
    X(CreateComputePipelines) X(DestroyPipeline) X(CreateDescriptorPool) X(DestroyDescriptorPool) \
    X(AllocateDescriptorSets) X(UpdateDescriptorSets) X(CreateCommandPool) X(DestroyCommandPool) \
    X(AllocateCommandBuffers) X(FreeCommandBuffers) X(BeginCommandBuffer) X(EndCommandBuffer) X(CmdBindPipeline) \
    X(CmdBindDescriptorSets) X(CmdPushConstants) X(CmdDispatch) X(CmdPipelineBarrier) X(CmdCopyBuffer) \
    X(CreateQueryPool) X(DestroyQueryPool) X(CmdResetQueryPool) X(CmdWriteTimestamp) X(GetQueryPoolResults) \
    X(CreateFence) X(DestroyFence) X(ResetFences) X(WaitForFences) X(QueueSubmit) X(DeviceWaitIdle)

/* One line for each file in shaders/. */
#define PH_VULKAN_SHADERS(X) \
    X(band) X(batch_norm) X(binary) X(blur) X(clear) X(convolution) X(copy) X(gather) X(irfft) X(judge) X(matrix) \
    X(measure) X(norm_sums) X(parts) X(peak) X(pool) X(product) X(redirected) X(reduce) X(resample) X(response_norm) \
    X(row_norm) X(select) X(softmax) X(thin) X(twin) X(unary) X(update) X(warp)

enum ph_shader {
#define PH_SHADER_NAME(name) PH_SHADER_##name,
    PH_VULKAN_SHADERS(PH_SHADER_NAME)
#undef PH_SHADER_NAME
    PH_SHADER_COUNT
};

enum { PH_SHADER_CONSTANTS = 5, PH_SHADER_WORDS = 32 }; /* 128 bytes of push constants are on every device */

/* A shader with its specialisation constants; the variant's bits: PH_HALVES, for tensors of 16 bits too; PH_FAR, for a
 * memory that is reached by its address. */
enum { PH_HALVES = 1, PH_FAR = 2 };
struct ph_vulkan_pipeline { enum ph_shader shader; int variant; int32_t constants[PH_SHADER_CONSTANTS]; VkPipeline pipeline; };

/* What multiplies the factors of 16 bits that --precision fp16 gives a convolution: nothing of the kind; matrix hardware; or
 * plain arithmetic in the same tiles, for tests. PHOSPHENE_VULKAN_MATRICES in the environment may be "off" or "twin". */
enum ph_matrices { PH_MATRICES_NONE, PH_MATRICES_HARDWARE, PH_MATRICES_TWIN };

struct ph_vulkan {
    void *library;
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t family, timestamp_bits;
    bool halves;            /* the device reads and writes 16 bits */
    bool addresses;         /* its shaders can reach a buffer by its address */
    enum ph_matrices matrices;
    VkDevice device;
    VkQueue queue;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout pipeline_layout;
    VkCommandPool commands;
    struct ph_vulkan_pipeline *pipelines;
    int pipeline_count, pipeline_capacity;
    int messages;           /* of the validation layers so far */
    char message[1024];     /* the first of them */
#define PH_VULKAN_POINTER(name) PFN_vk##name name;
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
    PFN_vkCreateDebugUtilsMessengerEXT CreateDebugUtilsMessengerEXT;
    PFN_vkGetBufferDeviceAddressKHR GetBufferDeviceAddressKHR; /* where there are addresses */
    PFN_vkDestroyDebugUtilsMessengerEXT DestroyDebugUtilsMessengerEXT;
    PH_VULKAN_GLOBAL(PH_VULKAN_POINTER) PH_VULKAN_INSTANCE(PH_VULKAN_POINTER) PH_VULKAN_DEVICE(PH_VULKAN_POINTER)
#undef PH_VULKAN_POINTER
};

/* The context's device, opened on first use and kept until the context ends. With PHOSPHENE_VULKAN_VALIDATION set in the
 * environment the validation layer must be there, and any message of it fails the call during which it came. */
ph_status ph_vulkan_open(ph_context *context, struct ph_vulkan **vulkan);
/* Description of device `index` for a catalogue; false when there is none. */
bool ph_vulkan_describe(int index, char *name, size_t name_size, char *help, size_t help_size);
/* Fails with the meaning of `result`, or with a message of the validation layer; PH_OK when there is neither. */
ph_status ph_vulkan_check(ph_context *context, struct ph_vulkan *vulkan, VkResult result, const char *what);
/* What the driver makes of memory: `vulkan` is the caller's. */
#define PH_VULKAN_MAKE(function, ...) (ph_vulkan_fails() ? VK_ERROR_OUT_OF_DEVICE_MEMORY : vulkan->function(__VA_ARGS__))
/* Test hook: the n-th of these from now on fails, and all after it; negative switches it off. */
void ph_vulkan_fail_after(long n);
bool ph_vulkan_fails(void);
/* Bytes of a buffer that shaders can be given; by a test hook fewer. */
size_t ph_vulkan_most_bound(const struct ph_vulkan *vulkan);
void ph_vulkan_bind_at_most(size_t bytes);
/* Test hook: messages of the validation layer about devices that have been closed. It names what a device leaves behind. */
int ph_vulkan_closing_messages(void);
ph_status ph_vulkan_pipeline_get(ph_context *context, struct ph_vulkan *vulkan, enum ph_shader shader, int variant,
                                 const int32_t constants[PH_SHADER_CONSTANTS], VkPipeline *pipeline);

/* ---- backend.c --------------------------------------------------------------------------------------------------- */

/* What is assumed of a kind of device. A tenth of what a discrete GPU of middling size could do, a fifth of an integrated
 * one: these shaders use no matrix hardware. Start: the driver compiles the shaders, and constants are brought over. */
struct ph_rates ph_vulkan_rates(VkPhysicalDeviceType type);

/* ---- peak.c ------------------------------------------------------------------------------------------------------ */

double ph_vulkan_peak(const ph_context *context); /* of struct ph_backend */

/* ---- engine.c ---------------------------------------------------------------------------------------------------- */

#define PH_NOWHERE 0xffffffffu
#define PH_HALF 0x80000000u /* marks a place that counts elements of 16 bits */

/* Push constants of a dispatch, in the order of the shader's block. */
struct ph_words { uint32_t word[PH_SHADER_WORDS]; int count; };
void ph_words_int(struct ph_words *words, int64_t value);
void ph_words_float(struct ph_words *words, double value);

/* Where in the device's memory what a call's pointer stands for lies: in floats, or PH_HALF and in elements of 16 bits;
 * PH_NOWHERE for NULL. Of the step that is being recorded. */
uint32_t ph_recorder_place(const struct ph_recorder *recorder, const float *data);
/* Puts a table of `count` floats or 32-bit numbers beside the constants; it is copied. */
ph_status ph_recorder_table(struct ph_recorder *recorder, const void *values, size_t count, uint32_t *place);
/* Appends a dispatch of as many groups. One that needs what an earlier one of the same step wrote says so. */
ph_status ph_recorder_dispatch(struct ph_recorder *recorder, enum ph_shader shader,
                               const int32_t constants[PH_SHADER_CONSTANTS], const struct ph_words *words, int64_t x,
                               int64_t y, int64_t z, bool waits);

extern const struct ph_engine ph_vulkan_engine;

/* ---- kernels/ ---------------------------------------------------------------------------------------------------- */

extern const struct ph_kernel *const ph_vulkan_kernels[];

/* Steps between storages: to = from, to += from; without `from`, zeros. */
ph_status ph_vulkan_copy(struct ph_recorder *recorder, const struct ph_operand *from, const struct ph_operand *to, bool add);

#endif
