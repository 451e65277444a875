"""A tested equivariance, and the match that says what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.turns import TURNS, compose_turns, norm_shares
from queries.assignment import EXHAUSTED_UNITS, Relabelling
from queries.base import Match, NullModel, Unit, Verdict
from queries.equivariance_moves import PERMUTATION, Move, kept_chance
from queries.equivariance_nulls import Chance
from queries.equivariance_search import Block, Plan, cycles_of, score_of
from queries.kernel_nulls import SCRAMBLE_KERNELS, SCRAMBLE_TARGETS
from queries.null_scores import Chance as NullChance
from queries.weights import Weights

__all__ = ["EquivarianceMatch", "PairRead", "Search", "Tested", "make_match", "mark_implied", "read_cypher"]

_BLIND = 1 - 1e-6


@dataclass(frozen=True, kw_only=True)
class EquivarianceMatch(Match):
    """Permutations of two layers' units under which their kernels turn, mirror or move on.

    Attributes
    ----------
    transformation
        T; see `find_equivariance`.
    up_permutation, down_permutation
        Image of each place: ``W[down_permutation[b], up_permutation[a]]`` is compared with ``T(W[b, a])``. Units that
        do not take part stay.
    up_cycles, down_cycles
        The families, as units; one that stays is a cycle of one, one that does not take part is in none.
    kind
        "equivariant -> equivariant", "invariant -> equivariant" or "equivariant -> invariant".
    starts_agreeing, starts
        How many of how many starts reached this answer. Where all permutations of a side, or all shifts, were tried,
        both are their number.
    p_alone
        Of this transformation alone; `p` is over all that were tested between the two layers.
    reach
        The smallest p that an exact family of these cycles can have under the null.
    implied_by
        The found transformations that this one is a power or product of, units and all; empty if it is none.
    source
        The layers, or the array's shape.
    """

    transformation: str
    up_permutation: tuple[int, ...] = ()
    down_permutation: tuple[int, ...] = ()
    up_cycles: tuple[tuple[Unit, ...], ...] = ()
    down_cycles: tuple[tuple[Unit, ...], ...] = ()
    kind: str = ""
    starts_agreeing: int = 0
    starts: int = 0
    p_alone: float = 1.0
    reach: float = 1.0
    implied_by: tuple[str, ...] = ()
    source: str = ""

    def bindings(self) -> list[tuple[str, int, Unit]]:
        """Return the units in the roles "up" and "down", with their places."""
        split = [(role.rstrip("0123456789"), role, unit) for role, unit in self.units.items()]
        return [(side, int(role[len(side) :]), unit) for side, role, unit in split]

    def row(self) -> dict[str, Any]:
        """Return the match as one row of a table: cycles instead of the list of all units."""
        return {
            "transformation": self.transformation,
            "kind": self.kind,
            "score": self.score,
            "effect": self.effect,
            "p": self.p,
            "q": self.q,
            "verdict": self.verdict,
            "starts": f"{self.starts_agreeing}/{self.starts}",
            **{f"{name}_share": share for name, share in self.shares.items()},
            "up_cycles": _short(self.up_cycles),
            "down_cycles": _short(self.down_cycles),
            "source": self.source,
        }

    def images(self) -> dict[str, dict[str, str]]:
        """Return unit to image, upstream and downstream: the parameters of the Cypher pattern."""
        return {
            side: {str(unit): str(cycle[(at + 1) % len(cycle)]) for cycle in cycles for at, unit in enumerate(cycle)}
            for side, cycles in (("up", self.up_cycles), ("down", self.down_cycles))
        }

    def _identity(self) -> dict[str, Any]:
        return {
            "motif": self.motif,
            "transformation": self.transformation,
            "up": self.up_cycles,
            "down": self.down_cycles,
            "source": self.source,
        }


@dataclass(frozen=True, eq=False)
class PairRead:
    """Two layers that were read: all but the kernels, and what bears on each transformation.

    Attributes
    ----------
    weights
        With no kernels in it, so that a network's layers are not all held at once.
    name
        The layers, or the array's shape.
    shares
        "dc" and "d4" of all kernels that were read.
    """

    weights: Weights
    name: str
    shares: Mapping[str, float]
    is_ordered: bool
    is_up_fixed: bool

    @classmethod
    def of(cls, weights: Weights, *, is_ordered: bool, is_up_fixed: bool) -> PairRead:
        """Return what is kept of weights."""
        shell = replace(weights, kernels=weights.kernels[:0])
        return cls(shell, weights.name, norm_shares(weights.kernels), is_ordered, is_up_fixed)

    @property
    def is_blind(self) -> bool:
        """Whether all transformations fit alike: kernels of one cell, or with no orientation at all."""
        return self.shares["d4"] >= _BLIND or self.shares["d4"] == 0.0


@dataclass(frozen=True, eq=False)
class Search:
    """How a transformation was searched, the best answer, and chance."""

    plan: Plan
    answer: Relabelling
    models: tuple[NullModel, ...]
    why: str
    chance: Chance


@dataclass(frozen=True, eq=False)
class Tested:
    """One transformation between two layers; not searched where there is nothing to search."""

    pair: PairRead
    move: Move
    block: Block
    search: Search | None

    def notes(self) -> list[str]:
        """Return what a reader must know of the two layers, whatever the transformation."""
        name, notes = self.pair.name, []
        if self.pair.is_up_fixed:
            notes.append(
                f"{name}: the upstream units are an image's channels and stay; many units that fit a turn may be "
                "an isotropic population without families, which find_families tells apart"
            )
        if any(self.block.left_out):
            downs, ups = self.block.counts
            notes.append(
                f"{name}: only the {downs} downstream and {ups} upstream units with the strongest orientation were "
                f"searched; {self.block.left_out[0]} and {self.block.left_out[1]} others were not (most_units=)"
            )
        if self.search is not None and self.search.why:
            against = " and ".join(model.name for model in self.search.models)
            notes.append(f"{name}: compared with {against}: {self.search.why}")
        layer = self.pair.weights.block
        if layer is not None and layer.form in ("global", "spatial"):
            notes.append(f"{name}: {layer.form} weights do not slide; they are turned about the middle of the map")
        return notes


def make_match(
    tested: Tested, p: float, q: float, level: float, draws: int, chance_of: NullChance | None = None
) -> EquivarianceMatch:
    """Return what is to be said of one transformation."""
    move, block, weights = tested.move, tested.block, tested.pair.weights
    ups, downs = len(weights.up_units), len(weights.down_units)
    common: dict[str, Any] = {
        "motif": "equivariance",
        "transformation": move.name,
        "shares": tested.pair.shares,
        "source": tested.pair.name,
        "p": p,
        "q": q,
        "chance": chance_of,
    }
    if tested.search is None:
        verdict, said = _untested(tested)
        common |= {"up_permutation": tuple(range(ups)), "down_permutation": tuple(range(downs))}
        return EquivarianceMatch(units={}, score=0.0, verdict=verdict, notes=(said,), **common)
    answer, chance = tested.search.answer, tested.search.chance
    parts = score_of(block.kernels, move, answer.down, answer.up).sum(axis=(0, 1))
    score = float(parts[0] / np.sqrt(parts[1] * parts[2])) if parts[1] * parts[2] > 0 else 0.0
    reach = max(_reach(tested, tested.search), 1 / (1 + draws))
    verdict = "found" if q <= level and score > 0 else "cannot tell" if reach > level else "not significant"
    return EquivarianceMatch(
        units={
            **{f"up{place}": weights.up_units[place] for place in block.up_places.tolist()},
            **{f"down{place}": weights.down_units[place] for place in block.down_places.tolist()},
        },
        score=score,
        effect=score - chance.median,
        null=chance.null,
        verdict=verdict,
        notes=_match_notes(tested, answer, verdict, reach),
        up_permutation=_whole(answer.up, block.up_places, ups),
        down_permutation=_whole(answer.down, block.down_places, downs),
        up_cycles=_cycles(answer.up, block.up_places, weights.up_units),
        down_cycles=_cycles(answer.down, block.down_places, weights.down_units),
        kind=_kind(answer),
        starts_agreeing=answer.agreeing,
        starts=answer.starts,
        p_alone=chance.p_alone,
        reach=reach,
        **common,
    )


def mark_implied(matches: Sequence[EquivarianceMatch]) -> list[EquivarianceMatch]:
    """Return the matches, with those marked that follow from others: the square of a quarter turn, its inverse."""
    marked: dict[int, EquivarianceMatch] = {}
    by_source: dict[str, list[int]] = {}
    for number, match in enumerate(matches):
        by_source.setdefault(match.source, []).append(number)
    # quarter turns first, since half a turn follows from them and not the other way round
    first = ("rot90", "rot270", "flip")
    order = {name: place for place, name in enumerate(dict.fromkeys((*first, *TURNS)))}
    for numbers in by_source.values():
        generators: list[EquivarianceMatch] = []
        turns = [
            number
            for number in numbers
            if matches[number].verdict == "found" and matches[number].transformation in TURNS
        ]
        for number in sorted(turns, key=lambda at: order[matches[at].transformation]):
            match = matches[number]
            same = _group(generators).get(match.transformation)
            if same == (match.up_permutation, match.down_permutation):
                names = tuple(each.transformation for each in generators)
                said = f"follows from {' and '.join(names)}, with the same units: not a find of its own"
                marked[number] = replace(match, implied_by=names, notes=(said, *match.notes))
            else:
                generators.append(match)
        if generators:
            marked |= {number: _explained(matches[number]) for number in numbers if _is_permutation(matches[number])}
    return [marked.get(number, match) for number, match in enumerate(matches)]


def _is_permutation(match: EquivarianceMatch) -> bool:
    return match.transformation == PERMUTATION and match.verdict == "found"


def _explained(match: EquivarianceMatch) -> EquivarianceMatch:
    said = (
        "undetermined: the units also turn or mirror, and neighbours in such a family look alike, so kernels that "
        "move on without turning are no find of their own; search the units of a hue by themselves"
    )
    return replace(match, verdict="undetermined", notes=(said, *match.notes))


def read_cypher() -> str:
    """Return the thresholded pattern over the strong edges of the store."""
    return files("queries").joinpath("cypher", "motifs", "equivariance.cypher").read_text(encoding="utf-8")


_Pair = tuple[tuple[int, ...], tuple[int, ...]]


def _group(generators: Sequence[EquivarianceMatch]) -> dict[str, _Pair]:
    """Return the permutations of each product of the found transformations, the shortest product of each."""
    if not generators:
        return {}
    start = (tuple(range(len(generators[0].up_permutation))), tuple(range(len(generators[0].down_permutation))))
    known: dict[str, _Pair] = {"identity": start}
    front = ["identity"]
    while front:
        reached = []
        for name in front:
            for each in generators:
                product = compose_turns(name, each.transformation)
                if product not in known:
                    up, down = known[name]
                    known[product] = (
                        tuple(each.up_permutation[place] for place in up),
                        tuple(each.down_permutation[place] for place in down),
                    )
                    reached.append(product)
        front = reached
    return known


def _untested(tested: Tested) -> tuple[Verdict, str]:
    if tested.pair.is_blind or min(tested.block.counts) == 0:
        return (
            "undetermined",
            f"no weight tells orientations apart (d4 share {tested.pair.shares['d4']:.3g}): every transformation fits "
            'alike; families that only move on are tested with transformations=["permutation"]',
        )
    return "cannot tell", "one unit on each side has weights, and there is nothing to permute"


def _match_notes(tested: Tested, answer: Relabelling, verdict: Verdict, reach: float) -> tuple[str, ...]:
    notes = []
    downs, ups = tested.block.counts
    if verdict == "cannot tell":
        notes.append(
            f"cannot tell: with these cycles even an exact family fits {reach:.2g} of the random networks "
            f"({downs} targets, {ups} sources)"
        )
    if not tested.pair.is_ordered and min(downs, ups) > EXHAUSTED_UNITS and answer.starts > 4 and answer.agreeing == 1:
        notes.append(f"1 of {answer.starts} starts reached this answer: do not trust it, give more starts")
    stay_up = int(np.count_nonzero(answer.up == np.arange(ups)))
    stay_down = int(np.count_nonzero(answer.down == np.arange(downs)))
    if stay_up + stay_down and stay_up < ups and stay_down < downs:
        notes.append(f"{stay_down} of {downs} downstream and {stay_up} of {ups} upstream units stay where they are")
    if tested.move.kind == "interpolated":
        moved, kept = tested.move.coordinates(tested.block.kernels)
        norm = float(np.linalg.norm(moved) / max(float(np.linalg.norm(kept)), 1e-30))
        notes.append(
            f"weaker evidence: interpolated on a disc, which keeps {norm:.0%} of the norm; even an exact family scores "
            "below 1, and its score is not to be compared with those of exact turns"
        )
    return tuple(notes)


def _reach(tested: Tested, search: Search) -> float:
    """Return the chance that the null leaves an exact family of these cycles as it is."""
    answer, move, block = search.answer, tested.move, tested.block
    window = (block.kernels.shape[2], block.kernels.shape[3])
    if move.kind == "permutation":
        return 0.0 if min(block.counts) > 1 else 1.0
    if search.chance.null == SCRAMBLE_TARGETS.name:
        lengths = [len(cycle) for cycle in cycles_of(dict(enumerate(answer.down.tolist())))]
    elif search.chance.null == SCRAMBLE_KERNELS.name:
        image = (answer.down[:, None] * block.counts[1] + answer.up[None, :]).ravel().tolist()
        lengths = [len(cycle) for cycle in cycles_of(dict(enumerate(image)))]
    else:
        return 0.0
    return float(np.exp(sum(np.log(kept_chance(move, length, window)) for length in lengths)))


def _kind(answer: Relabelling) -> str:
    sides = [
        "equivariant" if (each != np.arange(len(each))).any() else "invariant" for each in (answer.up, answer.down)
    ]
    return " -> ".join(sides)


def _whole(images: NDArray[np.intp], places: NDArray[np.intp], count: int) -> tuple[int, ...]:
    whole = np.arange(count)
    whole[places] = places[images]
    return tuple(whole.tolist())


def _cycles(images: NDArray[np.intp], places: NDArray[np.intp], units: Sequence[Unit]) -> tuple[tuple[Unit, ...], ...]:
    cycles = cycles_of(dict(enumerate(images.tolist())))
    return tuple(tuple(units[int(places[place])] for place in cycle) for cycle in cycles)


def _short(cycles: Sequence[Sequence[Unit]]) -> str:
    moving = [cycle for cycle in cycles if len(cycle) > 1]
    said = "".join("(" + " ".join(str(unit).rpartition(":")[2] for unit in cycle) + ")" for cycle in moving[:4])
    return said + (f" and {len(moving) - 4} more" if len(moving) > 4 else "")
