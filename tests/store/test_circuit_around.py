"""The circuit around a unit is the same from the graph database as from its bundle, and says what it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.subgraph import circuit_around
from circuitgraph.errors import CatalogueError, UnknownUnitError
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.testing.bundles import write_synthetic_bundle


@pytest.fixture(scope="module")
def bundle(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    path = tmp_path_factory.mktemp("around") / "around.circuit"
    made = write_synthetic_bundle(path, network="around", unit_counts=(3, 16, 12, 8), with_every_form=True)
    store.load(made, edges="all", way="append")
    yield made
    remove_network(store, "around")


@pytest.mark.parametrize(
    ("unit", "options"),
    [
        ("around/layer2:5", {"hops": 2, "top": 3}),
        ("layer2:5", {"hops": 1, "top": 200, "by": "share_in", "min_share": 0.05}),
        ("layer1:1", {"hops": 2, "top": 4, "by": "l1"}),
        ("layer3:7", {"hops": 3, "top": 2}),
        ("layer0:0", {"hops_up": 1, "hops_down": 0}),
    ],
)
def test_a_bundle_and_its_graph_give_the_same_circuit(store: Store, bundle: Bundle, unit: str, options: dict) -> None:
    wanted, found = circuit_around(bundle, unit, **options), circuit_around(store, unit, **options)
    assert found == wanted
    assert [edge.kernel.tobytes() for edge in found.edges] == [edge.kernel.tobytes() for edge in wanted.edges]
    assert found.attributes["left_out"] == []


def test_the_edges_are_the_strongest_by_plain_sorting(bundle: Bundle) -> None:
    graph = circuit_around(bundle, "layer2:5", hops_up=1, hops_down=0, top=4)
    kernels = bundle.block("layer1", "layer2").kernels[5].astype(np.float64)
    best = np.argsort(-np.sqrt((kernels**2).sum(axis=(1, 2))))[:4]
    assert {edge.up for edge in graph.edges} == {f"around/layer1:{channel}" for channel in best}
    assert {unit.uid: unit.attributes["role"] for unit in graph.units}["around/layer2:5"] == "centre"
    for unit in graph.units:
        assert unit.attributes["bias"] == bundle.bias(unit.layer)[unit.attributes["channel"]]


def test_what_the_graph_leaves_out_is_said(store: Store, make_bundle: Callable[..., Bundle]) -> None:
    pruned = make_bundle("pruned")
    store.load(pruned, edges="top:2", way="append")
    graph = circuit_around(store, "pruned/layer2:5", hops=1, top=3)
    (note,) = graph.attributes["left_out"]
    assert "edges of pruned (top:2)" in note
    assert "at worst it holds" in note
    # its two strongest sources are there
    whole = circuit_around(pruned, "pruned/layer2:5", hops_up=1, hops_down=0, top=2)
    assert {(edge.up, edge.down) for edge in whole.edges} <= {(edge.up, edge.down) for edge in graph.edges}


def test_a_unit_or_an_option_that_cannot_be_is_said(store: Store, bundle: Bundle) -> None:
    for source in (store, bundle):
        with pytest.raises(UnknownUnitError, match="layer2:99"):
            circuit_around(source, "around/layer2:99")
        with pytest.raises(CatalogueError, match="top is 0"):
            circuit_around(source, "around/layer2:5", top=0)
        with pytest.raises(CatalogueError, match="hops_up is -1"):
            circuit_around(source, "around/layer2:5", hops=-1)


def test_nothing_is_left_of_a_network_that_is_taken_out(store: Store, tmp_path: Path) -> None:
    with write_synthetic_bundle(tmp_path / "gone.circuit", network="gone") as gone:
        store.load(gone, way="append")
        remove_network(store, "gone")
    with pytest.raises(LookupError, match="gone"):
        circuit_around(store, "gone/layer1:0")
