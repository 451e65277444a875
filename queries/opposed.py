"""Units that read the same sources with opposite signs.

Two downstream units b and b' are **opposed** by sources that excite one and inhibit the other, as the two sides of a
curve are. `find_opposed` asks it of each pair; `count_opposed` counts the four-unit pattern (two sources, two
targets: a bi-fan) over a whole layer pair, by its signs.

**Edges** are kernel sums at or beyond `threshold` times the layer pair's root mean square.

**Score** of a pair: the share of their common sources that have opposite signs, 0 to 1. **p**: the binomial chance of
as many, each unit keeping its share of exciting sources. Where both units are mixtures of the same few factors
(every bottleneck), signs of different sources are no independent trials and the binomial raises alarms
everywhere. Where the factors are known, it is also compared with layers whose targets read their bottleneck with
shuffled signs (``factor_signs``; to permute strengths too raised alarms in 12 of 30 heavy-tailed layers). Where they
are not, a layer pair of low rank is not tested, and pairs in one of low effective rank are "undetermined".

**Counts**: P and N are the positive and negative edges (down, up), and a pair of targets has
C(PP', 2) bi-fans of four exciting edges, C(NN', 2) of four inhibiting ones, and PN' * NP' opposed ones (each source
excites one target and inhibits the other, crosswise); balanced are all whose product of signs is positive.
Null ``curveball`` keeps each unit's exciting and inhibiting edges on both sides.

Complexity: O(draws n^2 m) for n targets and m sources; O(draws n^2) numbers where factors are known.

Source: the opposed orientations of "Curve Circuits" (Distill 2021); bi-fans after Milo et al., "Network Motifs", 2002.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MotifError, UnknownUnitError
from circuitgraph.progress import SILENT, Progress
from queries.base import Match, MotifResult, NullModel, Table, Unit
from queries.curveball import curveball
from queries.null_scores import Chance, NullScores
from queries.significance import check_draws, p_of_best, p_pooled, q_values
from queries.weights import Factors, Weights, read_weights

__all__ = ["NULLS", "OpposedCounts", "OpposedMatch", "count_opposed", "find_opposed"]

_BINOMIAL = NullModel("binomial", "each unit's share of exciting sources", "which sources excite two units alike")
_FACTORS = NullModel(
    "factor_signs",
    "the factors' strengths and so the rank, each target's signs onto its bottleneck",
    "which unit of the bottleneck a target reads with which sign",
)
_CURVEBALL = NullModel("curveball", "each unit's exciting and inhibiting edges, on both sides", "which units they join")
NULLS = (_BINOMIAL, _FACTORS)
"""What a result of `find_opposed` may be compared with."""
_RANK_WARNING = 0.75
_CELLS = 1 << 27


@dataclass(frozen=True, kw_only=True)
class OpposedMatch(Match):
    """Two downstream units with opposite signs onto the same sources.

    Attributes
    ----------
    shared_count, opposed_count
        Sources with an edge to both, and those of them with opposite signs.
    expected_share
        Share of opposite signs if each unit's sources had their signs by chance.
    """

    shared_count: int
    opposed_count: int
    expected_share: float


@dataclass(frozen=True, kw_only=True)
class OpposedCounts:
    """Bi-fans between two layers by their signs, and how many there would be by chance.

    Attributes
    ----------
    observed
        "total", "all_positive", "all_negative", "opposed", "balanced" to exact counts.
    null_mean, z, p
        Of the same, under the null; p for as many or more. z is NaN where the null does not vary.
    edge_count
        Edges at the threshold.
    """

    observed: dict[str, int]
    null_mean: dict[str, float]
    z: dict[str, float]
    p: dict[str, float]
    edge_count: int
    null: NullModel
    threshold: float
    draws: int
    seed: int
    source: str
    notes: tuple[str, ...] = ()

    def table(self) -> Table:
        """Return one row a kind."""
        rows = [
            {"kind": kind, "count": count, "expected": self.null_mean[kind], "z": self.z[kind], "p": self.p[kind]}
            for kind, count in self.observed.items()
        ]
        how = f"{self.null.name}, {self.draws} draws, seed {self.seed}"
        title = f"bi-fans in {self.source}, {self.edge_count:,} edges; {how}"
        return Table(rows, title=title)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON; NaN as null."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        z = {kind: None if np.isnan(value) else value for kind, value in self.z.items()}
        return {**plain, "z": z, "null": self.null.name, "notes": list(self.notes)}


def count_opposed(
    source: Any,
    up: str | None = None,
    down: str | None = None,
    *,
    up_units: Sequence[Unit] | None = None,
    down_units: Sequence[Unit] | None = None,
    threshold: float = 0.5,
    draws: int = 99,
    seed: int = 0,
    progress: Progress = SILENT,
) -> OpposedCounts:
    """Count the bi-fans between two layers by their signs.

    Parameters
    ----------
    source, up, down
        A `Bundle` and its two layers, or an array (down, up, row, col).
    threshold
        Least absolute kernel sum of an edge, in root mean squares of all sums.

    Raises
    ------
    MotifError
        The threshold or the draws make no sense; and whatever `read_weights` raises.

    Notes
    -----
    A layer of low rank has many times the bi-fans that its degrees explain (z of 13 to 35 were measured on random
    ones), and totals cannot see one opposed pair in a large layer: ask `find_opposed`.
    """
    act = "counting opposed bi-fans"
    _check(threshold, draws, act)
    weights = read_weights(source, up, down, up_units=up_units, down_units=down_units, act=act)
    signs = _signs(weights.sums, threshold)
    observed = _bifans(signs)
    samples: dict[str, list[int]] = {kind: [] for kind in observed}
    with progress.task(act, total=draws, unit="draw") as task:
        for draw in range(draws):
            for kind, count in _bifans(curveball(signs, np.random.default_rng([seed, draw]))).items():
                samples[kind].append(count)
            task.advance()
    null = {kind: np.array(counts, dtype=np.float64) for kind, counts in samples.items()}
    spread = {kind: float(counts.std()) for kind, counts in null.items()}
    rank_note = _rank_note(weights, signs, seed)
    return OpposedCounts(
        observed=observed,
        null_mean={kind: float(counts.mean()) for kind, counts in null.items()},
        z={
            kind: float((observed[kind] - counts.mean()) / spread[kind]) if spread[kind] > 0 else float("nan")
            for kind, counts in null.items()
        },
        p={kind: p_of_best(observed[kind], counts) for kind, counts in null.items()},
        edge_count=int(np.count_nonzero(signs)),
        null=_CURVEBALL,
        threshold=threshold,
        draws=draws,
        seed=seed,
        source=weights.name,
        notes=(rank_note,) if rank_note else (),
    )


def find_opposed(
    source: Any,
    up: str | None = None,
    down: str | None = None,
    *,
    up_units: Sequence[Unit] | None = None,
    down_units: Sequence[Unit] | None = None,
    factors: Sequence[NDArray[Any]] = (),
    threshold: float = 0.5,
    q: float = 0.05,
    draws: int = 40,
    seed: int = 0,
    progress: Progress = SILENT,
) -> MotifResult[OpposedMatch]:
    """Find pairs of downstream units with opposite signs onto the same sources.

    Parameters
    ----------
    source, up, down
        A `Bundle` and its two layers, or all its adjacent pairs where none is named; or an array (down, up, row, col).
    factors
        For an array: the maps whose product it is, downstream first.
    threshold
        Least absolute kernel sum of an edge, in root mean squares of all sums.
    draws
        Networks with shuffled factors; used where factors are known.

    Returns
    -------
    The pairs at `q` over all pairs that share a source, surest first.

    Raises
    ------
    MotifError
        The threshold or the draws make no sense; and whatever `read_weights` raises.

    Notes
    -----
    Power: a planted pair with 24 shared sources is found about half of the time, with 16 hardly ever.
    """
    started = time.perf_counter()
    act = "finding opposed pairs"
    _check(threshold, draws, act)
    check_draws(draws, q, act=act)
    pairs: Sequence[tuple[str | None, str | None]] = [(up, down)]
    if isinstance(source, Bundle) and up is None and down is None:
        pairs = source.pairs
    notes: list[str] = []
    searched: list[_Searched] = []
    with progress.task(act, total=len(pairs), unit="layer pair") as task:
        for above, below in pairs:
            weights = read_weights(
                source, above, below, up_units=up_units, down_units=down_units, factors=factors, act=act
            )
            searched.append(_search(weights, threshold, draws, seed, notes, act))
            task.advance()
    q_all = q_values(np.concatenate([each.p for each in searched]))
    matches: list[OpposedMatch] = []
    starts = np.cumsum([0, *(len(each.p) for each in searched)])
    for each, start in zip(searched, starts, strict=False):
        each.q = q_all[start : start + len(each.p)]
        matches += [each.match(int(at)) for at in np.flatnonzero(each.q <= q)]
    used = {each.null.name: each.null for each in searched if len(each.p)}
    return MotifResult(
        motif="opposed",
        matches=tuple(sorted(matches, key=lambda match: (match.p or 0.0, -match.score, match.id))),
        tested_count=len(q_all),
        tested="pairs of downstream units",
        nulls=tuple(used.values()) or (_BINOMIAL,),
        draws=draws,
        seed=seed,
        level=q,
        source=searched[0].weights.name if len(searched) == 1 else f"{len(searched)} layer pairs",
        notes=tuple(notes),
        parameters={"threshold": threshold},
        seconds=time.perf_counter() - started,
        network=searched[0].weights.network,
        weights_sha256=searched[0].weights.weights_sha256,
        explain_not=_explainer(searched, q),
    )


@dataclass(eq=False)
class _Searched:
    """One layer pair: the pairs tested (first < second), their shared and opposed sources, and p."""

    weights: Weights
    null: NullModel
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    shared: NDArray[np.int64]
    opposed: NDArray[np.int64]
    expected: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    doubt: str = ""
    surprise: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    pool: NDArray[np.float64] | None = None
    _kept: NullScores | None = None

    def match(self, at: int) -> OpposedMatch:
        share = float(self.opposed[at] / self.shared[at])
        return OpposedMatch(
            motif="opposed",
            units={
                "one": self.weights.down_units[self.first[at]],
                "other": self.weights.down_units[self.second[at]],
            },
            score=share,
            effect=share - float(self.expected[at]),
            p=float(self.p[at]),
            q=float(self.q[at]),
            null=self.null.name,
            verdict="undetermined" if self.doubt else "found",
            notes=(self.doubt,) if self.doubt else (),
            shared_count=int(self.shared[at]),
            opposed_count=int(self.opposed[at]),
            expected_share=float(self.expected[at]),
            chance=self._chance(at),
        )

    def _chance(self, at: int) -> Chance | None:
        """Return what p was counted among; None where the binomial one, which is exact, is the larger."""
        if self.pool is None:
            return None
        if self._kept is None:
            self._kept = NullScores.of(self.pool, null=self.null.name, statistic="-log of the binomial p")
        chance = Chance.counted(self._kept, float(self.surprise[at]), self.pool)
        return chance if chance.p == float(self.p[at]) else None


def _check(threshold: float, draws: int, act: str) -> None:
    if not threshold >= 0 or not np.isfinite(threshold):
        raise MotifError(f"{act}: the threshold is {threshold}, at least 0 is wanted.", hint="0.5 is the usual one.")
    if draws < 1:
        raise MotifError(f"{act}: {draws} draws of the null.", hint="Give draws=40 or more.")


def _signs(sums: NDArray[np.float64], threshold: float) -> NDArray[np.int8]:
    """Return -1, 0 and 1; an exact zero is no edge at any threshold."""
    cut = threshold * float(np.sqrt(np.square(sums).mean()))
    return np.asarray(np.where(np.abs(sums) >= cut, np.sign(sums), 0), dtype=np.int8)


def _bifans(signs: NDArray[np.int8]) -> dict[str, int]:
    positive, negative = (signs > 0).astype(np.float64), (signs < 0).astype(np.float64)
    above = np.triu_indices(len(signs), 1)
    both, neither, crossed = positive @ positive.T, negative @ negative.T, positive @ negative.T
    # counts of sources are exact in float64, which multiplies faster; their products may not be
    pp, nn = both[above].astype(np.int64), neither[above].astype(np.int64)
    pn, np_ = crossed[above].astype(np.int64), crossed.T[above].astype(np.int64)
    same, unlike = pp + nn, pn + np_
    return {
        "total": int(_pairs(same + unlike).sum()),
        "all_positive": int(_pairs(pp).sum()),
        "all_negative": int(_pairs(nn).sum()),
        "opposed": int((pn * np_).sum()),
        "balanced": int((_pairs(same) + _pairs(unlike)).sum()),
    }


def _pairs(count: NDArray[np.int64]) -> NDArray[np.int64]:
    return count * (count - 1) // 2


def _search(weights: Weights, threshold: float, draws: int, seed: int, notes: list[str], act: str) -> _Searched:
    sums = weights.sums
    first, second = np.triu_indices(len(sums), 1)
    shared, opposed, expected, log_p = _discordance(_signs(sums, threshold), first, second)
    keep, doubt = shared > 0, ""
    counted: NDArray[np.float64] | None = None
    null, p = _BINOMIAL, np.exp(log_p)
    if weights.factors:
        if draws * len(first) > _CELLS:
            raise MotifError(
                f"{act}: {draws} draws of {len(first):,} pairs are more than {_CELLS:,} numbers.",
                hint="Take fewer units (down_units=), or fewer draws.",
            )
        pool = np.empty((draws, int(keep.sum())))
        for draw in range(draws):
            random = _signs_shuffled(weights.factors, np.random.default_rng([seed, draw]))
            pool[draw] = -_discordance(_signs(random, threshold), first, second)[3][keep]
        null = _FACTORS
        counted = pool.ravel()
        p[keep] = np.maximum(p[keep], p_pooled(-log_p[keep], counted))
    elif _is_deficient(sums):
        notes.append(
            f"not tested: low rank. {weights.name} has rank {_rank(sums)} of {min(sums.shape)}, where random layers "
            "have opposed pairs everywhere; give factors= to compare with layers of the same rank"
        )
        keep = np.zeros(len(first), dtype=bool)
    else:
        doubt = _rank_note(weights, _signs(sums, threshold), seed)
        notes += [doubt] if doubt else []
    most = int(shared[keep].max(initial=0))
    if keep.any() and 0.5**most * int(keep.sum()) > 0.05:
        notes.append(f"cannot tell: no two units of {weights.name} share more than {most} sources, too few to be sure")
    return _Searched(
        weights=weights,
        null=null,
        first=first[keep],
        second=second[keep],
        shared=shared[keep],
        opposed=opposed[keep],
        expected=expected[keep],
        p=p[keep],
        q=np.ones(int(keep.sum())),
        doubt=doubt,
        surprise=-log_p[keep],
        pool=counted,
    )


def _discordance(
    signs: NDArray[np.int8], first: NDArray[np.intp], second: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each pair, shared sources, opposed ones, the share expected, and the log of the binomial p."""
    positive, negative = (signs > 0).astype(np.float64), (signs < 0).astype(np.float64)
    edges = positive + negative
    crossed = positive @ negative.T
    shared = (edges @ edges.T)[first, second].astype(np.int64)
    opposed = (crossed + crossed.T)[first, second].astype(np.int64)
    degree = edges.sum(axis=1)
    exciting = positive.sum(axis=1) / np.where(degree > 0, degree, 1.0)
    expected = exciting[first] * (1 - exciting[second]) + (1 - exciting[first]) * exciting[second]
    log_p = np.asarray(binom.logsf(opposed - 1, shared, expected), dtype=np.float64)
    # sure to be opposed, and so no news
    log_p[(shared == 0) | (expected >= 1.0)] = 0.0
    return shared, opposed, expected, np.minimum(log_p, 0.0)


