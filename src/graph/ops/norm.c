/* Normalisations. Batch norm is a scale and a shift per channel with stored statistics; instance, group and layer norm
 * take mean and (biased) variance from the input itself, over rows that differ only in what they span. */
#include "graph/ops/window.h"
#include <math.h>

/* ---- Batch norm: y = (x - mean) / sqrt(variance + epsilon) * scale + bias ---------------------------------------- */

/* A vector is one channel (ONNX BatchNormalization). */
static int64_t channels_of(const struct ph_shape *x) { return x->rank > 1 ? x->dims[1] : 1; }

/* Inputs 1 to the last must be vectors of that length. */
static ph_status infer_channel_parameters(struct ph_inference *inference, int64_t channels) {
    for (int i = 1; i < inference->input_count; i++) {
        const struct ph_shape *shape = &inference->inputs[i]->shape;
        if (shape->rank != 1 || shape->dims[0] != channels)
            return ph_infer_fail(inference, "input %d of shape [%lld] expected", i, (long long)channels);
    }
    return ph_infer_same(inference);
}

static ph_status batch_norm_infer(struct ph_inference *inference) {
    const struct ph_shape *x = &inference->inputs[0]->shape;
    if (x->rank < 1) return ph_infer_fail(inference, "the input must be [N,C,...]");
    return infer_channel_parameters(inference, channels_of(x));
}

static double inverse_deviation(const struct ph_call *call, int64_t channel) {
    const struct ph_norm_attributes *a = call->attributes;
    const real *variance = call->inputs[4];
    return 1 / sqrt(variance[channel] + a->epsilon);
}

static void batch_norm_forward(const struct ph_call *call) {
    const struct ph_shape *shape = call->input_shapes[0];
    const real *x = call->inputs[0], *scale = call->inputs[1], *bias = call->inputs[2], *mean = call->inputs[3];
    real *y = call->outputs[0];
    for (int64_t n = 0; n < shape->dims[0]; n++)
        for (int64_t c = 0; c < channels_of(shape); c++) {
            double inverse = inverse_deviation(call, c);
            for (int64_t i = 0; i < ph_channel_size(shape); i++)
                *y++ = (real)(((double)*x++ - mean[c]) * inverse * scale[c] + bias[c]);
        }
}

static void batch_norm_backward(const struct ph_call *call) {
    const struct ph_shape *shape = call->input_shapes[0];
    const real *x = call->inputs[0], *scale = call->inputs[1], *mean = call->inputs[3], *g = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0], *scale_gradient = call->input_gradients[1];
    real *bias_gradient = call->input_gradients[2];
    int64_t size = ph_channel_size(shape), channels = channels_of(shape);
    for (int64_t c = 0; c < channels; c++) {
        double inverse = inverse_deviation(call, c), scale_sum = 0, bias_sum = 0;
        for (int64_t n = 0; n < shape->dims[0]; n++)
            for (int64_t i = 0; i < size; i++) {
                int64_t at = (n * channels + c) * size + i;
                if (x_gradient) x_gradient[at] = (real)(x_gradient[at] + g[at] * inverse * scale[c]);
                scale_sum += g[at] * ((double)x[at] - mean[c]) * inverse;
                bias_sum += g[at];
            }
        if (scale_gradient) scale_gradient[c] = (real)(scale_gradient[c] + scale_sum);
        if (bias_gradient) bias_gradient[c] = (real)(bias_gradient[c] + bias_sum);
    }
}

/* ---- Instance, group and layer norm ------------------------------------------------------------------------------ */

/* Rows of `length` elements, each normalised by itself. Consecutive runs of a row share a scale and a bias, `runs` of
 * them per row; parameters repeat after `period` rows. */
struct rows { int64_t count, length, runs, period; };

static struct rows group_rows(const struct ph_shape *x, int64_t groups) {
    int64_t channels = x->dims[1] / groups;
    return (struct rows){x->dims[0] * groups, channels * ph_channel_size(x), channels, groups};
}

static struct rows layer_rows(const struct ph_shape *x, int64_t axis) {
    struct rows rows = {1, 1, 1, 1};
    for (int i = 0; i < x->rank; i++) *(i < axis ? &rows.count : &rows.length) *= x->dims[i];
    rows.runs = rows.length;
    return rows;
}

