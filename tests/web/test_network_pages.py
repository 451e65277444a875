"""The start page and pages of networks against the bundle's own tables, and against names that would be markup."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.cli.main import cli
from circuitgraph.errors import UnknownNetworkError
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.web import Explorer, make_app
from circuitgraph.web.page import Asked
from circuitgraph.web.render import _figure as figure_text
from circuitgraph.web.views.networks import view_network
from tests.web.asking import TOKEN, Asking
from tests.web.looking import HOSTILE, assert_nothing_runs, looking


@pytest.fixture(scope="module")
def seen(handwritten: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with looking(handwritten, catalogue, tmp_path_factory.mktemp("networks")) as opened:
        yield opened


def test_the_start_page_leads_to_the_networks_and_says_what_they_hold(seen: Asking, handwritten: Path) -> None:
    page = seen.get("/index.json").json()
    (network,) = page["data"]["networks"]
    with Bundle.open(handwritten) as bundle:
        wanted = (len(bundle.layers), bundle.units.num_rows, sum(part.edge_count for part in bundle.blocks))
        assert page["versions"]["bundle handwritten"] == bundle.sha256
    assert (network["layers"], network["units"], network["kernels"]) == wanted
    html = seen.get("/").text
    assert '<a href="/network/handwritten">' in html
    assert f"{wanted[2]:,} kernels" in html


def test_the_start_page_says_what_the_catalogue_holds(seen: Asking) -> None:
    said = seen.get("/index.json").json()["data"]["catalogue"]
    with Catalogue.open(seen.catalogue) as catalogue:
        assert said["claims"] == len(catalogue.ids())
        assert said["features"] == len(list(catalogue.vocabulary()))
    assert "inceptionv1" in [each["uid"] for each in said["networks"]]
    assert [each["title"] for each in said["some_circuits"]] == ["Dog head, either way"]
    assert '<a href="/network/inceptionv1">' in seen.get("/").text


def test_layers_stand_in_order_with_the_numbers_of_the_arrays(seen: Asking, handwritten: Path) -> None:
    rows = seen.get("/network/handwritten.json").json()["data"]["layers"]
    with Bundle.open(handwritten) as bundle:
        assert [row["layer"] for row in rows] == [layer.uid for layer in bundle.layers]
        for row, layer in zip(rows, bundle.layers, strict=True):
            squares = 0.0
            for up, down in bundle.pairs:
                if down == layer.uid:
                    squares += float((np.asarray(bundle.block(up, down).kernels, dtype=np.float64) ** 2).sum())
            assert row["in_norm"] == pytest.approx(np.sqrt(squares), rel=1e-5)
            assert (row["units"], tuple(row["map"]), row["kind"]) == (layer.unit_count, layer.size, layer.kind)


def test_pairs_have_the_numbers_of_the_arrays(seen: Asking, handwritten: Path) -> None:
    pairs = seen.get("/network/handwritten.json").json()["data"]["pairs"]
    with Bundle.open(handwritten) as bundle:
        assert [(f"handwritten/{row['up']}", f"handwritten/{row['down']}") for row in pairs["rows"]] == list(
            bundle.pairs
        )
        for row in pairs["rows"]:
            kernels = np.asarray(bundle.block(row["up"], row["down"]).kernels, dtype=np.float64)
            assert row["kernels"] == kernels.shape[0] * kernels.shape[1]
            assert row["window"] == [list(kernels.shape[2:])]
            assert row["l1"] == pytest.approx(np.abs(kernels).sum(), rel=1e-6)
            assert row["l2"] == pytest.approx(np.sqrt((kernels**2).sum()), rel=1e-6)
    assert pairs["count"] == len(pairs["rows"]) == 10


def test_what_is_labelled_is_counted_by_layer(seen: Asking) -> None:
    rows = {row["name"]: row for row in seen.get("/network/handwritten.json").json()["data"]["layers"]}
    with Catalogue.open(seen.catalogue) as catalogue:
        heads = [head for head in catalogue.heads(catalogue.ids()) if not head.is_superseded]
    for name, row in rows.items():
        own = [head for head in heads if re.match(rf"handwritten/{name}([:@!][^ ]*)?$", head.subject)]
        is_label = {"detects", "responds_to"}
        labelled = {head.subject for head in own if head.predicate in is_label and ":" in head.subject}
        assert (row["claims"], row["labelled"]) == (len(own), len(labelled)), name


def test_the_page_shows_the_numbers_of_its_twin(seen: Asking) -> None:
    data = seen.get("/network/handwritten.json").json()["data"]
    html = seen.get("/network/handwritten").text
    layers = html.partition('id="layers"')[2].partition("</table>")[0]
    for row in data["layers"]:
        (line,) = [each for each in layers.split("<tr>") if f'<a href="/layer/{row["layer"]}">' in each]
        for name in ("units", "labelled", "claims", "in_norm"):
            assert f'<td class="number">{figure_text(row[name])}</td>' in line
    for row in data["pairs"]["rows"]:
        assert f'<td class="number">{figure_text(row["l1"])}</td>' in html
    assert data["fidelity"] in html


def test_families_motifs_and_approximations_are_there(seen: Asking, handwritten: Path) -> None:
    data = seen.get("/network/handwritten.json").json()["data"]
    html = seen.get("/network/handwritten").text
    with Bundle.open(handwritten) as bundle:
        assert data["families_count"] == len(bundle.families)
        assert data["approximations"] == list(bundle.info.approximations)
    assert 'href="/motifs/handwritten"' in html
    assert 'href="/families/handwritten"' in html
    assert "/family/handwritten/mixed3b!curves" in html


def test_the_version_of_the_catalogue_changes_with_the_log_alone(seen: Asking, tmp_path: Path) -> None:
    first = seen.get("/network/handwritten.json").json()["versions"]["catalogue"]
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert seen.get("/index.json").json()["versions"]["catalogue"] == first


def test_a_network_known_from_claims_alone_has_a_page(seen: Asking) -> None:
    data = seen.get("/network/inceptionv1.json").json()["data"]
    assert "inceptionv1/mixed4c" in [row["layer"] for row in data["layers"]]
    assert seen.get("/network/inceptionv1").status == 200
    assert '<a href="/layer/inceptionv1/mixed4c">' in seen.get("/network/inceptionv1").text


@pytest.mark.parametrize("name", ["elsewhere", "..", "%3Cscript%3Ealert(1)%3C%2Fscript%3E", "a" * 600])
def test_a_network_that_is_not_there_is_said(seen: Asking, name: str) -> None:
    answer = seen.get(f"/network/{name}")
    assert answer.status in (400, 404)
    assert_nothing_runs(answer.text)


def test_without_a_bundle_or_a_catalogue_nothing_is_known() -> None:
    with Explorer([]) as explorer, pytest.raises(UnknownNetworkError):
        view_network(explorer, Asked({"uid": "net"}))


def test_hostile_titles_are_text(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net")
    info = bundle.info.model_copy(
        update={"title": HOSTILE, "architecture": HOSTILE, "source": HOSTILE, "reference": f"javascript:{HOSTILE}"}
    )
    hostile = Bundle(bundle.path, bundle.manifest.model_copy(update={"info": info}))
    with Explorer([hostile]) as explorer:
        asked = Asking(make_app(explorer, token=TOKEN), explorer, tmp_path)
        for address in ("/", "/network/net", "/layer/net/layer1", "/unit/net/layer1:3", "/search?q=script"):
            page = asked.get(address)
            assert page.status == 200
            assert_nothing_runs(page.text)
            assert 'href="javascript' not in page.text
        assert asked.get("/network/net.json").json()["title"] == HOSTILE


def test_the_lines_of_python_and_shell_give_the_layers(
    seen: Asking, handwritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handwritten.parent)
    page = seen.get("/network/handwritten.json").json()
    *first, last = page["ways"]["python"].splitlines()
    names: dict[str, object] = {}
    exec("\n".join(first), names)
    assert [uid for uid, *_ in eval(last, names)] == [row["layer"] for row in page["data"]["layers"]]
    words = shlex.split(page["ways"]["shell"])
    done = CliRunner().invoke(cli, [*words[1:], "--format", "csv"], catch_exceptions=False)
    assert [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == [
        row["name"] for row in page["data"]["layers"]
    ]


def test_no_page_names_a_folder_of_this_machine(seen: Asking, handwritten: Path) -> None:
    for address in ("/index.json", "/network/handwritten.json", "/layer/handwritten/mixed3b.json"):
        assert str(handwritten.parent) not in seen.get(address).text
