"""The query shelf: Cypher that is shipped, one question a file, each headed with what it returns and takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from circuitgraph.errors import QueryError

if TYPE_CHECKING:
    from circuitgraph.store import Result, Store

__all__ = ["ShelfQuery", "get_query", "list_queries", "run"]

_PARAMETER = re.compile(r"// \$(\w+) \((string|int|float)\): (.+)")


@dataclass(frozen=True, slots=True)
class ShelfQuery:
    """One query: its name, what it returns, its parameters (name to type and meaning) and its Cypher."""

    name: str
    description: str
    parameters: Mapping[str, tuple[str, str]]
    cypher: str


def list_queries() -> list[str]:
    """Return the names of all queries on the shelf."""
    return sorted(
        path.name.removesuffix(".cypher")
        for path in files("queries").joinpath("cypher").iterdir()
        if path.name.endswith(".cypher")
    )


def get_query(name: str) -> ShelfQuery:
    """Return one query.

    Raises
    ------
    QueryError
        No query has that name.
    """
    if name not in list_queries():
        close = difflib.get_close_matches(name, list_queries(), n=1)
        raise QueryError(
            f"there is no query {name!r} on the shelf.",
            hint=f"Did you mean {close[0]}?" if close else f"There are: {', '.join(list_queries())}.",
        )
    lines = files("queries").joinpath("cypher", f"{name}.cypher").read_text(encoding="utf-8").splitlines()
    head = [line for line in lines if line.startswith("//")]
    found = [match for line in head if (match := _PARAMETER.fullmatch(line))]
    description = " ".join(line.removeprefix("// ") for line in head if not _PARAMETER.fullmatch(line))
    text = "\n".join(line for line in lines if not line.startswith("//"))
    return ShelfQuery(name, description, {m[1]: (m[2], m[3]) for m in found}, text)


def run(name: str, store: Store, **parameters: Any) -> Result:
    """Run a query of the shelf in a store.

    Raises
    ------
    QueryError
        There is no such query, or a parameter is missing or not one of its own.
    """
    query = get_query(name)
    if set(parameters) != set(query.parameters):
        raise QueryError(
            f"query {name!r} takes the parameters {sorted(query.parameters)}, {sorted(parameters)} are given."
        )
    return store.query(query.cypher, parameters)
