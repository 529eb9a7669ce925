/* Operations that only move elements between plain tensors: slice, transpose, padding with a constant, depth to space, and
 * gather by constant indices.
 *
 * All but some gathers are one *move*: a box of positions with a stride along each axis in the tensor that is read and in the
 * one that is written. The backward is the same move with the two exchanged. Axes along which both go on as if they were one
 * are merged. Then, if both sides are contiguous along the last axis, runs are copied; if each is along another axis, square
 * tiles are turned in registers, so that both sides go by whole lines of the cache. */
#include "cpu/kernels/lanes.h"
#include "cpu/kernels/list.h"

enum { PIECE = 8192, MOST_AXES = PH_MAX_RANK + 1 };

struct axis { int64_t size, to, from; };

struct move {
    const float *from;
    float *to;
    bool add;                    /* to what is there */
    int count;                   /* axes: first those around an item, then its own */
    struct axis axes[MOST_AXES];
    int around;
    int64_t cut, piece;          /* the axis that items are pieces of: its whole length, and that of a piece */
    bool turns;                  /* the last axis is contiguous where it is written, the one before where it is read */
    int64_t items, items_of_task;
};

static void put(float *to, float value, bool add) { *to = add ? *to + value : value; }

/* ---- Items: a run, or a strip of tiles ----------------------------------------------------------------------------------- */

PH_INLINE void tile_move(const float *from, int64_t from_stride, float *to, int64_t to_stride, const bool add) {
    vector rows[PH_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < PH_LANES; i++) rows[i] = load(from + i * from_stride);
    lanes_turn(rows);
#pragma GCC unroll 16
    for (int i = 0; i < PH_LANES; i++) store(to + i * to_stride, add ? load(to + i * to_stride) + rows[i] : rows[i]);
}

/* `width` rows that are written, columns that are read. */
static void strip_move(const struct move *m, const float *from, float *to, int64_t width) {
    struct axis line = m->axes[m->count - 1], across = m->axes[m->count - 2];
    int64_t done = 0;
    if (width == PH_LANES)
        for (; done + PH_LANES <= line.size; done += PH_LANES) {
            if (m->add) tile_move(from + done * line.from, line.from, to + done, across.to, true);
            else tile_move(from + done * line.from, line.from, to + done, across.to, false);
        }
    for (int64_t i = 0; i < width; i++)
        for (int64_t k = done; k < line.size; k++) put(&to[i * across.to + k], from[i + k * line.from], m->add);
}

static void run_move(const struct move *m, const float *from, float *to, int64_t length) {
    struct axis line = m->axes[m->count - 1];
    if (line.to != 1 || line.from != 1)
        for (int64_t i = 0; i < length; i++) put(&to[i * line.to], from[i * line.from], m->add);
    else if (m->add)
        for (int64_t i = 0; i < length; i++) to[i] += from[i];
    else
        memcpy(to, from, (size_t)length * sizeof *to);
}

static void task_run(void *argument, int64_t task) {
    const struct move *m = argument;
    int64_t first = task * m->items_of_task, end = PH_MIN(first + m->items_of_task, m->items), index[MOST_AXES];
    const float *from = m->from;
    float *to = m->to;
    for (int64_t rest = first, i = m->around - 1; i >= 0; rest /= m->axes[i].size, i--) {
        index[i] = rest % m->axes[i].size;
        from += index[i] * m->axes[i].from;
        to += index[i] * m->axes[i].to;
    }
    for (int64_t item = first; item < end; item++) {
        int64_t length = PH_MIN(m->piece, m->cut - index[m->around - 1] * m->piece);
        if (m->turns) strip_move(m, from, to, length);
        else run_move(m, from, to, length);
        for (int i = m->around - 1; i >= 0; i--) {
            from += m->axes[i].from;
            to += m->axes[i].to;
            if (++index[i] < m->axes[i].size) break;
            from -= index[i] * m->axes[i].from;
            to -= index[i] * m->axes[i].to;
            index[i] = 0;
        }
    }
}

/* ---- A move ---------------------------------------------------------------------------------------------------------------- */

static void axis_add(struct move *m, int64_t size, int64_t to, int64_t from) {
    m->axes[m->count++] = (struct axis){size, to, from};
}

/* The tensors change places. */
static void exchange(struct move *m) {
    for (int i = 0; i < m->count; i++) {
        int64_t to = m->axes[i].to;
        m->axes[i].to = m->axes[i].from;
        m->axes[i].from = to;
    }
}

