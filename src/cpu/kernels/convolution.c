/* Convolutions as calls of the direct loop: which taps, which strides, how weights are packed.
 *
 * Backward to the input, with stride s: input rows y = s j + q of one phase q are reached by those kernel rows k for which
 * y + pad - k dilation is a multiple of s, at gradient rows j + (q + pad - k dilation) / s. So every phase is a dense
 * convolution of stride 1 over the output's gradient with its own few taps, and nothing is multiplied by inserted zeros.
 * Phases that no kernel row reaches, three of four under a 1x1 kernel of stride 2, are cleared row by row beforehand.
 *
 * A first layer has too few input channels to fill the lanes: forward it reads the plain input, padded into scratch, whose
 * channels lie planes apart; backward it has a kernel of its own (planar_backward.c). */
#include "cpu/kernels/direct.h"
#include "cpu/kernels/geometry.h"

/* Two-dimensional, with constant weights. */
static bool is_taken(const struct ph_kernel_query *query) {
    const struct ph_node *node = query->node;
    const struct ph_value *values = query->graph->values;
    if (values[node->inputs[0]].shape.rank != 4 || values[node->inputs[0]].data || !values[node->inputs[1]].data) return false;
    if (node->input_count > 2 && node->inputs[2] != PH_ABSENT && !values[node->inputs[2]].data) return false;
    if (query->wanted & ~1u) return false;
    struct geometry g = geometry_of(query);
    return g.kernel[0] * g.kernel[1] <= PH_MAX_TAPS && g.items > 0 && g.height > 0 && g.width > 0;
}

static int border_of(const struct ph_node *node) { return node->input_count > 3 ? node->inputs[3] : PH_ABSENT; }

/* Halos hold zeros. */
bool PH_KERNEL(ph_convolution_takes)(const struct ph_kernel_query *query) {
    return is_taken(query) && (query->backward || border_of(query->node) == PH_ABSENT);
}

bool PH_KERNEL(ph_convolution_is_first)(const struct ph_kernel_query *query) {
    int border = border_of(query->node);
    return is_taken(query) && geometry_of(query).groups == 1 &&
           query->graph->values[query->node->inputs[0]].shape.dims[1] < PH_LANES / 2 &&
           (border == PH_ABSENT || query->graph->values[border].data);
}

static bool is_depthwise(const struct geometry *g) {
    return g->groups == g->channels && g->outputs == g->channels && g->channels > 1;
}

/* The bias, padded to whole blocks, comes first in what is packed. */
static size_t bias_floats(const struct geometry *g) { return (size_t)blocks_of(g->outputs) * PH_LANES; }

static void pack_bias(const struct geometry *g, float *packed) {
    memset(packed, 0, bias_floats(g) * sizeof *packed);
    if (g->bias) memcpy(packed, g->bias, (size_t)g->outputs * sizeof *packed);
}

static float *pixel_zero(const struct ph_operand *operand) { return block_origin(operand, 0, 0); }

/* A fused ReLU's gradient: zero where the output is at a limit. In place, since the producer is the last to read it. */
struct mask { const struct ph_operand *gradient, *output; struct rectifier rectifier; };

static void mask_row(void *argument, int64_t index) {
    const struct mask *mask = argument;
    const int64_t *dims = mask->output->shape->dims;
    int64_t y = index % dims[2], block = index / dims[2] % blocks_of(dims[1]), n = index / dims[2] / blocks_of(dims[1]);
    float *gradient = block_origin(mask->gradient, n, block) + y * mask->gradient->layout.row;
    const float *output = block_origin(mask->output, n, block) + y * mask->output->layout.row;
    for (int64_t x = 0; x < dims[3] * PH_LANES; x += PH_LANES)
        store(gradient + x, rectified_gradient(mask->rectifier, load(output + x), load(gradient + x)));
}

void PH_KERNEL(ph_convolution_mask)(const struct ph_kernel_call *call) {
    for (int i = 0; i < call->plain.output_count; i++) {
        struct rectifier rectifier = rectifier_of(node_of_output(call, i)->attributes);
        if (!rectifier.on || !call->outputs[i].data) continue;
        const int64_t *dims = call->outputs[i].shape->dims;
        struct mask mask = {&call->output_gradients[i], &call->outputs[i], rectifier};
        ph_parallel_for(call->context, dims[0] * blocks_of(dims[1]) * dims[2], mask_row, &mask);
    }
}

unsigned PH_KERNEL(ph_convolution_reads)(const struct ph_kernel_query *query) {
    return ((const struct ph_convolution_attributes *)query->node->attributes)->relu ? PH_READS_OUTPUTS : 0;
}

