/* Which operations the device can do, and how a step becomes dispatches. All tensors are plain. */
#include "graph/operations.h"
#include "graph/ops/walk.h"
#include "vulkan/device.h"
#include <math.h>
#include <string.h>

#define NO_CONSTANTS ((const int32_t[PH_SHADER_CONSTANTS]){0})
#define CONSTANTS(...) ((const int32_t[PH_SHADER_CONSTANTS]){__VA_ARGS__})

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static const struct ph_value *query_value(const struct ph_kernel_query *query, int value) {
    return &query->graph->values[value];
}

static const struct ph_shape *input_shape(const struct ph_kernel_query *query, int index) {
    return &query_value(query, query->node->inputs[index])->shape;
}

static const struct ph_shape *output_shape(const struct ph_kernel_query *query) {
    return &query_value(query, query->node->outputs[0])->shape;
}

/* Places of a call's tensors, appended. */
static void place_put(struct ph_words *words, const struct ph_recorder *recorder, const float *data) {
    ph_words_int(words, ph_recorder_place(recorder, data));
}

static int64_t element_count(const struct ph_operand *operand) { return ph_shape_size(operand->shape); }

/* One invocation for each of `count`. */
static ph_status dispatch_flat(struct ph_recorder *recorder, enum ph_shader shader, const int32_t *constants,
                               const struct ph_words *words, int64_t count, bool waits) {
    return ph_recorder_dispatch(recorder, shader, constants, words, divide_up(count, 64), 1, 1, waits);
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

enum { COPY_RANK = 6 };

struct copy {
    int rank;
    int64_t dims[COPY_RANK], from_stride[COPY_RANK], to_stride[COPY_RANK];
    uint32_t from, to;      /* from PH_NOWHERE: the constant alone */
    double scale, constant;
    bool add, waits;
};

static ph_status copy_record(struct ph_recorder *recorder, const struct copy *copy) {
    struct ph_words words = {0};
    int64_t count = 1;
    for (int i = 0; i < copy->rank; i++) count *= copy->dims[i];
    ph_words_int(&words, count);
    ph_words_int(&words, copy->from);
    ph_words_int(&words, copy->to);
    ph_words_int(&words, copy->add);
    ph_words_float(&words, copy->scale);
    ph_words_float(&words, copy->constant);
    int spare = COPY_RANK - copy->rank; /* outermost axes of size 1 */
    for (int i = 0; i < COPY_RANK; i++) ph_words_int(&words, i < spare ? 1 : copy->dims[i - spare]);
    for (int i = 0; i < COPY_RANK; i++) ph_words_int(&words, i < spare ? 0 : copy->from_stride[i - spare]);
    for (int i = 0; i < COPY_RANK; i++) ph_words_int(&words, i < spare ? 0 : copy->to_stride[i - spare]);
    return dispatch_flat(recorder, PH_SHADER_copy, NO_CONSTANTS, &words, count, copy->waits);
}

static struct copy copy_flat(uint32_t from, uint32_t to, int64_t count) {
    return (struct copy){.rank = 1, .dims = {count}, .from_stride = {1}, .to_stride = {1}, .from = from, .to = to, .scale = 1};
}

ph_status ph_vulkan_copy(struct ph_recorder *recorder, const struct ph_operand *from, const struct ph_operand *to, bool add) {
    struct copy copy = copy_flat(from ? ph_recorder_place(recorder, from->data) : PH_NOWHERE,
                                 ph_recorder_place(recorder, to->data), element_count(to));
    copy.add = add;
    return copy_record(recorder, &copy);
}

static ph_status fill(struct ph_recorder *recorder, const struct ph_operand *to, double value) {
    struct copy copy = copy_flat(PH_NOWHERE, ph_recorder_place(recorder, to->data), element_count(to));
    copy.constant = value;
    return copy_record(recorder, &copy);
}

static void strides_of(const struct ph_shape *shape, int64_t stride[PH_MAX_RANK]) {
    int64_t next = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = next;
        next *= shape->dims[i];
    }
}

