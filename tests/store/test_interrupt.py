"""Killed in the middle of a load, the loader or the server: what was acknowledged is there, and no batch is in halves.

The same command again makes the network whole, and the catalogue beside it is what it was, byte for byte.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.export import export
from circuitgraph.catalogue.store_check import check_store
from circuitgraph.catalogue.stored import StoreCatalogue
from circuitgraph.catalogue.sync import sync
from circuitgraph.store import Store
from circuitgraph.store.append import CELLS_A_BATCH, EDGES_A_BATCH, marks_of, remove_network
from circuitgraph.store.claims import drop_catalogue
from circuitgraph.store.projection import Projection
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.testing.catalogue import made_claims, made_families, made_features
from tests.store.graph_truth import ask, bundle_totals, totals

KILLS = 20
BULK_KILLS = 10
# of the network that is appended, those of its nodes' relationships too
BATCHES = 16
STRONG = ("excites", "inhibits", "mixes")
# Forks a `circuitgraph load` for each line, so that what it imports is imported once; each writes down the mark of
# every batch that the server has acknowledged. Answers with its process, and when that has ended with its exit code.
FORKS = """
import json, os, sys
import circuitgraph.cli.query, rich.progress
from circuitgraph.cli import main
from circuitgraph.store import append, load, server

for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(os.open(asked["said"], os.O_WRONLY | os.O_APPEND), 2)
    told = os.open(asked["told"], os.O_WRONLY | os.O_APPEND)
    real = append._write_once

    def write_once(store, text, *, mark, **parameters):
        real(store, text, mark=mark, **parameters)
        os.write(told, f"{mark}\\n".encode())

    append._write_once = write_once
    sys.argv = ["circuitgraph", "load", asked["bundle"], "--way", asked["way"]]
    code = 1
    try:
        main.main()
        code = 0
    except SystemExit as leave:
        code = leave.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
"""


class Loader:
    """`circuitgraph load` in processes of their own."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.settings = settings = store.settings
        self._told, self._said = folder / "told", folder / "said"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
        environment |= {
            "CIRCUITGRAPH_CONFIG": str(settings.data_dir / "none.toml"),
            "CIRCUITGRAPH_DATA_DIR": str(settings.data_dir),
            "CIRCUITGRAPH_JARS_DIR": str(settings.jars_dir),
            "CIRCUITGRAPH_HEAP": settings.heap,
            "CIRCUITGRAPH_PAGE_CACHE": settings.page_cache,
        }
        if settings.neo4j_version:
            environment["CIRCUITGRAPH_NEO4J_VERSION"] = settings.neo4j_version
        self._forks = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def close(self) -> None:
        """End the process that forks."""
        self.store.close()
        with self._forks:
            pass

    def run(self, bundle: Bundle, way: str) -> float:
        """Run it to its end; return the seconds from its first edge on."""
        self._wait_for_first_edge(self._start(bundle, way))
        began = time.monotonic()
        code = self._end()
        assert code == 0, self.said()
        return time.monotonic() - began

    def interrupt(
        self, bundle: Bundle, way: str, who: str, *, after_s: float = 0, after_batches: int = 0
    ) -> tuple[int, str]:
        """Kill the loader or the server, so long after the first edge and so many batches have been acknowledged.

        Returns
        -------
        The loader's exit code and its last words.
        """
        self.store.close()
        assert self.store.server is not None
        self.store.server.start()
        process = self._start(bundle, way)
        self._wait_for_first_edge(process)
        while len(self.acknowledged()) < after_batches and psutil.wait_procs([process], timeout=0.01)[1]:
            pass
        if psutil.wait_procs([process], timeout=after_s)[1]:
            kill(process.pid if who == "loader" else self._server_pid())
        return self._end(), self.said()

    def acknowledged(self) -> set[str]:
        """Return the marks of the batches that the last load was told are in the database."""
        return set(self._told.read_text(encoding="utf-8").split())

    def said(self) -> str:
        """Return what the last load said."""
        return self._said.read_text(encoding="utf-8")

    def _start(self, bundle: Bundle, way: str) -> psutil.Process:
        for path in (self._told, self._said):
            path.write_text("")
        asked = {"said": str(self._said), "told": str(self._told), "bundle": str(bundle.path), "way": way}
        assert self._forks.stdin is not None and self._forks.stdout is not None
        self._forks.stdin.write(json.dumps(asked) + "\n")
        self._forks.stdin.flush()
        return psutil.Process(int(self._forks.stdout.readline()))

    def _wait_for_first_edge(self, process: psutil.Process) -> None:
        # what a killed bulk load has brought in already is only counted
        while not any(word in self.said() for word in ("edges", "checking")):
            if not psutil.wait_procs([process], timeout=0.01)[1]:
                return

    def _end(self) -> int:
        assert self._forks.stdout is not None
        return int(self._forks.stdout.readline())

    def _server_pid(self) -> int | None:
        return None if self.store.server is None else self.store.server.pid


