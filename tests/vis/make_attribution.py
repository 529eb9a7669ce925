"""Makes the networks, the picture and the maps that test_attribution.c holds the project's maps against.

    python tests/vis/make_attribution.py PICTURE

PICTURE is chelsea.png of scikit-image's sample data. Needs torch, numpy, Pillow, onnx, captum, grad-cam and zennit. Writes into tests/vis/data:

    attribution.png      PICTURE's middle, 32 x 32
    attribution.npy      [methods, 32, 32] in the order of `maps` below: channels summed, or their largest magnitude
    linear.onnx          one fully connected layer of [1,3,4,4] to 5 numbers
    named.onnx           the same picture through three activations that ONNX has names for, to 5 numbers
    spelled.onnx         the same with each activation written as several operations
"""
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from captum.attr import (Deconvolution, GuidedBackprop, GuidedGradCam, InputXGradient, IntegratedGradients,
                         LayerGradientXActivation, Saliency)
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from torch import nn
from zennit.attribution import Gradient
from zennit.composites import EpsilonGammaBox, EpsilonPlusFlat, LayerMapComposite, SpecialFirstLayerMapComposite
from zennit.rules import AlphaBeta, Epsilon, Gamma, Norm, Pass, ZBox, ZPlus
from zennit.types import Activation, AvgPool, Convolution, Linear

folder = Path(__file__).parent
target, size, cam_layer, masks, grid = 15, 32, "conv4b", 96, 7


def iris100():
    """The embedded network, its normalisation apart."""
    graph = onnx.load(folder.parent.parent / "weights/iris100.onnx").graph
    values = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in graph.initializer}
    for node in graph.node:  # weights are kept in half precision behind a cast
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    layers = {}
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type in ("Conv", "Gemm"):
            weight, bias = (torch.from_numpy(values[k].copy()) for k in node.input[1:])
            if node.op_type == "Conv":
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], attributes["strides"][0],
                                  attributes["pads"][0])
            else:
                layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data, layer.bias.data = weight, bias
        elif node.op_type == "Relu":
            layer = nn.ReLU()
        elif node.op_type == "MaxPool":
            layer = nn.MaxPool2d(2)
        elif node.op_type == "GlobalAveragePool":
            layer = nn.AvgPool2d(size // 16)
        elif node.op_type == "Flatten":
            layer = nn.Flatten()
        else:
            continue
        layers[node.output[0]] = layer
    mean, scale = (torch.from_numpy(values[k]).reshape(1, -1, 1, 1) for k in ("input.mean", "input.scale"))
    return nn.Sequential(OrderedDict(layers)), mean, scale


def philox(index, step, use, seed):
    """Philox4x32-10: four 32-bit numbers."""
    counter, key, full = [index & 0xFFFFFFFF, index >> 32, step, use], [seed & 0xFFFFFFFF, seed >> 32], 0xFFFFFFFF
    for _ in range(10):
        p, q = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(q >> 32) ^ counter[1] ^ key[0], q & full, (p >> 32) ^ counter[3] ^ key[1], p & full]
        key = [(key[0] + 0x9E3779B9) & full, (key[1] + 0xBB67AE85) & full]
    return counter


