"""Making a folder and a database equal: the union of two sets, the same whichever way and however often it is done.

Claims, entries of the vocabulary, families and circuits are told by their hashes, so nothing can conflict; only the
lists of hashes are compared, and what one side lacks is brought to it in portions. What is interrupted is simply run
again. A node of the database that is not what its uid says is left where it is and named. Releases go to the database
as what they say of themselves; the folder that made them stays their truth. Attributions go there as whole tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from circuitgraph.catalogue.attributions import sync_attributions
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.claims import Claim
from circuitgraph.catalogue.documents import Document
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.releases import list_releases
from circuitgraph.catalogue.stored import (
    StoreCatalogue,
    read_stored_circuit,
    read_stored_claim,
    read_stored_entry,
    read_stored_family,
)
from circuitgraph.catalogue.stored_rows import release_row
from circuitgraph.errors import CatalogueError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.circuits import list_circuits
from circuitgraph.store.claim_binding import count_unbound
from circuitgraph.store.claims import claim_count, claim_ids_beginning, read_claims
from circuitgraph.store.records import list_releases as stored_releases
from circuitgraph.store.records import read_records, write_releases
from circuitgraph.store.schema import create_schema

if TYPE_CHECKING:
    from circuitgraph.store.attributions import AttributionLoad
    from circuitgraph.store.neo4j import Store

__all__ = ["SyncCount", "SyncReport", "sync", "take_out"]

_T = TypeVar("_T")
# above so many claims they are compared by the first two digits of their ids, so that memory does not grow with them
_MANY = 50_000
_READ_AT_ONCE = 10_000
_LAST = "g"


@dataclass(frozen=True, slots=True)
class SyncCount:
    """How many of a kind were there on both sides, and how many went to the database and came from it."""

    kind: str
    on_both: int
    to_store: int
    to_folder: int


@dataclass(slots=True)
class SyncReport:
    """What a sync did, or with `is_dry_run` would do.

    Attributes
    ----------
    counts
        One for each kind: claims, features, families, circuits, releases.
    refused
        What was left out, where it is and why.
    torn
        What a crash had cut off in the folder.
    unbound
        How many claims in the database are about what is not in the graph, by network, or by ``kind:``.
    attributions
        What loading each table of attributions did.
    """

    is_dry_run: bool = False
    counts: list[SyncCount] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    unbound: Mapping[str, int] = field(default_factory=dict)
    attributions: Sequence[AttributionLoad] = ()

    @property
    def to_store(self) -> int:
        """How many things went to the database."""
        return sum(count.to_store for count in self.counts)

    @property
    def to_folder(self) -> int:
        """How many things came from it."""
        return sum(count.to_folder for count in self.counts)

    def count(self, kind: str) -> SyncCount:
        """Return the count of a kind."""
        return next(count for count in self.counts if count.kind == kind)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "is_dry_run": self.is_dry_run,
            "counts": {
                each.kind: {"on_both": each.on_both, "to_store": each.to_store, "to_folder": each.to_folder}
                for each in self.counts
            },
            "refused": list(self.refused),
            "torn": list(self.torn),
            "unbound": dict(self.unbound),
            "attributions": [each.statement for each in self.attributions],
        }


def sync(
    catalogue: Catalogue, store: Store, *, dry_run: bool = False, verify: bool = False, progress: Progress = SILENT
) -> SyncReport:
    """Make a folder and a database equal.

    Parameters
    ----------
    dry_run
        Say what would go where; write nothing.
    verify
        Also read the claims that both have, and name those that the database holds otherwise; takes as long as
        reading all of them.

    Raises
    ------
    ClaimError
        The folder holds what is not what its hash says; `circuitgraph catalogue check` names it.
    LoadError
        A load into the managed server is under way.
    StoreUnavailableError
        The server was lost; what was acknowledged stays, and the same sync goes on from there.
    """
    stored = StoreCatalogue(store)
    report = SyncReport(is_dry_run=dry_run)
    report.torn += [f"{line.path.name}, byte {line.offset}: a line that was cut off" for line in catalogue.log.torn()]
    if not dry_run:
        create_schema(store)
    # features and families before the claims that name them, so that these find them
    _sync_features(catalogue, stored, report)
    _sync_documents(catalogue, stored, report)
    _sync_claims(catalogue, stored, report, verify=verify, progress=progress)
    _sync_releases(catalogue, store, report)
    if not dry_run:
        report.attributions = sync_attributions(catalogue, store, progress=progress)
    report.unbound = count_unbound(store)
    order = ("claims", "features", "families", "circuits", "releases")
    report.counts.sort(key=lambda count: order.index(count.kind))
    return report


def take_out(catalogue: Catalogue, store: Store) -> SyncReport:
    """Bring to a folder what only the database has, and write nothing to the database.

    Raises
    ------
    ClaimError
        The folder holds what is not what its hash says.
    """
    stored = StoreCatalogue(store)
    report = SyncReport()
    ours = catalogue.vocabulary().entries
    features = _readable(read_records(store, "feature"), read_stored_entry, report)
    new = catalogue.add_features([feature for feature in features if feature.entry not in ours])
    report.counts.append(SyncCount("features", len(features) - new, 0, new))
    families: Sequence[Document] = _readable(read_records(store, "family"), read_stored_family, report)
    rows = [(row["uid"], row["record"]) for row in list_circuits(store)]
    circuits: Sequence[Document] = _readable(rows, read_stored_circuit, report)
    of_folder = {each.sha256 for kind in (FamilyRecord, CircuitRecord) for each in catalogue.documents(kind)}
    for kind, theirs in (("families", families), ("circuits", circuits)):
        wanted = [each for each in theirs if each.sha256 not in of_folder]
        new = _one_by_one(wanted, catalogue, report)
        report.counts.append(SyncCount(kind, len(theirs) - len(wanted), 0, new))
    on_both = to_folder = 0
    for beginning in [f"claim:{byte:02x}" for byte in range(256)] if claim_count(store) > _MANY else ["claim:"]:
        sql = "SELECT id FROM claims WHERE id >= ? AND id < ?"
        own = {row[0] for row in catalogue.index.rows(sql, (beginning, beginning + _LAST))}
        others = set(claim_ids_beginning(store, beginning))
        on_both += len(own & others)
        for part in _portions(sorted(others - own)):
            to_folder += len(catalogue.add(_read(stored, part, report)).added)
    report.counts.append(SyncCount("claims", on_both, 0, to_folder))
    return report


def _sync_features(catalogue: Catalogue, stored: StoreCatalogue, report: SyncReport) -> None:
    ours = catalogue.vocabulary().entries
    theirs = read_records(stored.store, "feature")
    known = {uid for uid, _ in theirs}
    missing = [feature for entry, feature in ours.items() if f"record:{entry}" not in known]
    found = _readable(theirs, read_stored_entry, report)
    wanted = [feature for feature in found if feature.entry not in ours]
    if not report.is_dry_run:
        stored.add_features(missing)
        catalogue.add_features(wanted)
    report.counts.append(SyncCount("features", len(found) - len(wanted), len(missing), len(wanted)))


def _sync_documents(catalogue: Catalogue, stored: StoreCatalogue, report: SyncReport) -> None:
    families = _readable(read_records(stored.store, "family"), read_stored_family, report)
    rows = [(row["uid"], row["record"]) for row in list_circuits(stored.store)]
    circuits = _readable(rows, read_stored_circuit, report)
    _sync_kind("families", catalogue, stored, catalogue.documents(FamilyRecord), families, report)
    _sync_kind("circuits", catalogue, stored, catalogue.documents(CircuitRecord), circuits, report)


def _sync_kind(
    kind: str,
    catalogue: Catalogue,
    stored: StoreCatalogue,
    ours: Sequence[Document],
    theirs: Sequence[Document],
    report: SyncReport,
) -> None:
    own, other = {each.sha256 for each in ours}, {each.sha256 for each in theirs}
    to_store = _one_by_one([each for each in ours if each.sha256 not in other], stored, report)
    to_folder = _one_by_one([each for each in theirs if each.sha256 not in own], catalogue, report)
    report.counts.append(SyncCount(kind, len(own & other), to_store, to_folder))


def _one_by_one(documents: Sequence[Document], target: Catalogue | StoreCatalogue, report: SyncReport) -> int:
    """Add documents; where one is refused (another has its name), the others still come. Return how many were new."""
    if report.is_dry_run:
        return len(documents)
    try:
        target.add_documents(documents)
    except CatalogueError:
        new = 0
        for document in documents:
            try:
                new += target.add_documents([document])
            except CatalogueError as error:
                report.refused.append(error.message)
        return new
    return len(documents)


def _sync_claims(
    catalogue: Catalogue, stored: StoreCatalogue, report: SyncReport, *, verify: bool, progress: Progress
) -> None:
    (own,) = catalogue.index.rows("SELECT COUNT(*) FROM claims")[0]
    bad = catalogue.index.rows("SELECT file, offset, reason FROM bad ORDER BY file, offset")
    report.refused += [f"{name}, byte {offset}: {reason}" for name, offset, reason in bad]
    theirs = claim_count(stored.store)
    beginnings = [f"claim:{byte:02x}" for byte in range(256)] if own + theirs > _MANY else ["claim:"]
    on_both = missing_count = to_folder = 0

    def missing_claims(advance: Callable[[float], None]) -> Iterator[Claim]:
        """Yield what the store lacks, while what the folder lacks is brought to it."""
        nonlocal on_both, missing_count, to_folder
        for beginning in beginnings:
            sql = "SELECT id FROM claims WHERE id >= ? AND id < ?"
            ours = {row[0] for row in catalogue.index.rows(sql, (beginning, beginning + _LAST))}
            others = set(claim_ids_beginning(stored.store, beginning))
            for part in _portions(sorted(others - ours)):
                found = _read(stored, part, report)
                to_folder += len(found) if report.is_dry_run else len(catalogue.add(found).added)
            if verify:
                for part in _portions(sorted(ours & others)):
                    _read(stored, part, report)
            missing = sorted(ours - others)
            on_both += len(ours & others)
            missing_count += len(missing)
            if not report.is_dry_run:
                yield from catalogue.index.read(missing)
            advance(max(len(ours), len(others)))

    with progress.task("syncing claims", max(own, theirs), "claim") as task:
        added = sum(len(new) for new, _ in stored.add_in_portions(missing_claims(task.advance)))
    to_store = missing_count if report.is_dry_run else added
    report.counts.append(SyncCount("claims", on_both, to_store, to_folder))


def _read(stored: StoreCatalogue, ids: Sequence[str], report: SyncReport) -> list[Claim]:
    return _readable(read_claims(stored.store, ids), read_stored_claim, report)


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _READ_AT_ONCE):
        yield ids[start : start + _READ_AT_ONCE]


def _sync_releases(catalogue: Catalogue, store: Store, report: SyncReport) -> None:
    releases = list_releases(catalogue)
    theirs = stored_releases(store)
    missing, on_both = [], 0
    for release in releases:
        if release.uid not in theirs:
            missing.append(release)
        elif theirs[release.uid][0] != release.sha256:
            report.refused.append(
                f"{release.uid}: the store has one of that name with hash {theirs[release.uid][0][:16]}, this one has "
                f"{release.sha256[:16]}."
            )
        else:
            on_both += 1
    if not report.is_dry_run:
        write_releases(store, [release_row(release) for release in missing])
    report.counts.append(SyncCount("releases", on_both, len(missing), 0))


def _readable(nodes: Iterable[tuple[str, str]], read: Callable[[str, str], _T], report: SyncReport) -> list[_T]:
    """Return what nodes hold, by uid and text, and note what is not what its uid says."""
    found = []
    for uid, text in nodes:
        try:
            found.append(read(uid, text))
        except CatalogueError as error:
            report.refused.append(error.message)
    return found
