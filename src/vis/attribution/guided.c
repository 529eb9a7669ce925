/* Gradients with another rule at rectifiers: only what argues for the objective goes back (deconvolution), and of that
 * only what came through (guided backpropagation). */
#include "vis/attribution/attribution.h"

static ph_status rectified_run(struct ph_attribution *a, const float *input, enum ph_backward_rule rule,
                               ph_tensor **tensor) {
    PH_TRY(ph_attribution_tensor(a, a->channels, a->height, a->width, tensor));
    return ph_subject_evaluate_ruled(a->subject, rule, input, (*tensor)->data);
}

static ph_status guided_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    return rectified_run(a, input, PH_RULE_GUIDED, tensor);
}

static ph_status deconvolution_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    return rectified_run(a, input, PH_RULE_DECONVOLUTION, tensor);
}

/* Guided backpropagation times the Grad-CAM map enlarged to the picture. */
static ph_status guided_grad_cam_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    ph_tensor *map = NULL;
    size_t plane = (size_t)a->height * (size_t)a->width;
    float *enlarged = ph_alloc_array(plane, sizeof *enlarged);
    ph_status status = enlarged ? ph_attribution_grad_cam.run(a, input, &map) : ph_fail_memory(a->context);
    if (!status)
        status = ph_planes_resize(a->context, map->data, 1, (int)map->dims[2], (int)map->dims[3], a->height, a->width,
                                  enlarged);
    if (!status) status = guided_run(a, input, tensor);
    for (size_t i = 0; i < a->subject->size && !status; i++) (*tensor)->data[i] *= enlarged[i % plane];
    ph_tensor_destroy(&map);
    ph_free(enlarged);
    return status;
}

const struct ph_attribution_method ph_attribution_guided_backpropagation = {
    .name = "guided-backpropagation",
    .help = "the gradient of what argues for the objective, through active units only",
    .source = "Springenberg et al. 2014, arXiv 1412.6806",
    .options = "",
    .sum = PH_SUM_ABSOLUTE,
    .run = guided_run,
};

const struct ph_attribution_method ph_attribution_deconvolution = {
    .name = "deconvolution", .help = "the gradient of what argues for the objective, through all units",
    .source = "Zeiler, Fergus 2014, arXiv 1311.2901", .options = "", .sum = PH_SUM_ABSOLUTE, .run = deconvolution_run,
};

const struct ph_attribution_method ph_attribution_guided_grad_cam = {
    .name = "guided-grad-cam", .help = "guided backpropagation where Grad-CAM looks",
    .source = "Selvaraju et al. 2017, arXiv 1610.02391", .options = "layer", .sum = PH_SUM_ABSOLUTE,
    .run = guided_grad_cam_run,
};
