"""The search for superposition, one layer triple at a time; see `queries.superposition` for what it means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import BundleError, MotifError, ShapeError
from circuitgraph.progress import Progress
from circuitgraph.turns import norm_shares
from queries.base import Match, Unit, Verdict
from queries.labels import Labels, read_labels
from queries.null_scores import Chance, NullScores
from queries.significance import p_pooled, q_values
from queries.superposition_scores import BLOCKS, Parts, Wiring
from queries.unions import layer_triples
from queries.weights import Weights, read_weights

__all__ = [
    "ACT",
    "Search",
    "SuperpositionMatch",
    "draw_all",
    "label_searches",
    "notes_on",
    "read_pairs",
    "strongest",
]

ACT = "finding superposition"
_KEYS = ("up", "own", "down")
_COLUMNS = ("foreign", "spread", "n_eff", "family", "fed_by")
_FEW_UNITS = 16
_MOST_DRAWS = 20_000


@dataclass(frozen=True, kw_only=True)
class SuperpositionMatch(Match):
    """A pure unit and the clients of other families that it is spread over; or, of a ranking, a client and its groups.

    Attributes
    ----------
    pure, foreign, spread
        The three factors of the score, 0 to 1.
    n_eff
        Effective number of its foreign clients.
    family
        The unit's own, None where it has none.
    fed_by
        The family that feeds it.
    family_shares
        Each family's share of the unit's squared excitation.
    clients, sources
        The strongest foreign clients, and the strongest units of the family that feeds it, each as many as their
        effective number. Of a ranking: sources of both groups.
    groups
        Of a ranking: the two groups of sources.
    """

    pure: float | None = None
    foreign: float | None = None
    spread: float | None = None
    n_eff: float | None = None
    family: str | None = None
    fed_by: str | None = None
    family_shares: Mapping[str, float] = field(default_factory=dict)
    clients: tuple[Unit, ...] = ()
    sources: tuple[Unit, ...] = ()
    groups: tuple[tuple[Unit, ...], ...] = ()

    def bindings(self) -> list[tuple[str, int, Unit]]:
        """Return the unit, its clients and its sources."""
        return [
            *super().bindings(),
            *(("client", place, unit) for place, unit in enumerate(self.clients)),
            *(("source", place, unit) for place, unit in enumerate(self.sources)),
        ]

    def row(self) -> dict[str, Any]:
        """Return the match as one row of a table."""
        if self.groups:
            return {**super().row(), "sources": " | ".join(str(len(group)) for group in self.groups)}
        # "pure" is the column of the unit
        own = {"purity": self.pure} | {name: getattr(self, name) for name in _COLUMNS}
        return {**super().row(), **own}


@dataclass(eq=False)
class Search:
    """One layer triple."""

    into: Weights
    out_of: Weights
    labels: Labels
    wiring: Wiring
    number: int
    parts: Parts = field(init=False)
    is_tested: NDArray[np.bool_] = field(init=False)
    p: NDArray[np.float64] = field(init=False)
    q: NDArray[np.float64] = field(init=False)
    pool: NDArray[np.float64] = field(init=False)
    draws: int = 0
    _kept: NullScores | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.parts = self.wiring.parts()
        self.is_tested = ~self.wiring.is_void
        count = len(self.wiring.own)
        self.p, self.q, self.pool = np.ones(count), np.ones(count), np.zeros(0)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that are searched."""
        return self.into.down_units

    @property
    def name(self) -> str:
        """What is searched, for a sentence."""
        if self.into.up_layer:
            return f"{self.into.name} -> {self.out_of.down_layer}"
        return f"arrays of {len(self.into.up_units)} -> {len(self.units)} -> {len(self.out_of.down_units)} units"

    @property
    def why_not_labelled(self) -> str:
        """Why the three factors cannot all be had, empty where they can."""
        for key, labels in zip(_KEYS, self.labels.of, strict=True):
            if key != "own" and all(label is None for label in labels):
                return f"no unit {key}stream of it has a family"
        return ""

    def draw(self, count: int, seed: int, task: Any) -> None:
        """Add networks of null B to the pool; the n-th is the same however many are drawn."""
        drawn = []
        for number in range(self.draws, count):
            rng = np.random.default_rng([seed, self.number, number])
            drawn.append(self.wiring.draw(rng).score[self.is_tested])
            task.advance()
        self.draws = max(self.draws, count)
        self.pool = np.concatenate([self.pool, *drawn])
        self.p[self.is_tested] = p_pooled(self.parts.score[self.is_tested], self.pool)

    def _chance(self, score: float) -> Chance:
        if self._kept is None or self._kept.count != len(self.pool):
            self._kept = NullScores.of(self.pool, null=BLOCKS.name)
        return Chance.counted(self._kept, score, self.pool)

    def label(self, number: int) -> str | None:
        """Return the name of a family by its number, None for -1."""
        return self.wiring.names[number] if number >= 0 else None

    def match(self, unit: int, level: float) -> SuperpositionMatch:
        """Return what is known of one unit, found or not."""
        parts, wiring = self.parts, self.wiring
        fed_by = int(parts.fed_by[unit])
        score = float(parts.score[unit])
        is_tested = bool(self.is_tested[unit])
        out = np.where(wiring.is_foreign(parts.fed_by)[unit], np.maximum(wiring.out_of[:, unit], 0.0), 0.0)
        into = np.where(wiring.up == fed_by, np.maximum(wiring.into[unit], 0.0), 0.0) if fed_by >= 0 else np.zeros(0)
        shares = wiring.family_shares(wiring.into[unit : unit + 1])[0]
        order = np.argsort(-shares, kind="stable")
        verdict: Verdict = "cannot tell" if not is_tested else "found" if self.q[unit] <= level else "not significant"
        return SuperpositionMatch(
            motif="superposition",
            units={"pure": self.units[unit]},
            score=score,
            effect=score - float(np.median(self.pool)) if len(self.pool) else None,
            p=float(self.p[unit]) if is_tested else None,
            q=float(self.q[unit]) if is_tested else None,
            null=BLOCKS.name if is_tested else "",
            verdict=verdict,
            chance=self._chance(score) if is_tested else None,
            shares=norm_shares(np.asarray(self.out_of.kernels[:, unit], dtype=np.float64)),
            notes=() if is_tested else ("the only unit of its family: null B cannot move it",),
            pure=float(parts.pure[unit]),
            foreign=float(parts.foreign[unit]),
            spread=float(parts.spread[unit]),
            n_eff=float(parts.n_eff[unit]),
            family=self.label(int(wiring.own[unit])),
            fed_by=self.label(fed_by),
            family_shares={wiring.names[k]: float(shares[k]) for k in order if shares[k] > 0},
            clients=tuple(self.out_of.down_units[place] for place in strongest(out)),
            sources=tuple(self.into.up_units[place] for place in strongest(into)),
        )


