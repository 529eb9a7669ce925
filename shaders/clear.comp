// Pixels of each item whose weight lies below a percentile become 0, as in src/vis/refiner.c. A weight is the norm over a
// pixel's channels, or the size of its contribution. A workgroup for each item finds the percentile by its digits: weights are
// not negative, so they are ordered as their bits are.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "loop.glsl"
layout(local_size_x = 256) in;

layout(push_constant) uniform Call {
    uint items, channels, plane, x, gradient, items_place; // gradient: NOWHERE for the norm
    uint rank;                                             // of the weight below the percentile; from 0
    float share;                                           // of the way to the next that the percentile lies
} call;

shared uint histogram[256];
shared uint prefix, below, next;

float weight(uint item, uint pixel) {
    float sum = 0;
    for (uint c = 0; c < call.channels; c++) {
        uint at = (item * call.channels + c) * call.plane + pixel;
        sum += memory[call.x + at] * memory[(call.gradient == NOWHERE ? call.x : call.gradient) + at];
    }
    return call.gradient == NOWHERE ? sqrt(sum) : abs(sum);
}

void main() {
    uint item = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x;
    if (!item_moves(call.items_place, call.items, item)) return; // the whole group
    if (lane == 0) prefix = 0, below = 0, next = 0xffffffffu;
    for (int shift = 24; shift >= 0; shift -= 8) {
        histogram[lane] = 0;
        barrier();
        for (uint i = lane; i < call.plane; i += 256) {
            uint order = floatBitsToUint(weight(item, i));
            if (shift == 24 || order >> (shift + 8) == prefix) atomicAdd(histogram[order >> shift & 255u], 1);
        }
        barrier();
        if (lane == 0) {
            uint digit = 0;
            for (; digit < 255 && below + histogram[digit] <= call.rank; digit++) below += histogram[digit];
            prefix = prefix << 8 | digit;
        }
        barrier();
    }
    // The next in order is the same where there are more of them, else the least above.
    uint same = histogram[prefix & 255u];
    for (uint i = lane; i < call.plane; i += 256) {
        uint order = floatBitsToUint(weight(item, i));
        if (order > prefix) atomicMin(next, order);
    }
    barrier();
    float low = uintBitsToFloat(prefix);
    bool alone = below + same <= call.rank + 1 && next != 0xffffffffu;
    float least = low + call.share * ((alone ? uintBitsToFloat(next) : low) - low);
    for (uint i = lane; i < call.plane; i += 256) {
        if (!(weight(item, i) < least)) continue;
        for (uint c = 0; c < call.channels; c++) memory[call.x + (item * call.channels + c) * call.plane + i] = 0;
    }
}
