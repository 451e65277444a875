"""Specialisation by negative weights; see `queries.specialisation` for definition, score and null."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import BundleError, MotifError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.turns import norm_shares
from queries.base import Match, MotifResult, NullModel, Unit
from queries.null_scores import Chance, NullScores, sample_of
from queries.significance import check_draws, q_values
from queries.sum_nulls import balance
from queries.weights import Weights, read_weights

__all__ = ["INHIBITION", "NarrowingMatch", "find_narrowing", "narrowing_scores", "permute_inhibition"]

Floats = NDArray[np.float64]
INHIBITION = NullModel(
    "permuted_inhibition",
    "what excites each unit, and its negative entries",
    "which of the sources that do not excite it inhibit it",
)
_ACT = "finding specialisation by negative weights"
_FEW_UNITS = 16
_MOST_DRAWS = 5_000


@dataclass(frozen=True, kw_only=True)
class NarrowingMatch(Match):
    """A unit that inhibition narrows to a part of what a sibling responds to.

    Attributes
    ----------
    excited_alike
        Cosine of what excites the two, 0 to 1.
    inhibited_by_sibling
        Cosine of what inhibits the unit with what excites its sibling, 0 to 1.
    vetoes
        The sources that count most in the latter, strongest first, as many as their effective number.
    """

    excited_alike: float
    inhibited_by_sibling: float
    vetoes: tuple[Unit, ...] = ()

    def bindings(self) -> list[tuple[str, int, Unit]]:
        """Return the two units, and the sources that inhibit one and excite the other."""
        return [*super().bindings(), *(("veto", place, unit) for place, unit in enumerate(self.vetoes))]

    def row(self) -> dict[str, Any]:
        """Return the match as one row of a table."""
        own = {"excited_alike": self.excited_alike, "inhibited_by_sibling": self.inhibited_by_sibling}
        return {**super().row(), **own}


def narrowing_scores(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (unit, sibling) scores and their two cosines, 0 on the diagonal of the scores.

    Parameters
    ----------
    z
        (unit, source) balanced kernel sums.
    """
    excites = _normed(np.maximum(z, 0.0))
    alike = excites @ excites.T
    opposed = _normed(np.maximum(-z, 0.0)) @ excites.T
    scores = 2 * alike * opposed
    np.fill_diagonal(scores, 0.0)
    return scores, alike, opposed


def find_narrowing(
    source: Any,
    *,
    up: str | None = None,
    layer: str | None = None,
    q: float = 0.05,
    draws: int = 60,
    seed: int = 0,
    progress: Progress = SILENT,
) -> MotifResult[NarrowingMatch]:
    """Find units that inhibition narrows; what `find_specialisation` calls for ``kind="inhibition"``."""
    started = time.perf_counter()
    check_draws(draws, q, act=_ACT)
    notes: list[str] = []
    searches = [_Search(weights, number) for number, weights in enumerate(_read(source, up, layer, notes))]
    tested = sum(search.pair_count for search in searches)
    with progress.task(_ACT, total=len(searches) * draws, unit="null network") as task:
        for search in searches:
            task.describe(search.weights.name)
            search.draw(draws, seed, task)
            needed = int(np.ceil(2 * tested / (q * max(1, search.pair_count))))
            # the least p there is, and still not small enough among so many pairs
            if needed > draws and search.above.min(initial=1) == 0:
                search.draw(min(needed, _MOST_DRAWS), seed, task)
                notes.append(f"{search.weights.name}: {search.draws:,} draws, since {tested:,} pairs are tested")
    p = np.concatenate([search.p.ravel() for search in searches])
    # the diagonal is no hypothesis; it has p = 1 and counts as none
    order = np.sort(p)[:tested]
    values = q_values(order)
    found = []
    for search in searches:
        search.level_p = float(order[values <= q].max()) if np.any(values <= q) else 0.0
        for b, s in np.argwhere(search.p <= search.level_p):
            found.append(search.match(int(b), int(s), float(values[np.searchsorted(order, search.p[b, s])]), q))
        if search.live_count <= _FEW_UNITS:
            notes.append(f"cannot tell: {search.weights.name} has {search.live_count} live units, too few for power")
    return MotifResult(
        motif="specialisation",
        matches=tuple(sorted(found, key=lambda match: (match.p or 0.0, -match.score, match.id))),
        tested_count=tested,
        tested="ordered pairs of units",
        nulls=(INHIBITION,),
        draws=draws,
        seed=seed,
        level=q,
        source=searches[0].weights.name if len(searches) == 1 else f"{len(searches)} layer pairs",
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
        network=searches[0].weights.network,
        weights_sha256=searches[0].weights.weights_sha256,
        explain_not=_explainer(searches, q),
    )


