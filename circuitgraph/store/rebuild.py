"""A server beside the live one, in which a whole database is made before it takes the live one's place.

It is a managed server like any other, with a folder of its own below the live one's (``server/beside``) and the same
password, so that the home it fills can be moved. The live database serves meanwhile and is not touched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from circuitgraph.errors import LoadError, ServerError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.bulk import bulk_room
from circuitgraph.store.homes import Homes, is_same_process, process_mark, write_private
from circuitgraph.store.load import check_room, import_projections
from circuitgraph.store.neo4j import Store
from circuitgraph.store.projection import Projection
from circuitgraph.store.records import write_releases
from circuitgraph.store.schema import NODES, create_schema
from circuitgraph.store.server import Home, ManagedServer

if TYPE_CHECKING:
    from circuitgraph.settings import Settings

__all__ = [
    "attribution_tables",
    "beside",
    "copy_releases",
    "fill",
    "managed_server_of",
    "put_in_place",
    "remove_strays",
    "strange_nodes",
    "strays_of",
]

_OWNER = "owner.json"
_TABLES = "CYPHER 5 MATCH ()-[r:ATTRIBUTED]->() RETURN r.table AS name, count(r) AS n ORDER BY name"
_STRANGE = "CYPHER 5 MATCH (n) WHERE none(l IN labels(n) WHERE l IN $ours) RETURN count(n) AS n"


def managed_server_of(store: Store) -> ManagedServer:
    """Return the managed server of a store.

    Raises
    ------
    LoadError
        Its server is not ours, so that no database can be made beside it.
    """
    if store.server is None:
        raise LoadError(
            f"rebuilding: {store.settings.store} is not the managed server; no database can be made beside it.",
            hint="Compare and repair it in place: circuitgraph check BUNDLE... --catalogue DIR --repair",
        )
    return store.server


def _settings_beside(settings: Settings) -> Settings:
    data_dir = settings.data_dir.expanduser().resolve()
    return settings.model_copy(
        update={
            "store": "local",
            "data_dir": data_dir / "server" / "beside",
            "jars_dir": settings.jars_dir or data_dir / "jars",
            "bolt_port": 0,
        }
    )


@contextmanager
def beside(server: ManagedServer, *, progress: Progress = SILENT) -> Iterator[Store]:
    """Give an empty store beside the live one; whatever of it was not put in place is removed at the end.

    What a process that was killed had left of such a store, or still runs of it, goes first.
    """
    settings = _settings_beside(server.settings)
    password = server.password()
    _remove(settings)
    try:
        root = settings.data_dir / "server"
        root.mkdir(mode=0o700, parents=True)
        settings.data_dir.chmod(0o700)
        write_private(settings.data_dir / _OWNER, json.dumps(process_mark(os.getpid())))
        write_private(root / "password", password)
        with Store(settings, server=ManagedServer(settings, progress)) as made:
            yield made
    finally:
        _remove(settings)


def _remove(settings: Settings) -> None:
    if settings.data_dir.exists():
        # ends an import that goes on by itself
        Homes(settings.data_dir / "server").remove_abandoned()
        ManagedServer(settings).destroy()
        shutil.rmtree(settings.data_dir, ignore_errors=True)


def strays_of(server: ManagedServer) -> list[int]:
    """Return the processes beside a managed server that outlived the rebuild or restore that began them."""
    return sorted({*server.strays(), *_left_of_rebuild(_settings_beside(server.settings))})


def remove_strays(server: ManagedServer) -> list[int]:
    """End what outlived a killed rebuild or restore, and remove its database, which nothing leads to any more.

    Returns
    -------
    Ids of the processes that were ended. What a process that lives works on stays.
    """
    ended = server.remove_strays()
    settings = _settings_beside(server.settings)
    if settings.data_dir.exists() and not _is_owned(settings):
        ended += _left_of_rebuild(settings)
        _remove(settings)
    return sorted(set(ended))


def _left_of_rebuild(settings: Settings) -> list[int]:
    if not settings.data_dir.exists() or _is_owned(settings):
        return []
    made = ManagedServer(settings)
    return [*made.strays(), *([] if made.pid is None else [made.pid])]


def _is_owned(settings: Settings) -> bool:
    try:
        mark = json.loads((settings.data_dir / _OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return is_same_process(mark) is not None


def fill(
    store: Store, projections: Sequence[Projection], motifs: Sequence[dict[str, Any]], *, progress: Progress = SILENT
) -> None:
    """Import networks with their saved motifs into the store beside, and start it.

    Raises
    ------
    DiskFullError
        There is not room enough for both databases.
    LoadError
        What arrived is not what a bundle holds.
    """
    server = managed_server_of(store)
    check_room(server, projections, bulk_room)
    if projections:
        import_projections(store, server, projections, kept={"Motif": motifs}, progress=progress)
    create_schema(store)
    store.run("CYPHER 5 CALL db.awaitIndexes(300)")


def copy_releases(old: Store, new: Store) -> None:
    """Bring the releases that a database knows of to another."""
    rows = [dict(row["r"]) for row in old.run("CYPHER 5 MATCH (r:Release) WHERE r.sha256 IS NOT NULL RETURN r")]
    write_releases(new, rows)


def attribution_tables(store: Store) -> dict[str, int]:
    """Return the tables of which the graph has attributions, and how many of each."""
    return {} if store.is_new else {str(row["name"]): int(row["n"]) for row in store.run(_TABLES)}


def strange_nodes(store: Store) -> int:
    """Return how many nodes there are that neither bundles nor a catalogue bring."""
    return 0 if store.is_new else int(store.run(_STRANGE, ours=[*NODES, "Neuron", "LoadBatch"])[0]["n"])


def put_in_place(live: Store, made: Store, *, keep_old: bool = False) -> Home | None:
    """Put the database of the store beside in the place of the live one, and start it; return the old home if kept.

    Raises
    ------
    ServerError
        There is nothing to put in place, or the new database does not start.
    """
    server, other = managed_server_of(live), managed_server_of(made)
    old = server.home
    made.close()
    other.stop()
    home = other.home
    if home is None:
        raise ServerError("rebuilding: no database was made.", hint="Run the same command again.")
    live.close()
    server.adopt(home, keep_old=keep_old)
    server.start()
    return old if keep_old else None
