"""A real browser that looks at the explorer, run as a process of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.web.browsing import Watch

NAMES = ("chromium", "chromium-browser", "google-chrome")
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
    opened.set_default_timeout(10_000)
    return opened
