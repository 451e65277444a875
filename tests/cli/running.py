"""Running the command as a user does: in a process of its own, away from the user's settings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = Path(sys.executable).parent / "circuitgraph"


def environment(folder: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
    own = {"CIRCUITGRAPH_CONFIG": str(folder / "config.toml"), "CIRCUITGRAPH_DATA_DIR": str(folder / "data")}
    return {**kept, **own, **variables}


def run(*arguments: object, cwd: Path, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, **(variables or {})),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
