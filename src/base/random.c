/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
 * SC 2011). The counter is (index low, index high, step, use), the key is the seed. */
#include "base/base.h"
#include <math.h>

void ph_random_bits(struct ph_random_key key, uint64_t index, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = key.step, c3 = key.use;
    uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

double ph_random_uniform(struct ph_random_key key, uint64_t index) {
    uint32_t bits[4];
    ph_random_bits(key, index, bits);
    return bits[0] * 0x1p-32;
}

void ph_random_normal(struct ph_random_key key, float *values, size_t count) {
    for (size_t i = 0; i < count; i += 4) {
        uint32_t bits[4];
        ph_random_bits(key, i / 4, bits);
        for (int pair = 0; pair < 2; pair++) {
            /* The first uniform is in (0,1], so the logarithm is finite. */
            double radius = sqrt(-2 * log((bits[2 * pair] + 1.0) * 0x1p-32));
            double angle = 2 * 3.14159265358979323846 * (bits[2 * pair + 1] * 0x1p-32);
            size_t at = i + 2 * (size_t)pair;
            if (at < count) values[at] = (float)(radius * cos(angle));
            if (at + 1 < count) values[at + 1] = (float)(radius * sin(angle));
        }
    }
}
