"""The store at scale: loads, disk, memory, counts, motifs and many clients, each part by itself or all together.

A synthetic network of layers that feed the next, with 3x3 kernels, all of its edges in the graph. Parts:

- ``bulk``: the whole network into a new managed server (files, import, start, indexes, count of what arrived)
- ``append``: a slice of 262 thousand edges into the database that holds the network
- ``disk``: bytes an edge against its count of properties, on imports of 16 thousand edges
- ``counts``: edges, strong edges and motifs in Cypher, in SQL over the bundle, and in numpy on its kernels
- ``motifs``: motif Cypher over EXCITES and INHIBITS against the same over CONNECTS with conditions
- ``clients``: neighbour queries of 1, 8 and 32 clients at once, every answer compared with numpy

What a part measures is kept in the folder, so that parts can run one by one; tables of all of them go to stdout,
and the exit code is 1 where something counted differs, failed, or is above a limit that was asked for.

    python benchmarks/store.py --folder /tmp/store-benchmark --size 3.1M
    python benchmarks/store.py --folder /tmp/store-benchmark --size 3.1M --parts clients --seconds 60
    python benchmarks/store.py --folder /tmp/store-benchmark --size 16M --parts bulk,counts,motifs --remove
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.sql import query_sql
from circuitgraph.errors import CircuitGraphError
from circuitgraph.progress import SILENT, Task
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import RELATIONSHIPS
from circuitgraph.store.server import ManagedServer
from circuitgraph.testing.bundles import write_synthetic_bundle

SIZES = {"tiny": (4, 64), "3.1M": (13, 512), "16M": (17, 1000)}
SLICE_UNITS = 512
CLIENTS = (1, 8, 32)
# asked for in the plan of the store
MOST_BYTES_AN_EDGE = 500
MOST_MEMORY = 3 << 30
MOST_LOGS = 1 << 30
LEAST_MOTIF_RATIO = 10

NEIGHBOURS = (
    "CYPHER 5 MATCH (:Unit {uid: $uid})<-[e:CONNECTS]-(v:Unit) "
    "RETURN v.channel AS channel, e.sum AS sum ORDER BY abs(e.sum) DESC LIMIT 20"
)
# over the strong types; what stands for the types over CONNECTS is put in by `over_connects`
MOTIFS = {
    "a chain of two that excite": (
        "MATCH (a:Unit {network: $network, layer: $first})-[e1:EXCITES]->(:Unit)-[e2:EXCITES]->(:Unit) "
        "RETURN count(*) AS n"
    ),
    "two that both excite two (bi-fan)": (
        "MATCH (a1:Unit {network: $network, layer: $first})-[e1:EXCITES]->(b1:Unit)<-[e3:EXCITES]-(a2:Unit) "
        "WHERE a1.channel < a2.channel "
        "MATCH (a1)-[e5:EXCITES]->(b2:Unit)<-[e7:EXCITES]-(a2) WHERE b1.channel < b2.channel RETURN count(*) AS n"
    ),
    "two pathways, each inhibits the other's end, united": (
        "MATCH (a1:Unit {network: $network, layer: $first})-[i1:INHIBITS]->(b2:Unit)<-[e1:EXCITES]-(a2:Unit) "
        "WHERE a1.channel < a2.channel "
        "MATCH (a2)-[i3:INHIBITS]->(b1:Unit)<-[e3:EXCITES]-(a1) "
        "MATCH (b1)-[e2:EXCITES]->(c:Unit)<-[e4:EXCITES]-(b2) RETURN count(*) AS n"
    ),
}
_SQL_EDGES = (
    "WITH e1 AS (SELECT up_channel AS u, down_channel AS d FROM edges WHERE excites AND up_layer = $a "
    "AND down_layer = $b), "
    "i1 AS (SELECT up_channel AS u, down_channel AS d FROM edges WHERE inhibits AND up_layer = $a "
    "AND down_layer = $b), "
    "e2 AS (SELECT up_channel AS u, down_channel AS d FROM edges WHERE excites AND up_layer = $b "
    "AND down_layer = $c) "
)
MOTIF_SQL = (
    "SELECT count(*) AS n FROM e1 JOIN e2 ON e1.d = e2.u",
    "SELECT count(*) AS n FROM e1 AS w JOIN e1 AS x ON x.d = w.d AND x.u > w.u JOIN e1 AS y ON y.u = w.u "
    "AND y.d > w.d JOIN e1 AS z ON z.u = x.u AND z.d = y.d",
    "SELECT count(*) AS n FROM e1 AS p JOIN i1 AS pi ON pi.u = p.u JOIN e1 AS q ON q.d = pi.d AND q.u > p.u "
    "JOIN i1 AS qi ON qi.u = q.u AND qi.d = p.d JOIN e2 AS r ON r.u = p.d JOIN e2 AS s ON s.u = q.d AND s.d = r.d",
)


class Laps:
    """A progress that keeps the seconds of each task, and says nothing."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def task(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Time a task."""
        began = time.monotonic()
        with SILENT.task(title, total, unit) as task:
            yield task
        self.seconds[title] = self.seconds.get(title, 0) + time.monotonic() - began

    def note(self, text: str) -> None:
        """Say nothing."""


