"""A circuit's picture: every unit and kernel is there, nothing overlaps, signs read without colour."""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitgraph.draw import Picture, draw_circuit
from circuitgraph.draw.layout import BOX_HEIGHT, Layout, lay_out
from circuitgraph.draw.mutual import find_mutual
from circuitgraph.draw.palette import EXCITES, INHIBITS, MIXES, colour
from circuitgraph.draw.ranks import count_crossings, order_ranks, spread
from circuitgraph.errors import GraphError, MissingExtraError, ShapeError
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


def _lines(picture: Picture) -> list[ET.Element]:
    return [path for path in _root(picture).iter(f"{SVG}path") if path.get("class") == "edge"]


def _boxes(picture: Picture) -> set[str]:
    return {str(g.get("data-uid")) for g in _root(picture).iter(f"{SVG}g") if g.get("class") == "unit"}


def _random_circuit(seed: int) -> CircuitGraph:
    """Up to 30 units in 3 to 6 layers and 60 edges, an eighth of which skip layers."""
    rng = np.random.default_rng(seed)
    layers = [f"net/l{i}" for i in range(rng.integers(3, 7))]
    places = np.sort(np.concatenate([np.arange(len(layers)), rng.integers(0, len(layers), 30 - len(layers))]))
    units = [CircuitUnit(f"{layers[place]}:{i}", f"unit {i}", i) for i, place in enumerate(places)]
    pairs = [(up, down) for up in units for down in units if up.layer < down.layer]
    odds = np.array([1.0 if layers.index(down.layer) - layers.index(up.layer) == 1 else 0.12 for up, down in pairs])
    chosen = rng.choice(len(pairs), min(60, len(pairs)), replace=False, p=odds / odds.sum())
    edges = [
        CircuitEdge(pairs[i][0].uid, pairs[i][1].uid, rng.normal(size=(5, 5)) + rng.normal() / 2, share_in=0.1)
        for i in chosen
    ]
    return CircuitGraph(layers, units, edges)


def _tiles(picture: Picture) -> list[list[ET.Element]]:
    return [list(group) for group in _root(picture).iter(f"{SVG}g") if group.get("shape-rendering") == "crispEdges"]


def test_every_unit_and_every_kernel_cell_is_there() -> None:
    graph = _car()
    picture = draw_circuit(graph, title="A car")
    assert {"A car", "windows", "car body", "wheels", "car", "dog 3", "c:447", "d"} <= set(_words(picture))
    tiles = _tiles(picture)
    assert len(tiles) == len(graph.edges) == 7
    for edge, tile in zip(graph.edges, tiles, strict=True):
        full = 1.0 if edge.down == "net/c:447" else 0.1
        assert [rect.get("fill") for rect in tile] == [colour(float(value), full) for value in edge.kernel.ravel()]
    assert {"full colour", "±1.00", "±0.100"} <= set(_words(picture))


def test_one_scale_for_all_kernels_is_drawn_and_printed_where_it_is_asked_for() -> None:
    graph = _car()
    picture = draw_circuit(graph, scale=2.0)
    for edge, tile in zip(graph.edges, _tiles(picture), strict=True):
        assert [rect.get("fill") for rect in tile] == [colour(float(value), 2.0) for value in edge.kernel.ravel()]
    words = _words(picture)
    assert "full colour" not in words
    assert {"−2.00", "+2.00"} <= set(words)


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
    lines = [(path.get("stroke"), path.get("stroke-dasharray")) for path in _lines(picture)]
    assert lines.count((EXCITES, None)) == 3
    assert lines.count((INHIBITS, "7 4")) == 2
    assert lines.count((MIXES, "9 3 2 3")) == 2
    words = _words(picture)
    for first, second in (("↑ +7.2", "↓ −7.2"), ("↑ −7.2", "↓ +7.2")):
        assert words[words.index(first) + 1] == second
    assert "Σ +8.0" in words
    assert "Σ −0.90" in words
    desc = _root(picture).find(f"{SVG}desc")
    assert desc is not None
    assert "car body excites car (sum +8.00)" in str(desc.text)


