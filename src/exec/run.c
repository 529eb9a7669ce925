/* Running a program: its steps one after the other on the host, or as its engine does. */
#include "exec/state.h"
#include <string.h>

static void step_run(const struct ph_program *program, const struct ph_step *step) {
    const struct ph_operand *to = &step->to_operand;
    switch (step->kind) {
    case PH_STEP_KERNEL: step->kernel->run(&step->call); break;
    case PH_STEP_CONVERT: ph_layout_convert(program->context, &step->from_operand, to, false); break;
    case PH_STEP_ADD: ph_layout_convert(program->context, &step->from_operand, to, true); break;
    case PH_STEP_ZERO: memset(to->data, 0, ph_layout_size(&to->layout, to->shape) * sizeof(float)); break;
    }
}

/* `times` [step]: seconds are added up there; NULL: nobody wants them. */
struct span { const struct ph_program *program; int first, last; double *times; };

/* Its milliseconds are kept where times are wanted. */
static void timed_run(const struct span *span, struct ph_step *step) {
    double start = span->times ? ph_seconds() : 0;
    step_run(span->program, step);
    if (span->times) step->milliseconds = 1e3 * (ph_seconds() - start);
}

/* Steps that a batch goes through item by item. */
struct stretch { const struct span *span; int first, end; int64_t items, alone; };

static void item_run(const struct stretch *stretch, int64_t n) {
    struct ph_step *steps = stretch->span->program->plan.steps;
    for (int s = stretch->first; s < stretch->end; s++) timed_run(stretch->span, &steps[s].item_steps[n]);
}

static void lane_run(void *argument, int64_t lane) {
    const struct stretch *stretch = argument;
    for (int64_t n = lane; n < stretch->alone; n += stretch->span->program->plan.lanes) item_run(stretch, n);
}

static void stretch_run(const struct stretch *stretch) {
    const struct ph_plan *plan = &stretch->span->program->plan;
    if (stretch->alone) ph_parallel_for(stretch->span->program->context, plan->lanes, lane_run, (void *)stretch);
    for (int64_t n = stretch->alone; n < stretch->items; n++) item_run(stretch, n);
    for (int s = stretch->first; s < stretch->end && stretch->span->times; s++)
        for (int64_t n = 0; n < stretch->items; n++) {
            double seconds = 1e-3 * plan->steps[s].item_steps[n].milliseconds;
            stretch->span->times[s] += n < stretch->alone ? seconds / plan->lanes : seconds;
        }
}

static void span_run(void *argument) {
    const struct span *span = argument;
    const struct ph_plan *plan = &span->program->plan;
    for (int i = span->first; i < span->last;) {
        struct ph_step *step = &plan->steps[i];
        if (step->items) {
            stretch_run(&(struct stretch){span, i, step->items_end, step->items, ph_items_alone(plan, step->items)});
            i = step->items_end;
            continue;
        }
        timed_run(span, step);
        if (span->times) span->times[i] += 1e-3 * step->milliseconds;
        i++;
    }
}

void ph_program_time(const struct ph_program *program, double *seconds) {
    span_run(&(struct span){program, 0, program->plan.step_count, seconds});
}

ph_status ph_program_forward(struct ph_program *program) {
    if (program->engine) return program->engine->run(program->state, false, program->arena);
    struct span span = {program, 0, program->plan.forward_count, NULL};
    ph_parallel_region(program->context, span_run, &span);
    return PH_OK;
}

ph_status ph_program_backward(struct ph_program *program) {
    if (program->engine) return program->engine->run(program->state, true, program->arena);
    struct span span = {program, program->plan.forward_count, program->plan.step_count, NULL};
    ph_parallel_region(program->context, span_run, &span);
    return PH_OK;
}

ph_status ph_program_run(struct ph_program *program) {
    if (program->engine) {
        PH_TRY(ph_program_forward(program));
        return ph_program_backward(program);
    }
    struct span span = {program, 0, program->plan.step_count, NULL};
    ph_parallel_region(program->context, span_run, &span);
    return PH_OK;
}

bool ph_program_loops(const struct ph_program *program) { return program->loops; }

ph_status ph_program_loop_start(struct ph_program *program) {
    return program->engine->loop_start(program->state, program->arena);
}

ph_status ph_program_loop_submit(struct ph_program *program, int64_t first, int *steps, bool look) {
    return program->engine->loop_submit(program->state, first, steps, look, program->arena);
}

ph_status ph_program_loop_collect(struct ph_program *program, struct ph_loop_report *reports) {
    return program->engine->loop_collect(program->state, reports, program->arena);
}

ph_status ph_program_loop_fetch(struct ph_program *program) {
    return program->engine->loop_fetch(program->state, program->arena);
}
