/* Stacks of matrix products [...,m,k] by [...,k,n] whose rows are long: what small networks over all pixels are made of.
 * Sums run over k or m for a stretch of columns at a time, or along whole rows in a fixed order. */
#include "cpu/kernels/blocked.h"

enum { COLUMNS = 256 };

/* y[rows,n] = a b, where a[r][i] is at a[r * row + i * column] and b is [inner,n]. */
struct product {
    const float *a, *b;
    float *y;
    int64_t rows, inner, n, row, column; /* of one matrix */
    int64_t a_size, b_size, y_size;      /* from one of a stack to the next; 0 where all share one */
    bool accumulate;
};

static int64_t stretches(const struct product *p) { return (p->n + COLUMNS - 1) / COLUMNS; }

static void add_rows(void *argument, int64_t index) {
    const struct product *p = argument;
    int64_t item = index / stretches(p), first = index % stretches(p) * COLUMNS;
    int64_t columns = PH_MIN((int64_t)COLUMNS, p->n - first);
    const float *a = p->a + item * p->a_size, *b = p->b + item * p->b_size + first;
    float *y = p->y + item * p->y_size + first;
    for (int64_t r = 0; r < p->rows; r++) {
        float sums[COLUMNS] = {0};
        for (int64_t i = 0; i < p->inner; i++) {
            float factor = a[r * p->row + i * p->column];
            const float *from = b + i * p->n;
            for (int64_t j = 0; j < columns; j++) sums[j] += factor * from[j];
        }
        for (int64_t j = 0; j < columns; j++) y[r * p->n + j] = p->accumulate ? y[r * p->n + j] + sums[j] : sums[j];
    }
}

/* a's gradient: g[r][i] = y[r] . b[i] of length n, for one row. */
static void dot_rows(void *argument, int64_t index) {
    const struct product *p = argument;
    int64_t item = index / p->rows, r = index % p->rows;
    const float *gradient = p->a + item * p->a_size + r * p->n, *b = p->b + item * p->b_size;
    float *out = p->y + item * p->y_size + r * p->inner;
    for (int64_t i = 0; i < p->inner; i++) {
        const float *row = b + i * p->n;
        vector sums[4] = {{0}};
        int64_t j = 0;
        for (; j + 4 * PH_LANES <= p->n; j += 4 * PH_LANES)
            for (int s = 0; s < 4; s++) sums[s] += load(gradient + j + s * PH_LANES) * load(row + j + s * PH_LANES);
        vector total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        float sum = 0;
        for (int lane = 0; lane < PH_LANES; lane++) sum += total[lane];
        for (; j < p->n; j++) sum += gradient[j] * row[j];
        out[i] = p->accumulate ? out[i] + sum : sum;
    }
}

/* Equal stacks, or one right matrix for all, which then wants no gradient. */
static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_value *values = query->graph->values;
    const struct ph_shape *a = &values[query->node->inputs[0]].shape, *b = &values[query->node->inputs[1]].shape;
    if (a->rank != b->rank || a->rank < 2 || b->dims[b->rank - 1] < COLUMNS) return false;
    bool equal = true;
    for (int i = 0; i < a->rank - 2; i++) equal &= a->dims[i] == b->dims[i];
    return equal || (a->rank == 3 && b->dims[0] == 1 && !(query->backward && query->wanted & 2));
}

static struct product product_of(const struct ph_kernel_call *call, int64_t *count) {
    const struct ph_shape *a = call->plain.input_shapes[0], *b = call->plain.input_shapes[1];
    struct product p = {.rows = a->dims[a->rank - 2], .inner = a->dims[a->rank - 1], .n = b->dims[b->rank - 1]};
    p.row = p.inner;
    p.column = 1;
    p.a_size = p.rows * p.inner;
    p.y_size = p.rows * p.n;
    *count = 1;
    for (int i = 0; i < a->rank - 2; i++) *count *= a->dims[i];
    p.b_size = ph_shape_size(b) == p.inner * p.n ? 0 : p.inner * p.n;
    return p;
}

static void forward_run(const struct ph_kernel_call *call) {
    int64_t count;
    struct product p = product_of(call, &count);
    p.a = call->inputs[0].data;
    p.b = call->inputs[1].data;
    p.y = call->outputs[0].data;
    ph_parallel_for(call->context, count * stretches(&p), add_rows, &p);
}

static void backward_run(const struct ph_kernel_call *call) {
    int64_t count;
    const struct product forward = product_of(call, &count);
    if (call->input_gradients[0].data) {
        struct product p = forward;
        p.a = call->output_gradients[0].data;
        p.a_size = forward.y_size;
        p.b = call->inputs[1].data;
        p.y = call->input_gradients[0].data;
        p.y_size = forward.a_size;
        p.accumulate = call->accumulate[0];
        ph_parallel_for(call->context, count * p.rows, dot_rows, &p);
    }
    if (call->input_gradients[1].data) {
        struct product p = forward; /* the left matrix on its side, by the gradient of the result */
        p.a = call->inputs[0].data;
        p.b = call->output_gradients[0].data;
        p.y = call->input_gradients[1].data;
        p.rows = forward.inner, p.inner = forward.rows;
        p.row = 1, p.column = forward.inner;
        p.b_size = forward.y_size, p.y_size = forward.inner * forward.n;
        p.accumulate = call->accumulate[1];
        ph_parallel_for(call->context, count * stretches(&p), add_rows, &p);
    }
}

const struct ph_kernel PH_KERNEL(ph_matmul_forward) = {.name = "stretches", .operation = &ph_operation_matmul,
    .accepts = accepts, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_matmul_backward) = {.name = "stretches", .operation = &ph_operation_matmul,
    .backward = true, .accepts = accepts, .run = backward_run};
