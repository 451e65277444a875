"""Kernels between two families as one picture: a row for each downstream unit, a column for each upstream one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.kernel import check_scale, is_inside, kernel_cells, scale_bar
from circuitgraph.draw.parts import check_kernels, dial, footnotes, most_lines
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, clean, number, shorten, signed, tag, text, wrap
from circuitgraph.draw.turned import Turned, relative_deg, turn_family
from circuitgraph.errors import ShapeError
from circuitgraph.turns import turn_place

__all__ = ["draw_grid"]

_ACT = "drawing a grid"
_PAGE = 720.0
_LEFT = 122.0
_MARGIN = 16.0
_LEAST_CELL = 4.0
_MOST_TILE = 96.0
_TALL = 900.0
"""Pixels that rows of large tiles may take before the tiles are made smaller."""
_SMALL_TILE = 56.0
_CAPTION_FROM = 40.0
_STRAIGHT_FROM = 56.0
"""Pixels from one column to the next from which their names are not slanted."""
_TIP_LETTERS = 120


@dataclass(frozen=True, slots=True)
class _Side:
    """Units along one side: what they are called, their angles, and how many there would be."""

    names: tuple[str, ...]
    angles_deg: tuple[float | None, ...]
    whole: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where things go: the tiles' top left corner, from one to the next, a cell's side, and the head's top."""

    left: float
    top: float
    across: float
    down: float
    cell: float
    tile: tuple[float, float]


def _side(count: int, shown: int, names: Sequence[str], angles: Sequence[float | None] | None, which: str) -> _Side:
    for said, given in (("names", names), ("angles", () if angles is None else angles)):
        if len(given) and len(given) < count:
            raise ShapeError(f"{_ACT}: there are {count} {which}stream units and {len(given)} {said}.")
    wanted = [None] * count if angles is None or not len(angles) else list(angles)
    for place, angle in enumerate(wanted):
        if angle is not None and not math.isfinite(angle):
            raise ShapeError(f"{_ACT}: the angle of {which}stream unit {place} is {angle}, a finite one is wanted.")
    called = [clean(name) for name in names] or [str(place) for place in range(count)]
    return _Side(tuple(called[:shown]), tuple(wanted[:shown]), max(count, len(names)))


def _degrees(angle: float, *, is_relative: bool = False) -> str:
    whole = round(angle)
    if not is_relative:
        return f"{whole % 360}°"
    return f"{'+' if whole > 0 else '−' if whole < 0 else ''}{abs(whole)}°"


def _known(angles: tuple[float | None, ...], which: str) -> list[float]:
    missing = [place for place, angle in enumerate(angles) if angle is None]
    if missing:
        raise ShapeError(
            f"{_ACT}: to turn it, every unit needs an angle; {len(missing)} of {len(angles)} {which}stream units "
            f"have none, the first is {missing[0]}.",
            hint=f"Give {which}_angles_deg, or draw the grid as it is, with turned=False.",
        )
    return [angle for angle in angles if angle is not None]


