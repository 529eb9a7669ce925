/* The inverse real Fourier transform and its adjoint as products of matrices, for sizes that fast transforms are slow at:
 * those with a large prime factor, as 227, which Caffe's networks take.
 *
 * Columns first: the sum over y of S[y] exp(2 pi i y y' / H) has the same cosines, and sines of the other sign, for y' and
 * H - y', so that half of the rows are enough: [cosines; sines] S, then two sums. Rows next: a row's real numbers are the
 * product of its 2 K numbers (real, imaginary) with their cosines and sines, where columns that stand for their mirror image
 * too count twice. The adjoint goes the other way with the matrices transposed. */
#include "cpu/kernels/list.h"
#include "cpu/kernels/product.h"
#include <math.h>

enum { FAST_PRIME = 23, MAX_SIZE = 512 };

struct size { int64_t planes, height, width, columns, rows; }; /* columns of the half spectrum; cosines, then sines: rows each */

static struct size size_of(const struct ph_shape *spectrum, const struct ph_shape *picture) {
    return (struct size){.planes = picture->dims[0] * picture->dims[1], .height = picture->dims[2], .width = picture->dims[3],
        .columns = spectrum->dims[3], .rows = picture->dims[2] / 2 + 1};
}

static struct size size_of_query(const struct ph_kernel_query *query) {
    const struct ph_value *values = query->graph->values;
    return size_of(&values[query->node->inputs[0]].shape, &values[query->node->outputs[0]].shape);
}

static int64_t largest_prime_factor(int64_t n) {
    int64_t largest = 1;
    for (int64_t p = 2; p <= n; p++)
        for (; n % p == 0; n /= p) largest = p;
    return largest;
}

static bool accepts(const struct ph_kernel_query *query) {
    struct size s = size_of_query(query);
    return s.planes > 0 && s.height > 0 && s.width > 0 && s.height <= MAX_SIZE && s.width <= MAX_SIZE &&
           PH_MAX(largest_prime_factor(s.height), largest_prime_factor(s.width)) > FAST_PRIME;
}

static size_t packed_bytes(const struct ph_kernel_query *query) {
    struct size s = size_of_query(query);
    return (size_t)(2 * s.rows * s.height + 2 * s.columns * s.width) * sizeof(float);
}

/* [2 rows, height], then [2 columns, width] with the factor of the whole transform. */
static void pack(const struct ph_kernel_query *query, void *packed) {
    struct size s = size_of_query(query);
    float *vertical = packed, *horizontal = vertical + 2 * s.rows * s.height;
    const double turn = 8 * atan(1.0);
    for (int64_t row = 0; row < s.rows; row++)
        for (int64_t y = 0; y < s.height; y++) {
            double angle = turn * (double)(row * y % s.height) / (double)s.height;
            vertical[row * s.height + y] = (float)cos(angle);
            vertical[(s.rows + row) * s.height + y] = (float)sin(angle);
        }
    for (int64_t k = 0; k < s.columns; k++) {
        bool single = k == 0 || 2 * k == s.width;
        double factor = (single ? 1 : 2) / ((double)s.height * (double)s.width);
        for (int64_t x = 0; x < s.width; x++) {
            double angle = turn * (double)(k * x % s.width) / (double)s.width;
            horizontal[2 * k * s.width + x] = (float)(factor * cos(angle));
            horizontal[(2 * k + 1) * s.width + x] = single ? 0 : (float)(-factor * sin(angle));
        }
    }
}

static size_t scratch(const struct ph_kernel_query *query) {
    struct size s = size_of_query(query);
    return (size_t)(s.planes * (2 * s.rows + s.height) * 2 * s.columns);
}

struct transform {
    struct size s;
    float *halves;  /* [plane][cosines, sines][rows][2 columns] */
    float *whole;   /* [plane][height][2 columns] */
};

/* Row y' of a plane and, where it is another, row H - y', from the sums with cosines and sines. */
static void unfold_row(void *argument, int64_t index) {
    const struct transform *t = argument;
    const struct size *s = &t->s;
    int64_t row = index % s->rows, plane = index / s->rows, length = 2 * s->columns, mirror = (s->height - row) % s->height;
    const float *restrict cosines = t->halves + (2 * plane * s->rows + row) * length, *restrict sines = cosines + s->rows * length;
    float *restrict down = t->whole + (plane * s->height + row) * length;
    float *restrict up = t->whole + (plane * s->height + mirror) * length;
    if (mirror != row)
        for (int64_t i = 0; i < length; i += 2) {
            up[i] = cosines[i] + sines[i + 1];
            up[i + 1] = cosines[i + 1] - sines[i];
        }
    for (int64_t i = 0; i < length; i += 2) {
        down[i] = cosines[i] - sines[i + 1];
        down[i + 1] = cosines[i + 1] + sines[i];
    }
}

