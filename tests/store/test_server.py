"""The managed server: one process per folder, private, and back after whatever ended it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from neo4j import GraphDatabase

from circuitgraph.errors import PortTakenError, ProvisionError, ServerError, SettingsError
from circuitgraph.settings import Settings
from circuitgraph.store.conf import limits_conf, memory_bytes, server_conf
from circuitgraph.store.homes import process_mark
from circuitgraph.store.rebuild import remove_strays, strays_of
from circuitgraph.store.server import ManagedServer

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def own(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedServer]:
    """A server that a test may stop and kill, in a folder whose name is not plain."""
    folder = tmp_path_factory.mktemp("own") / "my dätä"
    server = ManagedServer(server_settings.model_copy(update={"data_dir": folder}))
    yield server
    server.destroy()


@pytest.fixture
def fresh(server_settings: Settings, tmp_path: Path) -> Iterator[ManagedServer]:
    server = ManagedServer(server_settings.model_copy(update={"data_dir": tmp_path / "data"}))
    yield server
    server.destroy()


def ask(server: ManagedServer, cypher: str) -> list[list[object]]:
    with GraphDatabase.driver(server.uri, auth=(server.user, server.password())) as driver:
        return [record.values() for record in driver.execute_query(cypher).records]


def kill(server: ManagedServer) -> None:
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(20)


def test_a_second_start_finds_the_server_running(own: ManagedServer) -> None:
    first = own.start()
    again = own.start()
    assert again.was_running
    assert (again.pid, again.uri) == (first.pid, first.uri)
    assert ask(own, "RETURN 1") == [[1]]


def test_a_stop_ends_the_process_and_the_next_start_keeps_address_password_and_data(own: ManagedServer) -> None:
    before = own.start()
    password = own.password()
    ask(own, "CREATE (:Kept)")
    assert own.stop()
    assert not psutil.pid_exists(before.pid or 0)
    assert not own.stop()
    assert not own.status().is_running
    with pytest.raises(ServerError, match="does not run") as caught:
        _ = own.uri
    assert "circuitgraph server start" in caught.value.hint
    after = own.start()
    assert not after.was_running
    assert (after.uri, own.password()) == (before.uri, password)
    assert ask(own, "MATCH (n:Kept) DELETE n RETURN count(n)") == [[1]]


def test_a_killed_server_starts_again_with_all_that_was_acknowledged(own: ManagedServer) -> None:
    own.start()
    ask(own, "UNWIND range(1, 1000) AS i CREATE (:Acknowledged {i: i})")
    kill(own)
    assert not own.status().is_running
    own.start()
    assert ask(own, "MATCH (n:Acknowledged) RETURN sum(n.i)") == [[500500]]


def write_state(server: ManagedServer, text: str) -> None:
    path = server.settings.data_dir / "server" / "server.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_a_recycled_pid_is_not_taken_for_the_server_and_not_ended(fresh: ManagedServer) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other, socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        began = psutil.Process(other.pid).create_time()
        uri = f"bolt://127.0.0.1:{busy.getsockname()[1]}"
        # the pid lives, but its process began at another time than the server did
        write_state(fresh, json.dumps({"pid": other.pid, "started": began - 1000, "uri": uri}))
        assert not fresh.status().is_running
        assert not fresh.stop()
        assert other.poll() is None
        other.communicate(b"\n")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "1"}', '{"pid": 1, "started": "x", "uri": 3}'])
def test_a_broken_state_file_reads_as_not_running(fresh: ManagedServer, text: str) -> None:
    write_state(fresh, text)
    assert not fresh.status().is_running
    assert not fresh.stop()


def test_all_but_the_owner_are_kept_out(own: ManagedServer) -> None:
    own.start()
    root = own.settings.data_dir / "server"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for name in ("password", "server.json", "current", "port"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o600
    assert own.home is not None
    for folder in (own.home.path, own.home.path / "data", own.home.conf_dir):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_only_the_loopback_is_listened_on(own: ManagedServer) -> None:
    status = own.start()
    heard = [c.laddr for c in psutil.Process(status.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [(place.ip.removeprefix("::ffff:"), f"bolt://127.0.0.1:{place.port}") for place in heard] == [
        ("127.0.0.1", status.uri)
    ]


def test_everything_of_the_database_lies_in_its_home(own: ManagedServer) -> None:
    own.start()
    assert own.home is not None
    assert (own.home.path / "data" / "databases" / "neo4j").is_dir()
    assert own.status().disk_bytes > 0
    assert {path.name for path in own.settings.data_dir.iterdir()} == {"server", "server.lock"}
    assert {path.name for path in own.settings.data_dir.parent.iterdir()} == {own.settings.data_dir.name}


def test_the_password_is_in_no_log_and_no_command_line(fresh: ManagedServer) -> None:
    home = fresh.new_home()
    seen: set[str] = set()
    is_done = threading.Event()

    def look() -> None:
        while not is_done.is_set():
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    seen.add(" ".join(child.cmdline()))

    looking = threading.Thread(target=look)
    looking.start()
    fresh.run_admin(["dbms", "set-initial-password", fresh.password()], home=home)
    is_done.set()
    looking.join()
    assert any(f"@{home.path}" in line for line in seen)
    assert fresh.password() not in "\n".join(seen)
    assert len(fresh.password()) == 48
    for path in home.path.rglob("*"):
        assert not path.is_file() or fresh.password().encode() not in path.read_bytes()


def test_a_port_that_is_taken_is_named_with_the_way_out(fresh: ManagedServer) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = ManagedServer(fresh.settings.model_copy(update={"bolt_port": port}))
        with pytest.raises(PortTakenError, match=str(port)) as caught:
            server.start()
    assert "CIRCUITGRAPH_BOLT_PORT" in caught.value.hint
    assert not server.status().is_running


def test_a_server_that_takes_too_long_is_ended(fresh: ManagedServer) -> None:
    hasty = ManagedServer(fresh.settings.model_copy(update={"start_timeout_s": 0.2}))
    before = set(psutil.Process().children())
    with pytest.raises(ServerError, match=r"did not answer within 0\.2 s") as caught:
        hasty.start()
    assert "CIRCUITGRAPH_START_TIMEOUT_S" in caught.value.hint
    assert set(psutil.Process().children()) == before
    assert not hasty.status().is_running


def test_a_server_that_ends_by_itself_is_shown_with_its_words(fresh: ManagedServer) -> None:
    greedy = ManagedServer(fresh.settings.model_copy(update={"heap": "9999999g"}))
    with pytest.raises(ServerError, match=r"(?s)ended by itself.*heap"):
        greedy.start()
    assert not greedy.status().is_running


def test_java_and_heap_are_looked_at_before_anything_is_made(fresh: ManagedServer, tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="there is no"):
        ManagedServer(fresh.settings.model_copy(update={"java_home": tmp_path / "nothing"})).start()
    with pytest.raises(SettingsError, match="it needs 256m"):
        ManagedServer(fresh.settings.model_copy(update={"heap": "100m"})).start()
    assert not fresh.status().is_running


def test_a_data_folder_that_is_a_file_is_named(server_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = ManagedServer(server_settings.model_copy(update={"data_dir": tmp_path / "file"}))
    with pytest.raises(ServerError, match="file"):
        server.start()


def test_a_disk_without_room_is_said_before_the_server_is_started(server_settings: Settings, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from circuitgraph.errors import DiskFullError\n"
        "from circuitgraph.settings import Settings\n"
        "from circuitgraph.store.server import ManagedServer\n"
        "try:\n"
        "    ManagedServer(Settings.model_validate_json(sys.argv[1])).start()\n"
        "except DiskFullError as error:\n"
        "    print(error)\n"
    )
    settings = server_settings.model_copy(update={"data_dir": tmp_path / "small" / "data"})
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=5m tmpfs '{tmp_path}/small' && exec \"$@\""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this system does not let a user mount a small file system (unshare --mount)")
    command += [sys.executable, "-c", code, settings.model_dump_json()]
    told = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=60).stdout
    assert re.search(r"needs 314,572,800 free bytes, but there are 5,\d{3},\d{3}\.", told)


def test_two_processes_that_start_at_once_get_one_server_which_outlives_them(own: ManagedServer) -> None:
    own.stop()
    code = (
        "import sys\n"
        "from circuitgraph.settings import Settings\n"
        "from circuitgraph.store.server import ManagedServer\n"
        "print(ManagedServer(Settings.model_validate_json(sys.argv[1])).start().pid)\n"
    )
    command = [sys.executable, "-c", code, own.settings.model_dump_json()]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(2)]
    told = [starter.communicate(timeout=120)[0].strip() for starter in starters]
    assert told[0] == told[1] == str(own.status().pid)
    assert ask(own, "RETURN 1") == [[1]]


def test_a_database_made_beside_takes_the_place_of_the_live_one(own: ManagedServer, tmp_path: Path) -> None:
    own.start()
    old = own.home
    assert old is not None
    ask(own, "MATCH (n) DETACH DELETE n")
    ask(own, "CREATE (:Old)")
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("uid:ID,:LABEL\na,New\nb,New\n")
    home = own.new_home()
    lines: list[str] = []
    args = ["database", "import", "full", "neo4j", f"--nodes={nodes}"]
    result = own.run_admin(args, home=home, heap="512m", on_line=lines.append)
    assert "IMPORT DONE" in result.output.upper()
    assert lines == result.output.splitlines()
    assert ask(own, "MATCH (n) RETURN labels(n)[0]") == [["Old"]]

    own.swap(home)

    assert not own.status().is_running
    own.start()
    assert own.home == home
    assert not old.path.exists()
    assert ask(own, "MATCH (n) RETURN labels(n)[0], count(n)") == [["New", 2]]


def test_a_home_left_by_a_process_that_ended_is_removed_and_one_in_use_is_not(fresh: ManagedServer) -> None:
    mine = fresh.new_home()
    code = (
        "import os, sys\n"
        "from circuitgraph.settings import Settings\n"
        "from circuitgraph.store.server import ManagedServer\n"
        "print(ManagedServer(Settings.model_validate_json(sys.argv[1])).new_home().path, flush=True)\n"
        "os._exit(9)\n"
    )
    command = [sys.executable, "-c", code, fresh.settings.model_dump_json()]
    left = Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY).stdout.strip())
    assert left.is_dir()
    fresh.new_home()
    assert not left.exists()
    assert mine.path.exists()
    fresh.discard(mine)
    assert not mine.path.exists()


def test_a_tool_that_outlived_the_process_that_began_it_is_seen_and_ended(fresh: ManagedServer) -> None:
    home = fresh.new_home()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as tool:
        (home.path / "admin.json").write_text(json.dumps(process_mark(tool.pid)))
        assert (strays_of(fresh), remove_strays(fresh)) == ([], [])
        assert home.path.exists()
        # as if this process, whose home it is, had ended
        (home.path / "owner.json").unlink()
        assert strays_of(fresh) == [tool.pid]
        assert remove_strays(fresh) == [tool.pid]
        assert not psutil.pid_exists(tool.pid)
    assert not home.path.exists()
    assert strays_of(fresh) == []


def test_the_last_step_of_a_recovery_is_read_from_the_log(fresh: ManagedServer) -> None:
    home = fresh.new_home()
    assert home.recovery == ""
    log = home.path / "logs" / "debug.log"
    log.write_text("x" * 100_000 + '{"message":"[neo4j/1]  10% completed"}\n{"message":"[neo4j/1]  20% completed"}\n')
    assert home.recovery == "20% completed"
    log.write_text(log.read_text() + "y" * 100_000)
    assert home.recovery == ""


def test_what_the_admin_tool_refuses_is_told_in_its_words(fresh: ManagedServer) -> None:
    with pytest.raises(ServerError, match=r"(?s)neo4j-admin database impart.*exit code.*impart"):
        fresh.run_admin(["database", "impart"], home=fresh.new_home())


def test_the_server_is_down_within_offline_and_up_after_it(own: ManagedServer) -> None:
    own.start()
    with own.offline() as home:
        assert home == own.home
        assert not own.status().is_running
    assert own.status().is_running


def test_transactions_fit_into_the_heap() -> None:
    conf = server_conf(port=7687, heap="1g", page_cache="512m")
    one, all_together = conf["db.memory.transaction.max"], conf["dbms.memory.transaction.total.max"]
    assert memory_bytes(one) < memory_bytes(all_together) < memory_bytes("1g")
    assert conf["server.bolt.listen_address"] == "127.0.0.1:7687"
    assert limits_conf(heap="1g", page_cache="512m").items() <= conf.items()
