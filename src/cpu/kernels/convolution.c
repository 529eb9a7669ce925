/* Convolutions as calls of the direct loop: which taps, which strides, how weights are packed.
 *
 * Backward to the input, with stride s: input rows y = s j + q of one phase q are reached by those kernel rows k for which
 * y + pad - k dilation is a multiple of s, at gradient rows j + (q + pad - k dilation) / s. So every phase is a dense
 * convolution of stride 1 over the output's gradient with its own few taps, and nothing is multiplied by inserted zeros.
 *
 * A first layer has too few input channels to fill the lanes. Forward it reads the plain input, padded into scratch, whose
 * channels lie planes apart. Backward, the lanes hold (phase, channel) pairs of a cell of g x g input pixels: one dense
 * convolution again, then the cells are dealt out. */
#include "cpu/kernels/blocked.h"
#include "cpu/kernels/direct.h"

struct geometry {
    int64_t items, channels, height, width, outputs, out_height, out_width;
    int64_t kernel[2], stride[2], dilation[2], pad[2];
    int64_t groups;        /* as the direct loop sees them: merged until they hold whole blocks */
    int64_t real_groups;
    struct rectifier rectifier;
    const float *weights, *bias;
};

static struct geometry geometry_make(const struct ph_convolution_attributes *a, const int64_t *in, const int64_t *out) {
    struct geometry g = {.items = in[0], .channels = in[1], .height = in[2], .width = in[3], .outputs = out[1],
        .out_height = out[2], .out_width = out[3], .real_groups = a->groups, .rectifier = rectifier_of(a)};
    for (int i = 0; i < 2; i++) {
        g.kernel[i] = a->kernel[i + 1];
        g.stride[i] = a->stride[i + 1];
        g.dilation[i] = a->dilation[i + 1];
        g.pad[i] = a->pad_begin[i + 1];
    }
    for (int64_t merged = g.real_groups; merged >= 1; merged--) {
        g.groups = merged;
        if (g.real_groups % merged == 0 && g.channels / merged % PH_LANES == 0 && g.outputs / merged % PH_LANES == 0) break;
    }
    return g;
}

static struct geometry geometry_of(const struct ph_kernel_query *query) {
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    struct geometry g = geometry_make(node->attributes, values[node->inputs[0]].shape.dims, values[node->outputs[0]].shape.dims);
    g.weights = values[node->inputs[1]].data;
    if (node->input_count > 2 && node->inputs[2] != PH_ABSENT) g.bias = values[node->inputs[2]].data;
    return g;
}

static struct geometry geometry_of_call(const struct ph_kernel_call *call) {
    return geometry_make(call->node->attributes, call->plain.input_shapes[0]->dims, call->plain.output_shapes[0].dims);
}

/* Two-dimensional, with constant weights. */
bool PH_KERNEL(ph_convolution_takes)(const struct ph_kernel_query *query) {
    const struct ph_node *node = query->node;
    const struct ph_value *values = query->graph->values;
    if (values[node->inputs[0]].shape.rank != 4 || values[node->inputs[0]].data || !values[node->inputs[1]].data) return false;
    if (node->input_count > 2 && node->inputs[2] != PH_ABSENT && !values[node->inputs[2]].data) return false;
    if (query->wanted & ~1u) return false;
    struct geometry g = geometry_of(query);
    return g.kernel[0] * g.kernel[1] <= PH_MAX_TAPS && g.items > 0 && g.height > 0 && g.width > 0;
}

static bool is_depthwise(const struct geometry *g) {
    return g->real_groups == g->channels && g->outputs == g->channels && g->channels > 1;
}

static float weight_at(const struct geometry *g, int64_t output, int64_t channel, int64_t y, int64_t x) {
    int64_t per_group_in = g->channels / g->real_groups, per_group_out = g->outputs / g->real_groups;
    if (output >= g->outputs || channel >= g->channels || output / per_group_out != channel / per_group_in) return 0;
    return g->weights[((output * per_group_in + channel % per_group_in) * g->kernel[0] + y) * g->kernel[1] + x];
}