@dataclass(eq=False)
class _Search:
    """One layer pair."""

    weights: Weights
    number: int
    z: Floats = field(init=False)
    scores: Floats = field(init=False)
    above: NDArray[np.int64] = field(init=False)
    p: Floats = field(init=False)
    medians: list[float] = field(default_factory=list)
    _samples: list[Floats] = field(default_factory=list)
    draws: int = 0
    level_p: float = 0.0
    _kept: NullScores | None = None

    def __post_init__(self) -> None:
        self.z = balance(self.weights.sums)[0]
        self.scores, self.alike, self.opposed = narrowing_scores(self.z)
        self._order = np.argsort(self.scores, axis=None, kind="stable")
        self._sorted = self.scores.ravel()[self._order]
        self.above = np.zeros(self.scores.size, dtype=np.int64)
        self._off_diagonal = ~np.eye(len(self.z), dtype=bool)

    @property
    def pair_count(self) -> int:
        return len(self.z) * (len(self.z) - 1)

    @property
    def live_count(self) -> int:
        return int(np.count_nonzero(self.z.any(axis=1)))

    def draw(self, count: int, seed: int, task: Any) -> None:
        """Count how often null networks reach each score; only counts are kept."""
        for number in range(self.draws, count):
            rng = np.random.default_rng([seed, self.number, number])
            null = narrowing_scores(permute_inhibition(self.z, rng))[0][self._off_diagonal]
            reached = np.bincount(np.searchsorted(self._sorted, null, side="right"), minlength=self.scores.size + 1)
            self.above += np.cumsum(reached[::-1])[::-1][1:]
            self.medians.append(float(np.median(null)))
            self._samples.append(sample_of(null))
            task.advance()
        self.draws = max(self.draws, count)
        p = np.empty(self.scores.size)
        p[self._order] = (1.0 + self.above) / (1.0 + self.draws * self.pair_count)
        self.p = p.reshape(self.scores.shape)
        np.fill_diagonal(self.p, 1.0)

    def _chance(self, b: int, s: int) -> Chance:
        if self._kept is None:
            self._kept = NullScores.of(
                np.concatenate(self._samples), null=INHIBITION.name, count=self.draws * self.pair_count
            )
        at = int(np.flatnonzero(self._order == b * len(self.z) + s)[0])
        return Chance(self._kept, float(self.scores[b, s]), int(self.above[at]))

    def match(self, b: int, s: int, q: float, level: float) -> NarrowingMatch:
        score = float(self.scores[b, s])
        shared = np.maximum(-self.z[b], 0.0) * np.maximum(self.z[s], 0.0)
        squares = float(np.square(shared).sum())
        count = round(float(np.square(shared.sum())) / squares) if squares > 0 else 0
        kernels = np.asarray(self.weights.kernels[[b, s]], dtype=np.float64)
        return NarrowingMatch(
            motif="specialisation",
            units={"narrowed": self.weights.down_units[b], "sibling": self.weights.down_units[s]},
            score=score,
            effect=score - float(np.median(self.medians)),
            p=float(self.p[b, s]),
            q=q,
            null=INHIBITION.name,
            verdict="found" if q <= level else "not significant",
            shares=norm_shares(kernels),
            excited_alike=float(self.alike[b, s]),
            inhibited_by_sibling=float(self.opposed[b, s]),
            vetoes=tuple(self.weights.up_units[place] for place in np.argsort(-shared, kind="stable")[:count]),
            chance=self._chance(b, s),
        )


def permute_inhibition(z: Floats, rng: np.random.Generator) -> Floats:
    """Permute each row's entries among the places that are not above 0."""
    # one sort: excited places keep their order in front, the others follow in random order
    is_free = z <= 0
    places = np.argsort(np.where(is_free, 1.0, 0.0), axis=1, kind="stable")
    keys = np.where(np.take_along_axis(is_free, places, axis=1), 1.0 + rng.random(z.shape), 0.0)
    moved = np.take_along_axis(places, np.argsort(keys, axis=1, kind="stable"), axis=1)
    out = np.empty_like(z)
    np.put_along_axis(out, places, np.take_along_axis(z, moved, axis=1), axis=1)
    return out


def _normed(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0)[:, None])


def _read(source: Any, up: str | None, layer: str | None, notes: list[str]) -> list[Weights]:
    if not isinstance(source, Bundle):
        return [read_weights(source, act=_ACT)]
    wanted = [None if name is None else source.layer(name).uid for name in (up, layer)]
    if None not in wanted:
        return [read_weights(source, up, layer, act=_ACT)]
    found = []
    for above, below in source.pairs:
        if all(name in (None, uid) for name, uid in zip(wanted, (above, below), strict=True)):
            try:
                found.append(read_weights(source, above, below, act=_ACT))
            except BundleError as error:
                notes.append(f"{above} -> {below} cannot be read as one array of kernels: {error.message}")
    if not found:
        raise MotifError(f"{_ACT}: there is no pair of layers that can be read.", hint="`bundle.pairs` lists them.")
    return found


def _explainer(searches: Sequence[_Search], level: float) -> Any:
    def explain(*units: Unit) -> str:
        if len(units) != 2:
            raise MotifError(
                f"specialisation: {len(units)} units are given, a unit and its sibling are wanted.",
                hint="r.why_not(unit, sibling).",
            )
        search = next((each for each in searches if units[0] in each.weights.down_units), searches[0])
        b, s = (search.weights.down_place(unit) for unit in units)
        if b == s:
            raise MotifError(f"specialisation: {units[0]} and {units[1]} are one unit, two are wanted.")
        score, p = float(search.scores[b, s]), float(search.p[b, s])
        said = "found" if p <= search.level_p else "not significant"
        return "\n".join(
            [
                f"{search.weights.down_units[b]} beside {search.weights.down_units[s]}",
                f"excited alike: cosine {search.alike[b, s]:.3g}",
                f"inhibited by what excites the sibling: cosine {search.opposed[b, s]:.3g}",
                f"score {score:.3g}, twice their product; a random pair has {np.median(search.medians):.3g}",
                f"p = {p:.3g} among {search.draws} draws of {search.pair_count:,} pairs: {said} at q <= {level:g}",
            ]
        )

    return explain
