"""A unit's picture: its strongest kernels up and down, what was left out, and the evidence that may be embedded."""

from __future__ import annotations

import base64
import struct
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest

from circuitgraph.draw import EvidenceImage, Picture, draw_unit
from circuitgraph.draw.image import MOST_IMAGE_BYTES
from circuitgraph.draw.palette import colour
from circuitgraph.errors import GraphError, ShapeError
from circuitgraph.graph import CircuitEdge, CircuitUnit

SVG = "{http://www.w3.org/2000/svg}"
CAR = CircuitUnit("net/c:447", "car")


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\x00" + bytes([200, 30, 30]) * width for _ in range(min(height, 64)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xc4\x00\x04\x00\x00\xff\xc2\x00\x0b\x08\x00\x30\x00\x40\x01\x01\x11\x00\xff\xd9"
)
WEBP_LOSSY = b"RIFF\x30\x00\x00\x00WEBPVP8 \x18\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x40\x00\x30\x00" + bytes(16)
WEBP_LOSSLESS = b"RIFF\x20\x00\x00\x00WEBPVP8L\x10\x00\x00\x00\x2f" + struct.pack("<I", 63 | 47 << 14) + bytes(8)
WEBP_EXTENDED = b"RIFF\x20\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x3f\x00\x00\x2f\x00\x00" + bytes(8)


def _upstream(count: int = 3) -> list[CircuitEdge]:
    rng = np.random.default_rng(1)
    return [CircuitEdge(f"net/b:{i}", CAR.uid, rng.normal(size=(5, 5)), share_in=0.2 / (i + 1)) for i in range(count)]


def _downstream(count: int = 2) -> list[CircuitEdge]:
    return [CircuitEdge(CAR.uid, f"net/d:{i}", np.full((3, 3), -0.25), share_in=0.5) for i in range(count)]


def _root(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)


def _words(picture: Picture) -> list[str]:
    return ["".join(text.itertext()) for text in _root(picture).iter(f"{SVG}text")]


def _tiles(picture: Picture) -> list[list[ET.Element]]:
    return [list(g) for g in _root(picture).iter(f"{SVG}g") if g.get("shape-rendering") == "crispEdges"]


def test_every_kernel_is_drawn_with_its_name_sum_and_share_downstream_above_upstream() -> None:
    up, down = _upstream(), _downstream()
    picture = draw_unit(CAR, up, down, labels={"net/b:0": "windows"}, upstream_count=3112, downstream_count=2)
    words = _words(picture)
    assert "Upstream: showing 3 of 3,112, the strongest by l2" in words
    assert "Downstream: showing 2 of 2" in words
    assert {"windows", "b:0", "b:1", "d:0", "car", "c:447"} <= set(words)
    tiles = _tiles(picture)
    full = max(float(np.abs(edge.kernel).max()) for edge in up)
    for edge, tile in zip([*down, *up], tiles, strict=True):
        scale = 0.25 if edge in down else full
        assert [rect.get("fill") for rect in tile] == [colour(float(v), scale) for v in edge.kernel.ravel()]
        # large enough to read: 5 x 5 cells of 24 pixels
        assert float(tile[0].attrib["width"]) >= 24
    assert "inhibits, Σ −2.3" in words or "inhibits, Σ −2.2" in words
    for edge in up:
        assert f"{100 * float(edge.share_in or 0):.3g}%" in words
    assert picture.width == 720
    desc = str(_root(picture).findtext(f"{SVG}desc"))
    assert "it inhibits d:0 (sum −2.25)" in desc


def test_what_it_is_given_beyond_its_limit_is_left_out_and_said() -> None:
    words = _words(draw_unit(CAR, _upstream(40), [], upstream_count=5000))
    assert "Upstream: showing 24 of 5,000, the strongest by l2" in words
    assert "Downstream: showing 0 of 0" in words
    assert "No edge." in words
    assert "None was given." in _words(draw_unit(CAR, [], [], upstream_count=7))


def test_a_large_kernel_is_averaged_and_says_so() -> None:
    kernel = np.arange(64.0 * 50).reshape(64, 50)
    picture = draw_unit(CAR, [CircuitEdge("net/b:0", CAR.uid, kernel)], [])
    tile = _tiles(picture)[0]
    means = kernel.reshape(32, 2, 25, 2).mean(axis=(1, 3))
    assert [rect.get("fill") for rect in tile] == [colour(float(v), kernel.max()) for v in means.ravel()]
    assert "64x50 weights in averages of 2x2" in _words(picture)


def test_the_same_unit_gives_the_same_bytes() -> None:
    image = EvidenceImage(_png(4, 4))
    assert draw_unit(CAR, _upstream(), [], images=[image]).svg == draw_unit(CAR, _upstream(), [], images=[image]).svg


