"""Writing found motifs into a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from circuitgraph.errors import MotifError
from queries.base import Match, MotifResult

if TYPE_CHECKING:
    from circuitgraph.store import Store

__all__ = ["match_of_row", "motif_row", "save_result"]

_LARGEST = 2**63 - 1
_OWN = ("id", "motif", "score", "effect", "p", "q", "null", "verdict", "notes", "bindings")
_SAVED_SCORES = 64
"""Scores of the null that a node keeps, for its picture."""


def save_result(result: MotifResult[Match], store: Store) -> int:
    """Write the found matches of `result` as ``:Motif`` nodes; see `MotifResult.to_store`."""
    from circuitgraph.store.motifs import save_motifs

    act = f"saving {result.motif}"
    for match in result.found:
        places = [unit for _, _, unit in match.bindings() if not isinstance(unit, str)]
        if places or not result.network:
            unit = f", {places[0]!r} is a place in one" if places else ""
            raise MotifError(
                f"{act}: an array was searched, whose units have no uids{unit}.",
                hint="Search a Bundle (`Bundle.open(path)`) that is loaded in the store.",
            )
    if not result.found:
        return 0
    if result.seed > _LARGEST:
        raise MotifError(f"{act}: the seed {result.seed} has more than 63 bits.", hint="Search with a smaller seed.")
    rows = [motif_row(result, match) for match in result.found]
    return save_motifs(store, result.network, rows, weights_sha256=result.weights_sha256, act=act)


def motif_row(result: MotifResult[Match], match: Match) -> dict[str, Any]:
    """Return the properties of the ``:Motif`` node of one match; what is empty is None.

    The moment of the search is not among them, so that the same search writes the same node.
    """
    said = match.to_dict()
    if match.chance is not None:
        said["chance"] = match.chance.to_whole_dict(most=_SAVED_SCORES)
    bindings = match.bindings()
    notes = [*match.notes, *result.notes]
    return {
        "uid": match.id,
        "network": result.network,
        "motif": match.motif,
        "score": said["score"],
        "effect": said["effect"],
        "p": said["p"],
        "q": said["q"],
        "null": match.null or None,
        "verdict": match.verdict,
        "draws": result.draws,
        "seed": result.seed,
        "level": result.level,
        "tested_count": result.tested_count,
        "statement": result.statement,
        "notes": notes or None,
        "details": json.dumps({name: value for name, value in said.items() if name not in _OWN}, sort_keys=True),
        "roles": [role for role, _, _ in bindings],
        "positions": [position for _, position, _ in bindings],
        "units": [str(unit) for _, _, unit in bindings],
    }


def match_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the match that `motif_row` wrote, as `Match.to_dict` gave it; its notes hold those of the search too."""
    bindings = zip(row["roles"] or (), row["positions"] or (), row["units"] or (), strict=True)
    return {
        "shares": {},
        **json.loads(row["details"] or "{}"),
        "id": row["uid"],
        **{name: row[name] for name in ("motif", "score", "effect", "p", "q", "verdict")},
        "null": row["null"] or "",
        "notes": list(row["notes"] or ()),
        "bindings": [list(binding) for binding in bindings],
    }
