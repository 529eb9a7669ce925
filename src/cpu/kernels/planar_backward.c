/* The backward of a first layer, whose input has too few channels to fill the lanes: there the lanes hold channels of the
 * output's gradient, every input channel has sums of its own, and lanes are added up at the end. Nothing is multiplied in
 * vain, whatever kernel and stride: pixels of one phase (their position modulo the stride) are reached by the same few
 * kernel elements, as in convolution.c. */
#include "cpu/kernels/geometry.h"

enum { MOST_CHANNELS = 4 }; /* summed side by side */
/* Pixels summed side by side, so that the sums of all channels stay in registers. */
#if PH_LANES == 16
#define PIXELS(channels) ((channels) < 4 ? 8 : 4)
#else
#define PIXELS(channels) ((channels) == 1 ? 8 : (channels) < 4 ? 4 : 2)
#endif

struct planar {
    struct geometry g;
    const struct ph_operand *gradient;
    const float *packed; /* [phase of rows][phase of columns][part of the channels][block][tap][channel of the part][lane] */
    float *out;          /* [N,C,H,W] */
    bool accumulate;
};

/* The kernel elements of one phase along one axis. */
struct phase { int count; int64_t kernel[PH_MAX_TAPS], step[PH_MAX_TAPS]; };

static void phase_make(const struct geometry *g, int axis, int64_t q, struct phase *phase) {
    phase->count = phase_taps(g, axis, q, phase->kernel, phase->step);
}

static int64_t parts_of(const struct geometry *g) { return (g->channels + MOST_CHANNELS - 1) / MOST_CHANNELS; }
static int64_t part_first(const struct geometry *g, int64_t part) { return g->channels * part / parts_of(g); }

static int halo(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return backward_halo_of(&g);
}

static size_t packed_bytes(const struct ph_kernel_query *query) {
    struct geometry g = geometry_of(query);
    return (size_t)(g.kernel[0] * g.kernel[1] * g.channels * blocks_of(g.outputs) * PH_LANES) * sizeof(float);
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    struct geometry g = geometry_of(query);
    struct phase rows, columns;
    float *to = packed;
    for (int64_t qy = 0; qy < g.stride[0]; qy++)
        for (int64_t qx = 0; qx < g.stride[1]; qx++) {
            phase_make(&g, 0, qy, &rows);
            phase_make(&g, 1, qx, &columns);
            for (int64_t part = 0; part < parts_of(&g); part++)
                for (int64_t block = 0; block < blocks_of(g.outputs); block++)
                    for (int tap = 0; tap < rows.count * columns.count; tap++)
                        for (int64_t c = part_first(&g, part); c < part_first(&g, part + 1); c++)
                            for (int64_t o = block * PH_LANES; o < (block + 1) * PH_LANES; o++)
                                *to++ = weight_at(&g, o, c, rows.kernel[tap / columns.count], columns.kernel[tap % columns.count]);
        }
}

/* Sums of `channels` input channels at `pixels` neighbouring pixels of a phase, to `to`, `plane` floats from one channel to
 * the next and `step` from one pixel to the next. */
PH_INLINE void tile(const struct planar *p, const float *from, const int64_t *taps, int tap_count, const float *weights, float *to,
                    int64_t plane, int64_t step, const int channels, const int pixels) {
    vector sum[MOST_CHANNELS * 8];
#pragma GCC unroll 32
    for (int i = 0; i < channels * pixels; i++) sum[i] = (vector){0};
    for (int64_t block = blocks_of(p->g.outputs); block > 0; block--, from += p->gradient->layout.plane)
        for (int tap = 0; tap < tap_count; tap++, weights += channels * PH_LANES) {
            const float *at = from + taps[tap];
#pragma GCC unroll 8
            for (int i = 0; i < pixels; i++) {
                vector gradient = load(at + i * PH_LANES);
#pragma GCC unroll 4
                for (int c = 0; c < channels; c++) sum[c * pixels + i] += load(weights + c * PH_LANES) * gradient;
            }
        }
#pragma GCC unroll 4
    for (int c = 0; c < channels; c++) {
        vector total = lane_sums(sum + c * pixels, pixels);
#pragma GCC unroll 8
        for (int i = 0; i < pixels; i++) {
            float *pixel = to + c * plane + i * step;
            *pixel = p->accumulate ? *pixel + total[i] : total[i];
        }
    }
}