/* Channels of the last block of a group. */
static int last_channels(int64_t channels) { return (int)(channels - (blocks_of(channels) - 1) * PH_LANES); }

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
    struct rectifier rectifier = rectifier_of(call->node->attributes);
    if (!rectifier.on) return;
    const int64_t *dims = call->outputs[0].shape->dims;
    struct mask mask = {&call->output_gradients[0], &call->outputs[0], rectifier};
    ph_parallel_for(call->context, dims[0] * blocks_of(dims[1]) * dims[2], mask_row, &mask);
}

unsigned PH_KERNEL(ph_convolution_reads)(const struct ph_kernel_query *query) {
    return ((const struct ph_convolution_attributes *)query->node->attributes)->relu ? PH_READS_OUTPUTS : 0;
}

/* ---- Forward, blocked --------------------------------------------------------------------------------------------- */

static bool forward_accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    struct geometry g = geometry_of(query);
    return !is_depthwise(&g);
}

static int forward_halo(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    int64_t halo = 0, size[2] = {g.height, g.width}, out[2] = {g.out_height, g.out_width};
    for (int i = 0; i < 2; i++) {
        int64_t last = (out[i] - 1) * g.stride[i] - g.pad[i] + (g.kernel[i] - 1) * g.dilation[i];
        halo = PH_MAX(halo, PH_MAX(g.pad[i], last - (size[i] - 1)));
    }
    return (int)halo;
}

struct group_weights { const struct geometry *g; int64_t out_first, in_first; };

static float forward_weight(const void *state, int64_t out, int64_t in, int tap) {
    const struct group_weights *w = state;
    /* A group's spare lanes would be the next group's channels; groups hold whole blocks, so there are none. */
    return weight_at(w->g, w->out_first + out, w->in_first + in, tap / w->g->kernel[1], tap % w->g->kernel[1]);
}

static size_t forward_group_floats(const struct geometry *g) {
    return PH_KERNEL(ph_direct_packed_floats)(g->channels / g->groups, g->kernel[0] * g->kernel[1], blocks_of(g->outputs / g->groups), g->out_width);
}

static size_t forward_packed_bytes(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return (bias_floats(&g) + (size_t)g.groups * forward_group_floats(&g)) * sizeof(float);
}

static void forward_pack(const struct ph_kernel_query *query, void *packed) {
    struct geometry g = geometry_of(query);
    pack_bias(&g, packed);
    float *weights = (float *)packed + bias_floats(&g);
    for (int64_t i = 0; i < g.groups; i++, weights += forward_group_floats(&g)) {
        struct group_weights state = {&g, i * (g.outputs / g.groups), i * (g.channels / g.groups)};
        PH_KERNEL(ph_direct_pack)(weights, g.channels / g.groups, (int)(g.kernel[0] * g.kernel[1]), blocks_of(g.outputs / g.groups),
                   g.out_width, forward_weight, &state);
    }
}

/* `in` is the pixel that kernel element (0, 0) of output pixel (0, 0) falls on. */
static void forward_groups(const struct ph_kernel_call *call, const struct geometry *g, struct direct *d, const float *in,
                           int64_t row, int64_t pixel) {
    int64_t taps[PH_MAX_TAPS];
    for (int64_t t = 0; t < g->kernel[0] * g->kernel[1]; t++)
        taps[t] = t / g->kernel[1] * g->dilation[0] * row + t % g->kernel[1] * g->dilation[1] * pixel;
    const struct ph_layout *out = &call->outputs[0].layout;
    int64_t in_channels = g->channels / g->groups, out_blocks = blocks_of(g->outputs / g->groups);
    d->in_row = g->stride[0] * row;
    d->in_pixel = g->stride[1] * pixel;
    d->in_blocks = (int)blocks_of(in_channels);
    d->in_block_channels = PH_LANES;
    d->last_block_channels = last_channels(in_channels);
    d->taps = taps;
    d->tap_count = (int)(g->kernel[0] * g->kernel[1]);
    d->out_item = out->item;
    d->out_plane = out->plane;
    d->out_row = out->row;
    d->out_pixel = PH_LANES;
    d->out_blocks = (int)out_blocks;
    d->height = (int)g->out_height;
    d->width = (int)g->out_width;
    d->items = g->items;
    d->rectifier = g->rectifier;
    const float *packed = call->packed;
    for (int64_t i = 0; i < g->groups; i++) {
        d->in = in + i * d->in_blocks * d->in_plane;
        d->out = pixel_zero(&call->outputs[0]) + i * out_blocks * out->plane;
        d->bias = packed + i * out_blocks * PH_LANES;
        d->weights = packed + bias_floats(g) + (size_t)i * forward_group_floats(g);
        PH_KERNEL(ph_direct_run)(call->context, d);
    }
}

