/* Normalisation in front of a first convolution; see fold.h. Sums are made in double and rounded once. */
#include "graph/fold.h"
#include "graph/operations.h"
#include <math.h>

enum { MOST_CHANNELS = 3 };

/* Channel c of a value is factor[c] x[source[c]] + offset[c]; every channel of x is the source of one. */
struct affine { int64_t source[MOST_CHANNELS]; double factor[MOST_CHANNELS], offset[MOST_CHANNELS]; };

static bool is_constant(const struct ph_graph *graph, int value) {
    return value != PH_ABSENT && graph->values[value].data && graph->values[value].type == PH_FLOAT;
}

/* A constant that has one number for each channel of a picture, or one for all. */
static bool numbers_of(const struct ph_value *constant, int64_t channels, double *numbers) {
    const struct ph_shape *shape = &constant->shape;
    if (shape->rank > 4) return false;
    bool each = shape->rank >= 3 && shape->dims[shape->rank - 3] == channels;
    if (ph_shape_size(shape) != (each ? channels : 1)) return false;
    for (int64_t c = 0; c < channels; c++) numbers[c] = ((const float *)constant->data)[each ? c : 0];
    return true;
}

static bool arithmetic_step(const struct ph_graph *graph, const struct ph_node *node, int64_t channels, struct affine *step,
                            int *input) {
    const struct ph_operation *operation = node->operation;
    bool add = operation == &ph_operation_add, subtract = operation == &ph_operation_sub;
    bool multiply = operation == &ph_operation_mul, divide = operation == &ph_operation_div;
    if (!(add || subtract || multiply || divide)) return false;
    int which = is_constant(graph, node->inputs[1]) ? 1 : 0;
    double numbers[MOST_CHANNELS];
    if (!is_constant(graph, node->inputs[which]) || (divide && which == 0) ||
        !numbers_of(&graph->values[node->inputs[which]], channels, numbers))
        return false;
    for (int64_t c = 0; c < channels; c++) {
        step->source[c] = c;
        step->factor[c] = multiply ? numbers[c] : divide ? 1 / numbers[c] : subtract && which == 0 ? -1 : 1;
        step->offset[c] = add || (subtract && which == 0) ? numbers[c] : subtract ? -numbers[c] : 0;
    }
    *input = node->inputs[1 - which];
    return true;
}

/* One that follows a convolution belongs to that. */
static bool norm_step(const struct ph_graph *graph, const struct ph_node *node, int64_t channels, struct affine *step,
                      int *input) {
    if (node->operation != &ph_operation_batch_norm) return false;
    for (int i = 1; i < 5; i++)
        if (!is_constant(graph, node->inputs[i])) return false;
    *input = node->inputs[0];
    int maker = graph->values[*input].node;
    if (maker != PH_ABSENT && graph->nodes[maker].operation == &ph_operation_convolution) return false;
    const float *numbers[4];
    for (int i = 0; i < 4; i++) numbers[i] = graph->values[node->inputs[i + 1]].data;
    double epsilon = ((const struct ph_norm_attributes *)node->attributes)->epsilon;
    for (int64_t c = 0; c < channels; c++) {
        step->source[c] = c;
        step->factor[c] = numbers[0][c] / sqrt((double)numbers[3][c] + epsilon);
        step->offset[c] = numbers[1][c] - step->factor[c] * numbers[2][c];
    }
    return true;
}

/* A 1x1 convolution whose matrix has one number in every row and every column. */
static bool matrix_step(const struct ph_graph *graph, const struct ph_node *node, int64_t channels, struct affine *step,
                        int *input) {
    if (node->operation != &ph_operation_convolution || !is_constant(graph, node->inputs[1])) return false;
    const struct ph_convolution_attributes *a = node->attributes;
    bool biased = node->input_count > 2 && node->inputs[2] != PH_ABSENT;
    if (a->groups != 1 || a->relu || node->input_count > 3 || (biased && !is_constant(graph, node->inputs[2]))) return false;
    for (int i = 0; i < PH_SPATIAL; i++)
        if (a->kernel[i] != 1 || a->stride[i] != 1 || a->pad_begin[i] || a->pad_end[i]) return false;
    *input = node->inputs[0];
    if (graph->values[*input].shape.dims[1] != channels) return false;
    const float *weights = graph->values[node->inputs[1]].data, *bias = biased ? graph->values[node->inputs[2]].data : NULL;
    unsigned taken = 0;
    for (int64_t c = 0; c < channels; c++) {
        int found = 0;
        for (int64_t s = 0; s < channels; s++) {
            if (weights[c * channels + s] == 0) continue;
            step->source[c] = s;
            step->factor[c] = weights[c * channels + s];
            taken |= 1u << s;
            found++;
        }
        if (found != 1) return false;
        step->offset[c] = bias ? bias[c] : 0;
    }
    return taken == (1u << channels) - 1;
}

