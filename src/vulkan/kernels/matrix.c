/* Convolutions and matrix products, by tiles through shared memory. */
#include "vulkan/kernels/kernels.h"

/* ---- Convolution ------------------------------------------------------------------------------------------------- */

/* A transposed convolution is forward what a convolution is backward. */
static bool is_transposed(const struct ph_node *node) { return node->operation == &ph_operation_convolution_transpose; }

static bool convolution_accepts(const struct ph_kernel_query *query) {
    return query->node->operation == &ph_operation_convolution || is_transposed(query->node);
}

static bool is_bordered(const struct ph_node *node) { return node->input_count > 3 && node->inputs[3] != PH_ABSENT; }

static const float *border_of(const struct ph_kernel_call *call) {
    return is_bordered(call->node) ? call->inputs[3].data : NULL;
}

static unsigned convolution_reads(const struct ph_kernel_query *query) {
    const struct ph_convolution_attributes *a = query->node->attributes;
    return (a->relu ? PH_READS_OUTPUTS : 0) |
           (ph_query_value(query, query->node->inputs[1])->data ? 0 : PH_READS_INPUTS);
}

enum { MAP_NARROW, MAP_WIDE, MAP_WEIGHTS }; /* what the shaders make; the constants that they have in common */

static void map_constants(const struct ph_node *node, const struct ph_shape *shape, int map,
                          int32_t constants[PH_SHADER_CONSTANTS]) {
    const struct ph_convolution_attributes *a = node->attributes;
    constants[0] = map;
    constants[1] = a->relu;
    constants[2] = (int32_t)a->kernel[1];
    constants[3] = (int32_t)a->kernel[2];
    constants[4] = ph_has_depth(shape) ? (int32_t)a->kernel[0] : 0;
}

/* `border`: what is around the source, by channels; NULL: zeros. */
static void words_geometry(struct ph_words *words, const struct ph_recorder *recorder, const struct ph_node *node,
                           const float *border, const struct ph_shape *source, const struct ph_shape *target) {
    const struct ph_convolution_attributes *a = node->attributes;
    ph_words_place(words, recorder, border);
    ph_words_int(words, target->dims[1] / a->groups);
    ph_words_int(words, source->dims[1] / a->groups);
    ph_words_int(words, a->groups);
    ph_words_spatial(words, source);
    ph_words_spatial(words, target);
    ph_words_window(words, a->stride);
    ph_words_window(words, a->dilation);
    ph_words_window(words, a->pad_begin);
    ph_words_float(words, a->ceiling);
}

enum {
    TILE = 32,           /* rows and columns of a workgroup's tile */
    MATRIX_TILE = 64,    /* of one on matrix hardware */
    LEAST_MATRIX = 16,   /* channels written and read, of a group, that its fragments are worth */
    ENOUGH_TILES = 64,   /* for an item, to keep a device busy */
    LEAST_DEPTH = 128,   /* of a part; a multiple of the shader's depth */
    MOST_PARTS = 16,
    THIN_ROWS = 4,       /* channels that one invocation makes */
};

struct split { int64_t parts, depth; };

/* Output channels, those included that a pass left out because nobody reads them: kernels are chosen by that, so that a batch
 * has the bytes of its items alone, of which each reads others. */
static int64_t whole_outputs(const struct ph_node *node, const struct ph_shape *out) {
    const struct ph_convolution_attributes *a = node->attributes;
    return a->whole_outputs ? a->whole_outputs : out->dims[1];
}

/* Whether single channels of the result are picked, behind what keeps channels apart. */
static bool is_picked(const struct ph_graph *graph, int value) {
    bool picked = false, *follows = ph_alloc_array((size_t)graph->value_count + 1, sizeof *follows);
    if (!follows) return true; /* the careful answer */
    follows[value] = true;
    for (int n = graph->values[value].node + 1; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        if (!node->input_count || node->inputs[0] == PH_ABSENT || !follows[node->inputs[0]]) continue;
        const struct ph_shape *from = &graph->values[node->inputs[0]].shape, *to = &graph->values[node->outputs[0]].shape;
        picked |= node->operation == &ph_operation_pick;
        follows[node->outputs[0]] = from->rank > 1 && to->rank > 1 && from->dims[1] == to->dims[1];
    }
    ph_free(follows);
    return picked;
}

