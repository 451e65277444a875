"""Kernel arithmetic on arrays: where a kernel is anchored, what it sums to, how windows are laid over each other.

A kernel is the 2-d array of weights ``(row, col)`` between one upstream and one
downstream unit, row 0 at the top. Its **anchor** is the cell that sits on the
downstream unit's own position: ``-offset``, never the middle of the array, since
strides and even windows shift it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import ShapeError

__all__ = ["SCALARS", "anchor_of", "lay_on_window", "strong_cut", "summarise", "union_window"]

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

_CHUNK_CELLS = 1 << 22


def anchor_of(form: str, offset: tuple[int, int], window: tuple[int, int]) -> tuple[float, float]:
    """Return the (row, col) of a kernel that sits on the downstream unit's own position.

    It is ``-offset``. A "spatial" kernel spans a whole map and slides nowhere: there the middle
    of the map stands in, which falls between two lines where their count is even.
    """
    if form == "spatial":
        return ((window[0] - 1) / 2, (window[1] - 1) / 2)
    return (float(-offset[0]), float(-offset[1]))


def _summarise_chunk(kernels: NDArray[np.float64], anchor: tuple[float, float]) -> dict[str, NDArray[Any]]:
    rows, cols = np.arange(kernels.shape[1]), np.arange(kernels.shape[2])
    row_sums, col_sums = kernels.sum(axis=2), kernels.sum(axis=1)
    magnitude = np.abs(kernels)
    positive = np.where(kernels > 0, kernels, 0).sum(axis=(1, 2))
    negative = np.where(kernels < 0, kernels, 0).sum(axis=(1, 2))
    # from the two, so that no rounding makes an inhibition positive or an l1 smaller than its |sum|
    total, l1 = positive + negative, positive - negative
    centre = np.zeros(len(kernels))
    at_row, at_col = rows == anchor[0], cols == anchor[1]
    if at_row.any() and at_col.any():
        centre = kernels[:, int(anchor[0]), int(anchor[1])]
    peak = magnitude.reshape(len(kernels), len(rows) * len(cols)).argmax(axis=1)
    peak_row = peak // kernels.shape[2] - int(np.floor(anchor[0]))
    peak_col = peak % kernels.shape[2] - int(np.floor(anchor[1]))
    silent = l1 == 0
    return {
        "sum": total,
        "l1": l1,
        "l2": np.sqrt(np.square(kernels).sum(axis=(1, 2))),
        "excitation": positive,
        "inhibition": negative,
        "centre": centre,
        "surround": total - centre,
        "top": row_sums[:, rows < anchor[0]].sum(axis=1),
        "bottom": row_sums[:, rows > anchor[0]].sum(axis=1),
        "left": col_sums[:, cols < anchor[1]].sum(axis=1),
        "right": col_sums[:, cols > anchor[1]].sum(axis=1),
        "peak_row": np.where(silent, 0, peak_row),
        "peak_col": np.where(silent, 0, peak_col),
    }


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
    # in chunks, because the work is done in float64 and a layer pair can be large
    step = max(1, _CHUNK_CELLS // (kernels.shape[1] * kernels.shape[2]))
    parts = [
        _summarise_chunk(np.asarray(kernels[start : start + step], dtype=np.float64), anchor)
        for start in range(0, max(len(kernels), 1), step)
    ]
    # a sum beyond float32 becomes infinite, which who writes it refuses
    with np.errstate(over="ignore"):
        return {
            name: np.concatenate([part[name] for part in parts]).astype(
                np.int32 if name.startswith("peak_") else np.float32, copy=False
            )
            for name in SCALARS
        }


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
