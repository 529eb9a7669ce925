// Elements by a table of whole numbers. Forward: which element each of the result is, or -1 for the constant. Backward:
// where each element's list of those begins (one more than there are elements), and behind that the lists.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int BACKWARD = 0;

layout(push_constant) uniform Call {
    uint count, from, to, table, add;
    float constant;
} call;

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    if (BACKWARD == 0) {
        int source = number[call.table + index];
        put(call.to + index, source < 0 ? call.constant : fetch(call.from + source));
        return;
    }
    float sum = 0;
    uint lists = call.table + call.count + 1;
    for (int i = number[call.table + index]; i < number[call.table + index + 1]; i++)
        sum += fetch(call.from + number[lists + i]);
    store(call.to + index, sum, call.add != 0);
}
