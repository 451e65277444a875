"""Words to things: a full-text index in memory over what units, families, features, circuits and claims are called.

It is SQLite's FTS5 over the explorer's bundles and catalogue. Before each search it is brought up to date: new claims
are added to it one by one, a vocabulary, families or circuits that changed are read again. Units of which nothing is
said are not in it: `circuitgraph.web.search` finds them by their ids.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Collection, Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.documents import current_documents
from circuitgraph.catalogue.wording import Words, say_verb
from circuitgraph.figures.families import iter_families
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.versions import catalogue_state

__all__ = ["Hit", "SearchIndex"]

_TABLES = """
CREATE VIRTUAL TABLE things USING fts5(
    title, words, uid UNINDEXED, kind UNINDEXED, note UNINDEXED,
    prefix='1 2 3', tokenize='unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE claims USING fts5(
    words, uid UNINDEXED, title UNINDEXED, note UNINDEXED, prefix='1 2 3', tokenize='unicode61 remove_diacritics 2'
);
"""
_NEW = """
SELECT number, id, subject, predicate, object, negated, author_name, date, kind, file, offset, bytes FROM claims
WHERE number > ? ORDER BY number
"""
_RANKED = """
SELECT uid, kind, title, note, bm25(things, 4.0, 1.0) AS score FROM things WHERE things MATCH ? ORDER BY score LIMIT ?
"""
_ANY = "SELECT uid, kind, title, note, 0.0 FROM things WHERE things MATCH ? LIMIT ?"
_CLAIMS = "FROM claims WHERE claims MATCH :asked"
_LEFT_OUT = "AND uid NOT IN (SELECT value FROM json_each(:without))"
_LABELS = ("detects", "responds_to", "member_of")
_WORD = re.compile(r"\w+")
_MOST_WORDS = 8
_LONGEST_WORD = 40
_MOST_RANKED = 300
_MOST_TEXT = 2_000
_SHORTEST_PLURAL = 4
_SHORT = 2


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found: its uid and kind, what it is called, and what else is known of it in a line."""

    uid: str
    kind: str
    title: str
    note: str = ""


