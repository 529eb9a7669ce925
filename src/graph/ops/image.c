/* What the picture side needs of operations: from a spectrum to pixels, resampling under an affine map, and one channel
 * or element of each batch item. */
#include "graph/operations.h"
#include "graph/ops/border.h"
#include <math.h>
#include <string.h>

/* ---- irfft2 ------------------------------------------------------------------------------------------------------
 * y[i,j] = 1/(H W) sum over v, k of m_k (Re X[v,k] cos a - Im X[v,k] sin a), a = 2 pi (v i / H + k j / W), where the
 * multiplicity m_k is 2 for columns that stand for their conjugates too, 1 for column 0 and, when W is even, W/2. It is
 * what FFTW's c2r and numpy.fft.irfft2 compute for any spectrum, symmetric or not. Separable: first down the columns,
 * then along the rows. */

#define CHUNK 256 /* results in work at a time: the sums are kept in double, on the stack */

static double multiplicity(int64_t k, int64_t width) { return k == 0 || 2 * k == width ? 1 : 2; }

/* cos and sin of 2 pi i k / n; the product is reduced first, so that large ones stay exact. */
static void turn(int64_t i, int64_t k, int64_t n, double *cosine, double *sine) {
    const double pi = 3.14159265358979323846;
    double angle = 2 * pi * (double)(i * k % n) / (double)n;
    *cosine = cos(angle);
    *sine = sin(angle);
}

static ph_status irfft2_infer(struct ph_inference *inference) {
    const struct ph_irfft2_attributes *attributes = inference->attributes;
    const struct ph_shape *shape = &inference->inputs[0]->shape;
    if (shape->rank != 5 || shape->dims[2] < 1 || shape->dims[2] > 1 << 20 || shape->dims[4] != 2 ||
        attributes->width < 1 || attributes->width > 1 << 20 || shape->dims[3] != attributes->width / 2 + 1)
        return ph_infer_fail(inference, "[N,C,H,%lld,2] expected for a width of %lld",
                             (long long)attributes->width / 2 + 1, (long long)attributes->width);
    inference->shapes[0] = PH_SHAPE(shape->dims[0], shape->dims[1], shape->dims[2], attributes->width);
    return PH_OK;
}

static void irfft2_forward(const struct ph_call *call) {
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t planes = shape->dims[0] * shape->dims[1], height = shape->dims[2], columns = shape->dims[3];
    int64_t width = call->output_shapes[0].dims[3];
    for (int64_t row = 0; row < planes * height; row++) {
        const real *spectrum = (const real *)call->inputs[0] + row / height * height * columns * 2;
        real *y = (real *)call->outputs[0] + row * width;
        for (int64_t begin = 0; begin < width; begin += CHUNK) {
            int64_t end = PH_MIN(begin + CHUNK, width);
            double sums[CHUNK] = {0}, cosine, sine;
            for (int64_t k = 0; k < columns; k++) {
                double re = 0, im = 0; /* column k at this row */
                for (int64_t v = 0; v < height; v++) {
                    const real *x = spectrum + (v * columns + k) * 2;
                    turn(v, row % height, height, &cosine, &sine);
                    re += x[0] * cosine - x[1] * sine;
                    im += x[0] * sine + x[1] * cosine;
                }
                for (int64_t j = begin; j < end; j++) {
                    turn(j, k, width, &cosine, &sine);
                    sums[j - begin] += multiplicity(k, width) * (re * cosine - im * sine);
                }
            }
            for (int64_t j = begin; j < end; j++) y[j] = (real)(sums[j - begin] / (double)(height * width));
        }
    }
}