/* A box of two tensors of the same rank: `small` begins at `start` of `large`, `step` apart. Copies from one to the other. */
static ph_status box_copy(struct ph_recorder *recorder, const struct ph_operand *large, const struct ph_operand *small,
                          const int64_t *start, const int64_t *step, bool into_small, bool add, bool waits) {
    int64_t large_stride[PH_MAX_RANK], small_stride[PH_MAX_RANK];
    strides_of(large->shape, large_stride);
    strides_of(small->shape, small_stride);
    uint32_t large_place = ph_recorder_place(recorder, large->data), small_place = ph_recorder_place(recorder, small->data);
    struct copy copy = {.rank = small->shape->rank, .scale = 1, .add = add, .waits = waits};
    for (int i = 0; i < copy.rank; i++) {
        large_place += (uint32_t)(start[i] * large_stride[i]);
        copy.dims[i] = small->shape->dims[i];
        int64_t along = large_stride[i] * (step ? step[i] : 1);
        copy.from_stride[i] = into_small ? along : small_stride[i];
        copy.to_stride[i] = into_small ? small_stride[i] : along;
    }
    copy.from = into_small ? large_place : small_place;
    copy.to = into_small ? small_place : large_place;
    return copy_record(recorder, &copy);
}

static bool copy_accepts(const struct ph_kernel_query *query) {
    return input_shape(query, 0)->rank <= COPY_RANK && output_shape(query)->rank <= COPY_RANK;
}

static ph_status concat_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    int64_t start[PH_MAX_RANK] = {0}, axis = ((const struct ph_axis_attributes *)call->node->attributes)->axis;
    for (int i = 0; i < call->node->input_count; i++) {
        PH_TRY(box_copy(recorder, &call->outputs[0], &call->inputs[i], start, NULL, false, false, false));
        start[axis] += call->inputs[i].shape->dims[axis];
    }
    return PH_OK;
}

static ph_status concat_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    int64_t start[PH_MAX_RANK] = {0}, axis = ((const struct ph_axis_attributes *)call->node->attributes)->axis;
    for (int i = 0; i < call->node->input_count; i++) {
        /* An input may be there twice. */
        if (call->input_gradients[i].data)
            PH_TRY(box_copy(recorder, &call->output_gradients[0], &call->input_gradients[i], start, NULL, true,
                            call->accumulate[i], call->accumulate[i]));
        start[axis] += call->inputs[i].shape->dims[axis];
    }
    return PH_OK;
}

static ph_status slice_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_slice_attributes *a = call->node->attributes;
    return box_copy(recorder, &call->inputs[0], &call->outputs[0], a->start, a->step, true, false, false);
}

static ph_status slice_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_slice_attributes *a = call->node->attributes;
    if (!call->accumulate[0]) PH_TRY(fill(recorder, &call->input_gradients[0], 0));
    return box_copy(recorder, &call->input_gradients[0], &call->output_gradients[0], a->start, a->step, false, true, true);
}

static ph_status split_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_split_attributes *a = call->node->attributes;
    int64_t start[PH_MAX_RANK] = {0};
    for (int i = 0; i < call->node->output_count; i++) {
        PH_TRY(box_copy(recorder, &call->inputs[0], &call->outputs[i], start, NULL, true, false, false));
        start[a->axis] += call->outputs[i].shape->dims[a->axis];
    }
    return PH_OK;
}

static ph_status split_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_split_attributes *a = call->node->attributes;
    int64_t start[PH_MAX_RANK] = {0};
    if (!call->accumulate[0]) PH_TRY(fill(recorder, &call->input_gradients[0], 0));
    for (int i = 0; i < call->node->output_count; i++) {
        if (call->output_gradients[i].data)
            PH_TRY(box_copy(recorder, &call->input_gradients[0], &call->output_gradients[i], start, NULL, false, true, true));
        start[a->axis] += call->plain.output_shapes[i].dims[a->axis];
    }
    return PH_OK;
}

static ph_status transpose_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_transpose_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0], *out = &call->plain.output_shapes[0];
    int64_t in_stride[PH_MAX_RANK], out_stride[PH_MAX_RANK];
    strides_of(in, in_stride);
    strides_of(out, out_stride);
    struct copy copy = {.rank = out->rank, .scale = 1, .add = backward && call->accumulate[0]};
    for (int i = 0; i < out->rank; i++) {
        copy.dims[i] = out->dims[i];
        copy.from_stride[i] = backward ? out_stride[i] : in_stride[a->order[i]];
        copy.to_stride[i] = backward ? in_stride[a->order[i]] : out_stride[i];
    }
    copy.from = ph_recorder_place(recorder, backward ? call->output_gradients[0].data : call->inputs[0].data);
    copy.to = ph_recorder_place(recorder, backward ? call->input_gradients[0].data : call->outputs[0].data);
    return copy_record(recorder, &copy);
}

static ph_status transpose_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return transpose_put(call, recorder, false);
}

static ph_status transpose_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return transpose_put(call, recorder, true);
}

