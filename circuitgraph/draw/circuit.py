"""A circuit as a picture: layers from the bottom up, each edge with its kernel on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from circuitgraph.draw.circuit_marks import (
    circuit_legend,
    draw_box,
    draw_edge,
    draw_pair,
    draw_tile,
    short_uid,
    unit_name,
)
from circuitgraph.draw.kernel import check_scale
from circuitgraph.draw.layout import PAGE, Layout, lay_out
from circuitgraph.draw.marks import WORDS, brief, edge_kind
from circuitgraph.draw.mutual import MutualPair, find_mutual
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, number, shorten, signed, tag, text
from circuitgraph.errors import GraphError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit

__all__ = ["circuit_parts", "draw_circuit"]

_SMALLEST_TILE, _LARGEST_TILE = 48.0, 80.0
_ROOM = PAGE - 112
_MOST_UNITS, _MOST_EDGES = 120, 240


def _ports(layout: Layout, edges: Sequence[CircuitEdge]) -> dict[tuple[int, str], float]:
    """Spread the ends of edges over the side of a box, in the order of what is at their other ends."""
    ports: dict[tuple[int, str], float] = {}
    for end in ("up", "down"):
        for uid, slot in layout.boxes.items():
            own = [i for i, edge in enumerate(edges) if getattr(edge, end) == uid]
            next_to = {i: layout.routes[i][0 if end == "up" else -1].x for i in own}
            own.sort(key=lambda i: (next_to[i], i))
            pitch = min(18.0, slot.width * 0.8 / max(1, len(own)))
            for place, i in enumerate(own):
                ports[i, end] = slot.x + (place - (len(own) - 1) / 2) * pitch
    return ports


def _choose(
    graph: CircuitGraph, max_edges: int, max_units: int, wanted: Collection[str]
) -> tuple[list[CircuitUnit], list[CircuitEdge], int]:
    """Return the strongest edges by l1 whose units all fit, the units to draw, and how many lost all their edges.

    Units at these edges, those wanted, and those that never had an edge are drawn, as many as fit: a box whose edges
    are all left out would look as if it had none.
    """
    most_edges, most_units = min(max(0, max_edges), _MOST_EDGES), min(max(1, max_units), _MOST_UNITS)
    if len(graph.edges) <= most_edges and len(graph.units) <= most_units:
        return list(graph.units), list(graph.edges), 0
    kept: set[int] = set()
    ends: set[str] = set()
    for i in sorted(range(len(graph.edges)), key=lambda i: (-graph.edges[i].l1, i)):
        both = {graph.edges[i].up, graph.edges[i].down}
        if len(kept) < most_edges and len(ends | both) <= most_units:
            kept.add(i)
            ends |= both
    joined = {uid for edge in graph.edges for uid in (edge.up, edge.down)}
    bare = joined - ends
    if not kept:
        # nothing but boxes is asked for
        bare = set()
    for unit in sorted(graph.units, key=lambda unit: unit.uid not in wanted):
        if len(ends) < most_units and (unit.uid in wanted or unit.uid not in bare):
            ends.add(unit.uid)
    units = [unit for unit in graph.units if unit.uid in ends]
    return units, [graph.edges[i] for i in sorted(kept)], len(bare - ends)


def _describe(
    units: Mapping[str, CircuitUnit], edges: Sequence[CircuitEdge], pairs: Sequence[MutualPair], *, listed: int = 40
) -> str:
    names = {uid: unit_name(unit) for uid, unit in units.items()}
    words = [
        f"{names[edge.up]} {WORDS[edge_kind(edge)]} {names[edge.down]} (sum {signed(edge.sum, 3)})"
        for edge in edges[:listed]
    ]
    if len(edges) > listed:
        words.append(f"and {len(edges) - listed} more")
    words += [f"what excites {names[p.left]} inhibits {names[p.right]}, and the reverse" for p in pairs[:listed]]
    return "Layers from upstream at the bottom to downstream at the top. " + "; ".join(words) + "."


def draw_circuit(
    graph: CircuitGraph,
    *,
    title: str = "",
    scale: float | None = None,
    max_edges: int = 60,
    max_units: int = 60,
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
        The magnitude that has the full colour in all kernels. If None, each row of kernels has its own, the largest
        among them, which is printed beside it: kernels of different layers have different sizes.
    max_edges, max_units
        Of more edges only the strongest by l1 are drawn, and the picture says so; at most 240 and 120. Units that
        lose all their edges so are left out and counted, but for those with a role and the one a circuit is around.
    roles
        Uid to the role that a unit has in a motif, any text; shown on its box.

    Returns
    -------
    Picture
        720 pixels wide, more where a layer has more units with names than eight, or without names than fourteen.
        An edge's colour, dashes and end say whether its weights sum to excitation or inhibition, or to little beside
        their magnitude. Units of one layer whose sources excite one and inhibit the other are joined by a mark.

    Raises
    ------
    GraphError
        The circuit has no unit.
    ShapeError
        `scale` is not a finite number above 0.
    MissingExtraError
        pygraphviz is not installed.
    """
    parts, width, height, desc = circuit_parts(
        graph, title=title, scale=scale, max_edges=max_edges, max_units=max_units, roles=roles
    )
    return Picture.compose(parts, width=width, height=height, title=brief(title, 1000) or "Circuit", desc=desc)


