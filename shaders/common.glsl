// What every shader stands on: one memory of floats, in which tensors, gradients and constants lie at offsets that the
// push constants give, and walks over tensors by sizes and strides. Compiled with HALVES, tensors may be of 16 bits: their
// offsets count those, and carry a mark; what is computed is of 32 bits in either case. Compiled with BY_ADDRESS, the memory
// is reached by its address, for it may be larger than what a device binds as one buffer. As floats, bits, whole numbers
// and halves it is the same memory.
#extension GL_EXT_control_flow_attributes : require

#ifdef HALVES
#extension GL_EXT_shader_16bit_storage : require
#endif

#ifdef BY_ADDRESS
#extension GL_EXT_buffer_reference : require
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Memory { float element[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Bits { uint element[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Numbers { int element[]; };
layout(std430, set = 0, binding = 0) readonly buffer Where { Memory floats; } where;
#define memory where.floats.element
#define bits Bits(where.floats).element
#define number Numbers(where.floats).element
#ifdef HALVES
layout(buffer_reference, std430, buffer_reference_align = 2) buffer Halves { float16_t element[]; };
#define halves Halves(where.floats).element
#endif
#else
layout(std430, set = 0, binding = 0) buffer Memory { float memory[]; };
layout(std430, set = 0, binding = 0) buffer Bits { uint bits[]; };
layout(std430, set = 0, binding = 0) readonly buffer Numbers { int number[]; };
#ifdef HALVES
layout(std430, set = 0, binding = 0) buffer Halves { float16_t halves[]; };
#endif
#endif

#ifdef HALVES
const uint HALF = 0x80000000u;  // PH_HALF in device.h
const float HALF_MOST = 65504;

float fetch(uint at) {
    if ((at & HALF) != 0) return float(halves[at & ~HALF]);
    return memory[at];
}

// The largest of 16 bits stands for what is larger; an infinity stays one.
void put(uint at, float value) {
    if ((at & HALF) == 0) {
        memory[at] = value;
        return;
    }
    if (abs(value) > HALF_MOST && !isinf(value)) value = value > 0 ? HALF_MOST : -HALF_MOST;
    halves[at & ~HALF] = float16_t(value);
}
#else
float fetch(uint at) { return memory[at]; }
void put(uint at, float value) { memory[at] = value; }
#endif

const uint NOWHERE = 0xffffffffu;
#define INFINITE uintBitsToFloat(0x7f800000u)
#define NOT_A_NUMBER uintBitsToFloat(0x7fc00000u)

// Index of an invocation in a grid whose rows are spread over y because a device bounds each side.
uint flat_index() { return gl_GlobalInvocationID.x + gl_GlobalInvocationID.y * gl_NumWorkGroups.x * gl_WorkGroupSize.x; }
uint flat_group() { return gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x; }

// Writes a result, or adds it to what is there.
void store(uint at, float value, bool add) { put(at, add ? fetch(at) + value : value); }
