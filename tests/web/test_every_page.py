"""Every kind of page in a real browser: it keeps nobody out, fits a telephone, and its picture opens by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.circuits import CircuitRecord
from tests.web.browsing import Watch
from tests.web.exploring import Explored

CAR = "handwritten/mixed4c:41"
PAGES = {
    "start": "/",
    "network": "/network/handwritten",
    "layer": "/layer/handwritten/mixed4c",
    "the first layer": "/layer/handwritten/conv2d0",
    "unit": f"/unit/{CAR}",
    "a unit whose weights are not here": "/unit/inceptionv1/mixed4c:447",
    "kernel": f"/edge/handwritten/mixed4b:37%20-%3E%20{CAR}",
    "families": "/families/handwritten",
    "family": "/family/handwritten/mixed3b!curves",
    "grid of two families": "/family/handwritten/mixed3b!curves?with=handwritten/mixed3a!early-curves",
    "motifs": "/motifs/handwritten",
    "circuits": "/circuits",
    "circuit": "/circuit/{circuit}",
    "draft": "/draft?circuit={circuit}&min_share=0.15",
    "around a unit": f"/around/{CAR}?hops=2&top=4&min_share=0.02",
    "features": "/features",
    "feature": "/feature/car",
    "claims": "/claims",
    "claim": "/claim/{claim}",
    "a new claim": f"/claims/new?subject={CAR}",
    "history": f"/history/{CAR}",
    "review": "/review",
    "releases": "/releases",
    "search": "/search?q=car",
}
# in the quick run: what has forms, wide tables and large pictures
QUICK = {"unit", "draft", "claim", "claims", "network"}
BAD = ("serious", "critical")
SIZES = {"desk": (1280, 900), "telephone": (390, 844)}


def faults_of(page: Page) -> list[str]:
    """What axe finds serious or worse, and what is wider than the window."""
    found = Axe().run(page).response["violations"]
    said = [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found if each["impact"] in BAD]
    over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*said, *([f"{over} pixels too wide"] if over > 0 else [])]


@pytest.fixture(scope="module")
def addresses(explorer: Explored) -> dict[str, str]:
    with Catalogue.open(explorer.catalogue) as catalogue:
        (circuit,) = catalogue.documents(CircuitRecord)
        (claim,) = catalogue.about(CAR)
    names = {"circuit": circuit.uid.partition(":")[2], "claim": claim.partition(":")[2]}
    return {kind: explorer.at(path.format(**names)) for kind, path in PAGES.items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in PAGES]
)
def test_it_keeps_nobody_out(page: Page, explorer: Explored, addresses: dict[str, str], kind: str, size: str) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    # with the token, so that the forms are there
    page.goto(explorer.entrance)
    answer = page.goto(addresses[kind])
    assert answer is not None
    assert answer.status == 200
    assert page.locator("h1").count() == 1
    # what is folded away is looked at too
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert faults_of(page) == []


def test_a_page_that_is_not_there_says_so_and_keeps_nobody_out(page: Page, watch: Watch, explorer: Explored) -> None:
    for path in ("/nothing", "/unit/handwritten/mixed4c:4100", "/circuit/none@00000000"):
        answer = page.goto(explorer.at(path))
        assert answer is not None
        assert answer.status == 404
        assert faults_of(page) == []
    # the browser says of each that it was not found, and nothing else
    assert {"404" in said for said in watch.errors} == {True}
    watch.errors.clear()


@pytest.mark.parametrize("kind", ["unit", "circuit", "family", "draft"])
def test_its_picture_opens_by_itself_as_it_stands_in_the_page(page: Page, addresses: dict[str, str], kind: str) -> None:
    page.goto(addresses[kind])
    shown = page.locator("figure svg").first.evaluate("each => each.querySelectorAll('*').length")
    address, mark, query = addresses[kind].partition("?")
    page.goto(f"{address}.svg{mark}{query}")
    assert page.evaluate("document.documentElement.namespaceURI") == "http://www.w3.org/2000/svg"
    assert page.evaluate("document.querySelectorAll('*').length - 1") == shown > 20
    assert page.evaluate("document.querySelector('parsererror')") is None


def test_axe_and_the_window_find_what_is_planted(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><html><body><input><img src=data:,><p style='width:3000px'>x</body></html>")
    page = browser.new_page()
    page.goto(bad.as_uri())
    found = " ".join(faults_of(page))
    page.close()
    for wanted in ("html-has-lang", "label", "image-alt", "too wide"):
        assert wanted in found
