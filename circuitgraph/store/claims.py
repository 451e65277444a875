"""Claims in the graph: written once by whoever brings them first, and found again by what they say.

A `Claim` node keeps all that a claim says as canonical JSON, so that what is read back can be hashed again; its other
properties and its relationships are read out of that, for queries. A claim that others name and that is not here is a
node without `json`. What a claim is about is bound where it is in the graph (`circuitgraph.store.claim_binding`).

Several writers may be at work: nodes are merged under unique constraints, in the order of their ids, each portion in a
transaction of its own that the driver tries again when two get into each other's way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import neo4j

from circuitgraph.store.claim_binding import derive_families, merge_families
from circuitgraph.store.lock import one_at_a_time

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = [
    "ClaimRow",
    "claim_count",
    "claim_ids",
    "claim_ids_beginning",
    "claim_ids_naming",
    "claim_ids_with",
    "contributors",
    "drop_catalogue",
    "first_subject",
    "head_rows",
    "head_rows_about",
    "head_rows_within",
    "read_claims",
    "superseding_rows",
    "write_claims",
]

_ROWS_A_BATCH = 5000
_WAIT_S = 60
_MANY = 50_000
_FOUND_BY = frozenset({"subject", "predicate", "object", "network", "author"})
_IS_THERE = "c.json IS NOT NULL"
_HEAD = (
    "c.uid AS uid, c.subject AS subject, c.predicate AS predicate, coalesce(c.object, '') AS object, "
    "c.negated AS negated, c.author AS author, c.date AS date, coalesce(c.codes, []) AS codes, "
    "EXISTS { (c)<-[:SUPERSEDES]-() } AS superseded"
)
# kind of thing -> label, and how its node is found; what the catalogue itself brings is made where it is not there yet
_MATCH = {
    **{
        kind: f"MATCH (n:{label} {{uid: row[1]}})"
        for kind, label in {
            "unit": "Unit",
            "layer": "Layer",
            "network": "Network",
            "family": "Family",
            "circuit": "Circuit",
            "motif": "Motif",
        }.items()
    },
    "feature": "MERGE (n:Feature {uid: row[1]}) ON CREATE SET n.now = n.uid",
    "claim": "MERGE (n:Claim {uid: row[1]})",
}
_DROP = (
    "MATCH (n:Claim|Evidence|Contributor|Record|Feature|Release) WITH n LIMIT 5000 DETACH DELETE n "
    "RETURN count(*) AS n",
    "MATCH (n:Family {is_claimed: true}) WITH n LIMIT 5000 DETACH DELETE n RETURN count(*) AS n",
    "MATCH ()-[m:MEMBER_OF]->() WHERE m.source IS NOT NULL WITH m LIMIT 5000 DELETE m RETURN count(*) AS n",
)


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim as it is written.

    Attributes
    ----------
    properties
        Of the `Claim` node.
    by, evidence
        Properties of the `Contributor` and of each `Evidence`.
    about, asserts
        Kind and uid of what it is about, with its role, and of its object.
    supersedes
        Uids of claims.
    size
        About how many bytes it has.
    """

    properties: Mapping[str, Any]
    by: Mapping[str, Any]
    evidence: Sequence[Mapping[str, Any]]
    about: Sequence[tuple[str, str, str]]
    asserts: tuple[str, str] | None
    supersedes: Sequence[str]
    size: int

    @property
    def uid(self) -> str:
        """``claim:sha256``."""
        return str(self.properties["uid"])


def write_claims(store: Store, rows: Sequence[ClaimRow], *, act: str = "adding claims") -> list[str]:
    """Write claims in one transaction, all of them or none, and return the uids of those that are new.

    Raises
    ------
    LoadError
        A load into the managed server is under way.
    StoreUnavailableError
        The server was lost; the same call can be made again.
    QueryLimitError
        They need more memory than the server allows a transaction.
    """
    from circuitgraph.store.neo4j import foreign_errors

    in_order = sorted({row.uid: row for row in rows}.values(), key=lambda row: row.uid)
    if not in_order:
        return []
    with one_at_a_time(store, act, wait_s=_WAIT_S), foreign_errors(act, store), store.session(write=True) as session:
        return session.execute_write(_write, in_order)


