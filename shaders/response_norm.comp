// Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3) and its adjoint.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int BACKWARD = 0;

layout(push_constant) uniform Call {
    uint count, x, y, dx, add; // y: forward the result, backward its gradient
    int channels, pixels, before, after;
    float scale, beta, bias;   // scale: alpha / n
} call;

// bias + alpha / n * sum of squares over a channel's window; `base` is the pixel in the first channel.
float strength(uint base, int channel) {
    float sum = 0;
    for (int c = max(channel - call.before, 0); c <= min(channel + call.after, call.channels - 1); c++) {
        float value = fetch(base + c * call.pixels);
        sum += value * value;
    }
    return call.bias + call.scale * sum;
}

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    int channel = int(index) / call.pixels % call.channels;
    uint first = index - channel * call.pixels, base = call.x + first;
    float x = fetch(call.x + index), s = strength(base, channel);
    if (BACKWARD == 0) {
        put(call.y + index, x * pow(s, -call.beta));
        return;
    }
    float sum = 0;
    for (int c = max(channel - call.after, 0); c <= min(channel + call.before, call.channels - 1); c++)
        sum += fetch(call.y + first + c * call.pixels) * fetch(base + c * call.pixels) *
               pow(strength(base, c), -call.beta - 1);
    store(call.dx + index, fetch(call.y + index) * pow(s, -call.beta) - 2 * call.beta * call.scale * x * sum, call.add != 0);
}
