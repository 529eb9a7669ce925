/* The Vulkan backend's entry in the table of backends. */
#include "vulkan/device.h"
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

/* A device that is the processor itself is never faster than the processor's own kernels. */
static bool vulkan_preferred(ph_context *context) {
    const struct ph_vulkan *vulkan = context->device;
    return vulkan->properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU;
}

static void vulkan_profile(const ph_context *context, char *text, size_t size) {
    const struct ph_vulkan *vulkan = context->device;
    snprintf(text, size, "vulkan/%s", vulkan ? vulkan->properties.deviceName : "");
}

extern const struct ph_backend ph_backend_vulkan;
const struct ph_backend ph_backend_vulkan = {
    .name = "vulkan", .help = "compute shaders on a GPU", .kernels = vulkan_kernels, .precisions = vulkan_precisions, .rewrites = true,
    .engine = &ph_vulkan_engine, .device = ph_vulkan_describe, .open = vulkan_open,
    .preferred = vulkan_preferred, .profile = vulkan_profile};
