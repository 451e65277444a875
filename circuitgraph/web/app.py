"""The web application: addresses to views, and pages to HTML, JSON and SVG."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import pydantic_core

from circuitgraph.errors import CatalogueError, CircuitGraphError, MissingExtraError
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import FORMATS, Action, Asked, Page, Route
from circuitgraph.web.views import ACTIONS, ROUTES

try:
    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse, RedirectResponse, Response
    from fastapi.staticfiles import StaticFiles
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException

    from circuitgraph.web.render import Renderer
    from circuitgraph.web.security import Guarded, holds_token
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"the explorer needs {error.name}, which is not installed.", hint="pip install 'feature-circuitgraph[web]'"
    ) from error

__all__ = ["Suffixes", "make_app"]

_log = logging.getLogger("circuitgraph.web")
_MOST_FIELDS = 200


def make_app(explorer: Explorer, *, token: str, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> Any:
    """Return the ASGI application.

    Parameters
    ----------
    explorer
        What is looked at.
    token
        What a browser must show once to be allowed to write (``/?token=...``).
    hosts
        Names under which the server may be addressed; another in ``Host`` is refused.
    """
    # pages of the framework's own would load scripts from elsewhere
    app = FastAPI(title="circuitgraph", docs_url=None, redoc_url=None, openapi_url=None)
    renderer = Renderer(explorer, token=token)
    app.mount("/static", StaticFiles(directory=str(files("circuitgraph.web") / "static")), name="static")
    # one address may be looked at and sent to
    for route in ROUTES:
        app.add_api_route(route.path, _showing(explorer, renderer, token, route), methods=["GET", "HEAD"])
    for action in ACTIONS:
        app.add_api_route(action.path, _acting(explorer, renderer, token, action), methods=["POST"])

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> Response:
        said, hint = _SAID.get(error.status_code, ("this cannot be answered.", ""))
        answer = renderer.failure(request, error.status_code, said, hint=hint)
        answer.headers.update(error.headers or {})
        return answer

    return Suffixes(Guarded(app, explorer=explorer, token=token, hosts=hosts))


_SAID = {
    404: ("there is no such page.", "Begin at the start page, /."),
    405: ("this address is not asked in that way.", "Pages are asked with GET, forms are sent with POST."),
}


def _showing(explorer: Explorer, renderer: Renderer, token: str, route: Route) -> Callable[..., Any]:
    async def show(request: Request) -> Response:
        can_write = holds_token(request, token)
        return await run_in_threadpool(_guardedly, renderer, request, answer, can_write)

    def answer(request: Request, has_token: object) -> Response:
        # whether there is a catalogue is looked up on the disk
        can_write = bool(has_token) and explorer.can_write
        asked = Asked(dict(request.path_params), dict(request.query_params), can_write=can_write)
        with explorer.looking():
            return _written(explorer, request, renderer, route.view(explorer, asked), asked)

    return show


def _written(explorer: Explorer, request: Request, renderer: Renderer, page: Page, asked: Asked) -> Response:
    form = request.scope.get("circuitgraph.form", "html")
    if form == "json":
        if said := explorer.lost_catalogue:
            page = replace(page, notes=(*page.notes, said))
        body = pydantic_core.to_json(page.as_dict(), inf_nan_mode="null", indent=1)
        return Response(body, media_type="application/json", status_code=page.status)
    if form == "svg":
        name = asked.query.get("picture") or next(iter(page.pictures), "")
        if name not in page.pictures:
            return renderer.failure(request, 404, f"{page.title} has no such picture.", hint="Leave out picture=.")
        return Response(page.pictures[name].svg, media_type="image/svg+xml")
    wanted = asked.query.get("file")
    if wanted and page.files:
        if wanted not in page.files:
            known = ", ".join(page.files)
            return renderer.failure(request, 404, f"{page.title} has no such file.", hint=f"It has {known}.")
        file = page.files[wanted]
        named = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return Response(file.write(), media_type=file.media_type, headers=named)
    return HTMLResponse(renderer.page(page, can_write=asked.can_write), status_code=page.status)


def _acting(explorer: Explorer, renderer: Renderer, token: str, action: Action) -> Callable[..., Any]:
    async def act(request: Request) -> Response:
        # the guard has seen to it that the one who asks may write, and has counted the body
        return await run_in_threadpool(_guardedly, renderer, request, answer, await request.body())

    def answer(request: Request, body: object) -> Response:
        fields = _fields_of(request, body if isinstance(body, bytes) else b"")
        # what was typed is shown with whatever goes wrong
        request.scope["circuitgraph.typed"] = {name: value for name, value in fields.items() if name != "date"}
        if said := explorer.lost_catalogue:
            raise CatalogueError(said)
        can_write = explorer.can_write and holds_token(request, token)
        asked = Asked(dict(request.path_params), fields, can_write=can_write)
        done = action.act(explorer, asked)
        if isinstance(done, Page):
            return _written(explorer, request, renderer, done, asked)
        return RedirectResponse(done, status_code=303)

    return act


def _fields_of(request: Request, body: bytes) -> dict[str, str]:
    """Return a form's fields; of a name given twice, the last.

    Raises
    ------
    CatalogueError
        It is no form as browsers send those without files.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise CatalogueError("a form is sent as application/x-www-form-urlencoded.", hint="Use the form of the page.")
    try:
        said = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise CatalogueError(
            f"a form cannot be read: it is not in UTF-8, or has more than {_MOST_FIELDS} fields.",
            hint="Use the form of the page.",
        ) from error
    # browsers end lines as mail does
    return {name: value.replace("\r\n", "\n").replace("\r", "\n") for name, value in said}


def _guardedly(
    renderer: Renderer, request: Request, answer: Callable[[Request, Any], Response], given: object
) -> Response:
    """Answer, with our errors as pages; of any other a browser learns only the number under which it is in the log."""
    try:
        return answer(request, given)
    except CircuitGraphError as error:
        return renderer.refusal(request, error)
    except Exception as error:
        if (lost := renderer.loss(request, error)) is not None:
            return lost
        number = secrets.token_hex(4)
        # the path alone: what stands behind the question mark may be a secret of whoever asks
        _log.exception("error %s while answering %s %r", number, request.method, request.url.path)
        return renderer.failure(
            request, 500, f"this page failed with an error of ours, number {number}.", hint="The terminal says more."
        )


class Suffixes:
    """Take the form (``.json``, ``.svg``) off the end of an address before it is looked up."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "http" and not scope["path"].startswith("/static/"):
            path, point, form = scope["path"].rpartition(".")
            if point and form in ("html", *FORMATS):
                # the start page is /, and its twin /index.json
                path = "/" if path == "/index" else path
                scope = {**scope, "path": path, "raw_path": None, "circuitgraph.form": form}
        await self.app(scope, receive, send)
