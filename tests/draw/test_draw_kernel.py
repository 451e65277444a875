"""A kernel's picture shows every weight, its sign without colour, and nothing that a label smuggles in."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.draw import Picture, draw_kernel
from circuitgraph.draw.palette import STOPS, colour, ink_on
from circuitgraph.draw.svg import signed
from circuitgraph.errors import DiskFullError, MissingFileError, NonFiniteError, ShapeError

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>\x00\x1b[31m\u202e & \"' ]]>\ud800"


def _root(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)


def _cells(picture: Picture) -> list[str]:
    """Fills of the kernel's cells, in reading order."""
    group = next(group for group in _root(picture).iter(f"{SVG}g") if group.get("shape-rendering") == "crispEdges")
    return [rect.attrib["fill"] for rect in group]


def _words(picture: Picture) -> list[str]:
    return ["".join(text.itertext()) for text in _root(picture).iter(f"{SVG}text")]


def test_positive_is_red_negative_is_blue_and_zero_is_white() -> None:
    assert _cells(draw_kernel([[2.0, -2.0, 0.0, 1.0, -1.0]])) == [STOPS[4], STOPS[0], STOPS[2], STOPS[3], STOPS[1]]


def test_the_palette_is_the_published_one_and_runs_without_a_jump() -> None:
    assert STOPS == ("#0571b0", "#92c5de", "#f7f7f7", "#f4a582", "#ca0020")
    shades = [[int(colour(value, 1.0)[i : i + 2], 16) for i in (1, 3, 5)] for value in np.linspace(-1, 1, 401)]
    assert max(abs(a - b) for left, right in pairwise(shades) for a, b in zip(left, right, strict=True)) <= 3


