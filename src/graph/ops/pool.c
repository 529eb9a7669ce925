/* Pooling: maximum and average over a sliding window (1-D to 3-D) and over whole channels.
 *
 * Padding never wins a maximum and is never averaged; whether it is counted in the divisor is an attribute, and what a
 * last window covers beyond the padding is not counted in either case. Among equal maxima, frequent behind a ReLU, the
 * first in row order is the one, in value and in gradient. */
#include "graph/ops/pool.h"
#include <math.h>
#include <string.h>

/* ---- Shape rules ------------------------------------------------------------------------------------------------- */

static ph_status pool_infer(struct ph_inference *inference) {
    const struct ph_pool_attributes *a = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape;
    int spatial = x->rank - 2;
    if (spatial < 1 || spatial > PH_SPATIAL)
        return ph_infer_fail(inference, "the input must be [N,C,W], [N,C,H,W] or [N,C,D,H,W]");
    struct ph_window window;
    PH_WINDOW_COPY(&window, a);
    const char *problem = ph_window_problem(&window, spatial);
    if (problem) return ph_infer_fail(inference, "%s", problem);
    int64_t in[PH_SPATIAL];
    ph_spatial_dims(x, in);
    inference->shapes[0] = *x;
    for (int i = 0; i < PH_SPATIAL; i++) {
        int64_t extent = ph_window_extent(&window, i);
        if (a->output[i] < 1) return ph_infer_fail(inference, "the window is larger than the padded input");
        if (a->pad_begin[i] >= extent || a->pad_end[i] >= extent)
            return ph_infer_fail(inference, "pads must be smaller than the window");
        if (in[i] < 1 || a->output[i] - 1 > (in[i] + a->pad_begin[i] - 1) / a->stride[i])
            return ph_infer_fail(inference, "the last of %lld windows starts beyond the input",
                                 (long long)a->output[i]);
        if (i >= PH_SPATIAL - spatial) inference->shapes[0].dims[x->rank - PH_SPATIAL + i] = a->output[i];
    }
    return PH_OK;
}

static ph_status global_pool_infer(struct ph_inference *inference) {
    const struct ph_shape *x = &inference->inputs[0]->shape;
    if (x->rank < 3) return ph_infer_fail(inference, "the input must be [N,C,...] with at least one spatial axis");
    inference->shapes[0] = *x;
    for (int i = 2; i < x->rank; i++) {
        if (x->dims[i] < 1) return ph_infer_fail(inference, "a channel without elements cannot be pooled");
        inference->shapes[0].dims[i] = 1;
    }
    return PH_OK;
}

/* One operation for each element a window covers. */
static double pool_flops(const struct ph_call *call) {
    const struct ph_pool_attributes *a = call->attributes;
    return (double)ph_shape_size(&call->output_shapes[0]) * (double)ph_spatial_size(a->kernel);
}

static double global_pool_flops(const struct ph_call *call) { return (double)ph_shape_size(call->input_shapes[0]); }

/* Channels of all items. */
static int64_t channel_count(const struct ph_shape *shape) { return shape->dims[0] * shape->dims[1]; }

/* ---- Maximum ----------------------------------------------------------------------------------------------------- */

/* Offset of the largest element a box covers, the first of equals; -1 when dilation lets it miss the picture. */
static int64_t box_maximum(const struct box *box, const int64_t in[PH_SPATIAL], const real *x) {
    int64_t best = -1;
    for (int64_t i = 0; i < ph_spatial_size(box->count); i++) {
        int64_t element = box_element(box, in, i);
        if (best < 0 || x[element] > x[best]) best = element;
    }
    return best;
}

static void max_pool_forward(const struct ph_call *call) {
    const struct ph_pool_attributes *a = call->attributes;
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    int64_t in[PH_SPATIAL];
    ph_spatial_dims(call->input_shapes[0], in);
    int64_t size = ph_spatial_size(in), count = ph_spatial_size(a->output);
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]); c++, x += size, y += count)
        for (int64_t i = 0; i < count; i++) {
            struct box box = box_of(a, in, i);
            int64_t best = box_maximum(&box, in, x);
            y[i] = best < 0 ? (real)-INFINITY : x[best];
        }
}

