/* Matrix products: gemm (ONNX Gemm: two matrices, optionally transposed, plus a broadcast third) and matmul (NumPy's
 * rule: stacks of matrices with broadcast stack axes, vectors at either side). */
#include "graph/einsum.h"
#include "graph/operations.h"

/* A matrix inside a tensor; transposing it swaps the strides. */
struct matrix { const real *data; int64_t row, column; };

static struct matrix transposed(struct matrix m) { return (struct matrix){m.data, m.column, m.row}; }

/* out[rows,columns] += scale * a[rows,inner] b[inner,columns] */
static void product_add(real *out, int64_t out_row, int64_t out_column, int64_t rows, int64_t columns, int64_t inner,
                        double scale, struct matrix a, struct matrix b) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0;
            for (int64_t k = 0; k < inner; k++)
                sum += (double)a.data[i * a.row + k * a.column] * b.data[k * b.row + j * b.column];
            real *element = &out[i * out_row + j * out_column];
            *element = (real)(*element + scale * sum);
        }
}

/* ---- gemm -------------------------------------------------------------------------------------------------------- */

static ph_status gemm_infer(struct ph_inference *inference) {
    const struct ph_gemm_attributes *attributes = inference->attributes;
    const struct ph_shape *a = &inference->inputs[0]->shape, *b = &inference->inputs[1]->shape;
    if (a->rank != 2 || b->rank != 2) return ph_infer_fail(inference, "two matrices expected");
    int64_t inner = a->dims[!attributes->transpose_a];
    if (b->dims[attributes->transpose_b] != inner)
        return ph_infer_fail(inference, "the inner sizes %lld and %lld differ", (long long)inner,
                             (long long)b->dims[attributes->transpose_b]);
    struct ph_shape *y = &inference->shapes[0], sum;
    *y = PH_SHAPE(a->dims[attributes->transpose_a], b->dims[!attributes->transpose_b]);
    const struct ph_value *c = inference->input_count > 2 ? inference->inputs[2] : NULL;
    if (c && (!ph_shape_broadcast(&c->shape, y, &sum) || !ph_shape_equal(&sum, y)))
        return ph_infer_fail(inference, "the third input does not broadcast to the product");
    return PH_OK;
}

/* Sizes of the third input seen as a matrix. */
static void addend_sizes(const struct ph_shape *c, int64_t *rows, int64_t *columns) {
    *rows = c->rank == 2 ? c->dims[0] : 1;
    *columns = c->rank ? c->dims[c->rank - 1] : 1;
}

static struct matrix gemm_operand(const void *data, const struct ph_shape *shape, bool transpose) {
    struct matrix m = {data, shape->dims[1], 1};
    return transpose ? transposed(m) : m;
}

static void gemm_forward(const struct ph_call *call) {
    const struct ph_gemm_attributes *attributes = call->attributes;
    int64_t rows = call->output_shapes[0].dims[0], columns = call->output_shapes[0].dims[1];
    int64_t inner = call->input_shapes[0]->dims[!attributes->transpose_a], addend_rows = 1, addend_columns = 1;
    const real *addend = call->input_count > 2 ? call->inputs[2] : NULL;
    if (addend) addend_sizes(call->input_shapes[2], &addend_rows, &addend_columns);
    real *y = call->outputs[0];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            int64_t index = (addend_rows == 1 ? 0 : i * addend_columns) + (addend_columns == 1 ? 0 : j);
            y[i * columns + j] = addend ? (real)(attributes->beta * addend[index]) : 0;
        }
    product_add(y, columns, 1, rows, columns, inner, attributes->alpha,
                gemm_operand(call->inputs[0], call->input_shapes[0], attributes->transpose_a),
                gemm_operand(call->inputs[1], call->input_shapes[1], attributes->transpose_b));
}

