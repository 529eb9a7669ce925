/* Parameterisations: what is optimised in place of pixels. Each has a file in parameterisations/. */
#include "vis/vis.h"

const struct ph_parameterisation *const ph_parameterisations[] = {
    &ph_parameterisation_fourier, &ph_parameterisation_pixel, NULL};

void ph_parameterisation_start(const ph_recipe *recipe, float *values, size_t count) {
    struct ph_random_key key = {.seed = (uint64_t)recipe->seed, .use = PH_USE_START};
    ph_random_normal(key, values, count);
    for (size_t i = 0; i < count; i++) values[i] *= (float)recipe->spread;
}
