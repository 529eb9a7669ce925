/* A program as text: a line for each step, with its time where that is wanted. */
#include "exec/profile.h"
#include "exec/state.h"
#include <stdio.h>
#include <stdlib.h>

static double call_flops(const struct ph_operation *operation, const struct ph_call *call) {
    return operation->flops ? operation->flops(call) : (double)ph_shape_size(&call->output_shapes[0]);
}

/* Of all nodes that it stands for. */
static double step_flops(const struct ph_graph *graph, const struct ph_step *step) {
    if (step->kind != PH_STEP_KERNEL) return 0;
    struct ph_call call = step->call.plain;
    if (!step->joined) return call_flops(step->call.node->operation, &call);
    double sum = 0;
    for (int i = 0; i < step->output_count; i++, call.output_shapes++) {
        const struct ph_node *node = step->joined[i];
        const struct ph_shape *shapes[] = {call.input_shapes[0], &graph->values[node->inputs[1]].shape};
        struct ph_call own = call;
        own.attributes = node->attributes;
        own.input_shapes = shapes;
        sum += call_flops(node->operation, &own);
    }
    return sum;
}

/* What the step makes, more values than one by the first of them and how many more. */
static const char *step_value(const struct ph_graph *graph, const struct ph_step *step, char *text, size_t size) {
    const struct ph_node *node = &graph->nodes[PH_MAX(step->node, 0)];
    bool sum = step->kind == PH_STEP_KERNEL && step->made != PH_ABSENT;
    const char *name = graph->values[sum ? step->made : node->outputs[0]].name;
    if (!step->joined) return name;
    char more[16];
    int used = snprintf(more, sizeof more, " +%d", step->output_count - 1);
    snprintf(text, size, "%.*s%s", (int)size - used - 1, name, more);
    return text;
}

static int compare_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { RUNS = 9 };
/* Runs all steps RUNS times and once before; times [RUNS][step]. */
struct profile { const struct ph_program *program; double *times; };

static void profile_run(void *argument) {
    const struct profile *profile = argument;
    int steps = profile->program->plan.step_count;
    for (int run = -1; run < RUNS; run++)
        ph_program_time(profile->program, run < 0 ? NULL : profile->times + (int64_t)run * steps);
}

static ph_status profile_engine(const struct ph_program *program, double *times) {
    size_t steps = (size_t)program->plan.step_count;
    double *milliseconds = ph_alloc_array(steps + 1, sizeof *milliseconds);
    ph_status status = milliseconds ? PH_OK : ph_fail_memory(program->context);
    if (!status) status = program->engine->run(program->state, false, program->arena); /* brings what is fed */
    for (int run = -1; run < RUNS && !status; run++) {
        status = program->engine->time(program->state, milliseconds);
        for (size_t i = 0; i < steps && run >= 0; i++) times[(size_t)run * steps + i] = 1e-3 * milliseconds[i];
    }
    ph_free(milliseconds);
    return status;
}

/* Median time of each step over a few whole runs, so that caches are as they are in the loop. */
static ph_status profile_steps(struct ph_program *program) {
    struct ph_plan *plan = &program->plan;
    double *times = ph_alloc_array((size_t)plan->step_count + 1, RUNS * sizeof *times);
    if (!times) return ph_fail_memory(program->context);
    struct profile profile = {program, times};
    ph_status status = PH_OK;
    if (program->engine) status = profile_engine(program, times);
    else ph_parallel_region(program->context, profile_run, &profile);
    for (int i = 0; i < plan->step_count; i++) {
        double of_step[RUNS];
        for (int run = 0; run < RUNS; run++) of_step[run] = times[run * plan->step_count + i];
        qsort(of_step, RUNS, sizeof *of_step, compare_double);
        plan->steps[i].milliseconds = 1e3 * of_step[RUNS / 2];
    }
    ph_free(times);
    return status;
}

