// Local response normalisation (Krizhevsky et al. 2012, section 3.3), across channels or within each, and its adjoint.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int BACKWARD = 0;
layout(constant_id = 1) const int WITHIN = 0; // the window is of pixels

layout(push_constant) uniform Call {
    uint count, x, y, dx, add; // y: forward the result, backward its gradient
    int channels, height, width, before, after; // within channels as far before as after
    float scale, beta, bias;   // scale: alpha / n
} call;

// Where an element stands in its item: channel, or within channels 0; row, or across channels 0; column, or pixel.
ivec3 place_of(int index) {
    int pixels = call.height * call.width;
    if (WITHIN == 0) return ivec3(index / pixels % call.channels, 0, index % pixels);
    return ivec3(0, index % pixels / call.width, index % call.width);
}

int offset_of(ivec3 place) { return (place.x * call.height + place.y) * call.width + place.z; }

// First and last of a window that reaches so far.
ivec3 first_of(ivec3 place, int reach) { return max(place - (WITHIN == 0 ? ivec3(reach, 0, 0) : ivec3(0, reach, reach)), 0); }

ivec3 last_of(ivec3 place, int reach) {
    if (WITHIN == 0) return ivec3(min(place.x + reach, call.channels - 1), place.yz);
    return ivec3(0, min(place.y + reach, call.height - 1), min(place.z + reach, call.width - 1));
}

// bias + alpha / n * sum of squares over an element's window; `base` is the item's, or within channels the channel's, first.
float strength(uint base, ivec3 place) {
    ivec3 first = first_of(place, call.before), last = last_of(place, call.after);
    float sum = 0;
    for (int c = first.x; c <= last.x; c++)
        for (int y = first.y; y <= last.y; y++)
            for (int x = first.z; x <= last.z; x++) {
                float value = fetch(base + offset_of(ivec3(c, y, x)));
                sum += value * value;
            }
    return call.bias + call.scale * sum;
}

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    ivec3 place = place_of(int(index));
    uint start = index - offset_of(place), base = call.x + start;
    float x = fetch(call.x + index), s = strength(base, place);
    if (BACKWARD == 0) {
        put(call.y + index, x * pow(s, -call.beta));
        return;
    }
    ivec3 first = first_of(place, call.after), last = last_of(place, call.before); // of those whose windows hold it
    float sum = 0;
    for (int c = first.x; c <= last.x; c++)
        for (int y = first.y; y <= last.y; y++)
            for (int k = first.z; k <= last.z; k++) {
                int at = offset_of(ivec3(c, y, k));
                sum += fetch(call.y + start + at) * fetch(base + at) * pow(strength(base, ivec3(c, y, k)), -call.beta - 1);
            }
    store(call.dx + index, fetch(call.y + index) * pow(s, -call.beta) - 2 * call.beta * call.scale * x * sum, call.add != 0);
}
