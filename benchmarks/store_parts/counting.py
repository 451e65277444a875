"""Edges and motifs counted in Cypher, SQL and numpy; strong types against conditions on all edges."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from store_parts.network import Bench
from store_parts.truth import MOTIF_SQL, MOTIFS, SQL_EDGES

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.sql import query_sql
from circuitgraph.store import Store


def run_counts(bench: Bench, store: Store) -> dict[str, Any]:
    bundle, truth, rows = bench.big, bench.truth, []
    pairs = range(len(bundle.blocks))

    def add(what: str, cypher: Sequence[float], sql: Sequence[float], numpy: Sequence[float]) -> None:
        agree = all(np.allclose(other, numpy, rtol=1e-6, atol=0) for other in (cypher, sql))
        rows.append({"what": what, "numpy": float(np.sum(numpy)), "agree": agree and len(cypher) == len(numpy)})

    found = store.run(
        "CYPHER 5 MATCH (:Unit {network: 'big'})-[e:CONNECTS]->() "
        "RETURN e.block AS block, count(*) AS n, sum(e.l1) AS l1, sum(e.sum) AS total ORDER BY block"
    )
    told = query_sql(
        [bundle],
        "SELECT block, count(*) AS n, sum(l1::DOUBLE) AS l1, sum(sum::DOUBLE) AS total, "
        "sum(excites::INT)::INT AS excites, sum(inhibits::INT)::INT AS inhibits FROM edges GROUP BY block "
        "ORDER BY block",
        timeout_s=600,
    )
    add("edges", [r["n"] for r in found], told.column("n"), [truth.sums[p].size for p in pairs])
    add("l1 of all edges", [r["l1"] for r in found], told.column("l1"), truth.l1)
    # sums cancel: compared with what they are made of
    scale = np.array(truth.l1)
    add(
        "sum over l1, plus 1",
        list(1 + np.array([r["total"] for r in found]) / scale),
        list(1 + np.array(told.column("total"), dtype=float) / scale),
        [1 + s.sum() / l1 for s, l1 in zip(truth.sums, truth.l1, strict=True)],
    )
    for place, type_ in enumerate(("EXCITES", "INHIBITS")):
        strong = store.run(
            f"CYPHER 5 MATCH (u:Unit {{network: 'big'}})-[e:{type_}]->() WITH u.layer AS layer, count(*) AS n "
            "MATCH (l:Layer {network: 'big', name: layer}) RETURN n ORDER BY l.index"
        )
        expected = [int(truth.strong(pair)[place].sum()) for pair in pairs]
        add(type_, [r["n"] for r in strong], told.column(type_.lower()), expected)
    names = [bundle.layers[place].uid for place in range(3)]
    numpy_motifs = truth.motifs(0)
    for (what, text), sql, expected in zip(MOTIFS.items(), MOTIF_SQL, numpy_motifs, strict=True):
        cypher = store.query(f"CYPHER 5 {text}", timeout_s=600, **_motif_values(bundle)).value()
        values = dict(zip("abc", names, strict=True))
        used = {name: value for name, value in values.items() if name != "c" or "e2" in sql}
        of_sql = query_sql([bundle], SQL_EDGES + sql, {**values, **used}, timeout_s=600).value()
        add(what, [cypher], [of_sql], [expected])
    return {"rows": rows}


def over_connects(text: str) -> str:
    """Say with conditions on CONNECTS what a text says with EXCITES and INHIBITS.

    Names of edges with an even number are of the second pair of layers, which has a cut of its own.
    """

    def conditions(part: str) -> str:
        said = []
        for name, type_ in re.findall(r"\[(\w+):(EXCITES|INHIBITS)\]", part):
            cut = "$second_cut" if int(name[1:]) % 2 == 0 else "$first_cut"
            said.append(f"{name}.sum >= {cut}" if type_ == "EXCITES" else f"{name}.sum <= -{cut}")
        plain = re.sub(":(EXCITES|INHIBITS)", ":CONNECTS", part)
        body, returning, rest = plain.partition(" RETURN ")
        joint = " AND " if " WHERE " in body else " WHERE "
        return body.rstrip() + joint + " AND ".join(said) + returning + rest

    return " ".join(conditions("MATCH " + part) for part in text.split("MATCH ")[1:])


def _motif_values(bundle: Bundle) -> dict[str, Any]:
    return {"network": bundle.network, "first": bundle.layers[0].name}


def run_motifs(bench: Bench, store: Store) -> dict[str, Any]:
    bundle, rows = bench.big, []
    values = _motif_values(bundle)
    cuts = {"first_cut": bundle.blocks[0].strong_sum_cut, "second_cut": bundle.blocks[1].strong_sum_cut}
    for what, text in MOTIFS.items():
        strong = [store.query(f"CYPHER 5 {text}", timeout_s=600, **values) for _ in range(6)]
        dense_text = f"CYPHER 5 {over_connects(text)}"
        dense = [store.query(dense_text, timeout_s=600, **values, **cuts) for _ in range(3)]
        counts = {result.value() for result in (*strong, *dense)}
        rows.append(
            {
                "what": what,
                "count": strong[0].value(),
                "agree": len(counts) == 1,
                "strong_s": statistics.median(result.seconds for result in strong[1:]),
                "dense_s": min(result.seconds for result in dense[1:]),
            }
        )
    return {"rows": rows}
