"""Superposition: a unit that is pure in what excites it and yet stored in many clients that detect something else.

As the car of "Zoom In", which is assembled from car parts alone and then spread over dog detectors.

**Definition.** Families say what units detect. For a unit, with kernel sums S and their positive part P:

- *pure*: the largest share that one family has of the unit's squared excitation, sum of P^2 over the family's units
  over that of all upstream units. That family *feeds* the unit.
- *foreign*: the share of the unit's positive out-weight that goes to clients of other families. A family is another
  one if it is neither the unit's own nor the one that feeds it: layers name their families differently (windows
  feed the car, a vehicle), and neither name makes a client foreign.
- *spread*: the effective number of those clients, n_eff = (sum P)^2 / sum P^2 over foreign clients, over how many
  clients of other families there are.

**Score** = pure * foreign * spread, 0 to 1. Of 128 units of random t4 weights in 8 families the best reach about 0.15.

Units without a family count in every total and make nothing pure, foreign or spread: an unlabelled source lowers
pure, an unlabelled client lowers foreign. An unlabelled unit of the layer itself is tested, with no own family.

**p** is of the unit's score among the scores of all units in null B (``permuted_blocks``): the entries inside every
(family x family) block of both layer pairs are permuted, those without a family being a block too, so that which family
excites which stays and the roles of single units go. **q** after Benjamini and Hochberg over all units searched. A
unit that is the only one of its family cannot be permuted with any other: its verdict is "cannot tell" and it is left
out of the search, which is said; group families then. A client's families must be known: labels are taken as given.

Without any labels (none given, none in the bundle) there is a ranking only, with no p: clients by how cleanly
their strongest inputs fall into two groups that read different things (`queries.superposition_scores.split_scores`).
It suggests polysemantic units; it is no claim.

Complexity: O(units (upstream + downstream) log) a draw, 0.4 s at 128/128/128 and 60 draws. Memory: a few copies of the
kernel sums.

Source: Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020, "Circuit 3"; score and null are ours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MotifError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.turns import norm_shares
from queries.base import MotifResult, Unit
from queries.feeding import FeedingMatch, judge_feeding
from queries.labels import read_labels
from queries.significance import check_draws
from queries.superposition_scores import BLOCKS, split_scores
from queries.superposition_search import (
    ACT,
    Search,
    SuperpositionMatch,
    draw_all,
    label_searches,
    notes_on,
    read_pairs,
)
from queries.union_edges import strong_edges
from queries.weights import Weights

__all__ = [
    "NULLS",
    "SuperpositionMatch",
    "SuperpositionResult",
    "find_superposition",
    "spread_over_strong_edges",
    "superposition_cypher",
]

NULLS = (BLOCKS,)
_RANKED = 20
_LABELLED = "families=, or a bundle that has them; find_families gives those of a layer"


@dataclass(frozen=True, kw_only=True, eq=False)
class SuperpositionResult(MotifResult[SuperpositionMatch]):
    """What one search for superposition found; `of` and `feeding` also answer for units that were not."""

    searches: tuple[Search, ...] = field(default=(), repr=False)

    def of(self, unit: Unit) -> SuperpositionMatch:
        """Return score, factors, p and q of any unit of the searched layers.

        Raises
        ------
        UnknownUnitError
            It is not among them.
        MotifError
            Only a ranking was made.
        """
        search, place = _locate(self.searches, unit)
        return search.match(place, self.level)

    def feeding(self, unit: Unit) -> tuple[FeedingMatch, ...]:
        """Return the families that feed a unit, surest first: a lower bound on its cases; see `queries.feeding`.

        The false discovery rate is over all units of its layer and all families upstream of it.

        Raises
        ------
        UnknownUnitError
            It is not among the units of the searched layers.
        MotifError
            Only a ranking was made.
        """
        search, place = _locate(self.searches, unit)
        found, _ = judge_feeding(search.wiring.into, search.labels.of[0], search.units, level=self.level)
        return tuple(match for match in found if match.units["unit"] == search.units[place])


def find_superposition(
    source: Any,
    W_out: Any = None,
    *,
    layer: str | None = None,
    families: Any = None,
    up: str | None = None,
    down: str | None = None,
    q: float = 0.05,
    draws: int = 60,
    seed: int = 0,
    progress: Progress = SILENT,
) -> SuperpositionResult:
    """Find units that are pure in what excites them and are spread over clients of other families.

    Parameters
    ----------
    source, W_out
        A `Bundle`; or two arrays, (unit, up, row, col) and (down, unit, row, col), or without windows.
    layer
        Layer of the bundle whose units are searched; all layers between two others if None.
    families
        Of the units of all three layers, in any form of `queries.labels`: for arrays the labels of upstream units,
        units and downstream units, in three sequences, None for a unit without one. Those of the bundle if None.
    up, down
        Layers of the bundle before and after it; all adjacent ones if None.
    q
        Level of the false discovery rate up to which a unit counts as found.
    draws
        Networks of the null for each layer triple; where many triples are searched at once, a triple whose best
        unit beats all of them is given as many more as it needs to be found.

    Returns
    -------
    The units found at `q`, surest first; without labels the twenty clients whose inputs fall most cleanly into
    two groups, a ranking with no p. ``.of(unit)`` and ``.why_not(unit)`` answer for every unit, ``.feeding(unit)``
    names the families that feed it.

    Raises
    ------
    MotifError
        Fewer draws than 2 / q; no such layers; an array is missing; families that do not fit.
    ShapeError
        The arrays do not follow each other, or labels are not as long as their layers.
    NonFiniteError, UnknownLayerError, UnknownPairError
        As `read_weights` raises them.

    Examples
    --------
    >>> from circuitgraph.testing.planted import plant_superposition, superposition_background
    >>> into, out_of, labels = superposition_background(seed=1)
    >>> into, out_of, planted = plant_superposition(into, out_of, labels, strength=3, seed=1)
    >>> [match.units["pure"] == planted.unit for match in find_superposition(into, out_of, families=labels)]
    [True]
    """
    started = time.perf_counter()
    check_draws(draws, q, act=ACT)
    notes: list[str] = []
    triples = read_pairs(source, W_out, layer, up, down, notes)
    searches = label_searches(source, triples, families, notes)
    if searches is None:
        return _ranking(triples, notes, q, seed, started)
    # families are known somewhere, but a triple without them up- or downstream has no score
    for search in searches:
        if search.why_not_labelled:
            notes.append(f"cannot tell: {search.name}: {search.why_not_labelled}")
            search.is_tested = np.zeros(len(search.units), dtype=bool)
        else:
            notes += notes_on(search)
    tested = sum(int(np.count_nonzero(search.is_tested)) for search in searches)
    draw_all(searches, tested, draws, q, seed, progress, notes)
    matches = []
    for search in searches:
        matches += [search.match(int(unit), q) for unit in np.flatnonzero(search.is_tested & (search.q <= q))]
    cypher = ""
    parameters: Mapping[str, Any] = {}
    if isinstance(source, Bundle):
        cypher, parameters = _cypher(source, searches, q, is_stored=families is None)
    return SuperpositionResult(
        motif="superposition",
        matches=tuple(sorted(matches, key=lambda match: (match.p or 0.0, -match.score, match.id))),
        tested_count=tested,
        tested="units",
        nulls=NULLS,
        draws=draws,
        seed=seed,
        level=q,
        source=searches[0].name if len(searches) == 1 else f"{len(searches)} layer triples",
        notes=tuple(notes),
        cypher=cypher,
        parameters=parameters,
        seconds=time.perf_counter() - started,
        network=searches[0].into.network,
        weights_sha256=searches[0].into.weights_sha256,
        explain_not=_explainer(tuple(searches), q),
        searches=tuple(searches),
    )


def superposition_cypher(
    source: Bundle,
    *,
    layer: str | None = None,
    families: Any = None,
    up: str | None = None,
    down: str | None = None,
    **options: Any,  # noqa: ARG001
) -> tuple[str, Mapping[str, Any]]:
    """Return the statement that lists the foreign strong clients of units, without a search: of all units labelled."""
    searches = label_searches(source, read_pairs(source, None, layer, up, down, []), families, []) or []
    return _cypher(source, searches, None, is_stored=families is None)


def spread_over_strong_edges(
    source: Bundle, unit: str, *, down: str, families: Any = None, not_of: Sequence[str | None] = ()
) -> set[str]:
    """Return the clients of other families that a unit excites strongly, as ``superposition.cypher`` does.

    Parameters
    ----------
    unit
        Uid of the unit.
    down
        Layer of the clients.
    families
        Of the clients; those of the bundle if None.
    not_of
        Families that are not other ones: the unit's own and the one that feeds it.
    """
    at = source.neuron(unit)
    lower = source.layer(down)
    uids = tuple(str(lower.unit(channel)) for channel in range(lower.unit_count))
    labels = read_labels(families, {"down": uids}, bundle=source, act=ACT).of[0]
    excites, _ = strong_edges(source, str(at.layer_id), lower.uid)
    is_other = np.array([label is not None and label not in not_of for label in labels])
    return {uids[place] for place in np.flatnonzero(excites[:, at.channel or 0] & is_other)}


def _ranking(
    triples: Sequence[tuple[Weights, Weights]], notes: list[str], level: float, seed: int, started: float
) -> SuperpositionResult:
    matches = []
    tested = 0
    for into, out_of in triples:
        scores, groups = split_scores(into.kernels, out_of.sums)
        tested += len(scores)
        for client in np.argsort(-scores, kind="stable")[:_RANKED]:
            if scores[client] <= 0:
                continue
            sides = tuple(tuple(into.down_units[place] for place in group) for group in groups[client])
            matches.append(
                SuperpositionMatch(
                    motif="superposition",
                    units={"polysemantic": out_of.down_units[client]},
                    score=float(scores[client]),
                    verdict="ranking",
                    shares=norm_shares(np.asarray(out_of.kernels[client], dtype=np.float64)),
                    sources=tuple(unit for side in sides for unit in side),
                    groups=sides,
                )
            )
    matches.sort(key=lambda match: (-match.score, match.id))
    notes.append(
        f"no unit has a family: clients are ranked from weights alone, with no p and no claim; give {_LABELLED}"
    )

    def explain(*units: Unit) -> str:  # noqa: ARG001
        raise MotifError(
            "superposition: no unit has a family, so there are no conditions to be met, only a ranking.",
            hint=f"Give {_LABELLED}.",
        )

    return SuperpositionResult(
        motif="superposition",
        matches=tuple(matches[:_RANKED]),
        tested_count=tested,
        tested="clients",
        nulls=(),
        draws=0,
        seed=seed,
        level=level,
        source=triples[0][0].name if len(triples) == 1 else f"{len(triples)} layer triples",
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
        network=triples[0][0].network,
        weights_sha256=triples[0][0].weights_sha256,
        explain_not=explain,
    )


def _locate(searches: Sequence[Search], unit: Unit) -> tuple[Search, int]:
    if not searches:
        raise MotifError("superposition: no unit has a family, only a ranking was made.", hint=f"Give {_LABELLED}.")
    for search in searches:
        if unit in search.units:
            return search, search.units.index(unit)
    return searches[0], searches[0].into.down_place(unit)


def _explainer(searches: tuple[Search, ...], level: float) -> Callable[..., str]:
    def explain(*units: Unit) -> str:
        if len(units) != 1:
            raise MotifError(f"superposition: {len(units)} units are given, one is wanted.", hint="r.why_not(unit).")
        search, place = _locate(searches, units[0])
        return _conditions(search, place, searches, level)

    return explain


def _conditions(search: Search, place: int, searches: Sequence[Search], level: float) -> str:
    match = search.match(place, level)
    lines = [f"{match.units['pure']}, family {match.family or 'unknown'}, fed by {match.fed_by or 'none'}"]
    if search.why_not_labelled:
        return "\n".join([*lines, f"cannot tell: {search.why_not_labelled}"])
    needed = _score_needed(search, searches, level)
    said = {
        "pure": f"of its squared excitation comes from {match.fed_by or 'one family'}",
        "foreign": f"of its positive out-weight goes to {search.parts.foreign_count[place]} clients of other families",
        "spread": f"of them are reached, effectively {match.n_eff or 0.0:.3g}",
    }
    for name, words in said.items():
        value = float(getattr(match, name))
        others = (
            match.score / value
            if value > 0
            else math.prod(float(getattr(match, other)) for other in said if other != name)
        )
        if match.score >= needed:
            wanted = "enough"
        elif others <= 0 or needed / others > 1:
            wanted = "no value is enough while the other two are as they are"
        else:
            wanted = f"{needed / others:.3g} would be needed with the other two as they are"
        lines.append(f"{name} {value:.3g} {words}: {wanted}")
    lines.append(f"score {match.score:.3g}; q <= {level:g} needs about {needed:.3g} here")
    if match.verdict == "cannot tell":
        lines.append("cannot tell: it is the only unit of its family, so null B cannot move it; join families")
    else:
        lines.append(f"p = {match.p:.3g}, q = {match.q:.3g}: {match.verdict}")
    return "\n".join(lines)


def _score_needed(search: Search, searches: Sequence[Search], level: float) -> float:
    """Return about which score a further unit needs: the more are found, the less."""
    tested = sum(int(np.count_nonzero(each.is_tested)) for each in searches)
    found = sum(int(np.count_nonzero(each.is_tested & (each.q <= level))) for each in searches)
    if not len(search.pool):
        return 1.0
    allowed = level * (1 + found) / max(1, tested)
    above = math.floor(allowed * (1 + len(search.pool)) - 1)
    ordered = np.sort(search.pool)[::-1]
    return float(ordered[min(max(above, 0), len(ordered) - 1)])


def _cypher(
    bundle: Bundle, searches: Sequence[Search], level: float | None, *, is_stored: bool
) -> tuple[str, dict[str, Any]]:
    """Write the spread of the units found, of the best five where none is, of all labelled ones without a level."""
    rows: list[dict[str, Any]] = []
    scored: list[tuple[float, dict[str, Any]]] = []
    given: dict[str, str] = {}
    for search in searches:
        for place, unit in enumerate(search.units):
            own = (search.label(int(search.wiring.own[place])), search.label(int(search.parts.fed_by[place])))
            row = {
                "unit": unit,
                "down": search.out_of.down_layer.rpartition("/")[2],
                "not_of": sorted({label for label in own if label is not None}),
            }
            scored.append((-float(search.parts.score[place]), row))
            if search.q[place] <= level if level is not None else search.wiring.own[place] >= 0:
                rows.append(row)
        labels = zip(search.out_of.down_units, search.labels.of[2], strict=True)
        given |= {} if is_stored else {str(unit): label for unit, label in labels if label is not None}
    best = [row for _, row in sorted(scored, key=lambda each: (each[0], str(each[1]["unit"])))[:5]]
    text = files("queries").joinpath("cypher", "motifs", "superposition.cypher").read_text(encoding="utf-8")
    parameters = {"network": bundle.network, "units": rows or best, "is_stored": is_stored, "families": given}
    return text, parameters