/* Whether the inner index may be cut, or summed in another order. Backward it runs over the output's channels, of which a
 * batch leaves others out than its items alone do: then sums go from one to the next, and zeros change nothing. */
static bool sums_move(const struct ph_kernel_query *query) {
    const struct ph_convolution_attributes *a = query->node->attributes;
    return !query->backward || (!a->whole_outputs && !is_picked(query->graph, query->node->outputs[0]));
}

/* What is read and what is written. */
struct operands { const struct ph_shape *source, *target; };

static struct operands query_operands(const struct ph_kernel_query *query) {
    const struct ph_shape *in = ph_query_input(query, 0), *out = ph_query_output(query);
    return query->backward ? (struct operands){out, in} : (struct operands){in, out};
}

/* Whether matrix hardware takes it, or its twin: with --precision fp16 alone, whose weights are of 16 bits anyway. */
static bool matrix_accepts(const struct ph_kernel_query *query) {
    const ph_context *context = query->graph->context;
    const struct ph_vulkan *vulkan = context->device;
    if (!convolution_accepts(query) || context->precision != PH_FP16 || !vulkan || vulkan->matrices == PH_MATRICES_NONE)
        return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    int64_t least = PH_MIN(ph_query_input(query, 0)->dims[1], whole_outputs(query->node, ph_query_output(query)));
    return ph_query_value(query, query->node->inputs[1])->data && least / a->groups >= LEAST_MATRIX && sums_move(query);
}

/* Late layers have few pixels and many channels: too few tiles for a device, each a long sum. Items do not count, so that
 * a batch has the bytes of its items alone. */
static struct split split_of(const struct ph_node *node, struct operands operands, bool backward, int64_t tile) {
    const struct ph_convolution_attributes *a = node->attributes;
    int64_t rows = (backward ? operands.target->dims[1] : whole_outputs(node, operands.target)) / a->groups;
    int64_t tiles = ph_divide_up(ph_channel_size(operands.target), tile) * ph_divide_up(rows, tile) * a->groups;
    int64_t inner = operands.source->dims[1] / a->groups * ph_spatial_size(a->kernel);
    int64_t parts = PH_MIN(PH_MIN(ENOUGH_TILES / PH_MAX(tiles, 1), inner / LEAST_DEPTH), MOST_PARTS);
    if (parts < 2) return (struct split){1, inner};
    int64_t depth = ph_divide_up(ph_divide_up(inner, parts), LEAST_DEPTH) * LEAST_DEPTH;
    return (struct split){ph_divide_up(inner, depth), depth};
}

static struct split query_split(const struct ph_kernel_query *query) {
    struct operands o = query_operands(query);
    return split_of(query->node, o, query->backward, matrix_accepts(query) ? MATRIX_TILE : TILE);
}

static bool split_accepts(const struct ph_kernel_query *query) {
    return convolution_accepts(query) && sums_move(query) && query_split(query).parts > 1;
}

static bool matrix_split_accepts(const struct ph_kernel_query *query) {
    return matrix_accepts(query) && query_split(query).parts > 1;
}

static bool thin_accepts(const struct ph_kernel_query *query) {
    if (!convolution_accepts(query)) return false;
    const struct ph_convolution_attributes *a = query->node->attributes;
    const struct ph_shape *target = query_operands(query).target;
    if (!query->backward && is_bordered(query->node)) return false;
    return a->groups == 1 && (query->backward ? target->dims[1] : whole_outputs(query->node, target)) <= THIN_ROWS;
}

static size_t split_scratch(const struct ph_kernel_query *query) {
    return (size_t)query_split(query).parts * (size_t)ph_shape_size(query_operands(query).target);
}