def kill(pid: int | None) -> None:
    """End a process, if it has not ended by itself."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid) if pid else None
        if process is not None:
            process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def loader(checked_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    opened = Loader(checked_store, tmp_path_factory.mktemp("loader"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def bulk_loader(own_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    opened = Loader(own_store, tmp_path_factory.mktemp("bulk"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def bundle(checked_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    path = tmp_path_factory.mktemp("stopped") / "stopped.circuit"
    yield write_synthetic_bundle(path, network="stopped", unit_counts=(3, *[112] * 4))
    checked_store.close()
    remove_network(checked_store, "stopped")


@pytest.fixture(scope="module")
def folder(checked_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """A catalogue about another network, both in the database."""
    checked_store.load(write_synthetic_bundle(tmp_path_factory.mktemp("con") / "con.circuit", network="con"))
    with Catalogue.open(tmp_path_factory.mktemp("claims") / "catalogue", create=True) as opened:
        opened.add(made_claims())
        opened.add_features(made_features())
        opened.add_documents(made_families())
        sync(opened, checked_store)
        yield opened
    checked_store.close()
    drop_catalogue(checked_store)
    remove_network(checked_store, "con")


@pytest.fixture(scope="module")
def bulk_s(bulk_loader: Loader, bundle: Bundle) -> float:
    """How long a bulk load in place of a database that runs takes."""
    for _ in range(2):
        assert bulk_loader.store.server is not None
        bulk_loader.store.server.start()
        seconds = bulk_loader.run(bundle, "bulk")
        take_out(bulk_loader, bundle)
    return seconds


def take_out(loader: Loader, bundle: Bundle) -> None:
    loader.store.close()
    remove_network(loader.store, bundle.network)


def exported(folder: Catalogue, store: Store) -> list[bytes]:
    """Return what the catalogue's folder exports, its own files, and what the database exports of it."""
    # found again, where its server was stopped
    store.close()
    written = []
    for catalogue in (folder, StoreCatalogue(store)):
        out = io.StringIO(newline="")
        export(catalogue, out, form="jsonl")
        written.append(out.getvalue().encode())
    return [*written, *sorted(path.read_bytes() for path in folder.folder.rglob("*.json*"))]


def assert_no_halves(loader: Loader, bundle: Bundle) -> int:
    """Every batch is there whole with its mark or not at all, all acknowledged ones among them; return how many."""
    store, network = loader.store, bundle.network
    store.close()
    # what a killed loader had sent may still be written; between two equal looks at the marks nothing was
    while True:
        marks = marks_of(store, network)
        rows = ask(
            store,
            "MATCH (a:Unit {network: $network})-[e:CONNECTS]->(b:Unit) RETURN e.block, b.channel, collect(a.channel)",
            network=network,
        )
        kinds = dict(ask(store, "MATCH ({network: $network})-[e]->() RETURN type(e), count(e)", network=network))
        if marks_of(store, network) == marks:
            break
    metas = ask(store, "MATCH (m:Meta {network: $network}) RETURN m.is_complete", network=network)
    is_complete = metas == [[True]]
    assert is_complete or loader.acknowledged() <= marks
    projection = Projection(bundle, "auto")
    edges, strong, relations = Counter[tuple[int, int, int]](), Counter[str](), Counter[str]()
    place, block = 0, -1
    for batch in projection.iter_edges(EDGES_A_BATCH, cells=CELLS_A_BATCH):
        place = place + 1 if batch.block.block == block else 0
        block = batch.block.block
        if is_complete or f"{network}|{block}|{place}" in marks:
            edges.update((block, int(up), int(down)) for up, down in zip(batch.up, batch.down, strict=True))
            strong.update({flag: int(np.sum(batch.table[flag].to_numpy())) for flag in STRONG})
    for relation in projection.relations():
        assert len(relation.start) <= 2000
        if relation.start and (is_complete or f"{network}|{relation.type}|0" in marks):
            relations[relation.type] += len(relation.start)
    assert Counter((number, up, down) for number, down, ups in rows for up in ups) == edges
    for flag in STRONG:
        assert kinds.get(flag.upper(), 0) == strong[flag], flag
    for kind, count in relations.items():
        assert kinds.get(kind, 0) == count, kind
    return len(marks)


