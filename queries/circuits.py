"""From what a search found to records of the catalogue: a motif as a circuit, an order as a family."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_making import make_circuit
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.claims import Author
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.errors import MissingFileError, MotifError
from queries.base import Match, MotifResult
from queries.order import FamilyOrder

__all__ = ["circuit_from_match", "circuit_from_saved", "family_from_order", "read_saved_result"]

_HINT = "Save what a search found: circuitgraph motifs NAME BUNDLE --json > found.json"


def circuit_from_match(
    match: Match,
    bundle: Bundle,
    *,
    title: str,
    author: Author | str,
    date: str,
    result: MotifResult[Match] | None = None,
    top: int = 8,
    min_share: float = 0.0,
    labels: Mapping[str, str] | None = None,
    slug: str = "",
    description: str = "",
    reference: str = "",
    supersedes: Iterable[CircuitRecord | str] = (),
) -> CircuitRecord:
    """Make a circuit of a found motif: its units in their roles, and the edges between them.

    Parameters
    ----------
    result
        The search that found it; with it the weights are compared, and its statement goes into the description.
    top, min_share
        Which edges are kept, as for `make_circuit`; a match that names its edges keeps those.
    title, author, date, labels, slug, description, reference, supersedes
        As for `circuitgraph.catalogue.circuit_making.make_circuit`. Where there is no description, the match's own
        numbers are it.

    Raises
    ------
    MotifError
        The match is of an array, whose units have no uids, or of other weights than the bundle's.
    """
    return circuit_from_saved(
        match.to_dict(),
        bundle,
        title=title,
        author=author,
        date=date,
        result=None if result is None else {**result.to_dict(), "matches": []},
        top=top,
        min_share=min_share,
        labels=labels,
        slug=slug,
        description=description,
        reference=reference,
        supersedes=supersedes,
    )


def circuit_from_saved(
    match: Mapping[str, Any],
    bundle: Bundle,
    *,
    title: str,
    author: Author | str,
    date: str,
    result: Mapping[str, Any] | None = None,
    top: int = 8,
    min_share: float = 0.0,
    labels: Mapping[str, str] | None = None,
    slug: str = "",
    description: str = "",
    reference: str = "",
    supersedes: Iterable[CircuitRecord | str] = (),
) -> CircuitRecord:
    """Make a circuit of a match as `Match.to_dict` gives it; otherwise as `circuit_from_match`."""
    act = f"making circuit {title[:80]!r}"
    searched = str((result or {}).get("weights_sha256") or "")
    if searched and searched != bundle.info.weights_sha256:
        raise MotifError(
            f"{act}: weights {searched[:12]} were searched, the bundle of {bundle.network} has "
            f"{bundle.info.weights_sha256[:12]}.",
            hint="Give the bundle that was searched.",
        )
    roles = _roles(match, act)
    named = match.get("edges")
    # what others wrote may be anything
    named = named if isinstance(named, (list, tuple)) else ()
    ends = [(edge.get("up"), edge.get("down")) for edge in named if isinstance(edge, Mapping)]
    pairs = [(up, down) for up, down in ends if isinstance(up, str) and isinstance(down, str)]
    return make_circuit(
        bundle,
        roles,
        title=title,
        author=author,
        date=date,
        edges=dict.fromkeys(pairs) if pairs else "strongest",
        top=top,
        min_share=min_share,
        labels=labels,
        origin=str(match.get("id") or match.get("motif") or "a motif"),
        slug=slug,
        description=description or _numbers(match, result or {}),
        reference=reference,
        supersedes=supersedes,
    )


def read_saved_result(path: str | Path) -> dict[str, Any]:
    """Read what ``circuitgraph motifs NAME BUNDLE --json`` wrote.

    Raises
    ------
    MissingFileError
        There is no such file.
    MotifError
        It holds something else, or no match.
    """
    act = f"reading motifs from {path}"
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingFileError(f"{act}: it cannot be read: {error.strerror}.", hint=_HINT) from error
    except (ValueError, RecursionError) as error:
        raise MotifError(f"{act}: it is not JSON: {str(error).splitlines()[0]}.", hint=_HINT) from error
    matches = found.get("matches") if isinstance(found, dict) else None
    if not isinstance(matches, list) or not all(isinstance(match, dict) for match in matches):
        raise MotifError(f"{act}: it holds no list of matches.", hint=_HINT)
    if not matches:
        raise MotifError(f"{act}: the search has 0 matches.", hint="Search with other options, or in other layers.")
    return dict(found)


def family_from_order(
    order: FamilyOrder,
    bundle: Bundle,
    *,
    name: str,
    author: Author | str,
    date: str,
    description: str = "",
    reference: str = "",
    partition: str = "",
    supersedes: Iterable[str] = (),
) -> FamilyRecord:
    """Make the record of a family of units in the order that `order_family` found, with their angles.

    The angles are relative to the first unit, and no weights can tell which way round they go; where there is no
    description, the order's statement is it, and says so.

    Raises
    ------
    MotifError
        An array was ordered, whose units have no uids.
    """
    said = f"{order.statement} Angles are relative to the first unit; their sense is free."
    return FamilyRecord.from_family(
        order.to_family(name, description=description or said),
        author=author,
        date=date,
        reference=reference,
        partition=partition,
        weights_sha256=bundle.info.weights_sha256,
        supersedes=supersedes,
    )


def _roles(match: Mapping[str, Any], act: str) -> dict[str, str]:
    """Return unit to role; a unit in several roles has them all."""
    bindings = match.get("bindings")
    if not isinstance(bindings, list):
        units = match.get("units")
        bindings = [[role, 0, unit] for role, unit in units.items()] if isinstance(units, Mapping) else []
    roles: dict[str, str] = {}
    for binding in bindings:
        role, unit = (binding[0], binding[-1]) if isinstance(binding, list) and len(binding) == 3 else ("", None)
        if not isinstance(unit, str):
            what = f"{unit!r} is a place in an array" if isinstance(unit, int) else f"{unit!r} is no unit"
            raise MotifError(f"{act}: {what}.", hint="Search a Bundle, whose units have uids.")
        held = roles.get(unit, "").split(", ") if unit in roles else []
        roles[unit] = ", ".join(dict.fromkeys([*held, str(role)]))
    if not roles:
        raise MotifError(f"{act}: the match names 0 units.", hint="Take a match that binds units; see `bindings`.")
    return roles


def _numbers(match: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Say what the match says of itself, and the search that found it."""
    numbers = [f"{name} {match[name]:.4g}" for name in ("score", "effect", "p", "q") if _is_number(match.get(name))]
    null = f" against {match['null']}" if match.get("null") else ""
    said = f"{match.get('motif', 'motif')}: {', '.join(numbers)}{null}; {match.get('verdict', 'no verdict')}."
    return f"{said} {result['statement']}" if result.get("statement") else said


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
