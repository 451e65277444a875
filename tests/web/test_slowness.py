"""Clients that send or read a byte now and then, and the explorer's end: against a real server."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from circuitgraph.catalogue import Catalogue, add_starter
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.web import slowness
from circuitgraph.web.server import listen, server_of
from tests.cli.running import COMMAND, environment
from tests.web.asking import COOKIE, Asking, asking
from tests.web.exploring import Explored

PATIENCE_S = 1.0
# the server looks once a second
LATE_S = PATIENCE_S + 1.5


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("slowness")) as opened:
        yield opened


@pytest.fixture
def port(opened: Asking, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server of the application, on a port of its own, that waits a second for anybody."""
    for name in ("_HEADERS_S", "_FORM_S", "_READING_S"):
        monkeypatch.setattr(slowness, name, PATIENCE_S)
    with listen("127.0.0.1", 0) as listening:
        server = server_of(opened.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def looks(port: int, path: str = "/") -> float:
    """Return how long an honest client waits for a page."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    assert b"<h1>" in answer.read()
    connection.close()
    return time.monotonic() - began


def waits(port: int, begun: bytes, drip: bytes = b"") -> float:
    """Return how long a client holds its connection that begins a request and then sends `drip` again and again."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        began = time.monotonic()
        client.sendall(begun)
        client.settimeout(0.1 if drip else 30)
        # a server that cuts one off resets the connection
        with contextlib.suppress(ConnectionError):
            while True:
                try:
                    if not client.recv(65_536):
                        break
                except TimeoutError:
                    assert drip
                    client.sendall(drip)
        return time.monotonic() - began


@pytest.mark.parametrize(
    ("begun", "drip"),
    [(b"", b""), (b"G", b"x"), (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x")],
    ids=["nothing", "the first line", "a header"],
)
def test_who_sends_headers_slowly_is_cut_off(port: int, begun: bytes, drip: bytes) -> None:
    assert waits(port, begun, drip) < LATE_S + 1
    assert looks(port) < 5


def test_who_sends_a_form_slowly_is_cut_off(port: int) -> None:
    begun = (
        f"POST /claims/new HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        f"Cookie: {COOKIE.replace('8470', str(port))}\r\nContent-Length: 100000\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\nsubject="
    ).encode()
    held = waits(port, begun, b"x")
    # the token was right, or it would have been refused at once
    assert PATIENCE_S <= held < LATE_S + 1
    chunked = begun.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked").replace(b"subject=", b"")
    assert PATIENCE_S <= waits(port, chunked, b"1\r\nx\r\n") < LATE_S + 1


def test_a_form_in_endless_chunks_is_cut_off_at_its_length(port: int, opened: Asking) -> None:
    before = opened.written()
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    begun = (
        f"POST /claims/new HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        f"Cookie: {COOKIE.replace('8470', str(port))}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        # it may be cut off while it still sends
        with contextlib.suppress(ConnectionError, TimeoutError):
            client.sendall(begun + chunk * 80)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = client.recv(65_536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert opened.written() == before
    assert looks(port) < 5


def test_who_does_not_read_is_cut_off(port: int) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        asked = f"GET /claims.json?state=all HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        with contextlib.suppress(ConnectionError):
            # more than any buffer between holds
            client.sendall(asked * 1_000)
        assert looks(port) < 5
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 0.9 * LATE_S:
                client.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    # nothing is read: only whether it is still open is asked
                    client.getpeername()
                    client.sendall(b"")
                looks(port)
    assert looks(port) < 5


@pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=pytest.mark.slow)])
def test_many_slow_clients_do_not_keep_an_honest_one_waiting(
    port: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # more than half of them find no room
    monkeypatch.setattr(slowness, "most_connections", lambda: 40)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            # the first of them may have been cut off already
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert max(looks(port) for _ in range(5)) < 5
    assert looks(port) < 5


@pytest.mark.slow
def test_a_thousand_slow_clients_of_the_command(explorer: Explored) -> None:
    port = urlsplit(explorer.origin).port or 0
    looks(port)
    with contextlib.ExitStack() as stack:
        for _ in range(900):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        waited = [looks(port) for _ in range(20)]
        open_files = len(list(Path(f"/proc/{explorer.pid}/fd").iterdir()))
    assert max(waited) < 5
    assert open_files < 700
    assert looks(port) < 5


def test_rubbish_is_refused_and_the_server_answers_on(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    lines = (b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n")
    for rubbish in (b"\x16\x03\x01\x00\xa5\x01", b"\x00" * 70_000, *lines):
        assert waits(port, rubbish) < LATE_S + 1
    long_header = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 100_000
    assert waits(port, long_header) < LATE_S + 1
    assert looks(port) < 5
    # who sends much of it would fill the terminal
    assert capfd.readouterr() == ("", "")


def test_a_head_is_a_page_without_its_body(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for path in ("/", "/claims", "/claims.json", "/static/explorer.css"):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
    connection.close()


def test_who_is_being_answered_when_it_ends_is_told(opened: Asking) -> None:
    before = opened.written()
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = server_of(opened.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        looks(port)
        head = (
            f"POST /claims/new HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
            f"Cookie: {COOKIE.replace('8470', str(port))}\r\nContent-Length: 100\r\n\r\nsubject="
        )
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(head.encode())
            looks(port)
            server.should_exit = True
            assert client.recv(12) == b"HTTP/1.1 503"
        thread.join(20)
        assert not thread.is_alive()
    assert opened.written() == before


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, which explores a small network and a catalogue in its data folder."""
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net")
    with Catalogue.open(tmp_path / "data" / "catalogue", create=True) as catalogue:
        add_starter(catalogue)
    command = [str(COMMAND), "explore", str(bundle.path), "--port", "0"]
    variables = environment(tmp_path, CIRCUITGRAPH_AUTHOR="Ada Example")
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_ctrl_c_ends_it_soon_although_a_client_is_slow(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    entrance = urlsplit(process.stdout.readline().strip())
    port = entrance.port or 0
    before = {path: path.read_bytes() for path in (tmp_path / "data" / "catalogue" / "claims").iterdir()}
    looks(port)
    with socket.create_connection(("127.0.0.1", port)) as slow, socket.create_connection(("127.0.0.1", port)) as idle:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        idle.sendall(f"GET /claims?{entrance.query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert idle.recv(12) == b"HTTP/1.1 303"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        # 0 where the one who started us ignores the signal, as a shell does for what runs behind it
        assert process.wait(20) in (130, 0)
    assert time.monotonic() - began < 15
    said = process.stderr.read()
    assert "Traceback" not in said
    # neither tokens nor addresses come into the log
    assert entrance.query.partition("=")[2] not in said
    assert "/claims" not in said
    assert {path: path.read_bytes() for path in (tmp_path / "data" / "catalogue" / "claims").iterdir()} == before
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        command = [str(COMMAND), "explore", "--port", port]
        done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"starting the explorer at 127.0.0.1:{port}" in done.stderr
    assert "Give another --port; 0 takes a free one." in done.stderr


def test_strangers_are_let_in_only_to_look(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(COMMAND), "explore", "--host", "0.0.0.0", "--port", "0"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--public" in done.stderr


def test_what_is_written_to_a_browser_goes_out_at_once() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
