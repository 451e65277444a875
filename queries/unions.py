"""Unioning over cases: two cases that inhibit each other, each with its own source, and one unit that both excite.

**Pattern**: aL -> bL, aR -> bR, aL -| bR, aR -| bL, bL -> u, bR -> u, for sources aL, aR upstream, cases bL, bR in the
middle and u downstream; as the left and the right dog heads of "Zoom In". Left and right are a convention: bL is
the one that stands first in its layer.

**Score** of a pair (bL, bR): the weakest of the six edges in the best quintuple that the pair has, in root mean squares
of balanced kernel sums (`queries.sum_nulls`). Given the pair, the best aL, aR and u do not depend on each other,

    score(bL, bR) = min( max_a min(z1[bL, a], -z1[bR, a]),
                         max_a min(z1[bR, a], -z1[bL, a]),
                         max_u min(z2[u, bL], z2[u, bR]) )

so that two max-min products are the exact optimum over all quintuples. Each of aL, aR and u is the best of its
own; of equals the first in its layer. Any real number; 0 or less means that some edge has the wrong sign. Of pairs of
random normal weights with 64 units a layer hardly one reaches 2.5.

**p** is of the pair's score among all pairs' scores in null networks by the same search, **q** after Benjamini and
Hochberg over all pairs of all layer triples of the one search. The largest p over the nulls counts: ``permuted_sums``,
``random_vectors`` and, where bottleneck factors are known, ``permuted_factors``; each fools itself where the others do
not. Pairs share units, so the rate holds under positive dependence; measured on random networks.

**Mirror test**: the cosine between the mirrored kernel bL -> u and the kernel bR -> u, both without their D4-invariant
part. It takes no part in score or p: it is a second, independent look.

Complexity: O(n^2 (a + u)) for n middle units, 0.2 s at 480/480/512; each null network costs about a third of that.
Memory: a few n x n arrays, and the kernels.

Source: Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020; the score and its nulls are ours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import BundleError, MotifError, ShapeError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.turns import informative, norm_shares, turn
from queries.base import Match, MotifResult, Unit
from queries.significance import check_draws, q_values
from queries.sum_compare import Compared, NullSearch, search_all
from queries.sum_nulls import NULLS, Floats, SumMatrix, maxmin_pairs, maxmin_pairs_above, read_sums
from queries.union_edges import unions_cypher
from queries.weights import Weights, read_weights

__all__ = ["NULLS", "UnionMatch", "UnionResult", "find_unions", "layer_triples", "read_triples"]

Triple = tuple[Weights, Weights]
_ROLES = ("aL", "aR", "bL", "bR", "u")
_EDGES = ("aL -> bL", "aR -> bR", "aL -| bR", "aR -| bL", "bL -> u", "bR -> u")
_FEW_UNITS = 16
_BADLY_BALANCED = 0.01
_MIRROR_SAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class UnionMatch(Match):
    """Two cases and the unit that unites them.

    Attributes
    ----------
    sums
        Each of the six edges to its kernel sum, in raw units.
    strengths
        The same balanced, the inhibiting ones with their sign turned: the least is the score.
    p_by_null
        Name of each null to p.
    mirror
        Cosine of the mirrored kernel bL -> u with the kernel bR -> u, -1 to 1; None where kernels have no orientation.
    mirror_random
        The 95% quantile of the same over random pairs of kernels into one unit of that layer.
    """

    sums: Mapping[str, float]
    strengths: Mapping[str, float]
    p_by_null: Mapping[str, float]
    mirror: float | None = None
    mirror_random: float | None = None

    def row(self) -> dict[str, Any]:
        """Return the match as one row of a table."""
        return {**super().row(), "mirror": self.mirror, "mirror_random": self.mirror_random}


@dataclass(eq=False)
class _Search:
    """One layer triple."""

    above: Weights
    below: Weights
    first: SumMatrix
    second: SumMatrix
    scores: NDArray[np.float32] = field(init=False)
    compared: Compared = field(init=False)
    at: NDArray[np.intp] = field(init=False)
    p: dict[str, Floats] = field(init=False)
    p_worst: Floats = field(init=False)
    mirror_random: float | None = field(init=False)
    q: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.scores = maxmin_pairs(self.first.z, self.second.z)

    def scores_above(self, floor: float) -> NDArray[np.float32]:
        return self.scores[self.scores >= np.float32(floor)]

    def judge(self, compared: Compared, seed: int) -> None:
        """Take what null networks gave: p of all pairs above the floor."""
        self.compared = compared
        self.at = np.flatnonzero(self.scores >= np.float32(compared.floor))
        self.p = compared.p(self.scores[self.at])
        self.p_worst = np.max(list(self.p.values()), axis=0)
        self.mirror_random = _random_mirror(self.below.kernels, seed)

    @property
    def middle(self) -> int:
        return len(self.first.z)

    def number(self, x: int, y: int) -> int:
        """Return the place of a pair x < y among all pairs."""
        return x * self.middle - x * (x + 1) // 2 + y - x - 1

    def pair(self, number: int) -> tuple[int, int]:
        """Return the pair x < y at a place among all pairs; the inverse of `number`."""
        starts = np.cumsum([0, *range(self.middle - 1, 0, -1)])
        x = int(np.searchsorted(starts, number, side="right")) - 1
        return x, int(number - starts[x]) + x + 1

    def places(self, x: int, y: int) -> tuple[dict[str, int], list[str]]:
        """Return the best places for a pair, and which of them others tie with."""
        z1, z2 = self.first.z, self.second.z
        values = {"aL": np.minimum(z1[x], -z1[y]), "aR": np.minimum(z1[y], -z1[x])}
        values["u"] = np.minimum(z2[:, x], z2[:, y])
        best = {role: int(np.argmax(each)) for role, each in values.items()}
        ties = [
            f"{role}: {count - 1} more as good, the first was taken"
            for role, each in values.items()
            if (count := int(np.count_nonzero(each == each.max()))) > 1
        ]
        return {"aL": best["aL"], "aR": best["aR"], "bL": x, "bR": y, "u": best["u"]}, ties

    def edges(self, at: Mapping[str, int]) -> tuple[Floats, Floats]:
        """Return the six raw sums, and the six strengths."""
        places = [(at["bL"], at["aL"]), (at["bR"], at["aR"]), (at["bR"], at["aL"]), (at["bL"], at["aR"])]
        lower = [(at["u"], at["bL"]), (at["u"], at["bR"])]
        raw = [self.first.sums[each] for each in places] + [self.second.sums[each] for each in lower]
        z = [self.first.z[each] for each in places] + [self.second.z[each] for each in lower]
        return np.array(raw), np.array(z) * [1, 1, -1, -1, 1, 1]

    def units(self, at: Mapping[str, int]) -> dict[str, Unit]:
        names = {"a": self.above.up_units, "b": self.above.down_units, "u": self.below.down_units}
        return {role: names[role[0]][at[role]] for role in _ROLES}

    def match(self, x: int, y: int, level: float) -> UnionMatch:
        places, notes = self.places(x, y)
        raw, strengths = self.edges(places)
        score = float(strengths.min())
        number = self.number(x, y)
        listed = int(np.searchsorted(self.at, number))
        is_listed = listed < len(self.at) and self.at[listed] == number
        p_by_null = {name: float(each[listed]) if is_listed else 1.0 for name, each in self.p.items()}
        null = max(p_by_null, key=lambda name: p_by_null[name])
        q = float(self.q[listed]) if is_listed else 1.0
        if not is_listed:
            notes.append(f"its score is below {self.compared.floor:.3g}, where p is above {level:g} and not told apart")
        kernels = np.asarray(self.below.kernels[places["u"], [x, y]], dtype=np.float64)
        return UnionMatch(
            motif="unions",
            units=self.units(places),
            score=score,
            effect=score - self.compared.medians[null],
            p=p_by_null[null],
            q=q,
            null=null,
            verdict="found" if q <= level else "not significant",
            shares=norm_shares(kernels),
            notes=tuple(notes),
            sums=dict(zip(_EDGES, raw.tolist(), strict=True)),
            strengths=dict(zip(_EDGES, strengths.tolist(), strict=True)),
            p_by_null=p_by_null,
            chance=self.compared.chance(float(self.scores[number]), null) if is_listed else None,
            mirror=_mirror(kernels[0], kernels[1]),
            mirror_random=self.mirror_random,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class UnionResult(MotifResult[UnionMatch]):
    """What one search for unions found; `best` and `scores` also answer for pairs that were not."""

    searches: tuple[_Search, ...] = field(default=(), repr=False)

    @property
    def scores(self) -> Floats:
        """(middle, middle) scores of all pairs, symmetric, NaN on the diagonal, to float32's precision.

        Raises
        ------
        MotifError
            Several layer triples were searched.
        """
        if len(self.searches) != 1:
            raise MotifError(
                f"unions: {len(self.searches)} layer triples were searched, scores are of one.",
                hint="Name up, middle and down.",
            )
        count = self.searches[0].middle
        scores = np.full((count, count), np.nan)
        first, second = np.triu_indices(count, 1)
        scores[first, second] = scores[second, first] = self.searches[0].scores
        return scores

    def best(self, one: Unit, other: Unit) -> UnionMatch:
        """Return the best quintuple of any two middle units, found or not; p is 1 where it was not told apart.

        Raises
        ------
        UnknownUnitError
            A unit is not in the middle layer.
        MotifError
            Both are the same.
        """
        search, x, y = self._locate(one, other)
        return search.match(x, y, self.level)

    def _locate(self, one: Unit, other: Unit) -> tuple[_Search, int, int]:
        search = _search_of(self.searches, one)
        x, y = search.above.down_place(one), search.above.down_place(other)
        if x == y:
            raise MotifError(f"unions: {one} and {other} are one unit, two are wanted.")
        return search, min(x, y), max(x, y)


def find_unions(
    source: Any,
    middle_or_W2: Any = None,
    *,
    up: str | None = None,
    middle: str | None = None,
    down: str | None = None,
    factors: Sequence[Sequence[NDArray[Any]] | None] | None = None,
    up_units: Sequence[Unit] | None = None,
    middle_units: Sequence[Unit] | None = None,
    down_units: Sequence[Unit] | None = None,
    q: float = 0.05,
    draws: int = 40,
    seed: int = 0,
    progress: Progress = SILENT,
) -> UnionResult:
    """Find pairs of units that are two cases of one thing, with the unit that unites them.

    Parameters
    ----------
    source, middle_or_W2
        A `Bundle`; or two arrays, (middle, up, row, col) and (down, middle, row, col), or without windows.
    up, middle, down
        Three layers of the bundle. All adjacent triples that fit where not all are named.
    factors
        For arrays: for each of the two None, or the maps whose product gives its kernel sums, downstream first.
    up_units, middle_units, down_units
        Only these.
    q
        Level of the false discovery rate up to which a pair counts as found.
    draws
        Networks of each null.

    Returns
    -------
    The pairs found at `q`, surest first. ``.best(bL, bR)`` gives any pair's best quintuple, ``.scores`` all scores,
    ``.why_not`` takes two middle units or aL, aR, bL, bR, u.

    Raises
    ------
    MotifError
        Fewer draws than 2 / q; no such layers; an array is missing.
    ShapeError
        The arrays do not follow each other, or their factors do not fit.
    NonFiniteError, UnknownLayerError, UnknownPairError, UnknownUnitError
        As `read_weights` raises them.

    Examples
    --------
    >>> from circuitgraph.testing.planted import background_chain, plant_union
    >>> chain = background_chain("iid", (32, 32, 32), window=(1, 1))
    >>> one, two, planted = plant_union(*chain.kernels, 6.0)
    >>> {role: planted.units[role] for role in "bL bR u".split()}
    {'bL': 9, 'bR': 8, 'u': 2}
    >>> [(match.units["bL"], match.units["bR"], match.units["u"]) for match in find_unions(one, two)]
    [(8, 9, 2)]
    """
    started = time.perf_counter()
    act = "finding unions"
    check_draws(draws, q, act=act)
    notes: list[str] = []
    triples = read_triples(
        source,
        middle_or_W2,
        up=up,
        middle=middle,
        down=down,
        factors=factors,
        units=(up_units, middle_units, down_units),
        notes=notes,
        act=act,
    )
    searches = [_Search(*triple, *map(read_sums, triple)) for triple in triples]
    names = [_named(search) for search in searches]
    nulls_of = [
        (
            NullSearch(
                (search.first, search.second),
                len(search.scores),
                lambda z, floor: maxmin_pairs_above(z[0], z[1], floor)[2],
                lambda z, _: maxmin_pairs(z[0], z[1]),
                level=q,
                seed=seed,
            ),
            search.scores_above,
        )
        for search in searches
    ]
    compared, further = search_all(nulls_of, draws=draws, level=q, progress=progress, act=act, names=names)
    for search, null in zip(searches, compared, strict=True):
        search.judge(null, seed)
        notes += _notes_on(search)
    notes += further
    tested = sum(len(search.scores) for search in searches)
    values = q_values(np.concatenate([search.p_worst for search in searches]), tested)
    matches: list[UnionMatch] = []
    start = 0
    for search in searches:
        search.q = values[start : start + len(search.at)]
        start += len(search.at)
        matches += [search.match(*search.pair(int(search.at[k])), q) for k in np.flatnonzero(search.q <= q)]
    nulls = {null.name: null for search in searches for null in search.compared.nulls}
    cypher = ""
    parameters: Mapping[str, Any] = {}
    if isinstance(source, Bundle):
        cypher, parameters = unions_cypher(source, up=up, middle=middle, down=down)
    return UnionResult(
        motif="unions",
        matches=tuple(sorted(matches, key=lambda match: (match.p or 0.0, -match.score, match.id))),
        tested_count=tested,
        tested="pairs of middle units",
        nulls=tuple(nulls.values()),
        draws=draws,
        seed=seed,
        level=q,
        source=_named(searches[0]) if len(searches) == 1 else f"{len(searches)} layer triples",
        notes=tuple(dict.fromkeys(notes)),
        cypher=cypher,
        parameters=parameters,
        seconds=time.perf_counter() - started,
        network=searches[0].above.network,
        weights_sha256=searches[0].above.weights_sha256,
        explain_not=_explainer(tuple(searches), q, tested),
        searches=tuple(searches),
    )


def read_triples(
    source: Any,
    below: Any,
    *,
    up: str | None,
    middle: str | None,
    down: str | None,
    factors: Sequence[Sequence[NDArray[Any]] | None] | None,
    units: tuple[Sequence[Unit] | None, Sequence[Unit] | None, Sequence[Unit] | None],
    notes: list[str],
    act: str,
) -> list[Triple]:
    """Return the weights of two layer pairs in a row, or of all such of a bundle; see `find_unions`."""
    ups, middles, downs = units
    if not isinstance(source, Bundle):
        if below is None:
            raise MotifError(
                f"{act}: one array is given, two are wanted.",
                hint="Give W1 (middle, up, row, col) and W2 (down, middle, row, col), or a Bundle.",
            )
        maps = tuple(factors) if factors is not None else (None, None)
        if len(maps) != 2:
            raise ShapeError(f"{act}: factors of {len(maps)} arrays are given, of 2 are wanted; None where unknown.")
        one = read_weights(source, factors=tuple(maps[0] or ()), act=act)
        two = read_weights(below, factors=tuple(maps[1] or ()), act=act)
        if one.kernels.shape[0] != two.kernels.shape[1]:
            raise ShapeError(
                f"{act}: W1 leads to {one.kernels.shape[0]} middle units, W2 comes from {two.kernels.shape[1]}.",
                hint="W1 is (middle, up, row, col), W2 is (down, middle, row, col).",
            )
        return [
            (
                read_weights(one, up_units=ups, down_units=middles, act=act),
                read_weights(two, up_units=middles, down_units=downs, act=act),
            )
        ]
    if below is not None or factors is not None:
        raise MotifError(f"{act}: a bundle brings its own weights and factors.", hint="Name up=, middle= and down=.")
    is_named = None not in (up, middle, down)
    triples = []
    for layers in layer_triples(source, up, middle, down, act=act):
        try:
            one = read_weights(source, layers[0], layers[1], up_units=ups, down_units=middles, act=act)
            two = read_weights(source, layers[1], layers[2], up_units=middles, down_units=downs, act=act)
        except BundleError as error:
            if is_named:
                raise
            notes.append(f"left out: {' -> '.join(layers)}; {error.message}")
            continue
        triples.append((one, two))
    if not triples:
        raise MotifError(
            f"{act}: no triple of layers of {source.network} can be read.", hint=notes[-1] if notes else ""
        )
    return triples


def layer_triples(
    bundle: Bundle, up: str | None, middle: str | None, down: str | None, *, act: str = "finding unions"
) -> list[tuple[str, str, str]]:
    """Return all three layers in a row of a bundle that have the given names, or the three that are named."""
    wanted = [None if name is None else bundle.layer(name).uid for name in (up, middle, down)]
    if None not in wanted:
        return [(str(wanted[0]), str(wanted[1]), str(wanted[2]))]
    triples = [
        (above, between, below)
        for above, between in bundle.pairs
        for other, below in bundle.pairs
        if other == between
        and all(name in (None, uid) for name, uid in zip(wanted, (above, between, below), strict=True))
    ]
    if not triples:
        raise MotifError(
            f"{act}: {bundle.network} has no three layers in a row that fit.",
            hint="`bundle.pairs` lists which layers are joined.",
        )
    return triples


def _notes_on(search: _Search) -> list[str]:
    above, below, first, second = search.above, search.below, search.first, search.second
    notes = []
    for weights, matrix in ((above, first), (below, second)):
        if matrix.why_no_factors:
            notes.append(f"null permuted_factors is not available: {matrix.why_no_factors}")
        if matrix.defect > _BADLY_BALANCED:
            notes.append(
                f"{weights.name} has too many zeros to be balanced: a unit's mean square is off by {matrix.defect:.2g}"
            )
        dead = int(np.count_nonzero(~matrix.sums.any(axis=1)) + np.count_nonzero(~matrix.sums.any(axis=0)))
        if dead:
            notes.append(f"{dead} units of {weights.name} have no kernel sum but 0, and no score above 0")
    live = int(np.count_nonzero(first.sums.any(axis=1) & second.sums.any(axis=0)))
    if live <= _FEW_UNITS:
        notes.append(f"cannot tell: {above.down_layer or 'the middle layer'} has {live} live units, too few for power")
    return notes


def _mirror(left: Floats, right: Floats) -> float | None:
    one, other = turn(informative(left), "flip"), informative(right)
    return _cosine(one, other, float(np.linalg.norm(left)), float(np.linalg.norm(right)))


def _cosine(one: NDArray[Any], other: NDArray[Any], norm: float, other_norm: float) -> float | None:
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    # what remains of kernels without orientation is rounding
    if sizes[0] <= 1e-6 * norm or sizes[1] <= 1e-6 * other_norm:
        return None
    return float(np.sum(one * other) / (sizes[0] * sizes[1]))


def _random_mirror(kernels: NDArray[np.float32], seed: int) -> float | None:
    down, up = kernels.shape[:2]
    if up < 2 or kernels.shape[2] * kernels.shape[3] < 2:
        return None
    rng = np.random.default_rng([seed, len(NULLS)])
    unit, one = rng.integers(down, size=_MIRROR_SAMPLES), rng.integers(up, size=_MIRROR_SAMPLES)
    other = (one + rng.integers(1, up, size=_MIRROR_SAMPLES)) % up
    values = [
        value
        for u, x, y in zip(unit, one, other, strict=True)
        if (value := _mirror(kernels[u, x].astype(np.float64), kernels[u, y].astype(np.float64))) is not None
    ]
    return float(np.quantile(values, 0.95)) if len(values) >= _MIRROR_SAMPLES // 20 else None


def _named(search: _Search) -> str:
    if search.above.up_layer:
        return f"{search.above.name} -> {search.below.down_layer}"
    return f"arrays of {search.above.kernels.shape[1]} -> {search.middle} -> {search.below.kernels.shape[0]} units"


def _search_of(searches: Sequence[_Search], unit: Unit) -> _Search:
    """Return the search in whose middle layer a unit is, the first of several."""
    for search in searches:
        if unit in search.above.down_units:
            return search
    if len(searches) > 1:
        raise MotifError(
            f"unions: {unit!r} is not the uid of a unit in any of the {len(searches)} middle layers searched.",
            hint="Write it out: network/layer:channel.",
        )
    return searches[0]


def _explainer(searches: tuple[_Search, ...], level: float, tested: int) -> Any:
    def explain(*units: Unit) -> str:
        if len(units) not in (2, 5):
            raise MotifError(
                f"unions: {len(units)} units are given; two middle units, or aL, aR, bL, bR, u are wanted.",
                hint="r.why_not(bL, bR) or r.why_not(aL, aR, bL, bR, u).",
            )
        if len(units) == 2:
            search = _search_of(searches, units[0])
            x, y = search.above.down_place(units[0]), search.above.down_place(units[1])
            places = search.places(min(x, y), max(x, y))[0]
        else:
            search = _search_of(searches, units[2])
            sources = [search.above.up_place(unit) for unit in units[:2]]
            x, y = (search.above.down_place(unit) for unit in units[2:4])
            places = dict(zip(_ROLES, [*sources, x, y, search.below.down_place(units[4])], strict=True))
        if x == y:
            raise MotifError(f"unions: bL and bR are one unit, {units[-2]}; two are wanted.")
        return _conditions(search, places, level, tested)

    return explain


def _conditions(search: _Search, places: Mapping[str, int], level: float, tested: int) -> str:
    raw, strengths = search.edges(places)
    names = search.units(places)
    score = float(strengths.min())
    x, y = sorted((places["bL"], places["bR"]))
    best = search.match(x, y, level)
    # a further find is allowed the more the more there are already
    allowed = level * (1 + int(np.count_nonzero(search.q <= level)))
    needed = search.compared.score_needed(allowed, tested)
    lines = [", ".join(f"{role} = {names[role]}" for role in _ROLES)]
    for edge, sum_, strength in zip(_EDGES, raw, strengths, strict=True):
        verdict = "holds" if strength >= needed else "too weak" if strength > 0 else "wrong sign or none"
        lines.append(f"{edge}: kernel sum {sum_:.4g}, {strength:.3g} rms: {verdict}")
    lines.append(f"the weakest is {score:.3g} rms; q <= {level:g} needs about {needed:.3g} here")
    if best.score > score:
        better = ", ".join(f"{role} = {best.units[role]}" for role in _ROLES)
        lines.append(f"the pair's best is {best.score:.3g} rms with {better}")
    lines.append(f"of the pair's best: p = {best.p:.3g} ({best.null}), q = {best.q:.3g}: {best.verdict}")
    return "\n".join(lines)
