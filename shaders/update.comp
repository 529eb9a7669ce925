// A step of an optimiser: struct ph_update's rule, as in src/vis/optimiser.c, along a gradient that is divided by its item's
// size; behind it the parameters shrink and are kept in bounds. Workgroups along x share an item, along y are the items.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "loop.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const int KEEPS_MEAN = 0;
layout(constant_id = 1) const int KEEPS_SQUARE = 0;
layout(constant_id = 2) const int DIVIDES = 0;
layout(constant_id = 3) const int DECAYS = 0;
layout(constant_id = 4) const int IS_BOUNDED = 0;

layout(push_constant) uniform Call {
    uint items, size, shared_size, x, gradient, mean, square, update, items_place, divisors; // shared_size: all items have in common
    float kept; // of the parameters after decay
} call;

// keep_mean, take_mean, keep_square, take_square, ahead, here, root, epsilon.
float coefficient(uint i) { return memory[call.update + i]; }

float gradient_at(uint item, uint i) {
    float g = memory[call.gradient + item * call.size + i];
    return DIVIDES == 0 ? g : g / memory[call.divisors + 2 * item] / memory[call.divisors + 2 * item + 1];
}

void main() {
    uint item = gl_WorkGroupID.y;
    if (!item_moves(call.items_place, call.items, item)) return;
    for (uint i = gl_GlobalInvocationID.x; i < call.size; i += 256 * gl_NumWorkGroups.x) {
        uint at = item * call.size + i;
        float g = i < call.shared_size ? 0 : gradient_at(item, i);
        for (uint n = 0; n < call.items && i < call.shared_size; n++) g += gradient_at(n, i);
        float along = coefficient(5) * g;
        if (KEEPS_MEAN != 0) {
            float mean = coefficient(0) * memory[call.mean + at] + coefficient(1) * g;
            memory[call.mean + at] = mean;
            along = coefficient(4) * mean + along;
        }
        if (KEEPS_SQUARE != 0) {
            float square = coefficient(2) * memory[call.square + at] + coefficient(3) * (g * g);
            memory[call.square + at] = square;
            along /= sqrt(square) * coefficient(6) + coefficient(7);
        }
        float x = memory[call.x + at] - along;
        if (DECAYS != 0) x *= call.kept;
        if (IS_BOUNDED != 0) x = clamp(x, -0.5, 0.5);
        memory[call.x + at] = x;
    }
}
