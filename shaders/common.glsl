// What every shader stands on: one memory of floats, in which tensors, gradients and constants lie at offsets that the
// push constants give, and walks over tensors by sizes and strides.
#extension GL_EXT_control_flow_attributes : require

layout(std430, set = 0, binding = 0) buffer Memory { float memory[]; };

const uint NOWHERE = 0xffffffffu;
#define INFINITE uintBitsToFloat(0x7f800000u)
#define NOT_A_NUMBER uintBitsToFloat(0x7fc00000u)

// Index of an invocation in a grid whose rows are spread over y because a device bounds each side.
uint flat_index() { return gl_GlobalInvocationID.x + gl_GlobalInvocationID.y * gl_NumWorkGroups.x * gl_WorkGroupSize.x; }
uint flat_group() { return gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x; }

// Writes a result, or adds it to what is there.
void store(uint at, float value, bool add) { memory[at] = add ? memory[at] + value : value; }
