"""Any small signed pattern: its exact count, how surprising that is, and where it lies.

A **pattern** is up to six roles and the edges between them (`queries.pattern_text` has the language)::

    find_pattern(bundle, "aL -> bL, aR -> bR, aL -| bR, aR -| bL, bL -> u, bR -> u", where="u in net/mixed4a")

**Edges** are the strong edges of a bundle: of each layer pair the strongest 2% by absolute kernel sum excite or
inhibit, the strongest 2% by l2 whose sum nearly cancels mix. It is the same graph that the store holds, and the Cypher
of a pattern (`PatternCount.cypher`) gives the same subgraphs, ties included. Roles of a bundle lie in layers with
weights between them, in every way in which the pattern fits; `layers` and `where` say which.

**Counts** are exact: embeddings, and distinct subgraphs (embeddings divided by the pattern's automorphisms); see
`queries.pattern_counts`. **Matches** are subgraphs, each once, the strongest first. **Score** of a match: its weakest
edge, as absolute sum divided by the layer pair's cut (l2 for an edge that only mixes), 1 and more.

**Null** D, ``curveball``: every unit keeps its edges of each kind. Where factors of bottlenecks are known also F,
``factors``, and the larger p counts (`queries.pattern_nulls`). p is for as many subgraphs or more in the whole
network; q is over all patterns asked in one call. Both are of the pattern's count and not of any one match: one planted
subgraph in a large layer is not seen in a total. Where a layer pair is of lower rank than its shape and its factors are
not known, D raises false alarms, and the verdict is "cannot tell".

Complexity: a count is a few products of sparse matrices; the search is ``draws`` of those and of the nulls. Memory
grows with strong edges and the largest product; F holds the kernels of one layer pair.

Source: Milo et al., "Network Motifs: Simple Building Blocks of Complex Networks", Science 2002, for counting against
random networks of the same degrees; the circuits of "Zoom In" (Distill 2020) for what is asked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from circuitgraph.bundle.format import STRONG_SHARE
from circuitgraph.errors import BundleError, MotifError, UnknownLayerError
from circuitgraph.progress import SILENT, Progress, Task
from queries.base import NullModel, Unit, Verdict
from queries.null_scores import Chance, NullScores
from queries.pattern_counts import count_embeddings
from queries.pattern_cypher import pattern_cypher
from queries.pattern_edges import Pair, PatternGraph, Test, read_graph
from queries.pattern_listing import Subgraph, strongest, why_not
from queries.pattern_nulls import CURVEBALL, FACTORS, Matrices, PairNull, Rank, matrices_of, rank_of
from queries.pattern_result import PatternCount, PatternMatch, PatternResult
from queries.pattern_roles import Families, FamilySource, Layers, Placing, find_layer, place_pattern, restrict_layers
from queries.pattern_text import Pattern, parse_pattern
from queries.significance import check_draws, p_of_best, q_values

__all__ = ["NULLS", "PatternCount", "PatternMatch", "PatternResult", "find_pattern", "write_cypher"]

NULLS = (CURVEBALL, FACTORS)
_ACT = "finding a pattern"
_LOW_RANK = 0.5
_PLAIN: tuple[Test, ...] = (("excites", ()), ("inhibits", ()))


def find_pattern(
    source: Any,
    text: str | Sequence[str],
    *,
    where: str | Sequence[str] | None = None,
    families: FamilySource | None = None,
    layers: Mapping[str, str] | Sequence[str] | None = None,
    strong_share: float | None = None,
    q: float = 0.05,
    draws: int = 99,
    seed: int = 0,
    limit: int = 100,
    progress: Progress = SILENT,
) -> PatternResult:
    """Count a pattern of strong edges, compare the count with random networks, and list the strongest matches.

    Parameters
    ----------
    source
        A `Bundle`; an array (down, up, row, col) or (down, up), or a list of them for consecutive layers, called 0, 1,
        ...; a scipy sparse matrix (unit, unit) of signed edges from column to row; or a networkx `DiGraph`.
    text
        The pattern, or several: the false discovery rate is over all of them.
    where
        Conditions on edges and units, joined by ``and``, or a list; they hold for each of the patterns.
    families
        Names to units, or `Family` records, for ``in family``; beside those that came with the bundle.
    layers
        Role to layer; or the layers to look in.
    strong_share
        For arrays: the share of each layer pair's edges that is strong; 0.02 where None.
    draws
        Random networks of each null; 0 counts without any.
    limit
        Most matches to list for each pattern.

    Raises
    ------
    PatternError
        A text cannot be read; the message shows the place.
    MotifError
        The source, or an option, makes no sense; `draws` cannot reach `q`.
    UnknownLayerError, UnknownUnitError
        A condition names what is not there.

    Examples
    --------
    >>> import networkx as nx
    >>> graph = nx.DiGraph([("x", "y"), ("y", "z"), ("x", "z")])
    >>> result = find_pattern(graph, "a -> b -> c, a -> c", draws=0)
    >>> result.counts[0].subgraphs, dict(result.matches[0].units)
    (1, {'a': 'x', 'b': 'y', 'c': 'z'})
    """
    started = time.perf_counter()
    if draws:
        check_draws(draws, q, act=_ACT)
    if limit < 0:
        raise MotifError(f"{_ACT}: the limit is {limit}.", hint="Give 0 or more.")
    graph, placings, only = _place(source, text, where, families, layers, strong_share)
    searches = [_Search(placing) for placing in placings]
    with progress.task("counting patterns", total=len(searches), unit="pattern") as task:
        for search in searches:
            search.count()
            task.advance()
    if draws:
        share = STRONG_SHARE if strong_share is None else strong_share
        with progress.task("counting in random networks", total=draws, unit="draw") as task:
            _draw_nulls(graph, searches, draws, seed, share, task)
    _judge(graph, searches, q, draws, seed)
    counts, matches = [], []
    for search in searches:
        found = strongest(search.placing, search.subgraphs, limit)
        counts.append(search.result(len(found), only))
        matches += [search.match(each, counts[-1]) for each in found]
    used = {null.name: null for search in searches for null in search.nulls}
    return PatternResult(
        motif="pattern",
        matches=tuple(matches),
        tested_count=len(searches),
        tested="pattern" if len(searches) == 1 else "patterns",
        nulls=tuple(used.values()),
        draws=draws,
        seed=seed,
        level=q,
        source=graph.source,
        notes=(*graph.notes, *_notes(searches, counts, draws, q)),
        cypher=counts[0].cypher,
        parameters=counts[0].parameters,
        seconds=time.perf_counter() - started,
        network=graph.network,
        weights_sha256=graph.bundle.info.weights_sha256 if graph.bundle is not None else "",
        explain_not=lambda *units: why_not(placings, units),
        counts=tuple(counts),
    )


def write_cypher(
    source: Any,
    text: str,
    *,
    where: str | Sequence[str] | None = None,
    families: FamilySource | None = None,
    layers: Mapping[str, str] | Sequence[str] | None = None,
    **_: Any,
) -> tuple[str, dict[str, Any]]:
    """Write a pattern as Cypher for the store that holds a bundle, without searching; options as `find_pattern`.

    Raises
    ------
    MotifError
        The source is no bundle: a store holds nothing else.
    """
    graph, placings, only = _place(source, text, where, families, layers, None)
    if graph.bundle is None:
        raise MotifError("writing a pattern as Cypher: the source is no Bundle.", hint="Give what the store holds.")
    return pattern_cypher(placings[0], only=only)


def _place(
    source: Any,
    text: str | Sequence[str],
    where: str | Sequence[str] | None,
    families: FamilySource | None,
    layers: Mapping[str, str] | Sequence[str] | None,
    strong_share: float | None,
) -> tuple[PatternGraph, list[Placing], tuple[int, ...] | None]:
    texts = [text] if isinstance(text, str) else list(text)
    if not texts:
        raise MotifError(f"{_ACT}: no pattern is given.", hint='Give one, as in "a -> b, a -| c".')
    patterns = [parse_pattern(each, where=where) for each in texts]
    graph = read_graph(source, strong_share=strong_share, act=_ACT)
    by_role = layers if isinstance(layers, Mapping) else None
    only = None
    if layers is not None and by_role is None:
        named = [layers] if isinstance(layers, str) else list(layers)
        only = tuple(sorted({find_layer(graph, str(name)) for name in named}))
    if by_role is not None:
        _check_roles(patterns, by_role)
        patterns = [restrict_layers(pattern, by_role) for pattern in patterns]
    known = Families.read(families, graph)
    return graph, [place_pattern(pattern, graph, known, only=only) for pattern in patterns], only


def _check_roles(patterns: Sequence[Pattern], layers: Mapping[str, str]) -> None:
    roles = list(dict.fromkeys(role for pattern in patterns for role in pattern.roles))
    for role in layers:
        if role not in roles:
            raise UnknownLayerError(
                f"{_ACT}: layers names the role {role!r}, the pattern has {', '.join(roles)}.",
                hint="Give layers={role: layer}, or a list of layers to look in.",
            )


@dataclass(eq=False)
class _Search:
    """One pattern under way; counts are of subgraphs, samples one number a draw."""

    placing: Placing
    embeddings: int = 0
    by_layers: dict[Layers, int] = field(default_factory=dict)
    samples: dict[str, list[int]] = field(default_factory=dict)
    layer_samples: dict[Layers, list[int]] = field(default_factory=dict)
    nulls: tuple[NullModel, ...] = ()
    notes: list[str] = field(default_factory=list)
    q: float | None = None
    verdict: Verdict = "ranking"

    @property
    def subgraphs(self) -> int:
        return self.embeddings // len(self.placing.automorphisms)

    def count(self) -> None:
        made: dict[Pair, Matrices] = {}
        for pair in self.placing.pairs:
            made[pair] = matrices_of(self.placing.graph.pairs[pair], self.placing.tests)
        self.by_layers = self.count_in(made)
        self.embeddings = sum(self.by_layers.values())

    def count_in(self, matrices: Mapping[Pair, Matrices]) -> dict[Layers, int]:
        def matrix(pair: Pair, test: Test) -> Any:
            return matrices[pair][test]

        return {at: count_embeddings(self.placing.placed(at, matrix)) for at in self.placing.layers}

    def numbers(self, null: str) -> dict[str, float | None]:
        """Compare the count with one null."""
        drawn = np.array(self.samples[null], dtype=np.float64)
        spread = float(drawn.std())
        return {
            "z": (self.subgraphs - float(drawn.mean())) / spread if spread > 0 else None,
            "p": p_of_best(self.subgraphs, drawn),
            "median": float(np.median(drawn)),
            "mean": float(drawn.mean()),
            "sd": spread,
        }

    def chance(self, null: str) -> Chance | None:
        """Return how the count compares with that of one null's networks."""
        if null not in self.samples:
            return None
        drawn = np.array(self.samples[null], dtype=np.float64)
        return Chance.counted(NullScores.of(drawn, null=null, statistic="subgraphs"), self.subgraphs, drawn)

    def worst(self) -> tuple[str, dict[str, float | None]]:
        """Return the null with the largest p, of equal ones that with the smallest z."""
        each = {name: self.numbers(name) for name in self.samples}
        name = min(each, key=lambda null: (-(each[null]["p"] or 0), each[null]["z"] or 0.0))
        return name, each[name]

    def result(self, listed: int, only: tuple[int, ...] | None) -> PatternCount:
        placing = self.placing
        null, numbers = self.worst() if self.samples else ("", {})
        cypher, parameters = pattern_cypher(placing, only=only) if placing.graph.bundle is not None else ("", {})
        median = numbers.get("median")
        return PatternCount(
            pattern=placing.pattern.text,
            where=tuple(f"({edge}).{condition}" for edge in placing.pattern.edges for condition in edge.conditions)
            + tuple(map(str, placing.pattern.units)),
            embeddings=self.embeddings,
            subgraphs=self.subgraphs,
            automorphisms=len(placing.automorphisms),
            listed=listed,
            null=null,
            null_median=median,
            null_mean=numbers.get("mean"),
            null_sd=numbers.get("sd"),
            z=numbers.get("z"),
            effect=None if median is None else self.subgraphs - median,
            p=numbers.get("p"),
            q=self.q,
            verdict=self.verdict,
            by_null={name: self.numbers(name) for name in self.samples},
            by_layers=tuple(self._layer_rows()),
            cypher=cypher,
            parameters=parameters,
            notes=tuple(self.notes),
        )

    def _layer_rows(self) -> list[dict[str, Any]]:
        rows = []
        for at, count in self.by_layers.items():
            if count:
                layers = {
                    role: self.placing.graph.layers[layer]
                    for role, layer in zip(self.placing.pattern.roles, at, strict=True)
                }
                drawn = self.layer_samples.get(at)
                expected = float(np.median(drawn)) if drawn else None
                rows.append({**layers, "embeddings": count, "expected": expected})
        return rows

    def match(self, found: Subgraph, count: PatternCount) -> PatternMatch:
        strength, at, row = found
        graph, pattern = self.placing.graph, self.placing.pattern
        units: dict[str, Unit] = {
            role: graph.unit(layer, place) for role, layer, place in zip(pattern.roles, at, row, strict=True)
        }
        number = {role: place for place, role in enumerate(pattern.roles)}
        edges = []
        for edge in pattern.edges:
            up, down = number[edge.up], number[edge.down]
            own = graph.pairs[at[up], at[down]]
            place = own.find(row[up], row[down])
            if place is not None:
                numbers = {"sum": float(own.scalars["sum"][place]), "strength": float(own.strength[place])}
                edges.append({"up": units[edge.up], "down": units[edge.down], "kind": edge.kind, **numbers})
        return PatternMatch(
            motif="pattern",
            units=units,
            score=strength,
            effect=count.effect,
            p=count.p,
            q=count.q,
            null=count.null,
            verdict=count.verdict,
            pattern=pattern.text,
            layers={role: graph.layers[layer] for role, layer in zip(pattern.roles, at, strict=True)},
            edges=tuple(edges),
            chance=self.chance(count.null),
        )


