"""Rules for torch's activations, ignored or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from importers.linear_ops import Activation
from importers.torch_steps import Step, refuse

__all__ = ["LEAKY", "PRODUCT", "SMOOTH", "activation", "clamp", "hardtanh"]


def activation(input: Any, *_: Any, **__: Any) -> Step:
    """Make an activation that expanded weights ignore."""
    return Step(Activation(), [input])


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, *_: Any, **__: Any) -> Step:
    """Make a bounded ReLU."""
    if min_val != 0:
        raise refuse(f"it cuts at {min_val}, not at 0", "Only ReLU-like functions are ignored by expanded weights.")
    return Step(Activation((f"ceiling={max_val:g}",)), [input])


def clamp(input: Any, min: Any = None, max: Any = None) -> Step:
    """Make a clamp that is a bounded ReLU."""
    if min is None or min != 0:
        raise refuse(f"it cuts at {min}, not at 0", "Only ReLU-like functions are ignored by expanded weights.")
    return Step(Activation(() if max is None else (f"ceiling={max:g}",)), [input])


def not_identity(why: str) -> Callable[..., Step]:
    def rule(*_: Any, **__: Any) -> Step:
        raise refuse(why, "No option admits it yet; expanded weights ignore only ReLU-like functions.")

    return rule


SMOOTH = not_identity("it is not the identity above zero")


LEAKY = not_identity("it has a slope below zero too, so ignoring it would change more than the sign")


PRODUCT = not_identity("it is not linear in its input")