/* ---- In which way ------------------------------------------------------------------------------------------------- */

/* From each block of an item to the next, for every item; from the last nowhere. */
static void steps_write(const struct ph_operand *operands, int count, int64_t *steps) {
    for (int64_t n = 0; n < operands[0].shape->dims[0]; n++)
        for (int i = 0; i < count; i++) {
            int64_t blocks = blocks_of(operands[i].shape->dims[1]);
            for (int64_t b = 0; b + 1 < blocks; b++) *steps++ = operands[i].layout.plane;
            const float *last = block_origin(&operands[i], n, blocks - 1);
            *steps++ = i + 1 < count ? block_origin(&operands[i + 1], n, 0) - last : 0;
        }
}

struct direct_input PH_KERNEL(ph_direct_read)(const struct ph_kernel_call *call, const struct ph_operand *operands, int count,
                                              int halo) {
    (void)halo;
    const struct ph_layout *layout = &operands->layout;
    int64_t *steps = count > 1 ? (int64_t *)(void *)call->scratch : NULL;
    if (steps) steps_write(operands, count, steps);
    return (struct direct_input){pixel_zero(operands), layout->item, layout->plane, layout->row, PH_LANES, 0, steps};
}

static const struct direct_way direct_way = {PH_LANES, PH_KERNEL(ph_direct_packed_floats), PH_KERNEL(ph_direct_pack),
                                             PH_KERNEL(ph_direct_read), PH_KERNEL(ph_direct_run)};

static void channels_set(struct direct *d, const struct direct_way *way, int64_t channels) {
    d->in_blocks = (int)((channels + way->in_channels - 1) / way->in_channels);
    d->in_block_channels = way->in_channels;
    d->last_block_channels = (int)(channels - (int64_t)(d->in_blocks - 1) * way->in_channels);
}

static size_t packed_bytes(const struct ph_kernel_query *query) {
    return PH_KERNEL(ph_convolution_packed_bytes)(query, &direct_way);
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    PH_KERNEL(ph_convolution_pack)(query, &direct_way, packed);
}

static void run(const struct ph_kernel_call *call) { PH_KERNEL(ph_convolution_run)(call, &direct_way); }

/* ---- Several at once ----------------------------------------------------------------------------------------------- */

/* Forward the input is read once for all, which counts where it is made into something else first; backward the gradients of
 * all outputs are summed over in one. */
bool PH_KERNEL(ph_convolution_joins)(const struct ph_kernel_query *query, const struct ph_node *other) {
    struct geometry g = geometry_of(query), with = geometry_of_node(query, other);
    for (int i = 0; i < 2; i++)
        if (g.kernel[i] != 1 || with.kernel[i] != 1 || g.stride[i] != with.stride[i] || g.pad[i] || with.pad[i] ||
            g.groups > 1 || with.groups > 1)
            return false;
    return g.out_height == with.out_height && g.out_width == with.out_width;
}

/* Convolutions that are joined, or one alone. */
struct parts { int count; struct geometry each[PH_MOST_JOINED]; };

static struct parts parts_of(const struct ph_kernel_query *query) {
    struct parts parts = {.count = PH_MAX(query->joined_count, 1)};
    for (int i = 0; i < parts.count; i++)
        parts.each[i] = geometry_of_node(query, query->joined_count ? query->joined[i] : query->node);
    return parts;
}

static struct parts parts_of_call(const struct ph_kernel_call *call) {
    struct parts parts = {.count = call->plain.output_count};
    for (int i = 0; i < parts.count; i++) parts.each[i] = geometry_of_output(call, i);
    return parts;
}

/* One that has the outputs of all, each in blocks of its own. */
static struct geometry parts_whole(const struct parts *parts) {
    struct geometry g = parts->each[0];
    for (int i = 1; i < parts->count; i++) g.outputs = blocks_of(g.outputs) * PH_LANES + parts->each[i].outputs;
    return g;
}

/* Of the whole's outputs. */
static float parts_weight(const struct parts *parts, int64_t output, int64_t channel, int64_t y, int64_t x) {
    int i = 0;
    for (; i + 1 < parts->count && output >= blocks_of(parts->each[i].outputs) * PH_LANES; i++)
        output -= blocks_of(parts->each[i].outputs) * PH_LANES;
    return weight_at(&parts->each[i], output, channel, y, x);
}

int64_t PH_KERNEL(ph_convolution_summed)(const struct ph_kernel_query *query) {
    struct parts parts = parts_of(query);
    return query->backward ? parts_whole(&parts).outputs : parts.each[0].channels;
}

/* ---- Forward, blocked --------------------------------------------------------------------------------------------- */

