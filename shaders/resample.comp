// A linear map along one axis by a table: where each element's list begins (one more than there are), then the lists of
// elements read, and then their weights.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Call {
    uint count, from, to, table, add;
    uint read, written, stride, entries; // sizes of the axis, elements behind it, entries of the lists
    float outside;                       // what an empty list makes
} call;

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    uint at = index / call.stride % call.written, outer = index / call.stride / call.written;
    uint source = call.from + outer * call.read * call.stride + index % call.stride;
    uint lists = call.table + call.written + 1;
    int first = number[call.table + at], end = number[call.table + at + 1];
    float sum = first < end ? 0 : call.outside;
    for (int i = first; i < end; i++)
        sum += fetch(lists + call.entries + i) * fetch(source + number[lists + i] * call.stride);
    store(call.to + index, sum, call.add != 0);
}
