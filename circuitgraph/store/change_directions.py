"""Directions of a network that is loaded: brought up to what its bundle has now, without loading the rest again.

What a bundle no longer has, or has with other coefficients, goes; what is new comes,
batch by batch, each once. A change that was killed is gone on with by the next load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from circuitgraph.bundle.format import FIRST_DIRECTION_BLOCK
from circuitgraph.errors import LoadError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.append import (
    CELLS_A_BATCH,
    EDGES_A_BATCH,
    append_edges,
    append_nodes,
    append_relations,
    marks_of,
)
from circuitgraph.store.projection import Projection

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["check_directions", "has_directions", "only_directions_differ", "update_directions"]

_LOADING = "directions:"
_DELETE_EDGES = (
    "CYPHER 5 UNWIND $uids AS uid MATCH (d:Direction {uid: uid})-[e]-() WITH DISTINCT e LIMIT 20000 DELETE e "
    "RETURN count(*) AS n"
)
_DELETE_NODES = "CYPHER 5 UNWIND $uids AS uid MATCH (d:Direction {uid: uid}) DETACH DELETE d"
_DROP_MARKS = (
    "CYPHER 5 MATCH (b:LoadBatch) WHERE b.uid STARTS WITH $network + '|' "
    "WITH b LIMIT 5000 DELETE b RETURN count(*) AS n"
)
_DROP_FEEDS = (
    "CYPHER 5 MATCH (:Layer {network: $network})-[f:FEEDS]->() "
    "WHERE f.block >= $first AND NOT f.block IN $blocks DELETE f"
)
_SET_FEEDS = (
    "CYPHER 5 UNWIND $rows AS row MATCH (a:Layer {uid: row.start}) MATCH (b:Layer {uid: row.end}) "
    "MERGE (a)-[f:FEEDS {block: row.properties.block}]->(b) SET f = row.properties"
)
_NODES_A_BATCH = 200


def has_directions(meta: Mapping[str, Any], projection: Projection) -> bool:
    """Say whether the directions that were loaded, or began to be, are those of the bundle."""
    is_same = (meta.get("directions_sha256") or "") == projection.bundle.directions_sha256
    return is_same and (not projection.directions.count or meta.get("directions_rule") == projection.directions.rules)


def only_directions_differ(meta: Mapping[str, Any] | None, projection: Projection) -> bool:
    """Say whether a network is loaded from the same bundle, and nothing but its directions is to be changed."""
    if meta is None:
        return False
    is_whole = bool(meta["is_complete"]) or str(meta.get("loading") or "").startswith(_LOADING)
    is_same = (meta["bundle_sha256"], meta["edges_rule"]) == (projection.bundle.sha256, str(projection.rule))
    return is_whole and is_same and not (meta["is_complete"] and has_directions(meta, projection))


def update_directions(store: Store, projection: Projection, *, progress: Progress = SILENT) -> None:
    """Bring the directions of a loaded network up to those of its bundle.

    Raises
    ------
    StoreUnavailableError
        The server was lost; the same load goes on from what was acknowledged.
    """
    network, rows = projection.bundle.network, projection.directions
    loading = f"{_LOADING}{rows.rules}:{projection.bundle.directions_sha256}"
    meta = next(each for each in store.networks() if each["network"] == network)
    goes_on = meta.get("loading") == loading
    if not goes_on:
        _begin(store, projection, loading)
    there = {
        row["uid"]: row
        for row in store.run(
            "CYPHER 5 MATCH (d:Direction {network: $network}) "
            "RETURN d.uid AS uid, d.coefficients_sha256 AS sha, coalesce(d.is_new, false) AS is_new",
            network=network,
        )
    }
    nodes = {row["uid"]: row for row in rows.nodes()}
    # where edges are left out, which ones depends on the other directions
    stays = rows.is_whole and meta.get("directions_rule") == rows.rules
    gone = [
        uid
        for uid, row in there.items()
        if uid not in nodes
        or (row["is_new"] and not goes_on)
        or not (row["is_new"] or stays)
        or nodes[uid]["coefficients_sha256"] != row["sha"]
    ]
    _remove(store, gone, progress)
    known = set(there) - set(gone)
    new = {uid for uid in nodes if uid not in known or there[uid]["is_new"]}
    append_nodes(store, "Direction", [{**nodes[uid], "is_new": True} for uid in nodes if uid in new])
    done = marks_of(store, network)
    append_relations(store, network, rows.membership(new), done)
    _feed(store, projection)
    batches = rows.iter_edges(EDGES_A_BATCH, cells=CELLS_A_BATCH, only=new)
    append_edges(store, network, batches, done, count=None, progress=progress)


def _begin(store: Store, projection: Projection, loading: str) -> None:
    network = projection.bundle.network
    store.run(
        "CYPHER 5 MATCH (m:Meta {network: $network}) SET m.is_complete = false, m.loading = $loading",
        write=True,
        network=network,
        loading=loading,
    )
    while store.run(_DROP_MARKS, write=True, network=network)[0]["n"]:
        pass


def _remove(store: Store, uids: list[str], progress: Progress) -> None:
    with progress.task("removing directions", len(uids), "direction") as task:
        for start in range(0, len(uids), _NODES_A_BATCH):
            own = uids[start : start + _NODES_A_BATCH]
            while store.run(_DELETE_EDGES, write=True, uids=own)[0]["n"]:
                pass
            store.run(_DELETE_NODES, write=True, uids=own)
            task.advance(len(own))


def _feed(store: Store, projection: Projection) -> None:
    feeds = projection.directions.feeds()
    blocks = [row["block"] for row in feeds.properties]
    network = projection.bundle.network
    store.run(_DROP_FEEDS, write=True, network=network, first=FIRST_DIRECTION_BLOCK, blocks=blocks)
    rows = [
        {"start": start, "end": end, "properties": {name: value for name, value in row.items() if value is not None}}
        for start, end, row in zip(feeds.start, feeds.end, feeds.properties, strict=True)
    ]
    store.run(_SET_FEEDS, write=True, rows=rows)


def check_directions(store: Store, projection: Projection) -> None:
    """Count directions and their coefficients, and take the marks of new ones away.

    Raises
    ------
    LoadError
        There are not as many as the bundle says.
    """
    network, rows = projection.bundle.network, projection.directions
    found = store.run(
        "CYPHER 5 MATCH (d:Direction {network: $network}) "
        "RETURN count(d) AS directions, sum(COUNT { (d)-[:COMBINES]->(:Neuron) }) AS combines, "
        "sum(COUNT { (d)-[:IN]->(:Layer) }) AS inside",
        network=network,
    )[0]
    wanted = {"directions": rows.count, "combines": rows.combines_count, "inside": rows.count}
    if dict(found) != wanted:
        store.run("CYPHER 5 MATCH (m:Meta {network: $network}) SET m.loading = 'failed'", write=True, network=network)
        raise LoadError(
            f"loading {network}: {found['directions']} directions with {found['combines']} coefficients are in the "
            f"database, {wanted['directions']} with {wanted['combines']} are to be.",
            hint=f"Load it again; `circuitgraph bundle verify {projection.bundle.path}` first.",
        )
    store.run("CYPHER 5 MATCH (d:Direction {network: $network}) REMOVE d.is_new", write=True, network=network)
    store.run(
        "CYPHER 5 MATCH (m:Meta {network: $network}) SET m += $meta",
        write=True,
        network=network,
        meta={**projection.direction_meta(), "bundle_path": str(projection.bundle.path.resolve())},
    )
