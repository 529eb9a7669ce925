/* What is done element by element, operands broadcast to each other. */
#include "vulkan/kernels/kernels.h"
#include <math.h>

/* ---- Functions of one element ------------------------------------------------------------------------------------ */

/* In the order of the shader's cases. */
static const struct ph_operation *const unary_functions[] = {
    &ph_operation_relu, &ph_operation_leaky_relu, &ph_operation_clip, &ph_operation_sigmoid, &ph_operation_tanh,
    &ph_operation_exp, &ph_operation_log, &ph_operation_sqrt, &ph_operation_abs, &ph_operation_neg, &ph_operation_reciprocal,
    &ph_operation_silu, &ph_operation_hard_sigmoid, &ph_operation_hard_swish, &ph_operation_mish, &ph_operation_elu,
    &ph_operation_selu, &ph_operation_celu, &ph_operation_gelu, &ph_operation_softplus, &ph_operation_softsign,
    &ph_operation_thresholded_relu, &ph_operation_shrink, &ph_operation_ruled_clip, &ph_operation_erf, &ph_operation_sin,
    &ph_operation_cos, &ph_operation_tan, &ph_operation_asin, &ph_operation_acos, &ph_operation_atan, &ph_operation_sinh,
    &ph_operation_cosh, &ph_operation_asinh, &ph_operation_acosh, &ph_operation_atanh, &ph_operation_floor,
    &ph_operation_ceil, &ph_operation_round, &ph_operation_sign, &ph_operation_not, &ph_operation_isnan, &ph_operation_cast,
    NULL};

/* The redirected forms differ from these in their backward alone. */
static int unary_function(const struct ph_operation *operation) {
    if (operation == &ph_operation_redirected_relu) operation = &ph_operation_relu;
    if (operation == &ph_operation_redirected_clip) operation = &ph_operation_clip;
    return ph_operation_index(unary_functions, operation);
}

static bool unary_accepts(const struct ph_kernel_query *query) {
    return query->backward ? ph_operation_index(unary_functions, query->node->operation) >= 0
                           : unary_function(query->node->operation) >= 0;
}

static unsigned unary_reads(const struct ph_kernel_query *query) {
    const struct ph_operation *operation = query->node->operation;
    return operation == &ph_operation_sigmoid ? PH_READS_INPUTS : operation->backward_reads;
}

/* Which of its forms an operation has: gelu's approximation, the rule of a ruled clip, the type of a cast. */
static int32_t unary_form(const struct ph_node *node) {
    const struct ph_activation_attributes *a = node->attributes;
    if (node->operation == &ph_operation_gelu) return a->tanh;
    if (node->operation == &ph_operation_ruled_clip) return (int32_t)a->rule;
    if (node->operation != &ph_operation_cast) return 0;
    enum ph_type type = ((const struct ph_cast_attributes *)node->attributes)->type;
    return type == PH_INT64 ? 1 : type == PH_BOOL ? 2 : 0;
}

static ph_status unary_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    static const struct ph_activation_attributes none;
    const struct ph_node *node = call->node;
    bool set = node->operation->attributes_size == sizeof none;
    const struct ph_activation_attributes *a = set ? node->attributes : &none;
    int64_t count = ph_shape_size((backward ? &call->input_gradients[0] : &call->outputs[0])->shape);
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_place(&words, recorder, call->inputs[0].data);
    ph_words_place(&words, recorder, call->outputs[0].data);
    ph_words_place(&words, recorder, backward ? call->output_gradients[0].data : NULL);
    ph_words_place(&words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_float(&words, a->alpha);
    ph_words_float(&words, a->beta);
    ph_words_float(&words, a->low);
    ph_words_float(&words, a->high);
    return ph_dispatch_flat(recorder, PH_SHADER_unary,
                            PH_CONSTANTS(unary_function(node->operation), backward, unary_form(node)), &words, count, false);
}

static ph_status unary_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return unary_put(call, recorder, false);
}

static ph_status unary_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return unary_put(call, recorder, true);
}

static bool redirected_accepts(const struct ph_kernel_query *query) {
    return query->node->operation == &ph_operation_redirected_relu || query->node->operation == &ph_operation_redirected_clip;
}

