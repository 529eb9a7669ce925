// Softmax of a row by a workgroup, and its adjoint: y (dy - sum of y dy). Gradients are counted from that of the largest
// element, so that nothing cancels where it is almost 1.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;
layout(constant_id = 0) const int BACKWARD = 0;

layout(push_constant) uniform Call {
    uint rows, x, y, dx, add; // x: forward the argument, backward the result's gradient
    uint count, stride;       // elements of a row, and the way from one to the next
} call;

shared float parts[128];

float total(float value, bool largest) {
    uint lane = gl_LocalInvocationID.x;
    barrier();
    parts[lane] = value;
    for (uint width = 64; width > 0; width /= 2) {
        barrier();
        if (lane < width)
            parts[lane] = largest ? max(parts[lane], parts[lane + width]) : parts[lane] + parts[lane + width];
    }
    barrier();
    return parts[0];
}

void main() {
    uint row = flat_group(), lane = gl_LocalInvocationID.x;
    if (row >= call.rows) return; // the whole group
    uint first = row / call.stride * call.count * call.stride + row % call.stride;
    if (BACKWARD == 0) {
        float largest = uintBitsToFloat(0xff800000u), sum = 0;
        for (uint i = lane; i < call.count; i += 128) largest = max(largest, memory[call.x + first + i * call.stride]);
        largest = total(largest, true);
        for (uint i = lane; i < call.count; i += 128) sum += exp(memory[call.x + first + i * call.stride] - largest);
        sum = total(sum, false);
        for (uint i = lane; i < call.count; i += 128) {
            uint at = first + i * call.stride;
            memory[call.y + at] = exp(memory[call.x + at] - largest) / sum;
        }
        return;
    }
    float largest = 0, mean = 0, place = -16777216;
    for (uint i = lane; i < call.count; i += 128) largest = max(largest, memory[call.y + first + i * call.stride]);
    largest = total(largest, true);
    for (uint i = lane; i < call.count; i += 128)
        if (memory[call.y + first + i * call.stride] == largest) place = max(place, -float(i));
    place = -total(place, true);
    float ground = memory[call.x + first + min(uint(place), call.count - 1) * call.stride];
    for (uint i = lane; i < call.count; i += 128) {
        uint at = first + i * call.stride;
        mean += memory[call.y + at] * (memory[call.x + at] - ground);
    }
    mean = total(mean, false);
    for (uint i = lane; i < call.count; i += 128) {
        uint at = first + i * call.stride;
        store(call.dx + at, memory[call.y + at] * (memory[call.x + at] - ground - mean), call.add != 0);
    }
}
