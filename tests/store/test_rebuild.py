"""A database made anew beside the live one: nothing is lost, and whatever happens one of the two is there, whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Author, Catalogue, Claim
from circuitgraph.catalogue.store_check import check_store
from circuitgraph.catalogue.store_rebuild import rebuild_store
from circuitgraph.catalogue.stored import StoreCatalogue
from circuitgraph.catalogue.sync import sync
from circuitgraph.errors import DiskFullError, LoadError
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.claims import drop_catalogue
from circuitgraph.store.load import check_room
from circuitgraph.store.motifs import save_motifs
from circuitgraph.store.rebuild import remove_strays, strays_of
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.testing.catalogue import made_circuit, made_claims, made_families, made_features
from tests.store.graph_truth import ask, bundle_totals, graph_of, totals
from tests.store.test_interrupt import exported, kill

KILLS = 20
SEEDS = range(KILLS)
Start = Callable[[Path], subprocess.Popen[str]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_synthetic_bundle(tmp_path_factory.mktemp("rebuild") / "con.circuit", network="con")


@pytest.fixture(scope="module")
def store(checked_store: Store, bundle: Bundle) -> Iterator[Store]:
    checked_store.load(bundle)
    yield checked_store
    drop_catalogue(checked_store)
    checked_store.run("CYPHER 5 MATCH (c:Circuit) DETACH DELETE c", write=True)
    remove_network(checked_store, "con")


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "catalogue", create=True) as opened:
        yield opened


def fill(catalogue: Catalogue) -> None:
    catalogue.add(made_claims())
    catalogue.add_features(made_features())
    catalogue.add_documents([*made_families(), made_circuit()])


def motif(bundle: Bundle, number: int) -> dict[str, object]:
    units = [f"con/layer1:{number}", f"con/layer2:{number}"]
    return {
        "uid": f"motif:{number:016x}",
        "network": "con",
        "motif": "pair",
        "score": 0.5,
        "roles": ["a", "b"],
        "positions": [0, 0],
        "units": units,
    }


def homes(store: Store) -> list[str]:
    return sorted(path.name for path in (store.settings.data_dir / "server" / "homes").iterdir())


def contents(store: Store, labels: str) -> list[list[object]]:
    return sorted(ask(store, f"MATCH (n:{labels}) RETURN labels(n), n.uid"), key=str)


@pytest.mark.slow
def test_a_rebuilt_database_holds_all_that_the_old_one_did_and_what_only_it_had_is_in_the_folder(
    store: Store, bundle: Bundle, folder: Catalogue
) -> None:
    fill(folder)
    sync(folder, store)
    only = Claim(subject="con/layer1:1", predicate="pure", author=Author(name="Ann"), date="2020-01-01")
    StoreCatalogue(store).add([only])
    save_motifs(store, "con", [motif(bundle, 1), motif(bundle, 2)], act="saving")
    ours = "Claim|Record|Feature|Family|Circuit|Motif|Evidence|Contributor"
    before, graph, home = contents(store, ours), graph_of(store, "con"), homes(store)
    assert only.id not in folder.ids()
    with pytest.raises(LoadError, match="20 claims") as refused:
        rebuild_store(store)
    assert "only in the database" in refused.value.message
    with pytest.raises(LoadError, match="circuitgraph rebuild"):
        store.load(write_synthetic_bundle(folder.folder / "more.circuit", network="more"), way="bulk")
    assert homes(store) == home
    report = rebuild_store(store, catalogue=folder)
    assert (report.taken_out, report.motifs_kept, report.motifs_dropped, report.lost) == (1, 2, 0, ())
    assert report.check.is_equal
    assert only.id in folder.ids()
    assert homes(store) != home
    assert len(homes(store)) == 1
    assert not (store.settings.data_dir / "server" / "beside").exists()
    assert contents(store, ours) == before
    assert graph_of(store, "con") == graph
    found_totals = totals(store, "con")
    for pair, (count, l1) in bundle_totals(bundle).items():
        assert found_totals[pair][0] == count
        assert found_totals[pair][1] == pytest.approx(l1, rel=1e-6)
    found = check_store(store, catalogue=folder, deep=True)
    assert [str(each) for each in found.differences] == []


def test_a_rebuild_without_room_leaves_the_live_database_as_it_was(
    store: Store, bundle: Bundle, folder: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(folder, store)
    home, graph = homes(store), graph_of(store, "con")
    assert store.server is not None
    with pytest.raises(DiskFullError, match="free bytes are needed"):
        check_room(store.server, [], lambda _: 1 << 60)
    monkeypatch.setattr("circuitgraph.store.rebuild.bulk_room", lambda _: 1 << 60)
    with pytest.raises(DiskFullError, match="free bytes are needed"):
        rebuild_store(store, [bundle], catalogue=folder)
    assert homes(store) == home
    assert graph_of(store, "con") == graph
    assert not (store.settings.data_dir / "server" / "beside").exists()


def test_a_server_that_is_not_managed_is_not_rebuilt(store: Store, bundle: Bundle) -> None:
    with pytest.raises(LoadError, match="not the managed server") as refused:
        rebuild_store(Store(store.settings), [bundle])
    assert "--repair" in refused.value.hint


@pytest.mark.slow
def test_a_server_that_was_told_to_stop_by_one_who_did_not_wait_is_started_again(store: Store) -> None:
    assert store.server is not None
    store.close()
    before = store.server.start()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGTERM)
    while store.server.status().is_running:
        pass
    after = store.server.start()
    assert after.is_running
    assert after.pid != before.pid
    assert ask(store, "RETURN 1") == [[1]]


@pytest.fixture(scope="module")
def start(store: Store, bundle: Bundle) -> Start:
    """Start `circuitgraph rebuild` in a process of its own."""
    settings = store.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
    environment |= {
        "CIRCUITGRAPH_CONFIG": str(settings.data_dir / "none.toml"),
        "CIRCUITGRAPH_DATA_DIR": str(settings.data_dir),
        "CIRCUITGRAPH_JARS_DIR": str(settings.jars_dir),
        "CIRCUITGRAPH_HEAP": settings.heap,
        "CIRCUITGRAPH_PAGE_CACHE": settings.page_cache,
    }
    command = [str(Path(sys.executable).parent / "circuitgraph"), "rebuild", str(bundle.path)]

    def begin(folder: Path) -> subprocess.Popen[str]:
        own = {**environment, "CIRCUITGRAPH_CATALOGUE": str(folder)}
        return subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    return begin


@pytest.fixture(scope="module")
def whole_s(start: Start, store: Store, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a rebuild takes."""
    with Catalogue.open(tmp_path_factory.mktemp("whole") / "catalogue", create=True) as opened:
        fill(opened)
        sync(opened, store)
    store.close()
    began = time.monotonic()
    with start(opened.folder) as process:
        _, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return time.monotonic() - began


