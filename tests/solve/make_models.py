#!/usr/bin/env python3
"""Makes the networks in data/: functions whose optima are known. Needs onnx and NumPy.

    tests/solve/make_models.py
"""
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

DATA = pathlib.Path(__file__).parent / "data"


def save(name, nodes, inputs, outputs, constants):
    """inputs and outputs: name to shape; constants: name to array."""
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(numpy.asarray(a, dtype=numpy.int64 if n.startswith("axes") else numpy.float32), n)
         for n, a in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, DATA / f"{name}.onnx")


def node(operation, inputs, output, **attributes):
    return helper.make_node(operation, inputs.split(), [output], **attributes)


# (x - c)' A (x - c) + 3 with A = [[3,1],[1,2]], c = (1,-2)
save("quadratic", [
    node("Sub", "x c", "d"), node("MatMul", "d A", "dA"), node("Mul", "dA d", "products"),
    node("ReduceSum", "products axes", "sum", keepdims=1), node("Add", "sum three", "y")],
    {"x": ["batch", 2]}, {"y": ["batch", 1]},
    {"c": [[1, -2]], "A": [[3, 1], [1, 2]], "axes": [1], "three": [3]})

# (1 - x0)^2 + 100 (x1 - x0^2)^2: least at (1, 1)
columns = [node("Gemm", "x left", "x0"), node("Gemm", "x right", "x1")]
picks = {"left": [[1], [0]], "right": [[0], [1]]}
save("rosenbrock", columns + [
    node("Sub", "one x0", "a"), node("Mul", "a a", "aa"), node("Mul", "x0 x0", "x00"), node("Sub", "x1 x00", "b"),
    node("Mul", "b b", "bb"), node("Mul", "bb hundred", "bbb"), node("Add", "aa bbb", "y")],
    {"x": [1, 2]}, {"y": [1, 1]}, {**picks, "one": [1], "hundred": [100]})

# (x0^2 + x1 - 11)^2 + (x0 + x1^2 - 7)^2: four minima of value 0 (Himmelblau 1972)
save("himmelblau", columns + [
    node("Mul", "x0 x0", "x00"), node("Mul", "x1 x1", "x11"), node("Add", "x00 x1", "a0"), node("Sub", "a0 eleven", "a"),
    node("Add", "x0 x11", "b0"), node("Sub", "b0 seven", "b"), node("Mul", "a a", "aa"), node("Mul", "b b", "bb"),
    node("Add", "aa bb", "y")],
    {"x": [1, 2]}, {"y": [1, 1]}, {**picks, "eleven": [11], "seven": [7]})

# Weights of one sign between sigmoids: rises with every input, so the best is at the upper bounds.
random = numpy.random.default_rng(1)
save("monotone", [
    node("Gemm", "x w1 b1", "h0"), node("Sigmoid", "h0", "h"), node("Gemm", "h w2", "y")],
    {"x": [1, 5]}, {"y": [1, 1]},
    {"w1": random.uniform(0.2, 1, (5, 8)), "b1": random.normal(0, 1, 8), "w2": random.uniform(0.2, 1, (8, 1))})

# y = W x + b, square: the x that gives a wanted y is W^-1 (y - b).
save("linear", [node("Gemm", "x W b", "y", transB=1)], {"x": [1, 3]}, {"y": [1, 3]},
     {"W": [[2, 1, 0], [0, 3, 1], [1, 0, 4]], "b": [1, -1, 0.5]})

# Two inputs, one of them a table of its own: sum((a - b)^2) + sum(a)
save("two_inputs", [
    node("Sub", "a b", "d"), node("Mul", "d d", "dd"), node("ReduceSum", "dd axes", "s", keepdims=1),
    node("ReduceSum", "a axes", "t", keepdims=1), node("Add", "s t", "y")],
    {"a": [1, 3], "b": [1, 3]}, {"y": [1, 1]}, {"axes": [1]})
