"""Fidelity in the graph: what `FEEDS` says of it, bringing it up to date, and saying it beside rows about edges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from circuitgraph.bundle.approximations import correlation_in_words, pair_note
from circuitgraph.ids import find_unit_ids
from circuitgraph.records import Fidelity

if TYPE_CHECKING:
    from circuitgraph.bundle import Bundle
    from circuitgraph.store.neo4j import Store

__all__ = ["edge_notes", "fidelity_row", "refresh_fidelity"]

_EDGES = re.compile(r"\b(CONNECTS|EXCITES|INHIBITS|MIXES)\b")
_ROWS = 200
_PAIRS = 5
# a property by its name in brackets, since the server warns of names that nothing in the graph has
_PAIRS_BETWEEN = (
    "CYPHER 5 MATCH (a:Layer)-[f:FEEDS]->(b:Layer) WHERE a.uid IN $layers AND b.uid IN $layers "
    "AND (size(f.approximations) > 0 OR f['ignored_activations'] > 0) MATCH (n:Network {uid: b.network}) "
    "WITH a, b, n, collect(f) AS blocks "
    "RETURN a.uid AS up, b.uid AS down, n.approximations AS words, [f IN blocks | f.approximations] AS tokens, "
    "[f IN blocks | f['ignored_activations']] AS ignored, head(blocks)['fidelity'] AS correlation, "
    "head(blocks)['fidelity_on'] AS measured_on ORDER BY a.index, b.index"
)
_PREDICTED = (
    "CYPHER 5 MATCH (:Layer)-[f:FEEDS]->(b:Layer {network: $network}) "
    "RETURN DISTINCT b.uid AS uid, f['fidelity'] AS fidelity, f['fidelity_explained'] AS fidelity_explained, "
    "f['fidelity_on'] AS fidelity_on"
)


def fidelity_row(fidelity: Fidelity | None, layer: str) -> dict[str, Any]:
    """Return what `FEEDS` says of how well a layer is predicted; None each where that was not measured."""
    if fidelity is None or layer not in fidelity.layers:
        return {"fidelity": None, "fidelity_explained": None, "fidelity_on": None}
    own = fidelity.layers[layer].best_known
    return {"fidelity": own.correlation, "fidelity_explained": own.explained, "fidelity_on": fidelity.on(layer)}


def refresh_fidelity(store: Store, bundle: Bundle) -> bool:
    """Bring the fidelity of a network that is in the graph up to date with its bundle; whether it had changed."""
    wanted = {layer.uid: fidelity_row(bundle.fidelity, layer.uid) for layer in bundle.layers[1:]}
    there = store.run(_PREDICTED, network=bundle.network)
    changed = {
        row["uid"] for row in there if {name: row[name] for name in row if name != "uid"} != wanted.get(row["uid"])
    }
    if changed:
        store.run(
            "CYPHER 5 UNWIND $rows AS row MATCH (:Layer)-[f:FEEDS]->(b:Layer {uid: row.uid}) SET f += row.said",
            write=True,
            rows=[{"uid": uid, "said": wanted[uid]} for uid in sorted(changed) if uid in wanted],
        )
    return bool(changed)


def edge_notes(store: Store, cypher: str, values: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what the edges that a query is about lie under: once for each pair of layers that it names or gives units of.

    A query that names no relationship between units gets none.
    """
    if not rows or not _EDGES.search(cypher):
        return []
    layers = sorted(
        {uid.rpartition(":")[0] for text in _texts([cypher, values, rows[:_ROWS]]) for uid in find_unit_ids(text)}
    )
    if not layers:
        return []
    found = store.run(_PAIRS_BETWEEN, layers=layers)
    notes = []
    for row in found[:_PAIRS]:
        tokens = dict.fromkeys(token for each in row["tokens"] for token in each or ())
        said = [next((w for w in row["words"] or () if w.startswith(f"{token}:")), token) for token in tokens]
        ignored = max((count for count in row["ignored"] if count is not None), default=None)
        fidelity = correlation_in_words(row["correlation"], row["measured_on"] or "")
        notes.append(pair_note(row["up"], row["down"], words=said, ignored=ignored, fidelity=fidelity))
    if len(found) > _PAIRS:
        notes.append(f"... and {len(found) - _PAIRS} more pairs of layers; `FEEDS` says it of each.")
    return notes


def _texts(value: Any) -> Iterable[str]:
    """Yield every text in nested rows."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