static ph_status redirected_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    bool clips = call->node->operation == &ph_operation_redirected_clip;
    const struct ph_activation_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t items = shape->rank ? shape->dims[0] : 1;
    struct ph_words words = {0};
    ph_words_int(&words, items);
    ph_words_int(&words, items ? ph_shape_size(shape) / items : 0);
    ph_words_place(&words, recorder, call->inputs[0].data);
    ph_words_place(&words, recorder, call->output_gradients[0].data);
    ph_words_place(&words, recorder, call->input_gradients[0].data);
    ph_words_int(&words, call->accumulate[0]);
    ph_words_float(&words, clips ? a->low : 0);
    ph_words_float(&words, clips ? a->high : HUGE_VAL);
    return ph_recorder_dispatch(recorder, PH_SHADER_redirected, PH_CONSTANTS(0), &words, items, 1, 1, false);
}

/* ---- Functions of two elements ----------------------------------------------------------------------------------- */

/* In the order of the shader's cases. */
static const struct ph_operation *const binary_functions[] = {
    &ph_operation_add, &ph_operation_sub, &ph_operation_mul, &ph_operation_div, &ph_operation_pow, &ph_operation_mod,
    &ph_operation_fmod, &ph_operation_min, &ph_operation_max, &ph_operation_prelu, &ph_operation_equal,
    &ph_operation_greater, &ph_operation_less, &ph_operation_greater_or_equal, &ph_operation_less_or_equal,
    &ph_operation_and, &ph_operation_or, &ph_operation_xor, NULL};

/* Tensors: the result and both operands. */
static struct ph_walk binary_walk(const struct ph_shape *y, const struct ph_shape *a, const struct ph_shape *b) {
    return ph_walk_begin(y, (const struct ph_shape *const[]){y, a, b}, 3);
}

enum { BINARY_RANK = 4, BINARY_INNER = 2 };

static bool binary_accepts(const struct ph_kernel_query *query) {
    if (ph_operation_index(binary_functions, query->node->operation) < 0) return false;
    struct ph_walk walk = binary_walk(ph_query_output(query), ph_query_input(query, 0), ph_query_input(query, 1));
    struct ph_walk outer, inner, rest;
    for (int i = 0; i < 2 && query->backward; i++) {
        ph_walk_split(&walk, 1 + i, &outer, &inner);
        if (ph_walk_peel(&outer, BINARY_RANK, &rest) < 0 || ph_walk_peel(&inner, BINARY_INNER, &rest) < 0) return false;
    }
    return query->backward || ph_walk_peel(&walk, BINARY_RANK, &rest) >= 0;
}

/* What a dispatch computes: the function itself, or its slope by an operand, whose gradient is at `target`. */
struct binary {
    int operand; /* -1: forward */
    uint32_t a, b, y, target;
    bool add, waits;
};

static ph_status binary_dispatch(const struct ph_kernel_call *call, struct ph_recorder *recorder, const struct binary *binary,
                                 const struct ph_walk *outer, const struct ph_walk *inner) {
    int64_t count = 1;
    for (int i = 0; i < outer->rank; i++) count *= outer->dims[i];
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_int(&words, binary->a);
    ph_words_int(&words, binary->b);
    ph_words_int(&words, binary->y);
    ph_words_int(&words, binary->target);
    ph_words_int(&words, binary->add);
    ph_words_axes(&words, outer->dims, outer->rank, BINARY_RANK, 1);
    ph_words_axes(&words, outer->stride[1], outer->rank, BINARY_RANK, 0);
    ph_words_axes(&words, outer->stride[2], outer->rank, BINARY_RANK, 0);
    ph_words_axes(&words, outer->stride[0], outer->rank, BINARY_RANK, 0);
    ph_words_axes(&words, inner->dims, inner->rank, BINARY_INNER, 1);
    ph_words_axes(&words, inner->stride[binary->operand == 0 ? 2 : 1], inner->rank, BINARY_INNER, 0);
    ph_words_axes(&words, inner->stride[0], inner->rank, BINARY_INNER, 0);
    const int32_t constants[PH_SHADER_CONSTANTS] = {ph_operation_index(binary_functions, call->node->operation),
        binary->operand, call->plain.output_types[0] == PH_INT64, outer->rank};
    return ph_dispatch_flat(recorder, PH_SHADER_binary, constants, &words, count, binary->waits);
}

