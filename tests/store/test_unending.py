"""What Neo4j itself neither ends nor survives: the managed server is started again, and says so."""

from __future__ import annotations

import time

import pytest

from circuitgraph.errors import QueryLimitError
from circuitgraph.store import Store, deadline
from circuitgraph.testing.bundles import write_synthetic_bundle
from tests.store.graph_truth import fingerprint

pytestmark = pytest.mark.slow

FULL = {
    "a text doubled": "RETURN size(reduce(s = 'aaaaaaaa', x IN range(1, 40) | s + s)) AS n",
    "a list made of a range": "RETURN size([x IN range(1, 200000000) | x + 1]) AS n",
}


@pytest.fixture(scope="module")
def held(own_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    own_store.load(write_synthetic_bundle(tmp_path_factory.mktemp("held") / "held.circuit", network="held"))
    return own_store


@pytest.mark.parametrize("name", FULL)
def test_an_expression_that_fills_the_memory_costs_a_start_and_no_data(held: Store, name: str) -> None:
    before = fingerprint(held)
    with pytest.raises(QueryLimitError, match="more memory than"):
        held.query(FULL[name])
    assert held.query("RETURN 1 AS n").value() == 1
    assert fingerprint(held) == before


def test_an_expression_without_end_costs_a_start_and_no_data(held: Store) -> None:
    assert held.server is not None
    before, pid = fingerprint(held), held.server.status().pid
    began = time.monotonic()
    with pytest.raises(QueryLimitError, match=r"could not be ended by itself; the server was started again") as caught:
        held.query("RETURN all(x IN range(1, 9000000000000000) WHERE x > 0) AS n", timeout_s=1)
    assert "one expression" in caught.value.hint
    assert time.monotonic() - began > 1 + deadline.GRACE_S
    assert held.server.status().pid != pid
    assert held.query("RETURN 1 AS n").value() == 1
    assert fingerprint(held) == before
