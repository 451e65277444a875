"""Files that claims rest on are shown only where they are what they were."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.claims import Author, Claim, Evidence, FileReference
from circuitgraph.catalogue.curating import hash_file
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.figures import family_figure, unit_figure
from circuitgraph.figures.evidence import evidence_images, find_file
from circuitgraph.figures.tuning import tuning_of
from circuitgraph.testing.bundles import write_synthetic_bundle
from importers.annotations.tuning import annotate_tuning

ADA = Author(name="Ada Example")


def png(shade: int = 200) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"".join(b"\0" + bytes([shade, 0, 0] * 4) for _ in range(4)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_synthetic_bundle(tmp_path_factory.mktemp("evidence") / "net.circuit", network="net")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "cat", create=True) as opened:
        (opened.folder / "evidence").mkdir()
        yield opened


def claim_with(catalogue: Catalogue, *files: FileReference, code: str = "feature_visualisation") -> None:
    evidence = Evidence(code=code, statement="<b>seen</b>", files=files)  # type: ignore[arg-type]
    catalogue.add(
        [Claim(subject="net/layer2:3", predicate="unknown", evidence=(evidence,), author=ADA, date="2026-11-21")]
    )


@pytest.mark.parametrize("folder", ["evidence", "."])
def test_a_picture_beside_the_log_is_embedded_with_who_showed_it(
    bundle: Bundle, catalogue: Catalogue, folder: str
) -> None:
    path = catalogue.folder / folder / "dogs.png"
    path.write_bytes(png())
    claim_with(catalogue, hash_file(path))
    svg = unit_figure(bundle, "layer2:3", catalogue=catalogue).svg
    assert f"data:image/png;base64,{base64.b64encode(png()).decode()}" in svg
    assert "Ada Example, 2026-11-21" in svg
    assert "<b>" not in svg
    assert "image" not in unit_figure(bundle, "layer2:4", catalogue=catalogue).svg.replace("role", "")


def test_a_picture_with_other_bytes_is_named_and_not_shown(bundle: Bundle, catalogue: Catalogue) -> None:
    path = catalogue.folder / "evidence" / "dogs.png"
    path.write_bytes(png())
    claim_with(catalogue, hash_file(path), FileReference(name="away.png", sha256="a" * 64))
    path.write_bytes(png(10))
    found = evidence_images(catalogue, "net/layer2:3")
    assert found.images == ()
    assert found.missing == (
        "feature visualisation: dogs.png is another one than the claim's, by its hash",
        "feature visualisation: away.png is not beside the log",
    )
    svg = unit_figure(bundle, "layer2:3", catalogue=catalogue).svg
    assert "base64" not in svg
    assert "dogs.png" in svg


@pytest.mark.parametrize(
    "name", ["../secret.png", "evidence/../../secret.png", "/etc/hostname", "..", ".", "C:\\secret.png", "a\\..\\b", ""]
)
def test_a_name_that_leads_elsewhere_is_refused(catalogue: Catalogue, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    reference = FileReference(name=name, sha256=hashlib.sha256(png()).hexdigest())
    data, why = find_file(catalogue, reference, most_bytes=1 << 20)
    assert data is None
    assert "elsewhere" in why


def test_a_link_out_of_the_folder_is_not_followed(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    (catalogue.folder / "evidence" / "x.png").symlink_to(tmp_path / "secret.png")
    reference = FileReference(name="x.png", sha256=hashlib.sha256(png()).hexdigest())
    assert find_file(catalogue, reference, most_bytes=1 << 20) == (None, "is a link that leads elsewhere")


def test_what_is_no_picture_or_too_large_is_named(bundle: Bundle, catalogue: Catalogue) -> None:
    script = catalogue.folder / "evidence" / "a.svg"
    script.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    large = catalogue.folder / "evidence" / "b.png"
    large.write_bytes(png() + bytes(1 << 20))
    claim_with(catalogue, hash_file(script), hash_file(large), code="dataset_examples")
    found = evidence_images(catalogue, "net/layer2:3")
    assert found.images == ()
    assert found.missing[0] == "dataset examples: a.svg is no PNG, JPEG or WebP picture"
    assert "larger than 1,048,576 bytes" in found.missing[1]
    assert "alert" not in unit_figure(bundle, "layer2:3", catalogue=catalogue).svg


@pytest.mark.parametrize("sense", ["clockwise", "counter-clockwise"])
def test_tuning_curves_are_drawn_in_our_sense_where_their_file_is_here(
    bundle: Bundle, catalogue: Catalogue, tmp_path: Path, sense: str
) -> None:
    at = np.arange(720) / 2
    peaks = {1: 30.0, 4: 200.0}
    curves = {str(unit): np.exp(4 * np.cos(np.deg2rad(at - peak))).tolist() for unit, peak in peaks.items()}
    file = tmp_path / "source.json"
    file.write_text(json.dumps({"layer": "layer2", "neurons": list(peaks), "activations": curves}))
    annotate_tuning(catalogue, file, bundle=bundle, family="turning", sense=sense)  # type: ignore[arg-type]
    family = "net/layer2!turning"
    none, notes = tuning_of(catalogue, family)
    assert none == {}
    assert notes == ("no tuning curves: curves-layer2.json is not beside the log",)
    without = family_figure(family, bundle, catalogue=catalogue)
    (catalogue.folder / "evidence" / "curves-layer2.json").write_bytes(file.read_bytes())
    found, notes = tuning_of(catalogue, family)
    assert notes == ()
    for unit, peak in peaks.items():
        ours = (peak if sense == "counter-clockwise" else -peak) % 360
        assert abs(int(found[f"net/layer2:{unit}"].argmax()) - ours) <= 1
    drawn = family_figure(family, bundle, catalogue=catalogue)
    assert "Tuning" in drawn.svg
    assert "Tuning" not in without.svg