static void forward_run(const struct ph_kernel_call *call) {
    struct geometry g = geometry_of_call(call);
    const struct ph_layout *in = &call->inputs[0].layout;
    struct direct d = {.in_item = in->item, .in_plane = in->plane, .in_channel = 1};
    forward_groups(call, &g, &d, pixel_zero(&call->inputs[0]) - g.pad[0] * in->row - g.pad[1] * PH_LANES, in->row, PH_LANES);
}

const struct ph_kernel PH_KERNEL(ph_convolution_forward) = {.name = "direct", .operation = &ph_operation_convolution,
    .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = forward_accepts, .halo = forward_halo,
    .packed_bytes = forward_packed_bytes, .pack = forward_pack, .run = forward_run};

/* ---- Forward from a plain input of few channels ---------------------------------------------------------------------- */

static bool planar_accepts(const struct ph_kernel_query *query) {
    return PH_KERNEL(ph_convolution_takes)(query) && geometry_of(query).real_groups == 1 &&
           query->graph->values[query->node->inputs[0]].shape.dims[1] < PH_LANES / 2;
}

static int64_t padded(const struct geometry *g, int i) {
    int64_t out[2] = {g->out_height, g->out_width}, size[2] = {g->height, g->width};
    return PH_MAX(g->pad[i] + size[i], (out[i] - 1) * g->stride[i] + (g->kernel[i] - 1) * g->dilation[i] + 1);
}

static size_t planar_scratch(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return (size_t)(g.items * g.channels * padded(&g, 0) * padded(&g, 1));
}

struct pad_rows { const struct geometry *g; const float *in; float *out; };

static void pad_row(void *argument, int64_t index) {
    const struct pad_rows *job = argument;
    const struct geometry *g = job->g;
    int64_t rows = padded(g, 0), columns = padded(g, 1), y = index % rows - g->pad[0], plane = index / rows;
    float *out = job->out + index * columns;
    memset(out, 0, (size_t)columns * sizeof *out);
    if (y >= 0 && y < g->height)
        memcpy(out + g->pad[1], job->in + (plane * g->height + y) * g->width, (size_t)g->width * sizeof *out);
}

static void planar_run(const struct ph_kernel_call *call) {
    struct geometry g = geometry_of_call(call);
    struct pad_rows job = {&g, call->inputs[0].data, call->scratch};
    int64_t rows = padded(&g, 0), columns = padded(&g, 1);
    ph_parallel_for(call->context, g.items * g.channels * rows, pad_row, &job);
    struct direct d = {.in_item = g.channels * rows * columns, .in_channel = rows * columns};
    forward_groups(call, &g, &d, call->scratch, columns, 1);
}

const struct ph_kernel PH_KERNEL(ph_convolution_forward_planar) = {.name = "direct-planar",
    .operation = &ph_operation_convolution, .input = PH_LAYOUT_PLAIN, .output = PH_LAYOUT_BLOCKED, .accepts = planar_accepts,
    .packed_bytes = forward_packed_bytes, .pack = forward_pack, .scratch = planar_scratch, .run = planar_run};

/* ---- Backward, blocked ----------------------------------------------------------------------------------------------- */

/* Taps of phase q along one axis: kernel elements and the steps in the gradient they reach. */
static int phase_taps(const struct geometry *g, int axis, int64_t q, int64_t *kernel, int64_t *step) {
    int count = 0;
    for (int64_t k = 0; k < g->kernel[axis]; k++) {
        int64_t at = q + g->pad[axis] - k * g->dilation[axis];
        if (at % g->stride[axis]) continue;
        kernel[count] = k;
        step[count++] = at / g->stride[axis];
    }
    return count;
}