static void max_pool_backward(const struct ph_call *call) {
    const struct ph_pool_attributes *a = call->attributes;
    const real *x = call->inputs[0], *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    int64_t in[PH_SPATIAL];
    ph_spatial_dims(call->input_shapes[0], in);
    int64_t size = ph_spatial_size(in), count = ph_spatial_size(a->output);
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]);
         c++, x += size, x_gradient += size, y_gradient += count)
        for (int64_t i = 0; i < count; i++) {
            struct box box = box_of(a, in, i);
            int64_t best = box_maximum(&box, in, x);
            if (best >= 0) x_gradient[best] += y_gradient[i];
        }
}

static int64_t first_maximum(const real *x, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static void global_max_pool_forward(const struct ph_call *call) {
    int64_t size = ph_channel_size(call->input_shapes[0]);
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]); c++, x += size) y[c] = x[first_maximum(x, size)];
}

static void global_max_pool_backward(const struct ph_call *call) {
    int64_t size = ph_channel_size(call->input_shapes[0]);
    const real *x = call->inputs[0], *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]); c++, x += size, x_gradient += size)
        x_gradient[first_maximum(x, size)] += y_gradient[c];
}

/* ---- Average ----------------------------------------------------------------------------------------------------- */

/* 1 / divisor; 0 for a window that dilation lets miss the picture. */
static double box_weight(const struct box *box, enum ph_pool_divisor divisor) {
    int64_t count = divisor == PH_DIVIDE_PADDED ? box->padded : ph_spatial_size(box->count);
    return count ? 1.0 / (double)count : 0;
}

static void average_pool_forward(const struct ph_call *call) {
    const struct ph_pool_attributes *a = call->attributes;
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    int64_t in[PH_SPATIAL];
    ph_spatial_dims(call->input_shapes[0], in);
    int64_t size = ph_spatial_size(in), count = ph_spatial_size(a->output);
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]); c++, x += size, y += count)
        for (int64_t i = 0; i < count; i++) {
            struct box box = box_of(a, in, i);
            double sum = 0;
            for (int64_t j = 0; j < ph_spatial_size(box.count); j++) sum += x[box_element(&box, in, j)];
            y[i] = (real)(sum * box_weight(&box, a->divisor));
        }
}

static void average_pool_backward(const struct ph_call *call) {
    const struct ph_pool_attributes *a = call->attributes;
    const real *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    int64_t in[PH_SPATIAL];
    ph_spatial_dims(call->input_shapes[0], in);
    int64_t size = ph_spatial_size(in), count = ph_spatial_size(a->output);
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]); c++, x_gradient += size, y_gradient += count)
        for (int64_t i = 0; i < count; i++) {
            struct box box = box_of(a, in, i);
            real share = (real)(y_gradient[i] * box_weight(&box, a->divisor));
            for (int64_t j = 0; j < ph_spatial_size(box.count); j++) x_gradient[box_element(&box, in, j)] += share;
        }
}

static void global_average_pool_forward(const struct ph_call *call) {
    int64_t size = ph_channel_size(call->input_shapes[0]);
    const real *x = call->inputs[0];
    real *y = call->outputs[0];
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]); c++, x += size) {
        double sum = 0;
        for (int64_t i = 0; i < size; i++) sum += x[i];
        y[c] = (real)(sum / (double)size);
    }
}

static void global_average_pool_backward(const struct ph_call *call) {
    int64_t size = ph_channel_size(call->input_shapes[0]);
    const real *y_gradient = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0];
    for (int64_t c = 0; c < channel_count(call->input_shapes[0]); c++, x_gradient += size)
        for (int64_t i = 0; i < size; i++) x_gradient[i] = (real)(x_gradient[i] + y_gradient[c] / (double)size);
}

/* ---- ONNX -------------------------------------------------------------------------------------------------------- */

/* With an auto_pad the number of positions does not depend on ceil_mode (text of ONNX MaxPool). storage_order concerns
 * the indices alone, which are not computed. */
static ph_status pool_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    struct ph_window window;
    enum ph_auto_pad auto_pad;
    PH_TRY(ph_import_window(import, &x->shape, NULL, &window, &auto_pad));
    int64_t in[PH_SPATIAL];
    ph_spatial_dims(&x->shape, in);
    ph_window_pad_same(&window, auto_pad, in);
    struct ph_pool_attributes attributes = {
        .divisor = ph_import_int(import, "count_include_pad", 0) ? PH_DIVIDE_PADDED : PH_DIVIDE_VALID};
    PH_WINDOW_COPY(&attributes, &window);
    bool ceil = auto_pad == PH_AUTO_PAD_NONE && ph_import_int(import, "ceil_mode", 0);
    for (int i = 0; i < PH_SPATIAL; i++) attributes.output[i] = ph_window_count(&window, i, in[i], ceil);
    return ph_import_append_first(import, &attributes, 1);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

