"""A grid shows what its units look like where a claim's evidence carries a picture, and reads no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.claims import Author, Claim, Evidence
from circuitgraph.catalogue.curating import hash_file
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.draw import EvidenceImage
from circuitgraph.figures import grid_figure
from circuitgraph.testing.bundles import write_synthetic_bundle
from tests.draw.reading import SVG, root_of, tips_of
from tests.figures.test_evidence import png


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_synthetic_bundle(tmp_path / "net.circuit", network="net")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "cat", create=True) as opened:
        (opened.folder / "evidence").mkdir()
        for shade, unit in ((200, "net/layer2:3"), (90, "net/layer1:0"), (30, "net/layer1:9")):
            path = opened.folder / "evidence" / f"{shade}.png"
            path.write_bytes(png(shade))
            evidence = Evidence(code="feature_visualisation", statement="<b>seen</b>", files=(hash_file(path),))
            author = Author(name="Ada Example")
            opened.add(
                [Claim(subject=unit, predicate="unknown", evidence=(evidence,), author=author, date="2026-11-21")]
            )
        yield opened


def _shown(figure: object) -> list[str]:
    return [image.attrib["href"] for image in root_of(figure).iter(f"{SVG}image")]  # type: ignore[arg-type]


def test_pictures_come_from_the_claims_of_the_units(bundle: Bundle, catalogue: Catalogue) -> None:
    up, down = "layer1:0,1,9", "layer2:2,3"
    figure = grid_figure(bundle, up, down, catalogue=catalogue)
    assert _shown(figure) == [EvidenceImage(png(shade)).uri for shade in (90, 30, 200)]
    assert "feature visualisation: <b>seen</b>; Ada Example, 2026-11-21" in tips_of(figure)
    assert _shown(grid_figure(bundle, up, down)) == []
    assert _shown(grid_figure(bundle, up, down, catalogue=catalogue, limit=2)) == [
        EvidenceImage(png(shade)).uri for shade in (90, 200)
    ]
