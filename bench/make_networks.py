#!/usr/bin/env python3
"""Writes the networks of the speed table that are not at hand as files: VGG-16, ResNet-50, MobileNetV2, DenseNet-121 with
random weights, as ONNX; or others of torchvision's by name.

    make_networks.py FOLDER [NAME[:SIZE] ...]     SIZE: of the picture, 224 where none is given

Needs torch, torchvision and onnx.
"""
import os
import sys

import networks
import torch

NETWORKS = ['vgg16', 'resnet50', 'mobilenet_v2', 'densenet121']


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for wanted in sys.argv[2:] or NETWORKS:
        name, _, size = wanted.partition(':')
        path = os.path.join(sys.argv[1], name + '.onnx')
        if os.path.exists(path):
            continue
        picture = torch.randn(1, 3, int(size or 224), int(size or 224))
        torch.onnx.export(networks.network(name), picture, path, dynamo=False, opset_version=17, input_names=['input'],
                          output_names=['logits'])
        print(path)


main()
