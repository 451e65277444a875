"""A server on a home that is not the live one, to see that it starts and answers before it takes its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock

from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.homes import Home, Homes
from circuitgraph.store.server import ManagedServer

__all__ = ["server_beside"]


@contextmanager
def server_beside(server: ManagedServer, home: Home, progress: Progress = SILENT) -> Iterator[ManagedServer]:
    """Run a server on `home` for a while, at a port of its own; the live one is not touched.

    Parameters
    ----------
    server
        The managed server that made `home` by `ManagedServer.new_home`. The password is the same.
    home
        Belongs to this process. If that is killed, whoever next makes or swaps a home ends the server and removes it.

    Yields
    ------
    Something to open a `Store` with: ``Store(server.settings, server=beside)``. It is stopped in the end, after
    which ``server.swap(home)`` may make the home the live one.

    Raises
    ------
    ServerError, DiskFullError
        It does not start.
    """
    server.password()
    beside = _ServerBeside(server, home, progress)
    try:
        beside.start()
        yield beside
    finally:
        beside.stop()


class _OneHome(Homes):
    """Homes of which one stands for the live one."""

    def __init__(self, root: Path, home: Home) -> None:
        super().__init__(root)
        self._home = home

    def current(self) -> Home | None:
        return self._home


class _ServerBeside(ManagedServer):
    def __init__(self, server: ManagedServer, home: Home, progress: Progress) -> None:
        super().__init__(server.settings.model_copy(update={"bolt_port": 0}), progress)
        self._homes = _OneHome(self._root, home)
        self._state = home.path / "server.json"
        self._port_file = home.path / "port"
        self._lock = FileLock(home.path / "server.lock")

    def _spawn(self, java: Path, jars: Path, home: Home, port: int) -> psutil.Process:
        process = super()._spawn(java, jars, home, port)
        self._homes.mark(home, "admin", process.pid)
        return process

    def stop(self) -> bool:
        did_run = super().stop()
        home = self._homes.current()
        if home is not None:
            self._homes.mark(home, "admin", None)
        return did_run
