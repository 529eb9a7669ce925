/* The inverse real Fourier transform and its adjoint, for sizes whose prime factors are small. First down the columns, a block
 * of as many columns as a vector has lanes to a task; then along the rows, two real rows to a lane, one as the real part and
 * one as the imaginary part. The adjoint goes the other way. Between the two lies what the columns made, block by block:
 * [plane][block][row][re, im][lanes], which the rows turn over, square by square. */
#include "cpu/kernels/blocked.h"
#include "cpu/kernels/fourier.h"
#include "cpu/kernels/lanes.h"

enum { ROWS = 2 * PH_LANES };

struct plan { struct fourier down, along; }; /* the factors of both follow */

struct transform {
    const struct ph_kernel_call *call;
    const struct plan *plan;
    const float *down, *along;              /* factors */
    int64_t height, width, columns, blocks, groups; /* columns of the half spectrum; blocks of columns, groups of rows */
};

/* ---- The kernel -------------------------------------------------------------------------------------------------- */

static bool plan_make(const struct ph_kernel_query *query, struct plan *plan) {
    const int64_t *dims = query->graph->values[query->node->outputs[0]].shape.dims;
    bool down = fourier_split(dims[2], &plan->down), along = fourier_split(dims[3], &plan->along);
    return down && along;
}

static bool accepts(const struct ph_kernel_query *query) {
    struct plan plan;
    return plan_make(query, &plan);
}

static size_t packed_bytes(const struct ph_kernel_query *query) {
    struct plan plan;
    plan_make(query, &plan);
    return sizeof plan + (size_t)(fourier_factors(&plan.down, NULL) + fourier_factors(&plan.along, NULL)) * sizeof(float);
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    struct plan *plan = packed;
    plan_make(query, plan);
    float *factors = (float *)(plan + 1);
    fourier_factors(&plan->along, factors + fourier_factors(&plan->down, factors));
}

static int64_t blocks_across(int64_t width) { return (width / 2 + PH_LANES) / PH_LANES; } /* of width / 2 + 1 columns */

static size_t scratch(const struct ph_kernel_query *query) {
    const int64_t *dims = query->graph->values[query->node->outputs[0]].shape.dims;
    return (size_t)(dims[0] * dims[1] * blocks_across(dims[3]) * dims[2] * 2 * PH_LANES);
}

