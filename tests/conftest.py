"""What every test can ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real networks and labels, read in place."""
    given = os.environ.get("CIRCUITGRAPH_TEST_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "README.md").exists():
        pytest.skip("the real networks are not here; set CIRCUITGRAPH_TEST_DATA to the folder that holds them")
    return folder
