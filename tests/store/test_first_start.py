"""The first start on a bare machine, from the command line, with a mirror that writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from circuitgraph.settings import Settings
from circuitgraph.store.provision import lock_path, provision_jars, read_lock

REPOSITORY = Path(__file__).parents[2]


class Mirror:
    """A repository on the loopback that serves the jars of a folder and logs who asks for what."""

    def __init__(self, folder: Path) -> None:
        self.by_path = {jar.path: folder / jar.name for jar in read_lock()}
        self.log: list[str] = []
        self.sent_bytes = 0
        self.waits_after: int | None = None
        self.is_waiting = threading.Event()
        self.goes_on = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.log.append(self.path)
                file = mirror.by_path.get(self.path.removeprefix("/repo/"))
                if file is None:
                    self.send_error(404)
                    return
                if mirror.waits_after is not None and mirror.sent_bytes >= mirror.waits_after:
                    mirror.is_waiting.set()
                    mirror.goes_on.wait(60)
                content = file.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    return
                mirror.sent_bytes += len(content)

            do_CONNECT = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.goes_on.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def cached(server_settings: Settings) -> Path:
    """The jars of the user's cache, fetched once."""
    assert server_settings.jars_dir is not None
    version = lock_path().stem.removeprefix("neo4j-")
    return provision_jars(server_settings.jars_dir / f"neo4j-{version}").folder


@pytest.fixture
def mirror(cached: Path) -> Iterator[Mirror]:
    made = Mirror(cached)
    yield made
    made.close()


@pytest.fixture
def elsewhere(cached: Path) -> Iterator[Mirror]:
    """A proxy that is named for every other host, and is to hear nothing."""
    made = Mirror(cached)
    yield made
    made.close()


@pytest.fixture
def environment(tmp_path: Path, mirror: Mirror, elsewhere: Mirror) -> dict[str, str]:
    tools = tmp_path / "no java here"
    tools.mkdir()
    return {
        "PATH": str(tools),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "CIRCUITGRAPH_DATA_DIR": str(tmp_path / "data"),
        "CIRCUITGRAPH_CONFIG": str(tmp_path / "config.toml"),
        "CIRCUITGRAPH_MAVEN_MIRROR": f"{mirror.address}/repo",
        "CIRCUITGRAPH_HEAP": "512m",
        "CIRCUITGRAPH_PAGE_CACHE": "64m",
        "http_proxy": elsewhere.address,
        "https_proxy": elsewhere.address,
        "no_proxy": "127.0.0.1",
    }


