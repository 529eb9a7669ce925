#!/usr/bin/env python3
"""Makes the cases under tests/model/data/onnx that the node tests of ONNX itself do not cover.

Debian's libonnx-testdata ends at opset 17 and holds the then newest form of every operator. The cases here are the
forms that came later (opset 18 to 21), whose outputs are computed by onnx's reference evaluator, and forms that were
given up before (opset 7 to 12), computed by ONNX Runtime, which still knows them. The layout is that of the package:
NAME/model.onnx, NAME/test_data_set_0/input_N.pb and output_N.pb.

    python3 tests/model/make_onnx_cases.py      (needs onnx, onnxruntime, numpy)
"""
import pathlib
import shutil

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

FOLDER = pathlib.Path(__file__).parent / "data" / "onnx"
random = None  # starts anew for each case, so that one more does not change the others


def restart():
    global random
    random = np.random.default_rng(20)


def data(*shape):
    return random.uniform(-1, 1, shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def floats(*values):
    return np.array(values, dtype=np.float32)


def node(operator, inputs, outputs="y", **attributes):
    """Names are separated by commas; an empty one leaves an input out."""
    return helper.make_node(operator, inputs.split(","), outputs.split(","), **attributes)


def learned(operator, inputs, outputs="y", **attributes):
    """A node of the domain that scikit-learn's exporter uses."""
    return helper.make_node(operator, inputs.split(","), outputs.split(","), domain="ai.onnx.ml", **attributes)


def case(name, opset, nodes, inputs, constants=None, batch=None, stored=None):
    """One folder. `inputs` and `constants` are {name: array}; the outputs are those of the last node. A file
    that states another batch than its data has states `batch`, and holds `stored` in place of `constants`."""
    nodes = nodes if isinstance(nodes, list) else [nodes]
    constants = constants or {}

    def declare(key, array, first=None):
        shape = [first, *array.shape[1:]] if first else array.shape
        return helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(array.dtype), shape)

    def model(results, first, values):
        graph = helper.make_graph(nodes, name, [declare(k, v, first) for k, v in inputs.items()], results,
                                  [numpy_helper.from_array(v, k) for k, v in values.items()])
        domains = [helper.make_opsetid("", opset)] + [helper.make_opsetid("ai.onnx.ml", 3)] * any(n.domain for n in nodes)
        return helper.make_model(graph, opset_imports=domains, ir_version=8)

    names = nodes[-1].output
    plain = model([helper.make_empty_tensor_value_info(n) for n in names], None, constants)
    if opset >= 18:
        outputs = ReferenceEvaluator(plain).run(None, inputs)
    else:
        typed = onnx.shape_inference.infer_shapes(plain)
        for result in typed.graph.output:
            if not result.type.WhichOneof("value"):
                result.type.tensor_type.elem_type = TensorProto.FLOAT
        outputs = onnxruntime.InferenceSession(typed.SerializeToString()).run(None, inputs)

    folder = FOLDER / name / "test_data_set_0"
    folder.mkdir(parents=True)
    results = [declare(n, v, batch) for n, v in zip(names, outputs)]
    (FOLDER / name / "model.onnx").write_bytes(model(results, batch, stored or constants).SerializeToString())
    for kind, arrays in (("input", inputs), ("output", dict(zip(names, outputs)))):
        for i, (key, array) in enumerate(arrays.items()):
            (folder / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(np.asarray(array), key).SerializeToString())
    restart()


