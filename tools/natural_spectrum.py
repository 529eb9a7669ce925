#!/usr/bin/env python3
"""Writes src/vis/parameterisations/natural.h: the magnitudes of the spectra of natural pictures, by frequency.

  natural_spectrum.py PICTURE... > src/vis/parameterisations/natural.h

Needs numpy and Pillow. The table in the tree is made from kodak_05, kodak_20, kodak_23 (Kodak), astronaut, chelsea and
coffee (scikit-image). A picture in (0,1) is taken back to the planes that the colour stage makes it from: the inverse of
the sigmoid, then of the decorrelating matrix. Windows of 256 pixels, faded out towards their borders so that no edge is
seen, are transformed; magnitudes are averaged over all windows and then over rings of frequencies whose radii grow by
equal factors; rings too narrow to hold any are interpolated. Only ratios matter, so the largest value is 1.
"""
import sys
import numpy as np
from PIL import Image

SIZE, BINS = 256, 24
LOWEST, HIGHEST = 1 / SIZE, np.hypot(.5, .5)

correlation = np.array([[.26, .09, .02], [.27, 0, -.05], [.27, -.09, .03]])
matrix = correlation / np.linalg.norm(correlation, axis=0).max()

fade = np.hanning(SIZE)[:, None] * np.hanning(SIZE)[None, :]
sums, windows = np.zeros((3, SIZE, SIZE // 2 + 1)), 0
for path in sys.argv[1:]:
    pixels = np.asarray(Image.open(path).convert('RGB'), dtype=float) / 255
    pixels = np.clip(pixels, 1 / 255, 1 - 1 / 255)
    planes = np.einsum('ij,hwj->ihw', np.linalg.inv(matrix), np.log(pixels / (1 - pixels)))
    for top in range(0, planes.shape[1] - SIZE + 1, SIZE // 2):
        for left in range(0, planes.shape[2] - SIZE + 1, SIZE // 2):
            window = planes[:, top:top + SIZE, left:left + SIZE]
            window = (window - window.mean(axis=(1, 2), keepdims=True)) * fade
            sums += np.abs(np.fft.rfft2(window))
            windows += 1

frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :])
at = np.log(np.maximum(frequency, LOWEST) / LOWEST) / np.log(HIGHEST / LOWEST) * (BINS - 1)
ring = np.rint(at).astype(int)
ring[0, 0] = -1
table = np.full((3, BINS), np.nan)
for b in range(BINS):
    if (ring == b).any():
        table[:, b] = sums[:, ring == b].mean(axis=1) / windows
full = np.flatnonzero(~np.isnan(table[0]))
for c in range(3):
    table[c] = np.exp(np.interp(np.arange(BINS), full, np.log(table[c, full])))
table /= table.max()

print('/* Made by tools/natural_spectrum.py: mean magnitudes of the planes of natural pictures, at frequencies that grow by')
print(' * equal factors from NATURAL_LOWEST to NATURAL_HIGHEST cycles per pixel. */')
print('#ifndef PH_NATURAL_H')
print('#define PH_NATURAL_H')
print()
print(f'#define NATURAL_BINS {BINS}')
print(f'#define NATURAL_LOWEST (1.0 / {SIZE})')
print('#define NATURAL_HIGHEST 0.70710678118654752')
print()
print('static const float natural[3][NATURAL_BINS] = {')
for c in range(3):
    values = [f'{v:#.6g}f' for v in table[c]]
    print('    {' + ', '.join(values[:9]) + ',')
    print('     ' + ', '.join(values[9:17]) + ',')
    print('     ' + ', '.join(values[17:]) + '},')
print('};')
print()
print('#endif')
slopes = [np.polyfit(np.log(LOWEST * (HIGHEST / LOWEST) ** (np.arange(BINS) / (BINS - 1))), np.log(table[c]), 1)[0]
          for c in range(3)]
print(f'{windows} windows; powers of frequency: ' + ', '.join(f'{s:.2f}' for s in slopes), file=sys.stderr)
