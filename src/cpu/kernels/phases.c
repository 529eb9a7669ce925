/* First layers with a stride, phase by phase: pixels whose positions are equal modulo the stride s form one plane each, so an
 * image of C channels is one of s s C channels at a stride of 1, read by filters of a side s times less: the 7x7 ones of stride 2
 * become 4x4 over 12 channels. Those fill their lanes, and Winograd's way takes a third of their products. Both directions
 * move the image between planes and phases in scratch.
 *
 *     s y - pad + k = s (y + t) + q     for output y and filter element k; q: the phase, t: the step among its pixels
 *
 * Forward the image is padded on its way, by zeros or by its border, and there is no pad left. */
#include "cpu/kernels/geometry.h"
#include "cpu/kernels/winograd.h"

enum { TILE_SIDE = 6, LEAST_SIDE = 12, LEAST_GAIN = 2, MOST_CHANNELS = 64 };

struct phases {
    struct geometry g;
    int64_t stride, pad, first; /* pad: that is left; first: the least step t */
    struct winograd winograd;
    struct ph_operand image;    /* the phases, blocked, in scratch; its shape is never asked for */
    float *plain;               /* [N,C,H,W] */
    bool accumulate;
    float border[MOST_CHANNELS] __attribute__((aligned(64))); /* [channels of the phases] */
};

