"""Kernel arithmetic on arrays: where a kernel is anchored, what it sums to, how windows are laid over each other.

A kernel is the 2-d array of weights ``(row, col)`` between one upstream and one
downstream unit, row 0 at the top. Its **anchor** is the cell that sits on the
downstream unit's own position: ``-offset``, never the middle of the array, since
strides and even windows shift it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import ShapeError

__all__ = [
    "MAGNITUDES",
    "SCALARS",
    "anchor_of",
    "lay_on_window",
    "strong_cut",
    "summarise",
    "summarise_grid",
    "union_window",
]

SCALARS = (
    "sum",
    "l1",
    "l2",
    "excitation",
    "inhibition",
    "centre",
    "surround",
    "top",
    "bottom",
    "left",
    "right",
    "peak_row",
    "peak_col",
)
"""What `summarise` says of each kernel, in this order."""

MAGNITUDES = ("sum", "l1", "l2", "excitation", "inhibition")
"""Those of `SCALARS` that do not depend on where a kernel is anchored."""

# float64 cells worked on at once: two such arrays stay in the cache of a core
_CHUNK_CELLS = 1 << 16
_TILE = 64


def anchor_of(form: str, offset: tuple[int, int], window: tuple[int, int]) -> tuple[float, float]:
    """Return the (row, col) of a kernel that sits on the downstream unit's own position.

    It is ``-offset``. A "spatial" kernel spans a whole map and slides nowhere: there the middle
    of the map stands in, which falls between two lines where their count is even.
    """
    if form == "spatial":
        return ((window[0] - 1) / 2, (window[1] - 1) / 2)
    return (float(-offset[0]), float(-offset[1]))


def _measure_cells(cells: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the `MAGNITUDES` of kernels given as (row, col, ...), with the shape of what follows (row, col).

    With the kernels last each sum is an addition of whole arrays, one cell after the other: fast, and the same bits on
    any number of threads.
    """
    work = np.maximum(cells, 0)
    positive = work.sum(axis=(0, 1))
    np.minimum(cells, 0, out=work)
    negative = work.sum(axis=(0, 1))
    np.multiply(cells, cells, out=work)
    # from the two, so that no rounding makes an inhibition positive or an l1 smaller than its |sum|
    return {
        "sum": positive + negative,
        "l1": positive - negative,
        "l2": np.sqrt(work.sum(axis=(0, 1))),
        "excitation": positive,
        "inhibition": negative,
    }