/* Adds up what a split convolution has put aside. */
static ph_status parts_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, const struct split *split,
                           const struct ph_shape *target, bool backward) {
    const struct ph_convolution_attributes *a = call->node->attributes;
    bool biased = !backward && call->node->input_count > 2;
    struct ph_words words = {0};
    ph_words_int(&words, ph_shape_size(target));
    ph_words_place(&words, recorder, call->scratch);
    ph_words_int(&words, split->parts);
    ph_words_place(&words, recorder, biased ? call->inputs[2].data : NULL);
    ph_words_place(&words, recorder, backward ? call->input_gradients[0].data : call->outputs[0].data);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_int(&words, target->dims[1]);
    ph_words_int(&words, ph_channel_size(target));
    ph_words_float(&words, a->ceiling);
    return ph_dispatch_flat(recorder, PH_SHADER_parts, PH_CONSTANTS(a->relu && !backward), &words, ph_shape_size(target), true);
}

enum way { TILES = 0, THIN = 1, MATRICES = 2, SPLIT = 4 }; /* in which the sums are made; SPLIT with the first or the third */

static ph_status convolution_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward, int way) {
    const struct ph_convolution_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0], *out = &call->plain.output_shapes[0];
    const struct ph_shape *source = backward ? out : in, *target = backward ? in : out;
    int64_t rows = target->dims[1] / a->groups, pixels = ph_channel_size(target);
    bool biased = !backward && call->node->input_count > 2;
    int64_t tile = way & MATRICES ? MATRIX_TILE : TILE;
    struct split split = {1, source->dims[1] / a->groups * ph_spatial_size(a->kernel)};
    if (way & SPLIT) split = split_of(call->node, (struct operands){source, target}, backward, tile);
    struct ph_words words = {0};
    ph_words_place(&words, recorder, call->inputs[1].data);
    ph_words_place(&words, recorder, biased ? call->inputs[2].data : NULL);
    ph_words_place(&words, recorder, backward ? call->output_gradients[0].data : call->inputs[0].data);
    ph_words_place(&words, recorder, backward ? call->input_gradients[0].data : call->outputs[0].data);
    ph_words_place(&words, recorder, backward && a->relu ? call->outputs[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    words_geometry(&words, recorder, call->node, backward ? NULL : border_of(call), source, target);
    int32_t constants[PH_SHADER_CONSTANTS];
    map_constants(call->node, source, backward != is_transposed(call->node) ? MAP_WIDE : MAP_NARROW, constants);
    if (way == THIN)
        return ph_recorder_dispatch(recorder, PH_SHADER_thin, constants, &words, ph_divide_up(pixels, 64), 1, target->dims[0],
                                    false);
    ph_words_int(&words, split.parts);
    ph_words_int(&words, split.depth);
    ph_words_place(&words, recorder, split.parts > 1 ? call->scratch : NULL);
    ph_words_int(&words, ph_shape_size(target));
    bool twin = ((const struct ph_vulkan *)call->context->device)->matrices == PH_MATRICES_TWIN;
    enum ph_shader shader = !(way & MATRICES) ? PH_SHADER_convolution : twin ? PH_SHADER_twin : PH_SHADER_matrix;
    PH_TRY(ph_recorder_dispatch(recorder, shader, constants, &words, ph_divide_up(pixels, tile), ph_divide_up(rows, tile),
                                target->dims[0] * a->groups * split.parts, false));
    return split.parts > 1 ? parts_put(call, recorder, &split, target, backward) : PH_OK;
}

/* With a source the gradient of the weights, without that of a bias by a convolution's result. */
static ph_status weights_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, const float *source, int input) {
    const struct ph_convolution_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0], *out = &call->plain.output_shapes[0];
    bool transposed = is_transposed(call->node);
    const struct ph_shape *wide = transposed ? out : in, *narrow = transposed ? in : out;
    int64_t columns = source ? wide->dims[1] / a->groups * ph_spatial_size(a->kernel) : 1;
    struct ph_words words = {0};
    ph_words_place(&words, recorder, transposed ? call->inputs[0].data : call->output_gradients[0].data);
    ph_words_place(&words, recorder, NULL);
    ph_words_place(&words, recorder, source);
    ph_words_place(&words, recorder, call->input_gradients[input].data);
    ph_words_place(&words, recorder, a->relu ? call->outputs[0].data : NULL);
    ph_words_int(&words, call->accumulate[input]);
    words_geometry(&words, recorder, call->node, source ? border_of(call) : NULL, wide, narrow);
    ph_words_int(&words, in->dims[0]);
    int32_t constants[PH_SHADER_CONSTANTS];
    map_constants(call->node, in, MAP_WEIGHTS, constants);
    return ph_recorder_dispatch(recorder, PH_SHADER_convolution, constants, &words, ph_divide_up(columns, TILE),
                                ph_divide_up(narrow->dims[1] / a->groups, TILE), a->groups, true);
}

