/* Activations by the vector. erf: Abramowitz and Stegun 7.1.26, absolute error 1.5e-7. */
#include "cpu/kernels/activation.h"
#include "cpu/kernels/exponential.h"

PH_INLINE vector sigmoid(vector x) { return 1.0f / (1.0f + exponential(-x)); }

PH_INLINE vector tangent(vector x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

/* 1 / cosh^2, without a difference of numbers near 1. */
PH_INLINE vector tangent_slope(vector x) {
    vector e = exponential(where(x < (vector){0}, 2.0f * x, -2.0f * x));
    return 4.0f * e / ((1.0f + e) * (1.0f + e));
}

PH_INLINE vector size_of(vector x) { return maximum(x, -x); }

/* 1 - erf(size) for a size of 0 or more, with exp(-size^2) given. */
PH_INLINE vector error_function_rest(vector size, vector bell) {
    vector t = 1.0f / (1.0f + 0.3275911f * size), sum = splat(1.061405429f);
    sum = sum * t - 1.453152027f;
    sum = sum * t + 1.421413741f;
    sum = sum * t - 0.284496736f;
    sum = sum * t + 0.254829592f;
    return sum * t * bell;
}

PH_INLINE vector error_function(vector x) {
    vector y = 1.0f - error_function_rest(size_of(x), exponential(-x * x));
    return where(x < (vector){0}, -y, y);
}

/* The normal distribution function of -|x|, with exp(-x^2 / 2) given. */
PH_INLINE vector normal_tail(vector x, vector bell) { return 0.5f * error_function_rest(size_of(x) * 0.70710678f, bell); }

/* The argument of the sigmoid in gelu's tanh form, and its slope. */
PH_INLINE vector gelu_argument(vector x) { return 1.5957691216f * (x + 0.044715f * x * x * x); }
PH_INLINE vector gelu_argument_slope(vector x) { return 1.5957691216f * (1.0f + 0.134145f * x * x); }

PH_INLINE vector gelu(vector x, bool tanh) {
    if (tanh) return x * sigmoid(gelu_argument(x));
    return maximum((vector){0}, x) - size_of(x) * normal_tail(x, exponential(-0.5f * x * x));
}

PH_INLINE vector gelu_slope(vector x, bool tanh) {
    if (!tanh) {
        vector bell = exponential(-0.5f * x * x), tail = normal_tail(x, bell);
        return where(x < (vector){0}, tail, 1.0f - tail) + x * 0.39894228f * bell;
    }
    vector s = sigmoid(gelu_argument(x));
    return s + x * s * (1.0f - s) * gelu_argument_slope(x);
}

PH_INLINE vector silu_slope(vector x) {
    vector s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

PH_INLINE vector hard_swish_slope(vector x) {
    return where(x <= splat(-3), (vector){0}, where(x >= splat(3), splat(1), x * (1.0f / 3) + 0.5f));
}

/* tanh(softplus(x)) = n / (n + 2) with e = exp(x) and n = e (e + 2); from 20 on it is 1. */
PH_INLINE vector mish(vector x) {
    vector e = exponential(minimum(splat(20), x)), n = e * (e + 2.0f);
    return x * (n / (n + 2.0f));
}

PH_INLINE vector mish_slope(vector x) {
    vector e = exponential(minimum(splat(20), x)), n = e * (e + 2.0f), part = 1.0f / (n + 2.0f);
    return part * (n + x * (4.0f * e * (e + 1.0f) * part));
}

/* `value` of x; `slope` of k, which is x or y. */
#define ACTIVATION(name, value, slope)                                                                                   \
    PH_INLINE vector name##_value(const struct ph_activation_attributes *a, vector x) { return (void)a, value; }         \
    PH_INLINE vector name##_slope_at(const struct ph_activation_attributes *a, vector k) { return (void)a, slope; }      \
    static void name##_forward(const struct ph_activation_attributes *a, const float *from, float *to, int64_t count) {  \
        int64_t i = 0;                                                                                                   \
        for (; i + PH_LANES <= count; i += PH_LANES) store(to + i, name##_value(a, load(from + i)));                     \
        if (i == count) return;                                                                                          \
        vector last = name##_value(a, load_some(from + i, count - i));                                                   \
        store_some(to + i, last, count - i);                                                                             \
    }                                                                                                                    \
    static void name##_backward(const struct ph_activation_attributes *a, const float *known, const float *g, float *to, \
                                bool accumulate, int64_t count) {                                                        \
        int64_t i = 0;                                                                                                   \
        for (; !accumulate && i + PH_LANES <= count; i += PH_LANES)                                                      \
            store(to + i, load(g + i) * name##_slope_at(a, load(known + i)));                                            \
        for (; i + PH_LANES <= count; i += PH_LANES)                                                                     \
            store(to + i, load(to + i) + load(g + i) * name##_slope_at(a, load(known + i)));                             \
        if (i == count) return;                                                                                          \
        vector last = load_some(g + i, count - i) * name##_slope_at(a, load_some(known + i, count - i));                 \
        if (accumulate) last += load_some(to + i, count - i);                                                            \
        store_some(to + i, last, count - i);                                                                             \
    }

ACTIVATION(sigmoid, sigmoid(x), k * (1.0f - k))
ACTIVATION(silu, x * sigmoid(x), silu_slope(k))
ACTIVATION(tanh, tangent(x), tangent_slope(k))
ACTIVATION(gelu, gelu(x, a->tanh), gelu_slope(k, a->tanh))
ACTIVATION(erf, error_function(x), 1.1283791671f * exponential(-k * k))
ACTIVATION(hard_swish, x * limited(x * (1.0f / 6) + 0.5f, 0, 1), hard_swish_slope(k))
ACTIVATION(mish, mish(x), mish_slope(k))

#define ROW(name) {&ph_operation_##name, name##_forward, name##_backward}
static const struct ph_vector_activation table[] = {ROW(sigmoid), ROW(silu), ROW(tanh), ROW(gelu), ROW(erf), ROW(hard_swish),
                                                    ROW(mish)};

const struct ph_vector_activation *PH_KERNEL(ph_activation_find)(const struct ph_operation *operation) {
    for (int i = 0; i < PH_COUNT(table); i++)
        if (table[i].operation == operation) return &table[i];
    return NULL;
}
