#!/usr/bin/env python3
"""Makes tests/model/data/representation-*.npy: a picture and its descriptors, worked out pixel by pixel.

VLFeat's HOG (vl_hog, variant UoCTTI without the texture channels) and the dense SIFT of Mahendran and Vedaldi's
experiments, from their definitions as votes: each pixel looks for its orientation and its cells. The program under test
writes the same as convolutions. Where VLFeat is installed (Debian: libvlfeat1), the votes are held to its own HOG, too. Needs
numpy.
"""
import ctypes, ctypes.util, os
import numpy as np

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data')


def gradient(picture):
    """Central differences; outside the picture is 0."""
    around = np.pad(picture, 1)
    return (around[1:-1, 2:] - around[1:-1, :-2]) / 2, (around[2:, 1:-1] - around[:-2, 1:-1]) / 2


def votes(x, y, directions, shared):
    """[(orientation, share)] of a gradient."""
    angle = np.arctan2(y, x) / (2 * np.pi) * directions
    if not shared:
        return [(int(np.floor(angle + 0.5)) % directions, 1.0)]
    first = int(np.floor(angle))
    return [(first % directions, 1 - (angle - first)), ((first + 1) % directions, angle - first)]


def cells(dx, dy, directions, shared, size, rows, columns, offset):
    """Histograms of cells whose first middle lies at `offset` + size / 2."""
    result = np.zeros((directions, rows, columns))
    for (i, j), x in np.ndenumerate(dx):
        length = np.hypot(x, dy[i, j])
        row, column = (i + 0.5 - offset) / size - 0.5, (j + 0.5 - offset) / size - 0.5
        for orientation, share in votes(x, dy[i, j], directions, shared):
            for r in (int(np.floor(row)), int(np.floor(row)) + 1):
                for c in (int(np.floor(column)), int(np.floor(column)) + 1):
                    if 0 <= r < rows and 0 <= c < columns:
                        result[orientation, r, c] += length * share * (1 - abs(row - r)) * (1 - abs(column - c))
    return result


def hog(picture, shared):
    rows, columns = picture.shape[0] // 8, picture.shape[1] // 8
    directed = cells(*gradient(picture), 18, shared, 8, rows, columns, 0)
    undirected = directed[:9] + directed[9:]
    features = np.concatenate([directed, undirected])
    result = np.zeros_like(features)
    for r in range(rows - 1):
        for c in range(columns - 1):
            norm = np.sqrt((undirected[:, r:r + 2, c:c + 2] ** 2).sum())
            result[:, r:r + 2, c:c + 2] += 0.5 * np.minimum(features[:, r:r + 2, c:c + 2] / norm, 0.2)
    return result


def dsift(picture):
    dx, dy = (d[1:-1, 1:-1] for d in gradient(picture))
    rows, columns = (dx.shape[0] - 10) // 5 + 1, (dx.shape[1] - 10) // 5 + 1
    histograms = cells(dx, dy, 8, True, 5, rows, columns, 2.5)
    window = np.exp(-0.5 * ((np.arange(4) - 1.5) / 1.5) ** 2)
    down, across = (rows - 4) // 3 + 1, (columns - 4) // 3 + 1
    result = np.zeros((128, down, across))
    for r in range(down):
        for c in range(across):
            block = histograms[:, 3 * r:3 * r + 4, 3 * c:3 * c + 4] * window[:, None] * window
            stacked = block.transpose(1, 2, 0).ravel()
            result[:, r, c] = np.minimum(stacked / np.sqrt((stacked ** 2).sum() + 1e-6), 0.2)
    return result


def vlfeat_hog(library, picture, shared):
    """VLFeat's, without the texture channels."""
    UOCTTI, floats, size = 1, ctypes.POINTER(ctypes.c_float), ctypes.c_ulonglong
    library.vl_hog_new.restype = ctypes.c_void_p
    library.vl_hog_new.argtypes = [ctypes.c_int, size, ctypes.c_longlong]
    library.vl_hog_put_image.argtypes = [ctypes.c_void_p, floats, size, size, size, size]
    library.vl_hog_extract.argtypes = [ctypes.c_void_p, floats]
    library.vl_hog_set_use_bilinear_orientation_assignments.argtypes = [ctypes.c_void_p, ctypes.c_longlong]
    library.vl_hog_delete.argtypes = [ctypes.c_void_p]
    rows, columns = picture.shape
    values = np.ascontiguousarray(picture, dtype=np.float32)
    result = np.zeros((31, rows // 8, columns // 8), np.float32)
    state = library.vl_hog_new(UOCTTI, 9, 0)
    library.vl_hog_set_use_bilinear_orientation_assignments(state, int(shared))
    library.vl_hog_put_image(state, values.ctypes.data_as(floats), columns, rows, 1, 8)
    library.vl_hog_extract(state, result.ctypes.data_as(floats))
    library.vl_hog_delete(state)
    return result[:27]


def vlfeat_compare():
    """Fails when a cell differs, but for the two rows and columns at each border: there VLFeat repeats cells for the blocks
    outside, and the network has none."""
    library = ctypes.util.find_library('vl')
    if not library:
        print('VLFeat is not installed: nothing compared with it')
        return
    picture = np.random.default_rng(6).uniform(-100, 100, (96, 80)).astype(np.float32)
    for shared in (False, True):
        ours, theirs = (values[:, 2:-2, 2:-2] for values in
                        (hog(picture.astype(np.float64), shared), vlfeat_hog(ctypes.CDLL(library), picture, shared)))
        error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        print('hogb' if shared else 'hog', 'differs from VLFeat by', error)
        assert error < 1e-4


def main():
    vlfeat_compare()
    y, x = np.mgrid[0:43, 0:51] / 10.0
    noise = np.random.default_rng(5).uniform(-0.05, 0.05, y.shape)
    picture = (0.5 + 0.25 * np.sin(2.3 * x + y) * np.cos(1.7 * y - 0.4 * x * x / 4) + noise).astype(np.float32)
    grey = picture.astype(np.float64) * 255 - 128
    for name, value in (('picture', grey), ('hog', hog(grey, False)), ('hogb', hog(grey, True)), ('dsift', dsift(grey))):
        value = value[None, None] if value.ndim == 2 else value[None]
        np.save(os.path.join(FOLDER, f'representation-{name}.npy'), value.astype(np.float32))
        print(name, value.shape, float(value.mean()))


main()
