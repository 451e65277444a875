"""A circuit's picture: every unit and kernel is there, nothing overlaps, signs read without colour."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitgraph.draw import Picture, draw_circuit
from circuitgraph.draw.layout import lay_out, spread
from circuitgraph.draw.palette import EXCITES, INHIBITS, MIXES, colour
from circuitgraph.errors import GraphError, ShapeError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit

SVG = "{http://www.w3.org/2000/svg}"
TOP_BOTTOM = np.outer([1, 0.8, 0, -0.8, -1], [0.5, 1, 1, 1, 0.5])
BODY = np.outer([0, 0, 0, 1, 1], [0.5, 1, 1, 1, 0.5])


def _car(*, label: str = "windows") -> CircuitGraph:
    names = [label, "car body", "wheels"]
    ups = [CircuitUnit(f"net/b:{channel}", name, channel) for channel, name in enumerate(names)]
    car = CircuitUnit("net/c:447", "car")
    dogs = [CircuitUnit(f"net/d:{channel}", f"dog {channel}", channel) for channel in range(4)]
    edges = [
        CircuitEdge(up.uid, car.uid, kernel, share_in=0.2)
        for up, kernel in zip(ups, (TOP_BOTTOM, BODY, -TOP_BOTTOM), strict=True)
    ]
    edges += [CircuitEdge(car.uid, dog.uid, np.full((3, 3), (-1) ** dog.order * 0.1), share_in=0.05) for dog in dogs]
    return CircuitGraph(["net/b", "net/c", "net/d"], [*ups, car, *dogs], edges)


def _root(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)


def _words(picture: Picture) -> list[str]:
    return ["".join(text.itertext()) for text in _root(picture).iter(f"{SVG}text")]


def _tiles(picture: Picture) -> list[list[ET.Element]]:
    return [list(group) for group in _root(picture).iter(f"{SVG}g") if group.get("shape-rendering") == "crispEdges"]


def test_every_unit_and_every_kernel_cell_is_there() -> None:
    graph = _car()
    picture = draw_circuit(graph, title="A car")
    assert {"A car", "windows", "car body", "wheels", "car", "dog 3", "c:447", "d"} <= set(_words(picture))
    tiles = _tiles(picture)
    assert len(tiles) == len(graph.edges) == 7
    for edge, tile in zip(graph.edges, tiles, strict=True):
        assert [rect.get("fill") for rect in tile] == [colour(float(value), 1.0) for value in edge.kernel.ravel()]


def test_it_is_a_page_wide_and_stands_on_white() -> None:
    root = _root(draw_circuit(_car()))
    assert root.get("width") == "720"
    ground = root.find(f"{SVG}rect")
    assert ground is not None
    assert (ground.get("fill"), ground.get("width"), ground.get("height")) == ("#ffffff", "720", root.get("height"))


def test_the_downstream_layer_is_above_the_upstream_one() -> None:
    places = {
        "".join(text.itertext()): float(text.attrib["y"]) for text in _root(draw_circuit(_car())).iter(f"{SVG}text")
    }
    assert places["dog 0"] < places["car"] < places["windows"] == places["wheels"]


def test_sign_is_told_by_colour_dashes_and_words_together() -> None:
    picture = draw_circuit(_car())
    lines = [
        (path.get("stroke"), path.get("stroke-dasharray"))
        for path in _root(picture).iter(f"{SVG}path")
        if "C" in path.attrib["d"]
    ]
    assert lines.count((EXCITES, None)) == 3
    assert lines.count((INHIBITS, "7 4")) == 2
    assert lines.count((MIXES, "9 3 2 3")) == 2
    words = _words(picture)
    assert "↑ +7.2 ↓ −7.2" in words
    assert "↑ −7.2 ↓ +7.2" in words
    assert "Σ +8.0" in words
    assert "Σ −0.90" in words
    desc = _root(picture).find(f"{SVG}desc")
    assert desc is not None
    assert "car body excites car (sum +8.00)" in str(desc.text)


def test_the_same_circuit_gives_the_same_bytes_in_whatever_order_it_was_built() -> None:
    graph = _car()
    turned = CircuitGraph(graph.layers, reversed(graph.units), reversed(graph.edges))
    assert draw_circuit(graph).svg == draw_circuit(turned).svg


def test_a_hostile_label_is_text_and_nothing_else() -> None:
    hostile = "<script>alert(1)</script>\x00\x1b\u202e&\"'\ud800"
    picture = draw_circuit(_car(label=hostile), title=hostile)
    tags = {node.tag.removeprefix(SVG) for node in _root(picture).iter()}
    assert tags <= {"svg", "title", "desc", "g", "rect", "text", "path", "circle"}
    assert not set(picture.svg) & {"\x00", "\x1b", "\u202e", "\ud800"}
    picture.svg.encode("utf-8")


def test_a_label_longer_than_its_box_is_cut_and_kept_whole_in_its_title() -> None:
    label = "a very long label " * 20
    picture = draw_circuit(_car(label=label))
    assert max(map(len, _words(picture))) < 100
    assert label.strip() in picture.svg


def test_edges_left_out_are_counted_and_the_strongest_stay() -> None:
    picture = draw_circuit(_car(), max_edges=3)
    assert "Showing the 3 strongest of 7 edges, by l1." in _words(picture)
    assert len(_tiles(picture)) == 3
    assert {len(tile) for tile in _tiles(picture)} == {25}


def test_line_width_grows_with_the_share() -> None:
    widths = {
        float(path.attrib["stroke-width"])
        for path in _root(draw_circuit(_car())).iter(f"{SVG}path")
        if "C" in path.attrib["d"]
    }
    assert widths == {3.0, 1.65}


def test_kernels_and_boxes_do_not_overlap_in_a_crowded_circuit() -> None:
    layers = [f"net/l{i}" for i in range(4)]
    units = [CircuitUnit(f"{layer}:{i}", order=i) for layer in layers for i in range(5)]
    rng = np.random.default_rng(7)
    edges = [
        CircuitEdge(up.uid, down.uid, rng.normal(size=(3, 3)))
        for up in units
        for down in units
        if up.layer < down.layer and rng.random() < 0.25
    ]
    layout = lay_out(CircuitGraph(layers, units, edges), layers, edges, top=10, tile=58)
    things = [(slot.x, slot.y, slot.width, 42.0) for slot in layout.boxes.values()]
    things += [(x, y, 58.0, 70.0) for x, y in layout.kernels]
    for place, (x, y, width, height) in enumerate(things):
        assert width / 2 <= x <= layout.width - width / 2
        for other_x, other_y, other_width, other_height in things[place + 1 :]:
            assert (
                abs(x - other_x) >= (width + other_width) / 2 - 0.01 or abs(y - other_y) >= (height + other_height) / 2
            )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-100, 500), st.floats(1, 20)), max_size=15))
def test_spread_keeps_order_and_bounds_without_overlap(things: list[tuple[float, float]]) -> None:
    things.sort()
    widths = [width for _, width in things]
    places = spread([wish for wish, _ in things], widths, 0, 400)
    edge = 0.0
    for place, width in zip(places, widths, strict=True):
        assert place - width / 2 >= edge - 1e-6
        edge = place + width / 2
    assert edge <= 400 + 1e-6


def test_units_alone_are_drawn_and_nothing_at_all_is_refused() -> None:
    alone = draw_circuit(CircuitGraph(["net/b"], [CircuitUnit("net/b:0")]))
    assert "b:0" in _words(alone)
    with pytest.raises(GraphError, match="0 units"):
        draw_circuit(CircuitGraph(["net/b"], []))
    with pytest.raises(ShapeError, match="scale is 0"):
        draw_circuit(_car(), scale=0)
