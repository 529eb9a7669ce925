"""Writes tests/model/data/caffe: small random Caffe networks in every form that the loader reads, and their values.

Nothing here knows the loader: the wire format is written byte by byte from field numbers of Caffe's caffe.proto, the
text form by hand, and the values come from plain loops over the rules in Caffe's src/caffe/layers, in double precision.

    python3 tests/model/make_caffe_variants.py     (needs numpy alone)

For each network NAME: NAME.caffemodel, NAME.prototxt where it has one, and a line in variants.txt: file to load, file
of values (the input, then every tap, flattened and joined; forms of one network share it), input name and shape, then
taps with their shapes.
"""
import math
import os
import struct

import numpy as np

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'caffe')

# ---- Wire format ----------------------------------------------------------------------------------------------------

# Parameter message -> (field number in LayerParameter, in V1LayerParameter or None, fields). A field is (number, kind):
# u varint, i signed varint, f float, b bool, a dict the enumerators, a tuple ('shape',) a BlobShape.
SHAPE = ('shape',)
PARAMETERS = {
    'transform_param': (100, 36, {'scale': (1, 'f'), 'crop_size': (3, 'u'), 'mean_value': (5, 'f')}),
    'argmax_param': (103, 23, {'out_max_val': (1, 'b'), 'top_k': (2, 'u'), 'axis': (3, 'i')}),
    'concat_param': (104, 9, {'concat_dim': (1, 'u'), 'axis': (2, 'i')}),
    'convolution_param': (106, 10, {
        'num_output': (1, 'u'), 'bias_term': (2, 'b'), 'pad': (3, 'u'), 'kernel_size': (4, 'u'), 'group': (5, 'u'),
        'stride': (6, 'u'), 'pad_h': (9, 'u'), 'pad_w': (10, 'u'), 'kernel_h': (11, 'u'), 'kernel_w': (12, 'u'),
        'stride_h': (13, 'u'), 'stride_w': (14, 'u'), 'axis': (16, 'i'), 'dilation': (18, 'u')}),
    'data_param': (107, 11, {'batch_size': (4, 'u'), 'crop_size': (5, 'u'), 'scale': (2, 'f')}),
    'dropout_param': (108, 12, {'dropout_ratio': (1, 'f')}),
    'eltwise_param': (110, 24, {'operation': (1, {'PROD': 0, 'SUM': 1, 'MAX': 2}), 'coeff': (2, 'f')}),
    'exp_param': (111, 41, {'base': (1, 'f'), 'scale': (2, 'f'), 'shift': (3, 'f')}),
    'inner_product_param': (117, 17, {'num_output': (1, 'u'), 'bias_term': (2, 'b'), 'axis': (5, 'i'),
                                      'transpose': (6, 'b')}),
    'lrn_param': (118, 18, {'local_size': (1, 'u'), 'alpha': (2, 'f'), 'beta': (3, 'f'),
                            'norm_region': (4, {'ACROSS_CHANNELS': 0, 'WITHIN_CHANNEL': 1}), 'k': (5, 'f')}),
    'mvn_param': (120, 34, {'normalize_variance': (1, 'b'), 'across_channels': (2, 'b'), 'eps': (3, 'f')}),
    'pooling_param': (121, 19, {
        'pool': (1, {'MAX': 0, 'AVE': 1, 'STOCHASTIC': 2}),
        'kernel_size': (2, 'u'), 'stride': (3, 'u'), 'pad': (4, 'u'),
        'kernel_h': (5, 'u'), 'kernel_w': (6, 'u'), 'stride_h': (7, 'u'), 'stride_w': (8, 'u'), 'pad_h': (9, 'u'),
        'pad_w': (10, 'u'), 'global_pooling': (12, 'b'), 'round_mode': (13, {'CEIL': 0, 'FLOOR': 1})}),
    'power_param': (122, 21, {'power': (1, 'f'), 'scale': (2, 'f'), 'shift': (3, 'f')}),
    'relu_param': (123, 30, {'negative_slope': (1, 'f')}),
    'softmax_param': (125, 39, {'axis': (2, 'i')}),
    'slice_param': (126, 31, {'slice_dim': (1, 'u'), 'slice_point': (2, 'u'), 'axis': (3, 'i')}),
    'prelu_param': (131, None, {'channel_shared': (2, 'b')}),
    'reshape_param': (133, None, {'shape': (1, SHAPE), 'axis': (2, 'i'), 'num_axes': (3, 'i')}),
    'log_param': (134, None, {'base': (1, 'f'), 'scale': (2, 'f'), 'shift': (3, 'f')}),
    'flatten_param': (135, None, {'axis': (1, 'i'), 'end_axis': (2, 'i')}),
    'reduction_param': (136, None, {'operation': (1, {'SUM': 1, 'ASUM': 2, 'SUMSQ': 3, 'MEAN': 4}), 'axis': (2, 'i'),
                                    'coeff': (3, 'f')}),
    'tile_param': (138, None, {'axis': (1, 'i'), 'tiles': (2, 'i')}),
    'batch_norm_param': (139, None, {'use_global_stats': (1, 'b'), 'eps': (3, 'f')}),
    'elu_param': (140, None, {'alpha': (1, 'f')}),
    'bias_param': (141, None, {'axis': (1, 'i'), 'num_axes': (2, 'i')}),
    'scale_param': (142, None, {'axis': (1, 'i'), 'num_axes': (2, 'i'), 'bias_term': (4, 'b')}),
    'input_param': (143, None, {'shape': (1, SHAPE)}),
    'crop_param': (144, None, {'axis': (1, 'i'), 'offset': (2, 'u')}),
    'swish_param': (147, None, {'beta': (1, 'f')}),
    'clip_param': (148, None, {'min': (1, 'f'), 'max': (2, 'f')}),
    'permute_param': (202, None, {'order': (1, 'u')}),
    'norm_param': (206, None, {'across_spatial': (1, 'b'), 'channel_shared': (3, 'b'), 'eps': (4, 'f')}),
    # Numbered differently in different branches: written as text alone.
    'interp_param': (None, None, {}),
    'upsample_param': (None, None, {}),
    'shuffle_channel_param': (None, None, {}),
}
V1_TYPES = {
    'Convolution': 4, 'Concat': 3, 'Data': 5, 'Dropout': 6, 'Flatten': 8, 'InnerProduct': 14, 'LRN': 15, 'Pooling': 17,
    'ReLU': 18, 'Softmax': 20, 'SoftmaxWithLoss': 21, 'Split': 22, 'TanH': 23, 'Eltwise': 25, 'Power': 26,
    'Accuracy': 1,
}
V1_NAMES = {'InnerProduct': 'INNER_PRODUCT', 'SoftmaxWithLoss': 'SOFTMAX_LOSS'}


