#!/usr/bin/env python3
"""Writes reference.h: pictures that numpy makes of known spectra by lucid's formulas, sampled.

  make_reference.py > reference.h

Element i of the spectrum [3,H,W/2+1,2] is sin(1 + 3 i)."""
import numpy as np

CASES = [(8, 8, 1), (9, 7, 1), (6, 11, 1.5), (16, 5, 0.5), (1, 4, 1), (64, 48, 1)]
SAMPLES = 8

correlation = np.array([[.26, .09, .02], [.27, 0, -.05], [.27, -.09, .03]])
matrix = correlation / np.linalg.norm(correlation, axis=0).max()

print('/* Made by make_reference.py. */')
print('static const struct reference {')
print('    int height, width;')
print('    double decay;')
print(f'    struct {{ int index; double value; }} samples[{SAMPLES}];')
print('} references[] = {')
for height, width, decay in CASES:
    columns = width // 2 + 1
    z = np.sin(1 + 3. * np.arange(3 * height * columns * 2)).reshape(3, height, columns, 2)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    scale = np.sqrt(width * height) / np.maximum(frequency, 1 / max(width, height)) ** decay
    planes = np.fft.irfft2((z[..., 0] + 1j * z[..., 1]) * scale, s=(height, width)) / 4
    picture = 1 / (1 + np.exp(-np.einsum('oc,chw->ohw', matrix, planes)))
    picks = np.linspace(0, picture.size - 1, SAMPLES).astype(int)
    values = ', '.join(f'{{{i}, {picture.flat[i]:.9f}}}' for i in picks)
    print(f'    {{{height}, {width}, {decay},\n     {{{values}}}}},')
print('};')
