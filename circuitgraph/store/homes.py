"""Homes of the managed server: one folder per database, and a pointer to the live one.

::

    server/              0700
      current            name of the live home
      password           0600; the same for all homes
      port               the Bolt port used last
      server.json        the process that runs, while it runs
      homes/<id>/        conf, data, logs, import, ...

A bulk import fills a home beside the live one, which is then made current in one
rename; so a database that is being made never harms the one in use.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from circuitgraph.store.conf import DIRECTORIES

__all__ = ["Home", "Homes", "is_same_process", "process_mark", "wait_for_end", "write_private"]

_LAST_THREADS_S = 1.0
_LOG_END_BYTES = 1 << 14
_STEP = re.compile(rb"\d+% completed")
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one database of the managed server."""

    path: Path

    @property
    def name(self) -> str:
        """Its name among the homes."""
        return self.path.name

    @property
    def conf_dir(self) -> Path:
        """Where ``neo4j.conf`` is."""
        return self.path / "conf"

    @property
    def import_dir(self) -> Path:
        """Where files to be imported may be put."""
        return self.path / "import"

    @property
    def console(self) -> Path:
        """What the server's process printed since it was started."""
        return self.path / "logs" / "console.log"

    @property
    def has_password(self) -> bool:
        """Whether the password has been set in it."""
        return (self.path / "password-set").exists()

    @property
    def was_started(self) -> bool:
        """Whether a server has run in it."""
        return (self.path / "data" / "databases" / "system").exists()

    @property
    def version(self) -> str | None:
        """The version of Neo4j that worked on it last; None if it is not known."""
        try:
            return (self.path / "version").read_text(encoding="ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    @property
    def recovery(self) -> str:
        """The last step of a recovery in the end of its server's log, as "40% completed"; empty if there is none."""
        try:
            with (self.path / "logs" / "debug.log").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_END_BYTES))
                steps = _STEP.findall(file.read())
        except OSError:
            return ""
        return steps[-1].decode() if steps else ""

    @property
    def is_kept(self) -> bool:
        """Whether it stays though another is live."""
        return (self.path / "kept").exists()

    def keep(self) -> None:
        """Let it stay when another is made live."""
        write_private(self.path / "kept", "")

    def disk_bytes(self) -> int:
        """Return how much its database takes on the disk."""
        total = 0
        # a server that runs makes and removes files meanwhile
        with suppress(FileNotFoundError):
            for path in (self.path / "data").rglob("*"):
                with suppress(FileNotFoundError):
                    total += path.stat().st_size if path.is_file() else 0
        return total


class Homes:
    """The homes below one folder. Whoever changes them holds the server's lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._pointer = root / "current"

    def current(self) -> Home | None:
        """Return the live home; None if there is none yet."""
        try:
            home = Home(self.root / "homes" / self._pointer.read_text(encoding="ascii").strip())
        except FileNotFoundError:
            return None
        return home if home.path.is_dir() else None

    def create(self) -> Home:
        """Make an empty home that belongs to this process until it is made current."""
        home = Home(self.root / "homes" / secrets.token_hex(4))
        home.path.mkdir(mode=0o700, parents=True)
        for name in ("conf", *DIRECTORIES):
            (home.path / name).mkdir(mode=0o700)
        self.mark(home, "owner", os.getpid())
        return home

    def make_current(self, home: Home) -> None:
        """Point to `home` and remove all that nobody works on."""
        write_private(self._pointer, home.name)
        self.remove_abandoned()

    def mark(self, home: Home, role: str, pid: int | None) -> None:
        """Write down that process `pid` works on `home` as ``owner`` or ``admin``; None when it is done."""
        path = home.path / f"{role}.json"
        if pid is None:
            path.unlink(missing_ok=True)
        else:
            write_private(path, json.dumps(process_mark(pid)))

    def remove_abandoned(self) -> None:
        """Remove every home that is neither current, nor kept, nor in the hands of a process that lives."""
        for home in self._abandoned():
            self.end_admin(home)
            shutil.rmtree(home.path, ignore_errors=True)

    def strays(self) -> list[int]:
        """Return the processes that go on in homes whose maker was killed."""
        found = (self._worker(home.path / "admin.json") for home in self._abandoned())
        return sorted(process.pid for process in found if process is not None)

    def _abandoned(self) -> list[Home]:
        current = self.current()
        try:
            homes = [Home(path) for path in (self.root / "homes").iterdir()]
        except FileNotFoundError:
            return []
        return [
            home for home in homes if not (home == current or home.is_kept or self._worker(home.path / "owner.json"))
        ]

    def end_admin(self, home: Home) -> None:
        """End an administration tool on `home` that goes on by itself, since the process that began it was killed."""
        orphan = self._worker(home.path / "admin.json")
        if orphan is not None:
            with suppress(psutil.Error):
                orphan.kill()
                wait_for_end(orphan, 10)

    def _worker(self, path: Path) -> psutil.Process | None:
        try:
            return is_same_process(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None


def process_mark(pid: int) -> dict[str, float]:
    """Return what tells a process from a later one with the same pid.

    Raises
    ------
    psutil.NoSuchProcess
        There is no such process.
    """
    return {"pid": pid, "started": psutil.Process(pid).create_time()}


def is_same_process(mark: object) -> psutil.Process | None:
    """Return the process of a `process_mark` if it still runs."""
    if not isinstance(mark, dict) or not isinstance(mark.get("pid"), int):
        return None
    try:
        process = psutil.Process(mark["pid"])
        # the time is reckoned from the boot by the clock, which may be set in between
        is_same = abs(process.create_time() - float(mark.get("started", 0))) < 2
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError):
        return None


def wait_for_end(process: psutil.Process, timeout_s: float) -> None:
    """Wait until a process has ended, whether or not the one that started it has taken note.

    Raises
    ------
    psutil.TimeoutExpired
        It has not.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            process.wait(_POLL_S)
            return
        except psutil.TimeoutExpired:
            if is_same_process({"pid": process.pid, "started": process.create_time()}) is None:
                # its last threads may still be ending, and nobody but its parent can take away what is left of it
                with suppress(psutil.TimeoutExpired):
                    process.wait(_LAST_THREADS_S)
                return
            if time.monotonic() > deadline:
                raise


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