def varint(value):
    value &= (1 << 64) - 1
    out = b''
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def tagged(number, wire, payload):
    return varint(number << 3 | wire) + payload


def delimited(number, payload):
    return tagged(number, 2, varint(len(payload)) + payload)


def as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def shape_message(dims):
    return delimited(1, b''.join(varint(d) for d in dims))


def field_bytes(number, kind, value):
    if kind == SHAPE:
        return delimited(number, shape_message(value))
    out = b''
    for item in as_list(value):
        if kind == 'f':
            out += tagged(number, 5, struct.pack('<f', item))
        else:
            out += tagged(number, 0, varint(kind[item] if isinstance(kind, dict) else int(item)))
    return out


def blob_bytes(blob, style):
    """style: shape, legacy (num, channels, height, width; an inner product as 1x1xNxK), double, unpacked."""
    data = np.asarray(blob, dtype=np.float32).ravel()
    out = b''
    if style == 'legacy':
        dims = [1] * (4 - blob.ndim) + list(blob.shape)
        out += b''.join(tagged(i + 1, 0, varint(d)) for i, d in enumerate(dims))
    else:
        out += delimited(7, shape_message(blob.shape))
    if style == 'double':
        return out + delimited(8, data.astype('<f8').tobytes())
    if style == 'unpacked':
        return out + b''.join(tagged(5, 5, struct.pack('<f', x)) for x in data)
    return out + delimited(5, data.astype('<f4').tobytes())


def layer_bytes(layer, v1, style, definition=True):
    """A layer's message; without `definition` its name, type and blobs alone."""
    number = {'bottom': 2, 'top': 3, 'name': 4, 'blobs': 6, 'include': 32} if v1 else \
        {'name': 1, 'bottom': 3, 'top': 4, 'blobs': 7, 'include': 8}
    out = delimited(number['name'], layer['name'].encode())
    out += tagged(5, 0, varint(V1_TYPES[layer['type']])) if v1 else delimited(2, layer['type'].encode())
    if definition:
        out += b''.join(delimited(number['bottom'], b.encode()) for b in layer['bottom'])
        out += b''.join(delimited(number['top'], t.encode()) for t in layer['top'])
        for phase in as_list(layer.get('include', [])):
            out += delimited(number['include'], tagged(1, 0, varint({'TRAIN': 0, 'TEST': 1}[phase])))
    out += b''.join(delimited(number['blobs'], blob_bytes(b, style)) for b in layer['blobs'])
    for key, fields in layer['parameters'].items():
        current, old, kinds = PARAMETERS[key]
        if (old if v1 else current) is None:
            continue
        out += delimited(old if v1 else current, b''.join(field_bytes(*kinds[f], value) for f, value in fields.items()))
    return out


def net_bytes(layers, v1=False, style='shape', inputs=None, definition=True):
    out = delimited(1, b'net')
    for name, dims in (inputs or {}).items():
        out += delimited(3, name.encode()) + b''.join(tagged(4, 0, varint(d)) for d in dims)
    return out + b''.join(delimited(2 if v1 else 100, layer_bytes(l, v1, style, definition)) for l in layers)


# ---- Text -----------------------------------------------------------------------------------------------------------

def text_value(value):
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return value if isinstance(value, str) else repr(value)


def net_text(layers, v1=False, inputs=None, shapes=None):
    lines = ['# made by make_caffe_variants.py', 'name: "net"']
    for name, dims in (inputs or {}).items():
        lines += ['input: "%s"' % name] + ['input_dim: %d' % d for d in dims]
    for name, dims in (shapes or {}).items():
        lines += ["input: '%s'" % name, 'input_shape { %s }' % ' '.join('dim: %d' % d for d in dims)]
    for layer in layers:
        lines.append('layers {' if v1 else 'layer {')
        name = V1_NAMES.get(layer['type'], layer['type'].upper())
        lines.append('  name: "%s"' % layer['name'])
        lines.append('  type: %s' % (name if v1 else '"%s"' % layer['type']))
        lines += ['  bottom: "%s"' % b for b in layer['bottom']] + ['  top: "%s"' % t for t in layer['top']]
        lines += ['  include { phase: %s }' % p for p in as_list(layer.get('include', []))]
        for key, fields in layer['parameters'].items():
            lines.append('  %s {' % key)
            for f, value in fields.items():
                if f == 'shape':
                    lines.append('    shape { %s }' % ' '.join('dim: %d' % d for d in value))
                else:
                    lines += ['    %s: %s' % (f, text_value(item)) for item in as_list(value)]
            lines.append('  }')
        lines.append('}')
    return '\n'.join(lines) + '\n'


