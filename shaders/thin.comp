// Convolution that writes few channels: the gradient of a picture, a colour transform. convolution.comp's tiles of 32
// channels would be empty for the most part; here an invocation makes all channels of one pixel, and visits only the taps
// that the stride meets.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "convolution.glsl"
layout(local_size_x = 64) in;

const int MOST_ROWS = 4, AREA = KERNEL_Y * KERNEL_X; // THIN_ROWS in matrix.c

// Where along an axis a tap reads for place `at`; -1: nowhere.
int met(int at, int tap, int stride, int dilation, int pad, int size) {
    int place = MAP == NARROW ? at * stride + tap * dilation - pad : at + pad - tap * dilation;
    if (place < 0) return -1;
    if (MAP == WIDE) {
        if (place % stride != 0) return -1;
        place /= stride;
    }
    return place < size ? place : -1;
}

void main() {
    int area = call.target_y * call.target_x, pixel = int(flat_index()), item = int(gl_WorkGroupID.z);
    if (pixel >= pixel_count()) return;
    int row = (VOLUME ? pixel % area : pixel) / call.target_x, column = pixel % call.target_x;
    float sums[MOST_ROWS] = float[](0, 0, 0, 0);
    for (int tap = 0; tap < TAPS; tap++) {
        int z = VOLUME ? met(pixel / area, tap / AREA, call.stride_z, call.dilation_z, call.pad_z, call.source_z) : 0;
        int y = met(row, tap % AREA / KERNEL_X, call.stride_y, call.dilation_y, call.pad_y, call.source_y);
        int x = met(column, tap % KERNEL_X, call.stride_x, call.dilation_x, call.pad_x, call.source_x);
        if (z < 0 || y < 0 || x < 0) continue;
        for (int m = 0; m < call.inner; m++) {
            int plane = VOLUME ? (item * call.inner + m) * call.source_z + z : item * call.inner + m;
            uint at = (plane * call.source_y + y) * call.source_x + x;
            float value = MAP == NARROW || passes(at) ? fetch(call.source + at) : 0;
            [[unroll]] for (int channel = 0; channel < MOST_ROWS; channel++)
                if (channel < call.rows) sums[channel] += value * weight(0, channel, m * TAPS + tap);
        }
    }
    [[unroll]] for (int channel = 0; channel < MOST_ROWS; channel++) finish(0, item, 0, channel, pixel, sums[channel]);
}
