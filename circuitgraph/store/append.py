"""Loading by Bolt into a database that is in use: batch by batch, each once, however often it is interrupted.

A batch and its mark (a `LoadBatch` node) are written in one transaction, so a load
that is run again leaves out what is already there. The marks go when all has been
counted (`circuitgraph.store.load`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from neo4j.exceptions import ConstraintError

from circuitgraph.errors import QueryError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.claim_binding import bind_claims
from circuitgraph.store.edge_batches import EdgeBatch, Relation
from circuitgraph.store.motifs import drop_motifs
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import NODES, RELATIONSHIPS

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = [
    "APPENDING",
    "CELLS_A_BATCH",
    "EDGES_A_BATCH",
    "append",
    "append_edges",
    "append_nodes",
    "append_relations",
    "append_room",
    "marks_of",
    "remove_network",
]

_SESSIONS = 4
EDGES_A_BATCH = 4000
CELLS_A_BATCH = 1 << 18
_ROWS_A_BATCH = 2000
_STRONG_FLAGS = {"EXCITES": "excites", "INHIBITS": "inhibits", "MIXES": "mixes"}
_EDGE_BYTES = 450
_OWN_BYTES = 300 << 20

APPENDING = f"append:{EDGES_A_BATCH}:{CELLS_A_BATCH}"
"""What `Meta.loading` says while a network is appended; only a load that cuts the same batches can go on with it."""


def append(store: Store, projection: Projection, *, progress: Progress = SILENT) -> None:
    """Add one network to the database.

    Raises
    ------
    StoreUnavailableError
        The server was lost; what was acknowledged is there, and the same load goes on from it.
    """
    network = projection.bundle.network
    store.run(
        "CYPHER 5 MERGE (m:Meta {uid: $meta.uid}) SET m = $meta", write=True, meta=projection.meta(loading=APPENDING)
    )
    done = marks_of(store, network)
    for label, rows in projection.nodes().items():
        append_nodes(store, label, rows)
    append_relations(store, network, projection.relations(), done)
    batches = projection.iter_edges(EDGES_A_BATCH, cells=CELLS_A_BATCH)
    append_edges(store, network, batches, done, count=projection.total_count, progress=progress)


def append_room(projections: Sequence[Projection]) -> int:
    """Return about how many bytes an append needs, with the logs of its transactions."""
    return _OWN_BYTES + sum(p.total_count * (_EDGE_BYTES + 2 * p.kernel_bytes) for p in projections)


def remove_network(
    store: Store, network: str, *, motifs_of: str = "", keep_meta: bool = False, progress: Progress = SILENT
) -> None:
    """Take a network out of the database, with everything that a bundle brought, and its motifs; claims stay.

    Parameters
    ----------
    motifs_of
        Hash of a bundle whose motifs stay, unbound, because it is about to be loaded again.
    keep_meta
        Whether its `Meta` stays and says that it is being removed.
    """
    with progress.task(f"removing {network}", None, "") as task:
        # before the first edge goes, so that no later load takes what is left for a beginning
        store.run(
            "CYPHER 5 MATCH (m:Meta {network: $network}) SET m.is_complete = false, m.loading = 'removal'",
            write=True,
            network=network,
        )
        for text in (
            "MATCH (u:Unit {network: $network})-[e]->() WITH e LIMIT 20000 DELETE e RETURN count(*) AS n",
            "MATCH (n:Unit|Layer|Family {network: $network}) WITH n LIMIT 5000 DETACH DELETE n RETURN count(*) AS n",
            "MATCH (n:LoadBatch) WHERE n.uid STARTS WITH $network + '|' "
            "WITH n LIMIT 5000 DELETE n RETURN count(*) AS n",
            "MATCH (n:Network {uid: $network}) DETACH DELETE n RETURN count(*) AS n",
            *(() if keep_meta else ("MATCH (n:Meta {network: $network}) DELETE n RETURN count(*) AS n",)),
        ):
            while (count := store.run(f"CYPHER 5 {text}", write=True, network=network)[0]["n"]) > 1:
                task.advance(count)
        drop_motifs(store, network, but_of=motifs_of)
        # its families went with it, those of the catalogue too
        bind_claims(store, network)


def marks_of(store: Store, network: str) -> set[str]:
    """Return the marks of the batches that are there."""
    text = "CYPHER 5 MATCH (b:LoadBatch) WHERE b.uid STARTS WITH $prefix RETURN b.uid AS uid"
    return {row["uid"] for row in store.run(text, prefix=f"{network}|")}


def append_nodes(store: Store, label: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write nodes, or bring them up to date."""
    labels = ":".join((label, *NODES[label].labels))
    text = f"CYPHER 5 UNWIND $rows AS row MERGE (n:{label} {{uid: row.uid}}) SET n:{labels}, n += row"
    for start in range(0, len(rows), _ROWS_A_BATCH):
        store.run(text, write=True, rows=rows[start : start + _ROWS_A_BATCH])


