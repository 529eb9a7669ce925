#include "graph/normed_pool.h"
#include "graph/operations.h"

/* What kernels take: they divide by what is neither negative nor nearly 0, reach no further than to the block of channels
 * beside, and number a window's elements in a byte. */
enum { MOST_CHANNELS = 16, MOST_ELEMENTS = 256 };

static bool is_usual_norm(const struct ph_response_norm_attributes *a) {
    return !a->within_channel && a->size <= MOST_CHANNELS && a->alpha >= 0 && a->bias >= 0x1p-100;
}

static bool is_usual_pool(const struct ph_pool_attributes *a) { return a->kernel[1] * a->kernel[2] <= MOST_ELEMENTS; }

/* The normalisation that the pool alone reads; NULL: none. */
static const struct ph_node *norm_of(const struct ph_graph *graph, const bool *kept, const int *uses,
                                     const struct ph_node *pool) {
    int value = pool->inputs[0], n = graph->values[value].node;
    if (n == PH_ABSENT || kept[value] || uses[value] != 1 || graph->values[value].shape.rank != 4) return NULL;
    const struct ph_node *node = &graph->nodes[n];
    return node->operation == &ph_operation_local_response_norm && is_usual_norm(node->attributes) ? node : NULL;
}

ph_status ph_normed_pools_find(struct ph_graph *graph, const bool *live, const bool *kept, const int *uses,
                               struct ph_pool *pool) {
    for (int n = 0; n < graph->node_count; n++) {
        struct ph_node *node = &graph->nodes[n];
        if (!live[n] || node->operation != &ph_operation_max_pool || !is_usual_pool(node->attributes)) continue;
        const struct ph_node *norm = norm_of(graph, kept, uses, node);
        if (!norm) continue;
        struct ph_normed_pool_attributes attributes = {*(const struct ph_response_norm_attributes *)norm->attributes,
                                                       *(const struct ph_pool_attributes *)node->attributes};
        const void *copy = ph_pool_copy(pool, &attributes, sizeof attributes);
        if (!copy) return ph_fail_memory(graph->context);
        node->operation = &ph_operation_normed_max_pool;
        node->attributes = copy;
        node->inputs = norm->inputs;
    }
    return PH_OK;
}