/* From item n of x its channel, or one element of that; or the other way. */
static ph_status pick_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_pick_attributes *a = call->node->attributes;
    const struct ph_shape *x = call->plain.input_shapes[0];
    int64_t items = x->dims[0], channels = x->dims[1], plane = items && channels ? ph_shape_size(x) / items / channels : 0;
    int64_t size = a->position ? 1 : plane;
    uint32_t large = ph_recorder_place(recorder, backward ? call->input_gradients[0].data : call->inputs[0].data);
    uint32_t small = ph_recorder_place(recorder, backward ? call->output_gradients[0].data : call->outputs[0].data);
    for (int64_t n = 0; n < items; n++) {
        int64_t element = (n * channels + a->channels[n]) * plane;
        if (a->position) element += a->rows[n] * x->dims[3] + a->columns[n];
        uint32_t there = large + (uint32_t)element, here = small + (uint32_t)(n * size);
        struct copy copy = copy_flat(backward ? here : there, backward ? there : here, size);
        copy.add = backward;
        copy.waits = backward && n == 0;
        PH_TRY(copy_record(recorder, &copy));
    }
    return PH_OK;
}

static ph_status pick_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return pick_put(call, recorder, false);
}

static ph_status pick_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    if (!call->accumulate[0]) PH_TRY(fill(recorder, &call->input_gradients[0], 0));
    return pick_put(call, recorder, true);
}

/* ---- Element by element ------------------------------------------------------------------------------------------ */

/* In the order of the shader's cases. */
static const struct ph_operation *const unary_functions[] = {
    &ph_operation_relu, &ph_operation_leaky_relu, &ph_operation_clip, &ph_operation_sigmoid, &ph_operation_tanh,
    &ph_operation_exp, &ph_operation_log, &ph_operation_sqrt, &ph_operation_abs, &ph_operation_neg, &ph_operation_reciprocal,
    &ph_operation_silu, &ph_operation_hard_sigmoid, &ph_operation_hard_swish, NULL};
static const struct ph_operation *const binary_functions[] = {
    &ph_operation_add, &ph_operation_sub, &ph_operation_mul, &ph_operation_div, NULL};

static int function_find(const struct ph_operation *const *functions, const struct ph_operation *operation) {
    for (int i = 0; functions[i]; i++)
        if (functions[i] == operation) return i;
    return -1;
}

/* The redirected forms differ from these in their backward alone. */
static int unary_function(const struct ph_operation *operation) {
    if (operation == &ph_operation_redirected_relu) operation = &ph_operation_relu;
    if (operation == &ph_operation_redirected_clip) operation = &ph_operation_clip;
    return function_find(unary_functions, operation);
}

static bool unary_accepts(const struct ph_kernel_query *query) {
    return query->backward ? function_find(unary_functions, query->node->operation) >= 0
                           : unary_function(query->node->operation) >= 0;
}

static ph_status unary_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    static const struct ph_activation_attributes none;
    const struct ph_activation_attributes *a = call->node->operation->attributes_size ? call->node->attributes : &none;
    const struct ph_operand *size = backward ? &call->input_gradients[0] : &call->outputs[0];
    struct ph_words words = {0};
    ph_words_int(&words, element_count(size));
    place_put(&words, recorder, call->inputs[0].data);
    place_put(&words, recorder, call->outputs[0].data);
    place_put(&words, recorder, backward ? call->output_gradients[0].data : NULL);
    place_put(&words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_float(&words, a->alpha);
    ph_words_float(&words, a->beta);
    ph_words_float(&words, a->low);
    ph_words_float(&words, a->high);
    return dispatch_flat(recorder, PH_SHADER_unary, CONSTANTS(unary_function(call->node->operation), backward), &words,
                         element_count(size), false);
}

static ph_status unary_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return unary_put(call, recorder, false);
}

static ph_status unary_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return unary_put(call, recorder, true);
}

static ph_status redirected_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    bool clips = call->node->operation == &ph_operation_redirected_clip;
    const struct ph_activation_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t items = shape->rank ? shape->dims[0] : 1;
    struct ph_words words = {0};
    ph_words_int(&words, items);
    ph_words_int(&words, items ? ph_shape_size(shape) / items : 0);
    place_put(&words, recorder, call->inputs[0].data);
    place_put(&words, recorder, call->output_gradients[0].data);
    place_put(&words, recorder, call->input_gradients[0].data);
    ph_words_int(&words, call->accumulate[0]);
    ph_words_float(&words, clips ? a->low : 0);
    ph_words_float(&words, clips ? a->high : HUGE_VAL);
    return ph_recorder_dispatch(recorder, PH_SHADER_redirected, NO_CONSTANTS, &words, items, 1, 1, false);
}

/* Tensors: the result and both operands. */
static struct ph_walk binary_walk(const struct ph_shape *y, const struct ph_shape *a, const struct ph_shape *b) {
    return ph_walk_begin(y, (const struct ph_shape *const[]){y, a, b}, 3);
}

