"""Asking the explorer's application without a server between, with headers and bodies that no client would send."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from circuitgraph.catalogue import Author, Catalogue, add_starter
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.web import Explorer, make_app

HOST = "127.0.0.1:8470"
ORIGIN = f"http://{HOST}"
TOKEN = "a-token-nobody-guesses"
COOKIE = f"circuitgraph-token-8470={TOKEN}"
ADA = Author(name="Ada Example")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """Return the one header of that name, empty where there is none."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, found
        return found[0] if found else ""


@dataclass
class Asking:
    """An application, and the folder that may change by asking it."""

    app: Any
    explorer: Explorer
    catalogue: Path
    # what a browser of the user sends with each request
    cookie: str = ""
    sent: list[Any] = field(default_factory=list)

    def get(self, path: str, **options: Any) -> Answer:
        return ask(self.app, path, cookie=self.cookie, **options)

    def post(self, path: str, fields: dict[str, str], **options: Any) -> Answer:
        """Send a form as a browser does from a page of the explorer."""
        headers = options.pop("headers", [("origin", ORIGIN)])
        kind = ("content-type", "application/x-www-form-urlencoded")
        body = options.pop("body", [urlencode(fields).encode()])
        return ask(self.app, path, method="POST", headers=[kind, *headers], body=body, cookie=self.cookie, **options)

    def written(self) -> dict[str, bytes]:
        """Return all that lies in the catalogue but the index, which is made again from the rest."""
        files = (path for path in self.catalogue.rglob("*") if path.is_file() and ".index" not in path.name)
        return {str(path.relative_to(self.catalogue)): path.read_bytes() for path in files}


def ask(
    app: Any,
    path: str,
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: Sequence[bytes] = (b"",),
    host: str | None = HOST,
    cookie: str = "",
) -> Answer:
    """Ask once, and return the whole answer; `body` comes in these pieces."""
    raw, _, query = path.partition("?")
    own = [("host", host)] if host is not None else []
    own += [("cookie", cookie)] if cookie else []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in [*own, *headers]],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8470),
    }
    pieces = [{"type": "http.request", "body": each, "more_body": True} for each in body]
    pieces[-1]["more_body"] = False
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    # a loop of its own, in a thread of its own: a browser's runs in this one
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(app(scope, receive, send))).result()
    begun = [message for message in said if message["type"] == "http.response.start"]
    assert len(begun) == 1, said
    found = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in begun[0]["headers"]]
    whole = b"".join(message.get("body", b"") for message in said if message["type"] == "http.response.body")
    return Answer(begun[0]["status"], found, whole)


@contextmanager
def asking(folder: Path, *, may_write: bool = True, catalogue: Path | None = None, **options: Any) -> Iterator[Asking]:
    """Open an explorer of a small network and a catalogue (a copy of `catalogue`, else one with the starter)."""
    own = folder / "own-catalogue"
    if catalogue is not None:
        shutil.copytree(catalogue, own)
    else:
        with Catalogue.open(own, create=True) as opened:
            add_starter(opened)
    bundle = write_synthetic_bundle(folder / "net.circuit", network="net")
    given = {"author": ADA, **options}
    with Explorer([bundle], catalogue=own, **given) as explorer:
        app = make_app(explorer, token=TOKEN)
        yield Asking(app, explorer, own, COOKIE if may_write else "")
