/* NumPy's matmul, in both directions. Where the right operand is one matrix for all, the left one's axes before the last are
 * rows of one large matrix. */
#include "cpu/kernels/list.h"
#include "cpu/kernels/product.h"

/* At least two axes each, not empty; an operand that is repeated over a stack wants no gradient, but for a left one whose
 * partner is a single matrix. */
static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    const struct ph_shape *y = &values[node->outputs[0]].shape;
    for (int i = 0; i < 2; i++) {
        const struct ph_shape *shape = &values[node->inputs[i]].shape;
        if (shape->rank < 2 || !ph_shape_size(shape)) return false;
        bool repeated = shape->rank < y->rank;
        for (int axis = 0; axis < shape->rank - 2 && !repeated; axis++)
            repeated = shape->dims[axis] != y->dims[axis];
        if (repeated && query->wanted & 1u << i) return false;
    }
    return true;
}

/* Strides of an operand over the axes of y's stack; 0 along those it is repeated over. */
static struct ph_matrix matrix_of(const struct ph_operand *operand, float *data, const struct ph_shape *y) {
    const struct ph_shape *shape = operand->shape;
    struct ph_matrix matrix = {.data = data, .row = shape->dims[shape->rank - 1], .column = 1};
    int64_t stride = shape->dims[shape->rank - 1] * shape->dims[shape->rank - 2];
    for (int axis = y->rank - 3, own = shape->rank - 3; axis >= 0 && own >= 0; axis--, own--) {
        matrix.item[axis] = shape->dims[own] == 1 ? 0 : stride;
        stride *= shape->dims[own];
    }
    return matrix;
}

static struct ph_matrix transposed(struct ph_matrix matrix) {
    int64_t row = matrix.row;
    matrix.row = matrix.column;
    matrix.column = row;
    return matrix;
}

/* One matrix on the right for all items: the stack becomes rows. */
static void flatten(struct ph_product *p, bool shared) {
    if (!shared) return;
    for (int axis = 0; axis < p->axes; axis++) p->rows *= p->stack[axis];
    p->axes = 0;
}

static bool is_shared(const struct ph_kernel_call *call) {
    const struct ph_shape *b = call->inputs[1].shape;
    return ph_shape_size(b) == b->dims[b->rank - 1] * b->dims[b->rank - 2] &&
           ph_shape_size(call->inputs[0].shape) / call->inputs[0].shape->dims[call->inputs[0].shape->rank - 1] ==
               ph_shape_size(&call->plain.output_shapes[0]) / b->dims[b->rank - 1];
}

static struct ph_product product_of(const struct ph_kernel_call *call) {
    const struct ph_shape *y = &call->plain.output_shapes[0];
    struct ph_product p = {.axes = y->rank - 2, .factor = 1};
    for (int axis = 0; axis < p.axes; axis++) p.stack[axis] = y->dims[axis];
    return p;
}

static void forward_run(const struct ph_kernel_call *call) {
    const struct ph_shape *y = &call->plain.output_shapes[0];
    struct ph_product p = product_of(call);
    p.a = matrix_of(&call->inputs[0], call->inputs[0].data, y);
    p.b = matrix_of(&call->inputs[1], call->inputs[1].data, y);
    p.y = matrix_of(&call->outputs[0], call->outputs[0].data, y);
    p.rows = y->dims[y->rank - 2];
    p.columns = y->dims[y->rank - 1];
    p.inner = call->inputs[0].shape->dims[call->inputs[0].shape->rank - 1];
    flatten(&p, is_shared(call));
    PH_KERNEL(ph_product_run)(call->context, &p);
}

static void backward_run(const struct ph_kernel_call *call) {
    const struct ph_shape *y = &call->plain.output_shapes[0];
    int64_t rows = y->dims[y->rank - 2], columns = y->dims[y->rank - 1];
    int64_t inner = call->inputs[0].shape->dims[call->inputs[0].shape->rank - 1];
    struct ph_matrix gradient = matrix_of(&call->output_gradients[0], call->output_gradients[0].data, y);
    if (call->input_gradients[0].data) {
        struct ph_product p = product_of(call);
        p.a = gradient;
        p.b = transposed(matrix_of(&call->inputs[1], call->inputs[1].data, y));
        p.y = matrix_of(&call->inputs[0], call->input_gradients[0].data, y);
        p.rows = rows, p.inner = columns, p.columns = inner;
        p.accumulate = call->accumulate[0];
        flatten(&p, is_shared(call));
        PH_KERNEL(ph_product_run)(call->context, &p);
    }
    if (call->input_gradients[1].data) {
        struct ph_product p = product_of(call);
        p.a = transposed(matrix_of(&call->inputs[0], call->inputs[0].data, y));
        p.b = gradient;
        p.y = matrix_of(&call->inputs[1], call->input_gradients[1].data, y);
        p.rows = inner, p.inner = rows, p.columns = columns;
        p.accumulate = call->accumulate[1];
        PH_KERNEL(ph_product_run)(call->context, &p);
    }
}

const struct ph_kernel PH_KERNEL(ph_matmul_forward) = {.name = "product", .operation = &ph_operation_matmul,
    .accepts = accepts, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_matmul_backward) = {.name = "product", .operation = &ph_operation_matmul,
    .backward = true, .accepts = accepts, .run = backward_run};