def test_text_on_every_colour_has_a_contrast_of_at_least_four_and_a_half() -> None:
    def luminance(shade: str) -> float:
        parts = [int(shade[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for value in np.linspace(-1, 1, 101):
        light, dark = sorted((luminance(colour(value, 1.0)), luminance(ink_on(value, 1.0))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, value


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 7), (13, 2), (40, 40)])
def test_every_cell_is_there_in_its_own_place(shape: tuple[int, int]) -> None:
    kernel = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    picture = draw_kernel(kernel, scale=2.0)
    assert _cells(picture) == [colour(float(value), 2.0) for value in kernel.ravel()]
    group = next(group for group in _root(picture).iter(f"{SVG}g") if group.get("shape-rendering") == "crispEdges")
    places = [(float(rect.attrib["y"]), float(rect.attrib["x"])) for rect in group]
    assert places == sorted(places)
    assert len(set(places)) == kernel.size


def test_a_small_kernel_prints_its_weights_with_their_signs() -> None:
    words = _words(draw_kernel([[0.25, -0.5], [0.0, 0.125]]))
    assert words[:4] == ["+0.25", "−0.50", "0", "+0.12"]
    assert "sum −0.125: excitation +0.375, inhibition −0.500" in words
    assert {"−0.500", "0", "+0.500", "inhibits", "excites"} <= set(words)


def test_a_large_kernel_marks_signs_without_colour() -> None:
    picture = draw_kernel(np.where(np.eye(12) > 0, 1.0, -1.0))
    drawn = "".join(path.attrib["d"] for path in _root(picture).iter(f"{SVG}path"))
    assert (drawn.count("h"), drawn.count("v")) == (144, 12)


def test_the_same_kernel_gives_the_same_bytes() -> None:
    kernel = np.random.default_rng(2).normal(size=(5, 5))
    assert draw_kernel(kernel, title="a").svg == draw_kernel(kernel.tolist(), title="a").svg
    assert draw_kernel(kernel, title="a").svg != draw_kernel(kernel, title="b").svg


def test_the_picture_is_named_for_readers_who_cannot_see_it() -> None:
    root = _root(draw_kernel([[1.0]], title="windows -> car"))
    assert root.get("role") == "img"
    named = [root.find(f".//*[@id='{mark}']") for mark in root.attrib["aria-labelledby"].split()]
    assert [node.tag for node in named if node is not None] == [f"{SVG}title", f"{SVG}desc"]
    assert named[0] is not None
    assert named[0].text == "windows -> car"


def test_a_hostile_title_is_text_and_nothing_else() -> None:
    picture = draw_kernel([[1.0]], title=HOSTILE)
    tags = {node.tag.removeprefix(SVG) for node in _root(picture).iter()}
    assert tags <= {"svg", "title", "desc", "g", "rect", "text", "path"}
    assert not set(picture.svg) & {"\x00", "\x1b", "\u202e", "\ud800"}
    assert "&lt;script&gt;" in picture.svg
    picture.svg.encode("utf-8")


def test_a_title_too_long_for_a_line_breaks_at_its_arrow_and_is_not_cut() -> None:
    title = "family: windows (mixed4b:37) → family: car (mixed4c:41)"
    lines = _words(draw_kernel(np.eye(5), title=title))[:3]
    assert lines == ["family: windows", "(mixed4b:37)", "→ family: car (mixed4c:41)"]
    assert _words(draw_kernel(np.eye(5), title="b:37 → c:41"))[0] == "b:37 → c:41"
    endless = _words(draw_kernel(np.eye(5), title="an endless title " * 50))
    assert endless[3].endswith("…")


def test_a_title_of_control_characters_is_no_title() -> None:
    assert "<title id" in draw_kernel([[1.0]], title="\x00\x01").svg
    assert ">Kernel</title>" in draw_kernel([[1.0]], title="\x00\x01").svg


def test_weights_beyond_the_scale_are_counted() -> None:
    assert "2 of 3 weights lie beyond the scale" in _words(draw_kernel([[1.0, 3.0, -4.0]], scale=2.0))


@pytest.mark.parametrize(("centre", "is_drawn"), [((1, 0), True), ((0.5, 0.5), True), ((-1, 0), False), (None, False)])
def test_the_centre_is_outlined_where_it_lies_inside(centre: tuple[float, float] | None, is_drawn: bool) -> None:
    words = _words(draw_kernel(np.ones((2, 2)), centre=centre))
    assert ("outlined: the downstream unit's own position" in words) is is_drawn


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(NonFiniteError, match=r"drawing a kernel: 1 of 4 weights .* row 0, col 1"):
        draw_kernel([[1.0, float("nan")], [0.0, 0.0]])
    with pytest.raises(ShapeError, match=r"shape is \(2,\)"):
        draw_kernel([1.0, 2.0])
    with pytest.raises(ShapeError, match="129x1, at most 128x128"):
        draw_kernel(np.zeros((129, 1)))
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ShapeError, match="scale"):
            draw_kernel([[1.0]], scale=scale)
    with pytest.raises(ShapeError, match="centre"):
        draw_kernel([[1.0]], centre=(float("nan"), 0))


def test_a_kernel_of_zeros_is_drawn() -> None:
    assert set(_cells(draw_kernel(np.zeros((3, 3))))) == {STOPS[2]}


@pytest.mark.parametrize(
    ("value", "written"), [(1e-9, "+1.0e−09"), (99.96, "+100"), (-0.00123, "−0.0012"), (3e7, "+3.0e+07")]
)
def test_weights_are_written_in_significant_digits(value: float, written: str) -> None:
    assert signed(value) == written


@pytest.mark.parametrize("size", [1e-12, 1e-5, 0.04, 7.0, 300.0, 1e9, 1e-44])
def test_any_magnitude_is_drawn_well_formed(size: float) -> None:
    _root(draw_kernel([[size, -size / 3]]))


def test_save_writes_what_a_notebook_shows_and_says_where_it_cannot(tmp_path: Path) -> None:
    picture = draw_kernel([[1.0]])
    path = picture.save(tmp_path / "kernel.svg")
    assert path.read_text(encoding="utf-8") == picture._repr_svg_()
    with pytest.raises(MissingFileError, match="writing a picture"):
        picture.save(tmp_path / "none" / "kernel.svg")
    with pytest.raises(DiskFullError, match="writing a picture"):
        picture.save(tmp_path / f"{'k' * 300}.svg")
