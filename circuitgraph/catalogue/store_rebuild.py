"""Rebuilding a database from bundles and a catalogue beside the live one, which stays in use until all is checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.attributions import attribution_files, read_attributions
from circuitgraph.catalogue.store_check import StoreCheck, check_store, projections_of
from circuitgraph.catalogue.sync import sync, take_out
from circuitgraph.errors import LoadError, QueryError, ServerError, StoreUnavailableError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.circuits import list_circuits
from circuitgraph.store.claims import claim_ids
from circuitgraph.store.lock import one_at_a_time
from circuitgraph.store.motifs import list_motifs
from circuitgraph.store.projection import Projection
from circuitgraph.store.rebuild import (
    attribution_tables,
    beside,
    copy_releases,
    fill,
    managed_server_of,
    put_in_place,
    strange_nodes,
)
from circuitgraph.store.records import record_ids

if TYPE_CHECKING:
    from circuitgraph.catalogue.local import Catalogue
    from circuitgraph.store.neo4j import Store

__all__ = ["RebuildReport", "rebuild_store"]

_T = TypeVar("_T")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild did.

    Attributes
    ----------
    check
        Of the new database, before it took the place of the old.
    taken_out
        How many claims, features, families and circuits only the old database had; they are in the folder now.
    motifs_kept, motifs_dropped
        Saved motifs of these bundles, and of others, which went.
    lost
        What was given up, since the caller said so.
    old_home
        Where the old database is, if it was kept.
    """

    check: StoreCheck
    taken_out: int
    motifs_kept: int
    motifs_dropped: int
    lost: tuple[str, ...]
    old_home: Path | None
    seconds: float


def rebuild_store(
    store: Store,
    bundles: Iterable[Bundle | str | Path] = (),
    *,
    catalogue: Catalogue | None = None,
    edges: str | None = None,
    keep_old: bool = False,
    lose: bool = False,
    progress: Progress = SILENT,
) -> RebuildReport:
    """Make a new database beside the live one, check it, and put it in its place.

    The live one serves until the new one has passed its check; a crash at any moment leaves one of the two, whole, and
    the same call begins anew. Loads and claims through this library wait or are refused meanwhile.

    Parameters
    ----------
    bundles
        Networks that are loaded but not among these are rebuilt from the bundles that they were loaded from.
    catalogue
        What only the database has of it is first written to this folder.
    edges
        Which edges of the given bundles go in, as of `load_bundles`; None for what the old database has.
    keep_old
        Leave the old database on the disk.
    lose
        Go on where something is only in the old database and cannot be brought along, or where that cannot be read.

    Raises
    ------
    LoadError
        The server is not managed, something would be lost, or the new database did not pass its check.
    DiskFullError
        There is no room for a second database.
    """
    began = time.monotonic()
    opened = [each if isinstance(each, Bundle) else Bundle.open(each) for each in bundles]
    server = managed_server_of(store)
    lost: list[str] = []

    def read(what: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return what()
        except (ServerError, StoreUnavailableError, QueryError) as error:
            if not lose:
                error.add_note("If the old database cannot be read any more, --lose goes on without it.")
                raise
            lost.append(error.message)
            return otherwise

    with one_at_a_time(store, "rebuilding"):
        projections = read(
            lambda: projections_of(store, opened, edges=edges), [Projection(each, edges or "auto") for each in opened]
        )
        if not projections and catalogue is None:
            raise LoadError("rebuilding: there is nothing to build from.", hint="Name bundles, or --catalogue DIR.")
        nothing: tuple[int, list[str]] = (0, [])
        taken_out, refused = read(lambda: _bring_out(store, catalogue), nothing)
        lost += refused
        if lost and not lose:
            raise LoadError(
                f"rebuilding: {'; '.join(lost)}: only in the database, and it would be lost.",
                hint="Give --catalogue DIR to keep it there, or --lose to let it go.",
            )
        hashes = {p.bundle.network: p.bundle.sha256 for p in projections}
        none: list[dict[str, Any]] = []
        motifs = read(lambda: list_motifs(store), none)
        carried = [row for row in motifs if row["bundle_sha256"] == hashes.get(row["network"], "")]
        with beside(server, progress=progress) as made:
            progress.note(f"making a new database of {sum(p.total_count for p in projections):,} edges beside")
            fill(made, projections, carried, progress=progress)
            if not store.is_new:
                read(lambda: copy_releases(store, made), None)
            if catalogue is not None:
                sync(catalogue, made, progress=progress)
            check = check_store(made, [p.bundle for p in projections], catalogue=catalogue, progress=progress)
            if not check.is_equal:
                first = "; ".join(str(each) for each in check.differences[:_NAMED])
                raise LoadError(
                    f"rebuilding: the new database has {check.difference_count:,} differences from what it was made of "
                    f"({first}); the live one is as it was.",
                    hint="`circuitgraph bundle verify` and `circuitgraph catalogue check` say whether files are whole.",
                )
            old = put_in_place(store, made, keep_old=keep_old)
    return RebuildReport(
        check=check,
        taken_out=taken_out,
        motifs_kept=len(carried),
        motifs_dropped=len(motifs) - len(carried),
        lost=tuple(lost),
        old_home=old.path if old is not None else None,
        seconds=time.monotonic() - began,
    )


def _bring_out(store: Store, catalogue: Catalogue | None) -> tuple[int, list[str]]:
    """Write to the folder what only the database has; return how much that was, and what would be lost."""
    lost: list[str] = []
    if store.is_new:
        return 0, lost
    if catalogue is None:
        counts = {
            "claims": len(claim_ids(store)),
            "entries of the vocabulary": len(record_ids(store, "feature")),
            "families": len(record_ids(store, "family")),
            "circuits": len(list_circuits(store)),
        }
        lost += [f"{count:,} {kind}" for kind, count in counts.items() if count]
        taken_out, tables = 0, set()
    else:
        report = take_out(catalogue, store)
        taken_out = report.to_folder
        if report.refused:
            lost.append(f"{len(report.refused):,} things that are not what their ids say ({report.refused[0]})")
        tables = {read_attributions(path).uid for path in attribution_files(catalogue)}
    missing = {name: count for name, count in attribution_tables(store).items() if name not in tables}
    if missing:
        lost.append(f"{sum(missing.values()):,} attributions of {', '.join(sorted(missing)[:_NAMED])}")
    if strange := strange_nodes(store):
        lost.append(f"{strange:,} nodes that are of no bundle and no catalogue")
    return taken_out, lost
