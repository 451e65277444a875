"""Each example runs as it stands; the pictures in the docs are what the examples draw."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_it_runs(example: Path, demo_environment: dict[str, str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, example], cwd=tmp_path, env=demo_environment, check=True, timeout=200)
    for made in tmp_path.glob("*.svg"):
        kept = ROOT / "docs" / "pictures" / made.name
        assert made.read_bytes() == kept.read_bytes(), f"draw {kept.name} again: python examples/{example.name}"
