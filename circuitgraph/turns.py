"""The eight rotations and mirrors of a square kernel, and what of a kernel they can tell apart.

Names are read from left to right: ``rot90`` turns counter-clockwise as seen with row 0 at the
top (``np.rot90(k=1)``), ``flip`` mirrors left and right, ``flip.rot90`` mirrors and then turns, which is
the transpose. Kernels that are not square know only the identity, ``rot180``, ``flip`` and ``flip.rot180``.

The mean of a kernel over all eight (its **D4-invariant part**: the mean, and all that is radial) looks
the same after each of them, so it says nothing of orientation and drowns what does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import MotifError, ShapeError

__all__ = [
    "TURNS",
    "compose_turns",
    "informative",
    "inverse_turn",
    "norm_shares",
    "turn",
    "turn_by",
    "turn_place",
    "turns_of",
]

TURNS: Mapping[str, tuple[bool, int]] = MappingProxyType(
    {
        "identity": (False, 0),
        "rot90": (False, 1),
        "rot180": (False, 2),
        "rot270": (False, 3),
        "flip": (True, 0),
        "flip.rot90": (True, 1),
        "flip.rot180": (True, 2),
        "flip.rot270": (True, 3),
    }
)
"""Name to (mirrored first, quarter turns counter-clockwise after it)."""

_NAMES = {moves: name for name, moves in TURNS.items()}


def turns_of(window: tuple[int, int]) -> tuple[str, ...]:
    """Return the names that a window of (row, col) cells admits: all eight if it is square, else four."""
    return tuple(name for name, (_, quarters) in TURNS.items() if window[0] == window[1] or quarters % 2 == 0)


def turn(kernels: NDArray[np.floating[Any]], name: str) -> NDArray[np.floating[Any]]:
    """Turn or mirror kernels; the last two axes are (row, col). Returns a view.

    Raises
    ------
    MotifError
        No transformation has that name.
    ShapeError
        A quarter turn of kernels that are not square.

    Examples
    --------
    >>> turn(np.array([[1, 2], [3, 4]]), "rot90")
    array([[2, 4],
           [1, 3]])
    """
    if name not in TURNS:
        raise MotifError(f"there is no transformation {name!r}.", hint=f"There are: {', '.join(TURNS)}.")
    is_mirrored, quarters = TURNS[name]
    rows, cols = kernels.shape[-2:]
    if quarters % 2 and rows != cols:
        raise ShapeError(f"{name} of a {rows}x{cols} kernel: only square kernels can be turned by 90 degrees.")
    moved = kernels[..., ::-1] if is_mirrored else kernels
    return np.rot90(moved, quarters, axes=(-2, -1)) if quarters else moved


def turn_by(kernels: NDArray[np.floating[Any]], angle_deg: float) -> NDArray[np.float32]:
    """Turn kernels counter-clockwise as displayed by any angle, about the middle of their window.

    Parameters
    ----------
    kernels
        The last two axes are (row, col), row 0 at the top.
    angle_deg
        A finite angle. Multiples of 90 move the weights of a square window without touching them; at other angles a
        weight is interpolated bilinearly between its four neighbours, and the outer half of an edge cell is as its
        middle.

    Returns
    -------
    NDArray
        Of the same shape. NaN where the turn brings in nothing: the cell comes from beyond the window. What it carries
        out of the window is lost; a disc as wide as the window is turned without either.

    Raises
    ------
    ShapeError
        The angle is not finite.

    Examples
    --------
    >>> turn_by(np.array([[1, 2], [3, 4]]), 90).tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    >>> turn_by(np.arange(25).reshape(5, 5), 45)[0].astype(float).round(2).tolist()
    [nan, 2.71, 6.34, 10.46, nan]
    """
    if not np.isfinite(angle_deg):
        raise ShapeError(f"turning kernels: the angle is {angle_deg}, a finite number of degrees is wanted.")
    values = np.asarray(kernels, dtype=np.float64)
    height, width = values.shape[-2:]
    quarters, rest = divmod(angle_deg % 360, 90)
    if rest == 0 and (height == width or quarters % 2 == 0):
        return np.ascontiguousarray(np.rot90(values, int(quarters), axes=(-2, -1)), dtype=np.float32)
    rows, cols = (axis.ravel() for axis in np.mgrid[:height, :width])
    # the cell that comes to (row, col) lies where turning back takes it; rounded, so that edges are not lost to noise
    from_row, from_col = (np.round(axis, 9) for axis in turn_place((rows, cols), -angle_deg, (height, width)))
    is_inside = (abs(from_row - (height - 1) / 2) <= height / 2) & (abs(from_col - (width - 1) / 2) <= width / 2)
    from_row, from_col = np.clip(from_row, 0, height - 1), np.clip(from_col, 0, width - 1)
    top = np.minimum(np.floor(from_row).astype(int), max(0, height - 2))
    left = np.minimum(np.floor(from_col).astype(int), max(0, width - 2))
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = from_row - top, from_col - left
    out = (
        values[..., top, left] * (1 - down) * (1 - across)
        + values[..., top, right] * (1 - down) * across
        + values[..., bottom, left] * down * (1 - across)
        + values[..., bottom, right] * down * across
    )
    out[..., ~is_inside] = np.nan
    return np.asarray(out.reshape(values.shape), dtype=np.float32)


def turn_place(place: tuple[Any, Any], angle_deg: float, window: tuple[int, int]) -> tuple[Any, Any]:
    """Return where a (row, col) of a window comes to when that is turned counter-clockwise about its middle.

    Examples
    --------
    >>> row, col = turn_place((0, 2), 90, (3, 3))
    >>> round(float(row), 9), round(float(col), 9)
    (0.0, 0.0)
    """
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    row, col = place[0] - (window[0] - 1) / 2, place[1] - (window[1] - 1) / 2
    return row * cosine - col * sine + (window[0] - 1) / 2, row * sine + col * cosine + (window[1] - 1) / 2


def compose_turns(first: str, second: str) -> str:
    """Return the transformation that does `first`, then `second`."""
    (mirror_1, quarters_1), (mirror_2, quarters_2) = TURNS[first], TURNS[second]
    # a mirror turns the sense of the quarters before it
    quarters = (-quarters_1 if mirror_2 else quarters_1) + quarters_2
    return _NAMES[mirror_1 != mirror_2, quarters % 4]


def inverse_turn(name: str) -> str:
    """Return the transformation that undoes `name`."""
    return next(other for other in TURNS if compose_turns(name, other) == "identity")


def informative(kernels: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return kernels without their D4-invariant part; the last two axes are (row, col).

    Kernels that are not square lose what the identity, rot180, flip and flip.rot180 leave alone.
    """
    return kernels - _invariant(kernels)


def norm_shares(kernels: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return which share of the squared norm is the kernels' own means ("dc") and their D4-invariant part ("d4").

    "dc" is a part of "d4", and 1 - d4 is what can tell orientations apart; both are 0 where all weights are.
    """
    values = np.asarray(kernels, dtype=np.float64)
    total = float(np.square(values).sum())
    if total == 0:
        return {"dc": 0.0, "d4": 0.0}
    cells = values.shape[-1] * values.shape[-2]
    dc = float(np.square(values.mean(axis=(-2, -1))).sum()) * cells
    d4 = float(np.square(_invariant(values)).sum())
    return {"dc": dc / total, "d4": d4 / total}


def _invariant(kernels: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    names = turns_of((kernels.shape[-2], kernels.shape[-1]))
    mean = np.zeros_like(kernels)
    for name in names:
        mean += turn(kernels, name)
    return mean / len(names)