static int64_t phase_size(const struct geometry *g, int axis, int64_t q) {
    int64_t size = axis ? g->width : g->height;
    return size > q ? (size - q + g->stride[axis] - 1) / g->stride[axis] : 0;
}

static int backward_halo(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    int64_t halo = 0, out[2] = {g.out_height, g.out_width}, kernel[PH_MAX_TAPS], step[PH_MAX_TAPS];
    for (int axis = 0; axis < 2; axis++)
        for (int64_t q = 0; q < g.stride[axis]; q++) {
            int count = phase_taps(&g, axis, q, kernel, step);
            for (int t = 0; t < count; t++)
                halo = PH_MAX(halo, PH_MAX(-step[t], phase_size(&g, axis, q) - 1 + step[t] - (out[axis] - 1)));
        }
    return (int)halo;
}

struct phase_weights { const struct geometry *g; int64_t out_first, in_first; const int64_t *y, *x; int columns; };

/* Out and in change places: the gradient's channels are summed over. */
static float backward_weight(const void *state, int64_t out, int64_t in, int tap) {
    const struct phase_weights *w = state;
    return weight_at(w->g, w->in_first + in, w->out_first + out, w->y[tap / w->columns], w->x[tap % w->columns]);
}

static bool backward_accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_takes)(query)) return false;
    struct geometry g = geometry_of(query);
    return !is_depthwise(&g);
}

/* Walks all phases and groups in the order of packing: packs, runs, or only counts floats. */
static size_t backward_walk(const struct geometry *g, float *packed, const struct ph_kernel_call *call) {
    int64_t y[PH_MAX_TAPS], x[PH_MAX_TAPS], step_y[PH_MAX_TAPS], step_x[PH_MAX_TAPS], taps[PH_MAX_TAPS];
    int64_t in_channels = g->outputs / g->groups, out_blocks = blocks_of(g->channels / g->groups);
    size_t at = 0;
    for (int64_t qy = 0; qy < g->stride[0]; qy++)
        for (int64_t qx = 0; qx < g->stride[1]; qx++) {
            int rows = phase_taps(g, 0, qy, y, step_y), columns = phase_taps(g, 1, qx, x, step_x), count = rows * columns;
            int64_t height = phase_size(g, 0, qy), width = phase_size(g, 1, qx);
            for (int64_t i = 0; i < g->groups; i++) {
                if (packed && !call) {
                    struct phase_weights state = {g, i * (g->channels / g->groups), i * in_channels, y, x, columns};
                    PH_KERNEL(ph_direct_pack)(packed + at, in_channels, count, out_blocks, width, backward_weight, &state);
                }
                if (call) {
                    const struct ph_layout *in = &call->output_gradients[0].layout, *out = &call->input_gradients[0].layout;
                    for (int t = 0; t < count; t++)
                        taps[t] = step_y[t / columns] * in->row + step_x[t % columns] * PH_LANES;
                    PH_KERNEL(ph_direct_run)(call->context, &(struct direct){
                        .in = pixel_zero(&call->output_gradients[0]) + i * blocks_of(in_channels) * in->plane,
                        .in_item = in->item, .in_plane = in->plane, .in_row = in->row, .in_pixel = PH_LANES, .in_channel = 1,
                        .in_blocks = (int)blocks_of(in_channels), .in_block_channels = PH_LANES,
                        .last_block_channels = last_channels(in_channels), .taps = taps, .tap_count = count,
                        .out = pixel_zero(&call->input_gradients[0]) + i * out_blocks * out->plane + qy * out->row + qx * PH_LANES,
                        .out_item = out->item, .out_plane = out->plane, .out_row = g->stride[0] * out->row,
                        .out_pixel = g->stride[1] * PH_LANES, .out_blocks = (int)out_blocks, .height = (int)height,
                        .width = (int)width, .items = g->items, .weights = packed + at, .accumulate = call->accumulate[0]});
                }
                at += PH_KERNEL(ph_direct_packed_floats)(in_channels, count, out_blocks, width);
            }
        }
    return at;
}

static size_t backward_packed_bytes(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return backward_walk(&g, NULL, NULL) * sizeof(float);
}

