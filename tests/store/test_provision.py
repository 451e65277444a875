"""The jars of the managed server: had whole and right, or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from circuitgraph.errors import CircuitGraphError, DiskFullError, ProvisionError, SettingsError
from circuitgraph.store.provision import NEO4J_VERSION, Jar, find_java, provision_jars, read_lock


class Mirror:
    """A Maven repository on the loopback that serves what it is given and counts who asks."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: Counter[str] = Counter()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/repo/")
                mirror.asked[path] += 1
                content = mirror.files.get(path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if path in mirror.cut else content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/repo"

    def add(self, artifact: str, content: bytes, classifier: str = "") -> Jar:
        jar = Jar("org.example.deep", artifact, "1.0", classifier, len(content), hashlib.sha256(content).hexdigest())
        tail = f"-{classifier}" if classifier else ""
        self.files[f"org/example/deep/{artifact}/1.0/{artifact}-1.0{tail}.jar"] = content
        return jar


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Mirror()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def lock(mirror: Mirror) -> list[Jar]:
    return [
        mirror.add("one", b"1" * 1000),
        mirror.add("two", b"2" * 300_000),
        mirror.add("two", b"3" * 10, classifier="linux-x86_64"),
    ]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


ALL = {"one-1.0.jar", "two-1.0.jar", "two-1.0-linux-x86_64.jar"}


def test_an_empty_folder_is_filled_with_what_the_lock_says(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    report = provision_jars(tmp_path / "a b" / "jars", mirror=mirror.url, lock=lock)
    assert names(report.folder) == ALL
    assert (report.folder / "two-1.0-linux-x86_64.jar").read_bytes() == b"3" * 10
    assert (report.fetched_count, report.fetched_bytes, report.kept_count) == (3, 301_010, 0)


def test_what_is_right_is_not_fetched_again(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    provision_jars(tmp_path, mirror=mirror.url + "/", lock=lock[:2])
    report = provision_jars(tmp_path, mirror=mirror.url, lock=lock)
    assert (report.fetched_count, report.kept_count, report.kept_bytes) == (1, 2, 301_000)
    assert set(mirror.asked.values()) == {1}


def test_a_flipped_byte_on_the_disk_is_noticed_and_mended(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    provision_jars(tmp_path, mirror=mirror.url, lock=lock)
    jar = tmp_path / "two-1.0.jar"
    jar.write_bytes(b"2" * 299_999 + b"3")
    assert provision_jars(tmp_path, mirror=mirror.url, lock=lock).fetched_count == 1
    assert jar.read_bytes() == b"2" * 300_000


def test_jars_and_parts_that_are_not_locked_are_removed(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    for name in ("one-0.9.jar", "two-1.0.jar.part", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    report = provision_jars(tmp_path, mirror=mirror.url, lock=lock)
    assert report.removed == ("one-0.9.jar",)
    assert names(tmp_path) == {*ALL, "notes.txt"}


def test_a_jar_that_is_another_one_is_refused_with_both_hashes(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    mirror.files["org/example/deep/one/1.0/one-1.0.jar"] = b"0" + b"1" * 999
    with pytest.raises(ProvisionError) as caught:
        provision_jars(tmp_path, mirror=mirror.url, lock=lock[:1])
    for told in ("one-1.0.jar", hashlib.sha256(b"0" + b"1" * 999).hexdigest(), lock[0].sha256, mirror.url):
        assert told in caught.value.message
    assert caught.value.hint
    assert names(tmp_path) == set()


def test_a_longer_file_is_not_read_to_its_end(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    mirror.files["org/example/deep/one/1.0/one-1.0.jar"] = b"1" * 3_000_000
    with pytest.raises(ProvisionError, match=r"at least 262,144 bytes .* 1,000 bytes"):
        provision_jars(tmp_path, mirror=mirror.url, lock=lock[:1])
    assert names(tmp_path) == set()


def test_a_connection_that_breaks_leaves_the_finished_jars(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    provision_jars(tmp_path, mirror=mirror.url, lock=lock[:1])
    path = "org/example/deep/two/1.0/two-1.0.jar"
    mirror.cut.add(path)
    with pytest.raises(ProvisionError, match=r"two-1\.0\.jar"):
        provision_jars(tmp_path, mirror=mirror.url, lock=lock[:2])
    assert mirror.asked[path] == 3
    assert names(tmp_path) == {"one-1.0.jar"}
    mirror.cut.clear()
    assert provision_jars(tmp_path, mirror=mirror.url, lock=lock[:2]).kept_count == 1


def test_a_jar_that_the_repository_does_not_have_is_named(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    mirror.files.clear()
    with pytest.raises(ProvisionError, match=r"one-1\.0\.jar.*answers 404"):
        provision_jars(tmp_path, mirror=mirror.url, lock=lock[:1])


def test_a_repository_that_cannot_be_reached_is_named(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    mirror.server.server_close()
    with pytest.raises(ProvisionError, match=r"one-1\.0\.jar from http://127\.0\.0\.1.*refused") as caught:
        provision_jars(tmp_path, mirror=mirror.url, lock=lock[:1])
    assert "CIRCUITGRAPH_MAVEN_MIRROR" in caught.value.hint


def test_a_mirror_that_is_no_address_is_refused(tmp_path: Path, lock: list[Jar]) -> None:
    with pytest.raises(SettingsError, match="'/srv/maven'"):
        provision_jars(tmp_path, mirror="/srv/maven", lock=lock)


def test_two_at_once_fetch_each_jar_once(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    reports = []
    threads = [
        threading.Thread(target=lambda: reports.append(provision_jars(tmp_path, mirror=mirror.url, lock=lock)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.fetched_count for report in reports) == [0, 3]
    assert set(mirror.asked.values()) == {1}


def test_no_room_is_said_and_nothing_half_written_stays(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from circuitgraph.errors import DiskFullError\n"
        "from circuitgraph.store.provision import Jar, provision_jars\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "lock = [Jar('org.example.deep', 'two', '1.0', '', 300_000, sys.argv[3])]\n"
        "try:\n"
        "    provision_jars(Path(sys.argv[1]), mirror=sys.argv[2], lock=lock)\n"
        "except DiskFullError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), mirror.url, lock[1].sha256]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert "no room is left" in done.stdout
    assert str(tmp_path) in done.stdout
    assert names(tmp_path) == set()


def test_jars_larger_than_the_free_space_are_not_begun(tmp_path: Path, mirror: Mirror) -> None:
    huge = Jar("org.example.deep", "huge", "1.0", "", 1 << 60, "0" * 64)
    with pytest.raises(DiskFullError, match="1,152,921,504,606,846,976 bytes"):
        provision_jars(tmp_path, mirror=mirror.url, lock=[huge])
    assert not mirror.asked


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, lock: list[Jar]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProvisionError, match="file"):
        provision_jars(tmp_path / "file" / "jars", lock=lock)


def test_progress_adds_up_to_the_bytes_though_a_try_failed(tmp_path: Path, mirror: Mirror, lock: list[Jar]) -> None:
    class Told:
        total = 0.0
        done = 0.0

        def __enter__(self) -> Told:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def task(self, title: str, total: float | None = None, unit: str = "") -> Told:
            self.total = total or 0
            assert unit == "bytes"
            return self

        def advance(self, amount: float = 1) -> None:
            self.done += amount
            mirror.cut.clear()

        def describe(self, text: str) -> None:
            pass

        def note(self, text: str) -> None:
            pass

    told = Told()
    mirror.cut.add("org/example/deep/two/1.0/two-1.0.jar")
    provision_jars(tmp_path, mirror=mirror.url, lock=lock, progress=told)
    assert told.total == told.done == 301_010


def test_the_lock_that_ships_names_every_jar_once_and_the_import_of_parquet() -> None:
    jars = read_lock()
    assert len({jar.name for jar in jars}) == len(jars) > 200
    by_artifact = {jar.artifact: jar for jar in jars}
    assert by_artifact["neo4j-server"].version == NEO4J_VERSION
    assert {"woodstox-core", "hadoop-shaded-guava", "commons-collections4"} <= set(by_artifact)
    natives = [jar for jar in jars if jar.classifier]
    assert natives
    assert all(jar.name.endswith(f"-{jar.classifier}.jar") for jar in natives)


@pytest.mark.parametrize(
    "line", ["only\tthree\tcells", "g\ta/../..\t1\t\t5\t" + "0" * 64, "g\ta\t1\t\tmany\t" + "0" * 64]
)
def test_a_lock_with_a_wrong_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lock"
    path.write_text(f"group\tartifact\tversion\tclassifier\tsize\tsha256\n{line}\n")
    with pytest.raises(ProvisionError, match="line 2"):
        read_lock(path)


def test_java_comes_with_the_package() -> None:
    assert subprocess.run([find_java(), "-version"], capture_output=True, check=True).returncode == 0


def test_a_java_of_ones_own_is_taken() -> None:
    java = find_java()
    assert find_java(java.parent.parent) == java


@pytest.mark.parametrize(
    ("script", "fact"),
    [
        ("echo '    java.specification.version = 17' >&2", "it is Java 17, but Neo4j .* needs 21 or newer"),
        ("echo hello", "of no known version"),
        ("exit 3", "does not run"),
    ],
)
def test_a_java_that_does_not_serve_is_refused(tmp_path: Path, script: str, fact: str) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    with pytest.raises(ProvisionError, match=fact) as caught:
        find_java(tmp_path)
    assert "--java-home" in caught.value.hint


def test_a_folder_without_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CircuitGraphError, match=r"there is no .*java"):
        find_java(tmp_path)
