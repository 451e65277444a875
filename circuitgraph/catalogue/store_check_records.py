"""Entries of the vocabulary, families, circuits, releases, motifs and attributions of a database, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from circuitgraph.catalogue.attributions import attribution_files, read_attributions
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.releases import list_releases
from circuitgraph.catalogue.stored_rows import entry_row, family_row, feature_rows, release_row
from circuitgraph.store.claims import claim_count, claim_ids_beginning
from circuitgraph.store.compare import Findings, relation_count, same
from circuitgraph.store.schema import NODES

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["compare_properties", "compare_records", "present_uids"]

_UIDS_A_BATCH = 5000
_MANY = 50_000


def compare_records(store: Store, catalogue: Catalogue, findings: Findings, notes: list[str]) -> int:
    """Compare everything but what claims say; return how many claims the folder holds."""
    _compare_ids(store, catalogue, findings)
    features = [entry_row(feature) for feature in catalogue.vocabulary().entries.values()]
    families = [family_row(record) for record in catalogue.documents(FamilyRecord)]
    _compare_rows(store, "Record", features + families, findings)
    derived = feature_rows([(row["uid"], row["json"]) for row in features])
    _compare_rows(store, "Feature", [dict(said) for said, _ in derived.values()], findings, are_all=False)
    _compare_broader(store, {uid: sorted(above) for uid, (_, above) in derived.items()}, findings)
    circuits = [record.row() for record in catalogue.documents(CircuitRecord)]
    _compare_rows(store, "Circuit", circuits, findings)
    _compare_included(store, circuits, findings)
    releases = [release_row(release) for release in list_releases(catalogue)]
    theirs = {row["uid"] for row in store.run("CYPHER 5 MATCH (r:Release) RETURN r.uid AS uid")}
    _compare_rows(store, "Release", releases, findings, are_all=False)
    if others := len(theirs - {row["uid"] for row in releases}):
        notes.append(f"{others:,} releases of other folders are in the database, which this one cannot tell of")
    _compare_motifs(store, findings)
    _compare_attributions(store, catalogue, findings)
    return int(catalogue.index.rows("SELECT COUNT(*) FROM claims")[0][0])


def _compare_ids(store: Store, catalogue: Catalogue, findings: Findings) -> None:
    (own,) = catalogue.index.rows("SELECT COUNT(*) FROM claims")[0]
    is_many = own + claim_count(store) > _MANY
    for beginning in [f"claim:{byte:02x}" for byte in range(256)] if is_many else ["claim:"]:
        sql = "SELECT id FROM claims WHERE id >= ? AND id < ?"
        ours = {row[0] for row in catalogue.index.rows(sql, (beginning, f"{beginning}g"))}
        theirs = set(claim_ids_beginning(store, beginning))
        for uid in sorted(ours - theirs):
            findings.add("", uid, "claim", "one", "none")
        for uid in sorted(theirs - ours):
            findings.add("", uid, "claim", "none in the folder", "one")


def _compare_rows(
    store: Store, label: str, rows: Sequence[Mapping[str, Any]], findings: Findings, *, are_all: bool = True
) -> None:
    expected = {row["uid"]: row for row in rows}
    missing = set(expected)
    text = f"CYPHER 5 MATCH (n:{label}) RETURN n.uid AS uid, labels(n) AS labels, properties(n) AS n"
    for found in store.run(text):
        row = expected.get(found["uid"])
        if row is None:
            if are_all:
                findings.add("", str(found["uid"]), f"node {label}", "none", "one")
            continue
        missing.discard(found["uid"])
        if found["labels"] != [label]:
            findings.add("", found["uid"], "labels", label, sorted(found["labels"]))
        compare_properties(label, row, found["n"], findings)
    for uid in sorted(missing):
        findings.add("", uid, f"node {label}", "one", "none")


def compare_properties(label: str, row: Mapping[str, Any], found: Mapping[str, Any], findings: Findings) -> None:
    """Compare the properties of one node."""
    kinds = NODES[label].properties
    for name in sorted({*row, *found}):
        if not same(row.get(name), found.get(name), kinds.get(name, "string")):
            findings.add("", str(row["uid"]), name, row.get(name), found.get(name))


def _compare_broader(store: Store, expected: Mapping[str, Sequence[str]], findings: Findings) -> None:
    text = (
        "CYPHER 5 MATCH (f:Feature) RETURN f.uid AS uid, COLLECT { MATCH (f)-[:BROADER]->(b) RETURN b.uid } AS broader"
    )
    for row in store.run(text):
        wanted = list(expected.get(row["uid"], ()))
        if sorted(row["broader"]) != wanted:
            findings.add("", row["uid"], "BROADER", wanted, sorted(row["broader"]))


def _compare_included(store: Store, circuits: Sequence[Mapping[str, Any]], findings: Findings) -> None:
    loaded = {
        row["uid"]: row["sha"]
        for row in store.run("CYPHER 5 MATCH (n:Network) RETURN n.uid AS uid, n.weights_sha256 AS sha")
    }
    there = present_uids(store, "Unit", {unit for row in circuits for unit in row["units"]})
    answer = "RETURN u.uid AS unit, r.role AS role, r.order AS place"
    text = f"CYPHER 5 MATCH (c:Circuit {{uid: $uid}})-[r:INCLUDES]->(u) {answer}"
    for row in circuits:
        own = set(zip(row["networks"], row["weights"], strict=True))
        wanted = sorted(
            (unit, role or "", order)
            for unit, role, order in zip(row["units"], row["roles"], row["orders"], strict=True)
            if unit in there and (unit.partition("/")[0], loaded.get(unit.partition("/")[0])) in own
        )
        found = sorted((str(r["unit"]), r["role"] or "", r["place"]) for r in store.run(text, uid=row["uid"]))
        if found != wanted:
            findings.add("", row["uid"], "INCLUDES", wanted, found)


def _compare_motifs(store: Store, findings: Findings) -> None:
    """See that saved motifs are of the bundles that are loaded, and bound to all of their units."""
    text = (
        "CYPHER 5 MATCH (m:Motif) OPTIONAL MATCH (d:Meta {network: m.network}) "
        "WITH m, d, COUNT { (m)-[:BINDS]->(:Unit) } AS bound WHERE d IS NULL OR d.bundle_sha256 <> m.bundle_sha256 "
        "OR bound <> size(m.units) RETURN m.uid AS uid, size(m.units) AS units, bound"
    )
    for row in store.run(text):
        findings.add("", str(row["uid"]), "units of the loaded bundle that it binds", row["units"], row["bound"])


def _compare_attributions(store: Store, catalogue: Catalogue, findings: Findings) -> None:
    of_folder = 0
    for path in attribution_files(catalogue):
        table = read_attributions(path)
        rows = table.rows
        units = {*pc.unique(rows["up"]).to_pylist(), *pc.unique(rows["down"]).to_pylist()}
        there = pa.array(sorted(present_uids(store, "Unit", units)), pa.string())
        rows = rows.filter(pc.and_(pc.is_in(rows["up"], there), pc.is_in(rows["down"], there)))
        text = (
            "CYPHER 5 MATCH ()-[r:ATTRIBUTED {table: $table}]->() RETURN count(r) AS n, sum(r.influence) AS influence"
        )
        found = store.run(text, table=table.uid)[0]
        of_folder += found["n"]
        if found["n"] != len(rows):
            findings.add("", table.uid, "attributions", len(rows), found["n"])
        total, size = (pc.sum(each).as_py() or 0.0 for each in (rows["influence"], pc.abs(rows["influence"])))
        if abs(total - found["influence"]) > 1e-10 * size:
            findings.add("", table.uid, "sum of influence", total, found["influence"])
    every = relation_count(store, "ATTRIBUTED")
    if every != of_folder:
        findings.add("", "[:ATTRIBUTED]", "attributions of tables that the folder has", every, of_folder)


def present_uids(store: Store, label: str, uids: set[str]) -> set[str]:
    """Return those of the uids that nodes of a label have."""
    every = sorted(uids)
    text = f"CYPHER 5 UNWIND $uids AS uid MATCH (n:{label} {{uid: uid}}) RETURN n.uid AS uid"
    return {
        row["uid"]
        for start in range(0, len(every), _UIDS_A_BATCH)
        for row in store.run(text, uids=every[start : start + _UIDS_A_BATCH])
    }
