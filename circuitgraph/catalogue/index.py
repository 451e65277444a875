"""An index over the lines of a claim log, in SQLite; it can be thrown away and made again from the log at any time.

Before each look it is brought up to date: a file that only grew is read from where the index stopped,
a file whose beginning changed (git merged it, someone edited it) is read again from its start.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from circuitgraph.catalogue.claims import EVIDENCE_CODES, PREDICATES, Claim, read_claim
from circuitgraph.catalogue.log import ClaimLog, quick_id
from circuitgraph.catalogue.wording import moment_of
from circuitgraph.errors import CatalogueError, ClaimError
from circuitgraph.progress import SILENT, Progress

__all__ = ["ClaimIndex"]

_VERSION = 2
_FILE = ".index.sqlite"
_TABLES = """
CREATE TABLE files (name TEXT PRIMARY KEY, bytes INTEGER, mtime_ns INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE claims (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, file TEXT, offset INTEGER, bytes INTEGER,
    subject TEXT, predicate TEXT, object TEXT, negated INTEGER, kind TEXT, network TEXT, layer TEXT,
    author TEXT, author_name TEXT, date TEXT, day TEXT,
    codes INTEGER, for_codes INTEGER, for_items INTEGER, against_codes INTEGER, against_items INTEGER
);
CREATE INDEX claims_subject ON claims (subject);
CREATE INDEX claims_object ON claims (object) WHERE object <> '';
CREATE INDEX claims_predicate ON claims (predicate);
CREATE INDEX claims_file ON claims (file);
CREATE TABLE ends (unit TEXT, id TEXT, PRIMARY KEY (unit, id)) WITHOUT ROWID;
CREATE INDEX ends_id ON ends (id);
CREATE TABLE supersedes (old TEXT, new TEXT, PRIMARY KEY (old, new)) WITHOUT ROWID;
CREATE INDEX supersedes_new ON supersedes (new);
CREATE TABLE bad (file TEXT, offset INTEGER, reason TEXT, PRIMARY KEY (file, offset)) WITHOUT ROWID;
"""
_FORGET = (
    "DELETE FROM ends WHERE id IN (SELECT id FROM claims WHERE file = ?)",
    "DELETE FROM supersedes WHERE new IN (SELECT id FROM claims WHERE file = ?)",
    "DELETE FROM claims WHERE file = ?",
    "DELETE FROM bad WHERE file = ?",
    "DELETE FROM files WHERE name = ?",
)
_COLUMNS = frozenset({"subject", "predicate", "object", "network", "author"})
_INSERT = f"INSERT OR IGNORE INTO claims VALUES (NULL{', ?' * 20})"  # noqa: S608
_BITS = {code: 1 << place for place, code in enumerate(EVIDENCE_CODES)}
_KNOWN = frozenset(PREDICATES)

_Row = tuple[tuple[Any, ...], list[tuple[str, str]], list[tuple[str, str]]]


class ClaimIndex:
    """Finds claims of a log without reading all of it."""

    def __init__(self, log: ClaimLog, *, progress: Progress = SILENT) -> None:
        self.log = log
        self._progress = progress
        self._connection: sqlite3.Connection | None = None
        # files with a torn end, which would look changed for ever: their size and date when they were read
        self._torn: dict[str, tuple[int, int]] = {}
        self._is_steady = False

    @property
    def path(self) -> Path:
        """The file of the index."""
        return self.log.folder / _FILE

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._torn = {}

    def find(self, **wanted: Any) -> list[str]:
        """Return the ids, sorted, of claims whose columns (subject, predicate, object, network, author) are so."""
        unknown = set(wanted) - _COLUMNS
        if unknown:
            raise ValueError(f"the index has no column {', '.join(sorted(unknown))}")
        where = " AND ".join(f"{column} = :{column}" for column in wanted) or "1"
        # only names of our own columns are pasted
        return [row[0] for row in self.rows(f"SELECT id FROM claims WHERE {where} ORDER BY id", wanted)]  # noqa: S608

    def about(self, uid: str) -> list[str]:
        """Return the ids of claims that name `uid` as subject, as object, or as an end of an edge."""
        sql = (
            "SELECT id FROM claims WHERE subject = :uid UNION "
            "SELECT id FROM claims WHERE object = :uid AND object <> '' UNION "
            "SELECT id FROM ends WHERE unit = :uid ORDER BY id"
        )
        return [row[0] for row in self.rows(sql, {"uid": uid})]

    def rows(self, sql: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query of ours, on an index that is up to date.

        Raises
        ------
        CatalogueError
            The index cannot be read.
        """
        connection = self._up_to_date()
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from error

    def read(self, ids: Iterable[str]) -> Iterator[Claim]:
        """Yield claims by their ids, in that order; ids that are not there are left out."""
        connection = self._up_to_date()
        with ExitStack() as open_file:
            last, file = "", None
            for uid in ids:
                try:
                    found = connection.execute("SELECT file, offset, bytes FROM claims WHERE id = ?", (uid,)).fetchone()
                except sqlite3.DatabaseError as error:
                    raise self._broken(error) from error
                if found is None:
                    continue
                name, offset, size = found
                # sorted ids lie in one file after the other
                if file is None or name != last:
                    open_file.close()
                    last, file = name, open_file.enter_context((self.log.claims_folder / name).open("rb"))
                file.seek(offset)
                yield read_claim(file.read(size), where=f"{name}, byte {offset}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection of its own on an index that is up to date, for work in several steps.

        It sees one state of the index however many writers there are, and may make temporary tables, which go with it.
        """
        self.refresh()
        connection = sqlite3.connect(self.path, timeout=120, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from error
        finally:
            connection.close()

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Bring the index up to date once; until the end, questions are answered without looking at the log again.

        For many questions in a row by one who writes nothing between them.
        """
        if self._is_steady:
            yield
            return
        self.refresh()
        self._is_steady = True
        try:
            yield
        finally:
            self._is_steady = False

    def refresh(self) -> None:
        """Bring the index up to date."""
        self._up_to_date()

    def rebuild(self) -> None:
        """Make the index again from the log."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            (self.log.folder / f"{_FILE}{suffix}").unlink(missing_ok=True)
        self.refresh()

    def _up_to_date(self) -> sqlite3.Connection:
        try:
            connection = self._open()
            changed = [] if self._is_steady else self._changed(connection)
            if changed:
                with self._progress.task("indexing claims", sum(size for _, size in changed), "bytes") as task:
                    for path, size in changed:
                        self._read_file(connection, path)
                        task.advance(size)
        except sqlite3.DatabaseError as error:
            self.close()
            raise self._broken(error) from error
        return connection

    def _broken(self, error: Exception) -> CatalogueError:
        return CatalogueError(
            f"the index {self.path} cannot be read: {error}.",
            hint="Remove the file; it is made again from the claims.",
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self.path, timeout=120, isolation_level=None, check_same_thread=False)
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    connection.execute(f'DROP TABLE "{name}"')
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
            self._connection = connection
        return self._connection

    def _changed(self, connection: sqlite3.Connection) -> list[tuple[Path, int]]:
        known = {
            name: (size, mtime) for name, size, mtime in connection.execute("SELECT name, bytes, mtime_ns FROM files")
        }
        # looked at before every question, so in one sweep
        states = self.log.states()
        if states == known:
            return []
        changed = sorted(name for name, state in states.items() if state not in (known.get(name), self._torn.get(name)))
        # a file that is gone has changed too
        gone = sorted(known.keys() - states.keys())
        folder = self.log.claims_folder
        return [*((folder / name, states[name][0]) for name in changed), *((folder / name, 0) for name in gone)]

    def _read_file(self, connection: sqlite3.Connection, path: Path) -> None:
        """Read what is new in one file, or all of it where its beginning is not what it was."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            found = connection.execute("SELECT bytes, sha256 FROM files WHERE name = ?", (path.name,)).fetchone()
            is_there = path.exists()
            data = path.read_bytes() if is_there else b""
            mtime = path.stat().st_mtime_ns if is_there else 0
            # a line without its end was not acknowledged
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                self._torn[path.name] = (len(data), mtime)
            start = found[0] if found else 0
            begins_alike = found and len(whole) >= start and hashlib.sha256(whole[:start]).hexdigest() == found[1]
            if not begins_alike:
                start = 0
                self._forget(connection, path.name)
            self._insert(connection, path.name, whole, start)
            if is_there:
                connection.execute(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                    (
                        path.name,
                        len(whole),
                        mtime if len(whole) == len(data) else -1,
                        hashlib.sha256(whole).hexdigest(),
                    ),
                )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _forget(self, connection: sqlite3.Connection, name: str) -> None:
        for statement in _FORGET:
            connection.execute(statement, (name,))

    def _insert(self, connection: sqlite3.Connection, name: str, data: bytes, start: int) -> None:
        rows, ends, replaced, bad = [], [], [], []
        offset = start
        while offset < len(data):
            stop = data.index(b"\n", offset)
            line = data[offset:stop]
            if line.strip():
                try:
                    row, its_ends, its_old = _row(line, name[:2])
                    rows.append((row[0], name, offset, len(line), *row[1:]))
                    ends += its_ends
                    replaced += its_old
                except ClaimError as error:
                    bad.append((name, offset, error.message))
            offset = stop + 1
        connection.executemany(_INSERT, rows)
        connection.executemany("INSERT OR IGNORE INTO ends VALUES (?, ?)", ends)
        connection.executemany("INSERT OR IGNORE INTO supersedes VALUES (?, ?)", replaced)
        connection.executemany("INSERT OR IGNORE INTO bad VALUES (?, ?, ?)", bad)


def _row(line: bytes, shard: str) -> _Row:
    """Return what the index keeps of a line: its row, the units of an edge, and what it supersedes.

    The hash is checked, since a line whose id is not its own must not be found under it; that every field is what a
    claim takes is checked where the claim is read.

    Raises
    ------
    ClaimError
        It is no claim, not what its id says, or belongs into another file.
    """
    if uid := quick_id(line):
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _fields(uid, shard, json.loads(line))
    # not as we write it: as slow and exact as can be
    claim = read_claim(line, where="the line")
    return _fields(claim.id, shard, {"id": claim.id, **claim.content()})


def _fields(uid: str, shard: str, said: dict[str, Any]) -> _Row:
    if uid[6:8] != shard:
        raise ClaimError(f"the line: {uid[:20]}... belongs into {uid[6:8]}.jsonl.")
    subject, object_, author, date = said["subject"], said.get("object", ""), said["author"], said["date"]
    name, orcid, replaced = author["name"], author.get("orcid", ""), said.get("supersedes", ())
    if not all(isinstance(text, str) and text.isascii() for text in (subject, object_, orcid, date, *replaced)):
        raise TypeError("a field of the line is no plain text")
    if said["predicate"] not in _KNOWN or not isinstance(name, str):
        raise ValueError("the line says what no claim does")
    codes, items = [0, 0], [0, 0]
    for item in said.get("evidence", ()):
        is_against = bool(item.get("is_against", False))
        codes[is_against] |= _BITS[item["code"]]
        items[is_against] += 1
    kind, network, layer = _place(subject)
    row = (
        uid,
        subject,
        said["predicate"],
        object_,
        int(said.get("negated", False)),
        kind,
        network,
        layer,
        orcid or name,
        name,
        date,
        date if len(date) == 10 else moment_of(date).date().isoformat(),
        codes[0] | codes[1],
        codes[0],
        items[0],
        codes[1],
        items[1],
    )
    ends = subject.split(" -> ") if kind == "edge" else []
    return row, [(unit, uid) for unit in ends], [(old, uid) for old in replaced]


def _place(subject: str) -> tuple[str, str, str]:
    """Return what kind of thing a uid names, its network, and the uid of its layer; of an edge, the network of UP."""
    network, slash, rest = subject.partition("/")
    if not slash:
        prefix, colon, _ = subject.partition(":")
        return (prefix, "", "") if colon else ("network", subject, "")
    if " -> " in rest:
        return "edge", network, ""
    for mark, kind in ((":", "unit"), ("!", "family"), ("@", "unit")):
        layer, found, _ = rest.partition(mark)
        if found:
            return kind, network, f"{network}/{layer}"
    return "layer", network, subject
