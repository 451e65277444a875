"""Operations that only move entries: they are run on the entries' own numbers and read off (`importers.linearise`)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from importers.torch_steps import NOTHING_ADMITS_IT, refuse

__all__ = ["REPLAYED_FUNCTIONS", "REPLAYED_METHODS", "REPLAYED_MODULES"]


def _shuffle_channels(input: torch.Tensor, groups: int) -> torch.Tensor:
    batch, channels, *size = input.shape
    return input.reshape(batch, groups, channels // groups, *size).transpose(1, 2).reshape(batch, channels, *size)


def _pad_with_zeros(input: torch.Tensor, pad: Sequence[int], mode: str, value: Any) -> torch.Tensor:
    if mode != "constant" or value:
        fact = f"the value {value}" if mode == "constant" else f"{mode!r}"
        raise refuse(f"padding with {fact}: only zero padding is expanded", NOTHING_ADMITS_IT)
    return F.pad(input, list(pad), value=-1)


REPLAYED_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    torch.flatten: torch.flatten,
    torch.reshape: torch.reshape,
    torch.permute: torch.permute,
    torch.transpose: torch.transpose,
    torch.squeeze: torch.squeeze,
    torch.unsqueeze: torch.unsqueeze,
    torch.chunk: torch.chunk,
    torch.split: torch.split,
    torch.unbind: torch.unbind,
    torch.narrow: torch.narrow,
    torch.select: torch.select,
    torch.flip: torch.flip,
    torch.movedim: torch.movedim,
    torch.swapaxes: torch.swapaxes,
    torch.tensor_split: torch.tensor_split,
    torch.channel_shuffle: lambda input, groups: _shuffle_channels(input, groups),
    F.pad: lambda input, pad, mode="constant", value=None: _pad_with_zeros(input, pad, mode, value),
    operator.getitem: operator.getitem,
}


REPLAYED_METHODS: frozenset[str] = frozenset(
    [
        "flatten",
        "reshape",
        "view",
        "permute",
        "transpose",
        "squeeze",
        "unsqueeze",
        "chunk",
        "split",
        "unbind",
        "narrow",
        "select",
        "flip",
        "expand",
        "unflatten",
        "movedim",
        "swapaxes",
    ]
)


REPLAYED_MODULES: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.Flatten: lambda module, input: torch.flatten(input, module.start_dim, module.end_dim),
    nn.Unflatten: lambda module, input: input.unflatten(module.dim, module.unflattened_size),
    nn.ZeroPad2d: lambda module, input: _pad_with_zeros(input, module.padding, "constant", 0),
    nn.ChannelShuffle: lambda module, input: _shuffle_channels(input, module.groups),
}
