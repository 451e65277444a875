"""How the tests read a picture: as XML, by its words, its tiles and what a label may not bring in."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from circuitgraph.draw import Picture

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    '</text></title><script>alert(1)</script><svg onload="alert(2)">\x00\x1b[31m\u202e\u2066 & "\' ]]>\ud800\uffff'
)
LONG = "an endless label " * 600
UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def root_of(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)


def words_of(picture: Picture) -> list[str]:
    return ["".join(text.itertext()) for text in root_of(picture).iter(f"{SVG}text")]


def tiles_of(picture: Picture) -> list[list[ET.Element]]:
    """The cells of each kernel, in the order drawn."""
    return [list(group) for group in root_of(picture).iter(f"{SVG}g") if group.get("shape-rendering") == "crispEdges"]


def fills_of(picture: Picture) -> list[list[str]]:
    return [[cell.attrib["fill"] for cell in tile] for tile in tiles_of(picture)]


def corners_of(picture: Picture) -> list[tuple[float, float]]:
    """(x, y) of the first cell of each kernel."""
    return [(float(tile[0].attrib["x"]), float(tile[0].attrib["y"])) for tile in tiles_of(picture)]


def tips_of(picture: Picture) -> list[str]:
    """The titles that stand inside a picture, its own left out."""
    return [str(title.text) for title in root_of(picture).iter(f"{SVG}title")][1:]


def check_harmless(picture: Picture, *, most_bytes: int = 400_000) -> None:
    """Say that a picture holds nothing but shapes and text, in bounds, and looks after its size."""
    root = root_of(picture)
    assert {node.tag.removeprefix(SVG) for node in root.iter()} <= {
        *("svg", "title", "desc", "g", "rect", "text", "path", "circle")
    }
    for node in root.iter():
        assert not any(name.startswith("on") or "href" in name for name in node.attrib)
    assert not UNSAFE.search(picture.svg)
    assert len(picture.svg.encode("utf-8")) <= most_bytes
    assert max(map(len, words_of(picture))) <= 150
    assert (float(root.attrib["width"]), float(root.attrib["height"])) == (
        round(picture.width, 2),
        round(picture.height, 2),
    )
    for node in root.iter(f"{SVG}rect"):
        assert float(node.attrib.get("x", 0)) + float(node.attrib["width"]) <= picture.width + 0.01
        assert float(node.attrib.get("y", 0)) + float(node.attrib["height"]) <= picture.height + 0.01
    for node in root.iter(f"{SVG}text"):
        assert 0 <= float(node.attrib["x"]) <= picture.width
        assert 0 <= float(node.attrib["y"]) <= picture.height
