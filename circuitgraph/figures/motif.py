"""The figure of a match: its units in their roles with the kernels between them, beside its null distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.draw import Picture
from circuitgraph.draw.match import NullSample, draw_match
from circuitgraph.errors import MotifError
from circuitgraph.figures.labels import names_of
from queries.base import Match
from queries.circuits import circuit_from_saved
from queries.null_scores import Chance
from queries.saving import match_of_row

if TYPE_CHECKING:
    from circuitgraph.store import Store

__all__ = ["motif_figure", "saved_matches"]


_OF_THE_SEARCH = ("draws", "weights_sha256")


def motif_figure(
    match: Match | Mapping[str, Any],
    bundle: Bundle,
    *,
    result: Mapping[str, Any] | None = None,
    catalogue: BaseCatalogue | None = None,
    top: int = 8,
    scale: float | None = None,
    max_edges: int = 60,
    title: str = "",
) -> Picture:
    """Draw a match of a motif.

    Parameters
    ----------
    match
        As a search gives it, or as `Match.to_dict` wrote it.
    bundle
        What was searched; the kernels are its.
    result
        The result that a written match is of, as `MotifResult.to_dict` wrote it: it holds the scores under the null,
        and says which weights were searched.
    catalogue
        Where the units' names are taken from.
    top
        Into each unit so many of the strongest edges between the match's units; one that names its edges keeps those.
    scale, max_edges
        As for `circuitgraph.draw.draw_circuit`.

    Raises
    ------
    MotifError
        The match is of an array, whose units have no uids, binds no unit, or is of other weights.
    """
    said = match.to_dict() if isinstance(match, Match) else match
    about = {**{name: said[name] for name in _OF_THE_SEARCH if name in said}, **(result or {})}
    chance = match.chance if isinstance(match, Match) else Chance.read(said.get("chance"), about)
    name = str(said.get("motif") or "motif")
    # a record only for its edges: who made it and when is not drawn
    record = circuit_from_saved(said, bundle, title=title or name, author="-", date="1970-01-01", result=about, top=top)
    labels = names_of(catalogue, [unit.uid for unit in record.units], bundle)
    graph = record.graph(bundle, labels={unit.uid: labels.get(unit.uid, "") for unit in record.units})
    return draw_match(
        graph,
        roles={unit.uid: unit.role for unit in record.units},
        score=float(said["score"]),
        null_scores=None if chance is None else chance.scores.values,
        sample=None if chance is None else _sample(chance),
        draws=about.get("draws"),
        null_name=str(said.get("null") or ""),
        p=said.get("p"),
        q=said.get("q"),
        title=title or name,
        scale=scale,
        max_edges=max_edges,
    )


def saved_matches(store: Store, network: str) -> dict[str, Any]:
    """Return the motifs of a network that were saved in a store as `read_saved_result` gives those of a file.

    Raises
    ------
    MotifError
        There is none.
    """
    from circuitgraph.store.motifs import list_motifs

    rows = list_motifs(store, network)
    if not rows:
        raise MotifError(
            f"drawing a motif of {network}: the store has none.",
            hint="Save what a search finds (`circuitgraph motifs NAME BUNDLE --save`), or give a file with --from.",
        )
    # each may be of a search of its own
    return {"matches": [{**match_of_row(row), **{name: row[name] for name in _OF_THE_SEARCH}} for row in rows]}


def _sample(chance: Chance) -> NullSample:
    scores = chance.scores
    return NullSample(chance.observed, scores.statistic, scores.count, chance.reached, scores.unlisted)
