"""Architectures that are not in torchvision and that people have weights of."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

__all__ = ["resnet20", "tiny_vgg"]


class _TinyVGG(nn.Module):
    """Three pairs of 3x3 convolutions without padding, 2x2 max pools between, one linear layer."""

    def __init__(self, width: int, classes: int, size: int) -> None:
        super().__init__()
        before = 3
        for stage in (1, 2, 3):
            for place in (1, 2):
                setattr(self, f"conv_{stage}_{place}", nn.Conv2d(before, width, 3))
                setattr(self, f"relu_{stage}_{place}", nn.ReLU())
                before = width
                size -= 2
            setattr(self, f"max_pool_{stage}", nn.MaxPool2d(2))
            size //= 2
        self.flatten = nn.Flatten()
        self.output = nn.Linear(width * size * size, classes)

    def forward(self, x: torch.Tensor) -> Any:
        for stage in (1, 2, 3):
            for place in (1, 2):
                x = getattr(self, f"relu_{stage}_{place}")(getattr(self, f"conv_{stage}_{place}")(x))
            x = getattr(self, f"max_pool_{stage}")(x)
        return self.output(self.flatten(x))


class _CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights: every second cell, new channels zero ("option A")."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.is_wider = before != width
        self.extra = (width - before) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.is_wider:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(out + x)


class _CifarResNet(nn.Module):
    """The residual network for small images of He et al. (2015), section 4.2."""

    def __init__(self, blocks: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks)
        self.layer2 = self._stage(16, 32, blocks)
        self.layer3 = self._stage(32, 64, blocks)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(before: int, width: int, blocks: int) -> nn.Sequential:
        first = _CifarBlock(before, width, 1 if before == width else 2)
        return nn.Sequential(first, *(_CifarBlock(width, width, 1) for _ in range(blocks - 1)))

    def forward(self, x: torch.Tensor) -> Any:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def resnet20(classes: int = 10) -> nn.Module:
    """Make the ResNet-20 for CIFAR with shortcuts that have no weights; input 3x32x32."""
    return _CifarResNet(3, classes)


def tiny_vgg(width: int = 10, classes: int = 10, size: int = 64) -> nn.Module:
    """Make the TinyVGG of CNN Explainer; input 3 x `size` x `size`."""
    return _TinyVGG(width, classes, size)
