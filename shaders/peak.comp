// Chains of fused multiply-adds that depend on nothing but themselves: the peak of 32 bits, as src/cpu/kernels/peak.c
// measures the processor's. What comes out is of no use, but it must be kept.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;

layout(push_constant) uniform Call { uint rounds, kept; } call;

void main() {
    vec4 sums[4], factor = vec4(0.999), step = vec4(1e-3);
    for (int i = 0; i < 4; i++) sums[i] = step * float(gl_GlobalInvocationID.x + i);
    for (uint round = 0; round < call.rounds; round++)
        [[unroll]] for (int i = 0; i < 4; i++) sums[i] = fma(sums[i], factor, step);
    vec4 total = sums[0] + sums[1] + sums[2] + sums[3];
    memory[call.kept + gl_GlobalInvocationID.x] = total.x + total.y + total.z + total.w;
}
