// Maximum and average over a sliding window. Backward gathers: each element looks at the windows that cover it, and for a
// maximum asks each which element won, the first of equals in row order.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int MAXIMUM = 0;
layout(constant_id = 1) const int BACKWARD = 0;
layout(constant_id = 2) const int PADDED = 0; // the divisor counts padding
layout(constant_id = 3) const int VOLUME = 0; // there is a depth

layout(push_constant) uniform Call {
    uint count, x, y, dx, add; // y: forward the result, backward its gradient
    int in_z, in_y, in_x, out_z, out_y, out_x;
    int kernel_z, kernel_y, kernel_x, stride_z, stride_y, stride_x, dilation_z, dilation_y, dilation_x;
    int pad_z, pad_y, pad_x, end_z, end_y, end_x;
} call;

int divide_up(int a, int b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

// What a window covers along an axis: the first element and how many, and how many there would be with the padding.
struct Span { int first, count, padded; };

Span span_of(int at, int stride, int pad, int dilation, int kernel, int size, int end) {
    int start = at * stride - pad, begin = max(divide_up(-start, dilation), 0);
    return Span(start + begin * dilation, max(min(divide_up(size - start, dilation), kernel) - begin, 0),
                min(divide_up(size + end - start, dilation), kernel));
}

struct Box { Span z, y, x; };

Box box_of(int z, int row, int column) {
    return Box(VOLUME == 0 ? Span(0, 1, 1)
                           : span_of(z, call.stride_z, call.pad_z, call.dilation_z, call.kernel_z, call.in_z, call.end_z),
               span_of(row, call.stride_y, call.pad_y, call.dilation_y, call.kernel_y, call.in_y, call.end_y),
               span_of(column, call.stride_x, call.pad_x, call.dilation_x, call.kernel_x, call.in_x, call.end_x));
}

int box_divisor(Box box) {
    return PADDED == 0 ? box.z.count * box.y.count * box.x.count : box.z.padded * box.y.padded * box.x.padded;
}

// Where an element of a box lies in its channel.
int box_element(Box box, int z, int i, int j) {
    int row = box.y.first + i * call.dilation_y;
    if (VOLUME != 0) row += (box.z.first + z * call.dilation_z) * call.in_y;
    return row * call.in_x + box.x.first + j * call.dilation_x;
}

// Place of the largest element in the channel; -1 for an empty box.
int box_maximum(Box box, uint channel) {
    int best = -1;
    float largest = 0;
    for (int z = 0; z < box.z.count; z++)
        for (int i = 0; i < box.y.count; i++)
            for (int j = 0; j < box.x.count; j++) {
                int at = box_element(box, z, i, j);
                float value = fetch(channel + at);
                if (best < 0 || value > largest) {
                    best = at;
                    largest = value;
                }
            }
    return best;
}

float box_sum(Box box, uint channel) {
    float sum = 0;
    for (int z = 0; z < box.z.count; z++)
        for (int i = 0; i < box.y.count; i++)
            for (int j = 0; j < box.x.count; j++) sum += fetch(channel + box_element(box, z, i, j));
    return sum;
}

void forward(uint index) {
    int row = int(index) / call.out_x, plane = row / call.out_y;
    int channel = VOLUME == 0 ? plane : plane / call.out_z;
    Box box = box_of(plane % call.out_z, row % call.out_y, int(index) % call.out_x);
    uint first = call.x + channel * (VOLUME == 0 ? 1 : call.in_z) * call.in_y * call.in_x;
    float value = 0;
    if (MAXIMUM != 0) {
        int best = box_maximum(box, first);
        value = best < 0 ? -INFINITE : fetch(first + best);
    } else if (box_divisor(box) != 0) {
        value = box_sum(box, first) / box_divisor(box);
    }
    put(call.y + index, value);
}

// Which window has its tap there; -1: none.
int window_of(int at, int tap, int dilation, int stride, int windows) {
    int start = at - tap * dilation;
    if (start < 0 || start % stride != 0) return -1;
    start /= stride;
    return start < windows ? start : -1;
}

void backward(uint index) {
    int row = int(index) / call.in_x, plane = row / call.in_y;
    int channel = VOLUME == 0 ? plane : plane / call.in_z;
    int z = VOLUME == 0 ? 0 : plane % call.in_z + call.pad_z, y = row % call.in_y + call.pad_y;
    int x = int(index) % call.in_x + call.pad_x;
    int first = channel * (VOLUME == 0 ? 1 : call.in_z) * call.in_y * call.in_x, element = int(index) - first;
    uint gradients = call.y + channel * (VOLUME == 0 ? 1 : call.out_z) * call.out_y * call.out_x;
    float sum = 0;
    for (int k = 0; k < (VOLUME == 0 ? 1 : call.kernel_z); k++) {
        int deep = VOLUME == 0 ? 0 : window_of(z, k, call.dilation_z, call.stride_z, call.out_z);
        if (deep < 0) continue;
        for (int i = 0; i < call.kernel_y; i++) {
            int down = window_of(y, i, call.dilation_y, call.stride_y, call.out_y);
            if (down < 0) continue;
            for (int j = 0; j < call.kernel_x; j++) {
                int across = window_of(x, j, call.dilation_x, call.stride_x, call.out_x);
                if (across < 0) continue;
                Box box = box_of(deep, down, across);
                float gradient = fetch(gradients + (deep * call.out_y + down) * call.out_x + across);
                if (MAXIMUM == 0) sum += gradient / box_divisor(box);
                else if (box_maximum(box, call.x + first) == element) sum += gradient;
            }
        }
    }
    store(call.dx + index, sum, call.add != 0);
}

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    if (BACKWARD == 0) forward(index);
    else backward(index);
}