def test_the_same_circuit_gives_the_same_bytes_in_whatever_order_it_was_built() -> None:
    graph = _car()
    turned = CircuitGraph(graph.layers, reversed(graph.units), reversed(graph.edges))
    assert draw_circuit(graph).svg == draw_circuit(turned).svg


HOSTILE = (
    "<script>alert(1)</script>\x00\x1b\u202e\u2066&\"'\ud800]]>",
    "--></text><image href='javascript:alert(1)'/>",
    '" onload="alert(1)',
    "&#60;script&#62;",
    "x" * 10_000,
    "\u202e" * 10_000,
)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_label_is_text_and_nothing_else(hostile: str) -> None:
    picture = draw_circuit(_car(label=hostile), title=hostile, roles={"net/b:0": hostile, "net/c:447": hostile})
    known = {"svg", "title", "desc", "g", "rect", "text", "path", "circle"}
    for node in _root(picture).iter():
        assert node.tag.removeprefix(SVG) in known
        assert not any(name.startswith("on") or "href" in name for name in node.attrib)
    assert not set(picture.svg) & {"\x00", "\x1b", "\u202e", "\u2066", "\ud800"}
    assert max(map(len, _words(picture))) < 130
    assert len(picture.svg) < 200_000
    picture.svg.encode("utf-8")


def test_a_label_longer_than_its_box_is_cut_and_kept_whole_in_its_title() -> None:
    label = "a very long label " * 20
    picture = draw_circuit(_car(label=label))
    assert max(map(len, _words(picture))) < 100
    assert label.strip() in picture.svg


def test_edges_left_out_are_counted_and_the_strongest_stay() -> None:
    picture = draw_circuit(_car(), max_edges=3)
    assert "Showing the 3 strongest of 7 edges, by l1 and 4 of 8 units." in _words(picture)
    assert len(_tiles(picture)) == 3
    assert {len(tile) for tile in _tiles(picture)} == {25}


def test_a_unit_whose_edges_are_all_left_out_has_no_box_and_is_counted() -> None:
    car = _car()
    alone = CircuitUnit("net/b:9", "alone", 9)
    graph = CircuitGraph(car.layers, [*car.units, alone], car.edges)
    picture = draw_circuit(graph, max_edges=3)
    # the dogs' edges are the weakest; who never had an edge keeps its box
    ends = {uid for edge in graph.edges if edge.down == "net/c:447" for uid in (edge.up, edge.down)}
    assert _boxes(picture) == ends | {alone.uid}
    words = _words(picture)
    assert "Showing the 3 strongest of 7 edges, by l1 and 5 of 9 units." in words
    assert "Left out: 4 units with none of these edges." in words
    with_role = draw_circuit(graph, max_edges=3, roles={"net/d:2": "case"})
    assert _boxes(with_role) == ends | {alone.uid, "net/d:2"}
    around = CircuitGraph(graph.layers, graph.units, graph.edges, attributes={"around": {"unit": "net/d:0"}})
    assert "Left out: 3 units with none of these edges." in _words(draw_circuit(around, max_edges=3))


def test_words_below_kernels_keep_to_their_kernels() -> None:
    mixed = np.zeros((3, 3))
    mixed[0], mixed[2] = -7.2e-5 / 3, 7.3e-5 / 3
    ups = [CircuitUnit(f"net/b:{i}", "", i) for i in range(12)]
    down = CircuitUnit("net/c:0")
    graph = CircuitGraph(["net/b", "net/c"], [*ups, down], [CircuitEdge(up.uid, down.uid, mixed) for up in ups])
    root = _root(draw_circuit(graph))
    said: dict[float, list[tuple[float, float]]] = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "kernel":
            for line in group.iter(f"{SVG}text"):
                half = len(str(line.text)) * 0.56 * float(str(line.get("font-size"))) / 2
                x = float(str(line.get("x")))
                said.setdefault(float(str(line.get("y"))), []).append((x - half, x + half))
    assert said
    for lines in said.values():
        lines.sort()
        assert all(after[0] - before[1] >= 2 for before, after in pairwise(lines))