/* Its adjoint. */
static void fold_row(void *argument, int64_t index) {
    const struct transform *t = argument;
    const struct size *s = &t->s;
    int64_t row = index % s->rows, plane = index / s->rows, length = 2 * s->columns, mirror = (s->height - row) % s->height;
    float *restrict cosines = t->halves + (2 * plane * s->rows + row) * length, *restrict sines = cosines + s->rows * length;
    const float *restrict down = t->whole + (plane * s->height + row) * length;
    const float *restrict up = t->whole + (plane * s->height + mirror) * length;
    float other = mirror != row;
    for (int64_t i = 0; i < length; i += 2) {
        cosines[i] = down[i] + other * up[i];
        cosines[i + 1] = down[i + 1] + other * up[i + 1];
        sines[i] = down[i + 1] - other * up[i + 1];
        sines[i + 1] = other * up[i] - down[i];
    }
}

static void run(const struct ph_kernel_call *call) {
    struct transform t = {.s = size_of(call->plain.input_shapes[0], &call->plain.output_shapes[0]), .halves = call->scratch};
    const struct size *s = &t.s;
    int64_t length = 2 * s->columns;
    t.whole = t.halves + s->planes * 2 * s->rows * length;
    float *vertical = (float *)call->packed, *horizontal = vertical + 2 * s->rows * s->height;
    struct ph_product columns = {.axes = 1, .stack = {s->planes}, .factor = 1, .columns = length};
    struct ph_product rows = {.rows = s->planes * s->height, .factor = 1};
    struct ph_matrix halves = {t.halves, length, 1, {2 * s->rows * length}};
    if (!call->output_gradients[0].data) {
        columns.a = (struct ph_matrix){vertical, s->height, 1, {0}};
        columns.b = (struct ph_matrix){call->inputs[0].data, length, 1, {s->height * length}};
        columns.y = halves;
        columns.rows = 2 * s->rows, columns.inner = s->height;
        PH_KERNEL(ph_product_run)(call->context, &columns);
        ph_parallel_for(call->context, s->planes * s->rows, unfold_row, &t);
        rows.a = (struct ph_matrix){t.whole, length, 1, {0}};
        rows.b = (struct ph_matrix){horizontal, s->width, 1, {0}};
        rows.y = (struct ph_matrix){call->outputs[0].data, s->width, 1, {0}};
        rows.inner = length, rows.columns = s->width;
        PH_KERNEL(ph_product_run)(call->context, &rows);
        return;
    }
    rows.a = (struct ph_matrix){call->output_gradients[0].data, s->width, 1, {0}};
    rows.b = (struct ph_matrix){horizontal, 1, s->width, {0}};
    rows.y = (struct ph_matrix){t.whole, length, 1, {0}};
    rows.inner = s->width, rows.columns = length;
    PH_KERNEL(ph_product_run)(call->context, &rows);
    ph_parallel_for(call->context, s->planes * s->rows, fold_row, &t);
    columns.a = (struct ph_matrix){vertical, 1, s->height, {0}};
    columns.b = halves;
    columns.y = (struct ph_matrix){call->input_gradients[0].data, length, 1, {s->height * length}};
    columns.rows = s->height, columns.inner = 2 * s->rows;
    columns.accumulate = call->accumulate[0];
    PH_KERNEL(ph_product_run)(call->context, &columns);
}

const struct ph_kernel PH_KERNEL(ph_dft_forward) = {.name = "dft", .operation = &ph_operation_irfft2, .accepts = accepts,
    .packed_bytes = packed_bytes, .pack = pack, .scratch = scratch, .run = run};
const struct ph_kernel PH_KERNEL(ph_dft_backward) = {.name = "dft", .operation = &ph_operation_irfft2, .backward = true,
    .accepts = accepts, .packed_bytes = packed_bytes, .pack = pack, .scratch = scratch, .run = run};
