"""Backups: what was dumped comes back whole, and nothing that is not a dump harms what is there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MissingFileError, ServerError
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.dump import dump_database, restore_database
from circuitgraph.store.server import ManagedServer
from circuitgraph.testing.bundles import write_synthetic_bundle

REPOSITORY = Path(__file__).parents[2]
SUMS = (
    "MATCH (a:Unit)-[e:CONNECTS]->(b:Unit) RETURN a.layer AS up, b.layer AS down, count(e) AS edges, "
    "sum(e.sum) AS total, sum(e.l1) AS absolute ORDER BY up, down"
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_synthetic_bundle(tmp_path_factory.mktemp("bundle") / "dumped.circuit", network="dumped", seed=5)


@pytest.fixture(scope="module")
def loaded(
    server_settings: Settings, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ManagedServer]:
    """A server of its own that holds one network and a node that is in no bundle."""
    server = ManagedServer(server_settings.model_copy(update={"data_dir": tmp_path_factory.mktemp("dump ö")}))
    with Store(server.settings, server=server) as store:
        store.load(bundle)
        store.run("CYPHER 5 CREATE (:Own {text: 'süß'})", write=True)
    yield server
    server.destroy()


@pytest.fixture(scope="module")
def dumped(loaded: ManagedServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dumps") / "a dump.dump"
    assert dump_database(loaded, path).size_bytes == path.stat().st_size > 0
    return path


def contents(server: ManagedServer) -> list[list[dict[str, object]]]:
    with Store(server.settings, server=server) as store:
        nodes = "MATCH (n) RETURN labels(n) AS labels, count(n) AS n ORDER BY labels"
        return [store.run(text) for text in (nodes, "MATCH (n:Own) RETURN n.text AS text", SUMS)]


def homes(server: ManagedServer) -> set[str]:
    return {path.name for path in (server.settings.data_dir / "server" / "homes").iterdir()}


@pytest.mark.slow
def test_what_was_dumped_and_destroyed_comes_back_with_the_same_counts_and_sums(
    loaded: ManagedServer, dumped: Path
) -> None:
    before = contents(loaded)
    assert before[1] == [{"text": "süß"}] and before[2]
    loaded.destroy()

    report = restore_database(loaded, dumped)

    assert not report.is_running and not loaded.status().is_running
    assert report.networks == ("dumped",)
    assert contents(loaded) == before
    assert report.node_count == sum(row["n"] for row in before[0])  # type: ignore[misc]
    assert len(homes(loaded)) == 1
    assert not list(dumped.parent.glob(".*"))


@pytest.mark.slow
def test_a_database_is_replaced_only_when_asked_and_by_what_is_whole(
    loaded: ManagedServer, dumped: Path, tmp_path: Path
) -> None:
    loaded.start()
    with pytest.raises(ServerError, match="there is a database already") as caught:
        restore_database(loaded, dumped)
    assert "--replace" in caught.value.hint
    before, home, pid = contents(loaded), loaded.home, loaded.status().pid
    whole = dumped.read_bytes()
    half, flipped, foreign = (tmp_path / name for name in ("half.dump", "flipped.dump", "foreign.dump"))
    half.write_bytes(whole[: len(whole) // 2])
    place = len(whole) // 3
    flipped.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    foreign.write_bytes(b"PK\x03\x04" + b"not a dump" * 100)
    for path in (half, flipped, foreign):
        with pytest.raises(ServerError, match="no dump of a Neo4j database, or it is damaged") as caught:
            restore_database(loaded, path, replace=True)
        assert str(path) in caught.value.message and caught.value.hint
    with pytest.raises(MissingFileError, match=r"none\.dump: there is no such file"):
        restore_database(loaded, tmp_path / "none.dump", replace=True)
    assert (loaded.home, loaded.status().pid, contents(loaded)) == (home, pid, before)
    assert len(homes(loaded)) == 1


@pytest.mark.slow
def test_a_restore_over_a_running_server_goes_back_and_leaves_it_running(loaded: ManagedServer, dumped: Path) -> None:
    loaded.start()
    with Store(loaded.settings, server=loaded) as store:
        store.run("CYPHER 5 MATCH (n:Own) SET n.text = 'changed' CREATE (:Later)", write=True)
    assert restore_database(loaded, dumped, replace=True).is_running
    assert loaded.status().is_running
    found = contents(loaded)
    assert found[1] == [{"text": "süß"}]
    assert ["Later"] not in [row["labels"] for row in found[0]]


@pytest.mark.slow
def test_a_file_that_is_there_is_not_overwritten_unless_asked(loaded: ManagedServer, tmp_path: Path) -> None:
    path = tmp_path / "kept.dump"
    path.write_text("precious")
    with pytest.raises(ServerError, match="the file exists") as caught:
        dump_database(loaded, path)
    assert "--replace" in caught.value.hint
    assert path.read_text() == "precious"
    with pytest.raises(MissingFileError, match="there is no folder"):
        dump_database(loaded, tmp_path / "no" / "such.dump")
    with pytest.raises(ServerError, match="it is a folder"):
        dump_database(loaded, tmp_path, replace=True)


def test_a_dump_before_there_is_a_database_says_so(server_settings: Settings, tmp_path: Path) -> None:
    server = ManagedServer(server_settings.model_copy(update={"data_dir": tmp_path / "none"}))
    with pytest.raises(ServerError, match="there is no database yet"):
        dump_database(server, tmp_path / "a.dump")
    assert not (tmp_path / "a.dump").exists()


@pytest.mark.slow
def test_a_killed_server_is_put_in_order_before_it_is_dumped(loaded: ManagedServer, tmp_path: Path) -> None:
    loaded.start()
    before = contents(loaded)
    with Store(loaded.settings, server=loaded) as store:
        store.run("CYPHER 5 CREATE (:Acknowledged)", write=True)
    pid = loaded.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(20)
    path = tmp_path / "after.dump"
    dump_database(loaded, path)
    assert not loaded.status().is_running
    restore_database(loaded, path, replace=True)
    assert {"labels": ["Acknowledged"], "n": 1} in contents(loaded)[0]
    with Store(loaded.settings, server=loaded) as store:
        store.run("CYPHER 5 MATCH (n:Acknowledged) DELETE n", write=True)
    assert contents(loaded) == before


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.3, 1.5, 3.0, 6.0, 9.0, 12.0])
@pytest.mark.parametrize("act", ["dump", "restore"])
def test_a_kill_on_the_way_leaves_the_database_and_the_dump_as_they_were(
    loaded: ManagedServer, dumped: Path, act: str, after_s: float
) -> None:
    loaded.start()
    before, whole = contents(loaded), dumped.read_bytes()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from circuitgraph.settings import Settings\n"
        "from circuitgraph.store import dump\n"
        "from circuitgraph.store.server import ManagedServer\n"
        "server = ManagedServer(Settings.model_validate_json(sys.argv[1]))\n"
        "getattr(dump, sys.argv[2] + '_database')(server, Path(sys.argv[3]), replace=True)\n"
    )
    command = [sys.executable, "-c", code, loaded.settings.model_dump_json(), act, str(dumped)]
    with subprocess.Popen(command, cwd=REPOSITORY) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()
    loaded.start()
    assert contents(loaded) == before
    # a dump that was finished is another file; it holds the same
    if act == "restore":
        assert dumped.read_bytes() == whole
    restore_database(loaded, dumped, replace=True)
    assert contents(loaded) == before
    assert len(homes(loaded)) == 1


@pytest.mark.slow
def test_a_disk_without_room_for_the_dump_is_said_and_the_database_stays(loaded: ManagedServer, tmp_path: Path) -> None:
    before = contents(loaded)
    loaded.stop()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from circuitgraph.errors import DiskFullError\n"
        "from circuitgraph.settings import Settings\n"
        "from circuitgraph.store.dump import dump_database\n"
        "from circuitgraph.store.server import ManagedServer\n"
        "try:\n"
        "    dump_database(ManagedServer(Settings.model_validate_json(sys.argv[1])), Path(sys.argv[2]))\n"
        "except DiskFullError as error:\n"
        "    print(error)\n"
        "print(sorted(path.name for path in Path(sys.argv[2]).parent.iterdir()))\n"
    )
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=64k tmpfs '{small}' && exec \"$@\""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            arguments = [loaded.settings.model_dump_json(), str(small / "a.dump")]
            done = subprocess.run(
                [*command, sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=REPOSITORY
            )
            assert f"no room is left in {small}" in done.stdout, done.stderr
            assert done.stdout.endswith("[]\n")
            assert contents(loaded) == before
            return
    pytest.skip("this system does not let a user mount a small file system (unshare --mount)")


@pytest.mark.slow
def test_the_commands_dump_and_restore(loaded: ManagedServer, tmp_path: Path) -> None:
    before = contents(loaded)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
    for name in ("data_dir", "jars_dir", "heap", "page_cache"):
        environment[f"CIRCUITGRAPH_{name.upper()}"] = str(getattr(loaded.settings, name))

    def run(*words: str) -> tuple[int, str]:
        command = [Path(sys.executable).parent / "circuitgraph", "server", *words, "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=REPOSITORY)
        return done.returncode, done.stdout + done.stderr

    out = str(tmp_path / "b.dump")
    code, told = run("dump", "-o", out)
    assert code == 0 and told.startswith(f"{out}: ")
    code, told = run("restore", out)
    assert code == 1 and "give --replace" in told
    code, told = run("restore", out, "--replace")
    assert code == 0 and told.endswith("relationships: dumped.\n")
    assert contents(loaded) == before


@pytest.mark.slow
def test_a_bundle_alone_is_enough_to_begin_again(loaded: ManagedServer, bundle: Bundle) -> None:
    before = contents(loaded)[2]
    loaded.destroy()
    with Store(loaded.settings, server=loaded) as store:
        store.load(bundle)
    assert contents(loaded)[2] == before