def read_pairs(
    source: Any, below: Any, layer: str | None, up: str | None, down: str | None, notes: list[str]
) -> list[tuple[Weights, Weights]]:
    """Return the weights into and out of each layer that is searched; see `find_superposition`."""
    if not isinstance(source, Bundle):
        if below is None:
            raise MotifError(
                f"{ACT}: one array is given, two are wanted.",
                hint="Give W_in (unit, up, row, col) and W_out (down, unit, row, col), or a Bundle.",
            )
        one, other = read_weights(source, act=ACT), read_weights(below, act=ACT)
        if one.kernels.shape[0] != other.kernels.shape[1]:
            raise ShapeError(
                f"{ACT}: W_in leads to {one.kernels.shape[0]} units, W_out starts at {other.kernels.shape[1]}.",
                hint="The first axis of each is downstream: W_in (unit, up, ...), W_out (down, unit, ...).",
            )
        return [(one, other)]
    if below is not None:
        raise MotifError(f"{ACT}: a bundle and an array are given.", hint="Give a Bundle, or two arrays.")
    triples = []
    for names in layer_triples(source, up, layer, down, act=ACT):
        try:
            into = read_weights(source, names[0], names[1], act=ACT)
            triples.append((into, read_weights(source, names[1], names[2], act=ACT)))
        except BundleError as error:
            notes.append(f"{' -> '.join(names)} cannot be read as two arrays of kernels: {error.message}")
    if not triples:
        raise MotifError(f"{ACT}: no triple of layers of {source.network} can be read.", hint=notes[-1])
    return triples


