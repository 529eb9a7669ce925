// matrix.comp in plain arithmetic.
#version 460
#extension GL_GOOGLE_include_directive : require
#define TWIN
#include "matrix.glsl"
