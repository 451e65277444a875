"""What the tests see through a browser besides its page."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext


@dataclass
class Watch:
    """What a browser asked for and complained of."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def look_at(self, context: BrowserContext) -> None:
        context.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda failed: self.errors.append(str(failed.error)))
        context.on("request", lambda request: self.requests.append(request.url))

    @property
    def strangers(self) -> list[str]:
        """The requests that went to another machine."""
        inside = ("data", "blob", "about", "chrome-error")
        parts = [(url, urlsplit(url)) for url in self.requests]
        return [url for url, part in parts if part.scheme not in inside and part.hostname != "127.0.0.1"]