def label_searches(
    source: Any, triples: Sequence[tuple[Weights, Weights]], families: Any, notes: list[str]
) -> list[Search] | None:
    """Return the searches, or None where no unit has a family."""
    bundle = source if isinstance(source, Bundle) else None
    units_of = [(into.up_units, into.down_units, out_of.down_units) for into, out_of in triples]
    if len(triples) == 1:
        read = read_labels(families, dict(zip(_KEYS, units_of[0], strict=True)), bundle=bundle, act=ACT)
        per_triple = [read]
    else:
        layers = [(into.up_layer, into.down_layer, out_of.down_layer) for into, out_of in triples]
        units = {
            uid: own for uids, owns in zip(layers, units_of, strict=True) for uid, own in zip(uids, owns, strict=True)
        }
        read = read_labels(families, units, bundle=bundle, act=ACT)
        of = dict(zip(units, read.of, strict=True))
        per_triple = [Labels(tuple(of[uid] for uid in uids)) for uids in layers]
    if read.is_empty:
        return None
    notes += read.notes
    return [
        Search(into, out_of, labels, Wiring(into.sums, out_of.sums, labels.of), number)
        for number, ((into, out_of), labels) in enumerate(zip(triples, per_triple, strict=True))
    ]


def draw_all(
    searches: Sequence[Search],
    tested: int,
    draws: int,
    level: float,
    seed: int,
    progress: Progress,
    notes: list[str],
) -> None:
    """Draw the null for all triples, set p and q, and say where more was drawn."""
    open_ = [search for search in searches if search.is_tested.any()]
    with progress.task(ACT, total=len(open_) * draws, unit="null network") as task:
        for search in open_:
            task.describe(search.name)
            search.draw(draws, seed, task)
            own = int(np.count_nonzero(search.is_tested))
            needed = math.ceil(2 * tested / (level * own))
            # the least p there is, and still not small enough among so many units
            if needed > draws and float(search.p[search.is_tested].min()) <= 1.5 / (1 + len(search.pool)):
                count = min(needed, _MOST_DRAWS)
                search.draw(count, seed, task)
                notes.append(f"{search.name}: {count:,} draws instead of {draws}, since {tested:,} units are tested")
    if not tested:
        return
    values = q_values(np.concatenate([search.p[search.is_tested] for search in searches]))
    start = 0
    for search in searches:
        own = int(np.count_nonzero(search.is_tested))
        search.q[search.is_tested] = values[start : start + own]
        start += own


def notes_on(search: Search) -> list[str]:
    """Say what bears on the power of one search."""
    notes = []
    wiring, parts = search.wiring, search.parts
    void = np.flatnonzero(~search.is_tested)
    if len(void):
        best = int(void[np.argmax(parts.score[void])])
        notes.append(
            f"cannot tell: {len(void):,} units of {search.name} are the only ones of their family, so null B has "
            f"nothing to permute; the best is {search.units[best]} with score {parts.score[best]:.3g}. "
            "Join families into larger ones"
        )
    names = {label for labels in search.labels.of[:2] for label in labels if label is not None}
    below = {label for label in search.labels.of[2] if label is not None}
    if not names & below:
        notes.append(
            f"{search.name}: no family of the clients has the name of one before them, so every client that has a "
            "family counts as foreign"
        )
    if len(below) == 1 and below <= names:
        notes.append(f"{search.name}: all clients that have a family are of {next(iter(below))!r}")
    live = int(np.count_nonzero(wiring.into.any(axis=1) & wiring.out_of.any(axis=0)))
    if live <= _FEW_UNITS:
        notes.append(f"cannot tell: {search.name} has {live} live units in the middle, too few for power")
    return notes


def strongest(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of the largest values, as many as their effective number."""
    squares = float(np.square(values).sum())
    count = round(float(np.square(values.sum())) / squares) if squares > 0 else 0
    return np.argsort(-values, kind="stable")[:count]
