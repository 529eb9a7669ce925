/* Which units of a layer carried the value: per channel and per position, at once or along a path. */
#include "vis/attribution/attribution.h"

static ph_status units_tensor(struct ph_attribution *a, const struct ph_subject_layer *layer, ph_tensor **tensor) {
    const struct ph_shape *shape = &layer->shape;
    bool spatial = shape->rank == 4;
    if ((!spatial && shape->rank != 2) || shape->dims[0] != 1) {
        char text[128];
        return ph_fail(a->context, PH_ERROR_SHAPE, "layer '%s' %s has no units: [1,K] or [1,K,H,W] is needed",
                       layer->name, ph_shape_text(shape, text));
    }
    PH_TRY(ph_attribution_layer_name(a, layer->name));
    return ph_attribution_tensor(a, (int)shape->dims[1], spatial ? (int)shape->dims[2] : 1,
                                 spatial ? (int)shape->dims[3] : 1, tensor);
}

/* Mean gradient on the path from silent units (share 0) to the picture's, times the units' values. One step is taken at
 * the end: the gradient there. */
static ph_status units_run(struct ph_attribution *a, const float *input, int steps, const double *nodes,
                           const double *weights, ph_tensor **tensor) {
    struct ph_subject_layer *layer;
    PH_TRY(ph_subject_layer_take(a->subject, a->options.layer, false, &layer));
    size_t size = layer->size;
    float *values = ph_alloc_array(size, sizeof *values), *delta = ph_alloc_array(size, sizeof *delta);
    float *gradient = ph_alloc_array(size, sizeof *gradient);
    double *sums = ph_alloc_array(size, sizeof *sums);
    ph_status status =
        values && delta && gradient && sums ? units_tensor(a, layer, tensor) : ph_fail_memory(a->context);
    if (!status) status = ph_subject_layer_run(layer, input, NULL, NULL, values, NULL);
    for (int s = 0; s < steps && !status; s++) {
        for (size_t i = 0; i < size; i++) delta[i] = (float)((nodes[s] - 1) * values[i]);
        status = ph_subject_layer_run(layer, input, delta, NULL, NULL, gradient);
        for (size_t i = 0; i < size && !status; i++) sums[i] += weights[s] * gradient[i];
        if (!status && !ph_attribution_progress(a, s + 1, steps))
            status = ph_fail(a->context, PH_ERROR_CANCELLED, "stopped");
    }
    for (size_t i = 0; i < size && !status; i++) (*tensor)->data[i] = (float)(sums[i] * values[i]);
    if (!status && steps > 1) { /* the value with every unit silent */
        for (size_t i = 0; i < size; i++) delta[i] = -values[i];
        status = ph_subject_layer_run(layer, input, delta, &a->result->baseline_value, NULL, NULL);
        a->result->steps = steps;
    }
    ph_free(values);
    ph_free(delta);
    ph_free(gradient);
    ph_free(sums);
    return status;
}

static ph_status layer_gradient_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    return units_run(a, input, 1, &(const double){1}, &(const double){1}, tensor);
}

static ph_status layer_path_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    int steps = a->options.steps;
    double *nodes = ph_alloc_array((size_t)steps, 2 * sizeof *nodes);
    if (!nodes) return ph_fail_memory(a->context);
    ph_gauss_legendre(steps, nodes, nodes + steps);
    ph_status status = units_run(a, input, steps, nodes, nodes + steps, tensor);
    ph_free(nodes);
    return status;
}

const struct ph_attribution_method ph_attribution_layer_gradient = {
    .name = "layer-gradient", .help = "each unit of a layer: its value times its gradient",
    .source = "Olah et al. 2018, doi 10.23915/distill.00010", .options = "layer", .is_signed = true, .of_units = true,
    .run = layer_gradient_run,
};

const struct ph_attribution_method ph_attribution_layer_path = {
    .name = "layer-path", .help = "each unit of a layer: its gradient on the way from silence, times its value",
    .source = "Olah et al. 2018, doi 10.23915/distill.00010", .options = "layer steps", .is_signed = true,
    .of_units = true, .steps = 50, .run = layer_path_run,
};
