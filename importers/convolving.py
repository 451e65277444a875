"""Paths carried through a window that slides: convolutions of every kind, and pools."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
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
    column_count,
    grown,
    magnitude_of,
    merge,
    moved,
    need_sliding,
    part_of,
    times,
)

__all__ = ["average", "convolve"]

_SLICE_BYTES = 1 << 24


def convolve(
    paths: Paths, weight: NDArray[np.float32], *, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Paths:
    """Carry paths through a convolution; `weight` is (down, mid / groups, kh, kw) with batch norm folded in."""
    down, _, height, width = weight.shape
    taps = (height, width)
    if paths.kind != "sliding" and (taps != (1, 1) or pad != (0, 0)):
        raise UnsupportedOperationError("a convolution wider than 1x1 follows a global pool or a linear layer")
    # weights on a whole map have no stride, and one cell
    step = times(paths.stride, dilation) if paths.kind == "sliding" else (1, 1)
    if groups > 1 and weight.shape[1] == 1:
        pieces = [_depthwise(piece, weight, paths, step, pad) for piece in paths.pieces]
        return paths.with_pieces(pieces, rows=down, stride=times(paths.stride, stride))
    sources = paths.pieces
    if groups > 1 and (len(sources) > 1 or sources[0].rows != paths.rows):
        sources = (merge(sources, column_count(paths), paths.rows),)
    piece = _conv_sum(paths, sources, weight, step, groups)
    if paths.kind == "flat":
        kernel = None if piece.kernel is None else piece.kernel.reshape(down, paths.up_count, *paths.up_size)
        piece = dataclasses.replace(piece, kernel=kernel, window=paths.up_size, gross=None)
        return paths.with_pieces([piece], rows=down, kind="spatial", stride=(0, 0))
    piece = dataclasses.replace(piece, offset=moved(piece.offset, (-pad[0], -pad[1]), paths.stride))
    return paths.with_pieces([piece], rows=down, stride=times(paths.stride, stride))


def _conv_sum(paths: Paths, sources: Sequence[Piece], weight: NDArray[np.float32], step: Pair, groups: int) -> Piece:
    """Add up what a convolution makes of each piece it reads."""
    down, _, height, width = weight.shape
    windows = [grown(piece.window, (height, width), step) for piece in sources]
    offset, window = union_window([piece.offset for piece in sources], windows)
    depth, passed = max(p.depth for p in sources) + 1, max(p.passed for p in sources)
    if any(piece.kernel is None for piece in sources):
        return Piece(0, down, offset, window, None, depth=depth, passed=passed)
    columns = column_count(paths)
    only = len(sources) == 1
    # of all pieces or of none: what a later step reads as gross must be the whole of it
    has_gross = depth > 1 or any(piece.gross is not None or piece.window != (1, 1) for piece in sources)
    kernel: NDArray[np.float32] | None = None
    gross: Floats | None = None
    for piece, own_window in zip(sources, windows, strict=True):
        own = weight if groups > 1 else weight[:, piece.start : piece.stop]
        if only and piece.up is not None:
            kernel = _conv_diagonal(own, piece.weights, piece.up, columns, groups, step)
        else:
            if kernel is None:
                kernel = np.zeros((down, columns, *window), dtype=np.float32)
            into = part_of(kernel, piece.offset, own_window, offset)
            if piece.up is None:
                _add_dense(into, own, piece.weights, groups, step, is_first=piece is sources[0])
            else:
                into += _conv_diagonal(own, piece.weights, piece.up, columns, groups, step)
        if has_gross:
            part = _gross(own, piece, columns, groups)
            gross = part if gross is None else gross + part
    source = sources[0]
    before = source.before if only and groups == 1 and source.rows == paths.rows and source.after is None else None
    after = None if before is None else weight
    return Piece(0, down, offset, window, kernel, None, gross, depth, passed, before, after)


def _gross(weight: NDArray[np.float32], piece: Piece, up_count: int, groups: int) -> NDArray[np.float32]:
    """Return the gross weights, (down, up), of what a convolution makes of a piece."""
    down = len(weight)
    reach = np.abs(weight).reshape(*weight.shape[:2], -1).sum(axis=2)[..., None, None]
    magnitude = magnitude_of(piece).astype(np.float32, copy=False)[..., None, None]
    if piece.up is not None:
        return _conv_diagonal(reach, magnitude, piece.up, up_count, groups, (1, 1)).reshape(down, up_count)
    gross = np.zeros((down, up_count, 1, 1), dtype=np.float32)
    _add_dense(gross, reach, magnitude, groups, (1, 1), is_first=True)
    return gross.reshape(down, up_count)


def _add_dense(
    out: NDArray[np.float32],
    weight: NDArray[np.float32],
    kernel: NDArray[np.float32],
    groups: int,
    step: Pair,
    *,
    is_first: bool,
) -> None:
    """Add (down, mid / groups, kh, kw) composed with (mid, up, h, w) to (down, up, H, W).

    `out` is still zero when `is_first`. What is added is made in slices of rows, so that beside `out` little is held.
    """
    down, mid, *taps = weight.shape
    up, height, width = kernel.shape[1:]
    weight = weight.reshape(groups, down // groups, mid, *taps)
    flat = kernel.reshape(groups, mid, -1)
    if taps == [1, 1] and is_first and out.flags.c_contiguous:
        np.matmul(np.ascontiguousarray(weight[..., 0, 0]), flat, out=out.reshape(groups, down // groups, -1))
        return
    is_cell = (height, width) == (1, 1)
    made = 4 * groups * up * (taps[0] * taps[1] if is_cell else height * width)
    count = max(1, _SLICE_BYTES // made)
    # splitting an axis of a view is no copy
    out = out.reshape(groups, down // groups, *out.shape[1:])
    for start in range(0, down // groups, count):
        own, into = weight[:, start : start + count], out[:, start : start + count]
        if is_cell:
            by_cell = own.transpose(0, 1, 3, 4, 2).reshape(groups, -1, mid)
            product = (by_cell @ flat).reshape(groups, -1, *taps, up).transpose(0, 1, 4, 2, 3)
            into = into[..., :: step[0], :: step[1]]
            if is_first:
                into[...] = product
            else:
                into += product
            continue
        for row in range(taps[0]):
            for col in range(taps[1]):
                tap = np.ascontiguousarray(own[..., row, col]) @ flat
                top, left = step[0] * row, step[1] * col
                into[..., top : top + height, left : left + width] += tap.reshape(groups, -1, up, height, width)


def _conv_diagonal(
    weight: NDArray[np.float32],
    kernel: NDArray[np.float32],
    up: NDArray[np.int64],
    up_count: int,
    groups: int,
    step: Pair,
) -> NDArray[np.float32]:
    """Compose (down, mid / groups, kh, kw) with the diagonal (mid, h, w) to (down, up, H, W)."""
    if groups == 1:
        return _compose_diagonal(weight, kernel, up, up_count, step)
    each, mid = len(weight) // groups, len(kernel) // groups
    parts = []
    for group in range(groups):
        rows = slice(group * mid, (group + 1) * mid)
        own = weight[group * each : (group + 1) * each]
        parts.append(_compose_diagonal(own, kernel[rows], up[rows], up_count, step))
    return np.concatenate(parts)


def _compose_diagonal(
    weight: NDArray[np.float32], kernel: NDArray[np.float32], up: NDArray[np.int64], up_count: int, step: Pair
) -> NDArray[np.float32]:
    """Compose (down, mid, kh, kw) with the diagonal (mid, h, w) to (down, up, H, W)."""
    down, mid, *taps = weight.shape
    is_whole = mid == up_count and np.array_equal(up, np.arange(up_count))
    if is_whole and kernel.shape[1:] == (1, 1) and np.all(kernel == 1) and (step == (1, 1) or taps == [1, 1]):
        return weight
    height, width = kernel.shape[1:]
    window = grown((height, width), (taps[0], taps[1]), step)
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


def _depthwise(piece: Piece, weight: NDArray[np.float32], paths: Paths, step: Pair, pad: Pair) -> Piece:
    """Carry one piece through a convolution of each channel by itself, `copies` kernels a channel."""
    copies = weight.shape[0] // paths.rows
    taps = (weight.shape[2], weight.shape[3])
    changes: dict[str, Any] = {
        "start": piece.start * copies,
        "rows": piece.rows * copies,
        "offset": moved(piece.offset, (-pad[0], -pad[1]), paths.stride),
        "window": grown(piece.window, taps, step),
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
        gross = np.repeat(magnitude_of(piece), copies, axis=0)
        changes["gross"] = gross * reach.reshape(-1, *[1] * (gross.ndim - 1))
    return dataclasses.replace(piece, **changes)


def average(paths: Paths, *, window: Pair, stride: Pair, pad: Pair, gain: float) -> Paths:
    """Carry paths through a pool that weights each cell of its window by `gain`."""
    need_sliding(paths, "a pool")
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
                window=grown(piece.window, window, paths.stride),
                offset=moved(piece.offset, (-pad[0], -pad[1]), paths.stride),
                gross=None if piece.gross is None else piece.gross * total,
                before=None,
                after=None,
            )
        )
    return paths.with_pieces(pieces, stride=times(paths.stride, stride))


def _spread(kernel: NDArray[np.float32], taps: NDArray[np.float32], step: Pair) -> NDArray[np.float32]:
    """Compose (row, .., h, w) with one (row, kh, kw) window a row."""
    height, width = kernel.shape[-2:]
    window = grown((height, width), (taps.shape[1], taps.shape[2]), step)
    out = np.zeros((*kernel.shape[:-2], *window), dtype=np.float32)
    by_row = (-1, *[1] * (kernel.ndim - 1))
    for row in range(taps.shape[1]):
        for col in range(taps.shape[2]):
            top, left = step[0] * row, step[1] * col
            out[..., top : top + height, left : left + width] += kernel * taps[:, row, col].reshape(by_row)
    return out
