/* Writes each of the library's shaders, in each variant, into the folder that is the argument, as tools for SPIR-V read them. */
#include "vulkan/device.h"
#include <stdio.h>

#include "shaders.h"

struct shader { const char *name; const uint32_t *code; size_t bytes; };

static const struct shader shaders[] = {
#define SHADER(name) {#name, ph_shader_##name, sizeof ph_shader_##name}
#define VARIANTS(name) SHADER(name), SHADER(name##_halves), SHADER(name##_far), SHADER(name##_far_halves),
    PH_VULKAN_SHADERS(VARIANTS)
};

int main(int count, char **arguments) {
    for (int i = 0; count == 2 && i < PH_COUNT(shaders); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s.spv", arguments[1], shaders[i].name);
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(shaders[i].code, 1, shaders[i].bytes, file) != shaders[i].bytes || fclose(file)) {
            fprintf(stderr, "%s cannot be written\n", path);
            return 1;
        }
    }
    return count != 2;
}
