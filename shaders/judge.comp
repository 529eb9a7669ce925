// What becomes of each item at a step, as src/vis/watch.c says it, what its gradient is divided by, as src/vis/gradient.c
// says it, and what the host is told. One workgroup, an invocation for each item.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "loop.glsl"
layout(local_size_x = 64) in; // PH_MAX_BATCH
layout(constant_id = 0) const int NORMALISATION = 0;
layout(constant_id = 1) const int HAS_TARGET = 0;
layout(constant_id = 2) const int HAS_STOP = 0;

layout(push_constant) uniform Call {
    uint items, size, value, gradient_parts, parts;      // parts: of the gradient that is divided
    uint step, items_place, report, divisors;            // step: its number, and whether the host may be asked to look
    uint errors, error_count, plateau;                   // errors: a table of places
    float target, stop_value, least_square, tolerance;
} call;

const int MEAN = 1, RMS = 2, L2 = 3, PROGRESS = 4, SHARE = 5; // enum ph_normalisation

shared uint holds; // no step is made until the host has looked

bool is_finite(float x) { return (floatBitsToUint(x) & 0x7fffffffu) < 0x7f800000u; }

// The largest error of an item's goals.
float worst_error(uint item) {
    float worst = 0;
    for (uint i = 0; i < call.error_count; i++) worst = max(worst, memory[bits[call.errors + i] + item]);
    return worst;
}

uint state_after(uint at, float value) {
    float good = HAS_TARGET != 0 ? -abs(value - call.target) : value, best = memory[at + 2];
    uint step = bits[call.step];
    float smoothed = step == 0 ? good : memory[at + 1] + 0.1 * (good - memory[at + 1]);
    memory[at + 1] = smoothed;
    if (step == 0 || smoothed > best + 1e-3 * abs(best)) {
        memory[at + 2] = smoothed;
        bits[at + 3] = step;
    }
    if (HAS_STOP != 0 && (HAS_TARGET != 0 ? -good <= call.stop_value : value >= call.stop_value)) return REACHED;
    return call.plateau > 0 && step - bits[at + 3] >= call.plateau ? FLAT : MOVES;
}

// Two numbers to be divided by, one after the other: their product may be outside the range of a float.
void divisors_put(uint item) {
    Measure whole = measure_of(call.parts, item, NORMALISATION == MEAN ? SIZES : SQUARES);
    float first = whole.largest, second = 1;
    if (NORMALISATION == MEAN) second = whole.sum / call.size;
    else if (NORMALISATION == RMS) second = sqrt(whole.sum / call.size);
    else if (NORMALISATION == L2) second = sqrt(whole.sum);
    else if (NORMALISATION == PROGRESS) second = max(first * whole.sum, call.least_square / first);
    if (NORMALISATION == SHARE) first = 1, second = 1.0 / call.size;
    bool divides = first > 0 && second > 0;
    memory[call.divisors + 2 * item] = divides ? first : 1;
    memory[call.divisors + 2 * item + 1] = divides ? second : 1;
}

void main() {
    uint item = gl_LocalInvocationID.x, at = item_place(call.items_place, item);
    uint held = item_place(call.items_place, call.items);
    bool there = item < call.items;
    if (item == 0) holds = bits[held];
    barrier();
    bool waits = holds != 0; // for the host, which has not looked yet
    barrier();
    if (there && bits[call.step + 1] != 0 && bits[at] == MOVES && worst_error(item) <= call.tolerance) {
        waits = true;
        atomicOr(holds, 1);
    }
    barrier();
    if (item == 0) bits[held] = holds;
    if (!there) return;
    float value = memory[call.value + item], gradient = measure_of(call.gradient_parts, item, SIZES).largest;
    if (holds == 0 && bits[at] == MOVES)
        bits[at] = is_finite(value) && is_finite(gradient) ? state_after(at, value) : FAILED;
    if (NORMALISATION != 0) divisors_put(item);
    memory[call.report + 3 * item] = value;
    memory[call.report + 3 * item + 1] = gradient;
    bits[call.report + 3 * item + 2] = waits ? HELD : bits[at];
}