# ---- Caffe's rules --------------------------------------------------------------------------------------------------

def pair(p, key, initial):
    if key + '_h' in p or key + '_w' in p:
        return p.get(key + '_h', initial), p.get(key + '_w', initial)
    value = as_list(p.get('kernel_size' if key == 'kernel' else key, initial))
    return (value[0], value[0]) if len(value) == 1 else tuple(value)


def convolution(p, x, blobs):
    (kh, kw), (sh, sw) = pair(p, 'kernel', 0), pair(p, 'stride', 1)
    (ph, pw), (dh, dw) = pair(p, 'pad', 0), pair(p, 'dilation', 1)
    groups, outputs, w = p.get('group', 1), p['num_output'], blobs[0]
    n, c, h, width = x.shape
    oh = (h + 2 * ph - (dh * (kh - 1) + 1)) // sh + 1
    ow = (width + 2 * pw - (dw * (kw - 1) + 1)) // sw + 1
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    y = np.zeros((n, outputs, oh, ow))
    for o in range(outputs):
        first = o // (outputs // groups) * (c // groups)
        for i in range(oh):
            for j in range(ow):
                window = padded[:, first:first + c // groups, i * sh:i * sh + dh * (kh - 1) + 1:dh,
                                j * sw:j * sw + dw * (kw - 1) + 1:dw]
                y[:, o, i, j] = (window * w[o]).sum(axis=(1, 2, 3))
    return y + blobs[1].reshape(1, -1, 1, 1) if p.get('bias_term', True) else y


def deconvolution(p, x, blobs):
    (kh, kw), (sh, sw) = pair(p, 'kernel', 0), pair(p, 'stride', 1)
    (ph, pw), (dh, dw) = pair(p, 'pad', 0), pair(p, 'dilation', 1)
    groups, outputs, w = p.get('group', 1), p['num_output'], blobs[0]
    n, c, h, width = x.shape
    full = np.zeros((n, outputs, sh * (h - 1) + dh * (kh - 1) + 1, sw * (width - 1) + dw * (kw - 1) + 1))
    per = outputs // groups
    for i in range(c):
        first = i // (c // groups) * per
        for a in range(h):
            for b in range(width):
                for u in range(kh):
                    for v in range(kw):
                        part = x[:, i, a, b][:, None] * w[i, :, u, v]
                        full[:, first:first + per, a * sh + u * dh, b * sw + v * dw] += part
    y = full[:, :, ph:full.shape[2] - ph, pw:full.shape[3] - pw]
    return y + blobs[1].reshape(1, -1, 1, 1) if p.get('bias_term', True) else y


def pooling(p, x):
    n, c, h, w = x.shape
    average = p.get('pool', 'MAX') == 'AVE'
    if p.get('global_pooling'):
        return x.mean(axis=(2, 3), keepdims=True) if average else x.max(axis=(2, 3), keepdims=True)
    (kh, kw), (sh, sw), (ph, pw) = pair(p, 'kernel', 0), pair(p, 'stride', 1), pair(p, 'pad', 0)
    rounding = math.floor if p.get('round_mode') == 'FLOOR' else math.ceil
    oh = rounding((h + 2 * ph - kh) / sh) + 1
    ow = rounding((w + 2 * pw - kw) / sw) + 1
    if ph or pw:
        oh -= (oh - 1) * sh >= h + ph
        ow -= (ow - 1) * sw >= w + pw
    y = np.zeros((n, c, oh, ow))
    for i in range(oh):
        for j in range(ow):
            top, left = i * sh - ph, j * sw - pw
            size = (min(top + kh, h + ph) - top) * (min(left + kw, w + pw) - left)
            window = x[:, :, max(top, 0):min(top + kh, h), max(left, 0):min(left + kw, w)]
            y[:, :, i, j] = window.sum(axis=(2, 3)) / size if average else window.max(axis=(2, 3))
    return y


def lrn(p, x):
    size, alpha, beta = p.get('local_size', 5), p.get('alpha', 1), p.get('beta', 0.75)
    half, square, total = size // 2, x * x, np.zeros_like(x)
    if p.get('norm_region') == 'WITHIN_CHANNEL':
        padded = np.pad(square, ((0, 0), (0, 0), (half, half), (half, half)))
        for i in range(size):
            for j in range(size):
                total += padded[:, :, i:i + x.shape[2], j:j + x.shape[3]]
        return x * (1 + alpha / size**2 * total) ** -beta
    padded = np.pad(square, ((0, 0), (half, half), (0, 0), (0, 0)))
    for i in range(size):
        total += padded[:, i:i + x.shape[1]]
    return x * (p.get('k', 1) + alpha / size * total) ** -beta


def inner_product(p, x, blobs):
    axis = p.get('axis', 1) % x.ndim
    weights = blobs[0] if p.get('transpose') else blobs[0].T
    y = x.reshape(int(np.prod(x.shape[:axis])), -1) @ weights
    if p.get('bias_term', True):
        y = y + blobs[1]
    return y.reshape(x.shape[:axis] + (p['num_output'],))


def batch_norm(p, x, blobs):
    factor = 0 if blobs[2][0] == 0 else 1 / float(blobs[2][0])
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (x - (blobs[0] * factor).reshape(shape)) / np.sqrt((blobs[1] * factor).reshape(shape) + p.get('eps', 1e-5))


def along(x, operand, axis):
    return operand.reshape((1,) * (axis % x.ndim) + operand.shape + (1,) * (x.ndim - axis % x.ndim - operand.ndim))


