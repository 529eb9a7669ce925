// Gradient of a clipped element; where an item would get none at all, it goes to the elements outside that the loss moves
// towards activity (lucid, misc/redirected_relu_grad.py). A workgroup for each item.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;

layout(push_constant) uniform Call {
    uint items, size, x, dy, dx, add;
    float low, high;
} call;

shared uint living[128];

void main() {
    uint item = flat_group(), lane = gl_LocalInvocationID.x;
    if (item >= call.items) return; // the whole group
    uint begin = item * call.size;
    living[lane] = 0;
    for (uint i = lane; i < call.size; i += 128) {
        float x = fetch(call.x + begin + i);
        if (x > call.low && x < call.high && fetch(call.dy + begin + i) != 0) living[lane] = 1;
    }
    for (uint width = 64; width > 0; width /= 2) {
        barrier();
        if (lane < width) living[lane] |= living[lane + width];
    }
    barrier();
    bool alive = living[0] != 0;
    for (uint i = lane; i < call.size; i += 128) {
        float x = fetch(call.x + begin + i), dy = fetch(call.dy + begin + i);
        bool wakes = (x < call.low && dy < 0) || (x > call.high && dy > 0);
        bool passes = alive ? x > call.low && x < call.high : wakes;
        store(call.dx + begin + i, passes ? dy : 0, call.add != 0);
    }
}
