"""InceptionV1 as a torch module with the padding of TensorFlow's SAME at 224 written out, without LRN."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.importers.graphs import WIDTHS


def conv(weights, name: str, *, pad: int = 0) -> nn.Sequential:
    kernel = torch.from_numpy(np.ascontiguousarray(weights[f"{name}_w"].transpose(3, 2, 0, 1)))
    own = nn.Conv2d(kernel.shape[1], kernel.shape[0], tuple(kernel.shape[2:]), 2 if name == "conv2d0" else 1, pad)
    own.weight.data, own.bias.data = kernel, torch.from_numpy(weights[f"{name}_b"])
    return nn.Sequential(own, nn.ReLU())


class Mixed(nn.Module):
    def __init__(self, weights, name: str) -> None:
        super().__init__()
        self.one = conv(weights, f"{name}_1x1")
        self.three_in = conv(weights, f"{name}_3x3_bottleneck")
        self.three = conv(weights, f"{name}_3x3", pad=1)
        self.five_in = conv(weights, f"{name}_5x5_bottleneck")
        self.five = conv(weights, f"{name}_5x5", pad=2)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.reduce = conv(weights, f"{name}_pool_reduce")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.one(x), self.three(self.three_in(x)), self.five(self.five_in(x)), self.reduce(self.pool(x))]
        return torch.cat(parts, 1)


class InceptionV1(nn.Module):
    def __init__(self, weights) -> None:
        super().__init__()
        self.conv2d0 = conv(weights, "conv2d0")
        self.conv2d1 = conv(weights, "conv2d1")
        self.conv2d2 = conv(weights, "conv2d2", pad=1)
        for name in WIDTHS:
            self.add_module(name, Mixed(weights, name))
        self.softmax2_pre_activation = nn.Linear(*weights["softmax2_w"].shape)
        self.softmax2_pre_activation.weight.data = torch.from_numpy(weights["softmax2_w"].T.copy())
        self.softmax2_pre_activation.bias.data = torch.from_numpy(weights["softmax2_b"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def pool(x):
            return F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)

        x = pool(self.conv2d2(self.conv2d1(pool(self.conv2d0(F.pad(x, (2, 3, 2, 3)))))))
        for name in WIDTHS:
            x = getattr(self, name)(pool(x) if name in ("mixed4a", "mixed5a") else x)
        return self.softmax2_pre_activation(torch.flatten(F.avg_pool2d(x, 7), 1))
