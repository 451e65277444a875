"""How long it takes to check a whole database, to make it anew beside the live one, and to ask the query shelf."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from store_parts.network import Bench
from store_parts.watching import Laps, Watch

from circuitgraph.catalogue.store_check import check_store
from circuitgraph.catalogue.store_rebuild import rebuild_store
from circuitgraph.store import Store
from queries import shelf

MEMBERS = 8
TIMES = 5


def run_check(bench: Bench, store: Store) -> dict[str, Any]:
    rows = []
    for is_deep in (False, True):
        began = time.monotonic()
        with Watch(store) as watch:
            found = check_store(store, [bench.big], deep=is_deep)
        rows.append(
            {
                "what": "check --deep" if is_deep else "check",
                "edges": found.edge_count,
                "seconds": time.monotonic() - began,
                "differences": found.difference_count,
                "peaks": watch.peaks,
                "laps": {},
            }
        )
    return {"rows": rows}


def run_rebuild(bench: Bench, store: Store) -> dict[str, Any]:
    laps = Laps()
    with Watch(store) as watch:
        report = rebuild_store(store, [bench.big], edges="all", progress=laps)
    row = {
        "what": "rebuild",
        "edges": report.check.edge_count,
        "seconds": report.seconds,
        "differences": report.check.difference_count,
        "peaks": watch.peaks,
        "laps": laps.seconds,
    }
    return {"rows": [row]}


def run_shelf(bench: Bench, store: Store) -> dict[str, Any]:
    """Ask what is heaviest on the shelf, cold and warm; families of eight stand in for curated ones meanwhile."""
    layers = bench.big.layers
    asked: list[tuple[str, dict[str, Any]]] = [
        *(
            ("paths", {"up": str(layers[0].unit(1)), "down": str(layers[hops].unit(2)), "hops": hops})
            for hops in range(1, min(5, len(layers)))
        ),
        ("opposing-pairs", {"layer": layers[1].uid}),
        ("family-pairs", {"network": bench.big.network}),
    ]
    rows = []
    with families(store, bench.big.network):
        for name, parameters in asked:
            results = [shelf.run(name, store, timeout_s=600, **parameters) for _ in range(TIMES)]
            seconds = [result.seconds for result in results]
            words = ", ".join(str(value) for value in parameters.values())
            rows.append(
                {"what": f"{name}: {words}", "rows": len(results[0]), "first_s": seconds[0], "best_s": min(seconds[1:])}
            )
    return {"rows": rows}


@contextmanager
def families(store: Store, network: str) -> Iterator[None]:
    """Put each unit but the input's into a family of eight for a while."""
    store.run(
        "CYPHER 5 MATCH (u:Unit {network: $network}) WHERE u.layer <> 'layer0' "
        "WITH u, u.layer + '!made' + (u.channel / $members) AS slug "
        "MERGE (f:Family {uid: $network + '/' + slug}) SET f.network = $network, f.name = slug, f.made = true "
        "CREATE (u)-[:MEMBER_OF {made: true}]->(f)",
        write=True,
        network=network,
        members=MEMBERS,
    )
    try:
        yield
    finally:
        store.run("CYPHER 5 MATCH (f:Family {made: true}) DETACH DELETE f", write=True)
