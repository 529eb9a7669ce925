/* The layers of a network: what they are, and the one of a name. */
#include "graph/operations.h"
#include "model/model.h"
#include <string.h>

static double node_flops(const struct ph_graph *graph, const struct ph_node *node) {
    const struct ph_shape *input_shapes[PH_MAX_OUTPUTS], output = graph->values[node->outputs[0]].shape;
    enum ph_type input_types[PH_MAX_OUTPUTS], output_type = graph->values[node->outputs[0]].type;
    if (!node->operation->flops || node->input_count > PH_COUNT(input_shapes)) return (double)ph_shape_size(&output);
    for (int i = 0; i < node->input_count; i++) {
        const struct ph_value *value = node->inputs[i] == PH_ABSENT ? NULL : &graph->values[node->inputs[i]];
        input_shapes[i] = value ? &value->shape : NULL;
        input_types[i] = value ? value->type : PH_FLOAT;
    }
    return node->operation->flops(&(struct ph_call){.attributes = node->attributes, .input_count = node->input_count,
        .output_count = 1, .input_shapes = input_shapes, .input_types = input_types, .output_shapes = &output,
        .output_types = &output_type});
}

static int64_t node_parameters(const struct ph_graph *graph, const struct ph_node *node) {
    int64_t count = 0;
    for (int i = 0; i < node->input_count; i++) {
        const struct ph_value *value = node->inputs[i] == PH_ABSENT ? NULL : &graph->values[node->inputs[i]];
        if (value && value->data && value->type == PH_FLOAT) count += ph_shape_size(&value->shape);
    }
    return count;
}

/* For each node the last one that reads what any node before it, or the graph's input, has made: the node is on the trunk
 * when that is not behind it. */
static ph_status reads_find(const struct ph_graph *graph, int *reads) {
    int *last = ph_alloc_array((size_t)graph->value_count + 1, sizeof *last), furthest = -1;
    if (!last) return ph_fail_memory(graph->context);
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++) {
            int value = graph->nodes[i].inputs[j];
            if (value != PH_ABSENT && !graph->values[value].data) last[value] = i;
        }
    for (int v = 0; v < graph->value_count; v++)
        if (graph->values[v].node == PH_ABSENT && !graph->values[v].data) furthest = PH_MAX(furthest, last[v]);
    for (int i = 0; i < graph->node_count; i++) {
        reads[i] = furthest;
        for (int j = 0; j < graph->nodes[i].output_count; j++) furthest = PH_MAX(furthest, last[graph->nodes[i].outputs[j]]);
    }
    ph_free(last);
    return PH_OK;
}

static ph_status layers_list(const struct ph_graph *graph, struct ph_pool *pool, const ph_layer_info **layers, int *count) {
    int capacity = 0;
    for (int i = 0; i < graph->node_count; i++) capacity += graph->nodes[i].output_count;
    ph_layer_info *list = ph_pool_alloc(pool, (size_t)capacity * sizeof *list);
    int *reads = ph_pool_alloc(pool, (size_t)graph->node_count * sizeof *reads);
    if (!list || !reads) return ph_fail_memory(graph->context);
    PH_TRY(reads_find(graph, reads));
    int filled = 0;
    for (int i = 0; i < graph->node_count; i++) {
        const struct ph_node *node = &graph->nodes[i];
        for (int j = 0; j < node->output_count; j++) {
            const struct ph_value *value = &graph->values[node->outputs[j]];
            ph_layer_info *layer = &list[filled++];
            *layer = (ph_layer_info){.name = ph_pool_strdup(pool, value->name), .operation = node->operation->name,
                .rank = value->shape.rank, .parameters = j ? 0 : node_parameters(graph, node),
                .flops = j ? 0 : node_flops(graph, node), .trunk = node->output_count == 1 && reads[i] <= i};
            memcpy(layer->dims, value->shape.dims, sizeof layer->dims);
            if (!layer->name) return ph_fail_memory(graph->context);
        }
    }
    *layers = list;
    *count = filled;
    return PH_OK;
}

ph_status ph_model_layers(ph_model *model, int height, int width, const ph_layer_info **layers, int *count) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!layers || !count) return ph_fail(model->context, PH_ERROR_ARGUMENT, "ph_model_layers: no place given for the layers");
    enum { LARGEST = 1 << 15 };
    if (height < 0 || width < 0 || height > LARGEST || width > LARGEST)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "size %dx%d: 1 to %d pixels, 0 for the network's own", width, height,
                       LARGEST);
    bool picture = model->default_input.rank == 4;
    struct ph_graph *graph;
    const char *unsupported;
    int input;
    PH_TRY(ph_model_build_alone(model, height || !picture ? height : (int)model->default_input.dims[2],
                                width || !picture ? width : (int)model->default_input.dims[3], &graph, &input, &unsupported));
    ph_pool_finish(&model->layer_pool);
    ph_status status = layers_list(graph, &model->layer_pool, layers, count);
    ph_graph_destroy(&graph);
    return status;
}

static const char *layer_name(void *user, int index) { return ((const struct ph_model *)user)->layer_names[index]; }

/* The names of the last few layers that can be computed, as those before an unsupported operation are what is left. */
static void layers_left(struct ph_text *text, const struct ph_model *model) {
    enum { SHOWN = 12 };
    int first = PH_MAX(0, model->layer_name_count - SHOWN);
    ph_text_append(text, "; %d layers can still be used%s: ", model->layer_name_count, first ? ", the last of them" : "");
    for (int i = first; i < model->layer_name_count; i++)
        ph_text_append(text, "%s%s", i > first ? ", " : "", model->layer_names[i]);
}

ph_status ph_model_find_layer(const struct ph_model *model, const struct ph_graph *graph, const char *name, int *value) {
    *value = ph_graph_find(graph, name);
    if (*value != PH_ABSENT) return PH_OK;
    char shape[128];
    struct ph_text text = {0};
    bool known = false;
    for (int i = 0; i < model->layer_name_count; i++) known |= !strcmp(model->layer_names[i], name);
    if (known) {
        ph_text_append(&text, "layer '%s' cannot be computed at this size; the network's own input is %s", name,
                       ph_shape_text(&model->default_input, shape));
    } else {
        int class;
        bool is_class = !ph_model_find_class(model, name, &class);
        ph_text_append(&text, "no layer '%s'", name);
        if (is_class) ph_text_append(&text, ", did you mean class:%s?", name);
        else ph_suggest(&text, name, model->layer_name_count, layer_name, (void *)model);
        if (model->unsupported) {
            ph_text_append(&text, " (%s)", model->unsupported);
            layers_left(&text, model);
        }
    }
    ph_status status = text.failed ? ph_fail_memory(model->context)
        : ph_fail(model->context, known ? PH_ERROR_SHAPE : PH_ERROR_NOT_FOUND, "%s", text.data);
    ph_text_finish(&text);
    return status;
}
