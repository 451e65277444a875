"""What a circuit's picture is made of: boxes, lines, kernels with their words, marks of pairs, and the legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from circuitgraph.draw.kernel import is_inside, scale_bar
from circuitgraph.draw.layout import BOX_HEIGHT, Layout, Slot
from circuitgraph.draw.marks import DASHES, INKS, WORDS, Kind, brief, edge_figures, edge_kind, edge_tip, small_kernel
from circuitgraph.draw.mutual import MutualPair
from circuitgraph.draw.palette import INHIBITS
from circuitgraph.draw.svg import GREY, Markup, clean, number, shorten, signed, tag, text, wrap
from circuitgraph.graph import CircuitEdge, CircuitUnit

__all__ = ["circuit_legend", "draw_box", "draw_edge", "draw_pair", "draw_tile", "short_uid", "unit_name"]

_LEGEND: Mapping[Kind, str] = {"excites": "excites", "inhibits": "inhibits", "mixes": "both, by place"}


def short_uid(uid: str) -> str:
    """Return a uid without its network."""
    return uid.partition("/")[2] or uid


def unit_name(unit: CircuitUnit) -> str:
    """Return what to call a unit, in at most 120 letters."""
    return brief(unit.label) or brief(short_uid(unit.uid))


def _line_width(edge: CircuitEdge) -> float:
    return 2.0 if edge.share_in is None else 1.2 + 9.0 * edge.share_in


def _curve(points: Sequence[tuple[float, float]]) -> str:
    # upright at every point, so that lines leave boxes and pass kernels straight
    d = f"M{number(points[0][0])} {number(points[0][1])}"
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(x0 - x1) < 0.005:
            d += f"V{number(y1)}"
            continue
        bend = (y1 - y0) / 2
        d += f"C{number(x0)} {number(y0 + bend)} {number(x1)} {number(y1 - bend)} {number(x1)} {number(y1)}"
    return d


def draw_edge(edge: CircuitEdge, layout: Layout, place: int, ends: tuple[float, float]) -> list[Markup]:
    """Draw the line of an edge, the `place`-th of the layout, from one port to the other; its kernel goes on top."""
    kind = edge_kind(edge)
    start, stop = layout.boxes[edge.up], layout.boxes[edge.down]
    points = [(ends[0], start.y - BOX_HEIGHT / 2)]
    for slot in layout.routes[place]:
        points += [(slot.x, slot.y + slot.height / 2), (slot.x, slot.y - slot.height / 2)]
    end_y = stop.y + BOX_HEIGHT / 2
    points.append((ends[1], end_y + (8 if kind != "inhibits" else 2)))
    line = tag(
        "path",
        class_="edge",
        d=_curve(points),
        fill="none",
        stroke=INKS[kind],
        stroke_width=_line_width(edge),
        stroke_dasharray=DASHES[kind],
    )
    return [line, edge_tip(kind, ends[1], end_y)]


def draw_tile(edge: CircuitEdge, units: Mapping[str, CircuitUnit], slot: Slot, scale: float, tile: float) -> Markup:
    """Draw an edge's kernel with its figures below."""
    x, y = slot.x - tile / 2, slot.y - slot.height / 2
    names = f"{unit_name(units[edge.up])} → {unit_name(units[edge.down])}"
    told = f"{names}: sum {signed(edge.sum, 3)}, {WORDS[edge_kind(edge)]}"
    cells, width, height, note = small_kernel(edge, x, y, tile, scale, widest_cell=26)
    # small kernels lie in the middle of the square; their line goes on to their edge, their words follow below
    top, bottom = y + (tile - height) / 2, y + (tile + height) / 2
    lines = _in_lines(edge_figures(edge))
    # words of neighbours must not run into each other
    size = min(10.5, max(8.0, (tile + 2) / (0.58 * max(map(len, lines)))))
    wide = max(width, min(tile, 6.5 * max(map(len, lines))))
    tall = bottom - top + 4 + 12 * len(lines)
    ground = tag("rect", x=slot.x - wide / 2 - 1, y=top - 1, width=wide + 2, height=tall + 1, fill="#ffffff")
    words = [
        text(figures, slot.x, bottom + 12 + 12 * line, size, text_anchor="middle") for line, figures in enumerate(lines)
    ]
    title = tag("title", f"{told}; {note}" if note else told)
    return tag("g", title, ground, *cells, *words, class_="kernel", data_up=edge.up, data_down=edge.down)


def _in_lines(figures: str) -> list[str]:
    words = figures.split()
    return [" ".join(words[at : at + 2]) for at in range(0, len(words), 2)]


def _fitting_uid(uid: str, room: float) -> str:
    """Shorten a unit's uid; where not even its layer fits, the row's own name says that."""
    short = short_uid(uid)
    if shorten(short, room, 9.5) == short:
        return short
    for mark in ":@":
        if mark in short:
            return shorten(short[short.rindex(mark) :], room, 9.5)
    return shorten(short, room, 9.5)