def assert_whole(store: Store, bundle: Bundle, folder: Catalogue | None = None) -> None:
    store.close()
    found, expected = totals(store, bundle.network), bundle_totals(bundle)
    assert {pair: count for pair, (count, _) in found.items()} == {pair: count for pair, (count, _) in expected.items()}
    for pair, (_, l1) in expected.items():
        assert found[pair][1] == pytest.approx(l1, rel=1e-6), pair
    assert ask(store, "MATCH (b:LoadBatch) RETURN count(b)") == [[0]]
    assert ask(store, "MATCH (m:Meta) WHERE NOT m.is_complete RETURN m.network") == []
    assert ask(store, "SHOW INDEXES YIELD name, state WHERE state <> 'ONLINE' RETURN name") == []
    # every property of every edge, and every claim
    assert [str(each) for each in check_store(store, catalogue=folder, deep=True).differences] == []
    homes = list((store.settings.data_dir / "server" / "homes").iterdir())
    assert len(homes) == 1, homes


def finish(loader: Loader, bundle: Bundle, way: str, folder: Catalogue | None = None) -> None:
    """Run the same command again, see that the database is what it should be, and take the network out."""
    loader.run(bundle, way)
    assert_whole(loader.store, bundle, folder)
    take_out(loader, bundle)


def test_an_append_whose_loader_and_then_whose_server_was_killed_is_made_whole_by_the_same_command(
    loader: Loader, bundle: Bundle, folder: Catalogue
) -> None:
    before = exported(folder, loader.store)
    code, _ = loader.interrupt(bundle, "append", "loader", after_batches=3)
    assert code == -signal.SIGKILL
    found = assert_no_halves(loader, bundle)
    assert found >= 3
    code, said = loader.interrupt(bundle, "append", "server", after_batches=2)
    assert (code, "Traceback" in said) == (1, False)
    assert "the database does not answer" in said
    assert assert_no_halves(loader, bundle) >= found + 2
    assert exported(folder, loader.store) == before
    finish(loader, bundle, "append", folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(KILLS))
@pytest.mark.parametrize("who", ["loader", "server"])
def test_an_append_killed_at_a_random_moment_has_all_that_was_acknowledged_and_is_made_whole_by_the_same_command(
    loader: Loader, bundle: Bundle, folder: Catalogue, who: str, seed: int
) -> None:
    before = exported(folder, loader.store)
    rng = np.random.default_rng([seed, len(who)])
    batches, after_s = int(rng.integers(0, BATCHES)), float(rng.uniform(0, 0.3))
    code, said = loader.interrupt(bundle, "append", who, after_batches=batches, after_s=after_s)
    told = len(loader.acknowledged())
    found = assert_no_halves(loader, bundle)
    print(f"\n{who} killed {after_s:.2f} s after batch {batches}: code {code}, {told} acknowledged, {found} found")
    assert "Traceback" not in said
    assert code in ((0, -signal.SIGKILL) if who == "loader" else (0, 1)), said
    assert exported(folder, loader.store) == before
    finish(loader, bundle, "append", folder)
    # else each start after a kill would recover all that was written since the first one
    assert loader.store.server is not None
    loader.store.server.stop()


# without the catalogue, since with claims in the database a bulk load is refused
@pytest.mark.slow
def test_a_bulk_load_whose_loader_was_killed_is_made_whole_by_the_same_command(
    bulk_loader: Loader, bundle: Bundle
) -> None:
    after_s = np.random.default_rng(9).uniform(0.3, 1.0)
    code, _ = bulk_loader.interrupt(bundle, "bulk", "loader", after_s=after_s)
    assert code == -signal.SIGKILL
    finish(bulk_loader, bundle, "bulk")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(BULK_KILLS))
@pytest.mark.parametrize("who", ["loader", "server"])
def test_a_bulk_load_killed_at_a_random_moment_is_made_whole_by_the_same_command(
    bulk_loader: Loader, bulk_s: float, bundle: Bundle, who: str, seed: int
) -> None:
    after_s = np.random.default_rng([seed, len(who), 2]).uniform(0, bulk_s)
    code, said = bulk_loader.interrupt(bundle, "bulk", who, after_s=after_s)
    print(f"\n{who} killed {after_s:.2f} s of {bulk_s:.2f} s into a bulk load: code {code}, {said.strip()[-150:]!r}")
    assert "Traceback" not in said
    assert code in ((0, -signal.SIGKILL) if who == "loader" else (0, 1)), said
    finish(bulk_loader, bundle, "bulk")
