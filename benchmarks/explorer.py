"""The explorer over a network of millions of edges: how long each kind of page takes, and how much memory it all does.

A synthetic network of layers that feed the next, with 3x3 kernels, and a catalogue with the starter's claims, a claim
and a circuit about the network itself. The explorer runs as a process of its own; clients ask for random pages of one
kind, each over a connection of its own that stays open. Three ways:

- ``alone``: one client, one request after the other: what a page costs, in seconds and in seconds of the processor
- ``browsers``: as many clients as ``--clients``, each of which looks at a page for `LOOKED_S` on average
- ``crowd``: as many clients that do not look at all: the processors are always busy, and each waits for all others

The exit code is 1 where an answer is no page, or where `browsers` wait longer than the limit at p95.

    python benchmarks/explorer.py --folder /tmp/explorer-benchmark --size 3.1M
    python benchmarks/explorer.py --folder /tmp/explorer-benchmark --size 3.1M --kinds unit,circuit --seconds 20
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import psutil

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Author, Catalogue, add_claim, add_starter, make_claim
from circuitgraph.catalogue.circuit_making import make_circuit
from circuitgraph.testing.bundles import write_synthetic_bundle

SIZES = {"tiny": (7, 64), "3.1M": (13, 512), "16M": (17, 1000)}
NETWORK = "big"
MOST_P95_S = 0.3
MOST_DRAWN_S = 1.0
LOOKED_S = 1.0
ADA, TODAY = Author(name="Ada Example"), "2026-11-21"


@dataclass
class Taken:
    """Seconds and bytes of each answer, and the answers that were no pages."""

    seconds: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def at(self, share: float) -> float:
        """Return the seconds that so large a share of the answers took at most."""
        return float(np.quantile(self.seconds, share))


def loop_s() -> float:
    """Seconds of a fixed loop on one thread: what other work on the machine costs."""
    began = time.perf_counter()
    total = 0
    for n in range(10_000_000):
        total += n & 7
    return time.perf_counter() - began


def prepared(folder: Path, size: str) -> tuple[Bundle, Path, str]:
    """Return the bundle, the catalogue's folder and the uid of a circuit of thirty units; made if not there."""
    layers, units = SIZES[size]
    path, catalogue_path = folder / f"{NETWORK}-{size}.circuit", folder / f"catalogue-{size}"
    if not path.exists():
        write_synthetic_bundle(path, network=NETWORK, unit_counts=[units] * layers)
    bundle = Bundle.open(path)
    middle = f"{NETWORK}/layer{layers // 2}:7"
    chosen = [f"{layer.uid}:{channel}" for layer in bundle.layers[-6:-1] for channel in range(6)]
    circuit = make_circuit(bundle, chosen, title="Thirty units", top=4, author=ADA, date=TODAY)
    with Catalogue.open(catalogue_path, create=True) as catalogue:
        add_starter(catalogue)
        add_claim(catalogue, make_claim(middle, "detects", "feature:car", author=ADA, date=TODAY))
        catalogue.add_documents([circuit])
    return bundle, catalogue_path, circuit.uid


def addresses(bundle: Bundle, circuit: str, rng: random.Random) -> dict[str, Callable[[], str]]:
    """Return, for each kind of page, a function that gives an address of one at random."""
    count = bundle.layers[0].unit_count
    names = [layer.uid.partition("/")[2] for layer in bundle.layers[1:]]

    def unit() -> str:
        return f"{NETWORK}/{rng.choice(names)}:{rng.randrange(count)}"

    kept = quote(circuit.partition(":")[2], safe="@")
    return {
        "start": lambda: "/",
        "network": lambda: f"/network/{NETWORK}",
        "layer": lambda: f"/layer/{NETWORK}/{rng.choice(names)}",
        "unit": lambda: f"/unit/{unit()}",
        "unit.json": lambda: f"/unit/{unit()}.json",
        "unit.svg": lambda: f"/unit/{unit()}.svg",
        "family": lambda: f"/family/{NETWORK}/layer1!first",
        "search": lambda: f"/search?q={rng.choice(['car', 'layer3:', 'curve', unit().partition('/')[2]])}",
        "circuits": lambda: "/circuits",
        "circuit": lambda: f"/circuit/{kept}",
        "circuit.svg": lambda: f"/circuit/{kept}.svg",
        "around": lambda: f"/around/{unit()}?hops=1&top=4",
        "features": lambda: "/features",
        "feature": lambda: "/feature/car",
        "claims": lambda: "/claims",
        "motifs": lambda: f"/motifs/{NETWORK}",
    }


