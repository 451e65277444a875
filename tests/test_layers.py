from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_nobody_imports_whom_he_may_not() -> None:
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("import-linter is not installed; pip install -e '.[test]' brings it")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


HEAVY = ("torch", "neo4j", "click", "rich", "pyarrow", "numpy")


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import circuitgraph", set()),
        ("import importers", set()),
        ("import queries", set()),
        ("from circuitgraph import Bundle", {"numpy", "pyarrow"}),
        ("import circuitgraph.graph, circuitgraph.draw", {"numpy"}),
    ],
)
def test_importing_brings_no_more_than_it_needs(code: str, allowed: set[str]) -> None:
    ask = f"{code}; import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= allowed
