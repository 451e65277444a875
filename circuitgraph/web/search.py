"""What a reader types, to what it names: a uid, a short form as ``4c:447``, the name of a layer, or words."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from weakref import WeakKeyDictionary

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.finding import known_layers, known_networks
from circuitgraph.errors import CircuitGraphError
from circuitgraph.figures.labels import names_of
from circuitgraph.ids import kind_of
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.search_index import Hit, SearchIndex
from circuitgraph.web.versions import catalogue_state

__all__ = ["Found", "search", "warm"]

_LONGEST = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BY_ID = 40
_SHORTEST_PART = 2
_ID = re.compile(r"(?:(?P<network>[^/\s]+)/)?(?P<layer>[^/:@!\s]+)(?:(?P<mark>[:@!])(?P<rest>\S*))?")
_HASH = re.compile(r"(?:claim:)?[0-9a-f]{8,64}")
_SUBJECTS = """
SELECT DISTINCT subject FROM claims WHERE subject >= ? AND subject < ? ORDER BY LENGTH(subject), subject LIMIT ?
"""
_indexes: WeakKeyDictionary[Explorer, SearchIndex] = WeakKeyDictionary()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Found:
    """Some of what was found, from `offset` on, of `count`; `beyond` more fit less well and are not listed."""

    text: str
    hits: tuple[Hit, ...]
    count: int
    offset: int = 0
    beyond: int = 0

    @property
    def rows(self) -> list[dict[str, str]]:
        """The hits as mappings with uid, kind, title, note."""
        return [{"uid": hit.uid, "kind": hit.kind, "title": hit.title, "note": hit.note} for hit in self.hits]


def search(explorer: Explorer, text: str, *, limit: int = 20, offset: int = 0) -> Found:
    """Find networks, layers, units, families, features, circuits and claims.

    Parameters
    ----------
    text
        A uid comes first, then short forms of units (``4c:447``; ``4c:4`` finds 4, 40 to 49, and so on), names of
        layers, then what is called so, then words of names, definitions and statements. Any text is taken; of a long
        one, the first 200 letters.
    limit, offset
        How many at most, after how many others.
    """
    # a page of HTML holds no control characters
    wanted = " ".join(_CONTROL.sub(" ", text[:_LONGEST]).split())
    if not wanted:
        return Found("", (), 0)
    first = list(_by_id(explorer, wanted))
    head = first[offset : offset + limit]
    # what was found by its id is not found again
    beside, count, beyond = _index(explorer).find(
        wanted, limit=limit - len(head), offset=max(0, offset - len(first)), without={hit.uid for hit in first}
    )
    labels = names_of(explorer.catalogue, [hit.uid for hit in head if hit.kind == "unit"], *explorer.bundles.values())
    named = [Hit(hit.uid, hit.kind, labels.get(hit.uid, hit.title), hit.note) for hit in head]
    return Found(wanted, (*named, *beside), count + len(first), offset, beyond)


def warm(explorer: Explorer) -> None:
    """Make the index before somebody asks; what is wrong is said to who asks."""
    with suppress(CircuitGraphError, OSError, sqlite3.Error):
        search(explorer, "a", limit=1)


def _index(explorer: Explorer) -> SearchIndex:
    with _lock:
        if explorer not in _indexes:
            _indexes[explorer] = SearchIndex(explorer)
        return _indexes[explorer]


def _by_id(explorer: Explorer, text: str) -> Iterator[Hit]:
    """Yield what a text names by its id, each once: the very thing first, then what begins so."""
    seen = set[str]()
    for hit in islice(_candidates(explorer, text), _BY_ID):
        if hit.uid not in seen:
            seen.add(hit.uid)
            yield hit


def _candidates(explorer: Explorer, text: str) -> Iterator[Hit]:
    catalogue = explorer.catalogue
    if catalogue is not None and _HASH.fullmatch(text):
        with suppress(CircuitGraphError):
            claim = catalogue.get(text)
            yield Hit(claim.id, "claim", claim.id[:18], f"{claim.author.name}, {claim.date[:10]}")
    parts = _ID.fullmatch(text)
    if parts is None:
        return
    network, layer, mark, rest = (parts[name] or "" for name in ("network", "layer", "mark", "rest"))
    if catalogue is not None and text.startswith("feature:"):
        yield from _feature(catalogue, text)
    for bundle in explorer.bundles.values():
        if network in ("", bundle.network):
            if not network and not mark and bundle.network.startswith(text):
                yield Hit(bundle.network, "network", bundle.info.title or bundle.network)
            yield from _in_bundle(bundle, layer, mark, rest)
    if catalogue is not None:
        yield from _in_catalogue(explorer, catalogue, network, layer, mark, rest)


def _feature(catalogue: Catalogue, text: str) -> Iterator[Hit]:
    with suppress(CircuitGraphError):
        feature = catalogue.vocabulary().get(text)
        yield Hit(feature.uid, "feature", feature.name, feature.definition[:_LONGEST])


def _in_bundle(bundle: Bundle, called: str, mark: str, rest: str) -> Iterator[Hit]:
    layers = {layer.name: layer for layer in bundle.layers}
    aliases = {alias: layer.name for layer in bundle.layers for alias in layer.aliases}
    for name in _layers_called(called, layers, aliases, is_whole=bool(mark)):
        layer = layers[name]
        if not mark:
            yield Hit(layer.uid, "layer", layer.name, f"{layer.unit_count:,} units of {bundle.network}")
        elif mark == ":":
            for channel in _beginning(rest, layer.unit_count):
                yield _unit(f"{layer.uid}:{channel}")
        elif mark == "@":
            yield from (
                _unit(uid) for uid in bundle.directions.uids(layer.uid) if uid.startswith(f"{layer.uid}@{rest}")
            )
        else:
            for family in bundle.families:
                if family.uid.startswith(f"{layer.uid}!{rest}"):
                    yield Hit(family.uid, "family", family.name or family.uid, family.uid)


def _unit(uid: str) -> Hit:
    return Hit(uid, "unit", uid.partition("/")[2], uid)


def _layers_called(called: str, names: Iterable[str], aliases: dict[str, str], *, is_whole: bool) -> Iterator[str]:
    """Yield the layer of a name, else those that end or, where no unit is named, begin so or hold it."""
    names = list(names)
    if called in names:
        yield called
    elif called in aliases:
        yield aliases[called]
    if called in names and is_whole:
        return
    if len(called) < _SHORTEST_PART:
        return
    folded = called.casefold()
    yield from (name for name in names if name != called and name.casefold().endswith(folded))
    if not is_whole:
        yield from (name for name in names if folded in name.casefold() and not name.casefold().endswith(folded))


def _beginning(digits: str, count: int) -> Iterator[int]:
    """Yield the numbers below `count` that are written so or begin so, the one itself first."""
    if digits == "":
        yield from range(count)
        return
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9 or (digits[0] == "0" and digits != "0"):
        return
    first, width = int(digits), 1
    while first < count:
        yield from range(first, min(first + width, count))
        if digits == "0":
            return
        first, width = first * 10, width * 10


def _in_catalogue(
    explorer: Explorer, catalogue: Catalogue, network: str, called: str, mark: str, rest: str
) -> Iterator[Hit]:
    """Yield what claims are about in networks of which no bundle is open here."""
    state = catalogue_state(explorer)
    networks: Sequence[str] = remembered(explorer, ("networks", state), lambda: known_networks(catalogue))
    for own in networks:
        if own in explorer.bundles or network not in ("", own):
            continue
        if not network and not mark and own.startswith(called):
            yield Hit(own, "network", own, "known from claims")
        names: Sequence[str] = remembered(explorer, ("layers", own, state), partial(known_layers, catalogue, own))
        names = [name for name in names if name]
        for name in _layers_called(called, names, {}, is_whole=bool(mark)):
            if not mark:
                yield Hit(f"{own}/{name}", "layer", name, f"of {own}, known from claims")
                continue
            begun = f"{own}/{name}{mark}{rest}"
            rows = catalogue.index.rows(_SUBJECTS, (begun, f"{begun}\U0010ffff", _BY_ID))
            for (uid,) in rows:
                with suppress(CircuitGraphError):
                    kind = kind_of(uid)
                    if kind in ("unit", "family"):
                        yield _unit(uid) if kind == "unit" else Hit(uid, "family", uid.rpartition("!")[2], uid)