static void backward_pack(const struct ph_kernel_query *query, void *packed) {
    struct geometry g = geometry_of(query);
    backward_walk(&g, packed, NULL);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct geometry g = geometry_of_call(call);
    PH_KERNEL(ph_convolution_mask)(call);
    backward_walk(&g, (float *)call->packed, call);
}

const struct ph_kernel PH_KERNEL(ph_convolution_backward) = {.name = "direct", .operation = &ph_operation_convolution,
    .backward = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = backward_accepts,
    .halo = backward_halo, .packed_bytes = backward_packed_bytes, .pack = backward_pack, .run = backward_run,
    .reads = PH_KERNEL(ph_convolution_reads)};

/* ---- Backward to a plain input of few channels ------------------------------------------------------------------------ */

/* Side of a cell: the stride, at least 2 so that more than a few lanes are used. */
static int64_t cell_side(const struct geometry *g) { return PH_MAX((int64_t)2, g->stride[0]); }

/* Least and greatest step in the gradient over the rows of a cell. */
static void cell_steps(const struct geometry *g, int axis, int64_t *least, int64_t *greatest) {
    int64_t kernel[PH_MAX_TAPS], step[PH_MAX_TAPS];
    *least = INT32_MAX, *greatest = INT32_MIN;
    for (int64_t q = 0; q < cell_side(g); q++) {
        int count = phase_taps(g, axis, q, kernel, step);
        for (int t = 0; t < count; t++) *least = PH_MIN(*least, step[t]), *greatest = PH_MAX(*greatest, step[t]);
    }
}

static bool planar_backward_accepts(const struct ph_kernel_query *query) {
    if (!planar_accepts(query)) return false;
    struct geometry g = geometry_of(query);
    if (g.stride[0] != g.stride[1] || g.kernel[0] + g.stride[0] > 31 || g.kernel[1] + g.stride[1] > 31) return false;
    int64_t least, greatest;
    for (int axis = 0; axis < 2; axis++) {
        cell_steps(&g, axis, &least, &greatest);
        if (least > greatest || greatest - least > 31) return false;
    }
    return true;
}

static int64_t cells(const struct geometry *g, int axis) {
    return ((axis ? g->width : g->height) + cell_side(g) - 1) / cell_side(g);
}

static int planar_backward_halo(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    int64_t halo = 0, out[2] = {g.out_height, g.out_width}, least, greatest;
    for (int axis = 0; axis < 2; axis++) {
        cell_steps(&g, axis, &least, &greatest);
        int64_t last = (cells(&g, axis) - 1) * (cell_side(&g) / g.stride[axis]) + greatest;
        halo = PH_MAX(halo, PH_MAX(-least, last - (out[axis] - 1)));
    }
    return (int)halo;
}

static float cell_weight(const void *state, int64_t out, int64_t in, int tap) {
    const struct geometry *g = state;
    int64_t least[2], greatest[2], side = cell_side(g);
    for (int axis = 0; axis < 2; axis++) cell_steps(g, axis, &least[axis], &greatest[axis]);
    int64_t columns = greatest[1] - least[1] + 1, c = out % g->channels, q = out / g->channels;
    if (q >= side * side) return 0;
    int64_t step[2] = {least[0] + tap / columns, least[1] + tap % columns}, phase[2] = {q / side, q % side}, k[2];
    for (int axis = 0; axis < 2; axis++) {
        int64_t numerator = phase[axis] + g->pad[axis] - step[axis] * g->stride[axis];
        if (numerator < 0 || numerator % g->dilation[axis]) return 0;
        k[axis] = numerator / g->dilation[axis];
        if (k[axis] >= g->kernel[axis]) return 0;
    }
    return weight_at(g, in, c, k[0], k[1]);
}

static int cell_taps(const struct geometry *g) {
    int64_t least[2], greatest[2];
    for (int axis = 0; axis < 2; axis++) cell_steps(g, axis, &least[axis], &greatest[axis]);
    return (int)((greatest[0] - least[0] + 1) * (greatest[1] - least[1] + 1));
}

static int64_t cell_blocks(const struct geometry *g) { return blocks_of(cell_side(g) * cell_side(g) * g->channels); }