def append_relations(store: Store, network: str, relations: Iterable[Relation], done: set[str]) -> None:
    """Write relationships, batch by batch, but for those whose marks are `done`."""
    for relation in relations:
        start_label, end_label = RELATIONSHIPS[relation.type].ends
        text = (
            "CYPHER 5 CREATE (:LoadBatch {uid: $mark}) WITH 1 AS one UNWIND $rows AS row "
            f"MATCH (a:{start_label} {{uid: row.start}}) MATCH (b:{end_label} {{uid: row.end}}) "
            f"CREATE (a)-[r:{relation.type}]->(b) SET r = row.properties"
        )
        rows = [
            {"start": start, "end": end, "properties": properties}
            for start, end, properties in zip(relation.start, relation.end, relation.properties, strict=True)
        ]
        for start in range(0, len(rows), _ROWS_A_BATCH):
            mark = f"{network}|{relation.type}|{start}"
            if mark not in done:
                _write_once(store, text, mark=mark, rows=rows[start : start + _ROWS_A_BATCH])


def _write_once(store: Store, text: str, *, mark: str, **parameters: Any) -> None:
    """Write a batch together with its mark, unless the mark is there."""
    try:
        store.run(text, write=True, mark=mark, **parameters)
    except QueryError as error:
        # the batch of a loader that was killed can still arrive after its marks were read
        if not isinstance(error.__cause__, ConstraintError):
            raise


_CARRIED = [*(name for name in RELATIONSHIPS["CONNECTS"].properties if name not in ("block", "kh", "kw"))]
_COLUMNS = ["up", "down", *_CARRIED, *_STRONG_FLAGS.values()]


def _edge_text() -> str:
    # a row is a list, since names would travel with every edge
    place = {name: f"row[{number}]" for number, name in enumerate(_COLUMNS)}
    connects = ", ".join(f"{name}: {place[name]}" for name in _CARRIED)
    strong = " ".join(
        f"FOREACH (_ IN CASE WHEN {place[flag]} THEN [1] ELSE [] END | CREATE (a)-[:{type_} {{"
        + ", ".join(f"{name}: {place[name]}" for name in RELATIONSHIPS[type_].properties)
        + "}]->(b))"
        for type_, flag in _STRONG_FLAGS.items()
    )
    return (
        "CYPHER 5 CREATE (:LoadBatch {uid: $mark}) WITH 1 AS one UNWIND $rows AS row "
        f"MATCH (a:Unit {{uid: $up + {place['up']}}}) MATCH (b:Unit {{uid: $down + {place['down']}}}) "
        f"CREATE (a)-[:CONNECTS {{block: $block, kh: $kh, kw: $kw, {connects}}}]->(b) {strong}"
    )


def _rows_of(batch: EdgeBatch) -> list[tuple[Any, ...]]:
    """Return the edges of a batch as `_COLUMNS` says; by way of numpy, three times as fast as Arrow's own rows."""
    kernels = batch.table["kernel"].combine_chunks().flatten().to_numpy()
    columns = {
        "up": batch.up_end.endings(batch.up),
        "down": batch.down_end.endings(batch.down),
        "kernel": kernels.reshape(len(batch.up), -1).tolist(),
    }
    return list(zip(*(columns.get(name) or batch.table[name].to_numpy().tolist() for name in _COLUMNS), strict=True))


def _marked(network: str, batches: Iterable[EdgeBatch]) -> Iterator[tuple[str, EdgeBatch]]:
    place, block = 0, -1
    for batch in batches:
        place = place + 1 if batch.block.block == block else 0
        block = batch.block.block
        yield f"{network}|{block}|{place}", batch


def append_edges(
    store: Store, network: str, batches: Iterable[EdgeBatch], done: set[str], *, count: int | None, progress: Progress
) -> None:
    """Write batches of edges, each in one transaction with its mark, but for those whose marks are `done`."""
    text = _edge_text()

    def send(mark: str, batch: EdgeBatch) -> int:
        rows = _rows_of(batch)
        _write_once(
            store,
            text,
            mark=mark,
            rows=rows,
            up=batch.up_end.prefix,
            down=batch.down_end.prefix,
            block=batch.block.block,
            kh=batch.block.window[0],
            kw=batch.block.window[1],
        )
        return len(rows)

    with (
        progress.task("appending edges", count, "edge") as task,
        ThreadPoolExecutor(_SESSIONS) as pool,
    ):
        under_way: set[Future[int]] = set()
        try:
            for mark, batch in _marked(network, batches):
                if mark in done:
                    task.advance(len(batch.up))
                    continue
                under_way.add(pool.submit(send, mark, batch))
                if len(under_way) > 2 * _SESSIONS:
                    under_way = _collect(under_way, task.advance)
            while under_way:
                under_way = _collect(under_way, task.advance)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _collect(under_way: set[Future[int]], advance: Any) -> set[Future[int]]:
    finished, rest = wait(under_way, return_when=FIRST_COMPLETED)
    for future in finished:
        advance(future.result())
    return rest
