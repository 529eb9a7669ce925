/* Gradients with another rule at rectifiers: only what argues for the objective goes back (deconvolution), and of that
 * only what came through (guided backpropagation). */
#include "vis/attribution/attribution.h"
#include "vis/attribution/walk.h"

/* Whether an operation is max(0, x), or that with an upper limit; the limit goes into *high. */
static bool is_rectifier(const struct ph_node *node, double *high) {
    *high = 1e300;
    if (node->operation == &ph_operation_relu) return true;
    if (node->operation != &ph_operation_clip) return false;
    const struct ph_activation_attributes *attributes = node->attributes;
    *high = attributes->high;
    return attributes->low == 0;
}

static ph_status rectified_rule(struct ph_walk *walk, const struct ph_node *node, void *user) {
    const bool *deconvolution = user;
    double high;
    if (!is_rectifier(node, &high)) return ph_walk_gradient(walk, node);
    float *relevance = walk->relevances[node->outputs[0]];
    const float *x = walk->activations[node->inputs[0]];
    int64_t size = ph_walk_size(walk, node->outputs[0]);
    for (int64_t i = 0; i < size; i++)
        if (!(relevance[i] > 0) || (!*deconvolution && !(x[i] > 0 && x[i] < high))) relevance[i] = 0;
    return ph_walk_add(walk, node->inputs[0], relevance);
}

static ph_status rectified_run(struct ph_attribution *a, const float *input, bool deconvolution, ph_tensor **tensor) {
    struct ph_walk walk;
    PH_TRY(ph_attribution_tensor(a, a->channels, a->height, a->width, tensor));
    PH_TRY(ph_walk_start(&a->subject, &walk));
    ph_status status = ph_walk_forward(&walk, input);
    if (!status) status = ph_walk_back(&walk, 1, rectified_rule, &deconvolution, (*tensor)->data);
    ph_walk_finish(&walk);
    return status;
}

static ph_status guided_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    return rectified_run(a, input, false, tensor);
}

static ph_status deconvolution_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    return rectified_run(a, input, true, tensor);
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
    for (size_t i = 0; i < a->subject.size && !status; i++) (*tensor)->data[i] *= enlarged[i % plane];
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
