/* What kernels that normalise blocked tensors across channels share (response_norm.c). */
#ifndef PH_CPU_RESPONSE_NORM_H
#define PH_CPU_RESPONSE_NORM_H

#include "cpu/kernels/blocked.h"

struct response {
    const struct ph_kernel_call *call;
    float scale, bias, beta;
    int before, after, blocks;
    struct gate gate;
};

bool PH_KERNEL(ph_response_norm_takes)(const struct ph_response_norm_attributes *a);
struct response PH_KERNEL(ph_response_of)(const struct ph_kernel_call *call, const struct ph_response_norm_attributes *a);
/* Row y of item n, all channels: of the call's output, and of its input's gradient. */
void PH_KERNEL(ph_response_norm_forward_row)(const struct response *r, int64_t n, int64_t y);
void PH_KERNEL(ph_response_norm_backward_row)(const struct response *r, int64_t n, int64_t y);

#endif
