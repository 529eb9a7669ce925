/* Half-precision formats (IEEE 754 binary16; bfloat16 is the upper half of binary32). */
#include "base/base.h"
#include <string.h>

static float float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float ph_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;
    if (exponent == 31) return float_from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent) return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    /* Subnormal: fraction * 2^-24 is exact in float. */
    float value = (float)fraction * 0x1p-24f;
    return sign ? -value : value;
}

float ph_bfloat16_to_float(uint16_t value) { return float_from_bits((uint32_t)value << 16); }

uint16_t ph_float_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return sign | 0x7e00;
    if (bits >= 0x47800000) return sign | 0x7c00; /* 65536 and above; 65520 to 65535 round up below */
    if (bits < 0x38800000) {
        /* Subnormal half: adding 0.5 aligns the fraction so that the processor rounds it, nearest even. */
        float aligned = float_from_bits(bits) + 0.5f;
        uint32_t result;
        memcpy(&result, &aligned, sizeof result);
        return (uint16_t)(sign | (result - 0x3f000000));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (bits - 0x38000000) >> 13);
}
