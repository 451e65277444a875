"""Pictures as PNG and HTML: two renderers agree on every cell, text shows on any machine, and nothing runs."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import font_source_sans_pro
import numpy as np
import pytest
import resvg_py
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from circuitgraph.draw import (
    LayerTile,
    Picture,
    draw_circuit,
    draw_grid,
    draw_kernel,
    draw_layer,
    draw_rgb,
    raster,
    to_html,
    to_png,
)
from circuitgraph.errors import DiskFullError, MissingExtraError, MissingFileError, PictureError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit
from tests.draw.reading import HOSTILE, LONG, SVG, root_of, tiles_of
from tests.web.browsing import Watch
from tests.web.conftest import chromium

RNG = np.random.default_rng(9)
KERNELS = RNG.normal(size=(3, 3, 5, 5))


def _circuit() -> CircuitGraph:
    ups = [CircuitUnit(f"net/a:{place}", f"part {place}", place) for place in range(3)]
    edges = [CircuitEdge(unit.uid, "net/b:0", RNG.normal(size=(5, 5)), share_in=0.3) for unit in ups]
    return CircuitGraph(["net/a", "net/b"], [*ups, CircuitUnit("net/b:0", "whole")], edges)


PICTURES = {
    "kernel": draw_kernel(RNG.normal(size=(9, 9)), title="kernel"),
    "grid": draw_grid(KERNELS, title="grid"),
    "turned": draw_grid(KERNELS, turned=True, down_angles_deg=[0, 50, 190], up_angles_deg=[10, 130, 250]),
    "rgb": draw_rgb(KERNELS, title="rgb"),
    "layer": draw_layer([LayerTile("n/a:0", "one", KERNELS[0, 0]), LayerTile("n/a:1", "", KERNELS[0])], unit_count=9),
    "circuit": draw_circuit(_circuit(), title="circuit"),
}


def _pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def _cells(picture: Picture, scale: float) -> list[tuple[int, int, tuple[int, ...]]]:
    """Where the lower right part of each cell lies, off marks and outlines, and its colour."""
    out = []
    for tile in tiles_of(picture):
        for cell in tile:
            x, y, width, height = (float(cell.attrib[name]) for name in ("x", "y", "width", "height"))
            shade = cell.attrib["fill"]
            out.append(
                (
                    int((y + 0.82 * height) * scale),
                    int((x + 0.82 * width) * scale),
                    tuple(int(shade[i : i + 2], 16) for i in (1, 3, 5)),
                )
            )
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("name", PICTURES)
def test_a_png_has_every_cell_in_its_colour_and_the_size_asked_for(name: str) -> None:
    picture = PICTURES[name]
    for scale in (1.0, 2.5):
        pixels = _pixels(to_png(picture, scale=scale))
        assert abs(pixels.shape[1] - picture.width * scale) <= 1
        assert abs(pixels.shape[0] - picture.height * scale) <= 1
        cells = _cells(picture, scale)
        assert cells
        for y, x, shade in cells:
            assert np.abs(pixels[y, x].astype(int) - shade).max() <= 2, (name, scale, y, x)


@pytest.mark.parametrize(
    "name",
    ["turned", "rgb", *(pytest.param(name, marks=pytest.mark.slow) for name in ("kernel", "grid", "layer", "circuit"))],
)
def test_chromium_and_resvg_agree(name: str, browser: Browser, tmp_path: Path) -> None:
    picture = PICTURES[name]
    path = picture.save(tmp_path / "picture.svg")
    watch = Watch()
    context = browser.new_context(
        viewport={"width": math.ceil(picture.width), "height": math.ceil(picture.height)}, device_scale_factor=2
    )
    watch.look_at(context)
    page = context.new_page()
    page.goto(path.as_uri())
    seen = _pixels(page.screenshot())
    ours = _pixels(to_png(picture, scale=2.0))
    words = page.evaluate("[...document.querySelectorAll('text')].map(each => each.textContent)")
    context.close()
    for y, x, shade in _cells(picture, 2.0):
        assert np.abs(seen[y, x].astype(int) - shade).max() <= 2
    # the rest differs by the letters, which Chromium takes from the machine
    height, width = (min(a, b) for a, b in zip(seen.shape[:2], ours.shape[:2], strict=True))
    apart = np.abs(seen[:height, :width].astype(int) - ours[:height, :width]).max(axis=2) > 64
    assert apart.mean() < 0.04
    assert words == ["".join(text.itertext()) for text in root_of(picture).iter(f"{SVG}text")]
    assert watch.errors == []
    assert [url for url in watch.requests if url != path.as_uri()] == []


@pytest.mark.parametrize("name", ["kernel", "turned"])
def test_the_same_picture_gives_the_same_bytes(name: str) -> None:
    assert to_png(PICTURES[name]) == to_png(PICTURES[name])
    assert to_html(PICTURES[name]) == to_html(PICTURES[name])


def test_letters_come_from_the_extras_font_whatever_the_machine_has() -> None:
    picture = draw_kernel([[1.0, -0.5]], title="Σ of naïve каналы: ↑ ↓ ← → … −1° ≤ λ")
    folder = Path(font_source_sans_pro.__file__).parent / "files"
    bare = bytes(
        resvg_py.svg_to_bytes(
            svg_string=picture.svg,
            zoom=2.0,
            skip_system_fonts=True,
            font_files=[str(folder / f"SourceSansPro-{weight}.ttf") for weight in ("Regular", "Semibold", "Bold")],
            style_sheet='text { font-family: "Source Sans Pro" }',
        )
    )
    assert to_png(picture) == bare
    # and they are there: without any font the title's line is white
    title = slice(2 * 8, 2 * 26)
    empty = bytes(resvg_py.svg_to_bytes(svg_string=picture.svg, zoom=2.0, skip_system_fonts=True))
    assert (_pixels(empty)[title] == 255).all()
    assert (_pixels(bare)[title] < 100).sum() > 300


def test_save_goes_by_the_ending(tmp_path: Path) -> None:
    picture = PICTURES["kernel"]
    assert picture.save(tmp_path / "a.svg").read_text(encoding="utf-8") == picture.svg
    assert picture.save(tmp_path / "a.PNG").read_bytes() == to_png(picture)
    assert picture.save(tmp_path / "a.html").read_text(encoding="utf-8") == to_html(picture)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.svg.gz", ".svg"])
def test_another_ending_is_refused_and_the_three_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"\.svg, \.png or \.html is wanted"):
        PICTURES["kernel"].save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["svg", "png", "html"])
def test_a_folder_that_is_not_there_or_a_name_that_cannot_be_is_said(ending: str, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="writing a picture to"):
        PICTURES["kernel"].save(tmp_path / "none" / f"a.{ending}")
    with pytest.raises(DiskFullError, match="writing a picture to"):
        PICTURES["kernel"].save(tmp_path / f"{'a' * 300}.{ending}")


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(PictureError, match="a finite number above 0 is wanted"):
        to_png(PICTURES["kernel"], scale=scale)


def test_a_png_of_too_many_pixels_is_refused_before_it_is_drawn() -> None:
    with pytest.raises(PictureError, match="at most 64,000,000 are drawn") as refused:
        to_png(PICTURES["kernel"], scale=1e6)
    most = float(refused.value.hint.split("scale ")[1].split()[0])
    picture = PICTURES["kernel"]
    assert picture.width * most * picture.height * most <= 64_000_000


def test_what_is_no_svg_is_refused() -> None:
    with pytest.raises(PictureError, match="resvg does not draw this SVG"):
        to_png(Picture("<svg", 1, 1))


@pytest.mark.parametrize("module", ["resvg_py", "font_source_sans_pro"])
def test_without_the_extra_it_says_what_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raster._font_files.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"feature-circuitgraph\[draw\]"):
        PICTURES["kernel"].save(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
    PICTURES["kernel"].save(tmp_path / "a.svg")
    PICTURES["kernel"].save(tmp_path / "a.html")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.said.setdefault(self.tags[-1] if self.tags else "", data)


@pytest.mark.parametrize("title", [HOSTILE, LONG, "</title></main><script>alert(1)</script>", ""])
def test_an_html_page_stands_alone_and_holds_no_script(title: str) -> None:
    page = to_html(draw_grid(KERNELS, title=title, down_names=[title] * 3), title=title)
    reader = _Reader()
    reader.feed(page)
    assert set(reader.tags) <= {
        *("html", "head", "meta", "title", "style", "body", "main", "svg", "desc", "g", "rect", "text", "path")
    }
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in ("href", "src", "style")]
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("http-equiv", "")
    page.encode("utf-8")


def test_a_page_is_called_like_its_picture_unless_told_otherwise() -> None:
    assert "<title>a &amp; &lt;b&gt;</title>" in to_html(draw_kernel([[1.0]], title="a & <b>"))
    assert "<title>other</title>" in to_html(draw_kernel([[1.0]], title="a"), title="other")
    assert "<title>Kernel</title>" in to_html(draw_kernel([[1.0]]))


def test_a_page_opens_in_chromium_without_a_complaint_or_a_request(browser: Browser, tmp_path: Path) -> None:
    script = "<img src=x onerror='window.ran=1'><script>window.ran=1</script>"
    picture = draw_grid(KERNELS, title=script, down_names=[script] * 3, up_names=[script] * 3)
    path = picture.save(tmp_path / "a.html")
    watch = Watch()
    context = browser.new_context(viewport={"width": 390, "height": 700})
    watch.look_at(context)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.title() == script
    assert page.evaluate("window.ran") is None
    # as wide as it is, in a part that scrolls; the page itself does not
    assert page.evaluate("document.querySelector('svg').getBoundingClientRect().width") == 720
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "MAIN"
    # text can be selected
    page.evaluate("getSelection().selectAllChildren(document.querySelector('text'))")
    assert page.evaluate("getSelection().toString()").startswith("<img src=x")
    context.close()
    assert watch.errors == []
    assert watch.requests == [path.as_uri()]
