/* Local response normalisation across channels of blocked tensors. Block after block of a stretch of a row's pixels, so that
 * memory is read in long runs: what a pixel's blocks lie apart is often a multiple of the cache's own period. A window reaches
 * no further than the blocks beside, whose lanes are shifted into it. The processor does not foresee the step to the next
 * block's run: that is fetched ahead. */
#include "cpu/kernels/response_norm.h"
#include <math.h>

enum { STRETCH = 32 }; /* pixels; what is kept of them stays in the nearest cache */

struct response PH_KERNEL(ph_response_of)(const struct ph_kernel_call *call, const struct ph_response_norm_attributes *a) {
    return (struct response){.call = call, .scale = (float)(a->alpha / (double)a->size), .bias = (float)a->bias,
        .beta = (float)a->beta, .before = (int)((a->size - 1) / 2), .after = (int)(a->size / 2),
        .blocks = (int)blocks_of(call->plain.input_shapes[0]->dims[1]), .gate = gate_of(call)};
}

/* s^(-1/4) by two steps of third order, from what the exponent's bits say, which is off by 3 %. For s of 2^-100 and more. */
PH_INLINE vector inverse_fourth_root(vector s) {
    vector root = (vector)(0x4f582000 - ((vector_int)s >> 2));
    for (int i = 0; i < 2; i++) {
        vector square = root * root, left = splat(1) - s * square * square;
        root += root * left * (splat(0.25f) + splat(0.15625f) * left);
    }
    return root;
}

/* s^-beta, and in *inverse 1 / s; beta 0.75 (every published network's) and 0.5 by the fourth root. */
PH_INLINE vector power(vector s, float beta, vector *inverse) {
    if (beta == 0.75f || beta == 0.5f) {
        vector root = inverse_fourth_root(s), square = root * root;
        *inverse = square * square;
        return beta == 0.5f ? square : square * root;
    }
    *inverse = splat(1) / s;
    for (int i = 0; i < PH_LANES; i++) s[i] = powf(s[i], -beta);
    return s;
}

/* lanes_from(a, b, first): PH_LANES lanes of a and b, which lie one behind the other, from lane `first` on, a constant. */
#define EIGHT_FROM(i) i, i + 1, i + 2, i + 3, i + 4, i + 5, i + 6, i + 7
#if PH_LANES == 16
#define LANES_FROM(i) EIGHT_FROM(i), EIGHT_FROM(i + 8)
#else
#define LANES_FROM(i) EIGHT_FROM(i)
#endif
#define lanes_from(a, b, first) __builtin_shufflevector(a, b, LANES_FROM(first))

/* Sums of the channels from `before` before to `after` behind each of the block `at`, which lies between the other two. */
PH_INLINE vector window_sum(vector previous, vector at, vector next, int before, int after) {
    if (before == 2 && after == 2)
        return at + (lanes_from(previous, at, PH_LANES - 2) + lanes_from(at, next, 2)) +
               (lanes_from(previous, at, PH_LANES - 1) + lanes_from(at, next, 1));
    vector sum = at, shifted = at;
    for (int i = 0; i < before; i++) {
        shifted = lanes_from(previous, shifted, PH_LANES - 1);
        previous = lanes_from(previous, previous, PH_LANES - 1);
        sum += shifted;
    }
    shifted = at;
    for (int i = 0; i < after; i++) {
        shifted = lanes_from(shifted, next, 1);
        next = lanes_from(next, next, 1);
        sum += shifted;
    }
    return sum;
}

/* Of all blocks, a stretch of `count` pixels of a row; pointers are to its first pixel in the first block. */
struct stretch {
    int64_t count;
    const float *in, *gradient, *gate;
    float *out;
    int64_t in_plane, gradient_plane, out_plane;
};

static const float zeros[STRETCH * PH_LANES];

/* Of block b; zeros before the first and behind the last. */
PH_INLINE const float *block_at(const struct response *r, const float *first, int64_t plane, int b) {
    return b < 0 || b >= r->blocks ? zeros : first + b * plane;
}

