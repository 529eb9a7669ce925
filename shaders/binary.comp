// Functions of two elements that are broadcast to each other. An element of an operand that takes part in several results
// sums their shares itself, in order, so that the sum does not depend on which invocation is first.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int FUNCTION = 0; // in the order of binary_functions in elementwise.c
layout(constant_id = 1) const int OPERAND = -1; // whose gradient is made; -1: forward
layout(constant_id = 2) const int INTEGER = 0;  // the result is of whole numbers: quotients and powers are too
layout(constant_id = 3) const int RANK = 4;     // outer axes, the last of the block's

layout(push_constant) uniform Call {
    uint count, a, b, y, out_, add; // y: forward the result's place; backward its gradient's; out_: backward the target
    uint dims[4];                   // outer: one position for each element that is written
    int a_stride[4], b_stride[4], y_stride[4];
    uint inner_dims[2];             // backward: the results an element takes part in
    int inner_other[2], inner_y[2]; // strides of the other operand and of the result there
} call;

// Python's remainder has the divisor's sign, C's the dividend's.
float remainder(float a, float b, bool python) {
    float rest = a - b * trunc(a / b);
    return python && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// Of any real base to a whole power; negative bases have no other.
float power(float a, float b) {
    if (b == 0) return 1;
    if (a == 0) return b > 0 ? 0 : INFINITE;
    float size = pow(abs(a), b);
    if (a > 0) return size;
    if (b != trunc(b)) return NOT_A_NUMBER;
    return mod(b, 2) == 0 ? size : -size;
}

float truth(bool holds) { return holds ? 1 : 0; }

float value(float a, float b) {
    switch (FUNCTION) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return INTEGER != 0 ? trunc(a / b) : a / b;
    case 4: return INTEGER == 0 ? power(a, b) : b < 0 ? trunc(power(a, b)) : round(power(a, b));
    case 5: return remainder(a, b, true);
    case 6: return remainder(a, b, false);
    case 7: return a <= b || isnan(a) ? a : b;
    case 8: return a >= b || isnan(a) ? a : b;
    case 9: return a < 0 ? a * b : a;
    case 10: return truth(a == b);
    case 11: return truth(a > b);
    case 12: return truth(a < b);
    case 13: return truth(a >= b);
    case 14: return truth(a <= b);
    case 15: return truth(a != 0 && b != 0);
    case 16: return truth(a != 0 || b != 0);
    default: return truth((a != 0) != (b != 0));
    }
}

// By operand a or b.
float slope(float a, float b) {
    bool first = OPERAND == 0;
    switch (FUNCTION) {
    case 0: return 1;
    case 1: return first ? 1 : -1;
    case 2: return first ? b : a;
    case 3: return first ? 1 / b : -a / (b * b);
    case 4: return first ? (b == 0 ? 0 : b * power(a, b - 1)) : a > 0 ? log(a) * power(a, b) : 0;
    case 5: return first ? 1 : -floor(a / b);
    case 6: return first ? 1 : -trunc(a / b);
    case 7: return truth(first ? a <= b : b < a);
    case 8: return truth(first ? a >= b : b > a);
    default: return first ? (a > 0 ? 1 : b) : a < 0 ? a : 0; // prelu, the last that has one
    }
}

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    uint a = 0, b = 0, y = 0;
    for (int i = 3; i >= 4 - RANK; i--) {
        int at = int(index % call.dims[i]);
        index /= call.dims[i];
        a += uint(at * call.a_stride[i]);
        b += uint(at * call.b_stride[i]);
        y += uint(at * call.y_stride[i]);
    }
    if (OPERAND < 0) {
        put(call.y + y, value(fetch(call.a + a), fetch(call.b + b)));
        return;
    }
    float sum = 0;
    for (uint i = 0; i < call.inner_dims[0]; i++)
        for (uint j = 0; j < call.inner_dims[1]; j++) {
            uint other = i * uint(call.inner_other[0]) + j * uint(call.inner_other[1]);
            uint at_a = a + (OPERAND == 0 ? 0 : other), at_b = b + (OPERAND == 0 ? other : 0);
            float left = FUNCTION < 2 || call.a == NOWHERE ? 0 : fetch(call.a + at_a);
            float right = FUNCTION < 2 || call.b == NOWHERE ? 0 : fetch(call.b + at_b);
            sum += fetch(call.y + y + i * uint(call.inner_y[0]) + j * uint(call.inner_y[1])) * slope(left, right);
        }
    store(call.out_ + (OPERAND == 0 ? a : b), sum, call.add != 0);
}
