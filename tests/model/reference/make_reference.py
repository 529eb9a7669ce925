#!/usr/bin/env python3
"""Writes googlenet.txt and squeezenet.txt: sampled activations and input gradients of the two ImageNet networks, computed
by PyTorch in double precision, which tests/model/test_parity.c holds phosphene to.

    python3 make_reference.py FOLDER_OF_NETWORKS

needs torch, onnx and numpy. The input is a formula, so no picture is needed on either side. Of each tensor the L2 norm of
the whole and SAMPLES values are kept; sample i lies at (i * STRIDE + START) mod size, the same in the C test.
"""
import pathlib
import sys

import numpy as np
import onnx
import torch
import torch.nn.functional as F

SAMPLES, STRIDE, START = 256, 2654435761, 12345

# (layer, channel, row, column): a single position, or with row -1 the mean of the channel's map.
NETWORKS = {
    'googlenet': ('bvlc_googlenet.onnx',
                  ['conv1/7x7_s2', 'pool1/norm1', 'conv2/norm2', 'inception_3a/output', 'inception_4a/output',
                   'inception_4c/5x5', 'inception_4e/output', 'inception_5b/output', 'loss3/classifier', 'prob'],
                  [('inception_4a/output', 11, -1, -1), ('inception_3b/output', 60, 13, 9),
                   ('inception_4d/3x3', 20, -1, -1), ('loss3/classifier', 1, -1, -1)]),
    'squeezenet': ('squeezenet_v1.1.onnx',
                   ['conv1', 'pool1', 'fire2/concat', 'fire4/concat', 'pool5', 'fire7/concat', 'fire9/concat', 'conv10',
                    'pool10', 'prob'],
                   [('fire4/concat', 100, -1, -1), ('fire6/expand3x3', 30, 5, 8), ('fire9/concat', 303, -1, -1),
                    ('conv10', 1, -1, -1)]),
}


def synthetic_input(channels, height, width):
    """Waves of several lengths, about as large as a BGR picture of bytes without its mean."""
    c, y, x = np.meshgrid(np.arange(channels), np.arange(height), np.arange(width), indexing='ij')
    waves = 60 * np.sin(0.11 * x + 0.7 * c) + 40 * np.cos(0.07 * y - 0.4 * c) + 30 * np.sin(0.19 * (x + y) + 1.3 * c)
    return waves[None].astype(np.float32).astype(np.float64)


def pairs(pads):
    assert pads[0] == pads[2] and pads[1] == pads[3], 'asymmetric padding does not occur in these networks'
    return pads[0], pads[1]


def max_pool(a, x):
    return F.max_pool2d(x, a['kernel_shape'], a['strides'], pairs(a['pads']), ceil_mode=bool(a['ceil_mode']))


def average_pool(a, x):
    return F.avg_pool2d(x, a['kernel_shape'], a['strides'], pairs(a['pads']), bool(a['ceil_mode']), bool(a['count_include_pad']))


OPERATIONS = {
    'Conv': lambda a, x, w, b: F.conv2d(x, w, b, a['strides'], pairs(a['pads']), 1, a['group']),
    'Relu': lambda a, x: F.relu(x),
    'MaxPool': max_pool,
    'AveragePool': average_pool,
    'GlobalAveragePool': lambda a, x: x.mean((2, 3), keepdim=True),
    'LRN': lambda a, x: F.local_response_norm(x, a['size'], a['alpha'], a['beta'], a['bias']),
    'Concat': lambda a, *x: torch.cat(x, a['axis']),
    'Identity': lambda a, x: x,
    'Flatten': lambda a, x: x.flatten(1),
    'Gemm': lambda a, x, w, b: x @ w.T + b,
    'Softmax': lambda a, x: x.softmax(a['axis']),
}


def run(model, values):
    """Every tensor of the network by name, given its inputs by name."""
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = OPERATIONS[node.op_type](attributes, *(values[name] for name in node.input))
    return values


def write(out, kind, name, place, tensor):
    flat = tensor.detach().numpy().reshape(-1)
    positions = (np.arange(SAMPLES, dtype=np.uint64) * np.uint64(STRIDE) + np.uint64(START)) % np.uint64(flat.size)
    out.write(f'{kind} {name} {" ".join(map(str, place))} {flat.size} {np.linalg.norm(flat):.9g}\n')
    out.writelines(f'{value:.9g}\n' for value in flat[positions])


def main():
    folder = pathlib.Path(sys.argv[1])
    here = pathlib.Path(__file__).parent
    for stem, (file, layers, objectives) in NETWORKS.items():
        model = onnx.load(folder / file)
        weights = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).astype(np.float64)) for t in model.graph.initializer}
        entry = next(i for i in model.graph.input if i.name not in weights)
        shape = [d.dim_value for d in entry.type.tensor_type.shape.dim]
        picture = torch.from_numpy(synthetic_input(*shape[1:])).requires_grad_()
        values = run(model, {**weights, entry.name: picture})
        with open(here / f'{stem}.txt', 'w') as out:
            for layer in layers:
                write(out, 'activation', layer, (0, 0, 0), values[layer])
            for layer, channel, row, column in objectives:
                unit = values[layer][0, channel]
                objective = unit.mean() if row < 0 else unit[row, column]
                assert objective.item() != 0, 'a silent unit tests nothing'
                gradient, = torch.autograd.grad(objective, picture, retain_graph=True)
                write(out, 'gradient', layer, (channel, row, column), gradient)
                print(stem, layer, channel, row, column, 'value', objective.item(), 'norm', gradient.norm().item())


if __name__ == '__main__':
    main()
