"""A layer at a glance: a tile for each of some of its units, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.kernel import check_scale, kernel_cells, scale_bar
from circuitgraph.draw.marks import shrink
from circuitgraph.draw.parts import MOST_CELLS, check_kernels, footnotes
from circuitgraph.draw.rgb import RGB_RULE, rgb_cells, rgb_scale, rgb_sums, written_sums
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, clean, shorten, signed, tag, text, wrap
from circuitgraph.errors import ShapeError

__all__ = ["LayerTile", "draw_layer"]

_ACT = "drawing a layer"
_MARGIN = 16.0
_COLUMNS = 8
_TILE = 70.0
_LARGEST_CELL = _TILE / 3
_MOST_ACROSS = 32
_TIP_LETTERS = 200
_NAME = 10.6
_FAMILY = "family: "


@dataclass(frozen=True, slots=True)
class LayerTile:
    """One unit of a layer as its overview shows it.

    Attributes
    ----------
    uid
        Of the unit.
    label
        Any text, such as the feature that it detects. One that begins with "family: " is drawn without that and
        not bold, and the picture says so.
    kernel
        (row, col), or (3, row, col) from red, green and blue; None if there is none to show.
    note
        Any text, such as the unit that the kernel comes from.
    anchor
        (row, col) of the kernel that sits on the downstream unit's own position, outlined.
    """

    uid: str
    label: str = ""
    kernel: ArrayLike | None = None
    note: str = ""
    anchor: tuple[float, float] | None = None


def draw_layer(
    tiles: Sequence[LayerTile],
    *,
    title: str = "",
    unit_count: int,
    scale: float | Literal["each"] | None = None,
    limit: int = 60,
) -> Picture:
    """Draw an overview of a layer's units as tiles, eight in a row.

    Parameters
    ----------
    tiles
        In the order to draw them; kernels may differ in size. Large ones are averaged over square blocks, and the
        picture says so.
    title
        Any text, shown above.
    unit_count
        How many units the layer has.
    scale
        The magnitude that has the full colour, the same for all kernels; the largest among those that are drawn if
        None, for kernels in colour and others apart. With "each", every kernel has the scale of its own largest
        weight, printed below it: patterns show, strengths do not compare.
    limit
        Most tiles; the picture says of how many units.

    Raises
    ------
    ShapeError
        There is no tile, a kernel is no such array, or `scale`, `limit` or `unit_count` is not above 0.
    NonFiniteError
        A weight is NaN or infinite.
    """
    if not tiles or limit < 1 or unit_count < 1:
        raise ShapeError(
            f"{_ACT}: {len(tiles)} tiles of {unit_count} units with a limit of {limit}, at least 1 of each is wanted."
        )
    shown = [_Prepared.of(tile) for tile in tiles[:limit]]
    red_blue = [each.kernel for each in shown if each.kernel is not None and not each.is_colour]
    in_colour = [part for each in shown if each.kernel is not None and each.is_colour for part in each.kernel]
    common = None if scale == "each" else (check_scale(scale, red_blue, _ACT), check_scale(scale, in_colour, _ACT))
    scales = [common[each.is_colour] if common else each.largest for each in shown]
    block_to = min(_MOST_ACROSS, math.isqrt(MOST_CELLS // len(shown)))
    words = [_words(each, full, is_own=common is None) for each, full in zip(shown, scales, strict=True)]
    heading = clean(title)
    top = 44.0 if heading else 16.0
    across, down = (720 - 2 * _MARGIN) / _COLUMNS, _TILE + 18 + 11 * max(len(lines) for lines in words)
    parts: list[Markup] = []
    if heading:
        parts.append(text(shorten(heading, 688, 16.5), _MARGIN, 26, 16, font_weight="600"))
    for place, each in enumerate(shown):
        x, y = _MARGIN + place % _COLUMNS * across, top + place // _COLUMNS * down
        parts.append(_tile(each, words[place], x, y, scales[place], block_to))
    y = top + math.ceil(len(shown) / _COLUMNS) * down + 10
    notes = _notes(shown, unit_count, scales, block_to, is_own=common is None)
    more, y = footnotes(notes, _MARGIN, y, 688)
    parts += more
    if common and red_blue:
        parts += scale_bar(_MARGIN, y, 220, common[0])
        y += 42
    if common and in_colour:
        parts += rgb_scale(_MARGIN, y, 420, common[1])
        y += 42
    desc = " ".join(["A tile for each unit; red and plus excite, blue and minus inhibit.", *notes])
    return Picture.compose(parts, width=720, height=y + 2, title=heading or "Layer", desc=desc)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A tile with its text cleaned and cut, and its kernel checked."""

    uid: str
    label: str
    note: str
    kernel: NDArray[np.float32] | None
    anchor: tuple[float, float] | None

    @classmethod
    def of(cls, tile: LayerTile) -> _Prepared:
        uid, label, note = (clean(words)[:_TIP_LETTERS] for words in (tile.uid, tile.label, tile.note))
        return cls(uid, label, note, _kernel(tile), tile.anchor)

    @property
    def is_colour(self) -> bool:
        return self.kernel is not None and self.kernel.ndim == 3

    @property
    def largest(self) -> float:
        return 1.0 if self.kernel is None else float(np.abs(self.kernel).max()) or 1.0

    @property
    def sums(self) -> tuple[float, ...]:
        if self.kernel is None:
            return ()
        return rgb_sums(self.kernel) if self.is_colour else (float(self.kernel.sum(dtype=np.float64)),)


