"""The settings of the managed server, as ``neo4j.conf`` spells them.

`limits_conf` is what any server of ours is to have, wherever it runs; the compose
file in ``docker/`` says the same. `server_conf` adds where the managed one answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from circuitgraph.errors import SettingsError
from circuitgraph.store.versions import NEO4J_VERSION, RELEASES, Release

__all__ = ["HOST", "limits_conf", "memory_bytes", "server_conf", "write_conf"]

HOST = "127.0.0.1"
"""The managed server answers on the loopback only."""

DIRECTORIES = ("data", "logs", "import", "plugins", "run", "licenses", "lib")
_SMALLEST_HEAP = "256m"


def memory_bytes(size: str) -> int:
    """Return how many bytes ``512m`` or ``2g`` are."""
    return int(size[:-1]) << {"m": 20, "g": 30}[size[-1]]


def limits_conf(*, heap: str, page_cache: str, release: Release = RELEASES[NEO4J_VERSION]) -> dict[str, str]:
    """Return what is shut off and how much memory may be used.

    Parameters
    ----------
    heap, page_cache
        As ``512m`` or ``2g``. One transaction may take half of the heap, all together seven tenths.
    release
        What it does not know is left out, or said in its own words.

    Raises
    ------
    SettingsError
        The heap is too small for the server to run in.
    """
    heap_bytes = memory_bytes(heap)
    if heap_bytes < memory_bytes(_SMALLEST_HEAP):
        raise SettingsError(
            f"setting 'heap': the server does not run in {heap}, it needs {_SMALLEST_HEAP} or more.",
            hint="Set CIRCUITGRAPH_HEAP=1g",
        )
    heap_mib = heap_bytes >> 20
    conf = {
        "server.http.enabled": "false",
        "server.https.enabled": "false",
        "dbms.usage_report.enabled": "false",
        "dbms.fleet_manager.enabled": "false",
        "server.fleet_discovery.enabled": "false",
        "dbms.security.allow_csv_import_from_file_urls": "false",
        # without it LOAD CSV makes http requests for whoever may send Cypher
        "internal.dbms.cypher_ip_blocklist": "0.0.0.0/0,::/0",
        # a stop takes ten seconds without these two
        "internal.dbms.bolt.netty_server_shutdown_quiet_period_duration": "0s",
        "internal.server.bolt.thread_pool_shutdown_wait_time": "1s",
        "db.tx_log.rotation.retention_policy": "keep_none",
        "db.transaction.timeout": "10m",
        # who asks for one second is not to wait for three
        "db.transaction.monitor.check.interval": "500ms",
        "db.memory.transaction.max": f"{heap_mib // 2}m",
        "dbms.memory.transaction.total.max": f"{heap_mib * 7 // 10}m",
        "server.memory.heap.initial_size": f"{min(heap_mib, 512)}m",
        "server.memory.heap.max_size": heap,
        "server.memory.pagecache.size": page_cache,
    }
    known = {name: value for name, value in conf.items() if name not in release.unknown_settings}
    return {**known, **dict(release.own_settings)}


def server_conf(*, port: int, heap: str, page_cache: str, release: Release = RELEASES[NEO4J_VERSION]) -> dict[str, str]:
    """Return every setting of a managed server that answers Bolt on `port`.

    Raises
    ------
    SettingsError
        The heap is too small for the server to run in.
    """
    return {
        "server.config.strict_validation.enabled": "true",
        # below the home, which is told on the command line: a path with other letters than
        # ASCII's is not read from this file as it was written
        **{f"server.directories.{name}": name for name in DIRECTORIES},
        "server.default_listen_address": HOST,
        "server.bolt.listen_address": f"{HOST}:{port}",
        **limits_conf(heap=heap, page_cache=page_cache, release=release),
    }


def write_conf(path: Path, conf: Mapping[str, str]) -> None:
    """Write ``neo4j.conf``, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{name}={value}\n" for name, value in conf.items()), encoding="utf-8")
    part.replace(path)