def scale(p, xs, blobs):
    blobs = list(blobs)
    operand = xs[1] if len(xs) > 1 else blobs.pop(0)
    y = xs[0] * along(xs[0], operand, p.get('axis', 1))
    return y + along(y, blobs.pop(0), p.get('axis', 1)) if p.get('bias_term') else y


def eltwise(p, xs):
    operation, result = p.get('operation', 'SUM'), None
    for x, c in zip(xs, as_list(p.get('coeff', [1] * len(xs)))):
        if operation == 'SUM':
            x = x * c
        result = x if result is None else result * x if operation == 'PROD' else np.maximum(result, x) \
            if operation == 'MAX' else result + x
    return result


def split_parts(p, x, count):
    axis = p.get('slice_dim', p.get('axis', 1))
    points = as_list(p['slice_point']) if 'slice_point' in p else count
    return np.split(x, points, axis=axis)


def reshape(p, x):
    axis = p.get('axis', 0)
    axis = axis + x.ndim + 1 if axis < 0 else axis
    end = x.ndim if p.get('num_axes', -1) < 0 else axis + p['num_axes']
    middle = [x.shape[axis + i] if d == 0 else d for i, d in enumerate(p['shape'])]
    return x.reshape(list(x.shape[:axis]) + middle + list(x.shape[end:]))


def mvn(p, x):
    axes = (1, 2, 3) if p.get('across_channels') else (2, 3)
    y = x - x.mean(axis=axes, keepdims=True)
    if not p.get('normalize_variance', True):
        return y
    return y / (np.sqrt((y * y).mean(axis=axes, keepdims=True)) + p.get('eps', 1e-9))


def normalize(p, x, blobs):
    axes = (1, 2, 3) if p.get('across_spatial', True) else (1,)
    return x / np.sqrt((x * x).sum(axis=axes, keepdims=True) + p.get('eps', 1e-10)) * blobs[0].reshape(1, -1, 1, 1)


def reduction(p, x):
    axes = tuple(range(p.get('axis', 0) % x.ndim, x.ndim))
    operation = p.get('operation', 'SUM')
    x = {'ASUM': np.abs(x), 'SUMSQ': x * x}.get(operation, x)
    return p.get('coeff', 1.0) * (x.mean(axis=axes) if operation == 'MEAN' else x.sum(axis=axes))


def softmax(p, x):
    axis = p.get('axis', 1)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def argmax(p, x):
    """Of equals the last, as std::partial_sort by descending pairs (value, index) has it."""
    def last(v, axis):
        return v.shape[axis] - 1 - np.flip(v, axis).argmax(axis=axis, keepdims=True)
    if 'axis' in p:
        return x.max(axis=p['axis'], keepdims=True) if p.get('out_max_val') else last(x, p['axis']).astype(float)
    return last(x.reshape(x.shape[0], 1, -1), 2).astype(float)


def crop(p, x, reference):
    axis, offsets = p.get('axis', 2) % x.ndim, as_list(p.get('offset', 0))
    cuts = [slice(None)] * x.ndim
    for i in range(axis, x.ndim):
        first = offsets[i - axis] if len(offsets) > 1 else offsets[0]
        cuts[i] = slice(first, first + reference.shape[i])
    return x[tuple(cuts)]


def interp(p, x):
    height, width = p.get('height'), p.get('width')
    if not height:
        height = (x.shape[2] - 1) * p.get('zoom_factor', 1) + 1
        width = (x.shape[3] - 1) * p.get('zoom_factor', 1) + 1
    for axis, size in ((2, height), (3, width)):
        at = np.arange(size) * ((x.shape[axis] - 1) / (size - 1))
        low = np.minimum(at.astype(int), x.shape[axis] - 1)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        shape = [1] * 4
        shape[axis] = size
        part = (at - low).reshape(shape)
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def compute(layer, xs):
    """Tops of a layer."""
    p = next((v for k, v in layer['parameters'].items() if k not in ('transform_param', 'dropout_param')), {})
    blobs, x = [np.asarray(b, dtype=np.float32).astype(float) for b in layer['blobs']], xs[0]
    kind = layer['type']
    if kind in ('Dropout', 'Split'):
        return [x] * len(layer['top'])
    if kind == 'Slice':
        return split_parts(p, x, len(layer['top']))
    power = {'scale': 1.0, 'shift': 0.0, 'base': -1.0, 'power': 1.0, **p}
    logarithm = 1.0 if power['base'] == -1.0 else math.log(power['base'])
    inner = {'Power', 'Exp', 'Log'} & {kind} and power['shift'] + power['scale'] * x
    return [{
        'Convolution': lambda: convolution(p, x, blobs), 'Deconvolution': lambda: deconvolution(p, x, blobs),
        'InnerProduct': lambda: inner_product(p, x, blobs), 'Pooling': lambda: pooling(p, x), 'LRN': lambda: lrn(p, x),
        'BatchNorm': lambda: batch_norm(p, x, blobs), 'Scale': lambda: scale(p, xs, blobs),
        'Bias': lambda: x + along(x, xs[1] if len(xs) > 1 else blobs[0], p.get('axis', 1)),
        'ReLU': lambda: np.where(x > 0, x, p.get('negative_slope', 0) * x),
        'PReLU': lambda: np.where(x > 0, x, x * (blobs[0][0] if p.get('channel_shared') else along(x, blobs[0], 1))),
        'ELU': lambda: np.where(x > 0, x, p.get('alpha', 1) * (np.exp(x) - 1)),
        'Sigmoid': lambda: 1 / (1 + np.exp(-x)), 'TanH': lambda: np.tanh(x), 'AbsVal': lambda: np.abs(x),
        'BNLL': lambda: np.log(1 + np.exp(x)), 'Swish': lambda: x / (1 + np.exp(-p.get('beta', 1) * x)),
        'Clip': lambda: np.clip(x, p['min'], p['max']),
        'Power': lambda: inner ** power['power'], 'Exp': lambda: np.exp(inner * logarithm),
        'Log': lambda: np.log(inner) / logarithm, 'Eltwise': lambda: eltwise(p, xs),
        'Concat': lambda: np.concatenate(xs, axis=p.get('concat_dim', p.get('axis', 1))),
        'Flatten': lambda: x.reshape(x.shape[:p.get('axis', 1)] + (-1,) + x.shape[p.get('end_axis', -1) % x.ndim + 1:]),
        'Reshape': lambda: reshape(p, x), 'Permute': lambda: x.transpose(as_list(p['order'])),
        'Crop': lambda: crop(p, x, xs[1]),
        'Tile': lambda: np.concatenate([x] * p['tiles'], axis=p.get('axis', 1)), 'MVN': lambda: mvn(p, x),
        'Normalize': lambda: normalize(p, x, blobs), 'Reduction': lambda: reduction(p, x),
        'ArgMax': lambda: argmax(p, x),
        'Softmax': lambda: softmax(p, x), 'SoftmaxWithLoss': lambda: softmax(p, x), 'Interp': lambda: interp(p, x),
        'Upsample': lambda: x.repeat(p['scale'], axis=2).repeat(p['scale'], axis=3),
        'ShuffleChannel': lambda: x.reshape(x.shape[0], p['group'], -1, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape),
    }[kind]()]