#define ATTRIBUTES(...) \
    &(const struct ph_pool_attributes){ \
        .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .output = {1, 1, 1}, __VA_ARGS__}

static const struct ph_case max_pool_cases[] = {
    {"2x2, stride 2", ATTRIBUTES(.kernel = {1, 2, 2}, .stride = {1, 2, 2}, .output = {1, 3, 2}),
     .inputs = {{PH_SHAPE(2, 2, 6, 4), -1, 1}}},
    {"3x3, stride 2, ceil", ATTRIBUTES(.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .output = {1, 4, 3}),
     .inputs = {{PH_SHAPE(1, 2, 8, 7), -1, 1}}},
    {"3x3, stride 1, pad 1",
     ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .output = {1, 4, 5}),
     .inputs = {{PH_SHAPE(2, 1, 4, 5), -1, 1}}},
    {"all negative, asymmetric pads",
     ATTRIBUTES(.kernel = {1, 3, 2}, .stride = {1, 2, 1}, .pad_begin = {0, 0, 1}, .pad_end = {0, 2, 0},
                .output = {1, 3, 4}),
     .inputs = {{PH_SHAPE(1, 2, 5, 4), -2, -1}}},
    {"dilation 2, stride 2",
     ATTRIBUTES(.kernel = {1, 2, 3}, .stride = {1, 2, 2}, .dilation = {1, 2, 2}, .pad_begin = {0, 1, 2},
                .pad_end = {0, 1, 2}, .output = {1, 3, 3}),
     .inputs = {{PH_SHAPE(1, 2, 6, 6), -1, 1}}},
    {"one window larger than the input, ceil", ATTRIBUTES(.kernel = {1, 3, 3}, .stride = {1, 2, 2}),
     .inputs = {{PH_SHAPE(1, 2, 2, 2), -1, 1}}},
    {"1-D, stride 3", ATTRIBUTES(.kernel = {1, 1, 4}, .stride = {1, 1, 3}, .output = {1, 1, 3}),
     .inputs = {{PH_SHAPE(2, 3, 10), -1, 1}}},
    {"3-D",
     ATTRIBUTES(.kernel = {2, 3, 2}, .stride = {1, 2, 2}, .pad_begin = {1, 1, 0}, .pad_end = {0, 1, 0},
                .output = {3, 2, 2}),
     .inputs = {{PH_SHAPE(1, 2, 3, 4, 4), -1, 1}}},
    {0}};

static const struct ph_case average_pool_cases[] = {
    {"2x2, stride 2", ATTRIBUTES(.kernel = {1, 2, 2}, .stride = {1, 2, 2}, .output = {1, 3, 2}),
     .inputs = {{PH_SHAPE(2, 2, 6, 4), -1, 1}}},
    {"3x3, pad 1, padding not counted",
     ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .output = {1, 4, 5}),
     .inputs = {{PH_SHAPE(1, 2, 4, 5), -1, 1}}},
    {"3x3, pad 1, padding counted",
     ATTRIBUTES(.kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1}, .output = {1, 4, 5},
                .divisor = PH_DIVIDE_PADDED),
     .inputs = {{PH_SHAPE(1, 2, 4, 5), -1, 1}}},
    {"ceil, asymmetric pads, padding counted",
     ATTRIBUTES(.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .pad_begin = {0, 1, 0}, .pad_end = {0, 0, 1},
                .output = {1, 4, 4}, .divisor = PH_DIVIDE_PADDED),
     .inputs = {{PH_SHAPE(2, 1, 7, 7), -1, 1}}},
    {"ceil, padding not counted", ATTRIBUTES(.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .output = {1, 3, 4}),
     .inputs = {{PH_SHAPE(1, 2, 6, 8), -1, 1}}},
    {"dilation 2, padding counted",
     ATTRIBUTES(.kernel = {1, 2, 2}, .dilation = {1, 2, 2}, .pad_begin = {0, 1, 1}, .pad_end = {0, 1, 1},
                .output = {1, 4, 5}, .divisor = PH_DIVIDE_PADDED),
     .inputs = {{PH_SHAPE(1, 1, 4, 5), -1, 1}}},
    {"1-D, pad 1", ATTRIBUTES(.kernel = {1, 1, 3}, .stride = {1, 1, 2}, .pad_begin = {0, 0, 1}, .pad_end = {0, 0, 1},
                              .output = {1, 1, 4}),
     .inputs = {{PH_SHAPE(2, 2, 7), -1, 1}}},
    {"3-D",
     ATTRIBUTES(.kernel = {2, 2, 3}, .stride = {2, 1, 1}, .pad_begin = {0, 0, 1}, .pad_end = {0, 0, 1},
                .output = {2, 2, 3}),
     .inputs = {{PH_SHAPE(1, 2, 4, 3, 3), -1, 1}}},
    {0}};

