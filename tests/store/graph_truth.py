"""What a bundle's graph must hold, reckoned from its kernels alone, and what a database holds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.store import Store

SCALARS = ["sum", "l1", "l2", "excitation", "inhibition", "centre", "surround", "top", "bottom", "left", "right"]


def expected_edges(bundle: Bundle) -> list[dict[str, Any]]:
    """One dict an edge, with the flags of the strong types; plain loops over the kernels."""
    edges = []
    for part in bundle.blocks:
        stored = bundle.stored(part)
        for row in range(len(stored)):
            if part.up_file is not None:
                channel = int(bundle.up_channels(part)[row])
                kernels = [(channel, stored[row])] if channel >= 0 else []
            else:
                kernels = list(enumerate(stored[row]))
            for channel, kernel in kernels:
                edges.append(
                    {
                        "from": f"{part.up}:{channel}",
                        "to": f"{part.down}:{part.row_start + row}",
                        "pair": (part.up, part.down),
                        "block": part.block,
                        **_scalars(np.asarray(kernel, dtype=np.float64), part.offset),
                    }
                )
    _mark_strong(edges)
    return edges


def _scalars(kernel: np.ndarray, offset: tuple[int, int]) -> dict[str, Any]:
    row, col = -offset[0], -offset[1]
    peak = np.unravel_index(np.abs(kernel).argmax(), kernel.shape)
    return {
        "kh": kernel.shape[0],
        "kw": kernel.shape[1],
        "kernel": kernel.reshape(-1).tolist(),
        "sum": kernel.sum(),
        "l1": np.abs(kernel).sum(),
        "l2": np.linalg.norm(kernel),
        "excitation": kernel[kernel > 0].sum(),
        "inhibition": kernel[kernel < 0].sum(),
        "centre": kernel[row, col],
        "surround": kernel.sum() - kernel[row, col],
        "top": kernel[:row].sum(),
        "bottom": kernel[row + 1 :].sum(),
        "left": kernel[:, :col].sum(),
        "right": kernel[:, col + 1 :].sum(),
        "peak_row": int(peak[0]) - row,
        "peak_col": int(peak[1]) - col,
    }


def _mark_strong(edges: list[dict[str, Any]]) -> None:
    of_target: dict[str, float] = {}
    pairs: dict[Any, list[dict[str, Any]]] = {}
    for edge in edges:
        of_target[edge["to"]] = of_target.get(edge["to"], 0) + edge["l1"]
        pairs.setdefault(edge["pair"], []).append(edge)
    for own in pairs.values():
        count = int(np.ceil(0.02 * len(own)))
        sums, norms = np.abs([e["sum"] for e in own]), np.array([e["l2"] for e in own])
        # rounded as stored, so that ties are ties
        sums, norms = sums.astype(np.float32), norms.astype(np.float32)
        for edge, size, norm in zip(own, sums, norms, strict=True):
            strong = size >= np.sort(sums)[-count] and size > 0
            edge["EXCITES"], edge["INHIBITS"] = strong and edge["sum"] > 0, strong and edge["sum"] < 0
            edge["MIXES"] = norm >= np.sort(norms)[-count] and norm > 0 and size < 0.2 * edge["l1"]
            edge["share_in"] = edge["l1"] / of_target[edge["to"]]


def ask(store: Store, cypher: str, **parameters: Any) -> list[list[Any]]:
    """Ask past the code under test."""
    with store.driver.session(database="neo4j") as session:
        return [list(record.values()) for record in session.run(cypher, parameters)]


def graph_of(store: Store, network: str) -> dict[str, Any]:
    """Everything a network has in the database but how it was loaded, in an order of its own."""
    own = "(n.network = $network OR n.uid = $network OR n.uid STARTS WITH $network + '|')"
    nodes = ask(
        store,
        f"MATCH (n) WHERE {own} AND NOT n:Meta RETURN labels(n), properties(n)",
        network=network,
    )
    edges = ask(
        store,
        f"MATCH (n)-[e]->(m) WHERE {own} RETURN n.uid, type(e), m.uid, properties(e)",
        network=network,
    )
    return {
        "nodes": sorted((sorted(labels), json.dumps(values, sort_keys=True)) for labels, values in nodes),
        "edges": sorted((a, kind, b, json.dumps(values, sort_keys=True)) for a, kind, b, values in edges),
    }


def fingerprint(store: Store) -> str:
    """A hash of everything in the database, of its schema and of its users."""
    parts = [
        sorted(json.dumps(row, sort_keys=True, default=str) for row in ask(store, text))
        for text in (
            "MATCH (n) RETURN elementId(n), labels(n), properties(n)",
            "MATCH (a)-[e]->(b) RETURN elementId(e), type(e), elementId(a), elementId(b), properties(e)",
            "SHOW INDEXES YIELD name, type, labelsOrTypes, properties RETURN name, type, labelsOrTypes, properties",
            "SHOW CONSTRAINTS YIELD name RETURN name",
        )
    ]
    with store.driver.session(database="system") as session:
        parts.append(sorted(record["user"] for record in session.run("SHOW USERS YIELD user RETURN user")))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def totals(store: Store, network: str) -> dict[tuple[str, str], tuple[int, float]]:
    """(edges, sum of l1) for each layer pair in the database."""
    rows = ask(
        store,
        "MATCH (a:Unit {network: $network})-[e:CONNECTS]->(b:Unit) "
        "RETURN $network + '/' + a.layer, $network + '/' + b.layer, count(e), sum(e.l1)",
        network=network,
    )
    return {(up, down): (count, l1) for up, down, count, l1 in rows}


def bundle_totals(bundle: Bundle) -> dict[tuple[str, str], tuple[int, float]]:
    """(edges, sum of |weights|) for each layer pair, from the kernels; dense blocks only."""
    return {
        (part.up, part.down): (
            part.edge_count,
            float(np.abs(np.asarray(bundle.stored(part), dtype=np.float64)).sum()),
        )
        for part in bundle.blocks
    }