static bool forward_accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    struct geometry g = geometry_of(query);
    return !is_depthwise(&g);
}

static int forward_halo(const struct geometry *g) {
    int64_t halo = 0, size[2] = {g->height, g->width}, out[2] = {g->out_height, g->out_width};
    for (int i = 0; i < 2; i++) {
        int64_t last = (out[i] - 1) * g->stride[i] - g->pad[i] + (g->kernel[i] - 1) * g->dilation[i];
        halo = PH_MAX(halo, PH_MAX(g->pad[i], last - (size[i] - 1)));
    }
    return (int)halo;
}

static float forward_weight(const void *state, int64_t out, int64_t in, int tap) {
    const struct geometry *g = state;
    return weight_at(g, out, in, tap / g->kernel[1], tap % g->kernel[1]);
}

static struct groups forward_groups(const struct geometry *g) {
    return g->groups > 1 ? (struct groups){g->channels / g->groups, g->outputs / g->groups} : (struct groups){0};
}

static struct direct_shape forward_shape(const struct geometry *g) {
    return (struct direct_shape){.in_channels = g->channels, .out_blocks = blocks_of(g->outputs), .width = g->out_width,
        .taps = (int)(g->kernel[0] * g->kernel[1]), .tap_columns = (int)g->kernel[1], .groups = forward_groups(g)};
}

static size_t forward_packed_floats(const struct geometry *g, const struct direct_way *way) {
    struct direct_shape shape = forward_shape(g);
    return bias_floats(g) + way->packed_floats(&shape);
}

static void forward_pack(const struct geometry *g, const struct direct_way *way, float *packed) {
    struct direct_shape shape = forward_shape(g);
    pack_bias(g, packed);
    way->pack(packed + bias_floats(g), &shape, forward_weight, g);
}

/* Output i of the call. `in` is the pixel that kernel element (0, 0) of output pixel (0, 0) falls on. */
static void forward_output(const struct ph_kernel_call *call, int output, const struct direct_way *way,
                           const struct geometry *g, const float *packed, struct direct *d, const float *in, int64_t row,
                           int64_t pixel) {
    int64_t taps[PH_MAX_TAPS];
    for (int64_t t = 0; t < g->kernel[0] * g->kernel[1]; t++)
        taps[t] = t / g->kernel[1] * g->dilation[0] * row + t % g->kernel[1] * g->dilation[1] * pixel;
    const struct ph_layout *out = &call->outputs[output].layout;
    d->in = in;
    d->in_row = g->stride[0] * row;
    d->in_pixel = g->stride[1] * pixel;
    channels_set(d, way, g->channels);
    d->groups = forward_groups(g);
    d->taps = taps;
    d->tap_count = (int)(g->kernel[0] * g->kernel[1]);
    d->tap_columns = (int)g->kernel[1];
    d->out = pixel_zero(&call->outputs[output]);
    d->out_item = out->item;
    d->out_plane = out->plane;
    d->out_row = out->row;
    d->out_pixel = PH_LANES;
    d->out_blocks = (int)blocks_of(g->outputs);
    d->height = (int)g->out_height;
    d->width = (int)g->out_width;
    d->items = g->items;
    d->weights = packed + bias_floats(g);
    d->bias = packed;
    d->rectifier = last_rectifier(call, output);
    d->far = true;
    d->summand = summand_of(call);
    way->run(call->context, d);
}

static void forward_run(const struct ph_kernel_call *call, const struct direct_way *way) {
    struct parts parts = parts_of_call(call);
    const struct geometry *g = parts.each;
    struct direct_input in = way->read(call, &call->inputs[0], 1, forward_halo(g));
    const float *packed = call->packed, *first = in.zero - g->pad[0] * in.row - g->pad[1] * in.pixel;
    for (int i = 0; i < parts.count; i++, packed += forward_packed_floats(g, way), g++) {
        struct direct d = {.in_item = in.item, .in_plane = in.plane, .in_channel = 1, .in_low = in.low};
        forward_output(call, i, way, g, packed, &d, first, in.row, in.pixel);
    }
}

/* ---- Forward from a plain input of few channels ---------------------------------------------------------------------- */

static int64_t padded(const struct geometry *g, int i) {
    int64_t out[2] = {g->out_height, g->out_width}, size[2] = {g->height, g->width};
    return PH_MAX(g->pad[i] + size[i], (out[i] - 1) * g->stride[i] + (g->kernel[i] - 1) * g->dilation[i] + 1);
}

static size_t planar_scratch(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return (size_t)(g.items * g.channels * padded(&g, 0) * padded(&g, 1));
}

