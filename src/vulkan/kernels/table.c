/* Operations that move elements, or mix them along an axis, by tables. A table is found by running the operation's plain
 * function, once and on the host, on the numbers of the elements, or on one element of an axis at a time: whatever the
 * operation's modes and roundings are, they need no shader of their own. Numbers are doubles, exact to 2^53. */
#include "vulkan/kernels/kernels.h"
#include <string.h>

static const double *as_doubles(const float *values, int64_t count) {
    double *doubles = ph_alloc_array((size_t)count + 1, sizeof *doubles);
    for (int64_t i = 0; i < count && doubles; i++) doubles[i] = values[i];
    return doubles;
}

/* ---- Movement ---------------------------------------------------------------------------------------------------- */

static bool gather_accepts(const struct ph_kernel_query *query) {
    static const struct ph_operation *const movements[] = {&ph_operation_pad, &ph_operation_expand, &ph_operation_tile,
        &ph_operation_depth_to_space, &ph_operation_gather, NULL};
    return ph_operation_index(movements, query->node->operation) >= 0;
}

/* For each element of the result the number of the element it is, or -1: a constant. */
static ph_status sources_find(const struct ph_kernel_call *call, int32_t **sources) {
    ph_context *context = (ph_context *)call->context;
    const struct ph_shape *x = call->plain.input_shapes[0], *y = &call->plain.output_shapes[0];
    int64_t read = ph_shape_size(x), written = ph_shape_size(y);
    struct ph_pad_attributes pad;
    struct ph_call plain = call->plain;
    if (call->node->operation == &ph_operation_pad) {
        pad = *(const struct ph_pad_attributes *)call->node->attributes;
        pad.value = -1;
        plain.attributes = &pad;
    }
    *sources = NULL;
    if (read > INT32_MAX || written > INT32_MAX)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "backend vulkan: node '%s': the tensor is too large for a table",
                       call->node->name);
    bool indexed = call->node->input_count > 1;
    double *numbers = ph_alloc_array((size_t)read + 1, sizeof *numbers);
    double *found = ph_alloc_array((size_t)written + 1, sizeof *found);
    const double *indices =
        indexed ? as_doubles(call->inputs[1].data, ph_shape_size(call->plain.input_shapes[1])) : NULL;
    *sources = ph_alloc_array((size_t)written + 1, sizeof **sources);
    bool there = numbers && found && *sources && (indices || !indexed);
    if (there) {
        for (int64_t i = 0; i < read; i++) numbers[i] = (double)i;
        plain.inputs = (const void *const[]){numbers, indices};
        plain.outputs = (void *const[]){found};
        ph_operation_double(call->node->operation)->forward(&plain);
        for (int64_t i = 0; i < written; i++) (*sources)[i] = (int32_t)found[i];
    }
    ph_free(numbers);
    ph_free(found);
    ph_free((void *)indices);
    return there ? PH_OK : ph_fail_memory(context);
}

/* Lists by element of what names it in `sources`: where each begins, then their contents. Owned by the caller. */
static int32_t *lists_make(const int32_t *sources, int64_t count, int64_t elements, int64_t *length) {
    int64_t entries = 0;
    for (int64_t i = 0; i < count; i++) entries += sources[i] >= 0;
    int32_t *lists = ph_alloc_array((size_t)(elements + 2 + entries), sizeof *lists);
    *length = elements + 1 + entries;
    if (!lists) return NULL;
    for (int64_t i = 0; i < count; i++)
        if (sources[i] >= 0) lists[sources[i] + 1]++;
    for (int64_t i = 0; i < elements; i++) lists[i + 1] += lists[i];
    for (int64_t i = 0; i < count; i++)
        if (sources[i] >= 0) lists[elements + 1 + lists[sources[i]]++] = (int32_t)i;
    /* Each begin has moved to the next one's. */
    for (int64_t i = elements; i > 0; i--) lists[i] = lists[i - 1];
    lists[0] = 0;
    return lists;
}

