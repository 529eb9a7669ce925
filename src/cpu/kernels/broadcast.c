/* Sums, differences, products and quotients with a constant that repeats along the first axes, the last ones or both: a bias of
 * each column, a factor of each channel, a spectrum's weights, a number. */
#include "cpu/kernels/list.h"

enum { STRETCH = 8192 };

/* The constant's elements are met in turn, `period` of them, each `repeat` times over. */
struct pattern { int64_t period, repeat; };

/* Whether the constant lies so in a tensor of this shape. */
static bool pattern_find(const struct ph_shape *constant, const struct ph_shape *shape, struct pattern *pattern) {
    enum { BEHIND, WITHIN, BEFORE } part = BEHIND; /* of axes from the last on: those it repeats along, its own, again the former */
    *pattern = (struct pattern){1, 1};
    for (int i = 1; i <= shape->rank; i++) {
        int64_t size = shape->dims[shape->rank - i], own = i > constant->rank ? 1 : constant->dims[constant->rank - i];
        if (size == 1) continue;
        if (own == 1 && part == WITHIN) part = BEFORE;
        if (own != 1 && part == BEHIND) part = WITHIN;
        if (own != 1 && (own != size || part == BEFORE)) return false;
        if (part == BEHIND) pattern->repeat *= size;
        if (part == WITHIN) pattern->period *= size;
    }
    return constant->rank <= shape->rank;
}

/* Of what the output's shape is: x, or its gradient's g; and of the constant b. */
enum kind { SUM, LESS, FROM, PRODUCT, QUOTIENT, UNDER, PASSED, NEGATED, SLOPE_UNDER };

PH_INLINE float value_of(const enum kind kind, float x, float b, float g) {
    switch (kind) {
    case SUM: return x + b;
    case LESS: return x - b;
    case FROM: return b - x;
    case PRODUCT: return x * b;
    case QUOTIENT: return x / b;
    case UNDER: return b / x;
    case PASSED: return x;
    case NEGATED: return -x;
    case SLOPE_UNDER: return -g * b / (x * x);
    }
    return 0;
}

struct job {
    enum kind kind;
    const float *x, *b, *g; /* g: of SLOPE_UNDER alone */
    float *out;
    struct pattern pattern;
    bool accumulate;
    int64_t length, lines, pieces, items, items_of_task; /* items are pieces of lines: of a period, or of one element's repeats */
};

PH_INLINE void line_by(const enum kind kind, const struct job *j, int64_t at, int64_t count, const float *restrict b) {
    const float *restrict x = j->x + at, *restrict g = j->g ? j->g + at : x;
    float *restrict out = j->out + at, same = *b;
    if (j->pattern.repeat > 1 && j->accumulate)
        for (int64_t i = 0; i < count; i++) out[i] += value_of(kind, x[i], same, g[i]);
    else if (j->pattern.repeat > 1)
        for (int64_t i = 0; i < count; i++) out[i] = value_of(kind, x[i], same, g[i]);
    else if (j->accumulate)
        for (int64_t i = 0; i < count; i++) out[i] += value_of(kind, x[i], b[i], g[i]);
    else
        for (int64_t i = 0; i < count; i++) out[i] = value_of(kind, x[i], b[i], g[i]);
}

static void line_run(const struct job *j, int64_t at, int64_t count, const float *b) {
    switch (j->kind) {
    case SUM: line_by(SUM, j, at, count, b); break;
    case LESS: line_by(LESS, j, at, count, b); break;
    case FROM: line_by(FROM, j, at, count, b); break;
    case PRODUCT: line_by(PRODUCT, j, at, count, b); break;
    case QUOTIENT: line_by(QUOTIENT, j, at, count, b); break;
    case UNDER: line_by(UNDER, j, at, count, b); break;
    case PASSED: line_by(PASSED, j, at, count, b); break;
    case NEGATED: line_by(NEGATED, j, at, count, b); break;
    case SLOPE_UNDER: line_by(SLOPE_UNDER, j, at, count, b); break;
    }
}

static void task_run(void *argument, int64_t index) {
    const struct job *j = argument;
    int64_t end = PH_MIN((index + 1) * j->items_of_task, j->items);
    for (int64_t item = index * j->items_of_task; item < end; item++) {
        int64_t line = item / j->pieces, first = item % j->pieces * STRETCH, count = PH_MIN((int64_t)STRETCH, j->length - first);
        line_run(j, line * j->length + first, count, j->b + (j->pattern.repeat > 1 ? line % j->pattern.period : first));
    }
}

