// A step of Adam (Kingma and Ba 2014, algorithm 1, in PyTorch's form), as in src/vis/optimisers/adam.c. An item whose
// objective or gradient is not finite stays where it is.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Call {
    uint count, size, x, gradient, mean, square, scalars, report; // size: parameters of an item
    float beta1, rest1, beta2, rest2, epsilon;                    // rest: 1 - beta
} call;

bool is_finite(float x) { return !isnan(x) && !isinf(x); }

void main() {
    uint i = flat_index();
    if (i >= call.count) return;
    uint report = call.report + 2 * (i / call.size);
    if (!is_finite(memory[report]) || !is_finite(memory[report + 1])) return;
    float rate = memory[call.scalars], root = memory[call.scalars + 1], g = memory[call.gradient + i];
    float mean = call.beta1 * memory[call.mean + i] + call.rest1 * g;
    float square = call.beta2 * memory[call.square + i] + call.rest2 * (g * g);
    memory[call.mean + i] = mean;
    memory[call.square + i] = square;
    memory[call.x + i] -= rate * mean / (sqrt(square) * root + call.epsilon);
}