/* s of the pixels of block b. Loops are short: what one pixel needs is one long chain, and many are at work side by side only
 * where there are few operations of each. */
PH_INLINE void strengths_make(const struct response *r, const struct stretch *s, int b, const int before, const int after,
                              float *strengths) {
    const float *previous = block_at(r, s->in, s->in_plane, b - 1), *at = block_at(r, s->in, s->in_plane, b);
    const float *next = block_at(r, s->in, s->in_plane, b + 1);
    const float *ahead = block_at(r, s->in, s->in_plane, b + 2);
    vector scale = splat(r->scale), bias = splat(r->bias);
    for (int64_t x = 0; x < s->count * PH_LANES; x += PH_LANES) {
        vector squares[3] = {load(previous + x), load(at + x), load(next + x)};
        for (int i = 0; i < 3; i++) squares[i] *= squares[i];
        __builtin_prefetch(ahead + x);
        store(strengths + x, bias + scale * window_sum(squares[0], squares[1], squares[2], before, after));
    }
}

PH_INLINE void forward_stretch(const struct response *r, const struct stretch *s, const int before, const int after,
                               const float beta) {
    float strengths[STRETCH * PH_LANES];
    for (int b = 0; b < r->blocks; b++) {
        const float *at = s->in + b * s->in_plane;
        float *to = s->out + b * s->out_plane;
        const float *ahead = block_at(r, s->out, s->out_plane, b + 1);
        strengths_make(r, s, b, before, after, strengths);
        for (int64_t x = 0; x < s->count * PH_LANES; x += PH_LANES) {
            vector inverse, factor = power(load(strengths + x), beta, &inverse);
            __builtin_prefetch(ahead + x, 1);
            store(to + x, load(at + x) * factor);
        }
    }
}

/* dx_i = g_i s_i^-beta - 2 beta scale x_i * sum of g_j x_j s_j^(-beta-1) over the j whose window holds i. `shares` holds the
 * summands of three blocks, `direct` the first terms of two. */
PH_INLINE void backward_stretch(const struct response *r, const struct stretch *s, const int before, const int after,
                                const float beta) {
    float strengths[STRETCH * PH_LANES], shares[3][STRETCH * PH_LANES], direct[2][STRETCH * PH_LANES];
    memset(shares[2], 0, sizeof shares[2]);
    vector slope = splat(2 * beta * r->scale);
    for (int b = 0; b <= r->blocks; b++) {
        const float *at = block_at(r, s->in, s->in_plane, b), *g = block_at(r, s->gradient, s->gradient_plane, b);
        strengths_make(r, s, b, before, after, strengths);
        for (int64_t x = 0; x < s->count * PH_LANES; x += PH_LANES) {
            vector inverse, factor = power(load(strengths + x), beta, &inverse), passed = load(g + x) * factor;
            store(direct[b % 2] + x, passed);
            store(shares[b % 3] + x, passed * load(at + x) * inverse);
        }
        if (!b) continue;
        const float *previous = shares[(b + 1) % 3], *middle = shares[(b + 2) % 3], *next = shares[b % 3];
        const float *first = direct[(b + 1) % 2], *in = block_at(r, s->in, s->in_plane, b - 1);
        const float *gate = s->gate ? s->gate + (b - 1) * r->gate.plane : NULL;
        float *to = s->out + (b - 1) * s->out_plane;
        for (int64_t x = 0; x < s->count * PH_LANES; x += PH_LANES) {
            vector sum = window_sum(load(previous + x), load(middle + x), load(next + x), after, before);
            vector value = load(first + x) - slope * load(in + x) * sum;
            if (r->call->accumulate[0]) value += load(to + x);
            store(to + x, gate ? gated(&r->gate, gate + x, value) : value);
        }
    }
}

/* What published networks have is known to the compiler. */
PH_INLINE bool is_usual(const struct response *r) { return r->before == 2 && r->after == 2 && r->beta == 0.75f; }

