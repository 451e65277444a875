"""The query shelf: each file says what it returns and takes, is planned as reading, and answers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.errors import QueryError
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.server import ManagedServer
from importers.handwritten import import_handwritten
from importers.handwritten_truth import handwritten_truth
from queries import get_query, list_queries, run

VALUES = {
    "unit": "handwritten/mixed4c:41",
    "layer": "handwritten/mixed3b",
    "family": "handwritten/mixed3b!curves",
    "network": "handwritten",
    "string": "handwritten/mixed4c:41",
    "int": 3,
    "float": 0.5,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return import_handwritten(tmp_path_factory.mktemp("shelf") / "handwritten.circuit")


@pytest.fixture(scope="module")
def store(managed_server: ManagedServer, server_settings: Settings, bundle: Bundle) -> Iterator[Store]:
    with Store.open(settings=server_settings) as opened:
        # the strong edges, with the strongest of each target, are enough for these answers
        opened.load(bundle, edges="top:1", way="append")
        yield opened
        remove_network(opened, "handwritten")


def test_every_file_of_the_shelf_is_listed_and_says_what_it_returns() -> None:
    names = {path.name for path in files("queries").joinpath("cypher").iterdir() if path.is_file()}
    assert names == {f"{name}.cypher" for name in list_queries()}
    for name in list_queries():
        query = get_query(name)
        assert query.description.endswith(".")
        assert query.cypher.startswith("CYPHER 5\n")
        for parameter in query.parameters:
            assert f"${parameter}" in query.cypher
        assert query.parameters


@pytest.mark.parametrize("name", list_queries())
def test_every_query_only_reads_and_runs_with_the_parameters_it_names(store: Store, name: str) -> None:
    query = get_query(name)
    parameters = {name: VALUES[each.type] for name, each in query.parameters.items()}
    assert store.explain(query.cypher, parameters)["operatorType"].startswith("ProduceResults")
    assert store.query(query.cypher, parameters).columns


def test_what_excites_the_car_above_and_below_is_what_the_kernels_say(store: Store, bundle: Bundle) -> None:
    rows = run("excites-above-and-below", store, unit="handwritten/mixed4c:41", limit=2)
    block = bundle.block("handwritten/mixed4b", "handwritten/mixed4c")
    kernels, row = np.asarray(block.kernels[41], dtype=np.float64), -block.offset[0]
    for place, half in (("above", kernels[:, :row]), ("below", kernels[:, row + 1 :])):
        best = int(half.sum(axis=(1, 2)).argmax())
        found = [each for each in rows if each["place"] == place]
        assert found[0]["unit"] == f"handwritten/mixed4b:{best}"
        assert found[0]["top" if place == "above" else "bottom"] == pytest.approx(half[best].sum(), rel=1e-5)
    assert {each["family"] for each in rows} >= {"windows", "car body"}


def test_the_car_is_spread_over_the_clients_it_was_planted_in(store: Store) -> None:
    planted = handwritten_truth().superposition
    rows = run("spread", store, unit=planted.unit)
    assert set(rows.column("client")) >= set(planted.clients)
    sums = rows.column("sum")
    assert sums == sorted(sums, reverse=True)


def test_the_mirrored_pathways_are_found_rung_by_rung(store: Store) -> None:
    ladder = handwritten_truth().ladder
    rows = run("opposed-pathways", store, unit=ladder.u)
    assert [{row["one"], row["other"]} for row in rows] == [set(rung) for rung in ladder.rungs]
    assert set(rows.column("united_by")) == {ladder.u}


def test_the_strongest_clients_of_a_family_are_summed_over_its_strong_edges(store: Store, bundle: Bundle) -> None:
    curves = {int(uid.rpartition(":")[2]) for uid in handwritten_truth().roles["mixed3b!curves"]}
    shares: dict[int, float] = {}
    for edge in bundle.edges("mixed4a").to_pylist():
        if edge["up"] in curves and (edge["excites"] or edge["inhibits"]):
            shares[edge["down"]] = shares.get(edge["down"], 0) + edge["share_in"]
    best = sorted(shares, key=lambda channel: -shares[channel])[:3]
    rows = run("strongest-clients-of-family", store, family="handwritten/mixed3b!curves", limit=3)
    assert rows.column("client") == [f"handwritten/mixed4a:{channel}" for channel in best]
    assert rows.column("share_in") == pytest.approx([shares[channel] for channel in best], rel=1e-5)


def test_a_name_or_a_parameter_that_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(QueryError, match="no query 'spraed'") as caught:
        get_query("spraed")
    assert "spread" in caught.value.hint
    with pytest.raises(QueryError, match="'spread' has no parameter units; it takes unit: unit, limit") as caught:
        run("spread", store, units="handwritten/mixed4c:41")
    assert "Did you mean unit?" in caught.value.hint