/* Takes `whole` from the node's output to its input. */
static bool step_back(const struct ph_graph *graph, const struct ph_node *node, int64_t channels, struct affine *whole,
                      int *input) {
    struct affine step, made;
    int from;
    if (!arithmetic_step(graph, node, channels, &step, &from) && !norm_step(graph, node, channels, &step, &from) &&
        !matrix_step(graph, node, channels, &step, &from))
        return false;
    if (graph->values[from].data) return false;
    if (!ph_shape_equal(&graph->values[from].shape, &graph->values[node->outputs[0]].shape)) return false;
    for (int64_t c = 0; c < channels; c++) {
        int64_t middle = whole->source[c];
        made.source[c] = step.source[middle];
        made.factor[c] = whole->factor[c] * step.factor[middle];
        made.offset[c] = whole->factor[c] * step.offset[middle] + whole->offset[c];
        if (made.factor[c] == 0 || !isfinite(made.factor[c]) || !isfinite(made.offset[c]) ||
            !isfinite((float)(made.offset[c] / made.factor[c])))
            return false;
    }
    *whole = made;
    *input = from;
    return true;
}

static bool takes_folds(const struct ph_graph *graph, const struct ph_node *node) {
    if (node->operation != &ph_operation_convolution || node->input_count > 3) return false;
    if (!is_constant(graph, node->inputs[1])) return false;
    if (node->input_count > 2 && node->inputs[2] != PH_ABSENT && !is_constant(graph, node->inputs[2])) return false;
    const struct ph_value *input = &graph->values[node->inputs[0]];
    return !input->data && input->shape.rank == 4 && input->shape.dims[1] <= MOST_CHANNELS &&
           ((const struct ph_convolution_attributes *)node->attributes)->groups == 1;
}

static bool is_padded(const struct ph_convolution_attributes *a) {
    for (int i = 0; i < PH_SPATIAL; i++)
        if (a->pad_begin[i] || a->pad_end[i]) return true;
    return false;
}

static ph_status fold_make(const struct ph_graph *graph, const struct ph_node *node, const struct affine *whole,
                           struct ph_pool *pool, struct ph_fold *fold) {
    const struct ph_shape *shape = &graph->values[node->inputs[1]].shape;
    int64_t outputs = shape->dims[0], channels = shape->dims[1], taps = shape->dims[2] * shape->dims[3];
    const float *from = graph->values[node->inputs[1]].data;
    const float *shift = node->input_count > 2 && node->inputs[2] != PH_ABSENT ? graph->values[node->inputs[2]].data : NULL;
    float *weights = ph_pool_alloc(pool, (size_t)(outputs * channels * taps) * sizeof *weights);
    float *bias = ph_pool_alloc(pool, (size_t)outputs * sizeof *bias);
    float *border = ph_pool_alloc(pool, MOST_CHANNELS * sizeof *border);
    if (!weights || !bias || !border) return ph_fail_memory(graph->context);
    for (int64_t o = 0; o < outputs; o++) {
        double sum = shift ? shift[o] : 0;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < taps; t++) {
                double weight = from[(o * channels + c) * taps + t];
                weights[(o * channels + whole->source[c]) * taps + t] = (float)(weight * whole->factor[c]);
                sum += weight * whole->offset[c];
            }
        bias[o] = (float)sum;
    }
    bool shifts = false;
    for (int64_t c = 0; c < channels; c++) {
        border[whole->source[c]] = (float)(-whole->offset[c] / whole->factor[c]);
        shifts |= whole->offset[c] != 0;
    }
    fold->weights = weights;
    fold->bias = bias;
    fold->border = shifts && is_padded(node->attributes) ? border : NULL;
    return PH_OK;
}

ph_status ph_folds_find(const struct ph_graph *graph, bool *live, const bool *kept, const int *uses, struct ph_pool *pool,
                        struct ph_fold *folds) {
    for (int n = 0; n < graph->node_count; n++) {
        const struct ph_node *node = &graph->nodes[n];
        if (!live[n] || !takes_folds(graph, node)) continue;
        struct affine whole = {{0, 1, 2}, {1, 1, 1}, {0}};
        int first = node->inputs[0], value = first;
        int64_t channels = graph->values[first].shape.dims[1];
        for (int maker; (maker = graph->values[value].node) != PH_ABSENT && !kept[value] && uses[value] == 1;) {
            if (!step_back(graph, &graph->nodes[maker], channels, &whole, &value)) break;
            live[maker] = false;
        }
        if (value == first) continue;
        PH_TRY(fold_make(graph, node, &whole, pool, &folds[n]));
        folds[n].input = value;
    }
    return PH_OK;
}
