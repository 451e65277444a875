"""What an address asks for besides what it is about: how many rows, from which on, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuitgraph.bundle.describe import Description
from circuitgraph.web.page import Asked

__all__ = ["Paging", "choice", "table_values", "whole_number"]


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


def choice(asked: Asked, name: str, known: Sequence[str], default: str) -> str:
    """Return one of some words of an address, or the default."""
    given = asked.query.get(name, "")
    return given if given in known else default


class Paging:
    """Some rows of many: which, and where those before and after them begin.

    Examples
    --------
    >>> Paging(40, 2048, 40).as_dict()
    {'first': 40, 'limit': 40, 'count': 2048, 'previous': 0, 'next': 80, 'last': 2040}
    """

    def __init__(self, first: int, count: int, limit: int) -> None:
        self.limit = limit
        self.count = count
        self.first = first if first < count else 0

    @property
    def stop(self) -> int:
        """Where the rows end."""
        return min(self.first + self.limit, self.count)

    def as_dict(self) -> dict[str, int | None]:
        """Return it as JSON values; None where there is no row before or after."""
        return {
            "first": self.first,
            "limit": self.limit,
            "count": self.count,
            "previous": max(0, self.first - self.limit) if self.first else None,
            "next": self.stop if self.stop < self.count else None,
            "last": (self.count - 1) // self.limit * self.limit if self.count else 0,
        }


def table_values(table: Description) -> dict[str, Any]:
    """Return a table as JSON values."""
    rows: list[Mapping[str, Any]] = list(table.rows)
    return {
        "name": table.name,
        "title": table.title,
        "columns": list(table.columns),
        "rows": rows,
        "notes": list(table.notes),
    }
