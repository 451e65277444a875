"""Which slice, padding or choice of channels a move of a map's entries is; numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import UnsupportedOperationError
from importers.linear_ops import Gather, MapShape

__all__ = ["as_gather"]


def as_gather(index: NDArray[np.int64], base: MapShape) -> Gather:
    """Read off which channel and cell of a map each entry comes from.

    Parameters
    ----------
    index
        (channel, row, col): for each entry the flat ``(channel, row, col)`` entry of the map it is, -1 for zero.
    base
        The map's shape.

    Raises
    ------
    UnsupportedOperationError
        The entries are moved in a way that is no slice, padding or choice of channels.
    """
    height, width = base[1:]
    valid = index >= 0
    if not valid.any():
        return Gather(np.full(index.shape[0], -1))
    channel, row, col = index // (height * width), index % (height * width) // width, index % width
    first = np.where(valid, channel, -1).reshape(index.shape[0], -1).max(axis=1)
    _, rows, cols = np.nonzero(valid)
    row_step, row_shift = _line(rows, row[valid], height, index.shape[1])
    col_step, col_shift = _line(cols, col[valid], width, index.shape[2])
    want_row = (np.arange(index.shape[1]) * row_step + row_shift)[:, None]
    want_col = (np.arange(index.shape[2]) * col_step + col_shift)[None, :]
    inside = (want_row >= 0) & (want_row < height) & (want_col >= 0) & (want_col < width)
    wanted = first[:, None, None] * (height * width) + want_row * width + want_col
    wanted = np.where(inside[None] & (first >= 0)[:, None, None], wanted, -1)
    if not np.array_equal(wanted, np.where(valid, index, -1)):
        raise UnsupportedOperationError("it moves entries in a way that is no slice, padding or choice of channels")
    return Gather(first, (row_step, col_step), (row_shift, col_shift))


def _line(places: NDArray[np.int64], read: NDArray[np.int64], size: int, out_size: int) -> tuple[int, int]:
    """Fit ``read = step * place + shift`` through the first and last place."""
    low, high = int(places.argmin()), int(places.argmax())
    span = int(places[high] - places[low])
    # a single line does not tell its stride; the ratio of sizes does
    step = int(read[high] - read[low]) // span if span else max(1, size // out_size)
    if step < 1:
        raise UnsupportedOperationError("it repeats or turns round a map")
    return step, int(read[low]) - step * int(places[low])
