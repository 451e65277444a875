"""Putting a database right that a check found to differ: networks from their bundles, the rest from a catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.attributions import attribution_files, read_attributions
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.catalogue.store_check import StoreCheck, check_store, projections_of
from circuitgraph.catalogue.store_check_claims import differing_claims
from circuitgraph.catalogue.stored_rows import entry_row, family_row
from circuitgraph.catalogue.sync import SyncReport, sync
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.attributions import drop_attributions
from circuitgraph.store.claim_binding import bind_claims
from circuitgraph.store.repair import drop_marks, drop_unlabelled, reload_network

if TYPE_CHECKING:
    from circuitgraph.catalogue.local import Catalogue
    from circuitgraph.store.neo4j import Store

__all__ = ["RepairReport", "repair_store"]

_ROWS_A_BATCH = 1000
# what is emptied is bound again by those that name it, which may take a round more
_ROUNDS = 3
_EMPTY = "CYPHER 5 UNWIND $ids AS uid MATCH (c:Claim {uid: uid}) SET c = {uid: uid} WITH c MATCH (c)-[r]->() DELETE r"


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair found, did, and left.

    Attributes
    ----------
    before, after
        The checks.
    reloaded
        Networks that were loaded again.
    synced
        What went between the catalogue and the database; None where nothing had to.
    """

    before: StoreCheck
    after: StoreCheck
    reloaded: tuple[str, ...] = ()
    synced: SyncReport | None = None


def repair_store(
    store: Store,
    bundles: Iterable[Bundle | str | Path] = (),
    *,
    catalogue: Catalogue | None = None,
    deep: bool = False,
    progress: Progress = SILENT,
) -> RepairReport:
    """Check a database, load again what differs, and check once more; nothing that is only in it is lost.

    What was interrupted is finished by the same call. Claims that only the database holds go to the folder.

    Parameters
    ----------
    bundles, catalogue, deep
        As of `check_store`.

    Raises
    ------
    LoadError
        A bundle is not where it was, or a network has attributions and no catalogue is given.
    NetworkConflictError
        The database holds other weights under a network's id.
    """
    opened = [each if isinstance(each, Bundle) else Bundle.open(each) for each in bundles]
    before = check_store(store, opened, catalogue=catalogue, deep=deep, progress=progress)
    if before.is_equal:
        return RepairReport(before, before)
    for projection in projections_of(store, opened):
        if projection.bundle.network in before.differing:
            reload_network(store, projection, attributions_come_back=catalogue is not None, progress=progress)
    drop_marks(store)
    synced = None if catalogue is None else sync(catalogue, store, progress=progress)
    after = check_store(store, opened, catalogue=catalogue, deep=deep, progress=progress)
    for _ in range(_ROUNDS if catalogue is not None else 0):
        if after.is_equal or catalogue is None:
            break
        _forget(store, catalogue)
        sync(catalogue, store, progress=progress)
        for network in after.networks:
            bind_claims(store, network)
        after = check_store(store, opened, catalogue=catalogue, deep=deep, progress=progress)
    return RepairReport(before, after, before.differing, synced)


def _forget(store: Store, catalogue: Catalogue) -> None:
    """Take out of the database what the folder has and brings back: records, circuits, and claims that differ."""
    rows = [entry_row(feature) for feature in catalogue.vocabulary().entries.values()]
    rows += [family_row(record) for record in catalogue.documents(FamilyRecord)]
    circuits = [record.uid for record in catalogue.documents(CircuitRecord)]
    claims = differing_claims(store, catalogue)
    evidence = sorted({str(item["uid"]) for claim in claims for item in claim.evidence})
    records = [str(row["uid"]) for row in rows]
    for label, uids in (("Record", records), ("Circuit", circuits), ("Evidence", evidence)):
        text = f"CYPHER 5 UNWIND $uids AS uid MATCH (n:{label} {{uid: uid}}) DETACH DELETE n"
        for part in _parts(uids):
            store.run(text, write=True, uids=part)
    for part in _parts([claim.uid for claim in claims]):
        store.run(_EMPTY, write=True, ids=part)
    for part in _parts([*catalogue.ids(), *records, *circuits]):
        drop_unlabelled(store, part)
    for path in attribution_files(catalogue):
        drop_attributions(store, read_attributions(path).uid)


def _parts(uids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(uids), _ROWS_A_BATCH):
        yield list(uids[start : start + _ROWS_A_BATCH])