def rise(function, x):
    """The masks of perturbation.c: uses 102 and 103 of the random numbers."""
    cell, total = -(-size // grid), 0
    for index in range(masks):
        top, left = (int(philox(i, index, 103, 0)[0] / 2**32 * cell) for i in range(2))
        cells = [philox(i, index, 102, 0)[0] / 2**32 < 0.5 for i in range(grid * grid)]
        coarse = torch.tensor(cells, dtype=torch.float32).reshape(1, 1, grid, grid)
        fine = F.interpolate(coarse, size=((grid + 1) * cell,) * 2, mode="bilinear", align_corners=False)
        mask = fine[..., top:top + size, left:left + size]
        total = total + function(x * mask).item() * mask[0, 0]
    return total / (0.5 * masks)


def score_cam(function, x, activations):
    scores = []
    for channel in activations[0]:
        mask = F.interpolate(channel[None, None], size=x.shape[2:], mode="bilinear", align_corners=False)
        low, high = mask.min(), mask.max()
        scores.append(function(x * ((mask - low) / (high - low) if high > low else 0 * mask)))
    weights = torch.softmax(torch.stack(scores).flatten(), 0)
    return torch.relu((weights[:, None, None] * activations[0]).sum(0))


def rescale(net, x, baseline):
    """DeepLift's multipliers, written out. Captum's own sum is off the difference in value by 13 % on this network and
    picture: where an input of a maximum pool does not change, it takes the first batch item's gradient (captum 0.9,
    _core/deep_lift.py, maxpool)."""
    steps = [(x, baseline)]
    for layer in net:
        steps.append(tuple(layer(v) for v in steps[-1]))
    multiplier = torch.zeros_like(steps[-1][0])
    multiplier[0, target] = 1
    pull = lambda layer, at, seed: torch.autograd.grad(layer(leaf := at.detach().requires_grad_()), leaf, seed)[0]
    for layer, (a, b), (y, z) in zip(reversed(net), steps[-2::-1], steps[:0:-1]):
        change, still = a - b, (a - b).abs() < 1e-6
        if isinstance(layer, nn.ReLU):
            multiplier = torch.where(still, pull(layer, a, multiplier), multiplier * (y - z) / change)
        elif isinstance(layer, nn.MaxPool2d):
            both = torch.maximum(y, z)
            winners = pull(layer, a, multiplier * (both - z)) + pull(layer, b, multiplier * (y - both))
            multiplier = torch.where(still, torch.zeros_like(change), winners / change)
        else:
            multiplier = pull(layer, a, multiplier)
    return multiplier * (x - baseline)


def gaussian(planes, deviation):
    """Each plane [C,H,W] blurred, borders reflected, cut off at four deviations."""
    taps = int(4 * deviation + 0.5)
    weights = np.exp(-0.5 * np.arange(-taps, taps + 1.0) ** 2 / deviation**2) if taps else np.ones(1)
    for axis in (1, 2):
        padded = np.pad(planes, [(taps, taps) if a == axis else (0, 0) for a in range(3)], mode="symmetric")
        planes = np.apply_along_axis(np.convolve, axis, padded, weights / weights.sum(), "valid")
    return planes


def blur_path(slope, x, steps=100, largest=50):
    """Blur integrated gradients: the gradient between neighbouring pictures times their difference."""
    levels = [gaussian(x, largest * (steps - k) / steps) for k in range(steps)] + [x]
    return sum(slope((a + b) / 2) * (b - a) for a, b in zip(levels, levels[1:]))


def guided_path(slope, x, baseline, steps=20, fraction=0.25, reach=0.02):
    """Guided integrated gradients (Kapishnikov et al. 2021, algorithm 1)."""
    at, total, whole = baseline.copy(), np.zeros_like(x), np.abs(x - baseline).sum()
    straight = lambda share: baseline + share * (x - baseline)
    for step in range(1, steps + 1):
        gradient, wanted = slope(at), whole * (1 - step / steps)
        least, most = straight(max(step / steps - reach, 0)), straight(min(step / steps + reach, 1))
        lags = np.abs(at - baseline) < np.abs(least - baseline)
        moved = np.where(lags, least, at)
        while (left := np.abs(x - moved).sum()) > wanted * (1 + 1e-9) + 1e-12:
            free = np.abs(most - baseline) > np.abs(moved - baseline)
            magnitude = np.where(free, np.abs(gradient), np.inf)
            chosen = free & (magnitude <= np.quantile(magnitude, fraction, method="lower"))
            distance = np.abs(most - moved)[chosen].sum()
            part = min(1, (left - wanted) / distance)
            moved = np.where(chosen, most if part == 1 else moved + part * (most - moved), moved)
            if part < 1:
                break
        total, at = total + gradient * (moved - at), moved
    return total


def enlarge(cam):
    return F.interpolate(torch.as_tensor(cam)[None, None].float(), size=(size, size), mode="bilinear",
                         align_corners=False)[0, 0]


def activations(spelled):
    """Convolutions of 3 to 4 to 4 to 5 channels, each with an activation behind it, and the mean."""
    rng = np.random.default_rng(1)
    constants = {"half": 0.5, "one": 1, "root": np.sqrt(2)}
    initializers = [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    nodes, value, inputs = [], "image", 3
    forms = {
        "HardSwish": [("HardSigmoid", ["x"], "gate", {"alpha": 1 / 6}), ("Mul", ["x", "gate"], "y", {})],
        "Mish": [("Softplus", ["x"], "soft", {}), ("Tanh", ["soft"], "gate", {}), ("Mul", ["x", "gate"], "y", {})],
        "Gelu": [("Div", ["x", "root"], "part", {}), ("Erf", ["part"], "erf", {}), ("Add", ["erf", "one"], "gate", {}),
                 ("Mul", ["x", "gate"], "twice", {}), ("Mul", ["twice", "half"], "y", {})]}
    for i, (name, form) in enumerate(forms.items()):
        outputs = [4, 4, 5][i]
        weight = (rng.standard_normal((outputs, inputs, 3, 3)) * 2 / np.sqrt(9 * inputs)).astype(np.float32)
        initializers.append(numpy_helper.from_array(weight, f"weight{i}"))
        nodes.append(helper.make_node("Conv", [value, f"weight{i}"], [f"x{i}"], pads=[1, 1, 1, 1]))
        for operation, read, made, attributes in form if spelled else [(name, ["x"], "y", {})]:
            read = [r if r in constants else r + str(i) for r in read]
            nodes.append(helper.make_node(operation, read, [made + str(i)], **attributes))
        value, inputs = f"y{i}", outputs
    nodes += [helper.make_node("GlobalAveragePool", [value], ["mean"]), helper.make_node("Flatten", ["mean"], ["scores"])]
    graph = helper.make_graph(nodes, "activations", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 4, 4])],
                              [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "data" / ("spelled.onnx" if spelled else "named.onnx"))


