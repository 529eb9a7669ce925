/* FFTW as a kernel; the same for every instruction set. */
#ifndef PH_CPU_FFT_H
#define PH_CPU_FFT_H

#include "exec/backend.h"

extern const struct ph_kernel ph_fft_forward, ph_fft_backward, ph_fft_measured_forward, ph_fft_measured_backward;

#endif