/* Gradient of a broadcast addend: each of its elements collects the rows and columns it was spread over. */
static void addend_backward(real *gradient, const struct ph_shape *shape, double beta, const real *output_gradient,
                            int64_t rows, int64_t columns) {
    int64_t addend_rows, addend_columns;
    addend_sizes(shape, &addend_rows, &addend_columns);
    for (int64_t i = 0; i < addend_rows; i++)
        for (int64_t j = 0; j < addend_columns; j++) {
            double sum = 0;
            for (int64_t r = i; r < (addend_rows == 1 ? rows : i + 1); r++)
                for (int64_t c = j; c < (addend_columns == 1 ? columns : j + 1); c++)
                    sum += output_gradient[r * columns + c];
            real *element = &gradient[i * addend_columns + j];
            *element = (real)(*element + beta * sum);
        }
}

static void gemm_backward(const struct ph_call *call) {
    const struct ph_gemm_attributes *attributes = call->attributes;
    int64_t rows = call->output_shapes[0].dims[0], columns = call->output_shapes[0].dims[1];
    int64_t inner = call->input_shapes[0]->dims[!attributes->transpose_a];
    struct matrix y = {call->output_gradients[0], columns, 1};
    if (call->input_gradients[0]) {
        bool t = attributes->transpose_a;
        product_add(call->input_gradients[0], t ? 1 : inner, t ? rows : 1, rows, inner, columns, attributes->alpha, y,
                    transposed(gemm_operand(call->inputs[1], call->input_shapes[1], attributes->transpose_b)));
    }
    if (call->input_gradients[1]) {
        bool t = attributes->transpose_b;
        product_add(call->input_gradients[1], t ? 1 : columns, t ? inner : 1, inner, columns, rows, attributes->alpha,
                    transposed(gemm_operand(call->inputs[0], call->input_shapes[0], attributes->transpose_a)), y);
    }
    if (call->input_count > 2 && call->input_gradients[2])
        addend_backward(call->input_gradients[2], call->input_shapes[2], attributes->beta, y.data, rows, columns);
}

static double gemm_flops(const struct ph_call *call) {
    const struct ph_gemm_attributes *attributes = call->attributes;
    return 2.0 * (double)ph_shape_size(&call->output_shapes[0]) *
           (double)call->input_shapes[0]->dims[!attributes->transpose_a];
}

static ph_status gemm_read(struct ph_import *import) {
    struct ph_gemm_attributes attributes = {
        .alpha = ph_import_float(import, "alpha", 1), .beta = ph_import_float(import, "beta", 1),
        .transpose_a = ph_import_int(import, "transA", 0), .transpose_b = ph_import_int(import, "transB", 0)};
    return ph_import_append(import, &attributes, -1);
}

/* ---- matmul ------------------------------------------------------------------------------------------------------ */

/* Stacks of [m,inner] and [inner,n] matrices; a vector is a row on the left and a column on the right. */
struct stacks {
    int64_t m, inner, n, count;
    struct ph_shape stack, stack_a, stack_b; /* the axes before the matrices: of the result and of either operand */
};

static struct ph_shape stack_axes(const struct ph_shape *shape) {
    struct ph_shape stack = *shape;
    stack.rank = PH_MAX(shape->rank - 2, 0);
    return stack;
}

/* False when the operands do not fit. Both have rank 1 or more. */
static bool stacks_of(const struct ph_shape *a, const struct ph_shape *b, struct stacks *s) {
    s->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    s->inner = a->dims[a->rank - 1];
    s->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    s->stack_a = stack_axes(a);
    s->stack_b = stack_axes(b);
    if (!ph_shape_broadcast(&s->stack_a, &s->stack_b, &s->stack)) return false;
    s->count = ph_shape_size(&s->stack);
    return b->dims[PH_MAX(b->rank - 2, 0)] == s->inner;
}

/* Which matrix of an operand meets matrix `index` of the result. */
static int64_t operand_index(const struct ph_shape *operand, const struct ph_shape *stack, int64_t index) {
    int64_t result = 0, step = 1;
    for (int i = 1; i <= operand->rank; i++) {
        int64_t size = operand->dims[operand->rank - i], full = stack->dims[stack->rank - i];
        if (size != 1) result += index % full * step;
        index /= full;
        step *= size;
    }
    return result;
}

