"""A page: one answer as data, from which the HTML and its JSON twin are both made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from circuitgraph import __version__
from circuitgraph.draw import Picture
from circuitgraph.ids import kind_of
from circuitgraph.web.explorer import Explorer

__all__ = ["FORMATS", "Action", "Asked", "Download", "Page", "Route", "Ways", "address_of", "with_query"]

FORMATS = ("json", "svg")
"""What may stand after the last point of an address instead of HTML."""

_JSON_VERSION = 1


@dataclass(frozen=True, slots=True)
class Ways:
    """The same answer by other ways: a line of Cypher, of Python and a shell command; empty where there is none."""

    cypher: str = ""
    python: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a page can be saved as: its name, in plain letters, its media type, and what writes it when asked."""

    name: str
    media_type: str
    write: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Page:
    """What one address shows.

    Attributes
    ----------
    kind
        Name of the template, and what the page is about.
    address
        Its own stable address, with its state in the query, without the host.
    title
        Any text.
    data
        All that is shown, as JSON values.
    ways
        How to get it otherwise.
    citation
        How to cite what is shown; empty where there is nothing to cite.
    versions
        What the data are a version of: "bundle NET" to its hash, "catalogue" to what was read.
    pictures
        By name; the first is the picture of the page.
    notes
        What a reader must know: what was left out, pruned, or approximated.
    status
        Of the answer, in HTTP: 400 where the page says what is wrong with a form.
    files
        By name, what is given instead of the page where its address has ``file=NAME``.
    """

    kind: str
    address: str
    title: str
    data: Mapping[str, Any]
    ways: Ways = Ways()
    citation: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    status: int = 200
    files: Mapping[str, Download] = field(default_factory=dict)

    def address_of_file(self, name: str) -> str:
        """Return the address of one of its files."""
        return f"{self.address}{'&' if '?' in self.address else '?'}{urlencode({'file': name})}"

    def address_as(self, form: str, picture: str = "") -> str:
        """Return the address of the page in a form of `FORMATS`, or of one of its pictures."""
        path, mark, query = self.address.partition("?")
        if picture and next(iter(self.pictures)) != picture:
            query, mark = "&".join(part for part in (query, urlencode({"picture": picture})) if part), "?"
        return f"{path.removesuffix('.html')}.{form}{mark}{query}"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON twin."""
        return {
            "version": _JSON_VERSION,
            "software": __version__,
            "kind": self.kind,
            "address": self.address,
            "title": self.title,
            "data": self.data,
            "ways": {"cypher": self.ways.cypher, "python": self.ways.python, "shell": self.ways.command},
            "citation": self.citation,
            "versions": dict(self.versions),
            "pictures": {name: self.address_as("svg", name) for name in self.pictures},
            "files": {name: self.address_of_file(name) for name in self.files},
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """What a browser asks for.

    Attributes
    ----------
    parts
        What the route's pattern found in the path.
    query
        What stands after the question mark, or a form's fields; of a name given twice, the last.
    can_write
        Whether the one who asks holds the token and writing is allowed.
    """

    parts: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    can_write: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A pattern of addresses (``/unit/{uid:path}``) and the view that answers it."""

    path: str
    view: Callable[[Explorer, Asked], Page]


@dataclass(frozen=True, slots=True)
class Action:
    """A pattern of addresses to which a form is sent, and what it does.

    It returns the address to go to then, or a page that says what is wrong with the form and keeps what was typed.
    """

    path: str
    act: Callable[[Explorer, Asked], str | Page]


def address_of(uid: str) -> str:
    """Return the address of a thing's page.

    Raises
    ------
    IdError
        The uid names nothing.

    Examples
    --------
    >>> address_of("net/layer1.0.relu#1:3"), address_of("feature:car")
    ('/unit/net/layer1.0.relu%231:3', '/feature/car')
    """
    kind = kind_of(uid)
    name = uid.partition(":")[2] if uid.startswith(f"{kind}:") else uid
    # a name that ends as a form does is told from that form of another
    ending = ".html" if name.endswith((".html", *(f".{form}" for form in FORMATS))) else ""
    return f"/{kind}/{quote(name, safe='/:@!')}{ending}"


def with_query(address: str, **values: str | float | None) -> str:
    """Return an address with a query; what is None or empty is left out, and the order is that of the names given."""
    query = urlencode({name: value for name, value in values.items() if value not in (None, "")})
    return f"{address}?{query}" if query else address
