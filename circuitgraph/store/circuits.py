"""Circuits of the catalogue as nodes, bound to their units where the very weights they were seen in are loaded.

A `Circuit` node carries the uids of its units besides its `INCLUDES`, and the hashes of its networks' weights. So it
outlives the removal of a network; when that is loaded again, from whichever bundle of the same weights, it is bound
again. Under other weights a uid names another unit: there it stays unbound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import neo4j

from circuitgraph.errors import CatalogueError
from circuitgraph.store.claim_binding import bind_to
from circuitgraph.store.lock import one_at_a_time
from circuitgraph.store.schema import NODES, create_schema

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["CircuitsReport", "UnboundCircuit", "bind_circuits", "list_circuits", "save_circuits"]

_WAIT_S = 60
_ROWS_A_BATCH = 200
# a circuit is bound to the units of a network only where its weights are those that it was seen in
_BIND = (
    "UNWIND range(0, size(c.units) - 1) AS place MATCH (u:Unit {uid: c.units[place]}) "
    "MATCH (n:Network {uid: u.network}) "
    "WHERE any(i IN range(0, size(c.networks) - 1) WHERE c.networks[i] = n.uid AND c.weights[i] = n.weights_sha256) "
    "MERGE (c)-[r:INCLUDES]->(u) SET r.role = c.roles[place], r.order = c.orders[place] "
    "RETURN count(DISTINCT c) AS n"
)


@dataclass(frozen=True, slots=True)
class UnboundCircuit:
    """A circuit that lacks units: how many of how many, and which of its networks are loaded with other weights."""

    uid: str
    missing: int
    unit_count: int
    other_weights: tuple[str, ...]

    def __str__(self) -> str:
        why = f"other weights of {', '.join(self.other_weights)} are loaded" if self.other_weights else "not loaded"
        return f"{self.uid}: {self.missing} of {self.unit_count} units are not bound ({why})"


@dataclass(frozen=True, slots=True)
class CircuitsReport:
    """How many circuits were given, how many of them are new, and which are not bound to all of their units."""

    given: int
    new: int
    unbound: tuple[UnboundCircuit, ...]


def save_circuits(
    store: Store, circuits: Iterable[Mapping[str, Any]], *, act: str = "saving circuits"
) -> CircuitsReport:
    """Write circuits, and bind them to those of their units that are loaded; doing it twice changes nothing.

    Parameters
    ----------
    circuits
        Properties of the `Circuit` nodes, as ``CircuitRecord.row()`` of the catalogue gives them.
    act
        What is being done, for error messages.

    Raises
    ------
    CatalogueError
        The store holds another circuit of the same uid; that batch of circuits was not written.
    """
    from circuitgraph.store.neo4j import foreign_errors

    rows = list(
        {row["uid"]: {name: row.get(name) for name in NODES["Circuit"].properties} for row in circuits}.values()
    )
    if not rows:
        return CircuitsReport(0, 0, ())
    create_schema(store)
    new = 0
    unbound: list[UnboundCircuit] = []
    with one_at_a_time(store, act, wait_s=_WAIT_S), foreign_errors(act, store), store.session(write=True) as session:
        for start in range(0, len(rows), _ROWS_A_BATCH):
            part = rows[start : start + _ROWS_A_BATCH]
            new += session.execute_write(_write, part, act)
            unbound += session.execute_read(_unbound, [str(row["uid"]) for row in part])
        bind_to(store, "Circuit", [str(row["uid"]) for row in rows])
    return CircuitsReport(len(rows), new, tuple(unbound))


def _write(transaction: neo4j.ManagedTransaction, rows: Sequence[Mapping[str, Any]], act: str) -> int:
    uids: list[str] = [row["uid"] for row in rows]
    found = transaction.run(
        "CYPHER 5 MATCH (c:Circuit) WHERE c.uid IN $uids RETURN c.uid AS uid, c.sha256 AS sha", uids=uids
    )
    there = {record["uid"]: record["sha"] for record in found}
    for row in rows:
        # the eight digits of a uid can be the same by chance, or by somebody's design
        if there.get(row["uid"], row["sha256"]) != row["sha256"]:
            raise CatalogueError(
                f"{act}: {row['uid']} is there with hash {there[row['uid']][:16]}, this one has {row['sha256'][:16]}.",
                hint="Give one of the two another slug.",
            )
    transaction.run("CYPHER 5 UNWIND $rows AS row MERGE (c:Circuit {uid: row.uid}) SET c = row", rows=rows).consume()
    transaction.run(f"CYPHER 5 MATCH (c:Circuit) WHERE c.uid IN $uids {_BIND}", uids=uids).consume()
    return len(rows) - len(there)


def _unbound(transaction: neo4j.ManagedTransaction, uids: Sequence[str]) -> list[UnboundCircuit]:
    text = (
        "CYPHER 5 MATCH (c:Circuit) WHERE c.uid IN $uids "
        "WITH c, size(c.units) AS units, COUNT { (c)-[:INCLUDES]->() } AS bound WHERE bound < units "
        "OPTIONAL MATCH (n:Network) WHERE n.uid IN c.networks AND NOT n.weights_sha256 IN c.weights "
        "WITH c, units, bound, n ORDER BY n.uid "
        "RETURN c.uid AS uid, units, bound, collect(n.uid) AS other ORDER BY uid"
    )
    return [
        UnboundCircuit(row["uid"], row["units"] - row["bound"], row["units"], tuple(row["other"]))
        for row in transaction.run(text, uids=list(uids))
    ]


def list_circuits(store: Store) -> list[dict[str, Any]]:
    """Return the properties of all circuits by uid; None where one is absent. `record` is the text of its file."""
    if store.is_new:
        return []
    rows = store.run("CYPHER 5 MATCH (c:Circuit) WHERE c.record IS NOT NULL RETURN c ORDER BY c.uid")
    names = NODES["Circuit"].properties
    return [{name: dict(row["c"]).get(name) for name in names} for row in rows]


def bind_circuits(store: Store, network: str) -> int:
    """Bind the circuits that have units of a network to them, after it was loaded; return how many there are."""
    text = f"CYPHER 5 MATCH (c:Circuit) WHERE $network IN c.networks {_BIND}"
    return int(store.run(text, write=True, network=network)[0]["n"])
