"""What rules for torch operations are made of: data as it is followed, the step a rule gives, reading constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuitgraph.errors import UnsupportedOperationError
from importers.linear_ops import Op

__all__ = ["Step", "Traced", "need_map", "of_module", "pass_on", "refuse", "to_array", "to_pair"]

Pair = tuple[int, int]


@dataclass(slots=True, eq=False)
class Traced:
    """A tensor that depends on the input.

    `base` names a tensor of the graph of linear steps; `index`, if any, says for each entry which flat entry of
    `base` it is, -1 for zero. `shape` is without the batch axis.
    """

    base: str
    shape: tuple[int, ...]
    index: torch.Tensor | None = None
    settled: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A linear step and what it reads."""

    op: Op
    inputs: Sequence[Traced]


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


def need_map(x: Any) -> Traced:
    """Return the data, which must be a map."""
    if not isinstance(x, Traced):
        raise refuse("it is called with something that is not the data")
    if len(x.shape) != 3:
        raise refuse(f"its input has the shape {x.shape} without the batch; (channel, row, col) is wanted")
    return x


def pass_on(input: Any, *_: Any, **__: Any) -> Traced:
    """Pass the data on as it is."""
    if not isinstance(input, Traced):
        raise refuse("it is called with something that is not the data")
    return input


def of_module(rule: Callable[..., Any], *attributes: str) -> Callable[..., Any]:
    """Make a module's rule of a function's, called with the module's attributes."""

    def of_module(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return rule(*args, *(getattr(module, name) for name in attributes), **kwargs)

    return of_module