struct moments { double mean, inverse_deviation; };

static struct moments moments_of(const real *x, int64_t length, double epsilon) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < length; i++) mean += x[i];
    mean /= (double)length;
    for (int64_t i = 0; i < length; i++) variance += (x[i] - mean) * (x[i] - mean);
    return (struct moments){mean, 1 / sqrt(variance / (double)length + epsilon)};
}

static void rows_forward(const struct ph_call *call, struct rows rows) {
    const struct ph_norm_attributes *a = call->attributes;
    const real *x = call->inputs[0], *scale = call->inputs[1], *bias = call->input_count > 2 ? call->inputs[2] : NULL;
    real *y = call->outputs[0];
    for (int64_t r = 0; r < rows.count; r++, x += rows.length, y += rows.length) {
        struct moments m = moments_of(x, rows.length, a->epsilon);
        for (int64_t i = 0; i < rows.length; i++) {
            int64_t p = r % rows.period * rows.runs + i / (rows.length / rows.runs);
            y[i] = (real)((x[i] - m.mean) * m.inverse_deviation * scale[p] + (bias ? bias[p] : 0));
        }
    }
}

/* With h = (x - mean) / deviation and d = g * scale:  dx = (d - mean(d) - h mean(d h)) / deviation. */
static void row_backward(real *gradient, const real *x, const real *g, const real *scale, struct rows rows,
                         struct moments m) {
    double mean_d = 0, mean_dh = 0;
    int64_t run = rows.length / rows.runs;
    for (int64_t i = 0; i < rows.length; i++) {
        double d = (double)g[i] * scale[i / run];
        mean_d += d / (double)rows.length;
        mean_dh += d * (x[i] - m.mean) * m.inverse_deviation / (double)rows.length;
    }
    for (int64_t i = 0; i < rows.length; i++) {
        double d = (double)g[i] * scale[i / run], h = (x[i] - m.mean) * m.inverse_deviation;
        gradient[i] = (real)(gradient[i] + (d - mean_d - h * mean_dh) * m.inverse_deviation);
    }
}

static void row_backward_parameters(real *scale_gradient, real *bias_gradient, const real *x, const real *g,
                                    struct rows rows, struct moments m) {
    int64_t run = rows.length / rows.runs;
    for (int64_t p = 0; p < rows.runs; p++, x += run, g += run) {
        double scale_sum = 0, bias_sum = 0;
        for (int64_t i = 0; i < run; i++) {
            scale_sum += g[i] * (x[i] - m.mean) * m.inverse_deviation;
            bias_sum += g[i];
        }
        if (scale_gradient) scale_gradient[p] = (real)(scale_gradient[p] + scale_sum);
        if (bias_gradient) bias_gradient[p] = (real)(bias_gradient[p] + bias_sum);
    }
}

static void rows_backward(const struct ph_call *call, struct rows rows) {
    const struct ph_norm_attributes *a = call->attributes;
    const real *x = call->inputs[0], *scale = call->inputs[1], *g = call->output_gradients[0];
    real *x_gradient = call->input_gradients[0], *scale_gradient = call->input_gradients[1];
    real *bias_gradient = call->input_count > 2 ? call->input_gradients[2] : NULL;
    if (rows.length == 0) return;
    for (int64_t r = 0; r < rows.count; r++) {
        int64_t at = r * rows.length, p = r % rows.period * rows.runs;
        struct moments m = moments_of(x + at, rows.length, a->epsilon);
        if (x_gradient) row_backward(x_gradient + at, x + at, g + at, scale + p, rows, m);
        row_backward_parameters(scale_gradient ? scale_gradient + p : NULL, bias_gradient ? bias_gradient + p : NULL,
                                x + at, g + at, rows, m);
    }
}

static ph_status instance_norm_infer(struct ph_inference *inference) {
    const struct ph_shape *x = &inference->inputs[0]->shape;
    if (x->rank < 3 || x->dims[1] < 1) return ph_infer_fail(inference, "the input must be [N,C,...] with spatial axes");
    return infer_channel_parameters(inference, x->dims[1]);
}

