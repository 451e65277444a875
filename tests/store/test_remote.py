"""Stores given by URI: encrypted or not, refused, lost and back, and asked by many at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psutil
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from circuitgraph.errors import SettingsError, StoreAuthError, StoreUnavailableError
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.homes import Home
from circuitgraph.store.server import ManagedServer


class EncryptedServer(ManagedServer):
    """A managed server that also speaks TLS, with a certificate for this machine in `folder`."""

    folder: Path

    def _configure(self, home: Home, *, port: int) -> dict[str, str]:
        conf = super()._configure(home, port=port)
        policy = {
            "dbms.ssl.policy.bolt.enabled": "true",
            "dbms.ssl.policy.bolt.base_directory": str(self.folder),
            "dbms.ssl.policy.bolt.client_auth": "NONE",
            "server.bolt.tls_level": "OPTIONAL",
        }
        with (home.conf_dir / "neo4j.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in policy.items())
        return conf


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def server(
    server_settings: Settings, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EncryptedServer]:
    folder = tmp_path_factory.mktemp("certificate")
    issued = authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.RSA)
    key = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    (folder / "private.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    issued.cert_chain_pems[0].write_to_path(folder / "public.crt")
    made = EncryptedServer(server_settings.model_copy(update={"data_dir": tmp_path_factory.mktemp("remote")}))
    made.folder = folder
    made.start()
    yield made
    made.destroy()


def connect(server: ManagedServer, scheme: str, **update: object) -> Store:
    values = {"store": f"{scheme}://{server.uri.partition('://')[2]}", "password": server.password(), **update}
    return Store.open(settings=Settings.model_validate(values))


@pytest.mark.parametrize("scheme", ["bolt", "neo4j", "bolt+ssc", "neo4j+ssc"])
def test_a_certificate_that_nobody_vouches_for_is_taken_where_that_is_asked_for(
    server: ManagedServer, scheme: str
) -> None:
    with connect(server, scheme) as store:
        assert store.query("RETURN 6 * 7 AS answer").rows == [{"answer": 42}]


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
def test_an_unknown_authority_is_refused_with_the_ways_out(server: ManagedServer, scheme: str) -> None:
    with pytest.raises(StoreUnavailableError, match="its certificate is not trusted") as caught:
        connect(server, scheme)
    assert scheme in caught.value.message
    for way in ("CIRCUITGRAPH_CA_FILE", "SSL_CERT_FILE", "neo4j+ssc://"):
        assert way in caught.value.hint


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
def test_an_authority_that_is_trusted_is_enough(
    server: ManagedServer, scheme: str, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(server, scheme, ca_file=ca_file) as store:
        assert store.query("RETURN 1 AS one").rows == [{"one": 1}]
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    with connect(server, scheme) as store:
        assert store.query("RETURN 1 AS one").rows == [{"one": 1}]


def test_another_authority_is_not_enough(server: ManagedServer, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(StoreUnavailableError, match="its certificate is not trusted"):
        connect(server, "neo4j+s", ca_file=tmp_path / "other.pem")


def test_a_file_of_authorities_that_holds_none_is_named(server: ManagedServer, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'ca_file': reading .*none\.pem: No such file"):
        connect(server, "neo4j+s", ca_file=tmp_path / "none.pem")
    (tmp_path / "text.pem").write_text("no certificate\n")
    with pytest.raises(SettingsError, match=r"text\.pem: it holds no certificate"):
        connect(server, "neo4j+s", ca_file=tmp_path / "text.pem")


@pytest.mark.parametrize("scheme", ["bolt", "neo4j+ssc"])
def test_a_wrong_password_is_told_and_not_shown(server: ManagedServer, scheme: str) -> None:
    with pytest.raises(StoreAuthError, match="refuses the user or password") as caught:
        connect(server, scheme, password="a wrong secret")
    assert "CIRCUITGRAPH_PASSWORD" in caught.value.hint
    assert "a wrong secret" not in str(caught.value)


def test_what_is_not_promised_of_a_server_that_is_not_ours_is_said_once(server: ManagedServer) -> None:
    class Told:
        def __init__(self) -> None:
            self.notes: list[str] = []

        def task(self, title: str, total: float | None = None, unit: str = "") -> AbstractContextManager[None]:
            return nullcontext()

        def note(self, text: str) -> None:
            self.notes.append(text)

    told = Told()
    settings = Settings.model_validate({"store": server.uri, "password": server.password()})
    with Store.open(settings=settings, progress=told) as store:  # type: ignore[arg-type]
        store.query("RETURN 1")
    assert len(told.notes) == 1
    assert server.uri in told.notes[0] and "does not run" in told.notes[0] and "LOAD CSV" in told.notes[0]
    with Store.open(settings=server.settings, progress=told) as store:  # type: ignore[arg-type]
        store.query("RETURN 1")
    assert len(told.notes) == 1


def test_32_threads_share_one_store_and_each_gets_its_own_answer(server: ManagedServer) -> None:
    everyone = threading.Barrier(32)
    with connect(server, "neo4j+ssc") as store:

        def ask(thread: int) -> list[int]:
            everyone.wait(60)
            text = "UNWIND range(1, $n) AS i RETURN sum(i) + $thread AS total"
            return [store.query(text, n=n, thread=thread).rows[0]["total"] for n in range(1, 9)]

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(ask, range(32)))
    assert answers == [[n * (n + 1) // 2 + thread for n in range(1, 9)] for thread in range(32)]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["bolt", "neo4j+ssc"])
def test_a_server_lost_in_mid_query_is_told_and_used_again_when_it_is_back(server: ManagedServer, scheme: str) -> None:
    busy = "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b WITH a, b WHERE a + b < 0 RETURN count(*) AS n"
    with connect(server, scheme) as store, ThreadPoolExecutor(1) as pool:
        running = pool.submit(store.query, busy)
        with connect(server, "bolt") as other:
            while not other.run("SHOW TRANSACTIONS YIELD currentQuery AS q WHERE q STARTS WITH 'UNWIND' RETURN q"):
                pass
        pid = server.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(20)
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            running.result(60)
        with pytest.raises(StoreUnavailableError):
            store.query("RETURN 1 AS one")
        server.start()
        assert store.query("RETURN 1 AS one").rows == [{"one": 1}]