def _draw_nulls(
    graph: PatternGraph, searches: Sequence[_Search], draws: int, seed: int, share: float, task: Task
) -> None:
    """Draw every layer pair once for each draw and null; count all patterns that occur at all in it."""
    for search in searches:
        # a pattern that does not occur cannot be in excess
        search.nulls = (CURVEBALL,)
    counted = [search for search in searches if search.embeddings]
    nulls: dict[tuple[Pair, tuple[Test, ...]], PairNull] = {}
    weights = {pair: _weights(graph, pair) for pair in sorted({p for s in counted for p in s.placing.pairs})}
    for search in counted:
        tests = _tests(search)
        for pair in search.placing.pairs:
            if (pair, tests) not in nulls:
                nulls[pair, tests] = PairNull(graph.pairs[pair], tests, weights[pair], graph.is_layered, share)
        own = [nulls[pair, tests] for pair in search.placing.pairs]
        if any(null.can_draw_factors for null in own):
            search.nulls = (CURVEBALL, FACTORS)
        search.notes += dict.fromkeys(
            f"null F is left out: {null.why_no_factors}" for null in own if null.why_no_factors
        )
        search.samples = {null.name: [] for null in search.nulls}
        search.layer_samples = {at: [] for at in search.placing.layers}
    number = {pair: place for place, pair in enumerate(weights)}
    for draw in range(draws):
        for null in NULLS:
            made: dict[tuple[Pair, tuple[Test, ...]], Matrices] = {}
            for search in counted:
                if null not in search.nulls:
                    continue
                tests, matrices = _tests(search), {}
                for pair in search.placing.pairs:
                    own_null = nulls[pair, tests]
                    if (pair, tests) not in made:
                        rng = np.random.default_rng([seed, draw, number[pair], NULLS.index(null)])
                        from_factors = null is FACTORS and own_null.can_draw_factors
                        made[pair, tests] = own_null.draw_factors(rng) if from_factors else own_null.draw_edges(rng)
                    matrices[pair] = made[pair, tests]
                by_layers = search.count_in(matrices)
                search.samples[null.name].append(sum(by_layers.values()) // len(search.placing.automorphisms))
                if null is CURVEBALL:
                    for at, count in by_layers.items():
                        search.layer_samples[at].append(count)
        task.advance()
    for search in searches:
        if not search.embeddings:
            search.samples = {CURVEBALL.name: [0] * draws}


def _tests(search: _Search) -> tuple[Test, ...]:
    """Return what the null must tell apart; patterns of plain signs share their random networks."""
    return _PLAIN if set(search.placing.tests) <= set(_PLAIN) else search.placing.tests


def _weights(graph: PatternGraph, pair: Pair) -> Any:
    try:
        return graph.pair_weights(pair)
    except BundleError:
        # blocks that slide differently are in no one array; their edges can be dealt all the same
        return None


def _judge(graph: PatternGraph, searches: Sequence[_Search], level: float, draws: int, seed: int) -> None:
    if not draws:
        return
    q = q_values(np.array([search.worst()[1]["p"] for search in searches], dtype=np.float64))
    ranks: dict[Pair, Rank | None] = {}
    for search, value in zip(searches, q, strict=True):
        search.q = float(value)
        search.verdict = "found" if search.q <= level else "not significant"
        if search.embeddings and all(set(drawn) == {search.subgraphs} for drawn in search.samples.values()):
            search.verdict = "cannot tell"
            search.notes.append("the count follows from the degrees of the units alone; no draw can differ")
        if search.verdict != "found" or FACTORS in search.nulls:
            continue
        low, odd = [], []
        for pair in search.placing.pairs:
            if pair not in ranks:
                ranks[pair] = rank_of(graph, pair, seed=seed)
            rank, name = ranks[pair], f"{graph.layers[pair[0]]} -> {graph.layers[pair[1]]}"
            if rank is not None and rank.rank < rank.full:
                low.append(f"{name} ({rank.rank} of {rank.full})")
            elif rank is not None and rank.effective < _LOW_RANK * rank.usual:
                odd.append(f"{name} ({rank.effective:.1f} where {rank.usual:.1f} is usual)")
        if low:
            search.verdict = "cannot tell"
            search.notes.append(
                f"rank is low in {', '.join(low)} and the factors are not known: curveball raises false alarms there"
            )
        if odd:
            search.notes.append(
                f"the effective rank is low in {', '.join(odd)}: where a bottleneck is why, this is a false alarm"
            )


def _notes(searches: Sequence[_Search], counts: Sequence[PatternCount], draws: int, level: float) -> list[str]:
    notes = [f"{search.placing.pattern.text}: {note}" for search in searches for note in search.notes]
    for search in searches:
        if not search.placing.layers:
            notes.append(f"{search.placing.pattern.text}: no layers with weights between them fit it")
    if draws and len(searches) / (draws + 1) > level:
        notes.append(
            f"cannot tell for a single pattern: with {draws} draws one of {len(searches)} patterns reaches "
            f"q {len(searches) / (draws + 1):.2g} at best; give more draws"
        )
    cut = [count for count in counts if count.listed < count.subgraphs]
    notes += [f"{count.pattern}: showing {count.listed:,} of {count.subgraphs:,}" for count in cut]
    return notes