class Watch:
    """Peaks while it is open: resident memory of this process and of each Java below it, and the server's logs."""

    def __init__(self, store: Store) -> None:
        self.peaks = {"loader": 0, "import": 0, "server": 0, "logs": 0}
        self._store = store
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        own, names, looks = psutil.Process(), dict[int, str](), 0
        while not self._end.wait(0.1):
            self._note("loader", own.memory_info().rss)
            for child in own.children(recursive=True):
                try:
                    if child.pid not in names:
                        is_server = any("Neo4jCommunity" in word for word in child.cmdline())
                        names[child.pid] = "server" if is_server else "import"
                    self._note(names[child.pid], child.memory_info().rss)
                except psutil.Error:
                    continue
            looks += 1
            if looks % 10 == 0:
                self._note("logs", logs_of(self._store))

    def _note(self, what: str, size: int) -> None:
        self.peaks[what] = max(self.peaks[what], size)


class Truth:
    """Sums of kernels and who is strong, from the kernels alone."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.share = bundle.manifest.strong_share

    @cached_property
    def sums(self) -> list[np.ndarray]:
        """(up, down) for each pair of layers."""
        return [self._bundle.stored(part).sum(axis=(2, 3), dtype=np.float64).T for part in self._bundle.blocks]

    @cached_property
    def l1(self) -> list[float]:
        """Of each pair of layers."""
        return [float(np.abs(self._bundle.stored(part)).sum(dtype=np.float64)) for part in self._bundle.blocks]

    def strong(self, pair: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which of a pair (up, down) excite and which inhibit."""
        sums = self.sums[pair]
        count = int(np.ceil(round(self.share * sums.size, 9)))
        cut = np.sort(np.abs(sums), axis=None)[-count]
        is_strong = np.abs(sums) >= cut
        return is_strong & (sums > 0), is_strong & (sums < 0)

    def motifs(self, pair: int) -> list[int]:
        """Count what `MOTIFS` count from the first layer of a pair."""
        excites, inhibits = (flag.astype(np.float64) for flag in self.strong(pair))
        after = self.strong(pair + 1)[0].astype(np.float64)
        common = np.triu(excites @ excites.T, k=1)
        crossed = excites.T @ inhibits
        return [
            int(excites.sum(axis=0) @ after.sum(axis=1)),
            int((common * (common - 1) / 2).sum()),
            int((crossed * crossed.T * (after @ after.T)).sum()) // 2,
        ]


def loop_s() -> float:
    """Seconds of a fixed loop on one thread: what other work on the machine costs."""
    began = time.perf_counter()
    total = 0
    for n in range(10_000_000):
        total += n & 7
    return time.perf_counter() - began


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def logs_of(store: Store) -> int:
    home = store.server.home if store.server else None
    return size_of(home.path / "data" / "transactions") + size_of(home.path / "logs") if home else 0


def database_of(store: Store) -> int:
    home = store.server.home if store.server else None
    return size_of(home.path / "data" / "databases" / "neo4j") if home else 0


