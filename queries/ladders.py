"""Ladders: two pathways over several layers that inhibit each other at every step, and are united at the end.

**Pattern** of k steps over k + 2 layers: rungs (L0, R0), ..., (Lk, Rk) with L -> L and R -> R, L -| R and R -| L from
each rung to the next, and Lk -> u, Rk -> u; as the left and the right dog heads of "Zoom In", from detectors of
orientation to the head of any orientation. One step is a union (`queries.unions`). Left and right are a convention: Lk
is the one that stands first in its layer.

**Score** of the last rung (x, y): the weakest of all 4 k + 2 edges in the best ladder that ends in it, in root mean
squares of balanced kernel sums. Rungs are coupled, so the best is found step by step,

    best[0](a, b) = infinity,
    best[l](x, y) = max over a, b of min( z[x, a], z[y, b], -z[x, b], -z[y, a], best[l-1](a, b) ),

and ``score = min(best[k](x, y), max_u min(z[u, x], z[u, y]))``. This is exact for every pair whose score is at or
above a floor, which is low enough for the finds and their p (`queries.sum_nulls`): above it only few rungs are open,
and from an open rung (a, b) the next can only use x that a excites and b inhibits, and y the other way round.
No beam is needed. Any positive real number.

**p, q**: as for unions, over all pairs of the last rung's layer, of all chains of layers of the search. To the nulls
of unions comes ``permuted_step``: one layer pair at random and the others as they are, each in turn. A ladder of which
only some steps are there is thus no ladder.

Complexity: O(r n) a step for r open rungs of n^2 / 2, plus the rungs that follow; memory bounded by chunks of 4 million
numbers. Each null network is searched anew: see benchmarks/motifs.py for figures.

Source: Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020, the four-layer dog-head circuit; the score
and its search are ours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import BundleError, MotifError, ShapeError
from circuitgraph.progress import SILENT, Progress
from queries.base import Match, MotifResult, Unit
from queries.ladder_search import ladder_scores, retrace, top_scores
from queries.significance import check_draws, q_values
from queries.sum_compare import STEP, Compared, NullSearch, search_all
from queries.sum_nulls import NULLS as _SUM_NULLS
from queries.sum_nulls import Floats, SumMatrix, read_sums
from queries.weights import Weights, read_weights

__all__ = ["NULLS", "LadderMatch", "find_ladders"]

NULLS = (*_SUM_NULLS, STEP)
"""What a ladder may be compared with."""

_USUAL_STEPS = 3
_FEW_UNITS = 16


@dataclass(frozen=True, kw_only=True)
class LadderMatch(Match):
    """Two pathways and the unit that unites them.

    Attributes
    ----------
    rungs
        (left, right) of each layer, the most upstream first.
    u
        The unit that unites them.
    step_scores
        The weakest edge of each step, and of the union at the end; the least is the score.
    p_by_null
        Name of each null to p.
    """

    rungs: tuple[tuple[Unit, Unit], ...]
    u: Unit
    step_scores: tuple[float, ...]
    p_by_null: Mapping[str, float]

    def bindings(self) -> list[tuple[str, int, Unit]]:
        """Return (role, position, unit): left and right with the number of their rung, and u."""
        sides = [
            (role, place, rung[side])
            for side, role in enumerate(("left", "right"))
            for place, rung in enumerate(self.rungs)
        ]
        return [*sides, ("u", 0, self.u)]


@dataclass(eq=False)
class _Search:
    """One chain of layers."""

    weights: tuple[Weights, ...]
    matrices: tuple[SumMatrix, ...]
    compared: Compared = field(init=False)
    first: NDArray[np.intp] = field(init=False)
    second: NDArray[np.intp] = field(init=False)
    scores: Floats = field(init=False)
    p: dict[str, Floats] = field(init=False)
    q: Floats = field(init=False)

    def scores_above(self, floor: float) -> Floats:
        return ladder_scores(self.z, floor)[2]

    def judge(self, compared: Compared) -> None:
        """Take what null networks gave: p of all last rungs above the floor."""
        self.compared = compared
        self.first, self.second, self.scores = ladder_scores(self.z, compared.floor)
        self.p = compared.p(self.scores)

    @property
    def pair_count(self) -> int:
        count = len(self.weights[-1].up_units)
        return count * (count - 1) // 2

    @property
    def z(self) -> list[Floats]:
        return [matrix.z for matrix in self.matrices]

    @property
    def name(self) -> str:
        if self.weights[0].up_layer:
            return " -> ".join([self.weights[0].up_layer, *(each.down_layer for each in self.weights)])
        counts = [self.weights[0].kernels.shape[1], *(each.kernels.shape[0] for each in self.weights)]
        return f"arrays of {' -> '.join(map(str, counts))} units"

    def match(self, at: int, level: float) -> LadderMatch:
        x, y = int(self.first[at]), int(self.second[at])
        rungs, u, steps = retrace(self.z, x, y, self.compared.floor)
        p_by_null = {name: float(each[at]) for name, each in self.p.items()}
        null = max(p_by_null, key=lambda name: p_by_null[name])
        layers = [self.weights[0].up_units, *(each.down_units for each in self.weights)]
        named = tuple((layers[place][left], layers[place][right]) for place, (left, right) in enumerate(rungs))
        united = layers[-1][u]
        units: dict[str, Unit] = {
            f"{side}{place}": rung[number] for place, rung in enumerate(named) for number, side in enumerate("LR")
        }
        score = min(steps)
        return LadderMatch(
            motif="ladders",
            units={**units, "u": united},
            score=score,
            effect=score - self.compared.medians[null],
            p=p_by_null[null],
            q=float(self.q[at]),
            null=null,
            verdict="found" if self.q[at] <= level else "not significant",
            rungs=named,
            u=united,
            step_scores=steps,
            p_by_null=p_by_null,
            chance=self.compared.chance(float(self.scores[at]), null),
        )


def find_ladders(
    source: Any,
    *,
    layers: Sequence[str] | None = None,
    steps: int | None = None,
    factors: Sequence[Sequence[NDArray[Any]] | None] | None = None,
    q: float = 0.05,
    draws: int = 40,
    seed: int = 0,
    progress: Progress = SILENT,
) -> MotifResult[LadderMatch]:
    """Find two pathways that inhibit each other at every step and are united at the end.

    Parameters
    ----------
    source
        A `Bundle`; or arrays of consecutive layer pairs, the most upstream first, the last of which leads to the
        uniting unit: each (down, up, row, col) or (down, up).
    layers
        Of the bundle, the most upstream first, the uniting unit's last.
    steps
        How many steps; all chains of layers of that length are searched. All the given layers or arrays if left out,
        3 in a bundle whose layers are not named.
    factors
        For arrays: for each None, or the maps whose product gives its kernel sums, downstream first.
    q
        Level of the false discovery rate up to which a ladder counts as found.
    draws
        Networks of each null.

    Returns
    -------
    The ladders found at `q`, surest first: for each last rung the best ladder that ends in it, equals resolved by the
    lowest places. ``.why_not`` takes two units of the last rung's layer, or all units rung by rung with u last.

    Raises
    ------
    MotifError
        Fewer draws than 2 / q; not enough layers for the steps.
    ShapeError
        Arrays do not follow each other, or their factors do not fit.
    NonFiniteError, UnknownLayerError, UnknownPairError
        As `read_weights` raises them.

    Examples
    --------
    >>> from circuitgraph.testing.planted import background_chain, plant_ladder
    >>> chain = background_chain("iid", (24, 24, 24, 24), window=(1, 1))
    >>> weights, planted = plant_ladder(chain.kernels, 6.0)
    >>> planted.left, planted.right, planted.united
    ((19, 7, 0), (15, 6, 1), 19)
    >>> [(match.rungs, match.u) for match in find_ladders(weights)]
    [(((19, 15), (7, 6), (0, 1)), 19)]
    """
    started = time.perf_counter()
    act = "finding ladders"
    check_draws(draws, q, act=act)
    notes: list[str] = []
    chains = _read_chains(source, layers, steps, factors, notes, act)
    read: dict[int, SumMatrix] = {}
    for chain in chains:
        for each in chain:
            if id(each) not in read:
                read[id(each)] = read_sums(each)
    searches = [_Search(chain, tuple(read[id(each)] for each in chain)) for chain in chains]
    nulls_of = [
        (
            NullSearch(
                search.matrices,
                search.pair_count,
                lambda z, floor: ladder_scores(z, floor)[2],
                top_scores,
                level=q,
                seed=seed,
                by_step=True,
            ),
            search.scores_above,
        )
        for search in searches
    ]
    names = [search.name for search in searches]
    compared, further = search_all(nulls_of, draws=draws, level=q, progress=progress, act=act, names=names)
    for search, null in zip(searches, compared, strict=True):
        search.judge(null)
        notes += _notes_on(search)
    notes += further
    tested = sum(search.pair_count for search in searches)
    worst = [np.max(list(search.p.values()), axis=0) for search in searches]
    values = q_values(np.concatenate(worst), tested)
    matches: list[LadderMatch] = []
    start = 0
    for search in searches:
        search.q = values[start : start + len(search.scores)]
        start += len(search.scores)
        matches += [search.match(int(at), q) for at in np.flatnonzero(search.q <= q)]
    nulls = {null.name: null for search in searches for null in search.compared.nulls}
    cypher, parameters = _cypher(searches) if isinstance(source, Bundle) else ("", {})
    return MotifResult(
        motif="ladders",
        matches=tuple(sorted(matches, key=lambda match: (match.p or 0.0, -match.score, match.id))),
        tested_count=tested,
        tested="pairs of units of a last rung",
        nulls=tuple(nulls.values()),
        draws=draws,
        seed=seed,
        level=q,
        source=searches[0].name if len(searches) == 1 else f"{len(searches)} chains of {len(chains[0]) + 1} layers",
        notes=tuple(dict.fromkeys(notes)),
        cypher=cypher,
        parameters=parameters,
        seconds=time.perf_counter() - started,
        network=chains[0][0].network,
        weights_sha256=chains[0][0].weights_sha256,
        explain_not=_explainer(tuple(searches), q, tested),
    )


def _read_chains(
    source: Any,
    layers: Sequence[str] | None,
    steps: int | None,
    factors: Sequence[Sequence[NDArray[Any]] | None] | None,
    notes: list[str],
    act: str,
) -> list[tuple[Weights, ...]]:
    if steps is not None and steps < 1:
        raise MotifError(f"{act}: {steps} steps, at least 1 is wanted.", hint="The article's dog heads have 3.")
    if isinstance(source, Bundle):
        if factors is not None:
            raise MotifError(f"{act}: a bundle brings its own factors.", hint="Leave factors out.")
        return _bundle_chains(source, layers, steps, notes, act)
    if layers is not None:
        raise MotifError(f"{act}: arrays have no named layers.", hint="Give those arrays only that are to be searched.")
    if isinstance(source, Weights) or not isinstance(source, (list, tuple)):
        raise MotifError(
            f"{act}: one {type(source).__name__} is given, a list of arrays is wanted.",
            hint="Give [W1, W2, ...], each (down, up, row, col), the most upstream first.",
        )
    maps: Sequence[Sequence[NDArray[Any]] | None] = [None] * len(source) if factors is None else factors
    if len(maps) != len(source):
        raise ShapeError(
            f"{act}: factors of {len(maps)} arrays are given, of {len(source)} are wanted; None where unknown."
        )
    weights = [read_weights(each, factors=tuple(own or ()), act=act) for each, own in zip(source, maps, strict=True)]
    for number, (one, two) in enumerate(pairwise(weights), start=1):
        if one.kernels.shape[0] != two.kernels.shape[1]:
            raise ShapeError(
                f"{act}: W{number} leads to {one.kernels.shape[0]} units, W{number + 1} comes from "
                f"{two.kernels.shape[1]}.",
                hint="Each is (down, up, row, col), the most upstream first.",
            )
    length = len(weights) if steps is None else steps + 1
    if length < 2 or len(weights) < length:
        raise MotifError(
            f"{act}: {len(weights)} arrays are given, {max(length, 2)} are wanted.",
            hint="One for each step, and one that leads to the uniting unit.",
        )
    return [tuple(weights[start : start + length]) for start in range(len(weights) - length + 1)]


def _bundle_chains(
    bundle: Bundle, layers: Sequence[str] | None, steps: int | None, notes: list[str], act: str
) -> list[tuple[Weights, ...]]:
    if layers is not None:
        uids = [bundle.layer(name).uid for name in layers]
        length = len(uids) if steps is None else steps + 2
        if length < 3 or len(uids) < length:
            raise MotifError(
                f"{act}: {len(uids)} layers are named, at least {max(length, 3)} are wanted.",
                hint="One for each rung, and the uniting unit's.",
            )
        chains = [uids[start : start + length] for start in range(len(uids) - length + 1)]
    else:
        length = (_USUAL_STEPS if steps is None else steps) + 2
        chains = [[layer.uid] for layer in bundle.layers]
        for _ in range(length - 1):
            chains = [[*chain, down] for chain in chains for up, down in bundle.pairs if up == chain[-1]]
        if not chains:
            raise MotifError(
                f"{act}: {bundle.network} has no {length} layers in a row, which {length - 2} steps take.",
                hint="Ask for fewer: steps=1 is a union.",
            )
    read: dict[tuple[str, str], Weights] = {}
    found = []
    for chain in chains:
        try:
            for pair in pairwise(chain):
                if pair not in read:
                    read[pair] = read_weights(bundle, *pair, act=act)
        except BundleError as error:
            if layers is not None:
                raise
            notes.append(f"left out: {' -> '.join(chain)}; {error.message}")
            continue
        found.append(tuple(read[pair] for pair in pairwise(chain)))
    if not found:
        raise MotifError(f"{act}: no chain of layers of {bundle.network} can be read.", hint=notes[-1])
    return found


def _notes_on(search: _Search) -> list[str]:
    notes = []
    for each, matrix in zip(search.weights, search.matrices, strict=True):
        if matrix.why_no_factors:
            notes.append(f"null permuted_factors is not available: {matrix.why_no_factors}")
        live = min(int(matrix.sums.any(axis=axis).sum()) for axis in (0, 1))
        if live <= _FEW_UNITS:
            notes.append(f"cannot tell: {each.name} has {live} live units on one side, too few for power")
    notes.append(f"exact for all ladders with a score of at least {search.compared.floor:.3g} in {search.name}")
    return notes


def _explainer(searches: tuple[_Search, ...], level: float, tested: int) -> Any:
    def explain(*units: Unit) -> str:
        rungs = len(searches[0].weights)
        if len(units) not in (2, 2 * rungs + 1):
            raise MotifError(
                f"ladders: {len(units)} units are given; the two of a last rung, or {2 * rungs + 1} are wanted.",
                hint="Rung by rung, left before right, the most upstream first, u last.",
            )
        search = _search_of(searches, units[-2] if len(units) == 2 else units[-1], is_united=len(units) > 2)
        further = 1 + int(np.count_nonzero(search.q <= level))
        needed = search.compared.score_needed(level * further, tested)
        said = f"q <= {level:g} needs about {needed:.3g} here"
        if len(units) > 2:
            return "\n".join([*_conditions(search, units, needed), said])
        x, y = sorted(search.weights[-1].up_place(unit) for unit in units)
        if x == y:
            raise MotifError(f"ladders: both are {units[0]}, two units are wanted.")
        at = np.flatnonzero((search.first == x) & (search.second == y))
        if len(at) == 0:
            floor = f"{search.compared.floor:.3g}"
            return f"no ladder that ends in {units[0]} and {units[1]} has a score of {floor} or more; {said}"
        match = search.match(int(at[0]), level)
        best = ", ".join(f"{role} = {unit}" for role, unit in match.units.items())
        found = f"p = {match.p:.3g} ({match.null}), q = {match.q:.3g}: {match.verdict}"
        return f"the best is {match.score:.3g} rms with {best}; {found}; {said}"

    return explain


def _conditions(search: _Search, units: Sequence[Unit], needed: float) -> list[str]:
    rungs = [units[place : place + 2] for place in range(0, len(units) - 1, 2)]
    edges: list[tuple[int, Unit, Unit, int]] = []
    for number, (upper, lower) in enumerate(pairwise(rungs)):
        edges += [(number, upper[a], lower[b], 1 if a == b else -1) for a in (0, 1) for b in (0, 1)]
    edges += [(len(rungs) - 1, unit, units[-1], 1) for unit in rungs[-1]]
    lines = []
    for number, up, down, sign in edges:
        weights, matrix = search.weights[number], search.matrices[number]
        at = weights.down_place(down), weights.up_place(up)
        strength = sign * float(matrix.z[at])
        verdict = "holds" if strength >= needed else "too weak" if strength > 0 else "wrong sign or none"
        arrow = "->" if sign > 0 else "-|"
        lines.append(f"{up} {arrow} {down}: kernel sum {matrix.sums[at]:.4g}, {strength:.3g} rms: {verdict}")
    return lines


def _search_of(searches: Sequence[_Search], unit: Unit, *, is_united: bool) -> _Search:
    for search in searches:
        if unit in (search.weights[-1].down_units if is_united else search.weights[-1].up_units):
            return search
    return searches[0]


def _cypher(searches: Sequence[_Search]) -> tuple[str, Mapping[str, Any]]:
    """Return the ladder over strong edges, for one length; equal rungs once."""
    count = len(searches[0].weights)
    clauses = []
    for place in range(count):
        here = [f"({side}{place}:Unit:Neuron {{network: $network, layer: layers[{place}]}})" for side in "LR"]
        if place == 0:
            clauses.append(f"MATCH {here[0]}, {here[1]}")
            continue
        above = place - 1
        clauses.append(
            f"MATCH (L{above})-[:EXCITES]->{here[0]}<-[:INHIBITS]-(R{above}),\n"
            f"      (R{above})-[:EXCITES]->{here[1]}<-[:INHIBITS]-(L{above})"
        )
    last = count - 1
    clauses.append(
        f"MATCH (L{last})-[:EXCITES]->(u:Unit:Neuron {{network: $network, layer: layers[{count}]}})"
        f"<-[:EXCITES]-(R{last})\n"
        f"WHERE L{last}.channel < R{last}.channel"
    )
    roles = [f"{side}{place}" for place in range(count) for side in "LR"] + ["u"]
    columns = ", ".join(f"{role}.uid AS {role}" for role in roles)
    body = "\n".join(clauses)
    text = f"CYPHER 5\nUNWIND $chains AS layers\n{body}\nRETURN DISTINCT {columns}"
    chains = [
        [
            name.rpartition("/")[2]
            for name in (search.weights[0].up_layer, *(each.down_layer for each in search.weights))
        ]
        for search in searches
    ]
    return text, {"network": searches[0].weights[0].network, "chains": chains}
