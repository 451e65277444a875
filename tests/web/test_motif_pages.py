"""Pages of motifs: results against the search itself, searches from a page, and files of strangers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.cli.main import cli
from circuitgraph.errors import MotifError
from circuitgraph.figures import motif_figure
from circuitgraph.web import Explorer
from circuitgraph.web.page import Asked
from circuitgraph.web.searches import Searches, key_of
from circuitgraph.web.views.motifs import _shown
from importers.handwritten_truth import handwritten_truth
from queries.base import MotifResult
from queries.registry import get_motif, list_motifs
from queries.result_files import check_result, read_result, write_result
from tests.web.asking import Asking
from tests.web.looking import HOSTILE, assert_nothing_runs, fields_of, kernel_of, looking

UNIONS = {
    "up": "mixed3b",
    "middle": "mixed4a",
    "down": "mixed4b",
    "up_units": [41, 78, *range(30)],
    "middle_units": [46, 83, *range(30)],
}
QUICK = {"up": "input", "down": "conv2d0", "draws": 40}
PAGE = "/motifs/handwritten"
WAIT_S = 100


@pytest.fixture(scope="module")
def searched(handwritten: Path) -> MotifResult[Any]:
    with Bundle.open(handwritten) as bundle:
        result: MotifResult[Any] = get_motif("unions").find(bundle, **UNIONS)
    assert len(result.found) == 1
    return result


@pytest.fixture(scope="module")
def seen(
    handwritten: Path, catalogue: Path, searched: MotifResult[Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("motifs")
    with looking(handwritten, catalogue, folder) as opened:
        keep(opened, searched)
        yield opened


@pytest.fixture
def writing(handwritten: Path, catalogue: Path, tmp_path: Path) -> Iterator[Asking]:
    with looking(handwritten, catalogue, tmp_path) as opened:
        yield opened


def searches_of(asked: Asking) -> Searches:
    assert asked.explorer.searches is not None
    return asked.explorer.searches


def keep(asked: Asking, result: MotifResult[Any], **changes: Any) -> str:
    """Put a result where a search from a page leaves it; return its key."""
    key = key_of(asked.explorer.bundles["handwritten"], "unions", UNIONS)
    folder = searches_of(asked).results.folder
    folder.mkdir(exist_ok=True)
    about = {"options": UNIONS, "why": [], "software": ""}
    write_result({**result.to_dict(), "search": about, **changes}, folder / f"{key}.json")
    return key


def test_a_result_is_read_as_it_was_written(searched: MotifResult[Any], tmp_path: Path) -> None:
    said = json.loads(json.dumps(searched.to_dict()))
    write_result(searched.to_dict(), tmp_path / "found.json")
    again = read_result(tmp_path / "found.json")
    assert again == said
    write_result(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "found.json").read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": "other"},
        {"version": 99},
        {"version": "1"},
        {"statement": 3},
        {"tested_count": None},
        {"level": float("inf")},
        {"level": 10**400},
        {"notes": "text"},
        {"notes": [1]},
        {"nulls": [{"name": 1}]},
        {"matches": {}},
        {"matches": [3]},
        {"parameters": []},
    ],
)
def test_what_is_no_result_is_refused(searched: MotifResult[Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(MotifError, match="reading motifs"):
        check_result({**searched.to_dict(), **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "motif:../../x"},
        {"id": 3},
        {"verdict": HOSTILE},
        {"score": "4"},
        {"q": True},
        {"score": 10**400},
        {"shares": {"dc": "x"}},
        {"bindings": [["u", 0]]},
        {"bindings": [["u", 0, "/etc/passwd"]]},
        {"bindings": [["u", 0, HOSTILE]]},
        {"notes": [None]},
    ],
)
def test_what_is_no_match_is_refused(searched: MotifResult[Any], wrong: dict[str, Any]) -> None:
    said = searched.to_dict()
    said["matches"] = [{**said["matches"][0], **wrong}]
    with pytest.raises(MotifError, match="match 1"):
        check_result(said)


def test_every_motif_is_listed_with_what_a_search_takes(seen: Asking) -> None:
    rows = seen.get(f"{PAGE}.json").json()["data"]["motifs"]
    assert [row["motif"] for row in rows] == list_motifs()
    assert all(row["cost"] and row["finds"] for row in rows)
    assert {row["motif"]: row["nulls"] for row in rows}["unions"].startswith("permuted_sums")


def test_a_result_is_shown_with_its_numbers_and_its_statement(seen: Asking, searched: MotifResult[Any]) -> None:
    shown = seen.get(f"{PAGE}.json?motif=unions").json()["data"]["result"]
    (row,), (match,) = shown["matches"], searched.matches
    assert shown["statement"] == searched.statement
    assert [row[name] for name in ("id", "score", "p", "q", "null", "verdict")] == [
        getattr(match, name) for name in ("id", "score", "p", "q", "null", "verdict")
    ]
    assert {each["role"]: each["unit"] for each in row["roles"]} == match.units
    ladder = handwritten_truth().ladder
    assert match.units["u"] == ladder.u
    html = seen.get(f"{PAGE}?motif=unions").text
    assert f"/unit/{ladder.u}" in html
    assert f"{match.score:.4g}" in html


def test_matches_are_filtered_by_verdict(seen: Asking, searched: MotifResult[Any]) -> None:
    found = seen.get(f"{PAGE}.json?motif=unions&verdict=found").json()["data"]["result"]
    none = seen.get(f"{PAGE}.json?motif=unions&verdict=ranking").json()["data"]["result"]
    assert (len(found["matches"]), len(none["matches"])) == (1, 0)
    assert "No match of this verdict" in seen.get(f"{PAGE}?motif=unions&verdict=ranking").text


def test_a_match_has_a_page_with_its_edges_and_its_null(
    seen: Asking, searched: MotifResult[Any], handwritten: Path
) -> None:
    (match,) = searched.matches
    address = f"/motif/{match.id.removeprefix('motif:')}"
    page = seen.get(f"{address}.json").json()
    data = page["data"]
    assert (data["statement"], data["score"]) == (searched.statement, match.score)
    assert {row["role"]: row["unit"] for row in data["units"]} == match.units
    with Bundle.open(handwritten) as bundle, Catalogue.open(seen.catalogue) as catalogue:
        for edge in data["edges"]:
            assert edge["sum"] == pytest.approx(kernel_of(bundle, edge["up"], edge["down"]).sum(), rel=1e-5)
        picture = motif_figure(match, bundle, result=searched.to_dict(), catalogue=catalogue)
    assert len(data["edges"]) == 6
    svg = seen.get(f"{address}.svg").text
    assert svg == picture.svg
    assert "permuted_sums" in svg
    assert match.units["u"].partition("/")[2] in svg


def test_a_result_of_other_weights_is_told_from_one_of_these(writing: Asking, searched: MotifResult[Any]) -> None:
    key = keep(writing, searched, weights_sha256="0" * 64)
    assert writing.get(f"{PAGE}.json?motif=unions").json()["data"]["result"] is None
    assert "in other weights" in writing.get(f"{PAGE}?motif=unions&result={key}").text
    page = writing.get(f"/motif/{searched.matches[0].id.removeprefix('motif:')}.json").json()
    assert (page["pictures"], page["data"]["draft"]) == ({}, None)
    assert any("other weights" in note for note in page["notes"])


@pytest.mark.parametrize(
    "address",
    [
        "/motifs/none",
        "/motifs/..",
        "/motifs/..%2f..%2fetc",
        f"{PAGE}?motif=none",
        f"{PAGE}?motif=..%2f..%2fx",
        f"{PAGE}?motif=unions&result=..%2f..%2fetc%2fpasswd",
        f"{PAGE}?motif=unions&result=0000000000000000",
        f"{PAGE}?motif=unions&result=store",
        "/motif/0000000000000000",
        "/motif/..%2f..%2fetc",
        "/motif/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ],
)
def test_what_is_not_there_is_refused(seen: Asking, address: str) -> None:
    answer = seen.get(address)
    assert answer.status in (400, 404)
    assert_nothing_runs(answer.text)


def test_files_of_strangers_are_text_or_nothing(writing: Asking, searched: MotifResult[Any], tmp_path: Path) -> None:
    folder = searches_of(writing).results.folder
    folder.mkdir()
    said = searched.to_dict()
    match = {**said["matches"][0], "notes": [HOSTILE], "null": HOSTILE}
    match["bindings"] = [[HOSTILE, 0, unit] for _, _, unit in match["bindings"]]
    null = {"name": HOSTILE, "keeps": HOSTILE, "kills": HOSTILE}
    hostile = {**said, "statement": HOSTILE, "notes": [HOSTILE], "nulls": [null], "matches": [match], "cypher": HOSTILE}
    why = {"units": [HOSTILE], "text": HOSTILE}
    search = {"options": {HOSTILE: HOSTILE}, "why": [HOSTILE]}
    write_result({**hostile, "why_not": why, "search": search}, folder / ("a" * 16 + ".json"))
    (folder / "half.json").write_text(json.dumps(said)[:500])
    (folder / "none.json").write_text("[]")
    (tmp_path / "secret.json").write_text(json.dumps(said))
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    assert [each.key for each in searches_of(writing).results.all()] == ["a" * 16]
    for address in (PAGE, f"{PAGE}?motif=unions&result={'a' * 16}", f"/motif/{match['id'].removeprefix('motif:')}"):
        page = writing.get(address)
        assert page.status == 200
        assert "&lt;script&gt;alert(1)" in page.text
        assert_nothing_runs(page.text)
    root = ElementTree.fromstring(writing.get(f"/motif/{match['id'].removeprefix('motif:')}.svg").text)
    assert not [each for each in root.iter() if each.tag.endswith(("script", "image", "img"))]


@pytest.mark.parametrize(
    ("changes", "is_drawn"),
    [
        ({"score": None}, False),
        ({"edges": 3}, True),
        ({"edges": [{"up": [], "down": {}}]}, True),
        ({"chance": {"scores": [], "observed": 1.0, "reached": 0}}, True),
    ],
)
def test_a_match_with_odd_values_has_a_page(
    writing: Asking, searched: MotifResult[Any], changes: dict[str, Any], is_drawn: bool
) -> None:
    said = searched.to_dict()
    match = {**said["matches"][0], **changes}
    keep(writing, searched, matches=[match])
    page = writing.get(f"/motif/{match['id'].removeprefix('motif:')}.json")
    assert (page.status, bool(page.json()["pictures"])) == (200, is_drawn)


def test_a_file_that_the_shell_wrote_is_shown(writing: Asking, searched: MotifResult[Any]) -> None:
    folder = searches_of(writing).results.folder
    folder.mkdir()
    write_result(searched.to_dict(), folder / "from the shell.json")
    data = writing.get(f"{PAGE}.json?motif=unions").json()["data"]
    assert (data["result"]["source"], len(data["result"]["matches"])) == ("a file", 1)
    assert data["results"][0]["statement"] == searched.statement


def test_a_search_from_the_page_is_kept_and_is_not_made_twice(
    writing: Asking, handwritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = writing.get(f"{PAGE}?motif=centre-surround").text
    fields = {**fields_of(form, PAGE), **{f"option.{name}": str(value) for name, value in QUICK.items()}}
    # a file of this machine is nothing that a page can name
    fields |= {"option.families": "/etc/passwd", "option.seed": "0", "why": "input:1,conv2d0:2"}
    answer = writing.post(PAGE, fields)
    assert answer.status == 303
    where = answer.header("location")
    key = where.rpartition("result=")[2]
    waiting = writing.get(where)
    assert "Searches on their way" in waiting.text
    assert '<noscript><meta http-equiv="refresh"' in waiting.text
    assert searches_of(writing).wait(key, timeout_s=WAIT_S) == "done"
    shown = writing.get(where.replace("?", ".json?")).json()["data"]["result"]
    with Bundle.open(handwritten) as bundle:
        own = get_motif("centre-surround").find(bundle, **QUICK)
        assert shown["why_not"]["text"] == own.why_not("handwritten/input:1", "handwritten/conv2d0:2")
    assert (shown["statement"], shown["count"]) == (own.statement, len(own.matches))
    assert shown["options"] == QUICK

    before = {path: path.stat().st_mtime_ns for path in searches_of(writing).results.folder.iterdir()}
    assert writing.post(PAGE, fields).header("location") == where
    assert searches_of(writing).jobs() == []
    folder = searches_of(writing).results.folder
    with Explorer.open([handwritten], searches=folder) as again:
        assert again.searches is not None
        assert again.searches.results.get(key) is not None
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    monkeypatch.chdir(handwritten.parent)
    ways = writing.get(where.replace("?", ".json?")).json()["ways"]
    *first, last = ways["python"].splitlines()
    names: dict[str, object] = {}
    exec("\n".join(first), names)
    assert eval(last, names).statement == own.statement
    words = [*shlex.split(ways["shell"])[1:], "--json"]
    said = json.loads(CliRunner().invoke(cli, words, catch_exceptions=False).stdout)
    assert said["statement"] == own.statement


def test_a_search_that_cannot_be_says_why(writing: Asking) -> None:
    # that no weights lead from one to the other is seen by the search
    fields = {"motif": "centre-surround", "option.up": "input", "option.down": "mixed4c"}
    where = writing.post(PAGE, fields).header("location")
    key = where.rpartition("result=")[2]
    assert searches_of(writing).wait(key, timeout_s=WAIT_S) == "failed"
    page = writing.get(where)
    assert "no weights lead from handwritten/input to handwritten/mixed4c" in page.text
    assert_nothing_runs(page.text)


def test_a_full_queue_refuses_politely_and_a_search_can_be_stopped(writing: Asking) -> None:
    keys = []
    for seed in range(4):
        answer = writing.post(PAGE, {"motif": "equivariance", "option.seed": str(seed)})
        assert answer.status == 303, answer.text
        keys.append(answer.header("location").rpartition("result=")[2])
        # the first must have left the queue before the others fill it
        if seed == 0:
            with searches_of(writing)._changed:
                searches_of(writing)._changed.wait_for(lambda: searches_of(writing).jobs()[0].state == "running", 10)
    full = writing.post(PAGE, {"motif": "equivariance", "option.seed": "9"})
    assert full.status == 400
    assert "3 searches wait already" in full.text
    for key in keys:
        assert writing.post(PAGE, {"stop": key}).status == 303
    assert {job.state for job in searches_of(writing).jobs()} == {"stopped"}
    assert not [path for path in searches_of(writing).results.folder.iterdir() if path.suffix == ".json"]


@pytest.mark.parametrize(
    "fields",
    [
        {"motif": "none"},
        {"motif": "unions", "option.draws": "many"},
        {"motif": "unions", "option.q": "nan"},
        {"motif": "unions", "option.q": "1e-300"},
        {"motif": "unions", "option.q": "2"},
        {"motif": "unions", "option.draws": "1000000000"},
        {"motif": "unions", "option.draws": "-3"},
        {"motif": "unions", "option.draws": "9" * 900},
        {"motif": "unions", "option.draws": "0"},
        {"motif": "unions", "option.seed": "-1"},
        {"motif": "unions", "option.up": "nolayer"},
        {"motif": "unions", "option.up": HOSTILE},
        {"motif": "unions", "option.up_units": "99999"},
        {"motif": "unions", "option.up_units": "mixed3b:99999"},
        {"motif": "ladders", "option.layers": "mixed3b, nolayer"},
        {"motif": "ladders", "option.steps": "1000000"},
        {"motif": "equivariance", "option.null": "none"},
        {"motif": "equivariance", "option.transformations": "none"},
        {"motif": "families", "option.transformations": "none"},
        {"motif": "pattern", "option.text": "a -> nonsense b"},
        {"motif": "pattern"},
        {"motif": "pattern", "option.text": "a" * 2_000},
        {"motif": "specialisation", "option.kind": "other"},
        {"motif": "unions", "why": "none:1"},
        {"motif": "unions", "why": "/etc/passwd"},
    ],
)
def test_options_that_cannot_be_are_refused_before_a_search_begins(writing: Asking, fields: dict[str, str]) -> None:
    answer = writing.post(PAGE, fields)
    assert answer.status in (400, 404)
    assert "<script>alert" not in answer.text
    assert searches_of(writing).jobs() == []


def test_a_form_that_cannot_be_searched_comes_back_with_what_was_typed(writing: Asking) -> None:
    typed = {"option.up": "nolayer", "option.down": "mixed4b", "option.draws": "77", "why": "mixed4b:3"}
    answer = writing.post(PAGE, {"motif": "unions", **typed})
    text = unescape(answer.text)
    assert answer.status == 400
    assert "No search was started" in text
    assert "layer 'nolayer' does not exist in handwritten" in text
    for name, value in typed.items():
        assert re.search(rf'name="{re.escape(name)}"[^>]* value="{value}"', text), name
    # the number that would have run for days is named with what is taken
    far = writing.post(PAGE, {"motif": "unions", "option.draws": "1000000000"})
    assert "draws='1000000000' is out of bounds: a page takes 0 to 10,000" in unescape(far.text)


def test_strangers_start_no_search(
    handwritten: Path, catalogue: Path, searched: MotifResult[Any], tmp_path: Path
) -> None:
    with looking(handwritten, catalogue, tmp_path, is_public=True) as opened:
        keep(opened, searched)
        page = opened.get(f"{PAGE}?motif=unions")
        assert (page.status, searched.statement in unescape(page.text)) == (200, True)
        assert 'method="post"' not in page.text
        assert opened.post(PAGE, {"motif": "unions"}).status == 403
        assert searches_of(opened).jobs() == []
        opened.cookie = ""
        assert opened.post(PAGE, {"motif": "unions"}).status == 403


def test_many_matches_come_a_page_at_a_time(writing: Asking, searched: MotifResult[Any]) -> None:
    said = searched.to_dict()
    many = [
        {**said["matches"][0], "id": f"motif:{place:016x}", "score": float(place), "verdict": verdict}
        for place, verdict in enumerate(np.resize(["found", "not significant"], 3_000).tolist())
    ]
    key = keep(writing, searched, matches=many)
    html = writing.get(f"{PAGE}?motif=unions&result={key}").text
    assert "showing 1 to 50 of 3,000" in " ".join(html.split())
    assert html.count("<tr>") < 60
    first = writing.get(f"{PAGE}.json?motif=unions&result={key}&verdict=found").json()["data"]["result"]
    after = writing.get(first["paging"]["next"].replace("?", ".json?")).json()["data"]["result"]
    scores = [row["score"] for row in (*first["matches"], *after["matches"])]
    assert scores == [2.0 * place for place in range(100)]
    assert first["paging"]["count"] == 1_500


def test_verdicts_are_counted_only_where_all_matches_are_at_hand(seen: Asking, searched: MotifResult[Any]) -> None:
    whole = {**searched.to_dict(), "skipped": 0, "beyond": 70}
    bundle = seen.explorer.bundles["handwritten"]
    shown = _shown((None, whole), bundle, Asked({}, {"verdict": "ranking"}), "handwritten", "unions")
    assert (shown["verdict"], shown["verdicts"]) == ("", [])
    assert (shown["count"], shown["paging"]["count"], len(shown["matches"])) == (71, 71, 1)
