"""What each claim in a database says and is bound to, and which members of families follow, compared with a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.store_check_records import compare_properties, present_uids
from circuitgraph.catalogue.stored_rows import claim_row, family_row
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.claims import ClaimRow
from circuitgraph.store.compare import Findings
from circuitgraph.store.projection import Projection

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["compare_claims", "differing_claims"]

_CLAIMS_AT_ONCE = 2000
_LABELS = {"unit": "Unit", "layer": "Layer", "network": "Network", "family": "Family", "circuit": "Circuit"}
_LABELS |= {"motif": "Motif", "feature": "Feature", "claim": "Claim"}
_BOUND = (
    "CYPHER 5 UNWIND $ids AS uid MATCH (c:Claim {uid: uid}) WHERE c.json IS NOT NULL "
    "RETURN uid, labels(c) AS labels, properties(c) AS c, "
    "COLLECT { MATCH (c)-[r:ABOUT]->(n) RETURN r.role + ' ' + n.uid } AS about, "
    "COLLECT { MATCH (c)-[:ASSERTS]->(n) RETURN n.uid } AS asserts, "
    "COLLECT { MATCH (c)-[:BY]->(n) RETURN n.uid } AS by, "
    "COLLECT { MATCH (c)-[:SUPERSEDES]->(n) RETURN n.uid } AS supersedes, "
    "COLLECT { MATCH (c)-[:SUPPORTED_BY]->(n) RETURN properties(n) } AS evidence"
)
_MEMBERS = (
    "CYPHER 5 MATCH (u)-[m:MEMBER_OF]->(f:Family) WHERE m.source IS NOT NULL "
    "RETURN u.uid AS unit, f.uid AS family, m.source AS source, m.position AS position"
)


def compare_claims(
    store: Store,
    catalogue: Catalogue,
    projections: Sequence[Projection],
    findings: Findings,
    *,
    everything: bool,
    progress: Progress = SILENT,
) -> None:
    """Compare all claims that both have, one by one, and the members of families.

    Parameters
    ----------
    everything
        Whether to compare at all; else only which claims there are is known (`compare_records`).
    """
    if not everything:
        return
    ids = catalogue.ids()
    members: dict[tuple[str, str], list[tuple[str, str, Any]]] = {}
    superseded: set[str] = set()
    with progress.task("checking claims", len(ids), "claim") as task:
        for start in range(0, len(ids), _CLAIMS_AT_ONCE):
            claims = catalogue.get_many(ids[start : start + _CLAIMS_AT_ONCE])
            rows = [claim_row(claim) for claim in claims]
            _compare_portion(store, rows, findings)
            for row in rows:
                superseded |= set(row.supersedes)
                said = row.properties
                if said["predicate"] == "member_of" and not said["negated"]:
                    key = (str(said["subject"]), str(said["object"]))
                    members.setdefault(key, []).append((str(said["date"]), row.uid, said.get("position")))
            task.advance(len(claims))
    _compare_members(store, catalogue, projections, members, superseded, findings)


def differing_claims(store: Store, catalogue: Catalogue) -> list[ClaimRow]:
    """Return the claims of a folder that the database holds otherwise."""
    differing, ids = [], catalogue.ids()
    for start in range(0, len(ids), _CLAIMS_AT_ONCE):
        rows = [claim_row(claim) for claim in catalogue.get_many(ids[start : start + _CLAIMS_AT_ONCE])]
        findings = Findings(most=len(rows) * 50)
        _compare_portion(store, rows, findings)
        places = {each.place for each in findings.first}
        differing += [row for row in rows if places & {row.uid, *(str(item["uid"]) for item in row.evidence)}]
    return differing


def _compare_portion(store: Store, rows: Sequence[ClaimRow], findings: Findings) -> None:
    there: dict[str, set[str]] = {}
    for row in rows:
        for kind, uid in [*((kind, uid) for kind, uid, _ in row.about), *([row.asserts] if row.asserts else [])]:
            there.setdefault(kind, set()).add(uid)
    present = {kind: present_uids(store, _LABELS[kind], uids) for kind, uids in there.items() if kind in _LABELS}
    found = {each["uid"]: each for each in store.run(_BOUND, ids=[row.uid for row in rows])}
    for row in rows:
        own = found.get(row.uid)
        # one that is not there was named among the ids
        if own is None:
            continue
        if own["labels"] != ["Claim"]:
            findings.add("", row.uid, "labels", "Claim", sorted(own["labels"]))
        compare_properties("Claim", row.properties, own["c"], findings)
        wanted = {
            "ABOUT": sorted({f"{role} {uid}" for kind, uid, role in row.about if uid in present.get(kind, ())}),
            "ASSERTS": [row.asserts[1]] if row.asserts and row.asserts[1] in present.get(row.asserts[0], ()) else [],
            "BY": [row.by["uid"]],
            "SUPERSEDES": sorted(set(row.supersedes)),
            "SUPPORTED_BY": sorted({item["uid"] for item in row.evidence}),
        }
        evidence = {item.get("uid"): item for item in own["evidence"]}
        bound = {
            "ABOUT": sorted(own["about"]),
            "ASSERTS": own["asserts"],
            "BY": own["by"],
            "SUPERSEDES": sorted(own["supersedes"]),
            "SUPPORTED_BY": sorted(str(item.get("uid")) for item in own["evidence"]),
        }
        for type_, uids in wanted.items():
            if uids != bound[type_]:
                findings.add("", row.uid, type_, uids, bound[type_])
        for item in row.evidence:
            if item["uid"] in evidence:
                compare_properties("Evidence", item, evidence[item["uid"]], findings)


def _compare_members(
    store: Store,
    catalogue: Catalogue,
    projections: Sequence[Projection],
    claimed: dict[tuple[str, str], list[tuple[str, str, Any]]],
    superseded: set[str],
    findings: Findings,
) -> None:
    """Compare the members that the catalogue gives families: of the latest claim, else of the current record."""
    wanted: dict[tuple[str, str], tuple[str, Any]] = {}
    for key, said in claimed.items():
        if current := [each for each in said if each[1] not in superseded]:
            wanted[key] = max(current, key=lambda each: each[:2])[1:]
    records = [(record.date, family_row(record)["uid"], record) for record in catalogue.documents(FamilyRecord)]
    old = {digest for _, _, record in records for digest in record.supersedes}
    latest = {
        record.uid: (uid, record)
        for _, uid, record in sorted(records, key=lambda each: each[:2])
        if uid.removeprefix("record:") not in old
    }
    for uid, record in latest.values():
        for member in record.members:
            wanted.setdefault((str(member.unit), record.uid), (uid, member.position))
    of_bundles = {
        (str(member.unit), family.uid)
        for projection in projections
        for family in projection.bundle.families
        for member in family.members
    }
    units = present_uids(store, "Unit", {unit for unit, _ in wanted})
    wanted = {key: value for key, value in wanted.items() if key[0] in units and key not in of_bundles}
    found = {(row["unit"], row["family"]): (row["source"], row["position"]) for row in store.run(_MEMBERS)}
    for unit, family in sorted({*wanted, *found}):
        key = (unit, family)
        if wanted.get(key) != found.get(key):
            findings.add("", f"{unit} -> {family}", "MEMBER_OF of the catalogue", wanted.get(key), found.get(key))
