"""Loading bundles: which way, what is already there, and whether all of it arrived."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.errors import CircuitGraphError, DiskFullError, LoadError, NetworkConflictError, SettingsError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.append import APPENDING, append, append_room, remove_network
from circuitgraph.store.bulk import BULK, bulk_import, bulk_room
from circuitgraph.store.change_directions import (
    check_directions,
    has_directions,
    only_directions_differ,
    update_directions,
)
from circuitgraph.store.circuits import bind_circuits, list_circuits
from circuitgraph.store.claim_binding import bind_claims
from circuitgraph.store.claims import claim_count
from circuitgraph.store.fidelity import refresh_fidelity
from circuitgraph.store.lock import one_at_a_time
from circuitgraph.store.motifs import bind_motifs, count_motifs, drop_motifs, list_motifs
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import create_schema

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store
    from circuitgraph.store.server import ManagedServer

__all__ = ["LoadReport", "Loaded", "check_room", "import_projections", "load_bundles"]

# measured on two cores (benchmarks/store.py); only their ratio decides, and only between two right ways
_BULK_EDGES_A_SECOND = 120_000
_APPEND_EDGES_A_SECOND = 25_000
_BULK_START_S = 15
_PUT_BACK = ("Network", "Layer", "Unit", "Neuron", "Direction", "Family", "Motif", "Circuit", "Meta", "LoadBatch")
"""Kinds of node that a bulk import makes again; where there are others, networks are appended."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was done for one bundle."""

    network: str
    way: str
    """"bulk", "append", "directions" (only they had changed), or "already there"."""
    unit_count: int
    edge_count: int
    edges_in_bundle: int
    motifs_kept: int = 0
    """Saved motifs of the same bundle, which are bound to the units that were loaded again."""
    motifs_dropped: int = 0
    """Saved motifs of the bundle that this one took the place of."""
    direction_count: int = 0
    direction_edge_count: int = 0
    direction_edges_in_bundle: int = 0
    directions_rule: str = ""
    """Which edges and coefficients of directions are in the graph."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was done for each bundle, and how long it took."""

    loaded: Sequence[Loaded]
    seconds: float


def load_bundles(
    store: Store,
    bundles: Sequence[Bundle],
    *,
    edges: str = "auto",
    way: str = "auto",
    replace: bool = False,
    progress: Progress = SILENT,
) -> LoadReport:
    """Put bundles into a store, each once.

    Parameters
    ----------
    edges
        Which edges the graph gets: "all", "top:K" by l2 for each target and source layer, or "auto" (all up to
        5 million, else top:20). The strong edges are always in. What is kept is said on `Unit` and `FEEDS`.
    way
        "bulk" (offline import of everything into a database beside the live one), "append" (by Bolt), or "auto"
        (the faster of those that are possible).
    replace
        Whether another bundle under the same network id may be replaced.

    Raises
    ------
    NetworkConflictError
        Other weights, or another import of the same ones, are there under the same id.
    LoadError
        What arrived is not what the bundle holds, or the asked way is not possible.
    """
    began = time.monotonic()
    with one_at_a_time(store, "loading"):
        loaded = _load(store, bundles, edges, way, replace=replace, progress=progress)
    return LoadReport(loaded, time.monotonic() - began)