def circuit_parts(
    graph: CircuitGraph,
    *,
    title: str = "",
    scale: float | None = None,
    max_edges: int = 60,
    max_units: int = 60,
    roles: Mapping[str, str] | None = None,
) -> tuple[list[Markup], float, float, str]:
    """Return what `draw_circuit` draws, for a picture that holds more: parts, width, height and description."""
    act = "drawing a circuit"
    if not graph.units:
        raise GraphError(f"{act}: it has 0 units, at least 1 is wanted.")
    wanted = {_middle(graph), *(roles or {})}
    units, edges, bare = _choose(graph, max_edges, max_units, wanted)
    drawn = CircuitGraph(graph.layers, units, edges)
    layers = [layer for layer in drawn.layers if drawn.units_of(layer)]
    rows = {layer: [edge for edge in edges if drawn.unit(edge.up).layer == layer] for layer in layers}
    full = {layer: check_scale(scale, [edge.kernel for edge in row], act) for layer, row in rows.items()}
    pairs = find_mutual(drawn)
    marked = _one_each(pairs)
    heading = brief(title, 1000)
    named = {uid: brief(role) for uid, role in (roles or {}).items()}
    busiest = max(Counter(drawn.unit(edge.up).layer for edge in edges).values(), default=1)
    tile = min(_LARGEST_TILE, max(_SMALLEST_TILE, _ROOM // busiest - 6))
    lines = 2 if any(edge_kind(edge) == "mixes" for edge in edges) else 1
    layout = lay_out(
        drawn,
        layers,
        edges,
        top=(44.0 if heading else 14.0) + (8 if named else 0),
        tile=tile,
        words=5 + 12.0 * lines,
        pairs=[(pair.left, pair.right) for pair in marked],
    )
    ports = _ports(layout, edges)
    parts: list[Markup] = []
    if heading:
        parts.append(text(shorten(heading, layout.width - 32, 16.5), 16, 26, 16, font_weight="600"))
    for layer, y in layout.row_y.items():
        parts += _draw_row(layer, y, layout.width)
    for i, edge in enumerate(edges):
        parts += draw_edge(edge, layout, i, (ports[i, "up"], ports[i, "down"]))
    parts += [draw_pair(layout.boxes, pair) for pair in marked]
    parts += [draw_box(unit, layout.boxes[unit.uid], named.get(unit.uid, "")) for unit in drawn.units]
    by_uid = {unit.uid: unit for unit in drawn.units}
    for edge, slot in zip(edges, layout.kernels, strict=True):
        parts.append(draw_tile(edge, by_uid, slot, full[by_uid[edge.up].layer], tile))
    scales = {full[layer] for layer, row in rows.items() if row}
    if len(scales) > 1:
        for layer, y in layout.band_y.items():
            if rows[layer]:
                parts.append(text("full colour", 16, y - 2, 9.5, fill=GREY))
                parts.append(text(f"±{signed(full[layer], 3)[1:]}", 16, y + 10, 10))
    height = layout.height + 26
    if edges:
        more, height = circuit_legend(edges, 16, height, scales, pair_count=len(pairs), marked_count=len(marked))
        parts += more
    left_out = []
    if len(edges) < len(graph.edges):
        left_out.append(f"the {len(edges):,} strongest of {len(graph.edges):,} edges, by l1")
    if len(units) < len(graph.units):
        left_out.append(f"{len(units):,} of {len(graph.units):,} units")
    if left_out:
        said = f"Showing {' and '.join(left_out)}."
        parts.append(text(said, 16, height + 6, 11, fill=INK))
        height += 18
    if bare:
        lost = f"Left out: {bare:,} {'unit' if bare == 1 else 'units'} with none of these edges."
        parts.append(text(lost, 16, height + 4, 11, fill=INK))
        height += 16
        said = f"{said} {lost}"
    desc = _describe(by_uid, edges, pairs)
    return parts, layout.width, height, f"{said} {desc}" if left_out else desc


def _middle(graph: CircuitGraph) -> str:
    """Return the uid of the unit that a circuit was taken around, if any."""
    around = graph.attributes.get("around")
    return str(around.get("unit", "")) if isinstance(around, Mapping) else ""


def _one_each(pairs: Sequence[MutualPair]) -> list[MutualPair]:
    """Return the strongest pairs in which each unit comes once: more marks could not be told apart."""
    seen: set[str] = set()
    out = []
    for pair in pairs:
        if not seen & {pair.left, pair.right}:
            seen |= {pair.left, pair.right}
            out.append(pair)
    return out


def _draw_row(layer: str, y: float, width: float) -> list[Markup]:
    name = shorten(short_uid(layer), 72, 11)
    return [
        tag("path", d=f"M16 {number(y)}H{number(width - 16)}", stroke="#e3e3e3", fill="none"),
        tag("rect", x=14, y=y - 9, width=80, height=18, fill="#ffffff"),
        tag("g", tag("title", layer), text(name, 16, y + 4, 11, fill=GREY)),
    ]
