// Maximum and average over a sliding window. Backward gathers: each element looks at the windows that cover it, and for a
// maximum asks each which element won, the first of equals in row order.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int MAXIMUM = 0;
layout(constant_id = 1) const int BACKWARD = 0;
layout(constant_id = 2) const int PADDED = 0; // the divisor counts padding

layout(push_constant) uniform Call {
    uint count, x, y, dx, add; // y: forward the result, backward its gradient
    int in_y, in_x, out_y, out_x;
    int kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x, end_y, end_x;
} call;

int divide_up(int a, int b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

struct Box { int y, x, rows, columns, divisor; };

Box box_of(int row, int column) {
    int y = row * call.stride_y - call.pad_y, x = column * call.stride_x - call.pad_x;
    int first_y = max(divide_up(-y, call.dilation_y), 0), first_x = max(divide_up(-x, call.dilation_x), 0);
    Box box;
    box.rows = max(min(divide_up(call.in_y - y, call.dilation_y), call.kernel_y) - first_y, 0);
    box.columns = max(min(divide_up(call.in_x - x, call.dilation_x), call.kernel_x) - first_x, 0);
    box.y = y + first_y * call.dilation_y;
    box.x = x + first_x * call.dilation_x;
    box.divisor = PADDED == 0 ? box.rows * box.columns
        : min(divide_up(call.in_y + call.end_y - y, call.dilation_y), call.kernel_y) *
          min(divide_up(call.in_x + call.end_x - x, call.dilation_x), call.kernel_x);
    return box;
}

// Place of the largest element in the plane; -1 for an empty box.
int box_maximum(Box box, uint plane) {
    int best = -1;
    float largest = 0;
    for (int i = 0; i < box.rows; i++)
        for (int j = 0; j < box.columns; j++) {
            int at = (box.y + i * call.dilation_y) * call.in_x + box.x + j * call.dilation_x;
            float value = fetch(plane + at);
            if (best < 0 || value > largest) {
                best = at;
                largest = value;
            }
        }
    return best;
}

void forward(uint index) {
    int pixel = int(index) % (call.out_y * call.out_x), channel = int(index) / (call.out_y * call.out_x);
    Box box = box_of(pixel / call.out_x, pixel % call.out_x);
    uint plane = call.x + channel * call.in_y * call.in_x;
    float value = 0;
    if (MAXIMUM != 0) {
        int best = box_maximum(box, plane);
        value = best < 0 ? -INFINITE : fetch(plane + best);
    } else if (box.divisor != 0) {
        for (int i = 0; i < box.rows; i++)
            for (int j = 0; j < box.columns; j++)
                value += fetch(plane + (box.y + i * call.dilation_y) * call.in_x + box.x + j * call.dilation_x);
        value /= box.divisor;
    }
    put(call.y + index, value);
}

void backward(uint index) {
    int element = int(index) % (call.in_y * call.in_x), channel = int(index) / (call.in_y * call.in_x);
    int y = element / call.in_x + call.pad_y, x = element % call.in_x + call.pad_x;
    uint plane = call.x + channel * call.in_y * call.in_x, gradients = call.y + channel * call.out_y * call.out_x;
    float sum = 0;
    for (int i = 0; i < call.kernel_y; i++) {
        int row = y - i * call.dilation_y;
        if (row < 0 || row % call.stride_y != 0 || row / call.stride_y >= call.out_y) continue;
        row /= call.stride_y;
        for (int j = 0; j < call.kernel_x; j++) {
            int column = x - j * call.dilation_x;
            if (column < 0 || column % call.stride_x != 0 || column / call.stride_x >= call.out_x) continue;
            column /= call.stride_x;
            Box box = box_of(row, column);
            float gradient = fetch(gradients + row * call.out_x + column);
            if (MAXIMUM == 0) sum += gradient / box.divisor;
            else if (box_maximum(box, plane) == element) sum += gradient;
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