struct pad_rows { const struct geometry *g; const float *in, *border; float *out; };

static void pad_row(void *argument, int64_t index) {
    const struct pad_rows *job = argument;
    const struct geometry *g = job->g;
    int64_t rows = padded(g, 0), columns = padded(g, 1), y = index % rows - g->pad[0], plane = index / rows;
    float *out = job->out + index * columns;
    float beyond = job->border ? job->border[plane % g->channels] : 0;
    for (int64_t x = 0; x < columns; x++) out[x] = beyond;
    if (y >= 0 && y < g->height)
        memcpy(out + g->pad[1], job->in + (plane * g->height + y) * g->width, (size_t)g->width * sizeof *out);
}

static void planar_run(const struct ph_kernel_call *call) {
    struct geometry g = geometry_of_call(call);
    struct pad_rows job = {&g, call->inputs[0].data, border_of_call(call), call->scratch};
    int64_t rows = padded(&g, 0), columns = padded(&g, 1);
    ph_parallel_for(call->context, g.items * g.channels * rows, pad_row, &job);
    struct direct d = {.in_item = g.channels * rows * columns, .in_channel = rows * columns};
    forward_output(call, 0, &direct_way, &g, call->packed, &d, call->scratch, columns, 1);
}

const struct ph_kernel PH_KERNEL(ph_convolution_forward_planar) = {.name = "direct-planar",
    .operation = &ph_operation_convolution, .by_item = true, .input = PH_LAYOUT_PLAIN, .output = PH_LAYOUT_BLOCKED,
    .accepts = PH_KERNEL(ph_convolution_is_first), .packed_bytes = packed_bytes, .pack = pack, .scratch = planar_scratch,
    .run = planar_run};

/* ---- Backward, blocked ----------------------------------------------------------------------------------------------- */

struct phase_weights { const struct parts *parts; const int64_t *y, *x; int columns; };

/* Out and in change places: the gradient's channels are summed over. */
static float backward_weight(const void *state, int64_t out, int64_t in, int tap) {
    const struct phase_weights *w = state;
    return parts_weight(w->parts, in, out, w->y[tap / w->columns], w->x[tap % w->columns]);
}

static bool backward_accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    struct geometry g = geometry_of(query);
    return !is_depthwise(&g);
}

static bool has_bare_phases(const struct geometry *g) {
    int64_t kernel[PH_MAX_TAPS], step[PH_MAX_TAPS];
    for (int axis = 0; axis < 2; axis++)
        for (int64_t q = 0; q < g->stride[axis]; q++)
            if (!phase_taps(g, axis, q, kernel, step)) return true;
    return false;
}

static void clear_row(void *argument, int64_t index) {
    const struct ph_operand *gradient = argument;
    const int64_t *dims = gradient->shape->dims;
    int64_t y = index % dims[2], block = index / dims[2] % blocks_of(dims[1]), n = index / dims[2] / blocks_of(dims[1]);
    memset(block_origin(gradient, n, block) + y * gradient->layout.row, 0, (size_t)(dims[3] * PH_LANES) * sizeof(float));
}

/* Without taps there is nothing to add, and zeros are there already; only what others added may have to be cut off. */
static bool bare_phase_is_done(const struct ph_kernel_call *call) {
    return !call->accumulate[0] || !call->gate.data || call->scale;
}

/* Walks all phases in the order of packing: packs, runs on what is read, or only counts floats. */
static size_t backward_walk(const struct parts *parts, const struct direct_way *way, float *packed,
                            const struct ph_kernel_call *call, const struct direct_input *in) {
    const struct geometry whole = parts_whole(parts), *g = &whole;
    int64_t y[PH_MAX_TAPS], x[PH_MAX_TAPS], step_y[PH_MAX_TAPS], step_x[PH_MAX_TAPS], taps[PH_MAX_TAPS];
    struct groups groups = {forward_groups(g).out, forward_groups(g).in};
    size_t at = 0;
    for (int64_t qy = 0; qy < g->stride[0]; qy++)
        for (int64_t qx = 0; qx < g->stride[1]; qx++) {
            int rows = phase_taps(g, 0, qy, y, step_y), columns = phase_taps(g, 1, qx, x, step_x), count = rows * columns;
            struct direct_shape shape = {g->outputs, blocks_of(g->channels), phase_size(g, 1, qx), count, columns, groups};
            if (packed && !call) {
                struct phase_weights state = {parts, y, x, columns};
                way->pack(packed + at, &shape, backward_weight, &state);
            }
            if (call && (count || !bare_phase_is_done(call))) {
                const struct ph_layout *out = &call->input_gradients[0].layout;
                for (int t = 0; t < count; t++)
                    taps[t] = step_y[t / columns] * in->row + step_x[t % columns] * in->pixel;
                struct direct d = {.in = in->zero, .in_item = in->item, .in_plane = in->plane, .in_steps = in->steps,
                    .in_row = in->row, .in_pixel = in->pixel, .in_channel = 1, .in_low = in->low, .groups = groups,
                    .taps = taps, .tap_count = count, .tap_columns = columns,
                    .out = pixel_zero(&call->input_gradients[0]) + qy * out->row + qx * PH_LANES,
                    .out_item = out->item, .out_plane = out->plane, .out_row = g->stride[0] * out->row,
                    .out_pixel = g->stride[1] * PH_LANES, .out_blocks = (int)shape.out_blocks,
                    .height = (int)phase_size(g, 0, qy), .width = (int)shape.width, .items = g->items,
                    .weights = packed + at, .accumulate = call->accumulate[0], .far = true, .gate = gate_of(call),
                    .scale = call->scale};
                if (d.gate.data) {
                    d.gate.data += qy * d.gate.row + qx * PH_LANES;
                    d.gate.row *= g->stride[0];
                }
                channels_set(&d, way, g->outputs);
                way->run(call->context, &d);
            }
            at += way->packed_floats(&shape);
        }
    return at;
}