def assert_whole(store: Store, folder: Catalogue) -> None:
    store.close()
    assert [str(each) for each in check_store(store, catalogue=folder, deep=True).differences] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rebuild_killed_at_a_random_moment_leaves_one_of_the_two_and_the_same_command_finishes(
    store: Store,
    folder: Catalogue,
    start: Start,
    whole_s: float,
    seed: int,
) -> None:
    fill(folder)
    sync(folder, store)
    said = exported(folder, store)
    store.close()
    after_s = np.random.default_rng(seed).uniform(0, whole_s)
    with start(folder.folder) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            kill(process.pid)
        process.communicate(timeout=500)
        assert process.returncode in (0, -signal.SIGKILL)
    print(f"killed {after_s:.1f} s of {whole_s:.1f} s into a rebuild: exit code {process.returncode}")
    assert_whole(store, folder)
    assert exported(folder, store) == said
    with start(folder.folder) as process:
        _, err = process.communicate(timeout=500)
        assert process.returncode == 0, err
    assert_whole(store, folder)
    assert len(homes(store)) == 1
    assert not (store.settings.data_dir / "server" / "beside").exists()
    assert exported(folder, store) == said


@pytest.mark.slow
def test_a_server_that_a_killed_rebuild_left_beside_is_seen_and_ended(
    store: Store, folder: Catalogue, start: Start
) -> None:
    fill(folder)
    sync(folder, store)
    graph = graph_of(store, "con")
    assert store.server is not None
    state = store.settings.data_dir / "server" / "beside" / "server" / "server.json"
    with start(folder.folder) as process:
        while not state.exists() and process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        # what a process that lives works on stays
        assert (strays_of(store.server), remove_strays(store.server)) == ([], [])
        left = int(json.loads(state.read_text())["pid"])
        kill(process.pid)
        process.communicate(timeout=500)
    assert strays_of(store.server) == [left]
    assert remove_strays(store.server) == [left]
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
    assert strays_of(store.server) == []
    assert not (store.settings.data_dir / "server" / "beside").exists()
    assert graph_of(store, "con") == graph
