"""Seconds of each task, peaks of memory, what lies on the disk, and how busy the machine is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from circuitgraph.progress import SILENT, Task
from circuitgraph.store import Store


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