enum { BINARY_RANK = 4, BINARY_INNER = 2 };

static bool binary_accepts(const struct ph_kernel_query *query) {
    if (function_find(binary_functions, query->node->operation) < 0) return false;
    const struct ph_value *output = query_value(query, query->node->outputs[0]);
    if (output->type != PH_FLOAT) return false;
    struct ph_walk walk = binary_walk(&output->shape, input_shape(query, 0), input_shape(query, 1)), outer, inner;
    for (int i = 0; i < 2 && query->backward; i++) {
        ph_walk_split(&walk, 1 + i, &outer, &inner);
        if (query->wanted & 1u << i && (outer.rank > BINARY_RANK || inner.rank > BINARY_INNER)) return false;
    }
    return query->backward || walk.rank <= BINARY_RANK;
}

static void axes_put(struct ph_words *words, const int64_t *values, int rank, int slots, int64_t spare) {
    for (int i = 0; i < slots; i++) ph_words_int(words, i < slots - rank ? spare : values[i - (slots - rank)]);
}

/* `operand`: whose gradient is made; -1: forward. */
static ph_status binary_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, int operand, bool waits) {
    struct ph_walk walk = binary_walk(&call->plain.output_shapes[0], call->plain.input_shapes[0], call->plain.input_shapes[1]);
    struct ph_walk outer = walk, inner = {0};
    bool backward = operand >= 0;
    if (backward) ph_walk_split(&walk, 1 + operand, &outer, &inner);
    int64_t count = 1;
    for (int i = 0; i < outer.rank; i++) count *= outer.dims[i];
    struct ph_words words = {0};
    ph_words_int(&words, count);
    place_put(&words, recorder, call->inputs[0].data);
    place_put(&words, recorder, call->inputs[1].data);
    place_put(&words, recorder, backward ? call->output_gradients[0].data : call->outputs[0].data);
    place_put(&words, recorder, backward ? call->input_gradients[operand].data : NULL);
    ph_words_int(&words, backward && call->accumulate[operand]);
    axes_put(&words, outer.dims, outer.rank, BINARY_RANK, 1);
    axes_put(&words, outer.stride[1], outer.rank, BINARY_RANK, 0);
    axes_put(&words, outer.stride[2], outer.rank, BINARY_RANK, 0);
    axes_put(&words, outer.stride[0], outer.rank, BINARY_RANK, 0);
    axes_put(&words, inner.dims, inner.rank, BINARY_INNER, 1);
    axes_put(&words, inner.stride[operand == 0 ? 2 : 1], inner.rank, BINARY_INNER, 0);
    axes_put(&words, inner.stride[0], inner.rank, BINARY_INNER, 0);
    return dispatch_flat(recorder, PH_SHADER_binary,
                         CONSTANTS(function_find(binary_functions, call->node->operation), operand), &words, count, waits);
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

/* ---- Reductions -------------------------------------------------------------------------------------------------- */

enum { REDUCE_RANK = 4 };

static bool is_mean(const struct ph_operation *operation) { return operation != &ph_operation_reduce_sum; }

/* The result's shape with the axes that are gone as 1. */
static struct ph_shape reduce_shape(const struct ph_node *node, const struct ph_shape *x) {
    struct ph_shape shape = *x;
    if (node->operation == &ph_operation_global_average_pool) {
        for (int i = 2; i < shape.rank; i++) shape.dims[i] = 1;
        return shape;
    }
    const struct ph_reduce_attributes *a = node->attributes;
    for (int i = 0; i < (a->axis_count ? a->axis_count : shape.rank); i++) shape.dims[a->axis_count ? a->axes[i] : i] = 1;
    return shape;
}

static struct ph_walk reduce_walk(const struct ph_node *node, const struct ph_shape *x) {
    struct ph_shape y = reduce_shape(node, x);
    return ph_walk_begin(x, (const struct ph_shape *const[]){x, &y}, 2);
}

static bool reduce_accepts(const struct ph_kernel_query *query) {
    const struct ph_operation *operation = query->node->operation;
    if (operation != &ph_operation_reduce_mean && operation != &ph_operation_reduce_sum &&
        operation != &ph_operation_global_average_pool)
        return false;
    if (!ph_shape_size(input_shape(query, 0))) return false;
    struct ph_walk walk = reduce_walk(query->node, input_shape(query, 0)), outer, inner;
    ph_walk_split(&walk, 1, &outer, &inner);
    return walk.rank <= COPY_RANK && outer.rank <= REDUCE_RANK && inner.rank <= REDUCE_RANK;
}

static ph_status reduce_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    struct ph_walk walk = reduce_walk(call->node, call->plain.input_shapes[0]), outer, inner;
    int64_t reduced = ph_walk_split(&walk, 1, &outer, &inner), count = element_count(&call->outputs[0]);
    struct ph_words words = {0};
    ph_words_int(&words, count);
    place_put(&words, recorder, call->inputs[0].data);
    place_put(&words, recorder, call->outputs[0].data);
    ph_words_float(&words, is_mean(call->node->operation) ? 1 / (double)reduced : 1);
    axes_put(&words, outer.dims, outer.rank, REDUCE_RANK, 1);
    axes_put(&words, outer.stride[0], outer.rank, REDUCE_RANK, 0);
    axes_put(&words, outer.stride[1], outer.rank, REDUCE_RANK, 0);
    ph_words_int(&words, reduced);
    axes_put(&words, inner.dims, inner.rank, REDUCE_RANK, 1);
    axes_put(&words, inner.stride[0], inner.rank, REDUCE_RANK, 0);
    return ph_recorder_dispatch(recorder, PH_SHADER_reduce, NO_CONSTANTS, &words, count, 1, 1, false);
}

