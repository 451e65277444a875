"""The query shelf: Cypher that is shipped, one question a file, each headed with what it returns and takes.

A parameter's line says its name, type, default (as JSON; without one it must be given), meaning and an example::

    // $limit (int = 20): how many clients; as in 5

Types: ``unit``, ``layer`` and ``family`` (a uid, or a short form as ``4c:447`` where the network is clear),
``network``, ``string``, ``int`` (1 or more), ``float`` (0 or more).
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, cast

from circuitgraph.errors import CircuitGraphError, QueryError

if TYPE_CHECKING:
    from circuitgraph.store import Result, Store

__all__ = ["Parameter", "ParameterType", "ShelfQuery", "get_query", "list_queries", "run"]

ParameterType = Literal["unit", "layer", "family", "network", "string", "int", "float"]
"""What a value can be."""

_PARAMETER = re.compile(r"// \$(\w+) \((unit|layer|family|network|string|int|float)(?: = ([^)]+))?\): (.+); as in (.+)")
_LARGEST = 2**31 - 1
_WANTED = {
    "unit": "the uid of a unit",
    "layer": "the uid of a layer",
    "family": "the uid of a family",
    "network": "the id of a network",
    "string": "a text",
    "int": f"an integer of 1 to {_LARGEST:,}",
    "float": "a number of 0 or more",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query; `default` is None where it must be given."""

    name: str
    type: ParameterType
    meaning: str
    example: str
    default: str | int | float | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.type}" + ("" if self.default is None else f" = {json.dumps(self.default)}")

    def check(self, value: Any, query: str) -> Any:
        """Return `value` if it is of the parameter's type, whole numbers as floats where floats are wanted.

        Raises
        ------
        QueryError
            It is not.
        """
        if self.type == "int":
            is_good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST
        elif self.type == "float":
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            is_good = is_number and 0 <= value < math.inf
        else:
            # an empty text says all where the default is empty
            is_good = isinstance(value, str) and (value != "" or self.default == "")
        if not is_good:
            raise QueryError(
                f"query {query!r}: parameter {self.name} is {repr(value)[:80]}, {_WANTED[self.type]} is wanted.",
                hint=f"Give it as in -p {self.name}={self.example}",
            )
        return float(value) if self.type == "float" else value


@dataclass(frozen=True, slots=True)
class ShelfQuery:
    """One query: its name, what it returns, its parameters by name, its Cypher, and its file as it is."""

    name: str
    description: str
    parameters: Mapping[str, Parameter]
    cypher: str
    text: str

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for each parameter, defaults for those that are not given.

        Raises
        ------
        QueryError
            One is missing, not of its type, or not one of the query's own.
        """
        own = ", ".join(map(str, self.parameters.values()))
        unknown = sorted(set(given) - set(self.parameters))
        missing = [each for name, each in self.parameters.items() if name not in given and each.default is None]
        if unknown:
            close = difflib.get_close_matches(unknown[0], list(self.parameters), n=1)
            raise QueryError(
                f"query {self.name!r} has no parameter {', '.join(unknown)}; it takes {own}.",
                hint=f"Did you mean {close[0]}?" if close else f"circuitgraph query --name {self.name} --show",
            )
        if missing:
            wanted = " ".join(f"-p {each.name}={each.example}" for each in missing)
            raise QueryError(
                f"query {self.name!r} lacks its parameter {', '.join(each.name for each in missing)}; it takes {own}.",
                hint=f"circuitgraph query --name {self.name} {wanted}",
            )
        return {name: each.check(given.get(name, each.default), self.name) for name, each in self.parameters.items()}

    def bind(self, store: Store, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return checked values as `check` does, with the names of units, layers and families written out.

        Raises
        ------
        QueryError
            A value is missing, not of its type, or not one of the query's own.
        IdError, UnknownLayerError, UnknownUnitError
            The graph has no such unit, layer or family, or a short form fits several.
        """
        from circuitgraph.store.names import find_family, find_layer, find_unit

        finders = {"unit": find_unit, "layer": find_layer, "family": find_family}
        values = self.check(given)
        for name, each in self.parameters.items():
            if each.type in finders and values[name]:
                try:
                    values[name] = finders[each.type](store, values[name])
                except CircuitGraphError as error:
                    error.add_note(f"It is parameter {name} of query {self.name!r}.")
                    raise
        return values


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
    whole = files("queries").joinpath("cypher", f"{name}.cypher").read_text(encoding="utf-8")
    lines = whole.splitlines()
    head = [line for line in lines if line.startswith("//")]
    found = [match for line in head if (match := _PARAMETER.fullmatch(line))]
    description = " ".join(line.removeprefix("// ") for line in head if not _PARAMETER.fullmatch(line))
    parameters = {
        m[1]: Parameter(m[1], cast(ParameterType, m[2]), m[4], m[5], None if m[3] is None else json.loads(m[3]))
        for m in found
    }
    return ShelfQuery(
        name, description, parameters, "\n".join(line for line in lines if not line.startswith("//")), whole
    )


def run(
    name: str, store: Store, *, limit_rows: int | None = None, timeout_s: float | None = None, **parameters: Any
) -> Result:
    """Run a query of the shelf in a store; that its own parameter `limit` was reached is among the notes.

    Parameters
    ----------
    name
        One of `list_queries`.
    limit_rows, timeout_s
        Most rows to give and seconds to take, as `Store.query` has them.
    parameters
        Those of the query; `get_query` tells which.

    Raises
    ------
    QueryError
        There is no such query, or a parameter is missing, not of its type or not one of its own; nothing ran.
    IdError, UnknownLayerError, UnknownUnitError
        The graph has no such unit, layer or family, or a short form fits several.
    """
    query = get_query(name)
    values = query.bind(store, parameters)
    result = store.query(query.cypher, values, limit=limit_rows, timeout_s=timeout_s)
    limit = values.get("limit")
    if limit is None or len(result) < limit:
        return result
    note = f"the query's own limit of {limit:,} was reached, there may be more; give limit another value."
    return replace(result, notes=[note, *result.notes])
