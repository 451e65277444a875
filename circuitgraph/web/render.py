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
from circuitgraph.errors import BundleCorruptError, CatalogueError, CircuitGraphError
from circuitgraph.ids import kind_of
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.links import web_link
from circuitgraph.web.page import Page, address_of, with_query
from circuitgraph.web.security import holds_token

__all__ = ["Renderer", "without_folders"]

_TITLES = {404: "Not found", 405: "Not allowed", 500: "Something went wrong", 503: "Too much at once"}
_LOST = "Not there any more"

_FOLDERS = re.compile(r"(?<![\w.:/])(?:/|[A-Za-z]:\\)(?:[^/\\\s:'\"]+[/\\])+")


class Renderer:
    """Turns pages and errors into answers; `token` is what a browser shows that may write."""

    def __init__(self, explorer: Explorer, *, token: str) -> None:
        self._explorer = explorer
        self._token = token
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
        """Return the answer to what was refused.

        404 where something does not exist, 503 where a bundle or the catalogue is gone, 500 where a bundle's files
        are not what they were, else 400.
        """
        if (lost := self.loss(request, error)) is not None:
            return lost
        if isinstance(error, BundleCorruptError):
            return self.failure(request, 500, error.message, hint=error.hint)
        status = 404 if isinstance(error, LookupError | FileNotFoundError) else 400
        return self.failure(request, status, error.message, hint=error.hint)

    def loss(self, request: Request, error: Exception) -> Response | None:
        """Return the answer to an error that comes from a bundle or a catalogue that is not there any more, if so."""
        is_of_files = isinstance(error, OSError) or not isinstance(error, CircuitGraphError)
        if is_of_files and (lost := self._explorer.lost_bundles):
            names = ", ".join(f"{bundle.network} ({bundle.path.name})" for bundle in lost)
            said = f"the bundle of {names} is not where it was: it was moved, removed or unmounted."
            return self.failure(request, 503, said, hint="Put it back, or start the explorer again.", title=_LOST)
        if (is_of_files or isinstance(error, CatalogueError)) and (said := self._explorer.lost_catalogue):
            return self.failure(request, 503, said, hint="Put it back, then ask again.", title=_LOST)
        return None

    def failure(self, request: Request, status: int, message: str, *, hint: str = "", title: str = "") -> Response:
        """Return an error as a page or, where JSON was asked for, as JSON; a form that was sent is shown with it."""
        if self._explorer.is_public:
            message, hint = without_folders(message), without_folders(hint)
        if request.scope.get("circuitgraph.form") == "json":
            return JSONResponse({"error": {"message": message, "hint": hint}}, status_code=status)
        page = Page("error", request.url.path, title or _TITLES.get(status, "Refused"), {})
        can_write = self._explorer.can_write and holds_token(request, self._token)
        typed = {name: value for name, value in request.scope.get("circuitgraph.typed", {}).items() if value.strip()}
        html = self._fill("error", page=page, data={}, can_write=can_write, message=message, hint=hint, typed=typed)
        return HTMLResponse(html, status_code=status)

    def _fill(self, template: str, **values: Any) -> str:
        explorer = self._explorer
        return self._templates.get_template(f"{template}.html").render(
            networks=sorted(explorer.bundles),
            has_catalogue=explorer.has_catalogue,
            has_store=explorer.store is not None,
            is_public=explorer.is_public,
            lost_catalogue=explorer.lost_catalogue,
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
