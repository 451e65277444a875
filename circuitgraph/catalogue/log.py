"""The claim log: a folder of append-only JSONL files, one claim a line, its id the hash of its content.

Lines lie in 256 files by the first two hex digits of their id. Their order means nothing and a
line that stands twice counts once, so two branches of a log merge by taking the lines of both
(``merge=union`` in ``.gitattributes``). A claim is acknowledged when its line has reached the disk.
A line that was cut off by a crash was never acknowledged; the next append takes it away and says so.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from circuitgraph.catalogue.claims import Claim, read_claim
from circuitgraph.errors import CatalogueError, ClaimError, DiskFullError, MissingFileError

__all__ = ["AppendReport", "ClaimLog", "LogLine", "append_lines", "quick_id", "sync_folder"]

_FORMAT = "circuitgraph-catalogue 1\n"
_MARK = "catalogue.txt"
# what is hashed byte by byte has the same bytes on every system
_ATTRIBUTES = "*.jsonl merge=union text eol=lf\n*.json text eol=lf\nreleases/** -text -merge\n"
_LOCK_TIMEOUT_S = 120.0
_PORTION = 20_000
_SHARD = re.compile(r"[0-9a-f]{2}\.jsonl")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log: its file, the byte at which it begins, and its bytes without the line's end."""

    path: Path
    offset: int
    data: bytes

    @property
    def where(self) -> str:
        """File and byte, for a message."""
        return f"{self.path.name}, byte {self.offset}"


@dataclass(slots=True)
class AppendReport:
    """What an append did: ids that are new, how many were there already, and torn lines that were cut away."""

    added: list[str] = field(default_factory=list)
    already_there: int = 0
    torn: list[str] = field(default_factory=list)


class ClaimLog:
    """The claims of a catalogue on disk; open one with `ClaimLog.open`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.claims_folder = folder / "claims"

    @classmethod
    def open(cls, folder: str | Path, *, create: bool = False) -> ClaimLog:
        """Open the log in `folder`, or begin one there.

        Raises
        ------
        MissingFileError
            There is none, and it is not to be created.
        CatalogueError
            The folder holds something else.
        """
        folder = Path(folder)
        mark = folder / _MARK
        if not mark.is_file():
            if not create:
                raise MissingFileError(
                    f"opening {folder}: there is no catalogue.",
                    hint=f"Begin one with `circuitgraph catalogue new {folder}`.",
                )
            if (blocking := _file_on_the_way(folder)) is not None:
                raise CatalogueError(
                    f"opening {folder}: {blocking} is a file, a catalogue is a folder.", hint="Name another folder."
                )
            if folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir()):
                raise CatalogueError(
                    f"opening {folder}: the folder holds other things.", hint="Choose a folder that is new or empty."
                )
            _begin(folder)
        elif (found := mark.read_text(encoding="utf-8", errors="replace")) != _FORMAT:
            raise CatalogueError(
                f"opening {folder}: its format is {found[:80].strip()!r}, this software reads {_FORMAT.strip()!r}.",
                hint="Update feature-circuitgraph.",
            )
        return cls(folder)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Say whether there is a catalogue in `folder`; not whether it can be opened."""
        return (folder / _MARK).is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the log against other writers.

        Raises
        ------
        CatalogueError
            Another writer holds it for two minutes.
        MissingFileError
            The catalogue is no longer where it was opened.
        """
        # a lock makes its folder: what is written there would not be in the catalogue that went elsewhere
        if not (self.folder / _MARK).is_file():
            raise MissingFileError(
                f"writing to {self.folder}: there is no catalogue any more.",
                hint="Put the folder back where it was; nothing was written.",
            )
        lock = FileLock(self.folder / ".lock", timeout=_LOCK_TIMEOUT_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise CatalogueError(
                f"writing to {self.folder}: another process has held it for {_LOCK_TIMEOUT_S:.0f} s.",
                hint="Wait for it to end, then run the same command again; nothing was written.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def append(self, claims: Iterable[Claim]) -> AppendReport:
        """Add claims; those that are there already are left out.

        When it returns, all of them are on the disk. They are taken in portions, so that a stream of a million
        needs no more memory than their ids.

        Raises
        ------
        CatalogueError
            Another writer holds the log.
        DiskFullError
            There is no room; what was begun of the line at hand is taken away, whole lines before it stay.
        """
        report = AppendReport()
        with self.locked():
            # git keeps no empty folder
            self.claims_folder.mkdir(exist_ok=True)
            there: dict[str, set[str]] = {}
            stream = iter(claims)
            while portion := list(islice(stream, _PORTION)):
                by_shard: dict[str, dict[str, bytes]] = {}
                for claim in portion:
                    line = claim.line()
                    by_shard.setdefault(line[13:15], {})[line[7:77]] = line.encode() + b"\n"
                report.already_there += len(portion) - sum(len(lines) for lines in by_shard.values())
                for shard in sorted(by_shard):
                    path = self.claims_folder / f"{shard}.jsonl"
                    if shard not in there:
                        there[shard] = self._prepare(path, report)
                    known = there[shard]
                    new = {uid: line for uid, line in by_shard[shard].items() if uid not in known}
                    report.already_there += len(by_shard[shard]) - len(new)
                    if new:
                        _write(path, b"".join(new.values()))
                        known |= new.keys()
                        report.added += new
        return report

    def lines(self) -> Iterator[LogLine]:
        """Yield every whole line as it stands, equal ones too; `torn` tells of the rest."""
        for path in self.files():
            offset = 0
            with path.open("rb") as file:
                for data in file:
                    if not data.endswith(b"\n"):
                        break
                    if data.strip():
                        yield LogLine(path, offset, data[:-1])
                    offset += len(data)

    def claims(self) -> Iterator[Claim]:
        """Yield every claim once.

        Raises
        ------
        ClaimError
            A line is no claim, or not what its id says; the message names file and byte.
        """
        path, seen = None, set[str]()
        for line in self.lines():
            if line.path != path:
                # equal lines have equal ids, so they are in one file
                path, seen = line.path, set()
            claim = read_claim(line.data, where=line.where)
            uid = claim.id
            if uid[6:8] != line.path.stem:
                raise ClaimError(
                    f"{line.where}: {uid[:20]}... does not belong into this file.",
                    hint="Move the line to its own file.",
                )
            if uid not in seen:
                seen.add(uid)
                yield claim

    def torn(self) -> list[LogLine]:
        """Return what stands after the last whole line of a file: an append that was cut off."""
        found = []
        for path in self.files():
            tail = _tail(path)
            if tail:
                found.append(LogLine(path, path.stat().st_size - len(tail), tail))
        return found

    def files(self) -> list[Path]:
        """Return the files of claims, by name."""
        return [self.claims_folder / name for name in sorted(self.states())]

    def states(self) -> dict[str, tuple[int, int]]:
        """Return the size, and the date in ns, of each file of claims by its name."""
        try:
            with os.scandir(self.claims_folder) as entries:
                found = [(entry.name, entry.stat()) for entry in entries if _SHARD.fullmatch(entry.name)]
        except FileNotFoundError:
            # git keeps no empty folder
            return {}
        return {name: (state.st_size, state.st_mtime_ns) for name, state in found}

    def _prepare(self, path: Path, report: AppendReport) -> set[str]:
        """Cut what an append left unfinished, and return the ids of the file's sound claims."""
        if not path.exists():
            path.touch()
            sync_folder(path.parent)
            return set()
        if tail := _tail(path):
            os.truncate(path, path.stat().st_size - len(tail))
            report.torn.append(f"{path.name}: {len(tail)} bytes after the last whole line were cut away")
        return {uid for line in path.read_bytes().split(b"\n") if (uid := _sound_id(line))}


