"""Killed in the middle of a load, the loader or the server: the same command again makes it whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.testing.bundles import write_synthetic_bundle
from tests.store.graph_truth import ask, bundle_totals, totals

STRONG = ("excites", "inhibits", "mixes")


@dataclass
class Loader:
    """`circuitgraph load` in a process of its own."""

    settings: Settings
    store: Store

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
        command = [str(Path(sys.executable).parent / "circuitgraph"), "load", str(bundle.path), "--way", way]
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
            _, said = process.communicate(timeout=200)
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
            _, said = process.communicate(timeout=200)
        return process.returncode, said

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
def loader(own_settings: Settings, own_store: Store) -> Iterator[Loader]:
    yield Loader(own_settings, own_store)
    own_store.close()


@pytest.fixture
def bundle(tmp_path: Path, loader: Loader, request: pytest.FixtureRequest) -> Iterator[Bundle]:
    width = 256 if request.node.get_closest_marker("slow") else 128
    yield write_synthetic_bundle(tmp_path / "stopped.circuit", network="stopped", unit_counts=(3, *[width] * 4))
    loader.store.close()
    remove_network(loader.store, "stopped")


def assert_whole(store: Store, bundle: Bundle) -> None:
    store.close()
    found, expected = totals(store, bundle.network), bundle_totals(bundle)
    assert {pair: count for pair, (count, _) in found.items()} == {pair: count for pair, (count, _) in expected.items()}
    for pair, (_, l1) in expected.items():
        assert found[pair][1] == pytest.approx(l1, rel=1e-6), pair
    for flag in STRONG:
        text = f"MATCH (:Unit {{network: $network}})-[e:{flag.upper()}]->() RETURN count(e)"
        count = sum(int(np.sum(bundle.edges(layer.uid)[flag].to_numpy())) for layer in bundle.layers[1:])
        assert ask(store, text, network=bundle.network) == [[count]], flag
    kept = ask(store, "MATCH (u:Unit {network: $network})-[:IN]->(l) RETURN count(*)", network=bundle.network)
    assert kept == [[bundle.manifest.counts["units"]]]
    assert ask(store, "MATCH (b:LoadBatch) RETURN count(b)") == [[0]]
    assert ask(store, "MATCH (m:Meta) WHERE NOT m.is_complete RETURN m.network") == []
    assert ask(store, "SHOW INDEXES YIELD name, state WHERE state <> 'ONLINE' RETURN name") == []
    homes = list((store.settings.data_dir / "server" / "homes").iterdir())
    assert len(homes) == 1, homes


def test_an_append_whose_loader_and_then_whose_server_was_killed_is_made_whole_by_the_same_command(
    loader: Loader, bundle: Bundle
) -> None:
    moments = np.random.default_rng(8).uniform(0.2, 0.6, size=2)
    code, _ = loader.interrupt(bundle, "append", "loader", moments[0])
    assert code == -signal.SIGKILL
    code, said = loader.interrupt(bundle, "append", "server", moments[1])
    assert (code, "Traceback" in said) == (1, False)
    assert "the database does not answer" in said
    loader.run(bundle, "append")
    assert_whole(loader.store, bundle)


def test_a_bulk_load_whose_loader_was_killed_is_made_whole_by_the_same_command(loader: Loader, bundle: Bundle) -> None:
    code, _ = loader.interrupt(bundle, "bulk", "loader", np.random.default_rng(9).uniform(0.3, 1.0))
    assert code == -signal.SIGKILL
    loader.run(bundle, "bulk")
    assert_whole(loader.store, bundle)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "way"), [("loader", "append"), ("loader", "bulk"), ("server", "append"), ("server", "bulk")]
)
def test_a_load_that_was_killed_at_random_moments_is_made_whole_by_the_same_command(
    loader: Loader, bundle: Bundle, who: str, way: str
) -> None:
    loader.run(bundle, way)
    remove_network(loader.store, bundle.network)
    loader.store.close()
    whole_s = loader.run(bundle, way)
    rng = np.random.default_rng(sum(map(ord, who + way)))
    for after_s in rng.uniform(0, whole_s, size=3):
        remove_network(loader.store, bundle.network)
        code, said = loader.interrupt(bundle, way, who, float(after_s))
        print(f"{who} killed {after_s:.2f} s of {whole_s:.2f} s into {way}: exit code {code}, {said.strip()[-200:]!r}")
        if code:
            loader.run(bundle, way)
        assert_whole(loader.store, bundle)
