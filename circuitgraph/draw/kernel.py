"""One kernel as a picture: its cells, the scale, and where the downstream unit sits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.palette import colour, ink_on
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, clean, number, signed, tag, text, wrap
from circuitgraph.errors import ShapeError
from circuitgraph.graph import as_kernel

__all__ = ["check_scale", "draw_kernel", "is_inside", "kernel_cells", "scale_bar"]

_LARGEST = 128
_MARK_FROM = 0.1
"""Share of the scale from which a cell carries its sign; below it the colour is all but white."""


def check_scale(scale: float | None, kernels: list[NDArray[np.floating[Any]]], act: str) -> float:
    """Return the scale to draw with: the one given, else the kernels' largest magnitude, 1 where all are zero.

    Raises
    ------
    ShapeError
        It is given and not a finite number above 0.
    """
    if scale is None:
        return max((float(np.abs(kernel).max()) for kernel in kernels), default=0.0) or 1.0
    if not (math.isfinite(scale) and scale > 0):
        raise ShapeError(f"{act}: the scale is {scale}, a finite number above 0 is wanted.")
    return float(scale)


def is_inside(anchor: tuple[float, float], kernel: NDArray[np.floating[Any]]) -> bool:
    """Say whether an anchor lies inside a kernel's window."""
    rows, cols = kernel.shape
    return bool(0 <= anchor[0] <= rows - 1 and 0 <= anchor[1] <= cols - 1)


def kernel_cells(
    kernel: NDArray[np.floating[Any]],
    x: float,
    y: float,
    cell: float,
    scale: float,
    *,
    anchor: tuple[float, float] | None = None,
    marks: bool = True,
) -> list[Markup]:
    """Draw the cells of a kernel with their signs.

    Parameters
    ----------
    kernel
        (row, col), finite; a cell that is NaN stays blank.
    x, y, cell
        Where the top left corner goes and how long a cell's side is, in pixels.
    scale
        The magnitude that has the full colour.
    anchor
        (row, col) to outline, if it lies inside.
    marks
        Whether to draw a small plus or minus, longer for larger weights, in each cell that
        reaches a tenth of the scale: the sign must be readable without colour.
    """
    rows, cols = kernel.shape
    parts = [
        tag("rect", x=x + c * cell, y=y + r * cell, width=cell, height=cell, fill=colour(float(kernel[r, c]), scale))
        for r in range(rows)
        for c in range(cols)
        if not math.isnan(kernel[r, c])
    ]
    out = [tag("g", *parts, shape_rendering="crispEdges")]
    if marks and cell >= 4:
        strokes = {"#000000": "", "#ffffff": ""}
        for (r, c), value in np.ndenumerate(kernel):
            part = min(1.0, abs(float(value)) / scale)
            if part < _MARK_FROM or math.isnan(value):
                continue
            half = cell * (0.12 + 0.18 * part)
            middle_x, middle_y = x + (c + 0.5) * cell, y + (r + 0.5) * cell
            stroke = f"M{number(middle_x - half)} {number(middle_y)}h{number(2 * half)}"
            if value > 0:
                stroke += f"M{number(middle_x)} {number(middle_y - half)}v{number(2 * half)}"
            strokes[ink_on(float(value), scale)] += stroke
        out += [
            tag("path", d=d, fill="none", stroke=ink, stroke_width=max(0.8, cell / 12), stroke_opacity=0.8)
            for ink, d in strokes.items()
            if d
        ]
    out.append(tag("rect", x=x, y=y, width=cols * cell, height=rows * cell, fill="none", stroke="#8c8c8c"))
    if anchor is not None and is_inside(anchor, kernel):
        at_x, at_y = x + anchor[1] * cell, y + anchor[0] * cell
        out.append(
            tag(
                "rect",
                x=at_x,
                y=at_y,
                width=cell,
                height=cell,
                fill="none",
                stroke=INK,
                stroke_width=max(1.2, cell / 20),
            )
        )
    return out


def scale_bar(x: float, y: float, width: float, scale: float, *, ends: tuple[str, str] | None = None) -> list[Markup]:
    """Draw the scale, 34 pixels high: from full blue over white to full red, with its numbers (or `ends`) and words."""
    low, high = ends or (signed(-scale, 3), signed(scale, 3))
    steps = 41
    step = width / steps
    bar = [
        tag(
            "rect",
            x=x + i * step,
            y=y,
            width=step + 0.3,
            height=9,
            fill=colour(scale * (2 * i / (steps - 1) - 1), scale),
        )
        for i in range(steps)
    ]
    frame = tag("rect", x=x, y=y, width=width, height=9, fill="none", stroke="#8c8c8c")
    words = [
        text(low, x, y + 20, 10),
        text("0", x + width / 2, y + 20, 10, text_anchor="middle"),
        text(high, x + width, y + 20, 10, text_anchor="end"),
        text("inhibits", x, y + 32, 10, fill=GREY),
        text("excites", x + width, y + 32, 10, fill=GREY, text_anchor="end"),
    ]
    return [*bar, frame, *words]


