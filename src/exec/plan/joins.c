/* Steps that stand for several nodes: convolutions of one input, where their kernels can join them, read it once. */
#include "exec/plan/planner.h"

static bool joins = true;

void ph_plan_joins(bool on) { joins = on; }

bool ph_node_is_led(const struct ph_planner *p, int n) { return p->lead[n] != PH_ABSENT && p->lead[n] != n; }

/* Whether the step of `lead` in this direction, if there is one, can stand for the other node's too. A kernel that is being
 * measured must have its time to itself. */
static bool can_join(const struct ph_planner *p, int lead, int other, bool backward) {
    const struct ph_kernel *const *chosen = backward ? p->backward : p->forward, *kernel = chosen[lead];
    const char *key = p->keys[2 * other + backward];
    if (kernel != chosen[other]) return false;
    if (!kernel) return true;
    if (!kernel->joins || (key && ph_profile_measures(p->profile, key))) return false;
    struct ph_kernel_query query = ph_query_make(p, &p->graph->nodes[lead], backward);
    return kernel->joins(&query, &p->graph->nodes[other]);
}

void ph_joins_find(struct ph_planner *p) {
    const struct ph_graph *graph = p->graph;
    for (int n = 0; n < graph->node_count && joins; n++) {
        if (!p->forward[n] || !p->forward[n]->joins || ph_node_is_led(p, n)) continue;
        int count = 1;
        for (int m = n + 1; m < graph->node_count && count < PH_MOST_JOINED; m++) {
            if (graph->nodes[m].input_count == 0 || graph->nodes[m].inputs[0] != graph->nodes[n].inputs[0]) continue;
            if (!can_join(p, n, m, false) || !can_join(p, n, m, true)) continue;
            p->lead[n] = p->lead[m] = n;
            count++;
        }
    }
}
