"""The workbench and the pages of circuits: numbers against the arrays, what is saved against what is shown."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.circuit_making import make_circuit
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.cli.main import cli
from circuitgraph.export.circuits import parse_circuit
from importers.handwritten_truth import handwritten_truth
from tests.web.asking import ADA, Asking
from tests.web.looking import HOSTILE, assert_nothing_runs, fields_of, kernel_of, kernels_into, looking, share_of

HEAD = handwritten_truth().ladder.u
AROUND = f"/around/{HEAD}"
RECORD = "/draft?circuit="


@pytest.fixture(scope="module")
def seen(handwritten: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with looking(handwritten, catalogue, tmp_path_factory.mktemp("circuits")) as opened:
        yield opened


@pytest.fixture
def writing(handwritten: Path, catalogue: Path, tmp_path: Path) -> Iterator[Asking]:
    with looking(handwritten, catalogue, tmp_path) as opened:
        yield opened


def drawn(seen: Asking, address: str) -> dict[tuple[str, str], dict[str, float]]:
    path, _, query = address.partition("?")
    page = seen.get(f"{path}.json?{query}")
    assert page.status == 200, page.text
    return {(edge["up"], edge["down"]): edge for edge in page.json()["data"]["edges"]}


def dog_head(seen: Asking) -> CircuitRecord:
    with Catalogue.open(seen.catalogue) as opened:
        return next(each for each in opened.documents(CircuitRecord) if each.slug == "dog-head")


def strongest_around(bundle: Bundle, unit: str, top: int) -> set[tuple[str, str]]:
    """The strongest edges by l2 into a unit and out of it, by brute force over the whole arrays."""
    layer, channel = unit.rsplit(":", 1)
    source, above = kernels_into(bundle, layer)
    into = np.sqrt((above[int(channel)] ** 2).sum(axis=(1, 2)))
    found = {(f"{source}:{place}", unit) for place in np.argsort(-into)[:top]}
    (target,) = [part.down for part in bundle.blocks if part.up == layer]
    _, below = kernels_into(bundle, target)
    out = np.sqrt((below[:, int(channel)] ** 2).sum(axis=(1, 2)))
    return found | {(unit, f"{target}:{place}") for place in np.argsort(-out)[:top]}


def test_the_circuit_around_a_unit_is_that_of_brute_force(seen: Asking, handwritten: Path) -> None:
    edges = drawn(seen, f"{AROUND}?hops=1&top=5")
    with Bundle.open(handwritten) as bundle:
        assert set(edges) == strongest_around(bundle, HEAD, 5)
        for (up, down), edge in edges.items():
            kernel = kernel_of(bundle, up, down)
            assert edge["sum"] == pytest.approx(kernel.sum(), rel=1e-5)
            assert edge["l1"] == pytest.approx(np.abs(kernel).sum(), rel=1e-5)
            assert edge["share_in"] == pytest.approx(share_of(bundle, up, down), rel=1e-5)


@pytest.mark.parametrize(("name", "value", "column"), [("min_share", 0.15, "share_in"), ("min_sum", 1.9, "sum")])
def test_a_threshold_leaves_the_weak_edges_out_and_no_others(
    seen: Asking, name: str, value: float, column: str
) -> None:
    whole = drawn(seen, RECORD + "dog-head@" + dog_head(seen).sha256[:8])
    cut = drawn(seen, f"{RECORD}dog-head@{dog_head(seen).sha256[:8]}&{name}={value}")
    assert set(cut) == {pair for pair, edge in whole.items() if abs(edge[column]) >= value}
    assert 0 < len(cut) < len(whole)
    page = seen.get(f"{RECORD}dog-head@{dog_head(seen).sha256[:8]}&{name}={value}").text
    assert f"Left out below the thresholds: {len(whole) - len(cut)} edges" in page


def test_raising_the_threshold_changes_what_is_drawn(seen: Asking) -> None:
    before, after = (seen.get(f"{AROUND}.svg?min_share={share}").text for share in (0.02, 0.15))
    assert before != after
    assert after.count("Σ") < before.count("Σ")


def test_a_unit_is_removed_with_its_edges_and_can_be_put_back(seen: Asking) -> None:
    whole = seen.get(f"{AROUND}.json?hops=1").json()["data"]
    row = next(row for row in whole["units"] if row["role"] == "upstream")
    less = seen.get(row["remove"].replace("?", ".json?")).json()["data"]
    assert {each["unit"] for each in less["units"]} == {each["unit"] for each in whole["units"]} - {row["unit"]}
    assert [edge for edge in whole["edges"] if row["unit"] not in (edge["up"], edge["down"])] == less["edges"]
    again = seen.get(less["removed"][0]["back"].replace("?", ".json?")).json()["data"]
    assert again["edges"] == whole["edges"]


def test_neighbours_of_a_unit_are_added(seen: Asking, handwritten: Path) -> None:
    whole = seen.get(f"{AROUND}.json?hops=1&top=3").json()["data"]
    row = next(row for row in whole["units"] if row["role"] == "upstream")
    more = drawn(seen, row["add"])
    with Bundle.open(handwritten) as bundle:
        wanted = {(edge["up"], edge["down"]) for edge in whole["edges"]} | strongest_around(bundle, row["unit"], 3)
    assert set(more) == wanted


def test_chosen_units_come_with_the_strongest_edges_between_them(seen: Asking, handwritten: Path) -> None:
    ladder = handwritten_truth().ladder
    units = [*ladder.rungs[-1], *ladder.rungs[-2], ladder.u]
    edges = drawn(seen, f"/draft?units={','.join(units)}")
    with Bundle.open(handwritten) as bundle:
        layers = {unit.rsplit(":", 1)[0] for unit in units}
        pairs = {(part.up, part.down) for part in bundle.blocks if {part.up, part.down} <= layers}
    wanted = {(a, b) for a in units for b in units if (a.rsplit(":", 1)[0], b.rsplit(":", 1)[0]) in pairs}
    assert set(edges) == wanted
    assert seen.get("/draft?units=4b:45,4a:46").status == 200


def test_what_is_shown_is_bounded_and_says_of_how_many(seen: Asking) -> None:
    page = seen.get(f"{AROUND}.json?hops=2&top=12").json()
    counts = page["data"]["counts"]
    assert len(page["data"]["units"]) == counts["units"] <= 40 < counts["of_units"]
    assert len(page["data"]["edges"]) == counts["edges"] <= 60 < counts["of_edges"]
    said = (
        f"Showing {counts['units']} of {counts['of_units']} units and {counts['edges']} of {counts['of_edges']} edges"
    )
    assert any(note.startswith(said) for note in page["notes"])
    assert len(seen.get(f"{AROUND}.svg?hops=2&top=12").body) < 2_000_000


@pytest.mark.parametrize(
    "query",
    [
        "hops=4",
        "hops=-1",
        "hops=3&top=16",
        "top=0",
        "top=17",
        "top=1e3",
        "top=٣",
        "min_share=nan",
        "min_share=-0.1",
        "min_share=2",
        "min_sum=inf",
        "min_sum=-1",
        "min_sum=x",
        "by=name",
        "add=handwritten/mixed4a:999",
        "add=/etc/passwd",
        "remove=none",
        "remove=" + ",".join(f"mixed4a:{n}" for n in range(96)) + "," + ",".join(f"mixed4c:{n}" for n in range(96)),
        "add=" + ",".join(f"mixed4a:{n}" for n in range(61)),
    ],
)
def test_a_state_that_cannot_be_is_refused(seen: Asking, query: str) -> None:
    answer = seen.get(f"{AROUND}?{query}")
    assert answer.status in (400, 404)
    assert_nothing_runs(answer.text)


@pytest.mark.parametrize(
    "address",
    [
        "/draft",
        "/around",
        "/draft?units=",
        "/draft?units=4b:45&circuit=dog-head@00000000",
        "/draft?circuit=/etc/passwd.json",
        "/draft?circuit=..%2f..%2fx.json",
        "/draft?circuit=dog-head",
        "/draft?circuit=dog-head@00000000",
        "/draft?units=/etc/passwd",
        "/around/../../etc/passwd",
        "/around/handwritten/%2e%2e%2fmixed4b:45",
        "/around/none/a:1",
        "/around/handwritten/mixed4b@car",
        "/circuit/..%2f..%2fetc%2fpasswd",
        "/circuit/dog-head",
        "/circuit/dog-head@00000000",
        "/circuit/x.json",
        f"/around/{HOSTILE.replace('/', '%2f').replace('?', '')}",
    ],
)
def test_what_is_no_circuit_is_refused(seen: Asking, address: str) -> None:
    answer = seen.get(address)
    assert answer.status in (400, 404)
    assert_nothing_runs(answer.text)


def test_the_same_state_has_one_address(seen: Asking) -> None:
    one = seen.get(f"{AROUND}.json?top=4&hops=2&by=l2&min_sum=0&min_share=0.0200").json()["address"]
    other = seen.get("/around.json?unit=4b:45&min_share=.02").json()["address"]
    assert one == other == f"{AROUND}?hops=2&top=4&min_share=0.02"
    assert seen.get(one).status == 200


def save(writing: Asking, address: str, **typed: str) -> tuple[int, str]:
    fields = fields_of(writing.get(address).text, "/draft")
    answer = writing.post("/draft", {**fields, **typed})
    return answer.status, answer.header("location") or answer.text


def test_the_saved_record_is_what_was_shown(writing: Asking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = f"{AROUND}?hops=2&top=4&min_share=0.1&min_sum=1.2&remove=handwritten/mixed4c:27"
    shown = writing.get(address.replace("?", ".json?")).json()["data"]
    status, where = save(writing, address, title="My head", description="Both ways.", reference="10.1/x")
    assert status == 303
    page = writing.get(where).text
    assert "My head" in page
    with Catalogue.open(writing.catalogue) as opened:
        record = next(each for each in opened.documents(CircuitRecord) if each.title == "My head")
    assert where == f"/circuit/{record.uid.removeprefix('circuit:')}"
    # sizes of kernels as in the draft
    assert "5×5</td>" in writing.get(where).text
    assert [(unit.uid, unit.role) for unit in record.units] == [(row["unit"], row["role"]) for row in shown["units"]]
    assert [(edge.up, edge.down) for edge in record.edges] == [(row["up"], row["down"]) for row in shown["edges"]]
    assert [edge.sum for edge in record.edges] == pytest.approx([row["sum"] for row in shown["edges"]], rel=1e-5)
    assert (record.author, record.description, record.reference) == (ADA, "Both ways.", "10.1/x")
    said = record.thresholds
    assert (said["rule"], said["unit"], said["hops_up"], said["top"]) == ("around", HEAD, 2, 4)
    assert (said["min_share"], said["min_sum"], said["removed"]) == (0.1, 1.2, "handwritten/mixed4c:27")
    assert (said["kept"], said["kept"] < said["of"]) == (len(shown["edges"]), True)

    monkeypatch.setenv("CIRCUITGRAPH_CATALOGUE", str(writing.catalogue))
    monkeypatch.setenv("CIRCUITGRAPH_CONFIG", str(tmp_path / "config.toml"))
    listed = json.loads(CliRunner().invoke(cli, ["circuit", "list", "--json"], catch_exceptions=False).stdout)
    assert record.uid in json.dumps(listed)
    assert record.uid in writing.get("/circuits.json").text


def test_a_saved_circuit_is_begun_with_again(writing: Asking) -> None:
    _, where = save(writing, f"{AROUND}?hops=1&top=4&min_share=0.1", title="My head")
    record = writing.get(f"{where}.json").json()["data"]
    edges = drawn(writing, record["draft"])
    assert set(edges) == {(row["up"], row["down"]) for row in record["edges"]["rows"]}


def test_a_circuit_without_title_is_not_saved_and_keeps_what_was_typed(writing: Asking) -> None:
    before = writing.written()
    status, page = save(writing, f"{AROUND}?hops=1", title="  ", description=f"kept {HOSTILE}")
    assert status == 400
    assert "Not saved" in page
    assert "kept &#34;&gt;&lt;script&gt;" in page
    assert_nothing_runs(page)
    assert writing.written() == before


def test_a_circuit_that_was_not_shown_is_not_saved(writing: Asking) -> None:
    before = writing.written()
    fields = fields_of(writing.get(f"{AROUND}?hops=1").text, "/draft")
    assert writing.post("/draft", {**fields, "title": "other", "top": "2"}).status == 400
    assert writing.post("/draft", {**fields, "title": "other", "shown": ""}).status == 400
    assert writing.written() == before


def test_nobody_saves_without_the_token_or_from_elsewhere(writing: Asking) -> None:
    before = writing.written()
    fields = {**fields_of(writing.get(f"{AROUND}?hops=1").text, "/draft"), "title": "other"}
    assert writing.post("/draft", fields, headers=[("origin", "http://evil.example")]).status == 403
    writing.cookie = ""
    assert writing.post("/draft", fields).status == 403
    assert 'action="/draft"><input type="hidden"' not in writing.get(f"{AROUND}?hops=1").text
    assert "Save as a circuit" in writing.get(f"{AROUND}?hops=1").text
    assert writing.written() == before


def test_hostile_titles_and_roles_are_text_everywhere(writing: Asking, handwritten: Path) -> None:
    with Bundle.open(handwritten) as bundle, Catalogue.open(writing.catalogue) as opened:
        record = make_circuit(
            bundle,
            {HEAD: HOSTILE, "mixed4a:46": f"</text></svg>{HOSTILE}"},
            title=HOSTILE,
            description=HOSTILE,
            reference="javascript:alert(1)",
            labels={HEAD: f"</title>{HOSTILE}"},
            author=ADA,
            date="2026-11-21",
        )
        opened.add_documents([record])
    address = f"/circuit/{record.uid.removeprefix('circuit:')}"
    draft = f"{RECORD}{record.uid.removeprefix('circuit:')}"
    for html in (address, "/circuits", draft):
        page = writing.get(html)
        assert page.status == 200
        assert "&lt;script&gt;alert(1)" in page.text
        assert_nothing_runs(page.text)
        assert 'href="javascript' not in page.text
    for svg in (f"{address}.svg", draft.replace("/draft", "/draft.svg")):
        root = ElementTree.fromstring(writing.get(svg).text)
        assert {each.tag.rpartition("}")[2] for each in root.iter()} <= {
            *("svg", "title", "desc", "g", "path", "rect", "text", "circle", "line", "tspan", "polygon"),
            *("defs", "linearGradient", "stop"),
        }
    named = writing.get(f"{draft}&file=json").header("content-disposition")
    assert named.isascii()
    assert named.count('"') == 2


def test_a_record_is_checked_against_the_open_bundle(writing: Asking) -> None:
    record = dog_head(writing)
    page = writing.get(f"/circuit/dog-head@{record.sha256[:8]}.json").json()["data"]
    assert (page["check"]["is_unchanged"], page["check"]["counts"]["unchanged"]) == (True, len(record.edges))
    first, *others = record.edges
    changed = first.model_copy(update={"sha256": "0" * 64, "sum": first.sum + 1})
    other = record.model_copy(update={"edges": (changed, *others), "slug": "other"})
    with Catalogue.open(writing.catalogue) as opened:
        opened.add_documents([other])
    found = writing.get(f"/circuit/other@{other.sha256[:8]}.json").json()["data"]["check"]
    assert (found["is_unchanged"], found["counts"]["changed"], len(found["differences"])) == (False, 1, 1)
    html = writing.get(f"/circuit/other@{other.sha256[:8]}").text
    assert "Not as recorded" in html
    assert "NOT AS RECORDED" in html


def test_a_circuit_of_a_network_that_is_not_open_has_a_page(writing: Asking) -> None:
    record = dog_head(writing)
    text = record.text().replace("handwritten/", "elsewhere/").replace('"handwritten"', '"elsewhere"')
    said = {name: value for name, value in json.loads(text).items() if name in CircuitRecord.model_fields}
    with Catalogue.open(writing.catalogue) as opened:
        other = CircuitRecord(**{**said, "slug": "far"})
        opened.add_documents([other])
    page = writing.get(f"/circuit/far@{other.sha256[:8]}.json").json()
    assert "No bundle of elsewhere is open here" in page["notes"][0]
    assert (page["data"]["draft"], page["pictures"]) == (None, {})
    assert writing.get(f"{RECORD}far@{other.sha256[:8]}").status == 404


def test_files_hold_the_circuit_that_is_shown(seen: Asking) -> None:
    address = f"{AROUND}?hops=1&top=3&min_share=0.1"
    shown = seen.get(address.replace("?", ".json?")).json()
    assert set(shown["files"]) == {"json", "graphml", "gexf"}
    for form, where in shown["files"].items():
        answer = seen.get(where)
        assert answer.header("content-disposition").endswith(f'.{form}"')
        graph = parse_circuit(answer.text, form)  # type: ignore[arg-type]
        assert [unit.uid for unit in graph.units] == [row["unit"] for row in shown["data"]["units"]]
        assert [edge.sum for edge in graph.edges] == [row["sum"] for row in shown["data"]["edges"]]
    assert seen.get(f"{address}&file=none").status == 404
    assert seen.get(f"{address}&file=..%2fx").status == 404


def test_the_shell_draws_the_same_bytes(
    seen: Asking, handwritten: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handwritten.parent)
    monkeypatch.setenv("CIRCUITGRAPH_CATALOGUE", str(seen.catalogue))
    monkeypatch.setenv("CIRCUITGRAPH_CONFIG", str(tmp_path / "config.toml"))
    record = f"/circuit/dog-head@{dog_head(seen).sha256[:8]}"
    for address in (f"{AROUND}?hops=1&top=3&min_share=0.1", record):
        path, _, query = address.partition("?")
        words = shlex.split(seen.get(f"{path}.json?{query}").json()["ways"]["shell"])
        out = tmp_path / "drawn.svg"
        CliRunner().invoke(cli, [*words[1:-1], str(out)], catch_exceptions=False)
        assert out.read_text() == seen.get(f"{path}.svg?{query}").text

    # what was changed is saved as a file, which draws the same too
    changed = f"{AROUND}?hops=1&top=3&remove=handwritten/mixed4a:46"
    (tmp_path / "mine.json").write_bytes(seen.get(f"{changed}&file=json").body)
    words = ["draw", "circuit", str(tmp_path / "mine.json"), "--bundle", handwritten.name, "-o", str(out)]
    CliRunner().invoke(cli, words, catch_exceptions=False)
    assert out.read_text() == seen.get(changed.replace("?", ".svg?")).text


def test_the_lines_of_python_and_shell_give_what_is_shown(
    seen: Asking, handwritten: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handwritten.parent)
    monkeypatch.setenv("CIRCUITGRAPH_CATALOGUE", str(seen.catalogue))
    monkeypatch.setenv("CIRCUITGRAPH_AUTHOR", "Ada Example")
    monkeypatch.setenv("CIRCUITGRAPH_CONFIG", str(tmp_path / "config.toml"))
    uid = f"dog-head@{dog_head(seen).sha256[:8]}"
    for address in (
        f"{AROUND}?hops=1&top=3&min_share=0.1",
        f"{AROUND}?hops=1&top=3&min_sum=1&add=handwritten/mixed4a:46&remove=handwritten/mixed4c:27",
        "/draft?units=4b:45,4a:46,4a:83&top=8",
        f"{RECORD}{uid}&min_share=0.15",
    ):
        path, _, query = address.partition("?")
        page = seen.get(f"{path}.json?{query}").json()
        edges = [(row["up"], row["down"]) for row in page["data"]["edges"]]
        *first, last = page["ways"]["python"].splitlines()
        names: dict[str, object] = {}
        exec("\n".join(first), names)
        assert [(edge.up, edge.down) for edge in eval(last, names).edges] == edges
        words = shlex.split(page["ways"]["shell"])
        if words[2] == "new":
            done = CliRunner().invoke(cli, [*words[1:], "--dry-run"], catch_exceptions=False)
            made = json.loads(done.stdout)
            assert [(edge["up"], edge["down"]) for edge in made["edges"]] == edges