def draw_kernel(
    kernel: ArrayLike,
    *,
    scale: float | None = None,
    title: str = "",
    centre: tuple[float, float] | None = None,
) -> Picture:
    """Draw one kernel.

    Parameters
    ----------
    kernel
        (row, col), row 0 at the top, at most 128 x 128.
    scale
        The magnitude that has the full colour; the kernel's largest if None. Weights beyond it are
        counted in the picture. Give the same to kernels that are to be compared.
    title
        Any text, shown above.
    centre
        (row, col) that sits on the downstream unit's own position (`circuitgraph.kernels.anchor_of`),
        outlined in the picture; none if None or outside.

    Returns
    -------
    Picture
        Small kernels have their weights printed in their cells, larger ones a plus or minus.

    Raises
    ------
    ShapeError
        No two-dimensional array of real numbers, too large, or a scale that is not above 0.
    NonFiniteError
        A weight is NaN or infinite; the message says where.

    Examples
    --------
    >>> draw_kernel([[1.0, 1.0], [-1.0, -1.0]], title="windows -> car").svg[:4]
    '<svg'
    """
    weights = as_kernel(kernel, "drawing a kernel")
    rows, cols = weights.shape
    if centre is not None and not (len(centre) == 2 and np.isfinite(centre).all()):
        raise ShapeError(f"drawing a kernel: the centre is {centre}, a finite (row, col) is wanted.")
    if max(rows, cols) > _LARGEST:
        raise ShapeError(
            f"drawing a kernel: it is {rows}x{cols}, at most {_LARGEST}x{_LARGEST} is drawn.",
            hint=f"Cut out a part, kernel[:{_LARGEST}, :{_LARGEST}].",
        )
    full = check_scale(scale, [weights], "drawing a kernel")
    cell = min(44.0, max(3.0, 308.0 / max(rows, cols)))
    printed = cell >= 38
    heading = clean(title)
    margin = 16.0
    width = max(220.0, cols * cell + 2 * margin)
    lines = _heading_lines(heading, width - 2 * margin) if heading else []
    head = 14.0 + 20.0 * len(lines)
    left = (width - cols * cell) / 2
    parts = kernel_cells(weights, left, head, cell, full, anchor=centre, marks=not printed)
    for place, line in enumerate(lines):
        parts.insert(place, text(line, width / 2, 22 + 18 * place, 14, text_anchor="middle", font_weight="600"))
    if printed:
        values = {place: _printed(float(value), full) for place, value in np.ndenumerate(weights)}
        size = min(11.5, cell / (0.62 * max(len(value) for value in values.values())))
        parts += [
            text(
                values[r, c],
                left + (c + 0.5) * cell,
                head + (r + 0.5) * cell + 4,
                size,
                fill=ink_on(float(weights[r, c]), full),
                text_anchor="middle",
            )
            for r, c in values
        ]
    y = head + rows * cell + 20
    excitation = float(weights[weights > 0].sum(dtype=np.float64))
    inhibition = float(weights[weights < 0].sum(dtype=np.float64))
    total = signed(excitation + inhibition, 3)
    facts = [f"sum {total}: excitation {signed(excitation, 3)}, inhibition {signed(inhibition, 3)}"]
    beyond = int((np.abs(weights) > np.float32(full)).sum())
    if beyond:
        facts.append(f"{beyond} of {weights.size} weights lie beyond the scale")
    if centre is not None and is_inside(centre, weights):
        facts.append("outlined: the downstream unit's own position")
    for fact in facts:
        parts.append(text(fact, width / 2, y, _fitting(fact, width - 12), fill=GREY, text_anchor="middle"))
        y += 15
    bar = min(220.0, width - 2 * margin)
    parts += scale_bar((width - bar) / 2, y - 4, bar, full)
    desc = f"A kernel of {rows} by {cols} weights, row 0 at the top. Red and plus excite, blue and minus inhibit. " + (
        "; ".join(facts) + "."
    )
    return Picture.compose(parts, width=width, height=y + 38, title=heading or "Kernel", desc=desc)


def _heading_lines(heading: str, width: float) -> list[str]:
    """Break a heading that is too long at its arrow, then at spaces, into four lines at most."""
    first, arrow, second = heading.partition(" → ")
    if not arrow or wrap(heading, width, 14.5, lines=1) == [heading]:
        return wrap(heading, width, 14.5, lines=4)
    return [*wrap(first, width, 14.5), *wrap(f"→ {second}", width, 14.5)]


def _fitting(line: str, width: float) -> float:
    return max(8.0, min(11.0, width / (0.53 * len(line))))


def _printed(value: float, scale: float) -> str:
    # the same decimals in every cell, so that figures compare at a glance
    decimals = 1 - math.floor(math.log10(scale))
    if not 0 <= decimals <= 4 or value == 0:
        return signed(value)
    return f"{value:+.{decimals}f}".replace("-", "−")
