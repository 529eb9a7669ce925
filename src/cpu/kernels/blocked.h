/* Helpers of kernels that walk blocked tensors. */
#ifndef PH_CPU_BLOCKED_H
#define PH_CPU_BLOCKED_H

#include "cpu/kernels/list.h"
#include <math.h>

/* Rank 4, fed or computed, not empty. */
PH_INLINE bool is_blockable(const struct ph_kernel_query *query, int value) {
    const struct ph_value *record = &query->graph->values[value];
    return record->shape.rank == 4 && !record->data && ph_shape_size(&record->shape) > 0;
}

PH_INLINE bool first_is_blockable(const struct ph_kernel_query *query) {
    return is_blockable(query, query->node->inputs[0]) && is_blockable(query, query->node->outputs[0]);
}

/* The convolution that output i of the call is of. */
PH_INLINE const struct ph_node *node_of_output(const struct ph_kernel_call *call, int i) {
    return call->joined ? call->joined[i] : call->node;
}

PH_INLINE int64_t blocks_of(int64_t channels) { return (channels + PH_LANES - 1) / PH_LANES; }

/* First lane of pixel (0, 0) of channel block `block` of item `n`. */
PH_INLINE float *block_origin(const struct ph_operand *operand, int64_t n, int64_t block) {
    return operand->data + n * operand->layout.item + block * operand->layout.plane +
           operand->layout.halo * (operand->layout.row + operand->layout.block);
}

/* The pixels of a block of channels: (n, block) of task `index`. */
PH_INLINE float *block_of_task(const struct ph_operand *operand, int64_t index) {
    int64_t blocks = blocks_of(operand->shape->dims[1]);
    return block_origin(operand, index / blocks, index % blocks);
}

/* ---- What kernels of convolution share (convolution.c) ---------------------------------------------------------------- */

enum { PH_MAX_TAPS = 1024 }; /* kernel elements */
/* Two-dimensional, with constant weights and bias, and forward without a border. */
bool PH_KERNEL(ph_convolution_takes)(const struct ph_kernel_query *query);
/* A first layer: the same, with a border or without, of one group and too few input channels to fill the lanes. */
bool PH_KERNEL(ph_convolution_is_first)(const struct ph_kernel_query *query);
/* Output channels that a kernel is chosen by: those nobody reads included, so that the choice does not depend on the batch. */
PH_INLINE int64_t whole_outputs(const struct ph_kernel_query *query) {
    const struct ph_convolution_attributes *a = query->node->attributes;
    return a->whole_outputs ? a->whole_outputs : query->graph->values[query->node->outputs[0]].shape.dims[1];
}
/* A fused ReLU: no smaller than 0, no larger than its ceiling; NaN passes. */
struct rectifier { bool on; float ceiling; /* HUGE_VALF: none */ };
PH_INLINE struct rectifier rectifier_of(const struct ph_convolution_attributes *a) {
    return (struct rectifier){a->relu, a->ceiling != 0 ? (float)a->ceiling : HUGE_VALF};
}
PH_INLINE vector rectify(struct rectifier rectifier, vector x) {
    return rectifier.on ? minimum(splat(rectifier.ceiling), maximum((vector){0}, x)) : x;
}
/* Its gradient: what comes where the output is between the limits, zero elsewhere. */
PH_INLINE vector rectified_gradient(struct rectifier rectifier, vector output, vector gradient) {
    return where((output > (vector){0}) & (output < splat(rectifier.ceiling)), gradient, (vector){0});
}
/* What a backward cuts its result off by: values beside it and the limits they are let pass between. */
struct gate { const float *data; /* NULL: everything passes */ int64_t item, plane, row; struct rectifier rectifier; };
PH_INLINE struct gate gate_of(const struct ph_kernel_call *call) {
    const struct ph_operand *values = &call->gate;
    if (!values->data) return (struct gate){0};
    return (struct gate){block_origin(values, 0, 0), values->layout.item, values->layout.plane, values->layout.row,
                         {true, call->gate_ceiling}};
}
PH_INLINE vector gated(const struct gate *gate, const float *values, vector gradient) {
    return gate->data ? rectified_gradient(gate->rectifier, load(values), gradient) : gradient;
}
/* What a first layer's input is padded by, [channels]; NULL: zeros. */
PH_INLINE const float *border_of_call(const struct ph_kernel_call *call) {
    return call->node->input_count > 3 ? call->inputs[3].data : NULL;
}
/* What a forward adds to its sums, and the ReLU that comes last: behind the sum with it, or the layer's own. */
struct summand { const float *data; /* NULL: nothing is added */ int64_t item, plane, row; };
PH_INLINE struct summand summand_of(const struct ph_kernel_call *call) {
    const struct ph_operand *values = &call->summand;
    if (!values->data) return (struct summand){0};
    return (struct summand){block_origin(values, 0, 0), values->layout.item, values->layout.plane, values->layout.row};
}
PH_INLINE struct rectifier last_rectifier(const struct ph_kernel_call *call, int output) {
    if (call->summand.data) return (struct rectifier){call->rectified, HUGE_VALF};
    return rectifier_of(node_of_output(call, output)->attributes);
}
/* Puts zeros into the outputs' gradients where a fused ReLU's output is at one of its limits, if that is not done already. In
 * place: the producer reads it last. */
void PH_KERNEL(ph_convolution_mask)(const struct ph_kernel_call *call);
/* The backward reads the output where a ReLU is fused. */
unsigned PH_KERNEL(ph_convolution_reads)(const struct ph_kernel_query *query);

#endif