static ph_status reduce_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    const struct ph_shape *x = call->plain.input_shapes[0];
    struct ph_walk walk = reduce_walk(call->node, x);
    double reduced = (double)ph_shape_size(x) / (double)ph_shape_size(&call->plain.output_shapes[0]);
    struct copy copy = {.rank = walk.rank, .scale = is_mean(call->node->operation) ? 1 / reduced : 1,
        .from = ph_recorder_place(recorder, call->output_gradients[0].data),
        .to = ph_recorder_place(recorder, call->input_gradients[0].data), .add = call->accumulate[0]};
    memcpy(copy.dims, walk.dims, sizeof copy.dims);
    memcpy(copy.from_stride, walk.stride[1], sizeof copy.from_stride);
    memcpy(copy.to_stride, walk.stride[0], sizeof copy.to_stride);
    return copy_record(recorder, &copy);
}

/* ---- Convolution ------------------------------------------------------------------------------------------------- */

static bool convolution_accepts(const struct ph_kernel_query *query) {
    return input_shape(query, 0)->rank == 4 && (!query->backward || query->wanted == 1);
}

static unsigned convolution_reads(const struct ph_kernel_query *query) {
    const struct ph_convolution_attributes *a = query->node->attributes;
    return (a->relu ? PH_READS_OUTPUTS : 0) | (query_value(query, query->node->inputs[1])->data ? 0 : PH_READS_INPUTS);
}

static ph_status convolution_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_convolution_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0], *out = &call->plain.output_shapes[0];
    const struct ph_shape *source = backward ? out : in, *target = backward ? in : out;
    int64_t rows = target->dims[1] / a->groups, pixels = target->dims[2] * target->dims[3];
    bool biased = !backward && call->node->input_count > 2;
    struct ph_words words = {0};
    place_put(&words, recorder, call->inputs[1].data);
    place_put(&words, recorder, biased ? call->inputs[2].data : NULL);
    place_put(&words, recorder, backward ? call->output_gradients[0].data : call->inputs[0].data);
    place_put(&words, recorder, backward ? call->input_gradients[0].data : call->outputs[0].data);
    place_put(&words, recorder, backward && a->relu ? call->outputs[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_int(&words, rows);
    ph_words_int(&words, source->dims[1] / a->groups);
    ph_words_int(&words, a->groups);
    for (int i = 2; i < 4; i++) ph_words_int(&words, source->dims[i]);
    for (int i = 2; i < 4; i++) ph_words_int(&words, target->dims[i]);
    for (int i = 1; i < 3; i++) ph_words_int(&words, a->stride[i]);
    for (int i = 1; i < 3; i++) ph_words_int(&words, a->dilation[i]);
    for (int i = 1; i < 3; i++) ph_words_int(&words, a->pad_begin[i]);
    ph_words_float(&words, a->ceiling);
    return ph_recorder_dispatch(recorder, PH_SHADER_convolution,
                                CONSTANTS(backward, a->relu, (int32_t)a->kernel[1], (int32_t)a->kernel[2]), &words,
                                divide_up(pixels, 32), divide_up(rows, 32), target->dims[0] * a->groups, false);
}

static ph_status convolution_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return convolution_put(call, recorder, false);
}

static ph_status convolution_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return convolution_put(call, recorder, true);
}

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
    bool add, waits;
};

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
    return ph_recorder_dispatch(recorder, PH_SHADER_product, NO_CONSTANTS, &words, divide_up(product->columns, 16),
                                divide_up(product->rows, 16), 1, product->waits);
}

