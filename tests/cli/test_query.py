"""``circuitgraph query`` and ``circuit around``: the shelf, plans without running, and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.subgraph import circuit_around
from circuitgraph.export import read_circuit
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.plans import explain_query
from circuitgraph.store.server import ManagedServer
from circuitgraph.testing.bundles import write_synthetic_bundle
from queries import get_query, list_queries, run
from tests.cli.calling import caller

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(managed_server: ManagedServer, server_settings: Settings) -> Iterator[Store]:
    with Store.open(settings=server_settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def bundle(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    made = write_synthetic_bundle(tmp_path_factory.mktemp("asking") / "asking.circuit", network="asking")
    store.load(made, way="append")
    yield made
    remove_network(store, "asking")


@pytest.fixture
def ask(
    managed_server: ManagedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Ask:
    monkeypatch.setenv("CIRCUITGRAPH_STORE", managed_server.uri)
    monkeypatch.setenv("CIRCUITGRAPH_PASSWORD", managed_server.password())
    return caller(tmp_path, capsys, monkeypatch, group="query")


def test_the_shelf_is_listed_and_shown_without_a_store(ask: Ask) -> None:
    nowhere = {"STORE": "bolt://127.0.0.1:1"}
    code, out, _ = ask("--name", "list", "--json", **nowhere)
    rows = json.loads(out)["rows"]
    assert (code, [row["name"] for row in rows]) == (0, list_queries())
    assert rows[list_queries().index("neighbours")]["parameters"] == "unit: unit, limit: int = 10"
    _, out, _ = ask("--name", "paths", "--show", **nowhere)
    assert out == get_query("paths").text
    _, out, _ = ask("--name", "paths", "--show", "--json", **nowhere)
    shown = json.loads(out)
    assert [each["name"] for each in shown["parameters"]] == ["up", "down", "hops", "min_share", "limit"]
    assert shown["cypher"] == get_query("paths").cypher


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--name", "neighbours"], 1, "lacks its parameter unit"),
        (["--name", "neighbours", "-p", "unt=x:1"], 1, "Did you mean unit?"),
        (["--name", "neighbours", "-p", "unit=x:1", "-p", "limit=many"], 1, "parameter limit is 'many'"),
        (["--name", "neighbours", "-p", "unit=x:1", "-p", "limit=-1"], 1, "parameter limit is -1"),
        (["--show", "RETURN 1"], 2, "--show goes with --name"),
        (["RETURN 1", "--format", "parquet"], 2, "--out goes with"),
        (["RETURN 1", "-o", "rows.parquet"], 2, "--out goes with"),
        (["RETURN 1", "--explain", "--format", "arrow", "-o", "a.arrow"], 2, "is for rows"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_store_is_sought(
    ask: Ask, arguments: list[str], code: int, said: str
) -> None:
    left, out, err = ask(*arguments, STORE="bolt://127.0.0.1:1")
    assert (left, out) == (code, "")
    assert said in err


def test_a_query_of_the_shelf_answers_as_in_python(ask: Ask, store: Store, bundle: Bundle) -> None:
    code, out, err = ask("--name", "strongest-clients", "-p", "unit=asking/layer1:3", "--limit", "4", "--json")
    assert code == 0, err
    wanted = run("strongest-clients", store, unit="asking/layer1:3", limit=4)
    assert json.loads(out)["rows"] == list(wanted)
    assert "the query's own limit of 4 was reached" in err
    assert "limit of 4" in wanted.notes[0]
    # a text stays one where JSON would read a number
    code, out, err = ask("--name", "units-without-labels", "-p", "network=2012", "--json")
    assert (code, json.loads(out)["rows"]) == (0, []), err


def test_a_query_is_explained_and_does_not_run(ask: Ask, store: Store, bundle: Bundle) -> None:
    endless = "UNWIND range(1, 1000000000) AS a UNWIND range(1, 1000000000) AS b RETURN count(*) AS n"
    code, out, err = ask("--explain", endless)
    assert code == 0, err
    assert endless in out
    assert "ProduceResults" in out
    assert "nothing ran" in err
    code, out, err = ask("--name", "neighbours", "-p", "unit=asking/layer1:3", "--explain", "--json")
    told = json.loads(out)
    assert told["cypher"] == get_query("neighbours").cypher
    assert told["parameters"] == {"unit": "asking/layer1:3", "limit": 10}
    assert told["steps"][0]["step"] == "ProduceResults"
    assert told["estimated_rows"] == told["steps"][0]["estimated_rows"] >= 0
    code, _, err = ask("--explain", "CREATE (n) RETURN n")
    assert (code, "was not run" in err) == (1, True)


def test_the_planner_says_what_it_expects_of_each_step(store: Store, bundle: Bundle) -> None:
    limited = explain_query(store, "MATCH (u:Unit) RETURN u.uid AS uid LIMIT 2")
    assert limited.estimated_rows == 2
    assert [step.depth for step in limited.steps] == list(range(len(limited.steps)))
    crossed = explain_query(store, "MATCH (a:Unit), (b:Unit), (c:Unit) RETURN sum(a.bias + b.bias + c.bias) AS n")
    assert crossed.estimated_rows == 1
    # no fewer than the units of the one network that is surely there
    assert crossed.largest_step.estimated_rows >= len(bundle.units) ** 3


def test_rows_go_to_arrow_and_parquet_files(ask: Ask, bundle: Bundle, tmp_path: Path) -> None:
    text = "MATCH (u:Unit {network: 'asking'}) RETURN u.uid AS uid, u.channel AS channel, u.nothing AS no ORDER BY uid"
    for form in ("arrow", "parquet"):
        code, out, err = ask(text, "--format", form, "-o", f"rows.{form}")
        assert (code, out) == (0, ""), err
        assert "39 rows" in err
    with pa.memory_map(str(tmp_path / "rows.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.to_pylist() == pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert (str(table.schema.field("channel").type), str(table.schema.field("no").type)) == ("int64", "null")
    assert set(table["uid"].to_pylist()) == set(bundle.units["uid"].to_pylist())


def test_a_result_of_the_store_becomes_a_graph(store: Store, bundle: Bundle) -> None:
    asked = store.query("MATCH (a:Unit {uid: $unit})-[e:CONNECTS]->(b) RETURN a, e, b", unit="asking/layer1:3")
    graph = asked.to_networkx()
    assert (len(graph), graph.number_of_edges()) == (13, 12)
    assert graph.nodes["asking/layer2:0"]["channel"] == 0
    assert asked.to_pandas().shape == asked.to_polars().shape == (12, 3)


@pytest.mark.parametrize("form", ["graphml", "gexf", "json"])
def test_a_circuit_is_written_from_bundle_and_store_alike(ask: Ask, bundle: Bundle, tmp_path: Path, form: str) -> None:
    options = ["around", "layer2:5", "--hops", "1", "--top", "3"]
    code, _, err = ask(*options, "--bundle", bundle.path, "-o", f"b.{form}", group="circuit")
    assert code == 0, err
    code, _, err = ask(*options, "-o", f"s.{form}", group="circuit")
    assert code == 0, err
    assert (tmp_path / f"b.{form}").read_bytes() == (tmp_path / f"s.{form}").read_bytes()
    assert read_circuit(tmp_path / f"b.{form}") == circuit_around(bundle, "layer2:5", hops=1, top=3)


def test_a_circuit_is_shown_as_tables(ask: Ask, bundle: Bundle) -> None:
    code, out, err = ask("around", "layer2:5", "--top", "2", "--json", "--bundle", bundle.path, group="circuit")
    assert code == 0, err
    graph = circuit_around(bundle, "layer2:5", top=2)
    tables = json.loads(out)["tables"]
    assert [row["unit"] for row in tables["units"]["rows"]] == [unit.uid for unit in graph.units]
    assert [(row["up"], row["down"]) for row in tables["edges"]["rows"]] == [(e.up, e.down) for e in graph.edges]
    code, _, err = ask("around", "layer2:5", "--bundle", bundle.path, "--store", "local", group="circuit")
    assert (code, "not both" in err) == (2, True)
