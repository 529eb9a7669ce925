// A band of each item, what is in one tensor and not in a coarser one, over its root mean square: the first is written, others
// are added. As ph_gradient_normalise_bands does it.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "loop.glsl"
layout(local_size_x = 256) in;

layout(push_constant) uniform Call {
    uint size, from, coarser, to, parts, add; // coarser: NOWHERE in the last band
} call;

shared float root;

void main() {
    uint item = gl_WorkGroupID.y;
    if (gl_LocalInvocationID.x == 0) {
        Measure whole = measure_of(call.parts, item, SQUARES);
        root = whole.largest * sqrt(whole.sum / call.size);
    }
    barrier();
    for (uint i = gl_GlobalInvocationID.x; i < call.size; i += 256 * gl_NumWorkGroups.x) {
        uint at = item * call.size + i;
        float value = memory[call.from + at] - (call.coarser == NOWHERE ? 0 : memory[call.coarser + at]);
        store(call.to + at, root > 0 && !isinf(root) ? value / root : value, call.add != 0);
    }
}