static int64_t extent(int64_t stride) { return stride < 0 ? -stride : stride; }

/* In the order of what is written, axes of one position left out and those that go on as one merged; at least one. */
static void axes_order(struct move *m) {
    struct axis sorted[MOST_AXES];
    int count = 0;
    for (int i = 0; i < m->count; i++) {
        int at = count++;
        for (; at > 0 && extent(sorted[at - 1].to) < extent(m->axes[i].to); at--) sorted[at] = sorted[at - 1];
        sorted[at] = m->axes[i];
    }
    m->count = 0;
    for (int i = 0; i < count; i++) {
        struct axis *last = m->count ? &m->axes[m->count - 1] : NULL, axis = sorted[i];
        if (axis.size == 1) continue;
        if (last && last->to == axis.to * axis.size && last->from == axis.from * axis.size)
            *last = (struct axis){last->size * axis.size, axis.to, axis.from};
        else axis_add(m, axis.size, axis.to, axis.from);
    }
    if (!m->count) axis_add(m, 1, 1, 1);
}

/* Where the last axis is contiguous only as it is written, brings the one that is as it is read in front of it. */
static void turn_find(struct move *m) {
    int last = m->count - 1;
    for (int i = 0; i < last && !m->turns; i++) {
        struct axis read = m->axes[i];
        if (m->axes[last].to != 1 || m->axes[last].from == 1 || read.from != 1) continue;
        memmove(&m->axes[i], &m->axes[i + 1], (size_t)(last - 1 - i) * sizeof read);
        m->axes[last - 1] = read;
        m->turns = true;
    }
}

/* Items are pieces of one axis: of the one that tiles are read along, or of the last. */
static void pieces_make(struct move *m) {
    int own = m->turns ? 2 : 1;
    struct axis cut = m->axes[m->count - own];
    m->around = m->count + 1 - own;
    m->cut = cut.size;
    m->piece = m->turns ? PH_LANES : PIECE;
    memmove(&m->axes[m->around], &m->axes[m->around - 1], (size_t)own * sizeof cut);
    m->axes[m->around - 1] = (struct axis){(cut.size + m->piece - 1) / m->piece, cut.to * m->piece, cut.from * m->piece};
    m->count++;
    m->items = 1;
    for (int i = 0; i < m->around; i++) m->items *= m->axes[i].size;
    int64_t elements = PH_MIN(m->piece, m->cut) * (m->turns ? m->axes[m->count - 1].size : 1);
    m->items_of_task = PH_MAX((int64_t)1, PIECE / PH_MAX((int64_t)1, elements));
}

static void move_run(const ph_context *context, struct move *m) {
    for (int i = 0; i < m->count; i++)
        if (!m->axes[i].size) return;
    axes_order(m);
    turn_find(m);
    pieces_make(m);
    ph_parallel_for(context, (m->items + m->items_of_task - 1) / m->items_of_task, task_run, m);
}

struct fill { float *to, value; int64_t size; };

static void fill_piece(void *argument, int64_t index) {
    const struct fill *fill = argument;
    for (int64_t i = index * PIECE; i < PH_MIN((index + 1) * PIECE, fill->size); i++) fill->to[i] = fill->value;
}

static void fill_run(const ph_context *context, float *to, int64_t size, float value) {
    struct fill fill = {to, value, size};
    ph_parallel_for(context, (size + PIECE - 1) / PIECE, fill_piece, &fill);
}

/* ---- What the operations move ------------------------------------------------------------------------------------------- */

static void strides_of(const struct ph_shape *shape, int64_t *strides) {
    int64_t next = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = next;
        next *= shape->dims[i];
    }
}

/* Of input 0 and of the output. */
struct strides { int64_t from[PH_MAX_RANK], to[PH_MAX_RANK]; };

static struct strides strides_of_call(const struct ph_kernel_call *call) {
    struct strides strides;
    strides_of(call->plain.input_shapes[0], strides.from);
    strides_of(&call->plain.output_shapes[0], strides.to);
    return strides;
}

/* Of the forward: where it begins in input and output, as offsets, and its axes. */
struct route { struct move move; int64_t from, to; };

static struct route slice_route(const struct ph_kernel_call *call) {
    const struct ph_slice_attributes *a = call->node->attributes;
    const struct ph_shape *out = &call->plain.output_shapes[0];
    const struct strides strides = strides_of_call(call);
    struct route route = {0};
    for (int i = 0; i < out->rank; i++) {
        route.from += a->start[i] * strides.from[i];
        axis_add(&route.move, out->dims[i], strides.to[i], a->step[i] * strides.from[i]);
    }
    return route;
}