static ph_status bias_put(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    if (!is_transposed(call->node)) return weights_put(call, recorder, NULL, 2);
    const struct ph_shape *out = &call->plain.output_shapes[0];
    struct ph_shape bias = {.rank = out->rank - 1, .dims = {out->dims[1]}};
    for (int i = 1; i < bias.rank; i++) bias.dims[i] = 1;
    struct ph_walk walk = ph_walk_begin(out, (const struct ph_shape *const[]){out, &bias}, 2);
    return ph_sum_record(recorder, &walk, ph_recorder_place(recorder, call->output_gradients[0].data),
                         ph_recorder_place(recorder, call->input_gradients[2].data), 1, call->accumulate[2], true);
}

static ph_status backward_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, int way) {
    const float *wide = is_transposed(call->node) ? call->output_gradients[0].data : call->inputs[0].data;
    if (call->input_gradients[0].data) PH_TRY(convolution_put(call, recorder, true, way));
    if (call->input_gradients[1].data) PH_TRY(weights_put(call, recorder, wide, 1));
    return call->node->input_count > 2 && call->input_gradients[2].data ? bias_put(call, recorder) : PH_OK;
}

#define RECORD(label, way) \
    static ph_status label##_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) { \
        return convolution_put(call, recorder, false, way); \
    } \
    static ph_status label##_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) { \
        return backward_put(call, recorder, way); \
    }
RECORD(matrix_split, MATRICES | SPLIT)
RECORD(matrix, MATRICES)
RECORD(split, TILES | SPLIT)
RECORD(thin, THIN)
RECORD(convolution, TILES)
#undef RECORD

/* ---- Matrix product ---------------------------------------------------------------------------------------------- */

struct matrix { uint32_t place; int64_t row, column; };

static struct matrix matrix_of(const struct ph_recorder *recorder, const float *data, int64_t columns, bool transposed) {
    uint32_t place = ph_recorder_place(recorder, data);
    return transposed ? (struct matrix){place, 1, columns} : (struct matrix){place, columns, 1};
}

struct product {
    struct matrix a, b, addend, target;
    int64_t rows, columns, inner;
    double scale, addend_scale;
    struct ph_walk stack, sum; /* products beside each other, and those that are added up; tensors: target, a, b */
    bool add, waits;
};

enum { STACK_RANK = 2, SUM_RANK = 1 };

static int64_t walk_count(const struct ph_walk *walk) {
    int64_t count = 1;
    for (int i = 0; i < walk->rank; i++) count *= walk->dims[i];
    return count;
}

static ph_status product_put(struct ph_recorder *recorder, const struct product *product) {
    const struct matrix *const matrices[] = {&product->a, &product->b, &product->target, &product->addend};
    struct ph_words words = {0};
    ph_words_int(&words, product->a.place);
    ph_words_int(&words, product->b.place);
    ph_words_int(&words, product->addend.place);
    ph_words_int(&words, product->target.place);
    ph_words_int(&words, product->add);
    ph_words_int(&words, product->rows);
    ph_words_int(&words, product->columns);
    ph_words_int(&words, product->inner);
    for (int i = 0; i < PH_COUNT(matrices); i++) {
        ph_words_int(&words, matrices[i]->row);
        ph_words_int(&words, matrices[i]->column);
    }
    ph_words_float(&words, product->scale);
    ph_words_float(&words, product->addend_scale);
    const struct ph_walk *stack = &product->stack;
    ph_words_int(&words, stack->rank ? stack->dims[stack->rank - 1] : 1);
    for (int i = 0; i < 3; i++)
        ph_words_axes(&words, stack->stride[i], stack->rank, STACK_RANK, 0);
    ph_words_axes(&words, product->sum.dims, product->sum.rank, SUM_RANK, 1);
    for (int i = 1; i < 3; i++) ph_words_axes(&words, product->sum.stride[i], product->sum.rank, SUM_RANK, 0);
    return ph_recorder_dispatch(recorder, PH_SHADER_product, PH_CONSTANTS(0), &words, ph_divide_up(product->columns, 16),
                                ph_divide_up(product->rows, 16), walk_count(&product->stack), product->waits);
}