@contextmanager
def explorer(bundle: Bundle, catalogue: Path, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run the explorer; give its address and its process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
    own = {"CIRCUITGRAPH_CONFIG": str(folder / "none.toml"), "CIRCUITGRAPH_DATA_DIR": str(folder / "data")}
    command = [str(Path(sys.executable).parent / "circuitgraph"), "explore", str(bundle.path), "--port", "0"]
    command += ["--catalogue", str(catalogue), "--author", "Ada Example", "--quiet"]
    with subprocess.Popen(command, env={**kept, **own}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            parts = urlsplit(process.stdout.readline().strip())
            yield parts.netloc, psutil.Process(process.pid)
        finally:
            process.terminate()


def ask(netloc: str, address: Callable[[], str], *, until: float, least: int, looked_s: float = 0) -> Taken:
    """Ask for pages, one after the other, until it is time and there were so many."""
    taken, connection = Taken(), http.client.HTTPConnection(netloc, timeout=60)
    pauses = random.Random(str(threading.get_ident()))
    while time.monotonic() < until or len(taken.seconds) < least:
        # at no time together with the others
        time.sleep(pauses.uniform(0, 2 * looked_s))
        path = address()
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        taken.seconds.append(time.perf_counter() - began)
        taken.sizes.append(len(body))
        if answer.status != 200 or not body:
            taken.wrong.append(f"{path}: {answer.status}")
    connection.close()
    return taken


def many(netloc: str, address: Callable[[], str], *, clients: int, seconds: float, looked_s: float = 0) -> Taken:
    """Let so many ask at once."""
    until, least = time.monotonic() + seconds, 40 // clients + 1
    with ThreadPoolExecutor(clients) as pool:
        given = {"until": until, "least": least, "looked_s": looked_s}
        parts = [pool.submit(ask, netloc, address, **given) for _ in range(clients)]
    together = Taken()
    for part in parts:
        one = part.result()
        together.seconds += one.seconds
        together.sizes += one.sizes
        together.wrong += one.wrong
    return together


class Memory:
    """The most memory a process had while this was open, in bytes."""

    def __init__(self, process: psutil.Process) -> None:
        self.peak = 0
        self.private = 0
        self._process = process
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            info = self._process.memory_info()
            self.peak = max(self.peak, info.rss)
            # what is mapped of the bundle's files can be taken back at any time
            self.private = max(self.private, info.rss - info.shared)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="3.1M")
    parser.add_argument("--kinds", help="Which pages, with commas; all if not given.")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5, help="For each kind of page and each way.")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    bundle, catalogue, circuit = prepared(arguments.folder, arguments.size)
    kinds = addresses(bundle, circuit, random.Random(0))
    if arguments.kinds:
        kinds = {kind: kinds[kind] for kind in arguments.kinds.split(",")}
    print(f"{bundle.manifest.counts['edges']:,} edges, {bundle.manifest.counts['units']:,} units; ", end="")
    print(f"{arguments.clients} clients; {psutil.cpu_count()} processors; loop {loop_s():.2f} s")
    print("load is that of the last minute over the processors; ratio is p95 of browsers over the limit of 0.3 s\n")
    head = f"{'page':12} {'KiB':>5} {'first s':>8} {'cpu s':>6} {'alone p50':>10} {'browsers p50':>13} {'p95':>6}"
    print(f"{head} {'ratio':>6} {'crowd p50':>10} {'p95':>6} {'pages/s':>8} {'load':>5}")
    failures = []
    with explorer(bundle, catalogue, arguments.folder) as (netloc, process), Memory(process) as memory:
        for kind, address in kinds.items():
            first = ask(netloc, address, until=0, least=1)
            before = sum(process.cpu_times()[:2])
            alone = ask(netloc, address, until=time.monotonic() + arguments.seconds / 4, least=10)
            cpu_s = (sum(process.cpu_times()[:2]) - before) / len(alone.seconds)
            given = {"clients": arguments.clients, "seconds": arguments.seconds}
            browsers = many(netloc, address, **given, looked_s=LOOKED_S)
            began = time.monotonic()
            crowd = many(netloc, address, **given)
            rate = len(crowd.seconds) / (time.monotonic() - began)
            p95 = browsers.at(0.95)
            print(
                f"{kind:12} {np.mean(crowd.sizes) / 1024:5.0f} {first.seconds[0]:8.3f} {cpu_s:6.3f} "
                f"{alone.at(0.5):10.3f} {browsers.at(0.5):13.3f} {p95:6.3f} {p95 / MOST_P95_S:6.2f} "
                f"{crowd.at(0.5):10.3f} {crowd.at(0.95):6.3f} {rate:8.1f} "
                f"{os.getloadavg()[0] / (psutil.cpu_count() or 1):5.1f}",
                flush=True,
            )
            failures += [*first.wrong, *alone.wrong, *browsers.wrong, *crowd.wrong][:1]
            if p95 > MOST_P95_S:
                failures.append(f"{kind}: {p95:.3f} s at p95 is above {MOST_P95_S} s")
            if kind == "circuit.svg" and alone.at(0.5) > MOST_DRAWN_S:
                failures.append(f"a circuit of 30 units took {alone.at(0.5):.2f} s, above {MOST_DRAWN_S} s")
    print(f"\nmemory of the explorer at its peak: {memory.peak / 2**20:,.0f} MiB, ", end="")
    print(f"{memory.private / 2**20:,.0f} MiB without what is mapped of files; ", end="")
    print(f"the bundle has {sum(p.stat().st_size for p in bundle.path.rglob('*') if p.is_file()) / 2**20:,.0f} MiB")
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
