"""Searches for motifs that were asked for in a page: one runs at a time, a few wait, and results are kept in files.

A result is kept under a key made of the bundle's hash, the motif and the version of its package, its options and our
version: it is found again after a restart, and never shown for other weights. Files that
``circuitgraph motifs ... --json`` wrote may be put into the same folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuitgraph import __version__
from circuitgraph.bundle import Bundle
from circuitgraph.errors import CircuitGraphError, DiskFullError, MotifError
from queries.registry import motif_packages
from queries.result_files import read_result

__all__ = ["Job", "Results", "Searches", "StoredResult", "key_of"]

_MOST_WAITING = 3
_MOST_REMEMBERED = 50
_MOST_FILES = 1_000
_PARSED_AT_ONCE = 8
_LONGEST_S = 6 * 3600.0
_KEY = re.compile("[0-9a-f]{16}")


def key_of(bundle: Bundle, motif: str, options: Mapping[str, Any], why: Sequence[str] = ()) -> str:
    """Return the key under which the result of a search is kept: 16 hex digits."""
    said = {
        "bundle_sha256": bundle.sha256,
        "motif": motif,
        "package": motif_packages().get(motif, ""),
        "options": dict(options),
        "why": list(why),
        "software": __version__,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Job:
    """A search that waits, runs, or has failed; one that is done is a result.

    Attributes
    ----------
    state
        "waiting", "running", "done", "stopped" or "failed".
    doing, done, total
        What it does now, and how much of it is done of how much; None where that is not known.
    error, hint
        Why it failed.
    """

    key: str
    network: str
    motif: str
    options: dict[str, Any]
    why: tuple[str, ...] = ()
    state: str = "waiting"
    doing: str = ""
    done: float = 0.0
    total: float | None = None
    error: str = ""
    hint: str = ""
    bundle_path: Path = field(default_factory=Path, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        names = ("key", "network", "motif", "options", "state", "doing", "done", "total", "error", "hint")
        return {**{name: getattr(self, name) for name in names}, "why": list(self.why)}


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result that is kept: what was searched, with how many matches of each verdict, and the ids of the matches."""

    key: str
    network: str
    motif: str
    weights_sha256: str
    statement: str
    options: Mapping[str, Any]
    why: tuple[str, ...]
    is_ours: bool
    changed: float
    verdicts: Mapping[str, int]
    match_ids: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, without the matches."""
        names = ("key", "network", "motif", "weights_sha256", "statement", "is_ours")
        own = {name: getattr(self, name) for name in names}
        return {**own, "options": dict(self.options), "why": list(self.why), "verdicts": dict(self.verdicts)}


class Results:
    """The results that lie in a folder, newest first; files are read again when they have changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple[int, int], StoredResult | None]] = {}
        self._parsed: OrderedDict[tuple[Path, tuple[int, int]], dict[str, Any]] = OrderedDict()

    def all(self, network: str = "", motif: str = "") -> list[StoredResult]:
        """Return the results, of one network and motif where they are given; what is none is left out."""
        with self._lock:
            found = [result for _, result in self._scan() if result is not None]
        wanted = [each for each in found if network in ("", each.network) and motif in ("", each.motif)]
        return sorted(wanted, key=lambda each: (-each.changed, each.key))

    def get(self, key: str) -> tuple[StoredResult, dict[str, Any]] | None:
        """Return a result with its matches."""
        if not _KEY.fullmatch(key):
            return None
        with self._lock:
            for path, result in self._scan():
                if result is not None and result.key == key:
                    return result, self._read(path)
        return None

    def find(self, match_id: str) -> list[tuple[StoredResult, dict[str, Any], dict[str, Any]]]:
        """Return the results that hold a match, newest first, each with its values and the match."""
        found = []
        for result in self.all():
            if match_id in result.match_ids and (held := self.get(result.key)) is not None:
                whole = held[1]
                place = result.match_ids.index(match_id)
                found.append((result, whole, whole["matches"][place]))
        return found

    def _scan(self) -> list[tuple[Path, StoredResult | None]]:
        try:
            with os.scandir(self.folder) as entries:
                # a link may lead anywhere
                paths = sorted(
                    Path(entry.path)
                    for entry in entries
                    if entry.name.endswith(".json")
                    and not entry.name.startswith(".")
                    and entry.is_file(follow_symlinks=False)
                )
        except OSError:
            return []
        found = []
        for path in paths[:_MOST_FILES]:
            with contextlib.suppress(OSError):
                stat = path.stat()
                state = (stat.st_mtime_ns, stat.st_size)
                if path not in self._known or self._known[path][0] != state:
                    self._known[path] = (state, self._summary(path, stat.st_mtime))
                found.append((path, self._known[path][1]))
        return found

    def _summary(self, path: Path, changed: float) -> StoredResult | None:
        try:
            whole = self._read(path)
        except CircuitGraphError:
            # it is no result
            return None
        own = whole.get("search")
        own = own if isinstance(own, dict) and _KEY.fullmatch(path.stem) else {}
        options = own.get("options")
        why = own.get("why")
        verdicts: dict[str, int] = {}
        for match in whole["matches"]:
            verdicts[match["verdict"]] = verdicts.get(match["verdict"], 0) + 1
        return StoredResult(
            key=path.stem if own else hashlib.sha256(path.name.encode()).hexdigest()[:16],
            network=whole["network"],
            motif=whole["motif"],
            weights_sha256=whole["weights_sha256"],
            statement=whole["statement"],
            options=options if isinstance(options, dict) else {},
            why=tuple(map(str, why)) if isinstance(why, list) else (),
            is_ours=bool(own),
            changed=changed,
            verdicts=verdicts,
            match_ids=tuple(match["id"] for match in whole["matches"]),
        )

    def _read(self, path: Path) -> dict[str, Any]:
        stat = path.stat()
        place = (path, (stat.st_mtime_ns, stat.st_size))
        if place not in self._parsed:
            self._parsed[place] = read_result(path)
            while len(self._parsed) > _PARSED_AT_ONCE:
                self._parsed.popitem(last=False)
        self._parsed.move_to_end(place)
        return self._parsed[place]