/* Storage of what the step makes: its first output, or backward the first gradient that it writes. */
static int step_storage(const struct ph_graph *graph, const struct ph_step *step) {
    if (step->kind != PH_STEP_KERNEL) return step->to;
    for (int k = 0; k < graph->nodes[step->node].input_count && step->backward; k++)
        if (step->input_gradients[k] != PH_ABSENT) return step->input_gradients[k];
    return step->outputs[0];
}

static const char *step_operation(const struct ph_graph *graph, const struct ph_step *step) {
    static const char *const kinds[] = {"", "convert", "add", "zero"};
    if (step->kind != PH_STEP_KERNEL) return kinds[step->kind];
    return step->made != PH_ABSENT ? "convolution+add" : graph->nodes[step->node].operation->name;
}

/* peak 0: it is not known. */
static void step_print(const struct ph_program *program, const struct ph_step *step, double flops, bool time, double peak,
                       struct ph_text *text) {
    const struct ph_plan *plan = &program->plan;
    int storage = step_storage(program->graph, step);
    size_t offset = 0;
    char shape[128] = "", value[35];
    const struct ph_storage *record = storage == PH_ABSENT ? NULL : &plan->storages[storage];
    if (record) {
        ph_shape_text(&record->shape, shape);
        offset += plan->storages[ph_storage_root(plan, storage, &offset)].offset;
    }
    ph_text_append(text, "%-8s %-22s %-16s %-34.34s %-20s %9.4f %9.0f %10zu", step->backward ? "backward" : "forward",
                   step_operation(program->graph, step), step->kind == PH_STEP_KERNEL ? step->kernel->name : "-",
                   step_value(program->graph, step, value, sizeof value), shape, flops / 1e9,
                   record ? (double)ph_storage_floats(record) * sizeof(float) / 1024 : 0.0, offset);
    double rate = flops / 1e6 / PH_MAX(step->milliseconds, 1e-6);
    if (time) ph_text_append(text, " %8.3f %8.1f", step->milliseconds, rate);
    if (peak > 0) ph_text_append(text, " %10.1f", 100 * rate / peak);
    const struct ph_profile *profile = program->context->profile;
    const struct ph_choice *choice = profile && step->key ? ph_profile_find(profile, step->key) : NULL;
    if (choice) ph_text_append(text, "  %s", choice->times ? choice->times : "not measured");
    ph_text_append(text, "\n");
}

ph_status ph_program_print(struct ph_program *program, bool time, struct ph_text *text) {
    struct ph_plan *plan = &program->plan;
    if (time) PH_TRY(profile_steps(program));
    double peak = time && program->backend->peak ? program->backend->peak(program->context) : 0;
    ph_text_append(text, "%-8s %-22s %-16s %-34s %-20s %9s %9s %10s%s\n", "", "operation", "kernel", "value", "shape",
                   "GFLOP", "KB", "offset", peak > 0 ? "       ms  GFLOP/s  % of peak" : time ? "       ms  GFLOP/s" : "");
    double total_flops = 0, total_time = 0;
    for (int i = 0; i < plan->step_count; i++) {
        double flops = step_flops(program->graph, &plan->steps[i]);
        total_flops += flops;
        total_time += plan->steps[i].milliseconds;
        step_print(program, &plan->steps[i], flops, time, peak, text);
    }
    ph_text_append(text, "%d steps", plan->step_count);
    if (program->engine) ph_text_append(text, " in %d dispatches", program->engine->dispatches(program->state));
    ph_text_append(text, ", %.3f GFLOP, arena %.1f MB, packed constants %.1f MB", total_flops / 1e9,
                   (double)ph_program_arena_bytes(program) / 1e6, (double)plan->constant_bytes / 1e6);
    if (time) ph_text_append(text, ", %.2f ms, %.1f GFLOP/s", total_time, total_flops / 1e6 / total_time);
    if (peak > 0) ph_text_append(text, " of %.1f at peak", peak);
    ph_text_append(text, "\n");
    return text->failed ? ph_fail_memory(program->context) : PH_OK;
}