static ph_status gemm_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_gemm_attributes *a = call->node->attributes;
    const struct ph_shape *left = call->plain.input_shapes[0], *right = call->plain.input_shapes[1];
    int64_t rows = call->outputs[0].shape->dims[0], columns = call->outputs[0].shape->dims[1];
    struct product product = {.a = matrix_of(recorder, call->inputs[0].data, left->dims[1], a->transpose_a),
        .b = matrix_of(recorder, call->inputs[1].data, right->dims[1], a->transpose_b), .addend = {PH_NOWHERE, 0, 0},
        .target = matrix_of(recorder, call->outputs[0].data, columns, false), .rows = rows, .columns = columns,
        .inner = left->dims[!a->transpose_a], .scale = a->alpha, .addend_scale = a->beta};
    const struct ph_shape *addend = call->node->input_count > 2 ? call->plain.input_shapes[2] : NULL;
    if (addend) {
        int64_t wide = addend->rank ? addend->dims[addend->rank - 1] : 1, high = addend->rank == 2 ? addend->dims[0] : 1;
        product.addend = (struct matrix){ph_recorder_place(recorder, call->inputs[2].data), high > 1 ? wide : 0, wide > 1};
    }
    return product_put(recorder, &product);
}

static ph_status gemm_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_gemm_attributes *a = call->node->attributes;
    const struct ph_shape *left = call->plain.input_shapes[0], *right = call->plain.input_shapes[1];
    const struct ph_shape *out = &call->plain.output_shapes[0];
    int64_t inner = left->dims[!a->transpose_a];
    const float *dy = call->output_gradients[0].data;
    if (call->input_gradients[0].data) {
        struct product product = {.a = matrix_of(recorder, dy, out->dims[1], false), .addend = {PH_NOWHERE, 0, 0},
            .b = matrix_of(recorder, call->inputs[1].data, right->dims[1], !a->transpose_b),
            .target = matrix_of(recorder, call->input_gradients[0].data, left->dims[1], a->transpose_a), .rows = out->dims[0],
            .columns = inner, .inner = out->dims[1], .scale = a->alpha, .add = call->accumulate[0]};
        PH_TRY(product_put(recorder, &product));
    }
    if (call->input_gradients[1].data) {
        struct product product = {.a = matrix_of(recorder, call->inputs[0].data, left->dims[1], !a->transpose_a),
            .b = matrix_of(recorder, dy, out->dims[1], false), .addend = {PH_NOWHERE, 0, 0},
            .target = matrix_of(recorder, call->input_gradients[1].data, right->dims[1], a->transpose_b), .rows = inner,
            .columns = out->dims[1], .inner = out->dims[0], .scale = a->alpha, .add = call->accumulate[1], .waits = true};
        PH_TRY(product_put(recorder, &product));
    }
    if (call->node->input_count < 3 || !call->input_gradients[2].data) return PH_OK;
    struct ph_walk walk = ph_walk_begin(out, (const struct ph_shape *const[]){out, call->plain.input_shapes[2]}, 2);
    return ph_sum_record(recorder, &walk, ph_recorder_place(recorder, dy),
                         ph_recorder_place(recorder, call->input_gradients[2].data), a->beta, call->accumulate[2], true);
}

/* ---- Stacks of matrices ------------------------------------------------------------------------------------------ */

/* NumPy's rule: a vector on the left is a row, on the right a column. */
struct stack { int64_t rows, columns; struct ph_shape shape; /* of the stack, a matrix counting as one element */ };

static struct stack stack_of(const struct ph_shape *shape, bool left) {
    struct stack stack = {.rows = 1, .columns = 1};
    if (shape->rank == 1) *(left ? &stack.columns : &stack.rows) = shape->dims[0];
    if (shape->rank < 2) return stack;
    stack.rows = shape->dims[shape->rank - 2];
    stack.columns = shape->dims[shape->rank - 1];
    stack.shape.rank = shape->rank - 2;
    for (int i = 0; i < stack.shape.rank; i++) stack.shape.dims[i] = shape->dims[i];
    return stack;
}

