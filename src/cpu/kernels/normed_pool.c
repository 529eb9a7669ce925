/* Local response normalisation and the max-pooling behind it, band of rows by band of rows: what lies between them stays in a
 * cache of the thread that makes and reads it, forward and backward. */
#include "cpu/kernels/pool.h"
#include "cpu/kernels/response_norm.h"

struct normed_pool {
    const struct ph_kernel_call *call;
    const struct ph_normed_pool_attributes *a;
    struct bands bands;   /* of the output, backward of the input's gradient; all channels at once */
    int64_t rows;         /* between the two that a band has at most */
};

/* Floats that a band should not have more of between the two: forward as many as the second cache holds, for what bands share
 * is made twice. */
enum { MOST_FORWARD = 1 << 18, MOST_BACKWARD = 1 << 16 };

static int64_t extent_of(const struct ph_pool_attributes *a) { return (a->kernel[1] - 1) * a->dilation[1] + 1; }

/* Floats of a row of all channels. */
static int64_t row_floats(const int64_t *dims) { return blocks_of(dims[1]) * PH_LANES * dims[3]; }

/* Forward a band of the output needs rows that the next one needs too; backward all rows of windows that reach into it. */
static int64_t rows_between(const struct ph_pool_attributes *a, int64_t height, int64_t rows, bool backward) {
    return PH_MIN(height, backward ? rows + 2 * (extent_of(a) - 1) : (rows - 1) * a->stride[1] + extent_of(a));
}

static struct normed_pool make(const struct ph_kernel_call *call, const struct ph_normed_pool_attributes *a, const int64_t *in,
                               bool backward, int threads) {
    int64_t height = backward ? in[2] : a->pool.output[1], most_floats = backward ? MOST_BACKWARD : MOST_FORWARD;
    int64_t fitting = PH_MAX((int64_t)1, most_floats / row_floats(in)), count = (in[2] + fitting - 1) / fitting;
    struct normed_pool pool = {.call = call, .a = a, .bands = bands_make(in[0], 1, height, count, true, threads)};
    int64_t most = (height + pool.bands.count - 1) / pool.bands.count;
    pool.rows = rows_between(&a->pool, in[2], most, backward);
    return pool;
}

static size_t scratch(const struct ph_kernel_query *query) {
    const int64_t *in = query->graph->values[query->node->inputs[0]].shape.dims;
    struct normed_pool pool = make(NULL, query->node->attributes, in, query->backward, query->threads);
    return (size_t)(query->threads * pool.rows * row_floats(in));
}

/* What lies between, of which the thread has rows [first, first + pool->rows). */
static struct ph_operand between(const struct normed_pool *pool, int64_t first) {
    const struct ph_shape *shape = pool->call->plain.input_shapes[0];
    int64_t row = shape->dims[3] * PH_LANES, floats = pool->rows * row_floats(shape->dims);
    return (struct ph_operand){.data = pool->call->scratch + ph_parallel_thread() * floats - first * row, .shape = shape,
        .layout = {.kind = PH_LAYOUT_BLOCKED, .block = PH_LANES, .row = row, .plane = pool->rows * row}};
}

static void forward_band(void *argument, int64_t index) {
    const struct normed_pool *pool = argument;
    const struct ph_pool_attributes *a = &pool->a->pool;
    struct band band = band_of(&pool->bands, index);
    const int64_t *dims = pool->call->plain.input_shapes[0]->dims, end = band.end;
    int64_t made = PH_MAX((int64_t)0, start_of(a, 1, band.first));
    struct ph_operand normed = between(pool, made);
    struct ph_kernel_call norm_call = *pool->call, pool_call = *pool->call;
    norm_call.outputs = &normed;
    pool_call.inputs = &normed;
    struct response response = PH_KERNEL(ph_response_of)(&norm_call, &pool->a->norm);
    struct pool pooling = {.call = &pool_call, .a = a};
    for (int64_t y = band.first; y < end; y++) {
        for (; made < PH_MIN(dims[2], start_of(a, 1, y) + extent_of(a)); made++)
            PH_KERNEL(ph_response_norm_forward_row)(&response, band.n, made);
        band.first = y, band.end = y + 1;
        for (band.block = 0; band.block < response.blocks; band.block++)
            PH_KERNEL(ph_max_pool_forward_band)(&pooling, &band);
    }
}

/* Windows that reach into the band are dealt out whole: rows outside of it are the price of few windows that are cut. */
static void backward_band(void *argument, int64_t index) {
    const struct normed_pool *pool = argument;
    const struct ph_pool_attributes *a = &pool->a->pool;
    const struct band band = band_of(&pool->bands, index);
    int64_t height = pool->call->plain.input_shapes[0]->dims[2];
    struct band wide = {.n = band.n, .first = PH_MAX((int64_t)0, band.first - extent_of(a) + 1),
                        .end = PH_MIN(height, band.end + extent_of(a) - 1)};
    struct ph_operand gradient = between(pool, wide.first);
    struct ph_kernel_call norm_call = *pool->call, pool_call = *pool->call;
    norm_call.output_gradients = &gradient;
    pool_call.input_gradients = &gradient;
    pool_call.accumulate = (const bool[]){false};
    struct response response = PH_KERNEL(ph_response_of)(&norm_call, &pool->a->norm);
    struct pool pooling = {.call = &pool_call, .a = a};
    struct reach reach = PH_KERNEL(ph_pool_reach)(&pooling, &band);
    for (; wide.block < response.blocks; wide.block++) PH_KERNEL(ph_max_pool_backward_band)(&pooling, &wide, reach);
    for (int64_t y = band.first; y < band.end; y++) PH_KERNEL(ph_response_norm_backward_row)(&response, band.n, y);
}

static void run(const struct ph_kernel_call *call, bool backward) {
    const int64_t *in = call->plain.input_shapes[0]->dims;
    struct normed_pool pool = make(call, call->node->attributes, in, backward, ph_parallel_threads(call->context));
    ph_parallel_for(call->context, bands_tasks(&pool.bands), backward ? backward_band : forward_band, &pool);
}

static void forward_run(const struct ph_kernel_call *call) { run(call, false); }
static void backward_run(const struct ph_kernel_call *call) { run(call, true); }

static bool accepts(const struct ph_kernel_query *query) {
    const struct ph_normed_pool_attributes *a = query->node->attributes;
    return first_is_blockable(query) && PH_KERNEL(ph_response_norm_takes)(&a->norm) &&
           a->pool.kernel[1] * a->pool.kernel[2] <= PH_MOST_ELEMENTS;
}

static unsigned reads(const struct ph_kernel_query *query) { return (void)query, PH_READS_INPUTS; }

const struct ph_kernel PH_KERNEL(ph_normed_max_pool_forward) = {.name = "bands", .operation = &ph_operation_normed_max_pool,
    .by_item = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED, .accepts = accepts,
    .saved = PH_KERNEL(ph_max_pool_saved), .scratch = scratch, .run = forward_run};
const struct ph_kernel PH_KERNEL(ph_normed_max_pool_backward) = {.name = "bands", .operation = &ph_operation_normed_max_pool,
    .by_item = true, .backward = true, .gates = true, .input = PH_LAYOUT_BLOCKED, .output = PH_LAYOUT_BLOCKED,
    .accepts = accepts, .saved = PH_KERNEL(ph_max_pool_saved), .scratch = scratch, .reads = reads, .run = backward_run};