static bool gemm_accepts(const struct ph_kernel_query *query) {
    return !query->backward || !(query->wanted & 4);
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
    if (!call->input_gradients[1].data) return PH_OK;
    struct product product = {.a = matrix_of(recorder, call->inputs[0].data, left->dims[1], !a->transpose_a),
        .b = matrix_of(recorder, dy, out->dims[1], false), .addend = {PH_NOWHERE, 0, 0},
        .target = matrix_of(recorder, call->input_gradients[1].data, right->dims[1], a->transpose_b), .rows = inner,
        .columns = out->dims[1], .inner = out->dims[0], .scale = a->alpha, .add = call->accumulate[1], .waits = true};
    return product_put(recorder, &product);
}

/* ---- Pools, norms, softmax --------------------------------------------------------------------------------------- */

static bool pool_accepts(const struct ph_kernel_query *query) {
    const struct ph_operation *operation = query->node->operation;
    return input_shape(query, 0)->rank == 4 && (operation == &ph_operation_max_pool ||
           operation == &ph_operation_average_pool || operation == &ph_operation_softened_max_pool);
}

static ph_status pool_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_pool_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0], *out = &call->plain.output_shapes[0];
    const struct ph_operation *operation = call->node->operation;
    bool maximum = operation == &ph_operation_max_pool || (operation == &ph_operation_softened_max_pool && !backward);
    bool padded = operation == &ph_operation_average_pool && a->divisor == PH_DIVIDE_PADDED;
    int64_t count = ph_shape_size(backward ? in : out);
    struct ph_words words = {0};
    ph_words_int(&words, count);
    place_put(&words, recorder, call->inputs[0].data);
    place_put(&words, recorder, backward ? call->output_gradients[0].data : call->outputs[0].data);
    place_put(&words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    for (int i = 2; i < 4; i++) ph_words_int(&words, in->dims[i]);
    for (int i = 2; i < 4; i++) ph_words_int(&words, out->dims[i]);
    const int64_t *const windows[] = {a->kernel, a->stride, a->dilation, a->pad_begin, a->pad_end};
    for (int k = 0; k < PH_COUNT(windows); k++)
        for (int i = 1; i < 3; i++) ph_words_int(&words, windows[k][i]);
    return dispatch_flat(recorder, PH_SHADER_pool, CONSTANTS(maximum, backward, padded), &words, count, false);
}

static ph_status pool_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return pool_put(call, recorder, false);
}

static ph_status pool_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return pool_put(call, recorder, true);
}

static bool response_norm_accepts(const struct ph_kernel_query *query) {
    return !((const struct ph_response_norm_attributes *)query->node->attributes)->within_channel;
}

static ph_status response_norm_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_response_norm_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t count = ph_shape_size(shape), groups = shape->dims[0] * shape->dims[1];
    struct ph_words words = {0};
    ph_words_int(&words, count);
    place_put(&words, recorder, call->inputs[0].data);
    place_put(&words, recorder, backward ? call->output_gradients[0].data : call->outputs[0].data);
    place_put(&words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_int(&words, shape->dims[1]);
    ph_words_int(&words, groups ? count / groups : 1);
    ph_words_int(&words, (a->size - 1) / 2);
    ph_words_int(&words, a->size / 2);
    ph_words_float(&words, a->alpha / (double)a->size);
    ph_words_float(&words, a->beta);
    ph_words_float(&words, a->bias);
    return dispatch_flat(recorder, PH_SHADER_response_norm, CONSTANTS(backward), &words, count, false);
}

static ph_status response_norm_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return response_norm_put(call, recorder, false);
}

static ph_status response_norm_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return response_norm_put(call, recorder, true);
}

static ph_status softmax_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_softmax_attributes *a = call->node->attributes;
    const struct ph_shape *shape = &call->plain.output_shapes[0];
    int64_t outer = 1, count = 1, stride = 1;
    for (int i = 0; i < shape->rank; i++) *(i < a->axis ? &outer : i < a->end_axis ? &count : &stride) *= shape->dims[i];
    struct ph_words words = {0};
    ph_words_int(&words, outer * stride);
    place_put(&words, recorder, backward ? call->output_gradients[0].data : call->inputs[0].data);
    place_put(&words, recorder, call->outputs[0].data);
    place_put(&words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_int(&words, count);
    ph_words_int(&words, stride);
    return ph_recorder_dispatch(recorder, PH_SHADER_softmax, CONSTANTS(backward), &words, outer * stride, 1, 1, false);
}

static ph_status softmax_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return softmax_put(call, recorder, false);
}