def _write(transaction: neo4j.ManagedTransaction, rows: Sequence[ClaimRow]) -> list[str]:
    written = transaction.run(
        "CYPHER 5 UNWIND $rows AS row MERGE (c:Claim {uid: row.uid}) "
        "WITH c, row WHERE c.json IS NULL SET c += row RETURN c.uid AS uid",
        rows=[dict(row.properties) for row in rows],
    )
    new = {record["uid"] for record in written}
    rows = [row for row in rows if row.uid in new]
    if rows:
        _write_people(transaction, rows)
        _write_evidence(transaction, rows)
        _write_superseded(transaction, rows)
        _write_ends(transaction, rows)
    return [row.uid for row in rows]


def _write_people(transaction: neo4j.ManagedTransaction, rows: Sequence[ClaimRow]) -> None:
    # of several names under one ORCID the first by letters, so that the order in which they come does not matter
    people = {row.by["uid"]: dict(row.by) for row in sorted(rows, key=lambda row: str(row.by["name"]), reverse=True)}
    transaction.run(
        "CYPHER 5 UNWIND $people AS who MERGE (w:Contributor {uid: who.uid}) ON CREATE SET w = who "
        "WITH w, who WHERE who.name < w.name SET w.name = who.name",
        people=[people[uid] for uid in sorted(people)],
    ).consume()
    transaction.run(
        "CYPHER 5 UNWIND $rows AS row MATCH (c:Claim {uid: row[0]}) MATCH (w:Contributor {uid: row[1]}) "
        "MERGE (c)-[:BY]->(w)",
        rows=[[row.uid, row.by["uid"]] for row in rows],
    ).consume()


def _write_evidence(transaction: neo4j.ManagedTransaction, rows: Sequence[ClaimRow]) -> None:
    items = {item["uid"]: dict(item) for row in rows for item in row.evidence}
    if not items:
        return
    transaction.run(
        "CYPHER 5 UNWIND $items AS item MERGE (e:Evidence {uid: item.uid}) ON CREATE SET e = item",
        items=[items[uid] for uid in sorted(items)],
    ).consume()
    pairs = [[row.uid, uid] for row in rows for uid in dict.fromkeys(item["uid"] for item in row.evidence)]
    transaction.run(
        "CYPHER 5 UNWIND $pairs AS row MATCH (c:Claim {uid: row[0]}) MATCH (e:Evidence {uid: row[1]}) "
        "MERGE (c)-[:SUPPORTED_BY]->(e)",
        pairs=pairs,
    ).consume()


def _write_superseded(transaction: neo4j.ManagedTransaction, rows: Sequence[ClaimRow]) -> None:
    pairs = sorted((old, row.uid) for row in rows for old in row.supersedes)
    if pairs:
        transaction.run(
            "CYPHER 5 UNWIND $pairs AS row MERGE (old:Claim {uid: row[0]}) WITH old, row "
            "MATCH (c:Claim {uid: row[1]}) MERGE (c)-[:SUPERSEDES]->(old)",
            pairs=[list(pair) for pair in pairs],
        ).consume()