def run(layers, feed, skip=()):
    """Values of every blob, under the names that the loader gives: BLOB/LAYER for what is overwritten later."""
    current, named = dict(feed), dict(feed)
    for layer in layers:
        if layer['name'] in skip:
            continue
        for top, value in zip(layer['top'], compute(layer, [current[b] for b in layer['bottom']])):
            current[top] = named[top] = value
            named[top + '/' + layer['name']] = value
    return named


# ---- The networks ---------------------------------------------------------------------------------------------------

random = np.random.default_rng(20)


def weights(*shape):
    return (random.standard_normal(shape) / math.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)


def layer(kind, name, bottom, top=None, blobs=(), include=None, **parameters):
    result = {'type': kind, 'name': name, 'bottom': as_list(bottom), 'top': [name] if top is None else as_list(top),
              'blobs': list(blobs), 'parameters': parameters}
    if include:
        result['include'] = include
    return result


def input_layer(*shape, name='data'):
    return layer('Input', name, [], name, input_param={'shape': shape})


manifest = []


def write(name, binary, taps=None, values=None, text=None, load='.caffemodel', shared=None):
    """`shared` names the network whose file of values is this one's too."""
    for extension, data in (('.caffemodel', binary), ('.prototxt', text and text.encode())):
        if data is not None:
            with open(os.path.join(FOLDER, name + extension), 'wb') as file:
                file.write(data)
    if taps is None:
        return
    names = ['data'] + list(taps)
    if not shared:
        joined = np.concatenate([values[n].ravel() for n in names]).astype('<f4')
        joined.tofile(os.path.join(FOLDER, name + '.f32'))
    shapes = ['%s[%s]' % (n, ','.join(map(str, values[n].shape))) for n in names]
    manifest.append(' '.join([name + load, (shared or name) + '.f32'] + shapes))


def picture(*shape):
    return random.standard_normal(shape).astype(np.float32).astype(float)


def classifier():
    """The layers that V1 has too."""
    return [
        layer('Convolution', 'conv1', 'data', blobs=[weights(6, 3, 3, 3), weights(6)],
              convolution_param={'num_output': 6, 'kernel_size': 3, 'stride': 2, 'pad': 1}),
        layer('ReLU', 'relu1', 'conv1', 'conv1'),
        layer('LRN', 'norm1', 'conv1', lrn_param={'local_size': 3, 'alpha': 0.5, 'beta': 0.75, 'k': 2.0}),
        layer('Pooling', 'pool1', 'norm1', pooling_param={'pool': 'MAX', 'kernel_size': 3, 'stride': 2}),
        layer('Convolution', 'conv2', 'pool1', blobs=[weights(4, 3, 2, 1), weights(4)],
              convolution_param={'num_output': 4, 'kernel_h': 2, 'kernel_w': 1, 'pad_h': 1, 'stride_h': 2,
                                 'stride_w': 1, 'group': 2}),
        layer('TanH', 'tanh2', 'conv2', 'conv2'),
        layer('InnerProduct', 'fc', 'conv2', blobs=[weights(5, 24), weights(5)], inner_product_param={'num_output': 5}),
        layer('Dropout', 'drop', 'fc', 'fc', dropout_param={'dropout_ratio': 0.5}),
        layer('Softmax', 'prob', 'fc'),
    ]


def write_forms():
    layers = classifier()
    values = run(layers, {'data': picture(2, 3, 13, 11)})
    taps = ['conv1/conv1', 'conv1', 'norm1', 'pool1', 'conv2/conv2', 'conv2', 'fc', 'prob']
    whole = [input_layer(10, 3, 13, 11)] + layers
    write('current', net_bytes(whole), taps, values)
    inputs = {'data': (10, 3, 13, 11)}
    forms = {
        'v1': (net_bytes(layers, v1=True, style='legacy', inputs=inputs),),
        'double': (net_bytes(whole, style='double'),),
        'unpacked': (net_bytes(whole, style='unpacked'),),
        # A definition in text, current and V1, with weights that hold nothing but names and blobs.
        'text': (net_bytes(layers, definition=False), net_text(whole)),
        'text_v1': (net_bytes(layers, v1=True, style='legacy', definition=False),
                    net_text(layers, v1=True, inputs=inputs)),
        'input_shape': (net_bytes(layers, definition=False), net_text(layers, shapes=inputs)),
    }
    for name, files in forms.items():
        load = '.prototxt' if name == 'text' else '.caffemodel'
        write(name, files[0], taps, values, *files[1:], load=load, shared='current')


