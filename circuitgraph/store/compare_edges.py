"""Edge by edge, with all that each carries: whether the graph holds the bundle's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.compare import STRONG_FLAGS, Findings
from circuitgraph.store.edge_batches import EdgeBatch
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import RELATIONSHIPS

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["compare_each_edge"]

_SCALARS = tuple(name for name in RELATIONSHIPS["CONNECTS"].properties if name not in ("block", "kh", "kw", "kernel"))
_ROWS_AT_ONCE = 20_000
_STRONG = "|".join(STRONG_FLAGS)


_Strong = dict[tuple[str, str, str], list[tuple[float, ...]]]
"""(type, uid, uid) -> what each edge of that type between the two carries"""


def compare_each_edge(store: Store, projection: Projection, findings: Findings, *, progress: Progress = SILENT) -> None:
    """Compare every edge of a network with the bundle's; a portion at a time is in memory."""
    network = projection.bundle.network
    strong: _Strong = {}
    down = ""
    with progress.task(f"comparing {network} edge by edge", projection.total_count, "edge") as task:
        for batch in projection.iter_edges(_ROWS_AT_ONCE, cells=1 << 20):
            if batch.block.down != down:
                # blocks into one layer stand together
                _compare_strong(store, network, strong, findings)
                down, strong = batch.block.down, {}
            _take_strong(batch, strong)
            _compare_batch(store, network, batch, findings)
            task.advance(len(batch.up))
        _compare_strong(store, network, strong, findings)


def _uids(batch: EdgeBatch) -> tuple[list[str], list[str]]:
    ups = [batch.up_end.prefix + ending for ending in batch.up_end.endings(batch.up)]
    return ups, [batch.down_end.prefix + ending for ending in batch.down_end.endings(batch.down)]


def _compare_batch(store: Store, network: str, batch: EdgeBatch, findings: Findings) -> None:
    """Find each edge of a batch; what the graph has besides is seen by its count."""
    ups, downs = _uids(batch)
    part = batch.block
    numbers = np.stack([batch.table[name].to_numpy().astype(np.float32) for name in _SCALARS], axis=1)
    cells = part.window[0] * part.window[1]
    kernels = batch.table["kernel"].combine_chunks().values.to_numpy().reshape(-1, cells)
    place_of = {ends: place for place, ends in enumerate(zip(ups, downs, strict=True))}
    seen = np.zeros(len(ups), dtype=np.int64)
    for found in _edges_of(store, ups, downs, part.block):
        place = place_of.get((found["a"], found["b"]))
        if place is None:
            continue
        seen[place] += 1
        where = f"{found['a']} -> {found['b']} (block {part.block})"
        there = np.array([_number(value) for value in found["numbers"]], dtype=np.float32)
        for column in np.flatnonzero(~(there == numbers[place])):
            wanted, value = float(numbers[place][column]), found["numbers"][column]
            findings.add(network, where, f"CONNECTS.{_SCALARS[column]}", wanted, value)
        kernel = found["kernel"]
        if (found["kh"], found["kw"]) != part.window:
            findings.add(network, where, "CONNECTS.kh, kw", part.window, (found["kh"], found["kw"]))
        if not isinstance(kernel, list) or not np.array_equal(np.array(kernel, dtype=np.float32), kernels[place]):
            findings.add(network, where, "CONNECTS.kernel", kernels[place].tolist(), kernel)
    for wrong in np.flatnonzero(seen != 1).tolist():
        where = f"{ups[wrong]} -> {downs[wrong]} (block {part.block})"
        findings.add(network, where, "number of CONNECTS", 1, int(seen[wrong]))


def _edges_of(store: Store, ups: list[str], downs: list[str], block: int) -> Iterator[dict[str, Any]]:
    numbers = ", ".join(f"e.{name}" for name in _SCALARS)
    yield from store.run(
        "CYPHER 5 UNWIND $ups AS up MATCH (a:Unit {uid: up})-[e:CONNECTS]->(b:Unit) "
        "WHERE e.block = $block AND $first <= b.uid AND b.uid <= $last "
        f"RETURN a.uid AS a, b.uid AS b, e.kh AS kh, e.kw AS kw, [{numbers}] AS numbers, e.kernel AS kernel",
        ups=list(dict.fromkeys(ups)),
        block=block,
        first=min(downs),
        last=max(downs),
    )


def _take_strong(batch: EdgeBatch, strong: _Strong) -> None:
    ups, downs = _uids(batch)
    for type_, flag in STRONG_FLAGS.items():
        names = RELATIONSHIPS[type_].properties
        for place in np.flatnonzero(batch.table[flag].to_numpy()):
            row = tuple(float(batch.table[name][int(place)].as_py()) for name in names)
            # two blocks may join the same two units
            strong.setdefault((type_, ups[place], downs[place]), []).append(row)


def _compare_strong(store: Store, network: str, strong: _Strong, findings: Findings) -> None:
    """Find the strong edges into one layer; what the graph has besides is seen by its count."""
    text = (
        f"CYPHER 5 UNWIND $downs AS down MATCH (b:Unit {{uid: down}})<-[e:{_STRONG}]-(a) "
        "RETURN type(e) AS type, a.uid AS a, b.uid AS b, properties(e) AS e"
    )
    seen: _Strong = {}
    for found in store.run(text, downs=sorted({down for _, _, down in strong})):
        names = RELATIONSHIPS[found["type"]].properties
        row = tuple(_number(found["e"].get(name)) for name in names)
        seen.setdefault((found["type"], found["a"], found["b"]), []).append(row)
    for key, rows in strong.items():
        there = seen.get(key, [])
        if not np.array_equal(np.array(sorted(rows), np.float32), np.array(sorted(there), np.float32)):
            what = f"{key[0]}, its {', '.join(RELATIONSHIPS[key[0]].properties)}"
            findings.add(network, f"{key[1]} -> {key[2]}", what, rows[0], there[0] if there else "none")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