def newer():
    for opset, size in ((18, 2), (21, 4)):  # scale and bias of each group, then of each channel
        case(f"groupnorm_{opset}", opset, node("GroupNormalization", "x,s,b", num_groups=2, epsilon=1e-2),
             {"x": data(2, 4, 3, 2)}, {"s": data(size), "b": data(size)})
    for name, axis in (("last", -1), ("first", 0), ("middle", -2)):
        x = data(2, 3, 4)
        case(f"layernorm_17_{name}", 18, node("LayerNormalization", "x,s,b", axis=axis, epsilon=1e-3), {"x": x},
             {"s": data(*x.shape[axis:]), "b": data(*x.shape[axis:])})
    case("layernorm_17_no_bias", 18, node("LayerNormalization", "x,s"), {"x": data(4, 5)}, {"s": data(5)})
    case("gelu_20", 20, node("Gelu", "x"), {"x": 3 * data(3, 7)})
    case("gelu_20_tanh", 20, node("Gelu", "x", approximate="tanh"), {"x": 3 * data(3, 7)})
    case("mish_18", 18, node("Mish", "x"), {"x": 4 * data(4, 5)})
    case("hardswish_21", 21, node("HardSwish", "x"), {"x": 5 * data(4, 5)})

    for mode in ("linear", "cubic"):
        case(f"resize_18_{mode}_antialias", 18, node("Resize", "x,,,sizes", mode=mode, antialias=1),
             {"x": data(1, 2, 7, 9)}, {"sizes": ints(1, 2, 3, 4)})
    case("resize_18_cubic_antialias_exclude_outside", 18,
         node("Resize", "x,,scales", mode="cubic", antialias=1, exclude_outside=1, cubic_coeff_a=-0.5),
         {"x": data(1, 1, 8, 8)}, {"scales": floats(1, 1, 0.6, 0.6)})
    case("resize_18_axes", 18, node("Resize", "x,,scales", mode="linear", axes=[3, 2]),
         {"x": data(1, 2, 4, 5)}, {"scales": floats(1.5, 2)})
    for policy in ("not_larger", "not_smaller"):
        case(f"resize_18_{policy}", 18,
             node("Resize", "x,,,sizes", mode="nearest", axes=[2, 3], keep_aspect_ratio_policy=policy),
             {"x": data(1, 1, 2, 4)}, {"sizes": ints(7, 8)})
    case("resize_19_half_pixel_symmetric", 19,
         node("Resize", "x,,scales", mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
         {"x": data(1, 1, 4, 5)}, {"scales": floats(1, 1, 2.3, 0.7)})
    case("resize_19_crop", 19,
         node("Resize", "x,roi,,sizes", mode="linear", coordinate_transformation_mode="tf_crop_and_resize", axes=[2, 3],
              extrapolation_value=9.0),
         {"x": data(1, 1, 4, 5)}, {"roi": floats(0.4, 0.6, 0.6, 1.7), "sizes": ints(3, 3)})
    case("resize_19_nearest_ceil", 19,
         node("Resize", "x,,scales", nearest_mode="ceil", coordinate_transformation_mode="align_corners"),
         {"x": data(1, 1, 3, 4)}, {"scales": floats(1, 1, 2.5, 1.7)})

    case("pad_18_axes", 18, node("Pad", "x,p,v,axes"), {"x": data(2, 3, 4)},
         {"p": ints(1, 0, 2, 3), "v": floats(0.5).reshape(()), "axes": ints(2, -2)})
    case("pad_19_wrap", 19, node("Pad", "x,p", mode="wrap"), {"x": data(2, 3, 4)}, {"p": ints(0, 1, 2, 0, 1, 1)})
    for operator in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2"):
        case(f"{operator.lower()}_18", 18, node(operator, "x,axes", keepdims=0), {"x": data(2, 3, 4, 2)},
             {"axes": ints(-1, 1)})
    case("reducemean_18_all", 18, node("ReduceMean", "x"), {"x": data(2, 3, 4)})
    case("reducemean_18_none", 18, node("ReduceMean", "x", noop_with_empty_axes=1), {"x": data(2, 3)})
    case("averagepool_19_dilations", 19,
         node("AveragePool", "x", kernel_shape=[2, 3], dilations=[2, 1], strides=[1, 2], pads=[1, 0, 1, 2]),
         {"x": data(1, 2, 6, 7)})
    case("averagepool_19_dilations_ceil", 19,
         node("AveragePool", "x", kernel_shape=[2, 2], dilations=[2, 2], strides=[2, 2], ceil_mode=1,
              count_include_pad=1, pads=[0, 0, 1, 1]), {"x": data(1, 1, 6, 6)})
    case("split_18_uneven", 18, node("Split", "x", "y,z,w", num_outputs=3, axis=1), {"x": data(2, 7)})
    case("reshape_21", 21, node("Reshape", "x,s"), {"x": data(2, 3, 4)}, {"s": ints(0, 2, -1)})
    for opset in (19, 21):
        case(f"cast_{opset}", opset,
             [node("Cast", "x", "i", to=TensorProto.INT64), node("Cast", "i", to=TensorProto.FLOAT)],
             {"x": 5 * data(3, 4)})
    case("views_21", 21, [node("Unsqueeze", "x,one", "a"), node("Transpose", "a", "b", perm=[2, 0, 1, 3]),
                          node("Flatten", "b", "c", axis=2), node("Identity", "c", "d"),
                          node("Unsqueeze", "d,one", "e"), node("Squeeze", "e,one")],
         {"x": data(2, 3, 4)}, {"one": ints(1)})
    case("shape_arithmetic_21", 21,
         [node("Shape", "x", "tail", start=-2), node("Shape", "x", "head", start=0, end=2),
          node("Mul", "tail,two", "doubled"), node("Concat", "head,doubled", "sizes", axis=0),
          node("Resize", "x,,,sizes", nearest_mode="floor", coordinate_transformation_mode="asymmetric")],
         {"x": data(1, 2, 3, 2)}, {"two": ints(2)})
    case("filled_21", 21,
         [node("Size", "x", "size"), node("Reshape", "size,one", "count"),
          node("ConstantOfShape", "count", "filled", value=numpy_helper.from_array(floats(1.5))),
          node("Reshape", "filled,shape", "grid"), node("Add", "x,grid")],
         {"x": data(2, 3)}, {"one": ints(1), "shape": ints(2, -1)})


def exported_at_batch_1():
    """The network states batch 1 everywhere and is run on three items: the outputs are those of one that states 3."""
    case("batch_reshape", 18, node("Reshape", "x,s"), {"x": data(3, 2, 3, 5)}, {"s": ints(3, -1)}, 1,
         {"s": ints(1, -1)})
    case("batch_resize", 18, node("Resize", "x,,,s", mode="nearest"), {"x": data(3, 2, 3, 5)},
         {"s": ints(3, 2, 6, 5)}, 1, {"s": ints(1, 2, 6, 5)})
    first = ints(0, 2, 1, 0, 0, 3).reshape(1, 2, 3)  # of the one item that the file knows: [channel, column] 2, 1 and 0, 3
    every = np.stack([first[0] + [item, 0, 0] for item in range(3)])
    case("batch_scatter_nd", 18, node("ScatterND", "x,i,u"), {"x": data(3, 4, 5), "u": data(3, 2)}, {"i": every}, 1,
         {"i": first})
    update = data(1, 2)
    case("batch_scatter_nd_constant", 18, node("ScatterND", "x,i,u"), {"x": data(3, 4, 5)},
         {"i": every, "u": np.repeat(update, 3, 0)}, 1, {"i": first, "u": update})
    case("batch_gather_nd", 18, node("GatherND", "x,i"), {"x": data(3, 4, 5)}, {"i": every}, 1, {"i": first})
    case("batch_gather_elements", 18, node("GatherElements", "x,i", axis=1), {"x": data(3, 4, 2)},
         {"i": np.repeat(ints(1, 3, -1, 0).reshape(1, 2, 2), 3, 0)}, 1, {"i": ints(1, 3, -1, 0).reshape(1, 2, 2)})


def indexing():
    """What ONNX's node tests leave out of indices and of einsum."""
    case("scatter_nd_rows", 18, node("ScatterND", "x,i,u"), {"x": data(4, 3, 2), "u": data(2, 2, 3, 2)},
         {"i": ints(3, -4, 0, 1).reshape(2, 2, 1)})  # one row is written twice
    case("scatter_nd_all", 18, node("ScatterND", "x,i,u"), {"x": data(3, 2), "u": data(3, 2)},
         {"i": ints(2, 0, 1).reshape(3, 1)})  # nothing of the data is left
    case("gather_nd_middle", 18, node("GatherND", "x,i", batch_dims=1), {"x": data(2, 3, 4, 2)},
         {"i": ints(2, 0, -1, 3, 1, 1, 0, -4).reshape(2, 2, 2)})
    case("scatter_9", 9, node("Scatter", "x,i,u", axis=1), {"x": data(2, 4), "u": data(2, 2)},
         {"i": ints(3, 1, 0, 2).reshape(2, 2)})
    for name, equation, shapes in (
            ("attention", "bnhd,bmhd->bhnm", ((2, 3, 2, 4), (2, 5, 2, 4))), ("scaled", "bchw,bc->bchw", ((2, 3, 2, 2), (2, 3))),
            ("outer", "i,j->ij", ((3,), (4,))), ("implicit", "ba, cb", ((2, 3), (4, 2))),
            ("three", "ab,bc,cd->ad", ((2, 3), (3, 4), (4, 2))), ("summed", "abc,cd->d", ((2, 3, 4), (4, 5))),
            ("ellipsis", "...ij,...jk->...ik", ((2, 1, 3, 4), (5, 4, 2))), ("trace", "bii->b", ((2, 3, 3),))):
        case(f"einsum_{name}", 18, node("Einsum", ",".join("xyz"[:len(shapes)]), "out", equation=equation),
             {key: data(*shape) for key, shape in zip("xyz", shapes)})


def older():
    case("upsample_7", 7, node("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0], mode="nearest"), {"x": data(1, 2, 3, 2)})
    case("upsample_9_linear", 9, node("Upsample", "x,s", mode="linear"), {"x": data(1, 2, 3, 2)},
         {"s": floats(1, 1, 2, 2)})
    for name, scales in (("up", (1, 1, 2, 1.5)), ("down", (1, 1, 0.6, 0.7))):
        case(f"resize_10_{name}", 10, node("Resize", "x,s"), {"x": data(1, 2, 5, 7)}, {"s": floats(*scales)})
    case("slice_9", 9, node("Slice", "x", axes=[2, 0], starts=[-3, 0], ends=[100, -1]), {"x": data(3, 2, 5)})
    case("pad_10", 10, node("Pad", "x", pads=[0, 1, 1, 0], value=2.0), {"x": data(2, 3)})
    case("split_11", 11, node("Split", "x", "y,z", axis=-1, split=[2, 3]), {"x": data(2, 5)})
    case("squeeze_11", 11, [node("Unsqueeze", "x", "a", axes=[0, 3]), node("Squeeze", "a", axes=[-1])],
         {"x": data(2, 3)})
    case("clip_10", 10, node("Clip", "x", min=-0.5, max=0.25), {"x": data(3, 4)})
    case("softmax_12", 12, node("Softmax", "x", axis=1), {"x": 3 * data(2, 3, 4)})
    case("logsoftmax_12", 12, node("LogSoftmax", "x"), {"x": 3 * data(2, 3, 4)})
    case("reducesum_11", 11, node("ReduceSum", "x", axes=[1], keepdims=0), {"x": data(2, 3, 4)})
    case("dropout_7", 7, node("Dropout", "x", ratio=0.3), {"x": data(2, 3)})
    case("batchnorm_9", 9, node("BatchNormalization", "x,s,b,m,v", epsilon=1e-3), {"x": data(2, 3, 2, 2)},
         {"s": data(3), "b": data(3), "m": data(3), "v": 1 + data(3)})


def machine_learning():
    def table(rows, columns):
        return [float(v) for v in data(rows, columns).ravel()]

    case("ml_regressor", 17,
         [learned("Scaler", "x", "a", offset=table(1, 4), scale=[2.0, 0.5, 1.5, -1.0]),
          learned("LinearRegressor", "a", coefficients=table(3, 4), intercepts=table(1, 3), targets=3)], {"x": data(2, 4)})
    case("ml_regressor_alone", 17,
         [learned("Scaler", "x", "a", offset=[0.5], scale=[3.0]), learned("LinearRegressor", "a", coefficients=table(1, 4))],
         {"x": data(1, 4)})
    case("ml_classifier", 17,
         [learned("LinearClassifier", "x", "l,a", coefficients=table(3, 4), intercepts=table(1, 3), multi_class=1,
                  classlabels_ints=[0, 1, 2], post_transform="LOGISTIC"), learned("Normalizer", "a", norm="L1")],
         {"x": data(2, 4)})
    case("ml_classifier_softmax", 17,
         [learned("LinearClassifier", "x", "l,a", coefficients=table(3, 4), intercepts=table(1, 3), multi_class=1,
                  classlabels_ints=[0, 1, 2], post_transform="SOFTMAX"), node("Identity", "a")], {"x": data(2, 4)})
    case("ml_classifier_pair", 17,
         [learned("LinearClassifier", "x", "l,a", coefficients=table(1, 4), intercepts=[0.3], classlabels_ints=[0, 1],
                  post_transform="LOGISTIC"), node("Identity", "a")], {"x": data(2, 4)})
    for norm in ("MAX", "L2"):
        case(f"ml_normalizer_{norm.lower()}", 17, learned("Normalizer", "x", norm=norm), {"x": 1.5 + data(2, 4)})


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    restart()
    newer()
    exported_at_batch_1()
    indexing()
    older()
    machine_learning()