def _write_ends(transaction: neo4j.ManagedTransaction, rows: Sequence[ClaimRow]) -> None:
    """Bind claims to what they are about and to their objects, and work out the families that they change."""
    about: dict[str, list[list[str]]] = {}
    asserts: dict[str, list[list[str]]] = {}
    for row in rows:
        for kind, uid, role in row.about:
            about.setdefault(kind, []).append([row.uid, uid, role])
        if row.asserts is not None:
            asserts.setdefault(row.asserts[0], []).append([row.uid, row.asserts[1]])
    merge_families(transaction, {row[1] for ends in (about, asserts) for row in ends.get("family", ())})
    for ends, create in (
        (about, "MERGE (c)-[:ABOUT {role: row[2]}]->(n)"),
        (asserts, "MERGE (c)-[:ASSERTS]->(n)"),
    ):
        for kind, pairs in sorted(ends.items()):
            if kind in _MATCH:
                transaction.run(
                    f"CYPHER 5 UNWIND $rows AS row {_MATCH[kind]} WITH n, row MATCH (c:Claim {{uid: row[0]}}) {create}",
                    rows=sorted(pairs, key=lambda pair: pair[1]),
                ).consume()
    changed = {row.asserts[1] for row in rows if row.asserts is not None and row.asserts[0] == "family"}
    if old := sorted({uid for row in rows for uid in row.supersedes}):
        # a family loses the members whose claims are superseded
        found = transaction.run(
            "CYPHER 5 UNWIND $uids AS uid MATCH (c:Claim {uid: uid}) WHERE c.predicate = 'member_of' "
            "RETURN DISTINCT c.object AS uid",
            uids=old,
        )
        changed |= {record["uid"] for record in found}
    derive_families(transaction, changed)


def claim_count(store: Store) -> int:
    """Return how many `Claim` nodes there are, those without `json` too; at once, however many."""
    return int(store.run("CYPHER 5 MATCH (c:Claim) RETURN count(c) AS n")[0]["n"]) if not store.is_new else 0


def claim_ids(store: Store) -> list[str]:
    """Return the uids of all claims, sorted."""
    beginnings = [f"claim:{byte:02x}" for byte in range(256)] if claim_count(store) > _MANY else ["claim:"]
    return [uid for beginning in beginnings for uid in claim_ids_beginning(store, beginning)]


def claim_ids_beginning(store: Store, beginning: str) -> list[str]:
    """Return the uids of the claims that begin so, sorted."""
    if store.is_new:
        return []
    text = f"CYPHER 5 MATCH (c:Claim) WHERE c.uid STARTS WITH $beginning AND {_IS_THERE} RETURN collect(c.uid) AS ids"
    return sorted(store.run(text, beginning=beginning)[0]["ids"])