static int64_t divide_down(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

static struct phases phases_make(const struct geometry *g, bool backward, int threads) {
    struct phases p = {.g = *g, .stride = g->stride[0], .pad = backward ? g->pad[0] : 0};
    p.first = divide_down(-p.pad, p.stride);
    int64_t kernel = divide_down(g->kernel[0] - 1 - p.pad, p.stride) - p.first + 1;
    int64_t channels = p.stride * p.stride * g->channels;
    struct winograd asked = {.items = g->items, .in_channels = channels, .in_height = g->out_height + kernel - 1,
        .in_width = g->out_width + kernel - 1, .out_channels = g->outputs, .out_height = g->out_height,
        .out_width = g->out_width};
    if (backward)
        asked = (struct winograd){.items = g->items, .in_channels = g->outputs, .in_height = g->out_height,
            .in_width = g->out_width, .out_channels = channels, .out_height = (g->height + p.stride - 1) / p.stride,
            .out_width = (g->width + p.stride - 1) / p.stride, .pad = {kernel - 1 + p.first, kernel - 1 + p.first}};
    for (int i = 0; i < 2; i++) asked.kernel[i] = kernel, asked.side[i] = TILE_SIDE;
    p.winograd = PH_KERNEL(ph_winograd_plan)(asked, threads);
    return p;
}

static bool accepts(const struct ph_kernel_query *query) {
    if (!PH_KERNEL(ph_convolution_is_first)(query)) return false;
    struct geometry g = geometry_of(query);
    for (int i = 0; i < 2; i++)
        if (g.kernel[i] != g.kernel[0] || g.stride[i] != g.stride[0] || g.pad[i] != g.pad[0] || g.dilation[i] != 1) return false;
    struct phases p = phases_make(&g, false, query->threads), back = phases_make(&g, true, query->threads);
    const struct winograd *w = &p.winograd;
    /* With its pad left the backward may have one step more. */
    if (p.stride < 2 || g.pad[0] >= g.kernel[0] || w->kernel[0] < 3 || back.winograd.kernel[0] > 5) return false;
    if (w->in_channels > MOST_CHANNELS) return false;
    /* Products of an output, directly and by tiles. */
    int64_t direct = g.kernel[0] * g.kernel[0] * g.channels, tiled = w->points * w->in_channels / (w->out[0] * w->out[1]);
    return direct >= LEAST_GAIN * tiled && whole_outputs(query) >= PH_LANES && g.out_height >= LEAST_SIDE &&
           g.out_width >= LEAST_SIDE;
}

/* ---- Filters ------------------------------------------------------------------------------------------------------ */

struct filters { const struct phases *p; bool backward; };

static float phase_weight(const void *state, int64_t out, int64_t in, int tap) {
    const struct filters *f = state;
    const struct phases *p = f->p;
    int64_t side = p->winograd.kernel[0], channel = f->backward ? out : in, output = f->backward ? in : out;
    if (f->backward) tap = (int)(side * side) - 1 - tap;
    int64_t phase = channel / p->g.channels, y = p->stride * (tap / side + p->first) + phase / p->stride + p->pad;
    int64_t x = p->stride * (tap % side + p->first) + phase % p->stride + p->pad;
    if (y < 0 || y >= p->g.kernel[0] || x < 0 || x >= p->g.kernel[1]) return 0;
    return weight_at(&p->g, output, channel % p->g.channels, y, x);
}

static struct phases phases_of_query(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return phases_make(&g, query->backward, query->threads);
}

static size_t packed_bytes(const struct ph_kernel_query *query) {
    struct phases p = phases_of_query(query);
    return PH_KERNEL(ph_winograd_packed_floats)(&p.winograd) * sizeof(float);
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    struct phases p = phases_of_query(query);
    struct filters filters = {&p, query->backward};
    PH_KERNEL(ph_winograd_pack)(query->graph->context, &p.winograd, query->backward ? NULL : p.g.bias, phase_weight, &filters, packed);
}

/* ---- The image as phases -------------------------------------------------------------------------------------------- */

/* Where the phases lie: the first part of the scratch. */
static size_t image_layout(const struct phases *p, bool backward, struct ph_layout *layout) {
    const struct winograd *w = &p->winograd;
    int64_t height = backward ? w->out_height : w->in_height, width = backward ? w->out_width : w->in_width;
    int64_t blocks = backward ? w->out_blocks : w->in_blocks;
    *layout = (struct ph_layout){.kind = PH_LAYOUT_BLOCKED, .block = PH_LANES, .row = width * PH_LANES, .plane = height * width * PH_LANES,
        .item = blocks * height * width * PH_LANES};
    return (size_t)(w->items * layout->item);
}

static size_t scratch(const struct ph_kernel_query *query) {
    struct phases p = phases_of_query(query);
    struct ph_layout layout;
    return image_layout(&p, query->backward, &layout) + PH_KERNEL(ph_winograd_scratch)(&p.winograd, query->threads);
}

/* Between row y of every phase and the rows of the image that it is made of. Forward both begin in the pad, which goes to the
 * phases as part of the border. */
PH_INLINE void image_row(const struct phases *p, int64_t index, bool to_phases) {
    const struct geometry *g = &p->g;
    const struct ph_layout *layout = &p->image.layout;
    int64_t rows = layout->plane / layout->row, y = index % rows, n = index / rows, s = p->stride, margin = g->pad[0] - p->pad;
    float *row = p->image.data + n * layout->item + y * layout->row;
    for (int64_t block = 0; block < layout->item / layout->plane && to_phases; block++)
        for (int64_t x = 0; x < layout->row; x += PH_LANES)
            store(row + block * layout->plane + x, load(p->border + block * PH_LANES));
    for (int64_t q = 0; q < s; q++) {
        int64_t at = s * y + q - margin;
        if (at < 0 || at >= g->height) continue;
        for (int64_t c = 0; c < g->channels; c++) {
            float *plain = p->plain + ((n * g->channels + c) * g->height + at) * g->width;
            for (int64_t r = 0; r < s; r++) {
                int64_t channel = (q * s + r) * g->channels + c, skipped = PH_MAX(margin - r + s - 1, (int64_t)0) / s;
                int64_t end = PH_MIN(g->width, s * (layout->row / PH_LANES) + r - margin);
                float *lane = row + channel / PH_LANES * layout->plane + channel % PH_LANES + skipped * PH_LANES;
                for (int64_t x = s * skipped + r - margin; x < end; x += s, lane += PH_LANES) {
                    if (to_phases) *lane = plain[x];
                    else plain[x] = p->accumulate ? plain[x] + *lane : *lane;
                }
            }
        }
    }
}

static void to_phases(void *argument, int64_t index) { image_row(argument, index, true); }
static void from_phases(void *argument, int64_t index) { image_row(argument, index, false); }

static void run(const struct ph_kernel_call *call) {
    bool backward = call->output_gradients[0].data;
    struct geometry g = geometry_of_call(call);
    struct phases p = phases_make(&g, backward, ph_parallel_threads(call->context));
    p.image.data = call->scratch;
    size_t used = image_layout(&p, backward, &p.image.layout);
    int64_t rows = p.winograd.items * (p.image.layout.plane / p.image.layout.row);
    struct winograd_operands operands = {.in = backward ? &call->output_gradients[0] : &p.image,
        .out = backward ? &p.image : &call->outputs[0]};
    if (!backward || call->outputs[0].data) operands.rectifier = g.rectifier;
    if (backward && operands.rectifier.on) operands.mask = &call->outputs[0];
    p.plain = backward ? call->input_gradients[0].data : call->inputs[0].data;
    p.accumulate = backward && call->accumulate[0];
    const float *border = backward ? NULL : border_of_call(call);
    for (int64_t c = 0; c < p.stride * p.stride * g.channels && border; c++) p.border[c] = border[c % g.channels];
    if (!backward) ph_parallel_for(call->context, rows, to_phases, &p);
    PH_KERNEL(ph_winograd_run)(call->context, &p.winograd, &operands, call->packed, call->scratch + used);
    if (backward) ph_parallel_for(call->context, rows, from_phases, &p);
}

const struct ph_kernel PH_KERNEL(ph_phases_forward) = {.name = "winograd-phases", .operation = &ph_operation_convolution,
    .by_item = true, .input = PH_LAYOUT_PLAIN, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .packed_bytes = packed_bytes,
    .pack = pack, .scratch = scratch, .run = run};
const struct ph_kernel PH_KERNEL(ph_phases_backward) = {.name = "winograd-phases", .operation = &ph_operation_convolution,
    .by_item = true, .backward = true, .gated = true, .input = PH_LAYOUT_PLAIN, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,
    .packed_bytes = packed_bytes, .pack = pack, .scratch = scratch, .run = run, .reads = PH_KERNEL(ph_convolution_reads)};
