"""What stands between the explorer and the world: hosts, tokens, origins, headers, sizes, numbers."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from circuitgraph.web.explorer import Explorer

__all__ = ["COOKIE", "Guarded", "holds_token"]

COOKIE = "circuitgraph-token"
_LARGEST_BODY = 1 << 20
_LONGEST_QUERY = 8 << 10
_LONGEST_PATH = 4 << 10
# 8 browsers open 6 connections each
_AT_ONCE = 64
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.\-]{1,253})(?::(?P<port>\d{1,5}))?")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not "no-referrer", under which browsers send the forms of our own pages with Origin: null
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
# a picture that is looked at by itself is a document of our origin
_PICTURE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"


def holds_token(request: Request, token: str) -> bool:
    """Say whether a browser has shown the token."""
    shown = request.cookies.get(_cookie(request), "")
    return hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), token.encode())


def _cookie(request: Request) -> str:
    # cookies are one for all ports of a host
    host = _HOST.fullmatch(request.headers.get("host", ""))
    return f"{COOKIE}-{(host and host['port']) or 80}"


class Guarded:
    """Refuse what is not addressed to us, what is too large or too much, and what writes without the token."""

    def __init__(self, app: Any, *, explorer: Explorer, token: str, hosts: tuple[str, ...]) -> None:
        self.app = app
        self._explorer = explorer
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)
        self._working = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            # web sockets: nothing of ours speaks by them
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)

        has_begun = False

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message = {**message, "headers": [*message["headers"], *_own_headers(message["headers"])]}
            await send(message)

        answer: Any = self._refused(request) or self._greeted(request)
        if answer is not None:
            await answer(scope, receive, with_headers)
        elif self._working >= _AT_ONCE:
            said = f"{_AT_ONCE} requests are worked on; ask again in a second.\n"
            await PlainTextResponse(said, 503, {"Retry-After": "1"})(scope, receive, with_headers)
        else:
            self._working += 1
            try:
                await self._answered(request, with_headers)
            except asyncio.CancelledError:
                # the server ends, and had waited for this
                if not has_begun:
                    await PlainTextResponse("The explorer was ended.\n", 503)(scope, receive, with_headers)
            finally:
                self._working -= 1

    async def _answered(self, request: Request, send: Any) -> None:
        """Let the application answer; a body is read here, since how long one is may not be said or not be true."""
        if request.method != "POST":
            await self.app(request.scope, request.receive, send)
            return
        body = bytearray()
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > _LARGEST_BODY:
                await _TOO_LARGE(request.scope, request.receive, send)
                return
            if not message.get("more_body", False):
                break
        waiting = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else await request.receive()

        await self.app(request.scope, receive, send)

    def _refused(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        host = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if host is None or not self._is_ours(host["name"]):
            return PlainTextResponse("This server does not answer to that name.\n", 421)
        if len(request.scope["path"]) > _LONGEST_PATH or len(request.scope["query_string"]) > _LONGEST_QUERY:
            return PlainTextResponse("An address of at most 4 KiB, with 8 KiB behind its ?, is taken.\n", 414)
        if request.method != "POST":
            return _asked_elsewhere(request)
        if self._explorer.is_public:
            return PlainTextResponse("This explorer is public: nothing can be written.\n", 403)
        origins = request.headers.getlist("origin")
        is_own_site = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        if origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]) or not is_own_site:
            return PlainTextResponse("Forms are taken from this explorer's own pages only.\n", 403)
        # of a catalogue that is gone a page tells, which keeps what was typed
        if not (self._explorer.can_write or (self._explorer.author is not None and self._explorer.lost_catalogue)):
            return PlainTextResponse("Writing needs a catalogue, and an author in the settings.\n", 403)
        if not holds_token(request, self._token):
            return PlainTextResponse("Writing needs the token that was printed at the start.\n", 403)
        size = request.headers.get("content-length", "0")
        if not size.isascii() or not size.isdigit() or int(size) > _LARGEST_BODY:
            return _TOO_LARGE
        return None

    def _is_ours(self, name: str) -> bool:
        if name.lower() in self._hosts:
            return True
        if not self._explorer.is_public:
            return False
        # no name can be made to lead to another machine than the number in it says
        try:
            return bool(ipaddress.ip_address(name.strip("[]")))
        except ValueError:
            return False

    def _greeted(self, request: Request) -> Response | None:
        """Keep a token that is shown in an address, and take it out of the address before any page is made."""
        given = request.query_params.getlist("token")
        if not given:
            return None
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        form = request.scope.get("circuitgraph.form")
        # two slashes at the beginning would be another host
        path = "/" + quote(request.scope["path"].lstrip("/"), safe="/:@!") + (f".{form}" if form else "")
        answer = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)
        token = self._token.encode()
        if hmac.compare_digest(given[-1].encode("utf-8", "surrogatepass"), token) and not self._explorer.is_public:
            answer.set_cookie(_cookie(request), self._token, httponly=True, samesite="strict")
        return answer


def _asked_elsewhere(request: Request) -> Response | None:
    """Refuse what a page of another site asks for behind its reader's back: links to us are followed, no more."""
    site = request.headers.get("sec-fetch-site", "none")
    if site in ("cross-site", "same-site") and request.headers.get("sec-fetch-mode") != "navigate":
        return PlainTextResponse("Pages of other sites may link here, and no more.\n", 403)
    return None


_TOO_LARGE = PlainTextResponse("A form of at most 1 MiB is taken.\n", 413)


def _own_headers(said: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    headers = dict(_HEADERS)
    if any(name == b"content-type" and value.startswith(b"image/svg+xml") for name, value in said):
        headers["Content-Security-Policy"] = _PICTURE_POLICY
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
