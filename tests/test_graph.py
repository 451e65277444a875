"""A circuit in memory keeps its order, refuses contradictions, and survives networkx."""

from __future__ import annotations

import random

import numpy as np
import pytest

from circuitgraph.errors import GraphError, IdError, NonFiniteError, ShapeError, UnknownLayerError, UnknownUnitError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit

LAYERS = ["net/a", "net/b", "net/c"]


def _units() -> list[CircuitUnit]:
    return [
        CircuitUnit("net/a:5", "windows", 0),
        CircuitUnit("net/a:2", "wheels", 1),
        CircuitUnit("net/b:7", "car"),
        CircuitUnit("net/c@dog", "dog"),
    ]


def _edges() -> list[CircuitEdge]:
    rng = np.random.default_rng(4)
    return [
        CircuitEdge("net/a:5", "net/b:7", rng.normal(size=(5, 5)), anchor=(2, 2), share_in=0.25),
        CircuitEdge("net/a:2", "net/b:7", rng.normal(size=(3, 4)), anchor=(-1, 1.5)),
        CircuitEdge("net/b:7", "net/c@dog", rng.normal(size=(1, 1)), share_in=1.0),
        CircuitEdge("net/a:5", "net/c@dog", rng.normal(size=(2, 7))),
    ]


def test_to_networkx_and_back_is_identity_kernels_included() -> None:
    graph = CircuitGraph(LAYERS, _units(), _edges())
    back = CircuitGraph.from_networkx(graph.to_networkx())
    assert back == graph
    for ours, theirs in zip(graph.edges, back.edges, strict=True):
        np.testing.assert_array_equal(ours.kernel, theirs.kernel)
        assert (ours.anchor, ours.share_in) == (theirs.anchor, theirs.share_in)


def test_networkx_sees_the_units_and_their_labels() -> None:
    graph = CircuitGraph(LAYERS, _units(), _edges()).to_networkx()
    assert graph.nodes["net/a:5"] == {"layer": "net/a", "order": 0, "label": "windows"}
    assert graph.edges["net/a:5", "net/b:7"]["kernel"].shape == (5, 5)


def test_the_order_in_which_units_and_edges_are_given_does_not_matter() -> None:
    units, edges = _units(), _edges()
    straight = CircuitGraph(LAYERS, units, edges)
    random.Random(3).shuffle(units)
    random.Random(5).shuffle(edges)
    assert CircuitGraph(LAYERS, units, edges) == straight
    assert [unit.label for unit in straight.units_of("net/a")] == ["windows", "wheels"]


def test_one_changed_weight_makes_another_circuit() -> None:
    edges = _edges()
    kernel = edges[0].kernel.copy()
    kernel[0, 0] += 1
    changed = CircuitEdge(edges[0].up, edges[0].down, kernel, anchor=(2, 2), share_in=0.25)
    assert CircuitGraph(LAYERS, _units(), [changed, *edges[1:]]) != CircuitGraph(LAYERS, _units(), edges)


def test_a_kernel_is_copied_and_cannot_be_written() -> None:
    kernel = np.ones((2, 2), dtype=np.float32)
    edge = CircuitEdge("net/a:5", "net/b:7", kernel)
    kernel[0, 0] = 9
    assert edge.kernel[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        edge.kernel[0, 0] = 2


@pytest.mark.parametrize(
    "kernel", [np.zeros((2, 2, 2)), np.zeros(3), np.zeros((0, 3)), [["a"]], [[1, 2], [3]], [[1j]]], ids=repr
)
def test_what_is_no_kernel_is_refused_with_the_edge_named(kernel: object) -> None:
    with pytest.raises(ShapeError, match=r"edge net/a:5 -> net/b:7"):
        CircuitEdge("net/a:5", "net/b:7", kernel)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_weight_that_is_not_finite_is_named(bad: float) -> None:
    kernel = np.zeros((3, 3))
    kernel[1, 2] = bad
    with pytest.raises(NonFiniteError, match=r"1 of 9 weights .* at row 1, col 2"):
        CircuitEdge("net/a:5", "net/b:7", kernel)


def test_contradictions_are_refused() -> None:
    unit, kernel = CircuitUnit("net/a:5"), [[1.0]]
    with pytest.raises(GraphError, match="2 units are given, 1 are different"):
        CircuitGraph(LAYERS, [unit, unit])
    with pytest.raises(GraphError, match="2 layers are given, 1 are different"):
        CircuitGraph(["net/a", "net/a"], [])
    with pytest.raises(UnknownLayerError, match="'net/d'"):
        CircuitGraph(LAYERS, [CircuitUnit("net/d:0")])
    with pytest.raises(UnknownUnitError, match="'net/b:9'"):
        CircuitGraph(LAYERS, [unit], [CircuitEdge("net/a:5", "net/b:9", kernel)])
    with pytest.raises(GraphError, match="not downstream"):
        CircuitGraph(LAYERS, _units(), [CircuitEdge("net/b:7", "net/a:5", kernel)])
    with pytest.raises(GraphError, match="2 edges join 1 pairs"):
        CircuitGraph(LAYERS, _units(), [CircuitEdge("net/a:5", "net/b:7", kernel)] * 2)
    with pytest.raises(GraphError, match="between 0 and 1"):
        CircuitEdge("net/a:5", "net/b:7", kernel, share_in=1.5)
    with pytest.raises(GraphError, match="anchor"):
        CircuitEdge("net/a:5", "net/b:7", kernel, anchor=(0.0, float("nan")))
    with pytest.raises(IdError):
        CircuitGraph(LAYERS, [CircuitUnit("car")])


def test_a_networkx_graph_without_layers_or_kernels_is_refused() -> None:
    graph = CircuitGraph(LAYERS, _units(), _edges()).to_networkx()
    del graph.edges["net/a:5", "net/b:7"]["kernel"]
    with pytest.raises(GraphError, match="net/a:5 -> net/b:7 has no attribute 'kernel'"):
        CircuitGraph.from_networkx(graph)
    del graph.graph["layers"]
    with pytest.raises(GraphError, match="'layers'"):
        CircuitGraph.from_networkx(graph)
    with pytest.raises(GraphError, match="DiGraph"):
        CircuitGraph.from_networkx(graph.to_undirected())
