// Rows less their mean, over their deviation, scaled and shifted; a workgroup for each. With h = (x - mean) / deviation and
// d = dy * scale, backward is (d - mean(d) - h mean(d h)) / deviation.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;
layout(constant_id = 0) const int FORM = 0; // 0: forward; 1: backward; 2: what norm_sums.comp needs, means and then inverse
                                            // deviations of all rows, at y

layout(push_constant) uniform Call {
    uint rows, size, run, period;      // elements of a row; elements that share a scale and a bias; rows after which those repeat
    uint x, scale, bias, y, dx, add;   // y: forward the result, backward its gradient
    float epsilon;
} call;

shared float parts[128];

float average(float value) {
    uint lane = gl_LocalInvocationID.x;
    barrier();
    parts[lane] = value;
    for (uint width = 64; width > 0; width /= 2) {
        barrier();
        if (lane < width) parts[lane] += parts[lane + width];
    }
    barrier();
    return parts[0] / call.size;
}

void main() {
    uint row = flat_group(), lane = gl_LocalInvocationID.x;
    if (row >= call.rows) return; // the whole group
    uint first = row * call.size, parameter = row % call.period * (call.size / call.run);
    float sum = 0, squares = 0;
    for (uint i = lane; i < call.size; i += 128) sum += fetch(call.x + first + i);
    float mean = average(sum);
    for (uint i = lane; i < call.size; i += 128) {
        float away = fetch(call.x + first + i) - mean;
        squares += away * away;
    }
    float inverse = 1 / sqrt(average(squares) + call.epsilon);
    if (FORM == 2) {
        if (lane == 0) {
            put(call.y + row, mean);
            put(call.y + call.rows + row, inverse);
        }
        return;
    }
    if (FORM == 0) {
        for (uint i = lane; i < call.size; i += 128) {
            uint p = parameter + i / call.run;
            put(call.y + first + i, (fetch(call.x + first + i) - mean) * inverse * fetch(call.scale + p) +
                                         (call.bias == NOWHERE ? 0 : fetch(call.bias + p)));
        }
        return;
    }
    float d_sum = 0, dh_sum = 0;
    for (uint i = lane; i < call.size; i += 128) {
        float d = fetch(call.y + first + i) * fetch(call.scale + parameter + i / call.run);
        d_sum += d;
        dh_sum += d * (fetch(call.x + first + i) - mean) * inverse;
    }
    float d_mean = average(d_sum), dh_mean = average(dh_sum);
    for (uint i = lane; i < call.size; i += 128) {
        float d = fetch(call.y + first + i) * fetch(call.scale + parameter + i / call.run);
        float h = (fetch(call.x + first + i) - mean) * inverse;
        store(call.dx + first + i, (d - d_mean - h * dh_mean) * inverse, call.add != 0);
    }
}
