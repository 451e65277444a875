"""Entries of the vocabulary, versions of families, and releases in the graph.

A `Record` keeps one of them as it was written, by the hash of what it says. `Feature` and `Family` are what follows
from all of them together and are worked out again whenever one is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import neo4j

from circuitgraph.store.claim_binding import derive_families, merge_families
from circuitgraph.store.lock import one_at_a_time

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = [
    "FeatureRow",
    "list_releases",
    "read_records",
    "record_ids",
    "write_entries",
    "write_families",
    "write_releases",
]

RecordKind = Literal["feature", "family"]
FeatureRow = tuple[Mapping[str, Any], Sequence[str]]
"""Properties of a `Feature`, and the uids of the features that are broader."""

_ROWS_A_BATCH = 500
_WAIT_S = 60
# what holds this node adds to the vocabulary alone
_VOCABULARY = "meta:vocabulary"
_ADD = (
    "CYPHER 5 UNWIND $rows AS row MERGE (r:Record {uid: row.uid}) WITH r, row WHERE r.json IS NULL "
    "SET r += row RETURN r.uid AS uid"
)
_LIST = "CYPHER 5 MATCH (r:Record {kind: $kind}) WHERE r.json IS NOT NULL RETURN r.uid AS uid, r.json AS said"


def record_ids(store: Store, kind: RecordKind) -> list[str]:
    """Return the hashes of the records of a kind, sorted."""
    text = "CYPHER 5 MATCH (r:Record {kind: $kind}) WHERE r.json IS NOT NULL RETURN r.uid AS uid"
    rows = [] if store.is_new else store.run(text, kind=kind)
    return sorted(row["uid"].removeprefix("record:") for row in rows)


def read_records(store: Store, kind: RecordKind) -> list[tuple[str, str]]:
    """Return uid and JSON of the records of a kind, by uid."""
    if store.is_new:
        return []
    return sorted((row["uid"], row["said"]) for row in store.run(_LIST, kind=kind))


def write_entries(
    store: Store,
    rows: Sequence[Mapping[str, Any]],
    derive: Callable[[Sequence[tuple[str, str]]], Mapping[str, FeatureRow]],
) -> int:
    """Write entries of the vocabulary and the features that follow, in one transaction; return how many are new.

    Parameters
    ----------
    rows
        Properties of the `Record` nodes.
    derive
        Turns uid and JSON of all entries that there are then into features by uid.

    Raises
    ------
    LoadError
        A load into the managed server is under way.
    """

    def work(transaction: neo4j.ManagedTransaction) -> int:
        transaction.run(
            "CYPHER 5 MERGE (m:Meta {uid: $uid}) SET m.schema_version = coalesce(m.schema_version, 1)", uid=_VOCABULARY
        ).consume()
        new = len(list(transaction.run(_ADD, rows=_sorted(rows))))
        if new:
            entries = [(record["uid"], record["said"]) for record in transaction.run(_LIST, kind="feature")]
            _write_features(transaction, derive(sorted(entries)))
        return new

    return _in_one(store, work, "adding features") if rows else 0


def _write_features(transaction: neo4j.ManagedTransaction, features: Mapping[str, FeatureRow]) -> None:
    found = transaction.run(
        "CYPHER 5 MATCH (f:Feature) RETURN f.uid AS uid, properties(f) AS own, "
        "COLLECT { MATCH (f)-[:BROADER]->(b:Feature) RETURN b.uid } AS broader"
    )
    there = {record["uid"]: (record["own"], sorted(record["broader"])) for record in found}
    rows, broader = [], []
    for uid in sorted({*features, *there}):
        # what only claims know stands for itself
        wanted, above = features.get(uid, ({"uid": uid, "now": uid}, ()))
        said = {name: value for name, value in wanted.items() if value is not None}
        if uid not in there or there[uid] != (said, sorted(above)):
            rows.append(said)
            broader += [[uid, each] for each in above]
    transaction.run(
        "CYPHER 5 UNWIND $rows AS row MERGE (f:Feature {uid: row.uid}) SET f = row "
        "WITH f MATCH (f)-[r:BROADER]->() DELETE r",
        rows=rows,
    ).consume()
    transaction.run(
        "CYPHER 5 UNWIND $rows AS row MATCH (f:Feature {uid: row[0]}) MERGE (b:Feature {uid: row[1]}) "
        "ON CREATE SET b.now = b.uid MERGE (f)-[:BROADER]->(b)",
        rows=broader,
    ).consume()


def write_families(store: Store, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write versions of families, and bring the families up to date; return how many are new.

    Parameters
    ----------
    rows
        Properties of the `Record` nodes.

    Raises
    ------
    LoadError
        A load into the managed server is under way.
    """
    new = 0
    for start in range(0, len(rows), _ROWS_A_BATCH):
        part = rows[start : start + _ROWS_A_BATCH]

        def work(transaction: neo4j.ManagedTransaction, part: Sequence[Mapping[str, Any]] = part) -> int:
            added = {record["uid"] for record in transaction.run(_ADD, rows=_sorted(part))}
            families = {str(row["about"]) for row in part if row["uid"] in added}
            merge_families(transaction, families)
            derive_families(transaction, families)
            return len(added)

        new += _in_one(store, work, "adding families")
    return new


def list_releases(store: Store) -> dict[str, tuple[str, str]]:
    """Return hash and JSON of each release by its uid."""
    if store.is_new:
        return {}
    rows = store.run("CYPHER 5 MATCH (r:Release) RETURN r.uid AS uid, r.sha256 AS sha, r.json AS said ORDER BY r.uid")
    return {row["uid"]: (row["sha"] or "", row["said"] or "") for row in rows}


def write_releases(store: Store, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write releases that are not there, and return how many are new; one that is there is left as it is."""

    def work(transaction: neo4j.ManagedTransaction) -> int:
        text = (
            "CYPHER 5 UNWIND $rows AS row MERGE (r:Release {uid: row.uid}) WITH r, row WHERE r.sha256 IS NULL "
            "SET r += row RETURN r.uid AS uid"
        )
        return len(list(transaction.run(text, rows=_sorted(rows))))

    return _in_one(store, work, "adding releases") if rows else 0


def _in_one(store: Store, work: Callable[[neo4j.ManagedTransaction], int], act: str) -> int:
    from circuitgraph.store.neo4j import foreign_errors

    with one_at_a_time(store, act, wait_s=_WAIT_S), foreign_errors(act, store), store.session(write=True) as session:
        return session.execute_write(work)


def _sorted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return sorted(({**row} for row in rows), key=lambda row: str(row["uid"]))
