"""The store at scale: loads, disk, memory, counts, motifs and many clients, each part by itself or all together.

A synthetic network of layers that feed the next, with 3x3 kernels, all of its edges in the graph. Parts:

- ``bulk``: the whole network into a new managed server (files, import, start, indexes, count of what arrived)
- ``append``: a slice of 262 thousand edges into the database that holds the network
- ``disk``: bytes an edge against its count of properties, on imports of 16 thousand edges
- ``counts``: edges, strong edges and motifs in Cypher, in SQL over the bundle, and in numpy on its kernels
- ``motifs``: motif Cypher over EXCITES and INHIBITS against the same over CONNECTS with conditions
- ``shelf``: paths, pairs of families and opposing pairs by the query shelf, the first time and warm
- ``check``: the whole database compared with the bundle, by counts and sums and edge by edge
- ``rebuild``: the whole database made anew beside the live one, checked, and put in its place
- ``clients``: neighbour queries of 1, 8 and 32 clients at once, every answer compared with numpy

What a part measures is kept in the folder, so that parts can run one by one; tables of all of them go to stdout,
and the exit code is 1 where something counted differs, failed, or is above a limit that was asked for.

    python benchmarks/store.py --folder /tmp/store-benchmark --size 3.1M
    python benchmarks/store.py --folder /tmp/store-benchmark --size 3.1M --parts clients --seconds 60
    python benchmarks/store.py --folder /tmp/store-benchmark --size 16M --parts bulk,counts,motifs --remove
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store_parts.clients import run_clients
from store_parts.counting import run_counts, run_motifs
from store_parts.loading import run_append, run_bulk, run_disk
from store_parts.mending import run_check, run_rebuild, run_shelf
from store_parts.network import SIZES, Bench
from store_parts.tables import show

from circuitgraph.store import Store
from circuitgraph.store.server import ManagedServer

PARTS: dict[str, Callable[[Bench, Store], dict[str, Any]]] = {
    "bulk": run_bulk,
    "append": run_append,
    "disk": run_disk,
    "counts": run_counts,
    "motifs": run_motifs,
    "shelf": run_shelf,
    "check": run_check,
    "rebuild": run_rebuild,
    "clients": run_clients,
}


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
