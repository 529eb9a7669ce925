/* Products of a picture's channels with one factor each, [N,C,H,W] by [N,C,1,1]: squeeze-and-excitation. Backward, rows of large
 * maps are shared out as the layers around do it; a factor's gradient is then the sum of what its rows give, in their order. */
#include "cpu/kernels/bands.h"

/* Which input is the picture: 0 or 1; -1 when the node is not of this kind. */
static int picture_of(const struct ph_kernel_query *query) {
    const struct ph_node *node = query->node;
    const struct ph_shape *out = &query->graph->values[node->outputs[0]].shape;
    for (int i = 0; i < 2; i++) {
        const struct ph_shape *picture = &query->graph->values[node->inputs[i]].shape;
        const struct ph_shape *factor = &query->graph->values[node->inputs[1 - i]].shape;
        if (ph_shape_equal(picture, out) && factor->rank == 4 && factor->dims[0] == out->dims[0] &&
            factor->dims[1] == out->dims[1] && factor->dims[2] == 1 && factor->dims[3] == 1)
            return i;
    }
    return -1;
}

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_shape *out = &query->graph->values[query->node->outputs[0]].shape;
    return out->rank == 4 && out->dims[2] * out->dims[3] > 1 && picture_of(query) >= 0 &&
           is_blockable(query, query->node->inputs[0]) && is_blockable(query, query->node->inputs[1]);
}

struct scale { const struct ph_kernel_call *call; int picture; struct bands bands; };

static struct scale scale_of(const struct ph_kernel_call *call) {
    const struct ph_shape *first = call->inputs[0].shape;
    int picture = first->dims[2] * first->dims[3] > 1 ? 0 : 1;
    const int64_t *dims = call->inputs[picture].shape->dims;
    bool by_rows = call->output_gradients[0].data && is_large_map(dims[2], dims[3]);
    return (struct scale){call, picture, bands_make(dims[0], dims[1], dims[2], by_rows ? MOST_BANDS : 1, by_rows,
                                                    ph_parallel_threads(call->context))};
}

static void forward_block(void *argument, int64_t index) {
    const struct scale *s = argument;
    const struct ph_operand *in = &s->call->inputs[s->picture], *out = &s->call->outputs[0];
    vector factor = load(block_of_task(&s->call->inputs[1 - s->picture], index));
    const float *from = block_of_task(in, index);
    float *to = block_of_task(out, index);
    for (int64_t y = 0; y < out->shape->dims[2]; y++)
        for (int64_t x = 0; x < out->shape->dims[3] * PH_LANES; x += PH_LANES)
            store(to + y * out->layout.row + x, load(from + y * in->layout.row + x) * factor);
}

static void forward_run(const struct ph_kernel_call *call) {
    struct scale s = scale_of(call);
    ph_parallel_for(call->context, bands_tasks(&s.bands), forward_block, &s);
}

PH_INLINE void put(float *to, vector value, bool accumulate) { store(to, accumulate ? load(to) + value : value); }

/* Of large maps: what the rows of a block give for its factors' gradient, [N][block][row][lane]. */
static float *row_sums(const struct scale *s, int64_t n, int64_t block) {
    return s->call->scratch + (n * s->bands.blocks + block) * s->bands.height * PH_LANES;
}

static void factor_put(const struct scale *s, int64_t n, int64_t block, vector sum) {
    const struct ph_operand *factors = &s->call->input_gradients[1 - s->picture];
    if (factors->data) put(block_origin(factors, n, block), sum, s->call->accumulate[1 - s->picture]);
}

static void backward_band(void *argument, int64_t index) {
    const struct scale *s = argument;
    const struct ph_kernel_call *call = s->call;
    const struct band band = band_of(&s->bands, index);
    const struct ph_operand *in = &call->inputs[s->picture], *gradient = &call->output_gradients[0];
    const struct ph_operand *picture = &call->input_gradients[s->picture];
    vector factor = load(block_origin(&call->inputs[1 - s->picture], band.n, band.block));
    const float *from = block_origin(in, band.n, band.block), *g = block_origin(gradient, band.n, band.block);
    float *to = picture->data ? block_origin(picture, band.n, band.block) : NULL;
    float *sums = s->bands.by_rows ? row_sums(s, band.n, band.block) : NULL;
    vector total = {0};
    for (int64_t y = band.first; y < band.end; y++) {
        vector sum = {0};
        for (int64_t x = 0; x < in->shape->dims[3] * PH_LANES; x += PH_LANES) {
            vector share = load(g + y * gradient->layout.row + x);
            sum += share * load(from + y * in->layout.row + x);
            if (to) put(to + y * picture->layout.row + x, share * factor, call->accumulate[s->picture]);
        }
        if (sums) store(sums + y * PH_LANES, sum);
        total += sum;
    }
    if (!sums) factor_put(s, band.n, band.block, total);
}

static void sums_block(void *argument, int64_t index) {
    const struct scale *s = argument;
    int64_t n = index / s->bands.blocks, block = index % s->bands.blocks;
    const float *sums = row_sums(s, n, block);
    vector total = {0};
    for (int64_t y = 0; y < s->bands.height; y++) total += load(sums + y * PH_LANES);
    factor_put(s, n, block, total);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct scale s = scale_of(call);
    ph_parallel_for(call->context, bands_tasks(&s.bands), backward_band, &s);
    if (s.bands.by_rows) ph_parallel_for(call->context, s.bands.items * s.bands.blocks, sums_block, &s);
}

static size_t scratch(const struct ph_kernel_query *query) {
    const int64_t *dims = query->graph->values[query->node->outputs[0]].shape.dims;
    return is_large_map(dims[2], dims[3]) ? (size_t)(dims[0] * blocks_of(dims[1]) * dims[2] * PH_LANES) : 0;
}

const struct ph_kernel PH_KERNEL(ph_channel_scale_forward) = {.name = "channel-scale", .operation = &ph_operation_mul,
    .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_channel_scale_backward) = {.name = "channel-scale", .operation = &ph_operation_mul,
    .by_item = true, .backward = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,
    .scratch = scratch, .run = backward_run};
