// The size of each item of a tensor, or of the difference of two, in parts (loop.glsl): a workgroup for each.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "loop.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const int SUM = NO_SUM;

layout(push_constant) uniform Call {
    uint size, x, minus, parts; // size: elements of an item; minus: NOWHERE where there is none
} call;

shared uint most[256];
shared float sums[256];

float value(uint i) { return memory[call.x + i] - (call.minus == NOWHERE ? 0 : memory[call.minus + i]); }

void main() {
    uint item = gl_WorkGroupID.y, part = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x;
    uint length = (call.size + PARTS - 1) / PARTS, begin = item * call.size + min(part * length, call.size);
    uint end = min(begin + length, (item + 1) * call.size), largest = 0;
    for (uint i = begin + lane; i < end; i += 256) largest = max(largest, floatBitsToUint(value(i)) & 0x7fffffffu);
    most[lane] = largest;
    for (uint width = 128; width > 0; width /= 2) {
        barrier();
        if (lane < width) most[lane] = max(most[lane], most[lane + width]);
    }
    barrier();
    float scale = uintBitsToFloat(most[0]), sum = 0;
    for (uint i = begin + lane; i < end && SUM != NO_SUM && scale > 0; i += 256) {
        float share = abs(value(i)) / scale;
        sum += SUM == SQUARES ? share * share : share;
    }
    sums[lane] = sum;
    for (uint width = 128; width > 0 && SUM != NO_SUM; width /= 2) {
        barrier();
        if (lane < width) sums[lane] += sums[lane + width];
    }
    if (lane > 0) return;
    bits[call.parts + 2 * (item * PARTS + part)] = most[0];
    memory[call.parts + 2 * (item * PARTS + part) + 1] = sums[0];
}