class SearchIndex:
    """Finds things by words; it may be asked from any thread."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._begin()

    def find(
        self, text: str, *, limit: int, offset: int = 0, without: Collection[str] = ()
    ) -> tuple[list[Hit], int, int]:
        """Return some of the things, then claims, in which all words of a text begin words.

        What is called just so comes first, then what begins so, then by how rare the words are; claims come newest
        first. Besides, how many can be asked for, and how many things fit less well than the best 300 and cannot.
        """
        asked = _asked(text)
        with self._lock:
            self._refresh()
            if not asked:
                return [], 0, 0
            ranked = [hit for hit in self._things(asked, text) if hit.uid not in without]
            found = ranked[offset : offset + limit]
            # of most texts no claim was found before: to look at the ids of all is what takes long
            left_out = [uid for uid in without if uid.startswith("claim:")]
            where = f"{_CLAIMS} {_LEFT_OUT if left_out else ''}"
            values: dict[str, str | int] = {"asked": asked, "without": json.dumps(left_out)}
            ((claims,),) = self._db.execute(f"SELECT COUNT(*) {where}", values)
            if len(found) < limit and claims:
                values |= {"limit": limit - len(found), "offset": max(0, offset - len(ranked))}
                sql = f"SELECT uid, title, note {where} ORDER BY rowid DESC LIMIT :limit OFFSET :offset"
                found += [Hit(uid, "claim", title, note) for uid, title, note in self._db.execute(sql, values)]
            beyond = 0
            if len(ranked) + len(without) >= _MOST_RANKED:
                ((things,),) = self._db.execute("SELECT COUNT(*) FROM things WHERE things MATCH ?", (asked,))
                beyond = max(0, int(things) - _MOST_RANKED)
            return found, len(ranked) + int(claims), beyond

    def _things(self, asked: str, text: str) -> list[Hit]:
        # a letter or two begin so many words that none is rare
        rows = self._db.execute(_RANKED if len(text) > _SHORT else _ANY, (asked, _MOST_RANKED)).fetchall()
        wanted = " ".join(text.casefold().split())

        def rank(row: tuple[Any, ...]) -> tuple[int, float, str]:
            title = str(row[2]).casefold()
            names = [name.strip() for name in title.split(" / ")]
            if wanted in names:
                return 0, row[4], row[0]
            return (1 if any(name.startswith(wanted) for name in names) else 2), row[4], row[0]

        return [Hit(uid, kind, title, note) for uid, kind, title, note, _ in sorted(rows, key=rank)]

    def _begin(self) -> None:
        for name in ("things", "claims"):
            self._db.execute(f"DROP TABLE IF EXISTS {name}")
        self._db.executescript(_TABLES)
        self._state: tuple[Hashable, ...] | None = None
        self._last = 0
        self._count = 0
        self._features: tuple[Hashable, ...] | None = None
        self._names: dict[str, str] = {}
        # the rows of things, by uid and by what they came from
        self._rows: dict[str, dict[str, int]] = {"unit": {}, "feature": {}, "record": {}}
        # the labels of each unit, by claim: predicate and object
        self._labels: dict[str, dict[str, tuple[str, str]]] = {}
        self._subjects: dict[str, str] = {}

    def _refresh(self) -> None:
        state = catalogue_state(self._explorer)
        if state == self._state:
            return
        catalogue = self._explorer.catalogue
        try:
            with self._db:
                changed = set[str]()
                if catalogue is not None:
                    changed = self._read_claims(catalogue)
                    changed |= self._read_features(catalogue)
                    self._name_units(changed, Words(catalogue.vocabulary()))
                self._put("record", list(self._records(catalogue)))
                self._state = state
        except BaseException:
            # the rows are as they were before, what is remembered of them is not
            self._begin()
            raise

    def _read_claims(self, catalogue: Catalogue) -> set[str]:
        """Add new claims, all of them where old ones are gone; return the units whose labels they change."""
        rows = catalogue.index.rows(_NEW, (self._last,))
        ((total,),) = catalogue.index.rows("SELECT COUNT(*) FROM claims")
        if self._count + len(rows) != total:
            self._begin()
            rows = catalogue.index.rows(_NEW, (0,))
        words = Words(catalogue.vocabulary())
        changed = set[str]()
        known = []
        for row, statement in _with_statements(catalogue, rows):
            _, uid, subject, predicate, object_, negated, author, date, kind, *_ = row
            verb = say_verb(predicate, is_negated=bool(negated))
            said = " ".join(part for part in (words.name(subject), verb, words.name(object_)) if part)
            text = " ".join((said, statement, author))[:_MOST_TEXT]
            known.append((text, uid, said[:300], f"{author}, {date[:10]}"))
            if kind == "unit" and predicate in _LABELS and not negated:
                self._labels.setdefault(subject, {})[uid] = (predicate, object_)
                self._subjects[uid] = subject
                changed.add(subject)
        self._db.executemany("INSERT INTO claims (words, uid, title, note) VALUES (?, ?, ?, ?)", known)
        first = self._last
        self._last = rows[-1][0] if rows else self._last
        self._count = total
        # what a new claim supersedes is no label any more
        sql = "SELECT old FROM supersedes JOIN claims ON claims.id = new WHERE number > ?"
        for (old,) in catalogue.index.rows(sql, (first,)):
            subject = self._subjects.get(old, "")
            if self._labels.get(subject, {}).pop(old, None):
                changed.add(subject)
        return changed

    def _read_features(self, catalogue: Catalogue) -> set[str]:
        """Put the vocabulary in, if it changed; return the units that are called otherwise now."""
        path = catalogue.features_path
        state = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else ()
        if state == self._features:
            return set()
        self._features = state
        words = Words(catalogue.vocabulary())
        before, self._names = self._names, {}
        things = []
        for feature in words.features.values():
            self._names[feature.uid] = feature.name
            slug = feature.uid.removeprefix("feature:")
            more = " ".join((slug, *feature.synonyms, feature.definition))[:_MOST_TEXT]
            things.append((feature.name, more, feature.uid, "feature", feature.definition[:200]))
        self._put("feature", things)
        renamed = {uid for uid, name in self._names.items() if before.get(uid) not in (None, name)}
        renamed |= before.keys() - self._names.keys()
        return {
            unit for unit, labels in self._labels.items() if any(object_ in renamed for _, object_ in labels.values())
        }

    def _name_units(self, units: Iterable[str], words: Words) -> None:
        own = self._rows["unit"]
        for unit in units:
            if unit in own:
                self._db.execute("DELETE FROM things WHERE rowid = ?", (own.pop(unit),))
            said: dict[str, dict[str, None]] = {}
            for predicate, object_ in self._labels.get(unit, {}).values():
                said.setdefault(predicate, {})[words.name(object_).rpartition("!")[2]] = None
            if not said:
                continue
            title = list(said.get("detects", ())) or list(said.get("responds_to", ())) or list(said["member_of"])
            more = [name for predicate in _LABELS for name in said.get(predicate, ()) if name not in title[:2]]
            row = (" / ".join(title[:2])[:300], " ".join(more)[:_MOST_TEXT], unit, "unit", unit)
            own[unit] = self._add(row)

    def _records(self, catalogue: Catalogue | None) -> Iterator[tuple[str, str, str, str, str]]:
        for bundle in self._explorer.bundles.values():
            info = bundle.info
            yield info.title or info.network, f"{info.network} {info.architecture}", info.network, "network", ""
        if catalogue is not None:
            for uid, circuit in current_documents(catalogue.documents(CircuitRecord)).items():
                yield circuit.title, circuit.description[:_MOST_TEXT], uid, "circuit", _units(len(circuit.units))
        seen = set[str]()
        for own in [*self._explorer.bundles.values(), None]:
            if own is None and catalogue is None:
                continue
            for family in iter_families(own, catalogue):
                if family.uid in seen:
                    continue
                seen.add(family.uid)
                slug = family.uid.rpartition("!")[2]
                note = f"{family.uid}, {_units(len(family.members))}"
                yield family.name or slug, f"{slug} {family.description}"[:_MOST_TEXT], family.uid, "family", note

    def _put(self, what: str, things: Iterable[tuple[str, str, str, str, str]]) -> None:
        """Put things in the place of those that came from there before."""
        own = self._rows[what]
        self._db.executemany("DELETE FROM things WHERE rowid = ?", [(row,) for row in own.values()])
        own.clear()
        for thing in things:
            own[thing[2]] = self._add(thing)

    def _add(self, thing: tuple[str, str, str, str, str]) -> int:
        done = self._db.execute("INSERT INTO things (title, words, uid, kind, note) VALUES (?, ?, ?, ?, ?)", thing)
        return int(done.lastrowid or 0)


def _units(count: int) -> str:
    return f"{count:,} {'unit' if count == 1 else 'units'}"


def _asked(text: str) -> str:
    """Return a question of FTS5 in which all words of a text must begin some word; nothing of it is taken as syntax."""
    words = [word[:_LONGEST_WORD] for word in _WORD.findall(text.casefold())[:_MOST_WORDS]]
    # plurals find what stands in the singular
    short = [word[:-1] if len(word) >= _SHORTEST_PLURAL and word.endswith("s") else word for word in words]
    return " ".join(f'"{word}"*' for word in short)


def _with_statements(catalogue: Catalogue, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Give each row the statement of its claim, each file of the log being read once."""
    rows = list(rows)
    many = len(rows) > 256
    whole: dict[str, bytes] = {}
    for row in rows:
        *_, name, offset, size = row
        path = catalogue.log.claims_folder / name
        statement = ""
        # what the log lost meanwhile is told by the next look at the index
        with suppress(OSError, ValueError, AttributeError):
            if many and name not in whole:
                whole[name] = path.read_bytes()
            if many:
                line = whole[name][offset : offset + size]
            else:
                with path.open("rb") as file:
                    file.seek(offset)
                    line = file.read(size)
            statement = str(json.loads(line).get("statement", ""))
        yield row, statement
