// (x - mean) / sqrt(variance + epsilon) * scale + bias of each channel, and the gradient by x.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int BACKWARD = 0;

layout(push_constant) uniform Call {
    uint count, x, scale, bias, mean, variance, y, dx, add; // y: forward the result, backward its gradient
    uint channels, size; // size: elements of a channel
    float epsilon;
} call;

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    uint channel = index / call.size % call.channels;
    float factor = fetch(call.scale + channel) / sqrt(fetch(call.variance + channel) + call.epsilon);
    if (BACKWARD == 0)
        put(call.y + index, (fetch(call.x + index) - fetch(call.mean + channel)) * factor + fetch(call.bias + channel));
    else
        store(call.dx + index, fetch(call.y + index) * factor, call.add != 0);
}
