// Convolution as convolution.comp's implicit matrix product on matrix hardware: tiles of 64 x 64 from factors of 16 bits, summed
// in 32, by four groups of 32 invocations with four fragments of 16 x 16 each. matrix.comp multiplies fragments by
// cooperative matrices (GL_NV_cooperative_matrix); twin.comp, with TWIN defined, by plain arithmetic: addresses, tiles and
// the order of sums between fragments are the same, so that a device without matrix hardware can test them.
//
// Gradients have no range that 16 bits would hold. What goes through shared memory together is therefore scaled by a power
// of two, which makes its largest element 2^14 to 2^15, and the products back.
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#ifndef TWIN
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix : require
#endif
#include "common.glsl"
#include "convolution.glsl"
layout(local_size_x = 128) in;

// SPARE elements keep rows of a tile in different banks.
const int TILE = 64, DEPTH = 32, LANES = 128, FRAGMENT = 16, SIDE = 2, GROUPS = 4, SPARE = 8;
const int LEFT_STRIDE = DEPTH + SPARE, RIGHT_STRIDE = TILE + SPARE, AREA = FRAGMENT * FRAGMENT, EACH = TILE * DEPTH / LANES;
shared float16_t left[TILE * LEFT_STRIDE], right[DEPTH * RIGHT_STRIDE];
shared float results[GROUPS * AREA];
shared uint largest[2]; // bits of the largest absolute value; for this stage and the next in turn

// Sums of SIDE x SIDE fragments; `group` is the invocation's, at whose corner of the tile they are.
#ifdef TWIN
const int SHARE = AREA / 32; // elements of a fragment that an invocation keeps: a part of one column
struct Sums { float element[SIDE][SIDE][SHARE]; };

int group_of() { return int(gl_LocalInvocationIndex) / 32; }
int own_row() { return int(gl_LocalInvocationIndex) % 32 / FRAGMENT * SHARE; }
int own_column() { return int(gl_LocalInvocationIndex) % FRAGMENT; }

void sums_clear(out Sums sums) {
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++)
            [[unroll]] for (int e = 0; e < SHARE; e++) sums.element[i][j][e] = 0;
}

void sums_multiply(inout Sums sums, int row, int column, int k) {
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++)
            for (int d = k; d < k + FRAGMENT; d++) {
                float factor = float(right[d * RIGHT_STRIDE + column + j * FRAGMENT + own_column()]);
                [[unroll]] for (int e = 0; e < SHARE; e++)
                    sums.element[i][j][e] += float(left[(row + i * FRAGMENT + own_row() + e) * LEFT_STRIDE + d]) * factor;
            }
}

void sums_add(inout Sums sums, Sums part, float scale) {
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++)
            [[unroll]] for (int e = 0; e < SHARE; e++) sums.element[i][j][e] += part.element[i][j][e] * scale;
}

void sums_show(Sums sums, int i, int j, int group) {
    [[unroll]] for (int e = 0; e < SHARE; e++)
        results[group * AREA + (own_row() + e) * FRAGMENT + own_column()] = sums.element[i][j][e];
}
#else
#define SUM fcoopmatNV<32, gl_ScopeSubgroup, FRAGMENT, FRAGMENT>
#define FACTOR fcoopmatNV<16, gl_ScopeSubgroup, FRAGMENT, FRAGMENT>
struct Sums { SUM fragment[SIDE][SIDE]; };

int group_of() { return int(gl_SubgroupID); }

void sums_clear(out Sums sums) {
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++) sums.fragment[i][j] = SUM(0.0);
}

void sums_multiply(inout Sums sums, int row, int column, int k) {
    FACTOR rows[SIDE], columns[SIDE];
    [[unroll]] for (int i = 0; i < SIDE; i++) {
        coopMatLoadNV(rows[i], left, (row + i * FRAGMENT) * LEFT_STRIDE + k, LEFT_STRIDE, false);
        coopMatLoadNV(columns[i], right, k * RIGHT_STRIDE + column + i * FRAGMENT, RIGHT_STRIDE, false);
    }
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++)
            sums.fragment[i][j] = coopMatMulAddNV(rows[i], columns[j], sums.fragment[i][j]);
}

void sums_add(inout Sums sums, Sums part, float scale) {
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++) sums.fragment[i][j] = sums.fragment[i][j] + part.fragment[i][j] * scale;
}

void sums_show(Sums sums, int i, int j, int group) {
    coopMatStoreNV(sums.fragment[i][j], results, group * AREA, FRAGMENT, false);
}
#endif

// Exponent, of a float's bits, of the power of two that brings such a largest value to 2^14 and less than 2^15; 127, none,
// for an infinity.
uint scale_exponent(uint bits_of_largest) {
    uint exponent = bits_of_largest >> 23;
    return exponent == 255 ? 127 : clamp(268 - exponent, 1u, 253u);
}

void main() {
    int part = int(gl_WorkGroupID.z) % call.parts, of = int(gl_WorkGroupID.z) / call.parts;
    int item = of / call.groups, group = of % call.groups;
    int first_row = int(gl_WorkGroupID.y) * TILE, first_column = int(gl_WorkGroupID.x) * TILE;
    int lane = int(gl_LocalInvocationIndex), row = group_of() / SIDE * FRAGMENT * SIDE, column = group_of() % SIDE * FRAGMENT * SIDE;
    uint plane = plane_of(item, group);
    ivec3 pixel = pixel_of(first_column + lane % TILE); // of every element that this invocation fetches
    Sums sums, product;
    sums_clear(sums);
    if (lane < 2) largest[lane] = 0;
    barrier();
    int last = min((part + 1) * call.depth, call.inner * TAPS), stage = 0;
    for (int k = part * call.depth; k < last; k += DEPTH, stage ^= 1) {
        float elements[EACH], peak = 0;
        [[unroll]] for (int i = 0; i < EACH; i++) {
            elements[i] = element(plane, k + (lane + i * LANES) / TILE, pixel);
            peak = max(peak, abs(elements[i]));
        }
        atomicMax(largest[stage], floatBitsToUint(peak));
        barrier(); // and all have done with the stage before
        uint exponent = scale_exponent(largest[stage]);
        if (lane == 0) largest[stage ^ 1] = 0;
        [[unroll]] for (int i = 0; i < EACH; i++) {
            int at = lane + i * LANES;
            right[at / TILE * RIGHT_STRIDE + at % TILE] = float16_t(elements[i] * uintBitsToFloat(exponent << 23));
            left[at / DEPTH * LEFT_STRIDE + at % DEPTH] = float16_t(weight(group, first_row + at / DEPTH, k + at % DEPTH));
        }
        barrier();
        sums_clear(product);
        [[unroll]] for (int d = 0; d < DEPTH; d += FRAGMENT) sums_multiply(product, row, column, d);
        sums_add(sums, product, uintBitsToFloat(254 - exponent << 23));
    }
    [[unroll]] for (int i = 0; i < SIDE; i++)
        [[unroll]] for (int j = 0; j < SIDE; j++) {
            barrier();
            sums_show(sums, i, j, group_of());
            barrier();
            for (int at = lane; at < GROUPS * AREA; at += LANES) {
                int corner = at / AREA, y = at % AREA / FRAGMENT, x = at % FRAGMENT;
                finish(part, item, group, first_row + (corner / SIDE * SIDE + i) * FRAGMENT + y,
                       first_column + (corner % SIDE * SIDE + j) * FRAGMENT + x, results[at]);
            }
        }
}
