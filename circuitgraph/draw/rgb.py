"""Kernels of a first layer in colour: each cell shows its weights from red, green and blue as one colour.

A colour is 0.5 + w / (2 scale) in each of red, green and blue (as sRGB, no gamma): zero is mid-grey, and a
cell in the colour that it shows is what excites the unit. As colour alone must not carry meaning, the sums over the
three stand below each kernel; `draw_grid` draws the same weights with their signs, cell by cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.kernel import check_scale, is_inside
from circuitgraph.draw.parts import MOST_CELLS, check_kernels, footnotes
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, clean, shorten, signed, tag, text
from circuitgraph.errors import ShapeError

__all__ = ["RGB_RULE", "draw_rgb", "rgb_cells", "rgb_colour", "rgb_scale", "rgb_sums", "written_sums"]

RGB_RULE = (
    "Colour: each of red, green and blue is 0.5 + weight / (2 × scale), cut off at 0 and 1; mid-grey is zero. Below "
    "each kernel the sums of its weights from red, green and blue; drawn as a grid, the same weights show their signs."
)
"""What a picture says of how its colours come about."""

_ACT = "drawing kernels in colour"
_MARGIN = 16.0
_COLUMNS = 8
_TILE = 70.0
_TIP_LETTERS = 120
_SUMS_LETTERS, _MOST_DECIMALS = 17, 4
_COLOURS = ("red", "green", "blue")


def rgb_colour(weights: Sequence[float] | NDArray[np.floating[Any]], scale: float) -> str:
    """Return the colour of three weights, from red, green and blue.

    Examples
    --------
    >>> rgb_colour([0.0, 0.0, 0.0], 1.0), rgb_colour([1.0, -1.0, 0.5], 1.0), rgb_colour([9.0, 0.0, 0.0], 1.0)
    ('#808080', '#ff00bf', '#ff8080')
    """
    parts = (min(1.0, max(0.0, 0.5 + float(weight) / (2 * scale))) for weight in weights)
    # halves upwards: 127.5 is 128 for zero
    return "#" + "".join(f"{math.floor(255 * part + 0.5):02x}" for part in parts)


def rgb_cells(
    kernel: NDArray[np.floating[Any]],
    x: float,
    y: float,
    cell: float,
    scale: float,
    *,
    anchor: tuple[float, float] | None = None,
) -> list[Markup]:
    """Draw the cells of a kernel (3, row, col) in colour; the rest is as in `kernel_cells`."""
    _, rows, cols = kernel.shape
    values = np.asarray(kernel, dtype=np.float64).transpose(1, 2, 0).tolist()
    parts = [
        tag("rect", x=x + c * cell, y=y + r * cell, width=cell, height=cell, fill=rgb_colour(values[r][c], scale))
        for r in range(rows)
        for c in range(cols)
    ]
    out = [
        tag("g", *parts, shape_rendering="crispEdges"),
        tag("rect", x=x, y=y, width=cols * cell, height=rows * cell, fill="none", stroke="#8c8c8c"),
    ]
    if anchor is not None and is_inside(anchor, kernel[0]):
        at = {"x": x + anchor[1] * cell, "y": y + anchor[0] * cell, "width": cell, "height": cell}
        # a light line in a dark one shows on every colour
        out.append(tag("rect", **at, fill="none", stroke=INK, stroke_width=2.4))
        out.append(tag("rect", **at, fill="none", stroke="#ffffff", stroke_width=0.8))
    return out


def rgb_scale(x: float, y: float, width: float, scale: float) -> list[Markup]:
    """Draw how weights become colours, 34 pixels high: a bar for each of red, green and blue, the others zero."""
    gap, steps = 18.0, 31
    each = (width - 2 * gap) / 3
    step = each / steps
    parts: list[Markup] = []
    for place, name in enumerate(_COLOURS):
        left = x + place * (each + gap)
        for i in range(steps):
            weights = [0.0, 0.0, 0.0]
            weights[place] = scale * (2 * i / (steps - 1) - 1)
            fill = rgb_colour(weights, scale)
            parts.append(tag("rect", x=left + i * step, y=y, width=step + 0.3, height=9, fill=fill))
        parts += [
            tag("rect", x=left, y=y, width=each, height=9, fill="none", stroke="#8c8c8c"),
            text(signed(-scale, 3), left, y + 20, 10),
            text(f"0 {name}", left + each / 2, y + 20, 10, text_anchor="middle"),
            text(signed(scale, 3), left + each, y + 20, 10, text_anchor="end"),
        ]
    parts.append(text("inhibits", x, y + 32, 10, fill=GREY))
    parts.append(text("excites", x + width, y + 32, 10, fill=GREY, text_anchor="end"))
    return parts


def rgb_sums(kernel: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """Return the sums of the weights from red, green and blue."""
    red, green, blue = kernel.sum(axis=(1, 2), dtype=np.float64)
    return float(red), float(green), float(blue)


def written_sums(sums: Sequence[float]) -> str:
    """Write the sums of one kernel in few letters: two digits of the largest, one or more of each other.

    Examples
    --------
    >>> written_sums([3.41, -0.004, -0.33]), written_sums([3400.0, -4.0, 0.0])
    ('+3.4 −0.004 −0.3', '+3400 −4 0')
    >>> written_sums([0.0106, -0.03, 0.0002]), written_sums([2e-7, -0.4, 0.0]), written_sums([2e-4, 3e-4, -1e-4])
    ('+.011 −.030 +2e−4', '+2e−7 −.40 0', '+2e−4 +3e−4 −1e−4')
    """
    largest = max(map(abs, sums), default=0.0)
    written = [_short(value, largest) for value in sums]
    # the longest first, until all have room
    for place in sorted(range(len(written)), key=lambda place: -len(written[place])):
        if len(" ".join(written)) > _SUMS_LETTERS:
            written[place] = _power(sums[place])
    return " ".join(written)


def _short(value: float, largest: float) -> str:
    if value == 0:
        return "0"
    own, most = (math.floor(math.log10(abs(size))) for size in (value, largest))
    decimals = max(0, 1 - most, -own)
    if decimals > _MOST_DECIMALS:
        return _power(value)
    written = f"{abs(value):.{decimals}f}"
    return ("+" if value > 0 else "−") + (written.removeprefix("0") if most < 0 else written)


def _power(value: float) -> str:
    if value == 0:
        return "0"
    digit, power = f"{abs(value):.0e}".split("e")
    return f"{'+' if value > 0 else '−'}{digit}e{int(power)}".replace("e-", "e−")


def draw_rgb(
    kernels: ArrayLike,
    *,
    names: Sequence[str] = (),
    order: Literal["RGB", "BGR"] = "RGB",
    title: str = "",
    scale: float | Literal["each"] | None = None,
    anchor: tuple[float, float] | None = None,
    limit: int = 96,
) -> Picture:
    """Draw the kernels of a layer that reads an image, in colour.

    Parameters
    ----------
    kernels
        (down, 3, row, col), row 0 at the top.
    names
        Any text, one a unit; numbers from 0 if empty. More names than units say how many there would be.
    order
        Which colours the second axis holds. OpenCV's and Caffe's networks have "BGR".
    title
        Any text, shown above.
    scale
        The magnitude that reaches full and no light, the same for all kernels, so that weak ones look grey; the
        largest weight if None. With "each", every kernel has the scale of its own largest weight, printed below it:
        patterns show, strengths do not compare.
    anchor
        (row, col) that sits on the downstream unit's own position, outlined in each kernel.
    limit
        Most kernels, fewer where they are large; the first are drawn, and the picture says of how many.

    Raises
    ------
    ShapeError
        There is no such array, names are too few, `order` is another, or `scale` or `limit` is not above 0.
    NonFiniteError
        A weight is NaN or infinite.
    """
    weights = check_kernels(kernels, "down colour row col", _ACT)
    if weights.shape[1] != len(_COLOURS):
        raise ShapeError(f"{_ACT}: the shape is {weights.shape}, (down, 3, row, col) is wanted.")
    if order not in ("RGB", "BGR"):
        raise ShapeError(f"{_ACT}: the order is {order!r}, RGB or BGR is wanted.")
    if limit < 1:
        raise ShapeError(f"{_ACT}: the limit is {limit}, at least 1 is wanted.")
    if names and len(names) < len(weights):
        raise ShapeError(f"{_ACT}: there are {len(weights)} kernels and {len(names)} names.")
    whole = max(len(weights), len(names))
    _, _, rows, cols = weights.shape
    weights = weights[: max(1, min(limit, MOST_CELLS // (rows * cols)))]
    if order == "BGR":
        weights = weights[:, ::-1]
    called = [clean(name) for name in names[: len(weights)]] or [str(place) for place in range(len(weights))]
    common = None if scale == "each" else check_scale(scale, [np.asarray(weights[:, 0]), *weights[:, 1:]], _ACT)
    heading = clean(title)
    across = min(len(weights), _COLUMNS)
    cell = _TILE / max(rows, cols)
    pitch = (720 - 2 * _MARGIN) / _COLUMNS
    down = rows * cell + (45 if common is None else 34)
    top = 44.0 if heading else 16.0
    parts: list[Markup] = []
    if heading:
        parts.append(text(shorten(heading, 688, 16.5), _MARGIN, 26, 16, font_weight="600"))
    beyond = 0
    for place, kernel in enumerate(weights):
        full = common or float(np.abs(kernel).max()) or 1.0
        beyond += int((np.abs(kernel) > np.float32(full)).sum())
        x, y = _MARGIN + place % across * pitch, top + place // across * down
        parts.append(_tile(kernel, called[place], x, y, cell, full, anchor=anchor, is_own=common is None))
    y = top + math.ceil(len(weights) / across) * down + 12
    notes = _notes(len(weights), whole, beyond, int(weights.size), common is None)
    if anchor is not None and is_inside(anchor, weights[0, 0]):
        notes.append("Outlined cell: the centre, the downstream unit's own position.")
    more, y = footnotes(notes, _MARGIN, y, 688)
    parts += more
    if common is not None:
        parts += rgb_scale(_MARGIN, y, 420, common)
        y += 36
    desc = " ".join([f"{len(weights)} kernels of {rows} by {cols} cells in colour, row 0 at the top.", *notes])
    return Picture.compose(parts, width=720, height=y + 8, title=heading or "Kernels in colour", desc=desc)


def _notes(shown: int, whole: int, beyond: int, size: int, is_own: bool) -> list[str]:
    notes = []
    if shown < whole:
        notes.append(f"Showing the first {shown:,} of {whole:,} units.")
    if beyond:
        notes.append(f"{beyond:,} of {size:,} weights lie beyond the scale.")
    notes.append(RGB_RULE)
    if is_own:
        notes.append("Each kernel has a scale of its own, ± what stands below its name: strengths do not compare.")
    return notes


def _tile(
    kernel: NDArray[np.float32],
    name: str,
    x: float,
    y: float,
    cell: float,
    full: float,
    *,
    anchor: tuple[float, float] | None,
    is_own: bool,
) -> Markup:
    sums = rgb_sums(kernel)
    said = ", ".join(f"{colour} {signed(value, 3)}" for colour, value in zip(_COLOURS, sums, strict=True))
    lines = [f"±{signed(full).lstrip('+')}"] if is_own else []
    lines.append(shorten(written_sums(sums), _TILE + 14, 8.5))
    bottom = y + kernel.shape[1] * cell
    return tag(
        "g",
        tag("title", f"{name[:_TIP_LETTERS]}: sums {said}"),
        *rgb_cells(kernel, x, y, cell, full, anchor=anchor),
        text(shorten(name, _TILE + 10, 10.5), x, bottom + 12, 10.5),
        *(text(line, x, bottom + 23 + 10 * place, 8.5, fill=GREY) for place, line in enumerate(lines)),
    )
