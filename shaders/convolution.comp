// Convolution, 1-D to 3-D, as an implicit matrix product: rows are the channels written, columns their pixels, and the inner index
// runs over the channels read and the taps. Tiles of 32 x 32 go through shared memory, 4 x 4 results to an invocation.
// Backward is the same product with the gradient gathered where the stride meets it, masked by a ReLU that was fused. Where
// there are few tiles the inner index is split into parts, whose sums stand aside for parts.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 8, local_size_y = 8) in;
layout(constant_id = 0) const int BACKWARD = 0;
layout(constant_id = 1) const int RELU = 0;
layout(constant_id = 2) const int KERNEL_Y = 1;
layout(constant_id = 3) const int KERNEL_X = 1;
layout(constant_id = 4) const int KERNEL_Z = 0;   // 0: there is no depth

layout(push_constant) uniform Call {
    uint weights, bias, source, target, gate, add; // gate: the forward result, where a ReLU was fused
    int rows, inner;              // channels written and read, of one group
    int groups;
    int source_z, source_y, source_x, target_z, target_y, target_x;
    int stride_z, stride_y, stride_x, dilation_z, dilation_y, dilation_x, pad_z, pad_y, pad_x;
    float ceiling;                // of the ReLU; 0: none
    int parts, depth;             // parts of the inner index, and the length of one
    uint aside, size;             // with more than one: where their sums go, and how far they are apart
} call;

const bool VOLUME = KERNEL_Z > 0;
const int TILE = 32, DEPTH = 16, SIDE = 4, LANES = 64, TAPS = (VOLUME ? KERNEL_Z : 1) * KERNEL_Y * KERNEL_X;
shared float left[DEPTH][TILE + 1], right[DEPTH][TILE];

int pixel_count() { return (VOLUME ? call.target_z : 1) * call.target_y * call.target_x; }

// A column's pixel, y negative beyond the last; worked out once, since divisions are slow.
ivec3 pixel_of(int column) {
    if (column >= pixel_count()) return ivec3(-1);
    int row = column / call.target_x;
    return ivec3(column % call.target_x, VOLUME ? row % call.target_y : row, VOLUME ? row / call.target_y : 0);
}

float weight(int group, int row, int k) {
    if (row >= call.rows || k >= call.inner * TAPS) return 0;
    if (BACKWARD == 0) return fetch(call.weights + (group * call.rows + row) * call.inner * TAPS + k);
    int m = k / TAPS;
    return fetch(call.weights + ((group * call.inner + m) * call.rows + row) * TAPS + k % TAPS);
}

// Where in the depth of the source a tap reads; negative: nowhere.
int depth_of(int z, int tap) {
    if (BACKWARD == 0) {
        z = z * call.stride_z + tap * call.dilation_z - call.pad_z;
    } else {
        z += call.pad_z - tap * call.dilation_z;
        if (z < 0 || z % call.stride_z != 0) return -1;
        z /= call.stride_z;
    }
    return z < call.source_z ? z : -1;
}

float element(uint plane, int k, ivec3 pixel) {
    if (pixel.y < 0 || k >= call.inner * TAPS) return 0;
    int tap = k % TAPS, y = pixel.y, x = pixel.x, above = k / TAPS;
    if (VOLUME) {
        int z = depth_of(pixel.z, tap / (KERNEL_Y * KERNEL_X));
        if (z < 0) return 0;
        tap %= KERNEL_Y * KERNEL_X;
        above = above * call.source_z + z;
    }
    int tap_y = tap / KERNEL_X * call.dilation_y, tap_x = tap % KERNEL_X * call.dilation_x;
    if (BACKWARD == 0) {
        y = y * call.stride_y + tap_y - call.pad_y;
        x = x * call.stride_x + tap_x - call.pad_x;
    } else {
        y += call.pad_y - tap_y;
        x += call.pad_x - tap_x;
        if (y < 0 || x < 0) return 0;
        int across = call.stride_y, along = call.stride_x;
        if (across > 1 || along > 1) {
            if (y % across != 0 || x % along != 0) return 0;
            y /= across;
            x /= along;
        }
    }
    if (y < 0 || x < 0 || y >= call.source_y || x >= call.source_x) return 0;
    uint at = plane + (above * call.source_y + y) * call.source_x + x;
    if (BACKWARD != 0 && RELU != 0) {
        float result = fetch(call.gate + at);
        if (!(result > 0) || (call.ceiling > 0 && result >= call.ceiling)) return 0;
    }
    return fetch(call.source + at);
}

void main() {
    int part = int(gl_WorkGroupID.z) % call.parts, of = int(gl_WorkGroupID.z) / call.parts;
    int item = of / call.groups, group = of % call.groups;
    int first_row = int(gl_WorkGroupID.y) * TILE, first_pixel = int(gl_WorkGroupID.x) * TILE;
    int lane = int(gl_LocalInvocationIndex), x = int(gl_LocalInvocationID.x), y = int(gl_LocalInvocationID.y);
    uint plane = (item * call.groups + group) * call.inner * (VOLUME ? call.source_z : 1) * call.source_y * call.source_x;
    ivec3 pixel = pixel_of(first_pixel + lane % TILE); // of every element that this invocation fetches
    float sums[SIDE][SIDE];
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++) sums[i][j] = 0;
    int last = min((part + 1) * call.depth, call.inner * TAPS);
    for (int k = part * call.depth; k < last; k += DEPTH) {
        for (int i = lane; i < TILE * DEPTH; i += LANES) {
            left[i % DEPTH][i / DEPTH] = weight(group, first_row + i / DEPTH, k + i % DEPTH);
            right[i / TILE][i % TILE] = element(plane, k + i / TILE, pixel);
        }
        barrier();
        for (int d = 0; d < DEPTH; d++) {
            float rows[SIDE], columns[SIDE];
            [[unroll]] for (int i = 0; i < SIDE; i++) {
                rows[i] = left[d][y + 8 * i];
                columns[i] = right[d][x + 8 * i];
            }
            [[unroll]] for (int i = 0; i < SIDE; i++)
                [[unroll]] for (int j = 0; j < SIDE; j++) sums[i][j] += rows[i] * columns[j];
        }
        barrier();
    }
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++) {
            int row = first_row + y + 8 * i, column = first_pixel + x + 8 * j;
            if (row >= call.rows || column >= pixel_count()) continue;
            int channel = group * call.rows + row;
            uint at = (item * call.groups * call.rows + channel) * pixel_count() + column;
            if (call.parts > 1) {
                put(call.aside + part * call.size + at, sums[i][j]);
                continue;
            }
            float value = sums[i][j] + (call.bias == NOWHERE ? 0 : fetch(call.bias + channel));
            if (BACKWARD == 0 && RELU != 0) {
                value = value <= 0 ? 0 : value;
                if (call.ceiling > 0 && value > call.ceiling) value = call.ceiling;
            }
            store(call.target + at, value, call.add != 0);
        }
}
