"""How fast the managed server starts and stops, against the bare server beside it.

The bare server runs on the same jars, Java and memory, started by hand with the default
settings of Neo4j but for its port, and timed to the same handshake. A start is warm (the
database is there, the files are in the page cache); the median of some rounds is told, the
two taking turns, since only ratios mean something on a machine that others use.

    python benchmarks/server.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import platformdirs

from circuitgraph.settings import Settings
from circuitgraph.store.provision import find_java
from circuitgraph.store.server import ManagedServer

HANDSHAKE = bytes.fromhex("6060b017000001ff000808050000040400000000")
OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(HANDSHAKE)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def bare_home(live: Path, folder: Path, port: int) -> Path:
    """Copy the database, and give it Neo4j's own defaults."""
    home = folder / "bare"
    shutil.copytree(live, home)
    own = {
        "server.bolt.listen_address": f"127.0.0.1:{port}",
        "server.http.enabled": "false",
        "server.memory.heap.max_size": "1g",
        "server.memory.pagecache.size": "512m",
    }
    (home / "conf" / "neo4j.conf").write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    return home


def time_bare(java: Path, jars: Path, home: Path, port: int) -> tuple[float, float]:
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
    command = [java, *opened, "-XX:+UseG1GC", "-Xms512m", "-Xmx1g", "-cp", f"{jars}{os.sep}*"]
    main = ["org.neo4j.server.Neo4jCommunity", f"--home-dir={home}", f"--config-dir={home / 'conf'}", "--console-mode"]
    began = time.monotonic()
    with subprocess.Popen([*command, *main], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home) as process:
        while not answers(port):
            if process.poll() is not None:
                raise SystemExit("the bare server ended by itself")
            time.sleep(0.05)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait()
    return started - began, time.monotonic() - started


def time_managed(server: ManagedServer) -> tuple[float, float]:
    began = time.monotonic()
    server.start()
    started = time.monotonic()
    server.stop()
    return started - began, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder) / "data",
            jars_dir=platformdirs.user_cache_path("circuitgraph") / "jars",
            heap="1g",
            page_cache="512m",
        )
        server = ManagedServer(settings)
        try:
            time_managed(server)
            port, jars, live = free_port(), server.provision(), server.home
            if live is None:
                raise SystemExit("the managed server left no home")
            bare = bare_home(live.path, Path(folder), port)
            taken = [(time_bare(find_java(), jars, bare, port), time_managed(server)) for _ in range(rounds)]
        finally:
            server.destroy()
    print(f"{'s, median of ' + str(rounds):20} {'bare':>8} {'managed':>8} {'ratio':>8}")
    for name, place in (("warm start", 0), ("stop", 1)):
        one, other = (statistics.median(times[which][place] for times in taken) for which in (0, 1))
        print(f"{name:20} {one:8.2f} {other:8.2f} {other / one:8.2f}")


if __name__ == "__main__":
    main()