/* The transpose: a forward transform of the gradient, columns taken as often as they count. */
static void irfft2_backward(const struct ph_call *call) {
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t planes = shape->dims[0] * shape->dims[1], height = shape->dims[2], columns = shape->dims[3];
    int64_t width = call->output_shapes[0].dims[3];
    if (!call->input_gradients[0] || !call->output_gradients[0]) return;
    for (int64_t plane = 0; plane < planes; plane++) {
        const real *dy = (const real *)call->output_gradients[0] + plane * height * width;
        real *dx = (real *)call->input_gradients[0] + plane * height * columns * 2;
        for (int64_t k = 0; k < columns; k++) {
            double factor = multiplicity(k, width) / (double)(height * width);
            for (int64_t begin = 0; begin < height; begin += CHUNK) {
                int64_t end = PH_MIN(begin + CHUNK, height);
                double sums[CHUNK][2] = {{0}}, cosine, sine;
                for (int64_t i = 0; i < height; i++) {
                    double re = 0, im = 0; /* row i at this column */
                    for (int64_t j = 0; j < width; j++) {
                        turn(j, k, width, &cosine, &sine);
                        re += dy[i * width + j] * cosine;
                        im -= dy[i * width + j] * sine;
                    }
                    for (int64_t v = begin; v < end; v++) {
                        turn(v, i, height, &cosine, &sine);
                        sums[v - begin][0] += re * cosine + im * sine;
                        sums[v - begin][1] += im * cosine - re * sine;
                    }
                }
                for (int64_t v = begin; v < end; v++)
                    for (int part = 0; part < 2; part++)
                        dx[(v * columns + k) * 2 + part] += (real)(factor * sums[v - begin][part]);
            }
        }
    }
}

/* Of the fast algorithm, 2.5 n log2 n for real data, so that rates mean something. */
static double irfft2_flops(const struct ph_call *call) {
    const struct ph_shape *shape = &call->output_shapes[0];
    return 2.5 * (double)ph_shape_size(shape) * log2((double)(shape->dims[2] * shape->dims[3]));
}

static const struct ph_case irfft2_cases[] = {
    {"even width", &(const struct ph_irfft2_attributes){6}, .inputs = {{PH_SHAPE(1, 2, 4, 4, 2), -1, 1}}},
    {"odd width", &(const struct ph_irfft2_attributes){5}, .inputs = {{PH_SHAPE(2, 1, 3, 3, 2), -1, 1}}},
    {"odd height, even width", &(const struct ph_irfft2_attributes){4}, .inputs = {{PH_SHAPE(1, 1, 5, 3, 2), -1, 1}}},
    {"one column", &(const struct ph_irfft2_attributes){1}, .inputs = {{PH_SHAPE(1, 1, 4, 1, 2), -1, 1}}},
    {NULL}};