def test_line_width_grows_with_the_share() -> None:
    assert {float(path.attrib["stroke-width"]) for path in _lines(draw_circuit(_car()))} == {3.0, 1.65}


def _lay_out(graph: CircuitGraph) -> Layout:
    return lay_out(graph, [layer for layer in graph.layers if graph.units_of(layer)], graph.edges, top=10, tile=58)


def _stretches(graph: CircuitGraph, layout: Layout, place: int) -> Iterator[tuple[tuple[float, float], ...]]:
    """The straight stretches from box to box that an edge's line follows."""
    edge = graph.edges[place]
    start, stop = layout.boxes[edge.up], layout.boxes[edge.down]
    points = [(start.x, start.y - BOX_HEIGHT / 2)]
    for slot in layout.routes[place]:
        points += [(slot.x, slot.y + slot.height / 2), (slot.x, slot.y - slot.height / 2)]
    return pairwise([*points, (stop.x, stop.y + BOX_HEIGHT / 2)])


@pytest.mark.parametrize("seed", range(5))
def test_nothing_overlaps_and_no_line_runs_through_what_it_does_not_join(seed: int) -> None:
    graph = _random_circuit(seed)
    layout = _lay_out(graph)
    things = {uid: (slot.x, slot.y, slot.width, slot.height) for uid, slot in layout.boxes.items()}
    things |= {str(i): (slot.x, slot.y, slot.width, slot.height) for i, slot in enumerate(layout.kernels)}
    assert len(things) == len(graph.units) + len(graph.edges)
    for (x, y, width, height), (other_x, other_y, other_width, other_height) in combinations(things.values(), 2):
        is_apart = abs(x - other_x) >= (width + other_width) / 2 - 0.01
        assert is_apart or abs(y - other_y) >= (height + other_height) / 2 - 0.01
    for x, _, width, _ in things.values():
        assert width / 2 <= x <= layout.width - width / 2
    for place, edge in enumerate(graph.edges):
        others = [thing for name, thing in things.items() if name not in (edge.up, edge.down, str(place))]
        for start, stop in _stretches(graph, layout, place):
            assert start[1] >= stop[1]
            for part in np.linspace(0, 1, 9):
                x, y = (a + (b - a) * part for a, b in zip(start, stop, strict=True))
                assert not any(abs(x - ox) < w / 2 - 1 and abs(y - oy) < h / 2 - 1 for ox, oy, w, h in others)


def test_units_change_places_only_where_fewer_lines_cross_then() -> None:
    kernel = np.ones((3, 3))
    ups, downs = ([CircuitUnit(f"net/{layer}:{i}", order=i) for i in range(4)] for layer in "ab")
    straight = [CircuitEdge(up.uid, down.uid, kernel) for up, down in zip(ups, downs, strict=True)]
    boxes = _lay_out(CircuitGraph(["net/a", "net/b"], ups + downs, straight)).boxes
    assert [uid for uid, _ in sorted(boxes.items(), key=lambda box: (box[1].y, box[1].x))] == [
        *(unit.uid for unit in downs),
        *(unit.uid for unit in ups),
    ]
    across = [CircuitEdge(up.uid, down.uid, kernel) for up, down in zip(ups, reversed(downs), strict=True)]
    boxes = _lay_out(CircuitGraph(["net/a", "net/b"], ups + downs, across)).boxes
    rank = {layer: sorted((u for u in boxes if layer in u), key=lambda u: boxes[u].x) for layer in ("a:", "b:")}
    assert [uid[-1] for uid in rank["a:"]] == [uid[-1] for uid in reversed(rank["b:"])]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(6, 11)), max_size=14))
