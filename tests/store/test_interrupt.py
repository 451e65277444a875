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
from dataclasses import dataclass
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
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import CELLS_A_BATCH, EDGES_A_BATCH, remove_network
from circuitgraph.store.claims import drop_catalogue
from circuitgraph.store.projection import Projection
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.testing.catalogue import made_claims, made_families, made_features
from tests.store.graph_truth import ask, bundle_totals, totals

KILLS = 20
BULK_KILLS = 10
STRONG = ("excites", "inhibits", "mixes")
# `circuitgraph load` that writes down the mark of each batch which the server has acknowledged
TOLD = """
import os, sys
from circuitgraph.cli.main import main
from circuitgraph.store import append

real, told = append._write_once, os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

def write_once(store, text, *, mark, **parameters):
    real(store, text, mark=mark, **parameters)
    os.write(told, f"{mark}\\n".encode())

append._write_once = write_once
main()
"""


@dataclass
class Loader:
    """`circuitgraph load` in a process of its own."""

    settings: Settings
    store: Store
    told: Path

    def start(self, bundle: Bundle, way: str) -> subprocess.Popen[str]:
        """Start it, and return as soon as it says that it has begun to load."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
        environment |= {
            "CIRCUITGRAPH_CONFIG": str(self.settings.data_dir / "none.toml"),
            "CIRCUITGRAPH_DATA_DIR": str(self.settings.data_dir),
            "CIRCUITGRAPH_JARS_DIR": str(self.settings.jars_dir),
            "CIRCUITGRAPH_HEAP": self.settings.heap,
            "CIRCUITGRAPH_PAGE_CACHE": self.settings.page_cache,
            "PYTHONUNBUFFERED": "1",
        }
        if self.settings.neo4j_version:
            environment["CIRCUITGRAPH_NEO4J_VERSION"] = self.settings.neo4j_version
        command = [sys.executable, "-c", TOLD, str(self.told), "load", str(bundle.path), "--way", way]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stderr is not None
        # what a killed bulk load has brought in already is only counted
        next((line for line in process.stderr if "edges" in line or "checking" in line), None)
        return process

    def run(self, bundle: Bundle, way: str) -> float:
        """Run it to its end; return the seconds from its first edge on."""
        with self.start(bundle, way) as process:
            began = time.monotonic()
            _, said = process.communicate(timeout=500)
        assert process.returncode == 0, said
        return time.monotonic() - began

    def interrupt(self, bundle: Bundle, way: str, who: str, after_s: float) -> tuple[int, str]:
        """Kill the loader or the server; return the loader's exit code and its last words."""
        self.store.close()
        assert self.store.server is not None
        self.store.server.start()
        with self.start(bundle, way) as process:
            try:
                process.wait(after_s)
            except subprocess.TimeoutExpired:
                kill(process.pid if who == "loader" else self._server_pid())
            _, said = process.communicate(timeout=500)
        return process.returncode, said

    def acknowledged(self) -> set[str]:
        """Return the marks of the batches that the last load was told are in the database."""
        return set(self.told.read_text(encoding="utf-8").split())

    def _server_pid(self) -> int | None:
        # also of one that does not answer yet
        with contextlib.suppress(FileNotFoundError):
            return int(json.loads((self.settings.data_dir / "server" / "server.json").read_text())["pid"])
        return None


def kill(pid: int | None) -> None:
    """End a process, if it has not ended by itself."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid) if pid else None
        if process is not None:
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def loader(checked_store: Store, tmp_path: Path) -> Iterator[Loader]:
    yield Loader(checked_store.settings, checked_store, tmp_path / "told")
    checked_store.close()


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


def seconds_of(loader: Loader, bundle: Bundle, way: str) -> float:
    """How long a load into a server that runs takes, when it is not the first."""
    for _ in range(2):
        assert loader.store.server is not None
        loader.store.server.start()
        seconds = loader.run(bundle, way)
        loader.store.close()
        remove_network(loader.store, bundle.network)
        loader.store.close()
    return seconds


@pytest.fixture(scope="module")
def append_s(checked_store: Store, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> float:
    return seconds_of(
        Loader(checked_store.settings, checked_store, tmp_path_factory.mktemp("one") / "told"), bundle, "append"
    )


@pytest.fixture(scope="module")
def bulk_s(own_store: Store, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> float:
    return seconds_of(Loader(own_store.settings, own_store, tmp_path_factory.mktemp("two") / "told"), bundle, "bulk")


def exported(folder: Catalogue, store: Store) -> list[bytes]:
    """Return what the catalogue's folder exports, its own files, and what the database exports of it."""
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
    # what a killed loader had sent is written or taken back
    running = "SHOW TRANSACTIONS YIELD currentQuery AS q WHERE q STARTS WITH 'CYPHER 5 CREATE (:LoadBatch' RETURN q"
    while ask(store, running):
        pass
    marks = {row[0] for row in ask(store, "MATCH (b:LoadBatch) RETURN b.uid")}
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
    rows = ask(
        store,
        "MATCH (a:Unit {network: $network})-[e:CONNECTS]->(b:Unit) RETURN e.block, b.channel, collect(a.channel)",
        network=network,
    )
    assert Counter((number, up, down) for number, down, ups in rows for up in ups) == edges
    kinds = dict(ask(store, "MATCH ({network: $network})-[e]->() RETURN type(e), count(e)", network=network))
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


