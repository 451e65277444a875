"""Figures show what is in the bundle and the catalogue, and say what they leave out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_making import make_circuit
from circuitgraph.catalogue.claims import Author, Claim
from circuitgraph.catalogue.families import FamilyRecord, make_families
from circuitgraph.catalogue.features import Feature
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.subgraph import circuit_around
from circuitgraph.draw import draw_kernel
from circuitgraph.draw.grid import draw_grid
from circuitgraph.draw.svg import signed
from circuitgraph.errors import BundleError, IdError, ShapeError, UnknownPairError, UnknownUnitError
from circuitgraph.figures import (
    circuit_figure,
    family_figure,
    grid_figure,
    kernel_figure,
    layer_figure,
    motif_figure,
    unit_figure,
)
from circuitgraph.figures.families import find_family
from circuitgraph.figures.limits import limits_of
from circuitgraph.figures.selection import select_units
from circuitgraph.records import Family, Member
from circuitgraph.testing.bundles import write_synthetic_bundle
from queries.banding import find_banding
from queries.pattern import find_pattern
from queries.pattern_result import PatternResult

ADA = Author(name="Ada Example")
DATE = "2026-11-21"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_synthetic_bundle(
        tmp_path_factory.mktemp("figures") / "net.circuit", network="net", unit_counts=(3, 20, 12, 8)
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, PatternResult]:
    """A search of a bundle with enough strong edges."""
    large = write_synthetic_bundle(
        tmp_path_factory.mktemp("found") / "net.circuit", network="net", unit_counts=(3, 60, 40, 20)
    )
    return large, find_pattern(large, "a -> c, b -| c", draws=40, seed=3, limit=2)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "cat", create=True) as opened:
        yield opened


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def name_unit(catalogue: Catalogue, unit: str, feature: str, name: str) -> None:
    catalogue.add_features([Feature(uid=f"feature:{feature}", name=name, author=ADA, date=DATE)])
    catalogue.add([Claim(subject=unit, predicate="detects", object=f"feature:{feature}", author=ADA, date=DATE)])


def test_a_kernel_is_the_bundles_own_with_its_centre(bundle: Bundle) -> None:
    figure = kernel_figure(bundle, "layer1:4", "layer2:7")
    block = bundle.block("layer1", "layer2")
    expected = draw_kernel(block.kernels[7, 4], centre=(1.0, 1.0), title="layer1:4 → layer2:7")
    assert figure.svg == expected.svg
    assert kernel_figure(bundle, "layer1:4", "layer2:7").svg == figure.svg
    with pytest.raises(UnknownPairError):
        kernel_figure(bundle, "layer2:7", "layer1:4")


def test_names_come_from_the_catalogue_and_stay_text(bundle: Bundle, catalogue: Catalogue) -> None:
    name_unit(catalogue, "net/layer2:7", "bad", "<script>alert(1)</script>")
    for figure in (
        kernel_figure(bundle, "layer1:4", "layer2:7", catalogue=catalogue),
        unit_figure(bundle, "layer2:7", catalogue=catalogue),
        layer_figure(bundle, "layer2", catalogue=catalogue),
        circuit_figure(circuit_around(bundle, "layer2:7", hops=1, top=2), catalogue=catalogue),
    ):
        assert "<script" not in figure.svg
        assert "&lt;script&gt;" in figure.svg
        ElementTree.fromstring(figure.svg)


def test_a_grid_names_its_units_where_there_is_room(bundle: Bundle, catalogue: Catalogue) -> None:
    name_unit(catalogue, "net/layer2:7", "fine", "car with windows")
    figure = grid_figure(bundle, "layer1:3,9", ["layer2:7", "layer2:0"], catalogue=catalogue)
    words = texts(figure.svg)
    assert _family_of(bundle, "layer1:3") == "family: first four"
    assert {"car with windows", "layer2:7", "layer2:0", "family: first", "four", "layer1:3", "layer1:9"} <= set(words)
    # many columns leave no room: a name is told by what a pointer shows
    crowded = grid_figure(bundle, "layer1", "layer2", catalogue=catalogue)
    assert "layer1:3" in texts(crowded.svg)
    assert ">family: first four (layer1:3) → car with windows (layer2:7): sum " in crowded.svg
    # the units of one family all have its name, which the title says
    assert "family: first" not in texts(grid_figure(bundle, "!first", "layer2:0").svg)


def test_turning_units_without_angles_is_refused_with_what_to_type(bundle: Bundle) -> None:
    with pytest.raises(ShapeError, match="12 of 12 downstream units have none") as said:
        grid_figure(bundle, "!first", "layer2", turned=True)
    assert "--down" in str(said.value.hint)
    assert "--turned" in str(said.value.hint)
    assert "_angles_deg" not in str(said.value.hint)


def test_a_grid_takes_families_layers_and_units_in_their_order(bundle: Bundle) -> None:
    assert select_units(bundle, "layer1:3,7,1").units == ("net/layer1:3", "net/layer1:7", "net/layer1:1")
    assert select_units(bundle, ["layer1:3", "layer1:7"]).layer == "net/layer1"
    assert len(select_units(bundle, "layer2").units) == 12
    family = select_units(bundle, "!first")
    assert family.units == tuple(f"net/layer1:{place}" for place in range(4))
    assert family.angles_deg == (0.0, 90.0, 180.0, 270.0)
    for bad, error in (("layer1:3,layer2:1", IdError), ("", Exception), ("layer1:3,3", UnknownUnitError)):
        with pytest.raises(error):
            select_units(bundle, bad)


def test_a_grid_says_what_it_leaves_out_and_reads_no_more(bundle: Bundle) -> None:
    figure = grid_figure(bundle, "layer1", "layer2:5,2", limit=3)
    said = limits_of(figure)
    assert len(said) == 1
    assert "3 of 20" in said[0]
    assert not limits_of(grid_figure(bundle, "layer1:0,1", "layer2:5,2"))
    told = " ".join(element.text or "" for element in ElementTree.fromstring(figure.svg).iter(f"{SVG}title"))
    own = bundle.block("layer1", "layer2").kernels[5, 2].astype(np.float64).sum()
    assert signed(float(own), 3) in told or signed(float(own)) in told
    with pytest.raises(UnknownPairError, match=r"Layers with kernels into layer3: layer2"):
        grid_figure(bundle, "layer1", "layer3")
    with pytest.raises(ShapeError, match="angle"):
        grid_figure(bundle, "!first", "layer2:1,2", turned=True)


def _family_of(bundle: Bundle, unit: str) -> str:
    uid = str(bundle.unit(unit))
    return next((f"family: {each.name}" for each in bundle.families if uid in {m.unit for m in each.members}), "")


@pytest.mark.parametrize("layers", [("layer1", "layer2"), ("layer2", "layer3"), ("layer1", "layer3")])
def test_a_grid_holds_the_kernels_of_the_bundle_however_they_are_stored(
    tmp_path: Path, layers: tuple[str, str]
) -> None:
    every = write_synthetic_bundle(tmp_path / "e.circuit", with_every_form=True)
    ups, downs = ([f"{layer}:{place}" for place in (5, 0, 3)] for layer in layers)
    kernels = np.array([[every.kernel(up, down) for up in ups] for down in downs])
    expected = draw_grid(
        kernels,
        down_names=downs,
        up_names=ups,
        down_labels=[_family_of(every, unit) for unit in downs],
        up_labels=[_family_of(every, unit) for unit in ups],
        title=" → ".join(layers),
        anchor=every.block(*layers).anchor,
    )
    assert grid_figure(every, ups, downs).svg == expected.svg


def test_a_unit_shows_the_strongest_of_how_many(bundle: Bundle) -> None:
    figure = unit_figure(bundle, "layer2:7", top=3, by="l1")
    assert limits_of(figure) == [
        "Downstream: showing 3 of 8, the strongest by l1",
        "Upstream: showing 3 of 20, the strongest by l1",
    ]
    l1 = np.abs(bundle.block("layer1", "layer2").kernels[7].astype(np.float64)).sum(axis=(1, 2))
    drawn = [line for line in texts(figure.svg) if line.startswith("layer1:")]
    assert drawn == [f"layer1:{place}" for place in np.argsort(-l1)[:3]]


def test_a_layer_that_reads_an_image_is_drawn_in_colour_and_others_by_their_strongest_kernel(bundle: Bundle) -> None:
    assert "layer1:19" in texts(layer_figure(bundle, "layer1").svg)
    figure = layer_figure(bundle, "layer2", limit=5, first=4)
    said = " ".join(texts(figure.svg))
    assert re.findall(r"layer2:\d+", said) == [f"layer2:{channel}" for channel in range(4, 9)]
    strongest = np.square(bundle.block("layer1", "layer2").kernels[4].astype(np.float64)).sum(axis=(1, 2)).argmax()
    assert f"from layer1:{strongest}" in said
    assert "5 of 12" in " ".join(limits_of(figure))
    assert "to layer1:" in " ".join(texts(layer_figure(bundle, "layer0").svg))
    for wrong in ({"limit": 0}, {"first": 12}):
        with pytest.raises(BundleError, match="it has channels 0 to 11"):
            layer_figure(bundle, "layer2", **wrong)


def test_a_family_is_looked_for_in_the_catalogue_before_the_bundle(bundle: Bundle, catalogue: Catalogue) -> None:
    assert find_family("layer1!first", bundle, catalogue).source == "came with the weights"
    names = {"first": ["layer1:9", "layer1:2"]}
    catalogue.add_documents(make_families(bundle, names, author=ADA, date=DATE, angles_deg={"first": [10.0, 200.0]}))
    found = find_family("!first", bundle, catalogue)
    assert [member.unit for member in found.members] == ["net/layer1:9", "net/layer1:2"]
    assert found.source == f"Ada Example, {DATE}"
    catalogue.add_documents(make_families(bundle, {"first": ["layer2:1"]}, author=ADA, date=DATE))
    with pytest.raises(UnknownUnitError, match="2 families are called"):
        find_family("!first", bundle, catalogue)
    with pytest.raises(UnknownUnitError, match=r"Did you mean net/layer1!first"):
        find_family("layer1!frist", bundle, catalogue)


def test_a_family_stands_in_order_of_its_angles_with_kernels_from_the_bundle(bundle: Bundle) -> None:
    members = tuple(Member(unit=f"net/layer2:{place}", position=i, angle_deg=a) for i, (place, a) in enumerate(_ANGLES))
    family = Family(uid="net/layer2!f", name="<f>", members=members)
    figure = family_figure(family, bundle)
    order = [line for line in texts(figure.svg) if re.fullmatch(r"layer2:\d+", line)]
    assert order == [f"layer2:{place}" for place, angle in sorted(_ANGLES, key=lambda each: each[1])]
    assert figure.svg.count("<rect") > family_figure(family).svg.count("<rect") + 3 * 9
    assert "&lt;f&gt;" in figure.svg
    same = FamilyRecord.from_family(family, author=ADA, date=DATE)
    assert family_figure(same, bundle).svg == figure.svg
    assert same._repr_svg_() == family._repr_svg_()
    strongest = {
        member.unit: max(range(20), key=lambda up: float(np.linalg.norm(bundle.kernel(f"layer1:{up}", member.unit))))
        for member in members
        if member.angle_deg is not None
    }
    words = texts(figure.svg)
    assert sum(word.startswith("← ") for word in words) == len(strongest)
    assert {f"← layer1:{up}" for up in strongest.values()} <= set(words)
    assert any(word.startswith("Kernels: from the unit of layer1 that is strongest for each by l2") for word in words)
    assert "Kernels: from layer1:3." in texts(family_figure(family, bundle, up="layer1:3").svg)
    one = family_figure(family, bundle, up="layer1:3")
    assert one.svg != figure.svg


_ANGLES = [(3, 200.0), (5, 10.0), (0, 95.0)]


def test_a_circuit_is_the_same_from_a_record_and_from_its_graph(bundle: Bundle, catalogue: Catalogue) -> None:
    record = make_circuit(bundle, ["layer1:2", "layer2:5", "layer3:1"], title="Three", author=ADA, date=DATE)
    figure = circuit_figure(record, bundle)
    assert figure.svg == circuit_figure(record.graph(bundle), bundle, title="Three").svg
    assert "&lt;" not in record._repr_html_()
    assert "2 edges" in record._repr_html_()


def test_the_picture_of_a_match_counts_to_its_p(found: tuple[Bundle, PatternResult]) -> None:
    bundle, result = found
    match = result.matches[0]
    assert match.chance is not None
    figure = motif_figure(match, bundle)
    assert "40 draws" in " ".join(texts(motif_figure(match, bundle, result=result.to_dict()).svg))
    (said,) = [line for line in texts(figure.svg) if "null scores reach it" in line]
    reached, count = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+) of ([\d,]+) null", said)[0])
    assert match.p == pytest.approx((1 + reached) / (1 + count))
    samples = np.array(match.chance.scores.values)
    assert (reached, count) == (int((samples >= match.chance.observed).sum()), 40)
    for role in ("a", "b", "c"):
        assert role in texts(figure.svg)


def test_a_match_that_was_written_draws_the_same_bytes(found: tuple[Bundle, PatternResult]) -> None:
    bundle, result = found
    written = json.loads(json.dumps(result.to_dict()))
    assert written["version"] == 2
    figure = motif_figure(written["matches"][1], bundle, result=written)
    assert figure.svg == motif_figure(result.matches[1], bundle, result=result.to_dict()).svg
    # a result that was written before the scores were kept says so
    old = {**written, "null_scores": {}}
    assert any("no histogram" in line for line in texts(motif_figure(old["matches"][1], bundle, result=old).svg))


def test_what_a_notebook_shows_is_bounded_and_escaped(bundle: Bundle) -> None:
    wide = find_banding(bundle).matches[0]
    shown = {
        "block": bundle.block("layer1", "layer2")._repr_svg_(),
        "view": bundle.view("layer2:7", top=64)._repr_html_(),
        "match": wide._repr_html_(),
        "family": bundle.families[0]._repr_svg_(),
    }
    for name, text in shown.items():
        assert text, name
        assert len(text) < 1_000_000, name
    assert "16 of 20" in str(shown["block"])
    assert Family(uid="net/layer2!none", name="none", members=())._repr_svg_() is None


@pytest.mark.slow
def test_a_unit_among_three_million_edges_is_shown_at_once(tmp_path: Path) -> None:
    # of this process alone: others do not make it slower
    from time import process_time

    large = write_synthetic_bundle(tmp_path / "l.circuit", network="l", unit_counts=(512,) * 13)
    rng = np.random.default_rng(0)
    times = []
    for _ in range(100):
        layer, channel = rng.integers(13), rng.integers(512)
        began = process_time()
        large.view(f"layer{layer}:{channel}")
        times.append(process_time() - began)
    assert np.quantile(times, 0.95) < 0.1