static struct route transpose_route(const struct ph_kernel_call *call) {
    const struct ph_transpose_attributes *a = call->node->attributes;
    const struct ph_shape *out = &call->plain.output_shapes[0];
    const struct strides strides = strides_of_call(call);
    struct route route = {0};
    for (int i = 0; i < out->rank; i++) axis_add(&route.move, out->dims[i], strides.to[i], strides.from[a->order[i]]);
    return route;
}

/* What of the input is in the output. */
static struct route pad_route(const struct ph_kernel_call *call) {
    const struct ph_pad_attributes *a = call->node->attributes;
    const struct ph_shape *in = call->plain.input_shapes[0];
    const struct strides strides = strides_of_call(call);
    struct route route = {0};
    for (int i = 0; i < in->rank; i++) {
        int64_t first = PH_MAX((int64_t)0, -a->begin[i]), end = in->dims[i] - PH_MAX((int64_t)0, -a->end[i]);
        route.from += first * strides.from[i];
        route.to += (first + a->begin[i]) * strides.to[i];
        axis_add(&route.move, PH_MAX((int64_t)0, end - first), strides.to[i], strides.from[i]);
    }
    return route;
}

static struct route depth_to_space_route(const struct ph_kernel_call *call) {
    const struct ph_depth_to_space_attributes *a = call->node->attributes;
    const int64_t *in = call->plain.input_shapes[0]->dims, *out = call->plain.output_shapes[0].dims, block = a->block;
    int64_t plane = in[2] * in[3], channel = a->column_row_depth ? block * block * plane : plane;
    int64_t within = a->column_row_depth ? plane : out[1] * plane;
    struct route route = {0};
    axis_add(&route.move, in[0], out[1] * out[2] * out[3], in[1] * plane);
    axis_add(&route.move, out[1], out[2] * out[3], channel);
    axis_add(&route.move, in[2], block * out[3], in[3]);
    axis_add(&route.move, block, out[3], block * within);
    axis_add(&route.move, in[3], block, 1);
    axis_add(&route.move, block, 1, within);
    return route;
}

/* ---- Gather -------------------------------------------------------------------------------------------------------------- */

/* The indices of a gather, [count] along an axis of `size`; runs of `inner` elements are picked, `outer` times. */
struct picks { const float *indices; int64_t count, size, outer, inner; };

static struct picks picks_of(const struct ph_kernel_call *call) {
    const struct ph_shape *in = call->plain.input_shapes[0];
    int64_t axis = ((const struct ph_axis_attributes *)call->node->attributes)->axis;
    struct picks picks = {call->inputs[1].data, ph_shape_size(call->plain.input_shapes[1]), in->dims[axis], 1, 1};
    for (int i = 0; i < in->rank; i++)
        if (i != axis) *(i < axis ? &picks.outer : &picks.inner) *= in->dims[i];
    return picks;
}

static int64_t pick(const struct picks *picks, int64_t i) {
    int64_t at = (int64_t)picks->indices[i];
    return at < 0 ? at + picks->size : at;
}

/* Indices that lie evenly, each another, are a slice's. */
static bool picks_are_even(const struct picks *picks) {
    int64_t step = picks->count > 1 ? pick(picks, 1) - pick(picks, 0) : 1;
    bool even = step != 0;
    for (int64_t i = 2; i < picks->count && even; i++) even = pick(picks, i) - pick(picks, i - 1) == step;
    return even;
}

static struct route picks_route(const struct picks *picks) {
    int64_t step = picks->count > 1 ? pick(picks, 1) - pick(picks, 0) : 1;
    struct route route = {.from = pick(picks, 0) * picks->inner};
    axis_add(&route.move, picks->outer, picks->count * picks->inner, picks->size * picks->inner);
    axis_add(&route.move, picks->count, picks->inner, step * picks->inner);
    axis_add(&route.move, picks->inner, 1, 1);
    return route;
}

struct gather { struct picks picks; const float *from; float *to; int64_t pieces; };

static void gather_one(void *argument, int64_t index) {
    const struct gather *g = argument;
    int64_t at = index / g->picks.count * g->picks.size + pick(&g->picks, index % g->picks.count), inner = g->picks.inner;
    memcpy(g->to + index * inner, g->from + at * inner, (size_t)inner * sizeof *g->to);
}

