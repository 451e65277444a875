"""What stands between the explorer and the world: hosts, tokens, origins, headers, sizes."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from circuitgraph.web.explorer import Explorer

__all__ = ["COOKIE", "Guarded", "holds_token"]

COOKIE = "circuitgraph-token"
_LARGEST_BODY = 1 << 20
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def holds_token(request: Request, token: str) -> bool:
    """Say whether a browser has shown the token."""
    return hmac.compare_digest(request.cookies.get(_cookie(request), "").encode(), token.encode())


def _cookie(request: Request) -> str:
    # cookies are one for all ports of a host
    return f"{COOKIE}-{request.url.port or 80}"


class Guarded:
    """Refuse what is not addressed to us, what is too large, and what writes without the token or from elsewhere."""

    def __init__(self, app: Any, *, explorer: Explorer, token: str, hosts: tuple[str, ...]) -> None:
        self.app = app
        self._explorer = explorer
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        answer: Any = self._refused(request) or self._greeted(request) or self.app
        await answer(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        name = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        if name not in self._hosts:
            return PlainTextResponse("This server does not answer to that name.\n", status_code=421)
        if request.method in ("GET", "HEAD"):
            return None
        if int(request.headers.get("content-length", "-1") or -1) not in range(_LARGEST_BODY + 1):
            return PlainTextResponse("A form of known size, at most 1 MiB, is wanted.\n", status_code=413)
        origin = urlsplit(request.headers.get("origin", ""))
        if origin.netloc != request.headers.get("host"):
            return PlainTextResponse("Forms are taken from this explorer's own pages only.\n", status_code=403)
        if not self._explorer.can_write or not holds_token(request, self._token):
            return PlainTextResponse("Writing needs the token that was printed at the start.\n", status_code=403)
        return None

    def _greeted(self, request: Request) -> Response | None:
        given = request.query_params.get("token")
        if given is None:
            return None
        answer = RedirectResponse(str(request.url.remove_query_params("token")), status_code=303)
        if hmac.compare_digest(given.encode(), self._token.encode()):
            answer.set_cookie(_cookie(request), given, httponly=True, samesite="strict")
        return answer
