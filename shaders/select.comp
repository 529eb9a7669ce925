// One of two elements, as a third tells; operands are broadcast.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Call {
    uint count, condition, taken, other, target; // taken and other: NOWHERE stands for 0
    uint dims[4];
    int condition_stride[4], taken_stride[4], other_stride[4];
} call;

void main() {
    uint index = flat_index(), rest = index;
    if (index >= call.count) return;
    uint condition = call.condition, taken = call.taken, other = call.other;
    for (int i = 3; i >= 0; i--) {
        int at = int(rest % call.dims[i]);
        rest /= call.dims[i];
        condition += uint(at * call.condition_stride[i]);
        taken += uint(at * call.taken_stride[i]);
        other += uint(at * call.other_stride[i]);
    }
    bool takes = fetch(condition) != 0, none = (takes ? call.taken : call.other) == NOWHERE;
    put(call.target + index, none ? 0 : fetch(takes ? taken : other));
}
