"""What rules for torch operations are made of: data as it is followed, the step a rule gives, reading constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuitgraph.errors import UnsupportedOperationError
from importers.linear_ops import NOTHING_ADMITS_IT, Node, Op

__all__ = [
    "NOTHING_ADMITS_IT",
    "Step",
    "Traced",
    "cast",
    "channels_first",
    "is_channels_last",
    "need_data",
    "need_map",
    "of_module",
    "pass_on",
    "pointwise",
    "refuse",
    "to_array",
    "to_pair",
]


Pair = tuple[int, int]


@dataclass(slots=True, eq=False)
class Traced:
    """A tensor that depends on the input.

    `base` names a tensor of the graph of linear steps; `index`, if any, says for each entry which flat entry of
    `base` it is, -1 for zero. `shape` is without the batch axis. `steps` are the linear steps made so far, by name.
    """

    base: str
    shape: tuple[int, ...]
    index: torch.Tensor | None = None
    settled: str | None = None
    steps: Mapping[str, Node] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A linear step and what it reads: data, or another step of the same shape.

    Where `channels_last`, torch has the result's channels on the last axis. `gate` is the other factor of a `Gate`.
    """

    op: Op
    inputs: Sequence[Traced | Step]
    channels_last: bool = False
    gate: Traced | None = None


def refuse(reason: str, remedy: str = "") -> UnsupportedOperationError:
    """Make the error for an operation that has no linear form."""
    return UnsupportedOperationError(reason, hint=remedy)


def to_array(value: Any) -> NDArray[np.floating[Any]]:
    """Copy a constant tensor to numpy; what is not float64 becomes float32."""
    if isinstance(value, Traced):
        raise refuse("its weights depend on the input")
    tensor: torch.Tensor = value.detach()
    return tensor.to(device="cpu", dtype=torch.float64 if tensor.dtype == torch.float64 else torch.float32).numpy()


def to_pair(value: Any) -> Pair:
    """Read what torch takes as one number or as (row, col)."""
    if isinstance(value, (tuple, list, torch.Size)):
        first, second = (value[0], value[0]) if len(value) == 1 else value
        return int(first), int(second)
    return int(value), int(value)


def need_data(x: Any) -> Traced:
    """Return the data."""
    if not isinstance(x, Traced):
        raise refuse("it is called with something that is not the data")
    return x


def need_map(value: Any) -> Traced:
    """Return the data, which must be a map."""
    x = need_data(value)
    if len(x.shape) != 3:
        raise refuse(f"its input has the shape {x.shape} without the batch; (channel, row, col) is wanted")
    return x


def pass_on(input: Any, *_: Any, **__: Any) -> Traced:
    """Pass the data on as it is."""
    return need_data(input)


def cast(input: Any, *args: Any, **kwargs: Any) -> Traced:
    """Pass the data on in another type or on another device."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.dtype) and not value.is_floating_point:
            raise refuse("it cuts the data to whole numbers", NOTHING_ADMITS_IT)
    return need_data(input)


def is_channels_last(x: Traced) -> bool:
    """Whether a map is one of the graph's with its channels moved to the last axis."""
    if x.index is None or len(x.shape) != 3 or x.base not in x.steps:
        return False
    shape = x.steps[x.base].shape
    if tuple(x.index.shape) != (shape[1], shape[2], shape[0]):
        return False
    return torch.equal(x.index, torch.arange(x.index.numel()).reshape(shape).permute(1, 2, 0))


def channels_first(x: Traced) -> Traced:
    """Move the channels of a map from the last axis to the first."""
    rows, cols, channels = x.shape
    index = None if x.index is None or is_channels_last(x) else x.index.permute(2, 0, 1)
    return Traced(x.base, (channels, rows, cols), index, steps=x.steps)


def pointwise(op: Op, x: Any) -> Step:
    """Make a step that treats all positions alike, wherever torch has the channels."""
    x = need_data(x)
    return Step(op, [channels_first(x)], channels_last=True) if is_channels_last(x) else Step(op, [x])


def of_module(rule: Callable[..., Any], *attributes: str) -> Callable[..., Any]:
    """Make a module's rule of a function's, called with the module's attributes."""

    def of_module(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return rule(*args, *(getattr(module, name) for name in attributes), **kwargs)

    return of_module
