// Convolution that writes few channels: the gradient of a picture, a colour transform. convolution.comp's tiles of 32
// channels would be empty for the most part; here an invocation makes all channels of one pixel, and visits only the taps
// that the stride meets. Push constants are convolution.comp's.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int BACKWARD = 0;
layout(constant_id = 1) const int RELU = 0;
layout(constant_id = 2) const int KERNEL_Y = 1;
layout(constant_id = 3) const int KERNEL_X = 1;
layout(constant_id = 4) const int KERNEL_Z = 0;   // 0: there is no depth

layout(push_constant) uniform Call {
    uint weights, bias, source, target, gate, add;
    int rows, inner, groups; // groups: 1
    int source_z, source_y, source_x, target_z, target_y, target_x;
    int stride_z, stride_y, stride_x, dilation_z, dilation_y, dilation_x, pad_z, pad_y, pad_x;
    float ceiling;
} call;

const bool VOLUME = KERNEL_Z > 0;
const int MOST_ROWS = 4, AREA = KERNEL_Y * KERNEL_X, TAPS = (VOLUME ? KERNEL_Z : 1) * AREA; // THIN_ROWS in matrix.c

// Where along an axis a tap reads for place `at`; -1: nowhere.
int met(int at, int tap, int stride, int dilation, int pad, int size) {
    int place = BACKWARD == 0 ? at * stride + tap * dilation - pad : at + pad - tap * dilation;
    if (place < 0) return -1;
    if (BACKWARD != 0) {
        if (place % stride != 0) return -1;
        place /= stride;
    }
    return place < size ? place : -1;
}

float element(uint at) {
    if (BACKWARD != 0 && RELU != 0) {
        float result = fetch(call.gate + at);
        if (!(result > 0) || (call.ceiling > 0 && result >= call.ceiling)) return 0;
    }
    return fetch(call.source + at);
}

void main() {
    int area = call.target_y * call.target_x, pixels = (VOLUME ? call.target_z : 1) * area;
    int pixel = int(flat_index()), item = int(gl_WorkGroupID.z);
    if (pixel >= pixels) return;
    int row = (VOLUME ? pixel % area : pixel) / call.target_x, column = pixel % call.target_x;
    float sums[MOST_ROWS] = float[](0, 0, 0, 0);
    for (int tap = 0; tap < TAPS; tap++) {
        int z = VOLUME ? met(pixel / area, tap / AREA, call.stride_z, call.dilation_z, call.pad_z, call.source_z) : 0;
        int y = met(row, tap % AREA / KERNEL_X, call.stride_y, call.dilation_y, call.pad_y, call.source_y);
        int x = met(column, tap % KERNEL_X, call.stride_x, call.dilation_x, call.pad_x, call.source_x);
        if (z < 0 || y < 0 || x < 0) continue;
        for (int m = 0; m < call.inner; m++) {
            int plane = VOLUME ? (item * call.inner + m) * call.source_z + z : item * call.inner + m;
            float value = element((plane * call.source_y + y) * call.source_x + x);
            [[unroll]] for (int channel = 0; channel < MOST_ROWS; channel++) {
                if (channel >= call.rows) break;
                int at = BACKWARD == 0 ? channel * call.inner + m : m * call.rows + channel;
                sums[channel] += value * fetch(call.weights + at * TAPS + tap);
            }
        }
    }
    for (int channel = 0; channel < call.rows; channel++) {
        float value = sums[channel] + (call.bias == NOWHERE ? 0 : fetch(call.bias + channel));
        if (BACKWARD == 0 && RELU != 0) {
            value = value <= 0 ? 0 : value;
            if (call.ceiling > 0 && value > call.ceiling) value = call.ceiling;
        }
        store(call.target + (item * call.rows + channel) * pixels + pixel, value, call.add != 0);
    }
}
