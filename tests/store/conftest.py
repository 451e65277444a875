"""A store for all tests of this folder, and networks that go away with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.server import ManagedServer
from circuitgraph.testing.bundles import write_synthetic_bundle


@pytest.fixture(scope="session")
def store(managed_server: ManagedServer, server_settings: Settings) -> Iterator[Store]:
    with Store.open(settings=server_settings) as opened:
        yield opened


@pytest.fixture
def make_bundle(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Bundle]]:
    """Make synthetic bundles; their networks are taken out of the shared database after the test."""
    names = set()

    def make(name: str, **options: object) -> Bundle:
        names.add(name)
        options = {"network": name, "with_every_form": True, **options}
        return write_synthetic_bundle(tmp_path / f"{name}-{options.get('seed', 0)}.circuit", **options)  # type: ignore[arg-type]

    yield make
    for name in names:
        remove_network(store, name)


@pytest.fixture(scope="session")
def own_settings(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a second server, for what would be in the way of others: bulk loads and kills."""
    return server_settings.model_copy(update={"data_dir": tmp_path_factory.mktemp("own")})


@pytest.fixture(scope="session")
def own_store(own_settings: Settings) -> Iterator[Store]:
    """A store in a database of its own, which no test has begun yet."""
    with Store.open(settings=own_settings) as opened:
        yield opened
    server = ManagedServer(own_settings)
    server.destroy()


@pytest.fixture(scope="session")
def checked_store(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database in which nobody leaves anything, for checks of all that it holds."""
    settings = server_settings.model_copy(update={"data_dir": tmp_path_factory.mktemp("checked")})
    with Store.open(settings=settings) as opened:
        yield opened
    ManagedServer(settings).destroy()
