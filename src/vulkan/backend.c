/* The Vulkan backend's entry in the table of backends. */
#include "vulkan/device.h"
#include "graph/passes.h"
#include <stdio.h>

static const struct ph_kernel *const *vulkan_kernels(const ph_context *context, int *block) {
    (void)context;
    *block = 1;
    return ph_vulkan_kernels;
}

static unsigned vulkan_precisions(const ph_context *context) {
    (void)context;
    return 1u << PH_FP16;
}

static ph_status vulkan_open(ph_context *context) {
    struct ph_vulkan *vulkan;
    return ph_vulkan_open(context, &vulkan);
}

struct ph_rates ph_vulkan_rates(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return (struct ph_rates){.gflops = 2000, .launch = 10e-6, .start = 0.5};
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return (struct ph_rates){.gflops = 200, .launch = 20e-6, .start = 0.5};
    default: return (struct ph_rates){.gflops = 0}; /* the processor itself, which its own kernels know better, or unknown */
    }
}

static struct ph_rates vulkan_rates(const ph_context *context) {
    const struct ph_vulkan *vulkan = context->device;
    return ph_vulkan_rates(vulkan->properties.deviceType);
}

static void vulkan_profile(const ph_context *context, char *text, size_t size) {
    const struct ph_vulkan *vulkan = context->device;
    snprintf(text, size, "vulkan/%s", vulkan ? vulkan->properties.deviceName : "");
}

extern const struct ph_backend ph_backend_vulkan;
const struct ph_backend ph_backend_vulkan = {
    .name = "vulkan", .help = "compute shaders on a GPU", .kernels = vulkan_kernels, .precisions = vulkan_precisions,
    .rewrites = PH_REWRITE_FUSE | PH_REWRITE_ACTIVATIONS, .engine = &ph_vulkan_engine, .device = ph_vulkan_describe,
    .open = vulkan_open, .rates = vulkan_rates, .peak = ph_vulkan_peak, .profile = vulkan_profile};