class Bench:
    """The folder, the network in it, and what was measured of it so far."""

    def __init__(self, folder: Path, size: str, seconds: float) -> None:
        self.folder = folder
        self.size = size
        self.seconds = seconds
        self.settings = Settings(
            data_dir=folder / "data", jars_dir=platformdirs.user_cache_path("circuitgraph") / "jars"
        )
        self._kept = folder / "figures.json"
        self.figures: dict[str, Any] = json.loads(self._kept.read_text()) if self._kept.exists() else {"size": size}

    def keep(self, part: str, figures: dict[str, Any]) -> None:
        """Write down what a part measured, and how busy the machine was."""
        self.figures[part] = {**figures, "load": os.getloadavg()[0], "loop_s": loop_s()}
        self._kept.write_text(json.dumps(self.figures, indent=1))

    def bundle(self, name: str, unit_counts: list[int]) -> Bundle:
        """Open a synthetic network, or make it."""
        path = self.folder / f"{name}.circuit"
        if path.exists():
            return Bundle.open(path)
        return write_synthetic_bundle(path, network=name, unit_counts=unit_counts)

    @cached_property
    def big(self) -> Bundle:
        """The network."""
        layers, units = SIZES[self.size]
        return self.bundle("big", [units] * layers)

    @cached_property
    def slice(self) -> Bundle:
        """What is appended to it."""
        units = min(SLICE_UNITS, 2 * SIZES[self.size][1])
        return self.bundle("slice", [units] * 2)

    @cached_property
    def truth(self) -> Truth:
        """What is true of the network."""
        return Truth(self.big)


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
    server = _server(store)
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
        of_sql = query_sql([bundle], _SQL_EDGES + sql, {**values, **used}, timeout_s=600).value()
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


def _server(store: Store) -> ManagedServer:
    if store.server is None:
        raise SystemExit("the managed server is wanted; unset CIRCUITGRAPH_STORE")
    return store.server


PARTS: dict[str, Callable[[Bench, Store], dict[str, Any]]] = {
    "bulk": run_bulk,
    "append": run_append,
    "disk": run_disk,
    "counts": run_counts,
    "motifs": run_motifs,
    "clients": run_clients,
}


def show(figures: dict[str, Any]) -> bool:
    """Print what is known; return whether all of it is as asked."""
    limits: list[tuple[str, str, bool]] = []
    show_loads(figures, limits)
    if "disk" in figures:
        print("\n| properties of an edge | with its 3x3 kernel | bytes an edge |\n|---|---|---|")
        for row in figures["disk"]["rows"]:
            print(f"| {row['properties']} | {'yes' if row['kernel'] else 'no'} | {row['bytes']:.0f} |")
    if "counts" in figures:
        print("\n| counted | numpy | Cypher and SQL agree |\n|---|---|---|")
        for row in figures["counts"]["rows"]:
            print(f"| {row['what']} | {row['numpy']:,.6g} | {'yes' if row['agree'] else 'NO'} |")
            limits.append((f"{row['what']}: the same three times", str(row["agree"]), row["agree"]))
    if "motifs" in figures:
        print("\n| motif | count | strong, ms | CONNECTS, ms | times faster |\n|---|---|---|---|---|")
        for row in figures["motifs"]["rows"]:
            ratio = row["dense_s"] / row["strong_s"]
            print(
                f"| {row['what']} | {row['count']:,} | {1e3 * row['strong_s']:.0f} | {1e3 * row['dense_s']:.0f} "
                f"| {ratio:.0f} |"
            )
            limits.append(
                (f"{row['what']}: {LEAST_MOTIF_RATIO} times faster", f"{ratio:.0f}", ratio >= LEAST_MOTIF_RATIO)
            )
            limits.append((f"{row['what']}: one count over both", str(row["agree"]), row["agree"]))
    show_clients(figures, limits)
    print("\n| asked | found | |\n|---|---|---|")
    for what, found, holds in limits:
        print(f"| {what} | {found} | {'holds' if holds else 'FAILS'} |")
    noise = [(name, each) for name, each in figures.items() if isinstance(each, dict)]
    print(
        f"\nNoise after each part on {os.cpu_count()} cores, load average and a fixed loop on one thread: "
        + "; ".join(f"{name} {each['load']:.1f}, {each['loop_s']:.2f} s" for name, each in noise)
    )
    return all(holds for _, _, holds in limits)


