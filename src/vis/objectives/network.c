/* Several networks in one objective: those joined to the model, each behind what the model sees, and the term that is about
 * one of them. An ensemble's units are what several networks agree on (horama and Xplique sum over models by hand; here the
 * sum is part of the expression). */
#include "vis/objectives/nodes.h"
#include "vis/vis.h"

/* What a joined network sees of a picture of this size: scaled to fit its own input, in the middle of it. */
static struct ph_view joined_view(const ph_model *model, int height, int width) {
    const struct ph_shape *input = &model->default_input;
    struct ph_view view = {.channels = (int)input->dims[1], .height = height, .width = width,
        .input_height = (int)input->dims[2], .input_width = (int)input->dims[3]};
    ph_view_fit(&view);
    return view;
}

static ph_status joined_build(const struct ph_joined *joined, struct ph_graph *graph, int seen) {
    const struct ph_shape *shape = &graph->values[seen].shape;
    struct ph_view view = joined_view(joined->model, (int)shape->dims[2], (int)shape->dims[3]);
    int input;
    PH_TRY(ph_view_build(graph, &view, PH_BORDER_CONSTANT, seen, PH_ABSENT, &input));
    PH_TRY(ph_preprocessing_build(joined->model, graph, input, &input));
    return ph_model_build(joined->model, graph, input);
}

ph_status ph_networks_build(const ph_model *model, const struct ph_objective *objective, struct ph_graph *graph, int seen) {
    for (int i = 0; i < model->joined_count; i++) {
        const struct ph_joined *joined = &model->joined[i];
        if (!ph_objective_names_network(objective, joined->name)) continue;
        graph->prefix = joined->prefix;
        ph_status status = joined_build(joined, graph, seen);
        graph->prefix = NULL;
        if (status) ph_fail_prefix(model->context, "network '%s'", joined->name);
        PH_TRY(status);
    }
    return PH_OK;
}

static ph_status in_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    const char *name = terms[0]->arguments[0].name, *before = scope->graph->prefix;
    const struct ph_joined *joined;
    if (!scope->joining)
        return ph_fail(scope->graph->context, PH_ERROR_UNSUPPORTED,
                       "network '%s': several networks at once are for rendering pictures alone", name);
    PH_TRY(ph_model_find_joined(scope->joining, name, &joined));
    struct ph_objective_scope inner = *scope;
    struct ph_view view = {0};
    if (scope->view) view = joined_view(joined->model, scope->view->height, scope->view->width);
    inner.model = joined->model;
    inner.view = scope->view ? &view : NULL;
    scope->graph->prefix = joined->prefix;
    ph_status status = ph_term_expression(&inner, terms, 1, out);
    scope->graph->prefix = before;
    if (status) ph_fail_prefix(scope->graph->context, "network '%s'", name);
    return status;
}

const struct ph_term_type ph_term_in = {
    .name = "in", .form = "in(NETWORK, OBJECTIVE)", .function = true, .build = in_build,
    .help = "an objective of another network, joined by --with NETWORK=FILE: sums over several are ensembles",
    .parameters = {{.name = "NETWORK", .kind = PH_ARGUMENT_NETWORK},
                   {.name = "OBJECTIVE", .kind = PH_ARGUMENT_EXPRESSION}},
    .samples = (const char *const[]){"in(twin, conv2:3)",
                                     "conv2:3 + 2*in(twin, class:tabby) - in(twin, conv2:3 * conv1:2)", NULL},
};
