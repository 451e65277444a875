"""What every test can ask for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import platformdirs
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from circuitgraph.settings import Settings
from circuitgraph.store.server import ManagedServer

# what a file says that asks for a database of the session
DATABASES = {
    "demo": re.compile(r"\bdemo_environment\b"),
    "managed": re.compile(r"\b(managed_server|own_store|checked_store|store: Store)\b"),
}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers for folders; none for files, where their start would only be waited for, and none for slow tests.

    Two on any machine: each may hold databases of its own, and what is slow often measures time or memory.
    """
    given = [Path(config.invocation_params.dir, arg.partition("::")[0]) for arg in config.args]
    is_quick = config.option.markexpr == "not slow"
    return 2 if is_quick and all(path.is_dir() for path in given) else 0


class TogetherScheduling(LoadScopeScheduling):
    """One worker has all tests of a file, and one has all files that share a database: each is a gigabyte."""

    def _split_scope(self, nodeid: str) -> str:
        return shared_with(self.config.rootpath / nodeid.partition("::")[0])


@cache
def shared_with(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return next((name for name, words in DATABASES.items() if words.search(text)), str(file))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return TogetherScheduling(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real networks and labels, read in place."""
    given = os.environ.get("CIRCUITGRAPH_TEST_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "README.md").exists():
        pytest.skip("the real networks are not here; set CIRCUITGRAPH_TEST_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a managed server in a folder of its own; the jars are fetched once into the user's cache."""
    return Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        jars_dir=platformdirs.user_cache_path("circuitgraph") / "jars",
        heap="1g",
        page_cache="512m",
        neo4j_version=os.environ.get("CIRCUITGRAPH_TEST_NEO4J_VERSION") or None,
    )


@pytest.fixture(scope="session")
def managed_server(server_settings: Settings) -> Iterator[ManagedServer]:
    """A Neo4j that runs for the whole session; each test uses a network name of its own and cleans up."""
    server = ManagedServer(server_settings)
    server.start()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def demo_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands that see what `circuitgraph demo` loaded into a server of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
    environment |= {
        "CIRCUITGRAPH_CONFIG": str(tmp_path_factory.mktemp("config") / "config.toml"),
        "CIRCUITGRAPH_DATA_DIR": str(tmp_path_factory.mktemp("demo")),
        "CIRCUITGRAPH_JARS_DIR": str(platformdirs.user_cache_path("circuitgraph") / "jars"),
        "CIRCUITGRAPH_HEAP": "1g",
        "CIRCUITGRAPH_PAGE_CACHE": "512m",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run(["circuitgraph", "demo"], env=environment, check=True, capture_output=True, timeout=300)
    yield environment
    subprocess.run(["circuitgraph", "server", "stop"], env=environment, check=True, capture_output=True, timeout=100)