def quick_id(line: bytes) -> str:
    """Return the id of a line that is written as we write it and has the hash of its bytes for an id, or nothing.

    Whether its fields are what a claim takes is not looked at.
    """
    head, tail = line[:78], line[78:]
    # texts with escapes other than those of line's end and tab are read with more care
    if head[:7] == b'{"id":"' and head[77:] == b'"' and tail[:1] == b"," and b"\\u" not in tail:
        uid = head[7:77].decode("ascii", errors="replace")
        if uid == f"claim:{hashlib.sha256(b'{' + tail[1:]).hexdigest()}":
            return uid
    return ""


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append whole lines to a file that one process at a time writes; what an append left unfinished is cut first.

    Raises
    ------
    DiskFullError, CatalogueError
        They could not be written; nothing of them stays.
    """
    if not path.exists():
        path.touch()
        sync_folder(path.parent)
    elif tail := _tail(path):
        os.truncate(path, path.stat().st_size - len(tail))
    if lines:
        _write(path, "".join(f"{line}\n" for line in lines).encode())


def _write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        start = file.tell()
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                os.truncate(path, start)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise DiskFullError(
                    f"writing {path}: there is no room for {len(data):,} bytes.",
                    hint="Free some, then run the same command again; what was added before stays.",
                ) from error
            raise CatalogueError(f"writing {path}: {error.strerror or error}.") from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: a new file is there only when its name is.

    Where folders cannot be opened they need no syncing.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _file_on_the_way(folder: Path) -> Path | None:
    """Return what is there in the place of a folder, or of one above it."""
    return next((each for each in (folder, *folder.parents) if each.exists() and not each.is_dir()), None)


def _begin(folder: Path) -> None:
    try:
        (folder / "claims").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogueError(
            f"beginning {folder}: the folder cannot be made ({error.strerror or error}).", hint="Name another folder."
        ) from error
    # lines of both branches are kept when git merges; the index can be made again from the lines
    (folder / ".gitattributes").write_text(_ATTRIBUTES, encoding="utf-8")
    (folder / ".gitignore").write_text(".lock\n.index*\nreleases/.*\n", encoding="utf-8")
    # last, so that a folder without it was not begun
    (folder / _MARK).write_text(_FORMAT, encoding="utf-8")
    sync_folder(folder)


def _sound_id(line: bytes) -> str:
    """Return the id of a sound claim, or nothing: a line that was changed must not keep the claim itself out."""
    if not line.strip():
        return ""
    if uid := quick_id(line):
        return uid
    try:
        return read_claim(line, where="the line").id
    except ClaimError:
        return ""


def _tail(path: Path) -> bytes:
    """Return the bytes after the last line's end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        step, tail = 4096, b""
        while size > 0:
            start = max(0, size - step)
            file.seek(start)
            tail = file.read(size - start) + tail
            cut = tail.rfind(b"\n")
            if cut >= 0:
                return tail[cut + 1 :]
            size = start
    return tail