def main():
    picture = Image.open(sys.argv[1]).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side)).resize((size, size), Image.BICUBIC)
    (folder / "data").mkdir(exist_ok=True)
    picture.save(folder / "data/attribution.png")
    x = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255
    net, mean, scale = iris100()

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, image):
            return self.net((image - mean) * scale)

    whole, zero = Whole().eval(), torch.zeros_like(x)
    summed = lambda a: a.detach()[0].sum(0)
    largest = lambda a: a.detach()[0].abs().amax(0)

    names = [name for name, _ in net.named_children()]
    head, tail = net[:names.index(cam_layer) + 1], net[names.index(cam_layer) + 1:]
    activations = head((x - mean) * scale).detach().requires_grad_()
    gradient, = torch.autograd.grad(tail(activations)[0, target], activations)
    numbers = activations.detach().numpy(), gradient.numpy()

    def cam(kind):
        made = kind(model=whole, target_layers=[net[names.index(cam_layer)]])
        result = made.get_cam_image(x, net[names.index(cam_layer)], None, *numbers, False)[0]
        if kind is EigenCAM:  # its sign is open
            result = result * np.sign((result * numbers[0][0].sum(0)).sum())
        return enlarge(np.maximum(result, 0))

    def zennit(composite):
        inside = ((x - mean) * scale).requires_grad_()
        with Gradient(model=net, composite=composite) as attributor:
            output, relevance = attributor(inside, lambda out: out * torch.eye(out.shape[1])[[target]])
        return summed(relevance)

    def everywhere(rule):
        return LayerMapComposite(layer_map=[(Activation, Pass()), (AvgPool, Norm()), (Linear, rule)])

    low, high = (0 - mean) * scale, (1 - mean) * scale
    probability = lambda image: torch.softmax(whole(image), 1)[0, target]

    def slope(at):
        leaf = torch.from_numpy(at[None].astype(np.float32)).requires_grad_()
        return torch.autograd.grad(whole(leaf)[0, target], leaf)[0][0].numpy().astype(np.float64)

    exact = x[0].numpy().astype(np.float64)
    first = SpecialFirstLayerMapComposite(
        layer_map=[(Activation, Pass()), (AvgPool, Norm()), (Linear, ZPlus())],
        first_map=[(Convolution, ZBox(low=low, high=high))])
    guided = GuidedGradCam(whole, net[names.index(cam_layer)])
    with torch.no_grad():
        masked, scored = rise(probability, x), enlarge(score_cam(lambda i: whole(i)[0, target], x, activations))
    maps = {
        "gradient": largest(Saliency(whole).attribute(x.clone().requires_grad_(), target=target)),
        "integrated-gradients": summed(IntegratedGradients(whole).attribute(x, zero, target=target, n_steps=50)),
        "guided-backpropagation": largest(GuidedBackprop(whole).attribute(x.clone().requires_grad_(), target=target)),
        "deconvolution": largest(Deconvolution(whole).attribute(x.clone().requires_grad_(), target=target)),
        "deeplift": summed(rescale(net, (x - mean) * scale, (zero - mean) * scale)),
        "lrp-epsilon": zennit(everywhere(Epsilon(1e-6))),
        "lrp-gamma": zennit(everywhere(Gamma(0.25))),
        "lrp-z-plus": zennit(everywhere(ZPlus())),
        "lrp-alpha-beta": zennit(everywhere(AlphaBeta(2, 1))),
        "lrp-epsilon-gamma-box": zennit(EpsilonGammaBox(low=low, high=high)),
        "lrp-epsilon-plus-flat": zennit(EpsilonPlusFlat()),
        "grad-cam": cam(GradCAM),
        "grad-cam++": cam(GradCAMPlusPlus),
        "hires-cam": cam(HiResCAM),
        "xgrad-cam": cam(XGradCAM),
        "layer-cam": cam(LayerCAM),
        "eigen-cam": cam(EigenCAM),
        "score-cam": scored,   # written out above
        "rise": masked,        # written out above
        "gradient-x-input": summed(InputXGradient(whole).attribute(x.clone().requires_grad_(), target=target)),
        "blur-integrated-gradients": blur_path(slope, exact).sum(0),                                # likewise
        "guided-integrated-gradients": guided_path(slope, exact, np.zeros_like(exact)).sum(0),      # likewise
        "guided-grad-cam": largest(guided.attribute(x.clone().requires_grad_(), target=target,
                                                    interpolate_mode="bilinear")),
        "lrp-z-box": zennit(first),
        "layer-gradient": enlarge(summed(LayerGradientXActivation(whole, net[names.index(cam_layer)]).attribute(
            x, target=target))),
        "layer-path": enlarge(summed(IntegratedGradients(tail).attribute(
            activations.detach(), torch.zeros_like(activations), target=target, n_steps=50))),
    }
    np.save(folder / "data/attribution.npy", np.stack([np.asarray(m, dtype=np.float32) for m in maps.values()]))
    print(*maps, sep="\n")

    weight = np.random.default_rng(0).standard_normal((5, 48)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["flat"], axis=1),
         helper.make_node("Gemm", ["flat", "weight"], ["scores"], transB=1)], "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "data/linear.onnx")
    activations(spelled=False)
    activations(spelled=True)


main()
