"""How an edge is told in every picture: its kind, colour, dashes and end, its figures, and its kernel in small."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.draw.kernel import kernel_cells
from circuitgraph.draw.palette import EXCITES, INHIBITS, MIXES
from circuitgraph.draw.svg import Markup, clean, number, signed, tag
from circuitgraph.graph import CircuitEdge
from circuitgraph.kernels import summarise

__all__ = [
    "DASHES",
    "INKS",
    "MOST_SHOWN_CELLS",
    "WORDS",
    "Kind",
    "brief",
    "edge_figures",
    "edge_kind",
    "edge_tip",
    "shrink",
    "small_kernel",
]

Kind = Literal["excites", "inhibits", "mixes"]

WORDS = {"excites": "excites", "inhibits": "inhibits", "mixes": "excites and inhibits"}
"""What each kind of edge does, in words."""
INKS = {"excites": EXCITES, "inhibits": INHIBITS, "mixes": MIXES}
DASHES = {"excites": None, "inhibits": "7 4", "mixes": "9 3 2 3"}

_MIXED_BELOW = 0.2
"""An edge mixes when the magnitude of its sum is under this share of its l1, as `MIXES` in the store."""
MOST_SHOWN_CELLS = 32
"""Rows and columns of a kernel among others; a larger one is averaged."""


def brief(label: str, most: int = 120) -> str:
    """Clean a label and cut it to so many letters: where it is told again and again, it must not fill the file."""
    kept = clean(label)
    return kept if len(kept) <= most else kept[: most - 1].rstrip() + "…"


def edge_kind(edge: CircuitEdge) -> Kind:
    """Say whether an edge's weights sum to excitation, to inhibition, or to little beside their magnitude."""
    if abs(edge.sum) < _MIXED_BELOW * edge.l1:
        return "mixes"
    return "inhibits" if edge.sum < 0 else "excites"


def edge_figures(edge: CircuitEdge) -> str:
    """Return the sum, or, where it hides what the edge does, the two sums that differ most.

    ↑ ↓ above and below the anchor, ← → left and right of it, ◉ ◌ at it and around it.
    """
    if edge_kind(edge) != "mixes":
        return f"Σ {signed(edge.sum)}"
    said = {name: float(values[0]) for name, values in summarise(edge.kernel[np.newaxis], edge.anchor).items()}
    sides = (("↑", "top", "↓", "bottom"), ("←", "left", "→", "right"), ("◉", "centre", "◌", "surround"))
    mark, one, other_mark, other = max(sides, key=lambda side: abs(said[side[1]] - said[side[3]]))
    return f"{mark} {signed(said[one])} {other_mark} {signed(said[other])}"


def edge_tip(kind: Kind, x: float, y: float) -> Markup:
    """Draw an edge's end, pointing up at (x, y): an arrow excites, a bar inhibits, a ring does both."""
    ink = INKS[kind]
    if kind == "excites":
        return tag("path", d=f"M{number(x - 5)} {number(y + 9)}L{number(x)} {number(y)}l5 9z", fill=ink)
    if kind == "inhibits":
        return tag("path", d=f"M{number(x - 6)} {number(y + 2)}h12", fill="none", stroke=ink, stroke_width=3)
    return tag("circle", cx=x, cy=y + 5, r=4, fill="#ffffff", stroke=ink, stroke_width=2)


def shrink(
    kernel: NDArray[np.floating[Any]], anchor: tuple[float, float], most: int = MOST_SHOWN_CELLS
) -> tuple[NDArray[np.floating[Any]], tuple[float, float], int]:
    """Average a kernel over square blocks until it has at most `most` rows and columns.

    Returns
    -------
    kernel, anchor, block
        The averages, where the anchor lies among them, and the side of the blocks: 1 where nothing was done.
    """
    block = -(-max(kernel.shape) // most)
    if block == 1:
        return kernel, anchor, 1
    starts = [np.arange(0, size, block) for size in kernel.shape]
    sums = np.add.reduceat(np.add.reduceat(kernel.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
    counts = np.outer(*(np.diff([*at, size]) for at, size in zip(starts, kernel.shape, strict=True)))
    inside = all(0 <= at <= size - 1 for at, size in zip(anchor, kernel.shape, strict=True))
    return sums / counts, (anchor[0] // block, anchor[1] // block) if inside else (-1.0, -1.0), block


def small_kernel(
    edge: CircuitEdge, x: float, y: float, size: float, scale: float, *, widest_cell: float = 16.0
) -> tuple[list[Markup], float, float, str]:
    """Draw an edge's kernel in a square, in its middle.

    Parameters
    ----------
    x, y, size
        Top left corner and side of the square, in pixels.
    scale
        The magnitude that has the full colour.
    widest_cell
        A small kernel's cells grow no larger than this.

    Returns
    -------
    parts, width, height, note
        The note says what was averaged, "" if nothing.
    """
    kernel, anchor, block = shrink(edge.kernel, edge.anchor)
    rows, cols = kernel.shape
    cell = min(widest_cell, size / max(rows, cols))
    width, height = cols * cell, rows * cell
    parts = kernel_cells(kernel, x + (size - width) / 2, y + (size - height) / 2, cell, scale, anchor=anchor)
    whole_rows, whole_cols = edge.kernel.shape
    note = f"{whole_rows}x{whole_cols} weights in averages of {block}x{block}" if block > 1 else ""
    return parts, width, height, note
