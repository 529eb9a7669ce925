/* The gradient, and the gradient times the input. */
#include "vis/attribution/attribution.h"

static ph_status gradient_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    PH_TRY(ph_attribution_tensor(a, a->channels, a->height, a->width, tensor));
    return ph_subject_evaluate(a->subject, input, NULL, (*tensor)->data);
}

static ph_status gradient_x_input_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    PH_TRY(gradient_run(a, input, tensor));
    for (size_t i = 0; i < a->subject->size; i++) (*tensor)->data[i] *= input[i];
    return PH_OK;
}

const struct ph_attribution_method ph_attribution_gradient = {
    .name = "gradient", .help = "how the value changes with each pixel: the largest of its channels' slopes",
    .source = "Simonyan, Vedaldi, Zisserman 2013, arXiv 1312.6034", .options = "",
    .sum = PH_SUM_ABSOLUTE, .run = gradient_run,
};

const struct ph_attribution_method ph_attribution_gradient_x_input = {
    .name = "gradient-x-input", .help = "the gradient times the prepared input",
    .source = "Shrikumar et al. 2016, arXiv 1605.01713", .options = "", .is_signed = true, .run = gradient_x_input_run,
};
