"""``circuitgraph draw``: the pictures of the library, in the file that is asked for, with what they leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.claims import Author, Claim
from circuitgraph.catalogue.families import make_families
from circuitgraph.catalogue.features import Feature
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.subgraph import circuit_around
from circuitgraph.export import write_circuit
from circuitgraph.figures import (
    circuit_figure,
    family_figure,
    grid_figure,
    kernel_figure,
    layer_figure,
    motif_figure,
    unit_figure,
)
from circuitgraph.testing.bundles import write_synthetic_bundle
from queries.pattern import find_pattern
from tests.cli.calling import Call, caller

ADA = Author(name="Ada Example")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("draw") / "net.circuit"
    return write_synthetic_bundle(path, network="net", unit_counts=(3, 60, 40, 20))


@pytest.fixture
def draw(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run ``circuitgraph draw ...`` in a folder with an empty catalogue."""
    Catalogue.open(tmp_path / "cat", create=True).close()
    return caller(tmp_path, capsys, monkeypatch, group="draw")


@pytest.mark.parametrize("kind", ["kernel", "grid", "unit", "circuit", "family", "layer"], ids=lambda kind: str(kind))
def test_a_command_draws_what_the_library_draws(draw: Call, bundle: Bundle, tmp_path: Path, kind: str) -> None:
    asked, figure = {
        "kernel": (["kernel", bundle.path, "layer1:4", "layer2:7"], kernel_figure(bundle, "layer1:4", "layer2:7")),
        "grid": (
            ["grid", bundle.path, "--up", "!first", "--down", "layer2:1,5"],
            grid_figure(bundle, "!first", "layer2:1,5"),
        ),
        "unit": (["unit", bundle.path, "layer2:7", "--top", 3], unit_figure(bundle, "layer2:7", top=3)),
        "circuit": (
            ["circuit", "--around", "layer2:7", "--bundle", bundle.path, "--top", 2],
            circuit_figure(circuit_around(bundle, "layer2:7", hops=1, top=2), bundle),
        ),
        "family": (["family", bundle.path, "layer1!first"], family_figure("layer1!first", bundle)),
        "layer": (["layer", bundle.path, "layer2", "--limit", 4], layer_figure(bundle, "layer2", limit=4)),
    }[kind]
    code, out, err = draw(*asked, "-o", "a.svg")
    assert (code, out) == (0, ""), err
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == figure.svg
    assert err.startswith("a.svg: ")
    assert draw(*asked, "-o", "-", "-q") == (0, figure.svg, "")