static ph_status matmul_infer(struct ph_inference *inference) {
    const struct ph_shape *a = &inference->inputs[0]->shape, *b = &inference->inputs[1]->shape;
    struct stacks s;
    if (a->rank < 1 || b->rank < 1) return ph_infer_fail(inference, "a number has no matrix product");
    if (!stacks_of(a, b, &s)) return ph_infer_fail(inference, "operands like [...,m,k] and [...,k,n] expected");
    struct ph_shape *y = &inference->shapes[0];
    *y = s.stack;
    if (a->rank > 1) y->dims[y->rank++] = s.m;
    if (b->rank > 1) y->dims[y->rank++] = s.n;
    return PH_OK;
}

static void matmul_forward(const struct ph_call *call) {
    struct stacks s;
    stacks_of(call->input_shapes[0], call->input_shapes[1], &s);
    real *y = call->outputs[0];
    for (int64_t i = 0; i < s.count * s.m * s.n; i++) y[i] = 0;
    for (int64_t i = 0; i < s.count; i++) {
        const real *a = (const real *)call->inputs[0] + operand_index(&s.stack_a, &s.stack, i) * s.m * s.inner;
        const real *b = (const real *)call->inputs[1] + operand_index(&s.stack_b, &s.stack, i) * s.inner * s.n;
        product_add(y + i * s.m * s.n, s.n, 1, s.m, s.n, s.inner, 1, (struct matrix){a, s.inner, 1},
                    (struct matrix){b, s.n, 1});
    }
}

static void matmul_backward(const struct ph_call *call) {
    struct stacks s;
    stacks_of(call->input_shapes[0], call->input_shapes[1], &s);
    real *gradient_a = call->input_gradients[0], *gradient_b = call->input_gradients[1];
    for (int64_t i = 0; i < s.count; i++) {
        int64_t at_a = operand_index(&s.stack_a, &s.stack, i) * s.m * s.inner;
        int64_t at_b = operand_index(&s.stack_b, &s.stack, i) * s.inner * s.n;
        struct matrix y = {(const real *)call->output_gradients[0] + i * s.m * s.n, s.n, 1};
        struct matrix a = {(const real *)call->inputs[0] + at_a, s.inner, 1};
        struct matrix b = {(const real *)call->inputs[1] + at_b, s.n, 1};
        if (gradient_a) product_add(gradient_a + at_a, s.inner, 1, s.m, s.inner, s.n, 1, y, transposed(b));
        if (gradient_b) product_add(gradient_b + at_b, s.n, 1, s.inner, s.n, s.m, 1, transposed(a), y);
    }
}

