"""Somebody new walks through the explorer in a real browser."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.web.exploring import Explored


def test_the_start_page(page: Page, explorer: Explored) -> None:
    page.goto(explorer.at("/"))
    assert "handwritten" in page.content()
