"""The explorer: pages about networks, units, families, circuits, motifs, features and claims, in a browser.

`Explorer` holds what is looked at; a view turns a question to it into a `Page`; `make_app` serves pages as HTML,
as JSON and, what has a picture, as SVG. Only this package knows the web framework (the extra ``web``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuitgraph.web.app import make_app
    from circuitgraph.web.explorer import Explorer

__all__ = ["Explorer", "make_app"]

_LAZY = {"Explorer": "explorer", "make_app": "app"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"circuitgraph.web.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