def read_claims(store: Store, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield uid and JSON of claims; those that are not there are left out."""
    text = (
        f"CYPHER 5 UNWIND $ids AS uid MATCH (c:Claim {{uid: uid}}) WHERE {_IS_THERE} RETURN c.uid AS uid, c.json AS j"
    )
    for start in range(0, 0 if store.is_new else len(ids), _ROWS_A_BATCH):
        for row in store.run(text, ids=list(ids[start : start + _ROWS_A_BATCH])):
            yield str(row["uid"]), str(row["j"])


def claim_ids_with(store: Store, wanted: Mapping[str, str]) -> list[str]:
    """Return the uids, sorted, of claims with these values of subject, predicate, object, network or author.

    Raises
    ------
    ValueError
        Another property is asked for.
    """
    if unknown := set(wanted) - _FOUND_BY:
        raise ValueError(f"claims are not found by {', '.join(sorted(unknown))}")
    if store.is_new:
        return []
    conditions = [f"c.{name} = ${name}" if value else f"c.{name} IS NULL" for name, value in wanted.items()]
    text = f"CYPHER 5 MATCH (c:Claim) WHERE {' AND '.join([*conditions, _IS_THERE])} RETURN c.uid AS uid"
    return sorted(row["uid"] for row in store.run(text, **dict[str, Any](wanted)))


def claim_ids_naming(store: Store, uid: str) -> list[str]:
    """Return the uids, sorted, of claims that name `uid` as subject, as object or as an end of an edge."""
    if store.is_new or not uid:
        return []
    text = "CYPHER 5 " + " UNION ".join(
        f"MATCH (c:Claim) WHERE {condition} AND {_IS_THERE} RETURN c.uid AS uid"
        for condition in ("c.subject = $uid", "c.object = $uid", "c.down = $uid", "c.subject STARTS WITH $up")
    )
    return sorted(row["uid"] for row in store.run(text, uid=uid, up=f"{uid} -> "))


def superseding_rows(store: Store, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield, for each of the uids that something supersedes, the uids of the claims that do."""
    text = (
        "CYPHER 5 UNWIND $ids AS uid MATCH (:Claim {uid: uid})<-[:SUPERSEDES]-(c:Claim) "
        f"WHERE {_IS_THERE} RETURN uid, collect(DISTINCT c.uid) AS new"
    )
    for start in range(0, 0 if store.is_new else len(ids), _ROWS_A_BATCH):
        for row in store.run(text, ids=list(ids[start : start + _ROWS_A_BATCH])):
            yield row["uid"], row["new"]


def head_rows(store: Store, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what can be told of claims without reading them, by their uids."""
    text = f"CYPHER 5 UNWIND $ids AS uid MATCH (c:Claim {{uid: uid}}) WHERE {_IS_THERE} RETURN {_HEAD}"
    for start in range(0, 0 if store.is_new else len(ids), _ROWS_A_BATCH):
        yield from store.run(text, ids=list(ids[start : start + _ROWS_A_BATCH]))


def head_rows_about(store: Store, subjects: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what can be told of the claims with one of these subjects."""
    text = f"CYPHER 5 UNWIND $subjects AS uid MATCH (c:Claim {{subject: uid}}) WHERE {_IS_THERE} RETURN {_HEAD}"
    for start in range(0, 0 if store.is_new else len(subjects), _ROWS_A_BATCH):
        yield from store.run(text, subjects=list(subjects[start : start + _ROWS_A_BATCH]))


def head_rows_within(store: Store, beginning: str) -> Iterator[dict[str, Any]]:
    """Yield what can be told of the claims whose subject begins so, by subject and uid."""
    place, uid = beginning, ""
    text = (
        "CYPHER 5 MATCH (c:Claim) WHERE c.subject STARTS WITH $beginning AND c.subject >= $place "
        f"AND (c.subject > $place OR c.uid > $uid) AND {_IS_THERE} "
        f"RETURN {_HEAD} ORDER BY c.subject, c.uid LIMIT $most"
    )
    while not store.is_new:
        rows = store.run(text, beginning=beginning, place=place, uid=uid, most=_ROWS_A_BATCH)
        yield from rows
        if len(rows) < _ROWS_A_BATCH:
            return
        place, uid = rows[-1]["subject"], rows[-1]["uid"]


def first_subject(store: Store, at_least: str, below: str) -> str | None:
    """Return the first subject of a claim from `at_least` on and before `below`; None where there is none."""
    text = (
        f"CYPHER 5 MATCH (c:Claim) WHERE c.subject >= $at_least AND c.subject < $below AND {_IS_THERE} "
        "RETURN c.subject AS subject ORDER BY c.subject LIMIT 1"
    )
    rows = [] if store.is_new else store.run(text, at_least=at_least, below=below)
    return str(rows[0]["subject"]) if rows else None


def contributors(store: Store) -> dict[str, str]:
    """Return who has made claims: the name by ORCID, or by the name itself."""
    if store.is_new:
        return {}
    rows = store.run("CYPHER 5 MATCH (w:Contributor) WHERE EXISTS { (w)<-[:BY]-() } RETURN w.orcid AS o, w.name AS n")
    return {row["o"] or row["n"]: row["n"] for row in rows}


def drop_catalogue(store: Store) -> int:
    """Take the claims, features, records, releases and claimed families out of a store; return how many nodes.

    Circuits stay (`circuitgraph.store.circuits`). What is in no folder is lost.
    """
    dropped = 0
    with one_at_a_time(store, "dropping the catalogue", wait_s=_WAIT_S):
        for text in _DROP:
            while not store.is_new and (count := int(store.run(f"CYPHER 5 {text}", write=True)[0]["n"])):
                dropped += count
    return dropped
