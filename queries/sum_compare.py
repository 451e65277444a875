"""Scores of pairs compared with those of null networks, without listing all of the null.

Of each null network only the scores at or above a **floor** are listed. The floor is so low that at least a share q of
one null's scores lie above it; what lies below then has p > q, and cannot be among the finds of Benjamini and Hochberg
at q. Above it, p and q are those of the whole pool.

Where one search asks for more than one chain of layers, a find has to stand out from all their pairs, but its p is no
smaller than 1 over the pairs of its own null networks. `search_all` therefore draws twice as many, and again, but only
for the chains in which more draws could make a find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from circuitgraph.progress import Progress
from queries.base import NullModel
from queries.null_scores import Chance, NullScores
from queries.significance import q_values
from queries.sum_nulls import FACTORS, NULLS, PERMUTED, VECTORS, Floats, SumMatrix

__all__ = ["STEP", "Compared", "NullSearch", "search_all"]

STEP = NullModel(
    "permuted_step",
    "all layer pairs but one, each in turn, and that one's balanced kernel sums",
    "which units they lie between",
)
"""One step of a ladder at random and the others as they are: the largest p over the steps."""

Search = Callable[[Sequence[Floats], float], NDArray[np.floating]]
"""Takes balanced matrices and a floor above 0, and gives the scores of all pairs at or above it."""
Top = Callable[[Sequence[Floats], float], NDArray[np.floating]]
"""Takes balanced matrices and a share, and gives at least that share of all scores from the top, if above 0."""

_MARGIN = 1.25
_MOST_TIMES = 50


@dataclass(frozen=True, eq=False)
class Compared:
    """What the null networks gave at or above `floor`.

    Attributes
    ----------
    tails
        Name of a null to its scores, all draws together, ascending; one for each step of the null that has steps.
    medians
        Name of a null to the median score of its first draw, 0 where that is not above 0.
    total
        Scores in each pool, those below the floor included.
    """

    floor: float
    tails: dict[str, tuple[NDArray[np.floating], ...]]
    medians: dict[str, float]
    total: int
    nulls: tuple[NullModel, ...]
    _kept: dict[tuple[str, int], NullScores] = field(default_factory=dict, repr=False)

    def p(self, scores: NDArray[np.floating]) -> dict[str, Floats]:
        """Return p of each score under each null; what lies below the floor has 1."""
        counts = self._counts(scores)
        return {
            name: np.where(scores >= self.floor, (1.0 + count) / (1.0 + self.total), 1.0)
            for name, count in counts.items()
        }

    def chance(self, score: float, null: str) -> Chance | None:
        """Return how one score compares with a null; None below the floor."""
        if score < self.floor:
            return None
        tails = self.tails[null]
        # of the steps, that which most often reaches the score
        tail = max(tails, key=lambda each: len(each) - int(np.searchsorted(each, score, side="left")))
        key = (null, next(place for place, each in enumerate(tails) if each is tail))
        if key not in self._kept:
            self._kept[key] = NullScores.of(tail, null=null, unlisted=self.total - len(tail))
        return Chance.counted(self._kept[key], score, tail)

    def p_limit(self, scores: NDArray[np.floating]) -> Floats:
        """Return the largest p over the nulls that any number of draws may be expected to leave; 0 is possible."""
        worst = np.max(list(self._counts(scores).values()), axis=0)
        return np.asarray(np.where(scores >= self.floor, worst / max(1, self.total), 1.0), dtype=np.float64)

    def score_needed(self, level: float, tested_count: int) -> float:
        """Return a score above which one find alone would have q at most `level`; ties may reach it."""
        allowed = int(np.floor(level / max(1, tested_count) * (1 + self.total) + 1e-9)) - 1
        if allowed < 0:
            return float("inf")
        pools = [tail for tails in self.tails.values() for tail in tails if len(tail) > allowed]
        return max((float(tail[-allowed - 1]) for tail in pools), default=self.floor)

    def _counts(self, scores: NDArray[np.floating]) -> dict[str, NDArray[np.intp]]:
        return {
            name: np.max([len(tail) - np.searchsorted(tail, scores, side="left") for tail in tails], axis=0)
            for name, tails in self.tails.items()
        }


class NullSearch:
    """The search of null networks for one chain of layers, which may be gone on with.

    Parameters
    ----------
    matrices
        Of consecutive layer pairs.
    pair_count
        Scores that each network has.
    by_step
        Compare with networks too of which only one layer pair is random.
    """

    def __init__(
        self,
        matrices: Sequence[SumMatrix],
        pair_count: int,
        search: Search,
        top: Top,
        *,
        level: float,
        seed: int,
        by_step: bool = False,
    ) -> None:
        self.pair_count = pair_count
        self._matrices, self._search, self._level, self._seed = matrices, search, level, seed
        everywhere = tuple(range(len(matrices)))
        whole = (PERMUTED, VECTORS, *([FACTORS] if any(each.has_factors for each in matrices) else []))
        # which null, and which layer pairs are random under it
        self._kinds = [(null, everywhere) for null in whole]
        if by_step and len(matrices) > 1:
            self._kinds += [(STEP, (place,)) for place in everywhere]
        self._draws = 0
        self._smallest = float(np.finfo(np.float32).tiny)
        self._floor = self._smallest
        self._medians: dict[str, float] = {}
        self._pools: list[list[NDArray[np.floating]]] = [[] for _ in self._kinds]
        share = max(0.5, min(1.0, _MARGIN * level))
        wanted = int(np.ceil(_MARGIN * level * pair_count)) + 1
        for kind, (null, _) in enumerate(self._kinds if pair_count else []):
            found = np.sort(np.asarray(top(self._network(kind, 0), share), dtype=np.float64))[::-1]
            middle = float(found[pair_count // 2]) if len(found) > pair_count // 2 else 0.0
            self._medians[null.name] = max(0.0, middle, self._medians.get(null.name, 0.0))
            if null is not STEP and len(found) >= wanted:
                self._floor = max(self._floor, float(found[wanted - 1]))

    @property
    def draws(self) -> int:
        """Networks of each null that were searched."""
        return self._draws

    def run(self, draws: int, advance: Callable[[], None]) -> None:
        """Search further networks until there are `draws` of each null."""
        for draw in range(self._draws, draws):
            self._add(draw)
            self._draws = draw + 1
            advance()
        while self._floor > self._smallest and self._reached() < self._level * self._draws * self.pair_count:
            # the first draw was no measure of the others
            self._floor = self._floor * 0.8 if self._floor > 1e-3 else self._smallest
            self._pools = [[] for _ in self._kinds]
            for draw in range(self._draws):
                self._add(draw)

    def compared(self) -> Compared:
        """Return what was found in them."""
        tails: dict[str, tuple[NDArray[np.floating], ...]] = {}
        for (null, _), pool in zip(self._kinds, self._pools, strict=True):
            scores = np.sort(np.concatenate(pool)) if pool else np.zeros(0)
            tails[null.name] = (*tails.get(null.name, ()), scores)
        nulls = tuple(dict.fromkeys(null for null, _ in self._kinds))
        medians = {null.name: self._medians.get(null.name, 0.0) for null in nulls}
        return Compared(self._floor, tails, medians, self._draws * self.pair_count, nulls)

    def _add(self, draw: int) -> None:
        if self.pair_count:
            for kind, pool in enumerate(self._pools):
                pool.append(self._search(self._network(kind, draw), self._floor))

    def _reached(self) -> int:
        pools = zip(self._kinds, self._pools, strict=True)
        return max(sum(map(len, pool)) for (null, _), pool in pools if null is not STEP)

    def _network(self, kind: int, draw: int) -> list[Floats]:
        null, moved = self._kinds[kind]
        # one stream for each null, draw and layer pair: numbers do not depend on what else is searched
        stream = len(NULLS) if null is STEP else NULLS.index(null)
        drawn = PERMUTED if null is STEP else null
        return [
            each.draw(drawn, np.random.default_rng([self._seed, stream, draw, place])) if place in moved else each.z
            for place, each in enumerate(self._matrices)
        ]


def search_all(
    searches: Sequence[tuple[NullSearch, Callable[[float], NDArray[np.floating]]]],
    *,
    draws: int,
    level: float,
    progress: Progress,
    act: str,
    names: Sequence[str],
) -> tuple[list[Compared], list[str]]:
    """Search the null networks of all chains of layers; return what they gave, and a note where more were drawn.

    Parameters
    ----------
    searches
        Of each chain its null search, and what gives its own scores at or above a floor.
    """
    with progress.task(act, total=len(searches) * draws, unit="null network") as task:
        for (search, _), name in zip(searches, names, strict=True):
            task.describe(name)
            search.run(draws, task.advance)
    done = [search.compared() for search, _ in searches]
    tested = sum(search.pair_count for search, _ in searches)
    if len(searches) == 1 or tested == 0:
        return done, []
    most = [
        min(int(np.ceil(draws * tested / max(1, search.pair_count))), _MOST_TIMES * draws) for search, _ in searches
    ]
    with progress.task(f"{act}, further draws", unit="null network") as task:
        while more := [
            place for place in _promising(searches, done, tested, level) if searches[place][0].draws < most[place]
        ]:
            for place in more:
                task.describe(names[place])
                search = searches[place][0]
                search.run(min(2 * search.draws, most[place]), task.advance)
                done[place] = search.compared()
    said = [
        f"{search.draws:,} in {name}" for (search, _), name in zip(searches, names, strict=True) if search.draws > draws
    ]
    if not said:
        return done, []
    return done, [f"more networks were drawn where a find among {tested:,} pairs needs them: {', '.join(said)}"]


def _promising(
    searches: Sequence[tuple[NullSearch, Callable[[float], NDArray[np.floating]]]],
    done: Sequence[Compared],
    tested: int,
    level: float,
) -> list[int]:
    """Return the chains with a pair that is no find, but would be one if p were not bounded by the draws."""
    own = [scores(each.floor) for (_, scores), each in zip(searches, done, strict=True)]
    now = [np.max(list(each.p(scores).values()), axis=0) for each, scores in zip(done, own, strict=True)]
    limits = [each.p_limit(scores) for each, scores in zip(done, own, strict=True)]
    is_found = q_values(np.concatenate(now), tested) <= level
    is_hopeful = q_values(np.concatenate(limits), tested) <= level
    starts = np.cumsum([0, *map(len, own)])
    return [place for place, (start, stop) in enumerate(pairwise(starts)) if (is_hopeful & ~is_found)[start:stop].any()]
