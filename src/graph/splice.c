/* Copying a graph with an input added to one of its values. */
#include "graph/splice.h"
#include "graph/operations.h"

struct splicing {
    const struct ph_graph *old;
    struct ph_graph *graph;
    int value, delta;
    int *copies; /* [old values] what those behind read */
};

static ph_status node_copy(struct splicing *splicing, const struct ph_node *node, int *computed) {
    const struct ph_graph *old = splicing->old;
    int *inputs = ph_alloc_array((size_t)node->input_count, sizeof *inputs), outputs[PH_MAX_OUTPUTS];
    const char *names[PH_MAX_OUTPUTS];
    if (!inputs) return ph_fail_memory(old->context);
    for (int i = 0; i < node->input_count; i++)
        inputs[i] = node->inputs[i] == PH_ABSENT ? PH_ABSENT : splicing->copies[node->inputs[i]];
    for (int i = 0; i < node->output_count; i++) names[i] = old->values[node->outputs[i]].name;
    ph_status status = ph_graph_add_node(splicing->graph, node->operation, node->name, node->attributes, inputs,
                                         node->input_count, names, node->output_count, outputs);
    ph_free(inputs);
    for (int i = 0; i < node->output_count && !status; i++) {
        int output = node->outputs[i];
        splicing->copies[output] = outputs[i];
        if (output != splicing->value) continue;
        *computed = outputs[i];
        status = ph_graph_add(splicing->graph, &ph_operation_add, NULL, NULL, (int[]){outputs[i], splicing->delta}, 2,
                              &splicing->copies[output]);
    }
    return status;
}

ph_status ph_graph_splice(const struct ph_graph *old, int value, const int *keep, int *map, int keep_count,
                          struct ph_graph **graph, int *delta) {
    PH_TRY(ph_graph_create(old->context, graph));
    struct splicing splicing = {.old = old, .graph = *graph, .value = value};
    int computed = PH_ABSENT;
    ph_status status = PH_OK;
    if (!(splicing.copies = ph_alloc_array((size_t)old->value_count + 1, sizeof *splicing.copies)))
        status = ph_fail_memory(old->context);
    if (!status)
        status = ph_graph_add_input(*graph, NULL, PH_FLOAT, old->values[value].shape, &splicing.delta);
    for (int v = 0, n = 0; v < old->value_count && !status; v++) {
        const struct ph_value *record = &old->values[v];
        if (record->node != PH_ABSENT) {
            /* A node's outputs follow each other; the node is copied with the first. */
            if (record->node == n) status = node_copy(&splicing, &old->nodes[n++], &computed);
        } else if (record->data) {
            status = ph_graph_add_contents(*graph, record->name, record->type, record->shape, record->data, record->contents,
                                           &splicing.copies[v]);
        } else {
            status = ph_graph_add_input(*graph, record->name, record->type, record->shape, &splicing.copies[v]);
        }
    }
    for (int i = 0; i < keep_count && !status; i++) map[i] = keep[i] == value ? computed : splicing.copies[keep[i]];
    *delta = splicing.delta;
    ph_free(splicing.copies);
    if (status) ph_graph_destroy(graph);
    return status;
}
