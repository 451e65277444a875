"""Backups of the managed server: its database in one file, and back.

A dump is Neo4j's own, so that any Neo4j of the same or a newer version can load it.
What it holds can be had again from the bundles and the catalogue too (`circuitgraph rebuild`);
a dump is what also brings back everything else that lies in the database.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from circuitgraph.errors import CircuitGraphError, DiskFullError, MissingFileError, ServerError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.beside import server_beside
from circuitgraph.store.homes import Home
from circuitgraph.store.lock import one_at_a_time
from circuitgraph.store.neo4j import Store
from circuitgraph.store.provision import NO_ROOM
from circuitgraph.store.server import ManagedServer

__all__ = ["DumpReport", "RestoreReport", "dump_database", "restore_database"]


@dataclass(frozen=True, slots=True)
class DumpReport:
    """What `dump_database` wrote.

    Parameters
    ----------
    path
        The file.
    size_bytes
        Of the file.
    database_bytes
        What the database takes on the disk.
    elapsed_s
        For so long the server was stopped.
    """

    path: Path
    size_bytes: int
    database_bytes: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What `restore_database` brought back.

    Parameters
    ----------
    path
        The file.
    node_count, relationship_count
        What is in the database now.
    networks
        Names of the networks in it.
    is_running
        Whether the server runs, as it did before.
    elapsed_s
        In all.
    """

    path: Path
    node_count: int
    relationship_count: int
    networks: tuple[str, ...]
    is_running: bool
    elapsed_s: float


def dump_database(
    server: ManagedServer, path: Path, *, replace: bool = False, progress: Progress = SILENT
) -> DumpReport:
    """Write the database of the managed server to one file, whole or not at all.

    The server is stopped meanwhile, and started again if it ran.

    Parameters
    ----------
    path
        The file to write; its folder exists.
    replace
        Whether a file that is there already may be replaced.

    Raises
    ------
    ServerError
        There is no database, `path` exists, or Neo4j's tool failed.
    MissingFileError
        The folder of `path` does not exist.
    DiskFullError
        There is no room for the dump. The database and what was at `path` are as they were.
    """
    act = f"dumping the database to {path}"
    _check_target(act, path, replace)
    began = time.monotonic()
    part = path.with_name(f".{path.name}.part")
    with one_at_a_time(Store(server.settings, server=server), act), server.offline() as home:
        if home is None:
            raise ServerError(f"{act}: there is no database yet.", hint="Start one with: circuitgraph server start")
        with _told(act, path.parent):
            try:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(mode=0o700)
                with progress.task(f"dumping to {path}") as task:
                    args = ["database", "dump", server.settings.database, f"--to-path={part.resolve()}"]
                    _run_recovered(server, args, on_line=lambda line: task.describe(line.strip()[:60]))
                written = part / f"{server.settings.database}.dump"
                size = written.stat().st_size
                _sync(written)
                written.replace(path)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        database_bytes = home.disk_bytes()
    return DumpReport(path, size, database_bytes, time.monotonic() - began)


def restore_database(
    server: ManagedServer, path: Path, *, replace: bool = False, progress: Progress = SILENT
) -> RestoreReport:
    """Put what `dump_database` wrote in the place of the database.

    It is loaded into a home beside the live one and started there; only when it answers does it take its place.
    Until then the live database serves and stays as it is, also if this process is killed.

    Parameters
    ----------
    replace
        Whether a database that is there already may be replaced.

    Raises
    ------
    MissingFileError
        There is no such file.
    ServerError
        There is a database and `replace` is False; or the file is no dump, is damaged, or is of a newer Neo4j.
    DiskFullError
        There is no room for the database.
    """
    act = f"restoring the database from {path}"
    if not path.is_file():
        raise MissingFileError(f"{act}: there is no such file.", hint="Make one with: circuitgraph server dump -o FILE")
    live = server.home
    if live is not None and live.was_started and not replace:
        raise ServerError(
            f"{act}: there is a database already, in {live.path}, which would be lost.",
            hint="Dump it first, or give --replace.",
        )
    began = time.monotonic()
    with one_at_a_time(Store(server.settings, server=server), act):
        home = server.new_home()
        try:
            with _told(act, home.path.parent):
                _load(server, home, path, act, progress)
                nodes, relationships, networks = _ask(server, home, act, progress)
            did_run = server.status().is_running
            server.swap(home)
        except BaseException:
            server.discard(home)
            raise
        if did_run:
            server.start()
    return RestoreReport(path, nodes, relationships, networks, did_run, time.monotonic() - began)