def write_in_place():
    layers = [
        layer('Convolution', 'conv', 'data', blobs=[weights(4, 2, 3, 3)],
              convolution_param={'num_output': 4, 'kernel_size': 3, 'bias_term': False}),
        layer('BatchNorm', 'bn', 'conv', 'conv', batch_norm_param={'eps': 0.01},
              blobs=[weights(4), weights(4)**2 * 3 + 1, np.array([2.5], np.float32)]),
        layer('Scale', 'scale', 'conv', 'conv', blobs=[weights(4) + 1, weights(4)], scale_param={'bias_term': True}),
        layer('ReLU', 'relu', 'conv', 'conv', relu_param={'negative_slope': 0.25}),
        layer('Dropout', 'drop', 'conv', 'conv'),
        # A factor of 0: mean 0 and variance 0.
        layer('BatchNorm', 'zero', 'conv', blobs=[weights(4), weights(4)**2, np.array([0], np.float32)]),
        layer('Scale', 'plain', 'zero', blobs=[weights(4)]),
        layer('Scale', 'columns', 'plain', blobs=[weights(4)], scale_param={'axis': 3}),
        layer('Scale', 'rest', 'plain', blobs=[weights(4, 5, 4), weights(4, 5, 4)],
              scale_param={'axis': 1, 'num_axes': -1, 'bias_term': True}),
    ]
    values = run(layers, {'data': picture(2, 2, 7, 6)})
    for alias, name in (('bn', 'conv/bn'), ('relu', 'conv')):
        values[alias] = values[name]
    write('in_place', net_bytes([input_layer(1, 2, 7, 6)] + layers),
          ['conv/conv', 'conv/bn', 'bn', 'conv/scale', 'conv', 'relu', 'zero', 'plain', 'columns', 'rest'], values)


def write_pools():
    cases = {
        'average': {'pool': 'AVE', 'kernel_size': 3, 'stride': 2},
        'average_pad': {'pool': 'AVE', 'kernel_size': 3, 'stride': 2, 'pad': 1},
        'average_wide': {'pool': 'AVE', 'kernel_h': 2, 'kernel_w': 5, 'stride_h': 3, 'stride_w': 2, 'pad_w': 2},
        'maximum': {'pool': 'MAX', 'kernel_size': 2, 'stride': 2},
        'maximum_pad': {'pool': 'MAX', 'kernel_size': 3, 'stride': 2, 'pad': 1},
        'clipped': {'pool': 'MAX', 'kernel_size': 2, 'stride': 2, 'pad': 1},
        'clipped_average': {'pool': 'AVE', 'kernel_size': 2, 'stride': 3, 'pad': 1},
        'floor': {'pool': 'MAX', 'kernel_size': 3, 'stride': 2, 'round_mode': 'FLOOR'},
        'global_average': {'pool': 'AVE', 'global_pooling': True},
        'global_maximum': {'global_pooling': True},
        'small': {'kernel_h': 9, 'kernel_w': 8, 'stride': 4},
    }
    layers = [layer('Pooling', name, 'data', pooling_param=p) for name, p in cases.items()]
    layers += [layer('LRN', 'within', 'data', lrn_param={'norm_region': 'WITHIN_CHANNEL', 'local_size': 3, 'alpha': 2.0,
                                                         'beta': 0.5}),
               layer('LRN', 'across', 'data', lrn_param={'local_size': 5, 'alpha': 2.0, 'beta': 0.6})]
    values = run(layers, {'data': picture(2, 7, 8, 7)})
    write('pools', net_bytes([input_layer(1, 7, 8, 7)] + layers), list(cases) + ['within', 'across'], values)