static ph_status binary_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, int operand, bool waits) {
    struct ph_walk walk = binary_walk(&call->plain.output_shapes[0], call->plain.input_shapes[0], call->plain.input_shapes[1]);
    struct ph_walk outer = walk, inner = {0}, outer_rest, inner_rest;
    bool backward = operand >= 0;
    if (backward) ph_walk_split(&walk, 1 + operand, &outer, &inner);
    int64_t outer_count = ph_walk_peel(&outer, BINARY_RANK, &outer_rest);
    int64_t inner_count = ph_walk_peel(&inner, BINARY_INNER, &inner_rest);
    for (int64_t i = 0; i < outer_count * inner_count; i++) {
        int64_t offset[PH_WALK_TENSORS] = {0};
        bool again = i % inner_count > 0;
        ph_walk_position(&outer, BINARY_RANK, i / inner_count, offset);
        ph_walk_position(&inner, BINARY_INNER, i % inner_count, offset);
        const struct binary binary = {.operand = operand, .add = again || (backward && call->accumulate[operand]),
            .waits = again || (waits && i == 0),
            .a = ph_place_after(ph_recorder_place(recorder, call->inputs[0].data), offset[1]),
            .b = ph_place_after(ph_recorder_place(recorder, call->inputs[1].data), offset[2]),
            .y = ph_place_after(ph_recorder_place(recorder, backward ? call->output_gradients[0].data : call->outputs[0].data),
                                offset[0]),
            .target = ph_place_after(ph_recorder_place(recorder, backward ? call->input_gradients[operand].data : NULL),
                                     offset[1 + PH_MAX(operand, 0)])};
        PH_TRY(binary_dispatch(call, recorder, &binary, &outer_rest, &inner_rest));
    }
    return PH_OK;
}

static ph_status binary_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return binary_put(call, recorder, -1, false);
}

static ph_status binary_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    bool first = call->input_gradients[0].data != NULL;
    if (first) PH_TRY(binary_put(call, recorder, 0, false));
    /* Both may be the same tensor. */
    return call->input_gradients[1].data ? binary_put(call, recorder, 1, first) : PH_OK;
}

/* ---- Any number of operands -------------------------------------------------------------------------------------- */

static struct ph_walk operand_walk(const struct ph_shape *y, const struct ph_shape *x) {
    return ph_walk_begin(y, (const struct ph_shape *const[]){y, x}, 2);
}

static bool sum_accepts(const struct ph_kernel_query *query) {
    return query->node->operation == &ph_operation_sum || query->node->operation == &ph_operation_mean;
}

static double operand_share(const struct ph_node *node) {
    return node->operation == &ph_operation_mean ? 1.0 / node->input_count : 1;
}

static ph_status sum_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    for (int k = 0; k < call->node->input_count; k++) {
        struct ph_walk walk = operand_walk(&call->plain.output_shapes[0], call->plain.input_shapes[k]);
        struct ph_copy copy = {.rank = walk.rank, .scale = operand_share(call->node), .add = k > 0, .waits = k > 0,
            .from = ph_recorder_place(recorder, call->inputs[k].data),
            .to = ph_recorder_place(recorder, call->outputs[0].data)};
        for (int i = 0; i < walk.rank; i++) {
            copy.dims[i] = walk.dims[i];
            copy.from_stride[i] = walk.stride[1][i];
            copy.to_stride[i] = walk.stride[0][i];
        }
        PH_TRY(ph_copy_record(recorder, &copy));
    }
    return PH_OK;
}

/* An operand may be there twice, so each waits for the one before. */
static ph_status sum_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    for (int k = 0; k < call->node->input_count; k++) {
        if (!call->input_gradients[k].data) continue;
        struct ph_walk walk = operand_walk(&call->plain.output_shapes[0], call->plain.input_shapes[k]);
        PH_TRY(ph_sum_record(recorder, &walk, ph_recorder_place(recorder, call->output_gradients[0].data),
                             ph_recorder_place(recorder, call->input_gradients[k].data), operand_share(call->node),
                             call->accumulate[k], k > 0));
    }
    return PH_OK;
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

/* Tensors: the result, the condition, and both operands. */
static struct ph_walk where_walk(const struct ph_shape *y, const struct ph_shape *condition, const struct ph_shape *a,
                                 const struct ph_shape *b) {
    return ph_walk_begin(y, (const struct ph_shape *const[]){y, condition, a, b}, 4);
}

static bool where_accepts(const struct ph_kernel_query *query) {
    struct ph_walk rest, walk = where_walk(ph_query_output(query), ph_query_input(query, 0), ph_query_input(query, 1),
                                           ph_query_input(query, 2));
    return ph_walk_peel(&walk, BINARY_RANK, &rest) >= 0;
}

