"""From one unit to its strongest neighbours and on to theirs, in a bundle or in the graph database alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np

from circuitgraph.catalogue.circuit_kernels import EdgeTable
from circuitgraph.errors import CatalogueError
from circuitgraph.ids import UnitId

__all__ = ["By", "EdgeReader", "Walk", "check_options", "walk_around"]

By = Literal["l1", "l2", "share_in"]
"""What edges are ranked by."""


class EdgeReader(Protocol):
    """What knows the edges at a unit."""

    def into_unit(self, unit: UnitId) -> EdgeTable:
        """Return the edges into one unit that are not zero."""
        ...

    def out_of_unit(self, unit: UnitId) -> list[EdgeTable]:
        """Return the edges out of one unit that are not zero, a table for each layer that reads its layer."""
        ...


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a walk came: units by role in the order they were reached, the edges it followed, how many it looked at."""

    roles: dict[str, str]
    pairs: list[tuple[str, str]]
    seen: int


def check_options(act: str, by: str, **least_one: int) -> None:
    """Raise `CatalogueError` if `by` is not known, or a number of edges or hops (given as one more) is below 1."""
    if by not in get_args(By):
        raise CatalogueError(f"{act}: by={by!r} is not known.", hint=f"Give one of {', '.join(get_args(By))}.")
    for name, value in least_one.items():
        if value < 1:
            least = 0 if name.startswith("hops") else 1
            raise CatalogueError(f"{act}: {name} is {value - 1 + least}, {least} or more is wanted.")


def walk_around(
    reader: EdgeReader, centre: UnitId, *, hops_up: int, hops_down: int, top: int, min_share: float, by: By
) -> Walk:
    """Follow the `top` strongest edges at a unit, and at each unit that is reached, so many times each way.

    Parameters
    ----------
    min_share
        The least share of its target's total l1 that an edge must have to be followed.
    """
    roles = {str(centre): "centre"}
    pairs: dict[tuple[str, str], None] = {}
    seen = 0

    def follow(hops: int, role: str, edges_at: Callable[[UnitId], list[EdgeTable]], end: int) -> None:
        nonlocal seen
        frontier = [str(centre)]
        for _ in range(hops):
            if not frontier:
                break
            reached: dict[str, None] = {}
            for uid in frontier:
                tables = edges_at(UnitId.parse(uid))
                seen += sum(map(len, tables))
                for pair in _strongest(tables, top, min_share, by):
                    pairs[pair] = None
                    reached[pair[end]] = None
            frontier = [uid for uid in reached if uid not in roles]
            roles.update(dict.fromkeys(frontier, role))

    follow(hops_up, "upstream", lambda each: [reader.into_unit(each)], 0)
    follow(hops_down, "downstream", reader.out_of_unit, 1)
    return Walk(roles, list(pairs), seen)


def _strongest(tables: Sequence[EdgeTable], top: int, min_share: float, by: By) -> list[tuple[str, str]]:
    """Return the strongest edges of several tables, equal ones by their units."""
    ranked: list[tuple[float, str, str]] = []
    for table in tables:
        some = table.cut(table.share_in >= np.float32(min_share)).strongest(top, by)
        ranked += [(-float(value), *pair) for value, pair in zip(some.strength(by), some.pairs(), strict=True)]
    return [(up, down) for _, up, down in sorted(ranked)[:top]]
