// One axis of a Fourier transform of complex numbers as a direct sum over a table of turns: exact to rounding at every
// length, with no passes to wait for. `out[o] = sum over i of in[i] * turn(sign * o * i / length) * weight(i or o)`.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int REAL_IN = 0;  // elements of the source have no imaginary part
layout(constant_id = 1) const int REAL_OUT = 0; // only the real part is wanted
layout(constant_id = 2) const int WEIGHTED = 0; // 1: elements read count twice where they stand for a conjugate; 2: those
                                                // written; the length of the real axis is `turn_length`

layout(push_constant) uniform Call {
    uint count, source, target, turns, add;
    uint lines, read, written, turn_length; // lines beside each other, elements of an axis read and written, of the whole turn
    uint read_stride, written_stride, line_stride_read, line_stride_written, plane_read, plane_written; // in numbers
    float scale;
    int sign_;
} call;

float multiplicity(uint k) { return k == 0 || 2 * k == call.turn_length ? 1 : 2; }

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    uint o = index % call.written, line = index / call.written % call.lines, plane = index / call.written / call.lines;
    uint source = plane * call.plane_read + line * call.line_stride_read;
    vec2 sum = vec2(0);
    uint angle = 0; // o * i modulo the length
    for (uint i = 0; i < call.read; i++) {
        uint at = source + i * call.read_stride;
        vec2 value = REAL_IN != 0 ? vec2(fetch(call.source + at), 0)
                                  : vec2(fetch(call.source + 2 * at), fetch(call.source + 2 * at + 1));
        if (WEIGHTED == 1) value *= multiplicity(i);
        vec2 turn = vec2(fetch(call.turns + 2 * angle), call.sign_ * fetch(call.turns + 2 * angle + 1));
        sum += vec2(value.x * turn.x - value.y * turn.y, value.x * turn.y + value.y * turn.x);
        angle += o;
        if (angle >= call.turn_length) angle -= call.turn_length;
    }
    sum *= call.scale * (WEIGHTED == 2 ? multiplicity(o) : 1);
    uint at = plane * call.plane_written + line * call.line_stride_written + o * call.written_stride;
    if (REAL_OUT != 0) {
        store(call.target + at, sum.x, call.add != 0);
    } else {
        store(call.target + 2 * at, sum.x, call.add != 0);
        store(call.target + 2 * at + 1, sum.y, call.add != 0);
    }
}