/* The products of a matmul: its own, or those that make the gradient of an operand. Strides count matrices. */
struct stacks { struct stack a, b; struct ph_walk walk; };

static bool stacks_find(const struct ph_shape *a, const struct ph_shape *b, struct stacks *stacks) {
    struct ph_shape both;
    *stacks = (struct stacks){.a = stack_of(a, true), .b = stack_of(b, false)};
    if (!ph_shape_broadcast(&stacks->a.shape, &stacks->b.shape, &both)) return false;
    stacks->walk = ph_walk_begin(&both, (const struct ph_shape *const[]){&both, &stacks->a.shape, &stacks->b.shape}, 3);
    return true;
}

/* The walk split into what stays apart in the gradient of `operand` (-1: in the result) and what is added up. */
static void stacks_split(const struct stacks *stacks, int operand, struct ph_walk *apart, struct ph_walk *added) {
    *apart = stacks->walk;
    *added = (struct ph_walk){0};
    if (operand >= 0) ph_walk_split(&stacks->walk, 1 + operand, apart, added);
}

static bool matmul_accepts(const struct ph_kernel_query *query) {
    struct stacks stacks;
    if (!stacks_find(ph_query_input(query, 0), ph_query_input(query, 1), &stacks)) return false;
    for (int operand = query->backward ? 0 : -1; operand < (query->backward ? 2 : 0); operand++) {
        struct ph_walk apart, added;
        stacks_split(&stacks, operand, &apart, &added);
        struct ph_walk rest;
        if (ph_walk_peel(&apart, STACK_RANK, &rest) < 0 || ph_walk_peel(&added, SUM_RANK, &rest) < 0) return false;
    }
    return true;
}

/* target = a b with the matrices of a stack, where tensors 0, 1, 2 of the stacks are the result and both operands. */
static ph_status matmul_put(struct ph_recorder *recorder, const struct stacks *stacks, int operand, struct product *product) {
    int64_t sizes[] = {stacks->a.rows * stacks->b.columns, stacks->a.rows * stacks->a.columns,
                       stacks->b.rows * stacks->b.columns};
    /* Which of them stand for target, a and b: y = a b, da = dy b^T, db = a^T dy. */
    static const int roles[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}};
    const int *role = roles[1 + operand];
    struct ph_walk apart, added;
    stacks_split(stacks, operand, &apart, &added);
    product->addend = (struct matrix){PH_NOWHERE, 0, 0};
    product->scale = 1;
    struct ph_walk stack = apart, sum = added;
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < PH_MAX_RANK; i++) {
            stack.stride[t][i] = apart.stride[role[t]][i] * sizes[role[t]];
            sum.stride[t][i] = added.stride[role[t]][i] * sizes[role[t]];
        }
    int64_t stacks_apart = ph_walk_peel(&stack, STACK_RANK, &product->stack);
    int64_t stacks_added = ph_walk_peel(&sum, SUM_RANK, &product->sum);
    for (int64_t i = 0; i < stacks_apart * stacks_added; i++) {
        int64_t offset[PH_WALK_TENSORS] = {0};
        bool again = i % stacks_added > 0;
        struct product part = *product;
        ph_walk_position(&stack, STACK_RANK, i / stacks_added, offset);
        ph_walk_position(&sum, SUM_RANK, i % stacks_added, offset);
        part.target.place = ph_place_after(part.target.place, offset[0]);
        part.a.place = ph_place_after(part.a.place, offset[1]);
        part.b.place = ph_place_after(part.b.place, offset[2]);
        part.add = again || product->add;
        part.waits = again || (product->waits && i == 0);
        PH_TRY(product_put(recorder, &part));
    }
    return PH_OK;
}

static ph_status matmul_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    struct stacks stacks;
    stacks_find(call->plain.input_shapes[0], call->plain.input_shapes[1], &stacks);
    struct product product = {.rows = stacks.a.rows, .columns = stacks.b.columns, .inner = stacks.a.columns,
        .a = matrix_of(recorder, call->inputs[0].data, stacks.a.columns, false),
        .b = matrix_of(recorder, call->inputs[1].data, stacks.b.columns, false),
        .target = matrix_of(recorder, call->outputs[0].data, stacks.b.columns, false)};
    return matmul_put(recorder, &stacks, -1, &product);
}

