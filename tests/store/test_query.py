"""Asking: limits that say when they bit, plain messages, and nothing but reading."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.errors import (
    QueryError,
    QueryLimitError,
    QueryRefusedError,
    StoreAuthError,
    StoreUnavailableError,
)
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.server import ManagedServer
from circuitgraph.testing.bundles import write_synthetic_bundle

SLOW = "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b WITH a, b WHERE a * b = -1 RETURN count(*) AS n"


@pytest.fixture(scope="module")
def asked(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    bundle = write_synthetic_bundle(tmp_path_factory.mktemp("asked") / "asked.circuit", network="asked")
    store.load(bundle)
    yield bundle
    remove_network(store, "asked")


def test_rows_come_by_column_with_plain_values(store: Store, asked: Bundle) -> None:
    result = store.query(
        "MATCH (u:Unit {uid: $uid})-[e:CONNECTS]->(v) RETURN u, e, v, v.channel AS channel ORDER BY channel LIMIT 1",
        uid="asked/layer1:3",
    )
    kernel = asked.kernel("asked/layer1:3", "asked/layer2:0")
    assert list(result.columns) == ["u", "e", "v", "channel"]
    assert result[0]["u"]["labels"] == ["Neuron", "Unit"]
    assert (result[0]["e"]["start"], result[0]["e"]["end"]) == ("asked/layer1:3", "asked/layer2:0")
    assert result[0]["e"]["kernel"] == kernel.reshape(-1).tolist()
    assert result[0]["channel"] == 0


def test_paths_and_dates_are_plain_too(store: Store, asked: Bundle) -> None:
    result = store.query(
        "MATCH p = (:Unit {uid: 'asked/layer0:0'})-[:CONNECTS]->(:Unit {uid: 'asked/layer1:0'}) "
        "RETURN p, date('2020-03-10') AS day, [1, {a: null}] AS list"
    )
    assert [node["uid"] for node in result[0]["p"]["nodes"]] == ["asked/layer0:0", "asked/layer1:0"]
    assert result[0]["p"]["relationships"][0]["type"] == "CONNECTS"
    assert (result[0]["day"], result[0]["list"]) == ("2020-03-10", [1, {"a": None}])


def test_a_limit_says_whether_it_bit(store: Store, asked: Bundle) -> None:
    text = "MATCH (u:Unit {network: 'asked', layer: 'layer2'}) RETURN u.channel AS channel ORDER BY channel"
    cut, whole = store.query(text, limit=11), store.query(text, limit=12)
    assert (cut.is_cut, cut.limit, cut.column("channel")) == (True, 11, list(range(11)))
    assert (whole.is_cut, len(whole)) == (False, 12)


def test_a_query_that_takes_too_long_is_ended(store: Store) -> None:
    with pytest.raises(QueryLimitError, match="took longer than is allowed") as caught:
        store.query(SLOW, timeout_s=0.5)
    assert "--timeout" in caught.value.hint
    assert store.query("RETURN 1 AS n").value() == 1


def test_a_loop_of_a_billion_rows_is_ended_in_time(store: Store) -> None:
    loop = "UNWIND range(1, 1000000000) AS n WITH n WHERE n % 2 = 3 RETURN count(*) AS n"
    # the first of its kind after a start is compiled, which is not what is looked at
    store.explain(loop)
    began = time.monotonic()
    with pytest.raises(QueryLimitError, match="took longer than is allowed"):
        store.query(loop, timeout_s=1)
    assert store.query("RETURN 1 AS n").value() == 1
    assert time.monotonic() - began < 5


def test_ten_of_a_quarter_of_a_million_rows_are_ten_and_cut(store: Store) -> None:
    rows = "UNWIND range(0, 511) AS up UNWIND range(0, 511) AS down RETURN up, down"
    assert store.query(f"{rows.rpartition('RETURN')[0]} RETURN count(*) AS n").value() == 262_144
    cut = store.query(rows, limit=10)
    assert (len(cut), cut.limit, cut.is_cut) == (10, 10, True)
    assert cut.column("down") == list(range(10))


@pytest.mark.parametrize(
    "greedy",
    [
        pytest.param("RETURN size(collect(n)) AS n", id="collect"),
        pytest.param("WITH n ORDER BY n % 7 RETURN count(n) AS n", id="sort", marks=pytest.mark.slow),
        pytest.param("WITH DISTINCT n RETURN count(n) AS n", id="distinct", marks=pytest.mark.slow),
    ],
)
def test_a_query_that_takes_too_much_memory_is_ended_and_the_server_stays(
    store: Store, managed_server: ManagedServer, greedy: str
) -> None:
    before = managed_server.status().pid
    with pytest.raises(QueryLimitError, match="more memory than is allowed"):
        store.query(f"UNWIND range(1, 100000000) AS n {greedy}")
    assert store.query("RETURN 1 AS n").value() == 1
    assert managed_server.status().pid == before


@pytest.mark.parametrize(
    ("text", "parameters", "said"),
    [
        ("MATCH (u:Unit) RETRUN u", {}, "RETRUN"),
        ("MATCH (u:Unit) RETURN v", {}, "`v` not defined"),
        ("MATCH (u:Unit {uid: $uid}) RETURN u", {}, "uid"),
        ("MATCH (u:Unit {uid: $uid}) RETURN u", {"unit": "asked/layer1:0"}, "uid"),
        ("MATCH (u:Unit) RETURN u LIMIT $limit", {"limit": "ten"}, "LIMIT"),
        ("RETURN $value AS v", {"value": object()}, "object"),
        ("RETURN $value AS v", {"value": 1 << 70}, "too large|range"),
        ("RETURN 1/0 AS n", {}, "by zero"),
        ("", {}, "end of input|unexpected|Invalid|Unexpected"),
        ("RETURN 1; RETURN 2", {}, "RETURN 2|statement"),
    ],
)
def test_cypher_or_a_parameter_that_is_wrong_is_said_plainly(
    store: Store, text: str, parameters: dict[str, object], said: str
) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        store.query(text, parameters)
    assert not isinstance(caught.value, QueryRefusedError)
    assert caught.value.message.startswith(("planning the query: ", "running the query: "))


def test_what_is_refused_says_what_it_would_have_done(store: Store) -> None:
    with pytest.raises(QueryRefusedError, match=r"procedure dbms\.components is not on the list") as caught:
        store.query("CALL dbms.components() YIELD name RETURN name")
    assert "db.labels" in caught.value.hint
    with pytest.raises(QueryRefusedError, match="LoadCSV"):
        store.query("LOAD CSV FROM 'file:///rows.csv' AS row RETURN row")


def test_the_full_text_index_finds_names(store: Store, asked: Bundle) -> None:
    found = store.query("CALL db.index.fulltext.queryNodes('names', 'first') YIELD node RETURN node.uid AS uid")
    assert "asked/layer1!first" in found.column("uid")


def test_a_plan_is_given_without_running(store: Store) -> None:
    plan = store.explain(SLOW)
    assert plan["operatorType"].startswith("ProduceResults")


def test_a_wrong_password_is_said_plainly(managed_server: ManagedServer, server_settings: Settings) -> None:
    with pytest.raises(StoreAuthError, match="refuses the user or password") as caught:
        Store.open(managed_server.uri, password="wrong", settings=server_settings)
    assert "CIRCUITGRAPH_PASSWORD" in caught.value.hint


def test_a_database_given_by_uri_answers_alike(
    managed_server: ManagedServer, server_settings: Settings, asked: Bundle
) -> None:
    with Store.open(managed_server.uri, password=managed_server.password(), settings=server_settings) as remote:
        assert remote.query("MATCH (u:Unit {network: 'asked'}) RETURN count(u) AS n").value() == 39
    with pytest.raises(StoreUnavailableError, match="the store is closed"):
        remote.query("RETURN 1")


@pytest.mark.parametrize("address", ["bolt://127.0.0.1:{port}", "http://127.0.0.1:{port}", "nonsense"])
def test_an_address_without_a_database_is_said_plainly(address: str, server_settings: Settings) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = address.format(port=port)
    with pytest.raises(StoreUnavailableError, match=f"{port}|{uri}") as caught:
        Store.open(uri, password="x", settings=server_settings)
    assert caught.value.hint
    assert "circuitgraph server" not in caught.value.hint


def test_a_server_that_is_killed_between_queries_is_missed_and_found_again(
    own_store: Store, managed_server: ManagedServer
) -> None:
    text = "MATCH (n) RETURN count(n) AS n"
    before = own_store.query(text).value()
    assert own_store.server is not None
    pid = own_store.server.status().pid
    assert pid is not None
    assert pid != managed_server.status().pid
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(20)
    with pytest.raises(StoreUnavailableError, match="does not answer") as caught:
        own_store.query(text)
    assert "circuitgraph server start" in caught.value.hint
    own_store.server.start()
    assert own_store.query(text).value() == before