/* One index after the other, since some may be the same: a task has a piece of what each picks. */
static void scatter_piece(void *argument, int64_t index) {
    const struct gather *g = argument;
    int64_t inner = g->picks.inner, outer = index / g->pieces, first = index % g->pieces * PIECE;
    int64_t end = PH_MIN(first + PIECE, inner);
    for (int64_t i = 0; i < g->picks.count; i++) {
        const float *from = g->from + (outer * g->picks.count + i) * inner;
        float *to = g->to + (outer * g->picks.size + pick(&g->picks, i)) * inner;
        for (int64_t k = first; k < end; k++) to[k] += from[k];
    }
}

/* ---- Kernels -------------------------------------------------------------------------------------------------------------- */

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_node *node = query->node;
    const struct ph_value *values = query->graph->values;
    if (node->operation == &ph_operation_pad &&
        ((const struct ph_pad_attributes *)node->attributes)->mode != PH_PAD_CONSTANT)
        return false;
    return ph_shape_size(&values[node->outputs[0]].shape) > 0 && ph_shape_size(&values[node->inputs[0]].shape) > 0;
}

static struct route route_of(const struct ph_kernel_call *call) {
    const struct ph_operation *operation = call->node->operation;
    if (operation == &ph_operation_slice) return slice_route(call);
    if (operation == &ph_operation_transpose) return transpose_route(call);
    if (operation == &ph_operation_pad) return pad_route(call);
    return depth_to_space_route(call);
}

static void forward_move(const struct ph_kernel_call *call, struct route route) {
    route.move.from = call->inputs[0].data + route.from;
    route.move.to = call->outputs[0].data + route.to;
    move_run(call->context, &route.move);
}

static void backward_move(const struct ph_kernel_call *call, struct route route) {
    struct move *m = &route.move;
    int64_t size = ph_shape_size(call->plain.input_shapes[0]), moved = 1;
    for (int i = 0; i < m->count; i++) moved *= m->axes[i].size;
    m->from = call->output_gradients[0].data + route.to;
    m->to = call->input_gradients[0].data + route.from;
    m->add = call->accumulate[0];
    if (!m->add && moved < size) fill_run(call->context, call->input_gradients[0].data, size, 0);
    exchange(m);
    move_run(call->context, m);
}

static void forward_run(const struct ph_kernel_call *call) {
    const struct ph_pad_attributes *pad = call->node->operation == &ph_operation_pad ? call->node->attributes : NULL;
    if (pad) fill_run(call->context, call->outputs[0].data, ph_shape_size(&call->plain.output_shapes[0]), (float)pad->value);
    forward_move(call, route_of(call));
}

static void backward_run(const struct ph_kernel_call *call) { backward_move(call, route_of(call)); }

static void gather_forward(const struct ph_kernel_call *call) {
    struct gather g = {picks_of(call), call->inputs[0].data, call->outputs[0].data, 0};
    if (picks_are_even(&g.picks)) forward_move(call, picks_route(&g.picks));
    else ph_parallel_for(call->context, g.picks.outer * g.picks.count, gather_one, &g);
}

static void gather_backward(const struct ph_kernel_call *call) {
    struct gather g = {picks_of(call), call->output_gradients[0].data, call->input_gradients[0].data, 0};
    if (picks_are_even(&g.picks)) {
        backward_move(call, picks_route(&g.picks));
        return;
    }
    g.pieces = (g.picks.inner + PIECE - 1) / PIECE;
    if (!call->accumulate[0]) fill_run(call->context, g.to, ph_shape_size(call->plain.input_shapes[0]), 0);
    ph_parallel_for(call->context, g.picks.outer * g.pieces, scatter_piece, &g);
}

static unsigned reads_nothing(const struct ph_kernel_query *query) { return (void)query, 0; }

#define MOVEMENT(which, forward_function, backward_function)                                                            \
    const struct ph_kernel PH_KERNEL(ph_##which##_forward) = {.name = "move", .operation = &ph_operation_##which,       \
        .accepts = accepts, .run = forward_function};                                                                   \
    const struct ph_kernel PH_KERNEL(ph_##which##_backward) = {.name = "move", .operation = &ph_operation_##which,      \
        .backward = true, .accepts = accepts, .run = backward_function, .reads = reads_nothing};

MOVEMENT(slice, forward_run, backward_run)
MOVEMENT(transpose, forward_run, backward_run)
MOVEMENT(pad, forward_run, backward_run)
MOVEMENT(depth_to_space, forward_run, backward_run)
MOVEMENT(gather, gather_forward, gather_backward)
