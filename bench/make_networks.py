#!/usr/bin/env python3
"""Writes the networks of the speed table that are not at hand as files: VGG-16, ResNet-50, MobileNetV2, DenseNet-121 with
random weights, as ONNX. Values neither vanish nor explode, and batch normalisation has statistics that matter.

    make_networks.py FOLDER

Needs torch, torchvision and onnx.
"""
import os
import sys

import torch
import torchvision

NETWORKS = {'vgg16': 'vgg16', 'resnet50': 'resnet50', 'mobilenet_v2': 'mobilenet_v2', 'densenet121': 'densenet121'}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, maker in NETWORKS.items():
        path = os.path.join(sys.argv[1], name + '.onnx')
        if os.path.exists(path):
            continue
        torch.manual_seed(0)
        network = getattr(torchvision.models, maker)(weights=None).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        torch.onnx.export(network, torch.randn(1, 3, 224, 224), path, dynamo=False, opset_version=13,
                          input_names=['input'], output_names=['logits'])
        print(path)


main()
