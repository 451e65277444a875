"""Modules that several tests put into networks."""

from __future__ import annotations

from torch import nn


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
