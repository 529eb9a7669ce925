/* Fully connected layers: rows by a constant matrix, read in place. For a few rows it is read once and bounds the time, so
 * the work is split along it: by rows where each gives one output (dot products), by columns where rows are added up. Many
 * rows are a product of matrices. */
#include "cpu/kernels/blocked.h"
#include "cpu/kernels/product.h"

enum { COLUMNS = 1024, ABREAST = 4, MANY_ROWS = 8 };

struct product {
    const float *rows_in;   /* [items, in] */
    const float *matrix;    /* [count, length] */
    const float *bias;      /* as gemm's C */
    int64_t bias_row, bias_column; /* its strides, 0 where broadcast */
    float *out;
    int64_t items, count, length;
    float alpha, beta;
    bool accumulate;
};

static void finish(const struct product *p, int64_t n, int64_t column, int64_t width, float sum) {
    float *out = &p->out[n * width + column];
    sum *= p->alpha;
    if (p->bias) sum += p->beta * p->bias[n * p->bias_row + column * p->bias_column];
    *out = p->accumulate ? *out + sum : sum;
}

/* out[n][i] = in[n] . matrix[i] for a stretch of i. */
static void dot_rows(void *argument, int64_t index) {
    const struct product *p = argument;
    for (int64_t i = index * 16; i < PH_MIN((index + 1) * 16, p->count); i++)
        for (int64_t n = 0; n < p->items; n++) {
            const float *a = p->rows_in + n * p->length, *b = p->matrix + i * p->length;
            vector sums[4] = {{0}};
            int64_t k = 0;
            for (; k + 4 * PH_LANES <= p->length; k += 4 * PH_LANES)
                for (int j = 0; j < 4; j++) sums[j] += load(a + k + j * PH_LANES) * load(b + k + j * PH_LANES);
            vector total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
            float sum = 0;
            for (int lane = 0; lane < PH_LANES; lane++) sum += total[lane];
            for (; k < p->length; k++) sum += a[k] * b[k];
            finish(p, n, i, p->count, sum);
        }
}

/* sums[j] += the factors times the rows' elements, one row after the other. */
PH_INLINE void add_abreast(float *sums, const float *const *rows, const float *factors, int64_t columns, const int count) {
    int64_t j = 0;
    for (; j + PH_LANES <= columns; j += PH_LANES) {
        vector sum = load(sums + j);
#pragma GCC unroll 4
        for (int r = 0; r < count; r++) sum += splat(factors[r]) * load(rows[r] + j);
        store(sums + j, sum);
    }
    for (; j < columns; j++)
        for (int r = 0; r < count; r++) sums[j] += factors[r] * rows[r][j];
}

/* out[n] = sum over i of in[n][i] matrix[i], for a stretch of columns. Rows whose factor is 0 are not fetched: behind a ReLU
 * those are half of a gradient and more. */
static void add_rows(void *argument, int64_t index) {
    const struct product *p = argument;
    int64_t first = index * COLUMNS, columns = PH_MIN((int64_t)COLUMNS, p->length - first);
    for (int64_t n = 0; n < p->items; n++) {
        float sums[COLUMNS] = {0}, factors[ABREAST];
        const float *rows[ABREAST];
        int count = 0;
        for (int64_t i = 0; i < p->count; i++) {
            float factor = p->rows_in[n * p->count + i];
            if (factor == 0) continue;
            factors[count] = factor;
            rows[count++] = p->matrix + i * p->length + first;
            if (count < ABREAST) continue;
            add_abreast(sums, rows, factors, columns, ABREAST);
            count = 0;
        }
        for (int r = 0; r < count; r++) add_abreast(sums, rows + r, factors + r, columns, 1);
        for (int64_t j = 0; j < columns; j++) finish(p, n, first + j, p->length, sums[j]);
    }
}

/* The bias is there first, and the product added. */
static void run_many(const struct ph_kernel_call *call, const struct product *p, bool dots) {
    const struct ph_shape *matrix = call->plain.input_shapes[1];
    int64_t count = matrix->dims[0], length = matrix->dims[1], columns = dots ? count : length;
    for (int64_t n = 0; p->bias && n < p->items; n++)
        for (int64_t c = 0; c < columns; c++)
            p->out[n * columns + c] = p->beta * p->bias[n * p->bias_row + c * p->bias_column];
    struct ph_product product = {.a = {(float *)p->rows_in, dots ? length : count, 1, {0}},
        .b = {call->inputs[1].data, dots ? 1 : length, dots ? length : 1, {0}}, .y = {p->out, columns, 1, {0}},
        .rows = p->items, .inner = dots ? length : count, .columns = columns, .factor = p->alpha,
        .accumulate = p->bias || p->accumulate};
    PH_KERNEL(ph_product_run)(call->context, &product);
}

static void run_product(const struct ph_kernel_call *call, struct product *p, bool dots) {
    const struct ph_shape *matrix = call->plain.input_shapes[1];
    if (p->items >= MANY_ROWS) {
        run_many(call, p, dots);
        return;
    }
    p->matrix = call->inputs[1].data;
    p->count = matrix->dims[0];
    p->length = matrix->dims[1];
    if (dots) ph_parallel_for(call->context, (p->count + 15) / 16, dot_rows, p);
    else ph_parallel_for(call->context, (p->length + COLUMNS - 1) / COLUMNS, add_rows, p);
}

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_gemm_attributes *a = query->node->attributes;
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    bool bias = node->input_count > 2 && node->inputs[2] != PH_ABSENT;
    return !a->transpose_a && values[node->inputs[1]].data && !(query->wanted & ~1u) && (!bias || values[node->inputs[2]].data);
}

static void forward_run(const struct ph_kernel_call *call) {
    const struct ph_gemm_attributes *a = call->node->attributes;
    const struct ph_shape *out = &call->plain.output_shapes[0];
    struct product p = {.rows_in = call->inputs[0].data, .out = call->outputs[0].data, .items = out->dims[0],
        .alpha = (float)a->alpha, .beta = (float)a->beta};
    if (call->plain.input_count > 2 && call->inputs[2].data) {
        const struct ph_shape *bias = call->plain.input_shapes[2];
        p.bias = call->inputs[2].data;
        int64_t columns = bias->rank ? bias->dims[bias->rank - 1] : 1;
        p.bias_column = columns > 1;
        p.bias_row = bias->rank == 2 && bias->dims[0] > 1 ? columns : 0;
    }
    run_product(call, &p, a->transpose_b);
}

static void backward_run(const struct ph_kernel_call *call) {
    const struct ph_gemm_attributes *a = call->node->attributes;
    struct product p = {.rows_in = call->output_gradients[0].data, .out = call->input_gradients[0].data,
        .items = call->plain.output_shapes[0].dims[0], .alpha = (float)a->alpha, .accumulate = call->accumulate[0]};
    run_product(call, &p, !a->transpose_b);
}

static unsigned reads_nothing(const struct ph_kernel_query *query) { return (void)query, 0; }

const struct ph_kernel PH_KERNEL(ph_gemm_forward) = {.name = "rows", .operation = &ph_operation_gemm, .accepts = accepts,
    .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_gemm_backward) = {.name = "rows", .operation = &ph_operation_gemm, .backward = true,
    .accepts = accepts, .run = backward_run, .reads = reads_nothing};
