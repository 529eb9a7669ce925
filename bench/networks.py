"""Networks of torchvision's with random weights, the same on every machine: values neither vanish nor explode, and batch
normalisation has statistics that matter. Needs torch and torchvision."""
import torch
import torchvision

# Without what is for training alone.
OPTIONS = {name: {'aux_logits': False, 'init_weights': True} for name in ('googlenet', 'inception_v3')}


def network(name):
    torch.manual_seed(0)
    made = getattr(torchvision.models, name)(weights=None, **OPTIONS.get(name, {})).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return made