/* Both operands may be the same tensor: the second waits for the first. */
static ph_status matmul_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const float *dy = call->output_gradients[0].data;
    struct stacks stacks;
    stacks_find(call->plain.input_shapes[0], call->plain.input_shapes[1], &stacks);
    if (call->input_gradients[0].data) {
        struct product product = {.rows = stacks.a.rows, .columns = stacks.a.columns, .inner = stacks.b.columns,
            .a = matrix_of(recorder, dy, stacks.b.columns, false),
            .b = matrix_of(recorder, call->inputs[1].data, stacks.b.columns, true),
            .target = matrix_of(recorder, call->input_gradients[0].data, stacks.a.columns, false),
            .add = call->accumulate[0]};
        PH_TRY(matmul_put(recorder, &stacks, 0, &product));
    }
    if (!call->input_gradients[1].data) return PH_OK;
    struct product product = {.rows = stacks.b.rows, .columns = stacks.b.columns, .inner = stacks.a.rows,
        .a = matrix_of(recorder, call->inputs[0].data, stacks.a.columns, true),
        .b = matrix_of(recorder, dy, stacks.b.columns, false),
        .target = matrix_of(recorder, call->input_gradients[1].data, stacks.b.columns, false),
        .add = call->accumulate[1], .waits = true};
    return matmul_put(recorder, &stacks, 1, &product);
}

/* ---- The kernels ------------------------------------------------------------------------------------------------- */

PH_VULKAN_KERNEL(matrix_split) = {.name = "split matrices", .accepts = matrix_split_accepts, .scratch = split_scratch,
                                  .record = matrix_split_record};
PH_VULKAN_KERNEL(matrix_split_backward) = {.name = "split matrices", .backward = true, .accepts = matrix_split_accepts,
    .scratch = split_scratch, .reads = convolution_reads, .record = matrix_split_backward_record};
PH_VULKAN_KERNEL(matrix) = {.name = "matrices", .accepts = matrix_accepts, .record = matrix_record};
PH_VULKAN_KERNEL(matrix_backward) = {.name = "matrices", .backward = true, .accepts = matrix_accepts,
    .reads = convolution_reads, .record = matrix_backward_record};
PH_VULKAN_KERNEL(convolution_split) = {.name = "split tiles", .accepts = split_accepts, .scratch = split_scratch,
                                       .record = split_record};
PH_VULKAN_KERNEL(convolution_split_backward) = {.name = "split tiles", .backward = true, .accepts = split_accepts,
    .scratch = split_scratch, .reads = convolution_reads, .record = split_backward_record};
PH_VULKAN_KERNEL(convolution_thin) = {.name = "thin", .accepts = thin_accepts, .record = thin_record};
PH_VULKAN_KERNEL(convolution_thin_backward) = {.name = "thin", .backward = true, .accepts = thin_accepts,
    .reads = convolution_reads, .record = thin_backward_record};
PH_VULKAN_KERNEL(convolution) = {.name = "tiles", .accepts = convolution_accepts, .record = convolution_record};
PH_VULKAN_KERNEL(convolution_backward) = {.name = "tiles", .backward = true, .accepts = convolution_accepts,
    .reads = convolution_reads, .record = convolution_backward_record};
PH_VULKAN_KERNEL(gemm) = {.name = "tiles", .operation = &ph_operation_gemm, .record = gemm_record};
PH_VULKAN_KERNEL(gemm_backward) = {.name = "tiles", .operation = &ph_operation_gemm, .backward = true,
                                   .record = gemm_backward_record};
PH_VULKAN_KERNEL(matmul) = {.name = "tiles", .operation = &ph_operation_matmul, .accepts = matmul_accepts,
                            .record = matmul_record};
PH_VULKAN_KERNEL(matmul_backward) = {.name = "tiles", .operation = &ph_operation_matmul, .backward = true,
                                     .accepts = matmul_accepts, .record = matmul_backward_record};
