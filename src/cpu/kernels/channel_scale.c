/* Products of a picture's channels with one factor each, [N,C,H,W] by [N,C,1,1]: squeeze-and-excitation. */
#include "cpu/kernels/blocked.h"

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

struct scale { const struct ph_kernel_call *call; int picture; };

static struct scale scale_of(const struct ph_kernel_call *call) {
    const struct ph_shape *first = call->inputs[0].shape;
    return (struct scale){call, first->dims[2] * first->dims[3] > 1 ? 0 : 1};
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

PH_INLINE void put(float *to, vector value, bool accumulate) { store(to, accumulate ? load(to) + value : value); }

static void backward_block(void *argument, int64_t index) {
    const struct scale *s = argument;
    const struct ph_kernel_call *call = s->call;
    const struct ph_operand *in = &call->inputs[s->picture], *gradient = &call->output_gradients[0];
    const struct ph_operand *picture = &call->input_gradients[s->picture], *factors = &call->input_gradients[1 - s->picture];
    vector factor = load(block_of_task(&call->inputs[1 - s->picture], index)), total = {0};
    const float *from = block_of_task(in, index), *g = block_of_task(gradient, index);
    float *to = picture->data ? block_of_task(picture, index) : NULL;
    for (int64_t y = 0; y < in->shape->dims[2]; y++) {
        vector sum = {0};
        for (int64_t x = 0; x < in->shape->dims[3] * PH_LANES; x += PH_LANES) {
            vector share = load(g + y * gradient->layout.row + x);
            sum += share * load(from + y * in->layout.row + x);
            if (to) put(to + y * picture->layout.row + x, share * factor, call->accumulate[s->picture]);
        }
        total += sum;
    }
    if (factors->data) put(block_of_task(factors, index), total, call->accumulate[1 - s->picture]);
}

static int64_t tasks_of(const struct scale *s) {
    const int64_t *dims = s->call->inputs[s->picture].shape->dims;
    return dims[0] * blocks_of(dims[1]);
}

static void forward_run(const struct ph_kernel_call *call) {
    struct scale s = scale_of(call);
    ph_parallel_for(call->context, tasks_of(&s), forward_block, &s);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct scale s = scale_of(call);
    ph_parallel_for(call->context, tasks_of(&s), backward_block, &s);
}

const struct ph_kernel PH_KERNEL(ph_channel_scale_forward) = {.name = "channel-scale", .operation = &ph_operation_mul,
    .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_channel_scale_backward) = {.name = "channel-scale", .operation = &ph_operation_mul,
    .by_item = true, .backward = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .run = backward_run};
