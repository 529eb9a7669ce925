// Gradients by the scales and biases of a normalisation, a workgroup for each of them: with h = (x - mean) / deviation, sums
// of dy h and of dy over all elements that a parameter has.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;
layout(constant_id = 0) const int BY_ROW = 0; // means and spreads are a row's, which are deviations' inverses; else a
                                              // parameter's, which are variances

layout(push_constant) uniform Call {
    uint parameters, rows, runs, run, period; // runs: of a row; run: elements of one, which share a parameter; rows after
                                              // which parameters repeat
    uint x, dy, means, spreads, scale, bias;  // the last two are the gradients, NOWHERE where there is none
    uint add;                                 // bit 0: to the scale's gradient; bit 1: to the bias's
    float epsilon;
} call;

shared float parts[128];

float total(float value) {
    uint lane = gl_LocalInvocationID.x;
    barrier();
    parts[lane] = value;
    for (uint width = 64; width > 0; width /= 2) {
        barrier();
        if (lane < width) parts[lane] += parts[lane + width];
    }
    barrier();
    return parts[0];
}

void main() {
    uint parameter = flat_group();
    if (parameter >= call.parameters) return; // the whole group
    float scale_sum = 0, bias_sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < call.rows / call.period * call.run; i += 128) {
        uint row = parameter / call.runs + i / call.run * call.period;
        uint at = (row * call.runs + parameter % call.runs) * call.run + i % call.run, statistic = BY_ROW != 0 ? row : parameter;
        float gradient = fetch(call.dy + at);
        bias_sum += gradient;
        if (call.scale == NOWHERE) continue;
        float spread = fetch(call.spreads + statistic);
        scale_sum += gradient * (fetch(call.x + at) - fetch(call.means + statistic)) *
                     (BY_ROW != 0 ? spread : 1 / sqrt(spread + call.epsilon));
    }
    scale_sum = total(scale_sum);
    bias_sum = total(bias_sum);
    if (gl_LocalInvocationID.x != 0) return;
    if (call.scale != NOWHERE) store(call.scale + parameter, scale_sum, (call.add & 1) != 0);
    if (call.bias != NOWHERE) store(call.bias + parameter, bias_sum, (call.add & 2) != 0);
}
