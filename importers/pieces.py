"""Weights between a source layer and a later tensor.

`Paths` is what all ways from one source to one tensor come to: blocks of rows
(`Piece`), each dense or diagonal, that share a stride. A piece without `kernel` is
a plan: `importers.convolving` and `importers.steps` work on plans too, so that what
a computation will take and refuse is known from the shapes alone, by the same code.

The convention is that of `circuitgraph.records.NewBlock`:
``T[o, p] = sum K[o, i, u] S[i, stride * p + offset + u]``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import UnsupportedOperationError
from circuitgraph.kernels import union_window

__all__ = [
    "Floats",
    "Kind",
    "Pair",
    "Paths",
    "Piece",
    "add_piece",
    "column_count",
    "dense",
    "grown",
    "identity",
    "magnitude_of",
    "merge",
    "moved",
    "need_sliding",
    "part_of",
    "times",
]

Pair = tuple[int, int]
Floats = NDArray[np.floating[Any]]
Kind = Literal["sliding", "global", "spatial", "flat"]


@dataclass(frozen=True, slots=True)
class Piece:
    """The weights into rows `start` to `start + rows - 1` of a tensor.

    Parameters
    ----------
    kernel
        (row, up, kh, kw), or (row, kh, kw) for a diagonal piece, float32; None in a plan.
    up
        For a diagonal piece (row,), the source's channel that each row reads, -1 for none.
    gross
        Sum of ``|W2| |W1|`` over paths and positions, (row, up) or (row,); None where it is that of `kernel`.
    depth
        How many maps with weights were multiplied.
    passed
        How many dropped activations lie on the way.
    before, after
        The maps up to and after the one dropped activation that all of the way goes through.
    """

    start: int
    rows: int
    offset: Pair
    window: Pair
    kernel: NDArray[np.float32] | None
    up: NDArray[np.int64] | None = None
    gross: Floats | None = None
    depth: int = 0
    passed: int = 0
    before: NDArray[np.float32] | None = None
    after: NDArray[np.float32] | None = None

    @property
    def weights(self) -> NDArray[np.float32]:
        """The kernel of a piece that is no plan."""
        if self.kernel is None:
            raise TypeError("a plan has no weights")
        return self.kernel

    @property
    def stop(self) -> int:
        """One past the last row."""
        return self.start + self.rows

    def bytes(self, up_count: int) -> int:
        """What the kernel takes."""
        return 4 * self.rows * self.window[0] * self.window[1] * (1 if self.up is not None else up_count)

    def cut(self, start: int, stop: int) -> Piece:
        """Return rows `start` to `stop - 1` of the tensor, which lie in this piece."""
        if (start, stop) == (self.start, self.stop):
            return self
        own = slice(start - self.start, stop - self.start)
        return dataclasses.replace(
            self,
            start=start,
            rows=stop - start,
            kernel=None if self.kernel is None else self.kernel[own],
            up=None if self.up is None else self.up[own],
            gross=None if self.gross is None else self.gross[own],
            after=None if self.after is None else self.after[own],
            before=None if self.after is None else self.before,
        )


@dataclass(frozen=True, slots=True)
class Paths:
    """All ways from one source layer to a tensor of `rows` channels.

    `kind` is "sliding", "global" (weights on the mean over all positions), "spatial" (over the whole map) or
    "flat" (a flattened map: rows read entries of the source's map).
    """

    rows: int
    up_count: int
    up_size: Pair
    pieces: tuple[Piece, ...]
    stride: Pair = (1, 1)
    kind: Kind = "sliding"
    approximations: frozenset[str] = frozenset()

    def with_pieces(self, pieces: Iterable[Piece], **changes: Any) -> Paths:
        """Return a copy with other pieces."""
        return dataclasses.replace(self, pieces=tuple(pieces), **changes)


def identity(channels: int, size: Pair, *, plan: bool) -> Paths:
    """Return the ways from a layer of units to itself."""
    ones = None if plan else np.ones((channels, 1, 1), dtype=np.float32)
    piece = Piece(0, channels, (0, 0), (1, 1), ones, up=np.arange(channels))
    return Paths(channels, channels, size, (piece,))


def magnitude_of(piece: Piece) -> Floats:
    """Return the gross weights of a piece."""
    if piece.gross is not None:
        return piece.gross
    cells = piece.window[0] * piece.window[1]
    flat = piece.weights.reshape(*piece.weights.shape[:-2], cells)
    if cells == 1:
        return np.abs(flat[..., 0])
    total = np.zeros(flat.shape[:-1], dtype=np.float32)
    for row, values in enumerate(flat):
        # row by row, so that there is no second array of all kernels
        total[row] = np.abs(values) @ np.ones(cells, dtype=np.float32)
    return total


def _scatter(values: Floats, up: NDArray[np.int64], up_count: int) -> Floats:
    """Lay one value a row onto its column, (row, up)."""
    out = np.zeros((len(up), up_count, *values.shape[1:]), dtype=values.dtype)
    valid = np.flatnonzero(up >= 0)
    out[valid, up[valid]] = values[valid]
    return out


def dense(piece: Piece, up_count: int) -> Piece:
    """Write a diagonal piece out as a dense one."""
    if piece.up is None:
        return piece
    if piece.kernel is None:
        return dataclasses.replace(piece, up=None)
    gross = None if piece.gross is None else _scatter(piece.gross, piece.up, up_count)
    kernel = _scatter(piece.kernel, piece.up, up_count).astype(np.float32, copy=False)
    return dataclasses.replace(piece, kernel=kernel, up=None, gross=gross)


def merge(pieces: Sequence[Piece], up_count: int, rows: int) -> Piece:
    """Lay all pieces into one dense piece of all rows."""
    if len(pieces) == 1 and pieces[0].rows == rows:
        return dense(pieces[0], up_count)
    offset, window = union_window([p.offset for p in pieces], [p.window for p in pieces])
    depth, passed = max(p.depth for p in pieces), max(p.passed for p in pieces)
    if any(p.kernel is None for p in pieces):
        return Piece(0, rows, offset, window, None, depth=depth, passed=passed)
    kernel = np.zeros((rows, up_count, *window), dtype=np.float32)
    gross = np.zeros((rows, up_count), dtype=np.float32) if depth else None
    for piece in pieces:
        at = slice(piece.start, piece.stop)
        add_piece(part_of(kernel[at], piece.offset, piece.window, offset), piece.weights, piece.up)
        if gross is not None:
            add_piece(gross[at], magnitude_of(piece), piece.up)
    return Piece(0, rows, offset, window, kernel, gross=gross, depth=depth, passed=passed)


def part_of(kernel: Floats, offset: Pair, window: Pair, whole_offset: Pair) -> Floats:
    """Return the view of a kernel (.., row, col) at `whole_offset` that lies under a smaller window at `offset`."""
    top, left = offset[0] - whole_offset[0], offset[1] - whole_offset[1]
    return kernel[..., top : top + window[0], left : left + window[1]]


def add_piece(out: Floats, values: Floats, up: NDArray[np.int64] | None) -> None:
    """Add one value a row, or one a row and column, to (row, up, ..); `up` is of diagonal values, -1 for none."""
    if up is None:
        out += values
        return
    # a diagonal is not written out: it has few entries among many columns
    rows = np.flatnonzero(up >= 0)
    out[rows, up[rows]] += values[rows]


def times(a: Pair, b: Pair) -> Pair:
    """Multiply axis by axis."""
    return (a[0] * b[0], a[1] * b[1])


def grown(window: Pair, taps: Pair, step: Pair) -> Pair:
    """Return what a window becomes under `taps` cells that lie `step` apart."""
    return (window[0] + step[0] * (taps[0] - 1), window[1] + step[1] * (taps[1] - 1))


def moved(offset: Pair, by: Pair, stride: Pair) -> Pair:
    """Return an offset moved by cells that lie `stride` apart."""
    return (offset[0] + stride[0] * by[0], offset[1] + stride[1] * by[1])


def column_count(paths: Paths) -> int:
    """Return how many entries of the source a dense row reads in each cell."""
    return paths.up_count * (paths.up_size[0] * paths.up_size[1] if paths.kind == "flat" else 1)


def need_sliding(paths: Paths, what: str) -> None:
    """Refuse a step that needs a map with positions."""
    if paths.kind != "sliding":
        raise UnsupportedOperationError(f"{what} follows a global pool, a linear layer or a flattened map")
