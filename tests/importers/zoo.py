"""Torchvision's classification zoo for tests: networks with values that a mistake shows in, and their linear twins."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlock, CNBlockConfig, ConvNeXt, LayerNorm2d
from torchvision.ops.misc import Permute, SqueezeExcitation

from tests.importers.autograd import randomise

SMOOTH = (nn.GELU, nn.SiLU, nn.Hardswish, nn.ELU, nn.CELU, nn.Mish, nn.Softplus)
LEAKY = (nn.LeakyReLU, nn.PReLU, nn.RReLU)


def input_shape(name: str) -> tuple[int, int, int]:
    return (3, 299, 299) if name == "inception_v3" else (3, 224, 224)


@contextmanager
def without_initial_values() -> Iterator[None]:
    """Build networks without drawing their initial values, which takes most of the time."""
    names = [name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")]
    before = {name: getattr(nn.init, name) for name in names}

    def leave(value=None, *_, tensor=None, **__):
        return value if tensor is None else tensor

    for name in names:
        setattr(nn.init, name, leave)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(nn.init, name, function)


def zoo_network(name: str, *, seed: int = 2, is_random: bool = True) -> nn.Module:
    """Build a network of the zoo, its values random and of order 1, or not even set."""
    options = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    with without_initial_values():
        module = models.get_model_builder(name)(weights=None, **options).eval()
    if is_random:
        return with_random_values(module, seed)
    with torch.no_grad():
        for values in module.parameters():
            if values.ndim <= 1:
                values.fill_(1.0)
    return module


def small_convnext(seed: int = 3) -> nn.Module:
    """Build a ConvNeXt of torchvision's own parts that is small enough to expand as a whole."""
    stages = [CNBlockConfig(6, 8, 2), CNBlockConfig(8, 10, 1), CNBlockConfig(10, None, 1)]
    return with_random_values(ConvNeXt(stages, layer_scale=1.0, num_classes=7).eval(), seed)


def with_random_values(module: nn.Module, seed: int) -> nn.Module:
    randomise(module, seed)
    generator = torch.Generator().manual_seed(seed + 1)

    def uniform(like, low, high):
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.LayerNorm):
                part.weight.copy_(uniform(part.weight, 0.5, 1.5))
                part.bias.copy_(uniform(part.bias, -0.5, 0.5))
            elif isinstance(part, CNBlock):
                part.layer_scale.copy_(uniform(part.layer_scale, 0.5, 1.5))
    return module.eval()


class ConstantGate(nn.Module):
    """What stands for squeeze-and-excitation."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, x):
        return x * (self.gate if isinstance(self.gate, float) else torch.as_tensor(self.gate)[None, :, None, None])


class CentredNorm(nn.Module):
    """What stands for a layer norm, channels first: the mean taken away, a constant for 1 / deviation."""

    def __init__(self, norm: nn.LayerNorm, factor: float):
        super().__init__()
        self.weight, self.bias, self.factor = norm.weight, norm.bias, factor

    def forward(self, x):
        centred = x - x.mean(dim=1, keepdim=True)
        return centred * self.factor * self.weight[:, None, None] + self.bias[:, None, None]


class FixedFactor(nn.Module):
    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def pointwise(linear: nn.Linear) -> nn.Conv2d:
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
    conv.weight, conv.bias = nn.Parameter(linear.weight[:, :, None, None]), linear.bias
    return conv


def taken_linearly(
    module: nn.Module, *, gate: float | Mapping[str, np.ndarray] = 0.5, norm_gain: float = 1.0
) -> nn.Module:
    """Copy a module with what options admit taken as they say; blocks of ConvNeXt have their channels first."""
    twin = copy.deepcopy(module)
    for parent in [part for part in twin.modules() if isinstance(part, CNBlock)]:
        for name, child in list(parent.block.named_children()):
            if isinstance(child, Permute):
                setattr(parent.block, name, nn.Identity())
            elif isinstance(child, nn.Linear):
                setattr(parent.block, name, pointwise(child))
    for path, parent in list(twin.named_modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (*SMOOTH, *LEAKY)):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, SqueezeExcitation):
                own = f"{path}.{name}" if path else name
                setattr(parent, name, ConstantGate(gate if isinstance(gate, float) else gate[own]))
            elif isinstance(child, (nn.LayerNorm, LayerNorm2d)):
                setattr(parent, name, CentredNorm(child, norm_gain))
            elif isinstance(child, nn.LocalResponseNorm):
                setattr(parent, name, FixedFactor(norm_gain))
    return twin
