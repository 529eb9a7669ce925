/* What is found out once after loading, from a graph of the network at its default size: which values stand for classes, what
 * its layers are called, whether other sizes work, how pictures are prepared. */
#include "graph/operations.h"
#include "model/model.h"

enum { OTHER_SIZE_STEP = 64 };

static const struct ph_node *node_of(const struct ph_graph *graph, int value) {
    int node = graph->values[value].node;
    return node == PH_ABSENT ? NULL : &graph->nodes[node];
}

/* Behind views, which only rename or reshape. */
static int behind_views(const struct ph_graph *graph, int value) {
    const struct ph_node *node;
    while ((node = node_of(graph, value)) && node->operation->is_view) value = node->inputs[0];
    return value;
}

/* [N,C], or [N,C,1,...]: the number of classes a value can stand for, else 0. */
static int classes_of(const struct ph_shape *shape) {
    if (shape->rank < 2 || shape->dims[1] < 1 || shape->dims[1] > INT32_MAX) return 0;
    for (int i = 0; i < shape->rank; i++)
        if (i != 1 && shape->dims[i] != 1) return 0;
    return (int)shape->dims[1];
}

/* The last output that comes from a softmax gives both; else the last that has the form of scores is taken for logits. */
static ph_status classes_find(ph_model *model, const struct ph_graph *graph) {
    int logits = PH_ABSENT, probabilities = PH_ABSENT, count = model->format->output_count(model->parsed);
    for (int i = count - 1; i >= 0 && probabilities == PH_ABSENT; i--) {
        int output = ph_graph_find(graph, model->format->output(model->parsed, i));
        if (output == PH_ABSENT) continue;
        const struct ph_node *node = node_of(graph, behind_views(graph, output));
        bool plain = node && node->operation == &ph_operation_softmax;
        if ((plain || (node && node->operation == &ph_operation_log_softmax)) &&
            classes_of(&graph->values[node->inputs[0]].shape)) {
            logits = node->inputs[0];
            if (!plain) break;
            probabilities = node->outputs[0];
        } else if (node && logits == PH_ABSENT && classes_of(&graph->values[output].shape)) {
            logits = output;
        }
    }
    if (logits != PH_ABSENT) {
        model->class_count = classes_of(&graph->values[logits].shape);
        if (!(model->logits = ph_pool_strdup(&model->pool, graph->values[logits].name))) return ph_fail_memory(model->context);
    }
    if (probabilities != PH_ABSENT &&
        !(model->probabilities = ph_pool_strdup(&model->pool, graph->values[probabilities].name)))
        return ph_fail_memory(model->context);
    return PH_OK;
}

static ph_status layer_names_keep(ph_model *model, const struct ph_graph *graph) {
    int count = 0;
    for (int i = 0; i < graph->node_count; i++) count += graph->nodes[i].output_count;
    model->layer_names = ph_pool_alloc(&model->pool, (size_t)count * sizeof *model->layer_names);
    if (!model->layer_names) return ph_fail_memory(model->context);
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].output_count; j++) {
            const char *name = ph_pool_strdup(&model->pool, graph->values[graph->nodes[i].outputs[j]].name);
            if (!name) return ph_fail_memory(model->context);
            model->layer_names[model->layer_name_count++] = name;
        }
    return PH_OK;
}

ph_status ph_model_examine_sizes(ph_model *model) {
    const struct ph_shape *shape = &model->default_input;
    if (shape->rank != 4) return PH_OK;
    struct ph_graph *graph;
    const char *unsupported;
    int input;
    PH_TRY(ph_model_build_alone(model, (int)shape->dims[2] + OTHER_SIZE_STEP, (int)shape->dims[3] + OTHER_SIZE_STEP, &graph,
                                &input, &unsupported));
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].operation == &ph_operation_convolution || graph->nodes[i].operation == &ph_operation_max_pool ||
            graph->nodes[i].operation == &ph_operation_average_pool)
            model->size_is_free = true;
    ph_graph_destroy(&graph);
    return PH_OK;
}

ph_status ph_model_examine(ph_model *model, bool known) {
    ph_context *context = model->context;
    struct ph_graph *graph;
    const char *unsupported;
    int input;
    /* A network whose input is larger than any picture is refused here, in words, and not by arithmetic later. */
    const struct ph_shape *shape = &model->default_input;
    char text[128];
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[i] > INT32_MAX / 2)
            return ph_fail(context, PH_ERROR_UNSUPPORTED, "input shape %s is too large", ph_shape_text(shape, text));
    bool picture = shape->rank == 4;
    PH_TRY(ph_model_build_alone(model, picture ? (int)shape->dims[2] : 0, picture ? (int)shape->dims[3] : 0, &graph, &input,
                                &unsupported));
    ph_status status = PH_OK;
    if (unsupported && !(model->unsupported = ph_pool_strdup(&model->pool, unsupported))) status = ph_fail_memory(context);
    if (!status && !graph->node_count)
        status = ph_fail(context, PH_ERROR_UNSUPPORTED, "no layer of the network can be computed: %s",
                         unsupported ? unsupported : "nothing depends on its input");
    if (!status) status = layer_names_keep(model, graph);
    if (!status) status = classes_find(model, graph);
    if (!status) status = ph_model_find_apart(model, graph);
    if (!status && !known) {
        model->preprocessing = ph_preprocessing_guess(model, graph, input);
        /* The embedded network's is known to be right; what takes no pictures needs none. */
        if (!model->path) model->preprocessing.guessed[0] = 0;
        else if (picture)
            ph_log(context, "preprocessing: %s, a guess: %s", model->preprocessing.preset, model->preprocessing.guessed);
    }
    ph_graph_destroy(&graph);
    return status;
}

void ph_model_examine_log(const ph_model *model) {
    if (model->unsupported)
        ph_log(model->context, "only a part of the network can be computed, %d layers: %s", model->layer_name_count,
               model->unsupported);
    int count = model->default_input.rank == 4 ? model->format->input_count(model->parsed) : 0;
    for (int i = 0; i < count; i++)
        if (i != model->input)
            ph_log(model->context, "input '%s' is fed zeros; the picture goes to '%s'",
                   model->format->input(model->parsed, i).name, model->format->input(model->parsed, model->input).name);
}
