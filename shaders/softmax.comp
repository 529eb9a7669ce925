// Softmax of a row by a workgroup, and its adjoint: y (dy - sum of y dy); its logarithm; and hardmax, 1 at the largest.
// Gradients are counted from that of the largest element, so that nothing cancels where it is almost 1.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;
layout(constant_id = 0) const int BACKWARD = 0;
layout(constant_id = 1) const int FORM = 0; // 0: softmax, 1: its logarithm, 2: hardmax

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

float largest_of(uint row) {
    float largest = -INFINITE;
    for (uint i = gl_LocalInvocationID.x; i < call.count; i += 128) largest = max(largest, fetch(row + i * call.stride));
    return total(largest, true);
}

// The first element that is `largest`; NaN leaves the first of all.
uint place_of(uint row, float largest) {
    float place = -16777216;
    for (uint i = gl_LocalInvocationID.x; i < call.count; i += 128)
        if (fetch(row + i * call.stride) == largest) place = max(place, -float(i));
    uint first = uint(-total(place, true));
    return first < call.count ? first : 0;
}

void forward(uint first) {
    uint lane = gl_LocalInvocationID.x, place = 0;
    float largest = largest_of(call.x + first), sum = 0;
    if (FORM == 2) {
        place = place_of(call.x + first, largest);
    } else {
        for (uint i = lane; i < call.count; i += 128) sum += exp(fetch(call.x + first + i * call.stride) - largest);
        sum = total(sum, false);
    }
    for (uint i = lane; i < call.count; i += 128) {
        uint at = first + i * call.stride;
        float above = fetch(call.x + at) - largest;
        put(call.y + at, FORM == 0 ? exp(above) / sum : FORM == 1 ? above - log(sum) : i == place ? 1 : 0);
    }
}

void backward(uint first) {
    uint lane = gl_LocalInvocationID.x;
    float ground = 0, mean = 0;
    if (FORM == 0)
        ground = fetch(call.x + first + place_of(call.y + first, largest_of(call.y + first)) * call.stride);
    for (uint i = lane; i < call.count; i += 128) {
        uint at = first + i * call.stride;
        float gradient = fetch(call.x + at);
        mean += FORM == 0 ? fetch(call.y + at) * (gradient - ground) : gradient;
    }
    mean = total(mean, false);
    for (uint i = lane; i < call.count; i += 128) {
        uint at = first + i * call.stride;
        float y = fetch(call.y + at), gradient = fetch(call.x + at);
        store(call.dx + at, FORM == 0 ? y * (gradient - ground - mean) : gradient - exp(y) * mean, call.add != 0);
    }
}

void main() {
    uint row = flat_group();
    if (row >= call.rows) return; // the whole group
    uint first = row / call.stride * call.count * call.stride + row % call.stride;
    if (BACKWARD == 0) forward(first);
    else backward(first);
}