static ph_status gather_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    int64_t read = ph_shape_size(call->plain.input_shapes[0]), written = ph_shape_size(&call->plain.output_shapes[0]);
    int64_t count = backward ? read : written, length = written;
    bool pads = call->node->operation == &ph_operation_pad;
    int32_t *table;
    uint32_t place = PH_NOWHERE;
    ph_status status = sources_find(call, &table);
    if (!status && backward) {
        int32_t *lists = lists_make(table, written, read, &length);
        ph_free(table);
        table = lists;
        if (!lists) status = ph_fail_memory((ph_context *)call->context);
    }
    if (!status) status = ph_recorder_table(recorder, table, (size_t)length, &place);
    ph_free(table);
    PH_TRY(status);
    struct ph_words words = {0};
    ph_words_int(&words, count);
    ph_words_place(&words, recorder, backward ? call->output_gradients[0].data : call->inputs[0].data);
    ph_words_place(&words, recorder, backward ? call->input_gradients[0].data : call->outputs[0].data);
    ph_words_int(&words, place);
    ph_words_int(&words, backward && call->accumulate[0]);
    ph_words_float(&words, pads ? ((const struct ph_pad_attributes *)call->node->attributes)->value : 0);
    return ph_dispatch_flat(recorder, PH_SHADER_gather, PH_CONSTANTS(backward), &words, count, false);
}

static ph_status gather_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return gather_put(call, recorder, false);
}

static ph_status gather_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return gather_put(call, recorder, true);
}

/* ---- Resizing, axis by axis -------------------------------------------------------------------------------------- */

/* Between axes a tensor stands aside, in turn in either half of the scratch: none is larger than the larger of both sizes
 * along each axis. */
static size_t resize_half(const struct ph_shape *x, const struct ph_shape *y) {
    size_t size = 1;
    for (int i = 0; i < x->rank; i++) size *= (size_t)PH_MAX(x->dims[i], y->dims[i]);
    return size;
}

static size_t resize_scratch(const struct ph_kernel_query *query) {
    return 2 * resize_half(ph_query_input(query, 0), ph_query_output(query));
}

/* What one element of an axis becomes: the operation on a tensor that has no other axis. */
static ph_status axis_weights(const struct ph_kernel_call *call, int axis, double *weights /* [read][written] */) {
    const struct ph_resize_attributes *all = call->node->attributes;
    struct ph_resize_attributes a = *all;
    struct ph_shape x = *call->plain.input_shapes[0];
    a.extrapolation = 0;
    for (int i = 0; i < x.rank; i++) {
        if (i == axis) continue;
        x.dims[i] = a.output.dims[i] = 1;
        a.scale[i] = a.roi_end[i] = 1;
        a.roi_begin[i] = 0;
    }
    int64_t read = x.dims[axis], written = a.output.dims[axis];
    double *one = ph_alloc_array((size_t)read + 1, sizeof *one);
    if (!one) return ph_fail_memory((ph_context *)call->context);
    struct ph_call plain = {.attributes = &a, .input_count = 1, .output_count = 1,
        .input_shapes = (const struct ph_shape *const[]){&x}, .input_types = call->plain.input_types,
        .output_shapes = &a.output, .output_types = call->plain.output_types, .inputs = (const void *const[]){one}};
    for (int64_t i = 0; i < read; i++) {
        one[i] = 1;
        plain.outputs = (void *const[]){weights + i * written};
        ph_operation_double(call->node->operation)->forward(&plain);
        one[i] = 0;
    }
    ph_free(one);
    return PH_OK;
}

/* The table of a map [read][written], or of its transpose. */
static ph_status map_table(const struct ph_kernel_call *call, struct ph_recorder *recorder, const double *weights,
                           int64_t read, int64_t written, bool transpose, uint32_t *place, int64_t *entries) {
    int64_t from = transpose ? written : read, to = transpose ? read : written;
    *entries = 0;
    for (int64_t i = 0; i < read * written; i++) *entries += weights[i] != 0;
    int64_t length = to + 1 + 2 * *entries, at = 0;
    int32_t *table = ph_alloc_array((size_t)length, sizeof *table);
    if (!table) return ph_fail_memory((ph_context *)call->context);
    for (int64_t o = 0; o < to; o++) {
        for (int64_t i = 0; i < from; i++) {
            float weight = (float)(transpose ? weights[o * written + i] : weights[i * written + o]);
            if (!(transpose ? weights[o * written + i] : weights[i * written + o])) continue;
            table[to + 1 + at] = (int32_t)i;
            memcpy(&table[to + 1 + *entries + at++], &weight, sizeof weight);
        }
        table[o + 1] = (int32_t)at;
    }
    ph_status status = ph_recorder_table(recorder, table, (size_t)length, place);
    ph_free(table);
    return status;
}

/* `outside`: of elements that no weight reaches. What later axes make of it is the same, for their weights sum to 1. */
struct pass { uint32_t from, to; bool add, waits, transpose; double outside; };