class Searches:
    """The queue of searches, and their results.

    Parameters
    ----------
    folder
        Where results are kept; made when the first one comes.
    """

    def __init__(self, folder: Path) -> None:
        self.results = Results(folder)
        self._folder = folder
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False

    def start(self, bundle: Bundle, motif: str, options: Mapping[str, Any], why: Sequence[str] = ()) -> str:
        """Ask for a search, unless its result is there or it is on its way; return its key.

        Raises
        ------
        MotifError
            Enough searches wait.
        DiskFullError
            The folder for the result cannot be made.
        """
        key = key_of(bundle, motif, options, why)
        if self.results.get(key) is not None:
            return key
        with self._changed:
            job = self._jobs.get(key)
            if job is not None and job.state in ("waiting", "running"):
                return key
            waiting = sum(each.state == "waiting" for each in self._jobs.values())
            if self._is_closed or waiting >= _MOST_WAITING:
                raise MotifError(
                    f"searching {motif}: {waiting} searches wait already, at most {_MOST_WAITING} may.",
                    hint="Ask again when one is done, or search in a shell: "
                    f"circuitgraph motifs {motif} {bundle.path.name}",
                )
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DiskFullError(f"making {self._folder.name} for results: {error.strerror}.") from error
            self._jobs[key] = Job(key, bundle.network, motif, dict(options), tuple(why), bundle_path=bundle.path)
            self._jobs.move_to_end(key)
            self._forget()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="searches", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return key

    def stop(self, key: str) -> None:
        """Stop a search that waits or runs."""
        with self._changed:
            job = self._jobs.get(key)
            if job is None or job.state not in ("waiting", "running"):
                return
            if job.state == "running" and self._process is not None:
                self._process.kill()
            job.state = "stopped"

    def jobs(self, network: str = "") -> list[Job]:
        """Return the searches that are not done, in the order in which they were asked for."""
        with self._changed:
            return [job for job in self._jobs.values() if network in ("", job.network) and job.state != "done"]

    def job(self, key: str) -> Job | None:
        """Return one search that is not done."""
        with self._changed:
            job = self._jobs.get(key)
            return job if job is not None and job.state != "done" else None

    def wait(self, key: str, *, timeout_s: float) -> str:
        """Wait until a search is done, stopped or failed; return its state, "" where it is not known."""
        with self._changed:
            self._changed.wait_for(
                lambda: key not in self._jobs or self._jobs[key].state not in ("waiting", "running"), timeout_s
            )
            return self._jobs[key].state if key in self._jobs else ""

    def close(self) -> None:
        """Stop what runs; nothing is started any more."""
        with self._changed:
            self._is_closed = True
            for job in self._jobs.values():
                if job.state in ("waiting", "running"):
                    job.state = "stopped"
            if self._process is not None:
                self._process.kill()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(10)

    def _forget(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.state not in ("waiting", "running")]
        for key in ended[: max(0, len(self._jobs) - _MOST_REMEMBERED)]:
            del self._jobs[key]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._next() is not None)
                job = self._next()
                if self._is_closed or job is None:
                    return
                job.state = "running"
            self._run(job)

    def _next(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == "waiting"), None)

    def _run(self, job: Job) -> None:
        about = {"options": job.options, "why": list(job.why), "software": __version__}
        wanted = {
            "motif": job.motif,
            "bundle": str(job.bundle_path),
            "options": job.options,
            "why": list(job.why),
            "about": about,
            "out": str(self._folder / f"{job.key}.json"),
        }
        # -P: nothing that lies in the folder where the explorer was started is imported
        command = [sys.executable, "-P", "-m", "circuitgraph.web.search_worker"]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            self._end(job, "failed", f"searching {job.motif}: no process can be started: {error.strerror}.")
            return
        with self._changed:
            self._process = process
            if job.state == "stopped":
                process.kill()
        too_long = threading.Timer(_LONGEST_S, process.kill)
        too_long.daemon = True
        too_long.start()
        try:
            with process, contextlib.suppress(BrokenPipeError):
                _tell(process, wanted)
                for line in process.stdout or ():
                    self._hear(job, line)
        finally:
            too_long.cancel()
            with self._changed:
                self._process = None
        if process.returncode == 0:
            self._end(job, "done")
        elif job.error:
            self._end(job, "failed", job.error)
        else:
            ended = f"it ended with {process.returncode}" if process.returncode > 0 else "it was killed"
            self._end(job, "failed", f"searching {job.motif}: {ended}.")

    def _hear(self, job: Job, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            # what else a motif's package prints
            return
        if not isinstance(said, dict):
            return
        with self._changed:
            if "error" in said:
                job.error, job.hint = str(said["error"]), str(said.get("hint") or "")
            elif "title" in said:
                job.doing = ": ".join(filter(None, (str(said["title"]), str(said.get("text") or ""))))
                job.done, job.total = _number(said.get("done")) or 0.0, _number(said.get("total"))

    def _end(self, job: Job, state: str, error: str = "") -> None:
        with self._changed:
            if job.state != "stopped":
                job.state, job.error = state, error
            self._changed.notify_all()


def _number(value: Any) -> float | None:
    """Return a number that a motif's package said, None where it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e18 else None


def _tell(process: subprocess.Popen[str], wanted: Mapping[str, Any]) -> None:
    if process.stdin is not None:
        process.stdin.write(json.dumps(wanted))
        process.stdin.close()
