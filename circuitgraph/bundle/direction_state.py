"""Directions as they are given: which axis they lie on, what is refused, and how they join those that are there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.bundle.direction_kernels import Held
from circuitgraph.errors import BundleError, NonFiniteError, ShapeError
from circuitgraph.ids import UnitId
from circuitgraph.records import Layer

__all__ = ["Layout", "check_coefficients", "check_names", "merge_directions", "orient"]

Layout = Literal["auto", "rows", "columns"]
"""Whether directions are the rows or the columns of a matrix; "auto" tells it from the shape, unless it is square."""


def orient(coefficients: ArrayLike, width: int, *, layout: Layout, act: str) -> NDArray[np.float64]:
    """Return coefficients as (direction, channel).

    Raises
    ------
    ShapeError
        Neither axis has `width` channels, or both have and `layout` is "auto".
    """
    try:
        matrix = np.asarray(coefficients, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{act}: the coefficients are no matrix of numbers ({error}).") from error
    matrix = matrix[None] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ShapeError(f"{act}: the shape is {matrix.shape}, (direction, channel) is wanted.")
    if layout == "auto":
        fits = [size == width for size in matrix.shape]
        if all(fits):
            raise ShapeError(
                f"{act}: {width} x {width} coefficients can be read both ways, with {width} neurons.",
                hint="Say whether the directions are its rows or its columns: --layout rows (layout='rows').",
            )
        layout = "columns" if fits[0] else "rows"
    matrix = matrix.T if layout == "columns" else matrix
    if matrix.shape[1] != width:
        raise ShapeError(
            f"{act}: the directions have {matrix.shape[1]} coefficients, the layer has {width} neurons.",
            hint="Name the layer they were found in; give a coefficient for each of its channels.",
        )
    return matrix


def check_coefficients(
    matrix: NDArray[np.float64], act: str, names: Sequence[str] | None, *, normalise: bool
) -> NDArray[np.float32]:
    """Return coefficients as they are held, float32 and normalised if asked.

    Raises
    ------
    NonFiniteError
        One is NaN, or infinite as float32.
    ShapeError
        A direction is zero.
    """

    def called(row: int) -> str:
        return names[row] if names is not None and row < len(names) else f"number {row}"

    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, channel = (int(place) for place in bad[0])
        raise NonFiniteError(
            f"{act}: {len(bad)} of {matrix.size} coefficients are NaN or infinite, the first of direction "
            f"{called(row)} at channel {channel}.",
            hint="Mend or leave out these directions.",
        )
    # by the largest magnitude first, so that no square over- or underflows
    peaks = np.abs(matrix).max(axis=1, keepdims=True)
    if normalise and peaks.all():
        matrix = matrix / peaks
        matrix = matrix / np.sqrt(np.square(matrix).sum(axis=1, keepdims=True))
    with np.errstate(over="ignore"):
        out = matrix.astype(np.float32)
    zero = np.flatnonzero(~out.any(axis=1))
    if len(zero):
        raise ShapeError(
            f"{act}: {len(zero)} of {len(out)} directions are zero, the first is {called(int(zero[0]))}; "
            "a direction of no length points nowhere.",
            hint="Leave these directions out.",
        )
    if not np.isfinite(out).all():
        raise NonFiniteError(
            f"{act}: a coefficient of {float(peaks.max()):.6g} is infinite as float32.",
            hint="Normalise them: --normalise (normalise=True).",
        )
    return out + np.float32(0)  # no negative zeros


def check_names(names: tuple[str, ...], count: int, home: Layer, act: str) -> None:
    """Refuse names that cannot be uids, or do not name one direction each.

    Raises
    ------
    ShapeError, IdError, BundleError
        There are too many or too few; one does not follow the grammar; one is given twice.
    """
    if len(names) != count:
        raise ShapeError(f"{act}: {len(names)} names for {count} directions.", hint="Give one name a direction.")
    for name in names:
        UnitId.parse(f"{home.uid}@{name}")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BundleError(f"{act}: the name {twice!r} is given {names.count(twice)} times.", hint="Rename one of them.")


def merge_directions(state: dict[str, Held], uid: str, new: Held, act: str, *, replace: bool) -> bool:
    """Put new directions into a layer of the state; say whether that changed it.

    Raises
    ------
    BundleError
        One is there with other coefficients, and `replace` is false.
    """
    old = state.get(uid)
    there = {} if old is None else {name: place for place, name in enumerate(old.names)}
    same: list[str] = []
    other: list[str] = []
    for place, name in enumerate(new.names):
        if old is not None and name in there:
            is_same = np.array_equal(old.coefficients[there[name]], new.coefficients[place])
            (same if is_same else other).append(name)
    if other and not replace:
        shown = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
        raise BundleError(
            f"{act}: {shown} is there with other coefficients.",
            hint="Give other names, or replace it (--replace; replace=True).",
        )
    if len(same) == len(new.names):
        return False
    fresh = new.take([place for place, name in enumerate(new.names) if name not in same])
    if old is not None:
        kept = old.take([place for place, name in enumerate(old.names) if name not in other])
        fresh = Held(
            kept.names + fresh.names,
            kept.sources + fresh.sources,
            np.concatenate([kept.coefficients, fresh.coefficients]),
        )
    # in an order that does not depend on what was added first
    state[uid] = fresh.take(sorted(range(len(fresh.names)), key=lambda place: _natural(fresh.names[place])))
    return True


def _natural(name: str) -> tuple[Any, ...]:
    pieces = re.split(r"([0-9]+)", name)
    return tuple(int(piece) if place % 2 else piece for place, piece in enumerate(pieces)), name