def draw_grid(
    kernels: ArrayLike,
    *,
    down_names: Sequence[str] = (),
    up_names: Sequence[str] = (),
    down_angles_deg: Sequence[float | None] | None = None,
    up_angles_deg: Sequence[float | None] | None = None,
    turned: bool = False,
    title: str = "",
    scale: float | None = None,
    anchor: tuple[float, float] | None = None,
    limit: int = 16,
) -> Picture:
    """Draw the kernels between two families, rows downstream and columns upstream, both in the order given.

    Parameters
    ----------
    kernels
        (down, up, row, col), row 0 at the top.
    down_names, up_names
        Any text, one a unit; numbers from 0 if empty. More names than units say how many there would be.
    down_angles_deg, up_angles_deg
        Counter-clockwise as displayed, 0 pointing right; None for a unit that has none.
    turned
        Turn each kernel back by its downstream unit's angle (`circuitgraph.turns.turn_by`) and set it into the
        column of its relative angle (`circuitgraph.draw.turned`). The columns of an equivariant family then show
        the same kernel in all rows; their mean stands below.
    title
        Any text, shown above.
    scale
        The magnitude that has the full colour, the same for all kernels; the largest among them if None.
    anchor
        (row, col) that sits on the downstream unit's own position, outlined in each kernel.
    limit
        Most rows and most columns, fewer where kernels are large; the first are drawn, and the picture says of how
        many.

    Returns
    -------
    Picture
        720 pixels wide, more where 4 pixels a cell ask for it.

    Raises
    ------
    ShapeError
        There is no such array, its windows are over 128 cells, names or angles are too few, an angle that is
        needed is missing, or `scale` or `limit` is not above 0.
    NonFiniteError
        A weight is NaN or infinite.
    """
    weights = check_kernels(kernels, "down up row col", _ACT)
    if limit < 1:
        raise ShapeError(f"{_ACT}: the limit is {limit}, at least 1 is wanted.")
    if anchor is not None and not (len(anchor) == 2 and np.isfinite(anchor).all()):
        raise ShapeError(f"{_ACT}: the anchor is {anchor}, a finite (row, col) is wanted.")
    full_down, full_up, *window = weights.shape
    most = most_lines((window[0], window[1]), limit)
    down = _side(full_down, most, down_names, down_angles_deg, "down")
    up = _side(full_up, most, up_names, up_angles_deg, "up")
    weights = weights[:most, :most]
    full = check_scale(scale, list(weights.reshape(-1, *window)), _ACT)
    found = None
    if turned:
        found = turn_family(weights, _known(down.angles_deg, "down"), _known(up.angles_deg, "up"))
    columns = found.columns if found else np.tile(np.arange(len(up.names)), (len(down.names), 1))
    heading = clean(title)
    plan = _lay_out(columns.shape, window, up, has_heading=bool(heading), is_turned=turned)
    is_slanted = not turned and plan.across < _STRAIGHT_FROM
    width = max(_PAGE, plan.left + columns.shape[1] * plan.across + _MARGIN + (40 if is_slanted else 0))
    parts: list[Markup] = []
    if heading:
        parts.append(text(shorten(heading, width - 32, 16.5), _MARGIN, 26, 16, font_weight="600"))
    parts += _heads(found.angles_deg, plan) if found else _names(up, plan)
    for row, name in enumerate(down.names):
        parts += _row_head(name, down.angles_deg[row], plan, row)
    shown = found.kernels if found else weights
    for (row, col), place in np.ndenumerate(columns):
        if place < 0:
            continue
        tip = _tip(up.names[place], down.names[row], weights[row, place])
        at = _turned_anchor(anchor, down.angles_deg[row], weights) if found else anchor
        parts += _tile(shown[row, place], plan, row, col, full, anchor=at, tip=tip)
        if found:
            angle = relative_deg(float(up.angles_deg[place] or 0), float(down.angles_deg[row] or 0))
            parts += _caption(up.names[place], angle, plan, row, col)
    y = plan.top + len(down.names) * plan.down
    if found:
        parts += _mean_row(found, plan, len(down.names), full)
        y += 10 + plan.tile[1]
    notes = _notes(weights, full, down, up, anchor, found)
    more, y = footnotes(notes, _MARGIN, y + 20, width - 2 * _MARGIN)
    parts += [*more, *scale_bar(_MARGIN, y, 220, full)]
    return Picture.compose(
        parts,
        width=width,
        height=y + 42,
        title=heading or "Kernels between two families",
        desc=_describe(down, up, columns, window, notes),
    )


def _lay_out(shape: tuple[int, ...], window: Sequence[int], up: _Side, *, has_heading: bool, is_turned: bool) -> _Plan:
    rows, columns = shape
    across = (_PAGE - _LEFT - _MARGIN) / columns
    is_slanted = not is_turned and across < _STRAIGHT_FROM
    if is_slanted:
        # slanted names lean over the last column
        across = (_PAGE - _LEFT - _MARGIN - 40) / columns
    gap = min(8.0, max(3.0, across * 0.1))
    most = min(_MOST_TILE, max(_SMALL_TILE, _TALL / rows))
    cell = max(_LEAST_CELL, min(most, across - gap) / max(window))
    tile = (window[1] * cell, window[0] * cell)
    # narrow kernels stand no closer than their names ask for
    across = max(tile[0] + gap, min(across, most + gap))
    head = 52.0 if is_turned else 38.0
    if is_slanted or (not is_turned and across < _STRAIGHT_FROM):
        head = 16 + 0.82 * 5.6 * max(len(_slanted(up, col)) for col in range(columns))
    top = (44.0 if has_heading else 14.0) + head
    caption = 12 if is_turned and across >= _CAPTION_FROM else 0
    return _Plan(_LEFT, top, across, tile[1] + gap + caption, cell, tile)


