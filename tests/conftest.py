"""What every test can ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from circuitgraph.settings import Settings
from circuitgraph.store.server import ManagedServer


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
    )


@pytest.fixture(scope="session")
def managed_server(server_settings: Settings) -> Iterator[ManagedServer]:
    """A Neo4j that runs for the whole session; each test uses a network name of its own and cleans up."""
    server = ManagedServer(server_settings)
    server.start()
    yield server
    server.destroy()
