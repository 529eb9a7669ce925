/* Operations that act on each element alone run their plain functions, or those of activation.c, on stretches of it, in
 * parallel and in whatever layout their input is made in. In a blocked tensor the lanes behind the last channel must stay
 * zero, so there only functions with f(0) = 0 are taken, unless the channels fill their blocks. */
#include "cpu/kernels/activation.h"
#include "cpu/kernels/bands.h"

/* One line for each operation: whether f(0) is 0 (with f(0, 0) for two operands). */
static const struct { const struct ph_operation *operation; bool keeps_zero; } table[] = {
    {&ph_operation_relu, true}, {&ph_operation_leaky_relu, true}, {&ph_operation_clip, false}, {&ph_operation_sigmoid, false},
    {&ph_operation_hard_sigmoid, false}, {&ph_operation_hard_swish, true}, {&ph_operation_silu, true},
    {&ph_operation_mish, true}, {&ph_operation_tanh, true}, {&ph_operation_elu, true}, {&ph_operation_selu, true},
    {&ph_operation_celu, true}, {&ph_operation_gelu, true}, {&ph_operation_softplus, false}, {&ph_operation_softsign, true},
    {&ph_operation_erf, true}, {&ph_operation_exp, false}, {&ph_operation_sqrt, true}, {&ph_operation_abs, true},
    {&ph_operation_neg, true}, {&ph_operation_sin, true}, {&ph_operation_cos, false}, {&ph_operation_add, true},
    {&ph_operation_sub, true}, {&ph_operation_mul, true}, {&ph_operation_min, true}, {&ph_operation_max, true},
    {&ph_operation_sum, true}, {&ph_operation_mean, true},
};

enum { MAX_OPERANDS = 8, STRETCH = 8192 };

static bool is_elementwise(const struct ph_kernel_query *query, bool *keeps_zero) {
    const struct ph_node *node = query->node;
    const struct ph_shape *shape = &query->graph->values[node->outputs[0]].shape;
    if (node->input_count > MAX_OPERANDS || ph_shape_size(shape) == 0) return false;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == PH_ABSENT || query->graph->values[node->inputs[i]].data ||
            !ph_shape_equal(&query->graph->values[node->inputs[i]].shape, shape))
            return false;
        /* The plain functions of one value used twice would race for one gradient. */
        for (int j = 0; j < i; j++)
            if (node->inputs[j] == node->inputs[i]) return false;
    }
    for (int i = 0; i < PH_COUNT(table); i++)
        if (table[i].operation == node->operation) {
            *keeps_zero = table[i].keeps_zero;
            return true;
        }
    return false;
}

static bool accepts_plain(const struct ph_kernel_query *query) {
    bool keeps_zero;
    return !query->blocked_input && is_elementwise(query, &keeps_zero);
}

static bool accepts_blocked(const struct ph_kernel_query *query) {
    bool keeps_zero;
    return query->blocked_input && is_elementwise(query, &keeps_zero) && first_is_blockable(query) &&
           (keeps_zero || query->graph->values[query->node->outputs[0]].shape.dims[1] % PH_LANES == 0);
}

struct map { const struct ph_kernel_call *call; struct bands bands; };

/* Runs the plain function, or the vector one, on `count` elements that start at these operands' pointers. */
static void run_stretch(const struct ph_kernel_call *call, void *const *in, void *const *out, void *const *out_gradients,
                        void *const *in_gradients, int64_t count) {
    const struct ph_vector_activation *activation = PH_KERNEL(ph_activation_find)(call->node->operation);
    if (activation && !out_gradients[0]) {
        activation->forward(call->node->attributes, in[0], out[0], count);
        return;
    }
    if (activation) {
        activation->backward(call->node->attributes, in[0] ? in[0] : out[0], out_gradients[0], in_gradients[0],
                             call->accumulate[0], count);
        return;
    }
    struct ph_shape shape = PH_SHAPE(count);
    const struct ph_shape *shapes[MAX_OPERANDS];
    for (int i = 0; i < call->node->input_count; i++) {
        shapes[i] = &shape;
        if (in_gradients[i] && !call->accumulate[i]) memset(in_gradients[i], 0, (size_t)count * sizeof(float));
    }
    struct ph_call plain = call->plain;
    plain.input_shapes = shapes;
    plain.output_shapes = &shape;
    plain.inputs = (const void *const *)in;
    plain.outputs = out;
    plain.output_gradients = (const void *const *)out_gradients;
    plain.input_gradients = in_gradients;
    if (out_gradients[0]) call->node->operation->backward(&plain);
    else call->node->operation->forward(&plain);
}

