"""How fast a bundle comes into the database: in bulk, and appended to what is there.

A synthetic network of 13 layers of 512 units, 3x3 kernels (3.1 million edges) is imported
in bulk into a new managed server; then another of 295 thousand edges is appended to the
database that holds the first. Seconds are those of the whole `Store.load`: files, import,
start of the server, indexes, the count of what arrived. The table goes to stdout.

    python benchmarks/load.py --folder /tmp/load-benchmark
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from circuitgraph.bundle import Bundle
from circuitgraph.progress import SILENT, Task
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.testing.bundles import write_synthetic_bundle


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


class PeakMemory:
    """The largest resident memory of this process and of each Java below it, looked at 20 times a second."""

    def __init__(self) -> None:
        self.own = 0
        self.java: dict[str, int] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._end.wait(0.05):
            self.own = max(self.own, own.memory_info().rss)
            for child in own.children(recursive=True):
                try:
                    is_server = any("Neo4jCommunity" in word for word in child.cmdline())
                    name = "server" if is_server else "import"
                    self.java[name] = max(self.java.get(name, 0), child.memory_info().rss)
                except psutil.Error:
                    continue


def loop_s() -> float:
    """Seconds of a fixed loop on one thread: what other work on the machine costs."""
    began = time.perf_counter()
    total = 0
    for n in range(10_000_000):
        total += n & 7
    return time.perf_counter() - began


def timed_load(store: Store, bundle: Bundle, way: str) -> dict[str, Any]:
    laps = Laps()
    with PeakMemory() as memory:
        report = store.load(bundle, way=way, progress=laps)
    edges = bundle.manifest.counts["edges"]
    return {"edges": edges, "seconds": report.seconds, "laps": laps.seconds, "memory": memory}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, help="where the bundles and the database are made, and then removed")
    arguments.add_argument("--layers", type=int, default=13)
    arguments.add_argument("--units", type=int, default=512)
    arguments.add_argument("--append-units", type=int, default=384, help="units of the appended network's three layers")
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="load-", dir=given.folder))
    settings = Settings(data_dir=folder / "data", jars_dir=platformdirs.user_cache_path("circuitgraph") / "jars")
    noise = [(os.getloadavg()[0], loop_s())]
    try:
        big = write_synthetic_bundle(folder / "big.circuit", network="big", unit_counts=[given.units] * given.layers)
        small = write_synthetic_bundle(folder / "small.circuit", network="small", unit_counts=[given.append_units] * 3)
        warm = write_synthetic_bundle(folder / "warm.circuit", network="warm", unit_counts=[64] * 3)
        with Store.open(settings=settings) as store:
            if store.server is None:
                raise SystemExit("the managed server is wanted; unset CIRCUITGRAPH_STORE")
            bulk = timed_load(store, big, "bulk")
            noise.append((os.getloadavg()[0], loop_s()))
            home = store.server.home
            if home is None:
                raise SystemExit("there is no database after the load")
            disk = size_of(home.path / "data" / "databases" / "neo4j")
            logs = size_of(home.path / "data" / "transactions")
            store.load(warm, way="append")
            append = timed_load(store, small, "append")
            noise.append((os.getloadavg()[0], loop_s()))
            disk_after = size_of(home.path / "data" / "databases" / "neo4j")
            store.server.destroy()
        show(bulk, append, disk, disk_after, logs, noise)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(
    bulk: dict[str, Any],
    append: dict[str, Any],
    disk: int,
    disk_after: int,
    logs: int,
    noise: list[tuple[float, float]],
) -> None:
    print("| way | edges | s | edges/s | of it, s | disk, bytes/edge | peak MB: loader | import | server |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, run, size in (("bulk", bulk, disk), ("append", append, disk_after - disk)):
        laps = ", ".join(f"{title} {seconds:.1f}" for title, seconds in run["laps"].items())
        java = [f"{run['memory'].java.get(which, 0) / 1e6:,.0f}" for which in ("import", "server")]
        print(
            f"| {name} | {run['edges']:,} | {run['seconds']:.1f} | {run['edges'] / run['seconds']:,.0f} | {laps} "
            f"| {size / run['edges']:.0f} | {run['memory'].own / 1e6:,.0f} | {java[0]} | {java[1]} |"
        )
    ratio = (bulk["edges"] / bulk["seconds"]) / (append["edges"] / append["seconds"])
    print(f"\nBulk against append: {ratio:.1f} times the edges a second. Logs of transactions: {logs / 1e6:,.0f} MB.")
    print("Append was into the database that held the bulk-loaded network, after a small append to warm the server.")
    loads = ", ".join(f"{load:.1f}" for load, _ in noise)
    loops = ", ".join(f"{seconds:.2f}" for _, seconds in noise)
    print(
        f"Noise before, between, after: load average {loads} on {os.cpu_count()} cores; "
        f"a fixed loop on one thread {loops} s."
    )


if __name__ == "__main__":
    main()
