/* Instead of the Vulkan backend where it is not built: it says so. */
#include "exec/backend.h"

static const struct ph_kernel *const *stub_kernels(const ph_context *context, int *block) {
    static const struct ph_kernel *const none[] = {NULL};
    (void)context;
    *block = 1;
    return none;
}

static ph_status stub_open(ph_context *context) {
    return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: this phosphene was built without it");
}

extern const struct ph_backend ph_backend_vulkan;
const struct ph_backend ph_backend_vulkan = {.name = "vulkan", .help = "compute shaders on a GPU; not in this build",
    .kernels = stub_kernels, .open = stub_open};