def test_the_ending_says_the_format_and_another_is_refused(draw: Call, bundle: Bundle, tmp_path: Path) -> None:
    asked = ("kernel", bundle.path, "layer1:4", "layer2:7")
    assert draw(*asked, "-o", "a.png", "-q") == (0, "", "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert draw(*asked, "-o", "a.html", "-q")[0] == 0
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    code, _, err = draw(*asked, "-o", "a.pdf")
    assert code == 1
    assert ".svg, .png or .html" in err
    assert draw(*asked)[0] == 2


def test_what_was_left_out_is_said_on_stderr(draw: Call, bundle: Bundle) -> None:
    _, _, err = draw("unit", bundle.path, "layer2:7", "--top", 3, "-o", "a.svg")
    assert "Upstream: showing 3 of 60, the strongest by l2" in err
    _, _, err = draw("grid", bundle.path, "--up", "layer1", "--down", "layer2", "--limit", 5, "-o", "a.svg")
    assert "5 of 40" in err
    assert "5 of 60" in err
    _, _, err = draw("layer", bundle.path, "layer1", "-o", "a.svg")
    assert "48 of 60" in err


def test_names_and_families_come_from_the_catalogue_if_there_is_one(draw: Call, bundle: Bundle, tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "cat") as catalogue:
        catalogue.add_features([Feature(uid="feature:car", name="car", author=ADA, date="2026-11-21")])
        said = {"predicate": "detects", "object": "feature:car", "author": ADA, "date": "2026-11-21"}
        catalogue.add([Claim(subject="net/layer2:7", **said)])
        catalogue.add_documents(
            make_families(bundle, {"mine": ["layer2:7", "layer2:9"]}, author=ADA, date="2026-11-21")
        )
    assert draw("unit", bundle.path, "layer2:7", "-o", "a.svg")[0] == 0
    assert ">car<" in (tmp_path / "a.svg").read_text()
    assert draw("family", bundle.path, "layer2!mine", "-o", "b.svg")[0] == 0
    code, _, err = draw("family", bundle.path, "layer2!mine", "-o", "c.svg", CATALOGUE="", DATA_DIR=str(tmp_path))
    assert code == 1
    assert "family 'layer2!mine' is not in the bundle of net" in err


def test_a_graph_in_a_file_draws_itself(draw: Call, bundle: Bundle, tmp_path: Path) -> None:
    graph = circuit_around(bundle, "layer2:7", hops=1, top=2)
    expected = circuit_figure(graph).svg
    for name in ("g.json", "g.graphml", "g.gexf"):
        write_circuit(graph, tmp_path / name)
        assert draw("circuit", name, "-o", "-", "-q") == (0, expected, "")
    assert draw("circuit", "-o", "a.svg")[0] == 2
    assert draw("circuit", "g.json", "--around", "layer2:7", "-o", "a.svg")[0] == 2
    (tmp_path / "no.json").write_text("[]")
    code, _, err = draw("circuit", "no.json", "-o", "a.svg")
    assert code == 1
    assert "no.json" in err


def test_a_match_is_drawn_from_what_a_search_wrote(draw: Call, bundle: Bundle, tmp_path: Path) -> None:
    result = find_pattern(bundle, "a -> c, b -| c", draws=40, limit=3)
    written = result.to_dict()
    (tmp_path / "found.json").write_text(json.dumps(written))
    expected = motif_figure(written["matches"][1], bundle, result=written).svg
    assert draw("motif", bundle.path, 2, "--from", "found.json", "-o", "-", "-q") == (0, expected, "")
    uid = result.matches[1].id
    assert draw("motif", bundle.path, uid[:14], "--from", "found.json", "-o", "-", "-q")[1] == expected
    code, _, err = draw("motif", bundle.path, 4, "--from", "found.json", "-o", "a.svg")
    assert code == 1
    assert "drawing match 4: found.json has 3." in err
    assert draw("motif", bundle.path, "motif:ffffffffffffffff", "--from", "found.json", "-o", "a.svg")[0] == 1
    (tmp_path / "found.json").write_text(json.dumps({**written, "weights_sha256": "0" * 64}))
    code, _, err = draw("motif", bundle.path, 1, "--from", "found.json", "-o", "a.svg")
    assert code == 1
    assert "weights 000000000000 were searched" in err


def test_a_limit_of_the_search_keeps_only_the_scores_it_needs(draw: Call, bundle: Bundle) -> None:
    code, out, _ = draw("banding", bundle.path, "--limit", 1, "--json", group="motifs")
    said = json.loads(out)
    assert code == 0
    assert (said["version"], len(said["matches"]), said["match_count"]) == (2, 1, 3)
    assert list(said["null_scores"]) == [said["matches"][0]["chance"]["scores"]]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("kernel", "layer1:4", "layer1:5"), "no weights lead from net/layer1 to net/layer1"),
        (("kernel", "layer1:4", "layer9:5"), "layer 'layer9' does not exist"),
        (("unit", "layer2:99"), "0 to 39"),
        (("grid", "--up", "layer1!nix", "--down", "layer2"), "family 'layer1!nix' is not in"),
        (("grid", "--up", "layer1:1,layer2:1", "--down", "layer2"), "are of two layers"),
        (("layer", "layer2", "--first", 40), "channels 0 to 39"),
        (("family", "layer1!first", "--up", "layer0:7"), "0 to 2"),
    ],
)
def test_what_is_not_there_is_refused_before_a_file_is_written(
    draw: Call, bundle: Bundle, tmp_path: Path, asked: tuple[object, ...], said: str
) -> None:
    code, out, err = draw(asked[0], bundle.path, *asked[1:], "-o", "a.svg")
    assert (code, out) == (1, "")
    assert said in err
    assert not (tmp_path / "a.svg").exists()
