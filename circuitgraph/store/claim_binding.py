"""Binding claims to what they are about, and working out from them which units belong to which families.

A claim carries the uids of its subject and object besides its `ABOUT` and `ASSERTS`, so it outlives the removal of a
network; once that is loaded again, by whichever way, its claims are bound again. Families of the catalogue stand
beside those that came with a bundle: where both say that a unit is a member, the bundle's `MEMBER_OF` is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import neo4j

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["bind_claims", "bind_to", "count_unbound", "derive_families", "merge_families"]

_UIDS_A_BATCH = 500
_FAMILIES_A_BATCH = 200
_LABELS = ("Unit", "Layer", "Family", "Network", "Motif", "Circuit")
_BIND = (
    ("MATCH (c:Claim {subject: uid})", "MERGE (c)-[:ABOUT {role: 'subject'}]->(n)"),
    ("MATCH (c:Claim {object: uid})", "MERGE (c)-[:ASSERTS]->(n)"),
)
_BIND_ENDS = (
    ("MATCH (c:Claim) WHERE c.subject STARTS WITH uid + ' -> '", "MERGE (c)-[:ABOUT {role: 'up'}]->(n)"),
    ("MATCH (c:Claim {down: uid})", "MERGE (c)-[:ABOUT {role: 'down'}]->(n)"),
)
_HAS_CLAIMS = (
    "CYPHER 5 OPTIONAL MATCH (s:Claim {network: $network}) WITH s LIMIT 1 "
    "OPTIONAL MATCH (o:Claim {object_network: $network}) WITH s, o LIMIT 1 "
    "OPTIONAL MATCH (r:Record {kind: 'family'}) WHERE r.about STARTS WITH $network + '/' WITH s, o, r LIMIT 1 "
    "RETURN s IS NOT NULL OR o IS NOT NULL OR r IS NOT NULL AS has"
)
_FAMILIES_OF = (
    "CYPHER 5 MATCH (c:Claim {network: $network}) WHERE c.kind = 'family' RETURN DISTINCT c.subject AS uid UNION "
    "MATCH (c:Claim {object_network: $network}) WHERE c.object CONTAINS '!' RETURN DISTINCT c.object AS uid UNION "
    "MATCH (r:Record {kind: 'family'}) WHERE r.about STARTS WITH $network + '/' RETURN DISTINCT r.about AS uid"
)
# the lock on each family keeps two writers from deriving it at once
_FORGET_MEMBERS = (
    "CYPHER 5 UNWIND $families AS uid MATCH (f:Family {uid: uid}) SET f.uid = f.uid "
    "WITH f MATCH (f)<-[m:MEMBER_OF]-() WHERE m.source IS NOT NULL DELETE m"
)
_MEMBERS_BY_CLAIM = (
    "CYPHER 5 UNWIND $families AS uid MATCH (c:Claim {object: uid}) "
    "WHERE c.predicate = 'member_of' AND NOT c.negated AND NOT EXISTS { (c)<-[:SUPERSEDES]-() } "
    "MATCH (f:Family {uid: uid}) MATCH (u:Unit {uid: c.subject}) WHERE NOT EXISTS { (u)-[:MEMBER_OF]->(f) } "
    "WITH f, u, c ORDER BY c.date DESC, c.uid DESC WITH f, u, collect(c)[0] AS c "
    "CREATE (u)-[:MEMBER_OF {position: c.position, angle_deg: c.angle_deg, source: c.uid}]->(f)"
)
_MEMBERS_BY_RECORD = (
    "CYPHER 5 UNWIND $rows AS row MATCH (f:Family {uid: row.family}) MATCH (u:Unit {uid: row.unit}) "
    "WHERE NOT EXISTS { (u)-[:MEMBER_OF]->(f) } "
    "CREATE (u)-[:MEMBER_OF {position: row.position, angle_deg: row.angle_deg, source: row.source}]->(f)"
)
_NAMES = (
    "CYPHER 5 UNWIND $rows AS row MATCH (f:Family {uid: row.uid}) WHERE f.is_claimed "
    "SET f.name = row.name, f.description = row.description, f.reference = row.reference"
)


def bind_claims(store: Store, network: str) -> int:
    """Bind claims to a network that was loaded, and bring its families up to date; return how many claims name it.

    The families that only the catalogue knows are made where they are not there.
    """
    if store.is_new or not store.run(_HAS_CLAIMS, network=network)[0]["has"]:
        return 0
    from circuitgraph.store.neo4j import foreign_errors

    families = sorted(row["uid"] for row in store.run(_FAMILIES_OF, network=network))
    with foreign_errors("binding claims", store), store.session(write=True) as session:
        for start in range(0, len(families), _FAMILIES_A_BATCH):
            session.execute_write(merge_families, families[start : start + _FAMILIES_A_BATCH])
    for label in _LABELS[:4]:
        where = "{uid: $network}" if label == "Network" else "{network: $network}"
        rows = store.run(f"CYPHER 5 MATCH (n:{label} {where}) RETURN n.uid AS uid", network=network)
        bind_to(store, label, [row["uid"] for row in rows])
    with foreign_errors("binding claims", store), store.session(write=True) as session:
        for start in range(0, len(families), _FAMILIES_A_BATCH):
            session.execute_write(derive_families, families[start : start + _FAMILIES_A_BATCH])
    text = (
        "CYPHER 5 CALL () { MATCH (c:Claim {network: $network}) RETURN c "
        "UNION MATCH (c:Claim {object_network: $network}) RETURN c } RETURN count(c) AS n"
    )
    return int(store.run(text, network=network)[0]["n"])


def bind_to(store: Store, label: str, uids: Iterable[str]) -> None:
    """Bind the claims that name these nodes, as subject, object or end of an edge, to them.

    Parameters
    ----------
    label
        "Unit", "Layer", "Family", "Network", "Motif" or "Circuit".
    """
    if label not in _LABELS:
        raise ValueError(f"claims are not bound to {label}")
    every = sorted(uids)
    for start in range(0, len(every), _UIDS_A_BATCH):
        for match, merge in (*_BIND, *(_BIND_ENDS if label == "Unit" else ())):
            text = f"CYPHER 5 UNWIND $uids AS uid MATCH (n:{label} {{uid: uid}}) {match} {merge}"
            store.run(text, write=True, uids=every[start : start + _UIDS_A_BATCH])


def count_unbound(store: Store) -> dict[str, int]:
    """Return how many claims are about what is not in the graph, by network, or by ``kind:`` where it is of none."""
    if store.is_new:
        return {}
    rows = store.run(
        "CYPHER 5 MATCH (c:Claim) WHERE c.json IS NOT NULL "
        "AND COUNT { (c)-[:ABOUT]->() } < CASE WHEN c.kind = 'edge' THEN 2 ELSE 1 END "
        "RETURN coalesce(c.network, c.kind + ':') AS place, count(*) AS n ORDER BY place"
    )
    return {row["place"]: row["n"] for row in rows}


def merge_families(transaction: neo4j.ManagedTransaction, families: Iterable[str]) -> None:
    """Make the families that are not there."""
    rows = []
    for uid in sorted(families):
        layer, _, slug = uid.partition("!")
        network, _, name = layer.partition("/")
        rows.append({"uid": uid, "network": network, "layer": name, "name": slug, "is_claimed": True})
    if rows:
        transaction.run(
            "CYPHER 5 UNWIND $rows AS row MERGE (f:Family {uid: row.uid}) ON CREATE SET f = row", rows=rows
        ).consume()


def derive_families(transaction: neo4j.ManagedTransaction, families: Iterable[str]) -> None:
    """Work out the members of families again, from current claims and then from their current records."""
    uids = sorted(families)
    if not uids:
        return
    transaction.run(_FORGET_MEMBERS, families=uids).consume()
    transaction.run(_MEMBERS_BY_CLAIM, families=uids).consume()
    found = transaction.run(
        "CYPHER 5 UNWIND $families AS uid MATCH (r:Record {kind: 'family', about: uid}) "
        "RETURN r.uid AS uid, r.json AS said",
        families=uids,
    )
    names, members = _of_records([(record["uid"], record["said"]) for record in found])
    if names:
        transaction.run(_NAMES, rows=names).consume()
        transaction.run(_MEMBERS_BY_RECORD, rows=members).consume()


def _of_records(records: Sequence[tuple[str, str]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return names and members as the current record of each family has them; what cannot be read says none."""
    read: list[tuple[str, dict[str, Any]]] = []
    for uid, text in records:
        with suppress(ValueError, TypeError, RecursionError):
            said = json.loads(text)
            if isinstance(said.get("family"), str) and isinstance(said.get("date"), str):
                read.append((uid, said))
    old = {digest for _, said in read for digest in said.get("supersedes", ())}
    ranked = sorted(read, key=lambda pair: (pair[1]["date"], pair[0]))
    current = {said["family"]: (uid, said) for uid, said in ranked if uid.removeprefix("record:") not in old}
    names, members = [], []
    for family, (uid, said) in sorted(current.items()):
        names.append(
            {
                "uid": family,
                "name": said.get("name", ""),
                "description": said.get("description") or None,
                "reference": said.get("reference") or None,
            }
        )
        for member in said.get("members", ()):
            members.append(
                {
                    "family": family,
                    "unit": member["unit"],
                    "position": member.get("position"),
                    "angle_deg": member.get("angle_deg"),
                    "source": uid,
                }
            )
    return names, members