static void backward_run(const struct ph_kernel_call *call, const struct direct_way *way) {
    struct parts parts = parts_of_call(call);
    PH_KERNEL(ph_convolution_mask)(call);
    struct direct_input in = way->read(call, call->output_gradients, parts.count, backward_halo_of(&parts.each[0]));
    const struct geometry whole = parts_whole(&parts);
    const struct ph_operand *gradient = &call->input_gradients[0];
    if (!call->accumulate[0] && has_bare_phases(&whole))
        ph_parallel_for(call->context, whole.items * blocks_of(whole.channels) * whole.height, clear_row, (void *)gradient);
    backward_walk(&parts, way, (float *)call->packed, call, &in);
}

/* ---- Both ------------------------------------------------------------------------------------------------------------ */

int PH_KERNEL(ph_convolution_halo)(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return query->backward ? backward_halo_of(&g) : forward_halo(&g);
}

size_t PH_KERNEL(ph_convolution_packed_bytes)(const struct ph_kernel_query *query, const struct direct_way *way) {
    struct parts parts = parts_of(query);
    if (query->backward) return backward_walk(&parts, way, NULL, NULL, NULL) * sizeof(float);
    size_t floats = 0;
    for (int i = 0; i < parts.count; i++) floats += forward_packed_floats(&parts.each[i], way);
    return floats * sizeof(float);
}

void PH_KERNEL(ph_convolution_pack)(const struct ph_kernel_query *query, const struct direct_way *way, void *packed) {
    struct parts parts = parts_of(query);
    if (query->backward) backward_walk(&parts, way, packed, NULL, NULL);
    float *to = packed;
    for (int i = 0; i < parts.count && !query->backward; to += forward_packed_floats(&parts.each[i++], way))
        forward_pack(&parts.each[i], way, to);
}

void PH_KERNEL(ph_convolution_run)(const struct ph_kernel_call *call, const struct direct_way *way) {
    if (call->output_gradients[0].data) backward_run(call, way);
    else forward_run(call, way);
}

/* The steps between the blocks of gradients that lie here and there. */
static size_t backward_scratch(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    int64_t steps = query->joined_count ? g.items * blocks_of(PH_KERNEL(ph_convolution_summed)(query)) : 0;
    return (size_t)steps * sizeof(int64_t) / sizeof(float);
}

const struct ph_kernel PH_KERNEL(ph_convolution_forward) = {.name = "direct", .operation = &ph_operation_convolution,
    .by_item = true, .adds = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = forward_accepts,
    .joins = PH_KERNEL(ph_convolution_joins),
    .halo = PH_KERNEL(ph_convolution_halo), .packed_bytes = packed_bytes, .pack = pack, .run = run};

const struct ph_kernel PH_KERNEL(ph_convolution_backward) = {.name = "direct", .operation = &ph_operation_convolution,
    .by_item = true, .backward = true, .gates = true, .gated = true, .scales = true, .input = PH_LAYOUT_BLOCKED,
    .output = PH_LAYOUT_BLOCKED, .accepts = backward_accepts, .joins = PH_KERNEL(ph_convolution_joins),
    .halo = PH_KERNEL(ph_convolution_halo), .packed_bytes = packed_bytes, .pack = pack, .scratch = backward_scratch, .run = run,
    .reads = PH_KERNEL(ph_convolution_reads)};