def write_elementwise():
    layers = [
        layer('Power', 'power', 'data', power_param={'power': 3.0, 'scale': 0.5, 'shift': 0.25}),
        layer('Power', 'linear', 'data', power_param={'scale': -2.0}),
        layer('Power', 'same', 'data'),
        layer('AbsVal', 'positive', 'data'),
        layer('Exp', 'exp', 'data', exp_param={'base': 2.0, 'scale': 0.5, 'shift': 1.0}),
        layer('Exp', 'natural', 'data'),
        layer('Log', 'log', 'positive', log_param={'base': 10.0, 'scale': 2.0, 'shift': 0.5}),
        layer('BNLL', 'bnll', 'data'),
        layer('ELU', 'elu', 'data', elu_param={'alpha': 0.5}),
        layer('Sigmoid', 'sigmoid', 'data'),
        layer('TanH', 'tanh', 'data'),
        layer('ReLU', 'leaky', 'data', relu_param={'negative_slope': 0.1}),
        layer('PReLU', 'prelu', 'data', blobs=[weights(3)]),
        layer('PReLU', 'shared', 'data', blobs=[weights(1)], prelu_param={'channel_shared': True}),
        layer('Swish', 'swish', 'data', swish_param={'beta': 1.5}),
        layer('Swish', 'silu', 'data'),
        layer('Clip', 'clip', 'data', clip_param={'min': -0.5, 'max': 0.75}),
        layer('Eltwise', 'sum', ['tanh', 'elu', 'sigmoid'], eltwise_param={'coeff': [1.0, -2.0, 0.5]}),
        layer('Eltwise', 'plain_sum', ['tanh', 'elu', 'sigmoid']),
        layer('Eltwise', 'product', ['tanh', 'elu', 'sigmoid'], eltwise_param={'operation': 'PROD'}),
        layer('Eltwise', 'maximum', ['tanh', 'data', 'leaky'], eltwise_param={'operation': 'MAX'}),
        layer('Pooling', 'gate', 'data', pooling_param={'pool': 'AVE', 'global_pooling': True}),
        layer('Flatten', 'gates', 'gate'),
        layer('Scale', 'excited', ['data', 'gates'], scale_param={'axis': 0}),
        layer('Bias', 'bias', 'data', blobs=[weights(3)]),
        layer('Bias', 'shifted', ['data', 'gates'], bias_param={'axis': 0}),
        layer('MVN', 'mvn', 'data'),
        layer('MVN', 'mvn_across', 'data', mvn_param={'across_channels': True, 'eps': 0.1}),
        layer('MVN', 'mean_only', 'data', mvn_param={'normalize_variance': False}),
        layer('Normalize', 'norm', 'data', blobs=[weights(3)],
              norm_param={'across_spatial': False, 'channel_shared': False}),
        layer('Normalize', 'norm_shared', 'data', blobs=[weights(1)], norm_param={'eps': 0.5}),
    ]
    values = run(layers, {'data': picture(2, 3, 4, 5)})
    write('elementwise', net_bytes([input_layer(2, 3, 4, 5)] + layers), [l['name'] for l in layers], values)


def write_shapes():
    layers = [
        layer('Split', 'data_split', 'data', ['data_0', 'data_1']),
        layer('Slice', 'halves', 'data_0', ['half_0', 'half_1']),
        layer('Slice', 'parts', 'data_1', ['part_0', 'part_1', 'part_2'],
              slice_param={'axis': 2, 'slice_point': [1, 4]}),
        layer('Slice', 'old_slice', 'data', ['old_0', 'old_1'], slice_param={'slice_dim': 3, 'slice_point': 2}),
        layer('Concat', 'channels', ['half_1', 'half_0']),
        layer('Concat', 'rows', ['part_2', 'part_0'], concat_param={'axis': -2}),
        layer('Concat', 'old_concat', ['old_1', 'old_0'], concat_param={'concat_dim': 3}),
        layer('Flatten', 'flat', 'data'),
        layer('Flatten', 'some', 'data', flatten_param={'axis': 1, 'end_axis': 2}),
        layer('Reshape', 'reshaped', 'data', reshape_param={'shape': (0, 2, -1, 6)}),
        layer('Reshape', 'batched', 'data', reshape_param={'shape': (5, 20, 6)}),
        layer('Reshape', 'middle', 'data', reshape_param={'shape': (2, 1, 2), 'axis': 1, 'num_axes': 1}),
        layer('Reshape', 'behind', 'data', reshape_param={'shape': (1,), 'axis': -1, 'num_axes': 0}),
        layer('Permute', 'permuted', 'data', permute_param={'order': [0, 2, 3, 1]}),
        layer('Tile', 'tiled', 'data', tile_param={'axis': 3, 'tiles': 2}),
        layer('Pooling', 'pooled', 'data', pooling_param={'kernel_size': 2, 'stride': 2}),
        layer('Crop', 'cropped', ['data', 'pooled'], crop_param={'axis': 2, 'offset': [2, 1]}),
        layer('Crop', 'cropped_alike', ['data', 'pooled'], crop_param={'offset': 1}),
        layer('ArgMax', 'best', 'data', argmax_param={'axis': 1}),
        layer('ArgMax', 'best_value', 'data', argmax_param={'axis': 1, 'out_max_val': True}),
        layer('ArgMax', 'best_of_all', 'data'),
        layer('Reduction', 'sums', 'data', reduction_param={'axis': 1}),
        layer('Reduction', 'means', 'data', reduction_param={'axis': 2, 'operation': 'MEAN', 'coeff': 3.0}),
        layer('Reduction', 'absolute', 'data', reduction_param={'axis': -1, 'operation': 'ASUM'}),
        layer('Reduction', 'squares', 'data', reduction_param={'axis': 1, 'operation': 'SUMSQ', 'coeff': 0.5}),
        layer('InnerProduct', 'rows_product', 'data', blobs=[weights(4, 30), weights(4)],
              inner_product_param={'num_output': 4, 'axis': 2}),
        layer('InnerProduct', 'transposed', 'flat', blobs=[weights(120, 3)],
              inner_product_param={'num_output': 3, 'transpose': True, 'bias_term': False}),
        layer('Softmax', 'softmax', 'data', softmax_param={'axis': 2}),
    ]
    data = np.round(picture(2, 4, 5, 6) * 2) / 2  # ties for ArgMax
    # The batch written in the file is 5, and in a Reshape too.
    expected = [dict(l, parameters={'reshape_param': {'shape': (2, 20, 6)}}) if l['name'] == 'batched' else l
                for l in layers]
    values = run(expected, {'data': data})
    taps = [t for l in layers for t in l['top']]
    write('shapes', net_bytes([input_layer(5, 4, 5, 6)] + layers), taps, values)