static ph_status group_norm_infer(struct ph_inference *inference) {
    const struct ph_norm_attributes *a = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape;
    if (x->rank < 2) return ph_infer_fail(inference, "the input must be [N,C,...]");
    if (a->groups < 1 || x->dims[1] < 1 || x->dims[1] % a->groups)
        return ph_infer_fail(inference, "%lld groups do not divide the channels", (long long)a->groups);
    return infer_channel_parameters(inference, x->dims[1]);
}

static ph_status layer_norm_infer(struct ph_inference *inference) {
    const struct ph_norm_attributes *a = inference->attributes;
    const struct ph_shape *x = &inference->inputs[0]->shape;
    char text[128];
    if (a->axis < 0 || a->axis >= x->rank)
        return ph_infer_fail(inference, "axis %lld: 0 to %d expected", (long long)a->axis, x->rank - 1);
    struct ph_shape row = {.rank = x->rank - (int)a->axis};
    for (int i = 0; i < row.rank; i++) row.dims[i] = x->dims[a->axis + i];
    for (int i = 1; i < inference->input_count; i++)
        if (inference->inputs[i] && !ph_shape_equal(&inference->inputs[i]->shape, &row))
            return ph_infer_fail(inference, "input %d of shape %s expected", i, ph_shape_text(&row, text));
    return ph_infer_same(inference);
}

static void instance_norm_forward(const struct ph_call *call) {
    rows_forward(call, group_rows(call->input_shapes[0], call->input_shapes[0]->dims[1]));
}

static void instance_norm_backward(const struct ph_call *call) {
    rows_backward(call, group_rows(call->input_shapes[0], call->input_shapes[0]->dims[1]));
}

static void group_norm_forward(const struct ph_call *call) {
    const struct ph_norm_attributes *a = call->attributes;
    rows_forward(call, group_rows(call->input_shapes[0], a->groups));
}

static void group_norm_backward(const struct ph_call *call) {
    const struct ph_norm_attributes *a = call->attributes;
    rows_backward(call, group_rows(call->input_shapes[0], a->groups));
}

static void layer_norm_forward(const struct ph_call *call) {
    const struct ph_norm_attributes *a = call->attributes;
    rows_forward(call, layer_rows(call->input_shapes[0], a->axis));
}

static void layer_norm_backward(const struct ph_call *call) {
    const struct ph_norm_attributes *a = call->attributes;
    rows_backward(call, layer_rows(call->input_shapes[0], a->axis));
}

/* Subtract, multiply, multiply, add; the others also sum twice for their moments. */
static double batch_norm_flops(const struct ph_call *call) {
    return 4 * (double)ph_shape_size(&call->output_shapes[0]);
}

static double rows_flops(const struct ph_call *call) {
    return 8 * (double)ph_shape_size(&call->output_shapes[0]);
}

/* ---- ONNX -------------------------------------------------------------------------------------------------------- */

static ph_status batch_norm_read(struct ph_import *import) {
    struct ph_norm_attributes attributes = {.epsilon = ph_import_float(import, "epsilon", 1e-5)};
    if (ph_import_int(import, "training_mode", 0))
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "training mode; export the network for inference");
    if (!ph_import_int(import, "spatial", 1)) /* opsets below 9 */
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "statistics for each position (spatial 0)");
    return ph_import_append_first(import, &attributes, -1);
}

static ph_status instance_norm_read(struct ph_import *import) {
    struct ph_norm_attributes attributes = {.epsilon = ph_import_float(import, "epsilon", 1e-5)};
    return ph_import_append(import, &attributes, -1);
}

/* One value per group repeated for each of its channels: [G] -> [G,1] -> [G,C/G] -> [C]. */
static ph_status spread_over_channels(struct ph_graph *graph, int64_t groups, int64_t channels, int *value) {
    struct ph_shape_attributes column = {PH_SHAPE(groups, 1)}, square = {PH_SHAPE(groups, channels / groups)};
    struct ph_shape_attributes vector = {PH_SHAPE(channels)};
    PH_TRY(ph_graph_add(graph, &ph_operation_reshape, NULL, &column, value, 1, value));
    PH_TRY(ph_graph_add(graph, &ph_operation_expand, NULL, &square, value, 1, value));
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &vector, value, 1, value);
}