def _place_cells(cells: NDArray[np.float64], anchor: tuple[float, float]) -> dict[str, NDArray[Any]]:
    """Return those of `SCALARS` that say where a kernel's weights lie; `cells` as for `_measure_cells`."""
    height, width, *rest = cells.shape
    rows, cols = np.arange(height), np.arange(width)
    at_row, at_col = rows == anchor[0], cols == anchor[1]
    is_inside = bool(at_row.any() and at_col.any())
    centre = cells[int(anchor[0]), int(anchor[1])] if is_inside else np.zeros(rest)
    peak = _first_largest(np.abs(cells).reshape(height * width, *rest))
    return {
        "centre": centre,
        "surround": cells.sum(axis=(0, 1)) - centre,
        "top": cells[rows < anchor[0]].sum(axis=(0, 1)),
        "bottom": cells[rows > anchor[0]].sum(axis=(0, 1)),
        "left": cells[:, cols < anchor[1]].sum(axis=(0, 1)),
        "right": cells[:, cols > anchor[1]].sum(axis=(0, 1)),
        "peak_row": np.where(peak < 0, 0, peak // width - math.floor(anchor[0])),
        "peak_col": np.where(peak < 0, 0, peak % width - math.floor(anchor[1])),
    }


def _first_largest(magnitude: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return which of the first axis is the largest, the first of equals; -1 where all are zero."""
    largest = magnitude.max(axis=0)
    place = np.zeros(largest.shape, dtype=np.int32)
    is_open = np.ones(largest.shape, dtype=np.bool_)
    for line in magnitude[:-1]:
        is_open &= line != largest
        place += is_open
    place[largest == 0] = -1
    return place


def summarise(kernels: NDArray[np.floating[Any]], anchor: tuple[float, float]) -> dict[str, NDArray[Any]]:
    """Say of each kernel what a query asks of it, so that none has to open it.

    Parameters
    ----------
    kernels
        (n, row, col), in output activation per input activation.
    anchor
        (row, col) as `anchor_of` gives it.

    Returns
    -------
    dict
        (n,) each, float32 but for the int32 peaks: `sum`; `l1`; `l2`; `excitation` and `inhibition`
        (sums of the positive and the negative weights, ``sum = excitation + inhibition``); `centre` (the
        weight at the anchor, 0 where it lies outside the window) and `surround` (``sum - centre``); `top`,
        `bottom`, `left`, `right` (sums of the rows or columns before or after the anchor, its own line in
        neither); `peak_row` and `peak_col` (of the largest magnitude, relative to the anchor; 0 for a
        kernel of zeros).

    Raises
    ------
    ShapeError
        `kernels` does not have three axes, or a window of no cells.

    Examples
    --------
    >>> s = summarise(np.array([[[1.0, 2.0, 3.0], [0, 0, 0], [-1, -2, -3]]]), anchor=(1, 1))
    >>> float(s["top"][0]), float(s["bottom"][0]), float(s["sum"][0])
    (6.0, -6.0, 0.0)
    """
    if kernels.ndim != 3 or 0 in kernels.shape[1:]:
        raise ShapeError(f"summarising kernels: the shape is {kernels.shape}, (kernel, row, col) is wanted.")
    return summarise_grid(kernels[np.newaxis], anchor)


def summarise_grid(
    kernels: NDArray[np.floating[Any]], anchor: tuple[float, float], names: Sequence[str] = SCALARS
) -> dict[str, NDArray[Any]]:
    """Say the scalars `names` of kernels (down, up, row, col), one after the other by up, then down.

    The order is that of a bundle's edges. Work is done in float64 on pieces that fit a core's cache, so that beside
    the (down * up,) results nothing large is made.
    """
    down_count, up_count, height, width = kernels.shape
    out = {
        name: np.empty((up_count, down_count), np.int32 if name.startswith("peak_") else np.float32) for name in names
    }
    wants_magnitudes = not set(names).isdisjoint(MAGNITUDES)
    wants_places = not set(names) <= set(MAGNITUDES)
    down_step = min(down_count, _TILE) or 1
    up_step = max(1, _CHUNK_CELLS // (height * width * down_step))
    down_step = max(1, min(down_step, _CHUNK_CELLS // (height * width)))
    for up in range(0, up_count, up_step):
        for down in range(0, down_count, down_step):
            tile = kernels[down : down + down_step, up : up + up_step]
            cells = np.array(tile.transpose(2, 3, 1, 0), dtype=np.float64, order="C")
            found = _measure_cells(cells) if wants_magnitudes else {}
            if wants_places:
                found |= _place_cells(cells, anchor)
            # a sum beyond float32 becomes infinite, which who writes it refuses
            with np.errstate(over="ignore"):
                for name, values in out.items():
                    values[up : up + up_step, down : down + down_step] = found[name]
    return {name: values.reshape(-1) for name, values in out.items()}


def strong_cut(values: NDArray[np.floating[Any]], share: float) -> float:
    """Return the value that the strongest `share` of edges reach.

    An edge is strong when its value is at least the cut and not zero, so that ties at the cut are all in,
    in numpy and in Cypher alike.

    Parameters
    ----------
    values
        One magnitude an edge.
    share
        Between 0 and 1; the count is rounded up.

    Examples
    --------
    >>> strong_cut(np.array([5.0, 1.0, 4.0, 3.0]), 0.5)
    4.0
    """
    if len(values) == 0:
        return 0.0
    count = min(len(values), max(1, int(np.ceil(round(share * len(values), 9)))))
    return float(np.partition(values, len(values) - count)[len(values) - count])


def union_window(
    offsets: Sequence[tuple[int, int]], windows: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (offset, window) of the smallest window that holds all of the given ones."""
    start = (min(o[0] for o in offsets), min(o[1] for o in offsets))
    stop = tuple(max(o[axis] + w[axis] for o, w in zip(offsets, windows, strict=True)) for axis in (0, 1))
    return start, (stop[0] - start[0], stop[1] - start[1])


def lay_on_window(
    kernels: NDArray[np.float32], offset: tuple[int, int], onto_offset: tuple[int, int], onto_window: tuple[int, int]
) -> NDArray[np.float32]:
    """Lay kernels on a larger window, zero elsewhere; the last two axes are (row, col)."""
    top, left = offset[0] - onto_offset[0], offset[1] - onto_offset[1]
    height, width = kernels.shape[-2:]
    if (top, left) == (0, 0) and (height, width) == tuple(onto_window):
        return kernels
    if top < 0 or left < 0 or top + height > onto_window[0] or left + width > onto_window[1]:
        raise ShapeError(f"a {height}x{width} window at {offset} does not fit {onto_window} at {onto_offset}.")
    out = np.zeros((*kernels.shape[:-2], *onto_window), dtype=kernels.dtype)
    out[..., top : top + height, left : left + width] = kernels
    return out