def _load(server: ManagedServer, home: Home, path: Path, act: str, progress: Progress) -> None:
    database = server.settings.database
    link = home.import_dir / f"{database}.dump"
    link.symlink_to(path.resolve())
    args = ["database", "load", database, f"--from-path={home.import_dir}", "--overwrite-destination=true"]
    try:
        with progress.task(f"loading {path}") as task:
            server.run_admin(args, home=home, on_line=lambda line: task.describe(line.strip()[:60]))
    except ServerError as error:
        raise ServerError(
            f"{act}: it is no dump of a Neo4j database, or it is damaged. The database is as it was.\n"
            f"{_last_words(error).replace(str(link), str(path))}",
            hint="Take another dump, or load the bundles again: circuitgraph rebuild",
        ) from error
    finally:
        link.unlink(missing_ok=True)


def _ask(server: ManagedServer, home: Home, act: str, progress: Progress) -> tuple[int, int, tuple[str, ...]]:
    try:
        with server_beside(server, home, progress) as beside, Store(server.settings, server=beside) as store:
            nodes = store.run("CYPHER 5 MATCH (n) RETURN count(n) AS found")[0]["found"]
            relationships = store.run("CYPHER 5 MATCH ()-[r]->() RETURN count(r) AS found")[0]["found"]
            return nodes, relationships, tuple(meta["network"] for meta in store.networks())
    except DiskFullError:
        raise
    except CircuitGraphError as error:
        raise ServerError(
            f"{act}: Neo4j {server.release.version} does not start with it, or does not answer. "
            f"The database is as it was.\n{_last_words(error)}",
            hint="Is it a dump of a newer Neo4j? Take another, or load the bundles again: circuitgraph rebuild",
        ) from error


def _run_recovered(server: ManagedServer, args: list[str], *, on_line: Callable[[str], None]) -> None:
    try:
        server.run_admin(args, on_line=on_line)
    except ServerError as error:
        # a server that was killed has to put its database in order by itself before that can be dumped
        if "ecover" not in error.message:
            raise
        server.start()
        server.stop()
        server.run_admin(args, on_line=on_line)


def _check_target(act: str, path: Path, replace: bool) -> None:
    if not path.parent.is_dir():
        raise MissingFileError(f"{act}: there is no folder {path.parent}.", hint=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise ServerError(f"{act}: it is a folder.", hint="Name a file, as in -o backup.dump")
    if path.exists() and not replace:
        raise ServerError(f"{act}: the file exists.", hint="Name another, or give --replace.")


@contextmanager
def _told(act: str, place: Path) -> Iterator[None]:
    """Say what the operating system or the tool found no room for."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskFullError) or error.errno in NO_ROOM:
            raise DiskFullError(
                f"{act}: no room is left in {place}. The database is as it was.", hint="Make room there."
            ) from error
        if isinstance(error, CircuitGraphError):
            raise
        raise ServerError(f"{act}: {error}", hint=f"Can you write in {place}?") from error


def _last_words(error: CircuitGraphError) -> str:
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    told = [line for line in lines[1:] if " " in line and not line.startswith(("at ", "...", "Run with"))]
    # the tool repeats at the end that it failed, and says why where it first does
    why = [line for line in told if line.startswith("Failed to")]
    return f"  {(why or told or lines)[-1][:300]}"


def _sync(path: Path) -> None:
    with suppress(OSError), path.open("rb") as file:
        os.fsync(file.fileno())