/* Scale and bias are per group in opset 18, per channel since 21. */
static ph_status group_norm_read(struct ph_import *import) {
    struct ph_norm_attributes attributes = {
        .epsilon = ph_import_float(import, "epsilon", 1e-5), .groups = ph_import_int(import, "num_groups", 0)};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    if (import->version >= 21) return ph_import_append(import, &attributes, -1);
    int inputs[3] = {import->inputs[0]};
    int64_t channels = channels_of(&x->shape);
    for (int i = 1; i < 3; i++) {
        const struct ph_value *parameter;
        PH_TRY(ph_import_require(import, i, &parameter));
        if (attributes.groups < 1 || channels % attributes.groups || parameter->shape.rank != 1 ||
            parameter->shape.dims[0] != attributes.groups)
            return ph_import_fail(import, PH_ERROR_SHAPE,
                                  "num_groups %lld must divide the %lld channels and be the length of scale and bias",
                                  (long long)attributes.groups, (long long)channels);
        inputs[i] = import->inputs[i];
        PH_TRY(spread_over_channels(import->graph, attributes.groups, channels, &inputs[i]));
    }
    struct ph_import spread = *import;
    spread.inputs = inputs;
    return ph_import_append(&spread, &attributes, 3);
}

static ph_status layer_norm_read(struct ph_import *import) {
    struct ph_norm_attributes attributes = {.epsilon = ph_import_float(import, "epsilon", 1e-5)};
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    PH_TRY(ph_import_axis(import, "axis", -1, x->shape.rank, &attributes.axis));
    return ph_import_append_first(import, &attributes, -1);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

#define ATTRIBUTES(...) &(const struct ph_norm_attributes){.epsilon = 1e-3, __VA_ARGS__}

static const struct ph_case batch_norm_cases[] = {
    {"pictures", ATTRIBUTES(), .inputs = {{PH_SHAPE(2, 3, 3, 4), -1, 1}, {PH_SHAPE(3), 0.5, 2}, {PH_SHAPE(3), -1, 1},
        {PH_SHAPE(3), -1, 1, .constant = true}, {PH_SHAPE(3), 0.1, 2, .constant = true}}},
    {"rows", ATTRIBUTES(.epsilon = 0.5), .inputs = {{PH_SHAPE(4, 5), -1, 1}, {PH_SHAPE(5), -2, 2}, {PH_SHAPE(5), -1, 1},
        {PH_SHAPE(5), -1, 1, .constant = true}, {PH_SHAPE(5), 0.1, 2, .constant = true}}},
    {"one channel in a vector", ATTRIBUTES(), .inputs = {{PH_SHAPE(6), -1, 1}, {PH_SHAPE(1), 1, 2}, {PH_SHAPE(1), 1, 2},
        {PH_SHAPE(1), 0, 1, .constant = true}, {PH_SHAPE(1), 0.5, 1, .constant = true}}},
    {"3-D", ATTRIBUTES(), .inputs = {{PH_SHAPE(1, 2, 2, 3, 2), -1, 1}, {PH_SHAPE(2), -2, 2}, {PH_SHAPE(2), -1, 1},
        {PH_SHAPE(2), -1, 1, .constant = true}, {PH_SHAPE(2), 0.1, 2, .constant = true}}},
    {0}};

static const struct ph_case instance_norm_cases[] = {
    {"pictures", ATTRIBUTES(), .inputs = {{PH_SHAPE(2, 3, 3, 4), -1, 1}, {PH_SHAPE(3), 0.5, 2}, {PH_SHAPE(3), -1, 1}}},
    {"1-D", ATTRIBUTES(), .inputs = {{PH_SHAPE(2, 2, 7), 0, 3}, {PH_SHAPE(2), -2, 2}, {PH_SHAPE(2), -1, 1}}},
    {"3-D", ATTRIBUTES(.epsilon = 0.1),
     .inputs = {{PH_SHAPE(1, 2, 2, 3, 2), -1, 1}, {PH_SHAPE(2), -2, 2}, {PH_SHAPE(2), -1, 1}}},
    {0}};

static const struct ph_case group_norm_cases[] = {
    {"two groups of three", ATTRIBUTES(.groups = 2),
     .inputs = {{PH_SHAPE(2, 6, 2, 3), -1, 1}, {PH_SHAPE(6), 0.5, 2}, {PH_SHAPE(6), -1, 1}}},
    {"one group", ATTRIBUTES(.groups = 1),
     .inputs = {{PH_SHAPE(2, 4, 3), -1, 1}, {PH_SHAPE(4), -2, 2}, {PH_SHAPE(4), -1, 1}}},
    {"a group per channel", ATTRIBUTES(.groups = 3),
     .inputs = {{PH_SHAPE(1, 3, 3, 3), -1, 1}, {PH_SHAPE(3), 0.5, 2}, {PH_SHAPE(3), -1, 1}}},
    {"no spatial axes", ATTRIBUTES(.groups = 2),
     .inputs = {{PH_SHAPE(3, 8), -1, 1}, {PH_SHAPE(8), -2, 2}, {PH_SHAPE(8), -1, 1}}},
    {0}};

static const struct ph_case layer_norm_cases[] = {
    {"last axis", ATTRIBUTES(.axis = 2),
     .inputs = {{PH_SHAPE(2, 3, 6), -1, 1}, {PH_SHAPE(6), 0.5, 2}, {PH_SHAPE(6), -1, 1}}},
    {"last two axes, no bias", ATTRIBUTES(.axis = 1), .inputs = {{PH_SHAPE(3, 2, 4), -1, 1}, {PH_SHAPE(2, 4), -2, 2}}},
    {"everything", ATTRIBUTES(.axis = 0),
     .inputs = {{PH_SHAPE(3, 4), -1, 1}, {PH_SHAPE(3, 4), -2, 2}, {PH_SHAPE(3, 4), -1, 1}}},
    {0}};

PH_OPERATION(batch_norm) = {
    .name = "batch_norm",
    .help = "batch normalisation with stored mean and variance",
    .attributes_size = sizeof(struct ph_norm_attributes),
    .minimum_inputs = 5, .maximum_inputs = 5,
    .differentiable = 0x7, .backward_reads = PH_READS_INPUTS,
    .infer = batch_norm_infer, .forward = batch_norm_forward, .backward = batch_norm_backward,
    .flops = batch_norm_flops,
    .importers = (const struct ph_importer[]){{"BatchNormalization", batch_norm_read}, {0}},
    .cases = batch_norm_cases,
};

PH_OPERATION(instance_norm) = {
    .name = "instance_norm",
    .help = "normalisation of each channel of each item by its own mean and variance",
    .attributes_size = sizeof(struct ph_norm_attributes),
    .minimum_inputs = 3, .maximum_inputs = 3,
    .differentiable = 0x7, .backward_reads = PH_READS_INPUTS,
    .infer = instance_norm_infer, .forward = instance_norm_forward, .backward = instance_norm_backward,
    .flops = rows_flops,
    .importers = (const struct ph_importer[]){{"InstanceNormalization", instance_norm_read}, {0}},
    .cases = instance_norm_cases,
};

PH_OPERATION(group_norm) = {
    .name = "group_norm",
    .help = "normalisation of groups of channels of each item by their own mean and variance",
    .attributes_size = sizeof(struct ph_norm_attributes),
    .minimum_inputs = 3, .maximum_inputs = 3,
    .differentiable = 0x7, .backward_reads = PH_READS_INPUTS,
    .infer = group_norm_infer, .forward = group_norm_forward, .backward = group_norm_backward, .flops = rows_flops,
    .importers = (const struct ph_importer[]){{"GroupNormalization", group_norm_read}, {0}},
    .cases = group_norm_cases,
};

PH_OPERATION(layer_norm) = {
    .name = "layer_norm",
    .help = "normalisation over the axes from one on, by their own mean and variance",
    .attributes_size = sizeof(struct ph_norm_attributes),
    .minimum_inputs = 2, .maximum_inputs = 3,
    .differentiable = 0x7, .backward_reads = PH_READS_INPUTS,
    .infer = layer_norm_infer, .forward = layer_norm_forward, .backward = layer_norm_backward, .flops = rows_flops,
    .importers = (const struct ph_importer[]){{"LayerNormalization", layer_norm_read}, {0}},
    .cases = layer_norm_cases,
};
