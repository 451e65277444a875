"""The web application: addresses to views, and pages to HTML, JSON and SVG."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pydantic_core

from circuitgraph.errors import CircuitGraphError, MissingExtraError
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import FORMATS, Action, Asked, Page, Route
from circuitgraph.web.views import ACTIONS, ROUTES

try:
    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse, RedirectResponse, Response
    from fastapi.staticfiles import StaticFiles
    from starlette.concurrency import run_in_threadpool

    from circuitgraph.web.render import Renderer
    from circuitgraph.web.security import Guarded, holds_token
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"the explorer needs {error.name}, which is not installed.", hint="pip install 'feature-circuitgraph[web]'"
    ) from error

__all__ = ["Suffixes", "make_app"]


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
    renderer = Renderer(explorer)
    app.mount("/static", StaticFiles(directory=str(files("circuitgraph.web") / "static")), name="static")
    for route in ROUTES:
        app.add_api_route(route.path, _showing(explorer, renderer, token, route), methods=["GET", "HEAD"])
    for action in ACTIONS:
        app.add_api_route(action.path, _acting(explorer, renderer, token, action), methods=["POST"])

    @app.exception_handler(404)
    async def _nothing_there(request: Request, error: Exception) -> Response:  # noqa: ARG001
        return renderer.failure(request, 404, "there is no such page.", hint="Begin at the start page, /.")

    return Suffixes(Guarded(app, explorer=explorer, token=token, hosts=hosts))


def _showing(explorer: Explorer, renderer: Renderer, token: str, route: Route) -> Callable[..., Any]:
    async def show(request: Request) -> Response:
        can_write = explorer.can_write and holds_token(request, token)
        asked = Asked(dict(request.path_params), dict(request.query_params), can_write=can_write)
        return await run_in_threadpool(answer, request, asked)

    def answer(request: Request, asked: Asked) -> Response:
        try:
            page = route.view(explorer, asked)
            return _written(request, renderer, page, asked)
        except CircuitGraphError as error:
            return renderer.refusal(request, error)

    return show


def _written(request: Request, renderer: Renderer, page: Page, asked: Asked) -> Response:
    form = request.scope.get("circuitgraph.form", "html")
    if form == "json":
        body = pydantic_core.to_json(page.as_dict(), inf_nan_mode="null", indent=1)
        return Response(body, media_type="application/json")
    if form == "svg":
        name = asked.query.get("picture") or next(iter(page.pictures), "")
        if name not in page.pictures:
            return renderer.failure(request, 404, f"{page.title} has no such picture.", hint="Leave out picture=.")
        return Response(page.pictures[name].svg, media_type="image/svg+xml")
    return HTMLResponse(renderer.page(page, can_write=asked.can_write))


def _acting(explorer: Explorer, renderer: Renderer, token: str, action: Action) -> Callable[..., Any]:
    async def act(request: Request) -> Response:
        # the guard has seen to it that the one who asks may write
        form = await request.form(max_files=0, max_fields=100)
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        asked = Asked(dict(request.path_params), fields, can_write=explorer.can_write and holds_token(request, token))
        return await run_in_threadpool(answer, request, asked)

    def answer(request: Request, asked: Asked) -> Response:
        try:
            return RedirectResponse(action.act(explorer, asked), status_code=303)
        except CircuitGraphError as error:
            return renderer.refusal(request, error)

    return act


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
