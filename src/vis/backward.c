/* Changes of the network itself, made on its nodes after they are built: how a gradient goes back through rectifiers and
 * maximum pools, and average pools in place of maximum pools. */
#include "vis/vis.h"
#include <math.h>
#include <string.h>

bool ph_redirect(struct ph_graph *graph, int first_node) {
    bool any = false;
    for (int n = first_node; n < graph->node_count; n++) {
        const struct ph_operation **operation = &graph->nodes[n].operation;
        if (*operation == &ph_operation_relu) *operation = &ph_operation_redirected_relu;
        else if (*operation == &ph_operation_clip) *operation = &ph_operation_redirected_clip;
        else continue;
        any = true;
    }
    return any;
}

/* relu has no attributes; the ruled clip's say where it is active. */
static ph_status rectifier_rule(struct ph_graph *graph, struct ph_node *node, enum ph_backward_rule rule) {
    struct ph_activation_attributes attributes = {.low = 0, .high = HUGE_VAL};
    if (node->operation == &ph_operation_clip) memcpy(&attributes, node->attributes, sizeof attributes);
    attributes.rule = rule;
    node->attributes = ph_pool_copy(&graph->pool, &attributes, sizeof attributes);
    node->operation = &ph_operation_ruled_clip;
    return node->attributes ? PH_OK : ph_fail_memory(graph->context);
}

ph_status ph_backward_rule(struct ph_graph *graph, const ph_recipe *recipe, int first_node, bool wakes) {
    static const enum ph_backward_rule rules[] = {PH_RULE_PLAIN, PH_RULE_GUIDED, PH_RULE_DECONVOLUTION};
    enum ph_backward_rule rule = rules[recipe->backward];
    if (wakes && rule == PH_RULE_GUIDED) rule = PH_RULE_PLAIN;
    for (int n = first_node; n < graph->node_count; n++) {
        struct ph_node *node = &graph->nodes[n];
        bool rectifies = node->operation == &ph_operation_relu || node->operation == &ph_operation_clip;
        if (rectifies && rule != PH_RULE_PLAIN) PH_TRY(rectifier_rule(graph, node, rule));
        if (recipe->pooling == PH_POOLING_SOFTENED && node->operation == &ph_operation_max_pool)
            node->operation = &ph_operation_softened_max_pool;
    }
    return PH_OK;
}

void ph_pooling_swap(struct ph_graph *graph, const ph_recipe *recipe, int first_node) {
    for (int n = first_node; n < graph->node_count && recipe->pooling == PH_POOLING_AVERAGE; n++)
        if (graph->nodes[n].operation == &ph_operation_max_pool) graph->nodes[n].operation = &ph_operation_average_pool;
}
