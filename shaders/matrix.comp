// Convolution on matrix hardware.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "matrix.glsl"
