"""Results of searches that were written to files, read back whole.

A result is read as plain values, as `MotifResult.to_dict` gives them: pictures (`circuitgraph.figures.motif_figure`)
and records (`queries.circuits.circuit_from_saved`) are made from them, and writing them again gives the same text.
What others wrote is checked first: afterwards each field that is named in `MATCH_FIELDS` has the type that it should.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuitgraph.errors import DiskFullError, IdError, MissingFileError, MotifError
from circuitgraph.ids import UnitId, kind_of

__all__ = ["MATCH_FIELDS", "check_result", "read_result", "write_result"]

MATCH_FIELDS = ("id", "motif", "score", "effect", "p", "q", "null", "verdict", "shares", "notes", "bindings")
"""What of a match is checked."""

_SCHEMA = "circuitgraph/motifs"
_NEWEST = 2
_LARGEST_BYTES = 1 << 28
_TEXTS = ("motif", "statement", "source", "tested", "network", "weights_sha256", "cypher")
_VERDICTS = ("found", "not significant", "undetermined", "cannot tell", "ranking")


def write_result(result: Mapping[str, Any], path: str | Path) -> None:
    """Write a result (`MotifResult.to_dict`) to a file, whole or not at all.

    Raises
    ------
    DiskFullError
        It cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(result, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise DiskFullError(f"writing a result to {path}: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def read_result(path: str | Path) -> dict[str, Any]:
    """Read what `write_result` or ``circuitgraph motifs NAME BUNDLE --json`` wrote; it may hold no match.

    Raises
    ------
    MissingFileError
        There is no such file.
    MotifError
        It is too large, or holds something else.
    """
    path = Path(path)
    act = f"reading motifs from {path.name}"
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise MotifError(f"{act}: it has {size:,} bytes, at most {_LARGEST_BYTES:,} are read.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingFileError(f"{act}: it cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise MotifError(f"{act}: byte {error.start:,} is no UTF-8.") from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MotifError(f"{act}: it is not JSON: {str(error).splitlines()[0]}.") from error
    return check_result(found, act=act)


def check_result(found: Any, *, act: str = "reading motifs") -> dict[str, Any]:
    """Return a result if it is one.

    Raises
    ------
    MotifError
        It is none; the message says what is wrong, and in which match.
    """
    if not isinstance(found, Mapping) or found.get("schema") != _SCHEMA:
        raise MotifError(f"{act}: it holds no result of a search.", hint="circuitgraph motifs NAME BUNDLE --json")
    version = found.get("version")
    if not isinstance(version, int) or not 1 <= version <= _NEWEST:
        raise MotifError(f"{act}: its version is {str(version)[:20]}, 1 to {_NEWEST} are read.")
    for name in _TEXTS:
        if not isinstance(found.get(name), str):
            raise MotifError(f"{act}: its {name} is no text.")
    for name in ("tested_count", "draws", "seed"):
        if not isinstance(found.get(name), int):
            raise MotifError(f"{act}: its {name} is no whole number.")
    for name in ("level", "seconds"):
        if not _is_number(found.get(name)):
            raise MotifError(f"{act}: its {name} is no number.")
    _check_list(found.get("notes"), str, f"{act}: its notes")
    _check_list(found.get("nulls"), Mapping, f"{act}: its nulls")
    for null in found["nulls"]:
        if not all(isinstance(null.get(name), str) for name in ("name", "keeps", "kills")):
            raise MotifError(f"{act}: a null does not say what it keeps and kills.")
    if not isinstance(found.get("parameters"), Mapping) or not isinstance(found.get("null_scores", {}), Mapping):
        raise MotifError(f"{act}: its parameters or null scores are no mapping.")
    _check_list(found.get("matches"), Mapping, f"{act}: its matches")
    for place, match in enumerate(found["matches"]):
        _check_match(match, f"{act}: match {place + 1}")
    return dict(found)


def _check_match(match: Mapping[str, Any], where: str) -> None:
    for name in ("id", "motif", "null", "verdict"):
        if not isinstance(match.get(name), str):
            raise MotifError(f"{where}: its {name} is no text.")
    try:
        is_motif = kind_of(match["id"]) == "motif"
    except IdError:
        is_motif = False
    if not is_motif or match["verdict"] not in _VERDICTS:
        raise MotifError(f"{where}: its id or its verdict is none: {match['id'][:40]!r}, {match['verdict'][:40]!r}.")
    for name in ("score", "effect", "p", "q"):
        if match.get(name) is not None and not _is_number(match[name]):
            raise MotifError(f"{where}: its {name} is no number.")
    if not isinstance(match.get("shares"), Mapping) or not all(map(_is_number, match["shares"].values())):
        raise MotifError(f"{where}: its shares are no numbers.")
    _check_list(match.get("notes"), str, f"{where}: its notes")
    _check_list(match.get("bindings"), list, f"{where}: its bindings")
    for binding in match["bindings"]:
        if len(binding) != 3 or not isinstance(binding[0], str) or not isinstance(binding[1], int):
            raise MotifError(f"{where}: a binding is no role, place and unit.")
        if not isinstance(binding[2], int):
            try:
                UnitId.parse(binding[2] if isinstance(binding[2], str) else "")
            except IdError as error:
                raise MotifError(f"{where}: {str(binding[2])[:80]!r} is no unit.") from error


def _check_list(value: Any, kind: type, what: str) -> None:
    if not isinstance(value, list) or not all(isinstance(each, kind) for each in value):
        raise MotifError(f"{what} are no list of what they should be.")


def _is_number(value: Any) -> bool:
    # a whole number may be larger than any real one
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