def write_filters():
    layers = [
        layer('Convolution', 'dilated', 'data', blobs=[weights(4, 4, 3, 2), weights(4)],
              convolution_param={'num_output': 4, 'kernel_size': [3, 2], 'dilation': [2, 3], 'pad': [2, 1],
                                 'stride': [1, 2]}),
        layer('Convolution', 'depthwise', 'data', blobs=[weights(8, 1, 3, 3), weights(8)],
              convolution_param={'num_output': 8, 'kernel_size': 3, 'group': 4}),
        layer('Deconvolution', 'up', 'data', blobs=[weights(4, 3, 4, 4), weights(3)],
              convolution_param={'num_output': 3, 'kernel_size': 4, 'stride': 2, 'pad': 1}),
        layer('Deconvolution', 'up_groups', 'data', blobs=[weights(4, 3, 2, 3)],
              convolution_param={'num_output': 6, 'kernel_h': 2, 'kernel_w': 3, 'stride': 3, 'group': 2,
                                 'bias_term': False}),
        layer('Convolution', 'both', ['data', 'depthwise_half'], ['one', 'two'],
              blobs=[weights(2, 4, 1, 1), weights(2)],
              convolution_param={'num_output': 2, 'kernel_size': 1}),
        layer('Interp', 'interp', 'data', interp_param={'height': 9, 'width': 4}),
        layer('Interp', 'zoom', 'data', interp_param={'zoom_factor': 3}),
        layer('Upsample', 'upsampled', 'data', upsample_param={'scale': 2}),
        layer('ShuffleChannel', 'shuffled', 'data', shuffle_channel_param={'group': 2}),
    ]
    layers.insert(2, layer('Slice', 'cut', 'depthwise', ['depthwise_half', 'rest']))
    values = {'data': picture(2, 4, 6, 7)}
    for l in layers:
        if l['name'] == 'both':
            for bottom, top in zip(l['bottom'], l['top']):
                values[top] = compute(l, [values[bottom]])[0]
        else:
            values.update(zip(l['top'], compute(l, [values[b] for b in l['bottom']])))
    write('filters', net_bytes(layers, definition=False), [t for l in layers for t in l['top']], values,
          net_text([input_layer(1, 4, 6, 7)] + layers))


def write_training():
    """A train_val file: data layers of both phases, labels, an auxiliary classifier, losses and accuracies."""
    data = {'transform_param': {'crop_size': 8, 'mean_value': [104.0, 117.0, 123.0], 'scale': 0.5},
            'data_param': {'batch_size': 32}}
    layers = [
        layer('Data', 'data', [], ['data', 'label'], include='TRAIN', **data),
        layer('Data', 'data', [], ['data', 'label'], include='TEST', **data),
        layer('Split', 'label_split', 'label', ['label_0', 'label_1']),
        layer('Convolution', 'conv', 'data', blobs=[weights(4, 3, 3, 3), weights(4)],
              convolution_param={'num_output': 4, 'kernel_size': 3}),
        layer('ReLU', 'relu', 'conv', 'conv'),
        layer('Pooling', 'aux_pool', 'conv', pooling_param={'pool': 'AVE', 'kernel_size': 3, 'stride': 3}),
        layer('InnerProduct', 'aux_fc', 'aux_pool', blobs=[weights(3, 16), weights(3)],
              inner_product_param={'num_output': 3}),
        layer('SoftmaxWithLoss', 'aux_loss', ['aux_fc', 'label_0'], 'aux_loss'),
        layer('Accuracy', 'aux_accuracy', ['aux_fc', 'label_0'], 'aux_accuracy', include='TEST'),
        layer('Pooling', 'pool', 'conv', pooling_param={'pool': 'AVE', 'global_pooling': True}),
        layer('Dropout', 'drop', 'pool', 'drop'),
        layer('InnerProduct', 'fc', 'drop', blobs=[weights(3, 4), weights(3)], inner_product_param={'num_output': 3}),
        layer('SoftmaxWithLoss', 'loss', ['fc', 'label_1'], 'loss'),
        layer('Accuracy', 'accuracy', ['fc', 'label_1'], 'accuracy', include='TEST'),
        layer('Silence', 'silence', 'label', []),
    ]
    skip = ('data', 'label_split', 'aux_loss', 'aux_accuracy', 'accuracy', 'silence')
    values = run(layers, {'data': picture(2, 3, 8, 8), 'label_1': None}, skip)
    taps = ['conv', 'aux_fc', 'drop', 'fc', 'loss']
    write('training', net_bytes(layers, definition=False), taps, values, net_text(layers))
    # What the solver writes: the net of phase TRAIN.
    write('snapshot', net_bytes([l for l in layers if l.get('include') != 'TEST']), taps, values,
          shared='training')


def write_refused():
    v0 = delimited(1, delimited(1, b'conv1') + delimited(2, b'conv'))
    write('v0', delimited(1, b'old') + delimited(2, v0 + delimited(2, b'data') + delimited(3, b'conv1')))
    foreign = [
        input_layer(1, 2, 5, 5),
        layer('Convolution', 'conv', 'data', blobs=[weights(2, 2, 1, 1)],
              convolution_param={'num_output': 2, 'kernel_size': 1, 'bias_term': False}),
        layer('SpatialTransformer', 'st', 'conv'),
        layer('ReLU', 'behind', 'st'),
        layer('ReLU', 'beside', 'conv'),
    ]
    values = run([foreign[1], foreign[4]], {'data': picture(1, 2, 5, 5)})
    write('foreign', net_bytes(foreign), ['conv', 'beside'], values)


if __name__ == '__main__':
    os.makedirs(FOLDER, exist_ok=True)
    for part in (write_forms, write_in_place, write_pools, write_elementwise, write_shapes, write_filters,
                 write_training, write_refused):
        part()
    with open(os.path.join(FOLDER, 'variants.txt'), 'w') as file:
        file.write('\n'.join(manifest) + '\n')