def show_loads(figures: dict[str, Any], limits: list[tuple[str, str, bool]]) -> None:
    loads = {name: figures[name] for name in ("bulk", "append") if name in figures}
    if loads:
        print("| way | edges | s | edges/s | of it, s | bytes an edge | peak MB: loader | import | server | logs |")
        print("|---|---|---|---|---|---|---|---|---|---|")
    for name, run in loads.items():
        laps = ", ".join(f"{title} {seconds:.1f}" for title, seconds in run["laps"].items())
        peaks = [f"{size / 1e6:,.0f}" for size in run["peaks"].values()]
        size = run["bytes"] / run["edges"]
        print(
            f"| {name} | {run['edges']:,} | {run['seconds']:.1f} | {run['edges'] / run['seconds']:,.0f} | {laps} "
            f"| {size:.0f} | {' | '.join(peaks)} |"
        )
        if name == "bulk":
            limits.append((f"at most {MOST_BYTES_AN_EDGE} bytes an edge", f"{size:.0f}", size <= MOST_BYTES_AN_EDGE))
        for what, most in (
            ("loader", MOST_MEMORY),
            ("import", MOST_MEMORY),
            ("server", MOST_MEMORY),
            ("logs", MOST_LOGS),
        ):
            peak = run["peaks"][what]
            limits.append((f"{name}: {what} at most {most / 1e9:.1f} GB", f"{peak / 1e9:.2f}", peak <= most))
    if len(loads) == 2:
        rates = [run["edges"] / run["seconds"] for run in loads.values()]
        print(f"\nBulk against append: {rates[0] / rates[1]:.1f} times the edges a second.")


def show_clients(figures: dict[str, Any], limits: list[tuple[str, str, bool]]) -> None:
    if "clients" not in figures:
        return
    rows = figures["clients"]["rows"]
    print("\n| clients | asked | a second | p50, ms | p95, ms | p50 against one client | wrong | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['clients']} | {row['asked']:,} | {row['a_second']:.0f} | {1e3 * row['p50_s']:.0f} "
            f"| {1e3 * row['p95_s']:.0f} | {row['p50_s'] / rows[0]['p50_s']:.1f} | {row['wrong']} "
            f"| {row['error_count']} |"
        )
        for error in row["errors"]:
            print(f"\n{row['clients']} clients: {error}\n")
        bad = row["wrong"] + row["error_count"]
        limits.append((f"{row['clients']} clients: no error, no wrong answer", str(bad), bad == 0))
        peak = row["peaks"]["server"]
        limits.append(
            (
                f"{row['clients']} clients: server at most {MOST_MEMORY / 1e9:.1f} GB",
                f"{peak / 1e9:.2f}",
                peak <= MOST_MEMORY,
            )
        )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, required=True, help="where bundles, database and figures are kept")
    arguments.add_argument("--size", choices=SIZES, default="3.1M", help="how many edges")
    arguments.add_argument("--parts", default=",".join(PARTS), help="which, with commas between; nothing only reports")
    arguments.add_argument("--seconds", type=float, default=60, help="how long each count of clients asks")
    arguments.add_argument("--remove", action="store_true", help="remove bundles and database in the end")
    given = arguments.parse_args()
    parts = [name for name in given.parts.split(",") if name]
    if unknown := set(parts) - set(PARTS):
        arguments.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.folder.resolve(), given.size, given.seconds)
    if bench.figures["size"] != given.size:
        arguments.error(f"{given.folder} holds a network of {bench.figures['size']}")
    server = ManagedServer(bench.settings)
    # so that it is a child of this process, whose memory is watched
    server.stop()
    try:
        for name in parts:
            with Store.open(settings=bench.settings) as store:
                bench.keep(name, PARTS[name](bench, store))
    finally:
        server.stop()
        if given.remove:
            server.destroy()
            for path in given.folder.glob("*.circuit"):
                shutil.rmtree(path)
    return 0 if show(bench.figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