@pytest.mark.parametrize(
    ("data", "media_type", "size"),
    [
        (_png(64, 48), "image/png", (64, 48)),
        (JPEG, "image/jpeg", (64, 48)),
        (WEBP_LOSSY, "image/webp", (64, 48)),
        (WEBP_LOSSLESS, "image/webp", (64, 48)),
        (WEBP_EXTENDED, "image/webp", (64, 48)),
    ],
    ids=["png", "jpeg", "webp", "webp-lossless", "webp-extended"],
)
def test_evidence_is_embedded_byte_by_byte_with_its_caption(
    data: bytes, media_type: str, size: tuple[int, int]
) -> None:
    image = EvidenceImage(data, caption="optimised for the unit", source="doi:10.1/x")
    assert (image.media_type, image.width, image.height) == (media_type, *size)
    picture = draw_unit(CAR, _upstream(), [], images=[image])
    (drawn,) = _root(picture).iter(f"{SVG}image")
    kind, _, body = drawn.attrib["href"].partition(";base64,")
    assert (kind, base64.b64decode(body)) == (f"data:{media_type}", data)
    words = " ".join(_words(picture))
    assert "doi:10.1/x" in words
    assert "optimised for" in words


def test_of_many_pictures_some_are_shown_and_the_rest_is_counted() -> None:
    picture = draw_unit(CAR, [], [], images=[EvidenceImage(_png(4, 4))] * 9)
    assert len(list(_root(picture).iter(f"{SVG}image"))) == 6
    assert "Showing 6 of 9 pictures." in _words(picture)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?><svg/>",
        b"GIF89a\x01\x00\x01\x00",
        b"%PDF-1.7",
        b"<html><script>alert(1)</script></html>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\xff" * 40,
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        b"RIFF\x00\x00\x00\x00AVI LIST" + bytes(40),
        _png(100_000, 100_000),
        _png(0, 4),
        _png(4, 4) + bytes(MOST_IMAGE_BYTES),
    ],
    ids=range(14),
)
def test_what_is_no_picture_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(ShapeError, match="embedding a picture of"):
        EvidenceImage(data)


HOSTILE = "</text><script>alert(1)</script>\x00\x1b\u202e & \"' ]]>\ud800" + "x" * 10_000


def test_hostile_labels_captions_facts_and_titles_are_text_and_nothing_else() -> None:
    image = EvidenceImage(_png(4, 4), caption=HOSTILE, source=HOSTILE)
    picture = draw_unit(
        CircuitUnit(CAR.uid, HOSTILE),
        _upstream(),
        _downstream(),
        labels={"net/b:0": HOSTILE, "net/d:0": HOSTILE},
        images=[image],
        facts=[HOSTILE],
        title=HOSTILE,
        by=HOSTILE,
    )
    for node in _root(picture).iter():
        known = {"svg", "title", "desc", "g", "rect", "text", "path", "circle", "image"}
        assert node.tag.removeprefix(SVG) in known
        assert not any(name.startswith("on") for name in node.attrib)
        assert node.get("href", "data:image/png;").startswith("data:image/png;")
    assert not set(picture.svg) & {"\x00", "\x1b", "\u202e", "\ud800"}
    assert max(map(len, _words(picture))) < 130
    assert len(picture.svg) < 400_000


def test_edges_of_other_units_and_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(GraphError, match="is none of its upstream edges"):
        draw_unit(CAR, _downstream(), [])
    with pytest.raises(GraphError, match="is none of its downstream edges"):
        draw_unit(CAR, [], _upstream())
    with pytest.raises(GraphError, match="3 upstream edges are given, 2 are said to be all"):
        draw_unit(CAR, _upstream(), [], upstream_count=2)
    with pytest.raises(ShapeError, match="scale is -1"):
        draw_unit(CAR, _upstream(), [], scale=-1)


@pytest.mark.parametrize("by", ["l2", "excitation at top", "share of the target's input"])
def test_the_heads_keep_clear_of_the_scale_beside_them(by: str) -> None:
    picture = draw_unit(CAR, _upstream(8), _downstream(8), upstream_count=10_240, downstream_count=2048, by=by)
    heads = [each for each in _root(picture).iter(f"{SVG}text") if "showing" in str(each.text)]
    assert [head.text for head in heads] == [
        f"Downstream: showing 8 of 2,048, the strongest by {by}",
        f"Upstream: showing 8 of 10,240, the strongest by {by}",
    ]
    for head in heads:
        # bold letters of the stack's fonts take 0.6 em
        end = float(head.attrib["x"]) + 0.6 * float(head.attrib["font-size"]) * len(str(head.text))
        assert end <= 720 - 16 - 190 - 11
        assert float(head.attrib["font-size"]) >= 9.5