def _signs_shuffled(factors: Sequence[Factors], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (down, up) kernel sums of the chains; each target reads its bottleneck with its own signs elsewhere."""
    rows = []
    for chain in sorted(factors, key=lambda each: each.row_start):
        first, *rest = (factor.sum(axis=(2, 3), dtype=np.float64) for factor in chain.maps)
        product = np.abs(first) * rng.permuted(np.sign(first), axis=1)
        for sums in rest:
            product = product @ sums
        rows.append(product)
    return np.concatenate(rows)


def _rank(sums: NDArray[np.float64]) -> int:
    values = np.linalg.svd(sums, compute_uv=False)
    # weights are float32, so what lies below its rounding is nothing
    return int(np.count_nonzero(values > values[0] * 1e-5)) if values[0] > 0 else 0


def _is_deficient(sums: NDArray[np.float64]) -> bool:
    alive = sums[np.abs(sums).sum(axis=1) > 0][:, np.abs(sums).sum(axis=0) > 0]
    if alive.size == 0:
        return False
    # two equal units, or two exactly opposed ones, are no bottleneck
    least = min(alive.shape)
    return bool(least - _rank(alive) > max(1, least / 10))


def _effective_rank(signs: NDArray[np.float64]) -> float:
    """Return the participation ratio of the squared singular values, which strong weights would lower too."""
    gram = signs @ signs.T if signs.shape[0] <= signs.shape[1] else signs.T @ signs
    total = float(np.square(gram).sum())
    return float(np.trace(gram)) ** 2 / total if total else 0.0


def _rank_note(weights: Weights, signs: NDArray[np.int8], seed: int) -> str:
    real = signs.astype(np.float64)
    shuffled = [
        _effective_rank(np.random.default_rng([seed, 3, draw]).permutation(real.ravel()).reshape(real.shape))
        for draw in range(5)
    ]
    own, expected = _effective_rank(real), float(np.mean(shuffled))
    if own >= _RANK_WARNING * expected:
        return ""
    return (
        f"the effective rank of {weights.name} is {own:.1f} where {expected:.1f} is usual: if its units share a "
        "bottleneck, opposed pairs follow from that alone; give factors= to tell"
    )


def _explainer(searched: Sequence[_Searched], level: float) -> Callable[..., str]:
    def why_not(*units: Unit) -> str:
        if len(units) != 2:
            raise MotifError(f"opposed: {len(units)} units are given, 2 are wanted.", hint="Give two downstream units.")
        for number, each in enumerate(searched):
            try:
                one, other = sorted(each.weights.down_place(unit) for unit in units)
            except UnknownUnitError:
                if number == len(searched) - 1:
                    raise
                continue
            at = np.flatnonzero((each.first == one) & (each.second == other))
            if len(at) == 0:
                return f"{units[0]} and {units[1]} were not tested: they share no source, or the rank is too low."
            match = each.match(int(at[0]))
            return (
                f"{match.opposed_count} of {match.shared_count} shared sources are opposed, share {match.score:.2f} "
                f"where {match.expected_share:.2f} is expected; p {match.p:.3g}, q {match.q:.3g} "
                f"(q <= {level:g} is wanted)."
            )
        return "nothing was searched."

    return why_not
