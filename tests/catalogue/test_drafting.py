"""A circuit that is being made: the edges at units are those of the whole tables, and changes are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_kernels import EdgeTable, KernelReader
from circuitgraph.catalogue.drafting import circuit_between, refine_circuit
from circuitgraph.catalogue.subgraph import BundleSource, circuit_around
from circuitgraph.errors import CatalogueError, UnknownLayerError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit
from circuitgraph.testing.bundles import write_synthetic_bundle

LAYERS = ("net/a", "net/b", "net/c")
EDGES = {("net/a:0", "net/b:0"): 4.0, ("net/a:1", "net/b:0"): -2.0, ("net/b:0", "net/c:0"): 1.0}


@pytest.fixture(scope="module")
def every_form(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("drafting")
    return write_synthetic_bundle(folder / "net.circuit", network="net", with_every_form=True)


def small() -> CircuitGraph:
    units = [CircuitUnit(uid) for uid in ("net/a:0", "net/a:1", "net/b:0", "net/c:0")]
    edges = [CircuitEdge(up, down, [[value]], share_in=abs(value) / 8) for (up, down), value in EDGES.items()]
    return CircuitGraph(LAYERS, units, edges)


def rows(tables: list[EdgeTable]) -> list[tuple[object, ...]]:
    return sorted(
        row
        for table in tables
        for row in zip(table.pairs(), table.l1.tolist(), table.l2.tolist(), table.share_in.tolist(), strict=True)
    )


def test_edges_at_a_unit_are_those_of_the_whole_tables_in_every_form(every_form: Bundle) -> None:
    whole, near = KernelReader(every_form), BundleSource(every_form)
    seen = 0
    for layer in every_form.layers:
        for channel in range(layer.unit_count):
            unit = layer.unit(channel)
            if any(down == layer.uid for _, down in every_form.pairs):
                assert rows([near.into_unit(unit)]) == rows([whole.into_unit(unit)])
                seen += len(near.into_unit(unit))
            assert rows(near.out_of_unit(unit)) == rows(whole.out_of_unit(unit))
    assert seen == sum(block.edge_count for block in every_form.blocks) - sum(b.zero_count for b in every_form.blocks)


def test_chosen_units_come_with_all_edges_between_them(every_form: Bundle) -> None:
    units = [str(layer.unit(channel)) for layer in every_form.layers for channel in range(min(3, layer.unit_count))]
    graph = circuit_between(every_form, units, top=10**6)
    wanted = set()
    for up, down in every_form.pairs:
        kernels = every_form.block(up, down).kernels
        wanted |= {
            (f"{up}:{u}", f"{down}:{d}")
            for u in range(min(3, kernels.shape[1]))
            for d in range(min(3, kernels.shape[0]))
            if np.any(kernels[d, u])
        }
    assert {(edge.up, edge.down) for edge in graph.edges} == wanted
    assert graph.attributes["between"]["of"] == len(wanted)


def test_thresholds_drop_edges_and_the_units_that_only_they_held() -> None:
    drafted = refine_circuit(small(), {}, min_sum=2.5)
    assert [(edge.up, edge.down) for edge in drafted.graph.edges] == [("net/a:0", "net/b:0")]
    assert [unit.uid for unit in drafted.graph.units] == ["net/a:0", "net/b:0"]
    assert (drafted.weak_count, drafted.lonely_count) == (2, 2)
    assert drafted.notes == ["Left out below the thresholds: 2 edges, and 2 units that have none left."]
    assert refine_circuit(small(), {}, min_share=0.25).weak_count == 1


def test_an_edge_at_the_threshold_stays() -> None:
    assert refine_circuit(small(), {}, min_sum=2.0).edge_count == 2
    assert refine_circuit(small(), {}, min_share=0.5).edge_count == 1


def test_the_centre_stays_when_nothing_else_does() -> None:
    graph = small()
    roles = {"net/c:0": {"role": "centre"}}
    units = [CircuitUnit(unit.uid, attributes=roles.get(unit.uid, {})) for unit in graph.units]
    centred = CircuitGraph(graph.layers, units, graph.edges)
    drafted = refine_circuit(centred, {}, min_sum=100)
    assert ([unit.uid for unit in drafted.graph.units], drafted.graph.edges) == (["net/c:0"], ())


def test_a_removed_unit_takes_its_edges_along() -> None:
    drafted = refine_circuit(small(), {}, remove=["net/b:0", "net/a:7"])
    assert (drafted.graph.edges, drafted.weak_count) == ((), 0)
    assert [unit.uid for unit in drafted.graph.units] == ["net/a:0"]


def test_more_than_may_be_shown_is_cut_to_the_strongest_and_said() -> None:
    drafted = refine_circuit(small(), {}, most_units=3, most_edges=1)
    assert [(edge.up, edge.down) for edge in drafted.graph.edges] == [("net/a:0", "net/b:0")]
    assert drafted.notes == ["Showing 2 of 4 units and 1 of 3 edges, the strongest by l1."]


def test_neighbours_are_those_of_the_circuit_around_them(every_form: Bundle) -> None:
    source = BundleSource(every_form)
    _, down = every_form.pairs[-1]
    begun = circuit_around(source, f"{down}:0", hops=1, top=2, hops_down=0)
    near = begun.edges[0].up
    drafted = refine_circuit(begun, {"net": source}, add=[near], top=2)
    wanted = {(edge.up, edge.down) for edge in circuit_around(source, near, hops=1, top=2).edges}
    assert {(edge.up, edge.down) for edge in drafted.graph.edges} == wanted | {(e.up, e.down) for e in begun.edges}


def test_what_cannot_be_is_refused(every_form: Bundle) -> None:
    source = BundleSource(every_form)
    for wrong in (
        {"min_share": -1.0},
        {"min_sum": float("nan")},
        {"top": 0},
        {"remove": list(dict.fromkeys(unit.uid for unit in small().units))},
    ):
        with pytest.raises(CatalogueError, match="changing a circuit"):
            refine_circuit(small(), {}, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownLayerError):
        refine_circuit(small(), {"net": source}, add=["net/none:0"])
    with pytest.raises(CatalogueError, match="0 units"):
        circuit_between(source, [])