def circuitgraph(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    code = "from circuitgraph.cli.main import main; main()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=environment["HOME"])


@pytest.mark.slow
def test_a_bare_machine_has_a_server_at_the_first_command_and_is_told_so_at_the_second(
    tmp_path: Path, environment: dict[str, str], mirror: Mirror, elsewhere: Mirror, cached: Path
) -> None:
    environment["PYTHONPATH"] = str(REPOSITORY)
    try:
        first = circuitgraph(environment, "server", "start")
        assert (first.returncode, " runs at bolt://127.0.0.1:" in first.stdout) == (0, True), first.stderr
        assert "fetching 229 jars of Neo4j" in first.stderr
        assert sorted(mirror.log) == sorted(f"/repo/{path}" for path in mirror.by_path)
        second = circuitgraph(environment, "server", "start")
        assert (second.returncode, " already runs at " in second.stdout) == (0, True)

        server = tmp_path / "data" / "server"
        secret = (server / "password").read_text().strip()
        assert stat.S_IMODE(server.stat().st_mode) == 0o700
        assert stat.S_IMODE((server / "password").stat().st_mode) == 0o600
        lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
        assert not [line for line in lines if secret in line]
        assert [line for line in lines if str(server) in line]
        logs = list(server.glob("homes/*/logs/*"))
        assert logs
        assert not [path for path in logs if secret.encode() in path.read_bytes()]
        shown = circuitgraph(environment, "config", "show")
        assert shown.returncode == 0
        assert secret not in shown.stdout + shown.stderr + first.stdout + first.stderr

        assert circuitgraph(environment, "server", "stop").returncode == 0
        jar = max((tmp_path / "data" / "jars").rglob("neo4j-kernel-2*.jar"))
        content = bytearray(jar.read_bytes())
        content[len(content) // 2] ^= 1
        jar.write_bytes(content)
        mirror.log.clear()
        third = circuitgraph(environment, "server", "start", "--quiet")
        assert third.returncode == 0, third.stderr
        assert [path.rpartition("/")[2] for path in mirror.log] == [jar.name]
        assert jar.read_bytes() == (cached / jar.name).read_bytes()
    finally:
        circuitgraph(environment, "server", "stop")
    assert elsewhere.log == []


def test_a_wrong_sha256_in_the_lock_ends_with_the_name_of_the_jar_and_leaves_nothing_of_it(
    tmp_path: Path, environment: dict[str, str], elsewhere: Mirror
) -> None:
    shutil.copytree(REPOSITORY / "circuitgraph", tmp_path / "copy" / "circuitgraph")
    environment["PYTHONPATH"] = str(tmp_path / "copy")
    lock = tmp_path / "copy" / "circuitgraph" / "store" / lock_path().name
    head, *lines = lock_path().read_text(encoding="ascii").splitlines()
    small = sorted(lines, key=lambda line: int(line.split("\t")[4]))[:3]
    cells = small[1].split("\t")
    true = cells[5]
    cells[5] = f"{'0' if true[0] != '0' else '1'}{true[1:]}"
    lock.write_text("\n".join([head, small[0], "\t".join(cells), small[2]]) + "\n", encoding="ascii")
    done = circuitgraph(environment, "server", "start")
    assert done.returncode == 1
    told = " ".join(done.stderr.split())
    assert f"{cells[1]}-{cells[2]}" in told and true in told.replace(" ", "") and cells[5] in told.replace(" ", "")
    assert "Traceback" not in told
    left = {path.name for path in (tmp_path / "data" / "jars").rglob("*") if path.is_file()}
    assert not [name for name in left if name.startswith(cells[1]) or name.endswith(".part")]
    assert not list((tmp_path / "data").glob("server/homes/*"))
    assert elsewhere.log == []


def test_a_fetch_that_was_killed_at_half_goes_on_from_there(
    tmp_path: Path, environment: dict[str, str], mirror: Mirror, elsewhere: Mirror
) -> None:
    environment["PYTHONPATH"] = str(REPOSITORY)
    total = sum(path.stat().st_size for path in mirror.by_path.values())
    mirror.waits_after = total // 2
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from circuitgraph.store.provision import provision_jars\n"
        "provision_jars(Path(sys.argv[1]), mirror=sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "jars"), f"{mirror.address}/repo"]
    with subprocess.Popen(command, env=environment) as process:
        assert mirror.is_waiting.wait(120)
        process.kill()
    mirror.waits_after = None
    mirror.goes_on.set()
    report = provision_jars(tmp_path / "jars", mirror=f"{mirror.address}/repo")
    assert 0 < report.fetched_bytes < 0.75 * total
    assert report.fetched_bytes + report.kept_bytes == total
    assert not list((tmp_path / "jars").glob("*.part"))
    assert {path.name for path in (tmp_path / "jars").iterdir()} == {path.name for path in mirror.by_path.values()}
    assert elsewhere.log == []


def test_a_folder_whose_name_java_would_take_for_two_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["PYTHONPATH"] = str(REPOSITORY)
    environment["CIRCUITGRAPH_DATA_DIR"] = str(tmp_path / f"a{os.pathsep}b")
    done = circuitgraph(environment, "server", "start")
    told = " ".join(done.stderr.split())
    assert done.returncode == 1 and f"has a {os.pathsep!r} in its name" in told
    assert "CIRCUITGRAPH_JARS_DIR" in told
