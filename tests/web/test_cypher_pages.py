"""The Cypher box gives what ``circuitgraph query`` gives, and refuses what that refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.web import Explorer, make_app
from circuitgraph.web.views import cypher
from queries import list_queries
from tests.store.conftest import store as store
from tests.store.graph_truth import fingerprint
from tests.store.test_guard import ATTACKS, Listener
from tests.web.asking import TOKEN, Answer, Asking
from tests.web.reading import read_page

NETWORK = "boxed"
# of each kind of attack one
SAMPLE = tuple(ATTACKS)[::12]


@pytest.fixture(scope="module")
def boxed(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("box")
    bundle = write_synthetic_bundle(folder / "boxed.circuit", network=NETWORK)
    store.load(bundle)
    with Explorer([bundle], store=store) as explorer:
        yield Asking(make_app(explorer, token=TOKEN), explorer, folder)
    remove_network(store, NETWORK)


def put(user: Asking, text: str, form: str = "", **more: str) -> Answer:
    return user.get(f"/cypher{form}?{urlencode({'q': text, **more}, quote_via=quote)}")


def test_an_answer_is_that_of_the_store(boxed: Asking, store: Store) -> None:
    text = f"MATCH (u:Unit {{network: '{NETWORK}'}}) RETURN u.uid AS uid, u.bias AS bias ORDER BY u.uid"
    answer = put(boxed, text, ".json").json()["data"]["answer"]
    result = store.query(text)
    assert answer["rows"] == [dict(row) for row in result]
    assert (answer["columns"], answer["count"], answer["is_cut"]) == (["uid", "bias"], 39, False)
    page = put(boxed, text)
    assert f'<a href="/unit/{NETWORK}/layer1:0">' in page.text
    # the query stands in the address and in the box
    assert "MATCH (u:Unit" in "".join(read_page(page.text).text)
    assert read_page(page.text).faults == []


def test_parameters_are_json(boxed: Asking) -> None:
    uid = f"{NETWORK}/layer1:0"
    text = "MATCH (u:Unit {uid: $unit}) RETURN u.uid AS uid, $list AS list, $n AS n"
    given = f'{{"unit": "{uid}", "list": [1, "a", null], "n": 0.5}}'
    answer = put(boxed, text, ".json", params=given).json()
    assert answer["data"]["answer"]["rows"] == [{"uid": uid, "list": [1, "a", None], "n": 0.5}]
    assert "-p unit=" in answer["ways"]["shell"]
    for wrong in ("{", "[]", '"x"', "unit=3", "[" * 2_000):
        refused = put(boxed, text, ".json", params=wrong)
        assert refused.status == 400
        assert "JSON" in refused.json()["data"]["fault"]["hint"]
    lacking = put(boxed, text)
    assert lacking.status == 400
    assert "Nothing" not in lacking.text
    assert read_page(lacking.text).faults == []


def test_a_cut_is_said(boxed: Asking) -> None:
    page = put(boxed, "UNWIND range(1, 100000) AS n RETURN n")
    limit = boxed.explorer.store.settings.row_limit if boxed.explorer.store else 0
    assert f"Cut at {limit:,} rows; there are more." in page.text
    assert page.text.count("<tr><td") == limit


def test_a_plan_is_shown_and_nothing_runs(boxed: Asking) -> None:
    page = put(boxed, "UNWIND range(1, 1000000000) AS n RETURN n", explain="1")
    assert page.status == 200
    assert "Nothing ran" in page.text
    plan = put(boxed, "MATCH (u:Unit) RETURN u", ".json", explain="1").json()["data"]
    assert plan["plan"]["steps"][0]["step"] == "ProduceResults"
    assert plan["answer"] is None


def test_nodes_relationships_and_paths_are_shown(boxed: Asking) -> None:
    found = f"MATCH p = (a:Unit {{uid: '{NETWORK}/layer1:0'}})-[e:CONNECTS]->(b)"
    text = f"{found} RETURN a, e, p, [a.uid, b.uid] AS both LIMIT 2"
    page = put(boxed, text)
    assert page.status == 200
    assert read_page(page.text).faults == []
    rows = put(boxed, text, ".json").json()["data"]["answer"]["rows"]
    assert rows[0]["a"]["uid"] == f"{NETWORK}/layer1:0"
    assert rows[0]["both"][0] == f"{NETWORK}/layer1:0"
    assert len(rows[0]["e"]["kernel"]) == 9


def test_the_shelf_can_be_asked_by_name(boxed: Asking) -> None:
    shelf = boxed.get("/cypher.json").json()["data"]["shelf"]
    assert [query["name"] for query in shelf] == list_queries()
    given = quote(f'{{"unit": "{NETWORK}/layer2:0"}}')
    answer = boxed.get(f"/cypher.json?name=neighbours&params={given}").json()["data"]["answer"]
    assert answer["count"] > 0
    assert boxed.get("/cypher?name=nothing").status in (400, 404)
    lacking = boxed.get("/cypher.json?name=neighbours").json()["data"]["fault"]
    assert "lacks its parameter" in lacking["message"]


def test_what_the_server_does_not_accept_is_said_and_kept(boxed: Asking) -> None:
    page = put(boxed, "MATCH (n RETURN n")
    assert page.status == 400
    assert 'role="alert" tabindex="-1" autofocus' in page.text
    assert "MATCH (n RETURN n" in page.text
    assert "planning the query" in put(boxed, "MATCH (n RETURN n", ".json").json()["data"]["fault"]["message"]


def test_without_a_store_there_is_no_box(tmp_path: Path) -> None:
    with Explorer([]) as explorer:
        user = Asking(make_app(explorer, token=TOKEN), explorer, tmp_path)
        assert put(user, "RETURN 1").status == 404
        assert 'href="/cypher"' not in user.get("/").text


def test_a_public_box_has_lower_limits(boxed: Asking, store: Store) -> None:
    with Explorer([], store=store, is_public=True) as explorer:
        user = Asking(make_app(explorer, token=TOKEN), explorer, boxed.catalogue)
        page = put(user, "UNWIND range(1, 100000) AS n RETURN n", ".json").json()["data"]
        assert page["limits"] == {"rows": 200, "seconds": 10.0, "at_once": 4}
        assert (page["answer"]["count"], page["answer"]["is_cut"]) == (200, True)


def test_more_queries_than_may_run_at_once_are_refused(boxed: Asking) -> None:
    taken = [cypher._running.acquire(blocking=False) for _ in range(4)]
    try:
        refused = put(boxed, "RETURN 1", ".json")
        assert (refused.status, "Ask again" in refused.json()["data"]["fault"]["hint"]) == (400, True)
    finally:
        for _ in taken:
            cypher._running.release()
    assert taken == [True] * 4
    assert put(boxed, "RETURN 1").status == 200


def test_queries_at_once_do_not_disturb_each_other(boxed: Asking) -> None:
    found: dict[int, Any] = {}

    def ask(n: int) -> None:
        found[n] = put(boxed, f"UNWIND range(1, 200000) AS x RETURN count(x) + {n} AS n", ".json").json()

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: each["data"]["answer"]["rows"] for n, each in found.items()} == {
        n: [{"n": 200_000 + n}] for n in range(4)
    }


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.mark.parametrize(
    "names", [SAMPLE, pytest.param(tuple(ATTACKS), marks=pytest.mark.slow)], ids=["a sample", "the whole list"]
)
def test_attacks_are_refused_and_change_nothing(
    boxed: Asking, store: Store, listener: Listener, names: tuple[str, ...]
) -> None:
    before = fingerprint(store)
    params = f'{{"where": "http://127.0.0.1:{listener.port}/"}}'
    for name in names:
        text = ATTACKS[name].replace("{port}", str(listener.port))
        for more in ({}, {"explain": "1"}):
            answer = put(boxed, text, params=params, **more)
            # what is longer than an address may be is refused before it is read
            assert answer.status in (400, 414), name
            if answer.status == 400:
                said = "the query was not run: " in answer.text or "planning the query: " in answer.text
                assert said or "reading the parameters" in answer.text, name
                assert read_page(answer.text).faults == [], name
    assert fingerprint(store) == before
    assert listener.calls == []
    assert put(boxed, "RETURN 1 AS n", ".json").json()["data"]["answer"]["rows"] == [{"n": 1}]
