/* Parameterisations: what is optimised in place of pixels. Each has a file in parameterisations/. */
#include "vis/vis.h"

const struct ph_parameterisation *const ph_parameterisations[] = {
    &ph_parameterisation_fourier, &ph_parameterisation_pixel, &ph_parameterisation_laplacian,
    &ph_parameterisation_shared, &ph_parameterisation_phase, &ph_parameterisation_cppn, NULL};

struct ph_random_key ph_start_key(const ph_recipe *recipe) {
    uint32_t item = recipe->item > 1 ? (uint32_t)recipe->item - 1 : 0;
    return (struct ph_random_key){.seed = (uint64_t)recipe->seed, .step = item, .use = PH_USE_START};
}

void ph_parameterisation_start(const ph_recipe *recipe, const struct ph_view *view, float *values, size_t count) {
    const struct ph_parameterisation *parameterisation = ph_parameterisations[recipe->parameterisation];
    if (parameterisation->start) {
        parameterisation->start(recipe, view, values);
        return;
    }
    ph_random_normal(ph_start_key(recipe), values, count);
    for (size_t i = 0; i < count; i++) values[i] *= (float)recipe->spread;
}
