"""Rules for torch's activations: ignored, taken as an option says, or refused.

A rule is called with the module first where it is a module's, so the data is the first tensor it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from importers.linear_ops import Activation, Unsupported
from importers.torch_steps import NOTHING_ADMITS_IT, Step, Traced, pointwise, refuse

__all__ = ["SQUASHED", "activation", "clamp", "hardtanh", "leaky", "refused", "sigmoid", "smooth"]

SQUASHED = Unsupported(
    "a sigmoid is nowhere the identity",
    "As the last step of the network it is left out, as a factor it is a gate, which --gate admits; "
    "elsewhere no option admits it.",
)
"""A (hard) sigmoid. What it is multiplied by is a gated map."""


def activation(input: Any, *_: Any, **__: Any) -> Step:
    """Make an activation that expanded weights ignore."""
    return pointwise(Activation(), input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, *_: Any, **__: Any) -> Step:
    """Make a bounded ReLU."""
    return clamp(input, min_val, max_val)


def clamp(input: Any, min: Any = None, max: Any = None) -> Step:
    """Make a clamp that is a bounded ReLU."""
    if min is None or min != 0:
        raise refuse(f"it cuts at {min}, not at 0, and only ReLU-like functions are ignored", NOTHING_ADMITS_IT)
    return pointwise(Activation(() if max is None else (f"ceiling={max:g}",)), input)


def smooth(kind: str) -> Callable[..., Step]:
    """Return the rule of an activation that approaches the identity above zero."""
    return _optional("smooth", kind)


def leaky(kind: str) -> Callable[..., Step]:
    """Return the rule of an activation that is the identity above zero and has a slope below."""
    return _optional("leaky", kind)


def sigmoid(*args: Any, **kwargs: Any) -> Step:
    """Mark a (hard) sigmoid: `importers.torch_arithmetic.multiply` reads it."""
    return pointwise(SQUASHED, _data(args, kwargs))


def refused(reason: str, remedy: str = NOTHING_ADMITS_IT, *, is_attention: bool = False) -> Callable[..., Step]:
    """Return the rule of what is not expanded."""
    op = Unsupported(reason, remedy, is_attention=is_attention)

    def rule(*args: Any, **kwargs: Any) -> Step:
        return Step(op, _all_data([*args, *kwargs.values()]))

    return rule


def _optional(option: str, kind: str) -> Callable[..., Step]:
    op = Activation(option=option, kind=kind)

    def rule(*args: Any, **kwargs: Any) -> Step:
        return pointwise(op, _data(args, kwargs))

    return rule


def _data(args: Any, kwargs: Any) -> Traced:
    found = _all_data([*args, *kwargs.values()])
    if not found:
        raise refuse("it is called with something that is not the data")
    return found[0]


def _all_data(values: Any) -> list[Traced]:
    found: list[Traced] = []
    for value in values:
        if isinstance(value, Traced):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += _all_data(value)
    return found