/* `taken` where the condition holds and `other` elsewhere, which are as a and b are broadcast or, NULL, 0. */
static ph_status select_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, const float *taken,
                            const float *other, const float *target, bool backward, bool waits) {
    const struct ph_shape *const *in = call->plain.input_shapes, *y = &call->plain.output_shapes[0];
    struct ph_walk rest, walk = where_walk(y, in[0], backward ? y : in[1], backward ? y : in[2]);
    int64_t positions = ph_walk_peel(&walk, BINARY_RANK, &rest), count = 1;
    for (int i = 0; i < rest.rank; i++) count *= rest.dims[i];
    for (int64_t i = 0; i < positions; i++) {
        int64_t offset[PH_WALK_TENSORS] = {0};
        ph_walk_position(&walk, BINARY_RANK, i, offset);
        struct ph_words words = {0};
        ph_words_int(&words, count);
        ph_words_int(&words, ph_place_after(ph_recorder_place(recorder, call->inputs[0].data), offset[1]));
        ph_words_int(&words, ph_place_after(ph_recorder_place(recorder, taken), offset[2]));
        ph_words_int(&words, ph_place_after(ph_recorder_place(recorder, other), offset[3]));
        ph_words_int(&words, ph_place_after(ph_recorder_place(recorder, target), offset[0]));
        ph_words_axes(&words, rest.dims, rest.rank, BINARY_RANK, 1);
        for (int t = 1; t < 4; t++) ph_words_axes(&words, rest.stride[t], rest.rank, BINARY_RANK, 0);
        PH_TRY(ph_dispatch_flat(recorder, PH_SHADER_select, PH_CONSTANTS(0), &words, count, waits && i == 0));
    }
    return PH_OK;
}

static ph_status where_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return select_put(call, recorder, call->inputs[1].data, call->inputs[2].data, call->outputs[0].data, false, false);
}

static size_t where_scratch(const struct ph_kernel_query *query) { return (size_t)ph_shape_size(ph_query_output(query)); }

/* What goes to an operand stands aside first, then is summed over what the operand was broadcast along. */
static ph_status where_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const float *dy = call->output_gradients[0].data;
    bool waits = false;
    for (int k = 1; k < 3; k++) {
        if (!call->input_gradients[k].data) continue;
        struct ph_walk walk = operand_walk(&call->plain.output_shapes[0], call->plain.input_shapes[k]);
        PH_TRY(select_put(call, recorder, k == 1 ? dy : NULL, k == 1 ? NULL : dy, call->scratch, true, waits));
        PH_TRY(ph_sum_record(recorder, &walk, ph_recorder_place(recorder, call->scratch),
                             ph_recorder_place(recorder, call->input_gradients[k].data), 1, call->accumulate[k], true));
        waits = true;
    }
    return PH_OK;
}

/* ---- The kernels ------------------------------------------------------------------------------------------------- */

PH_VULKAN_KERNEL(unary) = {.name = "unary", .accepts = unary_accepts, .record = unary_record};
PH_VULKAN_KERNEL(unary_backward) = {.name = "unary", .backward = true, .accepts = unary_accepts,
                                    .reads = unary_reads, .record = unary_backward_record};
PH_VULKAN_KERNEL(redirected_backward) = {.name = "redirected", .backward = true, .accepts = redirected_accepts,
                                         .record = redirected_record};
PH_VULKAN_KERNEL(binary) = {.name = "binary", .accepts = binary_accepts, .record = binary_record};
PH_VULKAN_KERNEL(binary_backward) = {.name = "binary", .backward = true, .accepts = binary_accepts,
                                     .record = binary_backward_record};
PH_VULKAN_KERNEL(sum) = {.name = "copies", .accepts = sum_accepts, .record = sum_record};
PH_VULKAN_KERNEL(sum_backward) = {.name = "sums", .backward = true, .accepts = sum_accepts, .record = sum_backward_record};
PH_VULKAN_KERNEL(where) = {.name = "select", .operation = &ph_operation_where, .accepts = where_accepts,
                           .record = where_record};
PH_VULKAN_KERNEL(where_backward) = {.name = "select", .operation = &ph_operation_where, .backward = true,
    .accepts = where_accepts, .scratch = where_scratch, .record = where_backward_record};
