"""Neighbour queries of several clients at once, every answer compared with numpy."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from store_parts.network import Bench
from store_parts.truth import Truth
from store_parts.watching import Watch

from circuitgraph.errors import CircuitGraphError
from circuitgraph.store import Store

CLIENTS = (1, 8, 32)
NEIGHBOURS = (
    "CYPHER 5 MATCH (:Unit {uid: $uid})<-[e:CONNECTS]-(v:Unit) "
    "RETURN v.channel AS channel, e.sum AS sum ORDER BY abs(e.sum) DESC LIMIT 20"
)


def run_clients(bench: Bench, store: Store) -> dict[str, Any]:
    bundle, rows = bench.big, []
    layers = bundle.layers[1:]
    for n in range(40):
        store.query(NEIGHBOURS, uid=str(layers[n % len(layers)].unit(n % layers[0].unit_count)))
    for clients in CLIENTS:
        until = time.monotonic() + bench.seconds

        def ask(seed: int, until: float = until) -> tuple[list[float], list[tuple[int, int, Any]], list[str]]:
            pick, seconds, answers, errors = np.random.default_rng(seed), [], [], []
            while time.monotonic() < until:
                layer, channel = int(pick.integers(len(layers))), int(pick.integers(layers[0].unit_count))
                began = time.perf_counter()
                try:
                    result = store.query(NEIGHBOURS, uid=str(layers[layer].unit(channel)))
                except CircuitGraphError as refusal:
                    errors.append(refusal.message)
                    continue
                seconds.append(time.perf_counter() - began)
                answers.append((layer, channel, [(row["channel"], row["sum"]) for row in result]))
            return seconds, answers, errors

        with Watch(store) as watch, ThreadPoolExecutor(clients) as pool:
            told = list(pool.map(ask, range(clients)))
        seconds = [s for each, _, _ in told for s in each]
        wrong = sum(not _is_right(bench.truth, answer) for _, answers, _ in told for answer in answers)
        errors = [error for _, _, each in told for error in each]
        rows.append(
            {
                "clients": clients,
                "asked": len(seconds) + len(errors),
                "a_second": len(seconds) / bench.seconds,
                "p50_s": float(np.percentile(seconds, 50)),
                "p95_s": float(np.percentile(seconds, 95)),
                "wrong": wrong,
                "errors": sorted(set(errors)),
                "error_count": len(errors),
                "peaks": watch.peaks,
            }
        )
    return {"rows": rows}


def _is_right(truth: Truth, answer: tuple[int, int, Any]) -> bool:
    pair, channel, rows = answer
    sums = truth.sums[pair][:, channel]
    expected = np.argsort(-np.abs(sums), kind="stable")[:20]
    return [up for up, _ in rows] == expected.tolist() and np.allclose([s for _, s in rows], sums[expected], rtol=1e-5)
