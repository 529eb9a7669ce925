#!/usr/bin/env python3
"""Makes data/classifier.onnx, a small network of five classes, and data/adversarial.npy, what PyTorch makes of a picture by
FGSM and projected gradients written out here. Needs torch, onnx and NumPy.

    tests/solve/make_adversarial.py
"""
import pathlib

import numpy
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

DATA = pathlib.Path(__file__).parent / "data"
SIDE, CLASSES, STEPS, TOWARD = 16, 5, 10, 0

random = numpy.random.default_rng(7)
weights = {
    "w1": random.normal(0, 0.4, (6, 3, 3, 3)), "b1": random.normal(0, 0.1, 6),
    "w2": random.normal(0, 0.4, (8, 6, 3, 3)), "b2": random.normal(0, 0.1, 8),
    "w3": random.normal(0, 0.3, (CLASSES, 8 * 16)), "b3": random.normal(0, 0.1, CLASSES),
}
weights = {name: value.astype(numpy.float32) for name, value in weights.items()}


def node(operation, inputs, output, **attributes):
    return helper.make_node(operation, inputs.split(), [output], **attributes)


graph = helper.make_graph([
    node("Conv", "x w1 b1", "c1", strides=[2, 2], pads=[1, 1, 1, 1]), node("Relu", "c1", "r1"),
    node("Conv", "r1 w2 b2", "c2", strides=[2, 2], pads=[1, 1, 1, 1]), node("Tanh", "c2", "t2"),
    node("Flatten", "t2", "flat"), node("Gemm", "flat w3 b3", "logits", transB=1),
    node("Softmax", "logits", "probabilities", axis=1)], "classifier",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, CLASSES])],
    [numpy_helper.from_array(value, name) for name, value in weights.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, DATA / "classifier.onnx")

tensors = {name: torch.from_numpy(value) for name, value in weights.items()}


def logits(x):
    x = torch.relu(torch.nn.functional.conv2d(x, tensors["w1"], tensors["b1"], stride=2, padding=1))
    x = torch.tanh(torch.nn.functional.conv2d(x, tensors["w2"], tensors["b2"], stride=2, padding=1))
    return torch.nn.functional.linear(x.flatten(1), tensors["w3"], tensors["b3"])


def gradient(x, label):
    x = x.clone().requires_grad_(True)
    torch.nn.functional.cross_entropy(logits(x), torch.tensor([label])).backward()
    return x.grad


# The picture of test_attack.c, of whole levels.
levels = [(37 * i * i + 11 * i) % 256 for i in range(3 * SIDE * SIDE)]
start = torch.tensor(levels, dtype=torch.float32).reshape(1, 3, SIDE, SIDE) / 255
own = int(logits(start).argmax())
made = []
for toward in (None, TOWARD):
    label, sign = (own, 1) if toward is None else (toward, -1)
    radius = 8 / 255
    made.append((start + sign * radius * gradient(start, label).sign()).clamp(0, 1))
    x, step = start.clone(), 2.5 * radius / STEPS
    for _ in range(STEPS):
        x = x + sign * step * gradient(x, label).sign()
        x = torch.max(torch.min(x, start + radius), start - radius).clamp(0, 1)
    made.append(x)
    x, radius = start.clone(), 1.5
    step = 2.5 * radius / STEPS
    for _ in range(STEPS):
        slope = gradient(x, label)
        change = x + sign * step * slope / slope.norm() - start
        x = (start + change * min(1, radius / float(change.norm()))).clamp(0, 1)
    made.append(x)
    print(own, toward, [int(logits(x).argmax()) for x in made[-3:]])
numpy.save(DATA / "adversarial.npy", torch.cat(made).numpy())