/* All pixels of one phase in one row. */
PH_INLINE void row_of_phase(const struct planar *p, const float *from, const int64_t *taps, int tap_count, const float *weights,
                            float *to, int64_t plane, int64_t step, int64_t count, const int channels) {
    const int pixels = PIXELS(channels);
    int64_t x = 0;
    for (; x + pixels <= count; x += pixels)
        tile(p, from + x * PH_LANES, taps, tap_count, weights, to + x * step, plane, step, channels, pixels);
    for (; x < count; x++) tile(p, from + x * PH_LANES, taps, tap_count, weights, to + x * step, plane, step, channels, 1);
}

static void row_run(void *argument, int64_t index) {
    const struct planar *p = argument;
    const struct geometry *g = &p->g;
    int64_t y = index % g->height, n = index / g->height, qy = y % g->stride[0], plane = g->height * g->width;
    int64_t per_tap = g->channels * blocks_of(g->outputs) * PH_LANES, taps[PH_MAX_TAPS];
    const float *gradient = block_origin(p->gradient, n, 0) + y / g->stride[0] * p->gradient->layout.row, *weights = p->packed;
    struct phase rows, columns;
    for (int64_t q = 0; q <= qy; q++) {
        phase_make(g, 0, q, &rows);
        if (q < qy) weights += rows.count * g->kernel[1] * per_tap;
    }
    for (int64_t qx = 0; qx < g->stride[1]; qx++) {
        phase_make(g, 1, qx, &columns);
        int tap_count = rows.count * columns.count;
        for (int t = 0; t < tap_count; t++)
            taps[t] = rows.step[t / columns.count] * p->gradient->layout.row + columns.step[t % columns.count] * PH_LANES;
        for (int64_t part = 0; part < parts_of(g); part++) {
            int64_t first = part_first(g, part), channels = part_first(g, part + 1) - first, step = g->stride[1];
            float *to = p->out + (n * g->channels + first) * plane + y * g->width + qx;
            int64_t count = phase_size(g, 1, qx);
            switch (channels) {
            case 1: row_of_phase(p, gradient, taps, tap_count, weights, to, plane, step, count, 1); break;
            case 2: row_of_phase(p, gradient, taps, tap_count, weights, to, plane, step, count, 2); break;
            case 3: row_of_phase(p, gradient, taps, tap_count, weights, to, plane, step, count, 3); break;
            default: row_of_phase(p, gradient, taps, tap_count, weights, to, plane, step, count, 4); break;
            }
            weights += tap_count * channels * blocks_of(g->outputs) * PH_LANES;
        }
    }
}

static void run(const struct ph_kernel_call *call) {
    struct planar p = {.g = geometry_of_call(call), .gradient = &call->output_gradients[0], .packed = call->packed,
        .out = call->input_gradients[0].data, .accumulate = call->accumulate[0]};
    PH_KERNEL(ph_convolution_mask)(call);
    ph_parallel_for(call->context, p.g.items * p.g.height, row_run, &p);
}

const struct ph_kernel PH_KERNEL(ph_convolution_backward_planar) = {.name = "planar", .operation = &ph_operation_convolution,
    .by_item = true, .backward = true, .gated = true, .input = PH_LAYOUT_PLAIN, .output = PH_LAYOUT_BLOCKED,
    .accepts = PH_KERNEL(ph_convolution_is_first), .halo = halo, .packed_bytes = packed_bytes, .pack = pack, .run = run,
    .reads = PH_KERNEL(ph_convolution_reads)};
