"""A disk that fills in the middle of a load, a rebuild or a dump: it is said, and the live database is what it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from circuitgraph.settings import Settings

REPOSITORY = Path(__file__).parents[2]
# MiB that are left free once the room was looked at
LEFT = {
    "append": (0, 3),
    "bulk": (0, 1, 15, 30),
    "rebuild": (1, 30, 320),
    "dump": (0,),
}


def fill_up(settings: Settings, folder: Path, act: str, size_mib: int, left: tuple[int, ...]) -> list[dict[str, Any]]:
    """Act on a disk of that size, mounted without root in a namespace of its own."""
    folder.mkdir()
    own = settings.model_copy(update={"data_dir": folder, "bolt_port": 0})
    mount = f'mount -t tmpfs -o size={size_mib}m none "$1" || exit 77; shift; exec "$@"'
    words = [sys.executable, "-m", "tests.store.filling", own.model_dump_json(), act, *map(str, left)]
    try:
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(folder), *words],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare here; install util-linux")
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip("this system mounts no tmpfs without root; allow user namespaces")
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("act", LEFT)
def test_a_disk_that_fills_on_the_way_is_said_and_the_live_database_stays(
    server_settings: Settings, tmp_path: Path, act: str
) -> None:
    *filled, last = fill_up(server_settings, tmp_path / "small", act, 2500, LEFT[act])
    assert [each["left"] for each in filled] == list(LEFT[act])
    for each in filled:
        assert each["said"].startswith("DiskFullError"), each
        assert each["is_unharmed"] and each["is_same_home"], each
        assert each["homes"] == 1 and not each["beside"], each
    # with room the same command does all of it
    assert last == {"differences": []}
