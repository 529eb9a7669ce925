#!/usr/bin/env python3
"""The peer: lucid's method in PyTorch on an ONNX network, with its weights frozen and the graph cut behind the target.

Everything a step needs is written the way the method's own libraries write it (spectrum, colours, pad, jitter, scale,
rotate, jitter, Adam), on the fastest settings found for it: denormals flushed, `--threads`, `--channels-last`, `--bf16`.

  peer.py MODEL.onnx LAYER:CHANNEL [--steps 148] [--size 224] [--batch 1] [--network-only] [--torchvision NAME]
          [--device cuda] [--compile | --graph]

On a GPU steps are timed in blocks of eight, for nothing has to wait for each; products are of 32 bits, not of TF32.
--compile gives the network to torch.compile; --graph replays one CUDA graph for each step, whose random view is then one
affine warp by a matrix that the host writes.

Prints one line of JSON like bench-step's. Needs torch, onnx and numpy.
"""
import argparse, json, math, time
import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F


class WakingRelu(torch.autograd.Function):
    """ReLU whose gradient goes to inactive units where a whole item would get none (lucid's redirected ReLU)."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return torch.relu(x)

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        plain = torch.where(x > 0, gradient, 0)
        silent = plain.flatten(1).abs().amax(1).view(-1, *[1] * (x.dim() - 1)) == 0
        wake = torch.where((x < 0) & (gradient < 0), gradient, plain)
        return torch.where(silent, wake, plain)


class Network:
    """Runs the nodes of an ONNX file one after another, up to the layer asked for."""

    def __init__(self, path, layer, device_format, device):
        graph = onnx.load(path).graph
        self.values = {}
        for tensor in graph.initializer:
            value = torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor)))
            if value.dim() == 4:
                value = value.contiguous(memory_format=device_format)
            self.values[tensor.name] = value.to(device)
        self.device = device
        self.input = next(i.name for i in graph.input if i.name not in self.values)
        self.layer, self.waking, nodes = layer, False, list(graph.node)
        needed, self.nodes = {layer}, []
        for node in reversed(nodes):
            if needed & set(node.output):
                attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
                self.nodes.insert(0, (getattr(self, node.op_type), list(node.input), node.output[0], attributes))
                needed |= set(node.input)

    def __call__(self, x):
        values = dict(self.values)
        values[self.input] = x
        for operation, names, output, attributes in self.nodes:
            values[output] = operation(attributes, *[values[name] if name else None for name in names])
        return values[self.layer]

    def Conv(self, a, x, w, b=None):
        top, left, bottom, right = a.get('pads', [0, 0, 0, 0])
        if (top, left) != (bottom, right):
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        return F.conv2d(x, w, b, a.get('strides', 1), (top, left), a.get('dilations', 1), a.get('group', 1))

    def Relu(self, a, x):
        return WakingRelu.apply(x) if self.waking else torch.relu(x)

    def MaxPool(self, a, x):
        pads = a.get('pads', [0, 0, 0, 0])
        return F.max_pool2d(x, a['kernel_shape'], a.get('strides', 1), pads[:2], 1, bool(a.get('ceil_mode', 0)))

    def AveragePool(self, a, x):
        pads = a.get('pads', [0, 0, 0, 0])
        return F.avg_pool2d(x, a['kernel_shape'], a.get('strides', 1), pads[:2], bool(a.get('ceil_mode', 0)),
                            bool(a.get('count_include_pad', 0)))

    def GlobalAveragePool(self, a, x):
        return x.mean((2, 3), keepdim=True)

    def LRN(self, a, x):
        return F.local_response_norm(x, a['size'], a['alpha'], a['beta'], a['bias'])

    def BatchNormalization(self, a, x, scale, bias, mean, variance):
        return F.batch_norm(x, mean, variance, scale, bias, False, 0, a.get('epsilon', 1e-5))

    def Concat(self, a, *inputs):
        return torch.cat(inputs, a['axis'])

    def Clip(self, a, x, low=None, high=None):
        return torch.clamp(x, None if low is None else float(low), None if high is None else float(high))

    def Gemm(self, a, x, w, b=None):
        return F.linear(x, w if a.get('transB') else w.T, b)

    def Add(self, a, x, y): return x + y
    def Sub(self, a, x, y): return x - y
    def Mul(self, a, x, y): return x * y
    def Cast(self, a, x): return x.float()
    def Constant(self, a): return torch.from_numpy(np.array(onnx.numpy_helper.to_array(a['value']))).to(self.device)
    def Dropout(self, a, x): return x
    def Identity(self, a, x): return x
    def Flatten(self, a, x): return torch.flatten(x, a.get('axis', 1))
    def Softmax(self, a, x): return torch.softmax(x, a.get('axis', 1))


class Module:
    """A network as torchvision has it, with random weights, its last layer the target."""

    def __init__(self, name, device_format, device):
        import networks
        self.module = networks.network(name).requires_grad_(False)
        self.module.to(device, memory_format=device_format)
        self.waking = False

    def __call__(self, x):
        return self.module(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('model')
    parser.add_argument('target', help='LAYER:CHANNEL')
    parser.add_argument('--steps', type=int, default=148)
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--input', choices=['caffe', 'torch', 'unit'], default='caffe')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--bf16', action='store_true')
    parser.add_argument('--device', default='cpu', help='cpu, or cuda')
    parser.add_argument('--compile', action='store_true', help='the network by torch.compile')
    parser.add_argument('--graph', action='store_true', help='a step as a CUDA graph')
    parser.add_argument('--network-only', action='store_true', help='forward and input gradient, nothing around them')
    parser.add_argument('--torchvision', help="torchvision's own network of this name instead of the file's nodes, which are no "
                                              'longer what it computes by: GELU, attention')
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    device = torch.device(options.device)
    if device.type == 'cuda' and not torch.cuda.is_available():
        parser.exit(1, 'peer.py: this PyTorch sees no CUDA device\n')
    if options.graph and device.type != 'cuda':
        parser.exit(2, 'peer.py: --graph needs --device cuda\n')
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = True, False
    torch.manual_seed(options.seed)
    layer, _, channel = options.target.rpartition(':')
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    network = Module(options.torchvision, layout, device) if options.torchvision else Network(options.model, layer, layout, device)
    seen = torch.compile(network) if options.compile else network
    size, batch = options.size, options.batch

    colours = torch.tensor([[.26, .09, .02], [.27, 0, -.05], [.27, -.09, .03]], device=device)
    colours = colours / colours.norm(dim=0).max()
    columns = size // 2 + 1 + size % 2
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[:columns])
    scale = torch.tensor(size / np.maximum(frequency, 1 / size), dtype=torch.float32, device=device)
    spectrum = (0.01 * torch.randn(batch, 3, size, columns, 2)).to(device).requires_grad_()

    def picture():
        planes = torch.fft.irfft2(torch.view_as_complex(spectrum) * scale, s=(size, size + size % 2))[..., :size] / 4
        return torch.sigmoid(torch.einsum('ij,bjhw->bihw', colours, planes))

    def cut(x, pixels):
        top, left = torch.randint(0, pixels + 1, (2,)).tolist()
        return x[..., top:top + x.shape[-2] - pixels, left:left + x.shape[-1] - pixels]

    turns = [math.radians(d) for d in list(range(-10, 11)) + 5 * [0]]
    means, deviations = torch.zeros(1, 3, 1, 1, device=device), torch.ones(1, 3, 1, 1, device=device)
    if options.input == 'caffe':
        means = torch.tensor([104., 117, 123], device=device).view(1, 3, 1, 1)
    elif options.input == 'torch':
        means = torch.tensor([.485, .456, .406], device=device).view(1, 3, 1, 1)
        deviations = torch.tensor([.229, .224, .225], device=device).view(1, 3, 1, 1)

    def draw_zoom():
        return 1 + (int(torch.randint(0, 11, ())) - 5) / 50

    def draw_turn():
        turn = turns[int(torch.randint(0, len(turns), ()))]
        return torch.tensor([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0]])

    matrix = torch.zeros(1, 2, 3, device=device)

    def draw_matrix():
        """The same changes of view as one map from what is seen to the picture, for a graph that cannot change its shapes."""
        rows = draw_turn() / draw_zoom()
        rows[:, 2] = (torch.rand(2) * 12 - 6) * 2 / size
        matrix.copy_(rows[None])

    def view_by_matrix(x):
        grid = F.affine_grid(matrix.expand(batch, 2, 3), x.shape, align_corners=False)
        return F.grid_sample(x - .5, grid, align_corners=False) + .5

    def view(x):
        x = cut(F.pad(x, (12,) * 4, value=.5), 8)
        x = F.interpolate(x, scale_factor=draw_zoom(), mode='bilinear', align_corners=False, recompute_scale_factor=True)
        grid = F.affine_grid(draw_turn().to(device).expand(batch, 2, 3), x.shape, align_corners=False)
        x = cut(F.grid_sample(x, grid, align_corners=False), 4)
        room = size - x.shape[-1]
        return F.pad(x, (room // 2, room - room // 2) * 2, value=.5)  # negative room cuts

    def prepare(x):
        if options.input == 'caffe':
            x = 255 * x.flip(1) - means
        elif options.input == 'torch':
            x = (x - means) / deviations
        return x.contiguous(memory_format=layout)

    def score(x):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=options.bf16):
            return seen(prepare(x)).float()[:, int(channel)].reshape(batch, -1).mean(1)

    adam, times = torch.optim.Adam([spectrum], lr=0.05, capturable=options.graph), []
    still = picture().detach().requires_grad_()

    def step(view):
        if options.network_only:
            return torch.autograd.grad(score(still).sum(), still)
        adam.zero_grad()
        (-score(view(picture())).sum()).backward()
        adam.step()

    def captured():
        """A graph of one step, after a few on a stream of their own, as torch.cuda.graph wants it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                draw_matrix()
                step(view_by_matrix)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step(view_by_matrix)
        return graph

    graph, block, done = None, 8 if device.type == 'cuda' else 1, 0
    while done < options.steps:
        network.waking = done < 16 and not options.network_only
        if options.graph and not network.waking and not graph:
            graph = captured()
        start = time.perf_counter()
        for _ in range(block):
            if graph:
                draw_matrix()
                graph.replay()
            else:
                step(view)
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times += [1e3 * (time.perf_counter() - start) / block] * block
        done += block
    times = sorted(times[20:] or times)
    with torch.no_grad():
        reached = score(picture())[0].item()
    print(json.dumps({'milliseconds': times[len(times) // 2], 'least': times[0], 'batch': batch, 'objective': reached}))


main()
