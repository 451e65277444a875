"""What an address asks for besides what it is about: how many rows, from which on, in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from circuitgraph.bundle.describe import Description
from circuitgraph.errors import BundleError
from circuitgraph.web.page import Asked, with_query

__all__ = ["Paging", "choice", "table_values", "turned_to", "wanted_number", "whole_number"]

_LIMIT = re.compile("; (?:more with|raise) --limit.*$")


def whole_number(asked: Asked, name: str, default: int, *, least: int = 0, most: int) -> int:
    """Return a number of an address; the default where there is none or it is no number, the nearest that is allowed.

    Examples
    --------
    >>> whole_number(Asked({}, {"limit": "5000"}), "limit", 40, least=1, most=200)
    200
    """
    given = asked.query.get(name, "")
    # only the ten digits, and no more than a count has
    if not (given.isascii() and given.isdigit() and len(given) <= 9):
        return default
    return min(max(int(given), least), most)


def wanted_number(asked: Asked, name: str, default: int, *, least: int = 0, most: int) -> int:
    """Return a number of an address, the default where there is none.

    Raises
    ------
    BundleError
        It is no number, or out of bounds.

    Examples
    --------
    >>> wanted_number(Asked({}, {"limit": "40"}), "limit", 12, least=1, most=200)
    40
    """
    text = asked.query.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise BundleError(
            f"looking: {name}={text[:40]!r}, a whole number from {least} to {most} is wanted.",
            hint=f"Give {name}={default}.",
        )
    return int(text)


def choice(asked: Asked, name: str, known: Sequence[str], default: str) -> str:
    """Return one of some words of an address, or the default."""
    given = asked.query.get(name, "")
    return given if given in known else default


def turned_to(address: str, **values: str | int | None) -> str:
    """Return an address with some of its query changed; what is None or empty is taken out.

    Examples
    --------
    >>> turned_to("/layer/net/a?sort=bias&first=40", first=80), turned_to("/layer/net/a?first=40", first=None)
    ('/layer/net/a?sort=bias&first=80', '/layer/net/a')
    """
    path, _, query = address.partition("?")
    known: dict[str, str | int | None] = dict(parse_qsl(query))
    changed = {**known, **values}
    return with_query(path, **{name: None if value is None else str(value) for name, value in changed.items()})


class Paging:
    """Some rows of many: which, and where those before and after them begin.

    Examples
    --------
    >>> Paging(40, 2048, 40).as_dict("/layer/net/a", "first")["next"]
    '/layer/net/a?first=80'
    """

    def __init__(self, first: int, count: int, limit: int) -> None:
        self.limit = limit
        self.count = count
        self.first = first if first < count else 0

    @property
    def stop(self) -> int:
        """Where the rows end."""
        return min(self.first + self.limit, self.count)

    def as_dict(self, address: str, name: str) -> dict[str, Any]:
        """Return it as JSON values, with the addresses of the rows before and after where there are any.

        Parameters
        ----------
        name
            Of the parameter of the address that says which row is the first.
        """
        before = max(0, self.first - self.limit)
        return {
            "first": self.first,
            "shown": max(0, self.stop - self.first),
            "count": self.count,
            "previous": turned_to(address, **{name: before or None}) if self.first else None,
            "next": turned_to(address, **{name: self.stop}) if self.stop < self.count else None,
        }


def table_values(table: Description) -> dict[str, Any]:
    """Return a table as JSON values."""
    rows: list[Mapping[str, Any]] = list(table.rows)
    return {
        "name": table.name,
        "title": table.title,
        "columns": list(table.columns),
        "rows": rows,
        # a page says its own way how to see more
        "notes": [_LIMIT.sub("", note) for note in table.notes],
    }