def test_crossings_are_those_that_brute_force_counts(ends: list[tuple[int, int]]) -> None:
    links = [(low, high, 1.0) for low, high in ends]
    brute = sum(1 for (a, b), (c, d) in combinations(ends, 2) if (a - c) * (b - d) < 0)
    assert count_crossings([range(6), range(6, 12)], links) == brute


def test_every_thing_of_a_row_stays_in_it_though_nothing_leads_to_it() -> None:
    ranks = [[0, 1, 2], [3], [4, 5], [6, 7]]
    ordered = order_ranks(ranks, [40.0] * 8, [(0, 3, 1.0), (5, 6, 1.0), (4, 7, 1.0)], [[0, 1, 2], [6, 7]])
    assert [sorted(row) for row in ordered] == ranks
    assert count_crossings(ordered, [(5, 6, 1.0), (4, 7, 1.0)]) == 0


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


def _ladder(*, cross: float = -1.0, other_cross: float = -1.0) -> CircuitGraph:
    """Two pathways: each excites its own side and, by `cross`, the other."""
    units = [
        CircuitUnit(f"net/{layer}:{i}", f"{side} {layer}", i)
        for layer in "abc"
        for i, side in enumerate(("left", "right"))
    ]
    kernel = np.ones((3, 3))
    edges = [
        CircuitEdge(f"net/{low}:{i}", f"net/{high}:{j}", kernel * (1.0 if i == j else (cross, other_cross)[i]))
        for low, high in ("ab", "bc")
        for i in (0, 1)
        for j in (0, 1)
    ]
    return CircuitGraph(["net/a", "net/b", "net/c"], units, edges)


def test_two_pathways_that_inhibit_each_other_are_joined_by_a_mark() -> None:
    found = find_mutual(_ladder())
    assert [(pair.left, pair.right) for pair in found] == [("net/b:0", "net/b:1"), ("net/c:0", "net/c:1")]
    assert (found[0].left_source, found[0].right_source, found[0].strength) == ("net/a:0", "net/a:1", 9.0)
    picture = draw_circuit(_ladder())
    marks = [group for group in _root(picture).iter(f"{SVG}g") if group.get("class") == "pair"]
    assert [mark.findtext(f"{SVG}title") for mark in marks] == [
        "b:0 and b:1: what excites one inhibits the other",
        "c:0 and c:1: what excites one inhibits the other",
    ]
    assert "inhibit each other" in _words(picture)
    assert "what excites left b inhibits right b, and the reverse" in str(_root(picture).findtext(f"{SVG}desc"))


@pytest.mark.parametrize(("cross", "other_cross"), [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (0.0, 0.0)])
def test_pathways_that_do_not_both_inhibit_are_not_marked(cross: float, other_cross: float) -> None:
    graph = _ladder(cross=cross, other_cross=other_cross)
    assert find_mutual(graph) == []
    assert "inhibit each other" not in _words(draw_circuit(graph))


def test_of_many_pairs_each_unit_has_one_mark_and_the_rest_is_counted() -> None:
    kernel = np.ones((3, 3))
    ups = [CircuitUnit(f"net/a:{i}", order=i) for i in range(4)]
    downs = [CircuitUnit(f"net/b:{i}", order=i) for i in range(4)]
    edges = [CircuitEdge(u.uid, d.uid, kernel * (1 if u.order == d.order else -1)) for u in ups for d in downs]
    picture = draw_circuit(CircuitGraph(["net/a", "net/b"], ups + downs, edges))
    assert sum(group.get("class") == "pair" for group in _root(picture).iter(f"{SVG}g")) == 2
    assert any("6 pairs, 2 marked" in words for words in _words(picture))


def test_a_role_stands_on_its_unit() -> None:
    picture = draw_circuit(_car(), roles={"net/b:1": "case A"})
    group = next(g for g in _root(picture).iter(f"{SVG}g") if g.get("data-uid") == "net/b:1")
    assert "case A" in ["".join(words.itertext()) for words in group.iter(f"{SVG}text")]
    assert group.findtext(f"{SVG}title") == "car body (net/b:1), role: case A"


