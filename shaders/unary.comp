// Functions of one element, and their derivatives times the gradient.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "functions.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int FUNCTION = 0; // in the order of unary_functions in elementwise.c
layout(constant_id = 1) const int BACKWARD = 0;
layout(constant_id = 2) const int FORM = 0;     // gelu: 1 approximates; cast: 1 to integers, 2 to truth values; ruled_clip:
                                                // the rule

layout(push_constant) uniform Call {
    uint count, x, y, dy, dx, add;
    float alpha, beta, low, high;
} call;

float clip(float x) { return x < call.low ? call.low : x > call.high ? call.high : x; }

// tanh(softplus(x)) = n / (n + 2) with e = exp(x) and n = e (e + 2); from 30 on it is 1.
float mish_share(float x) {
    float e = exp(min(x, 30)), n = e * (e + 2);
    return n / (n + 2);
}

// Half of gelu's approximation is a sigmoid of this (Hendrycks and Gimpel, arXiv:1606.08415).
float gelu_argument(float x) { return 4 * INVERSE_SQRT_2PI * (x + 0.044715 * x * x * x); }

float value(float x) {
    switch (FUNCTION) {
    case 0: return x <= 0 ? 0 : x;
    case 1: return x < 0 ? call.alpha * x : x;
    case 2: return clip(x);
    case 3: return sigmoid(x);
    case 4: return tangent_hyperbolic(x);
    case 5: return exp(x);
    case 6: return log(x);
    case 7: return sqrt(x);
    case 8: return abs(x);
    case 9: return -x;
    case 10: return 1 / x;
    case 11: return x * sigmoid(x);
    case 12: return clamp(call.alpha * x + call.beta, 0, 1);
    case 13: return x * clamp(x / 6 + 0.5, 0, 1);
    case 14: return x * mish_share(x);
    case 15: return x > 0 ? x : call.alpha * exponential_less_one(x);
    case 16: return call.beta * (x > 0 ? x : call.alpha * exponential_less_one(x));
    case 17: return x > 0 ? x : call.alpha * exponential_less_one(x / call.alpha);
    case 18: return x * (FORM != 0 ? sigmoid(gelu_argument(x)) : 0.5 * error_complement(-x * SQRT_HALF));
    case 19: return max(x, 0) + logarithm_of_one_more(exp(-abs(x)));
    case 20: return x / (1 + abs(x));
    case 21: return x <= call.alpha ? 0 : x;
    case 22: return x < -call.alpha ? x + call.beta : x > call.alpha ? x - call.beta : 0;
    case 23: return clip(x);
    case 24: return error_function(x);
    case 25: return sine(x);
    case 26: return cosine(x);
    case 27: return tangent(x);
    case 28: return arc_sine(x);
    case 29: return arc_cosine(x);
    case 30: return arc_tangent(x);
    case 31: return sine_hyperbolic(x);
    case 32: return cosine_hyperbolic(x);
    case 33: return arc_sine_hyperbolic(x);
    case 34: return arc_cosine_hyperbolic(x);
    case 35: return arc_tangent_hyperbolic(x);
    case 36: return floor(x);
    case 37: return ceil(x);
    case 38: return roundEven(x);
    case 39: return sign(x);
    case 40: return x == 0 ? 1 : 0;
    case 41: return isnan(x) ? 1 : 0;
    default: return FORM == 0 ? x : FORM == 1 ? trunc(x) : x != 0 ? 1 : 0;
    }
}

float mish_slope(float x) {
    float e = exp(min(x, 30)), n = e * (e + 2);
    return n / (n + 2) + x * (4 * e * (e + 1) / (n + 2) / (n + 2));
}

float gelu_slope(float x) {
    if (FORM == 0) return 0.5 * error_complement(-x * SQRT_HALF) + x * INVERSE_SQRT_2PI * exp(-0.5 * x * x);
    float s = sigmoid(gelu_argument(x));
    return s + x * s * (1 - s) * 4 * INVERSE_SQRT_2PI * (1 + 3 * 0.044715 * x * x);
}

// The plain rule; guided backpropagation (arXiv:1412.6806); the deconvolutional network (arXiv:1311.2901).
float ruled(float x, float dy) {
    bool inside = x > call.low && x < call.high;
    return (FORM == 0 ? inside : dy < 0 && (inside || FORM == 2)) ? 1 : 0;
}

// What is not named by unary_reads in elementwise.c is 0.
float slope(float x, float y, float dy) {
    switch (FUNCTION) {
    case 0: return y > 0 ? 1 : 0;
    case 1: return x > 0 ? 1 : call.alpha;
    case 2: return x > call.low && x < call.high ? 1 : 0;
    case 3: return sigmoid(x) * sigmoid(-x); // not of y, which rounding makes 1
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
    case 14: return mish_slope(x);
    case 15: return x > 0 ? 1 : call.alpha * exp(x);
    case 16: return call.beta * (x > 0 ? 1 : call.alpha * exp(x));
    case 17: return x > 0 ? 1 : exp(x / call.alpha);
    case 18: return gelu_slope(x);
    case 19: return sigmoid(x);
    case 20: return 1 / ((1 + abs(x)) * (1 + abs(x)));
    case 21: return x > call.alpha ? 1 : 0;
    case 22: return abs(x) > call.alpha ? 1 : 0;
    case 23: return ruled(x, dy);
    case 24: return TWO_OVER_SQRT_PI * exp(-x * x);
    case 25: return cosine(x);
    case 26: return -sine(x);
    case 27: return 1 + y * y;
    case 28: return 1 / sqrt((1 - x) * (1 + x));
    case 29: return -1 / sqrt((1 - x) * (1 + x));
    case 30: return 1 / (1 + x * x);
    case 31: return cosine_hyperbolic(x);
    case 32: return sine_hyperbolic(x);
    case 33: return 1 / sqrt(x * x + 1);
    case 34: return 1 / sqrt((x - 1) * (x + 1));
    default: return 1 / ((1 - x) * (1 + x)); // atanh, the last that has one
    }
}

void main() {
    uint i = flat_index();
    if (i >= call.count) return;
    if (BACKWARD == 0) {
        put(call.y + i, value(fetch(call.x + i)));
        return;
    }
    float x = call.x == NOWHERE ? 0 : fetch(call.x + i), y = call.y == NOWHERE ? 0 : fetch(call.y + i);
    float dy = fetch(call.dy + i);
    store(call.dx + i, dy * slope(x, y, dy), call.add != 0);
}