/* Which input is the constant: 0 or 1; -1 when the node is not of this kind. */
static int constant_of(const struct ph_graph *graph, const struct ph_node *node) {
    const struct ph_shape *out = &graph->values[node->outputs[0]].shape;
    for (int i = 0; i < 2; i++) {
        const struct ph_value *constant = &graph->values[node->inputs[i]], *other = &graph->values[node->inputs[1 - i]];
        struct pattern pattern;
        if (constant->data && !other->data && ph_shape_equal(&other->shape, out) &&
            pattern_find(&constant->shape, out, &pattern))
            return i;
    }
    return -1;
}

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_value *out = &query->graph->values[query->node->outputs[0]];
    return !query->blocked_input && ph_shape_size(&out->shape) > 0 && out->type == PH_FLOAT &&
           constant_of(query->graph, query->node) >= 0;
}

static enum kind forward_kind(const struct ph_operation *operation, int constant) {
    if (operation == &ph_operation_add) return SUM;
    if (operation == &ph_operation_sub) return constant ? LESS : FROM;
    if (operation == &ph_operation_mul) return PRODUCT;
    return constant ? QUOTIENT : UNDER;
}

static enum kind backward_kind(const struct ph_operation *operation, int constant) {
    if (operation == &ph_operation_add) return PASSED;
    if (operation == &ph_operation_sub) return constant ? PASSED : NEGATED;
    if (operation == &ph_operation_mul) return PRODUCT;
    return constant ? QUOTIENT : SLOPE_UNDER;
}

static void job_run(const struct ph_kernel_call *call, struct job *job, int constant) {
    const struct ph_shape *out = &call->plain.output_shapes[0];
    pattern_find(call->plain.input_shapes[constant], out, &job->pattern);
    job->b = call->inputs[constant].data;
    job->length = job->pattern.repeat > 1 ? job->pattern.repeat : job->pattern.period;
    job->lines = ph_shape_size(out) / job->length;
    job->pieces = (job->length + STRETCH - 1) / STRETCH;
    job->items = job->lines * job->pieces;
    job->items_of_task = PH_MAX((int64_t)1, STRETCH / job->length);
    ph_parallel_for(call->context, (job->items + job->items_of_task - 1) / job->items_of_task, task_run, job);
}

/* Where both operands are of the output's shape, either may be taken for the constant. */
static void forward_run(const struct ph_kernel_call *call) {
    int constant = ph_shape_equal(call->plain.input_shapes[0], &call->plain.output_shapes[0]) ? 1 : 0;
    struct job job = {.kind = forward_kind(call->node->operation, constant), .x = call->inputs[1 - constant].data,
        .out = call->outputs[0].data};
    job_run(call, &job, constant);
}

static void backward_run(const struct ph_kernel_call *call) {
    int constant = call->input_gradients[0].data ? 1 : 0;
    struct job job = {.kind = backward_kind(call->node->operation, constant), .x = call->output_gradients[0].data,
        .out = call->input_gradients[1 - constant].data, .accumulate = call->accumulate[1 - constant]};
    if (job.kind == SLOPE_UNDER) job.g = job.x, job.x = call->inputs[1].data;
    job_run(call, &job, constant);
}

/* A quotient under the constant: what it is divided by. */
static unsigned backward_reads(const struct ph_kernel_query *query) {
    bool under = query->node->operation == &ph_operation_div && constant_of(query->graph, query->node) == 0;
    return under ? PH_READS_INPUTS : 0;
}

#define BROADCAST(which)                                                                                                  \
    const struct ph_kernel PH_KERNEL(ph_broadcast_##which##_forward) = {.name = "broadcast", .by_item = true,               \
        .operation = &ph_operation_##which, .accepts = accepts, .run = forward_run};                                         \
    const struct ph_kernel PH_KERNEL(ph_broadcast_##which##_backward) = {.name = "broadcast", .by_item = true,              \
        .operation = &ph_operation_##which, .backward = true, .accepts = accepts, .run = backward_run, .reads = backward_reads};

BROADCAST(add)
BROADCAST(sub)
BROADCAST(mul)
BROADCAST(div)