def kill_once(
    loader: Loader, bundle: Bundle, way: str, who: str, after_s: float, folder: Catalogue | None = None
) -> int:
    """Kill one, look at what is there, run the same command again, and look again; return the loader's exit code."""
    code, said = loader.interrupt(bundle, way, who, after_s)
    assert "Traceback" not in said
    assert code in ((0, -signal.SIGKILL) if who == "loader" else (0, 1)), said
    if way == "append":
        told = len(loader.acknowledged())
        found = assert_no_halves(loader, bundle)
        print(f"\n{who} killed {after_s:.2f} s into {way}: exit code {code}, {told} acknowledged, {found} marks found")
    else:
        print(f"\n{who} killed {after_s:.2f} s into {way}: exit code {code}, {said.strip()[-150:]!r}")
    if code:
        loader.run(bundle, way)
    assert_whole(loader.store, bundle, folder)
    return code


def test_an_append_whose_loader_and_then_whose_server_was_killed_is_made_whole_by_the_same_command(
    loader: Loader, bundle: Bundle, folder: Catalogue
) -> None:
    before = exported(folder, loader.store)
    moments = np.random.default_rng(8).uniform(0.2, 0.6, size=2)
    code, _ = loader.interrupt(bundle, "append", "loader", moments[0])
    assert code == -signal.SIGKILL
    assert_no_halves(loader, bundle)
    code, said = loader.interrupt(bundle, "append", "server", moments[1])
    assert (code, "Traceback" in said) == (1, False)
    assert "the database does not answer" in said
    assert_no_halves(loader, bundle)
    loader.run(bundle, "append")
    assert_whole(loader.store, bundle, folder)
    assert exported(folder, loader.store) == before
    remove_network(loader.store, bundle.network)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(KILLS))
@pytest.mark.parametrize("who", ["loader", "server"])
def test_an_append_killed_at_a_random_moment_has_all_that_was_acknowledged_and_is_made_whole_by_the_same_command(
    loader: Loader, append_s: float, bundle: Bundle, folder: Catalogue, who: str, seed: int
) -> None:
    before = exported(folder, loader.store)
    after_s = np.random.default_rng([seed, len(who), 1]).uniform(0, append_s)
    kill_once(loader, bundle, "append", who, after_s, folder)
    assert exported(folder, loader.store) == before
    remove_network(loader.store, bundle.network)


# without the catalogue, since with claims in the database a bulk load is refused
def test_a_bulk_load_whose_loader_was_killed_is_made_whole_by_the_same_command(
    own_store: Store, bundle: Bundle, tmp_path: Path
) -> None:
    loader = Loader(own_store.settings, own_store, tmp_path / "told")
    code = kill_once(loader, bundle, "bulk", "loader", np.random.default_rng(9).uniform(0.3, 1.0))
    assert code == -signal.SIGKILL
    own_store.close()
    remove_network(own_store, bundle.network)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(BULK_KILLS))
@pytest.mark.parametrize("who", ["loader", "server"])
def test_a_bulk_load_killed_at_a_random_moment_is_made_whole_by_the_same_command(
    own_store: Store, bulk_s: float, bundle: Bundle, tmp_path: Path, who: str, seed: int
) -> None:
    loader = Loader(own_store.settings, own_store, tmp_path / "told")
    kill_once(loader, bundle, "bulk", who, np.random.default_rng([seed, len(who), 2]).uniform(0, bulk_s))
    own_store.close()
    remove_network(own_store, bundle.network)
