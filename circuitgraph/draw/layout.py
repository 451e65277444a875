"""Places for a layered drawing: units in rows, kernels in the bands between, long edges around what lies between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from circuitgraph.graph import CircuitEdge, CircuitGraph

__all__ = ["BOX_HEIGHT", "Layout", "Slot", "lay_out", "spread"]

BOX_HEIGHT = 42.0
PAGE = 720.0
LEFT, RIGHT = 96.0, 16.0
_BOX_WIDEST, _BOX_NARROWEST, _BOX_GAP = 132.0, 58.0, 12.0
_WAY_WIDTH = 14.0
_LINE_ROOM = 34.0


@dataclass(slots=True)
class Slot:
    """A unit's box, or the gap that a long edge goes through; `x` and `y` are its middle."""

    width: float
    height: float = BOX_HEIGHT
    x: float = 0.0
    y: float = 0.0


@dataclass(slots=True)
class Layout:
    """Where everything goes, in pixels, y growing downwards.

    `boxes` by unit; `kernels` the middle of each edge's kernel and `ways` the gaps that it goes through, upstream
    first, both in the order of the edges; `row_y` the middle of each layer's row.
    """

    width: float
    height: float
    boxes: dict[str, Slot]
    kernels: list[tuple[float, float]]
    ways: list[list[Slot]]
    row_y: dict[str, float] = field(default_factory=dict)


def spread(wanted: Sequence[float], widths: Sequence[float], low: float, high: float) -> list[float]:
    """Place things in a row, in their given order, near where they want to be and without overlap.

    Parameters
    ----------
    wanted
        The middle that each would like.
    widths
        Room that each takes; their sum must fit between `low` and `high`.

    Returns
    -------
    list of float
        Middles. Things that would overlap form a group around the mean of their wishes.
    """
    groups: list[tuple[float, float, int]] = []  # (start, width, count)
    for middle, width in zip(wanted, widths, strict=True):
        start, total, count = min(max(middle - width / 2, low), high - width), width, 1
        while groups and groups[-1][0] + groups[-1][1] > start:
            before_start, before_width, before_count = groups.pop()
            start = (before_start * before_count + (start - before_width) * count) / (before_count + count)
            total, count = total + before_width, count + before_count
            start = min(max(start, low), high - total)
        groups.append((start, total, count))
    out: list[float] = []
    for start, _, count in groups:
        at = start
        for width in widths[len(out) : len(out) + count]:
            out.append(at + width / 2)
            at += width
    return out


def lay_out(
    graph: CircuitGraph, layers: Sequence[str], edges: Sequence[CircuitEdge], *, top: float, tile: float
) -> Layout:
    """Give every unit and kernel a place.

    Parameters
    ----------
    graph
        Its units are placed in their order.
    layers
        The layers to draw, upstream first: they become rows from the bottom to the top.
    edges
        The edges to draw.
    top
        Where the picture's first row may begin.
    tile
        Width of a kernel with its text; a band has as many rows of kernels as it needs.
    """
    depth = {layer: index for index, layer in enumerate(layers)}
    rows: list[list[Slot]] = []
    boxes: dict[str, Slot] = {}
    counts = [len(graph.units_of(layer)) for layer in layers]
    ends = [(depth[graph.unit(edge.up).layer], depth[graph.unit(edge.down).layer]) for edge in edges]
    through = [sum(1 for up, down in ends if up < index < down) for index in range(len(layers))]
    width = max(
        [PAGE]
        + [
            LEFT + RIGHT + count * (_BOX_NARROWEST + _BOX_GAP) + passing * _WAY_WIDTH
            for count, passing in zip(counts, through, strict=True)
        ]
    )
    low, high = LEFT, width - RIGHT
    for layer, count, passing in zip(layers, counts, through, strict=True):
        room = (high - low - passing * _WAY_WIDTH) / max(1, count) - _BOX_GAP
        box = min(_BOX_WIDEST, max(_BOX_NARROWEST, room))
        row = [Slot(box) for _ in range(count)]
        share = (high - low) / max(1, count)
        pitch = min(share, box * 1.6)
        for place, (unit, slot) in enumerate(zip(graph.units_of(layer), row, strict=True)):
            slot.x = (low + high) / 2 + (place - (count - 1) / 2) * pitch
            boxes[unit.uid] = slot
        rows.append(row)
    ways = _open_ways(rows, boxes, edges, ends, low, high)
    per_row = max(1, int((high - low - _WAY_WIDTH * max(through)) // (tile + 4)))
    bands = [[i for i, (up, _) in enumerate(ends) if up == index] for index in range(len(layers))]
    heights = [-(-len(band) // per_row) * (tile + 16) + _LINE_ROOM * 2 if band else 44.0 for band in bands]
    y = top + sum(heights[:-1]) + BOX_HEIGHT * (len(layers) - 0.5)
    height = y + BOX_HEIGHT / 2
    kernels = [(0.0, 0.0)] * len(edges)
    row_y: dict[str, float] = {}
    passed: list[list[Slot]] = [[] for _ in edges]
    for index, (layer, band) in enumerate(zip(layers, bands, strict=True)):
        row_y[layer] = y
        for slot in rows[index]:
            slot.y = y
        wish = {i: (boxes[edges[i].up].x + (ways[i][0].x if ways[i] else boxes[edges[i].down].x)) / 2 for i in band}
        ordered = sorted(band, key=lambda i: (wish[i], boxes[edges[i].up].x, i))
        floors = -(-len(ordered) // per_row)
        crossing = [i for i, (up, down) in enumerate(ends) if up < index < down]
        for floor in range(floors):
            wishes = [(wish[i], i, tile + 4) for i in ordered[floor::floors]]
            wishes += [
                (boxes[edges[i].down].x * 0.3 + ways[i][index - ends[i][0] - 1].x * 0.7, i, _WAY_WIDTH)
                for i in crossing
            ]
            wishes.sort()
            places = spread([x for x, _, _ in wishes], [room for _, _, room in wishes], low, high)
            middle = y - BOX_HEIGHT / 2 - _LINE_ROOM - (tile + 16) * (floor + 0.5)
            for x, (_, i, room) in zip(places, wishes, strict=True):
                if room > _WAY_WIDTH:
                    kernels[i] = (x, middle)
                else:
                    passed[i].append(Slot(room, tile, x, middle))
        y -= heights[index] + BOX_HEIGHT
    ways = [
        sorted(rows_of + bands_of, key=lambda slot: -slot.y) for rows_of, bands_of in zip(ways, passed, strict=True)
    ]
    return Layout(width, height, boxes, kernels, ways, row_y)


def _open_ways(
    rows: list[list[Slot]],
    boxes: dict[str, Slot],
    edges: Sequence[CircuitEdge],
    ends: Sequence[tuple[int, int]],
    low: float,
    high: float,
) -> list[list[Slot]]:
    ways: list[list[Slot]] = [[] for _ in edges]
    for index, row in enumerate(rows):
        for i, (up, down) in enumerate(ends):
            if up < index < down:
                start, stop = boxes[edges[i].up].x, boxes[edges[i].down].x
                slot = Slot(_WAY_WIDTH, x=start + (stop - start) * (index - up) / (down - up))
                ways[i].append(slot)
                row.append(slot)
        row.sort(key=lambda slot: slot.x)
        gaps = [slot.width + (_BOX_GAP if slot.width > _WAY_WIDTH else 0.0) for slot in row]
        for slot, x in zip(row, spread([slot.x for slot in row], gaps, low, high), strict=True):
            slot.x = x
    return ways