static ph_status softmax_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return softmax_put(call, recorder, true);
}

/* ---- The picture side -------------------------------------------------------------------------------------------- */

static ph_status warp_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_warp_attributes *a = call->node->attributes;
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t count = ph_shape_size(backward ? shape : &call->plain.output_shapes[0]);
    int border = a->border == PH_BORDER_CONSTANT ? 0 : a->border == PH_BORDER_REFLECT ? 1 : 2;
    struct ph_words words = {0};
    ph_words_int(&words, count);
    place_put(&words, recorder, backward ? NULL : call->inputs[0].data);
    place_put(&words, recorder, call->inputs[1].data);
    place_put(&words, recorder, backward ? call->output_gradients[0].data : call->outputs[0].data);
    place_put(&words, recorder, backward ? call->input_gradients[0].data : NULL);
    ph_words_int(&words, backward && call->accumulate[0]);
    for (int i = 1; i < 4; i++) ph_words_int(&words, shape->dims[i]);
    ph_words_int(&words, a->height);
    ph_words_int(&words, a->width);
    ph_words_float(&words, a->fill);
    return dispatch_flat(recorder, PH_SHADER_warp, CONSTANTS(backward, border), &words, count, false);
}

static ph_status warp_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return warp_put(call, recorder, false);
}

static ph_status warp_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return warp_put(call, recorder, true);
}

static size_t fourier_scratch(const struct ph_kernel_query *query) { return (size_t)ph_shape_size(input_shape(query, 0)); }

/* cos and sin of every multiple of a full turn's n-th part. */
static ph_status turns_make(const struct ph_kernel_call *call, struct ph_recorder *recorder, int64_t n, uint32_t *place) {
    const double pi = 3.14159265358979323846;
    float *turns = ph_alloc_array((size_t)n, 2 * sizeof *turns);
    if (!turns) return ph_fail_memory((ph_context *)call->context);
    for (int64_t i = 0; i < n; i++) {
        turns[2 * i] = (float)cos(2 * pi * (double)i / (double)n);
        turns[2 * i + 1] = (float)sin(2 * pi * (double)i / (double)n);
    }
    ph_status status = ph_recorder_table(recorder, turns, 2 * (size_t)n, place);
    ph_free(turns);
    return status;
}

/* One axis, in the order of the shader's block; strides in numbers, complex ones counted once. */
struct transform {
    uint32_t source, target, turns;
    bool add;
    int64_t planes, lines, read, written, length, read_stride, written_stride, line_read, line_written, plane_read,
        plane_written;
    double scale;
    int sign;
    int32_t constants[PH_SHADER_CONSTANTS];
};

static ph_status transform_put(struct ph_recorder *recorder, const struct transform *t, bool waits) {
    const int64_t sizes[] = {t->lines, t->read, t->written, t->length, t->read_stride, t->written_stride, t->line_read,
        t->line_written, t->plane_read, t->plane_written};
    int64_t count = t->planes * t->lines * t->written;
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_int(&words, t->source);
    ph_words_int(&words, t->target);
    ph_words_int(&words, t->turns);
    ph_words_int(&words, t->add);
    for (int i = 0; i < PH_COUNT(sizes); i++) ph_words_int(&words, sizes[i]);
    ph_words_float(&words, t->scale);
    ph_words_int(&words, t->sign);
    return dispatch_flat(recorder, PH_SHADER_irfft, t->constants, &words, count, waits);
}

