// What the host is told of a step: each item's objective, and the largest element of its gradient. Without their signs
// floats are ordered as their bits are, infinity and NaN last.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;

layout(push_constant) uniform Call {
    uint items, size, value, gradient, report; // size: parameters of an item; report: two numbers for each item
} call;

shared uint parts[256];

void main() {
    uint item = flat_group(), lane = gl_LocalInvocationID.x, largest = 0;
    if (item >= call.items) return; // the whole group
    for (uint i = lane; i < call.size; i += 256)
        largest = max(largest, bits[call.gradient + item * call.size + i] & 0x7fffffffu);
    parts[lane] = largest;
    for (uint width = 128; width > 0; width /= 2) {
        barrier();
        if (lane < width) parts[lane] = max(parts[lane], parts[lane + width]);
    }
    if (lane > 0) return;
    bits[call.report + 2 * item] = bits[call.value + item];
    bits[call.report + 2 * item + 1] = parts[0];
}