static size_t planar_backward_packed_bytes(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return PH_KERNEL(ph_direct_packed_floats)(g.outputs, cell_taps(&g), cell_blocks(&g), cells(&g, 1)) * sizeof(float);
}

static void planar_backward_pack(const struct ph_kernel_query *query, void *packed) {
    struct geometry g = geometry_of(query);
    PH_KERNEL(ph_direct_pack)(packed, g.outputs, cell_taps(&g), cell_blocks(&g), cells(&g, 1), cell_weight, &g);
}

static size_t planar_backward_scratch(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return (size_t)(g.items * cell_blocks(&g) * cells(&g, 0) * cells(&g, 1) * PH_LANES);
}

struct deal { const struct geometry *g; const float *cells; float *out; bool accumulate; };

/* One row of the plain gradient out of the cells. */
static void deal_row(void *argument, int64_t index) {
    const struct deal *deal = argument;
    const struct geometry *g = deal->g;
    int64_t side = cell_side(g), y = index % g->height, c = index / g->height % g->channels, n = index / g->height / g->channels;
    int64_t rows = cells(g, 0), columns = cells(g, 1);
    float *out = deal->out + index * g->width;
    for (int64_t q = 0; q < side; q++) {
        int64_t lane = ((y % side) * side + q) * g->channels + c;
        const float *from = deal->cells + ((n * cell_blocks(g) + lane / PH_LANES) * rows + y / side) * columns * PH_LANES + lane % PH_LANES;
        for (int64_t x = q, cell = 0; x < g->width; x += side, cell++)
            out[x] = deal->accumulate ? out[x] + from[cell * PH_LANES] : from[cell * PH_LANES];
    }
}

static void planar_backward_run(const struct ph_kernel_call *call) {
    struct geometry g = geometry_of_call(call);
    const struct ph_layout *in = &call->output_gradients[0].layout;
    PH_KERNEL(ph_convolution_mask)(call);
    int64_t least[2], greatest[2], taps[PH_MAX_TAPS], rows = cells(&g, 0), columns = cells(&g, 1);
    for (int axis = 0; axis < 2; axis++) cell_steps(&g, axis, &least[axis], &greatest[axis]);
    int64_t tap_columns = greatest[1] - least[1] + 1;
    int count = cell_taps(&g);
    for (int t = 0; t < count; t++)
        taps[t] = (least[0] + t / tap_columns) * in->row + (least[1] + t % tap_columns) * PH_LANES;
    int64_t step = cell_side(&g) / g.stride[0], plane = rows * columns * PH_LANES;
    PH_KERNEL(ph_direct_run)(call->context, &(struct direct){.in = pixel_zero(&call->output_gradients[0]), .in_item = in->item,
        .in_plane = in->plane, .in_row = step * in->row, .in_pixel = step * PH_LANES, .in_channel = 1,
        .in_blocks = (int)blocks_of(g.outputs), .in_block_channels = PH_LANES, .last_block_channels = last_channels(g.outputs),
        .taps = taps, .tap_count = count, .out = call->scratch, .out_item = cell_blocks(&g) * plane, .out_plane = plane,
        .out_row = columns * PH_LANES, .out_pixel = PH_LANES, .out_blocks = (int)cell_blocks(&g), .height = (int)rows,
        .width = (int)columns, .items = g.items, .weights = call->packed});
    struct deal deal = {&g, call->scratch, call->input_gradients[0].data, call->accumulate[0]};
    ph_parallel_for(call->context, g.items * g.channels * g.height, deal_row, &deal);
}

const struct ph_kernel PH_KERNEL(ph_convolution_backward_planar) = {.name = "direct-cells",
    .operation = &ph_operation_convolution, .backward = true, .input = PH_LAYOUT_PLAIN, .output = PH_LAYOUT_BLOCKED,
    .accepts = planar_backward_accepts, .halo = planar_backward_halo, .packed_bytes = planar_backward_packed_bytes,
    .pack = planar_backward_pack, .scratch = planar_backward_scratch, .run = planar_backward_run, .reads = PH_KERNEL(ph_convolution_reads)};
