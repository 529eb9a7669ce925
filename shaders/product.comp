// out = scale * A B + addend, of matrices with strides, in tiles of 16 x 16 through shared memory.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 16, local_size_y = 16) in;

layout(push_constant) uniform Call {
    uint a, b, addend, target, add;
    int rows, columns, inner;
    int a_row, a_column, b_row, b_column, target_row, target_column, addend_row, addend_column;
    float scale, addend_scale;
} call;

shared float left[16][17], right[16][16];

void main() {
    int x = int(gl_LocalInvocationID.x), y = int(gl_LocalInvocationID.y);
    int row = int(gl_WorkGroupID.y) * 16 + y, column = int(gl_WorkGroupID.x) * 16 + x;
    float sum = 0;
    for (int k = 0; k < call.inner; k += 16) {
        left[y][x] = row < call.rows && k + x < call.inner ? memory[call.a + row * call.a_row + (k + x) * call.a_column] : 0;
        right[y][x] = column < call.columns && k + y < call.inner
            ? memory[call.b + (k + y) * call.b_row + column * call.b_column] : 0;
        barrier();
        for (int d = 0; d < 16; d++) sum += left[y][d] * right[d][x];
        barrier();
    }
    if (row >= call.rows || column >= call.columns) return;
    float value = call.scale * sum;
    if (call.addend != NOWHERE)
        value += call.addend_scale * memory[call.addend + row * call.addend_row + column * call.addend_column];
    store(call.target + row * call.target_row + column * call.target_column, value, call.add != 0);
}
