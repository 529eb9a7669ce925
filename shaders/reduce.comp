// One result for each workgroup from many elements, and what it gives back to them: a share for each invocation, then a
// tree, in the same order on every run. Of equal extremes the first in row order is the one.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;
layout(constant_id = 0) const int FUNCTION = 0; // in the order of reductions in reduce.c
layout(constant_id = 1) const int BACKWARD = 0;
layout(constant_id = 2) const int LAST = 0;     // places of extremes: the last of equals

layout(push_constant) uniform Call {
    uint count, x, y, dy, dx, add; // backward: dy is the result's gradient, dx the target
    float scale;
    uint outer_dims[4];
    int outer_x[4], outer_y[4];
    uint inner_count, inner_dims[4];
    int inner_x[4];
} call;

const int SUM = 0, L1 = 1, L2 = 2, SQUARES = 3, LOG_SUM = 4, LOG_SUM_EXP = 5, PRODUCT = 6, MAXIMUM = 7, MINIMUM = 8,
          PLACE_MAXIMUM = 9, PLACE_MINIMUM = 10;

shared float parts[128];
shared uint places[128];

// Where element k stands, from the first.
uint element(uint k) {
    uint at = 0;
    for (int i = 3; i >= 0; i--) {
        at += (k % call.inner_dims[i]) * uint(call.inner_x[i]);
        k /= call.inner_dims[i];
    }
    return at;
}

float total(float value, bool multiplies) {
    uint lane = gl_LocalInvocationID.x;
    barrier();
    parts[lane] = value;
    for (uint width = 64; width > 0; width /= 2) {
        barrier();
        if (lane < width)
            parts[lane] = multiplies ? parts[lane] * parts[lane + width] : parts[lane] + parts[lane + width];
    }
    barrier();
    return parts[0];
}

// Whether (value, place) comes before what was best so far.
bool leads(float value, uint place, float best, uint best_place) {
    if (best_place == NOWHERE || place == NOWHERE) return best_place == NOWHERE && place != NOWHERE;
    return value > best || (value == best && (LAST != 0 ? place > best_place : place < best_place));
}

// Number of the element that is largest, times `sign`; NOWHERE of none.
uint extreme(uint x, float sign) {
    uint lane = gl_LocalInvocationID.x, place = NOWHERE;
    float best = 0;
    for (uint k = lane; k < call.inner_count; k += 128) {
        float value = sign * fetch(x + element(k));
        if (leads(value, k, best, place)) {
            best = value;
            place = k;
        }
    }
    barrier();
    parts[lane] = best;
    places[lane] = place;
    for (uint width = 64; width > 0; width /= 2) {
        barrier();
        if (lane < width && leads(parts[lane + width], places[lane + width], parts[lane], places[lane])) {
            parts[lane] = parts[lane + width];
            places[lane] = places[lane + width];
        }
    }
    barrier();
    return places[0];
}

float extreme_sign() { return FUNCTION == MINIMUM || FUNCTION == PLACE_MINIMUM ? -1 : 1; }

// Sum over the elements of what each gives.
float gathered(uint x, float largest) {
    float sum = FUNCTION == PRODUCT ? 1 : 0;
    for (uint k = gl_LocalInvocationID.x; k < call.inner_count; k += 128) {
        float value = fetch(x + element(k));
        switch (FUNCTION) {
        case L1: sum += abs(value); break;
        case L2: case SQUARES: sum += value * value; break;
        case LOG_SUM_EXP: sum += exp(value - largest); break;
        case PRODUCT: sum *= value; break;
        default: sum += value; break;
        }
    }
    return total(sum, FUNCTION == PRODUCT);
}

void forward(uint x, uint y) {
    float result = 0, largest = 0;
    if (FUNCTION >= MAXIMUM || FUNCTION == LOG_SUM_EXP) {
        uint place = extreme(x, extreme_sign());
        if (FUNCTION >= PLACE_MAXIMUM) result = place == NOWHERE ? -1 : float(place);
        else result = place == NOWHERE ? -extreme_sign() * INFINITE : fetch(x + element(place));
        largest = result;
    }
    if (FUNCTION < MAXIMUM) result = gathered(x, largest);
    switch (FUNCTION) {
    case SUM: result *= call.scale; break;
    case L2: result = sqrt(result); break;
    case LOG_SUM: result = log(result); break;
    case LOG_SUM_EXP: result = isinf(largest) ? largest : largest + log(result); break;
    }
    if (gl_LocalInvocationID.x == 0) store(y, result, call.add != 0);
}

// Product of the elements but one: all that are not 0, unless the others hold a 0.
float others(float value, float product, float zeros) {
    return value == 0 ? (zeros > 1 ? 0 : product) : zeros > 0 ? 0 : product / value;
}

void backward(uint x, uint y, uint index_y) {
    uint lane = gl_LocalInvocationID.x, place = NOWHERE;
    float result = call.y == NOWHERE ? 0 : fetch(y), gradient = fetch(call.dy + index_y), product = 1, zeros = 0;
    if (FUNCTION >= MAXIMUM) place = extreme(call.x + x, extreme_sign());
    if (FUNCTION == PRODUCT) {
        for (uint k = lane; k < call.inner_count; k += 128) {
            float value = fetch(call.x + x + element(k));
            if (value == 0) zeros += 1;
            else product *= value;
        }
        product = total(product, true);
        zeros = total(zeros, false);
    }
    for (uint k = lane; k < call.inner_count; k += 128) {
        uint at = x + element(k);
        float value = call.x == NOWHERE ? 0 : fetch(call.x + at), share = 0;
        switch (FUNCTION) {
        case L1: share = sign(value); break;
        case L2: share = result > 0 ? value / result : 0; break; // the norm of zeros has no gradient
        case SQUARES: share = 2 * value; break;
        case LOG_SUM: share = exp(-result); break;
        case LOG_SUM_EXP: share = exp(value - result); break;
        case PRODUCT: share = others(value, product, zeros); break;
        default: share = k == place ? 1 : 0; break;
        }
        store(call.dx + at, gradient * share, call.add != 0);
    }
}

void main() {
    uint index = flat_group();
    if (index >= call.count) return; // the whole group
    uint x = 0, y = 0;
    for (int i = 3; i >= 0; i--) {
        int at = int(index % call.outer_dims[i]);
        index /= call.outer_dims[i];
        x += uint(at * call.outer_x[i]);
        y += uint(at * call.outer_y[i]);
    }
    if (BACKWARD == 0) forward(call.x + x, call.y + y);
    else backward(x, call.y + y, y);
}