/* Of a row's place in the scratch: re, then im. */
static float *between(const struct transform *t, int64_t plane, int64_t block, int64_t row) {
    return t->call->scratch + ((plane * t->blocks + block) * t->height + row) * 2 * PH_LANES;
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* re and im change places on their way in and out, for exp(+i ...). */
static void forward_block(void *argument, int64_t index) {
    const struct transform *t = argument;
    int64_t plane = index / t->blocks, block = index % t->blocks, first = block * PH_LANES, left = 2 * (t->columns - first);
    const float *in = t->call->inputs[0].data + 2 * (plane * t->height * t->columns + first);
    vector factor = splat(1 / (float)(t->height * t->width));
    struct pair halves[2][PH_FOURIER_MOST];
    for (int64_t y = 0; y < t->height; y++, in += 2 * t->columns) {
        vector low = load_some(in, left), high = load_some(in + PH_LANES, left - PH_LANES);
        halves[0][y].im = __builtin_shufflevector(low, high, PH_LANES_LOW_1) * factor;
        halves[0][y].re = __builtin_shufflevector(low, high, PH_LANES_HIGH_1) * factor;
    }
    const struct pair *made = fourier_run(&t->plan->down, t->down, halves[0], halves[1]);
    for (int64_t y = 0; y < t->height; y++) {
        float *to = between(t, plane, block, y);
        store(to, made[y].im);
        store(to + PH_LANES, made[y].re);
    }
}

/* Columns that stand for their mirror image too count twice, and the rows leave twice of what they found. */
static vector backward_factors(const struct transform *t, int64_t first) {
    vector factors;
    for (int64_t i = 0; i < PH_LANES; i++) {
        bool single = first + i == 0 || 2 * (first + i) == t->width;
        factors[i] = (single ? 0.5f : 1) / (float)(t->height * t->width);
    }
    return factors;
}

static void backward_block(void *argument, int64_t index) {
    const struct transform *t = argument;
    int64_t plane = index / t->blocks, block = index % t->blocks, first = block * PH_LANES, left = 2 * (t->columns - first);
    float *out = t->call->input_gradients[0].data + 2 * (plane * t->height * t->columns + first);
    vector factors = backward_factors(t, first);
    struct pair halves[2][PH_FOURIER_MOST];
    for (int64_t y = 0; y < t->height; y++) {
        const float *from = between(t, plane, block, y);
        halves[0][y] = (struct pair){load(from), load(from + PH_LANES)};
    }
    const struct pair *made = fourier_run(&t->plan->down, t->down, halves[0], halves[1]);
    for (int64_t y = 0; y < t->height; y++, out += 2 * t->columns) {
        vector re = made[y].re * factors, im = made[y].im * factors;
        vector low = __builtin_shufflevector(re, im, PH_LANES_FIRST_HALVES), high = __builtin_shufflevector(re, im, PH_LANES_SECOND_HALVES);
        if (t->call->accumulate[0]) {
            low += load_some(out, left);
            high += load_some(out + PH_LANES, left - PH_LANES);
        }
        store_some(out, low, left);
        store_some(out + PH_LANES, high, left - PH_LANES);
    }
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* Part 0 (re) or 1 (im) of a square of the scratch: rows from `row` on, of which those behind the last are 0, to lanes. */
static void square_read(const struct transform *t, int64_t plane, int64_t block, int64_t row, int part, vector *square) {
    for (int64_t i = 0; i < PH_LANES; i++)
        square[i] = row + i < t->height ? load(between(t, plane, block, row + i) + part * PH_LANES) : (vector){0};
    lanes_turn(square);
}

static void square_write(const struct transform *t, int64_t plane, int64_t block, int64_t row, int part, vector *square) {
    lanes_turn(square);
    for (int64_t i = 0; i < PH_LANES && row + i < t->height; i++)
        store(between(t, plane, block, row + i) + part * PH_LANES, square[i]);
}

/* Both rows of each lane as one sequence: a + i b for their spectra a and b, which are those of real numbers. */
static void rows_join(const struct transform *t, int64_t plane, int64_t row, struct pair *to) {
    for (int64_t block = 0; block < t->blocks; block++) {
        vector parts[4][PH_LANES]; /* re and im of a, then of b */
        for (int i = 0; i < 4; i++) square_read(t, plane, block, row + i / 2 * PH_LANES, i % 2, parts[i]);
        int64_t first = block * PH_LANES;
        for (int64_t i = 0; i < PH_LANES && first + i < t->columns; i++) {
            int64_t column = first + i, mirror = t->width - column;
            bool single = column == 0 || mirror == column; /* where there is no imaginary part */
            vector a = single ? (vector){0} : parts[1][i], b = single ? (vector){0} : parts[3][i];
            to[column] = (struct pair){.im = parts[0][i] - b, .re = parts[2][i] + a}; /* changed places */
            if (!single) to[mirror] = (struct pair){.im = parts[0][i] + b, .re = parts[2][i] - a};
        }
    }
}

static void forward_rows(void *argument, int64_t index) {
    const struct transform *t = argument;
    int64_t plane = index / t->groups, row = index % t->groups * ROWS;
    float *out = t->call->outputs[0].data + (plane * t->height + row) * t->width;
    struct pair halves[2][PH_FOURIER_MOST];
    rows_join(t, plane, row, halves[0]);
    const struct pair *made = fourier_run(&t->plan->along, t->along, halves[0], halves[1]);
    for (int64_t first = 0; first < t->width; first += PH_LANES)
        for (int part = 0; part < 2; part++) {
            vector square[PH_LANES];
            for (int64_t i = 0; i < PH_LANES; i++) {
                const struct pair *at = &made[PH_MIN(first + i, t->width - 1)];
                square[i] = part ? at->re : at->im;
            }
            lanes_turn(square);
            for (int64_t i = 0, y = part * PH_LANES; i < PH_LANES && row + y < t->height; i++, y++)
                store_some(out + y * t->width + first, square[i], t->width - first);
        }
}

/* Twice the spectra a and b of the two rows, from that of a + i b. */
static void rows_part(const struct transform *t, int64_t plane, int64_t row, const struct pair *made) {
    for (int64_t block = 0; block < t->blocks; block++) {
        vector parts[4][PH_LANES];
        for (int64_t i = 0; i < PH_LANES; i++) {
            int64_t column = PH_MIN(block * PH_LANES + i, t->columns - 1);
            struct pair here = made[column], mirror = made[column ? t->width - column : 0];
            parts[0][i] = here.re + mirror.re;
            parts[1][i] = here.im - mirror.im;
            parts[2][i] = here.im + mirror.im;
            parts[3][i] = mirror.re - here.re;
        }
        for (int i = 0; i < 4; i++) square_write(t, plane, block, row + i / 2 * PH_LANES, i % 2, parts[i]);
    }
}

static void backward_rows(void *argument, int64_t index) {
    const struct transform *t = argument;
    int64_t plane = index / t->groups, row = index % t->groups * ROWS;
    const float *in = t->call->output_gradients[0].data + (plane * t->height + row) * t->width;
    struct pair halves[2][PH_FOURIER_MOST];
    for (int64_t first = 0; first < t->width; first += PH_LANES)
        for (int part = 0; part < 2; part++) {
            vector square[PH_LANES];
            for (int64_t i = 0, y = part * PH_LANES; i < PH_LANES; i++, y++)
                square[i] = row + y < t->height ? load_some(in + y * t->width + first, t->width - first) : (vector){0};
            lanes_turn(square);
            for (int64_t i = 0; i < PH_LANES && first + i < t->width; i++)
                *(part ? &halves[0][first + i].im : &halves[0][first + i].re) = square[i];
        }
    rows_part(t, plane, row, fourier_run(&t->plan->along, t->along, halves[0], halves[1]));
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

static void run(const struct ph_kernel_call *call) {
    const int64_t *dims = call->plain.output_shapes[0].dims; /* of an item alone where it is taken alone */
    struct transform t = {.call = call, .plan = call->packed, .height = dims[2], .width = dims[3], .columns = dims[3] / 2 + 1,
        .blocks = blocks_across(dims[3]), .groups = (dims[2] + ROWS - 1) / ROWS};
    t.down = (const float *)(t.plan + 1);
    t.along = t.down + fourier_factors(&t.plan->down, NULL);
    int64_t planes = dims[0] * dims[1];
    if (call->output_gradients[0].data) {
        ph_parallel_for(call->context, planes * t.groups, backward_rows, &t);
        ph_parallel_for(call->context, planes * t.blocks, backward_block, &t);
    } else {
        ph_parallel_for(call->context, planes * t.blocks, forward_block, &t);
        ph_parallel_for(call->context, planes * t.groups, forward_rows, &t);
    }
}

#define BY_LANES .operation = &ph_operation_irfft2, .by_item = true, .accepts = accepts, .packed_bytes = packed_bytes, \
    .pack = pack, .scratch = scratch, .run = run

const struct ph_kernel PH_KERNEL(ph_fourier_forward) = {.name = "fft", BY_LANES};
const struct ph_kernel PH_KERNEL(ph_fourier_backward) = {.name = "fft", .backward = true, BY_LANES};
