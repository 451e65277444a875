"""Weights between a source layer and a later tensor, and the arithmetic that carries them one step on.

`Paths` is what all ways from one source to one tensor come to: blocks of rows
(`Piece`), each dense or diagonal, that share a stride. A piece without `kernel` is
a plan: every function here works on plans too, so that what a computation will
take and refuse is known from the shapes alone, by the same code.

The convention is that of `circuitgraph.records.NewBlock`:
``T[o, p] = sum K[o, i, u] S[i, stride * p + offset + u]``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import UnsupportedOperationError
from circuitgraph.kernels import lay_on_window, union_window

__all__ = [
    "Paths",
    "Piece",
    "add_paths",
    "average",
    "concatenate",
    "convolve",
    "dense",
    "flatten",
    "gather",
    "identity",
    "mean_of_map",
    "pass_activation",
    "scale",
    "shift_by",
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


def _magnitude(piece: Piece) -> Floats:
    """Return the gross weights of a piece."""
    if piece.gross is not None:
        return piece.gross
    cells = piece.window[0] * piece.window[1]
    flat = np.abs(piece.weights).reshape(*piece.weights.shape[:-2], cells)
    return flat[..., 0] if cells == 1 else flat @ np.ones(cells, dtype=np.float32)


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


def _merge(pieces: Sequence[Piece], up_count: int, rows: int) -> Piece:
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
        full = dense(piece, up_count)
        kernel[full.start : full.stop] = lay_on_window(full.weights, full.offset, offset, window)
        if gross is not None:
            gross[full.start : full.stop] = _magnitude(full)
    return Piece(0, rows, offset, window, kernel, gross=gross, depth=depth, passed=passed)


def _times(a: Pair, b: Pair) -> Pair:
    return (a[0] * b[0], a[1] * b[1])


def _grown(window: Pair, taps: Pair, step: Pair) -> Pair:
    return (window[0] + step[0] * (taps[0] - 1), window[1] + step[1] * (taps[1] - 1))


def _moved(offset: Pair, by: Pair, stride: Pair) -> Pair:
    return (offset[0] + stride[0] * by[0], offset[1] + stride[1] * by[1])


def _compose_dense(weight: NDArray[np.float32], kernel: NDArray[np.float32], step: Pair) -> NDArray[np.float32]:
    """Compose (group, down, mid, kh, kw) with (group, mid, up, h, w) to (group, down, up, H, W)."""
    groups, down, mid, *taps = weight.shape
    up, height, width = kernel.shape[2:]
    if taps == [1, 1]:
        return (weight[..., 0, 0] @ kernel.reshape(groups, mid, -1)).reshape(groups, down, up, height, width)
    cells = taps[0] * taps[1]
    window = _grown((height, width), (taps[0], taps[1]), step)
    if (height, width) == (1, 1):
        by_cell = np.moveaxis(weight.reshape(groups, down, mid, cells), 3, 2).reshape(groups, down * cells, mid)
        product = (by_cell @ kernel.reshape(groups, mid, up)).reshape(groups, down, cells, up)
        product = np.ascontiguousarray(np.moveaxis(product, 2, 3)).reshape(groups, down, up, *taps)
        if step == (1, 1):
            return product
        out = np.zeros((groups, down, up, *window), dtype=np.float32)
        out[..., :: step[0], :: step[1]] = product
        return out
    out = np.zeros((groups, down, up, *window), dtype=np.float32)
    flat = kernel.reshape(groups, mid, -1)
    for row in range(taps[0]):
        for col in range(taps[1]):
            tap = np.ascontiguousarray(weight[..., row, col]) @ flat
            top, left = step[0] * row, step[1] * col
            out[..., top : top + height, left : left + width] += tap.reshape(groups, down, up, height, width)
    return out


def _compose_diagonal(
    weight: NDArray[np.float32], kernel: NDArray[np.float32], up: NDArray[np.int64], up_count: int, step: Pair
) -> NDArray[np.float32]:
    """Compose (down, mid, kh, kw) with the diagonal (mid, h, w) to (down, up, H, W)."""
    down, mid, *taps = weight.shape
    is_whole = mid == up_count and np.array_equal(up, np.arange(up_count))
    if is_whole and kernel.shape[1:] == (1, 1) and np.all(kernel == 1) and (step == (1, 1) or taps == [1, 1]):
        return weight
    height, width = kernel.shape[1:]
    window = _grown((height, width), (taps[0], taps[1]), step)
    product = np.zeros((down, mid, *window), dtype=np.float32)
    # over the cells of the smaller window
    if height * width < taps[0] * taps[1]:
        for row in range(height):
            for col in range(width):
                part = product[..., row :: step[0], col :: step[1]][..., : taps[0], : taps[1]]
                part += weight * kernel[:, row, col][:, None, None]
    else:
        for row in range(taps[0]):
            for col in range(taps[1]):
                top, left = step[0] * row, step[1] * col
                part = product[..., top : top + height, left : left + width]
                part += weight[..., row, col][..., None, None] * kernel
    if is_whole:
        return product
    out = np.zeros((down, up_count, *window), dtype=np.float32)
    valid = np.flatnonzero(up >= 0)
    # a channel may be read twice, which plain indexing would lose
    if len(np.unique(up[valid])) == len(valid):
        out[:, up[valid]] = product[:, valid]
    else:
        for mid_channel in valid:
            out[:, up[mid_channel]] += product[:, mid_channel]
    return out


def _conv_piece(
    weight: NDArray[np.float32], piece: Piece, up_count: int, groups: int, step: Pair
) -> tuple[NDArray[np.float32], Floats | None]:
    """Compose the columns of a convolution that read `piece` with it; the kernel and, if wanted, its gross."""
    down, _, *taps = weight.shape
    wants_gross = piece.depth > 0 or piece.gross is not None or (piece.up is not None and piece.window != (1, 1))
    gross: Floats | None = None
    if piece.up is None:
        shaped = weight.reshape(groups, down // groups, -1, *taps)
        kernel = piece.weights.reshape(groups, -1, *piece.weights.shape[1:])
        out = _compose_dense(shaped, kernel, step).reshape(
            down, up_count, *_grown(piece.window, (taps[0], taps[1]), step)
        )
        if wants_gross:
            reach = np.abs(shaped).reshape(*shaped.shape[:3], -1).sum(axis=3)
            gross = (reach @ _magnitude(piece).reshape(groups, -1, up_count)).reshape(down, up_count)
        return out, gross
    parts, gross_parts = [], []
    mid, each = piece.rows // groups, down // groups
    for group in range(groups):
        own_weight = weight[group * each : (group + 1) * each]
        rows = slice(group * mid, (group + 1) * mid)
        parts.append(_compose_diagonal(own_weight, piece.weights[rows], piece.up[rows], up_count, step))
        if wants_gross:
            reach = np.abs(own_weight).reshape(each, mid, -1).sum(axis=2)[..., None, None]
            magnitude = _magnitude(piece)[rows][:, None, None].astype(np.float32)
            gross_parts.append(_compose_diagonal(reach, magnitude, piece.up[rows], up_count, (1, 1))[..., 0, 0])
    kernel = parts[0] if groups == 1 else np.concatenate(parts)
    return kernel, np.concatenate(gross_parts) if wants_gross else None


def convolve(
    paths: Paths, weight: NDArray[np.float32], *, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Paths:
    """Carry paths through a convolution; `weight` is (down, mid / groups, kh, kw) with batch norm folded in."""
    down, _, height, width = weight.shape
    taps = (height, width)
    if paths.kind != "sliding" and (taps != (1, 1) or pad != (0, 0)):
        raise UnsupportedOperationError("a convolution wider than 1x1 follows a global pool or a linear layer")
    step = _times(paths.stride, dilation)
    if groups > 1 and weight.shape[1] == 1:
        pieces = [_depthwise(piece, weight, paths, step, pad) for piece in paths.pieces]
        return paths.with_pieces(pieces, rows=down, stride=_times(paths.stride, stride))
    sources = paths.pieces
    if groups > 1 and (len(sources) > 1 or sources[0].rows != paths.rows):
        sources = (_merge(sources, _columns(paths), paths.rows),)
    piece = _conv_sum(paths, sources, weight, step, groups)
    if paths.kind == "flat":
        kernel = None if piece.kernel is None else piece.kernel.reshape(down, paths.up_count, *paths.up_size)
        piece = dataclasses.replace(piece, kernel=kernel, window=paths.up_size, gross=None)
        return paths.with_pieces([piece], rows=down, kind="spatial", stride=(0, 0))
    piece = dataclasses.replace(piece, offset=_moved(piece.offset, (-pad[0], -pad[1]), paths.stride))
    return paths.with_pieces([piece], rows=down, stride=_times(paths.stride, stride))


def _columns(paths: Paths) -> int:
    return paths.up_count * (paths.up_size[0] * paths.up_size[1] if paths.kind == "flat" else 1)


def _conv_sum(paths: Paths, sources: Sequence[Piece], weight: NDArray[np.float32], step: Pair, groups: int) -> Piece:
    """Add up what a convolution makes of each piece it reads."""
    down, _, height, width = weight.shape
    grown = [_grown(piece.window, (height, width), step) for piece in sources]
    offset, window = union_window([piece.offset for piece in sources], grown)
    depth, passed = max(p.depth for p in sources) + 1, max(p.passed for p in sources)
    if any(piece.kernel is None for piece in sources):
        return Piece(0, down, offset, window, None, depth=depth, passed=passed)
    columns = _columns(paths)
    only = len(sources) == 1
    kernel: NDArray[np.float32] | None = None
    gross: Floats | None = None
    for piece in sources:
        own = weight if groups > 1 else weight[:, piece.start : piece.stop]
        part, part_gross = _conv_piece(own, piece, columns, groups, step)
        grown_window = (part.shape[2], part.shape[3])
        if depth > 1 and part_gross is None:
            part_gross = _magnitude(Piece(0, down, piece.offset, grown_window, part))
        part = lay_on_window(part, piece.offset, offset, window)
        if part_gross is not None:
            gross = part_gross if gross is None else gross + part_gross
        kernel = part if kernel is None else kernel + part
    source = sources[0]
    before = source.before if only and groups == 1 and source.rows == paths.rows and source.after is None else None
    after = None if before is None else weight
    return Piece(0, down, offset, window, kernel, None, gross, depth, passed, before, after)


def _depthwise(piece: Piece, weight: NDArray[np.float32], paths: Paths, step: Pair, pad: Pair) -> Piece:
    """Carry one piece through a convolution of each channel by itself, `copies` kernels a channel."""
    copies = weight.shape[0] // paths.rows
    taps = (weight.shape[2], weight.shape[3])
    changes: dict[str, Any] = {
        "start": piece.start * copies,
        "rows": piece.rows * copies,
        "offset": _moved(piece.offset, (-pad[0], -pad[1]), paths.stride),
        "window": _grown(piece.window, taps, step),
        "up": None if piece.up is None else np.repeat(piece.up, copies),
        "depth": piece.depth + 1,
        "before": None,
        "after": None,
    }
    if piece.kernel is not None:
        own = weight[piece.start * copies : piece.stop * copies, 0]
        kernel = np.repeat(piece.kernel, copies, axis=0) if copies > 1 else piece.kernel
        changes["kernel"] = _spread(kernel, own, step)
        reach = np.abs(own).sum(axis=(1, 2))
        gross = np.repeat(_magnitude(piece), copies, axis=0)
        changes["gross"] = gross * reach.reshape(-1, *[1] * (gross.ndim - 1))
    return dataclasses.replace(piece, **changes)


def _spread(kernel: NDArray[np.float32], taps: NDArray[np.float32], step: Pair) -> NDArray[np.float32]:
    """Compose (row, .., h, w) with one (row, kh, kw) window a row."""
    height, width = kernel.shape[-2:]
    window = _grown((height, width), (taps.shape[1], taps.shape[2]), step)
    out = np.zeros((*kernel.shape[:-2], *window), dtype=np.float32)
    by_row = (-1, *[1] * (kernel.ndim - 1))
    for row in range(taps.shape[1]):
        for col in range(taps.shape[2]):
            top, left = step[0] * row, step[1] * col
            out[..., top : top + height, left : left + width] += kernel * taps[:, row, col].reshape(by_row)
    return out


def average(paths: Paths, *, window: Pair, stride: Pair, pad: Pair, gain: float) -> Paths:
    """Carry paths through a pool that weights each cell of its window by `gain`."""
    _need_sliding(paths, "a pool")
    pieces = []
    for piece in paths.pieces:
        kernel = piece.kernel
        if kernel is not None:
            kernel = _spread(kernel, np.full((kernel.shape[0], *window), gain, dtype=np.float32), paths.stride)
        total = abs(gain) * window[0] * window[1]
        pieces.append(
            dataclasses.replace(
                piece,
                kernel=kernel,
                window=_grown(piece.window, window, paths.stride),
                offset=_moved(piece.offset, (-pad[0], -pad[1]), paths.stride),
                gross=None if piece.gross is None else piece.gross * total,
                before=None,
                after=None,
            )
        )
    return paths.with_pieces(pieces, stride=_times(paths.stride, stride))


def shift_by(paths: Paths, *, by: Pair, stride: Pair) -> Paths:
    """Carry paths through a step that reads the one cell ``stride * p + by``."""
    if paths.kind != "sliding" and (by, stride) != ((0, 0), (1, 1)):
        _need_sliding(paths, "a slice of a map")
    pieces = [dataclasses.replace(piece, offset=_moved(piece.offset, by, paths.stride)) for piece in paths.pieces]
    return paths.with_pieces(pieces, stride=_times(paths.stride, stride))


def _need_sliding(paths: Paths, what: str) -> None:
    if paths.kind != "sliding":
        raise UnsupportedOperationError(f"{what} follows a global pool, a linear layer or a flattened map")


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
        piece = _merge(paths.pieces, _columns(paths), paths.rows)
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


def mean_of_map(paths: Paths) -> Paths:
    """Carry paths through the mean over all positions, where only the sum of a kernel matters.

    That is exact where the way there reads one cell at stride 1; else terms at the border are dropped, and
    "border" says so.
    """
    _need_sliding(paths, "a global pool")
    plain = paths.stride == (1, 1) and all((p.window, p.offset) == ((1, 1), (0, 0)) for p in paths.pieces)
    pieces = [
        dataclasses.replace(
            piece,
            kernel=None if piece.kernel is None else piece.kernel.sum(axis=(-2, -1), keepdims=True),
            window=(1, 1),
            offset=(0, 0),
            gross=_magnitude(piece) if piece.kernel is not None and piece.depth else None,
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


def add_paths(parts: Sequence[Paths]) -> Paths:
    """Add ways that run in parallel."""
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
            summed.append(_sum_pieces(covering, _columns(first)))
    return first.with_pieces(summed, approximations=frozenset().union(*(paths.approximations for paths in parts)))


def _sum_pieces(pieces: Sequence[Piece], up_count: int) -> Piece:
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
    kernel = np.zeros((first.rows, *columns, *window), dtype=np.float32)
    gross = np.zeros((first.rows, *columns), dtype=np.float32) if depth else None
    for piece in pieces:
        top, left = piece.offset[0] - offset[0], piece.offset[1] - offset[1]
        own = kernel[..., top : top + piece.window[0], left : left + piece.window[1]]
        magnitude = None if gross is None else _magnitude(piece)
        if piece.up is None or is_diagonal:
            own += piece.weights
            if gross is not None:
                gross += magnitude
            continue
        # a shortcut's channels are few among many columns, so it is not written out
        rows = np.flatnonzero(piece.up >= 0)
        own[rows, piece.up[rows]] += piece.weights[rows]
        if gross is not None and magnitude is not None:
            gross[rows, piece.up[rows]] += magnitude[rows]
    return Piece(first.start, first.rows, offset, window, kernel, up, gross, depth, passed)


def _need_same(parts: Iterable[Paths]) -> None:
    seen = list(dict.fromkeys((paths.stride, paths.kind) for paths in parts))
    if len(seen) > 1:
        (stride, kind), (other, other_kind) = seen[:2]
        raise UnsupportedOperationError(f"ways of different stride meet, {stride} ({kind}) and {other} ({other_kind})")