/* Forward down the columns, then along the rows; backward the other way. */
static ph_status fourier_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_shape *shape = call->plain.input_shapes[0];
    int64_t planes = shape->dims[0] * shape->dims[1], height = shape->dims[2], columns = shape->dims[3];
    int64_t width = call->plain.output_shapes[0].dims[3];
    uint32_t down, along, between = ph_recorder_place(recorder, call->scratch);
    PH_TRY(turns_make(call, recorder, height, &down));
    PH_TRY(turns_make(call, recorder, width, &along));
    struct transform vertical = {.turns = down, .planes = planes, .lines = columns, .read = height, .written = height,
        .length = height, .read_stride = columns, .written_stride = columns, .line_read = 1, .line_written = 1,
        .plane_read = height * columns, .plane_written = height * columns, .scale = 1, .sign = backward ? -1 : 1};
    struct transform horizontal = {.turns = along, .planes = planes, .lines = height, .length = width, .read_stride = 1,
        .written_stride = 1, .scale = 1 / ((double)height * (double)width), .sign = backward ? -1 : 1};
    if (!backward) {
        vertical.source = ph_recorder_place(recorder, call->inputs[0].data);
        vertical.target = horizontal.source = between;
        horizontal.target = ph_recorder_place(recorder, call->outputs[0].data);
        horizontal.read = horizontal.line_read = columns;
        horizontal.written = horizontal.line_written = width;
        horizontal.plane_read = height * columns;
        horizontal.plane_written = height * width;
        memcpy(horizontal.constants, CONSTANTS(0, 1, 1), sizeof horizontal.constants);
        PH_TRY(transform_put(recorder, &vertical, false));
        return transform_put(recorder, &horizontal, true);
    }
    horizontal.source = ph_recorder_place(recorder, call->output_gradients[0].data);
    horizontal.target = vertical.source = between;
    horizontal.read = horizontal.line_read = width;
    horizontal.written = horizontal.line_written = columns;
    horizontal.plane_read = height * width;
    horizontal.plane_written = height * columns;
    memcpy(horizontal.constants, CONSTANTS(1, 0, 2), sizeof horizontal.constants);
    vertical.target = ph_recorder_place(recorder, call->input_gradients[0].data);
    vertical.add = call->accumulate[0];
    PH_TRY(transform_put(recorder, &horizontal, false));
    return transform_put(recorder, &vertical, true);
}

static ph_status fourier_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return fourier_put(call, recorder, false);
}

static ph_status fourier_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return fourier_put(call, recorder, true);
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

#define FORWARD(label, ...) &(const struct ph_kernel){.name = label, __VA_ARGS__}
#define BACKWARD(label, ...) &(const struct ph_kernel){.name = label, .backward = true, __VA_ARGS__}
#define OF(name) .operation = &ph_operation_##name

const struct ph_kernel *const ph_vulkan_kernels[] = {
    FORWARD("unary", .accepts = unary_accepts, .record = unary_record),
    BACKWARD("unary", .accepts = unary_accepts, .record = unary_backward_record),
    FORWARD("binary", .accepts = binary_accepts, .record = binary_record),
    BACKWARD("binary", .accepts = binary_accepts, .record = binary_backward_record),
    BACKWARD("redirected", OF(redirected_relu), .record = redirected_record),
    BACKWARD("redirected", OF(redirected_clip), .record = redirected_record),
    FORWARD("reduce", .accepts = reduce_accepts, .record = reduce_record),
    BACKWARD("spread", .accepts = reduce_accepts, .record = reduce_backward_record),
    FORWARD("tiles", OF(convolution), .accepts = convolution_accepts, .record = convolution_record),
    BACKWARD("tiles", OF(convolution), .accepts = convolution_accepts, .reads = convolution_reads,
             .record = convolution_backward_record),
    FORWARD("tiles", OF(gemm), .record = gemm_record),
    BACKWARD("tiles", OF(gemm), .accepts = gemm_accepts, .record = gemm_backward_record),
    FORWARD("window", .accepts = pool_accepts, .record = pool_record),
    BACKWARD("gather", .accepts = pool_accepts, .record = pool_backward_record),
    FORWARD("window", OF(local_response_norm), .accepts = response_norm_accepts, .record = response_norm_record),
    BACKWARD("gather", OF(local_response_norm), .accepts = response_norm_accepts, .record = response_norm_backward_record),
    FORWARD("rows", OF(softmax), .record = softmax_record),
    BACKWARD("rows", OF(softmax), .record = softmax_backward_record),
    FORWARD("copy", OF(concat), .accepts = copy_accepts, .record = concat_record),
    BACKWARD("copy", OF(concat), .accepts = copy_accepts, .record = concat_backward_record),
    FORWARD("copy", OF(slice), .accepts = copy_accepts, .record = slice_record),
    BACKWARD("copy", OF(slice), .accepts = copy_accepts, .record = slice_backward_record),
    FORWARD("copy", OF(split), .accepts = copy_accepts, .record = split_record),
    BACKWARD("copy", OF(split), .accepts = copy_accepts, .record = split_backward_record),
    FORWARD("copy", OF(transpose), .accepts = copy_accepts, .record = transpose_record),
    BACKWARD("copy", OF(transpose), .accepts = copy_accepts, .record = transpose_backward_record),
    FORWARD("copy", OF(pick), .record = pick_record),
    BACKWARD("copy", OF(pick), .record = pick_backward_record),
    FORWARD("sample", OF(affine_warp), .record = warp_record),
    BACKWARD("gather", OF(affine_warp), .record = warp_backward_record),
    FORWARD("sums", OF(irfft2), .scratch = fourier_scratch, .record = fourier_record),
    BACKWARD("sums", OF(irfft2), .scratch = fourier_scratch, .record = fourier_backward_record),
    NULL};