void PH_KERNEL(ph_response_norm_forward_row)(const struct response *r, int64_t n, int64_t y) {
    const struct ph_operand *in = &r->call->inputs[0], *out = &r->call->outputs[0];
    int64_t width = in->shape->dims[3];
    for (int64_t x = 0; x < width; x += STRETCH) {
        struct stretch s = {.count = PH_MIN(width - x, (int64_t)STRETCH), .in_plane = in->layout.plane,
            .out_plane = out->layout.plane, .in = block_origin(in, n, 0) + y * in->layout.row + x * PH_LANES,
            .out = block_origin(out, n, 0) + y * out->layout.row + x * PH_LANES};
        if (is_usual(r)) forward_stretch(r, &s, 2, 2, 0.75f);
        else forward_stretch(r, &s, r->before, r->after, r->beta);
    }
}

void PH_KERNEL(ph_response_norm_backward_row)(const struct response *r, int64_t n, int64_t y) {
    const struct ph_operand *in = &r->call->inputs[0], *gradient = &r->call->output_gradients[0];
    const struct ph_operand *result = &r->call->input_gradients[0];
    int64_t width = in->shape->dims[3];
    for (int64_t x = 0; x < width; x += STRETCH) {
        struct stretch s = {.count = PH_MIN(width - x, (int64_t)STRETCH), .in_plane = in->layout.plane,
            .gradient_plane = gradient->layout.plane, .out_plane = result->layout.plane,
            .in = block_origin(in, n, 0) + y * in->layout.row + x * PH_LANES,
            .gradient = block_origin(gradient, n, 0) + y * gradient->layout.row + x * PH_LANES,
            .out = block_origin(result, n, 0) + y * result->layout.row + x * PH_LANES};
        if (r->gate.data) s.gate = r->gate.data + n * r->gate.item + y * r->gate.row + x * PH_LANES;
        if (is_usual(r)) backward_stretch(r, &s, 2, 2, 0.75f);
        else backward_stretch(r, &s, r->before, r->after, r->beta);
    }
}

static void forward_row(void *argument, int64_t index) {
    const struct response *r = argument;
    int64_t height = r->call->outputs[0].shape->dims[2];
    PH_KERNEL(ph_response_norm_forward_row)(r, index / height, index % height);
}

static void backward_row(void *argument, int64_t index) {
    const struct response *r = argument;
    int64_t height = r->call->input_gradients[0].shape->dims[2];
    PH_KERNEL(ph_response_norm_backward_row)(r, index / height, index % height);
}

bool PH_KERNEL(ph_response_norm_takes)(const struct ph_response_norm_attributes *a) {
    return !a->within_channel && a->size / 2 <= PH_LANES && a->alpha >= 0 && a->bias >= 0x1p-100;
}

static bool accepts(const struct ph_kernel_query *query) {
    return first_is_blockable(query) && PH_KERNEL(ph_response_norm_takes)(query->node->attributes);
}

static unsigned reads(const struct ph_kernel_query *query) { return (void)query, PH_READS_INPUTS; }

static void forward_run(const struct ph_kernel_call *call) {
    struct response r = PH_KERNEL(ph_response_of)(call, call->node->attributes);
    const int64_t *dims = call->outputs[0].shape->dims;
    ph_parallel_for(call->context, dims[0] * dims[2], forward_row, &r);
}

static void backward_run(const struct ph_kernel_call *call) {
    struct response r = PH_KERNEL(ph_response_of)(call, call->node->attributes);
    const int64_t *dims = call->input_gradients[0].shape->dims;
    ph_parallel_for(call->context, dims[0] * dims[2], backward_row, &r);
}

const struct ph_kernel PH_KERNEL(ph_response_norm_forward) = {.name = "blocked",
    .operation = &ph_operation_local_response_norm, .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED,
    .accepts = accepts, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_response_norm_backward) = {.name = "blocked",
    .operation = &ph_operation_local_response_norm, .by_item = true, .backward = true, .gates = true,
    .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts, .run = backward_run, .reads = reads};
