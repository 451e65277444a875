"""Two versions of Neo4j: each with its lock, its Java and its words for the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitgraph.errors import ProvisionError, SettingsError
from circuitgraph.settings import Settings
from circuitgraph.store.conf import server_conf
from circuitgraph.store.provision import find_java, lock_path, read_lock
from circuitgraph.store.server import ManagedServer
from circuitgraph.store.versions import NEO4J_VERSION, RELEASES, find_release

OLD = find_release("5.26")


def java_of(folder: Path, version: int) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '    java.specification.version = {version}' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize("version", RELEASES)
def test_each_version_has_a_lock_with_its_server_and_the_import_of_parquet(version: str) -> None:
    by_artifact = {jar.artifact: jar for jar in read_lock(lock_path(version))}
    assert by_artifact["neo4j-server"].version == by_artifact["neo4j-import-tool"].version == version
    assert {"woodstox-core", "hadoop-shaded-guava", "commons-collections4"} <= set(by_artifact)


def test_the_end_of_a_version_may_be_left_out_and_an_unknown_one_is_refused_with_those_there_are() -> None:
    assert OLD.version.startswith("5.26.")
    assert find_release(None).version == find_release(NEO4J_VERSION).version == NEO4J_VERSION
    for wrong in ("5.2", "4.4", "5.26.1"):
        with pytest.raises(SettingsError, match=OLD.version) as caught:
            find_release(wrong)
        assert "CIRCUITGRAPH_NEO4J_VERSION" in caught.value.hint


def test_the_older_version_is_given_only_settings_that_it_knows() -> None:
    new, old = (server_conf(port=1, heap="1g", page_cache="64m", release=release) for release in RELEASES.values())
    assert not OLD.unknown_settings & set(old)
    assert set(new) - set(old) == OLD.unknown_settings
    # what keeps LOAD CSV in, and transactions in bounds, is there in both
    for name in ("internal.dbms.cypher_ip_blocklist", "db.memory.transaction.max", "db.transaction.timeout"):
        assert old[name] == new[name]


@pytest.mark.parametrize("version", [17, 21])
def test_a_java_that_the_older_version_knows_is_found_by_the_environment(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = java_of(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert find_java(release=OLD) == java
    assert find_java(tmp_path / "jdk", OLD) == java


@pytest.mark.parametrize("version", [11, 25])
def test_a_java_that_is_too_old_or_too_new_for_it_is_refused(tmp_path: Path, version: int) -> None:
    java_of(tmp_path, version)
    with pytest.raises(ProvisionError, match=rf"it is Java {version}, but Neo4j 5\.26\.\d+ needs 17 to 21"):
        find_java(tmp_path, OLD)


def test_a_database_of_a_newer_version_is_not_opened(server_settings: Settings, tmp_path: Path) -> None:
    java_of(tmp_path / "jdk", 17)
    update = {"data_dir": tmp_path / "data", "neo4j_version": OLD.version, "java_home": tmp_path / "jdk"}
    server = ManagedServer(server_settings.model_copy(update=update))
    home = server.new_home()
    (home.path / "version").write_text(NEO4J_VERSION)
    (home.path / "password-set").write_text("")
    with pytest.raises(
        SettingsError, match=rf"is of Neo4j {NEO4J_VERSION}, which Neo4j {OLD.version} cannot"
    ) as caught:
        server.run_admin(["database", "info"], home=home)
    assert f"CIRCUITGRAPH_NEO4J_VERSION={NEO4J_VERSION}" in caught.value.hint
