// A Gaussian blur of planes along rows or columns, as ph_planes_blur does it: the border is reflected, and taps are added
// from the middle out.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "loop.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int ALONG_COLUMNS = 0;

layout(push_constant) uniform Call {
    uint items, planes, height, width, from, to, kernel; // planes: of an item; kernel: taps, and the weights of 0 and on
    uint items_place;                                    // NOWHERE: every item, not only those that move
} call;

// Position `i` of `n`, reflected about the border's edge as often as it takes.
int reflected(int i, int n) {
    int at = i % (2 * n);
    if (at < 0) at += 2 * n;
    return at < n ? at : 2 * n - 1 - at;
}

void main() {
    uint i = flat_index(), plane = call.height * call.width;
    if (i >= call.items * call.planes * plane) return;
    if (call.items_place != NOWHERE && !item_moves(call.items_place, call.items, i / (call.planes * plane))) return;
    int length = int(ALONG_COLUMNS != 0 ? call.height : call.width);
    int stride = int(ALONG_COLUMNS != 0 ? call.width : 1), middle = int(i / stride) % length;
    uint first = call.from + i - middle * stride;
    float sum = memory[call.kernel + 1] * memory[call.from + i];
    for (int tap = 1; tap <= number[call.kernel]; tap++)
        sum += memory[call.kernel + 1 + tap] * (memory[first + reflected(middle - tap, length) * stride] +
                                                memory[first + reflected(middle + tap, length) * stride]);
    memory[call.to + i] = sum;
}
