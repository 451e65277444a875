"""Paths carried through a window that slides: convolutions of every kind, and pools."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import UnsupportedOperationError
from circuitgraph.kernels import lay_on_window, union_window
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
    times,
)

__all__ = ["average", "convolve"]


def convolve(
    paths: Paths, weight: NDArray[np.float32], *, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Paths:
    """Carry paths through a convolution; `weight` is (down, mid / groups, kh, kw) with batch norm folded in."""
    down, _, height, width = weight.shape
    taps = (height, width)
    if paths.kind != "sliding" and (taps != (1, 1) or pad != (0, 0)):
        raise UnsupportedOperationError("a convolution wider than 1x1 follows a global pool or a linear layer")
    step = times(paths.stride, dilation)
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
    kernel: NDArray[np.float32] | None = None
    gross: Floats | None = None
    for piece in sources:
        own = weight if groups > 1 else weight[:, piece.start : piece.stop]
        part, part_gross = _conv_piece(own, piece, columns, groups, step)
        grown_window = (part.shape[2], part.shape[3])
        if depth > 1 and part_gross is None:
            part_gross = magnitude_of(Piece(0, down, piece.offset, grown_window, part))
        part = lay_on_window(part, piece.offset, offset, window)
        if part_gross is not None:
            gross = part_gross if gross is None else gross + part_gross
        kernel = part if kernel is None else kernel + part
    source = sources[0]
    before = source.before if only and groups == 1 and source.rows == paths.rows and source.after is None else None
    after = None if before is None else weight
    return Piece(0, down, offset, window, kernel, None, gross, depth, passed, before, after)


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
            down, up_count, *grown(piece.window, (taps[0], taps[1]), step)
        )
        if wants_gross:
            reach = np.abs(shaped).reshape(*shaped.shape[:3], -1).sum(axis=3)
            gross = (reach @ magnitude_of(piece).reshape(groups, -1, up_count)).reshape(down, up_count)
        return out, gross
    parts, gross_parts = [], []
    mid, each = piece.rows // groups, down // groups
    for group in range(groups):
        own_weight = weight[group * each : (group + 1) * each]
        rows = slice(group * mid, (group + 1) * mid)
        parts.append(_compose_diagonal(own_weight, piece.weights[rows], piece.up[rows], up_count, step))
        if wants_gross:
            reach = np.abs(own_weight).reshape(each, mid, -1).sum(axis=2)[..., None, None]
            magnitude = magnitude_of(piece)[rows][:, None, None].astype(np.float32)
            gross_parts.append(_compose_diagonal(reach, magnitude, piece.up[rows], up_count, (1, 1))[..., 0, 0])
    kernel = parts[0] if groups == 1 else np.concatenate(parts)
    return kernel, np.concatenate(gross_parts) if wants_gross else None


def _compose_dense(weight: NDArray[np.float32], kernel: NDArray[np.float32], step: Pair) -> NDArray[np.float32]:
    """Compose (group, down, mid, kh, kw) with (group, mid, up, h, w) to (group, down, up, H, W)."""
    groups, down, mid, *taps = weight.shape
    up, height, width = kernel.shape[2:]
    if taps == [1, 1]:
        return (weight[..., 0, 0] @ kernel.reshape(groups, mid, -1)).reshape(groups, down, up, height, width)
    cells = taps[0] * taps[1]
    window = grown((height, width), (taps[0], taps[1]), step)
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