static double matmul_flops(const struct ph_call *call) {
    const struct ph_shape *a = call->input_shapes[0];
    return 2.0 * (double)ph_shape_size(&call->output_shapes[0]) * (double)a->dims[a->rank - 1];
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

#define ATTRIBUTES(...) &(const struct ph_gemm_attributes){.alpha = 1, .beta = 1, __VA_ARGS__}

static const struct ph_case gemm_cases[] = {
    {"plain, row bias", ATTRIBUTES(),
     .inputs = {{PH_SHAPE(3, 4), -1, 1}, {PH_SHAPE(4, 5), -1, 1}, {PH_SHAPE(5), -1, 1}}},
    {"no addend", ATTRIBUTES(), .inputs = {{PH_SHAPE(3, 4), -1, 1}, {PH_SHAPE(4, 2), -1, 1}}},
    {"fully connected: b transposed", ATTRIBUTES(.transpose_b = true),
     .inputs = {{PH_SHAPE(2, 6), -1, 1}, {PH_SHAPE(5, 6), -1, 1}, {PH_SHAPE(5), -1, 1}}},
    {"a transposed, scaled", ATTRIBUTES(.alpha = 0.5, .beta = -2, .transpose_a = true),
     .inputs = {{PH_SHAPE(4, 3), -1, 1}, {PH_SHAPE(4, 2), -1, 1}, {PH_SHAPE(3, 2), -1, 1}}},
    {"both transposed, column addend", ATTRIBUTES(.alpha = 1.5, .transpose_a = true, .transpose_b = true),
     .inputs = {{PH_SHAPE(4, 3), -1, 1}, {PH_SHAPE(5, 4), -1, 1}, {PH_SHAPE(3, 1), -1, 1}}},
    {"row addend as a matrix", ATTRIBUTES(.beta = 0.5),
     .inputs = {{PH_SHAPE(3, 2), -1, 1}, {PH_SHAPE(2, 4), -1, 1}, {PH_SHAPE(1, 4), -1, 1}}},
    {"scalar addend", ATTRIBUTES(), .inputs = {{PH_SHAPE(2, 3), -1, 1}, {PH_SHAPE(3, 2), -1, 1}, {PH_SCALAR, -1, 1.5}}},
    {"one number addend", ATTRIBUTES(),
     .inputs = {{PH_SHAPE(2, 3), -1, 1}, {PH_SHAPE(3, 2), -1, 1}, {PH_SHAPE(1), -1, 1.5}}},
    {0}};

static const struct ph_case matmul_cases[] = {
    {"matrices", NULL, .inputs = {{PH_SHAPE(3, 4), -1, 1}, {PH_SHAPE(4, 5), -1, 1}}},
    {"stacks", NULL, .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}, {PH_SHAPE(2, 4, 2), -1, 1}}},
    {"a stack and a matrix", NULL, .inputs = {{PH_SHAPE(2, 3, 3, 4), -1, 1}, {PH_SHAPE(4, 2), -1, 1}}},
    {"a matrix and a stack", NULL, .inputs = {{PH_SHAPE(3, 4), -1, 1}, {PH_SHAPE(3, 4, 2), -1, 1}}},
    {"stacks broadcast both ways", NULL, .inputs = {{PH_SHAPE(2, 1, 2, 3), -1, 1}, {PH_SHAPE(4, 3, 2), -1, 1}}},
    {"vector and matrix", NULL, .inputs = {{PH_SHAPE(4), -1, 1}, {PH_SHAPE(4, 3), -1, 1}}},
    {"stack and vector", NULL, .inputs = {{PH_SHAPE(2, 3, 4), -1, 1}, {PH_SHAPE(4), -1, 1}}},
    {"vectors", NULL, .inputs = {{PH_SHAPE(6), -1, 1}, {PH_SHAPE(6), -1, 1}}},
    {0}};

PH_OPERATION(gemm) = {
    .name = "gemm",
    .help = "alpha A B + beta C for matrices, each of A and B optionally transposed, C broadcast",
    .attributes_size = sizeof(struct ph_gemm_attributes),
    .minimum_inputs = 2, .maximum_inputs = 3,
    .differentiable = 0x7, .backward_reads = PH_READS_INPUTS,
    .infer = gemm_infer, .forward = gemm_forward, .backward = gemm_backward, .flops = gemm_flops,
    .importers = (const struct ph_importer[]){{"Gemm", gemm_read}, {0}},
    .cases = gemm_cases,
};

PH_OPERATION(matmul) = {
    .name = "matmul",
    .help = "matrix product of NumPy: stacks of matrices with broadcasting, vectors on either side",
    .minimum_inputs = 2, .maximum_inputs = 2,
    .differentiable = 0x3, .backward_reads = PH_READS_INPUTS,
    .infer = matmul_infer, .forward = matmul_forward, .backward = matmul_backward, .flops = matmul_flops,
    .importers = (const struct ph_importer[]){{"MatMul", NULL}, {"Einsum", ph_einsum_read}, {0}},
    .cases = matmul_cases,
};
