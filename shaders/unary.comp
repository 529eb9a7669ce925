// Functions of one element, and their derivatives times the gradient.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int FUNCTION = 0; // in the order of unary_functions in kernels.c
layout(constant_id = 1) const int BACKWARD = 0;

layout(push_constant) uniform Call {
    uint count, x, y, dy, dx, add;
    float alpha, beta, low, high;
} call;

float sigmoid(float x) {
    float e = exp(-abs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

// By the series where 1 - e^(-2|x|) would cancel.
float tangent(float x) {
    float a = abs(x), s = x * x;
    if (a < 0.25) return x * (1 + s * (-1.0 / 3 + s * (2.0 / 15 + s * (-17.0 / 315 + s * (62.0 / 2835)))));
    float e = exp(-2 * a);
    return sign(x) * (1 - e) / (1 + e);
}

float value(float x) {
    switch (FUNCTION) {
    case 0: return x <= 0 ? 0 : x;
    case 1: return x < 0 ? call.alpha * x : x;
    case 2: return x < call.low ? call.low : x > call.high ? call.high : x;
    case 3: return sigmoid(x);
    case 4: return tangent(x);
    case 5: return exp(x);
    case 6: return log(x);
    case 7: return sqrt(x);
    case 8: return abs(x);
    case 9: return -x;
    case 10: return 1 / x;
    case 11: return x * sigmoid(x);
    case 12: return clamp(call.alpha * x + call.beta, 0, 1);
    case 13: return x * clamp(x / 6 + 0.5, 0, 1);
    default: return x;
    }
}

// What is not named by the operation's backward_reads is 0.
float slope(float x, float y) {
    switch (FUNCTION) {
    case 0: return y > 0 ? 1 : 0;
    case 1: return x > 0 ? 1 : call.alpha;
    case 2: return x > call.low && x < call.high ? 1 : 0;
    case 3: return y * (1 - y);
    case 4: {
        float e = exp(-2 * abs(x));
        return 4 * e / ((1 + e) * (1 + e));
    }
    case 5: return y;
    case 6: return 1 / x;
    case 7: return 0.5 / y;
    case 8: return sign(x);
    case 9: return -1;
    case 10: return -y * y;
    case 11: {
        float s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
    case 12: return y > 0 && y < 1 ? call.alpha : 0;
    case 13: return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    default: return 1;
    }
}

void main() {
    uint i = flat_index();
    if (i >= call.count) return;
    if (BACKWARD == 0) {
        memory[call.y + i] = value(memory[call.x + i]);
        return;
    }
    float x = call.x == NOWHERE ? 0 : memory[call.x + i], y = call.y == NOWHERE ? 0 : memory[call.y + i];
    store(call.dx + i, memory[call.dy + i] * slope(x, y), call.add != 0);
}
