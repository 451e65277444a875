"""Motifs that are saved in the store, as results of searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuitgraph.errors import MotifError, StoreUnavailableError, UnknownMatchError
from circuitgraph.web.asking import whole_number
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import Asked
from queries.saving import match_of_row

__all__ = ["stored_count", "stored_match", "stored_result"]


def stored_count(explorer: Explorer, network: str, motif: str) -> dict[str, Any] | None:
    """Say how many matches the store holds; None without one."""
    if explorer.store is None:
        return None
    from circuitgraph.store.motifs import page_motifs

    try:
        _, count = page_motifs(explorer.store, network, motif=motif or None, limit=0)
    except StoreUnavailableError as error:
        return {"count": 0, "error": error.message}
    return {"count": count, "error": ""}


def stored_result(explorer: Explorer, network: str, motif: str, asked: Asked, *, limit: int) -> dict[str, Any]:
    """Return the saved matches from the one on that is asked for, as a result.

    Raises
    ------
    MotifError
        There is no store.
    """
    if explorer.store is None:
        raise MotifError("there is no store here.", hint="Start the explorer with --store.")
    from circuitgraph.store.motifs import page_motifs

    first = whole_number(asked, "first", 0, most=10**7)
    rows, count = page_motifs(explorer.store, network, motif=motif, skip=first, limit=limit)
    whole = _as_result(rows, network, motif)
    statements = {row["statement"] for row in rows}
    said = f"{count:,} matches of {motif} in {network} are saved in the store"
    whole["statement"] = f"{said}: {statements.pop()}" if len(statements) == 1 else f"{said}, of several searches."
    return {**whole, "skipped": first, "beyond": count - len(rows)}


def stored_match(explorer: Explorer, uid: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return one saved match, after the result that holds it.

    Raises
    ------
    UnknownMatchError
        It is not in the store, or there is none.
    """
    if explorer.store is not None:
        from circuitgraph.store.motifs import page_motifs

        rows, _ = page_motifs(explorer.store, uid=uid, limit=1)
        if rows:
            whole = _as_result(rows, rows[0]["network"], rows[0]["motif"])
            return whole, whole["matches"][0]
    where = "the results of searches here" + (" or the store" if explorer.store is not None else "")
    raise UnknownMatchError(f"{uid} is not in {where}.", hint="Search, or start the explorer with --store.")


def _as_result(rows: Sequence[Mapping[str, Any]], network: str, motif: str) -> dict[str, Any]:
    """Return nodes of the store as the result of a search."""
    first: Mapping[str, Any] = rows[0] if rows else {}
    return {
        "motif": motif,
        "network": network,
        "weights_sha256": first.get("weights_sha256") or "",
        "statement": first.get("statement") or "",
        "nulls": [],
        "notes": [],
        "cypher": "",
        "parameters": {},
        "seconds": 0.0,
        "matches": [match_of_row(row) for row in rows],
    }
