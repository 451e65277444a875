"""The explorer's application over the handwritten network and a catalogue of one's own, asked without a server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.web import Explorer, make_app
from tests.web.asking import ADA, COOKIE, TOKEN, Asking

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
"""A text that would be markup in HTML and in SVG, and end an attribute."""


@contextmanager
def looking(bundle: Path, catalogue: Path, folder: Path, *, may_write: bool = True, **options: Any) -> Iterator[Asking]:
    """Open an explorer of a bundle and a copy of a catalogue, with a folder for results of searches."""
    own = Path(shutil.copytree(catalogue, folder / "own-catalogue"))
    given = {"author": ADA, "searches": folder / "searches", **options}
    with Explorer.open([bundle], catalogue=own, **given) as explorer:
        yield Asking(make_app(explorer, token=TOKEN), explorer, own, COOKIE if may_write else "")


def fields_of(html: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form that is sent to an address."""
    form = re.search(rf'<form[^>]*method="post" action="{re.escape(action)}".*?</form>', html, re.DOTALL)
    assert form is not None, f"no form to {action}"
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form[0])
    return {unescape(name): unescape(value) for name, value in found}


def kernels_into(bundle: Bundle, layer: str) -> tuple[str, NDArray[np.float64]]:
    """The layer that feeds another, and all kernels from one to the other, (down, up, row, col)."""
    (block,) = [part for part in bundle.blocks if part.down == layer]
    return block.up, np.asarray(bundle.block(block.up, block.down).kernels, dtype=np.float64)


def kernel_of(bundle: Bundle, up: str, down: str) -> NDArray[np.float64]:
    """One kernel, from the array of its whole block."""
    layer, channel = down.rsplit(":", 1)
    source, kernels = kernels_into(bundle, layer)
    assert up.rsplit(":", 1)[0] == source
    return kernels[int(channel), int(up.rsplit(":", 1)[1])]


def share_of(bundle: Bundle, up: str, down: str) -> float:
    """The share that one kernel has of all weights into its downstream unit."""
    layer, channel = down.rsplit(":", 1)
    _, kernels = kernels_into(bundle, layer)
    sizes = np.abs(kernels[int(channel)]).sum(axis=(1, 2))
    return float(sizes[int(up.rsplit(":", 1)[1])] / sizes.sum())


def assert_nothing_runs(html: str) -> None:
    """No text of a stranger became an element or an attribute."""
    reader = _Elements()
    reader.feed(html)
    assert ("script", ()) not in reader.found
    for name, attributes in reader.found:
        assert name != "img"
        assert not [each for each in attributes if each.startswith("on") or each == "style"], (name, attributes)
    assert "alert(1)" in html or "alert" not in html


class _Elements(HTMLParser):
    """The elements of a page with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))