def _load(
    store: Store, bundles: Sequence[Bundle], edges: str, way: str, *, replace: bool, progress: Progress
) -> list[Loaded]:
    names = [bundle.network for bundle in bundles]
    if len(set(names)) != len(names):
        raise NetworkConflictError(
            f"loading: two of the bundles have the same network id ({', '.join(names)}).",
            hint="Load one of them, or import the other again under another --network.",
        )
    if way not in ("auto", "bulk", "append"):
        raise SettingsError(f"way of loading {way!r} is not known.", hint="Use auto, bulk or append.")
    projections = [Projection(bundle, edges) for bundle in bundles]
    _finish_bulk(store, progress)
    present = {meta["network"]: meta for meta in store.networks()}
    wanted = [p for p in projections if not _is_there(present.get(p.bundle.network), p)]
    for projection in projections:
        # measured again since, which leaves a bundle's hash as it was
        if projection not in wanted and refresh_fidelity(store, projection.bundle):
            progress.note(f"{projection.bundle.network}: how well its weights predict was brought up to date")
    changed = [p for p in wanted if way != "bulk" and only_directions_differ(present.get(p.bundle.network), p)]
    for projection in changed:
        if store.server is not None:
            check_room(store.server, [projection], append_room)
        create_schema(store)
        update_directions(store, projection, progress=progress)
        _complete(store, projection, progress)
    wanted = [p for p in wanted if p not in changed]
    for projection in wanted:
        _check_conflict(present.get(projection.bundle.network), projection, replace=replace)
    motifs = {p.bundle.network: count_motifs(store, p.bundle.network, bundle_sha256=p.bundle.sha256) for p in wanted}
    chosen = _choose_way(store, wanted, present, way) if wanted else "append"
    if wanted and chosen == "bulk" and store.server is not None:
        others = _others(present, wanted)
        progress.note(f"bulk import of {sum(p.total_count for p in (*others, *wanted)):,} edges")
        check_room(store.server, [*others, *wanted], bulk_room)
        hashes = {p.bundle.network: p.bundle.sha256 for p in (*others, *wanted)}
        carried = [row for row in list_motifs(store) if row["bundle_sha256"] == hashes.get(row["network"], "")]
        kept = {"Motif": carried, "Circuit": list_circuits(store)}
        store.close()
        import_projections(store, store.server, [*others, *wanted], kept=kept, progress=progress)
    elif wanted:
        if store.server is not None:
            check_room(store.server, wanted, append_room)
        create_schema(store)
        for projection in wanted:
            old = present.get(projection.bundle.network)
            goes_on = old is not None and _is_same(old, projection) and has_directions(old, projection)
            if old is not None and not (goes_on and old.get("loading") == APPENDING):
                remove_network(store, projection.bundle.network, motifs_of=projection.bundle.sha256, progress=progress)
            # also where a removal was killed after it had forgotten the network
            drop_motifs(store, projection.bundle.network, but_of=projection.bundle.sha256)
            append(store, projection, progress=progress)
            _complete(store, projection, progress)
    if wanted:
        _await_indexes(store)
    ways = {p.bundle.network: "directions" for p in changed} | {p.bundle.network: chosen for p in wanted}
    return [
        Loaded(
            network=p.bundle.network,
            way=ways.get(p.bundle.network, "already there"),
            unit_count=p.bundle.manifest.counts["units"],
            edge_count=p.edge_count,
            edges_in_bundle=p.bundle.manifest.counts["edges"],
            motifs_kept=motifs.get(p.bundle.network, (0, 0))[0],
            motifs_dropped=motifs.get(p.bundle.network, (0, 0))[1],
            direction_count=p.directions.count,
            direction_edge_count=p.directions.edge_count,
            direction_edges_in_bundle=p.directions.edges_in_bundle,
            directions_rule=p.directions.rules if p.directions.count else "",
        )
        for p in projections
    ]


def _is_there(meta: dict[str, Any] | None, projection: Projection) -> bool:
    if meta is None or not meta["is_complete"] or not _is_same(meta, projection):
        return False
    return has_directions(meta, projection)


def _is_same(meta: dict[str, Any], projection: Projection) -> bool:
    found = (meta["bundle_sha256"], meta["edges_rule"])
    return found == (projection.bundle.sha256, str(projection.rule))


def _check_conflict(meta: dict[str, Any] | None, projection: Projection, *, replace: bool) -> None:
    if meta is None or replace or _is_same(meta, projection):
        return
    network = projection.bundle.network
    if meta["weights_sha256"] != projection.bundle.info.weights_sha256:
        what = (
            f"other weights are there under this id "
            f"({meta['weights_sha256'][:12]}, the bundle has {projection.bundle.info.weights_sha256[:12]})"
        )
    elif meta["bundle_sha256"] != projection.bundle.sha256:
        what = "another import of the same weights is there under this id"
    else:
        what = f"it is there with the edges {meta['edges_rule']}, {projection.rule} are asked"
    raise NetworkConflictError(
        f"loading {network}: {what}.", hint="Give --replace to replace it, or import under another --network."
    )


def _choose_way(store: Store, wanted: Sequence[Projection], present: dict[str, Any], way: str) -> str:
    why_not = _why_no_bulk(store, present, {p.bundle.network for p in wanted})
    if way == "bulk" and why_not:
        hint = "Use --way append." + (
            "" if store.server is None else " Or: circuitgraph rebuild BUNDLE... --catalogue DIR"
        )
        raise LoadError(f"loading in bulk is not possible here: {why_not}.", hint=hint)
    if way != "auto" or why_not:
        return "append" if why_not else way
    if store.is_new:
        return "bulk"
    new = sum(p.total_count for p in wanted)
    old = sum(meta["edge_count"] for name, meta in present.items() if name not in {p.bundle.network for p in wanted})
    bulk_s = _BULK_START_S + (new + old) / _BULK_EDGES_A_SECOND
    return "bulk" if bulk_s < new / _APPEND_EDGES_A_SECOND else "append"


def _why_no_bulk(store: Store, present: dict[str, Any], replaced: set[str]) -> str:
    if store.server is None:
        return "the server is not the managed one"
    if store.is_new:
        return ""
    for name, meta in present.items():
        if name not in replaced and not _same_bundle(meta):
            return f"the bundle of {name}, which is in the database, is not at {meta['bundle_path']} any more"
    strange = store.run(
        "CYPHER 5 MATCH (n) WHERE none(l IN labels(n) WHERE l IN $ours) OR (n:Circuit AND n.record IS NULL) "
        "RETURN count(n) AS n",
        ours=list(_PUT_BACK),
    )[0]["n"]
    if not strange:
        return ""
    claims = claim_count(store)
    of_them = f", {claims:,} claims of a catalogue among them" if claims else ""
    return f"the database holds {strange:,} nodes that no bundle has{of_them}"


