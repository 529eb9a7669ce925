/* Terms about whole layers, or regions of them. */
#include "vis/objectives/nodes.h"

static ph_status layer_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(ph_term_layer_find(scope, terms[0]->name, &value));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_mul, value, value, &value));
    return ph_term_items_mean(scope->graph, value, out);
}

const struct ph_term_type ph_term_layer = {
    .name = "layer", .form = "LAYER", .build = layer_build,
    .help = "mean square of a whole layer: what deep dreams raise",
    .samples = (const char *const[]){"conv2", NULL},
};

static ph_status mean_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(ph_term_layer_argument(scope, terms[0], 0, &value));
    return ph_term_items_mean(scope->graph, value, out);
}

const struct ph_term_type ph_term_mean = {
    .name = "mean", .form = "mean(LAYER[@REGION])", .function = true, .build = mean_build,
    .help = "mean of a whole layer, or of a region of it",
    .parameters = {{.name = "LAYER", .kind = PH_ARGUMENT_LAYER}},
    .samples = (const char *const[]){"mean(conv2)", "mean(conv2@1-3,0-1)", NULL},
};
