// Elements from one strided tensor to another, scaled, written or added: layouts, slices, concatenations, broadcasts.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int RANK = 8; // axes, the last of the block's

layout(push_constant) uniform Call {
    uint count, from, to, add;
    float scale, constant; // to = scale * from + constant; without `from` the constant alone
    uint dims[8];
    int from_stride[8], to_stride[8];
} call;

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    uint from = call.from, to = call.to;
    for (int i = 7; i >= 8 - RANK; i--) {
        int at = int(index % call.dims[i]);
        index /= call.dims[i];
        from += uint(at * call.from_stride[i]);
        to += uint(at * call.to_stride[i]);
    }
    float value = call.from == NOWHERE ? call.constant : call.scale * fetch(from) + call.constant;
    store(to, value, call.add != 0);
}
