/* The plain backend: every operation by its own plain functions. */
#include "exec/backend.h"
#include <string.h>

static void plain_forward(const struct ph_kernel_call *call) { call->node->operation->forward(&call->plain); }

static void plain_backward(const struct ph_kernel_call *call) {
    for (int i = 0; i < call->node->input_count; i++)
        if (call->input_gradients[i].data && !call->accumulate[i])
            memset(call->input_gradients[i].data, 0, (size_t)ph_shape_size(call->input_gradients[i].shape) * sizeof(float));
    call->node->operation->backward(&call->plain);
}

const struct ph_kernel ph_kernel_plain_forward = {.name = "plain", .run = plain_forward};

const struct ph_kernel ph_kernel_plain_backward = {.name = "plain", .backward = true, .run = plain_backward};

static const struct ph_kernel *const *plain_kernels(const ph_context *context, int *block) {
    static const struct ph_kernel *const kernels[] = {&ph_kernel_plain_forward, &ph_kernel_plain_backward, NULL};
    (void)context;
    *block = 1;
    return kernels;
}

const struct ph_backend ph_backend_plain = {
    .name = "plain", .help = "the operations' own simplest loops: the specification", .kernels = plain_kernels};