static float *row_of(const struct ph_operand *operand, const struct band *band, int64_t y) {
    return operand->data ? block_origin(operand, band->n, band->block) + y * operand->layout.row : NULL;
}

static bool has_halo(const struct ph_operand *operand) { return operand->data && operand->layout.halo; }

/* Whether rows of a block adjoin in all operands. */
static bool rows_adjoin(const struct ph_kernel_call *call) {
    bool halo = has_halo(&call->outputs[0]) || has_halo(&call->output_gradients[0]);
    for (int i = 0; i < call->node->input_count; i++) halo |= has_halo(&call->inputs[i]) || has_halo(&call->input_gradients[i]);
    return !halo;
}

static void run_band(void *argument, int64_t index) {
    const struct map *map = argument;
    const struct ph_kernel_call *call = map->call;
    struct band band = band_of(&map->bands, index);
    int64_t step = rows_adjoin(call) ? band.end - band.first : 1;
    for (int64_t y = band.first; y < band.end; y += step) {
        void *in[MAX_OPERANDS], *in_gradients[MAX_OPERANDS];
        for (int i = 0; i < call->node->input_count; i++) {
            in[i] = row_of(&call->inputs[i], &band, y);
            in_gradients[i] = row_of(&call->input_gradients[i], &band, y);
        }
        void *out = row_of(&call->outputs[0], &band, y), *out_gradient = row_of(&call->output_gradients[0], &band, y);
        run_stretch(call, in, &out, &out_gradient, in_gradients, step * call->plain.output_shapes[0].dims[3] * PH_LANES);
    }
}

static float *element_of(const struct ph_operand *operand, int64_t index) { return operand->data ? operand->data + index : NULL; }

static void run_elements(void *argument, int64_t index) {
    const struct ph_kernel_call *call = argument;
    int64_t first = index * STRETCH, count = PH_MIN((int64_t)STRETCH, ph_shape_size(&call->plain.output_shapes[0]) - first);
    void *in[MAX_OPERANDS], *in_gradients[MAX_OPERANDS];
    for (int i = 0; i < call->node->input_count; i++) {
        in[i] = element_of(&call->inputs[i], first);
        in_gradients[i] = element_of(&call->input_gradients[i], first);
    }
    void *out = element_of(&call->outputs[0], first), *out_gradient = element_of(&call->output_gradients[0], first);
    run_stretch(call, in, &out, &out_gradient, in_gradients, count);
}

static void run_plain(const struct ph_kernel_call *call) {
    ph_parallel_for(call->context, (ph_shape_size(&call->plain.output_shapes[0]) + STRETCH - 1) / STRETCH, run_elements,
                    (void *)call);
}

static void run_blocked(const struct ph_kernel_call *call) {
    const int64_t *dims = call->plain.output_shapes[0].dims;
    bool large = is_large_map(dims[2], dims[3]);
    struct map map = {call, bands_make(dims[0], dims[1], dims[2], large ? MOST_BANDS : 1, large, ph_parallel_threads(call->context))};
    ph_parallel_for(call->context, bands_tasks(&map.bands), run_band, &map);
}

const struct ph_kernel PH_KERNEL(ph_elementwise_forward_blocked) = {.name = "blocked", .by_item = true,
    .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts_blocked, .run = run_blocked};
const struct ph_kernel PH_KERNEL(ph_elementwise_backward_blocked) = {.name = "blocked", .by_item = true, .backward = true,
    .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts_blocked, .run = run_blocked};
const struct ph_kernel PH_KERNEL(ph_elementwise_forward) = {.name = "stretches", .by_item = true,
    .accepts = accepts_plain, .run = run_plain};
const struct ph_kernel PH_KERNEL(ph_elementwise_backward) = {.name = "stretches", .backward = true, .by_item = true,
    .accepts = accepts_plain, .run = run_plain};
