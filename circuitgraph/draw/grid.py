"""Kernels between two families as one picture: a row for each downstream unit, a column for each upstream one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.grid_margins import (
    ACT,
    IMAGE,
    MARGIN,
    STRAIGHT_FROM,
    Plan,
    Side,
    angle_heads,
    keep_within,
    known_angles,
    make_side,
    name_heads,
    row_head,
    slanted_name,
    unit_picture,
    written_degrees,
)
from circuitgraph.draw.image import EvidenceImage
from circuitgraph.draw.kernel import check_scale, is_inside, kernel_cells, scale_bar
from circuitgraph.draw.parts import check_kernels, footnotes, most_lines
from circuitgraph.draw.svg import GREY, Markup, Picture, clean, number, shorten, signed, tag, text, wrap
from circuitgraph.draw.turned import Turned, relative_deg, turn_family
from circuitgraph.errors import ShapeError
from circuitgraph.turns import turn_place

__all__ = ["draw_grid"]

_PAGE = 720.0
_LEFT = 122.0
_LEAST_CELL = 4.0
_MOST_TILE = 96.0
_TALL = 900.0
"""Pixels that rows of large tiles may take before the tiles are made smaller."""
_SMALL_TILE = 56.0
_CAPTION_FROM = 40.0


def draw_grid(
    kernels: ArrayLike,
    *,
    down_names: Sequence[str] = (),
    up_names: Sequence[str] = (),
    down_labels: Sequence[str] = (),
    up_labels: Sequence[str] = (),
    down_angles_deg: Sequence[float | None] | None = None,
    up_angles_deg: Sequence[float | None] | None = None,
    down_images: Sequence[EvidenceImage | None] = (),
    up_images: Sequence[EvidenceImage | None] = (),
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
    down_labels, up_labels
        What the units are called besides, any text, one a unit, "" for none; drawn where there is room.
    down_angles_deg, up_angles_deg
        Counter-clockwise as displayed, 0 pointing right; None for a unit that has none.
    down_images, up_images
        What each unit looks like, or None, drawn at the margins; 3 MiB in all, and the picture says what is left
        out. The columns of a turned grid hold many units and have none.
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
    weights = check_kernels(kernels, "down up row col", ACT)
    if limit < 1:
        raise ShapeError(f"{ACT}: the limit is {limit}, at least 1 is wanted.")
    if anchor is not None and not (len(anchor) == 2 and np.isfinite(anchor).all()):
        raise ShapeError(f"{ACT}: the anchor is {anchor}, a finite (row, col) is wanted.")
    full_down, full_up, *window = weights.shape
    most = most_lines((window[0], window[1]), limit)
    down = make_side(full_down, most, down_names, down_labels, down_angles_deg, down_images, "down")
    up = make_side(full_up, most, up_names, up_labels, up_angles_deg, () if turned else up_images, "up")
    (down, up), dropped = keep_within([down, up])
    weights = weights[:most, :most]
    full = check_scale(scale, list(weights.reshape(-1, *window)), ACT)
    found = None
    if turned:
        found = turn_family(weights, known_angles(down.angles_deg, "down"), known_angles(up.angles_deg, "up"))
    columns = found.columns if found else np.tile(np.arange(len(up.names)), (len(down.names), 1))
    heading = clean(title)
    plan = _lay_out(columns.shape, window, down, up, has_heading=bool(heading), is_turned=turned)
    is_slanted = not turned and plan.across < STRAIGHT_FROM
    width = max(_PAGE, plan.left + columns.shape[1] * plan.across + MARGIN + (40 if is_slanted else 0))
    parts: list[Markup] = []
    if heading:
        parts.append(text(shorten(heading, width - 32, 16.5), MARGIN, 26, 16, font_weight="600"))
    parts += angle_heads(found.angles_deg, plan) if found else name_heads(up, plan)
    for row in range(len(down.names)):
        parts += row_head(down, plan, row)
        parts += unit_picture(down.images[row], MARGIN, plan.top + row * plan.down + (plan.tile[1] - IMAGE) / 2)
    shown = found.kernels if found else weights
    for (row, col), place in np.ndenumerate(columns):
        if place < 0:
            continue
        tip = _tip(up.told(int(place)), down.told(row), weights[row, place])
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
    if dropped:
        notes.append(f"{dropped:,} pictures of units are left out, they are too large.")
    more, y = footnotes(notes, MARGIN, y + 20, width - 2 * MARGIN)
    parts += [*more, *scale_bar(MARGIN, y, 220, full)]
    return Picture.compose(
        parts,
        width=width,
        height=y + 42,
        title=heading or "Kernels between two families",
        desc=_describe(down, up, columns, window, notes),
    )


def _lay_out(
    shape: tuple[int, ...], window: Sequence[int], down: Side, up: Side, *, has_heading: bool, is_turned: bool
) -> Plan:
    rows, columns = shape
    left = _LEFT + down.room
    across = (_PAGE - left - MARGIN) / columns
    is_slanted = not is_turned and across < STRAIGHT_FROM
    if is_slanted:
        # slanted names lean over the last column
        across = (_PAGE - left - MARGIN - 40) / columns
    across = max(across, up.room)
    gap = min(8.0, max(3.0, across * 0.1))
    most = min(_MOST_TILE, max(_SMALL_TILE, _TALL / rows))
    cell = max(_LEAST_CELL, min(most, across - gap) / max(window))
    tile = (window[1] * cell, window[0] * cell)
    # narrow kernels stand no closer than their names ask for, and none than pictures do
    across = max(tile[0] + gap, min(across, most + gap), up.room)
    head = 52.0 if is_turned else 38.0 + 12 * _label_lines(up, across)
    if is_slanted or (not is_turned and across < STRAIGHT_FROM):
        head = 16 + 0.82 * 5.6 * max(len(slanted_name(up, col)) for col in range(columns))
    top = (44.0 if has_heading else 14.0) + head + up.room
    caption = 12 if is_turned and across >= _CAPTION_FROM else 0
    return Plan(left, top, across, max(tile[1] + gap + caption, down.room), cell, tile)


def _label_lines(up: Side, across: float) -> int:
    """Return how many lines labels take above what there is room for: two lines, or one and an angle."""
    most = max(len(wrap(label, across - 4, 10.5)) if label else 0 for label in up.labels)
    return max(0, most if any(angle is not None for angle in up.angles_deg) else most - 1)


def _tile(
    kernel: NDArray[np.float32],
    plan: Plan,
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


def _caption(name: str, angle: float, plan: Plan, row: int, col: int) -> list[Markup]:
    if plan.across < _CAPTION_FROM:
        return []
    x = plan.left + col * plan.across + plan.tile[0] / 2
    label = shorten(name, plan.across - 30, 9) + f" {written_degrees(angle, is_relative=True)}"
    y = plan.top + row * plan.down + plan.tile[1] + 10
    return [text(label, x, y, 9, fill=GREY, text_anchor="middle")]


def _mean_row(found: Turned, plan: Plan, rows: int, full: float) -> list[Markup]:
    y = plan.top + rows * plan.down + 8
    right = plan.left + len(found.means) * plan.across
    parts: list[Markup] = [
        tag("path", d=f"M{number(MARGIN)} {number(y - 5)}H{number(right)}", stroke="#8c8c8c", fill="none"),
        text("column mean", plan.left - 10, y + plan.tile[1] / 2 + 4, 11, text_anchor="end", font_weight="600"),
    ]
    for col, mean in enumerate(found.means):
        count = int((found.columns[:, col] >= 0).sum())
        tip = f"mean of {count} kernels at {written_degrees(found.angles_deg[col], is_relative=True)}"
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
    return f"{up} → {down}: sum {signed(total, 3)}"


def _notes(
    weights: NDArray[np.float32],
    full: float,
    down: Side,
    up: Side,
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


def _describe(down: Side, up: Side, columns: NDArray[np.int64], window: Sequence[int], notes: list[str]) -> str:
    def listed(side: Side) -> str:
        return ", ".join(
            shorten(side.told(place), 600, 10) + ("" if angle is None else f" ({written_degrees(angle)})")
            for place, angle in enumerate(side.angles_deg)
        )

    return " ".join(
        [
            f"A grid of {int((columns >= 0).sum())} kernels of {window[0]} by {window[1]} weights, row 0 at the top, "
            "on one scale. Red and plus excite, blue and minus inhibit.",
            f"Rows, downstream: {listed(down)}. Columns, upstream: {listed(up)}.",
            *notes,
        ]
    )