def _slanted(up: _Side, col: int) -> str:
    angle = up.angles_deg[col]
    return shorten(up.names[col], 80 if angle is None else 60, 10) + ("" if angle is None else f" {_degrees(angle)}")


def _heads(angles: tuple[float, ...], plan: _Plan) -> list[Markup]:
    parts = [text("angle of the upstream unit less the row's", plan.left, plan.top - 40, 10, fill=GREY)]
    for col, angle in enumerate(angles):
        x = plan.left + col * plan.across + plan.tile[0] / 2
        parts.append(dial(angle, x, plan.top - 26))
        parts.append(
            text(
                _degrees(angle, is_relative=True),
                x,
                plan.top - 8,
                10.5 if plan.across > 34 else 9,
                text_anchor="middle",
            )
        )
    return [*parts, text("downstream unit", _MARGIN, plan.top - 8, 10, fill=GREY)]


def _names(up: _Side, plan: _Plan) -> list[Markup]:
    parts: list[Markup] = [
        text("upstream →", plan.left - 10, plan.top - 20, 10, fill=GREY, text_anchor="end"),
        text("downstream ↓", plan.left - 10, plan.top - 7, 10, fill=GREY, text_anchor="end"),
    ]
    for col, name in enumerate(up.names):
        x = plan.left + col * plan.across + plan.tile[0] / 2
        angle = up.angles_deg[col]
        said = tag("title", name[:_TIP_LETTERS])
        if plan.across < _STRAIGHT_FROM:
            label = _slanted(up, col)
            turn = f"rotate(-55 {number(x)} {number(plan.top - 8)})"
            parts.append(tag("g", said, text(label, x, plan.top - 8, 10, transform=turn)))
            continue
        lines = wrap(name, plan.across - 4, 10.5, lines=1 if angle is not None else 2)
        y = plan.top - 8 - (14 if angle is not None else 0) - 12 * (len(lines) - 1)
        words = [text(line, x, y + 12 * i, 10.5, text_anchor="middle") for i, line in enumerate(lines)]
        parts.append(tag("g", said, *words))
        if angle is not None:
            parts.append(dial(angle, x - 15, plan.top - 12))
            parts.append(text(_degrees(angle), x - 5, plan.top - 8, 10, fill=GREY))
    return parts


def _row_head(name: str, angle: float | None, plan: _Plan, row: int) -> list[Markup]:
    middle = plan.top + row * plan.down + plan.tile[1] / 2
    end = plan.left - 10 - (0 if angle is None else 17)
    fitting = max(1, int((plan.tile[1] + 8) / 13))
    said = [] if angle is None else [_degrees(angle)]
    if said and fitting == 1:
        lines = [f"{shorten(name, end - _MARGIN - 26, 10.5)} {said.pop()}"]
    else:
        lines = wrap(name, end - _MARGIN, 10.5, lines=min(2, fitting - len(said)))
    y = middle + 4 - 6.5 * (len(lines) + len(said) - 1)
    words = [
        text(line, end, y + 13 * place, 10.5, fill=INK if place < len(lines) else GREY, text_anchor="end")
        for place, line in enumerate([*lines, *said])
    ]
    if angle is not None:
        words.append(dial(angle, plan.left - 16, middle))
    return [tag("g", tag("title", name[:_TIP_LETTERS]), *words)]


def _tile(
    kernel: NDArray[np.float32],
    plan: _Plan,
    row: int,
    col: int,
    full: float,
    *,
    anchor: tuple[float, float] | None,
    tip: str,
    y: float | None = None,
) -> list[Markup]:
    x = plan.left + col * plan.across
    top = plan.top + row * plan.down if y is None else y
    parts = kernel_cells(kernel, x, top, plan.cell, full, anchor=anchor)
    blanks = "".join(
        f"M{number(x + (c + 0.25) * plan.cell)} {number(top + (r + 0.75) * plan.cell)}l{half} -{half}"
        for half in [number(plan.cell / 2)]
        for r, c in np.argwhere(np.isnan(kernel))
    )
    if blanks:
        parts.append(tag("path", d=blanks, fill="none", stroke="#b3b3b3"))
    return [tag("g", tag("title", tip), *parts)]


