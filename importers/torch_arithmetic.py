"""Rules for sums, products with constants and concatenations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from importers.linear_ops import Add, Concat, Scale
from importers.torch_steps import Step, Traced, refuse, to_array

__all__ = ["add", "concatenate", "divide", "multiply", "negate", "scaled", "subtract"]


def _constant(value: Any, channels: int) -> NDArray[np.float64]:
    """Read a constant that is the same at every position, (channel,)."""
    if not isinstance(value, torch.Tensor):
        return np.full(channels, float(value))
    array = to_array(value).astype(np.float64)
    squeezed = array.reshape(-1)
    plain = array.size == 1 or (array.size == channels and _channel_axis_is_all(array.shape, channels))
    if not plain:
        raise refuse(f"a constant of shape {array.shape} that differs by position is not expanded")
    return np.full(channels, float(squeezed[0])) if array.size == 1 else squeezed


def _channel_axis_is_all(shape: tuple[int, ...], channels: int) -> bool:
    return shape in {(channels, 1, 1), (1, channels, 1, 1), (channels,), (1, channels)}


def scaled(x: Traced, gain: Any = 1.0, shift: Any = 0.0) -> Step:
    """Multiply by and add constants, one a channel."""
    channels = x.shape[0]
    for value in (gain, shift):
        if isinstance(value, torch.Tensor) and value.ndim == 1 and value.numel() > 1 and len(x.shape) != 1:
            raise refuse("a constant that differs along the columns of a map is not expanded")
    return Step(Scale(_constant(gain, channels), _constant(shift, channels)), [x])


def add(input: Any, other: Any, *, alpha: Any = 1) -> Step:
    """Add two tensors, or a constant."""
    if not isinstance(input, Traced):
        input, other = other, input
        if alpha != 1:
            raise refuse("a sum with alpha is not expanded")
    if not isinstance(other, Traced):
        return scaled(input, shift=other * alpha)
    if alpha != 1:
        raise refuse("a sum with alpha is not expanded")
    if input.shape != other.shape:
        raise refuse(f"shapes {input.shape} and {other.shape} are added by broadcasting")
    return Step(Add(), [input, other])


def subtract(input: Any, other: Any) -> Step:
    """Subtract, where one of both is a constant."""
    if isinstance(input, Traced) and not isinstance(other, Traced):
        return scaled(input, shift=-other)
    if isinstance(other, Traced) and not isinstance(input, Traced):
        return scaled(other, gain=-1.0, shift=input)
    raise refuse("a difference of two activations is not expanded", "Write it as a + (-1) * b.")


def multiply(input: Any, other: Any) -> Step:
    """Multiply by a constant."""
    if isinstance(input, Traced) and isinstance(other, Traced):
        raise refuse("a product of two activations is not linear")
    return scaled(input, gain=other) if isinstance(input, Traced) else scaled(other, gain=input)


def divide(input: Any, other: Any, **_: Any) -> Step:
    """Divide by a constant."""
    if isinstance(other, Traced) or not isinstance(input, Traced):
        raise refuse("a division by an activation is not linear")
    return scaled(input, gain=1 / other)


def negate(input: Any) -> Step:
    """Turn the sign."""
    return scaled(input, gain=-1.0)


def concatenate(tensors: Any, dim: int = 0, **_: Any) -> Step:
    """Put tensors one after the other along the channels."""
    parts = list(tensors)
    if not all(isinstance(part, Traced) for part in parts):
        raise refuse("a constant is put beside an activation")
    rank = len(parts[0].shape) + 1
    if dim % rank != 1:
        raise refuse(f"concatenation along axis {dim}, not along channels")
    return Step(Concat(), parts)
