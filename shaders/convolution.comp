// Convolution, 1-D to 3-D, as an implicit matrix product: rows are the channels written, columns their pixels, and the inner index
// runs over the channels read and the taps. Tiles of 32 x 32 go through shared memory, 4 x 4 results to an invocation.
// Backward is the same product with the gradient gathered where the stride meets it, masked by a ReLU that was fused. Where
// there are few tiles the inner index is split into parts, whose sums stand aside for parts.comp. The weights' gradient has
// a row for each narrow channel and a column for each tap of each wide one, and sums over the narrow pixels of all items.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "convolution.glsl"
layout(local_size_x = 8, local_size_y = 8) in;

const int TILE = 32, DEPTH = 16, SIDE = 4, LANES = 64;
shared float left[DEPTH][TILE + 1], right[DEPTH][TILE];

// The weights' gradient: call.weights is the narrow tensor, call.parts the number of items, and a missing source is one of
// ones, which makes the bias's gradient.
float narrow(int group, int row, int k) {
    if (row >= call.rows || k >= call.parts * pixel_count()) return 0;
    int item = k / pixel_count();
    uint at = ((item * call.groups + group) * call.rows + row) * pixel_count() + k % pixel_count();
    return passes(at) ? fetch(call.weights + at) : 0;
}

float wide(int group, int column, int k) {
    if (call.source == NOWHERE) return 1;
    if (k >= call.parts * pixel_count()) return 0;
    return element(plane_of(k / pixel_count(), group), column, pixel_of(k % pixel_count()));
}

void main() {
    int parts = MAP == WEIGHTS ? 1 : call.parts;
    int part = int(gl_WorkGroupID.z) % parts, of = int(gl_WorkGroupID.z) / parts;
    int item = of / call.groups, group = of % call.groups;
    int first_row = int(gl_WorkGroupID.y) * TILE, first_column = int(gl_WorkGroupID.x) * TILE;
    int lane = int(gl_LocalInvocationIndex), x = int(gl_LocalInvocationID.x), y = int(gl_LocalInvocationID.y);
    uint plane = plane_of(item, group);
    ivec3 pixel = pixel_of(first_column + lane % TILE); // of every element that this invocation fetches
    float sums[SIDE][SIDE];
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++) sums[i][j] = 0;
    int last = MAP == WEIGHTS ? call.parts * pixel_count() : min((part + 1) * call.depth, call.inner * TAPS);
    for (int k = part * call.depth; k < last; k += DEPTH) {
        for (int i = lane; i < TILE * DEPTH; i += LANES) {
            int row = first_row + i / DEPTH, column = first_column + i % TILE;
            left[i % DEPTH][i / DEPTH] = MAP == WEIGHTS ? narrow(group, row, k + i % DEPTH) : weight(group, row, k + i % DEPTH);
            right[i / TILE][i % TILE] = MAP == WEIGHTS ? wide(group, column, k + i / TILE) : element(plane, k + i / TILE, pixel);
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
    int columns = call.source == NOWHERE ? 1 : call.inner * TAPS;
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++) {
            int row = first_row + y + 8 * i, column = first_column + x + 8 * j;
            if (MAP != WEIGHTS) finish(part, item, group, row, column, sums[i][j]);
            else if (row < call.rows && column < columns)
                store(call.target + (group * call.rows + row) * columns + column, sums[i][j], call.add != 0);
        }
}