PH_OPERATION(irfft2) = {
    .name = "irfft2",
    .help = "inverse Fourier transform of half a spectrum to real pixels",
    .attributes_size = sizeof(struct ph_irfft2_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = irfft2_infer, .forward = irfft2_forward, .backward = irfft2_backward, .flops = irfft2_flops,
    .cases = irfft2_cases,
};

/* ---- affine_warp ------------------------------------------------------------------------------------------------- */

#define OUTSIDE ((int64_t)-1)

/* The four elements around a sampled point, and their weights. */
struct warp_corners { int64_t offset[4]; double weight[4]; };

static int64_t border_index(enum ph_warp_border border, int64_t i, int64_t size) {
    switch (border) {
    case PH_BORDER_REFLECT: return ph_border_reflect(i, size);
    case PH_BORDER_WRAP: return ph_border_wrap(i, size);
    case PH_BORDER_CONSTANT: break;
    }
    return i >= 0 && i < size ? i : OUTSIDE;
}

/* Where output pixel (row, column) of an item lies. The coordinates are worked out in double, so that identity and
 * whole shifts have weights of exactly 1 and 0; ones beyond any picture, NaN among them, are held within integers. */
static struct warp_corners warp_locate(const struct ph_warp_attributes *attributes, const real *matrix, int64_t row,
                                       int64_t column, int64_t height, int64_t width) {
    double x = (double)matrix[0] * (double)column + (double)matrix[1] * (double)row + (double)matrix[2];
    double y = (double)matrix[3] * (double)column + (double)matrix[4] * (double)row + (double)matrix[5];
    x = fmin(fmax(x, -0x1p40), 0x1p40);
    y = fmin(fmax(y, -0x1p40), 0x1p40);
    double left = floor(x), top = floor(y);
    struct warp_corners corners;
    for (int i = 0; i < 4; i++) {
        int64_t r = border_index(attributes->border, (int64_t)top + i / 2, height);
        int64_t c = border_index(attributes->border, (int64_t)left + i % 2, width);
        corners.offset[i] = r == OUTSIDE || c == OUTSIDE ? OUTSIDE : r * width + c;
        corners.weight[i] = (i / 2 ? y - top : 1 - (y - top)) * (i % 2 ? x - left : 1 - (x - left));
    }
    return corners;
}

static ph_status affine_warp_infer(struct ph_inference *inference) {
    const struct ph_warp_attributes *attributes = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape, *matrices = &inference->inputs[1]->shape;
    if (x->rank != 4 || x->dims[2] < 1 || x->dims[3] < 1 || matrices->rank != 3 || matrices->dims[0] != x->dims[0] ||
        matrices->dims[1] != 2 || matrices->dims[2] != 3)
        return ph_infer_fail(inference, "[N,C,H,W] and [N,2,3] expected");
    inference->shapes[0] = PH_SHAPE(x->dims[0], x->dims[1], attributes->height, attributes->width);
    return PH_OK;
}

static void affine_warp_forward(const struct ph_call *call) {
    const struct ph_warp_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t height = shape->dims[2], width = shape->dims[3];
    real *y = call->outputs[0];
    for (int64_t plane = 0; plane < shape->dims[0] * shape->dims[1]; plane++) {
        const real *x = (const real *)call->inputs[0] + plane * height * width;
        const real *matrix = (const real *)call->inputs[1] + plane / shape->dims[1] * 6;
        for (int64_t i = 0; i < attributes->height; i++) {
            for (int64_t j = 0; j < attributes->width; j++) {
                struct warp_corners corners = warp_locate(attributes, matrix, i, j, height, width);
                double sum = 0;
                for (int k = 0; k < 4; k++)
                    sum += corners.weight[k] * (corners.offset[k] == OUTSIDE ? attributes->fill : x[corners.offset[k]]);
                *y++ = (real)sum;
            }
        }
    }
}

/* To the picture alone; what was read outside it passes nothing. */
static void affine_warp_backward(const struct ph_call *call) {
    const struct ph_warp_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t height = shape->dims[2], width = shape->dims[3];
    const real *dy = call->output_gradients[0];
    if (!call->input_gradients[0] || !dy) return;
    for (int64_t plane = 0; plane < shape->dims[0] * shape->dims[1]; plane++) {
        real *dx = (real *)call->input_gradients[0] + plane * height * width;
        const real *matrix = (const real *)call->inputs[1] + plane / shape->dims[1] * 6;
        for (int64_t i = 0; i < attributes->height; i++) {
            for (int64_t j = 0; j < attributes->width; j++, dy++) {
                struct warp_corners corners = warp_locate(attributes, matrix, i, j, height, width);
                for (int k = 0; k < 4; k++)
                    if (corners.offset[k] != OUTSIDE) dx[corners.offset[k]] += (real)(corners.weight[k] * *dy);
            }
        }
    }
}

/* A multiply-add for each corner. */
static double affine_warp_flops(const struct ph_call *call) {
    return 8 * (double)ph_shape_size(&call->output_shapes[0]);
}

/* Two items: turned and shrunk, and shifted by a fraction; both reach beyond the picture. */
static const double warp_matrices[] = {0.9, -0.3, 0.7, 0.4, 1.1, -1.3, 1, 0, -1.25, 0, 1, 0.5};

static const struct ph_case affine_warp_cases[] = {
    {"constant border", &(const struct ph_warp_attributes){5, 6, PH_BORDER_CONSTANT, 0.5},
     .inputs = {{PH_SHAPE(2, 2, 4, 5), -1, 1}, {PH_SHAPE(2, 2, 3), .values = warp_matrices, .constant = true}}},
    {"reflecting border", &(const struct ph_warp_attributes){5, 6, PH_BORDER_REFLECT},
     .inputs = {{PH_SHAPE(2, 2, 4, 5), -1, 1}, {PH_SHAPE(2, 2, 3), .values = warp_matrices, .constant = true}}},
    {"wrapping border", &(const struct ph_warp_attributes){7, 3, PH_BORDER_WRAP},
     .inputs = {{PH_SHAPE(2, 1, 4, 5), -1, 1}, {PH_SHAPE(2, 2, 3), .values = warp_matrices, .constant = true}}},
    {"whole shift", &(const struct ph_warp_attributes){3, 3, PH_BORDER_CONSTANT, 0.25},
     .inputs = {{PH_SHAPE(1, 2, 3, 3), -1, 1},
                {PH_SHAPE(1, 2, 3), .values = (const double[]){1, 0, 1, 0, 1, -1}, .constant = true}}},
    {NULL}};

PH_OPERATION(affine_warp) = {
    .name = "affine_warp",
    .help = "samples a picture bilinearly under an affine map of each item's own",
    .attributes_size = sizeof(struct ph_warp_attributes),
    .minimum_inputs = 2, .maximum_inputs = 2,
    .differentiable = 1, .backward_reads = PH_READS_INPUTS,
    .infer = affine_warp_infer, .forward = affine_warp_forward, .backward = affine_warp_backward,
    .flops = affine_warp_flops,
    .cases = affine_warp_cases,
};

/* ---- pick -------------------------------------------------------------------------------------------------------- */

static ph_status pick_infer(struct ph_inference *inference) {
    const struct ph_pick_attributes *attributes = inference->attributes;
    struct ph_shape shape = inference->inputs[0]->shape;
    if (shape.rank < 2 || shape.dims[0] > PH_MAX_BATCH || (attributes->position && shape.rank != 4))
        return ph_infer_fail(inference, "[N,C,%s] with N up to %d expected", attributes->position ? "H,W" : "...",
                             PH_MAX_BATCH);
    for (int i = 0; i < shape.dims[0]; i++) {
        if (attributes->channels[i] < 0 || attributes->channels[i] >= shape.dims[1])
            return ph_infer_fail(inference, "there is no channel %d", (int)attributes->channels[i]);
        if (attributes->position && (attributes->rows[i] < 0 || attributes->rows[i] >= shape.dims[2] ||
                                     attributes->columns[i] < 0 || attributes->columns[i] >= shape.dims[3]))
            return ph_infer_fail(inference, "there is no column %d, row %d", (int)attributes->columns[i],
                                 (int)attributes->rows[i]);
    }
    shape.dims[1] = 1;
    if (attributes->position) shape.dims[2] = shape.dims[3] = 1;
    inference->shapes[0] = shape;
    return PH_OK;
}

/* Offset in x of what item n picks: `size` elements from there on. */
static int64_t pick_offset(const struct ph_call *call, int64_t n, int64_t *size) {
    const struct ph_pick_attributes *attributes = call->attributes;
    const struct ph_shape *shape = call->input_shapes[0];
    int64_t plane = 1;
    for (int i = 2; i < shape->rank; i++) plane *= shape->dims[i];
    int64_t offset = (n * shape->dims[1] + attributes->channels[n]) * plane;
    *size = plane;
    if (!attributes->position) return offset;
    *size = 1;
    return offset + attributes->rows[n] * shape->dims[3] + attributes->columns[n];
}

static void pick_forward(const struct ph_call *call) {
    real *y = call->outputs[0];
    for (int64_t n = 0, size; n < call->input_shapes[0]->dims[0]; n++, y += size) {
        const real *x = (const real *)call->inputs[0] + pick_offset(call, n, &size);
        for (int64_t i = 0; i < size; i++) y[i] = x[i];
    }
}

static void pick_backward(const struct ph_call *call) {
    const real *dy = call->output_gradients[0];
    if (!call->input_gradients[0] || !dy) return;
    for (int64_t n = 0, size; n < call->input_shapes[0]->dims[0]; n++, dy += size) {
        real *dx = (real *)call->input_gradients[0] + pick_offset(call, n, &size);
        for (int64_t i = 0; i < size; i++) dx[i] += dy[i];
    }
}

static const struct ph_case pick_cases[] = {
    {"a channel of each item", &(const struct ph_pick_attributes){.channels = {2, 0}},
     .inputs = {{PH_SHAPE(2, 3, 2, 4), -1, 1}}},
    {"an element of each item", &(const struct ph_pick_attributes){{1, 1}, true, {0, 2}, {3, 1}},
     .inputs = {{PH_SHAPE(2, 2, 3, 4), -1, 1}}},
    {"a class", &(const struct ph_pick_attributes){.channels = {4}}, .inputs = {{PH_SHAPE(1, 5), -1, 1}}},
    {NULL}};

PH_OPERATION(pick) = {
    .name = "pick",
    .help = "one channel, or one element of it, of each batch item",
    .attributes_size = sizeof(struct ph_pick_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 1,
    .infer = pick_infer, .forward = pick_forward, .backward = pick_backward, .flops = ph_flops_none,
    .cases = pick_cases,
};
