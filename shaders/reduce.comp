// One sum for each workgroup: a share for each invocation, then a tree, in the same order on every run.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;

layout(push_constant) uniform Call {
    uint count, x, y;
    float scale;
    uint outer_dims[4];
    int outer_x[4], outer_y[4];
    uint inner_count, inner_dims[4];
    int inner_x[4];
} call;

shared float parts[128];

void main() {
    uint index = flat_group(), lane = gl_LocalInvocationID.x;
    if (index >= call.count) return; // the whole group
    uint x = call.x, y = call.y;
    for (int i = 3; i >= 0; i--) {
        int at = int(index % call.outer_dims[i]);
        index /= call.outer_dims[i];
        x += uint(at * call.outer_x[i]);
        y += uint(at * call.outer_y[i]);
    }
    float sum = 0;
    for (uint k = lane; k < call.inner_count; k += 128) {
        uint rest = k, at = x;
        for (int i = 3; i >= 0; i--) {
            at += (rest % call.inner_dims[i]) * uint(call.inner_x[i]);
            rest /= call.inner_dims[i];
        }
        sum += memory[at];
    }
    parts[lane] = sum;
    for (uint width = 64; width > 0; width /= 2) {
        barrier();
        if (lane < width) parts[lane] += parts[lane + width];
    }
    if (lane == 0) memory[y] = call.scale * parts[0];
}
