"""Places for a layered drawing: units in rows, kernels in the bands between, long edges around what lies between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from circuitgraph.draw.ranks import Link, order_ranks, place_ranks
from circuitgraph.graph import CircuitEdge, CircuitGraph

__all__ = ["BOX_HEIGHT", "PAGE", "Layout", "Slot", "lay_out"]

BOX_HEIGHT = 42.0
PAGE = 720.0
_LEFT, _RIGHT = 96.0, 16.0
_BOX_WIDEST, _BOX_NARROWEST, _BOX_GAP = 132.0, 58.0, 12.0
_NAMELESS_NARROWEST, _NAMELESS_GAP = 34.0, 8.0
_PAIR_GAP = 34.0
"""Further room beside a unit of a marked pair, for the mark."""
_KERNEL_GAP = 6.0
_WAY_WIDTH = 10.0
_EMPTY_BAND = 44.0
_FLOOR_GAP = 18.0
_LINE_ROOM, _MOST_LINE_ROOM = 32.0, 72.0


@dataclass(slots=True)
class Slot:
    """A unit's box, an edge's kernel with its words, or the gap that an edge goes through; `x`, `y` are its middle."""

    width: float
    height: float = BOX_HEIGHT
    x: float = 0.0
    y: float = 0.0


@dataclass(slots=True)
class Layout:
    """Where everything goes, in pixels, y growing downwards.

    `boxes` by unit; in the order of the edges `kernels`, and `routes` all that an edge passes, its kernel among them,
    upstream first; `row_y` the middle of each layer's row, `band_y` of the kernels above it.
    """

    width: float
    height: float
    boxes: dict[str, Slot]
    kernels: list[Slot]
    routes: list[list[Slot]]
    row_y: dict[str, float] = field(default_factory=dict)
    band_y: dict[str, float] = field(default_factory=dict)


class _Plan:
    """Rows of slots and the links between them, before any of them has a place."""

    def __init__(self, rank_count: int) -> None:
        self.ranks: list[list[int]] = [[] for _ in range(rank_count)]
        self.slots: list[Slot] = []
        self.rooms: list[float] = []
        self.links: list[Link] = []

    def add(self, rank: int, slot: Slot, room: float) -> int:
        self.ranks[rank].append(len(self.slots))
        self.slots.append(slot)
        self.rooms.append(room)
        return len(self.slots) - 1

    def order(self, kept: Sequence[Sequence[int]]) -> None:
        self.ranks = order_ranks(self.ranks, self.rooms, self.links, kept)

    def place(self, low: float, high: float) -> None:
        for slot, x in zip(self.slots, place_ranks(self.ranks, self.rooms, self.links, low, high), strict=True):
            slot.x = x


class _Layers:
    """The layers of a circuit with what lies in them and between them."""

    def __init__(
        self, graph: CircuitGraph, layers: Sequence[str], edges: Sequence[CircuitEdge], pairs: Sequence[tuple[str, str]]
    ) -> None:
        self.graph, self.names, self.edges = graph, layers, edges
        depth = {layer: index for index, layer in enumerate(layers)}
        self.ends = [(depth[graph.unit(edge.up).layer], depth[graph.unit(edge.down).layer]) for edge in edges]
        places = range(len(layers))
        self.bands = [[i for i, (up, _) in enumerate(self.ends) if up == place] for place in places]
        # edges that go by a row of units, and those that go through a band above it without a kernel there
        self.past = [sum(1 for up, down in self.ends if up < place < down) for place in places]
        self.paired = {unit for pair in pairs for unit in pair}

    def least(self, place: int) -> tuple[float, float]:
        """Return the narrowest box of a layer's units and the gap between two."""
        is_named = any(unit.label for unit in self.graph.units_of(self.names[place]))
        return (_BOX_NARROWEST, _BOX_GAP) if is_named else (_NAMELESS_NARROWEST, _NAMELESS_GAP)

    def row_need(self, place: int) -> float:
        """Return the least width of a row of units."""
        units = self.graph.units_of(self.names[place])
        beside = sum(_PAIR_GAP for unit in units if unit.uid in self.paired)
        return len(units) * sum(self.least(place)) + beside + self.past[place] * _WAY_WIDTH

    def band_need(self, place: int, floors: int, tile: float) -> float:
        """Return the least width of the band above a layer, with its kernels on so many floors."""
        count = len(self.bands[place])
        on_one = -(-count // floors)
        return on_one * (tile + _KERNEL_GAP) + (count - on_one + self.past[place]) * _WAY_WIDTH

    def floors(self, place: int, room: float, tile: float) -> int:
        """Return how many floors the kernels of a band need to fit into a width, or which number needs least."""
        count = len(self.bands[place])
        if not count:
            return int(self.past[place] > 0)
        for floors in range(1, count + 1):
            if self.band_need(place, floors, tile) <= room:
                return floors
        return min(range(1, count + 1), key=lambda floors: (self.band_need(place, floors, tile), floors))


def lay_out(
    graph: CircuitGraph,
    layers: Sequence[str],
    edges: Sequence[CircuitEdge],
    *,
    top: float,
    tile: float,
    words: float = 16.0,
    pairs: Sequence[tuple[str, str]] = (),
) -> Layout:
    """Give every unit and kernel a place.

    The order within rows is the one that dot finds to cross least; the units' own order stays where it crosses no more.

    Parameters
    ----------
    graph
        Its units are placed.
    layers
        The layers to draw, upstream first: they become rows from the bottom to the top.
    edges
        The edges to draw.
    top
        Where the picture's first row may begin.
    tile
        Width of a kernel; a band has as many floors of kernels as it needs for the page's width.
    words
        Height of the text below a kernel.
    pairs
        Units of one layer that have a mark between them.

    Raises
    ------
    MissingExtraError
        pygraphviz is not installed.
    """
    drawn = _Layers(graph, layers, edges, pairs)
    places = range(len(layers))
    inside = max([PAGE - _LEFT - _RIGHT, *(drawn.row_need(place) for place in places)])
    floors = [drawn.floors(place, inside, tile) for place in places]
    inside = max([inside, *(drawn.band_need(place, floors[place], tile) for place in places if drawn.bands[place])])
    floor_of = [0] * len(edges)
    if max(floors) > 1:
        first = _plan(drawn, [min(1, count) for count in floors], floor_of, tile, words, inside)
        first.plan.order(first.kept)
        for band, count in zip(drawn.bands, floors, strict=True):
            across = [i for rank in first.plan.ranks for i in rank]
            at = {thing: place for place, thing in enumerate(across)}
            for place, i in enumerate(sorted(band, key=lambda i: at[first.kernels[i]])):
                floor_of[i] = place % count
    final = _plan(drawn, floors, floor_of, tile, words, inside)
    final.plan.order(final.kept)
    final.plan.place(_LEFT, _LEFT + inside)
    slots = final.plan.slots
    out = Layout(
        _LEFT + inside + _RIGHT,
        0.0,
        {uid: slots[i] for uid, i in final.boxes.items()},
        [slots[i] for i in final.kernels],
        [[slots[i] for i in route] for route in final.routes],
    )
    _set_heights(out, drawn, floors, final, top, tile + words)
    return out


@dataclass(slots=True)
class _Planned:
    plan: _Plan
    boxes: dict[str, int]
    kernels: list[int]
    routes: list[list[int]]
    kept: list[list[int]]
    base: list[int]


def _plan(
    drawn: _Layers, floors: Sequence[int], floor_of: Sequence[int], tile: float, words: float, inside: float
) -> _Planned:
    base = [place + sum(floors[:place]) for place in range(len(floors))]
    plan = _Plan(base[-1] + 1)
    out = _Planned(plan, {}, [], [], [], base)
    for place, layer in enumerate(drawn.names):
        units = drawn.graph.units_of(layer)
        narrowest, gap = drawn.least(place)
        spare = inside - drawn.row_need(place)
        width = min(_BOX_WIDEST, narrowest + spare / max(1, len(units)))
        for unit in units:
            beside = gap + (_PAIR_GAP if unit.uid in drawn.paired else 0.0)
            out.boxes[unit.uid] = plan.add(base[place], Slot(width), width + beside)
        out.kept.append([out.boxes[unit.uid] for unit in units])
    for i, (edge, (up, down)) in enumerate(zip(drawn.edges, drawn.ends, strict=True)):
        route: list[int] = []
        for place in range(up, down):
            if place > up:
                route.append(plan.add(base[place], Slot(_WAY_WIDTH), _WAY_WIDTH))
            for floor in range(floors[place]):
                rank = base[place] + 1 + floor
                if place == up and floor == floor_of[i]:
                    out.kernels.append(plan.add(rank, Slot(tile, tile + words), tile + _KERNEL_GAP))
                    route.append(out.kernels[-1])
                else:
                    route.append(plan.add(rank, Slot(_WAY_WIDTH, tile + words), _WAY_WIDTH))
        chain = [out.boxes[edge.up], *route, out.boxes[edge.down]]
        kernel = out.kernels[-1]
        for at, (low, high) in enumerate(pairwise(chain)):
            # long edges run straight, next to kernels they may bend a little, next to boxes they bend
            weight = 1.0 if at == 0 or at == len(chain) - 2 else 2.0 if kernel in (low, high) else 8.0
            plan.links.append((low, high, weight))
        out.routes.append(route)
    return out


def _set_heights(
    out: Layout, drawn: _Layers, floors: Sequence[int], planned: _Planned, top: float, floor: float
) -> None:
    plan = planned.plan
    reach = [0.0] * len(plan.ranks)
    """By rank, how far aside the lines above it lead: far ones need more height."""
    row_of = {thing: rank for rank, things in enumerate(plan.ranks) for thing in things}
    for low, high, _ in plan.links:
        reach[row_of[low]] = max(reach[row_of[low]], abs(plan.slots[low].x - plan.slots[high].x))
    y = top
    for place in reversed(range(len(drawn.names))):
        first, count = planned.base[place], floors[place]
        if place < len(drawn.names) - 1:
            if not count:
                y += _EMPTY_BAND
            else:
                y += _line_room(reach[first + count])
                out.band_y[drawn.names[place]] = y + (count * floor + (count - 1) * _FLOOR_GAP) / 2
                for rank in range(first + count, first, -1):
                    for thing in plan.ranks[rank]:
                        plan.slots[thing].y = y + floor / 2
                    y += floor + (_FLOOR_GAP if rank > first + 1 else 0)
                y += _line_room(reach[first])
        out.row_y[drawn.names[place]] = y + BOX_HEIGHT / 2
        for thing in plan.ranks[first]:
            plan.slots[thing].y = y + BOX_HEIGHT / 2
        y += BOX_HEIGHT
    out.height = y


def _line_room(reach: float) -> float:
    return round(min(_MOST_LINE_ROOM, max(_LINE_ROOM, 22 + 0.16 * reach)))
