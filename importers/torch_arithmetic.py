"""Rules for sums, products with constants or gates, and concatenations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from importers.linear_ops import Activation, Add, Concat, Gate, Node, Scale
from importers.torch_nonlinear import SQUASHED
from importers.torch_steps import (
    NOTHING_ADMITS_IT,
    Step,
    Traced,
    channels_first,
    is_channels_last,
    need_data,
    pointwise,
    refuse,
    to_array,
)

__all__ = ["add", "concatenate", "divide", "multiply", "negate", "scaled", "subtract"]


def scaled(x: Traced, gain: Any = 1.0, shift: Any = 0.0) -> Step:
    """Multiply by and add constants, one a channel."""
    return pointwise(Scale(_constant(gain, x), _constant(shift, x)), x)


def _constant(value: Any, x: Traced) -> NDArray[np.float64]:
    """Read a constant that is the same at every position, (channel,)."""
    axis = -3 if len(x.shape) == 3 and not is_channels_last(x) else -1
    channels = x.shape[axis]
    if not isinstance(value, torch.Tensor):
        return np.full(channels, float(value))
    array = to_array(value).astype(np.float64)
    if array.size == 1:
        return np.full(channels, float(array.reshape(-1)[0]))
    if array.size != channels or array.ndim < -axis or array.shape[axis] != channels:
        raise refuse(
            f"a constant of shape {array.shape} that differs by position is put on {channels} channels",
            NOTHING_ADMITS_IT,
        )
    return array.reshape(-1)


def add(input: Any, other: Any, *, alpha: Any = 1) -> Step:
    """Add two tensors, or a constant."""
    if not isinstance(input, Traced):
        return scaled(need_data(other), gain=alpha, shift=input)
    if not isinstance(other, Traced):
        return scaled(input, shift=other * alpha)
    return _sum(input, other, alpha)


def _sum(input: Traced, other: Traced, factor: Any) -> Step:
    if input.shape != other.shape:
        raise refuse(f"shapes {input.shape} and {other.shape} are added by broadcasting", NOTHING_ADMITS_IT)
    last = is_channels_last(input) and is_channels_last(other)
    parts: list[Traced | Step] = [channels_first(x) if last else x for x in (input, other)]
    if factor != 1:
        parts[1] = scaled(other, gain=factor)
    return Step(Add(), parts, channels_last=last)


def subtract(input: Any, other: Any, *, alpha: Any = 1) -> Step:
    """Subtract a tensor or a constant."""
    if not isinstance(other, Traced):
        return scaled(need_data(input), shift=-other * alpha)
    if not isinstance(input, Traced):
        return scaled(other, gain=-alpha, shift=input)
    return _sum(input, other, -alpha)


def multiply(input: Any, other: Any) -> Step:
    """Multiply by a constant, or by a gate."""
    if not isinstance(input, Traced):
        return scaled(need_data(other), gain=input)
    if not isinstance(other, Traced):
        return scaled(input, gain=other)
    for x, gate in ((input, other), (other, input)):
        squashed = _squashed(gate)
        if squashed is None:
            continue
        kind, source = squashed
        if gate.shape == x.shape and _is_multiple_of(x, source, gate):
            return pointwise(Activation(option="smooth", kind=kind), x)
        if _squashed(x) is None and _broadcasts(gate.shape, x.shape):
            step = pointwise(Gate(""), x)
            return Step(step.op, step.inputs, step.channels_last, gate)
    raise refuse(
        "a product of two activations is not linear",
        "Only a (hard) sigmoid as one of the factors is taken as a gate (--gate); no option admits others.",
    )


def _squashed(x: Traced) -> tuple[str, str] | None:
    """For a (hard) sigmoid: what its product with its own input is called, and the name of that input."""
    node = x.steps[x.base]
    if node.op is SQUASHED:
        return ("hardswish" if "hard" in node.what.lower() else "silu"), node.inputs[0]
    # written out: relu6(x + 3) / 6
    if _is_scale(node, 1 / 6, 0.0):
        bounded = x.steps[node.inputs[0]]
        if isinstance(bounded.op, Activation) and bounded.op.approximations == ("ceiling=6",):
            moved = x.steps[bounded.inputs[0]]
            if _is_scale(moved, 1.0, 3.0):
                return "hardswish", moved.inputs[0]
    return None


def _is_scale(node: Node, gain: float, shift: float) -> bool:
    return isinstance(node.op, Scale) and np.allclose(node.op.gain, gain) and np.allclose(node.op.shift, shift)


def _is_multiple_of(x: Traced, name: str, gate: Traced) -> bool:
    """Whether the tensor `name`, of which `gate` is a sigmoid, is `x` or, as in a GELU, ``1.702 * x``."""
    is_last = is_channels_last(x)
    if is_last != is_channels_last(gate) or (gate.index is not None and not is_last):
        return False
    own = x.base if x.index is None or is_last else x.settled
    node = x.steps[name]
    # times a negative number it would go to zero where x is large
    if name != own and isinstance(node.op, Scale) and not np.any(node.op.shift) and np.all(node.op.gain > 0):
        name = node.inputs[0]
    return name == own


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    return len(small) == len(large) and all(a in (1, b) for a, b in zip(small, large, strict=True))


def divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Step:
    """Divide by a constant."""
    if isinstance(other, Traced) or rounding_mode is not None:
        raise refuse("a division by an activation, or one that rounds, is not linear", NOTHING_ADMITS_IT)
    return scaled(need_data(input), gain=1 / other)


def negate(input: Any) -> Step:
    """Turn the sign."""
    return scaled(need_data(input), gain=-1.0)


def concatenate(tensors: Any, dim: int = 0, **_: Any) -> Step:
    """Put tensors one after the other along the channels."""
    parts = list(tensors)
    if not all(isinstance(part, Traced) for part in parts):
        raise refuse("a constant is put beside an activation", NOTHING_ADMITS_IT)
    rank = len(parts[0].shape) + 1
    if rank == 4 and dim % rank == 3 and all(is_channels_last(part) for part in parts):
        return Step(Concat(), [channels_first(part) for part in parts], channels_last=True)
    if dim % rank != 1:
        raise refuse(f"concatenation along axis {dim}, not along channels", NOTHING_ADMITS_IT)
    return Step(Concat(), parts)