static const struct ph_case global_pool_cases[] = {
    {"pictures", NULL, .inputs = {{PH_SHAPE(2, 3, 4, 5), -1, 1}}},
    {"one element", NULL, .inputs = {{PH_SHAPE(1, 4, 1, 1), -1, 1}}},
    {"1-D", NULL, .inputs = {{PH_SHAPE(2, 2, 7), -1, 1}}},
    {"3-D", NULL, .inputs = {{PH_SHAPE(1, 2, 2, 3, 3), -1, 1}}},
    {0}};

PH_OPERATION(max_pool) = {
    .name = "max_pool",
    .help = "maximum over a sliding window, 1-D to 3-D; the first of equals takes the gradient",
    .attributes_size = sizeof(struct ph_pool_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 0x1, .backward_reads = PH_READS_INPUTS,
    .infer = pool_infer, .forward = max_pool_forward, .backward = max_pool_backward, .flops = pool_flops,
    .importers = (const struct ph_importer[]){{"MaxPool", pool_read}, {0}},
    .cases = max_pool_cases,
};

/* Windows of one element, for only there is the average's slope the maximum's. */
static const struct ph_case softened_max_pool_cases[] = {
    {"stride 2", ATTRIBUTES(.stride = {1, 2, 2}, .output = {1, 3, 2}), .inputs = {{PH_SHAPE(2, 2, 6, 4), -1, 1}}},
    {"1-D", ATTRIBUTES(.output = {1, 1, 7}), .inputs = {{PH_SHAPE(2, 3, 7), -1, 1}}},
    {0}};

PH_OPERATION(softened_max_pool) = {
    .name = "softened_max_pool",
    .help = "max_pool whose gradient is that of average_pool, so that it is spread over the window",
    .attributes_size = sizeof(struct ph_pool_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 0x1,
    .infer = pool_infer, .forward = max_pool_forward, .backward = average_pool_backward, .flops = pool_flops,
    .cases = softened_max_pool_cases,
};

PH_OPERATION(average_pool) = {
    .name = "average_pool",
    .help = "average over a sliding window, 1-D to 3-D, with or without the padding in the divisor",
    .attributes_size = sizeof(struct ph_pool_attributes),
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 0x1,
    .infer = pool_infer, .forward = average_pool_forward, .backward = average_pool_backward, .flops = pool_flops,
    .importers = (const struct ph_importer[]){{"AveragePool", pool_read}, {0}},
    .cases = average_pool_cases,
};

PH_OPERATION(global_average_pool) = {
    .name = "global_average_pool",
    .help = "average of each channel",
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 0x1,
    .infer = global_pool_infer, .forward = global_average_pool_forward, .backward = global_average_pool_backward,
    .flops = global_pool_flops,
    .importers = (const struct ph_importer[]){{"GlobalAveragePool", NULL}, {0}},
    .cases = global_pool_cases,
};

PH_OPERATION(global_max_pool) = {
    .name = "global_max_pool",
    .help = "maximum of each channel; the first of equals takes the gradient",
    .minimum_inputs = 1, .maximum_inputs = 1,
    .differentiable = 0x1, .backward_reads = PH_READS_INPUTS,
    .infer = global_pool_infer, .forward = global_max_pool_forward, .backward = global_max_pool_backward,
    .flops = global_pool_flops,
    .importers = (const struct ph_importer[]){{"GlobalMaxPool", NULL}, {0}},
    .cases = global_pool_cases,
};
