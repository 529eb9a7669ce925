/* The arithmetic of a job, and who is done with it first. */
#include "exec/choice.h"
#include "graph/operations.h"
#include <math.h>

/* Operations behind which a wanted value stands: live[node]. */
static void live_mark(const struct ph_graph *graph, const struct ph_program_request *request, bool *live) {
    for (int i = -1; i < request->tap_count; i++) {
        int value = i < 0 ? request->loss : request->taps[i];
        if (value != PH_ABSENT && graph->values[value].node != PH_ABSENT) live[graph->values[value].node] = true;
    }
    for (int n = graph->node_count - 1; n >= 0; n--)
        for (int i = 0; i < graph->nodes[n].input_count && live[n]; i++) {
            int input = graph->nodes[n].inputs[i];
            if (input != PH_ABSENT && graph->values[input].node != PH_ABSENT) live[graph->values[input].node] = true;
        }
}

static ph_status node_flops(const struct ph_graph *graph, const struct ph_node *node, double *flops) {
    const struct ph_shape *out = &graph->values[node->outputs[0]].shape;
    *flops = (double)ph_shape_size(out);
    if (!node->operation->flops) return PH_OK;
    const struct ph_shape **inputs = ph_alloc_array((size_t)node->input_count + 1, sizeof *inputs);
    if (!inputs) return ph_fail_memory(graph->context);
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] != PH_ABSENT) inputs[i] = &graph->values[node->inputs[i]].shape;
    const struct ph_call call = {.attributes = node->attributes, .input_count = node->input_count,
        .output_count = 1, .input_shapes = inputs, .output_shapes = out};
    *flops = node->operation->flops(&call);
    ph_free(inputs);
    return PH_OK;
}

ph_status ph_job_measure(const struct ph_graph *graph, const struct ph_program_request *request, struct ph_job *job) {
    bool *live = ph_alloc_array((size_t)graph->node_count + 1, sizeof *live);
    ph_status status = live ? PH_OK : ph_fail_memory(graph->context);
    int directions = request->loss == PH_ABSENT ? 1 : 2;
    int64_t items = 1;
    *job = (struct ph_job){.runs = PH_MAX(request->runs, 1)};
    if (request->loss != PH_ABSENT && graph->values[request->loss].shape.rank)
        items = graph->values[request->loss].shape.dims[0];
    if (live) live_mark(graph, request, live);
    for (int n = 0; n < graph->node_count && !status; n++) {
        double flops = 0;
        if (!live[n] || graph->nodes[n].operation->is_view) continue;
        status = node_flops(graph, &graph->nodes[n], &flops);
        job->flops += directions * flops / (double)PH_MAX(items, 1);
        job->operations += directions;
    }
    ph_free(live);
    return status;
}

double ph_job_seconds(const struct ph_job *job, const struct ph_rates *rates) {
    if (!(rates->gflops > 0)) return HUGE_VAL;
    return rates->start + (double)job->runs * (job->flops / 1e9 / rates->gflops + job->operations * rates->launch);
}

int ph_job_choose(const struct ph_job *job, const struct ph_rates *rates, int count) {
    int best = 0;
    for (int i = 1; i < count; i++)
        if (ph_job_seconds(job, &rates[i]) < ph_job_seconds(job, &rates[best])) best = i;
    return best;
}
