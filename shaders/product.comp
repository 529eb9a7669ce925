// out = scale * A B + addend, of matrices with strides, in tiles of 16 x 16 through shared memory; stacks of them, some
// of whose products may be added up.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 16, local_size_y = 16) in;

layout(push_constant) uniform Call {
    uint a, b, addend, target, add;
    int rows, columns, inner;
    int a_row, a_column, b_row, b_column, target_row, target_column, addend_row, addend_column;
    float scale, addend_scale;
    uint stack_inner;                                     // size of the inner of a stack's two axes
    uint target_stack[2], a_stack[2], b_stack[2];
    uint added, a_added, b_added;                         // products that are added up, and the way between their operands
} call;

shared float left[16][17], right[16][16];

void main() {
    int x = int(gl_LocalInvocationID.x), y = int(gl_LocalInvocationID.y);
    int row = int(gl_WorkGroupID.y) * 16 + y, column = int(gl_WorkGroupID.x) * 16 + x;
    uint outer = gl_WorkGroupID.z / call.stack_inner, inner = gl_WorkGroupID.z % call.stack_inner;
    uint first_a = call.a + outer * call.a_stack[0] + inner * call.a_stack[1];
    uint first_b = call.b + outer * call.b_stack[0] + inner * call.b_stack[1];
    uint target = call.target + outer * call.target_stack[0] + inner * call.target_stack[1];
    float sum = 0;
    for (uint i = 0; i < call.added; i++) {
        for (int k = 0; k < call.inner; k += 16) {
            left[y][x] = row < call.rows && k + x < call.inner ? fetch(first_a + row * call.a_row + (k + x) * call.a_column) : 0;
            right[y][x] = column < call.columns && k + y < call.inner
                ? fetch(first_b + (k + y) * call.b_row + column * call.b_column) : 0;
            barrier();
            for (int d = 0; d < 16; d++) sum += left[y][d] * right[d][x];
            barrier();
        }
        first_a += call.a_added;
        first_b += call.b_added;
    }
    if (row >= call.rows || column >= call.columns) return;
    float value = call.scale * sum;
    if (call.addend != NOWHERE)
        value += call.addend_scale * fetch(call.addend + row * call.addend_row + column * call.addend_column);
    store(target + row * call.target_row + column * call.target_column, value, call.add != 0);
}
