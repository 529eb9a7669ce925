// A linear map along one axis by a table: where each element's list begins (one more than there are), then the lists of
// elements read, and then their weights.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Call {
    uint count, from, to, table, add;
    uint read, written, stride, entries; // sizes of the axis, elements behind it, entries of the lists
} call;

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    uint at = index / call.stride % call.written, outer = index / call.stride / call.written;
    uint source = call.from + outer * call.read * call.stride + index % call.stride;
    uint lists = call.table + call.written + 1;
    float sum = 0;
    for (int i = number[call.table + at]; i < number[call.table + at + 1]; i++)
        sum += fetch(lists + call.entries + i) * fetch(source + number[lists + i] * call.stride);
    store(call.to + index, sum, call.add != 0);
}
