"""A circuit as a picture: layers from the bottom up, each edge with its kernel on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from circuitgraph.draw.kernel import check_scale, is_inside, kernel_cells, scale_bar
from circuitgraph.draw.layout import BOX_HEIGHT, Layout, Slot, lay_out
from circuitgraph.draw.marks import DASHES, INKS, WORDS, Kind, edge_figures, edge_kind, edge_tip
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, clean, number, shorten, signed, tag, text, wrap
from circuitgraph.errors import GraphError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit

__all__ = ["circuit_parts", "draw_circuit"]

_TILE, _SMALL_TILE = 76.0, 58.0
_ROOMY_UP_TO = 7
"""Edges between two layers up to which kernels are drawn large."""
_LEGEND: Mapping[Kind, str] = {"excites": "excites", "inhibits": "inhibits", "mixes": "both, by place"}


def _short(uid: str) -> str:
    return uid.partition("/")[2]


def _name(unit: CircuitUnit) -> str:
    return clean(unit.label) or _short(unit.uid)


def _line_width(edge: CircuitEdge) -> float:
    return 2.0 if edge.share_in is None else 1.2 + 9.0 * edge.share_in


def _curve(points: list[tuple[float, float]]) -> str:
    # upright at every point, so that lines leave boxes and pass kernels straight
    d = f"M{number(points[0][0])} {number(points[0][1])}"
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (y1 - y0) / 2
        d += f"C{number(x0)} {number(y0 + bend)} {number(x1)} {number(y1 - bend)} {number(x1)} {number(y1)}"
    return d


def _ports(layout: Layout, graph: CircuitGraph, edges: list[CircuitEdge]) -> dict[tuple[int, str], float]:
    """Spread the ends of edges over the side of a box, in the order of what is at their other ends."""
    ports: dict[tuple[int, str], float] = {}
    for end in ("up", "down"):
        for unit in graph.units:
            slot = layout.boxes[unit.uid]
            own = [i for i, edge in enumerate(edges) if getattr(edge, end) == unit.uid]
            beyond = {
                i: layout.ways[i][-1].x if end == "down" and layout.ways[i] else layout.kernels[i][0] for i in own
            }
            own.sort(key=lambda i: (beyond[i], i))
            pitch = min(18.0, slot.width * 0.8 / max(1, len(own)))
            for place, i in enumerate(own):
                ports[i, end] = slot.x + (place - (len(own) - 1) / 2) * pitch
    return ports


def _draw_edge(
    edge: CircuitEdge,
    layout: Layout,
    ends: tuple[float, float],
    middle: tuple[float, float],
    ways: list[Slot],
    tile: float,
) -> list[Markup]:
    kind = edge_kind(edge)
    start, stop = layout.boxes[edge.up], layout.boxes[edge.down]
    points = [
        (ends[0], start.y - BOX_HEIGHT / 2),
        (middle[0], middle[1] + tile / 2),
        (middle[0], middle[1] - tile / 2),
    ]
    for way in ways:
        points += [(way.x, way.y + way.height / 2), (way.x, way.y - way.height / 2)]
    end_y = stop.y + BOX_HEIGHT / 2
    points.append((ends[1], end_y + (8 if kind != "inhibits" else 2)))
    line = tag(
        "path",
        d=_curve(points),
        fill="none",
        stroke=INKS[kind],
        stroke_width=_line_width(edge),
        stroke_dasharray=DASHES[kind],
    )
    return [line, edge_tip(kind, ends[1], end_y)]


def _draw_tile(
    edge: CircuitEdge, graph: CircuitGraph, middle: tuple[float, float], scale: float, tile: float
) -> Markup:
    rows, cols = edge.kernel.shape
    cell = min(16.0, (tile - 12) / max(rows, cols))
    width, height = cols * cell, rows * cell
    x, y = middle[0] - width / 2, middle[1] - height / 2 - 6
    names = f"{_name(graph.unit(edge.up))} → {_name(graph.unit(edge.down))}"
    told = f"{names}: sum {signed(edge.sum, 3)}, {WORDS[edge_kind(edge)]}"
    ground = tag("rect", x=x - 4, y=y - 4, width=width + 8, height=height + 20, rx=3, fill="#ffffff")
    cells = kernel_cells(edge.kernel, x, y, cell, scale, anchor=edge.anchor)
    label = text(edge_figures(edge), middle[0], y + height + 12, 10.5, text_anchor="middle")
    return tag("g", tag("title", told), ground, *cells, label)


def _draw_box(unit: CircuitUnit, slot: Slot, role: str) -> Markup:
    name, room = _name(unit), slot.width - 8
    lines = wrap(name, room, 13) if clean(unit.label) else []
    size = 12.5
    if len(lines) == 2:
        size = 11.5
        lines = wrap(name, room, 12)
    left, top = slot.x - slot.width / 2, slot.y - BOX_HEIGHT / 2
    told = f"{name} ({unit.uid})" if clean(unit.label) else unit.uid
    parts = [
        tag("title", f"{told}, role: {role}" if role else told),
        tag("rect", x=left, y=top, width=slot.width, height=BOX_HEIGHT, rx=6, fill="#f2f2f2", stroke="#4d4d4d"),
    ]
    uid = shorten(_short(unit.uid), room, 9.5)
    y = slot.y + 4 - (6.0 * len(lines) if lines else 0)
    for line in lines:
        parts.append(text(line, slot.x, y, size, text_anchor="middle", font_weight="600"))
        y += 12
    parts.append(text(uid, slot.x, y + (1 if lines else 0), 9.5, fill=GREY, text_anchor="middle"))
    if role:
        shown = shorten(role, slot.width - 16, 10.5)
        wide = 0.6 * 10.5 * len(shown) + 10
        parts.append(tag("rect", x=left + 4, y=top - 8, width=wide, height=15, rx=7.5, fill="#1a1a1a"))
        parts.append(text(shown, left + 4 + wide / 2, top + 3.2, 10.5, fill="#ffffff", text_anchor="middle"))
    return tag("g", *parts)


def _draw_legend(
    x: float, y: float, scale: float, *, has_shares: bool, has_anchor: bool, has_mixes: bool
) -> list[Markup]:
    parts = scale_bar(x, y, 170, scale)
    at = x + 200
    for kind, word in _LEGEND.items():
        parts += [
            tag(
                "path",
                d=f"M{number(at)} {number(y + 24)}V{number(y + 5)}",
                fill="none",
                stroke=INKS[kind],
                stroke_width=2,
                stroke_dasharray=DASHES[kind],
            ),
            edge_tip(kind, at, y - 3),
            text(word, at + 11, y + 14, 11),
        ]
        at += 84
    notes = ["Σ: sum of the kernel's weights."]
    if has_mixes:
        notes[0] += " ↑ ↓ ← →: sums above, below, left and right of the centre."
    if has_anchor:
        notes.append("Outlined cell: the centre, the downstream unit's own position.")
    if has_shares:
        notes.append("Line width: share of the downstream unit's total weight.")
    for line, words in enumerate(notes):
        parts.append(text(words, x + 194, y + 40 + 14 * line, 10, fill=GREY))
    return parts


def _describe(graph: CircuitGraph, edges: list[CircuitEdge], *, listed: int = 40) -> str:
    names = {unit.uid: _name(unit) for unit in graph.units}
    words = [
        f"{names[edge.up]} {WORDS[edge_kind(edge)]} {names[edge.down]} (sum {signed(edge.sum, 3)})"
        for edge in edges[:listed]
    ]
    if len(edges) > listed:
        words.append(f"and {len(edges) - listed} more")
    return "Layers from upstream at the bottom to downstream at the top. " + "; ".join(words) + "."


def draw_circuit(
    graph: CircuitGraph,
    *,
    title: str = "",
    scale: float | None = None,
    max_edges: int = 60,
    roles: Mapping[str, str] | None = None,
) -> Picture:
    """Draw a circuit, the layers as rows with upstream at the bottom, each edge with its kernel on it.

    Parameters
    ----------
    graph
        What to draw. Layers without units are left out.
    title
        Any text, shown above.
    scale
        The magnitude that has the full colour, the same for all kernels; the largest among them if None.
    max_edges
        Of more edges only the strongest by l1 are drawn, and the picture says so.
    roles
        Uid to the role that a unit has in a motif, any text; shown on its box.

    Returns
    -------
    Picture
        720 pixels wide, more where a layer has more than eight units. An edge's colour, dashes and end say
        whether its weights sum to excitation or inhibition, or to little beside their magnitude.

    Raises
    ------
    GraphError
        The circuit has no unit.
    ShapeError
        `scale` is not a finite number above 0.
    """
    parts, width, height, desc = circuit_parts(graph, title=title, scale=scale, max_edges=max_edges, roles=roles)
    return Picture.compose(parts, width=width, height=height, title=clean(title) or "Circuit", desc=desc)


def circuit_parts(
    graph: CircuitGraph,
    *,
    title: str = "",
    scale: float | None = None,
    max_edges: int = 60,
    roles: Mapping[str, str] | None = None,
) -> tuple[list[Markup], float, float, str]:
    """Return what `draw_circuit` draws, for a picture that holds more: parts, width, height and description."""
    if not graph.units:
        raise GraphError("drawing a circuit: it has 0 units, at least 1 is wanted.")
    kept = sorted(sorted(range(len(graph.edges)), key=lambda i: -graph.edges[i].l1)[: max(0, max_edges)])
    edges = [graph.edges[i] for i in kept]
    full = check_scale(scale, [edge.kernel for edge in edges], "drawing a circuit")
    layers = [layer for layer in graph.layers if graph.units_of(layer)]
    heading = clean(title)
    named = {uid: clean(role) for uid, role in (roles or {}).items()}
    per_band = Counter(graph.unit(edge.up).layer for edge in edges)
    tile = _TILE if max(per_band.values(), default=0) <= _ROOMY_UP_TO else _SMALL_TILE
    layout = lay_out(graph, layers, edges, top=44.0 if heading else 14.0, tile=tile)
    ports = _ports(layout, graph, edges)
    parts: list[Markup] = []
    if heading:
        parts.append(text(shorten(heading, layout.width - 32, 16.5), 16, 26, 16, font_weight="600"))
    for layer, y in layout.row_y.items():
        parts.append(tag("path", d=f"M16 {number(y)}H{number(layout.width - 16)}", stroke="#e3e3e3", fill="none"))
        name = shorten(_short(layer), 72, 11)
        parts.append(tag("rect", x=14, y=y - 9, width=80, height=18, fill="#ffffff"))
        parts.append(tag("g", tag("title", layer), text(name, 16, y + 4, 11, fill=GREY)))
    for i, edge in enumerate(edges):
        parts += _draw_edge(edge, layout, (ports[i, "up"], ports[i, "down"]), layout.kernels[i], layout.ways[i], tile)
    parts += [_draw_box(unit, layout.boxes[unit.uid], named.get(unit.uid, "")) for unit in graph.units]
    parts += [_draw_tile(edge, graph, layout.kernels[i], full, tile) for i, edge in enumerate(edges)]
    height = layout.height + 26
    if edges:
        shares = any(edge.share_in is not None for edge in edges)
        anchors = any(is_inside(edge.anchor, edge.kernel) for edge in edges)
        mixes = any(edge_kind(edge) == "mixes" for edge in edges)
        parts += _draw_legend(16, height, full, has_shares=shares, has_anchor=anchors, has_mixes=mixes)
        height += 40 + 14 * (1 + anchors + shares)
    if len(edges) < len(graph.edges):
        left_out = f"Showing the {len(edges)} strongest of {len(graph.edges)} edges, by l1."
        parts.append(text(left_out, 16, height + 6, 11, fill=INK))
        height += 18
    return parts, layout.width, height, _describe(graph, edges)
