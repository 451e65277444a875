"""Somebody who uses the keyboard alone, and sees where the focus is."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page

MOST_TABS = 300
_FOCUSED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const label = element.labels && element.labels.length ? element.labels[0].innerText : "";
    return {
        name: (element.getAttribute("aria-label") || label || element.innerText || element.value || "").trim(),
        tag: element.tagName.toLowerCase(),
        isMarked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        isSeen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0
            && box.top < innerHeight && box.left < innerWidth,
    };
}"""


class Keyboard:
    """Keys, and what was focused without being seen or marked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.unseen: list[str] = []

    def tab_to(self, name: str | re.Pattern[str], *, tag: str = "") -> None:
        """Press Tab until something of this name, and tag, has the focus."""
        wanted = re.compile(re.escape(name)) if isinstance(name, str) else name
        passed = []
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            focused = self._look()
            passed.append(focused["name"][:30] if focused else "")
            if focused and wanted.search(focused["name"]) and tag in ("", focused["tag"]):
                return
        raise AssertionError(f"no {tag or 'thing'} called {name!r} is reached by Tab: {passed}")

    def _look(self) -> dict[str, Any] | None:
        focused: dict[str, Any] | None = self.page.evaluate(_FOCUSED)
        if focused and not (focused["isMarked"] and focused["isSeen"]):
            self.unseen.append(f"{focused['tag']} {focused['name'][:60]!r} at {self.page.url}")
        return focused

    def follow(self, name: str | re.Pattern[str]) -> None:
        """Go to a link and press Enter on it."""
        self.tab_to(name, tag="a")
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def write(self, name: str | re.Pattern[str], text: str) -> None:
        """Go to a field and write into it, in the place of what stands there."""
        self.tab_to(name)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def send(self, name: str | re.Pattern[str]) -> None:
        """Go to a button and press it."""
        self.tab_to(name, tag="button")
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