def test_a_large_circuit_is_bounded_and_says_so() -> None:
    layers = [f"net/l{i}" for i in range(4)]
    units = [CircuitUnit(f"{layer}:{i}", order=i) for layer in layers for i in range(500)]
    rng = np.random.default_rng(3)
    ends = {
        (f"net/l{a}:{rng.integers(500)}", f"net/l{a + 1}:{rng.integers(500)}") for a in (0, 1, 2) for _ in range(700)
    }
    edges = [CircuitEdge(up, down, rng.normal(size=(3, 3))) for up, down in sorted(ends)]
    graph = CircuitGraph(layers, units, edges)
    picture = draw_circuit(graph)
    shown = {str(g.get("data-uid")) for g in _root(picture).iter(f"{SVG}g") if g.get("class") == "unit"}
    count = len(_tiles(picture))
    assert f"Showing the {count} strongest of {len(edges):,} edges, by l1 and 60 of 2,000 units." in _words(picture)
    assert (len(shown), count <= 60) == (60, True)
    strongest = max(edges, key=lambda edge: float(np.abs(edge.kernel).sum()))
    assert {strongest.up, strongest.down} <= shown
    assert len(picture.svg) < 400_000
    most = draw_circuit(graph, max_edges=10_000, max_units=10_000)
    assert len([g for g in _root(most).iter(f"{SVG}g") if g.get("class") == "unit"]) == 120


def test_thirty_units_and_sixty_edges_are_drawn_within_a_second() -> None:
    graph = _random_circuit(11)
    assert (len(graph.units), len(graph.edges)) == (30, 60)
    draw_circuit(_car())
    begun = time.process_time()
    picture = draw_circuit(graph)
    assert time.process_time() - begun < 1
    assert len(_tiles(picture)) == 60


def test_graphviz_says_nothing_and_gives_the_same_bytes_in_every_process_and_thread(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = (
        "import numpy as np; from circuitgraph.graph import *\n"
        "units = [CircuitUnit(f'net/{l}:{i}', order=i) for l in 'abc' for i in range(4)]\n"
        "edges = [CircuitEdge(u.uid, d.uid, np.full((3, 3), (-1.0) ** (u.order * d.order)))\n"
        "         for u in units for d in units if u.layer < d.layer and (u.order + 2 * d.order) % 3]\n"
        "graph = CircuitGraph(['net/a', 'net/b', 'net/c'], units, edges)\n"
    )
    names: dict[str, CircuitGraph] = {}
    exec(code, names)
    graph = names["graph"]
    once = draw_circuit(graph).svg
    with ThreadPoolExecutor(4) as pool:
        assert {picture.svg for picture in pool.map(draw_circuit, [graph] * 8)} == {once}
    again = subprocess.run(
        [sys.executable, "-c", f"{code}import sys; sys.stdout.buffer.write(graph._repr_svg_().encode())"],
        check=True,
        capture_output=True,
        env={"PYTHONHASHSEED": "7", "HOME": "/nonexistent", "PATH": ""},
    )
    assert (again.stdout.decode(), again.stderr) == (once, b"")
    assert capfd.readouterr() == ("", "")


def test_a_circuit_shows_itself_in_a_notebook() -> None:
    assert _car()._repr_svg_() == draw_circuit(_car()).svg
    assert CircuitGraph(["net/b"], [])._repr_svg_() is None


def test_without_graphviz_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(MissingExtraError, match="pygraphviz") as caught:
        draw_circuit(_car())
    assert "feature-circuitgraph[draw]" in str(caught.value)
    assert _car()._repr_svg_() is None


def test_units_alone_are_drawn_and_nothing_at_all_is_refused() -> None:
    alone = draw_circuit(CircuitGraph(["net/b"], [CircuitUnit("net/b:0")]))
    assert "b:0" in _words(alone)
    with pytest.raises(GraphError, match="0 units"):
        draw_circuit(CircuitGraph(["net/b"], []))
    with pytest.raises(ShapeError, match="scale is 0"):
        draw_circuit(_car(), scale=0)
