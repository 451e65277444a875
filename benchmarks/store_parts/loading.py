"""Loads in bulk and by append, and bytes an edge against its properties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from store_parts.network import Bench, server_of
from store_parts.watching import Laps, Watch, database_of, size_of

from circuitgraph.bundle import Bundle
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import RELATIONSHIPS


def load(store: Store, bundle: Bundle, way: str) -> dict[str, Any]:
    laps, edges = Laps(), bundle.manifest.counts["edges"]
    before = database_of(store)
    with Watch(store) as watch:
        report = store.load(bundle, edges="all", way=way, progress=laps)
    if report.loaded[0].way != way:
        raise SystemExit(f"{bundle.network} was there already; give another --folder")
    grown = database_of(store) - (before if way == "append" else 0)
    return {"edges": edges, "seconds": report.seconds, "laps": laps.seconds, "peaks": watch.peaks, "bytes": grown}


def run_bulk(bench: Bench, store: Store) -> dict[str, Any]:
    return load(store, bench.big, "bulk")


def run_append(bench: Bench, store: Store) -> dict[str, Any]:
    for name in ("slice", "warm"):
        if any(meta["network"] == name for meta in store.networks()):
            remove_network(store, name)
    store.load(bench.bundle("warm", [64] * 3), way="append")
    return load(store, bench.slice, "append")


def run_disk(bench: Bench, store: Store) -> dict[str, Any]:
    """Import a slice with ever more of the properties of an edge, and see what the database takes."""
    server = server_of(store)
    # small, since the files of a larger one grow by 32 MiB at a time
    units = 128
    batches = list(Projection(bench.bundle("part", [units] * 2), "all").iter_edges())
    table = pa.concat_tables(
        [
            batch.table.append_column(":START_ID", pa.array(batch.up.astype(np.int64)))
            .append_column(":END_ID", pa.array(batch.down.astype(np.int64) + units))
            .append_column("block", pa.array(np.full(len(batch.up), batch.block.block, dtype=np.int32)))
            .append_column("kh", pa.array(np.full(len(batch.up), batch.block.window[0], dtype=np.int32)))
            .append_column("kw", pa.array(np.full(len(batch.up), batch.block.window[1], dtype=np.int32)))
            for batch in batches
        ]
    )
    kinds = RELATIONSHIPS["CONNECTS"].properties
    scalars = [name for name in kinds if name != "kernel"]
    chosen = [[], scalars[:4], scalars[:8], scalars[:12], [*scalars[:12], "kernel"], scalars, [*scalars, "kernel"]]
    rows = []
    for names in chosen:
        home = server.new_home()
        try:
            files = home.path / "import"
            pq.write_table(pa.table({":ID": pa.array(range(2 * units), pa.int64())}), files / "nodes.parquet")
            edges = table.select([":START_ID", ":END_ID", *names])
            edges = edges.rename_columns([":START_ID", ":END_ID", *(f"{name}:{kinds[name]}" for name in names)])
            pq.write_table(edges, files / "edges.parquet", compression="none")
            server.run_admin(
                [
                    *("database", "import", "full", "neo4j", "--id-type=integer", "--overwrite-destination"),
                    f"--report-file={files / 'import.report'}",
                    f"--nodes=Unit={files / 'nodes.parquet'}",
                    f"--relationships=CONNECTS={files / 'edges.parquet'}",
                ],
                home=home,
            )
            taken = size_of(home.path / "data" / "databases" / "neo4j")
        finally:
            server.discard(home)
        rows.append({"properties": len(names), "kernel": "kernel" in names, "bytes": taken / table.num_rows})
    # what a database takes before its first edge is no edge's: a relationship is a record of 34 bytes
    fixed = rows[0]["bytes"] - 34
    for row in rows:
        row["bytes"] -= fixed
    return {"rows": rows}