def draw_box(unit: CircuitUnit, slot: Slot, role: str) -> Markup:
    """Draw a unit's box with its name and uid, and its role on the upper edge."""
    name, room = unit_name(unit), slot.width - 6
    lines = wrap(name, room, 13) if clean(unit.label) else []
    size = 12.5
    if len(lines) == 2:
        size = 11.5
        lines = wrap(name, room, 12)
    left, top = slot.x - slot.width / 2, slot.y - BOX_HEIGHT / 2
    told = f"{brief(unit.label, 1000)} ({unit.uid})" if clean(unit.label) else unit.uid
    parts = [
        tag("title", f"{told}, role: {role}" if role else told),
        tag("rect", x=left, y=top, width=slot.width, height=BOX_HEIGHT, rx=6, fill="#f2f2f2", stroke="#4d4d4d"),
    ]
    y = slot.y + 4 - (6.0 * len(lines) if lines else 0)
    for line in lines:
        parts.append(text(line, slot.x, y, size, text_anchor="middle", font_weight="600"))
        y += 12
    uid = _fitting_uid(unit.uid, room)
    parts.append(text(uid, slot.x, y + (1 if lines else 0), 9.5, fill=GREY, text_anchor="middle"))
    if role:
        shown = shorten(role, slot.width - 16, 10.5)
        wide = 0.6 * 10.5 * len(shown) + 10
        parts.append(tag("rect", x=left + 4, y=top - 11, width=wide, height=15, rx=7.5, fill="#1a1a1a"))
        parts.append(text(shown, left + 4 + wide / 2, top + 0.2, 10.5, fill="#ffffff", text_anchor="middle"))
    return tag("g", *parts, class_="unit", data_uid=unit.uid)


def draw_pair(boxes: Mapping[str, Slot], pair: MutualPair) -> Markup:
    """Join two units that inhibit each other: by a line with a bar at both ends, over others that lie between."""
    left, right = sorted((boxes[pair.left], boxes[pair.right]), key=lambda slot: slot.x)
    start, stop, y = left.x + left.width / 2, right.x - right.width / 2, left.y
    told = tag("title", f"{short_uid(pair.left)} and {short_uid(pair.right)}: what excites one inhibits the other")
    is_free = not any(
        slot.y == y and start - 1 < slot.x < stop + 1
        for slot in boxes.values()
        if slot is not left and slot is not right
    )
    if is_free:
        line = f"M{number(start + 4)} {number(y)}H{number(stop - 4)}"
        bars = f"M{number(start + 4)} {number(y - 8)}v16M{number(stop - 4)} {number(y - 8)}v16"
    else:
        top = y - BOX_HEIGHT / 2
        start, stop = left.x + left.width * 0.3, right.x - right.width * 0.3
        line = f"M{number(start)} {number(top - 4)}v-10H{number(stop)}v10"
        bars = f"M{number(start - 8)} {number(top - 4)}h16M{number(stop - 8)} {number(top - 4)}h16"
    return tag(
        "g",
        told,
        tag("path", d=line, fill="none", stroke=INHIBITS, stroke_width=2, stroke_dasharray="3 2"),
        tag("path", d=bars, fill="none", stroke=INHIBITS, stroke_width=3),
        class_="pair",
    )


def circuit_legend(
    edges: Sequence[CircuitEdge], x: float, y: float, scales: set[float], *, pair_count: int, marked_count: int
) -> tuple[list[Markup], float]:
    """Draw what the marks mean that occur, and return it with where it ends."""
    parts: list[Markup] = []
    if len(scales) == 1:
        parts += scale_bar(x, y, 170, next(iter(scales)))
    else:
        parts += scale_bar(x, y, 170, 1.0, ends=("−full", "+full"))
    at, kinds = x + 200, {edge_kind(edge) for edge in edges}
    for kind, word in _LEGEND.items():
        if kind in kinds:
            line = f"M{number(at)} {number(y + 24)}V{number(y + 5)}"
            style = DASHES[kind]
            parts += [
                tag("path", d=line, fill="none", stroke=INKS[kind], stroke_width=2, stroke_dasharray=style),
                edge_tip(kind, at, y - 3),
                text(word, at + 11, y + 14, 11),
            ]
            at += 84 if kind != "mixes" else 110
    if pair_count:
        parts += [
            tag(
                "path",
                d=f"M{number(at)} {number(y + 10)}h26",
                fill="none",
                stroke=INHIBITS,
                stroke_width=2,
                stroke_dasharray="3 2",
            ),
            tag(
                "path",
                d=f"M{number(at)} {number(y + 2)}v16m26 -16v16",
                fill="none",
                stroke=INHIBITS,
                stroke_width=3,
            ),
            text("inhibit each other", at + 35, y + 14, 11),
        ]
    notes = ["Σ: sum of weights."]
    if "mixes" in kinds:
        notes[0] += " ↑ ↓ ← → ◉ ◌: sums above, below, left of, right of, at, around the centre."
    if any(is_inside(edge.anchor, edge.kernel) for edge in edges):
        notes.append("Outlined cell: the centre, the downstream unit's own position.")
    if any(edge.share_in is not None for edge in edges):
        notes.append("Line width: share of the downstream unit's total weight.")
    if len(scales) > 1:
        notes.append("Each row of kernels has its own scale; the weight of full colour stands at its left.")
    if pair_count:
        said = "Units inhibit each other where what excites one inhibits the other, and the reverse."
        if marked_count < pair_count:
            said = f"{said[:-1]}: {pair_count} pairs, {marked_count} marked."
        notes.append(said)
    for place, note in enumerate(notes):
        parts.append(text(note, x + 194, y + 40 + 14 * place, 10, fill=GREY))
    return parts, y + 40 + 14 * len(notes)
