"""The shape of a network's input, as a user gives it."""

from __future__ import annotations

from collections.abc import Sequence

from circuitgraph.errors import ShapeError
from importers.linear_ops import MapShape

__all__ = ["check_input_shape"]


def check_input_shape(given: Sequence[int], act: str) -> MapShape:
    """Return (channel, row, col).

    Raises
    ------
    ShapeError
        It has not three sides of at least 1; the message begins with `act`.
    """
    shape = tuple(int(side) for side in given)
    if len(shape) != 3 or min(shape) < 1:
        raise ShapeError(
            f"{act}: the input shape {'x'.join(map(str, shape))} has {len(shape)} sides, "
            f"the smallest {min(shape, default=0)}; 3 of at least 1 are wanted.",
            hint="Give it as channels x rows x columns: --input 3x32x32",
        )
    return (shape[0], shape[1], shape[2])
