"""Paths carried through a step that slides no window: choices of channels and cells, gains, sums, concatenations."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import UnsupportedOperationError
from circuitgraph.kernels import union_window
from importers.pieces import (
    Floats,
    Pair,
    Paths,
    Piece,
    add_piece,
    column_count,
    magnitude_of,
    merge,
    moved,
    need_sliding,
    part_of,
    times,
)

__all__ = [
    "add_paths",
    "concatenate",
    "flatten",
    "gather",
    "mean_of_map",
    "pass_activation",
    "scale",
    "shift_by",
]


def shift_by(paths: Paths, *, by: Pair, stride: Pair) -> Paths:
    """Carry paths through a step that reads the one cell ``stride * p + by``."""
    if paths.kind != "sliding" and (by, stride) != ((0, 0), (1, 1)):
        need_sliding(paths, "a slice of a map")
    pieces = [dataclasses.replace(piece, offset=moved(piece.offset, by, paths.stride)) for piece in paths.pieces]
    return paths.with_pieces(pieces, stride=times(paths.stride, stride))


def gather(paths: Paths, channels: NDArray[np.int64], *, stride: Pair, shift: Pair) -> Paths:
    """Carry paths through a choice of channels (-1 for zeros) and of cells."""
    paths = shift_by(paths, by=shift, stride=stride)
    count = len(channels)
    if count == paths.rows and np.array_equal(channels, np.arange(count)):
        return paths
    if np.array_equal(channels, np.arange(channels[0], channels[0] + count)) and channels[0] >= 0:
        first, last = int(channels[0]), int(channels[0]) + count
        kept = [
            p.cut(max(p.start, first), min(p.stop, last)) for p in paths.pieces if p.start < last and first < p.stop
        ]
        return paths.with_pieces([dataclasses.replace(p, start=p.start - first) for p in kept], rows=count)
    if len(paths.pieces) == 1 and paths.pieces[0].rows == paths.rows:
        piece = paths.pieces[0]
    else:
        piece = merge(paths.pieces, column_count(paths), paths.rows)
    zero = channels < 0
    up = None if piece.up is None else np.where(zero, -1, piece.up[channels])

    def pick(values: Any) -> Any:
        if values is None:
            return None
        picked = values[channels]
        picked[zero] = 0
        return picked

    changes = {"rows": count, "up": up, "kernel": pick(piece.kernel), "gross": pick(piece.gross)}
    return paths.with_pieces([dataclasses.replace(piece, **changes, before=None, after=None)], rows=count)


def scale(paths: Paths, gain: NDArray[np.float64]) -> Paths:
    """Carry paths through a gain for each channel."""
    pieces = []
    for piece in paths.pieces:
        if piece.kernel is None:
            pieces.append(piece)
            continue
        own = gain[piece.start : piece.stop]

        def by_row(values: Any, factor: Any) -> Any:
            return values * factor.reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32)

        pieces.append(
            dataclasses.replace(
                piece,
                kernel=by_row(piece.kernel, own),
                gross=None if piece.gross is None else by_row(piece.gross, np.abs(own)),
                after=None if piece.after is None else by_row(piece.after, own),
                before=None if piece.after is None else piece.before,
            )
        )
    return paths.with_pieces(pieces)


def mean_of_map(paths: Paths, *, size: Pair) -> Paths:
    """Carry paths through the mean over all positions of a map of `size`, where only the sum of a kernel matters.

    That is exact where each of the source's cells is read once, by the position it lies at; else terms at the border
    are dropped, and "border" says so.
    """
    need_sliding(paths, "a global pool")
    # a map that was cropped or padded behind has another size
    plain = (paths.stride, paths.up_size) == ((1, 1), size)
    plain &= all((p.window, p.offset) == ((1, 1), (0, 0)) for p in paths.pieces)
    pieces = [
        dataclasses.replace(
            piece,
            kernel=None if piece.kernel is None else piece.kernel.sum(axis=(-2, -1), keepdims=True),
            window=(1, 1),
            offset=(0, 0),
            gross=magnitude_of(piece) if piece.kernel is not None and piece.depth else None,
            before=None,
            after=None,
        )
        for piece in paths.pieces
    ]
    approximations = paths.approximations if plain else paths.approximations | {"border"}
    return paths.with_pieces(pieces, stride=(0, 0), kind="global", approximations=approximations)


def flatten(paths: Paths, order: NDArray[np.int64]) -> Paths:
    """Lay a layer of units out as a vector."""
    piece = paths.pieces[0]
    own = len(paths.pieces) == 1 and piece.up is not None and piece.window == (1, 1) and piece.depth == 0
    if not own or paths.kind != "sliding" or paths.stride != (1, 1) or piece.offset != (0, 0):
        raise UnsupportedOperationError("a map is flattened that is not a layer of units")
    ones = None if piece.kernel is None else np.ones((len(order), 1, 1), dtype=np.float32)
    return paths.with_pieces([Piece(0, len(order), (0, 0), (1, 1), ones, up=order)], rows=len(order), kind="flat")


def pass_activation(paths: Paths, *, is_only_way: bool) -> Paths:
    """Drop an activation, and remember the map up to it where it is the one that all of the way goes through."""
    pieces = []
    whole = is_only_way and len(paths.pieces) == 1 and paths.pieces[0].rows == paths.rows
    for piece in paths.pieces:
        is_first = piece.passed == 0 and piece.depth > 0 and piece.up is None and paths.kind == "sliding"
        before = piece.kernel if whole and is_first else None
        pieces.append(dataclasses.replace(piece, passed=piece.passed + 1, before=before, after=None))
    return paths.with_pieces(pieces)


def concatenate(parts: Sequence[tuple[int, Paths]], rows: int) -> Paths:
    """Lay the ways into several tensors one after the other; each part with its first row."""
    first = parts[0][1]
    _need_same(paths for _, paths in parts)
    pieces = [dataclasses.replace(p, start=p.start + start) for start, paths in parts for p in paths.pieces]
    return first.with_pieces(
        pieces, rows=rows, approximations=frozenset().union(*(paths.approximations for _, paths in parts))
    )


def add_paths(parts: Sequence[Paths], *, spare: Sequence[Floats] = ()) -> Paths:
    """Add ways that run in parallel; the kernels in `spare` are read by nothing else and may be overwritten."""
    if len(parts) == 1:
        return parts[0]
    _need_same(parts)
    first = parts[0]
    pieces = [piece for paths in parts for piece in paths.pieces]
    bounds = sorted({p.start for p in pieces} | {p.stop for p in pieces})
    summed = []
    for start, stop in itertools.pairwise(bounds):
        covering = [p.cut(start, stop) for p in pieces if p.start < stop and start < p.stop]
        if covering:
            summed.append(_sum_pieces(covering, column_count(first), spare))
    return first.with_pieces(summed, approximations=frozenset().union(*(paths.approximations for paths in parts)))


def _sum_pieces(pieces: Sequence[Piece], up_count: int, spare: Sequence[Floats]) -> Piece:
    if len(pieces) == 1:
        return dataclasses.replace(pieces[0], before=None, after=None)
    first = pieces[0]
    is_diagonal = all(p.up is not None and first.up is not None and np.array_equal(p.up, first.up) for p in pieces)
    offset, window = union_window([p.offset for p in pieces], [p.window for p in pieces])
    depth, passed = max(p.depth for p in pieces), max(p.passed for p in pieces)
    up = first.up if is_diagonal else None
    if first.kernel is None:
        return Piece(first.start, first.rows, offset, window, None, up, depth=depth, passed=passed)
    columns = () if is_diagonal else (up_count,)
    gross = np.zeros((first.rows, *columns), dtype=np.float32) if depth else None
    if gross is not None:
        for piece in pieces:
            add_piece(gross, magnitude_of(piece), None if is_diagonal else piece.up)
    base = next((p for p in pieces if p.up is None and p.window == window and _is_spare(p.weights, spare)), None)
    kernel = np.zeros((first.rows, *columns, *window), dtype=np.float32) if base is None else base.weights
    for piece in pieces:
        if piece is not base:
            into = part_of(kernel, piece.offset, piece.window, offset)
            add_piece(into, piece.weights, None if is_diagonal else piece.up)
    return Piece(first.start, first.rows, offset, window, kernel, up, gross, depth, passed)


def _is_spare(kernel: Floats, spare: Sequence[Floats]) -> bool:
    return kernel.flags.writeable and any(np.may_share_memory(kernel, other) for other in spare)


def _need_same(parts: Iterable[Paths]) -> None:
    seen = list(dict.fromkeys((paths.stride, paths.kind) for paths in parts))
    if len(seen) > 1:
        (stride, kind), (other, other_kind) = seen[:2]
        raise UnsupportedOperationError(f"ways of different stride meet, {stride} ({kind}) and {other} ({other_kind})")