def _caption(name: str, angle: float, plan: _Plan, row: int, col: int) -> list[Markup]:
    if plan.across < _CAPTION_FROM:
        return []
    x = plan.left + col * plan.across + plan.tile[0] / 2
    label = shorten(name, plan.across - 30, 9) + f" {_degrees(angle, is_relative=True)}"
    y = plan.top + row * plan.down + plan.tile[1] + 10
    return [text(label, x, y, 9, fill=GREY, text_anchor="middle")]


def _mean_row(found: Turned, plan: _Plan, rows: int, full: float) -> list[Markup]:
    y = plan.top + rows * plan.down + 8
    right = plan.left + len(found.means) * plan.across
    parts: list[Markup] = [
        tag("path", d=f"M{number(_MARGIN)} {number(y - 5)}H{number(right)}", stroke="#8c8c8c", fill="none"),
        text("column mean", plan.left - 10, y + plan.tile[1] / 2 + 4, 11, text_anchor="end", font_weight="600"),
    ]
    for col, mean in enumerate(found.means):
        count = int((found.columns[:, col] >= 0).sum())
        tip = f"mean of {count} kernels at {_degrees(found.angles_deg[col], is_relative=True)}"
        parts += _tile(mean, plan, rows, col, full, anchor=None, tip=tip, y=y)
    return parts


def _turned_anchor(
    anchor: tuple[float, float] | None, angle: float | None, kernels: NDArray[np.float32]
) -> tuple[float, float] | None:
    if anchor is None or angle is None:
        return anchor
    row, col = turn_place(anchor, -angle, (kernels.shape[-2], kernels.shape[-1]))
    return round(float(row), 6), round(float(col), 6)


def _tip(up: str, down: str, kernel: NDArray[np.float32]) -> str:
    total = float(kernel.sum(dtype=np.float64))
    return f"{up[:_TIP_LETTERS]} → {down[:_TIP_LETTERS]}: sum {signed(total, 3)}"


def _notes(
    weights: NDArray[np.float32],
    full: float,
    down: _Side,
    up: _Side,
    anchor: tuple[float, float] | None,
    found: Turned | None,
) -> list[str]:
    notes = []
    cut = [
        f"{len(side.names):,} of {side.whole:,} {which}stream units"
        for side, which in ((down, "down"), (up, "up"))
        if len(side.names) < side.whole
    ]
    if cut:
        notes.append(f"Showing the first {' and the first '.join(cut)}.")
    beyond = int((np.abs(weights) > np.float32(full)).sum())
    if beyond:
        notes.append(f"{beyond:,} of {weights.size:,} weights lie beyond the scale.")
    if anchor is not None and is_inside(anchor, weights[0, 0]):
        notes.append("Outlined cell: the centre, the downstream unit's own position.")
    if found is None:
        return notes
    notes.append(
        "Each kernel is turned back by its row's angle about the middle of its window (counter-clockwise angles, so it "
        "turns clockwise), bilinear between cells but at multiples of 90°; corners that a turn fills from beyond the "
        "window are struck out, what it carries out is not shown. Columns: by the upstream unit's angle less the "
        "row's; below each kernel its upstream unit and that angle, above a column their mean."
    )
    if found.likeness:
        like = found.likeness
        notes.append(
            f"The columns' means hold {like.turned:.2f} of the squared weights in the disc that fits the window; "
            f"{like.unturned:.2f} in the same columns before turning, {like.chance:.2f} where kernels have nothing in "
            "common."
        )
    return notes


def _describe(down: _Side, up: _Side, columns: NDArray[np.int64], window: Sequence[int], notes: list[str]) -> str:
    def listed(side: _Side) -> str:
        return ", ".join(
            shorten(name, 300, 10) + ("" if angle is None else f" ({_degrees(angle)})")
            for name, angle in zip(side.names, side.angles_deg, strict=True)
        )

    return " ".join(
        [
            f"A grid of {int((columns >= 0).sum())} kernels of {window[0]} by {window[1]} weights, row 0 at the top, "
            "on one scale. Red and plus excite, blue and minus inhibit.",
            f"Rows, downstream: {listed(down)}. Columns, upstream: {listed(up)}.",
            *notes,
        ]
    )