def _same_bundle(meta: dict[str, Any]) -> bool:
    try:
        return bool(Bundle.open(meta["bundle_path"]).sha256 == meta["bundle_sha256"])
    except CircuitGraphError:
        return False


def _others(present: dict[str, Any], wanted: Sequence[Projection]) -> list[Projection]:
    replaced = {p.bundle.network for p in wanted}
    return [
        Projection(Bundle.open(Path(meta["bundle_path"])), meta["edges_rule"])
        for name, meta in present.items()
        if name not in replaced
    ]


def _await_indexes(store: Store) -> None:
    # they fill while the edges are written or counted; nothing before the first question needs them whole
    store.run("CYPHER 5 CALL db.awaitIndexes(300)")


def import_projections(
    store: Store,
    server: ManagedServer,
    projections: Sequence[Projection],
    *,
    kept: Mapping[str, Sequence[dict[str, Any]]],
    progress: Progress = SILENT,
) -> None:
    """Import networks in bulk in place of all that is there, count what arrived, and bind what was kept.

    Parameters
    ----------
    server
        The managed server of the store, which is not connected to it.
    kept
        As of `circuitgraph.store.bulk.bulk_import`.

    Raises
    ------
    LoadError
        What arrived is not what a bundle holds.
    ServerError, DiskFullError
        The import failed; the database is as it was.
    """
    bulk_import(server, projections, kept=kept, progress=progress)
    create_schema(store)
    for projection in projections:
        _complete(store, projection, progress)


def check_room(
    server: ManagedServer, projections: Sequence[Projection], room: Callable[[Sequence[Projection]], int]
) -> None:
    """Raise `DiskFullError` where there is less room for a load than it needs."""
    # a Neo4j whose disk is full hangs and does not say why
    folder = server.settings.data_dir.expanduser()
    wanted, free = room(projections), shutil.disk_usage(folder).free
    if free < wanted:
        raise DiskFullError(
            f"loading into {folder}: about {wanted:,} free bytes are needed, there are {free:,}; nothing was changed.",
            hint="Make room, keep fewer edges with --edges top:20, or name another place with CIRCUITGRAPH_DATA_DIR.",
        )


def _finish_bulk(store: Store, progress: Progress) -> None:
    """Check and mark what a bulk load brought in before it was killed."""
    unfinished = [meta for meta in store.networks() if meta.get("loading") == BULK]
    if unfinished:
        create_schema(store)
    for meta in unfinished:
        if _same_bundle(meta):
            projection = Projection(Bundle.open(meta["bundle_path"]), meta["edges_rule"])
            if has_directions(meta, projection):
                _complete(store, projection, progress)


def _complete(store: Store, projection: Projection, progress: Progress) -> None:
    """Count and sum what arrived, block by block, then mark the network complete.

    The marks of its batches go in the same transaction, so that a load killed here finds either all or none of them.
    """
    network = projection.bundle.network
    with progress.task(f"checking {network}", None, ""):
        rows = store.run(
            "CYPHER 5 MATCH (u:Unit {network: $network})-[e:CONNECTS]->() "
            "RETURN e.block AS block, count(*) AS n, sum(e.l1) AS l1",
            network=network,
        )
    found = {row["block"]: (row["n"], row["l1"]) for row in rows}
    for part in (*projection.bundle.blocks, *projection.bundle.directions.blocks):
        count, share = projection.kept_of(part)
        n, l1 = found.get(part.block, (0, 0.0))
        if n != count or not np.isclose(l1, part.l1 * share, rtol=1e-6, atol=1e-9):
            store.run(
                "CYPHER 5 MATCH (m:Meta {network: $network}) SET m.loading = 'failed'", write=True, network=network
            )
            raise LoadError(
                f"loading {network}: block {part.block} ({part.up} -> {part.down}) has {n} edges with l1 {l1:.6g} "
                f"in the database, {count} with {part.l1 * share:.6g} in the bundle.",
                hint=f"Load it again; `circuitgraph bundle verify {projection.bundle.path}` first.",
            )
    check_directions(store, projection)
    bind_motifs(store, network)
    bind_circuits(store, network)
    bind_claims(store, network)
    store.run(
        "CYPHER 5 MATCH (m:Meta {network: $network}) SET m.is_complete = true REMOVE m.loading "
        "WITH m MATCH (b:LoadBatch) WHERE b.uid STARTS WITH $network + '|' DELETE b",
        write=True,
        network=network,
    )
