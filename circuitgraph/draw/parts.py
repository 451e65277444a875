"""What pictures of many kernels share: the check of what they are given, their bounds, dials of angles and notes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.svg import GREY, INK, Markup, number, tag, text, wrap
from circuitgraph.errors import NonFiniteError, ShapeError

__all__ = ["MOST_CELLS", "check_kernels", "dial", "footnotes", "most_lines"]

MOST_CELLS = 20_000
"""Of all kernels of one picture; about 3 MB of SVG."""
_LARGEST_WINDOW = 128


def check_kernels(kernels: ArrayLike, axes: str, act: str) -> NDArray[np.float32]:
    """Return kernels as float32, checked.

    Parameters
    ----------
    kernels
        Real finite numbers, its last two axes (row, col) of at most 128 cells each.
    axes
        The names of its axes, as "down up row col".
    act
        What an error's message begins with.

    Raises
    ------
    ShapeError
        It has other axes, one of them is empty, or its windows are too large.
    NonFiniteError
        A weight is NaN or infinite; the message says where.
    """
    wanted = f"({axes.replace(' ', ', ')})"
    try:
        given = np.asarray(kernels)
    except ValueError as error:
        raise ShapeError(f"{act}: the kernels are not of one shape, an array {wanted} is wanted.") from error
    if given.dtype.kind not in "fiub":
        raise ShapeError(f"{act}: the kernels hold {given.dtype} values, real numbers are wanted.")
    if given.ndim != len(axes.split()) or 0 in given.shape:
        raise ShapeError(f"{act}: the shape is {given.shape}, {wanted} is wanted, none of them 0.")
    if max(given.shape[-2:]) > _LARGEST_WINDOW:
        raise ShapeError(
            f"{act}: kernels are {given.shape[-2]}x{given.shape[-1]}, "
            f"at most {_LARGEST_WINDOW}x{_LARGEST_WINDOW} is drawn.",
            hint=f"Cut out a part, kernels[..., :{_LARGEST_WINDOW}, :{_LARGEST_WINDOW}].",
        )
    with np.errstate(over="ignore"):
        values = given.astype(np.float32)
    broken = np.argwhere(~np.isfinite(values))
    if len(broken):
        place = ", ".join(f"{name} {at}" for name, at in zip(axes.split(), broken[0], strict=True))
        raise NonFiniteError(
            f"{act}: {len(broken)} of {values.size} weights are NaN or infinite, the first at {place}."
        )
    return values


def most_lines(window: tuple[int, int], limit: int) -> int:
    """Return how many rows, and how many columns, of kernels of a window fit a picture."""
    return max(1, min(limit, math.isqrt(MOST_CELLS // (window[0] * window[1]))))


def dial(angle_deg: float, x: float, y: float, radius: float = 6.0) -> Markup:
    """Draw an angle, counter-clockwise from pointing right, as a hand in a circle about (x, y)."""
    across, up = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return tag(
        "g",
        tag("circle", cx=x, cy=y, r=radius, fill="#ffffff", stroke="#8c8c8c"),
        tag(
            "path",
            d=f"M{number(x)} {number(y)}L{number(x + radius * across)} {number(y - radius * up)}",
            stroke=INK,
            stroke_width=2,
            stroke_linecap="round",
        ),
    )


def footnotes(notes: Sequence[str], x: float, y: float, width: float) -> tuple[list[Markup], float]:
    """Set notes as lines of a width below each other; return them and where the next thing may begin."""
    parts: list[Markup] = []
    for note in notes:
        for line in wrap(note, width, 10, lines=9):
            parts.append(text(line, x, y, 10, fill=GREY))
            y += 13.5
    return parts, y