/* Maps one axis; `shape` is the source's, and becomes the target's. */
static ph_status axis_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, int axis, struct ph_shape *shape,
                          const struct pass *pass) {
    int64_t read = call->plain.input_shapes[0]->dims[axis], written = call->plain.output_shapes[0].dims[axis];
    int64_t stride = 1, entries;
    uint32_t table = PH_NOWHERE;
    double *weights = ph_alloc_array((size_t)read + 1, (size_t)(written + 1) * sizeof *weights);
    ph_status status = weights ? axis_weights(call, axis, weights) : ph_fail_memory((ph_context *)call->context);
    if (!status) status = map_table(call, recorder, weights, read, written, pass->transpose, &table, &entries);
    ph_free(weights);
    PH_TRY(status);
    for (int i = axis + 1; i < shape->rank; i++) stride *= shape->dims[i];
    int64_t before = shape->dims[axis], after = pass->transpose ? read : written;
    shape->dims[axis] = after;
    struct ph_words words = {0};
    ph_words_int(&words, ph_shape_size(shape));
    ph_words_int(&words, pass->from);
    ph_words_int(&words, pass->to);
    ph_words_int(&words, table);
    ph_words_int(&words, pass->add);
    ph_words_int(&words, before);
    ph_words_int(&words, after);
    ph_words_int(&words, stride);
    ph_words_int(&words, entries);
    ph_words_float(&words, pass->outside);
    return ph_dispatch_flat(recorder, PH_SHADER_resample, PH_CONSTANTS(0), &words, ph_shape_size(shape), pass->waits);
}

/* Axes that stay as they are need no pass; where all do, it is a copy by the map of the first. */
static bool axis_changes(const struct ph_kernel_call *call, int axis) {
    const struct ph_resize_attributes *a = call->node->attributes;
    bool crops = a->coordinates == PH_TF_CROP_AND_RESIZE && (a->roi_begin[axis] != 0 || a->roi_end[axis] != 1);
    return crops || a->scale[axis] != 1 || call->plain.input_shapes[0]->dims[axis] != a->output.dims[axis];
}

static ph_status resize_put(const struct ph_kernel_call *call, struct ph_recorder *recorder, bool backward) {
    const struct ph_resize_attributes *a = call->node->attributes;
    double outside = a->coordinates == PH_TF_CROP_AND_RESIZE && !backward ? a->extrapolation : 0;
    struct ph_shape shape = backward ? call->plain.output_shapes[0] : *call->plain.input_shapes[0];
    const float *from = backward ? call->output_gradients[0].data : call->inputs[0].data;
    const float *to = backward ? call->input_gradients[0].data : call->outputs[0].data;
    size_t half = resize_half(call->plain.input_shapes[0], &call->plain.output_shapes[0]);
    int axes[PH_MAX_RANK] = {0}, count = 0;
    if (!ph_shape_size(&call->plain.output_shapes[0])) return PH_OK;
    for (int i = 0; i < shape.rank; i++)
        if (axis_changes(call, i)) axes[count++] = i;
    count = PH_MAX(count, 1);
    uint32_t place = ph_recorder_place(recorder, from), scratch = ph_recorder_place(recorder, call->scratch);
    for (int i = 0; i < count; i++) {
        bool last = i == count - 1;
        struct pass pass = {.from = place, .to = last ? ph_recorder_place(recorder, to) : scratch + (uint32_t)(i % 2 * half),
            .add = last && backward && call->accumulate[0], .waits = i > 0, .transpose = backward,
            .outside = outside};
        PH_TRY(axis_put(call, recorder, axes[i], &shape, &pass));
        place = pass.to;
    }
    return PH_OK;
}

static ph_status resize_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return resize_put(call, recorder, false);
}

static ph_status resize_backward_record(const struct ph_kernel_call *call, struct ph_recorder *recorder) {
    return resize_put(call, recorder, true);
}

/* ---- The kernels ------------------------------------------------------------------------------------------------- */

PH_VULKAN_KERNEL(gather) = {.name = "table", .accepts = gather_accepts, .record = gather_record};
PH_VULKAN_KERNEL(gather_backward) = {.name = "table", .backward = true, .accepts = gather_accepts,
                                     .record = gather_backward_record};
PH_VULKAN_KERNEL(resize) = {.name = "axes", .operation = &ph_operation_resize, .scratch = resize_scratch, .record = resize_record};
PH_VULKAN_KERNEL(resize_backward) = {.name = "axes", .operation = &ph_operation_resize, .backward = true,
    .scratch = resize_scratch, .record = resize_backward_record};