def _kernel(tile: LayerTile) -> NDArray[np.float32] | None:
    if tile.kernel is None:
        return None
    act = f"{_ACT}: the kernel of {clean(tile.uid)[:_TIP_LETTERS]}"
    is_colour = np.ndim(tile.kernel) == 3
    kernel = check_kernels(tile.kernel, "colour row col" if is_colour else "row col", act)
    if is_colour and len(kernel) != 3:
        raise ShapeError(f"{act}: the shape is {kernel.shape}, (row, col) or (3, row, col) is wanted.")
    return kernel


def _words(tile: _Prepared, full: float, *, is_own: bool) -> list[tuple[str, float]]:
    """Return the lines below a tile and their sizes: of a label two at most, without what says that it is a family's.

    The label's are of size `_NAME`, and no others.
    """
    sums = written_sums(tile.sums) if tile.is_colour else "".join(f"Σ {signed(value)}" for value in tile.sums)
    channel = tile.uid.rpartition("/")[2] or tile.uid
    own = f"±{signed(full).lstrip('+')}" if is_own and tile.kernel is not None else ""
    # bold letters are wider
    name = wrap(tile.label.removeprefix(_FAMILY), (_TILE + 14) * 0.92, _NAME) if tile.label else []
    lines = [(channel, 9.0 if name else 10.5), (tile.note, 9.0), (sums, 8.5), (own, 8.5)]
    return [
        *((line, _NAME) for line in name),
        *((shorten(line, _TILE + 14, size), size) for line, size in lines if line),
    ]


def _notes(shown: list[_Prepared], unit_count: int, scales: list[float], block_to: int, *, is_own: bool) -> list[str]:
    notes = [f"Showing {len(shown):,} of {unit_count:,} units."]
    if any(each.label.startswith(_FAMILY) for each in shown):
        notes.append("Names that are not bold are those of families.")
    given = [(each, each.kernel, full) for each, full in zip(shown, scales, strict=True) if each.kernel is not None]
    size = sum(kernel.size for _, kernel, _ in given)
    beyond = sum(int((np.abs(kernel) > np.float32(full)).sum()) for _, kernel, full in given)
    if beyond:
        notes.append(f"{beyond:,} of {size:,} weights lie beyond the scale.")
    if any(not each.is_colour for each, _, _ in given):
        notes.append("Red and + excite, blue and − inhibit. Σ: sum of the kernel's weights.")
    if any(each.is_colour for each, _, _ in given):
        notes.append(RGB_RULE)
    if is_own:
        notes.append("Each kernel has a scale of its own, ± what stands below it: strengths do not compare.")
    block = max((-(-max(kernel.shape[-2:]) // block_to) for _, kernel, _ in given), default=1)
    if block > 1:
        notes.append(f"Large kernels are drawn in averages of up to {block}x{block} weights; sums are of all weights.")
    if any(each.anchor is not None for each, _, _ in given):
        notes.append("Outlined cell: the centre, the downstream unit's own position.")
    return notes


def _tile(tile: _Prepared, words: list[tuple[str, float]], x: float, y: float, full: float, block_to: int) -> Markup:
    anchor = tile.anchor or (-1.0, -1.0)
    if tile.kernel is None:
        parts = [
            tag("rect", x=x, y=y, width=_TILE, height=_TILE, fill="none", stroke="#8c8c8c", stroke_dasharray="3 3"),
            text("no kernel", x + _TILE / 2, y + _TILE / 2 + 4, 10, fill=GREY, text_anchor="middle"),
        ]
    elif tile.is_colour:
        averaged = [shrink(part, anchor, block_to) for part in tile.kernel]
        kernel = np.stack([part for part, _, _ in averaged])
        parts = rgb_cells(kernel, *_middle(kernel, x, y), full, anchor=averaged[0][1])
    else:
        kernel, anchor, _ = shrink(tile.kernel, anchor, block_to)
        parts = kernel_cells(kernel, *_middle(kernel, x, y), full, anchor=anchor)
    at = y + _TILE + 12
    for place, (line, size) in enumerate(words):
        is_name = size == _NAME
        parts.append(
            text(
                line,
                x,
                at + 11 * place,
                size,
                fill=INK if is_name or not place else GREY,
                font_weight="600" if is_name and not tile.label.startswith(_FAMILY) else None,
            )
        )
    sums = "sum " + ", ".join(signed(value, 3) for value in tile.sums) if tile.sums else ""
    tip = "; ".join(part for part in (tile.label, tile.uid, tile.note, sums) if part)
    return tag("g", tag("title", tip), *parts)


def _middle(kernel: NDArray[np.floating[Any]], x: float, y: float) -> tuple[float, float, float]:
    """Return where a kernel's corner goes to stand in the middle of its tile, and the side of its cells."""
    rows, cols = kernel.shape[-2:]
    cell = min(_LARGEST_CELL, _TILE / max(rows, cols))
    return x + (_TILE - cols * cell) / 2, y + (_TILE - rows * cell) / 2, cell
