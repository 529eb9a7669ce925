// Adds up the parts of a convolution's sums, in order, and does what it would have done with them.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int RELU = 0;

layout(push_constant) uniform Call {
    uint count, aside, parts, bias, target, add;
    uint channels, pixels;
    float ceiling; // of the ReLU; 0: none
} call;

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    float value = 0;
    for (uint part = 0; part < call.parts; part++) value += fetch(call.aside + part * call.count + index);
    if (call.bias != NOWHERE) value += fetch(call.bias + index / call.pixels % call.channels);
    if (RELU != 0) {
        value = value <= 0 ? 0 : value;
        if (call.ceiling > 0 && value > call.ceiling) value = call.ceiling;
    }
    store(call.target + index, value, call.add != 0);
}
