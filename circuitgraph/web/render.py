"""Pages as HTML: Jinja templates in which every text is escaped unless it is a finished drawing."""

from __future__ import annotations

import re
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from markupsafe import Markup

from circuitgraph import __version__
from circuitgraph.draw import Picture
from circuitgraph.errors import CircuitGraphError
from circuitgraph.ids import kind_of
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.links import web_link
from circuitgraph.web.page import Page, address_of, with_query

__all__ = ["Renderer", "without_folders"]

_TITLES = {404: "Not found", 405: "Not allowed", 500: "Something went wrong", 503: "Too much at once"}

_FOLDERS = re.compile(r"(?<![\w.:/])(?:/|[A-Za-z]:\\)(?:[^/\\\s:'\"]+[/\\])+")


class Renderer:
    """Turns pages and errors into answers."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("circuitgraph.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "address_of": address_of,
            "with_query": with_query,
            "drawn": _drawn,
            "software": __version__,
        }
        self._templates.filters |= {"figure": _figure, "web_link": web_link}
        self._templates.tests |= {"uid": _is_uid}

    def page(self, page: Page, *, can_write: bool) -> str:
        """Return a page as HTML."""
        return self._fill(page.kind, page=page, data=page.data, can_write=can_write)

    def refusal(self, request: Request, error: CircuitGraphError) -> Response:
        """Return the answer to what was refused: 404 where something does not exist, else 400."""
        status = 404 if isinstance(error, LookupError | FileNotFoundError) else 400
        return self.failure(request, status, error.message, hint=error.hint)

    def failure(self, request: Request, status: int, message: str, *, hint: str = "") -> Response:
        """Return an error as a page or, where JSON was asked for, as JSON."""
        if self._explorer.is_public:
            message, hint = without_folders(message), without_folders(hint)
        if request.scope.get("circuitgraph.form") == "json":
            return JSONResponse({"error": {"message": message, "hint": hint}}, status_code=status)
        page = Page("error", request.url.path, _TITLES.get(status, "Refused"), {})
        html = self._fill("error", page=page, data={}, can_write=False, message=message, hint=hint, status=status)
        return HTMLResponse(html, status_code=status)

    def _fill(self, template: str, **values: Any) -> str:
        explorer = self._explorer
        return self._templates.get_template(f"{template}.html").render(
            networks=sorted(explorer.bundles),
            has_catalogue=explorer.has_catalogue,
            has_store=explorer.store is not None,
            is_public=explorer.is_public,
            author=explorer.author.name if explorer.author else "",
            **values,
        )


def without_folders(text: str) -> str:
    """Leave of the files that a message names their names: where they lie is not for strangers."""
    return _FOLDERS.sub("", text)


def _drawn(picture: Picture) -> Markup:
    # a drawing has escaped every label itself
    return Markup(picture.svg)  # noqa: S704


def _figure(value: Any) -> str:
    """Write a cell's value as a reader wants it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, list | tuple):
        return ", ".join(_figure(each) for each in value)
    return str(value)


def _is_uid(value: Any) -> bool:
    """Say whether a value names something that has a page."""
    if not isinstance(value, str) or not ("/" in value or ":" in value):
        return False
    try:
        return kind_of(value) in ("unit", "layer", "family", "feature", "circuit", "claim", "motif", "edge")
    except CircuitGraphError:
        return False
