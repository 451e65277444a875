"""A real browser that looks at the explorer, run as a process of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Author, Catalogue, add_claim, add_starter, make_claim, make_evidence
from importers.handwritten import import_handwritten
from importers.handwritten_truth import handwritten_truth
from tests.web.browsing import Watch
from tests.web.exploring import Explored, dog_head, exploring

NAMES = ("chromium", "chromium-browser", "google-chrome")
ADA, TODAY = Author(name="Ada Example"), "2026-11-21"
WIDE = {"width": 1280, "height": 900}


def chromium() -> str:
    """Return the path of a Chromium, or skip; fail where a browser is required."""
    given = os.environ.get("CIRCUITGRAPH_TEST_CHROMIUM")
    found = shutil.which(given) if given else next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    said = f"no browser: {given or ', '.join(NAMES)} not found; install chromium or set CIRCUITGRAPH_TEST_CHROMIUM"
    if os.environ.get("CIRCUITGRAPH_TEST_BROWSER_REQUIRED", "0") not in ("", "0"):
        pytest.fail(said)
    pytest.skip(said)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; for a module and no longer, since an event loop runs in this thread as long as it does."""
    path = chromium()
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, and to nobody else
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=path, args=options)
        yield opened
        opened.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def context(browser: Browser, watch: Watch, tmp_path: Path) -> Iterator[BrowserContext]:
    """A new user: no cookie, nothing cached; at the end, nothing may have been complained of or asked elsewhere."""
    opened = browser.new_context(viewport=WIDE, accept_downloads=True)
    watch.look_at(opened)
    yield opened
    opened.close()
    assert watch.errors == []
    assert watch.strangers == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    return opened


@pytest.fixture(scope="session")
def handwritten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the handwritten network; nobody changes it."""
    return import_handwritten(tmp_path_factory.mktemp("handwritten") / "handwritten.circuit").path


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory, handwritten: Path) -> Path:
    """A catalogue with the starter, what Ada says of the handwritten network, and its dog-head circuit."""
    folder = tmp_path_factory.mktemp("catalogue") / "catalogue"
    truth = handwritten_truth()
    with Catalogue.open(folder, create=True) as opened, Bundle.open(handwritten) as bundle:
        add_starter(opened)
        for role, feature in (("mixed4c!car", "car"), ("mixed4b!windows", "window"), ("mixed4b!wheels", "wheel")):
            evidence = [make_evidence("handwritten_circuit", statement="Its weights were set by hand.")]
            claim = make_claim(
                truth.unit(role), "detects", f"feature:{feature}", evidence=evidence, author=ADA, date=TODAY
            )
            add_claim(opened, claim)
        opened.add_documents([dog_head(bundle, author=ADA, date=TODAY)])
    return folder


@pytest.fixture
def own_catalogue(catalogue: Path, tmp_path: Path) -> Path:
    """A copy of the catalogue, to write to."""
    return Path(shutil.copytree(catalogue, tmp_path / "catalogue"))


@pytest.fixture(scope="module")
def explorer(handwritten: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explored]:
    """An explorer to look at only; whoever writes takes `own_explorer`."""
    folder = tmp_path_factory.mktemp("explorer")
    own = Path(shutil.copytree(catalogue, folder / "catalogue"))
    with exploring(handwritten, catalogue=own, folder=folder) as running:
        yield running


@pytest.fixture
def own_explorer(handwritten: Path, own_catalogue: Path, tmp_path: Path) -> Iterator[Explored]:
    with exploring(handwritten, catalogue=own_catalogue, folder=tmp_path) as running:
        yield running
