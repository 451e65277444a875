"""Equivariance: units of two layers whose kernels turn, mirror or move on together.

**Definition**: permutations of the upstream and of the downstream units, not both the identity, for which
``W[down(b), up(a)]`` is ``T(W[b, a])``. Families are the cycles: rot90 has cycles of four for features that a full
circle brings back, of two for lines. "invariant -> equivariant": upstream units stay, as colours do; "equivariant ->
invariant": downstream units stay, as a circle over curves does.

**Score**: cosine between the turned kernels and their images, -1 to 1, on the part that orientation shows in
(`queries.equivariance_search`); planted families with noise s reach about 1 / (1 + s^2), and random weights well above
0, since the best permutations are searched. ``permutation`` (families along a hue) compares whole kernels that are
not turned and lets no downstream unit stay (no upstream one, where there is one target).

**Nulls** and p: `queries.equivariance_nulls`; the same search, with as many starts, runs on each random network.

**Complexity**: O(draws x transformations x starts x rounds x (n^2 m k^2 + n^3)) for n and m units and kernels of k x k
(`queries.assignment`); for layers of more than 96 units the 96 on each side whose kernels have the strongest
orientation are searched, and it is said.

Source: "Naturally Occurring Equivariance in Neural Networks", Distill 2020, https://doi.org/10.23915/distill.00024.004
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MotifError
from circuitgraph.ids import UnitId
from circuitgraph.progress import SILENT, Progress, Task
from queries.base import MotifResult, Unit
from queries.equivariance_match import (
    EquivarianceMatch,
    PairRead,
    Search,
    Tested,
    make_match,
    mark_implied,
    read_cypher,
)
from queries.equivariance_moves import Move, default_moves, make_move
from queries.equivariance_nulls import Chosen, asked_nulls, choose_nulls, make_draw, standardise
from queries.equivariance_search import (
    GRAM_CELLS,
    MOST_UNITS,
    Block,
    Plan,
    cut_block,
    estimate_seconds,
    search_block,
    starts_for,
)
from queries.equivariance_why import explainer
from queries.null_scores import Chance, NullScores
from queries.significance import check_draws, p_of_best
from queries.weights import Weights, read_weights

__all__ = ["EquivarianceCost", "EquivarianceMatch", "estimate_equivariance", "find_equivariance"]

_ACT = "finding equivariance"
_IMAGE_CHANNELS = 4
_STATISTIC = "score, standardised; of random networks the largest over the transformations"
_SMALL = 16
_KINDS = ("turn", "permutation", "interpolated")


@dataclass(frozen=True)
class EquivarianceCost:
    """What a search will take: layer pairs, searches (pairs x transformations x (1 + draws x nulls)), time and memory.

    The seconds are for one thread, right within a factor of three.
    """

    pair_count: int
    search_count: int
    seconds: float
    memory_bytes: int


def find_equivariance(
    source: Any,
    up: str | None = None,
    down: str | None = None,
    *,
    up_units: Sequence[Unit] | None = None,
    down_units: Sequence[Unit] | None = None,
    ordered: bool = False,
    transformations: Sequence[str] | None = None,
    null: str | Sequence[str] = "auto",
    starts: int | None = None,
    draws: int = 99,
    seed: int = 0,
    q: float = 0.05,
    most_units: int = MOST_UNITS,
    factors: Sequence[NDArray[Any]] = (),
    progress: Progress = SILENT,
) -> MotifResult[EquivarianceMatch]:
    """Find how the kernels between two layers turn with their units.

    Parameters
    ----------
    source, up, down
        A `Bundle` and two of its layers (all adjacent pairs, if neither is named), or an array (down, up, row, col).
    up_units, down_units
        Search only these units, as `queries.weights.read_weights` takes them; their places in the permutations are
        those in these lists.
    ordered
        The units stand in their cyclic order (either sense): only shifts of it, forwards and backwards, are tried.
    transformations
        Names of `circuitgraph.turns.TURNS`, "permutation", or rotations by other angles as "rot45"; by default rot90,
        rot180, the mirrors and "permutation", as far as the window admits. rot270 says what rot90 says.
    null
        "auto", or one or several of "scramble_targets", "scramble_kernels", "scramble_factors"; the largest p counts.
    starts
        Of the alternating assignment, in the search and in each draw: 60 by default, fewer above 24 units.
    most_units
        Of larger layers those with the strongest orientation are searched.
    factors
        For an array: the maps whose product it is, downstream first.

    Returns
    -------
    One match for each layer pair and transformation, those found first. p and q are familywise over the transformations
    of the pair, and over all pairs; `p_alone` is that of the one transformation.

    Raises
    ------
    MotifError
        The transformations, null, draws or starts do not fit; and whatever `read_weights` raises.
    """
    began = time.perf_counter()
    check_draws(draws, q, act=_ACT)
    asked = asked_nulls(null)
    _check_counts(starts, most_units)
    pairs = _pairs(source, up, down, up_units, down_units)
    tested: list[Tested] = []
    notes: list[str] = []
    read: list[str] = []
    network = weights_sha256 = ""
    with progress.task(_ACT, total=len(pairs) * draws, unit="draw") as task:
        for pair in pairs:
            weights = read_weights(source, *pair, up_units=up_units, down_units=down_units, factors=factors, act=_ACT)
            network, weights_sha256 = weights.network, weights.weights_sha256
            read.append(weights.name)
            task.describe(weights.name)
            is_up_fixed = _is_image(source, weights)
            names = _names(weights, transformations, is_up_fixed)
            kept = PairRead.of(weights, is_ordered=ordered, is_up_fixed=is_up_fixed)
            tested += _search_pair(weights, kept, names, asked, starts, most_units, draws, seed, task)
    matches = _judged(tested, draws, q)
    notes += _result_notes(matches, tested)
    models = {model.name: model for each in tested if each.search for model in each.search.models}
    best = next((match for match in matches if match.verdict == "found"), None)
    parameters, cypher = _pattern(best or (matches[0] if matches else None), network)
    return MotifResult(
        motif="equivariance",
        matches=tuple(matches),
        tested_count=sum(each.search is not None for each in tested),
        tested="transformations" if len(pairs) == 1 else "transformations of layer pairs",
        nulls=tuple(models.values()),
        draws=draws,
        seed=seed,
        level=q,
        source=read[0] if len(read) == 1 else f"{network}, {len(read)} adjacent pairs",
        notes=tuple(notes),
        cypher=cypher,
        parameters=parameters,
        seconds=time.perf_counter() - began,
        network=network,
        weights_sha256=weights_sha256,
        explain_not=explainer(tested, matches, q, seed),
    )


def estimate_equivariance(
    source: Any,
    up: str | None = None,
    down: str | None = None,
    *,
    up_units: Sequence[Unit] | None = None,
    down_units: Sequence[Unit] | None = None,
    ordered: bool = False,
    transformations: Sequence[str] | None = None,
    starts: int | None = None,
    draws: int = 99,
    most_units: int = MOST_UNITS,
) -> EquivarianceCost:
    """Return about what `find_equivariance` will take, from the sizes alone; the options are the same.

    Raises
    ------
    MotifError
        As `find_equivariance`.
    """
    seconds, searches, memory = 0.0, 0, 0
    pairs = _pairs(source, up, down, up_units, down_units)
    for pair in pairs:
        weights = read_weights(source, *pair, up_units=up_units, down_units=down_units, act=_ACT)
        names = _names(weights, transformations, _is_image(source, weights))
        downs, ups, rows, cols = weights.kernels.shape
        counts = (min(downs, most_units), min(ups, most_units))
        used = 2 * max(counts) if ordered else starts or starts_for(counts)
        seconds += estimate_seconds(counts, rows * cols, used, len(names), draws)
        searches += len(names) * (1 + draws)
        cells = counts[0] * counts[1]
        memory = max(memory, 4 * downs * ups * rows * cols * 4 + min(12 * cells**2, 12 * GRAM_CELLS))
    return EquivarianceCost(len(pairs), searches, seconds, memory)


def _pairs(
    source: Any,
    up: str | None,
    down: str | None,
    up_units: Sequence[Unit] | None,
    down_units: Sequence[Unit] | None,
) -> list[tuple[str | None, str | None]]:
    if not isinstance(source, Bundle):
        return [(up, down)]
    up = up if up is not None else _layer_of(up_units)
    down = down if down is not None else _layer_of(down_units)
    if up is None and down is None:
        return list(source.pairs)
    if up is None or down is None:
        known = source.layer(up or down or "").uid
        adjacent = [pair for pair in source.pairs if known in pair and known == pair[0 if up is not None else 1]]
        if len(adjacent) == 1 or (adjacent and up_units is None and down_units is None):
            return list(adjacent)
        raise MotifError(
            f"{_ACT}: {known} is one layer, {len(adjacent)} pairs begin or end with it.",
            hint="Name both layers: up= and down=.",
        )
    return [(up, down)]


def _layer_of(units: Sequence[Unit] | None) -> str | None:
    first = units[0] if units else None
    if not isinstance(first, str) or "/" not in first:
        return None
    return str(UnitId.parse(first).layer_id)


def _is_image(source: Any, weights: Weights) -> bool:
    """Whether the upstream units are the channels of an image, which do not turn."""
    if not isinstance(source, Bundle) or not weights.up_layer:
        return False
    layer = source.layer(weights.up_layer)
    return layer.kind == "input" and layer.unit_count <= _IMAGE_CHANNELS


def _names(weights: Weights, asked: Sequence[str] | None, is_up_fixed: bool) -> list[str]:
    window = (weights.kernels.shape[2], weights.kernels.shape[3])
    if asked is None:
        # between fixed colours and their clients nothing moves on along a hue
        return [name for name in default_moves(window) if not (is_up_fixed and name == "permutation")]
    names = [asked] if isinstance(asked, str) else list(dict.fromkeys(asked))
    if not names:
        raise MotifError(f"{_ACT}: no transformation is given.", hint=f"There are: {', '.join(default_moves(window))}.")
    for name in names:
        make_move(name, window)
    return names


def _check_counts(starts: int | None, most_units: int) -> None:
    if starts is not None and starts < 1:
        raise MotifError(f"{_ACT}: {starts} starts, at least 1 is needed.", hint="60 is the usual number.")
    if most_units < 2:
        raise MotifError(f"{_ACT}: most_units is {most_units}, at least 2 are needed.", hint=f"Give {MOST_UNITS}.")


def _search_pair(
    weights: Weights,
    pair: PairRead,
    names: Sequence[str],
    asked: Sequence[str],
    starts: int | None,
    most_units: int,
    draws: int,
    seed: int,
    task: Task,
) -> list[Tested]:
    window = (weights.kernels.shape[2], weights.kernels.shape[3])
    moves = [make_move(name, window) for name in names]
    # where no turn shows, neither does its absence; a permutation is tested then if nothing else is asked for
    is_blind = pair.is_blind and any(move.kind != "permutation" for move in moves)
    found: dict[str, Tested] = {}
    runs: list[_Run] = []
    for number, kind in enumerate(_KINDS):
        group = [move for move in moves if move.kind == kind]
        if not group:
            continue
        block = cut_block(weights.kernels, group[0], most_units=most_units, is_ordered=pair.is_ordered)
        downs, ups = block.counts
        if is_blind or min(downs, ups) == 0 or (downs == 1 and (ups == 1 or pair.is_up_fixed)):
            found |= {move.name: Tested(pair, move, block, None) for move in group}
            continue
        plan = Plan(starts or starts_for(block.counts), pair.is_ordered, pair.is_up_fixed)
        runs.append(_Run(weights, block, group, plan, choose_nulls(weights, block, kind, asked), (seed, number)))
    for draw in range(draws):
        for run in runs:
            run.draw(draw)
        task.advance()
    for run in runs:
        found |= {each.move.name: each for each in run.tested(pair)}
    return [found[name] for name in names]


class _Run:
    """The search of moves of one kind in one block, and in its random networks."""

    def __init__(
        self,
        weights: Weights,
        block: Block,
        moves: Sequence[Move],
        plan: Plan,
        chosen: Chosen,
        seeds: tuple[int, int],
    ) -> None:
        self._block, self._moves, self._plan, self._chosen, self._seeds = block, moves, plan, chosen, seeds
        self._makers = [make_draw(weights, block, model) for model in chosen.models]
        self._scores: list[list[list[float]]] = [[] for _ in chosen.models]
        self._best = search_block(block.kernels, moves, plan, np.random.default_rng(seeds))

    def draw(self, draw: int) -> None:
        """Search one random network of each null."""
        for number, make in enumerate(self._makers):
            rng = np.random.default_rng([*self._seeds, number, draw])
            found = search_block(make(rng), self._moves, self._plan, rng)
            self._scores[number].append([score for score, _ in found])

    def tested(self, pair: PairRead) -> list[Tested]:
        """Return each move with its best answer and chance."""
        models, why = self._chosen.models, self._chosen.why
        columns = {model.name: np.array(each) for model, each in zip(models, self._scores, strict=True)}
        done = []
        for at, (move, (score, answer)) in enumerate(zip(self._moves, self._best, strict=True)):
            chance = standardise(score, {name: each[:, at] for name, each in columns.items()})
            done.append(Tested(pair, move, self._block, Search(self._plan, answer, models, why, chance)))
        return done


def _judged(tested: Sequence[Tested], draws: int, level: float) -> list[EquivarianceMatch]:
    largest: dict[str, NDArray[np.float64]] = {}
    for each in tested:
        if each.search is not None:
            own = each.search.chance.draws
            largest[each.pair.name] = np.maximum(largest.get(each.pair.name, own), own)
    overall = np.max(list(largest.values()), axis=0) if largest else np.zeros(draws)
    matches = []
    for each in tested:
        p = q = 1.0
        chance = None
        if each.search is not None:
            own, observed = largest[each.pair.name], each.search.chance.observed
            p, q = p_of_best(observed, own), p_of_best(observed, overall)
            chance = Chance.counted(
                NullScores.of(own, null=each.search.chance.null, statistic=_STATISTIC), observed, own
            )
        matches.append(make_match(each, p, q, level, draws, chance))
    return sorted(
        mark_implied(matches),
        key=lambda match: (match.verdict != "found", bool(match.implied_by), match.p, -match.score),
    )


def _result_notes(matches: Sequence[EquivarianceMatch], tested: Sequence[Tested]) -> list[str]:
    # a pair's first transformation speaks for the pair
    notes = [said for each in {each.pair.name: each for each in reversed(tested)}.values() for said in each.notes()]
    small = {each.pair.name for each in tested if each.search is not None and max(each.block.counts) <= _SMALL}
    hit = {match.source for match in matches if match.verdict == "found"}
    if small - hit:
        where = ", ".join(sorted(small - hit)[:4])
        notes.append(f"cannot tell: up to {_SMALL} units a side have little power, so no find is no evidence ({where})")
    notes.append("p is familywise over the transformations between two layers, q over everything tested")
    return notes


def _pattern(match: EquivarianceMatch | None, network: str) -> tuple[dict[str, Any], str]:
    """Return parameters and Cypher of the thresholded pattern; nothing for an array, which is in no store."""
    if match is None or not network:
        return {}, ""
    return match.images(), read_cypher()
